//! What the door may use of budgets that it shares with other instances. The shares are decided
//! elsewhere; here they are in force, and end in time even if nobody comes to say so.

use super::Door;
use super::books::Books;
use super::metrics::{Gauges, family};
use crate::cluster::{Budget, Counts};
use guard::{Granted, Nanos, RuleId};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::sync::atomic::Ordering;

/// The shares in force.
#[derive(Debug)]
pub(super) struct Shares {
    /// Whether other instances are listened to.
    gossips: bool,
    rules: Vec<Shared>,
    /// When the first of them ends.
    until: Nanos,
}

#[derive(Debug)]
struct Shared {
    budget: Budget,
    id: RuleId,
    granted: Granted,
}

impl Shares {
    pub fn new(gossips: bool) -> Shares {
        Shares {
            gossips,
            rules: Vec::new(),
            until: Nanos(u64::MAX),
        }
    }
}

impl Books {
    /// After a swap: rules that stay keep their share, others begin with what is safe.
    pub fn share(&mut self, budgets: Vec<Budget>) {
        let before = std::mem::take(&mut self.shares.rules);
        for budget in budgets {
            let mut rules = self.limits.rules();
            let found = rules.find(|(_, status)| status.rule.name == budget.rule);
            let Some((id, _)) = found else { continue };
            drop(rules);
            let known = before.iter().find(|shared| shared.budget == budget);
            let at_first = || budget.at_first(self.shares.gossips);
            let granted = known.map_or_else(at_first, |shared| shared.granted);
            self.limits.set_share(id, granted.share);
            self.shares.rules.push(Shared {
                budget,
                id,
                granted,
            });
        }
        self.end();
    }

    /// Before limits are asked: what has run out is not used, if the next round is late.
    #[inline]
    pub fn end_shares(&mut self, now: Nanos) {
        if self.shares.until <= now {
            self.lapse(now);
        }
    }

    #[cold]
    fn lapse(&mut self, now: Nanos) {
        for shared in &mut self.shares.rules {
            if shared.granted.until <= now {
                shared.granted.share = shared.granted.after;
                shared.granted.until = Nanos(u64::MAX);
                self.limits.set_share(shared.id, shared.granted.share);
            }
        }
        self.end();
    }

    fn end(&mut self) {
        let ends = self.shares.rules.iter().map(|shared| shared.granted.until);
        self.shares.until = ends.min().unwrap_or(Nanos(u64::MAX));
    }
}

#[cfg(feature = "cluster")]
impl Door {
    /// Budgets that are shared, and how many requests each was asked about so far.
    pub(crate) fn shared_budgets(&self) -> Vec<(Budget, u64)> {
        let books = self.books();
        let asked = |id: RuleId| {
            let mut rules = books.limits.rules();
            let found = rules.find(|(other, _)| *other == id);
            found.map_or(0, |(_, status)| status.counters.asked)
        };
        let shared = books.shares.rules.iter();
        shared
            .map(|shared| (shared.budget.clone(), asked(shared.id)))
            .collect()
    }

    /// Puts a round's shares in force.
    pub(crate) fn grant(&self, told: &[crate::cluster::Told]) {
        let mut books = self.books();
        let books = &mut *books;
        for told in told {
            // A swap in between may have taken the rule away.
            let mut shared = books.shares.rules.iter_mut();
            let Some(shared) = shared.find(|shared| shared.budget == told.budget) else {
                continue;
            };
            if shared.granted.share != told.granted.share {
                books.limits.set_share(shared.id, told.granted.share);
            }
            shared.granted = told.granted;
        }
        books.end();
    }

    pub(crate) fn cluster_counts(&self) -> &Counts {
        &self.cluster
    }
}

/// Nothing, where instances do not talk.
pub(super) fn metrics(door: &Door, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let shares = Gauges::default();
    {
        let books = door.books();
        for shared in &books.shares.rules {
            let labels = vec![("rule", shared.budget.rule.clone())];
            let share = f64::from(shared.granted.share.millionths()) / 1e6;
            shares.get_or_create(&labels).set(share);
        }
    }
    let help = "Share of a cluster's budget that this instance may use";
    family(encoder, "door_cluster_share", help, &shares)?;
    let Counts { members, rejected } = &*door.cluster;
    let members = ConstGauge::new(members.load(Ordering::Relaxed) as i64);
    let help = "Instances heard, this one included; 0 where nobody is listened to";
    let kind = members.metric_type();
    members.encode(encoder.encode_descriptor("door_cluster_members", help, None, kind)?)?;
    let rejected = ConstCounter::new(rejected.load(Ordering::Relaxed));
    let help = "Notes of others without the right MAC";
    let kind = rejected.metric_type();
    rejected.encode(encoder.encode_descriptor("door_cluster_rejected", help, None, kind)?)
}
