//! From a request to the upstream to a kept answer, or to the reason why it is none.
//!
//! Runs in the leader's own task, not in its client's request: who hangs up takes nothing from
//! those that wait.

use super::entry::Entry;
use super::flight::Outcome;
use super::gather::{Gathered, gather};
use super::key::{Asked, Bypass, Key, Names};
use super::lease::{Exchange, Unkept, judge};
use super::limits::{QUIET_MS, UNCACHEABLE_MS};
use super::store::Value;
use super::{RouteCache, Shared};
use crate::compress::{self, Coding};
use host::http::Body;
use hyper::header::{
    CONTENT_ENCODING, ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What came of a fetch.
pub(crate) enum Filled {
    Kept {
        key: Key,
        entry: Arc<Entry>,
        /// The upstream's status: 304 says that the answer was good still.
        status: StatusCode,
    },
    /// For this client only, body still flowing; and why.
    Passed(Response<Body>, &'static str),
    /// The upstream is in trouble, and said so.
    Failing(Response<Body>),
}

/// What a leader was when it began.
pub(crate) struct Errand {
    pub key: Key,
    pub route: Arc<RouteCache>,
    /// What is kept under the key, gone stale.
    pub previous: Option<Arc<Entry>>,
    purges: u64,
    asked_ms: u64,
    /// Of the request as it was sent.
    sent: HeaderMap,
}

impl Errand {
    pub fn new(
        shared: &Shared,
        key: Key,
        route: Arc<RouteCache>,
        previous: Option<Arc<Entry>>,
        sent: HeaderMap,
    ) -> Errand {
        Errand {
            key,
            route,
            previous,
            purges: shared.purges.load(Ordering::Acquire),
            asked_ms: shared.now_ms(),
            sent,
        }
    }

    /// The request with what the upstream may recognise the kept answer by.
    pub fn parts(&self, mut parts: Parts) -> Parts {
        if let Some(previous) = &self.previous {
            let asks = [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)];
            for (of_answer, of_request) in asks {
                if let Some(value) = previous.head.get(of_answer) {
                    parts.headers.insert(of_request, value.clone());
                }
            }
        }
        parts
    }

    /// Judges the answer, keeps it if that may be, and says what it means to others.
    pub async fn take(self, shared: &Shared, response: Response<Body>) -> (Filled, Outcome) {
        let status = response.status();
        if is_failure(status) {
            self.failed(shared);
            return (Filled::Failing(response), Outcome::Failed);
        }
        let (head, body) = response.into_parts();
        if let (StatusCode::NOT_MODIFIED, Some(previous)) = (status, self.previous.clone()) {
            return self.still_good(shared, &previous, &head.headers);
        }
        let when = Exchange {
            asked_ms: self.asked_ms,
            answered_ms: shared.now_ms(),
        };
        let judged = judge(&self.route, &self.sent, status, &head.headers, when);
        let lease = match judged {
            Ok(lease) => lease,
            Err(why) => {
                let response = Response::from_parts(head, body);
                return self.unkept(shared, response, why);
            }
        };
        let most = self.route.answer_bytes.min(shared.store.answer_bytes_max());
        let whole = match gather(body, most, &shared.gathering).await {
            Gathered::Whole(whole) => whole,
            Gathered::TooLarge(body) => {
                let response = Response::from_parts(head, body);
                return self.unkept(shared, response, Unkept::Size);
            }
            Gathered::Cut(body) => {
                let response = Response::from_parts(head, body);
                return (Filled::Passed(response, "cut"), Outcome::Failed);
            }
        };
        let mut headers = head.headers.clone();
        if headers.contains_key(CONTENT_ENCODING) {
            // Some forget to say that others may not be able to read it.
            compress::mark(&mut headers, Coding::Plain);
        }
        let kept_head = Entry::head_of(headers, when.answered_ms);
        let variant = self.variant(shared, &head.headers);
        let (Some((kept_head, tags)), Some((key, variant))) = (kept_head, variant) else {
            let response = Response::from_parts(head, Body::Full(whole));
            return self.unkept(shared, response, Unkept::Vary);
        };
        let entry = Arc::new(Entry {
            id: shared.number(),
            status,
            head: kept_head,
            body: whole,
            lease,
            tags,
            variant,
            quiet_until_ms: AtomicU64::new(0),
            making: [AtomicBool::new(false), AtomicBool::new(false)],
        });
        self.keep(shared, key, entry, status)
    }

    /// Notes that there is no use in asking again at once.
    pub fn failed(&self, shared: &Shared) {
        if let Some(previous) = &self.previous {
            let until = shared.now_ms().saturating_add(QUIET_MS);
            previous.quiet_until_ms.store(until, Ordering::Release);
        }
    }

    fn keep(
        self,
        shared: &Shared,
        key: Key,
        entry: Arc<Entry>,
        status: StatusCode,
    ) -> (Filled, Outcome) {
        shared
            .store
            .put(key.clone(), Value::Answer(Arc::clone(&entry)));
        let outcome = if shared.purges.load(Ordering::Acquire) == self.purges {
            shared.counts.kept.fetch_add(1, Ordering::Relaxed);
            Outcome::Kept(key.clone(), Arc::clone(&entry))
        } else {
            // Something was purged meanwhile; perhaps just this. Who waits asks anew.
            shared.store.remove_answer(&key, entry.id);
            Outcome::Failed
        };
        (Filled::Kept { key, entry, status }, outcome)
    }

    fn still_good(
        self,
        shared: &Shared,
        previous: &Arc<Entry>,
        news: &HeaderMap,
    ) -> (Filled, Outcome) {
        let status = StatusCode::NOT_MODIFIED;
        let when = Exchange {
            asked_ms: self.asked_ms,
            answered_ms: shared.now_ms(),
        };
        let given = |key: Key, entry: Arc<Entry>| Filled::Kept { key, entry, status };
        // The age of the old answer is no part of the new one; what is said anew is.
        let mut head = previous.updated_head(news);
        if !news.contains_key(hyper::header::DATE) {
            head.remove(hyper::header::DATE);
        }
        let judged = judge(&self.route, &self.sent, previous.status, &head, when);
        let renewed = Entry::head_of(head, when.answered_ms);
        let (true, Ok(lease), Some((head, tags))) = (previous.is_meant_by(news), judged, renewed)
        else {
            // The client asked for all of it, so it gets what it would have got a moment ago.
            shared.store.remove_answer(&self.key, previous.id);
            return (given(self.key, Arc::clone(previous)), Outcome::Failed);
        };
        let entry = Arc::new(Entry {
            id: previous.id,
            status: previous.status,
            head,
            body: previous.body.clone(),
            lease,
            tags: if news.contains_key(super::entry::SURROGATE_KEY) {
                tags
            } else {
                previous.tags.clone()
            },
            variant: previous.variant.clone(),
            quiet_until_ms: AtomicU64::new(0),
            making: [AtomicBool::new(false), AtomicBool::new(false)],
        });
        let key = self.key.clone();
        self.keep(shared, key, entry, status)
    }

    /// An answer that is not kept. Others learn it only if it is not this request's own fault.
    fn unkept(self, shared: &Shared, response: Response<Body>, why: Unkept) -> (Filled, Outcome) {
        let status = response.status();
        let own_fault =
            status.is_client_error() && !matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE);
        if own_fault {
            return (Filled::Passed(response, why.label()), Outcome::Failed);
        }
        let until_ms = shared.now_ms().saturating_add(UNCACHEABLE_MS);
        shared.store.put(self.key, Value::Mark { until_ms });
        shared.counts.uncacheable.fetch_add(1, Ordering::Relaxed);
        (Filled::Passed(response, why.label()), Outcome::Uncacheable)
    }

    /// Where the answer belongs. `None`: it differs by too much.
    fn variant(&self, shared: &Shared, head: &HeaderMap) -> Option<(Key, Variant)> {
        let base = Key {
            variant: None,
            ..self.key.clone()
        };
        let mut marked = head.clone();
        if head.contains_key(CONTENT_ENCODING) {
            compress::mark(&mut marked, Coding::Plain);
        }
        let before = match shared.store.get(&base) {
            Some(Value::Names(names)) => Some(names),
            Some(Value::Answer(_) | Value::Form { .. } | Value::Mark { .. }) | None => None,
        };
        let names = Names::of(&marked, before.as_ref(), || shared.number())?;
        if names.is_empty() {
            return Some((base, None));
        }
        let variant = names.variant(&self.sent)?;
        if before.as_ref() != Some(&names) {
            shared.store.put(base.clone(), Value::Names(names.clone()));
        }
        Some((
            base.with_variant(Arc::clone(&variant)),
            Some((names, variant)),
        ))
    }
}

type Variant = Option<(Names, Arc<[u8]>)>;

/// What RFC 5861 calls an error.
pub(crate) fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// Whether a stale answer may stand in for a failure.
pub(crate) fn may_stand_in(entry: &Entry, now_ms: u64) -> bool {
    !entry.lease.ask_first && now_ms < entry.lease.error_until_ms
}

/// Whether an answer that was fetched for another request is good for this one too.
pub(crate) fn is_for(entry: &Entry, asked: &Asked) -> bool {
    match &entry.variant {
        None => true,
        Some((names, variant)) => names.variant(&asked.parts.headers).as_ref() == Some(variant),
    }
}

/// An answer of the door's own to `only-if-cached`, and where a leader was lost.
pub(crate) fn nothing_there() -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
    response
}

pub(crate) fn label(bypass: Bypass) -> String {
    format!("seawall; fwd=bypass; detail={}", bypass.label())
}

pub(crate) fn wait_ms(with_stale: bool) -> std::time::Duration {
    let ms = match with_stale {
        true => super::limits::WAIT_WITH_STALE_MS,
        false => super::limits::WAIT_MS,
    };
    std::time::Duration::from_millis(ms)
}
