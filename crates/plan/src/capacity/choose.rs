//! The cheapest set of switches that makes room where instances cannot. All sets of the few
//! switches that help are looked at, so the answer is the cheapest, not just a cheap one.

use super::{Sacrifice, Situation};
use crate::limits::SWITCHES_TRIED_MAX;
use crate::map::{Flows, Map, flows};
use std::collections::BTreeMap;

/// A set of switches.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// By name.
    pub switches: Vec<String>,
    pub loss_per_hour: f64,
    pub flows: Flows,
}

/// The set with the least loss under which every service of `room` stays within its requests a
/// second; among equal ones the smaller, then the first by name. `None` if there is none.
#[must_use]
pub fn cheapest(
    situation: &Situation,
    demand: &[(String, f64)],
    room: &BTreeMap<&str, f64>,
) -> Option<Chosen> {
    let plain = flows(&situation.map, demand).ok()?;
    let helpful = helpful(situation, demand, room, &plain);
    let mut best: Option<(f64, Vec<String>, Flows)> = None;
    for mask in 0u32..1 << helpful.len() {
        let picked: Vec<&Sacrifice> = helpful
            .iter()
            .enumerate()
            .filter_map(|(index, one)| (mask >> index & 1 == 1).then_some(*one))
            .collect();
        let loss: f64 = picked.iter().map(|one| one.loss_per_hour).sum();
        let names: Vec<String> = picked.iter().map(|one| one.name.clone()).collect();
        let better = best.as_ref().is_none_or(|(least, least_names, _)| {
            (loss, names.len(), &names) < (*least, least_names.len(), least_names)
        });
        if !better {
            continue;
        }
        let with = flows(&switched(&situation.map, &picked), demand).ok()?;
        if fits(&with, room) {
            best = Some((loss, names, with));
        }
    }
    best.map(|(loss_per_hour, switches, flows)| Chosen {
        switches,
        loss_per_hour,
        flows,
    })
}

fn fits(flows: &Flows, room: &BTreeMap<&str, f64>) -> bool {
    // A part in a million is rounding, not load.
    room.iter()
        .all(|(service, most)| flows.service(service) <= most * (1.0 + 1e-6))
}

/// Switches that take something off a service that has too much, by name; of too many, those that
/// take most for their loss.
fn helpful<'a>(
    situation: &'a Situation,
    demand: &[(String, f64)],
    room: &BTreeMap<&str, f64>,
    plain: &Flows,
) -> Vec<&'a Sacrifice> {
    let mut found: Vec<(f64, &Sacrifice)> = Vec::new();
    for one in situation.services.iter().flat_map(|one| &one.sacrifices) {
        let Ok(with) = flows(&switched(&situation.map, &[one]), demand) else {
            continue;
        };
        let taken: f64 = room
            .iter()
            .filter(|(service, most)| plain.service(service) > **most)
            .map(|(service, _)| plain.service(service) - with.service(service))
            .sum();
        if taken > 0.0 {
            found.push((taken / one.loss_per_hour.max(1e-9), one));
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name)));
    found.truncate(SWITCHES_TRIED_MAX);
    let mut helpful: Vec<&Sacrifice> = found.into_iter().map(|(_, one)| one).collect();
    helpful.sort_by(|a, b| a.name.cmp(&b.name));
    helpful
}

/// The map as it is with these switches on. Core entries and strong calls stay as they are.
#[must_use]
pub fn switched(map: &Map, on: &[&Sacrifice]) -> Map {
    let mut map = map.clone();
    for one in on {
        let left = 1.0 - one.frees;
        for entry in &mut map.entries {
            if !entry.core && one.routes.contains(&entry.route) {
                entry.per_request *= left;
            }
        }
        for edge in &mut map.edges {
            if edge.weak && one.skips.contains(&edge.to) {
                edge.per_request *= left;
            }
        }
    }
    map
}
