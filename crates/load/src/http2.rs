//! HTTP/2 to a target: connections that carry many requests at once, each on a stream.
//!
//! The rule: a connection carries as many requests at once as the scenario's `streams` says, or
//! fewer if the target says so. A place on a connection (a lane) is used like a connection of
//! HTTP/1.1: the one used last is taken first, a new one is made on the newest connection with
//! room, and only then a new connection. Nothing is sent before the target's SETTINGS are there, so
//! that no stream is refused for our impatience. It must not know what requests are for.

use crate::client::{Io, Slot, connect, is_own_limit};
use crate::http1::Got;
use crate::limits::{
    BODY_KEPT_BYTES_MAX, HEAD_BYTES_MAX, HTTP2_CONNECTION_WINDOW_BYTES, HTTP2_STREAM_WINDOW_BYTES,
};
use crate::measure::End;
use crate::request::Composed;
use crate::run::Target;
use crate::worker::Worker;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use hyper::Response;
use hyper::body::Bytes;
use std::cell::Cell;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// One connection, as those on it and the worker know it.
pub(crate) struct Link {
    state: watch::Receiver<State>,
    /// Places taken.
    lanes: Cell<usize>,
    /// Places at most.
    most: Cell<usize>,
    /// Nobody new may enter.
    leaving: Cell<bool>,
    /// For one request only.
    single: bool,
    /// Nobody is on it, and nobody will be.
    empty: Notify,
}

enum State {
    Opening,
    Open(SendRequest<Bytes>),
    Over(End),
}

/// Why a request has no answer.
struct Lost {
    end: End,
    reason: Option<&'static str>,
}

impl Link {
    /// A connection on its way.
    pub fn open(worker: &Rc<Worker>, streams: usize, single: bool) -> Rc<Link> {
        let (say, state) = watch::channel(State::Opening);
        let link = Rc::new(Link {
            state,
            lanes: Cell::new(0),
            most: Cell::new(streams),
            leaving: Cell::new(false),
            single,
            empty: Notify::new(),
        });
        let (worker, driven) = (Rc::clone(worker), Rc::clone(&link));
        tokio::task::spawn_local(async move {
            let end = drive(&worker, &driven, &say, streams).await;
            driven.leaving.set(true);
            let _ = say.send(State::Over(end));
            worker.unlink(&driven);
        });
        link
    }

    pub fn has_room(&self) -> bool {
        !self.leaving.get() && self.lanes.get() < self.most.get()
    }
    pub fn enter(&self) {
        self.lanes.set(self.lanes.get() + 1);
    }
    pub fn leave(&self) {
        self.lanes.set(self.lanes.get() - 1);
        // One that never came about is not waited for by others either.
        let opening = matches!(&*self.state.borrow(), State::Opening);
        self.leaving
            .set(self.leaving.get() || self.single || opening && self.lanes.get() == 0);
        if self.leaving.get() && self.lanes.get() == 0 {
            self.empty.notify_one();
        }
    }
    fn is_crowded(&self) -> bool {
        self.lanes.get() > self.most.get()
    }
}

/// Opens a connection and works for it until it is over.
async fn drive(
    worker: &Rc<Worker>,
    link: &Link,
    say: &watch::Sender<State>,
    streams: usize,
) -> End {
    let opened = async {
        let io = connect(&worker.target).await?;
        let mut opened = builder().handshake(io).await.map_err(other)?;
        settled(&mut opened.1).await.map_err(other)?;
        Ok::<_, std::io::Error>(opened)
    };
    let opened = tokio::select! {
        opened = opened => opened,
        () = link.empty.notified() => return End::Connect,
    };
    let (requests, mut connection) = match opened {
        Ok(opened) => opened,
        Err(error) if is_own_limit(&error) => return End::Ours,
        Err(_) => return End::Connect,
    };
    worker.connected();
    let _ = say.send(State::Open(requests));
    let mut driven = pin!(poll_fn(|cx| {
        let done = pin!(&mut connection).poll(cx);
        let theirs = connection.max_concurrent_send_streams();
        link.most.set(theirs.clamp(1, streams));
        done
    }));
    // What ends it is told to the streams one by one.
    tokio::select! {
        _ = driven.as_mut() => {}
        () = link.empty.notified() => {
            // Without anybody who could send it says goodbye and ends by itself.
            let _ = say.send(State::Over(End::Broken));
            let _ = driven.as_mut().await;
        }
    }
    End::Broken
}

