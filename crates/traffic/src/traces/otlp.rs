//! OTLP in JSON, as collectors write it to files: one export, or one on each line.

use super::{Span, Trace};
use serde::Deserialize;
use std::collections::HashMap;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Export {
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans {
    #[serde(default)]
    resource: Resource,
    #[serde(default)]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Default, Deserialize)]
struct Resource {
    #[serde(default)]
    attributes: Vec<Attribute>,
}

#[derive(Deserialize)]
struct Attribute {
    key: String,
    value: serde_json::Value,
}

#[derive(Deserialize)]
struct ScopeSpans {
    #[serde(default)]
    spans: Vec<ExportedSpan>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExportedSpan {
    #[serde(default)]
    trace_id: String,
    span_id: String,
    #[serde(default)]
    parent_span_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    start_time_unix_nano: Nanos,
    #[serde(default)]
    end_time_unix_nano: Nanos,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    code: serde_json::Value,
}

/// 64 bits are a text in JSON, and some write a number all the same.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Nanos {
    Text(String),
    Number(u64),
    #[default]
    None,
}

impl Nanos {
    fn micros(&self) -> u64 {
        match self {
            Nanos::Text(text) => text.parse().unwrap_or(0) / 1_000,
            Nanos::Number(number) => number / 1_000,
            Nanos::None => 0,
        }
    }
}

/// `None` for what is no OTLP.
pub fn read(text: &[u8]) -> Option<Vec<Trace>> {
    let mut traces: Vec<Trace> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut exports = serde_json::Deserializer::from_slice(text)
        .into_iter::<Export>()
        .peekable();
    exports.peek()?;
    for export in exports {
        for of_resource in export.ok()?.resource_spans {
            let name = |one: &&Attribute| one.key == "service.name";
            let service = of_resource.resource.attributes.iter().find(name);
            let service = service.and_then(|one| one.value["stringValue"].as_str());
            // As the specification calls a service that does not say its name.
            let service = service.unwrap_or("unknown_service");
            let spans = of_resource.scope_spans.into_iter();
            for span in spans.flat_map(|scope| scope.spans) {
                let at = *places.entry(span.trace_id.clone()).or_insert_with(|| {
                    traces.push(Trace {
                        id: span.trace_id.clone(),
                        spans: Vec::new(),
                    });
                    traces.len() - 1
                });
                traces.get_mut(at)?.spans.push(one(span, service));
            }
        }
    }
    Some(traces)
}

fn one(span: ExportedSpan, service: &str) -> Span {
    let start_us = span.start_time_unix_nano.micros();
    let code = &span.status.code;
    Span {
        parents: Some(span.parent_span_id)
            .filter(|parent| !parent.is_empty())
            .into_iter()
            .collect(),
        service: service.to_owned(),
        name: span.name,
        start_us,
        micros: span.end_time_unix_nano.micros().saturating_sub(start_us),
        failed: code.as_u64() == Some(2) || code.as_str() == Some("STATUS_CODE_ERROR"),
        id: span.span_id,
    }
}
