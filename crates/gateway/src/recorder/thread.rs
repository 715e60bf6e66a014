//! The recorder's thread: turns what workers took into lines and keeps the files within their
//! bounds. It must not know who reads them.

use super::read::{BodyRecord, Record, VERSION};
use super::{Order, Shared, Taken};
use crate::access_log::output::Output;
use crate::limits::RECORDER_GROUP_BYTES;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender};

pub(super) struct Keeper {
    output: Output,
    shared: Arc<Shared>,
    /// Bytes of one file: two of them make the whole.
    file_bytes: u64,
    /// Lines that are not written yet.
    group: Vec<u8>,
    lines: u64,
    line: Vec<u8>,
    failing: bool,
}

impl Keeper {
    pub fn new(output: Output, shared: Arc<Shared>, file_bytes: u64) -> Keeper {
        Keeper {
            output,
            shared,
            file_bytes,
            group: Vec::with_capacity(RECORDER_GROUP_BYTES * 2),
            lines: 0,
            line: Vec::new(),
            failing: false,
        }
    }

    pub fn run(&mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            let mut next = Some(order);
            let mut told: Option<SyncSender<()>> = None;
            // Whatever is waiting already shares one write.
            while let Some(order) = next {
                match order {
                    Order::Record(taken) => self.add(*taken),
                    Order::Flush(done) => told = Some(done),
                    Order::End => {
                        self.write();
                        return;
                    }
                }
                let full = self.group.len() >= RECORDER_GROUP_BYTES || told.is_some();
                next = if full { None } else { orders.try_recv().ok() };
            }
            self.write();
            if let Some(done) = told {
                // Whoever asked may have gone.
                let _ = done.try_send(());
            }
        }
    }

    fn add(&mut self, taken: Taken) {
        self.shared.queued_bytes.fetch_sub(taken.weight, Relaxed);
        let record = self.record(taken);
        self.line.clear();
        // A record is texts and numbers, and a vector takes what is written to it.
        if serde_json::to_writer(&mut self.line, &record).is_err() {
            self.shared.dropped.fetch_add(1, Relaxed);
            return;
        }
        self.line.push(b'\n');
        let line = self.line.len() as u64;
        if line > self.file_bytes {
            self.shared.dropped.fetch_add(1, Relaxed);
            return;
        }
        if self.output.bytes() + self.group.len() as u64 + line > self.file_bytes {
            self.write();
            if let Err(error) = self.output.rotate() {
                tracing::error!(%error, "the recorder cannot begin a new file; a request is lost");
                self.shared.failed.fetch_add(1, Relaxed);
                return;
            }
        }
        self.group.extend_from_slice(&self.line);
        self.lines += 1;
    }

    fn write(&mut self) {
        if self.lines == 0 {
            return;
        }
        let lost = match self.output.write(&self.group) {
            Ok(()) => 0,
            Err(lost) => {
                if !self.failing {
                    let (error, lines) = (&lost.error, lost.lines);
                    tracing::error!(%error, lines, "the recorder cannot write; requests are lost");
                }
                lost.lines
            }
        };
        self.failing = lost > 0;
        self.shared.failed.fetch_add(lost, Relaxed);
        self.shared.written.fetch_add(self.lines - lost, Relaxed);
        self.group.clear();
        self.lines = 0;
    }

    fn record(&self, taken: Taken) -> Record {
        let redactor = &self.shared.redactor;
        let target = taken.uri.path_and_query().map_or("/", |t| t.as_str());
        let whole = taken.kept.len() as u64 == taken.length;
        let text = if taken.length > 0 && whole {
            redactor.body(&taken.headers, &taken.kept)
        } else {
            None
        };
        Record {
            v: VERSION,
            time_ms: taken.time_ms,
            client: redactor.client(&taken.client),
            method: taken.method.as_str().to_owned(),
            host: taken.host().map(str::to_owned),
            target: redactor.target(target),
            headers: redactor.headers(&taken.headers),
            body: BodyRecord {
                length: taken.length,
                hash: taken
                    .hash
                    .filter(|_| taken.length > 0)
                    .map(|hash| hash.finish()),
                text,
            },
            status: taken.answer.map(|(status, _)| status),
            duration_us: taken.answer.map(|(_, duration_us)| duration_us),
        }
    }
}
