//! The door: for each request, what `guard` decides is asked and performed.
//!
//! The order is cheap first: route → switches → sold out → waiting room → the same key under way →
//! breaker, overload, limits (all asked under one lock, charged only if all agree) → served, in
//! process or by a pool. A refusal takes one lock twice and allocates its answer only.
//!
//! One [`Door`] a process, one [`DoorService`] a worker. It must not know the shop: a service in
//! this process is an [`InProcess`] that the binary hands in.

mod acts;
mod admin;
mod answers;
mod books;
mod ending;
mod endings;
mod extras;
mod faults;
mod fetch;
mod held;
mod identity;
mod incoming;
mod kept;
mod lag;
mod late;
mod line;
mod metrics;
mod metrics_extras;
mod note;
mod outside;
mod render;
mod running;
mod serve;
mod service;
mod shares;

pub use admin::Administration;
pub use metrics::DoorMetrics;
pub use outside::Terms;
pub use running::{DoorError, Sources};
pub use service::{DoorService, InProcess, NoService, Session};

use crate::proxy::ProxyError;
use crate::room::Now;
use books::Books;
use guard::Nanos;
use guard::switches::SwitchEvent;
use running::Running;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The process's keyed hash: its key is random and never leaves.
#[derive(Clone, Debug, Default)]
pub struct Hasher(RandomState);

impl Hasher {
    fn value(&self, hash: u64) -> guard::Value {
        guard::Value(NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN))
    }
}

impl crate::config::Digest for Hasher {
    fn text(&self, text: &str) -> guard::Value {
        self.value(self.0.hash_one(text.as_bytes()))
    }
    fn address(&self, address: IpAddr) -> guard::Value {
        self.value(self.0.hash_one(address))
    }
}

/// Both clocks of the process.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    start: Instant,
    wall_us: u64,
}

impl Clocks {
    fn start() -> Clocks {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Clocks {
            start: Instant::now(),
            wall_us: wall.map_or(0, |wall| wall.as_micros() as u64),
        }
    }
    /// Never goes back, and never is zero.
    #[must_use]
    pub fn now(&self) -> Nanos {
        Nanos(self.start.elapsed().as_nanos() as u64 + 1)
    }
    /// Wall-clock time that goes on evenly from the start.
    #[must_use]
    pub fn both(&self) -> Now {
        let nanos = self.now();
        Now {
            nanos,
            unix_us: self.wall_us + nanos.0 / 1_000,
        }
    }
}

/// What the door counted since its start.
#[derive(Debug, Default)]
pub struct Counts {
    pub requests: AtomicU64,
    pub served: AtomicU64,
    pub reloads: AtomicU64,
    pub reloads_refused: AtomicU64,
    /// By the place of `wire::problem::DoorCode::ALL`.
    pub refused: [AtomicU64; wire::problem::DoorCode::ALL.len()],
    pub held_in_room: AtomicU64,
    pub by_switch: AtomicU64,
    endings: endings::Counter,
    faults: faults::Faults,
}

impl Counts {
    /// Refused to protect what is behind the door.
    fn shed(&self) -> u64 {
        let place = wire::problem::DoorCode::Shed as usize;
        self.refused[place].load(Ordering::Relaxed)
    }
    /// A request that was let in is over.
    fn ended(&self, latency: Nanos, ended: guard::Ended) {
        self.endings.add(latency, ended);
    }
    /// No answer from behind, at this place of a configuration's routes.
    fn failed(&self, clocks: &Clocks, (running, place): (&Running, usize), why: &ProxyError) {
        let route = running.compiled.routes.get(place);
        let route = route.map_or("", |route| route.name.as_str());
        self.faults.tell(clocks, route, why);
    }
    fn refuse(&self, code: wire::problem::DoorCode) {
        self.refused[code as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// The front door of this process.
pub struct Door {
    sources: Sources,
    clocks: Clocks,
    hasher: Hasher,
    books: Mutex<Books>,
    running: RwLock<Arc<Running>>,
    /// Grows with each swap, so that workers look at the lock only then.
    generation: AtomicU64,
    counts: Counts,
    /// Switches turned lately, newest last, for operators.
    turned: Mutex<Vec<(u64, SwitchEvent)>>,
    /// Where rooms, pages and the recorder's key are kept.
    folder: std::path::PathBuf,
    /// Whether a worker renders pages ahead, and what it waits for.
    renders: AtomicBool,
    swapped: tokio::sync::Notify,
    reloading: Mutex<()>,
    cluster: Arc<crate::cluster::Counts>,
    lag: lag::Lag,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

impl Door {
    fn books(&self) -> MutexGuard<'_, Books> {
        // What a panic left is still a set of counters; refusing everybody would be worse.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn running(&self) -> Arc<Running> {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&running)
    }
    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
    #[must_use]
    pub fn clocks(&self) -> Clocks {
        self.clocks
    }

    /// Tells the filter of sold-out SKUs, and with them the waiting rooms, what is left. `version`
    /// grows with the state it comes from, so that late news never undoes newer.
    pub fn stock(&self, sku: &str, free: bool, version: u64) {
        let sku = crate::config::Digest::text(&self.hasher, sku);
        self.books().sold_out.set(sku, free, version);
    }

    /// Units left of all that the sale sells: zero sends everybody home who waits.
    pub fn units_left(&self, left: u64) {
        for room in self.running().rooms.iter() {
            room.set_stock(Some(left));
        }
    }

    /// What has to be done now and then: a few times a second, on a thread of its own.
    pub fn tick(&self, cpu_share: f64) {
        let now = self.clocks.both();
        let machine = guard::Machine {
            cpu_share,
            queue: self.lag.take(),
        };
        let mut books = self.books();
        books.tick(&self.counts, now, machine);
        let mut events = Vec::new();
        while let Some(event) = books.switches.take_event() {
            events.push(event);
        }
        drop(books);
        if events.is_empty() {
            return;
        }
        let mut turned = self.turned.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            tracing::info!(?event, "switch");
            turned.push((now.unix_us / 1_000, event));
        }
        let excess = turned
            .len()
            .saturating_sub(crate::limits::SWITCH_EVENTS_KEPT_ENTRIES);
        turned.drain(..excess);
    }
}
