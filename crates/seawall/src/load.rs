//! `seawall load`: open-loop load on any HTTP service, and the highest rate that it holds.

use ::load::arrivals::{Plan, Segment, Spacing};
use ::load::compile::{self, Compiled};
use ::load::consent::{self, Consent};
use ::load::find::{Finding, Step, find};
use ::load::measure::{End, Measured, Second};
use ::load::search::{Found, Settings, Told};
use ::load::slo::Objective;
use ::load::stop::Watch;
use ::load::thresholds::Judged;
use ::load::{Run, Target};
use anyhow::{Context, anyhow};
use clap::Subcommand;
use host::{Drain, Exit};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

mod show;

#[derive(Debug, Subcommand)]
pub enum What {
    /// Run a scenario as it is planned and judge its thresholds.
    ///
    /// Example: seawall load run examples/load/shop.yaml
    Run(RunArgs),
    /// Find the highest rate that holds the objectives.
    ///
    /// Example: seawall load find examples/load/any.yaml --slo 'p99<200ms' --slo 'errors<1%'
    Find(FindArgs),
    /// Print the note with which a target that is not this machine allows load; it must serve it
    /// at /.well-known/seawall-load.
    ///
    /// Example: seawall load token https://shop.example --ceiling 2000
    Token(TokenArgs),
}

#[derive(Debug, clap::Args)]
pub struct Common {
    /// The scenario file.
    scenario: PathBuf,
    /// Instead of the scenario's target.
    #[arg(long)]
    url: Option<String>,
    /// Threads that send; one a processor where this is absent.
    #[arg(long)]
    workers: Option<usize>,
    /// The key of notes (see `seawall load token`); made at the first use.
    #[arg(long, default_value = ".seawall/load.key")]
    key_file: PathBuf,
    /// The figures as JSON on stdout instead of the table.
    #[arg(long)]
    json: bool,
    /// No progress on stderr.
    #[arg(long)]
    quiet: bool,
}

#[derive(Debug, clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    common: Common,
    /// Where the report goes.
    #[arg(long, default_value = "out")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct FindArgs {
    #[command(flatten)]
    common: Common,
    /// What must hold, such as p99<200ms, mean<50ms, errors<1% or refused<5%; at least one.
    #[arg(long, required = true)]
    slo: Vec<Objective>,
    /// The first rate, in journeys a second.
    #[arg(long, default_value_t = 20.0)]
    start: f64,
    /// Never more than this.
    #[arg(long, default_value_t = 1_000_000.0)]
    max: f64,
    /// How close the answer is to the first rate that fails, in percent.
    #[arg(long, default_value_t = 4.0)]
    precision: f64,
    /// Seconds at each rate, with two of warm-up.
    #[arg(long, default_value_t = 10)]
    window: u32,
    /// Within 10 percent and in about a minute.
    #[arg(long)]
    quick: bool,
}

#[derive(Debug, clap::Args)]
pub struct TokenArgs {
    /// The target, such as https://shop.example.
    url: String,
    /// Arrivals a second that no run may exceed.
    #[arg(long)]
    ceiling: u64,
    /// Days until the note ends.
    #[arg(long, default_value_t = 7)]
    days: u64,
    #[arg(long, default_value = ".seawall/load.key")]
    key_file: PathBuf,
}

pub fn run(what: &What) -> anyhow::Result<ExitCode> {
    let done = match what {
        What::Run(args) => run_scenario(args),
        What::Find(args) => find_rate(args),
        What::Token(args) => token(args),
    };
    match done {
        Ok(exit) => Ok(exit.into()),
        Err(Stopped::Usage(why)) => {
            eprintln!("seawall: {why}");
            Ok(Exit::Usage.into())
        }
        Err(Stopped::Failed(error)) => Err(error),
    }
}

