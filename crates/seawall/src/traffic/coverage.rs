//! `seawall coverage`: one percentage, what is missing, and a gate. The formula stands in
//! docs/traffic.md.

use super::{Reading, learn, rows, settle, tell_refused, understood, yaml};
use ::load::compile;
use ::load::outline::outline;
use ::load::script::Script;
use ::traffic::coverage::{Coverage, Weights, compare};
use ::traffic::list::List;
use ::traffic::profile::Profile;
use ::traffic::template::Templates;
use ::traffic::traces::add_jaeger;
use ::traffic::{Fields, Format, Seen, in_order};
use anyhow::{Context, anyhow};
use host::Exit;
use serde_json::json;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use store::ProjectionReader;

/// Where our shop's orders are placed.
const ORDERS: &str = "POST /v1/orders";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The recorded production: an access log, HAR, .gor or the gateway's recorder.
    recorded: PathBuf,
    /// The run: another recording, a scenario, or a list of endpoints (both .yaml).
    run: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// The same for the run, if it is written in something else.
    #[arg(long, value_parser = super::format)]
    run_format: Option<Format>,
    #[arg(long, value_parser = super::fields)]
    run_fields: Option<Box<Fields>>,
    /// Revenue of endpoints, weights of dimensions, templates, endpoints to leave out.
    #[arg(long, value_name = "YAML")]
    weights: Option<PathBuf>,
    /// The data folder of our shop: an order there is worth their mean.
    #[arg(long, value_name = "FOLDER")]
    orders: Option<PathBuf>,
    /// Traces of production and of the run, for dependency edges: Jaeger or OTLP JSON.
    #[arg(long, value_name = "JSON", requires = "run_traces")]
    traces: Option<PathBuf>,
    #[arg(long, value_name = "JSON", requires = "traces")]
    run_traces: Option<PathBuf>,
    /// The gate, in percent: below it the exit code is 99.
    #[arg(long, value_parser = percent)]
    min: Option<f64>,
    /// Missing things that are listed.
    #[arg(long, default_value_t = 20)]
    top: usize,
    /// Report as JSON, with everything that is missing.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    settle(args.json, judge(args))
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').trim().parse::<f64>().ok();
    number
        .filter(|n| (0.0..=100.0).contains(n))
        .ok_or("expected 0 to 100".to_owned())
}

fn judge(args: &Args) -> anyhow::Result<Exit> {
    let mut weights = match &args.weights {
        None => Weights::default(),
        Some(path) => {
            let parsed = Weights::parse(&yaml(path)?);
            parsed.with_context(|| path.display().to_string())?
        }
    };
    if let Some(folder) = &args.orders {
        let mean = mean_order(folder).with_context(|| folder.display().to_string())?;
        weights.revenue.insert(ORDERS.to_owned(), mean);
    }
    let is_yaml = args
        .run
        .extension()
        .is_some_and(|end| end == "yaml" || end == "yml");
    let text = is_yaml.then(|| yaml(&args.run)).transpose()?;
    let script = match &text {
        Some(text) if is_scenario(text) => Some(compile::text(&args.run, text)?.script),
        _ => None,
    };
    let list = match &text {
        Some(text) if script.is_none() => {
            let list = List::parse(text);
            Some(list.with_context(|| args.run.display().to_string())?)
        }
        _ => None,
    };
    let mut patterns = weights.templates.clone();
    patterns.extend(list.iter().flat_map(|list| list.patterns.clone()));
    let templates = learn(args.reading.open(&args.recorded)?, patterns);
    let mut recorded = profile(&args.recorded, &args.reading, &templates, &weights)?;
    let run_reading = Reading {
        format: args.run_format,
        fields: args.run_fields.clone(),
    };
    let mut run = match (list, script) {
        (Some(list), _) => list.profile,
        (None, Some(script)) => of_scenario(&script, &templates, &weights),
        (None, None) => profile(&args.run, &run_reading, &templates, &weights)?,
    };
    if let (Some(ours), Some(theirs)) = (&args.traces, &args.run_traces) {
        for (profile, path) in [(&mut recorded, ours), (&mut run, theirs)] {
            let file = File::open(path).with_context(|| path.display().to_string())?;
            add_jaeger(profile, file).with_context(|| path.display().to_string())?;
        }
    }
    report(args, &recorded, &run, compare(&recorded, &run, &weights))
}

/// A list has neither.
fn is_scenario(text: &str) -> bool {
    let begins = |key: &str| text.lines().any(|line| line.starts_with(key));
    begins("target:") && begins("load:")
}

