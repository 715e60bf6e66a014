//! The payment channel and the shop's worker for it: attempts are journalled before the capture,
//! notices come late, twice, or again after a crash, and money that is due goes back. What the
//! channel took is its own ledger, which the auditor is given in the end.

use crate::flight::Errand;
use crate::world::World;
use audit::{Capture, Payment, PaymentAnswer};
use engine::Reply;
use sale::{Command, Money, OrderId, Outcome, PaymentRef};

/// One attempt to pay.
#[derive(Debug)]
pub(crate) struct Pay {
    pub order: OrderId,
    wish: usize,
    reference: PaymentRef,
    amount: Money,
    stage: Stage,
    /// Messages under way for it.
    outstanding: u32,
    /// To be given back in all; given back by the channel; known to be settled.
    due: Money,
    pub refunded: Money,
    settled: Money,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// To be journalled before the channel is asked.
    Begin,
    AtChannel {
        decides_at: u64,
    },
    Declined,
    Captured,
    Paid,
    RefundDue,
    Over,
}

impl Pay {
    pub fn is_paid(&self) -> bool {
        self.stage == Stage::Paid
    }
    pub fn reference(&self) -> PaymentRef {
        self.reference
    }
    fn needs_nothing(&self) -> bool {
        let rests = matches!(self.stage, Stage::Paid | Stage::RefundDue | Stage::Over);
        rests && self.outstanding == 0 && self.settled == self.due
    }
}

impl World {
    /// A buyer pays.
    pub(crate) fn pay(&mut self, wish: usize, (order, amount): (OrderId, Money)) {
        self.wishes[wish].paying = true;
        let reference = PaymentRef(self.name());
        let pay = self.pays.len();
        self.pays.push(Pay {
            order,
            wish,
            reference,
            amount,
            stage: Stage::Begin,
            outstanding: 0,
            due: Money::ZERO,
            refunded: Money::ZERO,
            settled: Money::ZERO,
        });
        self.open_pays.push(pay);
        self.send_begin(pay);
    }

    /// Another attempt whose money comes back because the first one bought.
    fn pay_again(&mut self, pay: usize) {
        let (wish, order, amount) = (
            self.pays[pay].wish,
            self.pays[pay].order,
            self.pays[pay].amount,
        );
        self.pay(wish, (order, amount));
    }

    /// A return makes money due.
    pub(crate) fn owe(&mut self, pay: usize, refund: Money) {
        self.pays[pay].due.0 += refund.0;
        if !self.open_pays.contains(&pay) {
            self.open_pays.push(pay);
        }
    }

    fn dispatch(&mut self, pay: usize, errand: Errand, command: Command) {
        self.pays[pay].outstanding += 1;
        self.send(errand, command);
    }

    fn send_begin(&mut self, id: usize) {
        let Pay {
            order,
            reference: payment,
            amount,
            ..
        } = self.pays[id];
        if self.dice.percent(4) {
            let amount = Money(amount.0 + 1);
            self.send(
                Errand::Stray,
                Command::BeginPayment {
                    order,
                    payment,
                    amount,
                },
            );
        }
        let command = Command::BeginPayment {
            order,
            payment,
            amount,
        };
        self.dispatch(id, Errand::Begin { pay: id }, command);
    }

    fn send_confirm(&mut self, id: usize) {
        let Pay {
            order,
            reference: payment,
            amount,
            ..
        } = self.pays[id];
        if self.dice.percent(3) {
            let amount = Money(amount.0 - 1);
            self.send(
                Errand::Stray,
                Command::ConfirmPayment {
                    order,
                    payment,
                    amount,
                },
            );
        }
        let command = Command::ConfirmPayment {
            order,
            payment,
            amount,
        };
        self.dispatch(id, Errand::Confirm { pay: id }, command);
    }

    /// The channel, or the worker, does the next thing for one payment.
    pub(crate) fn channel_acts(&mut self) {
        if self.open_pays.is_empty() {
            if !self.pays.is_empty() && !self.draining && self.dice.percent(30) {
                let pay = self.dice.place(self.pays.len());
                self.stray(pay);
            }
            return;
        }
        let at = self.dice.place(self.open_pays.len());
        let id = self.open_pays[at];
        if self.pays[id].needs_nothing() {
            self.open_pays.swap_remove(at);
            if self.pays[id].stage != Stage::Paid {
                let wish = self.pays[id].wish;
                self.wishes[wish].paying = false;
            }
            return;
        }
        if self.pays[id].outstanding > 0 {
            return;
        }
        let Pay {
            order,
            reference: payment,
            due,
            ..
        } = self.pays[id];
        match self.pays[id].stage {
            Stage::Begin => self.send_begin(id),
            Stage::AtChannel { decides_at } if self.now >= decides_at => self.decide(id),
            Stage::AtChannel { .. } => {}
            Stage::Declined => {
                let command = Command::AbandonPayment { order, payment };
                self.dispatch(id, Errand::Abandon { pay: id }, command);
            }
            Stage::Captured => self.send_confirm(id),
            Stage::Paid | Stage::RefundDue => {
                // The channel first, then the journal: a crash between the two is asked again.
                self.pays[id].refunded = due;
                let command = Command::SettleRefund {
                    order,
                    payment,
                    amount: due,
                };
                self.dispatch(
                    id,
                    Errand::Settle {
                        pay: id,
                        amount: due,
                    },
                    command,
                );
            }
            Stage::Over => {}
        }
    }

