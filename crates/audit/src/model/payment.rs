//! Payments and refunds: the four commands of the table.

use super::{Model, Payment, Status};
use sale::{At, Money, OrderId, Outcome, PaymentRef};

impl Model {
    pub(super) fn begin_payment(
        &mut self,
        id: OrderId,
        payment: PaymentRef,
        amount: Money,
    ) -> Outcome {
        let Some(index) = self.find(id) else {
            return Outcome::UnknownOrder;
        };
        let order = &mut self.orders[index];
        match order.payments.get(&payment) {
            Some(Payment::Begun { amount: before }) if *before == amount => {
                return Outcome::PaymentBegun;
            }
            Some(_) => return Outcome::UnknownPayment,
            None => {}
        }
        if amount != order.total {
            return Outcome::WrongAmount { due: order.total };
        }
        if order.status != Status::Held {
            return Outcome::NotHeld;
        }
        order.payments.insert(payment, Payment::Begun { amount });
        Outcome::PaymentBegun
    }

    pub(super) fn confirm_payment(
        &mut self,
        at: At,
        id: OrderId,
        payment: PaymentRef,
        amount: Money,
    ) -> Outcome {
        let Some(index) = self.find(id) else {
            return Outcome::UnknownOrder;
        };
        let order = &self.orders[index];
        if let Some(Payment::Confirmed {
            amount: captured,
            answer,
            ..
        }) = order.payments.get(&payment)
        {
            return if *captured == amount {
                *answer
            } else {
                Outcome::WrongAmount { due: *captured }
            };
        }
        if amount != order.total {
            return Outcome::WrongAmount { due: order.total };
        }
        let buys = match order.status {
            Status::Held => true,
            Status::Paid { .. } => false,
            Status::Ended { .. } => {
                let possible = self.can_take_back(index);
                if possible {
                    let order = &self.orders[index];
                    self.tally.hold(order);
                }
                possible
            }
        };
        let (answer, due) = if buys {
            self.sell(index, at, payment);
            (Outcome::Paid, Money::ZERO)
        } else {
            (Outcome::RefundDue { amount }, amount)
        };
        let confirmed = Payment::Confirmed {
            amount,
            answer,
            due,
            settled: Money::ZERO,
        };
        self.orders[index].payments.insert(payment, confirmed);
        answer
    }

    /// The units are among the held ones; now they are sold.
    fn sell(&mut self, index: usize, at: At, by: PaymentRef) {
        let order = &mut self.orders[index];
        self.holds.remove(&(order.pay_by, order.id.ordinal()));
        order.status = Status::Paid { at, by };
        self.tally.sell(&self.orders[index]);
        self.queue(index);
    }

    /// "Every line is free in full, no line exceeds the buyer's limit as it is now, and the coupon
    /// is neither used by this buyer again nor exhausted."
    fn can_take_back(&self, index: usize) -> bool {
        let order = &self.orders[index];
        let lines_fit = order.lines.iter().all(|line| {
            let taken = self.tally.taken(order.buyer, line.sku);
            let limit = self.skus[line.sku.0 as usize].terms.buyer_limit;
            let within = limit
                .is_none_or(|l| u64::from(taken) + u64::from(line.qty.0) <= u64::from(l.get()));
            within && self.free(line.sku) >= line.qty.0
        });
        let coupon_fits = order.coupon.is_none_or(|coupon| {
            self.tally.uses_of(coupon, order.buyer) == 0
                && self.tally.uses(coupon) < self.coupons[coupon.0 as usize].quota.0
        });
        lines_fit && coupon_fits
    }

    pub(super) fn abandon_payment(&mut self, id: OrderId, payment: PaymentRef) -> Outcome {
        let Some(index) = self.find(id) else {
            return Outcome::UnknownOrder;
        };
        match self.orders[index].payments.get_mut(&payment) {
            None | Some(Payment::Confirmed { .. }) => Outcome::UnknownPayment,
            Some(known) => {
                *known = Payment::Abandoned;
                Outcome::PaymentAbandoned
            }
        }
    }

    pub(super) fn settle_refund(
        &mut self,
        id: OrderId,
        payment: PaymentRef,
        amount: Money,
    ) -> Outcome {
        let Some(index) = self.find(id) else {
            return Outcome::UnknownOrder;
        };
        match self.orders[index].payments.get_mut(&payment) {
            Some(Payment::Confirmed { due, settled, .. }) if *due > Money::ZERO => {
                if amount > *due {
                    return Outcome::WrongAmount { due: *due };
                }
                *settled = amount.max(*settled);
                Outcome::RefundSettled { amount: *settled }
            }
            _ => Outcome::UnknownPayment,
        }
    }
}
