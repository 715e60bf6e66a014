//! Shares of a cluster's budget, on a simulated network that loses, delays, repeats and reorders
//! notes, cuts the cluster apart, and under instances that stall, crash and start. Every clock
//! begins somewhere else and runs a little wrong. After every step the sum of what all may use is
//! looked at.

use guard::{
    Factor, Facts, Granted, Limit, Limits, Lost, Nanos, Note, Rule, RuleId, RuleSet, Scope, Share,
    ShareConfig, Verdict,
};
use proptest::prelude::*;

const MS: u64 = 1_000_000;
const STEP: u64 = 20 * MS;
const ROUND: u64 = 200 * MS;
const LEASE: u64 = 2_000 * MS;
const HEAR: u64 = 1_000 * MS;
const ALL: u64 = 1_000_000;
/// Factors are at least a millionth, and parts are rounded.
const DUST: u64 = 64;

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
    granted: Granted,
    me: u64,
    clock: u64,
    /// Of its clock, in thousandths: 1,000 is right.
    pace: u64,
    phase: u64,
    side: u64,
    stalled_until: u64,
    /// Requests a second.
    demand: u64,
    asked: u64,
    door: Door,
}

/// The node's limit as the door applies it, where a test counts what it lets through.
struct Door {
    limits: Option<Limits>,
    due: u64,
}

impl Node {
    fn now(&self, now: u64) -> Nanos {
        Nanos(self.clock + now * self.pace / 1_000)
    }
    fn used(&self, now: u64) -> u64 {
        let granted = &self.granted;
        let factor = match self.now(now) < granted.until {
            true => granted.share,
            false => granted.after,
        };
        u64::from(factor.millionths())
    }
}

struct Net {
    loss_percent: u64,
    delay: u64,
    /// The longest pause between two notes that arrive, if nobody is cut off.
    promised: Option<u64>,
}

struct Cluster {
    nodes: Vec<Node>,
    /// When, to whom, what.
    flying: Vec<(u64, u64, Note)>,
    /// From whom, to whom, when the last one went out that will arrive.
    arrives: std::collections::BTreeMap<(u64, u64), u64>,
    now: u64,
    random: Random,
    net: Net,
    instances_max: u32,
    lost: Lost,
    born: u64,
    /// Requests a second of the whole budget, if requests are counted.
    budget: Option<u32>,
    let_in: Vec<u64>,
}

impl Cluster {
    fn new(seed: u64, nodes: u64, instances_max: u32, lost: Lost) -> Cluster {
        let mut cluster = Cluster {
            nodes: Vec::new(),
            flying: Vec::new(),
            arrives: Default::default(),
            now: 0,
            random: Random(seed),
            net: Net {
                loss_percent: 0,
                delay: ROUND / 2,
                promised: None,
            },
            instances_max,
            lost,
            born: 0,
            budget: None,
            let_in: Vec::new(),
        };
        (0..nodes).for_each(|_| cluster.start());
        cluster
    }

    fn start(&mut self) {
        self.born += 1;
        let me = self.random.below(1 << 32) << 16 | self.born;
        let clock = self.random.below(1 << 40);
        let pace = 996 + self.random.below(9);
        let config = ShareConfig {
            me,
            instances_max: self.instances_max,
            lost: self.lost,
            lease: Nanos(LEASE),
            hear: Nanos(HEAR),
        };
        let now = Nanos(clock + self.now * pace / 1_000);
        let share = Share::new(config, now);
        let phase = self.random.below(ROUND / STEP);
        let limits = self.budget.map(|budget| {
            let mut rule = Rule::new("all", Limit::per_second(budget));
            rule.scope = Scope::Cluster;
            let granted = share.granted(now);
            Limits::new(RuleSet::new(vec![rule]).unwrap(), granted.share)
        });
        self.nodes.push(Node {
            granted: share.granted(now),
            share,
            me,
            clock,
            pace,
            phase,
            side: 0,
            stalled_until: 0,
            demand: 100,
            asked: 0,
            door: Door { limits, due: 0 },
        });
    }

