//! One run: workers, a plan, a target, and what it came to. Tells whether the generator was the
//! limit, because then the figures say nothing about the target.

use crate::arrivals::Plan;
use crate::consent::{self, Consent};
use crate::limits::{BUSY_LAG_US, CONNECTIONS_MAX, HTTP2_PROBE_MS, STREAMS_PER_CONNECTION};
use crate::mark::Mark;
use crate::measure::{End, Measured, Second};
use crate::request::AGENT;
use crate::script::Script;
use crate::worker;
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{StatusCode, Uri};
use rustls::pki_types::ServerName;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_rustls::TlsConnector;

/// Where requests go.
pub struct Target {
    pub(crate) address: SocketAddr,
    /// `host: …` and what every request says.
    pub(crate) host_line: Vec<u8>,
    pub(crate) tls: Option<TlsConnector>,
    pub(crate) tls_name: Host,
    /// How it is asked in HTTP/2; `None`: it is not.
    pub(crate) http2: Option<Http2>,
    /// On all of them, if they belong to a rehearsal.
    pub(crate) mark: Option<Mark>,
    /// As the URL has it.
    written: Authority,
    authority: String,
    url: String,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.url)
    }
}

pub(crate) struct Http2 {
    /// Offers HTTP/2 and nothing else; without TLS it is spoken by prior knowledge.
    pub tls: Option<TlsConnector>,
}

/// The name of HTTP/2 in the handshake of TLS.
pub(crate) const ALPN_HTTP2: &[u8] = b"h2";

pub(crate) enum Host {
    None,
    Name(ServerName<'static>),
}

/// Why a run cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("{url:?} is no target: {what}; expected http://HOST[:PORT] or https://HOST[:PORT]")]
    Url { url: String, what: String },
    #[error("no address of {host} was found: {source}")]
    Address { host: String, source: io::Error },
    #[error("{url} wants TLS, and no certificate authorities are given")]
    NoRoots { url: String },
    #[error("a worker could not go on: {0}")]
    Worker(io::Error),
}

