//! The files that people write for the door: gateway.yaml, limits.yaml and switches.yaml, first
//! version of each.
//!
//! All that is wrong comes at once, in all three files, each problem with its line; nothing is
//! half loaded. One table of keys (`shape.rs`) serves the reader, the JSON Schemas and the
//! documents. It must not know how the door does what stands here.

mod check;
pub mod cluster;
pub mod limits;
pub mod listeners;
pub mod routes;
pub mod rules;
pub mod scalar;
pub mod schema;
mod shadow;
pub mod shape;
pub mod source;
pub mod switches;
#[cfg(test)]
mod tests;
pub mod upstreams;

use crate::campaign::tree::{Node, Problems, Reader};
use cluster::Cluster;
use limits::{
    FILE_BYTES_MAX, LISTENER_NAMES_MAX, PRERENDERED_PAGES_MAX, ROOM_NAMES_MAX, ROUTE_SERIES_MAX,
    TRUSTED_BATCHES_MAX, UPSTREAM_NAMES_MAX,
};
use listeners::{AccessLog, Admin, Identity, Listener, Mark, Recorder};
use routes::{Overload, Prerendered, Route};
use rules::Limits;
use scalar::{Block, Kind, list, whole};
use shape::{FileOr, Mapping, Need, Shape, Take, mapping};
use source::Source;
use std::path::{Path, PathBuf};
use switches::Switches;
use upstreams::{Upstream, WaitingRoom};

const BLOCK: Shape = Shape::Scalar(Kind::Block);

mapping! {
    /// The front door: where requests come in, where they go, what protects them.
    pub struct Gateway {
        /// The version of this format.
        version: u64 = whole(1, 1), Need::Required;
        /// Threads that serve requests; 0 is one for each processor.
        workers: u64 = whole(0, 256), Need::Or("0");
        /// Addresses that take requests.
        listeners: Vec<Listener> = list(&Listener::ITEM, LISTENER_NAMES_MAX), Need::Required;
        /// The listener for operators.
        admin: Admin = Admin::ITEM, Need::Optional;
        /// Proxies whose word on the client's address and identity is believed.
        trusted_proxies: Vec<Block> = list(&BLOCK, TRUSTED_BATCHES_MAX), Need::Optional;
        /// How the door knows who sends a request.
        identity: Identity = Identity::ITEM, Need::Optional;
        /// Which request goes where; the first route that fits counts.
        routes: Vec<Route> = list(&Route::ITEM, ROUTE_SERIES_MAX), Need::Required;
        /// Pools of peers.
        upstreams: Vec<Upstream> = list(&Upstream::ITEM, UPSTREAM_NAMES_MAX), Need::Optional;
        /// Rooms in which people wait.
        waiting_rooms: Vec<WaitingRoom> =
            list(&WaitingRoom::ITEM, ROOM_NAMES_MAX), Need::Optional;
        /// Protection by measured latency and CPU.
        overload: Overload = Overload::ITEM, Need::Optional;
        /// Pages that are rendered ahead.
        prerendered: Vec<Prerendered> =
            list(&Prerendered::ITEM, PRERENDERED_PAGES_MAX), Need::Optional;
        /// One line for each request; none where this is absent.
        access_log: Option<AccessLog> = AccessLog::ITEM, Need::Optional;
        /// Keeps some real requests; none where this is absent.
        recorder: Option<Recorder> = Recorder::ITEM, Need::Optional;
        /// The mark of rehearsal traffic; where this is absent, no mark is believed.
        mark: Option<Mark> = Mark::ITEM, Need::Optional;
        /// Other instances, which share the budgets of rules with scope cluster; where this is
        /// absent, each keeps to its part.
        cluster: Option<Cluster> = Cluster::ITEM, Need::Optional;
        /// How much each may: a file, or the rules themselves.
        limits: Option<FileOr<Limits>> = Shape::FileOr(Limits::SHAPE), Need::Optional;
        /// What is given up when it must be: a file, or the switches themselves.
        switches: Option<FileOr<Switches>> = Shape::FileOr(Switches::SHAPE), Need::Optional;
    }
}

/// What a check has to know besides the files.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Milliseconds since 1970: limits that have expired are refused.
    pub now_ms: u64,
    /// The build of what stands behind the door: limits of another are refused. `None` where it
    /// is not known.
    pub build: Option<String>,
    /// Services in this process. `None` where that is not known.
    pub services: Option<Vec<String>>,
}

/// The three files, checked together.
#[derive(Clone, Debug, PartialEq)]
pub struct Door {
    pub gateway: Gateway,
    pub limits: Limits,
    pub switches: Switches,
    /// The files that were read as configuration, to watch for changes.
    pub files: Vec<PathBuf>,
}

/// Which of the files a text is, by its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Gateway,
    Limits,
    Switches,
}

impl FileKind {
    pub const ALL: [FileKind; 3] = [FileKind::Gateway, FileKind::Limits, FileKind::Switches];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            FileKind::Gateway => "gateway",
            FileKind::Limits => "limits",
            FileKind::Switches => "switches",
        }
    }
    /// `None` for what is none of them, or is not readable.
    #[must_use]
    pub fn of(path: &Path) -> Option<FileKind> {
        let (_, tree) = read(path).ok()?;
        let entries = tree.entries()?;
        let has = |key: &str| entries.iter().any(|(_, name, _)| name == key);
        match (
            has("listeners") || has("routes"),
            has("rules"),
            has("switches"),
        ) {
            (true, _, _) => Some(FileKind::Gateway),
            (false, true, _) => Some(FileKind::Limits),
            (false, false, true) => Some(FileKind::Switches),
            (false, false, false) => None,
        }
    }
}

