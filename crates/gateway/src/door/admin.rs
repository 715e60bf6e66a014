//! What operators see and do at the door, behind the admin listener's token. Every change names who
//! wants it and why.

use super::Door;
use super::running::Running;
use crate::flags;
use bytes::Bytes;
use guard::switches::{SwitchRefusal, SwitchState};
use guard::{BreakerOverride, Nanos};
use host::http::Body;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

const PATH: &str = "/operator/door";

/// Answers operators. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Administration(pub Arc<Door>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SwitchOrder {
    /// `null` lets schedule and trigger decide again.
    on: Option<bool>,
    owner: String,
    reason: String,
    seconds: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BreakerOrder {
    state: Wish,
}

/// Which kept answers are forgotten: exactly one of the three.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PurgeOrder {
    owner: String,
    reason: String,
    /// Of the address: `https://shop.example/products/`.
    prefix: Option<String>,
    /// As an answer named it in `Surrogate-Key`.
    tag: Option<String>,
    #[serde(default)]
    all: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wish {
    Auto,
    Passing,
    Tripped,
}

type Answer = Result<Value, (StatusCode, String)>;

impl Administration {
    /// `None`: the path is somebody else's.
    #[must_use]
    pub fn answer(&self, request: &Request<Bytes>) -> Option<Response<Body>> {
        if flags::is_ours(request.uri().path()) {
            let (parts, body) = request.clone().into_parts();
            let running = self.0.running();
            let books = self.0.books();
            let answer = flags::answer(&parts, &body, &books.switches, &running.flags);
            return Some(answer.map(Body::from));
        }
        let rest = request.uri().path().strip_prefix(PATH)?;
        if !rest.is_empty() && !rest.starts_with('/') {
            return None;
        }
        let parts: Vec<&str> = rest.split('/').skip(1).collect();
        let get = request.method() == Method::GET;
        let post = request.method() == Method::POST;
        let answer = match parts.as_slice() {
            [] | [""] if get => Ok(self.state()),
            ["reload"] if post => self.reload(),
            ["switches", name] if post => self.switch(name, request.body()),
            ["breakers", name] if post => self.breaker(name, request.body()),
            ["rooms", name, "open"] if post => self.open_room(name),
            ["cache", "purge"] if post => self.purge(request.body()),
            ["cache", "purge"]
            | []
            | [""]
            | ["reload"]
            | ["switches" | "breakers", _]
            | ["rooms", _, "open"] => Err((
                StatusCode::METHOD_NOT_ALLOWED,
                "this method is not allowed here".to_owned(),
            )),
            _ => Err((StatusCode::NOT_FOUND, "there is nothing here".to_owned())),
        };
        Some(respond(answer))
    }

    /// The same where nobody else answers operators.
    #[must_use]
    pub fn whole(&self, request: &Request<Bytes>) -> Response<Body> {
        self.answer(request).unwrap_or_else(|| {
            respond(Err((
                StatusCode::NOT_FOUND,
                "there is nothing here".to_owned(),
            )))
        })
    }

