//! The fast way to a route is compared with the slow one; paths and rules with tables.

use super::host::{HostRule, host_key};
use super::path::normal;
use super::router::{Asked, Router};
use guard::RouteId;
use hyper::header::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use std::path::Path;
use wire::gateway::routes::Route;
use wire::gateway::{Context, Door};

/// 2026-01-01T00:00:01Z.
const NOW_MS: u64 = 1_767_225_601_000;

fn door(text: &str) -> Door {
    let context = Context {
        now_ms: NOW_MS,
        ..Context::default()
    };
    wire::gateway::parse(Path::new("gateway.yaml"), text, &context)
        .unwrap_or_else(|problems| panic!("{problems}"))
}

const HEAD: &str = "version: 1\nlisteners: [{name: a, address: \"127.0.0.1:0\"}]\nroutes:\n";

fn routes(rows: &[&str]) -> Vec<Route> {
    let mut text = HEAD.to_owned();
    for (index, row) in rows.iter().enumerate() {
        text += &format!("  - {{name: r{index}, target: {{service: shop}}, match: {row}}}\n");
    }
    door(&text).gateway.routes
}

#[test]
fn the_first_route_that_fits_takes_the_request() {
    let routes = routes(&[
        "{hosts: [pos.shop.example], path: {prefix: /orders}}",
        "{hosts: [\"*.shop.example\"], path: {exact: /health}}",
        "{path: {exact: /orders}, methods: [POST], headers: [{name: X-Kind, value: sale}]}",
        "{path: {exact: /orders}, methods: [POST]}",
        "{path: {template: \"/orders/{id}/pay\"}}",
        "{path: {prefix: /orders}}",
        "{path: {template: \"/{tenant}/admin\"}}",
        "{path: {exact: /}}",
        "{methods: [GET]}",
    ]);
    let router = Router::new(&routes);
    let rows: &[(&str, &str, &str, &str, Option<u16>)] = &[
        ("GET", "pos.shop.example", "/orders", "", Some(0)),
        ("GET", "POS.shop.Example:8443", "/orders/1", "", Some(0)),
        ("GET", "pos.shop.example.", "/ordersx", "", Some(8)),
        ("GET", "a.b.shop.example", "/health", "", Some(1)),
        ("GET", "shop.example", "/health", "", Some(8)),
        ("POST", "s", "/orders", "sale", Some(2)),
        ("POST", "s", "/orders", "other", Some(3)),
        ("POST", "s", "/orders", "", Some(3)),
        ("PUT", "s", "/orders", "sale", Some(5)),
        ("GET", "s", "/orders/7/pay", "", Some(4)),
        ("GET", "s", "/orders//pay", "", Some(5)),
        ("GET", "s", "/orders/7/pay/8", "", Some(5)),
        ("GET", "s", "/orders/", "", Some(5)),
        ("DELETE", "s", "/acme/admin", "", Some(6)),
        ("DELETE", "s", "/orders/admin", "", Some(5)),
        ("DELETE", "s", "/", "", Some(7)),
        ("GET", "s", "/acme", "", Some(8)),
        ("HEAD", "s", "/acme", "", None),
        ("PROPFIND", "s", "/orders", "", Some(5)),
        ("PROPFIND", "s", "/acme", "", None),
        // Written otherwise, meant the same.
        ("POST", "s", "/%6frders", "", Some(3)),
        ("POST", "s", "//orders", "", Some(3)),
        ("POST", "s", "/x/../orders", "", Some(3)),
        ("POST", "s", "/./orders", "", Some(3)),
        ("POST", "s", "/%2e%2E/orders", "", None),
        ("GET", "s", "/../orders", "", None),
        ("GET", "s", "orders", "", None),
    ];
    for (method, host, path, kind, expected) in rows {
        let mut headers = HeaderMap::new();
        if !kind.is_empty() {
            headers.insert("x-kind", HeaderValue::from_static(kind));
        }
        let asked = Asked {
            host,
            path,
            method: &method.parse().unwrap(),
            headers: &headers,
        };
        assert_eq!(
            router.find(&asked),
            expected.map(RouteId),
            "{method} {host} {path} {kind}"
        );
        assert_eq!(router.find(&asked), router.find_slowly(&asked));
    }
}

