//! Asking: every rule that a request concerns is asked first, and only if all enforced ones agree
//! is anything charged. A refusal writes to nobody's state and allocates nothing.
//!
//! All tables are touched before the first is read, so that the cache misses of several rules are
//! waited for together.

mod together;

pub use together::{Description, Told};

use super::check::{Masks, RuleSet};
use super::ready::{Answer, Ready, Special};
use super::verdict::{Counters, Headroom, Permit, Refusal, RuleId, Slot, Verdict};
use super::{Day, Rule};
use crate::facts::Facts;
use crate::gcra::{Factor, Tat};
use crate::limits::{
    DAY_NS, DAYS_ITEMS_MAX, RULES_MAX, STALE_FACTOR_MILLIONTHS_MAX, SWEEP_BUCKETS_PER_TICK,
};
use crate::table::{Home, Place, Table};
use crate::time::Nanos;

/// The running rules and what they remember.
#[derive(Debug)]
pub struct Limits {
    rules: Vec<Active>,
    masks: Masks,
    days: [Day; DAYS_ITEMS_MAX],
    /// When the first of the days is over.
    midnight: Nanos,
    /// How much of a stale limit the overload controller thinks right.
    adaptive: Factor,
    /// What a cluster-wide rule starts with.
    share: Factor,
    serial: u32,
    /// What the request in hand was told; kept here so that no request allocates.
    asked: Box<[Asked]>,
    /// The same of a request with several descriptions; grows as they come, within their bound.
    met: Vec<together::Met>,
}

/// Rules and states that a swap took out of service. Large tables take a while to drop: let go of
/// it outside the lock.
#[derive(Debug)]
pub struct Retired {
    _rules: Vec<Active>,
}

/// A rule as metrics and operators see it.
#[derive(Clone, Copy, Debug)]
pub struct RuleStatus<'a> {
    pub rule: &'a Rule,
    pub counters: Counters,
    pub keys: usize,
    pub evicted_live: u64,
    pub table_bytes: usize,
    /// The limit's measurement has expired: it is enforced at a part of itself.
    pub stale: bool,
    /// The part of the written limit that is enforced now.
    pub factor: Factor,
}

#[derive(Debug)]
struct Active {
    ready: Ready,
    table: Table,
    counters: Counters,
    share: Factor,
    stale: bool,
    /// Of the state: a swap keeps it with the state.
    serial: u32,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    rule: u32,
    limit: u32,
    tag: u64,
    home: Home,
    /// Written to have the cache line fetched early.
    touched: u64,
    place: Option<Place>,
    enforced: bool,
    answer: Answer,
}

const NOT_ASKED: Asked = Asked {
    rule: 0,
    limit: 0,
    tag: 0,
    home: Home::NONE,
    touched: 0,
    place: None,
    enforced: false,
    answer: Answer {
        charged: None,
        retry_after: Nanos(0),
        limit: 0,
        remaining: 0,
        reset: Nanos(0),
        near: false,
    },
};

/// No rule has anything to say.
const FREE: Verdict = Verdict::Allowed {
    permit: Permit::NONE,
    tightest: None,
};

impl Limits {
    /// `share` is what a cluster-wide rule may use until its first share is known.
    #[must_use]
    pub fn new(set: RuleSet, share: Factor) -> Limits {
        let day = Day {
            start: Nanos(0),
            end: Nanos(DAY_NS),
        };
        let mut limits = Limits {
            rules: Vec::new(),
            masks: Masks::default(),
            days: [day; DAYS_ITEMS_MAX],
            midnight: day.end,
            adaptive: Factor::ONE,
            share,
            serial: 0,
            asked: vec![NOT_ASKED; RULES_MAX].into(),
            met: Vec::new(),
        };
        drop(limits.swap(set));
        limits
    }

    /// May this request go on? If so it is charged.
    pub fn ask(&mut self, facts: &Facts, now: Nanos) -> Verdict {
        if self.midnight <= now {
            self.turn_days(now);
        }
        let concerned = self.masks.of(facts);
        if concerned.is_power_of_two() {
            return self.ask_one(concerned.trailing_zeros() as usize, facts, now);
        }
        self.ask_several(concerned, facts, now)
    }

    #[inline(never)]
    fn ask_several(&mut self, concerned: u64, facts: &Facts, now: Nanos) -> Verdict {
        let asked = self.gather(concerned, facts);
        match self.judge(asked, now) {
            Some(at) => self.refuse(at),
            None => self.charge(asked, now),
        }
    }

