//! What can fail in the environment of a database. Refusals (an e-mail that is taken) are answers
//! and have types of their own.

use rusqlite::ErrorCode;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{}: the disk is full", path.display())]
    DiskFull { path: PathBuf },
    /// Another process or connection holds it for longer than [`crate::limits::LOCK_WAIT`].
    #[error("{}: locked by another connection for too long", path.display())]
    Locked { path: PathBuf },
    #[error("{}: cannot be opened or written: {why}", path.display())]
    Unusable { path: PathBuf, why: String },
    #[error("{}: not an intact SQLite database: {why}", path.display())]
    Damaged { path: PathBuf, why: String },
    /// Written by another version of this program.
    #[error("{}: has schema {found}, this program expects {expected}", path.display())]
    OtherSchema {
        path: PathBuf,
        found: i64,
        expected: i64,
    },
    /// Entries between would be lost; nothing was applied.
    #[error(
        "{}: applied up to entry {applied}, so entry {expected} is next, but the batch \
         starts at {first}", path.display(), expected = applied + 1
    )]
    Gap {
        path: PathBuf,
        applied: u64,
        first: u64,
    },
    /// A stored value that this program never writes.
    #[error("{}: {table} holds a value out of range in {column}", path.display())]
    BadValue {
        path: PathBuf,
        table: &'static str,
        column: &'static str,
    },
    #[error("{}: {what}: {source}", path.display())]
    Sqlite {
        path: PathBuf,
        what: &'static str,
        source: rusqlite::Error,
    },
}

impl StoreError {
    /// Names what SQLite reports by its code; `what` says what was being done.
    pub(crate) fn of(path: &Path, what: &'static str, source: rusqlite::Error) -> StoreError {
        let path = path.to_path_buf();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::DiskFull { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                StoreError::Locked { path }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged {
                path,
                why: source.to_string(),
            },
            Some(
                ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::SystemIoFailure,
            ) => StoreError::Unusable {
                path,
                why: source.to_string(),
            },
            None if matches!(source, rusqlite::Error::QueryReturnedNoRows) => {
                let why = format!("{what}: a row that must be there is missing");
                StoreError::Damaged { path, why }
            }
            _ => StoreError::Sqlite { path, what, source },
        }
    }
}
