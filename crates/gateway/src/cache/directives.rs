//! `Cache-Control`, read so that nothing that forbids is overlooked: names in any case, quoted
//! values with commas in them, several lines, bytes that are no text.
//!
//! What cannot be read counts as `no-store`; of two values for one name the smaller counts.

use super::limits::{DIRECTIVES_MAX, SECONDS_MAX};
use hyper::header::{CACHE_CONTROL, HeaderMap, HeaderValue};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives(Vec<(Box<str>, Option<u64>)>);

impl Directives {
    pub fn of(headers: &HeaderMap) -> Directives {
        let mut read = Directives::default();
        for line in headers.get_all(CACHE_CONTROL) {
            if read.take(line.as_bytes()).is_none() {
                return Directives(vec![("no-store".into(), None)]);
            }
        }
        read
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| &**known == name)
    }

    /// The seconds that a directive states. One without a readable number states zero.
    pub fn seconds(&self, name: &str) -> Option<u64> {
        let (_, seconds) = self.0.iter().find(|(known, _)| &**known == name)?;
        Some(seconds.unwrap_or(0))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the one form that cannot be misread. `proxy-revalidate` says to us what
    /// `must-revalidate` says to everybody.
    pub fn plain(&self) -> HeaderValue {
        let mut text = String::new();
        for (name, seconds) in &self.0 {
            let name = match &**name {
                "proxy-revalidate" => "must-revalidate",
                name => name,
            };
            let timed = matches!(name, "max-age" | "s-maxage");
            text.push_str(if text.is_empty() { "" } else { ", " });
            text.push_str(name);
            if timed {
                text.push('=');
                text.push_str(&seconds.unwrap_or(0).to_string());
            }
        }
        // Names are tokens, as `take` checked.
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("no-store"))
    }

    /// `None`: not readable, or too many.
    fn take(&mut self, line: &[u8]) -> Option<()> {
        let mut rest = line;
        loop {
            rest = rest.trim_ascii_start();
            if let Some(after) = rest.strip_prefix(b",") {
                rest = after;
                continue;
            }
            if rest.is_empty() {
                return Some(());
            }
            let end = rest.iter().position(|b| !is_token(*b));
            let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
            let name = std::str::from_utf8(name).ok().filter(|n| !n.is_empty())?;
            let (value, after) = value(after.trim_ascii_start())?;
            self.add(name, value)?;
            rest = after.trim_ascii_start();
            if !rest.is_empty() && !rest.starts_with(b",") {
                return None;
            }
        }
    }

    fn add(&mut self, name: &str, value: Option<&[u8]>) -> Option<()> {
        let name = name.to_ascii_lowercase();
        let seconds = value.and_then(seconds);
        if let Some((_, known)) = self.0.iter_mut().find(|(known, _)| **known == *name) {
            *known = match (*known, seconds) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (None, _) | (_, None) => None,
            };
            return Some(());
        }
        (self.0.len() < DIRECTIVES_MAX).then(|| self.0.push((name.into(), seconds)))
    }
}

/// What follows a name: nothing, `=token` or `="text"`; and the rest.
type Valued<'a> = (Option<&'a [u8]>, &'a [u8]);

fn value(after: &[u8]) -> Option<Valued<'_>> {
    let Some(value) = after.strip_prefix(b"=") else {
        return Some((None, after));
    };
    let value = value.trim_ascii_start();
    let Some(quoted) = value.strip_prefix(b"\"") else {
        let end = value.iter().position(|b| !is_token(*b));
        let (value, rest) = value.split_at(end.unwrap_or(value.len()));
        return Some((Some(value), rest));
    };
    let mut escaped = false;
    let end = quoted.iter().position(|b| match (escaped, b) {
        (true, _) => {
            escaped = false;
            false
        }
        (false, b'\\') => {
            escaped = true;
            false
        }
        (false, b) => *b == b'"',
    })?;
    Some((Some(&quoted[..end]), &quoted[end + 1..]))
}

fn seconds(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = std::str::from_utf8(value).ok()?.parse();
    // So many digits that they overflow are a long time, not none.
    Some(seconds.unwrap_or(SECONDS_MAX).min(SECONDS_MAX))
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}
