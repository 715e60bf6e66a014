//! The critical path: of the time from a request's first byte to its answer, how much each service
//! has to answer for. Only what is on it makes the answer come sooner when it becomes faster.
//!
//! From the end of a trace backwards: whoever ended last before the instant at hand was waited
//! for; what no child covers is the service's own. (As D. Yang and B. Miller describe it for
//! programs in "Critical Path Analysis for the Execution of Parallel and Distributed Programs",
//! ICDCS 1988.)

use super::Span;
use std::collections::{BTreeMap, BTreeSet};

/// One service on the path.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub service: String,
    /// Mean microseconds a request waits for its own work.
    pub micros: f64,
    /// Of the whole time, 0 to 1.
    pub share: f64,
    /// Share of the traces whose path touches it.
    pub traces: f64,
}

/// Services by the time that requests wait for them, most first.
#[must_use]
pub fn critical_path(traces: &[Vec<Span>]) -> Vec<Step> {
    let mut times: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut count = 0;
    for trace in traces {
        let mut own = BTreeMap::new();
        if walk(trace, &mut own) {
            count += 1;
        }
        for (service, micros) in own {
            let time = times.entry(service).or_default();
            time.0 += micros;
            time.1 += 1;
        }
    }
    let total: u64 = times.values().map(|(micros, _)| micros).sum();
    let of = |part: u64, all: u64| part as f64 / all.max(1) as f64;
    let mut steps: Vec<Step> = times
        .into_iter()
        .map(|(service, (micros, seen))| Step {
            service: service.to_owned(),
            micros: of(micros, count),
            share: of(micros, total),
            traces: of(seen, count),
        })
        .collect();
    // Equal times stay in the order of names.
    steps.sort_by(|a, b| b.micros.total_cmp(&a.micros));
    steps
}

/// Adds the path of one trace; `false` if it has no beginning.
fn walk<'a>(trace: &'a [Span], own: &mut BTreeMap<&'a str, u64>) -> bool {
    let ids: BTreeSet<&str> = trace.iter().map(|span| span.id.as_str()).collect();
    let mut children: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for span in trace {
        for parent in span.parents.iter().take(1) {
            children.entry(parent).or_default().push(span);
        }
    }
    let orphan = |span: &&Span| !span.parents.iter().any(|id| ids.contains(id.as_str()));
    let Some(root) = trace
        .iter()
        .filter(orphan)
        .max_by_key(|span| (span.micros, std::cmp::Reverse(span.start_us)))
    else {
        return false;
    };
    // A span of a damaged trace may be its own ancestor: each is walked once.
    let mut walked: BTreeSet<&str> = BTreeSet::new();
    let mut left = vec![(root, root.start_us + root.micros)];
    while let Some((span, until)) = left.pop() {
        if !walked.insert(&span.id) {
            continue;
        }
        let mut below = children.get(span.id.as_str()).cloned().unwrap_or_default();
        below.sort_by_key(|child| std::cmp::Reverse(child.start_us + child.micros));
        let mut at = until.min(span.start_us + span.micros);
        let mut micros = 0;
        for child in below {
            let end = child.start_us + child.micros;
            // What outlives the instant was not waited for.
            if end > at || child.start_us < span.start_us {
                continue;
            }
            micros += at - end;
            left.push((child, end));
            at = child.start_us;
        }
        micros += at.saturating_sub(span.start_us);
        *own.entry(&span.service).or_default() += micros;
    }
    true
}
