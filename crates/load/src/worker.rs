//! One worker: a thread with its own runtime, its share of the arrivals, its buyers, connections
//! and measurements. Workers share nothing but the switch that stops them.

use crate::answer::{Answer, judge, keep_cookies};
use crate::arrivals::Plan;
use crate::buyer::{Buyer, Fed, Next};
use crate::client::{Slot, connection};
use crate::http1::Got;
use crate::http2::Link;
use crate::limits::{HTTP2_CONNECTIONS_ASKED_MAX, LATE_US, SLEEP_US_MAX, SPIN_US, SWEEP_US};
use crate::measure::{End, Measured, Named};
use crate::meter::Meter;
use crate::pace::Timer;
use crate::redirect::Led;
use crate::request::{self, Composed};
use crate::rng::Rng;
use crate::run::{Connections, Job, Target};
use crate::script::{RequestSpec, Script};
use hyper::Request;
use hyper::body::Bytes;
use slab::Slab;
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub(crate) struct Worker {
    script: Arc<Script>,
    pub target: Arc<Target>,
    job: Arc<Job>,
    start: Instant,
    core: RefCell<Core>,
    /// Where requests are counted to which a redirect led, by the figures of the first.
    redirected: HashMap<u32, u32>,
}

struct Core {
    buyers: Slab<Buyer>,
    /// When whose pause is over.
    timers: BinaryHeap<Reverse<(u64, u32)>>,
    slots: Slab<Rc<Slot>>,
    /// Connections of HTTP/2, whose places are the slots.
    links: Vec<Rc<Link>>,
    /// The connection used last is taken first: few stay warm.
    idle: Vec<usize>,
    /// Buyers for whom there is no connection.
    waiting: VecDeque<u32>,
    connections_max: usize,
    measured: Measured,
    fed: Fed,
    rng: Rng,
    /// Sums of the journeys' weights.
    weights: Vec<f64>,
    scratch: String,
}

/// Where a request finds a place.
enum Room {
    /// On a connection of its own.
    Connection,
    /// On one of HTTP/2 with others.
    On(Rc<Link>),
}

impl Core {
    /// Connections there are, or on their way.
    fn open(&self) -> usize {
        match self.links.is_empty() {
            true => self.slots.len(),
            false => self.links.len(),
        }
    }
}

/// Runs a worker's share on this thread. `index`: its number among those of all generators.
pub(crate) fn run(job: Arc<Job>, index: usize, start: Instant) -> io::Result<Measured> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    let worker = Rc::new(Worker::new(Arc::clone(&job), index, start));
    let shared = &job.shared[index - job.first];
    let result = local.block_on(&runtime, worker.pace(index, shared));
    worker.leave();
    drop((local, runtime));
    let measured = worker.core.borrow().measured.clone();
    result.map(|()| measured)
}

impl Worker {
    fn new(job: Arc<Job>, index: usize, start: Instant) -> Worker {
        let script = Arc::clone(&job.script);
        let mut sum = 0.0;
        let weights = script.journeys.iter().map(|journey| {
            sum += journey.weight;
            sum
        });
        let mut named: Vec<Named> = Vec::new();
        for request in &script.requests {
            if request.figures as usize == named.len() {
                let checks = request.checks.iter().map(|check| check.name.clone());
                named.push(Named::new(&request.name, checks));
            }
        }
        let mut redirected = HashMap::new();
        for (figures, name) in script.redirected() {
            redirected.entry(figures).or_insert_with(|| {
                named.push(Named::new(&name, std::iter::empty()));
                named.len() as u32 - 1
            });
        }
        let core = Core {
            buyers: Slab::new(),
            timers: BinaryHeap::new(),
            slots: Slab::new(),
            links: Vec::new(),
            idle: Vec::new(),
            waiting: VecDeque::new(),
            connections_max: (job.connections_max / job.workers).max(1),
            measured: Measured::new(named),
            fed: Fed::new(script.feeders.len(), index, job.workers),
            rng: Rng::new(job.seed ^ (index as u64) << 32),
            weights: weights.collect(),
            scratch: String::new(),
        };
        Worker {
            target: Arc::clone(&job.target),
            core: RefCell::new(core),
            redirected,
            script,
            job,
            start,
        }
    }

