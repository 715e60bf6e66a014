//! Pages that are rendered ahead, on disk and in place of a dead upstream.

use crate::support::{Got, START_MS, World, answer, on_a_worker, request, turned};
use gateway::prerender::{PageState, Pages};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use wire::gateway::routes::Prerendered;

fn page(name: &str, path: &str) -> Prerendered {
    Prerendered {
        at: String::new(),
        name: name.to_owned(),
        host: Some("shop.example".to_owned()),
        path: path.to_owned(),
        every: Duration::from_secs(30),
        age_max: Duration::from_secs(3_600),
    }
}

async fn render(pages: &Pages, upstream: &str) -> Duration {
    let fetch = |parts: hyper::http::request::Parts| {
        assert_eq!(parts.headers["host"], "shop.example");
        let path = parts.uri.path().to_owned();
        let upstream = upstream.replace("{path}", &path);
        async move {
            match upstream.as_str() {
                "dead" => Err("connection refused"),
                upstream => Ok(answer(upstream)),
            }
        }
    };
    pages.render_due(&fetch).await
}

#[test]
fn survive_a_dead_upstream_and_a_restart() {
    on_a_worker(async {
        let folder = tempfile::tempdir().unwrap();
        let specs = [page("front", "/"), page("help", "/help")];
        let w = World::new();
        let clock = turned(&w.now);
        let pages = Pages::open(&specs, Some(folder.path()), clock.clone(), None);
        w.cache.set_pages(Some(Arc::clone(&pages)));
        const ASKED: &str = "GET /help\nHost: SHOP.example:443";
        assert_eq!(w.get_failing(ASKED).await.unwrap_err(), "failed");
        assert_eq!(pages.health()[1].state, PageState::Missing);
        let wait = render(&pages, "200\nContent-Type: text/plain\nX: y\n\npage {path}").await;
        assert_eq!(wait, Duration::from_secs(30));
        let got = w.get_failing(ASKED).await.unwrap();
        assert_eq!(
            (got.status, got.text(), got.header("x").as_str()),
            (200, "page /help", "y")
        );
        assert_eq!(w.get(ASKED, "503\n\nsorry").await.text(), "page /help");
        assert_eq!(w.get(ASKED, "500\n\nsorry").await.text(), "page /help");
        assert!(
            w.get_failing("GET /other\nHost: shop.example")
                .await
                .is_err()
        );
        assert!(w.get_failing("GET /help\nHost: other").await.is_err());

        // Another process finds them on disk; not those of another page with that name.
        let other = [page("front", "/new"), page("help", "/help")];
        let again = Pages::open(&other, Some(folder.path()), clock.clone(), None);
        w.cache.set_pages(Some(Arc::clone(&again)));
        w.pass(100_000);
        let got = w.get_failing(ASKED).await.unwrap();
        assert_eq!(
            (got.text(), got.header("age").as_str()),
            ("page /help", "100")
        );
        let health = again.health();
        assert_eq!(
            health.iter().map(|h| h.state).collect::<Vec<_>>(),
            [PageState::Missing, PageState::Late]
        );
        let given = w
            .cache
            .page_only(request(ASKED), false, &w.route)
            .await
            .unwrap();
        assert_eq!(Got::of(given, false).await.text(), "page /help");

        // It fails: the last good one stays until it is too old.
        render(&again, "dead").await;
        let health = again.health();
        assert_eq!(
            (health[1].failed, health[1].error.as_deref()),
            (1, Some("connection refused"))
        );
        assert!(w.get_failing(ASKED).await.is_ok());
        w.pass(3_600_000);
        assert!(w.get_failing(ASKED).await.is_err());
        assert_eq!(again.health()[1].state, PageState::Missing);
    });
}

#[test]
fn a_damaged_file_is_told_and_made_anew() {
    on_a_worker(async {
        let folder = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicU64::new(START_MS));
        let specs = [page("front", "/")];
        let open = || Pages::open(&specs, Some(folder.path()), turned(&now), None);
        render(&open(), "200\n\nfront").await;
        let path = folder.path().join("front.page");
        let whole = std::fs::read(&path).unwrap();
        let names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, ["front.page"], "nothing half written is left");
        assert_eq!(open().health()[0].state, PageState::Good);
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            let health = open().health();
            assert!(
                health[0].error.is_some() && health[0].bytes == 0,
                "byte {at}"
            );
            std::fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(open().health()[0].state, PageState::Missing, "cut at {at}");
        }
        let pages = open();
        assert!(pages.health()[0].error.is_some());
        render(&pages, "200\n\nfront").await;
        assert_eq!(
            (pages.health()[0].state, pages.health()[0].error.clone()),
            (PageState::Good, None)
        );
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    });
}

#[test]
fn what_is_not_for_everybody_is_no_page() {
    on_a_worker(async {
        let now = Arc::new(AtomicU64::new(START_MS));
        for (upstream, why) in [
            ("404\n\nx", "404"),
            ("200\nSet-Cookie: a=b\n\nx", "set-cookie"),
            ("200\nCache-Control: Private\n\nx", "private"),
            ("200\nCache-Control: no-store\n\nx", "no-store"),
            ("200\nContent-Encoding: gzip\n\nx", "content-encoding"),
        ] {
            let pages = Pages::open(&[page("front", "/")], None, turned(&now), None);
            let wait = render(&pages, upstream).await;
            assert_eq!(wait, Duration::from_secs(5), "tried again sooner");
            let health = &pages.health()[0];
            assert_eq!(health.state, PageState::Missing);
            assert!(
                health.error.as_ref().unwrap().contains(why),
                "{:?}",
                health.error
            );
        }
    });
}

#[test]
fn another_configuration_takes_pages_over() {
    on_a_worker(async {
        let now = Arc::new(AtomicU64::new(START_MS));
        let before = Pages::open(&[page("front", "/")], None, turned(&now), None);
        render(&before, "200\n\nfront").await;
        now.fetch_add(1_000, SeqCst);
        let specs = [page("new", "/new"), page("front", "/")];
        let after = Pages::open(&specs, None, turned(&now), Some(&before));
        let health = after.health();
        assert_eq!(
            (health[0].state, health[1].state),
            (PageState::Missing, PageState::Good)
        );
        assert_eq!(health[1].age_ms, Some(1_000));
    });
}
