//! `seawall plan make`: campaign, services and forecast in; decisions, limits, switches, proxies,
//! scaling, checklist and the page for people out. The same input gives the same files.

use super::{behind, expected};
use ::plan::capacity::{Capacity, Decisions, Demand, Limits, Service, Situation, decide, limits};
use ::plan::forecast::Forecast;
use ::plan::limits_out::{Door, limits_yaml};
use ::plan::map::{Difference, flows};
use ::plan::page::{self, Page};
use ::plan::proxies::{self, Envoy, Way};
use ::plan::readiness::{Line, State, readiness};
use ::plan::scaling::{ScalingOut, scaling_yaml};
use ::plan::switches_out::{SwitchOut, TriggerOut, switches_yaml};
use anyhow::{Context, anyhow};
use host::Exit;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wire::campaign::Campaign;
use wire::gateway;
use wire::services::{Sacrifice, Services};

/// Bytes of a page that a switch shows: it is copied beside the switches.
const PAGE_BYTES_MAX: u64 = 4 << 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The campaign.
    campaign: PathBuf,
    /// What stands behind the door.
    #[arg(long, value_name = "FILE")]
    services: PathBuf,
    /// What will come, from `seawall plan forecast`.
    #[arg(long, value_name = "FILE")]
    forecast: PathBuf,
    /// Traces, to compare with the calls that services.yaml declares.
    #[arg(long, value_name = "FILE")]
    traces: Vec<PathBuf>,
    /// The folder for the plan; files of an earlier plan are replaced.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// From when on there is time to act, in RFC 3339; now where this is absent.
    #[arg(long, value_name = "INSTANT")]
    at: Option<jiff::Timestamp>,
    /// Report as JSON.
    #[arg(long)]
    pub json: bool,
}

