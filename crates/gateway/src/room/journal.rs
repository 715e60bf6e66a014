//! Who stands where, on disk: an append-only file that a restarted room is rebuilt from.
//!
//! Nobody waits for it. A place is told at once and is on disk a group later, usually some
//! milliseconds; what a crash takes from the end of the file comes back with the tickets. So a full
//! queue or a broken disk costs a count and a line in the log, never an answer.
//!
//! Format: `SWROOM01`, the run (8 bytes, big-endian), then records of 32 bytes: kind, three zeros,
//! buyer (16), place (8), CRC-32 of the 28 bytes before. A torn or foreign end is cut off.

use crate::limits::{
    ROOM_JOURNAL_BYTES_MAX, ROOM_JOURNAL_GROUP_RECORDS, ROOM_JOURNAL_QUEUE_RECORDS,
};
use guard::room::{Buyer, Place};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

const MAGIC: &[u8; 8] = b"SWROOM01";
const HEADER_BYTES: usize = 16;
const RECORD_BYTES: usize = 32;

/// What is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    Placed(Buyer, Place),
    LetIn(Buyer, Place),
    Gone(Buyer),
    /// Nobody is left whose place counts: the file begins anew.
    Emptied,
}

/// What a file remembers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Sorted by place.
    pub waiting: Vec<(Buyer, Place)>,
    /// The last place that was let in.
    pub served: Option<Place>,
}

#[derive(Debug)]
pub struct Journal {
    queue: Mutex<Option<SyncSender<Record>>>,
    lost: Arc<AtomicU64>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Opens or makes the file, reads it, and writes it anew with only what still counts.
    pub fn open(path: &Path, run: u64) -> io::Result<(Journal, Remembered)> {
        let remembered = read(path, run)?;
        let file = rewrite(path, run, &remembered)?;
        let (queue, records) = sync_channel(ROOM_JOURNAL_QUEUE_RECORDS);
        let lost = Arc::new(AtomicU64::new(0));
        let shared = Arc::clone(&lost);
        let bytes = file.metadata()?.len();
        let mut writer = Writer {
            file,
            bytes,
            path: path.to_owned(),
            broken: false,
        };
        let writer = std::thread::Builder::new()
            .name("room-journal".to_owned())
            .spawn(move || writer.run(&records, &shared))?;
        let journal = Journal {
            queue: Mutex::new(Some(queue)),
            lost,
            writer: Mutex::new(Some(writer)),
        };
        Ok((journal, remembered))
    }

