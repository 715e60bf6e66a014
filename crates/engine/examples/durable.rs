//! Durable orders in one process, with the full rules on a real disk:
//! `cargo run --release -p engine --example durable -- --data FOLDER [--orders N] [--json]
//! [--keep]`.
//! Batched throughput, the latency of one order at a time beside a bare `fdatasync`, replay.

use engine::{Desk, Engine, EngineOptions, recover};
use journal::{FileLog, Options, RealDisk};
use sale::{
    BuyerId, Command, Currency, Ledger, Line, Lines, Millis, Money, Outcome, Place, Qty, RequestId,
    SkuId, SkuTerms, Text,
};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

const SKUS: u64 = 100;
/// As many orders as a thread hands over at once; several such are under way.
const GROUP: u64 = 4_096;
const GROUPS_UNDER_WAY: usize = 6;

fn spread(n: u64) -> u128 {
    let wide = u128::from(n.wrapping_add(1)) * 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;
    wide ^ wide >> 59
}

fn order(n: u64) -> Command {
    let lines = Lines::One(Line {
        sku: SkuId((n % SKUS) as u32),
        qty: Qty(1),
    });
    let (request, buyer) = (RequestId(spread(n)), BuyerId(spread(n ^ 0x5555)));
    Command::Place(Place {
        request,
        buyer,
        lines,
        coupon: None,
    })
}

fn list(sku: u64) -> Command {
    let terms = SkuTerms {
        price: Money(1_999),
        currency: Currency::EUR,
        buyer_limit: std::num::NonZeroU32::new(2),
        opens: sale::At(0),
        closes: None,
        hold: Millis(3_600_000),
    };
    let code = Text::new(&format!("SKU-{sku}")).expect("short");
    Command::ListSku {
        code,
        stock: Qty(1_000_000_000),
        terms,
    }
}

fn open(data: &Path) -> (FileLog<RealDisk>, u64, u128) {
    let disk = RealDisk::new(data);
    let options = Options {
        id_if_new: 7,
        ..Options::default()
    };
    let (log, recovery) = FileLog::open(disk, options).expect("the folder is ours");
    (log, recovery.last, recovery.id)
}

async fn batched(desk: &Desk, orders: u64) -> f64 {
    let start = Instant::now();
    let mut next = 0;
    let mut under_way = std::collections::VecDeque::new();
    while next < orders || !under_way.is_empty() {
        while next < orders && under_way.len() < GROUPS_UNDER_WAY {
            let group: Vec<Command> = (next..orders.min(next + GROUP)).map(order).collect();
            next += group.len() as u64;
            let mut asked = Box::pin(desk.ask_all(group));
            // Polled once so that it is on its way before the next is made.
            let waker = std::task::Waker::noop();
            let mut context = std::task::Context::from_waker(waker);
            assert!(
                asked.as_mut().poll(&mut context).is_pending(),
                "nothing is that fast"
            );
            under_way.push_back(asked);
        }
        if let Some(asked) = under_way.pop_front() {
            for reply in asked.await {
                let held = reply.is_ok_and(|a| matches!(a.outcome, Outcome::Held(_)));
                assert!(held, "there is stock for everybody: {reply:?}");
            }
        }
    }
    orders as f64 / start.elapsed().as_secs_f64()
}

/// Milliseconds: median and 99th percentile.
fn percentiles(mut nanos: Vec<u128>) -> (f64, f64) {
    nanos.sort_unstable();
    let at = |share: usize| nanos[(nanos.len() - 1) * share / 100] as f64 / 1e6;
    (at(50), at(99))
}

async fn one_at_a_time(desk: &Desk, from: u64, count: u64) -> (f64, f64) {
    let mut nanos = Vec::new();
    for n in from..from + count {
        let start = Instant::now();
        desk.ask(order(n)).await.expect("accepted");
        nanos.push(start.elapsed().as_nanos());
    }
    percentiles(nanos)
}

