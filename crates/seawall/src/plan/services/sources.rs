//! What each source knows of services: names and instances from Kubernetes, calls from Prometheus
//! and traces, entries from the gateway file.

use ::plan::map::Map;
use anyhow::{Context, anyhow};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use wire::gateway::limits::NAME_CHARS_MAX;
use wire::gateway::routes::Target;

/// Bytes of one dump: ten thousand objects of Kubernetes with all their fields.
const DUMP_BYTES_MAX: u64 = 256 << 20;
/// Labels of caller and callee: of Tempo and the collector's service graph, and of Istio.
const PAIRS: [(&str, &str); 3] = [
    ("client", "server"),
    ("source_workload", "destination_workload"),
    ("source_service", "destination_service_name"),
];

/// A file that is being made.
#[derive(Debug, Default)]
pub struct Draft {
    pub services: BTreeMap<String, Found>,
    pub calls: BTreeMap<(String, String), Called>,
    pub entries: BTreeSet<(String, String)>,
    pub zones: usize,
}

#[derive(Debug, Default)]
pub struct Found {
    pub instances: Option<u64>,
    pub max: Option<u64>,
    /// Kind, namespace and name.
    pub workload: Option<(String, String, String)>,
    pub owner_label: Option<String>,
}

#[derive(Debug)]
pub struct Called {
    pub per_request: f64,
    pub weak: bool,
}

impl Draft {
    pub fn take_map(&mut self, map: &Map) {
        for name in &map.services {
            self.services.entry(named(name)).or_default();
        }
        for edge in &map.edges {
            let call = Called {
                per_request: edge.per_request,
                weak: edge.weak,
            };
            self.calls
                .insert((named(&edge.from), named(&edge.to)), call);
        }
        for entry in &map.entries {
            self.entries.insert((named(&entry.route), named(&entry.to)));
        }
    }
}

/// As names of services.yaml are written.
fn named(text: &str) -> String {
    let letter = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c) => c,
        _ => '-',
    };
    let name: String = text.chars().map(letter).take(NAME_CHARS_MAX).collect();
    let name = name.trim_start_matches(['-', '_', '.']);
    if name.is_empty() {
        "unnamed".to_owned()
    } else {
        name.to_owned()
    }
}

