//! Shares of a cluster-wide limit, without a server in the middle: each instance claims, hears the
//! others' claims, and uses the part of the budget that all of them know about. Gossip is plain
//! values in and out; `now` is each instance's own clock and is never compared with another's.
//!
//! Instances act on numbered views (who is there, who may use how much). Acknowledging a view
//! lowers a share at once; a share is raised only when every member has acknowledged that same
//! view. A view without a former member needs a quorum of all views that may still be in use, and
//! is acknowledged only by instances that have not heard that member for a lease. A share is used
//! only while a quorum has answered within a lease, counted from when the answered claim was
//! *sent*. So whoever is left out has stopped before others use its share, as with the leases of
//! Gray and Cheriton ("Leases", SOSP 1989); quorums of old and new views as in Raft's joint
//! consensus (Ongaro and Ousterhout, 2014).
//!
//! The bound. Members of a view together never use more than the budget, whatever messages are
//! lost, late or repeated. Whoever is outside (just started, or cut off) uses the safe share,
//! budget / `instances_max`, and so adds at most that: with k outside, (1 + k / `instances_max`) ×
//! budget. Two cases can double it, unless `strict`: a cluster that starts in two halves that have
//! never heard of each other, and one that is cut in two for longer than `forget`. With `strict`,
//! n members share n / `instances_max` of the budget, and the sum never exceeds it at all.

use crate::gcra::Factor;
use crate::limits::{
    SHARE_BASES_MAX, SHARE_EPOCHS_MAX, SHARE_FLOOR_MILLIONTHS, SHARE_INSTANCES_MAX,
    SHARE_SHIFT_MILLIONTHS,
};
use crate::time::Nanos;
use std::collections::{BTreeMap, VecDeque};

/// A process, by a number that no other process of the cluster, earlier or later, has.
pub type Instance = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareConfig {
    pub me: Instance,
    /// As many instances as there will ever be at once, those that vanished within a lease
    /// included; from 1.
    pub instances_max: u16,
    /// How long an instance may be silent before its share goes to the others. Several gossip
    /// rounds.
    pub lease: Nanos,
    /// How long agreement or a quorum may be missing before the members that are gone are given up.
    pub forget: Nanos,
    /// Keep the safe share of every instance that might be there and is not heard.
    pub strict: bool,
}

/// What an instance tells the others at every round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub instance: Instance,
    /// Counts its claims.
    pub epoch: u64,
    /// Requests asked about in the last round, refused ones included.
    pub demand: u64,
    /// It stops, and uses nothing any more.
    pub leaving: bool,
    /// Of each other member of its view, what it last heard.
    pub heard: Vec<Heard>,
    /// The view that it has acknowledged.
    pub view: Option<View>,
    /// The newest that it ever has: it takes no older one.
    pub last: Number,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    pub instance: Instance,
    /// Its last claim.
    pub epoch: u64,
    /// The view since which every view acknowledged by the speaker has this member.
    pub since: Number,
}

/// Of a view: a count, and who proposed it; a total order.
pub type Number = (u64, Instance);

/// Who may use how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub number: Number,
    /// By instance, ascending. Together at most everything.
    pub shares: Vec<(Instance, Factor)>,
    /// The members of earlier views under which somebody may still use a share.
    pub follows: Vec<Vec<Instance>>,
}

/// One instance's part in sharing one budget.
#[derive(Debug)]
pub struct Share {
    config: ShareConfig,
    started: Nanos,
    epoch: u64,
    /// When the last claims were made, oldest first.
    sent: VecDeque<(u64, Nanos)>,
    demand: u64,
    peers: BTreeMap<Instance, Peer>,
    view: Option<View>,
    /// The members of the view and, until all have acknowledged it, of those that it follows.
    /// Holding a share and going over to another view take a quorum of each.
    bases: Vec<Vec<Instance>>,
    /// Used under the view; its full share once all have acknowledged it.
    held: Factor,
    agreed: bool,
    counter: u64,
    /// The newest view ever acknowledged: there is no way back, not even after forgetting.
    last: Number,
    /// The view whose full share this instance came to use.
    agreed_on: Number,
    /// Of each member of the view, since which it has been in all that were acknowledged.
    since: BTreeMap<Instance, Number>,
    /// When agreement and a quorum were last there.
    quorum_at: Nanos,
    leaving: bool,
}