    fn now_us(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    /// Lets arrivals leave when the plan says, until all of it is over.
    async fn pace(self: &Rc<Self>, index: usize, shared: &crate::run::Shared) -> io::Result<()> {
        let timer = Timer::new()?;
        if let Some(ahead) = self.start.checked_duration_since(Instant::now()) {
            timer.sleep_us(ahead.as_micros() as u64 + 1).await?;
        }
        let job = Arc::clone(&self.job);
        let plan: &Plan = &job.plan;
        let arrivals: Box<dyn Iterator<Item = (u64, Option<u32>)>> = match &self.script.starts {
            None => Box::new(plan.instants().map(|at| (at, None))),
            Some(starts) => Box::new(starts.iter().map(|one| (one.at_us, Some(one.journey)))),
        };
        let mut arrivals = arrivals.skip(index).step_by(job.workers).peekable();
        let last_us = plan.us() + job.grace_us;
        let (mut meter, mut sweep_us) = (Meter::new(), 0);
        loop {
            let now = self.now_us();
            // Stopped: nobody new, and those who are there finish what is under way.
            let stopped = shared.stop.load(Ordering::Relaxed) || self.target.unacknowledged() > 0;
            while let Some((at, journey)) = arrivals.next_if(|(at, _)| *at <= now && !stopped) {
                self.arrive(at, journey, now);
            }
            self.wake_thinkers(now, stopped);
            if now >= sweep_us {
                self.sweep(now);
                meter.sample(now, &mut self.core.borrow_mut().measured);
                self.publish(shared, (now / 1_000_000) as usize);
                sweep_us = now + SWEEP_US;
            }
            let (quiet, timed) = self.state(stopped);
            let over = arrivals.peek().is_none() || stopped;
            if (over && quiet) || now > last_us {
                break;
            }
            let arrival = arrivals.peek().filter(|_| !stopped);
            let due = arrival
                .map_or(u64::MAX, |(at, _)| *at)
                .min(timed)
                .min(sweep_us);
            match due.saturating_sub(self.now_us()) {
                us if us <= SPIN_US => tokio::task::yield_now().await,
                us => timer.sleep_us(us.min(SLEEP_US_MAX)).await?,
            }
        }
        let mut core = self.core.borrow_mut();
        meter.sample(self.now_us(), &mut core.measured);
        core.measured.wall_us = self.now_us();
        drop(core);
        self.publish(shared, usize::MAX);
        Ok(())
    }

    /// Whether nobody is left to wait for, and when the next pause is over.
    fn state(&self, stopped: bool) -> (bool, u64) {
        let core = self.core.borrow();
        let mut slots = core.slots.iter();
        let quiet = match stopped {
            true => slots.all(|(_, slot)| slot.busy.get().is_none()),
            false => core.buyers.is_empty(),
        };
        let timed = core.timers.peek();
        (quiet, timed.map_or(u64::MAX, |Reverse((due, _))| *due))
    }

    fn arrive(self: &Rc<Self>, at: u64, journey: Option<u32>, now: u64) {
        let mut guard = self.core.borrow_mut();
        let core = &mut *guard;
        core.measured.planned += 1;
        core.measured.second(at).arrived += 1;
        let journey = journey.unwrap_or_else(|| {
            let turn = core.rng.unit() * core.weights.last().copied().unwrap_or(0.0);
            let journey = core.weights.partition_point(|sum| *sum <= turn);
            journey.min(core.weights.len().saturating_sub(1)) as u32
        });
        core.measured.own_late += u64::from(now.saturating_sub(at) > LATE_US);
        let seed = core.rng.draw();
        let mut buyer = Buyer::new(journey, self.script.variables, seed);
        buyer.planned_us = at;
        let place = core.buyers.insert(buyer) as u32;
        core.measured.buyers_max = core.measured.buyers_max.max(core.buyers.len() as u64);
        let next = self.next(core, place, at, now);
        drop(guard);
        if let Some(buyer) = next {
            self.dispatch(buyer);
        }
    }

    fn wake_thinkers(self: &Rc<Self>, now: u64, stopped: bool) {
        loop {
            let mut guard = self.core.borrow_mut();
            let core = &mut *guard;
            let due = core.timers.peek().map(|Reverse((due, _))| *due);
            let Some(due) = due.filter(|due| *due <= now && !stopped) else {
                return;
            };
            let Some(Reverse((_, buyer))) = core.timers.pop() else {
                return;
            };
            let next = self.next(core, buyer, due, now);
            drop(guard);
            if let Some(buyer) = next {
                self.dispatch(buyer);
            }
        }
    }

    /// Goes on with a buyer; `Some` if there is a request to send. `due`: the instant from which
    /// it counts.
    fn next(&self, core: &mut Core, place: u32, mut due: u64, now: u64) -> Option<u32> {
        let buyer = core.buyers.get_mut(place as usize)?;
        loop {
            match buyer.advance(&self.script, &mut core.fed) {
                Next::Request => {
                    buyer.planned_us = due;
                    return Some(place);
                }
                Next::At { us } => {
                    core.measured.planned += 1;
                    core.measured.second(us).arrived += 1;
                    if us > now {
                        buyer.arrival = true;
                        core.timers.push(Reverse((us, place)));
                        return None;
                    }
                    // Who waits longer for an answer than people once did is late by the answer.
                    core.measured.arrived += 1;
                    due = us;
                    continue;
                }
                Next::Think { us } => {
                    core.timers.push(Reverse((now.max(due) + us, place)));
                    return None;
                }
                Next::Leave => core.measured.journeys += 1,
                Next::Unfed => core.measured.unfed += 1,
                Next::Stuck => tracing::warn!("a loop without a request was left"),
            }
            break;
        }
        core.buyers.remove(place as usize);
        None
    }

    /// Puts a buyer's request on a connection.
    pub fn dispatch(self: &Rc<Self>, buyer: u32) {
        let mut core = self.core.borrow_mut();
        if let Some(place) = core.idle.pop() {
            core.slots[place].give(buyer);
            return;
        }
        let Some(room) = self.room(&mut core) else {
            core.waiting.push_back(buyer);
            return;
        };
        let timeout = self.spec(&core, buyer).timeout_us;
        let slot = Rc::new(Slot::new(buyer, self.now_us() + timeout));
        slot.place.set(core.slots.insert(Rc::clone(&slot)));
        let open = core.open() as u64;
        core.measured.connections_max = core.measured.connections_max.max(open);
        drop(core);
        let link = match room {
            Room::Connection => None,
            Room::On(link) => Some(link),
        };
        tokio::task::spawn_local(connection(Rc::clone(self), slot, link));
    }

    /// Where one more request at once finds a place.
    fn room(self: &Rc<Self>, core: &mut Core) -> Option<Room> {
        let more = core.open() < core.connections_max;
        if self.target.http2.is_none() {
            return more.then_some(Room::Connection);
        }
        let newest = core.links.iter().rev().take(HTTP2_CONNECTIONS_ASKED_MAX);
        let found = newest.filter(|link| link.has_room()).map(Rc::clone).next();
        let link = found.or_else(|| {
            let single = !self.keeps_connections();
            let open = || Link::open(self, self.job.streams, single);
            let link = more.then(open)?;
            core.links.push(Rc::clone(&link));
            Some(link)
        })?;
        link.enter();
        Some(Room::On(link))
    }

    /// A connection of HTTP/2 is gone.
    pub fn unlink(&self, link: &Rc<Link>) {
        let mut core = self.core.borrow_mut();
        core.links.retain(|other| !Rc::ptr_eq(other, link));
    }

    /// Why a buyer's request ends as it does.
    pub fn because(&self, place: u32, reason: &str) {
        let mut core = self.core.borrow_mut();
        let row = self.row(&core, place);
        let reasons = &mut core.measured.named[row].reasons;
        *reasons.entry(reason.to_owned()).or_default() += 1;
    }

    /// Where the request under way is counted.
    fn row(&self, core: &Core, place: u32) -> usize {
        let buyer = &core.buyers[place as usize];
        let figures = self.script.requests[buyer.request as usize].figures;
        let after = buyer.way.as_ref().is_some_and(|way| way.hops > 0);
        let after = after.then(|| self.redirected.get(&figures)).flatten();
        after.copied().unwrap_or(figures) as usize
    }

    fn spec(&self, core: &Core, buyer: u32) -> &RequestSpec {
        let request = core.buyers[buyer as usize].request;
        &self.script.requests[request as usize]
    }

    pub fn keeps_connections(&self) -> bool {
        self.job.connections == Connections::Kept
    }

    pub fn connected(&self) {
        self.core.borrow_mut().measured.connected += 1;
    }

    /// Writes a buyer's request and sets the time for its answer.
    pub fn compose(&self, place: u32, slot: &Slot, out: &mut Vec<u8>) -> Composed {
        let mut guard = self.core.borrow_mut();
        let core = &mut *guard;
        let (spec, buyer) = self.set_out(&mut core.buyers, place, slot);
        let closes = !self.keeps_connections();
        request::http1(spec, &self.target, buyer, closes, &mut core.scratch, out);
        Composed::of(spec)
    }

    /// The same for a stream of HTTP/2: head and body.
    pub fn compose_http2(&self, place: u32, slot: &Slot) -> (Request<()>, Bytes, Composed) {
        let mut guard = self.core.borrow_mut();
        let core = &mut *guard;
        let (spec, buyer) = self.set_out(&mut core.buyers, place, slot);
        let (head, body) = request::http2(spec, &self.target, buyer, &mut core.scratch);
        (head, body, Composed::of(spec))
    }

    fn set_out<'a>(
        &'a self,
        buyers: &'a mut Slab<Buyer>,
        place: u32,
        slot: &Slot,
    ) -> (&'a RequestSpec, &'a mut Buyer) {
        let buyer = &mut buyers[place as usize];
        let spec = &self.script.requests[buyer.request as usize];
        slot.deadline_us.set(self.now_us() + spec.timeout_us);
        if self.script.follows(buyer.request) > 0 {
            request::set_out(spec, buyer);
        }
        (spec, buyer)
    }

