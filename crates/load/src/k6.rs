//! k6 as the generator of a search: people's scripts as they are, with another plan.
//!
//! A small script of ours imports theirs, hands on all that it exports and puts a constant arrival
//! rate in the place of its own scenarios; what follows the warm-up has a tag, and k6's summary
//! shows its figures by that tag. k6 counts latency from its own sending, so a request that k6
//! sends late looks faster than it was; it does say when it could not begin an iteration at all,
//! and what it takes of the processors. It must not know how rates are chosen.

use crate::find::{Finding, Step};
use crate::limits::{
    FIND_FAR_FACTOR, K6_ERROR_BYTES_MAX, K6_GRACE_S, K6_VUS_LEAST, REPORT_BYTES_MAX,
};
use crate::measure::{End, Second};
use crate::report::{K6Figures, k6_tagged};
use crate::search::Told;
use crate::slo::{Objective, What};
use serde_json::json;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The script that stands before the user's.
const WRAPPER: &str = include_str!("k6/wrapper.js");
const TAG: &str = "{seawall:counted}";
/// The kernel's unit of processor time in /proc; it has been so on Linux for ever.
const TICKS_PER_S: f64 = 100.0;
/// From this share of all processors on, what k6 measures is k6.
const BUSY_SHARE: f64 = 0.9;
/// Dropped iterations of which nothing is said.
const DROPPED_SHARE: f64 = 0.01;

/// How k6 is run.
#[derive(Clone, Debug)]
pub struct K6 {
    pub program: PathBuf,
    pub script: PathBuf,
    /// For the script, as `__ENV.SEAWALL_URL`.
    pub url: Option<String>,
    /// Addresses that it may not send to.
    pub blocked: Vec<String>,
    /// Virtual users at most; each is a JavaScript machine of some megabytes.
    pub vus_max: u32,
}

/// Why k6 measured nothing.
#[derive(Debug, thiserror::Error)]
pub enum K6Error {
    #[error("cannot run {program}: {source} (install k6, or say where it is with --k6)")]
    Missing { program: PathBuf, source: io::Error },
    #[error("{0}: k6 does not tell refusals from failures; use errors")]
    Objective(Objective),
    #[error("cannot read {file}: {source}")]
    File { file: PathBuf, source: io::Error },
    #[error("k6 ended with {status}: {said}")]
    Ended { status: String, said: String },
    #[error("k6 did not end within {0} s")]
    Endless(u64),
    #[error("k6's summary: {0}")]
    Summary(String),
}

impl K6 {
    /// What `k6 version` says; before anything is sent.
    pub fn version(&self, objectives: &[Objective]) -> Result<String, K6Error> {
        let refused = objectives.iter().find(|o| o.what == What::Refused);
        if let Some(objective) = refused {
            return Err(K6Error::Objective(*objective));
        }
        let failed = |file: &Path, source| K6Error::File {
            file: file.to_owned(),
            source,
        };
        File::open(&self.script).map_err(|error| failed(&self.script, error))?;
        let said = Command::new(&self.program).arg("version").output();
        let said = said.map_err(|source| K6Error::Missing {
            program: self.program.clone(),
            source,
        })?;
        Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
    }

