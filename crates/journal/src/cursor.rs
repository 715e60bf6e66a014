//! Walks the records of one segment with large reads. Used by the check at the start and by
//! readers. It says what stands at an offset; whether that is an end, a tear or damage is for
//! the caller to judge.

use crate::disk::{DiskFile, read_full_at};
use crate::format::{Frame, RecordHeader, is_zero};
use crate::limits::{
    READ_CHUNK_BYTES_MAX, READ_CHUNK_BYTES_MIN, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES,
};
use std::io;

/// What stands at the cursor.
#[derive(Debug)]
pub(crate) enum Step {
    Record(RecordHeader),
    /// Nothing: a head of zeros, or no room for a head.
    End,
    Bad(&'static str),
}

pub(crate) struct Cursor<F> {
    file: F,
    frame: Frame,
    segment_bytes: u64,
    offset: u64,
    buffer: Vec<u8>,
    /// Where in the file the buffer starts.
    buffer_at: u64,
    chunk_bytes: usize,
}

impl<F: DiskFile> Cursor<F> {
    pub fn new(file: F, frame: Frame, segment_bytes: u64) -> Self {
        Cursor {
            file,
            frame,
            segment_bytes,
            offset: SEGMENT_HEADER_BYTES as u64,
            buffer: Vec::new(),
            buffer_at: 0,
            chunk_bytes: READ_CHUNK_BYTES_MIN,
        }
    }

    pub fn offset(&self) -> u64 {
        self.offset
    }
    pub fn file(&self) -> &F {
        &self.file
    }
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Forgets what was read ahead: a writer may have written there since.
    pub fn refresh(&mut self) {
        self.buffer.clear();
        self.chunk_bytes = READ_CHUNK_BYTES_MIN;
    }

    pub fn step(&mut self) -> io::Result<Step> {
        let left = self.segment_bytes.saturating_sub(self.offset);
        if left < RECORD_HEADER_BYTES as u64 {
            return Ok(Step::End);
        }
        let head = self.view(RECORD_HEADER_BYTES)?;
        // Bytes behind the end of a short file count as zeros.
        if is_zero(head) {
            return Ok(Step::End);
        }
        let header = match RecordHeader::decode(head) {
            Ok(header) => header,
            Err(what) => return Ok(Step::Bad(what)),
        };
        let bytes = header.record_bytes();
        if bytes as u64 > left {
            return Ok(Step::Bad("a batch reaches beyond its segment"));
        }
        let offset = self.offset;
        if self.view(bytes)?.len() < bytes {
            return Ok(Step::Bad("the file ends inside a batch"));
        }
        let start = (offset - self.buffer_at) as usize;
        if !self
            .frame
            .holds(offset, &header, &self.buffer[start..start + bytes])
        {
            return Ok(Step::Bad("the checksum of a batch does not match"));
        }
        Ok(Step::Record(header))
    }

    /// The payload of the record that `step` has just found.
    pub fn payload(&self, header: &RecordHeader) -> &[u8] {
        let start = (self.offset - self.buffer_at) as usize + RECORD_HEADER_BYTES;
        &self.buffer[start..start + header.payload_bytes]
    }

    /// The whole record that `step` has just found.
    pub fn record(&self, header: &RecordHeader) -> &[u8] {
        let start = (self.offset - self.buffer_at) as usize;
        &self.buffer[start..start + header.record_bytes()]
    }

    pub fn advance(&mut self, header: &RecordHeader) {
        self.offset += header.record_bytes() as u64;
    }

    /// Up to `need` bytes at the cursor; fewer only where the file ends.
    fn view(&mut self, need: usize) -> io::Result<&[u8]> {
        let have = (self.buffer_at + self.buffer.len() as u64).saturating_sub(self.offset);
        if self.offset < self.buffer_at || have < need as u64 {
            self.fill(need)?;
        }
        let start = (self.offset - self.buffer_at) as usize;
        let end = self.buffer.len().min(start + need);
        Ok(&self.buffer[start..end])
    }

    fn fill(&mut self, need: usize) -> io::Result<()> {
        let left = (self.segment_bytes - self.offset) as usize;
        let want = need.max(self.chunk_bytes).min(left);
        self.chunk_bytes = (self.chunk_bytes * 4).min(READ_CHUNK_BYTES_MAX);
        self.buffer.resize(want, 0);
        let read = read_full_at(&self.file, &mut self.buffer, self.offset);
        self.buffer_at = self.offset;
        self.buffer.truncate(*read.as_ref().unwrap_or(&0));
        read.map(|_| ())
    }
}
