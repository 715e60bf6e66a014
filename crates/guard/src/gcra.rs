//! Rate limits by GCRA, the generic cell rate algorithm, virtual scheduling variant: ITU-T
//! Recommendation I.371, annex A. A key is one instant, the theoretical arrival time (TAT), so a
//! decision is a comparison and the memory of a key does not grow with its rate.
//!
//! A rate of 3/s has an interval of 333,333,333⅓ ns. The interval is kept as whole nanoseconds plus
//! a numerator over `parts`, the reduced denominator, so no rate drifts, however long it runs.
//! This file knows neither keys nor tables.

use crate::Nanos;
use crate::limits::{
    BURST_REQUESTS_MAX, RATE_PERIOD_NS_MAX, RATE_REQUESTS_PER_SECOND_MAX, SPAN_NS_MAX,
};
use crate::table::PART_MAX;

/// An instant or a span: whole nanoseconds and a numerator over the limit's `parts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tat {
    pub ns: u64,
    pub part: u32,
}

/// A factor on a limit in millionths, 1 to 1,000,000: zero would be a limit that never lets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Factor(u32);

/// A limit ready to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    interval: Tat,
    tolerance: Tat,
    /// Both together: no state is further ahead.
    most: Tat,
    /// Denominator of `part`.
    parts: u32,
    burst: u32,
    /// The interval in nanoseconds × `parts`.
    scaled: u64,
}

/// What one question to a limit came to. Nothing is changed by asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    Conforms {
        /// The key's new state, if the request is charged.
        tat: Tat,
        /// Further requests that would conform at this same instant.
        remaining: u32,
        /// Until the key is as good as new, if nothing else comes.
        reset: Nanos,
    },
    TooEarly {
        retry_after: Nanos,
        reset: Nanos,
    },
}

impl Factor {
    pub const ONE: Factor = Factor(1_000_000);

    /// Clamped to what a factor can be.
    #[must_use]
    pub fn from_millionths(millionths: u64) -> Factor {
        Factor(millionths.clamp(1, 1_000_000) as u32)
    }
    #[must_use]
    pub fn millionths(self) -> u32 {
        self.0
    }
    #[must_use]
    pub fn times(self, other: Factor) -> Factor {
        Factor::from_millionths(u64::from(self.0) * u64::from(other.0) / 1_000_000)
    }
    /// That much of a count, rounded down, yet never nothing of something.
    #[must_use]
    pub fn of(self, count: u32) -> u32 {
        let part = u64::from(count) * u64::from(self.0) / 1_000_000;
        (part as u32).max(count.min(1))
    }
}

impl Gcra {
    /// `count` requests a `period`, up to `burst` of them at once. `None` if a number is zero or
    /// beyond its bound in `limits.rs`.
    #[must_use]
    pub fn new(count: u32, period: Nanos, burst: u32) -> Option<Gcra> {
        let fits = (1..=RATE_PERIOD_NS_MAX).contains(&period.0)
            && (1..=BURST_REQUESTS_MAX).contains(&burst)
            && count >= 1
            && u128::from(count) * 1_000_000_000
                <= u128::from(RATE_REQUESTS_PER_SECOND_MAX) * u128::from(period.0);
        fits.then(|| Gcra::build(u128::from(period.0), u128::from(count), burst))
    }

    /// The same limit with rate and burst multiplied by `factor`; at least one at once.
    #[must_use]
    pub fn times(&self, factor: Factor) -> Gcra {
        let one = u128::from(Factor::ONE.0);
        let count = u128::from(self.parts) * u128::from(factor.0);
        Gcra::build(u128::from(self.scaled) * one, count, factor.of(self.burst))
    }

    /// The interval is `ns / count`. Reduced, it is exact unless a factor made it too wide for the
    /// fields; then it is rounded up, which is the stricter side.
    fn build(ns: u128, count: u128, burst: u32) -> Gcra {
        let divisor = gcd(ns, count);
        let (mut ns, mut parts) = (ns / divisor, count / divisor);
        if parts > u128::from(PART_MAX) || ns > u128::from(SPAN_NS_MAX) {
            let fits = |bits: &u32| ns.div_ceil(parts) << bits <= u128::from(SPAN_NS_MAX);
            let bits = (0..24).rev().find(fits).unwrap_or(0);
            ns = (ns << bits).div_ceil(parts).min(u128::from(SPAN_NS_MAX));
            parts = 1 << bits;
        }
        let span = |scaled: u128| Tat {
            ns: u64::try_from(scaled / parts).map_or(SPAN_NS_MAX, |ns| ns.min(SPAN_NS_MAX)),
            part: (scaled % parts) as u32,
        };
        let mut gcra = Gcra {
            interval: span(ns),
            tolerance: span(ns * u128::from(burst - 1)),
            most: Tat::default(),
            parts: parts as u32,
            burst,
            scaled: ns as u64,
        };
        gcra.most = gcra.plus(gcra.tolerance, gcra.interval);
        gcra
    }

