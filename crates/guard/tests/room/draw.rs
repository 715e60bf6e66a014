//! The draw before T0: even, closed at T0, unknown until then; and arrivals behind it.

use super::{Desk, buyer, drawn_at, rules, secs, spread};
use guard::room::{Phase, Place, Rate, Rules, Standing};

const PEOPLE: usize = 16;
const SEEDS: u64 = 4_000;

/// How often each person got each rank, against what an even draw gives.
fn chi_square(draw: impl Fn(u64, u64) -> u64) -> f64 {
    let mut counts = [[0_u32; PEOPLE]; PEOPLE];
    for seed in 0..SEEDS {
        let mut desk = Desk::new(Rules {
            waiting_max: PEOPLE as u32,
            ..drawn_at(60)
        });
        desk.now = secs(2);
        for person in 0..PEOPLE as u64 {
            let asking = super::visitor(person, desk.now);
            desk.room.ask(asking, |_| draw(person, seed), desk.now);
        }
        for (rank, found) in desk.order().into_iter().enumerate() {
            let person = (0..PEOPLE).find(|&p| buyer(p as u64) == found).unwrap();
            counts[person][rank] += 1;
        }
    }
    let expected = SEEDS as f64 / PEOPLE as f64;
    let deviation = |&count: &u32| (f64::from(count) - expected).powi(2) / expected;
    counts.iter().flatten().map(deviation).sum()
}

/// 15 × 15 degrees of freedom: mean 225, standard deviation 21.2; six of those on top.
const CHI_SQUARE_MAX: f64 = 353.0;

#[test]
fn every_rank_is_as_likely_for_everybody() {
    let found = chi_square(|person, seed| spread(person, seed + 1_000));
    assert!(found < CHI_SQUARE_MAX, "{found}");
    // Too even is as wrong as too uneven.
    assert!(found > 225.0 - 6.0 * 21.2, "{found}");
}

#[test]
fn the_bound_tells_a_draw_that_favours_early_comers() {
    let early = |person: u64, seed: u64| (spread(person, seed) >> 8) + (person << 51);
    let found = chi_square(early);
    assert!(found > CHI_SQUARE_MAX, "{found}");
    // Few bits make ties, and ties fall to the lower number.
    let coarse = chi_square(|person, seed| spread(person, seed) & 7);
    assert!(coarse > CHI_SQUARE_MAX, "{coarse}");
}

#[test]
fn registered_before_drawn_first_then_in_order_of_arrival() {
    let mut desk = Desk::new(Rules {
        places: 100,
        admit: Rate::per_s(10),
        ..drawn_at(60)
    });
    desk.now = secs(30);
    desk.tick();
    for person in 0..20 {
        assert_eq!(desk.ask(person), Standing::Registered { until: secs(30) });
    }
    // Nobody goes in before T0, and asking again changes nothing.
    desk.pass(secs(29));
    for person in (0..20).rev() {
        assert!(matches!(desk.ask(person), Standing::Registered { .. }));
    }
    assert!(desk.called.is_empty());
    // T0: the list is closed. Who comes now is told to wait as well, behind everybody.
    desk.pass(secs(1));
    assert_eq!(desk.room.phase(), Phase::Drawing);
    for person in 20..25 {
        let closed = Standing::Registered { until: secs(0) };
        assert_eq!(desk.ask(person), closed);
    }
    desk.pass(secs(1));
    assert!(
        desk.called.is_empty(),
        "nobody goes in before the root is published"
    );
    desk.room.drawn(desk.now);
    for person in 25..30 {
        desk.ask(person);
    }
    desk.pass(secs(4));
    let mut drawn: Vec<u64> = (0..20).collect();
    drawn.sort_by_key(|&person| Place::drawn(spread(buyer(person).0 as u64, desk.seed)));
    assert_ne!(drawn, (0..20).collect::<Vec<_>>());
    let expected: Vec<_> = drawn.into_iter().chain(20..30).map(buyer).collect();
    assert_eq!(desk.called, expected);
}

#[test]
fn a_draw_that_is_never_published_does_not_stop_the_sale() {
    let mut desk = Desk::new(drawn_at(10));
    desk.now = secs(2);
    desk.ask(1);
    desk.pass(secs(38));
    assert_eq!((desk.room.phase(), desk.called.len()), (Phase::Drawing, 0));
    desk.pass(secs(4));
    assert_eq!(desk.called, [buyer(1)]);
}

#[test]
fn registration_begins_for_everybody_alike() {
    let mut desk = Desk::new(Rules {
        schedule: Some(guard::room::Schedule {
            opens: secs(100),
            t0: secs(200),
        }),
        ..rules()
    });
    assert_eq!(desk.ask(1), Standing::Admitted, "the room is idle");
    desk.pass(secs(100));
    assert!(matches!(desk.ask(1), Standing::Registered { .. }));
    assert_eq!(desk.room.census().inside, 0);
}

#[test]
fn equal_draws_are_ordered_by_buyer() {
    let mut desk = Desk::new(Rules {
        waiting_max: 2_000,
        ..drawn_at(60)
    });
    desk.now = secs(2);
    for person in 0..1_500 {
        desk.room
            .ask(super::visitor(person, desk.now), |_| 7, desk.now);
    }
    let mut expected: Vec<_> = (0..1_500).map(buyer).collect();
    expected.sort();
    assert_eq!(desk.order(), expected);
}
