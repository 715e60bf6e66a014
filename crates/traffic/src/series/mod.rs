//! Traffic as figures: requests of each route in each minute, people and visits of each day, what
//! is asked after what, how bursty the seconds are. The file `series.json`, version 1.
//!
//! What is not known is `null`, never nought: a minute for which there is no data must not teach a
//! forecast that nobody came. It must not know what is forecast from it.

mod limits;
mod log;
mod table;
#[cfg(test)]
mod tests;

pub use limits::*;
pub use log::FromLog;
pub use table::{Meaning, csv, is_prometheus, prometheus};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The JSON Schema of `series.json`.
pub const SCHEMA: &str = include_str!("../../../../schemas/series.json");

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    pub version: u32,
    /// The first minute, in minutes since 1970, UTC.
    pub from_minute: i64,
    pub minutes: usize,
    /// The busiest first.
    pub routes: Vec<Route>,
    /// Every day that has a minute of the series.
    pub days: Vec<Day>,
    /// How often each route was asked after another by the same client, within half an hour.
    pub journeys: Vec<Step>,
    /// How the seconds of a minute differ, all routes together; absent where seconds are unknown.
    pub dispersion: Option<f64>,
    /// What was noticed: gaps, clocks, empty days, lines that are no requests.
    pub notes: Vec<Note>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    pub route: String,
    /// Requests in each minute; `null` is missing data.
    pub requests: Vec<Option<f64>>,
    /// Variance of the requests of a second divided by their mean, within minutes: 1 is chance
    /// alone. Absent where it could not be measured.
    pub dispersion: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Day {
    /// `2015-05-17`, in UTC.
    pub day: String,
    /// Minutes with data.
    pub minutes: u32,
    pub requests: f64,
    /// Different clients; absent where the source knows none.
    pub dau: Option<u64>,
    /// Visits begun: a client that was silent for half an hour begins a new one.
    pub visits: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Empty where a visit begins.
    pub from: String,
    pub to: String,
    pub count: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// `gap`, `clock`, `empty_day`, `refused`, `routes`, `overlap`.
    pub kind: String,
    pub what: String,
}

impl Note {
    pub(crate) fn new(kind: &str, what: impl Into<String>) -> Note {
        Note {
            kind: kind.to_owned(),
            what: what.into(),
        }
    }
}

/// Why files gave no series.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    #[error("no requests in it")]
    Empty,
    #[error(
        "{refused} of {lines} lines are no requests; it looks like a log of another format. \
         First: {first}"
    )]
    OtherFormat {
        refused: u64,
        lines: u64,
        first: String,
    },
    #[error("from {from} to {to} are more than {MINUTES_MAX} minutes; is a clock wrong?")]
    TooLong { from: String, to: String },
    #[error("{0}")]
    Shape(String),
    #[error("two sources tell of route {0:?} in the same minute and do not agree")]
    Overlap(String),
}

impl Series {
    /// Several sources as one: their minutes side by side. Where two tell of the same minute of a
    /// route, they must agree.
    pub fn merged(all: Vec<Series>) -> Result<Series, SeriesError> {
        let from = all.iter().map(|one| one.from_minute).min();
        let until = all.iter().map(|one| one.from_minute + one.minutes as i64);
        let (from, until) = from.zip(until.max()).ok_or(SeriesError::Empty)?;
        let minutes = span(from, until)?;
        let mut grid: BTreeMap<String, Route> = BTreeMap::new();
        let (mut journeys, mut days) = (BTreeMap::new(), BTreeMap::new());
        let (mut notes, mut dispersions) = (Vec::new(), Vec::new());
        for one in all {
            let offset = (one.from_minute - from) as usize;
            let weight: f64 = one.days.iter().map(|day| day.requests).sum();
            dispersions.extend(one.dispersion.map(|d| (d, weight)));
            for route in one.routes {
                let entry = grid.entry(route.route.clone()).or_insert_with(|| Route {
                    route: route.route.clone(),
                    requests: vec![None; minutes],
                    dispersion: route.dispersion,
                });
                entry.dispersion = entry.dispersion.or(route.dispersion);
                for (place, found) in route.requests.into_iter().enumerate() {
                    let Some(found) = found else { continue };
                    match &mut entry.requests[offset + place] {
                        Some(known) if (*known - found).abs() > 1e-6 => {
                            return Err(SeriesError::Overlap(route.route));
                        }
                        cell => *cell = Some(found),
                    }
                }
            }
            for step in one.journeys {
                *journeys.entry((step.from, step.to)).or_insert(0) += step.count;
            }
            for day in one.days {
                let known: &mut (u64, u64, bool) =
                    days.entry(day.day).or_insert((0, 0, day.dau.is_some()));
                known.2 &= day.dau.is_some();
                // People of two logs of one day may be the same: the larger is what is sure.
                known.0 = known.0.max(day.dau.unwrap_or(0));
                known.1 += day.visits.unwrap_or(0);
            }
            notes.extend(one.notes);
        }
        let people = |day: &str| {
            let known = days.get(day).filter(|known| known.2);
            known.map(|known| (known.0, known.1))
        };
        let weights: f64 = dispersions.iter().map(|(_, weight)| weight).sum();
        let sum: f64 = dispersions.iter().map(|(d, weight)| d * weight).sum();
        let mut routes: Vec<Route> = grid.into_values().collect();
        fill(&mut routes);
        let mut series = Series {
            version: 1,
            from_minute: from,
            minutes,
            days: days_of(from, &routes, people),
            routes,
            journeys: steps(journeys),
            dispersion: (weights > 0.0).then(|| rounded(sum / weights)),
            notes,
        };
        series.settle();
        Ok(series)
    }

