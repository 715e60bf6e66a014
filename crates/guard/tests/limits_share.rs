//! Shares of a cluster's budget, on a simulated network that loses, delays and repeats claims, cuts
//! the cluster apart, and under instances that crash and start. Every instance's clock starts
//! somewhere else.

use guard::{Claim, Nanos, Share, ShareConfig};
use proptest::prelude::*;

const ROUND: u64 = 200_000_000;
const LEASE: u64 = 2_000_000_000;
const ALL: u64 = 1_000_000;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(z ^ (z >> 31)) * u128::from(bound)) >> 64) as u64
    }
}

struct Node {
    share: Share,
    me: u64,
    clock: u64,
    side: u64,
    demand: u64,
}

impl Node {
    fn now(&self, now: u64) -> Nanos {
        Nanos(now + self.clock)
    }
}

struct Cluster {
    nodes: Vec<Node>,
    /// When, to whom, what.
    flying: Vec<(u64, u64, Claim)>,
    now: u64,
    random: Random,
    loss_percent: u64,
    instances_max: u16,
    strict: bool,
    forget: u64,
    born: u64,
}

impl Cluster {
    fn new(seed: u64, nodes: u64, instances_max: u16, strict: bool, forget: u64) -> Cluster {
        let mut cluster = Cluster {
            nodes: Vec::new(),
            flying: Vec::new(),
            now: 0,
            random: Random(seed),
            loss_percent: 0,
            instances_max,
            strict,
            forget,
            born: 0,
        };
        (0..nodes).for_each(|_| cluster.start());
        cluster
    }

    fn start(&mut self) {
        self.born += 1;
        // Low and high numbers come in any order.
        let me = self.random.below(1 << 32) << 16 | self.born;
        let clock = self.random.below(1 << 40);
        let config = ShareConfig {
            me,
            instances_max: self.instances_max,
            lease: Nanos(LEASE),
            forget: Nanos(self.forget),
            strict: self.strict,
        };
        let share = Share::new(config, Nanos(self.now + clock));
        self.nodes.push(Node {
            share,
            me,
            clock,
            side: 0,
            demand: 100,
        });
    }

    /// One millisecond-ish step for everybody: claims at their rounds, claims that arrive.
    fn step(&mut self) {
        self.now += ROUND / 20;
        let Cluster {
            nodes,
            flying,
            now,
            random,
            ..
        } = self;
        for at in 0..nodes.len() {
            let due = (*now / (ROUND / 20) + nodes[at].me).is_multiple_of(20);
            if !due {
                continue;
            }
            let (demand, clock) = (nodes[at].demand, nodes[at].now(*now));
            let claim = nodes[at].share.tick(demand, clock);
            for to in nodes.iter().filter(|node| node.me != claim.instance) {
                let reached = to.side == nodes[at].side && random.below(100) >= self.loss_percent;
                let times = if random.below(10) == 0 { 2 } else { 1 };
                for _ in 0..times * u64::from(reached) {
                    let delay = random.below(ROUND) * (1 + 4 * u64::from(self.loss_percent > 0));
                    flying.push((*now + delay, to.me, claim.clone()));
                }
            }
        }
        let (arrived, flying) = self.flying.drain(..).partition(|(at, ..)| *at <= self.now);
        self.flying = flying;
        let arrived: Vec<(u64, u64, Claim)> = arrived;
        for (_, to, claim) in arrived {
            if let Some(node) = self.nodes.iter_mut().find(|node| node.me == to) {
                let clock = node.now(self.now);
                node.share.receive(&claim, clock);
            }
        }
    }

    fn run(&mut self, rounds: u64, mut check: impl FnMut(&Cluster)) {
        for _ in 0..rounds * 20 {
            self.step();
            check(self);
        }
    }

    fn used(&self) -> Vec<u64> {
        let used = |node: &Node| u64::from(node.share.factor(node.now(self.now)).millionths());
        self.nodes.iter().map(used).collect()
    }

    fn sum(&self) -> u64 {
        self.used().iter().sum()
    }

    fn safe(&self) -> u64 {
        ALL / u64::from(self.instances_max)
    }

    /// Shares that are not the safe one are held under a view.
    fn sum_of_views(&self) -> u64 {
        let used = self
            .used()
            .into_iter()
            .filter(|share| *share != self.safe());
        used.sum()
    }
}

