//! Degradation switches.

use guard::limits::{SWITCH_EVENTS_MAX, SWITCH_METRIC_GAP_MS_MAX};
use guard::switches::{
    Action, By, Feature, FeatureId, Flag, MetricId, OffWhy, PageId, Recovery, Schedule, StubId,
    SwitchEvent, SwitchRefusal, SwitchSet, SwitchSpec, SwitchState, SwitchWhat, Switches, Target,
    Trigger,
};
use guard::{Nanos, RouteId};
use proptest::prelude::*;
use std::collections::BTreeMap;

const WHO: (&str, &str) = ("ann", "the drill of Monday");
const HOME: RouteId = RouteId(0);
const SEARCH: RouteId = RouteId(1);

fn switch(name: &str, action: Action) -> SwitchSpec {
    SwitchSpec {
        name: name.into(),
        owner: "shop team".into(),
        reason: "search may go first".into(),
        target: Target::Routes(vec![SEARCH]),
        action,
        priority: 5,
        schedule: None,
        trigger: None,
        recovery: Recovery::Automatic,
        duration_max: Nanos::from_secs(600),
    }
}

fn trigger() -> Option<Trigger> {
    Some(Trigger {
        metric: MetricId(0),
        above: 0.9,
        above_for: Nanos::from_secs(2),
        below: 0.5,
        below_for: Nanos::from_secs(3),
    })
}

fn set(switches: Vec<SwitchSpec>) -> SwitchSet {
    let feature = |name: &str| Feature {
        name: name.into(),
        variant_on: "live".into(),
        variant_shielded: "plain".into(),
    };
    SwitchSet {
        switches,
        features: vec![feature("reviews"), feature("recommendations")],
        routes: 3,
        metrics: 2,
    }
}

fn switches(list: Vec<SwitchSpec>) -> Switches {
    Switches::new(set(list)).expect("a set without problems")
}

fn s(seconds: u64) -> Nanos {
    Nanos::from_secs(seconds)
}

fn taken(switches: &mut Switches) -> Vec<SwitchWhat> {
    std::iter::from_fn(|| switches.take_event())
        .map(|event| event.what)
        .collect()
}

#[test]
fn a_trigger_has_hysteresis_and_hold_times() {
    let spec = SwitchSpec {
        trigger: trigger(),
        ..switch("a", Action::Shed)
    };
    let mut all = switches(vec![spec]);
    // Second, value, on afterwards.
    for (at, value, on) in [
        (0, 0.95, false),
        (1, 0.95, false),
        (2, 0.89, false), // the hold starts anew
        (3, 0.95, false),
        (4, f64::NAN, false),
        (5, 0.95, true),
        (6, 0.7, true), // between the thresholds nothing changes
        (10, 0.4, true),
        (12, 0.4, true),
        (13, 0.4, false),
        (14, 0.7, false),
        (20, 0.95, false),
        (60, 0.95, false), // a gap: nobody knows what was in between
        (62, 0.95, true),
    ] {
        all.observe(MetricId(0), value, s(at));
        all.observe(MetricId(1), 5.0, s(at));
        let actions = all.decide(SEARCH, s(at));
        assert_eq!(actions == [Action::Shed], on, "at {at} s with {value}");
        assert!(
            all.decide(HOME, s(at)).is_empty(),
            "other routes are left alone"
        );
    }
    let on = |until| SwitchWhat::TurnedOn {
        by: By::Trigger,
        until: s(until),
    };
    let expected = [on(605), SwitchWhat::TurnedOff(OffWhy::Recovered), on(662)];
    assert_eq!(taken(&mut all), expected);
}

