//! Headers between client and upstream: what is passed on, what is taken out, what is added.
//!
//! Nothing is edited in place: the head for the upstream is written straight from the client's,
//! line by line, into a [`Sink`]. What proxies say about themselves and the client is only
//! believed from trusted ones. It must not know how a head is framed or sent.

mod address;
mod hop;
mod trace;

pub use address::{Cidr, CidrError, Client, ClientSource, TrustedProxies};
pub use trace::TraceParent;

pub(crate) use hop::{Kind, Named, clean_response, ends_here, kind_of, upgrade_of};

use crate::upstream::Dice;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use std::net::IpAddr;

/// What is said to upstreams about the request's way. One for the whole process.
#[derive(Debug, Clone)]
pub struct Announce {
    pub trusted: TrustedProxies,
    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    pub x_forwarded: bool,
    /// `Forwarded` (RFC 7239).
    pub forwarded: bool,
    /// Our name in `Via`; `None` leaves us out.
    pub via: Option<HeaderValue>,
    /// Continue the client's `traceparent`, or begin a trace.
    pub trace: bool,
}

impl Default for Announce {
    fn default() -> Self {
        Announce {
            trusted: TrustedProxies::default(),
            x_forwarded: true,
            forwarded: true,
            via: Some(HeaderValue::from_static("seawall")),
            trace: true,
        }
    }
}

/// Takes header lines: a buffer for HTTP/1.1, a map for HTTP/2.
pub(crate) trait Sink {
    fn line(&mut self, name: &str, value: &[u8]);
    /// The same for a value in parts.
    fn parts(&mut self, name: &str, parts: &[&[u8]]);
}

impl Sink for Vec<u8> {
    fn line(&mut self, name: &str, value: &[u8]) {
        self.extend_from_slice(name.as_bytes());
        self.extend_from_slice(b": ");
        self.extend_from_slice(value);
        self.extend_from_slice(b"\r\n");
    }
    fn parts(&mut self, name: &str, parts: &[&[u8]]) {
        self.extend_from_slice(name.as_bytes());
        self.extend_from_slice(b": ");
        parts.iter().for_each(|part| self.extend_from_slice(part));
        self.extend_from_slice(b"\r\n");
    }
}

impl Sink for HeaderMap {
    fn line(&mut self, name: &str, value: &[u8]) {
        // Both came from checked names and values; what is neither is left out.
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(value),
        ) {
            self.append(name, value);
        }
    }
    fn parts(&mut self, name: &str, parts: &[&[u8]]) {
        self.line(name, &parts.concat());
    }
}

/// The request's own headers that go on to the upstream, without hop-by-hop ones and without
/// those that [`announce`] or the framing write anew. Says whether there was one of the former:
/// most clients send none, and then nobody has to look them up.
pub(crate) fn pass_on(headers: &HeaderMap, sink: &mut impl Sink) -> bool {
    let named = Named::by_connection(headers);
    let mut announced = false;
    for (name, value) in headers {
        let name = name.as_str();
        match kind_of(name) {
            Kind::EndToEnd if named.has(name) => {}
            Kind::EndToEnd => sink.line(name, value.as_bytes()),
            // The only thing that may be asked of a next hop through us.
            Kind::Te if asks_for_trailers(value) => sink.line("te", b"trailers"),
            Kind::Announced => announced = true,
            Kind::Te | Kind::HopByHop | Kind::Framing => {}
        }
    }
    announced
}

