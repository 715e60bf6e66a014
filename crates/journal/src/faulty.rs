//! A disk in memory that fails as real ones do, from a seed: the simulator runs the journal on
//! it. It models what POSIX and drives allow and no more: a sector of 512 bytes is written whole
//! or not; what was not synced may persist in any subset, in any order; names may be lost until
//! their folder is synced; a failed sync leaves bytes in memory that are never written; writes
//! may be short; the disk may be full; bits may flip when the test says so.
//!
//! Fast rather than general: a file is one vector, and only the sectors written since the last
//! sync are remembered with their durable content. A sync forgets them; nothing is copied.

mod file;
mod machine;

use self::file::File;
use self::machine::{Machine, NameChange, Names};
use crate::disk::{Access, Disk, DiskFile, Folder, LockError};
use crate::limits::SECTOR_BYTES;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How often things go wrong by themselves, in millionths of the operations that can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    pub short_write: u32,
    pub interrupted: u32,
    pub failed_write: u32,
    pub failed_read: u32,
    pub failed_sync: u32,
    /// An un-synced sector is written back early, so that a mix of older and newer persists.
    pub early_write_back: u32,
    /// `None`: no bound.
    pub capacity_bytes: Option<u64>,
}

/// What has happened so far, for reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub writes: u64,
    pub syncs: u64,
    pub short_writes: u64,
    pub interruptions: u64,
    pub failed_writes: u64,
    pub failed_reads: u64,
    pub failed_syncs: u64,
    pub full: u64,
    pub early_write_backs: u64,
    pub crashes: u64,
    pub sectors_lost: u64,
    pub sectors_kept: u64,
    pub names_lost: u64,
    pub bits_flipped: u64,
}

/// When the machine goes down by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashAt {
    /// After so many more bytes written by `write_at`: the write in progress is cut there.
    Byte(u64),
    /// Inside the n-th operation from now that changes anything (0: the next).
    Operation(u64),
}

/// What survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process ends; what it wrote stays in memory, durable or not.
    Process,
    /// The machine ends: un-synced sectors, lengths and names survive by choice.
    Machine,
}

/// A question asked once for each thing whose fate is open when the machine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// An un-synced sector: does its new content persist?
    Sector { file: usize, sector: usize },
    /// An un-synced growth: does the new length persist?
    Length { file: usize },
    /// An un-synced creation, renaming or removal: does it persist?
    Name { folder: Folder },
}

/// The disk; clones share it.
#[derive(Clone)]
pub struct FaultyDisk {
    machine: Arc<Mutex<Machine>>,
    generation: u64,
}

impl FaultyDisk {
    pub fn new(seed: u64, faults: Faults) -> Self {
        let machine = Machine {
            generation: 0,
            down: false,
            locked: false,
            random: seed,
            faults,
            crash_at: None,
            fail_sync_in: None,
            files: Vec::new(),
            live: Names::new(),
            durable: Names::new(),
            changes: Vec::new(),
            counts: Counts::default(),
        };
        FaultyDisk {
            machine: Arc::new(Mutex::new(machine)),
            generation: 0,
        }
    }

    /// No faults but those asked for.
    pub fn sound(seed: u64) -> Self {
        Self::new(seed, Faults::default())
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> io::Result<MutexGuard<'_, Machine>> {
        let machine = self.machine();
        machine.up(self.generation)?;
        Ok(machine)
    }

    /// An independent copy of everything, un-synced parts included.
    pub fn fork(&self) -> FaultyDisk {
        let mut machine = self.machine().clone();
        for file in machine.files.iter_mut().flatten() {
            file.handles = Arc::default();
        }
        FaultyDisk {
            machine: Arc::new(Mutex::new(machine)),
            generation: self.generation,
        }
    }

