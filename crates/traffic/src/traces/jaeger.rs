//! A Jaeger export: what its API and its page give for a search.

use super::{Span, Trace, TracesError};
use serde::Deserialize;
use std::collections::HashMap;

#[derive(Deserialize)]
struct Export {
    data: Vec<Exported>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exported {
    #[serde(rename = "traceID", default)]
    id: String,
    spans: Vec<ExportedSpan>,
    processes: HashMap<String, Process>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExportedSpan {
    #[serde(rename = "spanID")]
    id: String,
    #[serde(rename = "processID")]
    process: String,
    #[serde(default)]
    operation_name: String,
    #[serde(default)]
    references: Vec<Reference>,
    #[serde(default)]
    start_time: u64,
    #[serde(default)]
    duration: u64,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: serde_json::Value,
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

/// Spans of unknown processes are left out: nobody could say whose they are.
pub fn read(text: &[u8]) -> Result<Vec<Trace>, TracesError> {
    let export: Export = serde_json::from_slice(text)?;
    let traces = export.data.into_iter().map(|trace| {
        let processes = trace.processes;
        let spans = trace.spans.into_iter().filter_map(|span| {
            let service = processes.get(&span.process)?.service_name.clone();
            let failed = |tag: &Tag| tag.key == "error" && tag.value.as_bool() == Some(true);
            Some(Span {
                parents: span.references.into_iter().map(|one| one.span).collect(),
                service,
                name: span.operation_name,
                start_us: span.start_time,
                micros: span.duration,
                failed: span.tags.iter().any(failed),
                id: span.id,
            })
        });
        Trace {
            id: trace.id,
            spans: spans.collect(),
        }
    });
    Ok(traces.collect())
}
