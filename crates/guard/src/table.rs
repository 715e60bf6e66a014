//! What a rule remembers of its keys: a bounded hash table from a keyed hash to an instant and a
//! number, 16 bytes an entry.
//!
//! At a million keys a decision costs what its cache misses cost. So four entries are one cache
//! line, nearly every key stands in the line that its hash leads to, and lines are kept full: what
//! is small stays in the cache. The table is cut into shards that grow alone, an eighth at a time:
//! no insert ever waits for the whole.
//!
//! The table does not know what it keeps. Whoever asks says before which instant an entry is as
//! good as none. Of a 64-bit hash, up to 14 bits choose the shard, 46 others are kept. A new key is
//! compared with about eight entries, so the odds that it shares another's are eight in 2⁴⁶.

use crate::gcra::Tat;
use crate::limits::{EVICTION_BUCKETS, KEYS_PER_SHARD};

const SLOTS: usize = 4;
const TIME_BITS: u32 = 58;
const TAG_BITS: u32 = 46;
/// Of a state's number: 24 bits, 18 beside the tag and 6 beside the time.
const PART_LOW_BITS: u32 = 64 - TIME_BITS;
const PART_HIGH_BITS: u32 = 64 - TAG_BITS;
/// The largest number and the latest instant (nine years after the start) that an entry can hold.
pub(crate) const PART_MAX: u32 = (1 << (PART_LOW_BITS + PART_HIGH_BITS)) - 1;
const TIME_MAX: u64 = (1 << TIME_BITS) - 1;

/// A tag over the upper half of the number; the lower half over the instant. Tag zero: free.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Entry {
    tag: u64,
    state: u64,
}

/// One cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Bucket([Entry; SLOTS]);

/// An entry stands in its home bucket or, if that was full, in the first behind it that was not.
/// Removing one moves others up, so that a search may end at the first bucket with a free slot.
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

/// Where a search for a tag begins. Good until the next insert, removal or sweep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home {
    shard: usize,
    bucket: usize,
}

impl Home {
    pub(crate) const NONE: Home = Home {
        shard: 0,
        bucket: 0,
    };
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

    /// Where to look for `tag`, and a word from there, so that several tables can be waited for at
    /// once.
    #[inline]
    pub(crate) fn touch(&self, tag: u64) -> (Home, u64) {
        let shard = self.shard_of(tag);
        let buckets = &self.shards[shard].buckets;
        let bucket = home(kept(tag), buckets.len());
        let word = buckets.get(bucket).map_or(0, |bucket| bucket.0[0].tag);
        (Home { shard, bucket }, word)
    }

    #[inline]
    pub(crate) fn find(&self, tag: u64) -> Option<(Place, Tat)> {
        self.find_from(self.touch(tag).0, tag)
    }

    /// What stands there, if nothing was put in or taken out since `touch`.
    #[inline]
    pub(crate) fn find_from(&self, home: Home, tag: u64) -> Option<(Place, Tat)> {
        let Home { shard, bucket } = home;
        let buckets = &self.shards[shard].buckets;
        let tag = kept(tag);
        let mut at = bucket;
        while let Some(bucket) = buckets.get(at) {
            // No branch on which of the four it is: nobody could predict it.
            let same = bucket.mask(|entry| (entry.tag ^ tag) >> PART_HIGH_BITS == 0);
            if same != 0 {
                let slot = same.trailing_zeros() % SLOTS as u32;
                let place = Place {
                    shard: shard as u32,
                    bucket: at as u32,
                    slot,
                };
                return Some((place, bucket.0[slot as usize].state()));
            }
            if bucket.free() != 0 {
                return None;
            }
            at = next(at, buckets.len());
            if at == home.bucket {
                break;
            }
        }
        None
    }

    /// The entry itself, for who asks and charges in one go.
    #[inline]
    pub(crate) fn entry(&mut self, tag: u64) -> Option<&mut Entry> {
        let shard = self.shard_of(tag);
        let buckets = &mut *self.shards[shard].buckets;
        let tag = kept(tag);
        let first = home(tag, buckets.len());
        let mut at = first;
        while let Some(bucket) = buckets.get(at) {
            let same = bucket.mask(|entry| (entry.tag ^ tag) >> PART_HIGH_BITS == 0);
            if same != 0 {
                let slot = same.trailing_zeros() as usize % SLOTS;
                return Some(&mut buckets[at].0[slot]);
            }
            if bucket.free() != 0 {
                return None;
            }
            at = next(at, buckets.len());
            if at == first {
                break;
            }
        }
        None
    }

