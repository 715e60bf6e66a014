//! Slow and silent clients: they lose their connection, everybody else does not notice.

use crate::http::{PATIENCE, connect, one, read_answer};
use crate::site::{Site, now_ms};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{BufReader, Read, Write};
use std::time::{Duration, Instant};

const IDLE_CONNECTIONS: u64 = 10_000;
/// Descriptors that other tests of this process and the shop itself need beside.
const DESCRIPTORS_BESIDE: u64 = 1_500;

fn head(session: &str, length: usize) -> String {
    format!(
        "POST /v1/orders HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {session}\r\n\
         Content-Type: application/json\r\nIdempotency-Key: slow\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

#[test]
fn slow_heads_and_slow_bodies_are_ended() {
    let times = "http: {header_ms: 400, body_ms: 400, first_byte_ms: 400, idle_ms: 1000}\n";
    let site = Site::selling("A", 50).with(times);
    let shop = site.up();
    let session = shop.session(1, now_ms() + 60_000);
    let body = one("A", 1).to_string();
    let head = head(&session, body.len());
    // name, sent at once, then a byte at a time, answered with
    let cases: [(&str, &str, &str, Option<u16>); 3] = [
        ("head", "", &head, Some(408)),
        ("body", &head, &body, Some(408)),
        ("nothing at all", "", "", None),
    ];
    for (name, at_once, slowly, status) in cases {
        let started = Instant::now();
        let mut stream = connect(shop.front).unwrap();
        stream.write_all(at_once.as_bytes()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(30)))
            .unwrap();
        let mut answer = Vec::new();
        let mut bytes = slowly.as_bytes().iter();
        // One byte a round, until the shop has had enough.
        loop {
            assert!(started.elapsed() < PATIENCE, "{name}: never ended");
            if let Some(byte) = bytes.next() {
                // The shop may be gone; reading tells.
                let _ = stream.write_all(&[*byte]);
            }
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => answer.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        assert!(
            started.elapsed() >= Duration::from_millis(300),
            "{name}: ended too early"
        );
        let found = read_answer(&mut BufReader::new(answer.as_slice())).ok();
        assert_eq!(found.map(|(answer, _)| answer.status), status, "{name}");
        assert!(
            bytes.len() > 0 || slowly.is_empty(),
            "{name}: it was never cut short"
        );
    }
    assert_eq!(shop.units("A"), [50, 0, 0]);
}

/// How many idle connections both processes may hold: raises the soft limit, which the shop
/// inherits.
fn idle_connections() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = IDLE_CONNECTIONS + DESCRIPTORS_BESIDE;
    let possible = limit.maximum.map_or(wanted, |most| most.min(wanted));
    if limit.current.is_some_and(|now| now < possible) {
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(possible),
                ..limit
            },
        )
        .unwrap();
    }
    if possible < wanted {
        println!("the hard limit of open files is {possible}: fewer idle connections than 10,000");
    }
    possible - DESCRIPTORS_BESIDE
}

#[test]
fn ten_thousand_idle_connections_and_orders_go_on() {
    let count = idle_connections();
    let site = Site::selling("A", 1_000).with("http: {first_byte_ms: 120000, idle_ms: 120000}\n");
    let shop = site.up();
    let mut buyer = shop.buyer(1);
    let ask = format!(
        "GET /v1/products?limit=1 HTTP/1.1\r\nHost: {}\r\n\r\n",
        shop.front
    );
    let mut idle = Vec::new();
    for n in 0..count {
        let mut stream = connect(shop.front).unwrap();
        // Half of them never said anything, half have been served before.
        if n % 2 == 0 {
            stream.write_all(ask.as_bytes()).unwrap();
        }
        idle.push(stream);
        if n % 500 == 0 {
            buyer.order(&format!("while-{n}"), "A", 1).order();
        }
    }
    let started = Instant::now();
    for n in 0..200 {
        buyer.order(&format!("after-{n}"), "A", 1).order();
    }
    let each = started.elapsed() / 200;
    println!("{count} idle connections, {each:?} for an order");
    assert!(each < Duration::from_millis(250), "{each:?} for an order");
    let mut fresh = shop.buyer(2);
    fresh.order("new", "A", 1).order();
    // They are still there: the first one that was served, and one that never spoke.
    for (at, answers) in [(0, 2), (1, 1)] {
        idle[at].write_all(ask.as_bytes()).unwrap();
        let mut reader = BufReader::new(&idle[at]);
        for _ in 0..answers {
            assert_eq!(read_answer(&mut reader).unwrap().0.status, 200);
        }
    }
}