fn other(error: h2::Error) -> std::io::Error {
    match error.into_io() {
        Some(error) => error,
        None => std::io::Error::other("HTTP/2 did not come about"),
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .enable_push(false)
        .initial_max_send_streams(0);
    builder
}

/// Until the target has said how much it takes.
async fn settled(connection: &mut Connection<Io, Bytes>) -> Result<(), h2::Error> {
    poll_fn(|cx| {
        let over = pin!(&mut *connection).poll(cx);
        match (connection.max_concurrent_send_streams(), over) {
            (0, Poll::Pending) => Poll::Pending,
            (0, Poll::Ready(Ok(()))) => Poll::Ready(Err(Reason::INTERNAL_ERROR.into())),
            (_, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
            (_, Poll::Pending | Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
        }
    })
    .await
}

/// Whether a target that is there speaks HTTP/2 in the way that is wanted; what it does instead.
pub(crate) async fn probe(target: &Target, timeout: Duration) -> Result<(), String> {
    let tried = async {
        let io = match connect(target).await {
            Ok(io) => io,
            // What TLS says, or does not offer, is a mistake of the file.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Unsupported | ErrorKind::InvalidData
                ) =>
            {
                return Err(error.to_string());
            }
            // Nobody there is a figure of the run.
            Err(_) => return Ok(()),
        };
        let found = match builder().handshake::<_, Bytes>(io).await {
            Ok((_requests, mut connection)) => settled(&mut connection).await,
            Err(error) => Err(error),
        };
        found.map_err(|error| format!("it does not speak HTTP/2: {error}"))
    };
    match tokio::time::timeout(timeout, tried).await {
        Ok(found) => found,
        Err(_) => Err("it says nothing in HTTP/2".to_owned()),
    }
}

/// Serves buyers on one place of a connection until either ends.
pub(crate) async fn lane(worker: &Rc<Worker>, slot: &Slot, link: &Link) -> End {
    let mut state = link.state.clone();
    let _ = state
        .wait_for(|state| !matches!(state, State::Opening))
        .await;
    let mut requests = match &*state.borrow_and_update() {
        State::Open(requests) => requests.clone(),
        State::Over(end) => return *end,
        State::Opening => return End::Connect,
    };
    let (mut head, mut body) = (Vec::new(), Vec::new());
    for served in 0_u64.. {
        let Some(buyer) = work(slot, &mut state).await else {
            return End::Broken;
        };
        if let Err(error) = poll_fn(|cx| requests.poll_ready(cx)).await {
            link.leaving.set(true);
            if served > 0 {
                // Nothing of it was sent here: it goes elsewhere.
                worker.dispatch(buyer);
                return End::Good;
            }
            slot.busy.set(Some(buyer));
            return lost(worker, buyer, &error);
        }
        slot.busy.set(Some(buyer));
        let (request, content, asked) = worker.compose_http2(buyer, slot);
        let sent = send(&mut requests, request, content, || worker.sent(buyer));
        let got = match sent.await {
            Ok(response) => read(response, asked, &mut head, &mut body).await,
            Err(error) => Err(error),
        };
        let got = match got {
            Ok(got) => got,
            Err(Failed::Protocol(error)) => {
                link.leaving.set(link.leaving.get() || !error.is_reset());
                return lost(worker, buyer, &error);
            }
            Err(Failed::TooLarge) => return End::Broken,
        };
        slot.busy.set(None);
        slot.deadline_us.set(u64::MAX);
        let next = worker.answered(buyer, got, &head, &body);
        let stays = !link.leaving.get() && !link.is_crowded() && worker.keeps_connections();
        match next {
            Some(next) if stays => slot.put(next),
            Some(next) => {
                worker.dispatch(next);
                break;
            }
            None if stays => worker.idle(slot),
            None => break,
        }
    }
    End::Good
}

/// The next buyer; `None` if the connection is over.
async fn work(slot: &Slot, state: &mut watch::Receiver<State>) -> Option<u32> {
    let mut over = pin!(state.wait_for(|state| matches!(state, State::Over(_))));
    poll_fn(|cx| match slot.take_work() {
        Some(work) => Poll::Ready(Some(work)),
        None => over.as_mut().poll(cx).map(|_| None),
    })
    .await
}

enum Failed {
    Protocol(h2::Error),
    TooLarge,
}

impl From<h2::Error> for Failed {
    fn from(error: h2::Error) -> Failed {
        Failed::Protocol(error)
    }
}

/// Sends a request as fast as the target gives room for it; `sent` hears when it is on its way.
/// An answer may come before all of the body was wanted.
async fn send(
    requests: &mut SendRequest<Bytes>,
    request: hyper::Request<()>,
    mut content: Bytes,
    sent: impl FnOnce(),
) -> Result<Response<RecvStream>, Failed> {
    let (mut response, mut stream) = requests.send_request(request, content.is_empty())?;
    // A stream that the target does not open yet is not on its way.
    poll_fn(|cx| requests.poll_ready(cx)).await?;
    let mut early = None;
    while !content.is_empty() {
        stream.reserve_capacity(content.len());
        match room(&mut stream, &mut response).await {
            Room::Bytes(bytes) => {
                let part = content.split_to(bytes.min(content.len()));
                stream.send_data(part, content.is_empty())?;
            }
            Room::Answer(answer) => {
                early = Some(answer?);
                break;
            }
        }
    }
    sent();
    match early {
        Some(answer) => Ok(answer),
        None => Ok(response.await?),
    }
}

enum Room {
    Bytes(usize),
    Answer(Result<Response<RecvStream>, h2::Error>),
}

async fn room(stream: &mut SendStream<Bytes>, response: &mut ResponseFuture) -> Room {
    poll_fn(|cx| {
        if let Poll::Ready(answer) = pin!(&mut *response).poll(cx) {
            return Poll::Ready(Room::Answer(answer));
        }
        let mut room = stream.poll_capacity(cx);
        while let Poll::Ready(Some(Ok(0))) = room {
            room = stream.poll_capacity(cx);
        }
        match room {
            Poll::Ready(Some(Ok(bytes))) => Poll::Ready(Room::Bytes(bytes)),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Room::Answer(Err(error))),
            // The stream is closed: its answer says why.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Reads an answer; its head is written in the shape of HTTP/1.1, in which it is looked at.
async fn read(
    response: Response<RecvStream>,
    asked: Composed,
    head: &mut Vec<u8>,
    body: &mut Vec<u8>,
) -> Result<Got, Failed> {
    let (parts, mut stream) = response.into_parts();
    head.clear();
    body.clear();
    head.extend_from_slice(b"HTTP/2 ");
    head.extend_from_slice(parts.status.as_str().as_bytes());
    head.extend_from_slice(b"\r\n");
    for (name, value) in &parts.headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let mut bytes = head.len() as u64;
    while let Some(part) = stream.data().await {
        let part = part?;
        bytes += part.len() as u64;
        if asked.reads_body {
            if body.len() + part.len() > BODY_KEPT_BYTES_MAX {
                return Err(Failed::TooLarge);
            }
            body.extend_from_slice(&part);
        }
        stream.flow_control().release_capacity(part.len())?;
    }
    stream.trailers().await?;
    Ok(Got {
        status: parts.status,
        keeps_alive: true,
        bytes,
    })
}

/// How a request without an answer ended, counted with what was said.
fn lost(worker: &Worker, buyer: u32, error: &h2::Error) -> End {
    let Lost { end, reason } = what(error);
    if let Some(reason) = reason {
        worker.because(buyer, reason);
    }
    end
}

/// RFC 9113, 8.7: a refused stream, and one after the last that a connection's friendly end speaks
/// of, was not looked at; that is a refusal. All else is a failure.
fn what(error: &h2::Error) -> Lost {
    let reason = error.reason();
    let refused = error.is_remote()
        && match reason {
            Some(Reason::REFUSED_STREAM) => error.is_reset(),
            Some(Reason::NO_ERROR) => error.is_go_away(),
            _ => false,
        };
    let name = match reason {
        Some(Reason::NO_ERROR) if error.is_go_away() => Some("GOAWAY"),
        Some(reason) => Some(named(reason)),
        None => None,
    };
    Lost {
        end: if refused { End::Refused } else { End::Broken },
        reason: name,
    }
}

/// As RFC 9113, section 7 has them.
fn named(reason: Reason) -> &'static str {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    let code = u32::from(reason) as usize;
    NAMES.get(code).copied().unwrap_or("another HTTP/2 error")
}
