//! What only two values together can tell: names that nobody has, names that two have, what can
//! never happen, what has expired.
//!
//! A check looks at what could be read; what could not was reported by the reader, and its name
//! still counts as known, so that one mistake is told once.

mod doors;
mod pools;
mod routes;
mod rules;
mod switches;

pub use rules::limits;
pub use switches::switches;

use super::listeners::Buyer;
use super::source::{Source, joined, near_word};
use super::{Context, Gateway};
use crate::campaign::tree::Node;
use std::collections::BTreeMap;
use std::path::Path;

/// What other parts may refer to, by name.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub routes: Vec<String>,
    pub upstreams: Vec<String>,
    pub rooms: Vec<String>,
    /// Features that some route shows.
    pub features: Vec<String>,
    /// Routes with the features that they show.
    pub shows: Vec<(String, Vec<String>)>,
    /// Routes whose answers are kept.
    pub cached: Vec<String>,
    /// What keys of rules can be made of; `None` where the gateway could not be read.
    pub identity: Option<Found>,
    /// Whether every route and every upstream could be read.
    pub whole: bool,
}

/// Which facts are looked for at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub buyer: bool,
    pub device: bool,
    pub api_key: bool,
    pub sku: bool,
}

impl Known {
    #[must_use]
    pub fn of(tree: &Node, gateway: Option<&Gateway>) -> Known {
        let mut known = Known {
            routes: names(tree, "routes"),
            upstreams: names(tree, "upstreams"),
            rooms: names(tree, "waiting_rooms"),
            ..Known::default()
        };
        let Some(gateway) = gateway else {
            return known;
        };
        known.whole = gateway.routes.len() == items(tree, "routes")
            && gateway.upstreams.len() == items(tree, "upstreams");
        for route in &gateway.routes {
            known.features.extend(route.features.iter().cloned());
            known
                .shows
                .push((route.name.clone(), route.features.clone()));
            if route.cache.is_some() {
                known.cached.push(route.name.clone());
            }
        }
        known.identity = Some(Found {
            buyer: !gateway.identity.buyer.is_empty(),
            device: gateway.identity.device.is_some(),
            api_key: gateway.identity.api_key_header.is_some(),
            sku: gateway.routes.iter().any(|route| route.sku.is_some()),
        });
        known
    }
    /// Routes that show a feature.
    fn showing(&self, feature: &String) -> Vec<String> {
        let shows = self
            .shows
            .iter()
            .filter(|(_, features)| features.contains(feature));
        shows.map(|(route, _)| route.clone()).collect()
    }
}

pub fn gateway(source: &mut Source, gateway: &Gateway, known: &Known, context: &Context) {
    doors::listeners(source, gateway);
    doors::identity(source, gateway);
    doors::logs(source, gateway);
    doors::cluster(source, gateway);
    routes::routes(source, gateway, known, context);
    routes::prerendered(source, gateway);
    super::shadow::routes(source, gateway);
    pools::upstreams(source, gateway, known);
    pools::rooms(source, gateway, known);
    pools::overload(source, gateway);
}

fn list<'a>(tree: &'a Node, key: &str) -> &'a [Node] {
    let entries = tree.entries().unwrap_or_default();
    let found = entries.iter().find(|(_, name, _)| name == key);
    found
        .and_then(|(_, _, node)| node.items())
        .unwrap_or_default()
}

fn items(tree: &Node, key: &str) -> usize {
    list(tree, key).len()
}

fn names(tree: &Node, key: &str) -> Vec<String> {
    let name = |node: &Node| {
        let entries = node.entries()?;
        let (_, _, node) = entries.iter().find(|(_, key, _)| key == "name")?;
        node.scalar_text().map(str::to_owned)
    };
    list(tree, key).iter().filter_map(name).collect()
}

/// Reports every value that stands at two places. Rows are a path and its value.
fn once(source: &mut Source, rows: impl Iterator<Item = (String, String)>) {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for (path, value) in rows {
        match seen.get(&value) {
            Some(first) => {
                let what = format!("found {value:?}, which {first} has already, expected another");
                source.problem(&path, what);
            }
            None => {
                seen.insert(value, path);
            }
        }
    }
}

fn named(at: &str, name: &str) -> (String, String) {
    (joined(at, "name"), name.to_owned())
}

/// Reports a name that nobody has.
fn refer(source: &mut Source, path: &str, name: &str, what: &str, known: &[String]) {
    if known.iter().any(|known| known == name) {
        return;
    }
    let text = match near_word(name, known.iter().map(String::as_str)) {
        Some(near) => format!("there is no {what} {name:?}, did you mean {near:?}?"),
        None if known.is_empty() => format!("there is no {what} {name:?}, and no other"),
        None => {
            let some: Vec<&str> = known.iter().take(8).map(String::as_str).collect();
            let more = if known.len() > some.len() { " …" } else { "" };
            format!(
                "there is no {what} {name:?}, expected one of {}{more}",
                some.join(", ")
            )
        }
    };
    source.problem(path, text);
}

/// Reports a file that cannot be read, or does not hold what it should.
fn file(source: &mut Source, path: &str, name: &Path, holds: Option<&str>) {
    /// Bytes of a file that is only looked into: certificates and keys are far smaller.
    const LOOK_BYTES_MAX: u64 = 1 << 20;
    let shown = name.display();
    let size = match std::fs::metadata(name) {
        Ok(data) if data.is_file() => data.len(),
        Ok(_) => return source.problem(path, format!("{shown} is no file, expected one")),
        Err(error) => return source.problem(path, format!("{shown} is not readable: {error}")),
    };
    let Some(label) = holds else {
        if let Err(error) = std::fs::File::open(name) {
            source.problem(path, format!("{shown} is not readable: {error}"));
        }
        return;
    };
    if size > LOOK_BYTES_MAX {
        return source.wrong(path, &format!("{size} bytes in {shown}"), "at most 1MiB");
    }
    match std::fs::read(name) {
        Err(error) => source.problem(path, format!("{shown} is not readable: {error}")),
        Ok(bytes) if label == SECRET => {
            if bytes.trim_ascii().len() < SECRET_BYTES_MIN {
                let found = format!("{} bytes in {shown}", bytes.trim_ascii().len());
                source.wrong(path, &found, "a secret of at least 32 bytes");
            }
        }
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let begins = |line: &str| line.starts_with("-----BEGIN ") && line.contains(label);
            if !text.lines().any(begins) {
                source.problem(path, format!("{shown} holds no PEM block {label:?}"));
            }
        }
    }
}

/// What [`file`] looks for in keys of signatures.
const SECRET: &str = "secret";
/// Bytes of a secret that signs tickets and marks: as many as SHA-256 gives.
const SECRET_BYTES_MIN: usize = 32;

/// Whether somebody's word is believed without being checked.
fn believes(gateway: &Gateway) -> bool {
    gateway
        .identity
        .buyer
        .iter()
        .any(|buyer| matches!(buyer, Buyer::Header(_)))
}
