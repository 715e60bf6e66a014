//! The payload of one journal batch, version 1: an instant, then the commands one after the other.
//! The batch's own header (crate `journal`) says the number of the first and how many there are.
//!
//! | bytes | field |
//! |---|---|
//! | 1 | version: 1 |
//! | 8 | instant of all commands, milliseconds since the Unix epoch |
//! | … | commands: one byte of kind, then the fields of that kind, little-endian |
//!
//! Kinds and their fields are only ever added to; a change of one is a new version.

use crate::octets::{Malformed, Put, Take};
use sale::{
    At, BuyerId, Command, CouponId, CouponTerms, Entry, Line, LineIndex, Lines, Millis, OrderId,
    PaymentRef, Place, Qty, RequestId, Seq, SkuId, UnitDelta, Windows,
};

const VERSION: u8 = 1;
const NO_COUPON: u32 = u32::MAX;

mod kind {
    pub const PLACE_ONE: u8 = 1;
    pub const PLACE_MANY: u8 = 2;
    pub const TICK: u8 = 3;
    pub const BEGIN_PAYMENT: u8 = 4;
    pub const CONFIRM_PAYMENT: u8 = 5;
    pub const ABANDON_PAYMENT: u8 = 6;
    pub const SETTLE_REFUND: u8 = 7;
    pub const CANCEL: u8 = 8;
    pub const RETURN: u8 = 9;
    pub const LIST_SKU: u8 = 10;
    pub const SET_TERMS: u8 = 11;
    pub const OPEN_SKU: u8 = 12;
    pub const CLOSE_SKU: u8 = 13;
    pub const ADJUST_STOCK: u8 = 14;
    pub const CREATE_COUPON: u8 = 15;
    pub const CONFIGURE: u8 = 16;
}

/// Starts the payload of a batch whose commands all happened at `at`.
pub fn begin(payload: &mut Vec<u8>, at: At) {
    payload.u8(VERSION);
    payload.u64(at.0);
}

/// Sets the instant of a payload that was begun earlier.
pub fn stamp(payload: &mut [u8], at: At) {
    payload[1..HEAD_BYTES].copy_from_slice(&at.0.to_le_bytes());
}

/// Bytes before the first command.
pub const HEAD_BYTES: usize = 9;

/// Appends one command.
#[inline]
pub fn push(out: &mut Vec<u8>, command: &Command) {
    match command {
        Command::Place(Place {
            request,
            buyer,
            lines: Lines::One(line),
            coupon,
        }) => {
            let mut bytes = [0; 45];
            bytes[0] = kind::PLACE_ONE;
            bytes[1..17].copy_from_slice(&request.0.to_le_bytes());
            bytes[17..33].copy_from_slice(&buyer.0.to_le_bytes());
            bytes[33..37].copy_from_slice(&line.sku.0.to_le_bytes());
            bytes[37..41].copy_from_slice(&line.qty.0.to_le_bytes());
            bytes[41..45].copy_from_slice(&coupon.map_or(NO_COUPON, |c| c.0).to_le_bytes());
            out.put(&bytes);
        }
        Command::Place(Place {
            request,
            buyer,
            lines: Lines::Many(lines),
            coupon,
        }) => {
            out.u8(kind::PLACE_MANY);
            out.u128(request.0);
            out.u128(buyer.0);
            out.u32(coupon.map_or(NO_COUPON, |c| c.0));
            out.u32(lines.len() as u32);
            for line in lines {
                out.u32(line.sku.0);
                out.u32(line.qty.0);
            }
        }
        Command::Tick => out.u8(kind::TICK),
        other => push_rare(out, other),
    }
}

