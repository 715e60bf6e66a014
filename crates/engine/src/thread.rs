//! The engine's thread: takes what waits in the inbox, runs the sequencer, sends answers back, and
//! lets time pass. The inbox is bounded in bytes; the permit of a command is given back with its
//! answer, whether or not somebody still waits for it.

use crate::desk::{Desk, Mailbox};
use crate::limits;
use crate::sequencer::{Fatal, Offered, Reply, Sequencer, Turned, enter};
use crate::view::View;
use journal::Log;
use sale::{At, Command, Ledger};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Whom an answer is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct To {
    pub(crate) desk: u32,
    pub(crate) slot: u32,
    pub(crate) index: u32,
}

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) command: Command,
    /// `None` for ticks.
    pub(crate) to: Option<To>,
}

/// Instants that never go back: where the clock stood at the start (or the last entry, if that is
/// later), plus elapsed monotonic time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    base_ms: u64,
}

impl Clock {
    fn new(last: At) -> Clock {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Clock {
            start: Instant::now(),
            base_ms: (wall.as_millis() as u64).max(last.0),
        }
    }
    pub(crate) fn now(&self) -> At {
        At(self.base_ms + self.start.elapsed().as_millis() as u64)
    }
}

/// What the engine counted since its start; all only grow.
#[derive(Debug, Default)]
pub struct Stats {
    pub batches: AtomicU64,
    pub entries: AtomicU64,
    /// Orders answered from applied state, without the journal.
    pub answered_now: AtomicU64,
    pub turned_away: AtomicU64,
    /// Append and sync together.
    pub sync_nanos: AtomicU64,
    pub sync_nanos_max: AtomicU64,
    pub apply_nanos: AtomicU64,
    pub holds_ended: AtomicU64,
}

impl Stats {
    pub(crate) fn answered_now(&self) {
        self.answered_now.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Inbox {
    jobs: Vec<Job>,
    /// The sequencer sleeps and wants to be woken.
    parked: bool,
    draining: bool,
    mailboxes: Vec<Arc<Mailbox>>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    inbox: Mutex<Inbox>,
    wake: Condvar,
    bytes: AtomicUsize,
    bytes_max: usize,
    pub(crate) view: Arc<View>,
    pub(crate) clock: Clock,
    pub(crate) stats: Stats,
}

/// What a command takes of the inbox.
pub(crate) fn weight(command: &Command) -> usize {
    let body = match command {
        Command::Place(place) => 40 + 8 * place.lines.as_slice().len(),
        Command::Return { lines, .. } => 24 + 6 * lines.len(),
        _ => 96,
    };
    body + limits::COMMAND_OVERHEAD_BYTES
}

impl Shared {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of `jobs` enter, or none. `bytes` is the sum of their [`weight`]s.
    pub(crate) fn submit(
        &self,
        jobs: impl Iterator<Item = Job>,
        bytes: usize,
    ) -> Result<(), Turned> {
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > self.bytes_max {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.stats.turned_away.fetch_add(1, Ordering::Relaxed);
            return Err(Turned::Overloaded);
        }
        let wake = {
            let mut inbox = self.inbox();
            if inbox.draining {
                self.bytes.fetch_sub(bytes, Ordering::Relaxed);
                return Err(Turned::Draining);
            }
            for job in jobs {
                enter(&self.view, &job.command);
                inbox.jobs.push(job);
            }
            std::mem::take(&mut inbox.parked)
        };
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }
}

/// How an engine runs.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    pub inbox_bytes_max: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            inbox_bytes_max: limits::INBOX_BYTES_MAX,
        }
    }
}

