//! What upstreams are told, and whom we believe.

use super::{Cidr, Client, ClientSource, TraceParent, TrustedProxies, host_of, upgrade_of};
use hyper::Uri;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use std::net::IpAddr;

mod any_bytes;

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_static(name);
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    map
}

#[test]
fn ranges() {
    let rows = [
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.0.0.0/8", "::ffff:10.1.2.3", true),
        ("10.1.2.3", "10.1.2.3", true),
        ("10.1.2.3/32", "10.1.2.4", false),
        ("0.0.0.0/0", "200.1.2.3", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("2001:db8::/32", "2001:db8:ffff::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
        ("::/0", "2001:db9::1", true),
    ];
    for (range, address, has) in rows {
        let range: Cidr = range.parse().unwrap();
        assert_eq!(
            range.has(address.parse().unwrap()),
            has,
            "{range:?} {address}"
        );
    }
    for wrong in [
        "",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0/8",
        "::/129",
        "a/8",
    ] {
        assert!(wrong.parse::<Cidr>().is_err(), "{wrong:?}");
    }
}

#[test]
fn the_client_is_the_rightmost_that_is_not_trusted() {
    let ranges = || {
        ["10.0.0.0/8", "fd00::/8"]
            .map(|range| range.parse().unwrap())
            .to_vec()
    };
    let by_list = TrustedProxies::new(ranges(), ClientSource::XForwardedFor);
    let by_forwarded = TrustedProxies::new(ranges(), ClientSource::Forwarded);
    const XFF: &str = "x-forwarded-for";
    type Row<'a> = (
        &'a TrustedProxies,
        &'a str,
        &'a [(&'static str, &'a str)],
        &'a str,
    );
    let rows: [Row<'_>; 14] = [
        (&by_list, "9.9.9.9", &[(XFF, "1.1.1.1")], "9.9.9.9"),
        (&by_list, "10.0.0.1", &[], "10.0.0.1"),
        (&by_list, "10.0.0.1", &[(XFF, "1.1.1.1")], "1.1.1.1"),
        (
            &by_list,
            "10.0.0.1",
            &[(XFF, "6.6.6.6, 1.1.1.1, 10.0.0.2")],
            "1.1.1.1",
        ),
        (
            &by_list,
            "10.0.0.1",
            &[(XFF, "6.6.6.6"), (XFF, "1.1.1.1")],
            "1.1.1.1",
        ),
        (
            &by_list,
            "10.0.0.1",
            &[(XFF, "10.0.0.3, 10.0.0.2")],
            "10.0.0.3",
        ),
        (
            &by_list,
            "10.0.0.1",
            &[(XFF, "1.1.1.1, nonsense, 10.0.0.2")],
            "10.0.0.2",
        ),
        (&by_list, "10.0.0.1", &[(XFF, "1.1.1.1:5000")], "1.1.1.1"),
        (
            &by_list,
            "fd00::1",
            &[(XFF, "[2001:db8::7]:5000")],
            "2001:db8::7",
        ),
        (
            &by_list,
            "::ffff:10.0.0.1",
            &[(XFF, "2001:db8::7")],
            "2001:db8::7",
        ),
        (
            &by_list,
            "10.0.0.1",
            &[("forwarded", "for=1.1.1.1")],
            "10.0.0.1",
        ),
        (&by_forwarded, "10.0.0.1", &[(XFF, "1.1.1.1")], "10.0.0.1"),
        (
            &by_forwarded,
            "10.0.0.1",
            &[(
                "forwarded",
                "for=6.6.6.6, proto=http; For=\"[2001:db8::7]:1\"",
            )],
            "2001:db8::7",
        ),
        (
            &by_forwarded,
            "10.0.0.1",
            &[("forwarded", "for=1.1.1.1, for=_hidden")],
            "10.0.0.1",
        ),
    ];
    for (trusted, peer, lines, expected) in rows {
        let client = Client::of(&headers(lines), peer.parse().unwrap(), false, trusted);
        let expected: IpAddr = expected.parse().unwrap();
        assert_eq!(client.address, expected, "{peer} {lines:?}");
    }
}

#[test]
fn the_scheme_is_a_trusted_proxys_to_say() {
    let trusted = TrustedProxies::new(vec!["10.0.0.1".parse().unwrap()], ClientSource::default());
    let told = headers(&[("x-forwarded-proto", "http, HTTPS")]);
    let of = |peer: &str, tls| Client::of(&told, peer.parse().unwrap(), tls, &trusted).scheme;
    assert_eq!(of("10.0.0.1", false), "https");
    assert_eq!(of("10.0.0.2", false), "http");
    assert_eq!(of("10.0.0.2", true), "https");
}

#[test]
fn one_host_and_no_strange_letters() {
    let plain: Uri = "/".parse().unwrap();
    let absolute: Uri = "http://user:pw@target.example:8080/x".parse().unwrap();
    let host = |uri: &Uri, lines: &[(&'static str, &str)]| {
        let map = headers(lines);
        host_of(uri, &map).map(|host| host.map(|h| String::from_utf8(h.to_vec()).unwrap()))
    };
    assert_eq!(
        host(&plain, &[("host", "a.example:80")]),
        Ok(Some("a.example:80".into()))
    );
    assert_eq!(
        host(&plain, &[("host", "[::1]:80")]),
        Ok(Some("[::1]:80".into()))
    );
    assert_eq!(host(&plain, &[]), Ok(None));
    assert_eq!(
        host(&absolute, &[("host", "other")]),
        Ok(Some("target.example:8080".into()))
    );
    for wrong in ["a b", "a/b", "a@b", "a,b", "a\"b", "a?b", "a#b"] {
        assert_eq!(host(&plain, &[("host", wrong)]), Err(()), "{wrong}");
    }
    assert_eq!(
        host(&plain, &[("host", "a"), ("host", "a")]),
        Err(()),
        "two"
    );
}

#[test]
fn an_upgrade_needs_both_headers() {
    let asked = [
        ("upgrade", "websocket"),
        ("connection", "keep-alive, Upgrade"),
    ];
    assert_eq!(upgrade_of(&headers(&asked)).unwrap(), "websocket");
    assert!(upgrade_of(&headers(&asked[..1])).is_none());
    assert!(upgrade_of(&headers(&asked[1..])).is_none());
}

#[test]
fn trace_parents() {
    let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let parsed = TraceParent::parse(good.as_bytes()).unwrap();
    assert_eq!(parsed.write(), good.as_bytes());
    let later = format!("cc{}-what-comes", &good[2..]);
    assert!(
        TraceParent::parse(later.as_bytes()).is_some(),
        "later versions may say more"
    );
    let wrong = [
        String::new(),
        good[..54].into(),
        format!("{good}-x"),
        format!("ff{}", &good[2..]),
        format!("cc{}x", &good[2..]),
        good.to_uppercase(),
        good.replace('-', "_"),
        good.replace("b7ad6b7169203331", "0000000000000000"),
        good.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
    ];
    for wrong in wrong {
        assert_eq!(TraceParent::parse(wrong.as_bytes()), None, "{wrong:?}");
    }
    let twice = headers(&[("traceparent", good), ("traceparent", good)]);
    assert_eq!(TraceParent::of(&twice), None, "two parents are none");
}
