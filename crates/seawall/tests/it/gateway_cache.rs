//! Answers that the door keeps: fetched once for many, good while the upstream is not, forgotten
//! when an operator says so.

use crate::gateway::{Barrier, Gate, Upstream, by};
use crate::site::until;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const ROUTE: &str = "routes:\n  - {name: shelf, target: {upstream: shop}, cache: {";

/// A gateway whose only route keeps answers like this. Upstreams are asked once.
fn keeping(upstream: &Upstream, cache: &str, more: &str) -> Gate {
    let pool = upstream.pool("shop", ", retry: {attempts: 0}, outliers: {failures: 0}");
    Gate::new(&format!("{ROUTE}{cache}}}}}\n{pool}{more}"))
}

/// An upstream that counts its answers, each with this line in its head.
fn counting(line: &'static str) -> Upstream {
    let asked = AtomicU64::new(0);
    Upstream::saying_all(move |_| {
        let n = asked.fetch_add(1, Ordering::SeqCst) + 1;
        (200, line.to_owned(), format!("answer {n}"))
    })
}

fn did(gate: &Gate, what: &str) -> f64 {
    gate.metric(&format!("seawall_door_cache_total{{what=\"{what}\"}}"))
}

#[test]
fn what_may_be_kept_is_given_again_and_what_may_not_is_not() {
    let upstream = Upstream::saying_all(|seen| {
        let line = match seen.line.contains("/private") {
            true => "Cache-Control: private\r\n",
            false => "Cache-Control: max-age=3600\r\n",
        };
        (200, line.to_owned(), seen.line.clone())
    });
    let gate = keeping(&upstream, "", "");
    let mut client = gate.client();
    let first = client.get("/a");
    assert_eq!(first.text(), "GET /a HTTP/1.1");
    let again = client.get("/a");
    assert_eq!((again.status, again.text()), (200, first.text()));
    let status = again.header("cache-status").unwrap();
    assert!(status.starts_with("seawall; hit"), "{status}");
    assert!(again.header("age").is_some());
    assert_eq!(upstream.seen().len(), 1);

    for _ in 0..2 {
        assert_eq!(client.get("/private").status, 200);
    }
    assert_eq!(client.get("/b").text(), "GET /b HTTP/1.1");
    assert_eq!(upstream.seen().len(), 4);
    assert_eq!((did(&gate, "hit"), did(&gate, "kept")), (1.0, 2.0));
    assert!(gate.metric("seawall_door_cache_bytes") > 0.0);
    // What changes something is passed on, and what was kept of its address is forgotten.
    client.send("POST", "/a", &[], b"new");
    client.get("/a");
    assert_eq!(upstream.seen().len(), 6);
}

#[test]
fn a_hundred_who_ask_at_once_are_one_fetch_that_pays_once() {
    let barrier = Arc::new(Barrier::default());
    let upstream = {
        let barrier = Arc::clone(&barrier);
        Upstream::new(move |_| {
            barrier.wait();
            (200, "for all".to_owned())
        })
    };
    // There is room for one behind the door, and everybody's own limit counts all the same.
    let more = "overload: {in_flight_min: 1, in_flight_start: 1, in_flight_max: 1}\n\
                limits:\n  version: 1\n  rules:\n\
                \x20   - {name: each, match: {routes: [shelf]}, key: [address], \
                rate: 1/h, burst: 101}\n";
    let gate = keeping(&upstream, "mode: fixed, ttl: 1h", more);
    let front = gate.front;
    let ask = move || crate::http::Client::new(front).get("/hot");
    let clients: Vec<_> = (0..100).map(|_| std::thread::spawn(ask)).collect();
    until("all but one wait for it", || {
        gate.metric("seawall_door_cache_waiting") == 99.0
    });
    assert_eq!(gate.metric("seawall_door_cache_fetching"), 1.0);
    assert_eq!(gate.state()["overload"]["in_flight"], 1);
    barrier.open();
    for client in clients {
        let answer = client.join().unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "for all"));
    }
    assert_eq!(upstream.seen().len(), 1);
    assert_eq!(did(&gate, "collapsed"), 99.0);
    until("what the fetch held is given back", || {
        gate.state()["overload"]["in_flight"] == 0
    });
    assert_eq!(gate.seen("rules", "each")["allowed"], 100);
    assert_eq!(gate.client().get("/hot").text(), "for all");
    gate.client().get("/hot").refused(429, "rate_limited");
}

#[test]
fn a_stale_answer_is_given_at_once_while_a_fresh_one_is_fetched() {
    let barrier = Arc::new(Barrier::default());
    let asked = AtomicU64::new(0);
    let upstream = {
        let barrier = Arc::clone(&barrier);
        Upstream::new(move |_| {
            let n = asked.fetch_add(1, Ordering::SeqCst) + 1;
            if n > 1 {
                barrier.wait();
            }
            (200, format!("answer {n}"))
        })
    };
    let gate = keeping(
        &upstream,
        "mode: fixed, ttl: 50ms, stale_while_revalidate: 1h",
        "",
    );
    let mut client = gate.client();
    assert_eq!(client.get("/").text(), "answer 1");
    until("somebody begins to fetch a fresh one", || {
        assert_eq!(client.get("/").text(), "answer 1", "nobody waits for it");
        upstream.seen().len() == 2
    });
    assert_eq!(client.get("/").text(), "answer 1");
    barrier.open();
    until("the fresh one is there", || {
        client.get("/").text() != "answer 1"
    });
    assert!(did(&gate, "stale") >= 2.0);
}

