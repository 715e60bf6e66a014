//! Overload control in a simulated world: an upstream of 16 workers at 10 ms each, offered three
//! times its capacity, that slows, fails, hangs and recovers. Figures in the asserts are what the
//! door promises; `cargo test -p guard --test overload -- --nocapture` prints what was measured.

mod world;

use guard::limits::OVERLOAD_CPU_LOW;
use guard::{
    Admission, BreakerConfig, Class, Ended, Machine, Nanos, Overload, OverloadConfig, ShedWhy,
    Value,
};
use proptest::prelude::*;
use std::num::NonZeroU64;
use world::*;

/// Requests a second that 16 workers at 10 ms can answer.
const CAPACITY: f64 = 1_600.0;
const ORDER: usize = 1;
/// Seconds after the end of a fault until the promises hold again; the breaker's longest rest is
/// one of them.
const RECOVERY_SECONDS: u64 = 3;

fn source(class: Class, per_second: f64) -> Source {
    Source {
        class,
        per_second,
        buyers: 1_000_000,
        from: 0,
        until: u64::MAX,
        work: 1.0,
    }
}

/// Three times the capacity: 4,800 a second, all classes.
fn plan() -> Plan {
    Plan {
        seed: 1,
        seconds: 30,
        workers: 16,
        service_ns: 10e6,
        service: Service::Even(0.1),
        timeout_ns: SECOND,
        config: OverloadConfig::default(),
        breaker: None,
        sources: vec![
            source(Class::Pay, 160.0),
            source(Class::Order, 640.0),
            source(Class::Cart, 800.0),
            source(Class::Product, 1_600.0),
            source(Class::Search, 1_000.0),
            source(Class::Optional, 600.0),
        ],
        faults: Vec::new(),
        cpu: Cpu::Unread,
    }
}

fn breaker() -> BreakerConfig {
    BreakerConfig {
        rest_max: Nanos::from_secs(2),
        ..BreakerConfig::default()
    }
}

fn unloaded_p99(plan: &Plan) -> u64 {
    let sources = vec![source(Class::Order, 100.0)];
    let quiet = run(&Plan {
        sources,
        faults: Vec::new(),
        seconds: 60,
        ..plan.clone()
    });
    quantile(quiet.ok_between(0, 60).map(|r| r.latency).collect(), 0.99)
}

/// p99 of the orders among what was answered in these seconds.
fn orders_p99(trace: &Trace, seconds: impl Fn(u64) -> bool) -> u64 {
    let orders = trace
        .ok_between(0, u64::MAX / SECOND)
        .filter(|r| r.source == ORDER);
    let inside = orders.filter(|r| seconds(r.admitted_at / SECOND));
    quantile(inside.map(|r| r.latency).collect(), 0.99)
}

/// Mean and relative standard deviation of the limit by latency.
fn limit_spread(trace: &Trace, from: u64, until: u64) -> (f64, f64) {
    let within = |at: &u64| (from * SECOND..until * SECOND).contains(at);
    let limits: Vec<f64> = trace
        .limits
        .iter()
        .filter(|l| within(&l.0))
        .map(|l| l.1)
        .collect();
    let mean = limits.iter().sum::<f64>() / limits.len() as f64;
    let squares = limits.iter().map(|l| (l - mean) * (l - mean)).sum::<f64>();
    (mean, (squares / limits.len() as f64).sqrt() / mean)
}

#[test]
fn one_seed_gives_one_trace() {
    let digest = |seed| {
        run(&Plan {
            seed,
            seconds: 5,
            ..plan()
        })
        .digest
    };
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}

