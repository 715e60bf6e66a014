//! Plans, rate files and substitutions.

use super::seen;
use crate::substitute::Substitution;
use crate::{Rate, RateError, Seen, Speed, plan, rate, read_rate};

#[test]
fn speeds() {
    #[rustfmt::skip]
    let cases = [
        ("1000", Some(10)), ("x1000", Some(10)), ("×10,000", Some(1)), ("0.1", Some(100_000)),
        ("1", Some(10_000)), ("0.05", None), ("10001", None), ("fast", None), ("-1", None),
        ("NaN", None), ("", None),
    ];
    for (text, expected) in cases {
        let speed = text.parse::<Speed>().ok();
        assert_eq!(speed.map(|speed| speed.scale(10_000)), expected, "{text}");
    }
}

fn with_ms(ms: u64, client: &str, target: &str) -> Seen {
    Seen {
        at_us: ms * 1_000,
        ..seen(0, client, "GET", target)
    }
}

#[test]
fn order_and_gaps_of_each_client_stay() {
    // The log has them by their ends, not by their beginnings.
    let log = [
        with_ms(5_500, "b", "/b1"),
        with_ms(5_000, "a", "/a1"),
        with_ms(7_250, "a", "/a3"),
        with_ms(6_000, "a", "/a2"),
        with_ms(6_000, "b", "/b2"),
    ];
    for (speed, factor) in [("0.1", 10_000), ("1", 1_000), ("10", 100), ("10000", 0)] {
        let planned = plan(log.clone().into_iter(), speed.parse().unwrap());
        let found: Vec<(String, u64)> =
            planned.map(|next| (next.seen.target, next.at_us)).collect();
        let us = |ms: u64| if factor == 0 { ms / 10 } else { ms * factor };
        let expected = [
            ("/a1", 0),
            ("/b1", 500),
            ("/a2", 1_000),
            ("/b2", 1_000),
            ("/a3", 2_250),
        ];
        let expected: Vec<(String, u64)> = expected
            .iter()
            .map(|(target, ms)| ((*target).to_owned(), us(*ms)))
            .collect();
        assert_eq!(found, expected, "{speed}");
    }
}

#[test]
fn whole_seconds_are_spread_and_fractions_are_not() {
    let seconds = [10, 10, 10, 10, 11, 13].map(|at| seen(at, "c", "GET", "/"));
    let found: Vec<u64> = plan(seconds.into_iter(), Speed::times(10))
        .map(|next| next.at_us)
        .collect();
    assert_eq!(found, [0, 25_000, 50_000, 75_000, 100_000, 300_000]);
    let exact = [10_000, 10_000, 10_001].map(|at| with_ms(at, "c", "/"));
    let found: Vec<u64> = plan(exact.into_iter(), Speed::AS_RECORDED)
        .map(|next| next.at_us)
        .collect();
    assert_eq!(found, [0, 0, 1_000]);
}

#[test]
fn what_is_too_late_comes_at_the_place_reached() {
    let many =
        (0..crate::limits::REORDER_REQUESTS as u64 + 10).map(|at| seen(at + 5, "c", "GET", "/"));
    let late = many.chain([seen(1, "late", "GET", "/late")]);
    let mut planned = plan(late, Speed::AS_RECORDED);
    let all: Vec<_> = planned.by_ref().collect();
    assert!(all.windows(2).all(|pair| pair[0].at_us <= pair[1].at_us));
    assert_eq!(planned.late(), 1);
    assert!(all.iter().any(|next| next.seen.target == "/late"));
}

#[test]
fn rate_files() {
    let found = rate([0, 999_999, 3_000_000].into_iter()).unwrap();
    assert_eq!(found.counts, [2, 0, 0, 1]);
    let mut text = Vec::new();
    found.write(&mut text).unwrap();
    assert_eq!(text, b"second,requests\n0,2\n1,0\n2,0\n3,1\n");
    assert_eq!(read_rate(text.as_slice()).unwrap(), found);
    assert_eq!(
        rate([u64::MAX].into_iter()),
        Err(RateError::TooLong(u64::MAX / 1_000_000))
    );
    #[rustfmt::skip]
    let cases = [
        ("0,2\n",                          "line 1: found \"0,2\", expected second,requests"),
        ("second,requests\n0,2\n2,1\n",    "line 3: found \"2,1\", expected 1,REQUESTS"),
        ("second,requests\n0,-2\n",        "line 2: found \"0,-2\", expected 0,REQUESTS"),
        ("second,requests\n0,9999999999\n", "line 2: found \"0,9999999999\", expected 0,REQUESTS"),
    ];
    for (text, said) in cases {
        assert_eq!(read_rate(text.as_bytes()).unwrap_err().to_string(), said);
    }
    assert_eq!(read_rate(&b""[..]), Ok(Rate::default()));
}

