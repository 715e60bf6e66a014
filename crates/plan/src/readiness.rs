//! What has to be true before the sale: one line each, with who answers for it and what shows it.
//!
//! Lines that a file can show are filled in; the others are for people. It must not know how
//! anything is checked.

use crate::capacity::{Capacity, Choice, Decision, Decisions, Service, Situation};
use crate::text::{instant, instant_ms, rate};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ready,
    /// Somebody has to do it.
    Open,
    /// The sale must not begin like this.
    Blocked,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub what: String,
    pub owner: String,
    pub evidence: String,
    pub state: State,
}

impl State {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            State::Ready => "ready",
            State::Open => "to do",
            State::Blocked => "BLOCKED",
        }
    }
}

/// `end_ms` is when the sale is over; `valid_ms` how long a measurement counts.
#[must_use]
pub fn readiness(
    situation: &Situation,
    decided: &Decisions,
    end_ms: u64,
    valid_ms: u64,
) -> Vec<Line> {
    let mut lines = Vec::new();
    for service in &situation.services {
        let Some(decision) = decided.of(&service.name) else {
            continue;
        };
        lines.push(measured(service, end_ms, valid_ms));
        lines.extend(grown(service, decision));
        lines.extend(service.single_points.iter().map(|point| Line {
            what: format!("The loss of {point} of {} was rehearsed", service.name),
            owner: service.owner.clone(),
            evidence: "the report of a rehearsal".to_owned(),
            state: State::Open,
        }));
    }
    for name in &decided.switches {
        let owner = situation
            .services
            .iter()
            .find(|service| service.sacrifices.iter().any(|one| one.name == *name));
        lines.push(Line {
            what: format!("Switch {name} was turned on and off once, and people knew"),
            owner: owner.map_or_else(String::new, |service| service.owner.clone()),
            evidence: "the switch's events in the door's log".to_owned(),
            state: State::Open,
        });
    }
    lines
}

fn measured(service: &Service, end_ms: u64, valid_ms: u64) -> Line {
    let name = &service.name;
    let (what, evidence, state) = match &service.capacity {
        Capacity::Measured { origin, .. } => {
            let expires = origin.measured_ms.saturating_add(valid_ms);
            let (run, build, until) = (&origin.run, &origin.build, instant_ms(expires));
            let state = match expires > end_ms {
                true => State::Ready,
                false => State::Blocked,
            };
            (
                format!("The capacity of {name} is measured for the whole sale"),
                format!("run {run}, build {build}, counts until {until}"),
                state,
            )
        }
        Capacity::Quota(quota) => (
            format!("{name} has confirmed {} for the sale", rate(*quota)),
            "their answer in writing".to_owned(),
            State::Open,
        ),
        Capacity::Unknown(why) => (
            format!("The capacity of {name} is measured"),
            format!("none: {why}"),
            State::Blocked,
        ),
    };
    Line {
        what,
        owner: service.owner.clone(),
        evidence,
        state,
    }
}

fn grown(service: &Service, decision: &Decision) -> Option<Line> {
    let name = &service.name;
    let (what, evidence, state) = match &decision.choice {
        Choice::ScaleOut(growth)
        | Choice::Degrade {
            growth: Some(growth),
            ..
        } => (
            format!("{name} runs on {} instances", growth.to),
            format!(
                "scaling/{name}.yaml applied by {}",
                instant(growth.begin_minute)
            ),
            State::Open,
        ),
        Choice::Optimise { times } => (
            format!("{name} carries {times:.2} times as much"),
            "a new load report".to_owned(),
            State::Blocked,
        ),
        Choice::Fine | Choice::Measure | Choice::Degrade { growth: None, .. } => return None,
    };
    Some(Line {
        what,
        owner: service.owner.clone(),
        evidence,
        state,
    })
}
