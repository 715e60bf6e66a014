//! Damage that no crash leaves: refused, naming file and byte.

use crate::helpers::*;
use journal::faulty::FaultyDisk;
use journal::{Damage, Disk, FileLog, Folder, OpenError, Options, ReadError, Reader, survey};

/// Four batches of 300 bytes in one segment, nothing in flight.
fn four() -> FaultyDisk {
    let disk = FaultyDisk::sound(1);
    let (mut log, _) = open(&disk);
    for seed in 1..=4 {
        put(&mut log, 1, &bytes(seed, 300));
    }
    disk
}

/// Six segments of five batches.
fn thirty() -> FaultyDisk {
    let disk = FaultyDisk::sound(1);
    let (mut log, _) = open(&disk);
    for seed in 1..=30 {
        put(&mut log, 1, &bytes(seed, 1_500));
    }
    disk
}

/// Starts again without the lock of the log that was dropped, and changes bytes of a segment.
fn changed(disk: &FaultyDisk, first: u64, change: impl FnOnce(&mut Vec<u8>)) -> FaultyDisk {
    let disk = disk.fork();
    let mut left = content(&disk, first);
    change(&mut left);
    disk.replace(Folder::Journal, &segment(first), left);
    disk
}

fn damage(disk: &FaultyDisk) -> Damage {
    let before = all(disk);
    let found = match try_open(disk).map(|(_, recovery)| recovery) {
        Err(OpenError::Read(ReadError::Damaged(damage))) => damage,
        other => panic!("{other:?}"),
    };
    assert!(all(disk) == before, "a refused opening changes nothing");
    match survey(disk, 1) {
        Err(ReadError::Damaged(surveyed)) => assert_eq!(surveyed, found),
        other => panic!("{other:?}"),
    }
    found
}

fn all(disk: &FaultyDisk) -> Vec<(String, Vec<u8>)> {
    let names = disk.list(Folder::Journal).unwrap().into_iter();
    names
        .map(|name| (name.clone(), disk.content(Folder::Journal, &name).unwrap()))
        .collect()
}

#[track_caller]
fn names(found: &Damage, first: u64, offset: u64) {
    let expected = (Folder::Journal.path(&segment(first)), offset);
    assert_eq!((found.file.clone(), found.offset), expected, "{found}");
}

#[test]
fn every_flipped_byte_of_a_middle_batch() {
    let disk = four();
    let second = 512 + record(300) as u64;
    let third = second + record(300) as u64;
    for at in second..third {
        let disk = disk.fork();
        assert!(disk.flip_bit(Folder::Journal, &segment(1), at, at as u8));
        names(&damage(&disk), 1, second);
    }
}

#[test]
fn every_flipped_byte_of_a_segment_header_and_of_the_description() {
    let disk = four();
    for at in 0..512 {
        let disk = disk.fork();
        assert!(disk.flip_bit(Folder::Journal, &segment(1), at, at as u8));
        let text = refusal(&disk);
        assert!(text.contains(&segment(1)), "byte {at}: {text}");
    }
    for at in 0..64 {
        let disk = disk.fork();
        assert!(disk.flip_bit(Folder::Journal, "META", at, at as u8));
        let text = refusal(&disk);
        assert!(text.contains("journal/META"), "byte {at}: {text}");
    }
    let cut = disk.fork();
    for len in 0..64 {
        let content = disk.content(Folder::Journal, "META").unwrap();
        cut.replace(Folder::Journal, "META", content[..len].to_vec());
        assert!(refusal(&cut).contains("journal/META"));
    }
}

#[test]
fn every_flipped_byte_of_a_full_segment() {
    let disk = thirty();
    for at in (0..SEGMENT).step_by(3) {
        let disk = disk.fork();
        assert!(disk.flip_bit(Folder::Journal, &segment(11), at, at as u8));
        let text = refusal(&disk);
        assert!(text.contains(&segment(11)), "byte {at}: {text}");
        if (512 + 1_536..512 + 2 * 1_536).contains(&at) {
            names(&damage(&disk), 11, 512 + 1_536);
        }
    }
}

