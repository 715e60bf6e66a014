//! A client of HTTP/2 that sends exactly the frames it is told, good or bad.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for a frame. Its own, because tests of other crates include this file.
const PATIENCE: Duration = Duration::from_secs(20);

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `GET /` from `t`.
pub const GET: &[u8] = b"\x82\x86\x84\x01\x01t";

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A header as a literal that is not to be remembered.
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        // Seven bits, then as many more as it takes.
        let mut rest = text.len();
        if rest < 127 {
            field.push(rest as u8);
        } else {
            field.push(127);
            rest -= 127;
            while rest >= 128 {
                field.push((rest % 128 + 128) as u8);
                rest /= 128;
            }
            field.push(rest as u8);
        }
        field.extend_from_slice(text.as_bytes());
    }
    field
}

pub fn request(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let all = [(":method", method), (":scheme", "http"), (":path", path)];
    all.iter()
        .chain(more)
        .flat_map(|(name, value)| literal(name, value))
        .collect()
}

/// The status at the beginning of an answer's headers, the first of its connection.
pub fn status_of(block: &[u8]) -> u16 {
    // A connection's first headers may begin by saying how large the table is.
    let from = block.iter().position(|byte| byte >> 5 != 1).unwrap();
    let block = &block[from..];
    let known = [200, 204, 206, 304, 400, 404, 500];
    if let 0x88..=0x8e = block[0] {
        return known[usize::from(block[0] - 0x88)];
    }
    assert!(
        matches!(block[0], 0x08 | 0x18 | 0x48),
        "not a status: {block:?}"
    );
    let length = usize::from(block[1] & 0x7f);
    let digits = &block[2..2 + length];
    if block[1] & 0x80 == 0 {
        return std::str::from_utf8(digits).unwrap().parse().unwrap();
    }
    // Huffman: 0, 1, 2 have five bits, the other digits six (RFC 7541, appendix B).
    let bits: Vec<u8> = digits
        .iter()
        .flat_map(|b| (0..8).rev().map(move |at| b >> at & 1))
        .collect();
    let number = |bits: &[u8]| {
        bits.iter()
            .fold(0_u16, |all, bit| all * 2 + u16::from(*bit))
    };
    let (mut status, mut at) = (0, 0);
    for _ in 0..3 {
        let five = number(&bits[at..at + 5]);
        let digit = if five < 3 {
            at += 5;
            five
        } else {
            at += 6;
            number(&bits[at - 6..at]) - 0b01_1001 + 3
        };
        status = status * 10 + digit;
    }
    status
}

#[derive(Debug, Clone)]
pub struct Frame {
    pub kind: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

pub struct Frames {
    pub stream: TcpStream,
    pending: Vec<u8>,
}

impl Frames {
    /// Says hello with these settings (pairs of number and value).
    pub fn connect(addr: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let pair =
            |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        let settings: Vec<u8> = settings.iter().flat_map(pair).collect();
        let mut frames = Frames {
            stream,
            pending: Vec::new(),
        };
        let hello = [PREFACE, &frame(SETTINGS, 0, 0, &settings)].concat();
        assert!(frames.send(&hello), "a new connection takes a few bytes");
        frames
    }

    /// `false`: the server has ended the connection.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    pub fn headers(&mut self, stream: u32, flags: u8, block: &[u8]) -> bool {
        self.send(&frame(HEADERS, flags | END_HEADERS, stream, block))
    }

    /// The next frame; `None` if the connection has ended.
    pub fn next(&mut self) -> Option<Frame> {
        self.fill(9)?;
        let length = usize::from(self.pending[0]) << 16
            | usize::from(self.pending[1]) << 8
            | usize::from(self.pending[2]);
        self.fill(9 + length)?;
        let rest = self.pending.split_off(9 + length);
        let whole = std::mem::replace(&mut self.pending, rest);
        Some(Frame {
            kind: whole[3],
            stream: u32::from_be_bytes([whole[5], whole[6], whole[7], whole[8]]),
            payload: whole[9..].to_vec(),
        })
    }

    /// The next frame of this kind, whatever comes before it.
    pub fn expect(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self
                .next()
                .unwrap_or_else(|| panic!("frame {kind}, but the end came"));
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Everything that still comes.
    pub fn rest(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.next()).collect()
    }

    fn fill(&mut self, enough: usize) -> Option<()> {
        while self.pending.len() < enough {
            let mut some = [0; 16 * 1024];
            match self.stream.read(&mut some) {
                Ok(0) => return None,
                Ok(n) => self.pending.extend_from_slice(&some[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(e) => panic!("no frame: {e}"),
            }
        }
        Some(())
    }
}