#[test]
fn manual_recovery_waits_for_the_operator_and_then_for_calm() {
    let recovery = Recovery::Manual;
    let mut all = switches(vec![SwitchSpec {
        trigger: trigger(),
        recovery,
        ..switch("a", Action::Shed)
    }]);
    let value = |all: &mut Switches, at: u64, value: f64| {
        all.observe(MetricId(0), value, s(at));
        !all.decide(SEARCH, s(at)).is_empty()
    };
    assert!(!value(&mut all, 0, 1.0) && value(&mut all, 2, 1.0));
    assert!(
        (3..20).all(|at| value(&mut all, at, 0.1)),
        "calm alone does not end it"
    );
    all.clear("a", WHO, s(20)).expect("cleared");
    assert!(
        (21..30).all(|at| !value(&mut all, at, 1.0)),
        "not before it was calm"
    );
    assert!((30..35).all(|at| !value(&mut all, at, 0.1)));
    assert!(
        !value(&mut all, 35, 1.0) && value(&mut all, 37, 1.0),
        "armed again"
    );
}

#[test]
fn a_switch_ends_by_itself_and_says_so() {
    let spec = SwitchSpec {
        trigger: trigger(),
        ..switch("a", Action::ServeStale)
    };
    let mut all = switches(vec![spec]);
    all.set("a", true, Some(s(30)), WHO, s(1)).expect("ordered");
    assert_eq!(all.decide(SEARCH, s(30)), [Action::ServeStale]);
    assert!(
        all.decide(SEARCH, s(31)).is_empty(),
        "exactly at its end, without a tick"
    );
    let events = taken(&mut all);
    assert_eq!(
        events.last(),
        Some(&SwitchWhat::TurnedOff(OffWhy::Expired)),
        "{events:?}"
    );
    // A trigger that never recovers ends too, and does not come back before calm.
    for at in 40..1_000 {
        all.observe(MetricId(0), 1.0, s(at));
        let on = !all.decide(SEARCH, s(at)).is_empty();
        assert_eq!(on, (42..642).contains(&at), "at {at} s");
    }
    let events = taken(&mut all);
    assert_eq!(
        events.last(),
        Some(&SwitchWhat::TurnedOff(OffWhy::Expired)),
        "{events:?}"
    );
}

#[test]
fn a_schedule_follows_the_wall_clock() {
    let schedule = Some(Schedule {
        from_ms: 5_000,
        until_ms: 9_000,
    });
    let mut all = switches(vec![SwitchSpec {
        schedule,
        ..switch("a", Action::Shed)
    }]);
    for (wall, on) in [(4_999, false), (5_000, true), (8_999, true), (9_000, false)] {
        all.tick(Nanos::from_millis(wall), wall);
        assert_eq!(
            !all.decide(SEARCH, Nanos::from_millis(wall)).is_empty(),
            on,
            "{wall} ms"
        );
    }
    let off = SwitchWhat::TurnedOff(OffWhy::ScheduleOver);
    assert_eq!(taken(&mut all).last(), Some(&off));
    // Ended by hand, it stays off for the rest of its time.
    all.tick(Nanos::from_millis(10_000), 6_000);
    all.clear("a", WHO, Nanos::from_millis(10_001))
        .expect("cleared");
    all.tick(Nanos::from_millis(10_002), 7_000);
    assert!(all.decide(SEARCH, Nanos::from_millis(10_002)).is_empty());
    all.tick(Nanos::from_millis(10_003), 9_500);
    all.tick(Nanos::from_millis(10_004), 6_000);
    assert!(
        !all.decide(SEARCH, Nanos::from_millis(10_004)).is_empty(),
        "another time begins"
    );
}

#[test]
fn an_operator_holds_off_what_schedule_and_trigger_want() {
    let schedule = Some(Schedule {
        from_ms: 0,
        until_ms: 1_000_000,
    });
    let mut all = switches(vec![SwitchSpec {
        schedule,
        ..switch("a", Action::Shed)
    }]);
    all.tick(s(0), 10);
    all.set("a", false, Some(s(20)), WHO, s(1))
        .expect("held off");
    assert!(all.decide(SEARCH, s(2)).is_empty());
    assert!(matches!(
        all.states().next(),
        Some((_, SwitchState::HeldOff { .. }))
    ));
    assert_eq!(
        all.decide(SEARCH, s(21)),
        [Action::Shed],
        "the hold ran out"
    );
    all.set("a", false, None, WHO, s(30)).expect("held off");
    all.clear("a", WHO, s(31)).expect("cleared");
    assert_eq!(
        all.decide(SEARCH, s(31)),
        [Action::Shed],
        "back to its schedule"
    );
}

