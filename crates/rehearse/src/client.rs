//! One HTTP/1.1 connection of the generator: writes a request, reads an answer, keeps alive.
//!
//! hyper's client costs several times the two system calls that a request needs; the generator
//! shares two cores with the shop, so it speaks the protocol itself and lets `httparse` read the
//! heads. One request at a time on a connection, as browsers do. It knows nothing of buyers.

use crate::limits::{ANSWER_BYTES_MAX, HEADERS_MAX};
use mio::net::TcpStream;
use std::io::{self, Read, Write};

/// What came back, as far as anybody wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    pub retry_after_s: Option<u32>,
    /// The server repeats an earlier answer.
    pub replayed: bool,
}

/// Where a connection stands after its socket was read.
#[derive(Debug)]
pub enum Progress {
    /// Nothing whole yet.
    Wait,
    Answered(Answer),
    /// The peer went away or spoke nonsense; whatever was asked has no answer.
    Broken(Broken),
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Nobody listens.
    Refused,
    /// The connection ended before the answer.
    Closed,
    /// No HTTP/1.1 answer, or one beyond the bounds.
    Nonsense,
    /// No answer in time.
    TimedOut,
}

#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    out: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    /// The answer is read up to its end and the peer will close.
    closing: bool,
    connected: bool,
}

impl Connection {
    pub fn new(stream: TcpStream) -> Connection {
        Connection {
            stream,
            out: Vec::with_capacity(512),
            written: 0,
            input: Vec::new(),
            closing: false,
            connected: false,
        }
    }
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }
    /// The request to write; whatever was there is gone.
    pub fn request(&mut self) -> &mut Vec<u8> {
        self.out.clear();
        self.written = 0;
        &mut self.out
    }
    pub fn keeps_alive(&self) -> bool {
        !self.closing
    }

    /// Writes what is left. `Ok(true)` when all is out.
    pub fn flush(&mut self) -> Result<bool, Broken> {
        if !self.connected {
            match self.stream.peer_addr() {
                Ok(_) => {
                    // Small requests must not wait for an acknowledgement.
                    self.stream.set_nodelay(true).map_err(|_| Broken::Closed)?;
                    self.connected = true;
                }
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                    return match self.stream.take_error() {
                        Ok(None) => Ok(false),
                        _ => Err(Broken::Refused),
                    };
                }
                Err(_) => return Err(Broken::Refused),
            }
        }
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(Broken::Closed),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Broken::Closed),
            }
        }
        Ok(true)
    }

    /// Reads what is there; `scratch` is shared by all connections.
    pub fn read(&mut self, scratch: &mut [u8]) -> Progress {
        let mut ended = false;
        loop {
            match self.stream.read(scratch) {
                Ok(0) => {
                    ended = true;
                    break;
                }
                Ok(count) => {
                    self.input.extend_from_slice(&scratch[..count]);
                    if self.input.len() > ANSWER_BYTES_MAX {
                        return Progress::Broken(Broken::Nonsense);
                    }
                    // A short read has emptied the socket: no second call to be told so. What
                    // comes later makes a new event.
                    if count < scratch.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    ended = true;
                    break;
                }
            }
        }
        match parse(&self.input) {
            Ok(Some(parsed)) => {
                self.closing |= parsed.close || ended;
                self.input.drain(..parsed.length);
                Progress::Answered(parsed.answer)
            }
            Ok(None) if ended => Progress::Broken(Broken::Closed),
            Ok(None) => Progress::Wait,
            Err(()) => Progress::Broken(Broken::Nonsense),
        }
    }
}

/// The answer that `input` starts with, if it is there whole.
pub fn whole(input: &[u8]) -> Option<Answer> {
    parse(input).ok()?.map(|parsed| parsed.answer)
}

struct Parsed {
    answer: Answer,
    /// Bytes of head and body together.
    length: usize,
    close: bool,
}

/// A whole answer at the front of `input`, if it is there.
fn parse(input: &[u8]) -> Result<Option<Parsed>, ()> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(input) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(()),
    };
    let status = response.code.ok_or(())?;
    let mut parsed = Parsed {
        answer: Answer {
            status,
            body: Vec::new(),
            retry_after_s: None,
            replayed: false,
        },
        length: head,
        close: response.version == Some(0),
    };
    let (mut length, mut chunked) = (None, false);
    for header in response.headers.iter() {
        let (name, value) = (
            header.name,
            std::str::from_utf8(header.value).unwrap_or_default(),
        );
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse::<usize>().map_err(|_| ())?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.eq_ignore_ascii_case("chunked");
        } else if name.eq_ignore_ascii_case("connection") {
            parsed.close |= value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("retry-after") {
            parsed.answer.retry_after_s = value.trim().parse().ok();
        } else if name.eq_ignore_ascii_case("idempotency-replayed") {
            parsed.answer.replayed = value.eq_ignore_ascii_case("true");
        }
    }
    if matches!(status, 204 | 304) {
        return Ok(Some(parsed));
    }
    if chunked {
        return Ok(dechunk(&input[head..])?.map(|(body, length)| {
            parsed.answer.body = body;
            parsed.length = head + length;
            parsed
        }));
    }
    // Without a length the end of the connection would be the end of the body: no server that
    // keeps alive does that, and a kill would look like a short answer.
    let length = length.ok_or(())?;
    if length > ANSWER_BYTES_MAX {
        return Err(());
    }
    let Some(body) = input.get(head..head + length) else {
        return Ok(None);
    };
    parsed.answer.body = body.to_vec();
    parsed.length = head + length;
    Ok(Some(parsed))
}

/// The body and the bytes it took on the wire.
fn dechunk(input: &[u8]) -> Result<Option<(Vec<u8>, usize)>, ()> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let (start, size) = match httparse::parse_chunk_size(&input[at..]) {
            Ok(httparse::Status::Complete((start, size))) => (start, size),
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(()),
        };
        let size = usize::try_from(size).map_err(|_| ())?;
        if body.len() + size > ANSWER_BYTES_MAX {
            return Err(());
        }
        at += start;
        let Some(chunk) = input.get(at..at + size + 2) else {
            return Ok(None);
        };
        if &chunk[size..] != b"\r\n" {
            return Err(());
        }
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str) -> Option<(u16, String, usize, bool)> {
        parse(input.as_bytes()).ok()?.map(|parsed| {
            let body = String::from_utf8(parsed.answer.body).unwrap();
            (parsed.answer.status, body, parsed.length, parsed.close)
        })
    }

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let plain = "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(
            check(plain),
            Some((201, "{}".to_owned(), plain.len(), false))
        );
        for cut in 0..plain.len() {
            assert!(
                matches!(parse(&plain.as_bytes()[..cut]), Ok(None)),
                "cut at {cut}"
            );
        }
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                       2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n";
        assert_eq!(
            check(chunked),
            Some((200, "abcde".to_owned(), chunked.len(), true))
        );
        for cut in 0..chunked.len() {
            assert!(
                matches!(parse(&chunked.as_bytes()[..cut]), Ok(None)),
                "cut at {cut}"
            );
        }
        let unchanged = "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n";
        assert_eq!(
            check(unchanged),
            Some((304, String::new(), unchanged.len(), false))
        );
    }

    #[test]
    fn nonsense_is_no_answer() {
        for bad in [
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
