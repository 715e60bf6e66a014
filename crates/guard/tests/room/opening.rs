//! When the room opens and ends by itself, how fast people go in, and what its rules must be.

use super::{Desk, buyer, millis, rules, secs};
use guard::Nanos;
use guard::room::{BadRules, Phase, Rate, Room, Rules, Schedule, Standing};

#[test]
fn opens_above_the_rate_and_ends_after_a_calm_while() {
    let mut desk = Desk::new(Rules {
        places: 1_000,
        ..rules()
    });
    let mut person = 0;
    // Five new people a second are no reason, for as long as it lasts.
    for _ in 0..60 {
        for _ in 0..5 {
            person += 1;
            assert_eq!(desk.ask(person), Standing::Admitted);
        }
        desk.pass(secs(1));
    }
    // Who is inside already may ask as often as they like.
    for _ in 0..100 {
        assert_eq!(desk.ask(person), Standing::Admitted);
    }
    // The sixth in a second waits.
    for _ in 0..5 {
        person += 1;
        assert_eq!(desk.ask(person), Standing::Admitted);
    }
    assert_eq!(desk.room.phase(), Phase::Idle);
    assert!(matches!(desk.ask(person + 1), Standing::Waiting(_)));
    assert_eq!(desk.room.phase(), Phase::Serving);
    assert_eq!(desk.ask(person), Standing::Admitted, "who was in stays in");
    // Three a second: below the upper threshold, above the lower. It stays open.
    for _ in 0..60 {
        for _ in 0..3 {
            person += 10;
            desk.ask(person);
        }
        desk.pass(secs(1));
        assert_eq!(desk.room.phase(), Phase::Serving);
    }
    // Calm: the line empties, and after thirty seconds the room ends.
    let census = desk.room.census();
    assert!(census.waiting > 0);
    desk.pass(secs(29));
    assert_eq!(desk.room.phase(), Phase::Serving);
    desk.pass(secs(200));
    assert_eq!(desk.room.phase(), Phase::Idle);
    assert_eq!(desk.ask(9_999_999), Standing::Admitted);
}

#[test]
fn opens_when_all_places_are_taken() {
    let mut desk = Desk::new(Rules {
        open_above: None,
        ..rules()
    });
    for person in 0..10 {
        assert_eq!(desk.ask(person), Standing::Admitted);
    }
    assert!(matches!(desk.ask(10), Standing::Waiting(_)));
    desk.pass(secs(10));
    assert!(desk.called.is_empty(), "no place, nobody goes in");
    desk.room.leave(buyer(3));
    desk.pass(secs(1));
    assert_eq!(desk.called, [buyer(10)]);
}

#[test]
fn lets_in_at_the_stated_rate_and_never_faster() {
    let mut desk = Desk::open(Rules {
        waiting_max: 10_000,
        places: 10_000,
        admit: Rate::per_s(37),
        away_after: secs(1_000),
        ..rules()
    });
    for person in 0..5_000 {
        desk.ask(person);
    }
    let mut totals = vec![0_usize];
    for _ in 0..600 {
        desk.pass(Nanos::from_millis(100));
        totals.push(desk.called.len());
    }
    let total = *totals.last().unwrap();
    assert!((2_218..=2_220).contains(&total), "{total} in a minute");
    // Over any window: the rate, and a quarter of a second saved up.
    for from in 0..totals.len() {
        for to in from..totals.len() {
            let most = 37.0 * ((to - from) as f64 / 10.0 + 0.25) + 1.0;
            assert!((totals[to] - totals[from]) as f64 <= most, "{from}..{to}");
        }
    }
    // A pause of the shell does not end in a burst.
    desk.now = desk.now.plus(secs(20));
    desk.called.clear();
    desk.tick();
    assert_eq!(desk.called.len(), 10, "a quarter of a second, and one");
}

#[test]
fn small_rates_are_kept_as_well() {
    for count in 1..=12 {
        let mut desk = Desk::open(Rules {
            places: 1_000,
            waiting_max: 1_000,
            admit: Rate::per_s(count),
            away_after: secs(1_000),
            ..rules()
        });
        for person in 0..1_000 {
            desk.ask(person);
        }
        desk.pass(secs(60));
        let expected = 60 * count as usize;
        assert!(
            desk.called.len().abs_diff(expected) <= 1,
            "{count} a second"
        );
    }
}

#[test]
fn no_rate_is_rounded() {
    let rows = [
        (90, 60, 3_600, 5_400),
        (7, 60, 3_600, 420),
        (1, 7, 3_600, 514),
        (50, 3_600, 3_600, 50),
    ];
    for (count, per_s, seconds, expected) in rows {
        let mut desk = Desk::open(Rules {
            places: 10_000,
            waiting_max: 10_000,
            admit: Rate {
                count,
                per: secs(per_s),
            },
            away_after: secs(10_000),
            idle: secs(10_000),
            ..rules()
        });
        for person in 0..6_000 {
            desk.ask(person);
        }
        desk.pass(secs(seconds));
        let told = desk.called.len();
        assert_eq!(told, expected, "{count} in {per_s} s");
        // Who is told how long it takes is told this rate.
        let wait = desk.wait(5_999);
        let each = wait.wait.unwrap().0 as f64 / 1e9 / f64::from(wait.ahead + 1);
        let stated = per_s as f64 / count as f64;
        assert!(
            (each / stated - 1.0).abs() < 0.05,
            "{each} s each, not {stated}"
        );
    }
}

