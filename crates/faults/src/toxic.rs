//! What a fault on a connection is: its kind, its numbers, and how both are written as JSON.
//!
//! Types and attributes of the first seven are those of the Toxiproxy API; `http_…` are ours and
//! need a proxy that reads HTTP. An attribute that no type knows is refused, because a misspelt
//! one would be a fault that never happens. It must not know how a fault is performed.

use crate::limits::{
    DELAY_MS_MAX, ERROR_BODY_BYTES_MAX, METHOD_BYTES_MAX, NAME_CHARS_MAX, PATH_BYTES_MAX,
    RATE_KB_MAX, SLICE_DELAY_US_MAX,
};
use crate::refusal::Refusal;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which bytes are meant, or, of an HTTP fault, when: before the upstream is asked, or after it
/// has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Upstream,
    Downstream,
}

impl Stream {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Stream::Upstream => "upstream",
            Stream::Downstream => "downstream",
        }
    }
}

/// Times in milliseconds, rate in kilobytes (1,000 bytes) a second, sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Latency {
        latency: u64,
        jitter: u64,
    },
    Bandwidth {
        rate: u64,
    },
    SlowClose {
        delay: u64,
    },
    Timeout {
        timeout: u64,
    },
    ResetPeer {
        timeout: u64,
    },
    Slicer {
        average_size: u64,
        size_variation: u64,
        delay_us: u64,
    },
    LimitData {
        bytes: u64,
    },
    Http {
        only: Only,
        act: Act,
    },
}

/// Which requests an HTTP fault is for; both empty: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Only {
    pub method: String,
    /// Exact, or a beginning that ends with `*`. Without the query.
    pub path: String,
}

impl Only {
    #[must_use]
    pub fn takes(&self, method: &str, path: &str) -> bool {
        let path_fits = match self.path.strip_suffix('*') {
            Some(beginning) => path.starts_with(beginning),
            None => self.path.is_empty() || self.path == path,
        };
        path_fits && (self.method.is_empty() || self.method.eq_ignore_ascii_case(method))
    }
}

/// What an HTTP fault does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    Delay {
        latency: u64,
        jitter: u64,
    },
    Error {
        status: u16,
        body: String,
    },
    /// Without an answer until the fault ends; or the connection is closed after `timeout`.
    Hang {
        timeout: u64,
    },
    /// Closed after so many bytes of the answer's body; without a number, after half of it.
    Disconnect {
        bytes: Option<u64>,
        reset: bool,
    },
}

/// A fault on a proxy.
#[derive(Debug)]
pub struct Toxic {
    /// Never used twice in a process.
    pub id: u64,
    /// Grows with each change, so that connections notice.
    pub revision: u64,
    pub name: String,
    pub stream: Stream,
    /// The share of connections, or of matching requests, that it meets.
    pub toxicity: f64,
    pub kind: Kind,
    /// The lease it ends with.
    pub lease: Option<u64>,
    /// Connections, or requests, that it met.
    pub hits: Arc<AtomicU64>,
}

impl Toxic {
    /// Reads what a client wants; the name is made from type and stream if there is none.
    pub fn read(id: u64, lease: Option<u64>, wish: &Value) -> Result<Toxic, Refusal> {
        let wish = wish
            .as_object()
            .ok_or_else(|| Refusal::BadBody("expected an object".into()))?;
        let stream = match text(wish, "stream")? {
            None | Some("downstream") => Stream::Downstream,
            Some("upstream") => Stream::Upstream,
            Some(_) => return Err(Refusal::Stream),
        };
        let kind = text(wish, "type")?.unwrap_or_default();
        let name = match text(wish, "name")?.unwrap_or_default() {
            "" => format!("{kind}_{}", stream.name()),
            name => name.to_owned(),
        };
        if name.chars().count() > NAME_CHARS_MAX {
            let what = format!("name: expected at most {NAME_CHARS_MAX} characters");
            return Err(Refusal::BadBody(what));
        }
        Ok(Toxic {
            id,
            revision: 0,
            name,
            stream,
            toxicity: toxicity(wish)?.unwrap_or(1.0),
            kind: Kind::read(kind, attributes(wish)?.unwrap_or(&Map::new()))?,
            lease,
            hits: Arc::default(),
        })
    }

