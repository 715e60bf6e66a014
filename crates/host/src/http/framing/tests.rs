//! Heads that two programs could read differently.

use super::{Framing, Head, Length};
use crate::limits::HEAD_BYTES_MAX;
use hyper::StatusCode;
use proptest::prelude::*;

const BAD: Option<StatusCode> = Some(StatusCode::BAD_REQUEST);

/// All heads that these bytes hold, sent in the given pieces.
fn heads<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Head> {
    let framing = Framing::new(HEAD_BYTES_MAX);
    pieces.into_iter().for_each(|piece| framing.received(piece));
    let later = framing.later.take();
    framing.next.get().into_iter().chain(later).collect()
}

fn one(head: &str) -> Head {
    let all = heads([head.as_bytes()]);
    assert_eq!(all.len(), 1, "{head:?}");
    all[0]
}

#[test]
fn what_decides_framing() {
    let ok = |length, hosts| Head {
        length,
        hosts,
        refused: None,
    };
    let no = |length, refused| Head {
        length,
        hosts: 0,
        refused,
    };
    use Length::{Chunked, Known};
    let not_implemented = Some(StatusCode::NOT_IMPLEMENTED);
    let rows = [
        ("no body", "Host: a\r\n", ok(Known(0), 1)),
        ("a length", "content-length:7\r\n", ok(Known(7), 0)),
        (
            "blanks around it",
            "Content-Length: \t7 \r\n",
            ok(Known(7), 0),
        ),
        (
            "the longest",
            "Content-Length: 18446744073709551615\r\n",
            ok(Known(u64::MAX), 0),
        ),
        (
            "too long",
            "Content-Length: 18446744073709551616\r\n",
            no(Known(0), BAD),
        ),
        ("no digits", "Content-Length:\r\n", no(Known(0), BAD)),
        ("a sign", "Content-Length: +7\r\n", no(Known(0), BAD)),
        ("a list", "Content-Length: 7, 7\r\n", no(Known(0), BAD)),
        (
            "twice the same",
            "Content-Length: 7\r\nContent-Length: 7\r\n",
            no(Known(7), BAD),
        ),
        ("chunks", "Transfer-Encoding: Chunked\r\n", ok(Chunked, 0)),
        (
            "another coding",
            "Transfer-Encoding: gzip, chunked\r\n",
            no(Chunked, not_implemented),
        ),
        (
            "both",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            no(Chunked, BAD),
        ),
        (
            "both, hidden coding",
            "Transfer-Encoding: x\r\nContent-Length: 1\r\n",
            no(Chunked, BAD),
        ),
        (
            "a bare line feed",
            "X: y\nContent-Length: 3\r\n",
            no(Known(3), BAD),
        ),
        (
            "names that only begin alike",
            "Hosts: a\r\nContent-Lengths: 3\r\n",
            ok(Known(0), 0),
        ),
        (
            "three hosts",
            "Host: a\r\nhost: a\r\nHOST: b\r\n",
            ok(Known(0), 2),
        ),
        ("an address as host", "Host: [::1]:80\r\n", ok(Known(0), 1)),
    ];
    for (what, lines, expected) in rows {
        assert_eq!(
            one(&format!("GET / HTTP/1.1\r\n{lines}\r\n")),
            expected,
            "{what}"
        );
    }
    for host in ["a/b", "u@a", "a b", "a?b", "\u{e4}", "a\"b"] {
        let head = one(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(head.refused, BAD, "{host}");
    }
    assert_eq!(one("GET /#x HTTP/1.1\r\n\r\n").refused, BAD);
    let long = "x".repeat(crate::limits::TARGET_BYTES_MAX);
    let head = one(&format!("GET /{long} HTTP/1.1\r\n\r\n"));
    assert_eq!(head.refused, Some(StatusCode::URI_TOO_LONG));
}

const STREAM: &str = "\r\nPOST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nGET / \r\n\r\n\
    GET /b HTTP/1.1\r\nhost: a\r\nHost: b\r\n\r\n\
    POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /never HTTP/1.1\r\n\r\n";

#[test]
fn a_stream_means_the_same_however_it_is_cut() {
    let whole = heads([STREAM.as_bytes()]);
    let lengths: Vec<_> = whole.iter().map(|head| head.length).collect();
    let expected = [Length::Known(9), Length::Known(0), Length::Chunked];
    assert_eq!(
        lengths, expected,
        "a body is no head, and nothing follows chunks"
    );
    for cut in 0..STREAM.len() {
        let (a, b) = STREAM.as_bytes().split_at(cut);
        assert_eq!(heads([a, b]), whole, "cut at {cut}");
    }
    assert_eq!(heads(STREAM.as_bytes().chunks(1)), whole, "byte by byte");
}

#[test]
fn readings_that_differ_are_no_request() {
    let framing = Framing::new(HEAD_BYTES_MAX);
    assert_eq!(framing.next(Some(0)), None, "nothing has been received");
    framing.received(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nabGET / HTTP/1.1\r\n\r\n");
    assert!(framing.next(Some(2)).is_some());
    assert_eq!(framing.next(Some(1)), None, "another length");
    framing.received(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(framing.next(Some(0)), None, "a length instead of chunks");
}

#[test]
fn what_is_kept_is_bounded() {
    let framing = Framing::new(HEAD_BYTES_MAX);
    let endless = [b'x'; 4 * 1_024];
    (0..64).for_each(|_| framing.received(&endless));
    assert!(framing.part.borrow().len() <= 2 * HEAD_BYTES_MAX);
    framing.received(b"\r\n\r\n");
    assert_eq!(framing.next(Some(0)), None);

    let framing = Framing::new(HEAD_BYTES_MAX);
    (0..10_000).for_each(|_| framing.received(b"GET / HTTP/1.1\r\n\r\n"));
    assert_eq!(
        framing.later.borrow().len(),
        crate::limits::PIPELINED_HEADS_MAX
    );
    assert_eq!(framing.next(Some(0)), None);
}

proptest! {
    /// Any bytes, seeded with what heads are made of: no panic, and cutting changes nothing.
    #[test]
    fn any_bytes_however_they_are_cut(
        parts in prop::collection::vec(
            prop_oneof![
                Just(b"\r\n".to_vec()), Just(b"\n".to_vec()), Just(b"\r\n\r\n".to_vec()),
                Just(b"GET / HTTP/1.1".to_vec()), Just(b"Content-Length: 3".to_vec()),
                Just(b"Transfer-Encoding: chunked".to_vec()), Just(b"Host: h".to_vec()),
                prop::collection::vec(any::<u8>(), 0..8),
            ],
            0..24,
        ),
        size in 1_usize..16,
    ) {
        let bytes = parts.concat();
        prop_assert_eq!(heads([&bytes[..]]), heads(bytes.chunks(size)));
    }
}
