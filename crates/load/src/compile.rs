//! From a scenario's file to what a run needs.
//!
//! Whatever is wrong – in the file's form, in its expressions, patterns and thresholds, in the data
//! files that it names – is told at once, each problem with its line. It must not know how a run
//! goes.

mod data;
mod ops;
mod rates;
#[cfg(test)]
mod tests;

use crate::arrivals::{Plan, Spacing};
use crate::run::{Connections, Options, RunError, Target};
use crate::script::Script;
use crate::thresholds::Threshold;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wire::campaign::{Problem, Problems};
use wire::gateway::shape::ScalarOr;
use wire::gateway::source::{Source, joined};
use wire::scenario::{self, Read, Scenario, Stop};

impl TargetSpec {
    /// Resolves it, with `url` in the place of its own if there is one.
    pub fn target(&self, url: Option<&str>) -> Result<Target, TargetError> {
        let url = url.unwrap_or(&self.url);
        let roots = match url.starts_with("https://") {
            false => None,
            true => Some(crate::tls(self.ca_file.as_deref())?),
        };
        let target = Target::new(url, roots)?;
        Ok(match self.http {
            Http::One => target,
            Http::Two => target.in_http2(),
        })
    }
}

/// Why there is nothing to send to.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsError),
    #[error(transparent)]
    Target(#[from] RunError),
}

/// A scenario ready to run.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub name: String,
    pub target: TargetSpec,
    pub options: Options,
    pub script: Script,
    pub plan: Plan,
    pub thresholds: Vec<Threshold>,
    pub stop: Vec<StopRule>,
    /// Run by one buyer before the arrivals; if a request of it does not end well, nothing follows.
    pub setup: Option<Script>,
    /// Run by one buyer after them.
    pub teardown: Option<Script>,
}

/// Where it goes, as it was written; resolving and loading certificates is the runner's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSpec {
    pub url: String,
    pub http: Http,
    /// Certificate authorities in PEM, for https.
    pub ca_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    One,
    Two,
}

/// When a run ends before its plan does. Asked every second.
#[derive(Clone, Debug, PartialEq)]
pub enum StopRule {
    /// Its `window_s` is there: stop when it does not hold over the last so many seconds.
    Figures(Threshold),
    /// Stop when the first value of the query has been beyond a bound for so long.
    Prometheus {
        /// Of the server, such as `http://127.0.0.1:9090`.
        url: String,
        query: String,
        above: Option<f64>,
        below: Option<f64>,
        hold: Duration,
    },
    /// Stop when a counter on a page of the target grows more slowly for so long.
    Business {
        /// Of a page in Prometheus' text format.
        url: String,
        /// The counter's name; all its series are added up.
        counter: String,
        below_per_min: f64,
        hold: Duration,
    },
}

/// Reads, checks and compiles a scenario with the files that it names.
pub fn file(path: &Path) -> Result<Compiled, Problems> {
    compile(scenario::load(path)?)
}

/// The same of `text` as the content of `path`.
pub fn text(path: &Path, text: &str) -> Result<Compiled, Problems> {
    compile(scenario::parse(path, text)?)
}

/// The files that a scenario names, always in one order.
pub fn named(path: &Path) -> Result<Vec<PathBuf>, Problems> {
    let mut read = scenario::load(path)?;
    let files = read.scenario.iter_mut().flat_map(files);
    Ok(files.map(|file| file.clone()).collect())
}

/// Compiles `text` with others in the place of the files that it names, in the order of [`named`].
pub fn text_with(path: &Path, text: &str, others: &[PathBuf]) -> Result<Compiled, Problems> {
    let mut read = scenario::parse(path, text)?;
    let places: Vec<&mut PathBuf> = read.scenario.iter_mut().flat_map(files).collect();
    if places.len() != others.len() {
        let (named, given) = (places.len(), others.len());
        let what = format!("it names {named} files, and {given} came with it");
        return Err(Problems::one(path, 0, what));
    }
    for (place, other) in places.into_iter().zip(others) {
        place.clone_from(other);
    }
    compile(read)
}

fn files(scenario: &mut Scenario) -> Vec<&mut PathBuf> {
    let feeders = scenario.feeders.iter_mut().map(|feeder| &mut feeder.file);
    let mut all: Vec<&mut PathBuf> = feeders.collect();
    if let scenario::shape::LoadShape::File(file) = &mut scenario.load.shape {
        all.push(&mut file.path);
    }
    all.extend(&mut scenario.target.ca_file);
    all
}