    /// Puts everything into its order and notes gaps and empty days.
    pub(crate) fn settle(&mut self) {
        let total = |route: &Route| route.requests.iter().flatten().sum::<f64>();
        self.routes.sort_by(|a, b| {
            let by_size = total(b).total_cmp(&total(a));
            by_size.then_with(|| a.route.cmp(&b.route))
        });
        let gaps: Vec<Note> = self.gaps().collect();
        let kept = ["gap", "empty_day"];
        self.notes.retain(|note| !kept.contains(&&*note.kind));
        self.notes.extend(gaps);
        for day in self.days.iter().filter(|day| day.minutes == 0) {
            let what = format!("{} has no data at all: missing, not nought", day.day);
            self.notes.push(Note::new("empty_day", what));
        }
        let all = self.notes.len();
        self.notes.truncate(NOTES_MAX);
        if all > NOTES_MAX {
            let what = format!("and {} more", all - NOTES_MAX);
            self.notes.push(Note::new("gap", what));
        }
    }

    fn gaps(&self) -> impl Iterator<Item = Note> + '_ {
        let missing = |minute: usize| {
            let mut routes = self.routes.iter();
            routes.all(|route| route.requests.get(minute).is_some_and(Option::is_none))
        };
        let mut minute = 0;
        std::iter::from_fn(move || {
            while minute < self.minutes && !missing(minute) {
                minute += 1;
            }
            let from = minute;
            while minute < self.minutes && missing(minute) {
                minute += 1;
            }
            (from < minute).then(|| {
                let at = |minute: usize| minute_text(self.from_minute + minute as i64);
                let count = minute - from;
                let what = format!("no data from {} to {}: {count} min", at(from), at(minute));
                Note::new("gap", what)
            })
        })
    }
}

/// A route that was not asked in a minute in which others were had nought requests there.
fn fill(routes: &mut [Route]) {
    let minutes = routes.first().map_or(0, |route| route.requests.len());
    for minute in 0..minutes {
        if routes.iter().any(|route| route.requests[minute].is_some()) {
            for route in &mut *routes {
                route.requests[minute].get_or_insert(0.0);
            }
        }
    }
}

fn span(from: i64, until: i64) -> Result<usize, SeriesError> {
    let minutes = u64::try_from(until - from).unwrap_or(0);
    if minutes > MINUTES_MAX {
        let (from, to) = (minute_text(from), minute_text(until));
        return Err(SeriesError::TooLong { from, to });
    }
    Ok(minutes as usize)
}

fn days_of(from: i64, routes: &[Route], people: impl Fn(&str) -> Option<(u64, u64)>) -> Vec<Day> {
    let minutes = routes.first().map_or(0, |route| route.requests.len());
    let mut days: Vec<Day> = Vec::new();
    for minute in 0..minutes {
        let day = minute_text(from + minute as i64);
        let day = &day[..10];
        if days.last().is_none_or(|last| last.day != day) {
            let known = people(day);
            days.push(Day {
                day: day.to_owned(),
                minutes: 0,
                requests: 0.0,
                dau: known.map(|known| known.0),
                visits: known.map(|known| known.1),
            });
        }
        let here = routes.iter().filter_map(|route| route.requests[minute]);
        let (count, sum) = here.fold((0, 0.0), |(count, sum), n| (count + 1, sum + n));
        if let Some(last) = days.last_mut() {
            last.minutes += u32::from(count > 0);
            last.requests += sum;
        }
    }
    days
}

fn steps(journeys: BTreeMap<(String, String), u64>) -> Vec<Step> {
    let steps = journeys.into_iter();
    let steps = steps.map(|((from, to), count)| Step { from, to, count });
    let mut steps: Vec<Step> = steps.collect();
    steps.sort_by_key(|step| std::cmp::Reverse(step.count));
    steps
}

/// Six digits are enough, and the same on every machine.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// `2015-05-17T10:05Z` of a minute since 1970.
#[must_use]
pub fn minute_text(minute: i64) -> String {
    let at = u64::try_from(minute)
        .unwrap_or(0)
        .saturating_mul(60_000_000);
    let text = crate::time::instant_text(at);
    format!("{}Z", text.get(..16).unwrap_or(&text))
}