    pub fn set_faults(&self, faults: Faults) {
        self.machine().faults = faults;
    }
    /// Draws from another seed from now on: forks of one disk then go different ways.
    pub fn set_seed(&self, seed: u64) {
        self.machine().random = seed;
    }
    pub fn crash_at(&self, at: CrashAt) {
        self.machine().crash_at = Some(at);
    }
    /// The n-th sync of a file from now fails (0: the next).
    pub fn fail_sync_in(&self, syncs: u64) {
        self.machine().fail_sync_in = Some(syncs);
    }
    /// Whether a crash has struck: every operation fails until a restart.
    pub fn is_down(&self) -> bool {
        self.machine().down
    }
    pub fn counts(&self) -> Counts {
        self.machine().counts
    }

    /// Ends the process or the machine and starts again; the seed decides what persists. All
    /// handles and clones from before are dead; go on with the disk that is returned.
    #[must_use = "handles from before the restart are dead"]
    pub fn restart(&self, crash: Crash) -> FaultyDisk {
        let mut random = Machine::draw(&mut self.machine());
        // Not a coin per sector only: sometimes everything persists, sometimes nothing.
        let bias = random % 5;
        self.restart_with(crash, &mut |_| {
            random = random
                .wrapping_mul(0x5851_F42D_4C95_7F2D)
                .wrapping_add(0x1405_7B7E_F767_814F);
            (random >> 33) % 4 < bias
        })
    }

    /// As [`FaultyDisk::restart`], with the caller deciding each fate.
    #[must_use = "handles from before the restart are dead"]
    pub fn restart_with(&self, crash: Crash, keeps: &mut dyn FnMut(Fate) -> bool) -> FaultyDisk {
        let mut machine = self.machine();
        machine.restart(crash, keeps);
        FaultyDisk {
            machine: Arc::clone(&self.machine),
            generation: machine.generation,
        }
    }

    /// The bytes of a file as they read now.
    pub fn content(&self, folder: Folder, name: &str) -> Option<Vec<u8>> {
        let mut machine = self.machine();
        let id = *machine.live.get(&(folder, name.to_owned()))?;
        machine.file(id).ok().map(|file| file.live.clone())
    }

    /// Puts bytes in a file, durably, past all rules; makes the file if need be.
    pub fn replace(&self, folder: Folder, name: &str, content: Vec<u8>) {
        let mut machine = self.machine();
        let id = machine.files.len();
        let durable_len = content.len();
        machine.files.push(Some(File {
            live: content,
            durable_len,
            ..File::default()
        }));
        let change = NameChange::Link {
            folder,
            name: name.to_owned(),
            file: id,
        };
        change.clone().apply(&mut machine.live);
        change.apply(&mut machine.durable);
    }

    /// Flips one bit, durably. False if there is no such byte.
    pub fn flip_bit(&self, folder: Folder, name: &str, offset: u64, bit: u8) -> bool {
        let mut machine = self.machine();
        let Some(id) = machine.live.get(&(folder, name.to_owned())).copied() else {
            return false;
        };
        let Ok(file) = machine.file(id) else {
            return false;
        };
        let at = offset as usize;
        let Some(byte) = file.live.get_mut(at) else {
            return false;
        };
        *byte ^= 1 << (bit % 8);
        if let Some(dirty) = file
            .dirty
            .iter()
            .find(|dirty| dirty.sector == at / SECTOR_BYTES)
        {
            file.undo[dirty.undo + at % SECTOR_BYTES] ^= 1 << (bit % 8);
        }
        machine.counts.bits_flipped += 1;
        true
    }

