//! One file being read: its lines, and everything that is wrong with it.
//!
//! Reading goes on after a problem, so that one mistake does not hide the next. Lines are kept by
//! path, so that checks made later on finished values still say where. It must not know the keys.

use super::limits::{NAME_CHARS_MAX, SUGGESTION_CHARS_MAX};
use super::scalar::{Datum, Kind};
use super::shape::{Key, Map, Need, Take};
use crate::campaign::tree::{Node, Problem};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug)]
pub struct Source {
    file: PathBuf,
    lines: BTreeMap<String, u64>,
    pub problems: Vec<Problem>,
}

/// A mapping whose keys are known and whose required keys are there, or reported.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    map: &'static Map,
    node: &'a Node,
    path: &'a str,
}

impl Source {
    #[must_use]
    pub fn new(file: &Path) -> Source {
        Source {
            file: file.to_path_buf(),
            lines: BTreeMap::new(),
            problems: Vec::new(),
        }
    }
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }
    /// Remembers where a path stands.
    pub fn note(&mut self, path: &str, line: u64) {
        self.lines.insert(path.to_owned(), line);
    }
    /// The line of a path, or of the nearest mapping around it.
    fn line(&self, path: &str) -> u64 {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return *line;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return self.lines.get("").copied().unwrap_or(0),
            }
        }
    }
    pub fn problem(&mut self, path: &str, what: impl Into<String>) {
        let line = self.line(path);
        self.problems.push(Problem {
            file: self.file.clone(),
            line,
            key: path.to_owned(),
            what: what.into(),
        });
    }
    pub fn wrong(&mut self, path: &str, found: &str, expected: &str) {
        self.problem(path, format!("found {found}, expected {expected}"));
    }
    /// Whether something stands at a path, right or wrong.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.lines.contains_key(path)
    }
    /// Whether a problem was reported at a path or inside.
    #[must_use]
    pub fn troubled(&self, path: &str) -> bool {
        let inside = |key: &str| {
            let rest = key.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.problems.iter().any(|problem| inside(&problem.key))
    }
    /// All problems, in the order of their lines.
    #[must_use]
    pub fn finished(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.line);
        self.problems
    }
    /// Reads a single value. Names of files count from the folder of this one.
    pub fn scalar(&mut self, kind: &Kind, node: &Node, path: &str) -> Option<Datum> {
        let read = node.scalar_text().map(|text| kind.parse(text));
        match read {
            Some(Ok(Datum::Path(name))) => {
                let folder = self.file.parent().unwrap_or(Path::new(""));
                Some(Datum::Path(folder.join(name)))
            }
            Some(Ok(datum)) => Some(datum),
            Some(Err(expected)) => {
                self.wrong(path, &shown(node), &expected);
                None
            }
            None => {
                self.wrong(path, &shown(node), &kind.expected());
                None
            }
        }
    }
    pub fn list<'a>(&mut self, node: &'a Node, path: &str, most: usize) -> Option<&'a [Node]> {
        let Some(nodes) = node.items() else {
            self.wrong(path, &shown(node), "a list");
            return None;
        };
        if nodes.len() > most {
            self.wrong(path, &shown(node), &format!("at most {most}"));
            return None;
        }
        Some(nodes)
    }
    /// Opens a mapping: unknown keys and missing ones are reported here.
    pub fn open<'a>(
        &mut self,
        node: &'a Node,
        path: &'a str,
        map: &'static Map,
    ) -> Option<Fields<'a>> {
        let Some(entries) = node.entries() else {
            let keys = shown_keys(map);
            self.wrong(path, &shown(node), &format!("a mapping with {keys}"));
            return None;
        };
        for (line, name, _) in entries {
            let path = joined(path, name);
            self.note(&path, *line);
            if !map.keys.iter().any(|key| key.name() == name) {
                let what = match nearest(name, map.keys) {
                    Some(near) => format!("unknown key, did you mean {near:?}?"),
                    None => format!("unknown key, expected {}", shown_keys(map)),
                };
                self.problem(&path, what);
            }
        }
        for key in map.keys.iter().filter(|key| key.need == Need::Required) {
            if !entries.iter().any(|(_, name, _)| key.name() == name) {
                self.problem(
                    path,
                    format!("{:?} is missing: {}", key.name(), key.about()),
                );
            }
        }
        Some(Fields { map, node, path })
    }
}

impl Fields<'_> {
    /// Reads a key. What is wrong and has a default goes on with the default.
    pub fn take<T: Take>(&self, source: &mut Source, raw: &str) -> Option<T> {
        let name = raw.strip_prefix("r#").unwrap_or(raw);
        let key = self.map.keys.iter().find(|key| key.name() == name)?;
        let entries = self.node.entries()?;
        let Some((_, _, node)) = entries.iter().find(|(_, other, _)| other == name) else {
            return T::absent(key.need, &key.shape);
        };
        let path = joined(self.path, name);
        let empty = node.items().is_some_and(<[Node]>::is_empty);
        if empty && key.need == Need::Required {
            source.wrong(&path, "an empty list", "at least one");
        }
        T::take(source, &key.shape, node, &path).or_else(|| T::absent(key.need, &key.shape))
    }
    /// The one known key that is there.
    pub fn only(&self, source: &mut Source) -> Option<&'static str> {
        let entries = self.node.entries()?;
        let known = self.map.keys.iter().map(Key::name);
        let there: Vec<&'static str> = known
            .filter(|key| entries.iter().any(|(_, name, _)| name == key))
            .collect();
        if let [one] = there[..] {
            return Some(one);
        }
        let found = match there.len() {
            0 => "none of them".to_owned(),
            _ => there.join(" and "),
        };
        let expected = format!("exactly one of {}", shown_keys(self.map));
        source.wrong(self.path, &found, &expected);
        None
    }
}

/// What was found, as it was written.
fn shown(node: &Node) -> String {
    node.scalar_text()
        .map_or_else(|| node.shown(), |text| format!("{text:?}"))
}

pub fn joined(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn shown_keys(map: &Map) -> String {
    let names: Vec<&str> = map.keys.iter().map(Key::name).collect();
    names.join(", ")
}

fn nearest(name: &str, keys: &'static [Key]) -> Option<&'static str> {
    near_word(name, keys.iter().map(Key::name))
}

/// The word that `name` was probably meant to be.
pub fn near_word<'a>(name: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > NAME_CHARS_MAX {
        return None;
    }
    let most = SUGGESTION_CHARS_MAX.min(name.chars().count() / 2);
    words
        .map(|word| (edits(name, word), word))
        .filter(|(edits, _)| *edits <= most)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, word)| word)
}

/// Letters to insert, remove, replace, or swap with their neighbour (optimal string alignment).
fn edits(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let replaced = row[j] + usize::from(a != b);
            let mut least = replaced.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[to.len()]
}
