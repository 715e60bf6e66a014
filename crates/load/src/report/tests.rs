//! Reports by examples: written, read back, compared.

use super::compare::{mann_whitney, two_proportions};
use super::*;
use crate::find::Step;
use crate::measure::{End, Measured, Named, Second};
use crate::search::{Found, Told};
use serde_json::Value;
use std::collections::BTreeSet;
use wire::report::{Build, Machine, Report, Verdict};

/// So many seconds of a hundred requests, their latencies around `ms`.
fn measured(seconds: u64, ms: u64, errors_per_s: u64) -> Measured {
    let mut named = Named::new("pay <now>", std::iter::once("paid".to_owned()));
    let mut all = Measured::new(Vec::new());
    for at in 0..seconds {
        let second = all.second(at * 1_000_000);
        second.arrived = 100;
        second.sent = 100;
        second.buyers = 3;
        second.connections = 2;
        for place in 0..100 {
            named.sent += 1;
            if place < errors_per_s {
                named.ends[End::TimedOut as usize] += 1;
                second.ends[End::TimedOut as usize] += 1;
                continue;
            }
            // Not the same in each second, and not alike in neighbours.
            let us = ms * 1_000 + (place * 37 + at * 7_919) % 101 * 20;
            named.ends[End::Good as usize] += 1;
            second.ends[End::Good as usize] += 1;
            second.latency.record(us);
            named.latency.record(us);
            named.service.record(us - 100);
        }
    }
    named.ends[End::Refused as usize] += 1;
    named.refusals.record(900);
    named.statuses.insert(500, 2);
    named.checks[0].passed = 7;
    all.named = vec![named];
    (all.planned, all.arrived) = (seconds * 100, seconds * 100);
    all.wall_us = seconds * 1_000_000;
    all.lag.record(40);
    all
}

fn about() -> About {
    About {
        scenario: "checkout".to_owned(),
        target: "http://127.0.0.1:1".to_owned(),
        thresholds: vec![ThresholdFigures {
            expression: "http_req_duration: p(95)<200".to_owned(),
            seen: Some("61.2 ms".to_owned()),
            held: true,
        }],
        stopped: false,
        remarks: vec!["a remark".to_owned()],
    }
}

fn ran() -> Ran {
    let word = || "x".to_owned();
    Ran {
        command: "seawall load run checkout.yaml".to_owned(),
        build: Build {
            version: word(),
            commit: word(),
            profile: word(),
        },
        machine: Machine {
            processor: word(),
            cores: 2,
            memory_mib: 1_024,
            system: word(),
        },
        started: "2026-11-11T00:00:00Z".to_owned(),
        seconds: 12.0,
    }
}

fn run_report(measured: &Measured) -> Report<Body> {
    envelope(Body::of_run(measured, about()), ran())
}

fn find_report() -> Report<Body> {
    let mut window = Second::default();
    window.ends[End::Good as usize] = 10;
    window.latency.record(5_000);
    let step = |per_s, told: Told| Step {
        per_s,
        long: false,
        window: window.clone(),
        seconds: 5,
        because: match told {
            Told::Held => Vec::new(),
            _ => vec!["p99<10ms is 12.0 ms".to_owned()],
        },
        told,
        cpu_share: 0.3,
        lag_p99_us: 50,
        latency_ms: None,
        used: Some(crate::metrics::Used {
            processors: Some(0.75),
            memory_bytes: Some(1_048_576.0),
            open_files: None,
        }),
    };
    let failed = Told::Failed {
        far: false,
        served_per_s: 100,
    };
    let steps = [step(100.0, Told::Held), step(200.0, failed)];
    let found = Found::Between {
        held_per_s: 100.0,
        failed_per_s: 200.0,
    };
    let asked = ["p99<10ms".parse().unwrap()];
    envelope(Body::of_find(&steps, &found, &asked, about()), ran())
}

const JTL: &str = "timeStamp,elapsed,label,responseCode,responseMessage,threadName,success,bytes,\
                   allThreads\n";

fn jtl(rows: &str) -> Result<Body, String> {
    read_jtl(format!("{JTL}{rows}").as_bytes())
}

