//! HTTP/1: how hyper is driven on one connection, and taken off it again.
//!
//! This file must not decide which connection has to end: `worker.rs` does.

use super::body::{Body, BodyCut};
use super::conn::{ConnState, End, Order, Phase, answer};
use super::framing::Length;
use super::io::Io;
use super::stats::Closed;
use super::transport::Transport;
use super::worker::Worker;
use super::{Service, door};
use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper::{Request, StatusCode};
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Serves requests until the connection ends, or has been idle for long enough to be parked.
pub(super) async fn drive<S: Service>(
    worker: &Rc<Worker<S>>,
    transport: Transport,
    peer: SocketAddr,
    state: &Rc<ConnState>,
) -> (End, Transport) {
    let plain = transport.is_plain();
    let io = Io::new(transport, state.clone(), worker.buffers.clone());
    let service = answering(worker, peer, state);
    // A connection accepted while draining gets one request; `told` says that hyper knows.
    let mut told = state.ordered() == Order::Drain;
    let http = if told {
        &worker.last_request
    } else {
        &worker.http
    };
    // Boxed so that a parked connection does not keep the room of a busy one.
    let mut conn = Box::new(match plain {
        true => http.serve_connection(io, service),
        false => http.clone().half_close(false).serve_connection(io, service),
    });
    let end = poll_fn(|cx| {
        state.listen_for_orders(cx);
        loop {
            match state.ordered() {
                Order::Close(why) => return Poll::Ready(End::Ordered(why)),
                Order::Park => {
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
            let tell = state.ordered() == Order::Drain && !told && state.may_be_told_to_end();
            if !tell {
                return Poll::Pending;
            }
        }
    })
    .await;
    finish(end, *conn, state)
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
        let judged = door::judge_h1(&mut request, head, worker.options.headers_max);
        let in_flight = InFlight::begin(&state, !request.body().is_end_stream());
        let (worker, state) = (worker.clone(), state.clone());
        async move {
            let verdict = judged.map(|_| ());
            let mut response = answer(&worker, request, peer, verdict).await;
            if judged.is_err() || judged == Ok(Length::Chunked) {
                // Whatever follows a chunked body is never taken for a request.
                response
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
            }
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

/// Takes the transport back from hyper. A connection that is "idle" with the beginning of a
/// request in hyper's buffer is not idle but slow.
fn finish<S>(end: End, conn: http1::Connection<Io, S>, state: &ConnState) -> (End, Transport)
where
    S: HttpService<Incoming, ResBody = Tracked, Error = Infallible>,
{
    let parts = conn.into_parts();
    let end = match (end, state.upgrade.take()) {
        (End::Finished(None), Some(upgrade)) => End::Upgraded(upgrade, parts.read_buf),
        (End::Parked, _) if !parts.read_buf.is_empty() => End::Ordered(Some(Closed::SlowHead)),
        (end, _) => end,
    };
    (end, parts.io.into_transport())
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
