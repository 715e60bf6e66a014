//! What is counted of each peer. Counters only grow; who shows them decides how.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Everything that can happen with a peer and is worth a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A try, successful or not; retries are tries of their own.
    Tried,
    Retried,
    Connected,
    ConnectFailed,
    ConnectTimeout,
    /// Connected, but no TLS: a certificate that is not accepted, most of the time.
    TlsFailed,
    /// No head in time.
    HeadTimeout,
    /// Nothing moved in a body for too long, or the total time was over.
    BodyTimeout,
    /// The connection was lost before the head of an answer.
    Lost,
    /// The same on a connection that had been idle: usually a race with the peer's own timeout.
    Stale,
    /// The connection was lost within the answer's body.
    Cut,
    /// What came was not HTTP, or ambiguous.
    Malformed,
    /// 502, 503, 504.
    BadStatus,
    /// The client went away first.
    Abandoned,
    Ejected,
    HealthPassed,
    HealthFailed,
    Upgraded,
}

impl Event {
    pub const ALL: [Event; 18] = [
        Event::Tried,
        Event::Retried,
        Event::Connected,
        Event::ConnectFailed,
        Event::ConnectTimeout,
        Event::TlsFailed,
        Event::HeadTimeout,
        Event::BodyTimeout,
        Event::Lost,
        Event::Stale,
        Event::Cut,
        Event::Malformed,
        Event::BadStatus,
        Event::Abandoned,
        Event::Ejected,
        Event::HealthPassed,
        Event::HealthFailed,
        Event::Upgraded,
    ];

    /// The value of the metric's label `event`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Event::Tried => "tried",
            Event::Retried => "retried",
            Event::Connected => "connected",
            Event::ConnectFailed => "connect_failed",
            Event::ConnectTimeout => "connect_timeout",
            Event::TlsFailed => "tls_failed",
            Event::HeadTimeout => "head_timeout",
            Event::BodyTimeout => "body_timeout",
            Event::Lost => "lost",
            Event::Stale => "stale",
            Event::Cut => "cut",
            Event::Malformed => "malformed",
            Event::BadStatus => "bad_status",
            Event::Abandoned => "abandoned",
            Event::Ejected => "ejected",
            Event::HealthPassed => "health_passed",
            Event::HealthFailed => "health_failed",
            Event::Upgraded => "upgraded",
        }
    }
}

#[derive(Debug, Default)]
pub struct PeerStats([AtomicU64; Event::ALL.len()]);

impl PeerStats {
    #[must_use]
    pub fn of(&self, event: Event) -> u64 {
        self.0[event as usize].load(Relaxed)
    }
    pub(crate) fn count(&self, event: Event) {
        self.0[event as usize].fetch_add(1, Relaxed);
    }
}
