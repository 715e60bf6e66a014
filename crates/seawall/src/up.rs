//! `seawall up`: the whole shop in one process. Opens the journal, replays it, starts the engine,
//! the follower, the shop and both listeners; ends in the opposite order.

use crate::door::{self, InShop};
use crate::metrics::EngineMetrics;
use crate::seed;
use crate::shadow::{Rehearsals, ShadowMetrics};
use anyhow::{Context, anyhow};
use engine::{Desk, Engine, EngineOptions, Fatal};
use gateway::door::{Administration, DoorMetrics, DoorService};
use host::admin::{Admin, OperatorToken, Readiness};
use host::config::{self, Config, JwtAlgorithm, Sources};
use host::http::{HttpStats, ListenOptions};
use host::metrics::Metrics;
use host::{Drain, Exit};
use journal::{FileLog, Options, RealDisk, Snapshots};
use sale::{Command, Ledger, Millis, Windows};
use shop::payment::{Channel, HttpChannel, Payments, Sandbox, SandboxOptions};
use shop::{Front, Issuer, People, Sessions, ShadowFronts, Shop, ShopService};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{FollowError, Follower, FollowerOptions};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file (docs/configuration.md).
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where buyers connect, such as 127.0.0.1:8080.
    #[arg(long)]
    listen: Option<String>,
    /// Where health, metrics and operators connect, such as 127.0.0.1:8081.
    #[arg(long)]
    admin: Option<String>,
    /// The data folder.
    #[arg(long)]
    data: Option<String>,
    /// Threads that serve buyers.
    #[arg(long)]
    workers: Option<String>,
    /// Any setting of docs/configuration.md, such as journal.segment_mib=64.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// What an empty shop starts with; a shop that has products keeps them.
    #[arg(long)]
    campaign: Option<PathBuf>,
    /// When the campaign opens instead of its own date: +15s, +5m, or an RFC 3339 instant.
    #[arg(long)]
    t0: Option<String>,
    /// The front door's file (docs/gateway.md) instead of the one that is built in. Routes end at
    /// `service: shop`; its listeners are not used.
    #[arg(long)]
    door: Option<PathBuf>,
    /// Write the addresses here once everything answers.
    #[arg(long)]
    ports_file: Option<PathBuf>,
}

fn configuration(args: &Args) -> Result<Config, config::Problems> {
    let flags = [
        ("listen", &args.listen),
        ("admin", &args.admin),
        ("data", &args.data),
        ("workers", &args.workers),
    ];
    let flags = flags.iter().filter_map(|(name, value)| {
        value
            .as_ref()
            .map(|value| ((*name).to_owned(), value.clone()))
    });
    // A text without `=` becomes a setting without a value, and is told so with the others.
    let set = args
        .set
        .iter()
        .map(|text| text.split_once('=').unwrap_or((text, "")));
    let set = set.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let flags = flags.chain(set).collect();
    config::load(Sources::of_process(args.config.clone(), flags))
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = match configuration(args) {
        Ok(config) => config,
        Err(problems) => {
            eprint!("{problems}");
            return Ok(Exit::Usage.into());
        }
    };
    let campaign = match &args.campaign {
        None => None,
        Some(path) => match seed::Seed::load(path, args.t0.as_deref()) {
            Ok(seed) => Some(seed),
            Err(problems) => {
                eprintln!("{problems}");
                return Ok(Exit::Usage.into());
            }
        },
    };
    host::log::init(config.log.format, &config.log.level)?;
    host::data_folder::prepare(&config.data)?;
    let drain = Drain::new();
    let (log, ledger) = open_journal(&config)?;
    let cores = match config.pin {
        true => host::cores::plan(config.workers),
        false => None,
    };
    let start = || Engine::start(log, ledger, EngineOptions::default(), die);
    let engine = match &cores {
        Some(cores) => host::cores::kept_to(&cores.rest, start),
        None => start(),
    }?;
    let desk = engine.desks().open();
    configure(&desk, &config)?;
    let follower = follow(&config, &engine, stands_still)?;
    let shop = open_shop(&config, &engine, &follower, campaign.as_ref())?;
    if let Some(seed) = &campaign {
        seed.coupons(&desk)?;
    }
    desk.block_on(shop.reload(&desk))
        .context("the catalogue was not loaded")?;
    shop.start()?;
    let rehearsals = Rehearsals::new(&config, &shop);
    serve(
        args,
        &config,
        cores,
        &drain,
        &engine,
        &follower,
        &rehearsals,
    )?;
    rehearsals.close();
    drop(rehearsals);
    tracing::info!("drained; every accepted order is in the journal");
    drop(desk);
    follower.stop();
    drop(shop);
    engine.stop();
    Ok(Exit::Good.into())
}

