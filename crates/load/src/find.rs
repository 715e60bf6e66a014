//! `load find`: the search with real windows. Each try is a run of its own at one rate; its first
//! part is warm-up and does not count, and the target may come to rest before the next.

use crate::arrivals::{Plan, Segment, Spacing};
use crate::generator::{Ended, Generator};
use crate::limits::{FIND_ABORT_FACTOR, FIND_FAR_FACTOR, FIND_REST_MS};
use crate::measure::Second;
use crate::metrics::{Metrics, Used};
use crate::report::Quantiles;
use crate::run::{RunError, invalid};
use crate::search::{Found, Next, Search, Settings, Told};
use crate::slo::{Objective, What};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How to find.
#[derive(Clone)]
pub struct Finding {
    pub settings: Settings,
    pub objectives: Vec<Objective>,
    /// Of one window, with its warm-up.
    pub window_s: u32,
    pub warm_s: u32,
    /// Of a confirming one.
    pub long_s: u32,
    pub spacing: Spacing,
    /// Where the target shows what it uses.
    pub metrics: Option<Arc<Metrics>>,
}

/// One try.
#[derive(Clone, Debug)]
pub struct Step {
    pub per_s: f64,
    pub long: bool,
    /// Without the warm-up.
    pub window: Second,
    /// Of another tool, which does not give its histogram.
    pub latency_ms: Option<Quantiles>,
    /// Seconds that the window had.
    pub seconds: usize,
    pub told: Told,
    /// Why it did not hold.
    pub because: Vec<String>,
    pub cpu_share: f64,
    pub lag_p99_us: u64,
    /// What the target used, where it shows it.
    pub used: Option<Used>,
}

impl Step {
    /// Answers a second.
    #[must_use]
    pub fn answered_per_s(&self) -> f64 {
        self.window.answered() as f64 / self.seconds.max(1) as f64
    }
}

/// Searches until it is done or `stop` is set; `each` hears of every try.
pub fn find(
    generator: &dyn Generator,
    finding: &Finding,
    stop: &AtomicBool,
    each: impl FnMut(&Step),
) -> Result<Found, RunError> {
    let tried = |rate| try_rate(generator, finding, rate, stop);
    find_with(finding, stop, each, tried)
}

/// The same, whoever sends: `tried` tries a rate, for longer if it is to confirm.
pub fn find_with<E>(
    finding: &Finding,
    stop: &AtomicBool,
    mut each: impl FnMut(&Step),
    tried: impl Fn((f64, bool)) -> Result<Step, E>,
) -> Result<Found, E> {
    let mut search = Search::new(finding.settings);
    loop {
        let (per_s, long) = match search.next() {
            Next::Done(found) => return Ok(found),
            Next::Try { per_s, long } => (per_s, long),
        };
        let step = tried((per_s, long));
        if stop.load(Ordering::Relaxed) {
            let why = "stopped by the operator".to_owned();
            return Ok(Found::Invalid { why });
        }
        let step = step?;
        each(&step);
        search.tell(step.told);
        std::thread::sleep(Duration::from_millis(FIND_REST_MS));
    }
}

fn try_rate(
    generator: &dyn Generator,
    finding: &Finding,
    (per_s, long): (f64, bool),
    stop: &AtomicBool,
) -> Result<Step, RunError> {
    let seconds = if long {
        finding.long_s
    } else {
        finding.window_s
    };
    let plan = Plan {
        segments: vec![Segment::constant(per_s, u64::from(seconds) * 1_000_000)],
        spacing: finding.spacing,
    };
    let watched = finding.metrics.as_ref().map(|metrics| metrics.watch());
    let run = generator.start(plan)?;
    let (mut seen, mut hopeless) = (0, 0);
    while !run.is_over() {
        std::thread::sleep(Duration::from_millis(50));
        let fresh = run.seconds(seen);
        seen += fresh.len();
        for second in &fresh {
            let bad = is_hopeless(second, &finding.objectives);
            hopeless = if bad { hopeless + 1 } else { 0 };
        }
        // High load beyond what holds harms a target and shows nothing more.
        if hopeless >= 2 || stop.load(Ordering::Relaxed) {
            run.stop();
        }
    }
    let used = watched.and_then(|watched| watched.used());
    let ended = run.join()?;
    let measured = &ended.measured;
    let cut = hopeless >= 2;
    let warm = finding.warm_s.min(seconds.saturating_sub(1)) as usize;
    let end = match cut {
        true => seen.max(1),
        false => seconds as usize,
    };
    let counted = measured.seconds.get(warm.min(end.saturating_sub(1))..end);
    let counted = counted.unwrap_or_default();
    let mut window = Second::default();
    counted.iter().for_each(|second| window.add(second));
    let (mut told, because) = judge(&ended, counted, &window, &finding.objectives, cut);
    if let Told::Failed { served_per_s, .. } = &mut told {
        *served_per_s = window.answered() / counted.len().max(1) as u64;
    }
    Ok(Step {
        per_s,
        long,
        seconds: counted.len(),
        window,
        told,
        because,
        cpu_share: measured.busiest,
        lag_p99_us: measured.lag.quantile_us(0.99).unwrap_or(0),
        latency_ms: None,
        used,
    })
}

