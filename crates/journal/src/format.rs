//! The bytes of segments: layout, names, checksums. Little-endian throughout. Version 1 is
//! pinned by `tests/fixtures`; a change of anything here is a new version.
//!
//! Segment header (512 bytes, zero where unnamed): magic 0..8, version 8..12, journal id 16..32,
//! first sequence 32..40, first sequence of the segment before (0: none) 40..48, segment bytes
//! 48..56, writer epoch 56..64, CRC-32 of bytes 0..508 at 508..512.
//!
//! Record: magic 0..4, CRC-32 4..8, payload bytes 8..12, entries 12..16, first sequence 16..24,
//! writer epoch 24..32, payload, zeros up to a multiple of 8. The checksum covers journal id,
//! segment and offset as well, so that a record is valid in its own place only: neither stale
//! bytes nor a payload that imitates a record can pass for one.

use crate::limits::{
    BATCH_PAYLOAD_BYTES_MAX, RECORD_ALIGN_BYTES, RECORD_HEADER_BYTES, SEGMENT_BYTES_MAX,
    SEGMENT_BYTES_MIN, SEGMENT_HEADER_BYTES,
};
use crc32fast::Hasher;

/// The version that this program writes and reads.
pub const FORMAT_VERSION: u32 = 1;

const SEGMENT_MAGIC: [u8; 8] = *b"SEAWALLJ";
pub(crate) const RECORD_MAGIC: [u8; 4] = *b"SWbr";
const SEGMENT_SUFFIX: &str = ".seg";
const DIGITS: usize = 20;

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}

pub(crate) fn u128_at(bytes: &[u8], at: usize) -> u128 {
    let mut field = [0; 16];
    field.copy_from_slice(&bytes[at..at + 16]);
    u128::from_le_bytes(field)
}

pub(crate) fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

/// Whether all bytes are zero, sixty-four at a time.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    let chunks = bytes.chunks_exact(64);
    chunks.remainder().iter().all(|b| *b == 0)
        && chunks
            .into_iter()
            .all(|chunk| chunk.iter().fold(0, |seen, b| seen | b) == 0)
}

/// Sequences as names sort as numbers do.
pub(crate) fn numbered(sequence: u64, suffix: &str) -> String {
    format!("{sequence:0DIGITS$}{suffix}")
}

pub(crate) fn number_of(name: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_suffix(suffix)?;
    let plain = digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

pub(crate) fn segment_name(first: u64) -> String {
    numbered(first, SEGMENT_SUFFIX)
}

pub(crate) fn segment_first(name: &str) -> Option<u64> {
    number_of(name, SEGMENT_SUFFIX)
}

/// Why a fixed head is not what it should be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeadError {
    Version(u32),
    Bad(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub id: u128,
    pub first: u64,
    /// First sequence of the segment before, 0 if there never was one: a missing file shows.
    pub before: u64,
    pub segment_bytes: u64,
    pub epoch: u64,
}

impl SegmentHeader {
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut out = [0; SEGMENT_HEADER_BYTES];
        put(&mut out, 0, &SEGMENT_MAGIC);
        put(&mut out, 8, &FORMAT_VERSION.to_le_bytes());
        put(&mut out, 16, &self.id.to_le_bytes());
        put(&mut out, 32, &self.first.to_le_bytes());
        put(&mut out, 40, &self.before.to_le_bytes());
        put(&mut out, 48, &self.segment_bytes.to_le_bytes());
        put(&mut out, 56, &self.epoch.to_le_bytes());
        let crc = crc32fast::hash(&out[..SEGMENT_HEADER_BYTES - 4]);
        put(&mut out, SEGMENT_HEADER_BYTES - 4, &crc.to_le_bytes());
        out
    }

    /// The version is looked at before the checksum: another version may keep it elsewhere.
    pub fn decode(bytes: &[u8]) -> Result<SegmentHeader, HeadError> {
        if bytes.len() < SEGMENT_HEADER_BYTES {
            return Err(HeadError::Bad("the file ends inside the segment header"));
        }
        if bytes[..8] != SEGMENT_MAGIC {
            return Err(HeadError::Bad("the file does not start as a segment does"));
        }
        let version = u32_at(bytes, 8);
        if version != FORMAT_VERSION {
            return Err(HeadError::Version(version));
        }
        let covered = &bytes[..SEGMENT_HEADER_BYTES - 4];
        if crc32fast::hash(covered) != u32_at(bytes, SEGMENT_HEADER_BYTES - 4) {
            return Err(HeadError::Bad(
                "the checksum of the segment header does not match",
            ));
        }
        let header = SegmentHeader {
            id: u128_at(bytes, 16),
            first: u64_at(bytes, 32),
            before: u64_at(bytes, 40),
            segment_bytes: u64_at(bytes, 48),
            epoch: u64_at(bytes, 56),
        };
        let sized = (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&header.segment_bytes);
        if !sized || header.first == 0 || header.before >= header.first {
            return Err(HeadError::Bad("the segment header contradicts itself"));
        }
        Ok(header)
    }
}

