//! Who of a pool is asked: load, weights, health, ejection, connections.

use crate::support::{Client, Front, Upstream, nobody, ok, until};
use gateway::upstream::{Event, HealthSpec, PeerState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

const BAD: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nbad";

#[test]
fn a_peer_that_fails_is_ejected_but_never_more_than_half() {
    let (bad, good) = (Upstream::saying(BAD), Upstream::saying(ok("good")));
    let eject = |spec: &mut gateway::upstream::PoolSpec| {
        spec.ejection.consecutive = 3;
        spec.retry.more_max = 0;
        spec.ejection.base_ms = 60_000;
    };
    let front = Front::with(&[bad.addr, good.addr], eject, |_| {});
    let mut client = front.connect();
    until("the bad one is ejected", || {
        client.get("/");
        front.pool.peers()[0].state() == PeerState::Ejected
    });
    let heard = bad.heard().len();
    assert_eq!(heard, 3);
    for _ in 0..50 {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(bad.heard().len(), heard, "it is left alone");

    let other = Upstream::saying(BAD);
    let front = Front::with(&[bad.addr, other.addr], eject, |_| {});
    let mut client = front.connect();
    for _ in 0..50 {
        assert_eq!(client.get("/").status, 503);
    }
    assert_eq!(
        front.count(Event::Ejected),
        1,
        "one of two may go, not both"
    );
    let front = Front::with(&[bad.addr], eject, |_| {});
    let mut client = front.connect();
    for _ in 0..20 {
        assert_eq!(client.get("/").status, 503);
    }
    assert_eq!(front.count(Event::Ejected), 0, "a lonely peer stays");
}

#[test]
fn an_ejected_peer_comes_back_by_itself() {
    let ill = Arc::new(AtomicBool::new(true));
    let state = ill.clone();
    let weak = Upstream::scripted(move |talk, _| {
        while talk.request().is_some() {
            talk.say(if state.load(SeqCst) {
                BAD.to_owned()
            } else {
                ok("weak")
            });
        }
    });
    let good = Upstream::saying(ok("good"));
    let front = Front::with(
        &[weak.addr, good.addr],
        |spec| {
            spec.ejection.consecutive = 1;
            spec.ejection.base_ms = 50;
            spec.slow_start_ms = 50;
        },
        |_| {},
    );
    let mut client = front.connect();
    until("it is ejected", || {
        client.get("/");
        front.count(Event::Ejected) > 0
    });
    ill.store(false, SeqCst);
    until("it answers again", || client.get("/").body == "weak");
}

#[test]
fn active_checks_take_a_peer_out_and_bring_it_back() {
    let healthy = Arc::new(AtomicBool::new(true));
    let state = healthy.clone();
    let upstream = Upstream::scripted(move |talk, _| {
        while let Some(request) = talk.request() {
            let well = state.load(SeqCst) || !request.starts_with("GET /health ");
            talk.say(if well { ok("fine") } else { BAD.to_owned() });
        }
    });
    let other = Upstream::saying(ok("other"));
    let front = Front::with(
        &[upstream.addr, other.addr],
        |spec| {
            spec.health = Some(HealthSpec {
                path: "/health".into(),
                host: None,
                interval_ms: 100,
                timeout_ms: 1_000,
                healthy_after: 2,
                unhealthy_after: 2,
            });
        },
        |_| {},
    );
    let state = || front.pool.peers()[0].state();
    until("two checks passed", || {
        front.pool.peers()[0].stats().of(Event::HealthPassed) > 2
    });
    assert_eq!(state(), PeerState::Usable);
    healthy.store(false, SeqCst);
    until("it is out", || state() == PeerState::Unhealthy);
    let mut client = front.connect();
    for _ in 0..30 {
        assert_eq!(client.get("/").body, "other");
    }
    healthy.store(true, SeqCst);
    until("it is back", || state() == PeerState::Usable);
    until("it is asked", || client.get("/").body == "fine");
}

#[test]
fn if_all_are_unhealthy_all_are_asked_or_none() {
    for (fail_open, status) in [(true, 200), (false, 503)] {
        let upstream = Upstream::scripted(|talk, _| {
            while let Some(request) = talk.request() {
                let check = request.starts_with("GET /health ");
                talk.say(if check { BAD.to_owned() } else { ok("x") });
            }
        });
        let front = Front::with(
            &[upstream.addr],
            |spec| {
                spec.fail_open = fail_open;
                spec.health = Some(HealthSpec {
                    path: "/health".into(),
                    host: Some("check.example".into()),
                    interval_ms: 100,
                    timeout_ms: 1_000,
                    healthy_after: 1,
                    unhealthy_after: 1,
                });
            },
            |_| {},
        );
        let peer = &front.pool.peers()[0];
        until("it is out", || peer.state() == PeerState::Unhealthy);
        assert_eq!(front.get("/").status, status, "fail_open {fail_open}");
        assert!(upstream.heard()[0].contains("host: check.example"));
    }
}

#[test]
fn the_busy_peer_gets_less() {
    let held = Arc::new(AtomicUsize::new(0));
    let count = held.clone();
    let slow = Upstream::scripted(move |talk, _| {
        while talk.request().is_some() {
            count.fetch_add(1, SeqCst);
            talk.wait_for_end();
        }
    });
    let quick = Upstream::saying(ok("quick"));
    let front = Front::to(&[slow.addr, quick.addr]);
    // Each request the slow one holds makes it less likely to get another: it ends at one.
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..100 {
        let mut client = front.connect();
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        clients.push(client);
        until("it was given to one of them", || {
            quick.heard().len() + held.load(SeqCst) == clients.len()
        });
    }
    let (slow, quick) = (held.load(SeqCst), quick.heard().len());
    assert!(
        slow < 10 && quick > 90,
        "{slow} to the busy one, {quick} to the other"
    );
}

#[test]
fn connections_are_bounded_and_waiting_is_bounded() {
    let upstream = Upstream::scripted(|talk, _| {
        while let Some(request) = talk.request() {
            if request.contains("/hold") {
                talk.wait_for_end();
            }
            talk.say(ok("x"));
        }
    });
    let tight = |spec: &mut gateway::upstream::PoolSpec| {
        spec.connections.per_peer_max = 2;
        spec.connections.waiting_max = 1;
        spec.connections.wait_ms = 20_000;
    };
    let front = Front::with(&[upstream.addr], tight, |_| {});
    let hold = || {
        let mut client = front.connect();
        client.send("GET /hold HTTP/1.1\r\nHost: t\r\n\r\n");
        client
    };
    let first = hold();
    let _second = hold();
    until("both are in use", || front.pool.peers()[0].in_flight() == 2);
    let mut third = front.connect();
    third.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    until("the third waits", || front.pool.waiting() == 1);
    let got = front.get("/");
    assert_eq!(
        (got.status, got.body.as_str()),
        (503, "busy"),
        "no place to wait for a fourth"
    );
    assert_eq!(got.header("x-happened"), Some("no"));
    drop(first);
    assert_eq!(
        third.answer().status,
        200,
        "it got the place that became free"
    );
    assert_eq!(front.pool.waiting(), 0);
    assert_eq!(upstream.connections(), 3, "never more than two at once");

    let front = Front::with(
        &[upstream.addr],
        |spec| {
            spec.connections.per_peer_max = 1;
            spec.connections.wait_ms = 50;
        },
        |_| {},
    );
    let mut holder = front.connect();
    holder.send("GET /hold HTTP/1.1\r\nHost: t\r\n\r\n");
    until("it is in use", || front.pool.peers()[0].in_flight() == 1);
    assert_eq!(front.get("/").body, "waited_in_vain");
}

#[test]
fn idle_connections_end_after_their_time() {
    let upstream = Upstream::saying(ok("x"));
    let front = Front::with(
        &[upstream.addr],
        |spec| spec.connections.idle_ms = 100,
        |_| {},
    );
    assert_eq!(front.get("/").status, 200);
    assert_eq!(front.pool.peers()[0].connections(), 1, "kept at first");
    until("it was closed", || upstream.closed() == 1);
    assert_eq!(front.pool.peers()[0].connections(), 0);
}

#[test]
fn a_connect_that_takes_too_long_is_504() {
    // A full queue of connections: the kernel answers no more.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let socket = socket2::SockRef::from(&listener);
    socket.listen(1).unwrap();
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let socket =
                socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&addr.into());
            socket
        })
        .collect();
    let front = Front::with(&[addr], |spec| spec.timeouts.connect_ms = 100, |_| {});
    let got = front.post("/", "x");
    assert_eq!((got.status, got.body.as_str()), (504, "connect_timeout"));
    assert_eq!(got.header("x-happened"), Some("no"));
    drop(waiting);
}

#[test]
fn a_name_is_looked_up() {
    let upstream = Upstream::saying(ok("found"));
    let port = upstream.addr.port();
    let front = Front::with(
        &[nobody()],
        |spec| {
            spec.peers[0].address = gateway::upstream::Address::Name {
                host: "localhost".into(),
                port,
            };
        },
        |_| {},
    );
    assert_eq!(front.get("/").body, "found");
}
