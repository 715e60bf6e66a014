//! Checks of limits.

use super::{Known, named, once, refer};
use crate::gateway::Context;
use crate::gateway::limits::{KEY_HEADERS_MAX, OVERRIDE_LEVELS_MAX, ROUTE_SLOTS_MAX};
use crate::gateway::listeners::{Channel, Provenance};
use crate::gateway::routes::Method;
use crate::gateway::rules::{Limit, Limits, Override, Rule, Scope};
use crate::gateway::scalar::{Instant, KeyPart};
use crate::gateway::shape::Several;
use crate::gateway::source::{Source, joined};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// `known` is `None` where a limits file is checked for itself.
pub fn limits(source: &mut Source, limits: &Limits, known: Option<&Known>, context: &Context) {
    once(source, limits.rules.iter().map(|r| named(&r.at, &r.name)));
    for rule in &limits.rules {
        kind(source, rule);
        scope(source, rule);
        key(source, rule, known);
        exceptions(source, rule, known);
        if let Some(known) = known {
            for (index, route) in rule.r#match.routes.iter().enumerate() {
                let path = format!("{}.match.routes[{index}]", rule.at);
                refer(source, &path, route, "route", &known.routes);
            }
        }
        if let Some(provenance) = &rule.provenance {
            origin(source, provenance, context);
        }
    }
    headers(source, limits);
    if let Some(known) = known {
        slots(source, limits, known);
    }
}

/// A request holds a slot of each limit of requests at once, and has room for few.
fn slots(source: &mut Source, limits: &Limits, known: &Known) {
    for route in &known.routes {
        let meets = |rule: &&Rule| {
            let routes = &rule.r#match.routes;
            rule.concurrency.is_some() && (routes.is_empty() || routes.contains(route))
        };
        let met: Vec<&Rule> = limits.rules.iter().filter(meets).collect();
        if let Some(beyond) = met.get(ROUTE_SLOTS_MAX) {
            let found = format!("concurrency number {} on route {route:?}", met.len());
            let path = joined(&beyond.at, "concurrency");
            return source.wrong(
                &path,
                &found,
                &format!("at most {ROUTE_SLOTS_MAX} on a route"),
            );
        }
    }
}

fn kind(source: &mut Source, rule: &Rule) {
    let all = ["rate", "budget", "concurrency", "quota"];
    let there = |key: &&str| source.has(&joined(&rule.at, key));
    let given: Vec<&str> = all.into_iter().filter(there).collect();
    // What cluster and instance want instead of each other is told by `scope`.
    let count = given.iter().filter(|name| **name != "budget").count();
    if given.is_empty() && rule.scope == Scope::Instance {
        source.wrong(
            &rule.at,
            "no limit",
            "exactly one of rate, concurrency, quota",
        );
    } else if count > 1 {
        let expected = "exactly one of rate, concurrency, quota";
        source.wrong(&rule.at, &given.join(" and "), expected);
    }
    let rated = given.contains(&"rate") || given.contains(&"budget");
    if rule.burst.is_some() && !rated {
        source.problem(
            &joined(&rule.at, "burst"),
            "belongs to a rate, and there is none",
        );
    }
}

fn scope(source: &mut Source, rule: &Rule) {
    let at = |key: &str| joined(&rule.at, key);
    match rule.scope {
        Scope::Cluster => {
            for key in ["rate", "concurrency", "quota"] {
                if source.has(&at(key)) {
                    let what = format!("scope cluster shares a budget, expected budget, not {key}");
                    source.problem(&at(key), what);
                }
            }
            if !source.has(&at("budget")) {
                source.problem(&rule.at, "\"budget\" is missing: scope cluster needs it");
            }
            if !source.has(&at("max_instances")) {
                source.problem(
                    &rule.at,
                    "\"max_instances\" is missing: scope cluster needs it",
                );
            }
        }
        Scope::Instance => {
            for key in ["budget", "max_instances"] {
                if source.has(&at(key)) {
                    source.problem(&at(key), "belongs to scope cluster, found scope instance");
                }
            }
        }
    }
}

fn key(source: &mut Source, rule: &Rule, known: Option<&Known>) {
    let path = |index: usize| format!("{}.key[{index}]", rule.at);
    let parts = rule.key.iter().enumerate();
    once(source, parts.map(|(index, part)| (path(index), word(part))));
    let Some(found) = known.and_then(|known| known.identity) else {
        return;
    };
    for (index, part) in rule.key.iter().enumerate() {
        let (there, missing) = match part {
            KeyPart::Buyer => (found.buyer, "identity.buyer in the gateway file"),
            KeyPart::Device => (found.device, "identity.device in the gateway file"),
            KeyPart::ApiKey => (found.api_key, "identity.api_key_header in the gateway file"),
            KeyPart::Sku => (found.sku, "a route with sku in the gateway file"),
            _ => (true, ""),
        };
        if !there {
            let what = format!("is never found, expected {missing}");
            source.problem(&path(index), what);
        }
    }
}

fn word(part: &KeyPart) -> String {
    let words = crate::gateway::scalar::KEY_PARTS.iter();
    match part {
        KeyPart::Header(name) => format!("header:{name}"),
        _ => words
            .filter(|(_, other)| other == part)
            .map(|(word, _)| (*word).to_owned())
            .collect(),
    }
}

