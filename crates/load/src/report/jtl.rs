//! JMeter's result file (JTL) as CSV with its header line, read as a stream: memory does not grow
//! with the lines, only a little with the seconds.
//!
//! Lines come as samples end, so a second is finished when the file is two minutes past it; what
//! comes later still is in the totals only, and a remark says how much. `elapsed` counts from the
//! sending. Rows of transaction controllers repeat their samples and are left out.

use super::body::{Body, LoadFigures, SecondFigures, Source};
use super::of;
use crate::limits::{JTL_LABELS_MAX, JTL_OPEN_SECONDS, JTL_RECORD_BYTES_MAX, JTL_SECONDS_MAX};
use crate::measure::{End, Named, Second};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::rc::Rc;

const EXPECTED: &str = "expected JMeter's CSV with a header such as \
                        timeStamp,elapsed,label,responseCode,…,success,…";

/// The figures of a result file. Errors name the line.
pub fn read(source: impl Read) -> Result<Body, String> {
    let taken = Rc::new(Cell::new(0));
    let bounded = Bounded {
        inner: source,
        taken: Rc::clone(&taken),
    };
    let mut start = Vec::new();
    let mut bounded = io::BufReader::new(bounded);
    io::BufRead::read_until(&mut bounded, b'\n', &mut start)
        .map_err(|bad| format!("line 1: {bad}"))?;
    let header = String::from_utf8_lossy(&start);
    let header = header.trim_start_matches('\u{feff}').trim_end();
    if header.starts_with('<') {
        return Err(
            "line 1: this is XML; JTL is read as CSV only (jmeter.save.saveservice.output_format=\
             csv, or run JMeter with -Jjmeter.save.saveservice.output_format=csv)"
                .to_owned(),
        );
    }
    let delimiter = [b',', b'\t', b';', b'|']
        .into_iter()
        .find(|one| header.as_bytes().contains(one))
        .ok_or_else(|| format!("line 1: no columns; {EXPECTED}"))?;
    let columns = Columns::of(header, char::from(delimiter))?;
    let mut lines = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .from_reader(bounded);
    let (mut tally, mut row) = (Tally::default(), csv::StringRecord::new());
    loop {
        taken.set(0);
        // The header's line is taken already.
        let line = |at: Option<&csv::Position>| at.map_or(0, csv::Position::line) + 1;
        let here = line(Some(lines.position()));
        match lines.read_record(&mut row) {
            Ok(false) => break,
            Ok(true) => {}
            Err(bad) => return Err(format!("line {}: {bad}", here.max(line(bad.position())))),
        }
        let here = line(row.position());
        let sample = columns
            .sample(&row)
            .map_err(|what| format!("line {here}: {what}"))?;
        tally
            .take(&sample)
            .map_err(|what| format!("line {here}: {what}"))?;
    }
    tally.body()
}

/// Ends a file whose record does not end: a quote that nobody closes would take all memory.
struct Bounded<R> {
    inner: R,
    taken: Rc<Cell<usize>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken.get() > JTL_RECORD_BYTES_MAX {
            let what = format!("a record is longer than {JTL_RECORD_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let got = self.inner.read(out)?;
        self.taken.set(self.taken.get() + got);
        Ok(got)
    }
}

struct Columns {
    stamp: usize,
    elapsed: usize,
    label: usize,
    success: usize,
    code: Option<usize>,
    message: Option<usize>,
    bytes: Option<usize>,
    threads: Option<usize>,
}

struct Sample<'a> {
    start_ms: i64,
    elapsed_ms: u64,
    label: &'a str,
    end: End,
    code: Option<u16>,
    bytes: u64,
    threads: Option<u64>,
    transaction: bool,
}

impl Columns {
    fn of(header: &str, delimiter: char) -> Result<Columns, String> {
        let names: Vec<&str> = header
            .split(delimiter)
            .map(|name| name.trim().trim_matches('"'))
            .collect();
        let place = |name: &str| names.iter().position(|one| *one == name);
        let must =
            |name: &str| place(name).ok_or_else(|| format!("line 1: no column {name}; {EXPECTED}"));
        Ok(Columns {
            stamp: must("timeStamp")?,
            elapsed: must("elapsed")?,
            label: must("label")?,
            success: must("success")?,
            code: place("responseCode"),
            message: place("responseMessage"),
            bytes: place("bytes"),
            threads: place("allThreads"),
        })
    }

    fn sample<'a>(&self, row: &'a csv::StringRecord) -> Result<Sample<'a>, String> {
        let cell = |place: usize| row.get(place).unwrap_or("").trim();
        let optional = |place: Option<usize>| place.map_or("", cell);
        let stamp = cell(self.stamp);
        let start_ms = stamp.parse::<i64>().ok().filter(|ms| *ms >= 0);
        let start_ms = start_ms.ok_or_else(|| {
            format!("timeStamp {stamp:?}: expected milliseconds since 1970 (timestamp_format=ms)")
        })?;
        let elapsed = cell(self.elapsed);
        let elapsed_ms = elapsed
            .parse()
            .ok()
            // What a histogram of ours holds: an hour.
            .filter(|ms: &u64| *ms <= 3_600_000)
            .ok_or_else(|| format!("elapsed {elapsed:?}: expected milliseconds up to 3600000"))?;
        let good = match cell(self.success) {
            "true" => true,
            "false" => false,
            other => return Err(format!("success {other:?}: expected true or false")),
        };
        let code = optional(self.code);
        Ok(Sample {
            start_ms,
            elapsed_ms,
            label: cell(self.label),
            end: end_of(good, code),
            code: code.parse().ok(),
            bytes: optional(self.bytes).parse().unwrap_or(0),
            threads: optional(self.threads).parse().ok(),
            transaction: optional(self.message).starts_with("Number of samples in transaction"),
        })
    }
}

