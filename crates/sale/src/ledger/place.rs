//! Placing an order: the checks in their order of precedence, then the commitment.

use super::orders::OrderStatus;
use super::{
    BuyerId, CouponId, Currency, Effect, Effects, Held, Ledger, LineRow, Money, OrderId, OrderRow,
    Outcome, Qty, SkuId, Taken, line_total, taken_hash, wide,
};
use crate::{At, Line, LineIndex, Lines, MalformedLines, Place, limits};

/// An order that passed every check: what it costs.
struct Fits {
    gross: Money,
    currency: Currency,
    hold_ms: u64,
}

impl Ledger {
    /// What [`crate::Command::Place`] would answer at `at` without changing anything: `None` when
    /// it would be held now. Lets refusals be answered at once; whoever asks first looks at the
    /// request ids in flight.
    pub fn refusal(&self, place: &Place, at: At) -> Option<Outcome> {
        self.check(place, at).err()
    }

    /// Whether stock or opening hours alone refuse an order now: a look at the SKUs, no more. Cheap
    /// enough to ask again for each order that has queued.
    pub fn cannot_sell(&self, place: &Place, at: At) -> bool {
        let lines = place.lines.as_slice();
        lines
            .iter()
            .any(|line| line.sku.0 as usize >= self.skus.len())
            || self.on_sale(lines, at).is_err()
            || self.in_stock(lines).is_err()
    }

    pub(super) fn place<E: Effects>(&mut self, place: &Place, effects: &mut E) -> Outcome {
        match self.check(place, self.at) {
            Err(outcome) => outcome,
            Ok(fits) => Outcome::Held(self.hold(place, &fits, effects)),
        }
    }

    fn check(&self, place: &Place, at: At) -> Result<Fits, Outcome> {
        if let Some((ordinal, row)) = self.find_request(place.request) {
            let same = self.same_content(ordinal, row, place);
            return Err(if same {
                Outcome::Replayed(self.held(ordinal, row))
            } else {
                Outcome::KeyReused
            });
        }
        if !self.acts.is_empty() && self.acts.contains_key(&place.request) {
            return Err(Outcome::KeyReused);
        }
        let lines = place.lines.as_slice();
        well_formed(lines).map_err(Outcome::Malformed)?;
        let fits = self.priced(lines)?;
        self.on_sale(lines, at)?;
        self.within_limits(place.buyer, lines)?;
        if let Some(coupon) = place.coupon {
            self.coupon_applies(coupon, place.buyer, &fits)?;
        }
        self.in_stock(lines)?;
        Ok(fits)
    }

    fn same_content(&self, ordinal: u64, row: &OrderRow, place: &Place) -> bool {
        let head = row.buyer() == place.buyer && row.coupon() == place.coupon;
        let lines = place.lines.as_slice();
        head && if row.many {
            let kept = &self.lines[&ordinal];
            kept.len() == lines.len() && kept.iter().zip(lines).all(|(k, l)| k.line == *l)
        } else {
            lines
                == [Line {
                    sku: row.sku,
                    qty: row.qty,
                }]
        }
    }

    fn priced(&self, lines: &[Line]) -> Result<Fits, Outcome> {
        if let Some(line) = lines.iter().find(|l| l.sku.0 as usize >= self.skus.len()) {
            return Err(Outcome::UnknownSku { sku: line.sku });
        }
        let first = &self.skus[lines[0].sku.0 as usize].terms;
        let mut fits = Fits {
            gross: Money::ZERO,
            currency: first.currency,
            hold_ms: u64::MAX,
        };
        // Currencies come before the total, as docs/rules.md has it.
        let other = |l: &Line| self.skus[l.sku.0 as usize].terms.currency != fits.currency;
        if let Some(line) = lines.iter().position(other) {
            let line = LineIndex(line as u16);
            return Err(Outcome::Malformed(MalformedLines::Currencies { line }));
        }
        for line in lines {
            let terms = &self.skus[line.sku.0 as usize].terms;
            let sum = fits.gross.plus(line_total(terms.price, line.qty));
            fits.gross = sum.ok_or(Outcome::Malformed(MalformedLines::Total))?;
            fits.hold_ms = fits.hold_ms.min(terms.hold.0);
        }
        Ok(fits)
    }

    fn on_sale(&self, lines: &[Line], at: At) -> Result<(), Outcome> {
        for &Line { sku, .. } in lines {
            let opens = self.skus[sku.0 as usize].terms.opens;
            if at < opens {
                return Err(Outcome::NotOpen { sku, opens });
            }
        }
        for &Line { sku, .. } in lines {
            let row = &self.skus[sku.0 as usize];
            if row.shut || row.terms.closes.is_some_and(|closes| closes <= at) {
                return Err(Outcome::Closed { sku });
            }
        }
        Ok(())
    }

