//! `seawall plan map`: who calls whom, and what a rate at the front door becomes behind it.

use super::behind::{self, Observed};
use ::plan::map::{Difference, Flows, Map, flows, svg};
use anyhow::{Context, anyhow};
use comfy_table::{Table, presets};
use host::Exit;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Traces: exports of Jaeger, or OTLP in JSON.
    #[arg(value_name = "TRACES")]
    traces: Vec<PathBuf>,
    /// Services as people declared them; traces add what is missing and say what differs.
    #[arg(long, value_name = "FILE")]
    services: Option<PathBuf>,
    /// Requests a second at the front door: for each route that a request enters by, or ROUTE=RATE.
    #[arg(long, value_name = "RATE", default_value = "1")]
    rate: Vec<String>,
    /// Where the picture goes.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Report as JSON.
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    if args.traces.is_empty() && args.services.is_none() {
        return Err(anyhow!("expected traces, or --services, or both"));
    }
    let seen = behind::observed(&args.traces)?;
    let (map, differences) = match &args.services {
        Some(path) => behind::map(&behind::services(path)?)?.with_seen(&seen.map),
        None => (seen.map.clone(), Vec::new()),
    };
    let demand = demand(&map, &args.rate)?;
    let flows = flows(&map, &demand).map_err(|circles| {
        let told: Vec<String> = circles.iter().map(|circle| circle.join(" → ")).collect();
        anyhow!("services call each other in a circle: {}", told.join("; "))
    })?;
    if let Some(path) = &args.svg {
        std::fs::write(path, svg(&map, &flows, &|_| false))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let mut out = std::io::stdout().lock();
    if args.json {
        let report = report(&map, &flows, &seen, &differences);
        writeln!(out, "{report:#}")?;
    } else {
        writeln!(out, "{}", table(&map, &flows))?;
        for step in &seen.critical {
            writeln!(
                out,
                "{:>5.1} % of the time requests wait for {} ({:.0} µs of each)",
                step.share * 100.0,
                step.service,
                step.micros
            )?;
        }
        for one in &differences {
            writeln!(out, "{}", one.sentence())?;
        }
    }
    Ok(Exit::Good)
}

/// `1000` for every route, or `order=1000` for one.
fn demand(map: &Map, rates: &[String]) -> anyhow::Result<Vec<(String, f64)>> {
    let mut demand: Vec<(String, f64)> = Vec::new();
    for text in rates {
        let (route, rate) = match text.split_once('=') {
            Some((route, rate)) => (Some(route), rate),
            None => (None, text.as_str()),
        };
        let rate: f64 = rate
            .parse()
            .ok()
            .filter(|rate| (0.0..1e12).contains(rate))
            .with_context(|| format!("--rate: found {text:?}, expected 1000 or order=1000"))?;
        let routes = map.entries.iter().map(|entry| entry.route.as_str());
        let before = demand.len();
        for name in routes.filter(|name| route.is_none_or(|route| route == *name)) {
            if !demand.iter().any(|(other, _)| other == name) {
                demand.push((name.to_owned(), rate));
            }
        }
        if let (Some(route), true) = (route, before == demand.len()) {
            return Err(anyhow!("--rate: no route {route:?} enters anywhere"));
        }
    }
    Ok(demand)
}

fn report(map: &Map, flows: &Flows, seen: &Observed, differences: &[Difference]) -> Value {
    let edges = map.edges.iter().zip(&flows.edges).map(|(edge, per_s)| {
        json!({
            "from": edge.from, "to": edge.to, "per_request": edge.per_request,
            "cache_hit": edge.cache_hit, "weak": edge.weak, "routes": edge.routes,
            "seen": edge.seen, "per_s": per_s,
        })
    });
    let services = map.services.iter().map(|name| {
        json!({
            "name": name, "per_s": flows.service(name), "fan_out": map.fan_out(name),
            "depth": flows.depth.get(name),
        })
    });
    let path = seen.critical.iter().map(|step| {
        json!({
            "service": step.service, "mean_us": step.micros, "share": step.share,
            "traces": step.traces,
        })
    });
    json!({
        "version": 1,
        "kind": "map",
        "traces": seen.traces,
        "entries": map.entries.iter().map(|entry| json!({
            "route": entry.route, "to": entry.to, "per_request": entry.per_request,
            "cache_hit": entry.cache_hit,
        })).collect::<Vec<Value>>(),
        "services": services.collect::<Vec<Value>>(),
        "edges": edges.collect::<Vec<Value>>(),
        "critical_path": path.collect::<Vec<Value>>(),
        "differences": differences.iter().map(Difference::sentence).collect::<Vec<String>>(),
    })
}

fn table(map: &Map, flows: &Flows) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_HORIZONTAL_ONLY)
        .set_header([
            "from",
            "to",
            "calls a request",
            "from caches",
            "kind",
            "seen",
            "1/s",
        ]);
    for (edge, per_s) in map.edges.iter().zip(&flows.edges) {
        table.add_row([
            edge.from.clone(),
            edge.to.clone(),
            format!("{:.2}", edge.per_request),
            format!("{:.0} %", edge.cache_hit * 100.0),
            if edge.weak { "weak" } else { "strong" }.to_owned(),
            edge.seen.to_string(),
            format!("{per_s:.1}"),
        ]);
    }
    table
}
