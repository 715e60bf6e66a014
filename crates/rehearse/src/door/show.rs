//! The door's section of the report: rows for table and page, and charts over the seconds.

use super::{DoorFigures, DoorSecond};
use crate::limits::DOOR_ROWS_SHOWN_MAX;
use crate::table::{pairs, percent};
use picture::{Kind, Section, Series, thousands};

const TITLE: &str = "The front door, by its own count (the audit uses none of it)";

pub(crate) fn sections(door: &DoorFigures) -> Vec<Section> {
    let mut all = vec![overview(door), routes(door), classes(door), rules(door)];
    // A door without rules, or one that did not tell its routes.
    all.retain(|section| !section.rows.is_empty());
    all
}

fn overview(door: &DoorFigures) -> Section {
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut row = |what: &str, value: String| rows.push((what.to_owned(), value));
    row("requests through the door", thousands(door.requests));
    row("served", thousands(door.served));
    if let Some(admitted) = door.admitted_share {
        row("let in, of what came", percent(admitted));
    }
    for (code, count) in &door.refused {
        let what = format!("refused: {code}{}", in_words(code));
        row(&what, thousands(*count));
    }
    if door.refused.is_empty() {
        row("refused", thousands(0));
    }
    row("held in the waiting room", thousands(door.held_in_room));
    row("answered by a switch", thousands(door.by_switch));
    for switch in &door.switches {
        let value = format!("{} s, turned {}", switch.on_readings, switch.turned);
        row(&format!("switch {} on for", switch.name), value);
    }
    for breaker in &door.breakers {
        let (trips, tripped) = (breaker.trips, breaker.tripped_readings);
        let value = format!("{trips}, {tripped} s in all");
        row(&format!("breaker of {} tripped", breaker.upstream), value);
    }
    match &door.overload {
        Some(overload) => {
            let limits = (overload.limit_lowest, overload.limit_highest);
            let value = format!("{} to {}", thousands(limits.0), thousands(limits.1));
            row("overload control: may be under way", value);
            let peak = thousands(overload.in_flight_peak);
            row("overload control: under way, peak", peak);
        }
        None => row("overload control", "off in this door".to_owned()),
    }
    let failed = door.readings_failed;
    row(
        "readings, failed ones, restarts",
        format!("{}, {failed}, {}", door.readings, door.restarts),
    );
    let rows = rows
        .iter()
        .map(|(what, value)| (what.as_str(), value.clone()));
    pairs(TITLE, rows.collect())
}

/// What a code means where its name does not say it.
fn in_words(code: &str) -> &'static str {
    match code {
        "gone_for_now" => " (sold out at the door)",
        "under_way" => " (the same key is being worked on)",
        _ => "",
    }
}

fn routes(door: &DoorFigures) -> Section {
    let row = |name: &str, class: &str, counts: [u64; 3]| {
        let mut cells = vec![name.to_owned(), class.to_owned()];
        cells.extend(counts.map(thousands));
        cells
    };
    let shown = door.routes.iter().take(DOOR_ROWS_SHOWN_MAX);
    let mut rows: Vec<Vec<String>> = shown
        .map(|route| {
            let counts = [route.requests, route.refused, route.failed];
            row(&route.name, &route.class, counts)
        })
        .collect();
    let rest = door.routes.iter().skip(DOOR_ROWS_SHOWN_MAX);
    let sums = rest.fold([0; 3], |[requests, refused, failed], route| {
        [
            requests + route.requests,
            refused + route.refused,
            failed + route.failed,
        ]
    });
    if door.routes.len() > DOOR_ROWS_SHOWN_MAX {
        rows.push(row("all others", "", sums));
    }
    Section {
        title: "The front door: routes",
        head: vec!["", "class", "requests", "refused", "failed (5xx)"],
        rows,
    }
}

fn classes(door: &DoorFigures) -> Section {
    let row = |class: &super::DoorClass| {
        let mut cells = vec![class.name.clone()];
        cells.extend([class.requests, class.refused, class.shed].map(thousands));
        cells
    };
    Section {
        title: "The front door: classes",
        head: vec!["", "requests", "refused", "of them shed"],
        rows: door.classes.iter().map(row).collect(),
    }
}

fn rules(door: &DoorFigures) -> Section {
    let row = |rule: &super::DoorRule| {
        let mut cells = vec![rule.name.clone()];
        let counts = [
            rule.allowed,
            rule.refused,
            rule.shadow_refused,
            rule.near_limit,
            rule.keys_peak,
        ];
        cells.extend(counts.map(thousands));
        cells
    };
    let head = vec!["", "allowed", "refused", "(shadow)", "near", "keys, peak"];
    let shown = door.rules.iter().take(DOOR_ROWS_SHOWN_MAX);
    Section {
        title: "The front door: limits",
        head,
        rows: shown.map(row).collect(),
    }
}

/// Title, unit, kind and series of each chart.
pub(crate) fn charts(door: &DoorFigures) -> Vec<(&'static str, &'static str, Kind, Vec<Series>)> {
    let series = |name: &str, class: &'static str, of: fn(&DoorSecond) -> f64| Series {
        name: name.to_owned(),
        class,
        values: door.seconds.iter().map(of).collect(),
    };
    let did = vec![
        series("served", "c2", |s| s.served as f64),
        series("sold out at the door", "c5", |s| s.gone as f64),
        series("rate-limited", "c3", |s| s.rate_limited as f64),
        series("shed", "c7", |s| s.shed as f64),
        series("refused otherwise", "c4", |s| s.refused_otherwise as f64),
        series("held in the waiting room", "c1", |s| s.held_in_room as f64),
        series("answered by a switch", "c8", |s| s.by_switch as f64),
    ];
    let title = "What the front door did in each second, by its own count";
    let mut charts = vec![(title, "1/s", Kind::Stacked, did)];
    if door.overload.is_some() {
        let or_none = |value: Option<u64>| value.map_or(f64::NAN, |value| value as f64);
        let view = [
            (
                "under way",
                "c1",
                door.seconds.iter().map(|s| s.in_flight).collect(),
            ),
            (
                "may be under way",
                "c5",
                door.seconds.iter().map(|s| s.in_flight_limit).collect(),
            ),
        ];
        let lines = view.map(
            |(name, class, values): (&str, _, Vec<Option<u64>>)| Series {
                name: name.to_owned(),
                class,
                values: values.into_iter().map(or_none).collect(),
            },
        );
        let title = "Overload control at the front door: requests under way, as read each second";
        charts.push((title, "requests", Kind::Lines, lines.into()));
        let share = series("let in, of what came", "c2", |s| {
            s.admitted_share.map_or(f64::NAN, |share| share * 100.0)
        });
        charts.push((
            "Share that the front door let in",
            "%",
            Kind::Lines,
            vec![share],
        ));
    }
    charts
}
