//! scenario.yaml, version 1: what load is sent to which target, and what has to hold.
//!
//! The same table of keys as for the door's files serves the reader, the JSON Schema and the
//! document. All that is wrong comes at once, each problem with its line. What expressions,
//! patterns and thresholds mean is checked by who compiles them, into the same list of problems.
//! It must not know how load is made.

mod check;
pub mod limits;
pub mod rule;
pub mod shape;
pub mod steps;
#[cfg(test)]
mod tests;

use crate::campaign::tree::{Node, Problems, Reader};
use crate::gateway::limits::{FILE_BYTES_MAX, SENTENCE_CHARS_MAX};
use crate::gateway::scalar::{FILE, Kind, NAME, URL, list, number, span, table, text, whole};
use crate::gateway::schema;
use crate::gateway::shape::{
    Choice, Mapping, Need, ScalarOr, Shape, Table, Take, mapping, one_of, words,
};
use crate::gateway::source::Source;
use limits::{
    BLOCK_NAMES_MAX, COLUMN_NAMES_MAX, EXPR_CHARS_MAX, FEEDER_NAMES_MAX, JOURNEY_NAMES_MAX,
    METRIC_NAMES_MAX, REDIRECTS_MAX, SOCKETS_MAX, STEP_OPS_MAX, STOP_RULES_MAX, STREAMS_MAX,
    THRESHOLD_RULES_MAX,
};
use rule::ThresholdRule;
use shape::Load;
use std::path::{Path, PathBuf};
use std::time::Duration;
use steps::Step;

const STEPS: Shape = list(&Step::ITEM, STEP_OPS_MAX);
const RULE: Shape = Shape::ScalarOr(Kind::Text(EXPR_CHARS_MAX), ThresholdRule::SHAPE);
const RULES: Shape = list(&RULE, THRESHOLD_RULES_MAX);
const COLUMN: Shape = text(64);
const MINUTE: u64 = 60_000;

