//! What a crash may leave, and what an opening makes of it: the last group is there whole or
//! not at all, nothing else moves, and what was cut never comes back.

use crate::helpers::*;
use journal::faulty::{Crash, CrashAt, Fate, Faults, FaultyDisk};
use journal::{Batch, FileLog, Folder, Log, Options, Settled, prune_segments, survey};
use std::collections::BTreeSet;

/// Two durable batches, and where the third will start.
fn two(disk: &FaultyDisk) -> usize {
    let (mut log, _) = open(disk);
    put(&mut log, 1, &bytes(1, 900));
    put(&mut log, 1, &bytes(2, 1_003));
    512 + record(900) + record(1_003)
}

/// Opens, expects `last`, then proves that the place of the cut is clean: a shorter batch is
/// written over it, everything is closed and opened again, and only what was settled is there.
fn opens_clean(disk: &FaultyDisk, last: u64, torn: Option<(usize, usize)>, case: &str) {
    let (mut log, recovery) = open(disk);
    assert_eq!(recovery.last, last, "{case}");
    let found = recovery
        .torn
        .map(|torn| (torn.offset as usize, torn.bytes_cut as usize));
    assert_eq!(found, torn, "{case}");
    let through = put(&mut log, 1, b"short");
    let disk = disk.restart_with(Crash::Machine, &mut |_| false);
    let (_, recovery) = open(&disk);
    assert_eq!((recovery.last, recovery.torn), (through, None), "{case}");
    let batches = read_all(&disk, through);
    assert_eq!(batches.len() as u64, through, "{case}");
    assert_eq!(batches[through as usize - 1].payload, b"short", "{case}");
    assert_eq!(batches[1].payload, bytes(2, 1_003), "{case}");
}

#[test]
fn the_last_group_cut_at_every_byte() {
    let disk = FaultyDisk::sound(1);
    let third = two(&disk);
    put(&mut open(&disk).0, 2, &bytes(3, 1_500));
    let whole = content(&disk, 1);
    let end = third + record(1_500);
    for cut in third..=end {
        // Never written from here on, and the file itself ends here.
        let zeroed = [&whole[..cut], &vec![0; whole.len() - cut]].concat();
        for (kind, left) in [("zeros", zeroed), ("short file", whole[..cut].to_vec())] {
            let disk = disk.fork();
            let short = left.len() < whole.len();
            disk.replace(Folder::Journal, &segment(1), left);
            let case = format!("{kind} from byte {cut}");
            // The last four bytes are padding: zeros that were never missed.
            if (cut >= end - 4 && !short) || cut == end {
                let torn = short.then_some((end, 0));
                let (_, recovery) = open(&disk);
                assert_eq!(recovery.last, 4, "{case}");
                let found = recovery
                    .torn
                    .map(|t| (t.offset as usize, t.bytes_cut as usize));
                assert_eq!(found, torn, "{case}");
                continue;
            }
            let cut_bytes = last_nonzero(&whole[third..cut]);
            let torn = (short || cut > third).then_some((third, cut_bytes));
            opens_clean(&disk, 2, torn, &case);
        }
    }
}

fn last_nonzero(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1)
}

#[test]
fn the_last_group_torn_in_every_subset_of_its_sectors() {
    for len in [2_600, 3_000] {
        let disk = FaultyDisk::sound(1);
        let third = two(&disk);
        let (mut log, _) = open(&disk);
        log.append(Batch {
            first: 3,
            count: 1,
            payload: &bytes(3, len),
        })
        .unwrap();
        let sectors = (third + record(len)).div_ceil(512) - third / 512;
        assert!((6..=8).contains(&sectors));
        for subset in 0..1u32 << sectors {
            let disk = disk.fork();
            let mut asked = 0;
            let disk = disk.restart_with(Crash::Machine, &mut |fate| match fate {
                Fate::Sector { sector, .. } => {
                    asked += 1;
                    subset >> (sector - third / 512) & 1 == 1
                }
                Fate::Length { .. } | Fate::Name { .. } => panic!("{fate:?} was synced long ago"),
            });
            assert_eq!(asked, sectors);
            let case = format!("{len} bytes, sectors {subset:b}");
            if subset == (1 << sectors) - 1 {
                assert_eq!(open(&disk).1.last, 3, "{case}");
                continue;
            }
            let left = content(&disk, 1);
            let cut = last_nonzero(&left[third..]);
            opens_clean(&disk, 2, (cut > 0).then_some((third, cut)), &case);
        }
    }
}

