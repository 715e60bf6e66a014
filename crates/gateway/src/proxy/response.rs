//! The head of an upstream's answer, read strictly.
//!
//! `httparse` reads lines; what they mean for the length of the body is decided here, and
//! whatever could be read in two ways is refused: both a length and chunks, two lengths, other
//! codings, lines without a carriage return, continued lines. It must not know sockets.

use super::error::Malformed;
use crate::headers::{Kind, clean_response, ends_here, kind_of};
use crate::limits::{RESPONSE_HEAD_BYTES_MAX, RESPONSE_HEADERS_MAX};
use bytes::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderName,
    HeaderValue, LAST_MODIFIED, SERVER, TRANSFER_ENCODING, VARY,
};
use hyper::{Method, StatusCode};
use std::mem::MaybeUninit;

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
    /// Where the connection ends.
    ToEnd,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub status: StatusCode,
    pub framing: Framing,
    /// The peer keeps the connection.
    pub keeps: bool,
}

/// Reads a head from the beginning of `bytes`; `None` while it is not complete. `headers` is
/// filled anew: a used map saves its memory from being given back and fetched again. It is
/// cleaned of what ends at us, except after a 101.
pub(super) fn parse(
    bytes: &Bytes,
    method: &Method,
    headers: &mut HeaderMap,
) -> Result<Option<(Head, usize)>, Malformed> {
    if matches!(bytes.first(), Some(b'\r' | b'\n')) {
        // httparse passes over blank lines, but they belong to no answer: something else went
        // wrong on this connection.
        return Err(Malformed::NotHttp);
    }
    let mut lines = [const { MaybeUninit::uninit() }; RESPONSE_HEADERS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut response, bytes, &mut lines) {
        Ok(httparse::Status::Complete(length)) if length <= RESPONSE_HEAD_BYTES_MAX => length,
        Ok(httparse::Status::Partial) if bytes.len() < RESPONSE_HEAD_BYTES_MAX => {
            return Ok(None);
        }
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Malformed::HeadTooLarge),
        Err(_) => return Err(Malformed::NotHttp),
    };
    if has_bare_line_feed(&bytes[..length]) {
        return Err(Malformed::BareLineFeed);
    }
    let status = response.code.filter(|code| (100..600).contains(code));
    let status = status.and_then(|code| StatusCode::from_u16(code).ok());
    let (Some(status), Some(version)) = (status, response.version) else {
        return Err(Malformed::NotHttp);
    };
    let switches = status == StatusCode::SWITCHING_PROTOCOLS;
    let seen = fill(headers, response.headers, bytes, switches)?;
    let framing = framing(method, status, version, &seen)?;
    let keeps = framing != Framing::ToEnd
        && match version {
            1 => !seen.closes,
            _ => seen.keeps,
        };
    if seen.to_clean && !switches {
        clean_response(headers);
    }
    if is_bodiless(status) {
        // These have no length, whatever they say.
        headers.remove(CONTENT_LENGTH);
    }
    let head = Head {
        status,
        framing,
        keeps,
    };
    Ok(Some((head, length)))
}

/// What the lines of a head said about the connection and the body.
#[derive(Default)]
struct Seen {
    length: Option<u64>,
    chunked: bool,
    /// There is a `Transfer-Encoding`, whatever it is.
    coded: bool,
    /// `Connection` says so.
    closes: bool,
    keeps: bool,
    /// `Connection` names headers that end at us.
    to_clean: bool,
}

/// Values share the memory of what was read. One pass, since looking names up costs as much as
/// putting them in; what ends at us is not put in at all, unless the answer `switches` protocols.
fn fill(
    headers: &mut HeaderMap,
    lines: &[httparse::Header<'_>],
    bytes: &Bytes,
    switches: bool,
) -> Result<Seen, Malformed> {
    headers.clear();
    let mut seen = Seen::default();
    for line in lines {
        let name = match usual_name(line.name.as_bytes()) {
            Some(name) => Ok(name),
            None => HeaderName::from_bytes(line.name.as_bytes()),
        };
        let value = if line.value.is_empty() {
            Ok(HeaderValue::from_static(""))
        } else {
            HeaderValue::from_maybe_shared(bytes.slice_ref(line.value))
        };
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(Malformed::NotHttp);
        };
        let mut ends = false;
        if name == CONTENT_LENGTH {
            if seen.length.replace(length_of(line.value)?).is_some() {
                return Err(Malformed::Length);
            }
        } else if name == TRANSFER_ENCODING {
            seen.chunked = !seen.coded && line.value.eq_ignore_ascii_case(b"chunked");
            seen.coded = true;
            ends = true;
        } else if name == CONNECTION {
            ends = !seen.connection(line.value);
        } else {
            ends = ends_here(name.as_str());
        }
        if !ends || switches {
            headers.append(name, value);
        }
    }
    Ok(seen)
}