#[test]
fn a_reader_names_damage_too() {
    let disk = thirty();
    assert!(disk.flip_bit(Folder::Journal, &segment(11), 3_000, 1));
    let mut reader = Reader::open(disk.clone(), 1).unwrap();
    let mut seen = 0;
    let found = loop {
        match reader.next_through(30) {
            Ok(Some(batch)) => seen = batch.last(),
            Err(ReadError::Damaged(damage)) => break damage,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(seen, 11);
    names(&found, 11, 512 + 1_536);
    // What ends before the asked sequence is checked by headers only.
    let later = Options {
        check_from: 16,
        ..options()
    };
    assert_eq!(FileLog::open(disk.clone(), later).unwrap().1.last, 30);
    names(&damage(&disk), 11, 512 + 1_536);
    // A bound that was never durable is the caller's error, and shows.
    let mut reader = Reader::open(disk, 28).unwrap();
    while reader.next_through(30).unwrap().is_some() {}
    assert!(matches!(
        reader.next_through(31),
        Err(ReadError::Damaged(_))
    ));
}

#[test]
fn a_missing_segment() {
    let disk = thirty();
    for gone in [6, 16, 21] {
        let disk = disk.fork();
        disk.remove(Folder::Journal, &segment(gone)).unwrap();
        let found = damage(&disk);
        names(&found, gone + 5, 40);
        assert!(found.what.contains(&segment(gone)), "{found}");
        let mut reader = Reader::open(disk, 1).unwrap();
        let failed =
            std::iter::from_fn(|| reader.next_through(30).transpose()).find_map(Result::err);
        assert!(failed.unwrap().to_string().contains(&segment(gone)));
    }
    // The oldest may be gone, as after a prune.
    let pruned = disk.fork();
    pruned.remove(Folder::Journal, &segment(1)).unwrap();
    assert_eq!(open(&pruned).1.first, 6);
    // The last one is missed because its batches were durable at an opening or a close.
    drop(open(&disk));
    disk.remove(Folder::Journal, &segment(26)).unwrap();
    let found = damage(&disk);
    names(&found, 21, 512 + 5 * 1_536);
    assert!(
        found.what.contains("end with 25, but 30 was durable"),
        "{found}"
    );
    for first in [1, 6, 11, 16, 21] {
        disk.remove(Folder::Journal, &segment(first)).unwrap();
    }
    assert!(damage(&disk).file.ends_with("META"));
}

#[test]
fn segments_without_a_description() {
    let disk = four();
    disk.remove(Folder::Journal, "META").unwrap();
    assert!(
        damage(&disk)
            .what
            .contains("missing although segments exist")
    );
}

#[test]
fn batches_known_to_be_durable_are_never_taken_for_torn() {
    let last = 512 + 3 * record(300);
    let flipped = |disk: &FaultyDisk| changed(disk, 1, |bytes| bytes[last + 40] ^= 1);
    // A crash: nobody can tell the last batch from one that was in flight.
    assert_eq!(open(&flipped(&four())).1.last, 3);
    // After a close, or an opening, one can.
    let closed = four();
    open(&closed).0.close().unwrap();
    let opened = four();
    drop(open(&opened));
    for disk in [closed, opened] {
        let found = damage(&flipped(&disk));
        names(&found, 1, last as u64);
        assert!(
            found.what.contains("end with 3, but 4 was durable"),
            "{found}"
        );
    }
}

#[test]
fn a_middle_batch_that_vanished() {
    let disk = four();
    let (second, third) = (512 + record(300), 512 + 2 * record(300));
    let zeroed = changed(&disk, 1, |bytes| bytes[second..third].fill(0));
    names(&damage(&zeroed), 1, second as u64);
    let full = changed(&thirty(), 6, |bytes| bytes[512 + 4 * 1_536..].fill(0));
    let found = damage(&full);
    names(&found, 6, 512 + 4 * 1_536);
    assert!(
        found.what.contains("end with 9, the next segment is 11"),
        "{found}"
    );
}

#[test]
fn bytes_where_nobody_writes() {
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
    let end = 512 + record(3) as u64;
    let far = end + (32 + 512 * 1024);
    let near = changed(&disk, 1, |bytes| bytes[far as usize - 1] = 1);
    assert_eq!(open(&near).1.torn.unwrap().bytes_cut, far - end);
    let found = damage(&changed(&disk, 1, |bytes| bytes[far as usize] = 1));
    names(&found, 1, end);
    assert!(found.what.contains("farther than one batch"), "{found}");
    let full = changed(&thirty(), 6, |bytes| bytes.push(1));
    names(&damage(&full), 6, SEGMENT);
    // A full segment with room to spare behind its seven batches.
    let roomy = FaultyDisk::sound(1);
    let (mut log, _) = open(&roomy);
    for seed in 1..=8 {
        put(&mut log, 1, &bytes(seed, 1_000));
    }
    drop(log);
    let end = 512 + 7 * record(1_000);
    for at in [end, end + 100, SEGMENT as usize - 1] {
        names(
            &damage(&changed(&roomy, 1, |bytes| bytes[at] = 1)),
            1,
            expected(at, end),
        );
    }
    let last = changed(&thirty(), 26, |bytes| bytes.push(1));
    names(&damage(&last), 26, SEGMENT);
    let cut = changed(&thirty(), 6, |bytes| bytes.truncate(5_000));
    names(&damage(&cut), 6, 512 + 2 * 1_536);
}

/// A head that is not zero is a batch that cannot be read; other bytes are named themselves.
fn expected(at: usize, end: usize) -> u64 {
    if at < end + 32 { end as u64 } else { at as u64 }
}

#[test]
fn files_of_another_journal_or_under_another_name() {
    let other = FaultyDisk::sound(1);
    let (mut log, _) = FileLog::open(
        other.clone(),
        Options {
            id_if_new: 9,
            ..options()
        },
    )
    .unwrap();
    for seed in 1..=30 {
        put(&mut log, 1, &bytes(seed, 1_500));
    }
    let disk = thirty();
    for first in [11, 26] {
        let mixed = disk.fork();
        mixed.replace(Folder::Journal, &segment(first), content(&other, first));
        let found = damage(&mixed);
        names(&found, first, 16);
        assert!(
            found
                .what
                .contains("journal 00000000000000000000000000000009"),
            "{found}"
        );
    }
    let renamed = disk.fork();
    renamed.replace(Folder::Journal, &segment(31), content(&disk, 26));
    names(&damage(&renamed), 31, 32);
}

#[test]
fn an_older_writer_after_a_newer_one() {
    // The same journal goes on twice from one copy; the parts are then mixed.
    let disk = FaultyDisk::sound(1);
    let (mut log, _) = open(&disk);
    put(&mut log, 1, &bytes(1, 300));
    drop(log);
    let older = disk.fork();
    let (mut log, _) = open(&older);
    put(&mut log, 1, &bytes(2, 300));
    put(&mut log, 1, &bytes(3, 300));
    drop(open(&disk));
    let (mut log, _) = open(&disk);
    put(&mut log, 1, &bytes(2, 300));
    drop(log);
    let third = 512 + 2 * record(300);
    let stale = content(&older, 1)[third..third + record(300)].to_vec();
    let mixed = changed(&disk, 1, |bytes| {
        bytes[third..third + stale.len()].copy_from_slice(&stale)
    });
    let found = damage(&mixed);
    names(&found, 1, third as u64);
    assert!(found.what.contains("in epoch 2, after epoch 3"), "{found}");
    // And the description of an older epoch beside newer batches.
    let back = disk.fork();
    let meta = older.content(Folder::Journal, "META").unwrap();
    back.replace(Folder::Journal, "META", meta);
    assert!(
        damage(&back)
            .what
            .contains("in epoch 3, the last writer had 2")
    );
}

#[test]
fn a_segment_of_an_older_writer_after_a_newer_one() {
    let grown = |disk: &FaultyDisk, upto| {
        let (mut log, _) = open(disk);
        while log.last() < upto {
            put(&mut log, 1, &bytes(1, 1_500));
        }
    };
    let older = FaultyDisk::sound(1);
    grown(&older, 5);
    let newer = older.fork();
    // The older one goes on in epoch 2, the newer one in epoch 3.
    grown(&older, 15);
    drop(open(&newer));
    grown(&newer, 15);
    let mixed = newer.fork();
    mixed.replace(Folder::Journal, &segment(11), content(&older, 11));
    let found = damage(&mixed);
    names(&found, 11, 56);
    assert!(found.what.contains("in epoch 2, after epoch 3"), "{found}");
    // A segment of a newer epoch, still bare, beside the description of an older one.
    let bare = changed(&newer, 11, |bytes| bytes[512..].fill(0));
    let batches = changed(&bare, 6, |bytes| {
        bytes.copy_from_slice(&content(&older, 6));
    });
    let meta = older.content(Folder::Journal, "META").unwrap();
    batches.replace(Folder::Journal, "META", meta);
    let found = damage(&batches);
    names(&found, 11, 56);
    assert!(
        found.what.contains("in epoch 3, the last writer had 2"),
        "{found}"
    );
}

#[test]
fn random_bytes_never_panic() {
    let disk = thirty();
    for seed in 0..3_000 {
        let first = [1, 11, 26][seed as usize % 3];
        let garbage = bytes(seed, 1 + seed as usize % 700);
        let at = (seed.wrapping_mul(0x9E37_79B9) % SEGMENT) as usize;
        let disk = changed(&disk, first, |content| {
            let end = (at + garbage.len()).min(content.len());
            content[at..end].copy_from_slice(&garbage[..end - at]);
            if seed % 7 == 0 {
                content.truncate(at);
            }
        });
        // Either refused, or only the last group is gone.
        match try_open(&disk) {
            Ok((log, _)) => assert!((29..=30).contains(&log.last()) || first == 26, "{seed}"),
            Err(OpenError::Read(ReadError::Damaged(_) | ReadError::Version { .. })) => {}
            Err(e) => panic!("{seed}: {e}"),
        }
    }
}