#[test]
fn an_order_needs_owner_reason_and_a_bounded_time() {
    let mut all = switches(vec![switch("a", Action::Shed)]);
    let long = "x".repeat(1_000);
    for (name, lasts, who, refusal) in [
        ("b", None, WHO, SwitchRefusal::Unknown),
        ("a", None, ("", "why"), SwitchRefusal::Owner),
        ("a", None, ("ann", "  "), SwitchRefusal::Reason),
        ("a", None, ("ann", long.as_str()), SwitchRefusal::Reason),
        ("a", Some(s(601)), WHO, SwitchRefusal::Duration),
        ("a", Some(s(0)), WHO, SwitchRefusal::Duration),
    ] {
        assert_eq!(
            all.set(name, true, lasts, who, s(1)),
            Err(refusal),
            "{name} {who:?}"
        );
    }
    assert_eq!(
        all.clear("a", ("ann", ""), s(1)),
        Err(SwitchRefusal::Reason)
    );
    assert!(all.decide(SEARCH, s(1)).is_empty());
    assert!(
        taken(&mut all).is_empty(),
        "what was refused did not happen"
    );
    all.set("a", true, None, WHO, s(1)).expect("ordered");
    let events = taken(&mut all);
    let ordered = SwitchWhat::Ordered {
        on: true,
        owner: WHO.0.into(),
        reason: WHO.1.into(),
        until: s(601),
    };
    let on = SwitchWhat::TurnedOn {
        by: By::Operator,
        until: s(601),
    };
    assert_eq!(events, [ordered, on]);
}

#[test]
fn the_strongest_comes_first_and_nothing_after_an_answer() {
    let with = |name: &str, action, priority, target| SwitchSpec {
        priority,
        target,
        ..switch(name, action)
    };
    let routes = || Target::Routes(vec![SEARCH]);
    let mut all = switches(vec![
        with("shed", Action::Shed, 1, routes()),
        with("stub", Action::Stub(StubId(4)), 5, routes()),
        with("page", Action::StaticPage(PageId(3)), 5, routes()),
        with("stale", Action::ServeStale, 9, routes()),
        with(
            "shield",
            Action::Shield(FeatureId(1)),
            7,
            Target::Everywhere,
        ),
        with("again", Action::Shield(FeatureId(1)), 6, routes()),
    ]);
    let (stale, shield) = (Action::ServeStale, Action::Shield(FeatureId(1)));
    let page = Action::StaticPage(PageId(3));
    for (name, here) in [
        ("shed", vec![Action::Shed]),
        ("stub", vec![Action::Stub(StubId(4))]),
        ("page", vec![page]),
        ("again", vec![shield, page]),
        ("shield", vec![shield, page]),
        ("stale", vec![stale, shield, page]),
    ] {
        all.set(name, true, None, WHO, s(1)).expect("ordered");
        assert_eq!(all.decide(SEARCH, s(1)), here, "after {name}");
    }
    assert_eq!(all.decide(HOME, s(1)), [shield]);
    assert_eq!(
        all.decide(RouteId(999), s(1)),
        [shield],
        "a route that nobody listed"
    );
}

