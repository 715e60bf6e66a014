//! "Place", step by step as on the page.

use super::{Model, Order, OrderLine, Remembered, Status, round_up};
use sale::{
    At, Currency, Line, LineIndex, MalformedLines, Money, OrderId, Outcome, Place, Qty, limits,
};
use std::collections::{BTreeMap, BTreeSet};

impl Model {
    pub(super) fn place(&mut self, at: At, place: &Place) -> Outcome {
        let lines = place.lines.as_slice();
        let refusal = self
            .known_id(place)
            .or_else(|| malformed(lines))
            .or_else(|| self.unknown_sku(lines));
        if let Some(refusal) = refusal {
            return refusal;
        }
        let (currency, sum) = match self.sum(lines) {
            Ok(sum) => sum,
            Err(what) => return Outcome::Malformed(what),
        };
        self.not_selling(at, lines)
            .or_else(|| self.over_limit(place))
            .or_else(|| self.coupon_refused(place, currency, sum))
            .or_else(|| self.sold_out(lines))
            .unwrap_or_else(|| self.accept(at, place, currency, sum))
    }

    /// Step 1.
    fn known_id(&self, place: &Place) -> Option<Outcome> {
        let Remembered::Order { ordinal } = self.requests.get(&place.request)? else {
            return Some(Outcome::KeyReused);
        };
        let order = &self.orders[*ordinal as usize - 1];
        let was = order.lines.iter().map(|l| Line {
            sku: l.sku,
            qty: l.qty,
        });
        let same = order.buyer == place.buyer
            && order.coupon == place.coupon
            && was.eq(place.lines.as_slice().iter().copied());
        Some(if same {
            Outcome::Replayed(order.held())
        } else {
            Outcome::KeyReused
        })
    }

    /// Step 3.
    fn unknown_sku(&self, lines: &[Line]) -> Option<Outcome> {
        let line = lines.iter().find(|l| l.sku.0 as usize >= self.skus.len())?;
        Some(Outcome::UnknownSku { sku: line.sku })
    }

    /// The rest of step 3: one currency, and a sum that fits.
    fn sum(&self, lines: &[Line]) -> Result<(Currency, Money), MalformedLines> {
        let terms = |line: &Line| &self.skus[line.sku.0 as usize].terms;
        let currency = terms(&lines[0]).currency;
        if let Some(index) = lines.iter().position(|l| terms(l).currency != currency) {
            return Err(MalformedLines::Currencies {
                line: LineIndex(index as u16),
            });
        }
        let mut sum: i128 = 0;
        for line in lines {
            sum += i128::from(terms(line).price.0) * i128::from(line.qty.0);
        }
        let sum = i64::try_from(sum).map_err(|_| MalformedLines::Total)?;
        Ok((currency, Money(sum)))
    }

    /// Step 4.
    fn not_selling(&self, at: At, lines: &[Line]) -> Option<Outcome> {
        for line in lines {
            let opens = self.skus[line.sku.0 as usize].terms.opens;
            if at < opens {
                return Some(Outcome::NotOpen {
                    sku: line.sku,
                    opens,
                });
            }
        }
        for line in lines {
            let sku = &self.skus[line.sku.0 as usize];
            if sku.shut || sku.terms.closes.is_some_and(|closes| closes <= at) {
                return Some(Outcome::Closed { sku: line.sku });
            }
        }
        None
    }

    /// Step 5.
    fn over_limit(&self, place: &Place) -> Option<Outcome> {
        for line in place.lines.as_slice() {
            let taken = self.tally.taken(place.buyer, line.sku);
            let limit = self.skus[line.sku.0 as usize].terms.buyer_limit;
            if let Some(limit) = limit
                && u64::from(taken) + u64::from(line.qty.0) > u64::from(limit.get())
            {
                let left = Qty(limit.get().saturating_sub(taken));
                return Some(Outcome::BuyerLimit {
                    sku: line.sku,
                    left,
                });
            }
        }
        None
    }

    /// Step 6.
    fn coupon_refused(&self, place: &Place, currency: Currency, sum: Money) -> Option<Outcome> {
        let id = place.coupon?;
        let Some(coupon) = self.coupons.get(id.0 as usize) else {
            return Some(Outcome::CouponUnknown);
        };
        if coupon.currency != currency || sum < coupon.minimum_total {
            let minimum_total = coupon.minimum_total;
            return Some(Outcome::CouponNotEligible { minimum_total });
        }
        if self.tally.uses_of(id, place.buyer) > 0 {
            return Some(Outcome::CouponUsed);
        }
        (self.tally.uses(id) >= coupon.quota.0).then_some(Outcome::CouponExhausted)
    }

    /// Step 7.
    fn sold_out(&self, lines: &[Line]) -> Option<Outcome> {
        let line = lines.iter().find(|l| self.free(l.sku) < l.qty.0)?;
        Some(Outcome::SoldOut {
            sku: line.sku,
            left: Qty(self.free(line.sku)),
        })
    }

    /// Step 8.
    fn accept(&mut self, at: At, place: &Place, currency: Currency, sum: Money) -> Outcome {
        let ordinal = self.orders.len() as u64 + 1;
        let off = place
            .coupon
            .map_or(0, |id| self.coupons[id.0 as usize].amount_off.0);
        let mut lines = Vec::new();
        let mut holds = Vec::new();
        for line in place.lines.as_slice() {
            let terms = &self.skus[line.sku.0 as usize].terms;
            holds.push(terms.hold);
            let (sku, qty, price) = (line.sku, line.qty, terms.price);
            lines.push(OrderLine {
                sku,
                qty,
                price,
                returned: 0,
            });
        }
        let hold = holds
            .into_iter()
            .min()
            .expect("step 2 refused an order without lines");
        let order = Order {
            id: OrderId::new(self.cell, place.buyer, ordinal).expect("cell and count are bounded"),
            request: place.request,
            buyer: place.buyer,
            lines,
            coupon: place.coupon,
            currency,
            total: Money(sum.0 - off),
            pay_by: round_up(at.plus(hold), limits::HOLD_GRAIN_MS),
            status: Status::Held,
            payments: BTreeMap::new(),
            queued: false,
            forgotten: false,
        };
        let held = order.held();
        self.tally.hold(&order);
        self.holds.insert((order.pay_by, ordinal));
        self.requests
            .insert(place.request, Remembered::Order { ordinal });
        self.orders.push(order);
        Outcome::Held(held)
    }
}

/// Step 2.
fn malformed(lines: &[Line]) -> Option<Outcome> {
    if lines.is_empty() {
        return Some(Outcome::Malformed(MalformedLines::Empty));
    }
    if lines.len() > limits::LINES_PER_ORDER_MAX {
        return Some(Outcome::Malformed(MalformedLines::TooMany));
    }
    let mut seen = BTreeSet::new();
    for (index, line) in lines.iter().enumerate() {
        let at = LineIndex(index as u16);
        if line.qty.0 == 0 || line.qty.0 > limits::UNITS_PER_LINE_MAX {
            return Some(Outcome::Malformed(MalformedLines::Quantity { line: at }));
        }
        if !seen.insert(line.sku) {
            return Some(Outcome::Malformed(MalformedLines::Twice { line: at }));
        }
    }
    None
}
