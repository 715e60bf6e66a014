//! The clients' side of an audit, put to the journal's: was everybody told the truth, and the same
//! each time? Receipts stream in, in any order; only one small row a request is kept.

use crate::auditor::{Auditor, Booking, Order, State};
use crate::check::{SkuResult, Verdict, names};
use crate::limits::FLOOD_DEMAND_FACTOR;
use crate::receipt::{
    Answer, CancelAnswer, Cancellation, Capture, Code, Payment, PaymentAnswer, Receipt, Refund,
};
use sale::{At, Money, OrderId, PaymentRef, Qty, RequestId, SkuId};
use std::collections::{BTreeMap, BTreeSet};

/// Takes receipts and the channel's ledger; [`Hearing::verdict`] ends it.
#[derive(Debug)]
pub struct Hearing {
    journal: Auditor,
    requests: BTreeMap<RequestId, Heard>,
    known: BTreeMap<u64, Known>,
    demand: BTreeMap<SkuId, u64>,
    captures: Option<BTreeSet<(OrderId, PaymentRef)>>,
}

/// All that was heard about one request id.
#[derive(Debug, Default)]
struct Heard {
    accepted: Option<(OrderId, Money, At)>,
    /// An attempt has no answer: it may have been accepted.
    unknown: bool,
    counted: bool,
}

/// What clients knew of one order, by their own clock.
#[derive(Debug, Default)]
struct Known {
    /// The earliest moment at which a client knew of the acceptance.
    from: Option<At>,
    /// The latest attempt for the same that was refused by the rules while it was remembered.
    refused_sent: Option<(At, Code)>,
}

impl Hearing {
    pub(crate) fn new(journal: Auditor) -> Hearing {
        Hearing {
            journal,
            requests: BTreeMap::new(),
            known: BTreeMap::new(),
            demand: BTreeMap::new(),
            captures: None,
        }
    }

    /// One attempt to place an order.
    pub fn receipt(&mut self, receipt: &Receipt) {
        match receipt.answer {
            Answer::Accepted {
                order,
                total,
                pay_by,
            } => {
                self.accepted(receipt, order, total, pay_by);
            }
            Answer::Refused { code, sku } => self.refused(receipt, code, sku),
            Answer::Unknown => {
                self.requests.entry(receipt.request).or_default().unknown = true;
            }
        }
        self.count_demand(receipt);
    }

    fn accepted(&mut self, receipt: &Receipt, id: OrderId, total: Money, pay_by: At) {
        let order = self.journal.orders.get(&id.ordinal());
        let found = order.is_some_and(|order| {
            (order.held.order, order.held.total, order.held.pay_by) == (id, total, pay_by)
                && order.request == receipt.request
                && same_content(order, receipt)
        });
        self.journal.tickets.look(names::ACKNOWLEDGED, found, || {
            format!(
                "request {} of buyer {} was answered order {id} (total {total}, pay by {pay_by}); \
                 the journal has {:?}",
                receipt.request,
                receipt.buyer,
                order.map(|o| (o.held, o.request, o.buyer))
            )
        });
        let answer = (id, total, pay_by);
        let heard = self.requests.entry(receipt.request).or_default();
        let first = *heard.accepted.get_or_insert(answer);
        if found {
            let known = self.known.entry(id.ordinal()).or_default();
            let from = known.from.get_or_insert(receipt.answered_at);
            *from = receipt.answered_at.min(*from);
        }
        // Two orders under one id are fine only when the first had been forgotten; whether it
        // could be was looked at when the journal accepted the second.
        let both_in_journal = first.0 != id && found;
        self.journal.tickets.look(
            names::ONE_ANSWER,
            first == answer || both_in_journal,
            || {
                format!(
                    "request {} was answered order {} (total {}, pay by {}) and order {id} \
                 (total {total}, pay by {pay_by})",
                    receipt.request, first.0, first.1, first.2
                )
            },
        );
    }

