//! Requests as raw bytes: what is refused, with which status, and never reaches a service.

use crate::support::{Client, PATIENCE};
use host::Drain;
use host::http::{Body, BodyError, HttpStats, ListenOptions, Listening, Service, read_body, start};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Silence after which the server itself ends a connection: no test has to guess.
const SILENCE_MS: u32 = 400;
/// What was served, and to whom.
type Served = Arc<Mutex<Vec<(SocketAddr, String)>>>;

/// Reads every request whole and remembers it.
struct Whole(Served);

impl Service for Whole {
    async fn call(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let (head, body) = request.into_parts();
        let status = match read_body(body, 64 * 1024, Duration::from_millis(300)).await {
            Ok(body) => {
                let host = head
                    .headers
                    .get("host")
                    .map_or("-", |h| h.to_str().unwrap());
                let seen = format!("{} {} {host} {}", head.method, head.uri, body.len());
                self.0.lock().unwrap().push((peer, seen));
                StatusCode::OK
            }
            Err(BodyError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Err(BodyError::TooSlow { .. }) => StatusCode::REQUEST_TIMEOUT,
            Err(BodyError::Broken) => StatusCode::BAD_REQUEST,
        };
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = status;
        response
    }
}

pub struct Door {
    addr: SocketAddr,
    seen: Served,
    drain: Drain,
    listening: Option<Listening>,
}

impl Door {
    pub fn open() -> Self {
        let mut options = ListenOptions::new("strict", "127.0.0.1:0".parse().unwrap());
        (options.idle_ms, options.header_ms) = (SILENCE_MS, SILENCE_MS);
        let (drain, seen) = (Drain::new(), Served::default());
        let of_worker = seen.clone();
        let make = move |_| Whole(of_worker.clone());
        let listening = start(&options, make, drain.clone(), HttpStats::new()).unwrap();
        Door {
            addr: listening.local_addr(),
            seen,
            drain,
            listening: Some(listening),
        }
    }

