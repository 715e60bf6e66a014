//! What a run or a search came to, for people and for programs.
//!
//! `Body::of_run` and `Body::of_find` make the figures; `envelope` says who ran what and judges;
//! `table`, `page` and `junit` show, `compare` says whether two reports differ by more than
//! chance, and `read` takes a file of ours, of k6 or of JMeter. One structure feeds them all, so
//! that they cannot disagree. It must not know how load is made.

mod body;
mod compare;
mod jtl;
mod junit;
mod k6;
mod of;
mod page;
mod read;
mod table;
#[cfg(test)]
mod tests;

pub use body::{
    Body, CheckFigures, Generator, LoadFigures, Quantiles, RequestFigures, SearchFigures,
    SecondFigures, Source, StepFigures, TargetFigures, ThresholdFigures,
};
pub use compare::{Comparison, Difference, compare};
pub use jtl::read as read_jtl;
pub use junit::junit;
pub use k6::{K6Figures, read as read_k6, tagged as k6_tagged};
pub use of::{About, Ran, envelope};
pub use page::page;
pub use read::{Unreadable, read};
pub use table::table;
