//! Upstreams: pools of peers, who of them may be asked, and connections to them.
//!
//! What all workers must agree on – health, load, ejection, connection counts – is shared through
//! atomics in [`Pool`] and [`Peer`]. What only costs time when shared – idle connections, retry
//! budgets, random choices – belongs to one worker (`local.rs`). No lock is taken for a request.
//! It must not know HTTP beyond the health check, nor what is routed here.

mod connect;
mod ejection;
mod health;
mod local;
mod peer;
mod pick;
mod pool;
mod resolve;
mod spec;
mod stats;
mod tls;
mod watch;
mod wire;

pub use health::Watching;
pub use peer::{Peer, PeerState};
pub use pool::{Pool, Upstreams};
pub use spec::{
    Address, ClientFiles, ConnectionSpec, EjectionSpec, HealthSpec, PeerSpec, PoolSpec, Protocol,
    RetrySpec, SpecError, Timeouts, TlsSpec,
};
pub use stats::{Event, PeerStats};
pub use tls::{TlsFault, TlsProblem};

pub(crate) use connect::{ConnectError, connect};
pub(crate) use local::{Checkout, Load, LocalPool, NoLink};
pub(crate) use pick::{Dice, Tried};
pub(crate) use watch::{Deadline, Watch};
pub(crate) use wire::Wire;

use std::sync::LazyLock;
use std::time::Instant;

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since the first call in this process: one time for all workers. Begins at one,
/// because zero means "never" in the atomics.
pub(crate) fn now_ms() -> u64 {
    ms_at(Instant::now())
}

pub(crate) fn ms_at(instant: Instant) -> u64 {
    let elapsed = instant.saturating_duration_since(*STARTED).as_millis();
    u64::try_from(elapsed).unwrap_or(u64::MAX - 1) + 1
}
