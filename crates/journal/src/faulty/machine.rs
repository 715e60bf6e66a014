//! The state behind the faulty disk: names and files, durable and not, and when things fail.

use super::file::File;
use super::{Counts, Crash, CrashAt, Fate, Faults};
use crate::disk::Folder;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

const DOWN: &str = "the machine is down";

pub(super) type Names = BTreeMap<(Folder, String), usize>;

#[derive(Clone)]
pub(super) enum NameChange {
    Link {
        folder: Folder,
        name: String,
        file: usize,
    },
    Rename {
        folder: Folder,
        from: String,
        to: String,
        file: usize,
    },
    Unlink {
        folder: Folder,
        name: String,
    },
}

impl NameChange {
    pub(super) fn folder(&self) -> Folder {
        match self {
            NameChange::Link { folder, .. }
            | NameChange::Rename { folder, .. }
            | NameChange::Unlink { folder, .. } => *folder,
        }
    }
    pub(super) fn apply(self, names: &mut Names) {
        match self {
            NameChange::Link { folder, name, file } => {
                names.insert((folder, name), file);
            }
            NameChange::Rename {
                folder,
                from,
                to,
                file,
            } => {
                names.remove(&(folder, from));
                names.insert((folder, to), file);
            }
            NameChange::Unlink { folder, name } => {
                names.remove(&(folder, name));
            }
        }
    }
}

#[derive(Clone)]
pub(super) struct Machine {
    /// Rises with each restart: handles from before are dead.
    pub(super) generation: u64,
    pub(super) down: bool,
    pub(super) locked: bool,
    pub(super) random: u64,
    pub(super) faults: Faults,
    pub(super) crash_at: Option<CrashAt>,
    pub(super) fail_sync_in: Option<u64>,
    pub(super) files: Vec<Option<File>>,
    pub(super) live: Names,
    pub(super) durable: Names,
    pub(super) changes: Vec<NameChange>,
    pub(super) counts: Counts,
}