/// The same bytes to a preallocated file, as the journal does, and nothing else.
fn bare_sync(data: &Path, count: u64) -> (f64, f64) {
    let mut file = File::create(data.join("bare")).expect("the folder is ours");
    file.write_all(&vec![0; 4 << 20])
        .and_then(|()| file.sync_all())
        .expect("there is room");
    file.seek(SeekFrom::Start(0)).expect("a file seeks");
    let mut nanos = Vec::new();
    for _ in 0..count {
        let start = Instant::now();
        file.write_all(&[7; 104])
            .and_then(|()| file.sync_data())
            .expect("the disk works");
        nanos.push(start.elapsed().as_nanos());
    }
    percentiles(nanos)
}

fn main() {
    let mut args = std::env::args().skip(1);
    let (mut data, mut orders) = (PathBuf::from("target/durable"), 4_000_000);
    let (mut json, mut keep) = (false, false);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--data" => data = args.next().expect("--data FOLDER").into(),
            "--orders" => {
                orders = args
                    .next()
                    .and_then(|n| n.parse().ok())
                    .expect("--orders N")
            }
            "--json" => json = true,
            "--keep" => keep = true,
            other => panic!("unknown argument {other}"),
        }
    }
    let data = data.join(format!("bench-{}", std::process::id()));
    std::fs::create_dir_all(&data).expect("the folder can be made");
    let (log, _, _) = open(&data);
    let fatal = |error| panic!("{error}");
    let engine = Engine::start(log, Ledger::new(), EngineOptions::default(), fatal)
        .expect("threads can be had");
    let desk = engine.desks().open();
    desk.block_on(desk.ask_all((0..SKUS).map(list).collect()));
    // The two in turn, so that a slow moment of the disk meets both.
    let mut rounds = Vec::new();
    for round in 0..5 {
        let bare = bare_sync(&data, 300);
        let from = u64::MAX / 2 + round * 1_000;
        rounds.push((bare, desk.block_on(one_at_a_time(&desk, from, 300))));
    }
    rounds.sort_by(|a, b| (a.1.0 / a.0.0).total_cmp(&(b.1.0 / b.0.0)));
    let (bare, one) = rounds[rounds.len() / 2];
    let rate = desk.block_on(batched(&desk, orders));
    let batches = engine
        .stats()
        .batches
        .load(std::sync::atomic::Ordering::Relaxed);
    let load = |a: &std::sync::atomic::AtomicU64| a.load(std::sync::atomic::Ordering::Relaxed);
    let (sync, apply) = (
        load(&engine.stats().sync_nanos),
        load(&engine.stats().apply_nanos),
    );
    drop(desk);
    engine.stop();

    let start = Instant::now();
    let (log, last, id) = open(&data);
    let opened = start.elapsed().as_secs_f64();
    let recovered = recover(&RealDisk::new(&data), id, last, |_| ()).expect("the journal is whole");
    let replayed = recovered.replayed as f64 / (start.elapsed().as_secs_f64() - opened);
    drop(log);
    if keep {
        eprintln!("kept: {}", data.display());
    } else {
        std::fs::remove_dir_all(&data).expect("the folder is ours");
    }
    if json {
        println!(
            "{{\"orders\":{orders},\"batched_per_s\":{rate:.0},\"one_ms_p50\":{:.3},\
             \"one_ms_p99\":{:.3},\"fdatasync_ms_p50\":{:.3},\"fdatasync_ms_p99\":{:.3},\
             \"one_over_fdatasync\":{:.2},\"replay_per_s\":{replayed:.0}}}",
            one.0,
            one.1,
            bare.0,
            bare.1,
            one.0 / bare.0
        );
        return;
    }
    println!("durable orders/s, batched   {rate:.0} ({orders} orders, {batches} batches)");
    println!(
        "  append + sync, apply, s   {:.2}, {:.2}",
        sync as f64 / 1e9,
        apply as f64 / 1e9
    );
    println!(
        "one at a time, p50, p99     {:.3} ms, {:.3} ms",
        one.0, one.1
    );
    println!(
        "bare fdatasync, p50, p99    {:.3} ms, {:.3} ms",
        bare.0, bare.1
    );
    println!("  ratio of medians          {:.2}", one.0 / bare.0);
    println!("open and check, s           {opened:.2}");
    println!("replay, entries/s           {replayed:.0}");
}