    /// Who gets a note that node `at` sends now, and how often.
    fn send(&mut self, at: usize, note: &Note) {
        let (from, side) = (self.nodes[at].me, self.nodes[at].side);
        for to in self.nodes.iter().filter(|node| node.me != from) {
            let last = self.arrives.entry((from, to.me)).or_insert(self.now);
            let promised = self.net.promised;
            let must = promised.is_some_and(|most| self.now - *last >= most);
            let comes = must || self.random.below(100) >= self.net.loss_percent;
            if to.side != side || !comes {
                continue;
            }
            *last = self.now;
            let times = 1 + u64::from(self.random.below(10) == 0);
            for again in 0..times {
                let delay = self.random.below(self.net.delay.max(1)) + again * 3 * ROUND;
                self.flying.push((self.now + delay, to.me, note.clone()));
            }
        }
    }

    fn step(&mut self) {
        self.now += STEP;
        let (arrived, flying) = self.flying.drain(..).partition(|(at, ..)| *at <= self.now);
        self.flying = flying;
        let arrived: Vec<(u64, u64, Note)> = arrived;
        for (_, to, note) in arrived {
            if let Some(node) = self.nodes.iter_mut().find(|node| node.me == to) {
                let now = node.now(self.now);
                node.share.receive(&note, now);
            }
        }
        for at in 0..self.nodes.len() {
            self.serve(at);
            let node = &mut self.nodes[at];
            let due = (self.now / STEP + node.phase).is_multiple_of(ROUND / STEP);
            if !due || self.now < node.stalled_until {
                continue;
            }
            let now = node.now(self.now);
            let note = node.share.tick(std::mem::take(&mut node.asked), now);
            node.granted = node.share.granted(now);
            self.send(at, &note);
        }
    }

    /// The requests of one step at one node.
    fn serve(&mut self, at: usize) {
        let (now, node) = (self.now, &mut self.nodes[at]);
        let (here, used) = (node.now(now), node.used(now));
        node.door.due += node.demand * (STEP / MS);
        while node.door.due >= 1_000 {
            node.door.due -= 1_000;
            node.asked += 1;
            if let Some(limits) = &mut node.door.limits {
                limits.set_share(RuleId(0), Factor::from_millionths(used));
                if let Verdict::Allowed { .. } = limits.ask(&Facts::default(), here) {
                    self.let_in.push(now);
                }
            }
        }
    }

    fn run(&mut self, ms: u64, mut check: impl FnMut(&Cluster)) {
        for _ in 0..ms * MS / STEP {
            self.step();
            check(self);
        }
    }

    fn used(&self) -> Vec<u64> {
        self.nodes.iter().map(|node| node.used(self.now)).collect()
    }
    fn sum(&self) -> u64 {
        self.used().iter().sum()
    }
    fn place(&self) -> u64 {
        ALL / u64::from(self.instances_max)
    }
    fn demands(&mut self, demands: &[u64]) {
        for (node, demand) in self.nodes.iter_mut().zip(demands) {
            node.demand = *demand;
        }
    }
    /// What is let through if each of them gets its demand or its share, with a budget of 1,000/s.
    fn use_of(&self) -> u64 {
        let rows = self.nodes.iter().zip(self.used());
        rows.map(|(node, share)| node.demand.min(share / 1_000))
            .sum()
    }
}

#[track_caller]
fn within(cluster: &Cluster, most: u64) {
    let used = cluster.used();
    let sum: u64 = used.iter().sum();
    assert!(sum <= most + DUST, "{used:?} at {} ms", cluster.now / MS);
}

/// Started long enough ago that everybody owns a place and has lent what it lends.
fn settled(seed: u64, nodes: u64, instances_max: u32, lost: Lost, demands: &[u64]) -> Cluster {
    let mut cluster = Cluster::new(seed, nodes, instances_max, lost);
    cluster.demands(demands);
    cluster.run(8_000, |cluster| within(cluster, ALL));
    cluster
}

#[test]
fn nearly_everything_goes_where_the_demand_is() {
    // Demands of four, the least that must come of a budget of 1,000/s.
    let rows: [(&[u64], u64); 5] = [
        (&[900, 34, 33, 33], 900),
        (&[1_800, 67, 67, 66], 950),
        (&[5_000, 0, 0, 0], 940),
        (&[600, 400, 0, 0], 900),
        (&[250, 250, 250, 250], 990),
    ];
    for lost in [Lost::Reserve, Lost::Reuse] {
        for (demands, least) in rows {
            let cluster = settled(7, 4, 4, lost, demands);
            let got = cluster.use_of();
            assert!(got >= least, "{demands:?}: {got} by {:?}", cluster.used());
        }
    }
}

