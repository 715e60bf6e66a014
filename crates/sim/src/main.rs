//! `sim --seeds N --from S [--seed X] [--trace] [--json]`: runs seeds, counts what happened, and on
//! a failure prints the one line that repeats it. Exit 0 when all hold, 99 when not, 64 for usage.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{ExitCode, exit};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const USAGE: &str = "usage: sim [--seeds N] [--from S] [--seed X] [--trace] [--json]";
/// Failing seeds shown in full; the rest is counted.
const FAILURES_SHOWN_MAX: usize = 5;
/// Failing seeds after which a run gives up: something is plainly wrong.
const FAILURES_MAX: u64 = 100;

/// The seed that runs: a panic ends the process, and then must say how to repeat it.
static SEED: AtomicU64 = AtomicU64::new(0);

struct Wanted {
    seeds: u64,
    from: u64,
    trace: bool,
    json: bool,
}

fn wanted() -> Option<Wanted> {
    let mut wanted = Wanted {
        seeds: 1_000,
        from: 1,
        trace: false,
        json: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seeds" => wanted.seeds = words.next()?.parse().ok()?,
            "--from" => wanted.from = words.next()?.parse().ok()?,
            "--seed" => {
                wanted.from = words.next()?.parse().ok()?;
                wanted.seeds = 1;
            }
            "--trace" => wanted.trace = true,
            "--json" => wanted.json = true,
            _ => return None,
        }
    }
    (wanted.seeds > 0).then_some(wanted)
}

fn repeat(seed: u64) -> String {
    format!("cargo run --release -p sim -- --seed {seed} --trace")
}

fn main() -> ExitCode {
    let Some(wanted) = wanted() else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    std::panic::set_hook(Box::new(|panic| {
        let seed = SEED.load(Ordering::Relaxed);
        // Written, not printed: a reader that went away must not hide the seed.
        let words = format!("seed {seed} FAILED: {panic}\n  repeat: {}", repeat(seed));
        let _ = writeln!(std::io::stdout(), "{words}");
        exit(99);
    }));
    if !same_twice(wanted.from) {
        return ExitCode::from(99);
    }
    let start = Instant::now();
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let (mut ran, mut commands, mut crashes, mut failed) = (0, 0, 0, Vec::new());
    for seed in wanted.from..wanted.from.saturating_add(wanted.seeds) {
        SEED.store(seed, Ordering::Relaxed);
        let report = sim::run(seed, wanted.trace);
        ran += 1;
        commands += report.commands;
        crashes += report.crashes;
        for (what, times) in &report.counts {
            *counts.entry(what).or_default() += times;
        }
        if !report.holds() {
            if failed.len() < FAILURES_SHOWN_MAX && !wanted.json {
                println!("seed {seed} FAILED after {ran} seeds");
                report
                    .findings
                    .iter()
                    .for_each(|finding| println!("  {finding}"));
                println!("  repeat: {}", repeat(seed));
            }
            failed.push(report);
            if failed.len() as u64 >= FAILURES_MAX {
                break;
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let a_minute = (ran as f64 * 60.0 / seconds) as u64;
    if wanted.json {
        print_json(ran, commands, crashes, a_minute, &counts, &failed);
    } else {
        print_table(ran, commands, crashes, a_minute, &counts, failed.len());
    }
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(99)
    }
}

/// Proven first: one seed, one trace.
fn same_twice(seed: u64) -> bool {
    SEED.store(seed, Ordering::Relaxed);
    let (first, second) = (sim::run(seed, false), sim::run(seed, false));
    if first != second {
        println!(
            "seed {seed} FAILED: run twice it gave two traces, {:016x} and {:016x}",
            first.digest, second.digest
        );
    }
    first == second
}

fn print_table(
    seeds: u64,
    commands: u64,
    crashes: u64,
    a_minute: u64,
    counts: &BTreeMap<&'static str, u64>,
    failed: usize,
) {
    println!("{seeds} seeds, {commands} commands, {crashes} crashes, {a_minute} seeds a minute");
    for (what, times) in counts {
        println!("  {times:>12}  {what}");
    }
    match failed {
        0 => println!("every seed holds"),
        _ => println!("{failed} seeds FAILED"),
    }
}

fn print_json(
    seeds: u64,
    commands: u64,
    crashes: u64,
    a_minute: u64,
    counts: &BTreeMap<&'static str, u64>,
    failed: &[sim::Report],
) {
    let counts: Vec<String> = counts
        .iter()
        .map(|(what, n)| format!("{what:?}:{n}"))
        .collect();
    let failed: Vec<String> = failed
        .iter()
        .map(|report| {
            let findings: Vec<String> = report.findings.iter().map(|f| quoted(f)).collect();
            let repeat = quoted(&repeat(report.seed));
            let seed = report.seed;
            format!(
                "{{\"seed\":{seed},\"repeat\":{repeat},\"findings\":[{}]}}",
                findings.join(",")
            )
        })
        .collect();
    println!(
        "{{\"seeds\":{seeds},\"commands\":{commands},\"crashes\":{crashes},\
         \"seeds_per_minute\":{a_minute},\"holds\":{},\"counts\":{{{}}},\"failed\":[{}]}}",
        failed.is_empty(),
        counts.join(","),
        failed.join(",")
    );
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
