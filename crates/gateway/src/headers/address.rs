//! Whose request it is: the address behind proxies that we trust, and only those.
//!
//! Each proxy appends the address that it saw. Read from the right, the list is true as long as
//! a trusted proxy wrote it; the first address that is not one of theirs is the client.

use super::{Kind, kind_of};
use crate::limits::{FORWARDED_HOPS_MAX, TRUSTED_MAX};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

pub(super) const X_FORWARDED_FOR: &str = "x-forwarded-for";
pub(super) const FORWARDED: &str = "forwarded";

/// A range of addresses, such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    base: u128,
    mask: u128,
    v4: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no range of addresses: expected one like 10.0.0.0/8 or 2001:db8::/32")]
pub struct CidrError {
    pub found: String,
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let wrong = || CidrError {
            found: text.to_owned(),
        };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let (value, v4) = number_of(address);
        let width = if v4 { 32 } else { 128 };
        let bits: u32 = match bits {
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => {
                bits.parse().map_err(|_| wrong())?
            }
            Some(_) => return Err(wrong()),
            None => width,
        };
        if bits > width {
            return Err(wrong());
        }
        // Of IPv4 only the last 32 bits are in use.
        let mask = u128::MAX.checked_shl(width - bits).unwrap_or(0);
        Ok(Cidr {
            base: value & mask,
            mask,
            v4,
        })
    }
}

impl Cidr {
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        let (value, v4) = number_of(address);
        v4 == self.v4 && value & self.mask == self.base
    }
}

/// An IPv4 address that came over an IPv6 socket is the IPv4 address.
fn number_of(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), true),
        IpAddr::V6(v6) => (u128::from(v6), false),
    }
}

/// Where trusted proxies write the client's address. Only one place, because a proxy that
/// writes one of them passes on what the client wrote into the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientSource {
    #[default]
    XForwardedFor,
    Forwarded,
}

#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    ranges: Vec<Cidr>,
    source: ClientSource,
}

impl TrustedProxies {
    /// At most [`TRUSTED_MAX`] ranges; what is above is left out, so it is not trusted.
    #[must_use]
    pub fn new(mut ranges: Vec<Cidr>, source: ClientSource) -> Self {
        ranges.truncate(TRUSTED_MAX);
        TrustedProxies { ranges, source }
    }

    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.has(address))
    }
}

/// Where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Who is at the other end of the connection.
    pub peer: IpAddr,
    /// Who asks: the peer, or whoever trusted proxies say.
    pub address: IpAddr,
    pub peer_is_trusted: bool,
    /// `http` or `https`, as the client spoke it.
    pub scheme: &'static str,
    /// As it was spoken to us.
    pub own_scheme: &'static str,
}

impl Client {
    #[must_use]
    pub fn of(headers: &HeaderMap, peer: IpAddr, tls: bool, trusted: &TrustedProxies) -> Client {
        let peer = peer.to_canonical();
        let own_scheme = if tls { "https" } else { "http" };
        let mut client = Client {
            peer,
            address: peer,
            peer_is_trusted: false,
            scheme: own_scheme,
            own_scheme,
        };
        if trusted.ranges.is_empty() || !trusted.has(peer) {
            return client;
        }
        client.peer_is_trusted = true;
        // Most that come from next door bring nothing of the kind.
        let announces = |name: &HeaderName| kind_of(name.as_str()) == Kind::Announced;
        if !headers.keys().any(announces) {
            return client;
        }
        client.address = match trusted.source {
            ClientSource::XForwardedFor => {
                rightmost(headers, X_FORWARDED_FOR, trusted, peer, parse_plain)
            }
            ClientSource::Forwarded => rightmost(headers, FORWARDED, trusted, peer, parse_for),
        };
        if let Some(told) = headers.get("x-forwarded-proto").map(HeaderValue::as_bytes) {
            // Of a list the last: what stands before it may be the client's invention.
            let last = told
                .rsplit(|b| *b == b',')
                .next()
                .unwrap_or(b"")
                .trim_ascii();
            if last.eq_ignore_ascii_case(b"https") {
                client.scheme = "https";
            } else if last.eq_ignore_ascii_case(b"http") {
                client.scheme = "http";
            }
        }
        client
    }
}

fn rightmost(
    headers: &HeaderMap,
    name: &str,
    trusted: &TrustedProxies,
    peer: IpAddr,
    parse: fn(&[u8]) -> Option<IpAddr>,
) -> IpAddr {
    let mut known = peer;
    let values = headers.get_all(name);
    let elements = values
        .iter()
        .rev()
        .flat_map(|value| value.as_bytes().rsplit(|b| *b == b','));
    for element in elements.take(FORWARDED_HOPS_MAX) {
        // Unreadable: who is behind it is unknown, so the last known is who asks.
        let Some(address) = parse(element.trim_ascii()) else {
            return known;
        };
        known = address;
        if !trusted.has(address) {
            return known;
        }
    }
    known
}

/// An address with or without a port.
fn parse_plain(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element).ok()?;
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, _port) = rest.split_once(']')?;
        return Some(IpAddr::V6(inside.parse::<Ipv6Addr>().ok()?).to_canonical());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, port) = text.rsplit_once(':')?;
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    digits.then_some(IpAddr::V4(address.parse::<Ipv4Addr>().ok()?))
}

/// The `for` of one element of `Forwarded`. A comma within quotes would cut it, but no address
/// has one.
fn parse_for(element: &[u8]) -> Option<IpAddr> {
    let pair = element
        .split(|b| *b == b';')
        .map(<[u8]>::trim_ascii)
        .find(|pair| pair.len() > 4 && pair[..4].eq_ignore_ascii_case(b"for="))?;
    let value = &pair[4..];
    let bare = value
        .strip_prefix(b"\"")
        .and_then(|v| v.strip_suffix(b"\""));
    parse_plain(bare.unwrap_or(value))
}
