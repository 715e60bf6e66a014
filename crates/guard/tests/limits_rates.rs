//! Rate limits against three judges: governor, a list of all arrivals, and arithmetic.

use governor::clock::FakeRelativeClock;
use governor::{Quota, RateLimiter};
use guard::{Cell, Factor, Facts, Gcra, Limit, Limits, Nanos, Part, Rule, RuleSet, Tat};
use guard::{Value, Verdict};
use proptest::prelude::*;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// Repeatable numbers, splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn one_key(rate: u32, burst: u32) -> Limits {
    let limit = Limit::Rate {
        count: rate,
        period: Nanos(SECOND),
        burst,
    };
    let rule = Rule::new("rate", limit).keyed(&[Part::Buyer]);
    Limits::new(RuleSet::new(vec![rule]).expect("good rules"), Factor::ONE)
}

fn buyer(number: u64) -> Facts {
    let value = NonZeroU64::new(Random(number).next() | 1).map(Value);
    Facts {
        buyer: value,
        ..Facts::default()
    }
}

fn is_allowed(limits: &mut Limits, facts: &Facts, now: u64) -> bool {
    matches!(limits.ask(facts, Nanos(now)), Verdict::Allowed { .. })
}

/// 100,000 arrivals, in steps of nothing up to four intervals, at each limit. Governor keeps whole
/// nanoseconds, so rates here divide a second; the next test does the others.
#[test]
fn decides_as_governor_does() {
    let cases = [
        (1, 1),
        (1, 10),
        (10, 1),
        (100, 5),
        (100, 1_000),
        (1_000, 50),
        (8, 3),
    ];
    for (rate, burst) in [&cases[..], &[(1_000_000, 1), (10_000_000, 100)]].concat() {
        for stretch in [1, 2, 4] {
            let (allowed, same) = beside_governor(rate, burst, stretch);
            assert_eq!(same, 100_000, "{rate}/s, {burst} at once, {stretch}");
            assert!(
                (1_000..99_999).contains(&allowed) || stretch == 4,
                "{rate} {burst} {allowed}"
            );
        }
    }
}

fn beside_governor(rate: u32, burst: u32, stretch: u64) -> (usize, usize) {
    let number = |n: u32| NonZeroU32::new(n).expect("not zero");
    let interval = Duration::from_nanos(SECOND / u64::from(rate));
    let quota = Quota::with_period(interval)
        .expect("not zero")
        .allow_burst(number(burst));
    let clock = FakeRelativeClock::default();
    let governor = RateLimiter::direct_with_clock(quota, clock.clone());
    let mut ours = one_key(rate, burst);
    let mut random = Random(u64::from(rate) * 1_000_003 + u64::from(burst));
    let (mut now, mut allowed, mut same) = (0, 0, 0);
    for _ in 0..100_000 {
        let step = random.below(SECOND / u64::from(rate) * stretch);
        // Often at the same instant, and often right at the edge.
        let step = [0, step, step, SECOND / u64::from(rate)][random.below(4) as usize];
        now += step;
        clock.advance(Duration::from_nanos(step));
        let (we, they) = (
            is_allowed(&mut ours, &buyer(1), now),
            governor.check().is_ok(),
        );
        same += usize::from(we == they);
        allowed += usize::from(we);
    }
    (allowed, same)
}

/// No rate drifts: a million requests move the clock by exactly a million intervals.
#[test]
fn rates_that_do_not_divide_a_second_are_exact() {
    for rate in [1_u32, 3, 7, 60, 999, 999_983, 9_999_991, 10_000_000] {
        let gcra = Gcra::new(rate, Nanos(SECOND), 10_000_000).expect("in bounds");
        let parts = (1..=rate)
            .find(|parts| (u64::from(*parts) * SECOND).is_multiple_of(u64::from(rate)))
            .expect("the rate itself does");
        let mut tat = Tat::default();
        for n in 1..=1_000_000_u64 {
            let Cell::Conforms { tat: next, .. } = gcra.ask(Nanos(0), tat) else {
                panic!("{rate}/s, request {n}: ten million may come at once");
            };
            tat = next;
            let scaled = u128::from(n) * u128::from(SECOND) * u128::from(parts) / u128::from(rate);
            let is = u128::from(tat.ns) * u128::from(parts) + u128::from(tat.part);
            assert_eq!(is, scaled, "{rate}/s after {n}");
        }
    }
}

