//! The rules of selling: which order is held, which is refused and why, what a payment does, when a
//! hold ends. Pure and deterministic: time, ids and randomness come in with the command, money and
//! counts are checked integers, and nothing ordered ever follows hash order. The same entries give
//! the same outcomes and the same [`Ledger::digest`] on every machine.
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
pub use ledger::{Books, CouponView, Ledger, OrderStatus, OrderView, SkuView, rows};
pub use outcome::{EndReason, Effect, Effects, Held, MalformedLines, NoEffects, Outcome};
