//! Figures from what was measured, and the verdict on them.

use super::body::{
    Body, CheckFigures, Generator, LoadFigures, Quantiles, RequestFigures, SearchFigures,
    SecondFigures, Source, StepFigures, TargetFigures, ThresholdFigures,
};
use crate::find::Step;
use crate::measure::{End, Latency, Measured, Named, Second};
use crate::run::invalid;
use crate::search::{Found, Told};
use crate::slo::Objective;
use std::collections::BTreeMap;
use wire::report::{Build, Machine, Report, VERSION, Verdict};

/// What was run against what.
#[derive(Clone, Debug, Default)]
pub struct About {
    pub scenario: String,
    pub target: String,
    pub thresholds: Vec<ThresholdFigures>,
    /// The plan was not followed to its end.
    pub stopped: bool,
    pub remarks: Vec<String>,
}

/// Who ran it, where and when.
#[derive(Clone, Debug)]
pub struct Ran {
    pub command: String,
    pub build: Build,
    pub machine: Machine,
    /// RFC 3339, in UTC.
    pub started: String,
    pub seconds: f64,
}

/// The report, judged.
#[must_use]
pub fn envelope(body: Body, ran: Ran) -> Report<Body> {
    let verdict = body.verdict();
    let kind = if body.search.is_some() {
        "find"
    } else {
        "load"
    };
    let name = body.scenario.clone();
    Report {
        version: VERSION,
        kind: kind.to_owned(),
        name: name.unwrap_or_else(|| "unnamed".to_owned()),
        verdict,
        exit_code: verdict.exit_code(),
        command: ran.command,
        build: ran.build,
        machine: ran.machine,
        started: ran.started,
        seconds: ran.seconds,
        body,
    }
}

impl Body {
    #[must_use]
    pub fn of_run(measured: &Measured, about: About) -> Body {
        let seconds = measured.wall_us as f64 / 1e6;
        let total = measured.total();
        // Seconds after the plan's end hold what was still under way.
        let planned = measured.planned as f64;
        let arriving = measured.seconds.iter().rposition(|s| s.arrived > 0);
        let arriving = arriving.map(|last| last as f64 + 1.0);
        let why = invalid(measured, about.stopped);
        Body {
            scenario: Some(about.scenario),
            target: Some(about.target),
            load: LoadFigures {
                planned: Some(measured.planned),
                arrived: Some(measured.arrived),
                late: Some(measured.late),
                planned_per_s: arriving.map(|seconds| planned / seconds),
                seconds: Some(seconds),
                requests_per_s: (seconds > 0.0).then(|| total.sent as f64 / seconds),
                buyers_max: Some(measured.buyers_max),
                connections_max: Some(measured.connections_max),
            },
            total: request(&total),
            requests: measured.named.iter().map(request).collect(),
            seconds: measured.seconds.iter().map(second).collect(),
            generator: Some(Generator {
                workers: measured.workers,
                busiest: measured.busiest,
                cpu_s: measured.cpu_ns as f64 / 1e9,
                starved_s: measured.starved_ns as f64 / 1e9,
                lag_p99_ms: measured.lag.quantile_us(0.99).map(ms),
                invalid: why.iter().map(ToString::to_string).collect(),
            }),
            thresholds: about.thresholds,
            remarks: about.remarks,
            ..Body::empty(Source::Run)
        }
    }

    #[must_use]
    pub fn of_find(steps: &[Step], found: &Found, asked: &[Objective], about: About) -> Body {
        let (word, held_per_s, failed_per_s, why) = match found {
            Found::Between {
                held_per_s,
                failed_per_s,
            } => ("between", Some(*held_per_s), Some(*failed_per_s), None),
            Found::AtLeast { held_per_s, why } => {
                ("at_least", Some(*held_per_s), None, Some(why.clone()))
            }
            Found::Below { failed_per_s } => ("below", None, Some(*failed_per_s), None),
            Found::Invalid { why } => ("invalid", None, None, Some(why.clone())),
        };
        Body {
            scenario: Some(about.scenario),
            target: Some(about.target),
            thresholds: about.thresholds,
            search: Some(SearchFigures {
                objectives: asked.iter().map(ToString::to_string).collect(),
                steps: steps.iter().map(step).collect(),
                found: word.to_owned(),
                held_per_s,
                failed_per_s,
                why,
            }),
            remarks: about.remarks,
            ..Body::empty(Source::Find)
        }
    }

