//! Recordings of every format, as they are and broken; plans, substitutions and comparisons; and
//! real data where it is.

mod comparing;
mod formats;
mod random;
mod real;
mod replaying;

use crate::{Format, Options, ReadError, Seen, read};
use std::io::Cursor;

fn reading(text: impl Into<Vec<u8>>, format: Option<Format>) -> Vec<Result<Seen, ReadError>> {
    let options = Options {
        format,
        ..Options::default()
    };
    let reader = read(Box::new(Cursor::new(text.into())), &options).unwrap();
    reader.collect()
}

fn seen(at_s: u64, client: &str, method: &str, target: &str) -> Seen {
    Seen {
        at_us: at_s * 1_000_000,
        client: Some(client.to_owned()),
        method: method.to_owned(),
        target: target.to_owned(),
        status: Some(200),
        response_bytes: Some(9),
        ..Seen::default()
    }
}
