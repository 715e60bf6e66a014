//! HTTP/2 to upstreams, served by our own listener.

use crate::support::{Front, nobody};
use gateway::upstream::{Event, Protocol};
use host::Drain;
use host::http::{Body, HttpStats, ListenOptions, Listening, Service, read_body, start};
use hyper::body::Incoming;
use hyper::{Request, Response, Version};
use std::net::SocketAddr;
use std::time::Duration;

struct Echo;

impl Service for Echo {
    async fn call(&self, request: Request<Incoming>, _peer: SocketAddr) -> Response<Body> {
        assert_eq!(request.version(), Version::HTTP_2);
        let (parts, body) = request.into_parts();
        let body = read_body(body, 1 << 20, Duration::from_secs(10))
            .await
            .unwrap();
        if parts.uri.path() == "/stream" {
            let (sender, body) = Body::stream();
            tokio::task::spawn_local(async move {
                for n in 0..100 {
                    let _ = sender.send(format!("piece {n}\n").into()).await;
                }
            });
            return Response::new(body);
        }
        let headers = parts.headers.iter();
        let headers: String = headers
            .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
            .collect();
        let text = format!(
            "{} {}\n{headers}\n{} bytes",
            parts.method,
            parts.uri,
            body.len()
        );
        let mut response = Response::new(Body::from(text));
        response
            .headers_mut()
            .insert("alt-svc", "h3".parse().unwrap());
        response
    }
}

struct Served {
    addr: SocketAddr,
    drain: Drain,
    listening: Option<Listening>,
}

impl Served {
    fn start() -> Self {
        let mut options = ListenOptions::new("h2", "127.0.0.1:0".parse().unwrap());
        options.http2 = true;
        options.drain_ms = 500;
        let drain = Drain::new();
        let listening = start(&options, |_| Echo, drain.clone(), HttpStats::new()).unwrap();
        Served {
            addr: listening.local_addr(),
            drain,
            listening: Some(listening),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.drain.begin();
        self.listening.take().map(Listening::join);
    }
}

#[test]
fn requests_of_all_kinds_go_over_one_connection() {
    let served = Served::start();
    let front = Front::with(
        &[served.addr],
        |spec| spec.protocol = Protocol::Http2,
        |_| {},
    );
    let mut client = front.connect();
    let seen = client.get("/a?b=c");
    assert_eq!(seen.status, 200, "{seen:?}");
    assert!(
        seen.body.starts_with("GET http://t/a?b=c\n"),
        "{}",
        seen.body
    );
    assert!(
        seen.body.contains("x-forwarded-for: 127.0.0.1\n"),
        "{}",
        seen.body
    );
    assert!(!seen.body.contains("connection"), "{}", seen.body);
    assert_eq!(seen.header("alt-svc"), None);
    assert!(client.post("/", "x").body.ends_with("\n1 bytes"));
    assert!(
        client
            .post("/", &"x".repeat(500_000))
            .body
            .ends_with("\n500000 bytes")
    );
    let got = client.get("/stream");
    assert!(got.body.ends_with("piece 99\n") && got.whole, "{got:?}");
    assert_eq!(front.count(Event::Connected), 1);
    assert_eq!(front.count(Event::Abandoned), 0);
}

#[test]
fn another_peer_is_asked_if_one_cannot_be_reached() {
    let served = Served::start();
    let front = Front::with(
        &[nobody(), served.addr],
        |spec| {
            spec.protocol = Protocol::Http2;
            spec.retry.budget_percent = 100;
        },
        |_| {},
    );
    for _ in 0..20 {
        assert_eq!(front.post("/", "x").status, 200);
    }
    assert!(front.count(Event::Retried) > 0);
}
