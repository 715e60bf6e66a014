//! `seawall plan diff`: what changed between two plans, and what of their input explains it.

use anyhow::{Context, anyhow};
use host::Exit;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Bytes of one plan: a thousand services with their sentences are below it.
const PLAN_BYTES_MAX: u64 = 64 << 20;
/// Figures that differ by less, as a share, are called equal.
const SAME: f64 = 0.001;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The earlier plan: its folder, or its plan.json.
    before: PathBuf,
    /// The later plan.
    after: PathBuf,
    /// Report as JSON.
    #[arg(long)]
    pub json: bool,
}

/// One change, with its reasons.
#[derive(Debug, PartialEq)]
struct Change {
    what: String,
    why: Vec<String>,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    let changes = changes(&before, &after);
    let mut out = std::io::stdout().lock();
    if args.json {
        let rows = changes
            .iter()
            .map(|one| json!({"what": one.what, "why": one.why}));
        let report = json!({"version": 1, "changes": rows.collect::<Vec<Value>>()});
        writeln!(out, "{report:#}")?;
        return Ok(Exit::Good);
    }
    if changes.is_empty() {
        writeln!(out, "the plans say the same")?;
    }
    for one in changes {
        writeln!(out, "{}", one.what)?;
        for why in one.why {
            writeln!(out, "  because {why}")?;
        }
    }
    Ok(Exit::Good)
}

fn read(path: &Path) -> anyhow::Result<Value> {
    let path = if path.is_dir() {
        path.join("plan.json")
    } else {
        path.to_path_buf()
    };
    let shown = path.display().to_string();
    let mut text = String::new();
    let file = File::open(&path).with_context(|| format!("cannot open {shown}"))?;
    file.take(PLAN_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read {shown}"))?;
    if text.len() as u64 > PLAN_BYTES_MAX {
        return Err(anyhow!("{shown}: more than {PLAN_BYTES_MAX} bytes"));
    }
    let plan: Value = serde_json::from_str(&text).with_context(|| shown.clone())?;
    if plan["kind"] != "plan" || plan["version"] != 1 {
        return Err(anyhow!("{shown}: expected version 1 of a plan.json"));
    }
    Ok(plan)
}

fn by_name<'a>(plan: &'a Value, list: &str, key: &str) -> BTreeMap<&'a str, &'a Value> {
    let rows = plan[list].as_array().map_or(&[][..], Vec::as_slice);
    let named = |row: &'a Value| Some((row[key].as_str()?, row));
    rows.iter().filter_map(named).collect()
}

type Rows<'a> = BTreeMap<&'a str, &'a Value>;

fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    for key in ["safety_factor", "budget", "cost", "loss_per_hour"] {
        if let Some(what) = moved(key, &before[key], &after[key]) {
            found.push(Change {
                what,
                why: Vec::new(),
            });
        }
    }
    let services = (
        by_name(before, "services", "service"),
        by_name(after, "services", "service"),
    );
    pairs(&services, "service", &mut found, |name, old, new| {
        let keys = ["decision", "planned", "needed"];
        let moves: Vec<String> = keys
            .iter()
            .filter_map(|key| moved(key, &old[*key], &new[*key]))
            .collect();
        (!moves.is_empty()).then(|| Change {
            what: format!("{name}: {}", moves.join(", ")),
            why: reasons(old, new, before, after),
        })
    });
    let routes = (
        by_name(before, "routes", "route"),
        by_name(after, "routes", "route"),
    );
    pairs(
        &routes,
        "the limit of route",
        &mut found,
        |name, old, new| {
            let what = moved("limit_per_s", &old["limit_per_s"], &new["limit_per_s"])?;
            let mut why: Vec<String> = ["bound_by", "build", "run", "upper_per_s"]
                .iter()
                .filter_map(|key| moved(key, &old[*key], &new[*key]))
                .collect();
            let bound = new["bound_by"].as_str().unwrap_or_default();
            if let (Some(old), Some(new)) = (services.0.get(bound), services.1.get(bound)) {
                let of = |why: String| format!("{why} of {bound}");
                why.extend(reasons(old, new, before, after).into_iter().map(of));
            }
            Some(Change {
                what: format!("route {name}: {what}"),
                why,
            })
        },
    );
    let on = |plan: &Value| -> BTreeSet<String> {
        let names = plan["switches"].as_array().into_iter().flatten();
        let named = |name: &Value| Some(name.as_str()?.to_owned());
        names.filter_map(named).collect()
    };
    for name in on(before).symmetric_difference(&on(after)) {
        let was = on(before).contains(name);
        let word = if was { "no longer" } else { "now" };
        found.push(Change {
            what: format!("switch {name} is {word} planned"),
            why: Vec::new(),
        });
    }
    found
}

