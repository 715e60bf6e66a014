//! HTTP/2 from outside, frame by frame: what is answered, refused, ended and when.

use crate::frames::{
    ACK, CONTINUATION, DATA, END_STREAM, Frames, GET, GOAWAY, HEADERS, PING, RST_STREAM,
    WINDOW_UPDATE, frame, literal, request, status_of,
};
use crate::support::{PAGE_BYTES, Server, until};
use host::http::Closed;
use std::time::{Duration, Instant};

const WINDOW: u16 = 4;

fn start(change: impl FnOnce(&mut host::http::ListenOptions)) -> Server {
    Server::start(|o| {
        o.http2 = true;
        change(o);
    })
}

fn grant(bytes: u32) -> [u8; 4] {
    bytes.to_be_bytes()
}

#[test]
fn streams_are_answered_side_by_side() {
    let server = start(|_| {});
    let mut client = Frames::connect(server.addr, &[]);
    let gate = request("GET", "/gate", &[(":authority", "t")]);
    for stream in (1..100).step_by(2) {
        assert!(client.headers(stream, END_STREAM, &gate));
    }
    until("all are in flight", || server.waiting_at_gate() == 50);
    assert!(client.headers(101, END_STREAM, GET));
    let first = client.expect(DATA);
    assert_eq!(
        (first.stream, &first.payload[..]),
        (101, &b"ok"[..]),
        "overtakes those that wait"
    );
    server.open_gate();
    let mut through: Vec<_> = (0..50)
        .map(|_| client.expect(DATA))
        .map(|f| f.stream)
        .collect();
    through.sort_unstable();
    assert_eq!(through, (1..100).step_by(2).collect::<Vec<_>>());
    assert_eq!(server.stats.accepted(), 1);
    assert_eq!(server.stats.answered(1), 51);
}

