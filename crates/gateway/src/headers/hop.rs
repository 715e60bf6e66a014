//! Which headers end at us (RFC 9110, 7.6.1), and what an upstream may not say to a client.

use crate::limits::CONNECTION_NAMES_MAX;
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    EndToEnd,
    HopByHop,
    /// Of requests: what may be said again to the next hop is up to us.
    Te,
    /// Written anew by whoever sends the body.
    Framing,
    /// Written anew by `announce`.
    Announced,
}

/// By its lower-case name. By length first: most names are done after one comparison.
pub(crate) fn kind_of(name: &str) -> Kind {
    match name.len() {
        2 if name == "te" => Kind::Te,
        3 if name == "via" => Kind::Announced,
        4 if name == "host" => Kind::Framing,
        6 if name == "expect" => Kind::Framing,
        7 if name == "upgrade" => Kind::HopByHop,
        9 if name == "forwarded" => Kind::Announced,
        9 if name == "x-real-ip" => Kind::Announced,
        10 if name == "connection" || name == "keep-alive" => Kind::HopByHop,
        10 if name == "tracestate" => Kind::Announced,
        11 if name == "traceparent" => Kind::Announced,
        14 if name == "content-length" => Kind::Framing,
        14 if name == "http2-settings" => Kind::HopByHop,
        15 if name == "x-forwarded-for" => Kind::Announced,
        16 if name == "proxy-connection" => Kind::HopByHop,
        16 if name == "x-forwarded-host" || name == "x-forwarded-port" => Kind::Announced,
        17 if name == "transfer-encoding" => Kind::Framing,
        17 if name == "x-forwarded-proto" => Kind::Announced,
        18 if name == "proxy-authenticate" => Kind::HopByHop,
        19 if name == "proxy-authorization" => Kind::HopByHop,
        _ => Kind::EndToEnd,
    }
}

/// Headers that `Connection` names: they end at us as well.
#[derive(Debug, Default)]
pub(crate) struct Named<'a>(Vec<&'a [u8]>);

impl<'a> Named<'a> {
    pub fn by_connection(headers: &'a HeaderMap) -> Self {
        let mut names = Vec::new();
        if !headers.contains_key(CONNECTION) {
            return Named(names);
        }
        for value in headers.get_all(CONNECTION) {
            for token in value.as_bytes().split(|b| *b == b',') {
                let token = token.trim_ascii();
                let usual: [&[u8]; 4] = [b"keep-alive", b"close", b"upgrade", b"te"];
                let is_usual = usual.iter().any(|name| token.eq_ignore_ascii_case(name));
                if !is_usual && !token.is_empty() && names.len() < CONNECTION_NAMES_MAX {
                    names.push(token);
                }
            }
        }
        Named(names)
    }

    pub fn has(&self, name: &str) -> bool {
        let mut names = self.0.iter();
        names.any(|named| named.eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// The protocol that a request or a 101 wants to go over to: both headers must say so.
pub(crate) fn upgrade_of(headers: &HeaderMap) -> Option<&HeaderValue> {
    let upgrade = headers.get(UPGRADE)?;
    let asked = headers.get_all(CONNECTION).iter().any(|value| {
        let mut tokens = value.as_bytes().split(|b| *b == b',');
        tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    });
    asked.then_some(upgrade)
}

/// Takes out of an answer what ends at us: hop-by-hop headers, and the upstream's `Alt-Svc`,
/// which would send clients around us. `Server` and `Date` are the origin's and stay.
pub(crate) fn clean_response(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = Named::by_connection(headers)
            .0
            .iter()
            .filter_map(|name| HeaderName::from_bytes(name).ok())
            // The length of the body is not the connection's to take away.
            .filter(|name| kind_of(name.as_str()) != Kind::Framing)
            .collect();
        named.iter().for_each(|name| drop(headers.remove(name)));
        headers.remove(CONNECTION);
    }
    for name in ENDING {
        headers.remove(name);
    }
}

const ENDING: [&str; 6] = [
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "upgrade",
    "transfer-encoding",
    "alt-svc",
];

/// Whether a header of an answer, by its lower-case name, is one that [`clean_response`] takes
/// out on its own account.
pub(crate) fn ends_here(name: &str) -> bool {
    // Most names are of other lengths.
    matches!(name.len(), 7 | 10 | 16..=18) && ENDING.contains(&name)
}
