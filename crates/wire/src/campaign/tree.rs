//! A YAML file as a tree that remembers lines, and a reader that gathers problems.
//!
//! Typed deserialisation stops at the first mistake. Somebody who edits a campaign the night
//! before a sale wants all of them at once, so the file is first read into plain nodes and then
//! taken apart key by key. It knows nothing of campaigns.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;
use std::path::{Path, PathBuf};

/// One thing that is wrong: where, what was found, what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: PathBuf,
    /// From 1; 0 when the file as a whole is meant.
    pub line: u64,
    /// The key in dots, such as `coupons[1].quota`; empty for the file as a whole.
    pub key: String,
    pub what: String,
}

/// All that is wrong with a file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.what)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl Problems {
    pub fn one(file: &Path, line: u64, what: impl Into<String>) -> Problems {
        let what = what.into();
        Problems(vec![Problem {
            file: file.to_path_buf(),
            line,
            key: String::new(),
            what,
        }])
    }
}

/// A value and the line it stands on.
#[derive(Clone, Debug)]
pub struct Node {
    pub line: u64,
    value: Value,
    /// Where a number or a yes stands in the text, in bytes: YAML makes `1000` of `1e3` and
    /// `false` of `no`, and a name or a key must stay what was written.
    written: Option<(usize, usize)>,
    raw: Option<String>,
}

#[derive(Clone, Debug)]
enum Value {
    Nothing,
    Scalar(String),
    /// A number or a yes, as YAML wrote it out.
    Plain(String),
    Seq(Vec<Node>),
    Map(Vec<(u64, String, Node)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        let span = spanned.defined.span();
        let place = span.byte_offset().zip(span.byte_len());
        let place = place.and_then(|(start, long)| {
            let start = usize::try_from(start).ok()?;
            Some((start, start.checked_add(usize::try_from(long).ok()?)?))
        });
        Ok(Node {
            line: spanned.referenced.line(),
            value: spanned.value,
            written: place,
            raw: None,
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Plain(v.to_string()))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Plain(v.to_string()))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Plain(v.to_string()))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Value::Plain(v.to_string()))
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::Scalar(v.to_owned()))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nothing)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Nothing)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = seq.next_element::<Node>()? {
            nodes.push(node);
        }
        Ok(Value::Seq(nodes))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let line = key.referenced.line();
            entries.push((line, key.value, map.next_value::<Node>()?));
        }
        Ok(Value::Map(entries))
    }
}

/// Gathers problems while a tree is taken apart. Every getter reports and then goes on with
/// `None`, so that one mistake does not hide the next.
#[derive(Debug)]
pub struct Reader {
    file: PathBuf,
    problems: Vec<Problem>,
}

/// A mapping being read: what was asked for is known, the rest is refused by [`Fields::done`].
#[derive(Debug)]
pub struct Fields<'a> {
    pub line: u64,
    path: String,
    entries: &'a [(u64, String, Node)],
    asked: Vec<&'static str>,
}

/// A value with its place, for problems found later.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    pub node: &'a Node,
    pub line: u64,
}

impl Reader {
    pub fn new(file: &Path) -> Reader {
        Reader {
            file: file.to_path_buf(),
            problems: Vec::new(),
        }
    }
    pub fn parse(file: &Path, text: &str) -> Result<Node, Problems> {
        let read = serde_saphyr::from_str::<Node>(text).map(|mut tree| {
            tree.keep_raw(text);
            tree
        });
        read.map_err(|error| {
            let line = error.location().map_or(0, |place| place.line());
            let said = error.without_snippet().to_string();
            let first = said.lines().next().unwrap_or_default();
            Problems::one(file, line, format!("not readable as YAML: {first}"))
        })
    }
    pub fn problem(&mut self, line: u64, key: impl Into<String>, what: impl Into<String>) {
        let (key, what) = (key.into(), what.into());
        self.problems.push(Problem {
            file: self.file.clone(),
            line,
            key,
            what,
        });
    }
    pub fn wrong(&mut self, line: u64, key: &str, found: &str, expected: &str) {
        self.problem(line, key, format!("found {found}, expected {expected}"));
    }
    /// The result if nothing was wrong.
    pub fn finish<T>(mut self, value: Option<T>) -> Result<T, Problems> {
        self.problems.sort_by_key(|problem| problem.line);
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => Err(Problems(self.problems)),
        }
    }
    pub fn map<'a>(&mut self, node: &'a Node, path: &str) -> Option<Fields<'a>> {
        match &node.value {
            Value::Map(entries) => {
                let (line, path) = (node.line, path.to_owned());
                Some(Fields {
                    line,
                    path,
                    entries,
                    asked: Vec::new(),
                })
            }
            _ => {
                self.wrong(node.line, path, &node.shown(), "a mapping with keys");
                None
            }
        }
    }
    /// Takes over what another reader found in the same file.
    pub fn also(&mut self, found: Vec<Problem>) {
        self.problems.extend(found);
    }
    pub fn list<'a>(&mut self, node: &'a Node, path: &str) -> Option<&'a [Node]> {
        match &node.value {
            Value::Seq(nodes) => Some(nodes),
            _ => {
                self.wrong(node.line, path, &node.shown(), "a list");
                None
            }
        }
    }
    /// Reads a scalar with `parse`, which says what it expected.
    pub fn scalar<T>(
        &mut self,
        node: &Node,
        path: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (Value::Scalar(text) | Value::Plain(text)) = &node.value else {
            let expected = parse("")
                .err()
                .unwrap_or_else(|| "a single value".to_owned());
            self.wrong(node.line, path, &node.shown(), &expected);
            return None;
        };
        match parse(text) {
            Ok(value) => Some(value),
            Err(expected) => {
                self.wrong(node.line, path, &node.shown(), &expected);
                None
            }
        }
    }
}

