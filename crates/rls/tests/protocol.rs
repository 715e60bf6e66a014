//! The service as a client of HTTP/2 sees it: decisions, framing, health, drain.

use bytes::Bytes;
use gateway::door::{Door, Sources};
use host::Drain;
use host::http::{HttpStats, Listening};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rls::message::{Code, Descriptor, Entry, HealthRequest, HealthResponse, Override, Request};
use rls::message::{Response, Serving, UInt64, Unit};
use rls::{Counts, Entries, Options};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

const LIMIT: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

const GATEWAY: &str = "
version: 1
listeners: [{name: web, address: 127.0.0.1:0}]
trusted_proxies: [127.0.0.1/32]
identity:
  buyer: [{header: X-User-Id}]
  device: {cookie: device}
  api_key_header: X-Api-Key
routes:
  - name: order
    match: {path: {prefix: /order}}
    class: order
    sku: {query: sku}
    target: {service: shop}
  - name: rest
    target: {service: shop}
limits:
  version: 1
  rules:
RULES
";

struct Server {
    drain: Drain,
    counts: Arc<Counts>,
    door: Arc<Door>,
    folder: tempfile::TempDir,
    listening: Option<Listening>,
    client: SendRequest<Full<Bytes>>,
    runtime: tokio::runtime::Runtime,
}

/// The file of the door, anew.
fn write(folder: &tempfile::TempDir, rules: &str) {
    let rules: String = rules.lines().map(|line| format!("    {line}\n")).collect();
    let text = GATEWAY.replace("RULES", &rules);
    std::fs::write(folder.path().join("gateway.yaml"), text).expect("a file");
}

impl Server {
    fn start(rules: &str) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        write(&folder, rules);
        let sources = Sources::File {
            path: folder.path().join("gateway.yaml"),
            context: wire::gateway::Context::default(),
        };
        let door = Door::open(sources, folder.path()).expect("a good file");
        let (drain, counts) = (Drain::new(), Arc::new(Counts::default()));
        let options = Options {
            entries: Entries::parse(["user_id=buyer"]).expect("a good entry"),
            ..Options::new("127.0.0.1:0".parse().expect("an address"))
        };
        let stats = HttpStats::new();
        let listening =
            rls::start(&options, &door, &counts, drain.clone(), stats).expect("a free port");
        let addr = listening.local_addr();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let client = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(addr)
                .await
                .expect("it listens");
            let (client, conn) = handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .expect("it speaks HTTP/2");
            tokio::spawn(conn);
            client
        });
        let listening = Some(listening);
        Server {
            drain,
            counts,
            door,
            folder,
            listening,
            client,
            runtime,
        }
    }

    /// The status, the outcome of gRPC wherever it stands, and the message's bytes.
    fn send(&mut self, path: &str, kind: &str, body: Vec<u8>) -> (u16, Option<String>, Bytes) {
        let request = hyper::Request::post(format!("http://rls_cluster{path}"))
            .header("content-type", kind)
            .header("te", "trailers")
            .body(Full::new(Bytes::from(body)))
            .expect("a request");
        let client = &mut self.client;
        self.runtime.block_on(async {
            client.ready().await.expect("the connection stands");
            let response = client.send_request(request).await.expect("an answer");
            let status = response.status().as_u16();
            let mut outcome = response.headers().get("grpc-status").cloned();
            let body = response.into_body().collect().await.expect("a body");
            if let Some(trailers) = body.trailers() {
                outcome = outcome.or(trailers.get("grpc-status").cloned());
            }
            let outcome = outcome.map(|value| value.to_str().expect("a number").to_owned());
            (status, outcome, body.to_bytes())
        })
    }

    fn call<A: Message + Default>(&mut self, path: &str, asked: &impl Message) -> A {
        let (status, outcome, bytes) =
            self.send(path, "application/grpc", framed(&asked.encode_to_vec()));
        assert_eq!((status, outcome.as_deref()), (200, Some("0")));
        assert_eq!(bytes[0], 0, "not compressed");
        assert_eq!(bytes[1..5], (bytes.len() as u32 - 5).to_be_bytes());
        A::decode(&bytes[5..]).expect("a message")
    }

    fn limit(&mut self, descriptors: &[Descriptor]) -> Response {
        self.call(LIMIT, &request(descriptors))
    }

    fn is_ok(&mut self, descriptors: &[Descriptor]) -> bool {
        self.limit(descriptors).overall_code() == Code::Ok
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.drain.begin();
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0], &(message.len() as u32).to_be_bytes()[..], message].concat()
}

