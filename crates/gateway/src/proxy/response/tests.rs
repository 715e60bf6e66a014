//! Heads of answers, good and malformed.

use super::{Framing, parse};
use bytes::Bytes;
use hyper::Method;
use hyper::header::HeaderMap;
use proptest::prelude::*;

#[test]
fn a_head_is_read_once_it_is_whole() {
    let text = "HTTP/1.1 200 OK\r\nA: b\r\nC: \r\nContent-Length: 3\r\n\r\nabc";
    let head = text.len() - 3;
    let mut headers = HeaderMap::new();
    headers.insert("old", "x".parse().unwrap());
    for end in 0..head {
        let bytes = Bytes::copy_from_slice(&text.as_bytes()[..end]);
        assert!(
            parse(&bytes, &Method::GET, &mut headers).unwrap().is_none(),
            "{end}"
        );
    }
    let bytes = Bytes::from_static(text.as_bytes());
    let (found, length) = parse(&bytes, &Method::GET, &mut headers).unwrap().unwrap();
    assert_eq!(
        (found.status.as_u16(), found.framing, length),
        (200, Framing::Length(3), head)
    );
    assert!(found.keeps);
    assert_eq!(headers.len(), 3, "filled anew: {headers:?}");
    assert_eq!(
        (&headers["a"], &headers["c"]),
        (&"b".parse().unwrap(), &"".parse().unwrap())
    );
}

#[test]
fn what_keeps_a_connection() {
    let rows = [
        ("HTTP/1.1", "", true),
        ("HTTP/1.1", "Connection: close\r\n", false),
        ("HTTP/1.1", "Connection: x, Close\r\n", false),
        ("HTTP/1.1", "Connection: x\r\nConnection: close\r\n", false),
        ("HTTP/1.0", "", false),
        ("HTTP/1.0", "Connection: keep-alive\r\n", true),
    ];
    for (version, lines, keeps) in rows {
        let text = format!("{version} 200 OK\r\n{lines}Content-Length: 0\r\n\r\n");
        let mut headers = HeaderMap::new();
        let parsed = parse(&text.clone().into(), &Method::GET, &mut headers);
        assert_eq!(parsed.unwrap().unwrap().0.keeps, keeps, "{text:?}");
    }
}

proptest! {
    #[test]
    fn anything_may_come(wire in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut all = b"HTTP/1.1 200 OK\r\n".to_vec();
        all.extend_from_slice(&wire);
        let _ = parse(&all.into(), &Method::GET, &mut HeaderMap::new());
        let _ = parse(&wire.into(), &Method::GET, &mut HeaderMap::new());
    }
}
