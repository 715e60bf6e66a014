//! How a line is written. What comes from outside is escaped to printable ASCII, so that nobody can
//! end a line, forge one, or talk to the terminal of whoever reads it; long texts are cut.
//! It must not know where lines go.

use super::Entry;
use crate::limits::{ACCESS_TARGET_BYTES_MAX, ACCESS_TEXT_BYTES_MAX};
use hyper::Version;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::io::Write;
use std::net::IpAddr;
use wire::gateway::listeners::LogFormat;

/// What marks a text that was cut.
const CUT: &[u8] = b"...";

/// The text of the last second, which many lines share.
#[derive(Default)]
pub(super) struct Stamp {
    second: Option<u64>,
    text: String,
}

impl Stamp {
    fn text(&mut self, second: u64, format: LogFormat) -> &str {
        if self.second != Some(second) {
            let pattern = match format {
                LogFormat::Json => "%Y-%m-%dT%H:%M:%S",
                LogFormat::Combined => "%d/%b/%Y:%H:%M:%S +0000",
            };
            // Beyond the year 9999 it is 1970 again.
            let at = i64::try_from(second).map(Timestamp::from_second);
            let at = at.ok().and_then(Result::ok).unwrap_or_default();
            self.text.clear();
            let zoned = at.to_zoned(TimeZone::UTC);
            // A text takes what is written to it.
            let _ = std::fmt::Write::write_fmt(
                &mut self.text,
                format_args!("{}", zoned.strftime(pattern)),
            );
            self.second = Some(second);
        }
        &self.text
    }
}

pub(super) fn write(out: &mut Vec<u8>, stamp: &mut Stamp, format: LogFormat, entry: &Entry<'_>) {
    let second = stamp.text(entry.time_ms / 1_000, format);
    match format {
        LogFormat::Json => json(out, second, entry),
        LogFormat::Combined => combined(out, second, entry),
    }
}

fn json(out: &mut Vec<u8>, second: &str, entry: &Entry<'_>) {
    let ms = entry.time_ms % 1_000;
    let digits = [ms / 100, ms / 10 % 10, ms % 10].map(|digit| b'0' + digit as u8);
    let mut line = Line(out);
    line.raw(b"{\"time\":\"");
    line.raw(second.as_bytes());
    line.raw(b".");
    line.raw(&digits);
    line.raw(b"Z\",\"client\":\"");
    line.address(entry.client);
    line.raw(b"\"");
    line.text(
        "method",
        Some(entry.method.as_bytes()),
        ACCESS_TEXT_BYTES_MAX,
    );
    line.text("host", Some(entry.host), ACCESS_TEXT_BYTES_MAX);
    line.text("target", Some(entry.target), ACCESS_TARGET_BYTES_MAX);
    line.text(
        "protocol",
        Some(protocol(entry.version)),
        ACCESS_TEXT_BYTES_MAX,
    );
    line.number("status", entry.status.into());
    line.number("bytes", entry.bytes);
    line.number("duration_us", entry.duration_us);
    let rest = [
        ("route", Some(entry.route.as_bytes())),
        ("upstream", entry.upstream.map(str::as_bytes)),
        ("refused", entry.refused.map(|by| by.label().as_bytes())),
        (
            "refused_by",
            entry.refused.and_then(|by| by.name()).map(str::as_bytes),
        ),
        ("user_agent", entry.user_agent),
        ("referer", entry.referer),
        ("run", entry.run.map(str::as_bytes)),
    ];
    for (key, value) in rest {
        line.text(key, value, ACCESS_TEXT_BYTES_MAX);
    }
    if let Some(buyer) = entry.buyer {
        line.hex("buyer", u128::from(buyer.0.get()), 16);
    }
    if let Some(trace) = entry.trace_id {
        line.hex("trace_id", trace, 32);
    }
    line.raw(b"}\n");
}

