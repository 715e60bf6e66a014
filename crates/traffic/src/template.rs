//! Which requests are the same endpoint: paths with `{n}` for whatever is a value. Numbers, UUIDs,
//! hexadecimal and long tokens always are; a place in the path where many different words stand,
//! each of them rarely, is learnt to be one. Both sides of a comparison use the same templates. It
//! must not know what endpoints are compared for.

use crate::limits::{PLACE_RECORDS_MAX, SEGMENT_BYTES_MAX, SEGMENT_ITEMS_MAX, SIBLING_ITEMS_MAX};
use std::collections::BTreeMap;

/// What stands for a value.
pub const VALUE: &str = "{n}";

/// A path that people write, with names in braces: `/products/{sku}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// `None` for a value, with its name.
    parts: Vec<Result<String, String>>,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("path {text:?}: expected / at its start"));
        };
        let parts = rest.split('/').map(|part| {
            let name = part
                .strip_prefix('{')
                .and_then(|part| part.strip_suffix('}'));
            match name {
                Some(name) if !name.is_empty() && !name.contains(['{', '}']) => {
                    Ok(Err(name.to_owned()))
                }
                None if !part.contains(['{', '}', '?', '#']) || part.starts_with("{n}.") => {
                    Ok(Ok(part.to_owned()))
                }
                _ => Err(format!(
                    "path {text:?}: expected whole parts such as {{sku}}"
                )),
            }
        });
        let parts = parts.collect::<Result<Vec<_>, String>>()?;
        if parts.len() > SEGMENT_ITEMS_MAX {
            return Err(format!("path {text:?}: at most {SEGMENT_ITEMS_MAX} parts"));
        }
        Ok(Pattern { parts })
    }

    #[must_use]
    pub fn fits(&self, path: &str) -> bool {
        self.place(path, None).is_some()
    }

    /// The name that all comparisons use.
    #[must_use]
    pub fn template(&self) -> String {
        let parts = self.parts.iter();
        parts.fold(String::new(), |text, part| {
            text + "/" + part.as_deref().unwrap_or(VALUE)
        })
    }

    pub(crate) fn names(&self, name: &str) -> bool {
        self.parts
            .iter()
            .any(|part| part.as_ref().err().is_some_and(|found| found == name))
    }

    /// Where the value of this name stands in a path that fits.
    pub(crate) fn place(&self, path: &str, name: Option<&str>) -> Option<std::ops::Range<usize>> {
        let mut rest = path.strip_prefix('/')?.split('/');
        let (mut at, mut found) = (1, 0..0);
        for part in &self.parts {
            let text = rest.next()?;
            match part {
                Ok(word) if word != text && *word != generic(text) => return None,
                Err(_) if text.is_empty() => return None,
                Err(known) if Some(known.as_str()) == name => found = at..at + text.len(),
                _ => {}
            }
            at += text.len() + 1;
        }
        rest.next().is_none().then_some(found)
    }
}

/// Finds out which places of paths hold values.
#[derive(Debug)]
pub struct Learner {
    patterns: Vec<Pattern>,
    root: Place,
    places: usize,
}

#[derive(Debug, Default)]
struct Place {
    requests: u64,
    below: BTreeMap<Box<str>, Place>,
    /// What is not among `below` is a value here.
    open: bool,
}

impl Learner {
    /// Paths that fit a pattern need not be learnt; the first that fits counts.
    #[must_use]
    pub fn new(patterns: Vec<Pattern>) -> Learner {
        Learner {
            patterns,
            root: Place::default(),
            places: 0,
        }
    }

    pub fn learn(&mut self, path: &str) {
        if self.patterns.iter().any(|pattern| pattern.fits(path)) {
            return;
        }
        let mut place = &mut self.root;
        place.requests += 1;
        for segment in segments(path) {
            let name = generic(segment);
            if !place.below.contains_key(name.as_str()) {
                if self.places >= PLACE_RECORDS_MAX {
                    return;
                }
                self.places += 1;
            }
            place = place.below.entry(name.into()).or_default();
            place.requests += 1;
        }
    }

    #[must_use]
    pub fn finish(mut self) -> Templates {
        close(&mut self.root);
        Templates {
            patterns: self.patterns,
            root: self.root,
        }
    }
}

/// Where too many words stand, the rare ones become values; files keep their endings.
fn close(place: &mut Place) {
    if place.below.len() > SIBLING_ITEMS_MAX {
        place.open = true;
        let often = place.requests / SIBLING_ITEMS_MAX as u64;
        let all = std::mem::take(&mut place.below);
        for (name, below) in all {
            let name = if below.requests > often {
                name
            } else {
                value_of(&name).into()
            };
            merge(place.below.entry(name).or_default(), below);
        }
        if place.below.len() > 2 * SIBLING_ITEMS_MAX {
            let all = std::mem::take(&mut place.below);
            let mut one = Place::default();
            all.into_values().for_each(|below| merge(&mut one, below));
            place.below.insert(VALUE.into(), one);
        }
    }
    place.below.values_mut().for_each(close);
}

