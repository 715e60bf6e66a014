//! The small file beside the segments: which journal this is, the epoch of its last writer, and
//! a sequence that is known to be durable. Replaced whole, never changed in place. The last
//! field turns a loss that looks like a torn tail into damage that is named.
//!
//! Layout (64 bytes): magic 0..8, version 8..12, journal id 16..32, epoch 32..40, durable
//! through 40..48, CRC-32 of bytes 0..60 at 60..64.

use crate::disk::{Access, Disk, DiskFile, Folder, read_full_at, write_all_at};
use crate::error::{Damage, ReadError};
use crate::format::{FORMAT_VERSION, put, u32_at, u64_at, u128_at};
use std::io;

pub(crate) const META: &str = "META";
const META_NEW: &str = "META.new";
const MAGIC: [u8; 8] = *b"SEAWALLM";
const BYTES: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub id: u128,
    pub epoch: u64,
    pub durable: u64,
}

impl Meta {
    fn encode(&self) -> [u8; BYTES] {
        let mut out = [0; BYTES];
        put(&mut out, 0, &MAGIC);
        put(&mut out, 8, &FORMAT_VERSION.to_le_bytes());
        put(&mut out, 16, &self.id.to_le_bytes());
        put(&mut out, 32, &self.epoch.to_le_bytes());
        put(&mut out, 40, &self.durable.to_le_bytes());
        let crc = crc32fast::hash(&out[..BYTES - 4]);
        put(&mut out, BYTES - 4, &crc.to_le_bytes());
        out
    }

    /// `None` if the file does not exist.
    pub fn read<D: Disk>(disk: &D) -> Result<Option<Meta>, ReadError> {
        let path = Folder::Journal.path(META);
        let failed = |source| ReadError::Failed {
            doing: "read",
            file: path.clone(),
            source,
        };
        let file = match disk.open(Folder::Journal, META, Access::Read) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        // One byte more than there should be, so that a longer file shows.
        let mut bytes = [0; BYTES + 1];
        let read = read_full_at(&file, &mut bytes, 0).map_err(failed)?;
        let damaged = |offset, what: &str| Damage {
            file: path.clone(),
            offset,
            what: what.into(),
        };
        if read < 12 || bytes[..8] != MAGIC {
            return Err(damaged(0, "it is not the description of a journal").into());
        }
        let version = u32_at(&bytes, 8);
        if version != FORMAT_VERSION {
            let expected = FORMAT_VERSION;
            return Err(ReadError::Version {
                file: path,
                found: version,
                expected,
            });
        }
        if read != BYTES {
            return Err(damaged(read.min(BYTES) as u64, "its length is wrong").into());
        }
        if crc32fast::hash(&bytes[..BYTES - 4]) != u32_at(&bytes, BYTES - 4) {
            return Err(damaged(0, "its checksum does not match").into());
        }
        Ok(Some(Meta {
            id: u128_at(&bytes, 16),
            epoch: u64_at(&bytes, 32),
            durable: u64_at(&bytes, 40),
        }))
    }

    /// Replaces the file durably.
    pub fn write<D: Disk>(&self, disk: &D) -> io::Result<()> {
        let file = disk.create(Folder::Journal, META_NEW)?;
        write_all_at(&file, &self.encode(), 0)?;
        file.sync_data()?;
        disk.rename(Folder::Journal, META_NEW, META)?;
        disk.sync_folder(Folder::Journal)
    }
}
