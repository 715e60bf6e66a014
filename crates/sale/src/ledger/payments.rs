//! Payments, cancellations, returns: what happens to an accepted order.

use super::orders::{OrderRow, OrderStatus};
use super::{
    ActContent, Effect, Effects, Ledger, Line, LineIndex, Money, OrderId, Outcome, PaymentRef,
    PaymentRow, PaymentState, Qty, RequestId, RowHash,
};
use crate::limits;
use crate::outcome::{EndReason, MalformedLines};

/// A payment that someone must still see to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenPayment {
    /// The channel was asked, and its answer is not known here.
    Undecided {
        order: OrderId,
        payment: PaymentRef,
        amount: Money,
    },
    /// `total` is due back in all, of which `settled` has gone.
    RefundDue {
        order: OrderId,
        payment: PaymentRef,
        total: Money,
        settled: Money,
    },
}

/// What is known of one payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaymentView {
    pub payment: PaymentRef,
    pub amount: Money,
    pub state: PaymentState,
    /// Due back in all, and what of it has gone.
    pub refund_due: Money,
    pub refund_settled: Money,
}

impl Ledger {
    /// The payments of an order, by reference.
    pub fn payments(&self, order: OrderId) -> Vec<PaymentView> {
        let Some((ordinal, _)) = self.find_order(order) else {
            return Vec::new();
        };
        let range = (ordinal, PaymentRef(0))..=(ordinal, PaymentRef(u128::MAX));
        let view = |((_, payment), row): (&(u64, PaymentRef), &PaymentRow)| PaymentView {
            payment: *payment,
            amount: row.amount,
            state: row.state,
            refund_due: row.refund_due,
            refund_settled: row.refund_settled,
        };
        self.payments.range(range).map(view).collect()
    }

    /// All payments that are undecided or have a refund to settle, in the order of their orders.
    pub fn open_payments(&self) -> impl Iterator<Item = OpenPayment> {
        self.payments
            .iter()
            .filter_map(|((ordinal, payment), row)| {
                if !row.open() {
                    return None;
                }
                let order = OrderId::new(self.cell, self.orders.get(*ordinal)?.buyer(), *ordinal)?;
                let (payment, amount) = (*payment, row.amount);
                Some(match row.state {
                    PaymentState::Begun => OpenPayment::Undecided {
                        order,
                        payment,
                        amount,
                    },
                    _ => OpenPayment::RefundDue {
                        order,
                        payment,
                        total: row.refund_due,
                        settled: row.refund_settled,
                    },
                })
            })
    }

    fn put_payment(&mut self, ordinal: u64, payment: PaymentRef, row: PaymentRow) {
        self.digest.add(row.hash(ordinal, payment));
        if let Some(before) = self.payments.insert((ordinal, payment), row) {
            self.digest.remove(before.hash(ordinal, payment));
        }
    }

    pub(super) fn begin_payment<E: Effects>(
        &mut self,
        order: OrderId,
        payment: PaymentRef,
        amount: Money,
        effects: &mut E,
    ) -> Outcome {
        let Some((ordinal, row)) = self.find_order(order) else {
            return Outcome::UnknownOrder;
        };
        if let Some(known) = self.payments.get(&(ordinal, payment)) {
            let same = known.state == PaymentState::Begun && known.amount == amount;
            return if same {
                Outcome::PaymentBegun
            } else {
                Outcome::UnknownPayment
            };
        }
        let due = self.held(ordinal, row).total;
        if amount != due {
            return Outcome::WrongAmount { due };
        }
        if row.status != OrderStatus::Held {
            return Outcome::NotHeld;
        }
        self.put_payment(
            ordinal,
            payment,
            PaymentRow::new(amount, PaymentState::Begun),
        );
        effects.on(Effect::PaymentBegun {
            order,
            payment,
            amount,
        });
        Outcome::PaymentBegun
    }

