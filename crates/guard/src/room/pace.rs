//! Two counters by the second: how many new people came (it opens and ends the room), and how many
//! were let in (it says how long a place in line will take).

use crate::Nanos;
use crate::limits::ROOM_PACE_SECONDS;

const SECOND: u64 = 1_000_000_000;

/// New people of the running second, and for how long it has been calm.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    second: u64,
    count: u32,
    /// Since when no second had more than the lower threshold.
    calm_since: u64,
}

impl Meter {
    fn turn(&mut self, now: Nanos, below: u32) {
        let second = now.0 / SECOND;
        if second > self.second {
            if self.count > below {
                self.calm_since = self.calm_since.max(self.second + 1);
            }
            self.second = second;
            self.count = 0;
        }
    }

    /// Counts one who came; the number of this second, this one included.
    pub(super) fn came(&mut self, now: Nanos, below: u32) -> u32 {
        self.turn(now, below);
        self.count = self.count.saturating_add(1);
        self.count
    }

    /// Whether every whole second of the last `calm` was calm, and this one is so far.
    pub(super) fn is_calm(&mut self, now: Nanos, below: u32, calm: Nanos) -> bool {
        self.turn(now, below);
        self.count <= below && now.0.saturating_sub(self.calm_since * SECOND) >= calm.0
    }

    /// From here on calm must be seen anew.
    pub(super) fn restart(&mut self, now: Nanos) {
        self.calm_since = now.0 / SECOND;
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
    /// rate. `None`: nobody is being let in, so nobody can say.
    pub(super) fn wait(&mut self, people: u32, per_s: u32, now: Nanos) -> Option<Nanos> {
        self.turn(now);
        let window = ROOM_PACE_SECONDS as u64 - 1;
        let guessed = window - self.measured.min(window);
        let sum = u128::from(self.sum + guessed * u64::from(per_s));
        let nanos = (u128::from(people) * u128::from(window * SECOND)).checked_div(sum)?;
        u64::try_from(nanos).ok().map(Nanos)
    }
}