/// The journal failed: what is in flight may or may not be on disk, so nobody is answered any more.
fn die(error: Fatal) {
    tracing::error!(%error, "the journal failed; the process ends so that recovery can tell");
    eprintln!("seawall: the journal failed, so the process ends: {error}");
    std::process::exit(1);
}

pub fn open_journal(config: &Config) -> anyhow::Result<(FileLog<RealDisk>, Ledger)> {
    let disk = RealDisk::new(&config.data);
    // With a good snapshot only what comes after it needs to be checked.
    let check_from = journal::survey(&disk, u64::MAX)
        .ok()
        .and_then(|survey| Snapshots::new(disk.clone(), survey.id).latest().ok())
        .and_then(|found| found.snapshot)
        .map_or(1, |snapshot| snapshot.info.sequence + 1);
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| anyhow!("no randomness: {error}"))?;
    let mib = 1024 * 1024;
    let options = Options {
        id_if_new: u128::from_le_bytes(id),
        segment_bytes: u64::from(config.journal.segment_mib) * mib,
        reserve_bytes: u64::from(config.journal.reserve_mib) * mib,
        check_from,
    };
    let (log, recovery) = FileLog::open(disk.clone(), options)?;
    if let Some(torn) = &recovery.torn {
        tracing::warn!(
            ?torn,
            "the batch in flight at the crash was cut; nobody was told of it"
        );
        eprintln!("seawall: cut the torn batch at the end of the journal: {torn:?}");
    }
    let start = Instant::now();
    let mut shown = Instant::now();
    let recovered = engine::recover(&disk, recovery.id, recovery.last, |seq| {
        if shown.elapsed() > Duration::from_millis(200) {
            shown = Instant::now();
            let end = if std::io::stderr().is_terminal() {
                '\r'
            } else {
                '\n'
            };
            eprint!(
                "seawall: replaying the journal: {seq} of {}{end}",
                recovery.last
            );
        }
    })?;
    for skipped in &recovered.skipped {
        tracing::warn!(skipped, "a snapshot could not be used");
    }
    eprintln!(
        "seawall: {} entries, {} replayed{} in {:.2} s, digest {:016x}",
        recovery.last,
        recovered.replayed,
        recovered
            .snapshot
            .map_or(String::new(), |seq| format!(" on the snapshot at {seq}")),
        start.elapsed().as_secs_f64(),
        recovered.ledger.digest(),
    );
    tracing::info!(
        entries = recovery.last,
        epoch = recovery.epoch,
        "journal open"
    );
    Ok((log, recovered.ledger))
}

/// Journals the cell and the windows when they are not what the ledger has.
pub fn configure(desk: &Desk, config: &Config) -> anyhow::Result<()> {
    let millis = |duration: Duration| Millis(duration.as_millis() as u64);
    let windows = Windows {
        remember: millis(config.windows.remember),
        returns: millis(config.windows.returns),
    };
    let same = {
        let ledger = desk.view().ledger();
        ledger.cell() == config.cell && ledger.windows() == windows
    };
    if same {
        return Ok(());
    }
    let command = Command::Configure {
        cell: config.cell,
        windows,
    };
    match desk.block_on(desk.ask(command)) {
        Ok(engine::Answer {
            outcome: sale::Outcome::Configured,
            ..
        }) => Ok(()),
        Ok(answer) => Err(anyhow!(
            "cell {} and windows {windows:?} are refused ({:?}): a cell with orders keeps its \
             number",
            config.cell,
            answer.outcome
        )),
        Err(why) => Err(anyhow!("the engine takes no commands: {why:?}")),
    }
}

/// The projection of the real books came to an end.
fn stands_still(error: FollowError) {
    if matches!(error, FollowError::Diverged { .. }) {
        tracing::error!(%error, "replica and sale differ: the process ends");
        eprintln!("seawall: replica and sale differ, so the process ends: {error}");
        std::process::exit(1);
    }
    tracing::error!(%error, "the projection stands still; the sale goes on");
}