#[test]
fn a_dead_upstream_is_not_seen_while_stale_answers_are_good_enough() {
    let upstream = counting("");
    let gate = keeping(&upstream, "mode: fixed, ttl: 50ms, stale_if_error: 1h", "");
    let mut client = gate.client();
    assert_eq!(client.get("/").text(), "answer 1");
    until("it is stale, and a fresh one comes", || {
        client.get("/").text() == "answer 2"
    });
    upstream.die();
    // More than trip the breaker, and after that too.
    for _ in 0..200 {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.text().as_str()), (200, "answer 2"));
    }
    client.get("/never-seen").refused(503, "upstream_down");
    let force = gate.order("breakers/shop", &json!({"state": "tripped"}));
    assert_eq!(force.status, 200, "{}", force.text());
    until("a stale one is given in place of a refusal", || {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.text().as_str()), (200, "answer 2"));
        answer
            .header("cache-status")
            .is_some_and(|status| status.contains("stale-if-error"))
    });
    client.get("/never-seen").refused(503, "upstream_down");
    assert!(did(&gate, "stood_in") > 0.0);
}

#[test]
fn operators_have_kept_answers_forgotten_by_address_and_by_tag() {
    let upstream = Upstream::saying_all(|seen| {
        let tag = match seen.line.contains("/lamp") {
            true => "Surrogate-Key: lamp all\r\n",
            false => "Surrogate-Key: chair all\r\n",
        };
        (200, tag.to_owned(), "kept".to_owned())
    });
    let gate = keeping(&upstream, "mode: fixed, ttl: 1h", "");
    let mut client = gate.client();
    let mut fill = || {
        let before = upstream.seen().len();
        for path in ["/shelf/lamp", "/shelf/chair", "/other/chair"] {
            let answer = client.get(path);
            assert_eq!(answer.text(), "kept");
            assert_eq!(answer.header("surrogate-key"), None, "said to the door");
        }
        upstream.seen().len() - before
    };
    assert_eq!((fill(), fill()), (3, 0));
    let purge = |order: serde_json::Value| {
        let answer = gate.order("cache/purge", &by(order));
        (answer.status, answer.json())
    };
    assert_eq!(purge(json!({"tag": "lamp"})), (200, json!({"purged": 1})));
    assert_eq!(fill(), 1);
    let prefix = format!("http://{}/shelf/", gate.front);
    assert_eq!(
        purge(json!({"prefix": prefix})),
        (200, json!({"purged": 2}))
    );
    assert_eq!(fill(), 2);
    assert_eq!(purge(json!({"all": true})), (200, json!({"purged": 3})));
    assert_eq!(fill(), 3);

    for (order, status) in [
        (json!({}), 422),
        (json!({"all": true, "tag": "lamp"}), 422),
        (json!({"everything": true}), 400),
    ] {
        assert_eq!(purge(order).0, status);
    }
    let nobody = json!({"all": true, "owner": "", "reason": "b"});
    assert_eq!(gate.order("cache/purge", &nobody).status, 422);
    assert_eq!(fill(), 0, "none of them did anything");
}

#[test]
fn a_switch_serves_what_is_kept_however_old() {
    let upstream = counting("");
    let switches = "switches:\n  version: 1\n  switches:\n\
                    \x20   - {name: old-is-fine, routes: [shelf], action: serve_stale, \
                    owner: a team, reason: for a test, max_duration: 1h}\n";
    let gate = keeping(&upstream, "mode: fixed, ttl: 1ms", switches);
    let mut client = gate.client();
    assert_eq!(client.get("/").text(), "answer 1");
    until("each is asked for anew", || {
        client.get("/").text() == "answer 3"
    });
    let turn = |on: bool| {
        let answer = gate.order("switches/old-is-fine", &by(json!({"on": on})));
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    turn(true);
    let asked = upstream.seen().len();
    let kept = client.get("/").text();
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), kept);
    }
    assert_eq!(upstream.seen().len(), asked, "the upstream is left alone");
    assert_eq!(gate.metric("seawall_door_by_switch_total"), 21.0);
    // What was never kept is fetched as usual, and kept.
    let fresh = client.get("/new").text();
    assert_eq!(upstream.seen().len(), asked + 1);
    assert_eq!(client.get("/new").text(), fresh);
    turn(false);
    until("it is fetched again", || client.get("/").text() != kept);
}

#[test]
fn kept_answers_live_through_a_reload_that_does_not_concern_them() {
    let (upstream, other) = (counting(""), Upstream::saying("of another"));
    let file = |pool: String, ttl: &str, more: &str| {
        format!("{ROUTE}mode: fixed, ttl: {ttl}}}}}\n{pool}{more}")
    };
    let limits = "limits:\n  version: 1\n  rules:\n\
                  \x20   - {name: each, match: {routes: [shelf]}, key: [address], rate: 100/s}\n";
    let gate = Gate::new(&file(upstream.pool("shop", ""), "1h", ""));
    let reload = |text: String| {
        gate.write(&text);
        let answer = gate.order("reload", &json!({}));
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    assert_eq!(gate.client().get("/").text(), "answer 1");
    reload(file(upstream.pool("shop", ""), "1h", limits));
    assert_eq!(gate.client().get("/").text(), "answer 1");
    assert_eq!(upstream.seen().len(), 1);
    // Kept by another rule, and fetched from somewhere else.
    reload(file(upstream.pool("shop", ""), "2h", limits));
    assert_eq!(gate.client().get("/").text(), "answer 2");
    reload(file(other.pool("shop", ""), "2h", limits));
    assert_eq!(gate.client().get("/").text(), "of another");
}
