//! Markdown as the tidy test sees it: tables, links, headings and names in backticks. A line
//! scanner that knows fences and code spans, because that is all our documents use.

use std::collections::BTreeSet;
use std::path::Path;

/// Endings that make a name in backticks the name of a file.
pub const EXTENSIONS: [&str; 15] = [
    "rs", "md", "toml", "sh", "yaml", "yml", "json", "jsonl", "sql", "html", "css", "js", "mjs",
    "lua", "csv",
];

/// Folders that exist only after a build or a run.
const MADE: [&str; 4] = ["target", "out", "data", "node_modules"];

/// The rows below the heading with exactly these cells.
pub fn table(text: &str, heading: &[&str]) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
        inner
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    text.lines()
        .skip_while(|line| cells(line) != heading)
        .skip(2)
        .take_while(|line| line.trim_start().starts_with('|'))
        .map(|line| {
            let mut row = cells(line);
            row.resize(heading.len(), String::new());
            row
        })
        .collect()
}

/// Lines outside of fences, with their number.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fence && !fenced).then_some((index + 1, line))
    })
}

/// What stands in backticks, with its line.
pub fn backticked(text: &str) -> Vec<(usize, String)> {
    let spans = |(number, line): (usize, &str)| {
        let spans: Vec<_> = line
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        spans.into_iter().map(move |span| (number, span))
    };
    prose(text).flat_map(spans).collect()
}

/// Whether a name in backticks means a file or a folder of this repository.
pub fn names_a_path(name: &str, root: &Path) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "/._-".contains(c);
    let first = name.split('/').next().unwrap_or_default();
    if !name.chars().all(plain) || name.starts_with(['/', '.', '-']) || MADE.contains(&first) {
        return first == ".ci" || first == ".gitignore";
    }
    let file = name
        .rsplit_once('.')
        .is_some_and(|(stem, ending)| !stem.is_empty() && EXTENSIONS.contains(&ending));
    file || (name.contains('/') && root.join(first).exists())
}

/// Targets of links and pictures, with their line.
pub fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let line: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
        let mut add = |link: &str| found.push((number, link.to_owned()));
        for rest in line.split("](").skip(1) {
            add(rest.split([')', ' ']).next().unwrap_or_default());
        }
        for attribute in ["src=\"", "href=\""] {
            for rest in line.split(attribute).skip(1) {
                add(rest.split('"').next().unwrap_or_default());
            }
        }
        if line.starts_with('[')
            && let Some((_, link)) = line.split_once("]: ")
        {
            add(link.split(' ').next().unwrap_or_default());
        }
    }
    found
}

/// The anchors that headings make, as the common hosts spell them.
pub fn anchors(text: &str) -> BTreeSet<String> {
    let heading = |(_, line): (usize, &str)| -> Option<String> {
        let title = line
            .strip_prefix('#')?
            .trim_start_matches('#')
            .strip_prefix(' ')?;
        let kept = title.trim().to_lowercase();
        let kept = kept
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        Some(kept.map(|c| if c == ' ' { '-' } else { c }).collect())
    };
    prose(text).filter_map(heading).collect()
}
