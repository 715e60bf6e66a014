//! Lines as they are written, and what happens when the disk does not keep up.

use super::*;
use crate::limits::{ACCESS_TARGET_BYTES_MAX, ACCESS_TEXT_BYTES_MAX};
use serde_json::Value as Json;
use std::net::Ipv6Addr;
use std::num::NonZeroU64;
use std::path::Path;

fn entry() -> Entry<'static> {
    Entry {
        time_ms: 1_795_278_370_042,
        client: IpAddr::from([192, 0, 2, 7]),
        method: "POST",
        host: b"shop.example",
        target: b"/orders?x=1",
        version: Version::HTTP_2,
        status: 201,
        bytes: 345,
        duration_us: 1_234,
        route: "order",
        upstream: Some("10.0.0.7:8080"),
        refused: None,
        trace_id: Some(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736),
        user_agent: Some(b"Mozilla/5.0 (X11)"),
        referer: Some(b"https://shop.example/p/1"),
        buyer: NonZeroU64::new(0xabc).map(Value),
        run: None,
    }
}

fn options(file: Option<&Path>, format: LogFormat, sample: f64) -> settings::AccessLog {
    settings::AccessLog {
        format,
        file: file.map(Path::to_owned),
        at: String::new(),
        sample,
    }
}

/// The lines that these entries make.
fn lines(format: LogFormat, sample: f64, entries: &[Entry<'_>]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("access.log");
    let log = AccessLog::start(&options(Some(&file), format, sample)).expect("a log");
    let writer = log.writer();
    entries.iter().for_each(|entry| writer.log(entry));
    drop(log);
    read(&file)
}

fn read(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).expect("the log");
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_line_as_json() {
    let refused = Entry {
        status: 429,
        client: IpAddr::V6(Ipv6Addr::LOCALHOST),
        upstream: None,
        refused: Some(Refused::Rule("per-buyer")),
        trace_id: None,
        user_agent: None,
        referer: None,
        buyer: None,
        run: Some("r1"),
        version: Version::HTTP_11,
        ..entry()
    };
    let expected = include_str!("fixtures/json.lines");
    let found = lines(LogFormat::Json, 1.0, &[entry(), refused]);
    assert_eq!(found.join("\n") + "\n", expected);
}

#[test]
fn a_line_in_the_combined_format() {
    let bare = Entry {
        buyer: None,
        user_agent: None,
        referer: None,
        version: Version::HTTP_10,
        time_ms: 0,
        ..entry()
    };
    let expected = include_str!("fixtures/combined.lines");
    let found = lines(LogFormat::Combined, 1.0, &[entry(), bare]);
    assert_eq!(found.join("\n") + "\n", expected);
}

#[test]
fn nobody_forges_a_line() {
    let nasty: Vec<u8> = (0..=255).collect();
    let letters = "\u{1f600}\u{2028}\u{9b}31m\u{202e}é".as_bytes();
    let forged = Entry {
        target: &nasty,
        user_agent: Some(b"x\" 200 1 \"-\"\r\n127.0.0.1 - - [forged]\x1b[2J"),
        referer: Some(letters),
        host: b"\",\"status\":200,\"x\":\"",
        ..entry()
    };
    let json = lines(LogFormat::Json, 1.0, &[forged]);
    let combined = lines(LogFormat::Combined, 1.0, &[forged]);
    for lines in [&json, &combined] {
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].bytes().all(|b| matches!(b, 0x20..=0x7e)),
            "{lines:?}"
        );
    }
    let read: Json = serde_json::from_str(&json[0]).expect("JSON");
    assert_eq!(read["status"], 201);
    assert_eq!(read["host"], "\",\"status\":200,\"x\":\"");
    assert_eq!(read["referer"].as_str().map(str::as_bytes), Some(letters));
    let lossy = String::from_utf8_lossy(&nasty);
    assert_eq!(read["target"], *lossy);
    assert_eq!(combined[0].matches('"').count(), 6, "{}", combined[0]);
}

