//! How good a forecast would have been: the last stretches of the history are held back, one
//! after the other, and forecast from what was before them. The same errors give the band, and
//! what was held back tells how often the band holds. It must not know campaigns.

use super::baseline::{baseline, seasonal_naive};

/// What was found on held-back data. Shares, not percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackTest {
    /// Stretches held back, and steps of each.
    pub folds: usize,
    pub horizon: usize,
    /// Mean of |actual − forecast| / actual, over steps with requests.
    pub mape: f64,
    /// Sum of |actual − forecast| over the sum of actual.
    pub wape: f64,
    /// The same of the seasonal naive.
    pub naive_mape: f64,
    pub naive_wape: f64,
    /// Of the held-back steps, how many lie in a band made from the other stretches' errors.
    pub coverage: f64,
}

impl BackTest {
    /// Whether it is worth more than repeating the last period, by MAPE.
    #[must_use]
    pub fn beats_naive(&self) -> bool {
        self.mape < self.naive_mape
    }
}

/// A band as factors of what is expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub lower: f64,
    pub upper: f64,
}

/// What is held back, and how wide the band is.
#[derive(Clone, Copy, Debug)]
pub struct Trial<'a> {
    pub periods: &'a [usize],
    /// The period of the seasonal naive.
    pub naive: usize,
    pub horizon: usize,
    pub folds: usize,
    /// The share of steps that the band is meant to hold.
    pub level: f64,
}

/// `None` where the history is too short to hold anything back: less than three horizons.
#[must_use]
pub fn back_test(history: &[Option<f64>], trial: &Trial<'_>) -> Option<(BackTest, Spread)> {
    let room = (history.len() / trial.horizon.max(1)).saturating_sub(2);
    let folds = trial.folds.min(room);
    if folds == 0 || trial.horizon == 0 {
        return None;
    }
    let mut errors: Vec<Vec<f64>> = Vec::with_capacity(folds);
    let (mut sums, mut naive_sums) = (Sums::default(), Sums::default());
    for fold in 0..folds {
        let cut = history.len() - (fold + 1) * trial.horizon;
        let (before, held) = history.split_at(cut);
        let (found, _) = baseline(before, trial.periods, trial.horizon);
        let naive = seasonal_naive(before, trial.naive, trial.horizon);
        let mut of_fold = Vec::with_capacity(trial.horizon);
        for ((actual, found), naive) in held.iter().zip(found).zip(naive) {
            let Some(actual) = *actual else { continue };
            sums.take(actual, found);
            naive_sums.take(actual, naive);
            of_fold.push(((actual + 1.0) / (found + 1.0)).ln());
        }
        errors.push(of_fold);
    }
    let all: Vec<f64> = errors.iter().flatten().copied().collect();
    if all.is_empty() {
        return None;
    }
    let test = BackTest {
        folds,
        horizon: trial.horizon,
        mape: sums.mape(),
        wape: sums.wape(),
        naive_mape: naive_sums.mape(),
        naive_wape: naive_sums.wape(),
        coverage: coverage(&errors, trial.level),
    };
    let (lower, upper) = tails(&all, trial.level);
    Some((
        test,
        Spread {
            lower: lower.min(0.0).exp(),
            upper: upper.max(0.0).exp(),
        },
    ))
}

/// Each stretch judged by a band from the others; a single one by its own halves.
fn coverage(errors: &[Vec<f64>], level: f64) -> f64 {
    let (mut inside, mut all) = (0_usize, 0_usize);
    for (fold, own) in errors.iter().enumerate() {
        let mut others: Vec<f64> = errors
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != fold)
            .flat_map(|(_, errors)| errors.iter().copied())
            .collect();
        if others.is_empty() {
            others = own.iter().step_by(2).copied().collect();
        }
        let (low, high) = tails(&others, level);
        let (low, high) = (low.min(0.0), high.max(0.0));
        inside += own.iter().filter(|e| (low..=high).contains(*e)).count();
        all += own.len();
    }
    inside as f64 / all.max(1) as f64
}

/// The two quantiles between which a share `level` of the values lies.
fn tails(values: &[f64], level: f64) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - level) / 2.0;
    (quantile(&sorted, tail), quantile(&sorted, 1.0 - tail))
}

/// Of sorted values, between neighbours along a straight line; 0 of none.
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let at = share.clamp(0.0, 1.0) * last as f64;
    let low = at.floor() as usize;
    let high = (low + 1).min(last);
    sorted[low] + (sorted[high] - sorted[low]) * (at - low as f64)
}

#[derive(Default)]
struct Sums {
    wrong: f64,
    actual: f64,
    shares: f64,
    counted: usize,
}

impl Sums {
    fn take(&mut self, actual: f64, found: f64) {
        let wrong = (actual - found).abs();
        self.wrong += wrong;
        self.actual += actual;
        if actual > 0.0 {
            self.shares += wrong / actual;
            self.counted += 1;
        }
    }
    fn mape(&self) -> f64 {
        self.shares / self.counted.max(1) as f64
    }
    fn wape(&self) -> f64 {
        self.wrong / self.actual.max(f64::MIN_POSITIVE)
    }
}
