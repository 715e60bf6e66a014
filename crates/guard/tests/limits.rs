//! Rules, one behaviour a test: what they match, what they count apart, who is refused and what
//! that costs, and what a swap keeps.

use guard::{
    Channel, Class, Day, Factor, Facts, Headroom, Limit, Limits, Method, Missing, Mode, Nanos,
    Override, Part, PartValue, Permit, Provenance, Refusal, RouteId, Rule, RuleId, RuleSet,
    RuleStatus, Scope, Value, Verdict,
};
use proptest::prelude::*;
use std::num::NonZeroU64;

const SECOND: u64 = 1_000_000_000;
/// In ns.
const DAY: u64 = 24 * 3_600 * SECOND;

fn value(number: u64) -> Value {
    let mut word = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    Value(NonZeroU64::new((word ^ (word >> 27)) | 1).expect("odd"))
}

fn buyer(number: u64) -> Facts {
    Facts {
        buyer: Some(value(number)),
        ..Facts::default()
    }
}

fn limits(rules: impl Into<Vec<Rule>>) -> Limits {
    Limits::new(set(rules), Factor::from_millionths(250_000))
}

fn set(rules: impl Into<Vec<Rule>>) -> RuleSet {
    RuleSet::new(rules.into()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// So many an hour, all at once if need be.
fn hourly(count: u32) -> Limit {
    Limit::Rate {
        count,
        period: Nanos::from_secs(3_600),
        burst: count,
    }
}

fn by_buyer(name: &str, limit: Limit) -> Rule {
    Rule::new(name, limit).keyed(&[Part::Buyer])
}

fn allow(limits: &mut Limits, facts: &Facts, now: u64) -> (Permit, Option<Headroom>) {
    match limits.ask(facts, Nanos(now)) {
        Verdict::Allowed { permit, tightest } => (permit, tightest),
        Verdict::Refused(refusal) => panic!("refused: {refusal:?}"),
    }
}

fn refuse(limits: &mut Limits, facts: &Facts, now: u64) -> Refusal {
    match limits.ask(facts, Nanos(now)) {
        Verdict::Allowed { tightest, .. } => panic!("allowed: {tightest:?}"),
        Verdict::Refused(refusal) => refusal,
    }
}

/// How many of so many in a row are allowed; permits are kept.
fn allowed(limits: &mut Limits, facts: &Facts, now: u64, tries: usize) -> usize {
    let verdicts = (0..tries).map(|_| limits.ask(facts, Nanos(now)));
    verdicts
        .filter(|verdict| matches!(verdict, Verdict::Allowed { .. }))
        .count()
}

fn rule<'a>(limits: &'a Limits, name: &str) -> RuleStatus<'a> {
    let found = limits.rules().find(|(_, status)| status.rule.name == name);
    found.unwrap_or_else(|| panic!("no rule {name}")).1
}

fn name(limits: &Limits, id: RuleId) -> &str {
    &limits.rule(id).expect("it runs").rule.name
}

#[test]
fn each_key_is_counted_apart() {
    let parts = [
        Part::Buyer,
        Part::Device,
        Part::Address,
        Part::ApiKey,
        Part::Header(3),
        Part::Route,
        Part::Method,
        Part::Sku,
        Part::Channel,
    ];
    let one = Facts {
        route: RouteId(1),
        method: Method::Get,
        channel: Channel::Web,
        class: Class::Order,
        buyer: Some(value(1)),
        device: Some(value(1)),
        address: Some(value(1)),
        api_key: Some(value(1)),
        sku: Some(value(1)),
        headers: [Some(value(1)); 4],
    };
    let other = |part: Part| match part {
        Part::Buyer => Facts {
            buyer: Some(value(2)),
            ..one
        },
        Part::Device => Facts {
            device: Some(value(2)),
            ..one
        },
        Part::Address => Facts {
            address: Some(value(2)),
            ..one
        },
        Part::ApiKey => Facts {
            api_key: Some(value(2)),
            ..one
        },
        Part::Header(_) => {
            let mut facts = one;
            facts.headers[3] = Some(value(2));
            facts
        }
        Part::Route => Facts {
            route: RouteId(2),
            ..one
        },
        Part::Method => Facts {
            method: Method::Post,
            ..one
        },
        Part::Sku => Facts {
            sku: Some(value(2)),
            ..one
        },
        Part::Channel => Facts {
            channel: Channel::Pos,
            ..one
        },
    };
    for part in parts {
        for second in parts.iter().filter(|second| **second != part) {
            let rule = Rule::new("pair", hourly(2)).keyed(&[part, *second]);
            let mut limits = limits([rule]);
            assert_eq!(allowed(&mut limits, &one, 0, 5), 2);
            for changed in parts {
                let counts = changed == part || changed == *second;
                let left = if counts { 2 } else { 0 };
                let more = allowed(&mut limits, &other(changed), 0, 5);
                assert_eq!(more, left, "{part:?} {second:?}, another {changed:?}");
            }
        }
    }
}

