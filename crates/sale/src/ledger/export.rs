//! A ledger to rows and back.

use super::orders::{OrderRow, OrderStatus};
use super::rows::{self, ActHead, Broken, Head, Row};
use super::{
    Act, ActContent, Ledger, LineRow, Outcome, PaymentRow, Qty, Taken, place, taken_hash, wide,
};
use crate::{At, BuyerId, Line};

impl Ledger {
    /// Hands every row to `sink`: the head first, dense and ordered tables in their order, the
    /// units taken in no particular one.
    pub fn export(&self, sink: &mut impl FnMut(Row)) {
        sink(Row::Head(Head {
            seq: self.seq,
            at: self.at,
            cell: self.cell,
            windows: self.windows,
            accepted: self.orders.accepted(),
            digest: self.digest(),
        }));
        for row in &self.skus {
            let (code, terms, books, shut) = (row.code.clone(), row.terms, row.books, row.shut);
            sink(Row::Sku {
                code,
                terms,
                books,
                shut,
            });
        }
        for row in &self.coupons {
            sink(Row::Coupon {
                code: row.code.clone(),
                terms: row.terms,
                uses: row.uses,
            });
        }
        for (ordinal, row) in self.orders.iter() {
            sink(Row::Order(row.export(ordinal)));
            if row.many {
                sink(Row::Lines {
                    ordinal,
                    lines: self.lines_of(ordinal, row),
                });
            }
        }
        for (&(ordinal, payment), row) in &self.payments {
            let PaymentRow {
                amount,
                state,
                refund_due,
                refund_settled,
            } = *row;
            let row = rows::PaymentRow {
                ordinal,
                payment,
                amount,
                state,
                refund_due,
                refund_settled,
            };
            sink(Row::Payment(row));
        }
        for row in self.taken.iter() {
            let buyer = u128::from(row.buyer[0]) | u128::from(row.buyer[1]) << 64;
            sink(Row::Taken {
                buyer: BuyerId(buyer),
                sku: row.sku,
                units: row.units,
            });
        }
        for &(coupon, buyer) in &self.used {
            sink(Row::Used { coupon, buyer });
        }
        for &(due_ms, request) in &self.forget_acts {
            sink(self.acts[&request].export(ActHead { request, due_ms }));
        }
        for &(due_ms, ordinal) in &self.forget_orders {
            sink(Row::Forget { due_ms, ordinal });
        }
    }

    /// Builds a ledger from exported rows.
    pub fn import(rows: impl IntoIterator<Item = Row>) -> Result<Ledger, Broken> {
        let mut rows = rows.into_iter();
        let Some(Row::Head(head)) = rows.next() else {
            return Err(Broken::Head);
        };
        let mut ledger = Ledger::new();
        ledger.seq = head.seq;
        ledger.at = head.at;
        ledger.cell = head.cell;
        ledger.windows = head.windows;
        ledger.orders.restore_accepted(head.accepted);
        for row in rows {
            ledger.import_row(row, head.accepted)?;
        }
        let found = ledger.digest();
        if found != head.digest {
            return Err(Broken::Digest {
                promised: head.digest,
                found,
            });
        }
        Ok(ledger)
    }

