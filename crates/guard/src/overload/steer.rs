//! Windows of measurement, and the laws by which the limits move. It must not know of classes'
//! shares or of probes.

use super::CLASSES;
use super::sums::Sums;
use crate::limits::{
    OVERLOAD_CPU_LOW, OVERLOAD_CPU_SLOW, OVERLOAD_CPU_SLOW_MS, OVERLOAD_CPU_TARGET,
    OVERLOAD_GOOD_GROWTH, OVERLOAD_GRADIENT_MIN, OVERLOAD_MACHINE_GROWTH, OVERLOAD_QUEUE_CUT_MIN,
    OVERLOAD_QUEUE_LOW, OVERLOAD_QUEUE_NS, OVERLOAD_READING_MS_MIN, OVERLOAD_SMOOTHING,
    OVERLOAD_WINDOW_LATENCIES, OVERLOAD_WINDOW_MS_MAX, OVERLOAD_WINDOW_MS_MIN,
    OVERLOAD_WINDOW_SAMPLES_MIN,
};
use crate::time::Nanos;

/// What is being gathered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    start: Nanos,
    pub(super) offered: [u32; CLASSES],
    pub(super) admitted: u32,
    pub(super) ended: u32,
    pub(super) timed_out: u32,
    /// Somebody was shed for want of room.
    pub(super) used_up: bool,
    pub(super) peak: u32,
    pub(super) sums: Sums,
}

/// A window that is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) span_ns: f64,
    pub(super) offered: [u32; CLASSES],
    pub(super) admitted: u32,
    pub(super) ended: u32,
    pub(super) timed_out: u32,
    pub(super) used_up: bool,
    pub(super) peak: u32,
    pub(super) sums: Sums,
}

impl Window {
    /// The reading, if the window is over: after some latencies and with enough samples, or after
    /// the longest time.
    pub(super) fn close(&mut self, now: Nanos, mean_ns: f64) -> Option<Reading> {
        let span = now.since(self.start);
        let shortest = Nanos::from_millis(OVERLOAD_WINDOW_MS_MIN);
        if span < shortest {
            return None;
        }
        let longest = Nanos::from_millis(OVERLOAD_WINDOW_MS_MAX);
        let wanted = Nanos((mean_ns * OVERLOAD_WINDOW_LATENCIES) as u64).min(longest);
        let enough = self.sums.samples >= OVERLOAD_WINDOW_SAMPLES_MIN && span >= wanted;
        if !enough && span < longest {
            return None;
        }
        let over = std::mem::take(self);
        self.start = now;
        Some(Reading {
            span_ns: span.0 as f64,
            offered: over.offered,
            admitted: over.admitted,
            ended: over.ended,
            timed_out: over.timed_out,
            used_up: over.used_up,
            peak: over.peak,
            sums: over.sums,
        })
    }

    pub(super) fn restart(&mut self, now: Nanos) {
        *self = Window {
            start: now,
            ..Window::default()
        };
    }
}

impl Reading {
    /// Requests under way on average, by Little's law.
    pub(super) fn flight(&self) -> f64 {
        self.sums.measured / self.span_ns
    }

    pub(super) fn admitted_share(&self, before: f64) -> f64 {
        let offered: u32 = self.offered.iter().sum();
        if offered == 0 {
            return 1.0;
        }
        let share = f64::from(self.admitted) / f64::from(offered);
        before + (share - before) * 0.5
    }
}

/// The limit after a window.
pub(super) fn next(limit: f64, inflation: f64, reading: &Reading, bounds: (u32, u32)) -> f64 {
    let gradient = inflation.recip().clamp(OVERLOAD_GRADIENT_MIN, 1.0);
    let mut target = limit * gradient + limit.sqrt();
    if reading.sums.is_good() {
        // Smoothed like the rest, so the step is longer.
        let step = (OVERLOAD_GOOD_GROWTH - 1.0) / OVERLOAD_SMOOTHING;
        target = target.max(limit * (1.0 + step));
    }
    if reading.timed_out > 0 {
        // Timed-out work may still be going on behind the door.
        let share = f64::from(reading.timed_out) / f64::from(reading.ended.max(1));
        target = target.min(limit * (1.0 - 0.5 * share));
    }
    let unused = f64::from(reading.peak) < limit * 0.5;
    if (target > limit && !reading.used_up) || (target < limit && unused) {
        return limit;
    }
    let (least, most) = bounds;
    (limit + (target - limit) * OVERLOAD_SMOOTHING).clamp(f64::from(least), f64::from(most))
}

/// What the machine says besides the latency of what is behind the door.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Machine {
    /// CPU in use, 0 to 1 of what there is, by whomever.
    pub cpu_share: f64,
    /// How long requests that have come wait until the door looks at them.
    pub queue: Nanos,
}

/// The limit that the machine sets. It moves once per reading, by what the reading says, so a slow
/// meter is not answered many times.
///
/// Two things cut it. Requests wait for the door itself: then refusing is all that helps, since
/// it costs less than serving. Or the CPU is full and answers are slow: then less at once is as
/// fast – but never less than is worked on without a queue (throughput times expected latency, as
/// BBR has it), for below that only throughput is lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct MachineCap {
    pub(super) cap: f64,
    most: f64,
    last: Option<Nanos>,
    /// When a window was last found slow, and the work that it did at once.
    slow: Option<(Nanos, f64)>,
}

impl MachineCap {
    pub(super) fn new(most: u32) -> MachineCap {
        MachineCap {
            cap: f64::from(most),
            most: f64::from(most),
            last: None,
            slow: None,
        }
    }

    pub(super) fn notice(&mut self, now: Nanos, inflation: f64, reading: &Reading) {
        let work = reading.flight() / inflation.max(1.0);
        self.slow = (inflation > OVERLOAD_CPU_SLOW).then_some((now, work));
    }

    pub(super) fn read(&mut self, now: Nanos, machine: Machine, limit: f64, least: f64) {
        let pause = Nanos::from_millis(OVERLOAD_READING_MS_MIN);
        let soon = self.last.is_some_and(|last| now.since(last) < pause);
        let Machine { cpu_share, queue } = machine;
        if soon || !cpu_share.is_finite() {
            return;
        }
        self.last = Some(now);
        let queue = queue.0 as f64;
        let from = self.cap.min(limit);
        let recent = Nanos::from_millis(OVERLOAD_CPU_SLOW_MS);
        let slow = self.slow.filter(|(at, _)| now.since(*at) <= recent);
        if queue > OVERLOAD_QUEUE_NS {
            let part = (OVERLOAD_QUEUE_NS / queue).max(OVERLOAD_QUEUE_CUT_MIN);
            self.cap = (from * part).max(least);
            return;
        }
        match slow {
            Some((_, work)) if cpu_share > OVERLOAD_CPU_TARGET => {
                let cut = from * OVERLOAD_CPU_TARGET / cpu_share.min(1.0);
                self.cap = cut.max(work.min(from)).max(least);
            }
            Some(_) if cpu_share >= OVERLOAD_CPU_LOW => {}
            Some(_) | None if queue >= OVERLOAD_QUEUE_NS * OVERLOAD_QUEUE_LOW => {}
            Some(_) | None => {
                self.cap = (self.cap * OVERLOAD_MACHINE_GROWTH + 1.0).min(self.most);
            }
        }
    }
}
