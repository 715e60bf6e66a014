//! One connection: what it is doing, since when, and the future that drives it.
//!
//! hyper parses and frames. Time is kept here: instead of a timer per request, each connection
//! notes what it is doing and since when, and its worker looks at all of them every
//! `SWEEP_MS`. An order to end then goes to the connection, which obeys at its next turn.
//! An idle connection gives its buffers back and waits as a bare socket ("parked").
//! This file must not decide which connection has to end: `worker.rs` does.

use super::body::{Body, BodyCut, Upgrade};
use super::framing::{Framing, Length};
use super::io::Io;
use super::stats::Closed;
use super::worker::Worker;
use super::{Service, door};
use crate::limits::{LINGER_BYTES_MAX, LINGER_MS, LINGER_READ_BYTES};
use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper::{Request, Response, StatusCode};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
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
    /// Connected; not a byte so far.
    Fresh,
    /// Part of a request head is here.
    Head,
    /// From the complete head to the last byte of the answer handed to the socket.
    Serving,
    /// Between two requests.
    Idle,
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
    had_body: Cell<bool>,
    pub framing: Framing,
    pub clock: Clock,
    waker: RefCell<Option<Waker>>,
    /// Set with the 101 that is about to be sent.
    upgrade: RefCell<Option<Upgrade>>,
}

impl ConnState {
    pub fn new(clock: Clock) -> Rc<Self> {
        Rc::new(ConnState {
            phase: Cell::new(Phase::Fresh),
            since_ms: Cell::new(clock.get()),
            blocked_ms: Cell::new(None),
            parked: Cell::new(true),
            slot: Cell::new(usize::MAX),
            order: Cell::new(Order::None),
            had_body: Cell::new(false),
            framing: Framing::default(),
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

    /// Between two requests, and the last answer has left us whole.
    pub fn is_idle(&self) -> bool {
        self.phase.get() == Phase::Idle && self.blocked_ms.get().is_none()
    }

    /// Told earlier, hyper would drop a head that has begun to arrive.
    fn may_be_told_to_end(&self) -> bool {
        self.phase.get() != Phase::Head
    }

    fn listen_for_orders(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }
}

/// One request from its head to the end of its answer, however that comes about.
struct InFlight(Rc<ConnState>);

impl InFlight {
    fn begin(state: &Rc<ConnState>, has_body: bool) -> Self {
        state.enter(Phase::Serving);
        state.had_body.set(has_body);
        InFlight(state.clone())
    }
}
impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle);
    }
}

/// The answer's body, which ends the request when hyper lets go of it.
struct Tracked {
    body: Body,
    _in_flight: InFlight,
}

