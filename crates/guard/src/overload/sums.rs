//! Measured and expected latencies added up, and how far their ratio can be trusted. It must not
//! know what the samples were taken for.

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) samples: u32,
    pub(super) measured: f64,
    expected: f64,
    /// Squares of each sample's own ratio.
    squares: f64,
    ratios: f64,
}

impl Sums {
    pub(super) fn add(&mut self, measured: f64, expected: f64) {
        let ratio = measured / expected;
        self.samples += 1;
        self.measured += measured;
        self.expected += expected;
        self.ratios += ratio;
        self.squares += ratio * ratio;
    }

    /// Measured over expected latency; 1 without samples.
    pub(super) fn inflation(&self) -> f64 {
        if self.samples == 0 {
            return 1.0;
        }
        self.measured / self.expected
    }

    /// The standard error of the inflation: what chance alone may make of it.
    pub(super) fn error(&self) -> f64 {
        let count = f64::from(self.samples.max(1));
        let mean = self.ratios / count;
        (self.squares / count - mean * mean).max(0.0).sqrt() / count.sqrt()
    }
}
