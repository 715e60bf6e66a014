//! What one worker has of a pool: idle connections, and a place to wait for one.
//!
//! Nothing here is shared, so taking a connection and giving it back are a pop and a push. Only
//! opening one asks the shared count, and only waiting is told to other workers.

use super::connect::{ConnectError, connect};
use super::peer::{Peer, Place};
use super::pick::{Dice, Tried};
use super::pool::Pool;
use super::stats::Event;
use super::watch::{Deadline, Watch};
use super::wire::Wire;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::Notify;

/// One connection to a peer, at rest or at work.
#[derive(Debug)]
pub(crate) struct Link {
    pub stream: Wire,
    pub deadline: Deadline,
    /// It has carried a request before: it may have been closed at the other end meanwhile.
    pub reused: bool,
    idle_since_ms: u64,
    addr: SocketAddr,
    generation: u32,
    _place: Place,
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoLink {
    /// All peers were tried, or none may be asked.
    NoPeer,
    /// Every connection is in use, and as many requests as may do so wait already.
    Full,
    /// Waited, and none became free.
    WaitedInVain,
    Connect {
        peer: usize,
        why: ConnectError,
    },
}

#[derive(Debug)]
pub(crate) struct LocalPool {
    pub pool: Arc<Pool>,
    watch: Rc<Watch>,
    dice: Rc<Dice>,
    /// By peer, longest idle first.
    #[expect(
        clippy::vec_box,
        reason = "links are handed around: moving them would cost more"
    )]
    idle: Box<[RefCell<Vec<Box<Link>>>]>,
    waiting: Cell<usize>,
    freed: Notify,
    /// Retries that may be made now, in hundredths.
    budget: Cell<u32>,
    pub(crate) http2: crate::proxy::Http2Links,
}

impl LocalPool {
    pub fn new(pool: Arc<Pool>, watch: Rc<Watch>, dice: Rc<Dice>) -> Rc<Self> {
        Rc::new(LocalPool {
            idle: pool.peers().iter().map(|_| RefCell::default()).collect(),
            http2: crate::proxy::Http2Links::new(pool.peers().len()),
            watch,
            dice,
            waiting: Cell::new(0),
            freed: Notify::new(),
            budget: Cell::new(crate::limits::RETRY_BUDGET_START_PERCENT),
            pool,
        })
    }

    pub fn peer(&self, place: usize) -> &Arc<Peer> {
        &self.pool.peers()[place]
    }

    /// Every request pays in a share of a retry.
    pub fn pay_in(&self) {
        let share = self.pool.spec().retry.budget_percent;
        let most = crate::limits::RETRY_BUDGET_MAX_PERCENT;
        self.budget.set((self.budget.get() + share).min(most));
    }

    /// A retry pays a whole one, if it is there.
    pub fn pay_out(&self) -> bool {
        let left = self.budget.get().checked_sub(100);
        left.map(|left| self.budget.set(left)).is_some()
    }

    /// The peer to ask, with its load noted.
    pub fn pick(self: &Rc<Self>, tried: &Tried) -> Option<Load> {
        let now = self.watch.now_ms();
        let peer = self.pool.pick(&self.dice, tried, now)?;
        self.peer(peer).begin();
        Some(Load {
            pool: self.clone(),
            peer,
            settled: Cell::new(true),
        })
    }

    /// A connection to one of the peers not tried yet: an idle one unless it has to be `fresh`.
    pub async fn checkout(
        self: &Rc<Self>,
        tried: &Tried,
        fresh: bool,
        connect_ms: u32,
    ) -> Result<Checkout, NoLink> {
        let first = self.try_checkout(tried, fresh)?;
        let (load, place) = match first {
            Found::Link(checkout) => return Ok(checkout),
            Found::Room(load, place) => (load, place),
            Found::Full => match self.wait(tried, fresh).await? {
                Found::Link(checkout) => return Ok(checkout),
                Found::Room(load, place) => (load, place),
                Found::Full => return Err(NoLink::WaitedInVain),
            },
        };
        self.open(load, place, connect_ms).await
    }

    async fn open(
        self: &Rc<Self>,
        load: Load,
        place: Place,
        connect_ms: u32,
    ) -> Result<Checkout, NoLink> {
        let peer = self.peer(load.peer);
        let generation = peer.generation.load(Relaxed);
        match connect(&self.pool, load.peer, connect_ms).await {
            Ok((stream, addr)) => {
                peer.count(Event::Connected);
                let link = Link {
                    stream,
                    deadline: self.watch.deadline(),
                    reused: false,
                    idle_since_ms: 0,
                    addr,
                    generation,
                    _place: place,
                };
                let link = Some(Box::new(link));
                Ok(Checkout { load, link })
            }
            Err(why) => {
                drop(place);
                self.tell_freed();
                Err(NoLink::Connect {
                    peer: load.peer,
                    why,
                })
            }
        }
    }

