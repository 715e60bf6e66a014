//! Idle connections at the door: they cost memory, not answers. `make idle` runs it with as many as
//! the machine allows (`SEAWALL_IDLE`), and its figure stands in docs/performance.md.

use crate::gateway::{Gate, Upstream};
use crate::http::{PATIENCE, read_answer};
use crate::site::until;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

const CONNECTIONS: u64 = 5_000;
/// Descriptors that this process, with its other tests, and the gateway need beside.
const DESCRIPTORS_BESIDE: u64 = 1_500;
/// Ports below those that the kernel gives out by itself.
const PORTS: std::ops::Range<u16> = 10_000..30_000;
/// Resident memory of the process for one. About 3 KB once it has been idle for two seconds; the
/// buffers of a request before, until then and in what the allocator keeps.
const BYTES_EACH_MAX: u64 = 16 * 1_024;
const ASK: &[u8] = b"GET /page HTTP/1.1\r\nHost: idle\r\n\r\n";

/// How many connections both ends may hold; raises the soft limit, and the hard one if that is
/// allowed.
fn possible(wanted: u64) -> u64 {
    let (limit, all) = (getrlimit(Resource::Nofile), wanted + DESCRIPTORS_BESIDE);
    let set = |current: u64, maximum| {
        let current = Some(current);
        setrlimit(Resource::Nofile, Rlimit { current, maximum }).is_ok()
    };
    if limit.current.is_none_or(|now| now >= all) || set(all, limit.maximum) || set(all, Some(all))
    {
        return wanted;
    }
    let most = limit.maximum.unwrap_or(all);
    assert!(set(most, limit.maximum), "the hard limit is ours to use");
    println!("the hard limit of open files is {most}");
    most.saturating_sub(DESCRIPTORS_BESIDE)
}

/// Where connections come from: one port after another, then another address of the loopback.
/// Chosen here, because the kernel takes longer for each port that is in use already.
struct Sources {
    address: u8,
    ports: std::ops::Range<u16>,
}

impl Sources {
    fn connect(&mut self, to: SocketAddr) -> TcpStream {
        loop {
            let Some(port) = self.ports.next() else {
                self.address += 1;
                self.ports = PORTS;
                continue;
            };
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            // A port that waits after an earlier run may be taken.
            socket.set_reuse_address(true).unwrap();
            let from = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, self.address), port);
            match socket.bind(&SockAddr::from(from)) {
                // Somebody else's: the next one.
                Err(error) if error.kind() == ErrorKind::AddrInUse => continue,
                bound => bound.unwrap(),
            }
            socket.connect(&SockAddr::from(to)).unwrap();
            let stream = TcpStream::from(socket);
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            return stream;
        }
    }
}

#[test]
fn idle_connections_cost_memory_and_not_answers() {
    let wanted = std::env::var("SEAWALL_IDLE").map_or(CONNECTIONS, |n| n.parse().unwrap());
    let count = possible(wanted);
    let upstream = Upstream::saying("page");
    let limits = format!(
        "limits: {{connections: {}, first_byte_timeout: 5m, idle_timeout: 10m}}",
        count + 1_000
    );
    let gate = Gate::new(&format!(
        "listeners: [{{name: front, address: \"127.0.0.1:0\", {limits}}}]\n\
         overload: {{enabled: false}}\n\
         routes: [{{name: all, target: {{upstream: shop}}}}]\n{}",
        upstream.pool("shop", "")
    ));
    let mut healthy = gate.client();
    assert_eq!(healthy.get("/page").text(), "page");
    let before = gate.resident_bytes();
    let (mut idle, mut slowest) = (Vec::new(), Duration::ZERO);
    let begun = Instant::now();
    let mut sources = Sources {
        address: 2,
        ports: PORTS,
    };
    for number in 0..count {
        let mut stream = sources.connect(gate.front);
        // Half of them never say anything, half have been served and keep the connection.
        if number % 2 == 0 {
            stream.write_all(ASK).unwrap();
            let (answer, keeps) = read_answer(&mut BufReader::new(&stream)).unwrap();
            assert!(answer.status == 200 && keeps, "{answer:?}");
        }
        idle.push(stream);
        if number % 100 == 0 {
            let asked = Instant::now();
            assert_eq!(healthy.get("/page").text(), "page", "with {number} idle");
            slowest = slowest.max(asked.elapsed());
        }
    }
    let took = begun.elapsed();
    let open = "seawall_http_connections{listener=\"front\"}";
    until("all are open at once", || gate.metric(open) >= count as f64);
    // Idle for a moment, so that what was lent for a request has been given back.
    let mut held = u64::MAX;
    until("memory has settled", || {
        let now = gate.resident_bytes();
        std::mem::replace(&mut held, now) <= now
    });
    for fresh in 0..200 {
        let asked = Instant::now();
        let mut client = gate.client();
        assert_eq!(client.get("/page").status, 200, "new one {fresh}");
        assert_eq!(healthy.get("/page").status, 200, "kept one {fresh}");
        slowest = slowest.max(asked.elapsed());
    }
    let each = held.saturating_sub(before) / count;
    println!(
        "{count} idle connections, opened in {took:?}: {each} bytes of resident memory each \
         ({held} in all, {before} before); slowest healthy answer {slowest:?}"
    );
    assert!(each <= BYTES_EACH_MAX, "{each} bytes a connection");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    // They are still good: the first that was served, the first that was not, the last two.
    for at in [0, 1, idle.len() - 2, idle.len() - 1] {
        idle[at].write_all(ASK).unwrap();
        let answer = read_answer(&mut BufReader::new(&idle[at])).unwrap().0;
        assert_eq!(answer.status, 200, "connection {at}");
    }
}