    fn import_row(&mut self, row: Row, accepted: u64) -> Result<(), Broken> {
        let bad = |kind| Err(Broken::Row { kind });
        match row {
            Row::Head(_) => return Err(Broken::Head),
            Row::Sku {
                code,
                terms,
                books,
                shut,
            } => {
                if !books.balance() || self.sku_codes.contains_key(&code) {
                    return bad("SKU");
                }
                self.add_sku(code, terms, books, shut);
            }
            Row::Coupon { code, terms, uses } => {
                if self.coupon_codes.contains_key(&code) || terms.minimum_total <= terms.amount_off
                {
                    return bad("coupon");
                }
                self.add_coupon(code, terms, uses);
            }
            Row::Order(row) => {
                let known = row.line.sku.0 as usize >= self.skus.len()
                    || row
                        .coupon
                        .is_some_and(|c| c.0 as usize >= self.coupons.len())
                    || self.orders.get(row.ordinal).is_some();
                if row.ordinal == 0 || row.ordinal > accepted || known {
                    return bad("order");
                }
                self.import_order(&row);
            }
            Row::Lines { ordinal, lines } => {
                if !self.orders.get(ordinal).is_some_and(|row| row.many) {
                    return bad("lines");
                }
                let row = |(line, price, returned): (Line, _, _)| LineRow {
                    line,
                    price,
                    returned,
                };
                let lines: Box<[LineRow]> = lines.into_iter().map(row).collect();
                for (index, line) in lines.iter().enumerate() {
                    self.digest.add(line.hash(ordinal, index as u16));
                }
                self.lines.insert(ordinal, lines);
            }
            Row::Payment(row) => {
                let rows::PaymentRow {
                    ordinal,
                    payment,
                    amount,
                    state,
                    refund_due,
                    refund_settled,
                } = row;
                let row = PaymentRow {
                    amount,
                    state,
                    refund_due,
                    refund_settled,
                };
                self.digest.add(row.hash(ordinal, payment));
                if self.payments.insert((ordinal, payment), row).is_some() {
                    return bad("payment");
                }
            }
            Row::Taken { buyer, sku, units } => {
                if self.taken(buyer, sku) != Qty::ZERO || units == Qty::ZERO {
                    return bad("taken");
                }
                let row = Taken {
                    buyer: wide(buyer.0),
                    sku,
                    units,
                };
                self.digest.add(row.hash());
                let hash = taken_hash(row.buyer, sku);
                self.taken.insert(hash, row);
            }
            Row::Used { coupon, buyer } => {
                self.digest.add(place::used_hash(coupon, buyer));
                if !self.used.insert((coupon, buyer)) {
                    return bad("used");
                }
            }
            Row::Adjusted {
                head,
                sku,
                delta,
                reason,
                free,
            } => {
                let content = ActContent::Adjust { sku, delta, reason };
                self.import_act(head, content, Outcome::Adjusted { free })?;
            }
            Row::Returned {
                head,
                order,
                lines,
                refund,
                units,
            } => {
                let content = ActContent::Return { order, lines };
                self.import_act(head, content, Outcome::Returned { refund, units })?;
            }
            Row::Forget { due_ms, ordinal } => {
                if self
                    .orders
                    .get(ordinal)
                    .is_none_or(|row| row.status == OrderStatus::Held)
                {
                    return bad("forget");
                }
                self.queue_forget(ordinal, due_ms);
            }
        }
        Ok(())
    }

    fn import_act(
        &mut self,
        head: ActHead,
        content: ActContent,
        outcome: Outcome,
    ) -> Result<(), Broken> {
        if self.acts.contains_key(&head.request) {
            return Err(Broken::Row { kind: "act" });
        }
        self.add_act(head.request, Act { content, outcome }, head.due_ms);
        Ok(())
    }

    fn import_order(&mut self, out: &rows::OrderRow) {
        let mut row = OrderRow::held(
            (out.request, out.buyer),
            (out.held_at.0, out.pay_by.0),
            (out.line.sku, out.line.qty, out.price, out.many),
            (out.currency, out.coupon),
        );
        row.status = out.status;
        row.ended_at = out.ended_at.0;
        row.returned = out.returned;
        let (ordinal, request) = (out.ordinal, out.request);
        self.digest.add(row.hash(ordinal));
        if row.status == OrderStatus::Held {
            self.deadlines.entry(row.pay_by).or_default().push(ordinal);
        }
        self.orders.restore(ordinal, row);
        self.index_request(request, ordinal);
    }
}

impl OrderRow {
    fn export(&self, ordinal: u64) -> rows::OrderRow {
        rows::OrderRow {
            ordinal,
            request: self.request(),
            buyer: self.buyer(),
            held_at: At(self.held_at),
            pay_by: At(self.pay_by),
            ended_at: At(self.ended_at),
            status: self.status,
            coupon: self.coupon(),
            currency: self.currency(),
            price: self.price,
            line: Line {
                sku: self.sku,
                qty: self.qty,
            },
            returned: self.returned,
            many: self.many,
        }
    }
}

impl Act {
    fn export(&self, head: ActHead) -> Row {
        match (&self.content, self.outcome) {
            (ActContent::Adjust { sku, delta, reason }, Outcome::Adjusted { free }) => {
                Row::Adjusted {
                    head,
                    sku: *sku,
                    delta: *delta,
                    reason: reason.clone(),
                    free,
                }
            }
            (ActContent::Return { order, lines }, Outcome::Returned { refund, units }) => {
                Row::Returned {
                    head,
                    order: *order,
                    lines: lines.clone(),
                    refund,
                    units,
                }
            }
            (content, outcome) => unreachable!("{content:?} was remembered with {outcome:?}"),
        }
    }
}
