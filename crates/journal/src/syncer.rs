//! A sync beside the writer's other work: under a flood the sequencer applies one batch while the
//! next is on its way to the disk. A thread for it starts when it is first wanted.
//!
//! It knows one file at a time and nothing of batches; whoever asked must wait for the answer.

use crate::disk::DiskFile;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

enum Stage<F> {
    Idle,
    Asked(Arc<F>),
    Done(io::Result<()>),
    Stop,
}

struct Shared<F> {
    stage: Mutex<Stage<F>>,
    changed: Condvar,
}

impl<F> Shared<F> {
    fn stage(&self) -> MutexGuard<'_, Stage<F>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn wait<'a>(&self, stage: MutexGuard<'a, Stage<F>>) -> MutexGuard<'a, Stage<F>> {
        self.changed
            .wait(stage)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Syncer<F> {
    shared: Arc<Shared<F>>,
    thread: Option<JoinHandle<()>>,
}

impl<F: DiskFile> Syncer<F> {
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared {
            stage: Mutex::new(Stage::Idle),
            changed: Condvar::new(),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("journal-sync".into());
        let thread = Some(thread.spawn(move || work(&theirs))?);
        Ok(Syncer { shared, thread })
    }

    /// Begins to sync `file`. The answer must be taken by [`Syncer::wait`] before the next.
    pub fn begin(&self, file: Arc<F>) {
        *self.shared.stage() = Stage::Asked(file);
        self.shared.changed.notify_all();
    }

    pub fn wait(&self) -> io::Result<()> {
        let mut stage = self.shared.stage();
        loop {
            match std::mem::replace(&mut *stage, Stage::Idle) {
                Stage::Done(result) => return result,
                other => *stage = other,
            }
            stage = self.shared.wait(stage);
        }
    }
}

impl<F> Drop for Syncer<F> {
    fn drop(&mut self) {
        *self.shared.stage() = Stage::Stop;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It runs no code that panics; nothing to report.
            let _ = thread.join();
        }
    }
}

fn work<F: DiskFile>(shared: &Shared<F>) {
    let mut stage = shared.stage();
    loop {
        let file = match &*stage {
            Stage::Stop => return,
            Stage::Asked(file) => Arc::clone(file),
            Stage::Idle | Stage::Done(_) => {
                stage = shared.wait(stage);
                continue;
            }
        };
        drop(stage);
        let result = file.sync_data();
        stage = shared.stage();
        if let Stage::Asked(_) = *stage {
            *stage = Stage::Done(result);
            shared.changed.notify_all();
        }
    }
}
