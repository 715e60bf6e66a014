//! Which request goes where, and what is done for it on the way.

use super::limits::{
    FEATURE_NAMES_MAX, HOST_NAMES_MAX, IN_FLIGHT_REQUESTS_MAX, ROUTE_HEADERS_MAX, VALUE_CHARS_MAX,
};
use super::listeners::HeaderValue;
use super::scalar::{
    FILE, FLAG, HEADER, HOST, Kind, NAME, PATH, URL, bytes, list, span, text, whole,
};
use super::shape::{Choice, Mapping, Need, Shape, mapping, one_of, words};
use std::path::PathBuf;
use std::time::Duration;

const HOURS: u64 = 3_600_000;
const TEMPLATE: Shape = Shape::Scalar(Kind::Template);

words! {
    /// How much a request matters under overload; the last is shed first.
    pub enum Class {
        /// Pay or cancel.
        Pay "pay",
        Order "order", Cart "cart", Product "product", Search "search", Optional "optional",
    }
    /// Methods that rules tell apart.
    pub enum Method {
        Get "GET", Head "HEAD", Post "POST", Put "PUT", Patch "PATCH", Delete "DELETE",
        Options "OPTIONS",
    }
    /// What the cache goes by.
    pub enum CacheMode {
        /// What the answers' own headers allow.
        Standard "standard",
        /// The times given here, whatever the headers say; private answers stay out.
        Fixed "fixed",
    }
}

