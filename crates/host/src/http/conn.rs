//! One connection: what it is doing, since when, and the future that drives it.
//!
//! hyper parses and frames. Time is kept here: instead of a timer per request, each connection
//! notes what it is doing and since when, and its worker looks at all of them every
//! `SWEEP_MS`. An order to end then goes to the connection, which obeys at its next turn.
//! An idle connection gives its buffers back and waits as a bare socket ("parked").
//! This file must not decide which connection has to end: `worker.rs` does.

use super::body::{Body, Upgrade};
use super::framing::Framing;
use super::h2::Streams;
use super::handshake::{TELLING_BYTES, Version, agree};
use super::stats::Closed;
use super::transport::{Transport, Wire};
use super::worker::Worker;
use super::{Service, h1, h2};
use crate::limits::{LINGER_BYTES_MAX, LINGER_MS, LINGER_READ_BYTES};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

/// What a client that was too slow is told; hyper is not asked, it has no answer to begin.
const TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// Milliseconds since the worker started, as of its last sweep.
pub(super) type Clock = Rc<Cell<u32>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connected; not a byte of HTTP so far, or, of HTTP/2, not a request.
    Fresh,
    /// TLS is being agreed on.
    Handshake,
    /// Part of a request head is here.
    Head,
    /// From the complete head to the last byte of the answer handed to the socket.
    Serving,
    /// Between two requests.
    Idle,
    /// No HTTP any more: bytes go both ways after an upgrade.
    Tunnel,
}

/// What the worker wants of a connection; obeyed at its next turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    None,
    /// Give back the buffers if still idle.
    Park,
    /// End after the request in flight.
    Drain,
    /// With the reason to count, if it is one.
    Close(Option<Closed>),
}

/// The notes of one connection, shared between its future and its worker.
pub(super) struct ConnState {
    pub phase: Cell<Phase>,
    pub since_ms: Cell<u32>,
    /// Since when the socket has taken nothing, while we have something to send.
    pub blocked_ms: Cell<Option<u32>>,
    pub parked: Cell<bool>,
    pub slot: Cell<usize>,
    order: Cell<Order>,
    pub had_body: Cell<bool>,
    /// The peer ended its side, or the connection broke.
    pub gone: Cell<bool>,
    pub framing: Framing,
    /// Of HTTP/2.
    pub streams: OnceCell<Rc<Streams>>,
    pub clock: Clock,
    waker: RefCell<Option<Waker>>,
    /// Set with the 101 that is about to be sent.
    pub upgrade: RefCell<Option<Upgrade>>,
}

impl ConnState {
    pub fn new(clock: Clock, head_bytes_max: usize) -> Rc<Self> {
        Rc::new(ConnState {
            phase: Cell::new(Phase::Fresh),
            since_ms: Cell::new(clock.get()),
            blocked_ms: Cell::new(None),
            parked: Cell::new(true),
            slot: Cell::new(usize::MAX),
            order: Cell::new(Order::None),
            had_body: Cell::new(false),
            gone: Cell::new(false),
            framing: Framing::new(head_bytes_max),
            streams: OnceCell::new(),
            clock,
            waker: RefCell::new(None),
            upgrade: RefCell::new(None),
        })
    }

    pub fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since_ms.set(self.clock.get());
    }

    /// Gives an order. One to close is never taken back, one to drain only by one to close.
    pub fn order(&self, order: Order) {
        let stronger = match (self.order.get(), order) {
            (Order::Close(_), _) | (Order::Drain, Order::Park | Order::None) => false,
            (Order::None | Order::Park | Order::Drain, _) => true,
        };
        if stronger {
            self.order.set(order);
            if let Some(waker) = &*self.waker.borrow() {
                waker.wake_by_ref();
            }
        }
    }

    /// What to do now; to park is said once only.
    pub fn ordered(&self) -> Order {
        let order = self.order.get();
        if order == Order::Park {
            self.order.set(Order::None);
        }
        order
    }

    /// Between two requests, and the last answer has left us whole.
    pub fn is_idle(&self) -> bool {
        self.phase.get() == Phase::Idle && self.blocked_ms.get().is_none()
    }

    /// Told earlier, hyper would drop a head that has begun to arrive, or is about to.
    pub fn may_be_told_to_end(&self) -> bool {
        !matches!(self.phase.get(), Phase::Head | Phase::Fresh)
    }

    pub fn listen_for_orders(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }
}

/// How one stretch of driving ended.
pub(super) enum End {
    /// hyper is done; `Some` if the bytes were not HTTP that we accept.
    Finished(Option<Closed>),
    Parked,
    Ordered(Option<Closed>),
    /// A 101 was sent; with what was read beyond the request.
    Upgraded(Upgrade, Bytes),
}