/// `ended` hears why the projection cannot go on.
pub fn follow(
    config: &Config,
    engine: &Engine,
    ended: impl FnOnce(FollowError) + Send + 'static,
) -> anyhow::Result<Follower> {
    let view = Arc::clone(engine.view());
    let path = config.data.join("projection.db");
    let disk = RealDisk::new(&config.data);
    let options = FollowerOptions {
        prune_journal: config.journal.prune,
        ..FollowerOptions::default()
    };
    Ok(Follower::start(disk, &path, view, options, ended)?)
}

fn issuer(config: &Config) -> anyhow::Result<Option<Issuer>> {
    let Some(jwt) = &config.jwt else {
        return Ok(None);
    };
    let key = std::fs::read(&jwt.key_file)
        .with_context(|| format!("cannot read the issuer's key {}", jwt.key_file.display()))?;
    let algorithm = match jwt.algorithm {
        JwtAlgorithm::Hs256 => "HS256",
        JwtAlgorithm::Rs256 => "RS256",
        JwtAlgorithm::Ps256 => "PS256",
        JwtAlgorithm::Es256 => "ES256",
        JwtAlgorithm::EdDsa => "EdDSA",
    };
    let issuer = Issuer::new(&jwt.issuer, &jwt.audience, algorithm, &key)
        .with_context(|| format!("{}", jwt.key_file.display()))?;
    Ok(Some(issuer))
}

/// Trusted channels: one `name token` a line.
fn channels(config: &Config) -> anyhow::Result<Vec<(String, String)>> {
    let Some(path) = &config.channel_tokens_file else {
        return Ok(Vec::new());
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the channel tokens {}", path.display()))?;
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    lines
        .map(|(index, line)| {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [name, token] if token.len() >= 32 => Ok(((*name).into(), (*token).into())),
                _ => Err(anyhow!(
                    "{}:{}: expected a name and a token of at least 32 characters",
                    path.display(),
                    index + 1
                )),
            }
        })
        .collect()
}

/// Whoever moves the money.
fn channel(config: &Config) -> anyhow::Result<Arc<dyn Channel>> {
    if let Some(bank) = config.bank {
        return Ok(Arc::new(HttpChannel::start(bank)?));
    }
    let options = SandboxOptions {
        delay: Duration::from_millis(u64::from(config.sandbox.delay_ms_median)),
        decline_share: config.sandbox.decline_share,
        silent_share: config.sandbox.unknown_share,
        unavailable_share: config.sandbox.unavailable_share,
    };
    let ledger = config.data.join("payments/sandbox.jsonl");
    Ok(Arc::new(Sandbox::open(&ledger, options)?))
}

pub fn open_shop(
    config: &Config,
    engine: &Engine,
    follower: &Follower,
    campaign: Option<&seed::Seed>,
) -> anyhow::Result<Arc<Shop>> {
    let data = &config.data;
    let shop_db = data.join("shop.db");
    seed::plant(data, &shop_db, campaign)?;
    let show = seed::Show::read(data)?;
    let pictures = data.join("pictures");
    let pictures = match pictures.is_dir() {
        true => shop::load_pictures(&pictures).context("pictures cannot be read")?,
        false => Default::default(),
    };
    let channel = channel(config)?;
    Ok(Shop::new(shop::Parts {
        desks: engine.desks(),
        sessions: Sessions::new(&secret(&data.join("session.key"))?),
        people: People::start(&shop_db, issuer(config)?)?,
        payments: Payments::new(channel),
        campaign: show.campaign,
        tagline: show.tagline,
        pictures,
        cookie_secure: config.sessions.cookie_secure,
        session_ms: u64::from(config.sessions.hours) * 3_600_000,
        body_ms: u64::from(config.http.body_ms),
        origins: config.origins.clone(),
        channels: channels(config)?,
        shop_db,
        projection_db: data.join("projection.db"),
        projected: follower.applied_handle(),
    }))
}

