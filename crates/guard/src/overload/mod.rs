//! Overload control: how many requests may be under way behind the door, and whose. The limit
//! follows measured latency and CPU; classes are shed from the lowest up; a buyer with many
//! requests under way gives way to one with none.
//!
//! * **The limit** (`steer`): per window, `limit ← limit × expected / measured + √limit`, smoothed.
//!   The gradient form is TCP Vegas' (Brakmo, Peterson, 1995) as Netflix' concurrency-limits and
//!   Envoy's adaptive concurrency use it; by Little's law its fixed point is the work that the
//!   upstream does at once, and a queue of about its root.
//! * **What is expected** (`base`) is a mean per class, so that a change of mix looks neither like
//!   congestion nor like relief.
//! * **Probing** (`probe`): the known fault of those is the window in which they cut the limit to
//!   almost nothing to learn the unloaded latency. Here the limit steps down only as far as
//!   latency still falls with it, as a rule to four fifths of the work at once, for a few service
//!   times. What is measured there is believed in both directions, so a slow upstream does not
//!   make the limit collapse, and a stale optimum does not keep it there.
//! * **Idle**: a limit that was not used up is not evidence; it neither grows nor shrinks by it.
//! * **Good is good** (`sums`): a latency below five milliseconds is no queue, whatever was
//!   expected; a proxy that is merely busy sheds nobody.
//! * **The machine** (`steer`): a second limit is cut while requests wait for the door itself, and
//!   while the CPU is full and answers are slow; a full CPU alone says nothing. Between the marks
//!   nothing moves, below them it grows back.
//! * **Bodies that flow** hold a place like others, but only a part of all: while a client sends,
//!   nobody works. Their latency is the client's, and is not learned from.
//! * **Classes** (`shares`): trunk reservation by measured demand and its square root.
//!
//! Refused requests cost no work behind the door; CoDel-like queues and the client-side throttling
//! of Google's SRE book (chapter 21) act where a queue exists or at the client, so not here.
//! Floating-point is used for estimates only and is the same on every machine (IEEE 754 basic
//! operations and root). It must not know of routes, stock or what a request does.

mod base;
mod probe;
mod shares;
mod steer;
mod sums;

use crate::ended::Ended;
use crate::facts::{Class, Value};
use crate::index::Index;
use crate::limits::{
    OVERLOAD_CALM_SHARE, OVERLOAD_FLOWING_PERCENT, OVERLOAD_LIMIT_MAX, OVERLOAD_RETRY_SECONDS_MAX,
    OVERLOAD_SOFT_PERCENT,
};
use crate::time::Nanos;
use base::Bases;
use probe::{Probe, Schedule, Verdict};
use shares::Shares;
use steer::{MachineCap, Window};

pub use steer::Machine;

pub(crate) const CLASSES: usize = Class::ALL.len();

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverloadConfig {
    /// The limit never falls below this many requests; enough to notice recovery.
    pub limit_min: u32,
    pub limit_max: u32,
    /// Where it begins, before anything was measured.
    pub limit_start: u32,
}

impl Default for OverloadConfig {
    fn default() -> OverloadConfig {
        OverloadConfig {
            limit_min: 4,
            limit_max: 4_096,
            limit_start: 32,
        }
    }
}

