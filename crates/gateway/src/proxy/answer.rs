//! From the head of an upstream's answer to what the client gets.

use super::error::{Malformed, Why};
use super::exchange::{Exchange, Times};
use super::http2::Relay2;
use super::relay::Relay;
use super::response::{Framing, Head};
use super::tunnel;
use crate::headers::{clean_response, upgrade_of};
use crate::upstream::{Deadline, Event, Load};
use bytes::Bytes;
use host::http::{Body, Relayed, Upgrade};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use hyper::{Response, StatusCode};
use std::any::Any;

/// The head of an answer, with the connection that the rest will come from.
pub(super) enum Reply {
    Http1 {
        exchange: Exchange,
        head: Head,
        headers: HeaderMap,
        rest: Bytes,
    },
    Http2 {
        response: Response<Incoming>,
        load: Load,
        deadline: Deadline,
    },
}

impl Reply {
    pub fn status(&self) -> StatusCode {
        match self {
            Reply::Http1 { head, .. } => head.status,
            Reply::Http2 { response, .. } => response.status(),
        }
    }
    pub fn load(&self) -> &Load {
        match self {
            Reply::Http1 { exchange, .. } => exchange.load(),
            Reply::Http2 { load, .. } => load,
        }
    }
}

/// `Err` names the peer as well.
pub(super) fn respond(
    reply: Reply,
    times: Times,
    allowed: u64,
    upgrade: Option<&HeaderValue>,
    keep: Option<Box<dyn Any>>,
) -> Result<Response<Body>, (Why, usize)> {
    match reply {
        Reply::Http1 {
            exchange,
            head,
            headers,
            rest,
        } if head.status == StatusCode::SWITCHING_PROTOCOLS => {
            switch(exchange, headers, rest, times, upgrade, keep)
        }
        Reply::Http1 {
            exchange,
            head,
            headers,
            rest,
        } => {
            let body = body_of(exchange, head, rest, allowed, keep)?;
            let mut response = Response::new(body);
            *response.status_mut() = head.status;
            *response.headers_mut() = headers;
            Ok(response)
        }
        Reply::Http2 {
            response,
            load,
            deadline,
        } => Ok(from_http2(response, load, deadline, times, allowed, keep)),
    }
}

fn body_of(
    exchange: Exchange,
    head: Head,
    mut rest: Bytes,
    allowed: u64,
    keep: Option<Box<dyn Any>>,
) -> Result<Body, (Why, usize)> {
    match head.framing {
        Framing::None => {
            exchange.finish(head.keeps && rest.is_empty());
            Ok(Body::Empty)
        }
        Framing::Length(length) if length > allowed => {
            let peer = fault(&exchange);
            Err((Why::Malformed(Malformed::BodyTooLarge), peer))
        }
        Framing::Length(length) if length <= rest.len() as u64 => {
            // All of it came with its head: its connection is free before the client reads.
            let body = rest.split_to(usize::try_from(length).unwrap_or(rest.len()));
            exchange.finish(head.keeps && rest.is_empty());
            Ok(Body::Full(body))
        }
        Framing::Length(_) | Framing::Chunked | Framing::ToEnd => {
            let relay = Relay::new(exchange, head.framing, rest, head.keeps, allowed, keep);
            Ok(Body::Relayed(Relayed::new(relay)))
        }
    }
}

/// Counts an answer that cannot be passed on.
fn fault(exchange: &Exchange) -> usize {
    let load = exchange.load();
    load.settle();
    load.peer().count(Event::Malformed);
    load.peer
}

/// 101: from here on bytes, both ways.
fn switch(
    exchange: Exchange,
    mut headers: HeaderMap,
    rest: Bytes,
    times: Times,
    asked: Option<&HeaderValue>,
    keep: Option<Box<dyn Any>>,
) -> Result<Response<Body>, (Why, usize)> {
    let protocol = upgrade_of(&headers).cloned();
    let offered = |protocol: &HeaderValue| {
        asked.is_some_and(|asked| {
            let mut tokens = asked.as_bytes().split(|b| *b == b',');
            tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(protocol.as_bytes()))
        })
    };
    let Some(protocol) = protocol.filter(offered) else {
        let peer = fault(&exchange);
        return Err((Why::Malformed(Malformed::Upgrade), peer));
    };
    clean_response(&mut headers);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
    exchange.load().peer().count(Event::Upgraded);
    let checkout = exchange.into_checkout();
    let idle_ms = times.between_ms;
    let upgrade = Upgrade::new(move |client, early| async move {
        let _keep = keep;
        tunnel::run(client, checkout, early, rest, idle_ms).await;
    });
    let mut response = Response::new(Body::Upgrade(upgrade));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = headers;
    Ok(response)
}

fn from_http2(
    response: Response<Incoming>,
    load: Load,
    deadline: Deadline,
    times: Times,
    allowed: u64,
    keep: Option<Box<dyn Any>>,
) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    clean_response(&mut parts.headers);
    parts.version = hyper::Version::HTTP_11;
    parts.extensions.clear();
    let body = if body.is_end_stream() {
        load.settle();
        Body::Empty
    } else {
        Body::Relayed(Relayed::new(Relay2 {
            body,
            load,
            deadline,
            between_ms: times.between_ms,
            end_at_ms: times.end_at_ms,
            waiting: false,
            allowed,
            _keep: keep,
        }))
    };
    Response::from_parts(parts, body)
}
