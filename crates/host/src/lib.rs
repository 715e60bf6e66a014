//! How a process lives: listeners, admin, metrics, configuration, logs, drain, exit codes.
//!
//! Everything here is the same for every role of the program, so that one reading of it
//! explains how any of them starts, answers, gets asked about its health and stops.
//! It must not know what is sold: no shop, no engine, no journal.

pub mod admin;
pub mod config;
pub mod cores;
pub mod data_folder;
mod drain;
mod exit;
pub mod http;
pub mod limits;
pub mod log;
pub mod metrics;
pub mod ready_file;
pub mod signals;
pub mod tls;

pub use drain::Drain;
pub use exit::Exit;