    /// The same where one rule is all there is to ask: then nothing has to be remembered between
    /// asking and charging.
    #[inline]
    fn ask_one(&mut self, at: usize, facts: &Facts, now: Nanos) -> Verdict {
        let rule = &mut self.rules[at];
        let Some(tag) = rule.ready.keys.tag(facts) else {
            return FREE;
        };
        let limit = rule.ready.special.limit_of(tag);
        if limit == Special::ALLOWED {
            return FREE;
        }
        rule.counters.asked += 1;
        rule.note_age(now, self.adaptive);
        rule.counters.stale += u64::from(rule.stale);
        let found = rule.table.entry(tag);
        let state = found.as_ref().map_or(Tat::default(), |found| found.state());
        let enforced = rule.ready.enforces(tag);
        let answer = rule.ready.ask(limit, now, state, &self.days);
        let headroom = Headroom {
            rule: RuleId(at as u16),
            limit: answer.limit,
            remaining: answer.remaining,
            reset: answer.reset,
        };
        let Some(state) = answer.charged else {
            if enforced {
                rule.counters.refused += 1;
                return Verdict::Refused(Refusal {
                    rule: headroom.rule,
                    retry_after: answer.retry_after,
                    headroom,
                });
            }
            rule.counters.shadow_refused += 1;
            return FREE;
        };
        match found {
            Some(entry) => entry.write(state),
            None => {
                let fresh = rule.ready.fresh(now, &self.days);
                rule.table.insert(tag, state, fresh);
            }
        }
        rule.counters.allowed += 1;
        rule.counters.near_limit += u64::from(answer.near);
        let mut permit = Permit::NONE;
        if rule.ready.holds_slots() {
            permit.push(Slot {
                rule: at as u32,
                serial: rule.serial,
                tag,
            });
        }
        Verdict::Allowed {
            permit,
            tightest: enforced.then_some(headroom),
        }
    }

    /// Gives back what a request held.
    pub fn release(&mut self, permit: Permit) {
        for slot in permit.slots() {
            let place = slot.rule as usize;
            let stands = self.rules.get(place);
            let at = match stands {
                Some(rule) if rule.serial == slot.serial => Some(place),
                _ => self
                    .rules
                    .iter()
                    .position(|rule| rule.serial == slot.serial),
            };
            let Some(rule) = at.map(|at| &mut self.rules[at]) else {
                continue;
            };
            // Not found: it was evicted, and `evicted_live` says so.
            match rule.table.find(slot.tag) {
                Some((place, state)) if state.part > 1 => rule.table.write(
                    place,
                    Tat {
                        ns: state.ns,
                        part: state.part - 1,
                    },
                ),
                Some((place, _)) => rule.table.remove(place),
                None => {}
            }
        }
    }

    /// Puts a checked set in place of the running one. States and counters of rules whose name, key
    /// and kind are unchanged go on.
    #[must_use = "drop it outside the lock"]
    pub fn swap(&mut self, set: RuleSet) -> Retired {
        let mut old = std::mem::take(&mut self.rules);
        for ready in set.rules {
            let same = old.iter().position(|rule| ready.continues(&rule.ready));
            let active = match same.map(|at| old.swap_remove(at)) {
                Some(mut rule) => {
                    rule.table.set_keys_max(ready.rule.keys_max);
                    // Asking finds out anew whether it is stale.
                    Active {
                        ready,
                        stale: false,
                        ..rule
                    }
                }
                None => {
                    self.serial += 1;
                    Active {
                        table: Table::new(ready.rule.keys_max),
                        counters: Counters::default(),
                        share: self.share,
                        stale: false,
                        serial: self.serial,
                        ready,
                    }
                }
            };
            self.rules.push(active);
        }
        self.masks = set.masks;
        self.rules
            .iter_mut()
            .for_each(|rule| rule.fit(self.adaptive));
        Retired { _rules: old }
    }

    /// The share of a cluster-wide limit that this instance may use.
    pub fn set_share(&mut self, rule: RuleId, share: Factor) {
        if let Some(rule) = self.rules.get_mut(usize::from(rule.0)) {
            rule.share = share;
            rule.fit(self.adaptive);
        }
    }

    /// How much of limits with expired provenance to enforce; the overload controller's word.
    pub fn set_adaptive(&mut self, factor: Factor) {
        self.adaptive = factor;
        self.rules.iter_mut().for_each(|rule| rule.fit(factor));
    }

    /// The day that quotas of this calendar count in. Days go on by 24 hours until the next call.
    pub fn set_day(&mut self, calendar: u8, day: Day) {
        if let Some(place) = self.days.get_mut(usize::from(calendar)) {
            *place = day;
            self.midnight = self.midnight.min(day.end);
        }
    }

    /// Forgets, bit by bit, keys that are as good as new. For a timer of about a second.
    pub fn tick(&mut self, now: Nanos) {
        self.turn_days(now);
        for rule in &mut self.rules {
            rule.note_age(now, self.adaptive);
            let fresh = rule.ready.fresh(now, &self.days);
            rule.table.sweep(SWEEP_BUCKETS_PER_TICK, fresh);
        }
    }

    pub fn rules(&self) -> impl Iterator<Item = (RuleId, RuleStatus<'_>)> {
        let rules = self.rules.iter().enumerate();
        rules.map(|(at, rule)| (RuleId(at as u16), rule.status(self.adaptive)))
    }

