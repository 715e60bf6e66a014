//! A server with known paths, and a client that sends exactly the bytes it is told.

use bytes::Bytes;
use host::Drain;
use host::http::{
    Body, BodyCut, BodyError, HttpStats, ListenOptions, Listening, Relayed, Service, Upgrade,
    read_body, start,
};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::{Request, Response, StatusCode};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

/// Longest wait for anything; a test that needs it all has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// For one end of ten thousand connections, with room for other tests.
const DESCRIPTORS: u64 = 11_000;
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// More than the buffers of both sockets hold.
pub const FLOOD_BYTES: usize = 64 * 1024 * 1024;
/// More than a window of HTTP/2, and nothing to make it from.
pub const PAGE_BYTES: usize = 1024 * 1024;
pub const BODY_MS: u64 = 400;

pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// The soft limit of open files is often 1,024; the hard one is ours to use.
pub fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    assert!(
        limit.maximum.is_none_or(|most| most >= DESCRIPTORS),
        "the hard limit of open files is {:?}, this test needs {DESCRIPTORS} (`ulimit -Hn`)",
        limit.maximum
    );
    if limit.current.is_some_and(|now| now < DESCRIPTORS) {
        let current = Some(DESCRIPTORS);
        setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
    }
}

#[derive(Clone)]
struct Gate {
    waiting: Arc<AtomicUsize>,
    pass: Arc<Semaphore>,
}

struct Paths {
    worker: usize,
    gate: Gate,
    stats: Arc<HttpStats>,
}

impl Service for Paths {
    async fn call(&self, request: Request<Incoming>, _peer: SocketAddr) -> Response<Body> {
        match request.uri().path() {
            "/open" => Response::new(self.stats.open().to_string().into()),
            "/worker" => Response::new(self.worker.to_string().into()),
            "/flood" => Response::new(vec![b'.'; FLOOD_BYTES].into()),
            "/page" => Response::new(Body::Full(Bytes::from_static(&[b'.'; PAGE_BYTES]))),
            "/echo" => echo(request.into_body()).await,
            "/stream" => {
                let (tx, body) = Body::stream();
                tokio::task::spawn_local(async move {
                    for n in 0.. {
                        if tx.send(format!("data: {n}\n\n").into()).await.is_err() {
                            break;
                        }
                    }
                });
                Response::new(body)
            }
            "/cut" => Response::new(Body::Relayed(Relayed::new(Cut(false)))),
            "/upgrade" => upgrade(),
            "/gate" => {
                self.gate.waiting.fetch_add(1, SeqCst);
                let _pass = self.gate.pass.acquire().await;
                Response::new("through".into())
            }
            path if path.starts_with("/path/") => Response::new(path.to_owned().into()),
            _ => Response::new("ok".into()),
        }
    }
}

/// A body that fails after its first chunk.
struct Cut(bool);

impl hyper::body::Body for Cut {
    type Data = Bytes;
    type Error = BodyCut;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyCut>>> {
        let first = !std::mem::replace(&mut self.0, true);
        Poll::Ready(Some(if first {
            Ok(Frame::data(Bytes::from_static(b"half")))
        } else {
            Err(BodyCut { why: "test" })
        }))
    }
}

/// Says what has come early, then sends back what it hears.
fn upgrade() -> Response<Body> {
    let echo = Upgrade::new(|mut io, early| async move {
        let greeting = format!("[{}]", String::from_utf8_lossy(&early));
        io.write_all(greeting.as_bytes()).await.unwrap();
        let (mut from, mut to) = tokio::io::split(io);
        // The client's reset is one end of this like any other.
        let _ = tokio::io::copy(&mut from, &mut to).await;
    });
    let mut response = Response::new(Body::Upgrade(echo));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("echo"));
    response
}

/// For a listener that never comes about.
pub struct Nothing;

impl Service for Nothing {
    async fn call(&self, _request: Request<Incoming>, _peer: SocketAddr) -> Response<Body> {
        Response::new(Body::Empty)
    }
}

