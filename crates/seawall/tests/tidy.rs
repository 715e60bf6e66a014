//! The rules of the house that a machine can check: shape of files, purity of crates, documents
//! that name what exists. Every rule reports all that it finds at once, and every rule is shown a
//! text that breaks it (`rules_can_fail`), because a check that cannot fail is a defect.
//! It must not know what the product does.

#[path = "tidy/can_fail.rs"]
mod can_fail;
#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/source.rs"]
mod source;

use documents::{anchors, backticked, links, names_a_path, table};
use serde_json::Value;
use source::{Source, words};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ARCHITECTURE_LINES_MAX: usize = 250;
const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_COLUMNS_MAX: usize = 100;

/// The pure crates, and the foreign crates each may use.
const PURE: [(&str, &[&str]); 5] = [
    ("sale", &[]),
    ("audit", &[]),
    ("guard", &[]),
    ("picture", &[]),
    ("plan", &["augurs"]),
];

/// What a pure crate's own code must not reach for.
const IMPURE_STD: [&str; 8] = [
    "time", "thread", "fs", "net", "io", "env", "process", "sync",
];
const IMPURE_WORDS: &str = "println! eprintln! print! eprint! dbg! SystemTime Instant \
    RandomState async static";

/// Units that a constant of a `limits.rs` may have: in its name or in the sentence above it.
const UNITS: &str = "\
    ms us ns seconds second minutes hours days milliseconds bytes kib mib gib bits units unit \
    minor percent permille lines orders skus coupons cells connections requests entries records \
    segments groups threads rows files pages items attempts retries holds things ticks buyers \
    sessions accounts characters chars messages events commands batches snapshots buckets slots \
    samples points products streams subscribers sockets columns headers names problems rounds \
    times workers jobs levels digits payments answers keys labels series arrivals seeds steps \
    waiters tokens pictures failures attributes operations pieces passes tries bodies frames \
    operators";

struct Exception {
    rule: &'static str,
    at: &'static str,
    reason: &'static str,
}

/// The one list of exceptions. It only shrinks: one that is not needed any more fails the rule.
const EXCEPTIONS: &[Exception] = &[
    Exception {
        rule: "sizes",
        at: "crates/gateway/src/door/service.rs::enter",
        reason: "the order of what is asked is the point, and stands in one place",
    },
    Exception {
        rule: "sizes",
        at: "crates/gateway/src/room/mod.rs::start",
        reason: "one start, one order: files, draw, room, places",
    },
    Exception {
        rule: "sizes",
        at: "crates/gateway/src/room/proof.rs::verify",
        reason: "the steps of a proof in the order of docs/waiting-room.md",
    },
    Exception {
        rule: "sizes",
        at: "crates/gateway/src/room/publish.rs::open",
        reason: "the states a crash may leave, one after the other",
    },
    Exception {
        rule: "sizes",
        at: "crates/guard/src/switches/spec.rs::check",
        reason: "one line a field",
    },
    Exception {
        rule: "sizes",
        at: "crates/seawall/src/up.rs::serve",
        reason: "wiring: every part is named once",
    },
    Exception {
        rule: "sizes",
        at: "crates/wire/src/dump.rs::command",
        reason: "one arm a kind: in pieces, a kind could be left out unseen",
    },
    Exception {
        rule: "sizes",
        at: "crates/wire/src/record.rs::push_rare",
        reason: "one arm a kind: in pieces, a kind could be left out unseen",
    },
    Exception {
        rule: "sizes",
        at: "crates/wire/src/record.rs::rare",
        reason: "one arm a kind: in pieces, a kind could be left out unseen",
    },
    Exception {
        rule: "sizes",
        at: "crates/wire/src/snapshot.rs::push",
        reason: "one arm a kind: in pieces, a kind could be left out unseen",
    },
    Exception {
        rule: "sizes",
        at: "crates/wire/src/snapshot.rs::row",
        reason: "one arm a kind: in pieces, a kind could be left out unseen",
    },
    Exception {
        rule: "sizes",
        at: "crates/sale/src/ledger/export.rs::import_row",
        reason: "one arm a kind: in pieces, a kind could be left out unseen",
    },
    Exception {
        rule: "sizes",
        at: "crates/shop/src/pages/refusal.rs::words",
        reason: "one arm a kind: in pieces, a kind could be left out unseen",
    },
    Exception {
        rule: "sizes",
        at: "crates/shop/src/payment/sandbox.rs::decide",
        reason: "one arm a kind: in pieces, a kind could be left out unseen",
    },
    Exception {
        rule: "sizes",
        at: "crates/rehearse/src/books.rs::testify",
        reason: "one arm a kind: in pieces, a kind could be left out unseen",
    },
    Exception {
        rule: "sizes",
        at: "crates/seawall/src/metrics.rs::encode",
        reason: "a list of rows, one after the other",
    },
    Exception {
        rule: "sizes",
        at: "crates/rehearse/src/judge.rs::expectations",
        reason: "a list of rows, one after the other",
    },
    Exception {
        rule: "sizes",
        at: "crates/rehearse/src/html.rs::push_charts",
        reason: "a list of rows, one after the other",
    },
    Exception {
        rule: "sizes",
        at: "crates/sale/src/ledger/place.rs::hold",
        reason: "the hot path, read from top to bottom",
    },
    Exception {
        rule: "sizes",
        at: "crates/seawall/src/import.rs::run",
        reason: "one errand from flags to report; its parts have no other use",
    },
    Exception {
        rule: "sizes",
        at: "crates/engine/examples/durable.rs::main",
        reason: "a measurement told in its order",
    },
    Exception {
        rule: "forbidden words",
        at: "crates/rehearse/src/fake.rs",
        reason: "a shop that pauses is what the test is about",
    },
    Exception {
        rule: "forbidden words",
        at: "crates/rehearse/src/tests.rs",
        reason: "arrivals are planned in time, and the test plays the shop",
    },
];

