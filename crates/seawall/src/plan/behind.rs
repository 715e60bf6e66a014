//! What stands behind the door, for the planner: services.yaml, traces and load reports as the
//! plain values that the rules in `plan` take.

use ::plan::capacity::usl::{self, Step};
use ::plan::capacity::{Capacity, Class, Origin, Sacrifice, Scaling, Service};
use ::plan::map::{Edge, Entry, Map, Span, critical_path, observe};
use anyhow::{Context, anyhow};
use load::report::{self, Body};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use wire::services::{self as file, Services};

/// What traces told.
#[derive(Debug)]
pub struct Observed {
    pub map: Map,
    pub critical: Vec<::plan::map::Step>,
    pub traces: usize,
}

pub fn services(path: &Path) -> anyhow::Result<Services> {
    file::load(path).map_err(|found| anyhow!("{found}"))
}

pub fn observed(files: &[PathBuf]) -> anyhow::Result<Observed> {
    let mut traces = Vec::new();
    for path in files {
        let open = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let read = traffic::traces::read(BufReader::new(open))
            .with_context(|| path.display().to_string())?;
        traces.extend(read.into_iter().map(|trace| {
            let spans = trace.spans.into_iter().map(|span| Span {
                id: span.id,
                parents: span.parents,
                service: span.service,
                start_us: span.start_us,
                micros: span.micros,
                failed: span.failed,
            });
            spans.collect::<Vec<Span>>()
        }));
    }
    let map = observe(&traces).map_err(|found| anyhow!("{} services", found.services))?;
    Ok(Observed {
        critical: critical_path(&traces),
        traces: traces.len(),
        map,
    })
}

pub fn map(services: &Services) -> anyhow::Result<Map> {
    let names = services.services.iter().map(|one| one.name.clone());
    let entries = services.entries.iter().map(|entry| Entry {
        route: entry.route.clone(),
        to: entry.to.clone(),
        per_request: entry.per_request,
        cache_hit: entry.cache_hit,
        core: entry.core,
    });
    let edges = services.services.iter().flat_map(|service| {
        service.calls.iter().map(|call| Edge {
            from: service.name.clone(),
            to: call.to.clone(),
            per_request: call.per_request,
            cache_hit: call.cache_hit,
            weak: call.weak,
            routes: call.routes.clone(),
            seen: 0,
        })
    });
    Map::new(names.collect(), entries.collect(), edges.collect())
        .map_err(|found| anyhow!("{} services", found.services))
}

/// A service with its capacity read from its reports.
pub fn service(one: &file::Service) -> anyhow::Result<Service> {
    Ok(Service {
        name: one.name.clone(),
        class: match one.class {
            file::Class::Core => Class::Core,
            file::Class::NonCore => Class::NonCore,
            // The check refuses what nobody has decided.
            file::Class::Degradable | file::Class::Todo => Class::Degradable,
        },
        owner: one.owner.clone(),
        risk: one
            .risk
            .as_ref()
            .map_or(1, |risk| risk.impact * risk.likelihood),
        single_points: one
            .risk
            .as_ref()
            .map_or_else(Vec::new, |risk| risk.single_points.clone()),
        instances: one.instances,
        zones: one.zones,
        skew: one.skew,
        capacity: capacity(one)?,
        scaling: one.scaling.as_ref().map(|scaling| Scaling {
            max: scaling.max,
            lead_minutes: i64::try_from(scaling.lead_time.as_secs().div_ceil(60))
                .unwrap_or(i64::MAX),
            cost_per_hour: scaling.cost_per_hour,
        }),
        sacrifices: one
            .degrade
            .iter()
            .map(|sacrifice| Sacrifice {
                name: sacrifice.name.clone(),
                routes: sacrifice.routes.clone(),
                skips: sacrifice.skips.clone(),
                frees: sacrifice.frees,
                loss_per_hour: sacrifice.loss_per_hour,
            })
            .collect(),
    })
}

/// Reports of one number of instances make one curve; of several curves the least counts.
fn capacity(one: &file::Service) -> anyhow::Result<Capacity> {
    if let Some(third_party) = &one.third_party {
        return Ok(Capacity::Quota(third_party.quota.per_second()));
    }
    let mut groups: BTreeMap<u64, Vec<Measured>> = BTreeMap::new();
    for load in &one.reports {
        let measured = measured(&load.file, one)?;
        groups.entry(load.instances).or_default().push(measured);
    }
    let mut least: Option<(f64, Capacity)> = None;
    for (instances, group) in groups {
        let steps: Vec<Step> = group.iter().flat_map(|one| one.steps.clone()).collect();
        let shown = match usl::fit(&steps) {
            Ok(shown) => shown,
            Err(why) => return Ok(Capacity::Unknown(why.sentence())),
        };
        let held = group.iter().filter_map(|one| one.held);
        let most = held.fold(shown.knee.low, f64::min);
        let per_instance = most / instances as f64;
        // The oldest run decides until when it counts.
        let Some(origin) = group
            .iter()
            .map(|one| &one.origin)
            .min_by_key(|o| o.measured_ms)
        else {
            continue;
        };
        if least
            .as_ref()
            .is_none_or(|(least, _)| per_instance < *least)
        {
            let found = Capacity::Measured {
                per_instance,
                shown,
                instances,
                origin: origin.clone(),
            };
            least = Some((per_instance, found));
        }
    }
    let why = one.unmeasured.clone();
    Ok(least.map_or_else(
        || Capacity::Unknown(why.unwrap_or_else(|| "there is no report".to_owned())),
        |(_, capacity)| capacity,
    ))
}

/// What one report says.
struct Measured {
    steps: Vec<Step>,
    /// What a search confirmed.
    held: Option<f64>,
    origin: Origin,
}

fn measured(path: &Path, service: &file::Service) -> anyhow::Result<Measured> {
    let read = report::read(path).map_err(|error| anyhow!("{error}"))?;
    let body = &read.body;
    let started = read.started.parse::<jiff::Timestamp>().ok();
    let measured_ms = started
        .and_then(|at| u64::try_from(at.as_millisecond()).ok())
        .unwrap_or(0);
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let steps = match &body.search {
        Some(search) => search
            .steps
            .iter()
            .filter(|step| step.came_to != "invalid")
            .filter_map(|step| {
                let good = step.ends.get("good").copied().unwrap_or(0) as f64;
                Some(Step {
                    offered_per_s: step.per_s,
                    answered_per_s: good / step.seconds.max(1) as f64,
                    mean_ms: step.latency_ms.as_ref()?.mean?,
                })
            })
            .collect(),
        None => whole(body).into_iter().collect(),
    };
    Ok(Measured {
        steps,
        held: body.search.as_ref().and_then(|search| search.held_per_s),
        origin: Origin {
            run: file.into_owned(),
            build: service
                .build
                .clone()
                .unwrap_or_else(|| read.build.version.clone()),
            measured_ms,
        },
    })
}

/// A run at one rate is one step.
fn whole(body: &Body) -> Option<Step> {
    let seconds = body.load.seconds.filter(|seconds| *seconds > 0.0)?;
    let sent = body.total.sent?;
    let good = match body.total.ends.get("good") {
        Some(good) => *good,
        // Other tools tell errors only.
        None => sent.saturating_sub(body.total.errors.unwrap_or(0)),
    };
    Some(Step {
        offered_per_s: body
            .load
            .planned_per_s
            .unwrap_or(sent as f64 / seconds)
            .max(sent as f64 / seconds),
        answered_per_s: good as f64 / seconds,
        mean_ms: body.latency()?.mean?,
    })
}
