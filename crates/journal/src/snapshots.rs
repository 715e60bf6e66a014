//! Snapshot files: `<sequence>.snap`, opaque content with a checked head. One counts only after
//! it was read back; a torn or corrupt one is passed over for the one before it.
//!
//! Head (512 bytes, zero where unnamed): magic 0..8, version 8..12, journal id 16..32, sequence
//! 32..40, content bytes 40..48, CRC-32 of the content 48..52, CRC-32 of bytes 0..508 at 508.

use crate::disk::{Access, Disk, DiskFile, Folder, read_full_at, write_all_at};
use crate::error::SnapshotError;
use crate::format::{FORMAT_VERSION, number_of, numbered, put, u32_at, u64_at, u128_at};
use crate::limits::{SECTOR_BYTES, SNAPSHOT_CHUNK_BYTES};
use std::collections::BTreeSet;
use std::io::{self, Read, Write};

const MAGIC: [u8; 8] = *b"SEAWALLS";
const SUFFIX: &str = ".snap";
const NEW: &str = "new";
const HEAD_BYTES: usize = SECTOR_BYTES;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// The state after this entry.
    pub sequence: u64,
    /// Of the content.
    pub bytes: u64,
    pub crc: u32,
}

/// A file that looks like a snapshot and is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub file: String,
    pub why: String,
}

/// A verified snapshot, if there is one, and what was passed over to find it.
pub struct Found<F> {
    pub snapshot: Option<Snapshot<F>>,
    pub skipped: Vec<Skipped>,
}

/// Verified content, read from the start.
pub struct Snapshot<F> {
    pub info: SnapshotInfo,
    file: F,
    done: u64,
    buffer: Vec<u8>,
    taken: usize,
}

/// The snapshots of one journal. One writer at a time; readers as many as wanted.
pub struct Snapshots<D: Disk> {
    disk: D,
    journal: u128,
    /// Read back by this process.
    verified: BTreeSet<u64>,
}

fn failed(doing: &'static str, name: &str) -> impl FnOnce(io::Error) -> SnapshotError {
    let file = Folder::Snapshots.path(name);
    move |source| SnapshotError::Failed {
        doing,
        file,
        source,
    }
}

fn name_of(sequence: u64) -> String {
    numbered(sequence, SUFFIX)
}

impl<D: Disk> Snapshots<D> {
    /// `journal` is the name of the journal: another journal's snapshots do not count.
    pub fn new(disk: D, journal: u128) -> Self {
        Snapshots {
            disk,
            journal,
            verified: BTreeSet::new(),
        }
    }

