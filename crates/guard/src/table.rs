//! What a rule remembers of its keys: a bounded hash table from a 64-bit keyed hash to 12 bytes.
//!
//! At a million keys a decision costs what its cache misses cost. So a bucket of three entries is
//! one cache line, and the bucket a hash leads to is nearly always the only one read. The table is
//! cut into shards that grow alone, a quarter at a time: no insert ever waits for the whole.
//!
//! The table does not know what it keeps. An entry is an instant and a number; whoever asks says
//! before which instant an entry is as good as none. Two keys with the same 64 bits would share an
//! entry: at four million keys the odds that any two do are one in two million.

use crate::gcra::Tat;
use crate::limits::{EVICTION_BUCKETS, KEYS_PER_SHARD};

const SLOTS: usize = 3;

/// One cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Bucket {
    /// Zero: free.
    tags: [u64; SLOTS],
    times: [u64; SLOTS],
    parts: [u32; SLOTS],
    /// Entries that wanted this bucket or one before it and stand behind it: whether to read on.
    passed: u32,
}

const EMPTY: Bucket = Bucket {
    tags: [0; SLOTS],
    times: [0; SLOTS],
    parts: [0; SLOTS],
    passed: 0,
};

#[derive(Clone, Debug, Default)]
struct Shard {
    buckets: Box<[Bucket]>,
    keys: usize,
}

/// Where an entry stands. Good until the next insert, removal or sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    shard: u32,
    bucket: u32,
    slot: u32,
}

#[derive(Debug)]
pub(crate) struct Table {
    shards: Box<[Shard]>,
    shard_bits: u32,
    keys: usize,
    keys_max: usize,
    evicted_live: u64,
    /// The next bucket to sweep.
    hand: (usize, usize),
}

impl Table {
    pub(crate) fn new(keys_max: usize) -> Table {
        let keys_max = keys_max.max(1);
        let shards = keys_max.div_ceil(KEYS_PER_SHARD).next_power_of_two();
        Table {
            shards: vec![Shard::default(); shards].into(),
            shard_bits: shards.trailing_zeros(),
            keys: 0,
            keys_max,
            evicted_live: 0,
            hand: (0, 0),
        }
    }

    /// The bound from now on. Shards stay as they are; what is too much goes two keys an insert.
    pub(crate) fn set_keys_max(&mut self, keys_max: usize) {
        self.keys_max = keys_max.max(1);
    }

    pub(crate) fn keys(&self) -> usize {
        self.keys
    }

    /// Keys forgotten although they mattered, because the table was full of such.
    pub(crate) fn evicted_live(&self) -> u64 {
        self.evicted_live
    }

    /// What the table holds of memory, the allocator's own overhead aside.
    pub(crate) fn bytes(&self) -> usize {
        let buckets: usize = self.shards.iter().map(|shard| shard.buckets.len()).sum();
        buckets * size_of::<Bucket>() + self.shards.len() * size_of::<Shard>()
    }

    /// A word of the bucket that `tag` leads to, so that several tables can be waited for at once.
    #[inline]
    pub(crate) fn touch(&self, tag: u64) -> u64 {
        let shard = &self.shards[self.shard_of(tag)];
        let home = home(tag, shard.buckets.len());
        shard.buckets.get(home).map_or(0, |bucket| bucket.tags[0])
    }

    #[inline]
    pub(crate) fn find(&self, tag: u64) -> Option<(Place, Tat)> {
        let index = self.shard_of(tag);
        let buckets = &self.shards[index].buckets;
        let mut at = home(tag, buckets.len());
        for _ in 0..buckets.len() {
            let bucket = &buckets[at];
            if let Some(slot) = (0..SLOTS).find(|slot| bucket.tags[*slot] == tag) {
                let place = Place {
                    shard: index as u32,
                    bucket: at as u32,
                    slot: slot as u32,
                };
                return Some((place, bucket.state(slot)));
            }
            if bucket.passed == 0 {
                return None;
            }
            at = next(at, buckets.len());
        }
        None
    }

