//! What an operator decides about a room. Rules are checked whole; a bad set changes nothing.

use crate::Nanos;
use crate::limits::{ROOM_ADMIT_PER_S_MAX, ROOM_SEATS_MAX};

/// The set hours of a sale: a draw among those who came before T0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From here people may register.
    pub opens: Nanos,
    /// Here the list is closed, drawn, and people are let in.
    pub t0: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// People who may wait at once; the next one learns that the room is full.
    pub waiting_max: u32,
    /// People who may be inside at once.
    pub places: u32,
    /// People let in a second.
    pub admit_per_s: u32,
    /// New people a second that open the room by themselves; `None`: only full places or the
    /// schedule do.
    pub open_above_per_s: Option<u32>,
    /// The room ends when nobody waits and, for `calm`, at most this many came a second.
    pub close_below_per_s: u32,
    pub calm: Nanos,
    /// Who has not been seen for longer is passed over.
    pub away_after: Nanos,
    /// For so long after a missed turn a person who comes back is next.
    pub grace: Nanos,
    /// A place inside is free again after so long without a sign of life.
    pub idle: Nanos,
    /// Units that one person may buy; for the odds.
    pub units_per_buyer: u32,
    pub schedule: Option<Schedule>,
}

/// What is wrong with a set of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRules {
    /// `waiting_max` and `places` together must be 2 to [`ROOM_SEATS_MAX`], and neither zero.
    Seats,
    /// `admit_per_s` must be 1 to [`ROOM_ADMIT_PER_S_MAX`].
    Rate,
    /// `close_below_per_s` must be below `open_above_per_s`.
    Hysteresis,
    /// `away_after`, `grace` and `idle` must be at least a second.
    TooShort,
    /// `units_per_buyer` must be at least one.
    Units,
    /// T0 must come after registration opens.
    Schedule,
    /// A running room keeps its seats: `waiting_max` and `places` may not grow beyond them.
    Grown,
}

impl std::fmt::Display for BadRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BadRules::Seats => write!(
                f,
                "waiting_max and places must each be at least 1 and together at most \
                 {ROOM_SEATS_MAX}"
            ),
            BadRules::Rate => write!(f, "admit_per_s must be 1 to {ROOM_ADMIT_PER_S_MAX}"),
            BadRules::Hysteresis => f.write_str("close_below_per_s must be below open_above_per_s"),
            BadRules::TooShort => {
                f.write_str("away_after, grace and idle must be at least a second")
            }
            BadRules::Units => f.write_str("units_per_buyer must be at least 1"),
            BadRules::Schedule => f.write_str("t0 must be after the opening of registration"),
            BadRules::Grown => f.write_str(
                "waiting_max and places of a running room may not grow beyond its seats: \
                 restart to have more",
            ),
        }
    }
}

impl std::error::Error for BadRules {}

impl Rules {
    pub(super) fn seats(&self) -> Option<u32> {
        let seats = self.waiting_max.checked_add(self.places)?;
        let good = self.waiting_max > 0 && self.places > 0 && seats <= ROOM_SEATS_MAX;
        good.then_some(seats)
    }

    /// Checks a set without making a room of it.
    pub fn check(&self) -> Result<(), BadRules> {
        let second = Nanos::from_secs(1);
        if self.seats().is_none() {
            return Err(BadRules::Seats);
        }
        if !(1..=ROOM_ADMIT_PER_S_MAX).contains(&self.admit_per_s) {
            return Err(BadRules::Rate);
        }
        if self
            .open_above_per_s
            .is_some_and(|open| self.close_below_per_s >= open)
        {
            return Err(BadRules::Hysteresis);
        }
        if self.away_after < second || self.grace < second || self.idle < second {
            return Err(BadRules::TooShort);
        }
        if self.units_per_buyer == 0 {
            return Err(BadRules::Units);
        }
        if self.schedule.is_some_and(|set| set.t0 <= set.opens) {
            return Err(BadRules::Schedule);
        }
        Ok(())
    }
}
