//! Upstreams that die, hang and come back, requests that come twice, and the end of a door.

use crate::gateway::{BUYERS, Barrier, Gate, Load, Upstream, pool};
use crate::http::{Client, connect};
use crate::site::until;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An upstream that answers `/slow` only when the test says so.
fn waiting() -> (Upstream, Arc<Barrier>) {
    let barrier = Arc::new(Barrier::default());
    let theirs = Arc::clone(&barrier);
    let upstream = Upstream::new(move |seen| {
        if seen.line.contains("/slow") {
            theirs.wait();
        }
        (200, "done".to_owned())
    });
    (upstream, barrier)
}

fn before(upstream: &Upstream, route: &str, more: &str) -> Gate {
    let routes = format!("routes: [{{name: all, target: {{upstream: shop}}{route}}}]\n");
    Gate::new(&format!(
        "{BUYERS}{routes}{}{more}",
        upstream.pool("shop", "")
    ))
}

/// A peer that says this to everybody, and hangs up; or says nothing and waits.
fn rude(says: Option<&'static [u8]>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().flatten() {
            match says {
                // It has gone away if this fails.
                Some(says) => drop(stream.read(&mut [0; 4_096]).and(stream.write_all(says))),
                None => kept.push(stream),
            }
        }
    });
    addr
}

#[test]
fn clients_are_not_told_who_was_asked_and_what_went_wrong() {
    for (event, peer, more, status, plain) in [
        ("connect_failed", free(), "", 503, "cannot be reached now."),
        (
            "lost",
            rude(Some(b"")),
            "",
            502,
            "gave no answer that can be passed on.",
        ),
        (
            "malformed",
            rude(Some(b"+PONG\r\n\r\n")),
            "",
            502,
            "can be passed on.",
        ),
        (
            "head_timeout",
            rude(None),
            ", timeouts: {head: 100ms}",
            504,
            "in time.",
        ),
        (
            "tls_failed",
            rude(Some(b"+PONG\r\n")),
            ", tls: {}",
            503,
            "cannot be reached now.",
        ),
    ] {
        let routes = "routes: [{name: all, target: {upstream: secret}}]\n";
        let gate = Gate::new(&format!("{routes}{}", pool("secret", peer, more)));
        let answer = gate.client().send("POST", "/", &[], b"");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, status, "{event}: {detail}");
        assert!(detail.ends_with(plain), "{event}: {detail}");
        let page = gate
            .client()
            .send("POST", "/", &[("Accept", "text/html")], b"");
        for text in [answer.text(), page.text()] {
            for word in [
                "127.0.0.1",
                &peer.port().to_string(),
                "secret",
                "os error",
                "onnection",
            ] {
                assert!(!text.contains(word), "{event}: {word} in {text}");
            }
        }
        // Operators are told both, and how often.
        let log = fs::read_to_string(gate.path("log")).unwrap();
        let line = log
            .lines()
            .find(|line| line.contains("no answer from behind"));
        let line = line.unwrap_or_else(|| panic!("{event}: {log}"));
        assert!(line.contains(&format!("why=\"{event}\"")), "{line}");
        assert!(line.contains(&peer.to_string()), "{line}");
        let refused = log.matches("cannot connect").count();
        assert_eq!(refused, usize::from(event == "connect_failed"), "{log}");
        let of = format!("upstream=\"secret\",peer=\"{peer}\",event=\"{event}\"");
        let counted = gate.metric(&format!("seawall_door_peer_events_total{{{of}}}"));
        assert!(counted >= 2.0, "{event}: {counted}");
    }
}

#[test]
fn the_same_key_twice_at_once_is_worked_on_once() {
    let (upstream, barrier) = waiting();
    let gate = before(&upstream, ", idempotency_header: Idempotency-Key", "");
    let post = |mut client: Client, key: &str| {
        client.send("POST", "/slow", &[("Idempotency-Key", key)], b"{}")
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| post(gate.buyer("ann"), "k1"));
        until("the first is under way", || upstream.seen().len() == 1);
        let body = post(gate.buyer("ann"), "k1").refused(409, "under_way");
        assert_eq!(body["happened"], "perhaps");
        // Another key, and another buyer's with the same text, are not the same request.
        let others = [("ann", "k2"), ("bob", "k1")];
        let others = others.map(|(buyer, key)| {
            let client = gate.buyer(buyer);
            scope.spawn(move || post(client, key))
        });
        until("the others are under way", || upstream.seen().len() == 3);
        barrier.open();
        assert_eq!(first.join().unwrap().text(), "done");
        for other in others {
            assert_eq!(other.join().unwrap().status, 200);
        }
    });
    // Answered: the key is free again, and what it means is the upstream's matter.
    assert_eq!(post(gate.buyer("ann"), "k1").status, 200);
    assert_eq!(upstream.seen().len(), 4);
}

