//! A configuration at work: compiled, with its pools, rooms and files. Made whole beside the
//! running
//! one and swapped in at once; a bad one changes nothing.

use super::books::{Books, Parts};
use super::extras::Extras;
use super::identity::{Identity, IdentityError};
use super::{Clocks, Counts, Door, Hasher};
use crate::access_log::AccessLog;
use crate::config::{Clock, Compiled, Page, TargetSpec, compile};
use crate::flags::FlagRoutes;
use crate::headers::Announce;
use crate::limits::{ROOM_KEY_BYTES_MIN, ROOM_REVEAL_AFTER, STATIC_FILE_BYTES_MAX};
use crate::room::{BadKeys, Hours, Keys, Now, Options, RoomError, WaitingRoom};
use crate::upstream::{SpecError, Timeouts, Upstreams, Watching};
use bytes::Bytes;
use guard::room::Rules;
use guard::switches::{SwitchProblem, Switches};
use guard::{Nanos, RuleProblem};
use host::http::Body;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use wire::gateway::listeners::Listener;
use wire::gateway::routes::{Route, Target};
use wire::gateway::scalar::Rate;
use wire::gateway::upstreams as written;
use wire::gateway::{Context, Door as Files};

/// Where a configuration comes from.
#[derive(Clone, Debug)]
pub enum Sources {
    /// Files, which are watched.
    File { path: PathBuf, context: Context },
    /// What the binary made itself, such as the door of the shop.
    Made(Box<Files>),
}

/// Why a configuration does not run. The running one goes on.
#[derive(Debug)]
pub enum DoorError {
    /// All that is wrong in the files, with their lines.
    Files(String),
    Rules(Vec<RuleProblem>),
    Switches(Vec<SwitchProblem>),
    Pools(SpecError),
    Identity(IdentityError),
    Room(RoomError),
    Keys {
        room: String,
        problem: BadKeys,
    },
    File {
        file: PathBuf,
        problem: String,
    },
    Thread(std::io::Error),
    /// No gossip with other instances.
    Cluster(String),
}

impl fmt::Display for DoorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DoorError::Files(problems) => f.write_str(problems),
            DoorError::Rules(problems) => write!(f, "limits: {problems:?}"),
            DoorError::Switches(problems) => write!(f, "switches: {problems:?}"),
            DoorError::Pools(problem) => write!(f, "upstreams: {problem}"),
            DoorError::Identity(problem) => write!(f, "identity: {problem}"),
            DoorError::Room(problem) => write!(f, "waiting room: {problem}"),
            DoorError::Keys { room, problem } => {
                write!(f, "the keys of the waiting room {room}: {problem}")
            }
            DoorError::File { file, problem } => write!(f, "{}: {problem}", file.display()),
            DoorError::Cluster(problem) => write!(f, "cluster: {problem}"),
            DoorError::Thread(problem) => write!(f, "no thread could be started: {problem}"),
        }
    }
}

impl std::error::Error for DoorError {}

/// A file as an answer, read when the configuration was loaded.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub status: u16,
    pub kind: HeaderValue,
    pub body: Bytes,
}

impl Ready {
    pub fn answer(&self) -> Response<Body> {
        let mut answer = Response::new(Body::from(self.body.clone()));
        *answer.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        answer.headers_mut().insert(CONTENT_TYPE, self.kind.clone());
        answer
    }
}

pub(super) struct Running {
    pub compiled: Compiled,
    pub identity: Identity,
    pub announce: Announce,
    pub upstreams: Arc<Upstreams>,
    _watching: Watching,
    /// By the places of `Gateway::waiting_rooms`.
    pub rooms: Vec<Arc<WaitingRoom>>,
    /// By route: the file of a static target.
    pub files: Vec<Option<Ready>>,
    /// By `PageId` and by `StubId`.
    pub pages: Vec<Ready>,
    pub stubs: Vec<Ready>,
    /// By route.
    pub timeouts: Vec<Option<Timeouts>>,
    pub body_bytes_max: Vec<u64>,
    pub key_makes_safe: Vec<bool>,
    /// By route.
    pub counts: Vec<RouteCounts>,
    pub log: Option<Arc<AccessLog>>,
    pub flags: FlagRoutes,
    pub extras: Extras,
    /// By the places that rules have in the running set.
    pub rule_names: Vec<String>,
    pub written: Files,
}

