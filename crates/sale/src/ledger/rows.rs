//! The state of a ledger as plain rows: what a snapshot keeps. Rows come in a fixed order of kinds,
//! the head first, and import checks that they give the digest that the head promises.

use super::orders::OrderStatus;
use crate::{
    At, Books, BuyerId, CouponId, CouponTerms, Currency, Line, LineIndex, Money, OrderId,
    PaymentRef, Qty, RequestId, Seq, SkuId, SkuTerms, Text, UnitDelta, Windows,
};

/// One row. Dense numbers (SKU, coupon) are given by the order of their rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    Head(Head),
    Sku {
        code: Text,
        terms: SkuTerms,
        books: Books,
        shut: bool,
    },
    Coupon {
        code: Text,
        terms: CouponTerms,
        uses: Qty,
    },
    Order(OrderRow),
    /// The lines of an order that has several; follows its order.
    Lines {
        ordinal: u64,
        lines: Vec<(Line, Money, Qty)>,
    },
    Payment(PaymentRow),
    Taken {
        buyer: BuyerId,
        sku: SkuId,
        units: Qty,
    },
    Used {
        coupon: CouponId,
        buyer: BuyerId,
    },
    Adjusted {
        head: ActHead,
        sku: SkuId,
        delta: UnitDelta,
        reason: Text,
        free: Qty,
    },
    Returned {
        head: ActHead,
        order: OrderId,
        lines: Vec<(LineIndex, Qty)>,
        refund: Money,
        units: Qty,
    },
    /// An ended order waits until `due_ms` to be forgotten.
    Forget {
        due_ms: u64,
        ordinal: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub seq: Seq,
    pub at: At,
    pub cell: u16,
    pub windows: Windows,
    pub accepted: u64,
    pub digest: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderRow {
    pub ordinal: u64,
    pub request: RequestId,
    pub buyer: BuyerId,
    pub held_at: At,
    pub pay_by: At,
    /// `At(0)` while held.
    pub ended_at: At,
    pub status: OrderStatus,
    pub coupon: Option<CouponId>,
    pub currency: Currency,
    /// The unit price of a single line; of several lines their sum.
    pub price: Money,
    /// The single line; of several lines the first SKU and no units.
    pub line: Line,
    pub returned: Qty,
    pub many: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaymentRow {
    pub ordinal: u64,
    pub payment: PaymentRef,
    pub amount: Money,
    pub state: PaymentState,
    pub refund_due: Money,
    pub refund_settled: Money,
}

pub use super::PaymentState;

/// A remembered adjustment or return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActHead {
    pub request: RequestId,
    pub due_ms: u64,
}

/// Why rows are no ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The first row is not the head, or a second head came.
    Head,
    /// A row names something that no earlier row has, or repeats one; or it is out of bounds.
    Row { kind: &'static str },
    /// The rows give another digest than the head promises.
    Digest { promised: u64, found: u64 },
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Broken::Head => f.write_str("a snapshot starts with one head row"),
            Broken::Row { kind } => write!(f, "a row of kind {kind} does not fit the rows before"),
            Broken::Digest { promised, found } => {
                write!(
                    f,
                    "rows give digest {found:016x}, the head promises {promised:016x}"
                )
            }
        }
    }
}

impl std::error::Error for Broken {}
