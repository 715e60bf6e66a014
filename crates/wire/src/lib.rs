//! wire
pub mod campaign;
