//! How much each may: counted exactly, told politely, and to nobody else's cost.

use crate::gateway::{BUYERS, Gate, Upstream};

fn limited(upstream: &Upstream, rules: &str) -> Gate {
    let routes = "routes: [{name: order, class: order, target: {upstream: shop}}]\n";
    let pool = upstream.pool("shop", "");
    Gate::new(&format!(
        "{BUYERS}{routes}{pool}limits:\n  version: 1\n  rules:\n{rules}"
    ))
}

/// Seldom enough that none comes back while a test runs.
const TWENTY: &str =
    "    - {name: each-buyer, key: [buyer], rate: 1/h, burst: 20, allow: [till-1]}\n";

#[test]
fn each_buyer_may_do_exactly_so_much() {
    let upstream = Upstream::saying("ok");
    let gate = limited(&upstream, TWENTY);
    for buyer in ["ann", "bob"] {
        let mut client = gate.buyer(buyer);
        let told: Vec<u16> = (0..30).map(|_| client.get("/").status).collect();
        let wanted: Vec<u16> = (0..30).map(|n| if n < 20 { 200 } else { 429 }).collect();
        assert_eq!(told, wanted, "{buyer}");
    }
    assert_eq!(
        upstream.seen().len(),
        40,
        "a refusal costs the upstream nothing"
    );
    // Who may do everything, and who is nobody (a rule skips those without its key).
    for mut client in [gate.buyer("till-1"), gate.client()] {
        assert!((0..50).all(|_| client.get("/").status == 200));
    }
    let rule = gate.seen("rules", "each-buyer");
    assert_eq!(
        (&rule["refused"], &rule["keys"]),
        (&20.into(), &2.into()),
        "{rule}"
    );
    let metric = "seawall_door_rule_total{rule=\"each-buyer\",what=\"refused\"}";
    assert_eq!(gate.metric(metric), 20.0);
}

#[test]
fn many_at_once_get_exactly_so_much_too() {
    let upstream = Upstream::saying("ok");
    let gate = limited(&upstream, TWENTY);
    let one = || {
        let mut client = gate.buyer("ann");
        let answers = (0..25).map(|_| client.get("/").status);
        answers.filter(|status| *status == 200).count()
    };
    let let_in: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(let_in, 20);
}

#[test]
fn who_is_refused_learns_why_and_when() {
    let upstream = Upstream::saying("ok");
    let rule = "    - {name: each-buyer, key: [buyer], rate: 2/min, burst: 2}\n";
    let gate = limited(&upstream, rule);
    let mut client = gate.buyer("ann");
    assert_eq!(client.get("/").status, 200);
    assert_eq!(client.get("/").status, 200);
    let answer = client.get("/");
    let body = answer.refused(429, "rate_limited");
    assert_eq!(body["limit"], "each-buyer");
    assert_eq!(body["happened"], "no");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((20..=30).contains(&wait), "one in 30 s, not {wait}");
    let told_ms = body["retry_after_ms"].as_u64().unwrap();
    assert!(told_ms.div_ceil(1_000) <= wait, "{told_ms} ms, {wait} s");
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some("\"each-buyer\";q=2")
    );
    let left = answer.header("ratelimit").unwrap();
    assert!(left.starts_with("\"each-buyer\";r=0;t="), "{left}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    let browser = [("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")];
    let page = client.send("GET", "/", &browser, b"");
    assert_eq!(page.status, 429);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.header("retry-after").is_some());
    let text = page.text();
    assert!(text.contains("<h1>Too many requests</h1>"), "{text}");
    assert!(text.contains("Please try again in"), "{text}");
}

#[test]
fn a_rule_in_the_shadow_refuses_nobody() {
    let upstream = Upstream::saying("ok");
    let rule = "    - {name: tried, key: [buyer], rate: 1/h, burst: 3, mode: shadow}\n";
    let gate = limited(&upstream, rule);
    let mut client = gate.buyer("ann");
    assert!((0..10).all(|_| client.get("/").status == 200));
    let rule = gate.seen("rules", "tried");
    assert_eq!(
        (&rule["refused"], &rule["shadow_refused"]),
        (&0.into(), &7.into()),
        "{rule}"
    );
}

#[test]
fn a_request_that_one_rule_refuses_is_charged_by_none() {
    let upstream = Upstream::saying("ok");
    let rules = "    - {name: each-buyer, key: [buyer], rate: 1/h, burst: 3}\n\
                 \x20   - {name: all, rate: 1/h, burst: 5}\n";
    let gate = limited(&upstream, rules);
    let mut ann = gate.buyer("ann");
    let told: Vec<u16> = (0..10).map(|_| ann.get("/").status).collect();
    assert_eq!(told.iter().filter(|status| **status == 200).count(), 3);
    // Seven refusals of Ann left two of the common five for Bob.
    let mut bob = gate.buyer("bob");
    let told: Vec<u16> = (0..3).map(|_| bob.get("/").status).collect();
    assert_eq!(told, [200, 200, 429]);
    assert_eq!(bob.get("/").json()["limit"], "all");
}
