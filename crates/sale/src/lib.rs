//! The rules of selling: which order is held, which is refused and why, what a payment does, when a
//! hold ends. Pure and deterministic: time, ids and randomness come in with the command, money and
//! counts are checked integers, and nothing ordered ever follows hash order. The same entries give
//! the same outcomes and the same [`Ledger::digest`] on every machine.
//!
//! ```
//! use sale::*;
//!
//! let mut ledger = Ledger::new();
//! let mut seq = 0;
//! let mut at = |ms: u64, command: Command| {
//!     seq += 1;
//!     let entry = Entry { seq: Seq(seq), at: At(ms), command };
//!     ledger.apply(&entry, &mut NoEffects)
//! };
//! // One lamp, sold from T0 = 1,000 ms on, at most one a buyer, held for 10 s.
//! let terms = SkuTerms {
//!     price: Money(49_90),
//!     currency: Currency::EUR,
//!     buyer_limit: std::num::NonZeroU32::new(1),
//!     opens: At(1_000),
//!     closes: None,
//!     hold: Millis(10_000),
//! };
//! let code = Text::new("LAMP").unwrap();
//! let Outcome::Listed { sku } = at(0, Command::ListSku { code, stock: Qty(1), terms }) else {
//!     panic!("a new code is listed")
//! };
//! let wish = |request, buyer| {
//!     let lines = Lines::One(Line { sku, qty: Qty(1) });
//!     let (request, buyer) = (RequestId(request), BuyerId(buyer));
//!     Command::Place(Place { request, buyer, lines, coupon: None })
//! };
//! // Anna is early, then she gets it; asking again under the same id gives the same answer.
//! assert_eq!(at(999, wish(1, 7)), Outcome::NotOpen { sku, opens: At(1_000) });
//! let Outcome::Held(held) = at(1_000, wish(1, 7)) else { panic!("the lamp is free") };
//! assert_eq!(at(1_001, wish(1, 7)), Outcome::Replayed(held));
//! // Ben is late, until Anna's hold ends unpaid.
//! assert_eq!(at(1_002, wish(2, 8)), Outcome::SoldOut { sku, left: Qty(0) });
//! assert_eq!(at(11_000, Command::Tick), Outcome::Ticked { ended: 1, forgotten: 0 });
//! assert!(matches!(at(11_001, wish(2, 8)), Outcome::Held(_)));
//! // Anna's money comes too late: the lamp is Ben's, so it is due back.
//! let late = Command::ConfirmPayment {
//!     order: held.order, payment: PaymentRef(1), amount: Money(49_90),
//! };
//! assert_eq!(at(11_002, late), Outcome::RefundDue { amount: Money(49_90) });
//! ```
//!
//! This crate must not know about clocks, threads, files, sockets or serialisation.

mod command;
mod ids;
mod ledger;
pub mod limits;
mod outcome;

pub use command::{
    Command, CouponTerms, Entry, Line, Lines, Place, Reason, SkuTerms, Text, TextTooLong, Windows,
};
pub use ids::{
    At, BuyerId, CouponId, Currency, LineIndex, Millis, Money, OrderId, PaymentRef, Qty, RequestId,
    Seq, SkuId, UnitDelta,
};
pub use ledger::{
    Books, CouponView, Ledger, OpenPayment, OrderStatus, OrderView, PaymentState, PaymentView,
    SkuView, rows,
};
pub use outcome::{Effect, Effects, EndReason, Held, MalformedLines, NoEffects, Outcome};