    /// The same toxic with what `wish` changes: attributes that it names, and toxicity.
    pub fn changed(&self, wish: &Value) -> Result<Toxic, Refusal> {
        let wish = wish
            .as_object()
            .ok_or_else(|| Refusal::BadBody("expected an object".into()))?;
        let mut merged = self.kind.attributes();
        for (name, value) in attributes(wish)?.into_iter().flatten() {
            merged.insert(name.clone(), value.clone());
        }
        Ok(Toxic {
            id: self.id,
            revision: self.revision + 1,
            name: self.name.clone(),
            stream: self.stream,
            toxicity: toxicity(wish)?.unwrap_or(self.toxicity),
            kind: Kind::read(self.kind.name(), &merged)?,
            lease: self.lease,
            hits: Arc::clone(&self.hits),
        })
    }

    pub fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    #[must_use]
    pub fn json(&self) -> Value {
        let mut shown = json!({
            "attributes": self.kind.attributes(),
            "name": self.name,
            "type": self.kind.name(),
            "stream": self.stream.name(),
            "toxicity": self.toxicity,
            "hits": self.hits.load(Ordering::Relaxed),
        });
        if let Some(lease) = self.lease {
            shown["lease"] = lease.into();
        }
        shown
    }
}

impl Kind {
    #[must_use]
    pub fn is_http(&self) -> bool {
        matches!(self, Kind::Http { .. })
    }

    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Latency { .. } => "latency",
            Kind::Bandwidth { .. } => "bandwidth",
            Kind::SlowClose { .. } => "slow_close",
            Kind::Timeout { .. } => "timeout",
            Kind::ResetPeer { .. } => "reset_peer",
            Kind::Slicer { .. } => "slicer",
            Kind::LimitData { .. } => "limit_data",
            Kind::Http { act, .. } => match act {
                Act::Delay { .. } => "http_delay",
                Act::Error { .. } => "http_error",
                Act::Hang { .. } => "http_hang",
                Act::Disconnect { .. } => "http_disconnect",
            },
        }
    }

    fn read(name: &str, given: &Map<String, Value>) -> Result<Kind, Refusal> {
        let mut read = Attributes {
            given,
            known: vec![],
        };
        let kind = match name {
            "latency" => Kind::Latency {
                latency: read.number("latency", DELAY_MS_MAX)?,
                jitter: read.number("jitter", DELAY_MS_MAX)?,
            },
            "bandwidth" => Kind::Bandwidth {
                rate: read.number("rate", RATE_KB_MAX)?,
            },
            "slow_close" => Kind::SlowClose {
                delay: read.number("delay", DELAY_MS_MAX)?,
            },
            "timeout" => Kind::Timeout {
                timeout: read.number("timeout", DELAY_MS_MAX)?,
            },
            "reset_peer" => Kind::ResetPeer {
                timeout: read.number("timeout", DELAY_MS_MAX)?,
            },
            "slicer" => Kind::Slicer {
                average_size: read.number("average_size", u64::from(u32::MAX))?,
                size_variation: read.number("size_variation", u64::from(u32::MAX))?,
                delay_us: read.number("delay", SLICE_DELAY_US_MAX)?,
            },
            "limit_data" => Kind::LimitData {
                bytes: read.number("bytes", u64::MAX)?,
            },
            http => Kind::Http {
                act: read.act(http)?,
                only: Only {
                    method: read.text("method", METHOD_BYTES_MAX)?,
                    path: read.text("path", PATH_BYTES_MAX)?,
                },
            },
        };
        read.nothing_else()?;
        Ok(kind)
    }

    fn attributes(&self) -> Map<String, Value> {
        let shown = match self {
            Kind::Latency { latency, jitter } => json!({"latency": latency, "jitter": jitter}),
            Kind::Bandwidth { rate } => json!({"rate": rate}),
            Kind::SlowClose { delay } => json!({"delay": delay}),
            Kind::Timeout { timeout } | Kind::ResetPeer { timeout } => json!({"timeout": timeout}),
            Kind::Slicer {
                average_size,
                size_variation,
                delay_us,
            } => json!({
                "average_size": average_size, "size_variation": size_variation, "delay": delay_us,
            }),
            Kind::LimitData { bytes } => json!({"bytes": bytes}),
            Kind::Http { only, act } => {
                let mut shown = match act {
                    Act::Delay { latency, jitter } => {
                        json!({"latency": latency, "jitter": jitter})
                    }
                    Act::Error { status, body } => json!({"status": status, "body": body}),
                    Act::Hang { timeout } => json!({"timeout": timeout}),
                    Act::Disconnect { bytes, reset } => json!({"bytes": bytes, "reset": reset}),
                };
                shown["method"] = only.method.as_str().into();
                shown["path"] = only.path.as_str().into();
                shown
            }
        };
        match shown {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}

/// Attributes being read: each once, and then whether one is left.
struct Attributes<'a> {
    given: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

impl Attributes<'_> {
    fn get(&mut self, name: &'static str) -> Option<&Value> {
        self.known.push(name);
        self.given.get(name).filter(|value| !value.is_null())
    }

    fn maybe_number(&mut self, name: &'static str, max: u64) -> Result<Option<u64>, Refusal> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        // Clients in languages with one kind of number send 100 as 100.0.
        let whole = value.as_u64().or_else(|| {
            let number = value.as_f64()?;
            (number.fract() == 0.0 && (0.0..1e15).contains(&number)).then_some(number as u64)
        });
        match whole.filter(|number| *number <= max) {
            Some(number) => Ok(Some(number)),
            None => Err(Refusal::BadBody(format!(
                "attributes.{name}: expected a whole number from 0 to {max}, found {value}"
            ))),
        }
    }

    fn number(&mut self, name: &'static str, max: u64) -> Result<u64, Refusal> {
        Ok(self.maybe_number(name, max)?.unwrap_or(0))
    }

    fn text(&mut self, name: &'static str, bytes_max: usize) -> Result<String, Refusal> {
        match self.get(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) if text.len() <= bytes_max => Ok(text.clone()),
            Some(_) => Err(Refusal::BadBody(format!(
                "attributes.{name}: expected a string of at most {bytes_max} bytes"
            ))),
        }
    }

    fn act(&mut self, name: &str) -> Result<Act, Refusal> {
        Ok(match name {
            "http_delay" => Act::Delay {
                latency: self.number("latency", DELAY_MS_MAX)?,
                jitter: self.number("jitter", DELAY_MS_MAX)?,
            },
            "http_error" => Act::Error {
                status: match self.maybe_number("status", 599)?.unwrap_or(503) {
                    status @ 400..=599 => status as u16,
                    other => {
                        let what = format!("attributes.status: expected 400 to 599, not {other}");
                        return Err(Refusal::BadBody(what));
                    }
                },
                body: self.text("body", ERROR_BODY_BYTES_MAX)?,
            },
            "http_hang" => Act::Hang {
                timeout: self.number("timeout", DELAY_MS_MAX)?,
            },
            "http_disconnect" => Act::Disconnect {
                bytes: self.maybe_number("bytes", u64::MAX)?,
                reset: match self.get("reset") {
                    None => false,
                    Some(Value::Bool(reset)) => *reset,
                    Some(_) => {
                        let what = "attributes.reset: expected true or false";
                        return Err(Refusal::BadBody(what.into()));
                    }
                },
            },
            other => return Err(Refusal::ToxicType(format!("{other:?}"))),
        })
    }

    fn nothing_else(&self) -> Result<(), Refusal> {
        let known = |name: &str| self.known.contains(&name);
        match self.given.keys().find(|name| !known(name)) {
            None => Ok(()),
            Some(name) => Err(Refusal::BadBody(format!(
                "attributes.{name}: expected one of {}",
                self.known.join(", ")
            ))),
        }
    }
}

