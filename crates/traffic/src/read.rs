//! Opens recordings: unpacks gzip, recognises the format by its first lines, and gives requests and
//! refused lines one by one. It must not know what becomes of them.

use crate::error::{OpenError, ReadError, Why};
use crate::gor::Gor;
use crate::har::Har;
use crate::json_log::Fields;
use crate::limits::{HEAD_BYTES, HEAD_LINES};
use crate::lines::Lines;
use crate::seen::Seen;
use crate::{combined, record};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Chain, Cursor, Read};
use std::path::Path;

/// What a recording is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Common and combined access logs.
    Combined,
    /// Access logs of one JSON object a line.
    Json,
    Har,
    /// GoReplay.
    Gor,
    /// Our gateway's recorder.
    Recorder,
}

impl Format {
    pub const ALL: [Format; 5] = [
        Format::Combined,
        Format::Json,
        Format::Har,
        Format::Gor,
        Format::Recorder,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Format::Combined => "combined",
            Format::Json => "json",
            Format::Har => "har",
            Format::Gor => "gor",
            Format::Recorder => "recorder",
        }
    }

    /// By its name; `common` is also `combined`.
    #[must_use]
    pub fn named(name: &str) -> Option<Format> {
        let name = if name == "common" { "combined" } else { name };
        Format::ALL.into_iter().find(|format| format.name() == name)
    }

    /// By the start of a recording.
    #[must_use]
    pub fn recognise(head: &[u8], fields: &Fields) -> Option<Format> {
        let head = head.strip_prefix("\u{feff}".as_bytes()).unwrap_or(head);
        let mut lines = head.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
        let found = lines
            .by_ref()
            .take(HEAD_LINES)
            .find_map(|line| of_line(line, fields));
        found.or_else(|| {
            // A HAR document may be written over many lines.
            let object = head.trim_ascii_start().starts_with(b"{");
            let named = |name: &[u8]| memchr::memmem::find(head, name).is_some();
            (object && named(b"\"log\"")).then_some(Format::Har)
        })
    }
}

fn of_line(line: &[u8], fields: &Fields) -> Option<Format> {
    if line.starts_with(b"{") {
        let value: serde_json::Value = serde_json::from_slice(line).ok()?;
        let has = |name: &str| value.get(name).is_some();
        if has("log") && !has("time") {
            return Some(Format::Har);
        }
        if has("v") && has("time_ms") {
            return Some(Format::Recorder);
        }
        return fields.parse(line).is_ok().then_some(Format::Json);
    }
    let words: Vec<&[u8]> = line.split(|b| *b == b' ').take(5).collect();
    if let [b"1" | b"2" | b"3", id, times @ ..] = words.as_slice()
        && id.len() >= 8
        && id.iter().all(u8::is_ascii_hexdigit)
        && matches!(times.len(), 1 | 2)
        && times.iter().all(|time| time.iter().all(u8::is_ascii_digit))
    {
        return Some(Format::Gor);
    }
    combined::parse(line).is_ok().then_some(Format::Combined)
}

/// How to read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `None`: recognise it.
    pub format: Option<Format>,
    /// Of JSON access logs.
    pub fields: Fields,
}

type Source = BufReader<Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>>;

/// The requests of a recording, in its order. A wrong line is an error, and the next one is read.
pub struct Reader {
    format: Format,
    fields: Fields,
    kind: Kind,
}

enum Kind {
    Lines(Lines<Source>),
    Har(Har<Source>),
    Gor(Box<Gor<Source>>),
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader({})", self.format.name())
    }
}

/// A file, or stdin for `-`.
pub fn open(path: &Path, options: &Options) -> Result<Reader, OpenError> {
    if path.as_os_str() == "-" {
        return read(Box::new(std::io::stdin()), options);
    }
    read(Box::new(File::open(path)?), options)
}

/// Anything that gives bytes.
pub fn read(from: Box<dyn Read + Send>, options: &Options) -> Result<Reader, OpenError> {
    let (mut head, mut from) = head_of(from)?;
    if head.starts_with(&[0x1f, 0x8b]) {
        let packed = Cursor::new(head).chain(from);
        (head, from) = head_of(Box::new(MultiGzDecoder::new(packed)))?;
    }
    if head.starts_with(b"\xfd7zXZ\0") {
        return Err(OpenError::Packed("xz"));
    }
    if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Err(OpenError::Packed("zstd"));
    }
    if head.trim_ascii().is_empty() {
        return Err(OpenError::Empty);
    }
    let recognised = || Format::recognise(&head, &options.fields);
    let format = options
        .format
        .or_else(recognised)
        .ok_or(OpenError::Unknown)?;
    let source = BufReader::with_capacity(HEAD_BYTES, Cursor::new(head).chain(from));
    Ok(Reader {
        format,
        fields: options.fields.clone(),
        kind: match format {
            Format::Har => Kind::Har(Har::new(source)),
            Format::Gor => Kind::Gor(Box::new(Gor::new(source))),
            Format::Combined | Format::Json | Format::Recorder => Kind::Lines(Lines::new(source)),
        },
    })
}

type Headed = (Vec<u8>, Box<dyn Read + Send>);

/// The first bytes, and what gives the others.
fn head_of(mut from: Box<dyn Read + Send>) -> Result<Headed, OpenError> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    from.by_ref()
        .take(HEAD_BYTES as u64)
        .read_to_end(&mut head)?;
    Ok((head, from))
}

impl Reader {
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }
}

impl Iterator for Reader {
    type Item = Result<Seen, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let lines = match &mut self.kind {
            Kind::Har(har) => return har.next(),
            Kind::Gor(gor) => return gor.next(),
            Kind::Lines(lines) => lines,
        };
        let (line, bytes) = match lines.next()? {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        let parsed = match self.format {
            Format::Json => self.fields.parse(bytes),
            Format::Recorder => record::parse(bytes),
            Format::Combined | Format::Har | Format::Gor => combined::parse(bytes),
        };
        Some(parsed.map_err(|why: Why| ReadError { line, why }))
    }
}
