//! Each toxic of bytes, measured on real sockets.

use crate::bed::{Bed, LATE_MS, between, connect, echo, ping, sends, until};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

#[test]
fn latency_each_way_and_none_when_it_is_gone() {
    let bed = Bed::new();
    let mut stream = connect(bed.proxy("e", echo(), "tcp"));
    ping(&mut stream);
    bed.toxic("e", "latency", json!({"latency": 100}));
    // The connection that is there, and one that comes.
    for stream in [&mut stream, &mut connect(addr(&bed, "e"))] {
        between("downstream", ping(stream), 99, 100 + LATE_MS);
    }
    let up = json!({"type": "latency", "stream": "upstream", "attributes": {"latency": 150}});
    bed.good("POST", "/proxies/e/toxics", &up);
    between("both", ping(&mut stream), 249, 250 + LATE_MS);
    bed.good(
        "DELETE",
        "/proxies/e/toxics/latency_downstream",
        &Value::Null,
    );
    between("upstream", ping(&mut stream), 149, 150 + LATE_MS);
    let change = json!({"attributes": {"latency": 50}});
    bed.good("PATCH", "/proxies/e/toxics/latency_upstream", &change);
    between("changed", ping(&mut stream), 49, 50 + LATE_MS);
    bed.reset();
    let quickest = (0..10).map(|_| ping(&mut stream)).min().unwrap();
    assert!(quickest < 40, "{quickest} ms without a toxic");
}

fn addr(bed: &Bed, name: &str) -> std::net::SocketAddr {
    let proxy = bed.good("GET", &format!("/proxies/{name}"), &Value::Null);
    proxy["listen"].as_str().unwrap().parse().unwrap()
}

#[test]
fn jitter_strays() {
    let bed = Bed::new();
    let mut stream = connect(bed.proxy("e", echo(), "tcp"));
    bed.toxic("e", "latency", json!({"latency": 60, "jitter": 50}));
    let all: Vec<u128> = (0..25).map(|_| ping(&mut stream)).collect();
    assert!(
        all.iter().all(|ms| (9..=110 + LATE_MS).contains(ms)),
        "{all:?}"
    );
    let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
    assert!(most - least > 25, "{all:?}");
}

#[test]
fn bandwidth_within_fifteen_percent() {
    let bed = Bed::new();
    const BYTES: usize = 1_500_000;
    let listen = bed.proxy("s", sends(BYTES), "tcp");
    for rate in [1_000, 3_000] {
        bed.reset();
        bed.toxic("s", "bandwidth", json!({"rate": rate}));
        let mut stream = connect(listen);
        let started = Instant::now();
        stream.write_all(b"!").unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        let found = BYTES as f64 / started.elapsed().as_secs_f64() / 1_000.0;
        println!("bandwidth: {found:.0} KB/s of {rate}");
        assert_eq!(all.len(), BYTES);
        let share = found / f64::from(rate);
        assert!((0.85..=1.15).contains(&share), "{found:.0} KB/s of {rate}");
    }
}

#[test]
fn slow_close_delays_the_end() {
    let bed = Bed::new();
    let mut stream = connect(bed.proxy("s", sends(3), "tcp"));
    bed.toxic("s", "slow_close", json!({"delay": 300}));
    stream.write_all(b"!").unwrap();
    let mut three = [0; 3];
    stream.read_exact(&mut three).unwrap();
    let started = Instant::now();
    assert_eq!(stream.read(&mut three).unwrap(), 0);
    between("closed", started.elapsed().as_millis(), 270, 300 + LATE_MS);
}

#[test]
fn timeout_says_nothing_and_closes() {
    let bed = Bed::new();
    let listen = bed.proxy("e", echo(), "tcp");
    bed.toxic("e", "timeout", json!({"timeout": 300}));
    let mut stream = connect(listen);
    let started = Instant::now();
    stream.write_all(b"!").unwrap();
    let mut one = [0; 1];
    assert_eq!(stream.read(&mut one).unwrap(), 0);
    between("closed", started.elapsed().as_millis(), 270, 300 + LATE_MS);
}

