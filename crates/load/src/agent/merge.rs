//! What a coordinator knows of its agents, and their figures as one.
//!
//! Agents are believed as far as bounds go: seconds come in order, requests have the same names
//! everywhere. It must not know how messages travel.

use super::clock::{Clock, Sample};
use super::frames::Message;
use super::limits::{NAMED_MAX, RUN_SECONDS_MAX};
use crate::arrivals::Plan;
use crate::generator::Ended;
use crate::measure::{Measured, Named, Second};

/// One agent.
#[derive(Debug, Default)]
pub(crate) struct Member {
    pub name: String,
    pub workers: usize,
    pub clock: Clock,
    /// It has the scenario, and its clock is known.
    pub prepared: bool,
    /// It is gone, and why.
    pub lost: Option<Lost>,
    pub part: Part,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// It said no.
    Refused(String),
    Failed(String),
}

impl Lost {
    pub fn why(&self) -> &str {
        match self {
            Lost::Refused(why) | Lost::Failed(why) => why,
        }
    }
}

/// What an agent has told of one run.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub run: u32,
    /// The clock by which it began.
    pub clock: Option<Sample>,
    live: Vec<Second>,
    finals: Vec<Second>,
    named: Vec<Named>,
    done: Option<Measured>,
}

impl Part {
    pub fn new(run: u32, clock: Option<Sample>) -> Part {
        Part {
            run,
            clock,
            ..Part::default()
        }
    }

    pub fn is_done(&self) -> bool {
        self.done.is_some()
    }

    fn seconds(&self) -> &[Second] {
        match self.is_done() {
            true => &self.finals,
            false => &self.live,
        }
    }

    /// Figures that came.
    pub fn take(&mut self, message: Message) -> Result<(), String> {
        match message {
            // Of a run that is over for us.
            Message::Seconds { run, .. }
            | Message::Final { run, .. }
            | Message::Named { run, .. }
            | Message::Done { run, .. }
                if run != self.run =>
            {
                Ok(())
            }
            Message::Seconds { from, seconds, .. } => put(&mut self.live, from, seconds),
            Message::Final { from, seconds, .. } => put(&mut self.finals, from, seconds),
            Message::Named { named, .. } => {
                if self.named.len() >= NAMED_MAX {
                    return Err(format!("figures of more than {NAMED_MAX} requests"));
                }
                self.named.push(*named);
                Ok(())
            }
            Message::Done { measured, .. } => {
                if self.is_done() {
                    return Err(format!("run {} ended twice", self.run));
                }
                let mut measured = *measured;
                measured.seconds = self.finals.clone();
                measured.named = std::mem::take(&mut self.named);
                self.done = Some(measured);
                Ok(())
            }
            _ => Err("a message at the wrong time".to_owned()),
        }
    }
}

fn put(all: &mut Vec<Second>, from: usize, seconds: Vec<Second>) -> Result<(), String> {
    if from != all.len() || from + seconds.len() > RUN_SECONDS_MAX {
        let expected = all.len();
        return Err(format!(
            "figures from second {from} on, expected {expected}"
        ));
    }
    for mut second in seconds {
        // A histogram of its own for each second of each agent would fill the memory.
        second.latency.pack();
        all.push(second);
    }
    Ok(())
}

/// The seconds from `from` on that all who still send have behind them. Who is done or lost has
/// told all that it will.
pub(crate) fn seconds(members: &[Member], from: usize) -> Vec<Second> {
    let lengths = |sending: bool| {
        let of = members
            .iter()
            .filter(move |member| sending != (member.part.is_done() || member.lost.is_some()));
        of.map(|member| member.part.seconds().len())
    };
    let end = lengths(true).min().or(lengths(false).max()).unwrap_or(0);
    let mut all = vec![Second::default(); end.saturating_sub(from)];
    for member in members {
        let theirs = member.part.seconds().get(from..).unwrap_or_default();
        for (mine, theirs) in all.iter_mut().zip(theirs) {
            mine.add(theirs);
        }
    }
    all
}

