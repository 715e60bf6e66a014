//! A rule ready to be asked: keys as tags, limits as numbers. Made from a checked rule only.

use super::key::KeyMaker;
use super::{Day, Limit, Mode, Rule, Scope};
use crate::gcra::{Cell, Factor, Gcra, Tat};
use crate::limits::CONCURRENCY_RETRY_NS;
use crate::time::Nanos;

#[derive(Debug)]
pub(super) struct Ready {
    pub(super) rule: Rule,
    pub(super) keys: KeyMaker,
    /// When the rule's provenance expires; `u64::MAX`: never.
    pub(super) expires: u64,
    pub(super) special: Special,
    /// The rule's own limit and those of its overrides, as written and as enforced now.
    written: Box<[Limit]>,
    enforced: Box<[Bound]>,
}

/// A limit under the current factor.
#[derive(Clone, Copy, Debug)]
struct Bound {
    kind: Kind,
    limit: u32,
    /// With this much left or less, a request was near the limit.
    near_left: u32,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Rate(Gcra),
    Concurrency,
    Quota { calendar: u8 },
}

/// What a key's limit says to one more request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// The key's state if the request is charged; `None`: refused.
    pub(super) charged: Option<Tat>,
    pub(super) retry_after: Nanos,
    pub(super) limit: u32,
    pub(super) remaining: u32,
    pub(super) reset: Nanos,
    pub(super) near: bool,
}

impl Ready {
    /// The rule was checked: its numbers are in bounds and its overrides of its kind.
    pub(super) fn new(rule: Rule) -> Ready {
        let keys = KeyMaker::new(&rule.name, &rule.key);
        let mut written = vec![rule.limit];
        let mut special = Special::with_room(rule.overrides.len() + rule.allowed.len());
        for values in &rule.allowed {
            special.insert(keys.tag_of(values), Special::ALLOWED);
        }
        for own in &rule.overrides {
            let at = written.iter().position(|limit| *limit == own.limit);
            let at = at.unwrap_or_else(|| {
                written.push(own.limit);
                written.len() - 1
            });
            special.insert(keys.tag_of(&own.values), at as u32);
        }
        let expires = rule
            .provenance
            .as_ref()
            .and_then(|provenance| provenance.expires);
        let near = rule.near_percent;
        let bound = |limit: &Limit| bound(limit, Factor::ONE, near);
        Ready {
            keys,
            expires: expires.map_or(u64::MAX, |expires| expires.0),
            special,
            enforced: written.iter().map(bound).collect(),
            written: written.into(),
            rule,
        }
    }

    /// Enforces that much of every limit from now on. Allocates nothing.
    pub(super) fn fit(&mut self, factor: Factor) {
        for (enforced, limit) in self.enforced.iter_mut().zip(&self.written) {
            *enforced = bound(limit, factor, self.rule.near_percent);
        }
    }

    #[inline(always)]
    pub(super) fn ask(&self, limit: u32, now: Nanos, state: Tat, days: &[Day]) -> Answer {
        let bound = &self.enforced[limit as usize];
        match &bound.kind {
            Kind::Rate(gcra) => bound.rate(gcra.ask(now, state)),
            Kind::Concurrency => bound.count(state.part, 1, Nanos(0), Nanos(CONCURRENCY_RETRY_NS)),
            Kind::Quota { calendar } => {
                let day = days[usize::from(*calendar)];
                let used = if state.ns > day.start.0 {
                    state.part
                } else {
                    0
                };
                let left = day.end.since(now);
                bound.count(used, day.end.0, left, left)
            }
        }
    }

    /// The same for a request of several hits; zero hits only look. Slots are not asked.
    pub(super) fn ask_for(
        &self,
        limit: u32,
        hits: u32,
        now: Nanos,
        state: Tat,
        days: &[Day],
    ) -> Answer {
        let bound = &self.enforced[limit as usize];
        match &bound.kind {
            Kind::Rate(gcra) => bound.rate_for(gcra, hits, now, state),
            Kind::Concurrency => bound.refusal(Nanos(CONCURRENCY_RETRY_NS), Nanos(0)),
            Kind::Quota { calendar } => {
                let day = days[usize::from(*calendar)];
                let is_today = state.ns > day.start.0;
                let used = if is_today { state.part } else { 0 };
                bound.quota(used, hits, now, day)
            }
        }
    }

    /// The same under a rate that came with the request.
    pub(super) fn ask_instead(&self, limit: &Limit, hits: u32, now: Nanos, state: Tat) -> Answer {
        let bound = bound(limit, Factor::ONE, self.rule.near_percent);
        match &bound.kind {
            Kind::Rate(gcra) => bound.rate_for(gcra, hits, now, state),
            Kind::Concurrency | Kind::Quota { .. } => bound.refusal(Nanos(0), Nanos(0)),
        }
    }

    /// A limit by its index, as it is written.
    pub(super) fn written(&self, limit: u32) -> Limit {
        self.written[limit as usize]
    }

    /// Before this instant in a key's state, the key is as good as new.
    #[inline]
    pub(super) fn fresh(&self, now: Nanos, days: &[Day]) -> u64 {
        match self.rule.limit {
            Limit::Rate { .. } => now.0,
            // A slot's instant is 1: a key that holds slots is never as good as new.
            Limit::Concurrency { .. } => 0,
            Limit::Quota { calendar, .. } => days[usize::from(calendar)].start.0.saturating_add(1),
        }
    }