async fn echo(body: Incoming) -> Response<Body> {
    let read = read_body(body, BODY_BYTES_MAX, Duration::from_millis(BODY_MS)).await;
    let status = match read {
        Ok(bytes) => return Response::new(bytes.into()),
        Err(BodyError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
        Err(BodyError::TooSlow { .. }) => StatusCode::REQUEST_TIMEOUT,
        Err(BodyError::Broken) => StatusCode::BAD_REQUEST,
    };
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

pub struct Server {
    pub addr: SocketAddr,
    pub stats: Arc<HttpStats>,
    pub drain: Drain,
    gate: Gate,
    started: Instant,
    listening: Option<Listening>,
}

impl Server {
    pub fn start(change: impl FnOnce(&mut ListenOptions)) -> Self {
        let mut options = ListenOptions::new("test", "127.0.0.1:0".parse().unwrap());
        change(&mut options);
        let (drain, stats) = (Drain::new(), HttpStats::new());
        let gate = Gate {
            waiting: Arc::default(),
            pass: Arc::new(Semaphore::new(0)),
        };
        let (of_worker, counted) = (gate.clone(), stats.clone());
        let make = move |worker| Paths {
            worker,
            gate: of_worker.clone(),
            stats: counted.clone(),
        };
        let listening = start(&options, make, drain.clone(), stats.clone()).unwrap();
        let addr = listening.local_addr();
        let started = Instant::now();
        Server {
            addr,
            stats,
            drain,
            gate,
            started,
            listening: Some(listening),
        }
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.addr)
    }

    pub fn waiting_at_gate(&self) -> usize {
        self.gate.waiting.load(SeqCst)
    }
    pub fn open_gate(&self) {
        self.gate.pass.add_permits(1_000);
    }
    /// Several sweeps have been, so that "longer idle" is visible to the server.
    pub fn age_of_first_sweep_passed(&self) -> bool {
        self.started.elapsed() > Duration::from_millis(500)
    }
    /// Drains and waits for the workers.
    pub fn join(&mut self) {
        self.drain.begin();
        if let Some(listening) = self.listening.take() {
            assert!(listening.join(), "a worker panicked");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.open_gate();
        self.drain.begin();
        if let Some(listening) = self.listening.take() {
            let whole = listening.join();
            assert!(whole || std::thread::panicking(), "a worker panicked");
        }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

pub struct Client {
    pub stream: TcpStream,
    pending: Vec<u8>,
}

impl Client {
    pub fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client {
            stream,
            pending: Vec::new(),
        }
    }

    pub fn send(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).unwrap();
    }
    pub fn ask(&mut self, request: &str) -> Answer {
        self.send(request);
        self.answer()
    }
    pub fn try_ask(&mut self, request: &str) -> Option<Answer> {
        self.stream.write_all(request.as_bytes()).ok()?;
        self.try_answer()
    }
    pub fn post(&mut self, path: &str, body: &str) -> Answer {
        let length = body.len();
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }
    pub fn answer(&mut self) -> Answer {
        self.try_answer()
            .expect("an answer, but the connection ended")
    }

    /// One answer with a known length; `None` if the connection ends before.
    pub fn try_answer(&mut self) -> Option<Answer> {
        let head_end = loop {
            if let Some(at) = self.pending.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            self.more()?;
        };
        let head = String::from_utf8(self.pending[..head_end].to_vec()).unwrap();
        let length = head
            .lines()
            .find_map(|l| {
                l.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            })
            .unwrap_or(0_usize);
        while self.pending.len() < head_end + length {
            self.more()?;
        }
        let rest = self.pending.split_off(head_end + length);
        let body = String::from_utf8(self.pending.split_off(head_end)).unwrap();
        self.pending = rest;
        let status = head[9..12].parse().unwrap();
        Some(Answer { status, head, body })
    }

    /// Reads until so many bytes are here, to be looked at later.
    pub fn hoard(&mut self, enough: usize) {
        while self.pending.len() < enough {
            self.more().expect("more bytes, but the connection ended");
        }
    }

    /// Takes what was hoarded.
    pub fn pending(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.pending)).unwrap()
    }

    fn more(&mut self) -> Option<()> {
        let mut some = [0; 16 * 1024];
        match self.stream.read(&mut some) {
            Ok(0) => None,
            Ok(n) => {
                self.pending.extend_from_slice(&some[..n]);
                Some(())
            }
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(e) => panic!("no answer: {e}"),
        }
    }

    /// The server ends the connection without sending anything more.
    pub fn expect_end(&mut self, what: &str) {
        assert!(self.pending.is_empty(), "{what}: unread {:?}", self.pending);
        assert!(
            self.more().is_none(),
            "{what}: {:?}",
            String::from_utf8_lossy(&self.pending)
        );
    }
}
