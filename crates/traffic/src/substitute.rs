//! Recorded people and data become test people and test data: whoever was a client becomes a test
//! buyer, always the same one for the same seed; values are set, drawn or dropped by rules; secrets
//! are dropped unless a rule sets them. It must not send, and keeps nothing between requests.

mod edit;
mod rules;

use crate::error::Problems;
use crate::secrets::{is_secret, stays_behind};
use crate::seen::Seen;
use edit::{edit_json, edit_pairs, encode_segment};
use rules::{Action, Rule, Where};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// Rules of one file, checked.
#[derive(Clone, Debug)]
pub struct Substitution {
    seed: u64,
    buyers: u64,
    name: rules::Text,
    rules: Vec<Rule>,
}

/// Without a file: a thousand test buyers, secrets dropped, nothing else changed.
impl Default for Substitution {
    fn default() -> Substitution {
        Substitution {
            seed: 0,
            buyers: 1_000,
            name: rules::Text::parse("buyer-{buyer}").unwrap_or_default(),
            rules: Vec::new(),
        }
    }
}

impl Substitution {
    /// A file with `substitute:`; all that is wrong with its rules at once. docs/traffic.md has the
    /// format.
    pub fn parse(text: &str) -> Result<Substitution, Problems> {
        rules::parse(text)
    }

    /// The number of the test buyer that stands for a client: from 0, below the count.
    #[must_use]
    pub fn buyer(&self, client: &str) -> u64 {
        hash(self.seed, "client", client) % self.buyers.max(1)
    }

    /// What a test buyer is called.
    #[must_use]
    pub fn buyer_name(&self, buyer: u64) -> String {
        self.name.fill(&buyer.to_string(), "", self.seed)
    }

    /// Makes the request one of a test buyer, whose number is returned; a request without client
    /// has none. Afterwards `client` is the buyer's name, no header of a single connection is left,
    /// and no secret that a rule did not set.
    pub fn apply(&self, seen: &mut Seen) -> Option<u64> {
        let buyer = seen.client.as_deref().map(|client| self.buyer(client));
        let name = buyer
            .map(|buyer| self.buyer_name(buyer))
            .unwrap_or_default();
        let mut set = Vec::new();
        // By the request as it was: what a rule changes must not choose the next one.
        let rules: Vec<&Rule> = self
            .rules
            .iter()
            .filter(|rule| rule.concerns(seen))
            .collect();
        for rule in rules {
            self.one(rule, &name, seen);
            set.push(&rule.at);
        }
        self.blank(seen, &set);
        seen.client = buyer.map(|_| name);
        buyer
    }

    fn one(&self, rule: &Rule, buyer: &str, seen: &mut Seen) {
        let new = |old: &str| match &rule.action {
            Action::Drop => None,
            Action::With(text) => Some(text.fill(buyer, old, self.seed)),
            Action::From(list) => {
                let index = hash(self.seed, "from", old) % list.len().max(1) as u64;
                let index = usize::try_from(index).unwrap_or(0);
                Some(list.get(index).cloned().unwrap_or_default())
            }
        };
        match &rule.at {
            Where::Path(pattern, name) => {
                let path = seen.path();
                if let Some(place) = pattern.place(path, Some(name.as_str())) {
                    let value = new(path.get(place.clone()).unwrap_or_default());
                    seen.target
                        .replace_range(place, &encode_segment(&value.unwrap_or_default()));
                }
            }
            Where::Query(name) => {
                if let Some((path, query)) = seen.target.split_once('?') {
                    let query = edit_pairs(query, |key, old| match key == name {
                        true => Some(new(old)),
                        false => None,
                    });
                    seen.target = joined(path, &query);
                }
            }
            Where::Header(name) => {
                let found = seen.headers.iter_mut().find(|(key, _)| key == name);
                let old = found.map(|(_, value)| std::mem::take(value));
                if old.is_none() && !rule.always {
                    return;
                }
                seen.headers.retain(|(key, _)| key != name);
                if let Some(value) = new(old.as_deref().unwrap_or_default()) {
                    let value = value.chars().filter(|c| !c.is_control()).collect();
                    seen.headers.push((name.clone(), value));
                }
            }
            Where::Body(pointer) => body(seen, |kind, body| match kind {
                Kind::Json => edit_json(body, &mut |at, old| (at == pointer).then(|| new(old))),
                Kind::Form => {
                    let name = pointer.trim_start_matches('/');
                    let edit = |key: &str, old: &str| (key == name).then(|| new(old));
                    Some(edit_pairs(std::str::from_utf8(body).ok()?, edit).into_bytes())
                }
            }),
        }
    }

