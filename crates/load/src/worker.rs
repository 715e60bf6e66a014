//! One worker: a thread with its own runtime, its share of the arrivals, its buyers, connections
//! and measurements. Workers share nothing but the switch that stops them.

use crate::answer::{Answer, judge};
use crate::arrivals::Plan;
use crate::buyer::{Buyer, Fed, Next};
use crate::client::{Slot, connection};
use crate::http1::Got;
use crate::limits::{LATE_US, SLEEP_US_MAX, SPIN_US, SWEEP_US};
use crate::measure::{End, Measured, Named};
use crate::pace::Timer;
use crate::rng::Rng;
use crate::run::{Connections, Job, Target};
use crate::script::{RequestSpec, Script};
use slab::Slab;
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{self, Write};
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
}

struct Core {
    buyers: Slab<Buyer>,
    /// When whose pause is over.
    timers: BinaryHeap<Reverse<(u64, u32)>>,
    slots: Slab<Rc<Slot>>,
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

/// What a connection has to know about the request that it sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Composed {
    pub reads_body: bool,
    pub is_head: bool,
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
        let named = script.requests.iter().map(|request| {
            let checks = request.checks.iter().map(|check| check.name.clone());
            Named::new(&request.name, checks)
        });
        let core = Core {
            buyers: Slab::new(),
            timers: BinaryHeap::new(),
            slots: Slab::new(),
            idle: Vec::new(),
            waiting: VecDeque::new(),
            connections_max: (job.connections_max / job.workers).max(1),
            measured: Measured::new(named.collect()),
            fed: Fed::new(script.feeders.len(), index, job.workers),
            rng: Rng::new(job.seed ^ (index as u64) << 32),
            weights: weights.collect(),
            scratch: String::new(),
        };
        Worker {
            target: Arc::clone(&job.target),
            core: RefCell::new(core),
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
        let mut arrivals = plan.instants().skip(index).step_by(job.workers).peekable();
        let last_us = plan.us() + job.grace_us;
        let (mut meter, mut sweep_us) = (Meter::new(), 0);
        loop {
            let now = self.now_us();
            // Stopped: nobody new, and those who are there finish what is under way.
            let stopped = shared.stop.load(Ordering::Relaxed);
            while let Some(at) = arrivals.next_if(|at| *at <= now && !stopped) {
                self.arrive(at, now);
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
            let arrival = arrivals.peek().filter(|_| !stopped).copied();
            let due = arrival.unwrap_or(u64::MAX).min(timed).min(sweep_us);
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

    fn arrive(self: &Rc<Self>, at: u64, now: u64) {
        let mut guard = self.core.borrow_mut();
        let core = &mut *guard;
        core.measured.planned += 1;
        core.measured.second(at).arrived += 1;
        let turn = core.rng.unit() * core.weights.last().copied().unwrap_or(0.0);
        let journey = core.weights.partition_point(|sum| *sum <= turn);
        let journey = journey.min(core.weights.len().saturating_sub(1));
        core.measured.own_late += u64::from(now.saturating_sub(at) > LATE_US);
        let seed = core.rng.draw();
        let mut buyer = Buyer::new(journey as u32, self.script.variables, seed);
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
    fn next(&self, core: &mut Core, place: u32, due: u64, now: u64) -> Option<u32> {
        let buyer = core.buyers.get_mut(place as usize)?;
        match buyer.advance(&self.script, &mut core.fed) {
            Next::Request => {
                buyer.planned_us = due;
                return Some(place);
            }
            Next::Think { us } => {
                core.timers.push(Reverse((now.max(due) + us, place)));
                return None;
            }
            Next::Leave => core.measured.journeys += 1,
            Next::Unfed => core.measured.unfed += 1,
            Next::Stuck => tracing::warn!("a loop without a request was left"),
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
        if core.slots.len() >= core.connections_max {
            core.waiting.push_back(buyer);
            return;
        }
        let timeout = self.spec(&core, buyer).timeout_us;
        let slot = Rc::new(Slot::new(buyer, self.now_us() + timeout));
        slot.place.set(core.slots.insert(Rc::clone(&slot)));
        let open = core.slots.len() as u64;
        core.measured.connections_max = core.measured.connections_max.max(open);
        drop(core);
        tokio::task::spawn_local(connection(Rc::clone(self), slot));
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
        let buyer = &mut core.buyers[place as usize];
        let spec = &self.script.requests[buyer.request as usize];
        slot.deadline_us.set(self.now_us() + spec.timeout_us);
        let closes = !self.keeps_connections();
        write_request(spec, &self.target, buyer, closes, &mut core.scratch, out);
        Composed {
            reads_body: spec.reads_body(),
            is_head: spec.method == hyper::Method::HEAD,
        }
    }

    /// The request is on its way, whole.
    pub fn sent(&self, place: u32) {
        let now = self.now_us();
        let mut core = self.core.borrow_mut();
        let buyer = &mut core.buyers[place as usize];
        let (request, arrival) = (buyer.request as usize, std::mem::take(&mut buyer.arrival));
        let lag = now.saturating_sub(buyer.planned_us);
        buyer.sent_us = now;
        let measured = &mut core.measured;
        measured.named[request].sent += 1;
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
        let buyer = &mut core.buyers[place as usize];
        let spec = &self.script.requests[buyer.request as usize];
        let named = &mut core.measured.named[buyer.request as usize];
        let answer = Answer {
            status: got.status,
            head,
            body,
        };
        let end = judge(spec, &answer, buyer, &mut named.checks);
        let latency = now.saturating_sub(buyer.planned_us);
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
        let next = self.next(core, place, now, now);
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
            core.connections_max = core.slots.len().max(1);
        }
        drop(core);
        if let Some(buyer) = slot.left_over() {
            self.lose(buyer, end);
        }
        let mut core = self.core.borrow_mut();
        let room = core.slots.len() < core.connections_max;
        let first = room.then(|| core.waiting.pop_front()).flatten();
        drop(core);
        if let Some(first) = first {
            self.dispatch(first);
        }
    }

    /// A request without an answer ends its buyer's journey.
    fn lose(&self, place: u32, end: End) {
        let now = self.now_us();
        let mut core = self.core.borrow_mut();
        let Some(buyer) = core.buyers.try_remove(place as usize) else {
            return;
        };
        let measured = &mut core.measured;
        measured.named[buyer.request as usize].ends[end as usize] += 1;
        measured.second(now).ends[end as usize] += 1;
    }

    fn sweep(&self, now: u64) {
        let core = self.core.borrow();
        let slots = core.slots.iter().map(|(_, slot)| slot);
        for slot in slots.filter(|slot| slot.deadline_us.get() <= now) {
            slot.cut_off();
        }
        let (buyers, open) = (core.buyers.len() as u64, core.slots.len() as u64);
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
        let core = self.core.borrow();
        let slots = core.slots.iter();
        let busy: Vec<u32> = slots.filter_map(|(_, slot)| slot.busy.get()).collect();
        drop(core);
        for buyer in busy {
            self.lose(buyer, End::TimedOut);
        }
        let waiting = std::mem::take(&mut self.core.borrow_mut().waiting);
        for buyer in waiting {
            self.lose(buyer, End::Ours);
        }
    }
}

fn write_request(
    spec: &RequestSpec,
    target: &Target,
    buyer: &mut Buyer,
    closes: bool,
    scratch: &mut String,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(spec.method.as_str().as_bytes());
    out.push(b' ');
    match spec.path.constant() {
        Some(path) => path_bytes(path, out),
        None => {
            scratch.clear();
            spec.path.render(buyer, scratch);
            path_bytes(scratch, out);
        }
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    out.extend_from_slice(&target.host_line);
    for (name, value) in &spec.headers {
        scratch.clear();
        value.render(buyer, scratch);
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        // A line end in a value would be another header.
        out.extend(
            scratch
                .bytes()
                .filter(|byte| *byte >= b' ' && *byte != 0x7f),
        );
        out.extend_from_slice(b"\r\n");
    }
    if !buyer.cookies.is_empty() {
        out.extend_from_slice(b"cookie: ");
        for (place, cookie) in buyer.cookies.iter().enumerate() {
            out.extend_from_slice(if place == 0 { b"" } else { b"; " });
            out.extend_from_slice(cookie.name.as_bytes());
            out.push(b'=');
            out.extend_from_slice(cookie.value.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
    if closes {
        out.extend_from_slice(b"connection: close\r\n");
    }
    match &spec.body {
        None => out.extend_from_slice(b"\r\n"),
        Some(body) => {
            scratch.clear();
            body.render(buyer, scratch);
            // Writing to a vector cannot fail.
            let _ = write!(out, "content-length: {}\r\n\r\n", scratch.len());
            out.extend_from_slice(scratch.as_bytes());
        }
    }
}

/// A target of a request has no blanks, no controls and no bytes beyond ASCII.
fn path_bytes(path: &str, out: &mut Vec<u8>) {
    for byte in path.bytes() {
        match byte {
            b'!'..=b'~' => out.push(byte),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

/// The processor time of this thread, as the kernel counts it.
struct Meter {
    first: Option<(u64, u64)>,
    second: (u64, u64),
}

impl Meter {
    fn new() -> Meter {
        let first = Meter::read();
        Meter {
            first,
            second: (0, first.map_or(0, |(cpu, _)| cpu)),
        }
    }
    /// Time on a processor and time waiting for one; `None` where the kernel does not say.
    fn read() -> Option<(u64, u64)> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    }
    fn sample(&mut self, now_us: u64, measured: &mut Measured) {
        let (since_us, since_cpu) = self.second;
        if now_us < since_us + 1_000_000 && measured.wall_us == 0 && since_us > 0 {
            return;
        }
        let (Some(first), Some((cpu, starved))) = (self.first, Meter::read()) else {
            return;
        };
        measured.cpu_ns = cpu - first.0;
        measured.starved_ns = starved - first.1;
        if now_us >= since_us + 1_000_000 {
            let span_ns = (now_us - since_us) as f64 * 1e3;
            measured.busiest = measured.busiest.max((cpu - since_cpu) as f64 / span_ns);
            self.second = (now_us, cpu);
        }
    }
}

/// How long after the end of the plan answers may still come.
pub(crate) fn grace(script: &Script) -> Duration {
    let timeouts = script.requests.iter().map(|request| request.timeout_us);
    Duration::from_micros(timeouts.max().unwrap_or(0)) + Duration::from_secs(1)
}