#[test]
fn remnants_never_join_a_later_batch() {
    // The torn group's tail persisted, its head did not. A batch of every length is then written
    // over the place, torn or whole, with and without a crash while cutting.
    let disk = FaultyDisk::sound(1);
    let third = two(&disk);
    let (mut log, _) = open(&disk);
    append(&mut log, 1, &bytes(3, 3_000));
    let torn = disk.restart_with(
        Crash::Machine,
        &mut |fate| matches!(fate, Fate::Sector { sector, .. } if sector > third / 512),
    );
    assert!(last_nonzero(&content(&torn, 1)[third..]) > 2_500);
    for operation in 0..4 {
        for seed in 0..60 {
            let mut disk = torn.fork();
            disk.set_seed(seed);
            disk.crash_at(CrashAt::Operation(operation));
            let _ = try_open(&disk);
            disk = disk.restart(Crash::Machine);
            let (mut log, recovery) = open(&disk);
            assert_eq!(recovery.last, 2);
            append(&mut log, 1, &bytes(4, seed as usize * 40));
            disk = disk.restart(Crash::Machine);
            let (mut log, recovery) = open(&disk);
            if recovery.last == 3 {
                assert_eq!(read_all(&disk, 3)[2].payload, bytes(4, seed as usize * 40));
            }
            let last = put(&mut log, 1, b"the end");
            assert_eq!(read_all(&disk, last).len() as u64, last);
        }
    }
}

#[test]
fn a_group_torn_just_before_the_end_of_its_segment() {
    // 480 bytes of record fill the last sector of the segment to its last byte.
    let disk = FaultyDisk::sound(1);
    let (mut log, _) = open(&disk);
    put(&mut log, 1, &bytes(1, 900));
    put(&mut log, 1, &bytes(2, 1_003));
    let used = 512 + record(900) + record(1_003);
    let exact = SEGMENT as usize - used - 32;
    append(&mut log, 1, &bytes(3, exact));
    let fork = disk.fork();
    assert!(matches!(log.settle(), Settled::Durable { through: 3 }));
    put(&mut log, 1, b"in the next segment");
    assert_eq!(segments(&disk), [segment(1), segment(4)]);
    assert_eq!(
        content(&disk, 1)[SEGMENT as usize - 1],
        bytes(3, exact)[exact - 1]
    );
    drop(log);
    assert_eq!(open(&disk).1.last, 4);

    let last = SEGMENT as usize / 512 - 1;
    let torn = fork.restart_with(
        Crash::Machine,
        &mut |fate| !matches!(fate, Fate::Sector { sector, .. } if sector == last),
    );
    opens_clean(
        &torn,
        2,
        Some((used, SEGMENT as usize - 512 - used)),
        "all but the last sector",
    );
}

#[test]
fn less_than_a_head_left_in_the_segment() {
    for short in [8, 16, 24] {
        let disk = FaultyDisk::sound(1);
        let (mut log, _) = open(&disk);
        put(&mut log, 1, &bytes(1, SEGMENT as usize - 512 - 32 - short));
        drop(log);
        let (mut log, recovery) = open(&disk);
        assert_eq!((recovery.last, recovery.torn), (1, None));
        assert_eq!(put(&mut log, 1, b""), 2);
        assert_eq!(segments(&disk), [segment(1), segment(2)]);
        assert_eq!(read_all(&disk, 2).len(), 2);
    }
}

