//! HTTP/2: how hyper is driven on one connection, and what its streams may cost.
//!
//! hyper and h2 bound frames, headers, windows and resets; `limits.rs` says to what. What they
//! cannot know is kept here: how long a client may leave an answer untaken, stream by stream,
//! and how many requests it may begin only to cancel them. Each stream is a task of its own
//! that its connection's worker can end. A connection without a stream is idle, however
//! many pings it sends.
//! This file must not decide which connection has to end: `worker.rs` does.

use super::body::{Body, BodyCut};
use super::conn::{ConnState, End, Order, Phase, answer, refuse};
use super::io::Lent;
use super::stats::Closed;
use super::transport::Transport;
use super::worker::Worker;
use super::{ListenOptions, Service, door};
use crate::limits::{
    H2_CANCELLED_MAX, H2_CONNECTION_WINDOW_BYTES, H2_FRAME_BYTES_MAX, H2_LOCAL_RESETS_MAX,
    H2_PENDING_RESETS_MAX, H2_PING_MS, H2_PONG_MS, H2_SEND_BYTES_MAX, H2_STREAM_WINDOW_BYTES,
    H2_TABLE_BYTES_MAX,
};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::HttpService;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioTimer;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// "No stream will be opened any more, and nothing went wrong": a GOAWAY for whoever is idle.
pub(super) const GOODBYE: &[u8] =
    b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x7f\xff\xff\xff\x00\x00\x00\x00";

/// Serves requests until the connection ends. The transport comes back if hyper let go of it.
pub(super) async fn drive<S: Service>(
    worker: &Rc<Worker<S>>,
    transport: Transport,
    peer: SocketAddr,
    state: &Rc<ConnState>,
) -> (End, Option<Transport>) {
    let lent = Rc::new(RefCell::new(transport));
    let io = Lent::new(lent.clone(), worker.buffers.clone());
    let streams = state.streams.get_or_init(Rc::default);
    let service = answering(worker, peer, state, streams);
    let http = builder(Streaming(streams.clone()), &worker.options);
    let mut conn = Box::new(http.serve_connection(io, service));
    let mut told = false;
    let end = poll_fn(|cx| {
        state.listen_for_orders(cx);
        match state.ordered() {
            Order::Close(why) => return Poll::Ready(End::Ordered(why)),
            Order::Drain if !told => {
                told = true;
                Pin::new(&mut *conn).graceful_shutdown();
            }
            Order::Drain | Order::Park | Order::None => {}
        }
        Pin::new(&mut *conn).poll(cx).map(|result| {
            // Whoever went away was rude at worst.
            let malformed = result.is_err() && !state.gone.get();
            End::Finished(malformed.then_some(Closed::Malformed))
        })
    })
    .await;
    drop(conn);
    (end, Rc::into_inner(lent).map(RefCell::into_inner))
}

fn builder(exec: Streaming, options: &ListenOptions) -> http2::Builder<Streaming> {
    let head_bytes_max = u32::try_from(options.head_bytes_max).unwrap_or(u32::MAX);
    let mut http = http2::Builder::new(exec);
    http.timer(TokioTimer::new())
        .max_concurrent_streams(options.streams_max)
        .max_header_list_size(head_bytes_max)
        .header_table_size(H2_TABLE_BYTES_MAX)
        .max_pending_accept_reset_streams(H2_PENDING_RESETS_MAX)
        .max_local_error_reset_streams(H2_LOCAL_RESETS_MAX)
        .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .max_frame_size(H2_FRAME_BYTES_MAX as u32)
        .max_send_buf_size(H2_SEND_BYTES_MAX)
        .keep_alive_interval(Duration::from_millis(H2_PING_MS))
        .keep_alive_timeout(Duration::from_millis(H2_PONG_MS));
    http
}

/// The service as hyper calls it: around ours, the rules of the door and the notes of streams.
fn answering<S: Service>(
    worker: &Rc<Worker<S>>,
    peer: SocketAddr,
    state: &Rc<ConnState>,
    streams: &Rc<Streams>,
) -> impl HttpService<Incoming, ResBody = Tracked, Error = Infallible> + use<S> {
    let (worker, state, streams) = (worker.clone(), state.clone(), streams.clone());
    hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let judged = door::judge_h2(&mut request, worker.options.headers_max);
        let in_flight = InFlight::begin(&state, &streams);
        let worker = worker.clone();
        async move {
            let mut response = answer(&worker, request, peer, judged).await;
            in_flight.answered.set(true);
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                tracing::error!("a service wants to switch protocols, which HTTP/2 cannot");
                response = refuse(StatusCode::INTERNAL_SERVER_ERROR);
            }
            Ok(response.map(|body| Tracked { body, in_flight }))
        }
    })
}

