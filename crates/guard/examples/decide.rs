//! What a decision costs, beside governor in the same run: `cargo run --release -p guard --example
//! decide`. Runs alternate A B B A and medians are printed. Neither side reads a clock; ours is
//! behind an uncontended mutex, as in the gateway. What it leaves out: contention, HTTP, hashing
//! of the texts that make a key.
//!
//! In a row, a processor begins the next decisions while it waits for the memory of this one, as
//! far as its window reaches (some 450 instructions): that favours short code, not few misses.
//! A door has a request between two decisions; `apart` puts some hundred instructions there, and
//! takes their own time off.

use governor::clock::FakeRelativeClock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use guard::{Factor, Facts, Limit, Limits, Nanos, Part, Rule, RuleSet, Value, Verdict};
use std::hint::black_box;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Mutex;
use std::time::{Duration, Instant};

type Governor = RateLimiter<
    u64,
    DashMapStateStore<u64>,
    FakeRelativeClock,
    NoOpMiddleware<governor::nanos::Nanos>,
>;

const DECISIONS: usize = 2_000_000;
/// Steps of other work between two decisions that are apart, each some five instructions.
const APART_STEPS: u64 = 200;
const ROUNDS: usize = 4;
const GROWTH_KEYS: u64 = 4_000_000;
const GROWTH_RUNS: usize = 3;

fn main() {
    println!(
        "ns a decision, median of {} runs of {DECISIONS}",
        2 * ROUNDS
    );
    println!(
        "{:>10} {:>6} {:>9} {:>9} {:>7}",
        "live keys", "", "guard", "governor", "ratio"
    );
    for keys in [1_000, 100_000, 1_000_000] {
        beside_governor(keys, 0);
        beside_governor(keys, APART_STEPS);
    }
    println!(
        "\n{:>10} {:>11} {:>11} {:>11}",
        "live keys", "four rules", "refusal", "4 rules ref"
    );
    for keys in [1_000, 100_000, 1_000_000] {
        alone(keys);
    }
    println!();
    growth();
}

/// One rule, every key live, every request allowed.
fn beside_governor(keys: u64, steps: u64) {
    let limits = Mutex::new(filled(&[Part::Buyer], wide(), keys));
    let quota = Quota::per_second(NonZeroU32::new(100_000).expect("not zero"));
    let quota = quota.allow_burst(NonZeroU32::new(1_000_000).expect("not zero"));
    let clock = FakeRelativeClock::default();
    let governor = Governor::new(quota, DashMapStateStore::default(), clock.clone());
    (0..keys).for_each(|key| drop(governor.check_key(&word(key))));

    let mut now = Nanos(1_000);
    let mut ours = || {
        now = now.plus(Nanos(1_000));
        let at = now;
        timed(keys, |key| {
            work(steps);
            let facts = Facts {
                buyer: Some(value(key)),
                ..Facts::default()
            };
            let verdict = limits.lock().expect("one thread").ask(&facts, at);
            matches!(verdict, Verdict::Allowed { .. })
        })
    };
    let theirs = || {
        clock.advance(Duration::from_micros(1));
        timed(keys, |key| {
            work(steps);
            governor.check_key(&word(key)).is_ok()
        })
    };
    let nobodys = || {
        timed(keys, |_| {
            work(steps);
            true
        })
    };
    let (mut a, mut b, mut neither) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        a.push(ours());
        b.push(theirs());
        neither.push(if steps > 0 { nobodys() } else { 0.0 });
        b.push(theirs());
        a.push(ours());
    }
    let neither = median(neither);
    let (a, b) = (median(a) - neither, median(b) - neither);
    let how = if steps > 0 { "apart" } else { "in row" };
    println!("{keys:>10} {how:>6} {a:>9.1} {b:>9.1} {:>7.2}", a / b);
}

/// What a processor does between two decisions, for the caller to be measured without.
fn work(steps: u64) {
    let mut sum = 0;
    for step in 0..steps {
        sum = black_box(sum ^ step);
    }
}

/// Four rules over four keys, and refusals.
fn alone(keys: u64) {
    let four = [Part::Buyer, Part::Device, Part::Address, Part::ApiKey];
    let run = |parts: &[Part], limit: Limit, allowed: bool| {
        let limits = Mutex::new(filled(parts, limit, keys));
        let times = (0..ROUNDS).map(|_| {
            timed(keys, |key| {
                let verdict = limits
                    .lock()
                    .expect("one thread")
                    .ask(&facts(key), Nanos(2_000));
                matches!(verdict, Verdict::Allowed { .. }) == allowed
            })
        });
        median(times.collect())
    };
    let (yes, no) = (
        run(&four, wide(), true),
        run(&[Part::Buyer], narrow(), false),
    );
    let four_no = run(&four, narrow(), false);
    println!("{keys:>10} {yes:>11.1} {no:>11.1} {four_no:>11.1}");
}

