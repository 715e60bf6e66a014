//! When each recorded request is sent again: its distance from the first one, divided by the
//! speed. Order and gaps of every client are kept, because all requests are moved by the same
//! rule.
//!
//! Most logs know whole seconds only. Sent like that, all requests of a second would leave at one
//! instant, and the slower the replay, the worse; so while every instant is a whole second, those
//! of one second are spread evenly over it, in their order. It must not send.

use crate::limits::{REORDER_REQUESTS, SPEED_MILLI_MAX, SPEED_MILLI_MIN};
use crate::order::{Ordered, in_order};
use crate::seen::Seen;
use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

const SECOND_US: u64 = 1_000_000;

/// How many times as fast as it was recorded: ×0.1 to ×10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speed {
    milli: u64,
}

impl Speed {
    /// As it was recorded.
    pub const AS_RECORDED: Speed = Speed { milli: 1_000 };

    /// Within the bounds: more is the most.
    #[must_use]
    pub fn times(times: u64) -> Speed {
        let milli = times
            .saturating_mul(1_000)
            .clamp(SPEED_MILLI_MIN, SPEED_MILLI_MAX);
        Speed { milli }
    }

    /// How far from the start something is sent that was so far from it when recorded.
    #[must_use]
    pub fn scale(self, us: u64) -> u64 {
        let scaled = u128::from(us) * 1_000 / u128::from(self.milli);
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }
}

/// `1000`, `0.1`, `x10`, `×10`.
impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Speed, String> {
        let number = text.trim().trim_start_matches(['x', '×']).replace(',', "");
        let wrong = || format!("speed {text:?}: expected ×0.1 to ×10,000, such as 10 or 0.5");
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let milli = (number * 1_000.0).round();
        if !(SPEED_MILLI_MIN as f64..=SPEED_MILLI_MAX as f64).contains(&milli) {
            return Err(wrong());
        }
        Ok(Speed {
            milli: milli as u64,
        })
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "×{}", self.milli as f64 / 1e3)
    }
}

/// A request and when to send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Microseconds from the start of the replay. Never smaller than that of the one before.
    pub at_us: u64,
    pub seen: Seen,
}

/// The plan: an iterator that reads as it goes, some ten thousand requests ahead.
#[derive(Debug)]
pub struct Plan<I> {
    from: Ordered<I>,
    speed: Speed,
    start_us: Option<u64>,
    /// Of the second that is being given out, with their distances from the start.
    group: VecDeque<Planned>,
    last_us: u64,
}

/// Each request with its instant, as fast as `speed` says. Send requests of one client one after
/// the other: an instant says when one may be sent at the earliest.
pub fn plan<I: Iterator<Item = Seen>>(seen: I, speed: Speed) -> Plan<I> {
    Plan {
        from: in_order(seen),
        speed,
        start_us: None,
        group: VecDeque::new(),
        last_us: 0,
    }
}

impl<I: Iterator<Item = Seen>> Plan<I> {
    /// Requests whose place had passed when they were read: they are planned for the place reached.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.from.late()
    }

    fn next_group(&mut self) -> Option<()> {
        let at_us = self.from.peek_us()?;
        let most = if self.from.all_whole_seconds() {
            REORDER_REQUESTS
        } else {
            1
        };
        while self.group.len() < most && self.from.peek_us() == Some(at_us) {
            let seen = self.from.next()?;
            self.group.push_back(Planned { at_us, seen });
        }
        let start = *self.start_us.get_or_insert(at_us);
        let count = self.group.len().max(1) as u64;
        for (index, planned) in self.group.iter_mut().enumerate() {
            let within = index as u64 * SECOND_US / count;
            let scaled = self.speed.scale(at_us - start + within);
            self.last_us = self.last_us.max(scaled);
            planned.at_us = self.last_us;
        }
        Some(())
    }
}

impl<I: Iterator<Item = Seen>> Iterator for Plan<I> {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        if self.group.is_empty() {
            self.next_group()?;
        }
        self.group.pop_front()
    }
}