fn request(descriptors: &[Descriptor]) -> Request {
    Request {
        domain: "seawall".into(),
        descriptors: descriptors.to_vec(),
        hits_addend: 0,
    }
}

/// From `key=value` in words.
fn descriptor(entries: &str) -> Descriptor {
    let entry = |entry: &str| {
        let (key, value) = entry.split_once('=').expect("key=value");
        Entry {
            key: key.into(),
            value: value.into(),
        }
    };
    Descriptor {
        entries: entries.split_whitespace().map(entry).collect(),
        ..Descriptor::default()
    }
}

fn header<'a>(told: &'a Response, name: &str) -> Option<&'a str> {
    let mut headers = told.response_headers_to_add.iter();
    headers.find(|h| h.key == name).map(|h| h.value.as_str())
}

const BUYERS: &str = "- {name: buyers, key: [buyer], rate: 1/h, burst: 2}";

#[test]
fn refuses_what_is_too_much_and_says_so() {
    let mut server = Server::start(BUYERS);
    let anna = [descriptor("buyer=anna")];
    let told = server.limit(&anna);
    assert_eq!(told.overall_code(), Code::Ok);
    assert_eq!(header(&told, "ratelimit-policy"), Some("\"buyers\";q=2"));
    assert_eq!(header(&told, "ratelimit"), Some("\"buyers\";r=1;t=3600"));
    assert_eq!(header(&told, "retry-after"), None);
    let status = &told.statuses[0];
    let limit = status.current_limit.clone().expect("a limit");
    assert_eq!((limit.requests_per_unit, limit.unit()), (1, Unit::Hour));
    assert_eq!(limit.name, "buyers");
    assert_eq!(status.limit_remaining, 1);
    let reset = status.duration_until_reset.expect("a time").seconds;
    assert!((3_598..=3_600).contains(&reset), "{reset}");
    assert!(server.is_ok(&anna));
    let told = server.limit(&anna);
    assert_eq!(told.overall_code(), Code::OverLimit);
    assert_eq!(told.statuses[0].code(), Code::OverLimit);
    let wait: u64 = header(&told, "retry-after")
        .expect("it")
        .parse()
        .expect("seconds");
    assert!((3_590..=3_600).contains(&wait), "{wait}");
    assert!(
        server.is_ok(&[descriptor("user_id=berta")]),
        "another buyer"
    );
    assert!(
        !server.is_ok(&[descriptor("user_id=anna")]),
        "the same, by another key"
    );
    let counts = &server.counts;
    assert_eq!(
        (counts.ok.load(Relaxed), counts.over_limit.load(Relaxed)),
        (3, 2)
    );
}

#[test]
fn charges_no_descriptor_if_one_is_over() {
    let rules = "- {name: buyers, key: [buyer], rate: 1/h, burst: 2}
- {name: networks, key: [address], rate: 1/h, burst: 1}";
    let mut server = Server::start(rules);
    let both = [
        descriptor("buyer=a"),
        descriptor("remote_address=2001:db8::1"),
    ];
    let other = [
        descriptor("buyer=a"),
        descriptor("remote_address=2001:db8::2:3"),
    ];
    assert!(server.is_ok(&both));
    for _ in 0..3 {
        let told = server.limit(&other);
        let codes: Vec<_> = told.statuses.iter().map(|status| status.code()).collect();
        assert_eq!(codes, [Code::Ok, Code::OverLimit], "one /64");
        assert_eq!(told.statuses[0].limit_remaining, 1);
    }
    assert!(server.is_ok(&both[..1]));
    assert!(!server.is_ok(&both[..1]));
    assert!(server.is_ok(&[descriptor("masked_remote_address=2001:db8:0:1::/64")]));
    assert!(!server.is_ok(&[descriptor("address=2001:db8:0:1::9")]));
}

