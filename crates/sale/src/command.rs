//! What comes in: one closed set of commands, each stamped with number and instant by the caller.

use crate::ids::{
    At, BuyerId, CouponId, Currency, Limit, LineIndex, Millis, Money, OrderId, PaymentRef, Qty,
    RequestId, Seq, SkuId, UnitDelta,
};
use crate::limits;
use std::fmt;

/// A command with its number and instant: what the journal keeps and replay applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub seq: Seq,
    pub at: At,
    pub command: Command,
}

/// Everything that can change a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Founds the cell, or changes its windows. A ledger starts with cell 0 and the default
    /// windows.
    Configure { cell: u16, windows: Windows },
    /// Adds a SKU. A code that is listed already is refused and nothing changes.
    ListSku {
        code: Text,
        stock: Qty,
        terms: SkuTerms,
    },
    /// Replaces the terms of a SKU. Orders keep the price and the hold that they were given.
    SetTerms { sku: SkuId, terms: SkuTerms },
    /// Opens a SKU now, whatever its opening instant says, and lifts an earlier close.
    OpenSku { sku: SkuId },
    /// Closes a SKU now; holds go on.
    CloseSku { sku: SkuId },
    /// Adds or removes free units. Refused when fewer units are free than shall go.
    /// The request id makes a repeat safe.
    AdjustStock {
        request: RequestId,
        sku: SkuId,
        delta: UnitDelta,
        reason: Reason,
    },
    /// Adds a coupon. A code that exists already is refused.
    CreateCoupon { code: Text, terms: CouponTerms },
    /// Asks for stock: all lines or none.
    Place(Place),
    /// Says that a channel is about to be asked for `amount`: written before the capture, so that
    /// a crash between the two is found and reconciled.
    BeginPayment {
        order: OrderId,
        payment: PaymentRef,
        amount: Money,
    },
    /// A channel captured `amount` under `payment`.
    ConfirmPayment {
        order: OrderId,
        payment: PaymentRef,
        amount: Money,
    },
    /// A channel said for certain that nothing was captured under `payment`.
    AbandonPayment { order: OrderId, payment: PaymentRef },
    /// A channel has given money back that this ledger said was due for `payment`, up to `amount`
    /// in all.
    SettleRefund {
        order: OrderId,
        payment: PaymentRef,
        amount: Money,
    },
    /// Ends a hold early, at the buyer's wish.
    Cancel { order: OrderId },
    /// Takes units of a paid order back into stock. The request id makes a repeat safe.
    Return {
        request: RequestId,
        order: OrderId,
        lines: Vec<(LineIndex, Qty)>,
    },
    /// Lets time pass: ends holds whose deadline has come and forgets what may be forgotten.
    Tick,
}

/// How long the ledger remembers. Both are counted from the end of an order: from its payment,
/// or from the instant its hold ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Orders that ended unpaid, with their request ids; also request ids of adjustments.
    pub remember: Millis,
    /// Paid orders, with their request ids; returns are possible inside this window.
    pub returns: Millis,
}

impl Default for Windows {
    fn default() -> Self {
        Windows {
            remember: Millis(limits::REMEMBER_MS_DEFAULT),
            returns: Millis(limits::RETURNS_MS_DEFAULT),
        }
    }
}

/// What a SKU sells under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkuTerms {
    pub price: Money,
    pub currency: Currency,
    /// Units one buyer may hold or have bought, in all; `None` is no limit.
    pub buyer_limit: Limit,
    /// Orders before this instant are refused; `At(0)` is open from the start.
    pub opens: At,
    /// Orders from this instant on are refused; `None` never closes by itself.
    pub closes: Option<At>,
    /// How long units are held for an unpaid order.
    pub hold: Millis,
}

/// An amount off an order, once per buyer, as long as the quota lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CouponTerms {
    pub quota: Qty,
    pub amount_off: Money,
    pub currency: Currency,
    /// Orders with a smaller sum of lines are not eligible.
    pub minimum_total: Money,
}

/// A wish to buy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub request: RequestId,
    pub buyer: BuyerId,
    pub lines: Lines,
    pub coupon: Option<CouponId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub sku: SkuId,
    pub qty: Qty,
}

/// The lines of an order. One line needs no allocation: it is the common case of a flash sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lines {
    One(Line),
    Many(Vec<Line>),
}

impl Lines {
    pub fn as_slice(&self) -> &[Line] {
        match self {
            Lines::One(line) => std::slice::from_ref(line),
            Lines::Many(lines) => lines,
        }
    }
}

impl From<Vec<Line>> for Lines {
    fn from(lines: Vec<Line>) -> Self {
        match lines.as_slice() {
            [line] => Lines::One(*line),
            _ => Lines::Many(lines),
        }
    }
}

/// A short printable text: SKU and coupon codes, reasons.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Box<str>);

/// Why stock changed, in the words of who changed it.
pub type Reason = Text;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextTooLong;

impl Text {
    /// 1 to 64 bytes without control characters.
    pub fn new(text: &str) -> Result<Text, TextTooLong> {
        let fits = (1..=limits::TEXT_BYTES_MAX).contains(&text.len());
        if fits && !text.chars().any(char::is_control) {
            Ok(Text(text.into()))
        } else {
            Err(TextTooLong)
        }
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TextTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "1 to {} bytes without control characters",
            limits::TEXT_BYTES_MAX
        )
    }
}

impl std::error::Error for TextTooLong {}
