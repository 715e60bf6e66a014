//! Shares of a cluster's budget without a leader: every instance owns a part and lends what it
//! does not need to those that do, for a short time. Notes are plain values in and out; `now` is
//! each instance's own clock and is never compared with another's. It must not know how notes
//! travel.
//!
//! *Own.* Of `instances_max` places each owns 1 / `instances_max`. *Lend.* A loan answers a round
//! of its borrower. The lender counts it from when it was made, the borrower from when that round
//! was sent, which was before; so, with clocks that run equally fast within 1 %, whoever lent it
//! takes it back only after the other stopped (leases: Gray and Cheriton, SOSP 1989). A borrower
//! never goes back to an older note, so a note that acknowledges a lower loan frees the rest at
//! once. *Restart.* Nobody lends its last [`SHARE_FLOOR_MILLIONTHS`] of a place, and whoever just
//! started uses no more than those until all loans of a predecessor have run out.
//!
//! The bound. Of each place, what its owner keeps, what it lent, and what a predecessor lent is at
//! most the place. So the sum of all shares never exceeds the budget, whatever messages are lost,
//! late, repeated or reordered, whoever is cut off, crashes or restarts – with [`Lost::Reserve`].
//!
//! No protocol can also give a lost instance's own place to others: a crashed one cannot be told
//! from one that is cut off and still uses it. [`Lost::Reuse`] does so all the same: places not
//! heard for `lease` + `hear`, less their floors, go to the others in equal parts, if more than
//! half of all places were heard all that time. Then the bound holds while any two living
//! instances hear each other within `hear`, directly or through others (a change waits `hear` for
//! the news and `lease` for loans made before it). One that is cut off adds its own place at most:
//! below 1.5 budgets if the cluster is cut cleanly, and below 2 whatever happens, as nobody owns
//! more than twice its place.

use crate::gcra::Factor;
use crate::limits::{
    SHARE_DRIFT_DIVISOR, SHARE_FLOOR_MILLIONTHS, SHARE_GRANTS_MAX, SHARE_INSTANCES_MAX,
    SHARE_ROUNDS_KEPT, SHARE_SMOOTHING_ROUNDS, SHARE_STEP_MILLIONTHS,
};
use crate::time::Nanos;
use std::collections::{BTreeMap, VecDeque};

/// A process, by a number that no other process of the cluster, earlier or later, has.
pub type Instance = u64;

/// Everything, in millionths.
const ALL: u64 = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareConfig {
    pub me: Instance,
    /// As many as there will ever be at once, from 1.
    pub instances_max: u32,
    pub lost: Lost,
    /// How long a loan lasts: several rounds.
    pub lease: Nanos,
    /// Within this, living instances that are not cut off hear of each other. Some rounds.
    pub hear: Nanos,
}

/// What happens to the place of an instance that is not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It stays the instance's own, which may be cut off and using it.
    Reserve,
    /// The others use it, if they are more than half.
    Reuse,
}

/// What an instance tells the others in each round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub from: Instance,
    /// Counts its notes.
    pub round: u64,
    /// Smoothed, in thousandths of a request a second; refused ones included.
    pub demand: u64,
    /// Of the budget, in millionths, before loans.
    pub owns: u32,
    pub lines: Vec<Line>,
}

/// About one of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub instance: Instance,
    /// Its newest round that was heard: acknowledges that note, and what the loan answers.
    pub heard: u64,
    /// Lent to it, in millionths of the budget.
    pub loan: u32,
}

/// What this instance may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    pub share: Factor,
    /// From then on `after` counts, unless the next round said something else.
    pub until: Nanos,
    pub after: Factor,
}

/// One instance's part in sharing one budget.
#[derive(Debug)]
pub struct Share {
    config: ShareConfig,
    started: Nanos,
    round: u64,
    /// When the last rounds were sent, oldest first.
    sent: VecDeque<(u64, Nanos)>,
    ticked: Nanos,
    demand: u64,
    peers: BTreeMap<Instance, Peer>,
    /// When somebody was heard for whom there was no room.
    crowded: Option<Nanos>,
    /// When hardly anybody was heard: those who come back are not heard all at once.
    few: Nanos,
}

#[derive(Debug)]
struct Peer {
    round: u64,
    heard: Nanos,
    demand: u64,
    owns: u32,
    /// What it lends to this instance, and until when.
    loan: u32,
    until: Nanos,
    /// What it may be using of ours: falling amounts, oldest first.
    grants: Vec<Grant>,
}

#[derive(Clone, Copy, Debug)]
struct Grant {
    round: u64,
    amount: u64,
    until: Nanos,
}

