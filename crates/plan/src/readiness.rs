//! What has to be true before the sale: one line each, with who answers for it and what shows it.
//!
//! Lines that a file can show are filled in; the others are for people. It must not know how
//! anything is checked.

use crate::capacity::{Capacity, Choice, Decisions, Situation};
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
        let mut line = |what: String, evidence: String, state| {
            lines.push(Line {
                what,
                owner: service.owner.clone(),
                evidence,
                state,
            });
        };
        match &service.capacity {
            Capacity::Measured { origin, .. } => {
                let expires = origin.measured_ms.saturating_add(valid_ms);
                let good = expires > end_ms;
                line(
                    format!(
                        "The capacity of {} is measured for the whole sale",
                        service.name
                    ),
                    format!(
                        "run {}, build {}, counts until {}",
                        origin.run,
                        origin.build,
                        instant_ms(expires)
                    ),
                    if good { State::Ready } else { State::Blocked },
                );
            }
            Capacity::Quota(quota) => line(
                format!(
                    "{} has confirmed {} for the sale",
                    service.name,
                    rate(*quota)
                ),
                "their answer in writing".to_owned(),
                State::Open,
            ),
            Capacity::Unknown(why) => line(
                format!("The capacity of {} is measured", service.name),
                format!("none: {why}"),
                State::Blocked,
            ),
        }
        match &decision.choice {
            Choice::ScaleOut(growth)
            | Choice::Degrade {
                growth: Some(growth),
                ..
            } => line(
                format!("{} runs on {} instances", service.name, growth.to),
                format!(
                    "scaling/{}.yaml applied by {}",
                    service.name,
                    instant(growth.begin_minute)
                ),
                State::Open,
            ),
            Choice::Optimise { times } => line(
                format!("{} carries {times:.2} times as much", service.name),
                "a new load report".to_owned(),
                State::Blocked,
            ),
            Choice::Fine | Choice::Measure | Choice::Degrade { growth: None, .. } => {}
        }
        for point in &service.single_points {
            line(
                format!("The loss of {point} of {} was rehearsed", service.name),
                "the report of a rehearsal".to_owned(),
                State::Open,
            );
        }
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
