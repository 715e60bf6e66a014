//! Bodies cut at every byte.

use super::{Decoder, Piece};
use crate::proxy::error::Malformed;
use crate::proxy::response::Framing;
use bytes::Bytes;
use proptest::prelude::*;

/// Feeds the pieces; all data, whether it is done, and what was left.
fn decode(framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, usize), Malformed> {
    let mut decoder = Decoder::new(framing);
    let mut data = Vec::new();
    let mut left = 0;
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match decoder.next(&mut input)? {
                Piece::Data(some) => {
                    assert!(
                        !some.is_empty(),
                        "an empty piece would be taken for the end"
                    );
                    data.extend_from_slice(&some);
                }
                Piece::Trailers(_) => {}
                Piece::More => break,
                Piece::Done => {
                    left += input.len();
                    break;
                }
            }
        }
    }
    Ok((data, decoder.is_done(), left))
}

#[test]
fn malformed_chunks_are_refused() {
    let rows: [&[u8]; 14] = [
        b"\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b" 1\r\na\r\n0\r\n\r\n",
        b"1 \r\na\r\n0\r\n\r\n",
        b"1\na\r\n0\r\n\r\n",
        b"1\r\na\n0\r\n\r\n",
        b"1\r\nab\r\n0\r\n\r\n",
        b"1;a\nb\r\na\r\n0\r\n\r\n",
        b"00000000000000001\r\na\r\n0\r\n\r\n",
        b"1\r\ra\r\n0\r\n\r\n",
        b"0\r\nno trailer\r\n\r\n",
    ];
    for row in rows {
        let text = String::from_utf8_lossy(row);
        assert!(decode(Framing::Chunked, &[row]).is_err(), "{text:?}");
    }
}

#[test]
fn trailers_keep_what_is_theirs() {
    let mut decoder = Decoder::new(Framing::Chunked);
    let mut input = Bytes::from_static(
        b"0\r\nX-Sum: 1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: evil\r\n\r\n",
    );
    let Ok(Piece::Trailers(trailers)) = decoder.next(&mut input) else {
        panic!("no trailers");
    };
    assert_eq!(trailers.len(), 1);
    assert_eq!(trailers["x-sum"], "1");
    assert!(decoder.is_done());
}

#[test]
fn extensions_are_bounded() {
    let long = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(10_000));
    assert_eq!(
        decode(Framing::Chunked, &[long.as_bytes()]),
        Err(Malformed::Chunk)
    );
}

proptest! {
    /// However chunks and reads are cut, the data is the same, and what follows is left alone.
    #[test]
    fn cuts_do_not_matter(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..6),
        cuts in prop::collection::vec(1_usize..40, 1..20),
        behind in prop::collection::vec(any::<u8>(), 0..5),
    ) {
        let mut wire = Vec::new();
        for chunk in &chunks {
            wire.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        wire.extend_from_slice(&behind);
        let (mut pieces, mut rest, mut n) = (Vec::new(), &wire[..], 0);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(cuts[n % cuts.len()].min(rest.len()));
            pieces.push(piece);
            (rest, n) = (after, n + 1);
        }
        let whole = chunks.concat();
        prop_assert_eq!(decode(Framing::Chunked, &pieces), Ok((whole.clone(), true, behind.len())));
        let framing = Framing::Length(whole.len() as u64);
        prop_assume!(!whole.is_empty());
        prop_assert_eq!(decode(framing, &[&whole, &behind]), Ok((whole, true, behind.len())));
    }

    /// Whatever comes: an error or not, but never a panic, and never more than there was.
    #[test]
    fn anything_may_come(wire in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok((data, _, _)) = decode(Framing::Chunked, &[&wire]) {
            prop_assert!(data.len() <= wire.len());
        }
    }
}
