//! A report from a file, whoever wrote it: ours, a summary of k6, a result file of JMeter.

use super::body::Body;
use super::{Ran, envelope, jtl, k6};
use crate::limits::REPORT_BYTES_MAX;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;
use wire::report::{Build, Machine, Report};

/// Why a file is no report.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {what}")]
pub struct Unreadable {
    pub file: String,
    pub what: String,
}

/// Reads and recognises. Other tools do not say on what they ran; those fields say `unknown`.
pub fn read(path: &Path) -> Result<Report<Body>, Unreadable> {
    let bad = |what: String| Unreadable {
        file: path.display().to_string(),
        what,
    };
    let mut file = File::open(path).map_err(|error| bad(error.to_string()))?;
    let mut start = [0; 64];
    let got = file
        .read(&mut start)
        .map_err(|error| bad(error.to_string()))?;
    file.rewind().map_err(|error| bad(error.to_string()))?;
    let start = String::from_utf8_lossy(&start[..got]);
    let first = start.trim_start_matches('\u{feff}').trim_start();
    if !first.starts_with('{') {
        let body = jtl::read(BufReader::new(file)).map_err(bad)?;
        return Ok(foreign(body, "jmeter", path));
    }
    let mut text = String::new();
    let whole = file.take(REPORT_BYTES_MAX + 1).read_to_string(&mut text);
    whole.map_err(|error| bad(error.to_string()))?;
    if text.len() as u64 > REPORT_BYTES_MAX {
        return Err(bad(format!("longer than {REPORT_BYTES_MAX} bytes")));
    }
    // The envelope has a version; k6's summaries have metrics.
    let document: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| bad(format!("line {}: {error}", error.line())))?;
    if document.get("metrics").is_some() {
        let body = k6::read(&text).map_err(bad)?;
        return Ok(foreign(body, "k6", path));
    }
    match document.get("kind").and_then(serde_json::Value::as_str) {
        Some("load" | "find") => {}
        Some(kind) => {
            return Err(bad(format!(
                "a report of kind {kind:?}; expected load or find"
            )));
        }
        None => {
            let what = "neither a report of seawall load nor a summary of k6; its metrics or kind \
                        are missing";
            return Err(bad(what.to_owned()));
        }
    }
    serde_json::from_str(&text).map_err(|error| {
        bad(format!(
            "line {}, column {}: {error}",
            error.line(),
            error.column()
        ))
    })
}

fn foreign(body: Body, tool: &str, path: &Path) -> Report<Body> {
    let unknown = || "unknown".to_owned();
    let ran = Ran {
        command: format!("{tool}, read from {}", path.display()),
        build: Build {
            version: unknown(),
            commit: unknown(),
            profile: unknown(),
        },
        machine: Machine {
            processor: unknown(),
            cores: 0,
            memory_mib: 0,
            system: unknown(),
        },
        started: unknown(),
        seconds: body.load.seconds.unwrap_or(0.0),
    };
    Report {
        name: tool.to_owned(),
        ..envelope(body, ran)
    }
}
