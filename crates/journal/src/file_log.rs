//! The log on one disk: opens with a full check, cuts what was torn, then writes one batch at a
//! time and syncs it. The window is one, because recovery relies on it: see `scan`.
//!
//! A failed write or sync ends the log for ever. The kernel may drop the bytes of a failed sync
//! and call the next one a success, so nothing is ever synced twice in the hope of better luck;
//! and an opening writes the last batch again before it trusts it.

use crate::disk::{Access, Disk, DiskFile, Folder, LockError, write_all_at};
use crate::error::OpenError;
use crate::format::{Frame, SegmentHeader, record_bytes, segment_name};
use crate::limits::{
    BATCH_PAYLOAD_BYTES_MAX, RECORD_BYTES_MAX, RECORD_HEADER_BYTES, RESERVE_BYTES_DEFAULT,
    ROOM_QUESTIONS_PER_LOOK, SECTOR_BYTES, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX,
    SEGMENT_BYTES_MIN, SEGMENT_HEADER_BYTES,
};
use crate::log::{AppendError, Batch, Log, Misuse, Room, Settled};
use crate::meta::{META, Meta};
use crate::scan::{self, Checked, Tail, Torn};
use crate::spare::{SPARE, Spare};
use crate::syncer::Syncer;
use std::io;
use std::sync::Arc;

const LOCK: &str = "LOCK";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Random 128 bits: the name of the journal if it is founded by this opening.
    pub id_if_new: u128,
    /// Of segments made from now on; a multiple of 512.
    pub segment_bytes: u64,
    /// Free space below which [`Log::room`] says `Low`.
    pub reserve_bytes: u64,
    /// Segments that end before this sequence are checked by their headers only: pass the
    /// sequence of the snapshot to start from, plus one. 1 checks everything.
    pub check_from: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            id_if_new: 0,
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            reserve_bytes: RESERVE_BYTES_DEFAULT,
            check_from: 1,
        }
    }
}

/// What an opening found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    pub id: u128,
    /// Of this writer: one more than the last one's.
    pub epoch: u64,
    /// The first sequence that is still there, or would be the first.
    pub first: u64,
    /// Everything up to here is durable; 0 when there is nothing.
    pub last: u64,
    pub segments: usize,
    /// The group that was in flight at the crash and is cut now.
    pub torn: Option<Torn>,
    /// First sequence of a bare segment whose making was interrupted; removed.
    pub unfinished: Option<u64>,
}

struct Current<F> {
    file: Arc<F>,
    name: String,
    header: SegmentHeader,
    frame: Frame,
    offset: u64,
}

/// The journal on one disk.
pub struct FileLog<D: Disk> {
    // The spare's thread ends before the lock is given back: fields drop in this order.
    spare: Spare<D>,
    current: Current<D::File>,
    disk: D,
    options: Options,
    meta: Meta,
    next: u64,
    in_flight: bool,
    /// The sync of what is in flight was begun beside the writer.
    begun: bool,
    syncer: Option<Syncer<D::File>>,
    poisoned: bool,
    record: Vec<u8>,
    free_bytes: u64,
    questions: u32,
    _lock: D::Lock,
}

impl<D: Disk> FileLog<D> {
    /// Checks everything first; on `Read` errors nothing was changed on disk.
    pub fn open(disk: D, options: Options) -> Result<(Self, Recovery), OpenError> {
        check_options(&options)?;
        let lock = take_lock(&disk)?;
        let Checked { survey, meta, tail } = match scan::check(&disk, options.check_from)? {
            Some(checked) => checked,
            None => found(&disk, options.id_if_new)?,
        };
        if let Some(first) = survey.unfinished {
            let name = segment_name(first);
            let removed = disk.remove(Folder::Journal, &name);
            removed
                .and_then(|()| disk.sync_folder(Folder::Journal))
                .map_err(write_error("remove", &name))?;
        }
        let settled = tail.map(|tail| mend(&disk, tail)).transpose()?;
        // Only now: everything up to `last` has been written again and synced.
        let meta = Meta {
            id: meta.id,
            epoch: meta.epoch + 1,
            durable: survey.last,
        };
        meta.write(&disk).map_err(write_error("write", META))?;
        let free_bytes = disk.free_bytes().map_err(write_error("measure", "."))?;
        let spare = Spare::start(disk.clone(), options.segment_bytes)
            .map_err(write_error("start a thread for", SPARE))?;
        spare.want();
        let next = survey.last + 1;
        let current = match settled {
            Some(current) => current,
            None => {
                spare.take().map_err(write_error("make", SPARE))?;
                let made = name_spare(&disk, meta, next, 0, options.segment_bytes);
                let made = made.map_err(write_error("make", &segment_name(next)))?;
                spare.want();
                made
            }
        };
        let recovery = Recovery {
            id: meta.id,
            epoch: meta.epoch,
            first: survey.first,
            last: survey.last,
            segments: survey.segments.len().max(1),
            torn: survey.torn,
            unfinished: survey.unfinished,
        };
        let log = FileLog {
            spare,
            current,
            disk,
            options,
            meta,
            next,
            in_flight: false,
            begun: false,
            syncer: None,
            poisoned: false,
            record: Vec::new(),
            free_bytes,
            questions: 0,
            _lock: lock,
        };
        Ok((log, recovery))
    }

