//! One run: a shop is started, flooded, killed, started again and drained; then its books are
//! opened. What is planned and what is expected comes from outside, so that a campaign, real
//! orders and the crash test are one machine.

use crate::books::{Audited, Channel, Circumstances, Evidence, audit};
use crate::child::{ChildError, Recipe, Shop};
use crate::door::{DoorFigures, Watch};
use crate::drill::process::Group;
use crate::drill::series::Series;
use crate::drill::{Drill, Drilled, Planned};
use crate::load::{Load, Outcome, Target};
use crate::measure::Shared;
use crate::parts::{Bank, Parts};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::stage::StagedDrill;
use crate::token::Issuer;
use sale::At;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wire::rehearsal::SHOP;
use wire::rehearsal::faults::What;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error("{0}")]
    Campaign(#[from] wire::campaign::Problems),
    #[error("{file}: {what}")]
    File { file: PathBuf, what: String },
    #[error(transparent)]
    Shop(#[from] ChildError),
    #[error("the generator: {0}")]
    Generator(io::Error),
    #[error("the shop took longer to start than the campaign left until its first arrival")]
    LateStart,
    #[error("the journal could not be read: {0}")]
    Journal(String),
    #[error("{0}")]
    Usage(String),
    #[error("the drill: {0}")]
    Drill(String),
}

impl Failed {
    /// 64 for a wrong command or file, 1 for everything that went wrong later.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failed::Campaign(_) | Failed::Usage(_) | Failed::File { .. } => 64,
            _ => 1,
        }
    }
}

pub(crate) fn file_failed(file: &Path) -> impl Fn(io::Error) -> Failed + '_ {
    move |source| Failed::File {
        file: file.to_path_buf(),
        what: source.to_string(),
    }
}

/// A shop of our own, or one that runs already.
#[derive(Clone, Debug)]
pub enum Where {
    Own { seawall: PathBuf },
    Running(Running),
}

/// A shop that somebody else started.
#[derive(Clone, Debug)]
pub struct Running {
    pub shop: SocketAddr,
    pub issuer: String,
    pub audience: String,
    pub key_file: PathBuf,
    /// The data folder, to be read after the shop was stopped by whoever runs it.
    pub data: Option<PathBuf>,
    /// The shop's admin listener, which says what its front door did.
    pub admin: Option<Admin>,
}

#[derive(Clone, Debug)]
pub struct Admin {
    pub address: SocketAddr,
    pub token_file: Option<PathBuf>,
}

/// Everything that a run needs to know.
pub(crate) struct Stage {
    pub(crate) plan: Arc<Plan>,
    pub(crate) place: Where,
    /// The campaign and catalogue that our own shop sells, with `t0:` still to be filled in.
    pub(crate) campaign: CampaignText,
    pub(crate) kills_us: Vec<u64>,
    pub(crate) folder: PathBuf,
    pub(crate) quiet: bool,
    pub(crate) run: String,
    /// What a rehearsal file adds.
    pub(crate) drill: Option<StagedDrill>,
}

/// What the child is told to sell. `t0` becomes known when it is started.
#[derive(Clone, Debug)]
pub(crate) struct CampaignText {
    pub(crate) yaml: String,
    pub(crate) catalogue: String,
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) outcome: Outcome,
    /// `None` when there are no books to read.
    pub(crate) audited: Option<Audited>,
    pub(crate) kills: Vec<Kill>,
    pub(crate) settled: bool,
    pub(crate) first_start: Duration,
    pub(crate) channel_seen: bool,
    /// The front door's own word, or why there is none.
    pub(crate) door: Result<DoorFigures, &'static str>,
    /// Where a rehearsal file was run.
    pub(crate) drill: Option<Drilled>,
}

