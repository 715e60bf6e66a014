//! Tests of `projection`.

use super::*;
use crate::testing::{Story, dump};
use sale::{OrderStatus, SkuId};
use std::path::PathBuf;
use tempfile::TempDir;

fn fresh() -> (TempDir, PathBuf, Projection) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("projection.db");
    let projection = Projection::open(&path).unwrap();
    (folder, path, projection)
}

/// Everything at once, as a rebuild does it.
fn dump_of_one_batch(story: &Story) -> String {
    let (_folder, path, mut projection) = fresh();
    projection.apply(&story.batch(1, story.last())).unwrap();
    dump(&path)
}

#[test]
fn the_tables_agree_with_the_ledger() {
    let story = Story::play(7, 6_000);
    let (_folder, path, mut projection) = fresh();
    for first in (1..=story.last()).step_by(97) {
        let applied = projection.apply(&story.batch(first, first + 96)).unwrap();
        assert_eq!(applied.seq.0, (first + 96).min(story.last()));
    }
    let reader = ProjectionReader::open(&path).unwrap();
    let mut by_status = [0; 4];
    for order in &story.orders {
        let view = story
            .ledger
            .order(*order)
            .expect("nothing is forgotten in this story");
        let row = reader
            .order(*order)
            .unwrap()
            .expect("every accepted order has a row");
        by_status[row.status as usize] += 1;
        assert_eq!(
            (
                row.order,
                row.buyer,
                row.status,
                row.total,
                row.currency,
                row.pay_by
            ),
            (
                view.held.order,
                view.buyer,
                view.status,
                view.held.total,
                view.held.currency,
                view.held.pay_by
            )
        );
        assert_eq!((row.held_at, row.ended_at), (view.held_at, view.ended_at));
        let lines: Vec<_> = row
            .lines
            .iter()
            .map(|l| (l.sku, l.qty, l.unit_price, l.returned))
            .collect();
        let expect: Vec<_> = view
            .lines
            .iter()
            .map(|(l, p, r)| (l.sku, l.qty, *p, *r))
            .collect();
        assert_eq!(lines, expect);
    }
    assert!(
        by_status.iter().all(|n| *n > 20),
        "the story has all kinds of orders: {by_status:?}"
    );
    for row in reader.skus(SkuId(0), 100).unwrap() {
        let view = story.ledger.sku(row.sku).unwrap();
        assert_eq!(
            (row.code.as_str(), row.books),
            (view.code.as_str(), view.books)
        );
        let minutes = reader
            .sales_per_minute(row.sku, At(0), At(u64::MAX))
            .unwrap();
        let sold: u64 = minutes.iter().map(|m| m.units - m.returned_units).sum();
        assert_eq!(
            sold,
            u64::from(view.books.sold.0),
            "sold less returned is what the books say"
        );
    }
    let totals: Vec<u64> = reader
        .totals()
        .unwrap()
        .iter()
        .map(|row| row.orders)
        .collect();
    assert_eq!(totals, by_status);
    let open: Vec<_> = story.ledger.open_payments().collect();
    assert_eq!(story.open_payments(&reader), open);
    assert!(
        open.len() > 10,
        "the story leaves payments open: {}",
        open.len()
    );
}

#[test]
fn any_cut_into_batches_gives_the_same_tables() {
    for seed in [1, 2, 3] {
        let story = Story::play(seed, 1_500);
        let expect = dump_of_one_batch(&story);
        for size in [1, 7, 500] {
            let (_folder, path, mut projection) = fresh();
            for first in (1..=story.last()).step_by(size) {
                projection
                    .apply(&story.batch(first, first + size as u64 - 1))
                    .unwrap();
            }
            assert_eq!(dump(&path), expect, "seed {seed}, batches of {size}");
        }
    }
}

#[test]
fn a_batch_that_comes_again_changes_nothing() {
    let story = Story::play(4, 800);
    let (_folder, path, mut projection) = fresh();
    projection.apply(&story.batch(1, 300)).unwrap();
    let before = dump(&path);
    let applied = projection.apply(&story.batch(1, 300)).unwrap();
    assert_eq!(applied.seq, Seq(300));
    assert_eq!(
        projection.apply(&story.batch(100, 200)).unwrap().seq,
        Seq(300)
    );
    assert_eq!(dump(&path), before);
    // Of a batch that overlaps, only the new part counts.
    projection.apply(&story.batch(250, story.last())).unwrap();
    assert_eq!(dump(&path), dump_of_one_batch(&story));
}

#[test]
fn a_gap_is_refused_and_changes_nothing() {
    let story = Story::play(4, 400);
    let (_folder, path, mut projection) = fresh();
    projection.apply(&story.batch(1, 100)).unwrap();
    let before = dump(&path);
    let error = projection.apply(&story.batch(102, 200)).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Gap {
                applied: 100,
                first: 102,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("entry 101 is next"), "{error}");
    assert_eq!(dump(&path), before);
}

