//! Why there is no answer from an upstream, as what that is shown, and whether it happened.

use crate::upstream::{ConnectError, Event, Peer, TlsFault};
use hyper::StatusCode;
use std::sync::Arc;

/// Whether the request may have had its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    No,
    Perhaps,
}

impl Happened {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Happened::No => "no",
            Happened::Perhaps => "perhaps",
        }
    }
}

/// No answer, and what is known about it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .why.text())]
pub struct ProxyError {
    pub why: Why,
    pub happened: Happened,
    /// The last that was asked.
    pub peer: Option<Arc<Peer>>,
}

impl ProxyError {
    pub(super) fn refused(why: Why) -> Self {
        ProxyError {
            why,
            happened: Happened::No,
            peer: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Two hosts, or one that is none.
    BadHost,
    /// A method that makes a tunnel of a connection.
    Unsupported,
    BodyTooLarge,
    BodyTooSlow,
    /// The client ended its body too early.
    BodyBroken,
    NoPeer,
    /// Too many requests wait for a connection.
    Busy,
    WaitedInVain,
    ConnectFailed,
    ConnectTimeout,
    /// Connected, but TLS did not come about.
    Tls(TlsFault),
    HeadTimeout,
    /// No byte of the request's body was taken for too long.
    BodyTimeout,
    TotalTimeout,
    Lost,
    Malformed(Malformed),
}

impl From<ConnectError> for Why {
    fn from(error: ConnectError) -> Why {
        match error {
            ConnectError::Timeout => Why::ConnectTimeout,
            ConnectError::Failed => Why::ConnectFailed,
            ConnectError::Tls(fault) => Why::Tls(fault),
        }
    }
}

impl Why {
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Why::BadHost | Why::BodyBroken => StatusCode::BAD_REQUEST,
            Why::Unsupported => StatusCode::NOT_IMPLEMENTED,
            Why::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Why::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Why::NoPeer | Why::Busy | Why::WaitedInVain => StatusCode::SERVICE_UNAVAILABLE,
            Why::ConnectFailed | Why::Tls(_) | Why::Lost | Why::Malformed(_) => {
                StatusCode::BAD_GATEWAY
            }
            Why::ConnectTimeout | Why::HeadTimeout | Why::BodyTimeout | Why::TotalTimeout => {
                StatusCode::GATEWAY_TIMEOUT
            }
        }
    }

    /// For logs and labels.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Why::BadHost => "bad_host",
            Why::Unsupported => "unsupported",
            Why::BodyTooLarge => "body_too_large",
            Why::BodyTooSlow => "body_too_slow",
            Why::BodyBroken => "body_broken",
            Why::NoPeer => "no_peer",
            Why::Busy => "busy",
            Why::WaitedInVain => "waited_in_vain",
            Why::ConnectFailed => "connect_failed",
            Why::ConnectTimeout => "connect_timeout",
            Why::Tls(_) => "tls_failed",
            Why::HeadTimeout => "head_timeout",
            Why::BodyTimeout => "body_timeout",
            Why::TotalTimeout => "total_timeout",
            Why::Lost => "lost",
            Why::Malformed(_) => "malformed",
        }
    }

    /// Said to operators, not to clients.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Why::BadHost => "the request names no single valid host",
            Why::Unsupported => "the method is not passed on",
            Why::BodyTooLarge => "the body is longer than this route allows",
            Why::BodyTooSlow => "the body did not arrive in time",
            Why::BodyBroken => "the body ended before its announced length",
            Why::NoPeer => "no peer of the pool may be asked",
            Why::Busy => "too many requests wait for a connection",
            Why::WaitedInVain => "no connection became free in time",
            Why::ConnectFailed => "the connection was refused",
            Why::ConnectTimeout => "the connection was not answered in time",
            Why::Tls(fault) => fault.text(),
            Why::HeadTimeout => "the head of the answer did not come in time",
            Why::BodyTimeout => "the peer took nothing of the request's body for too long",
            Why::TotalTimeout => "the request took longer than it may in all",
            Why::Lost => "the connection was lost before an answer",
            Why::Malformed(how) => how.text(),
        }
    }

    /// Whether the peer is to blame, so that it counts towards its ejection.
    pub(super) fn event(self) -> Option<Event> {
        match self {
            Why::ConnectFailed => Some(Event::ConnectFailed),
            Why::ConnectTimeout => Some(Event::ConnectTimeout),
            Why::Tls(_) => Some(Event::TlsFailed),
            Why::HeadTimeout => Some(Event::HeadTimeout),
            Why::BodyTimeout | Why::TotalTimeout => Some(Event::BodyTimeout),
            Why::Lost => Some(Event::Lost),
            Why::Malformed(_) => Some(Event::Malformed),
            Why::BadHost
            | Why::Unsupported
            | Why::BodyTooLarge
            | Why::BodyTooSlow
            | Why::BodyBroken
            | Why::NoPeer
            | Why::Busy
            | Why::WaitedInVain => None,
        }
    }
}

/// What is wrong with an answer. Nothing that could be read in two ways is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    NotHttp,
    HeadTooLarge,
    /// A line of the head that ends without a carriage return.
    BareLineFeed,
    LengthAndChunked,
    /// Several, signed, a list, or beyond 64 bits.
    Length,
    /// Any but `chunked` alone, or in HTTP/1.0.
    TransferEncoding,
    Chunk,
    Trailers,
    TooManyInterim,
    /// A 101 that nobody asked for, or to another protocol.
    Upgrade,
    BodyTooLarge,
}

impl Malformed {
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Malformed::NotHttp => "the answer is not HTTP/1",
            Malformed::HeadTooLarge => "the head of the answer is too large",
            Malformed::BareLineFeed => "a line of the answer's head has no carriage return",
            Malformed::LengthAndChunked => "the answer has both a length and chunks",
            Malformed::Length => "the answer has no single valid length",
            Malformed::TransferEncoding => "the answer's transfer coding is not just chunked",
            Malformed::Chunk => "a chunk of the answer is malformed",
            Malformed::Trailers => "the answer's trailers are malformed",
            Malformed::TooManyInterim => "too many interim answers",
            Malformed::Upgrade => "the answer changes to a protocol that was not asked for",
            Malformed::BodyTooLarge => "the answer is longer than this route allows",
        }
    }
}
