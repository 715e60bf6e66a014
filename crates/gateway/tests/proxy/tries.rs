//! When a request is tried again, and when it must not be.

use crate::support::{Client, Front, Upstream, nobody, ok, until};
use gateway::upstream::{Event, PoolSpec};
use std::net::SocketAddr;

const BAD: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nbad";

/// Asks until the first peer was chosen first.
fn until_first_is_asked(front: &Front, mut ask: impl FnMut() -> (u16, u64)) {
    until("the first peer was asked", || {
        let before = front.pool.peers()[0].stats().of(Event::Tried);
        let refused = front.pool.peers()[0].stats().of(Event::ConnectFailed);
        ask();
        front.pool.peers()[0].stats().of(Event::Tried) > before
            || front.pool.peers()[0].stats().of(Event::ConnectFailed) > refused
    });
}

fn without_ejection(spec: &mut PoolSpec) {
    spec.ejection.consecutive = 0;
    spec.retry.budget_percent = 100;
}

#[test]
fn a_refused_connection_is_tried_elsewhere_whatever_the_method() {
    let good = Upstream::saying(ok("good"));
    let front = Front::with(&[nobody(), good.addr], without_ejection, |_| {});
    until_first_is_asked(&front, || {
        let got = front.post("/", "order");
        assert_eq!((got.status, got.body.as_str()), (200, "good"));
        (got.status, 0)
    });
    assert!(front.count(Event::Retried) > 0);
}

#[test]
fn nobody_to_ask_is_502_and_did_not_happen() {
    let front = Front::to(&[nobody(), nobody()]);
    let got = front.post("/", "order");
    assert_eq!((got.status, got.body.as_str()), (502, "connect_failed"));
    assert_eq!(got.header("x-happened"), Some("no"));
    assert_eq!(
        front.count(Event::ConnectFailed),
        2,
        "both were asked, each once"
    );
}

/// What the client gets if the first peer does `first`, by method and headers.
fn outcome(first: SocketAddr, second: SocketAddr, request: &str) -> (u16, String) {
    let front = Front::with(&[first, second], without_ejection, |ctx| {
        ctx.key_makes_safe = true;
    });
    let mut got = (0, String::new());
    until_first_is_asked(&front, || {
        let answer = Client::connect(front.addr).ask(request);
        got = (answer.status, answer.body);
        (got.0, 0)
    });
    got
}

#[test]
fn only_what_is_safe_is_tried_again_once_it_was_sent() {
    let good = Upstream::saying(ok("good"));
    let lost = Upstream::saying_once("");
    let bad = Upstream::saying(BAD);
    let long = "x".repeat(20_000);
    let get = "GET / HTTP/1.1\r\nHost: t\r\n\r\n".to_owned();
    let put = "PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx".to_owned();
    let post = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx".to_owned();
    let keyed = "POST / HTTP/1.1\r\nHost: t\r\nIdempotency-Key: k\r\nContent-Length: 1\r\n\r\nx";
    let large = format!("PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 20000\r\n\r\n{long}");
    let good_one = (200, "good".to_owned());
    let rows = [
        ("GET, lost", &lost, &get, good_one.clone()),
        ("PUT, lost", &lost, &put, good_one.clone()),
        ("POST, lost", &lost, &post, (502, "lost".to_owned())),
        (
            "POST with a key, lost",
            &lost,
            &keyed.to_owned(),
            good_one.clone(),
        ),
        (
            "PUT that flowed, lost",
            &lost,
            &large,
            (502, "lost".to_owned()),
        ),
        ("GET, 503", &bad, &get, good_one.clone()),
        ("POST, 503", &bad, &post, (503, "bad".to_owned())),
        ("POST with a key, 503", &bad, &keyed.to_owned(), good_one),
    ];
    for (name, first, request, expected) in rows {
        assert_eq!(outcome(first.addr, good.addr, request), expected, "{name}");
    }
}

#[test]
fn an_order_is_never_sent_twice() {
    let lost = Upstream::saying_once("");
    let other = Upstream::saying_once("");
    let front = Front::with(&[lost.addr, other.addr], without_ejection, |_| {});
    for _ in 0..20 {
        assert_eq!(
            front.post("/", "order").header("x-happened"),
            Some("perhaps")
        );
    }
    assert_eq!(lost.heard().len() + other.heard().len(), 20);
}

#[test]
fn the_budget_bounds_what_is_tried_again() {
    let (a, b) = (Upstream::saying(BAD), Upstream::saying(BAD));
    let tenth = |spec: &mut PoolSpec| {
        spec.ejection.consecutive = 0;
        spec.retry.budget_percent = 10;
    };
    let front = Front::with(&[a.addr, b.addr], tenth, |_| {});
    let mut client = front.connect();
    for _ in 0..200 {
        assert_eq!(client.get("/").status, 503);
    }
    let asked = (a.heard().len() + b.heard().len()) as u64;
    assert_eq!(
        front.count(Event::Retried),
        5 + 20,
        "five to begin with, and a tenth"
    );
    assert_eq!(asked, 200 + 25);
}

/// An idle connection that the peer closes as soon as it is used again.
fn closing_when_reused() -> Upstream {
    Upstream::scripted(|talk, number| {
        talk.request();
        talk.say(ok(&number.to_string()));
        talk.request();
    })
}

#[test]
fn a_stale_connection_is_replaced_for_what_is_safe() {
    let upstream = closing_when_reused();
    let front = Front::to(&[upstream.addr]);
    let mut client = front.connect();
    for _ in 0..10 {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(front.count(Event::Stale), 9);
    assert_eq!(
        front.count(Event::Retried),
        0,
        "that is no retry and costs no budget"
    );
    assert_eq!(front.count(Event::Lost), 0);
}

#[test]
fn a_stale_connection_is_the_end_of_an_order_that_was_sent() {
    let upstream = closing_when_reused();
    let front = Front::to(&[upstream.addr]);
    let mut client = front.connect();
    assert_eq!(client.post("/", "x").status, 200);
    let got = client.post("/", "x");
    assert_eq!(
        (got.status, got.header("x-happened")),
        (502, Some("perhaps"))
    );
    assert_eq!(upstream.heard().len(), 2, "sent once each");
}

#[test]
fn connections_closed_while_idle_are_not_used() {
    let upstream = Upstream::saying_once(ok("x"));
    let front = Front::to(&[upstream.addr]);
    let mut client = front.connect();
    for n in 1..=5 {
        assert_eq!(client.post("/", "x").status, 200);
        until("the upstream closed it", || upstream.closed() == n);
        // Whatever this is answered: the worker has looked at its sockets since the close.
        front.connect().ask("GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
    }
    assert_eq!((upstream.heard().len(), front.count(Event::Stale)), (5, 0));
}

#[test]
fn connections_closed_while_idle_are_given_up_without_a_request() {
    let upstream = Upstream::saying_once(ok("x"));
    let front = Front::to(&[upstream.addr]);
    assert_eq!(front.post("/", "x").status, 200);
    until("we noticed", || front.pool.peers()[0].connections() == 0);
}
