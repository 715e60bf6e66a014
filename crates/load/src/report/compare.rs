//! Whether two runs differ by more than chance.
//!
//! Series of seconds (p50, p99, good answers) are compared by the Mann–Whitney U test (Mann and
//! Whitney 1947) in its normal approximation, with the correction for ties; the effect is A₁₂, the
//! chance that a second of the second run is above one of the first (Vargha and Delaney 2000:
//! 0.56 is small, 0.64 medium, 0.71 large). Seconds of one run resemble their neighbours, so they
//! count as fewer: n(1 − ρ)/(1 + ρ), ρ the autocorrelation at lag one (Bayley and Hammersley
//! 1946). Shares are compared by the pooled two-proportion z test. `significant` is a two-sided
//! p below 0.01 divided by the number of tests (Bonferroni), and for series an effect that is at
//! least small. It says nothing of why: another machine or hour is a difference too.

use super::body::{Body, Quantiles, RequestFigures, SecondFigures};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write;
use wire::report::{Report, Verdict};

/// Of all tests together.
const ALPHA: f64 = 0.01;
/// A₁₂ this far from a half is a small effect.
const EFFECT_LEAST: f64 = 0.06;
/// Seconds of each run below which the normal approximation is not good.
const SECONDS_LEAST: usize = 8;
/// Expected failures and successes of each run below which a z test is not good.
const EXPECTED_LEAST: f64 = 5.0;
/// Offered rates that differ by more are not the same load.
const RATE_APART: f64 = 0.01;
/// The same, where the rate is what other tools happened to reach.
const RATE_APART_FOREIGN: f64 = 0.05;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    pub a: String,
    pub b: String,
    /// Why they are not comparable; then nothing was compared unless told to.
    pub apart: Vec<String>,
    pub differences: Vec<Difference>,
    /// `Broken`: significantly worse; `None`: not comparable, or nothing could be tested.
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    pub what: String,
    pub a: Option<f64>,
    pub b: Option<f64>,
    /// From a to b, in percent of a.
    pub change_percent: Option<f64>,
    /// `mann_whitney`, `two_proportions`, or `None`: shown without a test.
    pub test: Option<&'static str>,
    pub p: Option<f64>,
    /// A₁₂, or the difference of shares.
    pub effect: Option<f64>,
    pub significant: bool,
    /// Significant, and in the bad direction.
    pub worse: bool,
    #[serde(skip)]
    higher_is_worse: bool,
}

/// Compares `b` with `a`; `anyway` also what is not comparable.
#[must_use]
pub fn compare(a: &Report<Body>, b: &Report<Body>, anyway: bool) -> Comparison {
    let apart = apart(a, b);
    let mut comparison = Comparison {
        a: a.command.clone(),
        b: b.command.clone(),
        differences: Vec::new(),
        verdict: Verdict::None,
        apart,
    };
    if !comparison.apart.is_empty() && !anyway {
        return comparison;
    }
    let mut all = tested(&a.body, &b.body);
    let tests = all.iter().filter(|one| one.p.is_some()).count();
    for one in &mut all {
        let strong = one.test != Some("mann_whitney")
            || one
                .effect
                .is_some_and(|a12| (a12 - 0.5).abs() >= EFFECT_LEAST);
        let rare = one.p.is_some_and(|p| p < ALPHA / tests.max(1) as f64);
        one.significant = rare && strong;
        let up = one.effect.is_some_and(|effect| match one.test {
            Some("mann_whitney") => effect > 0.5,
            _ => effect > 0.0,
        });
        one.worse = one.significant && up == one.higher_is_worse;
    }
    comparison.verdict = match (tests, all.iter().any(|one| one.worse)) {
        (0, _) => Verdict::None,
        (_, true) => Verdict::Broken,
        (_, false) => Verdict::Holds,
    };
    all.extend(shown(&a.body, &b.body));
    comparison.differences = all;
    comparison
}

/// Why two reports are not of one load.
fn apart(a: &Report<Body>, b: &Report<Body>) -> Vec<String> {
    let mut why = Vec::new();
    let (one, two) = (&a.body, &b.body);
    if one.source != two.source {
        why.push(format!(
            "measured by different tools: {:?} and {:?}",
            one.source, two.source
        ));
    }
    if one.search.is_some() || two.search.is_some() {
        why.push("a search has no single load; compare runs".to_owned());
    }
    for (report, which) in [(a, "first"), (b, "second")] {
        if report.verdict == Verdict::None {
            why.push(format!(
                "the {which} says nothing of its target: it has no verdict"
            ));
        }
    }
    if one.scenario != two.scenario {
        let name = |body: &Body| {
            body.scenario
                .clone()
                .unwrap_or_else(|| "unnamed".to_owned())
        };
        why.push(format!(
            "different scenarios: {} and {}",
            name(one),
            name(two)
        ));
    }
    let names = |body: &Body| -> BTreeSet<String> {
        body.requests.iter().map(|one| one.name.clone()).collect()
    };
    if names(one) != names(two) {
        why.push("their requests have different names".to_owned());
    }
    let rate = |body: &Body| body.load.planned_per_s.or(body.load.requests_per_s);
    let known = one.load.planned_per_s.is_some() && two.load.planned_per_s.is_some();
    let most = if known {
        RATE_APART
    } else {
        RATE_APART_FOREIGN
    };
    if let (Some(first), Some(second)) = (rate(one), rate(two))
        && (first - second).abs() > most * first.max(second)
    {
        why.push(format!("different rates: {first:.1}/s and {second:.1}/s"));
    }
    why
}