mapping! {
    /// What is sent where, how often, and what has to hold.
    pub struct Scenario {
        /// The version of this format.
        version: u64 = whole(1, 1), Need::Required;
        /// What it is called in reports.
        name: String = NAME, Need::Required;
        /// What it is for, in a sentence.
        about: Option<String> = text(SENTENCE_CHARS_MAX), Need::Optional;
        /// Where requests go.
        target: Target = Target::ITEM, Need::Required;
        /// How many buyers arrive, and when.
        load: Load = Load::ITEM, Need::Required;
        /// Files whose rows become variables.
        feeders: Vec<Feeder> = list(&Feeder::ITEM, FEEDER_NAMES_MAX), Need::Optional;
        /// Blocks that one buyer does before the load; if one of its requests does not end well,
        /// the run ends. Journeys do not see its variables.
        setup: Vec<String> = list(&NAME, BLOCK_NAMES_MAX), Need::Optional;
        /// Blocks that one buyer does after the load.
        teardown: Vec<String> = list(&NAME, BLOCK_NAMES_MAX), Need::Optional;
        /// Steps with a name, for use in several places.
        blocks: Table<Vec<Step>> = table(&STEPS, BLOCK_NAMES_MAX), Need::Optional;
        /// What buyers do; each who arrives goes one of these ways.
        journeys: Vec<Journey> = list(&Journey::ITEM, JOURNEY_NAMES_MAX), Need::Required;
        /// What has to hold, by metric, in k6's grammar.
        thresholds: Table<Vec<ScalarOr<String, ThresholdRule>>> =
            table(&RULES, METRIC_NAMES_MAX), Need::Optional;
        /// When the run ends before its time.
        stop: Vec<Stop> = list(&Stop::ITEM, STOP_RULES_MAX), Need::Optional;
    }

    /// Where requests go.
    pub struct Target {
        /// Scheme, host and port, such as `http://127.0.0.1:8080`; paths belong to requests.
        url: String = URL, Need::Required;
        /// The version of HTTP. 2 is agreed on by TLS (ALPN), and spoken by prior knowledge without
        /// TLS.
        http: Http = Http::SHAPE, Need::Or("1");
        /// Whether connections are kept and shared by all buyers, or new for each request.
        connections: Connections = Connections::SHAPE, Need::Or("kept");
        /// Most connections at once; beyond it requests wait, and their latency shows it.
        connections_max: u64 = whole(1, SOCKETS_MAX), Need::Or("20000");
        /// With `http: 2`: most requests at once on one connection; fewer if the target says so.
        streams: u64 = whole(1, STREAMS_MAX), Need::Or("100");
        /// How many redirects of a request are followed, on this target only; where it is 0, a
        /// redirect is an answer.
        follow_redirects: u64 = whole(0, REDIRECTS_MAX), Need::Or("0");
        /// How long a request may take that says nothing else.
        timeout: Duration = span(1, 60 * MINUTE), Need::Or("10s");
        /// Certificate authorities in PEM, for https.
        ca_file: Option<PathBuf> = FILE, Need::Optional;
    }

    /// A file whose rows become variables.
    pub struct Feeder {
        /// Its name in `feed`.
        name: String = NAME, Need::Required;
        /// CSV with a header line, or one JSON object on each line.
        file: PathBuf = FILE, Need::Required;
        /// How it is written; where this is absent, the file's name says it.
        format: Option<FeederFormat> = FeederFormat::SHAPE, Need::Optional;
        /// Who gets which row.
        order: Order = Order::SHAPE, Need::Or("circular");
        /// The file's columns (or fields) that are taken, and the variables they become.
        columns: Table<String> = table(&COLUMN, COLUMN_NAMES_MAX), Need::Required;
    }

    /// One way through the target.
    pub struct Journey {
        /// Its name in reports.
        name: String = NAME, Need::Required;
        /// How many take it, in proportion to the others.
        weight: f64 = number(0.0, 1e6), Need::Or("1");
        /// What they do, one after the other.
        steps: Vec<Step> = list(&Step::ITEM, STEP_OPS_MAX), Need::Required;
    }

    /// A figure of the generator's own.
    pub struct StopFigures {
        /// The metric, as for thresholds.
        metric: String = text(EXPR_CHARS_MAX), Need::Required;
        /// What has to hold over the window, such as `rate<0.05`.
        threshold: String = text(EXPR_CHARS_MAX), Need::Required;
        /// The window.
        over: Duration = span(1_000, 60 * MINUTE), Need::Or("10s");
    }

    /// A figure that a Prometheus server has.
    pub struct StopPrometheus {
        /// The server, such as `http://127.0.0.1:9090`.
        url: String = URL, Need::Required;
        /// In PromQL; the first value of its answer counts.
        query: String = text(EXPR_CHARS_MAX), Need::Required;
        /// Stop when it is above this.
        above: Option<f64> = number(-1e18, 1e18), Need::Optional;
        /// Stop when it is below this.
        below: Option<f64> = number(-1e18, 1e18), Need::Optional;
        /// For how long.
        r#for: Duration = span(0, 60 * MINUTE), Need::Or("5s");
    }

    /// What the target earns: a counter that it shows itself.
    pub struct StopBusiness {
        /// A page in Prometheus' text format, such as `http://127.0.0.1:8081/metrics`.
        url: String = URL, Need::Required;
        /// The counter's name; all its series are added up.
        counter: String = text(256), Need::Required;
        /// Stop when it grows by less than this in a minute.
        below_per_min: f64 = number(0.0, 1e12), Need::Required;
        /// For how long.
        r#for: Duration = span(1_000, 60 * MINUTE), Need::Or("30s");
    }
}

one_of! {
    /// When a run ends before its time.
    pub enum Stop {
        /// By the generator's own figures.
        Figures(StopFigures) "figures" = StopFigures::ITEM;
        /// By the answer to a query of Prometheus.
        Prometheus(StopPrometheus) "prometheus" = StopPrometheus::ITEM;
        /// By what the target earns.
        Business(StopBusiness) "business" = StopBusiness::ITEM;
    }
}

words! {
    /// A version of HTTP.
    pub enum Http { One "1", Two "2", }
    /// What becomes of a connection after an answer.
    pub enum Connections { Kept "kept", New "new", }
    /// How a feeder's file is written.
    pub enum FeederFormat { Csv "csv", JsonLines "jsonl", }
    /// Who gets which row.
    pub enum Order {
        /// From the first to the last, and again.
        Circular "circular",
        Random "random",
        /// Each row once; who finds none leaves.
        Once "once",
    }
}

