//! Under what an answer is kept, and what is asked of the upstream for it.
//!
//! The upstream is sent exactly what the key holds: fields of the query that make no other answer
//! are taken out, `Accept-Encoding` is written in one of four forms. So nobody can have something
//! kept under a key that does not name it. It must not know how answers are kept.

use super::RouteCache;
use super::limits::{URL_BYTES_MAX, VARIANT_BYTES_MAX, VARY_NAMES_MAX};
use crate::compress::{Accepted, Coding};
use crate::config::host_key;
use crate::headers::host_of;
use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE, TRANSFER_ENCODING,
    UPGRADE, VARY,
};
use hyper::http::request::Parts;
use hyper::{Method, Uri};
use std::sync::Arc;

/// What is kept apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Route, a mark for requests with `Authorization`, and the address; a zero byte between.
    pub url: Arc<str>,
    /// The values by which answers of one address differ, with their names.
    pub variant: Option<Arc<[u8]>>,
    /// A compressed form of an answer that is kept as it came.
    pub coding: Coding,
}

impl Key {
    pub fn bytes(&self) -> usize {
        self.url.len() + self.variant.as_ref().map_or(0, |variant| variant.len())
    }
    pub fn with_variant(&self, variant: Arc<[u8]>) -> Key {
        Key {
            url: Arc::clone(&self.url),
            variant: Some(variant),
            coding: Coding::Plain,
        }
    }
    pub fn with_coding(&self, coding: Coding) -> Key {
        Key {
            coding,
            ..self.clone()
        }
    }
    /// Scheme, host, path and query.
    pub fn address(&self) -> &str {
        self.url.rsplit('\0').next().unwrap_or(&self.url)
    }
}

/// Why a request is none of the cache's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bypass {
    Method,
    /// `Range`, `If-Match` and the like, `Upgrade`, a body.
    Request,
    Authorization,
    /// Too long, or without one readable host.
    Address,
}

impl Bypass {
    pub fn label(self) -> &'static str {
        match self {
            Bypass::Method => "method",
            Bypass::Request => "request",
            Bypass::Authorization => "authorization",
            Bypass::Address => "address",
        }
    }
}

/// A request that the cache may answer.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Without a variant.
    pub key: Key,
    pub head: bool,
    pub accepted: Accepted,
    pub if_none_match: Vec<HeaderValue>,
    pub if_modified_since: Option<HeaderValue>,
    /// For the upstream.
    pub parts: Parts,
}

/// Why a request stays outside, with the request as it was. It is as large as a request.
pub(crate) type Outside = Box<(Bypass, Parts)>;

impl Asked {
    pub fn new(mut parts: Parts, https: bool, route: &RouteCache) -> Result<Asked, Outside> {
        if let Some(why) = bypass(&parts, route) {
            return Err(Box::new((why, parts)));
        }
        let Some(key) = address(&parts, https, route) else {
            return Err(Box::new((Bypass::Address, parts)));
        };
        if let (Some(fields), Some(uri)) = (&route.query, reduced(&parts.uri, route)) {
            debug_assert!(!fields.is_empty() || uri.query().is_none());
            parts.uri = uri;
        }
        let accepted = Accepted::by(&parts.headers);
        match accepted.plain_header() {
            Some(value) => drop(parts.headers.insert(ACCEPT_ENCODING, value)),
            None => drop(parts.headers.remove(ACCEPT_ENCODING)),
        }
        let none_match = parts.headers.get_all(IF_NONE_MATCH).iter().cloned();
        let if_none_match = none_match.collect();
        parts.headers.remove(IF_NONE_MATCH);
        let if_modified_since = parts.headers.remove(IF_MODIFIED_SINCE);
        Ok(Asked {
            key,
            head: parts.method == Method::HEAD,
            accepted,
            if_none_match,
            if_modified_since,
            parts,
        })
    }

    /// Under what answers to a request of any method would be kept.
    pub fn address_of(parts: &Parts, https: bool, route: &RouteCache) -> Option<Key> {
        address(parts, https, route)
    }

    /// The request for the upstream with the client's own conditions: nothing will be kept.
    pub fn into_own(mut self) -> Parts {
        for value in self.if_none_match {
            self.parts.headers.append(IF_NONE_MATCH, value);
        }
        if let Some(value) = self.if_modified_since {
            self.parts.headers.insert(IF_MODIFIED_SINCE, value);
        }
        self.parts
    }
}

fn bypass(parts: &Parts, route: &RouteCache) -> Option<Bypass> {
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return Some(Bypass::Method);
    }
    let headers = &parts.headers;
    let special = [RANGE, IF_RANGE, IF_MATCH, IF_UNMODIFIED_SINCE, UPGRADE];
    let body = headers.contains_key(TRANSFER_ENCODING)
        || headers
            .get(CONTENT_LENGTH)
            .is_some_and(|length| length != "0");
    if body || special.iter().any(|name| headers.contains_key(name)) {
        return Some(Bypass::Request);
    }
    if headers.contains_key(AUTHORIZATION) && !route.authorized {
        return Some(Bypass::Authorization);
    }
    None
}

