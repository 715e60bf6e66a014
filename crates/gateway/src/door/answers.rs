//! What those are told who do not get through: a page for people, problem+json for programs, and
//! the headers that well-behaved clients go by.
//!
//! `RateLimit` and `RateLimit-Policy` are those of draft-ietf-httpapi-ratelimit-headers (structured
//! fields: policy name, `q` quota, `r` remaining, `t` seconds until it is whole again).

use guard::{Headroom, Nanos};
use host::http::Body;
use hyper::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
    VARY,
};
use hyper::{Response, StatusCode};
use serde_json::json;
use wire::problem::{DoorCode, Happened};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// A refusal on its way out.
pub(super) struct No<'a> {
    pub code: DoorCode,
    /// Why exactly, for programs and people; nothing that helps an attacker.
    pub detail: &'a str,
    pub retry_after: Option<Nanos>,
    /// Name, limit and what is left of the rule that counts.
    pub limit: Option<(&'a str, Headroom)>,
}

impl<'a> No<'a> {
    pub fn new(code: DoorCode, detail: &'a str) -> No<'a> {
        No {
            code,
            detail,
            retry_after: None,
            limit: None,
        }
    }
}

pub(super) fn refuse(no: &No<'_>, headers: &HeaderMap) -> Response<Body> {
    let meaning = no.code.meaning();
    let fallback = meaning.retry_after_s.map(|s| Nanos::from_secs(s.into()));
    let wait = no.retry_after.or(fallback);
    let body = match wants_html(headers) {
        true => page(no, wait),
        false => problem(no, wait),
    };
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(meaning.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let out = response.headers_mut();
    out.insert(
        CONTENT_TYPE,
        if wants_html(headers) { HTML } else { PROBLEM },
    );
    out.insert(CACHE_CONTROL, NO_STORE);
    out.insert(VARY, HeaderValue::from_static("accept"));
    if let Some(wait) = wait {
        out.insert(RETRY_AFTER, HeaderValue::from(seconds(wait).max(1)));
    }
    if let Some((name, headroom)) = &no.limit {
        announce(out, name, headroom);
    }
    response
}

/// Tells how much of the tightest limit is left.
pub(super) fn announce(out: &mut HeaderMap, name: &str, headroom: &Headroom) {
    let (left, whole) = (headroom.remaining, headroom.limit);
    let reset = seconds(headroom.reset);
    let policy = format!("\"{name}\";q={whole}");
    let now = format!("\"{name}\";r={left};t={reset}");
    if let (Ok(policy), Ok(now)) = (HeaderValue::from_str(&policy), HeaderValue::from_str(&now)) {
        out.insert(RATE_LIMIT_POLICY, policy);
        out.insert(RATE_LIMIT, now);
    }
}

fn seconds(nanos: Nanos) -> u64 {
    nanos.0.div_ceil(1_000_000_000)
}

/// Browsers name it; programs rarely do.
fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).map_or(&b""[..], HeaderValue::as_bytes);
    accept
        .windows(9)
        .any(|part| part.eq_ignore_ascii_case(b"text/html"))
}

fn problem(no: &No<'_>, wait: Option<Nanos>) -> Body {
    let meaning = no.code.meaning();
    let mut members = json!({
        "type": format!("/problems/{}", meaning.code),
        "title": meaning.title,
        "status": meaning.status,
        "code": meaning.code,
        "happened": meaning.happened.as_str(),
        "detail": no.detail,
    });
    if let Some(wait) = wait {
        members["retry_after_ms"] = (wait.0 / 1_000_000).into();
    }
    if let Some((name, _)) = no.limit {
        members["limit"] = name.into();
    }
    Body::from(members.to_string())
}

fn page(no: &No<'_>, wait: Option<Nanos>) -> Body {
    let meaning = no.code.meaning();
    let happened = match meaning.happened {
        Happened::No => "Nothing has happened: no order, no payment.",
        Happened::Perhaps => "It may have worked. Sending the same again is safe.",
        Happened::Yes => "It has happened.",
    };
    let again = wait.map_or(String::new(), |wait| {
        let seconds = seconds(wait).max(1);
        let unit = if seconds == 1 { "second" } else { "seconds" };
        format!("<p>Please try again in {seconds} {unit}.</p>")
    });
    Body::from(format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <meta name=color-scheme content=\"light dark\"><title>{title}</title>\
         <style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;\
         padding:0 1.5rem}}h1{{font-size:1.6rem;line-height:1.2}}</style>\
         <main><h1>{title}</h1><p>{happened}</p>{again}</main></html>",
        title = meaning.title
    ))
}

/// Another address.
pub(super) fn redirect(to: &str, status: u16) -> Option<Response<Body>> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::from_u16(status).ok()?;
    let to = HeaderValue::from_str(to).ok()?;
    response.headers_mut().insert(LOCATION, to);
    Some(response)
}
