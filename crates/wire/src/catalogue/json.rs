//! JSON Lines: one object a line, with our own field names or Icecat's. Which of the two it is,
//! the first line says.

use super::draft::{Draft, Slot};
use super::lines::{Found, Lines};
use super::profile::attribute_name;
use super::table::usable;
use super::{Intake, Product, quoted};
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use std::fmt;
use std::io::{self, BufRead};

const OWN: &str = "sku, title, price or price_minor";

pub(super) fn read<R: BufRead, S: FnMut(Product)>(
    lines: &mut Lines<R>,
    intake: &mut Intake<'_, S>,
) -> io::Result<()> {
    let mut raw = Vec::new();
    let mut icecat = None;
    while !intake.full {
        let found = lines.next(&mut raw)?;
        let line = lines.number();
        if !usable(found, line, intake) {
            continue;
        }
        if found == Found::End {
            break;
        }
        if raw.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let Object(fields) = match serde_json::from_slice(&raw) {
            Ok(object) => object,
            Err(error) => {
                let column = format!("column {}", error.column().max(1));
                intake.problem(
                    line,
                    &column,
                    told(&raw, &error),
                    "one JSON object in UTF-8",
                );
                continue;
            }
        };
        let has = |name: &str| fields.iter().any(|(field, _)| field == name);
        let icecat = *icecat.get_or_insert_with(|| !has("sku") && has("id") && has("supplier"));
        let draft = if icecat {
            icecat_draft(line, fields, intake)
        } else {
            own_draft(line, fields, intake)
        };
        if let Some(draft) = draft {
            intake.take(draft);
        }
    }
    if intake.summary.products == 0 && intake.problems.is_empty() {
        intake.problem(
            lines.number(),
            "",
            "no product".to_owned(),
            "one JSON object a line",
        );
    }
    Ok(())
}

/// What serde_json found, without its own count of lines, which is always the first.
fn told(raw: &[u8], error: &serde_json::Error) -> String {
    let words = error.to_string();
    let words = words.split(" at line ").next().unwrap_or_default();
    let from = error.column().saturating_sub(1).min(raw.len());
    let rest = String::from_utf8_lossy(&raw[from..(from + 40).min(raw.len())]);
    format!("{} ({words})", quoted(&rest))
}

fn own_draft<S: FnMut(Product)>(
    line: u64,
    fields: Vec<(String, Value)>,
    intake: &mut Intake<'_, S>,
) -> Option<Draft> {
    let mut draft = Draft::new(line);
    let mut good = true;
    for (name, value) in fields {
        if name == "attributes" {
            good &= attributes(line, value, &mut draft, intake);
        } else if let Some(attribute) = name.strip_prefix("attr_") {
            match scalar(&value) {
                Some(text) => draft.attribute(attribute_name(attribute), text),
                None => good &= wrong_kind(line, &name, &value, intake),
            }
        } else if let Some(slot) = Slot::of_own_name(&name) {
            match scalar(&value) {
                Some(text) => draft.set(slot, &name, text),
                None => good &= wrong_kind(line, &name, &value, intake),
            }
        } else {
            let expected = format!("a known field: {OWN}, … (docs/catalogue.md)");
            intake.problem(line, &name, "an unknown field".to_owned(), expected);
            good = false;
        }
    }
    good.then_some(draft)
}

fn attributes<S: FnMut(Product)>(
    line: u64,
    value: Value,
    draft: &mut Draft,
    intake: &mut Intake<'_, S>,
) -> bool {
    let Value::Object(map) = value else {
        let expected = "an object of names and values";
        intake.problem(line, "attributes", quoted(&value.to_string()), expected);
        return false;
    };
    let mut good = true;
    for (name, value) in map {
        match scalar(&value) {
            Some(text) => draft.attribute(name, text),
            None => good &= wrong_kind(line, &format!("attributes.{name}"), &value, intake),
        }
    }
    good
}

/// Icecat: `price` is in minor units, attributes are fields named `attr_t_…` (text), `attr_n_…`
/// (number) and `attr_b_…` (yes or no).
fn icecat_draft<S: FnMut(Product)>(
    line: u64,
    fields: Vec<(String, Value)>,
    intake: &mut Intake<'_, S>,
) -> Option<Draft> {
    let mut draft = Draft::new(line);
    let mut good = true;
    for (name, value) in fields {
        let Some(text) = scalar(&value) else {
            good &= wrong_kind(line, &name, &value, intake);
            continue;
        };
        match name.as_str() {
            "id" => draft.set(Slot::Sku, &name, text),
            "title" => draft.set(Slot::Title, &name, text),
            "short_description" => draft.set(Slot::Description, &name, text),
            "price" => draft.set(Slot::PriceMinor, &name, text),
            "attr_t_product_type" => draft.set(Slot::Category, &name, text),
            "supplier" => draft.attribute("brand".to_owned(), text),
            "name" => draft.attribute("model".to_owned(), text),
            "date_released" => {
                let day = text.split('T').next().unwrap_or_default().to_owned();
                draft.attribute("released".to_owned(), day);
            }
            _ => match name.strip_prefix("attr_") {
                Some(attribute) => draft.attribute(attribute_name(attribute), text),
                None => intake
                    .summary
                    .note("fields of Icecat without a meaning here"),
            },
        }
    }
    good.then_some(draft)
}

/// A value as text; `None` for lists and objects. Null is the empty text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(true) => Some("yes".to_owned()),
        Value::Bool(false) => Some("no".to_owned()),
        Value::Number(number) => {
            let text = number.to_string();
            Some(text.strip_suffix(".0").map_or(text.clone(), str::to_owned))
        }
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn wrong_kind<S: FnMut(Product)>(
    line: u64,
    field: &str,
    value: &Value,
    intake: &mut Intake<'_, S>,
) -> bool {
    intake.problem(
        line,
        field,
        quoted(&value.to_string()),
        "a text, a number, or null",
    );
    false
}

/// An object whose fields keep their order; a field that comes twice is an error, where the
/// common map would keep the last and hide the first.
struct Object(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for Object {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut fields: Vec<(String, Value)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            fields.push((name, value));
        }
        let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(serde::de::Error::custom(format!(
                "field `{}` twice",
                twice[0]
            )));
        }
        Ok(Object(fields))
    }
}
