//! The search against a target with a known knee: a queue in front of servers of known service
//! time. What it can serve is arithmetic; what `find` says must be that.

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

/// `servers` servers that take `service` for each request, first come first served.
fn queue(servers: usize, service: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
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
                let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
    }
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(client) = client else { continue };
            let turns = Arc::clone(&turns);
            std::thread::spawn(move || take(client, &turns));
        }
    });
    address
}

fn take(mut client: TcpStream, turns: &(Mutex<VecDeque<TcpStream>>, Condvar)) {
    let mut bytes = [0; 1_024];
    // The generator sends one request at a time on a connection, in one piece.
    while matches!(client.read(&mut bytes), Ok(read) if read > 0) {
        let answer = client.try_clone().unwrap();
        turns.0.lock().unwrap().push_back(answer);
        turns.1.notify_one();
    }
}

#[test]
fn the_knee_of_a_queue_is_found_quickly() {
    // Eight servers of 20 ms: 400 a second.
    let (servers, service) = (8, Duration::from_millis(20));
    let knee = servers as f64 / service.as_secs_f64();
    let address = queue(servers, service);
    let target = Target::new(&format!("http://{address}"), None).unwrap();
    let finding = Finding {
        settings: Settings {
            start_per_s: 50.0,
            most_per_s: 10_000.0,
            precision: 0.05,
            confirmations: 1,
        },
        objectives: vec!["p95<150ms".parse().unwrap(), "errors<1%".parse().unwrap()],
        window_s: 4,
        warm_s: 1,
        long_s: 6,
        spacing: Spacing::Even,
    };
    let options = Options {
        workers: 1,
        ..Options::default()
    };
    let (begun, stop) = (Instant::now(), AtomicBool::new(false));
    let mut steps = Vec::new();
    let generator = Here {
        script: Arc::new(Script::get("/", 5_000_000)),
        target: Arc::new(target),
        options,
    };
    let found = find(&generator, &finding, &stop, |step| {
        let because = step.because.join("; ");
        steps.push(format!("{:.0}/s {:?} {because}", step.per_s, step.told));
    });
    let took = begun.elapsed();
    let Found::Between { held_per_s, .. } = found.unwrap() else {
        panic!("{steps:#?}");
    };
    let off = (held_per_s - knee).abs() / knee;
    assert!(off <= 0.10, "{held_per_s} for {knee}: {steps:#?}");
    assert!(took < Duration::from_secs(90), "{took:?}: {steps:#?}");
}
