//! Decisions by table, and what must hold for any of them.

use super::usl::{Curve, Knee, NotShown, Shown, Step, fit};
use super::*;
use crate::map::{Edge, Entry, flows};
use proptest::prelude::*;

fn curve_steps(curve: Curve, at: &[f64]) -> Vec<Step> {
    let one = |n: &f64| {
        let x = curve.throughput(*n);
        Step {
            offered_per_s: x,
            answered_per_s: x,
            mean_ms: n / x * 1e3,
        }
    };
    at.iter().map(one).collect()
}

#[test]
fn a_curve_that_follows_the_law_is_found_again() {
    for (alpha, beta) in [(0.05, 0.001), (0.2, 0.0), (0.02, 0.0004)] {
        let law = Curve {
            gamma: 90.0,
            alpha,
            beta,
        };
        let shown = fit(&curve_steps(law, &[1.0, 4.0, 9.0, 16.0, 30.0, 60.0])).unwrap();
        for (found, real) in [
            (shown.curve.gamma, 90.0),
            (shown.curve.alpha, alpha),
            (shown.curve.beta, beta),
            (shown.knee.per_s, law.peak().unwrap()),
        ] {
            assert!(
                (found - real).abs() <= 1e-6 * real.max(1.0),
                "{found} {real}"
            );
        }
    }
}

#[test]
fn steps_that_show_nothing_are_refused_with_a_reason() {
    let flat = Curve {
        gamma: 100.0,
        alpha: 0.0,
        beta: 0.0,
    };
    let why = fit(&curve_steps(flat, &[1.0, 2.0, 3.0, 4.0])).unwrap_err();
    assert!(matches!(why, NotShown::NoBend { .. }), "{why:?}");
    let why = fit(&curve_steps(flat, &[1.0, 2.0, 3.0])).unwrap_err();
    assert_eq!(why, NotShown::TooFew { steady: 3 });
    assert!(why.sentence().contains("only 3 steps"));
    let bad = Step {
        offered_per_s: f64::NAN,
        answered_per_s: -1.0,
        mean_ms: 0.0,
    };
    assert_eq!(fit(&[bad; 9]), Err(NotShown::TooFew { steady: 0 }));
}

#[test]
fn instances_survive_one_and_a_zone() {
    for (demand, zones, bare, safe) in [
        (0.0, 3, 0, 0),
        (90.0, 1, 1, 2),
        (450.0, 1, 5, 6),
        (450.0, 3, 5, 8),
        (450.0, 2, 5, 10),
        (90.0, 3, 1, 2),
    ] {
        let found = need(demand, 100.0, 1.0, zones).unwrap();
        assert_eq!((found.bare, found.safe), (bare, safe), "{demand} {zones}");
        assert!(safe == 0 || zones < 2 || safe - safe.div_ceil(zones) >= bare);
    }
    assert_eq!(need(1.0, 0.0, 1.0, 1), None);
}

fn measured(per_instance: f64) -> Capacity {
    let knee = Knee {
        per_s: per_instance,
        low: per_instance,
        high: per_instance,
    };
    let curve = Curve {
        gamma: 1.0,
        alpha: 0.1,
        beta: 0.0,
    };
    Capacity::Measured {
        per_instance,
        shown: Shown {
            curve,
            knee,
            steady: 5,
            flooded: 1,
        },
        instances: 1,
        origin: Origin {
            run: "r".to_owned(),
            build: "b".to_owned(),
            measured_ms: 0,
        },
    }
}

fn service(name: &str, instances: u64, capacity: Capacity) -> Service {
    Service {
        name: name.to_owned(),
        class: Class::Core,
        owner: format!("{name} team"),
        risk: 1,
        single_points: Vec::new(),
        instances,
        zones: 1,
        skew: 1.0,
        capacity,
        scaling: Some(Scaling {
            max: 40,
            lead_minutes: 30,
            cost_per_hour: 0.5,
        }),
        sacrifices: Vec::new(),
    }
}

fn edge(from: &str, to: &str, weak: bool) -> Edge {
    Edge {
        from: from.to_owned(),
        to: to.to_owned(),
        per_request: 1.0,
        cache_hit: 0.0,
        weak,
        routes: Vec::new(),
        seen: 0,
    }
}