#[test]
fn a_rule_concerns_what_it_matches() {
    let mut post = Rule::new("post", hourly(1));
    post.matcher.methods = vec![Method::Post];
    post.matcher.routes = vec![RouteId(0), RouteId(70)];
    post.matcher.channels = vec![Channel::App, Channel::Pos];
    post.matcher.classes = vec![Class::Order];
    let hit = Facts {
        route: RouteId(70),
        method: Method::Post,
        channel: Channel::App,
        class: Class::Order,
        ..Facts::default()
    };
    let misses = [
        Facts {
            route: RouteId(1),
            ..hit
        },
        Facts {
            route: RouteId(60_000),
            ..hit
        },
        Facts {
            method: Method::Put,
            ..hit
        },
        Facts {
            channel: Channel::Web,
            ..hit
        },
        Facts {
            class: Class::Pay,
            ..hit
        },
    ];
    let mut limits = limits([post]);
    for facts in misses {
        assert_eq!(allowed(&mut limits, &facts, 0, 3), 3, "{facts:?}");
    }
    assert_eq!(rule(&limits, "post").counters.asked, 0);
    assert_eq!(allowed(&mut limits, &hit, 0, 3), 1);
    assert_eq!(
        allowed(
            &mut limits,
            &Facts {
                route: RouteId(0),
                ..hit
            },
            0,
            1
        ),
        0,
        "one count"
    );
}

#[test]
fn a_missing_part_skips_the_rule_or_is_shared() {
    let nobody = Facts {
        address: Some(value(9)),
        ..Facts::default()
    };
    for (missing, expected) in [(Missing::Skip, 5), (Missing::Shared, 2)] {
        let mut by = Rule::new("by", hourly(2)).keyed(&[Part::Buyer, Part::Address]);
        by.key.missing = missing;
        let mut limits = limits([by]);
        assert_eq!(allowed(&mut limits, &nobody, 0, 5), expected, "{missing:?}");
        let known = Facts {
            buyer: Some(value(1)),
            ..nobody
        };
        assert_eq!(
            allowed(&mut limits, &known, 0, 5),
            2,
            "{missing:?}: whoever is known"
        );
        let elsewhere = Facts {
            address: Some(value(8)),
            ..nobody
        };
        assert_eq!(
            allowed(&mut limits, &elsewhere, 0, 5),
            expected,
            "shared for that part only"
        );
    }
}

