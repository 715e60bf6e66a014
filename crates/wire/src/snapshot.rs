//! A ledger as bytes, version 1: what a snapshot file holds. One byte of version, then rows: one
//! byte of kind and its fields, little-endian. The file around it (crate `journal`) has the
//! checksum; the head row has the digest of the state.

use crate::octets::{Malformed, Put, Take};
use crate::record::{counted, coupon_terms, push_coupon};
use sale::rows::{ActHead, Broken, Head, OrderRow, PaymentRow, Row};
use sale::{
    At, Books, BuyerId, CouponId, Ledger, Line, LineIndex, Millis, OrderId, OrderStatus,
    PaymentRef, PaymentState, Qty, RequestId, Seq, SkuId, UnitDelta, Windows,
};

const VERSION: u8 = 1;
const NO_COUPON: u32 = u32::MAX;

/// Why bytes are no ledger.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("the snapshot is malformed: {0}")]
    Malformed(#[from] Malformed),
    #[error("the snapshot does not add up: {0}")]
    Broken(#[from] Broken),
}

/// Writes a ledger in pieces of about 64 KiB, so that ten million orders need no second copy.
pub fn write<E>(ledger: &Ledger, mut sink: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut piece: Vec<u8> = vec![VERSION];
    let mut failed = None;
    ledger.export(&mut |row| {
        if failed.is_some() {
            return;
        }
        push(&mut piece, &row);
        if piece.len() >= 65_536 {
            failed = sink(&piece).err();
            piece.clear();
        }
    });
    match failed {
        Some(error) => Err(error),
        None => sink(&piece),
    }
}

/// Reads a ledger back and checks its digest.
pub fn read(bytes: &[u8]) -> Result<Ledger, Unreadable> {
    let mut take = Take::new(bytes);
    if take.u8()? != VERSION {
        return Err(Malformed {
            what: "a snapshot of a version that is not 1",
            at: 0,
        }
        .into());
    }
    let mut malformed = None;
    let rows = std::iter::from_fn(|| {
        if take.is_empty() {
            return None;
        }
        row(&mut take).map_err(|error| malformed = Some(error)).ok()
    });
    let ledger = Ledger::import(rows);
    match malformed {
        Some(error) => Err(error.into()),
        None => Ok(ledger?),
    }
}

fn push(out: &mut Vec<u8>, row: &Row) {
    match row {
        Row::Head(head) => {
            out.u8(1);
            out.u64(head.seq.0);
            out.u64(head.at.0);
            out.u16(head.cell);
            out.u64(head.windows.remember.0);
            out.u64(head.windows.returns.0);
            out.u64(head.accepted);
            out.u64(head.digest);
        }
        Row::Sku {
            code,
            terms,
            books,
            shut,
        } => {
            out.u8(2);
            out.text(code);
            out.terms(terms);
            for units in [books.stocked, books.free, books.held, books.sold] {
                out.u32(units.0);
            }
            out.u8(u8::from(*shut));
        }
        Row::Coupon { code, terms, uses } => {
            out.u8(3);
            out.text(code);
            push_coupon(out, terms);
            out.u32(uses.0);
        }
        Row::Order(order) => push_order(out, order),
        Row::Lines { ordinal, lines } => {
            out.u8(5);
            out.u64(*ordinal);
            out.u32(lines.len() as u32);
            for (line, price, returned) in lines {
                out.u32(line.sku.0);
                out.u32(line.qty.0);
                out.i64(price.0);
                out.u32(returned.0);
            }
        }
        Row::Payment(row) => {
            out.u8(6);
            out.u64(row.ordinal);
            out.u128(row.payment.0);
            out.i64(row.amount.0);
            out.u8(match row.state {
                PaymentState::Begun => 0,
                PaymentState::Abandoned => 1,
                PaymentState::Bought => 2,
                PaymentState::InVain => 3,
            });
            out.i64(row.refund_due.0);
            out.i64(row.refund_settled.0);
        }
        Row::Taken { buyer, sku, units } => {
            out.u8(7);
            out.u128(buyer.0);
            out.u32(sku.0);
            out.u32(units.0);
        }
        Row::Used { coupon, buyer } => {
            out.u8(8);
            out.u32(coupon.0);
            out.u128(buyer.0);
        }
        Row::Adjusted {
            head,
            sku,
            delta,
            reason,
            free,
        } => {
            push_act(out, 9, head);
            out.u32(sku.0);
            out.i64(delta.0);
            out.text(reason);
            out.u32(free.0);
        }
        Row::Returned {
            head,
            order,
            lines,
            refund,
            units,
        } => {
            push_act(out, 10, head);
            out.u64(order.0);
            out.u32(lines.len() as u32);
            for (line, qty) in lines {
                out.u16(line.0);
                out.u32(qty.0);
            }
            out.i64(refund.0);
            out.u32(units.0);
        }
        Row::Forget { due_ms, ordinal } => {
            out.u8(11);
            out.u64(*due_ms);
            out.u64(*ordinal);
        }
    }
}

fn push_act(out: &mut Vec<u8>, kind: u8, head: &ActHead) {
    out.u8(kind);
    out.u128(head.request.0);
    out.u64(head.due_ms);
}

fn push_order(out: &mut Vec<u8>, order: &OrderRow) {
    out.u8(4);
    out.u64(order.ordinal);
    out.u128(order.request.0);
    out.u128(order.buyer.0);
    out.u64(order.held_at.0);
    out.u64(order.pay_by.0);
    out.u64(order.ended_at.0);
    out.u8(match order.status {
        OrderStatus::Held => 0,
        OrderStatus::Paid => 1,
        OrderStatus::Expired => 2,
        OrderStatus::Cancelled => 3,
    });
    out.u32(order.coupon.map_or(NO_COUPON, |c| c.0));
    out.currency(order.currency);
    out.i64(order.price.0);
    out.u32(order.line.sku.0);
    out.u32(order.line.qty.0);
    out.u32(order.returned.0);
    out.u8(u8::from(order.many));
}

fn row(take: &mut Take<'_>) -> Result<Row, Malformed> {
    Ok(match take.u8()? {
        1 => Row::Head(Head {
            seq: Seq(take.u64()?),
            at: At(take.u64()?),
            cell: take.u16()?,
            windows: Windows {
                remember: Millis(take.u64()?),
                returns: Millis(take.u64()?),
            },
            accepted: take.u64()?,
            digest: take.u64()?,
        }),
        2 => {
            let (code, terms) = (take.text()?, take.terms()?);
            let books = Books {
                stocked: take.qty()?,
                free: take.qty()?,
                held: take.qty()?,
                sold: take.qty()?,
            };
            Row::Sku {
                code,
                terms,
                books,
                shut: flag(take)?,
            }
        }
        3 => Row::Coupon {
            code: take.text()?,
            terms: coupon_terms(take)?,
            uses: take.qty()?,
        },
        4 => Row::Order(order(take)?),
        5 => {
            let ordinal = take.u64()?;
            let count = counted(take, 20)?;
            let mut lines = Vec::with_capacity(count);
            for _ in 0..count {
                let line = Line {
                    sku: SkuId(take.u32()?),
                    qty: take.qty()?,
                };
                lines.push((line, take.money()?, take.qty()?));
            }
            Row::Lines { ordinal, lines }
        }
        6 => Row::Payment(PaymentRow {
            ordinal: take.u64()?,
            payment: PaymentRef(take.u128()?),
            amount: take.money()?,
            state: match take.u8()? {
                0 => PaymentState::Begun,
                1 => PaymentState::Abandoned,
                2 => PaymentState::Bought,
                3 => PaymentState::InVain,
                _ => return take.malformed("a payment of unknown state"),
            },
            refund_due: take.money()?,
            refund_settled: take.money()?,
        }),
        7 => Row::Taken {
            buyer: BuyerId(take.u128()?),
            sku: SkuId(take.u32()?),
            units: take.qty()?,
        },
        8 => Row::Used {
            coupon: CouponId(take.u32()?),
            buyer: BuyerId(take.u128()?),
        },
        9 => Row::Adjusted {
            head: act(take)?,
            sku: SkuId(take.u32()?),
            delta: UnitDelta(take.i64()?),
            reason: take.text()?,
            free: take.qty()?,
        },
        10 => {
            let (head, order) = (act(take)?, OrderId(take.u64()?));
            let count = counted(take, 6)?;
            let mut lines = Vec::with_capacity(count);
            for _ in 0..count {
                lines.push((LineIndex(take.u16()?), take.qty()?));
            }
            Row::Returned {
                head,
                order,
                lines,
                refund: take.money()?,
                units: take.qty()?,
            }
        }
        11 => Row::Forget {
            due_ms: take.u64()?,
            ordinal: take.u64()?,
        },
        _ => {
            return Err(Malformed {
                what: "a row of unknown kind",
                at: take.at() - 1,
            });
        }
    })
}

fn act(take: &mut Take<'_>) -> Result<ActHead, Malformed> {
    Ok(ActHead {
        request: RequestId(take.u128()?),
        due_ms: take.u64()?,
    })
}

fn flag(take: &mut Take<'_>) -> Result<bool, Malformed> {
    match take.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => take.malformed("a flag that is neither 0 nor 1"),
    }
}

fn order(take: &mut Take<'_>) -> Result<OrderRow, Malformed> {
    Ok(OrderRow {
        ordinal: take.u64()?,
        request: RequestId(take.u128()?),
        buyer: BuyerId(take.u128()?),
        held_at: At(take.u64()?),
        pay_by: At(take.u64()?),
        ended_at: At(take.u64()?),
        status: match take.u8()? {
            0 => OrderStatus::Held,
            1 => OrderStatus::Paid,
            2 => OrderStatus::Expired,
            3 => OrderStatus::Cancelled,
            _ => return take.malformed("an order of unknown status"),
        },
        coupon: Some(take.u32()?)
            .filter(|coupon| *coupon != NO_COUPON)
            .map(CouponId),
        currency: take.currency()?,
        price: take.money()?,
        line: Line {
            sku: SkuId(take.u32()?),
            qty: Qty(take.u32()?),
        },
        returned: take.qty()?,
        many: flag(take)?,
    })
}
