//! The checked files as the door runs by them: names became places, texts became hashes, instants
//! became moments of this process.
//!
//! What stands here is made anew for every configuration and swapped in whole. It must not know
//! how requests are served.

mod host;
mod path;
mod pools;
mod router;
mod rules;
mod switches;
#[cfg(test)]
mod tests;

pub use host::{HostRule, host_key};
pub use path::{TemplatePart, normal, parts, template_parts};
pub use router::{Asked, Router};
pub use rules::{CALENDAR, channel, class, method, network};
pub use switches::{Page, SwitchPlan};

use crate::headers::TrustedProxies;
use crate::upstream::PoolSpec;
use guard::{BreakerConfig, Nanos, OverloadConfig, RouteId, RuleProblem, RuleSet, Value};
use hyper::header::HeaderName;
use std::net::IpAddr;
use wire::gateway::routes::{PathMatch, Route, SkuFrom, Target};
use wire::gateway::scalar::Instant;
use wire::gateway::upstreams::Breaker;
use wire::gateway::{Door, Gateway};

/// The process's keyed hash, so that keys named in files meet those of requests.
pub trait Digest {
    /// Of a buyer, device, API key, header or SKU.
    fn text(&self, text: &str) -> Value;
    /// Of an address as [`network`] gives it.
    fn address(&self, address: IpAddr) -> Value;
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// Milliseconds since 1970.
    pub wall_ms: u64,
    pub now: Nanos,
}

impl Clock {
    /// The moment of an instant; what is over is now.
    #[must_use]
    pub fn at(self, instant: Instant) -> Nanos {
        self.now
            .plus(Nanos::from_millis(instant.0.saturating_sub(self.wall_ms)))
    }
}

/// A configuration, ready to run.
#[derive(Debug)]
pub struct Compiled {
    pub router: Router,
    /// By [`RouteId`].
    pub routes: Vec<RouteSpec>,
    /// Headers whose values go into `Facts::headers`, in this order.
    pub key_headers: Vec<HeaderName>,
    pub rules: RuleSet,
    /// Minutes from UTC at which quotas' days begin, for [`CALENDAR`].
    pub day_offset_minutes: i32,
    /// By the places of `Gateway::upstreams`; so are the breakers.
    pub pools: Vec<PoolSpec>,
    /// `None`: the pool has none.
    pub breakers: Vec<Option<BreakerConfig>>,
    pub trusted: TrustedProxies,
    pub switches: SwitchPlan,
    /// `None`: switched off.
    pub overload: Option<OverloadConfig>,
}

/// What a request's route says, in places instead of names.
#[derive(Debug, Clone)]
pub struct RouteSpec {
    pub name: String,
    pub class: guard::Class,
    pub target: TargetSpec,
    pub sku: Option<SkuPlace>,
    pub idempotency: Option<HeaderName>,
    /// By the places of `Gateway::waiting_rooms`.
    pub room: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetSpec {
    /// By name: the binary hands services in.
    Service(String),
    /// By its place.
    Pool(usize),
    /// The file's place is `Gateway::routes[…]`, and it is read by whoever serves it.
    Static,
    Redirect {
        to: String,
        status: u16,
    },
}

/// Where the SKU of a request stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkuPlace {
    /// The part of the path with this number, from 0.
    Part(usize),
    Query(String),
    Header(HeaderName),
}

