//! What needs two values to be judged: names that are used and not there, blocks that do
//! themselves, checks without a condition.

use super::shape::LoadShape;
use super::steps::{Check, Do, Extract, Request, Step};
use super::{Feeder, Http, Scenario, Stop, Target};
use crate::gateway::shape::{ScalarOr, Several};
use crate::gateway::source::{Source, joined, near_word};
use std::collections::BTreeMap;

/// Names that expressions mean something else by.
const RESERVED: [&str; 4] = ["true", "false", "null", "status"];

pub fn scenario(source: &mut Source, scenario: &Scenario) {
    target(source, &scenario.target);
    load(source, &scenario.load.shape);
    feeders(source, &scenario.feeders);
    let mut requests = Requests::default();
    for (name, block) in scenario.blocks.iter() {
        steps(
            source,
            scenario,
            block,
            &joined("blocks", name),
            &mut requests,
        );
    }
    let mut names: Vec<&str> = Vec::new();
    for journey in &scenario.journeys {
        once(source, &mut names, &journey.name, &journey.at);
        let path = joined(&journey.at, "steps");
        steps(source, scenario, &journey.steps, &path, &mut requests);
    }
    let weights: f64 = scenario.journeys.iter().map(|journey| journey.weight).sum();
    if weights <= 0.0 && !scenario.journeys.is_empty() {
        source.wrong("journeys", "no weight at all", "one above 0");
    }
    for (key, blocks) in [("setup", &scenario.setup), ("teardown", &scenario.teardown)] {
        for (index, block) in blocks.iter().enumerate() {
            known_block(source, scenario, block, &format!("{key}[{index}]"));
        }
    }
    cycles(source, scenario);
    for (metric, rules) in scenario.thresholds.iter() {
        let path = joined("thresholds", metric);
        if rules.is_empty() && !source.troubled(&path) {
            source.wrong(&path, "an empty list", "at least one threshold");
        }
    }
    for stop in &scenario.stop {
        let (at, url) = match stop {
            Stop::Figures(_) => continue,
            Stop::Prometheus(rule) => {
                if rule.above.is_some() == rule.below.is_some() {
                    let found = if rule.above.is_some() { "both" } else { "none" };
                    source.wrong(&rule.at, found, "one of above and below");
                }
                (&rule.at, &rule.url)
            }
            Stop::Business(rule) => (&rule.at, &rule.url),
        };
        if url.starts_with('/') {
            source.wrong(&joined(at, "url"), &format!("{url:?}"), "an http(s) URL");
        }
    }
}

fn once<'a>(source: &mut Source, names: &mut Vec<&'a str>, name: &'a str, at: &str) {
    if names.contains(&name) {
        let what = format!("found {name:?} twice, expected each name once");
        source.problem(&joined(at, "name"), what);
    }
    names.push(name);
}

fn target(source: &mut Source, target: &Target) {
    let rest = target.url.split_once("://").map(|(_, rest)| rest);
    let good = rest.is_some_and(|rest| {
        let host = rest.strip_suffix('/').unwrap_or(rest);
        !host.is_empty() && !host.contains(['/', '?', '#', '@'])
    });
    if !good {
        let expected = "scheme, host and port such as http://127.0.0.1:8080, without a path";
        source.wrong("target.url", &format!("{:?}", target.url), expected);
    }
    // Only where it is said, or left out, what version is meant.
    let known = source.has("target.url") && !source.troubled("target.http");
    if known && target.http == Http::One && source.has("target.streams") {
        source.wrong("target.streams", "http 1", "it only with http: 2");
    }
}

fn load(source: &mut Source, shape: &LoadShape) {
    let (path, peak) = match shape {
        LoadShape::Constant(constant) => ("load.shape.constant", constant.rate),
        LoadShape::Ramp(ramp) => ("load.shape.ramp", ramp.from.max(ramp.to)),
        LoadShape::Stair(stair) => {
            let last = stair.from + stair.by * (stair.count - 1) as f64;
            ("load.shape.steps", last)
        }
        LoadShape::Spike(spike) => ("load.shape.spike", spike.base.max(spike.peak)),
        LoadShape::File(_) => return,
        LoadShape::Curve(curve) => {
            let points = &curve.points;
            let path = "load.shape.curve.points";
            if source.troubled(path) {
                return;
            }
            if points.len() < 2 {
                source.wrong(path, &format!("{} points", points.len()), "at least two");
            }
            if points.first().is_some_and(|point| !point.time.is_zero()) {
                let path = format!("{path}[0].time");
                source.wrong(&path, "a later start", "0s for the first point");
            }
            for (index, two) in points.windows(2).enumerate() {
                if two[1].time < two[0].time {
                    let path = format!("{path}[{}].time", index + 1);
                    source.wrong(&path, "an earlier time", "times that do not fall");
                }
            }
            let ends = points.last().is_some_and(|point| point.time.is_zero());
            if ends && points.len() >= 2 {
                source.wrong(path, "a curve of no length", "a last point after 0s");
            }
            let peak = points.iter().fold(0.0, |peak, point| point.rate.max(peak));
            (path, peak)
        }
    };
    if peak <= 0.0 && !source.troubled(path) {
        source.wrong(path, "a rate of 0 all the time", "arrivals");
    }
}