fn push_rare(out: &mut Vec<u8>, command: &Command) {
    match command {
        Command::Place(_) | Command::Tick => unreachable!("the caller has these"),
        Command::BeginPayment {
            order,
            payment,
            amount,
        } => {
            push_payment(out, kind::BEGIN_PAYMENT, *order, *payment, Some(amount.0));
        }
        Command::ConfirmPayment {
            order,
            payment,
            amount,
        } => {
            push_payment(out, kind::CONFIRM_PAYMENT, *order, *payment, Some(amount.0));
        }
        Command::AbandonPayment { order, payment } => {
            push_payment(out, kind::ABANDON_PAYMENT, *order, *payment, None);
        }
        Command::SettleRefund {
            order,
            payment,
            amount,
        } => {
            push_payment(out, kind::SETTLE_REFUND, *order, *payment, Some(amount.0));
        }
        Command::Cancel { order } => {
            out.u8(kind::CANCEL);
            out.u64(order.0);
        }
        Command::Return {
            request,
            order,
            lines,
        } => {
            out.u8(kind::RETURN);
            out.u128(request.0);
            out.u64(order.0);
            out.u32(lines.len() as u32);
            for (line, qty) in lines {
                out.u16(line.0);
                out.u32(qty.0);
            }
        }
        Command::ListSku { code, stock, terms } => {
            out.u8(kind::LIST_SKU);
            out.text(code);
            out.u32(stock.0);
            out.terms(terms);
        }
        Command::SetTerms { sku, terms } => {
            out.u8(kind::SET_TERMS);
            out.u32(sku.0);
            out.terms(terms);
        }
        Command::OpenSku { sku } => {
            out.u8(kind::OPEN_SKU);
            out.u32(sku.0);
        }
        Command::CloseSku { sku } => {
            out.u8(kind::CLOSE_SKU);
            out.u32(sku.0);
        }
        Command::AdjustStock {
            request,
            sku,
            delta,
            reason,
        } => {
            out.u8(kind::ADJUST_STOCK);
            out.u128(request.0);
            out.u32(sku.0);
            out.i64(delta.0);
            out.text(reason);
        }
        Command::CreateCoupon { code, terms } => {
            out.u8(kind::CREATE_COUPON);
            out.text(code);
            push_coupon(out, terms);
        }
        Command::Configure { cell, windows } => {
            out.u8(kind::CONFIGURE);
            out.u16(*cell);
            out.u64(windows.remember.0);
            out.u64(windows.returns.0);
        }
    }
}

fn push_payment(
    out: &mut Vec<u8>,
    kind: u8,
    order: OrderId,
    payment: PaymentRef,
    amount: Option<i64>,
) {
    out.u8(kind);
    out.u64(order.0);
    out.u128(payment.0);
    if let Some(amount) = amount {
        out.i64(amount);
    }
}

pub(crate) fn push_coupon(out: &mut Vec<u8>, terms: &CouponTerms) {
    out.u32(terms.quota.0);
    out.i64(terms.amount_off.0);
    out.currency(terms.currency);
    out.i64(terms.minimum_total.0);
}

/// Reads the commands of one batch back, as entries numbered from `first`.
#[derive(Debug)]
pub struct Entries<'a> {
    take: Take<'a>,
    at: At,
    next: u64,
    left: u32,
}

impl<'a> Entries<'a> {
    /// `first` and `count` come from the batch.
    pub fn new(first: u64, count: u32, payload: &'a [u8]) -> Result<Entries<'a>, Malformed> {
        let mut take = Take::new(payload);
        if take.u8()? != VERSION {
            return Err(Malformed {
                what: "a batch of a version that is not 1",
                at: 0,
            });
        }
        let at = At(take.u64()?);
        Ok(Entries {
            take,
            at,
            next: first,
            left: count,
        })
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, Malformed>;
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let rest = !self.take.is_empty();
            self.take = Take::new(&[]);
            return rest.then(|| self.take.malformed("bytes after the last command"));
        }
        self.left -= 1;
        let seq = Seq(self.next);
        self.next += 1;
        let entry = command(&mut self.take).map(|command| Entry {
            seq,
            at: self.at,
            command,
        });
        if entry.is_err() {
            self.left = 0;
            self.take = Take::new(&[]);
        }
        Some(entry)
    }
}

#[inline]
fn command(take: &mut Take<'_>) -> Result<Command, Malformed> {
    let kind = take.u8()?;
    if kind == kind::PLACE_ONE {
        let (request, buyer) = (RequestId(take.u128()?), BuyerId(take.u128()?));
        let line = Line {
            sku: SkuId(take.u32()?),
            qty: Qty(take.u32()?),
        };
        let coupon = coupon(take)?;
        return Ok(Command::Place(Place {
            request,
            buyer,
            lines: Lines::One(line),
            coupon,
        }));
    }
    rare(kind, take)
}

