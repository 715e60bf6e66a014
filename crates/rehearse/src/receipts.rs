//! What buyers hold in their hands after a run: every answer that the audit may rely on.
//!
//! This and the journal's offline dump are all that the audit sees. It never asks the shop.

use crate::answers::HeldAnswer;
use sale::OrderId;

/// One answer to one request, as the client received it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Index of the basket in the plan, of the return for returns.
    pub basket: u32,
    pub got: Got,
    /// Milliseconds since the Unix epoch by the client's clock: when this attempt left, and when
    /// its answer came or the client gave up on it.
    pub sent_ms: u64,
    pub answered_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    Held(HeldAnswer),
    /// The order was refused or turned away with this code; the SKU if one was named.
    Refused {
        code: String,
        sku: Option<String>,
    },
    /// This attempt to order has no answer, or one that says "perhaps".
    NoAnswer,
    Paid {
        order: OrderId,
        payment: String,
        amount: i64,
    },
    PaymentRefused {
        order: OrderId,
        code: String,
    },
    NoPaymentAnswer {
        order: OrderId,
        amount: i64,
    },
    Cancelled {
        order: OrderId,
    },
    Returned {
        order: OrderId,
    },
    ReturnRefused {
        order: OrderId,
        code: String,
    },
}

/// What was asked for and never answered, however often it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    Order { basket: u32 },
    Payment { basket: u32 },
    Cancel { basket: u32 },
    Return { plan: u32 },
}

#[derive(Clone, Debug, Default)]
pub struct Receipts {
    pub answers: Vec<Receipt>,
    pub unanswered: Vec<Unanswered>,
    /// The shop's opaque id of buyer n; empty for those who never signed in.
    pub buyers: Vec<String>,
    /// The start of every key of this run.
    pub run: String,
}

/// The key under which a basket is ordered, as often as it takes.
pub fn order_key(run: &str, basket: u32) -> String {
    format!("{run}-o{basket}")
}

/// The key of one attempt to pay; a declined payment gets the next number.
pub fn payment_key(run: &str, basket: u32, number: u8) -> String {
    format!("{run}-p{basket}-{number}")
}

pub fn return_key(run: &str, plan: u32) -> String {
    format!("{run}-r{plan}")
}
