//! Series that others made: answers of Prometheus to range queries, and CSV. A sample that is not
//! there is missing data. It must not know logs.

use super::{Route, Series, SeriesError, days_of, rounded, span};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What the values of Prometheus are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Meaning {
    /// Requests a second, as `rate()` gives them.
    #[default]
    PerSecond,
    /// Requests since the start, which never fall but at a restart.
    Counter,
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: Option<String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

/// Whether the start of a file is that of an answer of Prometheus.
#[must_use]
pub fn is_prometheus(head: &str) -> bool {
    let head = head.trim_start_matches('\u{feff}').trim_start();
    let compact: String = head
        .chars()
        .filter(|c| !c.is_whitespace())
        .take(512)
        .collect();
    compact.starts_with("{\"status\":\"") || compact.contains("\"resultType\"")
}

/// The answer of Prometheus to a range query.
pub fn prometheus(text: &str, meaning: Meaning) -> Result<Series, SeriesError> {
    let shape = |what: String| SeriesError::Shape(what);
    let answer: Answer = serde_json::from_str(text).map_err(|error| shape(error.to_string()))?;
    let data = answer.data.filter(|_| answer.status == "success");
    let data = data.ok_or_else(|| {
        let why = answer.error.as_deref().unwrap_or("no data");
        shape(format!(
            "status {:?}: {why}, expected \"success\"",
            answer.status
        ))
    })?;
    if data.result_type != "matrix" {
        let found = data.result_type;
        return Err(shape(format!(
            "found a {found}, expected a matrix, as /api/v1/query_range gives"
        )));
    }
    let mut cells: BTreeMap<String, BTreeMap<i64, (f64, u32)>> = BTreeMap::new();
    for line in data.result {
        let name = label(&line.metric);
        let mut of_line: BTreeMap<i64, (f64, u32)> = BTreeMap::new();
        let mut before: Option<(f64, f64)> = None;
        for (at, value) in line.values {
            let value: f64 = value
                .parse()
                .map_err(|_| shape(format!("{name}: found {value:?}, expected a number")))?;
            // Prometheus writes NaN where there is nothing to divide.
            if !value.is_finite() || !at.is_finite() {
                continue;
            }
            if value < 0.0 {
                let what = format!("{name}: found {value} requests, expected 0 or more");
                return Err(shape(what));
            }
            let rate = match (meaning, before.replace((at, value))) {
                (Meaning::PerSecond, _) => value,
                (Meaning::Counter, None) => continue,
                // A counter that fell began anew at nought.
                (Meaning::Counter, Some((since, last))) => {
                    let more = if value < last { value } else { value - last };
                    more / (at - since).max(1.0)
                }
            };
            let cell = of_line.entry((at / 60.0).floor() as i64).or_default();
            (cell.0, cell.1) = (cell.0 + rate * 60.0, cell.1 + 1);
        }
        // Several lines of one route, such as its instances, are added up.
        let sum = cells.entry(name).or_default();
        for (minute, (value, count)) in of_line {
            let cell = sum.entry(minute).or_default();
            (cell.0, cell.1) = (cell.0 + value / f64::from(count), 1);
        }
    }
    from_cells(cells, false)
}

/// What a line of Prometheus is called here.
fn label(metric: &BTreeMap<String, String>) -> String {
    let of = |names: &[&str]| names.iter().find_map(|name| metric.get(*name));
    let route = of(&[
        "route", "path", "uri", "handler", "endpoint", "service", "job",
    ]);
    match (of(&["method"]), route) {
        (Some(method), Some(route)) => format!("{method} {route}"),
        (None, Some(route)) => route.clone(),
        _ => {
            let all = metric.iter().filter(|(name, _)| *name != "__name__");
            let all: Vec<String> = all.map(|(name, value)| format!("{name}={value}")).collect();
            if all.is_empty() {
                "all".to_owned()
            } else {
                all.join(",")
            }
        }
    }
}

/// CSV with the columns `time,route,requests`: requests of a route in the minute of an instant.
pub fn csv(text: &str) -> Result<Series, SeriesError> {
    let shape = |what: String| SeriesError::Shape(what);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let heads = reader
        .headers()
        .map_err(|error| shape(error.to_string()))?
        .clone();
    let place = |name: &str| {
        let found = heads
            .iter()
            .position(|head| head.trim_start_matches('\u{feff}') == name);
        found.ok_or_else(|| {
            shape(format!(
                "line 1: no column {name}, expected time,route,requests"
            ))
        })
    };
    let (time, route, requests) = (place("time")?, place("route")?, place("requests")?);
    let mut cells: BTreeMap<String, BTreeMap<i64, (f64, u32)>> = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(|error| shape(error.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |place: usize| record.get(place).unwrap_or_default();
        let wrong = |name: &str, found: &str, expected: &str| {
            shape(format!(
                "line {line}, {name}: found {found:?}, expected {expected}"
            ))
        };
        let instant: Result<jiff::Timestamp, _> = cell(time).parse();
        let instant = instant.map_err(|_| {
            wrong(
                "time",
                cell(time),
                "an instant such as 2026-11-11T00:00:00Z",
            )
        })?;
        // A figure that is not there is missing data.
        if cell(requests).is_empty() {
            continue;
        }
        let count: Option<f64> = cell(requests).parse().ok();
        let count = count.filter(|count| count.is_finite() && *count >= 0.0);
        let count = count.ok_or_else(|| wrong("requests", cell(requests), "0 or more"))?;
        let minutes = cells.entry(cell(route).to_owned()).or_default();
        minutes
            .entry(instant.as_second().div_euclid(60))
            .or_default()
            .0 += count;
    }
    from_cells(cells, true)
}

/// In CSV, other routes' lines say that a minute was watched; Prometheus leaves nothing out.
fn from_cells(
    cells: BTreeMap<String, BTreeMap<i64, (f64, u32)>>,
    fill: bool,
) -> Result<Series, SeriesError> {
    let minutes = || cells.values().flat_map(|minutes| minutes.keys().copied());
    let (from, last) = minutes()
        .min()
        .zip(minutes().max())
        .ok_or(SeriesError::Empty)?;
    let long = span(from, last + 1)?;
    if cells.len() > super::ROUTE_SERIES_MAX {
        let most = super::ROUTE_SERIES_MAX;
        let what = format!("found {} routes, expected at most {most}", cells.len());
        return Err(SeriesError::Shape(what));
    }
    let mut routes: Vec<Route> = cells
        .into_iter()
        .map(|(route, minutes)| {
            let mut requests = vec![None; long];
            for (minute, (value, _)) in minutes {
                requests[(minute - from) as usize] = Some(rounded(value));
            }
            Route {
                route,
                requests,
                dispersion: None,
            }
        })
        .collect();
    if fill {
        super::fill(&mut routes);
    }
    let mut series = Series {
        version: 1,
        from_minute: from,
        minutes: long,
        days: days_of(from, &routes, |_| None),
        routes,
        journeys: Vec::new(),
        dispersion: None,
        notes: Vec::new(),
    };
    series.settle();
    Ok(series)
}