fn rare(kind: u8, take: &mut Take<'_>) -> Result<Command, Malformed> {
    Ok(match kind {
        kind::PLACE_MANY => {
            let (request, buyer) = (RequestId(take.u128()?), BuyerId(take.u128()?));
            let coupon = coupon(take)?;
            let count = counted(take, 8)?;
            let mut lines = Vec::with_capacity(count);
            for _ in 0..count {
                lines.push(Line {
                    sku: SkuId(take.u32()?),
                    qty: take.qty()?,
                });
            }
            Command::Place(Place {
                request,
                buyer,
                lines: Lines::Many(lines),
                coupon,
            })
        }
        kind::TICK => Command::Tick,
        kind::BEGIN_PAYMENT => {
            let (order, payment) = payment(take)?;
            Command::BeginPayment {
                order,
                payment,
                amount: take.money()?,
            }
        }
        kind::CONFIRM_PAYMENT => {
            let (order, payment) = payment(take)?;
            Command::ConfirmPayment {
                order,
                payment,
                amount: take.money()?,
            }
        }
        kind::ABANDON_PAYMENT => {
            let (order, payment) = payment(take)?;
            Command::AbandonPayment { order, payment }
        }
        kind::SETTLE_REFUND => {
            let (order, payment) = payment(take)?;
            Command::SettleRefund {
                order,
                payment,
                amount: take.money()?,
            }
        }
        kind::CANCEL => Command::Cancel {
            order: OrderId(take.u64()?),
        },
        kind::RETURN => {
            let (request, order) = (RequestId(take.u128()?), OrderId(take.u64()?));
            let count = counted(take, 6)?;
            let mut lines = Vec::with_capacity(count);
            for _ in 0..count {
                lines.push((LineIndex(take.u16()?), take.qty()?));
            }
            Command::Return {
                request,
                order,
                lines,
            }
        }
        kind::LIST_SKU => Command::ListSku {
            code: take.text()?,
            stock: take.qty()?,
            terms: take.terms()?,
        },
        kind::SET_TERMS => Command::SetTerms {
            sku: SkuId(take.u32()?),
            terms: take.terms()?,
        },
        kind::OPEN_SKU => Command::OpenSku {
            sku: SkuId(take.u32()?),
        },
        kind::CLOSE_SKU => Command::CloseSku {
            sku: SkuId(take.u32()?),
        },
        kind::ADJUST_STOCK => Command::AdjustStock {
            request: RequestId(take.u128()?),
            sku: SkuId(take.u32()?),
            delta: UnitDelta(take.i64()?),
            reason: take.text()?,
        },
        kind::CREATE_COUPON => Command::CreateCoupon {
            code: take.text()?,
            terms: coupon_terms(take)?,
        },
        kind::CONFIGURE => {
            let cell = take.u16()?;
            let (remember, returns) = (Millis(take.u64()?), Millis(take.u64()?));
            Command::Configure {
                cell,
                windows: Windows { remember, returns },
            }
        }
        _ => {
            return Err(Malformed {
                what: "a command of unknown kind",
                at: take.at() - 1,
            });
        }
    })
}

fn coupon(take: &mut Take<'_>) -> Result<Option<CouponId>, Malformed> {
    Ok(Some(take.u32()?)
        .filter(|coupon| *coupon != NO_COUPON)
        .map(CouponId))
}

pub(crate) fn coupon_terms(take: &mut Take<'_>) -> Result<CouponTerms, Malformed> {
    Ok(CouponTerms {
        quota: take.qty()?,
        amount_off: take.money()?,
        currency: take.currency()?,
        minimum_total: take.money()?,
    })
}

fn payment(take: &mut Take<'_>) -> Result<(OrderId, PaymentRef), Malformed> {
    Ok((OrderId(take.u64()?), PaymentRef(take.u128()?)))
}