#[test]
fn timeout_of_zero_hangs_until_it_is_gone() {
    let bed = Bed::new();
    let mut stream = connect(bed.proxy("e", echo(), "tcp"));
    bed.toxic("e", "timeout", json!({"timeout": 0}));
    stream.write_all(b"!").unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut one = [0; 1];
    assert_eq!(
        stream.read(&mut one).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    bed.reset();
    stream.set_read_timeout(Some(crate::bed::PATIENCE)).unwrap();
    // Bytes are missing: it cannot go on as if nothing had happened.
    assert_eq!(stream.read(&mut one).unwrap(), 0);
}

#[test]
fn reset_peer_is_a_reset() {
    let bed = Bed::new();
    let listen = bed.proxy("e", echo(), "tcp");
    for timeout in [0, 200] {
        bed.reset();
        bed.toxic("e", "reset_peer", json!({"timeout": timeout}));
        let mut stream = connect(listen);
        let started = Instant::now();
        stream.write_all(b"!").unwrap();
        let error = stream.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let least = timeout.max(1) - 1;
        between(
            "reset",
            started.elapsed().as_millis(),
            least,
            timeout + LATE_MS,
        );
    }
}

#[test]
fn a_reset_of_one_side_reaches_the_other() {
    let bed = Bed::new();
    let (tell, hear) = std::sync::mpsc::channel();
    let upstream = crate::bed::server(move |mut stream| {
        stream.write_all(b"hello").unwrap();
        let read = stream.read(&mut [0; 16]);
        let _ = tell.send(read.map_err(|error| error.kind()));
    });
    let stream = connect(bed.proxy("u", upstream, "tcp"));
    assert_eq!(stream.peek(&mut [0; 5]).unwrap(), 5);
    // Closed over unread bytes, which is a reset.
    drop(stream);
    let read = hear.recv_timeout(crate::bed::PATIENCE).unwrap();
    assert_eq!(read, Err(ErrorKind::ConnectionReset));
}

#[test]
fn a_slicer_sends_small_pieces() {
    let bed = Bed::new();
    let mut stream = connect(bed.proxy("s", sends(200), "tcp"));
    let wish = json!({"average_size": 20, "size_variation": 5, "delay": 20_000});
    bed.toxic("s", "slicer", wish);
    stream.write_all(b"!").unwrap();
    let started = Instant::now();
    let (mut all, mut pieces, mut buffer) = (0, 0, [0; 1_024]);
    while let bytes @ 1.. = stream.read(&mut buffer).unwrap() {
        (all, pieces) = (all + bytes, pieces + 1);
    }
    assert_eq!(all, 200);
    // 8 to 14 pieces are sent; a late reader finds two of them together.
    assert!((4..=14).contains(&pieces), "{pieces} pieces");
    between("sliced", started.elapsed().as_millis(), 130, 300 + LATE_MS);
}

#[test]
fn limit_data_to_the_byte() {
    let bed = Bed::new();
    let listen = bed.proxy("s", sends(100_000), "tcp");
    bed.toxic("s", "limit_data", json!({"bytes": 12_345}));
    let mut stream = connect(listen);
    stream.write_all(b"!").unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), 12_345);
    let proxy = bed.good("GET", "/proxies/s", &Value::Null);
    assert_eq!(proxy["toxics"][0]["hits"], 1);
}

#[test]
fn without_toxics_nothing_is_lost_and_halves_close_alone() {
    let bed = Bed::new();
    let mut stream = connect(bed.proxy("e", echo(), "tcp"));
    let sent: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut writer = stream.try_clone().unwrap();
    let started = Instant::now();
    let back = std::thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(&sent).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        back
    });
    let seconds = started.elapsed().as_secs_f64();
    println!("plain: {:.0} MB/s there and back", 20.0 / seconds);
    assert!(back == sent, "{} bytes came back changed", back.len());
}

#[test]
fn a_disabled_proxy_refuses_and_comes_back_on_its_port() {
    let bed = Bed::new();
    let listen = bed.proxy("e", echo(), "tcp");
    let mut stream = connect(listen);
    ping(&mut stream);
    bed.good("POST", "/proxies/e", &json!({"enabled": false}));
    let refused = TcpStream::connect(listen).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    // What was there is ended, with or without a reset.
    assert!(!matches!(stream.read(&mut [0; 1]), Ok(1..)));
    bed.good("POST", "/proxies/e", &json!({"enabled": true}));
    ping(&mut connect(listen));
    bed.good("DELETE", "/proxies/e", &Value::Null);
    assert!(TcpStream::connect(listen).is_err());
}

#[test]
fn more_connections_than_the_bound_wait() {
    let bed = Bed::with(|options| options.connections_max = 2);
    let listen = bed.proxy("e", echo(), "tcp");
    let mut two = [connect(listen), connect(listen)];
    for stream in &mut two {
        ping(stream);
    }
    let mut third = connect(listen);
    third.write_all(b"p").unwrap();
    third
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let waits = third.read(&mut [0; 1]).unwrap_err();
    assert_eq!(waits.kind(), ErrorKind::WouldBlock);
    drop(two);
    third.set_read_timeout(Some(crate::bed::PATIENCE)).unwrap();
    assert_eq!(third.read(&mut [0; 1]).unwrap(), 1);
}

#[test]
fn a_graceful_end_lets_go_of_what_was_held() {
    let mut bed = Bed::new();
    let mut stream = connect(bed.proxy("e", echo(), "tcp"));
    ping(&mut stream);
    bed.toxic("e", "latency", json!({"latency": 60_000}));
    stream.write_all(b"held").unwrap();
    until("it is held", || {
        let proxy = bed.good("GET", "/proxies/e", &Value::Null);
        proxy["toxics"][0]["hits"] == 1
    });
    stream.shutdown(Shutdown::Write).unwrap();
    bed.drain.begin();
    let started = Instant::now();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert_eq!(all, "held");
    bed.faults.take().unwrap().join();
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}
