//! What would come without a sale: seasons by MSTL, the rest by ETS, on logarithms, so that a
//! busy day's evening is more than a quiet day's by a factor. It must not know what a step is.
//!
//! MSTL: Bandara, Hyndman, Bergmeir, "MSTL: A Seasonal-Trend Decomposition Algorithm for Time
//! Series with Multiple Seasonal Patterns", 2021. ETS: Hyndman et al., "Forecasting with
//! Exponential Smoothing", 2008; an additive or no trend, damped.

use augurs::ets::{AutoETS, trend::AutoETSTrendModel};
use augurs::mstl::MSTLModel;
use augurs::{Fit, Predict};

/// How a forecast was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    MstlEts,
    /// No season was seen twice.
    Ets,
    /// Too little for anything else, or nothing fitted: the mean of what there is.
    Mean,
}

impl Method {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Method::MstlEts => "mstl+ets",
            Method::Ets => "ets",
            Method::Mean => "mean",
        }
    }
}

/// Values from which a smoothing can be fitted at all.
const FIT_VALUES_MIN: usize = 10;

/// The next `horizon` values after `history`, in which `None` is missing. Of `periods` (in steps,
/// ascending) those count that were seen twice.
#[must_use]
pub fn baseline(history: &[Option<f64>], periods: &[usize], horizon: usize) -> (Vec<f64>, Method) {
    let known = || history.iter().flatten().copied();
    let count = known().count();
    let mean = known().sum::<f64>() / count.max(1) as f64;
    let flat = || (vec![mean; horizon], Method::Mean);
    let Some(first) = history.iter().position(Option::is_some) else {
        return flat();
    };
    let history = &history[first..];
    if count < FIT_VALUES_MIN || horizon == 0 {
        return flat();
    }
    let fits = |period: &&usize| **period > 1 && history.len() >= 2 * **period;
    let periods: Vec<usize> = periods.iter().filter(fits).copied().collect();
    let filled = fill(history, &periods);
    let (low, high) = bounds(&filled);
    let logs: Vec<f64> = filled.iter().map(|value| value.ln_1p()).collect();
    let Some((logs, method)) = fitted(&logs, periods, horizon) else {
        return flat();
    };
    // A trend that runs away is no forecast: never beyond twice what was ever seen.
    let back = |log: &f64| log.exp_m1().clamp(low / 2.0, high * 2.0).max(0.0);
    (logs.iter().map(back).collect(), method)
}

/// What came one period before; the bar that a forecast has to beat.
#[must_use]
pub fn seasonal_naive(history: &[Option<f64>], period: usize, horizon: usize) -> Vec<f64> {
    let known: Vec<f64> = history.iter().flatten().copied().collect();
    let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
    let period = period.max(1);
    let last = |step: usize| {
        let mut at = (history.len() + step).checked_sub(period)?;
        while at >= history.len() {
            at = at.checked_sub(period)?;
        }
        // Missing data: one period further back.
        loop {
            if let Some(value) = history[at] {
                return Some(value);
            }
            at = at.checked_sub(period)?;
        }
    };
    (0..horizon)
        .map(|step| last(step).unwrap_or(mean))
        .collect()
}

fn fitted(logs: &[f64], periods: Vec<usize>, horizon: usize) -> Option<(Vec<f64>, Method)> {
    let ets = AutoETS::new(1, "AZN").ok()?;
    let finite = |values: Vec<f64>| {
        values
            .iter()
            .all(|value| value.is_finite())
            .then_some(values)
    };
    if !periods.is_empty() {
        let trend = AutoETSTrendModel::from(ets.clone());
        let model = MSTLModel::new(periods, trend).fit(logs);
        let found = model
            .ok()
            .and_then(|model| model.predict(horizon, None).ok());
        if let Some(values) = found.and_then(|found| finite(found.point)) {
            return Some((values, Method::MstlEts));
        }
    }
    let model = ets.fit(logs).ok()?;
    let found = model.predict(horizon, None).ok()?;
    Some((finite(found.point)?, Method::Ets))
}

/// Missing values from one period before, else after, else between neighbours: a straight line
/// over a missing night would be a busy night.
fn fill(history: &[Option<f64>], periods: &[usize]) -> Vec<f64> {
    let mut filled = history.to_vec();
    for period in periods.iter().rev() {
        for at in 0..filled.len() {
            if filled[at].is_none() {
                let before = at.checked_sub(*period).and_then(|at| filled[at]);
                filled[at] = before.or_else(|| filled.get(at + period).copied().flatten());
            }
        }
    }
    let mut last = filled.iter().flatten().next().copied().unwrap_or(0.0);
    let mut out = Vec::with_capacity(filled.len());
    let mut at = 0;
    while at < filled.len() {
        match filled[at] {
            Some(value) => {
                last = value;
                out.push(value);
                at += 1;
            }
            None => {
                let gap = filled[at..]
                    .iter()
                    .take_while(|value| value.is_none())
                    .count();
                let next = filled.get(at + gap).copied().flatten().unwrap_or(last);
                let part = |step: usize| (step + 1) as f64 / (gap + 1) as f64;
                out.extend((0..gap).map(|step| last + (next - last) * part(step)));
                at += gap;
            }
        }
    }
    out
}

fn bounds(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::MAX, 0.0), |(low, high), value| {
        (f64::min(low, *value), f64::max(high, *value))
    })
}
