//! The map that traces show: a span whose parent belongs to another service is one call.

use super::{Edge, Entry, Map, TooLarge};
use std::collections::{BTreeMap, BTreeSet};

/// What one service did for one caller, as traces tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub id: String,
    /// None where the trace begins.
    pub parents: Vec<String>,
    pub service: String,
    pub start_us: u64,
    pub micros: u64,
    pub failed: bool,
}

/// What the callers of one edge had from it.
#[derive(Default)]
struct Calls {
    count: u64,
    /// Calls that failed, and of them those whose caller did well all the same.
    failed: u64,
    survived: u64,
}

/// Calls for each request that the caller got. An edge is weak if calls failed and no caller did.
/// Each root is an entry of its own, with the name of its service as its route.
pub fn observe(traces: &[Vec<Span>]) -> Result<Map, TooLarge> {
    let mut services = BTreeSet::new();
    let mut got: BTreeMap<&str, u64> = BTreeMap::new();
    let mut edges: BTreeMap<(&str, &str), Calls> = BTreeMap::new();
    for trace in traces {
        let by_id: BTreeMap<&str, &Span> =
            trace.iter().map(|span| (span.id.as_str(), span)).collect();
        for span in trace {
            services.insert(span.service.clone());
            let parents = span.parents.iter().filter_map(|id| by_id.get(id.as_str()));
            let mut inside = false;
            let mut called = false;
            for parent in parents {
                if parent.service == span.service {
                    inside = true;
                    continue;
                }
                called = true;
                let calls = edges.entry((&parent.service, &span.service)).or_default();
                calls.count += 1;
                calls.failed += u64::from(span.failed);
                calls.survived += u64::from(span.failed && !parent.failed);
            }
            if called || !inside {
                *got.entry(&span.service).or_default() += 1;
            }
        }
    }
    let edges = edges.into_iter().map(|((from, to), calls)| Edge {
        from: from.to_owned(),
        to: to.to_owned(),
        per_request: calls.count as f64 / got.get(from).copied().unwrap_or(1).max(1) as f64,
        cache_hit: 0.0,
        weak: calls.failed > 0 && calls.failed == calls.survived,
        routes: Vec::new(),
        seen: calls.count,
    });
    let mut map = Map::new(services, Vec::new(), edges.collect())?;
    let entries = map.roots().into_iter().map(|root| Entry {
        route: root.to_owned(),
        to: root.to_owned(),
        per_request: 1.0,
        cache_hit: 0.0,
        core: true,
    });
    map.entries = entries.collect();
    Ok(map)
}