/// Pages ask stock and, if they may, hints; orders also ask the bank.
fn shop() -> Situation {
    let mut bank = edge("pages", "bank", false);
    bank.routes = vec!["order".to_owned()];
    let entry = |route: &str, core| Entry {
        route: route.to_owned(),
        to: "pages".to_owned(),
        per_request: 1.0,
        cache_hit: 0.0,
        core,
    };
    let names = ["bank", "hints", "pages", "stock"].map(str::to_owned);
    let mut hints = service("hints", 2, measured(1_000.0));
    hints.class = Class::Degradable;
    hints.sacrifices = vec![
        Sacrifice {
            name: "no-hints".to_owned(),
            routes: Vec::new(),
            skips: vec!["hints".to_owned()],
            frees: 1.0,
            loss_per_hour: 50.0,
        },
        Sacrifice {
            name: "no-browsing".to_owned(),
            routes: vec!["browse".to_owned(), "order".to_owned()],
            skips: Vec::new(),
            frees: 0.8,
            loss_per_hour: 900.0,
        },
    ];
    let mut bank_service = service("bank", 1, Capacity::Quota(150.0));
    bank_service.scaling = None;
    let demand = |route: &str, upper: f64| Demand {
        route: route.to_owned(),
        expected: upper / 2.0,
        upper,
    };
    Situation {
        map: Map::new(
            names.into(),
            vec![entry("order", true), entry("browse", false)],
            vec![
                bank,
                edge("pages", "hints", true),
                edge("pages", "stock", false),
            ],
        )
        .unwrap(),
        services: vec![
            bank_service,
            hints,
            service("pages", 9, measured(200.0)),
            service("stock", 4, measured(1_000.0)),
        ],
        demand: vec![demand("browse", 900.0), demand("order", 100.0)],
        safety_factor: 1.0,
        budget: None,
        currency: "EUR".to_owned(),
        now_minute: 1_000,
        ready_minute: 2_000,
        hours: 10.0,
    }
}

fn choices(situation: &Situation) -> Vec<(String, Choice)> {
    let decided = decide(situation).unwrap();
    let all = decided.services.into_iter();
    all.map(|one| (one.service, one.choice)).collect()
}

#[track_caller]
fn check(change: impl Fn(&mut Situation), at: &str, expected: &Choice, said: &str) -> Decisions {
    let mut situation = shop();
    change(&mut situation);
    let decided = decide(&situation).unwrap();
    let one = decided.of(at).unwrap();
    assert_eq!(&one.choice, expected, "{one:#?}");
    let because = one.because.join(" ");
    assert!(because.contains(said), "{because:?} lacks {said:?}");
    decided
}

fn grown(more: u64, to: u64, cost: f64) -> Growth {
    Growth {
        to,
        more,
        begin_minute: 1_970,
        cost,
    }
}

#[test]
fn each_choice_has_its_reason() {
    assert!(
        choices(&shop())
            .iter()
            .all(|(_, choice)| *choice == Choice::Fine)
    );
    // A planted slow dependency moves the decision to itself, and to nobody else.
    let slow = |situation: &mut Situation| situation.services[3].capacity = measured(125.0);
    let decided = check(
        slow,
        "stock",
        &Choice::ScaleOut(grown(5, 9, 25.0)),
        "begin by 1970-01-02T08:50:00Z, 30 minutes before they must serve; it costs 25.00 EUR",
    );
    for other in ["bank", "hints", "pages"] {
        assert_eq!(decided.of(other).unwrap().choice, Choice::Fine, "{other}");
    }
    let too_late = |situation: &mut Situation| {
        slow(situation);
        situation.now_minute = 1_990;
    };
    // Without the browsing, 280 a second are left for three of four instances.
    let browsing = Choice::Degrade {
        switches: vec!["no-browsing".to_owned()],
        growth: None,
    };
    check(
        too_late,
        "stock",
        &browsing,
        "More instances would come too late",
    );
    let poor = |situation: &mut Situation| {
        slow(situation);
        situation.budget = Some(5.0);
    };
    let and_grown = Choice::Degrade {
        switches: vec!["no-browsing".to_owned()],
        growth: Some(grown(1, 5, 5.0)),
    };
    check(
        poor,
        "stock",
        &and_grown,
        "The budget of 5.00 EUR does not pay",
    );
    // The cheaper switch wins where it is enough.
    let hints = |situation: &mut Situation| {
        situation.services[1].capacity = measured(10.0);
        situation.services[1].scaling = None;
    };
    let no_hints = Choice::Degrade {
        switches: vec!["no-hints".to_owned()],
        growth: None,
    };
    let decided = check(hints, "hints", &no_hints, "touch no core flow: no-hints");
    assert!((decided.loss_per_hour - 50.0).abs() < 1e-9);
    let quota = |situation: &mut Situation| situation.services[0].capacity = Capacity::Quota(80.0);
    check(
        quota,
        "bank",
        &Choice::Optimise { times: 1.25 },
        "A quota 1.25 times as high has to be agreed with bank team",
    );
    let unknown = |situation: &mut Situation| {
        situation.services[3].capacity = Capacity::Unknown("nobody looked".to_owned());
    };
    check(
        unknown,
        "stock",
        &Choice::Measure,
        "not known: nobody looked",
    );
}

