//! The mark of a rehearsal on everything that a run sends, and its acknowledgement on everything
//! that comes back. Who sends a mark cannot see that it was lost on the way: the first answer
//! that does not acknowledge it ends the run. It must not know how either is signed.

use crate::answer::Answer;
use crate::run::Target;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use std::sync::atomic::{AtomicU64, Ordering};

const MARK: HeaderName = HeaderName::from_static("seawall-mark");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
const ACKNOWLEDGEMENT: &str = "seawall-shadow";

#[derive(Debug)]
pub(crate) struct Mark {
    mark: HeaderValue,
    baggage: HeaderValue,
    acknowledgement: String,
    missing: AtomicU64,
}

impl Target {
    /// The same, with this mark on every request. `None`: that is no text for a header.
    #[must_use]
    pub fn marked(mut self, mark: &str, acknowledgement: &str) -> Option<Target> {
        let baggage = format!("seawall.mark={mark}");
        let lines = format!("{MARK}: {mark}\r\n{BAGGAGE}: {baggage}\r\n");
        self.mark = Some(Mark {
            mark: HeaderValue::from_str(mark).ok()?,
            baggage: HeaderValue::from_str(&baggage).ok()?,
            acknowledgement: acknowledgement.to_owned(),
            missing: AtomicU64::new(0),
        });
        self.host_line.extend_from_slice(lines.as_bytes());
        Some(self)
    }

    /// Answers that did not acknowledge the mark.
    #[must_use]
    pub fn unacknowledged(&self) -> u64 {
        let mark = self.mark.as_ref();
        mark.map_or(0, |mark| mark.missing.load(Ordering::Relaxed))
    }

    /// The mark as headers of HTTP/2.
    pub fn mark_headers(&self, headers: &mut HeaderMap) {
        if let Some(mark) = &self.mark {
            headers.insert(MARK, mark.mark.clone());
            headers.append(BAGGAGE, mark.baggage.clone());
        }
    }

    /// Looks for the acknowledgement. Whoever stands between and had no answer cannot have it.
    pub(crate) fn hear(&self, answer: &Answer<'_>) {
        let Some(mark) = &self.mark else {
            return;
        };
        let between = matches!(
            answer.status,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        );
        let mut said = answer.header(ACKNOWLEDGEMENT);
        if !between && !said.any(|said| said == mark.acknowledgement) {
            mark.missing.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_the_acknowledgement_is_counted() {
        let target = Target::new("http://127.0.0.1:1", None).unwrap();
        assert!(target.unacknowledged() == 0 && target.mark.is_none());
        let target = target.marked("v1.r.1.x", "v1.r.y").unwrap();
        let written = String::from_utf8(target.host_line.clone()).unwrap();
        let lines = "seawall-mark: v1.r.1.x\r\nbaggage: seawall.mark=v1.r.1.x\r\n";
        assert!(written.ends_with(lines), "{written}");
        let hear = |status: u16, head: &str| {
            let before = target.unacknowledged();
            target.hear(&Answer {
                status: StatusCode::from_u16(status).unwrap(),
                head: head.as_bytes(),
                body: b"",
            });
            target.unacknowledged() - before
        };
        assert_eq!(hear(201, "HTTP/1.1 201\r\nSeawall-Shadow: v1.r.y\r\n"), 0);
        assert_eq!(hear(409, "HTTP/1.1 409\r\nseawall-shadow: v1.r.y\r\n"), 0);
        assert_eq!(hear(201, "HTTP/1.1 201\r\n"), 1);
        assert_eq!(
            hear(401, "HTTP/1.1 401\r\nSeawall-Shadow: v1.other.y\r\n"),
            1
        );
        assert_eq!(hear(502, "HTTP/1.1 502\r\n"), 0, "nobody answered");
    }
}