#[test]
fn ten_minutes_through_an_upstream_that_slows_fails_hangs_and_recovers() {
    let faults = vec![
        (60, 90, Mode::Slow(3.0)),
        (130, 150, Mode::Failing),
        (190, 210, Mode::Hanging),
        (250, 270, Mode::Workers(4)),
        (310, 320, Mode::Slow(10.0)),
        (360, 361, Mode::Hanging),
        (400, 401, Mode::Failing),
        (440, 470, Mode::Slow(1.5)),
    ];
    for (seed, breaker) in [(1, Some(breaker())), (2, Some(breaker())), (3, None)] {
        let plan = Plan {
            seed,
            seconds: 600,
            faults: faults.clone(),
            breaker,
            ..plan()
        };
        let unloaded = unloaded_p99(&plan);
        let trace = run(&plan);
        let faulty = |second: u64| {
            second < RECOVERY_SECONDS
                || faults
                    .iter()
                    .any(|f| (f.0..f.1 + RECOVERY_SECONDS).contains(&second))
        };
        let quiet: Vec<u64> = (0..600).filter(|second| !faulty(*second)).collect();
        let answered: usize = quiet
            .iter()
            .map(|s| trace.ok_between(*s, s + 1).count())
            .sum();
        let goodput = answered as f64 / quiet.len() as f64 / CAPACITY;
        let p99 = orders_p99(&trace, |second| !faulty(second)) as f64 / unloaded as f64;
        println!("seed {seed}: goodput {goodput:.3} of capacity, orders' p99 {p99:.2} of unloaded");
        assert!(
            goodput >= 0.95,
            "seed {seed}: goodput {goodput} of capacity"
        );
        assert!(p99 <= 2.0, "seed {seed}: p99 {p99} times the unloaded one");
        // No stretch of ten seconds hides behind the mean.
        for tens in quiet.chunks_exact(10) {
            let answered: usize = tens
                .iter()
                .map(|s| trace.ok_between(*s, s + 1).count())
                .sum();
            let goodput = answered as f64 / tens.len() as f64 / CAPACITY;
            let p99 = orders_p99(&trace, |s| tens.contains(&s)) as f64 / unloaded as f64;
            assert!(goodput >= 0.93, "seed {seed}: {tens:?}: goodput {goodput}");
            assert!(p99 <= 2.0, "seed {seed}: {tens:?}: p99 {p99}");
        }
    }
}

#[test]
fn service_times_of_any_kind_keep_the_workers_busy() {
    for (service, least) in [
        (Service::Fixed, 0.95),
        (Service::Even(0.5), 0.95),
        (Service::Exponential, 0.90),
    ] {
        for seed in 1..=3 {
            let plan = Plan {
                seed,
                service,
                seconds: 60,
                ..plan()
            };
            let unloaded = unloaded_p99(&plan);
            let trace = run(&plan);
            let goodput = trace.goodput(3, 60) / CAPACITY;
            let p99 = orders_p99(&trace, |s| s >= 3) as f64 / unloaded as f64;
            println!("{service:?} seed {seed}: goodput {goodput:.3}, p99 {p99:.2}");
            assert!(goodput >= least, "{service:?}: {goodput}");
            assert!(p99 <= 2.0, "{service:?}: {p99}");
        }
    }
}

#[test]
fn the_limit_does_not_swing_and_no_probe_stalls() {
    for seed in 1..=5 {
        let trace = run(&Plan {
            seed,
            seconds: 60,
            ..plan()
        });
        let (mean, spread) = limit_spread(&trace, 5, 60);
        println!("seed {seed}: limit {mean:.1} ± {:.1} %", spread * 100.0);
        assert!((17.0..32.0).contains(&mean), "limit {mean} for 16 workers");
        assert!(spread < 0.08, "the limit swings by {spread}");
        assert!(trace.probes >= 10, "{} probes in a minute", trace.probes);
        // Fifth parts of a second: none falls below two thirds of the capacity.
        let mut slices = vec![0_u32; 60 * 5];
        for record in trace.ok_between(5, 60) {
            slices[((record.admitted_at + record.latency) / (200 * MS)) as usize] += 1;
        }
        let least = slices[25..].iter().min().expect("slices");
        assert!(
            f64::from(*least) >= CAPACITY / 5.0 * 0.66,
            "{least} in a fifth of a second"
        );
    }
}

#[test]
fn the_lowest_class_is_shed_first() {
    let trace = run(&plan());
    let share = |source: usize| {
        let shed: u32 = trace.shed[source][3..].iter().sum();
        let admitted = trace
            .ok_between(3, 30)
            .filter(|r| r.source == source)
            .count();
        admitted as f64 / (admitted as f64 + f64::from(shed))
    };
    let shares: Vec<f64> = (0..6).map(share).collect();
    println!("admitted per class: {shares:.3?}");
    assert!(shares[0] > 0.99, "pay: {shares:?}");
    assert!(shares[1] > 0.91, "order: {shares:?}");
    assert!(
        shares.windows(2).all(|pair| pair[0] >= pair[1]),
        "{shares:?}"
    );
    assert!(
        shares[4] < 0.01 && shares[5] < 0.01,
        "search and optional: {shares:?}"
    );
}

