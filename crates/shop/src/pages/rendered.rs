//! A page or file, ready for the wire: plain, gzip and brotli, each with its own strong ETag.
//!
//! Made once and served thousands of times a second, so everything that can be worked out is
//! worked out in [`Rendered::new`]; answering copies no body. It knows nothing of routes.

use super::limits;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::sync::OnceLock;

/// What [`respond`] answers: status, headers in lower case, body.
pub type Answer = (u16, Vec<(&'static str, Bytes)>, Bytes);

pub const HTML: &str = "text/html; charset=utf-8";
/// Keep it, but ask whether it is still right: a shop that shows yesterday's stock is a liar.
pub const ASK_FIRST: &str = "public, no-cache";
/// For names that carry the hash of their content.
pub const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Pages about one person.
pub const PERSONAL: &str = "private, no-store";

/// Everything from this site, nothing inline, in nobody's frame.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self'; \
    style-src 'self'; img-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; \
    form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'";
/// A picture opened by its own address is a document: it may run nothing and ask nobody.
pub const PICTURE_SECURITY_POLICY: &str = "default-src 'none'; sandbox";

const SAFETY: [(&str, &str); 5] = [
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), geolocation=(), microphone=(), payment=(self)",
    ),
];

/// How a body travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Gzip,
    Brotli,
}

#[derive(Clone, Debug)]
pub struct Rendered {
    pub identity: Bytes,
    /// Made when first asked for: in a flood, a form that nobody takes costs half a core.
    /// `None` inside where compressing gains nothing.
    gzip: OnceLock<Option<Bytes>>,
    brotli: OnceLock<Option<Bytes>>,
    /// Of brotli and of gzip.
    levels: (u32, u32),
    /// Of the identity body, with its quotes.
    pub etag: Bytes,
    etag_gzip: Bytes,
    etag_brotli: Bytes,
    kind: &'static str,
    cache: &'static str,
    policy: &'static str,
}

impl Rendered {
    /// A page that is rendered again whenever a number on it changes.
    pub fn new(html: String) -> Rendered {
        let levels = (limits::BROTLI_LIVE, limits::GZIP_LIVE);
        Rendered::made(
            html.into(),
            HTML,
            ASK_FIRST,
            CONTENT_SECURITY_POLICY,
            levels,
        )
    }

    /// A file under a name that carries its hash.
    pub fn immutable(body: Bytes, kind: &'static str) -> Rendered {
        let levels = (limits::BROTLI_ONCE, limits::GZIP_ONCE);
        Rendered::made(body, kind, FOR_EVER, CONTENT_SECURITY_POLICY, levels)
    }

    /// A picture of the catalogue: kept for a day, since its name stays when it is redrawn.
    pub fn picture(body: Bytes, kind: &'static str) -> Rendered {
        let levels = (limits::BROTLI_ONCE, limits::GZIP_ONCE);
        Rendered::made(
            body,
            kind,
            "public, max-age=86400",
            PICTURE_SECURITY_POLICY,
            levels,
        )
    }

    fn made(
        identity: Bytes,
        kind: &'static str,
        cache: &'static str,
        policy: &'static str,
        levels: (u32, u32),
    ) -> Rendered {
        let hash = hash16(&identity);
        Rendered {
            gzip: OnceLock::new(),
            brotli: OnceLock::new(),
            levels,
            etag: format!("\"{hash}\"").into(),
            etag_gzip: format!("\"{hash}-gz\"").into(),
            etag_brotli: format!("\"{hash}-br\"").into(),
            identity,
            kind,
            cache,
            policy,
        }
    }

    pub fn gzip(&self) -> Option<&Bytes> {
        let make = || smaller(gzipped(&self.identity, self.levels.1), self.identity.len());
        self.gzip.get_or_init(make).as_ref()
    }

    pub fn brotli(&self) -> Option<&Bytes> {
        let make = || smaller(brotlied(&self.identity, self.levels.0), self.identity.len());
        self.brotli.get_or_init(make).as_ref()
    }

    /// All bytes it may come to occupy, roughly: what a bounded cache counts.
    pub fn weight(&self) -> usize {
        2 * self.identity.len() + size_of::<Rendered>()
    }

    fn form(&self, encoding: Encoding) -> Option<(&Bytes, &Bytes)> {
        match encoding {
            Encoding::Identity => Some((&self.identity, &self.etag)),
            Encoding::Gzip => self.gzip().map(|body| (body, &self.etag_gzip)),
            Encoding::Brotli => self.brotli().map(|body| (body, &self.etag_brotli)),
        }
    }
}

