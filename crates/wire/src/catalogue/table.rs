//! CSV (RFC 4180) with line-exact complaints: a quote that never closes, text after a closing
//! quote, a row with too few fields. General readers forgive these silently, and a forgiven quote
//! swallows every product up to the next one; so the few rules are written out here.

use super::limits::{COLUMNS_MAX, IMPORT_BYTES_MAX, LINE_BYTES_MAX};
use super::lines::{Found, Lines};
use super::profile::Sheet;
use super::{Intake, Product, quoted};
use std::io::{self, BufRead};

/// One record: its fields and the line it starts on.
struct Record {
    line: u64,
    fields: Vec<String>,
}

enum Next {
    Record(Record),
    /// Said already; reading goes on.
    Unreadable,
    End,
}

pub(super) fn read<R: BufRead, S: FnMut(Product)>(
    lines: &mut Lines<R>,
    intake: &mut Intake<'_, S>,
) -> io::Result<()> {
    let mut reader = Reader {
        delimiter: None,
        raw: Vec::new(),
    };
    let header = match reader.next(lines, intake)? {
        Next::Record(header) => header,
        Next::Unreadable => return Ok(()),
        Next::End => {
            intake.problem(
                1,
                "",
                "an empty file".to_owned(),
                "a header row with column names",
            );
            return Ok(());
        }
    };
    let width = header.fields.len();
    let Some(mut sheet) = Sheet::of(header.line, header.fields, &mut intake.problems) else {
        return Ok(());
    };
    while !intake.full {
        match reader.next(lines, intake)? {
            Next::Record(record) if record.fields.len() == width => {
                let found = sheet.draft(record.line, record.fields, &mut intake.summary);
                if let Some(draft) = found {
                    intake.take(draft);
                }
            }
            Next::Record(record) => {
                let found = format!("{} fields", record.fields.len());
                intake.problem(record.line, "", found, format!("{width} as in the header"));
            }
            Next::Unreadable => {}
            Next::End => break,
        }
    }
    if intake.summary.products == 0 && intake.problems.is_empty() {
        let line = lines.number();
        intake.problem(
            line,
            "",
            "no product".to_owned(),
            "at least one row below the header",
        );
    }
    Ok(())
}

/// Where the cut between fields stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Plain,
    Quoted,
    Closed,
}

/// Reads records; the delimiter is what the header uses most.
struct Reader {
    delimiter: Option<u8>,
    raw: Vec<u8>,
}

impl Reader {
    fn next<R: BufRead, S: FnMut(Product)>(
        &mut self,
        lines: &mut Lines<R>,
        intake: &mut Intake<'_, S>,
    ) -> io::Result<Next> {
        let mut cut = Cut {
            fields: Vec::new(),
            field: Vec::new(),
            place: Place::Start,
            size: 0,
        };
        let mut first = 0;
        loop {
            let found = lines.next(&mut self.raw)?;
            let number = lines.number();
            if first == 0 {
                first = number;
            }
            if !usable(found, number, intake) {
                return Ok(if found == Found::TooLong {
                    Next::Unreadable
                } else {
                    Next::End
                });
            }
            if found == Found::End {
                if cut.place != Place::Quoted {
                    return Ok(Next::End);
                }
                never_closed(first, &cut, intake);
                return Ok(Next::End);
            }
            if cut.place == Place::Start && self.raw.is_empty() {
                first = 0;
                continue;
            }
            let raw = &self.raw;
            let delimiter = *self
                .delimiter
                .get_or_insert_with(|| most_used_delimiter(raw));
            if let Err(after) = cut.line(raw, delimiter) {
                let expected = "a delimiter after a closing quote (a quote inside is written \"\")";
                intake.problem(number, "", quoted(&after), expected);
                return Ok(Next::Unreadable);
            }
            if cut.size > LINE_BYTES_MAX || cut.fields.len() > COLUMNS_MAX {
                never_closed(first, &cut, intake);
                intake.full = true;
                return Ok(Next::End);
            }
            if cut.place != Place::Quoted {
                return Ok(finish(first, cut, intake));
            }
        }
    }
}

/// Says what is wrong with lines that are too long; `false` ends this record.
pub(super) fn usable<S: FnMut(Product)>(
    found: Found,
    line: u64,
    intake: &mut Intake<'_, S>,
) -> bool {
    match found {
        Found::Line | Found::End => true,
        Found::TooLong => {
            let expected = format!("at most {LINE_BYTES_MAX} bytes a line");
            intake.problem(line, "", "a longer line".to_owned(), expected);
            false
        }
        Found::FileTooLong => {
            let expected = format!("at most {IMPORT_BYTES_MAX} bytes in all, unpacked");
            intake.problem(line, "", "a longer file".to_owned(), expected);
            intake.full = true;
            false
        }
    }
}