fn exceptions(source: &mut Source, rule: &Rule, known: Option<&Known>) {
    let mut seen: BTreeMap<&[String], (&str, Option<&Override>)> = BTreeMap::new();
    if source.troubled(&joined(&rule.at, "key")) {
        return;
    }
    let parts = rule.key.len();
    for one in &rule.overrides {
        values(source, &joined(&one.at, "key"), &one.key, parts);
        formed(source, &joined(&one.at, "key"), rule, &one.key.0, known);
        override_alone(source, rule, one);
        match seen.get(one.key.0.as_slice()) {
            Some((first, Some(other))) if same(one, other) => {
                source.problem(&one.at, format!("says what {first} says, expected it once"));
            }
            Some((first, _)) => {
                source.problem(
                    &one.at,
                    format!("contradicts {first}, which has the same key"),
                );
            }
            None => {
                seen.insert(&one.key.0, (&one.at, Some(one)));
            }
        }
    }
    let mut levels: Vec<Option<Limit>> = Vec::new();
    for one in &rule.overrides {
        let level = one.limit(rule);
        if !levels.contains(&level) {
            levels.push(level);
        }
        if levels.len() > OVERRIDE_LEVELS_MAX {
            let most = format!("at most {OVERRIDE_LEVELS_MAX} different limits");
            source.wrong(&one.at, &levels.len().to_string(), &most);
            break;
        }
    }
    let mut allowed: Vec<(String, String)> = Vec::new();
    for (index, value) in rule.allow.iter().enumerate() {
        let path = format!("{}.allow[{index}]", rule.at);
        values(source, &path, value, parts);
        formed(source, &path, rule, &value.0, known);
        if let Some((first, _)) = seen.get(value.0.as_slice()) {
            let what = format!("contradicts {first}: who is let through has no limit");
            source.problem(&path, what);
        }
        allowed.push((path, value.0.join(", ")));
    }
    once(source, allowed.into_iter());
}

fn same(one: &Override, other: &Override) -> bool {
    (one.rate, one.burst, one.concurrency, one.quota)
        == (other.rate, other.burst, other.concurrency, other.quota)
}

fn values(source: &mut Source, path: &str, values: &Several<String>, parts: usize) {
    let found = values.0.len();
    if parts == 0 {
        source.problem(path, "names a key, and the rule has none");
    } else if found != parts {
        let expected = format!("one of {parts}, a value for each part of the rule's key");
        source.wrong(path, &format!("a key of {found}"), &expected);
    }
}

/// Values that have a form of their own.
fn formed(source: &mut Source, path: &str, rule: &Rule, key: &[String], known: Option<&Known>) {
    for (part, text) in rule.key.iter().zip(key) {
        let word = |words: &[&str]| words.contains(&text.as_str());
        let found = format!("{text:?}");
        match part {
            KeyPart::Address if text.parse::<IpAddr>().is_err() => {
                source.wrong(path, &found, "an address such as 192.0.2.7");
            }
            KeyPart::Method if !word(Method::WORDS) => {
                source.wrong(path, &found, &Method::WORDS.join(", "));
            }
            KeyPart::Channel if !word(Channel::WORDS) => {
                source.wrong(path, &found, &Channel::WORDS.join(", "));
            }
            KeyPart::Route => {
                if let Some(known) = known {
                    refer(source, path, text, "route", &known.routes);
                }
            }
            _ => {}
        }
    }
}

fn override_alone(source: &mut Source, rule: &Rule, one: &Override) {
    let rated = rule.rate.is_some() || rule.budget.is_some();
    let rows = [
        ("rate", one.rate.is_some(), rated),
        ("burst", one.burst.is_some(), rated),
        (
            "concurrency",
            one.concurrency.is_some(),
            rule.concurrency.is_some(),
        ),
        ("quota", one.quota.is_some(), rule.quota.is_some()),
    ];
    if rows.iter().all(|(_, given, _)| !given) {
        source.problem(&one.at, "changes nothing, expected a limit of its own");
    }
    for (name, given, fits) in rows {
        if given && !fits && rule.limit().is_some() {
            let what = "is another kind of limit than the rule's, expected the same kind";
            source.problem(&joined(&one.at, name), what);
        }
    }
}

fn origin(source: &mut Source, provenance: &Provenance, context: &Context) {
    let at = |key: &str| joined(&provenance.at, key);
    let now = Instant(context.now_ms);
    if provenance.expires <= provenance.measured {
        let expected = format!("an instant after measured, {}", provenance.measured.shown());
        source.wrong(&at("expires"), &provenance.expires.shown(), &expected);
    } else if provenance.expires <= now {
        let what = format!(
            "expired at {}, expected a newer limit",
            provenance.expires.shown()
        );
        source.problem(&at("expires"), what);
    }
    if provenance.measured > now {
        let what = format!("found {}, which is to come", provenance.measured.shown());
        source.problem(&at("measured"), what);
    }
    if let Some(build) = &context.build
        && *build != provenance.build
    {
        let found = format!("build {:?}", provenance.build);
        source.wrong(
            &at("build"),
            &found,
            &format!("{build:?}, the build that stands here"),
        );
    }
}

fn headers(source: &mut Source, limits: &Limits) {
    let mut used: Vec<&str> = Vec::new();
    for rule in &limits.rules {
        for (index, part) in rule.key.iter().enumerate() {
            let KeyPart::Header(name) = part else {
                continue;
            };
            if used.contains(&name.as_str()) {
                continue;
            }
            used.push(name);
            if used.len() > KEY_HEADERS_MAX {
                let path = format!("{}.key[{index}]", rule.at);
                let found = format!("header {name:?} as number {}", used.len());
                let expected = format!("at most {KEY_HEADERS_MAX} different headers in all keys");
                source.wrong(&path, &found, &expected);
            }
        }
    }
}
