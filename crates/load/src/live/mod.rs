//! A run while it goes on: a picture on a terminal, lines elsewhere.
//!
//! Whoever runs something tells it here second by second in plain values, so that load, searches
//! and rehearsals show alike. The picture is drawn by a thread of its own: a terminal that stands
//! still holds up no run, it only misses what was told meanwhile. On stderr, because stdout belongs
//! to reports. However the process ends – a panic too – the terminal is put back as it was. It
//! must not know what is run.

pub mod limits;
mod moment;
mod plain;
mod screen;
mod state;
mod terminal;
mod watched;

pub use moment::{Moment, offered};
pub use plain::line;
pub use watched::Watched;

use limits::WAITING_MAX;
use state::Event;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{SyncSender, sync_channel};

/// How to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A picture if stderr is a terminal, lines if not.
    Fitting,
    /// Lines, whatever stderr is.
    Lines,
    Nothing,
}

impl How {
    #[must_use]
    pub fn of(quiet: bool, plain: bool) -> How {
        match (quiet, plain) {
            (true, _) => How::Nothing,
            (false, true) => How::Lines,
            (false, false) => How::Fitting,
        }
    }
}

/// A view of one run; it closes when it is dropped.
pub struct Live(Shown);

enum Shown {
    Nothing,
    Lines,
    Picture {
        tell: Option<SyncSender<Event>>,
        thread: Option<std::thread::JoinHandle<()>>,
    },
}

impl Live {
    /// `stop` is set when the operator presses q or Ctrl-C; a terminal in this state sends no
    /// signal. A terminal that cannot be used gets lines.
    #[must_use]
    pub fn open(title: &str, how: How, stop: Arc<AtomicBool>) -> Live {
        let terminal = std::io::stderr().is_terminal() && std::io::stdin().is_terminal();
        match how {
            How::Nothing => return Live(Shown::Nothing),
            How::Lines => return Live(Shown::Lines),
            How::Fitting if !terminal => return Live(Shown::Lines),
            How::Fitting => {}
        }
        let Ok(held) = terminal::Held::new() else {
            return Live(Shown::Lines);
        };
        let (tell, told) = sync_channel(WAITING_MAX);
        let title = title.to_owned();
        let drawn = move || terminal::run(held, &title, &told, &stop);
        match std::thread::Builder::new().name("view".into()).spawn(drawn) {
            Ok(thread) => Live(Shown::Picture {
                tell: Some(tell),
                thread: Some(thread),
            }),
            Err(_) => Live(Shown::Lines),
        }
    }

    /// Whether it is drawn rather than told in lines.
    #[must_use]
    pub fn is_picture(&self) -> bool {
        matches!(self.0, Shown::Picture { .. })
    }

    /// One second that is over.
    pub fn second(&self, moment: Moment) {
        match &self.0 {
            Shown::Nothing => {}
            Shown::Lines => say(&line(&moment)),
            Shown::Picture { .. } => self.tell(Event::Second(Box::new(moment))),
        }
    }

    /// What is done now, such as `400/s, to confirm`; lines have it from what is noted.
    pub fn step(&self, step: &str) {
        self.tell(Event::Step(step.to_owned()));
    }

    /// What happened, such as a step's end.
    pub fn note(&self, note: &str) {
        match &self.0 {
            Shown::Nothing => {}
            Shown::Lines => say(note),
            Shown::Picture { .. } => self.tell(Event::Note(note.to_owned())),
        }
    }

    /// All faults that are on now.
    pub fn faults(&self, faults: Vec<String>) {
        self.tell(Event::Faults(faults));
    }

    fn tell(&self, event: Event) {
        if let Shown::Picture {
            tell: Some(tell), ..
        } = &self.0
        {
            // What a terminal that stands still misses is in the report.
            let _ = tell.try_send(event);
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Shown::Picture { tell, thread } = &mut self.0 {
            drop(tell.take());
            if let Some(thread) = thread.take() {
                // It has put the terminal back, or its panic has.
                let _ = thread.join();
            }
        }
    }
}

fn say(line: &str) {
    // Nobody is left to be told that stderr is gone.
    let _ = writeln!(std::io::stderr(), "{line}");
}
