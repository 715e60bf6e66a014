//! One worker: a thread with its own runtime, its own listening socket and its connections.
//!
//! It accepts, looks at the age of every connection once a sweep, makes room at the cap, and
//! drains. Nothing here is shared with other workers but the counters and the switch.

use super::conn::{Clock, ConnState, Order, Phase, serve};
use super::io::Buffers;
use super::stats::{Closed, HttpStats};
use super::{ListenOptions, Service};
use crate::drain::Drain;
use crate::limits::{
    ACCEPT_BURST_MAX, ACCEPT_PAUSE_MS, BACKLOG_CONNECTIONS, EVICT_LIST_MAX, HEAD_BUFFER_BYTES_MIN,
    HEADERS_MAX, PARK_IDLE_MS, SWEEP_MS,
};
use hyper::server::conn::http1;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

pub(super) struct Worker<S> {
    pub service: S,
    pub http: http1::Builder,
    /// The same, for connections that get one request only.
    pub last_request: http1::Builder,
    /// What a TLS listener offers.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    pub http2_plain: bool,
    pub options: ListenOptions,
    index: usize,
    stats: Arc<HttpStats>,
    started: Instant,
    clock: Clock,
    pub buffers: Rc<Buffers>,
    conns: RefCell<Vec<Rc<ConnState>>>,
    emptied: Notify,
    draining: Cell<bool>,
    /// Longest idle last, gathered at most once a sweep.
    evictable: RefCell<Vec<(Rc<ConnState>, u32)>>,
    /// Oldest first; some may be over.
    handshakes: RefCell<VecDeque<Rc<ConnState>>>,
    may_gather: Cell<bool>,
}

impl<S: Service> Worker<S> {
    pub fn new(
        service: S,
        options: ListenOptions,
        index: usize,
        stats: Arc<HttpStats>,
    ) -> Rc<Self> {
        let mut http = http1::Builder::new();
        // No timer for hyper: the sweep keeps the times, without a timer per request. And no
        // `pipeline_flush`: with it, an answer stays in the buffer while bytes of a further
        // request are there, be they incomplete or the very garbage that is answered with 400.
        // With `half_close`, hyper does not look for the end of a client that waits for its answer:
        // `io.rs` does, without a new read buffer for each request.
        http.header_read_timeout(None)
            .half_close(true)
            .max_buf_size(options.head_bytes_max.max(HEAD_BUFFER_BYTES_MIN))
            .max_header_size(options.head_bytes_max);
        // Below hyper's own bound the door counts; above it hyper takes memory for each head.
        if options.headers_max > HEADERS_MAX {
            http.max_headers(options.headers_max);
        }
        let mut last_request = http.clone();
        last_request.keep_alive(false);
        Rc::new(Worker {
            service,
            http,
            last_request,
            tls: options.tls.as_ref().map(|tls| tls.config(options.http2)),
            http2_plain: options.http2 && options.tls.is_none(),
            options,
            index,
            stats,
            started: Instant::now(),
            clock: Clock::default(),
            buffers: Rc::default(),
            conns: RefCell::default(),
            emptied: Notify::new(),
            draining: Cell::new(false),
            evictable: RefCell::default(),
            handshakes: RefCell::default(),
            may_gather: Cell::new(true),
        })
    }

    pub fn count_closed(&self, why: Closed) {
        self.stats.count_closed(self.index, why);
    }
    pub fn count_answer(&self, status: u16, took: Duration) {
        self.stats.count_answer(self.index, status, took);
    }

    /// Takes note of a handshake; at the most, the oldest one makes room.
    pub fn handshake_begins(&self, state: &Rc<ConnState>) {
        let most = self.options.handshakes_max.max(1);
        let mut all = self.handshakes.borrow_mut();
        if all.len() >= most {
            all.retain(|c| c.phase.get() == Phase::Handshake && c.slot.get() != usize::MAX);
        }
        if all.len() >= most
            && let Some(oldest) = all.pop_front()
        {
            oldest.order(Order::Close(Some(Closed::Evicted)));
        }
        all.push_back(state.clone());
    }

