//! `seawall plan`: from a campaign file to what will come, what must be done, what to enforce. The
//! rules are in the crate `plan`, the formats in `wire`; here is what reads and writes.

mod behind;
mod diff;
mod expected;
mod forecast;
mod init;
mod make;
mod map;
mod services;
mod stock;

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
    /// What each SKU will sell, what is kept against surprise, and what the sale gets.
    ///
    /// Exit 0; 64: a file is wrong.
    ///
    /// Example: seawall plan stock examples/double11/campaign.yaml --sales sales.csv
    Stock(stock::Args),
    /// What each route will be asked, minute by minute, with a band and how good it would have
    /// been.
    ///
    /// Exit 0; 64: a file is wrong, or tells of no time before the campaign.
    ///
    /// Example: seawall plan forecast examples/double11/campaign.yaml --series series.json
    Forecast(forecast::Args),
    /// Begin services.yaml from Kubernetes objects, Prometheus' answers, traces and the gateway.
    ///
    /// Exit 0; 64: a file cannot be read, or would be overwritten.
    ///
    /// Example: seawall plan services --kubernetes all.json --out services.yaml
    Services(services::Args),
    /// Who calls whom, and what a rate at the front door becomes behind it.
    ///
    /// Exit 0; 64: a file cannot be read, or services call each other in a circle.
    ///
    /// Example: seawall plan map jaeger.json --rate 1000 --svg map.svg
    Map(map::Args),
    /// Decide for each service, and write limits, switches, proxies, scaling and the page.
    ///
    /// Exit 0; 99: something stands in the way of the sale; 64: a file is wrong.
    ///
    /// Example: seawall plan make campaign.yaml --services services.yaml --forecast expected.json
    /// --out plan
    Make(make::Args),
    /// What changed between two plans, and why.
    ///
    /// Exit 0; 64: a file cannot be read.
    ///
    /// Example: seawall plan diff plan-monday plan-friday
    Diff(diff::Args),
}

pub fn run(what: &What) -> anyhow::Result<ExitCode> {
    match what {
        What::Init(args) => settle(args.json, init::run(args)),
        What::Stock(args) => settle(args.json, stock::run(args)),
        What::Forecast(args) => settle(args.json, forecast::run(args)),
        What::Services(args) => settle(args.json, services::run(args)),
        What::Map(args) => settle(args.json, map::run(args)),
        What::Make(args) => settle(args.json, make::run(args)),
        What::Diff(args) => settle(args.json, diff::run(args)),
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