    /// The request is on its way, whole.
    pub fn sent(&self, place: u32) {
        let now = self.now_us();
        let mut core = self.core.borrow_mut();
        let buyer = &mut core.buyers[place as usize];
        let arrival = std::mem::take(&mut buyer.arrival);
        let lag = now.saturating_sub(buyer.planned_us);
        buyer.sent_us = now;
        let row = self.row(&core, place);
        let measured = &mut core.measured;
        measured.named[row].sent += 1;
        measured.second(now).sent += 1;
        if arrival {
            measured.arrived += 1;
            measured.late += u64::from(lag > LATE_US);
            measured.lag.record(lag);
        }
    }

    /// An answer is there; says whose request the connection carries next.
    pub fn answered(
        self: &Rc<Self>,
        place: u32,
        got: Got,
        head: &[u8],
        body: &[u8],
    ) -> Option<u32> {
        let now = self.now_us();
        let mut guard = self.core.borrow_mut();
        let core = &mut *guard;
        let row = self.row(core, place);
        let buyer = &mut core.buyers[place as usize];
        let spec = &self.script.requests[buyer.request as usize];
        let status = got.status;
        let answer = Answer { status, head, body };
        self.target.hear(&answer);
        let most = self.script.follows(buyer.request);
        let led = match &mut buyer.way {
            None => Led::Here,
            Some(way) => way.led(&answer, &spec.method, most, &self.target),
        };
        let measured = &mut core.measured;
        let end = match led {
            Led::On => {
                keep_cookies(&answer, buyer);
                End::Good
            }
            Led::Here => {
                let checks = &mut measured.named[spec.figures as usize].checks;
                judge(spec, &answer, buyer, checks)
            }
            Led::Astray(_) => End::Status,
        };
        let latency = now.saturating_sub(buyer.planned_us);
        let named = &mut measured.named[row];
        if let Led::Astray(reason) = led {
            *named.reasons.entry(reason.to_owned()).or_default() += 1;
        }
        named.bytes += got.bytes;
        named.ends[end as usize] += 1;
        match end {
            End::Good => {
                named.latency.record(latency);
                named.service.record(now.saturating_sub(buyer.sent_us));
            }
            End::Refused => named.refusals.record(latency),
            _ => *named.statuses.entry(got.status.as_u16()).or_default() += 1,
        }
        let second = core.measured.second(now);
        second.ends[end as usize] += 1;
        if end == End::Good {
            second.latency.record(latency);
        }
        // Who was refused or failed goes on as the journey says: it can look at what it extracted.
        let next = match led {
            Led::On => Some(place),
            Led::Here | Led::Astray(_) => {
                core.buyers[place as usize].way = None;
                self.next(core, place, now, now)
            }
        };
        match core.waiting.pop_front() {
            None => next,
            Some(first) => {
                core.waiting.extend(next);
                Some(first)
            }
        }
    }

