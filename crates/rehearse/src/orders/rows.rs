//! The files of real orders, row by row: a CSV file, a folder of them, or a `.tar.xz` of a folder.
//!
//! Columns are found by name. A row is handed on only if it can mean something; why it cannot
//! is told otherwise.

use crate::limits::{ORDER_FILES_MAX, ORDER_ROWS_MAX};
use crate::run::{Failed, file_failed};
use std::path::{Path, PathBuf};

/// A line of an invoice that makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    pub(crate) invoice: &'a str,
    /// It brings units back.
    pub(crate) back: bool,
    pub(crate) code: &'a str,
    pub(crate) title: &'a str,
    pub(crate) units: u64,
    /// Minor units.
    pub(crate) price: i64,
    /// Empty for guests.
    pub(crate) customer: &'a str,
}

pub(crate) enum Reading<'a> {
    File,
    Row(Row<'a>),
    Odd {
        why: &'static str,
        file: &'a Path,
        line: u64,
    },
}

const COLUMNS: [&str; 7] = [
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
];

/// Reads `source` whole; archives are unpacked into `folder` first.
pub(crate) fn read(
    source: &Path,
    folder: &Path,
    sink: &mut dyn FnMut(Reading<'_>),
) -> Result<(), Failed> {
    let mut rows = 0;
    for file in files(source, folder)? {
        sink(Reading::File);
        read_file(&file, &mut rows, sink)?;
    }
    Ok(())
}

fn files(source: &Path, folder: &Path) -> Result<Vec<PathBuf>, Failed> {
    if source.is_file() {
        let name = source.to_string_lossy();
        if !name.ends_with(".tar.xz") && !name.ends_with(".tar.gz") && !name.ends_with(".tar") {
            return Ok(vec![source.to_path_buf()]);
        }
        let unpacked = folder.join("orders");
        std::fs::create_dir_all(&unpacked).map_err(file_failed(&unpacked))?;
        let mut tar = std::process::Command::new("tar");
        let output = tar.arg("-xf").arg(source).arg("-C").arg(&unpacked).output();
        let output = output.map_err(file_failed(Path::new("tar")))?;
        if !output.status.success() {
            let what = format!("tar: {}", String::from_utf8_lossy(&output.stderr).trim());
            return Err(Failed::File {
                file: source.to_path_buf(),
                what,
            });
        }
        return below(&unpacked);
    }
    below(source)
}

/// All CSV files below a folder, by path: names of days sort by date.
fn below(folder: &Path) -> Result<Vec<PathBuf>, Failed> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(file_failed(&folder))? {
            let path = entry.map_err(file_failed(&folder))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "csv") {
                found.push(path);
            }
            if found.len() > ORDER_FILES_MAX || folders.len() > ORDER_FILES_MAX {
                let what = format!("found more than {ORDER_FILES_MAX} files");
                return Err(Failed::File { file: folder, what });
            }
        }
    }
    if found.is_empty() {
        let what = "no file ending in .csv in it".to_owned();
        return Err(Failed::File {
            file: folder.to_path_buf(),
            what,
        });
    }
    found.sort();
    Ok(found)
}

fn read_file(
    file: &Path,
    rows: &mut usize,
    sink: &mut dyn FnMut(Reading<'_>),
) -> Result<(), Failed> {
    let wrong = |what: String| Failed::File {
        file: file.to_path_buf(),
        what,
    };
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_path(file)
        .map_err(|error| wrong(error.to_string()))?;
    let head = reader
        .byte_headers()
        .map_err(|error| wrong(error.to_string()))?
        .clone();
    let place = |name: &str| head.iter().position(|column| column == name.as_bytes());
    let mut columns = [0; COLUMNS.len()];
    for (column, name) in columns.iter_mut().zip(COLUMNS) {
        *column = place(name).ok_or_else(|| {
            wrong(format!(
                "line 1: no column {name}, expected {}",
                COLUMNS.join(", ")
            ))
        })?;
    }
    let mut record = csv::ByteRecord::new();
    while reader
        .read_byte_record(&mut record)
        .map_err(|error| wrong(error.to_string()))?
    {
        *rows += 1;
        if *rows > ORDER_ROWS_MAX {
            return Err(wrong(format!(
                "found more than {ORDER_ROWS_MAX} lines in all"
            )));
        }
        let line = record.position().map_or(0, csv::Position::line);
        match row(&record, &columns) {
            Ok(row) => sink(Reading::Row(row)),
            Err(why) => sink(Reading::Odd { why, file, line }),
        }
    }
    Ok(())
}

fn row<'a>(record: &'a csv::ByteRecord, columns: &[usize; 7]) -> Result<Row<'a>, &'static str> {
    let field = |index: usize| {
        let bytes = record.get(columns[index]).ok_or("too few columns")?;
        std::str::from_utf8(bytes)
            .map(str::trim)
            .map_err(|_| "not UTF-8")
    };
    let (invoice, code, title) = (field(0)?, field(1)?, field(2)?);
    let (quantity, date) = (field(3)?, field(4)?);
    let (price, customer) = (field(5)?, field(6)?);
    if invoice.is_empty() {
        return Err("no invoice number");
    }
    if code.is_empty() {
        return Err("no stock code");
    }
    if code.len() > sale::limits::TEXT_BYTES_MAX || code.chars().any(char::is_control) {
        return Err("no usable stock code");
    }
    if date.parse::<jiff::civil::DateTime>().is_err() {
        return Err("no date");
    }
    let quantity: i64 = quantity.parse().map_err(|_| "no quantity")?;
    let back = invoice.starts_with(['C', 'c']);
    if quantity == 0 {
        return Err("quantity of zero");
    }
    if !back && quantity < 0 {
        return Err("negative quantity outside of a C invoice");
    }
    if back && quantity > 0 {
        return Err("positive quantity in a C invoice");
    }
    if quantity.unsigned_abs() > u64::from(sale::limits::UNITS_PER_LINE_MAX) {
        return Err("quantity beyond all bounds");
    }
    let price = minor(price)?;
    Ok(Row {
        invoice,
        back,
        code,
        title,
        units: quantity.unsigned_abs(),
        price,
        customer,
    })
}

/// A decimal price in minor units, exactly.
fn minor(text: &str) -> Result<i64, &'static str> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !numeric(whole) || !numeric(part) {
        return Err("no price");
    }
    let part = part.trim_end_matches('0');
    if part.len() > 2 {
        return Err("price in fractions of a penny");
    }
    let whole: i64 = whole.parse().map_err(|_| "no price")?;
    let part: i64 = format!("{part:0<2}").parse().map_err(|_| "no price")?;
    let price = whole
        .checked_mul(100)
        .and_then(|pence| pence.checked_add(part));
    let price = sign * price.ok_or("no price")?;
    match price {
        0 => Err("price of zero"),
        ..0 => Err("negative price"),
        _ if price > sale::limits::PRICE_MINOR_MAX => Err("price beyond all bounds"),
        _ => Ok(price),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_exact() {
        let rows = [
            ("2.55", Ok(255)),
            ("2.5", Ok(250)),
            ("7", Ok(700)),
            ("7.500", Ok(750)),
            ("0.001", Err("price in fractions of a penny")),
            ("0.0", Err("price of zero")),
            ("-11062.06", Err("negative price")),
            ("1e3", Err("no price")),
            ("", Err("no price")),
        ];
        for (text, expected) in rows {
            assert_eq!(minor(text), expected, "{text}");
        }
    }
}
