//! GoReplay's `.gor`: payloads between lines of three monkeys. `1 id time latency` stands over a
//! request, `2` over its answer, `3` over the answer to a replay; times are nanoseconds. Answers
//! are joined to their requests by id; requests come in the order of the file. An answer that
//! comes too late, beyond the bounds of what may wait, is an orphan. It must not know files.

use crate::combined::set_request;
use crate::error::{ReadError, Why};
use crate::limits::{
    AT_US_MAX, HEADERS_MAX, ITEM_BYTES_MAX, PENDING_BYTES_MAX, PENDING_REQUESTS_MAX,
};
use crate::seen::{Seen, status};
use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, Read};

/// What stands between two payloads.
pub const SEPARATOR: &str = "\n🐵🙈🙉\n";
/// Bytes of a line that are taken at once; a body may be one long line.
const PART_BYTES: u64 = 64 << 10;
/// Its line without the ends.
const MONKEYS: &[u8] = "🐵🙈🙉".as_bytes();

pub(crate) struct Gor<R> {
    from: R,
    /// Lines read so far.
    line: u64,
    bytes: Vec<u8>,
    over: bool,
    waiting: VecDeque<Waiting>,
    /// Number of the first that waits; numbers grow by one.
    first: u64,
    by_id: HashMap<Box<str>, u64>,
    held_bytes: usize,
}

struct Waiting {
    id: Box<str>,
    seen: Seen,
    answered: Answered,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Answered {
    No,
    ByReplay,
    Yes,
}

/// A payload without its head line.
struct Payload<'a> {
    kind: u8,
    id: &'a str,
    at_ns: u64,
    latency_ns: u64,
    http: &'a [u8],
}

impl<R: BufRead> Gor<R> {
    pub(crate) fn new(from: R) -> Gor<R> {
        Gor {
            from,
            line: 0,
            bytes: Vec::new(),
            over: false,
            waiting: VecDeque::new(),
            first: 0,
            by_id: HashMap::new(),
            held_bytes: 0,
        }
    }

    /// Reads one payload into `self.bytes` and says where it began. `None` at the end.
    fn read(&mut self) -> Option<Result<u64, ReadError>> {
        self.bytes.clear();
        let mut start = self.line + 1;
        let (mut long, mut fresh) = (false, true);
        loop {
            let from = self.bytes.len();
            match Read::take(&mut self.from, PART_BYTES).read_until(b'\n', &mut self.bytes) {
                Ok(0) => self.over = true,
                Ok(_) => {}
                Err(error) => {
                    self.over = true;
                    let (line, why) = (self.line + 1, Why::Io(error));
                    return Some(Err(ReadError { line, why }));
                }
            }
            let part = &self.bytes[from..];
            let ends = part.last() == Some(&b'\n');
            self.line += u64::from(ends);
            let separates = fresh && part.trim_ascii_end() == MONKEYS;
            fresh = ends;
            if separates {
                // The newline before the monkeys is theirs.
                self.bytes.truncate(from.saturating_sub(1));
            }
            if separates || self.over {
                let why = Why::LongItem;
                if long {
                    return Some(Err(ReadError { line: start, why }));
                }
                if !self.bytes.trim_ascii().is_empty() {
                    return Some(Ok(start));
                }
                if self.over {
                    return None;
                }
                self.bytes.clear();
                start = self.line + 1;
            }
            long |= self.bytes.len() > ITEM_BYTES_MAX;
            if long {
                self.bytes.clear();
            }
        }
    }

    fn take(&mut self, line: u64) -> Result<(), ReadError> {
        let at = |why| ReadError { line, why };
        let bytes = std::mem::take(&mut self.bytes);
        let payload = parse(&bytes).map_err(at)?;
        let done = match (payload.kind, self.by_id.get(payload.id).copied()) {
            (b'1', _) => self.request(&payload),
            (_, Some(number)) => self.answer(&payload, number),
            // What a replay was answered matters only where nothing else is known.
            (b'3', None) => Ok(()),
            (_, None) => Err(Why::Orphan(Why::excerpt(payload.id))),
        };
        self.bytes = bytes;
        done.map_err(at)
    }

