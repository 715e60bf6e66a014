//! Which request goes where, and what of it arrives.

use crate::gateway::{Gate, Upstream};

fn routed(upstream: &Upstream) -> Gate {
    let routes = "routes:\n\
        \x20 - {name: page, match: {path: {exact: /page}}, \
              target: {static: {file: page.html, status: 203}}}\n\
        \x20 - {name: old, match: {path: {prefix: /old}}, \
              target: {redirect: {to: \"https://new.example/\", status: 308}}}\n\
        \x20 - {name: api, match: {hosts: [api.example], path: {prefix: /api}}, \
              target: {upstream: api}}\n";
    let rest = format!("{routes}{}", upstream.pool("api", ""));
    Gate::with_files(&rest, &[("page.html", "<h1>From a file</h1>")])
}

#[test]
fn each_request_goes_where_its_route_says() {
    let upstream = Upstream::new(|seen| (201, format!("{} {}", seen.line, seen.body)));
    let gate = routed(&upstream);
    let mut client = gate.client();

    let page = client.get("/page");
    assert_eq!(
        (page.status, page.text().as_str()),
        (203, "<h1>From a file</h1>")
    );
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );

    let old = client.get("/old/thing");
    assert_eq!(old.status, 308);
    assert_eq!(old.header("location"), Some("https://new.example/"));

    assert_eq!(upstream.seen().len(), 0, "only the third is the upstream's");
    let mut api = gate.client();
    let answer = api_post(&mut api, "/api/things?a=1", b"{}");
    assert_eq!(answer.status, 201);
    assert_eq!(answer.text(), "POST /api/things?a=1 HTTP/1.1 {}");

    // Another path, another host: nobody's.
    client.get("/elsewhere").refused(404, "no_route");
    client.get("/api/things").refused(404, "no_route");
    assert_eq!(upstream.seen().len(), 1);
    assert_eq!(
        gate.metric("seawall_door_refused_total{code=\"no_route\"}"),
        2.0
    );
    assert_eq!(
        gate.metric("seawall_door_route_requests_total{route=\"old\"}"),
        1.0
    );
}

fn api_post(client: &mut crate::http::Client, path: &str, body: &[u8]) -> crate::http::Answer {
    // Hosts are told apart by the absolute form here, as clients of proxies write it.
    client.send("POST", &format!("http://api.example{path}"), &[], body)
}

fn passing(trusted: &str) -> (Gate, Upstream) {
    let upstream = Upstream::saying("ok");
    let routes = "routes: [{name: all, target: {upstream: all}}]\n";
    let rest = format!("{trusted}{routes}{}", upstream.pool("all", ""));
    (Gate::new(&rest), upstream)
}

const FROM_OUTSIDE: [(&str, &str); 2] = [
    ("X-Forwarded-For", "203.0.113.9"),
    ("Forwarded", "for=203.0.113.9"),
];

#[test]
fn what_strangers_say_about_themselves_is_not_passed_on() {
    let (gate, upstream) = passing("");
    let answer = gate.client().send("GET", "/", &FROM_OUTSIDE, b"");
    assert_eq!(answer.status, 200);
    let seen = upstream.last();
    assert_eq!(seen.one("x-forwarded-for"), "127.0.0.1");
    assert_eq!(seen.one("x-forwarded-proto"), "http");
    let host = gate.front.to_string();
    assert_eq!(seen.one("x-forwarded-host"), host);
    let forwarded = seen.one("forwarded");
    assert!(
        forwarded.starts_with("for=127.0.0.1;proto=http"),
        "{forwarded}"
    );
    assert!(!forwarded.contains("203.0.113.9"), "{forwarded}");
}

#[test]
fn a_trusted_proxys_word_is_continued() {
    let (gate, upstream) = passing("trusted_proxies: [127.0.0.1/32]\n");
    gate.client().send("GET", "/", &FROM_OUTSIDE, b"");
    let seen = upstream.last();
    assert_eq!(seen.one("x-forwarded-for"), "203.0.113.9, 127.0.0.1");
    let forwarded = seen.one("forwarded");
    let both = "for=203.0.113.9, for=127.0.0.1;proto=http";
    assert!(forwarded.starts_with(both), "{forwarded}");
}

#[test]
fn a_trace_is_continued_or_begun() {
    let (gate, upstream) = passing("");
    let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let told = format!("00-{trace}-{parent}-01");
    let headers = [("traceparent", told.as_str()), ("tracestate", "a=b")];
    gate.client().send("GET", "/", &headers, b"");
    let seen = upstream.last();
    let parts: Vec<&str> = seen.one("traceparent").split('-').collect();
    assert_eq!((parts[0], parts[1], parts[3]), ("00", trace, "01"));
    assert_ne!(parts[2], parent, "the door is the parent now");
    assert_eq!(parts[2].len(), 16);
    assert_eq!(seen.one("tracestate"), "a=b");

    let begun = |headers: &[(&str, &str)]| {
        gate.client().send("GET", "/", headers, b"");
        let seen = upstream.last();
        let value = seen.one("traceparent").to_owned();
        assert_eq!(value.len(), 55, "{value}");
        assert!(!value.contains(trace), "{value}");
        value
    };
    let broken = format!("00-{trace}-{parent}-01-more");
    let traces = [
        begun(&[]),
        begun(&[]),
        begun(&[("traceparent", broken.as_str())]),
    ];
    assert_ne!(traces[0][3..35], traces[1][3..35]);
    assert_ne!(traces[1][3..35], traces[2][3..35]);
}

#[test]
fn headers_for_one_hop_end_there() {
    let (gate, upstream) = passing("");
    let headers = [
        ("Connection", "X-Secret-Of-The-Hop, keep-alive"),
        ("X-Secret-Of-The-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authorization", "Basic eDp5"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "gzip"),
        ("Upgrade", "nothing-known"),
        ("X-For-The-End", "2"),
    ];
    let answer = gate.client().send("GET", "/", &headers, b"");
    let seen = upstream.last();
    for gone in [
        "x-secret-of-the-hop",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "upgrade",
    ] {
        assert_eq!(seen.all(gone), Vec::<&str>::new(), "{gone}");
    }
    assert_eq!(seen.one("x-for-the-end"), "2");
    // And back: the upstream named X-Hop in its own Connection.
    assert_eq!(answer.header("x-hop"), None);
    assert_eq!(answer.header("x-end"), Some("yours"));
}
