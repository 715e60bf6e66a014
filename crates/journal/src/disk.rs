//! The seam to files: a flat, small set of operations that a real folder and a faulty disk in
//! memory both offer. Names are relative to one of two folders, so nothing here can leave the
//! data folder. It must not know formats.

use crate::limits::INTERRUPTIONS_MAX;
use std::fmt;
use std::io;

/// The two folders of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Folder {
    Journal,
    Snapshots,
}

impl Folder {
    pub fn name(self) -> &'static str {
        match self {
            Folder::Journal => "journal",
            Folder::Snapshots => "snapshots",
        }
    }
    /// How messages name a file: relative to the data folder.
    pub fn path(self, name: &str) -> String {
        format!("{}/{name}", self.name())
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// Why a lock was not given.
#[derive(Debug)]
pub enum LockError {
    /// Somebody holds it; the process id if it could be read.
    Held {
        pid: Option<u32>,
    },
    Failed(io::Error),
}

/// A file system, as far as the journal needs one. Clones see the same files.
pub trait Disk: Clone + Send + Sync + 'static {
    type File: DiskFile;
    /// Held as long as the value lives.
    type Lock: Send + 'static;
    /// Whether slow preparations may run on a thread of their own.
    const BACKGROUND: bool;

    /// Creates the folder, durably, if it does not exist.
    fn make_folder(&self, folder: Folder) -> io::Result<()>;
    /// The names in a folder, in no order; none if the folder does not exist. At most
    /// [`crate::limits::FOLDER_ENTRIES_MAX`].
    fn list(&self, folder: Folder) -> io::Result<Vec<String>>;
    fn open(&self, folder: Folder, name: &str, access: Access) -> io::Result<Self::File>;
    /// A new empty file for writing; whatever had the name is replaced.
    fn create(&self, folder: Folder, name: &str) -> io::Result<Self::File>;
    /// Atomic; replaces `to`.
    fn rename(&self, folder: Folder, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, folder: Folder, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals in the folder durable.
    fn sync_folder(&self, folder: Folder) -> io::Result<()>;
    /// Bytes that may still be allocated.
    fn free_bytes(&self) -> io::Result<u64>;
    /// Takes the single writer's lock in the journal folder.
    fn lock(&self, name: &str) -> Result<Self::Lock, LockError>;
}

/// One open file. Reads and writes may be short, as the system's are.
pub trait DiskFile: Send + Sync + 'static {
    fn bytes(&self) -> io::Result<u64>;
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize>;
    /// Writes zeros, all of them: cheap in memory, real writes on a disk.
    fn write_zeros(&self, offset: u64, bytes: u64) -> io::Result<()>;
    /// Makes the file's bytes and length durable. After an error nothing is known.
    fn sync_data(&self) -> io::Result<()>;
    /// Hints that the next read should come from the disk and not from memory.
    fn uncache(&self) {}
}

/// Reads until the buffer is full or the file ends; the bytes read.
pub(crate) fn read_full_at<F: DiskFile>(
    file: &F,
    buffer: &mut [u8],
    offset: u64,
) -> io::Result<usize> {
    let (mut done, mut interruptions) = (0, 0);
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                interruptions += 1;
                if interruptions > INTERRUPTIONS_MAX {
                    return Err(e);
                }
            }
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// Writes all of it, going on after short writes.
pub(crate) fn write_all_at<F: DiskFile>(file: &F, buffer: &[u8], offset: u64) -> io::Result<()> {
    let (mut done, mut interruptions) = (0, 0);
    while done < buffer.len() {
        match file.write_at(&buffer[done..], offset + done as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => done += written,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                interruptions += 1;
                if interruptions > INTERRUPTIONS_MAX {
                    return Err(e);
                }
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