const NEVER: u64 = u64::MAX;

#[test]
fn shares_follow_demand() {
    let mut cluster = Cluster::new(1, 4, 10, false, NEVER);
    assert_eq!(
        cluster.used(),
        [100_000; 4],
        "each starts with the safe share"
    );
    cluster.run(30, |cluster| assert!(cluster.sum() <= ALL));
    assert!(cluster.sum() > ALL - 10, "all of it is shared");
    assert!(
        cluster
            .used()
            .iter()
            .all(|share| share.abs_diff(ALL / 4) < 10)
    );
    cluster.nodes[2].demand = 700;
    cluster.run(30, |cluster| assert!(cluster.sum() <= ALL));
    // A fifth is spread evenly, four fifths by demand: 700 of 1,000.
    assert!(
        cluster.used()[2].abs_diff(50_000 + 560_000) < 10,
        "{:?}",
        cluster.used()
    );
    assert!(
        cluster.used()[0].abs_diff(50_000 + 80_000) < 10,
        "{:?}",
        cluster.used()
    );
    cluster.nodes.iter_mut().for_each(|node| node.demand = 0);
    cluster.run(30, |cluster| assert!(cluster.sum() <= ALL));
    assert!(
        cluster.used()[2].abs_diff(ALL / 4) < 10,
        "nobody asks: evenly"
    );
}

#[test]
fn a_lost_instance_returns_its_share_after_the_lease_and_a_new_one_gets_one() {
    let mut cluster = Cluster::new(2, 4, 8, false, NEVER);
    cluster.run(30, |_| {});
    cluster.nodes.remove(1);
    cluster.run(LEASE / ROUND - 2, |cluster| {
        assert!(cluster.sum() <= ALL * 3 / 4 + 10)
    });
    cluster.run(6, |cluster| assert!(cluster.sum() <= ALL));
    assert!(
        cluster.sum() > ALL - 10,
        "returned soon after the lease: {:?}",
        cluster.used()
    );
    cluster.start();
    cluster.run(10, |cluster| assert!(cluster.sum() <= ALL + cluster.safe()));
    assert!(
        cluster
            .used()
            .iter()
            .all(|share| share.abs_diff(ALL / 4) < 10)
    );
}

#[test]
fn one_that_leaves_gives_its_share_back_at_once() {
    let mut cluster = Cluster::new(3, 3, 8, false, NEVER);
    cluster.run(30, |_| {});
    let mut gone = cluster.nodes.remove(0);
    let claim = gone.share.leave();
    for node in &mut cluster.nodes {
        let now = node.now(cluster.now);
        node.share.receive(&claim, now);
    }
    cluster.run(4, |cluster| assert!(cluster.sum() <= ALL));
    assert!(cluster.sum() > ALL - 10, "{:?}", cluster.used());
}

#[test]
fn whoever_hears_nobody_falls_to_the_safe_share() {
    let mut cluster = Cluster::new(4, 5, 10, false, NEVER);
    cluster.run(30, |_| {});
    cluster.nodes[4].side = 1;
    cluster.run(LEASE / ROUND + 1, |_| {});
    assert_eq!(cluster.used()[4], cluster.safe());
    cluster.run(6, |cluster| assert!(cluster.sum() <= ALL + cluster.safe()));
    assert!(
        cluster.used()[..4]
            .iter()
            .all(|share| share.abs_diff(ALL / 4) < 10)
    );
    cluster.nodes[4].side = 0;
    cluster.run(10, |cluster| assert!(cluster.sum() <= ALL + cluster.safe()));
    assert!(
        cluster
            .used()
            .iter()
            .all(|share| share.abs_diff(ALL / 5) < 10),
        "together again"
    );
}

/// The smaller half must not share out the budget a second time; it gets what is safe, until the
/// others are given up.
#[test]
fn a_cluster_in_two_halves_does_not_double_its_budget() {
    let mut cluster = Cluster::new(5, 6, 10, false, 30 * LEASE);
    cluster.run(30, |_| {});
    cluster.nodes.sort_by_key(|node| node.me);
    cluster.nodes[3..].iter_mut().for_each(|node| node.side = 1);
    cluster.run(40, |cluster| {
        assert!(cluster.sum() <= ALL + 3 * cluster.safe())
    });
    assert_eq!(cluster.used()[3..], [cluster.safe(); 3]);
    assert!(cluster.used()[..3].iter().sum::<u64>() > ALL - 10);
    cluster.nodes.drain(..3);
    cluster.run(31 * LEASE / ROUND, |_| {});
    assert!(
        cluster.sum() > ALL - 10,
        "given up at last: {:?}",
        cluster.used()
    );
}

