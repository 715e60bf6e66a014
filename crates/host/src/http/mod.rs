//! One accept loop for every listener of the program.
//!
//! Each worker is a thread with a single-threaded runtime and a listening socket of its own
//! (`SO_REUSEPORT`), so a request is accepted, parsed, decided and answered without leaving its
//! core, and a service may keep plain `Rc` and `Cell` state. Only hyper parses HTTP; framing
//! that could be read in two ways is refused (`framing.rs`). Bounds stand in `limits.rs`.
//! It must not know what is served.

mod body;
mod conn;
mod door;
mod framing;
mod h1;
mod h2;
mod handshake;
mod io;
mod socket;
mod stats;
mod transport;
mod worker;

pub use body::{Body, BodyCut, BodyError, BodySender, Duplex, Relayed, Upgrade, read_body};
pub use socket::ListenError;
pub use stats::{Closed, HttpStats};

use crate::drain::Drain;
use crate::limits;
use crate::tls::Tls;
use hyper::body::Incoming;
use hyper::{Request, Response};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use tokio::runtime::{Builder, LocalOptions};

/// Answers requests on one worker; never leaves its thread, so nothing in it need be `Send`.
///
/// A client that hangs up drops the future of its request. Work that has been accepted must
/// therefore live elsewhere, with only its answer awaited here.
pub trait Service: 'static {
    fn call(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Body>>;
}

/// One listener. Start from [`ListenOptions::new`] and change what differs.
#[derive(Debug, Clone)]
pub struct ListenOptions {
    /// Appears in thread names and logs.
    pub name: &'static str,
    /// Port 0 takes a free one; see [`Listening::local_addr`].
    pub addr: SocketAddr,
    pub workers: usize,
    /// The processor of each worker; empty lets the system choose.
    pub cores: Vec<usize>,
    /// Of all workers together. At the cap the worker that accepts closes its longest idle
    /// connection; if none of its own is idle, the new connection is closed at once.
    pub connections_max: usize,
    /// Certificates; without them, plain TCP.
    pub tls: Option<Tls>,
    /// Also HTTP/2: agreed on in the handshake, or, on plain TCP, by who begins with its preface.
    pub http2: bool,
    /// Bytes of a request's head. Of HTTP/2 they are counted as RFC 9113 does (6.5.2).
    pub head_bytes_max: usize,
    /// Header lines of a request.
    pub headers_max: usize,
    /// Streams of one HTTP/2 connection at once.
    pub streams_max: u32,
    /// Handshakes of one worker at once; beyond it the oldest makes room.
    pub handshakes_max: usize,
    pub handshake_ms: u32,
    pub header_ms: u32,
    pub first_byte_ms: u32,
    pub idle_ms: u32,
    pub write_stall_ms: u32,
    pub evict_idle_ms: u32,
    /// After an upgrade, without a byte in either direction.
    pub tunnel_idle_ms: u32,
    pub drain_ms: u32,
    /// How long, once draining, a connection that has not sent anything is still waited for.
    pub drain_fresh_ms: u32,
}

impl ListenOptions {
    #[must_use]
    pub fn new(name: &'static str, addr: SocketAddr) -> Self {
        ListenOptions {
            name,
            addr,
            workers: 1,
            cores: Vec::new(),
            connections_max: limits::CONNECTIONS_MAX,
            tls: None,
            http2: false,
            head_bytes_max: limits::HEAD_BYTES_MAX,
            headers_max: limits::HEADERS_MAX,
            streams_max: limits::H2_STREAMS_MAX,
            handshakes_max: limits::HANDSHAKES_MAX,
            handshake_ms: limits::HANDSHAKE_MS_DEFAULT,
            header_ms: limits::HEADER_MS_DEFAULT,
            first_byte_ms: limits::FIRST_BYTE_MS_DEFAULT,
            idle_ms: limits::IDLE_MS_DEFAULT,
            write_stall_ms: limits::WRITE_STALL_MS_DEFAULT,
            evict_idle_ms: limits::EVICT_IDLE_MS_DEFAULT,
            tunnel_idle_ms: limits::TUNNEL_IDLE_MS_DEFAULT,
            drain_ms: limits::DRAIN_MS_DEFAULT,
            drain_fresh_ms: limits::DRAIN_FRESH_MS_DEFAULT,
        }
    }
}

/// A listener at work. Dropping it does not stop it: the [`Drain`] does.
#[derive(Debug)]
pub struct Listening {
    local_addr: SocketAddr,
    workers: Vec<JoinHandle<()>>,
}

impl Listening {
    /// Where it really listens, with the port that was found for port 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Waits until the drain is over. Blocks its thread. `false`: a worker panicked, which can
    /// only be seen where panics do not abort.
    pub fn join(self) -> bool {
        self.workers.into_iter().all(|worker| worker.join().is_ok())
    }
}

/// Starts the workers; returns when all of them accept.
///
/// `make` is called once on each worker's thread, inside its runtime, so that the service may
/// start local tasks. A failure begins the drain, since some workers may be running already.
pub fn start<S, F>(
    options: &ListenOptions,
    make: F,
    drain: Drain,
    stats: Arc<HttpStats>,
) -> Result<Listening, ListenError>
where
    S: Service,
    F: Fn(usize) -> S + Send + Clone + 'static,
{
    let workers = options.workers.clamp(1, limits::WORKERS_MAX);
    let sockets = socket::listen(options.addr, workers)?;
    let local_addr = sockets.local_addr;
    let (ready, all_ready) = mpsc::channel();
    let mut handles = Vec::with_capacity(workers);
    for (index, socket) in sockets.each.into_iter().enumerate() {
        let (make, switch, ready) = (make.clone(), drain.clone(), ready.clone());
        let (options, stats) = (options.clone(), stats.clone());
        let thread = std::thread::Builder::new().name(format!("{}-{index}", options.name));
        let core = options.cores.get(index).copied();
        let spawned = thread.spawn(move || {
            if let Some(core) = core {
                crate::cores::keep_to(&[core]);
            }
            let runtime = Builder::new_current_thread()
                .enable_io()
                .enable_time()
                .build_local(LocalOptions::default());
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(error))),
            };
            runtime.block_on(async move {
                match tokio::net::TcpListener::from_std(socket) {
                    Ok(listener) => {
                        let worker = worker::Worker::new(make(index), options, index, stats);
                        // The starter has gone only if it failed, and then the drain has begun.
                        let _ = ready.send(Ok(()));
                        worker.run(listener, switch).await;
                    }
                    Err(error) => drop(ready.send(Err(error))),
                }
            });
        });
        match spawned {
            Ok(handle) => handles.push(handle),
            Err(source) => {
                drain.begin();
                return Err(ListenError::Worker { source });
            }
        }
    }
    for _ in &handles {
        // The channel cannot be closed while we hold a sender.
        if let Ok(Err(source)) = all_ready.recv() {
            drain.begin();
            return Err(ListenError::Worker { source });
        }
    }
    Ok(Listening {
        local_addr,
        workers: handles,
    })
}