fn tested(a: &Body, b: &Body) -> Vec<Difference> {
    let mut all = Vec::new();
    let same_clock = a.counts_from_plan() == b.counts_from_plan();
    let mut series = |what: &str, worse: bool, of: &dyn Fn(&SecondFigures) -> Option<f64>| {
        let values = |body: &Body| -> Vec<f64> { body.seconds.iter().filter_map(of).collect() };
        let (one, two) = (values(a), values(b));
        let mut found = difference(what, median(&one), median(&two), worse);
        if let Some((p, effect)) = mann_whitney(&one, &two) {
            found.test = Some("mann_whitney");
            (found.p, found.effect) = (Some(p), Some(effect));
        }
        if !one.is_empty() && !two.is_empty() {
            all.push(found);
        }
    };
    if same_clock {
        series("p50 of seconds, ms", true, &|second| second.p50_ms);
        series("p99 of seconds, ms", true, &|second| second.p99_ms);
    }
    series("good answers a second", false, &|second| {
        Some(second.good as f64)
    });
    type Count = fn(&RequestFigures) -> Option<u64>;
    let shares: [(&str, Count); 2] = [
        ("share of errors", |total| total.errors),
        ("share of refusals", |total| {
            let ends = &total.ends;
            (!ends.is_empty()).then(|| ends.get("refused").copied().unwrap_or(0))
        }),
    ];
    for (what, of) in shares {
        let counted = |body: &Body| Some((of(&body.total)?, body.total.sent.filter(|n| *n > 0)?));
        if let (Some(one), Some(two)) = (counted(a), counted(b)) {
            let share = |(part, whole): (u64, u64)| Some(part as f64 / whole as f64);
            let mut found = difference(what, share(one), share(two), true);
            if let Some((p, effect)) = two_proportions(one, two) {
                found.test = Some("two_proportions");
                (found.p, found.effect) = (Some(p), Some(effect));
            }
            all.push(found);
        }
    }
    all
}

/// Figures of whole runs: one value each, so nothing can be said of chance.
fn shown(a: &Body, b: &Body) -> Vec<Difference> {
    type Part = fn(&Quantiles) -> Option<f64>;
    let parts: [(&str, Part); 6] = [
        ("p50", |of| of.p50),
        ("p90", |of| of.p90),
        ("p95", |of| of.p95),
        ("p99", |of| of.p99),
        ("p99.9", |of| of.p999),
        ("max", |of| of.max),
    ];
    let mut all = Vec::new();
    for (clock, planned) in [("from the plan", true), ("from the sending", false)] {
        let of = |body: &Body| match planned {
            true => body.total.latency_ms.clone(),
            false => body.total.service_ms.clone(),
        };
        if let (Some(one), Some(two)) = (of(a), of(b)) {
            for (name, part) in parts {
                let what = format!("{name} {clock}, ms");
                all.push(difference(&what, part(&one), part(&two), true));
            }
        }
    }
    let rate = |body: &Body| body.load.requests_per_s;
    all.push(difference("requests/s", rate(a), rate(b), false));
    all.retain(|one| one.a.is_some() && one.b.is_some());
    all
}

fn difference(what: &str, a: Option<f64>, b: Option<f64>, higher_is_worse: bool) -> Difference {
    let both = a.zip(b).filter(|(a, _)| *a != 0.0);
    Difference {
        what: what.to_owned(),
        a,
        b,
        change_percent: both.map(|(a, b)| (b - a) / a * 100.0),
        test: None,
        p: None,
        effect: None,
        significant: false,
        worse: false,
        higher_is_worse,
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.len().checked_sub(1)? / 2, sorted.len() / 2);
    Some(f64::midpoint(*sorted.get(low)?, *sorted.get(high)?))
}

