//! Circuit breakers: what keeps failing is left alone for a while, then tried by few. One stands
//! for each upstream and each route. Judged over a sliding window of buckets: the share of failed
//! results, the share of slow ones, and failures in a row. A result counts only for the state in
//! which its request was let through, so late failures of a past outage trip nothing.
//! It must not know what an upstream is; the seed of its jitter comes in.

use crate::ended::Ended;
use crate::limits::{
    BREAKER_BACKOFF_DOUBLINGS_MAX, BREAKER_BUCKETS, BREAKER_EVENTS_MAX, BREAKER_PROBE_RETRY_MS,
};
use crate::time::Nanos;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// How far back results are judged; cut into [`BREAKER_BUCKETS`] buckets.
    pub window: Nanos,
    /// Results in the window before a share is judged; failures in a row are judged always.
    pub volume_min: u32,
    /// Trips above this share of failed results, in thousandths; 1,000 never does.
    pub failed_permille_max: u32,
    /// Trips above this share of slow results, in thousandths; 1,000 never does.
    pub slow_permille_max: u32,
    /// What took longer is slow.
    pub slow_after: Nanos,
    /// Trips at this many failures in a row; 0 never does.
    pub failed_in_row_max: u32,
    /// The first rest; doubles with each trip in a row, up to `rest_max`.
    pub rest: Nanos,
    pub rest_max: Nanos,
    /// Probes under way at the same time.
    pub probes_in_flight_max: u32,
    /// Good probes until it passes again.
    pub probes_good: u32,
    /// A probe that did not come back by then is lost, and others may try.
    pub probe_lost_after: Nanos,
}

impl Default for BreakerConfig {
    fn default() -> BreakerConfig {
        BreakerConfig {
            window: Nanos::from_secs(10),
            volume_min: 20,
            failed_permille_max: 500,
            slow_permille_max: 900,
            slow_after: Nanos::from_secs(1),
            failed_in_row_max: 20,
            rest: Nanos::from_millis(500),
            rest_max: Nanos::from_secs(5),
            probes_in_flight_max: 3,
            probes_good: 5,
            probe_lost_after: Nanos::from_secs(30),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerState {
    Passing,
    Tripped,
    Probing,
    ForcedPassing,
    ForcedTripped,
}

/// What the operator wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BreakerOverride {
    /// The results decide.
    #[default]
    Auto,
    Passing,
    Tripped,
}

/// Travels with a request that was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerTicket {
    epoch: u32,
}

/// Not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRefusal {
    pub retry_after: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerCause {
    FailedShare { failed: u32, of: u32 },
    SlowShare { slow: u32, of: u32 },
    FailedInRow(u32),
    Rested,
    ProbeFailed,
    ProbesLost,
    ProbesGood,
    Operator,
}

/// A change of state, for logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerEvent {
    pub at: Nanos,
    pub from: BreakerState,
    pub to: BreakerState,
    pub cause: BreakerCause,
    /// How long it rests, if it tripped.
    pub rest: Nanos,
}

#[derive(Clone, Debug)]
pub struct Breaker {
    config: BreakerConfig,
    state: State,
    /// Grows with each change of state.
    epoch: u32,
    window: Window,
    failed_in_row: u32,
    trips_in_row: u32,
    tripped_at: Nanos,
    dice: u64,
    events: [Option<BreakerEvent>; BREAKER_EVENTS_MAX],
    events_lost: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Passing,
    Tripped {
        until: Nanos,
    },
    Probing {
        in_flight: u32,
        good: u32,
        last: Nanos,
    },
    ForcedPassing,
    ForcedTripped,
}

impl State {
    fn name(self) -> BreakerState {
        match self {
            State::Passing => BreakerState::Passing,
            State::Tripped { .. } => BreakerState::Tripped,
            State::Probing { .. } => BreakerState::Probing,
            State::ForcedPassing => BreakerState::ForcedPassing,
            State::ForcedTripped => BreakerState::ForcedTripped,
        }
    }
}