/// Every insert timed on its own. The least of several runs at each place leaves out the
/// machine's own interruptions, which hit another place each time.
fn growth() {
    let mut least = vec![u64::MAX; GROWTH_KEYS as usize];
    let mut bytes = 0.0;
    let mut resident = 0.0;
    for _ in 0..GROWTH_RUNS {
        let before = resident_bytes();
        let mut limits = limits(&[Part::Buyer], wide(), GROWTH_KEYS);
        for key in 0..GROWTH_KEYS {
            let facts = Facts {
                buyer: Some(value(key)),
                ..Facts::default()
            };
            let start = Instant::now();
            black_box(limits.ask(&facts, Nanos(1)));
            let ns = start.elapsed().as_nanos() as u64;
            let place = &mut least[key as usize];
            *place = ns.min(*place);
            if let Some(shown @ (100_000 | 1_000_000)) = Some(key + 1) {
                println!("bytes a key at {shown}: {:.1}", table_bytes(&limits));
            }
        }
        bytes = table_bytes(&limits);
        resident = (resident_bytes().saturating_sub(before)) as f64 / GROWTH_KEYS as f64;
    }
    least.sort_unstable();
    let at = |share: f64| least[((GROWTH_KEYS - 1) as f64 * share) as usize];
    println!("bytes a key at {GROWTH_KEYS}: {bytes:.1} in the table, {resident:.1} resident");
    println!(
        "inserts up to {GROWTH_KEYS} keys, clock included: p50 {} ns, p99 {} ns, p99.99 {} ns, \
         worst {} ns",
        at(0.5),
        at(0.99),
        at(0.9999),
        at(1.0)
    );
}

fn table_bytes(limits: &Limits) -> f64 {
    let (bytes, keys) = limits.rules().fold((0, 0), |(bytes, keys), (_, rule)| {
        (bytes + rule.table_bytes, keys + rule.keys)
    });
    bytes as f64 / keys as f64
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4_096
}

fn limits(parts: &[Part], limit: Limit, keys: u64) -> Limits {
    let rules = parts.iter().map(|part| Rule {
        keys_max: keys as usize,
        ..Rule::new(format!("by-{part:?}"), limit).keyed(&[*part])
    });
    let set = RuleSet::new(rules.collect()).expect("the rules are good");
    Limits::new(set, Factor::ONE)
}

fn filled(parts: &[Part], limit: Limit, keys: u64) -> Limits {
    let mut limits = limits(parts, limit, keys);
    for key in 0..keys {
        let verdict = limits.ask(&facts(key), Nanos(1_000));
        assert!(
            matches!(verdict, Verdict::Allowed { .. }),
            "the table takes every key"
        );
    }
    limits
}

fn facts(key: u64) -> Facts {
    Facts {
        buyer: Some(value(key)),
        device: Some(value(key + 1)),
        address: Some(value(key + 2)),
        api_key: Some(value(key + 3)),
        ..Facts::default()
    }
}

fn wide() -> Limit {
    Limit::Rate {
        count: 100_000,
        period: Nanos::from_secs(1),
        burst: 1_000_000,
    }
}

fn narrow() -> Limit {
    Limit::Rate {
        count: 1,
        period: Nanos::from_secs(3_600),
        burst: 1,
    }
}

fn timed(keys: u64, mut decide: impl FnMut(u64) -> bool) -> f64 {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut as_expected = 0;
    let start = Instant::now();
    for _ in 0..DECISIONS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let key = ((random >> 32) * keys) >> 32;
        as_expected += usize::from(black_box(decide(key)));
    }
    let ns = start.elapsed().as_nanos() as f64 / DECISIONS as f64;
    assert_eq!(as_expected, DECISIONS, "every decision went as planned");
    ns
}

/// A key as the shell's hash would make it.
fn word(key: u64) -> u64 {
    let mut word = key.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word ^ (word >> 27)
}

fn value(key: u64) -> Value {
    Value(NonZeroU64::new(word(key)).unwrap_or(NonZeroU64::MIN))
}

fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}