struct Problem {
    /// What an exception would name: a file, or `file::function`.
    at: String,
    what: String,
}

fn problem(at: impl Into<String>, what: impl Into<String>) -> Problem {
    Problem {
        at: at.into(),
        what: what.into(),
    }
}

/// Leaves out excepted problems, and adds one for every exception that nothing needs.
fn left(rule: &str, problems: Vec<Problem>, exceptions: &[Exception]) -> Vec<Problem> {
    let excepted = |at: &str| exceptions.iter().any(|e| e.rule == rule && e.at == at);
    let unneeded = exceptions
        .iter()
        .filter(|e| e.rule == rule)
        .filter(|e| e.reason.is_empty() || !problems.iter().any(|problem| problem.at == e.at));
    let unneeded: Vec<Problem> = unneeded
        .map(|e| {
            problem(
                e.at,
                "stands in EXCEPTIONS but needs no exception, or has no reason",
            )
        })
        .collect();
    problems
        .into_iter()
        .filter(|p| !excepted(&p.at))
        .chain(unneeded)
        .collect()
}

fn settle(rule: &str, problems: Vec<Problem>) {
    let left = left(rule, problems, EXCEPTIONS);
    let lines: Vec<String> = left
        .iter()
        .map(|p| format!("  {}: {}", p.at, p.what))
        .collect();
    assert!(
        left.is_empty(),
        "{rule}: {} to put right\n{}",
        left.len(),
        lines.join("\n")
    );
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("crates/seawall is two below the root")
        .to_path_buf()
}

/// A document of the root; what is missing reads as empty and is `house_papers`' business.
fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_default()
}

// ── files ────────────────────────────────────────────────────────────────────────────────────

#[test]
fn sizes() {
    settle(
        "sizes",
        source::all(&root()).iter().flat_map(too_big).collect(),
    );
}

fn too_big(source: &Source) -> Vec<Problem> {
    let mut found = Vec::new();
    let lines = source.lines_without_tests();
    if lines > FILE_LINES_MAX {
        let what = format!("{lines} lines without tests, at most {FILE_LINES_MAX}");
        found.push(problem(&source.path, what));
    }
    for (index, line) in source.text.lines().enumerate() {
        let columns = line.chars().count();
        // Rows of cases in tests are as wide as what they quote.
        let test = source.test.get(index).is_some_and(|test| *test);
        if !test && columns > LINE_COLUMNS_MAX {
            let what = format!(
                "line {}: {columns} columns of {LINE_COLUMNS_MAX}",
                index + 1
            );
            found.push(problem(&source.path, what));
        }
    }
    for function in source.functions() {
        // Tests are tables of cases, and a table may be as long as it must.
        let test = source.test.get(function.line - 1).is_some_and(|test| *test);
        if !test && function.lines > FUNCTION_LINES_MAX {
            let what = format!(
                "line {}: {} lines, at most {FUNCTION_LINES_MAX}",
                function.line, function.lines
            );
            found.push(problem(format!("{}::{}", source.path, function.name), what));
        }
    }
    found
}

