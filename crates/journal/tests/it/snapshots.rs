//! Snapshots: written aside, read back, passed over when they are no good.

use crate::helpers::{ID, bytes};
use journal::faulty::{Crash, CrashAt, Faults, FaultyDisk};
use journal::{Folder, SnapshotError, Snapshots};
use std::io::Read;

fn write(snapshots: &mut Snapshots<FaultyDisk>, sequence: u64, len: usize) {
    let info = snapshots
        .write(sequence, |out| out.write_all(&bytes(sequence, len)))
        .unwrap();
    assert_eq!((info.sequence, info.bytes), (sequence, len as u64));
}

/// The newest good one at or before `at`, checked byte for byte; and how many were passed over.
fn newest(disk: &FaultyDisk, at: u64) -> (Option<u64>, usize) {
    let found = Snapshots::new(disk.clone(), ID).at_or_before(at).unwrap();
    let sequence = found.snapshot.map(|mut snapshot| {
        let mut content = Vec::new();
        snapshot.read_to_end(&mut content).unwrap();
        assert!(content == bytes(snapshot.info.sequence, content.len()));
        assert_eq!(content.len() as u64, snapshot.info.bytes);
        snapshot.info.sequence
    });
    (sequence, found.skipped.len())
}

fn name(sequence: u64) -> String {
    format!("{sequence:020}.snap")
}

#[test]
fn the_newest_at_or_before_is_found() {
    let disk = FaultyDisk::sound(1);
    let mut snapshots = Snapshots::new(disk.clone(), ID);
    assert_eq!(newest(&disk, u64::MAX), (None, 0));
    for (sequence, len) in [(10, 0), (20, 5), (30, 700_000)] {
        write(&mut snapshots, sequence, len);
    }
    assert_eq!(snapshots.list().unwrap(), [10, 20, 30]);
    let table = [
        (9, None),
        (10, Some(10)),
        (29, Some(20)),
        (30, Some(30)),
        (99, Some(30)),
    ];
    for (at, expected) in table {
        assert_eq!(newest(&disk, at), (expected, 0), "at {at}");
    }
    assert_eq!(disk.list_names(), ["10", "20", "30"]);
}

trait ListNames {
    fn list_names(&self) -> Vec<String>;
}

impl ListNames for FaultyDisk {
    fn list_names(&self) -> Vec<String> {
        use journal::Disk;
        let mut names = self.list(Folder::Snapshots).unwrap();
        names.sort();
        let short = |name: String| name.replace(".snap", "").trim_start_matches('0').to_owned();
        names.into_iter().map(short).collect()
    }
}

#[test]
fn every_flipped_byte_and_every_cut_falls_back_to_the_one_before() {
    let disk = FaultyDisk::sound(1);
    let mut snapshots = Snapshots::new(disk.clone(), ID);
    write(&mut snapshots, 10, 100);
    write(&mut snapshots, 20, 300);
    let whole = disk.content(Folder::Snapshots, &name(20)).unwrap();
    for at in 0..whole.len() {
        let mut wrong = whole.clone();
        wrong[at] ^= 1 << (at % 8);
        disk.replace(Folder::Snapshots, &name(20), wrong);
        assert_eq!(newest(&disk, 99), (Some(10), 1), "byte {at}");
        disk.replace(Folder::Snapshots, &name(20), whole[..at].to_vec());
        assert_eq!(newest(&disk, 99), (Some(10), 1), "cut at {at}");
    }
    let longer = [&whole[..], b"x"].concat();
    disk.replace(Folder::Snapshots, &name(20), longer);
    assert_eq!(newest(&disk, 99), (Some(10), 1));
    disk.replace(Folder::Snapshots, &name(20), whole.clone());
    assert_eq!(newest(&disk, 99), (Some(20), 0));
    disk.replace(Folder::Snapshots, &name(30), whole);
    let found = Snapshots::new(disk.clone(), ID).latest().unwrap();
    assert!(
        found.skipped[0].why.contains("after entry 20"),
        "{:?}",
        found.skipped
    );
    let other = Snapshots::new(disk, 5).latest().unwrap();
    assert!(other.snapshot.is_none() && other.skipped.len() == 3);
}

#[test]
fn a_crash_anywhere_leaves_the_old_one_or_the_new_one() {
    let disk = FaultyDisk::sound(3);
    write(&mut Snapshots::new(disk.clone(), ID), 10, 1_500);
    let mut outcomes = [0; 2];
    for operation in 0..12 {
        for seed in 0..40 {
            let disk = FaultyDisk::restart(&disk.fork(), Crash::Process);
            disk.set_seed(seed);
            disk.crash_at(CrashAt::Operation(operation));
            let mut snapshots = Snapshots::new(disk.clone(), ID);
            let written = snapshots.write(20, |out| out.write_all(&bytes(20, 1_500)));
            let disk = disk.restart(Crash::Machine);
            let (found, _) = newest(&disk, 99);
            assert!(
                found == Some(20) || (found == Some(10) && written.is_err()),
                "{found:?}"
            );
            outcomes[usize::from(found == Some(20))] += 1;
            // What is left over is in nobody's way.
            write(&mut Snapshots::new(disk.clone(), ID), 30, 10);
            assert_eq!(newest(&disk, 99), (Some(30), 0));
        }
    }
    assert!(outcomes[0] > 50 && outcomes[1] > 50, "{outcomes:?}");
}

#[test]
fn a_snapshot_that_reads_back_wrong_does_not_count() {
    let disk = FaultyDisk::sound(1);
    let mut snapshots = Snapshots::new(disk.clone(), ID);
    write(&mut snapshots, 10, 100);
    // What is filled in is changed behind the writer's back before it is synced.
    let sabotaged = snapshots.write(20, |out| {
        out.write_all(&bytes(20, 300_000))?;
        assert!(disk.flip_bit(Folder::Snapshots, "new", 5_000, 3));
        Ok(())
    });
    assert!(
        matches!(sabotaged, Err(SnapshotError::Unverified { .. })),
        "{sabotaged:?}"
    );
    assert_eq!(newest(&disk, 99), (Some(10), 0));
    let failed = snapshots.write(20, |_| Err(std::io::Error::other("no more")));
    assert!(failed.unwrap_err().to_string().contains("no more"));
    disk.fail_sync_in(0);
    assert!(snapshots.write(20, |_| Ok(())).is_err());
    disk.set_faults(Faults {
        capacity_bytes: Some(5_000),
        ..Faults::default()
    });
    let full = snapshots.write(20, |out| out.write_all(&bytes(20, 300_000)));
    assert!(
        matches!(full, Err(SnapshotError::Failed { doing: "write", .. })),
        "{full:?}"
    );
    assert_eq!(disk.list_names(), ["10"]);
}

#[test]
fn pruning_keeps_the_newest_good_ones() {
    let disk = FaultyDisk::sound(1);
    let mut snapshots = Snapshots::new(disk.clone(), ID);
    assert_eq!(snapshots.prune(2).unwrap(), None);
    for sequence in [10, 20, 30, 40] {
        write(&mut snapshots, sequence, 100);
    }
    assert!(disk.flip_bit(Folder::Snapshots, &name(40), 600, 0));
    // A fresh process has verified nothing yet.
    let mut snapshots = Snapshots::new(disk.clone(), ID);
    assert_eq!(snapshots.prune(2).unwrap(), Some(20));
    assert_eq!(disk.list_names(), ["20", "30"]);
    assert_eq!(snapshots.prune(0).unwrap(), Some(30));
    assert_eq!(disk.list_names(), ["30"]);
}
