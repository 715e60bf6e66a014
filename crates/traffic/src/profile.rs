//! What traffic is like: which endpoints with which parameters and sizes, in which journeys,
//! through which services, how often, and what it brings. Both sides of a comparison are one of
//! these, whether recorded or declared. It must not know how two are compared.

use crate::limits::{
    EDGE_SERIES_MAX, ENDPOINT_SERIES_MAX, JOURNEY_STEPS_MAX, PAIR_SERIES_MAX, PARAMETER_NAMES_MAX,
    SEGMENT_BYTES_MAX, SESSION_GAP_US, SESSIONS_MAX,
};
use crate::seen::Seen;
use crate::summary::{OTHERS, hash};
use crate::template::{Templates, VALUE, class};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Where a journey begins.
pub const START: &str = "(start)";

/// Money that a request of an endpoint brings when it succeeds, in any unit that all share.
pub type Revenue = BTreeMap<String, f64>;

/// Counts of one traffic. The order of requests matters for journeys: give them in that of their
/// instants ([`crate::in_order`]).
#[derive(Debug, Default)]
pub struct Profile {
    pub(crate) requests: u64,
    /// By method and template.
    pub(crate) endpoints: BTreeMap<String, Endpoint>,
    /// How often one endpoint followed another in a journey.
    pub(crate) pairs: BTreeMap<(u32, u32), u64>,
    /// Calls from one service to another.
    pub(crate) edges: BTreeMap<(String, String), u64>,
    pub(crate) knows: Knows,
    names: Vec<String>,
    numbers: HashMap<String, u32>,
    sessions: HashMap<u64, Session>,
}

/// Of what the traffic speaks at all: a log without clients has no journeys, which is not the same
/// as traffic without journeys.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Knows {
    pub(crate) parameters: bool,
    pub(crate) bodies: bool,
    pub(crate) clients: bool,
    pub(crate) request_bytes: bool,
    pub(crate) response_bytes: bool,
    pub(crate) edges: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Endpoint {
    pub(crate) requests: u64,
    /// What its requests brought, and its part of what the journeys through it brought.
    pub(crate) money: f64,
    /// By `query page: number`.
    pub(crate) parameters: BTreeMap<String, u64>,
    names: BTreeSet<String>,
    pub(crate) request_sizes: BTreeMap<&'static str, u64>,
    pub(crate) response_sizes: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
struct Session {
    last: u32,
    last_us: u64,
    /// The different endpoints since the start or the last purchase.
    steps: Vec<u32>,
}

impl Profile {
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// The names of its endpoints.
    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.endpoints.keys().map(String::as_str)
    }

    /// One request more.
    pub fn observe(&mut self, seen: &Seen, templates: &Templates, revenue: &Revenue) {
        let template = templates.of(seen.path());
        let number = self.number(&format!("{} {template}", seen.method));
        let name = self.names.get(number as usize).cloned().unwrap_or_default();
        self.requests += 1;
        self.knows.parameters = true;
        self.knows.bodies |= seen.body.is_some();
        self.knows.request_bytes |= seen.request_bytes.is_some();
        self.knows.response_bytes |= seen.response_bytes.is_some();
        let endpoint = self.endpoints.entry(name.clone()).or_default();
        endpoint.requests += 1;
        endpoint.sizes(seen);
        endpoint.read_parameters(seen, &template);
        let good = seen
            .status
            .is_none_or(|status| (200..400).contains(&status));
        let money = revenue.get(&name).copied().filter(|_| good);
        let steps = match &seen.client {
            Some(client) => self.step(hash(client), number, seen.at_us, money.is_some()),
            None => vec![number],
        };
        for step in &steps {
            let share = money.unwrap_or(0.0) / steps.len().max(1) as f64;
            if let Some(name) = self.names.get(*step as usize) {
                self.endpoints.entry(name.clone()).or_default().money += share;
            }
        }
    }

    /// Follows a client; the endpoints among which money is divided if this step brought some.
    fn step(&mut self, client: u64, number: u32, at_us: u64, bought: bool) -> Vec<u32> {
        self.knows.clients = true;
        if self.sessions.len() >= SESSIONS_MAX && !self.sessions.contains_key(&client) {
            self.forget();
        }
        let start = self.number(START);
        let fresh = Session {
            last: start,
            last_us: at_us,
            steps: Vec::new(),
        };
        let session = self.sessions.entry(client).or_insert(fresh);
        if at_us.saturating_sub(session.last_us) > SESSION_GAP_US {
            session.last = start;
            session.steps.clear();
        }
        let pair = (session.last, number);
        session.last = number;
        session.last_us = at_us;
        if !session.steps.contains(&number) && session.steps.len() < JOURNEY_STEPS_MAX {
            session.steps.push(number);
        }
        let steps = if bought {
            std::mem::take(&mut session.steps)
        } else {
            vec![number]
        };
        self.pair(pair, 1);
        steps
    }

    fn pair(&mut self, pair: (u32, u32), count: u64) {
        if self.pairs.len() < PAIR_SERIES_MAX || self.pairs.contains_key(&pair) {
            *self.pairs.entry(pair).or_default() += count;
        }
    }

    /// The half that rested longest.
    fn forget(&mut self) {
        let mut lasts: Vec<u64> = self.sessions.values().map(|s| s.last_us).collect();
        lasts.sort_unstable();
        let middle = lasts.get(lasts.len() / 2).copied().unwrap_or(0);
        self.sessions.retain(|_, session| session.last_us > middle);
    }

    /// The number of an endpoint's name.
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        if self.names.len() > ENDPOINT_SERIES_MAX && name != OTHERS {
            return self.number(OTHERS);
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }

    pub(crate) fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", String::as_str)
    }

    /// So many requests of an endpoint, whose name is `METHOD /template`, with these parameters
    /// (`query page: number`), each in all of them.
    pub fn declare(&mut self, endpoint: &str, requests: u64, parameters: &[String]) {
        let number = self.number(endpoint);
        let name = self.name(number).to_owned();
        self.requests += requests;
        self.knows.parameters |= !parameters.is_empty();
        self.knows.bodies |= parameters.iter().any(|name| name.starts_with("body "));
        let endpoint = self.endpoints.entry(name).or_default();
        endpoint.requests += requests;
        for parameter in parameters {
            endpoint.parameter(parameter.clone(), requests);
        }
    }

    /// So many bodies of this length.
    pub fn declare_request_bytes(&mut self, endpoint: &str, bytes: u64, requests: u64) {
        self.knows.request_bytes = true;
        let endpoint = self.endpoints.entry(endpoint.to_owned()).or_default();
        *endpoint.request_sizes.entry(size_class(bytes)).or_default() += requests;
    }

    /// So many journeys through these endpoints.
    pub fn declare_journey(&mut self, steps: &[String], journeys: u64) {
        self.knows.clients = true;
        let mut last = self.number(START);
        for step in steps {
            let next = self.number(step);
            self.pair((last, next), journeys);
            last = next;
        }
    }

    /// So many calls of one service by another, as traces show them.
    pub fn add_edge(&mut self, from: &str, to: &str, calls: u64) {
        self.knows.edges = true;
        let edge = (from.to_owned(), to.to_owned());
        if self.edges.len() < EDGE_SERIES_MAX || self.edges.contains_key(&edge) {
            *self.edges.entry(edge).or_default() += calls;
        }
    }
}

