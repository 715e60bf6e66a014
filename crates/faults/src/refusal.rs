//! Why the control listener did not do what was asked: one enum, one table to status and words.
//!
//! The words and numbers of the first group are those that clients of Toxiproxy know.
//! A failure of the machine (a port that is taken) is `Failed`, apart from what the caller did.

use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("proxy not found")]
    ProxyNotFound,
    #[error("toxic not found")]
    ToxicNotFound,
    #[error("proxy already exists")]
    ProxyExists,
    #[error("toxic already exists")]
    ToxicExists,
    #[error("bad request body: {0}")]
    BadBody(String),
    #[error("missing required field: {0}")]
    Missing(String),
    #[error("stream was invalid, can be either upstream or downstream")]
    Stream,
    #[error("invalid toxic type: {0}")]
    ToxicType(String),

    #[error("lease not found: it has ended, or never was")]
    LeaseNotFound,
    #[error("lease: {0}")]
    Lease(String),
    #[error("there are {0} already, and that is the most")]
    TooMany(&'static str),
    #[error("not here: {0}")]
    Forbidden(String),
    #[error("no such path")]
    NoSuchPath,
    #[error("this path does not know that method")]
    Method,
    #[error("{0}")]
    Failed(String),
}

impl Refusal {
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Refusal::ProxyNotFound
            | Refusal::ToxicNotFound
            | Refusal::LeaseNotFound
            | Refusal::NoSuchPath => 404,
            Refusal::ProxyExists | Refusal::ToxicExists => 409,
            Refusal::BadBody(_)
            | Refusal::Missing(_)
            | Refusal::Stream
            | Refusal::ToxicType(_)
            | Refusal::Lease(_) => 400,
            Refusal::TooMany(_) => 429,
            Refusal::Forbidden(_) => 403,
            Refusal::Method => 405,
            Refusal::Failed(_) => 500,
        }
    }

    #[must_use]
    pub fn json(&self) -> Value {
        json!({"error": self.to_string(), "status": self.status()})
    }
}
