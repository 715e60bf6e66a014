//! HTTP/2 to upstreams, by hyper: one connection to each peer from each worker, many streams on it.
//!
//! Streams need no pool, so all that is kept is the sending half; a task of the worker drives the
//! connection.

use super::error::{Malformed, Why};
use super::request::{Outgoing, Sending};
use crate::limits::HTTP2_PING_MS;
use crate::upstream::{Deadline, Event, Load, connect};
use bytes::Bytes;
use host::http::BodyCut;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::header::HeaderMap;
use hyper::{Request, Response, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::any::Any;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

/// The connections of one worker to the peers of a pool.
#[derive(Debug)]
pub(crate) struct Http2Links(Box<[RefCell<Option<SendRequest<Uploaded>>>]>);

impl Http2Links {
    pub fn new(peers: usize) -> Self {
        Http2Links((0..peers).map(|_| RefCell::default()).collect())
    }
}

#[derive(Clone)]
struct OnThisWorker;

impl<F: Future + 'static> hyper::rt::Executor<F> for OnThisWorker
where
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// A sender to the peer of `load`, connecting if there is none.
pub(super) async fn sender(load: &Load, connect_ms: u32) -> Result<SendRequest<Uploaded>, Why> {
    let place = &load.pool.http2.0[load.peer];
    if let Some(open) = place.borrow().as_ref().filter(|open| !open.is_closed()) {
        return Ok(open.clone());
    }
    let (stream, _) = connect(&load.pool.pool, load.peer, connect_ms).await?;
    load.peer().count(Event::Connected);
    let mut http = http2::Builder::new(OnThisWorker);
    http.timer(TokioTimer::new())
        .max_header_list_size(crate::limits::RESPONSE_HEAD_BYTES_MAX as u32)
        .keep_alive_interval(Some(Duration::from_millis(HTTP2_PING_MS)))
        .keep_alive_while_idle(false);
    let shaking = http.handshake(TokioIo::new(stream));
    let limit = Duration::from_millis(connect_ms.into());
    let shaken = tokio::time::timeout(limit, shaking).await;
    let (sender, connection) = match shaken {
        Ok(Ok(both)) => both,
        Ok(Err(_)) => return Err(Why::ConnectFailed),
        Err(_elapsed) => return Err(Why::ConnectTimeout),
    };
    let name = load.peer().name().to_owned();
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(peer = name, %error, "an HTTP/2 connection to a peer ended");
        }
    });
    // Two requests may have connected at once: the later one's stays, the other ends when idle.
    place.replace(Some(sender.clone()));
    Ok(sender)
}

/// How one try ended without an answer.
pub(super) struct NoAnswer {
    pub why: Why,
    pub sent: bool,
}

/// One try. `body` is taken out only when the stream is being opened.
pub(super) async fn ask(
    mut sender: SendRequest<Uploaded>,
    outgoing: &Outgoing<'_, '_>,
    load: &Load,
    deadline: &Deadline,
    body: &mut Sending,
    dice: &crate::upstream::Dice,
) -> Result<Response<Incoming>, NoAnswer> {
    let unsent = |why| NoAnswer { why, sent: false };
    let request = request(outgoing, load, body, dice).ok_or(unsent(Why::BadHost))?;
    let mut answer = pin!(sender.try_send_request(request));
    poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
        Poll::Ready(Err(mut error)) => {
            // hyper hands back what it has not begun to send.
            let back = error.take_message();
            let sent = back.is_none();
            if let Some(request) = back {
                request.into_body().back_into(body);
            }
            Poll::Ready(Err(NoAnswer {
                why: Why::Lost,
                sent,
            }))
        }
        Poll::Pending if deadline.is_over(cx) => Poll::Ready(Err(NoAnswer {
            why: Why::HeadTimeout,
            sent: true,
        })),
        Poll::Pending => Poll::Pending,
    })
    .await
}