#[test]
fn a_short_file_gets_its_length_back() {
    let disk = FaultyDisk::sound(1);
    let large = Options {
        segment_bytes: 2 << 20,
        ..options()
    };
    put(
        &mut FileLog::open(disk.clone(), large).unwrap().0,
        1,
        b"one",
    );
    for len in [512 + 40, 600, 4_096, 700_000] {
        let mut left = content(&disk, 1);
        left.truncate(len);
        disk.replace(Folder::Journal, &segment(1), left);
        let (_, recovery) = open(&disk);
        let torn = recovery.torn.unwrap();
        assert_eq!(
            (recovery.last, torn.bytes_missing),
            (1, (2 << 20) - len as u64)
        );
        assert_eq!(content(&disk, 1).len(), 2 << 20);
    }
}

#[test]
fn a_payload_that_imitates_a_batch_is_only_a_payload() {
    // The image of a valid record, where the torn one's payload lies, is valid nowhere else.
    let disk = FaultyDisk::sound(1);
    let third = two(&disk);
    let first_record = content(&disk, 1)[512..512 + record(900)].to_vec();
    let (mut log, _) = open(&disk);
    append(&mut log, 1, &first_record.repeat(3));
    let disk = disk.restart_with(
        Crash::Machine,
        &mut |fate| !matches!(fate, Fate::Sector { sector, .. } if sector == third / 512),
    );
    let torn = last_nonzero(&content(&disk, 1)[third..]);
    opens_clean(&disk, 2, Some((third, torn)), "imitation");
}

#[test]
fn a_bare_segment_with_a_torn_header_is_removed() {
    let disk = FaultyDisk::sound(1);
    let (mut log, _) = open(&disk);
    for seed in 1..=5 {
        put(&mut log, 1, &bytes(seed, 1_500));
    }
    drop(log);
    for head in [vec![], vec![0; 512], bytes(9, 100), bytes(9, 512)] {
        let disk = disk.fork();
        let bare = [&head[..], &vec![0; 3_000]].concat();
        disk.replace(Folder::Journal, &segment(6), bare.clone());
        let (mut log, recovery) = open(&disk);
        assert_eq!(
            (recovery.last, recovery.unfinished, recovery.segments),
            (5, Some(6), 1)
        );
        put(&mut log, 1, &bytes(6, 1_500));
        assert_eq!(read_all(&disk, 6).len(), 6);
        assert_eq!(segments(&disk), [segment(1), segment(6)]);
    }
    // One that does not continue the batches says that some are lost.
    let bare = vec![0; 3_000];
    disk.replace(Folder::Journal, &segment(8), bare);
    assert!(
        refusal(&disk).contains("end with 5, the next segment is 8"),
        "{}",
        refusal(&disk)
    );
}

#[test]
fn a_founding_that_crashed_anywhere_is_founded_again() {
    let mut founded = BTreeSet::new();
    for operation in 0..20 {
        for seed in 0..30 {
            let disk = FaultyDisk::sound(seed);
            disk.crash_at(CrashAt::Operation(operation));
            let opened = try_open(&disk).is_ok();
            founded.insert(opened);
            let disk = disk.restart(Crash::Machine);
            let (mut log, recovery) = open(&disk);
            assert_eq!((recovery.first, recovery.last, recovery.torn), (1, 0, None));
            put(&mut log, 1, b"works");
        }
    }
    assert_eq!(
        founded.len(),
        2,
        "some foundings crash and some finish: {founded:?}"
    );
}

#[test]
fn a_roll_that_crashed_anywhere_loses_nothing() {
    let ready = FaultyDisk::sound(1);
    let (mut log, _) = open(&ready);
    for seed in 1..=5 {
        put(&mut log, 1, &bytes(seed, 1_500));
    }
    let mut lasts = BTreeSet::new();
    for operation in 0..16 {
        for seed in 0..40 {
            let disk = ready.fork().restart(Crash::Process);
            disk.set_seed(seed);
            let (mut log, _) = open(&disk);
            disk.crash_at(CrashAt::Operation(operation));
            let appended = log.append(Batch {
                first: 6,
                count: 1,
                payload: &bytes(6, 1_500),
            });
            let durable = matches!(log.settle(), Settled::Durable { through: 6 });
            let disk = disk.restart(Crash::Machine);
            let (mut log, recovery) = open(&disk);
            lasts.insert((appended.is_ok(), durable, recovery.last));
            assert!(
                recovery.last == 6 || (recovery.last == 5 && !durable),
                "{recovery:?}"
            );
            let last = put(&mut log, 1, &bytes(7, 1_500));
            assert_eq!(read_all(&disk, last).len() as u64, last);
        }
    }
    // Crashed while rolling; while writing; while syncing, lost or not; not at all.
    let all = [
        (false, false, 5),
        (true, false, 5),
        (true, false, 6),
        (true, true, 6),
    ];
    assert!(all.iter().all(|case| lasts.contains(case)), "{lasts:?}");
}