#[test]
fn what_was_not_committed_is_applied_again() {
    let story = Story::play(5, 800);
    let (_folder, path, mut projection) = fresh();
    projection.apply(&story.batch(1, 200)).unwrap();
    let batch = story.batch(201, 500);
    // All rows are written and the number too, but the connection goes before the commit.
    let transaction = projection.begin().unwrap();
    write(&transaction, &batch, batch.changes).unwrap();
    assert_eq!(applied(&transaction).unwrap().seq, Seq(500));
    drop(transaction);
    drop(projection);
    let mut projection = Projection::open(&path).unwrap();
    assert_eq!(projection.applied().unwrap().seq, Seq(200));
    projection.apply(&batch).unwrap();
    projection.apply(&story.batch(501, story.last())).unwrap();
    assert_eq!(dump(&path), dump_of_one_batch(&story));
}

#[test]
fn a_buyers_orders_come_newest_first_page_by_page() {
    let story = Story::play(9, 3_000);
    let (_folder, path, mut projection) = fresh();
    projection.apply(&story.batch(1, story.last())).unwrap();
    let reader = ProjectionReader::open(&path).unwrap();
    let buyer = story.ledger.order(story.orders[0]).unwrap().buyer;
    let of_buyer = |order: &&sale::OrderId| story.ledger.order(**order).unwrap().buyer == buyer;
    let mut expect: Vec<_> = story.orders.iter().filter(of_buyer).copied().collect();
    expect.reverse();
    assert!(
        expect.len() > 7,
        "the buyer has several pages: {}",
        expect.len()
    );
    let mut got = Vec::new();
    loop {
        let page = reader.orders_of(buyer, got.last().copied(), 3).unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.iter().all(|row| !row.lines.is_empty()));
        got.extend(page.iter().map(|row| row.order));
    }
    assert_eq!(got, expect);
    assert_eq!(
        reader.orders_of(sale::BuyerId(99_999), None, 3).unwrap(),
        []
    );
}

#[test]
fn readers_see_whole_batches_while_one_is_written() {
    let story = Story::play(6, 400);
    let (_folder, path, mut projection) = fresh();
    projection.apply(&story.batch(1, 100)).unwrap();
    let reader = ProjectionReader::open(&path).unwrap();
    let batch = story.batch(101, 400);
    let transaction = projection.begin().unwrap();
    write(&transaction, &batch, batch.changes).unwrap();
    assert_eq!(reader.applied().unwrap().seq, Seq(100));
    transaction.commit().unwrap();
    assert_eq!(reader.applied().unwrap().seq, Seq(400));
}

#[test]
fn failures_are_named() {
    let story = Story::play(6, 400);
    let (folder, path, mut projection) = fresh();
    // A second writer in the middle of a transaction.
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    projection
        .db
        .connection
        .busy_timeout(std::time::Duration::ZERO)
        .unwrap();
    let error = projection.apply(&story.batch(1, 10)).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    // No more pages than there are is what SQLite calls a full disk.
    let pages: i64 = projection
        .db
        .connection
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .unwrap();
    let set = format!("PRAGMA max_page_count = {pages}");
    projection
        .db
        .connection
        .query_row(&set, [], |_| Ok(()))
        .unwrap();
    let error = projection.apply(&story.batch(1, 400)).unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
    assert!(error.to_string().contains("projection.db"), "{error}");
    projection
        .db
        .connection
        .query_row("PRAGMA max_page_count = 100000", [], |_| Ok(()))
        .unwrap();
    projection.apply(&story.batch(1, 400)).unwrap();
    drop(projection);

    let absent = ProjectionReader::open(&folder.path().join("absent.db")).unwrap_err();
    assert!(matches!(absent, StoreError::Unusable { .. }), "{absent}");
    let noise = folder.path().join("noise.db");
    std::fs::write(&noise, [0x5a; 8192]).unwrap();
    let error = Projection::open(&noise).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    other.execute_batch("PRAGMA user_version = 99").unwrap();
    let error = Projection::open(&path).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::OtherSchema {
                found: 99,
                expected: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_missing_row_is_damage_and_not_ignored() {
    let story = Story::play(6, 1_000);
    let (_folder, _, mut projection) = fresh();
    projection.apply(&story.batch(1, 500)).unwrap();
    projection
        .db
        .connection
        .execute_batch("DELETE FROM orders")
        .unwrap();
    let error = projection.apply(&story.batch(501, 1_000)).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

/// What each kind of event does to a row, one after the other.
#[test]
fn a_return_and_its_refund() {
    let story = Story::play(7, 6_000);
    let (_folder, path, mut projection) = fresh();
    projection.apply(&story.batch(1, story.last())).unwrap();
    let reader = ProjectionReader::open(&path).unwrap();
    let returned = |order: &&sale::OrderId| {
        let row = reader.order(**order).unwrap().unwrap();
        row.status == OrderStatus::Paid && row.lines.iter().any(|line| line.returned.0 > 0)
    };
    let order = *story
        .orders
        .iter()
        .find(returned)
        .expect("the story has returns");
    let payments = reader.payments_of(order).unwrap();
    let bought: Vec<_> = payments
        .iter()
        .filter(|p| p.state == PaymentState::Bought)
        .collect();
    assert_eq!(
        bought.len(),
        1,
        "one payment bought the order, return or not: {payments:?}"
    );
    assert_eq!(
        bought[0].amount,
        reader.order(order).unwrap().unwrap().total
    );
    let refunds = reader.refunds_of(order).unwrap();
    assert!(
        refunds
            .iter()
            .any(|refund| refund.payment == bought[0].payment),
        "{refunds:?}"
    );
}