#[test]
fn features_are_flags() {
    let mut all = switches(vec![
        SwitchSpec {
            target: Target::Everywhere,
            ..switch("a", Action::Shield(FeatureId(0)))
        },
        switch("b", Action::Shield(FeatureId(1))),
    ]);
    let flag = |all: &Switches, name: &str, route| {
        let flag: Flag<'_> = all.flag(name, route).expect("a feature");
        (
            flag.value,
            flag.variant.to_owned(),
            flag.shielded_by.map(str::to_owned),
        )
    };
    assert_eq!(flag(&all, "reviews", None), (true, "live".into(), None));
    all.set("a", true, None, WHO, s(1)).expect("ordered");
    all.set("b", true, None, WHO, s(1)).expect("ordered");
    assert_eq!(
        flag(&all, "reviews", None),
        (false, "plain".into(), Some("a".into()))
    );
    assert!(
        flag(&all, "recommendations", None).0,
        "shielded on one route only"
    );
    assert!(!flag(&all, "recommendations", Some(SEARCH)).0);
    assert_eq!(all.flag("nothing", None), None);
    assert_eq!(
        all.flags(Some(SEARCH)).filter(|flag| !flag.value).count(),
        2
    );
}

#[test]
fn all_problems_at_once() {
    let wrong = SwitchSpec {
        name: "a".into(),
        owner: " ".into(),
        reason: String::new(),
        target: Target::Routes(vec![RouteId(3)]),
        action: Action::Shield(FeatureId(2)),
        schedule: Some(Schedule {
            from_ms: 5,
            until_ms: 5,
        }),
        trigger: Some(Trigger {
            metric: MetricId(2),
            above: 0.5,
            below: 0.5,
            ..trigger().expect("one")
        }),
        duration_max: Nanos(0),
        ..switch("a", Action::Shed)
    };
    let nowhere = SwitchSpec {
        target: Target::Routes(vec![]),
        ..switch("b", Action::Shed)
    };
    let problems = Switches::new(set(vec![switch("a", Action::Shed), wrong, nowhere]))
        .expect_err("much is wrong");
    let found: Vec<_> = problems.iter().map(|p| (p.switch, p.field)).collect();
    let second = [
        "name",
        "owner",
        "reason",
        "duration_max",
        "routes",
        "feature",
        "schedule",
        "metric",
        "below",
    ];
    let mut expected: Vec<_> = second.map(|field| (Some(1), field)).into();
    expected.push((Some(2), "routes"));
    assert_eq!(found, expected);
}

#[test]
fn a_swap_keeps_orders_and_a_bad_one_changes_nothing() {
    let spec = SwitchSpec {
        trigger: trigger(),
        ..switch("a", Action::Shed)
    };
    let mut all = switches(vec![spec.clone(), switch("gone", Action::ServeStale)]);
    all.set("a", true, Some(s(100)), WHO, s(1))
        .expect("ordered");
    all.swap(
        set(vec![switch("a", Action::Shed), switch("a", Action::Shed)]),
        s(2),
    )
    .expect_err("twice");
    assert_eq!(all.decide(SEARCH, s(3)), [Action::Shed]);
    // Another place, another trigger, another action: the order still stands, to its own end.
    let other = SwitchSpec {
        trigger: None,
        ..switch("a", Action::ServeStale)
    };
    all.swap(set(vec![switch("new", Action::Shed), other]), s(4))
        .expect("swapped");
    assert_eq!(all.decide(SEARCH, s(100)), [Action::ServeStale]);
    assert!(all.decide(SEARCH, s(101)).is_empty());
    // A fired trigger stands if it is the same one.
    all.swap(set(vec![spec.clone()]), s(200)).expect("swapped");
    all.observe(MetricId(0), 1.0, s(200));
    all.observe(MetricId(0), 1.0, s(202));
    all.swap(set(vec![switch("first", Action::Shed), spec]), s(203))
        .expect("swapped");
    let states: Vec<_> = all.states().map(|(_, state)| state).collect();
    assert!(
        matches!(states[1], SwitchState::On { since, .. } if since == s(202)),
        "{states:?}"
    );
    // Another trigger starts from nothing, and a shorter duration ends a longer order.
    let other = SwitchSpec {
        trigger: trigger().map(|t| Trigger { above: 0.8, ..t }),
        ..switch("a", Action::Shed)
    };
    all.swap(set(vec![other]), s(204)).expect("swapped");
    assert!(all.decide(SEARCH, s(204)).is_empty());
    all.set("a", true, Some(s(300)), WHO, s(205))
        .expect("ordered");
    let short = SwitchSpec {
        duration_max: s(10),
        ..switch("a", Action::Shed)
    };
    all.swap(set(vec![short]), s(206)).expect("swapped");
    assert_eq!(all.decide(SEARCH, s(214)), [Action::Shed]);
    assert!(all.decide(SEARCH, s(215)).is_empty());
}