/// Travels with an admitted request and comes back through [`Overload::done`], however it ended.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that does not come back keeps its place for ever"]
pub struct OverloadPermit {
    class: Class,
    buyer: Option<Value>,
    /// Let in while far from the limit: its latency is an unloaded one.
    calm: bool,
    /// Its body came after it.
    flowing: bool,
    /// The probe step that it measures; 0 for none.
    step: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShedWhy {
    /// The limit is used up.
    Full,
    /// What the class and those below it may use is used up; the rest is kept for higher ones.
    Class,
    /// This buyer has its share under way already.
    Buyer,
    /// As many requests with a body that still flows as there may be.
    Flowing,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    Admitted(OverloadPermit),
    Shed { retry_after: Nanos, why: ShedWhy },
}

/// What metrics and the console show.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OverloadView {
    /// Requests that may be under way now: the least of what latency, machine and a probe allow.
    pub limit: u32,
    pub limit_by_latency: f64,
    pub limit_by_machine: f64,
    pub in_flight: u32,
    /// Of them, those whose body still flowed when they were let in.
    pub flowing: u32,
    pub buyers_in_flight: u32,
    /// Measured latency over the expected one, in the last window that could be judged.
    pub inflation: f64,
    /// Expected latency per class, in the order of [`Class::ALL`]; 0 is unknown.
    pub expected_ns: [f64; CLASSES],
    /// Admitted of offered requests lately, 0 to 1: the factor for rules whose figures are stale.
    pub admitted_share: f64,
    pub admitted: [u64; CLASSES],
    pub shed_full: [u64; CLASSES],
    pub shed_class: [u64; CLASSES],
    pub shed_buyer: [u64; CLASSES],
    pub shed_flowing: [u64; CLASSES],
    /// Probes that came to an end.
    pub probes: u64,
}

#[derive(Clone, Debug)]
pub struct Overload {
    config: OverloadConfig,
    limit: f64,
    machine: MachineCap,
    flowing: u32,
    /// Per class: requests under way of it and of all lower ones.
    load: [u32; CLASSES],
    shares: Shares,
    buyers: Index<u32>,
    bases: Bases,
    window: Window,
    probe: Option<Probe>,
    schedule: Schedule,
    steps: u32,
    view: OverloadView,
    /// Counts the shed, to spread their return.
    shed: u32,
}

impl Overload {
    /// Values out of order are put in order: 1 ≤ min ≤ start ≤ max ≤ [`OVERLOAD_LIMIT_MAX`].
    #[must_use]
    pub fn new(config: OverloadConfig) -> Overload {
        let limit_max = config.limit_max.clamp(1, OVERLOAD_LIMIT_MAX);
        let limit_min = config.limit_min.clamp(1, limit_max);
        let limit_start = config.limit_start.clamp(limit_min, limit_max);
        let mut overload = Overload {
            config: OverloadConfig {
                limit_min,
                limit_max,
                limit_start,
            },
            limit: f64::from(limit_start),
            machine: MachineCap::new(limit_max),
            flowing: 0,
            load: [0; CLASSES],
            shares: Shares::default(),
            buyers: Index::new(limit_max as usize),
            bases: Bases::default(),
            window: Window::default(),
            probe: None,
            schedule: Schedule::default(),
            steps: 0,
            view: OverloadView {
                inflation: 1.0,
                admitted_share: 1.0,
                ..OverloadView::default()
            },
            shed: 0,
        };
        overload.share_out();
        overload
    }

    /// Lets a request through with a permit, or sheds it. Whoever has no buyer is not weighed
    /// against others: hand in the device or the address instead.
    pub fn admit(&mut self, now: Nanos, class: Class, buyer: Option<Value>) -> Admission {
        self.enter(now, class, buyer, false)
    }

    /// The same for a request whose body is not here yet and cannot be waited for. They have a part
    /// of the places between them, so that clients who send slowly do not keep others out.
    pub fn admit_flowing(&mut self, now: Nanos, class: Class, buyer: Option<Value>) -> Admission {
        self.enter(now, class, buyer, true)
    }

    fn enter(
        &mut self,
        now: Nanos,
        class: Class,
        buyer: Option<Value>,
        flowing: bool,
    ) -> Admission {
        self.roll(now);
        let at = class as usize;
        self.window.offered[at] += 1;
        let held = buyer.and_then(|buyer| self.buyers.get(buyer.0.get()));
        if let Some(why) = self.refusal(at, held.unwrap_or(0)) {
            return self.shed(at, why);
        }
        let flowing_max = self.shares.caps[at] * OVERLOAD_FLOWING_PERCENT / 100;
        if flowing && self.flowing >= flowing_max.max(1) {
            return self.shed(at, ShedWhy::Flowing);
        }
        self.flowing += u32::from(flowing);
        if let Some(buyer) = buyer {
            // A permit holds one entry at most, and there are at most `limit_max` permits.
            let stored = self.buyers.put(buyer.0.get(), held.unwrap_or(0) + 1);
            assert!(stored, "fewer buyers under way than requests");
        }
        for load in &mut self.load[..=at] {
            *load += 1;
        }
        let total = self.load[0];
        self.view.admitted[at] += 1;
        self.window.admitted += 1;
        self.window.peak = self.window.peak.max(total);
        let step = if flowing { 0 } else { self.tag(now) };
        let calm_max = (self.shares.caps[0] / OVERLOAD_CALM_SHARE).max(1);
        Admission::Admitted(OverloadPermit {
            class,
            buyer,
            calm: total <= calm_max && self.probe.is_none(),
            flowing,
            step,
        })
    }