/// Two-sided p and A₁₂ of `b` above `a`; `None` for too few values.
pub(super) fn mann_whitney(a: &[f64], b: &[f64]) -> Option<(f64, f64)> {
    if a.len() < SECONDS_LEAST || b.len() < SECONDS_LEAST {
        return None;
    }
    let (n_a, n_b) = (a.len() as f64, b.len() as f64);
    let n = n_a + n_b;
    let mut all: Vec<(f64, bool)> = a.iter().map(|value| (*value, false)).collect();
    all.extend(b.iter().map(|value| (*value, true)));
    all.sort_by(|one, two| one.0.total_cmp(&two.0));
    let (mut ranks_b, mut ties) = (0.0, 0.0);
    for same in all
        .chunk_by(|one, two| one.0 == two.0)
        .scan(0, |before, same| {
            let from = *before;
            *before += same.len();
            Some((from, same))
        })
    {
        let (before, same) = same;
        let many = same.len() as f64;
        // Equal values share the mean of their ranks.
        let rank = before as f64 + (many + 1.0) / 2.0;
        ranks_b += rank * same.iter().filter(|one| one.1).count() as f64;
        ties += many * many * many - many;
    }
    let u = ranks_b - n_b * (n_b + 1.0) / 2.0;
    let effect = u / (n_a * n_b);
    let variance = n_a * n_b / 12.0 * (n + 1.0 - ties / (n * (n - 1.0)));
    if variance <= 0.0 {
        return Some((1.0, effect));
    }
    let worth = (worth(a) * n_a + worth(b) * n_b) / n;
    let z = (u - n_a * n_b / 2.0) / variance.sqrt() * worth.sqrt();
    Some((two_sided(z), effect))
}

/// For how much of a value each counts, given how alike neighbours are.
fn worth(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let all: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let pairs = values.windows(2);
    let next: f64 = pairs.map(|two| (two[0] - mean) * (two[1] - mean)).sum();
    // Equal values differ from their mean by rounding, and alike at that.
    let rounding = mean * mean * values.len() as f64 * 1e-12;
    let alike = match all > rounding {
        true => (next / all).clamp(0.0, 0.99),
        false => 0.0,
    };
    (1.0 - alike) / (1.0 + alike)
}

/// Two-sided p and the difference of shares; `None` for too few.
pub(super) fn two_proportions(a: (u64, u64), b: (u64, u64)) -> Option<(f64, f64)> {
    let (n_a, n_b) = (a.1 as f64, b.1 as f64);
    let pooled = (a.0 + b.0) as f64 / (n_a + n_b);
    let least = n_a.min(n_b) * pooled.min(1.0 - pooled);
    if least < EXPECTED_LEAST {
        return None;
    }
    let effect = b.0 as f64 / n_b - a.0 as f64 / n_a;
    let spread = (pooled * (1.0 - pooled) * (1.0 / n_a + 1.0 / n_b)).sqrt();
    Some((two_sided(effect / spread), effect))
}

/// Abramowitz and Stegun 26.2.17, good to 7.5e-8.
fn two_sided(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let series = [
        1.330_274_429,
        -1.821_255_978,
        1.781_477_937,
        -0.356_563_782,
        0.319_381_530,
    ];
    let sum = series.iter().fold(0.0, |sum, one| (sum + one) * t);
    let density = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    (2.0 * density * sum).clamp(0.0, 1.0)
}

impl Comparison {
    /// For a terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = format!("a: {}\nb: {}\n", self.a, self.b);
        for why in &self.apart {
            // Writing to a string cannot fail.
            _ = writeln!(out, "not comparable: {why}");
        }
        if !self.differences.is_empty() {
            _ = writeln!(
                out,
                "\n{:<28} {:>12} {:>12} {:>10} {:>9} {:>8}",
                "", "a", "b", "change", "p", "effect"
            );
        }
        for one in &self.differences {
            let figure = |value: Option<f64>, digits: usize| {
                value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
            };
            let change = one.change_percent.map(|change| format!("{change:+.1} %"));
            let p = match one.p {
                Some(p) if p < 0.0001 => "<0.0001".to_owned(),
                p => figure(p, 4),
            };
            let word = match (one.test.is_some(), one.significant, one.worse) {
                (false, ..) => "not tested",
                (true, false, _) => "not significant",
                (true, true, true) => "significant: worse",
                (true, true, false) => "significant: better",
            };
            let digits = if one.what.starts_with("share") { 5 } else { 2 };
            _ = writeln!(
                out,
                "{:<28} {:>12} {:>12} {:>10} {:>9} {:>8}  {word}",
                one.what,
                figure(one.a, digits),
                figure(one.b, digits),
                change.unwrap_or_else(|| "–".to_owned()),
                p,
                figure(one.effect, 3),
            );
        }
        out.push_str(match self.verdict {
            Verdict::Holds => "\nVerdict: not significantly worse.\n",
            Verdict::Broken => "\nVerdict: significantly worse.\n",
            Verdict::None => "\nVerdict: none.\n",
        });
        out.push_str(
            "Significant: p < 0.01 over all tests, and for series an effect (A12) beyond 0.5 ± \
             0.06. Seconds by Mann–Whitney U, shares by a two-proportion z test.\n",
        );
        out
    }
}
