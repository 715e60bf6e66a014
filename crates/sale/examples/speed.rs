//! How fast the rules are alone, and what an order held costs in memory:
//! `cargo run --release -p sale --example speed -- 10000000`.

use sale::{
    At, BuyerId, Command, Currency, Entry, Ledger, Line, Lines, Millis, Money, NoEffects, Outcome,
    Place, Qty, RequestId, Seq, SkuId, SkuTerms, Text,
};
use std::time::Instant;

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok())
        .unwrap_or(0)
        * 4_096
}

fn spread(n: u64) -> u128 {
    let wide = u128::from(n.wrapping_add(1)) * 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;
    wide ^ wide >> 59
}

fn order(n: u64) -> Entry {
    let lines = Lines::One(Line {
        sku: SkuId((n % 100) as u32),
        qty: Qty(1),
    });
    let (request, buyer) = (RequestId(spread(n)), BuyerId(spread(n ^ 0x5555)));
    let command = Command::Place(Place {
        request,
        buyer,
        lines,
        coupon: None,
    });
    Entry {
        seq: Seq(101 + n),
        at: At(1_000 + n / 2_000),
        command,
    }
}

fn main() {
    let orders: u64 = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(2_000_000);
    let mut ledger = Ledger::new();
    let terms = SkuTerms {
        price: Money(1_999),
        currency: Currency::EUR,
        buyer_limit: std::num::NonZeroU32::new(2),
        opens: At(0),
        closes: None,
        hold: Millis(900_000),
    };
    for sku in 0..100u64 {
        let code = Text::new(&format!("SKU-{sku}")).expect("short");
        let command = Command::ListSku {
            code,
            stock: Qty(1_000_000_000),
            terms,
        };
        ledger.apply(
            &Entry {
                seq: Seq(sku + 1),
                at: At(0),
                command,
            },
            &mut NoEffects,
        );
    }
    let before = resident_bytes();
    let start = Instant::now();
    let (mut worst, mut held) = (0, 0u64);
    for first in (0..orders).step_by(256) {
        let batch: Vec<Entry> = (first..orders.min(first + 256)).map(order).collect();
        let one = Instant::now();
        let places = batch.iter().filter_map(|entry| match &entry.command {
            Command::Place(place) => Some(place),
            _ => None,
        });
        std::hint::black_box(ledger.warm(places));
        for entry in &batch {
            held += u64::from(matches!(
                ledger.apply(entry, &mut NoEffects),
                Outcome::Held(_)
            ));
        }
        worst = worst.max(one.elapsed().as_nanos());
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("orders held        {held}");
    println!("orders/s           {:.0}", held as f64 / seconds);
    println!("slowest 256         {:.2} ms", worst as f64 / 1e6);
    println!(
        "bytes per order    {:.0}",
        (resident_bytes() - before) as f64 / held as f64
    );
}
