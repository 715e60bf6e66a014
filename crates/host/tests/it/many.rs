//! Ten thousand idle connections cost memory, not answers.

use crate::child::Process;
use crate::support::{Client, raise_descriptors, until};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const IDLE: usize = 10_000;
/// What an idle connection may hold: its task, its notes, its socket's bookkeeping.
const BYTES_EACH_MAX: u64 = 4 * 1_024;
const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
const OPEN: &str = "GET /open HTTP/1.1\r\nHost: t\r\n\r\n";

#[test]
fn ten_thousand_idle_connections_and_answers_within_a_second() {
    raise_descriptors();
    // The server is a process of its own: twice 10,000 descriptors are more than many systems
    // allow one process, and its memory can be seen apart.
    let mut server = Process::start("server");
    let addr: SocketAddr = server.says().parse().unwrap();
    let mut client = Client::connect(addr);
    assert_eq!(client.ask(GET).status, 200);
    let before = resident_bytes(server.process.id());
    let idle: Vec<TcpStream> = (0..IDLE)
        .map(|_| TcpStream::connect(addr).unwrap())
        .collect();
    until("all are open", || {
        client.ask(OPEN).body == (IDLE + 1).to_string()
    });
    let each = resident_bytes(server.process.id()).saturating_sub(before) / IDLE as u64;
    assert!(each <= BYTES_EACH_MAX, "{each} bytes a connection");

    for _ in 0..20 {
        let asked = Instant::now();
        assert_eq!(client.ask(GET).status, 200);
        assert_eq!(Client::connect(addr).ask(GET).status, 200);
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?} with {IDLE} idle");
    }
    drop(idle);
    until("their places are free", || client.ask(OPEN).body == "1");
}

fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1_024
}
