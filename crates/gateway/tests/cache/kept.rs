//! What is kept, under what, and how it is given.

use crate::support::{World, answer, cache, flowing, on_a_worker, route};
use bytes::Bytes;
use gateway::cache::CacheSettings;
use hyper::Response;
use std::sync::Arc;
use std::time::Duration;

const GOOD: &str = "200\nCache-Control: max-age=10\nETag: \"1\"\nSurrogate-Key: a b\n\none";

#[test]
fn fresh_then_revalidated_then_new() {
    on_a_worker(async {
        let w = World::new();
        let first = w.get("GET /a", GOOD).await;
        assert_eq!(first.short(), (true, "one"));
        assert_eq!(
            first.header("cache-status"),
            "seawall; fwd=uri-miss; fwd-status=200; stored; ttl=10"
        );
        assert_eq!(
            first.header("surrogate-key"),
            "",
            "said to us, not to clients"
        );
        w.pass(9_000);
        let second = w.get("GET /a", "200\n\ntwo").await;
        assert_eq!(second.short(), (false, "one"));
        assert_eq!(
            (
                second.header("age").as_str(),
                second.header("etag").as_str()
            ),
            ("9", "\"1\"")
        );
        assert_eq!(second.header("cache-status"), "seawall; hit; ttl=1");
        w.pass(2_000);
        let third = w
            .get(
                "GET /a",
                "304\nCache-Control: max-age=20\nETag: W/\"1\"\nX-New: y",
            )
            .await;
        assert_eq!((third.status, third.short()), (200, (true, "one")));
        assert_eq!(w.last_sent("if-none-match"), "\"1\"");
        assert_eq!(
            third.header("cache-status"),
            "seawall; fwd=stale; fwd-status=304; stored; ttl=20"
        );
        assert_eq!(
            (third.header("age").as_str(), third.header("x-new").as_str()),
            ("0", "y")
        );
        w.pass(19_000);
        assert_eq!(w.get("GET /a", "200\n\nno").await.short(), (false, "one"));
        w.pass(2_000);
        assert_eq!(
            w.get("GET /a", GOOD.replace("one", "new").as_str())
                .await
                .short(),
            (true, "new")
        );
        assert_eq!(w.get("GET /a", "200\n\nno").await.short(), (false, "new"));
    });
}

#[test]
fn what_may_not_be_kept_is_not() {
    let rows = [
        ("", "200\n\nx"),
        ("", "200\nCache-Control: No-Store, max-age=9\n\nx"),
        ("", "200\nCache-Control: private, max-age=9\n\nx"),
        (
            "",
            "200\nCache-Control: public, max-age=9\nSet-Cookie: a=b\n\nx",
        ),
        ("", "200\nCache-Control: max-age=9\nVary: *\n\nx"),
        ("", "200\nCache-Control: max-age=9\nVary: accept, *\n\nx"),
        (
            "",
            "200\nCache-Control: max-age=9\nContent-Type: text/event-stream; a=b\n\nx",
        ),
        ("", "200\nCache-Control: max-age=9, \"\n\nx"),
        ("", "206\nCache-Control: max-age=9\n\nx"),
        ("", "403\nCache-Control: max-age=9\n\nx"),
        ("", "503\nCache-Control: max-age=9\n\nx"),
        ("", "200\nExpires: Thu, 01 Jan 1970 00:00:00 GMT\n\nx"),
        ("", "200\nCache-Control: max-age=9\nAge: 9\n\nx"),
        (
            "\nAuthorization: b",
            "200\nCache-Control: public, max-age=9\n\nx",
        ),
        ("\nRange: bytes=0-0", "200\nCache-Control: max-age=9\n\nx"),
        ("\nContent-Length: 1", "200\nCache-Control: max-age=9\n\nx"),
    ];
    on_a_worker(async {
        for (headers, upstream) in rows {
            let w = World::new();
            for _ in 0..2 {
                let got = w.get(&format!("GET /a{headers}"), upstream).await;
                assert_eq!(got.short(), (true, "x"), "{headers} {upstream}");
            }
            let got = w.get("GET /a", "200\n\ny").await;
            assert_eq!(got.short(), (true, "y"), "{headers} {upstream}");
        }
    });
}

#[test]
fn a_range_goes_past_what_is_kept() {
    on_a_worker(async {
        let w = World::new();
        w.get("GET /a", GOOD).await;
        let got = w
            .get(
                "GET /a\nRange: bytes=0-0",
                "206\nContent-Range: bytes 0-0/3\n\no",
            )
            .await;
        assert_eq!((got.status, got.short()), (206, (true, "o")));
        assert_eq!(w.last_sent("range"), "bytes=0-0");
        assert_eq!(
            got.header("cache-status"),
            "seawall; fwd=bypass; detail=request"
        );
    });
}

#[test]
fn a_head_is_answered_from_a_get() {
    on_a_worker(async {
        let w = World::new();
        let missed = w
            .get(
                "HEAD /a",
                "200\nCache-Control: max-age=10\nContent-Length: 3",
            )
            .await;
        assert!(missed.asked);
        assert_eq!(w.sent.borrow()[0].method, "HEAD");
        w.get("GET /a", GOOD).await;
        let got = w.get("HEAD /a", "200\n\nno").await;
        assert_eq!(
            (got.short(), got.header("content-length").as_str()),
            ((false, ""), "3")
        );
    });
}

