//! The mark of rehearsal traffic: who holds the key may say "this request belongs to run R".
//!
//! `Seawall-Mark: v1.<run>.<expiry>.<mac>`, or the same text as the member `seawall.mark` of
//! `baggage` (W3C) – the run in 1 to 64 letters, digits, '-' or '_', the expiry in seconds since
//! 1970, and HMAC-SHA-256 in base64url without padding over a label and everything before the
//! last dot. Marked requests reach the shadow of the shop, so a mark that is not ours, or not any
//! more, is taken out at the door and counted: behind it, every mark is genuine.
//!
//! Whoever sent a mark cannot see whether it was lost on the way, so those who serve it answer
//! with `Seawall-Shadow: v1.<run>.<mac>`, signed by the same key under another label. It must not
//! know what a mark changes.

mod baggage;
#[cfg(test)]
mod tests;

pub use baggage::{BAGGAGE, MEMBER};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::limits::{MARK_KEY_BYTES_MAX, MARK_KEY_BYTES_MIN, MARK_RUN_BYTES_MAX};

pub const SEAWALL_MARK: HeaderName = HeaderName::from_static("seawall-mark");
/// The acknowledgement of a mark.
pub const SEAWALL_SHADOW: HeaderName = HeaderName::from_static("seawall-shadow");

const VERSION: &str = "v1";
/// Keeps a MAC that was made for something else with the same key from being a mark.
const LABEL: &[u8] = b"seawall.mark.v1\0";
const SHADOW_LABEL: &[u8] = b"seawall.shadow.v1\0";
const MAC_BYTES: usize = 32;
/// 32 bytes in base 64 without padding.
const MAC_CHARS: usize = 43;

/// The name of a rehearsal run.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId {
    length: u8,
    bytes: [u8; MARK_RUN_BYTES_MAX],
}

impl RunId {
    /// `None`: empty, too long, or with other letters.
    #[must_use]
    pub fn new(text: &str) -> Option<RunId> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if text.is_empty() || text.len() > MARK_RUN_BYTES_MAX || !text.bytes().all(plain) {
            return None;
        }
        let mut bytes = [0; MARK_RUN_BYTES_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Some(RunId {
            length: text.len() as u8,
            bytes,
        })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = &self.bytes[..usize::from(self.length)];
        std::str::from_utf8(bytes).expect("a run's name is made of ASCII")
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunId({})", self.as_str())
    }
}

/// What a request's head says about rehearsals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    /// By one of our keys, and still good.
    Marked {
        run: RunId,
    },
    Absent,
    /// Not in the form of a mark, two of them, or signed by nobody we know.
    Forged,
    /// Genuine, but its time is over.
    Expired,
}

/// A good mark as the door hands it to whoever serves the request in its process, beside the
/// headers: those are anybody's.
#[derive(Clone, Debug)]
pub struct Verified {
    pub run: RunId,
    /// For the answer, as [`SEAWALL_SHADOW`]: this run was served here, by a shadow.
    pub acknowledgement: HeaderValue,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum BadMarkKey {
    #[error(
        "{} holds {found} bytes, expected {MARK_KEY_BYTES_MIN} to {MARK_KEY_BYTES_MAX}",
        file.display()
    )]
    Length { file: PathBuf, found: usize },
    #[error("{} is not readable: {error}", file.display())]
    Unreadable {
        file: PathBuf,
        error: std::io::Error,
    },
}

/// Marks since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarkCounts {
    pub marked: u64,
    pub forged: u64,
    pub expired: u64,
}

/// The keys, for all workers. Without keys no mark is believed.
#[derive(Default)]
pub struct Marks {
    keys: Vec<Key>,
    counted: Arc<Counted>,
}

/// One secret, ready for each of the two things that it signs.
struct Key {
    marks: Hmac<Sha256>,
    shadows: Hmac<Sha256>,
}

#[derive(Default)]
struct Counted {
    marked: AtomicU64,
    forged: AtomicU64,
    expired: AtomicU64,
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Marks({} keys)", self.keys.len())
    }
}

impl Marks {
    /// No keys: every mark is forged.
    #[must_use]
    pub fn none() -> Marks {
        Marks::default()
    }

    /// The keys of the files, the first of which signs.
    pub fn read(settings: &wire::gateway::listeners::Mark) -> Result<Marks, BadMarkKey> {
        let mut keys = Vec::with_capacity(settings.key_files.len());
        for file in &settings.key_files {
            let key = std::fs::read(file).map_err(|error| BadMarkKey::Unreadable {
                file: file.clone(),
                error,
            })?;
            if !(MARK_KEY_BYTES_MIN..=MARK_KEY_BYTES_MAX).contains(&key.len()) {
                return Err(BadMarkKey::Length {
                    file: file.clone(),
                    found: key.len(),
                });
            }
            keys.push(Key::new(&key));
        }
        Ok(Marks {
            keys,
            ..Marks::default()
        })
    }

    /// One key, for whoever only signs.
    #[must_use]
    pub fn of_key(key: &[u8; 32]) -> Marks {
        Marks {
            keys: vec![Key::new(key)],
            ..Marks::default()
        }
    }

    /// These keys, counting on from those before.
    #[must_use]
    pub fn after(self, before: &Marks) -> Marks {
        Marks {
            counted: Arc::clone(&before.counted),
            ..self
        }
    }

    /// What the head says at `now_s` seconds since 1970. Nothing is counted or changed.
    #[must_use]
    pub fn check(&self, headers: &HeaderMap, now_s: u64) -> Marked {
        match baggage::find(headers) {
            Carried::No => Marked::Absent,
            Carried::Once(mark) => self.read_mark(mark, now_s).0,
            Carried::Unclear => Marked::Forged,
        }
    }

