//! Toxics on one direction, under a clock of the test.

use super::*;
use serde_json::{Value, json};
use std::time::Duration;

fn toxic(id: u64, revision: u64, kind: &str, attributes: Value) -> Arc<Toxic> {
    let wish = json!({"type": kind, "attributes": attributes});
    let mut toxic = Toxic::read(id, None, &wish).unwrap();
    toxic.revision = revision;
    Arc::new(toxic)
}

struct Bench {
    link: Link,
    held: Arc<Held>,
    start: Instant,
}

impl Bench {
    fn new(toxics: &[Arc<Toxic>]) -> Bench {
        let held = Arc::<Held>::default();
        let mut link = Link::new(Stream::Downstream, Arc::clone(&held));
        let start = Instant::now();
        link.apply(toxics, start);
        Bench { link, held, start }
    }
    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }
    fn push(&mut self, ms: u64, data: &str) {
        self.link.push(data.as_bytes(), self.at(ms));
    }
    /// What has come out until then, in pieces.
    fn out(&mut self, ms: u64) -> Vec<String> {
        let advanced = self.link.advance(self.at(ms));
        assert!(!advanced.reset, "reset at {ms}");
        let mut all = Vec::new();
        while let Some(front) = self.link.out.front().cloned() {
            all.push(String::from_utf8(front.to_vec()).unwrap());
            self.link.written(front.len());
        }
        all
    }
    fn wake(&mut self, ms: u64) -> Option<u64> {
        let wake = self.link.advance(self.at(ms)).wake?;
        Some((wake - self.start).as_millis() as u64)
    }
    fn held(&self) -> usize {
        self.held.0.load(Ordering::Relaxed)
    }
}

const NONE: [&str; 0] = [];

#[test]
fn without_toxics_all_passes_at_once() {
    let mut bench = Bench::new(&[]);
    bench.push(0, "a");
    bench.push(0, "b");
    assert_eq!(bench.held(), 2 + 2 * ITEM_BYTES);
    assert_eq!(bench.out(0), ["a", "b"]);
    assert_eq!(bench.held(), 0);
    bench.link.finish(bench.start);
    assert_eq!(bench.link.end, Some(End::Finished));
    assert!(!bench.link.may_read());
}

#[test]
fn latencies_add_up_and_keep_order() {
    let slow = |id, ms| toxic(id, 0, "latency", json!({"latency": ms}));
    let mut bench = Bench::new(&[slow(1, 100), slow(2, 50)]);
    bench.push(0, "a");
    bench.push(10, "b");
    bench.link.finish(bench.at(10));
    assert_eq!(bench.wake(20), Some(100));
    assert_eq!(bench.out(100), NONE);
    assert_eq!(bench.out(149), NONE);
    assert_eq!(bench.out(150), ["a"]);
    assert_eq!(
        bench.link.end, None,
        "an end comes after what was said before it"
    );
    bench.out(160);
    assert_eq!(bench.out(210), ["b"]);
    assert_eq!((bench.link.end, bench.held()), (Some(End::Finished), 0));
}

#[test]
fn a_changed_or_removed_latency_lets_go() {
    let slow = |revision, ms| toxic(1, revision, "latency", json!({"latency": ms}));
    let mut bench = Bench::new(&[slow(0, 1_000)]);
    bench.push(0, "a");
    let now = bench.at(10);
    bench.link.apply(&[slow(0, 1_000)], now);
    assert_eq!(bench.out(10), NONE, "the same toxic");
    bench.link.apply(&[slow(1, 100)], now);
    assert_eq!(bench.out(10), ["a"]);
    bench.push(10, "b");
    assert_eq!(bench.out(109), NONE);
    bench.link.apply(&[], bench.at(109));
    assert_eq!(bench.out(109), ["b"]);
    assert_eq!(bench.held(), 0);
}

#[test]
fn bandwidth_is_exact_over_time_even_if_woken_late() {
    let mut bench = Bench::new(&[toxic(1, 0, "bandwidth", json!({"rate": 10}))]);
    bench.push(0, &"x".repeat(10_000));
    let mut came = 0;
    for ms in (0..1_000).step_by(70) {
        came += bench.out(ms).concat().len();
        // In pieces of 20 ms.
        let due = ms as usize * 10;
        assert!(came <= due && came + 200 > due, "{came} at {ms} ms");
    }
    came += bench.out(1_000).concat().len();
    assert_eq!((came, bench.held()), (10_000, 0));
    let mut bench = Bench::new(&[toxic(1, 0, "bandwidth", json!({"rate": 0}))]);
    bench.push(0, "x");
    assert_eq!(bench.out(1_000_000), NONE);
}

#[test]
fn a_slicer_cuts_and_pauses() {
    let wish = json!({"average_size": 4, "size_variation": 0, "delay": 10_000});
    let mut bench = Bench::new(&[toxic(1, 0, "slicer", wish)]);
    bench.push(0, "aaaabbbbcc");
    assert_eq!(bench.out(0), ["aaaa"]);
    assert_eq!(bench.out(9), NONE);
    assert_eq!(bench.out(10), ["bbbb"]);
    assert_eq!(bench.out(30), ["cc"]);
    assert_eq!(bench.held(), 0);
}

