//! A front with one pool, upstreams that do exactly as they are told, and a client that sees
//! every byte.

use gateway::headers::{Announce, Client as Asker};
use gateway::proxy::{ForwardContext, Proxy, Target};
use gateway::upstream::{Address, Event, PeerSpec, Pool, PoolSpec, Upstreams, Watching};
use host::Drain;
use host::http::{Body, HttpStats, ListenOptions, Listening, Service, start};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Request, Response};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longest wait for anything; a test that needs it all has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

// ── the front ──────────────────────────────────────────────────────────────────────────────────

/// What a test changes about every request.
pub type Change = fn(&mut ForwardContext<'_>);

struct Forward {
    proxy: Proxy,
    target: Target,
    announce: Arc<Announce>,
    change: Change,
}

impl Service for Forward {
    async fn call(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let trusted = &self.announce.trusted;
        let client = Asker::of(request.headers(), peer.ip(), false, trusted);
        let mut ctx = ForwardContext::new(client, &self.announce);
        (self.change)(&mut ctx);
        match self.proxy.forward(request, &self.target, ctx).await {
            Ok(response) => response,
            Err(error) => {
                let mut response = Response::new(Body::from(error.why.label()));
                *response.status_mut() = error.why.status();
                let happened = HeaderValue::from_static(error.happened.label());
                response.headers_mut().insert("x-happened", happened);
                response
            }
        }
    }
}

pub struct Front {
    pub addr: SocketAddr,
    pub pool: Arc<Pool>,
    drain: Drain,
    listening: Option<Listening>,
    _watching: Watching,
}

impl Front {
    pub fn to(peers: &[SocketAddr]) -> Self {
        Front::with(peers, |_| {}, |_| {})
    }

    pub fn with(peers: &[SocketAddr], spec: impl FnOnce(&mut PoolSpec), change: Change) -> Self {
        Front::announcing(peers, spec, change, Announce::default())
    }

    pub fn announcing(
        peers: &[SocketAddr],
        change_spec: impl FnOnce(&mut PoolSpec),
        change: Change,
        announce: Announce,
    ) -> Self {
        let peers = peers.iter().map(|addr| PeerSpec {
            address: Address::Fixed(*addr),
            weight: 1,
        });
        let mut spec = PoolSpec::new("test", peers.collect());
        change_spec(&mut spec);
        let upstreams = Upstreams::new(vec![spec], None).unwrap();
        let pool = upstreams.pool("test").unwrap().clone();
        let watching = Watching::start(Arc::new(upstreams)).unwrap();
        let (announce, of_workers) = (Arc::new(announce), pool.clone());
        let make = move |_worker| {
            let proxy = Proxy::new();
            let target = proxy.target(&of_workers);
            Forward {
                proxy,
                target,
                announce: announce.clone(),
                change,
            }
        };
        let mut options = ListenOptions::new("test", "127.0.0.1:0".parse().unwrap());
        options.drain_ms = 500;
        let drain = Drain::new();
        let listening = start(&options, make, drain.clone(), HttpStats::new()).unwrap();
        Front {
            addr: listening.local_addr(),
            pool,
            drain,
            listening: Some(listening),
            _watching: watching,
        }
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.addr)
    }
    pub fn get(&self, path: &str) -> Answer {
        self.connect()
            .ask(&format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"))
    }
    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.connect().post(path, body)
    }
    /// Of all peers together.
    pub fn count(&self, event: Event) -> u64 {
        self.pool
            .peers()
            .iter()
            .map(|peer| peer.stats().of(event))
            .sum()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.drain.begin();
        if let Some(listening) = self.listening.take() {
            let whole = listening.join();
            assert!(whole || std::thread::panicking(), "a worker panicked");
        }
    }
}

// ── upstreams ──────────────────────────────────────────────────────────────────────────────────

/// An upstream that follows a script, one thread for each connection.
pub struct Upstream {
    pub addr: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

impl Upstream {
    /// `script` gets each connection, with its number, and may do anything with it.
    pub fn scripted(script: impl Fn(&mut Talk, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let connections: Arc<AtomicUsize> = Arc::default();
        let closed: Arc<AtomicUsize> = Arc::default();
        let (notes, count, ends) = (heard.clone(), connections.clone(), closed.clone());
        let script = Arc::new(script);
        // Ends with the process: tests have nothing to wait for here.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let number = count.fetch_add(1, SeqCst);
                let (script, ends) = (script.clone(), ends.clone());
                let heard = notes.clone();
                std::thread::spawn(move || {
                    let mut talk = Talk {
                        stream,
                        pending: Vec::new(),
                        heard,
                    };
                    script(&mut talk, number);
                    drop(talk);
                    ends.fetch_add(1, SeqCst);
                });
            }
        });
        Upstream {
            addr,
            heard,
            connections,
            closed,
        }
    }

    /// Answers every request on every connection with these bytes.
    pub fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Upstream::scripted(move |talk, _| {
            while talk.request().is_some() {
                talk.say(&answer);
            }
        })
    }

    /// Answers the first request of each connection with these bytes, then closes it.
    pub fn saying_once(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Upstream::scripted(move |talk, _| {
            if talk.request().is_some() {
                talk.say(&answer);
            }
        })
    }

    /// The requests it was sent, heads and bodies.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
    pub fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
    pub fn closed(&self) -> usize {
        self.closed.load(SeqCst)
    }
}

/// An address where nobody listens.
pub fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