/// Reads and checks a gateway file with the files that it names.
pub fn load(path: &Path, context: &Context) -> Result<Door, Problems> {
    let text = read_text(path)?;
    parse(path, &text, context)
}

/// Checks `text` as the content of `path`, which names it and roots the files named inside.
pub fn parse(path: &Path, text: &str, context: &Context) -> Result<Door, Problems> {
    let tree = Reader::parse(path, text)?;
    let mut source = Source::new(path);
    source.note("", tree.line);
    let gateway = Gateway::take(&mut source, &Gateway::ITEM, &tree, "");
    let limits = gateway.as_ref().and_then(|gateway| gateway.limits.clone());
    let switches = gateway
        .as_ref()
        .and_then(|gateway| gateway.switches.clone());
    let mut files = vec![path.to_path_buf()];
    let (limits, mut limits_source) = part(limits, "limits", &mut source, &mut files);
    let (switches, mut switches_source) = part(switches, "switches", &mut source, &mut files);
    let known = check::Known::of(&tree, gateway.as_ref());
    if let Some(gateway) = &gateway {
        check::gateway(&mut source, gateway, &known, context);
    }
    if let Some(limits) = &limits {
        let source = limits_source.as_mut().unwrap_or(&mut source);
        check::limits(source, limits, Some(&known), context);
    }
    if let Some(switches) = &switches {
        let source = switches_source.as_mut().unwrap_or(&mut source);
        check::switches(source, switches, Some(&known));
    }
    let sources = [Some(source), limits_source, switches_source];
    let problems = sources
        .into_iter()
        .flatten()
        .flat_map(Source::finished)
        .collect();
    let door = gateway.map(|gateway| Door {
        gateway,
        limits: limits.unwrap_or_else(|| Limits::none(1)),
        switches: switches.unwrap_or_else(|| Switches::none(1)),
        files,
    });
    settle(door, problems)
}

/// Checks a limits file for itself: what it says about routes is not looked at.
pub fn load_limits(path: &Path, context: &Context) -> Result<Limits, Problems> {
    let (mut source, tree) = read(path)?;
    let limits = Limits::take(&mut source, &Limits::ITEM, &tree, "");
    if let Some(limits) = &limits {
        check::limits(&mut source, limits, None, context);
    }
    settle(limits, source.finished())
}

/// Checks a switches file for itself.
pub fn load_switches(path: &Path) -> Result<Switches, Problems> {
    let (mut source, tree) = read(path)?;
    let switches = Switches::take(&mut source, &Switches::ITEM, &tree, "");
    if let Some(switches) = &switches {
        check::switches(&mut source, switches, None);
    }
    settle(switches, source.finished())
}

/// A part that stands inside, or in a file of its own; then with that file's source.
fn part<T: Take + Mapping>(
    part: Option<FileOr<T>>,
    key: &str,
    source: &mut Source,
    files: &mut Vec<PathBuf>,
) -> (Option<T>, Option<Source>) {
    match part {
        None => (None, None),
        Some(FileOr::Here(part)) => (Some(part), None),
        Some(FileOr::File(path)) => match read(&path) {
            Ok((mut own, tree)) => {
                files.push(path);
                (T::take(&mut own, &T::ITEM, &tree, ""), Some(own))
            }
            Err(problems) => {
                for problem in problems.0 {
                    // A file that is not there is a problem of the line that names it.
                    if problem.line == 0 {
                        source.problem(key, format!("{}: {}", path.display(), problem.what));
                    } else {
                        source.problems.push(problem);
                    }
                }
                (None, None)
            }
        },
    }
}

fn read(path: &Path) -> Result<(Source, Node), Problems> {
    let tree = Reader::parse(path, &read_text(path)?)?;
    let mut source = Source::new(path);
    source.note("", tree.line);
    Ok((source, tree))
}

fn read_text(path: &Path) -> Result<String, Problems> {
    let failed = |error: std::io::Error| Problems::one(path, 0, format!("not readable: {error}"));
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > FILE_BYTES_MAX {
        let what = format!("found {size} bytes, expected at most {FILE_BYTES_MAX}");
        return Err(Problems::one(path, 0, what));
    }
    std::fs::read_to_string(path).map_err(failed)
}

fn settle<T>(
    value: Option<T>,
    problems: Vec<crate::campaign::tree::Problem>,
) -> Result<T, Problems> {
    match value {
        Some(value) if problems.is_empty() => Ok(value),
        _ => Err(Problems(problems)),
    }
}

impl Limits {
    fn none(version: u64) -> Limits {
        Limits {
            at: String::new(),
            version,
            rules: Vec::new(),
            utc_offset: scalar::Offset { minutes: 0 },
        }
    }
}

impl Switches {
    fn none(version: u64) -> Switches {
        Switches {
            at: String::new(),
            version,
            switches: Vec::new(),
        }
    }
}
