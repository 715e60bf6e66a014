//! The sequencer: commands in, one order of things, answers out. A synchronous struct over a
//! journal, so that the simulator runs exactly what the sale runs.
//!
//! gather ([`Sequencer::offer`]) → append ([`Sequencer::write`]) → sync ([`Sequencer::sync`]) →
//! apply and answer ([`Sequencer::apply`]). Applied state is never ahead of the disk. While a batch
//! is being synced the next one gathers; as many batches are in flight as the journal's window
//! allows.

use crate::limits;
use crate::view::View;
use journal::{AppendError, Batch, Log, Room, Settled};
use sale::{At, Command, Entry, Ledger, NoEffects, Outcome, RequestId, Seq};
use std::collections::VecDeque;
use std::sync::Arc;
use wire::record;

/// An answer that stands: what it reveals is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub outcome: Outcome,
    /// The number of the entry; `None` for an order refused from applied state.
    pub seq: Option<Seq>,
    pub at: At,
}

/// Why a command was not even tried. Nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// The inbox is full.
    Overloaded,
    /// The disk is nearly full; payments and cancellations still go through.
    StorageLow,
    /// The process is stopping.
    Draining,
}

pub type Reply = Result<Answer, Turned>;

/// Why the sequencer cannot go on. The process must end: what is in flight may or may not be on
/// disk, and only a recovery can tell.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    #[error("the journal did not confirm a batch: {0}")]
    Unknown(std::io::Error),
    #[error("another process writes this journal now")]
    Fenced,
    #[error("the journal refused a batch: {0}")]
    Append(AppendError),
}

/// The request id of a command starts its way: until its answer, nobody may refuse the same id from
/// applied state. Comes before [`Sequencer::offer`], as soon as the command is taken.
pub fn enter(view: &View, command: &Command) {
    if let Some(request) = request_of(command) {
        view.in_flight.enter(request);
    }
}

/// A command that was entered is given up.
fn give_up(view: &View, command: &Command) {
    if let Some(request) = request_of(command) {
        view.in_flight.leave(request);
    }
}

/// What became of an offer.
#[derive(Debug)]
pub enum Offered<T> {
    /// It is part of the next batch; its answer comes from [`Sequencer::apply`].
    Gathered,
    /// Answered without the journal.
    Answered(T, Reply),
    /// The batch is full: write it first, then offer again.
    Full(Command, T),
}

struct Group<T> {
    commands: Vec<Command>,
    tokens: Vec<T>,
    first: u64,
    at: At,
}

impl<T> Default for Group<T> {
    fn default() -> Self {
        Group {
            commands: Vec::new(),
            tokens: Vec::new(),
            first: 0,
            at: At(0),
        }
    }
}

pub struct Sequencer<L, T> {
    log: L,
    view: Arc<View>,
    gathering: Group<T>,
    payload: Vec<u8>,
    in_flight: VecDeque<Group<T>>,
    settled: VecDeque<Group<T>>,
    spare: Vec<Group<T>>,
    last_at: At,
    next_mark: u64,
    storage_low: bool,
}

impl<L: Log, T> Sequencer<L, T> {
    /// `ledger` is what recovery made of the journal behind `log`.
    pub fn new(log: L, ledger: Ledger) -> Sequencer<L, T> {
        assert_eq!(
            log.next(),
            ledger.seq().0 + 1,
            "the ledger is what the journal says"
        );
        let last_at = ledger.at();
        let next_mark = next_mark(ledger.seq().0);
        let mut payload = Vec::with_capacity(limits::BATCH_BYTES_MAX);
        record::begin(&mut payload, last_at);
        Sequencer {
            log,
            view: Arc::new(View::new(ledger)),
            gathering: Group::default(),
            payload,
            in_flight: VecDeque::new(),
            settled: VecDeque::new(),
            spare: Vec::new(),
            last_at,
            next_mark,
            storage_low: false,
        }
    }

    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Gathers an entered command into the next batch, or answers it if that needs no journal.
    pub fn offer(&mut self, command: Command, token: T, now: At) -> Offered<T> {
        if let Command::Place(place) = &command {
            let now = now.max(self.last_at);
            if let Some(outcome) = self.view.refuse_queued(place, now) {
                self.view.in_flight.leave(place.request);
                return Offered::Answered(
                    token,
                    Ok(Answer {
                        outcome,
                        seq: None,
                        at: now,
                    }),
                );
            }
            if self.storage_low {
                self.view.in_flight.leave(place.request);
                return Offered::Answered(token, Err(Turned::StorageLow));
            }
        }
        let before = self.payload.len();
        let most = self.log.payload_bytes_max().min(limits::BATCH_BYTES_MAX);
        if self.gathering.commands.len() == limits::BATCH_COMMANDS_MAX {
            return Offered::Full(command, token);
        }
        record::push(&mut self.payload, &command);
        if self.payload.len() > most {
            // One command alone always fits: an order has at most a thousand lines.
            self.payload.truncate(before);
            return Offered::Full(command, token);
        }
        self.gathering.commands.push(command);
        self.gathering.tokens.push(token);
        Offered::Gathered
    }

    /// Commands gathered and not yet written.
    pub fn gathered(&self) -> usize {
        self.gathering.commands.len()
    }
    /// Batches written and not yet synced.
    pub fn unsynced(&self) -> usize {
        self.in_flight.len()
    }
    /// Commands durable and not yet applied.
    pub fn unapplied(&self) -> usize {
        self.settled.iter().map(|group| group.commands.len()).sum()
    }
    pub fn window_is_full(&self) -> bool {
        self.in_flight.len() >= self.log.window()
    }

