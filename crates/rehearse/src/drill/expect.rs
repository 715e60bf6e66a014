//! What had to hold before, during and after, and what was seen.
//!
//! Thresholds are k6's, asked of whole seconds. A part of which nothing was measured holds nothing.

use super::series::Series;
use super::{Happened, Planned};
use crate::report::{About, Expectation};
use load::measure::{Measured, Second};
use load::thresholds::{Judged, Threshold};
use wire::rehearsal::Span;

/// One expectation, ready to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Expecting {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// Whose seconds it is asked of.
    pub(crate) series: String,
    pub(crate) threshold: Threshold,
    /// As it was written.
    pub(crate) text: String,
}

/// A named part of the time, in microseconds from the start of the plan.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    pub(crate) name: String,
    pub(crate) from_us: u64,
    pub(crate) to_us: u64,
}

/// When everything was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times<'a> {
    pub(crate) phases: &'a [Phase],
    pub(crate) planned: &'a [Planned],
    pub(crate) happened: &'a [Happened],
    /// The end of the load.
    pub(crate) end_us: u64,
}

const SECOND_US: u64 = 1_000_000;

impl Times<'_> {
    fn fault(&self, name: &str) -> Option<(u64, u64)> {
        let index = self.planned.iter().position(|one| one.name == name)?;
        let happened = &self.happened[index];
        Some((happened.begun_us?, happened.ended_us?))
    }

    /// All faults that were, in their order.
    fn faults(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let both = |one: &Happened| Some((one.begun_us?, one.ended_us?));
        self.happened.iter().filter_map(both)
    }

    fn end(&self) -> usize {
        (self.end_us / SECOND_US) as usize
    }

    /// Whole seconds from and to, the latter not included; `None` if the fault was not.
    pub(crate) fn seconds(&self, span: &Span) -> Option<(usize, usize)> {
        let down = |us: u64| (us / SECOND_US) as usize;
        let up = |us: u64| us.div_ceil(SECOND_US) as usize;
        match span {
            Span::Phase(name) => {
                let phase = self.phases.iter().find(|one| one.name == *name)?;
                Some((up(phase.from_us), down(phase.to_us)))
            }
            Span::Before(name) => {
                let (begun, _) = self.fault(name)?;
                let before = self.faults().filter(|(_, ended)| *ended <= begun);
                let from = before.map(|(_, ended)| up(ended)).max().unwrap_or(0);
                Some((from, down(begun)))
            }
            Span::During(name) => {
                let (begun, ended) = self.fault(name)?;
                Some((down(begun), up(ended)))
            }
            Span::After(name) => {
                let (_, ended) = self.fault(name)?;
                let next = self.faults().filter(|(begun, _)| *begun >= ended);
                let to = next.map(|(begun, _)| down(begun)).min();
                Some((up(ended), to.unwrap_or(self.end())))
            }
            Span::Recovery(recovery) => {
                let (_, ended) = self.fault(&recovery.fault)?;
                Some((up(ended), self.end()))
            }
        }
    }
}

/// Every rule of every expectation, judged.
pub(crate) fn judge(all: &[Expecting], times: &Times<'_>, series: &Series) -> Vec<Expectation> {
    let mut judged = Vec::new();
    for one in all {
        match &one.span {
            Span::Recovery(recovery) => {
                let over = recovery.over.as_secs().max(1) as usize;
                let within = recovery.within.as_secs_f64();
                let took = recovered(one, times, series, over);
                let rules: Vec<&str> = one.rules.iter().map(|rule| &*rule.text).collect();
                let expected = format!("{} within {within:.0} s", rules.join(", "));
                let found = match took {
                    Some(seconds) => format!("after {seconds:.1} s"),
                    None => "not any more".to_owned(),
                };
                let holds = took.is_some_and(|seconds| seconds <= within);
                judged.push(line(&one.name, expected, found, holds));
            }
            span => {
                let seconds = times.seconds(span);
                for rule in &one.rules {
                    let seen = seconds.map(|(from, to)| rule.of(series, from, to));
                    let holds = seen.as_ref().is_some_and(|seen| seen.holds);
                    judged.push(line(
                        &one.name,
                        rule.text.clone(),
                        shown(seen.as_ref()),
                        holds,
                    ));
                }
            }
        }
    }
    judged
}

fn line(name: &str, expected: String, found: String, holds: bool) -> Expectation {
    Expectation {
        what: name.to_owned(),
        expected,
        found,
        holds,
        about: About::Drill,
    }
}