    pub(super) fn confirm_payment<E: Effects>(
        &mut self,
        order: OrderId,
        payment: PaymentRef,
        amount: Money,
        effects: &mut E,
    ) -> Outcome {
        let Some((ordinal, row)) = self.find_order(order) else {
            return Outcome::UnknownOrder;
        };
        if let Some(known) = self.payments.get(&(ordinal, payment)) {
            let first = match known.state {
                PaymentState::Bought => Some(Outcome::Paid),
                PaymentState::InVain => Some(Outcome::RefundDue {
                    amount: known.amount,
                }),
                PaymentState::Begun | PaymentState::Abandoned => None,
            };
            if let Some(first) = first {
                let due = known.amount;
                return if amount == due {
                    first
                } else {
                    Outcome::WrongAmount { due }
                };
            }
        }
        let due = self.held(ordinal, row).total;
        if amount != due {
            return Outcome::WrongAmount { due };
        }
        let retaken = match row.status {
            OrderStatus::Held => false,
            OrderStatus::Expired | OrderStatus::Cancelled if self.retakable(ordinal, row) => true,
            OrderStatus::Expired | OrderStatus::Cancelled | OrderStatus::Paid => {
                let mut in_vain = PaymentRow::new(amount, PaymentState::InVain);
                in_vain.refund_due = amount;
                self.put_payment(ordinal, payment, in_vain);
                let settled = Money::ZERO;
                effects.on(Effect::RefundDue {
                    order,
                    payment,
                    total: amount,
                    settled,
                });
                return Outcome::RefundDue { amount };
            }
        };
        self.put_payment(
            ordinal,
            payment,
            PaymentRow::new(amount, PaymentState::Bought),
        );
        self.sell(ordinal, retaken, effects);
        effects.on(Effect::OrderPaid {
            order,
            payment,
            amount,
            retaken,
        });
        Outcome::Paid
    }

    /// Moves the units of an order to sold: from held, or (retaken) from free.
    fn sell<E: Effects>(&mut self, ordinal: u64, retaken: bool, effects: &mut E) {
        let (lines, buyer, coupon) = self.parts(ordinal);
        if retaken {
            self.move_units(&lines, buyer, OrderStatus::Paid, effects);
            if let Some(coupon) = coupon {
                self.use_coupon(coupon, buyer);
            }
        } else {
            for &Line { sku, qty } in &lines {
                self.change_books(sku, |books| {
                    books.held = books.held.minus(qty)?;
                    books.sold = books.sold.plus(qty)?;
                    Some(())
                });
                self.stock_effect(sku, effects);
            }
        }
        let at = self.at.0;
        self.change_order(ordinal, |row| {
            row.status = OrderStatus::Paid;
            row.ended_at = at;
        });
        if !retaken {
            self.forget_later(ordinal);
        }
    }

    pub(super) fn abandon_payment<E: Effects>(
        &mut self,
        order: OrderId,
        payment: PaymentRef,
        effects: &mut E,
    ) -> Outcome {
        let Some((ordinal, _)) = self.find_order(order) else {
            return Outcome::UnknownOrder;
        };
        match self.payments.get(&(ordinal, payment)).copied() {
            Some(row) if row.state == PaymentState::Begun => {
                let row = PaymentRow {
                    state: PaymentState::Abandoned,
                    ..row
                };
                self.put_payment(ordinal, payment, row);
                effects.on(Effect::PaymentAbandoned { order, payment });
                Outcome::PaymentAbandoned
            }
            Some(row) if row.state == PaymentState::Abandoned => Outcome::PaymentAbandoned,
            _ => Outcome::UnknownPayment,
        }
    }

    pub(super) fn settle_refund<E: Effects>(
        &mut self,
        order: OrderId,
        payment: PaymentRef,
        amount: Money,
        effects: &mut E,
    ) -> Outcome {
        let Some((ordinal, _)) = self.find_order(order) else {
            return Outcome::UnknownOrder;
        };
        let known = self.payments.get(&(ordinal, payment)).copied();
        let Some(mut row) = known.filter(|row| row.refund_due > Money::ZERO) else {
            return Outcome::UnknownPayment;
        };
        if amount > row.refund_due {
            return Outcome::WrongAmount {
                due: row.refund_due,
            };
        }
        if amount > row.refund_settled {
            row.refund_settled = amount;
            self.put_payment(ordinal, payment, row);
            let (total, settled) = (row.refund_due, amount);
            effects.on(Effect::RefundSettled {
                order,
                payment,
                total,
                settled,
            });
        }
        Outcome::RefundSettled {
            amount: row.refund_settled,
        }
    }

