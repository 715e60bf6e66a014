//! `seawall plan`: from a campaign file to what will come, what must be done, what to enforce. The
//! rules are in the crate `plan`, the formats in `wire`; here is what reads and writes.

mod init;

use host::Exit;
use serde_json::json;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Begin a campaign: campaign.yaml from a catalogue of products.
    ///
    /// Exit 0; 64: a file cannot be read, or would be overwritten.
    ///
    /// Example: seawall plan init --products products.csv --t0 2026-11-11T00:00:00+01:00 --out my
    Init(init::Args),
}

pub fn run(what: &What) -> anyhow::Result<ExitCode> {
    match what {
        What::Init(args) => settle(args.json, init::run(args)),
    }
}

/// Input that is wrong is wrong usage; a reader of stdout that went away is nothing.
fn settle(as_json: bool, done: anyhow::Result<Exit>) -> anyhow::Result<ExitCode> {
    match done {
        Ok(exit) => Ok(exit.into()),
        Err(error) => {
            let kind = error.downcast_ref::<std::io::Error>();
            if kind.map(std::io::Error::kind) == Some(ErrorKind::BrokenPipe) {
                return Ok(Exit::Good.into());
            }
            if as_json {
                let problem = format!("{error:#}");
                println!("{}", json!({"verdict": "usage", "problem": problem}));
            }
            eprintln!("seawall: {error:#}");
            Ok(Exit::Usage.into())
        }
    }
}

/// Writes a file whole or not at all; nobody else's is overwritten unless it is ours to make anew.
fn write_new(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    use anyhow::Context;
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path);
    let mut file = file.with_context(|| format!("cannot make {}", path.display()))?;
    file.write_all(text)
        .with_context(|| format!("cannot write {}", path.display()))
}
