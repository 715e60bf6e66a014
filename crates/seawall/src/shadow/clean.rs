//! `seawall shadow clean`: removes what rehearsals left in a data folder, and says what that is.
//! A shadow that a process has open is closed first, or left alone.

use super::Operator;
use super::note::Note;
use anyhow::{Context, anyhow};
use host::Exit;
use journal::{Disk, RealDisk};
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Files of one shadow; more are counted and removed, but not listed.
const LISTED_MAX: usize = 10_000;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only the shadow of this run.
    #[arg(long)]
    run: Option<String>,
    /// Close the open shadow of the running shop first.
    #[arg(long)]
    close: bool,
    /// Say what would be removed, and remove nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    operator: Operator,
    /// The list as JSON on stdout.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Removed {
    run: String,
    folder: PathBuf,
    files: Vec<Entry>,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Entry {
    file: PathBuf,
    bytes: u64,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.close && !args.dry_run {
        let state = args.operator.ask("GET", "/operator/shadow", None)?;
        let open = state["run"].as_str();
        if open.is_some() && (args.run.is_none() || open == args.run.as_deref()) {
            args.operator.ask("DELETE", "/operator/shadow", None)?;
        }
    }
    let found = shadows(&args.operator.folder.data, args.run.as_deref())?;
    let mut all = Vec::new();
    for folder in found {
        let removed = look(&folder)?;
        if !args.dry_run {
            remove(&folder)?;
        }
        all.push(removed);
    }
    if args.json {
        println!("{}", json!({"removed": !args.dry_run, "shadows": all}));
        return Ok(Exit::Good.into());
    }
    for shadow in &all {
        for entry in &shadow.files {
            println!("{:>12}  {}", entry.bytes, entry.file.display());
        }
        let (run, bytes) = (&shadow.run, shadow.bytes);
        println!("{bytes:>12}  in all, of run {run}");
    }
    match (all.is_empty(), args.dry_run) {
        (true, _) => println!("there is no shadow to remove"),
        (false, true) => println!("nothing was removed"),
        (false, false) => println!("removed"),
    }
    Ok(Exit::Good.into())
}

fn shadows(data: &Path, run: Option<&str>) -> anyhow::Result<Vec<PathBuf>> {
    if let Some(run) = run {
        // A name that is no run's could lead out of the folder.
        let run = gateway::mark::RunId::new(run)
            .ok_or_else(|| anyhow!("--run: expected 1 to 64 letters, digits, '-' or '_'"))?;
        let folder = super::note::folder(data, run.as_str());
        return Ok(folder.is_dir().then_some(folder).into_iter().collect());
    }
    let parent = data.join("shadow");
    let entries = match std::fs::read_dir(&parent) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", parent.display()));
        }
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}

fn look(folder: &Path) -> anyhow::Result<Removed> {
    let name = folder.file_name().unwrap_or_default();
    let run = match Note::read(folder)? {
        Some(note) => note.run,
        None => name.to_string_lossy().into_owned(),
    };
    let mut removed = Removed {
        run,
        folder: folder.to_owned(),
        files: Vec::new(),
        bytes: 0,
    };
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let (entry, path) = entry.map(|entry| (entry.file_type(), entry.path()))?;
            // Links are removed, not followed.
            if entry?.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::symlink_metadata(&path)?.len();
            removed.bytes += bytes;
            if removed.files.len() < LISTED_MAX {
                removed.files.push(Entry { file: path, bytes });
            }
        }
    }
    removed.files.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(removed)
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    // Held until the folder is gone, so that nobody opens it meanwhile.
    let lock = match folder.join("journal").is_dir() {
        true => Some(RealDisk::new(folder).lock("LOCK").map_err(|error| {
            anyhow!(
                "{} is in use ({error:?}): close it first, or say --close",
                folder.display()
            )
        })?),
        false => None,
    };
    std::fs::remove_dir_all(folder)
        .with_context(|| format!("cannot remove {}", folder.display()))?;
    drop(lock);
    Ok(())
}
