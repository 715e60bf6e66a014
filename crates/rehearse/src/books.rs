//! The audit: what buyers hold in their hands against an offline reading of the journal.
//!
//! The shop is never asked. The entries go through the auditor's own model of the rules, the
//! receipts are put to it, and the payment channel's ledger too. The same entries are replayed
//! once more through the ledger of `sale` only for the curves of the report.

use crate::plan::Plan;
use crate::receipts::{Got, Receipts, order_key};
use audit::{
    Answer, Auditor, CancelAnswer, Cancellation, Capture, Code, Payment, PaymentAnswer, Receipt,
    Refund, Settings, Verdict,
};
use sale::{
    At, BuyerId, Command, CouponId, Effect, EndReason, Entry, Ledger, Line, Lines, Millis, Money,
    OrderId, Outcome, PaymentRef, Qty, RequestId, SkuId,
};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};

/// How an idempotency key of a buyer becomes a request id, as the API documents it: the front 16
/// bytes, little end first, of SHA-256 over `order`, the buyer (little end first) and the key.
pub fn request_id(buyer: BuyerId, key: &str) -> RequestId {
    let hash = Sha256::new()
        .chain_update(b"order")
        .chain_update(buyer.0.to_le_bytes());
    let digest = hash.chain_update(key).finalize();
    let mut front = [0; 16];
    front.copy_from_slice(&digest[..16]);
    RequestId(u128::from_le_bytes(front))
}

/// A buyer or a payment as the API writes it: 32 hexadecimal digits.
pub fn opaque(text: &str) -> Option<u128> {
    u128::from_str_radix(text, 16)
        .ok()
        .filter(|_| text.len() == 32)
}

/// What the payment channel's own ledger says of one payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    pub order: OrderId,
    pub payment: PaymentRef,
    pub captured: Money,
    pub refunded: Money,
}

#[derive(serde::Deserialize)]
struct Fact {
    payment: String,
    order: String,
    amount: i64,
    state: String,
}

/// Reads the channel's ledger: JSON Lines, one fact each, the latest of a payment counts. A torn
/// last line is no fact.
pub fn channel(text: &str) -> Result<Vec<Channel>, String> {
    let mut payments: BTreeMap<PaymentRef, Channel> = BTreeMap::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let Some(line) = line.strip_suffix('\n') else {
            break;
        };
        let wrong = |what: &str| format!("line {}: {what}", index + 1);
        let fact: Fact = serde_json::from_str(line).map_err(|error| wrong(&error.to_string()))?;
        let payment = opaque(&fact.payment).map(PaymentRef);
        let payment = payment.ok_or_else(|| wrong("a payment is 32 hexadecimal digits"))?;
        let order = OrderId::parse(&fact.order);
        let order = order.ok_or_else(|| wrong("an order is 13 characters"))?;
        let (captured, refunded) = (Money::ZERO, Money::ZERO);
        let row = payments.entry(payment);
        let row = row.or_insert(Channel {
            order,
            payment,
            captured,
            refunded,
        });
        match fact.state.as_str() {
            "captured" => row.captured = Money(fact.amount),
            "refunded" => row.refunded = Money(fact.amount),
            "authorised" | "declined" | "void" => {}
            other => return Err(wrong(&format!("state {other:?} is none of the channel's"))),
        }
    }
    Ok(payments.into_values().collect())
}

/// Where the entries of a run come from.
#[derive(Debug)]
pub struct Evidence {
    pub entries: Vec<Entry>,
    /// `None`: the channel's ledger is not at hand, and its checks are left out.
    pub channel: Option<Vec<Channel>>,
}

/// How one product ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stock {
    pub sku: String,
    pub stocked: u32,
    pub free: u32,
    pub held: u32,
    pub sold: u32,
    pub demand: u64,
    pub free_min: u32,
    /// Units free at the end of each second from the start of the plan.
    pub free_by_second: Vec<u32>,
}

/// What the books say in the end.
#[derive(Debug)]
pub struct Audited {
    pub verdict: Verdict,
    pub stocks: Vec<Stock>,
    pub orders: u64,
    pub paid: u64,
    pub paid_amount: i64,
    pub expired: u64,
    pub cancelled: u64,
    pub still_held: u64,
    pub retaken: u64,
    pub refunds_due: u64,
    pub returned_units: u64,
    /// Orders accepted in each second from the start of the plan, by the journal.
    pub accepted_by_second: Vec<u64>,
    pub expired_by_second: Vec<u64>,
}

/// What the audit has to know of the run itself.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The plan's zero on the wall clock.
    pub start_ms: u64,
    /// How long the shop was down: holds could not end meanwhile.
    pub down_ms: u64,
}

/// Ticks of a busy shop may be late by this much on top of an outage.
const HOLD_GRACE_MS: u64 = 3_000;
/// One machine, one clock; the journal's instants are monotonic and may drift a little.
const CLOCK_SKEW_MS: u64 = 250;
/// Refusals may come from a state that trails by one batch and its sync.
const ANSWER_LAG_MS: u64 = 2_000;

