//! Which peer is chosen.

use super::super::{Address, Peer, PeerSpec, Pool, PoolSpec, Upstreams};
use super::{Dice, Tried};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

const NOW: u64 = 1_000_000;

fn pool(weights: &[u32], change: impl FnOnce(&mut PoolSpec)) -> Arc<Pool> {
    let peers = weights.iter().enumerate().map(|(n, weight)| PeerSpec {
        address: Address::Fixed(([127, 0, 0, 1], 1_000 + n as u16).into()),
        weight: *weight,
    });
    let mut spec = PoolSpec::new("p", peers.collect());
    change(&mut spec);
    Upstreams::new(vec![spec], None)
        .unwrap()
        .pool("p")
        .unwrap()
        .clone()
}

/// How often of ten thousand each peer is taken, in hundredths.
fn shares(pool: &Pool, tried: &Tried) -> Vec<u32> {
    let dice = Dice::new();
    let mut counts = vec![0_u32; pool.peers().len()];
    for _ in 0..10_000 {
        counts[pool.pick(&dice, tried, NOW).unwrap()] += 1;
    }
    counts.iter().map(|n| n.div_ceil(100)).collect()
}

fn out(peer: &Peer) {
    peer.ejected_until_ms.store(NOW + 1, Relaxed);
}

#[test]
fn an_idle_pool_is_shared_by_weight() {
    let shares = shares(&pool(&[1, 2, 7], |_| {}), &Tried::default());
    for (share, expected) in shares.iter().zip([10, 20, 70]) {
        assert!(share.abs_diff(expected) <= 3, "{shares:?}");
    }
}

#[test]
fn load_counts_relative_to_weight() {
    let pool = pool(&[1, 10], |_| {});
    pool.peers()[0].begin();
    (0..9).for_each(|_| pool.peers()[1].begin());
    assert_eq!(
        shares(&pool, &Tried::default()),
        [0, 100],
        "1 of 1 is more than 9 of 10"
    );
    (0..2).for_each(|_| pool.peers()[1].begin());
    assert_eq!(
        shares(&pool, &Tried::default()),
        [100, 0],
        "1 of 1 is less than 11 of 10"
    );
}

#[test]
fn who_is_out_or_was_tried_is_not_asked() {
    let pool = pool(&[1; 40], |spec| spec.fail_open = false);
    pool.peers()[1..].iter().for_each(|peer| out(peer));
    let mut tried = Tried::default();
    assert_eq!(
        shares(&pool, &tried)[0],
        100,
        "the one that is left is found"
    );
    tried.add(0);
    assert_eq!(pool.pick(&Dice::new(), &tried, NOW), None);
    assert_eq!(
        pool.pick(&Dice::new(), &Tried::default(), NOW + 1)
            .map(|_| ()),
        Some(())
    );
}

#[test]
fn if_all_are_out_an_open_pool_asks_them_all_the_same() {
    let open = pool(&[1, 1], |_| {});
    open.peers().iter().for_each(|peer| out(peer));
    let shares = shares(&open, &Tried::default());
    assert!(shares.iter().all(|share| *share > 40), "{shares:?}");
}

#[test]
fn a_peer_that_came_back_starts_slowly() {
    let pool = pool(&[1, 1], |spec| spec.slow_start_ms = 1_000);
    let back = |ago: u64| {
        pool.peers()[0].back_since_ms.store(NOW - ago, Relaxed);
        shares(&pool, &Tried::default())[0]
    };
    let (fresh, later, whole) = (back(0), back(500), back(1_000));
    assert!(
        (1..=6).contains(&fresh),
        "a twentieth of its weight: {fresh}"
    );
    assert!((25..=41).contains(&later), "half its weight: {later}");
    assert!((45..=55).contains(&whole), "all of it: {whole}");
}

#[test]
fn a_new_configuration_keeps_what_is_known_of_peers() {
    let spec = |path: u32| {
        let peers = vec![PeerSpec {
            address: Address::Fixed(([127, 0, 0, 1], 1).into()),
            weight: 1,
        }];
        let mut spec = PoolSpec::new("p", peers);
        spec.slow_start_ms = path;
        spec
    };
    let first = Upstreams::new(vec![spec(0)], None).unwrap();
    let same = Upstreams::new(vec![spec(0)], Some(&first)).unwrap();
    assert!(Arc::ptr_eq(
        first.pool("p").unwrap(),
        same.pool("p").unwrap()
    ));
    let other = Upstreams::new(vec![spec(5)], Some(&same)).unwrap();
    let (old, new) = (first.pool("p").unwrap(), other.pool("p").unwrap());
    assert!(!Arc::ptr_eq(old, new));
    assert!(Arc::ptr_eq(&old.peers()[0], &new.peers()[0]));
}
