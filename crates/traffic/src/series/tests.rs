//! Logs, answers of Prometheus and CSV as series: counts, people, gaps, clocks, other formats.

use super::{FromLog, Meaning, SCHEMA, Series, SeriesError, csv, is_prometheus, prometheus};
use crate::template::Learner;
use crate::{Options, read};
use std::collections::BTreeSet;
use std::io::Cursor;

fn of_log(text: &str) -> Result<Series, SeriesError> {
    let open = || read(Box::new(Cursor::new(text.to_owned())), &Options::default()).unwrap();
    let mut learner = Learner::new(Vec::new());
    open().flatten().for_each(|seen| learner.learn(seen.path()));
    let templates = learner.finish();
    let mut series = FromLog::default();
    open().for_each(|next| series.take(&next, &templates));
    series.finish()
}

fn line(client: &str, at_s: i64, path: &str) -> String {
    let at = jiff::Timestamp::from_second(1_431_857_100 + at_s).unwrap();
    let at = at.strftime("%d/%b/%Y:%H:%M:%S +0000");
    format!("{client} - - [{at}] \"GET {path} HTTP/1.1\" 200 9 \"-\" \"x\"\n")
}

fn kinds(series: &Series) -> Vec<&str> {
    series.notes.iter().map(|note| &*note.kind).collect()
}

#[test]
fn a_log_becomes_minutes_people_and_steps() {
    let mut text = String::new();
    for (client, at, path) in [
        ("10.0.0.1", 0, "/"),
        ("10.0.0.1", 5, "/p/7"),
        ("10.0.0.2", 70, "/"),
        ("10.0.0.1", 4_000, "/"),
    ] {
        text += &line(client, at, path);
    }
    let series = of_log(&text).unwrap();
    assert_eq!(series.minutes, 67);
    let home = &series.routes[0];
    assert_eq!(
        (&*home.route, home.requests[0], home.requests[1]),
        ("GET /", Some(1.0), Some(1.0))
    );
    assert_eq!(
        home.requests[2],
        Some(0.0),
        "a silence that may be chance is nought"
    );
    assert_eq!(series.routes[1].route, "GET /p/{n}");
    let day = &series.days[0];
    assert_eq!((day.dau, day.visits, day.requests), (Some(2), Some(3), 4.0));
    let step = series
        .journeys
        .iter()
        .find(|step| step.from == "GET /")
        .unwrap();
    assert_eq!((&*step.to, step.count), ("GET /p/{n}", 1));
}

#[test]
fn a_gap_an_empty_day_and_a_clock_are_told() {
    let minute = |from: i64, count: i64| -> String {
        (from..from + count)
            .map(|at| line("10.0.0.1", at * 2, "/"))
            .collect()
    };
    let gap = of_log(&(minute(0, 600) + &minute(3_000, 600))).unwrap();
    assert_eq!(kinds(&gap), ["gap"]);
    assert_eq!(gap.routes[0].requests[50], None, "missing, not nought");
    let two_days = of_log(&(minute(0, 600) + &minute(2 * 43_200, 600))).unwrap();
    assert_eq!(kinds(&two_days), ["gap", "empty_day"]);
    assert_eq!(two_days.days[1].minutes, 0);
    let back = of_log(&(minute(3_000, 900) + &minute(1_200, 1_800))).unwrap();
    assert!(kinds(&back).contains(&"clock"), "{:?}", back.notes);
    let told = back.notes.iter().find(|note| note.kind == "clock").unwrap();
    assert!(
        told.what.starts_with("the clock went back by 89 min"),
        "{}",
        told.what
    );
    assert_eq!(kinds(&of_log(&minute(0, 600)).unwrap()), [""; 0]);
}

#[test]
fn a_log_of_another_format_is_refused() {
    let junk = "Nov 21 10:00:00 host sshd[7]: no\n".repeat(30);
    let error = of_log(&(line("10.0.0.1", 0, "/") + &junk)).unwrap_err();
    assert!(
        matches!(
            error,
            SeriesError::OtherFormat {
                refused: 30,
                lines: 31,
                ..
            }
        ),
        "{error}"
    );
    let some = (0..90)
        .map(|at| line("10.0.0.1", at, "/"))
        .collect::<String>()
        + &junk;
    assert_eq!(kinds(&of_log(&some).unwrap()), ["refused"]);
}

