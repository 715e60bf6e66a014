//! Instances of the door that share the budgets of rules with scope cluster.
//!
//! Who uses how much is decided by `guard::Share`; here its notes travel. They are values of a
//! gossip (`chitchat`: membership and anti-entropy over UDP), on a thread with a runtime of its
//! own, which takes the door's lock twice a round for moments. Each note carries a MAC; one without
//! is ignored and counted. It must not know how requests are decided.

#[cfg(feature = "cluster")]
mod gossip;
#[cfg_attr(not(feature = "cluster"), allow(dead_code))]
mod note;
#[cfg_attr(not(feature = "cluster"), allow(dead_code))]
mod round;
#[cfg(test)]
mod tests;

use crate::limits::{SHARE_HEAR_MS, SHARE_LEASE_MS};
use guard::{Factor, Granted, Lost, Nanos, Share, ShareConfig};
use std::sync::atomic::AtomicU64;

#[cfg(feature = "cluster")]
pub(crate) use {gossip::start, round::Told};

/// Whether this build can talk to other instances.
pub(crate) const CAN_GOSSIP: bool = cfg!(feature = "cluster");

/// What is known of the others, for metrics.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Instances that are heard, this one included; zero where nobody is listened to.
    pub members: AtomicU64,
    /// Notes that nobody with the key wrote, or that make no sense.
    pub rejected: AtomicU64,
}

/// A budget that instances share. Shares are fractions, so its rate may change under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    pub rule: String,
    pub instances_max: u32,
}

impl Budget {
    pub fn of(limits: &wire::gateway::rules::Limits) -> Vec<Budget> {
        let rules = limits.rules.iter();
        let shared = rules.filter_map(|rule| {
            Some(Budget {
                rule: rule.name.clone(),
                instances_max: u32::try_from(rule.max_instances?).unwrap_or(u32::MAX),
            })
        });
        shared.collect()
    }

    /// Before anybody was heard; for ever, if nobody is listened to.
    pub fn at_first(&self, gossips: bool) -> Granted {
        let safe = Factor::from_millionths(1_000_000 / u64::from(self.instances_max.max(1)));
        let now = Nanos(0);
        match gossips {
            true => self.share(0, Lost::Reserve, now).granted(now),
            false => Granted {
                share: safe,
                until: Nanos(u64::MAX),
                after: safe,
            },
        }
    }

    pub fn share(&self, me: guard::Instance, lost: Lost, now: Nanos) -> Share {
        let config = ShareConfig {
            me,
            instances_max: self.instances_max,
            lost,
            lease: Nanos::from_millis(SHARE_LEASE_MS),
            hear: Nanos::from_millis(SHARE_HEAR_MS),
        };
        Share::new(config, now)
    }
}
