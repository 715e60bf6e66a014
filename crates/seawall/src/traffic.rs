//! `seawall traffic` and `seawall coverage`: what is in a recording, when each of its requests
//! would be sent again, and how much of it a run stands for. They read files and send nothing.

mod coverage;
mod import;

pub use coverage::{Args as CoverageArgs, run as coverage};

use ::traffic::limits::RULES_BYTES_MAX;
use ::traffic::substitute::Substitution;
use ::traffic::template::{Learner, Templates};
use ::traffic::{
    Fields, Format, Options, Reader, Seen, Speed, Summary, hour_text, instant_text, open, plan,
    rate,
};
use anyhow::{Context, anyhow};
use host::Exit;
use serde_json::json;
use std::cell::RefCell;
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

/// Refused lines told of before only their number is.
const REFUSED_TOLD: usize = 10;

#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// What was understood of a recording: lines, refused lines, statuses, hours, clients, routes.
    ///
    /// Exit 0; 2: no line is a request; 64: the file cannot be read.
    ///
    /// Example: seawall traffic show access.log
    Show(Show),
    /// When each request would be sent again, as JSON Lines. Nothing is sent.
    ///
    /// Example: seawall traffic plan access.log --speed 1000
    Plan(PlanArgs),
    /// A rate file: how many requests arrive in each second, as CSV.
    ///
    /// Example: seawall traffic rate access.log --speed 10 > rate.csv
    Rate(RateArgs),
    /// Requests of each route in each minute, people and visits of each day, from logs, answers
    /// of Prometheus and CSV, for `seawall plan forecast`.
    ///
    /// Exit 0; 64: a file cannot be read, or is a log of another format.
    ///
    /// Example: seawall traffic import access.log --out series.json
    Import(import::Args),
}

/// How a recording is read.
#[derive(Clone, Debug, clap::Args)]
pub struct Reading {
    /// combined (also common), json, har, gor, recorder; else it is recognised.
    #[arg(long, value_parser = format)]
    format: Option<Format>,
    /// Members of JSON access logs, such as time=ts,client=ip,duration=took:ms
    #[arg(long, value_parser = fields)]
    fields: Option<Box<Fields>>,
}

#[derive(Debug, clap::Args)]
pub struct Show {
    /// The recording; gzip is unpacked.
    file: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// Endpoints that are listed.
    #[arg(long, default_value_t = 20)]
    top: usize,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    /// The recording; `-` for stdin.
    file: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// How many times as fast as recorded: 0.1 to 10000.
    #[arg(long, default_value = "1")]
    speed: Speed,
    /// Rules for test buyers and test data; without it a thousand buyers, and secrets dropped.
    #[arg(long, value_name = "YAML")]
    substitute: Option<PathBuf>,
    /// The same: a plan is JSON Lines already.
    #[arg(long, hide = true)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub struct RateArgs {
    /// The recording; `-` for stdin.
    file: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// How many times as fast as recorded: 0.1 to 10000.
    #[arg(long, default_value = "1")]
    speed: Speed,
    /// As JSON: {"counts": […]}
    #[arg(long)]
    json: bool,
}

pub fn run(what: &What) -> anyhow::Result<ExitCode> {
    match what {
        What::Show(args) => settle(args.json, show(args)),
        What::Plan(args) => settle(args.json, plan_of(args)),
        What::Rate(args) => settle(args.json, rate_of(args)),
        What::Import(args) => settle(args.json, import::run(args)),
    }
}

/// A file that is not what was asked for is wrong usage; a reader that went away is none.
fn settle(as_json: bool, done: anyhow::Result<Exit>) -> anyhow::Result<ExitCode> {
    match done {
        Ok(exit) => Ok(exit.into()),
        Err(error) => {
            let kind = error
                .downcast_ref::<std::io::Error>()
                .map(std::io::Error::kind);
            if kind == Some(ErrorKind::BrokenPipe) {
                return Ok(Exit::Good.into());
            }
            if as_json {
                println!(
                    "{}",
                    json!({"verdict": "usage", "problem": format!("{error:#}")})
                );
            }
            eprintln!("seawall: {error:#}");
            Ok(Exit::Usage.into())
        }
    }
}

impl Reading {
    pub(crate) fn open(&self, path: &Path) -> anyhow::Result<Reader> {
        let options = Options {
            format: self.format,
            fields: self.fields.as_deref().cloned().unwrap_or_default(),
        };
        open(path, &options).with_context(|| path.display().to_string())
    }
}