#[test]
fn core_is_helped_first_when_money_is_short() {
    let decided = check(
        |situation| {
            situation.services[1].capacity = measured(250.0);
            situation.services[3].capacity = measured(250.0);
            situation.services[1].sacrifices.clear();
            situation.budget = Some(5.0);
        },
        "stock",
        &Choice::ScaleOut(grown(1, 5, 5.0)),
        "it costs 5.00 EUR",
    );
    let hints = &decided.of("hints").unwrap().choice;
    assert!(matches!(hints, Choice::Optimise { .. }), "{hints:?}");
}

#[test]
fn circles_are_told_instead_of_rates() {
    let mut situation = shop();
    situation.map.edges.push(edge("stock", "pages", false));
    assert_eq!(
        decide(&situation).unwrap_err(),
        [["pages", "stock", "pages"]]
    );
}

/// A random system without circles: services call those with higher numbers.
fn systems() -> impl Strategy<Value = Situation> {
    let one = (1u64..20, 10.0f64..500.0, 1.0f64..2.0, 1u64..4);
    let call = (
        0usize..6,
        1usize..6,
        0.1f64..3.0,
        0.0f64..0.9,
        any::<bool>(),
    );
    (
        prop::collection::vec(one, 6),
        prop::collection::vec(call, 0..12),
        prop::collection::vec((0usize..6, 0.0f64..2_000.0), 1..4),
    )
        .prop_map(|(services, calls, routes)| {
            let name = |index: usize| format!("s{index}");
            let mut situation = shop();
            situation.services = services
                .iter()
                .enumerate()
                .map(|(index, (instances, per_instance, skew, zones))| {
                    let mut one = service(&name(index), *instances, measured(*per_instance));
                    (one.skew, one.zones, one.scaling) = (*skew, *zones, None);
                    one
                })
                .collect();
            let edges = calls.iter().filter(|(from, step, ..)| from + step < 6).map(
                |(from, step, per_request, cache_hit, weak)| Edge {
                    per_request: *per_request,
                    cache_hit: *cache_hit,
                    ..edge(&name(*from), &name(from + step), *weak)
                },
            );
            let entries = routes.iter().enumerate().map(|(index, (to, _))| Entry {
                route: format!("r{index}"),
                to: name(*to),
                per_request: 1.0,
                cache_hit: 0.0,
                core: true,
            });
            situation.map = Map::new(
                (0..6).map(name).collect(),
                entries.collect(),
                edges.collect(),
            )
            .unwrap();
            let demand = routes.iter().enumerate().map(|(index, (_, upper))| Demand {
                route: format!("r{index}"),
                expected: upper / 2.0,
                upper: *upper,
            });
            situation.demand = demand.collect();
            situation
        })
}

proptest! {
    #[test]
    fn never_more_is_admitted_than_what_is_behind_can_take(situation in systems()) {
        let decided = decide(&situation).unwrap();
        let found = limits(&situation, &decided).unwrap();
        let admitted: Vec<(String, f64)> = found
            .routes
            .iter()
            .map(|limit| (limit.route.clone(), limit.cluster))
            .collect();
        let brought = flows(&situation.map, &admitted).unwrap();
        for service in &situation.services {
            let most = service.all(service.instances, 1.0).unwrap();
            prop_assert!(brought.service(&service.name) <= most * (1.0 + 1e-9));
        }
        // And the limits of services, each by itself, hold what is called next.
        for service in &situation.services {
            let calls = situation.map.edges.iter().filter(|edge| edge.to == service.name);
            let limit_of = |name: &str| found.services.iter().find(|one| one.service == name);
            let sum: f64 = calls
                .filter_map(|edge| Some(limit_of(&edge.from)?.cluster * edge.arriving()))
                .sum();
            let most = service.all(service.instances, 1.0).unwrap();
            prop_assert!(sum <= most * (1.0 + 1e-9), "{}: {} {}", service.name, sum, most);
        }
    }

    #[test]
    fn limits_scale_with_instances(situation in systems(), times in 2u64..5) {
        let of = |situation: &Situation| {
            let decided = decide(situation).unwrap();
            limits(situation, &decided).unwrap()
        };
        let mut larger = situation.clone();
        for service in &mut larger.services {
            service.instances *= times;
        }
        for (small, large) in of(&situation).routes.iter().zip(&of(&larger).routes) {
            let wanted = small.cluster * times as f64;
            prop_assert!((large.cluster - wanted).abs() <= 1e-6 * wanted);
        }
    }
}
