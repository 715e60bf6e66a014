//! A request with several descriptions, against a slow and obvious model and against `ask`.

use guard::{
    Day, Description, Factor, Facts, Key, Limit, Limits, Missing, Mode, Nanos, Part, Rule, RuleSet,
    Told, Value, Verdict,
};
use proptest::prelude::*;
use std::collections::HashMap;
use std::num::NonZeroU64;

const SECOND: u64 = 1_000_000_000;
/// A day of the tests, in seconds.
const DAY_S: u64 = 50;

fn value(number: u8) -> Option<Value> {
    NonZeroU64::new(u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15)).map(Value)
}

fn facts(buyer: u8, address: u8) -> Facts {
    Facts {
        buyer: value(buyer),
        address: value(address),
        ..Facts::default()
    }
}

fn rate(count: u32, burst: u32) -> Limit {
    Limit::Rate {
        count,
        period: Nanos(SECOND),
        burst,
    }
}

fn one(buyer: u8, address: u8, hits: u32) -> Description {
    Description {
        facts: facts(buyer, address),
        hits,
        instead: None,
    }
}

fn limits(rules: Vec<Rule>) -> Limits {
    Limits::new(RuleSet::new(rules).expect("good rules"), Factor::ONE)
}

/// Asks, and says what was told: `+` and what is left, or `-` and the wait in milliseconds.
fn asked(limits: &mut Limits, described: &[Description], now_ms: u64) -> (bool, Vec<String>) {
    let mut told = vec![None; described.len()];
    let allowed = limits.ask_together(described, Nanos::from_millis(now_ms), &mut told);
    let word = |told: &Option<Told>| match told {
        None => "none".to_owned(),
        Some(told) => match told.retry_after {
            None => format!("+{}", told.headroom.remaining),
            Some(wait) => format!("-{}", wait.0 / 1_000_000),
        },
    };
    (allowed, told.iter().map(word).collect())
}

fn check(limits: &mut Limits, described: &[Description], allowed: bool, told: &[&str]) {
    let told = told.iter().map(|text| (*text).to_owned()).collect();
    assert_eq!(asked(limits, described, 0), (allowed, told));
}

#[test]
fn charges_all_or_nothing() {
    let buyers = Rule::new("buyers", rate(1, 2)).keyed(&[Part::Buyer]);
    let networks = Rule::new("networks", rate(1, 1)).keyed(&[Part::Address]);
    let mut limits = limits(vec![buyers, networks]);
    let both = [one(1, 0, 1), one(0, 1, 1)];
    check(&mut limits, &both, true, &["+1", "+0"]);
    for _ in 0..3 {
        check(&mut limits, &both, false, &["+1", "-1000"]);
    }
    // What the address lacked, the buyer did not pay for.
    check(&mut limits, &[one(1, 0, 1)], true, &["+0"]);
    check(&mut limits, &[one(1, 0, 1)], false, &["-1000"]);
}

#[test]
fn one_key_is_charged_once() {
    let mut limits = limits(vec![Rule::new("all", rate(1, 10))]);
    check(
        &mut limits,
        &[one(1, 0, 1), one(0, 1, 3), one(1, 1, 2)],
        true,
        &["+7", "+7", "+7"],
    );
}

#[test]
fn several_hits_come_together() {
    let mut rates = limits(vec![Rule::new("r", rate(1, 10)).keyed(&[Part::Buyer])]);
    let quota = Limit::Quota {
        per_day: 10,
        calendar: 0,
    };
    let mut quotas = limits(vec![Rule::new("q", quota).keyed(&[Part::Buyer])]);
    for limits in [&mut rates, &mut quotas] {
        assert_eq!(asked(limits, &[one(1, 0, 7)], 0).1, ["+3"]);
        let (allowed, told) = asked(limits, &[one(1, 0, 4)], 0);
        assert!(!allowed && told[0].starts_with('-'), "{told:?}");
        assert_eq!(asked(limits, &[one(1, 0, 0)], 0), (true, vec!["+3".into()]));
        assert_eq!(asked(limits, &[one(1, 0, 3)], 0), (true, vec!["+0".into()]));
        assert!(!asked(limits, &[one(1, 0, 0)], 0).0, "nothing is left");
        let (allowed, told) = asked(limits, &[one(2, 0, 11)], 0);
        assert!(
            !allowed && told[0] != "-0",
            "more than there ever is: {told:?}"
        );
        assert_eq!(asked(limits, &[one(2, 0, 0)], 0).1, ["+10"]);
    }
    assert_eq!(rates.rules().next().map(|r| r.1.counters.refused), Some(15));
}