fn merge(into: &mut Place, from: Place) {
    into.requests += from.requests;
    for (name, below) in from.below {
        merge(into.below.entry(name).or_default(), below);
    }
}

/// What was learnt. The same path has the same template whenever it is asked.
#[derive(Debug, Default)]
pub struct Templates {
    patterns: Vec<Pattern>,
    root: Place,
}

impl Templates {
    /// `/products/{n}` for `/products/77`.
    #[must_use]
    pub fn of(&self, path: &str) -> String {
        if let Some(pattern) = self.patterns.iter().find(|pattern| pattern.fits(path)) {
            return pattern.template();
        }
        if !path.starts_with('/') {
            return path.chars().take(SEGMENT_BYTES_MAX).collect();
        }
        let mut text = String::with_capacity(path.len());
        let mut place = Some(&self.root);
        for segment in segments(path) {
            let mut name = generic(segment);
            let open = place.is_some_and(|place| place.open);
            let known = |name: &str| place.is_some_and(|place| place.below.contains_key(name));
            if open && !known(&name) {
                name = value_of(&name);
                if !known(&name) && known(VALUE) {
                    VALUE.clone_into(&mut name);
                }
            }
            text.push('/');
            text.push_str(&name);
            place = place.and_then(|place| place.below.get(name.as_str()));
        }
        text
    }
}

/// The parts of a path, up to the bound; what is behind it counts as one.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/')
        .unwrap_or(path)
        .splitn(SEGMENT_ITEMS_MAX, '/')
}

/// A segment, or what stands for it if it looks like a value by itself.
fn generic(segment: &str) -> String {
    let segment = segment.split(';').next().unwrap_or_default();
    let (stem, ending) = ending(segment);
    if segment.len() > SEGMENT_BYTES_MAX || is_value(stem) || is_value(segment) {
        let ending = if is_value(segment) { "" } else { ending };
        return format!("{VALUE}{ending}");
    }
    segment.to_owned()
}

fn value_of(segment: &str) -> String {
    format!("{VALUE}{}", ending(segment).1)
}

/// `logo` and `.png`.
fn ending(segment: &str) -> (&str, &str) {
    match segment.rfind('.') {
        Some(at) if at > 0 && is_ending(&segment[at + 1..]) => segment.split_at(at),
        _ => (segment, ""),
    }
}

fn is_ending(text: &str) -> bool {
    let letters = text.bytes().all(|b| b.is_ascii_alphanumeric());
    (1..=5).contains(&text.len()) && letters && text.as_bytes()[0].is_ascii_alphabetic()
}

fn is_value(text: &str) -> bool {
    matches!(
        class(text),
        "number" | "decimal" | "uuid" | "hex" | "token" | "date"
    )
}

/// What kind of value a text is: the classes of parameters.
#[must_use]
pub fn class(text: &str) -> &'static str {
    let bytes = text.as_bytes();
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    let letters = bytes.iter().filter(|b| b.is_ascii_alphabetic()).count();
    let hex = bytes.iter().all(u8::is_ascii_hexdigit);
    let count = bytes.len();
    let marks = count - digits - letters;
    let numeric = text.strip_prefix('-').unwrap_or(text);
    match text {
        "" => "empty",
        "true" | "false" => "yes or no",
        _ if digits == count => "number",
        _ if digits > 0 && numeric.len() < count && digits == count - 1 => "negative number",
        _ if is_decimal(numeric) => "decimal",
        _ if is_uuid(bytes) => "uuid",
        _ if is_date(bytes) => "date",
        _ if hex && digits > 0 && count >= 8 => "hex",
        _ if text.starts_with("http://") || text.starts_with("https://") => "url",
        _ if text.contains('@') && text.contains('.') && !text.contains(' ') => "email",
        _ if text.contains([',', '|']) => "list",
        _ if text.contains([' ', '+']) || !text.is_ascii() => "words",
        _ if count >= 20 && digits >= 2 && letters > 0 && marks * 16 <= count => "token",
        _ if count > 64 => "long text",
        _ => "word",
    }
}

fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.split_once('.')
        .is_some_and(|(whole, rest)| digits(whole) && digits(rest))
}

fn is_uuid(bytes: &[u8]) -> bool {
    let dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let fits = |(at, b): (usize, &u8)| {
        if dash(at) {
            *b == b'-'
        } else {
            b.is_ascii_hexdigit()
        }
    };
    bytes.len() == 36 && bytes.iter().enumerate().all(fits)
}

/// `2015-05-17`, with or without a time.
fn is_date(bytes: &[u8]) -> bool {
    let dash = |at: usize| matches!(at, 4 | 7);
    let fits = |(at, b): (usize, &u8)| {
        if dash(at) {
            *b == b'-'
        } else {
            b.is_ascii_digit()
        }
    };
    let day = bytes.get(..10);
    day.is_some_and(|day| day.iter().enumerate().all(fits))
        && bytes.get(10).is_none_or(|next| matches!(next, b'T' | b' '))
}
