//! Bodies: what we answer with, and how a request's body is read within bounds.
//!
//! An own enum instead of a boxed trait object: the answer of a sale is a few hundred
//! bytes that exist already, and a box for each would be an allocation for nothing.
//! This file must not know about connections.

use crate::limits::{BODY_START_BYTES, STREAM_CHUNKS_MAX};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

/// What a service answers with.
#[derive(Debug, Default)]
pub enum Body {
    #[default]
    Empty,
    /// All of it, at hand. Cheap to clone from a static or shared buffer.
    Full(Bytes),
    /// Chunk by chunk until the sender is dropped; see [`Body::stream`].
    Stream(mpsc::Receiver<Bytes>),
    /// From another server, with trailers and an end that may be a failure.
    Relayed(Relayed),
    /// No body: after this answer, which must be a 101, the connection speaks something else.
    Upgrade(Upgrade),
}

/// A body that somebody else produces. Its length, if known, and everything that must last as
/// long as the answer – permits, counters – travel inside.
pub struct Relayed {
    body: Pin<Box<dyn hyper::body::Body<Data = Bytes, Error = BodyCut>>>,
    cut: Option<BodyCut>,
}

impl Relayed {
    pub fn new(body: impl hyper::body::Body<Data = Bytes, Error = BodyCut> + 'static) -> Self {
        Relayed {
            body: Box::pin(body),
            cut: None,
        }
    }

    /// A failure is told one turn late: at once, it would overtake what came before it and is
    /// not flushed yet.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        if let Some(cut) = self.cut {
            return Poll::Ready(Some(Err(cut)));
        }
        let frame = ready!(self.body.as_mut().poll_frame(cx));
        if let Some(Err(cut)) = frame {
            self.cut = Some(cut);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(frame)
    }
}
impl fmt::Debug for Relayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Relayed")
    }
}

/// The source of an answer gave up in the middle. The client's connection is ended without an
/// end of the body, because only that tells the client that something is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer was cut short: {why}")]
pub struct BodyCut {
    pub why: &'static str,
}

/// A connection's bytes in both directions, once HTTP is over.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

type Tunnel = Pin<Box<dyn Future<Output = ()>>>;
type OnUpgrade = Box<dyn FnOnce(Box<dyn Duplex>, Bytes) -> Tunnel>;

/// What is done with a connection after its 101. The connection keeps its place in the worker
/// until the future ends; a drain drops it.
pub struct Upgrade(OnUpgrade);

impl Upgrade {
    /// `then` gets the connection and what the client has sent already.
    pub fn new<F>(then: impl FnOnce(Box<dyn Duplex>, Bytes) -> F + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        Upgrade(Box::new(move |io, early| Box::pin(then(io, early))))
    }

    pub(super) fn begin(self, io: Box<dyn Duplex>, early: Bytes) -> Tunnel {
        (self.0)(io, early)
    }
}
impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgrade")
    }
}

/// The sending side of a streaming body. `try_send` never waits: a full queue means that
/// the reader is slow, and the sender decides what that is worth.
pub type BodySender = mpsc::Sender<Bytes>;

impl Body {
    /// A streaming body that holds at most [`STREAM_CHUNKS_MAX`] chunks not yet taken.
    #[must_use]
    pub fn stream() -> (BodySender, Body) {
        let (tx, rx) = mpsc::channel(STREAM_CHUNKS_MAX);
        (tx, Body::Stream(rx))
    }

    /// All of it, if it is at hand.
    #[must_use]
    pub fn into_whole(self) -> Option<Bytes> {
        match self {
            Body::Empty => Some(Bytes::new()),
            Body::Full(bytes) => Some(bytes),
            Body::Stream(_) | Body::Relayed(_) | Body::Upgrade(_) => None,
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Body::Full(bytes)
    }
}
impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Body::Full(bytes.into())
    }
}
impl From<String> for Body {
    fn from(text: String) -> Self {
        Body::Full(text.into())
    }
}
impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Body::Full(Bytes::from_static(text.as_bytes()))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = BodyCut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        match &mut *self {
            Body::Empty | Body::Upgrade(_) => Poll::Ready(None),
            Body::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Body::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Body::Stream(rx) => rx
                .poll_recv(cx)
                .map(|chunk| chunk.map(|c| Ok(Frame::data(c)))),
            Body::Relayed(relayed) => relayed.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Empty | Body::Upgrade(_) => true,
            Body::Full(bytes) => bytes.is_empty(),
            Body::Stream(_) => false,
            Body::Relayed(relayed) => relayed.cut.is_none() && relayed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Empty | Body::Upgrade(_) => SizeHint::with_exact(0),
            Body::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Stream(_) => SizeHint::default(),
            Body::Relayed(relayed) => relayed.body.size_hint(),
        }
    }
}

/// Why a request's body was not read. All three are the client's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the body is longer than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the body did not arrive within {ms} ms")]
    TooSlow { ms: u64 },
    #[error("the body ended before its announced length")]
    Broken,
}

/// Reads a whole body of at most `limit` bytes within `timeout`.
///
/// A body that announces too many bytes is refused before one of them is read. A body that
/// came together with its head – nearly all do – is returned without a copy or a timer.
pub async fn read_body(
    mut body: Incoming,
    limit: usize,
    timeout: Duration,
) -> Result<Bytes, BodyError> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let announced = body.size_hint().exact();
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyError::TooLarge { limit });
    }
    let first = match at_hand(&mut body).await {
        Some(None) => return Ok(Bytes::new()),
        Some(Some(frame)) => data_of(frame)?,
        None => Bytes::new(),
    };
    if announced == Some(first.len() as u64) {
        return Ok(first);
    }
    match tokio::time::timeout(timeout, gather(body, first, limit)).await {
        Ok(result) => result,
        Err(_elapsed) => {
            let ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            Err(BodyError::TooSlow { ms })
        }
    }
}

type Received = Result<Frame<Bytes>, hyper::Error>;

fn data_of(frame: Received) -> Result<Bytes, BodyError> {
    let frame = frame.map_err(|_| BodyError::Broken)?;
    Ok(frame.into_data().unwrap_or_default())
}

/// The first frame if it is here already; nearly always it is. hyper hands it over only at the
/// second poll, so only then `None` says that the client has not sent it yet.
async fn at_hand(body: &mut Incoming) -> Option<Option<Received>> {
    let mut polled = false;
    std::future::poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
        Poll::Ready(frame) => Poll::Ready(Some(frame)),
        Poll::Pending if polled => Poll::Ready(None),
        Poll::Pending => {
            polled = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

async fn gather(mut body: Incoming, first: Bytes, limit: usize) -> Result<Bytes, BodyError> {
    if first.len() > limit {
        return Err(BodyError::TooLarge { limit });
    }
    let expected = body.size_hint().exact().map_or(BODY_START_BYTES, |rest| {
        usize::try_from(rest)
            .unwrap_or(limit)
            .saturating_add(first.len())
    });
    let mut all = BytesMut::with_capacity(expected.clamp(first.len(), limit));
    all.extend_from_slice(&first);
    while let Some(frame) = body.frame().await {
        let data = data_of(frame)?;
        if data.len() > limit - all.len() {
            return Err(BodyError::TooLarge { limit });
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}
