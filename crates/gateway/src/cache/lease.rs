//! Whether an answer may be kept, and for how long it is good.
//!
//! The rules of RFC 9111 for shared caches are `http-cache-semantics`'s; it is handed heads in
//! a form that it cannot misread. Three things are decided here because a door must be stricter:
//! no guessing of lifetimes, no answer that sets a cookie, and no word of the client's against
//! what is kept – otherwise a reload key would be a way to the upstream.

use super::RouteCache;
use super::directives::Directives;
use super::limits::SECONDS_MAX;
use http_cache_semantics::{CacheOptions, CachePolicy};
use hyper::header::{
    AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, DATE, ETAG, EXPIRES, HeaderMap, HeaderValue,
    LAST_MODIFIED, PRAGMA, SET_COOKIE, VARY,
};
use hyper::{Method, Request, Response, StatusCode};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a kept answer is good, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// When its age was zero.
    pub born_ms: u64,
    /// Good without asking, before this moment.
    pub fresh_until_ms: u64,
    /// Given while a fresh one is fetched, before this one.
    pub revalidate_until_ms: u64,
    /// Given while the upstream fails, before this one.
    pub error_until_ms: u64,
    /// The origin wants to be asked each time (`no-cache`).
    pub ask_first: bool,
}

impl Lease {
    pub fn age_s(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.born_ms) / 1_000
    }
    /// Seconds that are left; negative since it went stale.
    pub fn ttl_s(&self, now_ms: u64) -> i64 {
        let left = self.fresh_until_ms as i64 - now_ms as i64;
        left.div_euclid(1_000)
    }
}

/// Why an answer is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unkept {
    /// Its head forbids it, or does not say for how long.
    Headers,
    Cookie,
    /// It is about whoever asked: `Vary: *`, or too much of it.
    Vary,
    Status,
    EventStream,
    /// Longer than there is room for.
    Size,
}

impl Unkept {
    pub fn label(self) -> &'static str {
        match self {
            Unkept::Headers => "headers",
            Unkept::Cookie => "set-cookie",
            Unkept::Vary => "vary",
            Unkept::Status => "status",
            Unkept::EventStream => "event-stream",
            Unkept::Size => "size",
        }
    }
}

/// The moments of one exchange with the upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    pub asked_ms: u64,
    pub answered_ms: u64,
}

/// Judges the head of an answer to a GET.
pub(crate) fn judge(
    route: &RouteCache,
    asked: &HeaderMap,
    status: StatusCode,
    head: &HeaderMap,
    when: Exchange,
) -> Result<Lease, Unkept> {
    if head.contains_key(SET_COOKIE) {
        return Err(Unkept::Cookie);
    }
    if is_event_stream(head) {
        return Err(Unkept::EventStream);
    }
    if names_any(head) {
        return Err(Unkept::Vary);
    }
    let directives = Directives::of(head);
    let authorized = asked.contains_key(AUTHORIZATION);
    let shared = ["public", "s-maxage", "must-revalidate"];
    if authorized && !shared.iter().any(|name| directives.has(name)) {
        return Err(Unkept::Headers);
    }
    let age_ms = corrected_age_ms(head, when);
    let born_ms = when.answered_ms.saturating_sub(age_ms);
    match route.ttl {
        Some(ttl) => fixed(route, status, &directives, when.answered_ms, born_ms, ttl),
        None => standard(route, asked, status, head, &directives, when, born_ms),
    }
}

fn fixed(
    route: &RouteCache,
    status: StatusCode,
    directives: &Directives,
    now_ms: u64,
    born_ms: u64,
    ttl: Duration,
) -> Result<Lease, Unkept> {
    if !matches!(
        status.as_u16(),
        200 | 203 | 204 | 300 | 301 | 308 | 404 | 410
    ) {
        return Err(Unkept::Status);
    }
    if directives.has("no-store") || directives.has("private") {
        return Err(Unkept::Headers);
    }
    let fresh_until_ms = now_ms.saturating_add(ms(ttl));
    Ok(Lease {
        born_ms,
        fresh_until_ms,
        revalidate_until_ms: fresh_until_ms.saturating_add(ms(route.stale_while_revalidate)),
        error_until_ms: fresh_until_ms.saturating_add(ms(route.stale_if_error)),
        ask_first: false,
    })
}

