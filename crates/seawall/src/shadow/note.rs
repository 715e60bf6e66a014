//! `shadow.json` in a shadow's folder: of which run it is, and where the real books stood when it
//! was seeded. It is written last, so that a folder without it served nobody.

use anyhow::Context;
use sale::Ledger;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};

const FILE: &str = "shadow.json";
const VERSION: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    pub version: u32,
    pub run: String,
    /// In all its order ids.
    pub cell: u16,
    /// In all order ids of the real books.
    pub real_cell: u16,
    /// The last real entry before it.
    pub real_seq: u64,
    pub opened_ms: u64,
}

impl Note {
    pub fn new(run: &str, cell: u16, real: &Ledger, now_ms: u64) -> Note {
        Note {
            version: VERSION,
            run: run.to_owned(),
            cell,
            real_cell: real.cell(),
            real_seq: real.seq().0,
            opened_ms: now_ms,
        }
    }

    /// `None`: there is none.
    pub fn read(folder: &Path) -> anyhow::Result<Option<Note>> {
        let path = folder.join(FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let note: Note =
            serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        anyhow::ensure!(
            note.version == VERSION,
            "{}: version {}, expected {VERSION}",
            path.display(),
            note.version
        );
        Ok(Some(note))
    }

    /// Whole or not at all.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let (path, fresh) = (folder.join(FILE), folder.join("shadow.json.new"));
        let write = || {
            let mut file = std::fs::File::create(&fresh)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()?;
            std::fs::rename(&fresh, &path)?;
            std::fs::File::open(folder)?.sync_all()
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The folder of a run's shadow.
pub fn folder(data: &Path, run: &str) -> PathBuf {
    data.join("shadow").join(run)
}