impl Share {
    #[must_use]
    pub fn new(config: ShareConfig, now: Nanos) -> Share {
        Share {
            config,
            started: now,
            round: 0,
            sent: VecDeque::new(),
            ticked: now,
            demand: 0,
            peers: BTreeMap::new(),
            crowded: None,
            few: now,
        }
    }

    /// Takes in what another instance told. Old, repeated and senseless notes change nothing.
    pub fn receive(&mut self, note: &Note, now: Nanos) {
        self.note_few(now);
        let known = self.peers.get(&note.from);
        let is_news = known.is_none_or(|peer| peer.round < note.round);
        if note.from == self.config.me || !is_news || note.lines.len() > SHARE_INSTANCES_MAX {
            return;
        }
        if known.is_none() && self.peers.len() >= SHARE_INSTANCES_MAX {
            self.crowded = Some(now);
            return;
        }
        let mut lines = note.lines.iter();
        let line = lines.find(|line| line.instance == self.config.me);
        let answers = line.and_then(|line| self.sent_at(line.heard));
        let peer = self.peers.entry(note.from).or_insert_with(Peer::new);
        peer.round = note.round;
        peer.heard = now;
        peer.demand = note.demand;
        peer.owns = note.owns.min(ALL as u32);
        (peer.loan, peer.until) = (0, now);
        if let (Some(line), Some(sent)) = (line, answers) {
            let lease = self.config.lease.0;
            peer.loan = line.loan.min(ALL as u32);
            peer.until = sent.plus(Nanos(lease - lease / SHARE_DRIFT_DIVISOR));
            peer.grants.retain(|grant| grant.round >= line.heard);
        }
    }

    /// One round: how much was asked for since the last, and what to tell everybody – after
    /// [`Share::granted`] of the same instant is in force, which may be less than before.
    pub fn tick(&mut self, asked: u64, now: Nanos) -> Note {
        self.round += 1;
        self.sent.push_back((self.round, now));
        if self.sent.len() > SHARE_ROUNDS_KEPT {
            self.sent.pop_front();
        }
        self.measure(asked, now);
        self.note_few(now);
        self.ticked = now;
        let lost = self.lost_after();
        for peer in self.peers.values_mut() {
            peer.grants.retain(|grant| now < grant.until);
        }
        self.peers
            .retain(|_, peer| now.since(peer.heard) < lost || !peer.grants.is_empty());
        let amounts = self.amounts(now);
        let lines = self.lend(&amounts, now);
        Note {
            from: self.config.me,
            round: self.round,
            demand: self.demand,
            owns: self.owned(now) as u32,
            lines,
        }
    }

    /// What this instance may use from `now` on.
    #[must_use]
    pub fn granted(&self, now: Nanos) -> Granted {
        let (owned, place, lent) = (self.owned(now), self.place(), self.lent(now));
        let keeps = |owned: u64| owned.saturating_sub(lent).max(self.floor().min(owned));
        let borrowed = self.peers.values().filter(|peer| now < peer.until);
        let (mut sum, mut until) = (0, Nanos(u64::MAX));
        for peer in borrowed.filter(|peer| peer.loan > 0) {
            sum += u64::from(peer.loan);
            until = until.min(peer.until);
        }
        if owned > place {
            until = until.min(self.ticked.plus(self.config.hear));
        }
        Granted {
            share: Factor::from_millionths(keeps(owned) + sum),
            until,
            after: Factor::from_millionths(keeps(owned.min(place))),
        }
    }

    /// Instances that are heard, this one included.
    #[must_use]
    pub fn present(&self, now: Nanos) -> usize {
        let lost = self.lost_after();
        let heard = self.peers.values();
        1 + heard.filter(|peer| now.since(peer.heard) < lost).count()
    }

    fn lost_after(&self) -> Nanos {
        self.config.lease.plus(self.config.hear)
    }

    fn place(&self) -> u64 {
        ALL / u64::from(self.config.instances_max.max(1))
    }

    fn floor(&self) -> u64 {
        self.place() * SHARE_FLOOR_MILLIONTHS / ALL
    }

    /// Of the budget, before loans.
    fn owned(&self, now: Nanos) -> u64 {
        let (place, floor, lost) = (self.place(), self.floor(), self.lost_after());
        if now.since(self.started) < lost {
            return floor;
        }
        let places = u64::from(self.config.instances_max.max(1));
        let present = self.present(now) as u64;
        let crowded = self.crowded.is_some_and(|at| now.since(at) < lost);
        match self.config.lost {
            _ if present > places => ALL / present,
            Lost::Reuse if self.is_most(now) && !crowded && now.since(self.few) >= lost => {
                place + (places - present) * (place - floor) / present
            }
            Lost::Reuse | Lost::Reserve => place,
        }
    }

    fn is_most(&self, now: Nanos) -> bool {
        2 * self.present(now) as u64 > u64::from(self.config.instances_max)
    }