impl Seen {
    /// Whether other headers are named, which only a second look at all of them can take out.
    fn connection(&mut self, value: &[u8]) -> bool {
        let mut names = false;
        for token in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            if token.eq_ignore_ascii_case(b"keep-alive") {
                self.keeps = true;
            } else if token.eq_ignore_ascii_case(b"close") {
                self.closes = true;
            } else if !token.is_empty() {
                names = true;
            }
        }
        self.to_clean |= names;
        names
    }
}

/// Names that nearly every answer has, as they are usually written: comparing a few letters costs
/// a quarter of reading a name.
fn usual_name(name: &[u8]) -> Option<HeaderName> {
    Some(match name {
        b"Date" | b"date" => DATE,
        b"ETag" | b"etag" => ETAG,
        b"Vary" | b"vary" => VARY,
        b"Server" | b"server" => SERVER,
        b"Connection" | b"connection" => CONNECTION,
        b"Content-Type" | b"content-type" => CONTENT_TYPE,
        b"Cache-Control" | b"cache-control" => CACHE_CONTROL,
        b"Last-Modified" | b"last-modified" => LAST_MODIFIED,
        b"Content-Length" | b"content-length" => CONTENT_LENGTH,
        _ => return None,
    })
}

fn has_bare_line_feed(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).any(|at| at == 0 || head[at - 1] != b'\r')
}

/// RFC 9112, 6.3, without any of its leniency.
fn framing(
    method: &Method,
    status: StatusCode,
    version: u8,
    seen: &Seen,
) -> Result<Framing, Malformed> {
    if seen.coded && seen.length.is_some() {
        return Err(Malformed::LengthAndChunked);
    }
    if seen.coded && !(seen.chunked && version == 1) {
        return Err(Malformed::TransferEncoding);
    }
    if is_bodiless(status) || status == StatusCode::NOT_MODIFIED || *method == Method::HEAD {
        return Ok(Framing::None);
    }
    Ok(match (seen.chunked, seen.length) {
        (true, _) => Framing::Chunked,
        (false, Some(0)) => Framing::None,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::ToEnd,
    })
}

fn is_bodiless(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT
}

fn length_of(digits: &[u8]) -> Result<u64, Malformed> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed::Length);
    }
    let mut length = 0_u64;
    for digit in digits {
        let shifted = length.checked_mul(10);
        let added = shifted.and_then(|n| n.checked_add(u64::from(digit - b'0')));
        length = added.ok_or(Malformed::Length)?;
    }
    Ok(length)
}

/// Trailers that may be passed on: none that frames, routes or ends at us.
pub(super) fn trailers(bytes: &[u8]) -> Result<HeaderMap, Malformed> {
    let mut lines = [httparse::EMPTY_HEADER; RESPONSE_HEADERS_MAX];
    let parsed = httparse::parse_headers(bytes, &mut lines);
    let Ok(httparse::Status::Complete((length, lines))) = parsed else {
        return Err(Malformed::Trailers);
    };
    if length != bytes.len() || has_bare_line_feed(bytes) {
        return Err(Malformed::Trailers);
    }
    let mut headers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes());
        let value = HeaderValue::from_bytes(line.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(Malformed::Trailers);
        };
        headers.append(name, value);
    }
    let kept = |name: &HeaderName| kind_of(name.as_str()) == Kind::EndToEnd;
    let taken: Vec<HeaderName> = headers.keys().filter(|n| !kept(n)).cloned().collect();
    taken.iter().for_each(|name| drop(headers.remove(name)));
    Ok(headers)
}

#[cfg(test)]
mod tests;