    /// The request is over: `latency` from its admission to its answer's head, or to when it
    /// failed, was given up or dropped.
    pub fn done(&mut self, now: Nanos, permit: OverloadPermit, latency: Nanos, ended: Ended) {
        let at = permit.class as usize;
        for load in &mut self.load[..=at] {
            *load = load.saturating_sub(1);
        }
        if let Some(buyer) = permit.buyer {
            self.leave(buyer);
        }
        match permit.flowing {
            true => self.flowing = self.flowing.saturating_sub(1),
            false => self.measure(at, &permit, latency, ended),
        }
        if let Some(probe) = &mut self.probe {
            probe.settle(self.load[0], &mut self.steps);
            if probe.is_back(permit.step) {
                self.step_done(now);
            }
        }
        self.roll(now);
    }

    /// A reading of the machine. More often than every
    /// [`limits::OVERLOAD_READING_MS_MIN`](crate::limits::OVERLOAD_READING_MS_MIN)
    /// they are skipped.
    pub fn machine(&mut self, now: Nanos, machine: Machine) {
        let least = f64::from(self.config.limit_min);
        self.machine.read(now, machine, self.limit, least);
        self.share_out();
    }

    #[must_use]
    pub fn view(&self) -> OverloadView {
        OverloadView {
            limit: self.shares.caps[0],
            limit_by_latency: self.limit,
            limit_by_machine: self.machine.cap,
            in_flight: self.load[0],
            flowing: self.flowing,
            buyers_in_flight: self.buyers.len() as u32,
            expected_ns: self.bases.expected(),
            ..self.view
        }
    }

    /// Asks the limit, the classes and then the buyers. Charges nothing.
    fn refusal(&self, class: usize, held: u32) -> Option<ShedWhy> {
        let caps = &self.shares.caps;
        let total = self.load[0];
        if total >= caps[0] {
            return Some(ShedWhy::Full);
        }
        if (1..=class).any(|class| self.load[class] >= caps[class]) {
            return Some(ShedWhy::Class);
        }
        // Nobody is weighed while there is room for all.
        let cap = u64::from(caps[class]);
        if held > 0 && u64::from(self.load[class]) * 100 >= cap * OVERLOAD_SOFT_PERCENT {
            let fair = cap / (self.buyers.len() as u64).max(1);
            return (u64::from(held) >= fair.max(1)).then_some(ShedWhy::Buyer);
        }
        None
    }

    /// Counted, and told when to come back: later the more are turned away, spread over as long
    /// again by the golden ratio (a Weyl sequence), so that they do not come back together.
    fn shed(&mut self, class: usize, why: ShedWhy) -> Admission {
        let counts = match why {
            ShedWhy::Full => &mut self.view.shed_full,
            ShedWhy::Class => &mut self.view.shed_class,
            ShedWhy::Buyer => &mut self.view.shed_buyer,
            ShedWhy::Flowing => &mut self.view.shed_flowing,
        };
        counts[class] += 1;
        self.window.used_up |= matches!(why, ShedWhy::Full | ShedWhy::Class);
        self.shed = self.shed.wrapping_add(0x9e37_79b9);
        let spread = 1.0 + f64::from(self.shed) / f64::from(u32::MAX);
        let pressure = 1.0 / self.view.admitted_share.max(0.01);
        let seconds = (pressure * spread).min(OVERLOAD_RETRY_SECONDS_MAX);
        Admission::Shed {
            retry_after: Nanos((seconds * 1e9) as u64),
            why,
        }
    }