/// Narrow rules come first; the longest wait is named; the tightest of all is told.
#[test]
fn refusals_name_the_rule_and_the_wait() {
    let minute = Limit::Rate {
        count: 1,
        period: Nanos::from_secs(60),
        burst: 2,
    };
    let mut limits = limits([
        Rule::new("all", hourly(3)),
        by_buyer("minute", minute),
        Rule::new("two", hourly(100)).keyed(&[Part::Buyer, Part::Route]),
    ]);
    let names: Vec<&str> = limits
        .rules()
        .map(|(_, status)| status.rule.name.as_str())
        .collect();
    assert_eq!(names, ["two", "minute", "all"]);

    let (_, tightest) = allow(&mut limits, &buyer(1), 0);
    let tightest = tightest.expect("rules were asked");
    assert_eq!(
        (name(&limits, tightest.rule), tightest.limit),
        ("minute", 2)
    );
    assert_eq!(
        (tightest.remaining, tightest.reset),
        (1, Nanos::from_secs(60))
    );
    let _ = allow(&mut limits, &buyer(1), 0);
    let refusal = refuse(&mut limits, &buyer(1), 10 * SECOND);
    assert_eq!(name(&limits, refusal.rule), "minute");
    assert_eq!(refusal.retry_after, Nanos::from_secs(50));
    assert_eq!((refusal.headroom.remaining, refusal.headroom.limit), (0, 2));
    assert_eq!(refusal.headroom.reset, Nanos::from_secs(110));

    let _ = allow(&mut limits, &buyer(2), 10 * SECOND);
    // Both refuse now: one in 50 s, the other in 1,190 s.
    let refusal = refuse(&mut limits, &buyer(1), 10 * SECOND);
    assert_eq!(name(&limits, refusal.rule), "all");
    assert_eq!(refusal.retry_after, Nanos::from_secs(1_190));
    let counters = rule(&limits, "minute").counters;
    assert_eq!(
        (counters.asked, counters.allowed, counters.refused),
        (5, 3, 1)
    );
    assert_eq!(rule(&limits, "all").counters.refused, 1);
    // Nobody asks: no headroom to tell.
    let mut none = Limits::new(set([]), Factor::ONE);
    assert_eq!(allow(&mut none, &buyer(1), 0).1, None);
}

#[test]
fn slots_come_back() {
    let mut limits = limits([by_buyer("slots", Limit::Concurrency { at_once: 2 })]);
    let (one, tightest) = allow(&mut limits, &buyer(1), 0);
    assert_eq!(
        tightest.map(|headroom| (headroom.limit, headroom.remaining)),
        Some((2, 1))
    );
    let (two, _) = allow(&mut limits, &buyer(1), 0);
    let refusal = refuse(&mut limits, &buyer(1), 0);
    assert_eq!(refusal.retry_after, Nanos::from_secs(1));
    // Time alone frees nothing.
    limits.tick(Nanos(DAY));
    refuse(&mut limits, &buyer(1), DAY);
    let (other, _) = allow(&mut limits, &buyer(2), DAY);
    limits.release(one);
    let (three, _) = allow(&mut limits, &buyer(1), DAY);
    refuse(&mut limits, &buyer(1), DAY);
    for permit in [two, three, other] {
        limits.release(permit);
    }
    assert_eq!(
        rule(&limits, "slots").keys,
        0,
        "whoever holds nothing is forgotten"
    );
    // A refusal and a rule without slots give an empty permit.
    limits.release(Permit::default());
    assert_eq!(allowed(&mut limits, &buyer(1), DAY, 5), 2);
}

#[test]
fn quotas_start_anew_at_midnight() {
    let noon = Day {
        start: Nanos(0),
        end: Nanos(DAY / 2),
    };
    let mut limits = limits([by_buyer(
        "quota",
        Limit::Quota {
            per_day: 2,
            calendar: 3,
        },
    )]);
    limits.set_day(3, noon);
    let (_, tightest) = allow(&mut limits, &buyer(1), 10);
    let left = Nanos(DAY / 2 - 10);
    assert_eq!(
        tightest.map(|headroom| (headroom.remaining, headroom.reset)),
        Some((1, left))
    );
    let _ = allow(&mut limits, &buyer(1), 20);
    let refusal = refuse(&mut limits, &buyer(1), DAY / 2 - 1);
    assert_eq!(refusal.retry_after, Nanos(1));
    // The shell says nothing more: days of 24 hours follow.
    assert_eq!(allowed(&mut limits, &buyer(1), DAY / 2, 5), 2);
    assert_eq!(allowed(&mut limits, &buyer(1), DAY / 2 + DAY - 1, 5), 0);
    assert_eq!(allowed(&mut limits, &buyer(1), DAY / 2 + DAY, 5), 2);
    assert_eq!(
        allowed(&mut limits, &buyer(1), DAY / 2 + 9 * DAY + 1, 5),
        2,
        "a week later"
    );
    // A day of 25 hours: what was used in it stays used.
    let now = DAY / 2 + 10 * DAY;
    let long = Day {
        start: Nanos(now),
        end: Nanos(now + DAY + 3_600 * SECOND),
    };
    assert_eq!(allowed(&mut limits, &buyer(1), now, 5), 2);
    limits.set_day(3, long);
    assert_eq!(allowed(&mut limits, &buyer(1), now + DAY + 1, 5), 0);
    assert_eq!(
        allowed(&mut limits, &buyer(1), now + DAY + 3_600 * SECOND, 5),
        2
    );
    // Yesterday's keys are swept.
    for key in 10..1_000 {
        let _ = allow(&mut limits, &buyer(key), now + DAY + 3_600 * SECOND);
    }
    for _ in 0..4 {
        limits.tick(Nanos(now + 9 * DAY));
    }
    assert_eq!(rule(&limits, "quota").keys, 0);
}

