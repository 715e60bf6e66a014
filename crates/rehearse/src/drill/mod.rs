//! A drill: what breaks during a run, when, for how long – and what of it really happened.
//!
//! A fault that could not be made, or did not last, is told and never taken for one that was. Every
//! fault is a lease: proxies and watchers are processes of their own that undo it when we are gone.
//! This file knows time and order; `file` reads what is wanted, `proxy` and `process` do it,
//! `expect` judges, `show` shows, `services` runs services of one's own.

pub(crate) mod expect;
pub mod file;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod series;
pub(crate) mod services;
pub(crate) mod show;

pub(crate) use expect::judge;

use expect::{Expecting, Phase, Times};
use faults::{Fault, Watched};
use proxy::Proxies;
use series::Series;
use std::path::PathBuf;
use std::time::Duration;
use wire::rehearsal::faults::What;

/// One fault of the plan, in microseconds from its start.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) name: String,
    pub(crate) from_us: u64,
    /// A kill without a time is undone at once.
    pub(crate) for_us: Option<u64>,
    pub(crate) what: What,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Happened {
    pub(crate) begun_us: Option<u64>,
    pub(crate) ended_us: Option<u64>,
    /// Why it was not what was planned; then there is no verdict.
    pub(crate) problem: Option<String>,
}

/// A drill that is over, ready to be judged.
#[derive(Debug)]
pub(crate) struct Drilled {
    pub(crate) planned: Vec<Planned>,
    pub(crate) happened: Vec<Happened>,
    pub(crate) phases: Vec<Phase>,
    pub(crate) expecting: Vec<Expecting>,
    pub(crate) series: Series,
    pub(crate) end_us: u64,
}

impl Drilled {
    pub(crate) fn times(&self) -> Times<'_> {
        Times {
            phases: &self.phases,
            planned: &self.planned,
            happened: &self.happened,
            end_us: self.end_us,
        }
    }
    /// Each fault with what was wrong with it.
    pub(crate) fn faults(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let both = self.planned.iter().zip(&self.happened);
        both.map(|(planned, happened)| (&*planned.name, happened.problem.as_deref()))
    }
}

/// Processes that faults are about, by their names.
pub(crate) trait Processes {
    fn pid(&self, name: &str) -> Option<u32>;
    fn kill(&mut self, name: &str) -> Result<(), String>;
    /// Starts it again as it was; returns when it answers.
    fn start(&mut self, name: &str) -> Result<(), String>;
}

enum Held {
    Lease(u64),
    Watched(Watched),
    Killed { process: String, restart: bool },
}

/// The faults of a run under way.
pub(crate) struct Drill {
    pub(crate) planned: Vec<Planned>,
    pub(crate) happened: Vec<Happened>,
    held: Vec<Option<Held>>,
    proxies: Option<Proxies>,
    seawall: PathBuf,
}

/// A watcher's lease outlives its fault by so much; the pipe to us ends it sooner.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

impl Drill {
    pub(crate) fn new(planned: Vec<Planned>, proxies: Option<Proxies>, seawall: PathBuf) -> Drill {
        Drill {
            happened: vec![Happened::default(); planned.len()],
            held: planned.iter().map(|_| None).collect(),
            planned,
            proxies,
            seawall,
        }
    }

    /// Begins and ends what is due; says what it did.
    pub(crate) fn tick(
        &mut self,
        now_us: &dyn Fn() -> u64,
        processes: &mut dyn Processes,
    ) -> Vec<String> {
        let mut said = Vec::new();
        for index in 0..self.planned.len() {
            let happened = &self.happened[index];
            let (begun, over) = (happened.begun_us, happened.problem.is_some());
            let now = now_us();
            if begun.is_none() && !over && now >= self.planned[index].from_us {
                said.push(self.begin(index, now_us, processes));
            }
            let due = self.happened[index].begun_us.and_then(|begun| {
                let planned = self.planned[index].for_us;
                planned.map(|length| begun + length)
            });
            if self.held[index].is_some() && due.is_none_or(|due| now_us() >= due) {
                said.extend(self.end(index, now_us, processes));
            }
        }
        said
    }

    /// The run is over: nothing stays broken, and what did not happen is said.
    pub(crate) fn finish(&mut self, now_us: &dyn Fn() -> u64, processes: &mut dyn Processes) {
        for index in 0..self.planned.len() {
            if self.held[index].is_some() {
                _ = self.end(index, now_us, processes);
                let why = "the run was over before the fault was";
                let problem = &mut self.happened[index].problem;
                problem.get_or_insert_with(|| why.to_owned());
            } else if self.happened[index].begun_us.is_none() {
                let why = "the run was over before it began";
                let problem = &mut self.happened[index].problem;
                problem.get_or_insert_with(|| why.to_owned());
            }
        }
    }

