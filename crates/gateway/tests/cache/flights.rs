//! One fetch for many, on many workers; and whatever becomes of it, nobody is left behind.

use crate::support::{Got, World, answer, cache, on_a_worker, request, route, until};
use gateway::cache::{Cache, CacheSettings, RouteCache};
use host::http::Body;
use hyper::Response;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

const GOOD: &str = "200\nCache-Control: max-age=10\n\none";

/// Asks `times` at once on this worker; the fetch is counted and waits until `go` holds.
async fn ask(
    cache: &Cache,
    route: &Arc<RouteCache>,
    times: usize,
    fetches: &Arc<AtomicUsize>,
    go: impl Fn(usize) -> bool + Clone + 'static,
    upstream: impl Fn(usize) -> Result<Response<Body>, String> + Clone + 'static,
) -> Vec<Result<Got, String>> {
    let tasks: Vec<_> = (0..times)
        .map(|_| {
            let (cache, route, fetches) = (cache.clone(), route.clone(), fetches.clone());
            let (go, upstream) = (go.clone(), upstream.clone());
            tokio::task::spawn_local(async move {
                let fetch = move |_| async move {
                    let number = fetches.fetch_add(1, SeqCst);
                    until("the fetch may go on", || go(number)).await;
                    upstream(number)
                };
                let given = cache
                    .answer(request("GET /a"), false, &route, fetch)
                    .await?;
                Ok(Got::of(given, false).await)
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.unwrap());
    }
    all
}

#[test]
fn two_hundred_requests_on_four_workers_are_one_fetch() {
    let (cache, _) = cache(CacheSettings::default());
    let (route, fetches) = (Arc::new(route()), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (cache, route, fetches) = (cache.clone(), route.clone(), fetches.clone());
            std::thread::spawn(move || {
                let waiting = cache.clone();
                on_a_worker(ask(
                    &cache,
                    &route,
                    50,
                    &fetches,
                    move |_| waiting.waiting() == 199,
                    |_| Ok(answer(GOOD)),
                ))
                .into_iter()
                .map(|got| got.unwrap().header("cache-status"))
                .collect::<Vec<_>>()
            })
        })
        .collect();
    let said: Vec<_> = workers
        .into_iter()
        .flat_map(|w| w.join().unwrap())
        .collect();
    assert_eq!(fetches.load(SeqCst), 1);
    let collapsed = said.iter().filter(|s| s.contains("; collapsed")).count();
    assert_eq!((said.len(), collapsed), (200, 199));
    assert_eq!((cache.waiting(), cache.fetching()), (0, 0));
}

#[test]
fn a_leader_that_fails_fails_alone() {
    on_a_worker(async {
        let w = World::new();
        let fetches = Arc::new(AtomicUsize::new(0));
        let waiting = w.cache.clone();
        let go = move |number| number > 0 || waiting.waiting() == 19;
        let upstream = |number| match number {
            0 => Err("the leader's".to_owned()),
            _ => Ok(answer(GOOD)),
        };
        let all = ask(&w.cache, &w.route, 20, &fetches, go, upstream).await;
        let failed = all.iter().filter(|got| got.is_err()).count();
        assert_eq!((failed, fetches.load(SeqCst)), (1, 2));
    });
}

#[test]
fn a_client_that_hangs_up_strands_nobody() {
    on_a_worker(async {
        let w = World::new();
        let (open, gate) = tokio::sync::oneshot::channel::<()>();
        let (cache, route) = (w.cache.clone(), w.route.clone());
        let leader = tokio::task::spawn_local(async move {
            let fetch = move |_| async move {
                gate.await.unwrap();
                Ok::<_, String>(answer(GOOD))
            };
            cache
                .answer(request("GET /a"), false, &route, fetch)
                .await
                .map(drop)
        });
        until("it leads", || w.cache.fetching() == 1).await;
        let (cache, route) = (w.cache.clone(), w.route.clone());
        let follower = tokio::task::spawn_local(async move {
            let never = |_| async { Err("not needed".to_owned()) };
            let given = cache
                .answer(request("GET /a"), false, &route, never)
                .await?;
            Ok::<_, String>(Got::of(given, false).await)
        });
        until("the other waits", || w.cache.waiting() == 1).await;
        leader.abort();
        assert!(leader.await.unwrap_err().is_cancelled());
        open.send(()).unwrap();
        assert_eq!(follower.await.unwrap().unwrap().text(), "one");
    });
}

#[test]
fn a_worker_that_goes_strands_nobody() {
    let (cache, _) = cache(CacheSettings::default());
    let route = Arc::new(route());
    let (of_leader, its_route) = (cache.clone(), route.clone());
    let leader = std::thread::spawn(move || {
        on_a_worker(async move {
            let waiting = of_leader.clone();
            let hangs = |_| std::future::pending::<Result<Response<Body>, String>>();
            tokio::task::spawn_local(async move {
                of_leader
                    .answer(request("GET /a"), false, &its_route, hangs)
                    .await
                    .map(drop)
            });
            until("the other waits", || waiting.waiting() == 1).await;
            // The runtime ends here, and its tasks with it.
        });
    });
    on_a_worker(async {
        until("it leads", || cache.fetching() == 1).await;
        let own = |_| async { Ok::<_, String>(answer(GOOD)) };
        let given = cache
            .answer(request("GET /a"), false, &route, own)
            .await
            .unwrap();
        assert_eq!(Got::of(given, true).await.text(), "one");
    });
    leader.join().unwrap();
}

#[test]
fn what_may_not_be_kept_is_fetched_by_each_and_then_nobody_waits() {
    on_a_worker(async {
        let w = World::new();
        let fetches = Arc::new(AtomicUsize::new(0));
        let waiting = w.cache.clone();
        let go = move |number| number > 0 || waiting.waiting() == 9;
        let private =
            |number: usize| Ok(answer(&format!("200\nCache-Control: private\n\n{number}")));
        let all = ask(&w.cache, &w.route, 10, &fetches, go, private).await;
        let mut texts: Vec<_> = all.iter().map(|got| got.as_ref().unwrap().text()).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(
            (texts.len(), fetches.load(SeqCst)),
            (10, 10),
            "each its own"
        );
        // Lately not kept: none of these waits for another, so all are fetching at once.
        let at_once = Arc::clone(&fetches);
        let all_at_once = move |_| at_once.load(SeqCst) == 20;
        ask(&w.cache, &w.route, 10, &fetches, all_at_once, private).await;
        // After a while one looks again, and the others need not wait for it.
        w.pass(6_000);
        let at_once = Arc::clone(&fetches);
        let all_at_once = move |_| at_once.load(SeqCst) == 30;
        ask(&w.cache, &w.route, 10, &fetches, all_at_once, |_| {
            Ok(answer(GOOD))
        })
        .await;
        assert_eq!(w.get("GET /a", "200\n\nno").await.short(), (false, "one"));
    });
}

#[test]
fn nothing_is_kept_that_was_fetched_before_a_purge() {
    on_a_worker(async {
        let w = World::new();
        let cache = w.cache.clone();
        let upstream = move || {
            cache.purge_tag("whatever");
            Ok(answer(GOOD))
        };
        assert_eq!(w.fetch("GET /a", upstream).await.unwrap().text(), "one");
        assert!(w.get("GET /a", GOOD).await.asked);
        assert!(!w.get("GET /a", GOOD).await.asked);
    });
}

#[test]
fn who_waits_for_another_language_fetches_its_own() {
    on_a_worker(async {
        let w = World::new();
        let tasks: Vec<_> = ["de", "fr", "de", "fr"]
            .map(|language| {
                let (cache, route) = (w.cache.clone(), w.route.clone());
                tokio::task::spawn_local(async move {
                    let waiting = cache.clone();
                    let first = cache.entries() == 0 && cache.fetching() == 0;
                    let fetch = move |_| async move {
                        until("all wait", || !first || waiting.waiting() == 3).await;
                        let head = "200\nCache-Control: max-age=10\nVary: Accept-Language";
                        Ok::<_, String>(answer(&format!("{head}\n\n{language}")))
                    };
                    let asked = format!("GET /a\nAccept-Language: {language}");
                    let given = cache
                        .answer(request(&asked), false, &route, fetch)
                        .await
                        .unwrap();
                    (language, Got::of(given, false).await)
                })
            })
            .into_iter()
            .collect();
        for task in tasks {
            let (language, got) = task.await.unwrap();
            assert_eq!(got.text(), language);
        }
        assert_eq!(w.cache.counts().fetched.load(SeqCst), 2);
    });
}
