//! Latencies: a histogram while they are recorded, a short list once their second is over.
//!
//! A histogram of an hour in microseconds has some 13 KiB, most of it noughts. A run of ten minutes
//! keeps hundreds of seconds in several places, and a generator must not grow; what a second really
//! saw is a hundred or two numbers. It must not know what was measured.

use hdrhistogram::Histogram;
use std::borrow::Cow;

/// Microseconds: up to an hour.
const LATENCY_US_MAX: u64 = 3_600_000_000;

/// Latencies in microseconds.
#[derive(Clone, Debug)]
pub struct Latency {
    digits: u8,
    kept: Kept,
}

#[derive(Clone, Debug)]
enum Kept {
    Open(Histogram<u32>),
    /// What was seen, rising, and how often.
    Packed(Box<[(u32, u32)]>),
}

impl Latency {
    #[must_use]
    pub fn new(digits: u8) -> Latency {
        let kept = Kept::Open(empty(digits));
        Latency { digits, kept }
    }

    #[must_use]
    pub fn of_histogram(histogram: Histogram<u32>) -> Latency {
        Latency {
            digits: histogram.sigfig(),
            kept: Kept::Open(histogram),
        }
    }

    pub fn record(&mut self, us: u64) {
        self.open().saturating_record(us.max(1));
    }

    /// Both stay as they are: a packed one is packed afterwards too.
    pub fn add(&mut self, other: &Latency) {
        match (&mut self.kept, &other.kept) {
            (Kept::Packed(mine), Kept::Packed(theirs)) => *mine = merged(mine, theirs),
            (Kept::Packed(mine), Kept::Open(theirs)) => *mine = merged(mine, &pairs(theirs)),
            (Kept::Open(mine), Kept::Open(theirs)) => {
                // All have the same bounds; a wider one could hold it too.
                let _ = mine.add(theirs);
            }
            (Kept::Open(mine), Kept::Packed(theirs)) => put(mine, theirs),
        }
    }

    /// Nothing more is expected: gives the histogram's memory back.
    pub fn pack(&mut self) {
        if let Kept::Open(histogram) = &self.kept {
            self.kept = Kept::Packed(pairs(histogram));
        }
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        match &self.kept {
            Kept::Open(histogram) => histogram.len(),
            Kept::Packed(pairs) => pairs.iter().map(|(_, count)| u64::from(*count)).sum(),
        }
    }

    /// `None` if nothing was measured.
    #[must_use]
    pub fn quantile_us(&self, share: f64) -> Option<u64> {
        self.of(|histogram| histogram.value_at_quantile(share))
    }
    #[must_use]
    pub fn min_us(&self) -> Option<u64> {
        self.of(Histogram::min)
    }
    #[must_use]
    pub fn max_us(&self) -> Option<u64> {
        self.of(Histogram::max)
    }
    #[must_use]
    pub fn mean_us(&self) -> f64 {
        self.histogram().mean()
    }

    #[must_use]
    pub fn histogram(&self) -> Cow<'_, Histogram<u32>> {
        match &self.kept {
            Kept::Open(histogram) => Cow::Borrowed(histogram),
            Kept::Packed(pairs) => {
                let mut histogram = empty(self.digits);
                put(&mut histogram, pairs);
                Cow::Owned(histogram)
            }
        }
    }

    fn of(&self, value: impl Fn(&Histogram<u32>) -> u64) -> Option<u64> {
        (self.count() > 0).then(|| value(&self.histogram()))
    }

    fn open(&mut self) -> &mut Histogram<u32> {
        if let Kept::Packed(pairs) = &self.kept {
            let mut histogram = empty(self.digits);
            put(&mut histogram, pairs);
            self.kept = Kept::Open(histogram);
        }
        match &mut self.kept {
            Kept::Open(histogram) => histogram,
            Kept::Packed(_) => unreachable!("it was opened above"),
        }
    }
}

fn empty(digits: u8) -> Histogram<u32> {
    let histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, digits);
    histogram.expect("these bounds are a histogram's")
}

fn pairs(histogram: &Histogram<u32>) -> Box<[(u32, u32)]> {
    let seen = histogram.iter_recorded();
    let pair = seen.map(|at| {
        let us = u32::try_from(at.value_iterated_to()).unwrap_or(u32::MAX);
        (us, at.count_at_value())
    });
    pair.collect()
}

fn put(histogram: &mut Histogram<u32>, pairs: &[(u32, u32)]) {
    for (us, count) in pairs {
        histogram.saturating_record_n(u64::from(*us), *count);
    }
}

/// Two rising lists as one.
fn merged(one: &[(u32, u32)], other: &[(u32, u32)]) -> Box<[(u32, u32)]> {
    let mut all = Vec::with_capacity(one.len() + other.len());
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    loop {
        let next = match (one.peek(), other.peek()) {
            (Some(a), Some(b)) if a.0 == b.0 => {
                let both = (a.0, a.1.saturating_add(b.1));
                one.next();
                other.next();
                both
            }
            (Some(a), Some(b)) if a.0 > b.0 => {
                let b = **b;
                other.next();
                b
            }
            (Some(a), _) => {
                let a = **a;
                one.next();
                a
            }
            (None, Some(b)) => {
                let b = **b;
                other.next();
                b
            }
            (None, None) => return all.into(),
        };
        all.push(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop, proptest};

    fn of(values: &[u64]) -> Latency {
        let mut latency = Latency::new(2);
        values.iter().for_each(|us| latency.record(*us));
        latency
    }

    fn figures(latency: &Latency) -> (u64, [Option<u64>; 6], u64) {
        let quantile = |share| latency.quantile_us(share);
        let shown = [
            quantile(0.0),
            quantile(0.5),
            quantile(0.99),
            quantile(1.0),
            latency.min_us(),
            latency.max_us(),
        ];
        (latency.count(), shown, latency.mean_us() as u64)
    }

    proptest! {
        #[test]
        fn a_packed_one_says_the_same_whatever_is_added(
            first in prop::collection::vec(1..4_000_000_u64, 0..60),
            more in prop::collection::vec(1..4_000_000_u64, 0..60),
        ) {
            let (mut open, other) = (of(&first), of(&more));
            let (mut packed, mut other_packed) = (open.clone(), other.clone());
            packed.pack();
            other_packed.pack();
            assert_eq!(figures(&open), figures(&packed));
            let mut mixed = [packed.clone(), packed.clone(), open.clone()];
            mixed[0].add(&other_packed);
            mixed[1].add(&other);
            mixed[2].add(&other_packed);
            more.iter().for_each(|us| packed.record(*us));
            open.add(&other);
            for one in mixed.iter().chain([&packed]) {
                assert_eq!(figures(&open), figures(one));
            }
        }
    }

    #[test]
    fn a_packed_second_is_small() {
        let mut latency = of(&(1..10_000).map(|n| 200 + n % 3_000).collect::<Vec<_>>());
        latency.pack();
        let Kept::Packed(pairs) = &latency.kept else {
            panic!("it was packed");
        };
        let bytes = size_of_val(&**pairs);
        assert!(bytes <= 4_096, "{bytes}");
    }
}