#[test]
fn prologues() {
    settle(
        "prologues",
        source::all(&root())
            .iter()
            .filter_map(no_prologue)
            .collect(),
    );
}

fn no_prologue(source: &Source) -> Option<Problem> {
    let opens = source.text.starts_with("//! ");
    (!opens).then(|| problem(&source.path, "opens without a `//!` prologue"))
}

#[test]
fn forbidden_words() {
    settle(
        "forbidden words",
        source::all(&root()).iter().flat_map(forbidden).collect(),
    );
}

fn forbidden(source: &Source) -> Vec<Problem> {
    let mut found = Vec::new();
    for (number, line, test) in source.code_lines() {
        let mut refuse = |word: &str, instead: &str| {
            found.push(problem(
                &source.path,
                format!("line {number}: `{word}`: {instead}"),
            ));
        };
        if words(line, "unsafe").next().is_some() {
            refuse("unsafe", "forbidden in our crates");
        }
        for word in ["todo!", "unimplemented!", "dbg!"] {
            if words(line, word).next().is_some() {
                refuse(word, "finish it or leave it out");
            }
        }
        if line.contains("#[ignore") {
            refuse("#[ignore]", "a test runs or does not exist");
        }
        if test && (line.contains("thread::sleep") || words(line, "sleep_ms").next().is_some()) {
            refuse("thread::sleep", "wait for a condition with a deadline");
        }
    }
    found
}

#[test]
fn limits_have_units() {
    let all = source::all(&root());
    let limits = all
        .iter()
        .filter(|source| source.path.ends_with("/limits.rs"));
    settle("limits", limits.flat_map(without_unit).collect());
}

fn is_unit(word: &str) -> bool {
    UNITS.split_whitespace().any(|unit| unit == word)
}

fn without_unit(source: &Source) -> Vec<Problem> {
    let mut comment = String::new();
    let mut found = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        let line = line.trim();
        if let Some(text) = line.strip_prefix("///") {
            comment.push_str(text);
            continue;
        }
        let item = line
            .strip_prefix("pub ")
            .or(line.strip_prefix("pub(crate) "))
            .unwrap_or(line);
        let Some((name, kind)) = item.strip_prefix("const ").and_then(|c| c.split_once(':')) else {
            // A comment may stand above a row of constants, and ends with the row.
            if line.is_empty() || line == "}" {
                comment.clear();
            }
            continue;
        };
        let in_name = name.to_lowercase().split('_').any(is_unit);
        let in_kind = kind.contains("Duration") || kind.contains("Millis");
        let sentence = comment.to_lowercase();
        let mut parts = sentence.split(|c: char| !c.is_alphanumeric());
        let in_comment = parts.any(is_unit);
        if name != "_" && !in_name && !in_kind && !in_comment {
            let what = format!(
                "line {}: `{name}` has no unit in its name or comment",
                index + 1
            );
            found.push(problem(&source.path, what));
        }
    }
    found
}

// ── crates ───────────────────────────────────────────────────────────────────────────────────

struct Package {
    name: String,
    /// Normal dependencies inside and outside of the workspace.
    ours: BTreeSet<String>,
    theirs: BTreeSet<String>,
}

fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--offline",
            "--no-deps",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let list = |value: &Value| value.as_array().cloned().expect("a list in cargo metadata");
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    list(&metadata["packages"])
        .iter()
        .map(|package| {
            let dependencies = list(&package["dependencies"]);
            let normal = dependencies
                .iter()
                .filter(|dependency| dependency["kind"].is_null());
            let (ours, theirs) = normal.partition::<Vec<_>, _>(|d| d["path"].is_string());
            Package {
                name: name(package),
                ours: ours.into_iter().map(name).collect(),
                theirs: theirs.into_iter().map(name).collect(),
            }
        })
        .collect()
}