    #[must_use]
    pub fn rule(&self, rule: RuleId) -> Option<RuleStatus<'_>> {
        let rule = self.rules.get(usize::from(rule.0))?;
        Some(rule.status(self.adaptive))
    }

    /// Days that are over go on by whole days, until the shell says when midnight is.
    #[cold]
    fn turn_days(&mut self, now: Nanos) {
        for day in self.days.iter_mut().filter(|day| day.end <= now) {
            let over = now.since(day.end).0 / DAY_NS * DAY_NS;
            day.start = day.end.plus(Nanos(over));
            day.end = day.start.plus(Nanos(DAY_NS));
        }
        let ends = self.days.iter().map(|day| day.end);
        self.midnight = ends.min().unwrap_or(Nanos(u64::MAX));
    }

    /// Which rules concern the request and by what keys; starts to fetch what they remember.
    #[inline]
    fn gather(&mut self, mut left: u64, facts: &Facts) -> usize {
        let mut count = 0;
        while left != 0 {
            let at = left.trailing_zeros();
            left &= left - 1;
            let rule = &self.rules[at as usize];
            let Some(tag) = rule.ready.keys.tag(facts) else {
                continue;
            };
            let limit = rule.ready.special.limit_of(tag);
            if limit == Special::ALLOWED {
                continue;
            }
            let asked = &mut self.asked[count];
            asked.rule = at;
            asked.limit = limit;
            asked.tag = tag;
            (asked.home, asked.touched) = rule.table.touch(tag);
            count += 1;
        }
        count
    }

    /// Asks each rule. The enforced one with the longest wait, if any refuses.
    #[inline]
    fn judge(&mut self, count: usize, now: Nanos) -> Option<usize> {
        let mut refusing: Option<(usize, Nanos)> = None;
        for (at, asked) in self.asked[..count].iter_mut().enumerate() {
            let rule = &mut self.rules[asked.rule as usize];
            rule.counters.asked += 1;
            rule.note_age(now, self.adaptive);
            rule.counters.stale += u64::from(rule.stale);
            let found = rule.table.find_from(asked.home, asked.tag);
            let state = found.map_or(Tat::default(), |(_, state)| state);
            asked.place = found.map(|(place, _)| place);
            asked.enforced = rule.ready.enforces(asked.tag);
            asked.answer = rule.ready.ask(asked.limit, now, state, &self.days);
            let wait = asked.answer.retry_after;
            let refuses = asked.answer.charged.is_none() && asked.enforced;
            if refuses && refusing.is_none_or(|(_, longest)| wait > longest) {
                refusing = Some((at, wait));
            }
        }
        refusing.map(|(at, _)| at)
    }

    #[inline]
    fn refuse(&mut self, at: usize) -> Verdict {
        let asked = &self.asked[at];
        self.rules[asked.rule as usize].counters.refused += 1;
        let headroom = asked.headroom();
        Verdict::Refused(Refusal {
            rule: headroom.rule,
            retry_after: asked.answer.retry_after,
            headroom,
        })
    }

    #[inline]
    fn charge(&mut self, count: usize, now: Nanos) -> Verdict {
        let mut permit = Permit::default();
        let mut tightest: Option<Headroom> = None;
        for asked in &self.asked[..count] {
            let rule = &mut self.rules[asked.rule as usize];
            let Some(state) = asked.answer.charged else {
                rule.counters.shadow_refused += 1;
                continue;
            };
            match asked.place {
                Some(place) => rule.table.write(place, state),
                None => {
                    let fresh = rule.ready.fresh(now, &self.days);
                    rule.table.insert(asked.tag, state, fresh);
                }
            }
            rule.counters.allowed += 1;
            rule.counters.near_limit += u64::from(asked.answer.near);
            if rule.ready.holds_slots() {
                permit.push(Slot {
                    rule: asked.rule,
                    serial: rule.serial,
                    tag: asked.tag,
                });
            }
            let least = tightest.map_or(u32::MAX, |headroom| headroom.remaining);
            if asked.enforced && (tightest.is_none() || asked.answer.remaining < least) {
                tightest = Some(asked.headroom());
            }
        }
        Verdict::Allowed { permit, tightest }
    }
}

impl Active {
    fn factor(&self, adaptive: Factor) -> Factor {
        let share = match self.ready.is_cluster_wide() {
            true => self.share,
            false => Factor::ONE,
        };
        let most = Factor::from_millionths(STALE_FACTOR_MILLIONTHS_MAX);
        match self.stale {
            true => share.times(adaptive.min(most)),
            false => share,
        }
    }

    fn fit(&mut self, adaptive: Factor) {
        let factor = self.factor(adaptive);
        self.ready.fit(factor);
    }

    #[inline]
    fn note_age(&mut self, now: Nanos, adaptive: Factor) {
        if now.0 >= self.ready.expires && !self.stale {
            self.stale = true;
            self.fit(adaptive);
        }
    }

    fn status(&self, adaptive: Factor) -> RuleStatus<'_> {
        RuleStatus {
            rule: &self.ready.rule,
            counters: self.counters,
            keys: self.table.keys(),
            evicted_live: self.table.evicted_live(),
            table_bytes: self.table.bytes(),
            stale: self.stale,
            factor: self.factor(adaptive),
        }
    }
}

impl Asked {
    fn headroom(&self) -> Headroom {
        Headroom {
            rule: RuleId(self.rule as u16),
            limit: self.answer.limit,
            remaining: self.answer.remaining,
            reset: self.answer.reset,
        }
    }
}