fn compile(read: Read) -> Result<Compiled, Problems> {
    let Read {
        scenario,
        mut source,
    } = read;
    let Some(scenario) = scenario else {
        return Err(Problems(source.finished()));
    };
    let mut elsewhere = Vec::new();
    let scripts = ops::scripts(&mut source, &mut elsewhere, &scenario);
    let plan = plan(&mut source, &mut elsewhere, &scenario);
    let thresholds = thresholds(&mut source, &scenario, &scripts.main);
    let stop = stop_rules(&mut source, &scenario, &scripts.main);
    let mut problems = source.finished();
    problems.extend(elsewhere);
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    let target = &scenario.target;
    Ok(Compiled {
        options: Options {
            connections: match target.connections {
                scenario::Connections::Kept => Connections::Kept,
                scenario::Connections::New => Connections::New,
            },
            connections_max: target.connections_max as usize,
            streams: target.streams as usize,
            seed: scenario.load.seed,
            ..Options::default()
        },
        target: TargetSpec {
            url: target.url.clone(),
            http: match target.http {
                scenario::Http::One => Http::One,
                scenario::Http::Two => Http::Two,
            },
            ca_file: target.ca_file.clone(),
        },
        name: scenario.name,
        script: scripts.main,
        setup: scripts.setup,
        teardown: scripts.teardown,
        plan,
        thresholds,
        stop,
    })
}

fn plan(source: &mut Source, elsewhere: &mut Vec<Problem>, scenario: &Scenario) -> Plan {
    let load = &scenario.load;
    Plan {
        segments: rates::segments(source, elsewhere, &load.shape),
        spacing: match load.spacing {
            scenario::shape::Spacing::Even => Spacing::Even,
            scenario::shape::Spacing::Poisson => Spacing::Poisson { seed: load.seed },
        },
    }
}

fn thresholds(source: &mut Source, scenario: &Scenario, script: &Script) -> Vec<Threshold> {
    let mut all = Vec::new();
    for (metric, rules) in scenario.thresholds.iter() {
        for (index, rule) in rules.iter().enumerate() {
            let path = format!("{}[{index}]", joined("thresholds", metric));
            let (text, abort, delay) = match rule {
                ScalarOr::Scalar(text) => (text, false, Duration::ZERO),
                ScalarOr::Map(rule) => (&rule.threshold, rule.abortOnFail, rule.delayAbortEval),
            };
            if let Some(mut threshold) = threshold(source, script, metric, text, &path) {
                threshold.abort_on_fail = abort;
                threshold.delay_abort_s = u32::try_from(delay.as_secs()).unwrap_or(u32::MAX);
                all.push(threshold);
            }
        }
    }
    all
}

fn threshold(
    source: &mut Source,
    script: &Script,
    metric: &str,
    text: &str,
    path: &str,
) -> Option<Threshold> {
    match Threshold::parse(metric, text) {
        Ok(threshold) => {
            // Requests that could not be read are missing for that reason.
            let whole = !source.troubled("journeys") && !source.troubled("blocks");
            let whole = whole && !script.journeys.is_empty();
            if let Some(missing) = threshold.missing(script).filter(|_| whole) {
                source.problem(path, missing);
            }
            Some(threshold)
        }
        Err(what) => {
            source.problem(path, what);
            None
        }
    }
}

fn stop_rules(source: &mut Source, scenario: &Scenario, script: &Script) -> Vec<StopRule> {
    let mut all = Vec::new();
    for stop in &scenario.stop {
        match stop {
            Stop::Figures(rule) => {
                let path = joined(&rule.at, "threshold");
                if rule.threshold.contains(" over ") {
                    source.problem(&path, "the window stands in `over`, not here");
                    continue;
                }
                let text = format!("{} over {}s", rule.threshold, rule.over.as_secs());
                let figures = threshold(source, script, &rule.metric, &text, &path);
                all.extend(figures.map(StopRule::Figures));
            }
            Stop::Prometheus(rule) => all.push(StopRule::Prometheus {
                url: rule.url.clone(),
                query: rule.query.clone(),
                above: rule.above,
                below: rule.below,
                hold: rule.r#for,
            }),
            Stop::Business(rule) => all.push(StopRule::Business {
                url: rule.url.clone(),
                counter: rule.counter.clone(),
                below_per_min: rule.below_per_min,
                hold: rule.r#for,
            }),
        }
    }
    all
}
