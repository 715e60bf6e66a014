//! Rate files: how many requests arrive in each second, as the load generator takes its arrival
//! curve. CSV with the head `second,requests`; seconds from 0, none left out. It must not know what
//! the requests were.

use crate::limits::{RATE_REQUESTS_MAX, RATE_SECONDS_MAX};
use crate::lines::Lines;
use std::io::{self, BufRead, Write};

const HEAD: &str = "second,requests";

/// Requests in each second from the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    pub counts: Vec<u64>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RateError {
    #[error("second {0}: a rate file has {RATE_SECONDS_MAX} seconds (31 days) at most")]
    TooLong(u64),
    #[error("line {line}: {what}")]
    Line { line: u64, what: String },
}

/// Counts instants, in microseconds from the start.
pub fn rate(at_us: impl Iterator<Item = u64>) -> Result<Rate, RateError> {
    let mut rate = Rate::default();
    for at in at_us {
        let second = at / 1_000_000;
        if second >= RATE_SECONDS_MAX {
            return Err(RateError::TooLong(second));
        }
        let index = usize::try_from(second).map_err(|_| RateError::TooLong(second))?;
        if rate.counts.len() <= index {
            rate.counts.resize(index + 1, 0);
        }
        if let Some(count) = rate.counts.get_mut(index) {
            *count += 1;
        }
    }
    Ok(rate)
}

impl Rate {
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{HEAD}")?;
        for (second, count) in self.counts.iter().enumerate() {
            writeln!(out, "{second},{count}")?;
        }
        Ok(())
    }
}

/// What [`Rate::write`] wrote, or somebody by hand.
pub fn read_rate(from: impl BufRead) -> Result<Rate, RateError> {
    let mut lines = Lines::new(from);
    let mut rate = Rate::default();
    let mut headed = false;
    while let Some(next) = lines.next() {
        let wrong = |line, what: String| Err(RateError::Line { line, what });
        let (line, bytes) = match next {
            Ok(found) => found,
            Err(error) => return wrong(error.line, error.why.to_string()),
        };
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim();
        if !headed {
            headed = true;
            if text != HEAD {
                return wrong(line, format!("found {text:.40?}, expected {HEAD}"));
            }
            continue;
        }
        let second = rate.counts.len() as u64;
        if second >= RATE_SECONDS_MAX {
            return Err(RateError::TooLong(second));
        }
        let count = text.split_once(',').and_then(|(at, count)| {
            let next = at.trim().parse() == Ok(second);
            let count = count
                .trim()
                .parse()
                .ok()
                .filter(|n| *n <= RATE_REQUESTS_MAX);
            count.filter(|_| next)
        });
        match count {
            Some(count) => rate.counts.push(count),
            None => {
                let what = format!("found {text:.40?}, expected {second},REQUESTS");
                return wrong(line, what);
            }
        }
    }
    Ok(rate)
}
