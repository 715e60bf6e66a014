//! Writing, rolling, reading, refusing.

use crate::helpers::*;
use journal::faulty::{Faults, FaultyDisk};
use journal::{
    AppendError, Batch, Disk, FileLog, Folder, Log, Misuse, Options, ReadError, Reader, Room,
    Settled, prune_segments, survey,
};

#[test]
fn a_new_journal_is_empty_and_starts_with_one() {
    let disk = FaultyDisk::sound(1);
    assert!(matches!(survey(&disk, 1), Err(ReadError::Absent { .. })));
    let (log, recovery) = open(&disk);
    assert_eq!(
        (recovery.id, recovery.epoch, recovery.first, recovery.last),
        (ID, 1, 1, 0)
    );
    assert_eq!((log.next(), log.window(), recovery.segments), (1, 1, 1));
    assert_eq!(recovery.torn, None);
}

#[test]
fn batches_come_back_in_order_and_over_segments() {
    let disk = FaultyDisk::sound(1);
    let (mut log, _) = open(&disk);
    let lengths = [0, 1, 7, 8, 9, 500, 4_000, 3_000, 7_640, 1, 5_000];
    let mut sent = Vec::new();
    for (place, len) in lengths.into_iter().enumerate() {
        let payload = bytes(place as u64 + 1, len);
        let first = log.next();
        let count = place as u32 % 3 + 1;
        assert_eq!(put(&mut log, count, &payload), first + u64::from(count) - 1);
        sent.push((first, count, payload));
    }
    assert!(segments(&disk).len() >= 4, "{:?}", segments(&disk));
    let last = log.last();
    let read = |disk| {
        let batches = read_all(disk, last).into_iter();
        batches
            .map(|batch| (batch.first, batch.count, batch.payload))
            .collect::<Vec<_>>()
    };
    assert_eq!(read(&disk), sent);
    drop(log);
    let (log, recovery) = open(&disk);
    assert_eq!(
        (recovery.last, recovery.epoch, log.next()),
        (last, 2, last + 1)
    );
    assert_eq!(recovery.segments, segments(&disk).len());
    assert_eq!(read(&disk), sent);
    let survey = survey(&disk, 1).unwrap();
    let batches: u64 = survey
        .segments
        .iter()
        .map(|segment| segment.read.unwrap().0)
        .sum();
    assert_eq!((survey.last, batches), (last, lengths.len() as u64));
}

#[test]
fn the_largest_batch_fits_and_one_byte_more_does_not() {
    let disk = FaultyDisk::sound(1);
    let options = Options {
        segment_bytes: 2 << 20,
        ..options()
    };
    let (mut log, _) = FileLog::open(disk.clone(), options).unwrap();
    assert_eq!(log.payload_bytes_max(), 512 * 1024);
    let payload = bytes(3, log.payload_bytes_max() + 1);
    let max = payload.len() - 1;
    let refused = log.append(Batch {
        first: 1,
        count: 1,
        payload: &payload,
    });
    let expected = Misuse::TooLarge {
        found: max + 1,
        max,
    };
    assert!(matches!(refused, Err(AppendError::Misuse(found)) if found == expected));
    for _ in 0..9 {
        put(&mut log, 1, &payload[..max]);
    }
    assert!(
        read_all(&disk, 9)
            .iter()
            .all(|batch| batch.payload == payload[..max])
    );
    assert_eq!(segments(&disk).len(), 3);
}