#[test]
fn a_rate_of_its_own_stands_in_for_the_narrowest() {
    let narrow = Rule::new("narrow", rate(1, 2)).keyed(&[Part::Buyer, Part::Address]);
    let wide = Rule::new("wide", rate(1, 5)).keyed(&[Part::Buyer]);
    let mut limits = limits(vec![wide, narrow]);
    let own = |count, burst| Description {
        instead: Some(rate(count, burst)),
        ..one(1, 1, 1)
    };
    check(&mut limits, &[own(1, 3)], true, &["+2"]);
    check(&mut limits, &[own(1, 3)], true, &["+1"]);
    check(&mut limits, &[own(1, 3)], true, &["+0"]);
    check(&mut limits, &[own(1, 3)], false, &["-1000"]);
    // Out of bounds: as if there were none.
    check(&mut limits, &[own(0, 9)], false, &["-1000"]);
    // The wide rule has its own limit all the time.
    check(&mut limits, &[own(1, 9)], true, &["+1"]);
    check(&mut limits, &[own(1, 9)], true, &["+0"]);
    check(&mut limits, &[own(1, 9)], false, &["-1000"]);
}

#[test]
fn slots_are_left_alone() {
    let slots = Rule::new("slots", Limit::Concurrency { at_once: 1 });
    let mut limits = limits(vec![slots]);
    for _ in 0..3 {
        check(&mut limits, &[one(1, 1, 1)], true, &["none"]);
    }
    check(&mut limits, &[], true, &[]);
}

/// The same rules as plain fractions in a map by key: `debt` is in units of 1/count ns.
#[derive(Default)]
struct Model {
    rates: HashMap<(usize, Vec<u8>), u128>,
    used: HashMap<(usize, Vec<u8>, u64), u32>,
}

/// A part of a key is 0 for buyer, 1 for address.
#[derive(Clone, Debug)]
struct Plain {
    parts: Vec<u8>,
    shared: bool,
    shadow: bool,
    quota: bool,
    count: u32,
    burst: u32,
}

impl Plain {
    fn rule(&self, at: usize) -> Rule {
        let limit = match self.quota {
            true => Limit::Quota {
                per_day: self.burst,
                calendar: 0,
            },
            false => rate(self.count, self.burst),
        };
        let mut rule = Rule::new(format!("rule-{at}"), limit);
        let part = |part: &u8| [Part::Buyer, Part::Address][usize::from(*part)];
        rule.key = Key {
            parts: self.parts.iter().map(part).collect(),
            missing: [Missing::Skip, Missing::Shared][usize::from(self.shared)],
        };
        rule.mode = [Mode::Enforce, Mode::Shadow][usize::from(self.shadow)];
        rule
    }
    fn key(&self, (buyer, address, _): &(u8, u8, u32)) -> Vec<u8> {
        let part = |part: &u8| [*buyer, *address][usize::from(*part)];
        self.parts.iter().map(part).collect()
    }
}

