//! A proxy: a listener, its connections, and the toxics they all see.
//!
//! Everything runs on the thread that carries; a stop returns when the port is free again. More
//! connections than the bound wait in the listen queue. It must not know who may ask for what.

use crate::carry::{Carry, Toxics};
use crate::limits::{ACCEPT_PAUSE_MS, BACKLOG_CONNECTIONS, CONNECT_MS, DRAIN, HTTP_PIPE_BYTES};
use crate::link::{Held, Link};
use crate::toxic::{Stream, Toxic};
use crate::web;
use host::Drain;
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

/// What all proxies have in common.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The thread that carries.
    pub carrier: Handle,
    pub connections_max: usize,
    pub held: Arc<Held>,
    pub drain: Drain,
}

#[derive(Debug)]
pub struct Proxy {
    pub name: String,
    /// Where it listens, or is to listen when it is enabled.
    pub listen: String,
    pub upstream: String,
    /// Reads HTTP, so that `http_…` faults can be put on it.
    pub http: bool,
    /// In the order they were added.
    pub toxics: Vec<Arc<Toxic>>,
    /// The lease that ends its being disabled.
    pub down: Option<u64>,
    shown: watch::Sender<Arc<[Arc<Toxic>]>>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    #[must_use]
    pub fn new(name: String, listen: String, upstream: String, http: bool) -> Proxy {
        Proxy {
            name,
            listen,
            upstream,
            http,
            toxics: Vec::new(),
            down: None,
            shown: watch::Sender::new(Arc::from([])),
            running: None,
        }
    }

    #[must_use]
    pub fn enabled(&self) -> bool {
        self.running.is_some()
    }

    /// Begins to listen; `listen` then has the port that was found.
    pub async fn start(&mut self, addr: SocketAddr, ground: &Ground) -> io::Result<()> {
        let (told, hear) = oneshot::channel();
        let line = Line {
            name: self.name.clone(),
            upstream: self.upstream.clone(),
            http: self.http,
            toxics: self.shown.subscribe(),
            ground: ground.clone(),
        };
        let task = ground.carrier.spawn(async move {
            let opened = listen(addr).and_then(|listener| Ok((listener.local_addr()?, listener)));
            match opened {
                Ok((addr, listener)) => {
                    let _ = told.send(Ok(addr));
                    line.accept(listener).await;
                }
                Err(error) => drop(told.send(Err(error))),
            }
        });
        let gone = |_| Err(io::Error::other("the thread that carries has ended"));
        self.listen = hear.await.unwrap_or_else(gone)?.to_string();
        self.running = Some(Running { task });
        self.down = None;
        Ok(())
    }

    /// Ends the listener and all connections.
    pub async fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.task.abort();
            // Cancelled, which is what was asked for.
            let _ = (&mut running.task).await;
        }
    }

    /// Waits for the end that the drain brings.
    pub async fn finished(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = (&mut running.task).await;
        }
    }

    /// Shows the toxics to every connection.
    pub fn show(&self) {
        self.shown.send_replace(self.toxics.clone().into());
    }

    /// Those of the upstream direction first, as clients know it.
    #[must_use]
    pub fn toxics_json(&self) -> Value {
        let of = |stream| {
            let toxics = self.toxics.iter();
            toxics.filter(move |toxic| toxic.stream == stream)
        };
        let sorted = of(Stream::Upstream).chain(of(Stream::Downstream));
        sorted.map(|toxic| toxic.json()).collect()
    }

    #[must_use]
    pub fn json(&self) -> Value {
        let mut shown = json!({
            "name": self.name,
            "listen": self.listen,
            "upstream": self.upstream,
            "enabled": self.enabled(),
            "toxics": self.toxics_json(),
        });
        if self.http {
            shown["protocol"] = "http".into();
        }
        if let Some(lease) = self.down {
            shown["lease"] = lease.into();
        }
        shown
    }
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG_CONNECTIONS)
}

/// What a listener needs to serve.
#[derive(Clone)]
struct Line {
    name: String,
    upstream: String,
    http: bool,
    toxics: Toxics,
    ground: Ground,
}

impl Line {
    async fn accept(self, listener: TcpListener) {
        let mut open = JoinSet::new();
        let drain = self.ground.drain.clone();
        let mut begun = std::pin::pin!(drain.begun());
        loop {
            let room = open.len() < self.ground.connections_max;
            tokio::select! {
                () = &mut begun => break,
                Some(_) = open.join_next(), if !open.is_empty() => {}
                accepted = listener.accept(), if room => match accepted {
                    Ok((client, _)) => drop(open.spawn(self.clone().connect(client))),
                    Err(error) => {
                        tracing::warn!("{}: accepting a connection: {error}", self.name);
                        tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                    }
                },
            }
        }
        drop(listener);
        let finished = async { while open.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN, finished).await;
    }

    async fn connect(self, client: TcpStream) {
        // Only a socket that is gone refuses this, and the first read will tell.
        let _ = client.set_nodelay(true);
        let held = &self.ground.held;
        let up = Link::new(Stream::Upstream, Arc::clone(held));
        let down = Link::new(Stream::Downstream, Arc::clone(held));
        if self.http {
            return Box::pin(self.read_http(client, up, down)).await;
        }
        let connecting = TcpStream::connect(&self.upstream);
        let connected = tokio::time::timeout(Duration::from_millis(CONNECT_MS), connecting).await;
        let upstream = match connected.map_err(io::Error::from).flatten() {
            Ok(upstream) => upstream,
            Err(error) => {
                tracing::debug!("{}: no connection to {}: {error}", self.name, self.upstream);
                return;
            }
        };
        let _ = upstream.set_nodelay(true);
        let carry = Carry {
            client,
            upstream,
            up,
            down,
        };
        carry.run(self.toxics).await;
    }

    async fn read_http(self, client: TcpStream, up: Link, down: Link) {
        let (near, far) = tokio::io::duplex(HTTP_PIPE_BYTES);
        let pipe = web::Pipe {
            io: near,
            reset: Arc::default(),
        };
        let served = web::serve(
            far,
            Arc::clone(&pipe.reset),
            self.upstream,
            self.toxics.clone(),
        );
        let carry = Carry {
            client,
            upstream: pipe,
            up,
            down,
        };
        let served = async {
            served.await;
            // What it has said is still on its way.
            std::future::pending::<()>().await;
        };
        // A client that is gone ends a request that hangs.
        tokio::select! {
            () = carry.run(self.toxics) => {}
            () = served => {}
        }
    }
}