    pub(super) fn cancel<E: Effects>(&mut self, order: OrderId, effects: &mut E) -> Outcome {
        let Some((ordinal, row)) = self.find_order(order) else {
            return Outcome::UnknownOrder;
        };
        match row.status {
            OrderStatus::Cancelled => Outcome::Cancelled,
            OrderStatus::Paid | OrderStatus::Expired => Outcome::NotHeld,
            OrderStatus::Held => {
                self.end_hold(ordinal, EndReason::Cancelled, effects);
                Outcome::Cancelled
            }
        }
    }

    /// Gives back all that a held order had taken.
    pub(super) fn end_hold<E: Effects>(&mut self, ordinal: u64, why: EndReason, effects: &mut E) {
        let (lines, buyer, coupon) = self.parts(ordinal);
        for &Line { sku, qty } in &lines {
            self.change_books(sku, |books| {
                books.held = books.held.minus(qty)?;
                books.free = books.free.plus(qty)?;
                Some(())
            });
            self.give_back_taken(buyer, sku, qty);
            self.stock_effect(sku, effects);
        }
        if let Some(coupon) = coupon {
            self.free_coupon(coupon, buyer);
        }
        let at = self.at.0;
        self.change_order(ordinal, |row| {
            row.status = match why {
                EndReason::Expired => OrderStatus::Expired,
                EndReason::Cancelled => OrderStatus::Cancelled,
            };
            row.ended_at = at;
        });
        self.forget_later(ordinal);
        if E::WANTED
            && let Some(order) = OrderId::new(self.cell, buyer, ordinal)
        {
            effects.on(Effect::OrderEnded { order, why });
        }
    }

    fn parts(&self, ordinal: u64) -> (Vec<Line>, crate::BuyerId, Option<crate::CouponId>) {
        let row = self.orders.get(ordinal).expect("the caller found it");
        let lines = self
            .lines_of(ordinal, row)
            .into_iter()
            .map(|(line, _, _)| line)
            .collect();
        (lines, row.buyer(), row.coupon())
    }

    pub(super) fn change_order(&mut self, ordinal: u64, change: impl FnOnce(&mut OrderRow)) {
        let row = self.orders.get_mut(ordinal).expect("the caller found it");
        self.digest.remove(row.hash(ordinal));
        change(row);
        self.digest.add(row.hash(ordinal));
    }

    pub(super) fn return_units<E: Effects>(
        &mut self,
        request: RequestId,
        order: OrderId,
        asked: &[(LineIndex, Qty)],
        effects: &mut E,
    ) -> Outcome {
        let content = ActContent::Return {
            order,
            lines: asked.to_vec(),
        };
        if let Some(outcome) = self.remembered(request, &content) {
            return outcome;
        }
        if let Err(malformed) = well_formed_return(asked) {
            return Outcome::Malformed(malformed);
        }
        let Some((ordinal, row)) = self.find_order(order) else {
            return Outcome::UnknownOrder;
        };
        if row.status != OrderStatus::Paid {
            return Outcome::NotPaid;
        }
        let buyer = row.buyer();
        let mut lines = self.lines_of(ordinal, row);
        for &(line, qty) in asked {
            let kept = lines.get(usize::from(line.0));
            let left = kept.map_or(Qty::ZERO, |(l, _, returned)| Qty(l.qty.0 - returned.0));
            if qty > left {
                return Outcome::NotReturnable { line, left };
            }
        }
        let mut units = Qty::ZERO;
        for &(index, qty) in asked {
            let (Line { sku, .. }, _, returned) = &mut lines[usize::from(index.0)];
            *returned = returned.plus(qty).expect("checked above");
            // At most a thousand lines of a million units.
            units = units.plus(qty).expect("bounded");
            let sku = *sku;
            self.change_books(sku, |books| {
                books.sold = books.sold.minus(qty)?;
                books.free = books.free.plus(qty)?;
                Some(())
            });
            self.give_back_taken(buyer, sku, qty);
            self.mark_returned(ordinal, index, qty);
            self.stock_effect(sku, effects);
            effects.on(Effect::UnitsReturned {
                order,
                line: index,
                sku,
                qty,
            });
        }
        let refund = self.owe_return(ordinal, order, &lines, effects);
        self.remember(request, content, Outcome::Returned { refund, units })
    }

