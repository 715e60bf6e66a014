//! Headers about the way of a request, as anybody may write them.

use super::super::{Announce, pass_on};
use super::super::{Client, ClientSource, Dice, TraceParent, TrustedProxies, announce, host_of};
use crate::mutate::{apply, edits};
use hyper::Uri;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use std::net::IpAddr;

const TRACE: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const HOPS: &[u8] = b"6.6.6.6, 2001:db8::1, [2001:db8::2]:80, 1.2.3.4:99, 10.0.0.3";
const FOR: &[u8] = b"for=6.6.6.6;proto=https, for=\"[2001:db8::1]:80\";host=a, For=1.2.3.4";
const WORDS: &[&str] = &[
    "-", "00", "ff", "A", "0", ",", ";", "for=", "\"", "[", "]", ":", "10.0.0.9", "::ffff:", "%",
    " ", "\t", "@", "_hidden", "unknown", "x",
];

fn value(bytes: &[u8]) -> Option<HeaderValue> {
    HeaderValue::from_bytes(bytes).ok()
}

fn named(name: &'static str, bytes: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.append(HeaderName::from_static(name), value(bytes)?);
    Some(headers)
}

fn trusted(source: ClientSource) -> TrustedProxies {
    TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()], source)
}

proptest! {
    /// What is taken is written again as it was, but for versions that may say more.
    #[test]
    fn trace_parents(changes in edits(WORDS), random in prop::collection::vec(any::<u8>(), 0..80)) {
        for bytes in [apply(TRACE, &changes), random] {
            if let Some(parent) = TraceParent::parse(&bytes) {
                prop_assert!(parent.trace_id != 0 && parent.span_id != 0);
                let again = parent.write();
                prop_assert_eq!(&again[2..], &bytes[2..55]);
                prop_assert!(&bytes[..2] != b"ff" && (bytes.len() == 55 || &bytes[..2] != b"00"));
            }
        }
    }

    /// Only a trusted peer is believed, and nobody becomes one of the proxies by saying so: who is
    /// said to ask is the peer, or an address that stands in the header.
    #[test]
    fn addresses(changes in edits(WORDS), random in prop::collection::vec(any::<u8>(), 0..80)) {
        let sources = [
            ("x-forwarded-for", HOPS, ClientSource::XForwardedFor),
            ("forwarded", FOR, ClientSource::Forwarded),
        ];
        let (proxy, stranger): (IpAddr, IpAddr) =
            ("10.1.1.1".parse().unwrap(), "9.9.9.9".parse().unwrap());
        for (name, good, source) in sources {
            for bytes in [apply(good, &changes), random.clone()] {
                let Some(headers) = named(name, &bytes) else { continue };
                let by = |peer| Client::of(&headers, peer, false, &trusted(source));
                let outside = by(stranger);
                prop_assert_eq!((outside.address, outside.peer_is_trusted), (stranger, false));
                let inside = by(proxy);
                let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
                let is_there = |address: IpAddr| match address {
                    IpAddr::V4(v4) => text.contains(&v4.to_string()) || text.contains("::ffff:"),
                    IpAddr::V6(_) => text.contains(':'),
                };
                prop_assert!(inside.address == proxy || is_there(inside.address), "{:?}", inside);
                // The other header says nothing.
                let other = match source {
                    ClientSource::XForwardedFor => ClientSource::Forwarded,
                    ClientSource::Forwarded => ClientSource::XForwardedFor,
                };
                let deaf = Client::of(&headers, proxy, false, &trusted(other));
                prop_assert_eq!(deaf.address, proxy);
            }
        }
    }

    /// A host has only letters that no two programs read differently.
    #[test]
    fn hosts(random in prop::collection::vec(any::<u8>(), 0..30), changes in edits(WORDS)) {
        for bytes in [random, apply(b"shop.example:8080", &changes)] {
            let Some(headers) = named("host", &bytes) else { continue };
            let uri = Uri::from_static("/x");
            if let Ok(Some(host)) = host_of(&uri, &headers) {
                prop_assert_eq!(host, &bytes[..]);
                prop_assert!(!host.iter().any(|b| b" /\\?#@\"'<>\t,;".contains(b)), "{:?}", host);
            }
        }
    }

    /// Whatever a client writes, the head for the upstream has whole lines only, and none that
    /// ends at us.
    #[test]
    fn heads_for_upstreams(
        lines in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "connection", "te", "transfer-encoding", "upgrade", "keep-alive", "x-a",
                    "x-forwarded-for", "forwarded", "via", "traceparent", "tracestate",
                    "proxy-authorization", "content-length", "host", "x-forwarded-host",
                ]),
                prop::collection::vec(any::<u8>(), 0..20),
            ),
            0..12,
        ),
        inside in any::<bool>(),
    ) {
        let mut headers = HeaderMap::new();
        for (name, bytes) in &lines {
            if let Some(value) = value(bytes) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        let peer = if inside { "10.1.1.1" } else { "9.9.9.9" };
        let what = Announce { trusted: trusted(ClientSource::Forwarded), ..Announce::default() };
        let client = Client::of(&headers, peer.parse().unwrap(), true, &what.trusted);
        let mut head: Vec<u8> = Vec::new();
        pass_on(&headers, &mut head);
        let version = hyper::Version::HTTP_11;
        announce(Some(&headers), &what, &client, b"shop", version, &Dice::new(), &mut head);
        prop_assert!(head.is_empty() || head.ends_with(b"\r\n"));
        let ours = ["connection", "transfer-encoding", "upgrade", "keep-alive", "content-length",
            "host", "proxy-authorization"];
        let mut rest = &head[..];
        let mut traces = 0;
        while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
            let (line, after) = rest.split_at(end);
            prop_assert!(!line.contains(&b'\n') && !line.contains(&b'\r') && !line.contains(&0));
            let colon = line.iter().position(|b| *b == b':').unwrap();
            let name = std::str::from_utf8(&line[..colon]).unwrap();
            prop_assert!(!ours.contains(&name), "{}", name);
            traces += u32::from(name == "traceparent");
            rest = &after[2..];
        }
        prop_assert_eq!((traces, rest.len()), (1, 0));
    }
}
