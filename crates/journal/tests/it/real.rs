//! On a real folder: threads, locks between processes, files made by others.

use crate::helpers::*;
use journal::{
    AppendError, Batch, FileLog, Log, OpenError, ReadError, Reader, RealDisk, Room, Settled,
    Snapshots, prune_segments, survey,
};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;

const CHILD: &str = "SEAWALL_JOURNAL_TEST_CHILD";

#[test]
fn a_reader_on_another_thread_follows_over_many_segments() {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::new(folder.path().join("deep/data"));
    let (mut log, _) = open(&disk);
    let mut reader = Reader::open(disk.clone(), 1).unwrap();
    let (tell, told) = mpsc::channel();
    let follower = std::thread::spawn(move || {
        let mut seen = 0;
        for durable in told {
            while let Some(batch) = reader.next_through(durable).unwrap() {
                assert_eq!(batch.first, seen + 1);
                assert_eq!(
                    batch.payload,
                    bytes(batch.first, 300 + batch.first as usize * 7 % 900)
                );
                seen = batch.last();
            }
            assert_eq!(seen, durable);
        }
        seen
    });
    for seed in 1..=500 {
        tell.send(put(
            &mut log,
            1,
            &bytes(seed, 300 + seed as usize * 7 % 900),
        ))
        .unwrap();
    }
    drop(tell);
    assert_eq!(follower.join().unwrap(), 500);
    log.close().unwrap();
    let (_, recovery) = open(&disk);
    assert_eq!(
        (recovery.last, recovery.torn, recovery.epoch),
        (500, None, 2)
    );
    let survey = survey(&disk, 1).unwrap();
    assert!(survey.segments.len() > 40);
    assert!(prune_segments(&disk, 400).unwrap().segments > 30);
    assert_eq!(open(&disk).1.last, 500);
}

#[test]
fn a_survey_beside_a_busy_writer_sees_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::new(folder.path());
    let (mut log, _) = open(&disk);
    put(&mut log, 1, b"one");
    let (stop, stopped) = mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        while let Err(mpsc::TryRecvError::Empty) = stopped.try_recv() {
            // Settling is what makes the order of writes; the disk itself may take its time.
            let len = log.last() as usize * 97 % 3_000;
            put(&mut log, 1, &bytes(1, len));
        }
        log.last()
    });
    let mut last = 0;
    for _ in 0..100 {
        let found = survey(&disk, last.max(1)).unwrap();
        assert!(found.last >= last);
        last = found.last;
    }
    stop.send(()).unwrap();
    assert!(writer.join().unwrap() >= last);
}

#[test]
fn snapshots_in_a_real_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut snapshots = Snapshots::new(RealDisk::new(folder.path()), ID);
    let content = bytes(1, 1_000_003);
    snapshots.write(7, |out| out.write_all(&content)).unwrap();
    let mut back = Vec::new();
    snapshots
        .latest()
        .unwrap()
        .snapshot
        .unwrap()
        .read_to_end(&mut back)
        .unwrap();
    assert!(back == content);
    assert_eq!(snapshots.prune(1).unwrap(), Some(7));
}

#[test]
fn a_torn_tail_and_damage_in_real_files() {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::new(folder.path());
    let (mut log, _) = open(&disk);
    for seed in 1..=3 {
        put(&mut log, 1, &bytes(seed, 1_000));
    }
    drop(log);
    let path = folder.path().join("journal").join(segment(1));
    let whole = fs::read(&path).unwrap();
    let third = 512 + 2 * record(1_000);
    // The file itself is cut, as a copy that was broken off.
    fs::write(&path, &whole[..third + 100]).unwrap();
    let (_, recovery) = open(&disk);
    let torn = recovery.torn.unwrap();
    let cut = (
        recovery.last,
        torn.offset,
        torn.bytes_cut,
        torn.bytes_missing,
    );
    assert_eq!(cut, (2, third as u64, 100, SEGMENT - third as u64 - 100));
    assert_eq!(fs::read(&path).unwrap().len() as u64, SEGMENT);
    assert_eq!(open(&disk).1.torn, None);
    let mut wrong = fs::read(&path).unwrap();
    wrong[700] ^= 4;
    fs::write(&path, wrong).unwrap();
    let text = refusal(&disk);
    let expected = format!("journal/{} is damaged at byte 512", segment(1));
    assert!(text.contains(&expected), "{text}");
}

#[test]
fn the_lock_names_its_holder_in_this_process() {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::new(folder.path());
    let (log, _) = open(&disk);
    let expected = format!("journal/LOCK is held by process {}", std::process::id());
    assert!(refusal(&disk).contains(&expected), "{}", refusal(&disk));
    drop(log);
    open(&disk);
}

/// Run as a child by the test below, it holds the journal until it is killed; run by itself it
/// has nothing to do.
#[test]
fn child_holds_the_lock() {
    let Some(folder) = std::env::var_os(CHILD) else {
        return;
    };
    let (mut log, _) = open(&RealDisk::new(folder));
    put(&mut log, 1, b"by the child");
    println!("\nheld");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn another_process_holds_the_lock_until_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "real::child_holds_the_lock", "--nocapture"])
        .env(CHILD, folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "held"));
    let disk = RealDisk::new(folder.path());
    match try_open(&disk).err() {
        Some(OpenError::Locked { file, pid }) => {
            assert_eq!((file.as_str(), pid), ("journal/LOCK", Some(child.id())));
        }
        other => panic!("{other:?}"),
    }
    // Reading needs no lock.
    assert_eq!(survey(&disk, 1).unwrap().last, 1);
    child.kill().unwrap();
    child.wait().unwrap();
    let (_, recovery) = open(&disk);
    assert_eq!((recovery.last, recovery.epoch), (1, 2));
}

#[test]
fn folders_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "no folder").unwrap();
    let text = refusal(&RealDisk::new(&file));
    assert!(
        text.starts_with("cannot create the folder journal"),
        "{text}"
    );
    let missing = Reader::open(RealDisk::new(folder.path()), 1).err();
    assert!(
        matches!(missing, Some(ReadError::Absent { .. })),
        "{missing:?}"
    );
    let disk = RealDisk::new(folder.path());
    drop(open(&disk));
    fs::remove_file(folder.path().join("journal").join(segment(1))).unwrap();
    fs::create_dir(folder.path().join("journal").join(segment(1))).unwrap();
    let text = refusal(&disk);
    assert!(
        text.contains("not a regular file") && text.contains(".seg"),
        "{text}"
    );
}

#[test]
fn room_on_a_real_disk() {
    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::new(folder.path());
    let (mut log, _) = open(&disk);
    assert_eq!(log.room(), Room::Plenty);
    let batch = Batch {
        first: 5,
        count: 1,
        payload: b"",
    };
    assert!(matches!(log.append(batch), Err(AppendError::Misuse(_))));
    assert!(matches!(log.settle(), Settled::Durable { through: 0 }));
    let _: FileLog<RealDisk> = log;
}
