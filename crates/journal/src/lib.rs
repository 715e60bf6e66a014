//! The journal: bytes on disk, in order, and never a batch that was not synced whole.
//!
//! Batches of entries go into preallocated segment files, one record with one checksum each. A
//! batch is handed over ([`Log::append`]) and then waited for ([`Log::settle`]); only
//! [`Settled::Durable`] is a promise. Group N+1 is written only after group N is synced, which
//! is what lets recovery tell a torn tail (the last group, cut and reported) from damage in the
//! middle (refused, naming file and byte).
//!
//! What "durable" means here: synced on one disk. It survives any crash of the process or the
//! machine, not the loss of the disk.
//!
//! This crate must not know what the bytes mean: no commands, no serialisation, no clock, no
//! randomness. Everything that touches a file goes through [`Disk`], so that the simulator runs
//! the same code on [`faulty::FaultyDisk`].
//!
//! ```
//! use journal::{faulty::FaultyDisk, Batch, FileLog, Log, Options, Reader, Settled};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let disk = FaultyDisk::sound(7);
//! let options = Options { id_if_new: 0xCE11, segment_bytes: 8_192, ..Options::default() };
//! let (mut log, recovery) = FileLog::open(disk.clone(), options)?;
//! assert_eq!(recovery.last, 0);
//!
//! log.append(Batch { first: log.next(), count: 2, payload: b"one, two" })?;
//! let Settled::Durable { through } = log.settle() else { panic!("the disk is sound") };
//!
//! let mut reader = Reader::open(disk, 1)?;
//! let batch = reader.next_through(through)?.expect("it is durable");
//! assert_eq!((batch.first, batch.count, &batch.payload[..]), (1, 2, &b"one, two"[..]));
//! # Ok(()) }
//! ```

mod cursor;
mod disk;
mod error;
pub mod faulty;
mod file_log;
mod format;
pub mod limits;
mod log;
mod meta;
mod prune;
mod reader;
mod real;
mod scan;
mod snapshots;
mod spare;
mod syncer;

pub use disk::{Access, Disk, DiskFile, Folder, LockError};
pub use error::{Damage, OpenError, ReadError, SnapshotError};
pub use file_log::{FileLog, Options, Recovery};
pub use format::FORMAT_VERSION;
pub use log::{AppendError, Batch, Log, Misuse, Room, Settled};
pub use prune::{Pruned, prune_segments};
pub use reader::{OwnedBatch, Reader};
pub use real::{RealDisk, RealFile, RealLock};
pub use scan::{SegmentInfo, Survey, Torn, survey};
pub use snapshots::{Found, Skipped, Snapshot, SnapshotInfo, Snapshots};