#[derive(Debug)]
struct Peer {
    claim: Claim,
    heard: Nanos,
    /// It has answered a claim of ours that was sent then.
    supports: Option<Nanos>,
}

impl Share {
    #[must_use]
    pub fn new(config: ShareConfig, now: Nanos) -> Share {
        Share {
            config,
            started: now,
            epoch: 0,
            sent: VecDeque::new(),
            demand: 0,
            peers: BTreeMap::new(),
            view: None,
            bases: Vec::new(),
            held: Factor::ONE,
            agreed: false,
            counter: 0,
            last: (0, 0),
            agreed_on: (0, 0),
            since: BTreeMap::new(),
            quorum_at: now,
            leaving: false,
        }
    }

    /// What this instance may use of the budget at this moment.
    #[must_use]
    pub fn factor(&self, now: Nanos) -> Factor {
        match &self.view {
            Some(_) if self.has_quorum(now) => self.held,
            Some(view) if self.config.strict => {
                let share = view.share(self.config.me);
                share.map_or(self.safe(), |share| share.min(self.safe()))
            }
            _ => self.safe(),
        }
    }

    /// What an instance may use that hears nobody.
    #[must_use]
    pub fn safe(&self) -> Factor {
        Factor::from_millionths(1_000_000 / u64::from(self.config.instances_max.max(1)))
    }

    /// Takes in what another instance told. Old, repeated and foreign claims change nothing.
    pub fn receive(&mut self, claim: &Claim, now: Nanos) {
        let known = self.peers.get(&claim.instance);
        let is_news = known.is_none_or(|peer| peer.claim.epoch < claim.epoch);
        let room = known.is_some() || self.peers.len() < SHARE_INSTANCES_MAX;
        let sound = claim.instance != self.config.me
            && claim.heard.len() <= SHARE_INSTANCES_MAX
            && claim.view.as_ref().is_none_or(View::is_sound);
        if !is_news || !room || !sound {
            return;
        }
        let before = known.and_then(|peer| peer.supports);
        let peer = Peer {
            supports: self.answered(claim).max(before),
            claim: claim.clone(),
            heard: now,
        };
        self.peers.insert(claim.instance, peer);
        self.counter = self.counter.max(claim.last.0);
        if let Some(view) = &claim.view {
            self.acknowledge(view, now);
        }
        self.raise();
    }

    /// One round: how much was asked for since the last, and what to tell everybody.
    pub fn tick(&mut self, demand: u64, now: Nanos) -> Claim {
        self.epoch += 1;
        self.demand = demand;
        self.sent.push_back((self.epoch, now));
        if self.sent.len() > SHARE_EPOCHS_MAX {
            self.sent.pop_front();
        }
        let given_up = |peer: &Peer| now.since(peer.heard) > self.config.forget;
        self.peers.retain(|_, peer| !given_up(peer));
        self.keep_or_forget(now);
        if let Some(view) = self.proposal(now) {
            self.counter = view.number.0;
            self.acknowledge(&view, now);
        }
        self.raise();
        self.claim()
    }

    /// The last claim of an instance that stops: its share is free at once.
    pub fn leave(&mut self) -> Claim {
        self.epoch += 1;
        self.leaving = true;
        self.claim()
    }

    fn claim(&self) -> Claim {
        let heard = self.since.iter().filter_map(|(member, since)| {
            let peer = self.peers.get(member)?;
            Some(Heard {
                instance: *member,
                epoch: peer.claim.epoch,
                since: *since,
            })
        });
        Claim {
            instance: self.config.me,
            epoch: self.epoch,
            demand: self.demand,
            leaving: self.leaving,
            heard: heard.collect(),
            view: self.view.clone(),
            last: self.last,
        }
    }

