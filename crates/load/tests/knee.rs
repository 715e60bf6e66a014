//! The search against targets with a known knee, of three shapes: one server with a queue, many
//! workers with a queue, and a cap that refuses what is above it. What each can serve is arithmetic;
//! what `find` says must be that. Quick here (10 %, together in about 25 seconds); `make knee` is
//! the long form (5 %, under five minutes).

use load::arrivals::Spacing;
use load::find::{Finding, find};
use load::generator::Here;
use load::script::Script;
use load::search::{Found, Settings};
use load::{Options, Target};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// A machine that is busy with something else for longer fails the test.
const PATIENCE: Duration = Duration::from_secs(100);
const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const REFUSED: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n";

/// Asks `answer` about each request of each connection.
fn serve(answer: impl Fn(&mut TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                // The generator sends one request at a time on a connection, in one piece.
                while matches!(client.read(&mut [0; 1_024]), Ok(read) if read > 0) {
                    answer(&mut client);
                }
            });
        }
    });
    address
}

/// `servers` servers that take `service` for each request, first come first served.
fn queue(servers: usize, service: Duration) -> SocketAddr {
    let turns = Arc::new((Mutex::new(VecDeque::<TcpStream>::new()), Condvar::new()));
    for _ in 0..servers {
        let turns = Arc::clone(&turns);
        std::thread::spawn(move || {
            let mut free = Instant::now();
            loop {
                let mut queue = turns.0.lock().unwrap();
                while queue.is_empty() {
                    queue = turns.1.wait(queue).unwrap();
                }
                let mut client = queue.pop_front().unwrap();
                drop(queue);
                // By the clock, so that a late wake-up does not make the server slower.
                free = free.max(Instant::now() - service / 2) + service;
                while Instant::now() < free {
                    std::thread::park_timeout(free.saturating_duration_since(Instant::now()));
                }
                let _ = client.write_all(GOOD);
            }
        });
    }
    serve(move |client| {
        let answer = client.try_clone().unwrap();
        turns.0.lock().unwrap().push_back(answer);
        turns.1.notify_one();
    })
}

/// Serves at once, and refuses what comes beyond a rate.
fn capped(per_s: f64) -> SocketAddr {
    let most = per_s / 20.0;
    let bucket = Arc::new(Mutex::new((Instant::now(), most)));
    serve(move |client| {
        let mut bucket = bucket.lock().unwrap();
        let now = Instant::now();
        let more = now.duration_since(bucket.0).as_secs_f64() * per_s;
        *bucket = (now, (bucket.1 + more).min(most));
        let allowed = bucket.1 >= 1.0;
        bucket.1 -= f64::from(u8::from(allowed));
        drop(bucket);
        let _ = client.write_all(if allowed { GOOD } else { REFUSED });
    })
}

struct Shape {
    name: &'static str,
    address: SocketAddr,
    /// Requests a second that it serves.
    knee: f64,
    slo: [&'static str; 2],
    start: f64,
}

fn shapes() -> [Shape; 3] {
    [
        Shape {
            name: "one server",
            address: queue(1, Duration::from_millis(4)),
            knee: 250.0,
            slo: ["p95<100ms", "errors<1%"],
            start: 130.0,
        },
        Shape {
            name: "many workers",
            address: queue(16, Duration::from_millis(40)),
            knee: 400.0,
            slo: ["p95<140ms", "errors<1%"],
            start: 210.0,
        },
        Shape {
            name: "a cap",
            address: capped(300.0),
            // One in a hundred may be refused.
            knee: 300.0 / 0.99,
            slo: ["p95<100ms", "refused<1%"],
            start: 160.0,
        },
    ]
}

fn check(shape: &Shape, full: bool) {
    let finding = Finding {
        settings: Settings {
            start_per_s: if full { 20.0 } else { shape.start },
            most_per_s: 10_000.0,
            precision: if full { 0.03 } else { 0.06 },
            confirmations: if full { 2 } else { 1 },
        },
        objectives: shape.slo.iter().map(|slo| slo.parse().unwrap()).collect(),
        window_s: if full { 10 } else { 3 },
        warm_s: if full { 2 } else { 1 },
        long_s: if full { 20 } else { 3 },
        spacing: Spacing::Even,
        metrics: None,
    };
    let target = Target::new(&format!("http://{}", shape.address), None).unwrap();
    let generator = Here {
        script: Arc::new(Script::get("/", 5_000_000)),
        target: Arc::new(target),
        options: Options {
            workers: 1,
            ..Options::default()
        },
    };
    let first = Instant::now();
    let (held_per_s, took, steps) = loop {
        let (begun, stop) = (Instant::now(), AtomicBool::new(false));
        let mut steps = Vec::new();
        let found = find(&generator, &finding, &stop, |step| {
            let because = step.because.join("; ");
            steps.push(format!("{:.0}/s {:?} {because}", step.per_s, step.told));
        });
        match found.unwrap() {
            Found::Between { held_per_s, .. } => break (held_per_s, begun.elapsed(), steps),
            // The machine was busy with something else, and it says so: that is no answer.
            Found::AtLeast { .. } | Found::Invalid { .. } if first.elapsed() < PATIENCE => {}
            _ => panic!("{}: {steps:#?}", shape.name),
        }
    };
    let name = shape.name;
    let off = (held_per_s - shape.knee) / shape.knee;
    println!(
        "{name}: {held_per_s:.1}/s for {:.1}/s ({:+.1} %) in {:.0} s",
        shape.knee,
        off * 100.0,
        took.as_secs_f64()
    );
    let (most, most_s) = if full { (0.05, 300) } else { (0.10, 90) };
    assert!(off.abs() <= most, "{name}: {held_per_s} {steps:#?}");
    assert!(took.as_secs() < most_s, "{name}: {took:?} {steps:#?}");
}

#[test]
fn the_knee_of_three_shapes_is_found() {
    let full = std::env::var("SEAWALL_KNEE").is_ok_and(|how| how == "full");
    std::thread::scope(|scope| {
        let all = shapes().map(|shape| scope.spawn(move || check(&shape, full)));
        for one in all {
            one.join().unwrap();
        }
    });
}