    /// The journal's name.
    pub fn id(&self) -> u128 {
        self.meta.id
    }

    /// The last sequence handed over; durable if nothing is in flight.
    pub fn last(&self) -> u64 {
        self.next - 1
    }

    /// Asks the disk for its free space now.
    pub fn refresh_room(&mut self) {
        self.questions = 0;
        // A disk that cannot be asked keeps its last answer; a write will tell.
        if let Ok(free_bytes) = self.disk.free_bytes() {
            self.free_bytes = free_bytes;
        }
    }

    /// Notes how far the journal is durable, so that the next opening can tell a lost batch from
    /// a torn one. Optional: a log that is dropped recovers as well. Does nothing while a batch
    /// is in flight or after a failure.
    pub fn close(self) -> io::Result<()> {
        if self.poisoned || self.in_flight {
            return Ok(());
        }
        Meta {
            durable: self.next - 1,
            ..self.meta
        }
        .write(&self.disk)
    }

    fn check(&self, batch: &Batch<'_>) -> Result<(), AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned);
        }
        let (found, max) = (batch.payload.len(), self.payload_bytes_max());
        let misuse = if self.in_flight {
            Misuse::WindowFull { window: 1 }
        } else if batch.first != self.next {
            Misuse::Sequence {
                expected: self.next,
                found: batch.first,
            }
        } else if batch.count == 0 {
            Misuse::Empty
        } else if found > max {
            Misuse::TooLarge { found, max }
        } else if batch.first.checked_add(u64::from(batch.count)).is_none() {
            Misuse::Exhausted
        } else {
            return Ok(());
        };
        Err(misuse.into())
    }

    /// Turns to the next segment. Everything before is durable: nothing is in flight.
    fn roll(&mut self) -> Result<(), AppendError> {
        let needed_bytes = self.options.segment_bytes;
        self.spare.take().map_err(|source| AppendError::NoRoom {
            needed_bytes,
            source,
        })?;
        // An empty segment of another size is replaced under its own name.
        let SegmentHeader { first, before, .. } = self.current.header;
        let before = if first == self.next { before } else { first };
        match name_spare(&self.disk, self.meta, self.next, before, needed_bytes) {
            Ok(current) => self.current = current,
            Err(source) => {
                self.poisoned = true;
                let file = Folder::Journal.path(&segment_name(self.next));
                return Err(AppendError::Failed {
                    doing: "make",
                    file,
                    source,
                });
            }
        }
        self.spare.want();
        Ok(())
    }
}

impl<D: Disk> Log for FileLog<D> {
    fn next(&self) -> u64 {
        self.next
    }

    fn window(&self) -> usize {
        1
    }

    fn payload_bytes_max(&self) -> usize {
        let frame = (SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES) as u64;
        BATCH_PAYLOAD_BYTES_MAX.min((self.options.segment_bytes - frame) as usize)
    }

    fn append(&mut self, batch: Batch<'_>) -> Result<(), AppendError> {
        self.check(&batch)?;
        let bytes = record_bytes(batch.payload.len()) as u64;
        if self.current.offset + bytes > self.current.header.segment_bytes {
            self.roll()?;
        }
        let current = &mut self.current;
        current
            .frame
            .encode(&mut self.record, current.offset, self.meta.epoch, batch);
        if let Err(source) = write_all_at(&*current.file, &self.record, current.offset) {
            self.poisoned = true;
            let file = Folder::Journal.path(&current.name);
            return Err(AppendError::Failed {
                doing: "write",
                file,
                source,
            });
        }
        current.offset += bytes;
        self.next += u64::from(batch.count);
        self.in_flight = true;
        Ok(())
    }

    fn begin(&mut self) {
        if !D::BACKGROUND || self.poisoned || !self.in_flight || self.begun {
            return;
        }
        if self.syncer.is_none() {
            // Without a thread the sync waits for `settle`, as it does without this call.
            self.syncer = Syncer::start().ok();
        }
        if let Some(syncer) = &self.syncer {
            syncer.begin(Arc::clone(&self.current.file));
            self.begun = true;
        }
    }

    fn settle(&mut self) -> Settled {
        if self.poisoned {
            return Settled::Unknown(io::Error::other(AppendError::Poisoned));
        }
        if self.in_flight {
            let synced = match &self.syncer {
                Some(syncer) if std::mem::take(&mut self.begun) => syncer.wait(),
                Some(_) | None => self.current.file.sync_data(),
            };
            if let Err(e) = synced {
                self.poisoned = true;
                return Settled::Unknown(e);
            }
            self.in_flight = false;
        }
        Settled::Durable {
            through: self.next - 1,
        }
    }

