//! `seawall plan services`: services.yaml from what is there – Kubernetes objects, Prometheus'
//! answers, traces, the gateway's own routes. What only people know is left as TODO, and
//! `seawall check` lists it.

mod sources;

use super::{behind, write_new};
use anyhow::anyhow;
use host::Exit;
use sources::Draft;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use wire::services::limits::SERVICE_NAMES_MAX;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What `kubectl get deployments,statefulsets,hpa,nodes -A -o json` wrote.
    #[arg(long, value_name = "FILE")]
    kubernetes: Vec<PathBuf>,
    /// Answers of Prometheus' query API: calls a second by caller and callee, as
    /// `sum by (client, server) (rate(traces_service_graph_request_total[1h]))` gives them, or
    /// Istio's with source_workload and destination_workload.
    #[arg(long, value_name = "FILE")]
    prometheus: Vec<PathBuf>,
    /// Traces: exports of Jaeger, or OTLP in JSON.
    #[arg(long, value_name = "FILE")]
    traces: Vec<PathBuf>,
    /// The gateway file: its routes are the entries, its upstreams are services.
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
    /// The file to make; stdout where this is absent.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Report as JSON.
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let mut draft = Draft::default();
    let seen = behind::observed(&args.traces)?;
    draft.take_map(&seen.map);
    for path in &args.prometheus {
        sources::prometheus(&mut draft, path)?;
    }
    for path in &args.kubernetes {
        sources::kubernetes(&mut draft, path)?;
    }
    if let Some(path) = &args.gateway {
        sources::gateway(&mut draft, path)?;
    }
    let count = draft.services.len();
    if count == 0 {
        return Err(anyhow!(
            "nothing was found; give --kubernetes, --traces or others"
        ));
    }
    if count > SERVICE_NAMES_MAX {
        return Err(anyhow!(
            "found {count} services, expected at most {SERVICE_NAMES_MAX}"
        ));
    }
    let text = written(&draft);
    match &args.out {
        Some(path) => write_new(path, text.as_bytes())?,
        None => std::io::stdout().lock().write_all(text.as_bytes())?,
    }
    let left = text.lines().filter(|line| line.contains("TODO")).count();
    if args.json && args.out.is_some() {
        let names: BTreeSet<&String> = draft.services.keys().collect();
        println!("{:#}", serde_json::json!({"services": names, "todo": left}));
    }
    eprintln!(
        "{count} services; {left} lines with TODO are for people, `seawall check` lists them"
    );
    Ok(Exit::Good)
}

fn written(draft: &Draft) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut out = String::from(
        "# Begun by `seawall plan services`; docs/services.md has every key, `seawall check` all\n\
         # that is open or wrong. What stands as TODO only people know.\n\
         version: 1\nentries:\n",
    );
    if draft.entries.is_empty() {
        out.push_str("  - {route: TODO, to: TODO}\n");
    }
    for (route, to) in &draft.entries {
        // Writing to a string cannot fail.
        _ = writeln!(
            out,
            "  - {{route: {}, to: {}, core: true}}",
            quoted(route),
            quoted(to)
        );
    }
    out.push_str("services:\n");
    let mut calls: BTreeMap<&str, Vec<(&str, f64, bool)>> = BTreeMap::new();
    for ((from, to), call) in &draft.calls {
        calls
            .entry(from)
            .or_default()
            .push((to, call.per_request, call.weak));
    }
    for (name, one) in &draft.services {
        _ = writeln!(
            out,
            "  - name: {}\n    class: TODO\n    owner: TODO",
            quoted(name)
        );
        if let Some(label) = &one.owner_label {
            _ = writeln!(out, "    # its label says {}", quoted(label));
        }
        _ = writeln!(out, "    instances: {}", one.instances.unwrap_or(1).max(1));
        if draft.zones > 1 {
            _ = writeln!(out, "    zones: {}", draft.zones);
        }
        out.push_str("    unmeasured: TODO\n");
        if let Some(max) = one.max {
            let max = max.max(one.instances.unwrap_or(1)).max(1);
            _ = writeln!(
                out,
                "    scaling: {{max: {max}, lead_time: TODO, cost_per_hour: TODO}}"
            );
        }
        if let Some((kind, namespace, workload)) = &one.workload {
            _ = writeln!(
                out,
                "    workload: {{kind: {kind}, namespace: {}, name: {}}}",
                quoted(namespace),
                quoted(workload)
            );
        }
        if let Some(calls) = calls.get(name.as_str()) {
            out.push_str("    calls:\n");
            for (to, per_request, weak) in calls {
                _ = writeln!(
                    out,
                    "      - {{to: {}, per_request: {:.3}, weak: {weak}}}",
                    quoted(to),
                    per_request
                );
            }
        }
    }
    out
}
