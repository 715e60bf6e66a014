//! A fault proxy in this process, servers behind it, and a client for its control listener.

use faults::{Faults, Options};
use host::Drain;
use serde_json::{Value, json};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// What a busy machine may add to a delay.
pub const LATE_MS: u128 = 150;

pub struct Bed {
    pub control: SocketAddr,
    pub drain: Drain,
    pub faults: Option<Faults>,
}

impl Bed {
    pub fn new() -> Bed {
        Bed::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Options)) -> Bed {
        let mut options = Options::new("127.0.0.1:0".parse().unwrap());
        change(&mut options);
        let drain = Drain::new();
        let faults = faults::start(&options, None, &drain).unwrap();
        Bed {
            control: faults.control(),
            drain,
            faults: Some(faults),
        }
    }

    /// Status, `seawall-lease`, body.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Option<u64>, Value) {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let answer = request(self.control, method, path, &[], body.as_bytes());
        let answer = answer.unwrap();
        let lease = answer.header("seawall-lease");
        let lease = lease.map(|lease| lease.parse().unwrap());
        let value = match answer.body.as_slice() {
            [] => Value::Null,
            body => serde_json::from_slice(body).unwrap(),
        };
        (answer.status, lease, value)
    }

    #[track_caller]
    pub fn good(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, _, value) = self.ask(method, path, body);
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {value}"
        );
        value
    }

    /// A proxy before a server; where it listens.
    #[track_caller]
    pub fn proxy(&self, name: &str, upstream: SocketAddr, protocol: &str) -> SocketAddr {
        let wish = json!({"name": name, "upstream": upstream.to_string(), "protocol": protocol});
        let made = self.good("POST", "/proxies", &wish);
        made["listen"].as_str().unwrap().parse().unwrap()
    }

    #[track_caller]
    pub fn toxic(&self, proxy: &str, kind: &str, attributes: Value) {
        let wish = json!({"type": kind, "attributes": attributes});
        self.good("POST", &format!("/proxies/{proxy}/toxics"), &wish);
    }

    pub fn reset(&self) {
        self.good("POST", "/reset", &Value::Null);
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.drain.begin();
        if let Some(faults) = self.faults.take() {
            faults.join();
        }
    }
}

/// Every connection in a thread of its own.
pub fn server(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        }
    });
    addr
}

/// Says what it hears.
pub fn echo() -> SocketAddr {
    server(|mut stream| {
        stream.set_nodelay(true).unwrap();
        let mut buffer = [0; 16 * 1_024];
        while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..bytes]).is_err() {
                break;
            }
        }
    })
}

/// Sends so many bytes after the first it hears, and closes.
pub fn sends(bytes: usize) -> SocketAddr {
    server(move |mut stream| {
        let mut first = [0; 1];
        if let Ok(1) = stream.read(&mut first) {
            // The proxy may end it early, which is its business.
            let _ = stream.write_all(&vec![b'x'; bytes]);
        }
    })
}

pub fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A byte there and back; how many milliseconds it took.
pub fn ping(stream: &mut TcpStream) -> u128 {
    let started = Instant::now();
    stream.write_all(b"p").unwrap();
    let mut back = [0; 1];
    stream.read_exact(&mut back).unwrap();
    started.elapsed().as_millis()
}

#[track_caller]
pub fn between(what: &str, ms: u128, least: u128, most: u128) {
    assert!(
        (least..=most).contains(&ms),
        "{what}: {ms} ms, not {least} to {most}"
    );
}

#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: Vec<String>,
    pub body: Vec<u8>,
    /// How the body ended.
    pub end: io::Result<()>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let of = |line: &'_ str| line.split_once(": ").map(|(n, _)| n.to_lowercase());
        let line = self
            .head
            .iter()
            .find(|line| of(line).as_deref() == Some(name));
        line.and_then(|line| line.split_once(": ")).map(|(_, v)| v)
    }
}

/// One request on a connection of its own.
pub fn request(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answer> {
    let mut stream = connect(addr);
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    read_answer(&mut BufReader::new(stream), method)
}

pub fn read_answer(reader: &mut BufReader<TcpStream>, method: &str) -> io::Result<Answer> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
    let mut answer = Answer {
        status,
        head: lines,
        body: Vec::new(),
        end: Ok(()),
    };
    let length = answer
        .header("content-length")
        .map_or(0, |n| n.parse().unwrap());
    if method != "HEAD" && status != 204 {
        let mut buffer = [0; 4_096];
        while answer.body.len() < length {
            let most = buffer.len().min(length - answer.body.len());
            match reader.read(&mut buffer[..most]) {
                Ok(0) => {
                    answer.end = Err(io::ErrorKind::UnexpectedEof.into());
                    break;
                }
                Ok(bytes) => answer.body.extend_from_slice(&buffer[..bytes]),
                Err(error) => {
                    answer.end = Err(error);
                    break;
                }
            }
        }
    }
    Ok(answer)
}

/// A web server that keeps connections and writes down what it was asked.
#[derive(Clone, Default)]
pub struct Web {
    pub asked: Arc<Mutex<Vec<String>>>,
}

pub const PAGE_BYTES: usize = 10_000;

impl Web {
    pub fn start(&self) -> SocketAddr {
        let asked = Arc::clone(&self.asked);
        server(move |stream| {
            let mut writer = stream.try_clone().unwrap();
            let mut reader = BufReader::new(stream);
            loop {
                let (mut first, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    match reader.read_line(&mut line) {
                        Ok(0) | Err(_) => return,
                        Ok(_) => {}
                    }
                    let line = line.trim_end().to_lowercase();
                    if let Some(number) = line.strip_prefix("content-length: ") {
                        length = number.parse().unwrap();
                    }
                    if line.is_empty() {
                        break;
                    }
                    if first.is_empty() {
                        first = line;
                    }
                }
                let mut body = vec![0; length];
                if reader.read_exact(&mut body).is_err() {
                    return;
                }
                let (method, path) = first.split_once(' ').unwrap();
                let path = path.split(' ').next().unwrap().to_owned();
                asked
                    .lock()
                    .unwrap()
                    .push(format!("{method} {path} {length}"));
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {PAGE_BYTES}\r\n\r\n");
                let mut page = head.into_bytes();
                if method != "head" {
                    page.resize(page.len() + PAGE_BYTES, b'w');
                }
                if writer.write_all(&page).is_err() {
                    return;
                }
            }
        })
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}
