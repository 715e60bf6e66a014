//! Refuses requests whose length two programs could read differently.
//!
//! hyper refuses differing lengths and unknown encodings, but of a request with both
//! `Content-Length` and `Transfer-Encoding` it keeps the second and hides the first. A proxy
//! in front that believed the first would take part of this request for the next one. So
//! the bytes of the last read are kept, one buffer for a whole worker, and looked at again
//! when a chunked request comes up – parsing follows its read at once, on one thread. And a
//! chunked request is always the last on its connection (RFC 9112, 6.1), so that even
//! what cannot be looked at is never followed by something smuggled.

use crate::limits::HEAD_READ_BYTES;
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::rt::ReadBufCursor;
use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// No body, or one of announced length.
    Length,
    Chunked,
    /// To be refused.
    Ambiguous,
}

/// The bytes of a worker's last read of a head, and whose they are.
pub(super) struct Heard {
    bytes: RefCell<Box<[u8]>>,
    len: Cell<usize>,
    of: Cell<u64>,
}

impl Default for Heard {
    fn default() -> Self {
        Heard {
            bytes: RefCell::new(vec![0; HEAD_READ_BYTES].into()),
            len: Cell::new(0),
            of: Cell::new(u64::MAX),
        }
    }
}

impl Heard {
    /// Reads on behalf of hyper and keeps a copy.
    pub fn poll_read(
        &self,
        socket: &mut TcpStream,
        of: u64,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut bytes = self.bytes.borrow_mut();
        let room = into.remaining().min(bytes.len());
        let mut buf = ReadBuf::new(&mut bytes[..room]);
        ready!(Pin::new(socket).poll_read(cx, &mut buf))?;
        into.put_slice(buf.filled());
        let n = buf.filled().len();
        self.len.set(n);
        self.of.set(of);
        Poll::Ready(Ok(n))
    }

    /// Judges a request whose head took `reads` reads since the request before it.
    pub fn framing(&self, request: &Request<Incoming>, of: u64, reads: u8) -> Framing {
        // Only a chunked body does not know its length.
        if request.body().size_hint().exact().is_some() {
            return Framing::Length;
        }
        // In several reads, or pipelined behind another: what hyper hid cannot be looked up,
        // and no honest client does that to a chunked request.
        if reads != 1 || self.of.get() != of {
            return Framing::Ambiguous;
        }
        if names_length(&self.bytes.borrow()[..self.len.get()]) {
            return Framing::Ambiguous;
        }
        Framing::Chunked
    }
}

/// Whether a line of the head begins with `Content-Length`.
fn names_length(read: &[u8]) -> bool {
    const NAME: &[u8] = b"content-length";
    let blank = |line: &&[u8]| line.is_empty() || *line == b"\r";
    // Blank lines before a request are skipped by parsers, so they end nothing here.
    read.split(|b| *b == b'\n')
        .skip_while(blank)
        .take_while(|line| !blank(line))
        .any(|line| line.len() >= NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME))
}
