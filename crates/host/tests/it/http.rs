//! The accept loop from outside, with raw bytes: what it answers, refuses, closes and when.

use crate::support::{self, Server, until};
use host::http::Closed;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

#[test]
fn answers_and_keeps_the_connection() {
    let server = Server::start(|_| {});
    let mut client = server.connect();
    for _ in 0..3 {
        let answer = client.ask(GET);
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    }
    assert_eq!(
        server.stats.accepted(),
        1,
        "three requests on one connection"
    );
    assert_eq!(server.stats.answered(1), 3);
    assert_eq!(server.stats.latency().snapshot().count, 3);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(|_| {});
    let mut client = server.connect();
    let three: String = (0..3)
        .map(|n| format!("GET /path/{n} HTTP/1.1\r\nHost: t\r\n\r\n"))
        .collect();
    client.send(&three);
    let bodies: Vec<String> = (0..3).map(|_| client.answer().body).collect();
    assert_eq!(bodies, ["/path/0", "/path/1", "/path/2"]);
}

#[test]
fn every_worker_answers_on_the_one_port() {
    let server = Server::start(|o| o.workers = 3);
    let mut seen = std::collections::BTreeSet::new();
    until("all three workers answered", || {
        seen.insert(
            server
                .connect()
                .ask("GET /worker HTTP/1.1\r\nHost: t\r\n\r\n")
                .body,
        );
        seen.len() == 3
    });
}

