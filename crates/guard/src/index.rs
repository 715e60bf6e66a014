//! A map of fixed size from 64-bit keys to small values: linear probing, and deletion that closes
//! the gap instead of leaving a mark (Knuth, TAOCP 3, 6.4, algorithm R). Memory is taken once, so
//! no call allocates and none stalls. Keys are hashes already; it must not know of what.

use crate::limits::INDEX_FILL_PERCENT_MAX;

/// 2^64 over the golden ratio: spreads keys whose low bits agree (Knuth, TAOCP 3, 6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Clone, Debug)]
pub(crate) struct Index<V> {
    /// Zero is an empty place.
    keys: Vec<u64>,
    values: Vec<V>,
    shift: u32,
    len: usize,
    len_max: usize,
}

impl<V: Copy + Default> Index<V> {
    /// Room for `len_max` keys and no more.
    pub(crate) fn new(len_max: usize) -> Index<V> {
        let slots = len_max.max(1).saturating_mul(100) / INDEX_FILL_PERCENT_MAX + 2;
        let slots = slots.next_power_of_two();
        Index {
            keys: vec![0; slots],
            values: vec![V::default(); slots],
            shift: 64 - slots.trailing_zeros(),
            len: 0,
            len_max,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn slots(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn get(&self, key: u64) -> Option<V> {
        self.find(key).ok().map(|slot| self.values[slot])
    }

    pub(crate) fn get_mut(&mut self, key: u64) -> Option<&mut V> {
        let slot = self.find(key).ok()?;
        Some(&mut self.values[slot])
    }

    /// The key and value of a place, for those who sweep.
    pub(crate) fn at(&self, slot: usize) -> Option<(u64, V)> {
        (self.keys[slot] != 0).then(|| (self.keys[slot], self.values[slot]))
    }

    /// False, and nothing changed, if the key is new and there is no room, or if it is zero.
    pub(crate) fn put(&mut self, key: u64, value: V) -> bool {
        match self.find(key) {
            Ok(slot) => self.values[slot] = value,
            Err(_) if self.len >= self.len_max || key == 0 => return false,
            Err(slot) => {
                self.keys[slot] = key;
                self.values[slot] = value;
                self.len += 1;
            }
        }
        true
    }

    pub(crate) fn remove(&mut self, key: u64) -> Option<V> {
        let mut hole = self.find(key).ok()?;
        let value = self.values[hole];
        let mask = self.keys.len() - 1;
        let mut next = (hole + 1) & mask;
        while self.keys[next] != 0 {
            let from_home = next.wrapping_sub(self.home(self.keys[next])) & mask;
            let from_hole = next.wrapping_sub(hole) & mask;
            if from_home >= from_hole {
                self.keys[hole] = self.keys[next];
                self.values[hole] = self.values[next];
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.keys[hole] = 0;
        self.len -= 1;
        Some(value)
    }

    fn home(&self, key: u64) -> usize {
        (key.wrapping_mul(SPREAD) >> self.shift) as usize
    }

    /// Where the key stands, or the empty place where it would stand. Ends, because a part of the
    /// places stays empty.
    fn find(&self, key: u64) -> Result<usize, usize> {
        let mask = self.keys.len() - 1;
        let mut slot = self.home(key);
        loop {
            match self.keys[slot] {
                0 => return Err(slot),
                found if found == key => return Ok(slot),
                _ => slot = (slot + 1) & mask,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Index;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Few different keys in a small table, so that runs collide, wrap round and close up.
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((0_u8..4, 1_u64..40), 1..400)) {
            let mut index = Index::new(12);
            let mut model = BTreeMap::new();
            for (at, (kind, key)) in steps.into_iter().enumerate() {
                // Keys that all land near the end of the table.
                let key = key.wrapping_mul(u64::MAX / 41);
                match kind {
                    0 | 1 => {
                        let room = model.len() < 12 || model.contains_key(&key);
                        if room {
                            model.insert(key, at);
                        }
                        prop_assert_eq!(index.put(key, at), room);
                    }
                    _ => prop_assert_eq!(index.remove(key), model.remove(&key)),
                }
                prop_assert_eq!(index.len(), model.len());
                for (key, value) in &model {
                    prop_assert_eq!(index.get(*key), Some(*value));
                }
                let listed = (0..index.slots()).filter_map(|slot| index.at(slot));
                prop_assert_eq!(listed.collect::<BTreeMap<_, _>>(), model.clone());
            }
        }
    }
}