#[test]
fn long_texts_are_cut() {
    let long = vec![b'a'; ACCESS_TARGET_BYTES_MAX + 1];
    let entry = Entry {
        target: &long,
        user_agent: Some(&long),
        ..entry()
    };
    let read: Json = serde_json::from_str(&lines(LogFormat::Json, 1.0, &[entry])[0]).expect("JSON");
    let length = |key: &str| read[key].as_str().map(str::len);
    assert_eq!(length("target"), Some(ACCESS_TARGET_BYTES_MAX + 3));
    assert_eq!(length("user_agent"), Some(ACCESS_TEXT_BYTES_MAX + 3));
    assert!(
        read["target"]
            .as_str()
            .is_some_and(|text| text.ends_with("a..."))
    );
}

#[test]
fn a_sample_leaves_out_all_but_failures() {
    let failure = Entry {
        status: 502,
        ..entry()
    };
    let refusal = Entry {
        status: 503,
        refused: Some(Refused::Shed),
        ..entry()
    };
    let rows = [
        (0.0, entry(), 0..=0),
        (0.0, failure, 1_000..=1_000),
        (0.0, refusal, 0..=0),
    ];
    for (sample, entry, expected) in rows {
        let found = lines(LogFormat::Json, sample, &vec![entry; 1_000]).len();
        assert!(
            expected.contains(&found),
            "{sample} {}: {found}",
            entry.status
        );
    }
    // Ten standard deviations around a quarter.
    let found = lines(LogFormat::Json, 0.25, &vec![entry(); 10_000]).len();
    assert!((2_067..=2_933).contains(&found), "{found}");
}

#[test]
fn a_file_that_was_moved_away_is_begun_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("access.log");
    let moved = folder.path().join("moved");
    let log = AccessLog::start(&options(Some(&file), LogFormat::Json, 1.0)).expect("a log");
    let writer = log.writer();
    writer.log(&entry());
    log.flush();
    assert_eq!(read(&file).len(), 1);
    std::fs::rename(&file, &moved).expect("a move");
    writer.log(&entry());
    log.flush();
    assert_eq!(read(&moved).len(), 2, "until told, it goes on where it was");
    log.reopen().expect("a new file");
    writer.log(&entry());
    drop(log);
    assert_eq!((read(&moved).len(), read(&file).len()), (2, 1));
}

#[test]
fn if_reopening_fails_the_old_file_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("logs");
    std::fs::create_dir(&inner).expect("a folder");
    let file = inner.join("access.log");
    let log = AccessLog::start(&options(Some(&file), LogFormat::Json, 1.0)).expect("a log");
    let moved = folder.path().join("moved");
    std::fs::rename(&inner, &moved).expect("a move");
    let error = log.reopen().expect_err("no folder");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    log.writer().log(&entry());
    drop(log);
    assert_eq!(read(&moved.join("access.log")).len(), 1);
}

#[test]
fn a_line_that_a_crash_tore_stays_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("access.log");
    std::fs::write(&file, "{\"time\":").expect("a file");
    let log = AccessLog::start(&options(Some(&file), LogFormat::Json, 1.0)).expect("a log");
    log.writer().log(&entry());
    drop(log);
    let found = read(&file);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], "{\"time\":");
}