#[derive(Debug, Default)]
pub(super) struct RouteCounts {
    pub requests: AtomicU64,
    pub refused: AtomicU64,
    pub failed: AtomicU64,
}

impl Running {
    pub fn rule_name(&self, rule: guard::RuleId) -> &str {
        self.rule_names
            .get(usize::from(rule.0))
            .map_or("", String::as_str)
    }

    fn new(
        files: Files,
        (hasher, clocks, data): (&Hasher, &Clocks, &Path),
        before: Option<&Running>,
    ) -> Result<Running, DoorError> {
        let now = clocks.both();
        let clock = Clock {
            wall_ms: now.unix_us / 1_000,
            now: now.nanos,
        };
        let compiled = compile(&files, hasher, clock).map_err(DoorError::Rules)?;
        let pools = compiled.pools.clone();
        let upstreams = Upstreams::new(pools, before.map(|before| &*before.upstreams));
        let upstreams = Arc::new(upstreams.map_err(DoorError::Pools)?);
        let gateway = &files.gateway;
        let identity = Identity::new(&gateway.identity).map_err(DoorError::Identity)?;
        let rooms = rooms(&files, &data.join("rooms"), clocks, before)?;
        let read = |pages: &[Page]| -> Result<Vec<Ready>, DoorError> {
            pages
                .iter()
                .map(|page| ready(&page.file, page.content_type.as_deref(), 200))
                .collect()
        };
        let routes = &gateway.routes;
        let file = |route: &Route| match &route.target {
            Target::Static(file) => {
                let status = u16::try_from(file.status).unwrap_or(200);
                ready(&file.file, file.content_type.as_deref(), status).map(Some)
            }
            Target::Service(_) | Target::Upstream(_) | Target::Redirect(_) => Ok(None),
        };
        let ready_files: Vec<Option<Ready>> = routes.iter().map(file).collect::<Result<_, _>>()?;
        let extras = extras(&files, &ready_files, (clocks, data), before)?;
        let listener_body = gateway.listeners.iter().map(|l| l.limits.body_bytes).max();
        let listener_body = listener_body.unwrap_or(1 << 20);
        let watching = Watching::start(Arc::clone(&upstreams)).map_err(DoorError::Thread)?;
        Ok(Running {
            announce: Announce {
                trusted: compiled.trusted.clone(),
                ..Announce::default()
            },
            identity,
            _watching: watching,
            rooms,
            files: ready_files,
            pages: read(&compiled.switches.pages)?,
            stubs: read(&compiled.switches.stubs)?,
            timeouts: routes
                .iter()
                .enumerate()
                .map(|(place, route)| timeouts(&compiled, place, route))
                .collect(),
            body_bytes_max: routes
                .iter()
                .map(|route| route.body_bytes.unwrap_or(listener_body))
                .collect(),
            key_makes_safe: routes.iter().map(|route| route.retry_with_key).collect(),
            counts: routes.iter().map(|_| RouteCounts::default()).collect(),
            upstreams,
            log: log(&files, before)?,
            flags: FlagRoutes::of(&files),
            extras,
            rule_names: compiled.rules.names().map(str::to_owned).collect(),
            compiled,
            written: files,
        })
    }
}

fn extras(
    files: &Files,
    ready: &[Option<Ready>],
    (clocks, data): (&Clocks, &Path),
    before: Option<&Running>,
) -> Result<Extras, DoorError> {
    let clocks = *clocks;
    let clock: crate::cache::Clock = Arc::new(move || clocks.both().unix_us / 1_000);
    let before = before.map(|before| (&before.written, &before.extras));
    let mut extras = Extras::new(files, &clock, data, before)?;
    extras.pack(ready);
    Ok(extras)
}

