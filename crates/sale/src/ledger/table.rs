//! Hash tables with linear probing, cut into many small ones: an entry that is looked for and then
//! put in costs one cache line, and growing moves a few thousand entries at a time. One big table
//! that doubles at ten million entries stalls an insert for over a second.
//! Never iterated where order matters.

const SHARD_BITS: u32 = 12;
/// Slots of a shard that has its first entry.
const SLOTS_FIRST: usize = 8;
/// Of memory, as processors fetch it.
const LINE_BYTES: usize = 64;

/// An entry that says itself whether it is one, and where it wants to be.
pub(super) trait Entry: Copy {
    const EMPTY: Self;
    fn is_empty(&self) -> bool;
    /// The low half of its hash: its place within a shard.
    fn home(&self) -> u32;
}

#[derive(Clone, Debug, Default)]
struct Shard<T> {
    slots: Box<[T]>,
    entries: usize,
}

impl<T: Entry> Shard<T> {
    /// The first slot to look at: a home is a fraction of the table, so that entries keep their
    /// order when it grows.
    #[inline]
    fn first(&self, home: u32) -> usize {
        ((u64::from(home) * self.slots.len() as u64) >> 32) as usize
    }
    #[inline]
    fn next(&self, index: usize) -> usize {
        if index + 1 == self.slots.len() {
            0
        } else {
            index + 1
        }
    }
    #[inline]
    fn find(&self, home: u32, mut eq: impl FnMut(&T) -> bool) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mut index = self.first(home);
        loop {
            let slot = &self.slots[index];
            if slot.is_empty() {
                return None;
            }
            if eq(slot) {
                return Some(index);
            }
            index = self.next(index);
        }
    }
    #[inline]
    fn insert(&mut self, entry: T) {
        // Full to three quarters at most, so that a search ends soon.
        if self.entries * 4 >= self.slots.len() * 3 {
            self.grow();
        }
        self.entries += 1;
        self.put(entry);
    }
    #[inline]
    fn put(&mut self, entry: T) {
        let mut index = self.first(entry.home());
        while !self.slots[index].is_empty() {
            index = self.next(index);
        }
        self.slots[index] = entry;
    }
    #[cold]
    fn grow(&mut self) {
        let slots = (self.slots.len() * 3 / 2).max(SLOTS_FIRST);
        let bare = vec![T::EMPTY; slots].into_boxed_slice();
        let old = std::mem::replace(&mut self.slots, bare);
        for entry in old.iter().filter(|entry| !entry.is_empty()) {
            self.put(*entry);
        }
    }
    /// Entries behind the gap move up if that brings them no further from where they want to be.
    fn remove(&mut self, index: usize) -> T {
        let removed = self.slots[index];
        let (mut gap, mut at) = (index, index);
        loop {
            at = self.next(at);
            let entry = self.slots[at];
            if entry.is_empty() {
                break;
            }
            let first = self.first(entry.home());
            let stays = if gap <= at {
                gap < first && first <= at
            } else {
                gap < first || first <= at
            };
            if !stays {
                self.slots[gap] = entry;
                gap = at;
            }
        }
        self.slots[gap] = T::EMPTY;
        self.entries -= 1;
        removed
    }
}

/// Entries are found by a hash that the caller computes and an equality that the caller knows.
#[derive(Clone, Debug)]
pub(super) struct Sharded<T> {
    shards: Vec<Shard<T>>,
}

impl<T: Entry> Sharded<T> {
    pub(super) fn new() -> Self {
        let shard = |_| Shard {
            slots: Box::default(),
            entries: 0,
        };
        Sharded {
            shards: (0..1 << SHARD_BITS).map(shard).collect(),
        }
    }
    #[inline]
    fn shard(hash: u64) -> usize {
        (hash >> (64 - SHARD_BITS)) as usize
    }
    #[inline]
    pub(super) fn find(&self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&T> {
        let shard = &self.shards[Self::shard(hash)];
        Some(&shard.slots[shard.find(hash as u32, eq)?])
    }
    /// Brings the place of a hash and what lies behind it near the processor; the number says
    /// nothing.
    #[inline]
    pub(super) fn touch(&self, hash: u64) -> usize {
        let shard = &self.shards[Self::shard(hash)];
        let first = shard.first(hash as u32);
        let line = const { LINE_BYTES.div_ceil(size_of::<T>()) };
        let slots = [first, first + line, first + 2 * line].map(|at| shard.slots.get(at));
        slots
            .iter()
            .flatten()
            .filter(|slot| slot.is_empty())
            .count()
    }
    #[inline]
    pub(super) fn find_mut(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&mut T> {
        let shard = &mut self.shards[Self::shard(hash)];
        let index = shard.find(hash as u32, eq)?;
        Some(&mut shard.slots[index])
    }
    /// The caller has made sure that no equal entry exists, and that `hash` ends with its home.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, entry: T) {
        debug_assert_eq!(hash as u32, entry.home(), "an entry knows its home");
        self.shards[Self::shard(hash)].insert(entry);
    }
    pub(super) fn remove(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<T> {
        let shard = &mut self.shards[Self::shard(hash)];
        let index = shard.find(hash as u32, eq)?;
        Some(shard.remove(index))
    }
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let slots = self.shards.iter().flat_map(|shard| shard.slots.iter());
        slots.filter(|slot| !slot.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The upper half is the value, the lower the home; 0 is empty.
    impl Entry for u64 {
        const EMPTY: u64 = 0;
        fn is_empty(&self) -> bool {
            *self == 0
        }
        fn home(&self) -> u32 {
            *self as u32
        }
    }

    /// Homes collide on purpose, at both ends of a shard, so that runs wrap around.
    #[test]
    fn agrees_with_a_set_under_collisions() {
        let mut table = Sharded::new();
        let mut model = BTreeSet::new();
        let mut state = 7_u64;
        for step in 0..60_000_u64 {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            let home = match state >> 62 {
                0 => u32::MAX - (state >> 40) as u32 % 5,
                1 => (state >> 40) as u32 % 5,
                _ => ((state >> 40) as u32 % 64) << 26,
            };
            let entry = ((state >> 33) % 64 + 1) << 32 | u64::from(home);
            let hash = u64::from(home);
            if model.remove(&entry) {
                assert_eq!(table.remove(hash, |e| *e == entry), Some(entry), "{step}");
            } else {
                assert!(table.find(hash, |e| *e == entry).is_none(), "{step}");
                table.insert(hash, entry);
                model.insert(entry);
            }
            if step % 997 == 0 {
                assert!(table.iter().copied().collect::<BTreeSet<_>>() == model);
                let found = |e: &&u64| table.find(**e & 0xFFFF_FFFF, |f| f == *e).is_some();
                assert_eq!(model.iter().filter(found).count(), model.len(), "{step}");
            }
        }
        assert!(model.len() > 100);
    }
}
