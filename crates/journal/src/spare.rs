//! The next segment, made before it is needed: zeros written and synced, on a thread of its own
//! where the disk allows it. At most one exists, and it doubles as a reserve: when the disk is
//! full, one more segment is already there.
//!
//! A spare gets its name only after its zeros are durable, so a spare found at the start is good
//! unless its length or its zeros say otherwise.

use crate::disk::{Access, Disk, DiskFile, Folder, read_full_at};
use crate::format::is_zero;
use crate::limits::{SEGMENT_HEADER_BYTES, ZERO_CHUNK_BYTES};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

pub(crate) const SPARE: &str = "spare";
const SPARE_NEW: &str = "spare.new";

#[derive(Debug)]
enum Stage {
    /// Nothing to do and nothing there.
    Idle,
    Wanted,
    Ready,
    Failed(io::Error),
    Stop,
}

struct Shared {
    stage: Mutex<Stage>,
    changed: Condvar,
}

impl Shared {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn set(&self, stage: Stage) {
        *self.stage() = stage;
        self.changed.notify_all();
    }
    /// A stop that came meanwhile stands.
    fn done(&self, result: io::Result<()>) {
        let mut stage = self.stage();
        if let Stage::Wanted = *stage {
            *stage = result.map_or_else(Stage::Failed, |()| Stage::Ready);
        }
        self.changed.notify_all();
    }
    fn stopped(&self) -> bool {
        matches!(*self.stage(), Stage::Stop)
    }
}

pub(crate) struct Spare<D: Disk> {
    disk: D,
    segment_bytes: u64,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl<D: Disk> Spare<D> {
    pub fn start(disk: D, segment_bytes: u64) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            stage: Mutex::new(Stage::Idle),
            changed: Condvar::new(),
        });
        let mut spare = Spare {
            disk,
            segment_bytes,
            shared,
            thread: None,
        };
        if D::BACKGROUND {
            let (disk, shared) = (spare.disk.clone(), Arc::clone(&spare.shared));
            let thread = std::thread::Builder::new().name("journal-spare".into());
            spare.thread = Some(thread.spawn(move || work(&disk, segment_bytes, &shared))?);
        }
        Ok(spare)
    }

    /// Asks for a spare; does not wait where there is a thread for it.
    pub fn want(&self) {
        self.shared.set(Stage::Wanted);
        if self.thread.is_none() {
            self.shared
                .done(make(&self.disk, self.segment_bytes, &self.shared));
        }
    }

    /// Waits until the spare is there, and hands it over: the caller gives the file its name. A
    /// failure is tried once more, since space may have come back.
    pub fn take(&self) -> io::Result<()> {
        let mut retried = false;
        loop {
            let mut stage = self.shared.stage();
            while self.thread.is_some() && matches!(*stage, Stage::Wanted) {
                stage = self
                    .shared
                    .changed
                    .wait(stage)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            match std::mem::replace(&mut *stage, Stage::Idle) {
                Stage::Ready => return Ok(()),
                Stage::Failed(e) if retried => {
                    *stage = Stage::Failed(io::Error::new(e.kind(), e.to_string()));
                    return Err(e);
                }
                Stage::Idle | Stage::Failed(_) | Stage::Wanted | Stage::Stop => {}
            }
            drop(stage);
            retried = true;
            self.want();
        }
    }
}

impl<D: Disk> Drop for Spare<D> {
    fn drop(&mut self) {
        self.shared.set(Stage::Stop);
        if let Some(thread) = self.thread.take() {
            // The thread cannot be running a panic handler of ours; nothing to report.
            let _ = thread.join();
        }
    }
}

fn work<D: Disk>(disk: &D, segment_bytes: u64, shared: &Shared) {
    loop {
        let mut stage = shared.stage();
        loop {
            match *stage {
                Stage::Stop => return,
                Stage::Wanted => break,
                Stage::Idle | Stage::Ready | Stage::Failed(_) => {
                    stage = shared
                        .changed
                        .wait(stage)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        drop(stage);
        shared.done(make(disk, segment_bytes, shared));
    }
}

fn make<D: Disk>(disk: &D, segment_bytes: u64, shared: &Shared) -> io::Result<()> {
    if is_good(disk, segment_bytes, shared)? {
        return Ok(());
    }
    // Asking first keeps a full disk from being filled to the last byte for nothing.
    if disk.free_bytes()? < segment_bytes {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let made = make_new(disk, segment_bytes, shared);
    if made.is_err() {
        // Give back what was allocated; the first error is the one to report.
        let _ = disk.remove(Folder::Journal, SPARE_NEW);
        let _ = disk.sync_folder(Folder::Journal);
    }
    made
}

/// A spare of an earlier run: whole, and bare behind a header that is written again anyway.
fn is_good<D: Disk>(disk: &D, segment_bytes: u64, shared: &Shared) -> io::Result<bool> {
    let file = match disk.open(Folder::Journal, SPARE, Access::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    if file.bytes()? != segment_bytes {
        return Ok(false);
    }
    let mut chunk = vec![0; ZERO_CHUNK_BYTES.min(segment_bytes as usize)];
    let mut at = SEGMENT_HEADER_BYTES as u64;
    while at < segment_bytes {
        let want = chunk.len().min((segment_bytes - at) as usize);
        let read = read_full_at(&file, &mut chunk[..want], at)?;
        if read < want || !is_zero(&chunk[..read]) || shared.stopped() {
            return Ok(false);
        }
        at += read as u64;
    }
    Ok(true)
}

fn make_new<D: Disk>(disk: &D, segment_bytes: u64, shared: &Shared) -> io::Result<()> {
    let file = disk.create(Folder::Journal, SPARE_NEW)?;
    let mut at = 0;
    while at < segment_bytes {
        if shared.stopped() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let bytes = (segment_bytes - at).min(ZERO_CHUNK_BYTES as u64);
        file.write_zeros(at, bytes)?;
        // In steps, so that the sale's own syncs never queue behind a whole segment.
        file.sync_data()?;
        at += bytes;
    }
    disk.rename(Folder::Journal, SPARE_NEW, SPARE)?;
    disk.sync_folder(Folder::Journal)
}
