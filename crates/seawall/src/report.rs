//! `seawall report`: load reports, ours and other people's, shown and compared. It reads files and
//! runs nothing.

use ::load::report::{compare, junit, page, read, table};
use anyhow::Context;
use host::Exit;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Show a report: of `seawall load`, a summary of k6 (JSON), a result file of JMeter (CSV).
    ///
    /// Exit 0: the verdict in it is good; 99: bad; 2: none; 64: the file cannot be read.
    ///
    /// Example: seawall report show results.jtl --html results.html
    Show(Show),
    /// Whether the second run differs from the first by more than chance.
    ///
    /// Exit 0: not significantly worse; 99: significantly worse; 2: not comparable, or nothing
    /// could be tested; 64: a file cannot be read.
    ///
    /// Example: seawall report compare before.json after.json
    Compare(CompareArgs),
}

#[derive(Debug, clap::Args)]
pub struct Show {
    /// The report.
    file: PathBuf,
    /// As JSON, in the shape of schemas/load-report.json.
    #[arg(long)]
    json: bool,
    /// Also as a page that stands alone.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Also as JUnit XML, one test case a threshold and a check.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    /// The report that was before.
    a: PathBuf,
    /// The report that is compared with it.
    b: PathBuf,
    /// Also where scenario, rate or tool differ.
    #[arg(long)]
    anyway: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(what: &What) -> anyhow::Result<ExitCode> {
    match what {
        What::Show(args) => show(args),
        What::Compare(args) => compared(args),
    }
}

fn show(args: &Show) -> anyhow::Result<ExitCode> {
    let report = match read(&args.file) {
        Ok(report) => report,
        Err(bad) => return Ok(unreadable(&bad)),
    };
    if let Some(file) = &args.html {
        write(file, &page(&report))?;
    }
    if let Some(file) = &args.junit {
        write(file, &junit(&report))?;
    }
    say(&match args.json {
        true => format!("{}\n", serde_json::to_string_pretty(&report)?),
        false => table(&report),
    })?;
    // Not the one in the file: whoever changed that would change a pipeline's mind.
    Ok(ExitCode::from(report.verdict.exit_code()))
}

fn compared(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    let (a, b) = match (read(&args.a), read(&args.b)) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(bad), _) | (_, Err(bad)) => return Ok(unreadable(&bad)),
    };
    let comparison = compare(&a, &b, args.anyway);
    say(&match args.json {
        true => format!("{}\n", serde_json::to_string_pretty(&comparison)?),
        false => comparison.table(),
    })?;
    if !comparison.apart.is_empty() && !args.anyway {
        eprintln!("seawall: not comparable; --anyway compares all the same");
    }
    Ok(ExitCode::from(comparison.verdict.exit_code()))
}

fn unreadable(bad: &::load::report::Unreadable) -> ExitCode {
    eprintln!("seawall: {bad}");
    Exit::Usage.into()
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// A reader that went away is no failure.
fn say(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