    /// Writes the state after entry `sequence`: under another name, synced, renamed, the folder
    /// synced, then read back. Only then it counts; if it reads back wrong it is removed.
    pub fn write(
        &mut self,
        sequence: u64,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<SnapshotInfo, SnapshotError> {
        let name = name_of(sequence);
        let (disk, folder) = (&self.disk, Folder::Snapshots);
        disk.make_folder(folder)
            .map_err(failed("create the folder of", &name))?;
        let written = write_new(disk, self.journal, sequence, fill);
        if written.is_err() {
            // Give back what was allocated; the first error is the one to report.
            let _ = disk.remove(folder, NEW);
        }
        let info = written.map_err(failed("write", &name))?;
        let named = disk
            .rename(folder, NEW, &name)
            .and_then(|()| disk.sync_folder(folder));
        named.map_err(failed("rename", &name))?;
        match self.verify(sequence) {
            Ok(Ok(snapshot)) if snapshot.info == info => {
                self.verified.insert(sequence);
                Ok(info)
            }
            Ok(found) => {
                let what = found.map_or_else(|why| why, |_| "it is another one".to_owned());
                self.remove(sequence)?;
                Err(SnapshotError::Unverified {
                    file: folder.path(&name),
                    what,
                })
            }
            Err(e) => Err(failed("read back", &name)(e)),
        }
    }

    /// The sequences that have a file, ascending; none of them verified.
    pub fn list(&self) -> Result<Vec<u64>, SnapshotError> {
        let names = self
            .disk
            .list(Folder::Snapshots)
            .map_err(failed("list", ""))?;
        let mut found: Vec<u64> = names
            .iter()
            .filter_map(|name| number_of(name, SUFFIX))
            .collect();
        found.sort_unstable();
        Ok(found)
    }

    /// The newest good one.
    pub fn latest(&self) -> Result<Found<D::File>, SnapshotError> {
        self.at_or_before(u64::MAX)
    }

    /// The newest good one that is not after `sequence`. Reads the whole file to know.
    pub fn at_or_before(&self, sequence: u64) -> Result<Found<D::File>, SnapshotError> {
        let mut skipped = Vec::new();
        for found in self
            .list()?
            .into_iter()
            .rev()
            .filter(|found| *found <= sequence)
        {
            let name = name_of(found);
            match self.verify(found).map_err(failed("read", &name))? {
                Ok(snapshot) => {
                    return Ok(Found {
                        snapshot: Some(snapshot),
                        skipped,
                    });
                }
                Err(why) => skipped.push(Skipped {
                    file: Folder::Snapshots.path(&name),
                    why,
                }),
            }
        }
        Ok(Found {
            snapshot: None,
            skipped,
        })
    }

    /// Removes all but the newest `keep` good ones (at least one is kept), oldest first, and
    /// those that are no good. With fewer good ones than `keep`, no good one goes. Returns the
    /// sequence of the oldest one that stays, if any.
    pub fn prune(&mut self, keep: usize) -> Result<Option<u64>, SnapshotError> {
        let mut stay = Vec::new();
        let mut go = Vec::new();
        for sequence in self.list()?.into_iter().rev() {
            if stay.len() >= keep.max(1) {
                go.push(sequence);
                continue;
            }
            let known = self.verified.contains(&sequence);
            let name = name_of(sequence);
            if known
                || self
                    .verify(sequence)
                    .map_err(failed("read", &name))?
                    .is_ok()
            {
                self.verified.insert(sequence);
                stay.push(sequence);
            } else {
                go.push(sequence);
            }
        }
        for sequence in go.into_iter().rev() {
            self.remove(sequence)?;
        }
        Ok(stay.last().copied())
    }

    fn remove(&mut self, sequence: u64) -> Result<(), SnapshotError> {
        self.verified.remove(&sequence);
        let name = name_of(sequence);
        let removed = self.disk.remove(Folder::Snapshots, &name);
        removed
            .and_then(|()| self.disk.sync_folder(Folder::Snapshots))
            .map_err(failed("remove", &name))
    }

    /// Reads the whole file; the inner error says why it is no snapshot.
    fn verify(&self, sequence: u64) -> io::Result<Result<Snapshot<D::File>, String>> {
        let file = self
            .disk
            .open(Folder::Snapshots, &name_of(sequence), Access::Read)?;
        file.uncache();
        let mut head = [0; HEAD_BYTES];
        let read = read_full_at(&file, &mut head, 0)?;
        let info = match decode(&head[..read], self.journal) {
            Ok(info) => info,
            Err(why) => return Ok(Err(why)),
        };
        let bytes = file.bytes()?;
        if info.sequence != sequence {
            return Ok(Err(format!(
                "its head says it is after entry {}",
                info.sequence
            )));
        }
        if info.bytes.checked_add(HEAD_BYTES as u64) != Some(bytes) {
            return Ok(Err(format!(
                "it has {bytes} bytes, its head promises {}",
                info.bytes
            )));
        }
        let mut snapshot = Snapshot {
            info,
            file,
            done: 0,
            buffer: Vec::new(),
            taken: 0,
        };
        let mut hasher = crc32fast::Hasher::new();
        while snapshot.fill()? {
            hasher.update(&snapshot.buffer);
            snapshot.taken = snapshot.buffer.len();
        }
        if hasher.finalize() != info.crc || snapshot.done != info.bytes {
            return Ok(Err("the checksum of its content does not match".to_owned()));
        }
        snapshot.done = 0;
        Ok(Ok(snapshot))
    }
}

fn write_new<D: Disk>(
    disk: &D,
    journal: u128,
    sequence: u64,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<SnapshotInfo> {
    let file = disk.create(Folder::Snapshots, NEW)?;
    let mut writer = Writer {
        file,
        at: HEAD_BYTES as u64,
        buffer: Vec::new(),
        hasher: crc32fast::Hasher::new(),
    };
    fill(&mut writer)?;
    writer.flush()?;
    let bytes = writer.at - HEAD_BYTES as u64;
    let info = SnapshotInfo {
        sequence,
        bytes,
        crc: writer.hasher.finalize(),
    };
    write_all_at(&writer.file, &encode(&info, journal), 0)?;
    writer.file.sync_data()?;
    Ok(info)
}

fn encode(info: &SnapshotInfo, journal: u128) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    put(&mut head, 0, &MAGIC);
    put(&mut head, 8, &FORMAT_VERSION.to_le_bytes());
    put(&mut head, 16, &journal.to_le_bytes());
    put(&mut head, 32, &info.sequence.to_le_bytes());
    put(&mut head, 40, &info.bytes.to_le_bytes());
    put(&mut head, 48, &info.crc.to_le_bytes());
    let crc = crc32fast::hash(&head[..HEAD_BYTES - 4]);
    put(&mut head, HEAD_BYTES - 4, &crc.to_le_bytes());
    head
}

fn decode(head: &[u8], journal: u128) -> Result<SnapshotInfo, String> {
    if head.len() < HEAD_BYTES || head[..8] != MAGIC {
        return Err("it does not start as a snapshot does".into());
    }
    let version = u32_at(head, 8);
    if version != FORMAT_VERSION {
        return Err(format!(
            "it has format version {version}, expected {FORMAT_VERSION}"
        ));
    }
    if crc32fast::hash(&head[..HEAD_BYTES - 4]) != u32_at(head, HEAD_BYTES - 4) {
        return Err("the checksum of its head does not match".into());
    }
    let found = u128_at(head, 16);
    if found != journal {
        return Err(format!(
            "it belongs to journal {found:032x}, expected {journal:032x}"
        ));
    }
    let (sequence, bytes, crc) = (u64_at(head, 32), u64_at(head, 40), u32_at(head, 48));
    Ok(SnapshotInfo {
        sequence,
        bytes,
        crc,
    })
}

struct Writer<F> {
    file: F,
    at: u64,
    buffer: Vec<u8>,
    hasher: crc32fast::Hasher,
}

impl<F: DiskFile> Write for Writer<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = SNAPSHOT_CHUNK_BYTES - self.buffer.len();
        let taken = bytes.len().min(room);
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == SNAPSHOT_CHUNK_BYTES {
            self.flush()?;
        }
        Ok(taken)
    }
    fn flush(&mut self) -> io::Result<()> {
        write_all_at(&self.file, &self.buffer, self.at)?;
        self.hasher.update(&self.buffer);
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl<F: DiskFile> Snapshot<F> {
    /// Reads the next chunk; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        let left = self.info.bytes - self.done;
        let want = left.min(SNAPSHOT_CHUNK_BYTES as u64) as usize;
        self.buffer.resize(want, 0);
        let read = read_full_at(&self.file, &mut self.buffer, HEAD_BYTES as u64 + self.done)?;
        if read < want {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.done += read as u64;
        self.taken = 0;
        Ok(read > 0)
    }
}

impl<F: DiskFile> Read for Snapshot<F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.buffer.len() && !self.fill()? {
            return Ok(0);
        }
        let bytes = out.len().min(self.buffer.len() - self.taken);
        out[..bytes].copy_from_slice(&self.buffer[self.taken..self.taken + bytes]);
        self.taken += bytes;
        Ok(bytes)
    }
}
