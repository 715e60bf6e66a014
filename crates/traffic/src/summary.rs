//! What was understood of a recording: counts by status, hour, method and endpoint, and which lines
//! were refused for which reason. It must not know how it is shown.

use crate::error::ReadError;
use crate::limits::{
    CLIENTS_MAX, ENDPOINT_SERIES_MAX, HOURS_MAX, METHOD_LABELS_MAX, REFUSED_LINES_KEPT,
};
use crate::seen::Seen;
use crate::template::Templates;
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Where everything beyond a bound is counted.
pub(crate) const OTHERS: &str = "(others)";

#[derive(Debug, Default)]
pub struct Summary {
    pub understood: u64,
    pub refused: BTreeMap<&'static str, Refused>,
    /// By status; requests without an answer are those missing here.
    pub statuses: BTreeMap<u16, u64>,
    /// By hours since 1970.
    pub hours: BTreeMap<u64, u64>,
    pub methods: BTreeMap<String, u64>,
    /// By method and template.
    pub endpoints: BTreeMap<String, u64>,
    pub first_us: Option<u64>,
    pub last_us: Option<u64>,
    pub request_bytes: u64,
    pub response_bytes: u64,
    /// Requests that say who asked, how long it took, what the body was.
    pub with_client: u64,
    pub with_duration: u64,
    pub with_body: u64,
    clients: HashSet<u64>,
}

/// Lines refused for one reason.
#[derive(Debug, Default)]
pub struct Refused {
    pub count: u64,
    /// The first ones.
    pub lines: Vec<u64>,
    /// What was said about the first.
    pub example: String,
}

impl Summary {
    pub fn take(&mut self, next: &Result<Seen, ReadError>, templates: &Templates) {
        match next {
            Ok(seen) => self.understand(seen, templates),
            Err(error) => self.refuse(error),
        }
    }

    pub fn refuse(&mut self, error: &ReadError) {
        let refused = self.refused.entry(error.why.label()).or_default();
        refused.count += 1;
        if refused.lines.len() < REFUSED_LINES_KEPT {
            refused.lines.push(error.line);
        }
        if refused.count == 1 {
            refused.example = error.why.to_string();
        }
    }

    fn understand(&mut self, seen: &Seen, templates: &Templates) {
        self.understood += 1;
        if let Some(status) = seen.status {
            *self.statuses.entry(status).or_default() += 1;
        }
        let hour = seen.at_us / 3_600_000_000;
        if self.hours.len() < HOURS_MAX || self.hours.contains_key(&hour) {
            *self.hours.entry(hour).or_default() += 1;
        }
        count(&mut self.methods, &seen.method, METHOD_LABELS_MAX);
        let endpoint = format!("{} {}", seen.method, templates.of(seen.path()));
        count(&mut self.endpoints, &endpoint, ENDPOINT_SERIES_MAX);
        let at = seen.at_us;
        self.first_us = Some(self.first_us.map_or(at, |first| first.min(at)));
        self.last_us = Some(self.last_us.map_or(at, |last| last.max(at)));
        let add = |to: &mut u64, more: Option<u64>| *to = to.saturating_add(more.unwrap_or(0));
        add(&mut self.request_bytes, seen.request_bytes);
        add(&mut self.response_bytes, seen.response_bytes);
        self.with_duration += u64::from(seen.duration_us.is_some());
        self.with_body += u64::from(seen.body.is_some());
        if let Some(client) = &seen.client {
            self.with_client += 1;
            if self.clients.len() < CLIENTS_MAX {
                self.clients.insert(hash(client));
            }
        }
    }

    #[must_use]
    pub fn refused_lines(&self) -> u64 {
        self.refused.values().map(|refused| refused.count).sum()
    }

    /// How many clients there were, and whether that is all of them.
    #[must_use]
    pub fn clients(&self) -> (usize, bool) {
        (self.clients.len(), self.clients.len() < CLIENTS_MAX)
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str, most: usize) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => {
            let name = if counts.len() < most { name } else { OTHERS };
            *counts.entry(name.to_owned()).or_default() += 1;
        }
    }
}

pub(crate) fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