    /// Accepts until the switch is thrown, then drains; returns when all connections ended or
    /// the time for that is over.
    pub async fn run(self: Rc<Self>, listener: TcpListener, drain: Drain) {
        let mut sweep = tokio::time::interval(Duration::from_millis(SWEEP_MS));
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut begun = std::pin::pin!(drain.begun());
        loop {
            tokio::select! {
                biased;
                () = &mut begun => break,
                _ = sweep.tick() => self.sweep(),
                result = self.accept(&listener, ACCEPT_BURST_MAX) => if let Err(error) = result {
                    self.stats.count_accept_error(self.index);
                    tracing::warn!(%error, listener = self.options.name, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                },
            }
        }
        self.tick();
        // Who is in the kernel's queue has connected in good faith; closing would reset them.
        self.draining.set(true);
        let queued = self.accept(&listener, BACKLOG_CONNECTIONS as usize);
        let _ = tokio::time::timeout(Duration::ZERO, queued).await;
        drop(listener);
        self.drain(&mut sweep).await;
    }

    async fn drain(self: &Rc<Self>, sweep: &mut tokio::time::Interval) {
        for conn in self.conns.borrow().iter() {
            if matches!(conn.phase.get(), Phase::Fresh | Phase::Idle) {
                // Its time to speak counts from here, however long it was silent before. Who is
                // idle goes at once, but a peer of HTTP/2 is first asked whether it has heard.
                conn.since_ms.set(self.clock.get());
            }
            conn.order(Order::Drain);
        }
        let deadline = tokio::time::sleep(Duration::from_millis(self.options.drain_ms.into()));
        let mut deadline = std::pin::pin!(deadline);
        while !self.conns.borrow().is_empty() {
            tokio::select! {
                () = self.emptied.notified() => {}
                _ = sweep.tick() => self.sweep(),
                () = &mut deadline => break,
            }
        }
        for conn in self.conns.borrow().iter() {
            let busy = conn.phase.get() == Phase::Serving || conn.blocked_ms.get().is_some();
            conn.order(Order::Close(busy.then_some(Closed::DrainCut)));
        }
        // One turn for each to obey; what lingers after its answer is let go with the runtime.
        tokio::task::yield_now().await;
    }

    /// Accepts what is waiting, at least one, at most `most`.
    async fn accept(self: &Rc<Self>, listener: &TcpListener, most: usize) -> io::Result<()> {
        std::future::poll_fn(|cx| {
            for accepted in 0..most {
                match listener.poll_accept(cx) {
                    Poll::Ready(Ok((stream, peer))) => self.admit(stream, peer),
                    // The peer gave up while it was queued: nothing of ours failed.
                    Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                    Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                    Poll::Pending if accepted == 0 => return Poll::Pending,
                    Poll::Pending => break,
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    fn admit(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr) {
        self.stats.count_accepted(self.index);
        if !self.stats.try_open(self.options.connections_max) {
            if !self.evict_one() {
                self.count_closed(Closed::Full);
                return;
            }
            // The evicted one goes at its next turn: one above the cap until then.
            self.stats.open_above();
        }
        let state = ConnState::new(self.clock.clone(), self.options.head_bytes_max);
        if self.draining.get() {
            state.order(Order::Drain);
        }
        let mut conns = self.conns.borrow_mut();
        state.slot.set(conns.len());
        conns.push(state.clone());
        let place = Place {
            worker: self.clone(),
            state: state.clone(),
        };
        let worker = self.clone();
        tokio::task::spawn_local(async move {
            let _place = place;
            serve(worker, stream, peer, state).await;
        });
    }

    fn tick(&self) {
        // Wraps after 49 days; ages are differences, so that is no harm.
        self.clock.set(self.started.elapsed().as_millis() as u32);
    }

    /// Looks at every connection: a few nanoseconds each.
    fn sweep(&self) {
        self.tick();
        self.may_gather.set(true);
        let now = self.clock.get();
        for conn in self.conns.borrow().iter() {
            let order = self.judge(conn, now);
            if order != Order::None {
                conn.order(order);
            }
            if let Some(streams) = conn.streams.get() {
                let cut = streams.cut_untaken(now, self.options.write_stall_ms);
                (0..cut).for_each(|_| self.count_closed(Closed::StreamStall));
            }
        }
    }

    fn judge(&self, conn: &ConnState, now: u32) -> Order {
        let o = &self.options;
        let age = now.wrapping_sub(conn.since_ms.get());
        if let Some(since) = conn.blocked_ms.get() {
            let stalled = now.wrapping_sub(since) > o.write_stall_ms;
            return if stalled {
                Order::Close(Some(Closed::WriteStall))
            } else {
                Order::None
            };
        }
        match conn.phase.get() {
            Phase::Fresh | Phase::Idle if self.draining.get() && age > o.drain_fresh_ms => {
                Order::Close(None)
            }
            Phase::Fresh if age > o.first_byte_ms => Order::Close(Some(Closed::Silent)),
            Phase::Handshake if age > o.handshake_ms => Order::Close(Some(Closed::Handshake)),
            Phase::Head if age > o.header_ms => Order::Close(Some(Closed::SlowHead)),
            Phase::Idle if age > o.idle_ms => Order::Close(Some(Closed::Idle)),
            Phase::Idle if !conn.parked.get() && age > PARK_IDLE_MS => Order::Park,
            Phase::Tunnel if age > o.tunnel_idle_ms => Order::Close(Some(Closed::Idle)),
            Phase::Fresh
            | Phase::Handshake
            | Phase::Head
            | Phase::Idle
            | Phase::Serving
            | Phase::Tunnel => Order::None,
        }
    }

    /// Orders the longest idle connection of this worker to close. `false`: nobody is idle.
    fn evict_one(&self) -> bool {
        if self.evictable.borrow().is_empty() && self.may_gather.replace(false) {
            self.gather_evictable();
        }
        while let Some((conn, since)) = self.evictable.borrow_mut().pop() {
            if is_evictable(&conn) && conn.since_ms.get() == since && conn.slot.get() != usize::MAX
            {
                conn.order(Order::Close(Some(Closed::Evicted)));
                return true;
            }
        }
        false
    }

    fn gather_evictable(&self) {
        let now = self.clock.get();
        let age = |conn: &ConnState| now.wrapping_sub(conn.since_ms.get());
        let mut idle: Vec<_> = self
            .conns
            .borrow()
            .iter()
            .filter(|conn| is_evictable(conn) && age(conn) >= self.options.evict_idle_ms)
            .map(|conn| (conn.clone(), conn.since_ms.get()))
            .collect();
        // Youngest first: the oldest is taken from the end.
        idle.sort_by_key(|(conn, _)| age(conn));
        let surplus = idle.len().saturating_sub(EVICT_LIST_MAX);
        idle.drain(..surplus);
        *self.evictable.borrow_mut() = idle;
    }
}

/// Closing it takes nothing from anybody who was promised something.
fn is_evictable(conn: &ConnState) -> bool {
    conn.is_idle() || conn.phase.get() == Phase::Fresh
}

/// A connection's place in its worker and under the cap, given back however it ends.
struct Place<S> {
    worker: Rc<Worker<S>>,
    state: Rc<ConnState>,
}

impl<S> Drop for Place<S> {
    fn drop(&mut self) {
        let mut conns = self.worker.conns.borrow_mut();
        let slot = self.state.slot.replace(usize::MAX);
        conns.swap_remove(slot);
        if let Some(moved) = conns.get(slot) {
            moved.slot.set(slot);
        }
        self.worker.stats.release();
        if conns.is_empty() {
            self.worker.emptied.notify_one();
        }
    }
}