#[test]
fn shares_follow_a_demand_that_moves_within_two_seconds() {
    let mut cluster = settled(3, 4, 4, Lost::Reserve, &[1_000, 0, 0, 0]);
    cluster.demands(&[0, 0, 1_000, 0]);
    cluster.run(2_000, |cluster| within(cluster, ALL));
    let used = cluster.used();
    assert!(used[2] > 700_000, "{used:?}");
    cluster.run(3_000, |cluster| within(cluster, ALL));
    let used = cluster.used();
    assert!(used[2] > 900_000 && used[0] < 30_000, "{used:?}");
}

#[test]
fn whoever_is_idle_can_start_at_once() {
    let mut cluster = settled(3, 4, 4, Lost::Reserve, &[5_000, 0, 0, 0]);
    let floor = cluster.place() / 20;
    cluster.run(5_000, |cluster| {
        assert!(cluster.used().iter().all(|used| *used >= floor));
    });
}

#[test]
fn shares_do_not_flap() {
    // Demand that jumps by a fifth up and down at every round moves little.
    let mut cluster = settled(5, 4, 4, Lost::Reserve, &[500, 300, 200, 100]);
    let (mut moved, mut before) = (0, cluster.used());
    for round in 0..100u64 {
        let wild = |base: u64, turn: u64| base + base / 5 * (turn % 2) - base / 10;
        let turns = [round, round + 1, round, round + 1];
        let bases = [500, 300, 200, 100];
        let demands: Vec<u64> = bases.iter().zip(turns).map(|(b, t)| wild(*b, t)).collect();
        cluster.demands(&demands);
        cluster.run(200, |_| {});
        let used = cluster.used();
        let rows = used.iter().zip(&before);
        moved += rows.map(|(now, then)| now.abs_diff(*then)).sum::<u64>();
        before = used;
    }
    // In twenty seconds.
    assert!(moved < 2 * ALL, "{moved}");
    // Steady demand moves nothing at all.
    cluster.demands(&[500, 300, 200, 100]);
    cluster.run(5_000, |_| {});
    let before = cluster.used();
    cluster.run(5_000, |cluster| assert_eq!(cluster.used(), before));
}

#[test]
fn whoever_is_alone_has_the_safe_share_after_its_start() {
    for lost in [Lost::Reserve, Lost::Reuse] {
        let mut cluster = Cluster::new(1, 1, 3, lost);
        cluster.run(2_900, |cluster| assert_eq!(cluster.sum(), ALL / 3 / 20));
        cluster.run(200, |_| {});
        cluster.run(5_000, |cluster| assert_eq!(cluster.sum(), ALL / 3));
    }
}

#[test]
fn a_lost_instances_share_is_used_again() {
    for (lost, most, least) in [
        (Lost::Reserve, 2 * ALL / 3, 600_000),
        (Lost::Reuse, ALL, 930_000),
    ] {
        // It had nearly all of it, or hardly any.
        for demands in [[5_000, 10, 10], [10, 5_000, 10]] {
            let mut cluster = settled(11, 3, 3, lost, &demands);
            cluster.nodes.remove(0);
            cluster.demands(&[5_000, 10]);
            // A lease and the time to hear, and then the way of a loan.
            cluster.run(5_000, |cluster| within(cluster, ALL));
            let used = cluster.used();
            let sum: u64 = used.iter().sum();
            assert!(sum >= most * 95 / 100 && used[0] > least, "{used:?}");
            // It comes back, and what was its own is again.
            cluster.start();
            cluster.demands(&[5_000, 10, 5_000]);
            cluster.run(8_000, |cluster| within(cluster, ALL));
            let used = cluster.used();
            assert!(used[0].abs_diff(used[2]) < 50_000, "{used:?}");
        }
    }
}