    fn reload(&self) -> Answer {
        let done = self.0.reload();
        done.map(|()| json!({"reloaded": true}))
            .map_err(|error| (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
    }

    fn switch(&self, name: &str, body: &[u8]) -> Answer {
        let order: SwitchOrder = read(body)?;
        let door = &self.0;
        let now = door.clocks.now();
        let by = (order.owner.as_str(), order.reason.as_str());
        let lasts = order.seconds.map(Nanos::from_secs);
        let mut books = door.books();
        let done = match order.on {
            Some(on) => books.switches.set(name, on, lasts, by, now),
            None => books.switches.clear(name, by, now),
        };
        drop(books);
        match done {
            Ok(()) => {
                tracing::info!(switch = name, on = ?order.on, owner = order.owner,
                    reason = order.reason, "an operator turned a switch");
                Ok(json!({"switch": name, "on": order.on}))
            }
            Err(SwitchRefusal::Unknown) => Err((
                StatusCode::NOT_FOUND,
                format!("no switch is called {name:?}"),
            )),
            Err(why) => Err((
                StatusCode::UNPROCESSABLE_ENTITY,
                match why {
                    SwitchRefusal::Owner => "owner: expected who wants it".to_owned(),
                    SwitchRefusal::Reason => "reason: expected why".to_owned(),
                    SwitchRefusal::Duration => "seconds: expected at least one, and at most \
                                                the switch's max_duration"
                        .to_owned(),
                    SwitchRefusal::Unknown => String::new(),
                },
            )),
        }
    }

    fn breaker(&self, name: &str, body: &[u8]) -> Answer {
        let order: BreakerOrder = read(body)?;
        let now = self.0.clocks.now();
        let wish = match order.state {
            Wish::Auto => BreakerOverride::Auto,
            Wish::Passing => BreakerOverride::Passing,
            Wish::Tripped => BreakerOverride::Tripped,
        };
        let mut books = self.0.books();
        let found = books.breakers.iter_mut().flatten();
        let Some((_, _, breaker)) = found.into_iter().find(|(known, _, _)| known == name) else {
            let why = format!("no upstream with a breaker is called {name:?}");
            return Err((StatusCode::NOT_FOUND, why));
        };
        breaker.force(now, wish);
        Ok(json!({"breaker": name, "state": format!("{:?}", breaker.state())}))
    }

    fn purge(&self, body: &[u8]) -> Answer {
        let order: PurgeOrder = read(body)?;
        let wrong = |what: &str| Err((StatusCode::UNPROCESSABLE_ENTITY, what.to_owned()));
        if order.owner.trim().is_empty() {
            return wrong("owner: expected who wants it");
        }
        if order.reason.trim().is_empty() {
            return wrong("reason: expected why");
        }
        let running = self.0.running();
        let Some(cache) = &running.extras.cache else {
            return wrong("no route has a cache");
        };
        let purged = match (&order.prefix, &order.tag, order.all) {
            (Some(prefix), None, false) => cache.purge_prefix(prefix),
            (None, Some(tag), false) => cache.purge_tag(tag),
            (None, None, true) => cache.purge_all(),
            _ => return wrong("expected exactly one of prefix, tag, and all: true"),
        };
        tracing::info!(owner = order.owner, reason = order.reason, prefix = ?order.prefix,
            tag = ?order.tag, purged, "an operator had kept answers forgotten");
        Ok(json!({"purged": purged}))
    }

    fn open_room(&self, name: &str) -> Answer {
        let running = self.0.running();
        let room = running.rooms.iter().find(|room| room.name() == name);
        let room = room.ok_or((
            StatusCode::NOT_FOUND,
            format!("no waiting room is called {name:?}"),
        ))?;
        room.open(self.0.clocks.both());
        Ok(json!({"room": name, "opened": true}))
    }

    /// Everything at a glance.
    fn state(&self) -> Value {
        let running = self.0.running();
        let books = self.0.books();
        let routes: Vec<Value> = running
            .compiled
            .routes
            .iter()
            .map(|route| json!({"name": route.name, "class": format!("{:?}", route.class)}))
            .collect();
        let rules: Vec<Value> = books
            .limits
            .rules()
            .map(|(_, status)| {
                let counters = status.counters;
                json!({
                    "name": status.rule.name, "mode": format!("{:?}", status.rule.mode),
                    "keys": status.keys, "stale": status.stale,
                    "allowed": counters.allowed, "refused": counters.refused,
                    "shadow_refused": counters.shadow_refused, "near": counters.near_limit,
                })
            })
            .collect();
        let switches: Vec<Value> = books
            .switches
            .states()
            .map(|(spec, state)| {
                json!({
                    "name": spec.name, "owner": spec.owner,
                    "on": matches!(state, SwitchState::On { .. }),
                    "state": format!("{state:?}"),
                })
            })
            .collect();
        let breakers: Vec<Value> = books
            .breakers
            .iter()
            .flatten()
            .map(|(name, _, breaker)| {
                json!({"upstream": name, "state": format!("{:?}", breaker.state())})
            })
            .collect();
        let overload = books.overload.as_ref().map(|overload| {
            let view = overload.view();
            json!({"limit": view.limit, "in_flight": view.in_flight})
        });
        drop(books);
        let (peers, rooms) = (peers(&running), rooms(&running));
        let (cache, pages) = (cache(&running), pages(&running));
        json!({
            "routes": routes, "rules": rules, "switches": switches, "breakers": breakers,
            "overload": overload, "peers": peers, "rooms": rooms, "cache": cache, "pages": pages,
        })
    }
}

fn peers(running: &Running) -> Vec<Value> {
    let pools = running.upstreams.pools();
    let peers = pools.flat_map(|pool| pool.peers().iter().map(move |peer| (pool, peer)));
    peers
        .map(|(pool, peer)| {
            json!({
                "upstream": pool.name(), "peer": peer.name(),
                "state": peer.state().label(), "in_flight": peer.in_flight(),
            })
        })
        .collect()
}

fn cache(running: &Running) -> Value {
    let cache = running.extras.cache.as_ref();
    cache.map_or(Value::Null, |cache| {
        json!({
            "bytes": cache.bytes(), "entries": cache.entries(),
            "waiting": cache.waiting(), "fetching": cache.fetching(),
        })
    })
}

fn pages(running: &Running) -> Vec<Value> {
    let pages = running.extras.rendered.as_ref();
    let pages = pages.map_or_else(Vec::new, |pages| pages.health());
    pages
        .into_iter()
        .map(|page| {
            json!({
                "name": page.name, "state": page.state.label(), "age_ms": page.age_ms,
                "bytes": page.bytes, "error": page.error,
            })
        })
        .collect()
}

fn rooms(running: &Running) -> Vec<Value> {
    let rooms = running.rooms.iter();
    rooms
        .map(|room| {
            let census = room.census();
            json!({
                "name": room.name(), "phase": format!("{:?}", census.phase),
                "waiting": census.waiting,
            })
        })
        .collect()
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, (StatusCode, String)> {
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

fn respond(answer: Answer) -> Response<Body> {
    let (status, kind, value) = match answer {
        Ok(value) => (StatusCode::OK, "application/json", value),
        Err((status, detail)) => {
            let title = status.canonical_reason().unwrap_or("refused");
            let value = json!({"title": title, "status": status.as_u16(), "detail": detail});
            (status, "application/problem+json", value)
        }
    };
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
