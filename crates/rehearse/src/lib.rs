//! The rehearsal: an open-loop flood of buyers against a shop, a kill in the middle, and an audit
//! that believes only what buyers were told and what an offline reading of the journal says.
//!
//! [`run`] takes what is to be rehearsed and gives a [`Report`]. A campaign, real orders and the
//! crash test are one machine: `stage` plans, `run` starts and kills the shop, `load` sends,
//! `follow` is the buyers, `door` notes what the front door says, `books` audits, `report`
//! judges, `table` and `html` show.
//!
//! It must not know how the shop works: it speaks HTTP, sends signals and reads files.

mod answers;
mod books;
mod child;
mod client;
mod config;
mod door;
pub mod drill;
#[cfg(test)]
mod fake;
mod follow;
mod html;
mod judge;
pub mod limits;
mod load;
mod measure;
mod meter;
mod orders;
mod parts;
mod plan;
mod progress;
mod receipts;
mod report;
mod run;
mod stage;
mod table;
mod task;
#[cfg(test)]
mod tests;
mod token;
mod weighted;

pub use run::{Admin, Failed, Running, Where};
pub use stage::{Kill, Subject};

use run::Stage;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use wire::report::{Build, Machine, Verdict};

/// One rehearsal.
#[derive(Clone, Debug)]
pub struct Options {
    pub subject: Subject,
    pub place: Where,
    /// The same seed plans the same buyers.
    pub seed: u64,
    /// Where data, log and configuration of the shop are kept. `None`: a temporary folder, kept
    /// only when a promise was broken.
    pub folder: Option<PathBuf>,
    /// The command as it was typed, for the report.
    pub command: String,
    /// No progress on stderr.
    pub quiet: bool,
}

/// What a rehearsal found out.
#[derive(Clone, Debug)]
pub struct Report {
    envelope: Envelope,
}

#[derive(Clone, Debug)]
enum Envelope {
    Shop(Box<wire::report::Report<report::Body>>),
    Services(Box<wire::report::Report<drill::services::Body>>),
}

/// Runs a rehearsal from start to verdict.
pub fn run(options: &Options) -> Result<Report, Failed> {
    let began = Instant::now();
    let started = jiff::Timestamp::now();
    let (folder, temporary) = folder(options.folder.as_deref())?;
    let staged = match &options.subject {
        Subject::File(path) => {
            let Where::Own { seawall } = &options.place else {
                let what = "a rehearsal file says itself what is rehearsed; leave --url out";
                return Err(Failed::Usage(what.to_owned()));
            };
            let file = drill::file::read(path)?;
            if let wire::rehearsal::Subject::Services(_) = &file.rehearsal.subject {
                let place = drill::services::Place {
                    path,
                    folder: &folder,
                    seawall,
                    quiet: options.quiet,
                };
                let name = file.rehearsal.name.clone();
                let body = drill::services::run(file, &place)?;
                let verdict = judge::verdict(&body.expectations);
                let kept = ("drill", name, verdict);
                let report = envelope(kept, body, (began, started), options);
                let envelope = Envelope::Services(Box::new(report));
                return Ok(Report { envelope });
            }
            stage::shop(file, options.seed)?
        }
        subject => stage::stage(subject, options.seed, &folder)?,
    };
    let stage = Stage {
        plan: Arc::new(staged.plan),
        place: options.place.clone(),
        campaign: staged.text,
        kills_us: match options.place {
            Where::Own { .. } => staged.kills_us,
            // Nobody kills a shop that somebody else runs.
            Where::Running(_) => Vec::new(),
        },
        folder: folder.clone(),
        quiet: options.quiet,
        run: format!("{:x}", started.as_millisecond()),
        drill: staged.drill,
    };
    let ran = run::run(&stage)?;
    let mut demands = staged.demands;
    demands.kills = stage.kills_us.len();
    let plan = &stage.plan;
    let mut body = report::body(
        &staged.title,
        options.seed,
        plan,
        &ran,
        &demands,
        staged.remarks,
    );
    let verdict = judge::verdict(&body.expectations);
    if let (Some(temporary), Verdict::Broken) = (temporary, verdict) {
        let kept = temporary.keep();
        body.remarks.push(format!(
            "What the shop left behind is kept in {}.",
            kept.display()
        ));
    }
    let about = (staged.kind, staged.name, verdict);
    let report = envelope(about, body, (began, started), options);
    let envelope = Envelope::Shop(Box::new(report));
    Ok(Report { envelope })
}

