//! From a bare connection to one that HTTP is spoken on: TLS, and which version.
//!
//! A client that has said nothing costs its socket only; a handshake costs memory, so there are
//! never more than a named number of them: the oldest makes room, because an honest one is over
//! within a round trip or two, and one that stalls is the oldest before long.

use super::Service;
use super::conn::{ConnState, Order, Phase};
use super::stats::Closed;
use super::transport::{Transport, Wire};
use super::worker::Worker;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use tokio_rustls::TlsAcceptor;

/// What somebody hears who speaks HTTP where TLS is expected.
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\
    Content-Type: text/plain\r\nContent-Length: 35\r\n\r\nThis port speaks HTTPS, not HTTP.\r\n";
/// How a connection that speaks HTTP/2 without being asked begins (RFC 9113, 3.4). No client
/// sends less of it in one piece, and no method begins like this.
const PREFACE_START: &[u8] = b"PRI ";
/// The first byte of a TLS record that begins a handshake.
const HANDSHAKE_RECORD: u8 = 22;

/// How many first bytes have to be looked at to tell.
pub(super) const TELLING_BYTES: usize = PREFACE_START.len();

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// Agrees on what is spoken; `first` is what the client began with. `Err` says why not.
pub(super) async fn agree<S: Service>(
    worker: &Worker<S>,
    wire: Wire,
    first: &[u8],
    state: &Rc<ConnState>,
) -> Result<(Transport, Version), Option<Closed>> {
    let Some(config) = &worker.tls else {
        let version = if worker.http2_plain && first == PREFACE_START {
            Version::Http2
        } else {
            Version::Http1
        };
        return Ok((Transport::Plain(wire), version));
    };
    if first[0] != HANDSHAKE_RECORD {
        Transport::Plain(wire).part(PLAIN).await;
        return Err(Some(Closed::Handshake));
    }
    worker.handshake_begins(state);
    state.enter(Phase::Handshake);
    let mut accept = Box::new(TlsAcceptor::from(Arc::clone(config)).accept(wire));
    let stream = poll_fn(|cx| {
        state.listen_for_orders(cx);
        match state.ordered() {
            Order::Close(why) => return Poll::Ready(Err(why)),
            Order::Drain | Order::Park | Order::None => {}
        }
        let accepted = Pin::new(&mut *accept).poll(cx);
        accepted.map(|result| result.map_err(|_| Some(Closed::Handshake)))
    })
    .await?;
    state.enter(Phase::Fresh);
    let transport = Transport::Tls(Box::new(stream));
    let version = if transport.agreed_h2() {
        Version::Http2
    } else {
        Version::Http1
    };
    Ok((transport, version))
}
