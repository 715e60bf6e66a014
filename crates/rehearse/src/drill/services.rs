//! A drill on services of one's own: started or found running, put behind fault proxies, loaded by
//! a scenario, broken, and judged.

use super::expect::judge;
use super::file::File;
use super::process::{Group, Process, Recipe};
use super::proxy::{Proxies, Wanted};
use super::series::Series;
use super::show::{self, DrillFigures};
use super::{Drill, Drilled};
use crate::progress::Progress;
use crate::report::{About, Expectation};
use crate::run::Failed;
use load::arrivals::{Plan, Segment, Spacing};
use load::compile::Compiled;
use load::measure::{End, Measured, Second};
use load::script::Script;
use load::stop::Watch;
use load::{Run, Target};
use picture::{Chart, Kind, Series as Line, escape, marked};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::rehearsal::{Rehearsal, Service, Subject, filled};
use wire::report::Report;

/// The body of a drill's report: `schemas/load-report.json` inside of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Body {
    pub(crate) title: String,
    pub(crate) expectations: Vec<Expectation>,
    pub(crate) drill: DrillFigures,
    pub(crate) load: load::report::Body,
}

/// What a drill needs beside its file.
pub(crate) struct Place<'a> {
    /// The file, by which relative names count.
    pub(crate) path: &'a Path,
    /// Where logs go.
    pub(crate) folder: &'a Path,
    /// Our own binary.
    pub(crate) seawall: &'a Path,
    pub(crate) quiet: bool,
}

/// Names that placeholders stand for.
struct Names {
    ports: BTreeMap<String, u16>,
    upstreams: BTreeMap<String, SocketAddr>,
}

impl Names {
    fn fill(&self, text: &str) -> Result<String, Failed> {
        let known = |kind: &str, name: &str| match kind {
            "port" => self.ports.get(name).map(u16::to_string),
            "upstream" => self.upstreams.get(name).map(SocketAddr::to_string),
            _ => None,
        };
        filled(text, known).map_err(Failed::Usage)
    }
}

pub(crate) fn run(file: File, place: &Place<'_>) -> Result<Body, Failed> {
    let Some(scenario) = &file.scenario else {
        return Err(Failed::Usage("the rehearsal names no scenario".to_owned()));
    };
    let end_us = scenario.plan.us();
    let (planned, phases) = file.timed(0, end_us).map_err(Failed::Usage)?;
    let rehearsal = &file.rehearsal;
    let (names, proxies) = prepare(rehearsal, place)?;
    let target = target(rehearsal, scenario, &names)?;
    let mut group = Group::default();
    if let Subject::Services(services) = &rehearsal.subject {
        for service in services {
            let recipe = recipe(service, &names, place)?;
            group.0.push(Process::start(recipe).map_err(Failed::Drill)?);
        }
    }
    let mut drill = Drill::new(planned, proxies, place.seawall.to_path_buf());
    once(scenario, scenario.setup.as_ref(), &target, "set-up")?;
    let run = Run::start(
        Arc::new(scenario.script.clone()),
        scenario.plan.clone(),
        Arc::clone(&target),
        &scenario.options,
    );
    let watched = watch(&run, scenario, &mut drill, &mut group, place.quiet)?;
    let started = run.started();
    let measured = run
        .join()
        .map_err(|error| Failed::Drill(error.to_string()))?;
    drill.finish(&|| since(started), &mut group);
    once(scenario, scenario.teardown.as_ref(), &target, "tear-down")?;
    let drilled = Drilled {
        planned: drill.planned.clone(),
        happened: drill.happened.clone(),
        phases,
        expecting: file.expecting,
        series: Series::of(measured.seconds.clone()),
        end_us,
    };
    Ok(body(
        rehearsal, scenario, &target, &measured, &drilled, watched,
    ))
}