fn feeders(source: &mut Source, feeders: &[Feeder]) {
    let mut names = Vec::new();
    for feeder in feeders {
        once(source, &mut names, &feeder.name, &feeder.at);
        let path = joined(&feeder.at, "columns");
        if feeder.columns.0.is_empty() && !source.troubled(&path) {
            source.wrong(&path, "no column", "at least one");
        }
        for (column, variable) in feeder.columns.iter() {
            is_variable(source, variable, &joined(&path, column));
        }
        let ending = feeder.file.extension().and_then(|ending| ending.to_str());
        let known = matches!(ending, Some("csv" | "jsonl" | "ndjson"));
        if feeder.format.is_none() && !known {
            let found = format!("{:?}", feeder.file.display().to_string());
            let expected = "a name that ends with .csv, .jsonl or .ndjson, or a format";
            source.wrong(&joined(&feeder.at, "file"), &found, expected);
        }
    }
}

fn is_variable(source: &mut Source, name: &str, path: &str) {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    let good = name.starts_with(letter)
        && name.chars().all(|c| letter(c) || c.is_ascii_digit())
        && name.len() <= 64;
    if RESERVED.contains(&name) {
        let what = format!("{name:?} means something in expressions; choose another name");
        source.problem(path, what);
    } else if !good {
        let expected = "a variable of at most 64 letters, digits and '_', a letter first";
        source.wrong(path, &format!("{name:?}"), expected);
    }
}

/// Names of requests, and where they stand.
#[derive(Default)]
struct Requests(BTreeMap<String, String>);

fn steps(
    source: &mut Source,
    scenario: &Scenario,
    steps: &[Step],
    path: &str,
    requests: &mut Requests,
) {
    if steps.is_empty() && !source.troubled(path) {
        source.wrong(path, "no step", "at least one");
    }
    for step in steps {
        step_itself(source, step);
        match &step.request {
            None => {}
            Some(ScalarOr::Scalar(short)) => {
                let path = joined(&step.at, "request");
                match Request::of_short(short, &path) {
                    Some(read) => request(source, &read, requests),
                    None => source.wrong(&path, &format!("{short:?}"), "PATH or METHOD PATH"),
                }
            }
            Some(ScalarOr::Map(read)) => request(source, read, requests),
        }
        if let Some(ScalarOr::Map(think)) = &step.think
            && think.to < think.from
        {
            source.wrong(&joined(&think.at, "to"), "less than from", "at least from");
        }
        for (variable, _) in step.set.iter().flat_map(|set| set.iter()) {
            let path = joined(&joined(&step.at, "set"), variable);
            is_variable(source, variable, &path);
        }
        match &step.r#do {
            None => {}
            Some(ScalarOr::Scalar(block)) => {
                known_block(source, scenario, block, &joined(&step.at, "do"));
            }
            Some(ScalarOr::Map(block)) => do_block(source, scenario, block),
        }
        if let Some(feed) = &step.feed {
            let mut names = scenario.feeders.iter().map(|feeder| feeder.name.as_str());
            if !names.any(|name| name == feed) && !source.troubled("feeders") {
                let path = joined(&step.at, "feed");
                source.problem(&path, format!("there is no feeder {feed:?}"));
            }
        }
    }
}

fn step_itself(source: &mut Source, step: &Step) {
    // A kind that stands there and is wrong was reported.
    let kinds = ["request", "think", "set", "do", "feed"];
    let there = kinds
        .iter()
        .filter(|key| source.has(&joined(&step.at, key)));
    let there: Vec<&str> = there.copied().collect();
    if there.len() != 1 {
        let found = match there.len() {
            0 => "none of them".to_owned(),
            _ => there.join(" and "),
        };
        source.wrong(
            &step.at,
            &found,
            "exactly one of request, think, set, do, feed",
        );
    }
}

fn known_block(source: &mut Source, scenario: &Scenario, block: &str, path: &str) {
    if scenario.blocks.get(block).is_some() || source.troubled("blocks") {
        return;
    }
    let near = near_word(block, scenario.blocks.iter().map(|(name, _)| name));
    let hint = near.map_or(String::new(), |near| format!(", did you mean {near:?}?"));
    source.problem(path, format!("there is no block {block:?}{hint}"));
}

fn do_block(source: &mut Source, scenario: &Scenario, block: &Do) {
    known_block(source, scenario, &block.block, &joined(&block.at, "block"));
    if block.times.is_some() && block.r#while.is_some() {
        source.wrong(&block.at, "times and while", "at most one of them");
    }
    if block.r#while.is_some() && block.most.is_none() {
        let path = joined(&block.at, "while");
        source.problem(&path, "a loop needs a bound: add `most`");
    }
    if block.r#while.is_none() && block.most.is_some() {
        source.wrong(
            &joined(&block.at, "most"),
            "no while",
            "most only with while",
        );
    }
}

