//! Signals, on a thread of their own: what asks the process to end or to look again.
//!
//! The first SIGTERM or SIGINT begins the drain; a second one ends the process at once, for
//! whoever cannot wait. SIGHUP calls the reload hook.

use crate::drain::Drain;
use crate::exit::Exit;
use std::io;
use std::sync::mpsc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Returns when the handlers are in place. `reload` runs on the signals' thread.
pub fn watch(drain: Drain, reload: impl FnMut() + Send + 'static) -> io::Result<()> {
    let (ready, is_ready) = mpsc::channel();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build();
            let watching = runtime.and_then(|runtime| {
                let _inside = runtime.enter();
                let handlers = Handlers::install()?;
                drop(_inside);
                Ok((runtime, handlers))
            });
            match watching {
                Ok((runtime, handlers)) => {
                    // The starter waits for this; it is gone only if the process ends.
                    let _ = ready.send(Ok(()));
                    runtime.block_on(handlers.obey(drain, reload));
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        })?;
    is_ready
        .recv()
        .unwrap_or_else(|_| Err(io::Error::other("the signals' thread ended")))
}

struct Handlers {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Handlers {
    fn install() -> io::Result<Self> {
        Ok(Handlers {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn obey(mut self, drain: Drain, mut reload: impl FnMut()) {
        loop {
            let name = tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
                _ = self.hangup.recv() => {
                    tracing::info!("SIGHUP: reloading");
                    reload();
                    continue;
                }
            };
            if drain.is_draining() {
                tracing::warn!("{name} again: ending without waiting");
                std::process::exit(Exit::Failed as i32);
            }
            tracing::info!("{name}: draining; again to end at once");
            drain.begin();
        }
    }
}