/// All that the files are made from.
struct Plan {
    name: String,
    services: Services,
    forecast: Forecast,
    situation: Situation,
    decided: Decisions,
    limits: Limits,
    readiness: Vec<Line>,
    differences: Vec<Difference>,
    remarks: Vec<String>,
    end_minute: i64,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let plan = plan(args)?;
    let files = files(args, &plan)?;
    for (name, text) in &files {
        let path = args.out.join(name);
        let folder = path.parent().unwrap_or(&args.out);
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let now = args.at.unwrap_or_else(jiff::Timestamp::now);
    let refused = door_reads(&args.out, now);
    let (state, sentence) = page::verdict(&page_of(&plan, &flows_of(&plan)?));
    let blocked = state == State::Blocked || !refused.is_empty();
    if args.json {
        let names: Vec<&String> = files.keys().collect();
        println!(
            "{:#}",
            json!({
                "verdict": if blocked { "blocked" } else { "possible" },
                "sentence": sentence, "out": args.out, "files": names, "refused": refused,
                "plan": document(&plan),
            })
        );
    } else {
        for one in &plan.decided.services {
            println!("{}", one.because.join(" "));
        }
        println!(
            "{sentence} Look at {}",
            args.out.join("plan.html").display()
        );
    }
    for line in &refused {
        eprintln!("seawall: the door would refuse it: {line}");
    }
    Ok(if blocked { Exit::Bad } else { Exit::Good })
}

fn plan(args: &Args) -> anyhow::Result<Plan> {
    let campaign = Campaign::load(&args.campaign).map_err(|found| anyhow!("{found}"))?;
    let services = behind::services(&args.services)?;
    let forecast = expected::read(&args.forecast)?;
    let seen = behind::observed(&args.traces)?;
    let (map, differences) = behind::map(&services)?.with_seen(&seen.map);
    let mut remarks = Vec::new();
    let demand = demand(&services, &forecast, &mut remarks);
    let t0 = i64::try_from(campaign.t0.0).unwrap_or(i64::MAX) / 60_000;
    let ready_minute = t0.min(forecast.total.peak_minute.at_minute);
    let length = i64::try_from(forecast.minutes()).unwrap_or(i64::MAX);
    let end_minute = forecast
        .from_minute
        .saturating_add(length)
        .max(ready_minute + 1);
    let now = args.at.unwrap_or_else(jiff::Timestamp::now).as_second();
    let mut behind: Vec<_> = services
        .services
        .iter()
        .map(behind::service)
        .collect::<Result<_, _>>()?;
    behind.sort_by(|a, b| a.name.cmp(&b.name));
    quotas(&campaign, &mut behind, &mut remarks);
    let situation = Situation {
        map,
        services: behind,
        demand,
        safety_factor: services.safety_factor,
        budget: budget(&campaign, &services, &mut remarks),
        currency: services.currency.clone(),
        now_minute: now.div_euclid(60),
        ready_minute,
        hours: (end_minute - ready_minute) as f64 / 60.0,
    };
    let circle = |circles: Vec<Vec<String>>| {
        let told: Vec<String> = circles.iter().map(|circle| circle.join(" → ")).collect();
        anyhow!("services call each other in a circle: {}", told.join("; "))
    };
    let decided = decide(&situation).map_err(circle)?;
    let limits = limits(&situation, &decided).map_err(circle)?;
    let end_ms = u64::try_from(end_minute * 60_000).unwrap_or(0);
    let valid_ms = u64::try_from(services.valid_for.as_millis()).unwrap_or(u64::MAX);
    let readiness = readiness(&situation, &decided, end_ms, valid_ms);
    Ok(Plan {
        name: campaign.title,
        services,
        forecast,
        situation,
        decided,
        limits,
        readiness,
        differences,
        remarks,
        end_minute,
    })
}

/// The busiest second of each route, by the names that the forecast has for it.
fn demand(services: &Services, forecast: &Forecast, remarks: &mut Vec<String>) -> Vec<Demand> {
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for entry in &services.entries {
        let own = names.entry(&entry.route).or_default();
        own.extend(entry.traffic.iter().map(String::as_str));
    }
    for (route, own) in &mut names {
        if own.is_empty() {
            own.push(route);
        }
        own.sort_unstable();
        own.dedup();
    }
    let taken: Vec<&str> = names.values().flatten().copied().collect();
    for route in &forecast.routes {
        if !taken.contains(&route.route.as_str()) {
            remarks.push(format!(
                "the forecast has {:?}, {:.1}/s at its peak, and no entry of services.yaml takes \
                 it",
                route.route, route.peak_second.per_second.expected
            ));
        }
    }
    let one = |(route, own): (&str, Vec<&str>)| {
        let mut demand = Demand {
            route: route.to_owned(),
            expected: 0.0,
            upper: 0.0,
        };
        for name in own {
            let Some(found) = forecast.route(name) else {
                remarks.push(format!(
                    "the forecast knows nothing of {name:?} (route {route})"
                ));
                continue;
            };
            demand.expected += found.peak_second.per_second.expected;
            demand.upper += found.peak_second.per_second.upper;
        }
        demand
    };
    names.into_iter().map(one).collect()
}

/// Campaign and services may both know a quota; where they differ the lower counts.
fn quotas(campaign: &Campaign, services: &mut [Service], remarks: &mut Vec<String>) {
    for party in &campaign.brief.third_parties {
        let Some(agreed) = party.quota.map(|quota| quota.per_second()) else {
            continue;
        };
        let name = &party.name;
        let Some(service) = services.iter_mut().find(|one| one.name == *name) else {
            remarks.push(format!(
                "the campaign has {name}, and services.yaml has not"
            ));
            continue;
        };
        if let Capacity::Quota(quota) = &mut service.capacity
            && (*quota - agreed).abs() > 1e-9
        {
            remarks.push(format!(
                "{name} may be asked {quota:.1}/s by services.yaml and {agreed:.1}/s by the \
                 campaign: the lower counts"
            ));
            *quota = quota.min(agreed);
        }
    }
}

fn budget(campaign: &Campaign, services: &Services, remarks: &mut Vec<String>) -> Option<f64> {
    let budget = campaign.brief.budget.as_ref()?;
    if budget.currency != services.currency {
        remarks.push(format!(
            "the budget is in {}, costs are in {}: it was not held against them",
            budget.currency, services.currency
        ));
        return None;
    }
    Some(budget.amount as f64 / 100.0)
}

fn flows_of(plan: &Plan) -> anyhow::Result<::plan::map::Flows> {
    let demand = &plan.situation.demand;
    let rates: Vec<(String, f64)> = demand.iter().map(|d| (d.route.clone(), d.upper)).collect();
    flows(&plan.situation.map, &rates).map_err(|_| anyhow!("services call each other in a circle"))
}

fn page_of<'a>(plan: &'a Plan, flows: &'a ::plan::map::Flows) -> Page<'a> {
    Page {
        name: &plan.name,
        situation: &plan.situation,
        decided: &plan.decided,
        limits: &plan.limits,
        forecast: &plan.forecast,
        flows,
        readiness: &plan.readiness,
        differences: &plan.differences,
        remarks: &plan.remarks,
    }
}

/// Every file of the plan by its name in the folder.
fn files(args: &Args, plan: &Plan) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut put = |name: &str, text: String| files.insert(name.to_owned(), text.into_bytes());
    let door = Door {
        instances: plan.services.door.instances,
        skew: plan.services.door.skew,
        safety_factor: plan.services.safety_factor,
        valid_ms: u64::try_from(plan.services.valid_for.as_millis()).unwrap_or(u64::MAX),
    };
    let text = limits_yaml(&plan.limits, &door).map_err(|why| anyhow!("{}", why.sentence()))?;
    put("limits.yaml", text);
    let mut pages = Vec::new();
    let switches: Vec<SwitchOut> = plan
        .services
        .services
        .iter()
        .flat_map(|service| {
            service
                .degrade
                .iter()
                .map(|one| (one, service.owner.as_str()))
        })
        .map(|(one, owner)| switch(one, owner, &mut pages))
        .collect();
    let window = (plan.situation.ready_minute, plan.end_minute);
    let currency = &plan.situation.currency;
    put(
        "switches.yaml",
        switches_yaml(&switches, &plan.decided.switches, window, currency),
    );
    let guarded = proxies::guarded(&plan.limits, &ways(&plan.services), door.instances);
    let (http, server) = proxies::nginx(&guarded);
    put("proxies/nginx-http.conf", http);
    put("proxies/nginx-server.conf", server);
    put("proxies/nginx.conf", proxies::nginx_conf());
    put(
        "proxies/envoy-local.yaml",
        proxies::envoy(&guarded, Envoy::Local),
    );
    put(
        "proxies/envoy-global.yaml",
        proxies::envoy(&guarded, Envoy::Global),
    );
    put(
        "proxies/sentinel.json",
        proxies::sentinel(&guarded, &plan.limits),
    );
    for one in scaling(plan) {
        put(&format!("scaling/{}.yaml", one.service), scaling_yaml(&one));
    }
    let flows = flows_of(plan)?;
    let page = page_of(plan, &flows);
    put("pictures/map.svg", page::map_svg(&page));
    put("pictures/forecast.svg", page::forecast_svg(&page));
    put("plan.html", page::html(&page));
    put("plan.md", page::markdown(&page));
    put(
        "readiness.md",
        page::readiness_markdown(&plan.name, &plan.readiness),
    );
    put("plan.json", format!("{:#}\n", document(plan)));
    for (name, from) in pages {
        files.insert(name, page_bytes(&from)?);
    }
    let inside = |name: &&String| args.out.join(name) == args.forecast;
    if let Some(name) = files.keys().find(inside) {
        return Err(anyhow!("{name} of the plan would replace its own input"));
    }
    Ok(files)
}

