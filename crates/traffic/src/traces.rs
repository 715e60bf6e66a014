//! Which service calls which, and when: spans from a Jaeger export or from OTLP (both JSON, OTLP
//! also one export on each line). Two formats in, one shape out. It must not know what is made of
//! them.

mod jaeger;
mod otlp;

use crate::limits::{SPAN_PARENTS_MAX, TRACES_BYTES_MAX};
use crate::profile::Profile;
use std::collections::HashMap;
use std::io::Read;

/// What one service did for one caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub id: String,
    /// Spans that caused it; none for where the trace begins.
    pub parents: Vec<String>,
    pub service: String,
    pub name: String,
    /// Microseconds since 1970.
    pub start_us: u64,
    pub micros: u64,
    pub failed: bool,
}

/// What one request caused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    pub id: String,
    pub spans: Vec<Span>,
}

#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    #[error("not readable: {0}")]
    Io(#[from] std::io::Error),
    #[error("more than {TRACES_BYTES_MAX} bytes")]
    TooLong,
    #[error("neither a Jaeger export nor OTLP: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("span {0:?} has more than {SPAN_PARENTS_MAX} parents")]
    TooManyParents(String),
}

/// All traces of a file, in its order.
pub fn read(from: impl Read) -> Result<Vec<Trace>, TracesError> {
    let mut text = Vec::new();
    from.take(TRACES_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > TRACES_BYTES_MAX {
        return Err(TracesError::TooLong);
    }
    let traces = match otlp::read(&text) {
        Some(traces) => traces,
        None => jaeger::read(&text)?,
    };
    let spans = traces.iter().flat_map(|trace| &trace.spans);
    for span in spans {
        if span.parents.len() > SPAN_PARENTS_MAX {
            return Err(TracesError::TooManyParents(span.id.clone()));
        }
    }
    Ok(traces)
}

/// Adds the edges of all traces; how many calls there were. A span whose parent belongs to another
/// service is one call.
pub fn add_jaeger(profile: &mut Profile, from: impl Read) -> Result<u64, TracesError> {
    let mut calls = 0;
    for trace in &read(from)? {
        let services: HashMap<&str, &str> = trace
            .spans
            .iter()
            .map(|span| (span.id.as_str(), span.service.as_str()))
            .collect();
        for span in &trace.spans {
            for parent in &span.parents {
                let from = services.get(parent.as_str()).copied();
                if let Some(from) = from.filter(|from| *from != span.service) {
                    profile.add_edge(from, &span.service, 1);
                    calls += 1;
                }
            }
        }
    }
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTLP: &str = r#"{"resourceSpans":[
      {"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"door"}}]},
       "scopeSpans":[{"spans":[{"traceId":"t1","spanId":"a","name":"GET /",
         "startTimeUnixNano":"1000000","endTimeUnixNano":"9000000"}]}]},
      {"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"stock"}}]},
       "scopeSpans":[{"spans":[{"traceId":"t1","spanId":"b","parentSpanId":"a","name":"ask",
         "startTimeUnixNano":2000000,"endTimeUnixNano":5000000,"status":{"code":2}}]}]}]}"#;
    const JAEGER: &str = r#"{"data":[{"traceID":"t1","processes":{
        "p1":{"serviceName":"door"},"p2":{"serviceName":"stock"}},"spans":[
      {"spanID":"a","processID":"p1","operationName":"GET /","references":[],
       "startTime":1000,"duration":8000},
      {"spanID":"b","processID":"p2","operationName":"ask","startTime":2000,"duration":3000,
       "references":[{"refType":"CHILD_OF","spanID":"a"}],
       "tags":[{"key":"error","type":"bool","value":true}]}]}]}"#;

    #[test]
    fn both_formats_tell_the_same() {
        let otlp = read(OTLP.as_bytes()).unwrap();
        assert_eq!(otlp, read(JAEGER.as_bytes()).unwrap());
        let spans = &otlp[0].spans;
        assert_eq!((spans[1].start_us, spans[1].micros), (2_000, 3_000));
        assert!(spans[1].failed && !spans[0].failed);
        assert_eq!(spans[1].parents, ["a"]);
        let one_line = OTLP.replace('\n', "");
        let lines = format!("{one_line}\n{}\n", one_line.replace("t1", "t2"));
        assert_eq!(read(lines.as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn other_files_are_refused() {
        for text in ["", "{}", "[]", "<html>", r#"{"data":[{"spans":7}]}"#] {
            let refused = read(text.as_bytes());
            let malformed = matches!(refused, Err(TracesError::Malformed(_)));
            assert!(malformed, "{text}: {refused:?}");
        }
    }
}
