//! The response cache: what may be kept is fetched once for all workers and given to many.
//!
//! One [`Cache`] a process; [`Cache::answer`] stands around the fetch of one request. What may be
//! kept and for how long is said in `lease.rs`, under what in `key.rs`; one fetch for many is
//! `flight.rs`, and what comes of a fetch `fill.rs`. It must not know upstreams: the fetch is
//! handed in. A client cannot get past it by asking for something fresh.

mod answer;
mod directives;
mod entry;
mod fill;
mod flight;
mod gather;
mod key;
mod lease;
pub(crate) mod limits;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use directives::Directives;
pub(crate) use entry::Entry;
pub(crate) use gather::cut_after;
pub(crate) use key::is_page;
pub(crate) use lease::ms;

use crate::prerender::Pages;
use flight::Flights;
use gather::Budget;
use limits::STORE_BYTES_DEFAULT;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};
use store::Store;
use wire::gateway::routes::{CacheMode, Route};

/// What is kept for one route. Made from the file once, shared by its requests.
#[derive(Debug, Clone)]
pub struct RouteCache {
    /// Answers of different routes are never mixed up.
    pub name: Box<str>,
    /// Instead of what the answers' heads say.
    pub ttl: Option<Duration>,
    /// Where the answers' heads say nothing about it; so with the next one.
    pub stale_while_revalidate: Duration,
    pub stale_if_error: Duration,
    /// Fields of the query that make another answer; `None`: all. Others are not sent on.
    pub query: Option<Vec<String>>,
    /// Bytes of one answer.
    pub answer_bytes: u64,
    /// Whether requests with `Authorization` take part. They share answers among themselves, and
    /// only those that say `public`, `s-maxage` or `must-revalidate`.
    pub authorized: bool,
    /// Whether plain answers are compressed.
    pub compression: bool,
}

impl RouteCache {
    /// `None`: nothing is kept for this route.
    #[must_use]
    pub fn new(route: &Route) -> Option<Arc<RouteCache>> {
        let cache = route.cache.as_ref()?;
        let ttl = match cache.mode {
            CacheMode::Standard => None,
            CacheMode::Fixed => cache.ttl,
        };
        Some(Arc::new(RouteCache {
            name: route.name.as_str().into(),
            ttl,
            stale_while_revalidate: cache.stale_while_revalidate,
            stale_if_error: cache.stale_if_error,
            query: cache.query.clone(),
            answer_bytes: cache.answer_bytes,
            authorized: false,
            compression: route.compression,
        }))
    }
}

/// The cache as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSettings {
    /// Bytes of all that is kept.
    pub bytes: u64,
    /// The largest answer that a route wants kept. At most a quarter of the store.
    pub answer_bytes: u64,
}

impl Default for CacheSettings {
    fn default() -> Self {
        CacheSettings {
            bytes: STORE_BYTES_DEFAULT,
            answer_bytes: 1 << 20,
        }
    }
}

/// Milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Wall-clock time that goes on evenly from now.
#[must_use]
pub fn clock() -> Clock {
    let (start, wall_ms) = (Instant::now(), lease::since_1970_ms(SystemTime::now()));
    Arc::new(move || wall_ms.saturating_add(ms(start.elapsed())))
}

/// What the cache did since its start.
#[derive(Debug, Default)]
pub struct CacheCounts {
    /// Answers that were good.
    pub hits: AtomicU64,
    /// Stale answers, given while a fresh one was fetched.
    pub stale: AtomicU64,
    /// Stale answers and pages, given in place of a failure or by a switch.
    pub stood_in: AtomicU64,
    /// Requests that got what another one fetched.
    pub collapsed: AtomicU64,
    /// Fetches for the cache.
    pub fetched: AtomicU64,
    /// Of them, those that were told that the kept answer is good still.
    pub revalidated: AtomicU64,
    /// Answers that were kept.
    pub kept: AtomicU64,
    /// Answers that may not be kept.
    pub uncacheable: AtomicU64,
    /// Requests that went past the cache.
    pub bypassed: AtomicU64,
    /// Requests that waited in vain, or found too many waiting, and went for themselves.
    pub impatient: AtomicU64,
}

pub(crate) struct Shared {
    store: Store,
    flights: Arc<Flights>,
    gathering: Arc<Budget>,
    clock: Clock,
    /// Grows with each purge, so that nothing is kept that was fetched before one.
    purges: AtomicU64,
    numbers: AtomicU64,
    counts: CacheCounts,
    pages: RwLock<Option<Arc<Pages>>>,
}

impl Shared {
    fn now_ms(&self) -> u64 {
        (self.clock)()
    }
    fn pages(&self) -> Option<Arc<Pages>> {
        let pages = self.pages.read().unwrap_or_else(PoisonError::into_inner);
        pages.clone()
    }
    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

/// The cache of the process. A clone is the same cache.
#[derive(Clone)]
pub struct Cache(Arc<Shared>);

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

impl Cache {
    #[must_use]
    pub fn new(settings: &CacheSettings, clock: Clock) -> Cache {
        Cache(Arc::new(Shared {
            store: Store::new(settings.bytes, settings.answer_bytes),
            flights: Arc::default(),
            gathering: Arc::default(),
            clock,
            purges: AtomicU64::new(0),
            numbers: AtomicU64::new(1),
            counts: CacheCounts::default(),
            pages: RwLock::default(),
        }))
    }

    /// Pages that stand in where the upstream fails and nothing else is left.
    pub fn set_pages(&self, pages: Option<Arc<Pages>>) {
        *self.0.pages.write().unwrap_or_else(PoisonError::into_inner) = pages;
    }

    #[must_use]
    pub fn counts(&self) -> &CacheCounts {
        &self.0.counts
    }
    /// Bytes that are kept, heads and keys included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.store.bytes()
    }
    /// Answers, their compressed forms and notes about addresses.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.0.store.len()
    }
    /// Requests that wait at this moment for what another one fetches.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.flights.waiting()
    }
    /// Fetches for others under way at this moment.
    #[must_use]
    pub fn fetching(&self) -> usize {
        self.0.flights.len()
    }

    /// Forgets every answer whose address begins like this: `https://shop.example/products/`.
    /// What is being fetched meanwhile is not kept either. Returns how many answers were there.
    pub fn purge_prefix(&self, prefix: &str) -> usize {
        self.purge(|key, _| key.address().starts_with(prefix))
    }

    /// Forgets every answer that named this tag in `Surrogate-Key`.
    pub fn purge_tag(&self, tag: &str) -> usize {
        self.purge(|_, entry| entry.is_some_and(|entry| entry.tags.iter().any(|own| **own == *tag)))
    }

    /// Forgets everything.
    pub fn purge_all(&self) -> usize {
        self.purge(|_, _| true)
    }

    fn purge(&self, gone: impl Fn(&key::Key, Option<&Entry>) -> bool) -> usize {
        // First, so that whoever keeps something now either sees it or is found.
        self.0.purges.fetch_add(1, Ordering::AcqRel);
        self.0.store.purge(gone)
    }
}
