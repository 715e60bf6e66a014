//! One run: a shop is started, flooded, killed, started again and drained; then its books are
//! opened. What is planned and what is expected comes from outside, so that a campaign, real
//! orders and the crash test are one machine.

use crate::books::{Audited, Channel, Circumstances, Evidence, audit};
use crate::child::{ChildError, Recipe, Shop};
use crate::door::{DoorFigures, Watch};
use crate::load::{Load, Outcome, Target};
use crate::measure::Shared;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::token::Issuer;
use sale::At;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
    let products = stage.plan.products.len() as u64;
    let start = Instant::now() + LEAD + Duration::from_micros(products * LEAD_US_PER_PRODUCT);
    let ahead = start.duration_since(Instant::now());
    let start_ms = wall_ms() + u64::try_from(ahead.as_millis()).unwrap_or(0);
    let (recipe, issuer) = prepare(stage, seawall, At(start_ms + stage.plan.t0_us / 1_000))?;
    let mut shop = Shop::start(recipe.clone())?;
    if Instant::now() > start {
        return Err(Failed::LateStart);
    }
    let target = Target {
        shop: shop.listen,
        admin: shop.admin,
        operator_token: shop.operator_token.clone(),
        issuer,
    };
    let first_start = shop.took;
    let shared = Arc::new(Shared::default());
    let watched = Arc::clone(&shared);
    let watch = Watch::start(shop.admin, &shop.operator_token, start, watched);
    let watch = watch.map_err(Failed::Generator)?;
    let load = Load::new(
        Arc::clone(&stage.plan),
        target,
        Arc::clone(&shared),
        &stage.run,
        start,
    )
    .map_err(Failed::Generator)?;
    let thread = generate(load)?;
    let kills = supervise(stage, &mut shop, &shared, start, || thread.is_finished());
    if kills.is_err() {
        shared.stop.store(true, Ordering::Relaxed);
    }
    let outcome = thread
        .join()
        .map_err(|_| Failed::Generator(io::Error::other("its thread ended by a bug")))?;
    // While the shop still answers.
    let door = watch.end();
    let (kills, outcome) = (kills?, outcome.map_err(Failed::Generator)?);
    let mut progress = Progress::new(stage.quiet);
    progress.say("waiting for the last holds to end");
    let settled = shop.settle()?;
    progress.say("draining the shop");
    shop.drain()?;
    progress.say("auditing the books");
    let evidence = evidence(&recipe.data)?;
    let down_us = kills
        .iter()
        .map(|kill| kill.back_us - kill.killed_us)
        .max()
        .unwrap_or(0);
    let circumstances = Circumstances {
        start_ms,
        down_ms: down_us / 1_000,
    };
    let audited = audit(&evidence, &stage.plan, &outcome.receipts, circumstances);
    let channel_seen = evidence.channel.is_some();
    let audited = Some(audited);
    Ok(Ran {
        outcome,
        audited,
        kills,
        settled,
        first_start,
        channel_seen,
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
    let evidence = running.data.as_deref().map(evidence).transpose()?;
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
        door: Err("What its front door did was not asked: only the shop's address is known."),
    })
}

fn generate(load: Load) -> Result<JoinHandle<io::Result<Outcome>>, Failed> {
    let thread = std::thread::Builder::new().name("generator".to_owned());
    thread.spawn(move || load.run()).map_err(Failed::Generator)
}

/// Kills and restarts at the planned moments and reports progress until the generator is done.
fn supervise(
    stage: &Stage,
    shop: &mut Shop,
    shared: &Shared,
    start: Instant,
    finished: impl Fn() -> bool,
) -> Result<Vec<Kill>, Failed> {
    let mut progress = Progress::new(stage.quiet);
    let now_us = || u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    let mut planned = stage.kills_us.iter().copied().peekable();
    let mut kills = Vec::new();
    while !finished() {
        if planned
            .next_if(|at| now_us() >= *at && Instant::now() > start)
            .is_some()
        {
            let killed_us = now_us();
            shared.killed(killed_us);
            shop.kill()?;
            progress.say("SIGKILL; starting the shop again on the same data");
            shop.restart()?;
            let back_us = now_us();
            shared.back(back_us);
            kills.push(Kill {
                killed_us,
                back_us,
                restart: shop.took,
            });
        }
        progress.tick(shared, start, &stage.plan);
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(kills)
}

/// Writes what the child needs into the folder of the run.
fn prepare(stage: &Stage, seawall: &Path, t0: At) -> Result<(Recipe, Issuer), Failed> {
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
    let text = crate::config::text(&stage.folder, ISSUER, AUDIENCE);
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
pub(crate) fn evidence(data: &Path) -> Result<Evidence, Failed> {
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
        channel: channel(data)?,
    })
}

/// The payment channel's own ledger, if it keeps one here: one fact a line.
fn channel(data: &Path) -> Result<Option<Vec<Channel>>, Failed> {
    let file = data.join(CHANNEL_FILE);
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file_failed(&file)(error)),
    };
    crate::books::channel(&text)
        .map(Some)
        .map_err(|what| Failed::File { file, what })
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
