//! What people are told: that all is sold, how long it takes, what their odds are.

use super::{Desk, buyer, rules, secs};
use guard::Nanos;
use guard::room::{Odds, Rate, Rules, Standing};

fn crowd(people: u64, rules: Rules) -> Desk {
    let mut desk = Desk::open(Rules {
        waiting_max: 100_000,
        away_after: secs(100_000),
        ..rules
    });
    for person in 0..people {
        desk.ask(person);
    }
    desk
}

#[test]
fn sold_out_is_told_to_all_at_once_and_taken_back() {
    let mut desk = crowd(500, rules());
    desk.room.set_stock(Some(3));
    desk.pass(secs(2));
    assert_eq!(desk.called, [buyer(0), buyer(1)]);
    assert_eq!(desk.ask(0), Standing::Admitted);
    desk.room.set_stock(Some(0));
    for person in 1..500 {
        assert_eq!(desk.ask(person), Standing::SoldOut, "{person}");
    }
    assert_eq!(
        desk.ask(0),
        Standing::Admitted,
        "who is inside may hold units"
    );
    assert_eq!(desk.ask(900), Standing::SoldOut, "a newcomer");
    assert_eq!(desk.room.census().waiting, 498, "no place for a newcomer");
    // However long it lasts: nobody is let in, nobody loses a place.
    desk.pass(secs(1_000));
    assert_eq!(desk.called.len(), 2);
    // A unit comes back: the line goes on where it stopped.
    desk.room.set_stock(Some(1));
    assert_eq!(desk.wait(2).ahead, 0);
    assert_eq!(desk.ask(1), Standing::Admitted, "was called before");
    desk.pass(secs(1));
    assert_eq!(desk.called[2], buyer(2));
}

#[test]
fn who_left_a_sold_out_room_is_passed_over_when_it_goes_on() {
    let mut desk = crowd(
        4,
        Rules {
            places: 1,
            ..rules()
        },
    );
    let mut tighter = *desk.room.rules();
    tighter.away_after = secs(60);
    desk.room.change(tighter, desk.now).unwrap();
    desk.room.set_stock(Some(0));
    for _ in 0..200 {
        assert_eq!(desk.ask(3), Standing::SoldOut);
        desk.pass(secs(1));
    }
    desk.room.set_stock(Some(1));
    desk.pass(secs(1));
    assert_eq!(desk.called, [buyer(3)]);
    assert_eq!(desk.wait(0).ahead, 0, "back in time, and next");
}

#[test]
fn the_wait_is_measured() {
    let mut desk = crowd(
        3_000,
        Rules {
            places: 10_000,
            admit: Rate::per_s(20),
            ..rules()
        },
    );
    let seconds = |wait: Option<Nanos>| wait.unwrap().0 as f64 / 1e9;
    // Nothing measured yet: the stated rate.
    let told = seconds(desk.wait(999).wait);
    assert!((49.0..51.0).contains(&told), "{told}");
    desk.pass(secs(20));
    let told = seconds(desk.wait(999).wait);
    assert!((29.0..31.0).contains(&told), "{told}");
    // Half the rate from now on; half a minute later the estimate says so.
    let slower = Rules {
        admit: Rate::per_s(10),
        ..*desk.room.rules()
    };
    desk.room.change(slower, desk.now).unwrap();
    desk.pass(secs(32));
    let wait = desk.wait(2_999);
    let expected = f64::from(wait.ahead + 1) / 10.0;
    let told = seconds(wait.wait);
    assert!((told / expected - 1.0).abs() < 0.02, "{told} {expected}");
}

#[test]
fn nobody_promises_a_time_while_nobody_goes_in() {
    let mut desk = crowd(
        10,
        Rules {
            places: 1,
            ..rules()
        },
    );
    desk.pass(secs(2));
    desk.ask(0);
    for _ in 0..40 {
        desk.room.touch(buyer(0), desk.now);
        desk.pass(secs(1));
    }
    assert_eq!(desk.wait(5).wait, None);
}

#[test]
fn the_odds_follow_stock_and_people_ahead() {
    let mut desk = crowd(10_000, rules());
    assert_eq!(desk.wait(0).odds, None, "nobody said what is left");
    desk.room.set_stock(Some(1_000));
    let mut odds = |person: u64| desk.wait(person).odds.unwrap();
    assert_eq!(odds(0), Odds(1_000));
    assert!(odds(900) > Odds(990), "{:?}", odds(900));
    assert!(
        (Odds(400)..Odds(600)).contains(&odds(999)),
        "{:?}",
        odds(999)
    );
    assert!(odds(1_100) < Odds(10), "{:?}", odds(1_100));
    assert_eq!(odds(9_999), Odds(0));
    // Never better further behind.
    let all: Vec<_> = (0..2_000).map(&mut odds).collect();
    assert!(all.is_sorted_by(|a, b| a >= b));
    // The last unit, and nobody before.
    desk.room.set_stock(Some(1));
    assert_eq!(desk.wait(0).odds, Some(Odds(1_000)));
    assert!(desk.wait(1).odds < Some(Odds(500)));
}

#[test]
fn the_odds_learn_how_much_people_take() {
    let mut desk = crowd(
        1_000,
        Rules {
            places: 100_000,
            admit: Rate::per_s(100),
            units_per_buyer: 4,
            ..rules()
        },
    );
    desk.room.set_stock(Some(700));
    // As if everybody took four: far too little for number 400.
    assert!(desk.wait(400).odds < Some(Odds(10)));
    // A hundred and more went in and took one each.
    desk.pass(secs(3));
    for person in 0..desk.called.len() as u64 {
        desk.room.leave(buyer(person));
    }
    desk.room.set_stock(Some(700 - desk.called.len() as u64));
    assert!(
        desk.wait(600).odds > Some(Odds(700)),
        "{:?}",
        desk.wait(600)
    );
}
