//! From requests to a series. Requests come in the order of a recording; they are counted as they
//! come, so a log of any length is read once in bounded memory. It must not know formats.

use super::limits::{
    BURST_REQUESTS_MIN, CELLS_MAX, CLOCK_BACK_LINES, CLOCK_BACK_SECONDS, DAY_CLIENTS_MAX,
    GAP_MINUTES_MIN, GAP_REQUESTS, REFUSED_PERCENT_MAX, ROUTE_SERIES_MAX, SESSIONS_MAX,
};
use super::{Note, Route, Series, SeriesError, days_of, minute_text, rounded, span, steps};
use crate::error::ReadError;
use crate::limits::SESSION_GAP_US;
use crate::seen::Seen;
use crate::template::Templates;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// What everything beyond the bound on routes is counted as.
const OTHERS: &str = "(others)";

/// Counts requests.
#[derive(Debug, Default)]
pub struct FromLog {
    lines: u64,
    refused: u64,
    first_refused: Option<String>,
    numbers: HashMap<String, u32>,
    names: Vec<String>,
    /// By minute and route.
    counts: BTreeMap<(i64, u32), u32>,
    days: BTreeMap<i64, People>,
    sessions: HashMap<u64, (u64, u32)>,
    journeys: BTreeMap<(Option<u32>, u32), u64>,
    bursts: BTreeMap<u32, Burst>,
    total: Burst,
    high_us: u64,
    back: u32,
    clientless: u64,
    notes: Vec<Note>,
}

#[derive(Debug, Default)]
struct People {
    clients: HashSet<u64>,
    visits: u64,
}

/// The seconds of the minute that is being read, and what earlier minutes told.
#[derive(Debug, Default)]
struct Burst {
    minute: i64,
    seconds: Vec<u32>,
    /// Sums over minutes, weighted by their requests.
    weight: f64,
    dispersion: f64,
}

impl FromLog {
    pub fn take(&mut self, next: &Result<Seen, ReadError>, templates: &Templates) {
        self.lines += 1;
        match next {
            Ok(seen) => self.count(seen, templates),
            Err(error) => {
                self.refused += 1;
                self.first_refused.get_or_insert_with(|| error.to_string());
            }
        }
    }

    fn count(&mut self, seen: &Seen, templates: &Templates) {
        self.clock(seen.at_us);
        let route = self.number(format!("{} {}", seen.method, templates.of(seen.path())));
        let minute = (seen.at_us / 60_000_000) as i64;
        *self.counts.entry((minute, route)).or_insert(0) += 1;
        let second = (seen.at_us / 1_000_000 % 60) as usize;
        self.bursts.entry(route).or_default().count(minute, second);
        self.total.count(minute, second);
        let Some(client) = &seen.client else {
            self.clientless += 1;
            return;
        };
        let mut hasher = DefaultHasher::new();
        (client, seen.header("user-agent")).hash(&mut hasher);
        let client = hasher.finish();
        let people = self.days.entry(minute.div_euclid(1_440)).or_default();
        if people.clients.len() < DAY_CLIENTS_MAX {
            people.clients.insert(client);
        }
        let before = self.sessions.get(&client).copied();
        let same = before.filter(|(at, _)| seen.at_us.saturating_sub(*at) <= SESSION_GAP_US);
        people.visits += u64::from(same.is_none());
        let step = (same.map(|(_, route)| route), route);
        *self.journeys.entry(step).or_insert(0) += 1;
        if self.sessions.len() >= SESSIONS_MAX {
            let old = seen.at_us.saturating_sub(SESSION_GAP_US);
            self.sessions.retain(|_, (at, _)| *at >= old);
        }
        if self.sessions.len() < SESSIONS_MAX {
            self.sessions.insert(client, (seen.at_us, route));
        }
    }

    fn number(&mut self, name: String) -> u32 {
        let next = self.names.len() as u32;
        if let Some(number) = self.numbers.get(&name) {
            return *number;
        }
        // Which routes are kept is decided in the end, by size.
        let most = crate::limits::ENDPOINT_SERIES_MAX;
        if self.names.len() >= most {
            return self.numbers.get(OTHERS).copied().unwrap_or(next - 1);
        }
        let name = if self.names.len() + 1 == most {
            OTHERS.to_owned()
        } else {
            name
        };
        self.names.push(name.clone());
        self.numbers.insert(name, next);
        next
    }

    /// Lines are written when requests end, so a few come late. Many in a row that are long before
    /// what was read are another clock.
    fn clock(&mut self, at_us: u64) {
        if at_us + CLOCK_BACK_SECONDS * 1_000_000 >= self.high_us {
            self.high_us = self.high_us.max(at_us);
            self.back = 0;
            return;
        }
        self.back += 1;
        if self.back == CLOCK_BACK_LINES {
            let minutes = (self.high_us - at_us) / 60_000_000;
            let text = |us: u64| minute_text((us / 60_000_000) as i64);
            let what = format!(
                "the clock went back by {minutes} min, from {} to {}: what was recorded there is \
                 counted twice",
                text(self.high_us),
                text(at_us)
            );
            self.notes.push(Note::new("clock", what));
            self.high_us = at_us;
            self.back = 0;
        }
    }

