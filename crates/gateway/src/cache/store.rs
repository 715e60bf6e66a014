//! What is kept, bounded in bytes, shared by all workers; the least used goes first.

use super::entry::Entry;
use super::key::{Key, Names};
use super::limits::{
    ANSWER_BYTES_USUAL, ANSWERS_PER_SHARD_MIN, ENTRY_OVERHEAD_BYTES, SHARDS_MAX, STORE_BYTES_MIN,
};
use bytes::Bytes;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use std::hash::RandomState;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Answer(Arc<Entry>),
    /// Of the answer whose body has this number.
    Form {
        of: u64,
        body: Bytes,
    },
    /// The answers of this address differ, by these.
    Names(Names),
    /// The answer may not be kept: until then, requests need not wait for each other.
    Mark {
        until_ms: u64,
    },
}

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<Key, Value> for Weight {
    fn weight(&self, key: &Key, value: &Value) -> u64 {
        let value = match value {
            Value::Answer(entry) => entry.bytes(),
            Value::Form { body, .. } => body.len() as u64 + ENTRY_OVERHEAD_BYTES,
            Value::Names(names) => names.bytes() as u64 + ENTRY_OVERHEAD_BYTES,
            Value::Mark { .. } => ENTRY_OVERHEAD_BYTES,
        };
        value + key.bytes() as u64
    }
}

type Lifecycle = DefaultLifecycle<Key, Value>;

#[derive(Debug)]
pub(crate) struct Store {
    kept: Cache<Key, Value, Weight, RandomState, Lifecycle>,
    answer_bytes_max: u64,
}

impl Store {
    /// `answer_bytes` is the largest answer that somebody wants kept: few locks, if it is large.
    pub fn new(bytes: u64, answer_bytes: u64) -> Store {
        let bytes = bytes.max(STORE_BYTES_MIN);
        let wanted = answer_bytes.max(1).saturating_mul(ANSWERS_PER_SHARD_MIN);
        let shards = (bytes / wanted).clamp(1, SHARDS_MAX);
        let shards = 1 << shards.ilog2();
        let options = OptionsBuilder::new()
            .shards(shards)
            .weight_capacity(bytes)
            .estimated_items_capacity((bytes / ANSWER_BYTES_USUAL) as usize)
            .build();
        // Both sizes that it asks for are given.
        let options = options.expect("the store's sizes are given");
        let kept = Cache::with_options(options, Weight, RandomState::new(), Lifecycle::default());
        let answer_bytes_max = kept.shard_capacity() / ANSWERS_PER_SHARD_MIN;
        Store {
            kept,
            answer_bytes_max,
        }
    }

    /// Bytes of a body that there is room for, whatever a route allows.
    pub fn answer_bytes_max(&self) -> u64 {
        self.answer_bytes_max
    }
    pub fn get(&self, key: &Key) -> Option<Value> {
        self.kept.get(key)
    }
    pub fn put(&self, key: Key, value: Value) {
        self.kept.insert(key, value);
    }
    pub fn remove(&self, key: &Key) {
        self.kept.remove(key);
    }
    /// Removes only this very answer: a newer one under the key stays.
    pub fn remove_answer(&self, key: &Key, id: u64) {
        let is_it = |value: &Value| matches!(value, Value::Answer(entry) if entry.id == id);
        self.kept.remove_if(key, is_it);
    }
    pub fn bytes(&self) -> u64 {
        self.kept.weight()
    }
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Forgets what `gone` says, and returns how many answers that were. Looks at all that is
    /// kept: for operators, not for requests.
    pub fn purge(&self, gone: impl Fn(&Key, Option<&Entry>) -> bool) -> usize {
        let purged = std::sync::atomic::AtomicUsize::new(0);
        self.kept.retain(|key, value| {
            let entry = match value {
                Value::Answer(entry) => Some(&**entry),
                Value::Form { .. } | Value::Names(_) | Value::Mark { .. } => None,
            };
            let goes = gone(key, entry);
            if goes && entry.is_some() {
                purged.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            !goes
        });
        purged.into_inner()
    }
}
