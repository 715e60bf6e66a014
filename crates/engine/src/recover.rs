//! From bytes to a ledger: the newest good snapshot, then every entry after it.

use journal::{Disk, ReadError, Reader, SnapshotError, Snapshots};
use sale::{Effects, Entry, Ledger, NoEffects, Outcome, Seq};
use std::io::Read;
use wire::record::Entries;

/// Why there is no ledger.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("the batch that starts with entry {first} cannot be read: {source}")]
    Batch { first: u64, source: wire::Malformed },
    #[error("the snapshot after entry {sequence} cannot be read: {source}")]
    Unreadable {
        sequence: u64,
        source: wire::snapshot::Unreadable,
    },
    #[error("the snapshot after entry {sequence} cannot be read: {source}")]
    Io {
        sequence: u64,
        source: std::io::Error,
    },
}

/// A ledger and how it came about.
#[derive(Debug)]
pub struct Recovered {
    pub ledger: Ledger,
    /// The snapshot that replay started from.
    pub snapshot: Option<Seq>,
    pub replayed: u64,
    /// Snapshots that could not be used, and why.
    pub skipped: Vec<String>,
}

/// The newest good snapshot at or before `before`, or an empty ledger.
pub fn from_snapshot<D: Disk>(
    disk: &D,
    journal: u128,
    before: u64,
) -> Result<Recovered, RecoverError> {
    let found = Snapshots::new(disk.clone(), journal).at_or_before(before)?;
    let skipped = found
        .skipped
        .iter()
        .map(|s| format!("{}: {}", s.file, s.why))
        .collect();
    let Some(mut snapshot) = found.snapshot else {
        return Ok(Recovered {
            ledger: Ledger::new(),
            snapshot: None,
            replayed: 0,
            skipped,
        });
    };
    let sequence = snapshot.info.sequence;
    let mut bytes = Vec::with_capacity(usize::try_from(snapshot.info.bytes).unwrap_or(0));
    snapshot
        .read_to_end(&mut bytes)
        .map_err(|source| RecoverError::Io { sequence, source })?;
    let ledger = wire::snapshot::read(&bytes)
        .map_err(|source| RecoverError::Unreadable { sequence, source })?;
    Ok(Recovered {
        ledger,
        snapshot: Some(Seq(sequence)),
        replayed: 0,
        skipped,
    })
}

/// The state after the last durable entry. `through` bounds what is read: the last entry of the
/// journal, or less for a state in the past. `progress` hears the number reached now and then.
pub fn recover<D: Disk>(
    disk: &D,
    journal: u128,
    through: u64,
    mut progress: impl FnMut(u64),
) -> Result<Recovered, RecoverError> {
    let mut recovered = from_snapshot(disk, journal, through)?;
    let from = recovered.ledger.seq().0 + 1;
    if from > through {
        return Ok(recovered);
    }
    let mut reader = Reader::open(disk.clone(), from)?;
    let ledger = &mut recovered.ledger;
    while ledger.seq().0 < through {
        let before = ledger.seq();
        if replay(&mut reader, through, ledger, &mut NoEffects, |_, _| ())? == 0 {
            break;
        }
        if before.0 >> 16 != ledger.seq().0 >> 16 {
            progress(ledger.seq().0);
        }
    }
    recovered.replayed = recovered.ledger.seq().0 + 1 - from;
    Ok(recovered)
}

/// Applies the next batch of the journal that is not beyond `through`, entry by entry. Gives how
/// many entries that was; 0 when there is none yet.
pub fn replay<D: Disk, E: Effects>(
    reader: &mut Reader<D>,
    through: u64,
    ledger: &mut Ledger,
    effects: &mut E,
    mut each: impl FnMut(&Entry, &Outcome),
) -> Result<u64, RecoverError> {
    let Some(batch) = reader.next_through(through)? else {
        return Ok(0);
    };
    let malformed = |source| RecoverError::Batch {
        first: batch.first,
        source,
    };
    let entries = Entries::new(batch.first, batch.count, &batch.payload).map_err(malformed)?;
    let entries: Vec<Entry> = entries.collect::<Result<_, _>>().map_err(malformed)?;
    let mut applied = 0;
    for some in entries.chunks(WARM_ENTRIES) {
        let places = some.iter().filter_map(|entry| match &entry.command {
            sale::Command::Place(place) => Some(place),
            _ => None,
        });
        std::hint::black_box(ledger.warm(places));
        for entry in some {
            // A batch may begin before the entry that was asked for.
            if entry.seq <= ledger.seq() || entry.seq.0 > through {
                continue;
            }
            let outcome = ledger.apply(entry, effects);
            each(entry, &outcome);
            applied += 1;
        }
    }
    Ok(applied)
}

/// Entries looked at ahead. More would push the first ones out of the caches before they are used.
const WARM_ENTRIES: usize = 256;