/// Bytes of a record with its padding.
pub(crate) fn record_bytes(payload: usize) -> usize {
    RECORD_HEADER_BYTES + payload.next_multiple_of(RECORD_ALIGN_BYTES)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    crc: u32,
    pub payload_bytes: usize,
    pub count: u32,
    pub first: u64,
    pub epoch: u64,
}

impl RecordHeader {
    pub fn last(&self) -> u64 {
        self.first + u64::from(self.count) - 1
    }
    pub fn record_bytes(&self) -> usize {
        record_bytes(self.payload_bytes)
    }
    /// Reads the fields of a head and checks their bounds, not the checksum.
    pub fn decode(bytes: &[u8]) -> Result<RecordHeader, &'static str> {
        if bytes.len() < RECORD_HEADER_BYTES {
            return Err("the file ends inside a batch");
        }
        if bytes[..4] != RECORD_MAGIC {
            return Err("no batch starts here");
        }
        let header = RecordHeader {
            crc: u32_at(bytes, 4),
            payload_bytes: u32_at(bytes, 8) as usize,
            count: u32_at(bytes, 12),
            first: u64_at(bytes, 16),
            epoch: u64_at(bytes, 24),
        };
        if header.payload_bytes > BATCH_PAYLOAD_BYTES_MAX {
            return Err("the length of a batch is above its bound");
        }
        let ends = header.first.checked_add(u64::from(header.count));
        if header.count == 0 || header.first == 0 || ends.is_none() {
            return Err("the sequence of a batch is impossible");
        }
        Ok(header)
    }
}

/// The checksums of one segment's records.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    base: Hasher,
}

impl Frame {
    pub fn new(id: u128, segment_first: u64) -> Frame {
        let mut base = Hasher::new();
        base.update(&id.to_le_bytes());
        base.update(&segment_first.to_le_bytes());
        Frame { base }
    }

    fn checksum(&self, offset: u64, covered: &[u8]) -> u32 {
        let mut hasher = self.base.clone();
        hasher.update(&offset.to_le_bytes());
        hasher.update(covered);
        hasher.finalize()
    }

    /// Replaces `out` with the record. The caller has checked the bounds.
    pub fn encode(&self, out: &mut Vec<u8>, offset: u64, epoch: u64, batch: crate::Batch<'_>) {
        let payload_bytes = batch.payload.len() as u32;
        out.clear();
        out.extend_from_slice(&RECORD_MAGIC);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&payload_bytes.to_le_bytes());
        out.extend_from_slice(&batch.count.to_le_bytes());
        out.extend_from_slice(&batch.first.to_le_bytes());
        out.extend_from_slice(&epoch.to_le_bytes());
        out.extend_from_slice(batch.payload);
        out.resize(record_bytes(batch.payload.len()), 0);
        let crc = self.checksum(offset, &out[8..]);
        put(out, 4, &crc.to_le_bytes());
    }

    /// Whether a whole record (head, payload, padding) belongs at this offset.
    pub fn holds(&self, offset: u64, header: &RecordHeader, record: &[u8]) -> bool {
        self.checksum(offset, &record[8..]) == header.crc
    }
}
