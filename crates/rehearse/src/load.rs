//! The generator: one thread, one event loop, all arrivals at their planned instants.
//!
//! Open loop only. Whatever the shop does, the next arrival leaves when the plan says; if it
//! can't, that is counted as the generator's own failure. A plain loop over `mio` needs no task
//! and no wake-up a request, which leaves the processor to the shop. What an answer leads to is
//! decided in `follow`; this file knows connections and time.

use crate::client::{Broken, Connection, Progress};
use crate::follow::Purchase;
use crate::limits;
use crate::measure::{Measured, Shared};
use crate::meter::Meter;
use crate::plan::{Plan, What};
use crate::receipts::Receipts;
use crate::task::{Ask, Task};
use crate::token::Issuer;
use ::load::rng::Rng;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the requests go.
#[derive(Clone, Debug)]
pub struct Target {
    pub shop: SocketAddr,
    /// Returns are an operator's work.
    pub admin: SocketAddr,
    pub operator_token: String,
    pub issuer: Issuer,
}

/// A buyer, as far as the generator follows them.
#[derive(Debug, Default)]
pub(crate) struct Buyer {
    pub(crate) session: Session,
    /// Orders that wait for the session.
    pub(crate) waiting: Vec<Task>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Session {
    #[default]
    None,
    Asked,
    Token(String),
}

#[derive(Debug)]
struct Slot {
    connection: Connection,
    task: Option<Task>,
    admin: bool,
    /// The request has not been written whole.
    writing: bool,
    /// The first byte of the request is still to be counted as sent.
    uncounted: bool,
    deadline_us: u64,
    generation: u32,
}

pub struct Load {
    pub(crate) plan: Arc<Plan>,
    pub(crate) target: Target,
    pub(crate) shared: Arc<Shared>,
    pub(crate) measured: Measured,
    pub(crate) receipts: Receipts,
    pub(crate) buyers: Vec<Buyer>,
    pub(crate) purchases: Vec<Purchase>,
    pub(crate) rng: Rng,
    timers: BinaryHeap<Reverse<(u64, Task)>>,
    poll: Poll,
    slots: Vec<Option<Slot>>,
    vacant: Vec<usize>,
    /// The connection used last is taken first: few stay warm, the rest rests.
    idle: [Vec<(usize, u32)>; 2],
    waiting: VecDeque<Task>,
    next_arrival: usize,
    busy: usize,
    open: usize,
    generation: u32,
    scratch: Vec<u8>,
    start: Instant,
    start_wall_ms: u64,
    connections_max: usize,
}

/// What a run leaves behind.
#[derive(Debug)]
pub struct Outcome {
    pub measured: Measured,
    pub receipts: Receipts,
    pub purchases: Vec<Purchase>,
}

impl Load {
    /// `start` is the instant of the plan's zero; it may lie ahead.
    pub fn new(
        plan: Arc<Plan>,
        target: Target,
        shared: Arc<Shared>,
        run: &str,
        start: Instant,
    ) -> io::Result<Load> {
        let start_wall_ms = wall_ms_of(start);
        let buyers = plan.buyers as usize;
        let mut receipts = Receipts {
            run: run.to_owned(),
            ..Receipts::default()
        };
        receipts.buyers.resize(buyers, String::new());
        let mut load = Load {
            measured: Measured {
                planned: plan.arrivals.len() as u64,
                ..Measured::default()
            },
            purchases: vec![Purchase::default(); plan.baskets.len()],
            buyers: std::iter::repeat_with(Buyer::default)
                .take(buyers)
                .collect(),
            receipts,
            rng: Rng::new(start_wall_ms),
            timers: BinaryHeap::new(),
            poll: Poll::new()?,
            slots: Vec::new(),
            vacant: Vec::new(),
            idle: [Vec::new(), Vec::new()],
            waiting: VecDeque::new(),
            next_arrival: 0,
            busy: 0,
            open: 0,
            generation: 0,
            scratch: vec![0; 64 << 10],
            start,
            start_wall_ms,
            connections_max: limits::CONNECTIONS_MAX,
            plan,
            target,
            shared,
        };
        for (second, count) in load.plan.per_second().into_iter().enumerate() {
            load.measured.second(second as u64 * 1_000_000).planned = count;
        }
        Ok(load)
    }

