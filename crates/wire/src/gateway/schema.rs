//! The JSON Schemas of the three files (draft 2020-12), and the tables of keys in the documents,
//! written from the same table that the reader goes by.
//!
//! A schema holds what one value can be judged by. What needs two of them – a route that no
//! request can reach, a limit that has expired – only the check finds.

use super::FileKind;
use super::limits::{FILE_NAME_CHARS_MAX, HEADER_NAME_CHARS_MAX, NAME_CHARS_MAX, PATH_CHARS_MAX};
use super::scalar::{KEY_PARTS, Kind};
use super::shape::{Key, Map, Mapping, Need, Shape};
use serde_json::{Map as Object, Value, json};

/// The schema as text, with a line at its end.
#[must_use]
pub fn text(kind: FileKind) -> String {
    shown(&of(kind))
}

/// A schema as text, with a line at its end.
#[must_use]
pub fn shown(schema: &Value) -> String {
    format!("{schema:#}\n")
}

#[must_use]
pub fn of(kind: FileKind) -> Value {
    of_map(kind.as_str(), shape(kind))
}

/// The schema of a file called `name`.
#[must_use]
pub fn of_map(name: &str, map: &Map) -> Value {
    let mut schema = Object::new();
    schema.insert(
        "$schema".into(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    schema.insert("$id".into(), json!(format!("urn:seawall:{name}:1")));
    schema.insert(
        "title".into(),
        json!(format!("Seawall {name}.yaml, version 1")),
    );
    if let Value::Object(rest) = mapping(map) {
        schema.extend(rest);
    }
    Value::Object(schema)
}

/// The keys of a file as tables for its document: one for each mapping.
#[must_use]
pub fn documented(kind: FileKind) -> String {
    documented_map(shape(kind))
}

/// The keys of a file with this mapping.
#[must_use]
pub fn documented_map(map: &'static Map) -> String {
    let mut text = String::new();
    let mut left = vec![(String::new(), map)];
    let mut next = 0;
    while let Some((path, map)) = left.get(next).cloned() {
        let before = left[..next]
            .iter()
            .find(|(_, other)| other.about == map.about);
        next += 1;
        let title = if path.is_empty() { "the file" } else { &path };
        text += &format!("### `{title}`\n\n{}\n\n", map.about.trim());
        // With all that is inside it would be long, and the same.
        let deep = map.keys.iter().any(|key| inner(&key.shape).is_some());
        if let Some((first, _)) = before.filter(|_| deep) {
            text += &format!("As `{first}`.\n\n");
            continue;
        }
        text += "| key | value | where absent | what it is |\n|---|---|---|---|\n";
        for key in map.keys {
            let name = key.name();
            text += &format!(
                "| `{name}` | {} | {} | {} |\n",
                value_in_words(&key.shape),
                absent_in_words(key),
                key.about()
            );
            let path = if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            };
            if let Some(inner) = inner(&key.shape) {
                // Files of their own have documents of their own.
                if !matches!(key.shape, Shape::FileOr(_)) {
                    left.push((path, inner));
                }
            }
        }
        text.push('\n');
    }
    text
}

pub fn shape(kind: FileKind) -> &'static Map {
    match kind {
        FileKind::Gateway => super::Gateway::SHAPE,
        FileKind::Limits => super::Limits::SHAPE,
        FileKind::Switches => super::Switches::SHAPE,
    }
}

fn inner(shape: &Shape) -> Option<&'static Map> {
    match shape {
        Shape::Map(map) | Shape::OneOf(map) | Shape::FileOr(map) | Shape::ScalarOr(_, map) => {
            Some(map)
        }
        Shape::List(item, _) | Shape::Table(item, _) => inner(item),
        Shape::Scalar(_) | Shape::OneOrList(..) | Shape::Json => None,
    }
}

fn value_in_words(shape: &Shape) -> String {
    match shape {
        Shape::Scalar(kind) => kind.expected(),
        Shape::List(item, most) => match item {
            Shape::Scalar(kind) => format!("list, at most {most}: {}", kind.expected()),
            Shape::ScalarOr(kind, _) => {
                format!("list, at most {most}: {}; or mappings", kind.expected())
            }
            _ => format!("list of mappings, at most {most}"),
        },
        Shape::Table(item, most) => {
            let each = value_in_words(item);
            format!("a mapping of names, at most {most}, each to: {each}")
        }
        Shape::ScalarOr(kind, _) => format!("{}; or a mapping", kind.expected()),
        Shape::Json => "anything".to_owned(),
        Shape::OneOrList(kind, most) => format!("{}; or a list, at most {most}", kind.expected()),
        Shape::Map(_) => "a mapping".to_owned(),
        Shape::OneOf(_) => "a mapping with exactly one key".to_owned(),
        Shape::FileOr(_) => "the name of a file, or a mapping".to_owned(),
    }
}

fn absent_in_words(key: &Key) -> String {
    match key.need {
        Need::Required => "required".to_owned(),
        Need::Optional => "–".to_owned(),
        Need::Or(text) => format!("`{text}`"),
    }
}

fn mapping(map: &Map) -> Value {
    let mut properties = Object::new();
    for key in map.keys {
        properties.insert(key.name().to_owned(), property(key));
    }
    let required: Vec<&str> = map
        .keys
        .iter()
        .filter(|key| key.need == Need::Required)
        .map(Key::name)
        .collect();
    let mut object = Object::new();
    object.insert("description".into(), json!(map.about.trim()));
    object.insert("type".into(), json!("object"));
    object.insert("additionalProperties".into(), json!(false));
    if !required.is_empty() {
        object.insert("required".into(), json!(required));
    }
    object.insert("properties".into(), Value::Object(properties));
    Value::Object(object)
}