    #[inline]
    pub(crate) fn write(&mut self, place: Place, state: Tat) {
        let shard = &mut self.shards[place.shard as usize];
        let (bucket, slot) = (&mut shard.buckets[place.bucket as usize], place.slot);
        bucket.times[slot as usize] = state.ns;
        bucket.parts[slot as usize] = state.part;
    }

    /// Adds a key that `find` did not find. Entries with an instant before `fresh` are as good as
    /// none and make room first.
    pub(crate) fn insert(&mut self, tag: u64, state: Tat, fresh: u64) {
        for _ in 0..2 {
            if self.keys >= self.keys_max {
                self.make_room(fresh);
            }
        }
        let index = self.shard_of(tag);
        let shard = &mut self.shards[index];
        if shard.is_tight() {
            self.keys -= shard.purge(fresh);
            shard.fit();
        }
        shard.put(tag, state);
        self.keys += 1;
    }

    pub(crate) fn remove(&mut self, place: Place) {
        let shard = &mut self.shards[place.shard as usize];
        shard.remove(place.bucket as usize, place.slot as usize);
        self.keys -= 1;
    }

    /// Looks at `buckets` further buckets and forgets what is as good as none.
    pub(crate) fn sweep(&mut self, buckets: usize, fresh: u64) {
        // Empty shards cost a step as well, so that a call is bounded whatever the table holds.
        for _ in 0..buckets {
            let (shard, bucket) = self.hand;
            self.sweep_bucket(shard, bucket, fresh);
            self.advance();
        }
    }

    /// Forgets everything that is as good as none in the next buckets; if there is nothing such,
    /// the entry there that is nearest to it.
    fn make_room(&mut self, fresh: u64) {
        let mut victim: Option<(Tat, u64)> = None;
        let mut looked = 0;
        while looked < EVICTION_BUCKETS || victim.is_none() {
            let (index, at) = self.hand;
            if self.sweep_bucket(index, at, fresh) > 0 {
                return;
            }
            if let Some(bucket) = self.shards[index].buckets.get(at) {
                looked += 1;
                for slot in (0..SLOTS).filter(|slot| bucket.tags[*slot] != 0) {
                    let state = bucket.state(slot);
                    if victim.is_none_or(|(least, _)| state < least) {
                        victim = Some((state, bucket.tags[slot]));
                    }
                }
            }
            self.advance();
        }
        // Found anew: the hand may have laid out the shard behind it.
        if let Some((place, _)) = victim.and_then(|(_, tag)| self.find(tag)) {
            self.remove(place);
            self.evicted_live += 1;
        }
    }

    fn sweep_bucket(&mut self, index: usize, at: usize, fresh: u64) -> usize {
        let shard = &mut self.shards[index];
        if at >= shard.buckets.len() {
            return 0;
        }
        let gone = shard.purge_bucket(at, fresh);
        self.keys -= gone;
        gone
    }

    /// Moves the hand on; a shard that was left nearly empty gives its memory back.
    fn advance(&mut self) {
        let (index, at) = self.hand;
        let shard = &mut self.shards[index];
        if at + 1 < shard.buckets.len() {
            self.hand = (index, at + 1);
            return;
        }
        if shard.keys * 4 < shard.buckets.len() {
            shard.lay_out(wanted(shard.keys));
        }
        self.hand = ((index + 1) % self.shards.len(), 0);
    }

    #[inline]
    fn shard_of(&self, tag: u64) -> usize {
        // In two steps, because a table of one shard would shift by 64.
        ((tag >> 1) >> (63 - self.shard_bits)) as usize
    }
}

impl Shard {
    /// Four fifths full: beyond it, too many entries stand behind their bucket.
    fn is_tight(&self) -> bool {
        (self.keys + 1) * 5 > self.buckets.len() * SLOTS * 4
    }

    /// Grows by a quarter, unless the purge before freed enough for an eighth of that to come.
    fn fit(&mut self) {
        let slots = self.buckets.len() * SLOTS;
        if (self.keys + 1) * 10 > slots * 7 {
            self.lay_out(self.buckets.len() + self.buckets.len() / 4 + 1);
        }
    }

