//! The cache from outside: scripted upstreams, a clock that stands still, workers that race.

mod compression;
mod flights;
mod kept;
mod pages;
mod stale;
mod support;
