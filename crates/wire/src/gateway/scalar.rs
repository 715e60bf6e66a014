//! Single values: how each kind is written, its bounds, and what to say when it is written wrong.
//!
//! It must not know in which file a value stands.

use super::limits::{
    FILE_NAME_CHARS_MAX, HEADER_NAME_CHARS_MAX, HOST_CHARS_MAX, NAME_CHARS_MAX, PATH_CHARS_MAX,
    RATE_COUNT_MAX,
};
use super::shape::{FromDatum, Shape};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// A kind of value, with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Small letters, digits, `-`, `_` and `.`; other places refer to it.
    Name,
    /// Characters without control characters, at most so many.
    Text(usize),
    /// Characters over any number of lines, at most so many; may be none.
    Lines(usize),
    File,
    Whole(u64, u64),
    Number(f64, f64),
    Flag,
    /// Milliseconds from and to; written `300ms`, `8s`, `2m`, `1h`, `7d`.
    Span(u64, u64),
    /// Bytes from and to; written `512`, `16KiB`, `1MiB`.
    Size(u64, u64),
    Word(&'static [&'static str]),
    /// `5/s`, `300/min`, `1000/h`.
    Rate,
    /// `1000/day`.
    Quota,
    /// An instant with its zone.
    Instant,
    /// Hours and minutes from UTC.
    Offset,
    /// Address and port to listen on.
    Socket,
    /// Name or address, and port, of a peer.
    Peer,
    /// An address, or a block of addresses.
    Block,
    /// A host name; `*.` in front means every name below.
    Host,
    /// A path from the root, without query.
    Path,
    /// A path with parts such as `{sku}`.
    Template,
    HeaderName,
    /// A URL or a path from the root.
    Url,
    /// What a rule's key is made of.
    KeyPart,
    /// `200`, or `200-299`.
    Statuses,
}

/// A value that was read.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    Text(String),
    Path(PathBuf),
    Whole(u64),
    Number(f64),
    Flag(bool),
    Span(Duration),
    Word(&'static str),
    Rate(Rate),
    Instant(Instant),
    Offset(Offset),
    Socket(SocketAddr),
    Block(Block),
    KeyPart(KeyPart),
    Statuses(Statuses),
}

/// HTTP statuses from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statuses {
    pub low: u16,
    pub high: u16,
}

/// How far a clock is from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    pub minutes: i32,
}

/// So many in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: u64,
    pub period: Duration,
}

impl Rate {
    #[must_use]
    pub fn per_second(self) -> f64 {
        self.count as f64 / self.period.as_secs_f64()
    }
}

/// Addresses that share their first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    pub address: IpAddr,
    pub bits: u8,
}

impl Block {
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.bits.min(32));
                u32::from(own).checked_shr(shift) == u32::from(other).checked_shr(shift)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.bits.min(128));
                u128::from(own).checked_shr(shift) == u128::from(other).checked_shr(shift)
            }
            _ => false,
        }
    }
}

/// What a rule's key is made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyPart {
    Buyer,
    Device,
    Address,
    ApiKey,
    Route,
    Method,
    Sku,
    Channel,
    /// In small letters.
    Header(String),
}

pub const KEY_PARTS: [(&str, KeyPart); 8] = [
    ("buyer", KeyPart::Buyer),
    ("device", KeyPart::Device),
    ("address", KeyPart::Address),
    ("api_key", KeyPart::ApiKey),
    ("route", KeyPart::Route),
    ("method", KeyPart::Method),
    ("sku", KeyPart::Sku),
    ("channel", KeyPart::Channel),
];

