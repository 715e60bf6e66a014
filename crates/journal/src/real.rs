//! Files in a real folder. Folders are synced after every change of names; `sync_data` is
//! `fdatasync`, which is enough because segments never grow.

use crate::disk::{Access, Disk, DiskFile, Folder, LockError, write_all_at};
use crate::limits::{FOLDER_ENTRIES_MAX, ZERO_CHUNK_BYTES};
use rustix::fs::{Advice, FlockOperation, fadvise, flock, statvfs};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A data folder; `journal/` and `snapshots/` are made inside.
#[derive(Clone, Debug)]
pub struct RealDisk {
    root: Arc<Path>,
}

impl RealDisk {
    pub fn new(root: impl AsRef<Path>) -> Self {
        RealDisk {
            root: root.as_ref().into(),
        }
    }
    fn folder(&self, folder: Folder) -> PathBuf {
        self.root.join(folder.name())
    }
    fn path(&self, folder: Folder, name: &str) -> PathBuf {
        self.folder(folder).join(name)
    }
}

#[derive(Debug)]
pub struct RealFile(File);

/// The lock of the single writer: given back when the process ends, however it ends.
#[derive(Debug)]
pub struct RealLock {
    _file: File,
}

static ZEROS: [u8; ZERO_CHUNK_BYTES] = [0; ZERO_CHUNK_BYTES];

impl DiskFile for RealFile {
    fn bytes(&self) -> io::Result<u64> {
        self.0.metadata().map(|meta| meta.len())
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(buffer, offset)
    }
    fn write_zeros(&self, offset: u64, bytes: u64) -> io::Result<()> {
        let mut at = offset;
        while at < offset + bytes {
            let chunk = (offset + bytes - at).min(ZEROS.len() as u64);
            write_all_at(self, &ZEROS[..chunk as usize], at)?;
            at += chunk;
        }
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn uncache(&self) {
        // A hint: where it is not understood, the bytes come from memory.
        let _ = fadvise(&self.0, 0, None, Advice::DontNeed);
    }
}

fn sync_path(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

impl Disk for RealDisk {
    type File = RealFile;
    type Lock = RealLock;
    const BACKGROUND: bool = true;

    fn make_folder(&self, folder: Folder) -> io::Result<()> {
        let path = self.folder(folder);
        if path.is_dir() {
            return Ok(());
        }
        // Each new name is synced in the folder that holds it.
        let mut new: Vec<&Path> = Vec::new();
        for part in path.ancestors() {
            if part.as_os_str().is_empty() || part.is_dir() {
                break;
            }
            new.push(part);
        }
        for part in new.into_iter().rev() {
            match fs::create_dir(part) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
            let parent = part.parent().filter(|p| !p.as_os_str().is_empty());
            sync_path(parent.unwrap_or(Path::new(".")))?;
        }
        Ok(())
    }

    fn list(&self, folder: Folder) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.folder(folder)) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let mut names = Vec::new();
        for entry in entries {
            if names.len() == FOLDER_ENTRIES_MAX {
                return Err(io::Error::other(format!(
                    "more than {FOLDER_ENTRIES_MAX} names"
                )));
            }
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, folder: Folder, name: &str, access: Access) -> io::Result<RealFile> {
        let write = access == Access::Write;
        let opened = OpenOptions::new()
            .read(true)
            .write(write)
            .open(self.path(folder, name))?;
        if !opened.metadata()?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        Ok(RealFile(opened))
    }

    fn create(&self, folder: Folder, name: &str) -> io::Result<RealFile> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        options.open(self.path(folder, name)).map(RealFile)
    }

    fn rename(&self, folder: Folder, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(folder, from), self.path(folder, to))
    }

    fn remove(&self, folder: Folder, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(folder, name))
    }

    fn sync_folder(&self, folder: Folder) -> io::Result<()> {
        sync_path(&self.folder(folder))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = statvfs(&*self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn lock(&self, name: &str) -> Result<RealLock, LockError> {
        let path = self.path(Folder::Journal, name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(LockError::Failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                // The holder's number is a courtesy: unreadable, it is left out.
                let read = (&mut file).take(32).read_to_string(&mut text);
                let pid = read.ok().and_then(|_| text.trim().parse().ok());
                return Err(LockError::Held { pid });
            }
            Err(e) => return Err(LockError::Failed(e.into())),
        }
        let noted = file
            .set_len(0)
            .and_then(|()| file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0));
        noted.map_err(LockError::Failed)?;
        Ok(RealLock { _file: file })
    }
}