impl Breaker {
    /// `seed` spreads the rests of breakers and instances that tripped together.
    #[must_use]
    pub fn new(config: BreakerConfig, seed: u64) -> Breaker {
        Breaker {
            window: Window::new(config.window),
            config,
            state: State::Passing,
            epoch: 0,
            failed_in_row: 0,
            trips_in_row: 0,
            tripped_at: Nanos(0),
            dice: seed,
            events: [None; BREAKER_EVENTS_MAX],
            events_lost: 0,
        }
    }

    #[must_use]
    pub fn state(&self) -> BreakerState {
        self.state.name()
    }

    /// Whether [`ask`](Self::ask) would let through; changes nothing, so that all rules can be
    /// asked before any is charged.
    pub fn look(&self, now: Nanos) -> Result<(), BreakerRefusal> {
        let retry_after = match self.state {
            State::Passing | State::ForcedPassing => return Ok(()),
            State::Tripped { until } if now >= until => return Ok(()),
            State::Tripped { until } => until.since(now),
            State::Probing {
                in_flight, last, ..
            } => {
                let room = in_flight < self.config.probes_in_flight_max.max(1);
                if room || now.since(last) >= self.config.probe_lost_after {
                    return Ok(());
                }
                Nanos::from_millis(BREAKER_PROBE_RETRY_MS)
            }
            State::ForcedTripped => self.config.rest_max,
        };
        Err(BreakerRefusal { retry_after })
    }

    /// Lets a request through, perhaps as a probe, or refuses it.
    pub fn ask(&mut self, now: Nanos) -> Result<BreakerTicket, BreakerRefusal> {
        self.look(now)?;
        match self.state {
            State::Tripped { .. } => self.probe(now, BreakerCause::Rested),
            State::Probing { in_flight, .. }
                if in_flight >= self.config.probes_in_flight_max.max(1) =>
            {
                self.probe(now, BreakerCause::ProbesLost);
            }
            _ => {}
        }
        if let State::Probing {
            in_flight, last, ..
        } = &mut self.state
        {
            *in_flight += 1;
            *last = now;
        }
        Ok(BreakerTicket { epoch: self.epoch })
    }

    /// What became of a request. Results from before the last change of state count for nothing.
    pub fn done(&mut self, now: Nanos, ticket: BreakerTicket, latency: Nanos, ended: Ended) {
        if ticket.epoch != self.epoch {
            return;
        }
        let slow = latency > self.config.slow_after;
        let failed = matches!(ended, Ended::Failed | Ended::TimedOut);
        let says_nothing = ended == Ended::Dropped && !slow;
        match &mut self.state {
            State::Probing {
                in_flight, good, ..
            } => {
                *in_flight = in_flight.saturating_sub(1);
                if says_nothing {
                    return;
                }
                if failed || slow {
                    self.trip(now, BreakerCause::ProbeFailed);
                    return;
                }
                *good += 1;
                if *good >= self.config.probes_good {
                    self.change(now, State::Passing, BreakerCause::ProbesGood);
                }
            }
            State::Passing if !says_nothing => self.judge(now, failed, slow),
            State::Passing
            | State::Tripped { .. }
            | State::ForcedPassing
            | State::ForcedTripped => {}
        }
    }

    /// The operator's word. Back to `Auto` begins with an empty window.
    pub fn force(&mut self, now: Nanos, wish: BreakerOverride) {
        let forced = matches!(self.state, State::ForcedPassing | State::ForcedTripped);
        let to = match wish {
            BreakerOverride::Auto if !forced => return,
            BreakerOverride::Auto => State::Passing,
            BreakerOverride::Passing => State::ForcedPassing,
            BreakerOverride::Tripped => State::ForcedTripped,
        };
        if to != self.state {
            self.trips_in_row = 0;
            self.change(now, to, BreakerCause::Operator);
        }
    }

    /// The oldest change not taken yet. Take all after each call that may change the state; beyond
    /// [`BREAKER_EVENTS_MAX`] new ones are lost and counted.
    pub fn take_event(&mut self) -> Option<BreakerEvent> {
        let event = self.events[0].take();
        self.events.rotate_left(1);
        event
    }

    #[must_use]
    pub fn events_lost(&self) -> u64 {
        self.events_lost
    }

