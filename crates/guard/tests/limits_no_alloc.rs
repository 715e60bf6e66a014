//! Deciding allocates nothing: not a refusal, and not an allowance for a key that is known. A
//! counting allocator of its own needs a binary of its own.

use guard::{Factor, Facts, Limit, Limits, Nanos, Part, Rule, RuleSet, Value, Verdict};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::num::NonZeroU64;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn facts(key: u64) -> Facts {
    let value = NonZeroU64::new(key.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1).map(Value);
    Facts {
        buyer: value,
        device: value,
        address: value,
        api_key: value,
        ..Facts::default()
    }
}

/// Allocations during 1,000 questions, and how many of them were allowed.
fn asked(limits: &mut Limits, key: u64) -> (usize, usize) {
    let region = Region::new(ALLOCATOR);
    // A permit that is dropped keeps its slot: what a refusal for concurrency needs.
    let mut allowed = 0;
    for _ in 0..1_000 {
        let verdict = limits.ask(&facts(key), Nanos(5));
        allowed += usize::from(matches!(verdict, Verdict::Allowed { .. }));
    }
    (
        region.change().allocations + region.change().reallocations,
        allowed,
    )
}

/// One test, because the counter is the process's.
#[test]
fn deciding_allocates_nothing() {
    let narrow = [
        Limit::Rate {
            count: 1,
            period: Nanos::from_secs(3_600),
            burst: 3,
        },
        Limit::Concurrency { at_once: 3 },
        Limit::Quota {
            per_day: 3,
            calendar: 0,
        },
    ];
    for limit in narrow {
        let parts = [Part::Buyer, Part::Device, Part::Address, Part::ApiKey];
        let rules = parts.map(|part| Rule::new(format!("{part:?}"), limit).keyed(&[part]));
        let set = RuleSet::new(rules.to_vec()).expect("good rules");
        let mut limits = Limits::new(set, Factor::ONE);
        // Three allowed, of which the first makes the keys known; that one does allocate.
        let (first, allowed) = asked(&mut limits, 7);
        assert!(first > 0, "the counter counts: {limit:?}");
        assert_eq!(allowed, 3, "{limit:?}");
        assert_eq!(asked(&mut limits, 7), (0, 0), "refusals of {limit:?}");
    }
    let wide = Rule::new("wide", Limit::per_second(1_000_000)).keyed(&[Part::Buyer]);
    let mut limits = Limits::new(RuleSet::new(vec![wide]).expect("good rules"), Factor::ONE);
    asked(&mut limits, 7);
    assert_eq!(
        asked(&mut limits, 7),
        (0, 1_000),
        "allowances of a known key"
    );
}
