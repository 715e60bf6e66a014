//! The data folder at start: there, a folder, ours to read and write – or a sentence that says
//! which of these it is not.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with the data folder.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    #[error("the data folder {path:?} is not a folder: expected a folder, or a free name")]
    NotAFolder { path: PathBuf },
    #[error("cannot create the data folder {path:?}: {source}")]
    Create { path: PathBuf, source: io::Error },
    #[error(
        "cannot read the data folder {path:?}: {source}; \
         expected it to belong to the user that runs seawall"
    )]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(
        "cannot write in the data folder {path:?}: {source}; \
         expected it to belong to the user that runs seawall, on a disk that takes writes"
    )]
    Unwritable { path: PathBuf, source: io::Error },
}

/// Makes sure of the folder, creating it if nothing has its name.
pub fn prepare(path: &Path) -> Result<(), DataFolderError> {
    let path_buf = || path.to_owned();
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => {
            return Err(DataFolderError::NotAFolder { path: path_buf() });
        }
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path).map_err(|source| DataFolderError::Create {
                path: path_buf(),
                source,
            })?
        }
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
            return Err(DataFolderError::Create {
                path: path_buf(),
                source: e,
            });
        }
        Err(source) => {
            return Err(DataFolderError::Unreadable {
                path: path_buf(),
                source,
            });
        }
    }
    fs::read_dir(path).map_err(|source| DataFolderError::Unreadable {
        path: path_buf(),
        source,
    })?;
    try_write(path).map_err(|source| DataFolderError::Unwritable {
        path: path_buf(),
        source,
    })
}

/// Permissions tell only half (read-only disks, quotas), so a file is written.
fn try_write(path: &Path) -> io::Result<()> {
    let probe = path.join(format!(".write-probe-{}", std::process::id()));
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&probe)?;
    fs::remove_file(probe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_created_and_left_empty() {
        let temp = tempfile::tempdir().unwrap();
        let data = temp.path().join("a/b");
        prepare(&data).unwrap();
        prepare(&data).unwrap();
        assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
    }

    #[test]
    fn each_trouble_has_its_own_sentence() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("file");
        fs::write(&file, "").unwrap();
        let not_folder = prepare(&file).unwrap_err();
        assert!(
            matches!(not_folder, DataFolderError::NotAFolder { .. }),
            "{not_folder:?}"
        );
        let below = prepare(&file.join("data")).unwrap_err();
        assert!(matches!(below, DataFolderError::Create { .. }), "{below:?}");
        // Stands for every path the system will not let us look at, also where root may all.
        let (a, b) = (temp.path().join("a"), temp.path().join("b"));
        std::os::unix::fs::symlink(&a, &b).unwrap();
        std::os::unix::fs::symlink(&b, &a).unwrap();
        let unreadable = prepare(&a).unwrap_err();
        assert!(
            matches!(unreadable, DataFolderError::Unreadable { .. }),
            "{unreadable:?}"
        );
        // Nobody may create files here, not even root.
        let unwritable = prepare(Path::new("/proc/self")).unwrap_err();
        assert!(
            matches!(unwritable, DataFolderError::Unwritable { .. }),
            "{unwritable:?}"
        );
        assert!(
            unwritable.to_string().contains("/proc/self"),
            "{unwritable}"
        );
    }
}