#[test]
fn a_roll_onto_the_last_spare_of_a_full_disk_is_durable_by_itself() {
    // No further spare can be made, so nothing else syncs the folder by chance.
    let capacity_bytes = Some(2 * SEGMENT + 1_000);
    let disk = FaultyDisk::new(
        1,
        Faults {
            capacity_bytes,
            ..Faults::default()
        },
    );
    let (mut log, _) = open(&disk);
    for seed in 1..=6 {
        put(&mut log, 1, &bytes(seed, 1_500));
    }
    assert_eq!(segments(&disk), [segment(1), segment(6)]);
    let disk = disk.restart_with(Crash::Machine, &mut |_| false);
    assert_eq!(survey(&disk, 1).unwrap().last, 6);
}

#[test]
fn a_prune_that_crashed_anywhere_leaves_no_gap() {
    let ready = FaultyDisk::sound(1);
    let (mut log, _) = open(&ready);
    for seed in 1..=30 {
        put(&mut log, 1, &bytes(seed, 1_500));
    }
    drop(log);
    let mut firsts = BTreeSet::new();
    for operation in 0..12 {
        for seed in 0..40 {
            let disk = ready.fork();
            disk.set_seed(seed);
            disk.crash_at(CrashAt::Operation(operation));
            let _ = prune_segments(&disk, 22);
            let disk = disk.restart(Crash::Machine);
            let (_, recovery) = open(&disk);
            assert_eq!(recovery.last, 30);
            assert!([1, 6, 11, 16, 21].contains(&recovery.first), "{recovery:?}");
            firsts.insert(recovery.first);
        }
    }
    assert_eq!(firsts.len(), 5, "{firsts:?}");
}

#[test]
fn an_opening_that_crashed_anywhere_can_be_repeated() {
    let disk = FaultyDisk::sound(1);
    two(&disk);
    let (mut log, _) = open(&disk);
    append(&mut log, 1, &bytes(3, 3_000));
    let torn = disk.restart_with(
        Crash::Machine,
        &mut |fate| matches!(fate, Fate::Sector { sector, .. } if sector % 2 == 0),
    );
    let mut epochs = BTreeSet::new();
    for operation in 0..12 {
        for seed in 0..40 {
            let disk = torn.fork();
            disk.set_seed(seed);
            disk.crash_at(CrashAt::Operation(operation));
            let _ = try_open(&disk);
            let disk = disk.restart(Crash::Machine);
            let (_, recovery) = open(&disk);
            assert_eq!(recovery.last, 2);
            epochs.insert(recovery.epoch);
            assert_eq!(read_all(&disk, 2).len(), 2);
        }
    }
    assert_eq!(
        epochs.len(),
        2,
        "an opening counts or it does not: {epochs:?}"
    );
}

#[test]
fn a_survey_changes_nothing() {
    let disk = FaultyDisk::sound(1);
    let third = two(&disk);
    let (mut log, _) = open(&disk);
    append(&mut log, 1, &bytes(3, 100));
    drop(log);
    let mut left = content(&disk, 1);
    left[third + 50] ^= 1;
    disk.replace(Folder::Journal, &segment(1), left.clone());
    let writes = disk.counts().writes;
    let found = survey(&disk, 1).unwrap();
    assert_eq!((found.last, found.torn.unwrap().offset), (2, third as u64));
    assert_eq!((disk.counts().writes, content(&disk, 1)), (writes, left));
}
