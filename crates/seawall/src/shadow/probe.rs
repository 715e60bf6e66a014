//! Queries that count marked rows in tables of other people: SQLite read here, PostgreSQL through
//! the `psql` of this machine. A query that cannot be asked is no answer, never a zero.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Bytes of a file of probes, and how many stand in it.
const FILE_BYTES_MAX: u64 = 1 << 20;
const PROBES_MAX: usize = 1_000;
/// No count takes longer; the database is told so too.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Of what psql says, so much is read.
const SAID_BYTES_MAX: u64 = 64 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    probes: Vec<Probe>,
}

/// `{run}` in a query is the run's name, which is made of letters, digits, '-' and '_'.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    name: String,
    /// The file of a SQLite database.
    sqlite: Option<PathBuf>,
    /// What psql connects to: a URL or `service=…`; passwords belong into ~/.pgpass.
    postgres: Option<String>,
    /// Gives one row with one whole number.
    query: String,
    #[serde(default)]
    expected: i64,
}

#[derive(Debug, Serialize)]
pub struct Counted {
    pub name: String,
    pub expected: i64,
    /// `null`: it could not be asked.
    pub found: Option<i64>,
    pub problem: Option<String>,
}

impl Counted {
    pub fn is_bad(&self) -> bool {
        self.found.is_some_and(|found| found != self.expected)
    }
}

/// Relative paths start at the file.
pub fn read(path: &Path) -> anyhow::Result<Vec<Probe>> {
    let named = || path.display().to_string();
    let mut text = String::new();
    let file = std::fs::File::open(path).with_context(named)?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .with_context(named)?;
    anyhow::ensure!(
        text.len() as u64 <= FILE_BYTES_MAX,
        "{}: more than {FILE_BYTES_MAX} bytes",
        named()
    );
    let mut file: File =
        serde_saphyr::from_str(&text).map_err(|error| anyhow::anyhow!("{}: {error}", named()))?;
    let mut problems = Vec::new();
    if file.version != 1 {
        problems.push(format!("version: found {}, expected 1", file.version));
    }
    if file.probes.len() > PROBES_MAX {
        problems.push(format!("probes: more than {PROBES_MAX}"));
    }
    for (index, probe) in file.probes.iter_mut().enumerate() {
        match (&mut probe.sqlite, &probe.postgres) {
            (Some(sqlite), None) => {
                let folder = path.parent().unwrap_or(Path::new("."));
                *sqlite = folder.join(&*sqlite);
            }
            (None, Some(_)) => {}
            _ => problems.push(format!(
                "probes[{index}] ({}): expected sqlite or postgres, one of the two",
                probe.name
            )),
        }
    }
    anyhow::ensure!(problems.is_empty(), "{}: {}", named(), problems.join("; "));
    Ok(file.probes)
}

impl Probe {
    pub fn count(&self, run: &str) -> Counted {
        let query = self.query.replace("{run}", run);
        let found = match (&self.sqlite, &self.postgres) {
            (Some(file), _) => store::count_rows(file, &query).map_err(|e| e.to_string()),
            (None, Some(to)) => psql(to, &query),
            (None, None) => Err("no database is named".to_owned()),
        };
        let problem = found.as_ref().err().cloned();
        Counted {
            name: self.name.clone(),
            expected: self.expected,
            found: found.ok(),
            problem,
        }
    }
}

fn psql(to: &str, query: &str) -> Result<i64, String> {
    let limit = ANSWER_WITHIN.as_millis();
    let options = format!("-c default_transaction_read_only=on -c statement_timeout={limit}");
    let started = Command::new("psql")
        .args(["-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1"])
        .args(["-d", to, "-c", query])
        .env("PGOPTIONS", options)
        .env("PGCONNECT_TIMEOUT", "10")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = started.map_err(|error| format!("psql does not run: {error}"))?;
    let begun = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begun.elapsed() < ANSWER_WITHIN => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(None) | Err(_) => {
                // Whatever becomes of it, there is no answer.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!(
                    "psql did not end within {} s",
                    ANSWER_WITHIN.as_secs()
                ));
            }
        }
    };
    let said = |pipe: Option<&mut dyn Read>| {
        let mut text = String::new();
        // What cannot be read says nothing.
        let _ = pipe.map(|pipe| pipe.take(SAID_BYTES_MAX).read_to_string(&mut text));
        text.trim().to_owned()
    };
    let out = said(child.stdout.as_mut().map(|pipe| pipe as &mut dyn Read));
    let err = said(child.stderr.as_mut().map(|pipe| pipe as &mut dyn Read));
    if !status.success() {
        let first = err.lines().next().unwrap_or("no reason was given");
        return Err(format!("psql: {first}"));
    }
    out.parse()
        .map_err(|_| format!("psql answered {out:?}, expected one whole number"))
}
