//! Rust files as the tidy test sees them: the text, and the same text with comments and literals
//! blanked out, so that a rule looks at code only. A scanner of one page instead of a parser: it
//! knows comments, literals, brackets and `#[cfg(test)]`, and nothing else of the language.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub struct Source {
    /// From the root of the workspace, with `/`.
    pub path: String,
    pub text: String,
    /// `text` with comments, strings and characters blanked; same lines, same columns.
    pub code: String,
    /// Per line: part of a test.
    pub test: Vec<bool>,
    /// Module files that `#[cfg(test)] mod name;` declares, from the root.
    pub test_files: Vec<String>,
}

pub struct Function {
    pub name: String,
    /// Line of `fn`, from 1.
    pub line: usize,
    pub lines: usize,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let code = blank(text);
        let wholly = path.contains("/tests/") || path.ends_with("/tests.rs");
        let mut source = Source {
            path: path.to_owned(),
            text: text.to_owned(),
            test: vec![wholly; text.lines().count()],
            test_files: Vec::new(),
            code,
        };
        source.mark_tests();
        source
    }

    pub fn crate_name(&self) -> &str {
        self.path.split('/').nth(1).unwrap_or_default()
    }

    pub fn lines_without_tests(&self) -> usize {
        self.test.iter().filter(|test| !**test).count()
    }

    /// Lines of code with their number from 1 and whether they belong to a test.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        self.code
            .lines()
            .zip(&self.test)
            .enumerate()
            .map(|(index, (line, test))| (index + 1, line, *test))
    }

    pub fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        for at in words(&self.code, "fn") {
            let name: String = self.code[at + 2..]
                .trim_start()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let Some(end) = item_end(&self.code, at).filter(|_| !name.is_empty()) else {
                continue;
            };
            let line = line_of(&self.code, at);
            let lines = line_of(&self.code, end) - line + 1;
            found.push(Function { name, line, lines });
        }
        found
    }

    fn mark_tests(&mut self) {
        const ATTRIBUTE: &str = "#[cfg(test)]";
        let mut from = 0;
        while let Some(found) = self.code[from..].find(ATTRIBUTE) {
            let start = from + found;
            from = start + ATTRIBUTE.len();
            let Some(end) = item_end(&self.code, from) else {
                continue;
            };
            let first = line_of(&self.code, start);
            let last = line_of(&self.code, end);
            self.test[first - 1..last].fill(true);
            let item = self.code[from..end].trim();
            if let Some(name) = item.strip_prefix("mod ")
                && !item.contains('{')
            {
                self.test_files
                    .extend(module_files(&self.path, name.trim()));
            }
            from = end;
        }
    }
}

/// Every Rust file of the workspace's crates, in the order of their paths.
pub fn all(root: &Path) -> Vec<Source> {
    let mut sources: Vec<Source> = files(&root.join("crates"), &["rs"])
        .iter()
        .map(|path| {
            let name = path.strip_prefix(root).expect("below the root");
            let text = fs::read_to_string(path).expect("a Rust file is UTF-8");
            Source::new(&name.to_string_lossy().replace('\\', "/"), &text)
        })
        .collect();
    let tests: BTreeSet<String> = sources
        .iter()
        .flat_map(|source| source.test_files.iter().cloned())
        .collect();
    for source in &mut sources {
        // `mod tests;` in a file of its own may have further files below it.
        let inside = tests
            .iter()
            .any(|test| source.path == *test || source.path.starts_with(&test.replace(".rs", "/")));
        if inside {
            source.test.fill(true);
        }
    }
    sources
}

/// Files below `dir` with one of these extensions, leaving out what is built or generated.
pub fn files(dir: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    const SKIPPED: [&str; 7] = [
        "target",
        "node_modules",
        "out",
        "data",
        ".git",
        ".venv",
        "fuzz",
    ];
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        let Ok(entries) = fs::read_dir(&dir) else {
            continue;
        };
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() {
                if !SKIPPED.iter().any(|skipped| *skipped == name) {
                    open.push(path);
                }
            } else if path
                .extension()
                .is_some_and(|e| extensions.iter().any(|x| *x == e))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Where `word` stands in `code` by itself, not as part of a longer one.
pub fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| {
            !code[..*at].chars().next_back().is_some_and(part)
                && !code[at + word.len()..].chars().next().is_some_and(part)
        })
}

pub fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// Where the item that begins at `from` ends: after its block, or at its semicolon.
fn item_end(code: &str, from: usize) -> Option<usize> {
    let mut round_and_square = 0_i32;
    let mut curly = 0_i32;
    for (offset, c) in code[from..].char_indices() {
        match c {
            '(' | '[' => round_and_square += 1,
            ')' | ']' => round_and_square -= 1,
            '{' => curly += 1,
            '}' => {
                curly -= 1;
                if curly == 0 && round_and_square == 0 {
                    return Some(from + offset);
                }
            }
            ';' if curly == 0 && round_and_square == 0 => return Some(from + offset),
            _ => {}
        }
        if curly < 0 {
            return None;
        }
    }
    None
}

fn module_files(parent: &str, name: &str) -> [String; 2] {
    let (dir, file) = parent.rsplit_once('/').unwrap_or(("", parent));
    let stem = file.trim_end_matches(".rs");
    let dir = match stem {
        "lib" | "main" | "mod" => dir.to_owned(),
        _ => format!("{dir}/{stem}"),
    };
    [format!("{dir}/{name}.rs"), format!("{dir}/{name}/mod.rs")]
}

fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let skipped = comment_len(rest)
            .or_else(|| raw_string_len(rest, text[..at].chars().next_back()))
            .or_else(|| string_len(rest))
            .or_else(|| character_len(rest));
        let take = skipped.unwrap_or_else(|| rest.chars().next().map_or(1, char::len_utf8));
        for c in text[at..at + take].chars() {
            code.push(if skipped.is_some() && c != '\n' {
                ' '
            } else {
                c
            });
        }
        at += take;
    }
    code
}

fn comment_len(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let mut depth = 0_usize;
    let bytes = rest.as_bytes();
    let mut at = 0;
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
    Some(rest.len())
}

fn raw_string_len(rest: &str, before: Option<char>) -> Option<usize> {
    if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let prefix = ["br", "cr", "r"]
        .into_iter()
        .find(|prefix| rest.starts_with(prefix))?;
    let hashes = rest[prefix.len()..]
        .bytes()
        .take_while(|b| *b == b'#')
        .count();
    let body = prefix.len() + hashes;
    if !rest[body..].starts_with('"') {
        return None;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let end = rest[body + 1..]
        .find(&close)
        .map(|found| body + 1 + found + close.len());
    Some(end.unwrap_or(rest.len()))
}

fn string_len(rest: &str) -> Option<usize> {
    rest.starts_with('"').then(|| closing(rest, b'"'))
}

fn character_len(rest: &str) -> Option<usize> {
    let mut chars = rest.strip_prefix('\'')?.chars();
    match (chars.next()?, chars.next()) {
        ('\\', _) => Some(closing(rest, b'\'')),
        (c, Some('\'')) if c != '\'' => Some(2 + c.len_utf8()),
        _ => None,
    }
}

/// Length of a literal up to its closing quote, with `\` before what does not close it.
fn closing(rest: &str, quote: u8) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b if b == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}
