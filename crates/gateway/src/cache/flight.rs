//! One fetch for many: who asks first leads, the others wait, whichever worker they are on.
//!
//! A leader is a value that is dropped sooner or later; then the flight ends, however it ended.
//! So nobody is left waiting by a failure, a client that hangs up, or a worker that goes.

use super::entry::Entry;
use super::key::Key;
use super::limits::{FLIGHTS_MAX, WAITERS_MAX};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How a flight ended.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Flying,
    /// Kept under this key, which is another one than the flight's if answers differ.
    Kept(Key, Arc<Entry>),
    /// Each must ask for itself.
    Uncacheable,
    /// It says nothing to others.
    Failed,
}

#[derive(Debug)]
struct Flight {
    ends: watch::Receiver<Outcome>,
    waiters: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
pub(crate) struct Flights {
    flying: Mutex<HashMap<Key, Flight>>,
    waiting: AtomicUsize,
}

pub(crate) enum Joined {
    Lead(Lead),
    Wait(Waiter),
    /// Too many of either.
    Full,
}

impl Flights {
    pub fn join(self: &Arc<Self>, key: &Key) -> Joined {
        let mut flying = self.flying();
        if let Some(flight) = flying.get(key) {
            let more = |n: usize| (n < WAITERS_MAX).then_some(n + 1);
            let waiters = &flight.waiters;
            if waiters
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
                .is_err()
            {
                return Joined::Full;
            }
            self.waiting.fetch_add(1, Ordering::AcqRel);
            return Joined::Wait(Waiter {
                ends: flight.ends.clone(),
                waiters: Arc::clone(waiters),
                flights: Arc::clone(self),
            });
        }
        if flying.len() >= FLIGHTS_MAX {
            return Joined::Full;
        }
        let (tell, ends) = watch::channel(Outcome::Flying);
        let flight = Flight {
            ends,
            waiters: Arc::default(),
        };
        flying.insert(key.clone(), flight);
        Joined::Lead(Lead {
            key: key.clone(),
            tell,
            flights: Arc::clone(self),
        })
    }

    /// Only if nobody leads already.
    pub fn lead(self: &Arc<Self>, key: &Key) -> Option<Lead> {
        if self.is_flying(key) {
            return None;
        }
        match self.join(key) {
            Joined::Lead(lead) => Some(lead),
            Joined::Wait(_) | Joined::Full => None,
        }
    }

    pub fn is_flying(&self, key: &Key) -> bool {
        self.flying().contains_key(key)
    }
    /// Requests that wait for others at this moment.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }
    pub fn len(&self) -> usize {
        self.flying().len()
    }

    fn flying(&self) -> MutexGuard<'_, HashMap<Key, Flight>> {
        // A map of receivers is whole after each of its operations.
        self.flying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The duty to end a flight; dropping it is a way to.
#[derive(Debug)]
pub(crate) struct Lead {
    key: Key,
    tell: watch::Sender<Outcome>,
    flights: Arc<Flights>,
}

impl Lead {
    pub fn key(&self) -> &Key {
        &self.key
    }
    pub fn end(self, outcome: Outcome) {
        self.tell.send_replace(outcome);
    }
}

impl Drop for Lead {
    /// What was kept is in the store by now: who comes after this finds it there.
    fn drop(&mut self) {
        self.flights.flying().remove(&self.key);
    }
}

#[derive(Debug)]
pub(crate) struct Waiter {
    ends: watch::Receiver<Outcome>,
    waiters: Arc<AtomicUsize>,
    flights: Arc<Flights>,
}

impl Waiter {
    /// `None`: it took too long.
    pub async fn wait(mut self, most: Duration) -> Option<Outcome> {
        let ended = |outcome: &Outcome| !matches!(outcome, Outcome::Flying);
        match tokio::time::timeout(most, self.ends.wait_for(ended)).await {
            Ok(Ok(outcome)) => Some(outcome.clone()),
            Ok(Err(_)) => Some(Outcome::Failed),
            Err(_elapsed) => None,
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.waiters.fetch_sub(1, Ordering::AcqRel);
        self.flights.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
