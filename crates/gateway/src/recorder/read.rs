//! The format of recorded requests, and its reader. One line is one JSON object that stands for
//! itself, so files may be cut, joined and searched line by line.
//! It must not know how requests were taken or will be replayed.

use crate::limits::RECORD_LINE_BYTES_MAX;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Read};

/// Grows when a reader of the one before would misunderstand. New members do not count: a reader
/// passes over what it does not know.
pub const VERSION: u32 = 1;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub v: u32,
    /// When its head had been read, in milliseconds since 1970.
    pub time_ms: u64,
    /// A keyed hash: one client has one.
    pub client: String,
    pub method: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Path and query.
    pub target: String,
    /// In the order of their arrival by name, repeated ones repeated.
    pub headers: Vec<(String, String)>,
    pub body: BodyRecord,
    /// Absent where the client went away before an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<u64>,
}

/// What is kept of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyRecord {
    /// Bytes that arrived.
    pub length: u64,
    /// A keyed hash of the body as it was, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// The body without its secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A line that is no record.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ReadError {
    /// From 1.
    pub line: u64,
    pub what: ReadWhat,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadWhat {
    #[error("not readable: {0}")]
    Io(io::Error),
    #[error("longer than {RECORD_LINE_BYTES_MAX} bytes")]
    TooLong,
    #[error("version {found}, expected {VERSION}")]
    Version { found: u64 },
    #[error("not a recorded request: {0}")]
    Malformed(serde_json::Error),
}

/// The records of a file, line by line. A wrong line is an error and the next one is tried; after a
/// failure to read there is no next one. Empty lines are passed over.
pub fn read<R: BufRead>(from: R) -> Records<R> {
    Records {
        from,
        line: 0,
        bytes: Vec::new(),
        over: false,
    }
}

#[derive(Debug)]
pub struct Records<R> {
    from: R,
    line: u64,
    bytes: Vec<u8>,
    over: bool,
}

impl<R: BufRead> Iterator for Records<R> {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.over {
            self.bytes.clear();
            self.line += 1;
            let line = self.line;
            let bad = |what| Some(Err(ReadError { line, what }));
            let most = RECORD_LINE_BYTES_MAX as u64 + 1;
            let mut bounded = Read::take(&mut self.from, most);
            match bounded.read_until(b'\n', &mut self.bytes) {
                Ok(0) => self.over = true,
                Ok(_) if self.bytes.len() > RECORD_LINE_BYTES_MAX => {
                    return match self.pass_over() {
                        Ok(()) => bad(ReadWhat::TooLong),
                        Err(error) => bad(ReadWhat::Io(error)),
                    };
                }
                Ok(_) if self.bytes.trim_ascii().is_empty() => {}
                Ok(_) => {
                    return Some(parse(&self.bytes).map_err(|what| ReadError { line, what }));
                }
                Err(error) => {
                    self.over = true;
                    return bad(ReadWhat::Io(error));
                }
            }
        }
        None
    }
}

impl<R: BufRead> Records<R> {
    /// To the end of a line that is too long.
    fn pass_over(&mut self) -> io::Result<()> {
        if self.bytes.last() == Some(&b'\n') {
            return Ok(());
        }
        let passed = self.from.skip_until(b'\n');
        self.over = passed.is_err();
        passed.map(|_| ())
    }
}

fn parse(line: &[u8]) -> Result<Record, ReadWhat> {
    #[derive(Deserialize)]
    struct Versioned {
        v: u64,
    }
    // A later version may look quite different, so its number is asked first.
    match serde_json::from_slice(line) {
        Ok(Versioned { v }) if v == u64::from(VERSION) => {
            serde_json::from_slice(line).map_err(ReadWhat::Malformed)
        }
        Ok(Versioned { v }) => Err(ReadWhat::Version { found: v }),
        Err(error) => Err(ReadWhat::Malformed(error)),
    }
}
