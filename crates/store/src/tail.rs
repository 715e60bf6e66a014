//! The follower's work without its thread: reads the journal as far as it is durable, replays it
//! into a ledger of its own, gathers what happened, commits it to the projection, and writes
//! snapshots of that ledger. The sale waits for none of it.
//!
//! Where the engine has published a digest of its own state, ours must be the same: two ledgers
//! that disagree mean that one of them sells wrongly, and that is not survived.

use crate::change::{Change, Event};
use crate::error::StoreError;
use crate::limits::{
    BATCH_CHANGES_FULL, DIGEST_CHECK_ENTRIES, SNAPSHOT_ENTRIES, SNAPSHOTS_KEPT, TURN_ENTRIES_MAX,
    WARM_PLACES_MAX,
};
use crate::projection::{Applied, Batch, Projection};
use engine::RecoverError;
use journal::{Disk, ReadError, Reader, SnapshotError, Snapshots, prune_segments};
use sale::{Command, Effect, Entry, Ledger, NoEffects, Seq};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wire::record::Entries;

/// What the follower asks of whoever writes the journal.
pub trait Lead: Send + 'static {
    /// The number of the last entry that is known to be on disk; never goes back.
    fn durable_through(&self) -> u64;
    /// The digest of the writer's own state after entry `seq`.
    fn digest_after(&self, seq: u64) -> LeadDigest;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeadDigest {
    Is(u64),
    /// The writer has not applied that entry yet: ask again.
    NotYet,
    /// Not published, or forgotten.
    Unknown,
}

impl Lead for Arc<engine::View> {
    fn durable_through(&self) -> u64 {
        self.durable().0
    }

    fn digest_after(&self, seq: u64) -> LeadDigest {
        // In this order: the mark is published before the number.
        let applied = self.applied();
        match self.marked(Seq(seq)) {
            Some(digest) => LeadDigest::Is(digest),
            None if applied.0 < seq => LeadDigest::NotYet,
            None => LeadDigest::Unknown,
        }
    }
}

/// A journal at rest, or a writer that publishes no digests.
impl Lead for Arc<AtomicU64> {
    fn durable_through(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    fn digest_after(&self, _: u64) -> LeadDigest {
        LeadDigest::Unknown
    }
}

/// Why following ended.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Recover(#[from] RecoverError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("the batch that starts with entry {first} cannot be read: {source}")]
    Batch { first: u64, source: wire::Malformed },
    #[error(
        "{}: made up to entry {applied}, but the journal before entry {oldest} was pruned and no \
         snapshot reaches back: restore a newer copy of the file", path.display()
    )]
    HistoryPruned {
        path: PathBuf,
        applied: u64,
        oldest: u64,
    },
    #[error(
        "{}: made up to entry {applied}, but the journal ends with entry {durable}: it belongs to \
         another journal; rebuild it", path.display()
    )]
    Ahead {
        path: PathBuf,
        applied: u64,
        durable: u64,
    },
    #[error(
        "{}: made from another journal than this one (they differ by entry {seq}); rebuild it",
        path.display()
    )]
    OtherJournal { path: PathBuf, seq: u64 },
    #[error(
        "after entry {seq} the sale's state has digest {lead:016x}, replayed from the journal it \
         has {ours:016x}: one of the two is wrong"
    )]
    Diverged { seq: u64, ours: u64, lead: u64 },
    #[error("the follower's thread cannot be started: {0}")]
    Thread(std::io::Error),
}

/// When snapshots are written, and what goes afterwards.
#[derive(Clone, Copy, Debug)]
pub struct FollowerOptions {
    /// Entries between two snapshots; 0 writes none.
    pub snapshot_entries: u64,
    /// Good snapshots that stay; at least 1.
    pub snapshots_kept: usize,
    /// Removes journal segments behind the oldest snapshot that stays. The projection cannot be
    /// rebuilt from before that any more.
    pub prune_journal: bool,
    /// Entries between two digests that the writer publishes.
    pub digest_check_entries: u64,
}

impl Default for FollowerOptions {
    fn default() -> Self {
        FollowerOptions {
            snapshot_entries: SNAPSHOT_ENTRIES,
            snapshots_kept: SNAPSHOTS_KEPT,
            prune_journal: false,
            digest_check_entries: DIGEST_CHECK_ENTRIES,
        }
    }
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Enough is gathered for a transaction.
    Full,
    /// Everything durable is gathered or committed.
    CaughtUp,
    /// There is more, but others may want to be heard.
    More,
    /// The writer's digest is awaited.
    Waiting,
}

/// What became of a snapshot that was due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Snapped {
    Written {
        seq: u64,
        bytes: u64,
        pruned_bytes: u64,
    },
    /// The disk would not; the sale and the projection go on, and the next one is tried.
    Failed { seq: u64, why: String },
}