/// So far from the objectives that waiting longer changes nothing.
fn is_hopeless(second: &Second, objectives: &[Objective]) -> bool {
    let all: u64 = second.ends.iter().sum();
    let mostly_errors = second.errors() * 2 > all.max(1);
    let far = objectives.iter().any(|objective| match objective.what {
        What::Errors | What::Refused => false,
        What::Quantile(_) | What::Mean | What::Max => {
            let median = second.latency.quantile_us(0.5);
            median.is_some_and(|us| us as f64 > objective.most * FIND_ABORT_FACTOR)
        }
    });
    mostly_errors || far
}

fn judge(
    ended: &Ended,
    counted: &[Second],
    window: &Second,
    objectives: &[Objective],
    cut: bool,
) -> (Told, Vec<String>) {
    let mut because: Vec<String> = objectives
        .iter()
        .filter(|objective| !objective.holds(window))
        .map(|objective| format!("{objective} is {}", objective.seen(window)))
        .collect();
    if let Some(why) = falls_behind(counted) {
        because.push(why);
    }
    if cut {
        because.push("cut short: far beyond the objectives".to_owned());
    }
    let own = invalid(&ended.measured, cut).into_iter();
    let mut own: Vec<String> = own.map(|why| why.to_string()).collect();
    own.extend(ended.broken.iter().cloned());
    match (own.is_empty(), because.is_empty()) {
        (false, _) => {
            let why = own.join("; ");
            (Told::Invalid(why.clone()), vec![why])
        }
        (true, true) => (Told::Held, because),
        (true, false) => {
            let far = objectives.iter().any(|objective| {
                let value = objective.value(window);
                value.is_none_or(|value| value > objective.most * FIND_FAR_FACTOR)
            });
            let far = cut || far;
            let failed = Told::Failed {
                far,
                served_per_s: 0,
            };
            (failed, because)
        }
    }
}

/// More come than leave, and those who are there wait longer: it holds only because the window is
/// short.
fn falls_behind(counted: &[Second]) -> Option<String> {
    let third = counted.len() / 3;
    if third == 0 {
        return None;
    }
    let part = |seconds: &[Second]| {
        let mut sum = Second::default();
        seconds.iter().for_each(|second| sum.add(second));
        sum
    };
    let (first, last) = (
        part(&counted[..third]),
        part(&counted[counted.len() - third..]),
    );
    let medians = (
        first.latency.quantile_us(0.5),
        last.latency.quantile_us(0.5),
    );
    let (Some(before), Some(after)) = medians else {
        return None;
    };
    let arrived: u64 = counted.iter().map(|second| second.arrived).sum();
    let more = counted
        .last()?
        .buyers
        .saturating_sub(counted.first()?.buyers);
    // Three standard deviations of a Poisson process are chance.
    let chance = 3.0 * (arrived as f64).sqrt();
    let grows = more as f64 > (arrived as f64 * 0.01).max(chance.min(arrived as f64 * 0.05));
    (grows && after > before + before / 2).then(|| {
        format!(
            "it falls behind: {more} more under way at the end, the median went from {:.1} to \
             {:.1} ms",
            before as f64 / 1e3,
            after as f64 / 1e3
        )
    })
}