#[test]
fn pay_has_room_the_moment_it_comes() {
    // All that the upstream can do is taken by the lowest class; then ten times as much pay comes
    // as ever before.
    let sources = vec![
        source(Class::Optional, 4_800.0),
        Source {
            from: 10,
            ..source(Class::Pay, 200.0)
        },
    ];
    let trace = run(&Plan {
        sources,
        seconds: 20,
        ..plan()
    });
    assert!(
        trace.goodput(3, 10) > 0.95 * CAPACITY,
        "the lowest class may use what nobody needs"
    );
    let shed: u32 = trace.shed[1].iter().sum();
    assert!(trace.offered[1] > 1_500);
    assert!(
        f64::from(shed) < 0.01 * trace.offered[1] as f64,
        "{shed} pay requests shed"
    );
    // And the lowest is not starved by the reserve of classes that need little.
    let optional = trace.ok_between(12, 20).filter(|r| r.source == 0).count();
    assert!(
        optional as f64 / 8.0 > 0.8 * (CAPACITY - 200.0),
        "{optional}"
    );
}

#[test]
fn one_greedy_buyer_gives_way_to_many() {
    let sources = vec![
        source(Class::Product, 1_200.0),
        Source {
            buyers: 1,
            ..source(Class::Product, 3_600.0)
        },
    ];
    let trace = run(&Plan {
        sources,
        seconds: 20,
        ..plan()
    });
    let admitted = |source: usize| trace.admitted[source] as f64 / trace.offered[source] as f64;
    println!("many {:.3}, greedy {:.3}", admitted(0), admitted(1));
    assert!(admitted(0) > 0.95, "the many: {}", admitted(0));
    assert!(admitted(1) < 0.15, "the greedy one: {}", admitted(1));
    // Alone it may use everything: a share is only cut where others want it.
    let sources = vec![Source {
        buyers: 1,
        ..source(Class::Product, 4_800.0)
    }];
    let alone = run(&Plan {
        sources,
        seconds: 10,
        ..plan()
    });
    assert!(
        alone.goodput(3, 10) > 0.95 * CAPACITY,
        "{}",
        alone.goodput(3, 10)
    );
}

#[test]
fn a_slower_upstream_is_still_used_up() {
    for (mode, capacity) in [
        (Mode::Slow(3.0), CAPACITY / 3.0),
        (Mode::Slow(1.5), CAPACITY / 1.5),
        (Mode::Workers(4), CAPACITY / 4.0),
        (Mode::Workers(8), CAPACITY / 2.0),
    ] {
        let trace = run(&Plan {
            faults: vec![(10, 25, mode)],
            seconds: 40,
            ..plan()
        });
        let during = trace.goodput(15, 25) / capacity;
        let after = trace.goodput(28, 40) / CAPACITY;
        println!("{mode:?}: {during:.3} of what is left, then {after:.3}");
        assert!(during > 0.88, "{mode:?}: {during} of what is left");
        assert!(after > 0.95, "{mode:?}: {after} afterwards");
    }
}

#[test]
fn recovery_is_quick_and_steady() {
    for (mode, breaker) in [
        (Mode::Slow(3.0), None),
        (Mode::Workers(4), None),
        (Mode::Hanging, None),
        (Mode::Failing, None),
        (Mode::Hanging, Some(breaker())),
        (Mode::Failing, Some(breaker())),
    ] {
        let named = format!("{mode:?}, breaker {}", breaker.is_some());
        let trace = run(&Plan {
            faults: vec![(10, 20, mode)],
            breaker,
            ..plan()
        });
        let mut tenths = vec![0_u32; 10 * 30];
        for record in trace.ok_between(0, 30) {
            tenths[((record.admitted_at + record.latency) / (100 * MS)) as usize] += 1;
        }
        let back = |at: &usize| tenths[*at..at + 5].iter().sum::<u32>() as f64 >= CAPACITY * 0.45;
        let first = (200..290).find(back).expect("it recovers");
        println!("{named}: nine tenths after {} ms", (first - 200) * 100);
        assert!(
            first < 200 + 10 * RECOVERY_SECONDS as usize,
            "{named}: {first}"
        );
        let (_, spread) = limit_spread(&trace, 20 + RECOVERY_SECONDS, 30);
        assert!(
            spread < 0.12,
            "{named}: the limit swings by {spread} after recovery"
        );
    }
}

