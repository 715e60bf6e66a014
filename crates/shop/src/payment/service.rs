//! A channel as a small HTTP service: the sandbox bank in a process of its own, so that a network
//! lies between shop and bank – and a fault can lie in it.
//!
//! `POST /v1/authorise`, `capture`, `close` and `refund`, JSON both ways; a result that is not
//! known is a 503. It must not know which channel it serves.

use super::{Ask, Authorised, Channel, Closed, Unknown};
use crate::limits::{BANK_BODY_MS, BANK_CONNECTIONS_MAX, SMALL_BODY_BYTES_MAX};
use host::Drain;
use host::http::{Body, HttpStats, ListenError, ListenOptions, Listening, Service, read_body};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use sale::{Currency, Money, OrderId, PaymentRef};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a bank is asked, in all four questions.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// 32 hexadecimal digits.
    pub payment: String,
    #[serde(default)]
    pub order: String,
    #[serde(default)]
    pub amount: i64,
    #[serde(default)]
    pub currency: String,
}

/// What it answers; `amount` is what was captured, or given back in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Reply {
    Approved,
    Declined,
    Captured { amount: i64 },
    Void,
    Refunded { amount: i64 },
}

/// Serves `channel` until the drain.
pub fn serve(
    address: SocketAddr,
    channel: Arc<dyn Channel>,
    drain: Drain,
) -> Result<Listening, ListenError> {
    let mut options = ListenOptions::new("bank", address);
    options.workers = 1;
    options.connections_max = BANK_CONNECTIONS_MAX;
    let make = move |_worker| Counter(Arc::clone(&channel));
    host::http::start(&options, make, drain, HttpStats::new())
}

#[derive(Clone)]
struct Counter(Arc<dyn Channel>);

impl Service for Counter {
    async fn call(&self, request: Request<Incoming>, _peer: SocketAddr) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        if parts.method == Method::GET && path == "/healthz" {
            return plain(StatusCode::OK);
        }
        if parts.method != Method::POST {
            return plain(StatusCode::METHOD_NOT_ALLOWED);
        }
        let timeout = Duration::from_millis(BANK_BODY_MS);
        let Ok(body) = read_body(body, SMALL_BODY_BYTES_MAX, timeout).await else {
            return plain(StatusCode::BAD_REQUEST);
        };
        let Some(ask) = read(&body) else {
            return plain(StatusCode::BAD_REQUEST);
        };
        let answered = match path {
            "/v1/authorise" => self.0.authorise(ask).await.map(of_authorised),
            "/v1/capture" => self.0.capture(ask).await.map(of_closed),
            "/v1/close" => self.0.close(ask.payment).await.map(of_closed),
            "/v1/refund" => {
                let refunded = self.0.refund(ask.payment, ask.amount).await;
                refunded.map(|amount| Reply::Refunded { amount: amount.0 })
            }
            _ => return plain(StatusCode::NOT_FOUND),
        };
        match answered {
            Ok(reply) => json(&reply),
            Err(Unknown) => plain(StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}

fn read(body: &[u8]) -> Option<Ask> {
    let question: Question = serde_json::from_slice(body).ok()?;
    let order = match question.order.as_str() {
        "" => OrderId(0),
        text => OrderId::parse(text)?,
    };
    let currency = match question.currency.as_str() {
        "" => Currency::EUR,
        text => Currency::new(text)?,
    };
    Some(Ask {
        payment: PaymentRef(u128::from_str_radix(&question.payment, 16).ok()?),
        order,
        amount: Money(question.amount),
        currency,
    })
}

fn of_authorised(authorised: Authorised) -> Reply {
    match authorised {
        Authorised::Approved => Reply::Approved,
        Authorised::Declined => Reply::Declined,
    }
}

fn of_closed(closed: Closed) -> Reply {
    match closed {
        Closed::Captured { amount } => Reply::Captured { amount: amount.0 },
        Closed::Void => Reply::Void,
    }
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::Empty);
    *answer.status_mut() = status;
    answer
}

fn json(reply: &Reply) -> Response<Body> {
    // Plain words and numbers always serialise.
    let text = serde_json::to_vec(reply).unwrap_or_default();
    let mut answer = Response::new(Body::from(text));
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}
