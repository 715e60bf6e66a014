//! A pool as all workers share it, and the set of all pools.

use super::peer::Peer;
use super::spec::{PoolSpec, SpecError};
use super::tls::TlsPool;
use crate::limits::POOLS_MAX;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

#[derive(Debug)]
pub struct Pool {
    spec: PoolSpec,
    peers: Box<[Arc<Peer>]>,
    pub(super) tls: Option<TlsPool>,
    /// Sums of weights up to each peer: a random number below the last finds one by its weight.
    pub(super) weights: Box<[u64]>,
    /// Requests that wait for a connection.
    waiting: AtomicUsize,
    /// Told when a connection was given up, for whoever waits on another worker.
    pub(super) freed: Notify,
    pub(super) ejecting: Mutex<()>,
}

impl Pool {
    fn new(spec: PoolSpec, tls: Option<TlsPool>, before: Option<&Pool>) -> Self {
        let known = |wanted: &super::PeerSpec| {
            let peers = before.map_or(&[][..], |pool| &pool.peers);
            peers.iter().find(|p| p.spec == *wanted).cloned()
        };
        // A peer that stays keeps what is known of it: health, load and counters.
        let peers: Box<[Arc<Peer>]> = spec
            .peers
            .iter()
            .map(|peer| known(peer).unwrap_or_else(|| Arc::new(Peer::new(peer.clone()))))
            .collect();
        let mut sum = 0;
        let weights = spec.peers.iter().map(|peer| {
            sum += u64::from(peer.weight);
            sum
        });
        Pool {
            weights: weights.collect(),
            peers,
            tls,
            spec,
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
            ejecting: Mutex::new(()),
        }
    }

    fn is_as(&self, spec: &PoolSpec, tls: Option<&TlsPool>) -> bool {
        let same_files = match (&self.tls, tls) {
            (Some(ours), Some(theirs)) => ours.is_same(theirs),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_files && self.spec == *spec
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }
    #[must_use]
    pub fn spec(&self) -> &PoolSpec {
        &self.spec
    }
    #[must_use]
    pub fn peers(&self) -> &[Arc<Peer>] {
        &self.peers
    }
    /// Requests that wait for a connection now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// A place among those who wait, if there is one.
    pub(super) fn try_wait(&self) -> Option<Waiting<'_>> {
        let most = self.spec.connections.waiting_max;
        self.waiting
            .fetch_update(Relaxed, Relaxed, |n| (n < most).then_some(n + 1))
            .ok()
            .map(|_| Waiting(self))
    }
}

pub(super) struct Waiting<'a>(&'a Pool);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

/// All pools of one configuration.
#[derive(Debug)]
pub struct Upstreams {
    pools: HashMap<String, Arc<Pool>>,
}

impl Upstreams {
    /// `before` is the configuration that this one replaces: a pool that is the same goes on,
    /// connections included, and a peer that is the same keeps what is known of it.
    pub fn new(specs: Vec<PoolSpec>, before: Option<&Upstreams>) -> Result<Self, SpecError> {
        if specs.len() > POOLS_MAX {
            return Err(SpecError::Pools { found: specs.len() });
        }
        let mut pools = HashMap::with_capacity(specs.len());
        for spec in specs {
            spec.check()?;
            let old = before.and_then(|b| b.pools.get(&spec.name));
            let name = spec.name.clone();
            let tls = spec.tls.as_ref().map(|tls| TlsPool::new(&spec, tls));
            let tls = tls.transpose().map_err(|problem| SpecError::Tls {
                pool: name.clone(),
                problem,
            })?;
            let pool = match old {
                Some(same) if same.is_as(&spec, tls.as_ref()) => same.clone(),
                Some(_) | None => Arc::new(Pool::new(spec, tls, old.map(|pool| &**pool))),
            };
            if pools.insert(name.clone(), pool).is_some() {
                return Err(SpecError::Twice { pool: name });
            }
        }
        Ok(Upstreams { pools })
    }

    #[must_use]
    pub fn pool(&self, name: &str) -> Option<&Arc<Pool>> {
        self.pools.get(name)
    }
    pub fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.pools.values()
    }
}
