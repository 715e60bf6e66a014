//! The shop's process: the real sequencer over the real journal on a faulty disk, driven one phase
//! at a time. Beside it an archive keeps every durable entry, as a careful operator would, and a
//! second ledger that lives on the archive alone.

use crate::dice::Dice;
use crate::limits::{INBOX_COMMANDS_MAX, RESERVE_BYTES, SEGMENT_BYTES, TICK_MS};
use crate::trace::Trace;
use engine::{Answer, Fatal, Offered, RecoverError, Reply, Sequencer, Turned, enter, recover};
use journal::faulty::{Crash, FaultyDisk};
use journal::{
    Disk, FileLog, Folder, OpenError, Options, ReadError, Reader, SnapshotError, Snapshots,
    prune_segments,
};
use sale::{At, Command, Entry, Ledger, NoEffects};
use std::collections::VecDeque;

const JOURNAL: u128 = 0x5EA_3A11;
/// A tick's answer is for nobody.
pub(crate) const NOBODY: u64 = u64::MAX;

pub(crate) type Answers = Vec<(u64, Reply)>;

struct Running {
    sequencer: Sequencer<FileLog<FaultyDisk>, u64>,
    inbox: VecDeque<(Command, u64)>,
    next_tick: u64,
}

pub(crate) struct Server {
    pub disk: FaultyDisk,
    running: Option<Running>,
    /// Every entry that was ever durable, from the first.
    pub history: Vec<Entry>,
    twin: Ledger,
    rotted: bool,
    pub answered: Answers,
}

/// Why a start failed.
pub(crate) enum NotStarted {
    /// The machine went down again, or the environment failed: try once more.
    Again,
    /// What no crash may leave behind.
    Wrong(String),
}

pub(crate) enum Arrived {
    Queued,
    Answered(Reply),
    /// Nobody listens.
    Down,
}

impl Server {
    pub fn new(disk: FaultyDisk) -> Server {
        Server {
            disk,
            running: None,
            history: Vec::new(),
            twin: Ledger::new(),
            rotted: false,
            answered: Vec::new(),
        }
    }

    pub fn is_up(&self) -> bool {
        self.running.is_some()
    }
    pub fn applied(&self) -> Option<u64> {
        self.running
            .as_ref()
            .map(|r| r.sequencer.view().applied().0)
    }
    pub fn has_work(&self) -> bool {
        self.running.as_ref().is_some_and(|r| {
            r.sequencer.gathered() > 0 || r.sequencer.unsynced() > 0 || !r.inbox.is_empty()
        })
    }
    /// Units held in all.
    pub fn held(&self) -> u64 {
        let Some(running) = &self.running else {
            return 0;
        };
        let ledger = running.sequencer.view().ledger();
        ledger.skus().map(|sku| u64::from(sku.books.held.0)).sum()
    }

    /// What the front does with a command: refuse at once if that is safe, else queue.
    pub fn arrive(&mut self, command: Command, token: u64, now: u64) -> Arrived {
        let Some(running) = &mut self.running else {
            return Arrived::Down;
        };
        let view = running.sequencer.view();
        if let Command::Place(place) = &command
            && let Some(outcome) = view.refuse_now(place, At(now))
        {
            let answer = Answer {
                outcome,
                seq: None,
                at: At(now),
            };
            return Arrived::Answered(Ok(answer));
        }
        if running.inbox.len() >= INBOX_COMMANDS_MAX {
            return Arrived::Answered(Err(Turned::Overloaded));
        }
        enter(view, &command);
        running.inbox.push_back((command, token));
        Arrived::Queued
    }

    /// Gathers up to `most` commands of the inbox.
    pub fn gather(&mut self, most: u64, now: u64) -> Result<(), Fatal> {
        for _ in 0..most {
            let Some(running) = &mut self.running else {
                return Ok(());
            };
            let Some((command, token)) = running.inbox.pop_front() else {
                return Ok(());
            };
            match running.sequencer.offer(command, token, At(now)) {
                Offered::Gathered => {}
                Offered::Answered(token, reply) => self.answered.push((token, reply)),
                Offered::Full(command, token) => {
                    running.inbox.push_front((command, token));
                    while running.sequencer.unsynced() > 0 {
                        running.sequencer.sync()?;
                    }
                    return self.write(now);
                }
            }
        }
        Ok(())
    }

    /// Lets time pass, as often as the engine does.
    pub fn tick(&mut self, now: u64) -> bool {
        let Some(running) = &mut self.running else {
            return false;
        };
        if now < running.next_tick {
            return false;
        }
        running.next_tick = now + TICK_MS;
        running.sequencer.look_for_room();
        let due = running.sequencer.view().ledger().next_due();
        let ticks = due.is_some_and(|due| due.0 <= now);
        if ticks {
            running.inbox.push_back((Command::Tick, NOBODY));
        }
        ticks
    }