    fn try_checkout(self: &Rc<Self>, tried: &Tried, fresh: bool) -> Result<Found, NoLink> {
        let mut passed = *tried;
        let mut full = false;
        while let Some(load) = self.pick(&passed) {
            let peer = load.peer;
            if !fresh && let Some(link) = self.take_idle(peer) {
                let link = Some(link);
                return Ok(Found::Link(Checkout { load, link }));
            }
            let most = self.pool.spec().connections.per_peer_max;
            if let Some(place) = self.peer(peer).try_connect(most) {
                return Ok(Found::Room(load, place));
            }
            if fresh && self.idle[peer].borrow_mut().pop().is_some() {
                continue;
            }
            full = true;
            passed.add(peer);
        }
        if full {
            Ok(Found::Full)
        } else {
            Err(NoLink::NoPeer)
        }
    }

    fn take_idle(&self, peer: usize) -> Option<Box<Link>> {
        let mut idle = self.idle[peer].borrow_mut();
        while let Some(mut link) = idle.pop() {
            if link.stream.is_quiet() && self.is_current(peer, &link) {
                return Some(link);
            }
        }
        None
    }

    /// To an address that its name still stands for.
    fn is_current(&self, peer: usize, link: &Link) -> bool {
        let peer = self.peer(peer);
        link.generation == peer.generation.load(Relaxed) || peer.addresses().0.contains(&link.addr)
    }

    async fn wait(self: &Rc<Self>, tried: &Tried, fresh: bool) -> Result<Found, NoLink> {
        let _place = self.pool.try_wait().ok_or(NoLink::Full)?;
        let _here = WaitingHere::new(self);
        let limit = Duration::from_millis(self.pool.spec().connections.wait_ms.into());
        let found = async {
            loop {
                tokio::select! {
                    () = self.freed.notified() => {}
                    () = self.pool.freed.notified() => {}
                }
                match self.try_checkout(tried, fresh) {
                    Ok(Found::Full) => {}
                    found => return found,
                }
            }
        };
        let waited = tokio::time::timeout(limit, found).await;
        waited.unwrap_or(Err(NoLink::WaitedInVain))
    }

    fn give_back(&self, peer: usize, mut link: Box<Link>) {
        link.reused = true;
        link.deadline.never();
        link.idle_since_ms = self.watch.now_ms();
        let elsewhere = self.pool.waiting() > self.waiting.get();
        let spec = &self.pool.spec().connections;
        let mut idle = self.idle[peer].borrow_mut();
        if (elsewhere && self.waiting.get() == 0) || idle.len() >= spec.idle_max {
            drop(link);
        } else {
            idle.push(link);
        }
        drop(idle);
        self.tell_freed();
    }

    /// A connection or the right to open one has become free.
    fn tell_freed(&self) {
        if self.waiting.get() > 0 {
            self.freed.notify_one();
        } else if self.pool.waiting() > 0 {
            self.pool.freed.notify_one();
        }
    }

    /// Closes what has been idle for too long, was closed by the peer, leads to an address that
    /// is gone, or is needed elsewhere.
    pub fn sweep(&self) {
        let now = self.watch.now_ms();
        let longest = u64::from(self.pool.spec().connections.idle_ms);
        let mut wanted = self.pool.waiting().saturating_sub(self.waiting.get());
        for (peer, idle) in self.idle.iter().enumerate() {
            idle.borrow_mut().retain_mut(|link| {
                if now.saturating_sub(link.idle_since_ms) > longest
                    || !link.stream.is_quiet()
                    || !self.is_current(peer, link)
                {
                    return false;
                }
                let given = wanted > 0;
                if given {
                    wanted -= 1;
                    self.pool.freed.notify_one();
                }
                !given
            });
        }
    }
}

enum Found {
    Link(Checkout),
    Room(Load, Place),
    /// Connections of all peers that may be asked are in use.
    Full,
}

struct WaitingHere<'a>(&'a LocalPool);

impl<'a> WaitingHere<'a> {
    fn new(pool: &'a LocalPool) -> Self {
        pool.waiting.set(pool.waiting.get() + 1);
        WaitingHere(pool)
    }
}
impl Drop for WaitingHere<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}

/// A request that a peer is busy with.
#[derive(Debug)]
pub(crate) struct Load {
    pub pool: Rc<LocalPool>,
    pub peer: usize,
    settled: Cell<bool>,
}

impl Load {
    pub fn peer(&self) -> &Arc<Peer> {
        self.pool.peer(self.peer)
    }

    /// The peer was asked; until [`Load::settle`], going away means that the client did.
    pub fn ask(&self) {
        self.peer().count(Event::Tried);
        self.settled.set(false);
    }
    pub fn settle(&self) {
        self.settled.set(true);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if !self.settled.get() {
            self.peer().count(Event::Abandoned);
        }
        self.peer().end();
    }
}

/// A connection at work. Dropped, it is closed; [`Checkout::give_back`] keeps it for the next.
#[derive(Debug)]
pub(crate) struct Checkout {
    pub load: Load,
    link: Option<Box<Link>>,
}

impl Checkout {
    pub fn link(&mut self) -> &mut Link {
        // Taken only by the two functions that consume this.
        self.link.as_mut().expect("a connection at work")
    }

    pub fn give_back(mut self) {
        if let Some(link) = self.link.take() {
            self.load.pool.give_back(self.load.peer, link);
        }
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            drop(link);
            self.load.pool.tell_freed();
        }
    }
}
