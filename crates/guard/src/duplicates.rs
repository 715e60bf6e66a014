//! The same intention sent twice: while the first is under way, a second with the same key ends at
//! the door. Only a filter: the engine behind remembers for ever and stays exact, so a full table
//! lets through. Keys wait in the order they came, so expired ones are always at the front, and a
//! place is found or freed in constant time. It must not know what the request does.

use crate::facts::Value;
use crate::index::Index;
use crate::limits::{DUPLICATES_KEYS_MAX, DUPLICATES_LIFE_MS_MAX, DUPLICATES_LIFE_MS_MIN};
use crate::time::Nanos;

/// No place.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Nobody else has this key under way; give the ticket back with [`Duplicates::end`].
    First(DuplicateTicket),
    /// Sent before and not answered yet.
    InFlight { since: Nanos },
    /// No room: let it through, the engine decides.
    Uncounted,
}

/// One key under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DuplicateTicket {
    place: u32,
    /// A place is used again; a late ticket must not end its successor.
    serial: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DuplicateCounts {
    pub first: u64,
    pub in_flight: u64,
    pub uncounted: u64,
    /// Tickets that never came back.
    pub expired: u64,
}

#[derive(Clone, Debug)]
pub struct Duplicates {
    index: Index<u32>,
    places: Vec<Place>,
    /// The oldest and the youngest key under way, and the first unused place.
    head: u32,
    tail: u32,
    unused: u32,
    serial: u64,
    life: Nanos,
    counts: DuplicateCounts,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    key: u64,
    since: Nanos,
    /// Zero while unused.
    serial: u64,
    before: u32,
    after: u32,
}

impl Duplicates {
    /// Room for `keys` keys under way. A key is forgotten `life` after it began: choose it longer
    /// than the longest a request may take.
    #[must_use]
    pub fn new(keys: usize, life: Nanos) -> Duplicates {
        let keys = keys.clamp(1, DUPLICATES_KEYS_MAX);
        let unused = |place: u32| Place {
            key: 0,
            since: Nanos(0),
            serial: 0,
            before: NONE,
            after: place + 1,
        };
        let mut places: Vec<Place> = (0..keys as u32).map(unused).collect();
        places[keys - 1].after = NONE;
        let least = Nanos::from_millis(DUPLICATES_LIFE_MS_MIN);
        Duplicates {
            index: Index::new(keys),
            places,
            head: NONE,
            tail: NONE,
            unused: 0,
            serial: 0,
            life: life.clamp(least, Nanos::from_millis(DUPLICATES_LIFE_MS_MAX)),
            counts: DuplicateCounts::default(),
        }
    }

    pub fn begin(&mut self, key: Value, now: Nanos) -> Begun {
        self.expire(now);
        let key = key.0.get();
        if let Some(place) = self.index.get(key) {
            let since = self.places[place as usize].since;
            if now.since(since) < self.life {
                self.counts.in_flight += 1;
                return Begun::InFlight { since };
            }
            self.counts.expired += 1;
            self.free(place);
        }
        let place = self.unused;
        if place == NONE {
            self.counts.uncounted += 1;
            return Begun::Uncounted;
        }
        self.unused = self.places[place as usize].after;
        self.serial += 1;
        self.places[place as usize] = Place {
            key,
            since: now,
            serial: self.serial,
            before: self.tail,
            after: NONE,
        };
        match self.tail {
            NONE => self.head = place,
            tail => self.places[tail as usize].after = place,
        }
        self.tail = place;
        let stored = self.index.put(key, place);
        assert!(stored, "a free place means room in the index");
        self.counts.first += 1;
        Begun::First(DuplicateTicket {
            place,
            serial: self.serial,
        })
    }

    /// The request has its answer. A ticket that expired meanwhile changes nothing.
    pub fn end(&mut self, ticket: DuplicateTicket) {
        let place = self.places.get(ticket.place as usize);
        if place.is_some_and(|place| place.serial == ticket.serial) {
            self.free(ticket.place);
        }
    }

    /// Keys under way, those included that have expired since the last [`begin`](Self::begin).
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[must_use]
    pub fn counts(&self) -> DuplicateCounts {
        self.counts
    }

    /// At most two a call: one more than a call adds, so expired ones never pile up for long, and
    /// no single request pays for all of them.
    fn expire(&mut self, now: Nanos) {
        for _ in 0..2 {
            let head = self.head;
            if head == NONE || now.since(self.places[head as usize].since) < self.life {
                return;
            }
            self.counts.expired += 1;
            self.free(head);
        }
    }

    fn free(&mut self, at: u32) {
        let place = self.places[at as usize];
        self.index.remove(place.key);
        match place.before {
            NONE => self.head = place.after,
            before => self.places[before as usize].after = place.after,
        }
        match place.after {
            NONE => self.tail = place.before,
            after => self.places[after as usize].before = place.before,
        }
        self.places[at as usize] = Place {
            key: 0,
            since: Nanos(0),
            serial: 0,
            before: NONE,
            after: self.unused,
        };
        self.unused = at;
    }
}