    /// No verdict when the generator was the limit; bad when a threshold does not hold, when a
    /// check was never asked, or when not even the first rate held.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let own = self.generator.as_ref();
        let found = self.search.as_ref().map(|search| search.found.as_str());
        if own.is_some_and(|own| !own.invalid.is_empty()) || found == Some("invalid") {
            return Verdict::None;
        }
        let bad = self.thresholds.iter().any(|threshold| !threshold.held)
            || self.checks().any(|(_, check)| check.never_ran())
            || found == Some("below");
        if bad { Verdict::Broken } else { Verdict::Holds }
    }
}

fn ms(us: u64) -> f64 {
    us as f64 / 1e3
}

pub(super) fn quantiles(latency: &Latency) -> Option<Quantiles> {
    let of = |share| latency.quantile_us(share).map(ms);
    (latency.count() > 0).then(|| Quantiles {
        count: Some(latency.count()),
        mean: Some(latency.mean_us() / 1e3),
        p50: of(0.5),
        p90: of(0.9),
        p95: of(0.95),
        p99: of(0.99),
        p999: of(0.999),
        max: latency.max_us().map(ms),
    })
}

fn ends(count: impl Fn(End) -> u64, wanted: impl Fn(End) -> bool) -> BTreeMap<String, u64> {
    let wanted = End::ALL
        .into_iter()
        .filter(|end| wanted(*end) && count(*end) > 0);
    wanted
        .map(|end| (end.name().to_owned(), count(end)))
        .collect()
}

pub(super) fn request(named: &Named) -> RequestFigures {
    let check = |check: &crate::measure::Checks| CheckFigures {
        name: check.name.clone(),
        passed: check.passed,
        failed: check.failed,
    };
    let statuses = named.statuses.iter();
    RequestFigures {
        name: named.name.clone(),
        sent: Some(named.sent),
        errors: Some(named.errors()),
        ends: ends(|end| named.ended(end), |_| true),
        latency_ms: quantiles(&named.latency),
        service_ms: quantiles(&named.service),
        refused_ms: quantiles(&named.refusals),
        unexpected_statuses: statuses.map(|(code, n)| (code.to_string(), *n)).collect(),
        reasons: named.reasons.clone(),
        checks: named.checks.iter().map(check).collect(),
        bytes: Some(named.bytes),
    }
}

pub(super) fn second(second: &Second) -> SecondFigures {
    SecondFigures {
        arrived: Some(second.arrived),
        sent: second.sent,
        good: second.ended(End::Good),
        refused: second.ended(End::Refused),
        errors: second.errors(),
        reasons: ends(|end| second.ended(end), End::is_error),
        p50_ms: second.latency.quantile_us(0.5).map(ms),
        p99_ms: second.latency.quantile_us(0.99).map(ms),
        buyers: Some(second.buyers),
        connections: Some(second.connections),
    }
}

fn step(step: &Step) -> StepFigures {
    let came_to = match step.told {
        Told::Held => "held",
        Told::Failed { .. } => "failed",
        Told::Invalid(_) => "invalid",
    };
    StepFigures {
        per_s: step.per_s,
        confirms: step.long,
        seconds: step.seconds as u64,
        answered_per_s: step.answered_per_s(),
        latency_ms: step
            .latency_ms
            .clone()
            .or_else(|| quantiles(&step.window.latency)),
        ends: ends(|end| step.window.ended(end), |_| true),
        came_to: came_to.to_owned(),
        because: step.because.clone(),
        busiest: step.cpu_share,
        lag_p99_ms: ms(step.lag_p99_us),
        target: step.used.map(|used| TargetFigures {
            processors: used.processors,
            memory_bytes: used.memory_bytes,
            open_files: used.open_files,
        }),
    }
}
