//! What a pool is told to be. Plain values: reading and explaining files is done elsewhere, here
//! only what would make no sense at run time is refused.

use super::tls::TlsProblem;
use crate::limits::{PEERS_MAX, POOLS_MAX, WEIGHT_MAX};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where a peer listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Fixed(SocketAddr),
    /// Looked up again and again; all its addresses count as one peer and take turns.
    Name {
        host: String,
        port: u16,
    },
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Fixed(addr) => addr.fmt(f),
            Address::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSpec {
    pub address: Address,
    /// Its share relative to the others.
    pub weight: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    /// By ALPN with TLS, by prior knowledge without.
    Http2,
}

/// TLS towards all peers of a pool. What they show is always verified.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsSpec {
    /// PEM: the issuers that are trusted, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// The name that each peer must prove, in place of its own host.
    pub server_name: Option<String>,
    /// What the door shows of itself to peers that ask.
    pub client: Option<ClientFiles>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    /// PEM: the certificate, then those that lead to its issuer.
    pub cert_file: PathBuf,
    /// PEM: PKCS #8, PKCS #1 or SEC 1.
    pub key_file: PathBuf,
}

/// How long each stage of a request may take. Grain: [`crate::limits::WATCH_MS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TLS included.
    pub connect_ms: u32,
    /// From the last byte of the request sent to the whole head of the answer.
    pub head_ms: u32,
    /// Without a byte moving, in either body.
    pub between_ms: u32,
    /// All of it, retries included; `None` for streams that may last.
    pub total_ms: Option<u32>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect_ms: 1_000,
            head_ms: 15_000,
            between_ms: 30_000,
            total_ms: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionSpec {
    /// To one peer, of all workers together.
    pub per_peer_max: u32,
    /// Idle ones to one peer, of each worker.
    pub idle_max: usize,
    pub idle_ms: u32,
    /// Requests that may wait for a connection, of all workers together.
    pub waiting_max: usize,
    pub wait_ms: u32,
}

impl Default for ConnectionSpec {
    fn default() -> Self {
        ConnectionSpec {
            per_peer_max: 1_024,
            idle_max: 256,
            idle_ms: 30_000,
            waiting_max: 1_024,
            wait_ms: 1_000,
        }
    }
}

/// Active checks: `GET path`, healthy if the answer is 200 to 399.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSpec {
    pub path: String,
    pub host: Option<String>,
    pub interval_ms: u32,
    pub timeout_ms: u32,
    /// So many good answers in a row make an unhealthy peer healthy.
    pub healthy_after: u32,
    pub unhealthy_after: u32,
}

/// Passive checks: what requests themselves tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EjectionSpec {
    /// Failures in a row; 0 never ejects. A failure is a refused or lost connection, no head in
    /// time, an answer that is not HTTP, 502, 503 or 504.
    pub consecutive: u32,
    pub base_ms: u32,
    /// Each ejection lasts twice as long as the one before it, up to this.
    pub longest_ms: u32,
    /// At most this share of a pool's peers at once, rounded down: a lonely peer stays.
    pub share_percent: u32,
}

impl Default for EjectionSpec {
    fn default() -> Self {
        EjectionSpec {
            consecutive: 5,
            base_ms: 2_000,
            longest_ms: 60_000,
            share_percent: 50,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrySpec {
    /// Tries after the first, for what is safe to repeat; 0 switches retries off.
    pub more_max: u32,
    /// Retries as a share of requests. Each worker keeps its own account.
    pub budget_percent: u32,
    /// An answer of 502, 503 or 504 is tried elsewhere, if the request is safe to repeat.
    pub on_bad_status: bool,
}

impl Default for RetrySpec {
    fn default() -> Self {
        RetrySpec {
            more_max: 2,
            budget_percent: 20,
            on_bad_status: true,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSpec {
    pub name: String,
    pub peers: Vec<PeerSpec>,
    pub protocol: Protocol,
    pub tls: Option<TlsSpec>,
    pub timeouts: Timeouts,
    pub connections: ConnectionSpec,
    pub health: Option<HealthSpec>,
    pub ejection: EjectionSpec,
    pub retry: RetrySpec,
    /// A peer that comes back gets its share over so long a time.
    pub slow_start_ms: u32,
    pub resolve_ms: u32,
    /// If every peer is unhealthy, ask them all the same: a wrong health check must not be worse
    /// than none.
    pub fail_open: bool,
}

impl PoolSpec {
    /// With defaults for everything but its name and peers.
    #[must_use]
    pub fn new(name: impl Into<String>, peers: Vec<PeerSpec>) -> Self {
        PoolSpec {
            name: name.into(),
            peers,
            protocol: Protocol::Http1,
            tls: None,
            timeouts: Timeouts::default(),
            connections: ConnectionSpec::default(),
            health: None,
            ejection: EjectionSpec::default(),
            retry: RetrySpec::default(),
            slow_start_ms: 0,
            resolve_ms: 30_000,
            fail_open: true,
        }
    }

    pub(super) fn check(&self) -> Result<(), SpecError> {
        let pool = || self.name.clone();
        if self.peers.is_empty() || self.peers.len() > PEERS_MAX {
            let found = self.peers.len();
            return Err(SpecError::Peers {
                pool: pool(),
                found,
            });
        }
        for peer in &self.peers {
            if peer.weight == 0 || peer.weight > WEIGHT_MAX {
                let (peer, weight) = (peer.address.to_string(), peer.weight);
                let pool = pool();
                return Err(SpecError::Weight { pool, peer, weight });
            }
        }
        if self.connections.per_peer_max == 0 {
            return Err(SpecError::NoConnections { pool: pool() });
        }
        if let Some(health) = &self.health {
            let plain = |b: u8| (0x21..0x7f).contains(&b);
            let path = health.path.as_bytes();
            let host = health.host.as_deref().unwrap_or("").as_bytes();
            if path.first() != Some(&b'/') || !path.iter().chain(host).all(|b| plain(*b)) {
                let path = health.path.clone();
                return Err(SpecError::HealthPath { pool: pool(), path });
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("{found} upstream pools: expected at most {POOLS_MAX}")]
    Pools { found: usize },
    #[error("two upstream pools are named {pool:?}: expected different names")]
    Twice { pool: String },
    #[error("pool {pool:?} has {found} peers: expected 1 to {PEERS_MAX}")]
    Peers { pool: String, found: usize },
    #[error("peer {peer} of pool {pool:?} has weight {weight}: expected 1 to {WEIGHT_MAX}")]
    Weight {
        pool: String,
        peer: String,
        weight: u32,
    },
    #[error("TLS towards pool {pool:?}: {problem}")]
    Tls { pool: String, problem: TlsProblem },
    #[error("pool {pool:?} may open no connection: expected at least 1 to each peer")]
    NoConnections { pool: String },
    #[error(
        "the health check of pool {pool:?} asks for {path:?}: expected a path that begins with \
         `/`, and no space or other than ASCII in it or in its host"
    )]
    HealthPath { pool: String, path: String },
}
