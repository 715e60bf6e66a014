//! The grammar by examples, and figures of runs made by hand.

use super::*;
use crate::measure::Checks;

fn threshold(text: &str) -> Result<Threshold, String> {
    let (metric, expression) = text.split_once(": ").unwrap();
    Threshold::parse(metric, expression)
}

/// Two requests: `a` with 1 to 100 ms, `b` with ten of 1 s; one of each kind of trouble.
fn measured() -> Measured {
    let mut a = Named::new("a", ["stock".to_owned()].into_iter());
    let mut b = Named::new("b", std::iter::empty());
    for ms in 1..=100 {
        a.latency.record(ms * 1_000);
        a.service.record(ms * 500);
    }
    (0..10).for_each(|_| b.latency.record(1_000_000));
    a.sent = 103;
    a.ends[End::Good as usize] = 100;
    a.ends[End::Refused as usize] = 1;
    a.ends[End::Check as usize] = 1;
    a.ends[End::TimedOut as usize] = 1;
    b.sent = 10;
    b.ends[End::Good as usize] = 10;
    a.bytes = 1_000;
    a.checks = vec![Checks {
        name: "stock".into(),
        passed: 99,
        failed: 1,
    }];
    let mut measured = Measured::new(vec![a, b]);
    measured.wall_us = 10_000_000;
    (measured.planned, measured.arrived, measured.journeys) = (90, 80, 70);
    measured.buyers_max = 5;
    for second in 0..10 {
        let second_of = measured.second(second * 1_000_000);
        second_of.sent = 10 + second;
        second_of.ends[End::Good as usize] = 9;
        second_of.ends[End::Refused as usize] = u64::from(second == 4) * 9;
        second_of
            .latency
            .record(if second == 4 { 500_000 } else { 10_000 });
    }
    measured
}

#[test]
fn every_figure_has_its_value() {
    let measured = measured();
    for (text, wanted) in [
        ("http_req_duration{name:a}: p(95)<100", Some(95.0)),
        ("http_req_duration{name:b}: min>=900", Some(1_000.0)),
        ("http_req_duration: max<1", Some(1_000.0)),
        (
            "http_req_duration{expected_response:true}: med<1",
            Some(55.0),
        ),
        ("http_req_duration{name:a}: avg == 50.5", Some(50.5)),
        ("http_req_service{name:a}: max<=50", Some(50.0)),
        ("http_req_failed{name:a}: rate<0.1", Some(2.0 / 103.0)),
        ("http_req_refused: rate===0", Some(1.0 / 113.0)),
        ("http_req_errors: rate<0.1", Some(2.0 / 113.0)),
        ("http_reqs: count>100", Some(113.0)),
        ("http_reqs{name:b}: rate>=1", Some(1.0)),
        ("data_received: count>1", Some(1_000.0)),
        ("checks: rate>0.9", Some(0.99)),
        ("checks{check:stock,name:a}: rate>0.99", Some(0.99)),
        ("iterations: count!=70", Some(70.0)),
        ("dropped_iterations: count<5", Some(10.0)),
        ("vus_max: value<6", Some(5.0)),
        ("http_req_duration: max<400 over 1s", Some(500.0)),
        ("http_req_failed: rate<0.4 over 2s", Some(9.0 / 27.0)),
        ("http_reqs: rate>11 over 5s", Some(12.0)),
        // Shorter runs are one window.
        ("http_reqs: count>11 over 1m", Some(145.0)),
        // Nobody measured a lag.
        ("arrival_lag: p(99)<5", None),
    ] {
        let seen = threshold(text).unwrap().whole(&measured).seen;
        let near = match (seen, wanted) {
            (Some(seen), Some(wanted)) => (seen - wanted).abs() <= wanted * 0.01,
            (seen, wanted) => seen == wanted,
        };
        assert!(near, "{text}: {seen:?}, expected {wanted:?}");
    }
}

#[test]
fn every_comparison_holds_where_it_should() {
    let measured = measured();
    for (rule, holds) in [
        ("count<113", false),
        ("count<114", true),
        ("count<=113", true),
        ("count<=112", false),
        ("count>113", false),
        ("count>112", true),
        ("count>=113", true),
        ("count>=114", false),
        ("count==113", true),
        ("count == 114", false),
        ("count===113", true),
        ("count!=113", false),
        ("count != 1.5", true),
    ] {
        let judged = Threshold::parse("http_reqs", rule)
            .unwrap()
            .whole(&measured);
        assert_eq!(judged.holds, holds, "{rule}");
    }
}

#[test]
fn what_was_not_measured_does_not_hold() {
    let nothing = Measured::new(Vec::new());
    for text in [
        "http_req_duration: p(95)<200",
        "http_req_failed: rate<0.01",
        "checks: rate>=0",
        "http_req_duration: p(95)<200 over 10s",
    ] {
        let judged = threshold(text).unwrap().whole(&nothing);
        assert_eq!((judged.seen, judged.holds), (None, false), "{text}");
    }
}

#[test]
fn a_window_alone_is_asked_as_one() {
    let measured = measured();
    let threshold = threshold("http_req_failed: rate<0.1 over 3s").unwrap();
    assert!(threshold.window(&measured.seconds[..3]).holds);
    assert!(!threshold.window(&measured.seconds[3..6]).holds);
    assert!(!threshold.window(&[]).holds);
}

#[test]
fn what_is_no_threshold_says_why() {
    for (text, wanted) in [
        (
            "http_req_durations: p(95)<1",
            "no metric \"http_req_durations\", expected http_req_",
        ),
        (
            "http_req_duration: p95<1",
            "no \"p95\" of http_req_duration, expected avg, min",
        ),
        ("http_req_duration: p(101)<1", "no \"p(101)\" of"),
        (
            "http_req_duration: rate<1",
            "no \"rate\" of http_req_duration",
        ),
        (
            "http_req_failed: avg<1",
            "no \"avg\" of http_req_failed, expected rate",
        ),
        ("http_reqs: value<1", "expected count or rate"),
        ("vus_max: max<1", "expected value"),
        ("http_reqs: count", "expected <, <=, >, >=, == or !="),
        ("http_reqs: count<many", "\"many\" is no number"),
        (
            "http_reqs: count<1 && rate<2",
            "\"1 && rate<2\" is no number",
        ),
        ("http_reqs: count<inf", "is no number"),
        ("http_reqs: count<1 over 0s", "\"0s\" is no window"),
        ("http_reqs: count<1 over 10", "\"10\" is no window"),
        (
            "checks: rate>1 over 10s",
            "checks has no figures by the second",
        ),
        ("http_reqs{name:a}: rate>1 over 10s", "leave the name"),
        ("http_reqs{name:a: rate>1", "expected } after the tags"),
        (
            "http_reqs{status:200}: rate>1",
            "no tag \"status:200\" of http_reqs, expected name",
        ),
        ("iterations{name:a}: rate>1", "expected none"),
        ("http_req_duration{check:a}: avg>1", "no tag"),
    ] {
        let said = threshold(text).unwrap_err();
        assert!(said.contains(wanted), "{text}: {said}");
    }
}