fn full() -> Seen {
    let headers = [
        ("host", "shop.example"),
        ("authorization", "Bearer very-secret"),
        ("cookie", "sid=very-secret"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-user", "ann"),
        ("accept", "text/html"),
        (
            "referer",
            "https://shop.example/login?password=very-secret&x=1",
        ),
        ("content-type", "application/json"),
    ];
    Seen {
        target: "/products/A-7/reviews?page=2&password=very-secret&user=ann&q=a%20b".to_owned(),
        method: "POST".to_owned(),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        body: Some(
            br#"{"sku":"A-7","n":5,"buyer":{"email":"ann@example.com","pin":"very-secret"}}"#
                .to_vec(),
        ),
        ..seen(1, "1.2.3.4", "POST", "/")
    }
}

#[test]
fn without_rules_only_secrets_go() {
    let mut request = full();
    let buyer = Substitution::default().apply(&mut request).unwrap();
    assert_eq!(
        request.target,
        "/products/A-7/reviews?page=2&user=ann&q=a%20b"
    );
    let names: Vec<&str> = request
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["x-user", "accept", "referer", "content-type"]);
    assert_eq!(
        request.header("referer"),
        Some("https://shop.example/login?x=1")
    );
    let body = String::from_utf8(request.body.clone().unwrap()).unwrap();
    assert_eq!(
        body,
        r#"{"sku":"A-7","n":5,"buyer":{"email":"ann@example.com","pin":"redacted"}}"#
    );
    assert_eq!(request.request_bytes, Some(body.len() as u64));
    assert_eq!(request.client, Some(format!("buyer-{buyer}")));
    assert!(!format!("{request:?}{body}").contains("very-secret"));
    // What has no secret stays as it was sent, to the byte.
    let plain = br#"{ "a" : 1.50 }"#.to_vec();
    request.body = Some(plain.clone());
    Substitution::default().apply(&mut request);
    assert_eq!(request.body, Some(plain));
}

#[test]
fn rules_set_draw_and_drop() {
    let rules = "
substitute:
  seed: 7
  buyers: {count: 50, name: \"test-{buyer}\"}
  rules:
    - {path: \"/products/{sku}/reviews\", parameter: sku, from: [T1, T2, T 3]}
    - {query: user, with: \"{buyer}\"}
    - {query: page, drop: true}
    - {header: X-User, with: \"{buyer}\", method: POST}
    - {header: Authorization, with: \"Bearer {buyer}\"}
    - {header: x-run, with: load, always: true}
    - {header: x-never, with: load}
    - {body: /buyer/email, with: \"{buyer}@example.test\"}
    - {body: /n, with: \"{hash:3}\"}
    - {body: /sku, drop: true, under: /elsewhere}
";
    let rules = Substitution::parse(rules).unwrap();
    let mut request = full();
    let buyer = rules.apply(&mut request).unwrap();
    assert!(buyer < 50 && buyer == rules.buyer("1.2.3.4"));
    let name = format!("test-{buyer}");
    let drawn = ["T1", "T2", "T%203"];
    let expected = drawn.map(|sku| format!("/products/{sku}/reviews?user={name}&q=a%20b"));
    assert!(expected.contains(&request.target), "{}", request.target);
    assert_eq!(request.header("x-user"), Some(name.as_str()));
    assert_eq!(
        request.header("authorization"),
        Some(format!("Bearer {name}").as_str())
    );
    assert_eq!(
        (request.header("x-run"), request.header("x-never")),
        (Some("load"), None)
    );
    let body: serde_json::Value = serde_json::from_slice(request.body.as_ref().unwrap()).unwrap();
    assert_eq!(body["buyer"]["email"], format!("{name}@example.test"));
    assert!(
        body["n"].as_u64().unwrap() < 3 && body["sku"] == "A-7",
        "{body}"
    );
    // Again the same, and another seed draws otherwise.
    let mut again = full();
    rules.apply(&mut again);
    assert_eq!(again, request);
    let buyers = |seed: u64| {
        let text = format!("substitute: {{seed: {seed}, buyers: {{count: 1000000}}}}");
        let rules = Substitution::parse(&text).unwrap();
        ["a", "b", "c"].map(|client| rules.buyer(client))
    };
    assert_eq!(buyers(1), buyers(1));
    assert_ne!(buyers(1), buyers(2));
    assert!(buyers(1)[0] != buyers(1)[1] && buyers(1)[1] != buyers(1)[2]);
}

#[test]
fn wrong_rules_are_told_all_at_once() {
    let rules = "
substitute:
  buyers: {count: 0, name: \"{who}\"}
  rules:
    - {path: \"/products/{sku}\", parameter: id, with: x}
    - {query: a, header: b, with: x}
    - {body: email, with: x}
    - {query: a}
    - {path: \"/{a}\", parameter: a, drop: true}
    - {query: a, with: x, always: true}
    - {header: \"a b\", with: \"{hash:0}\"}
";
    let problems = Substitution::parse(rules).unwrap_err().0;
    assert_eq!(problems.len(), 9, "{problems:?}");
    assert!(
        problems[2].contains("rules[0]") && problems[2].contains("{id}"),
        "{problems:?}"
    );
    let unknown = Substitution::parse("substitute:\n  buyer: 5\n")
        .unwrap_err()
        .to_string();
    assert!(
        unknown.contains("line 2") && unknown.contains("buyer"),
        "{unknown}"
    );
}