/// 200 with the best form the client takes, or 304 when it has that form already.
///
/// An `Accept-Encoding` that refuses even identity still gets identity: RFC 9110 allows it, and
/// a page is more use than a 406.
pub fn respond(
    page: &Rendered,
    accept_encoding: Option<&str>,
    if_none_match: Option<&str>,
) -> Answer {
    let wanted = negotiate(accept_encoding);
    let (encoding, (body, etag)) = match page.form(wanted) {
        Some(form) => (wanted, form),
        None => (Encoding::Identity, (&page.identity, &page.etag)),
    };
    let mut headers: Vec<(&'static str, Bytes)> = Vec::with_capacity(12);
    headers.push(("etag", etag.clone()));
    headers.push(("cache-control", fixed(page.cache)));
    headers.push(("vary", fixed("Accept-Encoding")));
    if if_none_match.is_some_and(|tags| names(tags, etag)) {
        return (304, headers, Bytes::new());
    }
    headers.push(("content-type", fixed(page.kind)));
    match encoding {
        Encoding::Identity => {}
        Encoding::Gzip => headers.push(("content-encoding", fixed("gzip"))),
        Encoding::Brotli => headers.push(("content-encoding", fixed("br"))),
    }
    push_safety(&mut headers, page.policy);
    (200, headers, body.clone())
}

/// A page about one person: never stored, never compressed. Compression beside a secret that
/// the page carries (an idempotency key) would leak its length (the BREACH attack).
pub fn personal(status: u16, html: String) -> Answer {
    let mut headers: Vec<(&'static str, Bytes)> = Vec::with_capacity(8);
    headers.push(("content-type", fixed(HTML)));
    headers.push(("cache-control", fixed(PERSONAL)));
    push_safety(&mut headers, CONTENT_SECURITY_POLICY);
    (status, headers, html.into())
}

fn push_safety(headers: &mut Vec<(&'static str, Bytes)>, policy: &'static str) {
    for (name, value) in SAFETY {
        let value = if name == "content-security-policy" {
            policy
        } else {
            value
        };
        headers.push((name, fixed(value)));
    }
}

fn fixed(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// Which encoding the client likes best of those we have; the smaller one between equals.
pub fn negotiate(accept_encoding: Option<&str>) -> Encoding {
    let Some(header) = accept_encoding else {
        return Encoding::Identity;
    };
    let (mut gzip, mut brotli, mut any) = (None, None, None);
    let mut identity = None;
    for item in header.split(',') {
        let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
        let weight = Some(quality(parameters));
        match coding.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => gzip = weight,
            "br" => brotli = weight,
            "identity" => identity = weight,
            "*" => any = weight,
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    let brotli = brotli.or(any).unwrap_or(0);
    // Identity is acceptable unless it is refused, but anything asked for by name comes first.
    let identity = identity.unwrap_or(0);
    if brotli > 0 && brotli >= gzip && brotli >= identity {
        Encoding::Brotli
    } else if gzip > 0 && gzip >= identity {
        Encoding::Gzip
    } else {
        Encoding::Identity
    }
}

/// `;q=0.5` in thousandths. What cannot be read counts as refused: the plain form is always right.
fn quality(parameters: &str) -> u32 {
    for parameter in parameters.split(';') {
        let Some((name, value)) = parameter.split_once('=') else {
            continue;
        };
        if name.trim().eq_ignore_ascii_case("q") {
            let q: f32 = value.trim().parse().unwrap_or(0.0);
            return if (0.0..=1.0).contains(&q) {
                (q * 1000.0) as u32
            } else {
                0
            };
        }
    }
    1000
}

/// Whether `If-None-Match` names this tag; a proxy may have weakened it.
fn names(tags: &str, etag: &[u8]) -> bool {
    tags.split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag)
}

/// The first 16 hexadecimal digits of the SHA-256: no two of our pages collide by chance.
pub(crate) fn hash16(body: &[u8]) -> String {
    Sha256::digest(body)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn smaller(compressed: Option<Vec<u8>>, plain: usize) -> Option<Bytes> {
    compressed
        .filter(|body| body.len() < plain)
        .map(Bytes::from)
}

fn gzipped(body: &[u8], level: u32) -> Option<Vec<u8>> {
    let out = Vec::with_capacity(body.len() / 3);
    let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::new(level));
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

fn brotlied(body: &[u8], level: u32) -> Option<Vec<u8>> {
    const BUFFER_BYTES: usize = 16 * 1024;
    const WINDOW_BITS: u32 = 19;
    let mut out = Vec::with_capacity(body.len() / 4);
    {
        let mut encoder = brotli::CompressorWriter::new(&mut out, BUFFER_BYTES, level, WINDOW_BITS);
        encoder.write_all(body).ok()?;
        encoder.flush().ok()?;
    }
    Some(out)
}
