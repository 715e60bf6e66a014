//! Where a buyer's seat is: open addressing over slots, at most two thirds full, of one size for
//! life, so that no arrival ever waits for a table to grow. The seats hold the ids; an entry holds
//! a slot and nine more bits of the id, so that a wrong seat is hardly ever looked at.
//!
//! Ids are outputs of a keyed hash (see [`super::Buyer`]): evenly spread, and nobody can aim.

use super::Buyer;
use super::seats::{Seats, Slot};
use crate::limits::ROOM_SEATS_MAX;

const SLOT_BITS: u32 = 23;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
const EMPTY: u32 = 0;
const _: () = assert!(
    ROOM_SEATS_MAX < SLOT_MASK,
    "a slot and one fit in the low bits"
);

#[derive(Clone, Debug)]
pub(super) struct Index {
    /// `tag << 23 | slot + 1`, or [`EMPTY`].
    entries: Vec<u32>,
}

impl Index {
    pub(super) fn new(seats_max: u32) -> Index {
        let len = (seats_max as usize).saturating_mul(3) / 2 + 2;
        Index {
            entries: vec![EMPTY; len],
        }
    }

    pub(super) fn find(&self, id: Buyer, seats: &Seats) -> Option<Slot> {
        let mut at = self.home(id);
        loop {
            let entry = self.entries[at];
            if entry == EMPTY {
                return None;
            }
            let slot = Slot((entry & SLOT_MASK) - 1);
            if entry >> SLOT_BITS == tag(id) && seats[slot].id == id {
                return Some(slot);
            }
            at = self.next(at);
        }
    }

    /// The id must not be there yet, and fewer than `seats_max` may be.
    pub(super) fn insert(&mut self, id: Buyer, slot: Slot) {
        let mut at = self.home(id);
        while self.entries[at] != EMPTY {
            at = self.next(at);
        }
        self.entries[at] = tag(id) << SLOT_BITS | (slot.0 + 1);
    }

    /// Takes an entry out and moves later ones of its run back, so that no mark stays behind.
    pub(super) fn remove(&mut self, slot: Slot, seats: &Seats) {
        let mut hole = self.home(seats[slot].id);
        while self.entries[hole] & SLOT_MASK != slot.0 + 1 {
            assert!(self.entries[hole] != EMPTY, "a seat is in the index");
            hole = self.next(hole);
        }
        let mut at = self.next(hole);
        while self.entries[at] != EMPTY {
            let other = Slot((self.entries[at] & SLOT_MASK) - 1);
            let home = self.home(seats[other].id);
            if self.distance(home, at) >= self.distance(hole, at) {
                self.entries[hole] = self.entries[at];
                hole = at;
            }
            at = self.next(at);
        }
        self.entries[hole] = EMPTY;
    }

    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<u32>()
    }

    fn home(&self, id: Buyer) -> usize {
        let spread = (id.0 >> 64) as u64;
        ((u128::from(spread) * self.entries.len() as u128) >> 64) as usize
    }

    fn next(&self, at: usize) -> usize {
        if at + 1 == self.entries.len() {
            0
        } else {
            at + 1
        }
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from {
            to - from
        } else {
            to + self.entries.len() - from
        }
    }
}

fn tag(id: Buyer) -> u32 {
    (id.0 as u32) >> SLOT_BITS
}