    pub(crate) fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
    pub(crate) fn wall_ms(&self, us: u64) -> u64 {
        self.start_wall_ms + us / 1_000
    }

    /// Also keeps what thresholds are asked of.
    pub fn with_series(mut self) -> Load {
        self.measured.series = Some(Box::default());
        self
    }

    /// Runs the plan to its end and the answers to theirs.
    pub fn run(mut self) -> io::Result<Outcome> {
        let mut events = Events::with_capacity(1_024);
        if let Some(ahead) = self.start.checked_duration_since(Instant::now()) {
            std::thread::sleep(ahead);
        }
        let mut meter = Meter::new();
        let last_us = self.plan.end_us + limits::TAIL_MS_MAX * 1_000;
        let mut sweep_us = 0;
        loop {
            let now = self.now_us();
            self.start_due(now);
            if now >= sweep_us {
                self.sweep(now);
                meter.sample(now, &mut self.measured);
                self.publish();
                sweep_us = now + 100_000;
            }
            let done = self.next_arrival == self.plan.arrivals.len()
                && self.timers.is_empty()
                && self.waiting.is_empty()
                && self.busy == 0;
            if done || now > last_us || self.shared.stop.load(Ordering::Relaxed) {
                break;
            }
            // Never shorter than a millisecond: under load answers wake the loop anyway.
            let wait = self.next_due_us().saturating_sub(now).clamp(1_000, 50_000);
            match self
                .poll
                .poll(&mut events, Some(Duration::from_micros(wait)))
            {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => result?,
            }
            for event in &events {
                let gone = event.is_read_closed() || event.is_error();
                self.on_event(event.token().0, event.is_writable(), gone);
            }
        }
        meter.sample(self.now_us(), &mut self.measured);
        self.measured.wall_us = self.now_us();
        self.publish();
        self.leave_unanswered();
        Ok(Outcome {
            measured: self.measured,
            receipts: self.receipts,
            purchases: self.purchases,
        })
    }

    fn next_due_us(&self) -> u64 {
        let arrival = self
            .plan
            .arrivals
            .get(self.next_arrival)
            .map_or(u64::MAX, |a| a.at_us);
        let timer = self
            .timers
            .peek()
            .map_or(u64::MAX, |Reverse((due, _))| *due);
        arrival.min(timer)
    }

    fn start_due(&mut self, now: u64) {
        // Whoever waited for a connection goes before whoever comes now.
        while let Some(task) = self.waiting.front().copied() {
            if self.open >= self.most_open(task) && !self.has_idle(task) {
                break;
            }
            self.waiting.pop_front();
            self.send(task);
        }
        while let Some(arrival) = self.plan.arrivals.get(self.next_arrival).copied() {
            if arrival.at_us > now {
                break;
            }
            self.next_arrival += 1;
            let ask = match arrival.what {
                What::SignIn => Ask::SignIn(arrival.buyer),
                What::Hall => Ask::Hall,
                What::Page(product) => Ask::Page(product),
                What::Product(product) => Ask::Product(product),
                What::Order(basket) | What::Repeat(basket) => Ask::Order(basket),
                What::Return(plan) => Ask::Return(plan),
            };
            self.arrive(Task {
                arrival: true,
                ..Task::following(arrival.at_us, ask)
            });
        }
        while let Some(Reverse((due, _))) = self.timers.peek() {
            if *due > now {
                break;
            }
            if let Some(Reverse((_, task))) = self.timers.pop() {
                self.send(task);
            }
        }
    }

    pub(crate) fn later(&mut self, due_us: u64, task: Task) {
        self.timers.push(Reverse((due_us, task)));
    }

    fn has_idle(&self, task: Task) -> bool {
        !self.idle[usize::from(is_admin(task))].is_empty()
    }

    /// Puts a task on a connection, an idle one if there is one.
    pub(crate) fn send(&mut self, task: Task) {
        let admin = is_admin(task);
        while let Some((index, generation)) = self.idle[usize::from(admin)].pop() {
            let alive = self.slots[index]
                .as_ref()
                .is_some_and(|s| s.generation == generation);
            if alive {
                return self.write(index, task);
            }
        }
        if self.open >= self.most_open(task) {
            return self.wait(task);
        }
        match self.connect(admin) {
            Ok(index) => self.write(index, task),
            Err(error) if is_own_limit(&error) => {
                // No descriptor or port left: what is open now is all there will be.
                self.connections_max = self.open.max(1);
                self.wait(task);
            }
            Err(_) => {
                self.count_sent(task, true);
                self.on_broken(task, Broken::Refused);
            }
        }
    }