impl Model {
    fn ask(&mut self, rules: &[Plain], request: &[(u8, u8, u32)], now: u64) -> bool {
        let mut charges = Vec::new();
        let mut refused = false;
        for (at, rule) in rules.iter().enumerate() {
            let keys: Vec<_> = request.iter().map(|one| (rule.key(one), one.2)).collect();
            let whole = |key: &[u8]| !key.contains(&0);
            let any_whole = keys.iter().any(|(key, _)| whole(key));
            let mut hits: HashMap<Vec<u8>, u32> = HashMap::new();
            for (key, own) in keys {
                if whole(&key) || (rule.shared && !any_whole) {
                    let most = hits.entry(key).or_default();
                    *most = own.max(*most);
                }
            }
            for (key, hits) in hits {
                let fits = self.fits(rule, at, &key, hits, now);
                refused |= !fits && !rule.shadow;
                if fits {
                    charges.push((at, key, hits));
                }
            }
        }
        if !refused {
            for (at, key, hits) in charges {
                self.charge(&rules[at], at, key, hits, now);
            }
        }
        !refused
    }
    fn debt(&self, rule: &Plain, at: usize, key: &[u8], now: u64) -> u128 {
        let until = self.rates.get(&(at, key.to_vec())).copied().unwrap_or(0);
        until.saturating_sub(u128::from(now) * u128::from(rule.count))
    }
    fn fits(&self, rule: &Plain, at: usize, key: &[u8], hits: u32, now: u64) -> bool {
        let (hits, burst) = (hits.max(1), rule.burst);
        if rule.quota {
            let today = (at, key.to_vec(), now / (DAY_S * SECOND));
            return self.used.get(&today).unwrap_or(&0) + hits <= burst;
        }
        let ahead = u128::from(hits - 1) * u128::from(SECOND);
        hits <= burst
            && self.debt(rule, at, key, now) + ahead <= u128::from(burst - 1) * u128::from(SECOND)
    }
    fn charge(&mut self, rule: &Plain, at: usize, key: Vec<u8>, hits: u32, now: u64) {
        if hits == 0 {
            return;
        }
        if rule.quota {
            let today = (at, key, now / (DAY_S * SECOND));
            *self.used.entry(today).or_default() += hits;
            return;
        }
        let until = u128::from(now) * u128::from(rule.count)
            + self.debt(rule, at, &key, now)
            + u128::from(hits) * u128::from(SECOND);
        self.rates.insert((at, key), until);
    }
}

fn plain() -> impl Strategy<Value = Plain> {
    let parts = prop::sample::subsequence(vec![0_u8, 1], 0..=2);
    let flags = (any::<bool>(), prop::bool::weighted(0.2), any::<bool>());
    (parts, flags, 1..8_u32, 1..8_u32).prop_map(|(parts, flags, count, burst)| Plain {
        parts,
        shared: flags.0,
        shadow: flags.1,
        quota: flags.2,
        count,
        burst,
    })
}

fn days(limits: &mut Limits, now: u64) {
    let day = now / (DAY_S * SECOND);
    let (start, end) = (day * DAY_S * SECOND, (day + 1) * DAY_S * SECOND);
    limits.set_day(
        0,
        Day {
            start: Nanos(start),
            end: Nanos(end),
        },
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn decides_as_the_model(
        rules in prop::collection::vec(plain(), 1..5),
        requests in prop::collection::vec(
            (prop::collection::vec((0..3_u8, 0..3_u8, 0..4_u32), 1..4), 0..2 * SECOND),
            1..80,
        ),
    ) {
        let set = rules.iter().enumerate().map(|(at, rule)| rule.rule(at)).collect();
        let (mut limits, mut model) = (limits(set), Model::default());
        let mut now = SECOND;
        for (request, pause) in requests {
            now += pause;
            days(&mut limits, now);
            let described: Vec<_> = request.iter().map(|(b, a, hits)| one(*b, *a, *hits)).collect();
            let mut told = vec![None; described.len()];
            let allowed = limits.ask_together(&described, Nanos(now), &mut told);
            prop_assert_eq!(allowed, model.ask(&rules, &request, now));
            let refusal = told.iter().flatten().any(|told| told.retry_after.is_some());
            prop_assert_eq!(refusal, !allowed);
        }
    }

    #[test]
    fn one_description_is_asked_as_any_request(
        rules in prop::collection::vec(plain(), 1..5),
        requests in prop::collection::vec((0..3_u8, 0..3_u8, 0..SECOND), 1..80),
    ) {
        let set = || rules.iter().enumerate().map(|(at, rule)| rule.rule(at)).collect();
        let (mut together, mut alone) = (limits(set()), limits(set()));
        let mut now = SECOND;
        for (buyer, address, pause) in requests {
            now += pause;
            let mut told = [None];
            let allowed = together.ask_together(&[one(buyer, address, 1)], Nanos(now), &mut told);
            let (expected, headroom) = match alone.ask(&facts(buyer, address), Nanos(now)) {
                Verdict::Allowed { tightest, .. } => (true, tightest),
                Verdict::Refused(refusal) => (false, Some(refusal.headroom)),
            };
            prop_assert_eq!(allowed, expected);
            prop_assert_eq!(told[0].map(|told| told.headroom), headroom);
        }
        let counters = |limits: &Limits| limits.rules().map(|r| r.1.counters).collect::<Vec<_>>();
        prop_assert_eq!(counters(&together), counters(&alone));
    }
}
