//! The layers below a setting: default, file, environment, flag; the last one that speaks wins.
//!
//! All of them are texts here, each with its place. What a text means is asked once, on top, so
//! that `8080` means the same wherever it stands.

use super::keys::{ENV_FILE, ENV_PREFIX, KEYS, find};
use super::problem::{Place, Problem};
use crate::limits::CONFIG_BYTES_MAX;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;
use std::path::Path;

/// What a setting was set to. Lists are joined by commas.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub text: String,
    pub place: Place,
}

/// The winning texts by path, while problems are gathered.
#[derive(Debug, Default)]
pub(super) struct Layers {
    pub settings: BTreeMap<&'static str, Setting>,
    pub problems: Vec<Problem>,
}

impl Layers {
    pub fn defaults() -> Self {
        let mut layers = Layers::default();
        for key in KEYS {
            if let Some(default) = key.default {
                layers.set(key.path, default.to_owned(), Place::Default);
            }
        }
        layers
    }

    fn set(&mut self, path: &'static str, text: String, place: Place) {
        self.settings.insert(path, Setting { text, place });
    }

    pub fn problem(&mut self, place: Place, what: String) {
        self.problems.push(Problem { place, what });
    }

    pub fn file(&mut self, path: &Path) {
        let at = |line| Place::File {
            path: path.to_owned(),
            line,
        };
        let mut text = String::new();
        let read = std::fs::File::open(path)
            .and_then(|file| file.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text));
        match read {
            Err(error) => {
                return self.problem(at(0), format!("cannot read the configuration: {error}"));
            }
            Ok(n) if n as u64 > CONFIG_BYTES_MAX => {
                let what = format!("expected at most {CONFIG_BYTES_MAX} bytes");
                return self.problem(at(0), what);
            }
            Ok(_) => {}
        }
        match serde_saphyr::from_str::<Spanned<Node>>(&text) {
            Ok(root) => self.node("", root, &at),
            Err(error) => {
                let line = error.location().map_or(0, |l| l.line());
                let message = error.without_snippet().to_string();
                let first = message.lines().next().unwrap_or_default();
                self.problem(at(line), format!("not readable as YAML: {first}"));
            }
        }
    }

    fn node(&mut self, path: &str, node: Spanned<Node>, at: &impl Fn(u64) -> Place) {
        let place = at(node.referenced.line());
        match node.value {
            // An empty group or file leaves everything as it was.
            Node::Map(entries) => {
                for (name, value) in entries {
                    let below = if path.is_empty() {
                        name
                    } else {
                        format!("{path}.{name}")
                    };
                    self.node(&below, value, at);
                }
            }
            Node::Null if is_group(path) => {}
            Node::Null => self.problem(place, format!("{path} has no value")),
            Node::Scalar(text) => match find(path) {
                Some(key) => self.set(key.path, text, place),
                None if is_group(path) => {
                    let what = format!("{path:?}: expected settings below it, found {text:?}");
                    self.problem(place, what);
                }
                None => self.unknown(place, path),
            },
            Node::List(items) => match find(path) {
                Some(key) => {
                    let texts = items.into_iter().map(|item| item.value.scalar());
                    match texts.collect::<Option<Vec<_>>>() {
                        Some(texts) => self.set(key.path, texts.join(","), place),
                        None => {
                            self.problem(place, format!("{path}: expected {}", key.expected));
                        }
                    }
                }
                None => self.unknown(place, path),
            },
        }
    }

    /// Names that are no setting are refused, since they are usually one misspelt.
    fn unknown(&mut self, place: Place, path: &str) {
        let hint = nearest(path).map(|near| format!("; did you mean {near:?}?"));
        let hint = hint.unwrap_or_default();
        self.problem(place, format!("{path:?} is no setting{hint}"));
    }

    pub fn env(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        for (name, text) in variables {
            if !name.starts_with(ENV_PREFIX) || name == ENV_FILE || of_a_cluster(&name) {
                continue;
            }
            match KEYS.iter().find(|key| key.env() == name) {
                Some(key) => self.set(key.path, text, Place::Env(name)),
                None => {
                    let what = format!("no setting has this name; all begin with {ENV_PREFIX}");
                    self.problem(Place::Env(name), what);
                }
            }
        }
    }

    pub fn flags(&mut self, flags: impl IntoIterator<Item = (String, String)>) {
        for (path, text) in flags {
            match find(&path) {
                Some(key) => self.set(key.path, text, Place::Flag(key.flag())),
                None => self.unknown(Place::Flag(format!("--set {path}")), &path),
            }
        }
    }
}

/// Kubernetes sets these for a service that is called "seawall".
fn of_a_cluster(name: &str) -> bool {
    let rest = &name[ENV_PREFIX.len()..];
    ["SERVICE_", "PORT"]
        .iter()
        .any(|begin| rest.starts_with(begin))
}

fn is_group(path: &str) -> bool {
    path.is_empty() || groups().contains(path)
}

fn groups() -> BTreeSet<&'static str> {
    let dots = |path: &'static str| path.match_indices('.').map(move |(at, _)| &path[..at]);
    KEYS.iter().flat_map(|key| dots(key.path)).collect()
}

/// The setting whose last name is the same, or that differs in few letters.
fn nearest(path: &str) -> Option<&'static str> {
    let last = |p: &'static str| p.rsplit('.').next().unwrap_or(p);
    let same_end = || {
        let end = path.rsplit('.').next();
        KEYS.iter()
            .find(|key| Some(last(key.path)) == end)
            .map(|key| key.path)
    };
    let (distance, near) = KEYS
        .iter()
        .map(|key| (letters_apart(path, key.path), key.path))
        .min()?;
    if distance <= 2 {
        Some(near)
    } else {
        same_end()
    }
}

/// Levenshtein distance: insertions, deletions and substitutions of one letter.
fn letters_apart(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// YAML before anybody asks what it means.
enum Node {
    Null,
    Scalar(String),
    List(Vec<Spanned<Node>>),
    Map(Vec<(String, Spanned<Node>)>),
}

impl Node {
    fn scalar(self) -> Option<String> {
        match self {
            Node::Scalar(text) => Some(text),
            Node::Null | Node::List(_) | Node::Map(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("settings")
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }
    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }
    fn visit_bool<E>(self, v: bool) -> Result<Node, E> {
        Ok(Node::Scalar(v.to_string()))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Node, E> {
        Ok(Node::Scalar(v.to_string()))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Node, E> {
        Ok(Node::Scalar(v.to_string()))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Node, E> {
        Ok(Node::Scalar(v.to_string()))
    }
    fn visit_str<E>(self, v: &str) -> Result<Node, E> {
        Ok(Node::Scalar(v.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}