/// Why nothing was judged.
enum Stopped {
    /// What was asked for cannot be done: nothing was sent.
    Usage(String),
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Stopped {
    fn from(error: E) -> Stopped {
        Stopped::Failed(error.into())
    }
}

/// A scenario with its target, and what that allows.
struct Ready {
    compiled: Compiled,
    target: Arc<Target>,
    /// Arrivals a second.
    ceiling: f64,
}

fn ready(common: &Common) -> Result<Ready, Stopped> {
    let usage = |error: &dyn std::fmt::Display| Stopped::Usage(error.to_string());
    let mut compiled = compile::file(&common.scenario).map_err(|error| usage(&error))?;
    if let Some(workers) = common.workers {
        compiled.options.workers = workers;
    }
    let url = common.url.as_ref().unwrap_or(&compiled.target.url);
    let roots = match url.starts_with("https://") {
        false => None,
        true => Some(::load::tls(compiled.target.ca_file.as_deref()).map_err(|e| usage(&e))?),
    };
    let target = Target::new(url, roots).map_err(|error| usage(&error))?;
    let ceiling = match consent::is_own(target.address().ip()) {
        true => f64::INFINITY,
        false => {
            let key = key(&common.key_file)?;
            let allowed = target.consent(&key, now_s()).map_err(|why| {
                let authority = target.authority();
                Stopped::Usage(format!(
                    "{authority} is not this machine and does not say that it wants load: {why}; \
                     `seawall load token` prints the note that it must serve"
                ))
            })?;
            allowed.ceiling_per_s as f64
        }
    };
    Ok(Ready {
        compiled,
        target: Arc::new(target),
        ceiling,
    })
}

fn run_scenario(args: &RunArgs) -> Result<Exit, Stopped> {
    let common = &args.common;
    let ready = ready(common)?;
    let Ready {
        compiled,
        target,
        ceiling,
    } = &ready;
    let peak = compiled.plan.peak_per_s();
    if peak > *ceiling {
        return Err(Stopped::Usage(format!(
            "the plan goes to {peak:.0}/s and the target allows {ceiling:.0}/s"
        )));
    }
    let mut watch =
        Watch::new(&compiled.stop).map_err(|error| Stopped::Usage(error.to_string()))?;
    once(&ready, compiled.setup.as_ref(), "set-up")?;
    let stop = interrupted()?;
    let script = Arc::new(compiled.script.clone());
    let run = Run::start(
        script,
        compiled.plan.clone(),
        Arc::clone(target),
        &compiled.options,
    );
    let stopped = follow(&run, &mut watch, &stop, common.quiet);
    let measured = run.join()?;
    once(&ready, compiled.teardown.as_ref(), "tear-down")?;
    let judged: Vec<Judged> = compiled
        .thresholds
        .iter()
        .map(|t| t.whole(&measured))
        .collect();
    let invalid = ::load::run::invalid(&measured, stopped.is_some());
    let exit = match (&stopped, invalid.is_empty()) {
        (None, true) if judged.iter().all(|judged| judged.holds) => Exit::Good,
        (None, true) => Exit::Bad,
        (Some(_), _) | (_, false) => Exit::NoVerdict,
    };
    let outcome = show::Outcome {
        name: &compiled.name,
        measured: &measured,
        judged: &judged,
        invalid: &invalid,
        stopped: stopped.as_deref(),
        exit,
    };
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make {}", args.out.display()))?;
    let file = args.out.join("load.json");
    std::fs::write(&file, outcome.json() + "\n")
        .with_context(|| format!("cannot write {}", file.display()))?;
    match common.json {
        true => println!("{}", outcome.json()),
        false => {
            print!("{}", outcome.table());
            println!("report: {}", file.display());
        }
    }
    Ok(exit)
}

/// One buyer through a script of its own; anything but good answers ends it all.
fn once(ready: &Ready, script: Option<&::load::script::Script>, what: &str) -> Result<(), Stopped> {
    let Some(script) = script else {
        return Ok(());
    };
    let plan = Plan {
        segments: vec![Segment::constant(10.0, 100_000)],
        spacing: Spacing::Even,
    };
    let options = ::load::Options {
        workers: 1,
        ..ready.compiled.options.clone()
    };
    let script = Arc::new(script.clone());
    let measured = Run::start(script, plan, Arc::clone(&ready.target), &options).join()?;
    let total = measured.total();
    let bad = total.errors() + total.ended(End::Refused);
    if bad > 0 || measured.journeys == 0 {
        let named = measured.named.iter().find(|named| named.errors() > 0);
        let name = named.map_or("a step", |named| named.name.as_str());
        return Err(anyhow!("the {what} did not end well: {name}").into());
    }
    Ok(())
}

/// Tells each second what happens until the run is over; why it was stopped, if it was.
fn follow(run: &Run, watch: &mut Watch, stop: &AtomicBool, quiet: bool) -> Option<String> {
    let (control, mut seconds) = (run.control(), Vec::<Second>::new());
    let mut stopped = None;
    while !run.is_over() {
        std::thread::sleep(Duration::from_millis(100));
        let fresh = control.seconds(seconds.len());
        if stop.load(Ordering::Relaxed) && stopped.is_none() {
            stopped = Some("stopped by the operator".to_owned());
            control.stop();
        }
        if fresh.is_empty() {
            continue;
        }
        for second in fresh {
            if !quiet {
                eprintln!("{}", show::line(seconds.len(), &second));
            }
            seconds.push(second);
        }
        if stopped.is_none()
            && let Some(why) = watch.look(&seconds, Instant::now())
        {
            stopped = Some(why);
            control.stop();
        }
    }
    stopped
}

fn find_rate(args: &FindArgs) -> Result<Exit, Stopped> {
    let common = &args.common;
    let ready = ready(common)?;
    let compiled = &ready.compiled;
    let (window_s, warm_s, long_s, precision) = match args.quick {
        true => (4, 1, 6, args.precision.max(5.0)),
        false => (
            args.window.max(3),
            2,
            args.window.max(3) * 2,
            args.precision,
        ),
    };
    if !(0.1..=50.0).contains(&precision) || args.start <= 0.0 || args.max < args.start {
        return Err(Stopped::Usage(
            "--precision must be from 0.1 to 50 and --max at least --start, above 0".to_owned(),
        ));
    }
    let finding = Finding {
        settings: Settings {
            start_per_s: args.start,
            most_per_s: args.max.min(ready.ceiling),
            precision: precision / 100.0,
            confirmations: if args.quick { 1 } else { 2 },
        },
        objectives: args.slo.clone(),
        window_s,
        warm_s,
        long_s,
        spacing: compiled.plan.spacing,
    };
    once(&ready, compiled.setup.as_ref(), "set-up")?;
    let stop = interrupted()?;
    let script = Arc::new(compiled.script.clone());
    let mut steps: Vec<Step> = Vec::new();
    let found = find(
        &script,
        &ready.target,
        &compiled.options,
        &finding,
        &stop,
        |step| {
            if !common.quiet {
                eprintln!("{}", show::step(step));
            }
            steps.push(step.clone());
        },
    )?;
    once(&ready, compiled.teardown.as_ref(), "tear-down")?;
    match common.json {
        true => println!("{}", show::found_json(&found, &steps)),
        false => println!("{}", show::found(&found)),
    }
    Ok(match found {
        Found::Between { .. } => Exit::Good,
        Found::AtLeast { .. } => Exit::Good,
        Found::Below { .. } => Exit::Bad,
        Found::Invalid { .. } => Exit::NoVerdict,
    })
}

fn token(args: &TokenArgs) -> Result<Exit, Stopped> {
    let roots = args
        .url
        .starts_with("https://")
        .then(|| ::load::tls(None))
        .transpose();
    let roots = roots.map_err(|error| Stopped::Usage(error.to_string()))?;
    let target = Target::new(&args.url, roots).map_err(|e| Stopped::Usage(e.to_string()))?;
    let consent = Consent {
        authority: target.authority().to_owned(),
        ceiling_per_s: args.ceiling,
        until_s: now_s() + args.days * 86_400,
    };
    print!("{}", consent.sign(&key(&args.key_file)?));
    eprintln!("Serve this line at {}{}", args.url, consent::WELL_KNOWN);
    Ok(Exit::Good)
}

/// The key of notes, made at the first use, readable by its owner only.
fn key(file: &Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::read(file) {
        Ok(key) if key.len() >= 32 => return Ok(key),
        Ok(key) => {
            let (path, bytes) = (file.display(), key.len());
            return Err(anyhow!("{path} holds {bytes} bytes; a key has at least 32"));
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot read {}", file.display()));
        }
        Err(_) => {}
    }
    let mut key = vec![0; 32];
    getrandom::fill(&mut key).map_err(|error| anyhow!("no randomness: {error}"))?;
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    let made = options.create_new(true).write(true).mode(0o600).open(file);
    let mut made = made.with_context(|| format!("cannot make {}", file.display()))?;
    made.write_all(&key)?;
    made.sync_all()?;
    Ok(key)
}

/// Set by SIGINT or SIGTERM.
fn interrupted() -> anyhow::Result<Arc<AtomicBool>> {
    let (stop, drain) = (Arc::new(AtomicBool::new(false)), Drain::new());
    host::signals::watch(drain.clone(), || {})?;
    let told = Arc::clone(&stop);
    std::thread::Builder::new()
        .name("stop".into())
        .spawn(move || {
            while !drain.is_draining() {
                std::thread::sleep(Duration::from_millis(50));
            }
            told.store(true, Ordering::Relaxed);
        })?;
    Ok(stop)
}

fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}