fn since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Finds ports, and starts the proxies, whose addresses the services are told.
fn prepare(rehearsal: &Rehearsal, place: &Place<'_>) -> Result<(Names, Option<Proxies>), Failed> {
    let mut names = Names {
        ports: BTreeMap::new(),
        upstreams: BTreeMap::new(),
    };
    if let Subject::Services(services) = &rehearsal.subject {
        // Held together, so that no port is found twice.
        let mut held = Vec::new();
        for service in services {
            let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(Failed::Generator)?;
            let port = listener.local_addr().map_err(Failed::Generator)?.port();
            names.ports.insert(service.name.clone(), port);
            held.push(listener);
        }
    }
    if rehearsal.upstreams.is_empty() {
        return Ok((names, None));
    }
    let mut wanted = Vec::new();
    for upstream in &rehearsal.upstreams {
        let address = names.fill(&upstream.address)?;
        let wrong = |_| Failed::Usage(format!("{}: {address} is no address", upstream.name));
        wanted.push(Wanted {
            name: upstream.name.clone(),
            protocol: upstream.protocol,
            upstream: address.parse().map_err(wrong)?,
            listen: upstream.listen.clone(),
        });
    }
    let proxies = Proxies::start(place.seawall, &wanted).map_err(Failed::Drill)?;
    for proxy in &proxies.all {
        names.upstreams.insert(proxy.name.clone(), proxy.listen);
    }
    Ok((names, Some(proxies)))
}

fn target(
    rehearsal: &Rehearsal,
    scenario: &Compiled,
    names: &Names,
) -> Result<Arc<Target>, Failed> {
    let wanted = rehearsal.load.as_ref().and_then(|load| load.url.as_ref());
    let url = names.fill(wanted.unwrap_or(&scenario.target.url))?;
    let usage = |error: &dyn std::fmt::Display| Failed::Usage(error.to_string());
    let roots = match url.starts_with("https://") {
        true => Some(load::tls(scenario.target.ca_file.as_deref()).map_err(|e| usage(&e))?),
        false => None,
    };
    let target = Target::new(&url, roots).map_err(|error| usage(&error))?;
    if !load::consent::is_own(target.address().ip()) {
        let what = format!("{url} is not on this machine; a drill stays on loopback");
        return Err(Failed::Usage(what));
    }
    Ok(Arc::new(target))
}

fn recipe(service: &Service, names: &Names, place: &Place<'_>) -> Result<Recipe, Failed> {
    let words = service.command.iter().map(|word| names.fill(word));
    let env = service.env.iter();
    let env = env.map(|(name, value)| Ok((name.to_owned(), names.fill(value)?)));
    let own = place
        .path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = service.folder.as_deref().or(own);
    Ok(Recipe {
        name: service.name.clone(),
        command: words.collect::<Result<_, Failed>>()?,
        env: env.collect::<Result<_, Failed>>()?,
        folder: folder.map_or_else(|| PathBuf::from("."), Path::to_path_buf),
        ready: names.fill(&service.ready)?,
        log: place.folder.join(format!("{}.log", service.name)),
    })
}

/// One buyer through a script of its own; anything but good answers ends it all.
fn once(
    scenario: &Compiled,
    script: Option<&Script>,
    target: &Arc<Target>,
    what: &str,
) -> Result<(), Failed> {
    let Some(script) = script else {
        return Ok(());
    };
    let plan = Plan {
        segments: vec![Segment::constant(10.0, 100_000)],
        spacing: Spacing::Even,
    };
    let options = load::Options {
        workers: 1,
        ..scenario.options.clone()
    };
    let run = Run::start(Arc::new(script.clone()), plan, Arc::clone(target), &options);
    let measured = run
        .join()
        .map_err(|error| Failed::Drill(error.to_string()))?;
    let total = measured.total();
    match total.errors() + total.ended(End::Refused) > 0 || measured.journeys == 0 {
        true => Err(Failed::Drill(format!("the {what} did not end well"))),
        false => Ok(()),
    }
}

/// What was seen while the run went on.
#[derive(Debug, Default)]
struct Watched {
    /// Why the run was ended before its time.
    stopped: Option<String>,
    /// Services that ended by themselves.
    ended: Vec<String>,
}