#[test]
fn shadow_counts_and_refuses_nobody() {
    let mut shadow = by_buyer("shadow", hourly(3));
    shadow.mode = Mode::Shadow;
    let mut limits = limits([shadow.clone(), by_buyer("real", hourly(5))]);
    assert_eq!(allowed(&mut limits, &buyer(1), 0, 10), 5);
    let counters = rule(&limits, "shadow").counters;
    // Three it agreed to; two it would have refused; of the rest it did not have the say.
    assert_eq!(
        (counters.allowed, counters.shadow_refused, counters.refused),
        (3, 2, 0)
    );
    // It was charged as if it were enforced: turned on, it goes on from there.
    shadow.mode = Mode::Enforce;
    drop(limits.swap(set([shadow, by_buyer("real", hourly(5))])));
    let refusal = refuse(&mut limits, &buyer(1), 0);
    assert_eq!(name(&limits, refusal.rule), "shadow");
    // Its headroom is nobody's business while it is in shadow.
    let mut only = by_buyer("shadow", hourly(3));
    only.mode = Mode::Shadow;
    let mut limits = Limits::new(set([only]), Factor::ONE);
    assert_eq!(allow(&mut limits, &buyer(1), 0).1, None);
}

#[test]
fn percent_enforcement_is_steady() {
    let held_to = |percent: u8| -> Vec<u64> {
        let mut rule = by_buyer("some", hourly(1));
        rule.enforce_percent = percent;
        let mut limits = limits([rule]);
        let is_in = |key: &u64| allowed(&mut limits, &buyer(*key), 0, 2) == 1;
        (0..10_000).filter(is_in).collect()
    };
    let (none, tenth, half, all) = (held_to(0), held_to(10), held_to(50), held_to(100));
    assert_eq!((none.len(), all.len()), (0, 10_000));
    assert!((900..1_100).contains(&tenth.len()), "{}", tenth.len());
    assert!((4_800..5_200).contains(&half.len()), "{}", half.len());
    assert!(
        tenth.iter().all(|key| half.contains(key)),
        "who is in stays in"
    );
    assert_eq!(held_to(10), tenth, "and is in every time");
}

#[test]
fn overrides_and_allow_lists() {
    let mut by = Rule::new("by", hourly(2)).keyed(&[Part::Buyer, Part::Channel]);
    let key = |number, channel| vec![PartValue::Text(value(number)), PartValue::Channel(channel)];
    by.overrides = (10..200)
        .map(|n| Override {
            values: key(n, Channel::Web),
            limit: hourly(n as u32 % 7 + 1),
        })
        .collect();
    by.allowed = vec![key(1, Channel::Web), key(2, Channel::Pos)];
    let mut limits = limits([by]);
    for n in 10..200 {
        let expected = (n % 7 + 1) as usize;
        assert_eq!(allowed(&mut limits, &buyer(n), 0, 9), expected, "{n}");
        let app = Facts {
            channel: Channel::App,
            ..buyer(n)
        };
        assert_eq!(
            allowed(&mut limits, &app, 0, 9),
            2,
            "{n}, on another channel"
        );
    }
    let keys = rule(&limits, "by").keys;
    assert_eq!(allowed(&mut limits, &buyer(1), 0, 9), 9);
    assert_eq!(
        rule(&limits, "by").keys,
        keys,
        "allowed keys are not even counted"
    );
    assert_eq!(
        allowed(&mut limits, &buyer(2), 0, 9),
        2,
        "allowed on another channel only"
    );
}