fn json(path: &Path) -> anyhow::Result<Value> {
    let shown = path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot open {shown}"))?;
    let mut text = Vec::new();
    file.take(DUMP_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .with_context(|| format!("cannot read {shown}"))?;
    if text.len() as u64 > DUMP_BYTES_MAX {
        return Err(anyhow!("{shown}: more than {DUMP_BYTES_MAX} bytes"));
    }
    serde_json::from_slice(&text).with_context(|| shown)
}

/// Deployments and stateful sets are services, autoscalers say how far they may grow, nodes in how
/// many zones they run.
pub fn kubernetes(draft: &mut Draft, path: &Path) -> anyhow::Result<()> {
    let dump = json(path)?;
    let items = dump["items"].as_array().with_context(|| {
        format!(
            "{}: expected a list of objects, as `kubectl get -o json` has it",
            path.display()
        )
    })?;
    let mut zones = BTreeSet::new();
    for item in items {
        let (kind, meta) = (item["kind"].as_str().unwrap_or_default(), &item["metadata"]);
        let name = meta["name"].as_str().unwrap_or_default();
        match kind {
            "Deployment" | "StatefulSet" if !name.is_empty() => {
                let found = draft.services.entry(named(name)).or_default();
                // Kubernetes runs one where nobody says a number.
                found.instances = Some(item["spec"]["replicas"].as_u64().unwrap_or(1));
                let namespace = meta["namespace"].as_str().unwrap_or("default");
                let workload = (kind.to_owned(), namespace.to_owned(), name.to_owned());
                found.workload = Some(workload);
                let label = ["owner", "team", "app.kubernetes.io/owner"]
                    .iter()
                    .find_map(|key| meta["labels"][*key].as_str());
                found.owner_label = label.map(str::to_owned);
            }
            "HorizontalPodAutoscaler" => {
                let target = &item["spec"]["scaleTargetRef"]["name"];
                if let Some(target) = target.as_str() {
                    let found = draft.services.entry(named(target)).or_default();
                    found.max = item["spec"]["maxReplicas"].as_u64();
                }
            }
            "Node" => {
                let zone = meta["labels"]["topology.kubernetes.io/zone"].as_str();
                zones.extend(zone.map(str::to_owned));
            }
            _ => {}
        }
    }
    draft.zones = draft.zones.max(zones.len());
    Ok(())
}

/// Calls a second between services; calls for each request follow from what the caller gets.
/// Where traces told of a call, theirs stands: they know causes, rates do not.
pub fn prometheus(draft: &mut Draft, path: &Path) -> anyhow::Result<()> {
    let answer = json(path)?;
    let wrong = || {
        anyhow!(
            "{}: expected the answer of /api/v1/query with a vector",
            path.display()
        )
    };
    if answer["status"] != "success" {
        return Err(wrong());
    }
    let rows = answer["data"]["result"].as_array().ok_or_else(wrong)?;
    let mut rates: BTreeMap<(String, String), f64> = BTreeMap::new();
    for row in rows {
        let labels = &row["metric"];
        let label = |key: &str| labels[key].as_str().filter(|value| !value.is_empty());
        let pair = PAIRS
            .iter()
            .find_map(|(from, to)| Some((label(from)?, label(to)?)));
        let rate = row["value"][1]
            .as_str()
            .and_then(|text| text.parse::<f64>().ok());
        let Some(rate) = rate.filter(|rate| rate.is_finite() && *rate > 0.0) else {
            continue;
        };
        let Some((from, to)) = pair.filter(|(from, to)| from != to) else {
            continue;
        };
        *rates.entry((named(from), named(to))).or_default() += rate;
    }
    if rates.is_empty() {
        let pairs: Vec<String> = PAIRS.iter().map(|(a, b)| format!("{a} and {b}")).collect();
        return Err(anyhow!(
            "{}: no series with caller and callee, expected the labels {}",
            path.display(),
            pairs.join(", or ")
        ));
    }
    let mut gets: BTreeMap<&str, f64> = BTreeMap::new();
    for ((_, to), rate) in &rates {
        *gets.entry(to).or_default() += rate;
    }
    for ((from, to), rate) in &rates {
        draft.services.entry(from.clone()).or_default();
        draft.services.entry(to.clone()).or_default();
        // Whom nobody calls stands at the door: what it gets is not in these rates, and the most
        // that it calls anybody is the least that it gets.
        let own = gets.get(from.as_str()).copied().unwrap_or_else(|| {
            let calls = rates.iter().filter(|((one, _), _)| one == from);
            calls.map(|(_, rate)| *rate).fold(0.0, f64::max)
        });
        let call = Called {
            per_request: rate / own.max(f64::MIN_POSITIVE),
            weak: false,
        };
        let place = (from.clone(), to.clone());
        draft.calls.entry(place).or_insert(call);
    }
    Ok(())
}

/// Routes are entries; upstreams and services in the process are services.
pub fn gateway(draft: &mut Draft, path: &Path) -> anyhow::Result<()> {
    let now = jiff::Timestamp::now().as_millisecond();
    let context = wire::gateway::Context {
        now_ms: u64::try_from(now).unwrap_or(0),
        ..wire::gateway::Context::default()
    };
    let door = wire::gateway::load(path, &context).map_err(|found| anyhow!("{found}"))?;
    // What traces call an entry is a guess; the door knows.
    draft.entries.clear();
    for route in &door.gateway.routes {
        let to = match &route.target {
            Target::Service(name) | Target::Upstream(name) => named(name),
            _ => continue,
        };
        draft.services.entry(to.clone()).or_default();
        draft.entries.insert((route.name.clone(), to));
    }
    for upstream in &door.gateway.upstreams {
        let found = draft.services.entry(named(&upstream.name)).or_default();
        let peers = u64::try_from(upstream.peers.len()).unwrap_or(u64::MAX);
        found.instances = found.instances.or(Some(peers));
    }
    Ok(())
}
