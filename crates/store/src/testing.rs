//! What the tests of this crate share: a made-up but lively sale, and a view of all tables.

use crate::change::{Change, Event};
use crate::projection::{Batch, PaymentState, ProjectionReader};
use sale::{
    At, BuyerId, Command, CouponTerms, Currency, Effect, Entry, Ledger, Line, LineIndex, Lines,
    Millis, Money, OpenPayment, OrderId, PaymentRef, Place, Qty, RequestId, Seq, SkuId, SkuTerms,
    Text,
};
use std::fmt::Write as _;
use std::path::Path;

/// Numbers from a seed (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

pub(crate) struct Story {
    pub(crate) ledger: Ledger,
    pub(crate) entries: Vec<Entry>,
    pub(crate) changes: Vec<Change>,
    /// By entry: its instant and the ledger's digest after it.
    pub(crate) after: Vec<(At, u64)>,
    pub(crate) orders: Vec<OrderId>,
}

impl Story {
    /// `entries` commands of all kinds: orders that are paid, expire, are cancelled, paid late,
    /// returned.
    pub(crate) fn play(seed: u64, entries: u64) -> Story {
        let mut story = Story {
            ledger: Ledger::new(),
            entries: Vec::new(),
            changes: Vec::new(),
            after: Vec::new(),
            orders: Vec::new(),
        };
        let mut dice = Dice(seed);
        let mut at = 1_794_400_000_000;
        for seq in 1..=entries {
            // Several entries share an instant, as the commands of one batch do.
            if seq.is_multiple_of(5) {
                at += 1 + dice.below(2_000);
            }
            let command = story.command(seq, &mut dice);
            story.step(Entry {
                seq: Seq(seq),
                at: At(at),
                command,
            });
        }
        story
    }

    fn step(&mut self, entry: Entry) {
        let (changes, orders) = (&mut self.changes, &mut self.orders);
        let mut sink = |effect: Effect<'_>| {
            if let Effect::OrderHeld { held, .. } = &effect {
                orders.push(held.order);
            }
            changes.push(Change {
                seq: entry.seq,
                at: entry.at,
                event: Event::from(effect),
            });
        };
        self.ledger.apply(&entry, &mut sink);
        self.after.push((entry.at, self.ledger.digest()));
        self.entries.push(entry);
    }

    fn command(&self, seq: u64, dice: &mut Dice) -> Command {
        let text = |text: String| Text::new(&text).unwrap();
        match seq {
            1..=6 => {
                return Command::ListSku {
                    code: text(format!("SKU-{seq}")),
                    stock: Qty(400),
                    terms: terms(Money(100 * seq as i64 + 99)),
                };
            }
            7 => {
                let terms = CouponTerms {
                    quota: Qty(50),
                    amount_off: Money(50),
                    currency: Currency::EUR,
                    minimum_total: Money(100),
                };
                return Command::CreateCoupon {
                    code: text("FIFTY".into()),
                    terms,
                };
            }
            _ => {}
        }
        let count = self.orders.len() as u64;
        let recent = count.min(60);
        if recent == 0 || dice.below(100) < 45 {
            return place(seq, dice);
        }
        let order = self.orders[(count - 1 - dice.below(recent)) as usize];
        let amount = self
            .ledger
            .order(order)
            .map_or(Money(1), |view| view.held.total);
        let payment = PaymentRef(u128::from(order.0) << 8 | u128::from(dice.below(2)));
        match dice.below(100) {
            0..20 => Command::BeginPayment {
                order,
                payment,
                amount,
            },
            20..45 => Command::ConfirmPayment {
                order,
                payment,
                amount,
            },
            45..52 => Command::AbandonPayment { order, payment },
            52..60 => Command::Cancel { order },
            60..70 => Command::Return {
                request: RequestId(u128::from(seq) << 64),
                order,
                lines: vec![(LineIndex(0), Qty(1))],
            },
            70..75 => Command::SettleRefund {
                order,
                payment,
                amount: Money(1),
            },
            _ => Command::Tick,
        }
    }

    pub(crate) fn last(&self) -> u64 {
        self.after.len() as u64
    }

    /// The entries `first..=through`, or what there is of them.
    pub(crate) fn batch(&self, first: u64, through: u64) -> Batch<'_> {
        let through = through.min(self.last());
        let from = self.changes.partition_point(|change| change.seq.0 < first);
        let until = self
            .changes
            .partition_point(|change| change.seq.0 <= through);
        let (at, digest) = self.after[through as usize - 1];
        let (first, through) = (Seq(first), Seq(through));
        Batch {
            first,
            through,
            at,
            digest,
            changes: &self.changes[from..until],
        }
    }

    /// What the tables say about payments that someone must still see to, as the ledger would.
    pub(crate) fn open_payments(&self, reader: &ProjectionReader) -> Vec<OpenPayment> {
        let mut open = Vec::new();
        for &order in &self.orders {
            let refunds = reader.refunds_of(order).unwrap();
            for row in reader.payments_of(order).unwrap() {
                let (payment, amount) = (row.payment, row.amount);
                if row.state == PaymentState::Begun {
                    open.push(OpenPayment::Undecided {
                        order,
                        payment,
                        amount,
                    });
                }
                let refund = refunds.iter().find(|refund| refund.payment == payment);
                if let Some(refund) = refund.filter(|refund| refund.settled < refund.total) {
                    let (total, settled) = (refund.total, refund.settled);
                    open.push(OpenPayment::RefundDue {
                        order,
                        payment,
                        total,
                        settled,
                    });
                }
            }
        }
        open
    }
}