#[test]
fn an_idle_hour_changes_nothing() {
    let mut door = Overload::new(OverloadConfig::default());
    let mut now = Nanos(0);
    // A minute with one request at a time, then nothing for an hour, then one at a time again.
    for round in 0..2 {
        for _ in 0..600 {
            let Admission::Admitted(permit) = door.admit(now, Class::Order, None) else {
                panic!("there is room");
            };
            now = now.plus(Nanos::from_millis(10));
            door.done(now, permit, Nanos::from_millis(10), Ended::Ok);
            now = now.plus(Nanos::from_millis(90));
        }
        assert_eq!(
            door.view().limit,
            OverloadConfig::default().limit_start,
            "{round}"
        );
        now = now.plus(Nanos::from_secs(3_600));
    }
    let flood = |from, until| Source {
        from,
        until,
        ..source(Class::Product, 4_800.0)
    };
    let sources = vec![flood(0, 10), flood(300, 310), source(Class::Order, 1.0)];
    let trace = run(&Plan {
        sources,
        seconds: 310,
        ..plan()
    });
    let (before, _) = limit_spread(&trace, 8, 10);
    let (after, _) = limit_spread(&trace, 290, 300);
    assert!(
        (0.8..1.2).contains(&(after / before)),
        "{before} became {after}"
    );
    assert!(trace.goodput(300, 301) > 0.9 * CAPACITY, "ready at once");
}

#[test]
fn a_change_of_mix_is_no_congestion() {
    // From second 10 on, every other request takes five times as long.
    let sources = vec![
        Source {
            until: 10,
            ..source(Class::Product, 4_800.0)
        },
        Source {
            from: 10,
            ..source(Class::Product, 1_200.0)
        },
        Source {
            from: 10,
            work: 5.0,
            ..source(Class::Cart, 160.0)
        },
    ];
    let trace = run(&Plan {
        sources,
        seconds: 30,
        ..plan()
    });
    let busy = |from: u64, until: u64| {
        let work = |r: &Record| if r.source == 2 { 0.05 } else { 0.01 };
        trace.ok_between(from, until).map(work).sum::<f64>() / (until - from) as f64 / 16.0
    };
    println!(
        "workers busy {:.3}, then {:.3}, then {:.3}",
        busy(5, 10),
        busy(11, 15),
        busy(15, 30)
    );
    assert!(busy(11, 15) > 0.9 && busy(15, 30) > 0.92);
}

#[test]
fn a_limit_that_starts_far_too_high_or_low_is_found() {
    for (limit_start, workers, from) in [(1_000, 16, 6), (4, 16, 3), (32, 160, 5), (32, 2, 30)] {
        let config = OverloadConfig {
            limit_start,
            ..OverloadConfig::default()
        };
        let times = workers as f64 / 16.0;
        let mut sources = plan().sources;
        sources
            .iter_mut()
            .for_each(|source| source.per_second *= times);
        let trace = run(&Plan {
            config,
            workers,
            sources,
            seconds: from + 10,
            ..plan()
        });
        let goodput = trace.goodput(from, from + 10) / (CAPACITY * times);
        let all = trace
            .ok_between(from, from + 10)
            .map(|r| r.latency)
            .collect();
        let p99 = quantile(all, 0.99) / MS;
        println!("{limit_start} for {workers}: goodput {goodput:.3}, p99 {p99} ms");
        assert!(goodput > 0.85, "{limit_start} for {workers}: {goodput}");
        assert!(p99 < 50, "{limit_start} for {workers}: {p99} ms");
    }
}

#[test]
fn a_full_cpu_that_makes_answers_slow_cuts_the_limit() {
    // 64 workers, but 20 requests under way are all that the CPU can bear.
    let plan = Plan {
        workers: 64,
        cpu: Cpu::Each(0.05),
        seconds: 60,
        ..plan()
    };
    let unloaded = unloaded_p99(&plan);
    let sources = plan.sources.iter().map(|s| Source {
        per_second: s.per_second * 4.0,
        ..*s
    });
    let trace = run(&Plan {
        sources: sources.collect(),
        ..plan
    });
    let goodput = trace.goodput(10, 60) / 2_000.0;
    let p99 = orders_p99(&trace, |s| s >= 10) as f64 / unloaded as f64;
    let late = trace.cpu.iter().filter(|c| c.0 > 10 * SECOND).map(|c| c.1);
    let mean = late.clone().sum::<f64>() / late.count() as f64;
    println!("CPU {mean:.3} on average, goodput {goodput:.3} of what it can, p99 {p99:.2}");
    assert!(mean > OVERLOAD_CPU_LOW, "it is used: {mean}");
    // Cut to nine tenths of it while answers are slow, and no further.
    assert!(goodput > 0.93, "{goodput}");
    assert!(p99 <= 2.0, "{p99}");
    // A meter that breaks changes nothing.
    let mut door = Overload::new(OverloadConfig::default());
    for (at, broken) in [f64::NAN, f64::INFINITY].into_iter().enumerate() {
        let at = Nanos::from_secs(1 + at as u64);
        door.machine(at, machine(broken, 0));
    }
    assert_eq!(door.view().limit, OverloadConfig::default().limit_start);
}

