//! What a disk gives the journal: p50 and p99 of one settled batch of 16 KiB, each beside one
//! plain write and `fdatasync` of the same bytes in a file made beforehand; then the bytes per
//! second of batches of 512 KiB, with the rolls inside.
//!
//! `cargo run --release -p journal --example sync -- FOLDER` makes a journal in a new folder
//! below FOLDER and removes it afterwards.

use journal::{Batch, FileLog, Log, Options, RealDisk, Settled, survey};
use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
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

fn measure(folder: &Path) -> Result<(), Box<dyn Error>> {
    let disk = RealDisk::new(folder);
    let (mut log, _) = FileLog::open(
        disk.clone(),
        Options {
            id_if_new: 1,
            ..Options::default()
        },
    )?;
    let plain = File::create_new(folder.join("plain"))?;
    for at in 0..SMALL_BATCHES as u64 {
        plain.write_all_at(&[0; SMALL_BYTES], at * SMALL_BYTES as u64)?;
    }
    plain.sync_all()?;
    let (mut ours, mut plains) = (Vec::new(), Vec::new());
    for at in 0..SMALL_BATCHES as u64 {
        ours.push(settled(&mut log, &[0xA5; SMALL_BYTES])?);
        let begun = Instant::now();
        plain.write_all_at(&[0xA5; SMALL_BYTES], at * SMALL_BYTES as u64)?;
        plain.sync_data()?;
        plains.push(begun.elapsed());
    }
    report("plain 16 KiB", SMALL_BYTES, plains);
    report("journal 16 KiB", SMALL_BYTES, ours);
    let payload = vec![0xA5; LARGE_BYTES];
    let large: Result<_, _> = (0..LARGE_BATCHES)
        .map(|_| settled(&mut log, &payload))
        .collect();
    report("journal 512 KiB", LARGE_BYTES, large?);
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

/// One batch, from the call to its durability.
fn settled(log: &mut FileLog<RealDisk>, payload: &[u8]) -> Result<Duration, Box<dyn Error>> {
    let begun = Instant::now();
    log.append(Batch {
        first: log.next(),
        count: 1,
        payload,
    })?;
    match log.settle() {
        Settled::Durable { .. } => Ok(begun.elapsed()),
        Settled::Fenced => Err("fenced".into()),
        Settled::Unknown(e) => Err(e.into()),
    }
}

fn report(name: &str, bytes: usize, mut times: Vec<Duration>) {
    let total: Duration = times.iter().sum();
    let rate = (bytes * times.len()) as f64 / total.as_secs_f64() / 1e6;
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{name}: p50 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms, max {:.1} ms; \
         {rate:.0} MB/s",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
    );
}
