//! How requests ended and how long they took, counted by all workers without a lock.
//!
//! A histogram with four buckets to each power of two of microseconds: what a switch's trigger
//! compares with its threshold is at most a fifth too high, never too low.

use guard::{Ended, Nanos};
use std::sync::atomic::{AtomicU64, Ordering};

/// Four to a power of two, up to 2^32 µs, a little over an hour.
const BUCKETS: usize = 4 * 31;

/// Only grows.
#[derive(Debug)]
pub(super) struct Counter {
    badly: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl Default for Counter {
    fn default() -> Counter {
        Counter {
            badly: AtomicU64::new(0),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }
}

impl Counter {
    pub fn add(&self, latency: Nanos, ended: Ended) {
        if matches!(ended, Ended::Failed | Ended::TimedOut) {
            self.badly.fetch_add(1, Ordering::Relaxed);
        }
        self.buckets[bucket(latency.0 / 1_000)].fetch_add(1, Ordering::Relaxed);
    }

    pub fn now(&self) -> Endings {
        Endings {
            badly: self.badly.load(Ordering::Relaxed),
            buckets: std::array::from_fn(|at| self.buckets[at].load(Ordering::Relaxed)),
        }
    }
}

/// The counts at one moment, or between two.
#[derive(Clone, Debug)]
pub(super) struct Endings {
    pub badly: u64,
    buckets: [u64; BUCKETS],
}

impl Default for Endings {
    fn default() -> Endings {
        Endings {
            badly: 0,
            buckets: [0; BUCKETS],
        }
    }
}

impl Endings {
    pub fn since(&self, before: &Endings) -> Endings {
        Endings {
            badly: self.badly - before.badly,
            buckets: std::array::from_fn(|at| self.buckets[at] - before.buckets[at]),
        }
    }

    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The upper edge of the bucket in which this share of all has ended, in milliseconds; zero if
    /// nothing ended.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        let all = self.count();
        if all == 0 {
            return 0.0;
        }
        let rank = ((all as f64 * share).ceil() as u64).clamp(1, all);
        let mut below = 0;
        let found = self.buckets.iter().position(|count| {
            below += count;
            below >= rank
        });
        upper_us(found.unwrap_or(BUCKETS - 1)) as f64 / 1e3
    }
}

/// Values up to three have buckets of their own; above, the two bits after the first one choose.
fn bucket(us: u64) -> usize {
    let us = us.min(u64::from(u32::MAX));
    if us < 4 {
        return us as usize;
    }
    let power = us.ilog2() as usize;
    let quarter = (us >> (power - 2)) as usize & 3;
    (power - 1) * 4 + quarter
}

/// The first value that is beyond a bucket.
fn upper_us(bucket: usize) -> u64 {
    match bucket.checked_sub(4) {
        None => bucket as u64 + 1,
        Some(above) => {
            let (power, quarter) = (above / 4 + 2, above % 4);
            (5 + quarter as u64) << (power - 2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_below_the_edge_of_its_bucket_and_not_far() {
        let mut last = 0;
        for us in (0..10_000).chain([1 << 20, (1 << 31) + 5, u64::from(u32::MAX), u64::MAX]) {
            let at = bucket(us);
            assert!(at < BUCKETS && at >= last, "{us} in {at}");
            last = at;
            let (us, edge) = (us.min(u64::from(u32::MAX)), upper_us(at));
            assert!(us < edge && edge <= us + us / 4 + 1, "{us} below {edge}");
            assert!(
                at == 0 || upper_us(at - 1) <= us,
                "{us} not in the one before"
            );
        }
    }

    #[test]
    fn quantiles_are_of_what_ended_in_between() {
        let counter = Counter::default();
        assert!(counter.now().quantile_ms(0.99).abs() < f64::EPSILON);
        counter.add(Nanos(900_000_000_000), Ended::Failed);
        let before = counter.now();
        for ms in 1..=100 {
            counter.add(Nanos(ms * 1_000_000), Ended::Ok);
        }
        counter.add(Nanos(1), Ended::TimedOut);
        let between = counter.now().since(&before);
        assert_eq!((between.count(), between.badly), (101, 1));
        let p99 = between.quantile_ms(0.99);
        assert!((99.0..=124.0).contains(&p99), "{p99}");
        let p50 = between.quantile_ms(0.5);
        assert!((50.0..=63.0).contains(&p50), "{p50}");
    }
}