#[test]
fn events_are_bounded() {
    let mut all = switches(vec![switch("a", Action::Shed)]);
    for at in 0..SWITCH_EVENTS_MAX as u64 {
        all.set("a", at % 2 == 0, None, WHO, s(1 + at))
            .expect("ordered");
    }
    let lost = all.events_lost();
    assert!(lost > 0);
    assert_eq!(taken(&mut all).len(), SWITCH_EVENTS_MAX);
}

/// The trigger of the model: all values ever seen, searched backwards at each one.
struct Watch {
    values: Vec<(Nanos, f64)>,
    /// Values before this place were used up by an earlier change.
    from: usize,
    fired: bool,
    spent: bool,
}

impl Watch {
    fn observe(&mut self, trigger: &Trigger, recovery: Recovery, value: f64, now: Nanos) {
        self.values.push((now, value));
        let (beyond, hold): (&dyn Fn(f64) -> bool, Nanos) = if self.fired {
            (&|v| v < trigger.below, trigger.below_for)
        } else {
            (&|v| v > trigger.above, trigger.above_for)
        };
        let mut since = None;
        let mut next = now;
        for (at, value) in self.values[self.from..].iter().rev() {
            let gap = next.since(*at) > Nanos::from_millis(SWITCH_METRIC_GAP_MS_MAX);
            if !beyond(*value) || gap {
                break;
            }
            since = Some(*at);
            next = *at;
        }
        if since.is_none_or(|since| now.since(since) < hold) {
            return;
        }
        self.from = self.values.len();
        if !self.fired {
            self.fired = true;
        } else if recovery == Recovery::Automatic || self.spent {
            self.fired = false;
            self.spent = false;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Three switches on two metrics, schedules, orders: states, actions, durations and the audit
    /// log against what a slow reader of the whole history expects.
    #[test]
    fn agrees_with_the_history(
        steps in prop::collection::vec((0_u8..24, 0_usize..3, 0_u8..11, 0_u64..12_000), 1..250),
        manual: bool, priorities in prop::array::uniform3(0_u8..3),
    ) {
        let recovery = if manual { Recovery::Manual } else { Recovery::Automatic };
        let actions = [Action::Shed, Action::ServeStale, Action::Shield(FeatureId(0))];
        let schedule = Some(Schedule { from_ms: 100_000, until_ms: 160_000 });
        let duration_max = s(90);
        let specs: Vec<SwitchSpec> = (0..3).map(|at| SwitchSpec {
            trigger: trigger().filter(|_| at < 2),
            schedule: schedule.filter(|_| at > 0),
            target: if at == 2 { Target::Everywhere } else { Target::Routes(vec![SEARCH]) },
            priority: priorities[at], recovery, duration_max,
            ..switch(["a", "b", "c"][at], actions[at])
        }).collect();
        let mut all = switches(specs.clone());
        let mut watches: Vec<Watch> = (0..3)
            .map(|_| Watch { values: vec![], from: 0, fired: false, spent: false }).collect();
        // Per switch: order (on, since, until), inside schedule, spent schedule, on since/until.
        let mut orders: [Option<(bool, Nanos, Nanos)>; 3] = [None; 3];
        let (mut inside, mut spent) = ([false; 3], [false; 3]);
        let mut on: [Option<(By, Nanos, Nanos)>; 3] = [None; 3];
        let mut log: BTreeMap<String, bool> = BTreeMap::new();
        let mut now = Nanos(0);
        for (kind, at, value, pause) in steps {
            now = now.plus(Nanos::from_millis(pause / if kind < 16 { 8 } else { 1 }));
            let name = specs[at].name.clone();
            match kind {
                0..16 => {
                    let value = f64::from(value) / 10.0;
                    all.observe(MetricId(0), value, now);
                    for watch in &mut watches[..2] {
                        let trigger = trigger().expect("one");
                        watch.observe(&trigger, recovery, value, now);
                    }
                }
                16..19 => {
                    let wall = now.0 / 1_000_000;
                    all.tick(now, wall);
                    for at in 1..3 {
                        inside[at] = (100_000..160_000).contains(&wall);
                        spent[at] &= inside[at];
                    }
                }
                19 | 20 => {
                    let lasts = Nanos::from_millis(1_000 + pause);
                    let wish = value > 4;
                    all.set(&name, wish, Some(lasts), WHO, now).expect("ordered");
                    orders[at] = Some((wish, now, now.plus(lasts)));
                }
                21 => {
                    all.clear(&name, WHO, now).expect("cleared");
                    let held = orders[at].is_some_and(|order| !order.0 && now >= order.1);
                    orders[at] = None;
                    if !held {
                        spent[at] = inside[at];
                        watches[at].spent = watches[at].fired;
                        watches[at].from = watches[at].values.len();
                    }
                }
                // A decision is what notices an end between other steps.
                _ => {}
            }
            let here = all.decide(SEARCH, now).to_vec();
            let states: Vec<SwitchState> = all.states().map(|(_, state)| state).collect();
            for at in 0..3 {
                let over = orders[at].is_some_and(|order| now >= order.2);
                let ended = on[at].is_some_and(|on| now >= on.2);
                if over {
                    orders[at] = None;
                }
                if ended {
                    orders[at] = None;
                    spent[at] = inside[at];
                    watches[at].spent = watches[at].fired;
                    watches[at].from = watches[at].values.len();
                }
                let by = match orders[at] {
                    Some((wish, ..)) => wish.then_some(By::Operator),
                    None if inside[at] && !spent[at] => Some(By::Schedule),
                    None if watches[at].fired && !watches[at].spent => Some(By::Trigger),
                    None => None,
                };
                on[at] = match (by, orders[at], on[at]) {
                    (None, ..) => None,
                    (Some(by), Some((_, since, until)), _) => Some((by, since, until.min(since.plus(duration_max)))),
                    (Some(by), None, Some((_, since, until))) => Some((by, since, until)),
                    (Some(by), None, None) => Some((by, now, now.plus(duration_max))),
                };
                let expected = match (on[at], orders[at]) {
                    (Some((by, since, until)), _) => SwitchState::On { since, by, until },
                    (None, Some((_, _, until))) => SwitchState::HeldOff { until },
                    (None, None) => SwitchState::Off,
                };
                prop_assert_eq!(states[at], expected, "{} at {:?} after {}", specs[at].name, now, kind);
                if let SwitchState::On { since, until, .. } = states[at] {
                    prop_assert!(now < until && until.since(since) <= duration_max);
                }
            }
            let mut strongest: Vec<usize> = (0..3).filter(|at| on[*at].is_some()).collect();
            strongest.sort_by_key(|at| (u8::MAX - priorities[*at], actions[*at]));
            let mut expected: Vec<Action> = strongest.iter().map(|at| actions[*at]).collect();
            if let Some(shed) = expected.iter().position(|action| *action == Action::Shed) {
                expected.truncate(shed + 1);
            }
            prop_assert_eq!(here, expected);
            while let Some(SwitchEvent { switch, what, .. }) = all.take_event() {
                match what {
                    SwitchWhat::TurnedOn { .. } => { log.insert(switch, true); }
                    SwitchWhat::TurnedOff(_) => {
                        let before = log.insert(switch, false);
                        prop_assert_eq!(before, Some(true), "off only after on");
                    }
                    _ => {}
                }
            }
            for at in 0..3 {
                let logged = log.get(&specs[at].name).copied().unwrap_or(false);
                prop_assert_eq!(logged, on[at].is_some(), "the log tells {}", specs[at].name);
            }
        }
    }
}