fn request(source: &mut Source, request: &Request, requests: &mut Requests) {
    let at = &request.at;
    let name = request.shown_name();
    match requests.0.get(&name) {
        Some(other) => {
            let what = format!(
                "another request is called {name:?} ({other}), and figures go by name: name one \
                 of them, or make a block of it"
            );
            source.problem(at, what);
        }
        None => {
            requests.0.insert(name, at.clone());
        }
    }
    if !request.path.starts_with(['/', '$']) {
        let found = format!("{:?}", request.path);
        source.wrong(&joined(at, "path"), &found, "a path from the root");
    }
    let bodies = [
        request.body.is_some(),
        request.json.is_some(),
        request.form.is_some(),
    ];
    if bodies.iter().filter(|there| **there).count() > 1 {
        source.wrong(at, "several bodies", "at most one of body, json and form");
    }
    if let Some(Several(expect)) = &request.expect
        && expect.is_empty()
    {
        source.wrong(
            &joined(at, "expect"),
            "an empty list",
            "at least one status",
        );
    }
    for (name, _) in request.headers.iter() {
        let own = ["host", "content-length", "transfer-encoding", "connection"];
        if own.contains(&name.to_ascii_lowercase().as_str()) {
            let path = joined(&joined(at, "headers"), name);
            source.problem(&path, "this header is the generator's own");
        }
    }
    request.checks.iter().for_each(|read| check(source, read));
    for (variable, extract) in request.extract.iter() {
        is_variable(source, variable, &extract.at);
        extraction(source, extract);
    }
}

fn check(source: &mut Source, check: &Check) {
    let there = ["is", "contains", "header", "json"];
    let there = there
        .iter()
        .filter(|key| source.has(&joined(&check.at, key)));
    let there: Vec<&str> = there.copied().collect();
    let expected = "exactly one of is, contains, header, json";
    match there[..] {
        [] => {
            let what = format!("an empty check can never fail; expected {expected}");
            source.problem(&check.at, what);
        }
        [one] => {
            if check.equals.is_some() && !["header", "json"].contains(&one) {
                let path = joined(&check.at, "equals");
                source.wrong(&path, &format!("it with {one}"), "it with header or json");
            }
        }
        _ => source.wrong(&check.at, &there.join(" and "), expected),
    }
    for (key, text) in [("is", &check.is), ("contains", &check.contains)] {
        if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
            let what = "an empty check can never fail";
            source.problem(&joined(&check.at, key), what);
        }
    }
    pointer(source, check.json.as_deref(), &joined(&check.at, "json"));
}

fn pointer(source: &mut Source, pointer: Option<&str>, path: &str) {
    if let Some(text) = pointer
        && !text.is_empty()
        && !text.starts_with('/')
    {
        source.wrong(
            path,
            &format!("{text:?}"),
            "a JSON pointer such as /products/0/sku",
        );
    }
}

fn extraction(source: &mut Source, extract: &Extract) {
    let there = ["json", "css", "header", "regex", "cookie", "status"];
    let there = there
        .iter()
        .filter(|key| source.has(&joined(&extract.at, key)));
    let there: Vec<&str> = there.copied().collect();
    if there.len() != 1 {
        let found = match there.len() {
            0 => "none of them".to_owned(),
            _ => there.join(" and "),
        };
        let expected = "exactly one of json, css, header, regex, cookie, status";
        source.wrong(&extract.at, &found, expected);
    }
    if extract.attribute.is_some() && extract.css.is_none() {
        let path = joined(&extract.at, "attribute");
        source.wrong(&path, "no css", "an attribute only with css");
    }
    if there == ["status"] && !extract.status && !source.troubled(&extract.at) {
        source.wrong(&joined(&extract.at, "status"), "false", "true");
    }
    pointer(
        source,
        extract.json.as_deref(),
        &joined(&extract.at, "json"),
    );
}

/// The block that a step does.
#[must_use]
fn done_by(step: &Step) -> Option<(&str, String)> {
    match step.r#do.as_ref()? {
        ScalarOr::Scalar(block) => Some((block, joined(&step.at, "do"))),
        ScalarOr::Map(block) => Some((&block.block, joined(&block.at, "block"))),
    }
}

/// Whether a block does itself, at once or by way of others.
fn cycles(source: &mut Source, scenario: &Scenario) {
    for (name, steps) in scenario.blocks.iter() {
        for (inner, path) in steps.iter().filter_map(done_by) {
            let mut seen = vec![inner];
            let mut next = 0;
            while let Some(block) = seen.get(next).copied() {
                next += 1;
                let steps = scenario.blocks.get(block).into_iter().flatten();
                for (inner, _) in steps.filter_map(done_by) {
                    if !seen.contains(&inner) {
                        seen.push(inner);
                    }
                }
            }
            if seen.contains(&name) {
                let what = format!("block {name:?} does itself; use times or while for loops");
                source.problem(&path, what);
            }
        }
    }
}