pub(crate) fn is_over(members: &[Member]) -> bool {
    let over = |member: &Member| member.part.is_done() || member.lost.is_some();
    members.iter().all(over)
}

/// All figures as one generator's, and what was wrong with that.
pub(crate) fn merge(members: &mut [Member], plan: &Plan, stopped: bool) -> Ended {
    let workers: usize = members.iter().map(|member| member.workers).sum();
    let (mut broken, mut remarks) = (Vec::new(), Vec::new());
    let (mut all, mut parts): (Option<Measured>, Vec<Measured>) = (None, Vec::new());
    for member in members.iter_mut() {
        let share = member.workers as f64 * 100.0 / workers.max(1) as f64;
        match member.part.done.take() {
            None => {
                let (name, at) = (&member.name, member.part.live.len());
                let why = member.lost.as_ref().map_or("it is gone", Lost::why);
                broken.push(format!(
                    "agent {name} was lost after {at} s: {why}; its share of the plan ({share:.0} \
                     %) was not sent from then on"
                ));
                parts.push(part_of(&member.part.live));
            }
            Some(measured) => {
                remarks.push(remark(member, &measured, share));
                match &mut all {
                    None => all = Some(measured),
                    Some(all) if !same(all, &measured) => broken.push(format!(
                        "agent {} has figures of other requests than the first agent",
                        member.name
                    )),
                    Some(all) => all.add(&measured),
                }
            }
        }
    }
    let mut measured = all.unwrap_or_else(|| Measured::new(Vec::new()));
    parts.iter().for_each(|part| measured.add(part));
    if !broken.is_empty() && !stopped {
        let planned = plan.between(0, plan.us()).round() as u64;
        measured.planned = planned.max(measured.arrived);
    }
    Ended {
        measured,
        broken,
        remarks,
    }
}

/// What a lost one told stands in the seconds; it had no time to tell by request.
fn part_of(live: &[Second]) -> Measured {
    let mut part = Measured::new(Vec::new());
    part.workers = 0;
    part.arrived = live.iter().map(|second| second.arrived).sum();
    part.seconds = live.to_vec();
    part
}

fn remark(member: &Member, measured: &Measured, share: f64) -> String {
    let (name, workers, sent) = (&member.name, member.workers, measured.arrived);
    let clock = match (member.part.clock, member.clock.best()) {
        (Some(began), Some(ends)) => {
            let apart = began.ahead_us.abs_diff(ends.ahead_us) as f64 / 1e3;
            let unsure = began.unsure_us as f64 / 1e3;
            format!("clock known within ±{unsure:.1} ms, {apart:.1} ms off at the end")
        }
        _ => "clock unknown".to_owned(),
    };
    format!("agent {name}: {workers} workers, {share:.0} % of the plan, sent {sent}; {clock}")
}

