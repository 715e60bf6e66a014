//! Rules as they are written: what a limit applies to, by what key, how much, and how strictly.
//! Plain values; `RuleSet::new` checks them whole, and `Limits` asks them.

mod ask;
mod check;
mod key;
mod ready;
mod verdict;

pub use ask::{Description, Limits, Retired, RuleStatus, Told};
pub use check::{RuleProblem, RuleSet};
pub use key::PartValue;
pub use verdict::{Counters, Headroom, Permit, Refusal, RuleId, Verdict};

use crate::facts::{Channel, Class, Method, Part, RouteId};
use crate::limits::KEYS_PER_RULE_DEFAULT;
use crate::time::Nanos;

/// One limit. Everything but name and limit has a plain default.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub name: String,
    pub matcher: Matcher,
    pub key: Key,
    pub limit: Limit,
    pub scope: Scope,
    pub mode: Mode,
    /// Of a hundred keys, so many are held to the rule; the others are only watched. A key is
    /// always on the same side, and stays in when the percentage grows.
    pub enforce_percent: u8,
    /// From this use of the limit on, in percent, an allowed request counts as near it.
    pub near_percent: u8,
    pub overrides: Vec<Override>,
    /// Key values the rule does not apply to.
    pub allowed: Vec<Vec<PartValue>>,
    pub provenance: Option<Provenance>,
    pub keys_max: usize,
}

/// Which requests a rule is about. An empty list means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher {
    pub routes: Vec<RouteId>,
    pub methods: Vec<Method>,
    pub channels: Vec<Channel>,
    pub classes: Vec<Class>,
}

/// What is counted apart. No parts: everything together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key {
    pub parts: Vec<Part>,
    pub missing: Missing,
}

/// What to do with a request that lacks a part of the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// The rule does not apply.
    #[default]
    Skip,
    /// All such requests share the value "anonymous" for that part.
    Shared,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `count` a `period`, up to `burst` at once.
    Rate {
        count: u32,
        period: Nanos,
        burst: u32,
    },
    /// So many at the same time.
    Concurrency { at_once: u32 },
    /// So many a calendar day, of the calendar that the shell keeps under this number.
    Quota { per_day: u32, calendar: u8 },
}

/// A calendar day as process time: from midnight to midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    pub start: Nanos,
    pub end: Nanos,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Each instance lets this much through.
    #[default]
    Instance,
    /// All instances together; this one lets its share through.
    Cluster,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Enforce,
    /// Keeps its books and counts whom it would refuse, and refuses nobody.
    Shadow,
}

/// Another limit of the same kind for one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// One value for each part of the rule's key.
    pub values: Vec<PartValue>,
    pub limit: Limit,
}

/// Where a limit's number comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The load test that measured it.
    pub run: String,
    /// The build that was measured.
    pub build: String,
    /// What was measured, times this, is the limit; in thousandths.
    pub safety_permille: u32,
    /// When it was measured, in milliseconds since 1970.
    pub measured_ms: u64,
    /// From then on the number is not trusted: the rule is stale and becomes adaptive.
    pub expires: Option<Nanos>,
}

impl Rule {
    #[must_use]
    pub fn new(name: impl Into<String>, limit: Limit) -> Rule {
        Rule {
            name: name.into(),
            matcher: Matcher::default(),
            key: Key::default(),
            limit,
            scope: Scope::Instance,
            mode: Mode::Enforce,
            enforce_percent: 100,
            near_percent: 80,
            overrides: Vec::new(),
            allowed: Vec::new(),
            provenance: None,
            keys_max: KEYS_PER_RULE_DEFAULT,
        }
    }

    /// Counted apart by these parts.
    #[must_use]
    pub fn keyed(mut self, parts: &[Part]) -> Rule {
        self.key.parts = parts.to_vec();
        self
    }
}

impl Limit {
    fn same_kind(&self, other: &Limit) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// A rate per second, with a second's worth at once.
    #[must_use]
    pub fn per_second(count: u32) -> Limit {
        Limit::Rate {
            count,
            period: Nanos::from_secs(1),
            burst: count,
        }
    }
}
