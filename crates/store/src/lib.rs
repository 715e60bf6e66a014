//! The query side, on SQLite: what may lag behind the sale by a moment but must lose nothing.
//!
//! * [`shopdb`]: products and accounts. The only copy, so every commit is synced; the only place
//!   where names and e-mail addresses live, so that they can be erased.
//! * [`projection`]: orders, payments and sales as tables, made from the journal alone and
//!   rebuildable from it at any time.
//! * [`Follower`]: the thread that keeps the projection close behind the sale and writes the
//!   snapshots, from a replica of the ledger, so that the sale never waits for either.
//!
//! This crate must not decide anything about the sale: it copies what the ledger's effects say.

mod change;
mod count;
mod error;
mod follower;
pub mod limits;
pub mod projection;
pub mod shopdb;
mod sqlite;
mod tail;
#[cfg(test)]
mod testing;

pub use change::{Change, Event};
pub use count::count_rows;
pub use error::StoreError;
pub use follower::{Follower, FollowerStats};
pub use projection::{Projection, ProjectionReader};
pub use shopdb::{ShopDb, ShopReader};
pub use tail::{FollowError, FollowerOptions, Lead, LeadDigest, rebuild};