    fn most_open(&self, task: Task) -> usize {
        let holder = matches!(task.ask, Ask::Pay(_) | Ask::Cancel(_));
        let own_limit = self.connections_max < limits::CONNECTIONS_MAX;
        let more = if holder && !own_limit {
            limits::CONNECTIONS_OF_HOLDERS_MAX
        } else {
            0
        };
        self.connections_max + more
    }

    fn wait(&mut self, task: Task) {
        if self.waiting.len() < limits::WAITING_MAX {
            self.waiting.push_back(task);
        } else {
            self.measured.dropped += u64::from(task.arrival && task.attempt == 0);
            self.on_broken(task, Broken::TimedOut);
        }
    }

    fn connect(&mut self, admin: bool) -> io::Result<usize> {
        let address = if admin {
            self.target.admin
        } else {
            self.target.shop
        };
        let mut stream = TcpStream::connect(address)?;
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self
            .poll
            .registry()
            .register(&mut stream, Token(index), interest)
        {
            self.vacant.push(index);
            return Err(error);
        }
        self.generation = self.generation.wrapping_add(1);
        self.slots[index] = Some(Slot {
            connection: Connection::new(stream),
            task: None,
            admin,
            writing: false,
            uncounted: false,
            deadline_us: u64::MAX,
            generation: self.generation,
        });
        self.open += 1;
        self.measured.connections_max = self.measured.connections_max.max(self.open as u64);
        Ok(index)
    }

    fn write(&mut self, index: usize, task: Task) {
        let task = Task {
            sent_us: self.now_us(),
            ..task
        };
        // The slot is taken out so that the request can be composed from all of `self`.
        let Some(mut slot) = self.slots[index].take() else {
            return;
        };
        self.compose(task.ask, slot.connection.request());
        slot.task = Some(task);
        slot.writing = true;
        slot.uncounted = true;
        slot.deadline_us = task.sent_us + limits::ANSWER_MS_MAX * 1_000;
        self.slots[index] = Some(slot);
        self.busy += 1;
        self.flush(index);
    }

    fn flush(&mut self, index: usize) {
        let Some(slot) = self.slots[index].as_mut() else {
            return;
        };
        let Some(task) = slot.task else { return };
        match slot.connection.flush() {
            Ok(whole) => {
                slot.writing = !whole;
                if whole && slot.uncounted {
                    slot.uncounted = false;
                    self.count_sent(task, false);
                }
            }
            Err(broken) => {
                if std::mem::take(&mut slot.uncounted) {
                    self.count_sent(task, broken == Broken::Refused);
                }
                self.close(index);
                self.on_broken(task, broken);
            }
        }
    }

    fn count_sent(&mut self, task: Task, closed_door: bool) {
        let now = self.now_us();
        let measured = &mut self.measured;
        if !closed_door {
            measured.written += 1;
            measured.second(now).sent += 1;
            measured.left(task.ask.class(), now);
        }
        if task.attempt > 0 {
            measured.retried += 1;
            measured.second(now).retried += 1;
            return;
        }
        let lag = now.saturating_sub(task.planned_us);
        let in_kill = self.shared.in_kill(task.planned_us, now);
        measured.lag.record(lag, in_kill);
        if !task.arrival {
            measured.followed += 1;
        } else if closed_door {
            measured.closed_door += 1;
        } else if lag <= limits::LATE_MS_MAX * 1_000 {
            measured.in_time += 1;
        } else {
            measured.late += 1;
        }
    }

