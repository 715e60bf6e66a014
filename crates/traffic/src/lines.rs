//! Lines of a recording with their numbers, each bounded; a line that is too long is passed over.
//! It must not know what a line says.

use crate::error::{ReadError, Why};
use crate::limits::LINE_BYTES_MAX;
use std::io::{BufRead, Read};

pub(crate) struct Lines<R> {
    from: R,
    line: u64,
    bytes: Vec<u8>,
    over: bool,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(from: R) -> Lines<R> {
        Lines {
            from,
            line: 0,
            bytes: Vec::new(),
            over: false,
        }
    }

    /// The next line that is not empty, without its end.
    pub(crate) fn next(&mut self) -> Option<Result<(u64, &[u8]), ReadError>> {
        loop {
            if self.over {
                return None;
            }
            self.bytes.clear();
            self.line += 1;
            let mut bounded = Read::take(&mut self.from, LINE_BYTES_MAX as u64 + 1);
            match bounded.read_until(b'\n', &mut self.bytes) {
                Ok(0) => self.over = true,
                Ok(_) if self.bytes.len() > LINE_BYTES_MAX => return Some(Err(self.too_long())),
                Ok(_) if self.bytes.trim_ascii().is_empty() => {}
                Ok(_) => break,
                Err(error) => {
                    self.over = true;
                    return Some(Err(self.error(Why::Io(error))));
                }
            }
        }
        let line = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // A mark that some editors put at the start of a file.
        let mark = if self.line == 1 { "\u{feff}" } else { "" };
        let line = line.strip_prefix(mark.as_bytes()).unwrap_or(line);
        Some(Ok((self.line, line)))
    }

    fn too_long(&mut self) -> ReadError {
        if self.bytes.last() != Some(&b'\n')
            && let Err(error) = self.from.skip_until(b'\n')
        {
            self.over = true;
            return self.error(Why::Io(error));
        }
        self.error(Why::LongLine)
    }

    fn error(&self, why: Why) -> ReadError {
        ReadError {
            line: self.line,
            why,
        }
    }
}
