//! `seawall check`: everything that is wrong with files, at once, before anything is started.

use crate::seed::Seed;
use host::Exit;
use host::config::{self, Sources};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wire::gateway::{self, Context, FileKind};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file to check, together with the environment.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Campaign files to check, with their catalogues; gateway files, with the limits and
    /// switches that they name; limits and switches files for themselves; services; scenarios of
    /// load, with the data that they name.
    files: Vec<PathBuf>,
    /// The build that stands behind the door: limits that another one was measured for are
    /// refused.
    #[arg(long)]
    build: Option<String>,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut problems = Vec::new();
    let mut good = Vec::new();
    let sources = Sources::of_process(args.config.clone(), Vec::new());
    match config::load(sources) {
        Ok(_) => good.push(match &args.config {
            Some(path) => format!("{}: a good configuration", path.display()),
            None => "the configuration of this environment is good".to_owned(),
        }),
        Err(found) => problems.push(found.to_string()),
    }
    for path in &args.files {
        match one(path, args.build.clone()) {
            Ok(said) => good.push(format!("{}: {said}", path.display())),
            Err(found) => problems.push(found),
        }
    }
    if args.json {
        let lines: Vec<&str> = problems
            .iter()
            .flat_map(|text| text.trim_end().lines())
            .collect();
        println!(
            "{}",
            json!({"good": problems.is_empty(), "checked": good, "problems": lines})
        );
    } else {
        for line in &good {
            println!("{line}");
        }
        for text in &problems {
            eprintln!("{}", text.trim_end());
        }
    }
    Ok(if problems.is_empty() {
        Exit::Good.into()
    } else {
        Exit::Usage.into()
    })
}

/// Checks one file as what its keys show it to be.
fn one(path: &Path, build: Option<String>) -> Result<String, String> {
    let now = jiff::Timestamp::now().as_millisecond();
    let context = Context {
        now_ms: u64::try_from(now).unwrap_or(0),
        build,
        services: None,
    };
    match FileKind::of(path) {
        Some(FileKind::Gateway) => {
            let door = gateway::load(path, &context).map_err(|found| found.to_string())?;
            Ok(format!(
                "a good gateway of {} routes, {} limits and {} switches",
                door.gateway.routes.len(),
                door.limits.rules.len(),
                door.switches.switches.len()
            ))
        }
        Some(FileKind::Limits) => {
            let limits = gateway::load_limits(path, &context).map_err(|found| found.to_string())?;
            Ok(format!("{} good limits", limits.rules.len()))
        }
        Some(FileKind::Switches) => {
            let switches = gateway::load_switches(path).map_err(|found| found.to_string())?;
            Ok(format!("{} good switches", switches.switches.len()))
        }
        None if wire::services::is_services(path) => {
            let good = wire::services::load(path).map_err(|found| found.to_string())?;
            Ok(format!("{} good services", good.services.len()))
        }
        None if wire::scenario::is_scenario(path) => {
            let good = load::compile::file(path).map_err(|found| found.to_string())?;
            Ok(format!(
                "a good scenario; journeys: {}, requests: {}, thresholds: {}",
                good.script.journeys.len(),
                good.script.requests.len(),
                good.thresholds.len()
            ))
        }
        None if wire::rehearsal::is_rehearsal(path) => rehearsal(path),
        None => {
            let seed = Seed::load(path, None).map_err(|found| format!("{found:#}"))?;
            Ok(format!("a good campaign of {} products", seed.products()))
        }
    }
}

/// A rehearsal with the scenario or the campaign that it names.
fn rehearsal(path: &Path) -> Result<String, String> {
    let file = rehearse::drill::file::read(path).map_err(|found| found.to_string())?;
    let rehearsal = &file.rehearsal;
    if let wire::rehearsal::Subject::Shop(shop) = &rehearsal.subject {
        Seed::load(&shop.campaign, None).map_err(|found| format!("{found:#}"))?;
    }
    Ok(format!(
        "a good rehearsal; faults: {}, expectations: {}",
        rehearsal.faults.len(),
        rehearsal.expectations.len()
    ))
}