    /// Sends each case on a connection of its own and waits until the server ends all of them:
    /// what was answered, and what the service saw.
    pub fn knock(&self, cases: &[Vec<u8>]) -> Vec<(Vec<u16>, Vec<String>)> {
        let send = |bytes: &Vec<u8>| {
            let mut stream = TcpStream::connect(self.addr).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(bytes).unwrap();
            stream
        };
        let streams: Vec<_> = cases.iter().map(send).collect();
        let answers: Vec<_> = streams.into_iter().map(answered).collect();
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        let of = |addr| {
            seen.iter()
                .filter(|(a, _)| *a == addr)
                .map(|(_, s)| s.clone())
                .collect()
        };
        answers
            .into_iter()
            .map(|(addr, statuses)| (statuses, of(addr)))
            .collect()
    }
}

fn answered(mut stream: TcpStream) -> (SocketAddr, Vec<u16>) {
    let mut answers = Vec::new();
    // A reset says no more than that the connection is over.
    let _ = stream.read_to_end(&mut answers);
    let answers = String::from_utf8_lossy(&answers);
    let statuses = answers
        .match_indices("HTTP/1.")
        .map(|(at, _)| answers[at + 9..at + 12].parse().unwrap())
        .collect();
    (stream.local_addr().unwrap(), statuses)
}

impl Drop for Door {
    fn drop(&mut self) {
        self.drain.begin();
        let whole = self.listening.take().is_some_and(Listening::join);
        assert!(whole || std::thread::panicking(), "a worker panicked");
    }
}

#[test]
fn who_is_asked_has_one_answer() {
    let rows: [(&str, &str, u16, &str); 31] = [
        (
            "one host",
            "GET / HTTP/1.1\r\nHost: a\r\n",
            200,
            "GET / a 0",
        ),
        ("no host", "GET / HTTP/1.1\r\n", 400, ""),
        (
            "two hosts",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n",
            400,
            "",
        ),
        (
            "an empty host",
            "GET / HTTP/1.1\r\nHost:\r\n",
            200,
            "GET /  0",
        ),
        ("a path as host", "GET / HTTP/1.1\r\nHost: a/b\r\n", 400, ""),
        ("a user as host", "GET / HTTP/1.1\r\nHost: u@a\r\n", 400, ""),
        (
            "two hosts in one",
            "GET / HTTP/1.1\r\nHost: a b\r\n",
            400,
            "",
        ),
        ("1.0 without host", "GET / HTTP/1.0\r\n", 200, "GET / - 0"),
        (
            "1.0 with two",
            "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n",
            400,
            "",
        ),
        (
            "the authority wins",
            "GET http://b/x HTTP/1.1\r\nHost: a\r\n",
            200,
            "GET http://b/x b 0",
        ),
        (
            "and needs a host beside it",
            "GET http://b/x HTTP/1.1\r\n",
            400,
            "",
        ),
        (
            "with a user",
            "GET http://u:p@b/x HTTP/1.1\r\nHost: b\r\n",
            400,
            "",
        ),
        (
            "of another scheme",
            "GET ftp://b/x HTTP/1.1\r\nHost: b\r\n",
            400,
            "",
        ),
        (
            "a host as target",
            "GET a:80 HTTP/1.1\r\nHost: a\r\n",
            400,
            "",
        ),
        ("a word as target", "GET x HTTP/1.1\r\nHost: a\r\n", 400, ""),
        (
            "a star",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n",
            200,
            "OPTIONS * a 0",
        ),
        ("a star to get", "GET * HTTP/1.1\r\nHost: a\r\n", 400, ""),
        (
            "a tunnel",
            "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n",
            501,
            "",
        ),
        ("a fragment", "GET /#x HTTP/1.1\r\nHost: a\r\n", 400, ""),
        (
            "a control byte",
            "GET /\x01 HTTP/1.1\r\nHost: a\r\n",
            400,
            "",
        ),
        ("no target", "GET HTTP/1.1\r\nHost: a\r\n", 400, ""),
        ("two blanks", "GET  / HTTP/1.1\r\nHost: a\r\n", 400, ""),
        ("a tab", "GET\t/ HTTP/1.1\r\nHost: a\r\n", 400, ""),
        ("no token", "G(T / HTTP/1.1\r\nHost: a\r\n", 400, ""),
        (
            "a method of one's own",
            "BREW / HTTP/1.1\r\nHost: a\r\n",
            200,
            "BREW / a 0",
        ),
        ("version 2.0", "GET / HTTP/2.0\r\nHost: a\r\n", 400, ""),
        ("version 1.2", "GET / HTTP/1.2\r\nHost: a\r\n", 400, ""),
        ("version 0.9", "GET /\r\n", 400, ""),
        ("not HTTP", "GET / ICE/1.1\r\nHost: a\r\n", 400, ""),
        (
            "nothing after the version",
            "GET / HTTP/1.1 x\r\nHost: a\r\n",
            400,
            "",
        ),
        ("the preface", "PRI * HTTP/2.0\r\n", 400, ""),
    ];
    check(rows);
}

#[test]
fn where_it_ends_has_one_answer() {
    const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\n";
    let seen = "POST / a 3";
    let rows = [
        ("a length", "Content-Length: 3\r\n\r\nabc", 200, seen),
        (
            "blanks around it",
            "Content-Length:  \t3 \r\n\r\nabc",
            200,
            seen,
        ),
        (
            "the same twice",
            "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
            400,
            "",
        ),
        (
            "two",
            "Content-Length: 3\r\nContent-Length: 2\r\n\r\nabc",
            400,
            "",
        ),
        ("a list", "Content-Length: 3, 3\r\n\r\nabc", 400, ""),
        ("a sign", "Content-Length: +3\r\n\r\nabc", 400, ""),
        ("negative", "Content-Length: -3\r\n\r\nabc", 400, ""),
        ("hexadecimal", "Content-Length: 0x3\r\n\r\nabc", 400, ""),
        ("empty", "Content-Length: \r\n\r\n", 400, ""),
        (
            "out of range",
            "Content-Length: 18446744073709551619\r\n\r\nabc",
            400,
            "",
        ),
        (
            "a blank before the colon",
            "Content-Length : 3\r\n\r\nabc",
            400,
            "",
        ),
        (
            "chunks",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            200,
            seen,
        ),
        (
            "chunks after a length",
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "",
        ),
        (
            "chunks before a length",
            "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
            400,
            "",
        ),
        (
            "chunks of a zip",
            "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            501,
            "",
        ),
        ("a zip alone", "Transfer-Encoding: gzip\r\n\r\n", 400, ""),
        (
            "a zip of chunks",
            "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
            400,
            "",
        ),
        (
            "chunks twice",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "",
        ),
        (
            "chunks of chunks",
            "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            501,
            "",
        ),
        (
            "chunks, nearly",
            "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            400,
            "",
        ),
        (
            "chunks, quoted",
            "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
            400,
            "",
        ),
        (
            "chunks, by a vertical tab",
            "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
            400,
            "",
        ),
        (
            "a size that is none",
            "Transfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n",
            400,
            "",
        ),
        (
            "a negative size",
            "Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
            400,
            "",
        ),
        (
            "a size too large",
            "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n",
            400,
            "",
        ),
        (
            "a size in C",
            "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
            400,
            "",
        ),
        (
            "a longer chunk",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
            400,
            "",
        ),
        (
            "a bare line feed after a size",
            "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
            400,
            "",
        ),
        (
            "a folded line",
            "X: y\r\n z\r\nContent-Length: 3\r\n\r\nabc",
            400,
            "",
        ),
        (
            "a bare line feed",
            "X: y\nContent-Length: 3\r\n\r\nabc",
            400,
            "",
        ),
        (
            "bare line feeds at the end",
            "Content-Length: 0\n\n",
            400,
            "",
        ),
        ("a bare return", "X: y\rContent-Length: 3\r\n\r\n", 400, ""),
        ("a null", "X: y\0\r\n\r\n", 400, ""),
        ("a null in a name", "X\0: y\r\n\r\n", 400, ""),
        ("a name that is no token", "X(: y\r\n\r\n", 400, ""),
        ("no name", ": y\r\n\r\n", 400, ""),
        ("no colon", "XY\r\n\r\n", 400, ""),
        (
            "a line before all that begins with a blank",
            " X: y\r\n\r\n",
            400,
            "",
        ),
    ]
    .map(|(what, rest, status, seen)| (what, format!("{POST}{rest}"), status, seen));
    check(rows.each_ref().map(|(w, r, s, n)| (*w, r.as_str(), *s, *n)));
    let chunked_1_0 = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    check([("chunks in 1.0", chunked_1_0, 400, "")]);
}

#[test]
fn too_much_has_its_own_status() {
    let long = "x".repeat(9 * 1024);
    let rows = [
        (
            "a target",
            format!("GET /{long} HTTP/1.1\r\nHost: a\r\n"),
            414,
        ),
        (
            "a query",
            format!("GET /?{long} HTTP/1.1\r\nHost: a\r\n"),
            414,
        ),
        (
            "a line",
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}{long}{long}{long}\r\n"),
            431,
        ),
        (
            "lines",
            format!("GET / HTTP/1.1\r\nHost: a\r\n{}", "X: y\r\n".repeat(100)),
            431,
        ),
    ];
    check(
        rows.each_ref()
            .map(|(what, head, status)| (*what, head.as_str(), *status, "")),
    );
    let most = format!("GET / HTTP/1.1\r\nHost: a\r\n{}", "X: y\r\n".repeat(99));
    check([("as many lines as may be", most.as_str(), 200, "GET / a 0")]);
}