const K6_EXPORT: &str = r#"{"metrics": {
  "http_req_duration": {"avg": 20.5, "min": 1, "med": 18, "max": 90, "p(90)": 40, "p(95)": 50,
    "thresholds": {"p(95)<45": true, "p(95)<60": false}},
  "http_req_duration{name:pay}": {"med": 30, "p(95)": 70},
  "http_req_failed": {"passes": 3, "fails": 97, "value": 0.03},
  "http_reqs": {"count": 100, "rate": 10},
  "iterations": {"count": 50, "rate": 5}, "dropped_iterations": {"count": 2},
  "data_received": {"count": 1000, "rate": 100}, "vus_max": {"value": 8}},
 "root_group": {"name": "", "checks": {"is 200": {"name": "is 200", "passes": 97, "fails": 3}},
  "groups": {"cart": {"name": "cart", "groups": {}, "checks":
    {"has": {"name": "has", "passes": 1, "fails": 0}}}}}}"#;

const K6_HANDLE: &str = r#"{"metrics": {
  "http_req_duration": {"type": "trend", "contains": "time",
    "values": {"avg": 20.5, "min": 1, "med": 18, "max": 90, "p(90)": 40, "p(95)": 50},
    "thresholds": {"p(95)<45": {"ok": false}, "p(95)<60": {"ok": true}}},
  "http_req_duration{name:pay}": {"type": "trend", "values": {"med": 30, "p(95)": 70}},
  "http_req_failed": {"type": "rate", "values": {"rate": 0.03, "passes": 3, "fails": 97}},
  "http_reqs": {"type": "counter", "values": {"count": 100, "rate": 10}},
  "iterations": {"type": "counter", "values": {"count": 50, "rate": 5}},
  "dropped_iterations": {"type": "counter", "values": {"count": 2}},
  "data_received": {"type": "counter", "values": {"count": 1000, "rate": 100}},
  "vus_max": {"type": "gauge", "values": {"value": 8, "min": 1, "max": 8}}},
 "state": {"testRunDurationMs": 10000},
 "root_group": {"name": "", "checks": [{"name": "is 200", "passes": 97, "fails": 3}],
  "groups": [{"name": "cart", "checks": [{"name": "has", "passes": 1, "fails": 0}]}]}}"#;

// ── what was measured ────────────────────────────────────────────────────────────────────────

#[test]
fn figures_are_those_that_were_measured() {
    let body = Body::of_run(&measured(12, 50, 2), about());
    let total = &body.total;
    assert_eq!((total.sent, total.errors), (Some(1_200), Some(24)));
    assert_eq!(total.ends["timed_out"], 24);
    assert_eq!(body.load.planned_per_s, Some(100.0));
    let p50 = total.latency_ms.as_ref().unwrap().p50.unwrap();
    assert!((50.0..53.0).contains(&p50), "{p50}");
    assert_eq!(body.seconds.len(), 12);
    let p99 = body.seconds[3].p99_ms.unwrap();
    assert!((51.5..53.5).contains(&p99), "{p99}");
    assert_eq!(body.seconds[3].reasons["timed_out"], 2);
    assert_eq!(body.requests[0].unexpected_statuses["500"], 2);
    assert_eq!(body.verdict(), Verdict::Holds);
}

#[test]
fn verdicts() {
    let good = Body::of_run(&measured(12, 50, 0), about());
    let mut broken = good.clone();
    broken.thresholds[0].held = false;
    assert_eq!(broken.verdict(), Verdict::Broken);
    let mut empty = good.clone();
    empty.requests[0].checks[0].passed = 0;
    assert_eq!(empty.verdict(), Verdict::Broken, "a check that never ran");
    let mut busy = measured(12, 50, 0);
    busy.busiest = 0.99;
    (0..busy.arrived.max(1_000)).for_each(|_| busy.lag.record(5_000));
    let mut invalid = Body::of_run(&busy, about());
    invalid.thresholds[0].held = false;
    assert_eq!(
        invalid.verdict(),
        Verdict::None,
        "it says nothing of the target"
    );
    for (report, errors, failures) in [
        (envelope(good, ran()), 0, 0),
        (envelope(broken, ran()), 0, 1),
        (envelope(empty, ran()), 0, 1),
        (envelope(invalid, ran()), 1, 1),
    ] {
        let xml = junit(&report);
        let counts = format!("tests=\"3\" failures=\"{failures}\" errors=\"{errors}\"");
        assert!(xml.contains(&counts), "{xml}");
        assert!(xml.contains("pay &lt;now&gt;: paid"), "{xml}");
    }
}

