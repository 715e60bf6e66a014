//! Everybody the room knows, 32 bytes each, in one slab that is reserved at start. A seat says who,
//! which place, when last seen and where the person stands; order is [`super::line`]'s business.

use super::{Buyer, Place};
use crate::Nanos;
use std::ops::{Index, IndexMut};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(pub u32);

/// Time in units of 2^26 ns (67 ms): an instant in four bytes lasts nine years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(pub u32);

impl Tick {
    pub(super) fn of(now: Nanos) -> Tick {
        Tick(u32::try_from(now.0 >> 26).unwrap_or(u32::MAX))
    }
    /// Whether more than `span` has passed at `now`.
    pub(super) fn older(self, span: Nanos, now: Tick) -> bool {
        now.0.saturating_sub(self.0) > Tick::of(span).0
    }
}

/// Where a person stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody's; `place` links to the next free seat.
    Free,
    /// In line.
    Waiting,
    /// Not seen for a while and out of the line, the turn not yet come. Back as soon as seen.
    Away,
    /// Not there when the turn came; `seen` is when that was. May come back for a while.
    Missed,
    /// Let in, but does not know yet.
    Called,
    /// Inside.
    Inside,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub id: Buyer,
    pub place: Place,
    pub seen: Tick,
    pub state: State,
}
const _: () = assert!(size_of::<Seat>() == 32);

impl Seat {
    pub(super) fn is_forgettable(&self, grace: Nanos, now: Tick) -> bool {
        !self.place.is_drawn() && self.seen.older(grace, now)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Seats {
    seats: Vec<Seat>,
    max: u32,
    /// First free seat, linked through `place`.
    free: Option<Slot>,
}

const END: u64 = u64::MAX;

impl Seats {
    pub(super) fn new(max: u32) -> Seats {
        Seats {
            seats: Vec::with_capacity(max as usize),
            max,
            free: None,
        }
    }

    /// `None`: all are taken.
    pub(super) fn take(&mut self, seat: Seat) -> Option<Slot> {
        if let Some(slot) = self.free {
            let next = self[slot].place.0;
            self.free = (next != END).then_some(Slot(next as u32));
            self[slot] = seat;
            return Some(slot);
        }
        let slot = Slot(u32::try_from(self.seats.len()).ok()?);
        if slot.0 >= self.max {
            return None;
        }
        self.seats.push(seat);
        Some(slot)
    }

    pub(super) fn is_full(&self) -> bool {
        self.free.is_none() && self.extent() >= self.max
    }

    pub(super) fn free(&mut self, slot: Slot) {
        let next = self.free.map_or(END, |slot| u64::from(slot.0));
        self[slot].state = State::Free;
        self[slot].place = Place(next);
        self.free = Some(slot);
    }

    /// Seats ever taken, free ones among them: what a sweep has to look at.
    pub(super) fn extent(&self) -> u32 {
        self.seats.len() as u32
    }

    pub(super) fn bytes(&self) -> usize {
        self.seats.capacity() * size_of::<Seat>()
    }
}

impl Index<Slot> for Seats {
    type Output = Seat;
    fn index(&self, slot: Slot) -> &Seat {
        &self.seats[slot.0 as usize]
    }
}
impl IndexMut<Slot> for Seats {
    fn index_mut(&mut self, slot: Slot) -> &mut Seat {
        &mut self.seats[slot.0 as usize]
    }
}
