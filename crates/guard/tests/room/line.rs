//! One place a buyer, kept through absence, tickets and restarts; abandoned places hold nobody up.

use super::{Desk, buyer, millis, rules, secs};
use guard::room::{Place, Rules, Standing};

/// Serving, one place inside and that one taken by person 1,000, so that the rest wait.
fn full() -> Desk {
    let mut desk = Desk::open(Rules {
        places: 1,
        idle: secs(100_000),
        ..rules()
    });
    desk.ask(1_000);
    desk.pass(secs(1));
    assert_eq!(desk.ask(1_000), Standing::Admitted);
    desk.called.clear();
    desk
}

/// Everybody of these asks every ten seconds for so long.
fn keep_asking(desk: &mut Desk, people: &[u64], span_s: u64) {
    for _ in 0..span_s / 10 {
        for &person in people {
            desk.ask(person);
        }
        desk.pass(secs(10));
    }
}

#[test]
fn one_place_a_buyer_however_often_they_ask() {
    let mut desk = full();
    for person in 0..50 {
        desk.ask(person);
    }
    for round in 0..20_u64 {
        desk.now = desk.now.plus(millis(10 * round));
        for person in 0..50 {
            let wait = desk.wait(person);
            assert_eq!(u64::from(wait.ahead), person);
            // A ticket of a better place, however it was come by, changes nothing either.
            let answer = desk.answer(person, Some(Place::drawn(1)));
            assert_eq!(answer.given, None);
        }
    }
    assert_eq!(desk.room.census().waiting, 50);
}

#[test]
fn who_went_away_is_passed_over_and_next_when_back_in_time() {
    let mut desk = full();
    for person in 0..4 {
        desk.ask(person);
    }
    keep_asking(&mut desk, &[1, 2, 3], 70);
    // 0 is away: 1 sees nobody ahead, and is let in when a place is free.
    assert_eq!(desk.wait(1).ahead, 0);
    assert_eq!(desk.room.census().away, 1);
    desk.room.leave(buyer(1_000));
    desk.pass(secs(1));
    assert_eq!(desk.called, [buyer(1)]);
    assert_eq!(desk.ask(1), Standing::Admitted);
    // 0 comes back within the grace, and stands before 2 and 3 at once.
    keep_asking(&mut desk, &[1, 2, 3], 110);
    assert_eq!((desk.wait(0).ahead, desk.wait(2).ahead), (0, 1));
    desk.room.leave(buyer(1));
    desk.pass(secs(1));
    assert_eq!(desk.called, [buyer(1), buyer(0)]);
}

#[test]
fn who_comes_back_too_late_begins_at_the_end_even_with_the_ticket() {
    let mut desk = full();
    let ticket = desk.answer(0, None).given;
    assert!(ticket.is_some());
    desk.ask(1);
    desk.ask(2);
    keep_asking(&mut desk, &[1, 2], 70);
    desk.room.leave(buyer(1_000));
    desk.pass(secs(1));
    keep_asking(&mut desk, &[1, 2], 130);
    let answer = desk.answer(0, ticket);
    let Standing::Waiting(wait) = answer.standing else {
        panic!("{answer:?}");
    };
    assert_eq!(wait.ahead, 1, "behind 2");
    assert_ne!(answer.given, ticket, "a new place");
    assert_eq!(answer.given, Some(wait.place));
}

#[test]
fn away_before_the_turn_keeps_the_place_for_as_long_as_it_takes() {
    let mut desk = full();
    for person in 0..3 {
        desk.ask(person);
    }
    keep_asking(&mut desk, &[0, 2], 1_000);
    assert_eq!(desk.wait(2).ahead, 1);
    assert_eq!(desk.wait(1).ahead, 1);
    assert_eq!(desk.wait(2).ahead, 2);
}

#[test]
fn let_in_but_never_there_frees_the_place_inside() {
    let mut desk = full();
    desk.ask(0);
    desk.ask(1);
    desk.room.leave(buyer(1_000));
    desk.pass(secs(1));
    assert_eq!(desk.called, [buyer(0)], "the only place is called for 0");
    keep_asking(&mut desk, &[1], 80);
    assert_eq!(desk.called, [buyer(0), buyer(1)]);
    assert_eq!(desk.wait(0).ahead, 0, "within the grace 0 is next");
}

