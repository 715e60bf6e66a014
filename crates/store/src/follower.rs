//! The thread that keeps the projection close behind the sale. It asks for nothing and holds
//! nothing up: it reads what is durable, at low priority, and tells how far it has come.

use crate::error::StoreError;
use crate::limits::{BATCH_AGE_MAX, FOLLOWER_NICE, POLL, RETRY_WAIT};
use crate::projection::Applied;
use crate::tail::{FollowError, FollowerOptions, Lead, Snapped, Tail, Turn, open_projection};
use journal::Disk;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What the follower counted since its start, for metrics. The lag in entries is the writer's
/// durable number less [`Follower::applied`].
#[derive(Debug, Default)]
pub struct FollowerStats {
    /// The last entry replayed, committed or not; during a restart it passes what is committed.
    pub replayed: AtomicU64,
    pub batches: AtomicU64,
    pub changes: AtomicU64,
    pub commit_nanos: AtomicU64,
    /// The instant of the last committed entry, milliseconds since the Unix epoch.
    pub applied_at_ms: AtomicU64,
    pub snapshots: AtomicU64,
    pub snapshot_seq: AtomicU64,
    pub snapshots_failed: AtomicU64,
    /// Commits that failed and are tried again: disk full, locked.
    pub retries: AtomicU64,
    /// The last commit failed.
    pub failing: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    waiting: usize,
    stopping: bool,
    ended: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Somebody waits, or the end was asked for.
    asked: Condvar,
    /// Something was committed, or the thread ended.
    moved: Condvar,
    applied: Arc<AtomicU64>,
    stats: FollowerStats,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running follower. Dropping it stops the thread after its current transaction.
#[derive(Debug)]
pub struct Follower {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Opens the projection and starts the thread, which first loads the newest fitting snapshot
    /// and replays from there: nobody waits for that. `ended` is called on the thread if
    /// following cannot go on; the sale can. Only [`FollowError::Diverged`] says that the sale
    /// itself may be wrong.
    pub fn start<D: Disk, L: Lead>(
        disk: D,
        path: &Path,
        lead: L,
        options: FollowerOptions,
        ended: impl FnOnce(FollowError) + Send + 'static,
    ) -> Result<Follower, FollowError> {
        let projection = open_projection(path, lead.durable_through())?;
        let applied = projection.applied()?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            asked: Condvar::new(),
            moved: Condvar::new(),
            applied: Arc::new(AtomicU64::new(applied.seq.0)),
            stats: FollowerStats::default(),
        });
        shared
            .stats
            .applied_at_ms
            .store(applied.at.0, Ordering::Relaxed);
        let on_thread = Arc::clone(&shared);
        let run = move || {
            // A wish: where the system says no, the follower competes as everybody else.
            let _ = rustix::process::setpriority_process(None, FOLLOWER_NICE);
            let opened = Tail::open(disk, projection, options);
            let result = opened.and_then(|tail| {
                Run {
                    shared: &on_thread,
                    tail,
                    lead,
                    oldest_pending: None,
                }
                .run()
            });
            if let Err(error) = result {
                ended(error);
            }
            on_thread.state().ended = true;
            on_thread.moved.notify_all();
        };
        let thread = std::thread::Builder::new().name("follower".into());
        let thread = thread.spawn(run).map_err(FollowError::Thread)?;
        Ok(Follower {
            shared,
            thread: Some(thread),
        })
    }

    /// The number of the last entry that the projection has.
    pub fn applied(&self) -> u64 {
        self.shared.applied.load(Ordering::Acquire)
    }

    /// The same for other threads to read.
    pub fn applied_handle(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shared.applied)
    }

    pub fn stats(&self) -> &FollowerStats {
        &self.shared.stats
    }

    /// Waits until the projection has entry `seq`; `false` if it does not come in time. While
    /// somebody waits, the follower commits as soon as it has read everything.
    pub fn wait_for(&self, seq: u64, timeout: Duration) -> bool {
        let shared = &self.shared;
        let mut state = shared.state();
        state.waiting += 1;
        shared.asked.notify_one();
        let is_behind =
            |state: &mut State| shared.applied.load(Ordering::Acquire) < seq && !state.ended;
        let waited = shared.moved.wait_timeout_while(state, timeout, is_behind);
        waited.unwrap_or_else(PoisonError::into_inner).0.waiting -= 1;
        self.applied() >= seq
    }

    /// Stops the thread after the transaction it is in. What is not committed comes again from
    /// the journal at the next start.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.state().stopping = true;
        self.shared.asked.notify_all();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has ended the process, or a test that says so itself.
            let _ = thread.join();
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.end();
    }
}

