//! Paths, put straight before they are compared.
//!
//! `/%6Frders`, `//orders` and `/x/../orders` mean `/orders` to most servers. If they meant
//! something else to the door, a limit on `/orders` could be passed by writing it otherwise.

use std::borrow::Cow;

/// The path without `//`, `.`, `..` and needless escapes; `None` if it leads above the root or
/// does not begin there. Borrowed where nothing was to be done, which is nearly always.
#[must_use]
pub fn normal(path: &str) -> Option<Cow<'_, str>> {
    if !path.starts_with('/') {
        // `*` of OPTIONS is a target of its own.
        return (path == "*").then_some(Cow::Borrowed(path));
    }
    if is_normal(path.as_bytes()) {
        return Some(Cow::Borrowed(path));
    }
    let decoded = unescaped(path);
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_open = false;
    for part in decoded.split('/').skip(1) {
        ends_open = false;
        match part {
            "" | "." => ends_open = true,
            ".." => {
                kept.pop()?;
                ends_open = true;
            }
            part => kept.push(part),
        }
    }
    let mut whole = String::with_capacity(decoded.len());
    for part in &kept {
        whole.push('/');
        whole.push_str(part);
    }
    if ends_open || kept.is_empty() {
        whole.push('/');
    }
    Some(Cow::Owned(whole))
}

/// Parts between slashes, after the first slash.
pub fn parts(path: &str) -> std::str::Split<'_, char> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

/// A part of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplatePart<'a> {
    Literal(&'a str),
    Named(&'a str),
}

impl<'a> TemplatePart<'a> {
    #[must_use]
    pub fn literal(self) -> Option<&'a str> {
        match self {
            TemplatePart::Literal(text) => Some(text),
            TemplatePart::Named(_) => None,
        }
    }
}

pub fn template_parts(template: &str) -> impl Iterator<Item = TemplatePart<'_>> {
    parts(template).map(|part| match wire::gateway::scalar::template_part(part) {
        Some(name) => TemplatePart::Named(name),
        None => TemplatePart::Literal(part),
    })
}

fn is_normal(path: &[u8]) -> bool {
    let mut before = 0;
    for (at, byte) in path.iter().enumerate() {
        match byte {
            b'%' => return false,
            // A name may begin with a dot; only `.` and `..` are parts of their own.
            b'/' if before == b'/' => return false,
            b'.' if before == b'/' && is_dots(&path[at..]) => return false,
            _ => {}
        }
        before = *byte;
    }
    true
}

fn is_dots(rest: &[u8]) -> bool {
    let part = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
    part == b"." || part == b".."
}

/// Escapes of what needs none (RFC 3986, unreserved) are undone, others get capital letters.
fn unescaped(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        let escape = rest.get(at + 1..at + 3);
        let byte = escape
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                text.push(char::from(byte));
                rest = &rest[at + 3..];
            }
            Some(byte) => {
                text.push_str(&format!("%{byte:02X}"));
                rest = &rest[at + 3..];
            }
            None => {
                text.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    text.push_str(rest);
    text
}
