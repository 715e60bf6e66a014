//! What the access log is told of one request: gathered on the way, written when its answer has
//! ended.

use super::Clocks;
use super::ending::Recording;
use super::running::Running;
use crate::access_log::{AccessWriter, Entry, Refused};
use crate::headers::TraceParent;
use crate::mark::RunId;
use guard::{RouteId, RuleId, Value};
use hyper::header::{HOST, HeaderValue, REFERER, USER_AGENT};
use hyper::{Method, Request, Uri, Version};
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr};
use wire::problem::DoorCode;

/// What the door found out and decided.
#[derive(Debug)]
pub(super) struct Told {
    pub client: Cell<IpAddr>,
    pub route: Cell<Option<RouteId>>,
    pub buyer: Cell<Option<Value>>,
    pub code: Cell<Option<DoorCode>>,
    pub rule: Cell<Option<RuleId>>,
    pub in_room: Cell<bool>,
    /// The rehearsal that it belongs to.
    pub run: Cell<Option<RunId>>,
    /// It is kept for replay.
    pub recording: RefCell<Option<Recording>>,
}

impl Default for Told {
    fn default() -> Told {
        Told {
            client: Cell::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            route: Cell::new(None),
            buyer: Cell::new(None),
            code: Cell::new(None),
            rule: Cell::new(None),
            in_room: Cell::new(false),
            run: Cell::new(None),
            recording: RefCell::new(None),
        }
    }
}

/// What of a request is kept until its answer; parts of it are shared, not copied.
pub(super) struct Line {
    method: Method,
    uri: Uri,
    version: Version,
    host: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    trace_id: Option<u128>,
    time_ms: u64,
    began_ns: u64,
}

impl Line {
    pub fn of<B>(request: &Request<B>, clocks: &Clocks) -> Line {
        let now = clocks.both();
        let header = |name| request.headers().get(name).cloned();
        let trace = request.headers().get("traceparent");
        Line {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            host: header(HOST),
            user_agent: header(USER_AGENT),
            referer: header(REFERER),
            trace_id: trace
                .and_then(|value| TraceParent::parse(value.as_bytes()))
                .map(|t| t.trace_id),
            time_ms: now.unix_us / 1_000,
            began_ns: now.nanos.0,
        }
    }

    pub fn write(
        &self,
        to: &AccessWriter,
        (running, told): (&Running, &Told),
        (status, bytes): (u16, u64),
        clocks: &Clocks,
    ) {
        let route = told.route.get();
        let route = route.and_then(|id| running.compiled.route(id));
        let name = |rule: RuleId| running.rule_name(rule);
        let refused = match told.code.get() {
            _ if told.in_room.get() => Some(Refused::Room(
                route
                    .and_then(|route| running.rooms.get(route.room?))
                    .map_or("", |room| room.name()),
            )),
            Some(DoorCode::NoRoute) => Some(Refused::NoRoute),
            Some(DoorCode::SwitchedOff) => Some(Refused::Switch("")),
            Some(DoorCode::Gone) => Some(Refused::SoldOut),
            Some(DoorCode::UnderWay) => Some(Refused::Duplicate),
            Some(DoorCode::RateLimited) => Some(Refused::Rule(told.rule.get().map_or("", name))),
            Some(DoorCode::Shed) => Some(Refused::Shed),
            Some(DoorCode::UpstreamDown) => Some(Refused::Breaker("")),
            Some(DoorCode::BadRequest | DoorCode::BodyTooLarge | DoorCode::BodyTooSlow) => {
                Some(Refused::Malformed)
            }
            Some(DoorCode::UpstreamLost | DoorCode::UpstreamSlow) | None => None,
        };
        let run = told.run.get();
        let target = self
            .uri
            .path_and_query()
            .map_or("", |target| target.as_str());
        to.log(&Entry {
            time_ms: self.time_ms,
            client: told.client.get(),
            method: self.method.as_str(),
            host: self.host.as_ref().map_or(b"", |host| host.as_bytes()),
            target: target.as_bytes(),
            version: self.version,
            status,
            bytes,
            duration_us: (clocks.now().0 - self.began_ns) / 1_000,
            route: route.map_or("", |route| route.name.as_str()),
            upstream: None,
            refused,
            trace_id: self.trace_id,
            user_agent: self.user_agent.as_ref().map(HeaderValue::as_bytes),
            referer: self.referer.as_ref().map(HeaderValue::as_bytes),
            buyer: told.buyer.get(),
            run: run.as_ref().map(RunId::as_str),
        });
    }
}
