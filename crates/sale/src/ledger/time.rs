//! Time passing: holds end, ended orders and remembered requests leave memory.

use super::orders::OrderStatus;
use super::{Effect, Effects, Ledger, OrderId, Outcome};
use crate::outcome::EndReason;
use crate::{At, Millis, PaymentRef, limits};

/// Forgetting is done by whole seconds, so that one queue entry serves many.
const FORGET_GRAIN_MS: u64 = 1_000;

/// When something that ended at `from` may be forgotten.
pub(super) fn due(from: At, window: Millis) -> u64 {
    from.plus(window)
        .0
        .div_ceil(FORGET_GRAIN_MS)
        .saturating_mul(FORGET_GRAIN_MS)
}

impl Ledger {
    /// The instant at which the next tick has something to do; `None` while nothing waits.
    pub fn next_due(&self) -> Option<At> {
        let hold = self.deadlines.keys().next().copied();
        let order = self.forget_orders.first().map(|(due, _)| *due);
        let act = self.forget_acts.first().map(|(due, _)| *due);
        [hold, order, act].into_iter().flatten().min().map(At)
    }

    pub(super) fn tick<E: Effects>(&mut self, effects: &mut E) -> Outcome {
        let ended = self.end_holds(effects);
        let orders = self.forget_orders_due(effects);
        let acts = self.forget_acts_due();
        Outcome::Ticked {
            ended,
            forgotten: orders + acts,
        }
    }

    fn end_holds<E: Effects>(&mut self, effects: &mut E) -> u32 {
        let mut ended = 0;
        while let Some(bucket) = self.deadlines.first_entry() {
            if *bucket.key() > self.at.0 {
                break;
            }
            let (pay_by, ordinals) = bucket.remove_entry();
            for (index, &ordinal) in ordinals.iter().enumerate() {
                let held = |row: &super::OrderRow| row.status == OrderStatus::Held;
                if !self.orders.get(ordinal).is_some_and(held) {
                    continue;
                }
                if ended as usize == limits::HOLDS_ENDED_PER_TICK_MAX {
                    self.deadlines.insert(pay_by, ordinals[index..].to_vec());
                    return ended;
                }
                self.end_hold(ordinal, EndReason::Expired, effects);
                ended += 1;
            }
        }
        ended
    }

    /// Queues an order that has just been paid or whose hold has just ended.
    pub(super) fn forget_later(&mut self, ordinal: u64) {
        let due = self.forget_due(ordinal);
        self.queue_forget(ordinal, due);
    }

    /// The digest holds the queue, since it decides what is forgotten when.
    pub(super) fn queue_forget(&mut self, ordinal: u64, due: u64) {
        self.forget_orders.insert((due, ordinal));
        self.digest.add(queue_hash(due, ordinal));
    }

    fn forget_due(&self, ordinal: u64) -> u64 {
        let row = self.orders.get(ordinal).expect("queued orders are kept");
        let window = match row.status {
            OrderStatus::Paid => self.windows.returns,
            OrderStatus::Held | OrderStatus::Expired | OrderStatus::Cancelled => {
                self.windows.remember
            }
        };
        due(At(row.ended_at), window)
    }

    fn forget_orders_due<E: Effects>(&mut self, effects: &mut E) -> u32 {
        let mut forgotten = 0;
        while let Some(&(queued, ordinal)) = self.forget_orders.first() {
            if queued > self.at.0 || forgotten as usize == limits::FORGOTTEN_PER_TICK_MAX {
                break;
            }
            self.forget_orders.remove(&(queued, ordinal));
            self.digest.remove(queue_hash(queued, ordinal));
            let due_now = self.forget_due(ordinal);
            if due_now > self.at.0 {
                self.queue_forget(ordinal, due_now);
            } else if self.has_open_payment(ordinal) {
                let later = due(self.at, self.windows.remember);
                self.queue_forget(ordinal, later);
            } else {
                self.forget_order(ordinal, effects);
                forgotten += 1;
            }
        }
        forgotten
    }

    fn has_open_payment(&self, ordinal: u64) -> bool {
        self.payments_of(ordinal).any(|(_, row)| row.open())
    }

    fn payments_of(&self, ordinal: u64) -> impl Iterator<Item = (PaymentRef, super::PaymentRow)> {
        let range = (ordinal, PaymentRef(0))..=(ordinal, PaymentRef(u128::MAX));
        self.payments
            .range(range)
            .map(|((_, payment), row)| (*payment, *row))
    }

    fn forget_order<E: Effects>(&mut self, ordinal: u64, effects: &mut E) {
        let payments: Vec<_> = self.payments_of(ordinal).collect();
        for (payment, row) in payments {
            self.digest.remove(row.hash(ordinal, payment));
            self.payments.remove(&(ordinal, payment));
        }
        let row = self.orders.get(ordinal).expect("queued orders are kept");
        let (request, buyer) = (row.request(), row.buyer());
        self.unindex_request(request, ordinal);
        let row = self.orders.remove(ordinal).expect("found above");
        self.digest.remove(row.hash(ordinal));
        if let Some(lines) = self.lines.remove(&ordinal) {
            for (index, line) in lines.iter().enumerate() {
                self.digest.remove(line.hash(ordinal, index as u16));
            }
        }
        if E::WANTED
            && let Some(order) = OrderId::new(self.cell, buyer, ordinal)
        {
            effects.on(Effect::OrderForgotten { order });
        }
    }

    fn forget_acts_due(&mut self) -> u32 {
        let mut forgotten = 0;
        while let Some(&(due, request)) = self.forget_acts.first() {
            if due > self.at.0 || forgotten as usize == limits::FORGOTTEN_PER_TICK_MAX {
                break;
            }
            self.forget_acts.remove(&(due, request));
            let act = self
                .acts
                .remove(&request)
                .expect("queued requests are kept");
            self.digest.remove(act.hash(request));
            forgotten += 1;
        }
        forgotten
    }
}

pub(super) fn queue_hash(due: u64, ordinal: u64) -> u64 {
    super::RowHash::new(10).word(due).word(ordinal).finish()
}