/// Each row is a rule, then a descriptor that it lets through once, then one that it leaves alone.
#[test]
fn entries_say_what_the_rules_ask() {
    let rows = [
        ("key: [device]", "device=a", "buyer=b"),
        ("key: [api_key]", "api_key=a", "sku=a"),
        (
            "key: [sku], match: {routes: [order]}",
            "sku=a generic_key=order",
            "sku=a",
        ),
        (
            "match: {classes: [order]}",
            "header_match=order",
            "route=rest",
        ),
        ("match: {classes: [pay]}", "class=pay", "class=nothing"),
        ("match: {methods: [POST]}", "method=POST", "method=GET"),
        ("match: {channels: [app]}", "channel=app", "channel=pos"),
        (
            "key: [\"header:x-tenant\"]",
            "header_X-Tenant=a",
            "header_x-other=a",
        ),
    ];
    for (rule, limited, other) in rows {
        let mut server = Server::start(&format!("- {{name: r, rate: 1/h, burst: 1, {rule}}}"));
        let limited = [descriptor(limited)];
        assert!(server.is_ok(&limited), "{rule}");
        assert!(!server.is_ok(&limited), "{rule}");
        for _ in 0..2 {
            assert!(server.is_ok(&[descriptor(other)]), "{rule}: {other}");
        }
    }
}

#[test]
fn the_route_is_the_whole_requests() {
    let rule = "- {name: r, key: [buyer], rate: 1/h, burst: 1, match: {routes: [order]}}";
    let mut server = Server::start(rule);
    let apart = [descriptor("buyer=a"), descriptor("route=order")];
    assert!(server.is_ok(&apart));
    assert!(!server.is_ok(&apart));
    assert!(server.is_ok(&apart[..1]));
}

#[test]
fn hits_and_limits_come_with_the_call() {
    let mut server = Server::start("- {name: r, key: [buyer], rate: 1/h, burst: 10}");
    let mut five = request(&[descriptor("buyer=a")]);
    five.hits_addend = 5;
    let told: Response = server.call(LIMIT, &five);
    assert_eq!(told.statuses[0].limit_remaining, 5);
    five.descriptors[0].hits_addend = Some(UInt64 { value: 6 });
    let told: Response = server.call(LIMIT, &five);
    assert_eq!(told.overall_code(), Code::OverLimit);
    five.descriptors[0].hits_addend = Some(UInt64 { value: 0 });
    let told: Response = server.call(LIMIT, &five);
    assert_eq!(
        (told.overall_code(), told.statuses[0].limit_remaining),
        (Code::Ok, 5)
    );
    five.descriptors[0].is_negative_hits = true;
    let told: Response = server.call(LIMIT, &five);
    assert_eq!((told.overall_code(), told.statuses.len()), (Code::Ok, 1));
    assert_eq!(server.counts.refunds_ignored.load(Relaxed), 1);

    let mut own = descriptor("buyer=b");
    own.limit = Some(Override {
        requests_per_unit: 3,
        unit: Unit::Day.into(),
    });
    let left: Vec<u32> = (0..3)
        .map(|_| server.limit(std::slice::from_ref(&own)).statuses[0].limit_remaining)
        .collect();
    assert_eq!(left, [2, 1, 0]);
    let told = server.limit(&[own]);
    assert_eq!(told.overall_code(), Code::OverLimit);
    let limit = told.statuses[0].current_limit.clone().expect("a limit");
    assert_eq!((limit.requests_per_unit, limit.unit()), (3, Unit::Day));
}

#[test]
fn shadow_slots_and_unknown_domains_refuse_nobody() {
    let rules = "- {name: watched, key: [buyer], rate: 1/h, burst: 1, mode: shadow}
- {name: slots, key: [buyer], concurrency: 1}";
    let mut server = Server::start(rules);
    for _ in 0..3 {
        assert!(server.is_ok(&[descriptor("buyer=a what=ever")]));
    }
    assert_eq!(server.counts.unknown_entries.load(Relaxed), 3);
    let rules = "- {name: all, rate: 1/h, burst: 1}";
    write(&server.folder, rules);
    server.door.reload().expect("good rules");
    assert!(server.is_ok(&[descriptor("buyer=a")]));
    assert!(!server.is_ok(&[descriptor("buyer=a")]), "swapped in");
    let elsewhere = Request {
        domain: "elsewhere".into(),
        ..request(&[descriptor("buyer=a"), descriptor("buyer=b")])
    };
    let told: Response = server.call(LIMIT, &elsewhere);
    assert_eq!((told.overall_code(), told.statuses.len()), (Code::Ok, 2));
    assert_eq!(server.counts.unknown_domain.load(Relaxed), 1);
}

