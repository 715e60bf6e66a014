//! What a disk gives the journal: p50 and p99 of one settled batch of 16 KiB, and the bytes per
//! second of batches of 512 KiB, with the rolls inside.
//!
//! `cargo run --release -p journal --example sync -- FOLDER` makes a journal in a new folder
//! below FOLDER and removes it afterwards.

use journal::{Batch, FileLog, Log, Options, RealDisk, Settled, survey};
use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const SMALL_BATCHES: usize = 10_000;
const SMALL_BYTES: usize = 16 * 1024;
const LARGE_BATCHES: usize = 2_000;
const LARGE_BYTES: usize = 512 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let below: PathBuf = std::env::args_os().nth(1).ok_or("which folder?")?.into();
    let folder = below.join(format!("journal-sync-{}", std::process::id()));
    let measured = measure(&folder);
    std::fs::remove_dir_all(&folder)?;
    measured
}

fn measure(folder: &PathBuf) -> Result<(), Box<dyn Error>> {
    let disk = RealDisk::new(folder);
    let (mut log, _) = FileLog::open(
        disk.clone(),
        Options {
            id_if_new: 1,
            ..Options::default()
        },
    )?;
    let small = run(&mut log, SMALL_BATCHES, SMALL_BYTES)?;
    report("16 KiB", SMALL_BYTES, small);
    let large = run(&mut log, LARGE_BATCHES, LARGE_BYTES)?;
    report("512 KiB", LARGE_BYTES, large);
    log.close()?;
    let begun = Instant::now();
    let found = survey(&disk, 1)?;
    let bytes: u64 = found.segments.iter().map(|segment| segment.bytes).sum();
    let rate = bytes as f64 / begun.elapsed().as_secs_f64() / 1e6;
    println!(
        "check of {} segments from memory: {rate:.0} MB/s",
        found.segments.len()
    );
    Ok(())
}

fn run(
    log: &mut FileLog<RealDisk>,
    batches: usize,
    bytes: usize,
) -> Result<Vec<Duration>, Box<dyn Error>> {
    let payload = vec![0xA5; bytes];
    let mut times = Vec::with_capacity(batches);
    for _ in 0..batches {
        let begun = Instant::now();
        log.append(Batch {
            first: log.next(),
            count: 1,
            payload: &payload,
        })?;
        match log.settle() {
            Settled::Durable { .. } => times.push(begun.elapsed()),
            Settled::Fenced => return Err("fenced".into()),
            Settled::Unknown(e) => return Err(e.into()),
        }
    }
    Ok(times)
}

fn report(name: &str, bytes: usize, mut times: Vec<Duration>) {
    let total: Duration = times.iter().sum();
    let rate = (bytes * times.len()) as f64 / total.as_secs_f64() / 1e6;
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{name}: append and settle p50 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms, max {:.1} ms; \
         {rate:.0} MB/s",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
    );
}