fn terms(price: Money) -> SkuTerms {
    SkuTerms {
        price,
        currency: Currency::EUR,
        buyer_limit: None,
        opens: At(0),
        closes: None,
        hold: Millis(12_000),
    }
}

fn place(seq: u64, dice: &mut Dice) -> Command {
    let first = dice.below(6) as u32;
    let count = if dice.below(4) == 0 {
        1 + dice.below(3) as u32
    } else {
        1
    };
    let line = |n: u32, qty| Line {
        sku: SkuId((first + n) % 6),
        qty: Qty(qty),
    };
    let lines: Vec<Line> = (0..count).map(|n| line(n, 1 + n % 2)).collect();
    let coupon = (dice.below(5) == 0).then_some(sale::CouponId(0));
    Command::Place(Place {
        request: RequestId(u128::from(seq)),
        buyer: BuyerId(u128::from(dice.below(40)) << 100 | 7),
        lines: Lines::from(lines),
        coupon,
    })
}

/// A journal with the entries of a story that follow what it has, batch by batch.
pub(crate) fn write_journal<D: journal::Disk>(log: &mut journal::FileLog<D>, entries: &[Entry]) {
    let next = journal::Log::next(log);
    let rest = &entries[next as usize - 1..];
    for group in rest.chunk_by(|a, b| a.at == b.at) {
        let mut payload = Vec::new();
        wire::record::begin(&mut payload, group[0].at);
        group
            .iter()
            .for_each(|entry| wire::record::push(&mut payload, &entry.command));
        let count = group.len() as u32;
        let batch = journal::Batch {
            first: group[0].seq.0,
            count,
            payload: &payload,
        };
        journal::Log::append(log, batch).unwrap();
        let last = group[group.len() - 1].seq.0;
        let settled = journal::Log::settle(log);
        assert!(matches!(settled, journal::Settled::Durable { through } if through == last));
    }
}

pub(crate) fn open_log<D: journal::Disk>(disk: &D, id: u128) -> journal::FileLog<D> {
    let options = journal::Options {
        id_if_new: id,
        segment_bytes: 16 * 1024,
        reserve_bytes: 0,
        check_from: 1,
    };
    journal::FileLog::open(disk.clone(), options).unwrap().0
}

/// All rows of all tables, sorted, as text.
pub(crate) fn dump(path: &Path) -> String {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut out = String::new();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let mut tables = connection.prepare(sql).unwrap();
    let names: Vec<String> = tables
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for name in names {
        writeln!(out, "{name}").unwrap();
        let mut statement = connection
            .prepare(&format!("SELECT * FROM {name}"))
            .unwrap();
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            let values = (0..columns).map(|n| row.get::<_, rusqlite::types::Value>(n).unwrap());
            Ok(format!("{:?}", values.collect::<Vec<_>>()))
        };
        let mut rows: Vec<String> = statement
            .query_map([], row)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        rows.sort();
        out.push_str(&rows.join("\n"));
        out.push('\n');
    }
    out
}