fn address(parts: &Parts, https: bool, route: &RouteCache) -> Option<Key> {
    let host = host_of(&parts.uri, &parts.headers)
        .ok()?
        .unwrap_or_default();
    let host = std::str::from_utf8(host).ok()?.to_ascii_lowercase();
    let authorized = parts.headers.contains_key(AUTHORIZATION);
    let mut url = String::with_capacity(route.name.len() + host.len() + 64);
    url.push_str(&route.name);
    url.push('\0');
    url.push_str(if authorized { "authorized\0" } else { "" });
    let begin = url.len();
    url.push_str(if https { "https://" } else { "http://" });
    url.push_str(&host);
    url.push_str(parts.uri.path());
    match (&route.query, parts.uri.query()) {
        (_, None) => {}
        (None, Some(query)) => {
            url.push('?');
            url.push_str(query);
        }
        (Some(fields), Some(query)) => {
            let kept = chosen(query, fields);
            url.push_str(if kept.is_empty() { "" } else { "?" });
            url.push_str(&kept);
        }
    }
    (url.len() - begin <= URL_BYTES_MAX).then(|| Key {
        url: url.into(),
        variant: None,
        coding: Coding::Plain,
    })
}

/// The address with only the fields that the route chose; `None`: it is that already.
fn reduced(uri: &Uri, route: &RouteCache) -> Option<Uri> {
    let (fields, query) = (route.query.as_ref()?, uri.query()?);
    let kept = chosen(query, fields);
    let path = match kept.is_empty() {
        true => uri.path().to_owned(),
        false => format!("{}?{kept}", uri.path()),
    };
    let mut parts = uri.clone().into_parts();
    // A part of a valid address is one.
    parts.path_and_query = Some(path.parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// The chosen fields as they stand, in their order.
fn chosen(query: &str, fields: &[String]) -> String {
    let mut kept = String::new();
    for field in query.split('&') {
        let named = form_urlencoded::parse(field.as_bytes()).next();
        if named.is_some_and(|(name, _)| fields.iter().any(|own| *own == *name)) {
            kept.push_str(if kept.is_empty() { "" } else { "&" });
            kept.push_str(field);
        }
    }
    kept
}

/// Headers by which the answers of one address differ. Made anew for each change, with a number
/// of its own, so that what was kept under an older list is never found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    id: u64,
    names: Arc<[HeaderName]>,
}

impl Names {
    /// Those that the answer names and the ones known before. `None`: too many, or no names.
    pub fn of(
        head: &HeaderMap,
        before: Option<&Names>,
        next: impl FnOnce() -> u64,
    ) -> Option<Self> {
        let mut names: Vec<HeaderName> =
            before.map_or_else(Vec::new, |before| before.names.to_vec());
        for value in head.get_all(VARY) {
            for name in value.as_bytes().split(|b| *b == b',') {
                let name = name.trim_ascii();
                if name.is_empty() {
                    continue;
                }
                let name = HeaderName::from_bytes(name).ok()?;
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        if names.len() > VARY_NAMES_MAX {
            return None;
        }
        names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        match before {
            Some(before) if *before.names == *names => Some(before.clone()),
            Some(_) | None => Some(Names {
                id: next(),
                names: names.into(),
            }),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.names.iter().map(|name| name.as_str().len()).sum()
    }

    /// The values that a request has for them, each with its length. `None`: too much of it.
    pub fn variant(&self, headers: &HeaderMap) -> Option<Arc<[u8]>> {
        let mut variant = self.id.to_le_bytes().to_vec();
        for name in self.names.iter() {
            let count = headers.get_all(name).iter().count();
            variant.extend_from_slice(&(count as u32).to_le_bytes());
            for value in headers.get_all(name) {
                let value = value.as_bytes().trim_ascii();
                variant.extend_from_slice(&(value.len() as u32).to_le_bytes());
                variant.extend_from_slice(value);
            }
            if variant.len() > VARIANT_BYTES_MAX {
                return None;
            }
        }
        Some(variant.into())
    }
}

/// Whether a page's host and path are what is asked for.
pub(crate) fn is_page(parts: &Parts, host: Option<&str>, path: &str) -> bool {
    let asked = host_of(&parts.uri, &parts.headers).ok().flatten();
    let asked = asked.and_then(|asked| std::str::from_utf8(asked).ok());
    let host_fits = match (host, asked) {
        (None, _) => true,
        (Some(host), Some(asked)) => host_key(host).eq_ignore_ascii_case(host_key(asked)),
        (Some(_), None) => false,
    };
    host_fits && parts.uri.path() == path
}
