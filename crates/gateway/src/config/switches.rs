//! switches.yaml as `guard` turns it, with what its actions need from the shell.

use guard::switches::{
    Action, Feature, FeatureId, MetricId, PageId, Recovery, Schedule, StubId, SwitchSet,
    SwitchSpec, Target, Trigger,
};
use guard::{Nanos, RouteId};
use std::path::PathBuf;
use wire::gateway::Door;
use wire::gateway::switches::{self as written, Initial, Metric, Switch};

/// Metrics that triggers look at, by the places that [`MetricId`] means.
pub const METRICS: [Metric; 6] = [
    Metric::Cpu,
    Metric::LatencyP99,
    Metric::ErrorShare,
    Metric::InFlight,
    Metric::RequestRate,
    Metric::ShedShare,
];

/// A file that answers in place of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub file: PathBuf,
    /// By its ending where this is `None`.
    pub content_type: Option<String>,
}

/// The set for `guard`, and what stands behind its ids.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SwitchPlan {
    pub set: SwitchSet,
    /// By [`PageId`].
    pub pages: Vec<Page>,
    /// By [`StubId`].
    pub stubs: Vec<Page>,
    /// By route: where a redirect sends people. The check allows one place a route.
    pub redirects: Vec<Option<String>>,
    /// Places of switches that are on from the beginning.
    pub initially_on: Vec<usize>,
}

impl SwitchPlan {
    #[must_use]
    pub fn new(door: &Door) -> SwitchPlan {
        let routes = &door.gateway.routes;
        let mut plan = SwitchPlan {
            redirects: vec![None; routes.len()],
            ..SwitchPlan::default()
        };
        plan.set.routes = u16::try_from(routes.len()).unwrap_or(u16::MAX);
        plan.set.metrics = METRICS.len() as u16;
        for name in routes.iter().flat_map(|route| &route.features) {
            if !plan
                .set
                .features
                .iter()
                .any(|feature| feature.name == *name)
            {
                plan.set.features.push(Feature {
                    name: name.clone(),
                    variant_on: "on".to_owned(),
                    variant_shielded: "off".to_owned(),
                });
            }
        }
        for (place, switch) in door.switches.switches.iter().enumerate() {
            let ids = acts_on(door, switch);
            let action = plan.action(switch, &ids);
            plan.set.switches.push(spec(switch, ids, action));
            if switch.initial == Initial::On {
                plan.initially_on.push(place);
            }
        }
        plan
    }

    fn action(&mut self, switch: &Switch, ids: &[RouteId]) -> Action {
        match switch.action {
            written::Action::Shed => Action::Shed,
            written::Action::ServeStale => Action::ServeStale,
            written::Action::StaticPage => {
                Action::StaticPage(PageId(push(&mut self.pages, switch)))
            }
            written::Action::Stub => Action::Stub(StubId(push(&mut self.stubs, switch))),
            written::Action::Redirect => {
                for id in ids {
                    if let Some(place) = self.redirects.get_mut(usize::from(id.0)) {
                        place.clone_from(&switch.to);
                    }
                }
                Action::RedirectSimplified
            }
            written::Action::Shield => {
                let named = |feature: &Feature| Some(&feature.name) == switch.feature.as_ref();
                // The check made sure that a route shows it.
                let place = self
                    .set
                    .features
                    .iter()
                    .position(named)
                    .unwrap_or(usize::MAX);
                Action::Shield(FeatureId(u16::try_from(place).unwrap_or(u16::MAX)))
            }
        }
    }
}

fn push(pages: &mut Vec<Page>, switch: &Switch) -> u16 {
    pages.push(Page {
        file: switch.file.clone().unwrap_or_default(),
        content_type: switch.content_type.clone(),
    });
    // There are at most 256 switches.
    u16::try_from(pages.len() - 1).unwrap_or(u16::MAX)
}

/// The routes that it names, or all that show its feature.
fn acts_on(door: &Door, switch: &Switch) -> Vec<RouteId> {
    let routes = door.gateway.routes.iter().enumerate().filter(|(_, route)| {
        if switch.routes.is_empty() {
            switch
                .feature
                .as_ref()
                .is_some_and(|feature| route.features.contains(feature))
        } else {
            switch.routes.contains(&route.name)
        }
    });
    routes
        .filter_map(|(place, _)| u16::try_from(place).ok().map(RouteId))
        .collect()
}

fn spec(switch: &Switch, routes: Vec<RouteId>, action: Action) -> SwitchSpec {
    SwitchSpec {
        name: switch.name.clone(),
        owner: switch.owner.clone(),
        reason: switch.reason.clone(),
        target: Target::Routes(routes),
        action,
        priority: u8::try_from(switch.priority).unwrap_or(u8::MAX),
        schedule: switch.schedule.as_ref().map(|schedule| Schedule {
            from_ms: schedule.from.0,
            until_ms: schedule.until.0,
        }),
        trigger: switch.trigger.as_ref().map(trigger),
        recovery: match switch.recovery {
            written::Recovery::Automatic => Recovery::Automatic,
            written::Recovery::Manual => Recovery::Manual,
        },
        duration_max: super::nanos(switch.max_duration),
    }
}

fn trigger(written: &written::Trigger) -> Trigger {
    let place = METRICS.iter().position(|metric| *metric == written.metric);
    let hold: Nanos = super::nanos(written.r#for);
    Trigger {
        metric: MetricId(
            place
                .and_then(|place| u16::try_from(place).ok())
                .unwrap_or(u16::MAX),
        ),
        above: written.above,
        above_for: hold,
        below: written.below,
        below_for: hold,
    }
}