mapping! {
    /// Requests of one kind. Routes are tried in their order; the first that fits counts.
    pub struct Route {
        /// Its name in rules, switches, logs and metrics.
        name: String = NAME, Need::Required;
        /// Which requests; all of them where this is absent.
        r#match: RouteMatch = RouteMatch::ITEM, Need::Optional;
        /// How much they matter under overload.
        class: Class = Class::SHAPE, Need::Or("optional");
        /// Where they go.
        target: Target = Target::ITEM, Need::Required;
        /// Times of this route; what is absent is the upstream's.
        timeouts: RouteTimeouts = RouteTimeouts::ITEM, Need::Optional;
        /// Bytes of a body; the listener's where this is absent.
        body_bytes: Option<u64> = bytes(0, 16 << 30), Need::Optional;
        /// Whether a request with the idempotency header may be tried again, whatever its method.
        retry_with_key: bool = FLAG, Need::Or("false");
        /// Whether answers are kept; not where this is absent.
        cache: Option<Cache> = Cache::ITEM, Need::Optional;
        /// Whether answers are compressed that the target did not compress.
        compression: bool = FLAG, Need::Or("false");
        /// Where the SKU stands that a request is about.
        sku: Option<SkuFrom> = SkuFrom::ITEM, Need::Optional;
        /// The header that tells a repeated request from a new one.
        idempotency_header: Option<String> = HEADER, Need::Optional;
        /// The waiting room that stands before it.
        waiting_room: Option<String> = NAME, Need::Optional;
        /// Features that it shows, for switches.
        features: Vec<String> = list(&NAME, FEATURE_NAMES_MAX), Need::Optional;
    }

    /// What a request must have, all of it.
    pub struct RouteMatch {
        /// One of these hosts.
        hosts: Vec<String> = list(&HOST, HOST_NAMES_MAX), Need::Optional;
        /// This path.
        path: Option<PathMatch> = PathMatch::ITEM, Need::Optional;
        /// One of these methods. GET does not include HEAD.
        methods: Vec<Method> = list(&Method::SHAPE, 7), Need::Optional;
        /// All of these headers.
        headers: Vec<HeaderValue> = list(&HeaderValue::ITEM, ROUTE_HEADERS_MAX), Need::Optional;
    }

    /// Another address for the client.
    pub struct Redirect {
        /// Where to; a path keeps scheme and host.
        to: String = URL, Need::Required;
        /// The status: 301, 302, 303, 307 or 308.
        status: u64 = whole(301, 308), Need::Or("302");
    }

    /// A file as the answer.
    pub struct StaticFile {
        /// The file, read when the configuration is loaded.
        file: PathBuf = FILE, Need::Required;
        /// The status.
        status: u64 = whole(200, 599), Need::Or("200");
        /// Its type; by its ending where this is absent.
        content_type: Option<String> = text(VALUE_CHARS_MAX), Need::Optional;
    }

    /// Times of one route.
    pub struct RouteTimeouts {
        /// From the request to the head of the answer.
        head: Option<Duration> = span(1, HOURS), Need::Optional;
        /// Between two pieces of a body.
        between_bytes: Option<Duration> = span(1, 24 * HOURS), Need::Optional;
        /// From the request to the end of the answer; not for WebSocket and event streams.
        total: Option<Duration> = span(1, 24 * HOURS), Need::Optional;
    }

    /// How answers are kept.
    pub struct Cache {
        /// What it goes by.
        mode: CacheMode = CacheMode::SHAPE, Need::Or("standard");
        /// How long an answer is fresh, in mode fixed.
        ttl: Option<Duration> = span(1, 24 * HOURS), Need::Optional;
        /// How long a stale answer is given while a fresh one is fetched.
        stale_while_revalidate: Duration = span(0, 24 * HOURS), Need::Or("0s");
        /// How long a stale answer is given while the target fails.
        stale_if_error: Duration = span(0, 30 * 24 * HOURS), Need::Or("0s");
        /// Query fields that make another answer; all of them where this is absent.
        query: Option<Vec<String>> = list(&Shape::Scalar(Kind::Text(64)), 32), Need::Optional;
        /// Bytes of one answer; larger ones are not kept.
        answer_bytes: u64 = bytes(0, 64 << 20), Need::Or("1MiB");
    }

    /// A page that is rendered ahead, so that it survives a dead upstream.
    pub struct Prerendered {
        /// Its name, for switches.
        name: String = NAME, Need::Required;
        /// The host to ask for, where routes tell hosts apart.
        host: Option<String> = HOST, Need::Optional;
        /// The path; a route without cache cannot keep it.
        path: String = PATH, Need::Required;
        /// How often it is rendered.
        every: Duration = span(1_000, 24 * HOURS), Need::Or("30s");
        /// How old it may become.
        age_max: Duration = span(1_000, 30 * 24 * HOURS), Need::Or("1d");
    }

    /// How the door protects what is behind it, by measured latency and CPU.
    pub struct Overload {
        /// Whether it does.
        enabled: bool = FLAG, Need::Or("true");
        /// Requests in flight that are always let in: enough to notice recovery.
        in_flight_min: u64 = whole(1, IN_FLIGHT_REQUESTS_MAX), Need::Or("4");
        /// Requests in flight at the beginning, before anything was measured.
        in_flight_start: u64 = whole(1, IN_FLIGHT_REQUESTS_MAX), Need::Or("32");
        /// Requests in flight that are never exceeded.
        in_flight_max: u64 = whole(1, IN_FLIGHT_REQUESTS_MAX), Need::Or("4096");
    }
}

one_of! {
    /// How a path is compared.
    pub enum PathMatch {
        /// The whole path.
        Exact(String) "exact" = PATH;
        /// Its beginning, in whole parts: `/a` fits `/a` and `/a/b`, not `/ab`; `/` fits all.
        Prefix(String) "prefix" = PATH;
        /// The whole path with names for some parts, such as `/products/{sku}`.
        Template(String) "template" = TEMPLATE;
    }

    /// Where requests go.
    pub enum Target {
        /// A service in this process.
        Service(String) "service" = NAME;
        /// A pool of peers.
        Upstream(String) "upstream" = NAME;
        /// A file.
        Static(StaticFile) "static" = StaticFile::ITEM;
        /// Another address.
        Redirect(Redirect) "redirect" = Redirect::ITEM;
    }

    /// Where the SKU stands.
    pub enum SkuFrom {
        /// A named part of the path.
        Path(String) "path" = NAME;
        /// A field of the query.
        Query(String) "query" = text(64);
        /// A header.
        Header(String) "header" = HEADER;
    }
}