#[test]
fn the_rates_that_open_and_end_count_in_their_own_periods() {
    let minute = |count| Rate {
        count,
        per: secs(60),
    };
    let mut desk = Desk::new(Rules {
        open_above: Some(minute(90)),
        close_below: minute(30),
        calm: secs(120),
        places: 1_000,
        ..rules()
    });
    // Ninety at once are ninety in a minute; one and a half a second would have been three.
    for person in 0..90 {
        assert_eq!(desk.ask(person), Standing::Admitted, "{person}");
    }
    desk.ask(90);
    assert_eq!(desk.room.phase(), Phase::Serving);
    // Thirty-one a minute, half a second between any two, are too many to end it …
    for minute in 0..4 {
        for person in 0..31 {
            desk.ask(1_000 + minute * 100 + person);
            desk.pass(millis(500));
        }
        desk.pass(millis(44_500));
        assert_eq!(desk.room.phase(), Phase::Serving);
    }
    // … and thirty are not.
    for minute in 0..4 {
        for person in 0..30 {
            desk.ask(2_000 + minute * 100 + person);
            desk.pass(millis(500));
        }
        desk.pass(millis(45_000));
    }
    assert_eq!(desk.room.phase(), Phase::Idle);
}

#[test]
fn while_nobody_waits_a_newcomer_goes_straight_in() {
    let mut desk = Desk::open(rules());
    desk.pass(secs(5));
    let answer = desk.answer(1, None);
    assert_eq!(answer.standing, Standing::Admitted);
    assert!(answer.given.is_some(), "to be written down all the same");
    assert!(matches!(desk.ask(2), Standing::Waiting(_)), "one a second");
}

#[test]
fn bad_rules_change_nothing() {
    let good = rules();
    let schedule = Some(Schedule {
        opens: secs(5),
        t0: secs(5),
    });
    let every = |count, per| Rate { count, per };
    let (timeless, yearly) = (every(1, Nanos(0)), every(1, secs(31_536_000)));
    // 301 a minute are more than five a second.
    let faster = every(301, secs(60));
    #[rustfmt::skip]
    let cases = [
        (Rules { waiting_max: 0, ..good },                 BadRules::Seats),
        (Rules { places: 0, ..good },                      BadRules::Seats),
        (Rules { waiting_max: u32::MAX, ..good },          BadRules::Seats),
        (Rules { waiting_max: 4_000_000, ..good },         BadRules::Seats),
        (Rules { admit: Rate::per_s(0), ..good },          BadRules::Rate),
        (Rules { admit: Rate::per_s(1_000_001), ..good },  BadRules::Rate),
        (Rules { admit: timeless, ..good },                BadRules::Rate),
        (Rules { admit: yearly, ..good },                  BadRules::Rate),
        (Rules { open_above: Some(timeless), ..good },     BadRules::Rate),
        (Rules { close_below: timeless, ..good },          BadRules::Rate),
        (Rules { close_below: faster, ..good },            BadRules::Hysteresis),
        (Rules { close_below: Rate::per_s(5), ..good },    BadRules::Hysteresis),
        (Rules { away_after: Nanos(5), ..good },           BadRules::TooShort),
        (Rules { grace: Nanos(5), ..good },                BadRules::TooShort),
        (Rules { idle: Nanos(5), ..good },                 BadRules::TooShort),
        (Rules { units_per_buyer: 0, ..good },             BadRules::Units),
        (Rules { schedule, ..good },                       BadRules::Schedule),
    ];
    let mut desk = Desk::open(good);
    for (bad, why) in cases {
        assert_eq!(Room::new(bad, Nanos(0)).err(), Some(why));
        assert_eq!(desk.room.change(bad, Nanos(0)), Err(why));
        assert_eq!(desk.room.rules(), &good);
    }
    let grown = Rules {
        waiting_max: 101,
        ..good
    };
    assert_eq!(desk.room.change(grown, Nanos(0)), Err(BadRules::Grown));
    let other = Rules {
        admit: Rate::per_s(50),
        ..good
    };
    assert_eq!(desk.room.change(other, Nanos(0)), Ok(()));
    assert_eq!(desk.room.rules(), &other);
}

#[test]
fn a_schedule_taken_away_opens_the_room() {
    let mut desk = Desk::new(super::drawn_at(100));
    desk.now = secs(2);
    desk.ask(1);
    assert_eq!(desk.room.phase(), Phase::Registering);
    desk.room.change(rules(), desk.now).unwrap();
    desk.pass(secs(2));
    assert_eq!(desk.called, [buyer(1)]);
}