fn same(one: &Measured, other: &Measured) -> bool {
    let names = |measured: &Measured| {
        let of = measured.named.iter();
        of.map(|named| (named.name.clone(), named.checks.len()))
            .collect::<Vec<_>>()
    };
    names(one) == names(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrivals::{Segment, Spacing};

    fn members(names: &[&str]) -> Vec<Member> {
        let member = |name: &&str| Member {
            name: (*name).to_owned(),
            workers: 1,
            part: Part::new(1, None),
            ..Member::default()
        };
        names.iter().map(member).collect()
    }

    fn second(arrived: u64, us: u64) -> Second {
        let mut second = Second {
            arrived,
            ..Second::default()
        };
        second.latency.record(us);
        second
    }

    fn told(member: &mut Member, from: usize, arrived: &[u64]) -> Result<(), String> {
        let seconds = arrived.iter().map(|n| second(*n, *n)).collect();
        let run = 1;
        member.part.take(Message::Seconds { run, from, seconds })
    }

    fn done(member: &mut Member, arrived: &[u64]) {
        let seconds = arrived.iter().map(|n| second(*n, *n)).collect();
        let (run, from) = (1, 0);
        member
            .part
            .take(Message::Final { run, from, seconds })
            .unwrap();
        let named = Box::new(Named::new("get", std::iter::empty()));
        member.part.take(Message::Named { run, named }).unwrap();
        let mut measured = Box::new(Measured::new(Vec::new()));
        measured.arrived = arrived.iter().sum();
        measured.planned = measured.arrived;
        member.part.take(Message::Done { run, measured }).unwrap();
    }

    fn plan(per_s: f64, s: u64) -> Plan {
        Plan {
            segments: vec![Segment::constant(per_s, s * 1_000_000)],
            spacing: Spacing::Even,
        }
    }

    #[test]
    fn seconds_are_those_that_all_who_send_have_behind_them() {
        let mut all = members(&["a", "b"]);
        told(&mut all[0], 0, &[1, 2, 3]).unwrap();
        told(&mut all[1], 0, &[10, 20]).unwrap();
        let arrived = |all: &[Member], from| {
            let seconds = seconds(all, from).into_iter();
            seconds.map(|second| second.arrived).collect::<Vec<_>>()
        };
        assert_eq!(arrived(&all, 0), [11, 22]);
        assert_eq!(arrived(&all, 1), [22]);
        assert_eq!(seconds(&all, 0)[0].latency.count(), 2);
        done(&mut all[1], &[10, 20]);
        assert_eq!(
            arrived(&all, 0),
            [11, 22, 3],
            "it is done and bounds nothing"
        );
        all[0].lost = Some(Lost::Failed("gone".into()));
        assert!(is_over(&all));
        assert_eq!(arrived(&all, 2), [3]);
    }

    #[test]
    fn seconds_out_of_their_order_and_a_second_end_are_not_believed() {
        let mut all = members(&["a"]);
        told(&mut all[0], 0, &[1, 2]).unwrap();
        let error = told(&mut all[0], 1, &[2]).unwrap_err();
        assert!(error.contains("from second 1 on, expected 2"), "{error}");
        done(&mut all[0], &[1, 2]);
        let (run, measured) = (1, Box::new(Measured::new(Vec::new())));
        let again = all[0].part.take(Message::Done { run, measured });
        assert!(again.unwrap_err().contains("ended twice"));
        let (run, from, seconds) = (0, 7, Vec::new());
        let old = all[0].part.take(Message::Seconds { run, from, seconds });
        assert_eq!(old, Ok(()), "of a run that is over");
        assert!(all[0].part.take(Message::Prepared {}).is_err());
    }

    #[test]
    fn a_lost_agent_is_in_the_verdict_and_its_share_in_the_plan() {
        let mut all = members(&["a:1", "b:2"]);
        told(&mut all[0], 0, &[5, 5]).unwrap();
        told(&mut all[1], 0, &[5]).unwrap();
        all[1].lost = Some(Lost::Failed("the connection ended".into()));
        done(&mut all[0], &[5, 5, 5]);
        let ended = merge(&mut all, &plan(10.0, 3), false);
        let [why] = &ended.broken[..] else {
            panic!("{:?}", ended.broken);
        };
        assert!(
            why.contains("b:2 was lost after 1 s: the connection ended"),
            "{why}"
        );
        assert!(why.contains("(50 %)"), "{why}");
        assert_eq!((ended.measured.planned, ended.measured.arrived), (30, 20));
        assert_eq!(ended.measured.seconds[0].arrived, 10, "what it told stays");
        assert_eq!(ended.remarks.len(), 1, "{:?}", ended.remarks);
    }

    #[test]
    fn agents_with_other_requests_are_no_one_generator() {
        let mut all = members(&["a", "b"]);
        done(&mut all[0], &[1]);
        let (run, named) = (1, Box::new(Named::new("other", std::iter::empty())));
        all[1].part.take(Message::Named { run, named }).unwrap();
        done(&mut all[1], &[1]);
        let ended = merge(&mut all, &plan(2.0, 1), false);
        assert!(
            ended.broken[0].contains("other requests"),
            "{:?}",
            ended.broken
        );
        assert_eq!(ended.measured.named.len(), 1);
    }
}