fn watch(
    run: &Run,
    scenario: &Compiled,
    drill: &mut Drill,
    group: &mut Group,
    quiet: bool,
) -> Result<Watched, Failed> {
    let rules = Watch::new(&scenario.stop);
    let mut rules = rules.map_err(|error| Failed::Usage(error.to_string()))?;
    let (control, start, mut progress) = (run.control(), run.started(), Progress::new(quiet));
    let (mut watched, mut seconds) = (Watched::default(), Vec::<Second>::new());
    while !run.is_over() {
        for said in drill.tick(&|| since(start), group) {
            progress.say(&format!("{:>4} s  {said}", since(start) / 1_000_000));
        }
        watched.ended.extend(group.ended());
        for second in control.seconds(seconds.len()) {
            let (at, sent, errors) = (seconds.len(), second.sent, second.errors());
            let good = second.ended(End::Good);
            progress.say(&format!(
                "{at:>4} s  sent {sent}  good {good}  errors {errors}"
            ));
            seconds.push(second);
            if watched.stopped.is_none()
                && let Some(why) = rules.look(&seconds, Instant::now())
            {
                watched.stopped = Some(why);
                control.stop();
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(watched)
}

fn body(
    rehearsal: &Rehearsal,
    scenario: &Compiled,
    target: &Target,
    measured: &Measured,
    drilled: &Drilled,
    watched: Watched,
) -> Body {
    let about = load::report::About {
        scenario: scenario.name.clone(),
        target: format!("{target:?}"),
        thresholds: Vec::new(),
        stopped: watched.stopped.is_some(),
        remarks: watched.stopped.iter().cloned().collect(),
    };
    let load = load::report::Body::of_run(measured, about);
    let mut expectations = conditions(&load, drilled, watched);
    let mut add = |what: &str, expected: &str, found: String, holds| {
        expectations.push(line(About::Drill, what, expected, found, holds));
    };
    let never = load.checks().filter(|(_, check)| check.never_ran()).count();
    if load.checks().next().is_some() {
        add(
            "checks that were never asked",
            "0",
            never.to_string(),
            never == 0,
        );
    }
    for threshold in &scenario.thresholds {
        let judged = threshold.whole(measured);
        let found = super::expect::shown(Some(&judged));
        add("the whole run", &judged.expression, found, judged.holds);
    }
    expectations.extend(judge(&drilled.expecting, &drilled.times(), &drilled.series));
    Body {
        title: rehearsal
            .about
            .clone()
            .unwrap_or_else(|| rehearsal.name.clone()),
        expectations,
        drill: DrillFigures::of(&drilled.times(), &drilled.series),
        load,
    }
}

fn line(about: About, what: &str, expected: &str, found: String, holds: bool) -> Expectation {
    Expectation {
        what: what.to_owned(),
        expected: expected.to_owned(),
        found,
        holds,
        about,
    }
}

/// Whether load and faults were what was planned, and whether the services stayed alive.
fn conditions(load: &load::report::Body, drilled: &Drilled, watched: Watched) -> Vec<Expectation> {
    let mut all = Vec::new();
    let limits = load.generator.as_ref().map(|own| own.invalid.join("; "));
    let none = || "no".to_owned();
    let rows = [
        (
            "the generator was the limit",
            limits.filter(|limits| !limits.is_empty()),
        ),
        ("the load was stopped before its end", watched.stopped),
    ];
    for (what, found) in rows {
        let holds = found.is_none();
        all.push(line(
            About::Flood,
            what,
            "no",
            found.unwrap_or_else(none),
            holds,
        ));
    }
    for (name, problem) in drilled.faults() {
        let found = problem.unwrap_or("as planned").to_owned();
        let what = format!("the fault {name}");
        all.push(line(
            About::Flood,
            &what,
            "as planned",
            found,
            problem.is_none(),
        ));
    }
    let holds = watched.ended.is_empty();
    let found = if holds {
        "none".to_owned()
    } else {
        watched.ended.join("; ")
    };
    let what = "services that ended by themselves";
    all.push(line(About::Promise, what, "none", found, holds));
    all
}

/// As text: what was expected, the faults, the load's own table.
pub(crate) fn table(report: &Report<Body>) -> String {
    let (word, meaning) = crate::table::verdict_words(report.verdict);
    let mut out = format!("{} – {word}\n{meaning}\n", report.body.title);
    for section in sections(&report.body) {
        crate::table::push_section(&mut out, &section);
    }
    // Writing to a string cannot fail.
    _ = writeln!(out, "\n{}", about(report));
    _ = writeln!(out, "Verdict: {word} (exit code {})", report.exit_code);
    out
}

fn sections(body: &Body) -> Vec<picture::Section> {
    let mut all = vec![crate::table::expected(&body.expectations)];
    all.extend(body.drill.sections(0.0));
    let ms = |ms: Option<f64>| ms.map_or("–".to_owned(), |ms| format!("{ms:.1}"));
    let row = |request: &load::report::RequestFigures| {
        let latency = request.latency_ms.as_ref();
        vec![
            request.name.clone(),
            picture::thousands(request.sent.unwrap_or(0)),
            picture::thousands(request.errors.unwrap_or(0)),
            ms(latency.and_then(|l| l.p50)),
            ms(latency.and_then(|l| l.p99)),
            ms(latency.and_then(|l| l.max)),
        ]
    };
    let requests = body.load.requests.iter().chain([&body.load.total]);
    all.push(picture::Section {
        title: "Requests; latency of good answers in milliseconds, from the planned instant",
        head: vec!["", "sent", "errors", "p50", "p99", "max"],
        rows: requests.map(row).collect(),
    });
    all
}

fn about(report: &Report<Body>) -> String {
    let (build, machine) = (&report.build, &report.machine);
    format!(
        "{} · commit {} ({}) · {} × {} · {}",
        report.command,
        build.commit,
        build.profile,
        machine.cores,
        machine.processor,
        report.started
    )
}

/// As one page that stands alone.
pub(crate) fn page(report: &Report<Body>) -> String {
    let body = &report.body;
    let (word, meaning) = crate::table::verdict_words(report.verdict);
    let class = crate::html::verdict_class(report.verdict);
    let title = escape(&body.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}: {word}</title><style>{}</style></head><body><main>\n\
         <header><p class=\"kind\">Seawall drill report</p><h1>{title}</h1>\
         <p class=\"verdict {class}\"><strong>{word}</strong> {meaning}</p></header>\n",
        picture::CSS,
    );
    push_charts(&mut out, body);
    out.push_str("<div class=\"sections\">");
    for section in sections(body) {
        out.push_str(&section.html());
    }
    out.push_str("</div><footer>");
    for remark in &body.load.remarks {
        // Writing to a string cannot fail.
        _ = write!(out, "<p>{}</p>", escape(remark));
    }
    _ = writeln!(
        out,
        "<p>{}</p></footer></main></body></html>",
        escape(&about(report))
    );
    out
}

fn push_charts(out: &mut String, body: &Body) {
    let seconds = &body.load.seconds;
    let line = |name: &str, class, of: &dyn Fn(&load::report::SecondFigures) -> f64| Line {
        name: name.to_owned(),
        class,
        values: seconds.iter().map(of).collect(),
    };
    let ms = |ms: Option<f64>| ms.filter(|ms| *ms > 0.0).unwrap_or(f64::NAN);
    let charts = [
        (
            "Requests a second",
            "1/s",
            Kind::Lines,
            vec![line("sent", "c1", &|s| s.sent as f64)],
        ),
        (
            "What came back, in each second",
            "1/s",
            Kind::Stacked,
            vec![
                line("good", "c2", &|s| s.good as f64),
                line("turned away", "c7", &|s| s.refused as f64),
                line("errors", "c4", &|s| s.errors as f64),
            ],
        ),
        (
            "Latency of good answers, from the planned instant",
            "ms",
            Kind::LogLines,
            vec![
                line("p50", "c2", &|s| ms(s.p50_ms)),
                line("p99", "c1", &|s| ms(s.p99_ms)),
            ],
        ),
    ];
    let marks = body.drill.marks();
    for (title, unit, kind, series) in charts {
        let chart = Chart {
            title,
            unit,
            kind,
            series,
            t0: None,
            kills: Vec::new(),
            seconds: seconds.len(),
        };
        out.push_str(&marked(&chart, &marks));
    }
}

/// Expectations as JUnit.
pub(crate) fn junit(report: &Report<Body>) -> String {
    show::junit(&report.name, &report.body.expectations)
}
