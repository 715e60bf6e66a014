//! The front door: what `guard` decides is performed here. Requests come from `host`'s listener and
//! end in process or at an upstream.
//!
//! It must not know the shop: a service in the same process is handed in by the binary.

pub mod access_log;
pub mod cache;
mod cluster;
pub mod compress;
pub mod config;
pub mod door;
pub mod flags;
pub mod headers;
mod limits;
pub mod mark;
#[cfg(test)]
#[path = "../../wire/tests/mutate/mod.rs"]
mod mutate;
pub mod prerender;
pub mod proxy;
pub mod recorder;
pub mod room;
pub mod upstream;
