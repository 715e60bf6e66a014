//! limits.yaml as `guard` asks it.

use super::{Clock, Digest};
use guard::{
    Channel, Class, Key, Limit, Matcher, Method, Missing, Mode, Override, Part, PartValue,
    Provenance, RouteId, Rule, RuleProblem, RuleSet, Scope,
};
use hyper::header::HeaderName;
use std::net::{IpAddr, Ipv6Addr};
use wire::gateway::rules::{self as written, Limits};
use wire::gateway::scalar::KeyPart;
use wire::gateway::{listeners, routes};

/// The one calendar that quotas follow: days of the file's offset from UTC.
pub const CALENDAR: u8 = 0;

/// Headers that keys are made of, in the order of `Facts::headers`.
#[must_use]
pub fn key_headers(limits: &Limits) -> Vec<HeaderName> {
    let mut names: Vec<HeaderName> = Vec::new();
    for part in limits.rules.iter().flat_map(|rule| &rule.key) {
        let KeyPart::Header(name) = part else {
            continue;
        };
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) if !names.contains(&name) => names.push(name),
            _ => {}
        }
    }
    names
}

pub struct Names<'a> {
    /// Routes by their places.
    pub routes: &'a [String],
    pub headers: &'a [HeaderName],
}

/// # Errors
/// What `guard` refuses; the check of the files came before, so this is told as it is.
pub fn compile(
    limits: &Limits,
    names: &Names<'_>,
    digest: &dyn Digest,
    clock: Clock,
) -> Result<RuleSet, Vec<RuleProblem>> {
    let mut problems = Vec::new();
    let mut rules = Vec::new();
    for rule in &limits.rules {
        match one(rule, names, digest, clock) {
            Ok(rule) => rules.push(rule),
            Err(what) => problems.push(RuleProblem {
                rule: rule.name.clone(),
                what,
            }),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    RuleSet::new(rules)
}

fn one(
    rule: &written::Rule,
    names: &Names<'_>,
    digest: &dyn Digest,
    clock: Clock,
) -> Result<Rule, String> {
    let limit = rule.limit().ok_or("it has no limit, expected one")?;
    let mut ready = Rule::new(rule.name.clone(), amount(limit));
    ready.matcher = matcher(&rule.r#match, names)?;
    ready.key = Key {
        parts: rule
            .key
            .iter()
            .map(|key| part(key, names))
            .collect::<Result<_, _>>()?,
        missing: match rule.when_missing {
            written::WhenMissing::Skip => Missing::Skip,
            written::WhenMissing::Shared => Missing::Shared,
        },
    };
    ready.scope = match rule.scope {
        written::Scope::Instance => Scope::Instance,
        written::Scope::Cluster => Scope::Cluster,
    };
    ready.mode = match rule.mode {
        written::Mode::Enforce => Mode::Enforce,
        written::Mode::Shadow => Mode::Shadow,
    };
    ready.enforce_percent = u8::try_from(rule.enforce_percent).unwrap_or(100);
    ready.near_percent = percent(rule.near_limit);
    for own in &rule.overrides {
        let limit = own
            .limit(rule)
            .ok_or("an override has no limit, expected one")?;
        ready.overrides.push(Override {
            values: values(&rule.key, &own.key.0, names, digest)?,
            limit: amount(limit),
        });
    }
    for allowed in &rule.allow {
        ready
            .allowed
            .push(values(&rule.key, &allowed.0, names, digest)?);
    }
    ready.provenance = rule.provenance.as_ref().map(|origin| Provenance {
        run: origin.run.clone(),
        build: origin.build.clone(),
        // Measured, divided by the factor, is the limit; guard keeps what it is multiplied by.
        safety_permille: (1_000.0 / origin.safety_factor).round() as u32,
        measured_ms: origin.measured.0,
        expires: Some(clock.at(origin.expires)),
    });
    Ok(ready)
}

fn amount(limit: written::Limit) -> Limit {
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    match limit {
        written::Limit::Rate { rate, burst } => Limit::Rate {
            count: small(rate.count),
            period: guard::Nanos::from_secs(rate.period.as_secs()),
            burst: small(burst),
        },
        written::Limit::Concurrency(most) => Limit::Concurrency {
            at_once: small(most),
        },
        written::Limit::Quota(count) => Limit::Quota {
            per_day: small(count),
            calendar: CALENDAR,
        },
    }
}

fn matcher(written: &written::RuleMatch, names: &Names<'_>) -> Result<Matcher, String> {
    let routes = written.routes.iter().map(|route| route_id(route, names));
    Ok(Matcher {
        routes: routes.collect::<Result<_, _>>()?,
        methods: written.methods.iter().map(|m| method(*m)).collect(),
        channels: written.channels.iter().map(|c| channel(*c)).collect(),
        classes: written.classes.iter().map(|c| class(*c)).collect(),
    })
}

fn route_id(name: &str, names: &Names<'_>) -> Result<RouteId, String> {
    let place = names.routes.iter().position(|route| route == name);
    let place = place.and_then(|place| u16::try_from(place).ok());
    place
        .map(RouteId)
        .ok_or_else(|| format!("there is no route {name:?}"))
}

fn part(key: &KeyPart, names: &Names<'_>) -> Result<Part, String> {
    Ok(match key {
        KeyPart::Buyer => Part::Buyer,
        KeyPart::Device => Part::Device,
        KeyPart::Address => Part::Address,
        KeyPart::ApiKey => Part::ApiKey,
        KeyPart::Route => Part::Route,
        KeyPart::Method => Part::Method,
        KeyPart::Sku => Part::Sku,
        KeyPart::Channel => Part::Channel,
        KeyPart::Header(name) => {
            let place = names
                .headers
                .iter()
                .position(|header| header.as_str() == name);
            let place = place.and_then(|place| u8::try_from(place).ok());
            Part::Header(place.ok_or_else(|| format!("header {name:?} has no place"))?)
        }
    })
}

fn values(
    key: &[KeyPart],
    texts: &[String],
    names: &Names<'_>,
    digest: &dyn Digest,
) -> Result<Vec<PartValue>, String> {
    let pairs = key.iter().zip(texts);
    pairs
        .map(|(part, text)| value(part, text, names, digest))
        .collect()
}

fn value(
    part: &KeyPart,
    text: &str,
    names: &Names<'_>,
    digest: &dyn Digest,
) -> Result<PartValue, String> {
    Ok(match part {
        KeyPart::Route => PartValue::Route(route_id(text, names)?),
        KeyPart::Method => {
            let found = METHODS.iter().find(|(word, _)| *word == text);
            let (_, method) = found.ok_or_else(|| format!("there is no method {text:?}"))?;
            PartValue::Method(*method)
        }
        KeyPart::Channel => {
            let found = CHANNELS.iter().find(|channel| channel.as_str() == text);
            let found = found.ok_or_else(|| format!("there is no channel {text:?}"))?;
            PartValue::Channel(channel(*found))
        }
        KeyPart::Address => {
            let address: IpAddr = text
                .parse()
                .map_err(|_| format!("{text:?} is no address, expected one such as 192.0.2.7"))?;
            PartValue::Text(digest.address(network(address)))
        }
        _ => PartValue::Text(digest.text(text)),
    })
}

const METHODS: [(&str, Method); 7] = [
    ("GET", Method::Get),
    ("HEAD", Method::Head),
    ("POST", Method::Post),
    ("PUT", Method::Put),
    ("PATCH", Method::Patch),
    ("DELETE", Method::Delete),
    ("OPTIONS", Method::Options),
];

const CHANNELS: [listeners::Channel; 3] = [
    listeners::Channel::Web,
    listeners::Channel::App,
    listeners::Channel::Pos,
];

/// What counts as one client: an IPv4 address, or the /64 of an IPv6 one.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(bits))
        }
        v4 => v4,
    }
}

/// As `guard` tells methods apart.
#[must_use]
pub fn method(method: routes::Method) -> Method {
    match method {
        routes::Method::Get => Method::Get,
        routes::Method::Head => Method::Head,
        routes::Method::Post => Method::Post,
        routes::Method::Put => Method::Put,
        routes::Method::Patch => Method::Patch,
        routes::Method::Delete => Method::Delete,
        routes::Method::Options => Method::Options,
    }
}

#[must_use]
pub fn channel(channel: listeners::Channel) -> Channel {
    match channel {
        listeners::Channel::Web => Channel::Web,
        listeners::Channel::App => Channel::App,
        listeners::Channel::Pos => Channel::Pos,
    }
}

#[must_use]
pub fn class(class: routes::Class) -> Class {
    match class {
        routes::Class::Pay => Class::Pay,
        routes::Class::Order => Class::Order,
        routes::Class::Cart => Class::Cart,
        routes::Class::Product => Class::Product,
        routes::Class::Search => Class::Search,
        routes::Class::Optional => Class::Optional,
    }
}

fn percent(share: f64) -> u8 {
    (share * 100.0).round().clamp(0.0, 100.0) as u8
}