    fn room(&mut self) -> Room {
        self.questions += 1;
        if self.questions >= ROOM_QUESTIONS_PER_LOOK {
            self.refresh_room();
        }
        let (free_bytes, reserve_bytes) = (self.free_bytes, self.options.reserve_bytes);
        // A spare that is ready is no reason to go on: beside it the books of payments and the
        // query database need the reserve, and they live on the same disk.
        if free_bytes >= reserve_bytes {
            return Room::Plenty;
        }
        Room::Low {
            free_bytes,
            reserve_bytes,
        }
    }
}

fn take_lock<D: Disk>(disk: &D) -> Result<D::Lock, OpenError> {
    let file = Folder::Journal.name().to_owned();
    let doing = "create the folder";
    let made = disk.make_folder(Folder::Journal);
    made.map_err(|source| OpenError::Write {
        doing,
        file,
        source,
    })?;
    disk.lock(LOCK).map_err(|e| match e {
        LockError::Held { pid } => OpenError::Locked {
            file: Folder::Journal.path(LOCK),
            pid,
        },
        LockError::Failed(source) => write_error("lock", LOCK)(source),
    })
}

/// A journal without segments.
fn found<D: Disk>(disk: &D, id: u128) -> Result<Checked, OpenError> {
    let meta = Meta {
        id,
        epoch: 0,
        durable: 0,
    };
    meta.write(disk).map_err(write_error("write", META))?;
    let vanished = || write_error("write", META)(io::ErrorKind::NotFound.into());
    scan::check(disk, 1)?.ok_or_else(vanished)
}

fn check_options(options: &Options) -> Result<(), OpenError> {
    let bytes = options.segment_bytes;
    let sized = (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes);
    if sized && bytes.is_multiple_of(SECTOR_BYTES as u64) {
        return Ok(());
    }
    Err(OpenError::Options {
        name: "segment size in bytes",
        found: bytes,
        expected: format!(
            "a multiple of {SECTOR_BYTES} from {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}"
        ),
    })
}

fn write_error(doing: &'static str, name: &str) -> impl FnOnce(io::Error) -> OpenError {
    let file = Folder::Journal.path(name);
    move |source| OpenError::Write {
        doing,
        file,
        source,
    }
}

/// Cuts the torn group, writes the last whole one again and syncs both.
///
/// Again, because after a failed sync the bytes may be in memory and not on disk, with nothing
/// left to tell; the room of one batch behind it likewise. Writing the same bytes over a synced
/// record cannot hurt it: each sector is the same before and after.
fn mend<D: Disk>(disk: &D, tail: Tail) -> Result<Current<D::File>, OpenError> {
    let name = segment_name(tail.header.first);
    let opened = disk.open(Folder::Journal, &name, Access::Write);
    let file = opened.map_err(write_error("open", &name))?;
    let segment_bytes = tail.header.segment_bytes;
    let one_batch = tail.offset.saturating_add(RECORD_BYTES_MAX as u64);
    let zero_to = tail.cut_to.max(one_batch).min(segment_bytes);
    let mended = || -> io::Result<()> {
        if let Some((at, record)) = &tail.last_record {
            write_all_at(&file, record, *at)?;
        }
        file.write_zeros(tail.offset, zero_to - tail.offset)?;
        if tail.file_bytes < segment_bytes {
            let from = zero_to.max(tail.file_bytes);
            file.write_zeros(from, segment_bytes - from)?;
        }
        file.sync_data()
    };
    mended().map_err(write_error("mend the tail of", &name))?;
    let frame = Frame::new(tail.header.id, tail.header.first);
    Ok(Current {
        file: Arc::new(file),
        name,
        header: tail.header,
        frame,
        offset: tail.offset,
    })
}

/// Makes the spare the segment that starts with `first`, durably.
fn name_spare<D: Disk>(
    disk: &D,
    meta: Meta,
    first: u64,
    before: u64,
    segment_bytes: u64,
) -> io::Result<Current<D::File>> {
    let name = segment_name(first);
    let file = disk.open(Folder::Journal, SPARE, Access::Write)?;
    let header = SegmentHeader {
        id: meta.id,
        first,
        before,
        segment_bytes,
        epoch: meta.epoch,
    };
    write_all_at(&file, &header.encode(), 0)?;
    // The header first, the name after: a segment with a name always has a good header.
    file.sync_data()?;
    disk.rename(Folder::Journal, SPARE, &name)?;
    disk.sync_folder(Folder::Journal)?;
    let frame = Frame::new(header.id, header.first);
    Ok(Current {
        file: Arc::new(file),
        name,
        header,
        frame,
        offset: SEGMENT_HEADER_BYTES as u64,
    })
}