    /// One window at one rate.
    pub fn try_rate(
        &self,
        finding: &Finding,
        (per_s, long): (f64, bool),
        stop: &AtomicBool,
    ) -> Result<Step, K6Error> {
        let whole_s = if long {
            finding.long_s
        } else {
            finding.window_s
        };
        let warm_s = finding.warm_s.min(whole_s.saturating_sub(1));
        let seconds = whole_s - warm_s;
        let folder = tempfile::tempdir();
        let folder = folder.map_err(|source| K6Error::File {
            file: std::env::temp_dir(),
            source,
        })?;
        let out = folder.path().join("summary.json");
        let watched = finding.metrics.as_ref().map(|metrics| metrics.watch());
        let mut running = self.start(finding, (per_s, warm_s, seconds), folder.path(), &out)?;
        let most_s = u64::from(whole_s) + K6_GRACE_S;
        let (status, cpu_s) = wait(&mut running, most_s, stop)?;
        let used = watched.and_then(|watched| watched.used());
        let text = read(&out, REPORT_BYTES_MAX);
        let Some(text) = text.ok().filter(|_| status.success()) else {
            let said = read(&folder.path().join("said"), K6_ERROR_BYTES_MAX);
            let said = said.unwrap_or_default();
            let last: Vec<&str> = said.lines().rev().take(5).collect();
            return Err(K6Error::Ended {
                status: status.to_string(),
                said: last.into_iter().rev().collect::<Vec<_>>().join("; "),
            });
        };
        let mut figures = k6_tagged(&text, TAG).map_err(K6Error::Summary)?;
        figures.dropped = not_begun(per_s, seconds, figures.iterations);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let share = cpu_s / f64::from(whole_s) / cores as f64;
        let mut step = judged(&figures, &finding.objectives, per_s, seconds, share);
        (step.long, step.used) = (long, used);
        Ok(step)
    }

