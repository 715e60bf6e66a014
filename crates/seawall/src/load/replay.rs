//! `seawall load replay`: a recording is read, people and secrets in it are replaced, and it is
//! sent again with the generator that scenarios use, so that figures mean the same.

use super::{Ready, Shown, Stopped, ceiling, judge};
use crate::traffic::{Reading, learn, substitution};
use ::load::Target;
use ::load::compile::{Compiled, Http, StopRule, TargetSpec};
use ::load::replay::{LeftOut, Recorded, Replay};
use ::load::run::Connections;
use ::load::thresholds::Threshold;
use ::traffic::substitute::Substitution;
use ::traffic::template::Templates;
use ::traffic::{Speed, plan};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The recording: an access log, HAR, GoReplay, or our gateway's recorder; gzip is unpacked.
    recording: PathBuf,
    /// Where it goes, such as http://127.0.0.1:8080.
    #[arg(long)]
    url: String,
    #[command(flatten)]
    reading: Reading,
    /// How many times as fast as recorded: 0.1 to 10000.
    #[arg(long, default_value = "1")]
    speed: Speed,
    /// Rules for test buyers and test data; without it a thousand buyers, and secrets dropped.
    #[arg(long)]
    substitute: Option<PathBuf>,
    /// What has to hold, such as 'http_req_duration: p(95)<200'; may be given several times.
    #[arg(long = "threshold")]
    thresholds: Vec<String>,
    /// Ends the run when it does not hold, such as 'http_req_failed: rate<0.05 over 10s'.
    #[arg(long = "stop")]
    stops: Vec<String>,
    /// Milliseconds for an answer.
    #[arg(long, default_value_t = 10_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=600_000))]
    timeout_ms: u64,
    /// A new connection for each request.
    #[arg(long)]
    new_connections: bool,
    /// Certificate authorities in PEM, for https.
    #[arg(long)]
    ca_file: Option<PathBuf>,
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
    /// Where the report goes.
    #[arg(long, default_value = "out")]
    out: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Stopped> {
    let usage = |error: &dyn std::fmt::Display| Stopped::Usage(error.to_string());
    let roots = match args.url.starts_with("https://") {
        false => None,
        true => Some(::load::tls(args.ca_file.as_deref()).map_err(|error| usage(&error))?),
    };
    let target = Target::new(&args.url, roots).map_err(|error| usage(&error))?;
    let ceiling = ceiling(&target, &args.key_file)?;
    let mut compiled = compiled(args)?;
    compiled.options.workers = args.workers.unwrap_or(0);
    let ready = Ready {
        compiled,
        target: Arc::new(target),
        ceiling,
    };
    let shown = Shown {
        json: args.json,
        quiet: args.quiet,
        out: &args.out,
        name: "replay",
    };
    judge(&ready, &shown)
}

fn compiled(args: &Args) -> Result<Compiled, Stopped> {
    let usage = |error: anyhow::Error| Stopped::Usage(format!("{error:#}"));
    let (thresholds, stop) = rules(args).map_err(|wrong| Stopped::Usage(wrong.join("\n")))?;
    let rules = substitution(args.substitute.as_deref()).map_err(usage)?;
    let open = || args.reading.open(&args.recording).map_err(usage);
    let templates = learn(open()?, Vec::new());
    let (replay, told) = read(args, open()?, &rules, &templates);
    if !args.quiet {
        told.iter().for_each(|line| eprintln!("{line}"));
    }
    let Some((script, plan)) = replay.finish() else {
        let file = args.recording.display();
        return Err(Stopped::Usage(format!("{file}: no line is a request")));
    };
    let mut options = ::load::Options::default();
    if args.new_connections {
        options.connections = Connections::New;
    }
    Ok(Compiled {
        name: format!("{} {}", args.recording.display(), args.speed),
        target: TargetSpec {
            url: args.url.clone(),
            http: Http::One,
            ca_file: args.ca_file.clone(),
        },
        options,
        script,
        plan,
        thresholds,
        stop,
        setup: None,
        teardown: None,
    })
}

/// Takes the whole recording; what is said of it beside figures.
fn read(
    args: &Args,
    reader: ::traffic::Reader,
    rules: &Substitution,
    templates: &Templates,
) -> (Replay, Vec<String>) {
    let mut replay = Replay::new(args.timeout_ms * 1_000);
    let mut left_out = BTreeMap::<String, u64>::new();
    let (requests, refused) = crate::traffic::understood(reader, &args.recording);
    for mut next in plan(requests, args.speed) {
        // Names are of what was recorded: a test SKU may look like no SKU.
        let name = format!("{} {}", next.seen.method, templates.of(next.seen.path()));
        let buyer = rules.apply(&mut next.seen);
        let client = buyer.map_or_else(String::new, |buyer| rules.buyer_name(buyer));
        let seen = &next.seen;
        let taken = replay.take(&Recorded {
            at_us: next.at_us,
            client: &client,
            name,
            method: &seen.method,
            target: &seen.target,
            headers: &seen.headers,
            body: seen.body.as_deref(),
            status: seen.status,
        });
        if let Err(why) = taken {
            *left_out.entry(why.to_string()).or_default() += 1;
            if why == LeftOut::TooMany {
                break;
            }
        }
    }
    crate::traffic::tell_refused(&args.recording, &refused);
    let (requests, clients) = (replay.requests(), replay.clients());
    let mut told = vec![format!("{requests} requests of {clients} test buyers")];
    let left_out = left_out.iter();
    told.extend(left_out.map(|(why, count)| format!("{count} requests are left out: {why}")));
    (replay, told)
}

/// Thresholds and stop rules, or all that is wrong with them.
fn rules(args: &Args) -> Result<(Vec<Threshold>, Vec<StopRule>), Vec<String>> {
    let mut wrong = Vec::new();
    let mut parse = |option: &str, text: &str, windowed: bool| {
        let Some((metric, rule)) = text.split_once(": ") else {
            wrong.push(format!("{option} {text:?}: expected METRIC: RULE"));
            return None;
        };
        if windowed && !rule.contains(" over ") {
            wrong.push(format!(
                "{option} {text:?}: a window is missing, such as over 10s"
            ));
            return None;
        }
        let parsed = Threshold::parse(metric.trim(), rule.trim());
        parsed
            .map_err(|what| wrong.push(format!("{option} {text:?}: {what}")))
            .ok()
    };
    let thresholds = args.thresholds.iter();
    let thresholds: Vec<_> = thresholds
        .filter_map(|text| parse("--threshold", text, false))
        .collect();
    let stops = args.stops.iter();
    let stops: Vec<_> = stops
        .filter_map(|text| parse("--stop", text, true).map(StopRule::Figures))
        .collect();
    match wrong.is_empty() {
        true => Ok((thresholds, stops)),
        false => Err(wrong),
    }
}
