//! `seawall agent`: one of several generators that are led as one; and how `seawall load` finds
//! those that it is to lead.

use ::load::agent::fleet::Reach;
use ::load::agent::{Agent, Bundle, Fleet, Token, Trouble, serve};
use anyhow::{Context as _, anyhow};
use host::Exit;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where coordinators connect. Others than this machine should come through a tunnel or TLS.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7007")]
    listen: SocketAddr,
    /// A file with the secret that coordinators must have as well; it is never sent.
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// Threads that send; one a processor where this is absent.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    workers: Option<u16>,
    /// The key of notes (see `seawall load token`), for targets that are not this machine.
    #[arg(long, value_name = "FILE", default_value = ".seawall/load.key")]
    key_file: PathBuf,
    /// The certificate chain in PEM, for TLS.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// End with the first coordinator: 0 if it said goodbye, 2 if it was lost.
    #[arg(long)]
    once: bool,
}

/// Agents to lead.
#[derive(Debug, clap::Args)]
pub struct Lead {
    /// Agents that send instead of this process (see `seawall agent`): HOST:PORT,HOST:PORT.
    #[arg(
        long,
        value_name = "ADDRS",
        value_delimiter = ',',
        requires = "agent_token_file",
        conflicts_with = "workers"
    )]
    agents: Vec<String>,
    /// The secret of the agents.
    #[arg(long, value_name = "FILE", requires = "agents")]
    agent_token_file: Option<PathBuf>,
    /// Agents speak TLS; these authorities, in PEM, say which are ours.
    #[arg(long, value_name = "FILE", requires = "agents")]
    agent_ca_file: Option<PathBuf>,
}

/// Why there is no fleet.
pub enum NoFleet {
    Usage(String),
    Failed(anyhow::Error),
}

impl Lead {
    /// Whether others send instead of this process.
    pub fn is_asked(&self) -> bool {
        !self.agents.is_empty()
    }

    pub fn fleet(&self, scenario: &Path, url: &str, quiet: bool) -> Result<Fleet, NoFleet> {
        let token_file = self
            .agent_token_file
            .as_ref()
            .ok_or_else(|| NoFleet::Usage("--agents wants --agent-token-file".to_owned()))?;
        let usage = |what: String| NoFleet::Usage(what);
        let tls = self
            .agent_ca_file
            .as_deref()
            .map(|file| ::load::tls(Some(file)));
        let reach = Reach {
            addresses: self.agents.clone(),
            token: Token::read(token_file).map_err(usage)?,
            tls: tls.transpose().map_err(|error| usage(error.to_string()))?,
        };
        let bundle = Bundle::read(scenario, url).map_err(usage)?;
        let fleet = Fleet::join(reach, bundle).map_err(|troubles| {
            let failed = |trouble: &Trouble| matches!(trouble, Trouble::Failed { .. });
            let told: Vec<String> = troubles.iter().map(ToString::to_string).collect();
            match troubles.iter().any(failed) {
                true => NoFleet::Failed(anyhow!("{}", told.join("; "))),
                false => NoFleet::Usage(told.join("; ")),
            }
        })?;
        if !quiet {
            fleet
                .described()
                .iter()
                .for_each(|line| eprintln!("{line}"));
        }
        Ok(fleet)
    }
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let token = match Token::read(&args.token_file) {
        Ok(token) => token,
        Err(why) => {
            eprintln!("seawall: {why}");
            return Ok(Exit::Usage.into());
        }
    };
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(cert), Some(key)) => Some(::load::tls::server(cert, key)?),
        _ => None,
    };
    let listener = TcpListener::bind(args.listen);
    let listener = listener.with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr()?;
    eprintln!("agent listens on {address}");
    if !address.ip().is_loopback() && tls.is_none() {
        eprintln!(
            "agent: others can connect and there is no TLS: the token stays secret, but whoever is \
             on the way can read figures and change orders; use --tls-cert or a tunnel"
        );
    }
    let agent = Agent {
        listener,
        token,
        key: key(&args.key_file)?,
        workers: args.workers.map_or(0, usize::from),
        tls,
        once: args.once,
    };
    let stop = crate::load::interrupted()?;
    let well = serve(
        agent,
        Arc::clone(&stop),
        Box::new(|line| eprintln!("agent: {line}")),
    )?;
    Ok(match args.once && !well {
        true => Exit::NoVerdict.into(),
        false => Exit::Good.into(),
    })
}

/// Never made here: a key that nobody signed notes with would be of no use.
fn key(file: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match file.try_exists() {
        Ok(false) => Ok(None),
        _ => crate::load::key(file).map(Some),
    }
}
