//! A small seeded generator (SplitMix64): one seed plans one and the same rehearsal everywhere.

#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// From 0 up to, not including, 1.
    pub fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1u64 << 53) as f64
    }
    /// From 0 up to, not including, `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }
    pub fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }
}

/// Draws an index by weight.
#[derive(Clone, Debug)]
pub struct Weighted {
    sums: Vec<f64>,
}

impl Weighted {
    /// `None` when no weight is above 0.
    pub fn new(weights: impl IntoIterator<Item = f64>) -> Option<Weighted> {
        let mut sum = 0.0;
        let sums: Vec<f64> = weights
            .into_iter()
            .map(|weight| {
                sum += weight.max(0.0);
                sum
            })
            .collect();
        (sum > 0.0).then_some(Weighted { sums })
    }
    pub fn draw(&self, rng: &mut Rng) -> usize {
        let total = self.sums.last().copied().unwrap_or_default();
        let point = rng.unit() * total;
        self.sums
            .partition_point(|sum| *sum <= point)
            .min(self.sums.len() - 1)
    }
}
