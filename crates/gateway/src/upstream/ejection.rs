//! Passive health: a peer that fails request after request is left alone for a while.
//!
//! Never more than a stated share of the pool, because failures of all peers at once are hardly
//! the peers' own; and each time longer, because what has failed again will.

use super::peer::Peer;
use super::pool::Pool;
use super::stats::Event;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

impl Pool {
    /// An answer came, and none that says "not now".
    pub(crate) fn succeeded(&self, peer: &Peer) {
        if peer.failures.load(Relaxed) != 0 {
            peer.failures.store(0, Relaxed);
        }
        if peer.ejections.load(Relaxed) != 0 {
            self.forgive(peer);
        }
    }

    /// One more failure; perhaps the one too many.
    pub(crate) fn failed(&self, peer: &Peer) {
        let spec = &self.spec().ejection;
        let failures = peer.failures.fetch_add(1, Relaxed) + 1;
        if spec.consecutive == 0 || failures < spec.consecutive {
            return;
        }
        let now = super::now_ms();
        // One at a time, or two would both find room for one.
        let _one = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        if peer.ejected_until_ms.load(Relaxed) > now {
            return;
        }
        let out = self.peers().iter();
        let out = out
            .filter(|p| p.ejected_until_ms.load(Relaxed) > now)
            .count();
        let most = self.peers().len() * spec.share_percent.min(100) as usize / 100;
        if out >= most {
            return;
        }
        let before = peer.ejections.load(Relaxed).min(20);
        let span = (u64::from(spec.base_ms) << before).min(u64::from(spec.longest_ms));
        peer.ejections.store(before + 1, Relaxed);
        peer.failures.store(0, Relaxed);
        peer.back_since_ms.store(now + span, Relaxed);
        peer.ejected_until_ms.store(now + span, Relaxed);
        peer.count(Event::Ejected);
        tracing::warn!(
            pool = self.name(),
            peer = peer.name(),
            span_ms = span,
            "peer ejected"
        );
    }

    /// Good for as long as it was last out: the next ejection is a short one again.
    fn forgive(&self, peer: &Peer) {
        let now = super::now_ms();
        let until = peer.ejected_until_ms.load(Relaxed);
        if now > until + u64::from(self.spec().ejection.longest_ms) {
            peer.ejections.store(0, Relaxed);
        }
    }
}