/// Opens the projection, or creates it, if it can belong to a journal that ends with `durable`.
pub(crate) fn open_projection(path: &Path, durable: u64) -> Result<Projection, FollowError> {
    let projection = Projection::open(path)?;
    let applied = projection.applied()?.seq.0;
    if applied > durable {
        return Err(FollowError::Ahead {
            path: path.to_path_buf(),
            applied,
            durable,
        });
    }
    Ok(projection)
}

pub(crate) struct Tail<D: Disk> {
    disk: D,
    reader: Reader<D>,
    snapshots: Snapshots<D>,
    options: FollowerOptions,
    ledger: Ledger,
    /// What is left of the batch that is being replayed.
    entries: std::vec::IntoIter<Entry>,
    projection: Projection,
    path: PathBuf,
    applied: Applied,
    pending: Vec<Change>,
    /// Our digest, to be compared with the writer's.
    check: Option<(u64, u64)>,
    last_snapshot: u64,
    pub(crate) snapped: Vec<Snapped>,
}

impl<D: Disk> Tail<D> {
    /// Finds the place in the journal to go on from: the newest snapshot that is not after what
    /// is applied. Replays nothing yet.
    pub(crate) fn open(
        disk: D,
        projection: Projection,
        options: FollowerOptions,
    ) -> Result<Tail<D>, FollowError> {
        let path = projection.path().to_path_buf();
        let applied = projection.applied()?;
        // From the end, only to learn the journal's name.
        let journal = Reader::open(disk.clone(), u64::MAX)?.id();
        let ledger = engine::from_snapshot(&disk, journal, applied.seq.0)?.ledger;
        let reader = match Reader::open(disk.clone(), ledger.seq().0 + 1) {
            Err(ReadError::Pruned { oldest, .. }) => {
                return Err(FollowError::HistoryPruned {
                    path,
                    applied: applied.seq.0,
                    oldest,
                });
            }
            opened => opened?,
        };
        let snapshots = Snapshots::new(disk.clone(), journal);
        let last_snapshot = snapshots.list()?.last().copied().unwrap_or(0);
        let tail = Tail {
            disk,
            reader,
            snapshots,
            options,
            ledger,
            entries: Vec::new().into_iter(),
            projection,
            path,
            applied,
            pending: Vec::new(),
            check: None,
            last_snapshot,
            snapped: Vec::new(),
        };
        tail.compare_with_applied()?;
        Ok(tail)
    }

    pub(crate) fn applied(&self) -> Applied {
        self.applied
    }

    /// The number of the last entry replayed.
    pub(crate) fn replayed(&self) -> Seq {
        self.ledger.seq()
    }

    pub(crate) fn has_pending(&self) -> bool {
        self.ledger.seq() > self.applied.seq
    }

    /// Replays until enough is gathered, or there is no more.
    pub(crate) fn turn(&mut self, lead: &impl Lead) -> Result<Turn, FollowError> {
        let durable = lead.durable_through();
        for _ in 0..TURN_ENTRIES_MAX {
            if let Some((seq, ours)) = self.check {
                match lead.digest_after(seq) {
                    LeadDigest::NotYet => return Ok(Turn::Waiting),
                    LeadDigest::Is(lead) if lead != ours => {
                        return Err(FollowError::Diverged { seq, ours, lead });
                    }
                    LeadDigest::Is(_) | LeadDigest::Unknown => self.check = None,
                }
                self.snapshot_if_due()?;
            }
            if self.pending.len() >= BATCH_CHANGES_FULL {
                return Ok(Turn::Full);
            }
            let Some(entry) = self.next_entry(durable)? else {
                return Ok(Turn::CaughtUp);
            };
            self.replay(&entry)?;
        }
        Ok(Turn::More)
    }

    fn next_entry(&mut self, durable: u64) -> Result<Option<Entry>, FollowError> {
        // A batch may begin before the entry that was asked for.
        if let Some(entry) = self
            .entries
            .by_ref()
            .find(|entry| entry.seq > self.ledger.seq())
        {
            return Ok(Some(entry));
        }
        let Some(batch) = self.reader.next_through(durable)? else {
            return Ok(None);
        };
        let malformed = |source| FollowError::Batch {
            first: batch.first,
            source,
        };
        let entries = Entries::new(batch.first, batch.count, &batch.payload).map_err(malformed)?;
        let entries: Vec<Entry> = entries.collect::<Result<_, _>>().map_err(malformed)?;
        // Not for the value: it brings the places near that placing these orders will read.
        let places = entries.iter().filter_map(|entry| match &entry.command {
            Command::Place(place) => Some(place),
            _ => None,
        });
        std::hint::black_box(self.ledger.warm(places.take(WARM_PLACES_MAX)));
        self.entries = entries.into_iter();
        let next = self.ledger.seq().0 + 1;
        Ok(self.entries.by_ref().find(|entry| entry.seq.0 >= next))
    }

