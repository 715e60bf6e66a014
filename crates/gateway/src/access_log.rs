//! One line for each request, as JSON or in the combined format, without making a request wait.
//!
//! Each worker writes its lines into a buffer of its own; a thread swaps the buffers for empty ones
//! some times a second, or sooner when they fill, and writes them out. A worker never meets the
//! disk: it takes an uncontended lock and copies some hundred bytes. If the disk does not keep up,
//! lines are dropped and counted. Lines of one worker keep their order, those of several nearly.
//! It must not know what decided a request.

mod line;
pub(crate) mod output;
#[cfg(test)]
mod tests;

use crate::limits::{
    ACCESS_BUFFER_BYTES_MAX, ACCESS_ORDERS, ACCESS_WAKE_BYTES, ACCESS_WRITE_MS, ACCESS_WRITERS_MAX,
};
use crate::upstream::Dice;
use guard::Value;
use hyper::Version;
use line::Stamp;
use output::{Lost, Output};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use wire::gateway::listeners::{self as settings, LogFormat};

/// What is told about one request. Texts are as the client sent them; the log escapes them.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// When its head had been read, in milliseconds since 1970.
    pub time_ms: u64,
    pub client: IpAddr,
    pub method: &'a str,
    pub host: &'a [u8],
    /// Path and query.
    pub target: &'a [u8],
    pub version: Version,
    pub status: u16,
    /// Of the answer's body, as far as they were sent.
    pub bytes: u64,
    /// From the head of the request to the end of the answer.
    pub duration_us: u64,
    pub route: &'a str,
    /// The peer that answered.
    pub upstream: Option<&'a str>,
    /// Set where the door itself said no.
    pub refused: Option<Refused<'a>>,
    pub trace_id: Option<u128>,
    pub user_agent: Option<&'a [u8]>,
    pub referer: Option<&'a [u8]>,
    /// Under the process's keyed hash: the same buyer is the same number until a restart.
    pub buyer: Option<Value>,
    /// The run of rehearsal traffic.
    pub run: Option<&'a str>,
}

/// Who said no at the door, with a name where there are several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused<'a> {
    NoRoute,
    Switch(&'a str),
    SoldOut,
    Duplicate,
    Room(&'a str),
    Rule(&'a str),
    /// Overload control.
    Shed,
    Breaker(&'a str),
    /// Not a request that may be understood in one way only, or beyond its limits.
    Malformed,
}

impl<'a> Refused<'a> {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Refused::NoRoute => "no_route",
            Refused::Switch(_) => "switch",
            Refused::SoldOut => "sold_out",
            Refused::Duplicate => "duplicate",
            Refused::Room(_) => "room",
            Refused::Rule(_) => "rule",
            Refused::Shed => "shed",
            Refused::Breaker(_) => "breaker",
            Refused::Malformed => "malformed",
        }
    }

    #[must_use]
    pub fn name(self) -> Option<&'a str> {
        match self {
            Refused::Switch(name)
            | Refused::Room(name)
            | Refused::Rule(name)
            | Refused::Breaker(name) => Some(name),
            Refused::NoRoute
            | Refused::SoldOut
            | Refused::Duplicate
            | Refused::Shed
            | Refused::Malformed => None,
        }
    }
}

/// Lines since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCounts {
    pub written: u64,
    /// The buffer was full: the disk did not keep up.
    pub dropped: u64,
    /// The system refused them.
    pub failed: u64,
}

/// The log with its thread. It outlives its writers' lines: dropping it writes all that is there.
pub struct AccessLog {
    shared: Arc<Shared>,
    orders: SyncSender<Order>,
    thread: Option<JoinHandle<()>>,
    format: LogFormat,
    sample: f64,
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessLog({:?})", self.counts())
    }
}

#[derive(Default)]
struct Shared {
    batches: Mutex<Vec<Arc<Mutex<Batch>>>>,
    written: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

#[derive(Default)]
struct Batch {
    lines: Vec<u8>,
    stamp: Stamp,
}

enum Order {
    /// A buffer fills.
    Wake,
    Flush(SyncSender<()>),
    Reopen(SyncSender<io::Result<()>>),
    End,
}

impl AccessLog {
    /// Opens the file, for appending, and starts the thread.
    pub fn start(settings: &settings::AccessLog) -> io::Result<AccessLog> {
        let output = match &settings.file {
            Some(file) => Output::open(file, output::READABLE)?,
            None => Output::stdout(),
        };
        AccessLog::start_with(output, settings)
    }

    fn start_with(output: Output, settings: &settings::AccessLog) -> io::Result<AccessLog> {
        let shared = Arc::new(Shared::default());
        let (orders, taken) = sync_channel(ACCESS_ORDERS);
        let mut keeper = Keeper {
            output,
            shared: Arc::clone(&shared),
            spare: Vec::with_capacity(ACCESS_WAKE_BYTES * 2),
            failing: false,
        };
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || keeper.run(&taken))?;
        Ok(AccessLog {
            shared,
            orders,
            thread: Some(thread),
            format: settings.format,
            sample: settings.sample,
        })
    }

