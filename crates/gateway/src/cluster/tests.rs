//! Notes and rounds without a network: values go from hand to hand.

use super::Budget;
use super::note::Seal;
use super::round::{PREFIX, Rounds, Told};
use crate::limits::{NOTE_BYTES_MAX, SHARE_HEAR_MS, SHARE_LEASE_MS, SHARE_ROUND_MS};
use guard::{Line, Lost, Nanos, Note};

const KEY: &str = "share/all/2";

fn note(lines: usize) -> Note {
    let line = Line {
        instance: u64::MAX,
        heard: u64::MAX,
        loan: u32::MAX,
    };
    Note {
        from: 7,
        round: 3,
        demand: 1_000,
        owns: 500_000,
        lines: vec![line; lines],
    }
}

#[test]
fn notes_are_read_as_they_were_written() {
    let seal = Seal::new(b"secret", "shop");
    for lines in [0, 1, 64] {
        let value = seal.write(KEY, &note(lines));
        assert!(value.len() <= NOTE_BYTES_MAX, "{}", value.len());
        assert_eq!(seal.read(KEY, &value), Some(note(lines)));
    }
    // Pinned: other versions shall understand it.
    let value = seal.write(KEY, &note(0));
    assert!(value.starts_with("1 7 3 1000 500000  "), "{value}");
}

#[test]
fn nothing_else_is_believed() {
    let seal = Seal::new(b"secret", "shop");
    let good = seal.write(KEY, &note(2));
    for other in [Seal::new(b"other", "shop"), Seal::new(b"secret", "store")] {
        assert_eq!(other.read(KEY, &good), None);
    }
    assert_eq!(seal.read("share/other/2", &good), None, "of another rule");
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        // Of the last character of the MAC two bits say nothing and must be zero.
        assert_eq!(seal.read(KEY, &text), None, "byte {at}");
        assert_eq!(seal.read(KEY, &good[..at]), None, "cut at {at}");
    }
    assert_eq!(seal.read(KEY, &seal.write(KEY, &note(65))), None);
    assert_eq!(seal.read(KEY, &" ".repeat(NOTE_BYTES_MAX + 1)), None);
}

fn budget() -> Budget {
    Budget {
        rule: "all".to_owned(),
        instances_max: 2,
    }
}

#[test]
fn two_instances_share_by_their_demand() {
    let seal = Seal::new(b"secret", "shop");
    let mut all = [1, 2].map(|me| Rounds::new(me, Lost::Reserve, seal.clone()));
    let mut asked = [0, 0];
    let mut last: Vec<Told> = Vec::new();
    let rounds = (SHARE_LEASE_MS + SHARE_HEAR_MS + 4_000) / SHARE_ROUND_MS;
    for round in 1..=rounds {
        let now = Nanos::from_millis(round * SHARE_ROUND_MS);
        asked[0] += 100;
        let told: Vec<Told> = (0..2)
            .flat_map(|at| all[at].tick(vec![(budget(), asked[at])], now))
            .collect();
        for (at, told) in told.iter().enumerate() {
            assert!(told.key == KEY && told.key.starts_with(PREFIX));
            assert!(all[1 - at].receive(&told.key, &told.value, now));
        }
        last = told;
    }
    let share = |at: usize| last[at].granted.share.millionths();
    assert!(share(0) > 950_000 && share(1) == 25_000, "{last:?}");
    let now = Nanos::from_millis(rounds * SHARE_ROUND_MS);
    assert_eq!(all[0].members(now), 2);
    // What is not theirs is told apart from what is.
    assert!(!all[0].receive(KEY, "1 2 999 0 0  AAAA", now));
    assert!(all[0].receive("share/gone/2", &seal.write("share/gone/2", &note(0)), now));
    // A rule that is gone is begun anew when it comes back.
    assert!(all[0].tick(Vec::new(), now).is_empty());
    let again = all[0].tick(vec![(budget(), 0)], now);
    assert_eq!(again[0].granted.share.millionths(), 25_000);
}

#[test]
fn at_first_it_is_the_safe_share_or_less() {
    assert_eq!(budget().at_first(false).share.millionths(), 500_000);
    assert_eq!(budget().at_first(true).share.millionths(), 25_000);
}
