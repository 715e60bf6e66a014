//! Questions to the projection, on connections of their own that never wait for the writer.

use super::keys::{OrderKey, buyer_key};
use super::{Applied, VERSION, applied};
use crate::error::StoreError;
use crate::limits::{PAGE_ROWS_MAX, SALES_MINUTES_MAX};
use crate::sqlite::{Db, Wide, bits, unbits};
use rusqlite::{OptionalExtension, Row, params};
use sale::{
    At, Books, BuyerId, CouponId, Currency, Money, OrderId, PaymentRef, Qty, RequestId, SkuId,
};
use std::path::Path;

/// Stored by number, so the order of the variants is part of the schema.
pub use sale::OrderStatus;

const STATUSES: [OrderStatus; 4] = [
    OrderStatus::Held,
    OrderStatus::Paid,
    OrderStatus::Expired,
    OrderStatus::Cancelled,
];

/// What became of a payment. Stored by number, so the order is part of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PaymentState {
    /// The channel was asked; its answer is not known here yet.
    Begun,
    Abandoned,
    /// Captured, and the order was bought with it.
    Bought,
    /// Captured in vain: all of it is due back.
    InVain,
}

const STATES: [PaymentState; 4] = [
    PaymentState::Begun,
    PaymentState::Abandoned,
    PaymentState::Bought,
    PaymentState::InVain,
];

