//! Several generators as one: agents that send a share of a plan each, and a coordinator that
//! hands out the shares and adds up the figures.
//!
//! Workers of all agents have numbers, and arrivals and rows of feeders go round by number
//! ([`crate::run::Share`]): who sends what is decided before the first arrival, so nothing is sent
//! twice and nobody waits for anybody. Agents read one scenario, agree on one instant to begin
//! ([`clock`]), and tell their seconds while these pass; histograms are added, never averaged. Who
//! is silent is gone: a coordinator says so in the verdict, an agent stops by itself.
//!
//! The talk is frames over TCP ([`frames`]), begun by a proof of the common token in both
//! directions ([`token`]); it is no kept format: both ends say their version and refuse another.

pub mod bundle;
pub mod clock;
mod figures;
pub mod fleet;
pub mod frames;
pub mod limits;
mod link;
mod member;
mod merge;
pub mod serve;
mod session;
pub mod token;

pub use bundle::Bundle;
pub use fleet::{Fleet, Trouble};
pub use serve::{Agent, serve};
pub use token::Token;

/// The version of the talk. Raised when a message changes.
pub const PROTOCOL: u32 = 1;
/// What is told beside it, for people.
pub const BUILD: &str = env!("CARGO_PKG_VERSION");
