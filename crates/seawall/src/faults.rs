//! `seawall faults`: the fault proxy under the API of Toxiproxy; and single faults of a process
//! or a disk, each for as long as its command runs.

use ::faults::limits::{CONNECTIONS_MAX, CONNECTIONS_MAX_DEFAULT, LEASE_MS_MAX, LEASE_MS_MIN};
use ::faults::{Fault, Options, StartError, Watched};
use anyhow::Context as _;
use host::{Drain, Exit};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    one: Option<One>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, clap::Args)]
struct Serve {
    /// The control listener: the REST API of Toxiproxy.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8474")]
    listen: SocketAddr,
    /// Every fault ends after this time, unless its lease is renewed.
    #[arg(long, value_name = "TIME", value_parser = time)]
    lease: Option<Duration>,
    /// Proxies to begin with: a JSON list as for /populate.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Connections of one proxy; more wait.
    #[arg(long, value_name = "COUNT", default_value_t = CONNECTIONS_MAX_DEFAULT as u32,
          value_parser = clap::value_parser!(u32).range(1..=CONNECTIONS_MAX as i64))]
    connections_max: u32,
    /// Let other machines control the faults.
    #[arg(long)]
    allow_remote_control: bool,
    /// Let proxies listen where other machines can connect.
    #[arg(long)]
    allow_remote_clients: bool,
    /// For programs: a minute after stdin has ended, end. Whoever is connected through a proxy of a
    /// controller that died is not cut off at once, and nothing stays behind for ever.
    #[arg(long, hide = true)]
    tied: bool,
    /// What is logged: error, warn, info, debug, or a filter such as faults=debug.
    #[arg(long, default_value = "info")]
    log: String,
}

#[derive(Debug, clap::Subcommand)]
enum One {
    /// Let a process stand still (SIGSTOP), and go on at the end or when this command ends.
    ///
    /// Example: seawall faults stop --pid 4711 --for 5s
    Stop {
        #[command(flatten)]
        process: Process,
        #[command(flatten)]
        lasting: Lasting,
    },
    /// Fill the file system of a folder, and free it at the end or when this command ends.
    ///
    /// Example: seawall faults fill /mnt/test/data --leave-bytes 1000000 --for 30s
    Fill {
        #[command(flatten)]
        disk: Disk,
        #[command(flatten)]
        lasting: Lasting,
    },
    /// End a process at once (SIGKILL).
    Kill {
        #[command(flatten)]
        process: Process,
    },
    /// Make a fault and undo it when stdin or the lease ends. For programs.
    #[command(hide = true)]
    Watch {
        #[arg(long)]
        lease_ms: u64,
        #[command(subcommand)]
        what: Watch,
    },
}

#[derive(Debug, clap::Subcommand)]
enum Watch {
    Stop(Process),
    Fill(Disk),
}

#[derive(Debug, clap::Args)]
struct Process {
    /// The process.
    #[arg(long)]
    pid: u32,
}

#[derive(Debug, clap::Args)]
struct Disk {
    folder: PathBuf,
    /// What stays free.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    leave_bytes: u64,
    /// Also on the file system of /, which others need.
    #[arg(long)]
    anywhere: bool,
}

#[derive(Debug, clap::Args)]
struct Lasting {
    /// How long: 500ms, 5s, 2m.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: Duration,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.one {
        None => serve(&args.serve),
        Some(One::Stop { process, lasting }) => hold(process.fault(), lasting),
        Some(One::Fill { disk, lasting }) => hold(disk.fault(), lasting),
        Some(One::Kill { process }) => {
            ::faults::kill(process.pid)?;
            Ok(Exit::Good.into())
        }
        Some(One::Watch { lease_ms, what }) => {
            let fault = match what {
                Watch::Stop(process) => process.fault(),
                Watch::Fill(disk) => disk.fault(),
            };
            match ::faults::watcher::run(&fault, Duration::from_millis(*lease_ms))? {
                true => Ok(Exit::Good.into()),
                false => Ok(Exit::Failed.into()),
            }
        }
    }
}

fn serve(args: &Serve) -> anyhow::Result<ExitCode> {
    host::log::init(host::log::Format::Text, &args.log)?;
    let populate = match &args.config {
        None => None,
        Some(file) => {
            let text = std::fs::read(file).with_context(|| file.display().to_string())?;
            match serde_json::from_slice::<Value>(&text) {
                Ok(list) => Some(list),
                Err(error) => {
                    eprintln!("{}: {error}", file.display());
                    return Ok(Exit::Usage.into());
                }
            }
        }
    };
    let options = Options {
        lease_ms: args.lease.map(|lease| lease.as_millis() as u64),
        remote_control: args.allow_remote_control,
        remote_clients: args.allow_remote_clients,
        connections_max: args.connections_max as usize,
        ..Options::new(args.listen)
    };
    let drain = Drain::new();
    host::signals::watch(drain.clone(), || {})?;
    let faults = match ::faults::start(&options, populate.as_ref(), &drain) {
        Ok(faults) => faults,
        Err(error @ StartError::NotLoopback(_)) => {
            eprintln!("--listen: {error}");
            return Ok(Exit::Usage.into());
        }
        Err(error) => return Err(error.into()),
    };
    if args.tied {
        tie(drain)?;
    }
    println!("control  {}", faults.control());
    faults.join();
    Ok(Exit::Good.into())
}

/// How long a tied proxy outlives its controller.
const TIED: Duration = Duration::from_secs(60);

fn tie(drain: Drain) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name("tied".into());
    thread.spawn(move || {
        // Whatever is said there, only the end counts; an error is one.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::thread::sleep(TIED);
        drain.begin();
    })?;
    Ok(())
}

fn hold(fault: Fault, lasting: &Lasting) -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("our own binary")?;
    let watched = Watched::begin(&program, fault, lasting.time)?;
    println!("on");
    watched.wait()?;
    println!("undone");
    Ok(Exit::Good.into())
}

impl Process {
    fn fault(&self) -> Fault {
        Fault::Stop { pid: self.pid }
    }
}

impl Disk {
    fn fault(&self) -> Fault {
        Fault::Fill {
            folder: self.folder.clone(),
            leave_bytes: self.leave_bytes,
            anywhere: self.anywhere,
        }
    }
}

/// A time as long as a lease may be.
fn time(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(split.unwrap_or(text.len()));
    let unit_ms = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        _ => None,
    };
    let ms = number.parse::<u64>().ok().zip(unit_ms);
    ms.and_then(|(number, unit_ms)| number.checked_mul(unit_ms))
        .filter(|ms| (LEASE_MS_MIN..=LEASE_MS_MAX).contains(ms))
        .map(Duration::from_millis)
        .ok_or_else(|| {
            format!("expected a time such as 500ms, 5s or 2m, from {LEASE_MS_MIN}ms to a day")
        })
}
