//! How long requests wait for the door itself. A timer on each worker should go off every so often;
//! how much later it does is how long whoever became ready at the same moment waits, too. The
//! latency of what is behind the door says nothing about that: it begins when a request is decided.

use super::Door;
use guard::Nanos;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Milliseconds between two looks: some in each tick, and nothing that is felt.
const EVERY: Duration = Duration::from_millis(50);
/// Timers are that coarse.
const COARSE: Duration = Duration::from_millis(1);

/// What the workers saw since it was last taken.
#[derive(Debug, Default)]
pub(super) struct Lag {
    nanos: AtomicU64,
    looks: AtomicU64,
    /// Taken last, for metrics.
    shown: AtomicU64,
}

impl Lag {
    fn saw(&self, late: Duration) {
        let nanos = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        self.looks.fetch_add(1, Ordering::Relaxed);
    }

    /// The mean since the last time; zero if no worker looked.
    pub fn take(&self) -> Nanos {
        let nanos = self.nanos.swap(0, Ordering::Relaxed);
        let looks = self.looks.swap(0, Ordering::Relaxed);
        let mean = nanos / looks.max(1);
        self.shown.store(mean, Ordering::Relaxed);
        Nanos(mean)
    }

    pub fn shown(&self) -> Nanos {
        Nanos(self.shown.load(Ordering::Relaxed))
    }
}

/// Looks from this worker on, until the door is gone.
pub(super) fn watch(door: &Arc<Door>) {
    let door = Arc::downgrade(door);
    tokio::task::spawn_local(async move {
        loop {
            let due = Instant::now() + EVERY;
            tokio::time::sleep_until(due.into()).await;
            let Some(door) = door.upgrade() else { return };
            door.lag.saw(due.elapsed().saturating_sub(COARSE));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_of_what_was_seen_since_the_last_time() {
        let lag = Lag::default();
        assert_eq!(lag.take(), Nanos(0), "nobody looked");
        lag.saw(Duration::from_millis(10));
        lag.saw(Duration::from_millis(30));
        assert_eq!(
            (lag.take(), lag.shown()),
            (Nanos(20_000_000), Nanos(20_000_000))
        );
        lag.saw(Duration::ZERO);
        assert_eq!((lag.take(), lag.shown()), (Nanos(0), Nanos(0)));
    }
}
