//! Coordinated omission: a target that stands still for a second. Counted from the planned instant
//! the second is in the p99.9; who waits for one answer before the next request sees it once in
//! thousands, and loses it.

use load::arrivals::{Plan, Segment, Spacing};
use load::measure::Latency;
use load::script::Script;
use load::{Options, Run, Target};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

const RUN: Duration = Duration::from_secs(4);
const PAUSE_FROM: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_secs(1);

/// Answers at once, but not within a pause that begins a second after the first request.
fn pausing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let first = Arc::new(OnceLock::new());
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            client.set_nodelay(true).unwrap();
            let first = Arc::clone(&first);
            std::thread::spawn(move || {
                while matches!(client.read(&mut [0; 1_024]), Ok(read) if read > 0) {
                    let begin = *first.get_or_init(Instant::now) + PAUSE_FROM;
                    let now = Instant::now();
                    if now >= begin && now < begin + PAUSE {
                        std::thread::park_timeout(begin + PAUSE - now);
                    }
                    let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
            });
        }
    });
    address
}

fn open_loop() -> Latency {
    let target = Target::new(&format!("http://{}", pausing()), None).unwrap();
    let plan = Plan {
        segments: vec![Segment::constant(200.0, RUN.as_micros() as u64)],
        spacing: Spacing::Even,
    };
    let options = Options {
        workers: 1,
        ..Options::default()
    };
    let script = Arc::new(Script::get("/", 5_000_000));
    let run = Run::start(script, plan, Arc::new(target), &options);
    run.join().unwrap().total().latency
}

/// One request after the other, as a loop of virtual users does it.
fn closed_loop() -> Latency {
    let mut server = TcpStream::connect(pausing()).unwrap();
    server.set_nodelay(true).unwrap();
    let (begun, mut latency) = (Instant::now(), Latency::new(3));
    while begun.elapsed() < RUN {
        let sent = Instant::now();
        server
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        assert!(server.read(&mut [0; 1_024]).unwrap() > 0);
        latency.record(sent.elapsed().as_micros() as u64);
    }
    latency
}

#[test]
fn a_pause_is_seen_by_all_who_would_have_come_in_it() {
    let (open, closed) = std::thread::scope(|scope| {
        let open = scope.spawn(open_loop);
        let closed = scope.spawn(closed_loop);
        (open.join().unwrap(), closed.join().unwrap())
    });
    let ms = |latency: &Latency, share| latency.quantile_us(share).unwrap() as f64 / 1e3;
    let shown = format!(
        "open {} of {}, closed {} of {}, longest {}",
        ms(&open, 0.999),
        open.count(),
        ms(&closed, 0.999),
        closed.count(),
        ms(&closed, 1.0)
    );
    assert_eq!(open.count(), 800, "{shown}");
    assert!(ms(&open, 0.999) > 900.0, "{shown}");
    // A quarter of all came within the pause, and waited half of it on the average.
    assert!(ms(&open, 0.9) > 500.0, "{shown}");
    assert!(
        closed.count() > 2_000 && ms(&closed, 1.0) > 900.0,
        "{shown}"
    );
    assert!(ms(&closed, 0.999) < 500.0, "{shown}");
}
