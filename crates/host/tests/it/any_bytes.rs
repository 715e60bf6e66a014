//! Streams of requests, changed in every way, at the real listener: what reaches the service is
//! what a narrow reading of the same bytes finds, request by request, or it is nothing. A proxy in
//! front that reads by the letter can never be made to see other requests than we serve.
//! More streams: `PROPTEST_CASES`.

use crate::mutate::{apply, edits};
use crate::strict::Door;
use crate::support::raise_descriptors;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

const STREAM: &str = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde\
    GET /b?c=d HTTP/1.1\r\nHost: h\r\nX-Y: z\r\n\r\n\
    POST /e HTTP/1.1\r\nHost: i\r\nContent-Length: 27\r\n\r\nGET /never HTTP/1.1\r\nHost: \r\n\
    POST /f HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";

const WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "\n\n",
    " ",
    "\t",
    ":",
    ",",
    "\0",
    "\u{b}",
    "0",
    "1",
    "+",
    "-",
    "0x5",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Content-Length : 9\r\n",
    "content-length:3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding:\u{b}chunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    " chunked",
    "chunked, ",
    "X: \r\n y\r\n",
    "Host: h\r\n",
    "Host: x/y\r\n",
    "Connection: close\r\n",
    "Expect: 100-continue\r\n",
    "HTTP/1.0",
    "HTTP/1.1",
    "HTTP/2.0",
    "#",
    "5;a=b",
    "ffffffffffffffff1",
    "GET /x HTTP/1.1\r\nHost: h\r\n\r\n",
    "Trailer: a\r\n",
];

/// Streams to a batch: they wait for the silence at their end together.
const BATCH: usize = 256;

/// The requests of a stream by the letter of RFC 9112, up to the first place where two readings
/// are possible or something is missing.
fn narrow(mut bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let Some((request, rest, is_last)) = one(bytes) {
        found.push(request);
        bytes = rest;
        if is_last {
            break;
        }
    }
    found
}

fn one(mut bytes: &[u8]) -> Option<(String, &[u8], bool)> {
    while let Some(rest) = bytes.strip_prefix(b"\r\n") {
        bytes = rest;
    }
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head: String = bytes[..end].iter().map(|byte| char::from(*byte)).collect();
    let rest = &bytes[end + 4..];
    let mut lines = head.split("\r\n");
    let line: Vec<&str> = lines.next()?.split(' ').collect();
    let [method, target, version] = line[..] else {
        return None;
    };
    if head.replace("\r\n", "").contains(['\n', '\r', '\0']) {
        return None;
    }
    let (mut hosts, mut lengths, mut codings) = (Vec::new(), Vec::new(), Vec::new());
    let mut is_last = version == "HTTP/1.0";
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let is_token =
            |letter: char| letter.is_ascii_graphic() && !"\"(),/:;<=>?@[\\]{}".contains(letter);
        if name.is_empty() || !name.chars().all(is_token) {
            return None;
        }
        let value = value.trim_matches([' ', '\t']);
        match name.to_ascii_lowercase().as_str() {
            "host" => hosts.push(value),
            "content-length" => lengths.push(value),
            "transfer-encoding" => codings.push(value.to_ascii_lowercase()),
            "connection" => is_last |= value.to_ascii_lowercase().contains("close"),
            _ => {}
        }
    }
    let (body, rest) = match (&lengths[..], &codings[..]) {
        ([], []) => (0, rest),
        ([length], []) if length.bytes().all(|b| b.is_ascii_digit()) => {
            let length = length.parse().ok()?;
            (length, rest.get(length..)?)
        }
        ([], [coding]) if coding == "chunked" && version == "HTTP/1.1" => {
            is_last = true;
            (chunks(rest)?, &rest[rest.len()..])
        }
        _ => return None,
    };
    let host = match (&hosts[..], version) {
        ([host], _) => host,
        ([], "HTTP/1.0") => "-",
        _ => return None,
    };
    Some((format!("{method} {target} {host} {body}"), rest, is_last))
}

/// Bytes of a chunked body that is whole; extensions and trailers are passed over.
fn chunks(mut bytes: &[u8]) -> Option<usize> {
    let mut sum = 0_usize;
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let line = std::str::from_utf8(&bytes[..end]).ok()?;
        let digits = line.split(';').next()?.trim_end_matches([' ', '\t']);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let length = usize::from_str_radix(digits, 16).ok()?;
        bytes = &bytes[end + 2..];
        if length == 0 {
            let whole =
                bytes.starts_with(b"\r\n") || bytes.windows(4).any(|four| four == b"\r\n\r\n");
            return whole.then_some(sum);
        }
        sum += length;
        bytes = bytes.get(length..)?.strip_prefix(b"\r\n")?;
    }
}

#[test]
fn what_is_served_is_what_the_letter_says() {
    raise_descriptors();
    let door = Door::open();
    let good = STREAM.as_bytes().to_vec();
    let whole = [
        "POST /a h 5",
        "GET /b?c=d h 0",
        "POST /e i 27",
        "POST /f h 5",
    ];
    assert_eq!(narrow(&good), whole);
    assert_eq!(door.knock(std::slice::from_ref(&good))[0].1, whole);

    let mut runner = TestRunner::default();
    let random = prop::collection::vec(any::<u8>(), 0..200);
    let stream = (edits(WORDS), random).prop_map(|(edits, random)| {
        let changed = apply(STREAM.as_bytes(), &edits);
        if edits.len() == 5 { random } else { changed }
    });
    let (mut served, mut cut_short) = (0, 0);
    let batches = (runner.config().cases as usize).div_ceil(BATCH);
    for _ in 0..batches {
        let mut streams = Vec::new();
        for _ in 0..BATCH {
            streams.push(stream.new_tree(&mut runner).unwrap().current());
        }
        for (bytes, (statuses, seen)) in streams.iter().zip(door.knock(&streams)) {
            let told = narrow(bytes);
            let text = String::from_utf8_lossy(bytes);
            assert!(
                told.starts_with(&seen),
                "served {seen:?}, by the letter {told:?} in {text:?}"
            );
            let answered = statuses.iter().filter(|status| **status == 200).count();
            assert!(
                answered <= seen.len(),
                "{statuses:?} for {seen:?} in {text:?}"
            );
            served += seen.len();
            cut_short += usize::from(seen.len() < whole.len());
        }
    }
    // Both happened often enough to mean something.
    assert!(served > batches * BATCH / 4, "{served} served");
    assert!(cut_short > batches * BATCH / 4, "{cut_short} cut short");
}
