//! What happened, in owned form: a [`sale::Effect`] with the number and instant of its entry,
//! so that it can wait in a batch.

use sale::{
    At, Books, BuyerId, CouponId, Effect, EndReason, Held, Line, LineIndex, Money, OrderId,
    PaymentRef, Qty, RequestId, Seq, SkuId,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub seq: Seq,
    pub at: At,
    pub event: Event,
}

/// [`sale::Effect`] without borrowed parts; the fields mean the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    OrderHeld {
        held: Held,
        request: RequestId,
        buyer: BuyerId,
        lines: Box<[(Line, Money)]>,
        coupon: Option<(CouponId, Money)>,
    },
    OrderEnded {
        order: OrderId,
        why: EndReason,
    },
    OrderPaid {
        order: OrderId,
        payment: PaymentRef,
        amount: Money,
        retaken: bool,
    },
    PaymentBegun {
        order: OrderId,
        payment: PaymentRef,
        amount: Money,
    },
    PaymentAbandoned {
        order: OrderId,
        payment: PaymentRef,
    },
    RefundDue {
        order: OrderId,
        payment: PaymentRef,
        total: Money,
        settled: Money,
    },
    RefundSettled {
        order: OrderId,
        payment: PaymentRef,
        total: Money,
        settled: Money,
    },
    UnitsReturned {
        order: OrderId,
        line: LineIndex,
        sku: SkuId,
        qty: Qty,
    },
    Stock {
        sku: SkuId,
        books: Books,
    },
    SkuListed {
        sku: SkuId,
        code: Box<str>,
    },
    OrderForgotten {
        order: OrderId,
    },
}

// One variant a line or two, so that the table can be read; formatted by hand.
#[rustfmt::skip]
impl From<Effect<'_>> for Event {
    fn from(effect: Effect<'_>) -> Event {
        match effect {
            Effect::OrderHeld { held, request, buyer, lines, coupon } =>
                Event::OrderHeld { held, request, buyer, lines: lines.into(), coupon },
            Effect::OrderEnded { order, why } =>
                Event::OrderEnded { order, why },
            Effect::OrderPaid { order, payment, amount, retaken } =>
                Event::OrderPaid { order, payment, amount, retaken },
            Effect::PaymentBegun { order, payment, amount } =>
                Event::PaymentBegun { order, payment, amount },
            Effect::PaymentAbandoned { order, payment } =>
                Event::PaymentAbandoned { order, payment },
            Effect::RefundDue { order, payment, total, settled } =>
                Event::RefundDue { order, payment, total, settled },
            Effect::RefundSettled { order, payment, total, settled } =>
                Event::RefundSettled { order, payment, total, settled },
            Effect::UnitsReturned { order, line, sku, qty } =>
                Event::UnitsReturned { order, line, sku, qty },
            Effect::Stock { sku, books } =>
                Event::Stock { sku, books },
            Effect::SkuListed { sku, code } =>
                Event::SkuListed { sku, code: code.into() },
            Effect::OrderForgotten { order } =>
                Event::OrderForgotten { order },
        }
    }
}