    fn within_limits(&self, buyer: BuyerId, lines: &[Line]) -> Result<(), Outcome> {
        for &Line { sku, qty } in lines {
            if let Some(limit) = self.skus[sku.0 as usize].terms.buyer_limit {
                let left = limit.get().saturating_sub(self.taken(buyer, sku).0);
                if qty.0 > left {
                    return Err(Outcome::BuyerLimit {
                        sku,
                        left: Qty(left),
                    });
                }
            }
        }
        Ok(())
    }

    fn coupon_applies(&self, coupon: CouponId, buyer: BuyerId, fits: &Fits) -> Result<(), Outcome> {
        let row = self
            .coupons
            .get(coupon.0 as usize)
            .ok_or(Outcome::CouponUnknown)?;
        let minimum_total = row.terms.minimum_total;
        if row.terms.currency != fits.currency || fits.gross < minimum_total {
            return Err(Outcome::CouponNotEligible { minimum_total });
        }
        self.coupon_free(coupon, buyer)
    }

    /// Not used by this buyer, and some of the quota left.
    pub(super) fn coupon_free(&self, coupon: CouponId, buyer: BuyerId) -> Result<(), Outcome> {
        if self.used.contains(&(coupon, buyer)) {
            return Err(Outcome::CouponUsed);
        }
        let row = &self.coupons[coupon.0 as usize];
        if row.uses >= row.terms.quota {
            Err(Outcome::CouponExhausted)
        } else {
            Ok(())
        }
    }

    fn in_stock(&self, lines: &[Line]) -> Result<(), Outcome> {
        for &Line { sku, qty } in lines {
            let left = self.skus[sku.0 as usize].books.free;
            if qty > left {
                return Err(Outcome::SoldOut { sku, left });
            }
        }
        Ok(())
    }

    /// A payment after the end of the hold: may the order have its units again?
    pub(super) fn retakable(&self, ordinal: u64, row: &OrderRow) -> bool {
        let lines: Vec<Line> = self
            .lines_of(ordinal, row)
            .iter()
            .map(|(l, _, _)| *l)
            .collect();
        let coupon = row
            .coupon()
            .is_none_or(|c| self.coupon_free(c, row.buyer()).is_ok());
        coupon && self.within_limits(row.buyer(), &lines).is_ok() && self.in_stock(&lines).is_ok()
    }

    fn hold<E: Effects>(&mut self, place: &Place, fits: &Fits, effects: &mut E) -> Held {
        let grain = limits::HOLD_GRAIN_MS;
        let pay_by = self
            .at
            .0
            .saturating_add(fits.hold_ms)
            .div_ceil(grain)
            .saturating_mul(grain);
        let ordinal = self.orders.accepted() + 1;
        let order = OrderId::new(self.cell, place.buyer, ordinal).expect("ordinals last for ever");
        let total = self.less_coupon(fits.gross, place.coupon);
        let held = Held {
            order,
            total,
            currency: fits.currency,
            pay_by: At(pay_by),
        };

        let (sku, qty, price, many) = match &place.lines {
            Lines::One(line) => (
                line.sku,
                line.qty,
                self.skus[line.sku.0 as usize].terms.price,
                false,
            ),
            Lines::Many(lines) => {
                let row = |l: &Line| LineRow {
                    line: *l,
                    price: self.skus[l.sku.0 as usize].terms.price,
                    returned: Qty::ZERO,
                };
                let rows: Box<[LineRow]> = lines.iter().map(row).collect();
                for (index, row) in rows.iter().enumerate() {
                    self.digest.add(row.hash(ordinal, index as u16));
                }
                self.lines.insert(ordinal, rows);
                (lines[0].sku, Qty(0), fits.gross, true)
            }
        };
        let row = OrderRow::held(
            (place.request, place.buyer),
            (self.at.0, pay_by),
            (sku, qty, price, many),
            (fits.currency, place.coupon),
        );
        self.digest.add(row.hash(ordinal));
        self.orders.push(row);
        self.index_request(place.request, ordinal);
        self.deadlines.entry(pay_by).or_default().push(ordinal);
        self.move_units(
            place.lines.as_slice(),
            place.buyer,
            OrderStatus::Held,
            effects,
        );
        if let Some(coupon) = place.coupon {
            self.use_coupon(coupon, place.buyer);
        }
        if E::WANTED {
            let row = self.orders.get(ordinal).expect("pushed above");
            let lines: Vec<_> = self
                .lines_of(ordinal, row)
                .iter()
                .map(|(l, p, _)| (*l, *p))
                .collect();
            let off = |c: CouponId| (c, self.coupons[c.0 as usize].terms.amount_off);
            let coupon = place.coupon.map(off);
            let (request, buyer) = (place.request, place.buyer);
            effects.on(Effect::OrderHeld {
                held,
                request,
                buyer,
                lines: &lines,
                coupon,
            });
        }
        held
    }

