//! What was sent and what came of it, by request and by second.
//!
//! Latency counts from the planned instant to the last byte of the answer, so that a request that
//! had to wait, for us or for the target, does not hide it (no coordinated omission). Refusals,
//! time-outs and broken connections are counted apart and have histograms of their own kind.

pub use crate::latency::Latency;
use serde::{Deserialize, Serialize};

/// How one request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// An expected status, and every check held.
    Good,
    /// Told to come again: 429 or 503, unless the scenario expects it.
    Refused,
    /// Another status than the scenario expects.
    Status,
    /// The status was right and a check was not.
    Check,
    /// No whole answer in time.
    TimedOut,
    /// The connection ended, or what came was not HTTP.
    Broken,
    /// No connection came about.
    Connect,
    /// The target had nothing to do with it: no socket, no port.
    Ours,
}

impl End {
    pub const ALL: [End; 8] = [
        End::Good,
        End::Refused,
        End::Status,
        End::Check,
        End::TimedOut,
        End::Broken,
        End::Connect,
        End::Ours,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            End::Good => "good",
            End::Refused => "refused",
            End::Status => "status",
            End::Check => "check",
            End::TimedOut => "timed_out",
            End::Broken => "broken",
            End::Connect => "connect",
            End::Ours => "generator",
        }
    }

    /// Whether the target failed: refusals are what a limit is for.
    #[must_use]
    pub fn is_error(self) -> bool {
        !matches!(self, End::Good | End::Refused)
    }
}

/// One named request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    pub name: String,
    pub sent: u64,
    /// By the place in [`End::ALL`].
    pub ends: [u64; End::ALL.len()],
    /// Of good answers, from the planned instant.
    pub latency: Latency,
    /// Of refusals.
    pub refusals: Latency,
    /// Of good answers, from the instant of sending: what other tools show.
    pub service: Latency,
    pub bytes: u64,
    /// By the place of the check.
    pub checks: Vec<Checks>,
    /// By status code, for those that were not expected.
    pub statuses: std::collections::BTreeMap<u16, u64>,
    /// What HTTP/2 or a redirect said, where an end alone says too little: `REFUSED_STREAM`.
    pub reasons: std::collections::BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checks {
    pub name: String,
    pub passed: u64,
    pub failed: u64,
}

impl Named {
    #[must_use]
    pub fn new(name: &str, checks: impl Iterator<Item = String>) -> Named {
        let check = |name| Checks {
            name,
            ..Checks::default()
        };
        Named {
            name: name.to_owned(),
            sent: 0,
            ends: [0; End::ALL.len()],
            latency: Latency::new(3),
            refusals: Latency::new(3),
            service: Latency::new(3),
            bytes: 0,
            checks: checks.map(check).collect(),
            statuses: std::collections::BTreeMap::new(),
            reasons: std::collections::BTreeMap::new(),
        }
    }
    #[must_use]
    pub fn ended(&self, end: End) -> u64 {
        self.ends[end as usize]
    }
    #[must_use]
    pub fn errors(&self) -> u64 {
        let ends = End::ALL.iter().filter(|end| end.is_error());
        ends.map(|end| self.ended(*end)).sum()
    }
    fn add(&mut self, other: &Named) {
        self.sent += other.sent;
        for (mine, theirs) in self.ends.iter_mut().zip(other.ends) {
            *mine += theirs;
        }
        self.latency.add(&other.latency);
        self.refusals.add(&other.refusals);
        self.service.add(&other.service);
        self.bytes += other.bytes;
        for (mine, theirs) in self.checks.iter_mut().zip(&other.checks) {
            mine.passed += theirs.passed;
            mine.failed += theirs.failed;
        }
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (reason, count) in &other.reasons {
            *self.reasons.entry(reason.clone()).or_default() += count;
        }
    }
}

/// One second of a run, by the instants at which things happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Second {
    pub arrived: u64,
    pub sent: u64,
    pub ends: [u64; End::ALL.len()],
    /// Of good answers, two digits.
    pub latency: Latency,
    /// Live buyers at its end.
    pub buyers: u64,
    pub connections: u64,
}

