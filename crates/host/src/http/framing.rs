//! A second, narrower reading of where each request begins and ends.
//!
//! hyper parses HTTP; this file reads the same bytes as they come off the socket and notes for
//! each head only what decides framing: line ends, lengths, codings, hosts. A request is served
//! if both readings agree and nothing in it could be read in two ways: bare line feeds, several
//! lengths, a length beside chunks (hyper keeps the chunks and hides the length), a fragment in
//! the target. A proxy in front that believed the other reading would take part of
//! this request for the next one. And a chunked request is always the last on its connection
//! (RFC 9112, 6.1). The cost is one look at each line of a head.
//! It must not know about sockets or services.

use crate::limits::{HEAD_BUFFER_BYTES_MIN, PIPELINED_HEADS_MAX, TARGET_BYTES_MAX};
use hyper::StatusCode;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// How long a request's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Known(u64),
    Chunked,
}

/// What was seen in one head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub length: Length,
    /// Lines that name a host, not counted beyond two.
    pub hosts: u8,
    /// Why the request must not be served, whatever hyper made of it.
    pub refused: Option<StatusCode>,
}

/// Where one connection's bytes stand: in a head, in a body, or behind what is understood.
pub(super) struct Framing {
    /// What hyper holds at most, twice.
    part_bytes_max: usize,
    /// The head read last and not asked for yet; nearly always the only one.
    next: Cell<Option<Head>>,
    /// Heads of pipelined requests behind it.
    later: RefCell<VecDeque<Head>>,
    body_left: Cell<u64>,
    /// The beginning of a head that came in pieces.
    part: RefCell<Vec<u8>>,
    /// More was sent than we keep: nothing can be said any more.
    lost: Cell<bool>,
}

impl Framing {
    pub fn new(head_bytes_max: usize) -> Self {
        Framing {
            part_bytes_max: 2 * head_bytes_max.max(HEAD_BUFFER_BYTES_MIN),
            next: Cell::default(),
            later: RefCell::default(),
            body_left: Cell::default(),
            part: RefCell::default(),
            lost: Cell::default(),
        }
    }

    /// Takes note of bytes just received, in their order.
    pub fn received(&self, mut bytes: &[u8]) {
        loop {
            let left = self.body_left.get();
            if left >= bytes.len() as u64 {
                if left != u64::MAX {
                    self.body_left.set(left - bytes.len() as u64);
                }
                return;
            }
            // Smaller than a slice's length, so it fits.
            bytes = &bytes[left as usize..];
            self.body_left.set(0);
            let Some(used) = self.head_in(bytes) else {
                return;
            };
            bytes = &bytes[used..];
        }
    }

    /// The head of the request that hyper has just parsed; `None` if the two readings differ.
    pub fn next(&self, body_bytes: Option<u64>) -> Option<Head> {
        let head = self.next.take()?;
        if !self.later.borrow().is_empty() {
            self.next.set(self.later.borrow_mut().pop_front());
        }
        let agreed = match head.length {
            Length::Known(length) => body_bytes == Some(length),
            Length::Chunked => body_bytes.is_none(),
        };
        (agreed && !self.lost.get()).then_some(head)
    }

    /// Nothing is here beyond the request that is being served, as far as its end is known.
    pub fn is_at_rest(&self) -> bool {
        let left = self.body_left.get();
        let between = left == 0 || left == u64::MAX;
        between && self.next.get().is_none() && self.part.borrow().is_empty()
    }

    /// Reads a head and says how many of these bytes belong to it; `None` if it is not whole.
    fn head_in(&self, bytes: &[u8]) -> Option<usize> {
        let mut part = self.part.borrow_mut();
        if part.is_empty() {
            let Some((head, used)) = read_head(bytes) else {
                self.keep(&mut part, bytes);
                return None;
            };
            self.push(head);
            return Some(used);
        }
        let before = part.len();
        self.keep(&mut part, bytes);
        // Only a line end can end a head: a drip of bytes is not read again for each of them.
        memchr::memchr(b'\n', bytes)?;
        let (head, used) = read_head(&part)?;
        part.clear();
        self.push(head);
        Some(used - before)
    }