/// A count of rows of `row_bytes` each that the rest of the bytes can hold.
pub(crate) fn counted(take: &mut Take<'_>, row_bytes: usize) -> Result<usize, Malformed> {
    let count = take.u32()? as usize;
    if count > take.left() / row_bytes {
        return take.malformed("a count above what the bytes hold");
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sale::{Currency, Money, SkuTerms, Text};

    fn one_of_each() -> Vec<Command> {
        let text = |t: &str| Text::new(t).unwrap();
        let (order, payment) = (OrderId(77), PaymentRef(u128::MAX - 5));
        let line = |sku, qty| Line {
            sku: SkuId(sku),
            qty: Qty(qty),
        };
        let place = |lines, coupon| {
            let (request, buyer) = (RequestId(u128::MAX / 3), BuyerId(9 << 90));
            Command::Place(Place {
                request,
                buyer,
                lines,
                coupon,
            })
        };
        let terms = SkuTerms {
            price: Money(1_999),
            currency: Currency::EUR,
            buyer_limit: std::num::NonZeroU32::new(2),
            opens: At(5),
            closes: Some(At(9)),
            hold: Millis(1_000),
        };
        let open_ended = SkuTerms {
            buyer_limit: None,
            closes: None,
            ..terms
        };
        let coupon = CouponTerms {
            quota: Qty(3),
            amount_off: Money(500),
            currency: Currency::GBP,
            minimum_total: Money(2_000),
        };
        let windows = Windows::default();
        vec![
            place(Lines::One(line(3, 2)), None),
            place(Lines::One(line(3, 2)), Some(CouponId(4))),
            place(
                Lines::Many(vec![line(1, 1), line(2, 1_000_000)]),
                Some(CouponId(0)),
            ),
            place(Lines::Many(vec![]), None),
            Command::Tick,
            Command::BeginPayment {
                order,
                payment,
                amount: Money(i64::MIN),
            },
            Command::ConfirmPayment {
                order,
                payment,
                amount: Money(1),
            },
            Command::AbandonPayment { order, payment },
            Command::SettleRefund {
                order,
                payment,
                amount: Money(2),
            },
            Command::Cancel { order },
            Command::Return {
                request: RequestId(1),
                order,
                lines: vec![(LineIndex(3), Qty(4))],
            },
            Command::ListSku {
                code: text("LAMP"),
                stock: Qty(7),
                terms,
            },
            Command::SetTerms {
                sku: SkuId(1),
                terms: open_ended,
            },
            Command::OpenSku { sku: SkuId(1) },
            Command::CloseSku { sku: SkuId(2) },
            Command::AdjustStock {
                request: RequestId(8),
                sku: SkuId(0),
                delta: UnitDelta(-4),
                reason: text("broken in transit"),
            },
            Command::CreateCoupon {
                code: text("SAVE5"),
                terms: coupon,
            },
            Command::Configure { cell: 12, windows },
        ]
    }

    fn payload(commands: &[Command]) -> Vec<u8> {
        let mut payload = Vec::new();
        begin(&mut payload, At(1_234));
        for command in commands {
            push(&mut payload, command);
        }
        payload
    }

    #[test]
    fn each_command_reads_back() {
        let commands = one_of_each();
        let payload = payload(&commands);
        let entries = Entries::new(41, commands.len() as u32, &payload).unwrap();
        for (index, entry) in entries.enumerate() {
            let entry = entry.unwrap();
            assert_eq!((entry.seq, entry.at), (Seq(41 + index as u64), At(1_234)));
            assert_eq!(entry.command, commands[index]);
        }
    }

    #[test]
    fn cut_and_foreign_bytes_are_errors() {
        let commands = one_of_each();
        let payload = payload(&commands);
        let count = commands.len() as u32;
        let fails = |count, bytes: &[u8]| match Entries::new(1, count, bytes) {
            Err(_) => true,
            Ok(mut entries) => entries.any(|entry| entry.is_err()),
        };
        assert!(!fails(count, &payload));
        for cut in 0..payload.len() {
            assert!(fails(count, &payload[..cut]), "cut at {cut}");
        }
        assert!(fails(count - 1, &payload), "bytes after the last command");
        let mut other = payload.clone();
        other[0] = 2;
        assert!(fails(count, &other), "another version");
        other = payload;
        other[HEAD_BYTES] = 200;
        assert!(fails(count, &other), "an unknown kind");
    }

    /// Version 1 is a promise: these bytes are read for ever.
    #[test]
    fn version_1_is_pinned() {
        let commands = one_of_each();
        let sum = payload(&commands)
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
                (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3)
            });
        assert_eq!(format!("{sum:016x}"), "cf47347ad0f5474c");
    }
}