    /// The series of all that was counted.
    pub fn finish(mut self) -> Result<Series, SeriesError> {
        if self.refused * 100 > self.lines * REFUSED_PERCENT_MAX {
            return Err(SeriesError::OtherFormat {
                refused: self.refused,
                lines: self.lines,
                first: self.first_refused.unwrap_or_default(),
            });
        }
        if self.refused > 0 {
            let first = self.first_refused.as_deref().unwrap_or_default();
            let what = format!("{} lines are no requests. First: {first}", self.refused);
            self.notes.push(Note::new("refused", what));
        }
        let first = self
            .counts
            .first_key_value()
            .map(|((minute, _), _)| *minute);
        let last = self.counts.last_key_value().map(|((minute, _), _)| *minute);
        let (from, last) = first.zip(last).ok_or(SeriesError::Empty)?;
        let minutes = span(from, last + 1)?;
        let kept = self.kept(minutes);
        let known = self.known(from, minutes);
        let mut grid: BTreeMap<&str, Vec<Option<f64>>> = BTreeMap::new();
        let empty: Vec<Option<f64>> = known.iter().map(|known| known.then_some(0.0)).collect();
        for ((minute, route), count) in &self.counts {
            let name = kept.get(route).map_or(OTHERS, String::as_str);
            let row = grid.entry(name).or_insert_with(|| empty.clone());
            let cell = row[(minute - from) as usize].get_or_insert(0.0);
            *cell += f64::from(*count);
        }
        let routes: Vec<Route> = grid
            .into_iter()
            .map(|(name, requests)| Route {
                route: name.to_owned(),
                requests,
                dispersion: self
                    .numbers
                    .get(name)
                    .and_then(|number| self.bursts.get_mut(number)?.settled()),
            })
            .collect();
        let mut journeys = BTreeMap::new();
        for ((from, to), count) in &self.journeys {
            let name = |route: &u32| kept.get(route).map_or(OTHERS, String::as_str).to_owned();
            let from = from.as_ref().map_or(String::new(), name);
            *journeys.entry((from, name(to))).or_insert(0) += count;
        }
        let people = |day: &str| {
            let number = day_number(from, day, minutes)?;
            let people = self.days.get(&number)?;
            Some((people.clients.len() as u64, people.visits))
        };
        let mut series = Series {
            version: 1,
            from_minute: from,
            minutes,
            days: days_of(from, &routes, people),
            routes,
            journeys: steps(journeys),
            dispersion: self.total.settled(),
            notes: self.notes,
        };
        series.settle();
        Ok(series)
    }

    /// The names of the busiest routes, as many as there is room for.
    fn kept(&mut self, minutes: usize) -> BTreeMap<u32, String> {
        let mut sizes: BTreeMap<u32, u64> = BTreeMap::new();
        for ((_, route), count) in &self.counts {
            *sizes.entry(*route).or_insert(0) += u64::from(*count);
        }
        let mut sizes: Vec<(u32, u64)> = sizes.into_iter().collect();
        sizes.sort_by_key(|(route, size)| (std::cmp::Reverse(*size), *route));
        let room = (CELLS_MAX / minutes.max(1) as u64).max(2) as usize;
        let most = ROUTE_SERIES_MAX.min(room);
        if sizes.len() > most {
            let rest: u64 = sizes[most - 1..].iter().map(|(_, size)| size).sum();
            let what = format!(
                "{} routes; the {} rarest, with {rest} requests, are counted as {OTHERS}",
                sizes.len(),
                sizes.len() - (most - 1)
            );
            self.notes.push(Note::new("routes", what));
            sizes.truncate(most - 1);
        }
        let name = |(route, _): (u32, u64)| (route, self.names[route as usize].clone());
        sizes.into_iter().map(name).collect()
    }

    /// Which minutes have data. A silence is data where it may be chance, and missing where it
    /// would have had [`GAP_REQUESTS`] requests at the rate of the log's quiet hours.
    fn known(&self, from: i64, minutes: usize) -> Vec<bool> {
        let mut known = vec![false; minutes];
        let mut hours: BTreeMap<i64, u64> = BTreeMap::new();
        for ((minute, _), count) in &self.counts {
            known[(minute - from) as usize] = true;
            *hours.entry(minute.div_euclid(60)).or_insert(0) += u64::from(*count);
        }
        let mut rates: Vec<u64> = hours.into_values().collect();
        rates.sort_unstable();
        let quiet = rates.get(rates.len() / 10).copied().unwrap_or(1).max(1) as f64 / 60.0;
        let gap = ((GAP_REQUESTS / quiet).ceil() as u64).max(GAP_MINUTES_MIN) as usize;
        let mut at = 0;
        while at < minutes {
            let silent = known[at..].iter().take_while(|known| !**known).count();
            if silent < gap {
                known[at..at + silent].fill(true);
            }
            at += silent.max(1);
        }
        known
    }
}

impl Burst {
    fn count(&mut self, minute: i64, second: usize) {
        if self.seconds.is_empty() || minute > self.minute {
            self.close();
            self.minute = minute;
            self.seconds = vec![0; 60];
        }
        // What comes late belongs to a minute that is closed.
        if minute == self.minute {
            self.seconds[second] += 1;
        }
    }

    fn close(&mut self) {
        let sum: u32 = self.seconds.iter().sum();
        if sum < BURST_REQUESTS_MIN {
            return;
        }
        let mean = f64::from(sum) / 60.0;
        let squares = self.seconds.iter().map(|n| (f64::from(*n) - mean).powi(2));
        let variance = squares.sum::<f64>() / 59.0;
        self.weight += f64::from(sum);
        self.dispersion += f64::from(sum) * variance / mean;
    }

    fn settled(&mut self) -> Option<f64> {
        self.close();
        self.seconds.clear();
        (self.weight > 0.0).then(|| rounded(self.dispersion / self.weight))
    }
}

/// Which day since 1970 a text of the series is.
fn day_number(from: i64, day: &str, minutes: usize) -> Option<i64> {
    let first = from.div_euclid(1_440);
    let last = (from + minutes as i64).div_euclid(1_440);
    (first..=last).find(|number| minute_text(number * 1_440).starts_with(day))
}
