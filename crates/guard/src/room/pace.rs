//! Counters: how many new people came in each period of a rate (it opens and ends the room), and
//! how many were let in each second (it says how long a place in line will take).

use super::Rate;
use crate::Nanos;
use crate::limits::{ROOM_PACE_BUYERS_MIN, ROOM_PACE_SECONDS};

const SECOND: u64 = 1_000_000_000;

/// New people of the running period of a rate, and for how long it has been calm.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    /// Of the rate that was asked about last; with another one, counting begins anew.
    per: u64,
    period: u64,
    count: u64,
    /// Since when no period had more than the rate, in nanoseconds.
    calm_since: u64,
}

impl Meter {
    fn turn(&mut self, now: Nanos, rate: Rate) {
        let per = rate.per.0;
        let period = now.0 / per;
        if per != self.per {
            *self = Meter {
                per,
                period,
                count: 0,
                calm_since: period * per,
            };
        } else if period > self.period {
            if self.count > rate.count {
                self.calm_since = self.calm_since.max((self.period + 1) * per);
            }
            self.period = period;
            self.count = 0;
        }
    }

    /// Counts one who came; whether that is more than the rate.
    pub(super) fn came(&mut self, now: Nanos, rate: Rate) -> bool {
        self.turn(now, rate);
        self.count = self.count.saturating_add(1);
        self.count > rate.count
    }

    /// Whether every whole period of the last `calm` was calm, and this one is so far.
    pub(super) fn is_calm(&mut self, now: Nanos, rate: Rate, calm: Nanos) -> bool {
        self.turn(now, rate);
        self.count <= rate.count && now.0.saturating_sub(self.calm_since) >= calm.0
    }

    /// From here on calm must be seen anew.
    pub(super) fn restart(&mut self, now: Nanos, rate: Rate) {
        self.turn(now, rate);
        self.calm_since = self.period * self.per;
    }
}

/// How many were let in, over the last [`ROOM_PACE_SECONDS`] whole seconds.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    seconds: [u32; ROOM_PACE_SECONDS],
    second: u64,
    /// Whole seconds measured since the room began to let in.
    measured: u64,
    sum: u64,
}

impl Pace {
    pub(super) fn new(now: Nanos) -> Pace {
        Pace {
            seconds: [0; ROOM_PACE_SECONDS],
            second: now.0 / SECOND,
            measured: 0,
            sum: 0,
        }
    }

    pub(super) fn let_in(&mut self, now: Nanos) {
        self.turn(now);
        let at = (self.second % ROOM_PACE_SECONDS as u64) as usize;
        self.seconds[at] = self.seconds[at].saturating_add(1);
    }

    /// Ends the running second; its bucket enters the sum, the oldest leaves it.
    fn turn(&mut self, now: Nanos) {
        let len = ROOM_PACE_SECONDS as u64;
        let second = now.0 / SECOND;
        let passed = second.saturating_sub(self.second);
        for _ in 0..passed.min(len + 1) {
            self.sum += u64::from(self.seconds[(self.second % len) as usize]);
            self.second += 1;
            let oldest = (self.second % len) as usize;
            self.sum -= u64::from(self.seconds[oldest]);
            self.seconds[oldest] = 0;
            self.measured += 1;
        }
        self.second = self.second.max(second);
    }

    /// How long until `people` have been let in. Seconds not yet measured count as the stated
    /// rate, and a rate too slow to be measured counts as it is stated. `None`: nobody is being let
    /// in, so nobody can say.
    pub(super) fn wait(&mut self, people: u32, rate: Rate, now: Nanos) -> Option<Nanos> {
        self.turn(now);
        let window = ROOM_PACE_SECONDS as u64 - 1;
        let (count, per) = (u128::from(rate.count), u128::from(rate.per.0));
        // What the rate says of so many seconds, in people times its period.
        let stated = |seconds: u64| u128::from(seconds) * u128::from(SECOND) * count;
        let is_slow = stated(window) < u128::from(ROOM_PACE_BUYERS_MIN) * per;
        let let_in = if is_slow {
            stated(window)
        } else {
            u128::from(self.sum) * per + stated(window - self.measured.min(window))
        };
        let nanos = u128::from(people) * u128::from(window * SECOND) * per;
        u64::try_from(nanos.checked_div(let_in)?).ok().map(Nanos)
    }
}
