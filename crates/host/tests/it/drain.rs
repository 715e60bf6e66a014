//! The end of a listener: nothing in flight is lost, nothing new is let in, the port is free.

use crate::support::{FLOOD_BYTES, Server, until};
use host::Drain;
use host::http::{Closed, HttpStats, ListenError, ListenOptions, start};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

const GATE: &str = "GET /gate HTTP/1.1\r\nHost: t\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

#[test]
fn in_flight_is_finished_while_new_and_idle_are_turned_away() {
    let mut server = Server::start(|o| o.workers = 2);
    let mut idle = server.connect();
    assert_eq!(idle.ask(GET).status, 200);
    let mut busy: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for client in &mut busy {
        client.send(GATE);
    }
    until("all are in flight", || server.waiting_at_gate() == 4);

    server.drain.begin();
    idle.expect_end("idle");
    until("the port refuses", || {
        TcpStream::connect(server.addr).is_err()
    });
    let successor = TcpListener::bind(server.addr);
    assert!(
        successor.is_ok(),
        "a new process can bind at once: {successor:?}"
    );

    server.open_gate();
    for client in &mut busy {
        let answer = client.answer();
        assert_eq!(answer.body, "through");
        assert!(answer.head.contains("connection: close"), "{}", answer.head);
        client.expect_end("after its last answer");
    }
    server.join();
    assert_eq!(server.stats.open(), 0);
    assert_eq!(server.stats.closed(Closed::DrainCut), 0);
}

#[test]
fn what_never_ends_is_cut_at_the_deadline() {
    let mut server = Server::start(|o| o.drain_ms = 300);
    let mut client = server.connect();
    client.send(GATE);
    until("it is in flight", || server.waiting_at_gate() == 1);
    let began = Instant::now();
    server.join();
    assert!(
        began.elapsed().as_millis() >= 300,
        "waited for it: {:?}",
        began.elapsed()
    );
    client.expect_end("cut");
    assert_eq!(server.stats.closed(Closed::DrainCut), 1);
}

#[test]
fn a_connection_that_was_about_to_ask_is_answered_once() {
    let server = Server::start(|o| o.drain_fresh_ms = 9_000);
    let mut holder = server.connect();
    holder.send(GATE);
    let mut fresh = server.connect();
    until("both are accepted", || {
        server.stats.accepted() == 2 && server.waiting_at_gate() == 1
    });
    server.drain.begin();
    until("the port refuses", || {
        TcpStream::connect(server.addr).is_err()
    });
    let answer = fresh.ask(GET);
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
    fresh.expect_end("after its only request");
}

#[test]
fn a_connection_that_asks_nothing_does_not_hold_the_drain_up() {
    let mut server = Server::start(|o| o.drain_ms = 60_000);
    let mut silent = server.connect();
    until("it is accepted", || server.stats.accepted() == 1);
    let began = Instant::now();
    server.join();
    silent.expect_end("silent");
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
}

#[test]
fn an_answer_that_is_taken_slowly_is_finished() {
    let mut server = Server::start(|o| o.drain_ms = 60_000);
    let mut client = server.connect();
    client.send("GET /flood HTTP/1.1\r\nHost: t\r\n\r\n");
    until("its answer is on its way", || server.stats.answered(1) == 1);
    server.drain.begin();
    until("the port refuses", || {
        TcpStream::connect(server.addr).is_err()
    });
    assert_eq!(client.answer().body.len(), FLOOD_BYTES);
    client.expect_end("after its answer");
    server.join();
    assert_eq!(server.stats.closed(Closed::DrainCut), 0);
}

#[test]
fn a_head_that_has_begun_is_served() {
    let server = Server::start(|_| {});
    let mut holder = server.connect();
    holder.send(GATE);
    let mut slow = server.connect();
    // On a connection that was idle before: an idle one would be closed.
    assert_eq!(slow.ask(GET).status, 200);
    slow.send("GET /path/slow HTTP/1.1\r\n");
    // Its worker has read that much once it has answered somebody who came later.
    assert_eq!(server.connect().ask(GET).status, 200);
    until("the gate is waited at", || server.waiting_at_gate() == 1);
    server.drain.begin();
    until("the port refuses", || {
        TcpStream::connect(server.addr).is_err()
    });
    slow.send("Host: t\r\n\r\n");
    assert_eq!(slow.answer().body, "/path/slow");
    slow.expect_end("after its request");
}

#[test]
fn a_port_in_use_is_named_and_never_shared() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    refuses_in_use(taken);
    // Another of our own would share the port if it could; it must not either.
    let ours = Server::start(|o| o.workers = 2);
    refuses_in_use(ours.addr);
}

fn refuses_in_use(addr: std::net::SocketAddr) {
    let options = ListenOptions {
        workers: 2,
        ..ListenOptions::new("second", addr)
    };
    let make = |_| crate::support::Nothing;
    let error = start(&options, make, Drain::new(), HttpStats::new()).unwrap_err();
    assert!(
        matches!(error, ListenError::InUse { addr: at } if at == addr),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(
        text.contains(&addr.to_string()) && text.contains("port 0"),
        "{text}"
    );
}