/// What is no call is answered in the words of the protocol, and the connection goes on.
#[test]
fn malformed_calls_are_told_why() {
    let mut server = Server::start(BUYERS);
    let grpc = "application/grpc";
    let good = framed(&request(&[descriptor("buyer=a")]).encode_to_vec());
    let many = request(&vec![descriptor("buyer=a"); 17]).encode_to_vec();
    let long = request(&[descriptor(&"a=b ".repeat(33))]).encode_to_vec();
    let mut packed = good.clone();
    packed[0] = 1;
    /// Method, path, body; the status and the gRPC status that come back.
    type Row = (
        &'static str,
        &'static str,
        Vec<u8>,
        u16,
        Option<&'static str>,
    );
    let rows: [Row; 12] = [
        (LIMIT, "application/json", good.clone(), 415, None),
        (LIMIT, "application/grpc-web", good.clone(), 415, None),
        (
            LIMIT,
            "application/grpc+proto",
            good.clone(),
            200,
            Some("0"),
        ),
        ("/other.Service/Method", grpc, good.clone(), 200, Some("12")),
        (LIMIT, grpc, packed, 200, Some("12")),
        (LIMIT, grpc, vec![0, 0, 0], 200, Some("3")),
        (LIMIT, grpc, vec![], 200, Some("3")),
        (
            LIMIT,
            grpc,
            [good.clone(), vec![0]].concat(),
            200,
            Some("3"),
        ),
        (LIMIT, grpc, framed(b"\xff\xff\xff"), 200, Some("3")),
        (LIMIT, grpc, framed(&many), 200, Some("8")),
        (LIMIT, grpc, framed(&long), 200, Some("8")),
        (LIMIT, grpc, framed(&[0; 70_000]), 200, Some("8")),
    ];
    let bad = rows.iter().filter(|row| row.4 != Some("0")).count() as u64;
    for (at, (path, kind, body, status, outcome)) in rows.into_iter().enumerate() {
        let (got, told, _) = server.send(path, kind, body);
        assert_eq!((got, told.as_deref()), (status, outcome), "row {at}");
    }
    assert_eq!(server.counts.malformed.load(Relaxed), bad);
    assert!(server.is_ok(&[descriptor("buyer=fresh")]));
}

#[test]
fn health_is_told_by_service() {
    let mut server = Server::start(BUYERS);
    for service in ["", "envoy.service.ratelimit.v3.RateLimitService"] {
        let asked = HealthRequest {
            service: service.into(),
        };
        let told: HealthResponse = server.call(HEALTH, &asked);
        assert_eq!(told.status(), Serving::Serving, "{service}");
    }
    let other = HealthRequest {
        service: "other".into(),
    };
    let (_, outcome, _) = server.send(HEALTH, "application/grpc", framed(&other.encode_to_vec()));
    assert_eq!(outcome.as_deref(), Some("5"));
}

#[test]
fn a_drain_ends_the_service() {
    let mut server = Server::start(BUYERS);
    assert!(server.is_ok(&[descriptor("buyer=a")]));
    server.drain.begin();
    let listening = server.listening.take().expect("it was started");
    assert!(listening.join(), "no worker panicked");
}

#[test]
fn entries_are_checked() {
    for (lines, problem) in [
        (&["a=buyer", "b=header:x-tenant"][..], ""),
        (&["buyer"], "expected KEY=ATTRIBUTE"),
        (&["a=nobody"], "expected KEY=ATTRIBUTE"),
        (&["=buyer"], "expected KEY=ATTRIBUTE"),
        (&["a=header:x y"], "expected KEY=ATTRIBUTE"),
        (&["a=buyer", "a=sku"], "twice"),
    ] {
        let found = Entries::parse(lines.iter().copied()).err();
        let found = found.map_or(String::new(), |problem| problem.to_string());
        assert!(
            found.contains(problem) && found.is_empty() == problem.is_empty(),
            "{found}"
        );
    }
}
