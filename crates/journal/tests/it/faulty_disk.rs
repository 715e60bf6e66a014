//! The faulty disk keeps its own promises: what is synced stays, what is not is a matter of
//! fate, and one seed gives one course.

use journal::faulty::{Crash, CrashAt, Fate, Faults, FaultyDisk};
use journal::{Access, Disk, DiskFile, Folder};
use std::io::ErrorKind;

const NAME: &str = "file";

fn read(disk: &FaultyDisk) -> Vec<u8> {
    disk.content(Folder::Journal, NAME).unwrap()
}

/// A durable file of four sectors of ones.
fn ones(disk: &FaultyDisk) -> <FaultyDisk as Disk>::File {
    let file = disk.create(Folder::Journal, NAME).unwrap();
    assert_eq!(file.write_at(&[1; 2_048], 0).unwrap(), 2_048);
    file.sync_data().unwrap();
    disk.sync_folder(Folder::Journal).unwrap();
    file
}

#[test]
fn sectors_persist_in_any_subset_and_whole() {
    for subset in 0..16 {
        let disk = FaultyDisk::sound(1);
        let file = ones(&disk);
        file.write_at(&[2; 1_500], 300).unwrap();
        file.write_at(&[3; 10], 600).unwrap();
        let disk = disk.restart_with(Crash::Machine, &mut |fate| match fate {
            Fate::Sector { sector, .. } => subset >> sector & 1 == 1,
            Fate::Length { .. } | Fate::Name { .. } => panic!("{fate:?}"),
        });
        let mut expected = vec![1; 2_048];
        expected[300..1_800].fill(2);
        expected[600..610].fill(3);
        for sector in (0..4).filter(|sector| subset >> sector & 1 == 0) {
            expected[sector * 512..][..512].fill(1);
        }
        assert!(read(&disk) == expected, "{subset:b}");
    }
}

#[test]
fn names_lengths_and_handles() {
    let disk = FaultyDisk::sound(1);
    let file = ones(&disk);
    file.write_at(&[2; 1_000], 2_000).unwrap();
    let stays = |length, sector| {
        let fork = disk
            .fork()
            .restart_with(Crash::Machine, &mut |fate| match fate {
                Fate::Length { .. } => length,
                Fate::Sector { .. } => sector,
                Fate::Name { .. } => true,
            });
        let left = read(&fork);
        (left.len(), left[2_047], left.get(2_048).copied())
    };
    assert_eq!(stays(false, false), (2_048, 1, None));
    assert_eq!(stays(false, true), (2_048, 2, None));
    assert_eq!(stays(true, false), (3_000, 1, Some(0)));
    assert_eq!(stays(true, true), (3_000, 2, Some(2)));

    disk.rename(Folder::Journal, NAME, "other").unwrap();
    let lost = disk.fork().restart_with(Crash::Machine, &mut |_| false);
    assert_eq!(lost.list(Folder::Journal).unwrap(), [NAME]);
    let kept = disk.restart_with(Crash::Machine, &mut |_| true);
    assert_eq!(kept.list(Folder::Journal).unwrap(), ["other"]);
    // Handles and disks from before are dead.
    assert!(file.write_at(&[0], 0).is_err() && disk.list(Folder::Journal).is_err());
    // A process that ends loses nothing.
    let file = kept.open(Folder::Journal, "other", Access::Write).unwrap();
    file.write_at(&[9; 4], 0).unwrap();
    kept.rename(Folder::Journal, "other", NAME).unwrap();
    let kept = kept.restart(Crash::Process);
    assert_eq!(read(&kept)[..4], [9; 4]);
    let gone = kept.open(Folder::Journal, "other", Access::Read).err();
    assert_eq!(gone.map(|e| e.kind()), Some(ErrorKind::NotFound));
    let file = kept.open(Folder::Journal, NAME, Access::Read).unwrap();
    assert_eq!(
        file.write_at(&[0], 0).map_err(|e| e.kind()),
        Err(ErrorKind::PermissionDenied)
    );
}

#[test]
fn a_failed_sync_drops_what_memory_still_shows() {
    let mut dropped = 0;
    for seed in 0..32 {
        let disk = FaultyDisk::sound(seed);
        let file = ones(&disk);
        file.write_at(&[2; 2_048], 0).unwrap();
        disk.fail_sync_in(0);
        assert!(file.sync_data().is_err());
        // A second sync is a success that writes nothing.
        file.sync_data().unwrap();
        assert!(read(&disk) == [2; 2_048]);
        let fork = disk.fork().restart_with(Crash::Machine, &mut |_| true);
        dropped += read(&fork).iter().filter(|b| **b == 1).count();
        // Written again, it is as good as new.
        file.write_at(&[2; 2_048], 0).unwrap();
        file.sync_data().unwrap();
        let disk = disk.restart_with(Crash::Machine, &mut |_| false);
        assert!(read(&disk) == [2; 2_048]);
    }
    assert!((20 * 512..108 * 512).contains(&dropped), "{dropped}");
}

#[test]
fn crashes_strike_where_they_are_told() {
    for byte in 0..100 {
        let disk = FaultyDisk::sound(1);
        let file = ones(&disk);
        disk.crash_at(CrashAt::Byte(byte));
        let written = file.write_at(&[2; 60], 0).is_ok() && file.write_at(&[2; 60], 60).is_ok();
        assert!(!written && disk.is_down());
        let disk = disk.restart(Crash::Process);
        assert_eq!(read(&disk).iter().filter(|b| **b == 2).count() as u64, byte);
    }
    for operation in 0..4 {
        let disk = FaultyDisk::sound(1);
        disk.crash_at(CrashAt::Operation(operation));
        let steps = || -> std::io::Result<()> {
            let file = disk.create(Folder::Journal, NAME)?;
            file.write_at(&[1], 0)?;
            file.sync_data()?;
            disk.sync_folder(Folder::Journal)
        };
        assert!(steps().is_err() && disk.is_down(), "{operation}");
    }
}

#[test]
fn one_seed_one_course() {
    let course = |seed| {
        let faults = Faults {
            short_write: 200_000,
            interrupted: 100_000,
            failed_write: 50_000,
            failed_read: 50_000,
            failed_sync: 100_000,
            early_write_back: 300_000,
            capacity_bytes: Some(6_800),
        };
        let mut disk = FaultyDisk::new(seed, faults);
        let mut trace = Vec::new();
        for round in 0..50 {
            let Ok(file) = disk.create(Folder::Journal, NAME) else {
                continue;
            };
            for step in 0..21 {
                let written = file.write_at(&[step + 1; 700], u64::from(step) * 350);
                trace.push(format!("{written:?}"));
                let synced = step % 3 > 0 || file.sync_data().is_ok();
                trace.push(format!("{synced}"));
                trace.push(format!("{:?}", file.read_at(&mut [0; 9], 0).is_ok()));
            }
            if round % 3 == 0 {
                let _ = disk.sync_folder(Folder::Journal);
            }
            disk = disk.restart(Crash::Machine);
            trace.push(format!("{:?}", disk.content(Folder::Journal, NAME)));
        }
        (trace, disk.counts())
    };
    let (trace, counts) = course(7);
    assert_eq!(course(7), (trace.clone(), counts));
    assert_ne!(course(8).0, trace);
    let happened = [
        counts.short_writes,
        counts.interruptions,
        counts.failed_writes,
        counts.failed_reads,
        counts.failed_syncs,
        counts.full,
        counts.early_write_backs,
        counts.sectors_lost,
        counts.sectors_kept,
        counts.names_lost,
    ];
    assert!(happened.iter().all(|count| *count > 0), "{counts:?}");
}
