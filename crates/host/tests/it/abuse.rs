//! Attacks on one worker, each beside an honest client that must hardly notice.
//!
//! The door is a process of its own, so that its memory can be seen. An attack lasts as long as
//! its bytes do and is bounded in time; the honest client counts what it got within a second.

use crate::child::Process;
use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GET, HEADERS, PING, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, frame, literal, request,
};
use crate::support::{Client, raise_descriptors, until};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);
/// An attack that a connection does not survive is begun again for this long.
const ATTACK: Duration = Duration::from_millis(1_500);
const SUCCESS_PERCENT_MIN: usize = 95;
/// What an attack may make the door hold.
const BYTES_MAX: u64 = 64 * 1_024 * 1_024;
const ASK: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

/// Runs the attack, and says whether the door held.
fn under(what: &str, attack: impl FnOnce(SocketAddr)) {
    raise_descriptors();
    let mut door = Process::start("door");
    let addr: SocketAddr = door.says().parse().unwrap();
    assert_eq!(Client::connect(addr).ask(ASK).status, 200);
    let before = resident_bytes(door.process.id(), "VmRSS:");
    let over = AtomicBool::new(false);
    let (asked, answered) = std::thread::scope(|scope| {
        let honest = scope.spawn(|| {
            let (mut asked, mut answered) = (0, 0);
            while !over.load(Relaxed) || asked < 20 {
                asked += 1;
                let begun = Instant::now();
                // Every time anew: who is let in only once is not served.
                let answer = Client::connect(addr).try_ask(ASK);
                let in_time = begun.elapsed() < Duration::from_secs(1);
                answered += usize::from(in_time && answer.is_some_and(|a| a.status == 200));
                std::thread::park_timeout(Duration::from_millis(2));
            }
            (asked, answered)
        });
        // However the attack ends: a failed one must not keep the honest client going.
        let ended = Ended(&over);
        let begun = Instant::now();
        attack(addr);
        let took = begun.elapsed();
        drop(ended);
        assert!(took < PATIENCE, "{what}: {took:?}");
        honest.join().unwrap()
    });
    let held = resident_bytes(door.process.id(), "VmHWM:").saturating_sub(before);
    println!(
        "{what}: {answered} of {asked} in time, {} KiB more at most",
        held / 1_024
    );
    assert!(
        answered * 100 >= asked * SUCCESS_PERCENT_MIN,
        "{what}: {answered} of {asked}"
    );
    assert!(held <= BYTES_MAX, "{what}: {held} bytes");
}

struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn resident_bytes(pid: u32, which: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(which)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1_024
}

/// Sends a byte to each every so often, until the door has ended them all.
fn drip(mut slow: Vec<TcpStream>, byte: &[u8]) {
    while !slow.is_empty() {
        slow.retain_mut(|stream| stream.write_all(byte).is_ok());
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn opened(addr: SocketAddr, count: usize, with: &[u8]) -> Vec<TcpStream> {
    let open = |_| {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.write_all(with).unwrap();
        stream
    };
    (0..count).map(open).collect()
}

#[test]
fn slow_heads() {
    under("500 slow heads", |addr| {
        drip(opened(addr, 500, b"GET / HTTP/1.1\r\nX: "), b"y");
    });
}

#[test]
fn slow_bodies() {
    let head = b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 60000\r\n\r\n";
    under("500 slow bodies", |addr| {
        drip(opened(addr, 500, head), b"y")
    });
}

#[test]
fn streams_opened_and_reset() {
    const STREAMS: u32 = 100_000;
    under("100,000 streams reset", |addr| {
        let (mut sent, begun) = (0, Instant::now());
        while sent < STREAMS || begun.elapsed() < ATTACK {
            let mut client = Frames::connect(addr, &[]);
            // In bursts, on a new connection whenever the door has had enough of one.
            for burst in 0..1_000_u32 {
                let mut bytes = Vec::new();
                for n in 0..100 {
                    let stream = (burst * 100 + n) * 2 + 1;
                    bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, GET));
                    bytes.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
                }
                sent += 100;
                if !client.send(&bytes) {
                    break;
                }
            }
        }
    });
}