/// A disk that takes nothing until told, and then so many bytes.
struct Gate {
    opened: Receiver<usize>,
    arrived: SyncSender<()>,
    file: std::fs::File,
}
impl io::Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.arrived.try_send(());
        match self.opened.recv().unwrap_or(usize::MAX) {
            0 => Err(io::ErrorKind::StorageFull.into()),
            most => self.file.write(&bytes[..bytes.len().min(most)]),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gated(file: &Path) -> (AccessLog, SyncSender<usize>, Receiver<()>) {
    let (open, opened) = sync_channel(16);
    let (arrived, arrivals) = sync_channel(16);
    let file = std::fs::File::create(file).expect("a file");
    let gate = Gate {
        opened,
        arrived,
        file,
    };
    let options = options(None, LogFormat::Json, 1.0);
    let log = AccessLog::start_with(Output::test(gate), &options).expect("a log");
    (log, open, arrivals)
}

#[test]
fn a_disk_that_hangs_costs_lines_and_no_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("access.log");
    let (log, open, arrivals) = gated(&file);
    let writer = log.writer();
    writer.log(&entry());
    arrivals
        .recv()
        .expect("the thread hangs in its first write");
    let many = 20_000;
    // Returns although nothing is written: else the test would never end.
    (0..many).for_each(|_| writer.log(&entry()));
    let dropped = log.counts().dropped;
    assert!(dropped > 0);
    drop(open);
    log.flush();
    let counts = log.counts();
    assert_eq!((counts.dropped, counts.failed), (dropped, 0));
    assert_eq!(counts.written + dropped, many + 1);
    assert_eq!(read(&file).len() as u64, counts.written);
    let bytes = std::fs::metadata(&file).expect("the file").len();
    assert!(bytes < (ACCESS_BUFFER_BYTES_MAX + 10_000) as u64, "{bytes}");
}

#[test]
fn a_full_disk_costs_lines_that_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("access.log");
    let (log, open, _arrivals) = gated(&file);
    let writer = log.writer();
    // Half a line, then the disk is full, then it is not any more.
    open.send(100).expect("open");
    open.send(0).expect("full");
    drop(open);
    (0..3).for_each(|_| writer.log(&entry()));
    log.flush();
    let failed = log.counts().failed;
    assert!((1..=3).contains(&failed), "{failed}");
    writer.log(&entry());
    log.flush();
    assert_eq!(failed + log.counts().written, 4);
    let found = read(&file);
    let whole = |line: &&String| serde_json::from_str::<Json>(line).is_ok();
    assert_eq!(
        found.iter().filter(whole).count() as u64,
        log.counts().written
    );
    assert_eq!(
        found.iter().filter(|line| !whole(line)).count(),
        1,
        "{found:?}"
    );
}

#[test]
fn all_workers_lines_arrive_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("access.log");
    let log = AccessLog::start(&options(Some(&file), LogFormat::Combined, 1.0)).expect("a log");
    std::thread::scope(|scope| {
        for worker in 0..4_u64 {
            let writer = log.writer();
            scope.spawn(move || {
                for number in 0..2_000 {
                    let bytes = worker * 10_000 + number;
                    writer.log(&Entry { bytes, ..entry() });
                }
            });
        }
    });
    drop(log);
    let mut found: Vec<u64> = read(&file)
        .iter()
        .map(|line| {
            let number = line.split(' ').nth(9).expect("a number of bytes");
            number.parse().expect("a number")
        })
        .collect();
    let of = |worker: u64| {
        let mine = |number: &&u64| **number / 10_000 == worker;
        found.iter().filter(mine).copied().collect::<Vec<_>>()
    };
    for worker in 0..4 {
        assert!(of(worker).is_sorted(), "a worker's lines keep their order");
    }
    found.sort_unstable();
    let expected: Vec<u64> = (0..4)
        .flat_map(|w| (0..2_000).map(move |n| w * 10_000 + n))
        .collect();
    assert!(found == expected);
}

#[test]
fn a_buffer_is_used_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("access.log");
    let log = AccessLog::start(&options(Some(&file), LogFormat::Json, 1.0)).expect("a log");
    let writer = log.writer();
    for _ in 0..10 {
        (0..100).for_each(|_| writer.log(&entry()));
        log.flush();
        assert_eq!(lock(&writer.batch).lines.capacity(), ACCESS_WAKE_BYTES * 2);
    }
    for _ in 0..10 {
        drop(log.writer());
    }
    assert_eq!(
        lock(&log.shared.batches).len(),
        2,
        "those that are gone leave"
    );
}