    /// Stamps what was gathered and hands it to the journal as one batch. Where the disk has no
    /// room at all, everything gathered is turned away through `turn_away`.
    pub fn write(&mut self, now: At, mut turn_away: impl FnMut(T, Reply)) -> Result<(), Fatal> {
        if self.gathering.commands.is_empty() {
            return Ok(());
        }
        let at = now.max(self.last_at);
        record::stamp(&mut self.payload, at);
        let first = self.log.next();
        let count = self.gathering.commands.len() as u32;
        let appended = self.log.append(Batch {
            first,
            count,
            payload: &self.payload,
        });
        self.payload.truncate(record::HEAD_BYTES);
        let next = self.spare.pop().unwrap_or_default();
        let mut group = std::mem::replace(&mut self.gathering, next);
        match appended {
            Ok(()) => {
                self.last_at = at;
                group.first = first;
                group.at = at;
                self.in_flight.push_back(group);
            }
            Err(AppendError::NoRoom { .. }) => {
                self.storage_low = true;
                self.view.set_storage_low(true);
                for (command, token) in group.commands.drain(..).zip(group.tokens.drain(..)) {
                    give_up(&self.view, &command);
                    turn_away(token, Err(Turned::StorageLow));
                }
                self.spare.push(group);
            }
            Err(error) => return Err(Fatal::Append(error)),
        }
        self.look_for_room();
        Ok(())
    }

    /// Asks the journal whether there is room; cheap, done with each batch and now and then.
    pub fn look_for_room(&mut self) {
        self.storage_low = matches!(self.log.room(), Room::Low { .. });
        self.view.set_storage_low(self.storage_low);
    }

    /// Begins to sync what was written, so that [`Sequencer::apply`] of the batch before can go on
    /// meanwhile.
    pub fn begin_sync(&mut self) {
        self.log.begin();
    }

    /// Waits until the oldest batch in flight is durable.
    pub fn sync(&mut self) -> Result<(), Fatal> {
        let Some(group) = self.in_flight.front() else {
            return Ok(());
        };
        let last = group.first + group.commands.len() as u64 - 1;
        match self.log.settle() {
            Settled::Durable { through } => {
                assert!(
                    through >= last,
                    "the journal settles whole batches in order"
                );
                self.view.set_durable(last);
                self.settled.extend(self.in_flight.pop_front());
                Ok(())
            }
            Settled::Fenced => Err(Fatal::Fenced),
            Settled::Unknown(error) => Err(Fatal::Unknown(error)),
        }
    }

    /// Applies what is durable and answers it, in order.
    pub fn apply(&mut self, mut answer: impl FnMut(T, Reply)) {
        while let Some(mut group) = self.settled.pop_front() {
            let mut seq = group.first;
            let mut tokens = group.tokens.drain(..);
            let mut commands = group.commands.drain(..);
            let mut done = Vec::with_capacity(limits::APPLY_COMMANDS_PER_LOCK);
            while commands.len() > 0 {
                self.apply_some(&mut commands, &mut seq, group.at, &mut done);
                for (request, outcome, number) in done.drain(..) {
                    // Only now: whoever finds the id gone from here finds it in the ledger.
                    if let Some(request) = request {
                        self.view.in_flight.leave(request);
                    }
                    let token = tokens.next().expect("one token a command");
                    answer(
                        token,
                        Ok(Answer {
                            outcome,
                            seq: Some(number),
                            at: group.at,
                        }),
                    );
                }
            }
            drop((tokens, commands));
            self.spare.push(group);
        }
    }

    /// Applies up to one lock's worth of commands.
    fn apply_some(
        &mut self,
        commands: &mut std::vec::Drain<'_, Command>,
        seq: &mut u64,
        at: At,
        done: &mut Vec<(Option<RequestId>, Outcome, Seq)>,
    ) {
        let mut ledger = self.view.ledger_mut();
        let places = commands
            .as_slice()
            .iter()
            .take(limits::APPLY_COMMANDS_PER_LOCK);
        std::hint::black_box(ledger.warm(places.filter_map(|command| match command {
            Command::Place(place) => Some(place),
            _ => None,
        })));
        for command in commands.by_ref().take(limits::APPLY_COMMANDS_PER_LOCK) {
            let request = request_of(&command);
            let number = Seq(*seq);
            let outcome = ledger.apply(
                &Entry {
                    seq: number,
                    at,
                    command,
                },
                &mut NoEffects,
            );
            done.push((request, outcome, number));
            *seq += 1;
            if number.0 == self.next_mark {
                self.view.mark(number, ledger.digest());
                self.next_mark = next_mark(number.0);
            }
        }
        self.view.set_applied(ledger.seq());
    }

    /// Gives the journal back, for closing it.
    pub fn into_log(self) -> L {
        self.log
    }
}

fn next_mark(seq: u64) -> u64 {
    (seq / limits::MARK_EVERY_ENTRIES + 1) * limits::MARK_EVERY_ENTRIES
}

/// The request id that a command carries, if it has one.
fn request_of(command: &Command) -> Option<RequestId> {
    match command {
        Command::Place(place) => Some(place.request),
        Command::AdjustStock { request, .. } | Command::Return { request, .. } => Some(*request),
        Command::Configure { .. }
        | Command::ListSku { .. }
        | Command::SetTerms { .. }
        | Command::OpenSku { .. }
        | Command::CloseSku { .. }
        | Command::CreateCoupon { .. }
        | Command::BeginPayment { .. }
        | Command::ConfirmPayment { .. }
        | Command::AbandonPayment { .. }
        | Command::SettleRefund { .. }
        | Command::Cancel { .. }
        | Command::Tick => None,
    }
}
