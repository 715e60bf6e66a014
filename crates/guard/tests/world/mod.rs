//! A world around the door under a virtual clock: open-loop arrivals of several classes and buyers,
//! the real overload control and breaker, and an upstream of workers with one queue that slows,
//! fails, hangs and recovers as planned. One seed, one trace. It judges nothing.

use guard::{
    Admission, Breaker, BreakerConfig, BreakerTicket, Class, Ended, Machine, Nanos, Overload,
    OverloadConfig, OverloadPermit, Value,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::num::NonZeroU64;

pub const SECOND: u64 = 1_000_000_000;
pub const MS: u64 = 1_000_000;

/// SplitMix64.
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
    /// In (0, 1].
    pub fn share(&mut self) -> f64 {
        ((self.roll() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.share().ln()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    Normal,
    /// Each request takes this many times as long.
    Slow(f64),
    /// Answers 500 after a millisecond.
    Failing,
    /// Takes requests and does nothing until the mode ends.
    Hanging,
    /// This many workers are left.
    Workers(usize),
}

#[derive(Clone, Copy, Debug)]
pub enum Service {
    Fixed,
    /// Within this share of the mean to both sides.
    Even(f64),
    Exponential,
}

/// Arrivals of one kind, Poisson.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    pub class: Class,
    pub per_second: f64,
    /// Buyers are drawn evenly from this many.
    pub buyers: u64,
    /// Seconds in which it sends.
    pub from: u64,
    pub until: u64,
    /// Service time, in times the plan's.
    pub work: f64,
}

#[derive(Clone)]
pub struct Plan {
    pub seed: u64,
    pub seconds: u64,
    pub workers: usize,
    pub service_ns: f64,
    pub service: Service,
    pub timeout_ns: u64,
    pub config: OverloadConfig,
    pub breaker: Option<BreakerConfig>,
    pub sources: Vec<Source>,
    /// From second, until second.
    pub faults: Vec<(u64, u64, Mode)>,
    pub cpu: Cpu,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cpu {
    /// Nobody reads it.
    Unread,
    /// Each request that is worked on takes this share; what would need more than all takes longer.
    Each(f64),
    /// Somebody else takes all that is left, and hurts nobody.
    Full,
}

/// One request that got through the door.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record {
    pub source: usize,
    pub admitted_at: u64,
    pub latency: u64,
    pub ended: Ended,
}

#[derive(Clone, Default)]
pub struct Trace {
    pub records: Vec<Record>,
    /// Per source: offered, admitted by the door, stopped by the breaker.
    pub offered: Vec<u64>,
    pub admitted: Vec<u64>,
    pub broken: u64,
    /// Every 50 ms: when, the limit by latency, the limit in force.
    pub limits: Vec<(u64, f64, u32)>,
    pub in_flight_max: u32,
    /// Shed per source and second.
    pub shed: Vec<Vec<u32>>,
    /// CPU readings: when, and the share used.
    pub cpu: Vec<(u64, f64)>,
    pub digest: u64,
    pub probes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive(usize),
    Served(u64),
    GiveUp(u64),
    Mode(usize, bool),
    Look,
}

struct Job {
    source: usize,
    at: u64,
    held: Option<(OverloadPermit, Option<BreakerTicket>)>,
    fails: bool,
}

pub struct World {
    plan: Plan,
    now: u64,
    serial: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    dice: Dice,
    door: Overload,
    breaker: Option<Breaker>,
    mode: Mode,
    busy: usize,
    queue: VecDeque<u64>,
    hanging: Vec<u64>,
    jobs: BTreeMap<u64, Job>,
    trace: Trace,
    /// Requests under way, added up at each look since the last reading of the CPU.
    seen_in_flight: u32,
}

pub fn run(plan: &Plan) -> Trace {
    let mut world = World {
        now: 0,
        serial: 0,
        events: BinaryHeap::new(),
        dice: Dice(plan.seed),
        door: Overload::new(plan.config),
        breaker: plan.breaker.map(|config| Breaker::new(config, plan.seed)),
        mode: Mode::Normal,
        busy: 0,
        queue: VecDeque::new(),
        hanging: Vec::new(),
        jobs: BTreeMap::new(),
        trace: Trace {
            offered: vec![0; plan.sources.len()],
            admitted: vec![0; plan.sources.len()],
            shed: vec![vec![0; plan.seconds as usize + 1]; plan.sources.len()],
            ..Trace::default()
        },
        plan: plan.clone(),
        seen_in_flight: 0,
    };
    world.go();
    world.trace
}

impl World {
    fn go(&mut self) {
        for source in 0..self.plan.sources.len() {
            let from = self.plan.sources[source].from * SECOND;
            self.next_arrival(source, from);
        }
        for (at, (from, until, _)) in self.plan.faults.clone().into_iter().enumerate() {
            self.at(from * SECOND, Event::Mode(at, true));
            self.at(until * SECOND, Event::Mode(at, false));
        }
        self.at(0, Event::Look);
        let end = self.plan.seconds * SECOND;
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            if at >= end {
                break;
            }
            self.now = at;
            match event {
                Event::Arrive(source) => self.arrive(source),
                Event::Served(job) => self.served(job),
                Event::GiveUp(job) => self.answer(job, Ended::TimedOut),
                Event::Mode(at, begins) => self.change(at, begins),
                Event::Look => self.look(),
            }
        }
        self.trace.probes = self.door.view().probes;
    }

    fn at(&mut self, when: u64, event: Event) {
        self.serial += 1;
        self.events.push(Reverse((when, self.serial, event)));
    }

    fn next_arrival(&mut self, source: usize, from: u64) {
        let Source {
            per_second, until, ..
        } = self.plan.sources[source];
        let when = from + self.dice.exponential(1e9 / per_second) as u64;
        if when < until.saturating_mul(SECOND) {
            self.at(when, Event::Arrive(source));
        }
    }

    fn arrive(&mut self, source: usize) {
        self.next_arrival(source, self.now);
        let Source { class, buyers, .. } = self.plan.sources[source];
        let buyer = ((source as u64 + 1) << 40) | (self.dice.roll() % buyers);
        let buyer = NonZeroU64::new(buyer.wrapping_mul(0x9e37_79b9_7f4a_7c15)).map(Value);
        self.trace.offered[source] += 1;
        let now = Nanos(self.now);
        // As the gateway does: ask both, then charge both.
        if self.breaker.as_ref().is_some_and(|b| b.look(now).is_err()) {
            self.trace.broken += 1;
            return;
        }
        let permit = match self.door.admit(now, class, buyer) {
            Admission::Admitted(permit) => permit,
            Admission::Shed { retry_after, .. } => {
                assert!(retry_after >= Nanos::from_secs(1));
                self.trace.shed[source][(self.now / SECOND) as usize] += 1;
                return;
            }
        };
        let ticket = self.breaker.as_mut().map(|breaker| {
            breaker
                .ask(now)
                .expect("it was asked before, at the same instant")
        });
        self.trace.admitted[source] += 1;
        let in_flight = self.door.view().in_flight;
        self.trace.in_flight_max = self.trace.in_flight_max.max(in_flight);
        self.serial += 1;
        let id = self.serial;
        let job = Job {
            source,
            at: self.now,
            held: Some((permit, ticket)),
            fails: false,
        };
        self.jobs.insert(id, job);
        self.at(self.now + self.plan.timeout_ns, Event::GiveUp(id));
        self.queue.push_back(id);
        self.work();
    }

    fn workers(&self) -> usize {
        match self.mode {
            Mode::Workers(left) => left,
            _ => self.plan.workers,
        }
    }

    fn work(&mut self) {
        while self.busy < self.workers() {
            let Some(id) = self.queue.pop_front() else {
                return;
            };
            self.busy += 1;
            self.begin(id);
        }
    }

    fn begin(&mut self, id: u64) {
        let Some(job) = self.jobs.get_mut(&id) else {
            panic!("a job is forgotten only when it was served");
        };
        let mean = self.plan.service_ns * self.plan.sources[job.source].work;
        let takes = match self.plan.service {
            Service::Fixed => mean,
            Service::Even(part) => mean * (1.0 - part + 2.0 * part * self.dice.share()),
            Service::Exponential => self.dice.exponential(mean),
        };
        job.fails = self.mode == Mode::Failing;
        let takes = match self.plan.cpu {
            Cpu::Each(share) => takes * (self.busy as f64 * share).max(1.0),
            Cpu::Unread | Cpu::Full => takes,
        };
        let takes = match self.mode {
            Mode::Normal | Mode::Workers(_) => takes,
            Mode::Slow(times) => takes * times,
            Mode::Failing => 1e6,
            Mode::Hanging => {
                self.hanging.push(id);
                return;
            }
        };
        self.at(self.now + takes as u64, Event::Served(id));
    }

    fn served(&mut self, id: u64) {
        self.busy -= 1;
        let fails = self.jobs.get(&id).is_some_and(|job| job.fails);
        self.answer(id, if fails { Ended::Failed } else { Ended::Ok });
        self.jobs.remove(&id);
        self.work();
    }

    /// The door has its answer, or gives up; the work may go on.
    fn answer(&mut self, id: u64, ended: Ended) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some((permit, ticket)) = job.held.take() else {
            return;
        };
        let latency = self.now - job.at;
        let record = Record {
            source: job.source,
            admitted_at: job.at,
            latency,
            ended,
        };
        self.trace.digest = (self.trace.digest ^ latency ^ (job.at << 1)).rotate_left(7);
        self.trace.digest = self.trace.digest.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.trace.records.push(record);
        let now = Nanos(self.now);
        if let (Some(breaker), Some(ticket)) = (&mut self.breaker, ticket) {
            breaker.done(now, ticket, Nanos(latency), ended);
            while breaker.take_event().is_some() {}
        }
        self.door.done(now, permit, Nanos(latency), ended);
    }

    fn change(&mut self, at: usize, begins: bool) {
        self.mode = if begins {
            self.plan.faults[at].2
        } else {
            Mode::Normal
        };
        if self.mode != Mode::Hanging {
            for id in std::mem::take(&mut self.hanging) {
                self.begin(id);
            }
        }
        self.work();
    }

    fn look(&mut self) {
        let view = self.door.view();
        self.seen_in_flight += view.in_flight;
        let limits = (self.now, view.limit_by_latency, view.limit);
        self.trace.limits.push(limits);
        if self.plan.cpu != Cpu::Unread && self.now.is_multiple_of(500 * MS) {
            // A meter shows the mean since the last reading.
            let mean = f64::from(std::mem::take(&mut self.seen_in_flight)) / 10.0;
            let used = match self.plan.cpu {
                Cpu::Each(share) => (mean * share).min(1.0),
                Cpu::Unread | Cpu::Full => 1.0,
            };
            self.trace.cpu.push((self.now, used));
            let machine = Machine {
                cpu_share: used,
                queue: Nanos(0),
            };
            self.door.machine(Nanos(self.now), machine);
        }
        self.at(self.now + 50 * MS, Event::Look);
    }
}

impl Trace {
    pub fn ok_between(&self, from: u64, until: u64) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |record| {
            let at = record.admitted_at + record.latency;
            record.ended == Ended::Ok && at >= from * SECOND && at < until * SECOND
        })
    }

    /// Answered a second.
    pub fn goodput(&self, from: u64, until: u64) -> f64 {
        self.ok_between(from, until).count() as f64 / (until - from) as f64
    }
}

pub fn quantile(mut latencies: Vec<u64>, share: f64) -> u64 {
    assert!(!latencies.is_empty(), "no latency to judge");
    latencies.sort_unstable();
    let rank = (latencies.len() as f64 * share).ceil() as usize;
    latencies[rank.clamp(1, latencies.len()) - 1]
}