#[test]
fn pure_crates() {
    let mut problems = Vec::new();
    for package in packages() {
        let Some((_, may)) = PURE.iter().find(|(name, _)| *name == package.name) else {
            continue;
        };
        for foreign in package
            .theirs
            .iter()
            .filter(|theirs| !may.contains(&theirs.as_str()))
        {
            let what = format!("is pure and must not use {foreign}");
            problems.push(problem(&package.name, what));
        }
        for shell in package
            .ours
            .iter()
            .filter(|o| !PURE.iter().any(|(name, _)| name == o))
        {
            problems.push(problem(
                &package.name,
                format!("is pure and {shell} is not"),
            ));
        }
    }
    let all = source::all(&root());
    let pure = all
        .iter()
        .filter(|s| s.path.contains("/src/"))
        .filter(|s| PURE.iter().any(|(name, _)| *name == s.crate_name()));
    problems.extend(pure.flat_map(impure));
    settle("pure crates", problems);
}

fn impure(source: &Source) -> Vec<Problem> {
    let mut found = Vec::new();
    let code: String = source
        .code_lines()
        .map(|(_, line, test)| {
            if test {
                "\n".to_owned()
            } else {
                format!("{line}\n")
            }
        })
        .collect();
    let mut refuse = |at: usize, word: &str| {
        let line = source::line_of(&code, at);
        found.push(problem(
            &source.path,
            format!("line {line}: `{word}` in a pure crate"),
        ));
    };
    for word in IMPURE_WORDS.split_whitespace() {
        words(&code, word)
            .filter(|at| !code[..*at].ends_with('\''))
            .for_each(|at| refuse(at, word));
    }
    for at in words(&code, "std") {
        let Some(path) = code[at..].strip_prefix("std::") else {
            continue;
        };
        let path = path.split(';').next().unwrap_or_default();
        let names: Vec<&str> = match path.strip_prefix('{') {
            Some(group) => group
                .split(',')
                .map(|name| name.trim_matches(['}', ' ', '\n']))
                .collect(),
            None => vec![path],
        };
        for name in names {
            let module: String = name.chars().take_while(|c| c.is_alphanumeric()).collect();
            if IMPURE_STD.contains(&module.as_str()) {
                refuse(at, &format!("std::{module}"));
            }
        }
    }
    found
}

/// `| crate | kind | may use | what it is |`: the kind and the edges of every crate.
fn crate_table(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    table(text, &["crate", "kind", "may use", "what it is"])
        .into_iter()
        .map(|row| {
            let words = |cell: &str| -> BTreeSet<String> {
                let names = cell.split([' ', ',', '`']).filter(|name| !name.is_empty());
                names
                    .filter(|name| *name != "–")
                    .map(str::to_owned)
                    .collect()
            };
            (row[0].replace('`', ""), (row[1].clone(), words(&row[2])))
        })
        .collect()
}

#[test]
fn architecture_table_is_what_cargo_knows() {
    let table = crate_table(&read("ARCHITECTURE.md"));
    settle("crate table", differences(&table, &packages()));
}

fn differences(
    table: &BTreeMap<String, (String, BTreeSet<String>)>,
    packages: &[Package],
) -> Vec<Problem> {
    let mut found = Vec::new();
    for Package { name, ours, .. } in packages {
        let Some((kind, edges)) = table.get(name) else {
            found.push(problem(
                name,
                "is not in the crate table of ARCHITECTURE.md",
            ));
            continue;
        };
        if edges != ours {
            let what = format!("the table says it may use {edges:?}, cargo says {ours:?}");
            found.push(problem(name, what));
        }
        if (kind == "pure") != PURE.iter().any(|(pure, _)| pure == name) {
            let what = format!("kind `{kind}` in the table, and PURE in the tidy test differs");
            found.push(problem(name, what));
        }
    }
    for name in table
        .keys()
        .filter(|name| !packages.iter().any(|p| p.name == **name))
    {
        found.push(problem(
            name,
            "is in the crate table but not in the workspace",
        ));
    }
    found
}

// ── documents ────────────────────────────────────────────────────────────────────────────────