    fn find(&self, machine: &Machine, folder: Folder, name: &str) -> io::Result<usize> {
        let found = machine.live.get(&(folder, name.to_owned()));
        found.copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn handle(&self, machine: &mut Machine, id: usize, access: Access) -> io::Result<FaultyFile> {
        let _held = Arc::clone(&machine.file(id)?.handles);
        Ok(FaultyFile {
            disk: self.clone(),
            id,
            access,
            _held,
        })
    }
}

/// An open file of a [`FaultyDisk`].
pub struct FaultyFile {
    disk: FaultyDisk,
    id: usize,
    access: Access,
    _held: Arc<()>,
}

impl FaultyFile {
    fn writable(&self) -> io::Result<MutexGuard<'_, Machine>> {
        if self.access != Access::Write {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.disk.running()
    }
}

impl DiskFile for FaultyFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.disk.running()?.file(self.id)?.live.len() as u64)
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut machine = self.disk.running()?;
        let millionths = machine.faults.failed_read;
        if machine.happens(millionths) {
            machine.counts.failed_reads += 1;
            return Err(io::Error::other("injected: the read failed"));
        }
        let millionths = machine.faults.interrupted;
        if machine.happens(millionths) {
            machine.counts.interruptions += 1;
            return Err(io::ErrorKind::Interrupted.into());
        }
        let live = &machine.file(self.id)?.live;
        let start = (offset as usize).min(live.len());
        let bytes = buffer.len().min(live.len() - start);
        buffer[..bytes].copy_from_slice(&live[start..start + bytes]);
        Ok(bytes)
    }
    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        self.writable()?.write(self.id, offset, buffer)
    }
    fn write_zeros(&self, offset: u64, bytes: u64) -> io::Result<()> {
        self.writable()?.zeros(self.id, offset, bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.writable()?.sync(self.id)
    }
}

/// The lock of a [`FaultyDisk`]; a restart takes it away.
pub struct FaultyLock {
    disk: FaultyDisk,
}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        if let Ok(mut machine) = self.disk.running() {
            machine.locked = false;
        }
    }
}

impl Disk for FaultyDisk {
    type File = FaultyFile;
    type Lock = FaultyLock;
    const BACKGROUND: bool = false;

    fn make_folder(&self, _folder: Folder) -> io::Result<()> {
        self.running().map(|_| ())
    }
    fn list(&self, folder: Folder) -> io::Result<Vec<String>> {
        let machine = self.running()?;
        let names = machine
            .live
            .keys()
            .filter(|(in_folder, _)| *in_folder == folder);
        Ok(names.map(|(_, name)| name.clone()).collect())
    }
    fn open(&self, folder: Folder, name: &str, access: Access) -> io::Result<FaultyFile> {
        let mut machine = self.running()?;
        let id = self.find(&machine, folder, name)?;
        self.handle(&mut machine, id, access)
    }
    fn create(&self, folder: Folder, name: &str) -> io::Result<FaultyFile> {
        let mut machine = self.running()?;
        let id = machine.files.len();
        machine.files.push(Some(File::default()));
        machine.strike_names(NameChange::Link {
            folder,
            name: name.to_owned(),
            file: id,
        })?;
        self.handle(&mut machine, id, Access::Write)
    }
    fn rename(&self, folder: Folder, from: &str, to: &str) -> io::Result<()> {
        let mut machine = self.running()?;
        let file = self.find(&machine, folder, from)?;
        let (from, to) = (from.to_owned(), to.to_owned());
        machine.strike_names(NameChange::Rename {
            folder,
            from,
            to,
            file,
        })
    }
    fn remove(&self, folder: Folder, name: &str) -> io::Result<()> {
        let mut machine = self.running()?;
        self.find(&machine, folder, name)?;
        machine.strike_names(NameChange::Unlink {
            folder,
            name: name.to_owned(),
        })
    }
    fn sync_folder(&self, folder: Folder) -> io::Result<()> {
        let mut machine = self.running()?;
        machine.counts.syncs += 1;
        let struck = machine.strikes();
        if !struck || machine.below(2) == 0 {
            machine.sync_names(folder);
        }
        if struck {
            Err(machine.go_down())
        } else {
            Ok(())
        }
    }
    fn free_bytes(&self) -> io::Result<u64> {
        let machine = self.running()?;
        let capacity = machine.faults.capacity_bytes.unwrap_or(u64::MAX);
        Ok(capacity.saturating_sub(machine.used_bytes()))
    }
    fn lock(&self, _name: &str) -> Result<FaultyLock, LockError> {
        let mut machine = self.running().map_err(LockError::Failed)?;
        if machine.locked {
            return Err(LockError::Held { pid: None });
        }
        machine.locked = true;
        Ok(FaultyLock { disk: self.clone() })
    }
}
