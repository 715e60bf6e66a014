//! What a request holds at the door, given back when its work ends, however it ends.

use super::Door;
use super::books::Taken;
use guard::{Ended, Nanos};
use std::cell::Cell;
use std::sync::Arc;

/// Dropped with the last byte of the answer, or when the client goes away.
pub(super) struct Held {
    door: Arc<Door>,
    taken: Cell<Taken>,
    began: Nanos,
    /// When the head of the answer was there, and how it ended.
    told: Cell<Option<(Nanos, Ended)>>,
}

impl Held {
    pub fn new(door: Arc<Door>, taken: Taken, began: Nanos) -> Held {
        Held {
            door,
            taken: Cell::new(taken),
            began,
            told: Cell::new(None),
        }
    }

    /// The head of the answer is there, or there will be none.
    pub fn tell(&self, ended: Ended) {
        self.told.set(Some((self.door.clocks.now(), ended)));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let now = self.door.clocks.now();
        let (at, ended) = self.told.get().unwrap_or((now, Ended::Dropped));
        let latency = at.since(self.began);
        let taken = self.taken.take();
        self.door.books().give_back(taken, now, latency, ended);
    }
}
