//! `shop.db`: products, accounts, and the ties to other people's sign-ins. It cannot be rebuilt,
//! so every commit is synced. Names and e-mail addresses live here and nowhere else; the sale
//! knows buyers by random numbers only.
//!
//! Deleted content is overwritten with zeros (`secure_delete`), so that erased means erased.

mod accounts;
mod products;

pub use accounts::{Account, AccountRefused, Erased, NewAccount};
pub use products::{Import, Page, Upserted};

use crate::error::StoreError;
use crate::sqlite::{Db, Sync};
use std::path::Path;

const VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE catalogue (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL) STRICT;
INSERT INTO catalogue VALUES (1, 0);
CREATE TABLE products (
    sku TEXT PRIMARY KEY, title TEXT NOT NULL, description TEXT NOT NULL, category TEXT NOT NULL,
    price INTEGER NOT NULL, currency TEXT NOT NULL, stock INTEGER NOT NULL, buyer_limit INTEGER,
    opens_ms INTEGER, closes_ms INTEGER, hold_ms INTEGER NOT NULL, picture TEXT,
    attributes TEXT NOT NULL, version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE accounts (
    buyer BLOB PRIMARY KEY, email TEXT NOT NULL, email_key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL, password_hash TEXT NOT NULL, created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE identities (
    issuer TEXT NOT NULL, subject TEXT NOT NULL, buyer BLOB NOT NULL,
    created_ms INTEGER NOT NULL, PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX identities_by_buyer ON identities (buyer);
";

/// The one connection that writes.
#[derive(Debug)]
pub struct ShopDb {
    db: Db,
}

/// A connection that reads; as many as there are threads that ask.
#[derive(Debug)]
pub struct ShopReader {
    db: Db,
}

impl ShopDb {
    /// Opens the file, or creates it.
    pub fn open(path: &Path) -> Result<ShopDb, StoreError> {
        Ok(ShopDb {
            db: Db::write(path, Sync::EveryCommit, SCHEMA, VERSION)?,
        })
    }
}

impl ShopReader {
    /// The file must exist: [`ShopDb::open`] makes it.
    pub fn open(path: &Path) -> Result<ShopReader, StoreError> {
        Ok(ShopReader {
            db: Db::read(path, VERSION)?,
        })
    }
}

#[cfg(test)]
mod tests;
