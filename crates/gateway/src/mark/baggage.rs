//! Marks in `baggage` (W3C): a list of `name=value;properties`, carried on by everything that
//! speaks OpenTelemetry. The other members are somebody else's and stay as they are.

use super::{Carried, SEAWALL_MARK};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

pub const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
/// The member's name.
pub const MEMBER: &str = "seawall.mark";

/// The mark of a head, wherever it stands.
pub(super) fn find(headers: &HeaderMap) -> Carried<'_> {
    let plain = headers.get_all(SEAWALL_MARK).iter();
    let plain = plain.map(HeaderValue::as_bytes);
    let lists = headers.get_all(BAGGAGE).iter();
    let members = lists.flat_map(|list| list.as_bytes().split(|b| *b == b','));
    let (first, first_members) = (one(plain), one(members.filter_map(ours)));
    match (first, first_members) {
        (Ok(None), Ok(None)) => Carried::No,
        (Ok(Some(mark)), Ok(None)) | (Ok(None), Ok(Some(mark))) => Carried::Once(mark),
        (Ok(Some(mark)), Ok(Some(same))) if mark == same => Carried::Once(mark),
        _ => Carried::Unclear,
    }
}

/// Puts a good mark where it is missing.
pub(super) fn complete(headers: &mut HeaderMap, mark: HeaderValue) {
    let lists = headers.get_all(BAGGAGE).iter();
    let mut members = lists.flat_map(|list| list.as_bytes().split(|b| *b == b','));
    if !members.any(|member| ours(member).is_some()) {
        let member = [MEMBER.as_bytes(), b"=", mark.as_bytes()].concat();
        // A good mark is made of letters, digits, dots, '-' and '_'.
        if let Ok(member) = HeaderValue::try_from(member) {
            headers.append(BAGGAGE, member);
        }
    }
    headers.insert(SEAWALL_MARK, mark);
}

/// Takes our members out.
pub(super) fn remove(headers: &mut HeaderMap) {
    let lists: Vec<HeaderValue> = headers.get_all(BAGGAGE).iter().cloned().collect();
    headers.remove(BAGGAGE);
    for list in lists {
        let members = list.as_bytes().split(|b| *b == b',');
        let others: Vec<&[u8]> = members.filter(|member| ours(member).is_none()).collect();
        let left = others.join(&b',');
        if left.trim_ascii().is_empty() {
            continue;
        }
        // Parts of what was a value are one.
        if let Ok(left) = HeaderValue::try_from(left) {
            headers.append(BAGGAGE, left);
        }
    }
}

/// The value of a member, if it is ours.
fn ours(member: &[u8]) -> Option<&[u8]> {
    let equals = member.iter().position(|b| *b == b'=')?;
    let (name, rest) = (&member[..equals], &member[equals + 1..]);
    let value = rest.split(|b| *b == b';').next().unwrap_or_default();
    (name.trim_ascii() == MEMBER.as_bytes()).then(|| value.trim_ascii())
}

/// The only one; `Err` if there are more.
fn one<'a>(mut all: impl Iterator<Item = &'a [u8]>) -> Result<Option<&'a [u8]>, ()> {
    match (all.next(), all.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(()),
    }
}
