//! Millions of live buyers have to fit: what one costs, counted by the allocator over a hundred
//! thousand who wait in the middle of their journeys.

use load::{Run, compile};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BUYERS: u64 = 100_000;
const BUYER_BYTES_MAX: u64 = 2_048;

/// Eight variables with texts, as a journey with a session, an order and a basket has them.
const SCENARIO: &str = "version: 1
name: parked
target: {url: 'http://127.0.0.1:9', timeout: 1s}
load: {shape: {constant: {rate: 50000, for: 2s}}}
journeys:
  - name: wait
    steps:
      - set: {a: uuid(), b: uuid(), c: uuid(), d: uuid(), e: uuid(), f: uuid()}
      - set: {g: uuid(), h: uuid()}
      - think: 1h
      - request: /
";

fn held() -> u64 {
    let stats = ALLOCATOR.stats();
    (stats.bytes_allocated as u64).saturating_sub(stats.bytes_deallocated as u64)
}

#[test]
fn a_live_buyer_takes_at_most_two_kilobytes() {
    let compiled = compile::text(Path::new("s.yaml"), SCENARIO);
    let compiled = compiled.unwrap_or_else(|found| panic!("{found}"));
    let target = Arc::new(compiled.target.target(None).unwrap());
    let script = Arc::new(compiled.script);
    let before = held();
    let run = Run::start(script, compiled.plan, target, &compiled.options);
    let (control, deadline) = (run.control(), Instant::now() + Duration::from_secs(30));
    let most = loop {
        let bytes = held().saturating_sub(before);
        let seconds = control.seconds(0);
        if seconds.last().is_some_and(|last| last.buyers == BUYERS) {
            break bytes;
        }
        assert!(Instant::now() < deadline && !run.is_over(), "{seconds:?}");
        std::thread::park_timeout(Duration::from_millis(50));
    };
    control.stop();
    let measured = run.join().unwrap();
    assert_eq!(measured.buyers_max, BUYERS);
    let each = most / BUYERS;
    println!("{each} bytes a live buyer");
    assert!(each <= BUYER_BYTES_MAX, "{each} bytes a buyer");
    // It must be able to fail: eight texts and their places cannot be free.
    assert!(each > 300, "{each} bytes: nothing was counted");
}
