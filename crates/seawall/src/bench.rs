//! `seawall bench`: what load generators need to talk to a shop on this machine.

use crate::DataFolder;
use anyhow::Context;
use host::Exit;
use shop::{Sessions, buyer_of_subject};
use std::io::{BufWriter, Write};
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Print session tokens of made-up buyers, one a line. Needs the data folder of the shop:
    /// whoever can read its key can be any buyer.
    Sessions {
        #[command(flatten)]
        folder: DataFolder,
        #[arg(long, default_value_t = 1_000)]
        count: u32,
    },
}

pub fn run(what: &What) -> anyhow::Result<ExitCode> {
    let What::Sessions { folder, count } = what;
    std::fs::create_dir_all(&folder.data)
        .with_context(|| format!("cannot make {}", folder.data.display()))?;
    let sessions = Sessions::new(&crate::up::secret(&folder.data.join("session.key"))?);
    let expires_ms = jiff::Timestamp::now().as_millisecond().max(0) as u64 + 24 * 3_600_000;
    let mut out = BufWriter::new(std::io::stdout().lock());
    for number in 0..*count {
        let buyer = buyer_of_subject("bench", &number.to_string());
        writeln!(out, "{}", sessions.issue(buyer, expires_ms))?;
    }
    out.flush()?;
    Ok(Exit::Good.into())
}
