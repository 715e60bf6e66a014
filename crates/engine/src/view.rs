//! What everybody may look at while the sequencer works: the applied ledger, the ids in flight, how
//! far the journal is durable. Applied state is always durable, so whatever is read here survives.

use crate::in_flight::InFlight;
use crate::limits;
use sale::{At, Ledger, Outcome, Place, Seq};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

#[derive(Debug)]
pub struct View {
    ledger: RwLock<Ledger>,
    pub(crate) in_flight: InFlight,
    applied: AtomicU64,
    durable: AtomicU64,
    storage_low: AtomicBool,
    marks: Mutex<VecDeque<(Seq, u64)>>,
}

impl View {
    pub(crate) fn new(ledger: Ledger) -> View {
        let seq = ledger.seq().0;
        View {
            ledger: RwLock::new(ledger),
            in_flight: InFlight::new(),
            applied: AtomicU64::new(seq),
            durable: AtomicU64::new(seq),
            storage_low: AtomicBool::new(false),
            marks: Mutex::new(VecDeque::new()),
        }
    }

    /// The applied ledger. Hold it briefly: the sale waits.
    pub fn ledger(&self) -> RwLockReadGuard<'_, Ledger> {
        // A writer that panics ends the process, so a poisoned lock is never seen in practice.
        self.ledger.read().unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn ledger_mut(&self) -> RwLockWriteGuard<'_, Ledger> {
        self.ledger.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to an order that would change nothing, if it can be given at once: the state is
    /// free to be read and no order in flight may have the same request id. `None` says nothing:
    /// the order must queue.
    pub fn refuse_now(&self, place: &Place, now: At) -> Option<Outcome> {
        self.refuse_unless_in_flight(place, now, 0)
    }

    /// `own` is how often the caller itself has entered this id.
    pub(crate) fn refuse_unless_in_flight(
        &self,
        place: &Place,
        now: At,
        own: u32,
    ) -> Option<Outcome> {
        if self.in_flight.count(place.request) > own {
            return None;
        }
        let ledger = self.ledger.try_read().ok()?;
        let now = now.max(ledger.at());
        ledger.refusal(place, now)
    }

    /// The answer to an order that sold out, opened or closed against its buyer while it queued.
    /// All other refusals are found when it is applied: whoever took it in has looked for them.
    pub(crate) fn refuse_queued(&self, place: &Place, now: At) -> Option<Outcome> {
        {
            let ledger = self.ledger.try_read().ok()?;
            if !ledger.cannot_sell(place, now.max(ledger.at())) {
                return None;
            }
        }
        self.refuse_unless_in_flight(place, now, 1)
    }

    /// The number of the last entry applied.
    pub fn applied(&self) -> Seq {
        Seq(self.applied.load(Ordering::Acquire))
    }
    /// The number of the last entry known to be on disk.
    pub fn durable(&self) -> Seq {
        Seq(self.durable.load(Ordering::Acquire))
    }
    /// New orders are turned away because the disk is nearly full.
    pub fn storage_low(&self) -> bool {
        self.storage_low.load(Ordering::Relaxed)
    }
    pub(crate) fn set_durable(&self, seq: u64) {
        self.durable.store(seq, Ordering::Release);
    }
    pub(crate) fn set_applied(&self, seq: Seq) {
        self.applied.store(seq.0, Ordering::Release);
    }
    pub(crate) fn set_storage_low(&self, low: bool) {
        self.storage_low.store(low, Ordering::Relaxed);
    }

    /// Publishes the digest of the state after `seq`, for followers to compare theirs with.
    pub(crate) fn mark(&self, seq: Seq, digest: u64) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if marks.len() == limits::MARKS_MAX {
            marks.pop_front();
        }
        marks.push_back((seq, digest));
    }
    /// The digest published for `seq`, if one was.
    pub fn marked(&self, seq: Seq) -> Option<u64> {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks
            .iter()
            .find(|(marked, _)| *marked == seq)
            .map(|(_, digest)| *digest)
    }
}
