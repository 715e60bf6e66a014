//! The rehearsal: an open-loop flood of buyers against a shop, a kill in the middle, and an audit
//! that believes only what buyers were told and what an offline dump of the journal says.

pub mod answers;
pub mod books;
pub mod client;
#[cfg(test)]
mod fake;
pub mod follow;
pub mod limits;
pub mod load;
pub mod measure;
mod meter;
pub mod plan;
pub mod receipts;
pub mod rng;
#[cfg(test)]
mod tests;
pub mod token;
