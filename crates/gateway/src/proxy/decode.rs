//! Where an answer's body ends: by length, by chunks, or with the connection.
//!
//! Bytes in, frames out, nothing copied. Chunks are read strictly (RFC 9112, 7.1): a size of one
//! to sixteen hexadecimal digits, CR LF after it and after the data.

use super::error::Malformed;
use super::response::{Framing, trailers};
use crate::limits::{CHUNK_EXTENSION_BYTES_MAX, RESPONSE_HEAD_BYTES_MAX};
use bytes::{Buf, Bytes};
use hyper::header::HeaderMap;

#[derive(Debug)]
pub(super) struct Decoder(State);

#[derive(Debug)]
enum State {
    Length(u64),
    ToEnd,
    Size {
        size: u64,
        digits: u8,
    },
    Extension {
        size: u64,
        bytes: usize,
    },
    SizeEnd(u64),
    Data(u64),
    /// Expects CR, then LF.
    DataEnd,
    DataEndLf,
    Trailers(Vec<u8>),
    Done,
}

#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    /// The body is complete.
    Done,
    /// Not without further bytes.
    More,
}

const NO_DIGITS: State = State::Size { size: 0, digits: 0 };

impl Decoder {
    pub fn new(framing: Framing) -> Self {
        Decoder(match framing {
            Framing::None => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => NO_DIGITS,
            Framing::ToEnd => State::ToEnd,
        })
    }

    pub fn is_done(&self) -> bool {
        matches!(self.0, State::Done)
    }

    /// How much is still to come, if that is known.
    pub fn left(&self) -> Option<u64> {
        match self.0 {
            State::Length(left) => Some(left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// Told that the connection has ended. `false`: in the middle of the body.
    pub fn end(&mut self) -> bool {
        let whole = matches!(self.0, State::ToEnd | State::Done);
        if whole {
            self.0 = State::Done;
        }
        whole
    }

    /// The next piece out of `input`.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Piece, Malformed> {
        loop {
            match &mut self.0 {
                State::Done => return Ok(Piece::Done),
                _ if input.is_empty() => return Ok(Piece::More),
                State::ToEnd => return Ok(Piece::Data(std::mem::take(input))),
                State::Length(left) => {
                    let data = take(input, left);
                    if *left == 0 {
                        self.0 = State::Done;
                    }
                    return Ok(Piece::Data(data));
                }
                State::Data(left) => {
                    let data = take(input, left);
                    if *left == 0 {
                        self.0 = State::DataEnd;
                    }
                    return Ok(Piece::Data(data));
                }
                State::Trailers(lines) => {
                    lines.push(input.get_u8());
                    if lines.len() > RESPONSE_HEAD_BYTES_MAX {
                        return Err(Malformed::Trailers);
                    }
                    if lines == b"\r\n" {
                        self.0 = State::Done;
                    } else if lines.ends_with(b"\r\n\r\n") {
                        let found = trailers(lines)?;
                        self.0 = State::Done;
                        return Ok(Piece::Trailers(found));
                    }
                }
                State::Size { .. }
                | State::Extension { .. }
                | State::SizeEnd(_)
                | State::DataEnd
                | State::DataEndLf => self.0 = self.between(input.get_u8())?,
            }
        }
    }

    /// What follows one byte of the lines between the data.
    fn between(&self, byte: u8) -> Result<State, Malformed> {
        Ok(match (&self.0, byte) {
            (State::Size { size, digits }, _) if byte.is_ascii_hexdigit() && *digits < 16 => {
                let value = char::from(byte).to_digit(16).unwrap_or(0);
                State::Size {
                    size: size << 4 | u64::from(value),
                    digits: digits + 1,
                }
            }
            (State::Size { size, digits: 1.. }, b'\r') => State::SizeEnd(*size),
            (State::Size { size, digits: 1.. }, b';') => State::Extension {
                size: *size,
                bytes: 0,
            },
            (State::Extension { size, .. }, b'\r') => State::SizeEnd(*size),
            (State::Extension { size, bytes }, b'\t' | b' '..=b'~')
                if *bytes < CHUNK_EXTENSION_BYTES_MAX =>
            {
                State::Extension {
                    size: *size,
                    bytes: bytes + 1,
                }
            }
            (State::SizeEnd(0), b'\n') => State::Trailers(Vec::new()),
            (State::SizeEnd(size), b'\n') => State::Data(*size),
            (State::DataEnd, b'\r') => State::DataEndLf,
            (State::DataEndLf, b'\n') => NO_DIGITS,
            _ => return Err(Malformed::Chunk),
        })
    }
}

fn take(input: &mut Bytes, left: &mut u64) -> Bytes {
    let here = usize::try_from(*left)
        .unwrap_or(usize::MAX)
        .min(input.len());
    *left -= here as u64;
    input.split_to(here)
}

#[cfg(test)]
mod tests;
