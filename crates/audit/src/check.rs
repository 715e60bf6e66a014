//! What the audit found: named checks with counts, and the first few offenders of each.

use crate::limits::{FAILURE_BYTES_MAX, FAILURES_SHOWN_MAX};
use sale::{Qty, SkuId};
use std::collections::BTreeMap;

/// The names of all checks, as reports print them.
pub mod names {
    pub const NUMBERS: &str = "entry numbers are dense from 1";
    pub const INSTANTS: &str = "instants never go back";
    pub const BOOKS: &str = "free + held + sold = stocked after every entry";
    pub const OVERSOLD: &str = "held + sold never exceeds stocked";
    pub const HOLDS: &str = "no hold outlives its deadline and the grace";
    pub const STRANDED: &str = "nothing is stranded after holds ended";
    pub const LIMIT: &str = "no buyer is over the limit";
    pub const QUOTA: &str = "coupon uses stay within the quota";
    pub const COUPON_ONCE: &str = "no buyer uses a coupon twice";
    pub const ACKNOWLEDGED: &str = "every acknowledged order is in the journal as it was answered";
    pub const ONE_ANSWER: &str = "nobody got two answers for one request";
    pub const REFUSED: &str = "whoever was only refused holds nothing";
    pub const SOLD_OUT_TRUE: &str = "nobody was told sold out while there was enough";
    pub const SOLD_OUT: &str = "each SKU with twice its stock in demand sold out";
    pub const PAID: &str = "every paid receipt has a sold order";
    pub const DECLINED: &str = "no declined payment was booked";
    pub const REFUND_TOLD: &str = "every refund receipt has a refund in the journal";
    pub const CANCELLED: &str = "every cancelled receipt has a cancelled order";
    pub const CAPTURED: &str = "every captured payment has a paid order or a refund";
    pub const CONFIRMED: &str = "every booked payment was captured";
    pub const REFUNDS: &str = "refunds given are those that were due";

    pub const ALL: [&str; 21] = [
        NUMBERS,
        INSTANTS,
        BOOKS,
        OVERSOLD,
        HOLDS,
        STRANDED,
        LIMIT,
        QUOTA,
        COUPON_ONCE,
        ACKNOWLEDGED,
        ONE_ANSWER,
        REFUSED,
        SOLD_OUT_TRUE,
        SOLD_OUT,
        PAID,
        DECLINED,
        REFUND_TOLD,
        CANCELLED,
        CAPTURED,
        CONFIRMED,
        REFUNDS,
    ];
}

/// One question, how often it was asked, and where the answer was bad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub passed: bool,
    /// How many times the question was asked; 0 says that nothing could be seen.
    pub examined: u64,
    pub failed: u64,
    /// The first few, in words.
    pub failures: Vec<String>,
}

/// How one SKU ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkuResult {
    pub sku: SkuId,
    pub stocked: Qty,
    pub free: Qty,
    pub held: Qty,
    pub sold: Qty,
    /// Units that clients asked for, each request once.
    pub demand: u64,
    /// The most that was stocked at any moment.
    pub stock_max: Qty,
    /// The fewest units that were ever free.
    pub free_min: Qty,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub checks: Vec<Check>,
    pub skus: Vec<SkuResult>,
    pub entries: u64,
    pub orders: u64,
    /// How often the rules gave each outcome to the entries of the journal.
    pub outcomes: BTreeMap<&'static str, u64>,
}

impl Verdict {
    /// Whether every check passed.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }
    /// The check of this name.
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }
}

/// Counts while the audit runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tickets {
    by_name: BTreeMap<&'static str, Seen>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    examined: u64,
    failed: u64,
    failures: Vec<String>,
}

impl Tickets {
    /// Counts one look; `words` is only asked for when the look was bad and there is room.
    pub fn look(&mut self, name: &'static str, good: bool, words: impl FnOnce() -> String) {
        let seen = self.by_name.entry(name).or_default();
        seen.examined += 1;
        if !good {
            seen.failed += 1;
            if seen.failures.len() < FAILURES_SHOWN_MAX {
                let mut words = words();
                if words.len() > FAILURE_BYTES_MAX {
                    words.truncate(words.floor_char_boundary(FAILURE_BYTES_MAX));
                }
                seen.failures.push(words);
            }
        }
    }

    pub fn checks(mut self) -> Vec<Check> {
        let check = |name| {
            let seen = self.by_name.remove(name).unwrap_or_default();
            Check {
                name,
                passed: seen.failed == 0,
                examined: seen.examined,
                failed: seen.failed,
                failures: seen.failures,
            }
        };
        names::ALL.into_iter().map(check).collect()
    }
}
