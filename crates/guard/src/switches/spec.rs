//! What a switch is, as configuration says it, and the check of a whole set: all problems at once,
//! each with its switch, what was found and what was expected. It must not know any state.

use crate::facts::RouteId;
use crate::limits::{
    SWITCH_DURATION_MS_MAX, SWITCH_DURATION_MS_MIN, SWITCH_FEATURES_MAX, SWITCH_METRICS_MAX,
    SWITCH_ROUTES_MAX, SWITCH_TEXT_BYTES_MAX, SWITCHES_MAX,
};
use crate::time::Nanos;

/// A page that is ready in the shell, by its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageId(pub u16);

/// A stub answer that is ready in the shell, by its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StubId(pub u16);

/// A feature by its place in [`SwitchSet::features`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FeatureId(pub u16);

/// A measured series that triggers may look at, by its place in the shell's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MetricId(pub u16);

/// What is done instead of serving. The order is that of strength: of several with one priority,
/// the first comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    Shed,
    StaticPage(PageId),
    Stub(StubId),
    RedirectSimplified,
    /// A stored answer, however old; without one, what comes next counts.
    ServeStale,
    /// Goes on with the feature left out: a header to the upstream, a flag to pages.
    Shield(FeatureId),
}

impl Action {
    /// Answers by itself, so that nothing after it is asked.
    #[must_use]
    pub fn is_answer(self) -> bool {
        match self {
            Action::Shed | Action::StaticPage(_) | Action::Stub(_) | Action::RedirectSimplified => {
                true
            }
            Action::ServeStale | Action::Shield(_) => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Everywhere,
    Routes(Vec<RouteId>),
}

/// Wall-clock time in milliseconds since 1970: on from `from_ms` until just before `until_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub from_ms: u64,
    pub until_ms: u64,
}

/// On once the metric was above `above` for `above_for`; with automatic recovery off once it was
/// below `below` for `below_for`. Between the two nothing changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trigger {
    pub metric: MetricId,
    pub above: f64,
    pub above_for: Nanos,
    pub below: f64,
    pub below_for: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    Automatic,
    /// Once triggered, only an operator or the longest duration ends it.
    Manual,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SwitchSpec {
    pub name: String,
    pub owner: String,
    pub reason: String,
    pub target: Target,
    pub action: Action,
    /// Higher ones come first.
    pub priority: u8,
    pub schedule: Option<Schedule>,
    pub trigger: Option<Trigger>,
    pub recovery: Recovery,
    /// It ends by itself after this time, whatever turned it on, and says so.
    pub duration_max: Nanos,
}

/// A feature of the pages; `on` unless shielded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    pub name: String,
    /// What clients of flags see as the variant, on and shielded.
    pub variant_on: String,
    pub variant_shielded: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct SwitchSet {
    pub switches: Vec<SwitchSpec>,
    pub features: Vec<Feature>,
    /// How many routes and metrics there are.
    pub routes: u16,
    pub metrics: u16,
}

/// One thing to put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchProblem {
    /// The switch's place, or none for the set.
    pub switch: Option<usize>,
    pub field: &'static str,
    pub found: String,
    pub expected: String,
}

impl SwitchSet {
    /// Everything that is wrong, in the order of the file; empty if nothing is.
    #[must_use]
    pub fn problems(&self) -> Vec<SwitchProblem> {
        let mut found = Vec::new();
        let bounds = [
            ("switches", self.switches.len(), SWITCHES_MAX),
            ("features", self.features.len(), SWITCH_FEATURES_MAX),
            ("routes", self.routes.into(), SWITCH_ROUTES_MAX),
            ("metrics", self.metrics.into(), SWITCH_METRICS_MAX),
        ];
        for (field, count, most) in bounds {
            if count > most {
                found.push(problem(None, field, count, format!("at most {most}")));
            }
        }
        let names: Vec<&str> = self.features.iter().map(|f| f.name.as_str()).collect();
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) || !is_text(name) {
                found.push(problem(None, "features", name, "names, each once".into()));
            }
        }
        for (at, switch) in self.switches.iter().enumerate() {
            let twice = self.switches[..at].iter().any(|s| s.name == switch.name);
            self.check(at, switch, twice, &mut found);
        }
        found
    }

    fn check(&self, at: usize, switch: &SwitchSpec, twice: bool, found: &mut Vec<SwitchProblem>) {
        let mut wrong = |field, what: &dyn ToString, expected: String| {
            found.push(SwitchProblem {
                switch: Some(at),
                field,
                found: what.to_string(),
                expected,
            });
        };
        if twice {
            wrong(
                "name",
                &switch.name,
                "a name that no other switch has".into(),
            );
        }
        for (field, text) in [
            ("name", &switch.name),
            ("owner", &switch.owner),
            ("reason", &switch.reason),
        ] {
            if !is_text(text) {
                let expected = format!("a text of 1 to {SWITCH_TEXT_BYTES_MAX} bytes");
                wrong(field, text, expected);
            }
        }
        let (least, most) = (SWITCH_DURATION_MS_MIN, SWITCH_DURATION_MS_MAX);
        let duration = switch.duration_max.0 / 1_000_000;
        if !(least..=most).contains(&duration) {
            let expected = format!("{least} to {most} ms");
            wrong("duration_max", &format!("{duration} ms"), expected);
        }
        if let Target::Routes(routes) = &switch.target {
            let expected = || format!("one or more of {} routes", self.routes);
            if routes.is_empty() {
                wrong("routes", &"none", expected());
            }
            for route in routes.iter().filter(|route| route.0 >= self.routes) {
                wrong("routes", &route.0, expected());
            }
        }
        if let Action::Shield(feature) = switch.action
            && usize::from(feature.0) >= self.features.len()
        {
            let expected = format!("one of {} features", self.features.len());
            wrong("feature", &feature.0, expected);
        }
        if let Some(schedule) = switch.schedule
            && schedule.from_ms >= schedule.until_ms
        {
            wrong(
                "schedule",
                &schedule.until_ms,
                format!("later than {}", schedule.from_ms),
            );
        }
        if let Some(trigger) = switch.trigger {
            if trigger.metric.0 >= self.metrics {
                let expected = format!("one of {} metrics", self.metrics);
                wrong("metric", &trigger.metric.0, expected);
            }
            let ordered = trigger.above.is_finite() && trigger.below < trigger.above;
            if !ordered || !trigger.below.is_finite() {
                wrong(
                    "below",
                    &trigger.below,
                    format!("a number below {}", trigger.above),
                );
            }
        }
    }
}

fn problem(
    at: Option<usize>,
    field: &'static str,
    found: impl ToString,
    expected: String,
) -> SwitchProblem {
    SwitchProblem {
        switch: at,
        field,
        found: found.to_string(),
        expected,
    }
}

pub(super) fn is_text(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= SWITCH_TEXT_BYTES_MAX
}
