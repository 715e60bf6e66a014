//! Recorded traffic: every format in, one shape out ([`Seen`]); what to send again, and when
//! ([`plan`], [`substitute`]); and how much of production a run stands for ([`coverage`]).
//! Recordings are read as streams, in bounded memory. It sends nothing and knows no server of ours.
//!
//! ```
//! # fn main() -> Result<(), traffic::OpenError> {
//! use std::io::Cursor;
//! use traffic::{Options, Speed, plan, read};
//! let log = "10.0.0.7 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 9 \"-\" \"x\"\n\
//!            10.0.0.7 - - [17/May/2015:10:05:23 +0000] \"GET /p/7 HTTP/1.1\" 200 9 \"-\" \"x\"\n";
//! let requests = read(Box::new(Cursor::new(log)), &Options::default())?;
//! // Ten times as fast; lines that are no requests are left out here.
//! let planned = plan(requests.filter_map(Result::ok), Speed::times(10));
//! let all: Vec<_> = planned.map(|next| (next.at_us, next.seen.target)).collect();
//! assert_eq!(all, [(0, "/".to_owned()), (2_000_000, "/p/7".to_owned())]);
//! # Ok(())
//! # }
//! ```

pub mod combined;
pub mod coverage;
mod error;
pub mod gor;
mod har;
pub mod json_log;
pub mod limits;
mod lines;
pub mod list;
mod order;
mod plan;
pub mod profile;
mod rate;
mod read;
mod record;
mod secrets;
mod seen;
pub mod series;
pub mod substitute;
mod summary;
pub mod template;
#[cfg(test)]
mod tests;
mod time;
pub mod traces;
mod yaml;

pub use error::{OpenError, Problems, ReadError, Why};
pub use json_log::Fields;
pub use order::{Ordered, in_order};
pub use plan::{Plan, Planned, Speed, plan};
pub use rate::{Rate, RateError, rate, read_rate};
pub use read::{Format, Options, Reader, open, read};
pub use seen::Seen;
pub use summary::{Refused, Summary};
pub use time::{hour_text, instant_text};
