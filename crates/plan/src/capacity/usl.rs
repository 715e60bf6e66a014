//! How throughput follows concurrency: the Universal Scalability Law, fitted to the steps of load
//! reports, and the knee that it shows – with its uncertainty, or why there is none to see.
//!
//! X(N) = γN / (1 + α(N−1) + βN(N−1)), with α for contention and β for coherency: N. Gunther,
//! "Guerrilla Capacity Planning", Springer 2007, chapters 4–6. By Little's law N = X·R, so the law
//! says of the mean latency R(N) = (1 + α(N−1) + βN(N−1))/γ, which is linear in what is looked
//! for: least squares of relative errors, no coefficient below nought.
//!
//! A step that did not keep up had a queue that grew: its concurrency is whatever the step's
//! length made of it. It is not fitted, but it bounds the knee from both sides.

use crate::limits::LOAD_STEPS_MAX;

/// One step of a load report.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Requests a second that were sent.
    pub offered_per_s: f64,
    /// Good answers a second.
    pub answered_per_s: f64,
    /// Mean milliseconds of good answers.
    pub mean_ms: f64,
}

/// The law with its coefficients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curve {
    /// Requests a second of one request at a time.
    pub gamma: f64,
    /// Contention: the share of the work that cannot be done beside other work.
    pub alpha: f64,
    /// Coherency: what each pair of requests costs.
    pub beta: f64,
}

/// Where more load brings no more answers, in requests a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knee {
    pub per_s: f64,
    /// Two standard errors below (jackknife), and never below what was measured.
    pub low: f64,
    pub high: f64,
}

/// Why no knee can be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NotShown {
    TooFew {
        steady: usize,
    },
    /// Latency does not grow with load, or the highest step is far below where the curve bends.
    NoBend {
        highest_per_s: f64,
        fitted_per_s: Option<f64>,
    },
    Uncertain {
        low: f64,
        high: f64,
    },
}

/// What may be told of a knee, and from where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shown {
    pub curve: Curve,
    pub knee: Knee,
    /// Steps that kept up, and those that did not.
    pub steady: usize,
    pub flooded: usize,
}

/// Steps that kept up, at least; three coefficients and something to be wrong with.
pub const STEADY_STEPS_MIN: usize = 4;
/// A step that answered less than this share of what was sent did not keep up.
const KEPT_UP: f64 = 0.95;
/// The highest step must have reached this share of the knee that it is to show.
const REACHED: f64 = 0.88;
/// Beyond this width, as a share of the knee, it says nothing.
const WIDTH_MAX: f64 = 0.25;

impl Curve {
    /// Requests a second with so many at once.
    #[must_use]
    pub fn throughput(&self, n: f64) -> f64 {
        self.gamma * n / (1.0 + self.alpha * (n - 1.0) + self.beta * n * (n - 1.0))
    }

    /// The most it comes to; `None` if nothing bends it.
    #[must_use]
    pub fn peak(&self) -> Option<f64> {
        if self.beta > 0.0 {
            let n = ((1.0 - self.alpha).max(0.0) / self.beta).sqrt().max(1.0);
            return Some(self.throughput(n));
        }
        (self.alpha > 0.0).then(|| self.gamma / self.alpha)
    }
}

/// Fits the curve and tells its knee.
pub fn fit(steps: &[Step]) -> Result<Shown, NotShown> {
    let good = |step: &&Step| {
        step.answered_per_s > 0.0 && step.mean_ms > 0.0 && step.offered_per_s.is_finite()
    };
    let steps: Vec<Step> = steps
        .iter()
        .filter(good)
        .take(LOAD_STEPS_MAX)
        .copied()
        .collect();
    let kept_up = |step: &Step| step.answered_per_s >= KEPT_UP * step.offered_per_s;
    let (steady, flooded): (Vec<Step>, Vec<Step>) = steps.iter().partition(|step| kept_up(step));
    if steady.len() < STEADY_STEPS_MIN {
        return Err(NotShown::TooFew {
            steady: steady.len(),
        });
    }
    let most = |steps: &[Step]| steps.iter().map(|s| s.answered_per_s).fold(0.0, f64::max);
    let highest = most(&steps);
    let (curve, per_s) = knee(&steady, &flooded, highest);
    let Some(per_s) = per_s.filter(|per_s| highest >= REACHED * per_s) else {
        return Err(NotShown::NoBend {
            highest_per_s: highest,
            fitted_per_s: per_s,
        });
    };
    let ceiling = ceiling(&flooded, highest);
    let error = match curve.peak() {
        Some(peak) if peak < ceiling => 2.0 * jackknife(&steady, &flooded, highest),
        _ => ceiling - per_s,
    };
    let knee = Knee {
        per_s,
        low: (per_s - error).max(most(&steady)).min(per_s),
        high: (per_s + error).min(ceiling).max(per_s),
    };
    if knee.high - knee.low > WIDTH_MAX * knee.per_s {
        return Err(NotShown::Uncertain {
            low: knee.low,
            high: knee.high,
        });
    }
    Ok(Shown {
        curve,
        knee,
        steady: steady.len(),
        flooded: flooded.len(),
    })
}

