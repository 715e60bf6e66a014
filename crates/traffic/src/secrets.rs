//! Whether a name stands for a secret, and which headers belong to one connection only. It must not
//! know values.

use wire::secrets::{NAMES, PARTS};

/// Headers with the address of a client.
const ADDRESSES: [&str; 7] = [
    "x-forwarded-for",
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-cluster-client-ip",
];
/// Headers that whoever sends must write anew.
const OF_CONNECTION: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Whether a field, member or header of this name holds a secret. Capital letters, `-` and `_` make
/// no difference; `user[pin]` and `user.pin` are also `pin`.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let last = name
        .trim_end_matches(']')
        .rsplit(['[', '.'])
        .next()
        .unwrap_or(name);
    [name, last].into_iter().any(|name| {
        let letters = name.chars().filter(|c| !matches!(c, '-' | '_'));
        let plain: String = letters.map(|c| c.to_ascii_lowercase()).collect();
        NAMES.contains(&plain.as_str()) || PARTS.iter().any(|part| plain.contains(part))
    })
}

/// Whether a header stays behind when a request is sent again.
#[must_use]
pub fn stays_behind(header: &str) -> bool {
    is_secret(header) || ADDRESSES.contains(&header) || OF_CONNECTION.contains(&header)
}
