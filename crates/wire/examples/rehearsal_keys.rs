//! The tables of docs/rehearsal.md, from the reader's own; with `schema`, the JSON Schema.
//!
//!     cargo run -p wire --example rehearsal_keys

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("schema") => print!("{}", wire::rehearsal::schema_text()),
        _ => print!("{}", wire::rehearsal::documented()),
    }
}
