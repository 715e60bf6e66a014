//! `projection.db`: orders, lines, payments, refunds and sales as tables, for whoever asks
//! questions. Made from the journal alone.
//!
//! *Exactly once*: a batch and the number of its last entry are committed together, so a batch
//! that comes again is known and skipped, and one that would leave a gap is refused.
//!
//! *Sync*: write-ahead log with `synchronous = NORMAL`. A commit survives a killed process; after
//! a power cut the newest commits may be missing, always whole ones, and the follower goes on from
//! the number that is there. Syncing each commit would buy nothing that the journal does not have.
//!
//! *Speed*: changes of a batch are folded in memory first, so that an order that is held and paid
//! in one batch is written once, and rows are written in the order of their keys.

mod fold;
mod keys;
mod read;

pub use read::{
    OrderLine, OrderRow, OrderStatus, PaymentRow, PaymentState, ProjectionReader, RefundRow,
    SalesMinute, SkuRow, TotalsRow,
};

use crate::change::Change;
use crate::error::StoreError;
use crate::sqlite::{Db, Sync, bits, unbits};
use fold::Fold;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use sale::{At, Seq};
use std::path::Path;

pub(crate) const VERSION: i64 = 1;

/// The order's status and the payment's state are stored as numbers: see `read.rs`; for the keys
/// of orders and buyers see `keys.rs`.
const SCHEMA: &str = "
CREATE TABLE applied (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL, at INTEGER NOT NULL, digest INTEGER NOT NULL
) STRICT;
INSERT INTO applied VALUES (1, 0, 0, 0);
CREATE TABLE orders (
    order_key INTEGER PRIMARY KEY, buyer BLOB NOT NULL, request BLOB NOT NULL,
    status INTEGER NOT NULL, total INTEGER NOT NULL, currency TEXT NOT NULL,
    coupon INTEGER, amount_off INTEGER NOT NULL, held_at INTEGER NOT NULL,
    pay_by INTEGER NOT NULL, ended_at INTEGER
) STRICT;
CREATE TABLE buyer_orders (
    buyer_key INTEGER NOT NULL, order_key INTEGER NOT NULL, PRIMARY KEY (buyer_key, order_key)
) STRICT, WITHOUT ROWID;
CREATE TABLE lines (
    order_key INTEGER NOT NULL, line INTEGER NOT NULL, sku INTEGER NOT NULL,
    units INTEGER NOT NULL, unit_price INTEGER NOT NULL, returned INTEGER NOT NULL,
    PRIMARY KEY (order_key, line)
) STRICT, WITHOUT ROWID;
CREATE TABLE payments (
    order_key INTEGER NOT NULL, payment BLOB NOT NULL, amount INTEGER NOT NULL,
    state INTEGER NOT NULL, begun_at INTEGER, decided_at INTEGER,
    PRIMARY KEY (order_key, payment)
) STRICT, WITHOUT ROWID;
CREATE TABLE refunds (
    order_key INTEGER NOT NULL, payment BLOB NOT NULL, total INTEGER NOT NULL,
    settled INTEGER NOT NULL, due_at INTEGER NOT NULL, changed_at INTEGER NOT NULL,
    PRIMARY KEY (order_key, payment)
) STRICT, WITHOUT ROWID;
CREATE TABLE skus (
    sku INTEGER PRIMARY KEY, code TEXT NOT NULL, stocked INTEGER NOT NULL,
    free INTEGER NOT NULL, held INTEGER NOT NULL, sold INTEGER NOT NULL
) STRICT;
CREATE TABLE sku_sales_minute (
    sku INTEGER NOT NULL, minute INTEGER NOT NULL, units INTEGER NOT NULL,
    amount INTEGER NOT NULL, returned_units INTEGER NOT NULL, returned_amount INTEGER NOT NULL,
    PRIMARY KEY (sku, minute)
) STRICT, WITHOUT ROWID;
CREATE TABLE totals (
    currency TEXT NOT NULL, status INTEGER NOT NULL, orders INTEGER NOT NULL,
    amount INTEGER NOT NULL, PRIMARY KEY (currency, status)
) STRICT, WITHOUT ROWID;
";

