//! Changes single values of queries, forms and JSON, and leaves everything else as it was sent. It
//! must not know why.

use super::plain;
use serde_json::Value;

/// Asks `edit` about each pair: `None` leaves it, `Some(None)` drops it, else the value is set.
pub(super) fn edit_pairs(
    text: &str,
    edit: impl Fn(&str, &str) -> Option<Option<String>>,
) -> String {
    let mut out: Vec<String> = Vec::new();
    for pair in text.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        // An `=` inside a value would be a border to the parser.
        let value = value.replace('=', "%3D");
        match edit(&plain(key), &plain(&value)) {
            None => out.push(pair.to_owned()),
            Some(None) => {}
            Some(Some(new)) => {
                let new: String = form_urlencoded::byte_serialize(new.as_bytes()).collect();
                out.push(format!("{key}={new}"));
            }
        }
    }
    out.join("&")
}

/// Asks `edit` about each plain value, by its JSON pointer. `None` if nothing changed: then the
/// bytes stay as they were sent.
pub(super) fn edit_json(
    body: &[u8],
    edit: &mut dyn FnMut(&str, &str) -> Option<Option<String>>,
) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    let mut changed = false;
    walk(&mut value, &mut String::new(), edit, &mut changed);
    changed.then(|| serde_json::to_vec(&value).ok()).flatten()
}

/// `false`: the value is to be dropped. As deep as the parser went, which is bounded.
fn walk(
    value: &mut Value,
    at: &mut String,
    edit: &mut dyn FnMut(&str, &str) -> Option<Option<String>>,
    changed: &mut bool,
) -> bool {
    let mark = at.len();
    match value {
        Value::Object(members) => members.retain(|name, value| {
            at.push('/');
            at.push_str(&name.replace('~', "~0").replace('/', "~1"));
            let stays = walk(value, at, edit, changed);
            at.truncate(mark);
            stays
        }),
        Value::Array(items) => {
            let mut index = 0;
            items.retain_mut(|value| {
                at.push_str(&format!("/{index}"));
                index += 1;
                let stays = walk(value, at, edit, changed);
                at.truncate(mark);
                stays
            });
        }
        Value::Null => {}
        plain => return leaf(plain, at, edit, changed),
    }
    true
}

fn leaf(
    value: &mut Value,
    at: &str,
    edit: &mut dyn FnMut(&str, &str) -> Option<Option<String>>,
    changed: &mut bool,
) -> bool {
    let (old, numeric) = match &*value {
        Value::String(text) => (text.clone(), false),
        other => (other.to_string(), true),
    };
    match edit(at, &old) {
        None => true,
        Some(new) => {
            *changed = true;
            let Some(new) = new else { return false };
            // A number stays one where it can.
            let number = numeric
                .then(|| serde_json::from_str::<Value>(&new).ok())
                .flatten();
            let number = number.filter(|new| new.is_number() || new.is_boolean());
            *value = number.unwrap_or(Value::String(new));
            true
        }
    }
}

/// A part of a path, with escapes where it needs them.
pub(super) fn encode_segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
