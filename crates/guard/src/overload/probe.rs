//! Measuring the unloaded latency under full load, without stopping: the limit steps down to a part
//! of what is under way, and further only while latency falls with it – then it was a queue that
//! was measured. Where it no longer falls, the latency is the upstream's own. It must not know
//! what becomes of the result.

use super::CLASSES;
use super::steer::Reading;
use super::sums::Sums;
use crate::limits::{
    OVERLOAD_JUMP, OVERLOAD_PROBE_DEPTH, OVERLOAD_PROBE_ELASTIC, OVERLOAD_PROBE_FIRST_DEPTH_MIN,
    OVERLOAD_PROBE_LATENCIES_MAX, OVERLOAD_PROBE_MS_MAX, OVERLOAD_PROBE_MS_MIN,
    OVERLOAD_PROBE_PAUSE_LATENCIES, OVERLOAD_PROBE_ROUNDS, OVERLOAD_PROBE_SAMPLES_MAX,
    OVERLOAD_PROBE_SAMPLES_MIN, OVERLOAD_PROBE_STEP_DEPTH, OVERLOAD_SURPRISE,
};
use crate::time::Nanos;

#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    /// Requests that may be under way.
    level: f64,
    begun: Nanos,
    /// Level and inflation before this step.
    before: (f64, f64),
    /// The step's number once the queue of before has drained; 0 until then.
    step: u32,
    of: [(f64, u32); CLASSES],
    sums: Sums,
    /// The cohort: how many, let in, and ended.
    wanted: u32,
    given: u32,
    back: u32,
}

/// What a step ends with.
pub(super) enum Verdict {
    /// It was a queue: the next step down.
    Deeper(Probe),
    Found(Found),
    /// Most of the cohort failed.
    Nothing,
}

/// What a probe found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) sums: Sums,
    /// Sum and number of samples per class.
    pub(super) of: [(f64, u32); CLASSES],
}

impl Probe {
    /// None if there is nothing to step down from.
    pub(super) fn start(
        now: Nanos,
        inflation: f64,
        reading: &Reading,
        least: u32,
    ) -> Option<Probe> {
        let flight = reading.flight();
        let work = flight / inflation.max(1.0);
        let level = (work * OVERLOAD_PROBE_DEPTH).max(flight * OVERLOAD_PROBE_FIRST_DEPTH_MIN);
        let before = (flight, inflation);
        (level.floor() >= f64::from(least)).then(|| Probe::at(now, level, before))
    }

    fn at(now: Nanos, level: f64, before: (f64, f64)) -> Probe {
        Probe {
            level: level.floor(),
            begun: now,
            before,
            step: 0,
            of: [(0.0, 0); CLASSES],
            sums: Sums::default(),
            wanted: ((level * OVERLOAD_PROBE_ROUNDS) as u32)
                .clamp(OVERLOAD_PROBE_SAMPLES_MIN, OVERLOAD_PROBE_SAMPLES_MAX),
            given: 0,
            back: 0,
        }
    }

    /// None once all that are to be measured were let in: who comes later waits behind them.
    pub(super) fn level(&self) -> Option<f64> {
        (self.given < self.wanted).then_some(self.level)
    }

    /// The step's number for the first requests of it, 0 for all others. Measured is a cohort and
    /// waited for as a whole: the first to come back would be the short ones.
    pub(super) fn tag(&mut self) -> u32 {
        if self.step == 0 || self.given >= self.wanted {
            return 0;
        }
        self.given += 1;
        self.step
    }

    /// Samples count from when no more than the level is under way.
    pub(super) fn settle(&mut self, in_flight: u32, steps: &mut u32) {
        if self.step == 0 && f64::from(in_flight) <= self.level {
            *steps = steps.wrapping_add(1).max(1);
            self.step = *steps;
        }
    }

    pub(super) fn add(&mut self, step: u32, class: usize, measured: f64, expected: f64) {
        if step == 0 || step != self.step {
            return;
        }
        self.sums.add(measured, expected);
        self.of[class].0 += measured;
        self.of[class].1 += 1;
    }

    /// One of the cohort ended, in whatever way; whether it was the last.
    pub(super) fn is_back(&mut self, step: u32) -> bool {
        if step == 0 || step != self.step {
            return false;
        }
        self.back += 1;
        self.back >= self.wanted
    }

    /// Nothing came back, or too little: the upstream hangs or the traffic ended.
    pub(super) fn is_late(&self, now: Nanos, mean_ns: f64) -> bool {
        let latest = (mean_ns * OVERLOAD_PROBE_LATENCIES_MAX) as u64;
        now.since(self.begun).0 > latest.max(OVERLOAD_PROBE_MS_MIN * 1_000_000)
    }

    pub(super) fn verdict(self, now: Nanos, least: u32) -> Verdict {
        if self.sums.samples * 2 < self.wanted {
            return Verdict::Nothing;
        }
        let inflation = self.sums.inflation();
        let (level_before, inflation_before) = self.before;
        let lowered = 1.0 - self.level / level_before;
        let queue = inflation_before * (1.0 - lowered * OVERLOAD_PROBE_ELASTIC);
        let elastic = inflation + self.sums.error() < queue;
        let deeper = (self.level * OVERLOAD_PROBE_STEP_DEPTH).floor();
        if elastic && deeper >= f64::from(least) {
            return Verdict::Deeper(Probe::at(now, deeper, (self.level, inflation)));
        }
        Verdict::Found(Found {
            sums: self.sums,
            of: self.of,
        })
    }
}

/// When to probe next: soon while probes find news, seldom once they agree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    last: Nanos,
    pause_ms: u64,
}

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule {
            last: Nanos(0),
            pause_ms: OVERLOAD_PROBE_MS_MIN,
        }
    }
}

impl Schedule {
    pub(super) fn is_due(&self, now: Nanos, inflation: f64, mean_ns: f64) -> bool {
        let surprise = inflation > OVERLOAD_SURPRISE || inflation < OVERLOAD_JUMP.recip();
        let pause_ms = if surprise {
            OVERLOAD_PROBE_MS_MIN
        } else {
            self.pause_ms
        };
        let pause = (mean_ns * OVERLOAD_PROBE_PAUSE_LATENCIES) as u64;
        now.since(self.last).0 >= pause.max(pause_ms * 1_000_000)
    }

    /// There was room: samples from far below the limit kept the expectation right.
    pub(super) fn calm(&mut self, now: Nanos) {
        self.last = now;
    }

    pub(super) fn done(&mut self, now: Nanos, settled: bool) {
        if settled {
            self.last = now;
            self.pause_ms = (self.pause_ms * 2).min(OVERLOAD_PROBE_MS_MAX);
        } else {
            self.unsettled(now);
        }
    }

    pub(super) fn unsettled(&mut self, now: Nanos) {
        self.last = now;
        self.pause_ms = OVERLOAD_PROBE_MS_MIN;
    }
}
