//! Keeps some real requests for later replay, without their secrets.
//!
//! A worker only copies what it has at hand and hands it over; a thread blanks secrets, hashes the
//! client, writes JSON Lines and moves a full file aside. If the thread does not keep up, requests
//! are left out and counted; none waits. The format is `docs/records.md`, in code [`Record`].
//! It must not know what a request did.

mod read;
mod redact;
#[cfg(test)]
mod tests;
mod thread;

pub use read::{BodyRecord, ReadError, ReadWhat, Record, Records, VERSION, read};

use crate::access_log::output::{self, Output};
use crate::limits::{RECORDER_QUEUE_BYTES_MAX, RECORDER_QUEUE_REQUESTS};
use crate::upstream::Dice;
use hyper::header::{HOST, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, Uri};
use redact::Redactor;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use thread::Keeper;
use wire::gateway::listeners::{self as settings, KeepBody};

/// Requests since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecorderCounts {
    pub written: u64,
    /// The thread did not keep up, or a record is longer than a file.
    pub dropped: u64,
    /// The system refused them.
    pub failed: u64,
}

/// The recorder with its thread. Dropping it writes all that was handed over.
pub struct Recorder {
    shared: Arc<Shared>,
    queue: SyncSender<Order>,
    thread: Option<JoinHandle<()>>,
    share: Option<u64>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorder({:?})", self.counts())
    }
}

struct Shared {
    bodies: KeepBody,
    body_bytes: usize,
    redactor: Redactor,
    queued_bytes: AtomicUsize,
    written: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

enum Order {
    Record(Box<Taken>),
    Flush(SyncSender<()>),
    End,
}

/// A request as a worker took it, secrets included: it never leaves the process like this.
struct Taken {
    time_ms: u64,
    client: Vec<u8>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    length: u64,
    /// The running hash of the body, if one is kept.
    hash: Option<redact::BodyHash>,
    kept: Vec<u8>,
    answer: Option<(u16, u64)>,
    /// Bytes that it holds while it waits.
    weight: usize,
}

impl Recorder {
    /// Opens the file, for appending, and starts the thread. Clients and keys are hashed under
    /// `key`: with the same key one client stays one client across restarts.
    pub fn start(settings: &settings::Recorder, key: &[u8; 32]) -> io::Result<Recorder> {
        let output = Output::open(&settings.file, output::PRIVATE)?;
        Recorder::start_with(output, settings, key)
    }

    fn start_with(
        output: Output,
        settings: &settings::Recorder,
        key: &[u8; 32],
    ) -> io::Result<Recorder> {
        let shared = Arc::new(Shared {
            bodies: settings.bodies,
            body_bytes: usize::try_from(settings.body_bytes).unwrap_or(usize::MAX),
            redactor: Redactor::new(key, &settings.redact),
            queued_bytes: AtomicUsize::new(0),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        });
        let (queue, orders) = sync_channel(RECORDER_QUEUE_REQUESTS);
        let mut keeper = Keeper::new(output, Arc::clone(&shared), settings.file_bytes / 2);
        let thread = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || keeper.run(&orders))?;
        Ok(Recorder {
            shared,
            queue,
            thread: Some(thread),
            share: (settings.sample < 1.0).then_some((settings.sample * 2_f64.powi(64)) as u64),
        })
    }

    /// For one worker.
    #[must_use]
    pub fn tap(&self) -> Tap {
        Tap {
            shared: Arc::clone(&self.shared),
            queue: self.queue.clone(),
            share: self.share,
            dice: Dice::new(),
        }
    }

    /// Waits until everything handed over before is written.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.queue.send(Order::Flush(done)).is_ok() {
            // It ends without an answer only when the thread has.
            let _ = wait.recv();
        }
    }

    #[must_use]
    pub fn counts(&self) -> RecorderCounts {
        RecorderCounts {
            written: self.shared.written.load(Relaxed),
            dropped: self.shared.dropped.load(Relaxed),
            failed: self.shared.failed.load(Relaxed),
        }
    }

    /// The file that was full before this one; both together stay within `file_bytes`.
    #[must_use]
    pub fn older(settings: &settings::Recorder) -> PathBuf {
        output::before(&settings.file)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let told = self.queue.send(Order::End).is_ok();
        if let Some(thread) = self.thread.take()
            && told
        {
            // A panic of the thread has been reported by then.
            let _ = thread.join();
        }
    }
}