pub fn audit(
    evidence: &Evidence,
    plan: &Plan,
    receipts: &Receipts,
    circumstances: Circumstances,
) -> Audited {
    let mut auditor = Auditor::new(Settings {
        hold_grace: Millis(HOLD_GRACE_MS + circumstances.down_ms),
        clock_skew: Millis(CLOCK_SKEW_MS),
        answer_lag: Millis(ANSWER_LAG_MS),
        drained: true,
    });
    let mut names = Names::default();
    for entry in &evidence.entries {
        let outcome = auditor.entry(entry);
        names.learn(&entry.command, &outcome);
    }
    let mut hearing = auditor.hear();
    if let Some(channel) = &evidence.channel {
        hearing.channel_ledger();
        for Channel {
            order,
            payment,
            captured,
            refunded,
        } in channel.iter().copied()
        {
            if captured > Money::ZERO {
                hearing.capture(&Capture {
                    order,
                    payment,
                    amount: captured,
                });
            }
            if refunded > Money::ZERO {
                hearing.refund(&Refund {
                    order,
                    payment,
                    amount: refunded,
                });
            }
        }
    }
    testify(&mut hearing, plan, receipts, &names);
    let verdict = hearing.verdict();
    replay(evidence, &names, verdict, circumstances)
}

/// Codes of SKUs and coupons by their numbers, learnt from the journal.
#[derive(Debug, Default)]
struct Names {
    skus: HashMap<String, SkuId>,
    coupons: HashMap<String, CouponId>,
}

impl Names {
    fn learn(&mut self, command: &Command, outcome: &Outcome) {
        match (command, outcome) {
            (Command::ListSku { code, .. }, Outcome::Listed { sku }) => {
                self.skus.insert(code.as_str().to_owned(), *sku);
            }
            (Command::CreateCoupon { code, .. }, Outcome::CouponCreated { coupon }) => {
                self.coupons.insert(code.as_str().to_owned(), *coupon);
            }
            _ => {}
        }
    }
}

fn testify(hearing: &mut audit::Hearing, plan: &Plan, receipts: &Receipts, names: &Names) {
    for receipt in &receipts.answers {
        match &receipt.got {
            Got::Held(held) => {
                let (order, total, pay_by) = (held.order, held.total, held.pay_by);
                let answer = Answer::Accepted {
                    order,
                    total,
                    pay_by,
                };
                order_receipt(hearing, plan, receipts, names, receipt, answer);
            }
            Got::Refused { code, sku } => {
                let sku = sku.as_ref().and_then(|code| names.skus.get(code)).copied();
                let answer = Answer::Refused {
                    code: Code::parse(code),
                    sku,
                };
                order_receipt(hearing, plan, receipts, names, receipt, answer);
            }
            Got::NoAnswer => {
                order_receipt(hearing, plan, receipts, names, receipt, Answer::Unknown);
            }
            Got::Paid {
                order,
                payment,
                amount,
            } => {
                let payment = opaque(payment).map(PaymentRef);
                let (order, amount, answer) = (*order, Money(*amount), PaymentAnswer::Paid);
                hearing.payment(&Payment {
                    order,
                    payment,
                    amount,
                    answer,
                });
            }
            Got::PaymentRefused { order, code } => {
                let answer = match code.as_str() {
                    "payment_declined" => PaymentAnswer::Declined,
                    "refund_due" => PaymentAnswer::RefundDue,
                    _ => PaymentAnswer::Refused,
                };
                let (order, amount) = (*order, Money::ZERO);
                hearing.payment(&Payment {
                    order,
                    payment: None,
                    amount,
                    answer,
                });
            }
            Got::NoPaymentAnswer { order, amount } => {
                let (order, amount, answer) = (*order, Money(*amount), PaymentAnswer::Unknown);
                hearing.payment(&Payment {
                    order,
                    payment: None,
                    amount,
                    answer,
                });
            }
            Got::Cancelled { order } => {
                let answer = CancelAnswer::Cancelled;
                hearing.cancel(&Cancellation {
                    order: *order,
                    answer,
                });
            }
            // The auditor's books follow returns from the journal; buyers get no receipt.
            Got::Returned { .. } | Got::ReturnRefused { .. } => {}
        }
    }
}

fn order_receipt(
    hearing: &mut audit::Hearing,
    plan: &Plan,
    receipts: &Receipts,
    names: &Names,
    receipt: &crate::receipts::Receipt,
    answer: Answer,
) {
    let basket = &plan.baskets[receipt.basket as usize];
    // A buyer without an id never got as far as ordering.
    let Some(buyer) = opaque(&receipts.buyers[basket.buyer as usize]).map(BuyerId) else {
        return;
    };
    let line = |(product, units): &(u32, u32)| {
        let sku = names.skus.get(&plan.products[*product as usize].sku)?;
        Some(Line {
            sku: *sku,
            qty: Qty(*units),
        })
    };
    let Some(lines) = basket.lines.iter().map(line).collect::<Option<Vec<Line>>>() else {
        return;
    };
    let coupon = basket.coupon.map(|coupon| &plan.coupons[coupon as usize]);
    hearing.receipt(&Receipt {
        request: request_id(buyer, &order_key(&receipts.run, receipt.basket)),
        buyer,
        lines: Lines::from(lines),
        coupon: coupon.and_then(|code| names.coupons.get(code)).copied(),
        answer,
        sent_at: At(receipt.sent_ms),
        answered_at: At(receipt.answered_ms),
    });
}

