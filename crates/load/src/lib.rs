//! Open-loop load that tells the truth, on any HTTP service.
//!
//! Arrivals are planned without looking at answers (`arrivals`); buyers walk through compiled
//! journeys (`script`, `expr`); workers send at the planned instants and measure from them
//! (`worker`, `measure`); a run says itself whether it was the limit (`run`).

pub mod agent;
mod answer;
pub mod arrivals;
mod buyer;
mod client;
pub mod compile;
pub mod consent;
pub mod expr;
pub mod find;
pub mod generator;
mod http1;
mod http2;
pub mod k6;
mod latency;
pub mod limits;
pub mod live;
mod mark;
pub mod measure;
mod meter;
pub mod metrics;
pub mod outline;
mod pace;
mod redirect;
pub mod replay;
pub mod report;
mod request;
pub mod rng;
pub mod run;
pub mod script;
pub mod search;
pub mod slo;
pub mod stop;
pub mod thresholds;
pub mod tls;
mod worker;

pub use run::{Control, Options, Run, RunError, Target};
pub use tls::tls;
