//! `seawall load`: open-loop load on any HTTP service, and the highest rate that it holds.

use crate::agent::{Lead, NoFleet};
use ::load::arrivals::{Plan, Segment, Spacing};
use ::load::compile::{self, Compiled};
use ::load::consent::{self, Consent};
use ::load::find::{Finding, Step};
use ::load::generator::{Ended, Generator, Here, Running};
use ::load::live::{How, Live, Moment, Watched};
use ::load::measure::{End, Second};
use ::load::report::{self, About, Body, Ran, ThresholdFigures};
use ::load::search::{Found, Settings, Told};
use ::load::slo::Objective;
use ::load::stop::Watch;
use ::load::{Run, Target};
use anyhow::{Context, anyhow};
use clap::Subcommand;
use host::{Drain, Exit};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

mod find;
mod mark;
mod replay;
mod show;

#[derive(Debug, Subcommand)]
pub enum What {
    /// Run a scenario as it is planned and judge its thresholds.
    ///
    /// Example: seawall load run examples/load/shop.yaml
    Run(RunArgs),
    /// Send a recording again, each client in its order and with its gaps.
    ///
    /// Example: seawall load replay access.log --url http://127.0.0.1:8080 --speed 10
    Replay(replay::Args),
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
    /// Progress in lines, also where a terminal could show a picture.
    #[arg(long)]
    plain: bool,
}

#[derive(Debug, clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    common: Common,
    /// Where the report goes.
    #[arg(long, default_value = "out")]
    out: PathBuf,
    #[command(flatten)]
    lead: Lead,
    #[command(flatten)]
    mark: mark::Mark,
}

#[derive(Debug, clap::Args)]
pub struct FindArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    lead: Lead,
    #[command(flatten)]
    more: find::More,
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
    /// Where the report goes.
    #[arg(long, default_value = "out")]
    out: PathBuf,
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
        What::Replay(args) => replay::run(args),
        What::Find(args) => find_rate(args),
        What::Token(args) => token(args),
    };
    match done {
        Ok(exit) => Ok(exit),
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
    let target = compiled.target.target(common.url.as_deref());
    let target = target.map_err(|error| usage(&error))?;
    let ceiling = ceiling(&target, &common.key_file)?;
    target.probe().map_err(|why| {
        let file = common.scenario.display();
        Stopped::Usage(format!(
            "{file}: target.http: found 2 for {target:?}: {why}"
        ))
    })?;
    Ok(Ready {
        compiled,
        ceiling,
        target: Arc::new(target),
    })
}

/// Arrivals a second that the target allows.
fn ceiling(target: &Target, key_file: &Path) -> Result<f64, Stopped> {
    if consent::is_own(target.address().ip()) {
        return Ok(f64::INFINITY);
    }
    let key = key(key_file)?;
    let allowed = target.consent(&key, now_s()).map_err(|why| {
        let authority = target.authority();
        Stopped::Usage(format!(
            "{authority} is not this machine and does not say that it wants load: {why}; \
             `seawall load token` prints the note that it must serve"
        ))
    })?;
    Ok(allowed.ceiling_per_s as f64)
}

fn run_scenario(args: &RunArgs) -> Result<ExitCode, Stopped> {
    let common = &args.common;
    let shown = Shown {
        json: common.json,
        quiet: common.quiet,
        out: &args.out,
        name: "load",
    };
    if args.mark.run.is_some() && args.lead.is_asked() {
        let why = "--mark: agents do not look for acknowledgements yet; send from here";
        return Err(Stopped::Usage(why.to_owned()));
    }
    let ready = args.mark.on(ready(common)?)?;
    let generator = generator(&ready, common, &args.lead)?;
    let how = How::of(common.quiet, common.plain);
    judge_by(generator.as_ref(), &ready, &shown, how)
}

/// How a run is told of, and where.
struct Shown<'a> {
    json: bool,
    quiet: bool,
    out: &'a Path,
    name: &'a str,
}