/// A file that was taken apart: what could be read of it, and what is wrong so far.
#[derive(Clone, Debug)]
pub struct Read {
    /// `None` if it is no mapping at all; what could not be read has something in its place.
    pub scenario: Option<Scenario>,
    pub source: Source,
}

impl Read {
    /// The scenario, if nothing is wrong.
    pub fn settled(self) -> Result<Scenario, Problems> {
        let problems = self.source.finished();
        match self.scenario {
            Some(scenario) if problems.is_empty() => Ok(scenario),
            _ => Err(Problems(problems)),
        }
    }
}

/// Reads a file. What is wrong with its values is in the result, so that the compiler can add.
pub fn load(path: &Path) -> Result<Read, Problems> {
    let failed = |error: std::io::Error| Problems::one(path, 0, format!("not readable: {error}"));
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > FILE_BYTES_MAX {
        let what = format!("found {size} bytes, expected at most {FILE_BYTES_MAX}");
        return Err(Problems::one(path, 0, what));
    }
    parse(path, &std::fs::read_to_string(path).map_err(failed)?)
}

/// Reads `text` as the content of `path`, which names it and roots the files named inside.
pub fn parse(path: &Path, text: &str) -> Result<Read, Problems> {
    let tree = Reader::parse(path, text)?;
    let mut source = Source::new(path);
    source.note("", tree.line);
    let scenario = Scenario::take(&mut source, &Scenario::ITEM, &tree, "");
    let scenario = scenario.or_else(|| patched(path, &tree));
    if let Some(scenario) = &scenario {
        check::scenario(&mut source, scenario);
    }
    Ok(Read { scenario, source })
}

/// What stands for a part that cannot be read, so that the others are looked at all the same: a
/// mistake in the form of one must not hide what another means.
const STAND_IN: &str = "version: 1
name: unread
target: {url: 'http://127.0.0.1'}
load: {shape: {constant: {rate: 1, for: 1s}}}
journeys: []
";

/// A scenario of the parts that could be read. What is wrong with the others was reported.
fn patched(path: &Path, tree: &Node) -> Option<Scenario> {
    let ours = Reader::parse(path, STAND_IN).ok()?;
    let mut silent = Source::new(path);
    let theirs = silent.open(tree, "", Scenario::SHAPE)?;
    let ours = silent.open(&ours, "", Scenario::SHAPE)?;
    macro_rules! part {
        ($key:literal) => {
            theirs
                .take(&mut silent, $key)
                .or_else(|| ours.take(&mut silent, $key))?
        };
    }
    Some(Scenario {
        at: String::new(),
        version: part!("version"),
        name: part!("name"),
        about: part!("about"),
        target: part!("target"),
        load: part!("load"),
        feeders: part!("feeders"),
        setup: part!("setup"),
        teardown: part!("teardown"),
        blocks: part!("blocks"),
        journeys: part!("journeys"),
        thresholds: part!("thresholds"),
        stop: part!("stop"),
    })
}

/// Whether a file's keys show it to be a scenario.
#[must_use]
pub fn is_scenario(path: &Path) -> bool {
    let small = std::fs::metadata(path).is_ok_and(|file| file.len() <= FILE_BYTES_MAX);
    let text = small.then(|| std::fs::read_to_string(path).ok()).flatten();
    let tree = text.and_then(|text| Reader::parse(path, &text).ok());
    let entries = tree.as_ref().and_then(|tree| tree.entries());
    // Campaigns have journeys too.
    entries.is_some_and(|entries| {
        let has = |key: &str| entries.iter().any(|(_, name, _)| name == key);
        has("target") && (has("load") || has("journeys"))
    })
}

/// The JSON Schema as text.
#[must_use]
pub fn schema_text() -> String {
    schema::shown(&schema::of_map("scenario", Scenario::SHAPE))
}

/// The tables of keys for the document.
#[must_use]
pub fn documented() -> String {
    schema::documented_map(Scenario::SHAPE)
}