#[test]
fn misuse_is_named_and_harmless() {
    let disk = FaultyDisk::sound(1);
    let (mut log, _) = open(&disk);
    let mut misuse = |first, count, len| {
        let payload = vec![1; len];
        match log.append(Batch {
            first,
            count,
            payload: &payload,
        }) {
            Err(AppendError::Misuse(misuse)) => misuse,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        misuse(2, 1, 1),
        Misuse::Sequence {
            expected: 1,
            found: 2
        }
    );
    assert_eq!(
        misuse(0, 1, 1),
        Misuse::Sequence {
            expected: 1,
            found: 0
        }
    );
    assert_eq!(misuse(1, 0, 1), Misuse::Empty);
    assert_eq!(
        misuse(1, 1, 7_649),
        Misuse::TooLarge {
            found: 7_649,
            max: 7_648
        }
    );
    append(&mut log, 1, b"in flight");
    let second = log.append(Batch {
        first: 2,
        count: 1,
        payload: b"too early",
    });
    assert!(matches!(
        second,
        Err(AppendError::Misuse(Misuse::WindowFull { window: 1 }))
    ));
    assert!(matches!(log.settle(), Settled::Durable { through: 1 }));
    assert!(matches!(log.settle(), Settled::Durable { through: 1 }));
    assert_eq!(put(&mut log, 1, b"next"), 2);
}

#[test]
fn readers_start_inside_a_batch_and_stop_at_the_bound() {
    let disk = FaultyDisk::sound(1);
    let (mut log, _) = open(&disk);
    for seed in 0..12 {
        put(&mut log, 5, &bytes(seed, 1_500));
    }
    let firsts = |from, through| {
        let mut reader = Reader::open(disk.clone(), from).unwrap();
        let mut firsts = Vec::new();
        while let Some(batch) = reader.next_through(through).unwrap() {
            firsts.push(batch.first);
        }
        firsts
    };
    assert_eq!(firsts(1, 14), [1, 6]);
    assert_eq!(firsts(5, 15), [1, 6, 11]);
    assert_eq!(firsts(6, 15), [6, 11]);
    assert_eq!(firsts(38, 60), [36, 41, 46, 51, 56]);
    assert_eq!(firsts(60, 60), [56]);
    assert_eq!(firsts(61, 60), [0; 0]);
}

#[test]
fn a_reader_follows_the_writer_batch_by_batch() {
    let disk = FaultyDisk::sound(1);
    let (mut log, _) = open(&disk);
    let mut reader = Reader::open(disk.clone(), 1).unwrap();
    let mut late = Reader::open(disk.clone(), 40).unwrap();
    assert_eq!(reader.next_through(0).unwrap(), None);
    for seed in 1..=60 {
        let payload = bytes(seed, seed as usize * 37);
        append(&mut log, 1, &payload);
        // In flight: written, but not to be shown.
        assert_eq!(reader.next_through(seed - 1).unwrap(), None);
        assert!(matches!(log.settle(), Settled::Durable { .. }));
        let batch = reader.next_through(seed).unwrap().unwrap();
        assert_eq!((batch.first, batch.payload), (seed, payload));
        let shown = late.next_through(seed).unwrap().map(|batch| batch.first);
        assert_eq!(shown, (seed >= 40).then_some(seed));
    }
    assert!(segments(&disk).len() > 5);
}

#[test]
fn one_writer_at_a_time() {
    let disk = FaultyDisk::sound(1);
    let (log, _) = open(&disk);
    assert!(refusal(&disk).contains("journal/LOCK is held by another process"));
    drop(log);
    assert_eq!(open(&disk).1.epoch, 2);
}

#[test]
fn a_failed_sync_ends_the_log_for_ever() {
    let disk = FaultyDisk::sound(1);
    let (mut log, _) = open(&disk);
    put(&mut log, 1, b"good");
    disk.fail_sync_in(0);
    append(&mut log, 1, b"lost or not");
    assert!(matches!(log.settle(), Settled::Unknown(_)));
    assert!(matches!(log.settle(), Settled::Unknown(_)));
    let again = log.append(Batch {
        first: log.next(),
        count: 1,
        payload: b"more",
    });
    assert!(matches!(again, Err(AppendError::Poisoned)));
    log.close().unwrap();
    let (_, recovery) = open(&disk.restart(journal::faulty::Crash::Machine));
    assert!(recovery.last == 1 || recovery.last == 2, "{recovery:?}");
}

#[test]
fn what_a_failed_sync_left_in_memory_is_written_again_before_it_counts() {
    // The kernel shows the bytes, will never write them, and calls the next sync a success.
    for seed in 0..64 {
        let disk = FaultyDisk::sound(seed);
        let (mut log, _) = open(&disk);
        put(&mut log, 1, b"good");
        disk.fail_sync_in(0);
        append(&mut log, 1, &bytes(seed, 2_000));
        assert!(matches!(log.settle(), Settled::Unknown(_)));
        let disk = disk.restart(journal::faulty::Crash::Process);
        let (mut log, recovery) = open(&disk);
        assert_eq!(recovery.last, 2, "memory still holds the batch");
        put(&mut log, 1, b"on top");
        let disk = disk.restart_with(journal::faulty::Crash::Machine, &mut |_| false);
        let (_, recovery) = open(&disk);
        assert_eq!((recovery.last, recovery.torn), (3, None), "seed {seed}");
    }
}

#[test]
fn a_failed_write_ends_the_log_for_ever() {
    let disk = FaultyDisk::sound(1);
    let (mut log, _) = open(&disk);
    put(&mut log, 1, b"good");
    disk.set_faults(Faults {
        failed_write: 1_000_000,
        ..Faults::default()
    });
    let failed = log.append(Batch {
        first: 2,
        count: 1,
        payload: b"bad, bad",
    });
    assert!(
        matches!(failed, Err(AppendError::Failed { doing: "write", .. })),
        "{failed:?}"
    );
    disk.set_faults(Faults::default());
    let again = log.append(Batch {
        first: 2,
        count: 1,
        payload: b"bad, bad",
    });
    assert!(matches!(again, Err(AppendError::Poisoned)));
    drop(log);
    assert_eq!(open(&disk).1.last, 1);
}

#[test]
fn short_and_interrupted_writes_are_gone_on_with() {
    let faults = Faults {
        short_write: 700_000,
        interrupted: 300_000,
        ..Faults::default()
    };
    let disk = FaultyDisk::new(5, faults);
    let (mut log, _) = open(&disk);
    for seed in 1..=40 {
        put(&mut log, 1, &bytes(seed, 1_000));
    }
    assert!(disk.counts().short_writes > 40 && disk.counts().interruptions > 10);
    let whole = read_all(&disk, 40)
        .iter()
        .all(|b| b.payload == bytes(b.first, 1_000));
    assert!(whole);
}

#[test]
fn a_full_disk_refuses_before_anything_is_written() {
    let capacity_bytes = Some(3 * SEGMENT + 1_000);
    let disk = FaultyDisk::new(
        1,
        Faults {
            capacity_bytes,
            ..Faults::default()
        },
    );
    let reserve = Options {
        reserve_bytes: SEGMENT,
        ..options()
    };
    let (mut log, _) = FileLog::open(disk.clone(), reserve).unwrap();
    let mut taken = 0;
    let mut warned_at = None;
    let payload = bytes(1, 700);
    let refused = loop {
        log.refresh_room();
        if let Room::Low { reserve_bytes, .. } = log.room() {
            assert_eq!(reserve_bytes, SEGMENT);
            warned_at.get_or_insert(taken);
        }
        match log.append(Batch {
            first: taken + 1,
            count: 1,
            payload: &payload,
        }) {
            Ok(()) => {
                assert!(matches!(log.settle(), Settled::Durable { .. }));
                taken += 1;
            }
            Err(e) => break e,
        }
    };
    assert!(
        matches!(
            refused,
            AppendError::NoRoom {
                needed_bytes: SEGMENT,
                ..
            }
        ),
        "{refused:?}"
    );
    // Three segments fit, the second and third of them as spares. The warning came as soon as
    // less than the reserve was free, a spare that is ready or not.
    assert_eq!(taken, 30);
    assert_eq!(warned_at, Some(10 + 1));
    let still = log.append(Batch {
        first: taken + 1,
        count: 1,
        payload: &payload,
    });
    assert!(matches!(still, Err(AppendError::NoRoom { .. })));
    // Asked before tried: nothing ran into the end of the disk.
    assert_eq!(disk.counts().full, 0);
    // Not poisoned: room is made, and the sale goes on.
    assert_eq!(prune_segments(&disk, 11).unwrap().segments, 1);
    assert_eq!(put(&mut log, 1, &payload), 31);
    drop(log);
    assert_eq!(open(&disk).1.last, 31);
}

#[test]
fn pruning_keeps_the_sequence_asked_for_and_the_last_segment() {
    let disk = FaultyDisk::sound(1);
    let (mut log, _) = open(&disk);
    for seed in 1..=30 {
        put(&mut log, 2, &bytes(seed, 1_500));
    }
    // Five batches of two a segment: 1, 11, 21, 31, 41, 51.
    assert_eq!(segments(&disk).len(), 6);
    assert_eq!(prune_segments(&disk, 10).unwrap().segments, 0);
    let pruned = prune_segments(&disk, 30).unwrap();
    assert_eq!((pruned.segments, pruned.bytes), (2, 2 * SEGMENT));
    assert_eq!(segments(&disk)[0], segment(21));
    assert_eq!(prune_segments(&disk, 31).unwrap().segments, 1);
    let asked = Reader::open(disk.clone(), 30).err();
    assert!(
        matches!(
            asked,
            Some(ReadError::Pruned {
                asked: 30,
                oldest: 31
            })
        ),
        "{asked:?}"
    );
    let mut reader = Reader::open(disk.clone(), 31).unwrap();
    assert_eq!(reader.next_through(60).unwrap().unwrap().first, 31);
    prune_segments(&disk, u64::MAX).unwrap();
    assert_eq!(segments(&disk), [segment(51)]);
    let passed = reader.next_through(60).and_then(|_| {
        while reader.next_through(60)?.is_some() {}
        Ok(())
    });
    assert!(
        matches!(passed, Err(ReadError::Pruned { oldest: 51, .. })),
        "{passed:?}"
    );
    drop(log);
    let (mut log, recovery) = open(&disk);
    assert_eq!((recovery.first, recovery.last), (51, 60));
    assert_eq!(put(&mut log, 1, b"next"), 61);
}

#[test]
fn the_spare_survives_a_restart_and_is_made_again_if_it_is_wrong() {
    let disk = FaultyDisk::sound(1);
    drop(open(&disk));
    let syncs = |disk: &FaultyDisk| {
        let before = disk.counts().writes;
        drop(open(disk));
        disk.counts().writes - before
    };
    let reused = syncs(&disk);
    let mut wrong = disk.content(Folder::Journal, "spare").unwrap();
    wrong[5_000] = 1;
    disk.replace(Folder::Journal, "spare", wrong);
    assert_eq!(syncs(&disk), reused + 1);
    let spare = disk.content(Folder::Journal, "spare").unwrap();
    assert!(spare.len() == SEGMENT as usize && spare.iter().all(|b| *b == 0));
}

#[test]
fn a_spare_that_failed_is_given_back_and_made_anew() {
    let disk = FaultyDisk::sound(1);
    let (mut log, _) = open(&disk);
    for seed in 1..=5 {
        put(&mut log, 1, &bytes(seed, 1_500));
    }
    // The roll syncs its header, then the next spare's zeros: those fail.
    disk.fail_sync_in(1);
    put(&mut log, 1, &bytes(6, 1_500));
    let names = disk.list(Folder::Journal).unwrap();
    assert!(
        names.iter().all(|name| !name.starts_with("spare")),
        "{names:?}"
    );
    for seed in 7..=11 {
        put(&mut log, 1, &bytes(seed, 1_500));
    }
    assert_eq!(segments(&disk).len(), 3);
}

#[test]
fn options_are_checked() {
    for segment_bytes in [0, 4_095, 5_000, 2 << 30] {
        let refused = FileLog::open(
            FaultyDisk::sound(1),
            Options {
                segment_bytes,
                ..options()
            },
        );
        let text = refused.err().unwrap().to_string();
        assert!(
            text.contains(&segment_bytes.to_string()) && text.contains("multiple"),
            "{text}"
        );
    }
}

#[test]
fn segments_of_different_sizes_live_together() {
    let disk = FaultyDisk::sound(1);
    for (run, segment_bytes) in [4_096, 64 * 1024, 8_192].into_iter().enumerate() {
        let (mut log, _) = FileLog::open(
            disk.clone(),
            Options {
                segment_bytes,
                ..options()
            },
        )
        .unwrap();
        for seed in 0..30 {
            put(&mut log, 1, &bytes(run as u64 * 30 + seed, 3_000));
        }
    }
    assert_eq!(read_all(&disk, 90).len(), 90);
    assert_eq!(open(&disk).1.last, 90);
}
