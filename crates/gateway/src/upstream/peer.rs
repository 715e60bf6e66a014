//! One peer as all workers see it: its load, its connections, whether it may be asked.

use super::spec::{Address, PeerSpec};
use super::stats::{Event, PeerStats};
use crate::limits::WEIGHT_SCALE;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Whether a peer is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    Usable,
    /// Failed its health checks.
    Unhealthy,
    /// Failed too many requests in a row; comes back by itself.
    Ejected,
}

impl PeerState {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            PeerState::Usable => "usable",
            PeerState::Unhealthy => "unhealthy",
            PeerState::Ejected => "ejected",
        }
    }
}

#[derive(Debug)]
#[repr(align(128))]
pub struct Peer {
    pub(super) spec: PeerSpec,
    /// As it stands in `Host` if the client named none, in logs and in labels.
    name: String,
    in_flight: AtomicU32,
    connections: AtomicU32,
    unhealthy: AtomicBool,
    /// The log says that it cannot be connected to.
    refuses: AtomicBool,
    pub(super) failures: AtomicU32,
    pub(super) ejected_until_ms: AtomicU64,
    pub(super) ejections: AtomicU32,
    /// When it came back, if it did lately: the beginning of its slow start.
    pub(super) back_since_ms: AtomicU64,
    /// Grows when the addresses change.
    pub(super) generation: AtomicU32,
    addresses: Mutex<Arc<[SocketAddr]>>,
    turn: AtomicU32,
    stats: PeerStats,
}

impl Peer {
    pub(super) fn new(spec: PeerSpec) -> Self {
        let addresses: Arc<[SocketAddr]> = match spec.address {
            Address::Fixed(addr) => Arc::new([addr]),
            Address::Name { .. } => Arc::new([]),
        };
        Peer {
            name: spec.address.to_string(),
            spec,
            in_flight: AtomicU32::new(0),
            connections: AtomicU32::new(0),
            unhealthy: AtomicBool::new(false),
            refuses: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            ejected_until_ms: AtomicU64::new(0),
            ejections: AtomicU32::new(0),
            back_since_ms: AtomicU64::new(0),
            generation: AtomicU32::new(0),
            addresses: Mutex::new(addresses),
            turn: AtomicU32::new(0),
            stats: PeerStats::default(),
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.connections.load(Relaxed)
    }
    #[must_use]
    pub fn stats(&self) -> &PeerStats {
        &self.stats
    }
    #[must_use]
    pub fn state(&self) -> PeerState {
        self.state_at(super::now_ms())
    }

    pub(super) fn state_at(&self, now_ms: u64) -> PeerState {
        if self.unhealthy.load(Relaxed) {
            PeerState::Unhealthy
        } else if self.ejected_until_ms.load(Relaxed) > now_ms {
            PeerState::Ejected
        } else {
            PeerState::Usable
        }
    }

    pub(crate) fn count(&self, event: Event) {
        self.stats.count(event);
    }

    /// Its weight now, in thousandths: less than configured while it starts slowly.
    pub(super) fn weight_at(&self, now_ms: u64, slow_start_ms: u32) -> u64 {
        let full = u64::from(self.spec.weight) * WEIGHT_SCALE;
        let since = self.back_since_ms.load(Relaxed);
        if since == 0 || slow_start_ms == 0 {
            return full;
        }
        let age = now_ms.saturating_sub(since);
        let whole = u64::from(slow_start_ms);
        if age >= whole {
            return full;
        }
        // Never nothing: a peer that is never asked shows nothing.
        (full * age / whole).max(full / 20).max(1)
    }

    pub(super) fn set_healthy(&self, healthy: bool, now_ms: u64) {
        let was_unhealthy = self.unhealthy.swap(!healthy, Relaxed);
        if healthy && was_unhealthy {
            self.failures.store(0, Relaxed);
            self.ejected_until_ms.store(0, Relaxed);
            self.back_since_ms.store(now_ms, Relaxed);
        }
        if healthy == was_unhealthy {
            tracing::warn!(peer = self.name, healthy, "the health of a peer changed");
        }
    }

    /// Whether the last attempt to connect ended otherwise.
    pub(super) fn is_news(&self, refuses: bool) -> bool {
        self.refuses.load(Relaxed) != refuses && self.refuses.swap(refuses, Relaxed) != refuses
    }

    pub(super) fn is_unhealthy(&self) -> bool {
        self.unhealthy.load(Relaxed)
    }

    /// The addresses, the next in turn first; empty while a name could not be looked up.
    pub(super) fn addresses(&self) -> (Arc<[SocketAddr]>, usize) {
        let all = self.addresses.lock();
        let all = all.unwrap_or_else(PoisonError::into_inner).clone();
        let turn = if all.len() > 1 {
            self.turn.fetch_add(1, Relaxed) as usize % all.len()
        } else {
            0
        };
        (all, turn)
    }

    /// What a name stands for now. Nothing at all leaves what was known.
    pub(super) fn set_addresses(&self, mut found: Vec<SocketAddr>) {
        found.sort_unstable();
        found.dedup();
        found.truncate(crate::limits::ADDRESSES_MAX);
        let mut known = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if found.is_empty() || **known == found[..] {
            return;
        }
        *known = found.into();
        self.generation.fetch_add(1, Relaxed);
    }

    pub(super) fn try_connect(self: &Arc<Self>, most: u32) -> Option<Place> {
        self.connections
            .fetch_update(Relaxed, Relaxed, |n| (n < most).then_some(n + 1))
            .ok()
            .map(|_| Place(self.clone()))
    }

    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }
    pub(super) fn end(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }
}

/// One of the connections a peer may have.
#[derive(Debug)]
pub(super) struct Place(Arc<Peer>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}
