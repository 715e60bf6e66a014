//! Names that stand for secrets: what the gateway's recorder does not write down, and what replays
//! of recordings from elsewhere leave behind. One list, so that neither forgets what the other
//! knows; docs/records.md shows it. It must not know values.

/// Names of headers, fields and members with one of these inside are secret. Small letters and
/// digits only: whoever compares leaves out everything else.
pub const PARTS: [&str; 12] = [
    "token",
    "secret",
    "passw",
    "session",
    "apikey",
    "accesskey",
    "credential",
    "signature",
    "cookie",
    "cardnumber",
    "authorization",
    "csrf",
];

/// And these as they are.
pub const NAMES: [&str; 12] = [
    "auth",
    "cvc",
    "cvv",
    "iban",
    "otp",
    "pan",
    "pin",
    "pwd",
    "seawallmark",
    "sid",
    "sig",
    "ticket",
];
