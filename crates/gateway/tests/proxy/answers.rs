//! What upstreams answer: passed on, cleaned, or refused.

use crate::support::{Front, Upstream, ok};
use gateway::upstream::Event;
use std::time::Duration;

/// Answers that must never reach a client, with why.
#[test]
fn ambiguous_and_broken_answers_are_refused() {
    let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "a".repeat(40_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(150));
    const OK: &str = "HTTP/1.1 200 OK\r\n";
    let rows: [(&str, &str); 19] = [
        (
            "length and chunked",
            "{200}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunked and length",
            "{200}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        ),
        (
            "two lengths",
            "{200}Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        ),
        ("a list of lengths", "{200}Content-Length: 3, 3\r\n\r\nabc"),
        ("a signed length", "{200}Content-Length: +3\r\n\r\nabc"),
        ("an empty length", "{200}Content-Length:\r\n\r\nabc"),
        (
            "a length beyond all",
            "{200}Content-Length: 99999999999999999999\r\n\r\nabc",
        ),
        (
            "another coding",
            "{200}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunked twice",
            "{200}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunked in 1.0",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "bare line feeds",
            "HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
        ),
        (
            "one bare line feed",
            "{200}A: b\nContent-Length: 3\r\n\r\nabc",
        ),
        (
            "a folded line",
            "{200}A: b\r\n c\r\nContent-Length: 3\r\n\r\nabc",
        ),
        (
            "a space before the colon",
            "{200}Content-Length : 3\r\n\r\nabc",
        ),
        (
            "a zero byte",
            "{200}A: b\0c\r\nContent-Length: 3\r\n\r\nabc",
        ),
        ("no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        (
            "an unasked 101",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        ),
        ("too long a head", &long),
        ("too many lines", &many),
    ];
    for (name, answer) in rows {
        let upstream = Upstream::saying(answer.replace("{200}", OK));
        let front = Front::to(&[upstream.addr]);
        let got = front.post("/", "x");
        assert_eq!(
            (got.status, got.body.as_str()),
            (502, "malformed"),
            "{name}"
        );
        assert_eq!(got.header("x-happened"), Some("perhaps"), "{name}");
        assert_eq!(front.count(Event::Malformed), 1, "{name}");
    }
}

#[test]
fn an_end_before_an_answer_is_502_and_may_have_happened() {
    for (name, answer) in [
        ("nothing", ""),
        ("part of a head", "HTTP/1.1 200 OK\r\nConte"),
    ] {
        let upstream = Upstream::saying_once(answer);
        let front = Front::to(&[upstream.addr]);
        let got = front.post("/", "x");
        assert_eq!((got.status, got.body.as_str()), (502, "lost"), "{name}");
        assert_eq!(got.header("x-happened"), Some("perhaps"), "{name}");
        let got = front.get("/");
        assert_eq!(
            got.header("x-happened"),
            Some("no"),
            "GET has no effect: {name}"
        );
    }
}

#[test]
fn an_answer_cut_short_is_seen_to_be_cut() {
    let rows = [
        (
            "length",
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        ),
        (
            "chunked",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        ),
        (
            "in a chunk",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        ),
        (
            "a bad chunk",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
        ),
        (
            "a chunk's bare end",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\n0\r\n\r\n",
        ),
        (
            "a huge chunk",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
             4\r\nhalf\r\n11111111111111111\r\n",
        ),
    ];
    for (name, answer) in rows {
        let upstream = Upstream::saying_once(answer);
        let front = Front::to(&[upstream.addr]);
        let got = front.get("/");
        assert_eq!(got.status, 200, "{name}");
        assert!(!got.whole, "{name}: {got:?}");
        assert_eq!(got.body, "half", "what came arrives: {name}");
    }
}

#[test]
fn bodies_arrive_whole_however_they_are_framed() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n\
                   4;ext=1\r\nabcd\r\n0003\r\nefg\r\n0\r\n\r\n";
    let rows = [
        ("length", ok("abcdefg"), 2),
        ("chunked", chunked.to_owned(), 2),
        ("to the end", "HTTP/1.1 200 OK\r\n\r\nabcdefg".to_owned(), 0),
        (
            "1.0",
            "HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\nabcdefg".to_owned(),
            0,
        ),
        (
            "close",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 7\r\n\r\nabcdefg".to_owned(),
            0,
        ),
        (
            "interim answers before",
            format!(
                "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 P\r\n\r\n{}",
                ok("abcdefg")
            ),
            2,
        ),
        (
            "more than its length",
            format!("{}HTTP/1.1 200 OK", ok("abcdefg")),
            0,
        ),
    ];
    for (name, answer, reused) in rows {
        // It only closes where that is the end of the body: what is not used again is our doing.
        let upstream = if name == "to the end" {
            Upstream::saying_once(answer)
        } else {
            Upstream::saying(answer)
        };
        let front = Front::to(&[upstream.addr]);
        let mut client = front.connect();
        for _ in 0..3 {
            let got = client.get("/");
            assert_eq!(
                (got.status, got.body.as_str(), got.whole),
                (200, "abcdefg", true),
                "{name}"
            );
        }
        assert_eq!(upstream.connections(), 3 - reused, "{name}");
        assert_eq!(
            front.count(Event::Stale),
            0,
            "{name}: no connection was kept that should not"
        );
    }
}

#[test]
fn head_204_and_304_have_no_body_and_keep_the_connection() {
    let upstream = Upstream::scripted(|talk, _| {
        while let Some(request) = talk.request() {
            talk.say(match request.split(' ').nth(1) {
                Some("/204") => "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n",
                Some("/304") => "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
                Some("/chunked") => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n",
            });
        }
    });
    let front = Front::to(&[upstream.addr]);
    let mut client = front.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: t\r\n\r\n");
    let got = client.answer_to("HEAD");
    assert_eq!(
        (got.status, got.header("content-length")),
        (200, Some("12345"))
    );
    client.send("HEAD /chunked HTTP/1.1\r\nHost: t\r\n\r\n");
    let got = client.answer_to("HEAD");
    assert_eq!(
        (got.status, got.header("content-length")),
        (200, None),
        "{got:?}"
    );
    let got = client.get("/204");
    assert_eq!((got.status, got.header("content-length")), (204, None));
    let got = client.get("/304");
    assert_eq!((got.status, got.header("etag")), (304, Some("\"a\"")));
    assert_eq!(client.get("/204").status, 204, "the connections still work");
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn what_ends_at_us_does_not_reach_the_client() {
    let upstream = Upstream::saying(
        "HTTP/1.1 200 OK\r\nServer: theirs\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
         Connection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\n\
         Proxy-Authenticate: Basic\r\nAlt-Svc: h3=\":443\"\r\nUpgrade: h2c\r\n\
         Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok",
    );
    let got = Front::to(&[upstream.addr]).get("/");
    for gone in [
        "connection",
        "keep-alive",
        "x-hop",
        "proxy-authenticate",
        "alt-svc",
        "upgrade",
    ] {
        assert_eq!(got.header(gone), None, "{}", got.head);
    }
    assert_eq!(got.header("server"), Some("theirs"));
    assert_eq!(got.header("date"), Some("thu, 01 jan 1970 00:00:00 gmt"));
    assert_eq!(got.head.matches("set-cookie: ").count(), 2, "{}", got.head);
}

#[test]
fn a_slow_head_is_504_and_a_slow_body_is_cut() {
    let upstream = Upstream::scripted(|talk, _| {
        while let Some(request) = talk.request() {
            if request.contains("/body") {
                talk.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
            }
            talk.wait_for_end();
        }
    });
    let quick = |spec: &mut gateway::upstream::PoolSpec| {
        spec.timeouts.head_ms = 100;
        spec.timeouts.between_ms = 100;
    };
    let front = Front::with(&[upstream.addr], quick, |_| {});
    let got = front.post("/", "x");
    assert_eq!((got.status, got.body.as_str()), (504, "head_timeout"));
    assert_eq!(got.header("x-happened"), Some("perhaps"));
    let got = front.get("/body");
    assert_eq!(
        (got.status, got.body.as_str(), got.whole),
        (200, "half", false)
    );
    assert_eq!(front.count(Event::HeadTimeout), 1);
    assert_eq!(front.count(Event::BodyTimeout), 1);
}

#[test]
fn a_stream_arrives_piece_by_piece_and_the_total_time_ends_it() {
    let upstream = Upstream::scripted(|talk, _| {
        talk.request();
        talk.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
        for n in 0.. {
            talk.say(format!("data: {n}\n\n"));
            // The pace of the stream; nothing waits for it to be a certain one.
            std::thread::park_timeout(Duration::from_millis(10));
            if n > 2_000 {
                return;
            }
        }
    });
    let total = |spec: &mut gateway::upstream::PoolSpec| spec.timeouts.total_ms = Some(300);
    let front = Front::with(&[upstream.addr], total, |_| {});
    let mut client = front.connect();
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert!(client.head().contains("text/event-stream"));
    let first = client.some(1);
    assert!(
        first.contains("data: 0") && !first.contains("data: 20\n"),
        "{first:?}"
    );
    let rest = client.rest();
    assert!(!rest.contains("0\r\n\r\n"), "cut, not ended");
    assert_eq!(front.count(Event::BodyTimeout), 1);
}

#[test]
fn an_answer_beyond_the_limit_is_refused_or_cut() {
    let upstream = Upstream::scripted(|talk, _| {
        while let Some(request) = talk.request() {
            talk.say(if request.contains("/chunked") {
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                 8\r\n12345678\r\n3\r\nabc\r\n0\r\n\r\n"
            } else {
                "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n12345678abc"
            });
        }
    });
    let front = Front::with(&[upstream.addr], |_| {}, |ctx| ctx.response_bytes_max = 10);
    assert_eq!(front.get("/").status, 502);
    let got = front.get("/chunked");
    assert_eq!((got.body.as_str(), got.whole), ("12345678", false));
}