    fn lay_out(&mut self, buckets: usize) {
        let old = std::mem::replace(&mut self.buckets, vec![EMPTY; buckets].into());
        self.keys = 0;
        for bucket in &old {
            for slot in (0..SLOTS).filter(|slot| bucket.tags[*slot] != 0) {
                self.put(bucket.tags[slot], bucket.state(slot));
            }
        }
    }

    /// There is room: the caller saw to it.
    fn put(&mut self, tag: u64, state: Tat) {
        let buckets = self.buckets.len();
        let mut at = home(tag, buckets);
        for _ in 0..buckets {
            let bucket = &mut self.buckets[at];
            if let Some(slot) = (0..SLOTS).find(|slot| bucket.tags[*slot] == 0) {
                bucket.tags[slot] = tag;
                bucket.times[slot] = state.ns;
                bucket.parts[slot] = state.part;
                self.keys += 1;
                return;
            }
            bucket.passed += 1;
            at = next(at, buckets);
        }
        unreachable!("a shard is laid out with room for the entry that is put");
    }

    fn remove(&mut self, at: usize, slot: usize) {
        let buckets = self.buckets.len();
        let mut passed = home(self.buckets[at].tags[slot], buckets);
        while passed != at {
            self.buckets[passed].passed -= 1;
            passed = next(passed, buckets);
        }
        self.buckets[at].tags[slot] = 0;
        self.keys -= 1;
    }

    fn purge(&mut self, fresh: u64) -> usize {
        (0..self.buckets.len())
            .map(|at| self.purge_bucket(at, fresh))
            .sum()
    }

    fn purge_bucket(&mut self, at: usize, fresh: u64) -> usize {
        let bucket = self.buckets[at];
        let gone = |slot: &usize| bucket.tags[*slot] != 0 && bucket.times[*slot] < fresh;
        (0..SLOTS)
            .filter(gone)
            .map(|slot| self.remove(at, slot))
            .count()
    }
}

impl Bucket {
    #[inline]
    fn state(&self, slot: usize) -> Tat {
        Tat {
            ns: self.times[slot],
            part: self.parts[slot],
        }
    }
}

/// The bucket a hash leads to: its low half as a fraction of the shard. The high bits chose the
/// shard, and any number of buckets will do, so shards need not double.
#[inline]
fn home(tag: u64, buckets: usize) -> usize {
    ((u64::from(tag as u32) * buckets as u64) >> 32) as usize
}

#[inline]
fn next(at: usize, buckets: usize) -> usize {
    if at + 1 < buckets { at + 1 } else { 0 }
}