#[test]
fn paths_are_put_straight() {
    for (path, expected) in [
        ("/", Some("/")),
        ("/a/b", Some("/a/b")),
        ("/a/", Some("/a/")),
        ("//", Some("/")),
        ("/a//b", Some("/a/b")),
        ("/a/./b", Some("/a/b")),
        ("/a/.", Some("/a/")),
        ("/a/b/..", Some("/a/")),
        ("/a/../b", Some("/b")),
        ("/..", None),
        ("/a/../..", None),
        ("/.well-known/x", Some("/.well-known/x")),
        ("/a..b/...", Some("/a..b/...")),
        ("/%41%2f%2F%20%zz%", Some("/A%2F%2F%20%zz%")),
        ("/%e2%82%ac", Some("/%E2%82%AC")),
        ("/%%36f", Some("/%6f")),
        ("*", Some("*")),
        ("", None),
        ("a", None),
    ] {
        assert_eq!(normal(path).as_deref(), expected, "{path}");
    }
}

#[test]
fn hosts_are_compared_without_port_and_case() {
    let rule = HostRule::new("*.shop.example");
    for (host, expected) in [
        ("a.shop.example", true),
        ("A.SHOP.example:443", true),
        ("shop.example", false),
        ("ashop.example", false),
        ("a.shop.example.evil", false),
        ("", false),
    ] {
        assert_eq!(rule.fits(host_key(host)), expected, "{host}");
    }
    assert_eq!(host_key("[::1]:80"), "[::1]");
}