/// Ten hours of constant pressure: not one request more or less than rate × time + burst.
#[test]
fn constant_pressure_is_counted_exactly() {
    for (rate, burst) in [(3_u32, 2_u32), (7, 5), (1_000, 10), (999, 2)] {
        let mut limits = one_key(rate, burst);
        let seconds = 36_000_000 / u64::from(rate) / 100;
        // Nine tries an interval; the last at the last instant.
        let step = SECOND / u64::from(rate) / 9;
        let tries = (0..)
            .map(|n| n * step)
            .take_while(|at| *at < seconds * SECOND);
        let mut allowed = 0_u64;
        for at in tries.chain([seconds * SECOND]) {
            allowed += u64::from(is_allowed(&mut limits, &buyer(1), at));
        }
        let most = seconds * u64::from(rate) + u64::from(burst);
        // An allowance waits for the next try; with two at once nothing is lost by that.
        assert!(
            (most - 1..=most).contains(&allowed),
            "{rate}/s: {allowed} of {most}"
        );
    }
}

/// Within a percent of what is configured, for steady, bursty and skewed arrivals.
#[test]
fn counts_are_within_a_percent_of_the_limit() {
    let (rate, burst, seconds, keys) = (20_u32, 20_u32, 200_u64, 200_u64);
    let most = (u64::from(rate) * seconds + u64::from(burst)) as f64;
    for name in ["steady", "bursty", "skewed"] {
        let mut limits = one_key(rate, burst);
        let mut random = Random(7);
        let mut asked = vec![0_u64; keys as usize];
        let mut allowed = vec![0_u64; keys as usize];
        let weights: Vec<f64> = (1..=keys).map(|rank| 1.0 / rank as f64).collect();
        let total: f64 = weights.iter().sum();
        let arrivals = 40 * keys * seconds;
        for n in 0..arrivals {
            let mut at = n * (seconds * SECOND / arrivals);
            let key = match name {
                // Everybody twice as fast as the limit.
                "steady" => n % keys,
                // The same in heaps: nothing for four fifths of each second.
                "bursty" => {
                    at = at / SECOND * SECOND + at % SECOND / 5;
                    random.below(keys)
                }
                _ => zipf(&weights, random.share() * total),
            };
            asked[key as usize] += 1;
            allowed[key as usize] += u64::from(is_allowed(&mut limits, &buyer(key), at));
        }
        for key in 0..keys as usize {
            // Skewed: the tail asks for less than its limit and gets nearly all of it.
            let expected = most.min(asked[key] as f64);
            let error = allowed[key] as f64 / expected - 1.0;
            let near_limit = name == "skewed" && (0.8..1.4).contains(&(asked[key] as f64 / most));
            assert!(
                near_limit || error.abs() <= 0.01,
                "{name}, {key}: {error:.4}"
            );
        }
    }
}

fn zipf(weights: &[f64], mut at: f64) -> u64 {
    let found = weights.iter().position(|weight| {
        at -= weight;
        at < 0.0
    });
    found.unwrap_or(weights.len() - 1) as u64
}

/// The obvious model: remembers every allowed arrival and looks at every window that ends now.
struct Arrivals {
    count: u128,
    period: u128,
    burst: u128,
    allowed: Vec<u128>,
}

