//! A hash table cut into many small ones, so that growing moves a few thousand entries at a time.
//! One big table that doubles at ten million entries stalls an insert for over a second.
//! Never iterated where order matters.

use hashbrown::HashTable;

const SHARD_BITS: u32 = 12;
const SHARD_SHIFT: u32 = 57 - SHARD_BITS;
/// The bits of a hash that choose the shard: between the low ones and the top seven, which
/// hashbrown uses. All entries of a shard share them, so laying it out anew may leave them out.
pub(super) const SHARD_MASK: u64 = ((1 << SHARD_BITS) - 1) << SHARD_SHIFT;

/// Entries are found by a hash that the caller computes and an equality that the caller knows.
#[derive(Clone, Debug)]
pub(super) struct Sharded<T> {
    shards: Vec<HashTable<T>>,
}

impl<T> Sharded<T> {
    pub(super) fn new() -> Self {
        Sharded {
            shards: (0..1 << SHARD_BITS).map(|_| HashTable::new()).collect(),
        }
    }
    #[inline]
    fn shard(hash: u64) -> usize {
        ((hash & SHARD_MASK) >> SHARD_SHIFT) as usize
    }
    #[inline]
    pub(super) fn find(&self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&T> {
        self.shards[Self::shard(hash)].find(hash, eq)
    }
    /// Brings the place of a hash near the processor; says only whether something was there.
    #[inline]
    pub(super) fn touch(&self, hash: u64) -> bool {
        self.shards[Self::shard(hash)]
            .find(hash, |_| true)
            .is_some()
    }
    #[inline]
    pub(super) fn find_mut(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&mut T> {
        self.shards[Self::shard(hash)].find_mut(hash, eq)
    }
    /// The caller has made sure that no equal entry exists.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, value: T, rehash: impl Fn(&T) -> u64) {
        self.shards[Self::shard(hash)].insert_unique(hash, value, rehash);
    }
    #[inline]
    pub(super) fn remove(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<T> {
        Some(
            self.shards[Self::shard(hash)]
                .find_entry(hash, eq)
                .ok()?
                .remove()
                .0,
        )
    }
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.shards.iter().flat_map(HashTable::iter)
    }
}
