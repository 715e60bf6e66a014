//! Who calls whom, and how often for one request at the front door: from what was observed in
//! traces and what people declared. Everything about capacity is asked of this map.
//!
//! It must not know formats of traces or files, nor how much a service can take.

mod critical;
mod draw;
mod flows;
mod observed;
#[cfg(test)]
mod tests;

pub use critical::{Step, critical_path};
pub use draw::svg;
pub use flows::{Flows, flows};
pub use observed::{Span, observe};

use crate::limits::{CYCLES_TOLD_MAX, SERVICE_NODES_MAX};
use std::collections::{BTreeMap, BTreeSet};

/// Where requests of a route of the front door enter.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub route: String,
    pub to: String,
    /// Calls for each request.
    pub per_request: f64,
    /// Share of them that the door answers itself, 0 to 1.
    pub cache_hit: f64,
    pub core: bool,
}

/// One service calls another.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    pub from: String,
    pub to: String,
    /// Calls for each request that `from` gets, before caches.
    pub per_request: f64,
    /// Share of them that a cache answers, 0 to 1.
    pub cache_hit: f64,
    /// `from` can do without.
    pub weak: bool,
    /// Only for requests of these routes; of all if there are none.
    pub routes: Vec<String>,
    /// Calls that were seen in traces.
    pub seen: u64,
}

impl Edge {
    /// Calls that arrive, for each request that `from` gets.
    #[must_use]
    pub fn arriving(&self) -> f64 {
        self.per_request * (1.0 - self.cache_hit)
    }
    #[must_use]
    pub fn serves(&self, route: &str) -> bool {
        self.routes.is_empty() || self.routes.iter().any(|one| one == route)
    }
}

/// Services, what they call, and where requests enter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    pub services: BTreeSet<String>,
    pub entries: Vec<Entry>,
    /// By `from`, then `to`.
    pub edges: Vec<Edge>,
}

/// More services than a map may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLarge {
    pub services: usize,
}

/// What declared and observed say differently.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// Traces have a call that nobody declared.
    Undeclared {
        from: String,
        to: String,
        per_request: f64,
    },
    /// A declared call that traces of its caller do not have.
    Unseen { from: String, to: String },
    /// Both have it, with other numbers.
    Other {
        from: String,
        to: String,
        declared: f64,
        seen: f64,
    },
}

impl Map {
    pub fn new(
        services: BTreeSet<String>,
        entries: Vec<Entry>,
        mut edges: Vec<Edge>,
    ) -> Result<Map, TooLarge> {
        if services.len() > SERVICE_NODES_MAX {
            return Err(TooLarge {
                services: services.len(),
            });
        }
        edges.sort_by(|a, b| (&a.from, &a.to, &a.routes).cmp(&(&b.from, &b.to, &b.routes)));
        Ok(Map {
            services,
            entries,
            edges,
        })
    }

    pub fn calls_of<'a>(&'a self, from: &'a str) -> impl Iterator<Item = &'a Edge> {
        self.edges.iter().filter(move |edge| edge.from == from)
    }

    /// How many services one calls.
    #[must_use]
    pub fn fan_out(&self, service: &str) -> usize {
        let called: BTreeSet<&str> = self.calls_of(service).map(|edge| &*edge.to).collect();
        called.len()
    }

    /// Services that call others and are called by none: where requests come in when nobody said
    /// so.
    #[must_use]
    pub fn roots(&self) -> Vec<&str> {
        let called: BTreeSet<&str> = self.edges.iter().map(|edge| &*edge.to).collect();
        let calling = |name: &&str| self.fan_out(name) > 0;
        let names = self.services.iter().map(String::as_str);
        names
            .filter(|name| !called.contains(name))
            .filter(calling)
            .collect()
    }