const _: () = {
    let mut n = 0;
    while n < STATUSES.len() {
        assert!(STATUSES[n] as usize == n && STATES[n] as usize == n);
        n += 1;
    }
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    pub order: OrderId,
    pub buyer: BuyerId,
    pub request: RequestId,
    pub status: OrderStatus,
    pub total: Money,
    pub currency: Currency,
    pub coupon: Option<CouponId>,
    /// What the coupon took off.
    pub amount_off: Money,
    pub held_at: At,
    pub pay_by: At,
    /// When it was paid or its hold ended.
    pub ended_at: Option<At>,
    pub lines: Vec<OrderLine>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderLine {
    pub sku: SkuId,
    pub qty: Qty,
    pub unit_price: Money,
    pub returned: Qty,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaymentRow {
    pub payment: PaymentRef,
    pub amount: Money,
    pub state: PaymentState,
    /// `None` when it was confirmed without having been begun.
    pub begun_at: Option<At>,
    pub decided_at: Option<At>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefundRow {
    pub payment: PaymentRef,
    pub total: Money,
    pub settled: Money,
    pub due_at: At,
    pub changed_at: At,
}

/// Sales of one SKU in one minute. Amounts are unit price × units, before coupons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SalesMinute {
    /// Start of the minute.
    pub at: At,
    pub units: u64,
    pub amount: Money,
    pub returned_units: u64,
    pub returned_amount: Money,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkuRow {
    pub sku: SkuId,
    pub code: String,
    pub books: Books,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TotalsRow {
    pub currency: Currency,
    pub status: OrderStatus,
    pub orders: u64,
    /// The sum of their totals.
    pub amount: Money,
}

/// A connection that reads; as many as there are threads that ask.
#[derive(Debug)]
pub struct ProjectionReader {
    db: Db,
}

const ORDER: &str = "SELECT order_key, buyer, request, status, total, currency, coupon, amount_off,
                     held_at, pay_by, ended_at FROM orders";

const OF_BUYER: &str = "JOIN buyer_orders USING (order_key)
                        WHERE buyer_key = ?1 AND buyer = ?2 AND order_key < ?3
                        ORDER BY buyer_orders.order_key DESC LIMIT ?4";

impl ProjectionReader {
    /// The file must exist: [`super::Projection::open`] makes it.
    pub fn open(path: &Path) -> Result<ProjectionReader, StoreError> {
        Ok(ProjectionReader {
            db: Db::read(path, VERSION)?,
        })
    }

    pub fn applied(&self) -> Result<Applied, StoreError> {
        self.db
            .done("reading what was applied", applied(&self.db.connection))
    }

    pub fn order(&self, order: OrderId) -> Result<Option<OrderRow>, StoreError> {
        let query = || {
            let sql = format!("{ORDER} WHERE order_key = ?1");
            let mut statement = self.db.connection.prepare_cached(&sql)?;
            let found = statement
                .query_row([OrderKey::of(order)], order_row)
                .optional()?;
            found.map(|order| self.with_lines(order)).transpose()
        };
        self.db.done("reading an order", query())
    }

    /// The buyer's orders, newest first: up to `limit` (at most [`PAGE_ROWS_MAX`]) older than
    /// `before`. Of one buyer in one cell, a higher order id is a newer order.
    pub fn orders_of(
        &self,
        buyer: BuyerId,
        before: Option<OrderId>,
        limit: usize,
    ) -> Result<Vec<OrderRow>, StoreError> {
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let query = || {
            let sql = format!("{ORDER} {OF_BUYER}");
            let mut statement = self.db.connection.prepare_cached(&sql)?;
            // No order has the highest key: its count would be used up.
            let before = before.map_or(OrderKey(i64::MAX), OrderKey::of);
            let values = params![buyer_key(buyer), Wide::of(buyer.0), before, limit as i64];
            let rows = statement.query_map(values, order_row)?;
            rows.map(|order| self.with_lines(order?)).collect()
        };
        self.db.done("reading a buyer's orders", query())
    }

    pub fn payments_of(&self, order: OrderId) -> Result<Vec<PaymentRow>, StoreError> {
        let sql = "SELECT payment, amount, state, begun_at, decided_at FROM payments
                   WHERE order_key = ?1 ORDER BY payment";
        let row = |row: &Row<'_>| {
            Ok(PaymentRow {
                payment: PaymentRef(row.get::<_, Wide>(0)?.value()),
                amount: Money(row.get(1)?),
                state: one_of(&STATES, row, 2)?,
                begun_at: instant(row, 3)?,
                decided_at: instant(row, 4)?,
            })
        };
        self.all("reading payments", sql, params![OrderKey::of(order)], row)
    }

    pub fn refunds_of(&self, order: OrderId) -> Result<Vec<RefundRow>, StoreError> {
        let sql = "SELECT payment, total, settled, due_at, changed_at FROM refunds
                   WHERE order_key = ?1 ORDER BY payment";
        let row = |row: &Row<'_>| {
            Ok(RefundRow {
                payment: PaymentRef(row.get::<_, Wide>(0)?.value()),
                total: Money(row.get(1)?),
                settled: Money(row.get(2)?),
                due_at: At(unbits(row.get(3)?)),
                changed_at: At(unbits(row.get(4)?)),
            })
        };
        self.all("reading refunds", sql, params![OrderKey::of(order)], row)
    }

    /// The minutes with sales or returns in `from..until`, oldest first, at most
    /// [`SALES_MINUTES_MAX`].
    pub fn sales_per_minute(
        &self,
        sku: SkuId,
        from: At,
        until: At,
    ) -> Result<Vec<SalesMinute>, StoreError> {
        let sql = "SELECT minute, units, amount, returned_units, returned_amount
                   FROM sku_sales_minute WHERE sku = ?1 AND minute >= ?2 AND minute < ?3
                   ORDER BY minute LIMIT ?4";
        let (from, until) = (from.0 / 60_000, until.0.div_ceil(60_000));
        let most = SALES_MINUTES_MAX as i64;
        self.all(
            "reading sales",
            sql,
            params![sku.0, bits(from), bits(until), most],
            |row| {
                Ok(SalesMinute {
                    at: At(unbits(row.get(0)?) * 60_000),
                    units: unbits(row.get(1)?),
                    amount: Money(row.get(2)?),
                    returned_units: unbits(row.get(3)?),
                    returned_amount: Money(row.get(4)?),
                })
            },
        )
    }

    /// Codes and books, in the order of listing: up to `limit` (at most [`PAGE_ROWS_MAX`]) from
    /// `from` on.
    pub fn skus(&self, from: SkuId, limit: usize) -> Result<Vec<SkuRow>, StoreError> {
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let sql = "SELECT sku, code, stocked, free, held, sold FROM skus WHERE sku >= ?1
                   ORDER BY sku LIMIT ?2";
        self.all("reading SKUs", sql, params![from.0, limit as i64], |row| {
            Ok(SkuRow {
                sku: SkuId(row.get(0)?),
                code: row.get(1)?,
                books: Books {
                    stocked: Qty(row.get(2)?),
                    free: Qty(row.get(3)?),
                    held: Qty(row.get(4)?),
                    sold: Qty(row.get(5)?),
                },
            })
        })
    }

    /// Orders and their sums by currency and status.
    pub fn totals(&self) -> Result<Vec<TotalsRow>, StoreError> {
        let sql = "SELECT currency, status, orders, amount FROM totals WHERE orders > 0
                   ORDER BY currency, status";
        self.all("reading totals", sql, params![], |row| {
            Ok(TotalsRow {
                currency: currency(row, 0)?,
                status: one_of(&STATUSES, row, 1)?,
                orders: unbits(row.get(2)?),
                amount: Money(row.get(3)?),
            })
        })
    }

    fn with_lines(&self, mut order: OrderRow) -> rusqlite::Result<OrderRow> {
        let sql = "SELECT sku, units, unit_price, returned FROM lines WHERE order_key = ?1
                   ORDER BY line";
        let mut statement = self.db.connection.prepare_cached(sql)?;
        let lines = statement.query_map([OrderKey::of(order.order)], |row| {
            Ok(OrderLine {
                sku: SkuId(row.get(0)?),
                qty: Qty(row.get(1)?),
                unit_price: Money(row.get(2)?),
                returned: Qty(row.get(3)?),
            })
        })?;
        order.lines = lines.collect::<rusqlite::Result<_>>()?;
        Ok(order)
    }

    fn all<T>(
        &self,
        what: &'static str,
        sql: &str,
        values: impl rusqlite::Params,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let query = || {
            self.db
                .connection
                .prepare_cached(sql)?
                .query_map(values, row)?
                .collect()
        };
        self.db.done(what, query())
    }
}

fn order_row(row: &Row<'_>) -> rusqlite::Result<OrderRow> {
    Ok(OrderRow {
        order: OrderKey(row.get(0)?).order(),
        buyer: BuyerId(row.get::<_, Wide>(1)?.value()),
        request: RequestId(row.get::<_, Wide>(2)?.value()),
        status: one_of(&STATUSES, row, 3)?,
        total: Money(row.get(4)?),
        currency: currency(row, 5)?,
        coupon: row.get::<_, Option<u32>>(6)?.map(CouponId),
        amount_off: Money(row.get(7)?),
        held_at: At(unbits(row.get(8)?)),
        pay_by: At(unbits(row.get(9)?)),
        ended_at: instant(row, 10)?,
        lines: Vec::new(),
    })
}

fn instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<At>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(|at| At(unbits(at))))
}

fn one_of<T: Copy>(all: &[T], row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let number: i64 = row.get(column)?;
    let found = usize::try_from(number)
        .ok()
        .and_then(|number| all.get(number));
    found
        .copied()
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn currency(row: &Row<'_>, column: usize) -> rusqlite::Result<Currency> {
    let code: String = row.get(column)?;
    Currency::new(&code).ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            format!("{code:?} is not a currency").into(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_read_by_key_newest_first_without_sorting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("projection.db");
        drop(super::super::Projection::open(&path).unwrap());
        let db = ProjectionReader::open(&path).unwrap().db;
        let sql = format!("EXPLAIN QUERY PLAN {ORDER} {OF_BUYER}");
        let mut statement = db.connection.prepare(&sql).unwrap();
        let rows = statement
            .query_map(params![0, 0, 0, 0], |row| row.get(3))
            .unwrap();
        let steps: Vec<String> = rows.collect::<Result<_, _>>().unwrap();
        assert_eq!(
            steps,
            [
                "SEARCH buyer_orders USING PRIMARY KEY (buyer_key=? AND order_key<?)",
                "SEARCH orders USING INTEGER PRIMARY KEY (rowid=?)",
            ]
        );
    }
}
