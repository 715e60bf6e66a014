//! The head of a request as the upstream gets it, written straight from the client's.

use super::ForwardContext;
use crate::headers::{Sink, announce, pass_on};
use crate::upstream::{Dice, Peer};
use bytes::Bytes;
use hyper::Method;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;

/// The request's body, as it is to be sent.
#[derive(Debug)]
pub(super) enum Sending {
    Nothing,
    /// Read already; may be sent again.
    Whole(Bytes),
    Stream {
        /// Gone when a try has taken something from it.
        body: Option<Incoming>,
        length: Option<u64>,
    },
}

/// All that is needed to write the head, any number of times.
pub(super) struct Outgoing<'a, 'c> {
    pub parts: &'a Parts,
    pub ctx: &'a ForwardContext<'c>,
    /// What the client named; `None` takes the peer's own.
    pub host: Option<&'a [u8]>,
    /// The client waits for `100 Continue` before it sends its body.
    pub expects: bool,
    pub upgrade: Option<&'a HeaderValue>,
}

impl Outgoing<'_, '_> {
    pub fn host_for<'b>(&'b self, peer: &'b Peer) -> &'b [u8] {
        match self.ctx.host {
            super::Host::OfClient => self.host.unwrap_or(peer.name().as_bytes()),
            super::Host::OfPeer => peer.name().as_bytes(),
            super::Host::Named(name) => name.as_bytes(),
        }
    }

    pub fn target(&self) -> &str {
        let target = self.ctx.path.or(self.parts.uri.path_and_query());
        target.map_or("/", |target| target.as_str())
    }

    /// The whole head, with a small body behind it.
    pub fn write(&self, out: &mut Vec<u8>, peer: &Peer, body: &Sending, dice: &Dice) {
        out.clear();
        out.extend_from_slice(self.parts.method.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.target().as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        out.line("host", self.host_for(peer));
        self.headers(out, dice);
        let mut digits = itoa::Buffer::new();
        match body {
            Sending::Nothing if means_body(&self.parts.method) => {
                out.line("content-length", b"0");
            }
            Sending::Nothing => {}
            Sending::Whole(bytes) => {
                out.line("content-length", digits.format(bytes.len()).as_bytes());
            }
            Sending::Stream { length, .. } => {
                match length {
                    Some(length) => out.line("content-length", digits.format(*length).as_bytes()),
                    None => out.line("transfer-encoding", b"chunked"),
                }
                if self.expects {
                    out.line("expect", b"100-continue");
                }
            }
        }
        if let Some(protocol) = self.upgrade {
            out.line("connection", b"upgrade");
            out.line("upgrade", protocol.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        if let Sending::Whole(bytes) = body {
            out.extend_from_slice(bytes);
        }
    }

    /// Everything but host and framing.
    pub fn headers(&self, sink: &mut impl Sink, dice: &Dice) {
        let headers = &self.parts.headers;
        let announced = pass_on(headers, sink);
        let host = self.host.unwrap_or(b"");
        let ctx = self.ctx;
        announce(
            announced.then_some(headers),
            ctx.announce,
            &ctx.client,
            host,
            self.parts.version,
            dice,
            sink,
        );
        for (name, value) in ctx.extra {
            sink.line(name.as_str(), value.as_bytes());
        }
    }
}

/// A request of these methods says that it has no body.
fn means_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}
