//! The check of what is on disk: reads only, changes nothing. Opening for writing starts with
//! it, and `verify` is nothing else.
//!
//! The judgement rests on three facts about the writer. A batch is written only after the one
//! before it is synced. A segment gets its name only after its zeros and header are synced, and
//! after everything before it is durable. Nothing is written behind the last batch. So a crash
//! can leave exactly one invalid region: the last batch of the last segment, with all bytes
//! behind it zero. Everything else is damage.

use crate::cursor::{Cursor, Step};
use crate::disk::{Access, Disk, DiskFile, Folder, read_full_at};
use crate::error::{Damage, ReadError};
use crate::format::{
    FORMAT_VERSION, Frame, HeadError, RECORD_MAGIC, RecordHeader, SegmentHeader, is_zero,
    segment_first, segment_name,
};
use crate::limits::{
    READ_CHUNK_BYTES_MAX, RECORD_ALIGN_BYTES, RECORD_BYTES_MAX, RECORD_HEADER_BYTES,
    SEGMENT_HEADER_BYTES, SURVEY_LOOKS_MAX,
};
use crate::meta::{META, Meta};
use std::io::ErrorKind;

/// A last batch that is not there whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Relative to the data folder.
    pub file: String,
    /// First sequence of the segment.
    pub segment: u64,
    /// Where the torn batch starts.
    pub offset: u64,
    /// From there to the last byte that is not zero.
    pub bytes_cut: u64,
    /// Bytes that the file is shorter than it was made.
    pub bytes_missing: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    pub first: u64,
    pub bytes: u64,
    /// What was counted if the segment was read whole: batches, and where they end.
    pub read: Option<(u64, u64)>,
}

/// What is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    pub id: u128,
    /// Epoch of the last writer.
    pub epoch: u64,
    /// The first sequence that is still there, or would be the first.
    pub first: u64,
    /// The last whole batch ends here; 0 when there is none.
    pub last: u64,
    pub segments: Vec<SegmentInfo>,
    pub torn: Option<Torn>,
    /// First sequence of a segment that was being made: bare, its header unreadable.
    pub unfinished: Option<u64>,
}

/// Where the next batch goes, and the record before it.
pub(crate) struct Tail {
    pub header: SegmentHeader,
    pub offset: u64,
    pub file_bytes: u64,
    pub cut_to: u64,
    pub last_record: Option<(u64, Vec<u8>)>,
}

pub(crate) struct Checked {
    pub survey: Survey,
    pub meta: Meta,
    /// `None`: the journal was founded but has no segment yet.
    pub tail: Option<Tail>,
}