pub(crate) fn shown(judged: Option<&Judged>) -> String {
    match judged.and_then(|judged| Some((judged.seen?, judged.unit))) {
        None => "nothing was measured".to_owned(),
        Some((seen, unit)) => {
            let digits = if seen.abs() >= 100.0 { 0 } else { 3 };
            format!("{seen:.digits$} {unit}").trim_end().to_owned()
        }
    }
}

/// Seconds from the fault's end to the first window in which everything holds.
fn recovered(one: &Expecting, times: &Times<'_>, series: &Series, over: usize) -> Option<f64> {
    let Span::Recovery(recovery) = &one.span else {
        return None;
    };
    let (_, ended) = times.fault(&recovery.fault)?;
    let (from, to) = times.seconds(&one.span)?;
    let holds = |start: &usize| {
        let mut rules = one.rules.iter();
        rules.all(|rule| rule.of(series, *start, start + over).holds)
    };
    let first = (from..(to + 1).saturating_sub(over)).find(holds)?;
    Some(first as f64 - ended as f64 / SECOND_US as f64)
}

impl Rule {
    fn of(&self, series: &Series, from: usize, to: usize) -> Judged {
        let seconds: Vec<Second> = series.between(&self.series, from, to);
        if self.threshold.window_s.is_none() {
            return self.threshold.window(&seconds);
        }
        let mut measured = Measured::new(Vec::new());
        measured.seconds = seconds;
        self.threshold.whole(&measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use load::measure::End;
    use std::time::Duration;
    use wire::rehearsal::Recovery;
    use wire::rehearsal::faults::{Hang, What};

    /// A fault from 3.5 s to 6.2 s of 12 s; errors until 8 s, one answer a second.
    fn check(span: Span, rule: (&str, &str), found: &str, holds: bool) {
        let hang = Hang {
            at: String::new(),
            upstream: "x".to_owned(),
            share: 1.0,
        };
        let planned = [Planned {
            name: "f".to_owned(),
            from_us: 3_500_000,
            for_us: Some(2_700_000),
            what: What::Hang(hang),
        }];
        let happened = [Happened {
            begun_us: Some(3_500_000),
            ended_us: Some(6_200_000),
            problem: None,
        }];
        let phases = [Phase {
            name: "p".to_owned(),
            from_us: 1_000_000,
            to_us: 3_000_000,
        }];
        let mut series = Series::default();
        for at in 0..12_u64 {
            let second = series.second("a", at * SECOND_US);
            let bad = (3..8).contains(&at);
            let end = if bad { End::TimedOut } else { End::Good };
            second.ends[end as usize] += 1;
            second.sent += 1;
            if !bad {
                second.latency.record(5_000);
            }
        }
        let times = Times {
            phases: &phases,
            planned: &planned,
            happened: &happened,
            end_us: 12 * SECOND_US,
        };
        let expecting = Expecting {
            name: "e".to_owned(),
            span,
            rules: vec![Rule {
                series: String::new(),
                threshold: Threshold::parse(rule.0, rule.1).unwrap(),
                text: rule.1.to_owned(),
            }],
        };
        let judged = judge(&[expecting], &times, &series.summed());
        assert_eq!(
            (&*judged[0].found, judged[0].holds),
            (found, holds),
            "{rule:?}"
        );
    }

    fn recovery(within_s: u64) -> Span {
        Span::Recovery(Recovery {
            at: String::new(),
            fault: "f".to_owned(),
            within: Duration::from_secs(within_s),
            over: Duration::from_secs(2),
        })
    }

    #[test]
    fn parts_of_the_time_are_judged_by_themselves() {
        let failed = ("http_req_failed", "rate<0.1");
        let f = || "f".to_owned();
        check(Span::Before(f()), failed, "0.000", true);
        check(Span::During(f()), failed, "1.000", false);
        // From 7 s on: one second of five is bad.
        check(Span::After(f()), failed, "0.200", false);
        check(
            Span::After(f()),
            ("http_req_failed", "rate<=0.5 over 2s"),
            "0.500",
            true,
        );
        check(
            Span::Phase("p".to_owned()),
            ("http_reqs", "count==2"),
            "2.000",
            true,
        );
        check(
            Span::Before(f()),
            ("http_req_duration", "p(99)<6"),
            "5.023 ms",
            true,
        );
        check(
            Span::During(f()),
            ("http_req_duration", "p(99)<6"),
            "nothing was measured",
            false,
        );
        check(
            Span::During("g".to_owned()),
            failed,
            "nothing was measured",
            false,
        );
        check(recovery(5), failed, "after 1.8 s", true);
        check(recovery(1), failed, "after 1.8 s", false);
        check(recovery(5), ("http_reqs", "rate>1"), "not any more", false);
    }
}
