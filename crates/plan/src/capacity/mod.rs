//! What each service needs for what is to come, what is decided for it, and why – in sentences.
//!
//! Capacity comes from load reports ([`usl`]) or a third party's quota; demand from the forecast's
//! upper band along the map; the decision from what scaling, budget and time allow
//! ([`decide`]), and limits from what then stands there ([`limits`]). It must not know files,
//! clocks or the door's formats: `now` comes in.

mod choose;
mod decide;
mod explain;
mod limit;
mod need;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;
pub mod usl;

pub use choose::{Chosen, cheapest};
pub use decide::decide;
pub use limit::{Limits, RouteLimit, ServiceLimit, limits};
pub use need::{Need, need, together};

use crate::map::Map;
use usl::Shown;

/// What it means to the sale when a service is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Core,
    NonCore,
    Degradable,
}

/// Where a figure was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub run: String,
    pub build: String,
    /// Milliseconds since 1970.
    pub measured_ms: u64,
}

/// How much a service can take.
#[derive(Clone, Debug, PartialEq)]
pub enum Capacity {
    /// One instance, from load reports.
    Measured {
        /// Requests a second that one instance may get at its knee's lower bound, or what held in
        /// a search if that is less; before the safety factor.
        per_instance: f64,
        /// Of the report that bounds it; its figures are for all instances of the run.
        shown: Shown,
        /// Instances of that run.
        instances: u64,
        origin: Origin,
    },
    /// Of others, requests a second.
    Quota(f64),
    /// Nobody knows, and why.
    Unknown(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling {
    pub max: u64,
    pub lead_minutes: i64,
    pub cost_per_hour: f64,
}

/// What can be given up.
#[derive(Clone, Debug, PartialEq)]
pub struct Sacrifice {
    pub name: String,
    /// Requests of these routes end at the door.
    pub routes: Vec<String>,
    /// Weak calls to these services are left out.
    pub skips: Vec<String>,
    /// Share of them that is taken away.
    pub frees: f64,
    pub loss_per_hour: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    pub name: String,
    pub class: Class,
    pub owner: String,
    /// Impact × likelihood, 1 to 25.
    pub risk: u64,
    pub single_points: Vec<String>,
    pub instances: u64,
    pub zones: u64,
    pub skew: f64,
    pub capacity: Capacity,
    pub scaling: Option<Scaling>,
    pub sacrifices: Vec<Sacrifice>,
}

/// What one route is asked in its busiest second.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    pub route: String,
    pub expected: f64,
    pub upper: f64,
}

/// All that a decision is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Situation {
    pub map: Map,
    /// By name.
    pub services: Vec<Service>,
    pub demand: Vec<Demand>,
    /// By what measured capacities are divided.
    pub safety_factor: f64,
    /// Money for more instances, all together; `None`: it was not asked about.
    pub budget: Option<f64>,
    pub currency: String,
    /// Minutes since 1970: now, and when what is needed must serve.
    pub now_minute: i64,
    pub ready_minute: i64,
    /// How long it is kept.
    pub hours: f64,
}

/// What is to be done about a service.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    Fine,
    ScaleOut(Growth),
    /// These switches are on while it lasts, after growing as far as that goes.
    Degrade {
        switches: Vec<String>,
        growth: Option<Growth>,
    },
    /// Neither instances nor switches suffice: each instance must do so many times as much, or a
    /// quota must be so many times as high.
    Optimise {
        times: f64,
    },
    /// Its capacity is not known.
    Measure,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    pub to: u64,
    pub more: u64,
    /// The last minute to begin.
    pub begin_minute: i64,
    pub cost: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub service: String,
    /// Requests a second: expected, at the upper band, and that with the chosen switches.
    pub expected: f64,
    pub upper: f64,
    pub switched: f64,
    /// What one instance may get after the safety factor; a quota as a whole.
    pub usable: Option<f64>,
    /// Instances now and when it counts.
    pub instances: u64,
    pub planned: u64,
    /// At the upper band without switches.
    pub need: Option<Need>,
    pub choice: Choice,
    /// Why, for people.
    pub because: Vec<String>,
}

/// Decisions for all services, and what they come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Decisions {
    /// By name.
    pub services: Vec<Decision>,
    /// Switches that are on, cheapest set.
    pub switches: Vec<String>,
    pub loss_per_hour: f64,
    pub cost: f64,
}

impl Service {
    /// What one instance may get; of a third party, all that there is.
    #[must_use]
    pub fn usable(&self, safety_factor: f64) -> Option<f64> {
        match &self.capacity {
            Capacity::Measured { per_instance, .. } => Some(per_instance / safety_factor),
            // A quota is promised, not measured: nothing is taken off.
            Capacity::Quota(per_s) => Some(*per_s),
            Capacity::Unknown(_) => None,
        }
    }

    /// What it may get with so many instances.
    #[must_use]
    pub fn all(&self, instances: u64, safety_factor: f64) -> Option<f64> {
        let usable = self.usable(safety_factor)?;
        Some(match self.capacity {
            Capacity::Quota(_) => usable,
            _ => together(instances, usable, self.skew),
        })
    }
}

impl Decisions {
    #[must_use]
    pub fn of(&self, service: &str) -> Option<&Decision> {
        self.services.iter().find(|one| one.service == service)
    }
}
