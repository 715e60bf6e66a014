//! `seawall journal` and `seawall rebuild`: reading what a stopped shop left on disk. Nothing here
//! writes to a journal.

use crate::DataFolder;
use anyhow::{Context, anyhow};
use engine::recover;
use host::Exit;
use journal::{Reader, RealDisk};
use sale::{Effect, Entry, Ledger};
use serde_json::{Value, json};
use std::io::{BufWriter, Write};
use std::process::ExitCode;
use wire::dump;

#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Check every byte: checksums, order, that replay balances. Exit 1 names segment and offset.
    Verify(Look),
    /// The digest of the state after the last entry (or after --through).
    Digest(Look),
    /// Every entry as a line of JSON.
    Dump(Look),
}

#[derive(Debug, clap::Args)]
pub struct Look {
    #[command(flatten)]
    folder: DataFolder,
    /// Stop after this entry.
    #[arg(long)]
    through: Option<u64>,
    /// Report as JSON (a dump always is).
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
pub enum RebuildWhat {
    /// Delete projection.db and make it again from the journal. The shop must be stopped.
    Projection {
        #[command(flatten)]
        folder: DataFolder,
    },
}

pub fn run(what: &What) -> anyhow::Result<ExitCode> {
    match what {
        What::Verify(look) => verify(look),
        What::Digest(look) => digest(look),
        What::Dump(look) => dump(look),
    }
}

fn disk(look: &Look) -> anyhow::Result<RealDisk> {
    let data = &look.folder.data;
    if !data.join("journal").is_dir() {
        return Err(anyhow!(
            "{}: there is no journal in this folder",
            data.display()
        ));
    }
    Ok(RealDisk::new(data))
}

fn verify(look: &Look) -> anyhow::Result<ExitCode> {
    let disk = disk(look)?;
    let checked = journal::survey(&disk, 1);
    let survey = match checked {
        Ok(survey) => survey,
        Err(error) => {
            if look.json {
                println!("{}", json!({"good": false, "problem": error.to_string()}));
            }
            return Err(error.into());
        }
    };
    let mut shown = 0;
    let progress = |seq: u64| {
        if seq / 1_000_000 > shown {
            shown = seq / 1_000_000;
            eprintln!("replayed {seq} of {}", survey.last);
        }
    };
    let recovered = recover(&disk, survey.id, survey.last, progress)?;
    let ledger = &recovered.ledger;
    if look.json {
        let body = json!({
            "good": true,
            "entries": survey.last,
            "first": survey.first,
            "segments": survey.segments.len(),
            "epoch": survey.epoch,
            "torn": survey.torn.as_ref().map(|torn| format!("{torn:?}")),
            "orders_accepted": ledger.orders_accepted(),
            "digest": format!("{:016x}", ledger.digest()),
        });
        println!("{body}");
        return Ok(Exit::Good.into());
    }
    println!("entries   {} (from {})", survey.last, survey.first);
    println!(
        "segments  {}, last writer {}",
        survey.segments.len(),
        survey.epoch
    );
    match &survey.torn {
        None => println!("tail      whole"),
        Some(torn) => println!("tail      torn, will be cut at the next start: {torn:?}"),
    }
    println!(
        "orders    {} accepted, books balance",
        ledger.orders_accepted()
    );
    println!("digest    {:016x}", ledger.digest());
    Ok(Exit::Good.into())
}

fn digest(look: &Look) -> anyhow::Result<ExitCode> {
    let disk = disk(look)?;
    let survey = journal::survey(&disk, u64::MAX)?;
    let through = look.through.unwrap_or(survey.last).min(survey.last);
    let recovered = recover(&disk, survey.id, through, |_| ())?;
    let digest = format!("{:016x}", recovered.ledger.digest());
    if look.json {
        println!("{}", json!({"through": through, "digest": digest}));
    } else {
        println!("{digest}");
    }
    Ok(Exit::Good.into())
}

fn dump(look: &Look) -> anyhow::Result<ExitCode> {
    let disk = disk(look)?;
    let survey = journal::survey(&disk, 1)?;
    let through = look.through.unwrap_or(survey.last).min(survey.last);
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let mut reader = Reader::open(disk, survey.first)?;
    // With the whole history the outcomes can be told too.
    let mut ledger = (survey.first == 1).then(Ledger::new);
    while let Some(batch) = reader.next_through(through)? {
        let entries = wire::record::Entries::new(batch.first, batch.count, &batch.payload);
        let malformed = || format!("the batch that starts with entry {}", batch.first);
        for entry in entries.with_context(malformed)? {
            let entry: Entry = entry.with_context(malformed)?;
            let outcome = ledger.as_mut().map(|ledger| {
                let mut effects = Vec::new();
                let outcome = ledger.apply(&entry, &mut |effect: Effect<'_>| {
                    if let Effect::OrderEnded { order, .. } = effect {
                        effects.push(Value::String(order.to_string()));
                    }
                });
                (outcome, effects)
            });
            let mut line = dump::entry(&entry);
            if let Some((outcome, ended)) = outcome {
                line["outcome"] = dump::outcome(&outcome);
                if !ended.is_empty() {
                    line["ended"] = Value::Array(ended);
                }
            }
            if let Err(error) = writeln!(out, "{line}") {
                return closed(error);
            }
        }
    }
    match out.flush() {
        Ok(()) => Ok(Exit::Good.into()),
        Err(error) => closed(error),
    }
}

/// A reader that has seen enough, such as `head`, is no failure.
fn closed(error: std::io::Error) -> anyhow::Result<ExitCode> {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return Ok(Exit::Good.into());
    }
    Err(error.into())
}

pub fn rebuild(what: &RebuildWhat) -> anyhow::Result<ExitCode> {
    let RebuildWhat::Projection { folder } = what;
    let disk = RealDisk::new(&folder.data);
    let survey = journal::survey(&disk, 1)?;
    let path = folder.data.join("projection.db");
    let start = std::time::Instant::now();
    store::rebuild(&disk, &path, survey.last, |seq| {
        eprintln!("entry {seq} of {}", survey.last)
    })?;
    println!(
        "{} entries in {:.1} s",
        survey.last,
        start.elapsed().as_secs_f64()
    );
    Ok(Exit::Good.into())
}
