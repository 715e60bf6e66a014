//! A survey beside a writer, made deterministic: each read of the survey lets the writer go on
//! by a few batches first.

use crate::helpers::*;
use journal::faulty::{FaultyDisk, FaultyFile, FaultyLock};
use journal::{Access, Disk, DiskFile, FileLog, Folder, LockError, survey};
use std::io;
use std::sync::{Arc, Mutex};

type Writer = Arc<Mutex<FileLog<FaultyDisk>>>;

/// The writer's disk as the survey sees it.
#[derive(Clone)]
struct Racing {
    disk: FaultyDisk,
    writer: Writer,
}

struct RacingFile {
    file: FaultyFile,
    writer: Writer,
}

impl DiskFile for RacingFile {
    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut log = self.writer.lock().unwrap();
        for _ in 0..3 {
            put(&mut log, 1, b"meanwhile");
        }
        self.file.read_at(buffer, offset)
    }
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        panic!("a survey writes nothing")
    }
    fn write_zeros(&self, _: u64, _: u64) -> io::Result<()> {
        panic!("a survey writes nothing")
    }
    fn sync_data(&self) -> io::Result<()> {
        panic!("a survey syncs nothing")
    }
}

impl Disk for Racing {
    type File = RacingFile;
    type Lock = FaultyLock;
    const BACKGROUND: bool = false;

    fn make_folder(&self, _: Folder) -> io::Result<()> {
        panic!("a survey makes nothing")
    }
    fn list(&self, folder: Folder) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }
    fn open(&self, folder: Folder, name: &str, access: Access) -> io::Result<RacingFile> {
        assert_eq!(access, Access::Read);
        let file = self.disk.open(folder, name, access)?;
        Ok(RacingFile {
            file,
            writer: Arc::clone(&self.writer),
        })
    }
    fn create(&self, _: Folder, _: &str) -> io::Result<RacingFile> {
        panic!("a survey makes nothing")
    }
    fn rename(&self, _: Folder, _: &str, _: &str) -> io::Result<()> {
        panic!("a survey renames nothing")
    }
    fn remove(&self, _: Folder, _: &str) -> io::Result<()> {
        panic!("a survey removes nothing")
    }
    fn sync_folder(&self, _: Folder) -> io::Result<()> {
        panic!("a survey syncs nothing")
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
    fn lock(&self, _: &str) -> Result<FaultyLock, LockError> {
        panic!("a survey needs no lock")
    }
}

#[test]
fn a_writer_that_is_always_ahead_is_no_damage() {
    for before in [0, 1, 50, 137, 500] {
        let disk = FaultyDisk::sound(1);
        let (mut log, _) = open(&disk);
        for seed in 0..before {
            put(&mut log, 1, &bytes(seed, 10));
        }
        let writer = Arc::new(Mutex::new(log));
        let racing = Racing {
            disk,
            writer: Arc::clone(&writer),
        };
        let found = survey(&racing, 1).unwrap();
        assert_eq!(found.torn, None);
        let last = writer.lock().unwrap().last();
        assert!(
            (before..=last).contains(&found.last),
            "{} of {before}..{last}",
            found.last
        );
    }
}
