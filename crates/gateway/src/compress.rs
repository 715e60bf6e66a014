//! Compression of what the upstream sent plain: brotli or gzip, as the client likes.
//!
//! Only whole bodies: a stream would be held back by it. Nothing that is encoded already, that
//! forbids to be transformed, that is a part of something or signed by a digest. It must not know
//! where answers come from. Beside a secret in the same body, compression tells its length to
//! whoever can choose the rest: routes switch it on, nobody else.

use crate::cache::Directives;
use crate::cache::limits::{
    COMPRESS_AT_ONCE_MAX, COMPRESS_BYTES_MIN, COMPRESS_INLINE_BYTES_MAX, COMPRESS_ONCE_BYTES_MAX,
};
use bytes::{Bytes, BytesMut};
use host::http::Body;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use hyper::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, HeaderMap, HeaderValue, TRAILER, VARY,
};
use hyper::{Response, StatusCode};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How a body is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    Plain,
    Gzip,
    Brotli,
}

impl Coding {
    fn label(self) -> Option<&'static str> {
        match self {
            Coding::Plain => None,
            Coding::Gzip => Some("gzip"),
            Coding::Brotli => Some("br"),
        }
    }
}

/// How much a body's compression may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// For one client.
    Once,
    /// Kept for many.
    Kept,
}

/// What a client takes, and what it likes best of what we have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub best: Coding,
    gzip: bool,
    brotli: bool,
}

impl Accepted {
    /// By `Accept-Encoding` with its weights. What cannot be read counts as refused: the plain
    /// form is always right.
    #[must_use]
    pub fn by(headers: &HeaderMap) -> Accepted {
        let (mut gzip, mut brotli, mut identity, mut any) = (None, None, None, None);
        for line in headers.get_all(ACCEPT_ENCODING) {
            for item in line.as_bytes().split(|b| *b == b',') {
                let mut parts = item.split(|b| *b == b';');
                let name = parts.next().unwrap_or_default().trim_ascii();
                let weight = Some(weight(parts));
                match name.to_ascii_lowercase().as_slice() {
                    b"gzip" | b"x-gzip" => gzip = weight,
                    b"br" => brotli = weight,
                    b"identity" => identity = weight,
                    b"*" => any = weight,
                    _ => {}
                }
            }
        }
        let gzip = gzip.or(any).unwrap_or(0);
        let brotli = brotli.or(any).unwrap_or(0);
        // Plain is acceptable unless it is refused, but what is asked for by name comes first.
        let identity = identity.unwrap_or(0);
        let best = if brotli > 0 && brotli >= gzip && brotli >= identity {
            Coding::Brotli
        } else if gzip > 0 && gzip >= identity {
            Coding::Gzip
        } else {
            Coding::Plain
        };
        Accepted {
            best,
            gzip: gzip > 0,
            brotli: brotli > 0,
        }
    }

    /// The same in one of four forms, so that a cache does not keep an answer for each browser.
    pub(crate) fn plain_header(self) -> Option<HeaderValue> {
        match (self.brotli, self.gzip) {
            (true, true) => Some(HeaderValue::from_static("br, gzip")),
            (true, false) => Some(HeaderValue::from_static("br")),
            (false, true) => Some(HeaderValue::from_static("gzip")),
            (false, false) => None,
        }
    }
}

/// `q=0.5` in thousandths; all of it where there is none.
fn weight<'a>(parameters: impl Iterator<Item = &'a [u8]>) -> u32 {
    for parameter in parameters {
        let parameter = parameter.trim_ascii();
        let q = parameter
            .strip_prefix(b"q=")
            .or(parameter.strip_prefix(b"Q="));
        if let Some(q) = q {
            let q = std::str::from_utf8(q)
                .ok()
                .and_then(|q| q.trim().parse::<f32>().ok());
            return q
                .filter(|q| (0.0..=1.0).contains(q))
                .map_or(0, |q| (q * 1_000.0) as u32);
        }
    }
    1_000
}

/// Whether a body of so many bytes under this head may be compressed, and gains by it.
#[must_use]
pub fn fits(status: StatusCode, head: &HeaderMap, length: usize) -> bool {
    const SIGNED: [&str; 4] = ["content-md5", "digest", "content-digest", "repr-digest"];
    length >= COMPRESS_BYTES_MIN
        && status != StatusCode::PARTIAL_CONTENT
        && !status.is_informational()
        && !head.contains_key(CONTENT_ENCODING)
        && !head.contains_key(CONTENT_RANGE)
        && !head.contains_key(TRAILER)
        && !SIGNED.iter().any(|name| head.contains_key(*name))
        && head.get(CONTENT_TYPE).is_some_and(compressible)
        && !Directives::of(head).has("no-transform")
}

/// Types that are text in some way. Event streams are, but live by not being held back.
fn compressible(kind: &HeaderValue) -> bool {
    let kind = kind.as_bytes();
    let name = kind.split(|b| *b == b';').next().unwrap_or(kind);
    let name = name.trim_ascii().to_ascii_lowercase();
    let Ok(name) = std::str::from_utf8(&name) else {
        return false;
    };
    match name.split_once('/') {
        Some(("text", of)) => of != "event-stream",
        Some(("application", of)) => {
            matches!(
                of,
                "json" | "javascript" | "xml" | "wasm" | "x-ndjson" | "manifest+json" | "graphql"
            ) || of.ends_with("+json")
                || of.ends_with("+xml")
        }
        Some(("image", of)) => matches!(of, "svg+xml" | "bmp" | "x-icon"),
        Some(("font", of)) => matches!(of, "ttf" | "otf"),
        Some(_) | None => false,
    }
}