    /// Drops what is secret and was not set by a rule.
    fn blank(&self, seen: &mut Seen, set: &[&Where]) {
        let header = |name: &str| {
            set.iter()
                .any(|at| matches!(at, Where::Header(n) if n == name))
        };
        seen.headers
            .retain(|(name, _)| header(name) || !stays_behind(name));
        let query = |name: &str| {
            set.iter()
                .any(|at| matches!(at, Where::Query(n) if n == name))
        };
        if let Some((path, text)) = seen.target.split_once('?') {
            let kept = edit_pairs(text, |key, _| {
                (is_secret(key) && !query(key)).then_some(None)
            });
            seen.target = joined(path, &kept);
        }
        // A header such as Referer may hold a URL with the same secrets.
        for (_, value) in &mut seen.headers {
            if let Some((path, text)) = value.split_once('?')
                && path.contains("://")
            {
                let kept = edit_pairs(text, |key, _| is_secret(key).then_some(None));
                *value = joined(path, &kept);
            }
        }
        let field = |at: &str| set.iter().any(|w| matches!(w, Where::Body(p) if p == at));
        let redacted = || Some(Some("redacted".to_owned()));
        body(seen, |kind, body| match kind {
            Kind::Json => edit_json(body, &mut |at, _| {
                let name = at.rsplit('/').next().unwrap_or_default();
                (is_secret(name) && !field(at)).then(redacted).flatten()
            }),
            Kind::Form => {
                let edit = |key: &str, _: &str| {
                    (is_secret(key) && !field(&format!("/{key}")))
                        .then(redacted)
                        .flatten()
                };
                Some(edit_pairs(std::str::from_utf8(body).ok()?, edit).into_bytes())
            }
        });
    }
}

fn joined(path: &str, query: &str) -> String {
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{path}{mark}{query}")
}

enum Kind {
    Json,
    Form,
}

/// Lets `edit` write a body that can be understood anew.
fn body(seen: &mut Seen, edit: impl FnOnce(Kind, &[u8]) -> Option<Vec<u8>>) {
    let kind = seen
        .header("content-type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let Some(body) = seen.body.as_deref() else {
        return;
    };
    let kind = if kind.starts_with("application/x-www-form-urlencoded") {
        Kind::Form
    } else if kind.contains("json") || kind.is_empty() && body.starts_with(b"{") {
        Kind::Json
    } else {
        return;
    };
    if let Some(new) = edit(kind, body) {
        seen.request_bytes = Some(new.len() as u64);
        seen.body = Some(new);
    }
}

/// The same number for the same seed and text, for ever and everywhere.
pub(crate) fn hash(seed: u64, kind: &str, text: &str) -> u64 {
    let mut sha = Sha256::new();
    sha.update(seed.to_be_bytes());
    sha.update(kind.as_bytes());
    sha.update([0]);
    sha.update(text.as_bytes());
    let mut first = [0; 8];
    first
        .iter_mut()
        .zip(sha.finalize())
        .for_each(|(to, from)| *to = from);
    u64::from_be_bytes(first)
}

/// A text of a query or form without its escapes.
fn plain(text: &str) -> Cow<'_, str> {
    let first = form_urlencoded::parse(text.as_bytes()).next();
    first.map_or(Cow::Borrowed(""), |(key, _)| key)
}
