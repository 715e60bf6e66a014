//! A client that sends exactly what it is told: blocking HTTP/1.1 on one connection.

use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for one answer; a test that needs it all has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {error}: {:?}", self.status, self.text()))
    }
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
    /// The id of an order that must have been accepted.
    #[track_caller]
    pub fn order(&self) -> String {
        assert_eq!(self.status, 201, "{}", self.text());
        self.json()["order"].as_str().unwrap().to_owned()
    }
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(
            (self.status, self.code().as_str()),
            (status, code),
            "{}",
            self.text()
        );
        let body = self.json();
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(body["type"], json!(format!("/problems/{code}")));
        assert_eq!(body["status"], json!(status));
        body
    }
}

/// One connection, opened when it is needed, with headers that go with every request.
pub struct Client {
    pub addr: SocketAddr,
    headers: Vec<(String, String)>,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    pub fn new(addr: SocketAddr) -> Client {
        Client {
            addr,
            headers: Vec::new(),
            stream: None,
        }
    }
    pub fn bearer(addr: SocketAddr, token: &str) -> Client {
        Client::new(addr).with("Authorization", &format!("Bearer {token}"))
    }
    pub fn with(mut self, name: &str, value: &str) -> Client {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// One request and its answer. A kept connection that turns out to be closed is an error: the
    /// caller decides whether to repeat.
    pub fn try_send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.addr);
        let own = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method == "POST" || method == "PUT" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => BufReader::new(connect(self.addr)?),
        };
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        // An answer may come, and the connection end, before the whole body is taken.
        let written = stream.get_mut().write_all(&request);
        let (answer, keep) = match read_answer(&mut stream) {
            Ok(read) => read,
            Err(error) => return Err(written.err().unwrap_or(error)),
        };
        self.stream = keep.then_some(stream);
        Ok(answer)
    }

    #[track_caller]
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.try_send(method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }
    #[track_caller]
    pub fn post(&mut self, path: &str, key: &str, body: &Value) -> Answer {
        self.send(
            "POST",
            path,
            &json_headers(key),
            body.to_string().as_bytes(),
        )
    }
    #[track_caller]
    pub fn order(&mut self, key: &str, sku: &str, quantity: i64) -> Answer {
        self.post("/v1/orders", key, &one(sku, quantity))
    }
    #[track_caller]
    pub fn pay(&mut self, order: &str, key: &str, amount: i64) -> Answer {
        let body = json!({"amount": {"amount": amount, "currency": "EUR"}});
        self.post(&format!("/v1/orders/{order}/payment"), key, &body)
    }
    /// An order as its buyer sees it.
    #[track_caller]
    pub fn look(&mut self, order: &str) -> Value {
        let answer = self.get(&format!("/v1/orders/{order}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }
}

pub fn json_headers(key: &str) -> [(&str, &str); 2] {
    [
        ("Content-Type", "application/json"),
        ("Idempotency-Key", key),
    ]
}

/// An order of one line.
pub fn one(sku: &str, quantity: i64) -> Value {
    json!({"lines": [{"sku": sku, "quantity": quantity}]})
}

pub fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Reads one answer; the second part says whether the connection stays.
pub fn read_answer(stream: &mut impl BufRead) -> io::Result<(Answer, bool)> {
    let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status: u16 = status.ok_or_else(|| broken(&line))?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| broken(line))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut answer = Answer {
        status,
        headers,
        body: Vec::new(),
    };
    let length = answer.header("content-length").map(str::parse::<u64>);
    let keep = answer.header("connection") != Some("close");
    match length {
        Some(length) => {
            let length = length.map_err(|_| broken("content-length"))?;
            let read = stream.take(length).read_to_end(&mut answer.body)?;
            if (read as u64) < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        None if status == 204 || status == 304 => {}
        None => return Err(broken("an answer without a length")),
    }
    Ok((answer, keep))
}