    fn begin(
        &mut self,
        index: usize,
        now_us: &dyn Fn() -> u64,
        processes: &mut dyn Processes,
    ) -> String {
        let planned = &self.planned[index];
        let name = planned.name.clone();
        // What the fault breaks from here on belongs to it.
        let begun = now_us();
        match self.make(&planned.what, planned.for_us, processes) {
            Ok(held) => {
                self.happened[index].begun_us = Some(begun);
                self.held[index] = Some(held);
                format!("fault {name}: {}", show::words(&self.planned[index].what))
            }
            Err(why) => {
                let said = format!("fault {name} could not be made: {why}");
                self.happened[index].problem = Some(format!("could not be made: {why}"));
                said
            }
        }
    }

    fn make(
        &self,
        what: &What,
        for_us: Option<u64>,
        processes: &mut dyn Processes,
    ) -> Result<Held, String> {
        let lasting = Duration::from_micros(for_us.unwrap_or(0)) + LEASE_MARGIN;
        let watched = |fault| {
            let watched = Watched::begin(&self.seawall, fault, lasting);
            watched
                .map(Held::Watched)
                .map_err(|error| error.to_string())
        };
        match what {
            What::Stop(one) => {
                let pid = processes.pid(&one.process).ok_or("it is not running")?;
                watched(Fault::Stop { pid })
            }
            What::Fill(one) => watched(Fault::Fill {
                folder: one.folder.clone(),
                leave_bytes: one.leave,
                anywhere: one.anywhere,
            }),
            What::Kill(one) => {
                processes.kill(&one.process)?;
                Ok(Held::Killed {
                    process: one.process.clone(),
                    restart: one.restart,
                })
            }
            What::Delay(_)
            | What::Error(_)
            | What::Hang(_)
            | What::Disconnect(_)
            | What::Bandwidth(_) => {
                let proxies = self.proxies.as_ref().ok_or("there is no proxy")?;
                proxies.begin(what).map(Held::Lease)
            }
        }
    }

    fn end(
        &mut self,
        index: usize,
        now_us: &dyn Fn() -> u64,
        processes: &mut dyn Processes,
    ) -> Option<String> {
        let held = self.held[index].take()?;
        let undone = match held {
            Held::Lease(id) => match self.proxies.as_ref() {
                Some(proxies) => proxies.end(id),
                None => Ok(()),
            },
            Held::Watched(watched) => watched.end().map_err(|error| error.to_string()),
            Held::Killed { restart: false, .. } => Ok(()),
            Held::Killed { process, .. } => processes.start(&process),
        };
        let name = &self.planned[index].name;
        let happened = &mut self.happened[index];
        happened.ended_us = Some(now_us());
        match undone {
            Ok(()) => Some(format!("fault {name}: over")),
            Err(why) => {
                happened.problem = Some(format!("could not be undone: {why}"));
                Some(format!("fault {name} could not be undone: {why}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::rehearsal::faults::Kill;

    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Processes for Seen {
        fn pid(&self, _: &str) -> Option<u32> {
            None
        }
        fn kill(&mut self, name: &str) -> Result<(), String> {
            self.0.push(format!("kill {name}"));
            Ok(())
        }
        fn start(&mut self, name: &str) -> Result<(), String> {
            self.0.push(format!("start {name}"));
            match name {
                "lame" => Err("it stays down".to_owned()),
                _ => Ok(()),
            }
        }
    }

    fn kill(name: &str, from_us: u64, for_us: Option<u64>) -> Planned {
        let (at, process) = (String::new(), name.to_owned());
        Planned {
            name: name.to_owned(),
            from_us,
            for_us,
            what: What::Kill(Kill {
                at,
                process,
                restart: true,
            }),
        }
    }

    #[test]
    fn faults_begin_and_end_in_time_and_what_did_not_happen_is_said() {
        let planned = vec![
            kill("quick", 10, None),
            kill("long", 20, Some(30)),
            kill("lame", 60, Some(5)),
            kill("late", 90, None),
        ];
        let mut drill = Drill::new(planned, None, PathBuf::new());
        let mut seen = Seen::default();
        for now in [5, 10, 20, 49, 50, 60, 65] {
            drill.tick(&|| now, &mut seen);
        }
        drill.finish(&|| 80, &mut seen);
        let wanted = [
            "kill quick",
            "start quick",
            "kill long",
            "start long",
            "kill lame",
            "start lame",
        ];
        assert_eq!(seen.0, wanted);
        let times = |index: usize| {
            let one: &Happened = &drill.happened[index];
            (one.begun_us, one.ended_us)
        };
        assert_eq!(times(0), (Some(10), Some(10)));
        assert_eq!(times(1), (Some(20), Some(50)));
        let problem = |index: usize| drill.happened[index].problem.clone().unwrap_or_default();
        assert_eq!(problem(1), "");
        assert_eq!(problem(2), "could not be undone: it stays down");
        assert_eq!(problem(3), "the run was over before it began");
    }
}