    /// For one worker.
    #[must_use]
    pub fn writer(&self) -> AccessWriter {
        let mut batches = lock(&self.shared.batches);
        // Writers of a configuration that was replaced are gone, and what they wrote is out.
        batches.retain(|batch| Arc::strong_count(batch) > 1 || !lock(batch).lines.is_empty());
        let batch = if batches.len() < ACCESS_WRITERS_MAX {
            let batch = Arc::new(Mutex::new(Batch {
                lines: Vec::with_capacity(ACCESS_WAKE_BYTES * 2),
                stamp: Stamp::default(),
            }));
            batches.push(Arc::clone(&batch));
            batch
        } else {
            Arc::clone(&batches[0])
        };
        AccessWriter {
            batch,
            shared: Arc::clone(&self.shared),
            orders: self.orders.clone(),
            format: self.format,
            // Of 2^64; everything where it does not fit.
            share: (self.sample < 1.0).then_some((self.sample * 2_f64.powi(64)) as u64),
            dice: Dice::new(),
        }
    }

    /// Opens the file of the same name again, for programs that move logs away. Waits until it has
    /// happened; lines before are in the old file. If it fails, the old file is kept.
    pub fn reopen(&self) -> io::Result<()> {
        let (done, wait) = sync_channel(1);
        let gone = || io::Error::other("the thread of the access log has ended");
        self.orders.send(Order::Reopen(done)).map_err(|_| gone())?;
        wait.recv().map_err(|_| gone())?
    }

    /// Waits until everything logged before is written.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.orders.send(Order::Flush(done)).is_ok() {
            // It ends without an answer only when the thread has.
            let _ = wait.recv();
        }
    }

    #[must_use]
    pub fn counts(&self) -> LogCounts {
        LogCounts {
            written: self.shared.written.load(Relaxed),
            dropped: self.shared.dropped.load(Relaxed),
            failed: self.shared.failed.load(Relaxed),
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        let told = self.orders.send(Order::End).is_ok();
        if let Some(thread) = self.thread.take()
            && told
        {
            // A panic of the thread has been reported by then.
            let _ = thread.join();
        }
    }
}

/// One worker's side.
pub struct AccessWriter {
    batch: Arc<Mutex<Batch>>,
    shared: Arc<Shared>,
    orders: SyncSender<Order>,
    format: LogFormat,
    share: Option<u64>,
    dice: Dice,
}

impl fmt::Debug for AccessWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessWriter({:?})", self.format)
    }
}

impl AccessWriter {
    /// Adds a line, unless the sample leaves it out. Never waits for the disk.
    pub fn log(&self, entry: &Entry<'_>) {
        // A failure is the environment's; a refusal is an answer, and there are floods of them.
        let failed = entry.status >= 500 && entry.refused.is_none();
        if self.share.is_some_and(|share| self.dice.throw() >= share) && !failed {
            return;
        }
        let mut batch = lock(&self.batch);
        let before = batch.lines.len();
        if before >= ACCESS_BUFFER_BYTES_MAX {
            drop(batch);
            self.shared.dropped.fetch_add(1, Relaxed);
            return;
        }
        let Batch { lines, stamp } = &mut *batch;
        line::write(lines, stamp, self.format, entry);
        let fills = before < ACCESS_WAKE_BYTES && lines.len() >= ACCESS_WAKE_BYTES;
        drop(batch);
        if fills {
            // If there is no room for one more order, the thread is awake already.
            let _ = self.orders.try_send(Order::Wake);
        }
    }
}

/// The thread's side.
struct Keeper {
    output: Output,
    shared: Arc<Shared>,
    /// Empty; changes places with a worker's buffer.
    spare: Vec<u8>,
    failing: bool,
}

impl Keeper {
    fn run(&mut self, orders: &Receiver<Order>) {
        loop {
            let order = orders.recv_timeout(Duration::from_millis(ACCESS_WRITE_MS));
            self.write_all();
            match order {
                Ok(Order::Wake) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::Flush(done)) => {
                    // Whoever asked may have gone.
                    let _ = done.try_send(());
                }
                Ok(Order::Reopen(done)) => {
                    let _ = done.try_send(self.output.reopen());
                }
                Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn write_all(&mut self) {
        let batches = lock(&self.shared.batches).clone();
        for batch in &batches {
            std::mem::swap(&mut lock(batch).lines, &mut self.spare);
            if self.spare.is_empty() {
                continue;
            }
            let lines = memchr::memchr_iter(b'\n', &self.spare).count() as u64;
            let lost = match self.output.write(&self.spare) {
                Ok(()) => 0,
                Err(lost) => self.complain(&lost),
            };
            self.failing = lost > 0;
            self.shared.failed.fetch_add(lost, Relaxed);
            self.shared.written.fetch_add(lines - lost, Relaxed);
            self.spare.clear();
        }
    }

    /// Once for each time that it begins.
    fn complain(&self, lost: &Lost) -> u64 {
        if !self.failing {
            let (error, lines) = (&lost.error, lost.lines);
            tracing::error!(%error, lines, "the access log cannot be written; lines are lost");
        }
        lost.lines
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