fn format(name: &str) -> Result<Format, String> {
    Format::named(name).ok_or_else(|| {
        let names = Format::ALL.map(Format::name).join(", ");
        format!("expected one of {names}")
    })
}

fn fields(text: &str) -> Result<Box<Fields>, String> {
    let fields = Fields::with(text);
    fields
        .map(Box::new)
        .map_err(|problems| problems.to_string())
}

fn yaml(path: &Path) -> anyhow::Result<String> {
    let named = || path.display().to_string();
    let file = std::fs::File::open(path).with_context(named)?;
    let mut text = String::new();
    let mut from = file.take(RULES_BYTES_MAX + 1);
    from.read_to_string(&mut text).with_context(named)?;
    if text.len() as u64 > RULES_BYTES_MAX {
        return Err(anyhow!("{}: more than {RULES_BYTES_MAX} bytes", named()));
    }
    Ok(text)
}

/// The requests of a recording; what is none is told on stderr, the first ones by line.
pub(crate) struct Understood {
    reader: Reader,
    name: String,
    refused: Rc<RefCell<usize>>,
}

pub(crate) fn understood(reader: Reader, path: &Path) -> (Understood, Rc<RefCell<usize>>) {
    let refused = Rc::new(RefCell::new(0));
    let understood = Understood {
        reader,
        name: path.display().to_string(),
        refused: Rc::clone(&refused),
    };
    (understood, refused)
}

impl Iterator for Understood {
    type Item = Seen;

    fn next(&mut self) -> Option<Seen> {
        loop {
            match self.reader.next()? {
                Ok(seen) => return Some(seen),
                Err(error) => {
                    let mut refused = self.refused.borrow_mut();
                    *refused += 1;
                    if *refused <= REFUSED_TOLD {
                        eprintln!("{}: {error}", self.name);
                    }
                }
            }
        }
    }
}

pub(crate) fn tell_refused(path: &Path, refused: &Rc<RefCell<usize>>) {
    let refused = *refused.borrow();
    if refused > REFUSED_TOLD {
        eprintln!(
            "{}: {refused} lines are no requests; the first ones are above",
            path.display()
        );
    }
}

fn show(args: &Show) -> anyhow::Result<Exit> {
    let templates = learn(args.reading.open(&args.file)?, Vec::new());
    let reader = args.reading.open(&args.file)?;
    let format = reader.format();
    let mut summary = Summary::default();
    reader.for_each(|next| summary.take(&next, &templates));
    let mut out = BufWriter::new(std::io::stdout().lock());
    if args.json {
        writeln!(out, "{}", as_json(&summary, format))?;
    } else {
        as_tables(&mut out, &summary, format, args)?;
    }
    out.flush()?;
    Ok(match summary.understood {
        0 => Exit::NoVerdict,
        _ => Exit::Good,
    })
}

fn as_json(summary: &Summary, format: Format) -> serde_json::Value {
    let refused = summary.refused.iter().map(|(reason, refused)| {
        json!({"reason": reason, "count": refused.count, "lines": refused.lines,
               "example": refused.example})
    });
    let hours = summary
        .hours
        .iter()
        .map(|(hour, count)| (hour_text(*hour), json!(count)));
    let (clients, all) = summary.clients();
    json!({
        "format": format.name(),
        "understood": summary.understood,
        "refused": refused.collect::<Vec<_>>(),
        "first": summary.first_us.map(instant_text),
        "last": summary.last_us.map(instant_text),
        "statuses": summary.statuses,
        "hours": hours.collect::<serde_json::Map<_, _>>(),
        "methods": summary.methods,
        "endpoints": summary.endpoints,
        "clients": {"count": clients, "is_all": all},
        "with": {"client": summary.with_client, "duration": summary.with_duration,
                 "body": summary.with_body},
        "bytes": {"requests": summary.request_bytes, "responses": summary.response_bytes},
    })
}

