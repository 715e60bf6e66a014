//! Answers that the door compresses, as clients like it.

use crate::gateway::{Gate, Upstream};
use crate::http::Answer;

fn long() -> String {
    "A lamp for the desk, with a switch. ".repeat(200)
}

fn gate(upstream: &Upstream) -> Gate {
    let route = |name: &str, target: &str, more: &str| {
        let path = format!("match: {{path: {{prefix: /{name}}}}}");
        format!("  - {{name: {name}, {path}, target: {{{target}}}{more}}}\n")
    };
    let shop = "upstream: shop";
    let routes = format!(
        "routes:\n{}{}{}{}",
        route("packed", shop, ", compression: true"),
        route(
            "kept",
            shop,
            ", compression: true, cache: {mode: fixed, ttl: 1h}"
        ),
        route("file", "static: {file: long.txt}", ", compression: true"),
        route("plain", shop, ""),
    );
    let text = format!("{routes}{}", upstream.pool("shop", ""));
    Gate::with_files(&text, &[("long.txt", &long())])
}

fn tagged() -> Upstream {
    let head = "Content-Type: text/plain\r\nETag: \"v1\"\r\n";
    Upstream::saying_all(move |_| (200, head.to_owned(), long()))
}

fn asked(gate: &Gate, path: &str, accepts: &str) -> Answer {
    let headers = [("Accept-Encoding", accepts)];
    gate.client().send("GET", path, &headers, b"")
}

#[test]
fn a_client_gets_the_coding_that_it_likes_and_caches_are_told() {
    let upstream = tagged();
    let gate = gate(&upstream);
    let whole = long().len();
    for path in ["/packed", "/kept", "/file"] {
        let vary = |answer: &Answer| {
            let vary = answer.header("vary").unwrap_or_default().to_lowercase();
            assert_eq!(vary, "accept-encoding", "{path}");
        };
        for accepts in ["", "identity", "gzip;q=0, br;q=0"] {
            let answer = asked(&gate, path, accepts);
            assert_eq!(answer.header("content-encoding"), None, "{path} {accepts}");
            assert_eq!(answer.text(), long(), "{path}");
            vary(&answer);
        }
        for (accepts, coding) in [
            ("gzip", "gzip"),
            ("gzip, deflate, br", "br"),
            ("br;q=0.2, gzip", "gzip"),
        ] {
            let answer = asked(&gate, path, accepts);
            assert_eq!(
                answer.header("content-encoding"),
                Some(coding),
                "{path} {accepts}"
            );
            assert!(
                answer.body.len() < whole / 4,
                "{path}: {}",
                answer.body.len()
            );
            let is_gzip = answer.body.starts_with(&[0x1f, 0x8b]);
            assert_eq!(is_gzip, coding == "gzip", "{path}");
            vary(&answer);
            // A file has no tag; of the others it says that the meaning is the same.
            let tag = (path != "/file").then_some("W/\"v1\"");
            assert_eq!(answer.header("etag"), tag, "{path}");
        }
    }
    let plain = asked(&gate, "/plain", "gzip, br");
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.header("vary"), None);
    assert_eq!(plain.header("etag"), Some("\"v1\""));
}

#[test]
fn a_kept_answer_is_fetched_once_for_all_codings() {
    let upstream = tagged();
    let gate = gate(&upstream);
    for accepts in ["gzip", "br", "gzip", "br", "gzip"] {
        // Who takes both forms is one kind of client; each kind is fetched for itself.
        let answer = asked(&gate, "/kept", &format!("{accepts}, gzip, br"));
        assert_eq!(answer.status, 200);
    }
    assert_eq!(upstream.seen().len(), 1);
    let had = [
        ("Accept-Encoding", "gzip, br"),
        ("If-None-Match", "W/\"v1\""),
    ];
    let answer = gate.client().send("GET", "/kept", &had, b"");
    assert_eq!((answer.status, answer.body.len()), (304, 0));
}