/// Compiles what was checked.
///
/// # Errors
/// What only `guard` and the pools can tell. The check finds nearly all of it before.
pub fn compile(
    door: &Door,
    digest: &dyn Digest,
    clock: Clock,
) -> Result<Compiled, Vec<RuleProblem>> {
    let gateway = &door.gateway;
    let key_headers = rules::key_headers(&door.limits);
    let routes: Vec<String> = gateway
        .routes
        .iter()
        .map(|route| route.name.clone())
        .collect();
    let names = rules::Names {
        routes: &routes,
        headers: &key_headers,
    };
    let rules = rules::compile(&door.limits, &names, digest, clock)?;
    Ok(Compiled {
        router: Router::new(&gateway.routes),
        routes: gateway
            .routes
            .iter()
            .map(|route| spec(gateway, route))
            .collect(),
        rules,
        day_offset_minutes: door.limits.utc_offset.minutes,
        pools: gateway.upstreams.iter().map(pools::spec).collect(),
        breakers: gateway
            .upstreams
            .iter()
            .map(|pool| breaker(&pool.breaker))
            .collect(),
        trusted: pools::trusted(&gateway.trusted_proxies, gateway.identity.address_header),
        overload: overload(gateway),
        switches: SwitchPlan::new(door),
        key_headers,
    })
}

impl Compiled {
    #[must_use]
    pub fn route(&self, id: RouteId) -> Option<&RouteSpec> {
        self.routes.get(usize::from(id.0))
    }
}

fn spec(gateway: &Gateway, route: &Route) -> RouteSpec {
    let pool = |name: &String| gateway.upstreams.iter().position(|pool| pool.name == *name);
    let room = |name: &String| {
        gateway
            .waiting_rooms
            .iter()
            .position(|room| room.name == *name)
    };
    RouteSpec {
        name: route.name.clone(),
        class: class(route.class),
        target: match &route.target {
            Target::Service(name) => TargetSpec::Service(name.clone()),
            // The check made sure of it; a place that nobody has is answered as unknown.
            Target::Upstream(name) => TargetSpec::Pool(pool(name).unwrap_or(usize::MAX)),
            Target::Static(_) => TargetSpec::Static,
            Target::Redirect(redirect) => TargetSpec::Redirect {
                to: redirect.to.clone(),
                status: u16::try_from(redirect.status).unwrap_or(302),
            },
        },
        sku: route.sku.as_ref().and_then(|sku| sku_place(sku, route)),
        idempotency: route
            .idempotency_header
            .as_ref()
            .and_then(|name| header(name)),
        room: route.waiting_room.as_ref().and_then(room),
    }
}

fn sku_place(sku: &SkuFrom, route: &Route) -> Option<SkuPlace> {
    match sku {
        SkuFrom::Query(field) => Some(SkuPlace::Query(field.clone())),
        SkuFrom::Header(name) => header(name).map(SkuPlace::Header),
        SkuFrom::Path(name) => match &route.r#match.path {
            Some(PathMatch::Template(template)) => template_parts(template)
                .position(|part| part == TemplatePart::Named(name))
                .map(SkuPlace::Part),
            _ => None,
        },
    }
}

fn header(name: &str) -> Option<HeaderName> {
    HeaderName::from_bytes(name.as_bytes()).ok()
}

fn breaker(written: &Breaker) -> Option<BreakerConfig> {
    written.enabled.then(|| BreakerConfig {
        window: nanos(written.window),
        volume_min: small(written.minimum),
        failed_permille_max: permille(written.error_share),
        slow_permille_max: permille(written.slow_share),
        slow_after: nanos(written.slow_after),
        failed_in_row_max: small(written.consecutive),
        rest: nanos(written.pause),
        rest_max: nanos(written.pause_max),
        probes_in_flight_max: small(written.probes),
        probes_good: small(written.probes_good),
        probe_lost_after: nanos(written.probe_lost_after),
    })
}

fn overload(gateway: &Gateway) -> Option<OverloadConfig> {
    let written = &gateway.overload;
    written.enabled.then(|| OverloadConfig {
        limit_min: small(written.in_flight_min),
        limit_max: small(written.in_flight_max),
        limit_start: small(written.in_flight_start),
    })
}

fn nanos(span: std::time::Duration) -> Nanos {
    Nanos(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn permille(share: f64) -> u32 {
    (share * 1_000.0).round().clamp(0.0, 1_000.0) as u32
}
