//! The one switch that ends a process: thrown once, seen by every listener and thread.

use std::sync::Arc;
use tokio::sync::watch;

/// Cloned to whoever has to stop. Works across threads and runtimes.
#[derive(Debug, Clone)]
pub struct Drain {
    switch: Arc<watch::Sender<bool>>,
}

impl Default for Drain {
    fn default() -> Self {
        Drain {
            switch: Arc::new(watch::Sender::new(false)),
        }
    }
}

impl Drain {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Throws the switch. Repeating it changes nothing.
    pub fn begin(&self) {
        self.switch.send_replace(true);
    }

    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.switch.borrow()
    }

    /// Returns when the switch is thrown; at once if it was before.
    pub async fn begun(&self) {
        let mut seen = self.switch.subscribe();
        // The sender lives in `self`: this cannot fail, and if it did the process is ending.
        let _ = seen.wait_for(|draining| *draining).await;
    }
}
