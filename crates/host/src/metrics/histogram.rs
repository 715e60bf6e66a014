//! A latency histogram that costs two relaxed additions a record.
//!
//! Buckets are two per power of two, from 32 µs to 16.8 s, so the bucket is found from the
//! leading bits of the value: no search, no floating point. Shards keep threads apart.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The first bucket takes everything up to 2^5 µs.
const FIRST_EXPONENT: u32 = 5;
/// The last bounded bucket ends at 2^24 µs.
const LAST_EXPONENT: u32 = 24;
const BOUNDED: usize = 1 + 2 * (LAST_EXPONENT - FIRST_EXPONENT) as usize;
/// With the bucket for everything above.
const BUCKETS: usize = BOUNDED + 1;

#[repr(align(128))]
struct Shard {
    counts: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

/// See the file's prologue.
pub struct LatencyHistogram {
    shards: Box<[Shard]>,
}

/// What a scrape reads: upper bounds in seconds with the count in each bucket (not cumulated),
/// the last bound infinite.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    pub buckets: Vec<(f64, u64)>,
    pub sum_seconds: f64,
    pub count: u64,
}

impl LatencyHistogram {
    /// `shards`: how many threads record at once. More threads than shards stay correct.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        let shard = || Shard {
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            sum_us: AtomicU64::new(0),
        };
        LatencyHistogram {
            shards: (0..shards.max(1)).map(|_| shard()).collect(),
        }
    }

    /// Records from the thread that owns `shard`.
    pub fn record(&self, shard: usize, took: Duration) {
        let us = took.as_secs() * 1_000_000 + u64::from(took.subsec_nanos().div_ceil(1_000));
        let shard = &self.shards[shard % self.shards.len()];
        shard.counts[bucket(us)].fetch_add(1, Relaxed);
        shard.sum_us.fetch_add(us, Relaxed);
    }

    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut buckets: Vec<(f64, u64)> = (0..BUCKETS).map(|i| (bound(i), 0)).collect();
        let mut sum_us = 0;
        for shard in &self.shards {
            for (total, count) in buckets.iter_mut().zip(&shard.counts) {
                total.1 += count.load(Relaxed);
            }
            sum_us += shard.sum_us.load(Relaxed);
        }
        let count = buckets.iter().map(|(_, n)| n).sum();
        Snapshot {
            buckets,
            sum_seconds: sum_us as f64 / 1e6,
            count,
        }
    }
}

/// Values up to and including a bound belong to its bucket, as Prometheus has it.
fn bucket(us: u64) -> usize {
    let v = us.saturating_sub(1);
    let Some(exponent) = v.checked_ilog2().filter(|e| *e >= FIRST_EXPONENT) else {
        return 0;
    };
    if exponent >= LAST_EXPONENT {
        return BUCKETS - 1;
    }
    let upper_half = (v >> (exponent - 1)) & 1;
    1 + 2 * (exponent - FIRST_EXPONENT) as usize + upper_half as usize
}

fn bound(index: usize) -> f64 {
    match index.checked_sub(1) {
        None => f64::from(1_u32 << FIRST_EXPONENT) / 1e6,
        Some(_) if index == BUCKETS - 1 => f64::INFINITY,
        Some(step) => {
            let base = 1_u64 << (FIRST_EXPONENT as usize + step / 2);
            let us = if step % 2 == 0 {
                base + base / 2
            } else {
                2 * base
            };
            us as f64 / 1e6
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_under_its_bound_and_above_the_one_before() {
        for us in (0..200_000)
            .chain((1..40).map(|e| 1_u64 << e))
            .chain([u64::MAX / 4])
        {
            let at = bucket(us);
            let seconds = us as f64 / 1e6;
            assert!(
                seconds <= bound(at),
                "{us} µs in bucket {at} up to {}",
                bound(at)
            );
            assert!(
                at == 0 || seconds > bound(at - 1),
                "{us} µs above bucket {}",
                at - 1
            );
        }
    }

    #[test]
    fn shards_add_up() {
        let h = LatencyHistogram::new(2);
        h.record(0, Duration::from_micros(32));
        h.record(1, Duration::from_nanos(32_001));
        h.record(5, Duration::from_secs(60));
        let s = h.snapshot();
        assert_eq!(s.count, 3);
        assert_eq!((s.buckets[0].1, s.buckets[1].1), (1, 1));
        assert_eq!(s.buckets.last(), Some(&(f64::INFINITY, 1)));
        assert!(
            (s.sum_seconds - 60.000_065).abs() < 1e-9,
            "{}",
            s.sum_seconds
        );
    }
}