fn combined(out: &mut Vec<u8>, second: &str, entry: &Entry<'_>) {
    let mut line = Line(out);
    line.address(entry.client);
    line.raw(b" - ");
    match entry.buyer {
        Some(buyer) => line.digits(u128::from(buyer.0.get()), 16),
        None => line.raw(b"-"),
    }
    line.raw(b" [");
    line.raw(second.as_bytes());
    line.raw(b"] \"");
    line.quoted(entry.method.as_bytes(), ACCESS_TEXT_BYTES_MAX);
    line.raw(b" ");
    line.quoted(entry.target, ACCESS_TARGET_BYTES_MAX);
    line.raw(b" ");
    line.raw(protocol(entry.version));
    line.raw(b"\" ");
    line.raw(itoa::Buffer::new().format(entry.status).as_bytes());
    line.raw(b" ");
    line.raw(itoa::Buffer::new().format(entry.bytes).as_bytes());
    for text in [entry.referer, entry.user_agent] {
        line.raw(b" \"");
        line.quoted(text.unwrap_or(b"-"), ACCESS_TEXT_BYTES_MAX);
        line.raw(b"\"");
    }
    line.raw(b"\n");
}

fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_10 => b"HTTP/1.0",
        Version::HTTP_2 => b"HTTP/2.0",
        _ => b"HTTP/1.1",
    }
}

struct Line<'a>(&'a mut Vec<u8>);

impl Line<'_> {
    fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn key(&mut self, key: &str) {
        self.raw(b",\"");
        self.raw(key.as_bytes());
        self.raw(b"\":");
    }

    fn number(&mut self, key: &str, value: u64) {
        self.key(key);
        self.raw(itoa::Buffer::new().format(value).as_bytes());
    }

    fn hex(&mut self, key: &str, value: u128, digits: u32) {
        self.key(key);
        self.raw(b"\"");
        self.digits(value, digits);
        self.raw(b"\"");
    }

    fn digits(&mut self, value: u128, digits: u32) {
        for place in (0..digits).rev() {
            let digit = (value >> (place * 4)) & 15;
            self.0.push(b"0123456789abcdef"[digit as usize]);
        }
    }

    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => {
                for (place, octet) in v4.octets().into_iter().enumerate() {
                    if place > 0 {
                        self.0.push(b'.');
                    }
                    self.raw(itoa::Buffer::new().format(octet).as_bytes());
                }
            }
            IpAddr::V6(v6) => {
                // A vector takes what is written to it.
                let _ = write!(self.0, "{v6}");
            }
        }
    }

    /// A member of the object; absent ones are left out.
    fn text(&mut self, key: &str, value: Option<&[u8]>, most: usize) {
        let Some(value) = value else { return };
        self.key(key);
        self.raw(b"\"");
        let (kept, cut) = cut(value, most);
        self.json(kept);
        self.raw(cut);
        self.raw(b"\"");
    }

    fn json(&mut self, mut rest: &[u8]) {
        loop {
            let plain = rest.iter().position(|b| !is_plain(*b));
            let (before, special) = rest.split_at(plain.unwrap_or(rest.len()));
            self.raw(before);
            let Some(first) = special.first() else { return };
            if first.is_ascii() {
                self.unit(u16::from(*first));
                rest = &special[1..];
                continue;
            }
            let end = special.iter().position(u8::is_ascii);
            let (foreign, after) = special.split_at(end.unwrap_or(special.len()));
            for chunk in foreign.utf8_chunks() {
                let mut pair = [0; 2];
                for letter in chunk.valid().chars() {
                    let units = letter.encode_utf16(&mut pair);
                    units.iter().for_each(|unit| self.unit(*unit));
                }
                if !chunk.invalid().is_empty() {
                    self.unit(0xfffd);
                }
            }
            rest = after;
        }
    }

    fn unit(&mut self, unit: u16) {
        self.raw(b"\\u");
        self.digits(unit.into(), 4);
    }

    /// Inside the quotes of the combined format.
    fn quoted(&mut self, text: &[u8], most: usize) {
        let (kept, cut) = cut(text, most);
        for byte in kept {
            if is_plain(*byte) {
                self.0.push(*byte);
            } else {
                self.raw(b"\\x");
                self.digits((*byte).into(), 2);
            }
        }
        self.raw(cut);
    }
}

/// Printable ASCII that means nothing else inside quotes.
fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'
}

fn cut(text: &[u8], most: usize) -> (&[u8], &'static [u8]) {
    match text.get(..most) {
        Some(kept) if text.len() > most => (kept, CUT),
        _ => (text, b""),
    }
}
