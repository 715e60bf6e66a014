//! Every format Seawall has promised to keep: journal records, snapshots, files people write.
pub mod campaign;
pub mod catalogue;
mod octets;
pub mod dump;
pub mod problem;
pub mod record;
pub mod report;
pub mod snapshot;

pub use octets::Malformed;
