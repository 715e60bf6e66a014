//! The tables of docs/gateway.md, docs/limits.md and others, from the reader's own.
//!
//!     cargo run -p wire --example gateway_keys -- limits

use wire::gateway::{FileKind, schema};

fn main() {
    let asked = std::env::args().nth(1).unwrap_or_default();
    if asked == "scenario" {
        match std::env::args().nth(2).as_deref() {
            Some("schema") => print!("{}", wire::scenario::schema_text()),
            _ => print!("{}", wire::scenario::documented()),
        }
        return;
    }
    if asked == "services" {
        match std::env::args().nth(2).as_deref() {
            Some("schema") => print!("{}", wire::services::schema_text()),
            _ => print!("{}", wire::services::documented()),
        }
        return;
    }
    if asked == "campaign" {
        match std::env::args().nth(2).as_deref() {
            Some("schema") => print!("{}", wire::campaign::keys::schema_text()),
            _ => print!("{}", wire::campaign::keys::documented()),
        }
        return;
    }
    let Some(kind) = FileKind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == asked)
    else {
        eprintln!("expected gateway, limits, switches, scenario or services");
        std::process::exit(64);
    };
    match std::env::args().nth(2).as_deref() {
        Some("schema") => print!("{}", schema::text(kind)),
        _ => print!("{}", schema::documented(kind)),
    }
}
