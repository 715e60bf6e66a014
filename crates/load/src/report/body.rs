//! The figures of a report, version 1 (`schemas/load-report.json`). Milliseconds are fractions,
//! shares are of one. `None` is "not measured", never nought.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    pub source: Source,
    /// `None`: the file does not say.
    pub scenario: Option<String>,
    pub target: Option<String>,
    pub load: LoadFigures,
    /// All of them together.
    pub total: RequestFigures,
    /// By name.
    pub requests: Vec<RequestFigures>,
    pub seconds: Vec<SecondFigures>,
    pub generator: Option<Generator>,
    pub thresholds: Vec<ThresholdFigures>,
    pub search: Option<SearchFigures>,
    pub remarks: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Run,
    Find,
    /// Their latency counts from the sending, so it is `service_ms` here, and so is that of
    /// seconds.
    K6,
    Jmeter,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadFigures {
    /// Arrivals that the plan had.
    pub planned: Option<u64>,
    /// Of them, sent; of other tools, what they call iterations.
    pub arrived: Option<u64>,
    /// More than 10 ms late.
    pub late: Option<u64>,
    pub planned_per_s: Option<f64>,
    pub seconds: Option<f64>,
    pub requests_per_s: Option<f64>,
    pub buyers_max: Option<u64>,
    pub connections_max: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestFigures {
    pub name: String,
    pub sent: Option<u64>,
    pub errors: Option<u64>,
    /// `good`, `refused`, `status`, `check`, `timed_out`, `broken`, `connect`, `generator`.
    pub ends: BTreeMap<String, u64>,
    /// Of good answers, from the planned instant.
    pub latency_ms: Option<Quantiles>,
    /// Of good answers, from the sending (k6: of all answers).
    pub service_ms: Option<Quantiles>,
    pub refused_ms: Option<Quantiles>,
    pub unexpected_statuses: BTreeMap<String, u64>,
    /// What HTTP/2 or a redirect said, where an end says too little: `REFUSED_STREAM`.
    #[serde(default)]
    pub reasons: BTreeMap<String, u64>,
    pub checks: Vec<CheckFigures>,
    pub bytes: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantiles {
    pub count: Option<u64>,
    pub mean: Option<f64>,
    pub p50: Option<f64>,
    pub p90: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
    pub p999: Option<f64>,
    pub max: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckFigures {
    pub name: String,
    pub passed: u64,
    pub failed: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondFigures {
    pub arrived: Option<u64>,
    pub sent: u64,
    pub good: u64,
    pub refused: u64,
    pub errors: u64,
    /// Of `errors`, by reason.
    pub reasons: BTreeMap<String, u64>,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub buyers: Option<u64>,
    pub connections: Option<u64>,
}

/// What the generator says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generator {
    pub workers: u64,
    /// The worst second of the busiest worker, as a share of a processor.
    pub busiest: f64,
    pub cpu_s: f64,
    /// Wanted to run and could not.
    pub starved_s: f64,
    /// From the planned instant to the first byte on its way.
    pub lag_p99_ms: Option<f64>,
    /// Why the run says nothing of its target; empty when it does.
    pub invalid: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThresholdFigures {
    pub expression: String,
    /// As people read it; `None` if nothing was measured.
    pub seen: Option<String>,
    pub held: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchFigures {
    pub objectives: Vec<String>,
    pub steps: Vec<StepFigures>,
    /// `between`, `at_least`, `below` or `invalid`.
    pub found: String,
    pub held_per_s: Option<f64>,
    pub failed_per_s: Option<f64>,
    pub why: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepFigures {
    pub per_s: f64,
    /// A longer window, to confirm.
    pub confirms: bool,
    pub seconds: u64,
    pub answered_per_s: f64,
    pub latency_ms: Option<Quantiles>,
    pub ends: BTreeMap<String, u64>,
    /// `held`, `failed` or `invalid`.
    pub came_to: String,
    pub because: Vec<String>,
    pub busiest: f64,
    pub lag_p99_ms: f64,
    /// Where the target shows it.
    #[serde(default)]
    pub target: Option<TargetFigures>,
}

/// What a target used during a step, by its own metrics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetFigures {
    /// On the average.
    pub processors: Option<f64>,
    pub memory_bytes: Option<f64>,
    pub open_files: Option<f64>,
}

impl Body {
    /// A body of which nothing is known but where it is from.
    #[must_use]
    pub fn empty(source: Source) -> Body {
        Body {
            source,
            scenario: None,
            target: None,
            load: LoadFigures::default(),
            total: RequestFigures {
                name: "all".to_owned(),
                ..RequestFigures::default()
            },
            requests: Vec::new(),
            seconds: Vec::new(),
            generator: None,
            thresholds: Vec::new(),
            search: None,
            remarks: Vec::new(),
        }
    }

    /// Checks with the name of their request.
    pub fn checks(&self) -> impl Iterator<Item = (&str, &CheckFigures)> {
        let all = std::iter::once(&self.total).chain(&self.requests);
        all.flat_map(|one| one.checks.iter().map(|check| (one.name.as_str(), check)))
    }

    /// Of good answers, whichever clock there is.
    #[must_use]
    pub fn latency(&self) -> Option<&Quantiles> {
        let total = &self.total;
        total.latency_ms.as_ref().or(total.service_ms.as_ref())
    }

    /// Whether latencies count from the planned instant.
    #[must_use]
    pub fn counts_from_plan(&self) -> bool {
        matches!(self.source, Source::Run | Source::Find)
    }
}

impl CheckFigures {
    /// A check that nothing was asked of proves nothing.
    #[must_use]
    pub fn never_ran(&self) -> bool {
        self.passed + self.failed == 0
    }
}
