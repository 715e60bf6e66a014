//! The configuration that a rehearsal gives to the shop it starts.

use std::path::Path;

/// A shop that trusts the test issuer. Its payments are declined and get lost now and then, as a
/// real channel's do.
pub(crate) fn text(folder: &Path, issuer: &str, audience: &str) -> String {
    let key_file = folder.join("issuer.key");
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        "jwt:\n  issuer: {}\n  audience: {}\n  algorithm: HS256\n  key_file: {}\npayment:\n  \
         sandbox:\n    delay_ms_median: 40\n    decline_share: 0.02\n    unknown_share: 0.01\n\
         log:\n  level: warn\n",
        quoted(issuer),
        quoted(audience),
        quoted(&key_file.to_string_lossy()),
    )
}