    /// A connection without work.
    pub fn idle(&self, slot: &Slot) {
        self.core.borrow_mut().idle.push(slot.place.get());
    }

    /// A connection is gone; whoever was on it has no answer.
    pub fn closed(self: &Rc<Self>, slot: &Slot, end: End) {
        let mut core = self.core.borrow_mut();
        let place = slot.place.get();
        core.slots.remove(place);
        core.idle.retain(|idle| *idle != place);
        if end == End::Ours {
            // What is open now is all there will be.
            core.connections_max = core.open().max(1);
        }
        drop(core);
        if let Some(buyer) = slot.left_over() {
            let next = self.lose(buyer, end);
            if let Some(buyer) = next {
                self.dispatch(buyer);
            }
        }
        let mut core = self.core.borrow_mut();
        // Where there is no room after all it waits again, in its turn.
        let first = core.waiting.pop_front();
        let room = core.open() < core.connections_max || core.links.iter().any(|l| l.has_room());
        let first = match room {
            true => first,
            false => {
                first
                    .into_iter()
                    .for_each(|first| core.waiting.push_front(first));
                None
            }
        };
        drop(core);
        if let Some(first) = first {
            self.dispatch(first);
        }
    }

    /// A request without an answer ends its buyer's journey; a recording goes on, as people did.
    fn lose(&self, place: u32, end: End) -> Option<u32> {
        let now = self.now_us();
        let mut guard = self.core.borrow_mut();
        let core = &mut *guard;
        self.count_lost(core, place, end)?;
        if self.script.starts.is_some() {
            return self.next(core, place, now, now);
        }
        core.buyers.remove(place as usize);
        None
    }

