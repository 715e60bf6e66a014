//! Physical lines of a stream, bounded: a file without line ends must not fill memory.

use super::limits::{IMPORT_BYTES_MAX, LINE_BYTES_MAX};
use std::io::{self, BufRead, Read};

pub(super) struct Lines<R> {
    input: R,
    number: u64,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A line, without its end.
    Line,
    /// Longer than [`LINE_BYTES_MAX`]: skipped to its end.
    TooLong,
    /// The file is longer than [`IMPORT_BYTES_MAX`]: reading stops.
    FileTooLong,
    End,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Lines {
            input,
            number: 0,
            bytes: 0,
        }
    }

    /// The number of the last line that was read, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Puts the next line into `line`, replacing what was there.
    pub(super) fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Found> {
        line.clear();
        // Two more than the longest line: its end.
        let most = LINE_BYTES_MAX as u64 + 2;
        let taken = self.input.by_ref().take(most).read_until(b'\n', line)?;
        if taken == 0 {
            return Ok(Found::End);
        }
        self.number += 1;
        self.bytes += taken as u64;
        let ended = line.last() == Some(&b'\n');
        if ended {
            line.pop();
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if self.number == 1 && line.starts_with(b"\xEF\xBB\xBF") {
            line.drain(..3);
        }
        if self.bytes > IMPORT_BYTES_MAX {
            return Ok(Found::FileTooLong);
        }
        if line.len() <= LINE_BYTES_MAX {
            return Ok(Found::Line);
        }
        if !ended {
            self.skip_line()?;
        }
        Ok(Found::TooLong)
    }

    fn skip_line(&mut self) -> io::Result<()> {
        while self.bytes <= IMPORT_BYTES_MAX {
            let chunk = self.input.fill_buf()?;
            let (used, ended) = match chunk.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (chunk.len(), chunk.is_empty()),
            };
            self.input.consume(used);
            self.bytes += used as u64;
            if ended {
                break;
            }
        }
        Ok(())
    }
}