fn asks_for_trailers(te: &HeaderValue) -> bool {
    let mut tokens = te.as_bytes().split(|b| *b == b',');
    tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// What we say ourselves: the client's address, how it came, our name, the trace. `headers` are the
/// client's, `None` if none of them says something about these.
pub(crate) fn announce(
    headers: Option<&HeaderMap>,
    what: &Announce,
    client: &Client,
    host: &[u8],
    version: hyper::Version,
    dice: &Dice,
    sink: &mut impl Sink,
) {
    let mut text = AddressText::new();
    let peer = text.write(client.peer);
    let believed = headers.filter(|_| client.peer_is_trusted);
    if what.x_forwarded {
        let before = believed.map(|headers| joined(headers, address::X_FORWARDED_FOR));
        match before.as_deref() {
            Some([]) | None => sink.line(address::X_FORWARDED_FOR, peer),
            Some(list) => sink.parts(address::X_FORWARDED_FOR, &[list, b", ", peer]),
        }
        sink.line("x-forwarded-proto", client.scheme.as_bytes());
        let told = believed.and_then(|headers| headers.get("x-forwarded-host"));
        sink.line("x-forwarded-host", told.map_or(host, HeaderValue::as_bytes));
    }
    if what.forwarded {
        let before = believed.map(|headers| joined(headers, address::FORWARDED));
        let before = before.unwrap_or_default();
        let comma: &[u8] = if before.is_empty() { b"" } else { b", " };
        let (open, close): (&[u8], &[u8]) = match client.peer {
            IpAddr::V4(_) => (b"for=", b";proto="),
            IpAddr::V6(_) => (b"for=\"[", b"]\";proto="),
        };
        let proto = client.own_scheme.as_bytes();
        // Quoted, since a port's colon is no token; a host that would end the quotes is left out.
        let plain = !host.iter().any(|b| matches!(b, b'"' | b'\\'));
        let host = if plain { host } else { b"" };
        let parts: [&[u8]; 9] = [
            &before,
            comma,
            open,
            peer,
            close,
            proto,
            b";host=\"",
            host,
            b"\"",
        ];
        sink.parts(address::FORWARDED, &parts);
    }
    if let Some(name) = &what.via {
        let version: &[u8] = match version {
            hyper::Version::HTTP_10 => b"1.0 ",
            hyper::Version::HTTP_2 => b"2.0 ",
            _ => b"1.1 ",
        };
        let before = headers.map(|headers| joined(headers, "via"));
        let before = before.unwrap_or_default();
        let comma: &[u8] = if before.is_empty() { b"" } else { b", " };
        sink.parts("via", &[&before, comma, version, name.as_bytes()]);
    }
    if what.trace {
        trace::pass_on(headers, dice, sink);
    } else if let Some(headers) = headers {
        for name in [trace::TRACEPARENT, trace::TRACESTATE] {
            for value in headers.get_all(name) {
                sink.line(name, value.as_bytes());
            }
        }
    }
}

/// All values of a list header as one.
fn joined(headers: &HeaderMap, name: &str) -> Vec<u8> {
    let mut all = Vec::new();
    for value in headers.get_all(name) {
        if !all.is_empty() {
            all.extend_from_slice(b", ");
        }
        all.extend_from_slice(value.as_bytes());
    }
    all
}

/// An address as text without an allocation.
struct AddressText {
    bytes: [u8; 48],
    len: usize,
}

impl AddressText {
    fn new() -> Self {
        AddressText {
            bytes: [0; 48],
            len: 0,
        }
    }

    fn write(&mut self, address: IpAddr) -> &[u8] {
        use std::io::Write;
        if let IpAddr::V4(v4) = address {
            let mut digits = itoa::Buffer::new();
            for (place, octet) in v4.octets().into_iter().enumerate() {
                if place > 0 {
                    self.push(b".");
                }
                self.push(digits.format(octet).as_bytes());
            }
        } else {
            let mut room = &mut self.bytes[..];
            // The longest address has 45 letters.
            let _ = write!(room, "{address}");
            let left = room.len();
            self.len = self.bytes.len() - left;
        }
        &self.bytes[..self.len]
    }

    fn push(&mut self, text: &[u8]) {
        self.bytes[self.len..self.len + text.len()].copy_from_slice(text);
        self.len += text.len();
    }
}

/// The host a request is for: of the target if it names one, else the header. `Err`: two hosts,
/// or letters that no host has – two programs could take it for different ones.
pub(crate) fn host_of<'a>(
    uri: &'a hyper::Uri,
    headers: &'a HeaderMap,
) -> Result<Option<&'a [u8]>, ()> {
    let host = named_host(uri, headers);
    let plain = |b: &u8| {
        b.is_ascii_alphanumeric()
            || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']' | b'~' | b'%')
    };
    let several = headers.get_all(hyper::header::HOST).iter().nth(1).is_some();
    match host {
        _ if several => Err(()),
        Some(host) if !host.iter().all(plain) => Err(()),
        host => Ok(host),
    }
}

/// The same of a request that [`host_of`] has found good.
pub(crate) fn named_host<'a>(uri: &'a hyper::Uri, headers: &'a HeaderMap) -> Option<&'a [u8]> {
    let host = match uri.authority() {
        // Somebody's name and password are not for upstreams.
        Some(authority) => {
            let whole = authority.as_str();
            Some(
                whole
                    .rsplit_once('@')
                    .map_or(whole, |(_, host)| host)
                    .as_bytes(),
            )
        }
        None => headers.get(hyper::header::HOST).map(HeaderValue::as_bytes),
    };
    host.filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests;
