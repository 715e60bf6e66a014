//! How a process lives: listeners, admin, metrics, configuration, logs, drain, exit codes.
//!
//! Everything here is the same for every role of the program, so that one reading of it
//! explains how any of them starts, answers, gets asked about its health and stops.
//! It must not know what is sold: no shop, no engine, no journal.

mod drain;
pub mod http;
pub mod limits;
pub mod metrics;

pub use drain::Drain;
