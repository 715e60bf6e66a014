//! Asking for a request that is described several times, as Envoy does: by buyer, by address, by
//! both. All rules are asked about all descriptions, and only if all agree is anything charged.
//!
//! It is one request all the same: a key that several descriptions meet is charged once. Slots are
//! not taken here, because nobody says when such a request ends. Slower than `Limits::ask`, which
//! serves the door's own requests.

use super::Limits;
use crate::facts::Facts;
use crate::gcra::Gcra;
use crate::limits::DESCRIPTIONS_MAX;
use crate::rules::ready::{Answer, Ready, Special};
use crate::rules::verdict::{Headroom, RuleId};
use crate::rules::{Limit, Missing};
use crate::time::Nanos;

/// A request as one of its descriptions has it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Description {
    pub facts: Facts,
    /// What it costs. Zero only looks: it charges nothing, and is refused where nothing is left.
    pub hits: u32,
    /// A rate in place of that of the narrowest keyed rate rule that the description meets. What
    /// is beyond the bounds of a rate is ignored.
    pub instead: Option<Limit>,
}

/// What the enforced rules said to one description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// `None`: they agree. Otherwise the longest wait among those that refuse.
    pub retry_after: Option<Nanos>,
    /// Of the rule with that wait or, if all agree, of the one with the least left. As it is
    /// after the request: where it was refused, nothing was charged.
    pub headroom: Headroom,
    /// The limit that was asked, as it is written.
    pub limit: Limit,
}

/// A key of a rule, and what came of asking.
#[derive(Clone, Copy, Debug)]
pub(super) struct Met {
    rule: u16,
    tag: u64,
    limit: u32,
    instead: Option<Limit>,
    hits: u32,
    /// Bit n: description n meets it.
    descriptions: u32,
    enforced: bool,
    answer: Option<Answer>,
}

const _: () = assert!(DESCRIPTIONS_MAX <= u32::BITS as usize);

impl Limits {
    /// May this request go on? If so it is charged. Of `described`, the first [`DESCRIPTIONS_MAX`]
    /// count; what each was told is written to the same place of `told`, `None` where no enforced
    /// rule was concerned. Counters count hits.
    pub fn ask_together(
        &mut self,
        described: &[Description],
        now: Nanos,
        told: &mut [Option<Told>],
    ) -> bool {
        let described = &described[..described.len().min(DESCRIPTIONS_MAX)];
        told.fill(None);
        let mut met = std::mem::take(&mut self.met);
        met.clear();
        self.meet(described, &mut met);
        let refusing = self.judge_together(&mut met, now);
        match refusing {
            Some(at) => self.refuse_together(&mut met, at, now),
            None => self.charge_together(&met, now),
        }
        for (at, told) in told.iter_mut().enumerate().take(described.len()) {
            let own = met.iter().filter(|one| one.descriptions >> at & 1 == 1);
            *told = own.fold(None, |told, one| self.tell(told, one));
        }
        // Kept for the next request, so that only the first ones allocate.
        self.met = met;
        refusing.is_none()
    }

    /// Every key that is met, rule by rule.
    fn meet(&self, described: &[Description], met: &mut Vec<Met>) {
        let mut masks = [0; DESCRIPTIONS_MAX];
        for (mask, one) in masks.iter_mut().zip(described) {
            *mask = self.masks.of(&one.facts);
        }
        // Descriptions whose own rate has found its rule.
        let mut placed = 0_u32;
        let mut left = masks.iter().fold(0, |all, mask| all | mask);
        while left != 0 {
            let rule = left.trailing_zeros();
            left &= left - 1;
            let ready = &self.rules[rule as usize].ready;
            if ready.holds_slots() {
                continue;
            }
            let concerned = described.iter().enumerate();
            let concerned = concerned.filter(|(at, _)| masks[*at] >> rule & 1 == 1);
            let first = met.len();
            let mut complete = false;
            for (at, one) in concerned.clone() {
                if let Some(tag) = ready.keys.tag_of_whole(&one.facts) {
                    complete = true;
                    add(met, first, rule, ready, (at, one, tag), &mut placed);
                }
            }
            // What one description lacks another may have: only then is the request anonymous.
            let anonymous = !complete && ready.rule.key.missing == Missing::Shared;
            for (at, one) in concerned.filter(|_| anonymous) {
                if let Some(tag) = ready.keys.tag(&one.facts) {
                    add(met, first, rule, ready, (at, one, tag), &mut placed);
                }
            }
        }
    }

