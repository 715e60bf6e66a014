//! The configuration that a rehearsal gives to the shop it starts.

use std::path::Path;

/// A shop that trusts the test issuer and keeps its whole journal for the audit.
pub(crate) fn text(folder: &Path, issuer: &str, audience: &str, operator_token: &str) -> String {
    let path =
        |name: &str| serde_json::Value::from(folder.join(name).to_string_lossy()).to_string();
    let (issuer, audience) = (serde_json::json!(issuer), serde_json::json!(audience));
    _ = operator_token;
    format!(
        "jwt:\n  issuer: {issuer}\n  audience: {audience}\n  algorithm: HS256\n  key_file: {}\n",
        path("issuer.key"),
    )
}