impl Default for Second {
    fn default() -> Second {
        Second {
            arrived: 0,
            sent: 0,
            ends: [0; End::ALL.len()],
            latency: Latency::new(2),
            buyers: 0,
            connections: 0,
        }
    }
}

impl Second {
    pub fn add(&mut self, other: &Second) {
        self.arrived += other.arrived;
        self.sent += other.sent;
        for (mine, theirs) in self.ends.iter_mut().zip(other.ends) {
            *mine += theirs;
        }
        self.latency.add(&other.latency);
        self.buyers += other.buyers;
        self.connections += other.connections;
    }
    #[must_use]
    pub fn ended(&self, end: End) -> u64 {
        self.ends[end as usize]
    }
    #[must_use]
    pub fn errors(&self) -> u64 {
        let ends = End::ALL.iter().filter(|end| end.is_error());
        ends.map(|end| self.ended(*end)).sum()
    }
    #[must_use]
    pub fn answered(&self) -> u64 {
        let ends = [End::Good, End::Refused, End::Status, End::Check];
        ends.iter().map(|end| self.ended(*end)).sum()
    }
}

/// What a worker measured, or all of them together.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    pub named: Vec<Named>,
    pub seconds: Vec<Second>,
    /// Arrivals that the plan had.
    pub planned: u64,
    /// Of them, sent.
    pub arrived: u64,
    /// Of them, later than [`crate::limits::LATE_US`].
    pub late: u64,
    /// Arrivals that the generator's own loop took up so late, whatever the target did.
    pub own_late: u64,
    /// From the planned instant to the first byte on its way, of arrivals.
    pub lag: Latency,
    /// Journeys that went to their end.
    pub journeys: u64,
    /// Buyers who left because a feeder had no row for them.
    pub unfed: u64,
    pub buyers_max: u64,
    pub connections_max: u64,
    /// Connections that came about.
    pub connected: u64,
    /// Processor time of the generator's threads.
    pub cpu_ns: u64,
    /// Time in which they wanted to run and could not.
    pub starved_ns: u64,
    /// The largest share of a processor that one worker took in one second.
    pub busiest: f64,
    pub wall_us: u64,
    pub workers: u64,
}

impl Measured {
    #[must_use]
    pub fn new(named: Vec<Named>) -> Measured {
        Measured {
            named,
            seconds: Vec::new(),
            planned: 0,
            arrived: 0,
            late: 0,
            own_late: 0,
            lag: Latency::new(3),
            journeys: 0,
            unfed: 0,
            buyers_max: 0,
            connections_max: 0,
            connected: 0,
            cpu_ns: 0,
            starved_ns: 0,
            busiest: 0.0,
            wall_us: 0,
            workers: 1,
        }
    }

    pub fn second(&mut self, us: u64) -> &mut Second {
        let at = (us / 1_000_000) as usize;
        if self.seconds.len() <= at {
            self.seconds.resize_with(at + 1, Second::default);
        }
        &mut self.seconds[at]
    }

    /// Puts another worker's measurements to these.
    pub fn add(&mut self, other: &Measured) {
        for (mine, theirs) in self.named.iter_mut().zip(&other.named) {
            mine.add(theirs);
        }
        for (at, theirs) in other.seconds.iter().enumerate() {
            self.second(at as u64 * 1_000_000).add(theirs);
        }
        self.planned += other.planned;
        self.arrived += other.arrived;
        self.late += other.late;
        self.own_late += other.own_late;
        self.lag.add(&other.lag);
        self.journeys += other.journeys;
        self.unfed += other.unfed;
        self.buyers_max += other.buyers_max;
        self.connections_max += other.connections_max;
        self.connected += other.connected;
        self.cpu_ns += other.cpu_ns;
        self.starved_ns += other.starved_ns;
        self.busiest = self.busiest.max(other.busiest);
        self.wall_us = self.wall_us.max(other.wall_us);
        self.workers += other.workers;
    }

    /// All named requests as one.
    #[must_use]
    pub fn total(&self) -> Named {
        let mut total = Named::new("all", std::iter::empty());
        self.named.iter().for_each(|named| total.add(named));
        total
    }
}