struct Run<'a, D: Disk, L> {
    shared: &'a Shared,
    tail: Tail<D>,
    lead: L,
    /// When the oldest change that is not committed was gathered.
    oldest_pending: Option<Instant>,
}

impl<D: Disk, L: Lead> Run<'_, D, L> {
    fn run(&mut self) -> Result<(), FollowError> {
        loop {
            let (somebody_waits, stopping) = {
                let state = self.shared.state();
                (state.waiting > 0, state.stopping)
            };
            if stopping {
                return Ok(());
            }
            let turn = self.tail.turn(&self.lead)?;
            self.tell();
            if self.tail.has_pending() && self.oldest_pending.is_none() {
                self.oldest_pending = Some(Instant::now());
            }
            let is_old = self
                .oldest_pending
                .is_some_and(|since| since.elapsed() >= BATCH_AGE_MAX);
            if turn == Turn::Full || is_old || somebody_waits {
                self.commit()?;
            }
            self.publish(self.tail.applied());
            if matches!(turn, Turn::CaughtUp | Turn::Waiting) {
                self.rest(POLL, |state| state.waiting > 0 && self.tail.has_pending());
            }
        }
    }

    /// A full disk or a lock is waited out: the journal keeps what comes meanwhile.
    fn commit(&mut self) -> Result<(), FollowError> {
        let stats = &self.shared.stats;
        let start = Instant::now();
        loop {
            match self.tail.commit() {
                Ok(changes) => {
                    if changes > 0 {
                        stats.batches.fetch_add(1, Ordering::Relaxed);
                        stats.changes.fetch_add(changes as u64, Ordering::Relaxed);
                    }
                    break;
                }
                Err(error @ (StoreError::DiskFull { .. } | StoreError::Locked { .. })) => {
                    stats.retries.fetch_add(1, Ordering::Relaxed);
                    if !stats.failing.swap(true, Ordering::Relaxed) {
                        tracing::warn!(%error, "the projection waits; the sale goes on");
                    }
                    self.rest(RETRY_WAIT, |_| false);
                    if self.shared.state().stopping {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        stats.failing.store(false, Ordering::Relaxed);
        stats
            .commit_nanos
            .fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        self.oldest_pending = None;
        Ok(())
    }

    fn publish(&self, applied: Applied) {
        if self.shared.applied.load(Ordering::Relaxed) == applied.seq.0 {
            return;
        }
        self.shared
            .stats
            .applied_at_ms
            .store(applied.at.0, Ordering::Relaxed);
        // Under the lock, so that nobody who has just looked misses the call.
        let state = self.shared.state();
        self.shared.applied.store(applied.seq.0, Ordering::Release);
        drop(state);
        self.shared.moved.notify_all();
    }

    fn tell(&mut self) {
        let stats = &self.shared.stats;
        stats
            .replayed
            .store(self.tail.replayed().0, Ordering::Relaxed);
        for snapped in self.tail.snapped.drain(..) {
            match snapped {
                Snapped::Written {
                    seq,
                    bytes,
                    pruned_bytes,
                } => {
                    stats.snapshots.fetch_add(1, Ordering::Relaxed);
                    stats.snapshot_seq.store(seq, Ordering::Relaxed);
                    tracing::info!(seq, bytes, pruned_bytes, "snapshot written");
                }
                Snapped::Failed { seq, why } => {
                    stats.snapshots_failed.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(seq, why, "no snapshot; the journal stays as long as it is");
                }
            }
        }
    }

    /// For this long, unless it shall stop or `asked` says that there is something to do.
    fn rest(&self, wait: Duration, asked: impl Fn(&State) -> bool) {
        let idle = |state: &mut State| !state.stopping && !asked(state);
        let state = self.shared.state();
        drop(self.shared.asked.wait_timeout_while(state, wait, idle));
    }
}

#[cfg(test)]
mod tests;