impl Kind {
    /// Reads a text; the error is what was expected.
    pub fn parse(&self, text: &str) -> Result<Datum, String> {
        let datum = match *self {
            Kind::Name => is_name(text).then(|| Datum::Text(text.to_owned())),
            Kind::Text(most) => is_text(text, most).then(|| Datum::Text(text.to_owned())),
            Kind::Lines(most) => {
                let control = |c: char| c.is_control() && !"\n\r\t".contains(c);
                let good = text.chars().count() <= most && !text.chars().any(control);
                good.then(|| Datum::Text(text.to_owned()))
            }
            Kind::File => {
                is_text(text, FILE_NAME_CHARS_MAX).then(|| Datum::Path(PathBuf::from(text)))
            }
            Kind::Whole(low, high) => within(text.parse().ok(), low, high).map(Datum::Whole),
            Kind::Number(low, high) => {
                let number = text.parse::<f64>().ok();
                number
                    .filter(|n| (low..=high).contains(n))
                    .map(Datum::Number)
            }
            Kind::Flag => text.parse().ok().map(Datum::Flag),
            Kind::Span(low, high) => {
                within(span_ms(text), low, high).map(|ms| Datum::Span(Duration::from_millis(ms)))
            }
            Kind::Size(low, high) => within(size(text), low, high).map(Datum::Whole),
            Kind::Word(words) => word(words, text).map(Datum::Word),
            Kind::Rate => rate(text, false).map(Datum::Rate),
            Kind::Quota => rate(text, true).map(Datum::Rate),
            Kind::Instant => instant_ms(text).map(Datum::Instant),
            Kind::Offset => offset(text).map(Datum::Offset),
            Kind::Socket => text.parse().ok().map(Datum::Socket),
            Kind::Peer => peer(text).map(Datum::Text),
            Kind::Block => block(text).map(Datum::Block),
            Kind::Host => host(text).map(Datum::Text),
            Kind::Path => is_path(text).then(|| Datum::Text(text.to_owned())),
            Kind::Template => is_template(text).then(|| Datum::Text(text.to_owned())),
            Kind::HeaderName => header_name(text).map(Datum::Text),
            Kind::Url => is_url(text).then(|| Datum::Text(text.to_owned())),
            Kind::KeyPart => key_part(text).map(Datum::KeyPart),
            Kind::Statuses => statuses(text).map(Datum::Statuses),
        };
        datum.ok_or_else(|| self.expected())
    }

    /// In words, with an example where that is shorter.
    #[must_use]
    pub fn expected(&self) -> String {
        match *self {
            Kind::Name => format!(
                "a name of 1 to {NAME_CHARS_MAX} small letters, digits, '-', '_' or '.', \
                 a letter or digit first"
            ),
            Kind::Text(most) => format!("1 to {most} characters"),
            Kind::Lines(most) => format!("at most {most} characters"),
            Kind::File => "the name of a file".to_owned(),
            Kind::Whole(low, high) => format!("a whole number from {low} to {high}"),
            Kind::Number(low, high) => format!("a number from {low} to {high}"),
            Kind::Flag => "true or false".to_owned(),
            Kind::Span(low, high) => format!(
                "a duration from {} to {} such as 300ms, 8s, 2m or 1h",
                shown_ms(low),
                shown_ms(high)
            ),
            Kind::Size(low, high) => format!(
                "a size from {} to {} such as 512, 16KiB or 1MiB",
                shown_bytes(low),
                shown_bytes(high)
            ),
            Kind::Word(words) => words.join(", "),
            Kind::Rate => "a rate such as 5/s, 300/min or 1000/h".to_owned(),
            Kind::Quota => "a quota such as 1000/day".to_owned(),
            Kind::Instant => {
                "an instant with its zone such as 2026-11-11T00:00:00+01:00".to_owned()
            }
            Kind::Offset => "hours and minutes from UTC such as +01:00".to_owned(),
            Kind::Socket => "address and port such as 0.0.0.0:8080 or [::]:8080".to_owned(),
            Kind::Peer => "host and port such as 10.0.0.7:8080 or shop.internal:8080".to_owned(),
            Kind::Block => "an address or a block such as 10.0.0.0/8".to_owned(),
            Kind::Host => "a host name such as shop.example or *.shop.example".to_owned(),
            Kind::Path => "a path from the root such as /orders, without query".to_owned(),
            Kind::Template => "a path with whole parts such as /products/{sku}".to_owned(),
            Kind::HeaderName => "the name of a header such as X-Api-Key".to_owned(),
            Kind::Url => "an http(s) URL or a path from the root".to_owned(),
            Kind::KeyPart => {
                let words: Vec<&str> = KEY_PARTS.iter().map(|(word, _)| *word).collect();
                format!("{}, or header:NAME", words.join(", "))
            }
            Kind::Statuses => "a status from 100 to 599, or a range such as 200-299".to_owned(),
        }
    }
}

