//! The HTTP side of a proxy: reads requests, passes them on, and performs `http_…` faults.
//!
//! It sits between the carried connection and the upstream: toxics of bytes work on the socket
//! before it. One connection of the client is one connection to the upstream, opened with the
//! first request. A failing upstream closes the client's connection, as it would without us.
//! HTTP/1.1 without upgrades. It must not know of leases.

use crate::carry::{Side, Toxics};
use crate::dice::Dice;
use crate::limits::{CONNECT_MS, HTTP_HEAD_BYTES_MAX};
use crate::toxic::{Act, Kind, Stream, Toxic};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1 as client;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1 as server;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// Says which fault an answer comes from.
const SEAWALL_FAULT: HeaderName = HeaderName::from_static("seawall-fault");
/// They speak of one connection, and there are two.
const OF_ONE_HOP: [HeaderName; 5] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("transfer-encoding"),
    HeaderName::from_static("upgrade"),
];

/// The carried connection's end of the pipe to the HTTP side.
#[derive(Debug)]
pub struct Pipe {
    pub io: DuplexStream,
    /// Its end is to be a reset.
    pub reset: Arc<AtomicBool>,
}

/// Answers the requests of one connection until it ends.
pub async fn serve(pipe: DuplexStream, reset: Arc<AtomicBool>, upstream: String, toxics: Toxics) {
    let exchange = Arc::new(Exchange {
        upstream,
        toxics,
        reset,
        connection: Mutex::new(None),
    });
    let service = hyper::service::service_fn(move |request| {
        let exchange = Arc::clone(&exchange);
        async move { exchange.answer(request).await }
    });
    let served = server::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None::<Duration>)
        .max_buf_size(HTTP_HEAD_BYTES_MAX)
        .auto_date_header(false)
        .preserve_header_case(true)
        .serve_connection(TokioIo::new(pipe), service)
        .await;
    if let Err(error) = served {
        tracing::debug!("an HTTP connection ended: {error}");
    }
}

/// The connection ends here: by a fault, or because the upstream has failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Cut(String);

struct Connection {
    sender: client::SendRequest<Incoming>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

struct Exchange {
    upstream: String,
    toxics: Toxics,
    reset: Arc<AtomicBool>,
    connection: Mutex<Option<Connection>>,
}

impl Exchange {
    async fn answer(&self, mut request: Request<Incoming>) -> Result<Response<Passing>, Cut> {
        let met = self.met(&request);
        let mut cut = None;
        for toxic in met.iter().filter(|toxic| toxic.stream == Stream::Upstream) {
            match self.perform(toxic).await? {
                Some(Instead::Answer(answer)) => return Ok(answer),
                Some(Instead::Cut { .. }) => return Err(self.disconnected(toxic)),
                None => {}
            }
        }
        strip(request.headers_mut());
        let is_head = request.method() == hyper::Method::HEAD;
        let mut answer = self.ask(request).await?;
        for toxic in met
            .iter()
            .filter(|toxic| toxic.stream == Stream::Downstream)
        {
            match self.perform(toxic).await? {
                Some(Instead::Answer(answer)) => return Ok(answer),
                Some(Instead::Cut { .. }) if is_head || answer.body().is_end_stream() => {
                    return Err(self.disconnected(toxic));
                }
                Some(Instead::Cut { after }) => cut = cut.or(Some((Arc::clone(toxic), after))),
                None => {}
            }
        }
        strip(answer.headers_mut());
        Ok(answer.map(|body| match cut {
            None => Passing::All(body),
            Some((toxic, after)) => {
                // Half of what is announced; of an unknown length, nothing.
                let half = body.size_hint().exact().map_or(0, |length| length / 2);
                self.mark(&toxic);
                let left = after.unwrap_or(half);
                Passing::Part {
                    body,
                    left,
                    turns: 0,
                }
            }
        }))
    }

    /// The faults that this request meets, drawn once.
    fn met(&self, request: &Request<Incoming>) -> Vec<Arc<Toxic>> {
        let toxics = Arc::clone(&self.toxics.borrow());
        let mut dice = Dice::new();
        let (method, path) = (request.method().as_str(), request.uri().path());
        let meets = |toxic: &&Arc<Toxic>| match &toxic.kind {
            Kind::Http { only, .. } => only.takes(method, path) && dice.share(toxic.toxicity),
            _ => false,
        };
        let met: Vec<_> = toxics.iter().filter(meets).cloned().collect();
        met.iter().for_each(|toxic| toxic.hit());
        met
    }

    /// Waits, and says what is to happen instead of going on.
    async fn perform(&self, toxic: &Toxic) -> Result<Option<Instead>, Cut> {
        let Kind::Http { act, .. } = &toxic.kind else {
            return Ok(None);
        };
        match act {
            Act::Delay { latency, jitter } => {
                let delay = Duration::from_millis(Dice::new().around(*latency, *jitter));
                // Who ends the fault ends the wait.
                let _ = tokio::time::timeout(delay, self.gone(toxic)).await;
                Ok(None)
            }
            Act::Error { status, body } => Ok(Some(Instead::Answer(own(toxic, *status, body)))),
            Act::Hang { timeout: 0 } => {
                self.gone(toxic).await;
                Ok(None)
            }
            Act::Hang { timeout } => {
                let timeout = Duration::from_millis(*timeout);
                match tokio::time::timeout(timeout, self.gone(toxic)).await {
                    Ok(()) => Ok(None),
                    Err(_elapsed) => Err(self.disconnected(toxic)),
                }
            }
            Act::Disconnect { bytes, .. } => Ok(Some(Instead::Cut { after: *bytes })),
        }
    }