impl Arrivals {
    fn ask(&mut self, now: u128) -> bool {
        let agrees = self.allowed.iter().rev().enumerate().all(|(newer, at)| {
            // In [at, now]: what was allowed since, and this one.
            let inside = newer as u128 + 2;
            inside <= self.burst || (inside - self.burst) * self.period <= (now - at) * self.count
        });
        if agrees {
            self.allowed.push(now);
        }
        agrees
    }

    /// How many more would be allowed at this instant.
    fn remaining(&mut self, now: u128) -> u32 {
        let before = self.allowed.len();
        let more = (0..self.burst + 1).take_while(|_| self.ask(now)).count();
        self.allowed.truncate(before);
        more as u32
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Never more than burst + rate × window in any window, never less than that allows; and what
    /// is said about the remaining requests and the wait is true.
    #[test]
    fn agrees_with_a_list_of_arrivals(
        count in 1_u32..40,
        period in 1_u64..2_000,
        burst in 1_u32..12,
        steps in prop::collection::vec(prop_oneof![0_u64..3, 0_u64..200, 0_u64..4_000], 1..150),
    ) {
        // The shortest interval of all is 100 ns.
        let period = period * 100 * u64::from(count);
        let gcra = Gcra::new(count, Nanos(period), burst).expect("in bounds");
        let mut model = Arrivals {
            count: u128::from(count),
            period: u128::from(period),
            burst: u128::from(burst),
            allowed: Vec::new(),
        };
        let (mut now, mut tat) = (0, Tat::default());
        for step in steps {
            now += step * period / 1_000;
            match gcra.ask(Nanos(now), tat) {
                Cell::Conforms { tat: next, remaining, reset } => {
                    prop_assert!(model.ask(u128::from(now)), "we let one more through");
                    prop_assert_eq!(remaining, model.remaining(u128::from(now)));
                    let all = model.remaining(u128::from(now + reset.0));
                    prop_assert_eq!(all, burst, "after the reset all is free");
                    tat = next;
                }
                Cell::TooEarly { retry_after, .. } => {
                    prop_assert!(!model.ask(u128::from(now)), "we refused one too many");
                    let then = u128::from(now + retry_after.0);
                    prop_assert_eq!(model.remaining(then - 1), 0, "a nanosecond before");
                    prop_assert!(model.remaining(then) >= 1, "when it was told to come");
                }
            }
        }
    }

    /// Hostile clocks and states: no overflow, no more than the burst at once.
    #[test]
    fn survives_any_clock(
        count in 1_u32..=10_000_000,
        burst in 1_u32..=10_000_000,
        factor in 1_u64..=1_000_000,
        now in any::<u64>(),
        ns in any::<u64>(),
        part in any::<u32>(),
    ) {
        let gcra = Gcra::new(count, Nanos(SECOND), burst).expect("in bounds");
        let gcra = gcra.times(Factor::from_millionths(factor));
        match gcra.ask(Nanos(now), Tat { ns, part }) {
            Cell::Conforms { remaining, .. } => prop_assert!(remaining < gcra.burst()),
            Cell::TooEarly { retry_after, reset } => {
                prop_assert!(retry_after.0 > 0 && retry_after <= reset);
            }
        }
    }
}

#[test]
fn refuses_numbers_out_of_bounds() {
    let year = Nanos::from_secs(366 * 24 * 3_600);
    let cases = [
        (0, Nanos(SECOND), 1, false),
        (1, Nanos(0), 1, false),
        (1, Nanos(SECOND), 0, false),
        (10_000_001, Nanos(SECOND), 1, false),
        (1, Nanos(99), 1, false),
        (1, Nanos(year.0 + 1), 1, false),
        (1, Nanos(SECOND), 10_000_001, false),
        (10_000_000, Nanos(SECOND), 10_000_000, true),
        (1, Nanos(100), 1, true),
        (1, year, 10_000_000, true),
    ];
    for (count, period, burst, good) in cases {
        let made = Gcra::new(count, period, burst).is_some();
        assert_eq!(made, good, "{count} a {} ns, {burst} at once", period.0);
    }
}
