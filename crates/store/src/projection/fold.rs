//! The changes of one batch, folded by row, and then written: each row once, in key order.

use super::keys::{OrderKey, buyer_key};
use super::read::{OrderStatus, PaymentState};
use crate::change::{Change, Event};
use crate::sqlite::{Wide, bits};
use rusqlite::{Transaction, params};
use sale::{
    At, Books, BuyerId, CouponId, EndReason, Held, Line, Money, OrderId, PaymentRef, Qty,
    RequestId, SkuId,
};
use std::collections::BTreeMap;

const MINUTE_MS: u64 = 60_000;

#[derive(Default)]
pub(super) struct Fold<'c> {
    orders: BTreeMap<OrderKey, OrderFold<'c>>,
    payments: BTreeMap<(OrderKey, u128), PaymentFold>,
    refunds: BTreeMap<(OrderKey, u128), RefundFold>,
    returns: Vec<ReturnFold>,
    skus: BTreeMap<SkuId, SkuFold<'c>>,
    sales: BTreeMap<(SkuId, u64), Sales>,
    totals: BTreeMap<([u8; 3], u8), (i64, i64)>,
}

#[derive(Default)]
struct OrderFold<'c> {
    new: Option<NewOrder<'c>>,
    /// The last status of the batch, and since when.
    status: Option<(OrderStatus, At)>,
    paid_at: Option<At>,
}

struct NewOrder<'c> {
    held: Held,
    request: RequestId,
    buyer: BuyerId,
    at: At,
    lines: &'c [(Line, Money)],
    coupon: Option<(CouponId, Money)>,
}

#[derive(Default)]
struct PaymentFold {
    amount: Option<Money>,
    state: Option<PaymentState>,
    begun_at: Option<At>,
    decided_at: Option<At>,
}

struct RefundFold {
    total: Money,
    settled: Money,
    first_at: At,
    last_at: At,
}

struct ReturnFold {
    order: OrderKey,
    line: u16,
    sku: SkuId,
    qty: Qty,
    at: At,
}

#[derive(Default)]
struct SkuFold<'c> {
    code: Option<&'c str>,
    books: Option<Books>,
}

#[derive(Default)]
struct Sales {
    units: i64,
    amount: i64,
    returned_units: i64,
    returned_amount: i64,
}

impl<'c> Fold<'c> {
    // One event, one short arm; formatted by hand so that they can be compared.
    #[rustfmt::skip]
    pub(super) fn add(&mut self, change: &'c Change) {
        let at = change.at;
        match &change.event {
            Event::OrderHeld { held, request, buyer, lines, coupon } => {
                let (held, request, buyer, coupon) = (*held, *request, *buyer, *coupon);
                let new = NewOrder { held, request, buyer, at, lines, coupon };
                self.order(held.order).new = Some(new);
            }
            Event::OrderEnded { order, why: EndReason::Expired } => {
                self.order(*order).status = Some((OrderStatus::Expired, at));
            }
            Event::OrderEnded { order, why: EndReason::Cancelled } => {
                self.order(*order).status = Some((OrderStatus::Cancelled, at));
            }
            Event::OrderPaid { order, payment, amount, retaken: _ } => {
                let fold = self.order(*order);
                fold.status = Some((OrderStatus::Paid, at));
                fold.paid_at = Some(at);
                self.payment(*order, *payment).decide(PaymentState::Bought, Some(*amount), at);
            }
            Event::PaymentBegun { order, payment, amount } => {
                self.payment(*order, *payment).begin(*amount, at);
            }
            Event::PaymentAbandoned { order, payment } => {
                self.payment(*order, *payment).decide(PaymentState::Abandoned, None, at);
            }
            Event::RefundDue { order, payment, total, settled } => {
                self.refund(*order, *payment, *total, *settled, at);
                // Of a payment that bought, a return is due; any other was in vain, wholly.
                let payment = self.payment(*order, *payment);
                if payment.state != Some(PaymentState::Bought) {
                    payment.decide(PaymentState::InVain, Some(*total), at);
                }
            }
            Event::RefundSettled { order, payment, total, settled } => {
                self.refund(*order, *payment, *total, *settled, at);
            }
            Event::UnitsReturned { order, line, sku, qty } => {
                let (order, line, sku, qty) = (OrderKey::of(*order), line.0, *sku, *qty);
                self.returns.push(ReturnFold { order, line, sku, qty, at });
            }
            Event::Stock { sku, books } => {
                self.skus.entry(*sku).or_default().books = Some(*books);
            }
            Event::SkuListed { sku, code } => {
                self.skus.entry(*sku).or_default().code = Some(code);
            }
            // The ledger forgets to save memory; the tables keep the history.
            Event::OrderForgotten { order: _ } => {}
        }
    }

