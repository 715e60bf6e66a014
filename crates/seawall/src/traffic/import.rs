//! `seawall traffic import`: logs, answers of Prometheus and CSV as one series of minutes by
//! route. What was noticed is told; missing data stays missing.

use super::{Reading, learn, rows};
use ::traffic::series::{FILE_BYTES_MAX, FromLog, Meaning, Series, csv, is_prometheus, prometheus};
use anyhow::{Context, anyhow};
use host::Exit;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Notes told on stderr; the file has all of them.
const NOTES_TOLD: usize = 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Recordings in any format, answers of Prometheus to range queries (.json), CSV with the
    /// columns time,route,requests (.csv); several are put side by side.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    /// The values of Prometheus are counters, not requests a second.
    #[arg(long)]
    counters: bool,
    /// Where the series goes, in the shape of schemas/series.json.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Say what is in it as JSON.
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let all = args
        .files
        .iter()
        .map(|file| one(args, file).with_context(|| file.display().to_string()));
    let all: Vec<Series> = all.collect::<anyhow::Result<_>>()?;
    let series = match <[Series; 1]>::try_from(all) {
        Ok([one]) => one,
        Err(all) => Series::merged(all)?,
    };
    let mut text = serde_json::to_vec(&series)?;
    text.push(b'\n');
    let shown = args.out.display();
    std::fs::write(&args.out, text).with_context(|| format!("cannot write {shown}"))?;
    for note in series.notes.iter().take(NOTES_TOLD) {
        eprintln!("{}: {}", note.kind, note.what);
    }
    if series.notes.len() > NOTES_TOLD {
        eprintln!("and {} more, in {shown}", series.notes.len() - NOTES_TOLD);
    }
    say(args, &series)?;
    Ok(Exit::Good)
}

fn one(args: &Args, file: &Path) -> anyhow::Result<Series> {
    let ending = file.extension().and_then(|ending| ending.to_str());
    let table = match ending {
        Some("csv") => Some(whole(file)?),
        Some("json") if is_prometheus(&head(file)?) => Some(whole(file)?),
        _ => None,
    };
    if let Some(text) = table {
        let meaning = if args.counters {
            Meaning::Counter
        } else {
            Meaning::PerSecond
        };
        return Ok(match ending {
            Some("csv") => csv(&text)?,
            _ => prometheus(&text, meaning)?,
        });
    }
    let templates = learn(args.reading.open(file)?, Vec::new());
    let mut series = FromLog::default();
    for next in args.reading.open(file)? {
        series.take(&next, &templates);
    }
    Ok(series.finish()?)
}

fn head(file: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    File::open(file)?.take(1_024).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn whole(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    File::open(file)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(anyhow!("more than {FILE_BYTES_MAX} bytes"));
    }
    Ok(text)
}

fn say(args: &Args, series: &Series) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let sum = |requests: &[Option<f64>]| requests.iter().flatten().sum::<f64>();
    if args.json {
        let routes = series.routes.iter().map(|route| {
            serde_json::json!({
                "route": route.route, "requests": sum(&route.requests),
                "dispersion": route.dispersion,
            })
        });
        let report = serde_json::json!({
            "out": args.out, "minutes": series.minutes, "routes": routes.collect::<Vec<_>>(),
            "days": series.days, "dispersion": series.dispersion, "notes": series.notes,
        });
        writeln!(out, "{report:#}")?;
        return Ok(());
    }
    let shown = |figure: Option<u64>| figure.map_or("-".to_owned(), |figure| figure.to_string());
    let days = series.days.iter().map(|day| {
        vec![
            day.day.clone(),
            format!("{:.0}", day.requests),
            shown(day.dau),
            shown(day.visits),
            format!("{} min", day.minutes),
        ]
    });
    rows(
        &mut out,
        "Days: requests, people, visits, data",
        days.collect(),
    )?;
    let routes = series
        .routes
        .iter()
        .map(|route| vec![route.route.clone(), format!("{:.0}", sum(&route.requests))]);
    rows(&mut out, "Routes", routes.collect())?;
    Ok(())
}