/// Each row: what, a head (its empty line may be left out), the one status, what is served.
fn check<const N: usize>(rows: [(&str, &str, u16, &str); N]) {
    let door = Door::open();
    let bytes = rows.map(|(_, head, ..)| {
        let whole = head.contains("\r\n\r\n") || head.contains("\n\n");
        format!("{head}{}", if whole { "" } else { "\r\n" }).into_bytes()
    });
    let mut wrong = Vec::new();
    for ((what, _, status, seen), got) in rows.into_iter().zip(door.knock(&bytes)) {
        let seen: Vec<_> = Some(seen.to_owned())
            .filter(|s| !s.is_empty())
            .into_iter()
            .collect();
        if got != (vec![status], seen.clone()) {
            wrong.push(format!("{what}: {got:?}, expected {status} {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_request_in_pieces_is_judged_as_one() {
    let door = Door::open();
    let mut client = Client::connect(door.addr);
    const OLD: &str = "GET / HTTP/1.0\r\n\r\n";
    let lines =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for piece in lines.as_bytes().chunks(7) {
        client.stream.write_all(piece).unwrap();
        assert_eq!(
            Client::connect(door.addr).ask(OLD).status,
            200,
            "the piece has been read"
        );
    }
    assert_eq!(client.answer().status, 200);
}

#[test]
fn pipelined_requests_are_judged_one_by_one() {
    let door = Door::open();
    let good = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 18\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    let bad = "GET /b HTTP/1.1\r\nHost: a\nX: y\r\n\r\n";
    let (statuses, seen) = &door.knock(&[format!("{good}{good}{bad}{good}").into_bytes()])[0];
    assert_eq!(*statuses, [200, 200, 400]);
    assert_eq!(*seen, ["POST /a a 18", "POST /a a 18"]);
}