#[test]
fn tables_and_pages_show_the_same() {
    let report = run_report(&measured(12, 50, 2));
    let (text, html) = (table(&report), page(&report));
    for figure in ["1,200", "p(95)&lt;200", "timed_out", "61.2 ms", "a remark"] {
        assert!(html.contains(figure), "{figure}");
        let plain = figure.replace("&lt;", "<");
        assert!(text.contains(&plain), "{plain} in\n{text}");
    }
    for title in [
        "planned instant",
        "Throughput",
        "Errors by reason",
        "Percentiles",
    ] {
        assert!(html.contains(title), "{title}");
    }
    assert!(!html.contains("<now>"), "names are escaped");
    assert!(
        !html.contains("<script") && !html.contains("src="),
        "it stands alone"
    );
    let found = page(&find_report());
    assert!(found.contains("100.0/s hold, 200.0/s do not"));
    assert_eq!(found.matches("<circle").count(), 2, "a point a step");
}

// ── the schema ───────────────────────────────────────────────────────────────────────────────

/// What of JSON Schema ours uses; `seen` gathers the properties that were met.
fn invalid(
    root: &Value,
    schema: &Value,
    value: &Value,
    path: &str,
    seen: &mut BTreeSet<String>,
) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.strip_prefix("#/$defs/").unwrap();
        let path = format!("{name}:");
        return invalid(root, &root["$defs"][name], value, &path, seen);
    }
    let mut found = Vec::new();
    if let Some(any) = schema["anyOf"].as_array() {
        let tries = any.iter().map(|one| invalid(root, one, value, path, seen));
        return tries.min_by_key(Vec::len).unwrap();
    }
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("a type that ours has not: {other}"),
    };
    let good = match &schema["type"] {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap())),
        other => panic!("{path}: no type: {other}"),
    };
    if !good {
        found.push(format!("{path}: {value} is no {}", schema["type"]));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        found.push(format!("{path}: {value} is not in its enum"));
    }
    for item in value.as_array().into_iter().flatten() {
        found.extend(invalid(root, &schema["items"], item, path, seen));
    }
    let Some(object) = value.as_object() else {
        return found;
    };
    for name in schema["required"].as_array().into_iter().flatten() {
        if !object.contains_key(name.as_str().unwrap()) {
            found.push(format!("{path}: {name} is missing"));
        }
    }
    for (name, item) in object {
        let inner = schema["properties"].get(name);
        if inner.is_some() {
            seen.insert(format!("{path}.{name}"));
        }
        let open = Some(&schema["additionalProperties"]).filter(|open| open.is_object());
        match inner.or(open) {
            Some(inner) => {
                let path = format!("{path}.{name}");
                found.extend(invalid(root, inner, item, &path, seen));
            }
            None => found.push(format!("{path}: {name} is not in the schema")),
        }
    }
    found
}

fn properties(path: &str, schema: &Value, out: &mut BTreeSet<String>) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        out.insert(path.clone());
        properties(&path, inner, out);
    }
}

#[test]
fn reports_are_what_the_schema_says() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../schemas/load-report.json"
    );
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let foreign = |body: Body| envelope(body, ran());
    let reports = [
        run_report(&measured(12, 50, 2)),
        find_report(),
        foreign(read_k6(K6_EXPORT).unwrap()),
        foreign(jtl("1000,5,a,200,OK,t,true,10,1\n").unwrap()),
    ];
    let mut seen = BTreeSet::new();
    for report in &reports {
        let value = serde_json::to_value(report).unwrap();
        let found = invalid(&schema, &schema, &value, "", &mut seen);
        assert!(found.is_empty(), "{found:#?}");
        let back: Report<Body> = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(&back, report, "it reads back");
        let mut changed = value;
        changed["body"]["total"]["sent"] = "many".into();
        assert!(!invalid(&schema, &schema, &changed, "", &mut BTreeSet::new()).is_empty());
    }
    let mut all = BTreeSet::new();
    properties("", &schema, &mut all);
    for (name, inner) in schema["$defs"].as_object().unwrap() {
        properties(&format!("{name}:"), inner, &mut all);
    }
    let missing: Vec<_> = all.difference(&seen).collect();
    assert!(
        missing.is_empty(),
        "in the schema, and in no report: {missing:?}"
    );
}

// ── other people's ───────────────────────────────────────────────────────────────────────────

