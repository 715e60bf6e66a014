//! What clients sent and received, and what the payment channel booked: the audit's evidence from
//! outside the server. Instants are the client's clock.

use sale::{At, BuyerId, CouponId, Lines, Money, OrderId, PaymentRef, RequestId, SkuId};

/// One attempt to place an order. A retry is another receipt with the same request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub request: RequestId,
    pub buyer: BuyerId,
    pub lines: Lines,
    pub coupon: Option<CouponId>,
    pub answer: Answer,
    pub sent_at: At,
    /// When the answer came, or when the client gave up.
    pub answered_at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Accepted {
        order: OrderId,
        total: Money,
        pay_by: At,
    },
    /// `sku` is the one that the answer names, if it names one.
    Refused { code: Code, sku: Option<SkuId> },
    /// No answer, or one that says "perhaps".
    Unknown,
}

/// The refusals of the API, as far as the audit tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    KeyReused,
    Malformed,
    UnknownSku,
    NotOpen,
    Closed,
    BuyerLimit,
    CouponUnknown,
    CouponNotEligible,
    CouponUsed,
    CouponExhausted,
    SoldOut,
    /// Refused before the rules were asked: overloaded, draining, storage low, signed out. It says
    /// that this attempt did nothing, and nothing about other attempts.
    NotAsked,
}

impl Code {
    /// Reads a code of docs/api.md; whatever is no decision of the rules is [`Code::NotAsked`].
    pub fn parse(code: &str) -> Code {
        match code {
            "key_reused" => Code::KeyReused,
            "malformed_lines" => Code::Malformed,
            "unknown_sku" => Code::UnknownSku,
            "not_open" => Code::NotOpen,
            "closed" => Code::Closed,
            "buyer_limit" => Code::BuyerLimit,
            "coupon_unknown" => Code::CouponUnknown,
            "coupon_not_eligible" => Code::CouponNotEligible,
            "coupon_used" => Code::CouponUsed,
            "coupon_exhausted" => Code::CouponExhausted,
            "sold_out" => Code::SoldOut,
            _ => Code::NotAsked,
        }
    }
}

/// One attempt to pay. `payment` is the channel's reference if the client knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    pub order: OrderId,
    pub payment: Option<PaymentRef>,
    pub amount: Money,
    pub answer: PaymentAnswer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentAnswer {
    Paid,
    Pending,
    Declined,
    RefundDue,
    /// Refused without asking the channel.
    Refused,
    Unknown,
}

/// One attempt to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancellation {
    pub order: OrderId,
    pub answer: CancelAnswer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelAnswer {
    Cancelled,
    Refused,
    Unknown,
}

/// Money that the channel took, by its own ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capture {
    pub order: OrderId,
    pub payment: PaymentRef,
    pub amount: Money,
}

/// Money that the channel gave back for a payment, in all, by its own ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refund {
    pub order: OrderId,
    pub payment: PaymentRef,
    pub amount: Money,
}