/// The log of the configuration before, if it is the same one.
fn log(files: &Files, before: Option<&Running>) -> Result<Option<Arc<AccessLog>>, DoorError> {
    let Some(written) = &files.gateway.access_log else {
        return Ok(None);
    };
    let same = before.filter(|b| b.written.gateway.access_log.as_ref() == Some(written));
    if let Some(log) = same.and_then(|before| before.log.clone()) {
        return Ok(Some(log));
    }
    let started = AccessLog::start(written).map_err(|error| DoorError::File {
        file: written.file.clone().unwrap_or_else(|| "stdout".into()),
        problem: error.to_string(),
    })?;
    Ok(Some(Arc::new(started)))
}

/// The route's own times, and the pool's for the rest.
fn timeouts(compiled: &Compiled, place: usize, route: &Route) -> Option<Timeouts> {
    let TargetSpec::Pool(pool) = compiled.routes.get(place)?.target else {
        return None;
    };
    let written = &route.timeouts;
    if written.head.is_none() && written.between_bytes.is_none() && written.total.is_none() {
        return None;
    }
    let ms = |span: Duration| u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
    let pool = compiled.pools.get(pool)?.timeouts;
    Some(Timeouts {
        connect_ms: pool.connect_ms,
        head_ms: written.head.map_or(pool.head_ms, ms),
        between_ms: written.between_bytes.map_or(pool.between_ms, ms),
        total_ms: written.total.map(ms).or(pool.total_ms),
    })
}

fn ready(file: &Path, kind: Option<&str>, status: u16) -> Result<Ready, DoorError> {
    let failed = |problem: String| DoorError::File {
        file: file.to_owned(),
        problem,
    };
    let bytes = std::fs::metadata(file).map_err(|error| failed(error.to_string()))?;
    if bytes.len() > STATIC_FILE_BYTES_MAX {
        return Err(failed(format!(
            "the file has {} bytes, at most {STATIC_FILE_BYTES_MAX} are kept in memory",
            bytes.len()
        )));
    }
    let body = std::fs::read(file).map_err(|error| failed(error.to_string()))?;
    let ending = file.extension().and_then(|ending| ending.to_str());
    let kind = kind.unwrap_or(match ending {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("json") => "application/json",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    });
    Ok(Ready {
        status,
        kind: HeaderValue::from_str(kind)
            .map_err(|_| failed(format!("{kind:?} is no content type")))?,
        body: body.into(),
    })
}

/// Rooms that stay keep everybody in them; their rules change.
fn rooms(
    files: &Files,
    folder: &Path,
    clocks: &Clocks,
    before: Option<&Running>,
) -> Result<Vec<Arc<WaitingRoom>>, DoorError> {
    let now = clocks.both();
    let mut rooms = Vec::new();
    for written in &files.gateway.waiting_rooms {
        let known = before.and_then(|before| {
            let mut rooms = before.rooms.iter();
            rooms.find(|room| room.name() == written.name)
        });
        if let Some(room) = known {
            rooms.push(Arc::clone(room));
            continue;
        }
        let keys = room_keys(&written.name, &written.key_files, folder)?;
        let hours = written.opens_at.map(|t0| Hours {
            registers_ms: written
                .registers_from
                .map_or(now.unix_us / 1_000, |from| from.0),
            t0_ms: t0.0,
        });
        let options = Options {
            name: written.name.clone(),
            title: written.name.clone(),
            rules: room_rules(written),
            hours,
            pass: written.pass,
            reveal_after: ROOM_REVEAL_AFTER,
            secure: files.gateway.listeners.iter().any(|l| l.tls.is_some()),
            folder: folder.to_owned(),
        };
        let room = WaitingRoom::start(options, keys, now).map_err(DoorError::Room)?;
        let (room, clocks) = (Arc::new(room), *clocks);
        room.keep(move || clocks.both())
            .map_err(DoorError::Thread)?;
        rooms.push(room);
    }
    Ok(rooms)
}