/// One worker's side.
pub struct Tap {
    shared: Arc<Shared>,
    queue: SyncSender<Order>,
    share: Option<u64>,
    dice: Dice,
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tap(of 2^64: {:?})", self.share)
    }
}

impl Tap {
    /// `None` for all that the sample leaves out. `client` is whatever tells clients apart best:
    /// the buyer, the device, else the address.
    #[must_use]
    pub fn take(&self, parts: &Parts, client: &[u8], time_ms: u64) -> Option<Capture> {
        self.take_of(parts, || client.to_vec(), time_ms)
    }

    /// The same where finding the client costs something.
    #[must_use]
    pub fn take_of(
        &self,
        parts: &Parts,
        client: impl FnOnce() -> Vec<u8>,
        time_ms: u64,
    ) -> Option<Capture> {
        if self.share.is_some_and(|share| self.dice.throw() >= share) {
            return None;
        }
        let hash = match self.shared.bodies {
            KeepBody::None => None,
            KeepBody::Hash | KeepBody::Whole => Some(self.shared.redactor.body_hash()),
        };
        Some(Capture {
            taken: Some(Box::new(Taken {
                time_ms,
                client: client(),
                method: parts.method.clone(),
                uri: parts.uri.clone(),
                headers: parts.headers.clone(),
                length: 0,
                hash,
                kept: Vec::new(),
                answer: None,
                weight: 0,
            })),
            shared: Arc::clone(&self.shared),
            queue: self.queue.clone(),
        })
    }
}

/// A request being recorded. Handed over when dropped, answered or not: a client that went away is
/// part of what happened.
pub struct Capture {
    taken: Option<Box<Taken>>,
    shared: Arc<Shared>,
    queue: SyncSender<Order>,
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Capture")
    }
}

impl Capture {
    /// The next part of the body as it passes by.
    pub fn body_part(&mut self, part: &[u8]) {
        let Some(taken) = &mut self.taken else { return };
        let before = taken.length;
        taken.length += part.len() as u64;
        if let Some(hash) = &mut taken.hash {
            hash.update(part);
        }
        // What is longer is not kept in part: half a JSON cannot be searched for secrets.
        if self.shared.bodies == KeepBody::Whole && before == taken.kept.len() as u64 {
            if taken.kept.len() + part.len() <= self.shared.body_bytes {
                taken.kept.extend_from_slice(part);
            } else {
                taken.kept = Vec::new();
            }
        }
    }

    /// What the client got, and how long that took.
    pub fn answered(&mut self, status: u16, duration_us: u64) {
        if let Some(taken) = &mut self.taken {
            taken.answer = Some((status, duration_us));
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let Some(mut taken) = self.taken.take() else {
            return;
        };
        taken.weight = weight(&taken);
        let queued = &self.shared.queued_bytes;
        let room = queued.fetch_add(taken.weight, Relaxed) < RECORDER_QUEUE_BYTES_MAX;
        let weight = taken.weight;
        if !room || self.queue.try_send(Order::Record(taken)).is_err() {
            queued.fetch_sub(weight, Relaxed);
            self.shared.dropped.fetch_add(1, Relaxed);
        }
    }
}

/// Bytes that a request holds while it waits, about.
fn weight(taken: &Taken) -> usize {
    let target = taken.uri.path_and_query().map_or(0, |t| t.as_str().len());
    let headers = taken
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 64);
    512 + target + headers.sum::<usize>() + taken.kept.len() + taken.client.len()
}

impl Taken {
    /// Who was asked, whichever way the protocol says it.
    fn host(&self) -> Option<&str> {
        let named = self.uri.authority().map(|authority| {
            let whole = authority.as_str();
            whole.rsplit_once('@').map_or(whole, |(_, host)| host)
        });
        named.or_else(|| self.headers.get(HOST)?.to_str().ok())
    }
}