    fn judge(&mut self, now: Nanos, failed: bool, slow: bool) {
        self.failed_in_row = if failed { self.failed_in_row + 1 } else { 0 };
        let sums = self.window.add(now, failed, slow);
        let above = |part: u32, permille: u32| {
            u64::from(part) * 1_000 > u64::from(permille) * u64::from(sums.of)
        };
        let judged = sums.of >= self.config.volume_min.max(1);
        let row = self.config.failed_in_row_max;
        if row > 0 && self.failed_in_row >= row {
            self.trip(now, BreakerCause::FailedInRow(self.failed_in_row));
        } else if judged && above(sums.failed, self.config.failed_permille_max) {
            let (failed, of) = (sums.failed, sums.of);
            self.trip(now, BreakerCause::FailedShare { failed, of });
        } else if judged && above(sums.slow, self.config.slow_permille_max) {
            let (slow, of) = (sums.slow, sums.of);
            self.trip(now, BreakerCause::SlowShare { slow, of });
        }
    }

    fn probe(&mut self, now: Nanos, cause: BreakerCause) {
        let fresh = State::Probing {
            in_flight: 0,
            good: 0,
            last: now,
        };
        self.change(now, fresh, cause);
    }

    /// Rests half of the backoff for certain and the other half by dice ("equal jitter", AWS
    /// Architecture Blog, "Exponential Backoff And Jitter", 2015).
    fn trip(&mut self, now: Nanos, cause: BreakerCause) {
        // Long passing since the last trip: this one is the first again.
        let passing = self.state == State::Passing;
        if passing && now.since(self.tripped_at) > self.config.rest_max {
            self.trips_in_row = 0;
        }
        let doublings = self.trips_in_row.min(BREAKER_BACKOFF_DOUBLINGS_MAX);
        let rest = self.config.rest.0.saturating_mul(1 << doublings);
        let rest = rest.min(self.config.rest_max.0);
        let half = rest / 2;
        let rest = half + roll(&mut self.dice) % (rest - half + 1);
        self.trips_in_row = self.trips_in_row.saturating_add(1);
        let until = now.plus(Nanos(rest));
        self.tripped_at = until;
        self.change(now, State::Tripped { until }, cause);
    }

    fn change(&mut self, now: Nanos, to: State, cause: BreakerCause) {
        let event = BreakerEvent {
            at: now,
            from: self.state.name(),
            to: to.name(),
            cause,
            rest: match to {
                State::Tripped { until } => until.since(now),
                _ => Nanos(0),
            },
        };
        match self.events.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(event),
            None => self.events_lost += 1,
        }
        self.state = to;
        self.epoch = self.epoch.wrapping_add(1);
        self.failed_in_row = 0;
        self.window = Window::new(self.config.window);
    }
}

/// The next number of a SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
/// Generators", 2014): the seed came in, so the sequence is the caller's.
fn roll(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    of: u32,
    failed: u32,
    slow: u32,
}

/// Results of the last [`BREAKER_BUCKETS`] buckets of time; bucket `n` is `n` lengths from zero.
#[derive(Clone, Debug)]
struct Window {
    length: u64,
    newest: u64,
    buckets: [Sums; BREAKER_BUCKETS],
    sums: Sums,
}

impl Window {
    fn new(window: Nanos) -> Window {
        Window {
            length: (window.0 / BREAKER_BUCKETS as u64).max(1),
            newest: 0,
            buckets: [Sums::default(); BREAKER_BUCKETS],
            sums: Sums::default(),
        }
    }

    fn add(&mut self, now: Nanos, failed: bool, slow: bool) -> Sums {
        let bucket = (now.0 / self.length).max(self.newest);
        let passed = (bucket - self.newest).min(BREAKER_BUCKETS as u64);
        for step in 1..=passed {
            let at = ((bucket - passed + step) % BREAKER_BUCKETS as u64) as usize;
            let old = std::mem::take(&mut self.buckets[at]);
            self.sums.of -= old.of;
            self.sums.failed -= old.failed;
            self.sums.slow -= old.slow;
        }
        self.newest = bucket;
        let bucket = &mut self.buckets[(bucket % BREAKER_BUCKETS as u64) as usize];
        for sums in [bucket, &mut self.sums] {
            sums.of += 1;
            sums.failed += u32::from(failed);
            sums.slow += u32::from(slow);
        }
        self.sums
    }
}
