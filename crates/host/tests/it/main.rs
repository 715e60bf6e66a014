//! The tests of a process from outside: one binary, ports found at start, temporary folders.

mod abuse;
mod admin;
mod any_bytes;
mod child;
mod config;
mod drain;
mod frames;
mod http;
mod http2;
mod llhttp;
mod many;
#[path = "../../../wire/tests/mutate/mod.rs"]
mod mutate;
mod process;
mod strict;
mod support;
mod tls;
