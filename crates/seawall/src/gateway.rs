//! `seawall gateway FILE`: the front door alone, in front of services of any kind.
//!
//! The files are watched: a change, a SIGHUP or `POST /operator/door/reload` swaps the whole
//! configuration at once, or nothing if something is wrong with it.

use crate::DataFolder;
use crate::rls::{self, RlsMetrics};
use anyhow::{Context as _, anyhow};
use gateway::door::{Administration, Door, DoorMetrics, DoorService, NoService, Sources};
use host::admin::{Admin, OperatorToken, Readiness};
use host::http::{HttpStats, ListenOptions, Listening};
use host::metrics::Metrics;
use host::tls::{CertificateFiles, Oldest, Tls};
use host::{Drain, Exit};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use wire::gateway::listeners::{Listener, TlsVersion};
use wire::gateway::{Context, Door as Files};

/// How often switches and limits learn what was measured.
const TICK: Duration = Duration::from_millis(250);
/// How often files are looked at for changes.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The gateway file (docs/gateway.md).
    file: PathBuf,
    /// Where tickets' keys, places of waiting rooms and the operators' token are kept.
    #[command(flatten)]
    data: DataFolder,
    /// The build that stands behind the door: limits that were measured with another are refused.
    #[arg(long)]
    build: Option<String>,
    /// Write the addresses here once everything answers.
    #[arg(long)]
    ports_file: Option<PathBuf>,
    #[command(flatten)]
    rls: rls::RlsArgs,
    /// What is logged: error, warn, info, debug, or a filter such as gateway=debug.
    #[arg(long, default_value = "info")]
    log: String,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    host::log::init(host::log::Format::Text, &args.log)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let context = Context {
        now_ms: now.as_millis() as u64,
        build: args.build.clone(),
        services: Some(Vec::new()),
    };
    let rls = match args.rls.options() {
        Ok(rls) => rls,
        Err(problem) => {
            eprintln!("{problem}");
            return Ok(Exit::Usage.into());
        }
    };
    // Read here too, so that what is wrong is told as a wrong call, before a folder is made.
    let files = match wire::gateway::load(&args.file, &context) {
        Ok(files) => files,
        Err(problems) => {
            eprintln!("{problems}");
            return Ok(Exit::Usage.into());
        }
    };
    let given = match files.gateway.admin.token_file.as_deref() {
        None => None,
        Some(path) => match OperatorToken::of_file(path) {
            Ok(token) => Some(token),
            Err(problem) => {
                eprintln!("{}: admin.token_file: {problem}", args.file.display());
                return Ok(Exit::Usage.into());
            }
        },
    };
    let data = &args.data.data;
    host::data_folder::prepare(data)?;
    let token = given.map_or_else(|| OperatorToken::load_or_create(data), Ok)?;
    let path = args.file.clone();
    let door =
        Door::open(Sources::File { path, context }, data).map_err(|error| anyhow!("{error}"))?;
    for line in door.not_done() {
        eprintln!("seawall: {}: {line}", args.file.display());
    }
    serve(args, (&files, token), &door, rls.as_ref())?;
    Ok(Exit::Good.into())
}

fn serve(
    args: &Args,
    (files, token): (&Files, OperatorToken),
    door: &Arc<Door>,
    rls: Option<&::rls::Options>,
) -> anyhow::Result<()> {
    let gateway = &files.gateway;
    let drain = Drain::new();
    let workers = match gateway.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        some => usize::try_from(some).unwrap_or(1),
    };
    let (mut listening, mut stats, mut certificates) = (Vec::new(), Vec::new(), Vec::new());
    for listener in &gateway.listeners {
        let counted = HttpStats::new();
        let (options, tls) = options(listener, workers)?;
        let secure = options.tls.is_some();
        let theirs = Arc::clone(door);
        let make = move |_worker| DoorService::new(Arc::clone(&theirs), NoService, secure);
        let started = host::http::start(&options, make, drain.clone(), Arc::clone(&counted))
            .with_context(|| format!("the listener {}", listener.name))?;
        stats.push((options.name, counted));
        certificates.extend(tls);
        listening.push((options.name, started));
    }
    let metrics = Metrics::new();
    if let Some(options) = rls {
        let service = rls::start(options, door, &drain)?;
        stats.push(("rls", service.stats));
        metrics.with(|registry| registry.register_collector(Box::new(RlsMetrics(service.counts))));
        listening.push(("rls", service.listening));
    }
    let admin_stats = HttpStats::new();
    stats.push(("admin", Arc::clone(&admin_stats)));
    metrics.listeners(stats);
    let shown = DoorMetrics(Arc::clone(door));
    metrics.with(|registry| registry.register_collector(Box::new(shown)));
    let draining = drain.clone();
    let administration = Administration(Arc::clone(door));
    let admin = Admin {
        readiness: Arc::new(move || match draining.is_draining() {
            false => Readiness::Ready,
            true => Readiness::NotReady("draining".to_owned()),
        }),
        metrics,
        token: Arc::new(token),
        operator: Arc::new(move |request| {
            let administration = administration.clone();
            Box::pin(async move { administration.whole(&request) })
        }),
    };
    let admin = host::admin::start(gateway.admin.address, admin, drain.clone(), admin_stats)?;
    let reloading = Reloading {
        door: Arc::clone(door),
        certificates,
    };
    let by_signal = reloading.clone();
    host::signals::watch(drain.clone(), move || {
        by_signal.door.reopen_log();
        by_signal.reload("signal");
    })?;
    watch(reloading, drain)?;
    tell(args.ports_file.as_deref(), &listening, admin.local_addr())?;
    for (_, started) in listening {
        started.join();
    }
    admin.join();
    door.flush();
    Ok(())
}

