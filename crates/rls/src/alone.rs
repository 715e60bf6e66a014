//! The limits without a door: for a process that only answers Envoy, and for tests.

use crate::Limiter;
use crate::entries::Terms;
use gateway::config::{CALENDAR, Clock, Compiled, RouteSpec, compile};
use gateway::door::Hasher;
use guard::{Day, Factor, Limits, Nanos, RuleProblem, RuleSet};
use hyper::header::HeaderName;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

const DAY_MS: i64 = 24 * 3_600 * 1_000;

#[derive(Debug)]
pub struct Alone {
    start: Instant,
    hasher: Hasher,
    running: Mutex<Running>,
}

#[derive(Debug)]
struct Running {
    limits: Limits,
    names: Names,
}

/// What of a configuration is needed beside its rules.
#[derive(Debug)]
struct Names {
    routes: Vec<RouteSpec>,
    key_headers: Vec<HeaderName>,
    day_offset_minutes: i32,
}

impl Names {
    fn of(compiled: Compiled) -> (RuleSet, Names) {
        let names = Names {
            routes: compiled.routes,
            key_headers: compiled.key_headers,
            day_offset_minutes: compiled.day_offset_minutes,
        };
        (compiled.rules, names)
    }
}

impl Alone {
    /// # Errors
    /// Rules that `guard` refuses; the check of the files finds nearly all of them before.
    pub fn new(files: &wire::gateway::Door) -> Result<Alone, Vec<RuleProblem>> {
        let (start, hasher) = (Instant::now(), Hasher::default());
        let clock = clock(start);
        let (rules, names) = Names::of(compile(files, &hasher, clock)?);
        let mut limits = Limits::new(rules, Factor::ONE);
        limits.set_day(CALENDAR, day(clock, names.day_offset_minutes));
        Ok(Alone {
            start,
            hasher,
            running: Mutex::new(Running { limits, names }),
        })
    }

    /// Puts other rules in place of the running ones; keys that go on keep their state.
    ///
    /// # Errors
    /// As [`Alone::new`]; then nothing changes.
    pub fn swap(&self, files: &wire::gateway::Door) -> Result<(), Vec<RuleProblem>> {
        let (rules, names) = Names::of(compile(files, &self.hasher, clock(self.start))?);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let retired = running.limits.swap(rules);
        running.names = names;
        drop(running);
        drop(retired);
        Ok(())
    }

    /// Forgets keys that are as good as new and keeps to the calendar. For a timer of a second.
    pub fn tick(&self) {
        let clock = clock(self.start);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = running.names.day_offset_minutes;
        running.limits.set_day(CALENDAR, day(clock, offset));
        running.limits.tick(clock.now);
    }
}

impl Limiter for Alone {
    fn with<R>(&self, ask: impl FnOnce(&mut Limits, &Terms<'_>, Nanos) -> R) -> R {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Running { limits, names } = &mut *running;
        let terms = Terms {
            routes: &names.routes,
            key_headers: &names.key_headers,
            digest: &self.hasher,
        };
        ask(limits, &terms, now(self.start))
    }
}

/// Never zero, which stands for "never".
fn now(start: Instant) -> Nanos {
    Nanos(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX - 1) + 1)
}

fn clock(start: Instant) -> Clock {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH);
    Clock {
        wall_ms: wall.map_or(0, |wall| wall.as_millis() as u64),
        now: now(start),
    }
}

fn day(clock: Clock, offset_minutes: i32) -> Day {
    let local = clock.wall_ms as i64 + i64::from(offset_minutes) * 60_000;
    let into = local.rem_euclid(DAY_MS) as u64;
    Day {
        start: Nanos(clock.now.0.saturating_sub(into * 1_000_000)),
        end: clock.now.plus(Nanos::from_millis(DAY_MS as u64 - into)),
    }
}
