//! Why there was no answer from behind: a plain sentence for whoever asked, who was asked and what
//! went wrong for the log. An upstream that is down would fill it, so of each code one line a
//! second is written, with the number of those left out.

use super::Clocks;
use super::serve::blame;
use crate::proxy::{ProxyError, Why};
use std::sync::atomic::{AtomicU64, Ordering};
use wire::problem::DoorCode;

/// Nanoseconds between two lines about the same code.
const PAUSE_NS: u64 = 1_000_000_000;

/// What the client is told: its own fault exactly, and of what is behind the door no word.
pub(super) fn said(error: &ProxyError) -> &'static str {
    behind(error.why).unwrap_or_else(|| error.why.text())
}

/// `None` if it is the client's own.
fn behind(why: Why) -> Option<&'static str> {
    Some(match why {
        Why::BadHost
        | Why::Unsupported
        | Why::BodyTooLarge
        | Why::BodyTooSlow
        | Why::BodyBroken => return None,
        Why::NoPeer
        | Why::Busy
        | Why::WaitedInVain
        | Why::ConnectFailed
        | Why::ConnectTimeout
        | Why::Tls(_) => "What serves this cannot be reached now.",
        Why::HeadTimeout | Why::BodyTimeout | Why::TotalTimeout => {
            "What serves this did not answer in time."
        }
        Why::Lost | Why::Malformed(_) => "What serves this gave no answer that can be passed on.",
    })
}

/// When something was last written about each code, and how often it was not since.
#[derive(Debug, Default)]
pub(super) struct Faults([(AtomicU64, AtomicU64); DoorCode::ALL.len()]);

impl Faults {
    /// Writes it down, unless a line about the same code was written a moment ago.
    pub fn tell(&self, clocks: &Clocks, route: &str, error: &ProxyError) {
        let peer = error.peer.as_ref().map_or("", |peer| peer.name());
        let (why, text) = (error.why.label(), error.why.text());
        tracing::debug!(route, peer, why, text, "no answer from behind");
        if behind(error.why).is_some()
            && let Some(left_out) = self.due(blame(error).0, clocks.now().0)
        {
            tracing::warn!(route, peer, why, text, left_out, "no answer from behind");
        }
    }

    /// How many were left out since the last line, if it is time for one.
    fn due(&self, code: DoorCode, now: u64) -> Option<u64> {
        let (last, left_out) = &self.0[code as usize];
        let before = last.load(Ordering::Relaxed);
        let is_due = before == 0 || now.saturating_sub(before) >= PAUSE_NS;
        let mine = is_due
            && last
                .compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if mine {
            return Some(left_out.swap(0, Ordering::Relaxed));
        }
        left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_of_each_code_says_how_many_were_left_out() {
        let faults = Faults::default();
        let second = PAUSE_NS;
        assert_eq!(faults.due(DoorCode::UpstreamDown, 5), Some(0));
        for at in 1..=7 {
            assert_eq!(faults.due(DoorCode::UpstreamDown, 5 + at), None);
        }
        assert_eq!(faults.due(DoorCode::UpstreamSlow, 9), Some(0), "of its own");
        assert_eq!(faults.due(DoorCode::UpstreamDown, 4 + second), None);
        assert_eq!(faults.due(DoorCode::UpstreamDown, 5 + second), Some(8));
        assert_eq!(faults.due(DoorCode::UpstreamDown, 6 + 2 * second), Some(0));
    }
}