/// Where everything answers, for programs and for people.
fn tell(
    ports_file: Option<&Path>,
    listening: &[(&'static str, Listening)],
    admin: std::net::SocketAddr,
) -> anyhow::Result<()> {
    let listeners = listening.iter().map(|(name, it)| (*name, it.local_addr()));
    let all: Vec<_> = listeners.chain([("admin", admin)]).collect();
    if let Some(path) = ports_file {
        host::ready_file::write(path, &all)?;
    }
    for (name, addr) in all {
        println!("{name:<8} {addr}");
    }
    Ok(())
}

type Certificates = (String, Tls);

fn options(
    listener: &Listener,
    workers: usize,
) -> anyhow::Result<(ListenOptions, Option<Certificates>)> {
    // A name for threads, logs and metrics as long as the process lives; listeners are few.
    let name: &'static str = Box::leak(listener.name.clone().into_boxed_str());
    let mut options = ListenOptions::new(name, listener.address);
    let ms = |span: Duration| u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
    let limits = &listener.limits;
    options.workers = workers;
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    options.connections_max = size(limits.connections);
    options.http2 = listener.http2;
    options.head_bytes_max = size(limits.header_bytes);
    options.headers_max = size(limits.header_count);
    options.streams_max = u32::try_from(limits.streams).unwrap_or(u32::MAX);
    options.header_ms = ms(limits.header_timeout);
    options.handshake_ms = ms(limits.header_timeout);
    options.first_byte_ms = ms(limits.first_byte_timeout);
    options.idle_ms = ms(limits.idle_timeout);
    let Some(written) = &listener.tls else {
        return Ok((options, None));
    };
    let oldest = match written.minimum {
        TlsVersion::Tls12 => Oldest::Tls12,
        TlsVersion::Tls13 => Oldest::Tls13,
    };
    let tls = Tls::load(&certificate_files(written), oldest)
        .map_err(|problems| anyhow!("{problems}"))
        .with_context(|| format!("the certificates of the listener {name}"))?;
    options.tls = Some(tls.clone());
    Ok((options, Some((listener.name.clone(), tls))))
}

fn certificate_files(tls: &wire::gateway::listeners::Tls) -> Vec<CertificateFiles> {
    tls.certificates
        .iter()
        .map(|one| CertificateFiles {
            names: one.names.clone(),
            cert_file: one.cert_file.clone(),
            key_file: one.key_file.clone(),
        })
        .collect()
}

#[derive(Clone)]
struct Reloading {
    door: Arc<Door>,
    certificates: Vec<Certificates>,
}

impl Reloading {
    fn reload(&self, why: &str) {
        match self.door.reload() {
            Ok(()) => tracing::info!(why, "configuration swapped"),
            Err(error) => {
                tracing::error!(why, "the configuration was refused, the old one goes on");
                eprintln!("seawall: the configuration was refused, the old one goes on:\n{error}");
                return;
            }
        }
        // Addresses and workers of listeners stay as they were started; certificates follow.
        for listener in self.door.listeners() {
            let known = self
                .certificates
                .iter()
                .find(|(name, _)| *name == listener.name);
            if let (Some((name, tls)), Some(written)) = (known, &listener.tls)
                && let Err(problems) = tls.reload(&certificate_files(written))
            {
                tracing::error!(listener = name, %problems, "the old certificates go on");
            }
        }
    }
}

/// Lets the door's time pass and looks at its files.
fn watch(reloading: Reloading, drain: Drain) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name("door-watch".into());
    thread.spawn(move || {
        let mut cpu = Cpu::read();
        let mut seen = changed(&reloading.door.files());
        let mut looked = Instant::now();
        while !drain.is_draining() {
            std::thread::sleep(TICK);
            let now = Cpu::read();
            reloading.door.tick(now.busy_since(&cpu));
            cpu = now;
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                let found = changed(&reloading.door.files());
                if found != seen {
                    reloading.reload("files changed");
                    // Files that only the new configuration names are watched from now on.
                    seen = changed(&reloading.door.files());
                }
            }
        }
    })?;
    Ok(())
}

/// What tells one state of a file from another.
type Mark = (PathBuf, Option<(SystemTime, u64)>);

fn changed(files: &[PathBuf]) -> Vec<Mark> {
    let mark = |path: &PathBuf| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    files
        .iter()
        .map(|path| (path.clone(), mark(path)))
        .collect()
}

/// Processor time of the machine, in ticks.
pub struct Cpu {
    busy: u64,
    all: u64,
}

impl Cpu {
    /// Zeros where the system does not tell: then nothing is known, and nothing is shed for it.
    pub fn read() -> Cpu {
        let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = text.lines().next().unwrap_or("");
        let ticks: Vec<u64> = line
            .split_whitespace()
            .skip(1)
            .filter_map(|word| word.parse().ok())
            .collect();
        // user nice system idle iowait irq softirq steal (proc(5)).
        let all = ticks.iter().take(8).sum();
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        Cpu {
            busy: all - idle,
            all,
        }
    }

    pub fn busy_since(&self, before: &Cpu) -> f64 {
        let all = self.all.saturating_sub(before.all);
        let busy = self.busy.saturating_sub(before.busy);
        if all == 0 {
            0.0
        } else {
            busy as f64 / all as f64
        }
    }
}
