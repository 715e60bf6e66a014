//! The request cases of another parser's test suite, as raw bytes at our door.
//!
//! A case holds bytes and what that parser made of them. Ours may only differ where
//! `EXPLAINED` says why; a difference that is not named there, or a name without a difference,
//! fails. Cases come from the folder of real data; without it the test says so and passes.

use crate::strict::Door;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// One case: where it stands, how lenient that parser was told to be, bytes, its notes.
struct Case {
    name: String,
    kind: String,
    bytes: Vec<u8>,
    log: String,
}

/// What that parser says, and what we do.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    /// Messages that were read to their end.
    whole: usize,
    refused: bool,
}

/// Differences by name, with the reason.
const EXPLAINED: &[(&str, &str)] = &[
    (
        "connection: Parsing multiple tokens Multiple tokens with folding and LWS",
        TUNNEL,
    ),
    ("connection: `upgrade` Upgrade GET request", TUNNEL),
    ("connection: `upgrade` Upgrade POST request", TUNNEL),
    (
        "connection: `close` CRLF between requests, explicit `close`",
        LAST,
    ),
    (
        "connection: `close` CRLF between requests, explicit `close` followed by tab",
        LAST,
    ),
    (
        "connection: `keep-alive` No restart when keep-alive is off (1.0)",
        LAST,
    ),
    ("method: ANNOUNCE request with RTSP", "RTSP is not HTTP"),
    ("method: OPTIONS request with RTSP", "RTSP is not HTTP"),
    ("method: SOURCE request with ICE", "ICE is not HTTP"),
    ("method: CONNECT request", CONNECT),
    ("method: CONNECT request with CAPS", CONNECT),
    ("method: CONNECT with body", CONNECT),
    ("uri: Underscore in hostname", CONNECT),
    ("method: M-SEARCH request", STAR),
    ("method: PRI request HTTP2", STAR),
    ("sample: No HTTP version", "HTTP/0.9 is not served"),
    (
        "uri: Fragment in URI",
        "a target has no fragment (RFC 9112, 3.2)",
    ),
    (
        "uri: Quotes in URI",
        "a quotation mark does not stand in a target (RFC 3986, 2)",
    ),
    (
        "uri: `host:port` and basic auth",
        "an authority has no user (RFC 9110, 4.2.4)",
    ),
];
const TUNNEL: &str = "nothing was upgraded, so what follows is the next request, and refused";
const LAST: &str = "what follows the last request of a connection is never read";
const CONNECT: &str = "answered 501: a front door opens no tunnels";
const STAR: &str = "a star is a target for OPTIONS only (RFC 9112, 3.2.4)";

