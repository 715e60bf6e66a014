//! The ports file: where this process really listens, for tests and tools that asked for port 0.
//!
//! It appears whole or not at all, and only once everything in it answers.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Cannot write the ports file.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the ports file {path:?}: {source}")]
pub struct ReadyFileError {
    path: PathBuf,
    source: io::Error,
}

/// Writes `{"pid": …, "<name>": "<address>", …}`.
pub fn write(path: &Path, listeners: &[(&str, SocketAddr)]) -> Result<(), ReadyFileError> {
    let mut fields: BTreeMap<&str, serde_json::Value> = listeners
        .iter()
        .map(|(name, addr)| (*name, addr.to_string().into()))
        .collect();
    fields.insert("pid", std::process::id().into());
    let text = format!("{}\n", serde_json::json!(fields));
    replace(path, text.as_bytes()).map_err(|source| ReadyFileError {
        path: path.to_owned(),
        source,
    })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    std::fs::write(&beside, bytes)?;
    std::fs::rename(&beside, path)
}