    fn start(
        &self,
        finding: &Finding,
        (per_s, warm_s, seconds): (f64, u32, u32),
        folder: &Path,
        out: &Path,
    ) -> Result<Child, K6Error> {
        let failed = |file: &Path, source| K6Error::File {
            file: file.to_owned(),
            source,
        };
        let theirs = self.script.canonicalize();
        let theirs = theirs.map_err(|error| failed(&self.script, error))?;
        let theirs = json!(format!("file://{}", theirs.display())).to_string();
        let wrapper = folder.join("wrapper.js");
        let text = WRAPPER.replace("'SCRIPT'", &theirs);
        std::fs::write(&wrapper, text).map_err(|error| failed(&wrapper, error))?;
        let (vus, vus_max) = vus(per_s, f64::from(self.vus_max));
        let mut stats: Vec<String> = ["count", "avg", "min", "med", "max", "p(90)", "p(95)"]
            .map(str::to_owned)
            .into();
        stats.extend(["p(99)", "p(99.9)"].map(str::to_owned));
        stats.extend(finding.objectives.iter().filter_map(stat));
        let plan = json!({
            "per_s": per_s, "warm_s": warm_s, "seconds": seconds, "vus": vus, "vus_max": vus_max,
            "stats": stats, "blocked": self.blocked, "out": out,
        });
        let said = folder.join("said");
        let said = File::create(&said).map_err(|error| failed(&said, error))?;
        let mut command = Command::new(&self.program);
        command
            .args(["run", "--quiet", "--no-usage-report"])
            .arg(&wrapper)
            .env("SEAWALL_PLAN", plan.to_string())
            .envs(self.url.as_ref().map(|url| ("SEAWALL_URL", url)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said);
        command.spawn().map_err(|source| K6Error::Missing {
            program: self.program.clone(),
            source,
        })
    }
}

/// Iterations that were planned and are not there: k6's own count of those it dropped has no tags,
/// so those of the warm-up are in it. One more or less is where the second is cut.
fn not_begun(per_s: f64, seconds: u32, iterations: u64) -> u64 {
    let planned = (per_s * f64::from(seconds)).floor() as u64;
    planned.saturating_sub(iterations + 1)
}

/// Virtual users at the start, and at most.
fn vus(per_s: f64, most: f64) -> (f64, f64) {
    let first = (per_s * 0.2).ceil().max(K6_VUS_LEAST).min(most);
    (first, (per_s * 2.0).ceil().max(first).min(most))
}

/// Exit status and processor seconds.
fn wait(
    running: &mut Child,
    most_s: u64,
    stop: &AtomicBool,
) -> Result<(std::process::ExitStatus, f64), K6Error> {
    let (begun, mut cpu_s) = (Instant::now(), 0.0);
    loop {
        cpu_s = cpu_seconds(running.id()).unwrap_or(cpu_s);
        let ended = running.try_wait();
        if let Ok(Some(status)) = ended {
            return Ok((status, cpu_s));
        }
        let late = begun.elapsed().as_secs() > most_s;
        if late || ended.is_err() || stop.load(Ordering::Relaxed) {
            let _ = running.kill();
            let status = running.wait();
            return match status {
                Ok(status) if !late => Ok((status, cpu_s)),
                _ => Err(K6Error::Endless(most_s)),
            };
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// User and system time of a process so far.
fn cpu_seconds(pid: u32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold anything.
    let mut rest = text.rsplit_once(") ")?.1.split(' ').skip(11);
    let (user, system) = (rest.next()?, rest.next()?);
    Some((user.parse::<f64>().ok()? + system.parse::<f64>().ok()?) / TICKS_PER_S)
}

fn read(file: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(most).read_to_string(&mut text)?;
    Ok(text)
}

/// The name that k6 has for an objective's figure.
fn stat(objective: &Objective) -> Option<String> {
    match objective.what {
        What::Quantile(share) => Some(format!("p({})", (share * 1e8).round() / 1e6)),
        What::Mean => Some("avg".to_owned()),
        What::Max => Some("max".to_owned()),
        What::Errors | What::Refused => None,
    }
}

fn judged(
    figures: &K6Figures,
    objectives: &[Objective],
    per_s: f64,
    seconds: u32,
    share: f64,
) -> Step {
    let mut window = Second {
        sent: figures.requests,
        arrived: figures.iterations,
        ..Second::default()
    };
    window.ends[End::Good as usize] = figures.requests.saturating_sub(figures.failed);
    // k6 does not say why.
    window.ends[End::Status as usize] = figures.failed;
    let value = |objective: &Objective| match stat(objective) {
        Some(stat) => figures.trend_ms.get(&stat).map(|ms| ms * 1e3),
        None => Some(figures.failed as f64 / figures.requests.max(1) as f64),
    };
    let (mut because, mut far) = (Vec::new(), false);
    for objective in objectives {
        let value = value(objective).filter(|_| figures.requests > 0);
        let held = value.is_some_and(|value| objective.allows(value));
        if !held {
            because.push(format!("{objective} is {}", objective.shown(value)));
            far |= value.is_none_or(|value| value > objective.most * FIND_FAR_FACTOR);
        }
    }
    let planned = figures.iterations + figures.dropped;
    let dropped = figures.dropped as f64 > planned as f64 * DROPPED_SHARE;
    let served_per_s = figures.requests / u64::from(seconds.max(1));
    let told = match (because.is_empty(), share > BUSY_SHARE) {
        (true, _) if dropped => Told::Invalid(format!(
            "k6 dropped {} of {planned} iterations: it was the limit, not the target",
            figures.dropped
        )),
        (true, _) => Told::Held,
        (false, true) => Told::Invalid(format!(
            "k6 itself took {:.0} % of the processors",
            share * 100.0
        )),
        // Fewer were sent than planned, and even those waited too long.
        (false, false) => Told::Failed { far, served_per_s },
    };
    if let Told::Invalid(why) = &told {
        because.insert(0, why.clone());
    }
    Step {
        per_s,
        long: false,
        window,
        latency_ms: figures.quantiles.clone(),
        seconds: seconds as usize,
        told,
        because,
        cpu_share: share,
        lag_p99_us: 0,
        used: None,
    }
}

/// All addresses but those of this machine and `also`, as networks that k6 refuses to dial.
#[must_use]
pub fn all_but(also: Option<IpAddr>) -> Vec<String> {
    let mut four = vec![(0x7F00_0000_u128, 8)];
    let mut six = vec![(1_u128, 128)];
    match also {
        Some(IpAddr::V4(address)) => four.push((u128::from(u32::from(address)), 32)),
        Some(IpAddr::V6(address)) => six.push((u128::from(address), 128)),
        None => {}
    }
    let mut all = Vec::new();
    outside(0, 0, 32, &four, &mut |network, length| {
        let address = std::net::Ipv4Addr::from(network as u32);
        all.push(format!("{address}/{length}"));
    });
    outside(0, 0, 128, &six, &mut |network, length| {
        all.push(format!("{}/{length}", std::net::Ipv6Addr::from(network)));
    });
    all
}

/// The largest networks below one that hold none of those given. Goes down only where one of them
/// is, so it is bounded by their number times the bits.
fn outside(
    network: u128,
    length: u32,
    bits: u32,
    kept: &[(u128, u32)],
    each: &mut impl FnMut(u128, u32),
) {
    let within = |(address, long): &(u128, u32)| {
        let shift = bits - length;
        *long >= length && (shift == 128 || address >> shift == network >> shift)
    };
    let kept: Vec<(u128, u32)> = kept.iter().filter(|one| within(one)).copied().collect();
    if kept.is_empty() {
        each(network, length);
    } else if kept.iter().all(|(_, long)| *long > length) {
        let half = 1_u128 << (bits - length - 1);
        outside(network, length + 1, bits, &kept, each);
        outside(network | half, length + 1, bits, &kept, each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(ms: f64, failed: u64, dropped: u64) -> K6Figures {
        K6Figures {
            requests: 1_000,
            failed,
            iterations: 1_000,
            dropped,
            trend_ms: [("p(99)".to_owned(), ms)].into(),
            quantiles: None,
        }
    }

    #[test]
    fn what_a_window_of_k6_says() {
        let objectives = ["p99<200ms".parse().unwrap(), "errors<1%".parse().unwrap()];
        let told = |figures: &K6Figures, share| judged(figures, &objectives, 100.0, 10, share).told;
        let failed = |far| Told::Failed {
            far,
            served_per_s: 100,
        };
        assert_eq!(told(&figures(150.0, 0, 0), 0.2), Told::Held);
        assert_eq!(
            told(&figures(150.0, 0, 5), 0.99),
            Told::Held,
            "few, and in time"
        );
        assert_eq!(told(&figures(250.0, 0, 0), 0.2), failed(false));
        assert_eq!(told(&figures(400.0, 0, 500), 0.2), failed(true));
        assert_eq!(told(&figures(10.0, 12, 0), 0.2), failed(false));
        assert!(matches!(
            told(&figures(150.0, 0, 50), 0.2),
            Told::Invalid(_)
        ));
        assert!(matches!(
            told(&figures(400.0, 0, 0), 0.95),
            Told::Invalid(_)
        ));
        let step = judged(&figures(250.0, 0, 0), &objectives, 100.0, 10, 0.2);
        assert_eq!(step.because, ["p99<200ms is 250.0 ms"]);
    }

    #[test]
    fn virtual_users_are_bounded_and_what_they_leave_out_is_seen() {
        for (per_s, most, wanted) in [
            (40.0, 3.0, (3.0, 3.0)),
            (40.0, 1_000.0, (10.0, 80.0)),
            (900.0, 1_000.0, (180.0, 1_000.0)),
        ] {
            assert_eq!(vus(per_s, most), wanted, "{per_s}");
        }
        let counts = [(120, 0), (119, 0), (36, 83), (121, 0)];
        for (iterations, wanted) in counts {
            assert_eq!(not_begun(40.0, 3, iterations), wanted);
        }
    }

    #[test]
    fn everything_but_this_machine_is_blocked() {
        let blocked = all_but(Some("10.1.2.3".parse().unwrap()));
        let covers = |address: &str| {
            let address: IpAddr = address.parse().unwrap();
            blocked.iter().any(|network| {
                let (base, length) = network.split_once('/').unwrap();
                let (base, length): (IpAddr, u32) =
                    (base.parse().unwrap(), length.parse().unwrap());
                let (a, b, bits) = match (address, base) {
                    (IpAddr::V4(a), IpAddr::V4(b)) => {
                        (u128::from(u32::from(a)), u128::from(u32::from(b)), 32)
                    }
                    (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(a), u128::from(b), 128),
                    _ => return false,
                };
                length == 0 || a >> (bits - length) == b >> (bits - length)
            })
        };
        for own in ["127.0.0.1", "127.255.255.255", "::1", "10.1.2.3"] {
            assert!(!covers(own), "{own}");
        }
        for other in [
            "126.255.255.255",
            "128.0.0.0",
            "10.1.2.2",
            "8.8.8.8",
            "::",
            "::2",
            "fe80::1",
        ] {
            assert!(covers(other), "{other}");
        }
        assert!(all_but(None).len() < 200);
    }
}