#[test]
fn who_has_it_is_told_so() {
    const UPSTREAM: &str = "200\nCache-Control: max-age=10\nETag: W/\"a,b\"\nX: y\n\
                            Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\n\none";
    let rows = [
        ("If-None-Match: \"a,b\"", 304),
        ("If-None-Match: \"x\", W/\"a,b\"", 304),
        ("If-None-Match: \"x\"\nIf-None-Match: \"a,b\"", 304),
        ("If-None-Match: *", 304),
        ("If-None-Match: \"a\", \"b\"", 200),
        ("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 304),
        ("If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT", 200),
        ("If-Modified-Since: yesterday", 200),
        (
            "If-None-Match: \"x\"\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
            200,
        ),
    ];
    on_a_worker(async {
        for (condition, status) in rows {
            let w = World::new();
            for asked in [true, false] {
                let got = w.get(&format!("GET /a\n{condition}"), UPSTREAM).await;
                assert_eq!((got.status, got.asked), (status, asked), "{condition}");
                assert_eq!(got.text(), if status == 304 { "" } else { "one" });
                assert_eq!(got.header("etag"), "W/\"a,b\"");
                assert_eq!(got.header("x").is_empty(), status == 304);
            }
            assert_eq!(w.last_sent("if-none-match"), "", "asked for all of it");
        }
    });
}

#[test]
fn answers_differ_by_what_they_name() {
    const BY: &str = "200\nCache-Control: max-age=10\nVary: Accept-Language";
    on_a_worker(async {
        let w = World::new();
        let of = |language: &str| format!("{BY}\n\n{language}");
        for language in ["de", "fr"] {
            let asked = format!("GET /a\nAccept-Language: {language}");
            let got = w.get(&asked, &of(language)).await;
            assert_eq!(got.short(), (true, language));
        }
        for language in ["de", "fr"] {
            let asked = format!("GET /a\nAccept-Language: {language}");
            assert_eq!(w.get(&asked, "200\n\nno").await.short(), (false, language));
        }
        assert_eq!(w.get("GET /a", &of("none")).await.short(), (true, "none"));
        // One value is not two values.
        let got = w
            .get(
                "GET /a\nAccept-Language: d\nAccept-Language: e",
                &of("d, e"),
            )
            .await;
        assert_eq!(got.short(), (true, "d, e"));
        // A POST makes all of them untrue.
        w.get("POST /a", "200\n\n").await;
        let got = w.get("GET /a\nAccept-Language: de", &of("new")).await;
        assert_eq!(got.short(), (true, "new"));
        let got = w.get("GET /a\nAccept-Language: fr", &of("neu")).await;
        assert_eq!(
            got.short(),
            (true, "neu"),
            "not what was kept under the old list"
        );
    });
}

#[test]
fn only_chosen_fields_make_another_answer_and_only_they_are_sent() {
    on_a_worker(async {
        let w = World::with(|route| route.query = Some(vec!["size".to_owned()]));
        let first = w.get("GET /a?x=1&size=2&utm=3", GOOD).await;
        assert!(first.asked);
        assert_eq!(w.sent.borrow()[0].uri, "/a?size=2");
        assert!(!w.get("GET /a?size=2&x=9", GOOD).await.asked);
        assert!(w.get("GET /a?size=3", GOOD).await.asked);
        assert!(w.get("GET /a?x=1", GOOD).await.asked);
        assert_eq!(w.sent.borrow()[2].uri, "/a");
        assert!(!w.get("GET /a", GOOD).await.asked);
        assert!(
            w.get("GET /a?s%69ze=4", GOOD).await.asked,
            "the same field, written oddly"
        );
    });
}

#[test]
fn what_makes_another_key() {
    on_a_worker(async {
        let w = World::new();
        w.get("GET /a\nHost: Shop", GOOD).await;
        let other = Arc::new(gateway::cache::RouteCache {
            name: "s".into(),
            ..route()
        });
        let good = || Ok(answer(GOOD));
        let rows = [
            (&w.route, false, "GET /a\nHost: shop", false),
            (&w.route, true, "GET /a\nHost: shop", true),
            (&w.route, false, "GET /a\nHost: shop2", true),
            (&w.route, false, "GET /a?\nHost: shop", true),
            (&w.route, false, "GET /A\nHost: shop", true),
            (&other, false, "GET /a\nHost: shop", true),
        ];
        for (route, https, asked, fetched) in rows {
            let got = w.fetch_for(route, https, asked, good).await.unwrap();
            assert_eq!(got.asked, fetched, "{asked} {https} {}", route.name);
        }
    });
}

#[test]
fn a_fixed_time_goes_before_the_head() {
    on_a_worker(async {
        let w = World::with(|route| route.ttl = Some(Duration::from_secs(5)));
        for (upstream, kept) in [
            ("200\nCache-Control: no-cache\n\nx", true),
            ("404\n\nx", true),
            ("200\nCache-Control: private\n\nx", false),
            ("200\nCache-Control: no-store\n\nx", false),
            ("200\nSet-Cookie: a=b\n\nx", false),
            ("302\nLocation: /\n\nx", false),
        ] {
            w.cache.purge_all();
            w.get("GET /a", upstream).await;
            w.pass(4_900);
            assert_eq!(w.get("GET /a", upstream).await.asked, !kept, "{upstream}");
            w.pass(200);
            assert!(w.get("GET /a", upstream).await.asked, "{upstream}");
        }
    });
}

#[test]
fn clients_cannot_push_through_but_may_ask_for_what_is_kept() {
    on_a_worker(async {
        let w = World::new();
        let got = w.get("GET /a\nCache-Control: only-if-cached", GOOD).await;
        assert_eq!((got.status, got.asked), (504, false));
        w.get("GET /a", GOOD).await;
        for headers in [
            "Cache-Control: no-cache",
            "Cache-Control: max-age=0",
            "Pragma: no-cache",
        ] {
            assert!(
                !w.get(&format!("GET /a\n{headers}"), "200\n\nno")
                    .await
                    .asked,
                "{headers}"
            );
        }
        assert!(
            !w.get("GET /a\nCache-Control: only-if-cached", GOOD)
                .await
                .asked
        );
    });
}

#[test]
fn signed_in_requests_share_only_what_says_so_and_only_among_themselves() {
    on_a_worker(async {
        let w = World::with(|route| route.authorized = true);
        let signed = "GET /a\nAuthorization: b";
        assert!(w.get("GET /a", GOOD).await.asked);
        assert!(w.get(signed, GOOD).await.asked, "not what everybody gets");
        w.pass(6_000);
        let public = GOOD.replace("max-age", "public, max-age");
        assert!(w.get(signed, &public).await.asked);
        assert!(!w.get(signed, &public).await.asked);
        assert!(
            !w.get("GET /a", GOOD).await.asked,
            "their uncacheable answer marked nobody else"
        );
    });
}

#[test]
fn a_large_answer_flows_through_whole() {
    on_a_worker(async {
        let w = World::with(|route| route.answer_bytes = 1_000);
        let piece = Bytes::from(vec![b'x'; 400]);
        for (pieces, fails, kept) in [
            (2, false, true),
            (9, false, false),
            (9, true, false),
            (2, true, false),
        ] {
            w.cache.purge_all();
            for again in [false, true] {
                let body = vec![piece.clone(); pieces];
                let upstream = move || {
                    let builder = Response::builder().header("cache-control", "max-age=9");
                    Ok(builder.body(flowing(body, fails)).unwrap())
                };
                let got = w.fetch("GET /a", upstream).await.unwrap();
                assert_eq!((got.body.len(), got.whole), (400 * pieces, !fails));
                assert_eq!(got.asked, !(again && kept), "{pieces} {fails}");
            }
        }
    });
}

#[test]
fn the_store_holds_no_more_bytes_than_it_may() {
    on_a_worker(async {
        let settings = CacheSettings {
            bytes: 1 << 20,
            answer_bytes: 10_000,
        };
        let (cache, _) = cache(settings);
        let route = Arc::new(route());
        let body = "x".repeat(10_000);
        for i in 0..500 {
            let upstream = format!("200\nCache-Control: max-age=10\n\n{body}");
            let parts = crate::support::request(&format!("GET /{i}"));
            let fetch = move |_| async move { Ok::<_, ()>(answer(&upstream)) };
            cache.answer(parts, false, &route, fetch).await.unwrap();
            assert!(
                cache.bytes() <= 1 << 20,
                "{} bytes after {i}",
                cache.bytes()
            );
        }
        assert!(
            cache.bytes() > 1 << 19,
            "but not much less: {}",
            cache.bytes()
        );
    });
}

#[test]
fn purged_by_address_and_by_tag() {
    on_a_worker(async {
        let w = World::new();
        let c = GOOD.replace("a b", "c");
        let fill = async || {
            w.get("GET /a/1", GOOD).await;
            w.get("GET /a/2", GOOD).await;
            w.get("GET /b", &c).await;
        };
        let kept = async |path: &str| {
            !w.get(&format!("GET {path}\nCache-Control: only-if-cached"), GOOD)
                .await
                .asked
                && w.get(&format!("GET {path}\nCache-Control: only-if-cached"), GOOD)
                    .await
                    .status
                    == 200
        };
        fill().await;
        assert_eq!(w.cache.purge_prefix("http://t/a/"), 2);
        assert_eq!(
            (kept("/a/1").await, kept("/a/2").await, kept("/b").await),
            (false, false, true)
        );
        fill().await;
        assert_eq!(w.cache.purge_tag("b"), 2);
        assert_eq!(
            (kept("/a/1").await, kept("/a/2").await, kept("/b").await),
            (false, false, true)
        );
        assert_eq!(w.cache.purge_tag(""), 0);
        assert_eq!(w.cache.purge_all(), 1);
        assert!(!kept("/b").await);
    });
}