impl Endpoint {
    fn sizes(&mut self, seen: &Seen) {
        if let Some(bytes) = seen.request_bytes {
            *self.request_sizes.entry(size_class(bytes)).or_default() += 1;
        }
        if let Some(bytes) = seen.response_bytes {
            *self.response_sizes.entry(size_class(bytes)).or_default() += 1;
        }
    }

    /// Values in the path, in the query and at the top of a body.
    fn read_parameters(&mut self, seen: &Seen, template: &str) {
        let parts = template.split('/').zip(seen.path().split('/')).enumerate();
        for (place, (name, value)) in parts
            .skip(1)
            .filter(|(_, (name, _))| name.starts_with(VALUE))
        {
            let ending = name.get(VALUE.len()..).unwrap_or_default();
            let value = value.strip_suffix(ending).unwrap_or(value);
            self.parameter(format!("path {place}: {}", class(value)), 1);
        }
        self.read_pairs("query", seen.query().unwrap_or_default().as_bytes());
        let Some(body) = &seen.body else { return };
        let kind = seen.header("content-type").unwrap_or_default();
        if kind.starts_with("application/x-www-form-urlencoded") {
            self.read_pairs("body", body);
        } else if let Ok(serde_json::Value::Object(members)) = serde_json::from_slice(body) {
            for (name, value) in members.iter().take(PARAMETER_NAMES_MAX) {
                let class = match value {
                    serde_json::Value::Null => "null",
                    serde_json::Value::Array(_) => "list",
                    serde_json::Value::Object(_) => "object",
                    serde_json::Value::String(text) => class(text),
                    other => class(&other.to_string()),
                };
                self.named("body", name, class);
            }
        }
    }

    fn read_pairs(&mut self, place: &str, text: &[u8]) {
        let pairs = form_urlencoded::parse(text).take(PARAMETER_NAMES_MAX);
        let mut once = BTreeSet::new();
        for (name, value) in pairs.filter(|(name, _)| !name.is_empty()) {
            if once.insert(name.clone()) {
                self.named(place, &name, class(&value));
            }
        }
    }

    fn named(&mut self, place: &str, name: &str, class: &str) {
        let mut name: String = name.chars().take(SEGMENT_BYTES_MAX).collect();
        if !self.names.contains(&name) {
            if self.names.len() < PARAMETER_NAMES_MAX {
                self.names.insert(name.clone());
            } else {
                OTHERS.clone_into(&mut name);
            }
        }
        self.parameter(format!("{place} {name}: {class}"), 1);
    }

    fn parameter(&mut self, key: String, count: u64) {
        *self.parameters.entry(key).or_default() += count;
    }
}

/// The classes of payloads: steps of four, since what differs by less is handled alike.
fn size_class(bytes: u64) -> &'static str {
    match bytes {
        0 => "empty",
        1..=1_024 => "to 1 KiB",
        1_025..=4_096 => "to 4 KiB",
        4_097..=16_384 => "to 16 KiB",
        16_385..=65_536 => "to 64 KiB",
        65_537..=262_144 => "to 256 KiB",
        262_145..=1_048_576 => "to 1 MiB",
        _ => "more than 1 MiB",
    }
}