/// Runs as it is planned and judges the thresholds.
fn judge(ready: &Ready, shown: &Shown<'_>) -> Result<ExitCode, Stopped> {
    judge_by(&here(ready), ready, shown, How::of(shown.quiet, false))
}

fn judge_by(
    generator: &dyn Generator,
    ready: &Ready,
    shown: &Shown<'_>,
    how: How,
) -> Result<ExitCode, Stopped> {
    let begun = (Instant::now(), SystemTime::now());
    let Ready {
        compiled,
        target,
        ceiling,
    } = ready;
    let peak = compiled.plan.peak_per_s();
    if peak > *ceiling {
        return Err(Stopped::Usage(format!(
            "the plan goes to {peak:.0}/s and the target allows {ceiling:.0}/s"
        )));
    }
    let mut watch =
        Watch::new(&compiled.stop).map_err(|error| Stopped::Usage(error.to_string()))?;
    once(ready, compiled.setup.as_ref(), "set-up")?;
    if let Some(why) = mark::lost(target) {
        eprintln!("seawall: {why}");
        return Ok(Exit::NoVerdict.into());
    }
    let stop = interrupted()?;
    let run = generator.start(compiled.plan.clone())?;
    let lost = || mark::lost(target);
    let live = show::live(ready, how, &stop);
    let stopped = follow(
        run.as_ref(),
        &compiled.plan,
        &mut watch,
        (&stop, &lost),
        &live,
    );
    drop(live);
    let Ended {
        measured,
        broken,
        mut remarks,
    } = run.join()?;
    remarks.splice(0..0, stopped.clone());
    once(ready, compiled.teardown.as_ref(), "tear-down")?;
    let judged = compiled.thresholds.iter().map(|t| t.whole(&measured));
    let thresholds = judged.map(|judged| ThresholdFigures {
        seen: judged.seen.map(|seen| format!("{seen:.3} {}", judged.unit)),
        expression: judged.expression,
        held: judged.holds,
    });
    let about = About {
        scenario: compiled.name.clone(),
        target: format!("{target:?}"),
        thresholds: thresholds.collect(),
        stopped: stopped.is_some(),
        remarks,
    };
    let mut body = Body::of_run(&measured, about);
    if let Some(generator) = &mut body.generator {
        generator.invalid.extend(broken);
        let early = stopped.map(|why| format!("it ended before its plan: {why}"));
        generator.invalid.extend(early);
    }
    tell(body, begun, (shown.out, shown.name), shown.json)
}