impl hyper::body::Body for Tracked {
    type Data = Bytes;
    type Error = BodyCut;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How one stretch of driving ended.
enum End {
    /// hyper is done; `Some` if the bytes were not HTTP that we accept.
    Finished(Option<Closed>),
    Parked,
    Ordered(Option<Closed>),
}

/// Serves one connection to its end. Its place in the worker is given back by the caller.
pub(super) async fn serve<S: Service>(
    worker: Rc<Worker<S>>,
    mut stream: TcpStream,
    peer: SocketAddr,
    state: Rc<ConnState>,
) {
    let why = loop {
        if let Err(why) = first_byte(&stream, &state).await {
            break why;
        }
        state.parked.set(false);
        let (end, socket, early) = drive(&worker, stream, peer, &state).await;
        stream = socket;
        if let (End::Finished(None), Some(upgrade)) = (&end, state.upgrade.take()) {
            break tunnel(upgrade, stream, early, &state).await;
        }
        match end {
            End::Parked => state.parked.set(true),
            End::Ordered(why) => {
                if why == Some(Closed::SlowHead) {
                    // Best effort: it fits the socket's buffer, or the client reads nothing.
                    let _ = stream.try_write(TOO_SLOW);
                }
                break why;
            }
            End::Finished(why) => {
                if why.is_some() || state.had_body.get() {
                    linger(&mut stream).await;
                }
                break why;
            }
        }
    };
    if let Some(why) = why {
        worker.count_closed(why);
    }
}

/// Waits, holding no buffer, until the client sends something. `Err` says why not to go on.
/// Peeks, because a socket just accepted counts as readable until a read says otherwise.
async fn first_byte(stream: &TcpStream, state: &ConnState) -> Result<(), Option<Closed>> {
    poll_fn(|cx| {
        state.listen_for_orders(cx);
        match state.order.get() {
            Order::Close(why) => return Poll::Ready(Err(why)),
            // A fresh one may be about to send; its worker closes it if it does not.
            Order::Drain if state.is_idle() => return Poll::Ready(Err(None)),
            Order::Drain | Order::Park | Order::None => {}
        }
        let mut byte = [0];
        let peeked = ready!(stream.poll_peek(cx, &mut ReadBuf::new(&mut byte)));
        Poll::Ready(if peeked.is_ok_and(|n| n > 0) {
            Ok(())
        } else {
            Err(None)
        })
    })
    .await
}

async fn drive<S: Service>(
    worker: &Rc<Worker<S>>,
    stream: TcpStream,
    peer: SocketAddr,
    state: &Rc<ConnState>,
) -> (End, TcpStream, Bytes) {
    let io = Io::new(stream, state.clone(), worker.buffers.clone());
    let service = answering(worker, peer, state);
    // A connection accepted while draining gets one request; `told` says that hyper knows.
    let mut told = state.order.get() == Order::Drain;
    let http = if told {
        &worker.last_request
    } else {
        &worker.http
    };
    // Boxed so that a parked connection does not keep the room of a busy one.
    let mut conn = Box::new(http.serve_connection(io, service));
    let end = poll_fn(|cx| {
        state.listen_for_orders(cx);
        loop {
            match state.order.get() {
                Order::Close(why) => return Poll::Ready(End::Ordered(why)),
                Order::Park => {
                    state.order.set(Order::None);
                    if state.is_idle() {
                        return Poll::Ready(End::Parked);
                    }
                }
                Order::Drain if !told && state.may_be_told_to_end() => {
                    told = true;
                    Pin::new(&mut *conn).graceful_shutdown();
                }
                Order::Drain | Order::None => {}
            }
            if let Poll::Ready(result) = Pin::new(&mut *conn).poll(cx) {
                let malformed = result.is_err_and(|e| e.is_parse() || e.is_parse_too_large());
                return Poll::Ready(End::Finished(malformed.then_some(Closed::Malformed)));
            }
            // What the drain waited for may just have come about.
            let tell = state.order.get() == Order::Drain && !told && state.may_be_told_to_end();
            if !tell {
                return Poll::Pending;
            }
        }
    })
    .await;
    finish(end, *conn)
}

/// The service as hyper calls it: around ours, framing, counting and the notes of what goes on.
fn answering<S: Service>(
    worker: &Rc<Worker<S>>,
    peer: SocketAddr,
    state: &Rc<ConnState>,
) -> impl HttpService<Incoming, ResBody = Tracked, Error = Infallible> {
    let (worker, state) = (worker.clone(), state.clone());
    hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let head = state.framing.next(request.body().size_hint().exact());
        let judged = door::judge_h1(&mut request, head);
        let in_flight = InFlight::begin(&state, !request.body().is_end_stream());
        let (worker, state) = (worker.clone(), state.clone());
        async move {
            let started = Instant::now();
            let mut response = match judged {
                Ok(_) => worker.service.call(request, peer).await,
                Err(status) => {
                    worker.count_closed(Closed::Malformed);
                    refuse(status)
                }
            };
            if judged.is_err() || judged == Ok(Length::Chunked) {
                // Whatever follows a chunked body is never taken for a request.
                response
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
            }
            worker.count_answer(response.status().as_u16(), started.elapsed());
            if let Body::Upgrade(_) = response.body()
                && response.status() == StatusCode::SWITCHING_PROTOCOLS
                && let Body::Upgrade(upgrade) = std::mem::take(response.body_mut())
            {
                state.upgrade.replace(Some(upgrade));
            }
            Ok(response.map(|body| Tracked {
                body,
                _in_flight: in_flight,
            }))
        }
    })
}

fn refuse(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

/// Takes the socket back from hyper. A connection that is "idle" with the beginning of a
/// request in hyper's buffer is not idle but slow. What hyper read too far comes with it.
fn finish<S>(end: End, conn: http1::Connection<Io, S>) -> (End, TcpStream, Bytes)
where
    S: HttpService<Incoming, ResBody = Tracked, Error = Infallible>,
{
    let parts = conn.into_parts();
    let end = match end {
        End::Parked if !parts.read_buf.is_empty() => End::Ordered(Some(Closed::SlowHead)),
        End::Parked | End::Ordered(_) | End::Finished(_) => end,
    };
    (end, parts.io.into_socket(), parts.read_buf)
}

/// What comes after a 101, until it ends or the connection is ordered to.
async fn tunnel(
    upgrade: Upgrade,
    stream: TcpStream,
    early: Bytes,
    state: &Rc<ConnState>,
) -> Option<Closed> {
    // Neither idle nor slow: how long it may be silent is the tunnel's own business.
    state.enter(Phase::Serving);
    let mut tunnel = upgrade.begin(Box::new(stream), early);
    poll_fn(|cx| {
        state.listen_for_orders(cx);
        match state.order.get() {
            Order::Close(why) => Poll::Ready(why),
            Order::Drain => Poll::Ready(None),
            Order::Park | Order::None => tunnel.as_mut().poll(cx).map(|()| None),
        }
    })
    .await
}

/// Ends our side, then reads and drops what the client still sends, so that the kernel does not
/// answer it with a reset that overtakes the answer.
async fn linger(stream: &mut TcpStream) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let drained = async {
        stream.shutdown().await?;
        let mut scratch = vec![0; LINGER_READ_BYTES];
        let mut left = LINGER_BYTES_MAX;
        while left > 0 {
            match stream.read(&mut scratch).await? {
                0 => break,
                n => left = left.saturating_sub(n),
            }
        }
        io::Result::Ok(())
    };
    // Whatever happens here, the answer has been sent and the connection ends.
    let _ = tokio::time::timeout(Duration::from_millis(LINGER_MS), drained).await;
}
