//! How fast the projection catches up, against one transaction an order, same file, same sync.
//!
//! `cargo run --release -p store --example catchup [ORDERS]`
//!
//! A sale of ORDERS orders is made up (a tenth with three lines, two thirds paid, the others
//! expired) and written to a journal in a temporary folder. Then, in turns:
//! * batched: reads the journal, replays it and projects it, as a restart or a rebuild does;
//! * one by one: hands the same changes over, each entry in a transaction of its own, without
//!   reading or replaying anything, up to a bounded count, into an empty and so a fast file.
//!
//! Exits with 99 if batched is less than ten times as fast.

use sale::{
    At, BuyerId, Command, Currency, Effect, Entry, Ledger, Line, Lines, Millis, Money, OrderId,
    PaymentRef, Place, Qty, RequestId, Seq, SkuId, SkuTerms, Text,
};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use store::projection::Batch;
use store::{Change, Event, Projection, rebuild};

const ORDERS_DEFAULT: u64 = 300_000;
const ONE_BY_ONE_MAX: u64 = 30_000;
const ROUNDS: usize = 3;
const RATIO_MIN: f64 = 10.0;
const SKUS: u32 = 60;
const JOURNAL_BATCH: u64 = 1_000;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<ExitCode> {
    let orders = std::env::args()
        .nth(1)
        .map_or(Ok(ORDERS_DEFAULT), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let mut sale = Sale::default();
    let disk = journal::RealDisk::new(folder.path());
    let entries = sale.write(&disk, orders)?;
    let (mut batched, mut single) = (Vec::new(), Vec::new());
    let mut rows = 0;
    for round in 0..ROUNDS {
        let path = folder.path().join("batched.db");
        let start = Instant::now();
        let applied = rebuild(&disk, &path, entries, |_| ())?;
        batched.push(entries as f64 / start.elapsed().as_secs_f64());
        assert_eq!(applied.seq.0, entries);
        rows = count_rows(&path)?;
        single.push(one_by_one(
            &folder.path().join(format!("single-{round}.db")),
            &sale,
        )?);
    }
    let (batched, single) = (median(batched), median(single));
    let ratio = batched / single;
    println!("entries                     {entries:>12}   ({orders} orders, payments, ticks)");
    println!("rows in the tables          {rows:>12}");
    println!("batched, from the journal   {batched:>12.0} entries/s");
    println!(
        "                            {:>12.0} rows/s",
        batched * rows as f64 / entries as f64
    );
    println!("one transaction an entry    {single:>12.0} entries/s");
    println!("ratio                       {ratio:>12.1}   (at least {RATIO_MIN})");
    Ok(if ratio >= RATIO_MIN {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(99)
    })
}

/// The first entries of the sale, one transaction each; entries a second.
fn one_by_one(path: &Path, sale: &Sale) -> Outcome<f64> {
    let mut projection = Projection::open(path)?;
    let entries = sale.first.len() as u64;
    let start = Instant::now();
    for (seq, (at, digest, changes)) in (1..).zip(&sale.first) {
        let (first, through) = (Seq(seq), Seq(seq));
        projection.apply(&Batch {
            first,
            through,
            at: *at,
            digest: *digest,
            changes,
        })?;
    }
    Ok(entries as f64 / start.elapsed().as_secs_f64())
}

#[derive(Default)]
struct Sale {
    ledger: Ledger,
    /// Instant, digest and changes of the first entries.
    first: Vec<(At, u64, Vec<Change>)>,
}

impl Sale {
    /// Writes the whole sale as a journal; gives the number of entries.
    fn write(&mut self, disk: &journal::RealDisk, orders: u64) -> Outcome<u64> {
        let options = journal::Options {
            id_if_new: 0xBE4C,
            ..journal::Options::default()
        };
        let (mut log, _) = journal::FileLog::open(disk.clone(), options)?;
        let (mut seq, mut placed, mut held) = (0, 0, Vec::new());
        let mut at = 1_794_400_000_000;
        let mut commands: Vec<Command> = (0..SKUS).map(list_sku).collect();
        loop {
            let mut payload = Vec::new();
            wire::record::begin(&mut payload, At(at));
            let (first, count) = (seq + 1, commands.len() as u32);
            for command in commands.drain(..) {
                wire::record::push(&mut payload, &command);
                seq += 1;
                self.apply(
                    Entry {
                        seq: Seq(seq),
                        at: At(at),
                        command,
                    },
                    &mut held,
                );
            }
            journal::Log::append(
                &mut log,
                journal::Batch {
                    first,
                    count,
                    payload: &payload,
                },
            )?;
            if !matches!(
                journal::Log::settle(&mut log),
                journal::Settled::Durable { .. }
            ) {
                return Err("the journal was not synced".into());
            }
            if placed == orders && held.is_empty() {
                return Ok(seq);
            }
            at += 20;
            commands.push(Command::Tick);
            commands.extend(
                held.drain(..)
                    .filter(|(order, _)| order.ordinal() % 3 != 0)
                    .map(pay),
            );
            let until = orders.min(placed + JOURNAL_BATCH);
            commands.extend((placed..until).map(place));
            placed = until;
        }
    }

    fn apply(&mut self, entry: Entry, held: &mut Vec<(OrderId, Money)>) {
        let keep = self.first.len() < ONE_BY_ONE_MAX as usize;
        let mut changes = Vec::new();
        let mut gather = |effect: Effect<'_>| {
            if let Effect::OrderHeld { held: order, .. } = &effect {
                held.push((order.order, order.total));
            }
            if keep {
                changes.push(Change {
                    seq: entry.seq,
                    at: entry.at,
                    event: Event::from(effect),
                });
            }
        };
        self.ledger.apply(&entry, &mut gather);
        if keep {
            self.first.push((entry.at, self.ledger.digest(), changes));
        }
    }
}

fn list_sku(n: u32) -> Command {
    let terms = SkuTerms {
        price: Money(1_999),
        currency: Currency::EUR,
        buyer_limit: None,
        opens: At(0),
        closes: None,
        hold: Millis(2_000),
    };
    let code = Text::new(&format!("SKU-{n}")).expect("a short code");
    Command::ListSku {
        code,
        stock: Qty(500_000_000),
        terms,
    }
}

fn place(n: u64) -> Command {
    let lines = if n.is_multiple_of(10) { 3 } else { 1 };
    let line = |m: u32| Line {
        sku: SkuId((n as u32 + m) % SKUS),
        qty: Qty(1),
    };
    // Buyers and requests are scattered, as real ones are.
    let scattered = u128::from((n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    Command::Place(Place {
        request: RequestId(scattered << 64 | u128::from(n)),
        buyer: BuyerId(scattered << 61),
        lines: Lines::from((0..lines).map(line).collect::<Vec<_>>()),
        coupon: None,
    })
}

fn pay((order, amount): (OrderId, Money)) -> Command {
    Command::ConfirmPayment {
        order,
        payment: PaymentRef(u128::from(order.0) << 3),
        amount,
    }
}

fn count_rows(path: &Path) -> Outcome<u64> {
    let connection = rusqlite::Connection::open(path)?;
    let sql = "SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM lines)
                    + (SELECT count(*) FROM payments) + (SELECT count(*) FROM buyer_orders)
                    + (SELECT count(*) FROM sku_sales_minute)";
    Ok(connection
        .query_row(sql, [], |row| row.get::<_, i64>(0))?
        .unsigned_abs())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
