//! Which request ids are on their way to the journal: counted in a small table without locks.
//!
//! Whoever wants to refuse an order from the applied state first asks here: if the same id is in
//! flight, the order must queue behind it and get the same answer. Two ids may share a counter;
//! then an order queues that need not, which costs time and is never wrong.

use crate::limits::IN_FLIGHT_COUNTERS;
use sale::RequestId;
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Debug)]
pub struct InFlight {
    counters: Box<[AtomicU32]>,
}

impl InFlight {
    pub(crate) fn new() -> InFlight {
        InFlight {
            counters: (0..IN_FLIGHT_COUNTERS).map(|_| AtomicU32::new(0)).collect(),
        }
    }
    fn counter(&self, request: RequestId) -> &AtomicU32 {
        let folded = (request.0 as u64) ^ (request.0 >> 64) as u64;
        let spread = folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        &self.counters[spread as usize & (IN_FLIGHT_COUNTERS - 1)]
    }
    /// An id starts its way. Sequentially consistent, like all three: a thread that reads zero
    /// must see what was applied before the id left.
    pub(crate) fn enter(&self, request: RequestId) {
        self.counter(request).fetch_add(1, Ordering::SeqCst);
    }
    /// An id has arrived: its outcome is applied.
    pub(crate) fn leave(&self, request: RequestId) {
        self.counter(request).fetch_sub(1, Ordering::SeqCst);
    }
    /// How many ids in flight may be this one.
    pub fn count(&self, request: RequestId) -> u32 {
        self.counter(request).load(Ordering::SeqCst)
    }
}