#[test]
fn near_the_limit() {
    let mut near = by_buyer("near", hourly(10));
    near.near_percent = 70;
    let mut limits = limits([near]);
    let mut seen = Vec::new();
    for _ in 0..10 {
        let _ = allow(&mut limits, &buyer(1), 0);
        seen.push(rule(&limits, "near").counters.near_limit);
    }
    assert_eq!(
        seen,
        [0, 0, 0, 0, 0, 0, 1, 2, 3, 4],
        "from the seventh of ten on"
    );
}

#[test]
fn expired_limits_become_adaptive() {
    let mut measured = by_buyer("measured", hourly(100));
    measured.provenance = Some(Provenance {
        run: "r1".to_owned(),
        expires: Some(Nanos(1_000)),
        ..Provenance::default()
    });
    let mut limits = limits([measured.clone(), by_buyer("plain", hourly(1_000))]);
    limits.set_adaptive(Factor::from_millionths(500_000));
    assert_eq!(
        allowed(&mut limits, &buyer(1), 999, 200),
        100,
        "it is fresh"
    );
    assert!(!rule(&limits, "measured").stale);
    assert_eq!(
        allowed(&mut limits, &buyer(2), 1_000, 200),
        50,
        "half, says the controller"
    );
    let status = rule(&limits, "measured");
    assert_eq!((status.stale, status.counters.stale), (true, 200));
    assert_eq!(status.factor, Factor::from_millionths(500_000));
    limits.set_adaptive(Factor::ONE);
    assert_eq!(
        allowed(&mut limits, &buyer(3), 1_000, 200),
        80,
        "never as if it were fresh"
    );
    assert_eq!(rule(&limits, "plain").counters.stale, 0);
    // Measured anew, it is trusted again.
    measured.provenance = None;
    drop(limits.swap(set([measured])));
    assert_eq!(allowed(&mut limits, &buyer(4), 2_000, 200), 100);
}

#[test]
fn cluster_rules_use_their_share() {
    let mut wide = by_buyer("wide", hourly(100));
    wide.scope = Scope::Cluster;
    let mut slots = by_buyer("slots", Limit::Concurrency { at_once: 10 });
    slots.scope = Scope::Cluster;
    slots.matcher.routes = vec![RouteId(9)];
    let mut limits = limits([wide.clone(), slots.clone()]);
    assert_eq!(
        allowed(&mut limits, &buyer(1), 0, 200),
        25,
        "a quarter until it is told more"
    );
    let id = limits
        .rules()
        .find(|(_, status)| status.rule.name == "wide")
        .expect("it runs")
        .0;
    limits.set_share(id, Factor::from_millionths(400_000));
    assert_eq!(allowed(&mut limits, &buyer(2), 0, 200), 40);
    limits.set_share(id, Factor::from_millionths(1));
    assert_eq!(
        allowed(&mut limits, &buyer(3), 0, 200),
        1,
        "never nothing at all"
    );
    let inside = Facts {
        route: RouteId(9),
        ..buyer(4)
    };
    limits.set_share(id, Factor::ONE);
    assert_eq!(
        allowed(&mut limits, &inside, 0, 200),
        2,
        "a quarter of ten slots"
    );
    drop(limits.swap(set([wide, slots])));
    assert_eq!(
        allowed(&mut limits, &buyer(5), 0, 200),
        100,
        "a swap keeps the share"
    );
}

