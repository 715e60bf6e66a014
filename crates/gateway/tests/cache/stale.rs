//! Stale answers: while a fresh one is fetched, while the upstream fails, and by a switch.

use crate::support::{Got, World, on_a_worker, request, until};
use std::time::Duration;

const BOTH: &str =
    "200\nCache-Control: max-age=10, stale-while-revalidate=5, stale-if-error=60\n\none";

#[test]
fn given_at_once_while_one_fetches() {
    on_a_worker(async {
        let w = World::new();
        w.get("GET /a", BOTH).await;
        w.pass(12_000);
        let two = BOTH.replace("one", "two");
        let got = w.get("GET /a", &two).await;
        assert_eq!(got.text(), "one");
        assert_eq!(
            got.header("cache-status"),
            "seawall; hit; ttl=-2; detail=stale-while-revalidate"
        );
        until("it was fetched", || w.sent.borrow().len() == 2).await;
        until("it was kept", || w.cache.fetching() == 0).await;
        assert_eq!(w.get("GET /a", "200\n\nno").await.short(), (false, "two"));
        w.pass(15_000);
        assert_eq!(
            w.get("GET /a", BOTH).await.short(),
            (true, "one"),
            "too old to be given"
        );
    });
}

#[test]
fn only_one_refreshes() {
    on_a_worker(async {
        let w = World::new();
        w.get("GET /a", BOTH).await;
        w.pass(12_000);
        let (open, gate) = tokio::sync::oneshot::channel::<()>();
        let fetch = move |_| async move {
            gate.await.unwrap();
            Ok::<_, ()>(crate::support::answer(
                "200\nCache-Control: max-age=10\n\ntwo",
            ))
        };
        w.cache
            .answer(request("GET /a"), false, &w.route, fetch)
            .await
            .unwrap();
        for _ in 0..10 {
            assert_eq!(w.get("GET /a", "200\n\nno").await.short(), (false, "one"));
        }
        open.send(()).unwrap();
        until("it was kept", || w.cache.fetching() == 0).await;
        assert_eq!(w.get("GET /a", "200\n\nno").await.short(), (false, "two"));
    });
}

#[test]
fn given_while_the_upstream_fails() {
    on_a_worker(async {
        let w = World::new();
        w.get("GET /a", BOTH).await;
        w.pass(20_000);
        for failing in [true, false] {
            let got = match failing {
                true => w.get_failing("GET /a").await.unwrap(),
                false => w.get("GET /a", "503\n\nsorry").await,
            };
            assert_eq!((got.status, got.short()), (200, (true, "one")));
            assert!(
                got.header("cache-status")
                    .ends_with("detail=stale-if-error")
            );
            let quiet = w.get_failing("GET /a").await.unwrap();
            assert_eq!(quiet.short(), (false, "one"), "not asked again at once");
            w.pass(1_100);
        }
        w.pass(60_000);
        assert_eq!(
            w.get_failing("GET /a").await.unwrap_err(),
            "failed",
            "too old"
        );
        assert_eq!(
            w.get("GET /a", "503\n\nsorry").await.short(),
            (true, "sorry")
        );
    });
}

#[test]
fn not_given_where_the_origin_wants_to_be_asked() {
    on_a_worker(async {
        for control in [
            "max-age=10, must-revalidate",
            "no-cache",
            "max-age=10, proxy-revalidate",
        ] {
            let w = World::with(|route| {
                route.stale_while_revalidate = Duration::from_secs(99);
                route.stale_if_error = Duration::from_secs(99);
            });
            w.get(
                "GET /a",
                &format!("200\nETag: \"1\"\nCache-Control: {control}\n\none"),
            )
            .await;
            w.pass(11_000);
            assert!(w.get_failing("GET /a").await.is_err(), "{control}");
            let got = w.get("GET /a", "304\nETag: \"1\"").await;
            assert_eq!((got.status, got.short()), (200, (true, "one")), "{control}");
            assert_eq!(w.last_sent("if-none-match"), "\"1\"");
        }
    });
}

#[test]
fn a_304_for_something_else_renews_nothing() {
    on_a_worker(async {
        let w = World::new();
        w.get(
            "GET /a",
            "200\nETag: \"1\"\nCache-Control: max-age=1\n\none",
        )
        .await;
        w.pass(2_000);
        let got = w
            .get("GET /a", "304\nETag: \"2\"\nCache-Control: max-age=99")
            .await;
        assert_eq!((got.status, got.short()), (200, (true, "one")));
        assert!(w.get("GET /a", "200\n\ntwo").await.asked);
        assert_eq!(w.last_sent("if-none-match"), "");
    });
}

#[test]
fn the_route_says_where_the_head_does_not() {
    on_a_worker(async {
        let w = World::with(|route| route.stale_if_error = Duration::from_secs(9));
        for (control, seconds) in [("max-age=1", 9_u64), ("max-age=1, stale-if-error=3", 3)] {
            w.cache.purge_all();
            w.get("GET /a", &format!("200\nCache-Control: {control}\n\none"))
                .await;
            w.pass(seconds * 1_000);
            assert!(w.get_failing("GET /a").await.is_ok(), "{control}");
            w.pass(1_100);
            assert!(w.get_failing("GET /a").await.is_err(), "{control}");
        }
    });
}

#[test]
fn a_switch_gives_what_there_is_however_old() {
    on_a_worker(async {
        let w = World::new();
        let stale = async |path: &str| {
            let given = w.cache.stale_only(request(path), false, &w.route).await?;
            Some(Got::of(given, false).await)
        };
        assert!(stale("GET /a").await.is_none());
        w.get(
            "GET /a",
            "200\nCache-Control: max-age=1, must-revalidate\n\none",
        )
        .await;
        w.pass(100_000_000);
        let got = stale("GET /a").await.unwrap();
        assert_eq!((got.status, got.text()), (200, "one"));
        assert_eq!(got.header("age"), "100000");
        assert_eq!(stale("HEAD /a").await.unwrap().text(), "");
        assert!(stale("POST /a").await.is_none());
    });
}