#[test]
fn a_cut_costs_at_most_the_places_of_those_cut_off() {
    for (lost, most) in [(Lost::Reserve, ALL), (Lost::Reuse, ALL + 2 * ALL / 5)] {
        let mut cluster = settled(2, 5, 5, lost, &[100, 100, 100, 2_000, 50]);
        cluster.nodes[3].side = 1;
        cluster.nodes[4].side = 2;
        let mut highest = 0;
        cluster.run(10_000, |cluster| {
            highest = highest.max(cluster.sum());
            within(cluster, most);
        });
        let place = cluster.place();
        assert_eq!(cluster.used()[3..], [place; 2], "each is alone");
        assert!(
            highest > most * 9 / 10,
            "{highest}: the bound says something"
        );
        // Healed, the bound of one cluster holds again after a lease.
        cluster.nodes.iter_mut().for_each(|node| node.side = 0);
        cluster.run(3_000, |cluster| within(cluster, most));
        cluster.run(5_000, |cluster| within(cluster, ALL));
        assert!(cluster.sum() > 980_000, "{:?}", cluster.used());
    }
}

#[test]
fn more_instances_than_stated_use_less_each() {
    let mut cluster = Cluster::new(9, 5, 3, Lost::Reserve);
    cluster.run(8_000, |_| {});
    cluster.run(3_000, |cluster| within(cluster, ALL));
}

#[test]
fn senseless_notes_change_nothing() {
    let mut cluster = settled(4, 3, 3, Lost::Reuse, &[1_000, 0, 0]);
    let (me, now) = (cluster.nodes[1].me, cluster.nodes[1].now(cluster.now));
    let share = &mut cluster.nodes[1].share;
    let note = |from: u64, round: u64, heard: u64, lines: usize| Note {
        from,
        round,
        demand: u64::MAX,
        owns: u32::MAX,
        lines: vec![
            guard::Line {
                instance: me,
                heard,
                loan: u32::MAX,
            };
            lines
        ],
    };
    // Its own, one with too many lines, and loans that answer rounds that never were.
    let before = share.granted(now);
    share.receive(&note(me, 1 << 40, 1, 1), now);
    share.receive(&note(1, 1, 1, 65), now);
    assert_eq!(share.granted(now), before);
    share.receive(&note(1, 1, 1 << 40, 1), now);
    share.receive(&note(2, 1, 0, 1), now);
    let after = share.granted(now);
    assert!(after.share <= before.share, "{after:?}");
    // Absurd demand is arithmetic like any other.
    cluster.run(3_000, |_| {});
    // More strangers than there is room for.
    let share = &mut cluster.nodes[1].share;
    (10..200).for_each(|from| share.receive(&note(from, 1, 0, 1), now));
    assert!(share.present(now) <= 65);
    assert!(share.granted(now).share.millionths() as u64 <= ALL / 65 + DUST);
}

/// Requests that are let in, over every window. A share that wanders to an idle instance brings
/// its part of the burst with it, which the old owner may just have used.
#[test]
fn no_window_lets_in_more_than_the_budget_and_what_wandered() {
    const BUDGET: u64 = 500;
    let mut cluster = Cluster::new(21, 0, 4, Lost::Reserve);
    cluster.budget = Some(BUDGET as u32);
    (0..4).for_each(|_| cluster.start());
    cluster.net.loss_percent = 10;
    let mut wandered: Vec<(u64, u64)> = Vec::new();
    let mut before = cluster.used();
    for turn in 0..12u64 {
        let demands: Vec<u64> = (0..4)
            .map(|at| if at == turn / 3 { 3_000 } else { 20 })
            .collect();
        cluster.demands(&demands);
        cluster.run(1_500, |cluster| {
            let used = cluster.used();
            let up = used
                .iter()
                .zip(&before)
                .map(|(now, then)| now.saturating_sub(*then));
            wandered.push((cluster.now, up.sum()));
            before = used;
        });
    }
    let let_in = &cluster.let_in;
    assert!(
        let_in.len() as u64 > BUDGET * 18 * 6 / 10,
        "{}",
        let_in.len()
    );
    for window in [1_000 * MS, 3_000 * MS, 10_000 * MS] {
        for from in (0..=18_000 * MS - window).step_by(100_000_000) {
            let inside = |at: u64| at > from && at <= from + window;
            let got = let_in.iter().filter(|at| inside(**at)).count() as u64;
            let moves = wandered.iter().filter(|(at, _)| inside(*at));
            let moved: u64 = moves.map(|(_, up)| up).sum();
            // Of each instance one request at once, whatever its share; clocks run 0.4 % fast.
            let most =
                BUDGET * window / 1_000_000_000 * 1_004 / 1_000 + BUDGET + BUDGET * moved / ALL + 4;
            assert!(got <= most, "{got} > {most} in {window} from {from}");
        }
    }
    // With demand that stays where it is, a long window is the budget.
    let (from, had) = (cluster.now + 2_000 * MS, 10);
    cluster.run(2_000 + had * 1_000, |_| {});
    let got = cluster.let_in.iter().filter(|at| **at > from).count() as u64;
    assert!(got <= had * BUDGET * 102 / 100, "{got}");
    assert!(got >= had * BUDGET * 93 / 100, "{got}");
}