    /// [`Marks::check`] as the door does it: counted, and what is not good is taken out. A good
    /// one goes on in both places: the next hop may lose one of them.
    pub fn admit(&self, headers: &mut HeaderMap, now_s: u64) -> Option<Verified> {
        let (marked, key, whole) = match baggage::find(headers) {
            Carried::No => return None,
            Carried::Once(mark) => {
                let (marked, key) = self.read_mark(mark, now_s);
                (marked, key, HeaderValue::from_bytes(mark).ok())
            }
            Carried::Unclear => (Marked::Forged, None, None),
        };
        let count = match marked {
            Marked::Absent => return None,
            Marked::Marked { .. } => &self.counted.marked,
            Marked::Forged => &self.counted.forged,
            Marked::Expired => &self.counted.expired,
        };
        count.fetch_add(1, Relaxed);
        match (marked, key, whole) {
            (Marked::Marked { run }, Some(key), Some(mark)) => {
                baggage::complete(headers, mark);
                Some(Verified {
                    run,
                    acknowledgement: key.acknowledge(&run),
                })
            }
            _ => {
                strip(headers);
                None
            }
        }
    }

    /// What answers to requests of `run` carry when they were served by its shadow. `None`
    /// without a key.
    #[must_use]
    pub fn acknowledgement(&self, run: &RunId) -> Option<HeaderValue> {
        Some(self.keys.first()?.acknowledge(run))
    }

    /// A mark for requests of `run`, good until just before `expiry_s`. `None` without a key.
    #[must_use]
    pub fn sign(&self, run: &RunId, expiry_s: u64) -> Option<HeaderValue> {
        let key = self.keys.first()?;
        let signed = format!("{VERSION}.{}.{expiry_s}", run.as_str());
        Some(value(&signed, &key.marks))
    }

    #[must_use]
    pub fn counts(&self) -> MarkCounts {
        MarkCounts {
            marked: self.counted.marked.load(Relaxed),
            forged: self.counted.forged.load(Relaxed),
            expired: self.counted.expired.load(Relaxed),
        }
    }

    /// With the key that signed it.
    fn read_mark(&self, mark: &[u8], now_s: u64) -> (Marked, Option<&Key>) {
        let Some((signed, run, expiry_s, tag)) = parse(mark) else {
            return (Marked::Forged, None);
        };
        // Every key is asked, so that the time taken does not tell which one signed.
        let signer = self.keys.iter().fold(None, |found, key| {
            let ours = over(&key.marks, signed).verify_slice(&tag).is_ok();
            if ours { Some(key) } else { found }
        });
        match signer {
            None => (Marked::Forged, None),
            Some(_) if now_s >= expiry_s => (Marked::Expired, None),
            Some(key) => (Marked::Marked { run }, Some(key)),
        }
    }
}

impl Key {
    fn new(secret: &[u8]) -> Key {
        let labelled = |label: &[u8]| {
            let mut mac = Hmac::new_from_slice(secret).expect("any length is a key");
            mac.update(label);
            mac
        };
        Key {
            marks: labelled(LABEL),
            shadows: labelled(SHADOW_LABEL),
        }
    }

    fn acknowledge(&self, run: &RunId) -> HeaderValue {
        value(&format!("{VERSION}.{}", run.as_str()), &self.shadows)
    }
}

/// Whether somebody should look for a mark: nothing is read yet.
#[must_use]
pub fn may_carry(headers: &HeaderMap) -> bool {
    headers.contains_key(SEAWALL_MARK) || headers.contains_key(BAGGAGE)
}

/// Takes every mark out.
pub fn strip(headers: &mut HeaderMap) {
    headers.remove(SEAWALL_MARK);
    baggage::remove(headers);
}

/// What a head says, before anybody asks whether it is true.
enum Carried<'a> {
    No,
    /// In one place, or the same in both.
    Once(&'a [u8]),
    /// Two of them, or different ones.
    Unclear,
}

type Parts<'a> = (&'a [u8], RunId, u64, [u8; MAC_BYTES]);

/// What is signed, the run, the expiry and the MAC. One mark has one spelling.
fn parse(mark: &[u8]) -> Option<Parts<'_>> {
    let mark = std::str::from_utf8(mark).ok()?;
    let (signed, tag_text) = mark.rsplit_once('.')?;
    let (run, expiry) = signed
        .strip_prefix(VERSION)?
        .strip_prefix('.')?
        .split_once('.')?;
    let digits = expiry.bytes().all(|b| b.is_ascii_digit()) && !expiry.starts_with('0');
    if !digits || tag_text.len() != MAC_CHARS {
        return None;
    }
    // The decoder refuses letters whose last bits would be lost, so there is no second spelling.
    let mut tag = [0; MAC_BYTES + 1];
    let length = URL_SAFE_NO_PAD.decode_slice(tag_text, &mut tag).ok()?;
    let tag = tag[..length].try_into().ok()?;
    Some((
        signed.as_bytes(),
        RunId::new(run)?,
        expiry.parse().ok()?,
        tag,
    ))
}

fn value(signed: &str, key: &Hmac<Sha256>) -> HeaderValue {
    let tag = over(key, signed.as_bytes()).finalize().into_bytes();
    let text = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
    HeaderValue::try_from(text).expect("letters, digits, dots, '-' and '_' only")
}

fn over(key: &Hmac<Sha256>, signed: &[u8]) -> Hmac<Sha256> {
    let mut mac = key.clone();
    mac.update(signed);
    mac
}
