//! What a view knows: what was told so far, bounded.

use super::limits::{FAULTS_MAX, NOTES_MAX, REASONS_MAX, SHOWN_S_MAX};
use super::moment::Moment;
use std::collections::{BTreeMap, VecDeque};

/// What is told to a view.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Second(Box<Moment>),
    Step(String),
    Note(String),
    Faults(Vec<String>),
}

#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub title: String,
    pub step: Option<String>,
    pub now: Moment,
    /// The last seconds: requests sent, and p99 in microseconds.
    pub sent: VecDeque<u64>,
    pub p99_us: VecDeque<u64>,
    pub total: Total,
    /// The highest of any second.
    pub worst: Worst,
    pub notes: VecDeque<String>,
    pub faults: Vec<String>,
    /// The operator wants it to end.
    pub stopping: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Total {
    pub arrived: u64,
    pub sent: u64,
    pub good: u64,
    pub refused: u64,
    pub errors: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Worst {
    pub p50_ms: Option<f64>,
    pub p90_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub max_ms: Option<f64>,
}

impl State {
    pub fn new(title: &str) -> State {
        State {
            title: title.to_owned(),
            ..State::default()
        }
    }

    pub fn take(&mut self, event: Event) {
        match event {
            Event::Second(moment) => self.second(*moment),
            Event::Step(step) => self.step = Some(step),
            Event::Note(note) => {
                if self.notes.len() == NOTES_MAX {
                    self.notes.pop_front();
                }
                self.notes.push_back(note);
            }
            Event::Faults(mut faults) => {
                faults.truncate(FAULTS_MAX);
                self.faults = faults;
            }
        }
    }

    fn second(&mut self, moment: Moment) {
        let total = &mut self.total;
        total.arrived += moment.arrived;
        total.sent += moment.sent;
        total.good += moment.good;
        total.refused += moment.refused;
        for (reason, count) in &moment.errors {
            let known = total.errors.len() < REASONS_MAX || total.errors.contains_key(reason);
            let reason = if known { reason } else { "others" };
            *total.errors.entry(reason.to_owned()).or_default() += count;
        }
        let worst = &mut self.worst;
        for (all, new) in [
            (&mut worst.p50_ms, moment.p50_ms),
            (&mut worst.p90_ms, moment.p90_ms),
            (&mut worst.p99_ms, moment.p99_ms),
            (&mut worst.max_ms, moment.max_ms),
        ] {
            *all = match (*all, new) {
                (Some(all), Some(new)) => Some(all.max(new)),
                (all, new) => all.or(new),
            };
        }
        let p99_us = moment.p99_ms.map_or(0, |ms| (ms * 1e3) as u64);
        for (row, value) in [(&mut self.sent, moment.sent), (&mut self.p99_us, p99_us)] {
            if row.len() == SHOWN_S_MAX {
                row.pop_front();
            }
            row.push_back(value);
        }
        self.now = moment;
    }
}
