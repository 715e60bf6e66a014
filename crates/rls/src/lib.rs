//! Envoy's RateLimitService v3: a team that keeps its own proxy asks the same limits as the door.
//!
//! A call is answered on the worker that read it, under the lock of the limits, without another
//! thread. Messages are `prost`'s, framing is `grpc.rs`, connections are `host`'s. Slots
//! (concurrency rules) are not asked: nobody tells the service when a request ends.
//! It must not know what else the door decides by: it asks [`Door::with_limits`].

mod answer;
#[cfg(test)]
mod any_bytes;
mod entries;
mod grpc;
pub mod limits;
pub mod message;
#[cfg(test)]
#[path = "../../wire/tests/mutate/mod.rs"]
mod mutate;
mod service;

pub use entries::{Attribute, Entries, EntryProblem};

use gateway::door::Door;
use host::Drain;
use host::http::{HttpStats, ListenError, ListenOptions, Listening};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// How the service listens and what it knows.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port 0 takes a free one.
    pub addr: SocketAddr,
    pub workers: usize,
    /// Calls of any other domain are answered "ok" and counted.
    pub domains: Vec<String>,
    pub entries: Entries,
}

impl Options {
    /// One worker, and the domain `seawall`.
    #[must_use]
    pub fn new(addr: SocketAddr) -> Options {
        Options {
            addr,
            workers: 1,
            domains: vec!["seawall".to_owned()],
            entries: Entries::default(),
        }
    }
}

/// What was asked and answered since the start. Each call of `ShouldRateLimit` counts in exactly
/// one of `ok`, `over_limit`, `unknown_domain` and `malformed`.
#[derive(Debug, Default)]
pub struct Counts {
    pub ok: AtomicU64,
    pub over_limit: AtomicU64,
    pub unknown_domain: AtomicU64,
    /// Calls that were no calls of ours, or whose message could not be read.
    pub malformed: AtomicU64,
    pub descriptors: AtomicU64,
    /// Entries that said nothing to the rules: an unknown key, or a value that names nothing.
    pub unknown_entries: AtomicU64,
    /// Descriptors with a limit of their own.
    pub overrides: AtomicU64,
    /// Descriptors that wanted hits back; they are not asked.
    pub refunds_ignored: AtomicU64,
    pub health_checks: AtomicU64,
}

/// Starts to answer; returns when all workers accept. While draining, health checks are told so
/// and calls under way are still answered.
///
/// # Errors
/// The address cannot be listened on.
pub fn start(
    options: &Options,
    door: &Arc<Door>,
    counts: &Arc<Counts>,
    drain: Drain,
    stats: Arc<HttpStats>,
) -> Result<Listening, ListenError> {
    let mut listen = ListenOptions::new("rls", options.addr);
    listen.workers = options.workers.max(1);
    listen.http2 = true;
    listen.connections_max = limits::CONNECTIONS_MAX;
    listen.idle_ms = limits::IDLE_MS;
    listen.first_byte_ms = limits::IDLE_MS;
    let (door, counts) = (Arc::clone(door), Arc::clone(counts));
    let domains: Arc<[String]> = options.domains.as_slice().into();
    let (entries, draining) = (Arc::new(options.entries.clone()), drain.clone());
    let make = move |_worker| service::RateLimitService {
        door: Arc::clone(&door),
        counts: Arc::clone(&counts),
        domains: Arc::clone(&domains),
        entries: Arc::clone(&entries),
        drain: draining.clone(),
    };
    host::http::start(&listen, make, drain, stats)
}