/// A secret of 32 bytes that only its owner can read; made at the first start.
pub fn secret(path: &Path) -> anyhow::Result<[u8; 32]> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::read(path) {
        Ok(bytes) => bytes.as_slice().try_into().map_err(|_| {
            anyhow!(
                "{}: expected 32 bytes, found {}",
                path.display(),
                bytes.len()
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut bytes = [b' '; 32];
            // Some who read a secret take it for a text, and cut space off its ends.
            while bytes.trim_ascii().len() < bytes.len() {
                getrandom::fill(&mut bytes).map_err(|error| anyhow!("no randomness: {error}"))?;
            }
            let mut options = std::fs::OpenOptions::new();
            let file = options.create_new(true).write(true).mode(0o600).open(path);
            file.and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
                .with_context(|| format!("cannot write {}", path.display()))?;
            Ok(bytes)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn serve(
    args: &Args,
    config: &Config,
    cores: Option<host::cores::Cores>,
    drain: &Drain,
    engine: &Engine,
    follower: &Follower,
    rehearsals: &Arc<Rehearsals>,
) -> anyhow::Result<()> {
    let shop = rehearsals.real();
    let mut listen = ListenOptions::new("shop", config.listen);
    listen.workers = config.workers;
    listen.cores = cores.map_or_else(Vec::new, |cores| cores.workers);
    listen.connections_max = config.http.connections_max;
    listen.header_ms = config.http.header_ms;
    listen.first_byte_ms = config.http.first_byte_ms;
    listen.idle_ms = config.http.idle_ms;
    listen.drain_ms = config.http.drain_ms;
    let (stats, admin_stats) = (HttpStats::new(), HttpStats::new());
    let (for_workers, shadows) = (Arc::clone(shop), Arc::clone(&rehearsals.shadows));
    let door = door::open(args.door.as_ref(), &config.data)?;
    let at_door = Arc::clone(&door);
    let make = move |_worker| {
        let shop = ShopService(Front::start(Arc::clone(&for_workers)));
        let shadow = ShadowFronts::new(Arc::clone(&shadows));
        DoorService::new(Arc::clone(&at_door), InShop { shop, shadow }, false)
    };
    let front = host::http::start(&listen, make, drain.clone(), Arc::clone(&stats))?;

    let metrics = Metrics::new();
    metrics.listeners(vec![("shop", stats), ("admin", Arc::clone(&admin_stats))]);
    metrics.with(|registry| {
        let collector = EngineMetrics::new(engine, follower, shop);
        registry.register_collector(Box::new(collector));
        registry.register_collector(Box::new(DoorMetrics(Arc::clone(&door))));
        let shadows = Arc::clone(&rehearsals.shadows);
        registry.register_collector(Box::new(ShadowMetrics(shadows)));
    });
    let operators = shop::start_operators(Arc::clone(shop))?;
    let doors = Administration(Arc::clone(&door));
    let (draining, ours) = (drain.clone(), Arc::clone(rehearsals));
    let admin = Admin {
        readiness: Arc::new(move || match draining.is_draining() {
            false => Readiness::Ready,
            true => Readiness::NotReady("draining".to_owned()),
        }),
        metrics,
        token: Arc::new(OperatorToken::load_or_create(&config.data)?),
        operator: Arc::new(move |request| {
            let (operators, doors) = (operators.clone(), doors.clone());
            let rehearsals = Arc::clone(&ours);
            Box::pin(async move {
                if Rehearsals::is_asked(&request) {
                    return rehearsals.answer(request).await;
                }
                if let Some(answer) = doors.answer(&request) {
                    return answer;
                }
                operators.answer(request).await
            })
        }),
    };
    let admin = host::admin::start(config.admin, admin, drain.clone(), admin_stats)?;
    let reloader = shop.desks.clone();
    let reloaded = Arc::clone(shop);
    door::keep(&door, shop, drain)?;
    let reloads = Arc::clone(&door);
    host::signals::watch(drain.clone(), move || {
        if let Err(error) = reloads.reload() {
            tracing::error!(%error, "the door was not reloaded; the old one goes on");
        }
        let desk = reloader.open();
        match desk.block_on(reloaded.reload(&desk)) {
            Ok(done) => tracing::info!(?done, "catalogue reloaded"),
            Err(error) => tracing::error!(%error, "the catalogue was not reloaded"),
        }
    })?;
    if let Some(path) = &args.ports_file {
        let listeners = [("shop", front.local_addr()), ("admin", admin.local_addr())];
        host::ready_file::write(path, &listeners)?;
    }
    println!("shop   http://{}", front.local_addr());
    println!(
        "admin  http://{}  (token in {})",
        admin.local_addr(),
        token_path(config).display()
    );
    tracing::info!("ready");
    front.join();
    admin.join();
    door.flush();
    Ok(())
}

fn token_path(config: &Config) -> PathBuf {
    config.data.join("operator.token")
}