    /// Never waits. Records of one caller keep their order.
    pub fn note(&self, record: Record) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = queue
            .as_ref()
            .is_some_and(|queue| queue.try_send(record).is_ok());
        if !sent {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records that did not reach the disk: their places live in tickets only.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Journal {
    /// All that was noted is on disk when this returns.
    fn drop(&mut self) {
        let queue = self
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(queue);
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(writer) = writer {
            // A panic of the writer has been reported by then.
            let _ = writer.join();
        }
    }
}

struct Writer {
    file: File,
    bytes: u64,
    path: PathBuf,
    broken: bool,
}

impl Writer {
    fn run(&mut self, records: &Receiver<Record>, lost: &AtomicU64) {
        let mut group = Vec::with_capacity(ROOM_JOURNAL_GROUP_RECORDS);
        while let Ok(first) = records.recv() {
            group.clear();
            group.push(first);
            while group.len() < ROOM_JOURNAL_GROUP_RECORDS
                && let Ok(next) = records.try_recv()
            {
                group.push(next);
            }
            let many = group.len() as u64;
            if let Err(error) = self.write(&group) {
                self.complain(&error);
                lost.fetch_add(many, Ordering::Relaxed);
            }
        }
    }

    fn write(&mut self, group: &[Record]) -> io::Result<()> {
        let last = group.iter().rposition(|record| *record == Record::Emptied);
        if last.is_some() {
            self.file.set_len(HEADER_BYTES as u64)?;
            self.bytes = HEADER_BYTES as u64;
        }
        let group = &group[last.map_or(0, |at| at + 1)..];
        let mut bytes = Vec::with_capacity(group.len() * RECORD_BYTES);
        for record in group {
            bytes.extend_from_slice(&encode(*record));
        }
        if self.bytes + bytes.len() as u64 > ROOM_JOURNAL_BYTES_MAX {
            return Err(io::Error::other("the file has its largest size"));
        }
        // After a failed or short write the next one begins at the same place again.
        self.file.seek(SeekFrom::Start(self.bytes))?;
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.bytes += bytes.len() as u64;
        self.broken = false;
        Ok(())
    }

    fn complain(&mut self, error: &io::Error) {
        if !self.broken {
            self.broken = true;
            let path = self.path.display();
            tracing::error!(%path, %error, "places are not written down; tickets still hold them");
        }
    }
}

fn encode(record: Record) -> [u8; RECORD_BYTES] {
    let (kind, buyer, place) = match record {
        Record::Placed(buyer, place) => (1, buyer.0, place.0),
        Record::LetIn(buyer, place) => (2, buyer.0, place.0),
        Record::Gone(buyer) => (3, buyer.0, 0),
        Record::Emptied => (4, 0, 0),
    };
    let mut bytes = [0; RECORD_BYTES];
    bytes[0] = kind;
    bytes[4..20].copy_from_slice(&buyer.to_be_bytes());
    bytes[20..28].copy_from_slice(&place.to_be_bytes());
    let crc = crc32fast::hash(&bytes[..28]);
    bytes[28..].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// `None`: not a record, so the file ends here.
fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<Record> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_be_bytes(*crc) {
        return None;
    }
    let (rest, place) = body.split_last_chunk::<8>()?;
    let (kind, buyer) = rest.split_last_chunk::<16>()?;
    let buyer = Buyer(u128::from_be_bytes(*buyer));
    let place = Place(u64::from_be_bytes(*place));
    match kind {
        [1, 0, 0, 0] => Some(Record::Placed(buyer, place)),
        [2, 0, 0, 0] => Some(Record::LetIn(buyer, place)),
        [3, 0, 0, 0] => Some(Record::Gone(buyer)),
        [4, 0, 0, 0] => Some(Record::Emptied),
        _ => None,
    }
}

fn read(path: &Path, run: u64) -> io::Result<Remembered> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Remembered::default()),
        Err(error) => return Err(error),
    };
    let mut from = BufReader::new(file.take(ROOM_JOURNAL_BYTES_MAX));
    let mut header = [0; HEADER_BYTES];
    if from.read_exact(&mut header).is_err() || header != header_of(run) {
        // Another draw's, or none: nobody in it has a place in this one.
        return Ok(Remembered::default());
    }
    let mut waiting = HashMap::new();
    let mut served = None;
    let mut bytes = [0; RECORD_BYTES];
    while from.read_exact(&mut bytes).is_ok() {
        match decode(&bytes) {
            Some(Record::Placed(buyer, place)) => {
                waiting.insert(buyer, place);
            }
            Some(Record::LetIn(buyer, place)) => {
                waiting.remove(&buyer);
                served = served.max(Some(place));
            }
            Some(Record::Gone(buyer)) => {
                waiting.remove(&buyer);
            }
            Some(Record::Emptied) => (waiting, served) = (HashMap::new(), None),
            None => break,
        }
    }
    let mut waiting: Vec<(Buyer, Place)> = waiting.into_iter().collect();
    waiting.sort_unstable_by_key(|&(buyer, place)| (place, buyer));
    Ok(Remembered { waiting, served })
}

fn header_of(run: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..].copy_from_slice(&run.to_be_bytes());
    header
}

/// A new file beside the old one, synced, then in its place: a crash leaves one of both.
fn rewrite(path: &Path, run: u64, remembered: &Remembered) -> io::Result<File> {
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).read(true).write(true);
    let mut file = options.open(&new)?;
    let mut bytes = header_of(run).to_vec();
    for &(buyer, place) in &remembered.waiting {
        bytes.extend_from_slice(&encode(Record::Placed(buyer, place)));
    }
    if let Some(place) = remembered.served {
        bytes.extend_from_slice(&encode(Record::LetIn(Buyer(0), place)));
    }
    file.write_all(&bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    sync_folder(path)?;
    Ok(file)
}

pub fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}
