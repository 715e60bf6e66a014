//! Payment: an attempt is in the journal before a channel is asked for money, and every attempt
//! ends – paid, declined, or given back – even if this process dies at any point in between.
//!
//! A channel is whoever moves the money. Real ones implement [`Channel`] later; [`Sandbox`] keeps a
//! synced ledger of its own, as a bank would.

mod flow;
mod http;
mod sandbox;
mod service;

pub use flow::{PayAnswer, Payments, pay};
pub use http::HttpChannel;
pub use sandbox::{Sandbox, SandboxError, SandboxOptions, read_ledger};
pub use service::serve;

use sale::{Currency, Money, OrderId, PaymentRef};
use std::future::Future;
use std::pin::Pin;

/// What a channel is asked to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    pub payment: PaymentRef,
    pub order: OrderId,
    pub amount: Money,
    pub currency: Currency,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorised {
    Approved,
    Declined,
}

/// How an attempt ended, once and for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    Captured {
        amount: Money,
    },
    /// Nothing was captured, and nothing will be.
    Void,
}

/// The channel's answer did not come. It may have done what it was asked, or may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown;

pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T, Unknown>> + Send>>;

/// Moves money. Every call may be repeated: the payment's reference makes it happen once.
pub trait Channel: Send + Sync + 'static {
    fn name(&self) -> &'static str;
    /// May this be charged?
    fn authorise(&self, ask: Ask) -> Pending<Authorised>;
    /// Takes the money of an approved payment.
    fn capture(&self, ask: Ask) -> Pending<Closed>;
    /// Makes an end: captured before, or never. After `Void` no capture can succeed, even one that
    /// is still on its way to the channel.
    fn close(&self, payment: PaymentRef) -> Pending<Closed>;
    /// Gives back up to `total` in all; less if some of it has gone already.
    fn refund(&self, payment: PaymentRef, total: Money) -> Pending<Money>;
}
