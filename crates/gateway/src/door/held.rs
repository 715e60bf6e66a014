//! What a request holds at the door, given back when its work ends, however it ends.

use super::Door;
use super::books::Taken;
use guard::{Ended, Nanos};
use std::cell::Cell;
use std::sync::Arc;

/// Given back with [`Held::end`], or dropped with the last byte of a relayed answer, or when the
/// client goes away.
pub(super) struct Held {
    door: Arc<Door>,
    /// Nothing, for most: then giving back takes no lock.
    taken: Option<Box<Taken>>,
    began: Nanos,
    /// When the head of the answer was there, and how it ended.
    told: Cell<Option<(Nanos, Ended)>>,
    over: bool,
}

impl Held {
    pub fn new(door: Arc<Door>, taken: Taken, began: Nanos) -> Held {
        Held {
            door,
            taken: taken.boxed(),
            began,
            told: Cell::new(None),
            over: false,
        }
    }

    /// The head of the answer is there, or there will be none.
    pub fn tell(&self, ended: Ended) {
        self.told.set(Some((self.door.clocks.now(), ended)));
    }

    /// The whole of it is done now.
    pub fn end(mut self, ended: Ended) {
        let now = self.door.clocks.now();
        self.give_back(now, now, ended);
    }

    fn give_back(&mut self, at: Nanos, now: Nanos, ended: Ended) {
        self.over = true;
        let latency = at.since(self.began);
        self.door.counts.ended(latency, ended);
        if let Some(taken) = self.taken.take() {
            self.door.books().give_back(*taken, now, latency, ended);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let now = self.door.clocks.now();
        let (at, ended) = self.told.get().unwrap_or((now, Ended::Dropped));
        self.give_back(at, now, ended);
    }
}