    pub fn write(&mut self, now: u64) -> Result<(), Fatal> {
        let answered = &mut self.answered;
        match &mut self.running {
            Some(running) if !running.sequencer.window_is_full() => running
                .sequencer
                .write(At(now), |token, reply| answered.push((token, reply))),
            _ => Ok(()),
        }
    }

    pub fn sync(&mut self) -> Result<(), Fatal> {
        self.running
            .as_mut()
            .map_or(Ok(()), |running| running.sequencer.sync())
    }

    pub fn apply(&mut self) {
        let answered = &mut self.answered;
        if let Some(running) = &mut self.running {
            running
                .sequencer
                .apply(|token, reply| answered.push((token, reply)));
        }
    }

    /// The process is gone, with everything that was in memory.
    pub fn die(&mut self, crash: Crash) {
        self.running = None;
        self.answered.clear();
        self.disk = self.disk.restart(crash);
    }

    /// From bytes to a running sequencer; the archive and the second ledger check the result.
    pub fn start(
        &mut self,
        from_snapshot: bool,
        trace: &mut Trace,
        now: u64,
    ) -> Result<(), NotStarted> {
        let mut check_from = 1;
        if from_snapshot {
            let found = Snapshots::new(self.disk.clone(), JOURNAL).latest();
            let found = found.map_err(|e| self.judge_snapshot(e))?;
            check_from = found
                .snapshot
                .map_or(1, |snapshot| snapshot.info.sequence + 1);
        }
        let options = Options {
            id_if_new: JOURNAL,
            segment_bytes: SEGMENT_BYTES,
            reserve_bytes: RESERVE_BYTES,
            check_from,
        };
        let opened = FileLog::open(self.disk.clone(), options);
        let (log, recovery) = opened.map_err(|e| self.judge_open(e))?;
        let recovered = recover(&self.disk, JOURNAL, recovery.last, |_| ())
            .map_err(|e| self.judge_recovery(e))?;
        self.archive(recovery.last)
            .map_err(|e| self.judge_recovery(e))?;
        let (found, expected) = (recovered.ledger.digest(), self.twin.digest());
        if found != expected {
            return Err(NotStarted::Wrong(format!(
                "recovered state after entry {} has digest {found:016x}, replay of everything \
                 gives {expected:016x} after entry {}",
                recovered.ledger.seq(),
                self.twin.seq()
            )));
        }
        trace.note(now, "started", &[recovery.last, recovered.replayed, found]);
        trace.count("(torn group cut)", u64::from(recovery.torn.is_some()));
        trace.count(
            "(unfinished segment removed)",
            u64::from(recovery.unfinished.is_some()),
        );
        trace.count(
            "(started from a snapshot)",
            u64::from(recovered.snapshot.is_some()),
        );
        trace.count("(damaged snapshot skipped)", recovered.skipped.len() as u64);
        let sequencer = Sequencer::new(log, recovered.ledger);
        self.running = Some(Running {
            sequencer,
            inbox: VecDeque::new(),
            next_tick: 0,
        });
        Ok(())
    }

    fn judge_open(&self, error: OpenError) -> NotStarted {
        match error {
            OpenError::Read(error) => self.judge_read(error),
            OpenError::Write { .. } => NotStarted::Again,
            error @ (OpenError::Locked { .. } | OpenError::Options { .. }) => {
                NotStarted::Wrong(format!("the journal does not open: {error}"))
            }
        }
    }
    fn judge_read(&self, error: ReadError) -> NotStarted {
        match error {
            ReadError::Failed { .. } => NotStarted::Again,
            error => NotStarted::Wrong(format!("the journal does not read back: {error}")),
        }
    }
    fn judge_snapshot(&self, error: SnapshotError) -> NotStarted {
        match error {
            SnapshotError::Failed { .. } => NotStarted::Again,
            error @ SnapshotError::Unverified { .. } => NotStarted::Wrong(error.to_string()),
        }
    }
    fn judge_recovery(&self, error: RecoverError) -> NotStarted {
        match error {
            RecoverError::Read(error) => self.judge_read(error),
            RecoverError::Snapshot(error) => self.judge_snapshot(error),
            RecoverError::Io { .. } => NotStarted::Again,
            error => NotStarted::Wrong(format!("recovery fails: {error}")),
        }
    }

    /// Reads what became durable since the last time into the archive.
    fn archive(&mut self, through: u64) -> Result<(), RecoverError> {
        let from = self.history.len() as u64 + 1;
        if from > through {
            return Ok(());
        }
        for entry in read_entries(&self.disk, from, through)? {
            self.twin.apply(&entry, &mut NoEffects);
            self.history.push(entry);
        }
        Ok(())
    }