fn a_match() -> impl Strategy<Value = String> {
    let part = || prop::sample::select(vec!["a", "b", "{x}", "c"]);
    let path = prop::collection::vec(part(), 0..4).prop_map(|parts| {
        let mut seen = 0;
        let parts = parts.into_iter().map(|part| {
            seen += 1;
            if part == "{x}" {
                format!("{{x{seen}}}")
            } else {
                part.to_owned()
            }
        });
        parts.fold(String::new(), |path, part| path + "/" + &part)
    });
    let method = prop::sample::select(vec!["", "methods: [GET], ", "methods: [POST, PUT], "]);
    let host = prop::sample::select(vec!["", "", "hosts: [a.x], ", "hosts: [\"*.x\", b], "]);
    let header = prop::sample::select(vec!["", "", "headers: [{name: h}], "]);
    (path, any::<bool>(), method, host, header).prop_map(|(path, prefix, method, host, header)| {
        let path = match (path.as_str(), prefix) {
            ("", true) => String::new(),
            ("", false) => "path: {exact: /}".to_owned(),
            (path, _) if path.contains('{') => format!("path: {{template: \"{path}\"}}"),
            (path, true) => format!("path: {{prefix: {path}}}"),
            (path, false) => format!("path: {{exact: {path}}}"),
        };
        format!("{{{method}{host}{header}{path}}}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn the_fast_way_is_the_slow_way(
        matches in prop::collection::vec(a_match(), 1..12),
        asked in prop::collection::vec(
            (
                prop::sample::select(vec!["GET", "POST", "DELETE", "BREW"]),
                prop::sample::select(vec!["a.x", "b", "c.a.x:80", "x"]),
                "(/|/(a|b|c|d|%61|\\.\\.|\\.|)){1,4}/?",
                any::<bool>(),
            ),
            1..40,
        ),
    ) {
        // One by one: together, the check would refuse those that others shadow.
        let routes: Vec<Route> = matches.iter().flat_map(|row| routes(&[row])).collect();
        let router = Router::new(&routes);
        for (method, host, path, header) in &asked {
            let mut headers = HeaderMap::new();
            if *header {
                headers.insert("h", HeaderValue::from_static("1"));
            }
            let asked = Asked { host, path, method: &method.parse().unwrap(), headers: &headers };
            prop_assert_eq!(router.find(&asked), router.find_slowly(&asked));
        }
    }

    #[test]
    fn a_straight_path_stays_as_it_is(path in "(/(a|%2f|%61|%2e|\\.\\.|\\.|)){1,6}/?") {
        if let Some(once) = normal(&path) {
            // A sign of percent before two digits that were escaped is not read again.
            prop_assert_eq!(normal(&once), Some(once.clone()));
        }
    }
}

// ── the whole ────────────────────────────────────────────────────────────────────────────────

/// Not a keyed hash: enough to tell texts apart in a test.
struct Plain;

impl super::Digest for Plain {
    fn text(&self, text: &str) -> guard::Value {
        let sum = text.bytes().fold(1_469_598_103u64, |sum, b| {
            sum.wrapping_mul(31) + u64::from(b)
        });
        guard::Value(std::num::NonZeroU64::new(sum | 1).unwrap())
    }
    fn address(&self, address: std::net::IpAddr) -> guard::Value {
        self.text(&address.to_string())
    }
}

const WHOLE: &str = "
version: 1
listeners: [{name: a, address: \"127.0.0.1:0\"}]
trusted_proxies: [10.0.0.0/8]
identity:
  address_header: forwarded
  buyer: [{cookie: b}]
routes:
  - name: order
    match: {path: {template: \"/shops/{shop}/{sku}/order\"}, methods: [POST]}
    class: order
    target: {upstream: pool}
    sku: {path: sku}
    idempotency_header: Idempotency-Key
  - {name: page, match: {path: {prefix: /p}}, target: {service: shop}, features: [reviews, chat]}
  - {name: rest, target: {redirect: {to: /p, status: 308}}, features: [chat]}
upstreams:
  - name: pool
    peers: [{address: \"[::1]:80\"}, {address: \"a.b:81\", weight: 3}]
    breaker: {error_share: 0.25, pause: 1s}
limits:
  version: 1
  utc_offset: \"-03:30\"
  rules:
    - {name: buyers, match: {routes: [order], methods: [POST]}, key: [buyer], rate: 1/s, burst: 2,
       overrides: [{key: vip, rate: 5/s}], allow: [boss]}
    - {name: regions, key: [\"header:X-Region\"], when_missing: shared, rate: 60/min, mode: shadow,
       near_limit: 0.5, provenance: {run: r, build: b, safety_factor: 2, measured: 2026-01-01T00:00:00Z,
       expires: 2026-01-02T00:00:00Z}}
    - {name: nets, key: [address], quota: 3/day, allow: [[\"2001:db8::7\"]]}
switches:
  version: 1
  switches:
    - {name: quiet, feature: chat, action: shield, owner: o, reason: r, max_duration: 1h, initial: \"on\"}
    - {name: easy, routes: [page], action: redirect, to: /easy, owner: o, reason: r, max_duration: 1h,
       trigger: {metric: error_share, above: 0.5, below: 0.1, for: 3s}}
";

#[test]
fn a_checked_configuration_is_one_that_guard_takes() {
    use super::{Clock, SkuPlace, TargetSpec, compile};
    use guard::{Facts, Limits, Nanos, Verdict};
    let clock = Clock {
        wall_ms: NOW_MS,
        now: Nanos::from_secs(100),
    };
    let compiled = compile(&door(WHOLE), &Plain, clock).unwrap();
    assert_eq!(compiled.key_headers, ["x-region"]);
    assert_eq!(compiled.day_offset_minutes, -210);
    let order = compiled.route(RouteId(0)).unwrap();
    assert_eq!(
        (&order.target, &order.sku),
        (&TargetSpec::Pool(0), &Some(SkuPlace::Part(2)))
    );
    let pool = &compiled.pools[0];
    assert_eq!(pool.peers[0].address.to_string(), "[::1]:80");
    assert_eq!(
        (pool.peers[1].address.to_string(), pool.peers[1].weight),
        ("a.b:81".into(), 3)
    );
    let breaker = compiled.breakers[0].unwrap();
    assert_eq!(
        (breaker.failed_permille_max, breaker.rest),
        (250, Nanos::from_secs(1))
    );
    assert!(compiled.trusted.has("10.1.2.3".parse().unwrap()));
    assert_eq!(compiled.switches.set.problems(), []);
    assert_eq!(compiled.switches.initially_on, [0]);
    assert_eq!(
        compiled.switches.redirects,
        [None, Some("/easy".to_owned()), None]
    );

    // The limits hold for those who have them, and let through whom they name.
    let mut limits = Limits::new(compiled.rules, guard::Factor::ONE);
    let mut allowed = |buyer: &str| {
        let facts = Facts {
            route: RouteId(0),
            method: guard::Method::Post,
            buyer: Some(super::Digest::text(&Plain, buyer)),
            headers: [Some(super::Digest::text(&Plain, buyer)), None, None, None],
            ..Facts::default()
        };
        let asked = (0..20).map(|_| limits.ask(&facts, Nanos::from_secs(200)));
        asked
            .filter(|verdict| matches!(verdict, Verdict::Allowed { .. }))
            .count()
    };
    assert_eq!(allowed("somebody"), 2);
    assert_eq!(allowed("vip"), 5);
    assert_eq!(allowed("boss"), 20);
}