    fn note_few(&mut self, now: Nanos) {
        if !self.is_most(now) {
            self.few = now;
        }
    }

    fn lent(&self, now: Nanos) -> u64 {
        self.peers.values().map(|peer| peer.may_use(now)).sum()
    }

    fn sent_at(&self, round: u64) -> Option<Nanos> {
        let at = self.sent.binary_search_by_key(&round, |(round, _)| *round);
        at.ok().map(|at| self.sent[at].1)
    }

    fn measure(&mut self, asked: u64, now: Nanos) {
        let span = u128::from(now.since(self.ticked).0);
        let Some(rate) = (u128::from(asked) * 1_000_000_000_000).checked_div(span) else {
            return;
        };
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        let step = rate.abs_diff(self.demand).div_ceil(SHARE_SMOOTHING_ROUNDS);
        self.demand = match rate > self.demand {
            true => self.demand + step,
            false => self.demand - step,
        };
    }

    /// What to lend to whom, by demand: everybody's part, and of it what each lacks. All who hear
    /// the same notes come to the same parts, so lenders need not agree.
    fn amounts(&self, now: Nanos) -> BTreeMap<Instance, u64> {
        let fresh = |peer: &&Peer| now.since(peer.heard) < self.config.hear;
        let owned = self.owned(now);
        let peers = || self.peers.values().filter(fresh);
        let members = peers().count() as u64 + 1;
        let total = owned + peers().map(|peer| u64::from(peer.owns)).sum::<u64>();
        let wanted: u128 = peers().map(|peer| u128::from(peer.demand)).sum();
        let wanted = wanted + u128::from(self.demand);
        let floor = total * SHARE_FLOOR_MILLIONTHS / ALL / members;
        let rest = u128::from(total - floor * members);
        let part = |demand: u64| {
            let by_demand = (rest * u128::from(demand)).checked_div(wanted);
            floor + by_demand.unwrap_or(rest / u128::from(members)) as u64
        };
        let surplus = owned.saturating_sub(part(self.demand));
        let lacks = |peer: &Peer| part(peer.demand).saturating_sub(u64::from(peer.owns));
        let lacking: u64 = peers().map(&lacks).sum();
        let most = self.may_lend(now);
        let peers = self.peers.iter().filter(|(_, peer)| fresh(peer));
        let mut amounts: BTreeMap<Instance, u64> = peers
            .map(|(instance, peer)| {
                let wish = (surplus * lacks(peer)).checked_div(lacking).unwrap_or(0);
                let before = peer.grants.last().map_or(0, |grant| grant.amount);
                let same = wish > 0 && wish.abs_diff(before) <= SHARE_STEP_MILLIONTHS;
                (*instance, if same { before } else { wish })
            })
            .collect();
        let sum: u64 = amounts.values().sum();
        if sum > most {
            amounts.values_mut().for_each(|it| *it = *it * most / sum);
        }
        amounts
    }

    fn may_lend(&self, now: Nanos) -> u64 {
        self.owned(now).saturating_sub(self.floor())
    }

    /// Writes the round's loans down. More than before goes only to the extent that nobody else
    /// may still be using it.
    fn lend(&mut self, amounts: &BTreeMap<Instance, u64>, now: Nanos) -> Vec<Line> {
        let mut room = self.may_lend(now).saturating_sub(self.lent(now));
        let (round, until) = (self.round, now.plus(self.config.lease));
        let lost = self.lost_after();
        let mut lines = Vec::with_capacity(self.peers.len());
        for (instance, peer) in &mut self.peers {
            if now.since(peer.heard) >= lost {
                continue;
            }
            let used = peer.may_use(now);
            let wish = amounts.get(instance).copied().unwrap_or(0);
            let mut amount = wish.min(used + room);
            if let Some(last) = peer.grants.last()
                && peer.grants.len() >= SHARE_GRANTS_MAX
            {
                amount = amount.max(last.amount);
            }
            room -= amount.saturating_sub(used);
            if amount > 0 {
                // Those are over before this one, and are less.
                peer.grants.retain(|grant| grant.amount > amount);
                peer.grants.push(Grant {
                    round,
                    amount,
                    until,
                });
            }
            lines.push(Line {
                instance: *instance,
                heard: peer.round,
                loan: amount as u32,
            });
        }
        lines
    }
}

impl Peer {
    fn new() -> Peer {
        Peer {
            round: 0,
            heard: Nanos(0),
            demand: 0,
            owns: 0,
            loan: 0,
            until: Nanos(0),
            grants: Vec::new(),
        }
    }

    /// Of ours, at most.
    fn may_use(&self, now: Nanos) -> u64 {
        let running = self.grants.iter().filter(|grant| now < grant.until);
        running.map(|grant| grant.amount).max().unwrap_or(0)
    }
}