#[test]
fn a_place_inside_ends_with_silence_and_lasts_with_signs_of_life() {
    let mut desk = Desk::open(Rules {
        places: 2,
        ..rules()
    });
    desk.ask(0);
    desk.ask(1);
    desk.pass(secs(2));
    desk.ask(0);
    desk.ask(1);
    for _ in 0..59 {
        assert!(desk.room.touch(buyer(0), desk.now));
        desk.ask(5);
        desk.pass(secs(10));
    }
    assert_eq!(desk.called, [buyer(0), buyer(1)]);
    desk.pass(secs(12));
    assert_eq!(desk.called, [buyer(0), buyer(1), buyer(5)]);
}

#[test]
fn a_restart_with_the_journal_keeps_the_order() {
    let mut before = full();
    for person in 0..30 {
        before.ask(person * 7 % 30);
    }
    let remembered: Vec<_> = before.room.in_line().collect();
    let order = before.order();
    let mut after = Desk::new(*before.room.rules());
    for (buyer, place) in remembered.into_iter().rev() {
        assert!(after.room.restore(buyer, place, after.now));
    }
    assert!(after.room.touch(buyer(1_000), after.now), "the pass counts");
    assert_eq!(after.order(), order);
    // Who comes now comes last, even though the clock of this process began anew.
    after.ask(99);
    assert_eq!(after.order().last(), Some(&buyer(99)));
}

#[test]
fn a_restart_without_the_journal_keeps_the_order_of_tickets() {
    let mut before = full();
    let tickets: Vec<_> = (0..30).map(|who| before.answer(who, None).given).collect();
    let mut after = Desk::open(*before.room.rules());
    after.now = secs(3);
    assert!(after.room.touch(buyer(1_000), after.now));
    for who in (0..30).map(|person| person * 11 % 30) {
        after.answer(who, tickets[who as usize]);
    }
    let expected: Vec<_> = (0..30).map(buyer).collect();
    assert_eq!(after.order(), expected);
}

#[test]
fn a_ticket_of_another_instance_stands_where_it_belongs() {
    let mut desk = full();
    desk.now = desk.now.plus(secs(5));
    desk.ask(1);
    desk.now = desk.now.plus(secs(5));
    desk.ask(2);
    let between = Place::came((desk.now.0 - 3_000_000_000) / 1_000);
    desk.answer(3, Some(between));
    assert_eq!(desk.order(), [buyer(1), buyer(3), buyer(2)]);
}

#[test]
fn a_full_room_says_so_and_has_room_again() {
    let mut desk = full();
    for person in 0..100 {
        desk.wait(person);
    }
    assert_eq!(desk.ask(200), Standing::Full);
    assert_eq!(desk.wait(5).ahead, 5, "who is in line stays");
    desk.room.leave(buyer(50));
    assert_eq!(desk.wait(200).ahead, 99);
    // Seats of people who have long gone are given away before the room calls itself full.
    let there: Vec<u64> = (0..20).collect();
    keep_asking(&mut desk, &there, 200);
    assert_eq!(desk.wait(300).ahead, 20);
}

#[test]
fn leaves_split_and_merge_without_losing_anybody() {
    let mut desk = Desk::open(Rules {
        waiting_max: 5_000,
        places: 1,
        ..rules()
    });
    desk.room.touch(buyer(100_000), desk.now);
    let mut expected = Vec::new();
    for person in 0..4_000_u64 {
        let place = Place::came(super::spread(person, 9) >> 20);
        desk.answer(person, Some(place));
        expected.push((place, person));
    }
    expected.sort();
    while !expected.is_empty() {
        for (rank, &(_, person)) in expected.iter().enumerate().step_by(97) {
            assert_eq!(desk.wait(person).ahead as usize, rank);
        }
        let order: Vec<_> = expected.iter().map(|&(_, person)| buyer(person)).collect();
        assert_eq!(desk.order(), order);
        let leaving: Vec<_> = expected.iter().step_by(3).map(|&(_, who)| who).collect();
        expected.retain(|(_, who)| !leaving.contains(who));
        for person in leaving {
            desk.room.leave(buyer(person));
        }
    }
    assert_eq!(desk.room.census().waiting, 0);
}