fn machine(cpu_share: f64, queue_ms: u64) -> Machine {
    Machine {
        cpu_share,
        queue: Nanos::from_millis(queue_ms),
    }
}

/// As behind a proxy whose generator and upstream fill both cores: that is load, and no overload.
#[test]
fn nobody_is_shed_while_answers_are_quick_however_full_the_cpu_is() {
    let busy = |service_ns: f64, per_second: f64| {
        let plan = Plan {
            service_ns,
            service: Service::Even(0.5),
            cpu: Cpu::Full,
            seconds: 6,
            sources: vec![source(Class::Product, per_second)],
            ..plan()
        };
        let trace = run(&plan);
        let shed: u32 = trace.shed[0].iter().sum();
        let late: u32 = trace.shed[0][1..].iter().sum();
        let offered = trace.offered[0] as f64;
        println!("{service_ns} ns: {shed} of {offered} shed, {late} after the first second");
        (f64::from(shed) / offered, late)
    };
    // Nine tenths of what 16 workers can, at 10 ms and at a fifth of one.
    let (share, late) = busy(10e6, 0.9 * CAPACITY);
    assert!(share < 0.01 && late < 40, "{share}, {late}");
    let (share, late) = busy(0.2e6, 0.9 * 50.0 * CAPACITY);
    assert!(share < 0.01 && late == 0, "{share}, {late}");
}

#[test]
fn a_fast_upstream_that_is_overrun_is_used_up_and_its_queue_stays_short() {
    let mut plan = Plan {
        service_ns: 0.2e6,
        cpu: Cpu::Full,
        seconds: 6,
        ..plan()
    };
    for source in &mut plan.sources {
        source.per_second *= 50.0;
    }
    let trace = run(&plan);
    let goodput = trace.goodput(3, 6) / (50.0 * CAPACITY);
    let p99 = orders_p99(&trace, |s| s >= 3) / MS;
    println!("goodput {goodput:.3}, orders' p99 {p99} ms");
    assert!(goodput > 0.95, "{goodput}");
    assert!(p99 < 10, "{p99} ms: good, and once more");
}

#[test]
fn requests_that_wait_for_the_door_itself_cut_the_limit_until_they_do_not() {
    let mut door = Overload::new(OverloadConfig::default());
    let mut at = 0;
    let mut read = |door: &mut Overload, cpu_share: f64, queue_ms: u64, times: u64| {
        for _ in 0..times {
            at += 250;
            door.machine(Nanos::from_millis(at), machine(cpu_share, queue_ms));
        }
        door.view().limit
    };
    for (what, cpu_share, queue_ms, times, expected) in [
        ("a full CPU alone", 1.0, 0, 100, 32),
        ("time slices of a full machine", 1.0, 20, 100, 32),
        ("a little too long", 0.1, 25, 1, 25),
        ("between the marks", 0.1, 15, 100, 25),
        ("far too long: a step has a bound", 0.1, 5_000, 1, 17),
        ("never below the least", 0.1, 5_000, 100, 4),
        ("it is over, whatever the CPU", 1.0, 0, 24, 32),
    ] {
        assert_eq!(
            read(&mut door, cpu_share, queue_ms, times),
            expected,
            "{what}"
        );
    }
}

