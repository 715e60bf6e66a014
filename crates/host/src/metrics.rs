//! Metrics: a latency histogram for the hot path, and the registry that all of them join.
//!
//! Names follow the Prometheus conventions with base units and one prefix:
//! `seawall_<what>_seconds`, `…_bytes`, `…_total`.

mod histogram;

pub use histogram::LatencyHistogram;