    /// Returns when this fault has ended or was changed.
    async fn gone(&self, toxic: &Toxic) {
        let same = |one: &Arc<Toxic>| one.id == toxic.id && one.revision == toxic.revision;
        let mut toxics = self.toxics.clone();
        // Without its proxy there is no fault either.
        let _ = toxics.wait_for(|now| !now.iter().any(same)).await;
    }

    fn mark(&self, toxic: &Toxic) {
        if let Kind::Http {
            act: Act::Disconnect { reset: true, .. },
            ..
        } = toxic.kind
        {
            self.reset.store(true, Ordering::Release);
        }
    }

    fn disconnected(&self, toxic: &Toxic) -> Cut {
        self.mark(toxic);
        Cut(format!("the fault {}", toxic.name))
    }

    async fn ask(&self, request: Request<Incoming>) -> Result<Response<Incoming>, Cut> {
        let failed = |what: &dyn std::fmt::Display| Cut(format!("{}: {what}", self.upstream));
        let mut held = self.connection.lock().await;
        if let Some(connection) = held.as_mut()
            && connection.sender.ready().await.is_err()
        {
            *held = None;
        }
        let connection = match held.as_mut() {
            Some(connection) => connection,
            None => {
                let opened = self.connect().await.map_err(|error| failed(&error))?;
                held.insert(opened)
            }
        };
        connection
            .sender
            .ready()
            .await
            .map_err(|error| failed(&error))?;
        let answered = connection.sender.send_request(request).await;
        answered.map_err(|error| failed(&error))
    }

    async fn connect(&self) -> io::Result<Connection> {
        let connecting = TcpStream::connect(&self.upstream);
        let stream = tokio::time::timeout(Duration::from_millis(CONNECT_MS), connecting).await??;
        stream.set_nodelay(true)?;
        let (sender, driver) = client::Builder::new()
            .max_buf_size(HTTP_HEAD_BYTES_MAX)
            .preserve_header_case(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        // Its end is seen by whoever asks next.
        let driver = tokio::spawn(async move { drop(driver.await) });
        Ok(Connection { sender, driver })
    }
}

/// What happens in place of the upstream's answer.
enum Instead {
    Answer(Response<Passing>),
    Cut { after: Option<u64> },
}

fn own(toxic: &Toxic, status: u16, body: &str) -> Response<Passing> {
    let body = match body {
        "" => format!("{status}: the fault {}\n", toxic.name),
        body => body.to_owned(),
    };
    let mut answer = Response::new(Passing::Own(Bytes::from(body)));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let headers = answer.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    let name = HeaderValue::from_str(&toxic.name).unwrap_or(HeaderValue::from_static("unnamed"));
    headers.insert(SEAWALL_FAULT, name);
    answer
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in OF_ONE_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// An answer's body on its way.
enum Passing {
    Own(Bytes),
    All(Incoming),
    /// So many bytes more, and then the connection breaks.
    Part {
        body: Incoming,
        left: u64,
        turns: u8,
    },
}

/// Turns between the last byte and the break, in which the connection writes what it has.
const TURNS: u8 = 2;

impl Body for Passing {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let upstream = |error: hyper::Error| Cut(format!("the upstream's body: {error}"));
        match &mut *self {
            Passing::Own(bytes) if bytes.is_empty() => Poll::Ready(None),
            Passing::Own(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Passing::All(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(upstream)))
            }
            Passing::Part { left: 0, turns, .. } if *turns < TURNS => {
                *turns += 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Passing::Part { left: 0, .. } => {
                let why = "a fault ended the answer in its middle";
                Poll::Ready(Some(Err(Cut(why.into()))))
            }
            Passing::Part { body, left, .. } => match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(mut data) = frame.into_data() else {
                        return Poll::Ready(None);
                    };
                    data.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= data.len() as u64;
                    Poll::Ready(Some(Ok(Frame::data(data))))
                }
                other => Poll::Ready(other.map(|frame| frame.map_err(upstream))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Passing::Own(bytes) => bytes.is_empty(),
            Passing::All(body) => body.is_end_stream(),
            Passing::Part { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Passing::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Passing::All(body) | Passing::Part { body, .. } => body.size_hint(),
        }
    }
}

impl Side for Pipe {
    fn reset(&self) {}
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        let ended = buffer.filled().len() == before;
        match ended && self.reset.load(Ordering::Acquire) {
            true => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            false => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(&mut self.io).poll_write(cx, data)) {
            // Nobody reads requests any more; what was answered is still to be read.
            Err(_) => Poll::Ready(Ok(data.len())),
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
