//! The product as the shop knows it, and the files it is imported from: CSV (our own columns, or
//! the exports of Shopify and WooCommerce) and JSON Lines (our own fields, or Icecat's).
//!
//! A file is read as a stream with bounded lines and checked as a whole: every problem is told
//! with its line and field, and nothing is handed on after the first one, so that an import
//! happens wholly or not at all. docs/catalogue.md is the same for users.
//!
//! This module must not know about files, databases or the ledger: bytes in, products out.

mod draft;
mod html;
mod json;
pub mod limits;
mod lines;
mod profile;
mod table;

use sale::{Currency, Money};
use std::collections::BTreeMap;
use std::collections::hash_map::{Entry, HashMap};
use std::fmt;
use std::io::{self, BufRead, Cursor, Read};

/// What is sold, as buyers see it, with the terms it sells under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// 1 to 64 bytes without control characters, as [`sale::Text`].
    pub sku: String,
    pub title: String,
    pub description: String,
    /// Empty when the file names none.
    pub category: String,
    pub price: Money,
    pub currency: Currency,
    pub stock: u32,
    /// Units one buyer may have; at least 1.
    pub buyer_limit: Option<u32>,
    /// Milliseconds since the Unix epoch; `None` is open from the start.
    pub opens_ms: Option<u64>,
    /// After `opens_ms`; `None` never closes by itself.
    pub closes_ms: Option<u64>,
    pub hold_ms: u64,
    /// An `http(s)` address or a path on this site.
    pub picture: Option<String>,
    /// Name and value, in the order of the file.
    pub attributes: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    JsonLines,
}

impl Format {
    /// By the file's name: `.csv`, `.tsv`, `.txt`, `.jsonl`, `.ndjson`, each with or without `.gz`.
    pub fn of_name(name: &str) -> Option<Format> {
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "csv" | "tsv" | "txt" => Some(Format::Csv),
            "jsonl" | "ndjson" => Some(Format::JsonLines),
            _ => None,
        }
    }
}

/// What a product gets where the file says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    pub currency: Currency,
    pub stock: u32,
    pub buyer_limit: Option<u32>,
    pub opens_ms: Option<u64>,
    pub closes_ms: Option<u64>,
    pub hold_ms: u64,
}

impl Default for Defaults {
    /// Euro, no stock (nothing sells that nobody counted), no limit, fifteen minutes to pay.
    fn default() -> Self {
        Defaults {
            currency: Currency::EUR,
            stock: 0,
            buyer_limit: None,
            opens_ms: None,
            closes_ms: None,
            hold_ms: limits::HOLD_MS_DEFAULT,
        }
    }
}

/// One thing that is wrong in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// From 1, the header included; of a record over several lines, the first.
    pub line: u64,
    /// The column or field; empty when it is the whole line.
    pub field: String,
    pub found: String,
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if !self.field.is_empty() {
            write!(f, ", {}", self.field)?;
        }
        write!(f, ": found {}, expected {}", self.found, self.expected)
    }
}

/// All that is wrong in the file: the first [`limits::PROBLEMS_MAX`] in full, the others counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    pub listed: Vec<Problem>,
    pub more: u64,
}

impl Problems {
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    fn add(&mut self, line: u64, field: &str, found: String, expected: impl Into<String>) {
        if self.listed.len() == limits::PROBLEMS_MAX {
            self.more += 1;
            return;
        }
        let expected = expected.into();
        self.listed.push(Problem {
            line,
            field: shown(field),
            found,
            expected,
        });
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.listed.iter().enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is not what it should be; nothing was imported.
    #[error("{0}")]
    Problems(Problems),
    /// The file could not be read to its end; nothing was imported.
    #[error("line {line}: the file cannot be read: {source}")]
    Read { line: u64, source: io::Error },
}

/// What a good file contained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub products: usize,
    /// Physical lines, the header and empty ones included.
    pub lines: u64,
    /// Products that took the currency from [`Defaults`].
    pub currency_defaulted: usize,
    /// Products that took the stock from [`Defaults`].
    pub stock_defaulted: usize,
    /// What was left out or changed on purpose, by reason: drafts, pictures beyond the first.
    pub notes: BTreeMap<&'static str, u64>,
}

