//! The proxy: one request to one pool, whatever it takes.
//!
//! A try runs inside the client's own connection (`exchange.rs`); what failed is tried elsewhere
//! only if that is safe and within the pool's budget (`forward.rs`). Bodies flow both ways
//! without being gathered, small ones excepted. It must not know routes, limits or pages.

mod answer;
mod decode;
mod error;
mod exchange;
mod forward;
mod http2;
mod relay;
mod request;
mod response;
mod tunnel;
mod upload;

pub use error::{Happened, Malformed, ProxyError, Why};
pub use forward::Received;
pub(crate) use http2::Http2Links;

use crate::headers::{Announce, Client};
use crate::limits::{
    ANSWER_HEADERS, HEAD_OUT_BYTES, REQUEST_BYTES_MAX_DEFAULT, SPARE_MAP_HEADERS_MAX,
    SPARE_MAPS_MAX, SWEEP_EVERY_LOOKS,
};
use crate::upstream::{Dice, LocalPool, Pool, Timeouts, Watch};
use bytes::BytesMut;
use host::http::Body;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Response};
use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// Which `Host` an upstream is given.
#[derive(Debug, Clone, Copy, Default)]
pub enum Host<'a> {
    /// As the client named it; the peer's if it named none.
    #[default]
    OfClient,
    OfPeer,
    Named(&'a HeaderValue),
}

/// What a route says about one request.
pub struct ForwardContext<'a> {
    pub client: Client,
    pub announce: &'a Announce,
    pub host: Host<'a>,
    /// Instead of the client's path and query.
    pub path: Option<&'a PathAndQuery>,
    /// Added for the upstream.
    pub extra: &'a [(HeaderName, HeaderValue)],
    /// Instead of the pool's.
    pub timeouts: Option<Timeouts>,
    pub request_bytes_max: u64,
    pub response_bytes_max: u64,
    /// With an `Idempotency-Key`, any method may be tried again.
    pub key_makes_safe: bool,
    /// Whether the client may ask for another protocol (WebSocket).
    pub may_upgrade: bool,
    /// Dropped when the last byte of the answer has been read from the upstream, or the client
    /// has gone: permits belong here.
    pub keep: Option<Box<dyn Any>>,
}

impl<'a> ForwardContext<'a> {
    #[must_use]
    pub fn new(client: Client, announce: &'a Announce) -> Self {
        ForwardContext {
            client,
            announce,
            host: Host::OfClient,
            path: None,
            extra: &[],
            timeouts: None,
            request_bytes_max: REQUEST_BYTES_MAX_DEFAULT,
            response_bytes_max: u64::MAX,
            key_makes_safe: false,
            may_upgrade: true,
            keep: None,
        }
    }
}

/// A pool as one worker uses it. Cheap to clone; never leaves its worker.
#[derive(Debug, Clone)]
pub struct Target(Rc<LocalPool>);

impl Target {
    #[must_use]
    pub fn pool(&self) -> &Arc<Pool> {
        &self.0.pool
    }
}

/// What the requests of one worker share, one after the other.
pub(crate) struct Worker {
    pub watch: Rc<Watch>,
    pub dice: Rc<Dice>,
    pub read: RefCell<BytesMut>,
    pub out: RefCell<Vec<u8>>,
    /// Emptied header maps: each request brings one and each answer needs one.
    spare: RefCell<Vec<HeaderMap>>,
    pools: RefCell<Vec<Weak<LocalPool>>>,
}

impl Worker {
    fn header_map(&self) -> HeaderMap {
        let spare = self.spare.borrow_mut().pop();
        spare.unwrap_or_else(|| HeaderMap::with_capacity(ANSWER_HEADERS))
    }

    fn take_back(&self, mut map: HeaderMap) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_MAPS_MAX && map.capacity() <= SPARE_MAP_HEADERS_MAX {
            map.clear();
            spare.push(map);
        }
    }
}

/// The proxy of one worker.
pub struct Proxy {
    worker: Rc<Worker>,
    looking: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Must be called within the worker's runtime: deadlines are looked at by a task on it.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it starts a task")]
    pub fn new() -> Self {
        let worker = Rc::new(Worker {
            watch: Rc::default(),
            dice: Rc::new(Dice::new()),
            read: RefCell::default(),
            out: RefCell::new(Vec::with_capacity(HEAD_OUT_BYTES)),
            spare: RefCell::default(),
            pools: RefCell::default(),
        });
        worker.watch.look();
        let looking = tokio::task::spawn_local(look(Rc::downgrade(&worker)));
        Proxy { worker, looking }
    }

    /// The pool, for requests of this worker. The same pool gives the same connections.
    #[must_use]
    pub fn target(&self, pool: &Arc<Pool>) -> Target {
        let mut pools = self.worker.pools.borrow_mut();
        pools.retain(|known| known.strong_count() > 0);
        let known = pools.iter().filter_map(Weak::upgrade);
        if let Some(known) = known
            .into_iter()
            .find(|known| Arc::ptr_eq(&known.pool, pool))
        {
            return Target(known);
        }
        let (watch, dice) = (self.worker.watch.clone(), self.worker.dice.clone());
        let local = LocalPool::new(pool.clone(), watch, dice);
        pools.push(Rc::downgrade(&local));
        Target(local)
    }

    /// Asks a peer of the pool and returns its answer, body still flowing.
    ///
    /// Dropping the future, or the answer's body, closes the connection to the upstream.
    pub async fn forward(
        &self,
        request: Request<Incoming>,
        target: &Target,
        ctx: ForwardContext<'_>,
    ) -> Result<Response<Body>, ProxyError> {
        let received = self.receive(request, target, &ctx).await?;
        self.send(received, target, ctx).await
    }

    /// The first half of [`Proxy::forward`]: waits for a small body. Not an `async fn`, here and
    /// below: each such layer moves the whole request once more.
    pub fn receive(
        &self,
        request: Request<Incoming>,
        target: &Target,
        ctx: &ForwardContext<'_>,
    ) -> impl Future<Output = Result<Received, ProxyError>> {
        forward::receive(request, &target.0, ctx)
    }

    /// The second half: asks a peer.
    pub fn send(
        &self,
        received: Received,
        target: &Target,
        ctx: ForwardContext<'_>,
    ) -> impl Future<Output = Result<Response<Body>, ProxyError>> {
        forward::forward(&self.worker, received, &target.0, ctx)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

async fn look(worker: Weak<Worker>) {
    let mut ticks = Watch::interval();
    let mut looks = 0_u32;
    loop {
        ticks.tick().await;
        let Some(worker) = worker.upgrade() else {
            return;
        };
        worker.watch.look();
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(SWEEP_EVERY_LOOKS) {
            let pools = worker.pools.borrow();
            pools
                .iter()
                .filter_map(Weak::upgrade)
                .for_each(|pool| pool.sweep());
        }
    }
}
