//! Drawing by weight, from a seed: one seed plans one and the same rehearsal everywhere.

use load::rng::Rng;

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
