//! A line on stderr while a run goes on: rewritten in place on a terminal, now and then elsewhere.

use crate::measure::Shared;
use crate::plan::Plan;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(crate) struct Progress {
    quiet: bool,
    terminal: bool,
    last: Option<(Instant, u64)>,
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Progress {
        Progress {
            quiet,
            terminal: std::io::stderr().is_terminal(),
            last: None,
        }
    }

    pub(crate) fn say(&mut self, what: &str) {
        if !self.quiet {
            let clear = if self.terminal { "\r\x1b[K" } else { "" };
            // Nobody is left to be told that stderr is gone.
            _ = writeln!(std::io::stderr(), "{clear}{what}");
        }
    }

    pub(crate) fn tick(&mut self, shared: &Shared, start: Instant, plan: &Plan) {
        let every = if self.terminal { 1 } else { 5 };
        let now = Instant::now();
        let due = self
            .last
            .is_none_or(|(at, _)| now - at >= Duration::from_secs(every));
        if self.quiet || !due {
            return;
        }
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let sent = read(&shared.sent);
        let rate = self.last.map_or(0, |(at, before)| {
            ((sent - before) as f64 / (now - at).as_secs_f64()) as u64
        });
        self.last = Some((now, sent));
        let offset = start.elapsed().as_secs_f64() - plan.t0_us as f64 / 1e6;
        let line = format!(
            "T{offset:+.0}s  {rate} requests/s  sent {sent}  answered {}  held {}  paid {}  \
             errors {}  connections {}",
            read(&shared.answered),
            read(&shared.held),
            read(&shared.paid),
            read(&shared.errors),
            read(&shared.open),
        );
        let mut out = std::io::stderr();
        _ = if self.terminal {
            write!(out, "\r\x1b[K{line}").and_then(|()| out.flush())
        } else {
            writeln!(out, "{line}")
        };
    }
}