pub fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// One connection, as the upstream sees it.
pub struct Talk {
    pub stream: TcpStream,
    pending: Vec<u8>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Talk {
    /// The head of the next request; `None` at the end of the connection.
    pub fn head(&mut self) -> Option<String> {
        let end = loop {
            if let Some(at) = self.pending.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            self.more()?;
        };
        let rest = self.pending.split_off(end);
        let head = std::mem::replace(&mut self.pending, rest);
        Some(String::from_utf8_lossy(&head).into_owned())
    }

    /// The next request with its whole body, which is noted.
    pub fn request(&mut self) -> Option<String> {
        let mut request = self.head()?;
        let lower = request.to_ascii_lowercase();
        if lower.contains("transfer-encoding: chunked") {
            while !self.pending.ends_with(b"\r\n\r\n") {
                self.more()?;
            }
            request += &String::from_utf8_lossy(&std::mem::take(&mut self.pending));
        } else {
            let length = length_in(&lower).unwrap_or(0);
            while self.pending.len() < length {
                self.more()?;
            }
            let rest = self.pending.split_off(length);
            let body = std::mem::replace(&mut self.pending, rest);
            request += &String::from_utf8_lossy(&body);
        }
        self.heard.lock().unwrap().push(request.clone());
        Some(request)
    }

    /// What is here, or comes next.
    pub fn some(&mut self) -> Option<String> {
        if self.pending.is_empty() {
            self.more()?;
        }
        let some = std::mem::take(&mut self.pending);
        Some(String::from_utf8_lossy(&some).into_owned())
    }

    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        // The other side may have had enough; that is for the test to judge.
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Waits until the other side closes, whatever it says before.
    pub fn wait_for_end(&mut self) {
        while self.more().is_some() {}
    }

    fn more(&mut self) -> Option<()> {
        let mut some = [0; 16 * 1024];
        match self.stream.read(&mut some) {
            Ok(0) | Err(_) => None,
            Ok(n) => {
                self.pending.extend_from_slice(&some[..n]);
                Some(())
            }
        }
    }
}

fn length_in(lower: &str) -> Option<usize> {
    let mut lines = lower.lines();
    lines.find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
}

// ── the client ─────────────────────────────────────────────────────────────────────────────────

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub body: String,
    /// Not cut short.
    pub whole: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
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

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }
    pub fn ask(&mut self, request: &str) -> Answer {
        self.send(request);
        self.answer()
    }
    pub fn get(&mut self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"))
    }
    pub fn post(&mut self, path: &str, body: &str) -> Answer {
        self.post_with(path, "", body)
    }
    pub fn post_with(&mut self, path: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nHost: t\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    pub fn head(&mut self) -> String {
        let end = loop {
            if let Some(at) = self.pending.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.more(), "an answer, but the connection ended");
        };
        let rest = self.pending.split_off(end);
        let head = std::mem::replace(&mut self.pending, rest);
        String::from_utf8(head).unwrap().to_ascii_lowercase()
    }

    pub fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    pub fn answer_to(&mut self, method: &str) -> Answer {
        let head = self.head();
        let status: u16 = head[9..12].parse().unwrap();
        let bodiless = method == "HEAD" || status == 204 || status == 304 || status == 101;
        let (body, whole) = if bodiless {
            (Vec::new(), true)
        } else if head.contains("transfer-encoding: chunked") {
            self.chunks()
        } else if let Some(length) = length_in(&head) {
            while self.pending.len() < length && self.more() {}
            let whole = self.pending.len() >= length;
            let rest = self.pending.split_off(length.min(self.pending.len()));
            (std::mem::replace(&mut self.pending, rest), whole)
        } else {
            while self.more() {}
            (std::mem::take(&mut self.pending), true)
        };
        let body = String::from_utf8(body).unwrap();
        Answer {
            status,
            head,
            body,
            whole,
        }
    }

    /// The data of all chunks, and whether the last one came.
    fn chunks(&mut self) -> (Vec<u8>, bool) {
        let mut data = Vec::new();
        loop {
            let Some(end) = self.pending.windows(2).position(|w| w == b"\r\n") else {
                if self.more() {
                    continue;
                }
                return (data, false);
            };
            let size = std::str::from_utf8(&self.pending[..end]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            while self.pending.len() < end + 2 + size + 2 {
                if !self.more() {
                    let here = self.pending.len().min(end + 2 + size);
                    data.extend_from_slice(&self.pending[(end + 2).min(here)..here]);
                    return (data, false);
                }
            }
            data.extend_from_slice(&self.pending[end + 2..end + 2 + size]);
            self.pending.drain(..end + 2 + size + 2);
            if size == 0 {
                return (data, true);
            }
        }
    }

    /// Waits for so many bytes and takes all that are here.
    pub fn some(&mut self, enough: usize) -> String {
        while self.pending.len() < enough {
            assert!(self.more(), "more bytes, but the connection ended");
        }
        String::from_utf8(std::mem::take(&mut self.pending)).unwrap()
    }

    /// Reads until the end of the connection.
    pub fn rest(&mut self) -> String {
        while self.more() {}
        String::from_utf8(std::mem::take(&mut self.pending)).unwrap()
    }

    fn more(&mut self) -> bool {
        let mut some = [0; 16 * 1024];
        match self.stream.read(&mut some) {
            Ok(0) => false,
            Ok(n) => {
                self.pending.extend_from_slice(&some[..n]);
                true
            }
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(e) => panic!("no answer: {e}"),
        }
    }
}
