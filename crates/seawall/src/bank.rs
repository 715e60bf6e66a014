//! `seawall bank`: the sandbox payment channel as a service of its own, for rehearsals in which
//! the way to the bank, or the bank itself, breaks.

use anyhow::Context as _;
use host::{Drain, Exit};
use shop::payment::{Sandbox, SandboxOptions, serve};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where it listens.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Its ledger, made at the first start.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "./data/payments/sandbox.jsonl"
    )]
    ledger: PathBuf,
    /// Milliseconds before an answer.
    #[arg(long, value_name = "MS", default_value_t = 20,
          value_parser = clap::value_parser!(u64).range(0..=60_000))]
    delay_ms: u64,
    /// Share of payments that are declined.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    decline_share: f64,
    /// Share of captures that happen and whose answer is lost.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    unknown_share: f64,
    /// Write the address here once it answers.
    #[arg(long)]
    ports_file: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let options = SandboxOptions {
        delay: Duration::from_millis(args.delay_ms),
        decline_share: args.decline_share,
        silent_share: args.unknown_share,
        unavailable_share: 0.0,
    };
    let bank = Sandbox::open(&args.ledger, options)?;
    let drain = Drain::new();
    host::signals::watch(drain.clone(), || {})?;
    let listening = serve(args.listen, Arc::new(bank), drain)?;
    if let Some(path) = &args.ports_file {
        let written = host::ready_file::write(path, &[("bank", listening.local_addr())]);
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!("bank   http://{}", listening.local_addr());
    listening.join();
    Ok(Exit::Good.into())
}

fn share(text: &str) -> Result<f64, String> {
    let share = text
        .parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}