/// Nothing that did not keep up was below the knee: the lowest rate sent then is above it. And if
/// one of them answered about as much as was ever answered, then that is all there is.
fn ceiling(flooded: &[Step], highest: f64) -> f64 {
    let plateau = flooded
        .iter()
        .any(|step| step.answered_per_s >= KEPT_UP * highest);
    let sent = flooded.iter().map(|step| step.offered_per_s);
    let most = if plateau {
        highest / KEPT_UP
    } else {
        f64::INFINITY
    };
    sent.fold(most, f64::min).max(highest)
}

/// The curve of the steady steps, and its peak between what was answered and what was too much.
fn knee(steady: &[Step], flooded: &[Step], highest: f64) -> (Curve, Option<f64>) {
    let curve = least_squares(steady);
    let ceiling = ceiling(flooded, highest);
    let peak = match curve.peak() {
        Some(peak) if peak < ceiling => Some(peak.max(highest)),
        // The curve knows less than the bracket: the middle of it.
        Some(_) | None if ceiling.is_finite() => Some(highest.midpoint(ceiling)),
        peak => peak,
    };
    (curve, peak)
}

/// The standard error of the knee: how much it moves when one step is left out (Efron 1982).
fn jackknife(steady: &[Step], flooded: &[Step], highest: f64) -> f64 {
    let without = |left_out: usize| {
        let rest: Vec<Step> = steady
            .iter()
            .enumerate()
            .filter_map(|(index, step)| (index != left_out).then_some(*step))
            .collect();
        knee(&rest, flooded, highest).1
    };
    let knees: Vec<f64> = (0..steady.len()).filter_map(without).collect();
    let n = knees.len().max(1) as f64;
    let mean = knees.iter().sum::<f64>() / n;
    let squares: f64 = knees.iter().map(|knee| (knee - mean).powi(2)).sum();
    ((n - 1.0) / n * squares).sqrt()
}

/// Of all choices of coefficients that stay at or above nought, the one with the least error.
fn least_squares(steps: &[Step]) -> Curve {
    let rows: Vec<[f64; 3]> = steps
        .iter()
        .map(|step| {
            let seconds = step.mean_ms / 1e3;
            let n = step.answered_per_s * seconds;
            [1.0, n - 1.0, n * (n - 1.0)].map(|column| column / seconds)
        })
        .collect();
    let mut best: Option<(f64, [f64; 3])> = None;
    for columns in [&[0, 1, 2][..], &[0, 1], &[0, 2], &[0]] {
        let Some(found) = solve(&rows, columns) else {
            continue;
        };
        if found.iter().any(|value| *value < 0.0) || found[0] <= 0.0 {
            continue;
        }
        let error = |row: &[f64; 3]| {
            let said: f64 = row.iter().zip(&found).map(|(a, b)| a * b).sum();
            (said - 1.0).powi(2)
        };
        let sum: f64 = rows.iter().map(error).sum();
        if best.is_none_or(|(least, _)| sum < least) {
            best = Some((sum, found));
        }
    }
    let [a, b, c] = best.map_or([1.0, 0.0, 0.0], |(_, found)| found);
    Curve {
        gamma: 1.0 / a,
        alpha: b / a,
        beta: c / a,
    }
}

/// Normal equations of the chosen columns, by Gauss and Jordan with pivots; `None` where the steps
/// cannot tell the columns apart.
fn solve(rows: &[[f64; 3]], columns: &[usize]) -> Option<[f64; 3]> {
    let size = columns.len();
    let mut m = [[0.0; 4]; 3];
    for row in rows {
        for (i, a) in columns.iter().enumerate() {
            for (j, b) in columns.iter().enumerate() {
                m[i][j] += row[*a] * row[*b];
            }
            m[i][size] += row[*a];
        }
    }
    for i in 0..size {
        let pivot = (i..size).max_by(|a, b| m[*a][i].abs().total_cmp(&m[*b][i].abs()))?;
        m.swap(i, pivot);
        let divisor = m[i][i];
        if divisor.abs() < f64::EPSILON {
            return None;
        }
        let above = m[i];
        for (k, row) in m.iter_mut().enumerate().take(size).filter(|(k, _)| *k != i) {
            debug_assert!(k < size);
            let factor = row[i] / divisor;
            for (cell, above) in row.iter_mut().zip(above) {
                *cell -= factor * above;
            }
        }
    }
    let mut found = [0.0; 3];
    for (i, column) in columns.iter().enumerate() {
        found[*column] = m[i][size] / m[i][i];
    }
    Some(found)
}

impl NotShown {
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            NotShown::TooFew { steady } => format!(
                "only {steady} steps kept up with their rate; a curve needs {STEADY_STEPS_MIN} at \
                 different rates"
            ),
            NotShown::NoBend {
                highest_per_s,
                fitted_per_s: None,
            } => format!(
                "latency does not grow up to {highest_per_s:.0}/s: the knee is somewhere above, \
                 and no step went there"
            ),
            NotShown::NoBend {
                highest_per_s,
                fitted_per_s: Some(fitted),
            } => format!(
                "the highest step had {highest_per_s:.0}/s and the curve bends near \
                 {fitted:.0}/s: too far away to be told from these steps"
            ),
            NotShown::Uncertain { low, high } => format!(
                "the steps say anything from {low:.0}/s to {high:.0}/s; more steps near the knee \
                 are needed"
            ),
        }
    }
}
