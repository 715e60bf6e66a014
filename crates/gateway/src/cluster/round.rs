//! One round of all shared budgets: what others wrote is taken in, and what there is to write comes
//! out, with what this instance may use. It must not know how notes travel, and has no clock.

use super::Budget;
use super::note::Seal;
use guard::{Granted, Instance, Lost, Nanos, Share};
use std::collections::BTreeMap;

/// Where values with notes begin.
pub const PREFIX: &str = "share/";

/// All budgets that this instance shares.
#[derive(Debug)]
pub struct Rounds {
    /// Grows with each budget that is begun: one that comes back is a successor of itself.
    me: Instance,
    lost: Lost,
    seal: Seal,
    /// By the key of their values.
    shares: BTreeMap<String, Shared>,
}

#[derive(Debug)]
struct Shared {
    share: Share,
    /// Requests that the rule was asked about, until the last round.
    asked: u64,
}

/// What a round came to for one budget.
#[derive(Debug)]
pub struct Told {
    pub budget: Budget,
    pub granted: Granted,
    /// To be told to the others once `granted` is in force.
    pub key: String,
    pub value: String,
}

impl Rounds {
    pub fn new(me: Instance, lost: Lost, seal: Seal) -> Rounds {
        Rounds {
            me,
            lost,
            seal,
            shares: BTreeMap::new(),
        }
    }

    /// A value that somebody wrote; whether it was one of ours with the right MAC.
    pub fn receive(&mut self, key: &str, value: &str, now: Nanos) -> bool {
        let Some(note) = self.seal.read(key, value) else {
            return false;
        };
        // Of a rule that this instance does not have (yet), nothing is kept.
        if let Some(shared) = self.shares.get_mut(key) {
            shared.share.receive(&note, now);
        }
        true
    }

    /// With the number of requests that each rule was asked about since it began.
    pub fn tick(&mut self, budgets: Vec<(Budget, u64)>, now: Nanos) -> Vec<Told> {
        let mut before = std::mem::take(&mut self.shares);
        let mut told = Vec::with_capacity(budgets.len());
        for (budget, asked) in budgets {
            let key = format!("{PREFIX}{}/{}", budget.rule, budget.instances_max);
            let mut shared = before.remove(&key).unwrap_or_else(|| {
                self.me = self.me.wrapping_add(1);
                Shared {
                    share: budget.share(self.me, self.lost, now),
                    asked,
                }
            });
            let note = shared.share.tick(asked.saturating_sub(shared.asked), now);
            shared.asked = asked;
            told.push(Told {
                granted: shared.share.granted(now),
                value: self.seal.write(&key, &note),
                budget,
                key: key.clone(),
            });
            self.shares.insert(key, shared);
        }
        told
    }

    /// Instances that are heard, this one included.
    pub fn members(&self, now: Nanos) -> usize {
        let present = self.shares.values().map(|shared| shared.share.present(now));
        present.max().unwrap_or(1)
    }
}
