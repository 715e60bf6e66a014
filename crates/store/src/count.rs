//! One number from any SQLite file, for those who look whether something is in it. Reads only, and
//! knows nothing of the file's tables.

use crate::error::StoreError;
use crate::limits::LOCK_WAIT;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// The first column of the first row of `query`.
pub fn count_rows(path: &Path, query: &str) -> Result<i64, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let count = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(LOCK_WAIT)?;
        connection.query_row(query, [], |row| row.get(0))
    };
    count().map_err(|error| StoreError::of(path, "counting", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        assert!(count_rows(&file, "SELECT 1").is_err(), "no file is made");
        let connection = Connection::open(&file).unwrap();
        connection
            .execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)")
            .unwrap();
        assert_eq!(count_rows(&file, "SELECT count(*) FROM t").unwrap(), 2);
        for bad in [
            "DELETE FROM t RETURNING 1",
            "SELECT count(*) FROM nix",
            "SELECT 'a'",
        ] {
            assert!(count_rows(&file, bad).is_err(), "{bad}");
        }
        assert_eq!(count_rows(&file, "SELECT count(*) FROM t").unwrap(), 2);
    }
}
