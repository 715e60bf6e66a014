//! The fault proxy from outside: real sockets, its real control listener, each toxic measured.
//! Processes and disks are tested with the binary (crates/seawall/tests/it/faults.rs).

mod bed;
mod control;
mod http;
mod toxics;