    /// What the snapshotter does beside the sale: replay onto the last snapshot, write, prune
    /// behind the older of two verified snapshots. Errors of the disk leave things as they are.
    pub fn snapshot(&mut self, trace: &mut Trace, now: u64) -> Result<(), String> {
        let Some(running) = &self.running else {
            return Ok(());
        };
        let through = running.sequencer.view().durable().0;
        let recovered = match recover(&self.disk, JOURNAL, through, |_| ()) {
            Ok(recovered) => recovered,
            Err(error) => return self.wrong(error),
        };
        if let Err(error) = self.archive(through) {
            return self.wrong(error);
        }
        let (seq, digest) = (recovered.ledger.seq().0, recovered.ledger.digest());
        if digest != self.twin.digest() {
            return Err(format!(
                "snapshot and tail differ from full replay at entry {seq}"
            ));
        }
        let mut snapshots = Snapshots::new(self.disk.clone(), JOURNAL);
        let written = snapshots.write(seq, |out| {
            wire::snapshot::write(&recovered.ledger, |bytes| out.write_all(bytes))
        });
        if written.is_err() {
            trace.happened(now, "(snapshot not written)", &[seq]);
            return Ok(());
        }
        trace.happened(now, "(snapshot written)", &[seq, digest]);
        let Ok(Some(oldest)) = snapshots.prune(2) else {
            return Ok(());
        };
        if snapshots.list().is_ok_and(|list| list.len() >= 2)
            && let Ok(pruned) = prune_segments(&self.disk, oldest + 1)
        {
            trace.note(now, "pruned", &[oldest, pruned.segments as u64]);
            trace.count("(segment pruned)", pruned.segments as u64);
        }
        Ok(())
    }

    fn wrong(&self, error: RecoverError) -> Result<(), String> {
        match self.judge_recovery(error) {
            NotStarted::Again => Ok(()),
            NotStarted::Wrong(what) => Err(what),
        }
    }

    /// One bit of the newest snapshot turns while nobody looks. Once a seed, and only where another
    /// snapshot or the whole journal is left: more is the loss of a disk.
    pub fn rot(&mut self, dice: &mut Dice) -> bool {
        let Ok(mut names) = self.disk.list(Folder::Snapshots) else {
            return false;
        };
        names.retain(|name| !name.contains("new"));
        names.sort();
        let Some(newest) = names.last().filter(|_| !self.rotted && names.len() >= 2) else {
            return false;
        };
        let bytes = self
            .disk
            .content(Folder::Snapshots, newest)
            .map_or(0, |c| c.len());
        self.rotted = self.disk.flip_bit(
            Folder::Snapshots,
            newest,
            dice.below(bytes as u64),
            dice.below(8) as u8,
        );
        self.rotted
    }

    /// Stops in good order and reads everything back. What was archived must still be there as it
    /// was; the live state must be what the archive gives.
    pub fn close(&mut self) -> Result<(), String> {
        let mut running = self.running.take().ok_or("the shop is down in the end")?;
        // A tick may be durable and not applied yet; nobody waits for its answer.
        running.sequencer.apply(|_, _| ());
        let live = running.sequencer.view().ledger().digest();
        let last = running.sequencer.view().durable().0;
        running
            .sequencer
            .into_log()
            .close()
            .map_err(|e| format!("the journal does not close: {e}"))?;
        self.archive(last)
            .map_err(|e| format!("the journal does not read back: {e}"))?;
        if live != self.twin.digest() {
            return Err("the live state differs from a full replay of the journal".into());
        }
        let survey = journal::survey(&self.disk, 1).map_err(|e| e.to_string())?;
        let again = read_entries(&self.disk, survey.first, last).map_err(|e| e.to_string())?;
        let kept = again.first().map_or(0, |entry| entry.seq.0 as usize - 1);
        if self.history[kept..] != again[..] {
            return Err("entries that were durable read back differently".into());
        }
        Ok(())
    }
}

fn read_entries(disk: &FaultyDisk, from: u64, through: u64) -> Result<Vec<Entry>, RecoverError> {
    let mut entries = Vec::new();
    let mut reader = Reader::open(disk.clone(), from)?;
    while let Some(batch) = reader.next_through(through)? {
        let first = batch.first;
        let read = wire::record::Entries::new(first, batch.count, &batch.payload)
            .and_then(|entries| entries.collect::<Result<Vec<Entry>, _>>());
        let read = read.map_err(|source| RecoverError::Batch { first, source })?;
        entries.extend(read.into_iter().filter(|entry| entry.seq.0 >= from));
    }
    Ok(entries)
}