#[test]
fn one_instance_alone() {
    let mut alone = Cluster::new(6, 1, 1, false, NEVER);
    alone.run(30, |cluster| assert_eq!(cluster.used(), [ALL]));
    let mut alone = Cluster::new(6, 1, 4, false, NEVER);
    alone.run(30, |cluster| assert_eq!(cluster.used(), [ALL / 4]));
}

#[test]
fn unsound_claims_change_nothing() {
    let mut cluster = Cluster::new(7, 3, 8, false, NEVER);
    cluster.run(30, |_| {});
    let now = cluster.now;
    let (me, other) = (cluster.nodes[0].me, cluster.nodes[1].me);
    let clock = cluster.nodes[1].now(now);
    let claim = cluster.nodes[1].share.tick(1, clock);
    let node = &mut cluster.nodes[0];
    let before = node.share.factor(node.now(now));
    let mut view = claim.view.clone().expect("it has a view");
    view.number = (1_000, other);
    let greedy = vec![(me, guard::Factor::ONE), (other, guard::Factor::ONE)];
    let cases = [
        Claim {
            epoch: 1,
            leaving: true,
            ..claim.clone()
        },
        Claim {
            instance: me,
            leaving: true,
            ..claim.clone()
        },
        Claim {
            view: Some(guard::View {
                shares: greedy,
                ..view
            }),
            ..claim.clone()
        },
    ];
    for case in cases {
        let clock = node.now(now);
        node.share.receive(&case, clock);
        let after = node.share.tick(100, clock);
        assert_eq!(node.share.factor(clock), before, "{case:?}");
        assert_ne!(after.view.expect("it keeps its view").number.0, 1_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever happens to messages and instances: views never grant more than the budget, what is
    /// outside of them uses the safe share, and quiet heals everything.
    #[test]
    fn never_more_than_the_bound(
        seed in any::<u64>(),
        nodes in 2_u64..7,
        strict in any::<bool>(),
        events in prop::collection::vec((0_u8..6, any::<u64>(), 1_u64..25), 1..12),
    ) {
        // Longer than all that happens, so that only the quiet afterwards forgets.
        let forget = 80 * LEASE;
        let mut cluster = Cluster::new(seed, nodes, 16, strict, forget);
        cluster.run(25, |_| {});
        let check = |cluster: &Cluster| {
            assert!(cluster.sum_of_views() <= ALL, "{:?}", cluster.used());
            assert!(!cluster.strict || cluster.sum() <= ALL, "{:?}", cluster.used());
        };
        for (what, value, rounds) in events {
            let some = (value % cluster.nodes.len() as u64) as usize;
            match what {
                0 => cluster.nodes.iter_mut().enumerate().for_each(|(at, n)| {
                    n.side = value >> at & 1;
                }),
                1 => cluster.nodes.iter_mut().for_each(|node| node.side = 0),
                2 => cluster.loss_percent = value % 40,
                // Newcomers hear the others: the case that the bound leaves out is stated.
                3 if cluster.nodes.len() < 8 => {
                    cluster.nodes.iter_mut().for_each(|node| node.side = 0);
                    cluster.loss_percent = 0;
                    cluster.start();
                    cluster.run(25, check);
                }
                4 if cluster.nodes.len() > 3 => drop(cluster.nodes.remove(some)),
                _ => cluster.nodes[some].demand = value % 10_000,
            }
            cluster.run(rounds, check);
        }
        cluster.nodes.iter_mut().for_each(|node| node.side = 0);
        cluster.loss_percent = 0;
        cluster.run(60 + 82 * LEASE / ROUND, check);
        let most = if strict { cluster.nodes.len() as u64 * cluster.safe() } else { ALL };
        prop_assert!(cluster.sum() > most - 50, "healed: {:?}", cluster.used());
    }
}