    pub(super) fn holds_slots(&self) -> bool {
        matches!(self.rule.limit, Limit::Concurrency { .. })
    }

    #[inline]
    pub(super) fn enforces(&self, tag: u64) -> bool {
        let percent = self.rule.enforce_percent;
        self.rule.mode == Mode::Enforce && (percent >= 100 || super::key::falls_under(tag, percent))
    }

    /// The same counts under another rule set: name, key and kind are unchanged.
    pub(super) fn continues(&self, old: &Ready) -> bool {
        self.rule.name == old.rule.name
            && self.rule.key == old.rule.key
            && self.rule.limit.same_kind(&old.rule.limit)
    }

    pub(super) fn is_cluster_wide(&self) -> bool {
        self.rule.scope == Scope::Cluster
    }
}

impl Bound {
    #[inline]
    fn rate(&self, cell: Cell) -> Answer {
        match cell {
            Cell::Conforms {
                tat,
                remaining,
                reset,
            } => Answer {
                charged: Some(tat),
                retry_after: Nanos(0),
                limit: self.limit,
                remaining,
                reset,
                near: remaining <= self.near_left,
            },
            Cell::TooEarly { retry_after, reset } => self.refusal(retry_after, reset),
        }
    }

    /// Refused, several hits may leave something for fewer.
    fn rate_for(&self, gcra: &Gcra, hits: u32, now: Nanos, state: Tat) -> Answer {
        let mut answer = self.rate(gcra.ask_for(hits, now, state));
        if answer.charged.is_none()
            && let Cell::Conforms { remaining, .. } = gcra.ask_for(0, now, state)
        {
            answer.remaining = remaining;
        }
        answer
    }

    #[inline]
    fn count(&self, used: u32, until: u64, reset: Nanos, retry_after: Nanos) -> Answer {
        if used >= self.limit {
            return self.refusal(retry_after, reset);
        }
        let remaining = self.limit - used - 1;
        Answer {
            charged: Some(Tat {
                ns: until,
                part: used + 1,
            }),
            retry_after: Nanos(0),
            limit: self.limit,
            remaining,
            reset,
            near: remaining <= self.near_left,
        }
    }

    fn quota(&self, used: u32, hits: u32, now: Nanos, day: Day) -> Answer {
        let left = day.end.since(now);
        let free = self.limit.saturating_sub(used);
        if free < hits.max(1) {
            return Answer {
                remaining: free,
                ..self.refusal(left, left)
            };
        }
        let remaining = free - hits;
        Answer {
            charged: Some(Tat {
                ns: day.end.0,
                part: used + hits,
            }),
            retry_after: Nanos(0),
            limit: self.limit,
            remaining,
            reset: left,
            near: remaining <= self.near_left,
        }
    }

    #[inline]
    fn refusal(&self, retry_after: Nanos, reset: Nanos) -> Answer {
        Answer {
            charged: None,
            retry_after,
            limit: self.limit,
            remaining: 0,
            reset,
            near: true,
        }
    }
}

fn bound(limit: &Limit, factor: Factor, near_percent: u8) -> Bound {
    let (kind, limit) = match *limit {
        Limit::Rate {
            count,
            period,
            burst,
        } => {
            let gcra = Gcra::new(count, period, burst).expect("the set was checked");
            let gcra = gcra.times(factor);
            (Kind::Rate(gcra), gcra.burst())
        }
        Limit::Concurrency { at_once } => (Kind::Concurrency, factor.of(at_once)),
        Limit::Quota { per_day, calendar } => (Kind::Quota { calendar }, factor.of(per_day)),
    };
    let far = 100 - u64::from(near_percent.min(100));
    Bound {
        kind,
        limit,
        near_left: (u64::from(limit) * far / 100) as u32,
    }
}

/// Keys with a limit of their own, or with none: a table that is built once and only read.
#[derive(Debug)]
pub(super) struct Special {
    /// A power of two of them and at most half taken; none at all without special keys.
    slots: Box<[(u64, u32)]>,
}

impl Special {
    /// Instead of a limit's index: the rule does not apply to this key.
    pub(super) const ALLOWED: u32 = u32::MAX;

    fn with_room(keys: usize) -> Special {
        let slots = if keys == 0 {
            0
        } else {
            (keys * 2).next_power_of_two()
        };
        Special {
            slots: vec![(0, 0); slots].into(),
        }
    }

    fn insert(&mut self, tag: u64, limit: u32) {
        let mask = self.slots.len() - 1;
        let mut at = tag as usize & mask;
        while self.slots[at].0 != 0 && self.slots[at].0 != tag {
            at = (at + 1) & mask;
        }
        self.slots[at] = (tag, limit);
    }

    /// Zero, the rule's own limit, for a key that is not special.
    #[inline]
    pub(super) fn limit_of(&self, tag: u64) -> u32 {
        if self.slots.is_empty() {
            return 0;
        }
        let mask = self.slots.len() - 1;
        let mut at = tag as usize & mask;
        while self.slots[at].0 != 0 {
            if self.slots[at].0 == tag {
                return self.slots[at].1;
            }
            at = (at + 1) & mask;
        }
        0
    }
}