    /// May a request come now, given the key's state? A key never seen is `Tat::default()`.
    #[inline(always)]
    #[must_use]
    pub fn ask(&self, now: Nanos, tat: Tat) -> Cell {
        let debt = self.debt(now, tat);
        if debt > self.tolerance {
            let wait = self.minus(debt, self.tolerance);
            return Cell::TooEarly {
                retry_after: up(wait),
                reset: up(debt),
            };
        }
        let after = self.plus(debt, self.interval);
        Cell::Conforms {
            tat: Tat {
                ns: now.0.saturating_add(after.ns),
                part: after.part,
            },
            remaining: self.count(self.minus(self.tolerance, debt)),
            reset: up(after),
        }
    }

    /// The same for a request of `hits`, which come all or not at all. No hits only look: what
    /// conforms then leaves the key as it is.
    #[must_use]
    pub fn ask_for(&self, hits: u32, now: Nanos, tat: Tat) -> Cell {
        let debt = self.debt(now, tat);
        // More than may ever come at once have no wait after which they could.
        let fits = hits <= self.burst;
        let before_last = self.intervals_after(debt, hits.saturating_sub(1).min(self.burst - 1));
        if !fits || before_last > self.tolerance {
            let wait = match fits {
                true => self.minus(before_last, self.tolerance),
                false => debt.max(self.interval),
            };
            return Cell::TooEarly {
                retry_after: up(wait),
                reset: up(debt),
            };
        }
        if hits == 0 {
            return Cell::Conforms {
                tat,
                remaining: self.count(self.minus(self.tolerance, debt)) + 1,
                reset: up(debt),
            };
        }
        let after = self.plus(before_last, self.interval);
        Cell::Conforms {
            tat: Tat {
                ns: now.0.saturating_add(after.ns),
                part: after.part,
            },
            remaining: self.count(self.minus(self.tolerance, before_last)),
            reset: up(after),
        }
    }

    /// As many requests as may come at once.
    #[must_use]
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// How far the key is ahead of now. A state from a wider limit (rules were swapped, a factor
    /// fell) counts as one full burst of this limit: nobody waits for a limit that is gone.
    #[inline]
    fn debt(&self, now: Nanos, tat: Tat) -> Tat {
        if tat.ns < now.0 {
            return Tat::default();
        }
        let debt = Tat {
            ns: tat.ns - now.0,
            part: tat.part.min(self.parts - 1),
        };
        debt.min(self.most)
    }

    #[inline]
    fn plus(&self, a: Tat, b: Tat) -> Tat {
        let part = u64::from(a.part) + u64::from(b.part);
        let carry = part >= u64::from(self.parts);
        Tat {
            ns: a.ns + b.ns + u64::from(carry),
            part: (part - u64::from(carry) * u64::from(self.parts)) as u32,
        }
    }

    /// `times` intervals behind `a`; at most a burst of them, so this stays within a span's bounds.
    fn intervals_after(&self, a: Tat, times: u32) -> Tat {
        let scaled = u128::from(self.scaled) * u128::from(times);
        let parts = u128::from(self.parts);
        let span = Tat {
            ns: u64::try_from(scaled / parts).map_or(SPAN_NS_MAX, |ns| ns.min(SPAN_NS_MAX)),
            part: (scaled % parts) as u32,
        };
        self.plus(a, span)
    }

    /// `a` is not less than `b`.
    #[inline]
    fn minus(&self, a: Tat, b: Tat) -> Tat {
        let borrow = a.part < b.part;
        let part = u64::from(a.part) + u64::from(borrow) * u64::from(self.parts);
        Tat {
            ns: a.ns - b.ns - u64::from(borrow),
            part: (part - u64::from(b.part)) as u32,
        }
    }

    /// Whole intervals in a span, at most `burst - 1`.
    #[inline]
    fn count(&self, span: Tat) -> u32 {
        let narrow = span.ns.checked_mul(u64::from(self.parts));
        let count = match narrow.and_then(|scaled| scaled.checked_add(u64::from(span.part))) {
            Some(scaled) => scaled / self.scaled,
            None => {
                let scaled = u128::from(span.ns) * u128::from(self.parts) + u128::from(span.part);
                (scaled / u128::from(self.scaled)) as u64
            }
        };
        count.min(u64::from(self.burst - 1)) as u32
    }
}

/// Whole nanoseconds, rounded up.
#[inline]
fn up(span: Tat) -> Nanos {
    Nanos(span.ns.saturating_add(u64::from(span.part > 0)))
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