fn property(key: &Key) -> Value {
    let mut value = value(&key.shape, key.need == Need::Required);
    if let Value::Object(object) = &mut value {
        object.insert("description".into(), json!(key.about()));
        if let (Need::Or(text), Shape::Scalar(kind)) = (key.need, &key.shape) {
            object.insert("default".into(), default(kind, text));
        }
        if let (Need::Or(text), Shape::List(..)) = (key.need, &key.shape) {
            let words: Vec<&str> = text.split(',').map(str::trim).collect();
            object.insert("default".into(), json!(words));
        }
    }
    value
}

fn default(kind: &Kind, text: &str) -> Value {
    match kind {
        Kind::Whole(..) | Kind::Number(..) | Kind::Flag => {
            serde_json::from_str(text).unwrap_or_else(|_| json!(text))
        }
        _ => json!(text),
    }
}

fn value(shape: &Shape, required: bool) -> Value {
    match shape {
        Shape::Scalar(kind) => scalar(kind),
        Shape::List(item, most) => {
            let mut list = json!({"type": "array", "maxItems": most, "items": value(item, false)});
            if required {
                list["minItems"] = json!(1);
            }
            list
        }
        Shape::OneOrList(kind, most) => {
            let many = json!({"type": "array", "maxItems": most, "items": scalar(kind)});
            json!({"anyOf": [scalar(kind), many]})
        }
        Shape::Map(map) => mapping(map),
        Shape::OneOf(map) => {
            let mut one = mapping(map);
            one["minProperties"] = json!(1);
            one["maxProperties"] = json!(1);
            one
        }
        Shape::FileOr(map) => json!({"anyOf": [scalar(&Kind::File), mapping(map)]}),
        Shape::Table(item, most) => {
            let mut table = json!({"type": "object", "maxProperties": most});
            table["additionalProperties"] = value(item, false);
            table
        }
        Shape::ScalarOr(kind, map) => json!({"anyOf": [scalar(kind), mapping(map)]}),
        Shape::Json => json!({}),
    }
}

/// What a JSON Schema can say of a kind. A text of digits may stand without quotes in YAML, so
/// texts of free form may be numbers.
fn scalar(kind: &Kind) -> Value {
    let pattern = |pattern: &str| json!({"type": "string", "pattern": pattern});
    match *kind {
        Kind::Name => json!({
            "type": "string", "maxLength": NAME_CHARS_MAX, "pattern": "^[a-z0-9][a-z0-9._-]*$"
        }),
        Kind::Text(most) => {
            json!({"type": ["string", "number", "boolean"], "minLength": 1, "maxLength": most})
        }
        Kind::Lines(most) => {
            json!({"type": ["string", "number", "boolean"], "maxLength": most})
        }
        Kind::Statuses => json!({
            "type": ["integer", "string"], "minimum": 100, "maximum": 599,
            "pattern": "^[1-5][0-9]{2}(-[1-5][0-9]{2})?$"
        }),
        Kind::File => json!({"type": "string", "minLength": 1, "maxLength": FILE_NAME_CHARS_MAX}),
        Kind::Whole(low, high) => json!({"type": "integer", "minimum": low, "maximum": high}),
        Kind::Number(low, high) => json!({"type": "number", "minimum": low, "maximum": high}),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Span(..) => pattern("^[0-9]+(ms|s|m|min|h|d)$"),
        Kind::Size(low, high) => json!({
            "type": ["integer", "string"], "minimum": low, "maximum": high,
            "pattern": "^[0-9]+(B|KiB|MiB|GiB)?$"
        }),
        Kind::Word(words) => word(words),
        Kind::Rate => pattern("^[1-9][0-9]*/(s|min|h)$"),
        Kind::Quota => pattern("^[1-9][0-9]*/day$"),
        Kind::Instant => json!({"type": "string", "format": "date-time"}),
        Kind::Offset => pattern("^[+-][0-9]{2}:[0-9]{2}$"),
        Kind::Socket => pattern("^(\\[[0-9A-Fa-f:.]+\\]|[0-9.]+):[0-9]+$"),
        Kind::Peer => pattern("^(\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9._-]+):[0-9]+$"),
        Kind::Block => pattern("^[0-9A-Fa-f:.]+(/[0-9]+)?$"),
        Kind::Host => pattern("^(\\*\\.)?[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*$"),
        Kind::Path | Kind::Template => {
            json!({"type": "string", "pattern": "^/", "maxLength": PATH_CHARS_MAX})
        }
        Kind::HeaderName => json!({
            "type": "string", "maxLength": HEADER_NAME_CHARS_MAX,
            "pattern": "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
        }),
        Kind::Url => pattern("^(https?://|/)"),
        Kind::KeyPart => {
            let words: Vec<&str> = KEY_PARTS.iter().map(|(word, _)| *word).collect();
            pattern(&format!("^({}|header:.+)$", words.join("|")))
        }
    }
}

/// Words of digits may stand without quotes, and YAML 1.1 reads `on` as `true`.
fn word(words: &[&str]) -> Value {
    let mut all: Vec<Value> = words.iter().map(|word| json!(word)).collect();
    let numbers = words
        .iter()
        .filter_map(|word| serde_json::from_str::<Value>(word).ok());
    all.extend(numbers.filter(Value::is_number));
    for (word, flag) in [("on", true), ("off", false)] {
        if words.contains(&word) {
            all.push(json!(flag));
        }
    }
    json!({ "enum": all })
}
