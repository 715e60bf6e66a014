//! Format version 1 is a promise: a journal written by it opens for ever, and this program
//! writes the same bytes. To found the pinned files anew, set `SEAWALL_PIN=1`; a change in them
//! is a new version and needs new files beside the old.

use crate::helpers::*;
use journal::faulty::FaultyDisk;
use journal::{FORMAT_VERSION, FileLog, Folder, OpenError, Options, ReadError, Snapshots};
use std::path::PathBuf;

const SMALL: u64 = 4_096;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1")
}

fn files() -> Vec<(Folder, String)> {
    let mut files = vec![(Folder::Journal, "META".to_owned())];
    files.extend([1, 5].map(|first| (Folder::Journal, segment(first))));
    files.push((Folder::Snapshots, format!("{:020}.snap", 6)));
    files
}

/// Two segments, two writers, a snapshot.
fn journal() -> FaultyDisk {
    let disk = FaultyDisk::sound(1);
    let small = Options {
        segment_bytes: SMALL,
        ..options()
    };
    let (mut log, _) = FileLog::open(disk.clone(), small).unwrap();
    put(&mut log, 3, &bytes(1, 1_801));
    drop(log);
    let (mut log, _) = FileLog::open(disk.clone(), small).unwrap();
    put(&mut log, 1, b"");
    put(&mut log, 2, &bytes(2, 2_000));
    log.close().unwrap();
    let mut snapshots = Snapshots::new(disk.clone(), ID);
    snapshots
        .write(6, |out| out.write_all(b"the state after six"))
        .unwrap();
    disk
}

fn pinned() -> FaultyDisk {
    let disk = FaultyDisk::sound(2);
    for (of, name) in files() {
        let path = folder().join(of.name()).join(&name);
        disk.replace(of, &name, std::fs::read(path).unwrap());
    }
    disk
}

#[test]
fn version_1_is_written_as_pinned() {
    let disk = journal();
    for (of, name) in files() {
        let path = folder().join(of.name()).join(&name);
        let written = disk.content(of, &name).unwrap();
        if std::env::var_os("SEAWALL_PIN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &written).unwrap();
        }
        assert!(
            std::fs::read(&path).unwrap() == written,
            "{} differs",
            path.display()
        );
    }
}

#[test]
fn version_1_still_opens() {
    let disk = pinned();
    let (mut log, recovery) = open(&disk);
    let found = (
        recovery.id,
        recovery.epoch,
        recovery.first,
        recovery.last,
        recovery.segments,
    );
    assert_eq!(found, (ID, 3, 1, 6, 2));
    assert_eq!(recovery.torn, None);
    assert_eq!(put(&mut log, 1, b"written by a later program"), 7);
    let batches = read_all(&disk, 7);
    let shape: Vec<_> = batches
        .iter()
        .map(|b| (b.first, b.count, b.payload.len()))
        .collect();
    assert_eq!(shape, [(1, 3, 1_801), (4, 1, 0), (5, 2, 2_000), (7, 1, 26)]);
    assert_eq!(
        (&batches[0].payload, &batches[2].payload),
        (&bytes(1, 1_801), &bytes(2, 2_000))
    );
    let found = Snapshots::new(disk, ID).latest().unwrap().snapshot.unwrap();
    assert_eq!(
        std::io::read_to_string(found).unwrap(),
        "the state after six"
    );
}

#[test]
fn another_version_is_refused_by_name() {
    for (of, name) in files().into_iter().take(3) {
        let disk = pinned();
        let mut content = disk.content(of, &name).unwrap();
        content[8] = 2;
        disk.replace(of, &name, content);
        match try_open(&disk).err() {
            Some(OpenError::Read(ReadError::Version {
                file,
                found,
                expected,
            })) => {
                assert_eq!((file, found, expected), (of.path(&name), 2, FORMAT_VERSION));
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}
