//! What the door may admit, downstream first: a service may get what it can take, and never more
//! than what is behind it can take.
//!
//! With cap(d) what d can take and D(d) what the forecast brings it, each service s is held to
//! D(s)·h(s), with h(s) the least cap(d)/D(d) of s and everything behind it. Whoever calls d then
//! brings it together Σ D(s)·h(s)·calls ≤ h(d)·D(d) ≤ cap(d): every caller's part is the part that
//! the forecast gives it. The same holds for routes.

use super::{Capacity, Decisions, Origin, Situation};
use crate::capacity::choose::switched;
use crate::map::{Flows, Map, flows};
use std::collections::BTreeMap;

/// What a route may bring, requests a second.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteLimit {
    pub route: String,
    pub expected: f64,
    pub upper: f64,
    /// All instances of the door together.
    pub cluster: f64,
    /// The service that bounds it.
    pub bound_by: String,
    /// Of a third party there is none.
    pub origin: Option<Origin>,
}

/// What a service may get, requests a second.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceLimit {
    pub service: String,
    pub instances: u64,
    /// All its instances together, and each of them.
    pub cluster: f64,
    pub each: f64,
    /// The service behind it, or itself, that bounds it.
    pub bound_by: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// In the order of the demand.
    pub routes: Vec<RouteLimit>,
    /// By name.
    pub services: Vec<ServiceLimit>,
    /// Routes and services for which nothing behind them is measured.
    pub unbounded: Vec<String>,
}

/// With the decided instances and switches. The circles if there are some.
pub fn limits(situation: &Situation, decided: &Decisions) -> Result<Limits, Vec<Vec<String>>> {
    let on: Vec<_> = situation
        .services
        .iter()
        .flat_map(|service| &service.sacrifices)
        .filter(|one| decided.switches.contains(&one.name))
        .collect();
    let map = switched(&situation.map, &on);
    // A route that nobody expects still brings something: one a second.
    let rates: Vec<(String, f64)> = situation
        .demand
        .iter()
        .map(|one| (one.route.clone(), one.upper.max(1.0)))
        .collect();
    let brought = flows(&map, &rates)?;
    let headroom = headroom(situation, decided, &brought);
    let mut found = Limits::default();
    for demand in &situation.demand {
        let reached = |name: &&&str| brought.of(&demand.route, name) > 0.0;
        let Some((share, by)) = least(headroom.keys().filter(reached), &headroom) else {
            found.unbounded.push(demand.route.clone());
            continue;
        };
        let service = situation.services.iter().find(|one| one.name == by);
        found.routes.push(RouteLimit {
            route: demand.route.clone(),
            expected: demand.expected,
            upper: demand.upper,
            cluster: demand.upper.max(1.0) * share,
            bound_by: by.to_owned(),
            origin: service.and_then(|service| match &service.capacity {
                Capacity::Measured { origin, .. } => Some(origin.clone()),
                _ => None,
            }),
        });
    }
    services(situation, decided, &map, &brought, &headroom, &mut found)?;
    Ok(found)
}

fn services(
    situation: &Situation,
    decided: &Decisions,
    map: &Map,
    brought: &Flows,
    headroom: &BTreeMap<&str, f64>,
    found: &mut Limits,
) -> Result<(), Vec<Vec<String>>> {
    // Callees before callers: what is behind is known by then.
    let order = map.order()?;
    let mut behind: BTreeMap<&str, (f64, &str)> = BTreeMap::new();
    for name in order.into_iter().rev() {
        let own = headroom.get(name).map(|share| (*share, name));
        let below = map
            .calls_of(name)
            .filter(|edge| edge.arriving() > 0.0)
            .filter_map(|edge| behind.get(edge.to.as_str()).copied());
        let least = own
            .into_iter()
            .chain(below)
            .min_by(|a, b| a.0.total_cmp(&b.0));
        if let Some(least) = least {
            behind.insert(name, least);
        }
    }
    for service in &situation.services {
        let demand = brought.service(&service.name);
        if demand <= 0.0 {
            continue;
        }
        let Some((share, by)) = behind.get(service.name.as_str()) else {
            found.unbounded.push(service.name.clone());
            continue;
        };
        let planned = decided.of(&service.name).map_or(1, |one| one.planned);
        found.services.push(ServiceLimit {
            service: service.name.clone(),
            instances: planned,
            cluster: demand * share,
            each: demand * share * service.skew / planned.max(1) as f64,
            bound_by: (*by).to_owned(),
        });
    }
    Ok(())
}

/// What each service can take, as a multiple of what comes; those that nobody measured and those
/// that get nothing are not in it.
fn headroom<'a>(
    situation: &'a Situation,
    decided: &Decisions,
    brought: &Flows,
) -> BTreeMap<&'a str, f64> {
    let one = |service: &'a super::Service| {
        let name = service.name.as_str();
        let planned = decided
            .of(name)
            .map_or(service.instances, |one| one.planned);
        let most = service.all(planned, situation.safety_factor)?;
        let demand = brought.service(name);
        (demand > 0.0).then(|| (name, most / demand))
    };
    situation.services.iter().filter_map(one).collect()
}

fn least<'a>(
    names: impl Iterator<Item = &'a &'a str>,
    headroom: &BTreeMap<&'a str, f64>,
) -> Option<(f64, &'a str)> {
    names
        .filter_map(|name| Some((*headroom.get(name)?, *name)))
        .min_by(|a, b| a.0.total_cmp(&b.0))
}