impl Summary {
    fn note(&mut self, reason: &'static str) {
        *self.notes.entry(reason).or_default() += 1;
    }
}

/// Reads the file to its end and hands each product to `sink` as long as everything is right.
/// On an error `sink` may have seen some: it must not have applied them for good.
pub fn read(
    input: impl BufRead,
    format: Format,
    defaults: &Defaults,
    sink: impl FnMut(Product),
) -> Result<Summary, ImportError> {
    let mut lines = lines::Lines::new(input);
    let mut intake = Intake {
        defaults,
        problems: Problems::default(),
        summary: Summary::default(),
        first_lines: HashMap::new(),
        full: false,
        sink,
    };
    let end = match format {
        Format::Csv => table::read(&mut lines, &mut intake),
        Format::JsonLines => json::read(&mut lines, &mut intake),
    };
    intake.summary.lines = lines.number();
    end.map_err(|source| ImportError::Read {
        line: lines.number(),
        source,
    })?;
    if intake.problems.is_empty() {
        return Ok(intake.summary);
    }
    Err(ImportError::Problems(intake.problems))
}

/// The whole file in memory, once, and only if all of it is right.
pub fn load(
    input: impl BufRead,
    format: Format,
    defaults: &Defaults,
) -> Result<(Vec<Product>, Summary), ImportError> {
    let mut products = Vec::new();
    let summary = read(input, format, defaults, |product| products.push(product))?;
    Ok((products, summary))
}

/// Unpacks gzip if the first two bytes say so; anything else passes through.
pub fn unpacked<'a>(mut input: impl BufRead + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut head = Vec::with_capacity(2);
    input.by_ref().take(2).read_to_end(&mut head)?;
    let is_gzip = head == [0x1f, 0x8b];
    let whole = Cursor::new(head).chain(input);
    if is_gzip {
        return Ok(Box::new(io::BufReader::new(
            flate2::bufread::MultiGzDecoder::new(whole),
        )));
    }
    Ok(Box::new(whole))
}

/// Where checked drafts arrive: names duplicates, keeps count, hands good products on.
struct Intake<'a, S> {
    defaults: &'a Defaults,
    problems: Problems,
    summary: Summary,
    first_lines: HashMap<Box<str>, u64>,
    full: bool,
    sink: S,
}

impl<S: FnMut(Product)> Intake<'_, S> {
    fn problem(&mut self, line: u64, field: &str, found: String, expected: impl Into<String>) {
        self.problems.add(line, field, found, expected);
    }

    fn take(&mut self, draft: draft::Draft) {
        let (line, sku_field) = (draft.line(), draft.sku_field().to_owned());
        let currency_defaulted = !draft.has(draft::Slot::Currency);
        let stock_defaulted = !draft.has(draft::Slot::Stock);
        let Some(product) = draft.finish(self.defaults, &mut self.problems) else {
            return;
        };
        match self.first_lines.entry(product.sku.as_str().into()) {
            Entry::Occupied(first) => {
                let expected = format!("a SKU once in the file (it is on line {})", first.get());
                self.problems
                    .add(line, &sku_field, quoted(&product.sku), expected);
                return;
            }
            Entry::Vacant(place) => place.insert(line),
        };
        if self.first_lines.len() > limits::PRODUCTS_MAX {
            let expected = format!("at most {} products in one file", limits::PRODUCTS_MAX);
            self.problems.add(line, "", "one more".to_owned(), expected);
            self.full = true;
            return;
        }
        self.summary.products += 1;
        self.summary.currency_defaulted += usize::from(currency_defaulted);
        self.summary.stock_defaulted += usize::from(stock_defaulted);
        if self.problems.is_empty() {
            (self.sink)(product);
        }
    }
}

/// A value as problems show it: quoted, cut, without control characters.
fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text))
}

fn shown(text: &str) -> String {
    let cut = text.floor_char_boundary(limits::FOUND_BYTES_MAX.min(text.len()));
    let mut shown: String = text[..cut]
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if cut < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests;