impl Target {
    /// `roots` must be there for https.
    pub fn new(url: &str, roots: Option<Arc<rustls::ClientConfig>>) -> Result<Target, RunError> {
        let bad = |what: &str| RunError::Url {
            url: url.to_owned(),
            what: what.to_owned(),
        };
        let uri: Uri = url.parse().map_err(|error| bad(&format!("{error}")))?;
        let https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad("its scheme is neither")),
        };
        let authority = uri.authority().ok_or_else(|| bad("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("a name and password do not belong into it"));
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err(bad("paths belong to the requests"));
        }
        let host = authority.host().trim_matches(['[', ']']);
        let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
        let found = (host, port).to_socket_addrs();
        let address = found.and_then(|mut all| {
            let none = || io::Error::other("the name has none");
            all.next().ok_or_else(none)
        });
        let address = address.map_err(|source| RunError::Address {
            host: host.to_owned(),
            source,
        })?;
        let (tls, tls_name) = match (https, roots) {
            (false, _) => (None, Host::None),
            (true, None) => return Err(RunError::NoRoots { url: url.into() }),
            (true, Some(config)) => {
                let name = ServerName::try_from(host.to_owned());
                let name = name.map_err(|error| bad(&error.to_string()))?;
                (Some(TlsConnector::from(config)), Host::Name(name))
            }
        };
        Ok(Target {
            address,
            host_line: format!("host: {authority}\r\nuser-agent: {AGENT}\r\n").into_bytes(),
            tls,
            tls_name,
            http2: None,
            mark: None,
            written: authority.clone(),
            authority: format!("{}:{port}", authority.host()),
            url: url.to_owned(),
        })
    }

    /// The same, asked in HTTP/2.
    #[must_use]
    pub fn in_http2(mut self) -> Target {
        let tls = self.tls.as_ref().map(|tls| {
            let mut config = rustls::ClientConfig::clone(tls.config());
            config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
            TlsConnector::from(Arc::new(config))
        });
        self.http2 = Some(Http2 { tls });
        self
    }

    /// Whether the target, if it is there at all, speaks the version of HTTP that it is to be asked
    /// in; what it does instead.
    pub fn probe(&self) -> Result<(), String> {
        if self.http2.is_none() {
            return Ok(());
        }
        let timeout = Duration::from_millis(HTTP2_PROBE_MS);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        runtime.block_on(crate::http2::probe(self, timeout))
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    pub(crate) fn uri(&self, path: PathAndQuery) -> Uri {
        let mut parts = hyper::http::uri::Parts::default();
        parts.scheme = Some(match self.tls.is_some() {
            true => Scheme::HTTPS,
            false => Scheme::HTTP,
        });
        parts.authority = Some(self.written.clone());
        parts.path_and_query = Some(path);
        // Scheme, authority and path are all that one needs.
        Uri::from_parts(parts).unwrap_or_default()
    }

    /// Whether a whole URL is one of this target.
    pub(crate) fn is_at(&self, uri: &Uri) -> bool {
        let https = self.tls.is_some();
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let same = uri.host().map(|host| format!("{host}:{port}"));
        let same = same.is_some_and(|same| same.eq_ignore_ascii_case(&self.authority));
        same && uri.scheme_str() == Some(self.scheme())
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
    /// Host and port, as requests name them.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// One GET outside of any plan, for as long as `timeout`: status and body, or why there is
    /// none.
    pub fn get(&self, path: &str, timeout: Duration) -> Result<(StatusCode, Vec<u8>), String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        runtime.block_on(async {
            let got = tokio::time::timeout(timeout, crate::client::get(self, path)).await;
            got.unwrap_or_else(|_| Err("no answer in time".to_owned()))
        })
    }

    /// What a target that is not this machine allows: the note that it serves.
    pub fn consent(&self, key: &[u8], now_s: u64) -> Result<Consent, String> {
        let (status, note) = self.get(consent::WELL_KNOWN, CONSENT_TIMEOUT)?;
        if status != StatusCode::OK || note.len() > consent::NOTE_BYTES_MAX {
            return Err(format!("{} answers {status}", consent::WELL_KNOWN));
        }
        let consent = Consent::verify(&note, key, &self.authority, now_s);
        consent.map_err(|refused| format!("the note at {}: {refused}", consent::WELL_KNOWN))
    }
}

/// A target that does not answer this within it is not one to load.
const CONSENT_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// Kept alive and shared by all buyers.
    Kept,
    /// A new one for each request.
    New,
}

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads; 0: one a processor.
    pub workers: usize,
    /// Requests at once on one connection of HTTP/2.
    pub streams: usize,
    pub connections: Connections,
    pub connections_max: usize,
    pub seed: u64,
    /// Of a plan that several generators send; `None`: all of it.
    pub share: Option<Share>,
}

/// Workers of all generators have numbers; these are ours. Arrivals and the rows of feeders go
/// round by number, so nobody sends what another does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The number of our first worker.
    pub first: usize,
    /// Workers of all generators.
    pub of: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            workers: 0,
            connections: Connections::Kept,
            connections_max: CONNECTIONS_MAX,
            streams: STREAMS_PER_CONNECTION,
            seed: 1,
            share: None,
        }
    }
}

/// All that workers share; they only read it, but for `shared`.
pub(crate) struct Job {
    pub script: Arc<Script>,
    pub plan: Plan,
    pub target: Arc<Target>,
    /// The number of this process's first worker.
    pub first: usize,
    /// Of all generators.
    pub workers: usize,
    pub connections: Connections,
    pub connections_max: usize,
    pub streams: usize,
    pub seed: u64,
    pub grace_us: u64,
    pub shared: Vec<Shared>,
}

/// What one worker and whoever watches it have in common.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub stop: AtomicBool,
    /// Whole seconds, as they pass.
    pub seconds: Mutex<Vec<Second>>,
}