    fn on_event(&mut self, index: usize, writable: bool, gone: bool) {
        if writable
            && self
                .slots
                .get(index)
                .is_some_and(|s| s.as_ref().is_some_and(|s| s.writing))
        {
            self.flush(index);
        }
        let Some(slot) = self.slots.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        match slot.connection.read(&mut self.scratch) {
            Progress::Wait if gone => self.lose(index, Broken::Closed),
            Progress::Wait => {}
            Progress::Answered(answer) => {
                let keeps = slot.connection.keeps_alive() && !gone && !slot.writing;
                let (task, admin, generation) = (slot.task.take(), slot.admin, slot.generation);
                slot.deadline_us = u64::MAX;
                let Some(task) = task else {
                    // An answer that nobody asked for: the stream can't be trusted any more.
                    return self.close(index);
                };
                self.busy -= 1;
                if keeps {
                    self.idle[usize::from(admin)].push((index, generation));
                } else {
                    self.close(index);
                }
                self.on_answer(task, &answer);
            }
            Progress::Broken(broken) => self.lose(index, broken),
        }
    }

    /// The connection is of no use any more; what was on it has no answer.
    fn lose(&mut self, index: usize, broken: Broken) {
        let Some(slot) = self.slots[index].as_mut() else {
            return;
        };
        let (task, uncounted) = (slot.task, slot.uncounted);
        // A connection that never came to be is a closed door, not a lost answer.
        let broken = if uncounted && broken == Broken::Closed {
            Broken::Refused
        } else {
            broken
        };
        self.close(index);
        if let Some(task) = task {
            if uncounted {
                self.count_sent(task, true);
            }
            self.on_broken(task, broken);
        }
    }

    fn close(&mut self, index: usize) {
        if let Some(mut slot) = self.slots[index].take() {
            // Closing the socket takes it out of the poll as well; an error changes nothing.
            _ = self.poll.registry().deregister(slot.connection.stream());
            self.busy -= usize::from(slot.task.is_some());
            self.open -= 1;
            self.vacant.push(index);
        }
    }

    fn sweep(&mut self, now: u64) {
        for index in 0..self.slots.len() {
            if self.slots[index]
                .as_ref()
                .is_some_and(|slot| slot.deadline_us <= now)
            {
                self.lose(index, Broken::TimedOut);
            }
        }
    }

    fn publish(&self) {
        let Shared {
            planned,
            sent,
            answered,
            held,
            paid,
            errors,
            open,
            ..
        } = &*self.shared;
        planned.store(self.next_arrival as u64, Ordering::Relaxed);
        sent.store(self.measured.written, Ordering::Relaxed);
        answered.store(self.measured.answered, Ordering::Relaxed);
        open.store(self.open as u64, Ordering::Relaxed);
        let sum =
            |of: fn(&crate::measure::Second) -> u64| self.measured.seconds.iter().map(of).sum();
        held.store(sum(|second| second.held), Ordering::Relaxed);
        paid.store(sum(|second| second.paid), Ordering::Relaxed);
        errors.store(sum(|second| second.errors), Ordering::Relaxed);
    }

    /// Whatever is still on its way when the run ends was never answered.
    fn leave_unanswered(&mut self) {
        let busy: Vec<Task> = self
            .slots
            .iter()
            .flatten()
            .filter_map(|slot| slot.task)
            .collect();
        let waiting: Vec<Task> = self.waiting.drain(..).collect();
        let timers: Vec<Task> = self.timers.drain().map(|Reverse((_, task))| task).collect();
        let sessions: Vec<Task> = self
            .buyers
            .iter_mut()
            .flat_map(|buyer| std::mem::take(&mut buyer.waiting))
            .collect();
        let dropped = self.plan.arrivals.len() - self.next_arrival;
        self.measured.dropped += dropped as u64;
        for task in waiting
            .iter()
            .filter(|task| task.arrival && task.attempt == 0)
        {
            _ = task;
            self.measured.dropped += 1;
        }
        for task in busy
            .into_iter()
            .chain(waiting)
            .chain(timers)
            .chain(sessions)
        {
            self.give_up(task);
        }
    }
}

fn is_admin(task: Task) -> bool {
    matches!(task.ask, Ask::Return(_))
}

/// The machine gives this process no more sockets; says nothing about the shop.
fn is_own_limit(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let own = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::ADDRNOTAVAIL,
        Errno::NOBUFS,
    ];
    Errno::from_io_error(error).is_some_and(|error| own.contains(&error))
}

fn wall_ms_of(instant: Instant) -> u64 {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let ahead = instant.saturating_duration_since(Instant::now());
    let behind = Instant::now().saturating_duration_since(instant);
    let wall = (wall + ahead).saturating_sub(behind);
    u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)
}