    /// When the claim was sent that this one answers. Whoever has left us out of a view since the
    /// one whose share we use has given that share to others: its answer does not count.
    fn answered(&self, claim: &Claim) -> Option<Nanos> {
        let mut heard = claim.heard.iter();
        let heard = heard.find(|heard| heard.instance == self.config.me)?;
        let mut sent = self.sent.iter();
        let (_, at) = sent.find(|(epoch, _)| *epoch == heard.epoch)?;
        (heard.since <= self.agreed_on).then_some(*at)
    }

    fn is_heard(&self, instance: Instance, now: Nanos) -> bool {
        let peer = self.peers.get(&instance);
        peer.is_some_and(|p| !p.claim.leaving && now.since(p.heard) < self.config.lease)
    }

    fn has_left(&self, instance: Instance) -> bool {
        self.peers
            .get(&instance)
            .is_some_and(|peer| peer.claim.leaving)
    }

    /// Enough have answered within a lease.
    fn has_quorum(&self, now: Nanos) -> bool {
        let supports = |instance: Instance| {
            let at = self.peers.get(&instance).and_then(|peer| peer.supports);
            at.is_some_and(|at| now.since(at) < self.config.lease)
        };
        let is_in = |instance: Instance| instance == self.config.me || supports(instance);
        self.bases.iter().all(|base| self.is_quorum(base, is_in))
            && self.peers.keys().any(|peer| supports(*peer))
    }

    /// More than half of those members that have not left, or half with the lowest of them: any
    /// two quorums have a member in common.
    fn is_quorum(&self, base: &[Instance], is_in: impl Fn(Instance) -> bool) -> bool {
        let members = base
            .iter()
            .copied()
            .filter(|member| !self.has_left(*member));
        let lowest = members.clone().next().is_none_or(&is_in);
        let (all, inside) = (
            members.clone().count(),
            members.filter(|m| is_in(*m)).count(),
        );
        inside * 2 > all || (inside * 2 == all && lowest)
    }

    /// Goes over to a newer view if nobody is left out of it who may still use a share.
    fn acknowledge(&mut self, view: &View, now: Nanos) {
        let Some(share) = view
            .share(self.config.me)
            .filter(|_| view.number > self.last)
        else {
            return;
        };
        let mut bases = self.bases.clone();
        for base in view.follows.iter().chain([&view.members()]) {
            if !bases.contains(base) {
                bases.push(base.clone());
            }
        }
        let stays = |member: Instance| view.share(member).is_some();
        let follows = self.bases.iter().all(|base| self.is_quorum(base, stays));
        let mut left_out = self
            .bases
            .iter()
            .flatten()
            .filter(|member| !stays(**member));
        let may_use = |member: &Instance| self.is_heard(*member, now);
        if !follows || bases.len() > SHARE_BASES_MAX || left_out.any(may_use) {
            return;
        }
        if self.view.is_none() {
            self.quorum_at = now;
        }
        self.held = self.factor(now).min(share);
        // Whoever never acknowledged a view has left nobody out.
        let new = if self.last == (0, 0) {
            (0, 0)
        } else {
            view.number
        };
        let since = |member: Instance| self.since.get(&member).copied().unwrap_or(new);
        self.since = view.members().into_iter().map(|m| (m, since(m))).collect();
        self.bases = bases;
        self.view = Some(view.clone());
        self.last = view.number;
        self.agreed = false;
    }

    /// Uses the full share once every member has acknowledged this very view.
    fn raise(&mut self) {
        let Some(view) = self.view.as_ref().filter(|_| !self.agreed) else {
            return;
        };
        let agrees = |instance: Instance| {
            let its = self
                .peers
                .get(&instance)
                .and_then(|peer| peer.claim.view.as_ref());
            instance == self.config.me || its.is_some_and(|its| its.number == view.number)
        };
        if view.shares.iter().all(|(instance, _)| agrees(*instance)) {
            self.held = view.share(self.config.me).unwrap_or(self.held);
            self.bases = vec![view.members()];
            self.agreed_on = view.number;
            self.agreed = true;
        }
    }

    /// Without a view that all agree on, or a quorum, for too long: it is given up as if this
    /// instance had just started.
    fn keep_or_forget(&mut self, now: Nanos) {
        if self.agreed && self.has_quorum(now) {
            self.quorum_at = now;
        } else if now.since(self.quorum_at) > self.config.forget && self.view.is_some() {
            self.view = None;
            self.bases.clear();
            self.since.clear();
            self.agreed = false;
            self.started = now;
            self.quorum_at = now;
        }
    }