/// A running sequencer.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the thread. `fatal` is called on it when the journal fails: it must end the process.
    pub fn start<L: Log + 'static>(
        log: L,
        ledger: Ledger,
        options: EngineOptions,
        fatal: impl FnOnce(Fatal) + Send + 'static,
    ) -> std::io::Result<Engine> {
        let clock = Clock::new(ledger.at());
        let sequencer = Sequencer::new(log, ledger);
        let shared = Arc::new(Shared {
            inbox: Mutex::default(),
            wake: Condvar::new(),
            bytes: AtomicUsize::new(0),
            bytes_max: options.inbox_bytes_max,
            view: Arc::clone(sequencer.view()),
            clock,
            stats: Stats::default(),
        });
        let run = Run {
            shared: Arc::clone(&shared),
            sequencer,
            jobs: Vec::new(),
            out: Vec::new(),
            mailboxes: Vec::new(),
            answered_bytes: 0,
            next_tick: At(0),
        };
        let thread = std::thread::Builder::new()
            .name("sequencer".into())
            .spawn(move || {
                if let Err(error) = run.run() {
                    fatal(error);
                }
            })?;
        Ok(Engine {
            shared,
            thread: Some(thread),
        })
    }

    pub fn view(&self) -> &Arc<View> {
        &self.shared.view
    }
    pub fn stats(&self) -> &Stats {
        &self.shared.stats
    }
    /// Bytes of work accepted and not yet answered.
    pub fn inbox_bytes(&self) -> usize {
        self.shared.bytes.load(Ordering::Relaxed)
    }
    pub fn now(&self) -> At {
        self.shared.clock.now()
    }

    /// Something that reads the counters from other threads.
    pub fn watcher(&self) -> Watcher {
        Watcher {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Something that opens desks on other threads.
    pub fn desks(&self) -> Desks {
        Desks {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Takes nothing new, answers everything accepted, and ends the thread.
    pub fn stop(mut self) {
        self.close();
    }

    fn close(&mut self) {
        self.shared.inbox().draining = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there aborts the process in release; in tests it has been printed.
            let _ = thread.join();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

/// Reads what the engine counts.
#[derive(Clone, Debug)]
pub struct Watcher {
    shared: Arc<Shared>,
}

impl Watcher {
    pub fn view(&self) -> &View {
        &self.shared.view
    }
    pub fn stats(&self) -> &Stats {
        &self.shared.stats
    }
    pub fn inbox_bytes(&self) -> usize {
        self.shared.bytes.load(Ordering::Relaxed)
    }
}

/// Opens desks; cheap to clone and send.
#[derive(Clone, Debug)]
pub struct Desks {
    shared: Arc<Shared>,
}

impl Desks {
    /// A desk for the calling thread. Its number lasts as long as the engine.
    pub fn open(&self) -> Desk {
        let mailbox = Arc::new(Mailbox::default());
        let mut inbox = self.shared.inbox();
        inbox.mailboxes.push(Arc::clone(&mailbox));
        let number = inbox.mailboxes.len() as u32 - 1;
        drop(inbox);
        Desk::new(Arc::clone(&self.shared), mailbox, number)
    }
    pub fn view(&self) -> &Arc<View> {
        &self.shared.view
    }
    pub fn now(&self) -> At {
        self.shared.clock.now()
    }
}

/// The thread's own state.
struct Run<L> {
    shared: Arc<Shared>,
    sequencer: Sequencer<L, Option<To>>,
    jobs: Vec<Job>,
    /// Answers by desk, sent once a round.
    out: Vec<Vec<(To, Reply)>>,
    mailboxes: Vec<Arc<Mailbox>>,
    answered_bytes: usize,
    next_tick: At,
}

impl<L: Log> Run<L> {
    fn run(mut self) -> Result<(), Fatal> {
        loop {
            let draining = self.take_jobs();
            let jobs = std::mem::take(&mut self.jobs);
            if jobs.is_empty() && draining {
                return Ok(());
            }
            self.jobs = self.round(jobs)?;
        }
    }

    /// Waits until there is something to do; says whether the engine is being stopped.
    fn take_jobs(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut inbox = shared.inbox();
        if inbox.jobs.is_empty() && !inbox.draining {
            let wait = self.idle();
            if !wait.is_zero() {
                inbox.parked = true;
                let waited = shared.wake.wait_timeout_while(inbox, wait, |inbox| {
                    inbox.jobs.is_empty() && !inbox.draining
                });
                inbox = waited.unwrap_or_else(PoisonError::into_inner).0;
                inbox.parked = false;
            }
        }
        std::mem::swap(&mut inbox.jobs, &mut self.jobs);
        if self.mailboxes.len() < inbox.mailboxes.len() {
            let new = &inbox.mailboxes[self.mailboxes.len()..];
            self.mailboxes.extend(new.iter().map(Arc::clone));
            self.out.resize_with(self.mailboxes.len(), Vec::new);
        }
        inbox.draining
    }

    fn idle(&self) -> Duration {
        let longest = self.shared.clock.now().0 + limits::IDLE_MS_MAX;
        let due = self.shared.view.ledger().next_due();
        let until = due.map_or(longest, |due| due.max(self.next_tick).0.min(longest));
        Duration::from_millis(until.saturating_sub(self.shared.clock.now().0))
    }

    fn round(&mut self, mut jobs: Vec<Job>) -> Result<Vec<Job>, Fatal> {
        let now = self.shared.clock.now();
        for job in jobs.drain(..) {
            self.offer(job, now)?;
        }
        if now >= self.next_tick {
            self.next_tick = At(now.0 + limits::TICK_MS);
            self.sequencer.look_for_room();
            if self
                .shared
                .view
                .ledger()
                .next_due()
                .is_some_and(|due| due <= now)
            {
                self.offer(
                    Job {
                        command: Command::Tick,
                        to: None,
                    },
                    now,
                )?;
            }
        }
        self.commit(now)?;
        if !self.may_leave() {
            self.apply();
        }
        self.deliver();
        Ok(jobs)
    }

    fn offer(&mut self, job: Job, now: At) -> Result<(), Fatal> {
        let bytes = job.to.map_or(0, |_| weight(&job.command));
        let mut offered = self.sequencer.offer(job.command, job.to, now);
        if let Offered::Full(command, to) = offered {
            // Left to be applied beside the next sync; there is a next one: this command.
            self.commit(now)?;
            offered = self.sequencer.offer(command, to, now);
        }
        match offered {
            Offered::Gathered => self.answered_bytes += bytes,
            Offered::Answered(to, reply) => {
                self.answered_bytes += bytes;
                self.shared.stats.answered_now();
                put(&mut self.out, to, reply);
            }
            Offered::Full(..) => unreachable!("an empty batch takes any one command"),
        }
        Ok(())
    }

    /// Append, sync, apply, answer. Under a flood a large batch is left to be applied while the
    /// next one is being synced: what waits in the inbox brings the next commit at once.
    fn commit(&mut self, now: At) -> Result<(), Fatal> {
        let entries = self.sequencer.gathered() as u64;
        let left = self.sequencer.unapplied() > 0;
        if entries == 0 && !left {
            return Ok(());
        }
        let start = Instant::now();
        let out = &mut self.out;
        self.sequencer.write(now, |to, reply| put(out, to, reply))?;
        let mut synced = start.elapsed();
        if left {
            self.sequencer.begin_sync();
            self.apply();
            self.deliver();
        }
        let waits = Instant::now();
        while self.sequencer.unsynced() > 0 {
            self.sequencer.sync()?;
        }
        synced += waits.elapsed();
        if entries == 0 {
            return Ok(());
        }
        let stats = &self.shared.stats;
        let nanos = synced.as_nanos() as u64;
        stats.batches.fetch_add(1, Ordering::Relaxed);
        stats.entries.fetch_add(entries, Ordering::Relaxed);
        stats.sync_nanos.fetch_add(nanos, Ordering::Relaxed);
        stats.sync_nanos_max.fetch_max(nanos, Ordering::Relaxed);
        Ok(())
    }

    /// Applies what is durable and puts the answers with the others.
    fn apply(&mut self) {
        let start = Instant::now();
        let (out, stats) = (&mut self.out, &self.shared.stats);
        self.sequencer.apply(|to, reply| {
            if to.is_none()
                && let Ok(answer) = reply
                && let sale::Outcome::Ticked { ended, .. } = answer.outcome
            {
                stats
                    .holds_ended
                    .fetch_add(u64::from(ended), Ordering::Relaxed);
            }
            put(out, to, reply);
        });
        let applied = start.elapsed().as_nanos() as u64;
        stats.apply_nanos.fetch_add(applied, Ordering::Relaxed);
    }

    /// Whether the last batch is worth applying beside the next sync, and that will come at once.
    fn may_leave(&self) -> bool {
        self.sequencer.unapplied() >= limits::OVERLAP_COMMANDS_MIN
            && !self.shared.inbox().jobs.is_empty()
    }

    fn deliver(&mut self) {
        self.shared
            .bytes
            .fetch_sub(std::mem::take(&mut self.answered_bytes), Ordering::Relaxed);
        for (mailbox, answers) in self.mailboxes.iter().zip(&mut self.out) {
            if !answers.is_empty() {
                mailbox.deliver(answers);
            }
        }
    }
}

fn put(out: &mut [Vec<(To, Reply)>], to: Option<To>, reply: Reply) {
    if let Some(to) = to {
        out[to.desk as usize].push((to, reply));
    }
}