impl Ran {
    /// Each fault of a rehearsal file with what was wrong with it.
    pub(crate) fn faults(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.drill.iter().flat_map(Drilled::faults)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Kill {
    pub killed_us: u64,
    pub back_us: u64,
    /// From the start of the new process to its first answer.
    pub restart: Duration,
}

const ISSUER: &str = "https://issuer.rehearsal.invalid";
const AUDIENCE: &str = "seawall-rehearsal";
/// Tokens outlive any rehearsal.
const TOKEN_S: u64 = 7 * 24 * 3_600;
/// What a shop may need from its start to its first answer before the plan begins.
const LEAD: Duration = Duration::from_millis(5_000);
/// And more for every product that it has to list.
const LEAD_US_PER_PRODUCT: u64 = 500;

pub(crate) fn run(stage: &Stage) -> Result<Ran, Failed> {
    raise_file_limit();
    match &stage.place {
        Where::Own { seawall } => run_own(stage, seawall),
        Where::Running(running) => run_elsewhere(stage, running),
    }
}

fn wall_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn run_own(stage: &Stage, seawall: &Path) -> Result<Ran, Failed> {
    let mut bank = Bank::start(stage, seawall)?;
    let products = stage.plan.products.len() as u64;
    let start = Instant::now() + LEAD + Duration::from_micros(products * LEAD_US_PER_PRODUCT);
    let ahead = start.duration_since(Instant::now());
    let start_ms = wall_ms() + u64::try_from(ahead.as_millis()).unwrap_or(0);
    let address = bank.as_ref().map(|bank| bank.address);
    let t0 = At(start_ms + stage.plan.t0_us / 1_000);
    let (recipe, issuer) = prepare(stage, seawall, t0, address)?;
    let mut shop = Shop::start(recipe.clone())?;
    if Instant::now() > start {
        return Err(Failed::LateStart);
    }
    let first_start = shop.took;
    let proxies = bank.as_mut().and_then(|bank| bank.proxies.take());
    let drill = Drill::new(stage.faults(), proxies, seawall.to_path_buf());
    let group = bank.as_mut().map(|bank| &mut bank.group);
    let flooded = flood(stage, drill, &mut shop, group, (issuer, start))?;
    let mut progress = Progress::new(stage.quiet);
    progress.say("waiting for the last holds to end");
    let settled = shop.settle()?;
    progress.say("draining the shop");
    shop.drain()?;
    progress.say("auditing the books");
    let ledger = bank.as_ref().map(|bank| bank.ledger.clone());
    // Its ledger is read when nobody writes it any more.
    drop(bank);
    let evidence = evidence(&recipe.data, ledger.as_deref())?;
    let Flooded {
        mut outcome,
        kills,
        drill,
        door,
    } = flooded;
    let down_us = kills.iter().map(|kill| kill.back_us - kill.killed_us).max();
    let circumstances = Circumstances {
        start_ms,
        down_ms: down_us.unwrap_or(0) / 1_000,
    };
    let audited = audit(&evidence, &stage.plan, &outcome.receipts, circumstances);
    let series = outcome.measured.series.take();
    Ok(Ran {
        drill: stage.drilled(&drill, series.map_or_else(Default::default, |one| *one)),
        outcome,
        audited: Some(audited),
        kills,
        settled,
        first_start,
        channel_seen: evidence.channel.is_some(),
        door,
    })
}

/// What a flood left behind.
struct Flooded {
    outcome: Outcome,
    kills: Vec<Kill>,
    drill: Drill,
    door: Result<DoorFigures, &'static str>,
}

/// Sends the whole plan, and breaks what is to be broken meanwhile.
fn flood(
    stage: &Stage,
    mut drill: Drill,
    shop: &mut Shop,
    bank: Option<&mut Group>,
    (issuer, start): (Issuer, Instant),
) -> Result<Flooded, Failed> {
    let target = Target {
        shop: shop.listen,
        admin: shop.admin,
        operator_token: shop.operator_token.clone(),
        issuer,
    };
    let shared = Arc::new(Shared::default());
    let watched = Arc::clone(&shared);
    let watch = Watch::start(shop.admin, &shop.operator_token, start, watched);
    let watch = watch.map_err(Failed::Generator)?;
    let (plan, told) = (Arc::clone(&stage.plan), Arc::clone(&shared));
    let load = Load::new(plan, target, told, &stage.run, start).map_err(Failed::Generator)?;
    let thread = generate(match stage.drill {
        Some(_) => load.with_series(),
        None => load,
    })?;
    let mut parts = Parts {
        shop,
        bank,
        shared: &shared,
        start,
        kills: Vec::new(),
        killed_us: 0,
        failed: None,
    };
    let supervised = supervise(stage, &mut drill, &mut parts, || thread.is_finished());
    if supervised.is_err() {
        shared.stop.store(true, Ordering::Relaxed);
    }
    let outcome = thread
        .join()
        .map_err(|_| Failed::Generator(io::Error::other("its thread ended by a bug")))?;
    // While the shop still answers.
    let door = watch.end();
    supervised?;
    Ok(Flooded {
        outcome: outcome.map_err(Failed::Generator)?,
        kills: parts.kills,
        drill,
        door,
    })
}

fn run_elsewhere(stage: &Stage, running: &Running) -> Result<Ran, Failed> {
    let key = std::fs::read(&running.key_file).map_err(file_failed(&running.key_file))?;
    let expires_s = wall_ms() / 1_000 + TOKEN_S;
    let target = Target {
        shop: running.shop,
        admin: running.shop,
        operator_token: String::new(),
        issuer: Issuer::new(
            &running.issuer,
            &running.audience,
            key.trim_ascii(),
            expires_s,
        ),
    };
    let (shared, start) = (Arc::new(Shared::default()), Instant::now());
    let start_ms = wall_ms();
    let watch = running.admin.as_ref();
    let watch = watch
        .map(|admin| look_on(admin, start, &shared))
        .transpose()?;
    let load = Load::new(
        Arc::clone(&stage.plan),
        target,
        Arc::clone(&shared),
        &stage.run,
        start,
    )
    .map_err(Failed::Generator)?;
    let thread = generate(load)?;
    let mut progress = Progress::new(stage.quiet);
    while !thread.is_finished() {
        progress.tick(&shared, start, &stage.plan);
        std::thread::sleep(Duration::from_millis(20));
    }
    let outcome = thread
        .join()
        .map_err(|_| Failed::Generator(io::Error::other("its thread ended by a bug")))?;
    let outcome = outcome.map_err(Failed::Generator)?;
    let door = match watch {
        Some(watch) => watch.end(),
        None => Err("What its front door did was not asked: --admin-url names who says it."),
    };
    let evidence = running.data.as_deref();
    let evidence = evidence
        .map(|data| crate::run::evidence(data, None))
        .transpose()?;
    let circumstances = Circumstances {
        start_ms,
        down_ms: 0,
    };
    let channel_seen = evidence
        .as_ref()
        .is_some_and(|evidence| evidence.channel.is_some());
    let audited =
        evidence.map(|evidence| audit(&evidence, &stage.plan, &outcome.receipts, circumstances));
    let (kills, first_start) = (Vec::new(), Duration::ZERO);
    Ok(Ran {
        outcome,
        audited,
        kills,
        settled: true,
        first_start,
        channel_seen,
        door,
        drill: None,
    })
}

/// Follows what the door of a shop says that somebody else runs.
fn look_on(admin: &Admin, start: Instant, shared: &Arc<Shared>) -> Result<Watch, Failed> {
    let token = match &admin.token_file {
        None => String::new(),
        Some(file) => std::fs::read_to_string(file).map_err(file_failed(file))?,
    };
    let watch = Watch::start(admin.address, token.trim(), start, Arc::clone(shared));
    watch.map_err(Failed::Generator)
}

impl Stage {
    /// A rehearsal file's drill, ready to be judged.
    fn drilled(&self, drill: &Drill, series: Series) -> Option<Drilled> {
        self.drill.as_ref().map(|staged| Drilled {
            planned: drill.planned.clone(),
            happened: drill.happened.clone(),
            phases: staged.phases.clone(),
            expecting: staged.expecting.clone(),
            series: series.summed(),
            end_us: self.plan.end_us,
        })
    }

    /// The faults of a rehearsal file, or the kills of a campaign.
    fn faults(&self) -> Vec<Planned> {
        if let Some(drill) = &self.drill {
            return drill.planned.clone();
        }
        let kill = |from_us: &u64| Planned {
            name: "SIGKILL".to_owned(),
            from_us: *from_us,
            for_us: None,
            what: What::Kill(wire::rehearsal::faults::Kill {
                at: String::new(),
                process: SHOP.to_owned(),
                restart: true,
            }),
        };
        self.kills_us.iter().map(kill).collect()
    }
}

fn generate(load: Load) -> Result<JoinHandle<io::Result<Outcome>>, Failed> {
    let thread = std::thread::Builder::new().name("generator".to_owned());
    thread.spawn(move || load.run()).map_err(Failed::Generator)
}

/// Makes and undoes faults at their moments and reports progress until the generator is done.
fn supervise(
    stage: &Stage,
    drill: &mut Drill,
    parts: &mut Parts<'_>,
    finished: impl Fn() -> bool,
) -> Result<(), Failed> {
    let mut progress = Progress::new(stage.quiet);
    let start = parts.start;
    while !finished() {
        if Instant::now() > start {
            for said in drill.tick(&|| since(start), parts) {
                progress.say(&said);
            }
            if let Some(failed) = parts.failed.take() {
                return Err(failed.into());
            }
        }
        progress.tick(parts.shared, start, &stage.plan);
        std::thread::sleep(Duration::from_millis(5));
    }
    drill.finish(&|| since(start), parts);
    match parts.failed.take() {
        Some(failed) => Err(failed.into()),
        None => Ok(()),
    }
}

/// Microseconds of the plan that have passed.
pub(crate) fn since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Writes what the child needs into the folder of the run.
fn prepare(
    stage: &Stage,
    seawall: &Path,
    t0: At,
    bank: Option<SocketAddr>,
) -> Result<(Recipe, Issuer), Failed> {
    let at = |name: &str| stage.folder.join(name);
    let key = secret()?;
    let data = at("data");
    let expires_s = wall_ms() / 1_000 + TOKEN_S;
    let stamp = i64::try_from(t0.0)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let stamp = stamp.map(|stamp| stamp.to_string()).unwrap_or_default();
    let campaign = at("campaign.yaml");
    crate::child::write(&campaign, &stage.campaign.yaml.replace(T0_MARK, &stamp))?;
    crate::child::write(&at("catalogue.csv"), &stage.campaign.catalogue)?;
    crate::child::write(&at("issuer.key"), &key)?;
    let config = at("seawall.yaml");
    let text = crate::config::text(&stage.folder, ISSUER, AUDIENCE, bank);
    crate::child::write(&config, &text)?;
    let recipe = Recipe {
        seawall: seawall.to_path_buf(),
        config,
        campaign,
        data,
        ports_file: at("ports.json"),
        log: at("shop.log"),
    };
    Ok((
        recipe,
        Issuer::new(ISSUER, AUDIENCE, key.as_bytes(), expires_s),
    ))
}

/// Where the campaign's text takes its instant.
pub(crate) const T0_MARK: &str = "@T0@";

/// 32 random bytes in hexadecimal, from the kernel.
fn secret() -> Result<String, Failed> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0u8; 32];
    let read = std::fs::File::open(source)
        .and_then(|mut file| io::Read::read_exact(&mut file, &mut bytes));
    read.map_err(file_failed(source))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Reads the journal and the channel's ledger of a shop that does not run any more.
pub(crate) fn evidence(data: &Path, ledger: Option<&Path>) -> Result<Evidence, Failed> {
    let failed = |error: &dyn std::fmt::Display| Failed::Journal(error.to_string());
    let disk = journal::RealDisk::new(data);
    let survey = journal::survey(&disk, 1).map_err(|error| failed(&error))?;
    let mut reader = journal::Reader::open(disk, 1).map_err(|error| failed(&error))?;
    let mut entries = Vec::new();
    while let Some(batch) = reader
        .next_through(survey.last)
        .map_err(|error| failed(&error))?
    {
        let batch = wire::record::Entries::new(batch.first, batch.count, &batch.payload)
            .map_err(|error| failed(&error))?
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| failed(&error))?;
        entries.extend(batch);
    }
    Ok(Evidence {
        entries,
        channel: channel(&ledger.map_or_else(|| data.join(CHANNEL_FILE), Path::to_path_buf))?,
    })
}

/// The payment channel's own ledger, if it keeps one here: one fact a line.
fn channel(file: &Path) -> Result<Option<Vec<Channel>>, Failed> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file_failed(file)(error)),
    };
    let (facts, file) = (crate::books::channel(&text), file.to_path_buf());
    facts.map(Some).map_err(|what| Failed::File { file, what })
}

/// Where the sandbox channel keeps its ledger, in the data folder.
const CHANNEL_FILE: &str = "payments/sandbox.jsonl";

/// Thousands of connections need as many descriptors; the shop inherits the limit.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum {
        limit.current = limit.maximum;
        // Where it is refused the connections run out earlier, and the report says so.
        _ = setrlimit(Resource::Nofile, limit);
    }
}