#[test]
fn one_seed_gives_one_trace() {
    let trace = |seed| {
        let mut cluster = Cluster::new(seed, 4, 4, Lost::Reuse);
        cluster.net.loss_percent = 30;
        let mut trace = Vec::new();
        cluster.run(10_000, |cluster| trace.push(cluster.used()));
        trace
    };
    assert_eq!(trace(5), trace(5));
    assert_ne!(trace(5), trace(6));
}

/// What happens to a cluster: a kind, who or what, and for how long in tenths of a second.
type Event = (u8, u64, u64);

fn events() -> impl Strategy<Value = Vec<Event>> {
    proptest::collection::vec((0..7u8, any::<u64>(), 0..40u64), 1..14)
}

fn happen(cluster: &mut Cluster, (kind, what, _): Event, cuts: bool) {
    let count = cluster.nodes.len() as u64;
    let at = (what % count.max(1)) as usize;
    match kind {
        0 => cluster.demands(&[what % 5_000, what / 7 % 5_000, what / 11 % 300, 0, 50]),
        1 if count > 1 => drop(cluster.nodes.remove(at)),
        2 if count < u64::from(cluster.instances_max) => cluster.start(),
        // At once in the place of another.
        3 if count > 0 => {
            cluster.nodes.remove(at);
            cluster.start();
        }
        4 if cuts => {
            let sides = cluster.nodes.iter_mut().enumerate();
            sides.for_each(|(at, node)| node.side = what >> (at * 2) & 3);
        }
        4 | 5 if cuts => cluster.nodes.iter_mut().for_each(|node| node.side = 0),
        6 if cuts && count > 0 => {
            cluster.nodes[at].stalled_until = cluster.now + what % (5_000 * MS)
        }
        _ => {}
    }
}

fn cluster_of(seed: u64, nodes: u64, more: u32, lost: Lost) -> Cluster {
    Cluster::new(seed, nodes, nodes as u32 + more, lost)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, ..ProptestConfig::default() })]

    /// Whatever happens.
    #[test]
    fn never_more_than_the_budget(
        seed: u64, nodes in 1..6u64, more in 0..4u32, loss in 0..80u64, delay in 0..3_000u64,
        events in events(),
    ) {
        let mut cluster = cluster_of(seed, nodes, more, Lost::Reserve);
        cluster.net = Net { loss_percent: loss, delay: delay * MS, promised: None };
        cluster.run(seed % 5_000, |cluster| within(cluster, ALL));
        for event in events {
            happen(&mut cluster, event, true);
            cluster.run(event.2 * 100, |cluster| within(cluster, ALL));
        }
    }

    /// Lost places are used again, and yet: as long as the living hear each other.
    #[test]
    fn never_more_than_the_budget_while_the_living_hear_each_other(
        seed: u64, nodes in 1..6u64, more in 0..4u32, loss in 0..80u64, events in events(),
    ) {
        let mut cluster = cluster_of(seed, nodes, more, Lost::Reuse);
        // And a round, and the way, and half a percent.
        let promised = Some(HEAR - 3 * ROUND);
        cluster.net = Net { loss_percent: loss, delay: ROUND, promised };
        cluster.run(seed % 5_000, |cluster| within(cluster, ALL));
        for event in events {
            happen(&mut cluster, event, false);
            cluster.run(event.2 * 100, |cluster| within(cluster, ALL));
        }
    }

    /// And with cuts of any kind never twice the budget.
    #[test]
    fn never_twice_the_budget(
        seed: u64, nodes in 1..6u64, more in 0..4u32, loss in 0..80u64, delay in 0..3_000u64,
        events in events(),
    ) {
        let mut cluster = cluster_of(seed, nodes, more, Lost::Reuse);
        cluster.net = Net { loss_percent: loss, delay: delay * MS, promised: None };
        for event in events {
            happen(&mut cluster, event, true);
            cluster.run(event.2 * 100, |cluster| within(cluster, 2 * ALL));
        }
    }
}