/// All that happened in the entries `first..=through`; most entries change nothing here.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    pub first: Seq,
    pub through: Seq,
    /// The instant of the last entry.
    pub at: At,
    /// [`sale::Ledger::digest`] after the last entry: ties the tables to one journal.
    pub digest: u64,
    /// In the order of their entries.
    pub changes: &'a [Change],
}

/// How far the tables have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// 0 before the first entry.
    pub seq: Seq,
    pub at: At,
    pub digest: u64,
}

/// The one connection that writes.
#[derive(Debug)]
pub struct Projection {
    db: Db,
}

impl Projection {
    /// Opens the file, or creates it empty.
    pub fn open(path: &Path) -> Result<Projection, StoreError> {
        Ok(Projection {
            db: Db::write(path, Sync::Checkpoints, SCHEMA, VERSION)?,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.db.path
    }

    pub fn applied(&self) -> Result<Applied, StoreError> {
        self.db
            .done("reading what was applied", applied(&self.db.connection))
    }

    /// Applies a batch and the number of its last entry in one transaction. What was applied
    /// before is skipped; a batch that would leave a gap is refused and nothing changes.
    pub fn apply(&mut self, batch: &Batch<'_>) -> Result<Applied, StoreError> {
        assert!(
            batch.first <= batch.through,
            "a batch covers at least one entry"
        );
        let path = self.db.path.clone();
        let named = |error| StoreError::of(&path, "applying a batch", error);
        let transaction = self.begin()?;
        let before = applied(&transaction).map_err(named)?;
        if batch.through <= before.seq {
            return Ok(before);
        }
        if batch.first.0 > before.seq.0 + 1 {
            return Err(StoreError::Gap {
                path,
                applied: before.seq.0,
                first: batch.first.0,
            });
        }
        let known = batch
            .changes
            .partition_point(|change| change.seq <= before.seq);
        let after = write(&transaction, batch, &batch.changes[known..]).map_err(named)?;
        transaction.commit().map_err(named)?;
        Ok(after)
    }

    #[cfg(test)]
    pub(crate) fn do_not_wait_for_locks(&self) {
        self.db
            .connection
            .busy_timeout(std::time::Duration::ZERO)
            .unwrap();
    }

    fn begin(&mut self) -> Result<Transaction<'_>, StoreError> {
        let path = &self.db.path;
        let connection = &mut self.db.connection;
        connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| StoreError::of(path, "starting a transaction", error))
    }

    /// Makes all that was committed survive a power cut too. `false` if a reader is in the way.
    pub fn sync(&mut self) -> Result<bool, StoreError> {
        let sql = "PRAGMA wal_checkpoint(FULL)";
        let done = self
            .db
            .connection
            .query_row(sql, [], |row| row.get::<_, i64>(0));
        self.db
            .done("copying the write-ahead log back", done)
            .map(|busy| busy == 0)
    }

    /// Closes the file and leaves nothing beside it.
    pub fn close(self) -> Result<(), StoreError> {
        let Db { connection, path } = self.db;
        connection
            .close()
            .map_err(|(_, error)| StoreError::of(&path, "closing", error))
    }
}

fn write(
    transaction: &Transaction<'_>,
    batch: &Batch<'_>,
    changes: &[Change],
) -> rusqlite::Result<Applied> {
    let mut fold = Fold::default();
    for change in changes {
        assert!(
            (batch.first..=batch.through).contains(&change.seq),
            "a change belongs to the batch that brings it"
        );
        fold.add(change);
    }
    fold.write(transaction)?;
    let update = "UPDATE applied SET seq = ?1, at = ?2, digest = ?3";
    transaction.prepare_cached(update)?.execute(params![
        bits(batch.through.0),
        bits(batch.at.0),
        bits(batch.digest)
    ])?;
    Ok(Applied {
        seq: batch.through,
        at: batch.at,
        digest: batch.digest,
    })
}

fn applied(connection: &Connection) -> rusqlite::Result<Applied> {
    let mut statement = connection.prepare_cached("SELECT seq, at, digest FROM applied")?;
    statement.query_row([], |row| {
        Ok(Applied {
            seq: Seq(unbits(row.get(0)?)),
            at: At(unbits(row.get(1)?)),
            digest: unbits(row.get(2)?),
        })
    })
}

#[cfg(test)]
mod tests;