    fn order(&mut self, order: OrderId) -> &mut OrderFold<'c> {
        self.orders.entry(OrderKey::of(order)).or_default()
    }

    fn payment(&mut self, order: OrderId, payment: PaymentRef) -> &mut PaymentFold {
        self.payments
            .entry((OrderKey::of(order), payment.0))
            .or_default()
    }

    fn refund(
        &mut self,
        order: OrderId,
        payment: PaymentRef,
        total: Money,
        settled: Money,
        at: At,
    ) {
        let new = RefundFold {
            total,
            settled,
            first_at: at,
            last_at: at,
        };
        let refund = self
            .refunds
            .entry((OrderKey::of(order), payment.0))
            .or_insert(new);
        (refund.total, refund.settled, refund.last_at) = (total, settled, at);
    }

    pub(super) fn write(mut self, to: &Transaction<'_>) -> rusqlite::Result<()> {
        let orders = std::mem::take(&mut self.orders);
        write_buyers(to, &orders)?;
        self.write_new_orders(to, &orders)?;
        self.write_known_orders(to, &orders)?;
        self.write_returns(to)?;
        self.write_payments(to)?;
        self.write_refunds(to)?;
        self.write_skus(to)?;
        self.write_sales(to)?;
        self.write_totals(to)
    }

    fn write_new_orders(
        &mut self,
        to: &Transaction<'_>,
        orders: &BTreeMap<OrderKey, OrderFold<'_>>,
    ) -> rusqlite::Result<()> {
        let mut insert = to.prepare_cached(
            "INSERT INTO orders VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?;
        let mut insert_line =
            to.prepare_cached("INSERT INTO lines VALUES (?1, ?2, ?3, ?4, ?5, 0)")?;
        for (key, order) in orders {
            let Some(new) = &order.new else { continue };
            let status = order.status.map_or(OrderStatus::Held, |(status, _)| status);
            insert.execute(params![
                key,
                Wide::of(new.buyer.0),
                Wide::of(new.request.0),
                status as u8,
                new.held.total.0,
                new.held.currency.as_str(),
                new.coupon.map(|(coupon, _)| coupon.0),
                new.coupon.map_or(0, |(_, off)| off.0),
                bits(new.at.0),
                bits(new.held.pay_by.0),
                order.status.map(|(_, at)| bits(at.0)),
            ])?;
            for (place, (line, price)) in new.lines.iter().enumerate() {
                insert_line.execute(params![key, place as i64, line.sku.0, line.qty.0, price.0])?;
                if let Some(at) = order.paid_at {
                    self.sold(line.sku, line.qty.0.into(), price.0, at);
                }
            }
            self.total(
                new.held.currency.as_str(),
                status as u8,
                1,
                new.held.total.0,
            );
        }
        Ok(())
    }

    fn write_known_orders(
        &mut self,
        to: &Transaction<'_>,
        orders: &BTreeMap<OrderKey, OrderFold<'_>>,
    ) -> rusqlite::Result<()> {
        let mut select =
            to.prepare_cached("SELECT status, total, currency FROM orders WHERE order_key = ?1")?;
        let mut update =
            to.prepare_cached("UPDATE orders SET status = ?2, ended_at = ?3 WHERE order_key = ?1")?;
        let mut select_lines =
            to.prepare_cached("SELECT sku, units, unit_price FROM lines WHERE order_key = ?1")?;
        for (key, order) in orders.iter().filter(|(_, order)| order.new.is_none()) {
            let Some((status, at)) = order.status else {
                continue;
            };
            let (before, total, currency): (u8, i64, String) =
                select.query_row([key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            update.execute(params![key, status as u8, bits(at.0)])?;
            self.total(&currency, before, -1, -total);
            self.total(&currency, status as u8, 1, total);
            let Some(at) = order.paid_at else { continue };
            let mut lines = select_lines.query([key])?;
            while let Some(line) = lines.next()? {
                self.sold(SkuId(line.get(0)?), line.get(1)?, line.get(2)?, at);
            }
        }
        Ok(())
    }

    /// An order is sold once: a payment that takes back units after the hold counts when it comes.
    fn sold(&mut self, sku: SkuId, units: i64, unit_price: i64, at: At) {
        let sales = self.sales.entry((sku, at.0 / MINUTE_MS)).or_default();
        sales.units += units;
        sales.amount += units * unit_price;
    }

    fn total(&mut self, currency: &str, status: u8, orders: i64, amount: i64) {
        let mut code = *b"   ";
        code.iter_mut()
            .zip(currency.bytes())
            .for_each(|(to, from)| *to = from);
        let total = self.totals.entry((code, status)).or_default();
        total.0 += orders;
        total.1 += amount;
    }

    fn write_returns(&mut self, to: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut update = to.prepare_cached(
            "UPDATE lines SET returned = returned + ?3 WHERE order_key = ?1 AND line = ?2
             RETURNING unit_price",
        )?;
        for ReturnFold {
            order,
            line,
            sku,
            qty,
            at,
        } in std::mem::take(&mut self.returns)
        {
            let price: i64 = update.query_row(params![order, line, qty.0], |row| row.get(0))?;
            let sales = self.sales.entry((sku, at.0 / MINUTE_MS)).or_default();
            sales.returned_units += i64::from(qty.0);
            sales.returned_amount += i64::from(qty.0) * price;
        }
        Ok(())
    }

    fn write_payments(&self, to: &Transaction<'_>) -> rusqlite::Result<()> {
        const BOUGHT: u8 = PaymentState::Bought as u8;
        let mut upsert = to.prepare_cached(&format!(
            "INSERT INTO payments VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (order_key, payment) DO UPDATE SET
                 amount = excluded.amount, state = excluded.state,
                 begun_at = coalesce(begun_at, excluded.begun_at),
                 decided_at = excluded.decided_at
             WHERE state <> {BOUGHT}",
        ))?;
        let mut update = to.prepare_cached(
            "UPDATE payments SET state = ?3, decided_at = ?4
             WHERE order_key = ?1 AND payment = ?2 RETURNING 1",
        )?;
        for (&(order, payment), fold) in &self.payments {
            let state = fold.state.map(|state| state as u8);
            let decided_at = fold.decided_at.map(|at| bits(at.0));
            let begun_at = fold.begun_at.map(|at| bits(at.0));
            match fold.amount {
                Some(amount) => {
                    let row = params![
                        order,
                        Wide::of(payment),
                        amount.0,
                        state,
                        begun_at,
                        decided_at
                    ];
                    upsert.execute(row)?;
                }
                // Only abandoned: it was begun in an earlier batch, and must be there.
                None => {
                    let row = params![order, Wide::of(payment), state, decided_at];
                    update.query_row(row, |_| Ok(()))?;
                }
            }
        }
        Ok(())
    }

    fn write_refunds(&self, to: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut upsert = to.prepare_cached(
            "INSERT INTO refunds VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (order_key, payment) DO UPDATE SET
                 total = excluded.total, settled = excluded.settled,
                 changed_at = excluded.changed_at",
        )?;
        for ((order, payment), refund) in &self.refunds {
            upsert.execute(params![
                order,
                Wide::of(*payment),
                refund.total.0,
                refund.settled.0,
                bits(refund.first_at.0),
                bits(refund.last_at.0),
            ])?;
        }
        Ok(())
    }

    fn write_skus(&self, to: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut insert = to.prepare_cached("INSERT INTO skus VALUES (?1, ?2, 0, 0, 0, 0)")?;
        let mut update = to.prepare_cached(
            "UPDATE skus SET stocked = ?2, free = ?3, held = ?4, sold = ?5 WHERE sku = ?1
             RETURNING 1",
        )?;
        for (sku, fold) in &self.skus {
            if let Some(code) = fold.code {
                insert.execute(params![sku.0, code])?;
            }
            let Some(Books {
                stocked,
                free,
                held,
                sold,
            }) = fold.books
            else {
                continue;
            };
            let row = params![sku.0, stocked.0, free.0, held.0, sold.0];
            update.query_row(row, |_| Ok(()))?;
        }
        Ok(())
    }

    fn write_sales(&self, to: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut upsert = to.prepare_cached(
            "INSERT INTO sku_sales_minute VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (sku, minute) DO UPDATE SET
                 units = units + excluded.units, amount = amount + excluded.amount,
                 returned_units = returned_units + excluded.returned_units,
                 returned_amount = returned_amount + excluded.returned_amount",
        )?;
        for ((sku, minute), sales) in &self.sales {
            upsert.execute(params![
                sku.0,
                bits(*minute),
                sales.units,
                sales.amount,
                sales.returned_units,
                sales.returned_amount
            ])?;
        }
        Ok(())
    }

    fn write_totals(&self, to: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut upsert = to.prepare_cached(
            "INSERT INTO totals VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (currency, status) DO UPDATE SET
                 orders = orders + excluded.orders, amount = amount + excluded.amount",
        )?;
        for ((currency, status), (orders, amount)) in &self.totals {
            let currency = std::str::from_utf8(currency).unwrap_or("???");
            upsert.execute(params![currency, status, orders, amount])?;
        }
        Ok(())
    }
}

/// In the order of buyers: neighbours in a batch are neighbours in the table.
fn write_buyers(
    to: &Transaction<'_>,
    orders: &BTreeMap<OrderKey, OrderFold<'_>>,
) -> rusqlite::Result<()> {
    let new = |(key, fold): (&OrderKey, &OrderFold<'_>)| {
        fold.new.as_ref().map(|new| (buyer_key(new.buyer), *key))
    };
    let mut buyers: Vec<(u32, OrderKey)> = orders.iter().filter_map(new).collect();
    buyers.sort_unstable();
    let mut insert = to.prepare_cached("INSERT INTO buyer_orders VALUES (?1, ?2)")?;
    for (buyer, order) in buyers {
        insert.execute(params![buyer, order])?;
    }
    Ok(())
}

impl PaymentFold {
    fn begin(&mut self, amount: Money, at: At) {
        self.state = Some(PaymentState::Begun);
        self.begun_at = Some(at);
        self.amount = Some(amount);
    }

    /// Without an amount it stays what it was when the payment was begun.
    fn decide(&mut self, state: PaymentState, amount: Option<Money>, at: At) {
        self.state = Some(state);
        self.decided_at = Some(at);
        self.amount = amount.or(self.amount);
    }
}