#[test]
fn a_swap_keeps_what_is_unchanged() {
    let slots = || by_buyer("slots", Limit::Concurrency { at_once: 2 });
    let mut other = by_buyer("rate", hourly(10));
    let mut limits = limits([by_buyer("rate", hourly(10)), slots()]);
    let (permit, _) = allow(&mut limits, &buyer(1), 0);
    assert_eq!(allowed(&mut limits, &buyer(1), 0, 1), 1);
    // More rules, other numbers: the same states. Two of ten are used, so three of five are left.
    other.limit = hourly(20);
    let many = [
        Rule::new("first", hourly(1_000)).keyed(&[Part::Buyer, Part::Route]),
        other,
    ];
    drop(limits.swap(set([&many[..], &[slots()]].concat())));
    let refusal = refuse(&mut limits, &buyer(1), 0);
    assert_eq!(name(&limits, refusal.rule), "slots");
    assert_eq!(rule(&limits, "rate").counters.asked, 3);
    limits.release(permit);
    let (permit, _) = allow(&mut limits, &buyer(1), 0);
    refuse(&mut limits, &buyer(1), 0);
    // Another key, kind or name: a new start. A permit of a rule that is gone is just dropped.
    let cases = [
        Rule::new("rate", hourly(10)).keyed(&[Part::Buyer, Part::Route]),
        by_buyer(
            "rate",
            Limit::Quota {
                per_day: 10,
                calendar: 0,
            },
        ),
        by_buyer("late", hourly(10)),
    ];
    for case in cases {
        drop(limits.swap(set([by_buyer("rate", hourly(10))])));
        allowed(&mut limits, &buyer(1), 0, 20);
        refuse(&mut limits, &buyer(1), 0);
        drop(limits.swap(set([case])));
        assert_eq!(allowed(&mut limits, &buyer(1), 0, 20), 10);
    }
    limits.release(permit);
    // From a wide limit to a narrow one nobody waits longer than the narrow one says.
    drop(limits.swap(set([by_buyer("slow", hourly(1))])));
    assert_eq!(allowed(&mut limits, &buyer(7), 0, 2), 1);
    drop(limits.swap(set([by_buyer("slow", Limit::per_second(10))])));
    assert_eq!(
        refuse(&mut limits, &buyer(7), 0).retry_after,
        Nanos(SECOND / 10)
    );
}

#[test]
fn a_full_table_counts_what_it_forgets() {
    let mut small = by_buyer("small", hourly(1));
    small.keys_max = 100;
    let mut limits = limits([small]);
    for key in 0..100 {
        let _ = allow(&mut limits, &buyer(key), 0);
    }
    for key in 0..100 {
        refuse(&mut limits, &buyer(key), 1);
    }
    assert_eq!(
        (
            rule(&limits, "small").keys,
            rule(&limits, "small").evicted_live
        ),
        (100, 0)
    );
    for key in 100..150 {
        let _ = allow(&mut limits, &buyer(key), 2);
    }
    assert_eq!(
        (
            rule(&limits, "small").keys,
            rule(&limits, "small").evicted_live
        ),
        (100, 50)
    );
    // An hour later all are as good as new, and making room costs nobody anything.
    for key in 200..300 {
        let _ = allow(&mut limits, &buyer(key), 3_601 * SECOND);
    }
    assert_eq!(
        (
            rule(&limits, "small").keys,
            rule(&limits, "small").evicted_live
        ),
        (100, 50)
    );
}

