//! What comes out: one closed set of outcomes, and the effects that followers need.

use crate::ids::{
    At, BuyerId, CouponId, Currency, LineIndex, Money, OrderId, PaymentRef, Qty, RequestId, SkuId,
};
use crate::{Books, Line};

/// An accepted order, as it was answered the first time and is answered ever after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub order: OrderId,
    /// What is to be paid: lines less coupon.
    pub total: Money,
    pub currency: Currency,
    /// The hold ends at the first tick at or after this instant.
    pub pay_by: At,
}

/// The answer to a command. For [`crate::Command::Place`] the variants down to `Held` are
/// written in their order of precedence: the first that applies is the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The request id was accepted before with the same content: the first answer again.
    Replayed(Held),
    /// The request id was accepted before with other content.
    KeyReused,
    /// The lines make no sense.
    Malformed(MalformedLines),
    /// No SKU has this number.
    UnknownSku {
        sku: SkuId,
    },
    /// Sells from `opens` on.
    NotOpen {
        sku: SkuId,
        opens: At,
    },
    Closed {
        sku: SkuId,
    },
    /// The buyer may take `left` more units.
    BuyerLimit {
        sku: SkuId,
        left: Qty,
    },
    CouponUnknown,
    /// The sum of lines is below the minimum, or in another currency.
    CouponNotEligible {
        minimum_total: Money,
    },
    /// This buyer has used it on an order that stands.
    CouponUsed,
    CouponExhausted,
    /// Fewer than the asked units are free: `left`.
    SoldOut {
        sku: SkuId,
        left: Qty,
    },
    /// Accepted: the units are this order's until `pay_by`.
    Held(Held),

    Configured,
    Listed {
        sku: SkuId,
    },
    /// A SKU with this code exists; nothing changed.
    AlreadyListed {
        sku: SkuId,
    },
    TermsSet,
    Opened,
    ShutDown,
    Adjusted {
        free: Qty,
    },
    /// Only `free` units could be removed.
    TooFewFree {
        free: Qty,
    },
    CouponCreated {
        coupon: CouponId,
    },
    CouponExists {
        coupon: CouponId,
    },
    /// A number or a text is outside its bounds; nothing changed.
    OutOfBounds,

    PaymentBegun,
    /// Captured and booked: the units are sold. A second confirmation with the same reference
    /// gets this again.
    Paid,
    /// The money cannot buy this order any more: `amount` goes back to the payer.
    RefundDue {
        amount: Money,
    },
    /// Another amount is due; nothing changed.
    WrongAmount {
        due: Money,
    },
    PaymentAbandoned,
    RefundSettled {
        amount: Money,
    },
    /// No payment under this reference on this order waits for that.
    UnknownPayment,

    UnknownOrder,
    Cancelled,
    /// The order is not held any more.
    NotHeld,
    /// `refund` goes back to the payer; `units` came back into stock.
    Returned {
        refund: Money,
        units: Qty,
    },
    /// The order is not paid, so nothing can be returned.
    NotPaid,
    /// A line does not exist or has fewer units left than shall be returned.
    NotReturnable {
        line: LineIndex,
        left: Qty,
    },

    Ticked {
        ended: u32,
        forgotten: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedLines {
    /// No line at all.
    Empty,
    /// More than [`crate::limits::LINES_PER_ORDER_MAX`].
    TooMany,
    /// A quantity of zero or above [`crate::limits::UNITS_PER_LINE_MAX`].
    Quantity { line: LineIndex },
    /// The same SKU in two lines.
    Twice { line: LineIndex },
    /// Lines in two currencies.
    Currencies { line: LineIndex },
    /// The sum of the lines does not fit.
    Total,
}

impl Outcome {
    /// Whether the ledger changed. Refusals that changed nothing need not be journalled.
    pub fn changed(&self) -> bool {
        match self {
            Outcome::Held(_)
            | Outcome::Configured
            | Outcome::Listed { .. }
            | Outcome::TermsSet
            | Outcome::Opened
            | Outcome::ShutDown
            | Outcome::Adjusted { .. }
            | Outcome::CouponCreated { .. }
            | Outcome::PaymentBegun
            | Outcome::Paid
            | Outcome::RefundDue { .. }
            | Outcome::PaymentAbandoned
            | Outcome::RefundSettled { .. }
            | Outcome::Cancelled
            | Outcome::Returned { .. }
            | Outcome::Ticked { .. } => true,
            Outcome::Replayed(_)
            | Outcome::KeyReused
            | Outcome::Malformed(_)
            | Outcome::UnknownSku { .. }
            | Outcome::NotOpen { .. }
            | Outcome::Closed { .. }
            | Outcome::BuyerLimit { .. }
            | Outcome::CouponUnknown
            | Outcome::CouponNotEligible { .. }
            | Outcome::CouponUsed
            | Outcome::CouponExhausted
            | Outcome::SoldOut { .. }
            | Outcome::AlreadyListed { .. }
            | Outcome::TooFewFree { .. }
            | Outcome::CouponExists { .. }
            | Outcome::OutOfBounds
            | Outcome::WrongAmount { .. }
            | Outcome::UnknownPayment
            | Outcome::UnknownOrder
            | Outcome::NotHeld
            | Outcome::NotPaid
            | Outcome::NotReturnable { .. } => false,
        }
    }
}

/// Why a hold ended without a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    Expired,
    Cancelled,
}

/// What happened to rows, for those who keep a copy: the projection, live pages, messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    OrderHeld {
        held: Held,
        request: RequestId,
        buyer: BuyerId,
        /// With the unit price of each line.
        lines: &'a [(Line, Money)],
        coupon: Option<(CouponId, Money)>,
    },
    OrderEnded {
        order: OrderId,
        why: EndReason,
    },
    /// `retaken` when the hold had ended and the units were still free.
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
    /// In all `total` is due back for this payment, of which `settled` has gone.
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
    /// The books of a SKU after the entry.
    Stock {
        sku: SkuId,
        books: Books,
    },
    SkuListed {
        sku: SkuId,
        code: &'a str,
    },
    /// An ended order left memory; its request id may be used again.
    OrderForgotten {
        order: OrderId,
    },
}

/// Who wants to know of effects. [`NoEffects`] costs nothing.
pub trait Effects {
    /// `false` lets the ledger skip gathering what an effect would carry.
    const WANTED: bool = true;
    fn on(&mut self, effect: Effect<'_>);
}

/// For the sale itself, which needs only the outcome.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEffects;

impl Effects for NoEffects {
    const WANTED: bool = false;
    fn on(&mut self, _: Effect<'_>) {}
}

impl<F: FnMut(Effect<'_>)> Effects for F {
    fn on(&mut self, effect: Effect<'_>) {
        self(effect);
    }
}