fn room_rules(written: &written::WaitingRoom) -> Rules {
    let nanos = |span: Duration| Nanos(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Rules {
        waiting_max: small(written.waiting),
        places: small(written.inside),
        admit: rate(written.admit),
        open_above: written.open_above.map(rate),
        close_below: written
            .close_below
            .map_or(guard::room::Rate::per_s(0), rate),
        calm: nanos(written.hold),
        away_after: nanos(written.abandoned_after),
        grace: nanos(written.grace),
        idle: nanos(written.pass),
        units_per_buyer: small(written.units_per_buyer),
        schedule: None,
    }
}

/// Gives rooms that stay the rules of `to`; all of them or none.
fn change_rooms(to: &Running, from: &Running, now: Now) -> Result<(), DoorError> {
    let rules = |running: &Running, name: &str| {
        let mut rooms = running.written.gateway.waiting_rooms.iter();
        rooms.find(|room| room.name == name).map(room_rules)
    };
    let stay = from.rooms.iter().filter_map(|room| {
        let (new, old) = (rules(to, room.name())?, rules(from, room.name())?);
        Some((room, new, old))
    });
    let stay: Vec<_> = stay.collect();
    for (place, (room, new, _)) in stay.iter().enumerate() {
        if let Err(problem) = room.change(*new, now) {
            for (room, _, old) in &stay[..place] {
                // They were these rooms' rules a moment ago.
                let _ = room.change(*old, now);
            }
            let room = room.name().to_owned();
            return Err(DoorError::Room(RoomError::Rules { room, problem }));
        }
    }
    Ok(())
}

/// As it is written: 90 a minute are not one a second.
fn rate(written: Rate) -> guard::room::Rate {
    guard::room::Rate {
        count: written.count,
        per: Nanos(u64::try_from(written.period.as_nanos()).unwrap_or(u64::MAX)),
    }
}

fn room_keys(name: &str, files: &[PathBuf], folder: &Path) -> Result<Keys, DoorError> {
    let mut keys = Vec::new();
    for file in files {
        let bytes = std::fs::read(file).map_err(|error| DoorError::File {
            file: file.clone(),
            problem: error.to_string(),
        })?;
        keys.push(bytes);
    }
    if keys.is_empty() {
        keys.push(own_key(&folder.join(format!("{name}.key")))?);
    }
    Keys::new(name, &keys).map_err(|problem| DoorError::Keys {
        room: name.to_owned(),
        problem,
    })
}

/// The instance's own key, made at the first start, readable by its owner only.
pub(super) fn own_key(file: &Path) -> Result<Vec<u8>, DoorError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let failed = |problem: String| DoorError::File {
        file: file.to_owned(),
        problem,
    };
    match std::fs::read(file) {
        Ok(key) if key.len() >= ROOM_KEY_BYTES_MIN => return Ok(key),
        Ok(key) => return Err(failed(format!("{} bytes are no key", key.len()))),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed(error.to_string()));
        }
        Err(_) => {}
    }
    let mut key = vec![0; ROOM_KEY_BYTES_MIN];
    getrandom::fill(&mut key).map_err(|error| failed(error.to_string()))?;
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
    }
    let mut options = std::fs::OpenOptions::new();
    let made = options.create_new(true).write(true).mode(0o600).open(file);
    let written = made.and_then(|mut made| {
        made.write_all(&key)?;
        made.sync_all()
    });
    written.map_err(|error| failed(error.to_string()))?;
    Ok(key)
}

fn load(sources: &Sources, now_ms: u64) -> Result<Files, DoorError> {
    match sources {
        Sources::Made(files) => Ok((**files).clone()),
        Sources::File { path, context } => {
            let context = Context {
                now_ms,
                ..context.clone()
            };
            wire::gateway::load(path, &context)
                .map_err(|problems| DoorError::Files(problems.to_string()))
        }
    }
}