    fn mark_returned(&mut self, ordinal: u64, index: LineIndex, qty: Qty) {
        let many = self.orders.get(ordinal).is_some_and(|row| row.many);
        if many {
            let kept = self
                .lines
                .get_mut(&ordinal)
                .expect("orders with many lines keep them");
            let line = &mut kept[usize::from(index.0)];
            self.digest.remove(line.hash(ordinal, index.0));
            line.returned = line.returned.plus(qty).expect("checked by the caller");
            self.digest.add(line.hash(ordinal, index.0));
        } else {
            self.change_order(ordinal, |row| {
                row.returned = row.returned.plus(qty).expect("checked by the caller");
            });
        }
    }

    /// Books what a return owes on the payment that bought the order; gives the difference.
    fn owe_return<E: Effects>(
        &mut self,
        ordinal: u64,
        order: OrderId,
        lines: &[(Line, Money, Qty)],
        effects: &mut E,
    ) -> Money {
        let row = self.orders.get(ordinal).expect("the caller found it");
        let (gross, total) = (self.gross(row).0, self.held(ordinal, row).total);
        let value = lines.iter().fold(Money::ZERO, |sum, (_, price, returned)| {
            sum.plus(super::line_total(*price, *returned))
                .expect("at most the gross")
        });
        let due = total.share(value, gross).unwrap_or(Money::ZERO);
        let bought =
            |(_, row): &(&(u64, PaymentRef), &PaymentRow)| row.state == PaymentState::Bought;
        let of_order = (ordinal, PaymentRef(0))..=(ordinal, PaymentRef(u128::MAX));
        let (&(_, payment), &found) = self
            .payments
            .range(of_order)
            .find(bought)
            .expect("a paid order has its payment");
        let refund = due.minus(found.refund_due).expect("what is due only grows");
        self.put_payment(
            ordinal,
            payment,
            PaymentRow {
                refund_due: due,
                ..found
            },
        );
        if refund > Money::ZERO {
            let settled = found.refund_settled;
            effects.on(Effect::RefundDue {
                order,
                payment,
                total: due,
                settled,
            });
        }
        refund
    }
}

impl PaymentRow {
    fn new(amount: Money, state: PaymentState) -> PaymentRow {
        PaymentRow {
            amount,
            state,
            refund_due: Money::ZERO,
            refund_settled: Money::ZERO,
        }
    }
    pub(super) fn open(&self) -> bool {
        self.state == PaymentState::Begun || self.refund_settled < self.refund_due
    }
    pub(super) fn hash(&self, ordinal: u64, payment: PaymentRef) -> u64 {
        RowHash::new(8)
            .word(ordinal ^ (self.state as u64) << 60)
            .wide(payment.0)
            .word(self.amount.0 as u64)
            .word(self.refund_due.0 as u64)
            .word(self.refund_settled.0 as u64)
            .finish()
    }
}

impl super::LineRow {
    /// Only what changes after the order was accepted needs to be in the digest.
    pub(super) fn hash(&self, ordinal: u64, index: u16) -> u64 {
        RowHash::new(9)
            .word(ordinal)
            .word(u64::from(index) << 32 | u64::from(self.line.sku.0))
            .word(u64::from(self.line.qty.0) << 32 | u64::from(self.returned.0))
            .word(self.price.0 as u64)
            .finish()
    }
}

fn well_formed_return(asked: &[(LineIndex, Qty)]) -> Result<(), MalformedLines> {
    if asked.is_empty() {
        return Err(MalformedLines::Empty);
    }
    if asked.len() > limits::LINES_PER_ORDER_MAX {
        return Err(MalformedLines::TooMany);
    }
    let mut seen = std::collections::BTreeSet::new();
    for &(line, qty) in asked {
        if qty == Qty::ZERO {
            return Err(MalformedLines::Quantity { line });
        }
        if !seen.insert(line) {
            return Err(MalformedLines::Twice { line });
        }
    }
    Ok(())
}
