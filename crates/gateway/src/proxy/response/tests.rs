//! Heads of answers, good and malformed.

use super::{Framing, parse};
use crate::mutate::{apply, edits};
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

#[test]
fn what_ends_here_is_not_put_in() {
    let lines =
        "Server: a\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nAlt-Svc: h3\r\nX-B: b\r\n";
    let rows = [
        ("200 OK", lines.to_owned(), vec!["server", "x-b"]),
        // Named by `Connection`, in whichever of its lines.
        (
            "200 OK",
            format!("{lines}Connection: x-b\r\n"),
            vec!["server"],
        ),
        // Of a 101 it is still to be asked what the peer goes over to.
        (
            "101 Switching Protocols",
            "Connection: upgrade\r\nUpgrade: x\r\n".to_owned(),
            vec!["connection", "upgrade"],
        ),
    ];
    for (status, lines, left) in rows {
        let text = format!("HTTP/1.1 {status}\r\n{lines}\r\n");
        let mut headers = HeaderMap::new();
        parse(&text.clone().into(), &Method::GET, &mut headers).unwrap();
        let names: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
        assert_eq!(names, left, "{text:?}");
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

const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 12\r\n\
                    Connection: keep-alive\r\nX-A: b\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 206 Partial\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n";
const WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    ":",
    ",",
    "\0",
    "0",
    "1",
    "-",
    "+",
    "chunked",
    "gzip, ",
    "identity",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: x\r\n",
    " folded",
    "HTTP/1.0 ",
    "HTTP/1.1 ",
    "204",
    "304",
    "101",
    "Connection: close\r\n",
    "\r\n\r\n",
];

/// A reading of its own, as narrow as it gets: whole lines, a name, a colon, a value, one way to
/// find the end. `None`: not a head that may be believed.
fn narrow(head: &[u8]) -> Option<(u16, Framing)> {
    let text = head.strip_suffix(b"\r\n\r\n")?;
    let text: String = text.iter().map(|b| char::from(*b)).collect();
    let mut lines = text.split("\r\n");
    let (version, rest) = lines.next()?.split_once(' ')?;
    let version = match version {
        "HTTP/1.1" => 1,
        "HTTP/1.0" => 0,
        _ => return None,
    };
    let status = rest.get(..3)?.parse().ok()?;
    let (mut lengths, mut codings) = (Vec::new(), Vec::new());
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let value = value.trim_matches([' ', '\t']).to_ascii_lowercase();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => lengths.push(value),
            "transfer-encoding" => codings.push(value),
            _ => {}
        }
    }
    let framing = match (&lengths[..], &codings[..]) {
        _ if (100..200).contains(&status) || matches!(status, 204 | 304) => Framing::None,
        ([], []) => Framing::ToEnd,
        ([length], []) => match length.parse().ok()? {
            0 => Framing::None,
            some => Framing::Length(some),
        },
        ([], [coding]) if coding == "chunked" && version == 1 => Framing::Chunked,
        _ => return None,
    };
    let whole = !text.replace("\r\n", "").contains(['\n', '\r']);
    whole.then_some((status, framing))
}

#[test]
fn the_narrow_reading_takes_what_is_good() {
    assert_eq!(narrow(GOOD.as_bytes()), Some((200, Framing::Length(12))));
    assert_eq!(narrow(CHUNKED.as_bytes()), Some((206, Framing::Chunked)));
}

proptest! {
    /// A head that is taken says the same to the narrow reading: the same status and the same end
    /// of its body. Everything else is refused, or not whole yet.
    #[test]
    fn any_bytes_that_are_taken_have_one_reading(
        chunked in any::<bool>(),
        changes in edits(WORDS),
        behind in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let good = if chunked { CHUNKED } else { GOOD };
        let mut all = apply(good.as_bytes(), &changes);
        all.extend_from_slice(&behind);
        let bytes = Bytes::from(all);
        let mut headers = HeaderMap::new();
        if let Ok(Some((head, length))) = parse(&bytes, &Method::GET, &mut headers) {
            let told = narrow(&bytes[..length]);
            let taken = (head.status.as_u16(), head.framing);
            prop_assert_eq!(told, Some(taken));
            prop_assert!(head.status.as_u16() == 101 || !headers.contains_key("transfer-encoding"));
        }
    }
}
