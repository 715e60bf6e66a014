//! Request bodies on their way up.

use crate::support::{Front, Upstream, ok, until};
use gateway::upstream::Event;
use std::io::Write;

/// Longer than what is gathered before it is sent, and than what sockets buffer.
const LARGE: usize = 3 * 1024 * 1024;

fn counting() -> Upstream {
    Upstream::scripted(|talk, _| {
        while let Some(request) = talk.request() {
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            let framing = if head.to_ascii_lowercase().contains("content-length") {
                "length"
            } else {
                "chunked"
            };
            talk.say(ok(&format!("{framing} {}", body.len())));
        }
    })
}

#[test]
fn bodies_of_any_size_arrive() {
    let upstream = counting();
    let front = Front::to(&[upstream.addr]);
    let mut client = front.connect();
    for size in [1, 1_000, 16 * 1024, 16 * 1024 + 1, LARGE] {
        let got = client.post("/", &"x".repeat(size));
        assert_eq!(got.body, format!("length {size}"));
    }
    assert_eq!(upstream.connections(), 1, "one connection carried them all");
}

#[test]
fn chunks_stay_chunks_and_trailers_stay() {
    let upstream = Upstream::scripted(|talk, _| {
        while let Some(request) = talk.request() {
            talk.say(ok(&request.to_ascii_lowercase()));
        }
    });
    let front = Front::to(&[upstream.addr]);
    let seen = front
        .connect()
        .ask(
            "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
             5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: abc\r\nConnection: evil\r\n\r\n",
        )
        .body;
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    assert!(!head.contains("content-length"), "{head}");
    assert!(
        body.contains("hello") && body.contains(" world"),
        "{body:?}"
    );
    assert!(body.ends_with("0\r\nx-sum: abc\r\n\r\n"), "{body:?}");
}

#[test]
fn a_body_beyond_the_limit_is_413() {
    let upstream = counting();
    let front = Front::with(
        &[upstream.addr],
        |_| {},
        |ctx| ctx.request_bytes_max = 20_000,
    );
    let got = front
        .connect()
        .ask("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 20001\r\n\r\n");
    assert_eq!((got.status, got.header("x-happened")), (413, Some("no")));
    assert_eq!(upstream.connections(), 0, "refused by what it announces");
    let mut client = front.connect();
    client.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(format!("5000\r\n{}\r\n", "x".repeat(0x5000)));
    let got = client.answer();
    assert_eq!(
        (got.status, got.header("x-happened")),
        (413, Some("perhaps"))
    );
    until("the upstream sees the connection end", || {
        upstream.closed() == 1
    });
    assert!(upstream.heard().is_empty(), "it never saw a whole request");
}

#[test]
fn a_client_that_stops_in_the_middle_is_408_and_one_that_leaves_closes_the_upstream() {
    let upstream = Upstream::scripted(|talk, _| talk.wait_for_end());
    let front = Front::with(
        &[upstream.addr],
        |spec| spec.timeouts.between_ms = 100,
        |_| {},
    );
    let mut client = front.connect();
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\nabc");
    let got = client.answer();
    assert_eq!((got.status, got.body.as_str()), (408, "body_too_slow"));
    until("the upstream was let go", || upstream.closed() == 1);

    let front = Front::to(&[upstream.addr]);
    let mut client = front.connect();
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\nabc");
    until("the upstream is asked", || upstream.connections() == 2);
    drop(client);
    until("the upstream was let go", || upstream.closed() == 2);
    until("the load is gone", || {
        front.pool.peers()[0].in_flight() == 0
    });
}

#[test]
fn a_client_that_leaves_while_waiting_closes_the_upstream() {
    let upstream = Upstream::scripted(|talk, _| {
        talk.request();
        talk.wait_for_end();
    });
    let front = Front::to(&[upstream.addr]);
    let mut client = front.connect();
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    until("the upstream is asked", || upstream.heard().len() == 1);
    drop(client);
    until("the upstream was let go", || upstream.closed() == 1);
    until("all is given back", || {
        front.pool.peers()[0].connections() == 0
    });
    assert_eq!(front.count(Event::Abandoned), 1);
}

#[test]
fn an_upstream_that_reads_slowly_holds_its_client_back() {
    let upstream = Upstream::scripted(|talk, _| {
        talk.head();
        std::thread::park_timeout(crate::support::PATIENCE);
    });
    let front = Front::to(&[upstream.addr]);
    let mut client = front.connect();
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 16000000\r\n\r\n");
    client.stream.set_nonblocking(true).unwrap();
    let piece = vec![b'x'; 64 * 1024];
    let mut sent = 0;
    let mut refused = 0;
    // Full again and again over some time: nobody takes more, so it is not gathered here.
    until("the client is held back", || {
        match client.stream.write(&piece) {
            Ok(n) => (sent, refused) = (sent + n, 0),
            Err(_) => refused += 1,
        }
        refused > 100 || sent > 15_000_000
    });
    assert!(sent < 15_000_000, "{sent} bytes were gathered");
}

#[test]
fn a_body_is_only_sent_when_the_upstream_wants_it() {
    let upstream = Upstream::scripted(|talk, _| {
        while let Some(head) = talk.head() {
            assert!(
                head.to_ascii_lowercase().contains("expect: 100-continue"),
                "{head}"
            );
            if head.contains("/refuse") {
                talk.say("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n");
            } else {
                if !head.contains("/silent") {
                    talk.say("HTTP/1.1 100 Continue\r\n\r\n");
                }
                let body = talk.some().unwrap();
                talk.say(ok(&body));
            }
        }
    });
    let front = Front::to(&[upstream.addr]);
    let head = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        )
    };
    for path in ["/", "/silent"] {
        let mut client = front.connect();
        client.send(head(path));
        assert!(client.head().starts_with("http/1.1 100 "), "{path}");
        client.send("hello");
        assert_eq!(client.answer().body, "hello", "{path}");
    }
    let mut client = front.connect();
    client.send(head("/refuse"));
    assert!(client.head().starts_with("http/1.1 417 "), "no 100 before");
}

#[test]
fn an_answer_may_overtake_its_request() {
    let upstream = Upstream::scripted(|talk, _| {
        talk.head();
        talk.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n");
        while let Some(some) = talk.some() {
            if some.ends_with("the end") {
                talk.say("4\r\nlate\r\n0\r\n\r\n");
            }
        }
    });
    let front = Front::to(&[upstream.addr]);
    let mut client = front.connect();
    let body = format!("{}the end", "x".repeat(100_000));
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    assert!(client.head().starts_with("http/1.1 200 "));
    let first = client.some(10);
    assert!(first.contains("early"), "{first}");
    client.send(body);
    let rest = client.some(14);
    assert!(
        rest.contains("late") && rest.ends_with("0\r\n\r\n"),
        "{rest}"
    );
}

#[test]
fn a_connection_that_was_not_sent_all_of_a_request_carries_no_other() {
    let upstream = Upstream::scripted(|talk, _| {
        let head = talk.head().unwrap();
        talk.say(ok("enough"));
        if head.starts_with("POST") {
            talk.wait_for_end();
        }
    });
    let front = Front::to(&[upstream.addr]);
    let mut client = front.connect();
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\nabc");
    assert_eq!(client.answer().body, "enough");
    assert_eq!(front.get("/").body, "enough");
    assert_eq!(upstream.connections(), 2);
}
