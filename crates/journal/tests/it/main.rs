//! The journal from outside: what a writer, a reader and a crash may rely on. One binary; all
//! but the tests of `real` run on the faulty disk.

mod basics;
mod beside;
mod damage;
mod faulty_disk;
mod helpers;
mod pinned;
mod property;
mod racing;
mod real;
mod recovery;
mod snapshots;