fn page_bytes(from: &Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Read;
    let file = std::fs::File::open(from).with_context(|| from.display().to_string())?;
    let mut bytes = Vec::new();
    file.take(PAGE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .with_context(|| from.display().to_string())?;
    if bytes.len() as u64 > PAGE_BYTES_MAX {
        return Err(anyhow!(
            "{}: more than {PAGE_BYTES_MAX} bytes",
            from.display()
        ));
    }
    Ok(bytes)
}

/// The switch, and the page that has to be copied for it.
fn switch(one: &Sacrifice, owner: &str, pages: &mut Vec<(String, PathBuf)>) -> SwitchOut {
    let file = one.file.as_ref().map(|from| {
        let ending = from.extension().unwrap_or_default().to_string_lossy();
        let name = format!("pages/{}.{ending}", one.name);
        pages.push((name.clone(), from.clone()));
        name
    });
    let ms = |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    SwitchOut {
        name: one.name.clone(),
        action: one.action.as_str().to_owned(),
        routes: one.routes.clone(),
        feature: one.feature.clone(),
        file,
        to: one.to.clone(),
        owner: one.owner.clone().unwrap_or_else(|| owner.to_owned()),
        reason: one.reason.clone(),
        trigger: one.trigger.as_ref().map(|trigger| TriggerOut {
            metric: trigger.metric.as_str().to_owned(),
            above: trigger.above,
            below: trigger.below,
            for_ms: ms(trigger.r#for),
        }),
        loss_per_hour: one.loss_per_hour,
        max_duration_ms: ms(one.max_duration),
    }
}

fn ways(services: &Services) -> BTreeMap<String, Vec<Way>> {
    let mut ways: BTreeMap<String, Vec<Way>> = BTreeMap::new();
    for entry in &services.entries {
        let own = ways.entry(entry.route.clone()).or_default();
        own.extend(entry.traffic.iter().filter_map(|text| Way::parse(text)));
        own.sort();
        own.dedup();
    }
    ways
}

fn scaling(plan: &Plan) -> Vec<ScalingOut> {
    let one = |service: &wire::services::Service| {
        let workload = service.workload.as_ref()?;
        let scaling = service.scaling.as_ref()?;
        let decision = plan.decided.of(&service.name)?;
        let lead = i64::try_from(scaling.lead_time.as_secs().div_ceil(60)).unwrap_or(0);
        Some(ScalingOut {
            service: service.name.clone(),
            kind: workload.kind.clone(),
            namespace: workload.namespace.clone(),
            workload: workload.name.clone(),
            now: service.instances,
            planned: decision.planned,
            max: scaling.max,
            begin_minute: plan.situation.ready_minute - lead,
            end_minute: plan.end_minute,
        })
    };
    plan.services.services.iter().filter_map(one).collect()
}

/// What the plan says, for programs and for `plan diff`.
fn document(plan: &Plan) -> Value {
    use ::plan::capacity::Choice;
    let services = plan.decided.services.iter().map(|one| {
        let (choice, more) = match &one.choice {
            Choice::Fine => ("fine", json!({})),
            Choice::ScaleOut(growth) => (
                "scale_out",
                json!({"cost": growth.cost, "begin_minute": growth.begin_minute}),
            ),
            Choice::Degrade { switches, .. } => ("degrade", json!({"switches": switches})),
            Choice::Optimise { times } => ("optimise", json!({"times": times})),
            Choice::Measure => ("measure", json!({})),
        };
        json!({
            "service": one.service, "expected_per_s": one.expected, "upper_per_s": one.upper,
            "switched_per_s": one.switched, "usable_per_s": one.usable,
            "instances": one.instances, "planned": one.planned,
            "needed": one.need.map(|need| need.safe), "decision": choice, "details": more,
            "because": one.because,
        })
    });
    let routes = plan.limits.routes.iter().map(|one| {
        json!({
            "route": one.route, "expected_per_s": one.expected, "upper_per_s": one.upper,
            "limit_per_s": one.cluster, "bound_by": one.bound_by,
            "build": one.origin.as_ref().map(|origin| &origin.build),
            "run": one.origin.as_ref().map(|origin| &origin.run),
        })
    });
    json!({
        "version": 1,
        "kind": "plan",
        "name": plan.name,
        "safety_factor": plan.situation.safety_factor,
        "budget": plan.situation.budget,
        "currency": plan.situation.currency,
        "cost": plan.decided.cost,
        "loss_per_hour": plan.decided.loss_per_hour,
        "switches": plan.decided.switches,
        "services": services.collect::<Vec<Value>>(),
        "routes": routes.collect::<Vec<Value>>(),
        "unbounded": plan.limits.unbounded,
        "remarks": plan.remarks,
        "differences": plan.differences.iter().map(Difference::sentence).collect::<Vec<_>>(),
        "readiness": plan.readiness.iter().map(|line| json!({
            "what": line.what, "owner": line.owner, "evidence": line.evidence,
            "state": line.state.word(),
        })).collect::<Vec<Value>>(),
    })
}

/// What the door's own reader says of the files that are meant for it.
fn door_reads(out: &Path, now: jiff::Timestamp) -> Vec<String> {
    let context = gateway::Context {
        now_ms: u64::try_from(now.as_millisecond()).unwrap_or(0),
        build: None,
        services: None,
    };
    let limits = gateway::load_limits(&out.join("limits.yaml"), &context).err();
    let switches = gateway::load_switches(&out.join("switches.yaml")).err();
    let all = limits.into_iter().chain(switches);
    all.map(|found| found.to_string()).collect()
}