/// Serves one connection to its end. Its place in the worker is given back by the caller.
pub(super) async fn serve<S: Service>(
    worker: Rc<Worker<S>>,
    tcp: TcpStream,
    peer: SocketAddr,
    state: Rc<ConnState>,
) {
    // Whoever sees a connection end may look at the counts at once: they come first.
    let count = |why: Option<Closed>| why.into_iter().for_each(|why| worker.count_closed(why));
    let (first, len) = match first_bytes(&tcp, &state).await {
        Ok(first) => first,
        Err(why) => return count(why),
    };
    let wire = Wire::new(tcp, state.clone());
    let (transport, version) = match agree(&worker, wire, &first[..len], &state).await {
        Ok(agreed) => agreed,
        Err(why) => return count(why),
    };
    state.parked.set(false);
    let (end, transport) = match version {
        Version::Http1 => {
            let (end, transport) = serve_h1(&worker, transport, peer, &state).await;
            (end, Some(transport))
        }
        Version::Http2 => h2::drive(&worker, transport, peer, &state).await,
    };
    match (end, transport) {
        (End::Upgraded(upgrade, early), Some(transport)) => {
            count(tunnel(upgrade, transport, early, &state).await);
        }
        (End::Finished(why), Some(mut transport)) => {
            count(why);
            if why.is_some() || state.had_body.get() || version == Version::Http2 {
                linger(transport).await;
            } else {
                transport.part(b"").await;
            }
        }
        (End::Ordered(why), Some(mut transport)) => {
            count(why);
            let last_word = match version {
                Version::Http1 if why == Some(Closed::SlowHead) => TOO_SLOW,
                Version::Http2 if state.is_idle() => h2::GOODBYE,
                Version::Http1 | Version::Http2 => b"",
            };
            transport.part(last_word).await;
        }
        (End::Finished(why) | End::Ordered(why), None) => count(why),
        (End::Parked | End::Upgraded(..), _) => {}
    }
}

/// Drives HTTP/1 for as long as there is something to drive, and waits parked in between.
async fn serve_h1<S: Service>(
    worker: &Rc<Worker<S>>,
    mut transport: Transport,
    peer: SocketAddr,
    state: &Rc<ConnState>,
) -> (End, Transport) {
    loop {
        let (end, given_back) = h1::drive(worker, transport, peer, state).await;
        transport = given_back;
        if !matches!(end, End::Parked) {
            return (end, transport);
        }
        state.parked.set(true);
        if let Err(why) = first_bytes(transport.tcp(), state).await {
            return (End::Ordered(why), transport);
        }
        state.parked.set(false);
    }
}

/// Waits, holding no buffer, until the client sends something, and looks at its beginning. `Err`
/// says why not to go on.
/// Peeks, because a socket just accepted counts as readable until a read says otherwise.
async fn first_bytes(
    tcp: &TcpStream,
    state: &ConnState,
) -> Result<([u8; TELLING_BYTES], usize), Option<Closed>> {
    let mut first = [0; TELLING_BYTES];
    poll_fn(|cx| {
        state.listen_for_orders(cx);
        match state.ordered() {
            Order::Close(why) => return Poll::Ready(Err(why)),
            // A fresh one may be about to send; its worker closes it if it does not.
            Order::Drain if state.is_idle() => return Poll::Ready(Err(None)),
            Order::Drain | Order::Park | Order::None => {}
        }
        match ready!(tcp.poll_peek(cx, &mut ReadBuf::new(&mut first))) {
            Ok(n) if n > 0 => Poll::Ready(Ok((first, n))),
            Ok(_) | Err(_) => Poll::Ready(Err(None)),
        }
    })
    .await
}

/// Asks the service, unless the door has refused already, and counts the answer.
pub(super) async fn answer<S: Service>(
    worker: &Worker<S>,
    request: Request<Incoming>,
    peer: SocketAddr,
    judged: Result<(), StatusCode>,
) -> Response<Body> {
    let started = Instant::now();
    let response = match judged {
        Ok(()) => worker.service.call(request, peer).await,
        Err(status) => {
            worker.count_closed(Closed::Malformed);
            refuse(status)
        }
    };
    worker.count_answer(response.status().as_u16(), started.elapsed());
    response
}

pub(super) fn refuse(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

/// What comes after a 101, until it ends or the connection is ordered to.
async fn tunnel(
    upgrade: Upgrade,
    transport: Transport,
    early: Bytes,
    state: &Rc<ConnState>,
) -> Option<Closed> {
    state.enter(Phase::Tunnel);
    let mut tunnel = upgrade.begin(Box::new(transport), early);
    poll_fn(|cx| {
        state.listen_for_orders(cx);
        match state.ordered() {
            Order::Close(why) => Poll::Ready(why),
            Order::Drain => Poll::Ready(None),
            Order::Park | Order::None => tunnel.as_mut().poll(cx).map(|()| None),
        }
    })
    .await
}

/// Ends our side, then reads and drops what the client still sends, so that the kernel does not
/// answer it with a reset that overtakes the answer.
async fn linger(mut transport: Transport) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let drained = async {
        transport.shutdown().await?;
        let wire = transport.wire();
        let mut scratch = vec![0; LINGER_READ_BYTES];
        let mut left = LINGER_BYTES_MAX;
        while left > 0 {
            match wire.read(&mut scratch).await? {
                0 => break,
                n => left = left.saturating_sub(n),
            }
        }
        io::Result::Ok(())
    };
    // Whatever happens here, the answer has been sent and the connection ends.
    let _ = tokio::time::timeout(Duration::from_millis(LINGER_MS), drained).await;
}
