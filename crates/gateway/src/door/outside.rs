//! The door's limits for whoever decides elsewhere, such as a proxy that only asks. Such a request
//! goes through nothing else of the door: no room, no switch, no breaker.

use super::Door;
use crate::config::{Digest, RouteSpec};
use guard::{Limits, Nanos};
use hyper::header::HeaderName;
use std::sync::PoisonError;

/// What the running configuration calls things.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// By the places that rules know them by.
    pub routes: &'a [RouteSpec],
    /// In the order of `Facts::headers`.
    pub key_headers: &'a [HeaderName],
    /// The keyed hash that the rules were compiled with.
    pub digest: &'a dyn Digest,
}

impl Door {
    /// Runs `ask` with the running limits, the names that they belong to, and the moment, all
    /// under one lock. `ask` takes about a microsecond and does not block.
    pub fn with_limits<R>(&self, ask: impl FnOnce(&mut Limits, &Terms<'_>, Nanos) -> R) -> R {
        // Both, in the order of a swap: names of one configuration never meet limits of another.
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        let mut books = self.books();
        let terms = Terms {
            routes: &running.compiled.routes,
            key_headers: &running.compiled.key_headers,
            digest: &self.hasher,
        };
        let now = self.clocks.now();
        books.end_shares(now);
        ask(&mut books.limits, &terms, now)
    }
}
