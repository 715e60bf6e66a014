//! What upstreams are sent: the line, the headers, what is said about the client.

use crate::support::{Client, Front, Upstream, ok};
use gateway::headers::{Announce, ClientSource, TrustedProxies};
use gateway::proxy::Host;
use hyper::header::{HeaderName, HeaderValue};

fn echo() -> Upstream {
    Upstream::scripted(|talk, _| {
        while let Some(request) = talk.request() {
            talk.say(ok(&request.to_ascii_lowercase()));
        }
    })
}

fn values<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let named = |line: &'a str| line.strip_prefix(name)?.strip_prefix(": ");
    head.lines().filter_map(named).collect()
}

#[test]
fn hop_by_hop_headers_end_here_and_the_rest_goes_on() {
    let upstream = echo();
    let front = Front::to(&[upstream.addr]);
    let seen = front
        .connect()
        .ask(
            "GET /a/b?c=d%20e HTTP/1.1\r\nHost: shop.example\r\nConnection: keep-alive, X-Mine\r\n\
             Keep-Alive: timeout=5\r\nX-Mine: 1\r\nProxy-Connection: keep-alive\r\n\
             Proxy-Authorization: Basic x\r\nTE: trailers, deflate\r\nUpgrade: websocket\r\n\
             Accept: a\r\nAccept: b\r\nCookie: c=1\r\n\r\n",
        )
        .body;
    assert!(seen.starts_with("get /a/b?c=d%20e http/1.1\r\n"), "{seen}");
    assert_eq!(values(&seen, "host"), ["shop.example"]);
    for gone in [
        "connection",
        "keep-alive",
        "x-mine",
        "proxy-connection",
        "proxy-authorization",
        "upgrade",
    ] {
        assert!(values(&seen, gone).is_empty(), "{gone} in {seen}");
    }
    assert_eq!(values(&seen, "te"), ["trailers"]);
    assert_eq!(values(&seen, "accept"), ["a", "b"]);
    assert_eq!(values(&seen, "cookie"), ["c=1"]);
}

#[test]
fn strangers_are_not_believed_about_where_they_come_from() {
    let upstream = echo();
    let front = Front::to(&[upstream.addr]);
    let seen = front
        .connect()
        .ask(
            "GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 6.6.6.6\r\n\
             X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\n\
             X-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nVia: 1.0 other\r\n\r\n",
        )
        .body;
    assert_eq!(values(&seen, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(values(&seen, "x-forwarded-proto"), ["http"]);
    assert_eq!(values(&seen, "x-forwarded-host"), ["shop.example"]);
    assert_eq!(
        values(&seen, "forwarded"),
        ["for=127.0.0.1;proto=http;host=\"shop.example\""]
    );
    assert!(values(&seen, "x-real-ip").is_empty() && values(&seen, "x-forwarded-port").is_empty());
    assert_eq!(values(&seen, "via"), ["1.0 other, 1.1 seawall"]);
}

#[test]
fn trusted_proxies_are_believed() {
    let upstream = echo();
    let ranges = vec!["127.0.0.0/8".parse().unwrap()];
    let announce = Announce {
        trusted: TrustedProxies::new(ranges, ClientSource::XForwardedFor),
        ..Announce::default()
    };
    let front = Front::announcing(&[upstream.addr], |_| {}, |_| {}, announce);
    let seen = front
        .connect()
        .ask(
            "GET / HTTP/1.1\r\nHost: inner\r\nX-Forwarded-For: 6.6.6.6, 8.8.8.8\r\n\
             X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n\r\n",
        )
        .body;
    assert_eq!(
        values(&seen, "x-forwarded-for"),
        ["6.6.6.6, 8.8.8.8, 127.0.0.1"]
    );
    assert_eq!(values(&seen, "x-forwarded-proto"), ["https"]);
    assert_eq!(values(&seen, "x-forwarded-host"), ["shop.example"]);
    assert_eq!(values(&seen, "host"), ["inner"]);
}

#[test]
fn a_trace_is_continued_or_begun() {
    let upstream = echo();
    let front = Front::to(&[upstream.addr]);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let ask = |headers: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: t\r\n{headers}\r\n");
        front.connect().ask(&request).body
    };
    let seen = ask(&format!(
        "traceparent: 00-{trace}-b7ad6b7169203331-01\r\ntracestate: a=1\r\ntracestate: b=2\r\n"
    ));
    let parent = values(&seen, "traceparent");
    assert_eq!(parent.len(), 1);
    assert!(parent[0].starts_with(&format!("00-{trace}-")) && parent[0].ends_with("-01"));
    assert!(
        !parent[0].contains("b7ad6b7169203331"),
        "a span of our own: {parent:?}"
    );
    assert_eq!(values(&seen, "tracestate"), ["a=1", "b=2"]);
    let invalid = [
        "",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331\r\n",
        "traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01\r\n",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01\r\n",
        "traceparent: ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
        "traceparent: 00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01\r\n",
    ];
    for given in invalid {
        let seen = ask(&format!("{given}tracestate: a=1\r\n"));
        let parent = values(&seen, "traceparent");
        assert!(
            parent.len() == 1 && parent[0].len() == 55,
            "{given}: {parent:?}"
        );
        assert!(
            !parent[0].contains(trace) && !parent[0].contains(&"0".repeat(32)),
            "{given}"
        );
        assert!(values(&seen, "tracestate").is_empty(), "{given}");
    }
}

#[test]
fn routes_may_name_host_path_and_headers() {
    let upstream = echo();
    let front = Front::with(
        &[upstream.addr],
        |_| {},
        |ctx| {
            static HOST: HeaderValue = HeaderValue::from_static("inner.example");
            static EXTRA: [(HeaderName, HeaderValue); 1] = [(
                HeaderName::from_static("x-shield"),
                HeaderValue::from_static("reviews"),
            )];
            static PATH: std::sync::LazyLock<hyper::http::uri::PathAndQuery> =
                std::sync::LazyLock::new(|| "/rewritten?x=1".parse().unwrap());
            ctx.host = Host::Named(&HOST);
            ctx.path = Some(&PATH);
            ctx.extra = &EXTRA;
        },
    );
    let seen = front.get("/old").body;
    assert!(
        seen.starts_with("get /rewritten?x=1 http/1.1\r\n"),
        "{seen}"
    );
    assert_eq!(values(&seen, "host"), ["inner.example"]);
    assert_eq!(values(&seen, "x-shield"), ["reviews"]);
    assert_eq!(values(&seen, "x-forwarded-host"), ["t"]);
}

#[test]
fn the_host_is_the_peers_if_the_client_names_none() {
    let upstream = echo();
    let front = Front::to(&[upstream.addr]);
    let mut client = Client::connect(front.addr);
    let seen = client.ask("GET / HTTP/1.0\r\n\r\n").body;
    assert_eq!(values(&seen, "host"), [upstream.addr.to_string()]);
}

#[test]
fn a_post_says_that_it_has_no_body_and_a_get_says_nothing() {
    let upstream = echo();
    let front = Front::to(&[upstream.addr]);
    let seen = front.post("/", "").body;
    assert_eq!(values(&seen, "content-length"), ["0"]);
    let seen = front.get("/").body;
    assert!(values(&seen, "content-length").is_empty());
    assert!(values(&seen, "transfer-encoding").is_empty());
}