#[test]
fn a_drain_finishes_what_is_under_way() {
    let (upstream, barrier) = waiting();
    let mut gate = before(&upstream, "", "");
    let mut kept = gate.client();
    assert_eq!(kept.get("/").status, 200);
    std::thread::scope(|scope| {
        let mut client = gate.client();
        let under_way = scope.spawn(move || client.get("/slow"));
        until("it is under way", || upstream.seen().len() == 2);
        gate.terminate();
        until("nobody new is let in", || connect(gate.front).is_err());
        assert!(!under_way.is_finished());
        barrier.open();
        let answer = under_way.join().unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    });
    assert_eq!(gate.ended().code(), Some(0));
}

#[test]
fn operators_are_answered_while_the_front_is_full() {
    let (upstream, barrier) = waiting();
    let listeners = "listeners: [{name: front, address: \"127.0.0.1:0\", \
                     limits: {connections: 20}}]\n";
    let gate = before(&upstream, "", listeners);
    std::thread::scope(|scope| {
        let stuck: Vec<_> = (0..20)
            .map(|_| {
                let mut client = gate.client();
                scope.spawn(move || client.get("/slow").status)
            })
            .collect();
        until("all places are taken", || upstream.seen().len() == 20);
        // One more than there are places is not served.
        let late = scope.spawn(|| {
            gate.client()
                .try_send("GET", "/", &[], b"")
                .map(|a| a.status)
        });
        let begun = Instant::now();
        for path in ["/healthz", "/readyz", "/metrics", "/operator/door"] {
            assert_eq!(gate.operator().get(path).status, 200, "{path}");
        }
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(2), "operators waited {took:?}");
        assert_eq!(upstream.seen().len(), 20, "the front was full all the time");
        barrier.open();
        for one in stuck {
            assert_eq!(one.join().unwrap(), 200);
        }
        // Turned away at once or served afterwards, but never left hanging.
        assert!(!matches!(late.join().unwrap(), Ok(status) if status != 200 && status != 503));
    });
    assert_eq!(gate.client().get("/").status, 200);
}

/// A process of its own that says "real", at an address that it can come back to.
fn real(addr: SocketAddr) -> Gate {
    let rest = format!(
        "listeners: [{{name: front, address: \"{addr}\"}}]\n\
         routes: [{{name: all, target: {{static: {{file: real.txt}}}}}}]\n"
    );
    Gate::with_files(&rest, &[("real.txt", "real")])
}

fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn in_front_of(addr: SocketAddr) -> Gate {
    let routes = "routes: [{name: all, target: {upstream: real}}]\n";
    let times = ", timeouts: {connect: 300ms, head: 500ms}, \
                  breaker: {pause: 100ms, pause_max: 200ms, probes_good: 2}, \
                  outliers: {failures: 5, eject: 100ms, eject_max: 200ms}";
    Gate::new(&format!("{routes}{}", pool("real", addr, times)))
}

/// What clients of a dead or deaf upstream may be told, and nothing else.
const BOUNDED: [&str; 4] = ["real", "502", "503", "504"];

#[track_caller]
fn only_bounded(told: &std::collections::BTreeMap<String, u64>) {
    for what in told.keys() {
        assert!(BOUNDED.contains(&what.as_str()), "{what} in {told:?}");
    }
}

#[test]
fn an_upstream_that_is_killed_and_comes_back_is_used_again() {
    let mut upstream = real(free());
    let gate = in_front_of(upstream.front);
    let load = Load::on(gate.front, "/", 4);
    for _ in 0..3 {
        load.await_more("real", 200);
        upstream.kill();
        load.await_more("503", 20);
        upstream.start();
    }
    load.await_more("real", 500);
    let told = load.end();
    only_bounded(&told);
    assert!(
        (0..50).all(|_| gate.client().get("/").status == 200),
        "{told:?}"
    );
}

#[test]
fn an_upstream_that_hangs_costs_its_timeout_and_is_used_again() {
    let upstream = real(free());
    let gate = in_front_of(upstream.front);
    let load = Load::on(gate.front, "/", 4);
    load.await_more("real", 200);
    upstream.pause();
    load.await_more("504", 4);
    // Once it is known, most are refused at once instead of waiting.
    load.await_more("503", 50);
    let before = Instant::now();
    let answer = gate.client().get("/");
    let took = before.elapsed();
    assert!([503, 504].contains(&answer.status), "{}", answer.status);
    assert!(took < Duration::from_secs(3), "{took:?}");
    upstream.go_on();
    load.await_more("real", 500);
    let told = load.end();
    only_bounded(&told);
}

#[test]
fn one_of_two_peers_killed_costs_nobody_an_answer() {
    let (first, mut second) = (real(free()), real(free()));
    let peers = format!(
        "upstreams:\n  - name: real\n    peers: [{{address: \"{}\"}}, {{address: \"{}\"}}]\n\
         \x20   health: {{path: /, interval: 100ms, timeout: 100ms}}\n",
        first.front, second.front
    );
    let routes = "routes: [{name: all, target: {upstream: real}}]\n";
    let gate = Gate::new(&format!("{routes}{peers}"));
    let load = Load::on(gate.front, "/", 4);
    load.await_more("real", 200);
    second.kill();
    load.await_more("real", 1_000);
    second.start();
    load.await_more("real", 500);
    let told = load.end();
    assert_eq!(told.keys().collect::<Vec<_>>(), ["real"], "{told:?}");
}
