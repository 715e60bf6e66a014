//! What can be wrong with a recording. A line that is no request is a refusal of that line, with
//! its number; the next one is read all the same. It must not know any format.

use crate::limits::{HEADERS_MAX, ITEM_BYTES_MAX, LINE_BYTES_MAX};
use std::io;

/// A line, or an item that begins there, that is no request.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct ReadError {
    /// From 1.
    pub line: u64,
    pub why: Why,
}

/// Why it is none. [`Why::label`] groups them for counting.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// The system failed: nothing follows.
    #[error("not readable: {0}")]
    Io(io::Error),
    #[error("a line longer than {LINE_BYTES_MAX} bytes")]
    LongLine,
    #[error("an item longer than {ITEM_BYTES_MAX} bytes")]
    LongItem,
    #[error("more than {HEADERS_MAX} headers")]
    Headers,
    /// Something else stands where the format wants a part of itself.
    #[error("expected {0}")]
    Shape(&'static str),
    #[error("no instant: {0:?}")]
    Time(String),
    /// Servers log what is no HTTP, too: `-`, TLS on a plain port, line noise.
    #[error("no request line: {0:?}")]
    RequestLine(String),
    #[error("no status: {0:?}")]
    Status(String),
    #[error("no number of bytes: {0:?}")]
    Bytes(String),
    #[error("{0}")]
    Json(serde_json::Error),
    #[error("no member {0}")]
    Missing(String),
    #[error("version {0} of recorded requests, expected 1")]
    Version(u64),
    /// An answer whose request is not in the recording.
    #[error("an answer without its request: id {0:?}")]
    Orphan(String),
    #[error("it ends in the middle of {0}")]
    Cut(&'static str),
}

impl Why {
    /// The reason in a few words, the same for all lines that have it.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Why::Io(_) => "not readable",
            Why::LongLine => "line too long",
            Why::LongItem => "item too long",
            Why::Headers => "too many headers",
            Why::Shape(_) => "not this format",
            Why::Time(_) => "no instant",
            Why::RequestLine(_) => "no request line",
            Why::Status(_) => "no status",
            Why::Bytes(_) => "no number of bytes",
            Why::Json(_) => "malformed JSON",
            Why::Missing(_) => "a member is missing",
            Why::Version(_) => "another version",
            Why::Orphan(_) => "answer without request",
            Why::Cut(_) => "cut off",
        }
    }

    /// What was found, cut so that a message stays a line.
    pub(crate) fn excerpt(text: &str) -> String {
        text.chars().take(60).collect()
    }
}

/// A recording that is not read at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("not readable: {0}")]
    Io(#[from] io::Error),
    #[error("it is empty")]
    Empty,
    #[error(
        "its format is not recognised: expected an access log (combined, common or JSON), HAR, \
         GoReplay's .gor or requests recorded by the gateway; name it with --format if it is one"
    )]
    Unknown,
    #[error("it is packed with {0}, which is not read: unpack it first (gzip is read)")]
    Packed(&'static str),
}

/// A file that people write for us (rules, weights, lists) and what is wrong with it, all at once.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Problems(pub Vec<String>);
