//! The admin listener from outside.

use crate::support::{Client, until};
use bytes::Bytes;
use host::Drain;
use host::admin::{Admin, OperatorToken, Readiness, start};
use host::http::{Body, HttpStats};
use host::metrics::Metrics;
use hyper::{Request, Response};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

struct Started {
    addr: SocketAddr,
    token: Arc<OperatorToken>,
    readiness: Arc<Mutex<Readiness>>,
    drain: Drain,
    stats: Arc<HttpStats>,
    _data: tempfile::TempDir,
}

impl Drop for Started {
    fn drop(&mut self) {
        self.drain.begin();
    }
}

fn admin() -> Started {
    let data = tempfile::tempdir().unwrap();
    let token = Arc::new(OperatorToken::load_or_create(data.path()).unwrap());
    let readiness = Arc::new(Mutex::new(Readiness::NotReady("replaying".into())));
    let (drain, stats, metrics) = (Drain::new(), HttpStats::new(), Metrics::new());
    metrics.listeners(vec![("admin", stats.clone())]);
    let tells = readiness.clone();
    let admin = Admin {
        readiness: Arc::new(move || tells.lock().unwrap().clone()),
        metrics,
        token: token.clone(),
        operator: Arc::new(|request| Box::pin(operator(request))),
    };
    let any = "127.0.0.1:0".parse().unwrap();
    let listening = start(any, admin, drain.clone(), stats.clone()).unwrap();
    let addr = listening.local_addr();
    Started {
        addr,
        token,
        readiness,
        drain,
        stats,
        _data: data,
    }
}

async fn operator(request: Request<Bytes>) -> Response<Body> {
    if request.uri().path() == "/operator/slow" {
        // Blocks its thread on purpose: the worst an operator's handler can do.
        std::thread::park_timeout(Duration::from_secs(3));
    }
    let body = String::from_utf8_lossy(request.body()).into_owned();
    Response::new(format!("{} {} {body}", request.method(), request.uri().path()).into())
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")
}

#[test]
fn health_readiness_and_metrics_need_no_token() {
    let started = admin();
    let mut client = Client::connect(started.addr);
    assert_eq!(client.ask(&get("/healthz")).status, 200);
    let answer = client.ask(&get("/readyz"));
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (503, "not ready: replaying\n")
    );
    *started.readiness.lock().unwrap() = Readiness::Ready;
    assert_eq!(client.ask(&get("/readyz")).status, 200);
    let answer = client.ask(&get("/metrics"));
    assert!(
        answer.head.contains("application/openmetrics-text"),
        "{}",
        answer.head
    );
    let line = "seawall_http_answers_total{listener=\"admin\",class=\"5xx\"} 1";
    assert!(
        answer.body.lines().any(|l| l == line),
        "no {line} in\n{}",
        answer.body
    );
    let post = "POST /healthz HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(client.ask(post).status, 405);
}

#[test]
fn operators_need_the_token() {
    let started = admin();
    let mut client = Client::connect(started.addr);
    let secret = started.token.secret();
    let ask = |auth: &str| {
        format!("PUT /operator/x HTTP/1.1\r\nHost: t\r\n{auth}Content-Length: 3\r\n\r\nabc")
    };
    for wrong in [
        "",
        "Authorization: Bearer wrong\r\n",
        "Authorization: Basic abc\r\n",
    ] {
        let answer = Client::connect(started.addr).ask(&ask(wrong));
        assert_eq!(answer.status, 401, "{wrong:?}");
        let json: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(
            (&json["code"], &json["happened"]),
            (&"unauthenticated".into(), &"no".into())
        );
        assert!(!answer.body.contains(secret));
    }
    let answer = client.ask(&ask(&format!("Authorization: Bearer {secret}\r\n")));
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, "PUT /operator/x abc")
    );
}

#[test]
fn health_answers_while_an_operators_handler_blocks() {
    let started = admin();
    let secret = started.token.secret();
    let mut slow = Client::connect(started.addr);
    slow.send(&format!(
        "GET /operator/slow HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {secret}\r\n\r\n"
    ));
    until("both are accepted", || started.stats.accepted() == 1);
    let asked = Instant::now();
    assert_eq!(
        Client::connect(started.addr).ask(&get("/healthz")).status,
        200
    );
    assert!(
        asked.elapsed() < Duration::from_secs(2),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(slow.answer().status, 200);
}

#[test]
fn a_large_operators_request_is_refused_early() {
    let started = admin();
    let secret = started.token.secret();
    let mut client = Client::connect(started.addr);
    client.send(&format!(
        "POST /operator/x HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {secret}\r\n\
         Content-Length: 10485760\r\n\r\n"
    ));
    assert_eq!(client.answer().status, 413);
}
