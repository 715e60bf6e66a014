//! What a run measured: counts, seconds and histograms, always from the planned instant.
//!
//! Histograms instead of lists, so that ten million answers cost what ten do. Whatever overlaps
//! the kill is kept apart from the rest: outside it the shop has no excuse.

use crate::answers::Class;
use crate::drill::series::{ORDERS_HELD, ORDERS_PAID, Series};
use crate::limits::{LATENCY_US_MAX, SECONDS_MAX};
use hdrhistogram::Histogram;
use load::measure::End;
use std::collections::BTreeMap;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// What the generator and the one who kills tell each other while a run goes on.
#[derive(Debug, Default)]
pub struct Shared {
    /// From each kill to the first answer after it, in microseconds from the start of the plan;
    /// `u64::MAX` while the shop is not back.
    kills: RwLock<Vec<(u64, u64)>>,
    /// The run ends early, its verdict is void.
    pub stop: AtomicBool,
    pub planned: AtomicU64,
    pub sent: AtomicU64,
    pub answered: AtomicU64,
    pub held: AtomicU64,
    pub paid: AtomicU64,
    pub errors: AtomicU64,
    pub open: AtomicU64,
}

impl Shared {
    /// To be called before the kill, so that nothing it breaks counts as outside of it.
    pub fn killed(&self, us: u64) {
        self.kills().push((us, u64::MAX));
    }
    pub fn back(&self, us: u64) {
        if let Some((_, back)) = self.kills().last_mut() {
            *back = us;
        }
    }
    fn kills(&self) -> std::sync::RwLockWriteGuard<'_, Vec<(u64, u64)>> {
        self.kills
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
    /// When the shop last came back from a kill.
    pub fn last_back_us(&self) -> Option<u64> {
        let kills = self.kills();
        let mut backs = kills.iter().rev().map(|(_, back)| *back);
        backs.find(|back| *back != u64::MAX)
    }
    /// Whether any moment from `planned` to `ended` fell between a kill and the first answer
    /// after it.
    pub fn in_kill(&self, planned_us: u64, ended_us: u64) -> bool {
        let kills = self
            .kills
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        kills
            .iter()
            .rev()
            .any(|(killed, back)| ended_us >= *killed && planned_us <= *back)
    }
}

/// What happened in one second of the plan.
#[derive(Clone, Debug)]
pub struct Second {
    pub planned: u64,
    pub sent: u64,
    pub answered: u64,
    pub held: u64,
    pub paid: u64,
    pub refused: u64,
    pub seen: u64,
    pub turned_away: u64,
    pub errors: u64,
    pub retried: u64,
    /// Answers to orders, refusals included.
    pub orders: u64,
    /// Latency of what was planned in this second.
    pub latency: Histogram<u32>,
}

impl Second {
    fn new() -> Second {
        Second {
            planned: 0,
            sent: 0,
            answered: 0,
            held: 0,
            paid: 0,
            refused: 0,
            seen: 0,
            turned_away: 0,
            errors: 0,
            retried: 0,
            orders: 0,
            latency: histogram(2),
        }
    }
}

/// Microseconds up to [`LATENCY_US_MAX`] with `digits` digits kept.
pub fn histogram<C: hdrhistogram::Counter>(digits: u8) -> Histogram<C> {
    // The bounds are constants that the library accepts; anything else is a bug of ours.
    let made = Histogram::new_with_bounds(1, LATENCY_US_MAX, digits);
    made.unwrap_or_else(|error| unreachable!("constant bounds of a histogram: {error}"))
}

/// Latencies of one class: of all, and of those that the kill did not touch.
#[derive(Clone, Debug)]
pub struct Latency {
    pub all: Histogram<u64>,
    pub outside: Histogram<u64>,
}

impl Default for Latency {
    fn default() -> Self {
        Latency {
            all: histogram(3),
            outside: histogram(3),
        }
    }
}