/// Writes the report in its three shapes and shows it.
fn tell(
    body: Body,
    begun: (Instant, SystemTime),
    (out, name): (&Path, &str),
    json: bool,
) -> Result<ExitCode, Stopped> {
    let started = jiff::Timestamp::try_from(begun.1)?;
    let report = report::envelope(
        body,
        Ran {
            command: std::env::args().collect::<Vec<_>>().join(" "),
            build: rehearse::build(),
            machine: rehearse::machine(),
            started: format!("{started:.0}"),
            seconds: begun.0.elapsed().as_secs_f64(),
        },
    );
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let text = serde_json::to_string_pretty(&report)? + "\n";
    let shapes = [
        ("json", text.clone()),
        ("html", report::page(&report)),
        ("junit.xml", report::junit(&report)),
    ];
    for (ending, text) in shapes {
        let file = out.join(format!("{name}.{ending}"));
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    match json {
        true => print!("{text}"),
        false => {
            print!("{}", report::table(&report));
            println!("report: {}", out.join(format!("{name}.html")).display());
        }
    }
    Ok(ExitCode::from(report.verdict.exit_code()))
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

/// This process, or agents that are one.
fn generator(ready: &Ready, common: &Common, lead: &Lead) -> Result<Box<dyn Generator>, Stopped> {
    let url = format!("{:?}", ready.target);
    if !lead.is_asked() {
        return Ok(Box::new(here(ready)));
    }
    match lead.fleet(&common.scenario, &url, common.quiet) {
        Ok(fleet) => Ok(Box::new(fleet)),
        Err(NoFleet::Usage(why)) => Err(Stopped::Usage(why)),
        Err(NoFleet::Failed(error)) => Err(Stopped::Failed(error)),
    }
}

/// This process as the generator.
fn here(ready: &Ready) -> Here {
    Here {
        script: Arc::new(ready.compiled.script.clone()),
        target: Arc::clone(&ready.target),
        options: ready.compiled.options.clone(),
    }
}

/// Tells each second what happens until the run is over; why it was stopped, if it was.
fn follow(
    run: &dyn Running,
    plan: &Plan,
    watch: &mut Watch,
    (stop, lost): (&AtomicBool, &dyn Fn() -> Option<String>),
    live: &Live,
) -> Option<String> {
    let (mut seconds, mut stopped) = (Vec::<Second>::new(), None);
    loop {
        // Before the look at the seconds, so that the last ones are seen.
        let over = run.is_over();
        let fresh = run.seconds(seconds.len());
        if stop.load(Ordering::Relaxed) && stopped.is_none() {
            stopped = Some("stopped by the operator".to_owned());
            run.stop();
        }
        if stopped.is_none()
            && let Some(why) = lost()
        {
            stopped = Some(why);
            run.stop();
        }
        let any = !fresh.is_empty();
        for second in fresh {
            live.second(Moment::of(seconds.len(), &second).planned(plan));
            seconds.push(second);
        }
        if over {
            return stopped;
        }
        if any
            && stopped.is_none()
            && let Some(why) = watch.look(&seconds, Instant::now())
        {
            stopped = Some(why);
            run.stop();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn find_rate(args: &FindArgs) -> Result<ExitCode, Stopped> {
    if args.more.driver == find::Driver::K6 {
        return find::by_k6(args);
    }
    let begun = (Instant::now(), SystemTime::now());
    let common = &args.common;
    let ready = ready(common)?;
    let compiled = &ready.compiled;
    let finding = finding(args, ready.ceiling, compiled.plan.spacing)?;
    let generator = generator(&ready, common, &args.lead)?;
    once(&ready, compiled.setup.as_ref(), "set-up")?;
    let stop = interrupted()?;
    let mut steps: Vec<Step> = Vec::new();
    let live = show::live(&ready, How::of(common.quiet, common.plain), &stop);
    let live = Arc::new(live);
    let watched = Watched {
        generator: generator.as_ref(),
        live: Arc::clone(&live),
    };
    let found = ::load::find::find(&watched, &finding, &stop, |step| {
        live.note(&show::step(step));
        steps.push(step.clone());
    })?;
    drop((watched, live));
    once(&ready, compiled.teardown.as_ref(), "tear-down")?;
    if !common.quiet {
        eprintln!("{}", show::found(&found));
    }
    let about = About {
        scenario: compiled.name.clone(),
        target: format!("{:?}", ready.target),
        thresholds: Vec::new(),
        stopped: stop.load(Ordering::Relaxed),
        remarks: Vec::new(),
    };
    let body = Body::of_find(&steps, &found, &args.slo, about);
    tell(body, begun, (&args.out, "find"), common.json)
}

/// How to search, as the arguments say.
fn finding(args: &FindArgs, ceiling: f64, spacing: Spacing) -> Result<Finding, Stopped> {
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
    Ok(Finding {
        settings: Settings {
            start_per_s: args.start,
            most_per_s: args.max.min(ceiling),
            precision: precision / 100.0,
            confirmations: if args.quick { 1 } else { 2 },
        },
        objectives: args.slo.clone(),
        window_s,
        warm_s,
        long_s,
        spacing,
        metrics: args.more.metrics()?,
    })
}

fn token(args: &TokenArgs) -> Result<ExitCode, Stopped> {
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
    Ok(Exit::Good.into())
}

/// The key of notes, made at the first use, readable by its owner only.
pub(crate) fn key(file: &Path) -> anyhow::Result<Vec<u8>> {
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
pub(crate) fn interrupted() -> anyhow::Result<Arc<AtomicBool>> {
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
