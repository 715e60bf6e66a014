//! The seam: an ordered log with a window of batches in flight and one writer. The file journal
//! has a window of one; a replicated log will have several and fences by expected sequence.

use std::io;
use thiserror::Error;

/// Entries `first..first + count` as one group; the payload is opaque.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    pub first: u64,
    pub count: u32,
    pub payload: &'a [u8],
}

/// What became of the oldest batch in flight. Anything but `Durable` poisons the log for ever.
#[derive(Debug)]
pub enum Settled {
    /// Everything up to and including `through` is on disk.
    Durable { through: u64 },
    /// Another writer has taken over; the batch was not taken.
    Fenced,
    /// The batch may or may not be there. Only a new recovery can tell.
    Unknown(io::Error),
}

/// Free space for more batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Plenty,
    /// Take nothing new; what is in flight can still be finished.
    Low {
        free_bytes: u64,
        reserve_bytes: u64,
    },
}

/// A call that a correct caller never makes. Nothing was written and the log is still good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Misuse {
    #[error("a batch starts with sequence {found}, expected {expected}")]
    Sequence { expected: u64, found: u64 },
    #[error("a batch has no entries")]
    Empty,
    #[error("a batch has {found} bytes, at most {max} fit")]
    TooLarge { found: usize, max: usize },
    #[error("{window} batches are in flight already: settle first")]
    WindowFull { window: usize },
    #[error("sequence numbers are used up")]
    Exhausted,
}

/// Why a batch was not handed over.
#[derive(Debug, Error)]
pub enum AppendError {
    #[error(transparent)]
    Misuse(#[from] Misuse),
    /// The next segment cannot be allocated. Nothing was written, the log is still good.
    #[error("no room for the next segment of {needed_bytes} bytes: {source}")]
    NoRoom {
        needed_bytes: u64,
        source: io::Error,
    },
    /// Now poisoned: part of the batch may be on disk.
    #[error("cannot {doing} {file}: {source}")]
    Failed {
        doing: &'static str,
        file: String,
        source: io::Error,
    },
    #[error("the journal stopped after an earlier failure; open it again to recover")]
    Poisoned,
}

/// A single-writer log of batches.
pub trait Log: Send {
    /// The sequence that the next batch must start with; 1 at first.
    fn next(&self) -> u64;
    /// How many batches may be in flight.
    fn window(&self) -> usize;
    /// The largest payload of a batch, in bytes.
    fn payload_bytes_max(&self) -> usize;
    /// Hands a batch over. It is not durable before [`Log::settle`] says so.
    fn append(&mut self, batch: Batch<'_>) -> Result<(), AppendError>;
    /// Begins to make what was handed over durable, beside the caller's other work. Optional:
    /// [`Log::settle`] does it otherwise.
    fn begin(&mut self) {}
    /// Waits for the oldest batch in flight. With none in flight: `Durable` through the last.
    fn settle(&mut self) -> Settled;
    /// Cheap enough to ask for each batch.
    fn room(&mut self) -> Room;
}