    /// A new view, if it is ours to propose one: the lowest instance that is heard does, when
    /// others are there or demand has shifted.
    fn proposal(&self, now: Nanos) -> Option<View> {
        let settled = now.since(self.started) >= self.config.lease;
        let heard = self
            .peers
            .keys()
            .copied()
            .filter(|peer| self.is_heard(*peer, now));
        let mut members: Vec<Instance> = heard.chain([self.config.me]).collect();
        members.sort_unstable();
        // Whoever just started leaves it to those that have a view, if there are any.
        let has_view = |member: &Instance| match self.peers.get(member) {
            Some(peer) => peer.claim.view.is_some(),
            None => self.view.is_some(),
        };
        let proposer = members
            .iter()
            .find(|member| has_view(member))
            .or(members.first());
        let ours = proposer == Some(&self.config.me) && members.len() > 1;
        if !ours || self.leaving || (self.view.is_none() && !settled) {
            return None;
        }
        let shares = self.shares(&members);
        if let Some(view) = &self.view {
            let same = view.shares.iter().map(|(member, _)| member).eq(&members);
            let shifted = view.shares.iter().zip(&shares).any(|((_, was), (_, is))| {
                was.millionths().abs_diff(is.millionths()) > SHARE_SHIFT_MILLIONTHS
            });
            // Somebody has gone on without us: only a newer view can unite.
            let last = |member: &Instance| self.peers.get(member).map(|peer| peer.claim.last);
            let is_behind = members
                .iter()
                .filter_map(last)
                .any(|last| last > view.number);
            if same && !is_behind && !(shifted && self.agreed) {
                return None;
            }
        }
        let number = (self.counter.saturating_add(1), self.config.me);
        let follows = self.bases.clone();
        Some(View {
            number,
            shares,
            follows,
        })
    }

    /// A floor for everybody, so that whoever was quiet can show demand; the rest by demand.
    fn shares(&self, members: &[Instance]) -> Vec<(Instance, Factor)> {
        let demand = |instance: Instance| match self.peers.get(&instance) {
            Some(peer) => u128::from(peer.claim.demand),
            None => u128::from(self.demand),
        };
        let n = members.len() as u64;
        let most = u64::from(self.config.instances_max.max(1));
        let pool = if self.config.strict {
            1_000_000 * n.min(most) / most
        } else {
            1_000_000
        };
        let total: u128 = members.iter().map(|member| demand(*member)).sum();
        let floor = pool * SHARE_FLOOR_MILLIONTHS / 1_000_000 / n;
        let rest = u128::from(pool - floor * n);
        let share = |member: Instance| {
            let part = (rest * demand(member))
                .checked_div(total)
                .unwrap_or(rest / u128::from(n));
            Factor::from_millionths(floor + part as u64)
        };
        members
            .iter()
            .map(|member| (*member, share(*member)))
            .collect()
    }
}

impl View {
    #[must_use]
    pub fn share(&self, instance: Instance) -> Option<Factor> {
        let at = self
            .shares
            .binary_search_by_key(&instance, |(member, _)| *member)
            .ok()?;
        Some(self.shares[at].1)
    }

    fn members(&self) -> Vec<Instance> {
        self.shares.iter().map(|(member, _)| *member).collect()
    }

    /// Ascending, bounded, and together at most everything.
    fn is_sound(&self) -> bool {
        let sum: u64 = self
            .shares
            .iter()
            .map(|(_, share)| u64::from(share.millionths()))
            .sum();
        sum <= 1_000_000
            && self.shares.len() <= SHARE_INSTANCES_MAX
            && self.shares.is_sorted_by(|a, b| a.0 < b.0)
            && self.follows.len() <= SHARE_BASES_MAX
            && self
                .follows
                .iter()
                .all(|base| base.len() <= SHARE_INSTANCES_MAX)
            && self
                .follows
                .iter()
                .all(|base| base.is_sorted_by(|a, b| a < b))
    }
}
