//! Requests recorded by our gateway: JSON Lines of version 1, as docs/records.md has them. Members
//! that are not known are passed over. It must not know how they were recorded.

use crate::error::Why;
use crate::limits::{AT_US_MAX, HEADERS_MAX};
use crate::seen::{Seen, is_method, status};
use serde::Deserialize;

#[derive(Deserialize)]
struct Versioned {
    v: u64,
}

#[derive(Deserialize)]
struct Record {
    time_ms: u64,
    client: String,
    method: String,
    host: Option<String>,
    target: String,
    headers: Vec<(String, String)>,
    body: Body,
    status: Option<u64>,
    duration_us: Option<u64>,
}

#[derive(Deserialize)]
struct Body {
    length: u64,
    text: Option<String>,
}

/// The request that a line holds.
pub fn parse(line: &[u8]) -> Result<Seen, Why> {
    let Versioned { v } = serde_json::from_slice(line).map_err(Why::Json)?;
    if v != 1 {
        return Err(Why::Version(v));
    }
    let record: Record = serde_json::from_slice(line).map_err(Why::Json)?;
    let at_us = record
        .time_ms
        .checked_mul(1_000)
        .filter(|at| *at <= AT_US_MAX);
    let mut seen = Seen {
        at_us: at_us.ok_or_else(|| Why::Time(record.time_ms.to_string()))?,
        client: Some(record.client).filter(|client| !client.is_empty()),
        host: record.host,
        status: record.status.and_then(status),
        request_bytes: Some(record.body.length),
        duration_us: record.duration_us,
        headers: record.headers,
        body: record.body.text.map(String::into_bytes),
        ..Seen::default()
    };
    if seen.headers.len() > HEADERS_MAX {
        return Err(Why::Headers);
    }
    if !is_method(&record.method) || !seen.set_target(&record.target) {
        let line = format!("{} {}", record.method, record.target);
        return Err(Why::RequestLine(Why::excerpt(&line)));
    }
    seen.method = record.method;
    seen.headers
        .iter_mut()
        .for_each(|(name, _)| name.make_ascii_lowercase());
    Ok(seen)
}
