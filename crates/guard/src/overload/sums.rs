//! Measured and expected latencies added up, and how far their ratio can be trusted. Of latencies
//! that are good anyway no ratio is made: half a millisecond for a fifth of one is no queue that
//! anybody minds. It must not know what the samples were taken for.

use crate::limits::OVERLOAD_GOOD_NS;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) samples: u32,
    pub(super) measured: f64,
    /// Measured and expected, each at least [`OVERLOAD_GOOD_NS`].
    minded: f64,
    allowed: f64,
    /// Squares of each sample's own ratio.
    squares: f64,
    ratios: f64,
}

impl Sums {
    pub(super) fn add(&mut self, measured: f64, expected: f64) {
        let minded = measured.max(OVERLOAD_GOOD_NS);
        let allowed = expected.max(OVERLOAD_GOOD_NS);
        let ratio = minded / allowed;
        self.samples += 1;
        self.measured += measured;
        self.minded += minded;
        self.allowed += allowed;
        self.ratios += ratio;
        self.squares += ratio * ratio;
    }

    /// Measured over expected latency, as far as it is minded; 1 without samples.
    pub(super) fn inflation(&self) -> f64 {
        if self.samples == 0 {
            return 1.0;
        }
        self.minded / self.allowed
    }

    /// Whether latencies were good, whatever was expected.
    pub(super) fn is_good(&self) -> bool {
        self.samples > 0 && self.measured < OVERLOAD_GOOD_NS * f64::from(self.samples)
    }

    /// The standard error of the inflation: what chance alone may make of it.
    pub(super) fn error(&self) -> f64 {
        let count = f64::from(self.samples.max(1));
        let mean = self.ratios / count;
        (self.squares / count - mean * mean).max(0.0).sqrt() / count.sqrt()
    }
}
