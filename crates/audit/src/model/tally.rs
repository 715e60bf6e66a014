//! Sums over orders: units by SKU, units by buyer and SKU, uses by coupon. Four moves, each the
//! obvious addition; nothing here decides anything.

use super::Order;
use sale::{BuyerId, CouponId, SkuId};
use std::collections::BTreeMap;

/// What stands: held or paid orders, less what was returned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    held: BTreeMap<SkuId, u32>,
    sold: BTreeMap<SkuId, u32>,
    taken: BTreeMap<(BuyerId, SkuId), u32>,
    uses: BTreeMap<CouponId, u32>,
    users: BTreeMap<(CouponId, BuyerId), u32>,
}

/// Adds, and keeps no zero, so that equal sums are equal maps.
fn add<K: Ord>(map: &mut BTreeMap<K, u32>, key: K, units: u32) {
    if units > 0 {
        *map.entry(key).or_insert(0) += units;
    }
}

fn take<K: Ord>(map: &mut BTreeMap<K, u32>, key: K, units: u32) {
    if units == 0 {
        return;
    }
    let left = map
        .get(&key)
        .and_then(|have| have.checked_sub(units))
        .expect("the model takes only what it added");
    if left == 0 {
        map.remove(&key);
    } else {
        map.insert(key, left);
    }
}

impl Tally {
    pub fn held(&self, sku: SkuId) -> u32 {
        self.held.get(&sku).copied().unwrap_or(0)
    }
    pub fn sold(&self, sku: SkuId) -> u32 {
        self.sold.get(&sku).copied().unwrap_or(0)
    }
    /// Units that a buyer holds or has bought, less returned ones.
    pub fn taken(&self, buyer: BuyerId, sku: SkuId) -> u32 {
        self.taken.get(&(buyer, sku)).copied().unwrap_or(0)
    }
    /// Held or paid orders with this coupon.
    pub fn uses(&self, coupon: CouponId) -> u32 {
        self.uses.get(&coupon).copied().unwrap_or(0)
    }
    /// Those of one buyer.
    pub fn uses_of(&self, coupon: CouponId, buyer: BuyerId) -> u32 {
        self.users.get(&(coupon, buyer)).copied().unwrap_or(0)
    }

    pub(super) fn hold(&mut self, order: &Order) {
        for line in &order.lines {
            add(&mut self.held, line.sku, line.qty.0);
            add(&mut self.taken, (order.buyer, line.sku), line.qty.0);
        }
        if let Some(coupon) = order.coupon {
            add(&mut self.uses, coupon, 1);
            add(&mut self.users, (coupon, order.buyer), 1);
        }
    }

    pub(super) fn release(&mut self, order: &Order) {
        for line in &order.lines {
            take(&mut self.held, line.sku, line.qty.0);
            take(&mut self.taken, (order.buyer, line.sku), line.qty.0);
        }
        if let Some(coupon) = order.coupon {
            take(&mut self.uses, coupon, 1);
            take(&mut self.users, (coupon, order.buyer), 1);
        }
    }

    pub(super) fn sell(&mut self, order: &Order) {
        for line in &order.lines {
            take(&mut self.held, line.sku, line.qty.0);
            add(&mut self.sold, line.sku, line.qty.0);
        }
    }

    pub(super) fn give_back(&mut self, buyer: BuyerId, sku: SkuId, units: u32) {
        take(&mut self.sold, sku, units);
        take(&mut self.taken, (buyer, sku), units);
    }
}
