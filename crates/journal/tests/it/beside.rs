//! Syncs begun beside the writer's other work: on a real disk that counts them and can fail.

use crate::helpers::*;
use journal::{Access, Disk, DiskFile, Folder, LockError, Log, RealDisk, RealFile, Settled};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

#[derive(Default)]
struct Orders {
    fail: AtomicBool,
    /// Syncs by threads other than the writer's.
    beside: AtomicU64,
}

/// A real folder whose syncs are watched.
#[derive(Clone)]
struct Watched(RealDisk, Arc<Orders>);

struct WatchedFile(RealFile, Arc<Orders>);

impl DiskFile for WatchedFile {
    fn bytes(&self) -> io::Result<u64> {
        self.0.bytes()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(buffer, offset)
    }
    fn write_zeros(&self, offset: u64, bytes: u64) -> io::Result<()> {
        self.0.write_zeros(offset, bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        if thread::current().name() == Some("journal-sync") {
            self.1.beside.fetch_add(1, Ordering::SeqCst);
            if self.1.fail.load(Ordering::SeqCst) {
                return Err(io::Error::other("the disk says no"));
            }
        }
        self.0.sync_data()
    }
}

impl Watched {
    fn file(&self, file: io::Result<RealFile>) -> io::Result<WatchedFile> {
        Ok(WatchedFile(file?, Arc::clone(&self.1)))
    }
}

impl Disk for Watched {
    type File = WatchedFile;
    type Lock = <RealDisk as Disk>::Lock;
    const BACKGROUND: bool = true;
    fn make_folder(&self, folder: Folder) -> io::Result<()> {
        self.0.make_folder(folder)
    }
    fn list(&self, folder: Folder) -> io::Result<Vec<String>> {
        self.0.list(folder)
    }
    fn open(&self, folder: Folder, name: &str, access: Access) -> io::Result<WatchedFile> {
        self.file(self.0.open(folder, name, access))
    }
    fn create(&self, folder: Folder, name: &str) -> io::Result<WatchedFile> {
        self.file(self.0.create(folder, name))
    }
    fn rename(&self, folder: Folder, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(folder, from, to)
    }
    fn remove(&self, folder: Folder, name: &str) -> io::Result<()> {
        self.0.remove(folder, name)
    }
    fn sync_folder(&self, folder: Folder) -> io::Result<()> {
        self.0.sync_folder(folder)
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.0.free_bytes()
    }
    fn lock(&self, name: &str) -> Result<Self::Lock, LockError> {
        self.0.lock(name)
    }
}

fn watched(folder: &std::path::Path) -> (Watched, Arc<Orders>) {
    let orders = Arc::new(Orders::default());
    let disk = Watched(RealDisk::new(folder), Arc::clone(&orders));
    (disk, orders)
}

#[test]
fn a_begun_sync_is_done_once_by_the_other_thread() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, orders) = watched(folder.path());
    let (mut log, _) = open(&disk);
    for seed in 1..=200 {
        append(&mut log, 1, &bytes(seed, 700));
        if seed % 2 == 0 {
            log.begin();
            log.begin();
        }
        match log.settle() {
            Settled::Durable { through } => assert_eq!(through, seed),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(orders.beside.load(Ordering::SeqCst), 100);
    drop(log);
    assert_eq!(open(&disk).1.last, 200);
}

#[test]
fn a_begun_sync_that_fails_poisons_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, orders) = watched(folder.path());
    let (mut log, _) = open(&disk);
    put(&mut log, 1, &bytes(1, 700));
    orders.fail.store(true, Ordering::SeqCst);
    append(&mut log, 1, &bytes(2, 700));
    log.begin();
    let Settled::Unknown(error) = log.settle() else {
        panic!("a failed sync is not durable");
    };
    assert!(error.to_string().contains("says no"), "{error}");
    orders.fail.store(false, Ordering::SeqCst);
    log.begin();
    assert!(matches!(log.settle(), Settled::Unknown(_)));
}