impl Door {
    /// Loads the configuration and stands ready. What it keeps is kept in `folder`.
    pub fn open(sources: Sources, folder: &Path) -> Result<Arc<Door>, DoorError> {
        let (clocks, hasher) = (Clocks::start(), Hasher::default());
        let now = clocks.both();
        let files = load(&sources, now.unix_us / 1_000)?;
        let mut running = Running::new(files, (&hasher, &clocks, folder), None)?;
        let switches = Switches::new(running.compiled.switches.set.clone());
        let mut parts = Parts::of(&mut running.compiled, &running.written, None);
        parts.switches = Some(switches.map_err(DoorError::Switches)?);
        running.extras.begin();
        let door = Arc::new(Door {
            books: Mutex::new(Books::new(parts, now)),
            sources,
            clocks,
            hasher,
            running: RwLock::new(Arc::new(running)),
            generation: AtomicU64::new(0),
            counts: Counts::default(),
            turned: Mutex::default(),
            folder: folder.to_owned(),
            renders: AtomicBool::new(false),
            swapped: tokio::sync::Notify::new(),
            reloading: Mutex::new(()),
            cluster: Arc::default(),
            lag: super::lag::Lag::default(),
        });
        #[cfg(feature = "cluster")]
        if let Some(cluster) = &door.running().written.gateway.cluster {
            crate::cluster::start(&door, cluster)?;
        }
        Ok(door)
    }

    /// Loads the files again and swaps everything at once, or nothing.
    pub fn reload(&self) -> Result<(), DoorError> {
        let _one_at_a_time = self
            .reloading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let done = self.swap();
        match &done {
            Ok(()) => self.counts.reloads.fetch_add(1, Ordering::Relaxed),
            Err(_) => self.counts.reloads_refused.fetch_add(1, Ordering::Relaxed),
        };
        done
    }

    fn swap(&self) -> Result<(), DoorError> {
        let now = self.clocks.both();
        let files = load(&self.sources, now.unix_us / 1_000)?;
        let before = self.running();
        let with = (&self.hasher, &self.clocks, &*self.folder);
        let mut running = Running::new(files, with, Some(&before))?;
        let set = running.compiled.switches.set.clone();
        let problems = set.problems();
        if !problems.is_empty() {
            return Err(DoorError::Switches(problems));
        }
        // The last that can fail.
        change_rooms(&running, &before, now)?;
        let parts = Parts::of(&mut running.compiled, &running.written, Some(&before));
        let retired = {
            // Both locks; a request that began before finds another generation in the books.
            let mut place = self.running.write().unwrap_or_else(PoisonError::into_inner);
            let mut books = self.books();
            books
                .switches
                .swap(set, now.nanos)
                .map_err(DoorError::Switches)?;
            let generation = self.generation() + 1;
            let retired = books.take_over(parts, generation, now);
            running.extras.begin();
            *place = Arc::new(running);
            self.generation.store(generation, Ordering::Release);
            retired
        };
        drop(retired);
        self.swapped.notify_one();
        Ok(())
    }

    /// What is written in the files and not done yet by this version, one line each.
    #[must_use]
    pub fn not_done(&self) -> Vec<String> {
        let running = self.running();
        let gateway = &running.written.gateway;
        let rows = [(
            gateway.cluster.is_some() && !crate::cluster::CAN_GOSSIP,
            "cluster",
        )];
        let wanted = rows.iter().filter(|(is, _)| *is);
        wanted
            .map(|(_, what)| format!("{what}: read and checked, not done by this version"))
            .collect()
    }

    /// Waits until everything that was logged and recorded is in its file. At the end of a process,
    /// after its last request.
    pub fn flush(&self) {
        let running = self.running();
        if let Some(log) = &running.log {
            log.flush();
        }
        if let Some(recorder) = &running.extras.recorder {
            recorder.flush();
        }
    }

    /// Begins the access log's file anew, after somebody moved the old one away.
    pub fn reopen_log(&self) {
        if let Some(log) = &self.running().log
            && let Err(error) = log.reopen()
        {
            tracing::error!(%error, "the access log goes on in its old file");
        }
    }

    /// The listeners as they are written now.
    #[must_use]
    pub fn listeners(&self) -> Vec<Listener> {
        self.running().written.gateway.listeners.clone()
    }

    /// Files that the configuration was read from.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        match &self.sources {
            Sources::Made(_) => Vec::new(),
            Sources::File { .. } => self.running().written.files.clone(),
        }
    }
}