impl Machine {
    /// SplitMix64.
    pub(super) fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound.max(1)
    }
    pub(super) fn happens(&mut self, millionths: u32) -> bool {
        millionths > 0 && self.below(1_000_000) < u64::from(millionths)
    }

    pub(super) fn up(&self, generation: u64) -> io::Result<()> {
        if self.down || self.generation != generation {
            return Err(io::Error::other(DOWN));
        }
        Ok(())
    }

    pub(super) fn go_down(&mut self) -> io::Error {
        self.down = true;
        self.crash_at = None;
        self.counts.crashes += 1;
        io::Error::other(DOWN)
    }

    /// Counts a changing operation; true if the machine goes down inside it.
    pub(super) fn strikes(&mut self) -> bool {
        match &mut self.crash_at {
            Some(CrashAt::Operation(0)) => true,
            Some(CrashAt::Operation(left)) => {
                *left -= 1;
                false
            }
            Some(CrashAt::Byte(_)) | None => false,
        }
    }

    /// A changing operation on names: when struck, done or not by a coin.
    pub(super) fn strike_names(&mut self, change: NameChange) -> io::Result<()> {
        let struck = self.strikes();
        if !struck || self.below(2) == 0 {
            change.clone().apply(&mut self.live);
            self.changes.push(change);
        }
        if struck { Err(self.go_down()) } else { Ok(()) }
    }

    pub(super) fn file(&mut self, id: usize) -> io::Result<&mut File> {
        self.files
            .get_mut(id)
            .and_then(Option::as_mut)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn used_bytes(&self) -> u64 {
        let len = |id: &usize| {
            self.files[*id]
                .as_ref()
                .map_or(0, |file| file.live.len() as u64)
        };
        self.live.values().map(len).sum()
    }

    /// Bytes of `end` that may be reached by growing.
    pub(super) fn room_for(&mut self, id: usize, end: u64) -> io::Result<u64> {
        let len = self.file(id)?.live.len() as u64;
        let Some(capacity) = self.faults.capacity_bytes.filter(|_| end > len) else {
            return Ok(end);
        };
        let free = capacity.saturating_sub(self.used_bytes());
        Ok(end.min(len + free))
    }

    pub(super) fn put(&mut self, id: usize, offset: usize, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let file = self.file(id)?;
        let end = offset + bytes.len();
        file.touch(offset, end);
        file.grow(end.max(file.live.len()));
        file.live[offset..end].copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn write(&mut self, id: usize, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.counts.writes += 1;
        let at = offset as usize;
        if self.strikes() {
            let cut = self.below(bytes.len() as u64 + 1) as usize;
            self.put(id, at, &bytes[..cut])?;
            return Err(self.go_down());
        }
        if let Some(CrashAt::Byte(left)) = self.crash_at
            && left < bytes.len() as u64
        {
            self.put(id, at, &bytes[..left as usize])?;
            return Err(self.go_down());
        }
        if self.happens(self.faults.interrupted) {
            self.counts.interruptions += 1;
            return Err(io::ErrorKind::Interrupted.into());
        }
        let mut len = bytes.len();
        let failed = self.happens(self.faults.failed_write);
        if failed || (len > 1 && self.happens(self.faults.short_write)) {
            len = self.below(len as u64) as usize + usize::from(!failed);
        }
        let end = self.room_for(id, offset + len as u64)?;
        len = (end.saturating_sub(offset) as usize).min(len);
        self.put(id, at, &bytes[..len])?;
        if let Some(CrashAt::Byte(left)) = &mut self.crash_at {
            *left -= len as u64;
        }
        if failed {
            self.counts.failed_writes += 1;
            return Err(io::Error::other("injected: the write failed"));
        }
        if len == 0 && !bytes.is_empty() {
            self.counts.full += 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.counts.short_writes += u64::from(len < bytes.len());
        self.write_back_early(id);
        Ok(len)
    }

    pub(super) fn write_back_early(&mut self, id: usize) {
        if !self.happens(self.faults.early_write_back) {
            return;
        }
        let draw = self.draw();
        let Ok(file) = self.file(id) else { return };
        if file.dirty.is_empty() {
            return;
        }
        let at = draw as usize % file.dirty.len();
        if file.dirty[at].dropped {
            return;
        }
        let written = file.dirty.swap_remove(at);
        file.unmark(written.sector);
        self.counts.early_write_backs += 1;
    }

    pub(super) fn zeros(&mut self, id: usize, offset: u64, bytes: u64) -> io::Result<()> {
        self.counts.writes += 1;
        let struck = self.strikes();
        let full = offset + bytes;
        let wanted = if struck {
            offset + self.below(bytes + 1)
        } else {
            full
        };
        let end = self.room_for(id, wanted)?;
        let file = self.file(id)?;
        let (from, to) = (offset as usize, end.max(offset) as usize);
        let old_len = file.live.len();
        file.touch(from, to);
        if to > old_len {
            file.grow(to);
        }
        let old_to = to.min(old_len);
        if from < old_to {
            file.live[from..old_to].fill(0);
        }
        if struck {
            return Err(self.go_down());
        }
        if end < full {
            self.counts.full += 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    pub(super) fn sync(&mut self, id: usize) -> io::Result<()> {
        self.counts.syncs += 1;
        if self.strikes() {
            if self.below(2) == 0 {
                self.file(id)?.synced();
            }
            return Err(self.go_down());
        }
        let told = match &mut self.fail_sync_in {
            Some(0) => {
                self.fail_sync_in = None;
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        };
        if !told && !self.happens(self.faults.failed_sync) {
            self.file(id)?.synced();
            return Ok(());
        }
        self.counts.failed_syncs += 1;
        let mut draw = self.draw();
        let file = self.file(id)?;
        // Some sectors made it, the others are dropped though memory still shows them.
        for dirty in &mut file.dirty {
            draw = draw.rotate_left(1);
            dirty.dropped |= draw & 1 == 0;
        }
        let kept: Vec<usize> = file
            .dirty
            .iter()
            .filter(|d| !d.dropped)
            .map(|dirty| dirty.sector)
            .collect();
        for sector in kept {
            file.unmark(sector);
        }
        file.dirty.retain(|dirty| dirty.dropped);
        Err(io::Error::other("injected: the sync failed"))
    }

    pub(super) fn sync_names(&mut self, folder: Folder) {
        let changes = std::mem::take(&mut self.changes);
        for change in changes {
            if change.folder() == folder {
                change.apply(&mut self.durable);
            } else {
                self.changes.push(change);
            }
        }
        self.forget_unnamed();
    }

    /// Files that no name, pending change or handle refers to give their memory back.
    pub(super) fn forget_unnamed(&mut self) {
        for id in 0..self.files.len() {
            let Some(file) = &self.files[id] else {
                continue;
            };
            let named = |names: &Names| names.values().any(|named| *named == id);
            let pending = |change: &NameChange| match change {
                NameChange::Link { file, .. } | NameChange::Rename { file, .. } => *file == id,
                NameChange::Unlink { .. } => false,
            };
            let held = Arc::strong_count(&file.handles) > 1;
            let used = held || named(&self.live) || named(&self.durable);
            if !used && !self.changes.iter().any(pending) {
                self.files[id] = None;
            }
        }
    }

    pub(super) fn restart(&mut self, crash: Crash, keeps: &mut dyn FnMut(Fate) -> bool) {
        if !self.down {
            self.counts.crashes += 1;
        }
        self.generation += 1;
        self.down = false;
        self.locked = false;
        self.crash_at = None;
        self.fail_sync_in = None;
        if crash == Crash::Process {
            return;
        }
        for (id, file) in self.files.iter_mut().enumerate() {
            if let Some(file) = file {
                file.crash(id, &mut self.counts, keeps);
            }
        }
        for change in std::mem::take(&mut self.changes) {
            if keeps(Fate::Name {
                folder: change.folder(),
            }) {
                change.apply(&mut self.durable);
            } else {
                self.counts.names_lost += 1;
            }
        }
        self.live = self.durable.clone();
        self.forget_unnamed();
    }
}