#[test]
fn bodies_that_flow_have_a_part_of_the_places_and_teach_nothing() {
    let mut door = Overload::new(OverloadConfig::default());
    let mut flowing = Vec::new();
    let why = loop {
        match door.admit_flowing(Nanos(1), Class::Order, None) {
            Admission::Admitted(permit) => flowing.push(permit),
            Admission::Shed { why, .. } => break why,
        }
    };
    // Of 32, orders may have 29: a quarter of that.
    assert_eq!((why, flowing.len()), (ShedWhy::Flowing, 7));
    // All others have the rest, for as long as those send.
    let mut now = Nanos(1);
    for _ in 0..600 {
        let mut group = Vec::new();
        for _ in 0..16 {
            match door.admit(now, Class::Order, None) {
                Admission::Admitted(permit) => group.push(permit),
                Admission::Shed { why, .. } => panic!("{why:?}"),
            }
        }
        now = now.plus(Nanos::from_millis(10));
        for permit in group {
            door.done(now, permit, Nanos::from_millis(10), Ended::Ok);
        }
    }
    let before = door.view();
    assert_eq!((before.in_flight, before.flowing), (7, 7));
    // What took minutes was the client.
    for permit in flowing {
        door.done(now, permit, Nanos::from_secs(300), Ended::Ok);
    }
    now = now.plus(Nanos::from_secs(2));
    let Admission::Admitted(permit) = door.admit(now, Class::Order, None) else {
        panic!("there is room");
    };
    door.done(now, permit, Nanos::from_millis(10), Ended::Ok);
    let after = door.view();
    assert_eq!((after.in_flight, after.flowing), (0, 0));
    assert_eq!(after.expected_ns, before.expected_ns);
    assert!((after.limit_by_latency - before.limit_by_latency).abs() < f64::EPSILON);
}

#[test]
fn the_shed_are_told_to_come_back_spread() {
    let config = OverloadConfig {
        limit_min: 1,
        limit_max: 1,
        limit_start: 1,
    };
    let mut door = Overload::new(config);
    let Admission::Admitted(_permit) = door.admit(Nanos(0), Class::Pay, None) else {
        panic!("the first has room");
    };
    let mut pauses: Vec<u64> = Vec::new();
    for _ in 0..1_000 {
        match door.admit(Nanos(1), Class::Pay, None) {
            Admission::Shed { retry_after, why } => {
                assert_eq!(why, ShedWhy::Full);
                pauses.push(retry_after.0 / MS);
            }
            Admission::Admitted(_) => panic!("one at a time"),
        }
    }
    pauses.sort_unstable();
    assert!(pauses[0] >= 1_000 && pauses[999] <= 2_000);
    // Each of ten parts of the second gets its tenth.
    for part in 0..10 {
        let within = |p: &&u64| (**p - 1_000) / 100 == part;
        assert!(
            (90..=110).contains(&pauses.iter().filter(within).count()),
            "{part}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever comes in whatever order: never more under way than the limit, never more of a class
    /// and those below than the limit, and when all permits are back, nothing is left.
    #[test]
    fn permits_add_up(
        steps in prop::collection::vec((0_u8..10, 0_usize..6, 0_u64..5, 0_u64..400), 1..600),
        limit_min in 0_u32..10, limit_max in 0_u32..60, limit_start in 0_u32..100,
    ) {
        let mut door = Overload::new(OverloadConfig { limit_min, limit_max, limit_start });
        let mut now = Nanos(0);
        let mut out = Vec::new();
        for (kind, class, buyer, pause) in steps {
            now = now.plus(Nanos::from_millis(pause / 8));
            let buyer = NonZeroU64::new(buyer).map(Value);
            if kind < 6 {
                let limit = door.view().limit;
                let admission = match pause % 3 {
                    0 => door.admit_flowing(now, Class::ALL[class], buyer),
                    _ => door.admit(now, Class::ALL[class], buyer),
                };
                if let Admission::Admitted(permit) = admission {
                    out.push(permit);
                    prop_assert!(door.view().in_flight <= door.view().limit.max(limit));
                }
            } else if kind < 9 && !out.is_empty() {
                let permit = out.swap_remove(class % out.len());
                let ended = [Ended::Ok, Ended::Ok, Ended::Failed, Ended::TimedOut, Ended::Dropped];
                let ended = ended[pause as usize % 5];
                door.done(now, permit, Nanos::from_millis(pause), ended);
            } else {
                door.machine(now, machine(pause as f64 / 350.0, pause / 4));
            }
            let view = door.view();
            prop_assert_eq!(view.in_flight as usize, out.len());
            prop_assert!(view.buyers_in_flight as usize <= out.len());
            prop_assert!(view.flowing <= view.in_flight);
            prop_assert!(view.limit >= 1 && view.limit <= limit_max.max(1));
        }
        for permit in out {
            door.done(now, permit, Nanos::from_millis(10), Ended::Ok);
        }
        prop_assert_eq!((door.view().in_flight, door.view().buyers_in_flight), (0, 0));
    }
}
