//! Compression by what the client takes, and only where it may be.

use crate::support::{World, flowing, on_a_worker};
use bytes::Bytes;
use hyper::Response;
use std::io::Read;

fn body() -> String {
    "flash sale ".repeat(200)
}

fn plain(headers: &str) -> String {
    format!(
        "200\nContent-Type: text/html; charset=utf-8\n{headers}\n\n{}",
        body()
    )
}

fn unpacked(coding: &str, bytes: &[u8]) -> String {
    let mut text = String::new();
    match coding {
        "br" => brotli::Decompressor::new(bytes, 4_096)
            .read_to_string(&mut text)
            .unwrap(),
        "gzip" => flate2::read::GzDecoder::new(bytes)
            .read_to_string(&mut text)
            .unwrap(),
        _ => {
            text = String::from_utf8(bytes.to_vec()).unwrap();
            0
        }
    };
    text
}

#[test]
fn the_form_that_the_client_likes_best() {
    let rows = [
        ("", ""),
        ("gzip", "gzip"),
        ("X-GZIP", "gzip"),
        ("gzip, br", "br"),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("gzip;q=0, br;q=0", ""),
        ("*", "br"),
        ("*, br;q=0", "gzip"),
        ("*;q=0", ""),
        ("identity, gzip;q=0.5", ""),
        ("identity;q=0.5, gzip", "gzip"),
        ("gzip;q=nonsense", ""),
        ("gzip;q=2", ""),
        ("deflate, zstd", ""),
        ("gzip ; Q=0.3 , br ; q=0.2", "gzip"),
    ];
    on_a_worker(async {
        let kept = World::with(|route| route.compression = true);
        for (accepts, coding) in rows {
            let own = World::with(|route| route.compression = true);
            let asked = format!("GET /a\nAccept-Encoding: {accepts}");
            let keep = plain("Cache-Control: max-age=10\nETag: \"1\"\nAccept-Ranges: bytes");
            let once = plain("Cache-Control: private\nETag: \"1\"\nAccept-Ranges: bytes");
            for got in [kept.get(&asked, &keep).await, own.get(&asked, &once).await] {
                assert_eq!(got.header("content-encoding"), coding, "{accepts}");
                assert_eq!(unpacked(coding, &got.body), body(), "{accepts}");
                assert_eq!(got.header("vary"), "Accept-Encoding");
                let etag = if coding.is_empty() {
                    "\"1\""
                } else {
                    "W/\"1\""
                };
                assert_eq!(got.header("etag"), etag, "{accepts}");
                assert_eq!(got.headers.contains_key("accept-ranges"), coding.is_empty());
                let length = got.header("content-length");
                assert!(length.is_empty() || length == got.body.len().to_string());
            }
        }
        assert_eq!(kept.sent.borrow().len(), 1, "one answer serves all of them");
        // One plain answer, two forms of it.
        assert_eq!(kept.cache.entries(), 3);
        let same = kept
            .get("GET /a\nAccept-Encoding: br\nIf-None-Match: \"1\"", "500")
            .await;
        assert_eq!(
            (same.status, same.header("vary").as_str()),
            (304, "Accept-Encoding")
        );
    });
}

#[test]
fn what_is_not_compressed() {
    let html = |extra: &str| plain(extra);
    let kind = |kind: &str| format!("200\nContent-Type: {kind}\n\n{}", body());
    let rows = [
        (html("Content-Encoding: zstd"), false),
        (html("Cache-Control: No-Transform"), false),
        (html("Content-Range: bytes 0-1/2"), false),
        (html("Digest: x"), false),
        (html("X: y"), true),
        (kind("image/png"), false),
        (kind("text/event-stream"), false),
        (kind("application/problem+json"), true),
        (kind("image/svg+xml"), true),
        (kind("application/octet-stream"), false),
        (format!("200\n\n{}", body()), false),
        ("200\nContent-Type: text/html\n\nshort".to_owned(), false),
    ];
    on_a_worker(async {
        for (upstream, packed) in rows {
            for control in ["private", "max-age=9"] {
                let w = World::with(|route| route.compression = true);
                let upstream = upstream.replacen('\n', &format!("\nCache-Control: {control}\n"), 1);
                let got = w.get("GET /a\nAccept-Encoding: br", &upstream).await;
                let coding = got.header("content-encoding");
                assert_eq!(coding == "br", packed, "{control} {}", &upstream[..60]);
                assert_eq!(
                    got.headers.contains_key("vary"),
                    packed || coding == "zstd" && control == "max-age=9"
                );
            }
        }
        let off = World::new();
        let got = off
            .get(
                "GET /a\nAccept-Encoding: br",
                &plain("Cache-Control: max-age=9"),
            )
            .await;
        assert_eq!(got.text(), body());
    });
}

#[test]
fn a_body_of_unknown_length_flows_on() {
    on_a_worker(async {
        let w = World::with(|route| route.compression = true);
        let pieces = vec![Bytes::from(body()); 2];
        let upstream = move || {
            let builder = Response::builder().header("content-type", "text/html");
            Ok(builder.body(flowing(pieces, false)).unwrap())
        };
        let got = w
            .fetch("GET /a\nAccept-Encoding: br", upstream)
            .await
            .unwrap();
        assert_eq!(got.text(), body().repeat(2));
    });
}

#[test]
fn a_large_kept_body_is_compressed_aside_and_revalidated_forms_stay() {
    on_a_worker(async {
        let w = World::with(|route| {
            route.compression = true;
            route.answer_bytes = 1 << 20;
        });
        let large = body().repeat(50);
        let upstream = format!(
            "200\nContent-Type: text/html\nETag: \"1\"\nCache-Control: max-age=9\n\n{large}"
        );
        let got = w.get("GET /a\nAccept-Encoding: gzip", &upstream).await;
        assert_eq!(unpacked(&got.header("content-encoding"), &got.body), large);
        assert_eq!(
            (got.header("content-encoding").as_str(), w.cache.entries()),
            ("gzip", 2)
        );
        w.pass(10_000);
        let again = w
            .get("GET /a\nAccept-Encoding: gzip", "304\nETag: \"1\"")
            .await;
        assert_eq!((again.body == got.body, w.cache.entries()), (true, 2));
    });
}

#[test]
fn what_the_upstream_compressed_is_kept_for_those_who_can_read_it() {
    on_a_worker(async {
        let w = World::new();
        let upstream = "200\nCache-Control: max-age=9\nContent-Encoding: gzip\n\nzipped";
        let first = w
            .get("GET /a\nAccept-Encoding: gzip, deflate, br, zstd", upstream)
            .await;
        assert_eq!(
            (first.asked, w.last_sent("accept-encoding").as_str()),
            (true, "br, gzip")
        );
        let got = w
            .get("GET /a\nAccept-Encoding: br;q=0.9, gzip", "200\n\nno")
            .await;
        assert_eq!(got.short(), (false, "zipped"));
        let got = w
            .get("GET /a", "200\nCache-Control: max-age=9\n\nplain")
            .await;
        assert_eq!(
            (got.short(), w.last_sent("accept-encoding").as_str()),
            ((true, "plain"), "")
        );
    });
}