/// Who ran what, where and when.
fn envelope<T>(
    (kind, name, verdict): (&str, String, Verdict),
    body: T,
    (began, started): (Instant, jiff::Timestamp),
    options: &Options,
) -> wire::report::Report<T> {
    wire::report::Report {
        version: wire::report::VERSION,
        kind: kind.to_owned(),
        name,
        verdict,
        exit_code: verdict.exit_code(),
        command: options.command.clone(),
        build: build(),
        machine: machine(),
        started: started
            .round(jiff::Unit::Second)
            .unwrap_or(started)
            .to_string(),
        seconds: began.elapsed().as_secs_f64(),
        body,
    }
}

impl Report {
    /// The one readable table.
    pub fn table(&self) -> String {
        match &self.envelope {
            Envelope::Shop(report) => table::text(report),
            Envelope::Services(report) => drill::services::table(report),
        }
    }
    pub fn to_json(&self) -> String {
        let text = match &self.envelope {
            Envelope::Shop(report) => serde_json::to_string_pretty(report),
            Envelope::Services(report) => serde_json::to_string_pretty(report),
        };
        text.unwrap_or_else(|error| unreachable!("a report of plain values: {error}"))
    }
    pub fn to_html(&self) -> String {
        match &self.envelope {
            Envelope::Shop(report) => html::page(report),
            Envelope::Services(report) => drill::services::page(report),
        }
    }
    /// Expectations as test cases.
    pub fn to_junit(&self) -> String {
        match &self.envelope {
            Envelope::Shop(report) => drill::show::junit(&report.name, &report.body.expectations),
            Envelope::Services(report) => drill::services::junit(report),
        }
    }
    pub fn write_html(&self, path: &Path) -> io::Result<()> {
        std::fs::write(path, self.to_html())
    }
    pub fn verdict(&self) -> Verdict {
        match &self.envelope {
            Envelope::Shop(report) => report.verdict,
            Envelope::Services(report) => report.verdict,
        }
    }
    /// 0 it holds, 99 a promise was broken, 2 no verdict.
    pub fn exit_code(&self) -> u8 {
        self.verdict().exit_code()
    }
}

fn folder(asked: Option<&Path>) -> Result<(PathBuf, Option<tempfile::TempDir>), Failed> {
    let failed = |file: PathBuf| {
        move |source: io::Error| Failed::File {
            file,
            what: source.to_string(),
        }
    };
    if let Some(path) = asked {
        std::fs::create_dir_all(path).map_err(failed(path.to_path_buf()))?;
        let path = path.canonicalize().map_err(failed(path.to_path_buf()))?;
        let data = path.join("data");
        if data.exists() {
            let what = "is there already: a rehearsal starts with empty books".to_owned();
            return Err(Failed::File { file: data, what });
        }
        return Ok((path, None));
    }
    let made = tempfile::Builder::new()
        .prefix("seawall-rehearsal-")
        .tempdir();
    let made = made.map_err(failed(std::env::temp_dir()))?;
    Ok((made.path().to_path_buf(), Some(made)))
}

/// This program, for the envelope of reports.
pub fn build() -> Build {
    let commit = option_env!("SEAWALL_COMMIT")
        .map(str::to_owned)
        .or_else(|| {
            let output = std::process::Command::new("git")
                .args(["rev-parse", "--short", "HEAD"])
                .output()
                .ok()?;
            let text = String::from_utf8(output.stdout).ok()?;
            output.status.success().then(|| text.trim().to_owned())
        });
    Build {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: commit.unwrap_or_else(|| "unknown".to_owned()),
        profile: if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        }
        .to_owned(),
    }
}

/// This machine, for the envelope of reports.
pub fn machine() -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = field(&read("/proc/cpuinfo"), "model name");
    let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let memory_kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
    let release = read("/proc/sys/kernel/osrelease");
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    Machine {
        processor: processor.unwrap_or_else(|| "unknown processor".to_owned()),
        cores: u32::try_from(cores).unwrap_or(u32::MAX),
        memory_mib: memory_kib / 1_024,
        system: format!("{} {}", std::env::consts::OS, release.trim()),
    }
}
