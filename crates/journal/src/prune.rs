//! Removes whole old segments. The caller guarantees that a verified snapshot stands behind
//! them.

use crate::disk::{Access, Disk, DiskFile, Folder};
use crate::error::ReadError;
use crate::format::segment_name;
use crate::scan::{failed, segment_firsts};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub segments: usize,
    pub bytes: u64,
}

/// Removes the segments that hold only sequences below `before`; never the last segment.
///
/// Oldest first, each removal made durable before the next: a crash in between leaves a shorter
/// journal and never one with a gap. May run beside the writer, on another thread.
pub fn prune_segments<D: Disk>(disk: &D, before: u64) -> Result<Pruned, ReadError> {
    let firsts = segment_firsts(disk)?;
    let mut pruned = Pruned::default();
    for pair in firsts.windows(2) {
        let (first, after) = (pair[0], pair[1]);
        if after > before {
            break;
        }
        let name = segment_name(first);
        let bytes = disk
            .open(Folder::Journal, &name, Access::Read)
            .and_then(|f| f.bytes());
        let bytes = bytes.map_err(|source| failed("measure", &name, source))?;
        let removed = disk.remove(Folder::Journal, &name);
        removed
            .and_then(|()| disk.sync_folder(Folder::Journal))
            .map_err(|source| failed("remove", &name, source))?;
        pruned.segments += 1;
        pruned.bytes += bytes;
    }
    Ok(pruned)
}