/// Reads and checks the journal without changing it. Segments that end before `from` are
/// checked by their headers only; 1 reads everything. A writer may be at work: its batch in
/// flight may show as torn, and what may only be a race is looked at again before it is told.
pub fn survey<D: Disk>(disk: &D, from: u64) -> Result<Survey, ReadError> {
    let mut seen = None;
    for _ in 1..SURVEY_LOOKS_MAX {
        match look(disk, from) {
            Err(ReadError::Damaged(damage)) if seen.as_ref() != Some(&damage) => {
                seen = Some(damage);
            }
            // A segment was pruned between the listing and the look.
            Err(ReadError::Failed { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            looked => return looked,
        }
    }
    look(disk, from)
}

fn look<D: Disk>(disk: &D, from: u64) -> Result<Survey, ReadError> {
    let absent = || ReadError::Absent {
        file: Folder::Journal.path(META),
    };
    Ok(check(disk, from)?.ok_or_else(absent)?.survey)
}

/// `None`: nothing is here.
pub(crate) fn check<D: Disk>(disk: &D, from: u64) -> Result<Option<Checked>, ReadError> {
    let firsts = segment_firsts(disk)?;
    let Some(meta) = Meta::read(disk)? else {
        return match firsts.first() {
            None => Ok(None),
            Some(_) => Err(damage(META, 0, "the file is missing although segments exist").into()),
        };
    };
    let mut walk = Walk {
        disk,
        meta,
        epoch: 0,
        next: 1,
    };
    let (headers, unfinished) = walk.headers(&firsts)?;
    let mut survey = Survey {
        id: meta.id,
        epoch: meta.epoch,
        first: headers.first().map_or(1, |header| header.first),
        last: 0,
        segments: Vec::with_capacity(headers.len()),
        torn: None,
        unfinished,
    };
    let Some((last, sealed)) = headers.split_last() else {
        walk.known_durable(META, 0)?;
        walk.unfinished_is_next(META, 0, unfinished)?;
        return Ok(Some(Checked {
            survey,
            meta,
            tail: None,
        }));
    };
    for (header, after) in sealed.iter().zip(headers.iter().skip(1)) {
        let read = if after.first > from {
            Some(walk.sealed(header, after.first)?)
        } else {
            None
        };
        let bytes = header.segment_bytes;
        survey.segments.push(SegmentInfo {
            first: header.first,
            bytes,
            read,
        });
    }
    let (tail, batches) = walk.tail(last, &mut survey.torn)?;
    survey.segments.push(SegmentInfo {
        first: last.first,
        bytes: last.segment_bytes,
        read: Some((batches, tail.offset)),
    });
    survey.last = walk.next - 1;
    let name = segment_name(last.first);
    walk.known_durable(&name, tail.offset)?;
    walk.unfinished_is_next(&name, tail.offset, unfinished)?;
    Ok(Some(Checked {
        survey,
        meta,
        tail: Some(tail),
    }))
}

pub(crate) fn segment_firsts<D: Disk>(disk: &D) -> Result<Vec<u64>, ReadError> {
    let names = disk
        .list(Folder::Journal)
        .map_err(|source| ReadError::Failed {
            doing: "list",
            file: Folder::Journal.name().into(),
            source,
        })?;
    let mut firsts: Vec<u64> = names
        .iter()
        .filter_map(|name| segment_first(name))
        .collect();
    firsts.sort_unstable();
    Ok(firsts)
}

pub(crate) fn damage(name: &str, offset: u64, what: &str) -> Damage {
    Damage {
        file: Folder::Journal.path(name),
        offset,
        what: what.to_owned(),
    }
}

pub(crate) fn failed(doing: &'static str, name: &str, source: std::io::Error) -> ReadError {
    ReadError::Failed {
        doing,
        file: Folder::Journal.path(name),
        source,
    }
}

/// Opens a segment and checks its header against its name and the journal.
pub(crate) fn open_segment<D: Disk>(
    disk: &D,
    first: u64,
    id: u128,
) -> Result<(SegmentHeader, D::File), ReadError> {
    let name = segment_name(first);
    let opened = disk.open(Folder::Journal, &name, Access::Read);
    let file = opened.map_err(|source| failed("open", &name, source))?;
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    let read =
        read_full_at(&file, &mut bytes, 0).map_err(|source| failed("read", &name, source))?;
    let header = match SegmentHeader::decode(&bytes[..read]) {
        Ok(header) => header,
        Err(HeadError::Bad(what)) => return Err(damage(&name, 0, what).into()),
        Err(HeadError::Version(found)) => {
            let (file, expected) = (Folder::Journal.path(&name), FORMAT_VERSION);
            return Err(ReadError::Version {
                file,
                found,
                expected,
            });
        }
    };
    if header.id != id {
        let what = format!(
            "it belongs to journal {:032x}, expected {id:032x}",
            header.id
        );
        return Err(damage(&name, 16, &what).into());
    }
    if header.first != first {
        let what = format!("its header says it starts with sequence {}", header.first);
        return Err(damage(&name, 32, &what).into());
    }
    Ok((header, file))
}

struct Walk<'d, D> {
    disk: &'d D,
    meta: Meta,
    /// Of the last header or batch seen: never goes back.
    epoch: u64,
    next: u64,
}

impl<D: Disk> Walk<'_, D> {
    /// All headers, in order and without a gap; and the segment that was being made, if any.
    fn headers(&self, firsts: &[u64]) -> Result<(Vec<SegmentHeader>, Option<u64>), ReadError> {
        let mut headers: Vec<SegmentHeader> = Vec::with_capacity(firsts.len());
        for (place, first) in firsts.iter().enumerate() {
            let is_last = place + 1 == firsts.len();
            let header = match open_segment(self.disk, *first, self.meta.id) {
                Ok((header, _)) => header,
                // At byte 0: unreadable as a whole, not merely another journal's.
                Err(ReadError::Damaged(d))
                    if is_last && d.offset == 0 && self.is_bare(*first)? =>
                {
                    return Ok((headers, Some(*first)));
                }
                Err(e) => return Err(e),
            };
            let name = segment_name(*first);
            if header.epoch > self.meta.epoch {
                return Err(damage(&name, 56, &self.epoch_ahead(header.epoch)).into());
            }
            if let Some(before) = headers.last() {
                if before.first != header.before {
                    let missing = segment_name(header.before);
                    let what = format!(
                        "it follows {}, but that file is missing",
                        Folder::Journal.path(&missing)
                    );
                    return Err(damage(&name, 40, &what).into());
                }
                if header.epoch < before.epoch {
                    let what = epoch_back(header.epoch, before.epoch);
                    return Err(damage(&name, 56, &what).into());
                }
            }
            headers.push(header);
        }
        Ok((headers, None))
    }

    /// Nothing but zeros behind the header: no batch was ever written there.
    fn is_bare(&self, first: u64) -> Result<bool, ReadError> {
        let name = segment_name(first);
        let opened = self.disk.open(Folder::Journal, &name, Access::Read);
        let file = opened.map_err(|source| failed("open", &name, source))?;
        let bytes = file
            .bytes()
            .map_err(|source| failed("measure", &name, source))?;
        Ok(nonzero(&file, &name, SEGMENT_HEADER_BYTES as u64, bytes)?.is_none())
    }

    /// Every batch up to the first thing that is not one.
    fn records<F: DiskFile>(
        &mut self,
        cursor: &mut Cursor<F>,
        name: &str,
        mut seen: impl FnMut(&Cursor<F>, &RecordHeader),
    ) -> Result<Option<&'static str>, ReadError> {
        loop {
            let offset = cursor.offset();
            match cursor
                .step()
                .map_err(|source| failed("read", name, source))?
            {
                Step::End => return Ok(None),
                Step::Bad(what) => return Ok(Some(what)),
                Step::Record(record) => {
                    self.follows(&record, name, offset)?;
                    seen(cursor, &record);
                    cursor.advance(&record);
                }
            }
        }
    }

    /// A batch with the right checksum must also be the next one, by the same or a newer writer.
    fn follows(&mut self, record: &RecordHeader, name: &str, offset: u64) -> Result<(), Damage> {
        if record.first != self.next {
            let what = format!(
                "a batch starts with sequence {}, expected {}",
                record.first, self.next
            );
            return Err(damage(name, offset, &what));
        }
        if record.epoch < self.epoch {
            return Err(damage(name, offset, &epoch_back(record.epoch, self.epoch)));
        }
        if record.epoch > self.meta.epoch {
            return Err(damage(name, offset, &self.epoch_ahead(record.epoch)));
        }
        self.epoch = record.epoch;
        self.next = record.last() + 1;
        Ok(())
    }

    fn epoch_ahead(&self, found: u64) -> String {
        format!(
            "it was written in epoch {found}, the last writer had {}",
            self.meta.epoch
        )
    }

    fn begin(&mut self, header: &SegmentHeader) -> Result<Cursor<D::File>, ReadError> {
        let (_, file) = open_segment(self.disk, header.first, self.meta.id)?;
        self.next = header.first;
        self.epoch = self.epoch.max(header.epoch);
        let frame = Frame::new(header.id, header.first);
        Ok(Cursor::new(file, frame, header.segment_bytes))
    }

    /// A segment that another follows: whole, without a gap to the next. Batches and their end.
    fn sealed(&mut self, header: &SegmentHeader, after: u64) -> Result<(u64, u64), ReadError> {
        let name = segment_name(header.first);
        let mut cursor = self.begin(header)?;
        let mut batches = 0;
        let bad = self.records(&mut cursor, &name, |_, _| batches += 1)?;
        let offset = cursor.offset();
        if let Some(what) = bad {
            return Err(damage(&name, offset, what).into());
        }
        if self.next != after {
            let last = self.next - 1;
            let what = format!("the batches end with {last}, the next segment is {after}");
            return Err(damage(&name, offset, &what).into());
        }
        let bytes = cursor
            .file()
            .bytes()
            .map_err(|source| failed("measure", &name, source))?;
        if bytes != header.segment_bytes {
            let what = format!(
                "the file has {bytes} bytes, expected {}",
                header.segment_bytes
            );
            return Err(damage(&name, bytes.min(header.segment_bytes), &what).into());
        }
        if let Some((at, _)) = nonzero(cursor.file(), &name, offset, bytes)? {
            return Err(damage(&name, at, "bytes follow the last batch").into());
        }
        Ok((batches, offset))
    }

    /// The last segment: the one place where a tear is possible.
    fn tail(
        &mut self,
        header: &SegmentHeader,
        torn: &mut Option<Torn>,
    ) -> Result<(Tail, u64), ReadError> {
        let name = segment_name(header.first);
        let mut cursor = self.begin(header)?;
        let mut batches = 0;
        let mut last_record: Option<(u64, Vec<u8>)> = None;
        // Once, unless a writer is at work: each further turn has found another batch.
        let (offset, file_bytes, cut_to) = loop {
            self.records(&mut cursor, &name, |cursor, record| {
                batches += 1;
                let (at, bytes) = last_record.get_or_insert_default();
                *at = cursor.offset();
                bytes.clear();
                bytes.extend_from_slice(cursor.record(record));
            })?;
            let offset = cursor.offset();
            let file_bytes = self.tail_bytes(&cursor, &name, header.segment_bytes)?;
            match nonzero(cursor.file(), &name, offset, file_bytes)? {
                None => break (offset, file_bytes, offset),
                Some((_, last)) if self.is_tear(&cursor, &name, header.segment_bytes, last)? => {
                    break (offset, file_bytes, last + 1);
                }
                Some(_) => cursor.refresh(),
            }
        };
        let bytes_missing = header.segment_bytes - file_bytes;
        if cut_to > offset || bytes_missing > 0 {
            *torn = Some(Torn {
                file: Folder::Journal.path(&name),
                segment: header.first,
                offset,
                bytes_cut: cut_to - offset,
                bytes_missing,
            });
        }
        Ok((
            Tail {
                header: *header,
                offset,
                file_bytes,
                cut_to,
                last_record,
            },
            batches,
        ))
    }

    /// The file may be shorter than it was made, never longer.
    fn tail_bytes(
        &self,
        cursor: &Cursor<D::File>,
        name: &str,
        segment_bytes: u64,
    ) -> Result<u64, ReadError> {
        let bytes = cursor
            .file()
            .bytes()
            .map_err(|source| failed("measure", name, source))?;
        if bytes > segment_bytes {
            let what = format!("the file has {bytes} bytes, expected {segment_bytes}");
            return Err(damage(name, segment_bytes, &what).into());
        }
        Ok(bytes)
    }

    /// The bytes behind the last batch must fit in the one batch that was in flight, and no
    /// valid batch may be among them. False if that batch has become whole meanwhile.
    fn is_tear(
        &self,
        cursor: &Cursor<D::File>,
        name: &str,
        segment_bytes: u64,
        last_byte: u64,
    ) -> Result<bool, ReadError> {
        let offset = cursor.offset();
        // A batch that starts inside the torn one may end one batch farther.
        let bytes = (segment_bytes - offset).min(2 * RECORD_BYTES_MAX as u64) as usize;
        let mut window = vec![0; bytes];
        let read = read_full_at(cursor.file(), &mut window, offset)
            .map_err(|source| failed("read", name, source))?;
        // As the cursor sees it: what a short file lacks is not there.
        window.truncate(read);
        if whole_at(cursor, &window, 0).is_some() {
            return Ok(false);
        }
        if bytes < RECORD_HEADER_BYTES || last_byte >= offset + RECORD_BYTES_MAX as u64 {
            let what = format!("byte {last_byte} is not zero, farther than one batch reaches");
            return Err(damage(name, offset, &what).into());
        }
        let later = (RECORD_ALIGN_BYTES..read).step_by(RECORD_ALIGN_BYTES);
        let found = later.filter_map(|start| Some((start, whole_at(cursor, &window, start)?)));
        if let Some((start, record)) = found.into_iter().next() {
            let what = format!(
                "the batch here is unreadable, but the batch with sequence {} at byte {} \
                 is whole: this is no torn tail",
                record.first,
                offset + start as u64
            );
            return Err(damage(name, offset, &what).into());
        }
        Ok(true)
    }

    /// A segment is made only when everything before its name is durable.
    fn unfinished_is_next(&self, name: &str, at: u64, made: Option<u64>) -> Result<(), Damage> {
        match made {
            Some(first) if first != self.next => {
                let last = self.next - 1;
                let what = format!("the batches end with {last}, the next segment is {first}");
                Err(damage(name, at, &what))
            }
            _ => Ok(()),
        }
    }

    /// What was durable when the journal was last opened or closed must still be there.
    fn known_durable(&self, name: &str, offset: u64) -> Result<(), Damage> {
        if self.next > self.meta.durable {
            return Ok(());
        }
        let what = format!(
            "the batches end with {}, but {} was durable before",
            self.next - 1,
            self.meta.durable
        );
        Err(damage(name, offset, &what))
    }
}

