//! Faults and their times for people and programs: figures, rows, marks on charts, words.

use super::expect::Times;
use super::series::{ALL, PartFigures, Series};
use crate::report::Expectation;
use picture::{Mark, Section, thousands};
use serde::Serialize;
use std::fmt::Write as _;
use wire::rehearsal::Span;
use wire::rehearsal::faults::{How, What};

/// What broke when, and what the run was like before, during and after.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DrillFigures {
    pub(crate) phases: Vec<PhaseFigures>,
    pub(crate) faults: Vec<FaultFigures>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct PhaseFigures {
    pub(crate) name: String,
    /// Seconds from the start of the series.
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
    pub(crate) figures: PartFigures,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct FaultFigures {
    pub(crate) name: String,
    pub(crate) what: String,
    pub(crate) planned_from_s: f64,
    pub(crate) planned_for_s: Option<f64>,
    /// What really was; null: it was not.
    pub(crate) begun_s: Option<f64>,
    pub(crate) ended_s: Option<f64>,
    /// Why it was not what was planned.
    pub(crate) problem: Option<String>,
    pub(crate) before: Option<PartFigures>,
    pub(crate) during: Option<PartFigures>,
    pub(crate) after: Option<PartFigures>,
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

impl DrillFigures {
    pub(crate) fn of(times: &Times<'_>, series: &Series) -> DrillFigures {
        let part = |span: Span| {
            let (from, to) = times.seconds(&span)?;
            let seconds = series.between(ALL, from, to);
            (!seconds.is_empty()).then(|| PartFigures::of(&seconds))
        };
        let phases = times.phases.iter().map(|phase| PhaseFigures {
            name: phase.name.clone(),
            from_s: seconds(phase.from_us),
            to_s: seconds(phase.to_us),
            figures: part(Span::Phase(phase.name.clone())).unwrap_or(PartFigures::of(&[])),
        });
        let both = times.planned.iter().zip(times.happened);
        let faults = both.map(|(planned, happened)| FaultFigures {
            name: planned.name.clone(),
            what: words(&planned.what),
            planned_from_s: seconds(planned.from_us),
            planned_for_s: planned.for_us.map(seconds),
            begun_s: happened.begun_us.map(seconds),
            ended_s: happened.ended_us.map(seconds),
            problem: happened.problem.clone(),
            before: part(Span::Before(planned.name.clone())),
            during: part(Span::During(planned.name.clone())),
            after: part(Span::After(planned.name.clone())),
        });
        DrillFigures {
            phases: phases.collect(),
            faults: faults.collect(),
        }
    }

    /// Where charts are shaded.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        let mark = |fault: &FaultFigures| {
            Some(Mark {
                name: fault.name.clone(),
                from: fault.begun_s?,
                to: fault.ended_s?,
            })
        };
        self.faults.iter().filter_map(mark).collect()
    }

    pub(crate) fn sections(&self, zero_s: f64) -> Vec<Section> {
        let mut all = Vec::new();
        if !self.faults.is_empty() {
            all.push(self.faults(zero_s));
        }
        if !self.faults.is_empty() || !self.phases.is_empty() {
            all.push(self.parts());
        }
        all
    }

    fn faults(&self, zero_s: f64) -> Section {
        let row = |fault: &FaultFigures| {
            let at = |second: Option<f64>| {
                second.map_or("–".to_owned(), |s| format!("{:+.1} s", s - zero_s))
            };
            let word = fault.problem.as_deref().unwrap_or("as planned");
            vec![
                fault.name.clone(),
                fault.what.clone(),
                at(fault.begun_s),
                at(fault.ended_s),
                word.to_owned(),
            ]
        };
        Section {
            title: "Faults",
            head: vec!["", "what", "from", "until", ""],
            rows: self.faults.iter().map(row).collect(),
        }
    }

    fn parts(&self) -> Section {
        let row = |name: String, figures: &PartFigures| {
            let all = (figures.good + figures.refused + figures.errors).max(1) as f64;
            let share = |part: u64| format!("{:.2} %", part as f64 * 100.0 / all);
            let ms = |ms: Option<f64>| ms.map_or("–".to_owned(), |ms| format!("{ms:.1}"));
            vec![
                name,
                thousands(figures.requests_per_s.round() as u64),
                share(figures.refused),
                share(figures.errors),
                ms(figures.p50_ms),
                ms(figures.p99_ms),
            ]
        };
        let mut rows = Vec::new();
        for phase in &self.phases {
            rows.push(row(phase.name.clone(), &phase.figures));
        }
        for fault in &self.faults {
            let parts = [
                ("before", &fault.before),
                ("during", &fault.during),
                ("after", &fault.after),
            ];
            for (word, figures) in parts {
                if let Some(figures) = figures {
                    rows.push(row(format!("{word} {}", fault.name), figures));
                }
            }
        }
        Section {
            title: "Phases, and before, during and after each fault",
            head: vec![
                "",
                "requests/s",
                "turned away",
                "errors",
                "p50 ms",
                "p99 ms",
            ],
            rows,
        }
    }
}

/// A fault in words.
pub(crate) fn words(what: &What) -> String {
    let share = |share: f64| match share {
        1.0 => String::new(),
        share => format!(", {:.0} % of it", share * 100.0),
    };
    match what {
        What::Delay(one) => {
            let (name, ms) = (&one.upstream, one.latency.as_millis());
            format!("{name} answers {ms} ms later{}", share(one.share))
        }
        What::Error(one) => {
            let (name, status) = (&one.upstream, one.status);
            format!("{name} answers {status}{}", share(one.share))
        }
        What::Hang(one) => format!("{} does not answer{}", one.upstream, share(one.share)),
        What::Disconnect(one) => match one.how {
            How::Refused => format!("{} is away: connections end and are refused", one.upstream),
            How::Reset => format!("connections to {} are reset", one.upstream),
        },
        What::Bandwidth(one) => {
            format!("{} at {} bytes/s", one.upstream, thousands(one.per_second))
        }
        What::Stop(one) => format!("{} stands still (SIGSTOP)", one.process),
        What::Kill(one) => format!("{} is killed (SIGKILL)", one.process),
        What::Fill(one) => format!("the disk of {} is full", one.folder.display()),
    }
}

/// Expectations as JUnit: one test case each.
pub(crate) fn junit(name: &str, expectations: &[Expectation]) -> String {
    let failed = expectations.iter().filter(|one| !one.holds).count();
    let name = picture::escape(name);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{name}\" tests=\"{}\" \
         failures=\"{failed}\">\n",
        expectations.len()
    );
    for one in expectations {
        let what = picture::escape(&format!("{}: {}", one.what, one.expected));
        let found = picture::escape(&one.found);
        // Writing to a string cannot fail.
        _ = match one.holds {
            true => writeln!(out, "  <testcase classname=\"{name}\" name=\"{what}\"/>"),
            false => writeln!(
                out,
                "  <testcase classname=\"{name}\" name=\"{what}\"><failure message=\"found \
                 {found}\"/></testcase>"
            ),
        };
    }
    out.push_str("</testsuite>\n");
    out
}