fn as_tables(
    out: &mut impl Write,
    summary: &Summary,
    format: Format,
    args: &Show,
) -> std::io::Result<()> {
    let (clients, all) = summary.clients();
    let span = |at: Option<u64>| at.map_or("-".to_owned(), instant_text);
    let facts = [
        ("format", format.name().to_owned()),
        ("requests", summary.understood.to_string()),
        ("lines refused", summary.refused_lines().to_string()),
        ("from", span(summary.first_us)),
        ("to", span(summary.last_us)),
        (
            "clients",
            format!("{}{clients}", if all { "" } else { "at least " }),
        ),
        ("endpoints", summary.endpoints.len().to_string()),
        ("bytes answered", summary.response_bytes.to_string()),
    ];
    rows(
        out,
        "",
        facts
            .map(|(name, value)| vec![name.to_owned(), value])
            .to_vec(),
    )?;
    let refused = summary.refused.iter().map(|(reason, refused)| {
        let lines: Vec<String> = refused.lines.iter().map(u64::to_string).collect();
        let lines = format!("lines {}: {}", lines.join(" "), refused.example);
        vec![(*reason).to_owned(), refused.count.to_string(), lines]
    });
    rows(out, "Refused", refused.collect())?;
    let share = |count: u64| {
        let percent = count as f64 * 100.0 / summary.understood.max(1) as f64;
        format!("{percent:.2} %")
    };
    let row = |name: String, count: u64| vec![name, count.to_string(), share(count)];
    let statuses = summary.statuses.iter();
    rows(
        out,
        "Statuses",
        statuses
            .map(|(code, n)| row(code.to_string(), *n))
            .collect(),
    )?;
    let hours = summary.hours.iter();
    rows(
        out,
        "Hours (UTC)",
        hours.map(|(hour, n)| row(hour_text(*hour), *n)).collect(),
    )?;
    let mut endpoints: Vec<(&String, &u64)> = summary.endpoints.iter().collect();
    endpoints.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let listed = endpoints.iter().take(args.top);
    rows(
        out,
        "Endpoints",
        listed.map(|(name, n)| row((*name).clone(), **n)).collect(),
    )?;
    if endpoints.len() > args.top {
        writeln!(out, "  … and {} more (--top)", endpoints.len() - args.top)?;
    }
    Ok(())
}

/// Aligned: the first column to the left, figures to the right, the last one as it is.
fn rows(out: &mut impl Write, title: &str, rows: Vec<Vec<String>>) -> std::io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    if !title.is_empty() {
        writeln!(out, "\n{title}")?;
    }
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            let figure = cell.starts_with(|c: char| c.is_ascii_digit());
            line.push_str("  ");
            line.push_str(&if column > 0 && figure {
                pad + cell
            } else {
                cell.clone() + &pad
            });
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Those of a file, or those that hold without one.
pub(crate) fn substitution(path: Option<&Path>) -> anyhow::Result<Substitution> {
    let Some(path) = path else {
        return Ok(Substitution::default());
    };
    let parsed = Substitution::parse(&yaml(path)?);
    parsed.with_context(|| path.display().to_string())
}

fn plan_of(args: &PlanArgs) -> anyhow::Result<Exit> {
    let rules = substitution(args.substitute.as_deref())?;
    let (requests, refused) = understood(args.reading.open(&args.file)?, &args.file);
    let mut planned = plan(requests, args.speed);
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut count = 0_u64;
    for mut next in planned.by_ref() {
        count += 1;
        let buyer = rules.apply(&mut next.seen);
        let seen = &next.seen;
        let body = seen.body.as_deref().map(String::from_utf8_lossy);
        let line = json!({
            "at_us": next.at_us, "buyer": buyer, "client": seen.client, "method": seen.method,
            "host": seen.host, "target": seen.target, "headers": seen.headers, "body": body,
        });
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    tell_refused(&args.file, &refused);
    if planned.late() > 0 {
        eprintln!("{} requests came too late for their place", planned.late());
    }
    Ok(if count > 0 {
        Exit::Good
    } else {
        Exit::NoVerdict
    })
}

fn rate_of(args: &RateArgs) -> anyhow::Result<Exit> {
    let (requests, refused) = understood(args.reading.open(&args.file)?, &args.file);
    let planned = plan(requests, args.speed).map(|next| next.at_us);
    let found = rate(planned).with_context(|| args.file.display().to_string())?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    if args.json {
        writeln!(out, "{}", json!({"counts": found.counts}))?;
    } else {
        found.write(&mut out)?;
    }
    out.flush()?;
    tell_refused(&args.file, &refused);
    Ok(if found.requests() > 0 {
        Exit::Good
    } else {
        Exit::NoVerdict
    })
}

/// Templates of a recording: those given, and those learnt.
pub(crate) fn learn(reader: Reader, patterns: Vec<::traffic::template::Pattern>) -> Templates {
    let mut learner = Learner::new(patterns);
    for seen in reader.flatten() {
        learner.learn(seen.path());
    }
    learner.finish()
}
