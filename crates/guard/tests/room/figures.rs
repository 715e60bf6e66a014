//! A million people: what a waiting buyer costs in memory and a question in time.

use super::{buyer, rules, secs, spread, visitor};
use guard::Nanos;
use guard::room::{Phase, Rate, Room, Rules, Schedule, Standing};
use std::time::Instant;

const PEOPLE: u64 = 1_000_000;

#[test]
fn a_million_waiting_within_64_bytes_each() {
    let rules = Rules {
        waiting_max: PEOPLE as u32,
        places: 10_000,
        admit: Rate::per_s(2_000),
        schedule: Some(Schedule {
            opens: Nanos(1),
            t0: secs(3_600),
        }),
        ..rules()
    };
    let now = secs(1);
    let mut room = Room::new(rules, now).unwrap();
    let begun = Instant::now();
    for person in 0..PEOPLE {
        room.ask(visitor(person, now), |_| spread(person, 5), now);
    }
    let registered = begun.elapsed();
    let each = room.bytes() as f64 / PEOPLE as f64;
    assert_eq!(room.census().waiting, PEOPLE as u32);
    assert!(each <= 64.0, "{each} bytes a waiting buyer");
    let full = room.ask(visitor(PEOPLE, now), |_| 0, now);
    assert_eq!(full.standing, Standing::Full);

    let t0 = secs(3_600);
    room.tick(t0, |_, _| ());
    assert_eq!(room.phase(), Phase::Drawing);
    room.drawn(t0);
    let begun = Instant::now();
    for step in 0..PEOPLE {
        let person = spread(step, 8) % PEOPLE;
        let answer = room.ask(visitor(person, t0), |_| 0, t0);
        assert!(matches!(answer.standing, Standing::Waiting(_)));
    }
    let asked = begun.elapsed();
    let mut longest = std::time::Duration::ZERO;
    let mut called = 0;
    for step in 1..=100 {
        let begun = Instant::now();
        let now = t0.plus(Nanos::from_millis(100 * step));
        room.tick(now, |_, _| called += 1);
        longest = longest.max(begun.elapsed());
    }
    assert!((9_990..=10_000).contains(&called), "{called}: all places");
    assert!(room.touch(buyer(1), t0));
    eprintln!(
        "{each:.1} bytes each; {:?} to register; {:?} to ask; longest tick {longest:?}",
        registered / PEOPLE as u32,
        asked / PEOPLE as u32,
    );
}
