//! The odds that something is left when a person's turn comes.
//!
//! Everybody let in takes `m` units on average: what those let in so far took, begun with
//! [`ROOM_ODDS_PRIOR`] imagined ones who took all they may. The `n` before a person take `n·m`
//! units,
//! give or take `√(n·m·u)` (each takes up to `u`, nobody knows of the others). The odds are the
//! chance that the stock is larger: the normal distribution, by its logistic approximation
//! `1 / (1 + e^(−1.702 z))`, whose error is below one percent.

use crate::limits::ROOM_ODDS_PRIOR;

/// In thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Odds(pub u16);

/// Units left and units that those let in took meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stock {
    pub left: u64,
    pub taken: u64,
    pub let_in: u64,
}

pub(super) fn odds(before: u32, stock: Stock, units_per_buyer: u32) -> Odds {
    if stock.left == 0 {
        return Odds(0);
    }
    let most = f64::from(units_per_buyer);
    let prior = f64::from(ROOM_ODDS_PRIOR);
    let mean = (stock.taken as f64 + prior * most) / (stock.let_in as f64 + prior);
    let expected = f64::from(before) * mean.min(most);
    let spread = (expected * most).sqrt();
    // One unit is enough for this person; half a unit is the continuity of whole numbers.
    let margin = stock.left as f64 - 0.5 - expected;
    if spread == 0.0 {
        return Odds(if margin > 0.0 { 1_000 } else { 0 });
    }
    let chance = 1.0 / (1.0 + (-1.702 * margin / spread).exp());
    Odds((chance * 1_000.0).round() as u16)
}