    /// Asks each. The enforced one with the longest wait, if any refuses.
    fn judge_together(&mut self, met: &mut [Met], now: Nanos) -> Option<usize> {
        if self.midnight <= now {
            self.turn_days(now);
        }
        let mut refusing: Option<(usize, Nanos)> = None;
        for (at, one) in met.iter_mut().enumerate() {
            let rule = &mut self.rules[usize::from(one.rule)];
            rule.note_age(now, self.adaptive);
            rule.counters.asked += u64::from(one.hits);
            rule.counters.stale += u64::from(rule.stale) * u64::from(one.hits);
            one.enforced = rule.ready.enforces(one.tag);
            let answer = self.answer(one, one.hits, now);
            one.answer = Some(answer);
            let wait = answer.retry_after;
            let refuses = answer.charged.is_none() && one.enforced;
            if refuses && refusing.is_none_or(|(_, longest)| wait > longest) {
                refusing = Some((at, wait));
            }
        }
        refusing.map(|(at, _)| at)
    }

    fn answer(&self, one: &Met, hits: u32, now: Nanos) -> Answer {
        let rule = &self.rules[usize::from(one.rule)];
        let state = rule.table.find(one.tag);
        let state = state.map_or_else(Default::default, |(_, state)| state);
        let (ready, days) = (&rule.ready, &self.days);
        match &one.instead {
            Some(limit) => ready.ask_instead(limit, hits, now, state),
            None => ready.ask_for(one.limit, hits, now, state, days),
        }
    }

    /// Those who agreed are asked again without hits: what is left where nothing was charged.
    fn refuse_together(&mut self, met: &mut [Met], at: usize, now: Nanos) {
        let refusing = &met[at];
        let counters = &mut self.rules[usize::from(refusing.rule)].counters;
        counters.refused += u64::from(refusing.hits);
        for one in met.iter_mut() {
            if one.answer.is_some_and(|answer| answer.charged.is_some()) {
                one.answer = Some(self.answer(one, 0, now));
            }
        }
    }

    fn charge_together(&mut self, met: &[Met], now: Nanos) {
        for one in met.iter().filter(|one| one.hits > 0) {
            let rule = &mut self.rules[usize::from(one.rule)];
            let hits = u64::from(one.hits);
            let Some((state, near)) = one
                .answer
                .and_then(|answer| answer.charged.map(|state| (state, answer.near)))
            else {
                rule.counters.shadow_refused += hits;
                continue;
            };
            // Found anew: another key of the same rule may have moved it.
            match rule.table.find(one.tag) {
                Some((place, _)) => rule.table.write(place, state),
                None => {
                    let fresh = rule.ready.fresh(now, &self.days);
                    rule.table.insert(one.tag, state, fresh);
                }
            }
            rule.counters.allowed += hits;
            rule.counters.near_limit += u64::from(near) * hits;
        }
    }

    fn tell(&self, told: Option<Told>, one: &Met) -> Option<Told> {
        let Some(answer) = one.answer.filter(|_| one.enforced) else {
            return told;
        };
        let ready = &self.rules[usize::from(one.rule)].ready;
        let new = Told {
            retry_after: answer.charged.is_none().then_some(answer.retry_after),
            headroom: Headroom {
                rule: RuleId(one.rule),
                limit: answer.limit,
                remaining: answer.remaining,
                reset: answer.reset,
            },
            limit: one.instead.unwrap_or_else(|| ready.written(one.limit)),
        };
        match told {
            Some(old) if !new.goes_before(&old) => Some(old),
            _ => Some(new),
        }
    }
}

impl Told {
    fn goes_before(&self, other: &Told) -> bool {
        match (self.retry_after, other.retry_after) {
            (Some(own), Some(its)) => own > its,
            (None, None) => self.headroom.remaining < other.headroom.remaining,
            (own, None) => own.is_some(),
            (None, Some(_)) => false,
        }
    }
}

/// One more description, with its place, that meets `tag` of a rule; those of the rule begin at
/// `first`.
fn add(
    met: &mut Vec<Met>,
    first: usize,
    rule: u32,
    ready: &Ready,
    (at, one, tag): (usize, &Description, u64),
    placed: &mut u32,
) {
    let limit = ready.special.limit_of(tag);
    if limit == Special::ALLOWED {
        return;
    }
    let is_free = *placed >> at & 1 == 0;
    let takes = is_free && !ready.rule.key.parts.is_empty() && is_rate(&ready.rule.limit);
    let instead = one.instead.filter(|limit| takes && is_rate(limit));
    *placed |= u32::from(instead.is_some()) << at;
    match met[first..].iter_mut().find(|same| same.tag == tag) {
        Some(same) => {
            same.hits = same.hits.max(one.hits);
            same.descriptions |= 1 << at;
            same.instead = same.instead.or(instead);
        }
        None => met.push(Met {
            rule: rule as u16,
            tag,
            limit,
            instead,
            hits: one.hits,
            descriptions: 1 << at,
            enforced: false,
            answer: None,
        }),
    }
}

/// A rate, and one within its bounds.
fn is_rate(limit: &Limit) -> bool {
    match *limit {
        Limit::Rate {
            count,
            period,
            burst,
        } => Gcra::new(count, period, burst).is_some(),
        Limit::Concurrency { .. } | Limit::Quota { .. } => false,
    }
}
