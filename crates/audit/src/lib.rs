//! Two independent readings of the sale. [`Model`] says what the rules say, slowly and obviously,
//! written from docs/rules.md alone; the ledger of `sale` must agree with it on any sequence of
//! entries. [`Auditor`] judges a rehearsal, a crash test or a simulated run by what the journal
//! holds, what clients were told and what the payment channel booked.
//!
//! This crate must not know how the ledger, the journal or the engine work inside: whoever judges
//! shares no code with those who are judged. It does no I/O.

mod auditor;
mod check;
mod hearing;
pub mod limits;
mod model;
mod receipt;
#[cfg(test)]
mod tests;
mod timeline;

pub use auditor::{Auditor, Settings};
pub use check::{Check, SkuResult, Verdict, names};
pub use hearing::Hearing;
pub use model::{Model, Tally, outcome_name};
pub use receipt::{
    Answer, CancelAnswer, Cancellation, Capture, Code, Payment, PaymentAnswer, Receipt, Refund,
};
