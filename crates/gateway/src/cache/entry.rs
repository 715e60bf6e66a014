//! One kept answer, and how it is given: conditions, age, and what the client is told about it.

use super::key::{Asked, Names};
use super::lease::{Lease, since_1970_ms};
use super::limits::{ENTRY_OVERHEAD_BYTES, KEPT_HEAD_BYTES_MAX, TAGS_MAX};
use bytes::Bytes;
use host::http::Body;
use hyper::header::{
    AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, DATE,
    ETAG, EXPIRES, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED, TRANSFER_ENCODING, VARY,
};
use hyper::{Response, StatusCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// Names of what an answer is about, for purging. Said to us, not to clients.
pub(crate) const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");

#[derive(Debug)]
pub(crate) struct Entry {
    /// Of the body: a revalidated answer has the same one, and so its compressed forms stay good.
    pub id: u64,
    pub status: StatusCode,
    pub head: HeaderMap,
    pub body: Bytes,
    pub lease: Lease,
    pub tags: Box<[Box<str>]>,
    /// By what it differs from others of its address, and its values.
    pub variant: Option<(Names, Arc<[u8]>)>,
    /// After a failure nobody tries again before this moment.
    pub quiet_until_ms: AtomicU64,
    /// Whether somebody is making its form in gzip, and in brotli.
    pub making: [AtomicBool; 2],
}

impl Entry {
    /// The head as it is kept, with the tags that it named; `None`: too long.
    pub fn head_of(mut head: HeaderMap, now_ms: u64) -> Option<(HeaderMap, Box<[Box<str>]>)> {
        let mut tags: Vec<Box<str>> = Vec::new();
        for line in head.get_all(SURROGATE_KEY) {
            let words = line.to_str().unwrap_or_default().split_ascii_whitespace();
            tags.extend(words.take(TAGS_MAX - tags.len()).map(Box::from));
        }
        for name in [SURROGATE_KEY, AGE, CONTENT_LENGTH, TRANSFER_ENCODING] {
            head.remove(name);
        }
        if !head.contains_key(DATE) {
            let date = httpdate::fmt_http_date(super::lease::moment(now_ms));
            head.insert(DATE, HeaderValue::from_str(&date).ok()?);
        }
        (head_bytes(&head) <= KEPT_HEAD_BYTES_MAX).then(|| (head, tags.into()))
    }

    /// A page that was rendered ahead. `None`: its head is too long.
    pub fn page(head: HeaderMap, body: Bytes, at_ms: u64, every_ms: u64) -> Option<Entry> {
        let (head, tags) = Entry::head_of(head, at_ms)?;
        let fresh_until_ms = at_ms.saturating_add(every_ms);
        // Its forms are kept under its own number, which no kept answer has.
        let sum = u64::from(crc32fast::hash(&body));
        Some(Entry {
            id: 1 << 63 | sum << 24 | (body.len() as u64 & 0xff_ffff),
            status: StatusCode::OK,
            head,
            body,
            lease: Lease {
                born_ms: at_ms,
                fresh_until_ms,
                revalidate_until_ms: fresh_until_ms,
                error_until_ms: fresh_until_ms,
                ask_first: false,
            },
            tags,
            variant: None,
            quiet_until_ms: AtomicU64::new(0),
            making: Default::default(),
        })
    }

    pub fn bytes(&self) -> u64 {
        let tags: usize = self.tags.iter().map(|tag| tag.len()).sum();
        (self.body.len() + head_bytes(&self.head) + tags) as u64 + ENTRY_OVERHEAD_BYTES
    }

    /// What a 304 says anew. The body, and what describes its bytes, stays.
    pub fn updated_head(&self, news: &HeaderMap) -> HeaderMap {
        let mut head = self.head.clone();
        let fixed = [
            CONTENT_LENGTH,
            CONTENT_ENCODING,
            CONTENT_RANGE,
            TRANSFER_ENCODING,
        ];
        for name in news.keys().filter(|name| !fixed.contains(name)) {
            head.remove(name);
            for value in news.get_all(name) {
                head.append(name.clone(), value.clone());
            }
        }
        head
    }

    /// Whether a 304 speaks of this answer and no other.
    pub fn is_meant_by(&self, news: &HeaderMap) -> bool {
        match (self.head.get(ETAG), news.get(ETAG)) {
            (Some(own), Some(new)) => opaque(own.as_bytes()) == opaque(new.as_bytes()),
            (None, Some(_)) => false,
            (_, None) => true,
        }
    }

    /// Whether the client has it already (RFC 9110, 13.2.2).
    pub fn client_has_it(&self, asked: &Asked) -> bool {
        if self.status != StatusCode::OK {
            return false;
        }
        if !asked.if_none_match.is_empty() {
            let own = self.head.get(ETAG).map(|tag| opaque(tag.as_bytes()));
            return asked.if_none_match.iter().any(|line| {
                let line = line.as_bytes();
                line.trim_ascii() == b"*" || own.is_some_and(|own| tags_in(line).any(|t| t == own))
            });
        }
        let since = asked.if_modified_since.as_ref().and_then(date);
        let modified = self.head.get(LAST_MODIFIED).and_then(date);
        matches!((since, modified), (Some(since), Some(modified)) if modified <= since)
    }

    /// The answer with its age. `form` is its body in another coding.
    pub fn give(&self, asked: &Asked, head: HeaderMap, body: Bytes, now_ms: u64) -> Response<Body> {
        let mut head = head;
        head.insert(AGE, HeaderValue::from(self.lease.age_s(now_ms)));
        let mut answer = Response::new(Body::Empty);
        if self.client_has_it(asked) {
            let said = [
                CACHE_CONTROL,
                CONTENT_LOCATION,
                DATE,
                ETAG,
                EXPIRES,
                VARY,
                AGE,
                CACHE_STATUS,
            ];
            for name in said {
                for value in head.get_all(&name) {
                    answer.headers_mut().append(name.clone(), value.clone());
                }
            }
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            return answer;
        }
        *answer.status_mut() = self.status;
        if asked.head {
            head.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        } else if !body.is_empty() {
            *answer.body_mut() = Body::Full(body);
        }
        *answer.headers_mut() = head;
        answer
    }
}

fn head_bytes(head: &HeaderMap) -> usize {
    let line = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    head.iter().map(line).sum()
}

/// A tag without the mark of a weak one: for "not modified" both are as good.
fn opaque(tag: &[u8]) -> &[u8] {
    let tag = tag.trim_ascii();
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// The tags of a list. A comma may stand inside of one, between its quotes.
fn tags_in(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let begin = rest.iter().position(|b| *b == b'"')?;
        let length = rest[begin + 1..].iter().position(|b| *b == b'"')? + 2;
        let tag = &rest[begin..begin + length];
        rest = &rest[begin + length..];
        Some(tag)
    })
}

fn date(value: &HeaderValue) -> Option<u64> {
    let date = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    Some(since_1970_ms(date))
}
