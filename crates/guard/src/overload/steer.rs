//! Windows of measurement, and the laws by which the limits move. It must not know of classes'
//! shares or of probes.

use super::CLASSES;
use super::sums::Sums;
use crate::limits::{
    OVERLOAD_CPU_GROWTH, OVERLOAD_CPU_LOW, OVERLOAD_CPU_READING_MS_MIN, OVERLOAD_CPU_TARGET,
    OVERLOAD_GRADIENT_MIN, OVERLOAD_SMOOTHING, OVERLOAD_WINDOW_LATENCIES, OVERLOAD_WINDOW_MS_MAX,
    OVERLOAD_WINDOW_MS_MIN, OVERLOAD_WINDOW_SAMPLES_MIN,
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

/// The limit that CPU sets. It moves once per reading, by what the reading says, so a slow meter
/// is not answered many times.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuCap {
    pub(super) cap: f64,
    most: f64,
    last: Option<Nanos>,
}

impl CpuCap {
    pub(super) fn new(most: u32) -> CpuCap {
        CpuCap {
            cap: f64::from(most),
            most: f64::from(most),
            last: None,
        }
    }

    pub(super) fn read(&mut self, now: Nanos, share: f64, limit: f64, least: f64) {
        let pause = Nanos::from_millis(OVERLOAD_CPU_READING_MS_MIN);
        let soon = self.last.is_some_and(|last| now.since(last) < pause);
        if soon || !share.is_finite() {
            return;
        }
        self.last = Some(now);
        if share > OVERLOAD_CPU_TARGET {
            let from = self.cap.min(limit);
            self.cap = (from * OVERLOAD_CPU_TARGET / share.min(1.0)).max(least);
        } else if share < OVERLOAD_CPU_LOW {
            self.cap = (self.cap * OVERLOAD_CPU_GROWTH + 1.0).min(self.most);
        }
    }
}
