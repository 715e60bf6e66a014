//! What the front door's rates become behind it: requests a second on every edge and service.

use super::Map;
use std::collections::BTreeMap;

/// Requests a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flows {
    /// As [`Map::edges`].
    pub edges: Vec<f64>,
    pub services: BTreeMap<String, f64>,
    /// What each route brings each service: route, service, requests a second.
    pub by_route: BTreeMap<(String, String), f64>,
    /// Longest chain of calls from the door to each service; entries have 1.
    pub depth: BTreeMap<String, usize>,
}

impl Flows {
    #[must_use]
    pub fn service(&self, name: &str) -> f64 {
        self.services.get(name).copied().unwrap_or(0.0)
    }
    #[must_use]
    pub fn of(&self, route: &str, service: &str) -> f64 {
        let key = (route.to_owned(), service.to_owned());
        self.by_route.get(&key).copied().unwrap_or(0.0)
    }
}

/// Follows each route's rate along the calls; the circles if there are some.
pub fn flows(map: &Map, demand: &[(String, f64)]) -> Result<Flows, Vec<Vec<String>>> {
    let order = map.order()?;
    let place: BTreeMap<&str, usize> = order.iter().enumerate().map(|(i, n)| (*n, i)).collect();
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); order.len()];
    for (index, edge) in map.edges.iter().enumerate() {
        if let Some(from) = place.get(edge.from.as_str()) {
            below[*from].push(index);
        }
    }
    let mut found = Flows {
        edges: vec![0.0; map.edges.len()],
        ..Flows::default()
    };
    for (route, rate) in demand {
        let mut rates = vec![0.0; order.len()];
        for entry in map.entries.iter().filter(|entry| entry.route == *route) {
            if let Some(at) = place.get(entry.to.as_str()) {
                rates[*at] += rate * entry.per_request * (1.0 - entry.cache_hit);
            }
        }
        for at in 0..order.len() {
            if rates[at] <= 0.0 {
                continue;
            }
            for index in &below[at] {
                let edge = &map.edges[*index];
                let Some(to) = place.get(edge.to.as_str()).filter(|_| edge.serves(route)) else {
                    continue;
                };
                let calls = rates[at] * edge.arriving();
                found.edges[*index] += calls;
                rates[*to] += calls;
            }
            let (route, service) = (route.clone(), order[at].to_owned());
            *found.services.entry(service.clone()).or_default() += rates[at];
            *found.by_route.entry((route, service)).or_default() += rates[at];
        }
    }
    for entry in &map.entries {
        found.depth.insert(entry.to.clone(), 1);
    }
    for name in order {
        let Some(depth) = found.depth.get(name).copied() else {
            continue;
        };
        for edge in map.calls_of(name) {
            let deeper = found.depth.entry(edge.to.clone()).or_default();
            *deeper = (*deeper).max(depth + 1);
        }
    }
    Ok(found)
}
