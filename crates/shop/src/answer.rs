//! How answers are built: JSON, problems, redirections. The hot ones are written by hand, since an
//! order's answer is a few integers.

use bytes::Bytes;
use host::http::Body;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use hyper::{Response, StatusCode};
use sale::Held;
use serde_json::{Map, Value};
use wire::problem::{Code, DoorCode};

pub type Answer = Response<Body>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

pub fn bytes(status: StatusCode, kind: HeaderValue, body: impl Into<Body>) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

pub fn json(status: StatusCode, value: &impl serde::Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => bytes(status, JSON, body),
        Err(_) => Problem::new(Code::OutcomeUnknown).answer(),
    }
}

pub fn no_content() -> Answer {
    let mut answer = Response::new(Body::Empty);
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// 303: look there, with GET.
pub fn see_other(path: &str) -> Answer {
    let mut answer = Response::new(Body::Empty);
    *answer.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(path) = HeaderValue::from_str(path) {
        answer.headers_mut().insert(LOCATION, path);
    }
    answer
}

/// Writes the body of an accepted order.
pub fn write_held(out: &mut Vec<u8>, held: &Held) {
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(b"{\"order\":\"");
    out.extend_from_slice(&held.order.encode());
    out.extend_from_slice(b"\",\"status\":\"held\",\"total\":{\"amount\":");
    out.extend_from_slice(digits.format(held.total.0).as_bytes());
    out.extend_from_slice(b",\"currency\":\"");
    out.extend_from_slice(held.currency.as_str().as_bytes());
    out.extend_from_slice(b"\"},\"pay_by_ms\":");
    out.extend_from_slice(digits.format(held.pay_by.0).as_bytes());
    out.extend_from_slice(b",\"durability\":\"disk\"}");
}

pub fn held(held: &Held, replayed: bool) -> Answer {
    let mut body = Vec::with_capacity(160);
    write_held(&mut body, held);
    let mut answer = bytes(StatusCode::CREATED, JSON, body);
    if replayed {
        answer
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
    }
    answer
}

/// A refusal or failure on its way out.
#[derive(Clone, Debug)]
pub struct Problem {
    pub code: Code,
    pub detail: String,
    /// Members beside the standard ones.
    pub more: Map<String, Value>,
    pub retry_after_ms: Option<u64>,
}

impl Problem {
    pub fn new(code: Code) -> Problem {
        let meaning = code.meaning();
        Problem {
            code,
            detail: format!("{}.", meaning.title),
            more: Map::new(),
            retry_after_ms: meaning.retry_after_s.map(|s| u64::from(s) * 1_000),
        }
    }
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Problem {
        self.detail = detail.into();
        self
    }
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Problem {
        self.more.insert(name.to_owned(), value.into());
        self
    }
    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Problem {
        self.retry_after_ms = Some(ms);
        self
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        let meaning = self.code.meaning();
        let text = |out: &mut Vec<u8>, name: &str, value: &str| {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            // A string always serialises.
            let _ = serde_json::to_writer(out, value);
        };
        out.extend_from_slice(b"{\"type\":\"/problems/");
        out.extend_from_slice(meaning.code.as_bytes());
        out.push(b'"');
        text(out, "title", meaning.title);
        out.extend_from_slice(b",\"status\":");
        out.extend_from_slice(itoa::Buffer::new().format(meaning.status).as_bytes());
        text(out, "detail", &self.detail);
        text(out, "code", meaning.code);
        text(out, "happened", meaning.happened.as_str());
        if let Some(ms) = self.retry_after_ms {
            out.extend_from_slice(b",\"retry_after_ms\":");
            out.extend_from_slice(itoa::Buffer::new().format(ms).as_bytes());
        }
        for (name, value) in &self.more {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            let _ = serde_json::to_writer(&mut *out, value);
        }
        out.push(b'}');
    }

    pub fn answer(&self) -> Answer {
        let mut body = Vec::with_capacity(320);
        self.write(&mut body);
        let mut answer = bytes(status_of(self.code.meaning().status), PROBLEM, body);
        if let Some(ms) = self.retry_after_ms {
            let seconds = HeaderValue::from(ms.div_ceil(1_000).max(1));
            answer.headers_mut().insert(RETRY_AFTER, seconds);
        }
        answer
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Problem {
        Problem::new(code)
    }
}

/// An operator left this out: the door's code, said by the shop whose feature it is.
pub fn switched_off(detail: &str) -> Answer {
    let meaning = DoorCode::SwitchedOff.meaning();
    let retry_after_s = meaning.retry_after_s.unwrap_or(1);
    let body = serde_json::json!({
        "type": format!("/problems/{}", meaning.code),
        "title": meaning.title,
        "status": meaning.status,
        "detail": detail,
        "code": meaning.code,
        "happened": meaning.happened.as_str(),
        "retry_after_ms": u64::from(retry_after_s) * 1_000,
    });
    let mut answer = bytes(status_of(meaning.status), PROBLEM, body.to_string());
    answer
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(retry_after_s));
    answer
}

/// Turns what the pages module answers with into a response.
pub fn page((status, headers, body): crate::pages::Answer) -> Answer {
    let mut answer = Response::new(if body.is_empty() {
        Body::Empty
    } else {
        Body::Full(body)
    });
    *answer.status_mut() = status_of(status);
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_maybe_shared(value) {
            answer
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
    }
    answer
}

/// Nothing between us and the client may keep it.
pub fn no_store(mut answer: Answer) -> Answer {
    answer
        .headers_mut()
        .insert(hyper::header::CACHE_CONTROL, NO_STORE);
    answer
}

pub fn text(status: StatusCode, kind: &'static str, body: Bytes) -> Answer {
    bytes(status, HeaderValue::from_static(kind), body)
}