fn standard(
    route: &RouteCache,
    asked: &HeaderMap,
    status: StatusCode,
    head: &HeaderMap,
    directives: &Directives,
    when: Exchange,
    born_ms: u64,
) -> Result<Lease, Unkept> {
    let now_ms = when.answered_ms;
    let policy = policy(asked, status, head, directives, now_ms);
    if !policy.is_storable() {
        return Err(Unkept::Headers);
    }
    // It was told of no age, so all of the lifetime is left to it.
    let lifetime = policy.time_to_live(moment(now_ms));
    let no_cache = directives.has("no-cache")
        || (directives.is_empty() && says_no_cache(head.get_all(PRAGMA).iter()));
    // What must be asked for when stale is never given stale, whatever the route allows.
    let strict =
        no_cache || directives.has("must-revalidate") || directives.has("proxy-revalidate");
    let window = |name: &str, of_route: Duration| match directives.seconds(name) {
        _ if strict => 0,
        Some(seconds) => seconds * 1_000,
        None => ms(of_route),
    };
    let revalidate_ms = window("stale-while-revalidate", route.stale_while_revalidate);
    let error_ms = window("stale-if-error", route.stale_if_error);
    let fresh_until_ms = born_ms.saturating_add(ms(lifetime));
    let lease = Lease {
        born_ms,
        fresh_until_ms,
        revalidate_until_ms: fresh_until_ms.saturating_add(revalidate_ms),
        error_until_ms: fresh_until_ms.saturating_add(error_ms),
        ask_first: no_cache,
    };
    let validator = head.contains_key(ETAG) || head.contains_key(LAST_MODIFIED);
    let useful = now_ms
        < fresh_until_ms
            .max(lease.revalidate_until_ms)
            .max(lease.error_until_ms);
    match useful || validator {
        true => Ok(lease),
        false => Err(Unkept::Headers),
    }
}

/// The exchange as the policy reads it, with only the headers that speak of keeping. Ages are
/// ours: the policy knows no `Date` in its own reckoning, and adds what it reads unchecked.
fn policy(
    asked: &HeaderMap,
    status: StatusCode,
    head: &HeaderMap,
    directives: &Directives,
    now_ms: u64,
) -> CachePolicy {
    let mut request = Request::new(());
    *request.method_mut() = Method::GET;
    if let Some(value) = asked.get(AUTHORIZATION) {
        request.headers_mut().insert(AUTHORIZATION, value.clone());
    }
    let mut response = Response::new(());
    *response.status_mut() = status;
    let plain = response.headers_mut();
    if !directives.is_empty() {
        plain.insert(CACHE_CONTROL, directives.plain());
    } else if says_no_cache(head.get_all(PRAGMA).iter()) {
        plain.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    }
    for name in [EXPIRES, DATE] {
        let mut values = head.get_all(&name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => drop(plain.insert(name, value.clone())),
            (None, _) => {}
            // Two of them contradict each other: expired.
            (Some(_), Some(_)) if name == EXPIRES => {
                plain.insert(name, HeaderValue::from_static("0"));
            }
            (Some(_), Some(_)) => {}
        }
    }
    let options = CacheOptions {
        shared: true,
        cache_heuristic: 0.0,
        immutable_min_time_to_live: Duration::ZERO,
        ignore_cargo_cult: false,
    };
    CachePolicy::new_options(&request, &response, moment(now_ms), options)
}

/// RFC 9111, 4.2.3: by the `Date` or by the `Age` and the way, whichever is more.
fn corrected_age_ms(head: &HeaderMap, when: Exchange) -> u64 {
    let date_ms = head
        .get(DATE)
        .and_then(|date| date.to_str().ok())
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .map_or(when.answered_ms, since_1970_ms);
    let apparent = when.answered_ms.saturating_sub(date_ms);
    let stated = head.get_all(AGE).iter().next();
    let stated = stated.and_then(|age| age.to_str().ok()?.trim().parse::<u64>().ok());
    let stated = stated.unwrap_or(0).min(SECONDS_MAX) * 1_000;
    let way = when.answered_ms.saturating_sub(when.asked_ms);
    // A `Date` has whole seconds, and clocks differ by a little: below two seconds it says nothing.
    let apparent = if apparent < 2_000 { 0 } else { apparent };
    apparent
        .max(stated.saturating_add(way))
        .min(SECONDS_MAX * 1_000)
        .min(when.answered_ms)
}

fn says_no_cache<'a>(mut values: impl Iterator<Item = &'a HeaderValue>) -> bool {
    values.any(|value| {
        let mut tokens = value.as_bytes().split(|b| *b == b',');
        tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"no-cache"))
    })
}

fn is_event_stream(head: &HeaderMap) -> bool {
    let kind = head
        .get(CONTENT_TYPE)
        .map_or(&b""[..], |kind| kind.as_bytes());
    let name = kind.split(|b| *b == b';').next().unwrap_or(kind);
    name.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

fn names_any(head: &HeaderMap) -> bool {
    head.get_all(VARY).iter().any(|value| {
        let mut names = value.as_bytes().split(|b| *b == b',');
        names.any(|name| name.trim_ascii() == b"*")
    })
}

pub(crate) fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn moment(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}

pub(crate) fn since_1970_ms(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).map_or(0, ms)
}