#[test]
fn both_shapes_of_k6_say_the_same() {
    let (export, handle) = (read_k6(K6_EXPORT).unwrap(), read_k6(K6_HANDLE).unwrap());
    assert_eq!(export, handle);
    assert_eq!(
        (export.total.sent, export.total.errors),
        (Some(100), Some(3))
    );
    assert_eq!(
        (export.load.planned, export.load.arrived),
        (Some(52), Some(50))
    );
    assert_eq!(export.load.seconds, Some(10.0));
    assert_eq!(export.load.buyers_max, Some(8));
    let service = export.total.service_ms.as_ref().unwrap();
    assert_eq!(
        (service.p50, service.p95, service.p99),
        (Some(18.0), Some(50.0), None)
    );
    assert_eq!(export.total.latency_ms, None, "k6 counts from the sending");
    let held: Vec<_> = export
        .thresholds
        .iter()
        .map(|t| (&*t.expression, t.held))
        .collect();
    let wanted = [
        ("http_req_duration: p(95)<45", false),
        ("http_req_duration: p(95)<60", true),
    ];
    assert_eq!(held, wanted, "true means crossed in --summary-export");
    assert_eq!(export.thresholds[0].seen.as_deref(), Some("50"));
    let checks: Vec<_> = export
        .checks()
        .map(|(_, check)| check.name.clone())
        .collect();
    assert_eq!(checks, ["is 200", "cart › has"]);
    assert_eq!(export.requests[0].name, "pay");
    assert_eq!(export.verdict(), Verdict::Broken);
}

#[test]
fn what_is_no_summary_is_told_where() {
    for (text, wanted) in [
        ("{\n\"metrics\": x}", "line 2, column 12"),
        ("{}", "metrics: missing"),
        ("{\"metrics\": {}}", "metrics.http_reqs.count: missing"),
        (
            "{\"metrics\": {\"a\": {\"thresholds\": {\"x\": 1}}}}",
            "metrics.a.thresholds.x",
        ),
    ] {
        let bad = read_k6(text).unwrap_err();
        assert!(bad.starts_with(wanted), "{bad}");
    }
}

#[test]
fn a_result_file_of_jmeter_is_counted() {
    let body = jtl(concat!(
        "1000,100,home,200,OK,t,true,10,3\n",
        "1500,700,home,503,Busy,t,false,5,4\n",
        "1900,200,\"pay, now\",200,\"two\nlines\",t,false,5,4\n",
        "3100,50,home,500,Bad,t,false,5,2\n",
        "3200,9,home,Non HTTP response code: java.net.SocketTimeoutException,x,t,false,0,2\n",
        "3200,9,home,Non HTTP response code: java.net.ConnectException,x,t,false,0,2\n",
        "1000,1000,whole,200,\"Number of samples in transaction : 2, failing samples : 0\",t,true,\
         20,3\n",
    ))
    .unwrap();
    let total = &body.total;
    assert_eq!((total.sent, total.errors), (Some(6), Some(4)));
    let ends: Vec<_> = total
        .ends
        .iter()
        .map(|(name, n)| (name.as_str(), *n))
        .collect();
    let wanted = [
        ("check", 1),
        ("connect", 1),
        ("good", 1),
        ("refused", 1),
        ("status", 1),
        ("timed_out", 1),
    ];
    assert_eq!(ends, wanted);
    assert_eq!((total.bytes, body.load.buyers_max), (Some(25), Some(4)));
    let sent: Vec<_> = body.seconds.iter().map(|second| second.sent).collect();
    assert_eq!(sent, [3, 0, 3]);
    assert_eq!(body.seconds[1].refused, 1, "it ended a second later");
    let names: Vec<_> = body.requests.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["home", "pay, now"]);
    assert_eq!(total.service_ms.as_ref().unwrap().count, Some(1));
    assert!(
        body.remarks[0].starts_with("1 rows of transaction"),
        "{:?}",
        body.remarks
    );
}

#[test]
fn bad_lines_of_a_result_file_are_named() {
    let row = "1000,100,home,200,OK,t,true,10,3\n";
    for (rows, wanted) in [
        (
            format!("{row}{row}x,1,a,200,OK,t,true,1,1\n"),
            "line 4: timeStamp \"x\"",
        ),
        (
            format!("{row}1000,-1,a,200,OK,t,true,1,1\n"),
            "line 3: elapsed \"-1\"",
        ),
        (
            format!("{row}1000,1,a,200,OK,t,yes,1,1\n"),
            "line 3: success \"yes\"",
        ),
        (format!("{row}1000,1\n"), "line 3: "),
        (String::new(), "no samples"),
        (
            format!("{row}9999999999999,1,a,200,OK,t,true,1,1\n"),
            "line 3: ",
        ),
        (
            format!("{row}1000,1,\"{}", "a".repeat(3 << 20)),
            "line 3: a record is longer",
        ),
    ] {
        let bad = jtl(&rows).unwrap_err();
        assert!(bad.starts_with(wanted), "{bad}");
    }
    let xml = read_jtl("<?xml version=\"1.0\"?>\n<testResults/>".as_bytes()).unwrap_err();
    assert!(xml.contains("XML") && xml.contains("CSV"), "{xml}");
    let bad = read_jtl("timeStamp,elapsed\n".as_bytes()).unwrap_err();
    assert!(bad.starts_with("line 1: no column label"), "{bad}");
}

