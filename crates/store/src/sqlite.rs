//! One database file: how it is opened, and how its errors get their names.

use crate::error::StoreError;
use crate::limits::{LOCK_WAIT, READER_CACHE_KIB, STATEMENTS_MAX, WAL_PAGES, WRITER_CACHE_KIB};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};

/// What a commit promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Synced before it returns: the only copy.
    EveryCommit,
    /// Survives a killed process; after a power cut the newest commits may be missing, but never
    /// a part of one. Enough for what is continued from the journal.
    Checkpoints,
}

/// A connection that knows its file, for errors that name it.
#[derive(Debug)]
pub(crate) struct Db {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
}

impl Db {
    /// Opens or creates the file for writing. A new file gets `schema`; one of another version is
    /// refused.
    pub(crate) fn write(
        path: &Path,
        sync: Sync,
        schema: &str,
        version: i64,
    ) -> Result<Db, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Db::open(path, flags)?;
        let synchronous = if sync == Sync::EveryCommit {
            "FULL"
        } else {
            "NORMAL"
        };
        let settings = format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};
             PRAGMA wal_autocheckpoint = {WAL_PAGES}; PRAGMA cache_size = -{WRITER_CACHE_KIB};
             PRAGMA secure_delete = {}; PRAGMA foreign_keys = ON;",
            if sync == Sync::EveryCommit {
                "ON"
            } else {
                "OFF"
            },
        );
        db.done("setting up", db.connection.execute_batch(&settings))?;
        let found = db.version()?;
        if found == version {
            return Ok(db);
        }
        let tables = db.done(
            "reading the schema",
            db.connection
                .query_row("SELECT count(*) FROM sqlite_schema", [], |row| {
                    row.get::<_, i64>(0)
                }),
        )?;
        if found != 0 || tables != 0 {
            return Err(StoreError::OtherSchema {
                path: db.path,
                found,
                expected: version,
            });
        }
        let create = format!("BEGIN IMMEDIATE; {schema} PRAGMA user_version = {version}; COMMIT;");
        db.done("creating the tables", db.connection.execute_batch(&create))?;
        Ok(db)
    }

    /// Opens an existing file for reading only; writers never wait for it.
    pub(crate) fn read(path: &Path, version: i64) -> Result<Db, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Db::open(path, flags)?;
        let settings = format!("PRAGMA cache_size = -{READER_CACHE_KIB};");
        db.done("setting up", db.connection.execute_batch(&settings))?;
        let found = db.version()?;
        if found != version {
            return Err(StoreError::OtherSchema {
                path: db.path,
                found,
                expected: version,
            });
        }
        Ok(db)
    }

    fn open(path: &Path, flags: OpenFlags) -> Result<Db, StoreError> {
        let opened = Connection::open_with_flags(path, flags);
        let connection = opened.map_err(|error| StoreError::of(path, "opening", error))?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        let db = Db {
            connection,
            path: path.to_path_buf(),
        };
        db.done("setting up", db.connection.busy_timeout(LOCK_WAIT))?;
        Ok(db)
    }

    fn version(&self) -> Result<i64, StoreError> {
        self.done(
            "reading the version",
            self.connection
                .pragma_query_value(None, "user_version", |row| row.get(0)),
        )
    }

    /// Gives a result of SQLite its name.
    pub(crate) fn done<T>(
        &self,
        what: &'static str,
        result: rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        result.map_err(|error| StoreError::of(&self.path, what, error))
    }
}

/// 128 bits as a blob of 16 bytes, big-endian, so that blobs sort as the numbers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wide([u8; 16]);

impl Wide {
    pub(crate) fn of(value: u128) -> Wide {
        Wide(value.to_be_bytes())
    }

    pub(crate) fn value(self) -> u128 {
        u128::from_be_bytes(self.0)
    }
}

impl ToSql for Wide {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(&self.0)))
    }
}

impl FromSql for Wide {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = <[u8; 16]>::try_from(value.as_blob()?);
        bytes.map(Wide).map_err(|_| FromSqlError::InvalidType)
    }
}

/// 64 bits in SQLite's signed integer, bit by bit.
pub(crate) fn bits(value: u64) -> i64 {
    i64::from_ne_bytes(value.to_ne_bytes())
}

pub(crate) fn unbits(value: i64) -> u64 {
    u64::from_ne_bytes(value.to_ne_bytes())
}