    /// Takes free units for an order that is held or (after its hold ended) paid.
    pub(super) fn move_units<E: Effects>(
        &mut self,
        lines: &[Line],
        buyer: BuyerId,
        to: OrderStatus,
        effects: &mut E,
    ) {
        for &Line { sku, qty } in lines {
            self.change_books(sku, |books| {
                books.free = books.free.minus(qty)?;
                let place = if to == OrderStatus::Held {
                    &mut books.held
                } else {
                    &mut books.sold
                };
                *place = place.plus(qty)?;
                Some(())
            });
            self.add_taken(buyer, sku, qty);
            self.stock_effect(sku, effects);
        }
    }

    pub(super) fn use_coupon(&mut self, coupon: CouponId, buyer: BuyerId) {
        self.recount_coupon(coupon, |uses| uses.plus(Qty(1)));
        self.used.insert((coupon, buyer));
        self.digest.add(used_hash(coupon, buyer));
    }

    pub(super) fn free_coupon(&mut self, coupon: CouponId, buyer: BuyerId) {
        self.recount_coupon(coupon, |uses| uses.minus(Qty(1)));
        assert!(
            self.used.remove(&(coupon, buyer)),
            "a use is given back once"
        );
        self.digest.remove(used_hash(coupon, buyer));
    }

    fn recount_coupon(&mut self, coupon: CouponId, change: impl Fn(Qty) -> Option<Qty>) {
        let index = coupon.0;
        let before = self.coupons[index as usize].hash(index);
        let row = &mut self.coupons[index as usize];
        row.uses = change(row.uses).expect("uses are counted");
        assert!(
            row.uses <= row.terms.quota,
            "a coupon is never used above its quota"
        );
        let after = row.hash(index);
        self.digest.remove(before);
        self.digest.add(after);
    }

    #[inline]
    pub(super) fn add_taken(&mut self, buyer: BuyerId, sku: SkuId, qty: Qty) {
        let key = wide(buyer.0);
        let hash = taken_hash(key, sku);
        if let Some(row) = self
            .taken
            .find_mut(hash, |t| t.buyer == key && t.sku == sku)
        {
            self.digest.remove(row.hash());
            row.units = row.units.plus(qty).expect("units are bounded by the stock");
            self.digest.add(row.hash());
        } else {
            let row = Taken {
                buyer: key,
                sku,
                units: qty,
            };
            self.digest.add(row.hash());
            self.taken.insert(hash, row);
        }
    }

    pub(super) fn give_back_taken(&mut self, buyer: BuyerId, sku: SkuId, qty: Qty) {
        let key = wide(buyer.0);
        let hash = taken_hash(key, sku);
        let same = |t: &Taken| t.buyer == key && t.sku == sku;
        let row = self
            .taken
            .find_mut(hash, same)
            .expect("units given back were taken");
        self.digest.remove(row.hash());
        let units = row.units.minus(qty);
        let units = units.expect("no more is given back than was taken");
        if units == Qty::ZERO {
            self.taken.remove(hash, same);
        } else {
            row.units = units;
            self.digest.add(row.hash());
        }
    }
}

pub(super) fn used_hash(coupon: CouponId, buyer: BuyerId) -> u64 {
    super::RowHash::new(4)
        .word(u64::from(coupon.0))
        .wide(buyer.0)
        .finish()
}

/// What can be told without knowing any SKU.
fn well_formed(lines: &[Line]) -> Result<(), MalformedLines> {
    if lines.is_empty() {
        return Err(MalformedLines::Empty);
    }
    if lines.len() > limits::LINES_PER_ORDER_MAX {
        return Err(MalformedLines::TooMany);
    }
    let mut seen = std::collections::BTreeSet::new();
    for (index, line) in lines.iter().enumerate() {
        let at = LineIndex(index as u16);
        if line.qty.0 == 0 || line.qty.0 > limits::UNITS_PER_LINE_MAX {
            return Err(MalformedLines::Quantity { line: at });
        }
        if lines.len() > 1 && !seen.insert(line.sku) {
            return Err(MalformedLines::Twice { line: at });
        }
    }
    Ok(())
}