    /// Services in an order in which each stands before those it calls, or the circles that make
    /// that impossible, each with its first service again at its end.
    pub fn order(&self) -> Result<Vec<&str>, Vec<Vec<String>>> {
        let mut below: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut callers: BTreeMap<&str, usize> = BTreeMap::new();
        for edge in &self.edges {
            if below.entry(&edge.from).or_default().insert(&edge.to) {
                *callers.entry(&edge.to).or_default() += 1;
            }
        }
        let free = |name: &&str| !callers.contains_key(name);
        let mut ready: BTreeSet<&str> = self.services.iter().map(|s| &**s).filter(free).collect();
        let mut order = Vec::new();
        let mut left = callers.clone();
        while let Some(next) = ready.pop_first() {
            order.push(next);
            for to in below.get(next).into_iter().flatten() {
                let Some(count) = left.get_mut(to) else {
                    continue;
                };
                *count -= 1;
                if *count == 0 {
                    ready.insert(to);
                }
            }
        }
        if order.len() == self.services.len() {
            return Ok(order);
        }
        let stuck: BTreeSet<&str> = left
            .into_iter()
            .filter_map(|(name, count)| (count > 0).then_some(name))
            .collect();
        Err(circles(&stuck, &below))
    }

    /// The declared map with what traces add: calls nobody declared, and counts. Where both speak,
    /// people know of caches and weakness, so theirs stands and the difference is told.
    #[must_use]
    pub fn with_seen(&self, seen: &Map) -> (Map, Vec<Difference>) {
        let mut merged = self.clone();
        let mut differences = Vec::new();
        merged.services.extend(seen.services.iter().cloned());
        for edge in &seen.edges {
            let mut same = merged
                .edges
                .iter_mut()
                .filter(|one| (&one.from, &one.to) == (&edge.from, &edge.to))
                .peekable();
            if same.peek().is_none() {
                differences.push(Difference::Undeclared {
                    from: edge.from.clone(),
                    to: edge.to.clone(),
                    per_request: edge.per_request,
                });
                merged.edges.push(edge.clone());
                continue;
            }
            let mut declared = 0.0;
            for one in same {
                declared += one.arriving();
                one.seen = edge.seen;
            }
            // A tenth is within what traces of a quiet hour can tell.
            if (declared - edge.per_request).abs() > 0.1 * declared.max(edge.per_request) {
                differences.push(Difference::Other {
                    from: edge.from.clone(),
                    to: edge.to.clone(),
                    declared,
                    seen: edge.per_request,
                });
            }
        }
        for edge in &self.edges {
            let there = |one: &Edge| (&one.from, &one.to) == (&edge.from, &edge.to);
            if seen.services.contains(&edge.from) && !seen.edges.iter().any(there) {
                let (from, to) = (edge.from.clone(), edge.to.clone());
                differences.push(Difference::Unseen { from, to });
            }
        }
        merged
            .edges
            .sort_by(|a, b| (&a.from, &a.to, &a.routes).cmp(&(&b.from, &b.to, &b.routes)));
        (merged, differences)
    }
}

impl Difference {
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Difference::Undeclared {
                from,
                to,
                per_request,
            } => format!("{from} calls {to} {per_request:.2} times a request; nobody declared it"),
            Difference::Unseen { from, to } => {
                format!("{from} is said to call {to}; no trace of {from} has it")
            }
            Difference::Other {
                from,
                to,
                declared,
                seen,
            } => format!(
                "{from} calls {to} {seen:.2} times a request in traces, {declared:.2} declared"
            ),
        }
    }
}

/// One circle for each service that is stuck and not yet in one, so that each is told once.
fn circles(stuck: &BTreeSet<&str>, below: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<Vec<String>> {
    let mut stuck = stuck.clone();
    // Who is called by a circle and calls nobody of it is stuck as well, and no part of one.
    loop {
        let leads_on = |name: &&str| {
            let mut called = below.get(name).into_iter().flatten();
            called.any(|to| stuck.contains(to))
        };
        let kept: BTreeSet<&str> = stuck.iter().copied().filter(leads_on).collect();
        if kept.len() == stuck.len() {
            break;
        }
        stuck = kept;
    }
    let mut found = Vec::new();
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for start in &stuck {
        if told.contains(start) || found.len() == CYCLES_TOLD_MAX {
            continue;
        }
        let mut way = vec![*start];
        while let Some(next) = way
            .last()
            .and_then(|last| below.get(last))
            .and_then(|all| all.iter().find(|to| stuck.contains(**to)))
        {
            if let Some(at) = way.iter().position(|one| one == next) {
                let mut circle: Vec<&str> = way.split_off(at);
                if !circle.iter().any(|one| told.contains(one)) {
                    told.extend(circle.iter());
                    circle.push(next);
                    found.push(circle.into_iter().map(str::to_owned).collect());
                }
                break;
            }
            way.push(next);
        }
    }
    found
}
