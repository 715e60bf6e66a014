//! Feeder files: CSV with a header line, or a JSON object on each line, read as a stream. What is
//! kept is what becomes variables.
//!
//! It must not know who takes the rows.

use crate::expr::Value;
use crate::limits::{FEEDER_BYTES_MAX, FEEDER_LINE_BYTES_MAX, FEEDER_ROWS_MAX, FILE_PROBLEMS_MAX};
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;
use wire::campaign::Problem;
use wire::scenario::{Feeder, FeederFormat};

type Row = Box<[Value]>;

pub fn problem(file: &Path, line: u64, what: String) -> Problem {
    Problem {
        file: file.to_path_buf(),
        line,
        key: String::new(),
        what,
    }
}

/// The rows of a feeder's columns, in their order. The error is that of opening it.
pub fn rows(feeder: &Feeder, problems: &mut Vec<Problem>) -> std::io::Result<Vec<Row>> {
    let file = BufReader::new(File::open(&feeder.file)?);
    let csv = match feeder.format {
        Some(format) => format == FeederFormat::Csv,
        None => feeder
            .file
            .extension()
            .is_some_and(|ending| ending == "csv"),
    };
    let mut gathered = Gathered {
        feeder,
        rows: Vec::new(),
        bytes: 0,
        problems: Vec::new(),
    };
    let whole = match csv {
        true => gathered.csv(file),
        false => gathered.json_lines(file),
    };
    if let Err((line, what)) = whole {
        gathered.problem(line, what);
    }
    if gathered.rows.is_empty() && gathered.problems.is_empty() {
        gathered.problem(0, "no row in it".to_owned());
    }
    problems.append(&mut gathered.problems);
    Ok(gathered.rows)
}

struct Gathered<'a> {
    feeder: &'a Feeder,
    rows: Vec<Row>,
    bytes: usize,
    problems: Vec<Problem>,
}

/// A line from which on the file is not read.
type Stop = (u64, String);

impl Gathered<'_> {
    fn problem(&mut self, line: u64, what: String) {
        let problem = problem(&self.feeder.file, line, what);
        self.problems.push(problem);
    }

    fn wanted(&self) -> impl Iterator<Item = &str> {
        self.feeder.columns.iter().map(|(column, _)| column)
    }

    fn keep(&mut self, line: u64, row: Row) -> Result<(), Stop> {
        let texts = row.iter().map(|value| match value {
            Value::Text(text) => text.len(),
            _ => 0,
        });
        self.bytes += size_of::<Row>() + row.len() * size_of::<Value>() + texts.sum::<usize>();
        if self.rows.len() >= FEEDER_ROWS_MAX {
            return Err((line, format!("more than {FEEDER_ROWS_MAX} rows")));
        }
        if self.bytes > FEEDER_BYTES_MAX {
            return Err((
                line,
                format!("its rows take more than {FEEDER_BYTES_MAX} bytes"),
            ));
        }
        self.rows.push(row);
        Ok(())
    }

    fn enough(&self, line: u64) -> Result<(), Stop> {
        match self.problems.len() < FILE_PROBLEMS_MAX {
            true => Ok(()),
            false => Err((line, "and perhaps more".to_owned())),
        }
    }

    fn csv(&mut self, file: impl BufRead) -> Result<(), Stop> {
        // The library keeps a whole record: what stands before it bounds the lines.
        let bounded = Bounded { file, line: 0 };
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .from_reader(bounded);
        let bad = |error: csv::Error| {
            let line = error.position().map_or(0, csv::Position::line);
            (line, format!("not readable as CSV: {error}"))
        };
        let header = reader.headers().map_err(bad)?.clone();
        let place = |column: &str| header.iter().position(|name| name.trim() == column);
        let found: Vec<Option<usize>> = self.wanted().map(place).collect();
        let missing: Vec<String> = self
            .wanted()
            .zip(&found)
            .filter(|(_, place)| place.is_none())
            .map(|(column, _)| column.to_owned())
            .collect();
        for column in missing {
            let names: Vec<&str> = header.iter().collect();
            self.problem(
                1,
                format!("no column {column:?}, found {}", names.join(", ")),
            );
        }
        let places: Vec<usize> = found.into_iter().flatten().collect();
        if !self.problems.is_empty() {
            return Ok(());
        }
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(bad)? {
            let line = record.position().map_or(0, csv::Position::line);
            if record.len() == header.len() {
                let values = places.iter().filter_map(|place| record.get(*place));
                self.keep(line, values.map(Value::text).collect())?;
            } else {
                let (found, wanted) = (record.len(), header.len());
                self.problem(line, format!("found {found} fields, expected {wanted}"));
                self.enough(line)?;
            }
        }
        Ok(())
    }

    fn json_lines(&mut self, file: impl BufRead) -> Result<(), Stop> {
        let mut lines = Lines::new(file);
        let mut line = 0;
        while let Some(text) = lines.read() {
            line += 1;
            let text = text.map_err(|what| (line, what))?;
            if text.trim().is_empty() {
                continue;
            }
            let row = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text);
            let row = row.map_err(|error| format!("no JSON object: {error}"));
            let row = row.and_then(|object| {
                let value = |column: &str| match object.get(column) {
                    None => Err(format!("no field {column:?}")),
                    Some(value) => Ok(of_json(value)),
                };
                self.wanted().map(value).collect::<Result<Row, String>>()
            });
            match row {
                Ok(row) => self.keep(line, row)?,
                Err(what) => {
                    self.problem(line, what);
                    self.enough(line)?;
                }
            }
        }
        Ok(())
    }
}

fn of_json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(is) => Value::Bool(*is),
        serde_json::Value::String(text) => Value::text(text),
        serde_json::Value::Number(number) => match number.as_f64() {
            // Beyond it digits would be lost, and such a number is an id.
            Some(value) if value.abs() <= 9e15 => Value::Number(value),
            _ => Value::text(&number.to_string()),
        },
        other => Value::text(&other.to_string()),
    }
}

/// Lines of bounded length.
pub struct Lines<R> {
    file: R,
    text: Vec<u8>,
    /// Of the last one, from 1.
    pub line: u64,
}

impl<R: BufRead> Lines<R> {
    pub fn new(file: R) -> Lines<R> {
        Lines {
            file,
            text: Vec::new(),
            line: 0,
        }
    }
    pub fn read(&mut self) -> Option<Result<&str, String>> {
        self.text.clear();
        let most = FEEDER_LINE_BYTES_MAX as u64 + 1;
        let read = (&mut self.file)
            .take(most)
            .read_until(b'\n', &mut self.text);
        self.line += 1;
        match read {
            Err(error) => Some(Err(format!("not readable: {error}"))),
            Ok(0) => None,
            Ok(bytes) if bytes > FEEDER_LINE_BYTES_MAX => {
                Some(Err(format!("longer than {FEEDER_LINE_BYTES_MAX} bytes")))
            }
            Ok(_) => Some(std::str::from_utf8(&self.text).map_err(|_| "not UTF-8".to_owned())),
        }
    }
}

/// Passes bytes on as long as no line is too long.
struct Bounded<R> {
    file: R,
    /// Bytes since the last line end.
    line: usize,
}

impl<R: BufRead> std::io::Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(out)?;
        for part in out[..read].split_inclusive(|byte| *byte == b'\n') {
            self.line += part.len();
            if self.line > FEEDER_LINE_BYTES_MAX {
                let what = format!("a line is longer than {FEEDER_LINE_BYTES_MAX} bytes");
                return Err(std::io::Error::other(what));
            }
            if part.ends_with(b"\n") {
                self.line = 0;
            }
        }
        Ok(read)
    }
}