#[test]
fn house_papers() {
    let mut problems = Vec::new();
    for name in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE"] {
        if read(name).is_empty() {
            problems.push(problem(name, "is missing or empty"));
        }
    }
    for command in ["make test", "make rehearsal"] {
        if !read("README.md").contains(command) {
            problems.push(problem("README.md", format!("does not name `{command}`")));
        }
    }
    let lines = read("ARCHITECTURE.md").lines().count();
    if lines > ARCHITECTURE_LINES_MAX {
        let what = format!("{lines} lines, at most {ARCHITECTURE_LINES_MAX}");
        problems.push(problem("ARCHITECTURE.md", what));
    }
    settle("house papers", problems);
}

#[test]
fn architecture_names_what_exists() {
    let crates: BTreeSet<String> = packages().into_iter().map(|package| package.name).collect();
    let text = read("ARCHITECTURE.md");
    settle("architecture names", names_nothing(&text, &root(), &crates));
}

fn names_nothing(text: &str, root: &Path, crates: &BTreeSet<String>) -> Vec<Problem> {
    let files = source::files(root, &documents::EXTENSIONS);
    let locked = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    let mut found = Vec::new();
    for (line, name) in backticked(text) {
        let what = format!("line {line}: `{name}` does not exist");
        if names_a_path(&name, root) {
            let by_name = || files.iter().any(|file| file.ends_with(&name));
            if !root.join(&name).exists() && !by_name() {
                found.push(problem("ARCHITECTURE.md", what));
            }
        } else if let Some((first, _)) = name.split_once("::") {
            let lower = first
                .chars()
                .all(|c| c.is_ascii_lowercase() || c == '_' || c == '-');
            let known = crates.contains(first)
                || ["std", "core", "alloc", "crate", "self"].contains(&first)
                || locked.contains(&format!("name = \"{}\"", first.replace('_', "-")));
            if lower && !known {
                found.push(problem("ARCHITECTURE.md", what));
            }
        }
    }
    found
}

#[test]
fn links_resolve() {
    let root = root();
    let mut problems = Vec::new();
    for path in source::files(&root, &["md"]) {
        let text = fs::read_to_string(&path).expect("a document is UTF-8");
        let name = path
            .strip_prefix(&root)
            .expect("below the root")
            .display()
            .to_string();
        problems.extend(broken_links(&name, &text, &path));
    }
    settle("links", problems);
}

fn broken_links(name: &str, text: &str, path: &Path) -> Vec<Problem> {
    let mut found = Vec::new();
    for (line, link) in links(text) {
        if link.contains("://") || link.starts_with("mailto:") {
            continue;
        }
        let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
        let target = match file {
            "" => path.to_path_buf(),
            file => path.parent().expect("a file has a folder").join(file),
        };
        let lands = target.exists()
            && (anchor.is_empty()
                || (target == path && anchors(text).contains(anchor))
                || fs::read_to_string(&target).is_ok_and(|t| anchors(&t).contains(anchor)));
        if !lands {
            found.push(problem(
                name,
                format!("line {line}: the link to {link} leads nowhere"),
            ));
        }
    }
    found
}

#[test]
fn every_error_code_has_its_page() {
    settle(
        "error codes",
        without_page(&read("docs/api.md"), &read("docs/errors.md")),
    );
}

const ERROR_COLUMNS: &[&str] = &[
    "code",
    "status",
    "happened",
    "members beside the standard ones",
    "repeat",
];

fn without_page(api: &str, errors: &str) -> Vec<Problem> {
    let rows = table(api, ERROR_COLUMNS);
    let code = |name: &String| name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let codes: BTreeSet<String> = rows
        .iter()
        .flat_map(|row| backticked(&row[0]))
        .map(|(_, name)| name)
        .filter(code)
        .collect();
    let mut found = Vec::new();
    if codes.is_empty() {
        found.push(problem(
            "docs/api.md",
            "has no table of codes with the columns of ERROR_COLUMNS",
        ));
    }
    let pages = anchors(errors);
    for code in codes.iter().filter(|code| !pages.contains(code.as_str())) {
        found.push(problem(
            "docs/errors.md",
            format!("has no section `{code}`"),
        ));
    }
    found
}