/// A run under way.
pub struct Run {
    job: Arc<Job>,
    threads: Vec<std::thread::JoinHandle<io::Result<Measured>>>,
    start: Instant,
    planned: f64,
}

/// Watches and stops a run from elsewhere.
#[derive(Clone)]
pub struct Control(Arc<Job>);

impl Control {
    /// Nobody new arrives; requests under way may end.
    pub fn stop(&self) {
        for shared in &self.0.shared {
            shared.stop.store(true, Ordering::Relaxed);
        }
    }

    /// The whole seconds from this one on that all workers have behind them.
    #[must_use]
    pub fn seconds(&self, from: usize) -> Vec<Second> {
        let mut all: Option<Vec<Second>> = None;
        for shared in &self.0.shared {
            let seconds = shared.seconds.lock().unwrap_or_else(|bad| bad.into_inner());
            let theirs = seconds.get(from..).unwrap_or_default();
            match &mut all {
                None => all = Some(theirs.to_vec()),
                Some(all) => {
                    all.truncate(theirs.len());
                    for (mine, theirs) in all.iter_mut().zip(theirs) {
                        mine.add(theirs);
                    }
                }
            }
        }
        all.unwrap_or_default()
    }
}

impl Run {
    pub fn start(script: Arc<Script>, plan: Plan, target: Arc<Target>, options: &Options) -> Run {
        // All begin at one instant, with time to get ready.
        let start = Instant::now() + Duration::from_millis(20);
        Run::start_at(script, plan, target, options, start)
    }

    /// The plan's zero is at `start`.
    pub fn start_at(
        script: Arc<Script>,
        plan: Plan,
        target: Arc<Target>,
        options: &Options,
        start: Instant,
    ) -> Run {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = match options.workers {
            0 => cores,
            workers => workers,
        };
        let share = options.share.unwrap_or(Share {
            first: 0,
            of: workers,
        });
        let planned = plan.between(0, plan.us());
        let job = Arc::new(Job {
            grace_us: worker::grace(&script).as_micros() as u64,
            script,
            plan,
            target,
            first: share.first,
            workers: share.of,
            connections: options.connections,
            connections_max: options.connections_max,
            streams: match options.connections {
                Connections::Kept => options.streams.max(1),
                Connections::New => 1,
            },
            seed: options.seed,
            shared: (0..workers).map(|_| Shared::default()).collect(),
        });
        let thread = |index| {
            let job = Arc::clone(&job);
            std::thread::spawn(move || worker::run(job, index, start))
        };
        let numbers = share.first..share.first + workers;
        Run {
            threads: numbers.map(thread).collect(),
            job,
            start,
            planned,
        }
    }

    #[must_use]
    pub fn control(&self) -> Control {
        Control(Arc::clone(&self.job))
    }
    /// When the plan's zero is.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.start
    }
    /// Arrivals on the average of the whole plan.
    #[must_use]
    pub fn planned(&self) -> f64 {
        self.planned
    }
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.threads
            .iter()
            .all(std::thread::JoinHandle::is_finished)
    }

    /// Waits for the end.
    pub fn join(self) -> Result<Measured, RunError> {
        let mut all: Option<Measured> = None;
        for thread in self.threads {
            let measured = match thread.join() {
                Ok(measured) => measured.map_err(RunError::Worker)?,
                Err(_) => return Err(RunError::Worker(io::Error::other("it panicked"))),
            };
            match &mut all {
                None => all = Some(measured),
                Some(all) => all.add(&measured),
            }
        }
        Ok(all.unwrap_or_else(|| Measured::new(Vec::new())))
    }
}

/// Why a run says nothing about its target.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Invalid {
    #[error("only {sent} of {planned} planned arrivals left ({share:.2} %; 99 % are wanted)")]
    NotSent { planned: u64, sent: u64, share: f64 },
    #[error("{late} of {sent} arrivals left more than 10 ms late ({share:.2} %; 1 % is allowed)")]
    Late { sent: u64, late: u64, share: f64 },
    #[error("the generator itself was busy: {share:.0} % of a processor in its worst second")]
    Busy { share: f64 },
    #[error("the generator had no sockets left for {requests} requests")]
    Sockets { requests: u64 },
    #[error("the generator waited for a processor for {share:.1} % of its time")]
    Starved { share: f64 },
}