/// What sample buyers of a scenario would ask.
fn of_scenario(script: &Script, templates: &Templates, weights: &Weights) -> Profile {
    let mut profile = Profile::default();
    for asked in outline(script) {
        let seen = Seen {
            client: Some(asked.buyer.to_string()),
            method: asked.method,
            target: asked.target,
            request_bytes: Some(asked.body.as_ref().map_or(0, String::len) as u64),
            headers: asked.headers,
            body: asked.body.map(String::into_bytes),
            ..Seen::default()
        };
        profile.observe(&seen, templates, &weights.revenue);
    }
    profile
}

fn profile(
    path: &Path,
    reading: &Reading,
    templates: &Templates,
    weights: &Weights,
) -> anyhow::Result<Profile> {
    let (requests, refused) = understood(reading.open(path)?, path);
    let mut profile = Profile::default();
    for seen in in_order(requests) {
        profile.observe(&seen, templates, &weights.revenue);
    }
    tell_refused(path, &refused);
    Ok(profile)
}

/// Of all orders that were not given up, in minor units. Sums of several currencies mean nothing.
fn mean_order(folder: &Path) -> anyhow::Result<f64> {
    let totals = ProjectionReader::open(&folder.join("projection.db"))?.totals()?;
    let kept: Vec<_> = totals
        .iter()
        .filter(|row| {
            matches!(
                row.status,
                sale::OrderStatus::Held | sale::OrderStatus::Paid
            )
        })
        .collect();
    if let (Some(first), Some(last)) = (kept.first(), kept.last())
        && first.currency != last.currency
    {
        return Err(anyhow!(
            "orders in several currencies: give their worth with --weights"
        ));
    }
    let orders: u64 = kept.iter().map(|row| row.orders).sum();
    let amount: i64 = kept.iter().map(|row| row.amount.0).sum();
    if orders == 0 {
        return Err(anyhow!("no orders there to learn their worth from"));
    }
    Ok(amount as f64 / orders as f64)
}

fn report(
    args: &Args,
    recorded: &Profile,
    run: &Profile,
    coverage: Option<Coverage>,
) -> anyhow::Result<Exit> {
    let mut out = std::io::stdout().lock();
    let Some(coverage) = coverage else {
        let problem = "nothing could be compared: one side has no requests";
        if args.json {
            writeln!(out, "{}", json!({"verdict": "none", "problem": problem}))?;
        }
        eprintln!("seawall: {problem}");
        return Ok(Exit::NoVerdict);
    };
    let bad = args.min.is_some_and(|min| coverage.percent < min);
    if args.json {
        let mut report = serde_json::to_value(&coverage)?;
        report["verdict"] = json!(if bad { "bad" } else { "good" });
        report["min"] = json!(args.min);
        report["requests"] = json!({"recorded": recorded.requests(), "run": run.requests()});
        writeln!(out, "{report}")?;
    } else {
        tables(&mut out, args, &coverage)?;
    }
    Ok(if bad { Exit::Bad } else { Exit::Good })
}

fn tables(out: &mut impl Write, args: &Args, coverage: &Coverage) -> std::io::Result<()> {
    let gate = match args.min {
        Some(min) if coverage.percent < min => format!(": below the gate of {min} %"),
        Some(min) => format!(", as much as the gate of {min} % asks"),
        None => String::new(),
    };
    writeln!(out, "coverage {:.1} %{gate}", coverage.percent)?;
    let by = if coverage.by_revenue {
        "volume and revenue"
    } else {
        "volume"
    };
    let dimensions = coverage.dimensions.iter().map(|found| {
        let name = found.dimension.name().to_owned();
        match (found.percent, found.why_not) {
            (Some(percent), _) => vec![
                name,
                format!("{percent:.1} %"),
                format!("{:.1} points", found.weight),
                format!(
                    "{} recorded, {} of them absent",
                    found.recorded, found.absent
                ),
            ],
            (None, why) => vec![
                name,
                "-".to_owned(),
                "-".to_owned(),
                why.unwrap_or("").to_owned(),
            ],
        }
    });
    rows(
        out,
        &format!("By dimension, weighted by {by}"),
        dimensions.collect(),
    )?;
    let missing = coverage.missing.iter().take(args.top).map(|missing| {
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        vec![
            missing.dimension.name().to_owned(),
            format!("{:.2} points", missing.points),
            percent(missing.recorded),
            percent(missing.run),
            missing.what.clone(),
        ]
    });
    let title = "Missing or too rare (points lost, share recorded, share in the run)";
    rows(out, title, missing.collect())?;
    if coverage.missing.len() > args.top {
        writeln!(
            out,
            "  … and {} more (--top)",
            coverage.missing.len() - args.top
        )?;
    }
    Ok(())
}