// ── comparisons ──────────────────────────────────────────────────────────────────────────────

#[test]
fn tests_agree_with_worked_examples() {
    // By hand: a is 1…10, b is 6…15. U of b is 82 with five ties of two, so
    // z = (87.5 - 50) / sqrt(100/12 * (21 - 30/(20*19))); neighbours as they come are shuffled.
    let a = [1.0, 10.0, 2.0, 9.0, 3.0, 8.0, 4.0, 7.0, 5.0, 6.0];
    let b = a.map(|value| value + 5.0);
    let (p, effect) = mann_whitney(&a, &b).unwrap();
    assert!((effect - 0.875).abs() < 1e-9, "{effect}");
    assert!((0.0040..0.0050).contains(&p), "{p}");
    let (p, effect) = mann_whitney(&a, &a).unwrap();
    assert!((effect - 0.5).abs() < 1e-9 && p > 0.999, "{p}");
    // Two values, 3 and 7 of ten: without the correction for ties p would be 0.13.
    let few = |ones: usize| -> Vec<f64> {
        let shuffled = (0..10).map(|place| place * 7 % 10 < ones);
        shuffled.map(|one| f64::from(u8::from(one))).collect()
    };
    let (p, _) = mann_whitney(&few(3), &few(7)).unwrap();
    assert!((0.07..0.09).contains(&p), "{p}");
    assert_eq!(mann_whitney(&a[..7], &b), None);
    // Rising values resemble their neighbours: they say less.
    let mut sorted = (a, b);
    sorted.0.sort_by(f64::total_cmp);
    sorted.1.sort_by(f64::total_cmp);
    assert!(mann_whitney(&sorted.0, &sorted.1).unwrap().0 > 0.05);
    // 10 and 20 of 1,000: pooled 0.015, z = 0.01 / sqrt(0.015*0.985*0.002) = 1.8396.
    let (p, effect) = two_proportions((10, 1_000), (20, 1_000)).unwrap();
    assert!(
        (p - 0.0658).abs() < 0.0003 && (effect - 0.01).abs() < 1e-9,
        "{p}"
    );
    assert_eq!(two_proportions((1, 100), (2, 100)), None);
}

#[test]
fn slower_is_worse_and_the_same_is_not() {
    let report = |ms, errors| run_report(&measured(30, ms, errors));
    let verdict = |a, b| compare(&a, &b, false).verdict;
    assert_eq!(verdict(report(50, 0), report(50, 0)), Verdict::Holds);
    assert_eq!(verdict(report(50, 0), report(90, 0)), Verdict::Broken);
    assert_eq!(
        verdict(report(90, 0), report(50, 0)),
        Verdict::Holds,
        "better"
    );
    assert_eq!(
        verdict(report(50, 1), report(50, 4)),
        Verdict::Broken,
        "errors"
    );
    let text = compare(&report(90, 0), &report(50, 0), false).table();
    assert!(text.contains("significant: better"), "{text}");
    assert!(text.contains("not significantly worse"), "{text}");
}

#[test]
fn different_loads_are_not_compared_unless_told() {
    let a = run_report(&measured(30, 50, 0));
    let changed = |change: &dyn Fn(&mut Report<Body>)| {
        let mut b = run_report(&measured(30, 90, 0));
        change(&mut b);
        b
    };
    let others = [
        changed(&|b| b.body.scenario = Some("browse".to_owned())),
        changed(&|b| b.body.load.planned_per_s = Some(200.0)),
        changed(&|b| b.body.requests[0].name = "x".to_owned()),
        changed(&|b| b.verdict = Verdict::None),
        find_report(),
    ];
    for other in &others {
        let refused = compare(&a, other, false);
        assert!(!refused.apart.is_empty() && refused.differences.is_empty());
        assert_eq!(refused.verdict, Verdict::None);
    }
    assert_eq!(compare(&a, &others[0], true).verdict, Verdict::Broken);
}

#[test]
fn nothing_measured_is_not_nought() {
    let body = Body::of_run(&Measured::new(Vec::new()), about());
    assert_eq!(body.total.latency_ms, None);
    let text = table(&envelope(body, ran()));
    assert!(!text.contains("Latency"), "{text}");
}
