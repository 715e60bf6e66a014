//! The configuration that a rehearsal gives to the shop it starts.

use std::net::SocketAddr;
use std::path::Path;

/// A shop that trusts the test issuer. Its payments are declined and get lost now and then, as a
/// real channel's do.
pub(crate) fn text(
    folder: &Path,
    issuer: &str,
    audience: &str,
    bank: Option<SocketAddr>,
) -> String {
    let bank = bank.map_or_else(String::new, |bank| format!("  bank: \"{bank}\"\n"));
    let key_file = folder.join("issuer.key");
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        "jwt:\n  issuer: {}\n  audience: {}\n  algorithm: HS256\n  key_file: {}\npayment:\n{bank}  \
         sandbox:\n    delay_ms_median: 40\n    decline_share: 0.02\n    unknown_share: 0.01\n\
         log:\n  level: warn\n",
        quoted(issuer),
        quoted(audience),
        quoted(&key_file.to_string_lossy()),
    )
}

/// How a bank of its own behaves: as the sandbox does above.
pub(crate) fn bank_words() -> impl Iterator<Item = String> {
    let words = [
        "--delay-ms",
        "40",
        "--decline-share",
        "0.02",
        "--unknown-share",
        "0.01",
    ];
    words.into_iter().map(str::to_owned)
}
