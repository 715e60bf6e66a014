//! The journal from outside: what a writer, a reader and a crash may rely on. One binary; all
//! but the tests of `real` run on the faulty disk.

mod any_bytes;
mod basics;
mod beside;
mod damage;
mod faulty_disk;
mod helpers;
#[path = "../../../wire/tests/mutate/mod.rs"]
mod mutate;
mod pinned;
mod property;
mod racing;
mod real;
mod recovery;
mod snapshots;
