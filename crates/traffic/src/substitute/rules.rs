//! The rules of a substitution as people write them, and the check of all of them at once. It must
//! not know how a rule is applied.

use super::{Substitution, hash};
use crate::error::Problems;
use crate::limits::{BUYERS_MAX, DRAW_ITEMS_MAX, RULE_ITEMS_MAX};
use crate::seen::Seen;
use crate::template::Pattern;
use crate::yaml;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    substitute: Section,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Section {
    seed: u64,
    buyers: Buyers,
    rules: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Buyers {
    count: u64,
    name: String,
}

impl Default for Buyers {
    fn default() -> Buyers {
        Buyers {
            count: 1_000,
            name: "buyer-{buyer}".to_owned(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    method: Option<String>,
    under: Option<String>,
    path: Option<String>,
    parameter: Option<String>,
    query: Option<String>,
    header: Option<String>,
    body: Option<String>,
    with: Option<String>,
    from: Option<Vec<String>>,
    #[serde(default)]
    drop: bool,
    #[serde(default)]
    always: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Rule {
    method: Option<String>,
    under: Option<Pattern>,
    pub(super) at: Where,
    pub(super) action: Action,
    /// A header is set even where there was none.
    pub(super) always: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Where {
    Path(Pattern, String),
    Query(String),
    Header(String),
    Body(String),
}

#[derive(Clone, Debug)]
pub(super) enum Action {
    Drop,
    With(Text),
    From(Vec<String>),
}

impl Rule {
    pub(super) fn concerns(&self, seen: &Seen) -> bool {
        let method = self
            .method
            .as_ref()
            .is_none_or(|method| *method == seen.method);
        method
            && self
                .under
                .as_ref()
                .is_none_or(|under| under.fits(seen.path()))
    }
}

/// A text with places: `{buyer}`, `{value}` for what was there, `{hash:N}` for a number below N
/// that the same old value always gets.
#[derive(Clone, Debug, Default)]
pub(super) struct Text(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Plain(String),
    Buyer,
    Value,
    Hash(u64),
}

impl Text {
    pub(super) fn parse(text: &str) -> Result<Text, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let wrong = || format!("text {text:?}: expected {{buyer}}, {{value}} or {{hash:N}}");
            let (name, after) = after.split_once('}').ok_or_else(wrong)?;
            parts.push(Part::Plain(before.to_owned()));
            parts.push(match name.split_once(':').unwrap_or((name, "")) {
                ("buyer", "") => Part::Buyer,
                ("value", "") => Part::Value,
                ("hash", below) => {
                    let below = below.parse().ok().filter(|below| *below > 0);
                    Part::Hash(below.ok_or_else(wrong)?)
                }
                _ => return Err(wrong()),
            });
            rest = after;
        }
        parts.push(Part::Plain(rest.to_owned()));
        Ok(Text(parts))
    }

    pub(super) fn fill(&self, buyer: &str, old: &str, seed: u64) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Plain(text) => out.push_str(text),
                Part::Buyer => out.push_str(buyer),
                Part::Value => out.push_str(old),
                Part::Hash(below) => out.push_str(&(hash(seed, "value", old) % below).to_string()),
            }
        }
        out
    }
}

pub(super) fn parse(text: &str) -> Result<Substitution, Problems> {
    let File { substitute } = yaml::parse(text)?;
    let mut problems = Vec::new();
    let Buyers { count, name } = substitute.buyers;
    if !(1..=BUYERS_MAX).contains(&count) {
        problems.push(format!(
            "buyers.count: found {count}, expected 1 to {BUYERS_MAX}"
        ));
    }
    let name = Text::parse(&name).unwrap_or_else(|what| {
        problems.push(format!("buyers.name: {what}"));
        Text::default()
    });
    let found = substitute.rules.len();
    if found > RULE_ITEMS_MAX {
        problems.push(format!("rules: found {found}, at most {RULE_ITEMS_MAX}"));
    }
    let mut rules = Vec::new();
    for (index, row) in substitute.rules.into_iter().enumerate() {
        match rule(row) {
            Ok(rule) => rules.push(rule),
            Err(what) => problems.push(format!("rules[{index}]: {what}")),
        }
    }
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    Ok(Substitution {
        seed: substitute.seed,
        buyers: count,
        name,
        rules,
    })
}

fn rule(row: Row) -> Result<Rule, String> {
    let at = match (row.path, row.query, row.header, row.body) {
        (Some(path), None, None, None) => {
            let pattern = Pattern::parse(&path)?;
            let name = row.parameter.ok_or("path: expected also parameter")?;
            if !pattern.names(&name) {
                return Err(format!("path {path:?} has no part {{{name}}}"));
            }
            Where::Path(pattern, name)
        }
        (None, Some(name), None, None) => Where::Query(name),
        (None, None, Some(name), None) => Where::Header(header(&name)?),
        (None, None, None, Some(pointer)) if pointer.starts_with('/') => Where::Body(pointer),
        (None, None, None, Some(pointer)) => {
            return Err(format!(
                "body {pointer:?}: expected a JSON pointer such as /buyer/email"
            ));
        }
        _ => return Err("expected one of path, query, header, body".to_owned()),
    };
    let action = match (row.with, row.from, row.drop) {
        (Some(text), None, false) => Action::With(Text::parse(&text)?),
        (None, Some(list), false) if (1..=DRAW_ITEMS_MAX).contains(&list.len()) => {
            Action::From(list)
        }
        (None, Some(_), false) => {
            return Err(format!("from: expected 1 to {DRAW_ITEMS_MAX} values"));
        }
        (None, None, true) => Action::Drop,
        _ => return Err("expected one of with, from, drop: true".to_owned()),
    };
    if matches!((&at, &action), (Where::Path(..), Action::Drop)) {
        return Err("a part of a path cannot be dropped".to_owned());
    }
    if row.always && !matches!(at, Where::Header(_)) {
        return Err("always: only headers can be added".to_owned());
    }
    Ok(Rule {
        method: row.method,
        under: row.under.as_deref().map(Pattern::parse).transpose()?,
        at,
        action,
        always: row.always,
    })
}

fn header(name: &str) -> Result<String, String> {
    if !crate::seen::is_method(name) {
        return Err(format!("header {name:?}: expected the name of a header"));
    }
    Ok(name.to_ascii_lowercase())
}
