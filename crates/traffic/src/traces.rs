//! Which service calls which, from a Jaeger export (JSON): a span whose parent belongs to another
//! service is one call. It must not know what is compared.

use crate::limits::TRACES_BYTES_MAX;
use crate::profile::Profile;
use serde::Deserialize;
use std::collections::HashMap;
use std::io::Read;

#[derive(Deserialize)]
struct Export {
    data: Vec<Trace>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    spans: Vec<Span>,
    processes: HashMap<String, Process>,
}

#[derive(Deserialize)]
struct Span {
    #[serde(rename = "spanID")]
    id: String,
    #[serde(rename = "processID")]
    process: String,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "spanID")]
    span: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    service_name: String,
}

#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    #[error("not readable: {0}")]
    Io(#[from] std::io::Error),
    #[error("more than {TRACES_BYTES_MAX} bytes")]
    TooLong,
    #[error("no Jaeger export: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Adds the edges of all traces; how many calls there were.
pub fn add_jaeger(profile: &mut Profile, from: impl Read) -> Result<u64, TracesError> {
    let mut text = Vec::new();
    from.take(TRACES_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > TRACES_BYTES_MAX {
        return Err(TracesError::TooLong);
    }
    let export: Export = serde_json::from_slice(&text)?;
    let mut calls = 0;
    for trace in &export.data {
        let service = |process: &str| Some(trace.processes.get(process)?.service_name.as_str());
        let spans: HashMap<&str, Option<&str>> = trace
            .spans
            .iter()
            .map(|span| (span.id.as_str(), service(&span.process)))
            .collect();
        for span in &trace.spans {
            let Some(to) = service(&span.process) else {
                continue;
            };
            for reference in &span.references {
                let from = spans.get(reference.span.as_str()).copied().flatten();
                if let Some(from) = from.filter(|from| *from != to) {
                    profile.add_edge(from, to, 1);
                    calls += 1;
                }
            }
        }
    }
    Ok(calls)
}
