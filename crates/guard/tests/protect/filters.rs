//! The sold-out filter and the duplicate filter.

use guard::{Begun, DuplicateTicket, Duplicates, Fed, Nanos, SoldOut, Value};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::num::NonZeroU64;

fn value(number: u64) -> Value {
    Value(NonZeroU64::new(number).expect("test values are not zero"))
}

#[test]
fn released_stock_passes_at_once() {
    let mut filter = SoldOut::new(10);
    assert!(!filter.is_gone(value(7)), "nothing is gone before a feed");
    assert_eq!(filter.set(value(7), false, 5), Fed::Taken);
    assert!(filter.is_gone(value(7)));
    assert!(!filter.is_gone(value(8)));
    assert_eq!(filter.set(value(7), true, 6), Fed::Taken);
    assert!(!filter.is_gone(value(7)));
    assert_eq!(
        filter.set(value(7), false, 5),
        Fed::Older,
        "late, and from before"
    );
    assert!(!filter.is_gone(value(7)));
    assert_eq!(filter.set(value(7), false, 9), Fed::Taken);
    assert_eq!(filter.set(value(7), true, 8), Fed::Older);
    assert!(filter.is_gone(value(7)));
}

#[test]
fn a_full_filter_lets_through_and_counts() {
    let mut filter = SoldOut::new(2);
    for sku in 1..=2 {
        filter.set(value(sku), false, sku);
    }
    assert_eq!(filter.set(value(3), false, 3), Fed::Full);
    assert!(!filter.is_gone(value(3)));
    assert_eq!(filter.counts().full, 1);
    filter.set(value(1), true, 4);
    assert_eq!(
        filter.set(value(3), false, 5),
        Fed::Taken,
        "a free SKU makes room"
    );
    assert!(filter.is_gone(value(3)));
    assert_eq!(
        filter.set(value(1), false, 3),
        Fed::Older,
        "forgotten, but not believed"
    );
    assert!(!filter.is_gone(value(1)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Every SKU has a true history; feeds come late, twice and in any order.
    #[test]
    fn no_older_state_comes_back(
        history in prop::collection::vec((1_u64..12, any::<bool>()), 1..120),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..300),
        room in 1_usize..16,
    ) {
        let mut filter = SoldOut::new(room);
        // The newest version fed of each SKU, and its state.
        let mut newest: BTreeMap<u64, (u64, bool)> = BTreeMap::new();
        for at in order {
            let at = at.index(history.len());
            let (sku, free) = history[at];
            let version = at as u64 + 1;
            let fed = filter.set(value(sku), free, version);
            let known = newest.entry(sku).or_insert((0, true));
            if version > known.0 {
                *known = (version, free);
            }
            if room >= 12 {
                prop_assert_ne!(fed, Fed::Full);
            }
            for (sku, (version, free)) in &newest {
                let gone = filter.is_gone(value(*sku));
                if room >= 12 {
                    prop_assert_eq!(gone, !free, "SKU {} at version {}", sku, version);
                }
                prop_assert!(!(gone && *free), "SKU {} is free since {}", sku, version);
            }
            prop_assert!(filter.len() <= room);
        }
        // Fed once more in order, the filter agrees again as far as it has room.
        let versions = history.len() as u64;
        for (sku, (_, free)) in &newest {
            filter.set(value(*sku), true, versions + 1);
            filter.set(value(*sku), *free, versions + 2);
            if room >= 12 {
                prop_assert_eq!(filter.is_gone(value(*sku)), !free);
            }
        }
    }

    /// A map from key to (since, ticket), searched from end to end.
    #[test]
    fn duplicates_agree_with_a_list(
        steps in prop::collection::vec((0_u8..4, 1_u64..20, 0_u64..40), 1..400),
        room in 1_usize..10,
    ) {
        let life = Nanos::from_millis(300);
        let mut filter = Duplicates::new(room, life);
        let mut live: BTreeMap<u64, (Nanos, DuplicateTicket)> = BTreeMap::new();
        let mut given: Vec<(u64, DuplicateTicket)> = Vec::new();
        let mut now = Nanos(0);
        for (kind, key, pause) in steps {
            now = now.plus(Nanos::from_millis(pause));
            live.retain(|_, (since, _)| now.since(*since) < life);
            if kind < 3 {
                match filter.begin(value(key), now) {
                    Begun::First(ticket) => {
                        prop_assert!(live.len() < room, "room for all that is under way");
                        let before = live.insert(key, (now, ticket));
                        prop_assert!(before.is_none(), "two of {} under way", key);
                        given.push((key, ticket));
                    }
                    Begun::InFlight { since } => {
                        prop_assert_eq!(live.get(&key).map(|held| held.0), Some(since));
                    }
                    Begun::Uncounted => {
                        prop_assert_eq!(live.len(), room, "full before it lets through");
                        prop_assert!(!live.contains_key(&key));
                    }
                }
            } else if !given.is_empty() {
                // Any ticket, also one that ended or expired long ago.
                let (key, ticket) = given[key as usize % given.len()];
                filter.end(ticket);
                if live.get(&key).is_some_and(|held| held.1 == ticket) {
                    live.remove(&key);
                }
            }
            prop_assert!(filter.len() >= live.len() && filter.len() <= room);
        }
    }
}

#[test]
fn duplicates_count_what_they_do() {
    let mut filter = Duplicates::new(1, Nanos::from_secs(1));
    let Begun::First(first) = filter.begin(value(1), Nanos(5)) else {
        panic!("an empty filter takes a key");
    };
    assert_eq!(
        filter.begin(value(1), Nanos(9)),
        Begun::InFlight { since: Nanos(5) }
    );
    assert_eq!(filter.begin(value(2), Nanos(9)), Begun::Uncounted);
    let late = Nanos::from_secs(2);
    let Begun::First(second) = filter.begin(value(1), late) else {
        panic!("an expired key is forgotten");
    };
    filter.end(first);
    assert_eq!(
        filter.begin(value(1), late),
        Begun::InFlight { since: late }
    );
    filter.end(second);
    assert!(filter.is_empty());
    let counts = filter.counts();
    assert_eq!((counts.first, counts.in_flight), (2, 2));
    assert_eq!((counts.uncounted, counts.expired), (1, 1));
}