/// The body in another coding; `None` where that is not smaller by at least a sixteenth.
#[must_use]
pub fn body(coding: Coding, effort: Effort, plain: &[u8]) -> Option<Bytes> {
    let (gzip, brotli) = match effort {
        Effort::Once => (3, 2),
        Effort::Kept => (6, 5),
    };
    let packed = match coding {
        Coding::Plain => None,
        Coding::Gzip => gzipped(plain, gzip),
        Coding::Brotli => brotlied(plain, brotli),
    };
    packed
        .filter(|packed| packed.len() + plain.len() / 16 <= plain.len())
        .map(Bytes::from)
}

fn gzipped(plain: &[u8], level: u32) -> Option<Vec<u8>> {
    let out = Vec::with_capacity(plain.len() / 3);
    let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::new(level));
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}

fn brotlied(plain: &[u8], level: u32) -> Option<Vec<u8>> {
    const BUFFER_BYTES: usize = 16 * 1_024;
    const WINDOW_BITS: u32 = 19;
    let mut out = Vec::with_capacity(plain.len() / 4);
    {
        let mut encoder = brotli::CompressorWriter::new(&mut out, BUFFER_BYTES, level, WINDOW_BITS);
        encoder.write_all(plain).ok()?;
        encoder.flush().ok()?;
    }
    Some(out)
}

/// Says in the head of an answer that others may get it in another coding, and in which this is.
pub fn mark(head: &mut HeaderMap, coding: Coding) {
    let told = head.get_all(VARY).iter().any(|value| {
        let mut names = value.as_bytes().split(|b| *b == b',');
        names.any(|name| {
            let name = name.trim_ascii();
            name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding")
        })
    });
    if !told {
        head.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    let Some(label) = coding.label() else {
        return;
    };
    head.insert(CONTENT_ENCODING, HeaderValue::from_static(label));
    head.remove(CONTENT_LENGTH);
    head.remove(ACCEPT_RANGES);
    // The bytes are other ones, the meaning is the same: that is what a weak tag says.
    let weak = head
        .get(ETAG)
        .filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    let weak = weak.and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok());
    if let Some(weak) = weak {
        head.insert(ETAG, weak);
    }
}

/// Compresses a body away from the worker if it is large. `None`: no gain, or too much to do.
pub(crate) async fn aside<F>(plain_bytes: usize, work: F) -> Option<Bytes>
where
    F: FnOnce() -> Option<Bytes> + Send + 'static,
{
    if plain_bytes <= COMPRESS_INLINE_BYTES_MAX {
        return work();
    }
    let place = Place::take()?;
    let made = tokio::task::spawn_blocking(move || {
        let _place = place;
        work()
    });
    made.await.ok().flatten()
}

/// One of the bodies that are compressed at once.
struct Place;
static TAKEN: AtomicUsize = AtomicUsize::new(0);

impl Place {
    fn take() -> Option<Place> {
        let more = |taken: usize| (taken < COMPRESS_AT_ONCE_MAX).then_some(taken + 1);
        let taken = TAKEN.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.is_ok().then_some(Place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        TAKEN.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An answer for one client, compressed if that may be and gains; else as it was. A body whose
/// length is known and small is waited for; others flow on.
pub async fn answer(accepted: Accepted, response: Response<Body>) -> Response<Body> {
    let length = match response.body() {
        Body::Empty | Body::Stream(_) | Body::Upgrade(_) => None,
        body @ (Body::Full(_) | Body::Relayed(_)) => body.size_hint().exact(),
    };
    let length = length.and_then(|length| usize::try_from(length).ok());
    let Some(length) = length.filter(|length| *length <= COMPRESS_ONCE_BYTES_MAX) else {
        return response;
    };
    if !fits(response.status(), response.headers(), length) {
        return response;
    }
    let (mut head, body_of) = response.into_parts();
    mark(&mut head.headers, Coding::Plain);
    if accepted.best == Coding::Plain {
        return Response::from_parts(head, body_of);
    }
    let whole = match whole(body_of, length).await {
        Ok(whole) => whole,
        Err(cut) => return Response::from_parts(head, cut),
    };
    let (coding, plain) = (accepted.best, whole.clone());
    let packed = aside(whole.len(), move || body(coding, Effort::Once, &plain)).await;
    match packed {
        Some(packed) => {
            mark(&mut head.headers, coding);
            Response::from_parts(head, Body::Full(packed))
        }
        None => Response::from_parts(head, Body::Full(whole)),
    }
}

/// `Err`: it ended too early; what came, and then the failure.
async fn whole(mut body: Body, length: usize) -> Result<Bytes, Body> {
    if let Body::Full(bytes) = body {
        return Ok(bytes);
    }
    let mut all = BytesMut::with_capacity(length);
    loop {
        match body.frame().await {
            None => return Ok(all.freeze()),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    all.extend_from_slice(&data);
                }
            }
            Some(Err(cut)) => return Err(crate::cache::cut_after(all.freeze(), cut)),
        }
    }
}
