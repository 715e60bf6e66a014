//! The admin listener: health, readiness, metrics, and the operators' endpoints.
//!
//! It has a thread and a runtime of its own, so that it answers while the front drowns; and
//! the operators' handlers run on yet another, so that a slow one never delays a health check.
//! It takes a [`Drain`] of its own as well: it should end after the front, to tell of its end.
//! It must not know what the operators' endpoints do.

mod token;

pub use token::{OperatorToken, TokenError};

use crate::drain::Drain;
use crate::http::{
    self, Body, BodyError, HttpStats, ListenError, ListenOptions, Listening, Service,
};
use crate::limits::{ADMIN_BODY_BYTES_MAX, ADMIN_BODY_MS};
use crate::metrics::{self, Metrics};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::runtime::Handle;

/// Whether requests should be sent here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// With the reason, for people: "draining", "replaying the journal: 40 %".
    NotReady(String),
}

pub type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
/// Called for every path that is not health, readiness or metrics, after the token was checked
/// and the body read. May await, may even compute for a while; must not block for ever. Answers
/// whole, never with a stream: the answer changes threads.
pub type OperatorHandler = Arc<dyn Fn(Request<Bytes>) -> Answering + Send + Sync>;

/// What the admin listener answers with.
#[derive(Clone)]
pub struct Admin {
    pub readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
    pub metrics: Arc<Metrics>,
    pub token: Arc<OperatorToken>,
    pub operator: OperatorHandler,
}

/// Starts the listener and the thread of the operators' handlers.
pub fn start(
    addr: SocketAddr,
    admin: Admin,
    drain: Drain,
    stats: Arc<HttpStats>,
) -> Result<Listening, ListenError> {
    let (handle, alive) = operators_thread()?;
    let options = ListenOptions::new("admin", addr);
    let make = move |_worker| Endpoints {
        admin: admin.clone(),
        operators: handle.clone(),
        _alive: alive.clone(),
    };
    http::start(&options, make, drain, stats)
}

/// The thread ends when the last holder of the second half is gone.
fn operators_thread() -> Result<(Handle, tokio::sync::mpsc::Sender<()>), ListenError> {
    let failed = |source| ListenError::Worker { source };
    let (alive, mut gone) = tokio::sync::mpsc::channel::<()>(1);
    let (ready, is_ready) = mpsc::channel();
    let thread = std::thread::Builder::new().name("operators".into());
    thread
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .enable_time()
                .build();
            match runtime {
                Ok(runtime) => {
                    // The starter waits for this.
                    let _ = ready.send(Ok(runtime.handle().clone()));
                    runtime.block_on(async move { gone.recv().await });
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        })
        .map_err(failed)?;
    let handle = is_ready
        .recv()
        .unwrap_or_else(|_| Err(std::io::Error::other("the operators' thread ended")));
    Ok((handle.map_err(failed)?, alive))
}

struct Endpoints {
    admin: Admin,
    operators: Handle,
    _alive: tokio::sync::mpsc::Sender<()>,
}

impl Service for Endpoints {
    async fn call(&self, request: Request<Incoming>, _peer: SocketAddr) -> Response<Body> {
        match request.uri().path() {
            "/healthz" => reading(&request, || text(StatusCode::OK, "ok\n".into())),
            "/readyz" => reading(&request, || match (self.admin.readiness)() {
                Readiness::Ready => text(StatusCode::OK, "ready\n".into()),
                Readiness::NotReady(why) => text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("not ready: {why}\n"),
                ),
            }),
            "/metrics" => reading(&request, || self.exposition()),
            _ => self.operator(request).await,
        }
    }
}

impl Endpoints {
    fn exposition(&self) -> Response<Body> {
        match self.admin.metrics.encode() {
            Ok(exposition) => {
                let mut response = text(StatusCode::OK, exposition);
                let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
            Err(error) => {
                tracing::error!(%error, "cannot write the metrics");
                text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "no metrics; see the log\n".into(),
                )
            }
        }
    }

    async fn operator(&self, request: Request<Incoming>) -> Response<Body> {
        let given = request
            .headers()
            .get(AUTHORIZATION)
            .map(HeaderValue::as_bytes);
        if !given.is_some_and(|value| self.admin.token.admits(value)) {
            let detail = "expected `Authorization: Bearer` with the operators' token \
                          (operator.token of the data folder, unless another file was named)";
            let mut response = problem(StatusCode::UNAUTHORIZED, "unauthenticated", detail);
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return response;
        }
        let (head, body) = request.into_parts();
        let wait = Duration::from_millis(ADMIN_BODY_MS);
        let body = match http::read_body(body, ADMIN_BODY_BYTES_MAX, wait).await {
            Ok(body) => body,
            Err(error) => {
                let (status, code) = match error {
                    BodyError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
                    BodyError::TooSlow { .. } => (StatusCode::REQUEST_TIMEOUT, "too_slow"),
                    BodyError::Broken => (StatusCode::BAD_REQUEST, "malformed_json"),
                };
                return problem(status, code, &error.to_string());
            }
        };
        let handler = self.admin.operator.clone();
        let request = Request::from_parts(head, body);
        // A task of its own: an operator who hangs up does not undo half of what was asked.
        match self
            .operators
            .spawn(async move { whole(handler(request).await) })
            .await
        {
            Ok(Some(response)) => response.map(Body::from),
            failed @ (Ok(None) | Err(_)) => {
                let error = failed.err().map(|e| e.to_string()).unwrap_or_default();
                tracing::error!(%error, "an operator's request ended without a whole answer");
                let detail = "the handler ended without an answer; see the log";
                problem(StatusCode::INTERNAL_SERVER_ERROR, "outcome_unknown", detail)
            }
        }
    }
}

fn whole(response: Response<Body>) -> Option<Response<Bytes>> {
    let (head, body) = response.into_parts();
    Some(Response::from_parts(head, body.into_whole()?))
}

fn reading(request: &Request<Incoming>, answer: impl FnOnce() -> Response<Body>) -> Response<Body> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return answer();
    }
    let mut response = problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "method",
        "expected GET or HEAD",
    );
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn problem(status: StatusCode, code: &str, detail: &str) -> Response<Body> {
    let happened = if status == StatusCode::INTERNAL_SERVER_ERROR {
        "perhaps"
    } else {
        "no"
    };
    let body = serde_json::json!({
        "type": format!("/problems/{code}"),
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
        "code": code,
        "happened": happened,
    });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