/// Buckets for that many keys at two thirds full.
fn wanted(keys: usize) -> usize {
    keys.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn at(ns: u64) -> Tat {
        Tat { ns, part: 7 }
    }

    /// Keys spread as a hash would.
    fn tag(key: u64) -> u64 {
        let mut word = (key + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (word ^ (word >> 27)) | 1
    }

    /// Everything stands where a search from its home finds it, and the counts are right.
    fn check(table: &Table, model: &BTreeMap<u64, Tat>) {
        for (tag, state) in model {
            assert_eq!(table.find(*tag).map(|(_, found)| found), Some(*state));
        }
        assert_eq!(table.keys(), model.len());
        for shard in &table.shards {
            let buckets = shard.buckets.len();
            let mut passed = vec![0; buckets];
            let mut keys = 0;
            for (index, bucket) in shard.buckets.iter().enumerate() {
                for tag in bucket.tags.iter().filter(|tag| **tag != 0) {
                    keys += 1;
                    let mut at = home(*tag, buckets);
                    while at != index {
                        passed[at] += 1;
                        at = next(at, buckets);
                    }
                }
            }
            let are: Vec<u32> = shard.buckets.iter().map(|bucket| bucket.passed).collect();
            assert_eq!((are, shard.keys), (passed, keys));
        }
    }

    proptest! {
        /// With room, the table is a map from which only what is as good as none disappears.
        #[test]
        fn agrees_with_a_map(
            keys_max in prop_oneof![Just(64_usize), Just(5_000)],
            spread in any::<bool>(),
            steps in prop::collection::vec((0_u8..8, 0_u64..60, 0_u64..40), 1..400),
        ) {
            let mut table = Table::new(keys_max);
            let mut model = BTreeMap::new();
            let mut now = 0;
            for (what, key, ahead) in steps {
                // All in one bucket, or spread.
                let tag = if spread { tag(key) } else { key + 1 };
                now += ahead / 8;
                let state = at(now + ahead);
                match (what, table.find(tag)) {
                    (0..=4, Some((place, _))) => {
                        table.write(place, state);
                        model.insert(tag, state);
                    }
                    (0..=4, None) => {
                        table.insert(tag, state, now);
                        model.insert(tag, state);
                    }
                    (5, Some((place, _))) => {
                        table.remove(place);
                        model.remove(&tag);
                    }
                    _ => table.sweep(usize::try_from(ahead).unwrap(), now),
                }
                // What is live is there; what is not may have gone.
                model.retain(|tag, state| state.ns >= now || table.find(*tag).is_some());
                check(&table, &model);
            }
            prop_assert_eq!(table.evicted_live(), 0);
        }
    }

    /// At every size on the way, growth included, a key costs less than 41 bytes beside the shards.
    #[test]
    fn keys_cost_little() {
        let mut table = Table::new(100_000);
        for key in 0..100_000_u64 {
            table.insert(tag(key), at(1), 0);
            let keys = table.keys();
            // Below, the smallest shards dominate: 64 bytes each.
            let most = if keys < 5_000 {
                128 * 256 + keys * 41
            } else {
                keys * 41
            };
            assert!(
                table.bytes() <= most,
                "{} bytes for {keys} keys",
                table.bytes()
            );
        }
        assert_eq!((table.keys(), table.evicted_live()), (100_000, 0));
    }

    /// A full table forgets what is as good as none before anything live, and counts the rest.
    #[test]
    fn a_full_table_forgets_what_matters_least() {
        let keys_max = 2_000;
        let mut table = Table::new(keys_max);
        // Every second key is as good as new at 100, the rest matters until 1,000 and later.
        for key in 0..keys_max as u64 {
            let until = if key % 2 == 0 { 50 } else { 1_000 + key };
            table.insert(tag(key), at(until), 0);
        }
        for key in 0..1_000 {
            table.insert(tag(10_000 + key), at(5_000), 100);
            assert!(table.keys() <= keys_max);
        }
        assert_eq!(table.evicted_live(), 0, "there were a thousand to forget");
        let live = (0..keys_max as u64).filter(|key| key % 2 == 1);
        assert_eq!(
            live.filter(|key| table.find(tag(*key)).is_none()).count(),
            0
        );
        // Now everything is live. Those that are least so go, and each is counted.
        for key in 0..500 {
            table.insert(tag(20_000 + key), at(6_000), 100);
        }
        assert_eq!((table.keys(), table.evicted_live()), (keys_max, 500));
        let newest = (0..500).filter(|key| table.find(tag(20_000 + key)).is_some());
        assert_eq!(newest.count(), 500, "older ones mattered less");
    }

    /// A surge that is over gives its memory back.
    #[test]
    fn memory_comes_back() {
        let mut table = Table::new(100_000);
        (0..50_000).for_each(|key| table.insert(tag(key), at(10), 0));
        let full = table.bytes();
        (0..40).for_each(|_| table.sweep(2_048, 20));
        assert_eq!(table.keys(), 0);
        assert!(table.bytes() * 50 < full, "{} of {full}", table.bytes());
    }

    /// A lower bound is reached by and by, and one key is the least of all bounds.
    #[test]
    fn the_bound_can_fall() {
        let mut table = Table::new(3_000);
        (0..3_000).for_each(|key| table.insert(tag(key), at(10), 0));
        table.set_keys_max(0);
        (3_000..6_000).for_each(|key| table.insert(tag(key), at(10), 0));
        assert_eq!(table.keys(), 1);
    }
}
