//! Brings requests into the order of their instants, within a bounded window: logs are written when
//! a request ends, and by several threads. Of equal instants the one first in the file comes first.
//! It must not know what an instant is used for.

use crate::limits::{REORDER_BYTES_MAX, REORDER_REQUESTS};
use crate::seen::Seen;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Requests by their instants. One that comes so late that later ones have been given away has the
/// instant of the last one given; [`Ordered::late`] counts them.
#[derive(Debug)]
pub struct Ordered<I> {
    from: Option<I>,
    held: BinaryHeap<Reverse<Held>>,
    held_bytes: usize,
    number: u64,
    last_us: u64,
    late: u64,
    whole_seconds: bool,
}

#[derive(Debug)]
struct Held {
    number: u64,
    seen: Seen,
}

impl Ord for Held {
    fn cmp(&self, other: &Held) -> Ordering {
        (self.seen.at_us, self.number).cmp(&(other.seen.at_us, other.number))
    }
}
impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Held) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Held {
    fn eq(&self, other: &Held) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Held {}

/// The same requests by their instants.
pub fn in_order<I: Iterator<Item = Seen>>(from: I) -> Ordered<I> {
    Ordered {
        from: Some(from),
        held: BinaryHeap::new(),
        held_bytes: 0,
        number: 0,
        last_us: 0,
        late: 0,
        whole_seconds: true,
    }
}

impl<I: Iterator<Item = Seen>> Ordered<I> {
    /// Requests that came too late for their place.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Nothing read so far had a fraction of a second.
    pub(crate) fn all_whole_seconds(&self) -> bool {
        self.whole_seconds
    }

    /// The instant of the next one.
    pub(crate) fn peek_us(&mut self) -> Option<u64> {
        self.fill();
        self.held
            .peek()
            .map(|Reverse(held)| held.seen.at_us.max(self.last_us))
    }

    fn fill(&mut self) {
        while self.held.len() < REORDER_REQUESTS && self.held_bytes < REORDER_BYTES_MAX {
            let Some(seen) = self.from.as_mut().and_then(Iterator::next) else {
                self.from = None;
                return;
            };
            self.whole_seconds &= seen.at_us.is_multiple_of(1_000_000);
            self.held_bytes += seen.weight();
            self.held.push(Reverse(Held {
                number: self.number,
                seen,
            }));
            self.number += 1;
        }
    }
}

impl<I: Iterator<Item = Seen>> Iterator for Ordered<I> {
    type Item = Seen;

    fn next(&mut self) -> Option<Seen> {
        self.fill();
        let Reverse(Held { mut seen, .. }) = self.held.pop()?;
        self.held_bytes = self.held_bytes.saturating_sub(seen.weight());
        if seen.at_us < self.last_us {
            self.late += 1;
            seen.at_us = self.last_us;
        }
        self.last_us = seen.at_us;
        Some(seen)
    }
}
