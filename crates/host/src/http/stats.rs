//! What a listener counts. One shard per worker, so that counting never makes two cores share
//! a cache line; the scrape adds the shards up.

use crate::limits::WORKERS_MAX;
use crate::metrics::LatencyHistogram;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Why the server ended a connection of its own accord.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// Sent nothing after connecting.
    Silent,
    /// TLS was not agreed on, or not in time.
    Handshake,
    /// The request head did not arrive in time.
    SlowHead,
    /// Nothing to do between requests.
    Idle,
    /// The client takes no byte of its answer.
    WriteStall,
    /// The same for one stream of HTTP/2; its connection goes on.
    StreamStall,
    /// Began requests over HTTP/2 only to cancel them.
    Flood,
    /// Made room for a new connection.
    Evicted,
    /// At the cap, and nobody was idle: the new connection was closed at once.
    Full,
    /// Not HTTP that we accept: answered 400, 414, 431 or 501.
    Malformed,
    /// Still busy when the time for draining was over.
    DrainCut,
}

impl Closed {
    pub const ALL: [Closed; 11] = [
        Closed::Silent,
        Closed::Handshake,
        Closed::SlowHead,
        Closed::Idle,
        Closed::WriteStall,
        Closed::StreamStall,
        Closed::Flood,
        Closed::Evicted,
        Closed::Full,
        Closed::Malformed,
        Closed::DrainCut,
    ];

    /// The value of the metric's label `reason`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Closed::Silent => "silent",
            Closed::Handshake => "handshake",
            Closed::SlowHead => "slow_head",
            Closed::Idle => "idle",
            Closed::WriteStall => "write_stall",
            Closed::StreamStall => "stream_stall",
            Closed::Flood => "flood",
            Closed::Evicted => "evicted",
            Closed::Full => "full",
            Closed::Malformed => "malformed",
            Closed::DrainCut => "drain_cut",
        }
    }
}

#[derive(Default)]
#[repr(align(128))]
struct Shard {
    accepted: AtomicU64,
    accept_errors: AtomicU64,
    closed: [AtomicU64; Closed::ALL.len()],
    by_class: [AtomicU64; 5],
}

/// Counters of one listener, shared by its workers and the scrape.
pub struct HttpStats {
    open: AtomicUsize,
    shards: Box<[Shard]>,
    latency: LatencyHistogram,
}

impl Default for HttpStats {
    fn default() -> Self {
        HttpStats {
            open: AtomicUsize::new(0),
            shards: (0..WORKERS_MAX).map(|_| Shard::default()).collect(),
            latency: LatencyHistogram::new(WORKERS_MAX),
        }
    }
}

impl HttpStats {
    #[must_use]
    pub fn new() -> std::sync::Arc<Self> {
        std::sync::Arc::default()
    }

    /// Connections open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Relaxed)
    }
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.sum(|s| &s.accepted)
    }
    /// Accepts that the kernel refused, out of descriptors for instance.
    #[must_use]
    pub fn accept_errors(&self) -> u64 {
        self.sum(|s| &s.accept_errors)
    }
    #[must_use]
    pub fn closed(&self, why: Closed) -> u64 {
        self.sum(|s| &s.closed[why as usize])
    }
    /// Answers by class of status: index 0 is 1xx, 4 is 5xx.
    #[must_use]
    pub fn answered(&self, class: usize) -> u64 {
        self.sum(|s| &s.by_class[class])
    }
    /// From the request's head to the head of the answer.
    #[must_use]
    pub fn latency(&self) -> &LatencyHistogram {
        &self.latency
    }

    fn sum(&self, of: impl Fn(&Shard) -> &AtomicU64) -> u64 {
        self.shards.iter().map(|s| of(s).load(Relaxed)).sum()
    }

    /// Takes a place below `max`, or says that there is none.
    pub(super) fn try_open(&self, max: usize) -> bool {
        self.open
            .fetch_update(Relaxed, Relaxed, |n| (n < max).then_some(n + 1))
            .is_ok()
    }
    pub(super) fn open_above(&self) {
        self.open.fetch_add(1, Relaxed);
    }
    pub(super) fn release(&self) {
        self.open.fetch_sub(1, Relaxed);
    }
    pub(super) fn count_accepted(&self, worker: usize) {
        self.shards[worker].accepted.fetch_add(1, Relaxed);
    }
    pub(super) fn count_accept_error(&self, worker: usize) {
        self.shards[worker].accept_errors.fetch_add(1, Relaxed);
    }
    pub(super) fn count_closed(&self, worker: usize, why: Closed) {
        self.shards[worker].closed[why as usize].fetch_add(1, Relaxed);
    }
    pub(super) fn count_answer(&self, worker: usize, status: u16, took: Duration) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.shards[worker].by_class[class].fetch_add(1, Relaxed);
        self.latency.record(worker, took);
    }
}
