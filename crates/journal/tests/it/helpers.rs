//! A small journal on a faulty disk, and short words for what tests do with it.

use journal::faulty::FaultyDisk;
use journal::{
    Batch, Disk, FileLog, Folder, Log, OpenError, Options, OwnedBatch, Reader, Recovery, Settled,
};

pub const ID: u128 = 0x0123_4567_89AB_CDEF_0011_2233_4455_6677;
pub const SEGMENT: u64 = 8 * 1024;

pub fn options() -> Options {
    Options {
        id_if_new: ID,
        segment_bytes: SEGMENT,
        reserve_bytes: 0,
        ..Options::default()
    }
}

pub fn try_open<D: Disk>(disk: &D) -> Result<(FileLog<D>, Recovery), OpenError> {
    FileLog::open(disk.clone(), options())
}

pub fn open<D: Disk>(disk: &D) -> (FileLog<D>, Recovery) {
    try_open(disk).unwrap()
}

/// Why an opening was refused.
pub fn refusal<D: Disk>(disk: &D) -> String {
    match try_open(disk) {
        Ok((_, recovery)) => panic!("opened: {recovery:?}"),
        Err(e) => e.to_string(),
    }
}

/// Bytes that are nowhere zero and differ from batch to batch.
pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8 | 1
    };
    (0..len).map(|_| next()).collect()
}

pub fn append<D: Disk>(log: &mut FileLog<D>, count: u32, payload: &[u8]) {
    let first = log.next();
    log.append(Batch {
        first,
        count,
        payload,
    })
    .unwrap();
}

pub fn put<D: Disk>(log: &mut FileLog<D>, count: u32, payload: &[u8]) -> u64 {
    append(log, count, payload);
    match log.settle() {
        Settled::Durable { through } => through,
        other => panic!("{other:?}"),
    }
}

pub fn read_all<D: Disk>(disk: &D, through: u64) -> Vec<OwnedBatch> {
    let mut reader = Reader::open(disk.clone(), 1).unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = reader.next_through(through).unwrap() {
        batches.push(batch);
    }
    batches
}

pub fn segment(first: u64) -> String {
    format!("{first:020}.seg")
}

pub fn content(disk: &FaultyDisk, first: u64) -> Vec<u8> {
    disk.content(Folder::Journal, &segment(first)).unwrap()
}

/// Names of the segments, ascending.
pub fn segments<D: Disk>(disk: &D) -> Vec<String> {
    let mut names = disk.list(Folder::Journal).unwrap();
    names.retain(|name| name.ends_with(".seg"));
    names.sort();
    names
}

/// Bytes of a record.
pub fn record(payload: usize) -> usize {
    32 + payload.next_multiple_of(8)
}