fn text<'a>(wish: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Refusal> {
    match wish.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::BadBody(format!("{name}: expected a string"))),
    }
}

fn attributes(wish: &Map<String, Value>) -> Result<Option<&Map<String, Value>>, Refusal> {
    match wish.get("attributes") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(_) => Err(Refusal::BadBody("attributes: expected an object".into())),
    }
}

fn toxicity(wish: &Map<String, Value>) -> Result<Option<f64>, Refusal> {
    match wish.get("toxicity") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64().filter(|share| (0.0..=1.0).contains(share)) {
            Some(share) => Ok(Some(share)),
            None => Err(Refusal::BadBody(format!(
                "toxicity: expected a number from 0 to 1, found {value}"
            ))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wish: Value, expected: Result<Value, &str>) {
        match (Toxic::read(1, None, &wish), expected) {
            (Ok(toxic), Ok(attributes)) => assert_eq!(toxic.json()["attributes"], attributes),
            (Err(refusal), Err(words)) => assert_eq!(refusal.to_string(), words),
            (found, expected) => panic!("{wish}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn what_is_read_is_shown() {
        let all = [
            json!({"type": "latency", "attributes": {"latency": 5, "jitter": 2}}),
            json!({"type": "bandwidth", "attributes": {"rate": 5}}),
            json!({"type": "slow_close", "attributes": {"delay": 5}}),
            json!({"type": "timeout", "attributes": {"timeout": 5}}),
            json!({"type": "reset_peer", "attributes": {"timeout": 5}}),
            json!({"type": "slicer", "attributes":
                {"average_size": 9, "size_variation": 3, "delay": 1}}),
            json!({"type": "limit_data", "attributes": {"bytes": 5}}),
            json!({"type": "http_delay", "attributes":
                {"latency": 5, "jitter": 0, "method": "GET", "path": "/a*"}}),
            json!({"type": "http_error", "attributes":
                {"status": 500, "body": "x", "method": "", "path": ""}}),
            json!({"type": "http_hang", "attributes": {"timeout": 0, "method": "", "path": ""}}),
            json!({"type": "http_disconnect", "attributes":
                {"bytes": 4, "reset": true, "method": "", "path": ""}}),
        ];
        for wish in all {
            check(wish.clone(), Ok(wish["attributes"].clone()));
            let toxic = Toxic::read(1, Some(7), &wish).unwrap().json();
            assert_eq!(toxic["type"], wish["type"]);
            assert_eq!(toxic["stream"], "downstream");
            let name = format!("{}_downstream", wish["type"].as_str().unwrap());
            assert_eq!(toxic["name"], name.as_str());
            assert_eq!(toxic["lease"], 7);
        }
        let float = json!({"type": "bandwidth", "attributes": {"rate": 5.0}});
        check(float, Ok(json!({"rate": 5})));
    }

    #[test]
    fn what_is_wrong_is_said() {
        check(json!([]), Err("bad request body: expected an object"));
        check(json!({"type": "no"}), Err("invalid toxic type: \"no\""));
        check(
            json!({"type": "latency", "stream": "sideways"}),
            Err("stream was invalid, can be either upstream or downstream"),
        );
        check(
            json!({"type": "latency", "attributes": {"latncy": 5}}),
            Err("bad request body: attributes.latncy: expected one of latency, jitter"),
        );
        check(
            json!({"type": "bandwidth", "attributes": {"rate": -5}}),
            Err(
                "bad request body: attributes.rate: expected a whole number from 0 to \
                 1000000000, found -5",
            ),
        );
        check(
            json!({"type": "timeout", "toxicity": 1.5}),
            Err("bad request body: toxicity: expected a number from 0 to 1, found 1.5"),
        );
        check(
            json!({"type": "http_error", "attributes": {"status": 200}}),
            Err("bad request body: attributes.status: expected 400 to 599, not 200"),
        );
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let wish = json!({"type": "latency", "toxicity": 0.5,
                          "attributes": {"latency": 5, "jitter": 2}});
        let toxic = Toxic::read(1, None, &wish).unwrap();
        let changed = toxic
            .changed(&json!({"attributes": {"jitter": 3}}))
            .unwrap();
        assert_eq!(
            changed.json()["attributes"],
            json!({"latency": 5, "jitter": 3})
        );
        assert_eq!((changed.toxicity, changed.revision), (0.5, 1));
    }

    #[test]
    fn only_some_requests() {
        let rows = [
            ("", "", "GET", "/", true),
            ("POST", "", "GET", "/", false),
            ("post", "", "POST", "/", true),
            ("", "/orders", "GET", "/orders/1", false),
            ("", "/orders*", "GET", "/orders/1", true),
            ("", "/orders/*", "GET", "/order", false),
        ];
        for (method, path, asked, at, takes) in rows {
            let only = Only {
                method: method.into(),
                path: path.into(),
            };
            assert_eq!(only.takes(asked, at), takes, "{only:?} {asked} {at}");
        }
    }
}
