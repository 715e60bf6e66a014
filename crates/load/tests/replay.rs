//! A recording sent again to a small server: each client's order and gaps, what a slow and a broken
//! answer change, and what the figures say of it.

use load::measure::End;
use load::replay::{LeftOut, Recorded, Replay};
use load::run::{Options, invalid};
use load::{Run, Target};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

type Seen = Arc<Mutex<Vec<(String, Instant)>>>;

/// `/slow` waits 300 ms, `/broken` ends the connection, `/gone` is not found.
fn server() -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    let shared = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let seen = Arc::clone(&shared);
            std::thread::spawn(move || serve(stream, &seen));
        }
    });
    (url, seen)
}

fn serve(stream: TcpStream, seen: &Seen) -> Option<()> {
    let mut out = stream.try_clone().ok()?;
    let mut lines = BufReader::new(stream).lines();
    loop {
        let first = lines.next()?.ok()?;
        let came = Instant::now();
        while !lines.next()?.ok()?.is_empty() {}
        let target = first.split(' ').nth(1)?.to_owned();
        seen.lock().unwrap().push((target.clone(), came));
        let status = match target.as_str() {
            "/broken" => return None,
            "/gone" => "404 Not Found",
            "/slow" => {
                std::thread::park_timeout(Duration::from_millis(300));
                "200 OK"
            }
            _ => "200 OK",
        };
        write!(out, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}

fn recorded<'a>(at_ms: u64, client: &'a str, target: &'a str) -> Recorded<'a> {
    Recorded {
        at_us: at_ms * 1_000,
        client,
        name: format!("GET {target}"),
        method: "GET",
        target,
        ..Recorded::default()
    }
}

#[test]
fn clients_keep_their_order_and_gaps_and_latency_counts_from_the_instants() {
    let (url, seen) = server();
    let mut replay = Replay::new(2_000_000);
    for (at_ms, client, target) in [
        (0, "ann", "/slow"),
        (50, "bob", "/broken"),
        // Ann asked this while, here, she still waits.
        (100, "ann", "/second"),
        (200, "bob", "/after"),
        (700, "ann", "/third"),
    ] {
        replay.take(&recorded(at_ms, client, target)).unwrap();
    }
    let gone = Recorded {
        status: Some(404),
        ..recorded(800, "bob", "/gone")
    };
    replay.take(&gone).unwrap();
    assert_eq!((replay.requests(), replay.clients()), (6, 2));
    let (script, plan) = replay.finish().unwrap();
    let target = Arc::new(Target::new(&url, None).unwrap());
    let run = Run::start(Arc::new(script), plan, target, &Options::default());
    let start = run.started();
    let all = run.join().unwrap();

    let seen = seen.lock().unwrap();
    let at_ms = |target: &str| {
        let found: Vec<_> = seen.iter().filter(|(name, _)| name == target).collect();
        assert_eq!(found.len(), 1, "{target}");
        found[0].1.duration_since(start).as_millis()
    };
    // Never before its instant, and after the answer that its client waits for.
    assert!(at_ms("/second") >= 300, "{}", at_ms("/second"));
    assert!(at_ms("/after") >= 200 && at_ms("/third") >= 700 && at_ms("/gone") >= 800);
    let of = |name: &str| {
        let mut named = all.named.iter();
        named.find(|one| one.name == format!("GET {name}")).unwrap()
    };
    // From its instant at 100 ms until the slow answer at 300 and its own.
    let waited = of("/second").latency.quantile_us(0.5).unwrap();
    assert!(waited >= 200_000, "{waited}");
    let third = of("/third").latency.quantile_us(0.5).unwrap();
    assert!(third < 200_000, "{third}");
    assert_eq!(of("/broken").ended(End::Broken), 1, "and Bob went on");
    assert_eq!(
        of("/gone").ended(End::Good),
        1,
        "it was not there before either"
    );
    assert_eq!((all.planned, all.arrived, all.journeys), (6, 6, 2));
    assert_eq!(all.total().sent, 6);
    assert_eq!(invalid(&all, false), []);
}

#[test]
fn what_cannot_be_sent_is_said() {
    let mut replay = Replay::new(1);
    let binary = Recorded {
        body: Some(&[0xFF, 0xFE]),
        ..recorded(0, "a", "/")
    };
    assert_eq!(replay.take(&binary), Err(LeftOut::Binary));
    assert_eq!(replay.take(&recorded(0, "a", "*")), Err(LeftOut::Line));
    let late = Recorded {
        at_us: u64::MAX,
        ..recorded(0, "a", "/")
    };
    assert_eq!(replay.take(&late), Err(LeftOut::TooMany));
    assert!(replay.finish().is_none());
}

#[test]
fn the_same_request_is_held_once_and_names_are_bounded() {
    let mut replay = Replay::new(1);
    let clients: Vec<String> = (0..1_000).map(|n| format!("c{n}")).collect();
    for (at, client) in clients.iter().enumerate() {
        replay.take(&recorded(at as u64, client, "/same")).unwrap();
    }
    let paths: Vec<String> = (0..1_000).map(|n| format!("/{n}")).collect();
    for path in &paths {
        replay.take(&recorded(2_000, "c0", path)).unwrap();
    }
    let (script, plan) = replay.finish().unwrap();
    assert_eq!(script.requests.len(), 1_001);
    let last = script.requests.last().unwrap();
    assert_eq!((last.name.as_str(), last.figures), ("others", 199));
    assert_eq!(script.starts.unwrap().len(), 1_000);
    assert_eq!(plan.between(0, 3_000_000).round(), 2_000.0);
}