/// The whole, valid batch that starts at `start` of the bytes from the cursor on, if any.
fn whole_at<F: DiskFile>(cursor: &Cursor<F>, window: &[u8], start: usize) -> Option<RecordHeader> {
    let rest = &window[start..];
    if !rest.starts_with(&RECORD_MAGIC) {
        return None;
    }
    let record = RecordHeader::decode(rest).ok()?;
    let whole = rest.get(..record.record_bytes())?;
    cursor
        .frame()
        .holds(cursor.offset() + start as u64, &record, whole)
        .then_some(record)
}

fn epoch_back(found: u64, seen: u64) -> String {
    format!("it was written in epoch {found}, after epoch {seen}: two writers were at work")
}

/// The first and the last byte in `from..to` that are not zero.
fn nonzero<F: DiskFile>(
    file: &F,
    name: &str,
    from: u64,
    to: u64,
) -> Result<Option<(u64, u64)>, ReadError> {
    let mut chunk = vec![0; READ_CHUNK_BYTES_MAX.min(to.saturating_sub(from) as usize)];
    let (mut at, mut found) = (from, None);
    while at < to {
        let want = chunk.len().min((to - at) as usize);
        let read = read_full_at(file, &mut chunk[..want], at)
            .map_err(|source| failed("read", name, source))?;
        if read == 0 {
            break;
        }
        let seen = &chunk[..read];
        if !is_zero(seen) {
            let first = seen.iter().position(|b| *b != 0).unwrap_or(0) as u64;
            let last = seen.iter().rposition(|b| *b != 0).unwrap_or(0) as u64;
            found = Some((found.map_or(at + first, |(first, _)| first), at + last));
        }
        at += read as u64;
    }
    Ok(found)
}