    fn count_lost(&self, core: &mut Core, place: u32, end: End) -> Option<()> {
        core.buyers.get(place as usize)?;
        let row = self.row(core, place);
        core.buyers[place as usize].way = None;
        core.measured.named[row].ends[end as usize] += 1;
        core.measured.second(self.now_us()).ends[end as usize] += 1;
        Some(())
    }

    fn sweep(&self, now: u64) {
        let core = self.core.borrow();
        let slots = core.slots.iter().map(|(_, slot)| slot);
        for slot in slots.filter(|slot| slot.deadline_us.get() <= now) {
            slot.cut_off();
        }
        let (buyers, open) = (core.buyers.len() as u64, core.open() as u64);
        drop(core);
        let mut core = self.core.borrow_mut();
        let second = core.measured.second(now);
        (second.buyers, second.connections) = (buyers, open);
    }

    /// Shows the seconds before this one.
    fn publish(&self, shared: &crate::run::Shared, whole: usize) {
        let mut core = self.core.borrow_mut();
        let mut seconds = shared.seconds.lock().unwrap_or_else(|bad| bad.into_inner());
        for at in seconds.len()..whole.min(core.measured.seconds.len()) {
            // Answers are counted in the second in which they come: it has seen its last.
            core.measured.seconds[at].latency.pack();
            seconds.push(core.measured.seconds[at].clone());
        }
    }

    /// Whatever is under way when the run ends was never answered in time.
    fn leave(&self) {
        let mut guard = self.core.borrow_mut();
        let core = &mut *guard;
        let slots = core.slots.iter();
        let busy: Vec<u32> = slots.filter_map(|(_, slot)| slot.busy.get()).collect();
        let waiting = std::mem::take(&mut core.waiting);
        let busy = busy.into_iter().map(|buyer| (buyer, End::TimedOut));
        let waiting = waiting.into_iter().map(|buyer| (buyer, End::Ours));
        for (buyer, end) in busy.chain(waiting) {
            self.count_lost(core, buyer, end);
            core.buyers.try_remove(buyer as usize);
        }
    }
}

/// How long after the end of the plan answers may still come.
pub(crate) fn grace(script: &Script) -> Duration {
    let timeouts = script.requests.iter().map(|request| request.timeout_us);
    Duration::from_micros(timeouts.max().unwrap_or(0)) + Duration::from_secs(1)
}