pub const NAME: Shape = Shape::Scalar(Kind::Name);
pub const FILE: Shape = Shape::Scalar(Kind::File);
pub const FLAG: Shape = Shape::Scalar(Kind::Flag);
pub const HEADER: Shape = Shape::Scalar(Kind::HeaderName);
pub const HOST: Shape = Shape::Scalar(Kind::Host);
pub const PATH: Shape = Shape::Scalar(Kind::Path);
pub const RATE: Shape = Shape::Scalar(Kind::Rate);
pub const INSTANT: Shape = Shape::Scalar(Kind::Instant);
pub const URL: Shape = Shape::Scalar(Kind::Url);
pub const SHARE: Shape = Shape::Scalar(Kind::Number(0.0, 1.0));

pub const fn text(most: usize) -> Shape {
    Shape::Scalar(Kind::Text(most))
}
pub const fn whole(low: u64, high: u64) -> Shape {
    Shape::Scalar(Kind::Whole(low, high))
}
pub const fn number(low: f64, high: f64) -> Shape {
    Shape::Scalar(Kind::Number(low, high))
}
pub const fn span(low_ms: u64, high_ms: u64) -> Shape {
    Shape::Scalar(Kind::Span(low_ms, high_ms))
}
pub const fn bytes(low: u64, high: u64) -> Shape {
    Shape::Scalar(Kind::Size(low, high))
}
pub const fn table(item: &'static Shape, most: usize) -> Shape {
    Shape::Table(item, most)
}
pub const fn list(item: &'static Shape, most: usize) -> Shape {
    Shape::List(item, most)
}

macro_rules! from_datum {
    ($($type:ty: $variant:ident),*) => { $(
        impl FromDatum for $type {
            fn from_datum(datum: Datum) -> Option<Self> {
                match datum {
                    Datum::$variant(value) => Some(value),
                    _ => None,
                }
            }
        }
    )* };
}
from_datum!(String: Text, PathBuf: Path, u64: Whole, f64: Number, bool: Flag, Duration: Span,
    Rate: Rate, Instant: Instant, Offset: Offset, SocketAddr: Socket, Block: Block,
    KeyPart: KeyPart, Statuses: Statuses);

/// Milliseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub u64);

impl Instant {
    /// As RFC 3339 writes it, in UTC.
    #[must_use]
    pub fn shown(self) -> String {
        i64::try_from(self.0)
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
            .map_or_else(|| self.0.to_string(), |stamp| stamp.to_string())
    }
}

/// Tools that read YAML 1.1 write `true` for `on`.
fn word(words: &'static [&'static str], text: &str) -> Option<&'static str> {
    let find = |text: &str| words.iter().find(|word| **word == text).copied();
    find(text).or_else(|| match text {
        "true" => find("on"),
        "false" => find("off"),
        _ => None,
    })
}

fn within(value: Option<u64>, low: u64, high: u64) -> Option<u64> {
    value.filter(|value| (low..=high).contains(value))
}

fn is_name(text: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= NAME_CHARS_MAX
        && text.starts_with(good)
        && text.chars().all(|c| good(c) || "-_.".contains(c))
}