#[test]
fn bursts_are_measured_within_minutes() {
    let even: String = (0..1_200).map(|at| line("10.0.0.1", at / 2, "/")).collect();
    let bursty: String = (0..1_200)
        .map(|at| line("10.0.0.1", at / 20 * 10, "/"))
        .collect();
    let of = |text: &str| of_log(text).unwrap().dispersion.unwrap();
    assert_eq!(of(&even), 0.0);
    // Twenty at once every ten seconds: mean 2, variance 36.6.
    assert!((of(&bursty) - 18.3).abs() < 0.1, "{}", of(&bursty));
}

const ANSWER: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[
 {"metric":{"__name__":"r","method":"GET","route":"/","instance":"a"},
  "values":[[1431857100,"2"],[1431857130,"4"],[1431857280,"1"],[1431857340,"NaN"]]},
 {"metric":{"method":"GET","route":"/","instance":"b"},"values":[[1431857100,"1"]]}]}}"#;

#[test]
fn an_answer_of_prometheus_becomes_minutes() {
    assert!(is_prometheus(ANSWER) && !is_prometheus("{\"time\":1}"));
    let series = prometheus(ANSWER, Meaning::PerSecond).unwrap();
    let [route] = series.routes.as_slice() else {
        panic!()
    };
    assert_eq!(route.route, "GET /");
    assert_eq!(route.requests, [Some(240.0), None, None, Some(60.0)]);
    let counter = ANSWER
        .replace("\"4\"", "\"32\"")
        .replace("\"1\"],[1431857340", "\"182\"],[1431857340");
    let series = prometheus(&counter, Meaning::Counter).unwrap();
    assert_eq!(
        series.routes[0].requests,
        [Some(60.0), None, None, Some(60.0)]
    );
    for (from, to, expected) in [
        ("matrix", "vector", "found a vector"),
        ("\"4\"", "\"-4\"", "found -4 requests"),
        ("\"4\"", "\"many\"", "expected a number"),
        ("success", "error", "expected \"success\""),
    ] {
        let error = prometheus(&ANSWER.replace(from, to), Meaning::PerSecond).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn csv_becomes_minutes() {
    let good = "time,route,requests\n2026-11-01T00:00:00Z,a,60\n2026-11-01T00:00:30Z,b,6\n\
                2026-11-01T00:02:00+00:00,a,3\n2026-11-01T00:03:00Z,a,\n2026-11-01T00:04:00Z,a,1\n";
    let series = csv(good).unwrap();
    assert_eq!(
        series.routes[0].requests,
        [Some(60.0), None, Some(3.0), None, Some(1.0)]
    );
    assert_eq!(
        series.routes[1].requests,
        [Some(6.0), None, Some(0.0), None, Some(0.0)]
    );
    for (text, expected) in [
        ("time,route\n", "line 1: no column requests"),
        (
            "time,route,requests\nsoon,a,1\n",
            "line 2, time: found \"soon\"",
        ),
        (
            "time,route,requests\n2026-11-01T00:00:00Z,a,-1\n",
            "line 2, requests: found \"-1\"",
        ),
        ("time,route,requests\n", "no requests in it"),
        (
            "time,route,requests\n1999-01-01T00:00:00Z,a,1\n2026-11-01T00:00:00Z,a,1\n",
            "is a clock",
        ),
    ] {
        let error = csv(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn sources_are_put_side_by_side() {
    let one = |at: &str, n: u32| csv(&format!("time,route,requests\n{at},a,{n}\n")).unwrap();
    let (a, b) = (
        one("2026-11-01T00:00:00Z", 1),
        one("2026-11-01T00:02:00Z", 2),
    );
    let both = Series::merged(vec![b, a.clone()]).unwrap();
    assert_eq!(both.routes[0].requests, [Some(1.0), None, Some(2.0)]);
    let other = Series::merged(vec![a, one("2026-11-01T00:00:00Z", 7)]);
    assert!(matches!(other, Err(SeriesError::Overlap(_))));
}

#[test]
fn the_schema_names_the_members_of_the_file() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let text = line("10.0.0.1", 0, "/") + "no request\n" + &line("10.0.0.2", 0, "/");
    let found = serde_json::to_value(of_log(&text).unwrap()).unwrap();
    check(&schema, &found);
}

fn check(schema: &serde_json::Value, found: &serde_json::Value) {
    if let Some(found) = found.as_object() {
        let named = schema["properties"].as_object().expect("properties");
        let keys = |map: &serde_json::Map<_, _>| map.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(keys(named), keys(found));
        found
            .iter()
            .for_each(|(key, value)| check(&named[key], value));
    } else if let Some(items) = found.as_array() {
        assert!(schema["type"] == "array", "{schema}");
        items.iter().for_each(|item| check(&schema["items"], item));
    }
}
