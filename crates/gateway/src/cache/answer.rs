//! One request: from what is kept, from what another one fetches, or from the upstream.

use super::entry::{CACHE_STATUS, Entry, SURROGATE_KEY};
use super::fill::{
    Errand, Filled, is_failure, is_for, label, may_stand_in, nothing_there, wait_ms,
};
use super::flight::{Joined, Lead, Outcome, Waiter};
use super::key::{Asked, Bypass, Key};
use super::limits::{COMPRESS_KEPT_BYTES_MAX, ROUNDS_MAX};
use super::store::Value;
use super::{Cache, Directives, RouteCache, Shared};
use crate::compress::{self, Accepted, Coding, Effort};
use bytes::Bytes;
use host::http::Body;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::oneshot;

/// What is known about a key at one moment.
enum Known {
    Fresh(Arc<Entry>),
    Stale(Arc<Entry>),
    Nothing,
    /// Not to be kept, it was lately.
    Marked,
    /// The request differs by too much from others.
    Unkeyed,
}

/// Where an answer came from, for `Cache-Status` (RFC 9211).
#[derive(Clone, Copy)]
enum Source {
    Hit,
    StaleHit(&'static str),
    Fetched(&'static str, StatusCode),
    Collapsed(&'static str),
}

impl Cache {
    /// Answers a request of a route whose answers are kept. Call it on a worker.
    ///
    /// `fetch` asks the upstream, with the request's parts as they are handed to it: headers and
    /// query may differ from the client's. It is called at most once, perhaps in a task of its
    /// own that lives on when the client has gone. An error of it is this request's alone.
    ///
    /// # Errors
    /// What `fetch` said, if nothing is kept that may stand in.
    pub async fn answer<F, Fut, E>(
        &self,
        parts: Parts,
        https: bool,
        route: &Arc<RouteCache>,
        fetch: F,
    ) -> Result<Response<Body>, E>
    where
        F: FnOnce(Parts) -> Fut + 'static,
        Fut: Future<Output = Result<Response<Body>, E>> + 'static,
        E: 'static,
    {
        match Asked::new(parts, https, route) {
            Ok(asked) => {
                let request = Visit {
                    shared: &self.0,
                    route,
                    asked,
                };
                Box::pin(request.answer(fetch)).await
            }
            Err(outside) => {
                let (why, parts) = *outside;
                self.bypass(parts, https, route, why, fetch).await
            }
        }
    }

    /// What is kept for a request, however old, or the page that was rendered ahead; `None`:
    /// neither. For the switch that says so.
    pub async fn stale_only(
        &self,
        parts: Parts,
        https: bool,
        route: &Arc<RouteCache>,
    ) -> Option<Response<Body>> {
        let asked = Asked::new(parts, https, route).ok()?;
        let visit = Visit {
            shared: &self.0,
            route,
            asked,
        };
        let (key, known) = visit.look(self.0.now_ms());
        match known {
            Known::Fresh(entry) => Some(visit.give(&key, &entry, Source::Hit).await),
            Known::Stale(entry) => {
                count(&self.0.counts.stood_in);
                Some(visit.give(&key, &entry, Source::StaleHit("switch")).await)
            }
            Known::Nothing | Known::Marked | Known::Unkeyed => visit.page().await,
        }
    }

    /// The page that was rendered ahead for a request, if there is one that is not too old.
    pub async fn page_only(
        &self,
        parts: Parts,
        https: bool,
        route: &Arc<RouteCache>,
    ) -> Option<Response<Body>> {
        let asked = Asked::new(parts, https, route).ok()?;
        let visit = Visit {
            shared: &self.0,
            route,
            asked,
        };
        visit.page().await
    }

    async fn bypass<F, Fut, E>(
        &self,
        parts: Parts,
        https: bool,
        route: &Arc<RouteCache>,
        why: Bypass,
        fetch: F,
    ) -> Result<Response<Body>, E>
    where
        F: FnOnce(Parts) -> Fut + 'static,
        Fut: Future<Output = Result<Response<Body>, E>> + 'static,
    {
        count(&self.0.counts.bypassed);
        let accepted = Accepted::by(&parts.headers);
        let changed = (!parts.method.is_safe())
            .then(|| Asked::address_of(&parts, https, route))
            .flatten();
        let mut response = fetch(parts).await?;
        if let Some(key) = changed.filter(|_| response.status().as_u16() < 400) {
            // RFC 9111, 4.4: what was kept of this address is no longer true.
            self.0.store.remove(&key);
        }
        say(response.headers_mut(), &label(why));
        Ok(finished(accepted, route, response).await)
    }
}

/// What waiting for another one's fetch came to.
enum Waited {
    Given(Response<Body>),
    /// Each for itself; and why.
    Own(&'static str),
    Again,
}

/// One request on its way.
struct Visit<'a> {
    shared: &'a Arc<Shared>,
    route: &'a Arc<RouteCache>,
    asked: Asked,
}

impl Visit<'_> {
    async fn answer<F, Fut, E>(self, fetch: F) -> Result<Response<Body>, E>
    where
        F: FnOnce(Parts) -> Fut + 'static,
        Fut: Future<Output = Result<Response<Body>, E>> + 'static,
        E: 'static,
    {
        let counts = &self.shared.counts;
        for _ in 0..ROUNDS_MAX {
            let now_ms = self.shared.now_ms();
            let (key, known) = self.look(now_ms);
            let previous = match known {
                Known::Fresh(entry) => {
                    count(&counts.hits);
                    return Ok(self.give(&key, &entry, Source::Hit).await);
                }
                Known::Stale(entry) => Some(entry),
                Known::Nothing => None,
                Known::Marked => return self.own(None, "uncacheable", fetch).await,
                Known::Unkeyed => return self.own(None, "vary", fetch).await,
            };
            if self.only_if_kept() {
                return Ok(self.told(
                    nothing_there(),
                    "seawall; fwd=request; detail=only-if-cached",
                ));
            }
            if let Some(entry) = &previous {
                if let Some(detail) = self.may_wait(entry, now_ms) {
                    if !self.asked.head {
                        self.refresh(&key, entry, fetch);
                    }
                    count(&counts.stale);
                    return Ok(self.give(&key, entry, Source::StaleHit(detail)).await);
                }
                if entry.lease.ask_first && !self.asked.head {
                    // Each must ask, so there is nothing to wait for.
                    return self.fetch_alone(key, previous, fetch).await;
                }
            }
            if self.asked.head {
                return self.own(previous, "method", fetch).await;
            }
            let waiter = match self.shared.flights.join(&key) {
                Joined::Lead(lead) => return self.fetch_for_all(lead, previous, fetch).await,
                Joined::Full => {
                    count(&counts.impatient);
                    return self.own(previous, "crowded", fetch).await;
                }
                Joined::Wait(waiter) => waiter,
            };
            match self.waited(&key, previous.as_ref(), waiter).await {
                Waited::Given(answer) => return Ok(answer),
                Waited::Own(detail) => return self.own(previous, detail, fetch).await,
                Waited::Again => {}
            }
        }
        count(&counts.impatient);
        self.own(None, "rounds", fetch).await
    }

    async fn waited(&self, key: &Key, previous: Option<&Arc<Entry>>, waiter: Waiter) -> Waited {
        let counts = &self.shared.counts;
        let now_ms = self.shared.now_ms();
        let stale = previous.filter(|entry| may_stand_in(entry, now_ms));
        let outcome = waiter.wait(wait_ms(stale.is_some())).await;
        match (outcome, stale) {
            (Some(Outcome::Kept(key, entry)), _)
                if is_for(&entry, &self.asked) && !entry.lease.ask_first =>
            {
                count(&counts.collapsed);
                let source = Source::Collapsed(fwd(previous, &key));
                Waited::Given(self.give(&key, &entry, source).await)
            }
            (Some(Outcome::Uncacheable), _) => Waited::Own("uncacheable"),
            (Some(Outcome::Failed) | None, Some(entry)) => {
                Waited::Given(self.stand_in(key, entry).await)
            }
            (None, None) => {
                count(&counts.impatient);
                Waited::Own("waited")
            }
            (Some(Outcome::Kept(..) | Outcome::Flying | Outcome::Failed), _) => Waited::Again,
        }
    }

    fn look(&self, now_ms: u64) -> (Key, Known) {
        let store = &self.shared.store;
        let mut key = self.asked.key.clone();
        let mut value = store.get(&key);
        if let Some(Value::Names(names)) = &value {
            let Some(variant) = names.variant(&self.asked.parts.headers) else {
                return (key, Known::Unkeyed);
            };
            key = key.with_variant(variant);
            value = store.get(&key);
        }
        let known = match value {
            Some(Value::Answer(entry)) if now_ms < entry.lease.fresh_until_ms => {
                match entry.lease.ask_first {
                    true => Known::Stale(entry),
                    false => Known::Fresh(entry),
                }
            }
            Some(Value::Answer(entry)) => Known::Stale(entry),
            Some(Value::Mark { until_ms }) if now_ms < until_ms => Known::Marked,
            // One looks whether that is still so; nobody waits for it.
            Some(Value::Mark { .. }) if self.shared.flights.is_flying(&key) => Known::Marked,
            Some(Value::Mark { .. } | Value::Names(_) | Value::Form { .. }) | None => {
                Known::Nothing
            }
        };
        (key, known)
    }

    /// Whether a stale answer is given at once, and why.
    fn may_wait(&self, entry: &Entry, now_ms: u64) -> Option<&'static str> {
        let quiet = now_ms < entry.quiet_until_ms.load(Ordering::Acquire);
        match entry.lease.ask_first {
            true => None,
            false if now_ms < entry.lease.revalidate_until_ms => Some("stale-while-revalidate"),
            false if quiet && may_stand_in(entry, now_ms) => Some("stale-if-error"),
            false => None,
        }
    }

    fn only_if_kept(&self) -> bool {
        let headers = &self.asked.parts.headers;
        headers.contains_key(hyper::header::CACHE_CONTROL)
            && Directives::of(headers).has("only-if-cached")
    }

    /// Fetches a fresh answer while this client already has the stale one.
    fn refresh<F, Fut, E>(&self, key: &Key, entry: &Arc<Entry>, fetch: F)
    where
        F: FnOnce(Parts) -> Fut + 'static,
        Fut: Future<Output = Result<Response<Body>, E>> + 'static,
        E: 'static,
    {
        let quiet = entry.quiet_until_ms.load(Ordering::Acquire);
        if self.shared.now_ms() < quiet {
            return;
        }
        if let Some(lead) = self.shared.flights.lead(key) {
            let (_nobody, _) = self.lead(lead, Some(Arc::clone(entry)), fetch);
        }
    }

    /// Starts the fetch in a task of its own. The receiver may go; the fetch does not.
    fn lead<F, Fut, E>(
        &self,
        lead: Lead,
        previous: Option<Arc<Entry>>,
        fetch: F,
    ) -> (oneshot::Receiver<Result<Filled, E>>, &'static str)
    where
        F: FnOnce(Parts) -> Fut + 'static,
        Fut: Future<Output = Result<Response<Body>, E>> + 'static,
        E: 'static,
    {
        count(&self.shared.counts.fetched);
        let forward = fwd(previous.as_ref(), lead.key());
        let errand = self.errand(lead.key().clone(), previous);
        let parts = errand.parts(self.asked.parts.clone());
        let shared = Arc::clone(self.shared);
        let (tell, told) = oneshot::channel();
        tokio::task::spawn_local(async move {
            let (filled, outcome) = match fetch(parts).await {
                Ok(response) => {
                    let (filled, outcome) = errand.take(&shared, response).await;
                    (Ok(filled), outcome)
                }
                Err(error) => {
                    errand.failed(&shared);
                    (Err(error), Outcome::Failed)
                }
            };
            // The client may have gone: then only the others want to know.
            let _ = tell.send(filled);
            lead.end(outcome);
        });
        (told, forward)
    }

    fn errand(&self, key: Key, previous: Option<Arc<Entry>>) -> Errand {
        let sent = self.asked.parts.headers.clone();
        Errand::new(self.shared, key, Arc::clone(self.route), previous, sent)
    }

    async fn fetch_for_all<F, Fut, E>(
        self,
        lead: Lead,
        previous: Option<Arc<Entry>>,
        fetch: F,
    ) -> Result<Response<Body>, E>
    where
        F: FnOnce(Parts) -> Fut + 'static,
        Fut: Future<Output = Result<Response<Body>, E>> + 'static,
        E: 'static,
    {
        let key = lead.key().clone();
        // Between the look and the lead another one may have ended.
        if let (again, Known::Fresh(entry)) = self.look(self.shared.now_ms()) {
            drop(lead);
            count(&self.shared.counts.hits);
            return Ok(self.give(&again, &entry, Source::Hit).await);
        }
        let (told, forward) = self.lead(lead, previous.clone(), fetch);
        match told.await {
            Ok(filled) => self.filled(&key, previous, forward, filled).await,
            // Its task ended without a word: the worker is going down.
            Err(_) => Ok(self.told(nothing_there(), "seawall; fwd=miss; detail=lost")),
        }
    }

    /// An answer that each request must ask for, kept only to be recognised.
    async fn fetch_alone<F, Fut, E>(
        self,
        key: Key,
        previous: Option<Arc<Entry>>,
        fetch: F,
    ) -> Result<Response<Body>, E>
    where
        F: FnOnce(Parts) -> Fut + 'static,
        Fut: Future<Output = Result<Response<Body>, E>> + 'static,
        E: 'static,
    {
        count(&self.shared.counts.fetched);
        let errand = self.errand(key.clone(), previous.clone());
        let parts = errand.parts(self.asked.parts.clone());
        let filled = match fetch(parts).await {
            Ok(response) => Ok(errand.take(self.shared, response).await.0),
            Err(error) => Err(error),
        };
        self.filled(&key, previous, "stale", filled).await
    }

    async fn filled<E>(
        self,
        key: &Key,
        previous: Option<Arc<Entry>>,
        forward: &'static str,
        filled: Result<Filled, E>,
    ) -> Result<Response<Body>, E> {
        let now_ms = self.shared.now_ms();
        let stale = previous.filter(|entry| may_stand_in(entry, now_ms));
        match filled {
            Ok(Filled::Kept { key, entry, status }) => {
                if status == StatusCode::NOT_MODIFIED {
                    count(&self.shared.counts.revalidated);
                }
                Ok(self
                    .give(&key, &entry, Source::Fetched(forward, status))
                    .await)
            }
            Ok(Filled::Passed(mut response, why)) => {
                let text = format!("seawall; fwd={forward}; detail={why}");
                say(response.headers_mut(), &text);
                Ok(finished(self.asked.accepted, self.route, response).await)
            }
            Ok(Filled::Failing(mut response)) => match self.instead(key, stale).await {
                Some(answer) => Ok(answer),
                None => {
                    say(response.headers_mut(), &format!("seawall; fwd={forward}"));
                    Ok(finished(self.asked.accepted, self.route, response).await)
                }
            },
            Err(error) => self.instead(key, stale).await.ok_or(error),
        }
    }

    /// Fetches for this client alone; nothing is kept.
    async fn own<F, Fut, E>(
        self,
        previous: Option<Arc<Entry>>,
        detail: &'static str,
        fetch: F,
    ) -> Result<Response<Body>, E>
    where
        F: FnOnce(Parts) -> Fut + 'static,
        Fut: Future<Output = Result<Response<Body>, E>> + 'static,
    {
        count(&self.shared.counts.bypassed);
        let (shared, route, accepted) = (self.shared, self.route, self.asked.accepted);
        // What can stand in, if anything, needs the request once more.
        let fallback = (previous.is_some() || shared.pages().is_some()).then(|| Visit {
            shared,
            route,
            asked: self.asked.clone(),
        });
        let result = fetch(self.asked.into_own()).await;
        let failed = match &result {
            Ok(response) => is_failure(response.status()),
            Err(_) => true,
        };
        if let Some(visit) = fallback.filter(|_| failed) {
            let now_ms = shared.now_ms();
            let stale = previous.filter(|entry| may_stand_in(entry, now_ms));
            let key = visit.asked.key.clone();
            if let Some(answer) = visit.instead(&key, stale).await {
                return Ok(answer);
            }
        }
        let mut response = result?;
        let text = format!("seawall; fwd=bypass; detail={detail}");
        say(response.headers_mut(), &text);
        Ok(finished(accepted, route, response).await)
    }

    /// What is given in place of a failure.
    async fn instead(&self, key: &Key, stale: Option<Arc<Entry>>) -> Option<Response<Body>> {
        match stale {
            Some(entry) => Some(self.stand_in(key, &entry).await),
            None => self.page().await,
        }
    }

    async fn stand_in(&self, key: &Key, entry: &Arc<Entry>) -> Response<Body> {
        count(&self.shared.counts.stood_in);
        self.give(key, entry, Source::StaleHit("stale-if-error"))
            .await
    }

    async fn page(&self) -> Option<Response<Body>> {
        let pages = self.shared.pages()?;
        let entry = pages.find(&self.asked.parts, self.shared.now_ms())?;
        count(&self.shared.counts.stood_in);
        let source = Source::StaleHit("prerendered");
        Some(self.give(&self.asked.key, &entry, source).await)
    }

    fn told(&self, mut response: Response<Body>, text: &str) -> Response<Body> {
        say(response.headers_mut(), text);
        response
    }

    /// A kept answer, in the coding that the client likes best.
    async fn give(&self, key: &Key, entry: &Arc<Entry>, source: Source) -> Response<Body> {
        let now_ms = self.shared.now_ms();
        let mut head = entry.head.clone();
        let mut body = entry.body.clone();
        let length = entry.body.len();
        let fits = self.route.compression
            && length <= COMPRESS_KEPT_BYTES_MAX
            && compress::fits(entry.status, &head, length);
        if fits {
            let packed = self.packed(key, entry).await;
            let coding = packed
                .as_ref()
                .map_or(Coding::Plain, |_| self.asked.accepted.best);
            compress::mark(&mut head, coding);
            body = packed.unwrap_or(body);
        }
        let ttl = entry.lease.ttl_s(now_ms);
        let text = match source {
            Source::Hit => format!("seawall; hit; ttl={ttl}"),
            Source::StaleHit(detail) => format!("seawall; hit; ttl={ttl}; detail={detail}"),
            Source::Fetched(forward, status) => {
                let status = status.as_u16();
                format!("seawall; fwd={forward}; fwd-status={status}; stored; ttl={ttl}")
            }
            Source::Collapsed(forward) => {
                format!("seawall; fwd={forward}; collapsed; ttl={ttl}")
            }
        };
        say(&mut head, &text);
        entry.give(&self.asked, head, body, now_ms)
    }

    /// The body in the coding that the client likes best, made once; `None`: as it is.
    async fn packed(&self, key: &Key, entry: &Arc<Entry>) -> Option<Bytes> {
        let coding = self.asked.accepted.best;
        let place = match coding {
            Coding::Plain => return None,
            Coding::Gzip => 0,
            Coding::Brotli => 1,
        };
        let key = key.with_coding(coding);
        match self.shared.store.get(&key) {
            // An empty form says that there is none that gains.
            Some(Value::Form { of, body }) if of == entry.id => {
                return (!body.is_empty()).then_some(body);
            }
            Some(_) | None => {}
        }
        // Who comes while it is made gets the plain one.
        if entry.making[place].swap(true, Ordering::AcqRel) {
            return None;
        }
        let (shared, kept) = (Arc::clone(self.shared), Arc::clone(entry));
        let made = compress::aside(entry.body.len(), move || {
            let made = compress::body(coding, Effort::Kept, &kept.body);
            let body = made.clone().unwrap_or_default();
            shared.store.put(key, Value::Form { of: kept.id, body });
            made
        });
        let made = made.await;
        // If it was pushed out of the store, it may be made again.
        entry.making[place].store(false, Ordering::Release);
        made
    }
}

/// Why the upstream was asked.
fn fwd(previous: Option<&Arc<Entry>>, key: &Key) -> &'static str {
    match (previous, &key.variant) {
        (Some(_), _) => "stale",
        (None, Some(_)) => "vary-miss",
        (None, None) => "uri-miss",
    }
}

/// What is done with every answer that is not kept.
async fn finished(
    accepted: Accepted,
    route: &RouteCache,
    mut response: Response<Body>,
) -> Response<Body> {
    response.headers_mut().remove(SURROGATE_KEY);
    if !route.compression {
        return response;
    }
    compress::answer(accepted, response).await
}

/// Adds our line to `Cache-Status`; the caches nearer to the origin have spoken before.
fn say(head: &mut HeaderMap, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        head.append(CACHE_STATUS, value);
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
