//! Time: holds that end, things that are forgotten.

use super::{FORGET_GRAIN_MS, Model, Payment, Remembered, Status, round_up};
use sale::{At, EndReason, Outcome, limits};

impl Model {
    pub(super) fn tick(&mut self, at: At) -> Outcome {
        let mut ended = 0;
        while ended < limits::HOLDS_ENDED_PER_TICK_MAX {
            match self.holds.first().copied() {
                Some((pay_by, ordinal)) if pay_by <= at => {
                    self.end_hold(ordinal as usize - 1, at, EndReason::Expired);
                    ended += 1;
                }
                _ => break,
            }
        }
        let forgotten = self.forget_orders(at) + self.forget_requests(at);
        Outcome::Ticked {
            ended: ended as u32,
            forgotten: forgotten as u32,
        }
    }

    /// Units, allowance and coupon come back; the order starts to leave.
    pub(super) fn end_hold(&mut self, index: usize, at: At, why: EndReason) {
        let order = &mut self.orders[index];
        self.holds.remove(&(order.pay_by, order.id.ordinal()));
        order.status = Status::Ended { at, why };
        self.tally.release(&self.orders[index]);
        self.queue(index);
    }

    /// "First of the two only": whoever is in the queue stays where it is.
    pub(super) fn queue(&mut self, index: usize) {
        if !self.orders[index].queued {
            self.orders[index].queued = true;
            let due = self.due(index);
            self.leaving.insert((due, index as u64 + 1));
        }
    }

    /// When an order may be forgotten, by its status and the windows of now.
    fn due(&self, index: usize) -> At {
        let due = match self.orders[index].status {
            Status::Ended { at, .. } => at.plus(self.windows.remember),
            Status::Paid { at, .. } => at.plus(self.windows.returns),
            Status::Held => unreachable!("a held order is in no queue"),
        };
        round_up(due, FORGET_GRAIN_MS)
    }

    fn forget_orders(&mut self, at: At) -> usize {
        let mut forgotten = 0;
        while forgotten < limits::FORGOTTEN_PER_TICK_MAX {
            let Some((due, ordinal)) = self.leaving.first().copied() else {
                break;
            };
            if due > at {
                break;
            }
            self.leaving.remove(&(due, ordinal));
            let index = ordinal as usize - 1;
            let again = self.due(index);
            if again > at {
                self.leaving.insert((again, ordinal));
            } else if self.money_is_open(index) {
                let later = round_up(at.plus(self.windows.remember), FORGET_GRAIN_MS);
                self.leaving.insert((later, ordinal));
            } else {
                let order = &mut self.orders[index];
                order.forgotten = true;
                self.requests.remove(&order.request);
                forgotten += 1;
            }
        }
        forgotten
    }

    /// A payment begun and undecided, or a refund that has not gone in full.
    fn money_is_open(&self, index: usize) -> bool {
        self.orders[index]
            .payments
            .values()
            .any(|payment| match payment {
                Payment::Begun { .. } => true,
                Payment::Abandoned => false,
                Payment::Confirmed { due, settled, .. } => settled < due,
            })
    }

    fn forget_requests(&mut self, at: At) -> usize {
        let mut forgotten = 0;
        while forgotten < limits::FORGOTTEN_PER_TICK_MAX {
            let Some((due, request)) = self.leaving_requests.first().copied() else {
                break;
            };
            if due > at {
                break;
            }
            self.leaving_requests.remove(&(due, request));
            let gone = self.requests.remove(&request);
            debug_assert!(!matches!(gone, None | Some(Remembered::Order { .. })));
            forgotten += 1;
        }
        forgotten
    }
}
