//! Reads batches in order, from segment files only: offline, or beside the writer on another
//! thread. It never asks the writer anything; the caller says how far the journal is durable.

use crate::cursor::{Cursor, Step};
use crate::disk::{Disk, Folder};
use crate::error::ReadError;
use crate::format::{Frame, SegmentHeader, segment_name};
use crate::meta::{META, Meta};
use crate::scan::{damage, failed, open_segment, segment_firsts};
use std::io;

/// Entries `first..first + count` and their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedBatch {
    pub first: u64,
    pub count: u32,
    pub payload: Vec<u8>,
}

impl OwnedBatch {
    pub fn last(&self) -> u64 {
        self.first + u64::from(self.count) - 1
    }
}

pub struct Reader<D: Disk> {
    disk: D,
    id: u128,
    /// The sequence asked for: batches that end before it are passed over.
    from: u64,
    /// The sequence that the next batch in the file must start with.
    next: u64,
    epoch: u64,
    segment: Option<Segment<D::File>>,
}

struct Segment<F> {
    name: String,
    header: SegmentHeader,
    cursor: Cursor<F>,
}

impl<D: Disk> Reader<D> {
    /// Starts with the batch that holds `from` (which may begin before it). Fails with `Pruned`
    /// if that is gone. `from` may lie one or more behind the end: it is then waited for.
    pub fn open(disk: D, from: u64) -> Result<Self, ReadError> {
        let Some(meta) = Meta::read(&disk)? else {
            return Err(ReadError::Absent {
                file: Folder::Journal.path(META),
            });
        };
        let from = from.max(1);
        let firsts = segment_firsts(&disk)?;
        let at = firsts.partition_point(|first| *first <= from);
        let next = match (at.checked_sub(1).map(|at| firsts[at]), firsts.first()) {
            (Some(first), _) => first,
            (None, Some(oldest)) => {
                return Err(ReadError::Pruned {
                    asked: from,
                    oldest: *oldest,
                });
            }
            (None, None) => 1,
        };
        Ok(Reader {
            disk,
            id: meta.id,
            from,
            next,
            epoch: 0,
            segment: None,
        })
    }

    /// The journal's name.
    pub fn id(&self) -> u128 {
        self.id
    }

    /// The next batch, if it ends at or before `durable`; `None` otherwise. Inside that bound
    /// every batch must be there and whole, so anything else is damage.
    ///
    /// `durable` is what [`crate::Settled::Durable`] or a recovery or survey said.
    pub fn next_through(&mut self, durable: u64) -> Result<Option<OwnedBatch>, ReadError> {
        // `next` rises with every turn and `durable` does not.
        while self.next <= durable {
            let mut segment = match self.segment.take() {
                Some(segment) => segment,
                None => self.enter()?,
            };
            let found = self.read(&mut segment, durable);
            self.segment = Some(segment);
            match found? {
                Found::Batch(batch) => return Ok(Some(batch)),
                Found::Passed => {}
                Found::Beyond => return Ok(None),
                Found::End => self.segment = None,
            }
        }
        Ok(None)
    }

    /// Opens the segment that starts with `next`.
    fn enter(&mut self) -> Result<Segment<D::File>, ReadError> {
        let name = segment_name(self.next);
        let opened = open_segment(&self.disk, self.next, self.id);
        let (header, file) = match opened {
            Err(ReadError::Failed { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(self.gone(&name));
            }
            opened => opened?,
        };
        if header.epoch < self.epoch {
            return Err(damage(&name, 56, "its epoch is older than the batch before it").into());
        }
        let cursor = Cursor::new(
            file,
            Frame::new(self.id, header.first),
            header.segment_bytes,
        );
        Ok(Segment {
            name,
            header,
            cursor,
        })
    }

    fn gone(&self, name: &str) -> ReadError {
        match segment_firsts(&self.disk) {
            Ok(firsts) => match firsts.first() {
                Some(oldest) if *oldest > self.next => ReadError::Pruned {
                    asked: self.next,
                    oldest: *oldest,
                },
                _ => {
                    let what = format!("the segment with sequence {} is missing", self.next);
                    damage(name, 0, &what).into()
                }
            },
            Err(e) => e,
        }
    }

    fn read(&mut self, segment: &mut Segment<D::File>, durable: u64) -> Result<Found, ReadError> {
        let (name, cursor) = (&segment.name, &mut segment.cursor);
        let mut step = cursor
            .step()
            .map_err(|source| failed("read", name, source))?;
        if !matches!(step, Step::Record(_)) {
            // What was read ahead may be older than the batch: look again, once.
            cursor.refresh();
            step = cursor
                .step()
                .map_err(|source| failed("read", name, source))?;
        }
        let offset = cursor.offset();
        let record = match step {
            Step::Record(record) => record,
            Step::Bad(what) => return Err(damage(name, offset, what).into()),
            // An empty segment has no successor: its own name would be the next one's.
            Step::End if self.next == segment.header.first => {
                let what = format!("the batch with sequence {} is missing", self.next);
                return Err(damage(name, offset, &what).into());
            }
            Step::End => return Ok(Found::End),
        };
        if record.first != self.next {
            let what = format!(
                "a batch starts with sequence {}, expected {}",
                record.first, self.next
            );
            return Err(damage(name, offset, &what).into());
        }
        if record.epoch < self.epoch.max(segment.header.epoch) {
            return Err(damage(name, offset, "its epoch is older than what is before it").into());
        }
        if record.last() > durable {
            return Ok(Found::Beyond);
        }
        let wanted = record.last() >= self.from;
        let batch = wanted.then(|| OwnedBatch {
            first: record.first,
            count: record.count,
            payload: cursor.payload(&record).to_vec(),
        });
        cursor.advance(&record);
        self.next = record.last() + 1;
        self.epoch = record.epoch;
        Ok(batch.map_or(Found::Passed, Found::Batch))
    }
}

enum Found {
    Batch(OwnedBatch),
    /// Ends before what was asked for.
    Passed,
    /// Not durable yet.
    Beyond,
    /// The segment is over.
    End,
}
