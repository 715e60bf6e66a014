//! The latency that each class has when nothing waits: a mean per class, because with means
//! Little's law holds for any mix. It must not know why a sample was taken.

use super::CLASSES;
use super::probe::Found;
use super::steer::Reading;
use crate::limits::{
    OVERLOAD_BELIEVE, OVERLOAD_DRIFT, OVERLOAD_FIRST_SAMPLES, OVERLOAD_GOOD_NS, OVERLOAD_JUMP,
    OVERLOAD_OUTLIER, OVERLOAD_SETTLED, OVERLOAD_WINDOW_SAMPLES_MIN,
};
use crate::time::Nanos;

#[derive(Clone, Copy, Debug, Default)]
struct Base {
    mean: f64,
    samples: u32,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bases {
    of: [Base; CLASSES],
}

impl Bases {
    /// The expected latency of a class, once enough was seen.
    pub(super) fn known(&self, class: usize) -> Option<f64> {
        let base = &self.of[class];
        (base.samples >= OVERLOAD_FIRST_SAMPLES).then_some(base.mean)
    }

    pub(super) fn expected(&self) -> [f64; CLASSES] {
        self.of.map(|base| base.mean)
    }

    /// One request that hangs must not look like many that are slow.
    pub(super) fn capped(&self, class: usize, latency: Nanos) -> f64 {
        let latency = (latency.0 as f64).max(1.0);
        let cap = |base: f64| latency.min(base.max(OVERLOAD_GOOD_NS) * OVERLOAD_OUTLIER);
        self.known(class).map_or(latency, cap)
    }

    /// The plain mean of the first samples, with the present inflation taken out.
    pub(super) fn first(&mut self, class: usize, latency: f64, inflation: f64) {
        let base = &mut self.of[class];
        base.samples += 1;
        let unloaded = latency / inflation.max(1.0);
        base.mean += (unloaded - base.mean) / f64::from(base.samples);
    }

    /// A sample from far below the limit.
    pub(super) fn drift(&mut self, class: usize, latency: f64) {
        let base = &mut self.of[class];
        base.mean += (latency - base.mean) * OVERLOAD_DRIFT;
    }

    /// Measured over expected latency of a window; expectations above what was measured are
    /// lowered at once, for nothing is faster than unloaded.
    pub(super) fn correct(&mut self, reading: &Reading) -> f64 {
        let inflation = reading.sums.inflation();
        let few = reading.sums.samples < OVERLOAD_WINDOW_SAMPLES_MIN;
        if few || inflation + 2.0 * reading.sums.error() >= 1.0 {
            return inflation;
        }
        let factor = if inflation < 0.8 {
            inflation
        } else {
            1.0 + (inflation - 1.0) * OVERLOAD_BELIEVE
        };
        self.scale(factor);
        inflation / factor
    }

    /// Takes over what a probe measured; says whether it was what was expected.
    pub(super) fn believe(&mut self, found: &Found) -> bool {
        let ratio = found.sums.inflation();
        let doubt = 2.0 * found.sums.error();
        let jump = ratio > OVERLOAD_JUMP + doubt || ratio < OVERLOAD_JUMP.recip() - doubt;
        self.scale(if jump {
            ratio
        } else {
            1.0 + (ratio - 1.0) * OVERLOAD_BELIEVE
        });
        for (class, (sum, samples)) in found.of.iter().enumerate() {
            if *samples >= OVERLOAD_FIRST_SAMPLES {
                let mean = sum / f64::from(*samples);
                let base = &mut self.of[class];
                base.mean += (mean - base.mean) * OVERLOAD_DRIFT;
            }
        }
        (ratio - 1.0).abs() <= OVERLOAD_SETTLED + doubt
    }

    /// The mean over classes that were seen: a length for windows and pauses.
    pub(super) fn mean_ns(&self) -> f64 {
        let seen = self.of.iter().filter(|base| base.samples > 0);
        let (sum, count) = seen.fold((0.0, 0.0), |(sum, count), base| {
            (sum + base.mean, count + 1.0)
        });
        if count > 0.0 { sum / count } else { 0.0 }
    }

    fn scale(&mut self, factor: f64) {
        for base in &mut self.of {
            base.mean = (base.mean * factor).max(1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bases, Nanos, OVERLOAD_FIRST_SAMPLES};

    /// One answer that takes a minute counts as eight expected ones, once there is an expectation.
    #[test]
    fn one_that_hangs_is_not_many_that_are_slow() {
        let mut bases = Bases::default();
        let minute = Nanos::from_secs(60);
        for _ in 0..OVERLOAD_FIRST_SAMPLES {
            assert_eq!((bases.known(0), bases.capped(0, minute)), (None, 60e9));
            bases.first(0, 10e6, 1.0);
        }
        assert_eq!(
            (bases.known(0), bases.capped(0, minute)),
            (Some(10e6), 80e6)
        );
        assert_eq!(
            bases.capped(1, minute),
            60e9,
            "of another class nothing is known"
        );
    }
}