fn request(
    outgoing: &Outgoing<'_, '_>,
    load: &Load,
    body: &mut Sending,
    dice: &crate::upstream::Dice,
) -> Option<Request<Uploaded>> {
    let host = std::str::from_utf8(outgoing.host_for(load.peer())).ok()?;
    let scheme = match load.pool.pool.spec().tls {
        Some(_) => "https",
        None => "http",
    };
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(host)
        .path_and_query(outgoing.target());
    let mut headers = HeaderMap::with_capacity(outgoing.parts.headers.len() + 8);
    outgoing.headers(&mut headers, dice);
    let mut request = Request::new(Uploaded::of(body, outgoing.ctx.request_bytes_max));
    *request.method_mut() = outgoing.parts.method.clone();
    *request.uri_mut() = uri.build().ok()?;
    *request.version_mut() = hyper::Version::HTTP_2;
    *request.headers_mut() = headers;
    Some(request)
}

/// A request's body for hyper.
#[derive(Debug)]
pub(super) enum Uploaded {
    Whole(Bytes),
    Stream {
        body: Incoming,
        allowed: u64,
        touched: bool,
    },
}

impl Uploaded {
    fn of(body: &mut Sending, allowed: u64) -> Self {
        match body {
            Sending::Nothing => Uploaded::Whole(Bytes::new()),
            Sending::Whole(bytes) => Uploaded::Whole(bytes.clone()),
            Sending::Stream { body, .. } => match body.take() {
                Some(body) => Uploaded::Stream {
                    body,
                    allowed,
                    touched: false,
                },
                // A stream that is gone is never sent again: `forward` looks first.
                None => Uploaded::Whole(Bytes::new()),
            },
        }
    }

    fn back_into(self, sending: &mut Sending) {
        if let (
            Uploaded::Stream {
                body: untouched,
                touched: false,
                ..
            },
            Sending::Stream { body, .. },
        ) = (self, sending)
        {
            *body = Some(untouched);
        }
    }
}

impl Body for Uploaded {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Uploaded::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Uploaded::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Uploaded::Stream {
                body,
                allowed,
                touched,
            } => {
                *touched = true;
                let frame = std::task::ready!(Pin::new(body).poll_frame(cx));
                let Some(Ok(frame)) = frame else {
                    return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
                };
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                match allowed.checked_sub(length) {
                    Some(left) => *allowed = left,
                    None => return Poll::Ready(Some(Err(Why::BodyTooLarge.text().into()))),
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Uploaded::Whole(bytes) => bytes.is_empty(),
            Uploaded::Stream { body, .. } => body.is_end_stream(),
        }
    }
    fn size_hint(&self) -> SizeHint {
        match self {
            Uploaded::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Uploaded::Stream { body, .. } => body.size_hint(),
        }
    }
}

/// An answer's body from HTTP/2, with its deadline and what must last as long.
pub(super) struct Relay2 {
    pub body: Incoming,
    pub load: Load,
    pub deadline: Deadline,
    pub between_ms: u32,
    pub end_at_ms: u64,
    pub waiting: bool,
    pub allowed: u64,
    pub _keep: Option<Box<dyn Any>>,
}

impl Relay2 {
    fn cut(&self, why: Why, event: Event) -> BodyCut {
        self.load.settle();
        self.load.peer().count(event);
        self.load.pool.pool.failed(self.load.peer());
        BodyCut { why: why.text() }
    }
}

impl Body for Relay2 {
    type Data = Bytes;
    type Error = BodyCut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            if !std::mem::replace(&mut this.waiting, true) {
                let until = this.deadline.now_ms() + u64::from(this.between_ms);
                this.deadline.set(until.min(this.end_at_ms));
            }
            if this.deadline.is_over(cx) {
                let why = Why::BodyTimeout;
                return Poll::Ready(Some(Err(this.cut(why, Event::BodyTimeout))));
            }
            return Poll::Pending;
        };
        this.waiting = false;
        Poll::Ready(match frame {
            None => {
                this.load.settle();
                None
            }
            Some(Err(_)) => Some(Err(this.cut(Why::Lost, Event::Cut))),
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                match this.allowed.checked_sub(length) {
                    Some(left) => {
                        this.allowed = left;
                        if this.body.is_end_stream() {
                            this.load.settle();
                        }
                        Some(Ok(frame))
                    }
                    None => {
                        let why = Why::Malformed(Malformed::BodyTooLarge);
                        Some(Err(this.cut(why, Event::Cut)))
                    }
                }
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