impl Node {
    /// What was found, for a problem.
    pub fn shown(&self) -> String {
        match &self.value {
            Value::Nothing => "nothing".to_owned(),
            Value::Scalar(text) | Value::Plain(text) => format!("{text:?}"),
            Value::Seq(nodes) => format!("a list of {}", nodes.len()),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
    /// A single value as it was written.
    pub fn scalar_text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) | Value::Plain(text) => Some(self.raw.as_deref().unwrap_or(text)),
            _ => None,
        }
    }
    /// A number or a yes as YAML understands it; `None` for texts.
    pub fn plain(&self) -> Option<&str> {
        match &self.value {
            Value::Plain(text) => Some(text),
            _ => None,
        }
    }
    fn keep_raw(&mut self, file: &str) {
        match &mut self.value {
            Value::Nothing => {}
            Value::Scalar(value) | Value::Plain(value) => {
                let raw = self.written.and_then(|(start, end)| file.get(start..end));
                // Quoted texts, tags and texts of several lines mean what YAML made of them.
                let plain = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
                self.raw = raw
                    .map(str::trim)
                    .filter(|raw| !raw.is_empty() && raw.chars().all(plain) && raw != value)
                    .map(str::to_owned);
            }
            Value::Seq(nodes) => nodes.iter_mut().for_each(|node| node.keep_raw(file)),
            Value::Map(entries) => {
                entries
                    .iter_mut()
                    .for_each(|(_, _, node)| node.keep_raw(file));
            }
        }
    }
    /// A mapping with only these keys of this one.
    #[must_use]
    pub fn only(&self, keys: &[&str]) -> Node {
        let mut only = self.clone();
        if let Value::Map(entries) = &mut only.value {
            entries.retain(|(_, name, _)| keys.contains(&name.as_str()));
        }
        only
    }
    pub fn items(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Seq(nodes) => Some(nodes),
            _ => None,
        }
    }
    pub fn entries(&self) -> Option<&[(u64, String, Node)]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }
}

impl<'a> Fields<'a> {
    pub fn path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
    pub fn optional(&mut self, key: &'static str) -> Option<Field<'a>> {
        self.asked.push(key);
        let (line, _, node) = self.entries.iter().find(|(_, name, _)| name == key)?;
        Some(Field { node, line: *line })
    }
    pub fn required(&mut self, reader: &mut Reader, key: &'static str) -> Option<Field<'a>> {
        let field = self.optional(key);
        if field.is_none() {
            reader.problem(self.line, self.path(key), "missing");
        }
        field
    }
    /// A required scalar.
    pub fn get<T>(
        &mut self,
        reader: &mut Reader,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let field = self.required(reader, key)?;
        reader.scalar(field.node, &self.path(key), parse)
    }
    /// A scalar that has a default.
    pub fn get_or<T>(
        &mut self,
        reader: &mut Reader,
        key: &'static str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.optional(key) {
            Some(field) => reader.scalar(field.node, &self.path(key), parse),
            None => Some(default),
        }
    }
    /// Refuses keys that nobody asked for.
    pub fn done(self, reader: &mut Reader) {
        for (line, key, _) in self.entries {
            if !self.asked.contains(&key.as_str()) {
                let known = self.asked.join(", ");
                reader.problem(
                    *line,
                    self.path(key),
                    format!("unknown key, expected {known}"),
                );
            }
        }
    }
}

/// A whole number inside bounds.
pub fn whole(low: u64, high: u64) -> impl Fn(&str) -> Result<u64, String> {
    move |text| match text.parse::<u64>() {
        Ok(value) if (low..=high).contains(&value) => Ok(value),
        _ => Err(format!("a whole number from {low} to {high}")),
    }
}

/// A number inside bounds.
pub fn number(low: f64, high: f64) -> impl Fn(&str) -> Result<f64, String> {
    move |text| match text.parse::<f64>() {
        Ok(value) if (low..=high).contains(&value) => Ok(value),
        _ => Err(format!("a number from {low} to {high}")),
    }
}

/// A text of at most `most` characters, not empty.
pub fn text(most: usize) -> impl Fn(&str) -> Result<String, String> {
    move |text| {
        let long = text.chars().count();
        if (1..=most).contains(&long) && !text.chars().any(char::is_control) {
            Ok(text.to_owned())
        } else {
            Err(format!("1 to {most} characters"))
        }
    }
}

/// A duration such as `8s`, `300ms`, `2m`, with its sign where one is allowed.
pub fn offset_ms(low: i64, high: i64) -> impl Fn(&str) -> Result<i64, String> {
    move |text| {
        let expected = || format!("a duration such as 8s, 300ms or 2m from {low} ms to {high} ms");
        let unsigned = text.trim_start_matches(['+', '-']);
        let split = unsigned
            .find(|c: char| !c.is_ascii_digit())
            .ok_or_else(expected)?;
        let (digits, unit) = unsigned.split_at(split);
        let factor = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(expected()),
        };
        let size: i64 = digits.parse().map_err(|_| expected())?;
        let value = size.checked_mul(factor).ok_or_else(expected)?;
        let value = if text.starts_with('-') { -value } else { value };
        let signs = text.len() - unsigned.len();
        if signs <= 1 && (low..=high).contains(&value) {
            Ok(value)
        } else {
            Err(expected())
        }
    }
}