impl Latency {
    pub fn record(&mut self, us: u64, in_kill: bool) {
        self.all.saturating_record(us.max(1));
        if !in_kill {
            self.outside.saturating_record(us.max(1));
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Split {
    pub in_kill: u64,
    pub outside: u64,
}

impl Split {
    pub fn add(&mut self, in_kill: bool) {
        if in_kill {
            self.in_kill += 1;
        } else {
            self.outside += 1;
        }
    }
    #[cfg(test)]
    pub fn all(self) -> u64 {
        self.in_kill + self.outside
    }
}

/// Everything that the generator counted.
#[derive(Debug, Default)]
pub struct Measured {
    pub seconds: Vec<Second>,
    /// Planned arrivals, and of those: sent in time, sent late, never sent, and met by a closed
    /// door because the shop was down.
    pub planned: u64,
    pub in_time: u64,
    pub late: u64,
    pub dropped: u64,
    pub closed_door: u64,
    /// Requests that followed from an answer: payments, cancellations, questions.
    pub followed: u64,
    pub retried: u64,
    /// Requests written to a connection, all of the above that were.
    pub written: u64,
    pub answered: u64,
    pub latency: BTreeMap<Class, Latency>,
    pub every: Latency,
    /// How late requests left, in microseconds after their planned instant.
    pub lag: Latency,
    pub refused: BTreeMap<String, u64>,
    pub turned_away: BTreeMap<String, Split>,
    pub errors: BTreeMap<String, Split>,
    pub connections_max: u64,
    /// Processor time of the generator's thread, and the time that it wanted to run but could
    /// not, in nanoseconds; the busiest second of each.
    pub cpu_ns: u64,
    pub cpu_second_ns_max: u64,
    pub starved_ns: u64,
    pub wall_us: u64,
    /// By request and second of its end, for thresholds; filled only in drills.
    pub series: Option<Box<Series>>,
}

impl Measured {
    /// A request ended, in the words of thresholds.
    pub fn ended(&mut self, class: Class, end: End, planned_us: u64, now_us: u64) {
        if let Some(series) = &mut self.series {
            let second = series.second(class.name(), now_us);
            second.ends[end as usize] += 1;
            if end == End::Good {
                second.latency.record(now_us.saturating_sub(planned_us));
            }
        }
    }
    pub fn left(&mut self, class: Class, now_us: u64) {
        if let Some(series) = &mut self.series {
            series.second(class.name(), now_us).sent += 1;
        }
    }
    pub fn held(&mut self, now_us: u64) {
        self.second(now_us).held += 1;
        if let Some(series) = &mut self.series {
            series.second(ORDERS_HELD, now_us).sent += 1;
        }
    }
    pub fn paid(&mut self, now_us: u64) {
        self.second(now_us).paid += 1;
        if let Some(series) = &mut self.series {
            series.second(ORDERS_PAID, now_us).sent += 1;
        }
    }

    pub fn second(&mut self, us: u64) -> &mut Second {
        let second = ((us / 1_000_000) as usize).min(SECONDS_MAX - 1);
        while self.seconds.len() <= second {
            self.seconds.push(Second::new());
        }
        &mut self.seconds[second]
    }
    pub fn record(&mut self, class: Class, planned_us: u64, ended_us: u64, in_kill: bool) {
        let us = ended_us.saturating_sub(planned_us);
        self.answered += 1;
        self.every.record(us, in_kill);
        self.latency.entry(class).or_default().record(us, in_kill);
        self.second(planned_us).latency.saturating_record(us.max(1));
        let second = self.second(ended_us);
        second.answered += 1;
        second.orders += u64::from(class == Class::Order);
    }
    pub fn error(&mut self, label: &str, ended_us: u64, in_kill: bool) {
        match self.errors.get_mut(label) {
            Some(split) => split.add(in_kill),
            None => self
                .errors
                .entry(label.to_owned())
                .or_default()
                .add(in_kill),
        }
        self.second(ended_us).errors += 1;
    }
    pub fn refuse(&mut self, code: &str, ended_us: u64) {
        match self.refused.get_mut(code) {
            Some(count) => *count += 1,
            None => _ = self.refused.insert(code.to_owned(), 1),
        }
        self.second(ended_us).refused += 1;
    }
    pub fn turn_away(&mut self, code: &str, ended_us: u64, in_kill: bool) {
        self.turned_away
            .entry(code.to_owned())
            .or_default()
            .add(in_kill);
        self.second(ended_us).turned_away += 1;
    }
    /// Answers that never came and answers that a working shop does not give, turned away ones
    /// included: a buyer sees no difference.
    pub fn errors_in_all(&self) -> Split {
        let splits = self.errors.values().chain(self.turned_away.values());
        splits.fold(Split::default(), |sum, split| Split {
            in_kill: sum.in_kill + split.in_kill,
            outside: sum.outside + split.outside,
        })
    }
}