#[test]
fn both_versions_are_served_on_one_port_if_allowed() {
    let server = start(|_| {});
    let mut old = server.connect();
    assert_eq!(old.ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n").status, 200);
    // Its first byte could be the preface's.
    let mut slow = server.connect();
    slow.send("P");
    assert_eq!(old.ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n").status, 200);
    assert_eq!(slow.ask("UT / HTTP/1.1\r\nHost: t\r\n\r\n").status, 200);

    let server = Server::start(|_| {});
    let mut client = server.connect();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    client.expect_end("only HTTP/1 here, and no answer that it would understand");
    assert_eq!(server.stats.closed(Closed::Malformed), 1);
}

#[test]
fn bodies_arrive_whole_both_ways() {
    let server = start(|_| {});
    let mut client = Frames::connect(server.addr, &[]);
    let post = request("POST", "/echo", &[(":authority", "t")]);
    assert!(client.headers(1, 0, &post));
    let mut sent = Vec::new();
    for part in 0..4_u8 {
        let data = vec![part; 10_000];
        let flags = if part == 3 { END_STREAM } else { 0 };
        assert!(client.send(&frame(DATA, flags, 1, &data)));
        sent.extend_from_slice(&data);
    }
    assert_eq!(status_of(&client.expect(HEADERS).payload), 200);
    let mut received = Vec::new();
    while received.len() < sent.len() {
        received.extend_from_slice(&client.expect(DATA).payload);
    }
    assert_eq!(received, sent);
}

#[test]
fn the_door_has_the_same_rules() {
    let long = "x".repeat(9 * 1024);
    let target = format!("/{long}");
    let many: Vec<_> = (0..101).map(|_| ("x", "y")).collect();
    let t = (":authority", "t");
    // One header remembered, then named by a byte each: 36 KB from 3.
    let mut large = literal("x", &"y".repeat(3_000));
    large[0] = 0x40;
    let large = [request("GET", "/", &[t]), large, vec![0xbe; 11]].concat();
    let rows: Vec<(&str, Vec<u8>, Option<u16>)> = vec![
        ("large headers", large, Some(431)),
        ("an authority", request("GET", "/", &[t]), Some(200)),
        (
            "a host instead",
            request("GET", "/", &[("host", "t")]),
            Some(200),
        ),
        (
            "both, the same",
            request("GET", "/", &[t, ("host", "T")]),
            Some(200),
        ),
        (
            "both, different",
            request("GET", "/", &[t, ("host", "u")]),
            Some(400),
        ),
        ("neither", request("GET", "/", &[]), Some(400)),
        (
            "two hosts",
            request("GET", "/", &[("host", "t"), ("host", "t")]),
            Some(400),
        ),
        (
            "a user",
            request("GET", "/", &[(":authority", "u@t")]),
            Some(400),
        ),
        ("a star", request("OPTIONS", "*", &[t]), Some(200)),
        ("a star to get", request("GET", "*", &[t]), Some(400)),
        ("a long target", request("GET", &target, &[t]), Some(414)),
        (
            "many lines",
            request("GET", "/", &[&[t], &many[..]].concat()),
            Some(431),
        ),
        (
            "a connection header",
            request("GET", "/", &[t, ("connection", "close")]),
            None,
        ),
        (
            "a coding",
            request("GET", "/", &[t, ("transfer-encoding", "chunked")]),
            None,
        ),
        ("capitals", request("GET", "/", &[t, ("X", "y")]), None),
        (
            "a line feed",
            request("GET", "/", &[t, ("x", "y\nz: 1")]),
            None,
        ),
        ("a return", request("GET", "/", &[t, ("x", "y\rz")]), None),
        ("a null", request("GET", "/", &[t, ("x", "y\0z")]), None),
        (
            "a blank in a name",
            request("GET", "/", &[t, ("x y", "z")]),
            None,
        ),
        (
            "a colon in a name",
            request("GET", "/", &[t, ("x:y", "z")]),
            None,
        ),
        ("no path", request("GET", "", &[t]), None),
        (
            "two paths",
            request("GET", "/", &[(":path", "/x"), t]),
            None,
        ),
        (
            "a length that is not kept",
            request("GET", "/", &[t, ("content-length", "3")]),
            None,
        ),
        (
            "two lengths",
            request("GET", "/", &[t, ("content-length", "0, 0")]),
            None,
        ),
    ];
    let server = start(|_| {});
    let mut wrong = Vec::new();
    for (what, block, expected) in rows {
        let served = server.stats.answered(1);
        let mut client = Frames::connect(server.addr, &[]);
        assert!(client.headers(1, END_STREAM, &block));
        let got = loop {
            match client.next() {
                Some(frame) if frame.kind == HEADERS => break Some(status_of(&frame.payload)),
                Some(frame) if matches!(frame.kind, RST_STREAM | GOAWAY) => break None,
                Some(_) => {}
                None => break None,
            }
        };
        // h2 may answer what it refuses; that it is refused is what counts.
        let alike = match expected {
            Some(status) => got == Some(status),
            None => got.is_none_or(|status| status >= 400),
        };
        let reached = server.stats.answered(1) > served;
        if !alike || reached != (expected == Some(200)) {
            wrong.push(format!(
                "{what}: {got:?}, expected {expected:?}; served: {reached}"
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_drain_ends_with_the_streams_in_flight() {
    let mut server = start(|_| {});
    let mut client = Frames::connect(server.addr, &[]);
    let gate = request("GET", "/gate", &[(":authority", "t")]);
    assert!(client.headers(1, END_STREAM, &gate));
    until("it is in flight", || server.waiting_at_gate() == 1);
    let mut idle = Frames::connect(server.addr, &[]);
    assert!(idle.headers(1, END_STREAM, GET));
    assert_eq!(idle.expect(DATA).payload, b"ok");
    server.drain.begin();
    idle.rest(); // it never says that it has heard
    assert_eq!(client.expect(GOAWAY).payload[4..8], [0; 4], "no error");
    let ping = client.expect(PING);
    assert!(client.send(&frame(PING, ACK, 0, &ping.payload)));
    server.open_gate();
    assert_eq!(client.expect(DATA).payload, b"through");
    client.rest();
    server.join();
    assert_eq!(server.stats.closed(Closed::DrainCut), 0);
}

#[test]
fn pings_do_not_keep_an_idle_connection() {
    let server = start(|o| o.idle_ms = 600);
    let mut client = Frames::connect(server.addr, &[]);
    assert!(client.headers(1, END_STREAM, GET));
    assert_eq!(client.expect(DATA).payload, b"ok");
    let started = Instant::now();
    until("the connection is closed", || {
        client.send(&frame(PING, 0, 0, &[0; 8]));
        server.stats.closed(Closed::Idle) == 1
    });
    assert!(
        started.elapsed() >= Duration::from_millis(400),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_connection_that_never_asks_is_closed() {
    let server = start(|o| o.first_byte_ms = 300);
    let mut silent = Frames::connect(server.addr, &[]);
    let mut half = Frames::connect(server.addr, &[]);
    assert!(
        half.send(&frame(HEADERS, END_STREAM, 1, GET)),
        "without its end"
    );
    assert!(half.send(&frame(CONTINUATION, 0, 1, b"")));
    silent.rest();
    half.rest();
    assert_eq!(server.stats.closed(Closed::Silent), 2);
}

#[test]
fn at_the_cap_an_idle_connection_makes_room() {
    let server = start(|o| (o.connections_max, o.evict_idle_ms) = (1, 0));
    let mut first = Frames::connect(server.addr, &[]);
    assert!(first.headers(1, END_STREAM, GET));
    assert_eq!(first.expect(DATA).payload, b"ok");
    let mut second = server.connect();
    assert_eq!(second.ask("GET / HTTP/1.1\r\nHost: t\r\n\r\n").status, 200);
    assert_eq!(first.rest().last().map(|frame| frame.kind), Some(GOAWAY));
    assert_eq!(server.stats.closed(Closed::Evicted), 1);
}

#[test]
fn a_stream_that_takes_nothing_is_cut_and_the_others_go_on() {
    let server = start(|o| o.write_stall_ms = 500);
    let mut client = Frames::connect(server.addr, &[(WINDOW, 0)]);
    let page = request("GET", "/page", &[(":authority", "t")]);
    assert!(client.send(&frame(WINDOW_UPDATE, 0, 0, &grant(4 * PAGE_BYTES as u32))));
    assert!(client.headers(1, END_STREAM, &page));
    assert!(client.headers(3, END_STREAM, &page));
    let mut taken = 0;
    let cut = loop {
        // The third stream takes a piece now and then; the first takes nothing.
        let grant = frame(WINDOW_UPDATE, 0, 3, &grant(20_000));
        let frame = client.next().unwrap();
        match frame.kind {
            HEADERS => assert!(client.send(&grant)),
            DATA => {
                assert_eq!(frame.stream, 3);
                taken += frame.payload.len();
                std::thread::park_timeout(Duration::from_millis(20));
                assert!(client.send(&grant));
            }
            RST_STREAM => break frame,
            _ => {}
        }
    };
    assert_eq!(cut.stream, 1);
    assert!(taken > 0 && taken < PAGE_BYTES, "{taken}");
    assert!(client.send(&frame(WINDOW_UPDATE, 0, 3, &grant(PAGE_BYTES as u32))));
    while taken < PAGE_BYTES {
        let data = client.expect(DATA);
        assert_eq!(data.stream, 3);
        taken += data.payload.len();
    }
    assert_eq!(server.stats.closed(Closed::StreamStall), 1);
}

#[test]
fn a_connection_that_takes_nothing_is_closed() {
    let server = start(|o| o.write_stall_ms = 300);
    let wide = 0x7fff_ffff;
    let mut client = Frames::connect(server.addr, &[(WINDOW, wide)]);
    assert!(client.send(&frame(WINDOW_UPDATE, 0, 0, &grant(wide - 65_535))));
    let flood = request("GET", "/flood", &[(":authority", "t")]);
    assert!(client.headers(1, END_STREAM, &flood));
    until("it is closed", || {
        server.stats.closed(Closed::WriteStall) == 1
    });
    until("its place is free", || server.stats.open() == 0);
}

#[test]
fn who_only_cancels_is_sent_away() {
    let server = start(|_| {});
    let mut client = Frames::connect(server.addr, &[]);
    let gate = request("GET", "/gate", &[(":authority", "t")]);
    // One by one, each seen in service before it is given up: no burst that h2 would count.
    for n in 0..1_000_u32 {
        let stream = 2 * n + 1;
        if !client.headers(stream, END_STREAM, &gate) {
            break;
        }
        until("it is in service, or refused", || {
            server.waiting_at_gate() > n as usize || server.stats.closed(Closed::Flood) == 1
        });
        if !client.send(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])) {
            break;
        }
    }
    until("it is sent away", || {
        server.stats.closed(Closed::Flood) == 1
    });
    assert!(
        server.waiting_at_gate() < 300,
        "{}",
        server.waiting_at_gate()
    );
}

#[test]
fn an_upgrade_is_not_for_http_2() {
    let server = start(|_| {});
    let mut client = Frames::connect(server.addr, &[]);
    let upgrade = request("GET", "/upgrade", &[(":authority", "t")]);
    assert!(client.headers(1, END_STREAM, &upgrade));
    assert_eq!(status_of(&client.expect(HEADERS).payload), 500);
}

#[test]
fn a_listener_takes_as_much_as_it_says() {
    let server = start(|o| (o.headers_max, o.head_bytes_max, o.streams_max) = (10, 1_024, 3));
    let lines = |count: usize, value: &str| {
        let headers = [vec![(":authority", "t")], vec![("x", value); count]].concat();
        request("GET", "/", &headers)
    };
    let rows = [
        ("as many lines as may be", lines(10, "y"), 200),
        ("one more", lines(11, "y"), 431),
        ("as many bytes", lines(1, &"y".repeat(700)), 200),
        ("more", lines(1, &"y".repeat(1_024)), 431),
    ];
    for (what, block, status) in rows {
        let mut client = Frames::connect(server.addr, &[]);
        assert!(client.headers(1, END_STREAM, &block));
        let head = client.expect(HEADERS);
        assert_eq!(status_of(&head.payload), status, "{what}");
    }
    let mut client = Frames::connect(server.addr, &[]);
    let gate = request("GET", "/gate", &[(":authority", "t")]);
    for stream in [1, 3, 5, 7] {
        assert!(client.headers(stream, END_STREAM, &gate));
    }
    let refused = client.expect(RST_STREAM);
    assert_eq!(
        (refused.stream, &refused.payload[..]),
        (7, &[0, 0, 0, 7][..])
    );
    until("the others are in flight", || server.waiting_at_gate() == 3);
}