    fn request(&mut self, payload: &Payload<'_>) -> Result<(), Why> {
        let seen = request(payload)?;
        self.held_bytes += seen.weight();
        let number = self.first + self.waiting.len() as u64;
        self.by_id.insert(payload.id.into(), number);
        self.waiting.push_back(Waiting {
            id: payload.id.into(),
            seen,
            answered: Answered::No,
        });
        Ok(())
    }

    fn answer(&mut self, payload: &Payload<'_>, number: u64) -> Result<(), Why> {
        let (code, bytes) = answer(payload.http)?;
        let index = usize::try_from(number - self.first).ok();
        let waiting = index.and_then(|index| self.waiting.get_mut(index));
        let waiting = waiting.ok_or_else(|| Why::Orphan(Why::excerpt(payload.id)))?;
        let by = if payload.kind == b'2' {
            Answered::Yes
        } else {
            Answered::ByReplay
        };
        // What really happened counts more than what a replay got.
        if by > waiting.answered {
            waiting.answered = by;
            waiting.seen.status = Some(code);
            waiting.seen.response_bytes = Some(bytes);
            let apart = (payload.at_ns / 1_000).checked_sub(waiting.seen.at_us);
            waiting.seen.duration_us = match (payload.latency_ns / 1_000, by) {
                (0, Answered::Yes) => apart,
                (0, _) => None,
                (latency, _) => Some(latency),
            };
        }
        Ok(())
    }

    /// The first that need not wait any longer.
    fn ready(&mut self) -> Option<Seen> {
        let front = self.waiting.front()?;
        let full = self.waiting.len() > PENDING_REQUESTS_MAX || self.held_bytes > PENDING_BYTES_MAX;
        if front.answered != Answered::Yes && !full && !self.over {
            return None;
        }
        let gone = self.waiting.pop_front()?;
        self.held_bytes = self.held_bytes.saturating_sub(gone.seen.weight());
        if self.by_id.get(&gone.id) == Some(&self.first) {
            self.by_id.remove(&gone.id);
        }
        self.first += 1;
        Some(gone.seen)
    }
}

impl<R: BufRead> Iterator for Gor<R> {
    type Item = Result<Seen, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(seen) = self.ready() {
                return Some(Ok(seen));
            }
            if self.over {
                return None;
            }
            match self.read() {
                None => {}
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(line)) => {
                    if let Err(error) = self.take(line) {
                        return Some(Err(error));
                    }
                }
            }
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Payload<'_>, Why> {
    let shape = Why::Shape("`1 id time latency` over a payload");
    let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    let (head, http) = bytes.split_at(end);
    let Ok(head) = std::str::from_utf8(head) else {
        return Err(shape);
    };
    let mut words = head.split_ascii_whitespace();
    let (kind, id, at) = match (words.next(), words.next(), words.next()) {
        (Some(kind @ ("1" | "2" | "3")), Some(id), Some(at)) => (kind, id, at),
        _ => return Err(shape),
    };
    let time = || Why::Time(Why::excerpt(at));
    let at_ns: u64 = at.parse().map_err(|_| time())?;
    let latency_ns = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    if at_ns / 1_000 > AT_US_MAX {
        return Err(time());
    }
    Ok(Payload {
        kind: kind.as_bytes()[0],
        id,
        at_ns,
        latency_ns,
        http: http.get(1..).unwrap_or_default(),
    })
}