    fn refused(&mut self, receipt: &Receipt, code: Code, sku: Option<SkuId>) {
        if code == Code::SoldOut {
            self.was_short(receipt, sku);
        }
        self.requests.entry(receipt.request).or_default();
        if code == Code::NotAsked {
            return;
        }
        // A refusal that was asked for after the journal had accepted the same wish.
        let skew = self.journal.settings.clock_skew;
        let ids = (receipt.request, 0)..=(receipt.request, u64::MAX);
        for (_, ordinal) in self.journal.by_request.range(ids) {
            let Some(order) = self.journal.orders.get(ordinal) else {
                continue;
            };
            if !same_content(order, receipt) {
                continue;
            }
            let before = receipt.sent_at <= order.held_at.plus(skew);
            let free_from = self.journal.forgettable_from(*ordinal);
            let after = free_from.is_some_and(|t| t <= receipt.answered_at.plus(skew));
            if !after {
                let known = self.known.entry(*ordinal).or_default();
                known.refused_sent = known.refused_sent.max(Some((receipt.sent_at, code)));
            }
            self.journal.tickets.look(names::ONE_ANSWER, before || after, || {
                format!(
                    "request {} was accepted at {} as order {}; sent again at {} it was refused \
                     ({code:?})",
                    receipt.request, order.held_at, order.held.order, receipt.sent_at
                )
            });
        }
    }

    /// "Sold out" was true at some moment between question and answer.
    fn was_short(&mut self, receipt: &Receipt, named: Option<SkuId>) {
        let settings = self.journal.settings;
        let slack = settings.clock_skew.0.saturating_add(settings.answer_lag.0);
        let from = At(receipt.sent_at.0.saturating_sub(slack));
        let to = receipt.answered_at.plus(settings.clock_skew);
        let skus = &self.journal.skus;
        let mut lines = receipt.lines.as_slice().iter();
        let short = lines.any(|line| {
            named.is_none_or(|sku| sku == line.sku)
                && skus
                    .get(&line.sku)
                    .is_none_or(|b| b.timeline.fewest(from, to) < line.qty.0)
        });
        self.journal.tickets.look(names::SOLD_OUT_TRUE, short, || {
            format!(
                "request {} of buyer {} was told sold out between {from} and {to}, and all lines \
                 were free",
                receipt.request, receipt.buyer
            )
        });
    }

    /// Each request counts once, unless its answer says that it never could have bought.
    fn count_demand(&mut self, receipt: &Receipt) {
        let only = match receipt.answer {
            Answer::Accepted { .. } | Answer::Unknown => None,
            Answer::Refused {
                code: Code::SoldOut,
                sku,
            } => sku,
            Answer::Refused {
                code: Code::NotAsked,
                ..
            } => None,
            Answer::Refused { .. } => return,
        };
        let heard = self.requests.entry(receipt.request).or_default();
        if std::mem::replace(&mut heard.counted, true) {
            return;
        }
        for line in receipt.lines.as_slice() {
            if only.is_none_or(|sku| sku == line.sku) {
                *self.demand.entry(line.sku).or_default() += u64::from(line.qty.0);
            }
        }
    }

    /// One attempt to pay.
    pub fn payment(&mut self, receipt: &Payment) {
        let order = self.journal.orders.get(&receipt.order.ordinal());
        let order = order.filter(|order| order.held.order == receipt.order);
        let booked = receipt
            .payment
            .and_then(|r| self.journal.payments.get(&(receipt.order, r)));
        let tickets = &mut self.journal.tickets;
        let words = || format!("{receipt:?}; the journal has {order:?} and {booked:?}");
        match receipt.answer {
            PaymentAnswer::Paid => {
                let sold = order.is_some_and(|order| {
                    matches!(order.state, State::Paid { .. }) && order.held.total == receipt.amount
                });
                let by_it =
                    receipt.payment.is_none() || booked.is_some_and(|b| b.what == Booking::Paid);
                tickets.look(names::PAID, sold && by_it, words);
            }
            PaymentAnswer::RefundDue => {
                let all = (receipt.order, PaymentRef(0))..=(receipt.order, PaymentRef(u128::MAX));
                let mut payments = self.journal.payments.range(all);
                let due = payments.any(|((_, payment), b)| {
                    b.what == Booking::RefundDue && receipt.payment.is_none_or(|r| r == *payment)
                });
                tickets.look(names::REFUND_TOLD, due, words);
            }
            PaymentAnswer::Declined => {
                let open =
                    booked.is_none_or(|b| matches!(b.what, Booking::Begun | Booking::Abandoned));
                tickets.look(names::DECLINED, open, words);
            }
            PaymentAnswer::Pending | PaymentAnswer::Refused | PaymentAnswer::Unknown => {}
        }
    }

    /// One attempt to cancel.
    pub fn cancel(&mut self, receipt: &Cancellation) {
        if receipt.answer == CancelAnswer::Cancelled {
            let order = self.journal.orders.get(&receipt.order.ordinal());
            let cancelled = order.is_some_and(|o| o.held.order == receipt.order && o.cancelled);
            let id = receipt.order;
            self.journal.tickets.look(names::CANCELLED, cancelled, || {
                format!("order {id} was answered cancelled; the journal has {order:?}")
            });
        }
    }