    /// The probe step that a request let in now measures. With the last of them the level ends.
    fn tag(&mut self, now: Nanos) -> u32 {
        let Some(probe) = &mut self.probe else {
            return 0;
        };
        let step = probe.tag();
        if step != 0 && probe.level().is_none() {
            // What ended during the probe says nothing about the limit.
            self.window.restart(now);
            self.share_out();
        }
        step
    }

    fn leave(&mut self, buyer: Value) {
        let key = buyer.0.get();
        match self.buyers.get_mut(key) {
            Some(held) if *held > 1 => *held -= 1,
            Some(_) => {
                self.buyers.remove(key);
            }
            None => {}
        }
    }

    fn measure(&mut self, class: usize, permit: &OverloadPermit, latency: Nanos, ended: Ended) {
        let window = &mut self.window;
        window.ended += 1;
        let known = self.bases.known(class);
        match ended {
            Ended::Ok => {}
            // A dropped request would have taken longer still: it may raise a mean, never lower it.
            Ended::Dropped if known.is_some_and(|base| latency.0 as f64 > base) => {}
            Ended::Dropped | Ended::Failed => return,
            Ended::TimedOut => {
                window.timed_out += 1;
                return;
            }
        }
        let latency = self.bases.capped(class, latency);
        let Some(base) = known else {
            self.bases.first(class, latency, self.view.inflation);
            return;
        };
        window.sums.add(latency, base);
        if permit.calm && ended == Ended::Ok {
            self.bases.drift(class, latency);
        }
        if let Some(probe) = &mut self.probe {
            probe.add(permit.step, class, latency, base);
        }
    }

    /// Closes the window once it is over and holds enough, and steers by it.
    fn roll(&mut self, now: Nanos) {
        let Some(reading) = self.window.close(now, self.bases.mean_ns()) else {
            return;
        };
        self.shares.notice(&reading, &self.bases);
        self.view.admitted_share = reading.admitted_share(self.view.admitted_share);
        let late = |probe: &Probe| probe.is_late(now, self.bases.mean_ns());
        if self.probe.as_ref().is_some_and(late) {
            self.probe = None;
            self.schedule.unsettled(now);
        } else if self.probe.as_ref().and_then(Probe::level).is_none()
            && reading.sums.samples + reading.timed_out > 0
        {
            self.steer(now, &reading);
        }
        self.share_out();
    }

    fn steer(&mut self, now: Nanos, reading: &steer::Reading) {
        let inflation = self.bases.correct(reading);
        self.view.inflation = inflation;
        self.machine.notice(now, inflation, reading);
        if !reading.used_up {
            self.schedule.calm(now);
        } else if self.probe.is_none() && self.schedule.is_due(now, inflation, self.bases.mean_ns())
        {
            self.probe = Probe::start(now, inflation, reading, self.config.limit_min);
            if let Some(probe) = &mut self.probe {
                probe.settle(self.load[0], &mut self.steps);
                return;
            }
        }
        let bounds = (self.config.limit_min, self.config.limit_max);
        self.limit = steer::next(self.limit, inflation, reading, bounds);
    }

    /// A probe step has its samples: deeper, or believe it.
    fn step_done(&mut self, now: Nanos) {
        let Some(probe) = self.probe.take() else {
            return;
        };
        match probe.verdict(now, self.config.limit_min) {
            Verdict::Deeper(mut deeper) => {
                deeper.settle(self.load[0], &mut self.steps);
                self.probe = Some(deeper);
            }
            Verdict::Nothing => self.schedule.unsettled(now),
            Verdict::Found(found) => {
                let settled = self.bases.believe(&found);
                self.schedule.done(now, settled);
                self.view.probes += 1;
            }
        }
        self.share_out();
    }

    fn share_out(&mut self) {
        let limit = self.limit.min(self.machine.cap).max(1.0);
        let probe = self.probe.as_ref().and_then(Probe::level).unwrap_or(limit);
        self.shares.share_out(limit, probe.min(limit));
    }
}
