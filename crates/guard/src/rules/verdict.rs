//! What comes out of asking: plain values, nothing allocated.

use crate::limits::PERMIT_SLOTS_MAX;
use crate::time::Nanos;

/// A rule by its place in the running set, narrow rules first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub u16);

#[derive(Debug)]
pub enum Verdict {
    /// Everything was charged. The permit goes back with `Limits::release` when the work ends.
    Allowed {
        permit: Permit,
        /// Of the enforced rules that were asked, the one with the least left.
        tightest: Option<Headroom>,
    },
    /// Nothing was charged.
    Refused(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Of the enforced rules that refuse, the one with the longest wait.
    pub rule: RuleId,
    pub retry_after: Nanos,
    pub headroom: Headroom,
}

/// What a `RateLimit` header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headroom {
    pub rule: RuleId,
    /// At once, at the same time, or a day, by the kind of the limit.
    pub limit: u32,
    pub remaining: u32,
    /// Until the whole limit is free again; of concurrency, zero.
    pub reset: Nanos,
}

/// Concurrency slots that travel with a request. Whoever drops it keeps them taken for ever.
#[must_use = "give it back with `Limits::release`"]
#[derive(Debug, Default)]
pub struct Permit {
    slots: [Slot; PERMIT_SLOTS_MAX],
    len: u8,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    /// Where the rule stood when the slot was taken, and its own number, which a swap keeps.
    pub(super) rule: u32,
    pub(super) serial: u32,
    pub(super) tag: u64,
}

/// What a rule has done since it came into the running set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests that the rule was asked about, whatever came of it: its demand.
    pub asked: u64,
    /// Requests it agreed to and that went on.
    pub allowed: u64,
    /// Requests that were refused in its name.
    pub refused: u64,
    /// Requests that went on and that it would have refused, in shadow or outside its percentage.
    pub shadow_refused: u64,
    /// Allowed requests that left the key near its limit.
    pub near_limit: u64,
    /// Requests asked about while the rule was stale.
    pub stale: u64,
}

impl Permit {
    pub(super) const NONE: Permit = Permit {
        slots: [Slot {
            rule: 0,
            serial: 0,
            tag: 0,
        }; PERMIT_SLOTS_MAX],
        len: 0,
    };

    /// Nothing to give back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A set has no route with more such rules than a permit has slots.
    pub(super) fn push(&mut self, slot: Slot) {
        self.slots[usize::from(self.len)] = slot;
        self.len += 1;
    }

    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots[..usize::from(self.len)]
    }
}