    fn replay(&mut self, entry: &Entry) -> Result<(), FollowError> {
        let seq = entry.seq;
        if seq <= self.applied.seq {
            self.ledger.apply(entry, &mut NoEffects);
            return self.compare_with_applied();
        }
        let (at, pending) = (entry.at, &mut self.pending);
        let mut gather = |effect: Effect<'_>| {
            // The tables keep the history: nothing to do, so nothing to carry.
            if !matches!(effect, Effect::OrderForgotten { .. }) {
                pending.push(Change {
                    seq,
                    at,
                    event: Event::from(effect),
                });
            }
        };
        self.ledger.apply(entry, &mut gather);
        if seq
            .0
            .is_multiple_of(self.options.digest_check_entries.max(1))
        {
            self.check = Some((seq.0, self.ledger.digest()));
        }
        Ok(())
    }

    /// Where replay reaches what the projection has, both must be of the same journal.
    fn compare_with_applied(&self) -> Result<(), FollowError> {
        let reached = self.ledger.seq() == self.applied.seq && self.applied.seq.0 > 0;
        if reached && self.ledger.digest() != self.applied.digest {
            let (path, seq) = (self.path.clone(), self.applied.seq.0);
            return Err(FollowError::OtherJournal { path, seq });
        }
        Ok(())
    }

    /// Commits what was gathered. After an error it is still there and can be tried again.
    pub(crate) fn commit(&mut self) -> Result<usize, StoreError> {
        if !self.has_pending() {
            return Ok(0);
        }
        let batch = Batch {
            first: Seq(self.applied.seq.0 + 1),
            through: self.ledger.seq(),
            at: self.ledger.at(),
            digest: self.ledger.digest(),
            changes: &self.pending,
        };
        self.applied = self.projection.apply(&batch)?;
        let changes = self.pending.len();
        self.pending.clear();
        Ok(changes)
    }

    fn snapshot_if_due(&mut self) -> Result<(), FollowError> {
        let (seq, every) = (self.ledger.seq().0, self.options.snapshot_entries);
        if every == 0 || seq < self.last_snapshot.saturating_add(every) {
            return Ok(());
        }
        // Even if it fails: the next one is tried where the next one is due.
        self.last_snapshot = seq;
        let ledger = &self.ledger;
        let written = self.snapshots.write(seq, |to| {
            wire::snapshot::write(ledger, |piece| to.write_all(piece))
        });
        let snapped = match written {
            Ok(info) => match self.prune() {
                Ok(pruned_bytes) => Snapped::Written {
                    seq,
                    bytes: info.bytes,
                    pruned_bytes,
                },
                Err(error) => Snapped::Failed {
                    seq,
                    why: error.to_string(),
                },
            },
            Err(error) => Snapped::Failed {
                seq,
                why: error.to_string(),
            },
        };
        self.snapped.push(snapped);
        Ok(())
    }

    /// Removes old snapshots and, if wanted, what lies behind the oldest that stays. The
    /// projection must not need it any more, even after a power cut.
    fn prune(&mut self) -> Result<u64, FollowError> {
        let oldest = self.snapshots.prune(self.options.snapshots_kept)?;
        let Some(oldest) = oldest.filter(|_| self.options.prune_journal) else {
            return Ok(0);
        };
        self.commit()?;
        if oldest > self.applied.seq.0 || !self.projection.sync()? {
            return Ok(0);
        }
        Ok(prune_segments(&self.disk, oldest + 1)?.bytes)
    }
}

/// Makes the projection anew from the whole journal, up to entry `through`, beside the old file,
/// which it replaces at the end. `progress` hears the number reached after each transaction.
/// Nothing may write to the old file meanwhile.
pub fn rebuild<D: Disk>(
    disk: &D,
    path: &Path,
    through: u64,
    mut progress: impl FnMut(u64),
) -> Result<Applied, FollowError> {
    let new = beside(path, ".new");
    remove(&new)?;
    let options = FollowerOptions {
        snapshot_entries: 0,
        ..FollowerOptions::default()
    };
    let lead = Arc::new(AtomicU64::new(through));
    let mut tail = Tail::open(disk.clone(), open_projection(&new, through)?, options)?;
    loop {
        let turn = tail.turn(&lead)?;
        tail.commit()?;
        progress(tail.applied().seq.0);
        if turn == Turn::CaughtUp {
            break;
        }
    }
    let applied = tail.applied();
    tail.projection.close()?;
    remove(path)?;
    std::fs::rename(&new, path).map_err(|error| unusable(path, &error))?;
    Ok(applied)
}

/// Removes a database with the two files that SQLite keeps beside it.
fn remove(path: &Path) -> Result<(), StoreError> {
    // The log first: alone it means nothing, with another database it would be a lie.
    for suffix in ["-wal", "-shm", ""] {
        let file = beside(path, suffix);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(unusable(&file, &error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn unusable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unusable {
        path: path.to_path_buf(),
        why: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