fn request(payload: &Payload<'_>) -> Result<Seen, Why> {
    let (first, headers, body) = message(payload.http)?;
    let mut seen = Seen {
        at_us: payload.at_ns / 1_000,
        headers,
        ..Seen::default()
    };
    seen.host = seen.header("host").map(str::to_owned);
    set_request(&mut seen, &first)?;
    // GoReplay sees no addresses; a proxy before it may have written them down.
    let client = seen
        .header("x-forwarded-for")
        .or_else(|| seen.header("x-real-ip"));
    let client = client
        .and_then(|list| list.split(',').next())
        .map(str::trim);
    seen.client = client
        .filter(|client| !client.is_empty())
        .map(str::to_owned);
    let body = unchunked(&seen.headers, body);
    seen.request_bytes = Some(body.len() as u64);
    seen.body = (!body.is_empty()).then_some(body);
    Ok(seen)
}

/// Status and bytes of the body.
fn answer(http: &[u8]) -> Result<(u16, u64), Why> {
    let (first, headers, body) = message(http)?;
    let code = first.split_ascii_whitespace().nth(1).unwrap_or_default();
    let code = code.parse().ok().and_then(status);
    let code = code.filter(|_| first.starts_with("HTTP/"));
    let code = code.ok_or_else(|| Why::Status(Why::excerpt(&first)))?;
    Ok((code, unchunked(&headers, body).len() as u64))
}

type Message<'a> = (String, Vec<(String, String)>, &'a [u8]);

/// First line, headers, body.
fn message(http: &[u8]) -> Result<Message<'_>, Why> {
    let mut rest = http;
    let mut lines = Vec::new();
    loop {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return Err(Why::Cut("a head"));
        };
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        if lines.len() > HEADERS_MAX {
            return Err(Why::Headers);
        }
        lines.push(String::from_utf8_lossy(line));
    }
    let mut lines = lines.into_iter();
    let first = lines
        .next()
        .ok_or(Why::Shape("a request line"))?
        .into_owned();
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .ok_or(Why::Shape("`name: value` in a head"))?;
        headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok((first, headers, rest))
}

/// The body itself; one whose chunks are broken stays as it is.
fn unchunked(headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let chunked = headers.iter().any(|(name, value)| {
        name == "transfer-encoding" && value.to_ascii_lowercase().ends_with("chunked")
    });
    let whole = chunked.then(|| chunks(body)).flatten();
    whole.unwrap_or_else(|| body.to_vec())
}

fn chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let end = memchr::memmem::find(rest, b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?;
        let size = size.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Some(out);
        }
        out.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

/// The request, and its answer where one is known, under a number that is its id. Reading gives the
/// same back, but for a body of chunks, which is written whole.
pub fn write(out: &mut Vec<u8>, seen: &Seen, id: u64) {
    let head = format!("1 {id:024x} {} 0\n", seen.at_us.saturating_mul(1_000));
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(format!("{} {} HTTP/1.1\r\n", seen.method, seen.target).as_bytes());
    let mut headers = String::new();
    if let (None, Some(host)) = (seen.header("host"), &seen.host) {
        headers.push_str(&format!("host: {host}\r\n"));
    }
    if let (None, Some(client)) = (seen.header("x-forwarded-for"), &seen.client) {
        headers.push_str(&format!("x-forwarded-for: {client}\r\n"));
    }
    for (name, value) in seen
        .headers
        .iter()
        .filter(|(name, _)| name != "transfer-encoding")
    {
        headers.push_str(&format!("{name}: {value}\r\n"));
    }
    out.extend_from_slice(headers.as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(seen.body.as_deref().unwrap_or_default());
    out.extend_from_slice(SEPARATOR.as_bytes());
    let Some(status) = seen.status else { return };
    let took = seen.duration_us.unwrap_or(0).saturating_mul(1_000);
    let at = seen.at_us.saturating_mul(1_000).saturating_add(took);
    let length = usize::try_from(seen.response_bytes.unwrap_or(0)).unwrap_or(0);
    // The bytes of an answer are not known, only how many; so many dots stand for them.
    let length = length.min(ITEM_BYTES_MAX / 2);
    let head = format!("2 {id:024x} {at} {took}\nHTTP/1.1 {status} -\r\n\r\n");
    out.extend_from_slice(head.as_bytes());
    out.resize(out.len() + length, b'.');
    out.extend_from_slice(SEPARATOR.as_bytes());
}
