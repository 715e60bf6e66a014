//! Leases: how long a fault may stay without hearing from whoever wanted it.
//!
//! Pure: time comes in. What ends with a lease is the registry's business.

use crate::limits::{LEASE_MS_MAX, LEASE_MS_MIN, LEASES_MAX};
use crate::refusal::Refusal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What a caller wants of a fault's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Nothing said.
    None,
    /// A lease for this fault alone.
    Own { ms: u64 },
    /// One that exists.
    Join(u64),
}

#[derive(Debug)]
struct Lease {
    ms: u64,
    until: Instant,
    /// Ends when its fault is taken away; others live without faults, too.
    own: bool,
}

#[derive(Debug, Default)]
pub struct Leases {
    all: BTreeMap<u64, Lease>,
    last: u64,
    /// Every fault needs a lease of at most so many milliseconds.
    mandatory_ms: Option<u64>,
}

impl Leases {
    #[must_use]
    pub fn new(mandatory_ms: Option<u64>) -> Leases {
        Leases {
            mandatory_ms,
            ..Leases::default()
        }
    }

    /// The lease of a new fault; `None` if it needs none and wants none.
    pub fn take(&mut self, wish: Wish, now: Instant) -> Result<Option<u64>, Refusal> {
        match (wish, self.mandatory_ms) {
            (Wish::None, None) => Ok(None),
            (Wish::None, Some(ms)) | (Wish::Own { ms }, _) => self.add(ms, true, now).map(Some),
            (Wish::Join(id), _) if self.all.contains_key(&id) => Ok(Some(id)),
            (Wish::Join(_), _) => Err(Refusal::LeaseNotFound),
        }
    }

    /// A lease for several faults.
    pub fn create(&mut self, ms: Option<u64>, now: Instant) -> Result<u64, Refusal> {
        match ms.or(self.mandatory_ms) {
            Some(ms) => self.add(ms, false, now),
            None => Err(Refusal::Missing("ms".into())),
        }
    }

    fn add(&mut self, ms: u64, own: bool, now: Instant) -> Result<u64, Refusal> {
        let until = self.until(ms, now)?;
        if self.all.len() >= LEASES_MAX {
            return Err(Refusal::TooMany("leases"));
        }
        self.last += 1;
        self.all.insert(self.last, Lease { ms, until, own });
        Ok(self.last)
    }

    fn until(&self, ms: u64, now: Instant) -> Result<Instant, Refusal> {
        let max = self.mandatory_ms.unwrap_or(LEASE_MS_MAX);
        if !(LEASE_MS_MIN..=max).contains(&ms) {
            let what = format!("expected {LEASE_MS_MIN} to {max} milliseconds, found {ms}");
            return Err(Refusal::Lease(what));
        }
        Ok(now + Duration::from_millis(ms))
    }

    /// From now on as long as before, or `ms`.
    pub fn renew(&mut self, id: u64, ms: Option<u64>, now: Instant) -> Result<(), Refusal> {
        let held = self.all.get(&id).ok_or(Refusal::LeaseNotFound)?;
        let ms = ms.unwrap_or(held.ms);
        let until = self.until(ms, now)?;
        if let Some(lease) = self.all.get_mut(&id) {
            (lease.ms, lease.until) = (ms, until);
        }
        Ok(())
    }

    pub fn renew_all(&mut self, now: Instant) {
        for lease in self.all.values_mut() {
            lease.until = now + Duration::from_millis(lease.ms);
        }
    }

    pub fn end(&mut self, id: u64) -> Result<(), Refusal> {
        self.all.remove(&id).map(drop).ok_or(Refusal::LeaseNotFound)
    }

    /// One whose time is over, if there is one; it stays until it is ended.
    #[must_use]
    pub fn over(&self, now: Instant) -> Option<u64> {
        let over = self.all.iter().find(|(_, lease)| lease.until <= now);
        over.map(|(id, _)| *id)
    }

    #[must_use]
    pub fn next_end(&self) -> Option<Instant> {
        self.all.values().map(|lease| lease.until).min()
    }

    /// Its end could not be performed: again a moment later.
    pub fn postpone(&mut self, id: u64, until: Instant) {
        if let Some(lease) = self.all.get_mut(&id) {
            lease.until = until;
        }
    }

    /// Forgets leases of single faults that are gone.
    pub fn keep(&mut self, used: impl Fn(u64) -> bool) {
        self.all.retain(|id, lease| !lease.own || used(*id));
    }

    #[must_use]
    pub fn json(&self, now: Instant) -> Value {
        let shown = self.all.keys().filter_map(|id| self.one(*id, now).ok());
        shown.collect()
    }

    pub fn one(&self, id: u64, now: Instant) -> Result<Value, Refusal> {
        let lease = self.all.get(&id).ok_or(Refusal::LeaseNotFound)?;
        let left = lease.until.saturating_duration_since(now).as_millis() as u64;
        Ok(json!({"id": id, "ms": lease.ms, "left_ms": left}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_unless_renewed() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut leases = Leases::new(None);
        assert_eq!(leases.take(Wish::None, start), Ok(None));
        let id = leases.take(Wish::Own { ms: 500 }, start).unwrap().unwrap();
        assert_eq!(leases.take(Wish::Join(id), start), Ok(Some(id)));
        assert_eq!(
            (leases.over(at(499)), leases.over(at(500))),
            (None, Some(id))
        );
        leases.renew(id, None, at(400)).unwrap();
        assert_eq!(
            (leases.over(at(899)), leases.over(at(900))),
            (None, Some(id))
        );
        assert_eq!(leases.one(id, at(400)).unwrap()["left_ms"], 500);
        leases.renew(id, Some(1_000), at(400)).unwrap();
        assert_eq!(leases.next_end(), Some(at(1_400)));
        leases.keep(|_| false);
        assert_eq!(leases.renew(id, None, start), Err(Refusal::LeaseNotFound));
        assert_eq!(
            leases.take(Wish::Join(id), start),
            Err(Refusal::LeaseNotFound)
        );
    }

    #[test]
    fn a_mandatory_lease_is_given_and_is_the_longest() {
        let now = Instant::now();
        let mut leases = Leases::new(Some(1_000));
        let id = leases.take(Wish::None, now).unwrap().unwrap();
        assert_eq!(leases.one(id, now).unwrap()["ms"], 1_000);
        let refused = leases.take(Wish::Own { ms: 1_001 }, now).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "lease: expected 100 to 1000 milliseconds, found 1001"
        );
        assert!(leases.renew(id, Some(2_000), now).is_err());
        let shared = leases.create(None, now).unwrap();
        leases.keep(|_| false);
        assert!(leases.one(shared, now).is_ok() && leases.one(id, now).is_err());
        assert!(Leases::new(None).create(None, now).is_err());
    }

    #[test]
    fn leases_are_bounded() {
        let now = Instant::now();
        let mut leases = Leases::new(None);
        let most = (0..)
            .take_while(|_| leases.create(Some(100), now).is_ok())
            .count();
        assert_eq!(most, LEASES_MAX);
    }
}
