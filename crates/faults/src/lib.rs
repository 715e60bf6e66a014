//! Faults as leases: made on purpose, and ended by themselves when nobody holds them any more.
//!
//! Two kinds. Faults of connections: proxies that delay, throttle, cut and falsify, controlled
//! over the REST API of Toxiproxy ([`start`]). Faults of a machine: a process that stands still,
//! a disk that is full; each is kept by a small watcher process that undoes it ([`Watched`]).
//! It must not know what is drilled, nor why.

mod carry;
mod control;
mod dice;
mod leases;
pub mod limits;
mod link;
mod proxy;
mod refusal;
mod registry;
mod stage;
mod toxic;
mod watched;
pub mod watcher;
mod web;

pub use refusal::Refusal;
pub use watched::{Fault, Watched, kill};

use control::Control;
use host::Drain;
use host::http::{HttpStats, ListenError, ListenOptions, Listening};
use proxy::Ground;
use registry::Registry;
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::runtime::{Builder, Runtime};

/// How the proxies and their control listener are set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// The control listener. Port 0 takes a free one.
    pub control: SocketAddr,
    /// Every fault needs a lease of at most so many milliseconds.
    pub lease_ms: Option<u64>,
    /// The control listener may be reached from other machines.
    pub remote_control: bool,
    /// Proxies may be reached from other machines.
    pub remote_clients: bool,
    /// Of each proxy.
    pub connections_max: usize,
}

impl Options {
    /// Loopback only, no mandatory lease.
    #[must_use]
    pub fn new(control: SocketAddr) -> Options {
        Options {
            control,
            lease_ms: None,
            remote_control: false,
            remote_clients: false,
            connections_max: limits::CONNECTIONS_MAX_DEFAULT,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0} can be reached from other machines, and --allow-remote-control was not given")]
    NotLoopback(SocketAddr),
    #[error("the control listener: {0}")]
    Listen(#[from] ListenError),
    #[error("the thread that carries connections: {0}")]
    Thread(#[from] io::Error),
    #[error("proxies: {0}")]
    Proxies(Refusal),
}

/// Proxies at work. They end with the [`Drain`].
#[derive(Debug)]
pub struct Faults {
    listening: Listening,
    carrier: JoinHandle<()>,
}

impl Faults {
    /// Where the control listener really listens.
    #[must_use]
    pub fn control(&self) -> SocketAddr {
        self.listening.local_addr()
    }

    /// Waits until the drain is over.
    pub fn join(self) {
        self.listening.join();
        // It has panicked only where panics do not abort, and has said so.
        let _ = self.carrier.join();
    }
}

/// Starts the control listener, and the proxies that `populate` lists (the body of `/populate`).
///
/// # Errors
/// A listener could not be opened, or the list is wrong.
pub fn start(
    options: &Options,
    populate: Option<&Value>,
    drain: &Drain,
) -> Result<Faults, StartError> {
    if !options.control.ip().is_loopback() && !options.remote_control {
        return Err(StartError::NotLoopback(options.control));
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let ground = Ground {
        carrier: runtime.handle().clone(),
        connections_max: options.connections_max.clamp(1, limits::CONNECTIONS_MAX),
        held: Arc::default(),
        drain: drain.clone(),
    };
    let registry = Arc::new(Registry::new(
        ground,
        options.remote_clients,
        options.lease_ms,
    ));
    if let Some(list) = populate
        && let (_, Some(refusal)) = runtime.block_on(registry.populate(list))
    {
        return Err(StartError::Proxies(refusal));
    }
    let carrier = carry(runtime, Arc::clone(&registry), drain.clone())?;
    let mut listen = ListenOptions::new("faults", options.control);
    listen.connections_max = limits::CONTROL_CONNECTIONS_MAX;
    let control = Control(registry);
    let make = move |_worker| control.clone();
    let listening = host::http::start(&listen, make, drain.clone(), HttpStats::new());
    Ok(Faults {
        listening: listening.inspect_err(|_| drain.begin())?,
        carrier,
    })
}

/// The thread that carries all connections, apart from the control listener's.
fn carry(runtime: Runtime, registry: Arc<Registry>, drain: Drain) -> io::Result<JoinHandle<()>> {
    let thread = std::thread::Builder::new().name("carrier".into());
    thread.spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = registry.watch_leases() => {}
                () = drain.begun() => {}
            }
            registry.let_go().await;
            registry.finished().await;
        });
    })
}