/// The streams of one connection.
#[derive(Default)]
pub(super) struct Streams {
    open: RefCell<Vec<Rc<Stream>>>,
    /// The one that hyper is about to make a task of.
    begun: Cell<Option<Rc<Stream>>>,
    served: Cell<u32>,
    cancelled: Cell<u32>,
}

/// The notes of one stream.
#[derive(Default)]
struct Stream {
    slot: Cell<usize>,
    /// Since when a piece of the answer has waited to be taken.
    untaken_ms: Cell<Option<u32>>,
    cut: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Streams {
    /// Ends streams of which a piece has waited longer than this; says how many.
    pub fn cut_untaken(&self, now_ms: u32, longest_ms: u32) -> usize {
        let waited = |since| now_ms.wrapping_sub(since) > longest_ms;
        let open = self.open.borrow();
        let untaken = open
            .iter()
            .filter(|s| s.untaken_ms.get().is_some_and(waited));
        let fresh: Vec<_> = untaken.filter(|stream| !stream.cut.replace(true)).collect();
        fresh
            .iter()
            .filter_map(|stream| stream.waker.take())
            .for_each(Waker::wake);
        fresh.len()
    }

    fn begin(&self) -> Rc<Stream> {
        let stream = Rc::new(Stream::default());
        let mut open = self.open.borrow_mut();
        stream.slot.set(open.len());
        open.push(stream.clone());
        self.begun.set(Some(stream.clone()));
        self.served.set(self.served.get().saturating_add(1));
        stream
    }

    /// `true`: it was the last one.
    fn end(&self, stream: &Stream) -> bool {
        let mut open = self.open.borrow_mut();
        let slot = stream.slot.get();
        open.swap_remove(slot);
        if let Some(moved) = open.get(slot) {
            moved.slot.set(slot);
        }
        open.is_empty()
    }

    /// Takes note of a request that its client gave up. `true`: that is what it came for.
    fn cancelled(&self) -> bool {
        let cancelled = self.cancelled.get().saturating_add(1);
        self.cancelled.set(cancelled);
        cancelled > H2_CANCELLED_MAX && cancelled > self.served.get() / 2
    }
}

/// Makes each stream a task on this worker, one that can be cut.
#[derive(Clone)]
struct Streaming(Rc<Streams>);

impl<F: Future<Output = ()> + 'static> Executor<F> for Streaming {
    fn execute(&self, future: F) {
        // Without notes it is none of our streams, and nothing to be cut.
        let stream = self.0.begun.take().unwrap_or_default();
        tokio::task::spawn_local(async move {
            let mut future = pin!(future);
            poll_fn(|cx| {
                if stream.cut.get() {
                    return Poll::Ready(());
                }
                let mut waker = stream.waker.borrow_mut();
                if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                    *waker = Some(cx.waker().clone());
                }
                drop(waker);
                future.as_mut().poll(cx)
            })
            .await;
        });
    }
}

/// One request from its head to its answer's last piece, however that comes about.
struct InFlight {
    state: Rc<ConnState>,
    streams: Rc<Streams>,
    stream: Rc<Stream>,
    answered: Cell<bool>,
}

impl InFlight {
    fn begin(state: &Rc<ConnState>, streams: &Rc<Streams>) -> Self {
        if state.phase.get() != Phase::Serving {
            state.enter(Phase::Serving);
        }
        InFlight {
            state: state.clone(),
            streams: streams.clone(),
            stream: streams.begin(),
            answered: Cell::new(false),
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.streams.end(&self.stream) {
            self.state.enter(Phase::Idle);
        }
        if !self.answered.get() && self.streams.cancelled() {
            self.state.order(Order::Close(Some(Closed::Flood)));
        }
    }
}

/// The answer's body: handed over in small pieces, so that how much is taken can be seen.
struct Tracked {
    body: Body,
    in_flight: InFlight,
}

impl hyper::body::Body for Tracked {
    type Data = Bytes;
    type Error = BodyCut;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        // hyper asks again once the piece before has been taken.
        self.in_flight.stream.untaken_ms.set(None);
        let frame = match &mut self.body {
            Body::Full(bytes) if bytes.len() > H2_FRAME_BYTES_MAX => {
                Poll::Ready(Some(Ok(Frame::data(bytes.split_to(H2_FRAME_BYTES_MAX)))))
            }
            body => Pin::new(body).poll_frame(cx),
        };
        if let Poll::Ready(Some(Ok(_))) = &frame {
            let now = self.in_flight.state.clock.get();
            self.in_flight.stream.untaken_ms.set(Some(now));
        }
        frame
    }
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
