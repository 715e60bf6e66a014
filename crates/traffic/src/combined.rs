//! Access logs as Apache and nginx write them: common, combined, and combined behind the name of
//! the virtual host. `client ident user [time] "method target protocol" status bytes "referer"
//! "user agent"`; whatever stands behind is passed over. It must not know files.

use crate::error::Why;
use crate::seen::{Seen, is_method, status};
use crate::time;
use std::net::IpAddr;

/// The request that a line speaks of.
pub fn parse(line: &[u8]) -> Result<Seen, Why> {
    let open = memchr::memchr(b'[', line).ok_or(Why::Shape("[time] in an access log"))?;
    let close = memchr::memchr(b']', line).filter(|close| *close > open);
    let close = close.ok_or(Why::Shape("] behind the time"))?;
    let (who, when) = (&line[..open], &line[open + 1..close]);
    let mut seen = Seen::default();
    set_client(&mut seen, who)?;
    let when = String::from_utf8_lossy(when);
    seen.at_us = time::instant(&when).ok_or_else(|| Why::Time(Why::excerpt(&when)))?;
    let mut rest = Rest(&line[close + 1..]);
    let request = rest
        .quoted()
        .ok_or(Why::Shape("\"request\" behind the time"))?;
    set_request(&mut seen, &request)?;
    let code = rest.word();
    seen.status = code.parse().ok().and_then(status);
    // nginx writes 000, and Apache -, where no answer was given.
    if seen.status.is_none() && !matches!(code, "-" | "000") {
        return Err(Why::Status(Why::excerpt(code)));
    }
    let bytes = rest.word();
    seen.response_bytes = match bytes {
        "-" => Some(0),
        _ => Some(bytes.parse().map_err(|_| Why::Bytes(Why::excerpt(bytes)))?),
    };
    for name in ["referer", "user-agent"] {
        match rest.quoted() {
            Some(value) if value != "-" => seen.headers.push((name.to_owned(), value)),
            _ => {}
        }
    }
    Ok(seen)
}

/// The same line again, with `-` for what is not known; a newline ends it. The fraction of a second
/// is lost, and so is what the format has no place for.
pub fn write(out: &mut Vec<u8>, seen: &Seen) {
    let client = seen.client.as_deref().unwrap_or("-");
    out.extend_from_slice(client.as_bytes());
    out.extend_from_slice(b" - - [");
    time::push_common(out, seen.at_us);
    out.extend_from_slice(b"] \"");
    escape(out, &seen.method);
    out.push(b' ');
    escape(out, &seen.target);
    out.extend_from_slice(b" HTTP/1.1\" ");
    let status = seen
        .status
        .map_or("-".to_owned(), |status| status.to_string());
    out.extend_from_slice(status.as_bytes());
    let bytes = format!(" {}", seen.response_bytes.unwrap_or(0));
    out.extend_from_slice(bytes.as_bytes());
    for name in ["referer", "user-agent"] {
        out.extend_from_slice(b" \"");
        escape(out, seen.header(name).unwrap_or("-"));
        out.push(b'"');
    }
    out.push(b'\n');
}

fn set_client(seen: &mut Seen, who: &[u8]) -> Result<(), Why> {
    let who = String::from_utf8_lossy(who);
    let mut words = who.split_ascii_whitespace();
    let first = words
        .next()
        .ok_or(Why::Shape("a client at the start of an access log"))?;
    let is_address = |word: &str| word.parse::<IpAddr>().is_ok();
    match words.next() {
        // With the virtual host first.
        Some(second) if is_address(second) && !is_address(first) => {
            seen.host = Some(first.to_owned());
            seen.client = Some(second.to_owned());
        }
        _ => seen.client = (first != "-").then(|| first.to_owned()),
    }
    Ok(())
}

/// `GET /path HTTP/1.1`; spaces in the middle belong to the target.
pub(crate) fn set_request(seen: &mut Seen, request: &str) -> Result<(), Why> {
    let wrong = || Why::RequestLine(Why::excerpt(request));
    let (method, rest) = request.split_once(' ').ok_or_else(wrong)?;
    let target = match rest.rsplit_once(' ') {
        Some((target, protocol)) if protocol.starts_with("HTTP/") => target,
        _ => rest,
    };
    if !is_method(method) || !seen.set_target(target) {
        return Err(wrong());
    }
    method.clone_into(&mut seen.method);
    Ok(())
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// What stands in quotes next, unescaped. One that nobody closes ends with the line.
    fn quoted(&mut self) -> Option<String> {
        let text = self.0.trim_ascii_start().strip_prefix(b"\"")?;
        let mut at = 0;
        while let Some(found) = memchr::memchr2(b'"', b'\\', &text[at..]) {
            at += found;
            if text[at] == b'"' {
                self.0 = &text[at + 1..];
                return Some(unescape(&text[..at]));
            }
            at = (at + 2).min(text.len());
        }
        self.0 = &[];
        Some(unescape(text))
    }

    fn word(&mut self) -> &'a str {
        let text = self.0.trim_ascii_start();
        let end = text.iter().position(|b| b.is_ascii_whitespace());
        let (word, rest) = text.split_at(end.unwrap_or(text.len()));
        self.0 = rest;
        std::str::from_utf8(word).unwrap_or("?")
    }
}

/// `\"` and `\\` of Apache, `\xHH` of both.
fn unescape(text: &[u8]) -> String {
    if memchr::memchr(b'\\', text).is_none() {
        return String::from_utf8_lossy(text).into_owned();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let Some((kind, after)) = rest.split_first() else {
            out.push(b'\\');
            break;
        };
        rest = after;
        match kind {
            b'x' => match rest.split_at_checked(2).and_then(|(pair, after)| {
                let pair = std::str::from_utf8(pair).ok()?;
                let digits = pair.bytes().all(|b| b.is_ascii_hexdigit());
                let byte = digits
                    .then(|| u8::from_str_radix(pair, 16).ok())
                    .flatten()?;
                Some((byte, after))
            }) {
                Some((byte, after)) => {
                    out.push(byte);
                    rest = after;
                }
                None => out.extend_from_slice(b"\\x"),
            },
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            other => out.push(*other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn escape(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        if matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\' {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
        }
    }
}
