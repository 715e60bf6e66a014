//! Every format Seawall has promised to keep: journal records, snapshots, files people write.
pub mod campaign;
pub mod catalogue;
pub mod dump;
pub mod gateway;
mod octets;
pub mod problem;
pub mod record;
pub mod rehearsal;
pub mod report;
pub mod scenario;
pub mod secrets;
pub mod services;
pub mod snapshot;

pub use octets::Malformed;