/// Counts and curves, from the ledger's own effects.
fn replay(
    evidence: &Evidence,
    names: &Names,
    verdict: Verdict,
    circumstances: Circumstances,
) -> Audited {
    let mut out = Audited {
        stocks: stocks(&verdict, names),
        orders: verdict.orders,
        verdict,
        paid: 0,
        paid_amount: 0,
        expired: 0,
        cancelled: 0,
        still_held: 0,
        retaken: 0,
        refunds_due: 0,
        returned_units: 0,
        accepted_by_second: Vec::new(),
        expired_by_second: Vec::new(),
    };
    let mut ledger = Ledger::new();
    let mut free: Vec<u32> = Vec::new();
    let mut reached = 0;
    for entry in &evidence.entries {
        let second = (entry.at.0.saturating_sub(circumstances.start_ms) / 1_000) as usize;
        let second = second.min(crate::limits::SECONDS_MAX - 1);
        while reached < second {
            mark(&mut out.stocks, &free);
            reached += 1;
        }
        let mut on = |effect: Effect<'_>| out.note(&effect, second, &mut free);
        ledger.apply(entry, &mut on);
    }
    mark(&mut out.stocks, &free);
    let ended = out.paid - out.retaken + out.expired + out.cancelled;
    out.still_held = out.orders.saturating_sub(ended);
    out
}

fn stocks(verdict: &Verdict, names: &Names) -> Vec<Stock> {
    let codes: HashMap<SkuId, &String> =
        names.skus.iter().map(|(code, sku)| (*sku, code)).collect();
    let stock = |result: &audit::SkuResult| Stock {
        sku: codes
            .get(&result.sku)
            .map(|code| (*code).clone())
            .unwrap_or_default(),
        stocked: result.stocked.0,
        free: result.free.0,
        held: result.held.0,
        sold: result.sold.0,
        demand: result.demand,
        free_min: result.free_min.0,
        free_by_second: Vec::new(),
    };
    verdict.skus.iter().map(stock).collect()
}

fn mark(stocks: &mut [Stock], free: &[u32]) {
    for (stock, free) in stocks.iter_mut().zip(free) {
        stock.free_by_second.push(*free);
    }
}

fn add(series: &mut Vec<u64>, second: usize) {
    if series.len() <= second {
        series.resize(second + 1, 0);
    }
    series[second] += 1;
}

impl Audited {
    fn note(&mut self, effect: &Effect<'_>, second: usize, free: &mut Vec<u32>) {
        match effect {
            Effect::OrderHeld { .. } => add(&mut self.accepted_by_second, second),
            Effect::OrderEnded {
                why: EndReason::Expired,
                ..
            } => {
                self.expired += 1;
                add(&mut self.expired_by_second, second);
            }
            Effect::OrderEnded {
                why: EndReason::Cancelled,
                ..
            } => self.cancelled += 1,
            Effect::OrderPaid {
                amount, retaken, ..
            } => {
                self.paid += 1;
                self.paid_amount = self.paid_amount.saturating_add(amount.0);
                self.retaken += u64::from(*retaken);
            }
            Effect::RefundDue {
                settled: Money::ZERO,
                ..
            } => self.refunds_due += 1,
            Effect::UnitsReturned { qty, .. } => self.returned_units += u64::from(qty.0),
            Effect::Stock { sku, books } => {
                let index = sku.0 as usize;
                if free.len() <= index {
                    free.resize(index + 1, 0);
                }
                free[index] = books.free.0;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_channels_ledger_is_folded_by_payment() {
        let order = OrderId(4_097);
        let fact = |state: &str, amount: i64| {
            format!(
                "{{\"payment\":\"{:032x}\",\"order\":\"{order}\",\"amount\":{amount},\
                 \"currency\":\"EUR\",\"state\":\"{state}\"}}\n",
                7
            )
        };
        let text = [
            fact("authorised", 5),
            fact("captured", 5),
            fact("refunded", 2),
        ]
        .concat();
        let (payment, captured, refunded) = (PaymentRef(7), Money(5), Money(2));
        let expected = vec![Channel {
            order,
            payment,
            captured,
            refunded,
        }];
        assert_eq!(channel(&text), Ok(expected.clone()));
        assert_eq!(channel(&format!("{text}{{\"payme")), Ok(expected));
        let wrong = channel(&format!("{text}{{}}\n")).unwrap_err();
        assert!(wrong.starts_with("line 4: "), "{wrong}");
        assert!(channel(&fact("lost", 1)).is_err());
    }
}