#[test]
fn every_case_is_judged_alike_or_explained() {
    let data = std::env::var_os("SEAWALL_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        Into::into,
    );
    let archive = data.join("llhttp-cases-dev.tar.xz");
    if !archive.is_file() {
        eprintln!("skipped: no real data at {}", archive.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let unpacked = Command::new("tar")
        .arg("-xf")
        .arg(&archive)
        .arg("-C")
        .arg(folder.path())
        .status();
    assert!(
        unpacked.unwrap().success(),
        "tar cannot unpack {}",
        archive.display()
    );
    let mut cases = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(folder.path().join("test/request"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in &files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        cases.extend(cases_in(name, &std::fs::read_to_string(file).unwrap()));
    }
    assert!(cases.len() > 70, "only {} cases were found", cases.len());
    for case in &mut cases {
        case.name = case.name.trim().to_owned();
    }

    let door = Door::open();
    // As they are: a request of HTTP/1.1 without a host is refused, whatever else it is.
    let as_they_are: Vec<_> = cases.iter().map(|case| case.bytes.clone()).collect();
    for (case, (statuses, seen)) in cases.iter().zip(door.knock(&as_they_are)) {
        if first_lacks_host(&case.bytes) {
            assert!(
                seen.is_empty() && !statuses.contains(&200),
                "{}: {seen:?}",
                case.name
            );
        }
    }
    let with_hosts: Vec<_> = cases.iter().map(|case| with_hosts(&case.bytes)).collect();
    let mut differ = BTreeMap::new();
    for (case, (statuses, seen)) in cases.iter().zip(door.knock(&with_hosts)) {
        let (theirs, ours) = (verdict_of(&case.log), verdict(&statuses, seen.len()));
        let strict = case.kind == "request";
        // What that parser takes only when told to be lenient, we may refuse.
        if theirs != ours && (strict || ours.whole > theirs.whole) {
            differ.insert(
                case.name.clone(),
                format!("{theirs:?}; ours {statuses:?} {seen:?}"),
            );
        }
    }
    let explained: BTreeMap<_, _> = EXPLAINED.iter().copied().collect();
    let mut unexplained = 0;
    for (name, difference) in &differ {
        let why = explained.get(name.as_str()).copied().unwrap_or_else(|| {
            unexplained += 1;
            "NOT EXPLAINED"
        });
        println!("{name}\n    theirs {difference}\n    {why}");
    }
    println!(
        "{} cases, {} differ, {unexplained} unexplained",
        cases.len(),
        differ.len()
    );
    assert_eq!(unexplained, 0);
    let idle: Vec<_> = explained
        .keys()
        .filter(|name| !differ.contains_key(**name))
        .collect();
    assert!(idle.is_empty(), "explained, but no different: {idle:?}");
}

fn cases_in(file: &str, text: &str) -> Vec<Case> {
    let (mut cases, mut heading, mut sub, mut kind) = (Vec::new(), "", "", String::new());
    let mut lines = text.lines().peekable();
    let mut bytes = None;
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("### ") {
            sub = title;
        } else if let Some(title) = line.strip_prefix("## ") {
            (heading, sub) = (title, "");
        } else if let Some(rest) = line.split_once("\"type\":").map(|(_, rest)| rest) {
            kind = rest.split('"').nth(1).unwrap().to_owned();
        } else if line == "```http" {
            let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            bytes = Some(unescape(&block.join("\n")));
        } else if line == "```log" {
            let log: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            cases.push(Case {
                name: [&format!("{file}:"), heading, sub]
                    .join(" ")
                    .replace("  ", " "),
                kind: kind.clone(),
                bytes: bytes.take().unwrap(),
                log: log.join("\n"),
            });
        }
    }
    cases
}

/// Line ends become CRLF; a backslash before one takes it away; the usual escapes.
fn unescape(block: &str) -> Vec<u8> {
    let joined = block.replace("\\\n", "").replace('\n', "\r\n");
    let mut bytes = Vec::new();
    let mut rest = joined.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let escaped = match (byte, after.first()) {
            (b'\\', Some(b'r')) => b'\r',
            (b'\\', Some(b'n')) => b'\n',
            (b'\\', Some(b't')) => b'\t',
            (b'\\', Some(b'f')) => 0x0c,
            (b'\\', Some(b'x')) => {
                let hex = std::str::from_utf8(&after[1..3]).unwrap();
                rest = &after[2..];
                u8::from_str_radix(hex, 16).unwrap()
            }
            _ => {
                bytes.push(byte);
                continue;
            }
        };
        bytes.push(escaped);
        rest = &rest[1..];
    }
    bytes
}

fn verdict_of(log: &str) -> Verdict {
    // A pause is an order of its test, not a judgement.
    let refused = |line: &str| line.contains("error code=") && !line.contains("ause");
    Verdict {
        whole: log
            .lines()
            .filter(|line| line.ends_with(" message complete"))
            .count(),
        refused: log.lines().any(refused),
    }
}

/// 408 is our way to say that more was expected; no parser refuses for that.
fn verdict(statuses: &[u16], whole: usize) -> Verdict {
    Verdict {
        whole,
        refused: statuses
            .iter()
            .any(|status| *status >= 400 && *status != 408),
    }
}

fn first_lacks_host(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let head = text.split("\r\n\r\n").next().unwrap();
    head.contains(" http/1.1\r\n") && !head.contains("\nhost:")
}

/// Gives each request of HTTP/1.1 a host, if it has none, right behind its first line.
fn with_hosts(bytes: &[u8]) -> Vec<u8> {
    const LINE_END: &[u8] = b" HTTP/1.1\r\n";
    let mut result = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest
        .windows(LINE_END.len())
        .position(|window| window == LINE_END)
    {
        let (line, after) = rest.split_at(at + LINE_END.len());
        result.extend_from_slice(line);
        let head = String::from_utf8_lossy(after).to_ascii_lowercase();
        let head = head.split("\r\n\r\n").next().unwrap().to_owned();
        if !head.starts_with("host:") && !head.contains("\nhost:") {
            result.extend_from_slice(b"Host: t\r\n");
        }
        rest = after;
    }
    result.extend_from_slice(rest);
    result
}