    fn keep(&self, part: &mut Vec<u8>, bytes: &[u8]) {
        // hyper stops reading at the same size, so this is never reached through it.
        if part.len() + bytes.len() > self.part_bytes_max {
            self.lost.set(true);
            part.clear();
        } else {
            part.extend_from_slice(bytes);
        }
    }

    fn push(&self, head: Head) {
        self.body_left.set(match head.length {
            Length::Known(length) => length,
            Length::Chunked => u64::MAX,
        });
        if self.next.get().is_none() {
            self.next.set(Some(head));
        } else if self.later.borrow().len() < PIPELINED_HEADS_MAX {
            self.later.borrow_mut().push_back(head);
        } else {
            self.lost.set(true);
        }
    }
}

/// Reads one head, blank lines before it included, and says where it ends.
fn read_head(bytes: &[u8]) -> Option<(Head, usize)> {
    let mut seen = Seen::default();
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        let line = match bytes[start..end].split_last() {
            Some((b'\r', line)) => line,
            _ => {
                // Some take a bare line feed for a line end and some do not.
                seen.refuse(StatusCode::BAD_REQUEST);
                &bytes[start..end]
            }
        };
        start = end + 1;
        if !line.is_empty() {
            seen.line(line);
        } else if seen.begun {
            return Some((seen.conclude(), start));
        }
    }
    None
}

#[derive(Default)]
struct Seen {
    begun: bool,
    hosts: u8,
    lengths: u8,
    length: u64,
    codings: u8,
    refused: Option<StatusCode>,
}

impl Seen {
    fn refuse(&mut self, status: StatusCode) {
        self.refused.get_or_insert(status);
    }

    fn line(&mut self, line: &[u8]) {
        if !self.begun {
            self.begun = true;
            self.request_line(line);
            return;
        }
        match line[0] | 0x20 {
            b'h' => {
                if let Some(host) = value_of(b"host:", line) {
                    self.hosts = self.hosts.saturating_add(1).min(2);
                    if !host.iter().copied().all(is_in_host) {
                        self.refuse(StatusCode::BAD_REQUEST);
                    }
                }
            }
            b'c' => {
                if let Some(value) = value_of(b"content-length:", line) {
                    self.lengths = self.lengths.saturating_add(1);
                    match number(value) {
                        Some(length) => self.length = length,
                        None => self.refuse(StatusCode::BAD_REQUEST),
                    }
                }
            }
            b't' => {
                if let Some(value) = value_of(b"transfer-encoding:", line) {
                    self.codings = self.codings.saturating_add(1);
                    if !value.eq_ignore_ascii_case(b"chunked") {
                        self.refuse(StatusCode::NOT_IMPLEMENTED);
                    }
                }
            }
            _ => {}
        }
    }

    fn request_line(&mut self, line: &[u8]) {
        if line.len() > TARGET_BYTES_MAX {
            self.refuse(StatusCode::URI_TOO_LONG);
        } else if memchr::memchr(b'#', line).is_some() {
            // hyper drops a fragment; a target has none (RFC 9112, 3.2).
            self.refuse(StatusCode::BAD_REQUEST);
        }
    }

    fn conclude(mut self) -> Head {
        if self.lengths > 1 || self.codings > 1 || (self.lengths > 0 && self.codings > 0) {
            // Whatever else is wrong: that its end is not clear weighs most.
            self.refused = Some(StatusCode::BAD_REQUEST);
        }
        Head {
            length: if self.codings > 0 {
                Length::Chunked
            } else {
                Length::Known(self.length)
            },
            hosts: self.hosts,
            refused: self.refused,
        }
    }
}

/// What follows a name with its colon, without blanks around it.
fn value_of<'a>(name: &[u8], line: &'a [u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then(|| rest.trim_ascii())
}

/// Digits only: no sign, no list, nothing that would not fit.
fn number(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn is_in_host(byte: u8) -> bool {
    IN_HOST[usize::from(byte)]
}

/// Bytes of `uri-host [":" port]` (RFC 3986): what could begin a path, user or query is not.
/// A table, because every request is asked.
const IN_HOST: [bool; 256] = {
    let marks = b"-._~%!$&'()*+,;=:[]";
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests;