    #[inline]
    pub(crate) fn write(&mut self, place: Place, state: Tat) {
        let shard = &mut self.shards[place.shard as usize];
        let entry = &mut shard.buckets[place.bucket as usize].0[place.slot as usize % SLOTS];
        *entry = Entry::new(entry.tag, state);
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
        shard.put(Entry::new(kept(tag), state));
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
        let mut victim: Option<(Tat, u64, usize)> = None;
        let mut looked = 0;
        while looked < EVICTION_BUCKETS || victim.is_none() {
            let (index, at) = self.hand;
            if self.sweep_bucket(index, at, fresh) > 0 {
                return;
            }
            if let Some(bucket) = self.shards[index].buckets.get(at) {
                looked += 1;
                for entry in bucket.0.iter().filter(|entry| !entry.is_free()) {
                    if victim.is_none_or(|(least, ..)| entry.state() < least) {
                        victim = Some((entry.state(), entry.tag, index));
                    }
                }
            }
            self.advance();
        }
        if let Some((_, tag, index)) = victim {
            self.shards[index].remove_tag(tag);
            self.keys -= 1;
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
    /// 85 % full: beyond it, too many entries stand behind their home. A search reads 1.35 lines
    /// then; at 64 % it would be 1.1, but a table larger by a third leaves the cache earlier, which
    /// costs more.
    fn is_tight(&self) -> bool {
        (self.keys + 1) * 20 > self.buckets.len() * SLOTS * 17
    }

    /// Grows by an eighth, unless the purge before freed enough that the next one is far away.
    fn fit(&mut self) {
        if (self.keys + 1) * 100 > self.buckets.len() * SLOTS * 78 {
            self.lay_out(self.buckets.len() + self.buckets.len() / 8 + 1);
        }
    }

    fn lay_out(&mut self, buckets: usize) {
        let empty = vec![Bucket::default(); buckets].into();
        let old: Box<[Bucket]> = std::mem::replace(&mut self.buckets, empty);
        self.keys = 0;
        let entries = old.iter().flat_map(|bucket| bucket.0);
        entries
            .filter(|entry| !entry.is_free())
            .for_each(|entry| self.put(entry));
    }

    /// There is room: the caller saw to it.
    fn put(&mut self, entry: Entry) {
        let buckets = self.buckets.len();
        let mut at = home(entry.tag, buckets);
        for _ in 0..buckets {
            let bucket = &mut self.buckets[at];
            let free = bucket.free();
            if free != 0 {
                bucket.0[free.trailing_zeros() as usize % SLOTS] = entry;
                self.keys += 1;
                return;
            }
            at = next(at, buckets);
        }
        unreachable!("a shard is laid out with room for the entry that is put");
    }

    fn remove_tag(&mut self, tag: u64) {
        let buckets = self.buckets.len();
        let mut at = home(tag, buckets);
        for _ in 0..buckets {
            let same = |entry: &Entry| (entry.tag ^ tag) >> PART_HIGH_BITS == 0;
            if let Some(slot) = self.buckets[at].0.iter().position(same) {
                return self.remove(at, slot);
            }
            at = next(at, buckets);
        }
    }

    fn remove(&mut self, at: usize, slot: usize) {
        self.keys -= 1;
        let buckets = self.buckets.len();
        let was_full = self.buckets[at].free() == 0;
        self.buckets[at].0[slot] = Entry::default();
        // Only a full bucket was ever passed by. Whoever passed one that is not full any more
        // moves up into it, and leaves a gap of its own.
        let (mut gap, mut look) = ((at, slot), at);
        for _ in 1..buckets {
            if !was_full {
                return;
            }
            look = next(look, buckets);
            let last = self.buckets[look].free() != 0;
            let passed = |entry: &Entry| {
                let way = distance(home(entry.tag, buckets), look, buckets);
                !entry.is_free() && way >= distance(gap.0, look, buckets)
            };
            if let Some(slot) = self.buckets[look].0.iter().position(passed) {
                self.buckets[gap.0].0[gap.1] = self.buckets[look].0[slot];
                self.buckets[look].0[slot] = Entry::default();
                gap = (look, slot);
            }
            if last {
                return;
            }
        }
    }

    fn purge(&mut self, fresh: u64) -> usize {
        let buckets = self.buckets.len();
        (0..buckets).map(|at| self.purge_bucket(at, fresh)).sum()
    }

    fn purge_bucket(&mut self, at: usize, fresh: u64) -> usize {
        let mut gone = 0;
        let is_gone = |entry: &Entry| !entry.is_free() && entry.state().ns < fresh;
        // Anew each time: a removal may have moved another entry here.
        while let Some(slot) = self.buckets[at].0.iter().position(is_gone) {
            self.remove(at, slot);
            gone += 1;
        }
        gone
    }
}

impl Bucket {
    /// Bit n: slot n is free.
    #[inline]
    fn free(&self) -> u32 {
        self.mask(Entry::is_free)
    }

    #[inline]
    fn mask(&self, is: impl Fn(&Entry) -> bool) -> u32 {
        let [a, b, c, d] = &self.0;
        u32::from(is(a)) | u32::from(is(b)) << 1 | u32::from(is(c)) << 2 | u32::from(is(d)) << 3
    }
}

impl Entry {
    /// Only the upper bits of `tag` count: it may be another entry's word.
    #[inline]
    fn new(tag: u64, state: Tat) -> Entry {
        let part = u64::from(state.part.min(PART_MAX));
        Entry {
            tag: tag >> PART_HIGH_BITS << PART_HIGH_BITS | part >> PART_LOW_BITS,
            state: part << TIME_BITS | state.ns.min(TIME_MAX),
        }
    }

    #[inline]
    pub(crate) fn write(&mut self, state: Tat) {
        *self = Entry::new(self.tag, state);
    }

    #[inline]
    pub(crate) fn state(&self) -> Tat {
        let high = self.tag & ((1 << PART_HIGH_BITS) - 1);
        Tat {
            ns: self.state & TIME_MAX,
            part: (high << PART_LOW_BITS | self.state >> TIME_BITS) as u32,
        }
    }

    #[inline]
    fn is_free(&self) -> bool {
        self.tag >> PART_HIGH_BITS == 0
    }
}

/// What is kept of a hash, where an entry has it, and never zero.
#[inline]
fn kept(tag: u64) -> u64 {
    let kept = tag << PART_HIGH_BITS;
    kept | u64::from(kept == 0) << PART_HIGH_BITS
}

/// The bucket a kept tag leads to: 32 bits of it as a fraction of the shard, so that any number of
/// buckets will do and shards need not double.
#[inline]
fn home(tag: u64, buckets: usize) -> usize {
    let fraction = u64::from((tag >> PART_HIGH_BITS) as u32);
    ((fraction * buckets as u64) >> 32) as usize
}

#[inline]
fn next(at: usize, buckets: usize) -> usize {
    if at + 1 < buckets { at + 1 } else { 0 }
}

/// Steps from one bucket on to another.
fn distance(from: usize, to: usize, buckets: usize) -> usize {
    if to >= from {
        to - from
    } else {
        to + buckets - from
    }
}

/// Buckets for that many keys at two thirds full.
fn wanted(keys: usize) -> usize {
    (keys * 3).div_ceil(2 * SLOTS)
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
            let mut keys = 0;
            for (index, bucket) in shard.buckets.iter().enumerate() {
                for entry in bucket.0.iter().filter(|entry| !entry.is_free()) {
                    keys += 1;
                    let mut at = home(entry.tag, buckets);
                    while at != index {
                        assert_eq!(shard.buckets[at].free(), 0, "passed by, yet not full");
                        at = next(at, buckets);
                    }
                }
            }
            assert_eq!(shard.keys, keys);
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

    /// At every size on the way, growth included, a key costs at most 24 bytes.
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