    /// Notices and questions that nobody asked for: they must change nothing.
    fn stray(&mut self, id: usize) {
        let Pay {
            order,
            reference: payment,
            amount,
            stage,
            due,
            ..
        } = self.pays[id];
        let command = match (stage, self.dice.below(5)) {
            (Stage::Paid, 0) => return self.pay_again(id),
            (Stage::Paid | Stage::RefundDue, 1) => {
                return self.dispatch(
                    id,
                    Errand::Confirm { pay: id },
                    Command::ConfirmPayment {
                        order,
                        payment,
                        amount,
                    },
                );
            }
            (Stage::Paid | Stage::RefundDue, 2) => Command::AbandonPayment { order, payment },
            (_, 3) => Command::SettleRefund {
                order,
                payment,
                amount: Money(due.0 + 1),
            },
            (_, 4) => Command::Cancel { order },
            _ => return,
        };
        self.send(Errand::Stray, command);
    }

    fn decide(&mut self, id: usize) {
        let Pay {
            order,
            reference: payment,
            amount,
            ..
        } = self.pays[id];
        if self.dice.percent(82) {
            self.trace.happened(self.now, "(captured)", &[id as u64]);
            self.captures.push(Capture {
                order,
                payment,
                amount,
            });
            self.pays[id].stage = Stage::Captured;
            self.send_confirm(id);
            if self.dice.percent(20) {
                self.send_confirm(id);
            }
        } else {
            self.trace.happened(self.now, "(declined)", &[id as u64]);
            self.pays[id].stage = Stage::Declined;
            self.told(id, PaymentAnswer::Declined);
        }
    }

    fn told(&mut self, id: usize, answer: PaymentAnswer) {
        let Pay {
            order,
            reference,
            amount,
            ..
        } = self.pays[id];
        self.payments.push(Payment {
            order,
            payment: Some(reference),
            amount,
            answer,
        });
    }

    pub(crate) fn begun(&mut self, id: usize, reply: Option<Reply>) {
        self.pays[id].outstanding -= 1;
        let Some(Ok(answer)) = reply else { return };
        if self.pays[id].stage != Stage::Begin {
            return;
        }
        if answer.outcome == Outcome::PaymentBegun {
            let late = self.dice.percent(30);
            let delay = if late {
                150 + self.dice.below(600)
            } else {
                self.dice.below(50)
            };
            self.pays[id].stage = Stage::AtChannel {
                decides_at: self.now + delay,
            };
            self.told(id, PaymentAnswer::Pending);
        } else {
            self.pays[id].stage = Stage::Over;
            self.told(id, PaymentAnswer::Refused);
        }
    }

    pub(crate) fn confirmed(&mut self, id: usize, reply: Option<Reply>) {
        self.pays[id].outstanding -= 1;
        let Some(Ok(answer)) = reply else {
            return self.told(id, PaymentAnswer::Unknown);
        };
        let first = self.pays[id].stage == Stage::Captured;
        match answer.outcome {
            Outcome::Paid => {
                if first {
                    self.pays[id].stage = Stage::Paid;
                }
                self.told(id, PaymentAnswer::Paid);
            }
            Outcome::RefundDue { amount } => {
                if first {
                    self.pays[id].stage = Stage::RefundDue;
                    self.pays[id].due = amount;
                }
                self.told(id, PaymentAnswer::RefundDue);
            }
            // Repeated so late that the order is forgotten.
            _ if !first => {}
            _ => self.pays[id].stage = Stage::Over,
        }
    }

    pub(crate) fn abandoned(&mut self, id: usize, reply: Option<Reply>) {
        self.pays[id].outstanding -= 1;
        if let Some(Ok(_)) = reply {
            self.pays[id].stage = Stage::Over;
        }
    }

    pub(crate) fn settled(&mut self, id: usize, amount: Money, reply: Option<Reply>) {
        self.pays[id].outstanding -= 1;
        if let Some(Ok(answer)) = reply {
            // Forgotten since an earlier attempt settled it: that answer was lost on its way.
            if !matches!(
                answer.outcome,
                Outcome::RefundSettled { .. } | Outcome::UnknownOrder
            ) {
                let Pay {
                    order, reference, ..
                } = self.pays[id];
                let outcome = answer.outcome;
                self.finding(format!(
                    "refund of {amount} for payment {reference} of order {order}: {outcome:?}"
                ));
            }
            self.pays[id].settled = amount;
        }
    }
}
