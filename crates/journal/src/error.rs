//! What can go wrong, by type: damage and environment. Misuse of the log and the state of a
//! batch have types of their own beside the trait ([`crate::Misuse`], [`crate::Settled`]).

use std::io;
use thiserror::Error;

/// Bytes on disk that no crash of ours leaves behind. Names the file and the byte.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file} is damaged at byte {offset}: {what}")]
pub struct Damage {
    /// Relative to the data folder.
    pub file: String,
    pub offset: u64,
    pub what: String,
}

/// Why bytes could not be read back.
#[derive(Debug, Error)]
pub enum ReadError {
    #[error(transparent)]
    Damaged(#[from] Damage),
    #[error(
        "{file} has format version {found}, this program reads version {expected}: \
         use the program that wrote it"
    )]
    Version {
        file: String,
        found: u32,
        expected: u32,
    },
    #[error("sequence {asked} was pruned: the oldest segment starts with {oldest}")]
    Pruned { asked: u64, oldest: u64 },
    #[error("there is no journal here: {file} does not exist")]
    Absent { file: String },
    #[error("cannot {doing} {file}: {source}")]
    Failed {
        doing: &'static str,
        file: String,
        source: io::Error,
    },
}

/// Why a journal was not opened for writing. Nothing was changed unless it says `Write`.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error(
        "{file} is held by {}: only one process may write a journal",
        holder(*.pid)
    )]
    Locked { file: String, pid: Option<u32> },
    #[error("the journal's {name} is {found}, expected {expected}")]
    Options {
        name: &'static str,
        found: u64,
        expected: String,
    },
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("cannot {doing} {file}: {source}")]
    Write {
        doing: &'static str,
        file: String,
        source: io::Error,
    },
}

impl From<Damage> for OpenError {
    fn from(damage: Damage) -> Self {
        OpenError::Read(ReadError::Damaged(damage))
    }
}

/// Why a snapshot was not written, read or pruned.
#[derive(Debug, Error)]
pub enum SnapshotError {
    #[error("{file} was written, but reads back wrong: {what}")]
    Unverified { file: String, what: String },
    #[error("cannot {doing} {file}: {source}")]
    Failed {
        doing: &'static str,
        file: String,
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}