/// Whether the generator was the limit, and by what.
#[must_use]
pub fn invalid(measured: &Measured, stopped: bool) -> Vec<Invalid> {
    let mut why = Vec::new();
    let percent = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
    let (planned, sent) = (measured.planned, measured.arrived);
    // Connections that the target refused are its doing.
    let total = measured.total();
    let shut = total.ended(End::Connect) + total.ended(End::TimedOut);
    if !stopped && percent(sent + shut.min(planned - sent), planned) < 99.0 {
        let share = percent(sent, planned);
        why.push(Invalid::NotSent {
            planned,
            sent,
            share,
        });
    }
    // Late because the target was slow to accept is the target's; late while we were short of
    // processor is ours, and so is what our own loop took up late.
    let short = measured.busiest > 0.9 || starved(measured) > 5.0;
    let late = if short {
        measured.late
    } else {
        measured.own_late
    };
    let share = percent(late, sent);
    if share > 1.0 {
        why.push(Invalid::Late { sent, late, share });
    }
    // A sender that waits for instants microseconds away never sleeps; that is no harm as long as
    // arrivals leave in time.
    let lag_us = measured.lag.quantile_us(0.99).unwrap_or(0);
    if measured.busiest > 0.97 && lag_us > BUSY_LAG_US {
        let share = measured.busiest * 100.0;
        why.push(Invalid::Busy { share });
    }
    if starved(measured) > 20.0 {
        let share = starved(measured);
        why.push(Invalid::Starved { share });
    }
    let requests = total.ended(End::Ours);
    if requests > 0 {
        why.push(Invalid::Sockets { requests });
    }
    why
}

/// Percent of the run's time in which a worker could have run and was not let.
fn starved(measured: &Measured) -> f64 {
    let all_us = measured.wall_us * measured.workers;
    measured.starved_ns as f64 / 10.0 / all_us.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(count: u64, lag_us: u64) -> Measured {
        let mut measured = Measured::new(Vec::new());
        (measured.planned, measured.arrived, measured.wall_us) = (1_000, count, 1_000_000);
        (0..count).for_each(|_| measured.lag.record(lag_us));
        measured
    }

    #[test]
    fn a_generator_that_was_the_limit_says_so() {
        assert_eq!(invalid(&sent(1_000, 20), false), []);
        let mut busy = sent(1_000, 20);
        busy.busiest = 1.0;
        assert_eq!(invalid(&busy, false), [], "awake, and in time");
        let mut busy = sent(1_000, 5_000);
        busy.busiest = 1.0;
        assert!(matches!(invalid(&busy, false)[..], [Invalid::Busy { .. }]));
        let few = sent(900, 20);
        assert!(matches!(
            invalid(&few, false)[..],
            [Invalid::NotSent { .. }]
        ));
        assert_eq!(invalid(&few, true), [], "it was stopped");
        let mut late = sent(1_000, 20_000);
        (late.late, late.busiest) = (50, 0.95);
        assert!(matches!(invalid(&late, false)[..], [Invalid::Late { .. }]));
        let mut slow_target = sent(1_000, 20_000);
        slow_target.late = 500;
        assert_eq!(invalid(&slow_target, false), [], "the target's doing");
        let mut stopped = slow_target;
        stopped.own_late = 50;
        assert!(matches!(
            invalid(&stopped, false)[..],
            [Invalid::Late { late: 50, .. }]
        ));
        let mut starved = sent(1_000, 20);
        starved.starved_ns = 300_000_000;
        assert!(matches!(
            invalid(&starved, false)[..],
            [Invalid::Starved { .. }]
        ));
    }
}