/// Frames sent over and over on one connection after another, their answers never read.
fn flood(what: &str, hello: &[u8], unit: &[u8], bytes_each: usize) {
    let burst: Vec<u8> = unit
        .iter()
        .copied()
        .cycle()
        .take(unit.len() * 512)
        .collect();
    under(what, |addr| {
        let begun = Instant::now();
        while begun.elapsed() < ATTACK {
            let mut client = Frames::connect(addr, &[]);
            let wait = Some(Duration::from_millis(400));
            // The door may stop reading: that is an end like any other.
            client.stream.set_write_timeout(wait).unwrap();
            let mut sent = 0;
            if client.send(hello) {
                while sent < bytes_each && client.send(&burst) {
                    sent += burst.len();
                }
            }
        }
    });
}

#[test]
fn endless_headers() {
    let hello = frame(HEADERS, END_STREAM, 1, GET);
    let more = frame(CONTINUATION, 0, 1, &literal("x", &"y".repeat(1_000)));
    flood("large continuations", &hello, &more, 4_000_000);
    let empty = frame(CONTINUATION, 0, 1, b"");
    flood("empty continuations", &hello, &empty, 4_000_000);
}

#[test]
fn pings_settings_and_windows() {
    flood("pings", b"", &frame(PING, 0, 0, &[0; 8]), 4_000_000);
    flood("settings", b"", &frame(SETTINGS, 0, 0, b""), 4_000_000);
    let open = frame(
        HEADERS,
        END_HEADERS,
        1,
        &request("POST", "/echo", &[(":authority", "t")]),
    );
    flood(
        "windows",
        &open,
        &frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 0]),
        4_000_000,
    );
    flood("empty data", &open, &frame(DATA, 0, 1, b""), 4_000_000);
}

#[test]
fn a_bomb_of_headers() {
    // One header of 3,000 bytes, remembered, then named by one byte each: 3 MB from 1 KB.
    let mut bomb = request("GET", "/", &[(":authority", "t")]);
    let mut remembered = literal("x", &"y".repeat(3_000));
    remembered[0] = 0x40;
    bomb.extend(remembered);
    bomb.extend([0xbe; 1_000]);
    under("bombs", |addr| {
        let begun = Instant::now();
        while begun.elapsed() < ATTACK {
            let mut client = Frames::connect(addr, &[]);
            assert!(client.headers(1, END_STREAM, &bomb));
            // So far beyond what is allowed, the connection goes with it.
            assert!(client.rest().iter().all(|frame| frame.kind != HEADERS));
        }
    });
}

#[test]
fn answers_that_nobody_takes() {
    const WINDOW: u16 = 4;
    under("8,000 stalled streams", |addr| {
        let page = request("GET", "/page", &[(":authority", "t")]);
        let stalled: Vec<_> = (0..80)
            .map(|_| {
                let mut client = Frames::connect(addr, &[(WINDOW, 0)]);
                let each = (1..200).step_by(2);
                each.for_each(|stream| assert!(client.headers(stream, END_STREAM, &page)));
                client
            })
            .collect();
        // Each is cut after the stall time, and its client told.
        for mut client in stalled {
            (0..100).for_each(|_| drop(client.expect(RST_STREAM)));
        }
    });
}

#[test]
fn connections_that_say_nothing() {
    under("2,000 silent connections", |addr| {
        let silent = opened(addr, 2_000, b"");
        let mut probe = Client::connect(addr);
        until("they are gone", || {
            if let Some(answer) = probe.try_ask("GET /open HTTP/1.1\r\nHost: t\r\n\r\n") {
                return answer.body.parse::<usize>().unwrap() < 100;
            }
            probe = Client::connect(addr);
            false
        });
        drop(silent);
    });
}