#[test]
fn a_bad_set_says_all_that_is_wrong() {
    let mut bad = Rule::new("spaces are bad", hourly(0));
    bad.key.parts = vec![
        Part::Buyer,
        Part::Buyer,
        Part::Header(4),
        Part::Sku,
        Part::Route,
    ];
    bad.matcher.routes = vec![RouteId(4_096)];
    bad.enforce_percent = 101;
    bad.near_percent = 200;
    bad.keys_max = 0;
    let limit = Limit::Quota {
        per_day: 0,
        calendar: 16,
    };
    let values = vec![PartValue::Text(value(1))];
    let mut special = by_buyer("special", Limit::Concurrency { at_once: 0 });
    special.overrides = vec![Override {
        values: values.clone(),
        limit,
    }];
    special.allowed = vec![values, vec![PartValue::Route(RouteId(1))], vec![]];
    let mut keyless = Rule::new("keyless", hourly(1));
    keyless.allowed = vec![vec![]];
    let twice = by_buyer("special", hourly(1));
    let problems = RuleSet::new(vec![bad, special, twice, keyless]).expect_err("all is wrong");
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let expected = [
        "rule spaces are bad: a name has",
        "5 parts in the key, at most 4",
        "Buyer is in the key twice",
        "Header(4): headers are numbered from 0 to 3",
        "route 4096: rules may name routes below 4096",
        "enforce_percent is 101",
        "near_percent is 200",
        "keys_max is 0",
        "the limit: 0 requests",
        "rule special: the limit: 0 at the same time",
        "another kind",
        "an override: 0 a day",
        "calendar 16, below 16",
        "the key value [Route(RouteId(1))] does not fit",
        "the key value [] does not fit",
        "overridden or allowed twice",
        "rule special: another rule has this name",
        "rule keyless: a rule without a key",
    ];
    for part in expected {
        let found = text.iter().filter(|line| line.contains(part)).count();
        assert_eq!(found, 1, "{part}: {text:#?}");
    }
    assert_eq!(text.len(), expected.len(), "{text:#?}");
    let many = (0..65)
        .map(|n| Rule::new(format!("r{n}"), hourly(1)))
        .collect();
    assert!(
        RuleSet::new(many).expect_err("65 rules")[0]
            .what
            .contains("65 rules, at most 64")
    );
    let slots = |n: u16| {
        let mut rule = Rule::new(format!("s{n}"), Limit::Concurrency { at_once: 1 });
        rule.matcher.routes = vec![RouteId(n), RouteId(9)];
        rule
    };
    assert!(RuleSet::new((0..4).map(slots).collect()).is_ok());
    let five = RuleSet::new((0..5).map(slots).collect()).expect_err("five on route 9");
    assert!(
        five[0]
            .what
            .contains("5 concurrency rules on one route, at most 4")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A refusal charges nothing: an instance that never saw the refused requests is in the same
    /// state. The others are all allowed there, and told the same.
    #[test]
    fn refusals_leave_every_state_as_it_was(
        steps in prop::collection::vec(
            (0_u64..4, 0_u16..2, prop_oneof![0_u64..2, 0_u64..SECOND], any::<bool>()), 1..300),
    ) {
        let second = |count, burst| Limit::Rate { count, period: Nanos(SECOND), burst };
        let mut shadow = Rule::new("shadow", second(2, 1)).keyed(&[Part::Route]);
        shadow.mode = Mode::Shadow;
        let rules = [
            by_buyer("buyer", second(2, 3)),
            Rule::new("route", second(5, 4)).keyed(&[Part::Route]),
            by_buyer("slots", Limit::Concurrency { at_once: 2 }),
            by_buyer("quota", Limit::Quota { per_day: 40, calendar: 0 }),
            shadow,
        ];
        let (mut all, mut only) = (limits(rules.clone()), limits(rules));
        let (mut now, mut held, mut refused) = (0, Vec::new(), 0);
        for (key, route, step, gives_back) in steps {
            now += step;
            let facts = Facts { route: RouteId(route), ..buyer(key) };
            match all.ask(&facts, Nanos(now)) {
                Verdict::Refused(_) => refused += 1,
                Verdict::Allowed { permit, tightest } => {
                    let (same, headroom) = allow(&mut only, &facts, now);
                    prop_assert_eq!(tightest, headroom);
                    held.push((permit, same));
                }
            }
            if gives_back && !held.is_empty() {
                let (permit, same) = held.remove(0);
                all.release(permit);
                only.release(same);
            }
        }
        for ((_, a), (_, b)) in all.rules().zip(only.rules()) {
            let counts = |status: &RuleStatus<'_>| {
                let counters = status.counters;
                (status.keys, counters.allowed, counters.shadow_refused, counters.near_limit)
            };
            prop_assert_eq!(counts(&a), counts(&b));
            prop_assert_eq!(b.counters.refused, 0);
        }
        let total: u64 = all.rules().map(|(_, status)| status.counters.refused).sum();
        prop_assert_eq!(total, refused);
    }
}