/// A status, or what JMeter writes in its place: `Non HTTP response code: java.net.…`.
fn end_of(good: bool, code: &str) -> End {
    let is = |word: &str| code.contains(word);
    match (good, code.parse::<u16>()) {
        (true, _) => End::Good,
        (false, Ok(429 | 503)) => End::Refused,
        // The status was right, so an assertion was not.
        (false, Ok(200..=399)) => End::Check,
        (false, Ok(_)) => End::Status,
        (false, Err(_)) if is("BindException") => End::Ours,
        (false, Err(_)) if is("Connect") || is("UnknownHost") || is("NoRouteToHost") => {
            End::Connect
        }
        (false, Err(_)) if is("Timeout") => End::TimedOut,
        (false, Err(_)) => End::Broken,
    }
}

#[derive(Default)]
struct Tally {
    named: BTreeMap<String, Named>,
    open: BTreeMap<i64, Second>,
    closed: BTreeMap<i64, SecondFigures>,
    newest_s: i64,
    first_ms: Option<i64>,
    last_ms: i64,
    transactions: u64,
    too_late: u64,
    threads_max: Option<u64>,
}

impl Tally {
    fn take(&mut self, sample: &Sample<'_>) -> Result<(), String> {
        if sample.transaction {
            self.transactions += 1;
            return Ok(());
        }
        if !self.named.contains_key(sample.label) {
            if self.named.len() >= JTL_LABELS_MAX {
                return Err(format!(
                    "more than {JTL_LABELS_MAX} labels; expected names of requests, without values"
                ));
            }
            let fresh = Named::new(sample.label, std::iter::empty());
            self.named.insert(sample.label.to_owned(), fresh);
        }
        let Some(named) = self.named.get_mut(sample.label) else {
            return Ok(());
        };
        let us = sample.elapsed_ms * 1_000;
        named.sent += 1;
        named.ends[sample.end as usize] += 1;
        named.bytes += sample.bytes;
        match sample.end {
            End::Good => named.service.record(us),
            End::Refused => named.refusals.record(us),
            End::Status => {
                let code = sample.code.unwrap_or(0);
                *named.statuses.entry(code).or_default() += 1;
            }
            _ => {}
        }
        let end_ms = sample.start_ms.saturating_add(sample.elapsed_ms as i64);
        self.first_ms = Some(
            self.first_ms
                .map_or(sample.start_ms, |ms| ms.min(sample.start_ms)),
        );
        self.last_ms = self.last_ms.max(end_ms);
        self.threads_max = self.threads_max.max(sample.threads);
        if let Some(second) = self.second(sample.start_ms / 1_000)? {
            second.sent += 1;
        }
        if let Some(second) = self.second(end_ms / 1_000)? {
            second.ends[sample.end as usize] += 1;
            second.buyers = second.buyers.max(sample.threads.unwrap_or(0));
            if sample.end == End::Good {
                second.latency.record(us);
            }
        }
        Ok(())
    }

    fn second(&mut self, at: i64) -> Result<Option<&mut Second>, String> {
        if self.newest_s > 0 && at <= self.newest_s - JTL_OPEN_SECONDS {
            self.too_late += 1;
            return Ok(None);
        }
        if at > self.newest_s {
            self.newest_s = at;
            let still = self.open.split_off(&(at - JTL_OPEN_SECONDS + 1));
            let done = std::mem::replace(&mut self.open, still);
            self.closed
                .extend(done.iter().map(|(at, second)| (*at, of::second(second))));
            let first = self.closed.keys().chain(self.open.keys()).min();
            let span = first.map_or(0, |first| at - first);
            if span > JTL_SECONDS_MAX {
                return Err(format!(
                    "{span} seconds after the first; expected at most {JTL_SECONDS_MAX}"
                ));
            }
        }
        Ok(Some(self.open.entry(at).or_default()))
    }

    fn body(mut self) -> Result<Body, String> {
        let open = std::mem::take(&mut self.open);
        self.closed
            .extend(open.iter().map(|(at, second)| (*at, of::second(second))));
        let Some(first_ms) = self.first_ms else {
            return Err("no samples after the header".to_owned());
        };
        let mut body = Body::empty(Source::Jmeter);
        let first = self.closed.keys().next().copied().unwrap_or(0);
        for at in first..=self.closed.keys().next_back().copied().unwrap_or(first) {
            let mut second = self.closed.remove(&at).unwrap_or_default();
            // Of these a result file knows nothing.
            second.arrived = None;
            second.connections = None;
            second.buyers = second.buyers.filter(|_| self.threads_max.is_some());
            body.seconds.push(second);
        }
        let mut all = crate::measure::Measured::new(self.named.into_values().collect());
        all.wall_us = (self.last_ms - first_ms).max(0) as u64 * 1_000;
        let (total, seconds) = (all.total(), all.wall_us as f64 / 1e6);
        body.total = of::request(&total);
        body.requests = all.named.iter().map(of::request).collect();
        body.load = LoadFigures {
            seconds: Some(seconds),
            requests_per_s: (seconds > 0.0).then(|| total.sent as f64 / seconds),
            buyers_max: self.threads_max,
            ..LoadFigures::default()
        };
        for (count, what) in [
            (
                self.transactions,
                "rows of transaction controllers repeat their samples: left out",
            ),
            (
                self.too_late,
                "times a line came over two minutes late: in the totals only",
            ),
        ] {
            if count > 0 {
                body.remarks.push(format!("{count} {what}."));
            }
        }
        Ok(body)
    }
}
