//! What an operator decides about a room. Rules are checked whole; a bad set changes nothing.

use crate::Nanos;
use crate::limits::{ROOM_ADMIT_PER_S_MAX, ROOM_RATE_PERIOD_SECONDS_MAX, ROOM_SEATS_MAX};

/// The set hours of a sale: a draw among those who came before T0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From here people may register.
    pub opens: Nanos,
    /// Here the list is closed, drawn, and people are let in.
    pub t0: Nanos,
}

/// So many people in each period: as it was written, since 90 a minute are neither one a second
/// nor two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: u64,
    pub per: Nanos,
}

impl Rate {
    #[must_use]
    pub const fn per_s(count: u64) -> Rate {
        Rate {
            count,
            per: Nanos(1_000_000_000),
        }
    }

    /// Neither too fast nor counted over no time or over too long a one.
    fn is_sound(self) -> bool {
        let period = 1..=Nanos::from_secs(ROOM_RATE_PERIOD_SECONDS_MAX).0;
        let most = u128::from(ROOM_ADMIT_PER_S_MAX) * u128::from(self.per.0);
        period.contains(&self.per.0) && u128::from(self.count) * 1_000_000_000 <= most
    }

    fn is_below(self, other: Rate) -> bool {
        let crossed = |a: Rate, b: Rate| u128::from(a.count) * u128::from(b.per.0);
        crossed(self, other) < crossed(other, self)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// People who may wait at once; the next one learns that the room is full.
    pub waiting_max: u32,
    /// People who may be inside at once.
    pub places: u32,
    /// People let in.
    pub admit: Rate,
    /// More new people than this in one of its periods open the room by themselves; `None`: only
    /// full places or the schedule do.
    pub open_above: Option<Rate>,
    /// The room ends when nobody waits and, for `calm`, at most this many came in each of its
    /// periods.
    pub close_below: Rate,
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
    /// `admit` must let somebody in, and no rate may be above [`ROOM_ADMIT_PER_S_MAX`] a second
    /// or have a period beyond [`ROOM_RATE_PERIOD_SECONDS_MAX`].
    Rate,
    /// `close_below` must be a lower rate than `open_above`.
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
            BadRules::Rate => write!(
                f,
                "admit must be above zero, and every rate at most {ROOM_ADMIT_PER_S_MAX} a second \
                 in periods of at most {ROOM_RATE_PERIOD_SECONDS_MAX} s"
            ),
            BadRules::Hysteresis => f.write_str("close_below must be a lower rate than open_above"),
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
        let open = self.open_above;
        let rates = [Some(self.admit), open, Some(self.close_below)];
        if self.admit.count == 0 || !rates.into_iter().flatten().all(Rate::is_sound) {
            return Err(BadRules::Rate);
        }
        if open.is_some_and(|open| !self.close_below.is_below(open)) {
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
