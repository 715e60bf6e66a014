//! Another machine's clock, read by round trips.
//!
//! Somewhere between the question and the answer the other looked at its clock: the middle is the
//! best guess, and half of the round trip is how wrong it can be. The shortest of the last trips
//! counts, because only waiting makes one longer. Clocks are monotonic and begin anywhere. It must
//! not know who asks.

use super::limits::CLOCK_ROUNDS;
use std::collections::VecDeque;

/// What the last round trips said.
#[derive(Clone, Debug, Default)]
pub struct Clock(VecDeque<Sample>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Microseconds that the other's clock is ahead of ours.
    pub ahead_us: i64,
    /// Microseconds by which that can be wrong, either way.
    pub unsure_us: u64,
}

impl Clock {
    /// We asked at `sent_us` and heard at `heard_us`; the other's clock stood at `theirs_us`.
    pub fn add(&mut self, sent_us: u64, heard_us: u64, theirs_us: u64) {
        let trip = heard_us.saturating_sub(sent_us);
        let middle = sent_us + trip / 2;
        if self.0.len() == CLOCK_ROUNDS {
            self.0.pop_front();
        }
        self.0.push_back(Sample {
            ahead_us: theirs_us.cast_signed().wrapping_sub(middle.cast_signed()),
            // The clocks themselves count whole microseconds.
            unsure_us: trip.div_ceil(2) + 1,
        });
    }

    /// The best of the last ones; `None` before the first.
    #[must_use]
    pub fn best(&self) -> Option<Sample> {
        self.0.iter().min_by_key(|sample| sample.unsure_us).copied()
    }

    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.0.len() >= CLOCK_ROUNDS
    }
}

impl Sample {
    /// An instant of ours on the other's clock.
    #[must_use]
    pub fn theirs_us(&self, ours_us: u64) -> u64 {
        ours_us.saturating_add_signed(self.ahead_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop, proptest};

    proptest! {
        /// Whatever the ways take, the truth lies within what is stated.
        #[test]
        fn the_truth_is_within_what_is_stated(
            ahead in -1_000_000_000_i64..1_000_000_000,
            ways in prop::collection::vec((0..50_000_u64, 0..50_000_u64), 1..30),
        ) {
            let (mut clock, mut now) = (Clock::default(), 2_000_000_000_u64);
            for (there, back) in &ways {
                let looked = (now + there).saturating_add_signed(ahead);
                clock.add(now, now + there + back, looked);
                now += 500_000;
            }
            let best = clock.best().unwrap();
            assert!(best.ahead_us.abs_diff(ahead) <= best.unsure_us, "{best:?} of {ahead}");
            let last = ways.iter().rev().take(CLOCK_ROUNDS);
            let shortest = last.map(|(there, back)| there + back).min().unwrap();
            assert_eq!(best.unsure_us, shortest.div_ceil(2) + 1);
            let truth = now.saturating_add_signed(ahead);
            assert!(best.theirs_us(now).abs_diff(truth) <= best.unsure_us);
        }
    }
}