#[test]
fn ambiguous_framing_is_refused() {
    let cases = [
        (
            "length and chunked",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunked and length",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        ),
        (
            "hidden behind others, in other letters",
            "A: b\r\ncOnTeNt-LeNgTh: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "two lengths",
            "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        ),
        ("length with a sign", "Content-Length: +3\r\n\r\nabc"),
        (
            "chunked not last",
            "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        ),
        ("space before the colon", "Content-Length : 3\r\n\r\nabc"),
    ];
    let server = Server::start(|_| {});
    for (at, (what, rest)) in cases.into_iter().enumerate() {
        let mut client = server.connect();
        // Parsers skip blank lines before a request; so must whoever looks again.
        let blank = ["", "\r\n\r\n"][at % 2];
        client.send(&format!("{blank}POST /echo HTTP/1.1\r\nHost: t\r\n{rest}"));
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{what}");
        client.expect_end(what);
    }
    until("all are counted", || {
        server.stats.closed(Closed::Malformed) == cases.len() as u64
    });
}

#[test]
fn a_chunked_head_that_cannot_be_looked_at_whole_is_refused() {
    let server = Server::start(|_| {});
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n");
    server.connect().ask(GET); // the first half has been read by now
    client.send("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(client.answer().status, 400);
}

#[test]
fn what_follows_a_chunked_body_is_not_taken_for_a_request() {
    let server = Server::start(|_| {});
    let mut client = server.connect();
    client.send(
        "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\n0\r\n\r\nGET /path/smuggled HTTP/1.1\r\nHost: t\r\n\r\n",
    );
    let answer = client.answer();
    assert_eq!(answer.body, "abc");
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
    client.expect_end("after chunked");
}

#[test]
fn a_head_too_large_is_refused() {
    let server = Server::start(|_| {});
    let mut client = server.connect();
    let long = "x".repeat(40 * 1024);
    client.send(&format!(
        "GET / HTTP/1.1\r\nHost: t\r\nX-Long: {long}\r\n\r\n"
    ));
    assert_eq!(client.answer().status, 431);

    let mut client = server.connect();
    let many: String = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect();
    client.send(&format!("GET / HTTP/1.1\r\nHost: t\r\n{many}\r\n"));
    assert_eq!(client.answer().status, 431);
}

#[test]
fn a_silent_connection_is_closed() {
    let server = Server::start(|o| o.first_byte_ms = 300);
    let mut client = server.connect();
    let started = Instant::now();
    client.expect_end("silent");
    assert!(
        started.elapsed() >= Duration::from_millis(200),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(server.stats.closed(Closed::Silent), 1);
}

#[test]
fn slow_headers_end_with_408_although_bytes_keep_coming() {
    let server = Server::start(|o| o.header_ms = 400);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: t\r\n");
    let mut writer = client.stream.try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        // Ends when the server closes: a byte every so often, never the empty line.
        while writer.write_all(b"X: y\r\n").is_ok() {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    });
    assert_eq!(client.answer().status, 408);
    drip.join().unwrap();
    assert_eq!(server.stats.closed(Closed::SlowHead), 1);
}

#[test]
fn an_idle_connection_is_parked_then_closed() {
    let server = Server::start(|o| o.idle_ms = 2_600);
    let mut client = server.connect();
    assert_eq!(client.ask(GET).status, 200);
    // Beyond PARK_IDLE_MS, the connection has no buffers; it must still answer.
    let mut nothing = [0_u8; 1];
    client
        .stream
        .set_read_timeout(Some(Duration::from_millis(2_300)))
        .unwrap();
    let silence = client.stream.read(&mut nothing).unwrap_err();
    assert_eq!(silence.kind(), std::io::ErrorKind::WouldBlock);
    client
        .stream
        .set_read_timeout(Some(support::PATIENCE))
        .unwrap();
    assert_eq!(client.ask(GET).status, 200, "answers after being parked");
    client.expect_end("idle");
    assert_eq!(server.stats.closed(Closed::Idle), 1);
    assert_eq!(server.stats.accepted(), 1);
}

#[test]
fn a_reader_that_takes_nothing_is_closed() {
    let server = Server::start(|o| o.write_stall_ms = 300);
    let mut client = server.connect();
    client.send("GET /flood HTTP/1.1\r\nHost: t\r\n\r\n");
    until("the stalled connection is closed", || {
        server.stats.closed(Closed::WriteStall) == 1
    });
    drop(client);
    until("its place is free", || server.stats.open() == 0);
}

#[test]
fn a_slow_reader_that_goes_on_gets_all_of_it() {
    // Longer than the idle and the stall time, but never that long without progress.
    for closing in ["", "Connection: close\r\n"] {
        let server = Server::start(|o| (o.idle_ms, o.write_stall_ms) = (1_500, 1_500));
        let mut client = server.connect();
        client.send(&format!("GET /flood HTTP/1.1\r\nHost: t\r\n{closing}\r\n"));
        for part in 1..=16 {
            client.hoard(support::FLOOD_BYTES / 16 * part);
            std::thread::park_timeout(Duration::from_millis(150));
        }
        assert_eq!(client.answer().body.len(), support::FLOOD_BYTES);
        if closing.is_empty() {
            assert_eq!(
                client.ask(GET).status,
                200,
                "idle only from the last byte on"
            );
        }
    }
}

#[test]
fn bodies_within_the_limit_arrive_whole() {
    let server = Server::start(|_| {});
    let mut client = server.connect();
    assert_eq!(client.post("/echo", "hello").body, "hello");
    assert_eq!(client.post("/echo", "").body, "");
    let large = "0123456789".repeat(6_000);
    assert_eq!(client.post("/echo", &large).body, large, "in several reads");
    client.send("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("3\r\nabc\r\n");
    client.send("4\r\ndefg\r\n0\r\n\r\n");
    assert_eq!(client.answer().body, "abcdefg");
}

#[test]
fn ten_megabytes_are_refused_before_they_are_sent() {
    let server = Server::start(|_| {});
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 10485760\r\n\r\n");
    assert_eq!(
        client.answer().status,
        413,
        "answered without a byte of the body"
    );
}

#[test]
fn ten_megabytes_sent_regardless_still_see_the_refusal() {
    let server = Server::start(|_| {});
    let body = vec![b'x'; 10 * 1024 * 1024];
    let announced = format!("Content-Length: {}\r\n\r\n", body.len());
    for head in [
        announced.as_str(),
        "Transfer-Encoding: chunked\r\n\r\na00000\r\n",
    ] {
        let mut client = server.connect();
        client.send(&format!("POST /echo HTTP/1.1\r\nHost: t\r\n{head}"));
        client.stream.write_all(&body).unwrap();
        assert_eq!(client.answer().status, 413, "{head:?}");
    }
}

#[test]
fn a_slow_body_is_answered_408() {
    let server = Server::start(|_| {});
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc");
    assert_eq!(client.answer().status, 408);
}

#[test]
fn a_broken_body_never_reaches_the_service_as_whole() {
    let server = Server::start(|_| {});
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert_eq!(client.answer().status, 400);
}

#[test]
fn a_stream_arrives_chunk_by_chunk_and_ends_with_its_client() {
    let server = Server::start(|_| {});
    let mut client = server.connect();
    client.send("GET /stream HTTP/1.1\r\nHost: t\r\n\r\n");
    let mut head = String::new();
    until("the first event", || {
        let mut some = [0_u8; 256];
        let n = client.stream.read(&mut some).unwrap();
        head.push_str(std::str::from_utf8(&some[..n]).unwrap());
        head.contains("data: 1\n")
    });
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    drop(client);
    until("the stream's connection is gone", || {
        server.stats.open() == 0
    });
}

#[test]
fn a_client_that_leaves_before_its_answer_is_not_waited_for() {
    let server = Server::start(|_| {});
    let requests = [
        "GET /gate HTTP/1.1\r\nHost: t\r\n\r\n",
        "POST /gate HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nab",
        "POST /gate HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    ];
    for (before, request) in requests.into_iter().enumerate() {
        let mut client = server.connect();
        client.send(request);
        until("it waits", || server.waiting_at_gate() == before + 1);
        drop(client);
        until("its connection is gone", || server.stats.open() == 0);
    }
}

#[test]
fn whoever_sent_two_requests_and_ended_its_side_gets_both_answers() {
    let server = Server::start(|_| {});
    let mut client = server.connect();
    client.send("GET /gate HTTP/1.1\r\nHost: t\r\n\r\nGET /path/b HTTP/1.1\r\nHost: t\r\n\r\n");
    until("it waits", || server.waiting_at_gate() == 1);
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    server.open_gate();
    assert_eq!(client.answer().body, "through");
    assert_eq!(client.answer().body, "/path/b");
}

#[test]
fn at_the_cap_the_longest_idle_makes_room() {
    let server = Server::start(|o| {
        o.connections_max = 2;
        o.evict_idle_ms = 0;
    });
    let mut first = server.connect();
    assert_eq!(first.ask(GET).status, 200);
    let mut second = server.connect();
    let mut third = None;
    // Both may seem equally old within one sweep; once the first is older, it is the one to go.
    until("the second is younger than the first", || {
        assert_eq!(second.ask(GET).status, 200);
        server.age_of_first_sweep_passed()
    });
    until("a third is let in", || {
        let mut client = server.connect();
        let answer = client.try_ask(GET);
        let let_in = answer.is_some();
        third = answer.map(|_| client);
        let_in
    });
    first.expect_end("evicted");
    assert_eq!(second.ask(GET).status, 200, "the younger one stays");
    assert_eq!(server.stats.closed(Closed::Evicted), 1);
    assert!(server.stats.open() <= 2);
    drop(third);
}

#[test]
fn at_the_cap_nobody_idle_is_spared() {
    let server = Server::start(|o| o.connections_max = 2);
    let mut busy: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for client in &mut busy {
        client.send("GET /gate HTTP/1.1\r\nHost: t\r\n\r\n");
    }
    until("both are in flight", || server.waiting_at_gate() == 2);
    server.connect().expect_end("full");
    assert_eq!(server.stats.closed(Closed::Full), 1);
    server.open_gate();
    for client in &mut busy {
        assert_eq!(client.answer().body, "through");
    }
}

#[test]
fn a_body_that_fails_ends_the_connection_without_an_end_of_the_body() {
    let server = Server::start(|_| {});
    let mut client = server.connect();
    client.send("GET /cut HTTP/1.1\r\nHost: t\r\n\r\n");
    let mut all = Vec::new();
    let _ = client.stream.read_to_end(&mut all);
    let all = String::from_utf8(all).unwrap();
    assert!(all.contains("transfer-encoding: chunked"), "{all:?}");
    assert!(
        all.ends_with("\r\n\r\n4\r\nhalf\r\n"),
        "what came arrives: {all:?}"
    );
    assert!(!all.contains("0\r\n\r\n"), "looks whole: {all:?}");
}

#[test]
fn after_a_101_the_connection_is_a_tunnel_with_what_came_early_and_ends_with_the_drain() {
    let mut server = Server::start(|_| {});
    let mut client = server.connect();
    client.send(
        "GET /upgrade HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly",
    );
    let answer = client.answer();
    assert_eq!(answer.status, 101, "{answer:?}");
    let head = answer.head.to_ascii_lowercase();
    assert!(head.contains("connection: upgrade\r\n"), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
    client.hoard("[early]".len());
    client.send("later");
    client.hoard("[early]later".len());
    assert_eq!(client.pending(), "[early]later");
    assert_eq!(server.stats.open(), 1);
    server.join();
    client.expect_end("the drain ends tunnels");
    assert_eq!(server.stats.open(), 0);
}

#[test]
fn a_tunnel_lasts_for_as_long_as_bytes_move() {
    let server = Server::start(|o| (o.tunnel_idle_ms, o.idle_ms) = (2_000, 200));
    let mut client = server.connect();
    client.send("GET /upgrade HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    assert_eq!(client.answer().status, 101);
    let started = Instant::now();
    let mut heard = [0; 2];
    client.stream.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"[]");
    while started.elapsed() < Duration::from_millis(3_000) {
        client.send("hi");
        client.stream.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hi");
        std::thread::park_timeout(Duration::from_millis(100));
    }
    assert_eq!(server.stats.closed(Closed::Idle), 0);
    client.expect_end("a silent tunnel");
    assert_eq!(server.stats.closed(Closed::Idle), 1);
}