fn never_closed<S: FnMut(Product)>(first: u64, cut: &Cut, intake: &mut Intake<'_, S>) {
    if cut.fields.len() > COLUMNS_MAX {
        let expected = format!("at most {COLUMNS_MAX}");
        intake.problem(first, "", "more columns".to_owned(), expected);
        return;
    }
    let start = String::from_utf8_lossy(&cut.field);
    let found = format!("a quote that does not close, before {}", quoted(&start));
    let expected = format!("a closing quote within {LINE_BYTES_MAX} bytes");
    intake.problem(first, "", found, expected);
}

fn finish<S: FnMut(Product)>(line: u64, mut cut: Cut, intake: &mut Intake<'_, S>) -> Next {
    cut.end_field();
    let mut fields = Vec::with_capacity(cut.fields.len());
    for (place, bytes) in cut.fields.into_iter().enumerate() {
        match String::from_utf8(bytes) {
            Ok(text) => fields.push(text),
            Err(bad) => {
                let found = quoted(&String::from_utf8_lossy(bad.as_bytes()));
                let expected = "UTF-8 (save the file as \"CSV UTF-8\")";
                intake.problem(line, &format!("column {}", place + 1), found, expected);
                return Next::Unreadable;
            }
        }
    }
    Next::Record(Record { line, fields })
}

/// A record being cut into fields.
struct Cut {
    fields: Vec<Vec<u8>>,
    field: Vec<u8>,
    place: Place,
    size: usize,
}

impl Cut {
    /// Takes one physical line. The error is the text after a closing quote.
    fn line(&mut self, raw: &[u8], delimiter: u8) -> Result<(), String> {
        self.size += raw.len() + 1;
        if self.place == Place::Quoted {
            self.field.push(b'\n');
        }
        let mut bytes = raw.iter().copied().enumerate().peekable();
        while let Some((at, byte)) = bytes.next() {
            match (self.place, byte) {
                (Place::Start, b'"') => self.place = Place::Quoted,
                (Place::Quoted, b'"') if bytes.next_if(|(_, b)| *b == b'"').is_some() => {
                    self.field.push(b'"');
                }
                (Place::Quoted, b'"') => self.place = Place::Closed,
                (Place::Quoted, _) => self.field.push(byte),
                (_, byte) if byte == delimiter => self.end_field(),
                (Place::Closed, b' ') => {}
                (Place::Closed, _) => return Err(String::from_utf8_lossy(&raw[at..]).into_owned()),
                (Place::Start | Place::Plain, _) => {
                    self.place = Place::Plain;
                    self.field.push(byte);
                }
            }
        }
        Ok(())
    }

    fn end_field(&mut self) {
        self.fields.push(std::mem::take(&mut self.field));
        self.place = Place::Start;
    }
}

/// Of comma, semicolon and tab the one that the header has most of, outside quotes.
fn most_used_delimiter(header: &[u8]) -> u8 {
    let mut counts = [(0, b','), (0, b';'), (0, b'\t')];
    let mut quoted = false;
    for byte in header {
        quoted ^= *byte == b'"';
        for (count, delimiter) in &mut counts {
            *count += usize::from(!quoted && byte == delimiter);
        }
    }
    counts
        .iter()
        .rev()
        .max_by_key(|(count, _)| *count)
        .map_or(b',', |(_, delimiter)| *delimiter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[&str], expect: &[&str]) {
        let mut cut = Cut {
            fields: Vec::new(),
            field: Vec::new(),
            place: Place::Start,
            size: 0,
        };
        for line in lines {
            cut.line(line.as_bytes(), b',').unwrap();
        }
        assert!(cut.place != Place::Quoted, "the record is complete");
        cut.end_field();
        let fields: Vec<_> = cut
            .fields
            .iter()
            .map(|f| std::str::from_utf8(f).unwrap())
            .collect();
        assert_eq!(fields, expect);
    }

    #[test]
    fn records_are_cut_into_fields() {
        check(&["a,b,c"], &["a", "b", "c"]);
        check(&["a,,"], &["a", "", ""]);
        check(
            &[r#""a,b","say ""hi""",""#, r#"last""#],
            &["a,b", "say \"hi\"", "\nlast"],
        );
        check(&[r#"17" screen,x"#], &["17\" screen", "x"]);
        check(&[r#""closed" ,x"#], &["closed", "x"]);
        check(&[r#""""#], &[""]);
        check(&[r#""a"#, "", r#"b",c"#], &["a\n\nb", "c"]);
    }

    #[test]
    fn the_header_names_its_delimiter() {
        for (header, expect) in [
            ("a,b;c,d", b','),
            ("a;b;c", b';'),
            ("a\tb", b'\t'),
            ("a", b','),
            ("\"x;y;z\",b", b','),
        ] {
            assert_eq!(most_used_delimiter(header.as_bytes()), expect, "{header}");
        }
    }
}