fn is_text(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn with_unit(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    Some((digits.parse().ok()?, unit))
}

fn span_ms(text: &str) -> Option<u64> {
    let (count, unit) = with_unit(text)?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    count.checked_mul(factor)
}

fn size(text: &str) -> Option<u64> {
    let (count, unit) = with_unit(text)?;
    let factor = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    count.checked_mul(factor)
}

fn rate(text: &str, daily: bool) -> Option<Rate> {
    let (count, unit) = with_unit(text)?;
    let seconds = match (unit, daily) {
        ("/s", false) => 1,
        ("/min", false) => 60,
        ("/h", false) => 3_600,
        ("/day", true) => 86_400,
        _ => return None,
    };
    let period = Duration::from_secs(seconds);
    within(Some(count), 1, RATE_COUNT_MAX).map(|count| Rate { count, period })
}

fn instant_ms(text: &str) -> Option<Instant> {
    let stamp: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(stamp.as_millisecond()).ok().map(Instant)
}

fn offset(text: &str) -> Option<Offset> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':').filter(|_| rest.len() == 5)?;
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (hours, minutes) = (hours.parse::<i32>().ok()?, minutes.parse::<i32>().ok()?);
    let good = digits(&rest[..2]) && digits(&rest[3..]) && hours <= 14 && minutes < 60;
    good.then_some(Offset {
        minutes: sign * (hours * 60 + minutes),
    })
}

fn host(text: &str) -> Option<String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let good = text.len() <= HOST_CHARS_MAX && name.split('.').all(label);
    good.then(|| text.to_ascii_lowercase())
}

fn peer(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return (address.port() > 0).then(|| address.to_string());
    }
    let (name, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0)?;
    let name = host(name).filter(|name| !name.starts_with('*'))?;
    Some(format!("{name}:{port}"))
}

fn block(text: &str) -> Option<Block> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address.parse::<IpAddr>().ok()?, Some(bits.parse().ok()?)),
        None => (text.parse::<IpAddr>().ok()?, None),
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    (bits <= most).then_some(Block { address, bits })
}

fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && text.len() <= PATH_CHARS_MAX
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"?#{}\"<>\\^`|".contains(&b))
}

/// Every part between slashes is plain or one `{name}`, each name once, at least one of them.
fn is_template(text: &str) -> bool {
    let mut names: Vec<&str> = Vec::new();
    let plain: String = text
        .split('/')
        .map(|part| template_part(part).map_or(part, |_| "x"))
        .collect::<Vec<_>>()
        .join("/");
    for name in text.split('/').filter_map(template_part) {
        if !is_name(name) || names.contains(&name) {
            return false;
        }
        names.push(name);
    }
    !names.is_empty() && is_path(&plain)
}

/// The name inside braces.
#[must_use]
pub fn template_part(part: &str) -> Option<&str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

fn header_name(text: &str) -> Option<String> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let good = (1..=HEADER_NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(token);
    good.then(|| text.to_ascii_lowercase())
}

fn is_url(text: &str) -> bool {
    let rest = match text
        .strip_prefix("https://")
        .or(text.strip_prefix("http://"))
    {
        Some(rest) => rest,
        None if text.starts_with('/') && !text.starts_with("//") => text,
        None => return false,
    };
    !rest.is_empty()
        && text.len() <= PATH_CHARS_MAX
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b))
}

fn key_part(text: &str) -> Option<KeyPart> {
    if let Some(name) = text.strip_prefix("header:") {
        return header_name(name).map(KeyPart::Header);
    }
    let found = KEY_PARTS.iter().find(|(word, _)| *word == text);
    found.map(|(_, part)| part.clone())
}

fn statuses(text: &str) -> Option<Statuses> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let one = |text: &str| text.parse().ok().filter(|n| (100..600).contains(n));
    let (low, high): (u16, u16) = (one(low)?, one(high)?);
    (low <= high).then_some(Statuses { low, high })
}

/// The largest unit that divides it.
#[must_use]
pub fn shown_ms(ms: u64) -> String {
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
    ];
    let unit = units
        .iter()
        .find(|(factor, _)| ms > 0 && ms.is_multiple_of(*factor));
    unit.map_or_else(
        || format!("{ms}ms"),
        |(factor, unit)| format!("{}{unit}", ms / factor),
    )
}

#[must_use]
pub fn shown_bytes(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units
        .iter()
        .find(|(factor, _)| bytes > 0 && bytes.is_multiple_of(*factor));
    unit.map_or_else(
        || bytes.to_string(),
        |(factor, unit)| format!("{}{unit}", bytes / factor),
    )
}