#[test]
fn a_slicer_cannot_flood_what_follows() {
    let wish = json!({"average_size": 1, "size_variation": 0, "delay": 0});
    let slow = toxic(2, 0, "latency", json!({"latency": 1_000}));
    let mut bench = Bench::new(&[toxic(1, 0, "slicer", wish), slow]);
    bench.push(0, &"x".repeat(64 * 1_024));
    bench.out(0);
    let most = STAGE_ITEMS_MAX * (ITEM_BYTES + 1) + 64 * 1_024 + ITEM_BYTES;
    assert!(bench.held() > STAGE_ITEMS_MAX * ITEM_BYTES && bench.held() <= most);
    let all: usize = (1..=5).map(|s| bench.out(s * 1_000).len()).sum();
    assert_eq!((all, bench.held()), (64 * 1_024, 0));
}

#[test]
fn limit_data_passes_so_much_and_closes() {
    let mut bench = Bench::new(&[toxic(1, 0, "limit_data", json!({"bytes": 5}))]);
    bench.push(0, "abc");
    assert_eq!(bench.out(0), ["abc"]);
    assert_eq!(bench.link.end, None);
    bench.push(0, "def");
    bench.push(0, "ghi");
    assert_eq!(bench.out(0), ["de"]);
    assert_eq!(bench.link.end, Some(End::Closed));
}

#[test]
fn timeout_swallows_and_closes() {
    let mut bench = Bench::new(&[toxic(1, 0, "timeout", json!({"timeout": 100}))]);
    bench.push(50, "abc");
    assert_eq!(bench.wake(50), Some(100));
    assert_eq!(bench.out(99), NONE);
    assert_eq!((bench.link.end, bench.held()), (None, 0));
    assert_eq!(bench.out(100), NONE);
    assert_eq!(bench.link.end, Some(End::Closed));
    // For ever, until it is taken away: then bytes are missing.
    let mut bench = Bench::new(&[toxic(1, 0, "timeout", json!({"timeout": 0}))]);
    bench.push(50, "abc");
    assert_eq!(bench.wake(50), None);
    bench.link.apply(&[], bench.at(60));
    assert_eq!(bench.link.end, Some(End::Closed));
}

#[test]
fn reset_comes_after_the_first_byte() {
    let mut bench = Bench::new(&[toxic(1, 0, "reset_peer", json!({"timeout": 100}))]);
    assert_eq!(bench.wake(1_000), None);
    bench.push(1_000, "abc");
    assert_eq!(bench.wake(1_000), Some(1_100));
    assert!(bench.link.advance(bench.at(1_100)).reset);
}

#[test]
fn slow_close_holds_the_end_only() {
    let mut bench = Bench::new(&[toxic(1, 0, "slow_close", json!({"delay": 100}))]);
    bench.push(0, "abc");
    bench.link.finish(bench.start);
    assert_eq!(bench.out(0), ["abc"]);
    assert_eq!(bench.link.end, None);
    assert_eq!(bench.wake(0), Some(100));
    bench.out(100);
    assert_eq!(bench.link.end, Some(End::Finished));
}

#[test]
fn toxicity_and_direction() {
    let wish = json!({"type": "timeout", "toxicity": 0.5});
    let shared = Arc::new(Toxic::read(1, None, &wish).unwrap());
    let other = json!({"type": "timeout", "stream": "upstream"});
    let other = Arc::new(Toxic::read(2, None, &other).unwrap());
    let mut passed = 0;
    for _ in 0..400 {
        let mut bench = Bench::new(&[Arc::clone(&shared), Arc::clone(&other)]);
        bench.push(0, "a");
        passed += bench.out(0).len();
    }
    assert!((140..260).contains(&passed), "{passed}");
    let hits = shared.hits.load(Ordering::Relaxed);
    assert_eq!(
        (hits, other.hits.load(Ordering::Relaxed)),
        (400 - passed as u64, 0)
    );
}

#[test]
fn windows_are_bounded() {
    let slow = toxic(1, 0, "latency", json!({"latency": 60_000}));
    let mut bench = Bench::new(&[slow]);
    let chunk = "x".repeat(64 * 1_024);
    let mut pushed = 0;
    while bench.link.may_read() {
        bench.push(0, &chunk);
        pushed += chunk.len();
    }
    assert!((WINDOW_BYTES_MAX - chunk.len()..WINDOW_BYTES_MAX + chunk.len()).contains(&pushed));
    bench.held.0.fetch_add(HELD_BYTES_MAX, Ordering::Relaxed);
    let mut late = Link::new(Stream::Downstream, Arc::clone(&bench.held));
    late.apply(&[toxic(2, 0, "timeout", json!({}))], bench.start);
    assert!(late.may_read());
    let mut late = Link::new(Stream::Downstream, Arc::clone(&bench.held));
    late.push(chunk.as_bytes(), bench.start);
    assert!(!late.may_read(), "all together hold too much");
}
