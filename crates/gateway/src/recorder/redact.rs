//! What must not be written down. Secrets are known by their names: a list that cannot be switched
//! off, and the names that the configuration adds. Where telling clients or keys apart matters, a
//! keyed hash stands in place of the value, since short values could be guessed from a plain one.
//! What cannot be searched for secrets is not kept. It must not know where records go.

use hmac::{Hmac, KeyInit, Mac};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use serde_json::Value as Json;
use sha2::Sha256;
use std::fmt::Write;
use wire::secrets::{NAMES, PARTS};

/// In place of headers and fields.
pub(super) const BLANK: &str = "[redacted]";
/// The same where brackets would have to be encoded.
const BLANK_PLAIN: &str = "redacted";
/// Headers that carry the client's address.
const ADDRESSES: [&str; 7] = [
    "x-forwarded-for",
    "forwarded",
    "x-real-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-client-ip",
    "from",
];

pub(super) struct Redactor {
    key: Hmac<Sha256>,
    /// What the configuration adds, letters and digits only.
    named: Vec<String>,
}

/// The keyed hash of a body that passes by.
pub(super) struct BodyHash(Hmac<Sha256>);

impl BodyHash {
    pub fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    pub fn finish(self) -> String {
        hex(&self.0.finalize().into_bytes())
    }
}

impl Redactor {
    pub fn new(key: &[u8; 32], named: &[String]) -> Redactor {
        Redactor {
            key: Hmac::new_from_slice(key).expect("any length is a key"),
            named: named.iter().map(|name| plain(name)).collect(),
        }
    }

    pub fn body_hash(&self) -> BodyHash {
        let mut mac = self.key.clone();
        mac.update(b"seawall.recorder.body.v1\0");
        BodyHash(mac)
    }

    pub fn client(&self, client: &[u8]) -> String {
        self.short(b"seawall.recorder.client.v1\0", client)
    }

    /// Path and query, without the values of secret fields.
    pub fn target(&self, target: &str) -> String {
        match target.split_once('?') {
            Some((path, query)) => format!("{path}?{}", self.fields(query)),
            None => target.to_owned(),
        }
    }

    pub fn headers(&self, headers: &HeaderMap) -> Vec<(String, String)> {
        let shown = headers.iter().map(|(name, value)| {
            let text = String::from_utf8_lossy(value.as_bytes());
            (name.as_str().to_owned(), self.header(name, &text))
        });
        shown.collect()
    }

    fn header(&self, name: &HeaderName, text: &str) -> String {
        let is_name = self.is_secret(name.as_str());
        if is_name || ADDRESSES.contains(&name.as_str()) {
            BLANK.to_owned()
        } else if name.as_str() == "idempotency-key" {
            self.short(b"seawall.recorder.key.v1\0", text.as_bytes())
        } else {
            // Whatever names a URL: Referer, X-Original-Url and their kin.
            self.target(text)
        }
    }

    /// A body that is known to hold no secret by name. `None`: it is neither JSON nor a form.
    pub fn body(&self, headers: &HeaderMap, body: &[u8]) -> Option<String> {
        let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let kind = kind.split(';').next()?.trim().to_ascii_lowercase();
        if kind == "application/json" || kind.ends_with("+json") {
            // Written anew, so that of two members of one name none is overlooked.
            let mut json: Json = serde_json::from_slice(body).ok()?;
            self.blank(&mut json);
            Some(json.to_string())
        } else if kind == "application/x-www-form-urlencoded" {
            Some(self.fields(std::str::from_utf8(body).ok()?))
        } else {
            None
        }
    }

    /// As deep as the parser allows.
    fn blank(&self, json: &mut Json) {
        match json {
            Json::Object(members) => {
                for (name, value) in members {
                    if self.is_secret(name) {
                        *value = Json::from(BLANK);
                    } else {
                        self.blank(value);
                    }
                }
            }
            Json::Array(items) => items.iter_mut().for_each(|item| self.blank(item)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }

    fn fields(&self, fields: &str) -> String {
        let mut shown = String::with_capacity(fields.len());
        // Some servers also part fields at a semicolon.
        for field in fields.split_inclusive(['&', ';']) {
            let (pair, end) = match field.strip_suffix(['&', ';']) {
                Some(pair) => field.split_at(pair.len()),
                None => (field, ""),
            };
            match pair.split_once('=') {
                Some((name, _)) if self.is_secret_field(name) => {
                    shown.push_str(name);
                    shown.push('=');
                    shown.push_str(BLANK_PLAIN);
                }
                _ => shown.push_str(pair),
            }
            shown.push_str(end);
        }
        shown
    }

    fn is_secret_field(&self, encoded: &str) -> bool {
        form_urlencoded::parse(encoded.as_bytes()).any(|(name, _)| self.is_secret(&name))
    }

    /// Also inside of names like `user[email]` and `user.email`.
    fn is_secret(&self, name: &str) -> bool {
        let whole = plain(name);
        let is_named =
            |name: &str| NAMES.contains(&name) || self.named.iter().any(|named| named == name);
        is_named(&whole)
            || PARTS.iter().any(|part| whole.contains(part))
            || name
                .split(['[', ']', '.', ':'])
                .any(|part| is_named(&plain(part)))
    }

    fn short(&self, label: &[u8], value: &[u8]) -> String {
        let mut mac = self.key.clone();
        mac.update(label);
        mac.update(value);
        hex(&mac.finalize().into_bytes()[..16])
    }
}

/// `access_token`, `accessToken` and `Access-Token` are one name.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(|letter| letter.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // A text takes what is written to it.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