/// What came, what went, and what `compare` finds in those that are in both.
fn pairs(
    rows: &(Rows<'_>, Rows<'_>),
    kind: &str,
    found: &mut Vec<Change>,
    compare: impl Fn(&str, &Value, &Value) -> Option<Change>,
) {
    let names: BTreeSet<&str> = rows.0.keys().chain(rows.1.keys()).copied().collect();
    for name in names {
        match (rows.0.get(name), rows.1.get(name)) {
            (Some(old), Some(new)) => found.extend(compare(name, old, new)),
            (old, _) => found.push(came_or_went(kind, name, old.is_some())),
        }
    }
}

fn came_or_went(kind: &str, name: &str, was: bool) -> Change {
    let word = if was { "is gone" } else { "is new" };
    Change {
        what: format!("{kind} {name} {word}"),
        why: Vec::new(),
    }
}

/// Input of a service's decision that is another one.
fn reasons(old: &Value, new: &Value, before: &Value, after: &Value) -> Vec<String> {
    let keys = ["upper_per_s", "usable_per_s", "instances"];
    let mut why: Vec<String> = keys
        .iter()
        .filter_map(|k| moved(k, &old[*k], &new[*k]))
        .collect();
    let whole = ["budget", "safety_factor"];
    why.extend(
        whole
            .iter()
            .filter_map(|key| moved(key, &before[*key], &after[*key])),
    );
    why
}

/// `None` where nothing moved that is worth a word.
fn moved(key: &str, old: &Value, new: &Value) -> Option<String> {
    if let (Some(a), Some(b)) = (old.as_f64(), new.as_f64()) {
        if (a - b).abs() <= SAME * a.abs().max(b.abs()) {
            return None;
        }
        let digits = |v: f64| format!("{:.1}", v).trim_end_matches(".0").to_owned();
        let share = if a == 0.0 {
            String::new()
        } else {
            format!(" ({:+.0} %)", (b / a - 1.0) * 100.0)
        };
        return Some(format!("{key} {} → {}{share}", digits(a), digits(b)));
    }
    let plain = |value: &Value| match value {
        Value::Null => "unknown".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    (old != new).then(|| format!("{key} {} → {}", plain(old), plain(new)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_with_what_moved() {
        let plan = |upper: f64, planned: u64, limit: f64| {
            json!({
                "kind": "plan", "version": 1, "cost": 0.0, "switches": [],
                "services": [{"service": "stock", "decision": "fine", "planned": planned,
                    "upper_per_s": upper, "usable_per_s": 100.0, "instances": 2}],
                "routes": [{"route": "order", "limit_per_s": limit, "bound_by": "stock"}],
            })
        };
        let (before, after) = (plan(100.0, 2, 200.0), plan(150.0, 3, 300.0));
        let found = changes(&before, &after);
        let told: Vec<&str> = found.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(
            told,
            [
                "stock: planned 2 → 3 (+50 %)",
                "route order: limit_per_s 200 → 300 (+50 %)"
            ]
        );
        assert_eq!(found[0].why, ["upper_per_s 100 → 150 (+50 %)"]);
        assert_eq!(changes(&before, &before), []);
    }
}
