//! What is gone, so that attempts end at the door. The engine feeds it; the engine stays exact, so
//! the filter may forget (an attempt more reaches the engine) but must never say "gone" of what is
//! free. Feeds may arrive late and out of order: a version number decides, and what was forgotten
//! leaves its version behind as a floor. It must not know of stock figures or orders.

use crate::facts::Value;
use crate::index::Index;
use crate::limits::{SOLD_OUT_SKUS_MAX, SOLD_OUT_SWEEP_SLOTS_MAX};

/// What became of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
    Taken,
    /// A newer state, or the floor of forgotten ones, stands above it.
    Older,
    /// No room, and nothing free to forget: this SKU passes, and the engine refuses it.
    Full,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoldOutCounts {
    pub taken: u64,
    pub older: u64,
    pub full: u64,
    /// Free SKUs forgotten to make room.
    pub forgotten: u64,
}

/// SKU → gone or free, bounded.
#[derive(Clone, Debug)]
pub struct SoldOut {
    /// `version * 2 + gone`.
    states: Index<u64>,
    /// Feeds up to this version are not believed about SKUs that are not in the table.
    floor: u64,
    hand: usize,
    counts: SoldOutCounts,
}

impl SoldOut {
    /// Room for `skus` SKUs, at most [`SOLD_OUT_SKUS_MAX`]; 24 to 48 bytes each.
    #[must_use]
    pub fn new(skus: usize) -> SoldOut {
        SoldOut {
            states: Index::new(skus.clamp(1, SOLD_OUT_SKUS_MAX)),
            floor: 0,
            hand: 0,
            counts: SoldOutCounts::default(),
        }
    }

    /// Whether attempts to buy this SKU may end here. A SKU never heard of is not gone.
    #[must_use]
    pub fn is_gone(&self, sku: Value) -> bool {
        self.states
            .get(sku.0.get())
            .is_some_and(|state| state & 1 == 1)
    }

    /// The state of a SKU after the entry `version`. Versions are one sequence for all SKUs (the
    /// journal's entry numbers, from 1); below 2^63.
    pub fn set(&mut self, sku: Value, free: bool, version: u64) -> Fed {
        let fed = self.put(sku.0.get(), free, version);
        match fed {
            Fed::Taken => self.counts.taken += 1,
            Fed::Older => self.counts.older += 1,
            Fed::Full => self.counts.full += 1,
        }
        fed
    }

    #[must_use]
    pub fn counts(&self) -> SoldOutCounts {
        self.counts
    }

    /// SKUs in the table, gone or known to be free.
    #[must_use]
    pub fn len(&self) -> usize {
        self.states.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn put(&mut self, key: u64, free: bool, version: u64) -> Fed {
        let state = version.saturating_mul(2) | u64::from(!free);
        match self.states.get(key) {
            Some(old) if version <= old >> 1 => return Fed::Older,
            None if version <= self.floor => return Fed::Older,
            _ => {}
        }
        if self.states.put(key, state) {
            return Fed::Taken;
        }
        if free {
            // It was not in the table, so it passes already; later feeds must be newer than this.
            self.floor = self.floor.max(version);
            self.counts.forgotten += 1;
            return Fed::Taken;
        }
        if self.forget_one() && version > self.floor && self.states.put(key, state) {
            return Fed::Taken;
        }
        // What we cannot store must not come back as something older either.
        self.floor = self.floor.max(version);
        Fed::Full
    }

    /// Forgets one SKU that is free, looking on from where it stopped last time.
    fn forget_one(&mut self) -> bool {
        let slots = self.states.slots();
        for _ in 0..SOLD_OUT_SWEEP_SLOTS_MAX.min(slots) {
            self.hand = (self.hand + 1) % slots;
            let free = self.states.at(self.hand).filter(|(_, s)| s & 1 == 0);
            if let Some((key, state)) = free {
                self.states.remove(key);
                self.floor = self.floor.max(state >> 1);
                self.counts.forgotten += 1;
                return true;
            }
        }
        false
    }
}
