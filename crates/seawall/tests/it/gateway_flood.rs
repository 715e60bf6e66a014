//! HTTP/2 abused at the door, where a request holds more than a stream: a slot of a limit, a place
//! among those under way, a connection to the upstream. All of it comes back, and a healthy client
//! hardly notices. What the listener itself stands is shown in crate `host` (`abuse.rs`).

#[path = "../../../host/tests/it/frames.rs"]
#[expect(
    dead_code,
    reason = "shared with the tests of the listener, which use all of it"
)]
mod frames;

use crate::gateway::{BUYERS, Gate, Upstream};
use crate::site::until;
use frames::{
    CONTINUATION, END_HEADERS, END_STREAM, Frames, HEADERS, RST_STREAM, frame, literal, request,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ATTACK: Duration = Duration::from_millis(1_500);
/// What an attack may make the door hold, in bytes.
const BYTES_MAX: u64 = 64 << 20;
const SUCCESS_PERCENT_MIN: u64 = 95;
/// Slots of one buyer; the attacker has them, and must not keep them.
const SLOTS: u64 = 20;

/// A door with slots, before an upstream that takes its time for `/slow`.
fn door(upstream: &Upstream) -> Gate {
    let listener = "listeners: [{name: front, address: \"127.0.0.1:0\", http2: true}]\n";
    let rules = format!(
        "limits: {{version: 1, rules: [{{name: slots, key: [buyer], concurrency: {SLOTS}}}]}}\n"
    );
    let routes = "routes: [{name: all, target: {upstream: shop}}]\n";
    let pool = upstream.pool("shop", "");
    Gate::new(&format!(
        "{listener}{BUYERS}{routes}{pool}{rules}overload: {{enabled: false}}\n"
    ))
}

/// Runs the attack beside a healthy client that connects anew for every request.
fn under(gate: &Gate, what: &str, attack: impl FnOnce()) {
    let (before, over) = (gate.resident_bytes(), AtomicBool::new(false));
    let (asked, good, most) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let healthy = scope.spawn(|| {
            while !over.load(Ordering::SeqCst) || asked.load(Ordering::SeqCst) < 50 {
                asked.fetch_add(1, Ordering::SeqCst);
                let begun = Instant::now();
                let answer = gate.buyer("healthy").try_send("GET", "/", &[], b"");
                let in_time = begun.elapsed() < Duration::from_secs(1);
                if in_time && answer.is_ok_and(|answer| answer.status == 200) {
                    good.fetch_add(1, Ordering::SeqCst);
                }
                most.fetch_max(gate.resident_bytes(), Ordering::SeqCst);
                std::thread::park_timeout(Duration::from_millis(2));
            }
        });
        // However the attack ends: a failed one must not keep the healthy client going.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(attack));
        over.store(true, Ordering::SeqCst);
        healthy.join().unwrap();
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
    let (asked, good) = (asked.into_inner(), good.into_inner());
    let held = most.into_inner().saturating_sub(before);
    println!(
        "{what}: {good} of {asked} in time, {} KiB more at most",
        held / 1_024
    );
    assert!(
        good * 100 >= asked * SUCCESS_PERCENT_MIN,
        "{what}: {good} of {asked}"
    );
    assert!(held <= BYTES_MAX, "{what}: {held} bytes");
}

fn of_attacker(path: &str) -> Vec<u8> {
    request(
        "GET",
        path,
        &[(":authority", "t"), ("x-user-id", "attacker")],
    )
}

#[test]
fn streams_that_are_opened_and_reset_keep_nothing() {
    let opened = Arc::new(AtomicU64::new(0));
    let round = Arc::clone(&opened);
    let upstream = Upstream::new(move |seen| {
        if seen.line.contains("/slow") {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        // "/together/3" is answered once the third round is opened.
        let asked = seen
            .line
            .split(['/', ' '])
            .nth(3)
            .and_then(|n| n.parse().ok());
        if let Some(number) = asked.filter(|_| seen.line.contains("/together/")) {
            until("the round is opened", || {
                round.load(Ordering::SeqCst) >= number
            });
        }
        (200, "ok".to_owned())
    });
    let gate = door(&upstream);
    let block = of_attacker("/slow");
    under(&gate, "rapid reset", || {
        let begun = Instant::now();
        while begun.elapsed() < ATTACK {
            let mut client = Frames::connect(gate.front, &[]);
            let mut stream = 1;
            // In bursts, on a new connection whenever the door has had enough of one.
            while begun.elapsed() < ATTACK {
                let mut bytes = Vec::new();
                for _ in 0..50 {
                    bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block));
                    bytes.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
                    stream += 2;
                }
                if !client.send(&bytes) {
                    break;
                }
            }
        }
    });
    // Every slot has come back: as many as there are can be held at once.
    let mut number = 0;
    until("all of the attacker's slots are free again", || {
        number += 1;
        let path = format!("/together/{number}");
        let refused = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..SLOTS {
                scope.spawn(|| {
                    let status = gate.buyer("attacker").get(&path).status;
                    refused.fetch_add(u64::from(status != 200), Ordering::SeqCst);
                });
            }
            until("all are held or refused", || {
                let seen = upstream.seen();
                let held = seen.iter().filter(|seen| seen.line.contains(&path)).count() as u64;
                held + refused.load(Ordering::SeqCst) >= SLOTS
            });
            opened.store(number, Ordering::SeqCst);
        });
        refused.into_inner() == 0
    });
}

#[test]
fn headers_without_an_end_are_ended() {
    let upstream = Upstream::saying("ok");
    let gate = door(&upstream);
    let seen = |path: &str| {
        let all = upstream.seen();
        all.iter().filter(|seen| seen.line.contains(path)).count()
    };
    let large = literal("x-more", &"y".repeat(1_000));
    for (what, more) in [
        ("large continuations", large),
        ("empty continuations", Vec::new()),
    ] {
        let unit = frame(CONTINUATION, 0, 1, &more);
        let burst: Vec<u8> = unit
            .iter()
            .copied()
            .cycle()
            .take(unit.len() * 500)
            .collect();
        under(&gate, what, || {
            let begun = Instant::now();
            while begun.elapsed() < ATTACK {
                let mut client = Frames::connect(gate.front, &[]);
                let wait = Some(Duration::from_millis(400));
                client.stream.set_write_timeout(wait).unwrap();
                client.send(&frame(HEADERS, END_STREAM, 1, &of_attacker("/endless")));
                let mut sent = 0;
                while sent < 4_000_000 && client.send(&burst) {
                    sent += burst.len();
                }
                // The door ends the connection, and has answered nothing.
                assert!(
                    client.rest().iter().all(|frame| frame.kind != HEADERS),
                    "{what}"
                );
            }
        });
    }
    assert_eq!(seen("/endless"), 0, "none of it is a request");
}
