//! What was: requests by minute and route, and the steps that a baseline is fitted to. It must not
//! know campaigns.

use crate::limits::HISTORY_STEPS_MAX;

/// Traffic that was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The first minute, in minutes since 1970, UTC.
    pub from_minute: i64,
    pub routes: Vec<RouteHistory>,
    /// Variance of the requests of a second divided by their mean, all routes together.
    pub dispersion: Option<f64>,
    pub days: Vec<DayHistory>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteHistory {
    pub route: String,
    /// Requests of each minute; `None` is missing data.
    pub requests: Vec<Option<f64>>,
    pub dispersion: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DayHistory {
    /// Its first minute.
    pub from_minute: i64,
    /// Minutes with data.
    pub minutes: u32,
    pub dau: Option<f64>,
}

/// Minutes with data from which on a day counts as one: half of it.
const DAY_MINUTES_MIN: u32 = 720;

impl History {
    /// Minutes from the first to the last.
    #[must_use]
    pub fn minutes(&self) -> usize {
        let lengths = self.routes.iter().map(|route| route.requests.len());
        lengths.max().unwrap_or(0)
    }
    /// The first minute after it.
    #[must_use]
    pub fn until(&self) -> i64 {
        self.from_minute + self.minutes() as i64
    }
    /// What was before a minute.
    #[must_use]
    pub fn before(&self, minute: i64) -> History {
        let keep = usize::try_from(minute - self.from_minute).unwrap_or(0);
        let mut before = self.clone();
        for route in &mut before.routes {
            route.requests.truncate(keep);
        }
        before.days.retain(|day| day.from_minute + 1_440 <= minute);
        before
    }
    /// All routes together; a minute that no route tells of is missing.
    #[must_use]
    pub fn total(&self) -> Vec<Option<f64>> {
        let mut total = vec![None; self.minutes()];
        for route in &self.routes {
            for (cell, found) in total.iter_mut().zip(&route.requests) {
                if let Some(found) = found {
                    *cell = Some(cell.unwrap_or(0.0) + found);
                }
            }
        }
        total
    }
    #[must_use]
    pub fn route(&self, name: &str) -> Option<&RouteHistory> {
        self.routes.iter().find(|route| route.route == name)
    }
    /// People on a normal day.
    #[must_use]
    pub fn usual_dau(&self) -> Option<f64> {
        let full = self
            .days
            .iter()
            .filter(|day| day.minutes >= DAY_MINUTES_MIN);
        mean(full.filter_map(|day| day.dau)).filter(|dau| *dau > 0.0)
    }
}

/// A mean; `None` of none.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), v| (sum + v, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// How minutes are put together: a baseline of single minutes would be noise, and slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    pub minutes: usize,
    /// The last minute boundary, so that a day is a whole number of steps.
    pub until: i64,
}

impl Steps {
    /// Hours where there are three days of them, else quarters, else five minutes.
    #[must_use]
    pub fn of(history: &History) -> Steps {
        let long = history.minutes();
        let minutes = match long {
            _ if long >= 3 * 1_440 => 60,
            _ if long >= 12 * 60 => 15,
            _ => 5,
        };
        let until = history.until().div_euclid(minutes as i64) * minutes as i64;
        Steps { minutes, until }
    }
    /// A day and a week, in steps.
    #[must_use]
    pub fn periods(&self) -> [usize; 2] {
        [1_440 / self.minutes, 7 * 1_440 / self.minutes]
    }
    /// Mean requests of a minute in each step, the last [`HISTORY_STEPS_MAX`] of them; a step of
    /// which less than half is known is missing.
    #[must_use]
    pub fn values(&self, from_minute: i64, requests: &[Option<f64>]) -> Vec<Option<f64>> {
        let long = self.minutes as i64;
        let first = from_minute.div_euclid(long) + i64::from(from_minute.rem_euclid(long) > 0);
        let last = self.until.div_euclid(long);
        let first = first.max(last - HISTORY_STEPS_MAX as i64);
        let step = |step: i64| {
            let at = usize::try_from(step * long - from_minute).ok()?;
            let minutes = requests.get(at..(at + self.minutes).min(requests.len()))?;
            let known = minutes.iter().flatten();
            let enough = known.clone().count() * 2 >= self.minutes;
            mean(known.copied()).filter(|_| enough)
        };
        (first..last).map(step).collect()
    }
}
