//! A recording as a script: each client is a journey whose requests have their instants, and the
//! same request by many is held once.
//!
//! A client's requests go one after the other, as they did; one whose instant has passed while the
//! answer before it was waited for leaves at once, and its latency counts from its instant. It must
//! not know how recordings are read or who was put in the place of whom.

use crate::arrivals::{Plan, Segment, Spacing};
use crate::limits::{RECORDED_BYTES_MAX, RECORDED_NAMES_MAX, RECORDED_REQUESTS_MAX};
use crate::script::{Journey, Op, RequestSpec, Script, Start, Statuses, Template};
use hyper::Method;
use hyper::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderName, TRANSFER_ENCODING, USER_AGENT};
use std::collections::HashMap;

const SECOND_US: u64 = 1_000_000;
/// Counted together when there are more names than figures are kept for.
const OTHERS: &str = "others";

/// One request as it was recorded, with whatever stands in for people and secrets.
#[derive(Clone, Debug, Default)]
pub struct Recorded<'a> {
    /// Microseconds from the start of the replay; rising.
    pub at_us: u64,
    /// Who asks; requests of one go one after the other.
    pub client: &'a str,
    /// What figures call it, such as `GET /p/{n}`.
    pub name: String,
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    pub headers: &'a [(String, String)],
    pub body: Option<&'a [u8]>,
    /// What was answered then: a page that was not found is not found again.
    pub status: Option<u16>,
}

/// Why a recorded request is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeftOut {
    #[error("its body is no text (UTF-8)")]
    Binary,
    #[error("its method is none of HTTP's, or its target no path")]
    Line,
    #[error("the recording is too large: 5,000,000 requests or 1 GiB are held at most")]
    TooMany,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Same {
    method: Method,
    target: String,
    headers: Vec<(HeaderName, String)>,
    body: Option<String>,
    missing: Option<u16>,
    figures: u32,
}

/// Takes requests one by one and becomes a script with its plan.
#[derive(Debug)]
pub struct Replay {
    script: Script,
    timeout_us: u64,
    starts: Vec<Start>,
    journeys: HashMap<String, u32>,
    names: HashMap<String, u32>,
    known: HashMap<Same, u32>,
    seconds: Vec<u64>,
    requests: usize,
    bytes: usize,
}

impl Replay {
    #[must_use]
    pub fn new(timeout_us: u64) -> Replay {
        Replay {
            script: Script::default(),
            timeout_us,
            starts: Vec::new(),
            journeys: HashMap::new(),
            names: HashMap::new(),
            known: HashMap::new(),
            seconds: Vec::new(),
            requests: 0,
            bytes: 0,
        }
    }

    /// Requests taken.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests
    }
    /// Clients of theirs.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.starts.len()
    }

    pub fn take(&mut self, recorded: &Recorded<'_>) -> Result<(), LeftOut> {
        let second = (recorded.at_us / SECOND_US) as usize;
        let full = self.requests >= RECORDED_REQUESTS_MAX || self.bytes >= RECORDED_BYTES_MAX;
        if full || second >= crate::limits::RATE_FILE_S_MAX {
            return Err(LeftOut::TooMany);
        }
        let request = self.request(recorded)?;
        self.requests += 1;
        self.bytes += 2 * size_of::<Op>();
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, 0);
        }
        self.seconds[second] += 1;
        match self.journeys.get(recorded.client) {
            Some(journey) => {
                let us = recorded.at_us;
                let ops = &mut self.script.journeys[*journey as usize].ops;
                ops.extend([Op::At { us }, Op::Request(request)]);
            }
            None => self.begin(recorded, request),
        }
        Ok(())
    }

    fn begin(&mut self, recorded: &Recorded<'_>, request: u32) {
        let journey = self.script.journeys.len() as u32;
        self.bytes += recorded.client.len() + size_of::<Journey>() + 64;
        self.journeys.insert(recorded.client.to_owned(), journey);
        self.starts.push(Start {
            at_us: recorded.at_us,
            journey,
        });
        self.script.journeys.push(Journey {
            name: String::new(),
            weight: 0.0,
            ops: vec![Op::Request(request)],
        });
    }

    fn request(&mut self, recorded: &Recorded<'_>) -> Result<u32, LeftOut> {
        let method = Method::from_bytes(recorded.method.as_bytes()).map_err(|_| LeftOut::Line)?;
        if !recorded.target.starts_with('/') || method == Method::CONNECT {
            return Err(LeftOut::Line);
        }
        let body = recorded.body.filter(|body| !body.is_empty());
        let body = body.map(|body| String::from_utf8(body.to_vec()));
        let body = body.transpose().map_err(|_| LeftOut::Binary)?;
        // Where the connection ends and whose it is, the generator says itself.
        let own = [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, USER_AGENT, COOKIE];
        let headers = recorded.headers.iter().filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            let taken = !own.contains(&name) || (name == COOKIE && !value.is_empty());
            taken.then(|| (name, value.clone()))
        });
        let missing = (400..429).contains(&recorded.status.unwrap_or(0));
        let same = Same {
            headers: headers.collect(),
            method,
            target: recorded.target.to_owned(),
            body,
            missing: recorded.status.filter(|_| missing),
            figures: self.figures(&recorded.name),
        };
        if let Some(known) = self.known.get(&same) {
            return Ok(*known);
        }
        let place = self.script.requests.len() as u32;
        self.script.requests.push(self.spec(&same));
        let headers = same
            .headers
            .iter()
            .map(|(_, value)| value.len() + 2 * size_of::<HeaderName>());
        let texts = same.target.len() + same.body.as_ref().map_or(0, String::len);
        // Once as a key, once as a template.
        self.bytes += 2 * (texts + headers.sum::<usize>() + size_of::<RequestSpec>());
        self.known.insert(same, place);
        Ok(place)
    }

    fn spec(&self, same: &Same) -> RequestSpec {
        let named = self.names.iter().find(|(_, place)| **place == same.figures);
        let mut expect = Statuses::default();
        expect.0.extend(same.missing.map(|status| (status, status)));
        let headers = same.headers.iter();
        RequestSpec {
            name: named.map_or(OTHERS.to_owned(), |(name, _)| name.clone()),
            figures: same.figures,
            method: same.method.clone(),
            path: Template::text(&same.target),
            headers: headers
                .map(|(name, value)| (name.clone(), Template::text(value)))
                .collect(),
            body: same.body.as_deref().map(Template::text),
            timeout_us: self.timeout_us,
            expect,
            checks: Vec::new(),
            extract: Vec::new(),
        }
    }

    /// The place of a name; the last one is everybody's who came too late.
    fn figures(&mut self, name: &str) -> u32 {
        if let Some(place) = self.names.get(name) {
            return *place;
        }
        let full = self.names.len() + 1 >= RECORDED_NAMES_MAX;
        let name = if full { OTHERS } else { name };
        let place = self.names.len() as u32;
        *self.names.entry(name.to_owned()).or_insert(place)
    }

    /// `None` if nothing was taken.
    #[must_use]
    pub fn finish(mut self) -> Option<(Script, Plan)> {
        if self.starts.is_empty() {
            return None;
        }
        self.script.starts = Some(self.starts.into());
        let rates = self.seconds.iter().map(|count| *count as f64);
        let plan = Plan {
            segments: rates
                .map(|per_s| Segment::constant(per_s, SECOND_US))
                .collect(),
            spacing: Spacing::Even,
        };
        Some((self.script, plan))
    }
}