    /// Says that the channel's ledger is at hand, even if it took nothing: from here on a booked
    /// payment without a capture is a failure.
    pub fn channel_ledger(&mut self) {
        self.captures.get_or_insert_default();
    }

    /// Money that the channel took.
    pub fn capture(&mut self, capture: &Capture) {
        self.captures
            .get_or_insert_default()
            .insert((capture.order, capture.payment));
        let booked = self.journal.payments.get(&(capture.order, capture.payment));
        let accounted = booked.is_some_and(|b| {
            matches!(b.what, Booking::Paid | Booking::RefundDue) && b.amount == capture.amount
        });
        self.journal.tickets.look(names::CAPTURED, accounted, || {
            format!("{capture:?}; the journal has {booked:?}")
        });
    }

    /// Money that the channel gave back for one payment, in all.
    pub fn refund(&mut self, refund: &Refund) {
        let booked = self.journal.payments.get(&(refund.order, refund.payment));
        // More than settled is a crash between the channel and the journal: it will be asked
        // again. More than due is money given away; less than settled was never given.
        let right = booked.is_some_and(|b| b.settled <= refund.amount && refund.amount <= b.due);
        self.journal.tickets.look(names::REFUNDS, right, || {
            format!("{refund:?}; the journal has {booked:?}")
        });
    }

    pub fn verdict(mut self) -> Verdict {
        self.compare_answers();
        self.compare_captures();
        let skus = self.sku_results();
        let (entries, orders, outcomes) = self.journal.counts();
        Verdict {
            checks: self.journal.tickets.checks(),
            skus,
            entries,
            orders,
            outcomes,
        }
    }

    fn compare_answers(&mut self) {
        for (request, heard) in &self.requests {
            let ids = (*request, 0)..=(*request, u64::MAX);
            let mut orders = self
                .journal
                .by_request
                .range(ids)
                .map(|(_, ordinal)| *ordinal);
            let in_journal = orders.next();
            let told = heard.accepted.is_some() || heard.unknown;
            self.journal
                .tickets
                .look(names::REFUSED, told || in_journal.is_none(), || {
                    format!(
                        "request {request} was only refused; the journal accepts it: {in_journal:?}"
                    )
                });
        }
        for (ordinal, known) in &self.known {
            let Some((from, (sent, code))) = known.from.zip(known.refused_sent) else {
                continue;
            };
            // By the client's own clock, so without any skew.
            self.journal
                .tickets
                .look(names::ONE_ANSWER, sent <= from, || {
                    format!(
                        "order {ordinal} was known to be accepted at {from}; asked again at {sent} \
                     it was refused ({code:?})"
                    )
                });
        }
    }

    fn compare_captures(&mut self) {
        let Some(captures) = &self.captures else {
            return;
        };
        for ((order, payment), booked) in &self.journal.payments {
            if matches!(booked.what, Booking::Paid | Booking::RefundDue) {
                let captured = captures.contains(&(*order, *payment));
                self.journal.tickets.look(names::CONFIRMED, captured, || {
                    format!("order {order}, payment {payment}: {booked:?} without a capture")
                });
            }
        }
    }

    fn sku_results(&mut self) -> Vec<SkuResult> {
        let mut results = Vec::new();
        for (sku, books) in &self.journal.skus {
            let qty = |units: i64| Qty(units.clamp(0, i64::from(u32::MAX)) as u32);
            let result = SkuResult {
                sku: *sku,
                stocked: qty(books.stocked),
                free: qty(books.free),
                held: qty(books.held),
                sold: qty(books.sold),
                demand: self.demand.get(sku).copied().unwrap_or(0),
                stock_max: qty(books.stock_max),
                free_min: qty(books.free_min),
            };
            let wanted = FLOOD_DEMAND_FACTOR * u64::from(result.stock_max.0);
            if result.demand > 0 && result.demand >= wanted {
                self.journal
                    .tickets
                    .look(names::SOLD_OUT, books.free_min == 0, || {
                        format!(
                            "SKU {sku}: {} units were wanted, {} stocked, and {} were always free",
                            result.demand, result.stock_max, result.free_min
                        )
                    });
            }
            results.push(result);
        }
        results
    }
}

fn same_content(order: &Order, receipt: &Receipt) -> bool {
    order.buyer == receipt.buyer
        && order.lines.as_slice() == receipt.lines.as_slice()
        && order.coupon == receipt.coupon
}
