//! Descriptors of Envoy as the door describes a request: which entry says what.
//!
//! Each descriptor is one description. Route, method, channel and class belong to the request, so
//! a descriptor that does not say them takes them from the others.

use crate::limits::{ENTRY_NAMES_MAX, HITS_MAX};
use crate::message::{Descriptor, Entry, Override, Request, Unit};
use gateway::config::network;
use gateway::door::Terms;
use guard::{Channel, Class, Description, Facts, Limit, Method, Nanos, RouteId};
use hyper::header::HeaderName;
use std::net::IpAddr;
use std::str::FromStr;

/// A route that no rule names, so that rules about routes leave it alone.
const NO_ROUTE: RouteId = RouteId(u16::MAX);

/// What an entry says about the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    Buyer,
    Device,
    /// An address, or one with its mask.
    Address,
    ApiKey,
    Sku,
    /// The name of a route of gateway.yaml; its class comes with it.
    Route,
    Method,
    Channel,
    Class,
    Header(HeaderName),
}

/// Entries by key, besides the well-known ones and in place of them.
#[derive(Clone, Debug, Default)]
pub struct Entries(Vec<(String, Attribute)>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryProblem {
    #[error(
        "{0:?}: expected KEY=ATTRIBUTE, with one of buyer, device, address, api_key, sku, route, \
         method, channel, class, header:NAME"
    )]
    Form(String),
    #[error("{0:?} stands there twice")]
    Twice(String),
    #[error("more than {ENTRY_NAMES_MAX} entries")]
    TooMany,
}

impl Entries {
    /// From lines such as `user_id=buyer` or `tenant=header:x-tenant`.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Entries, EntryProblem> {
        let mut entries = Vec::new();
        for line in lines {
            let wrong = || EntryProblem::Form(line.to_owned());
            let (key, attribute) = line.split_once('=').ok_or_else(wrong)?;
            if key.is_empty() {
                return Err(wrong());
            }
            if entries.iter().any(|(known, _)| known == key) {
                return Err(EntryProblem::Twice(key.to_owned()));
            }
            let attribute = attribute.parse().map_err(|()| wrong())?;
            entries.push((key.to_owned(), attribute));
            if entries.len() > ENTRY_NAMES_MAX {
                return Err(EntryProblem::TooMany);
            }
        }
        Ok(Entries(entries))
    }

    fn of(&self, key: &str) -> Option<Attribute> {
        let own = self.0.iter().find(|(own, _)| own == key);
        own.map(|(_, attribute)| attribute.clone())
            .or_else(|| well_known(key))
    }
}

impl FromStr for Attribute {
    type Err = ();
    fn from_str(text: &str) -> Result<Attribute, ()> {
        Ok(match text {
            "buyer" => Attribute::Buyer,
            "device" => Attribute::Device,
            "address" => Attribute::Address,
            "api_key" => Attribute::ApiKey,
            "sku" => Attribute::Sku,
            "route" => Attribute::Route,
            "method" => Attribute::Method,
            "channel" => Attribute::Channel,
            "class" => Attribute::Class,
            _ => {
                let name = text.strip_prefix("header:").ok_or(())?;
                Attribute::Header(HeaderName::from_str(name).map_err(|_| ())?)
            }
        })
    }
}

/// Keys that Envoy's own actions write, and the names of our attributes.
fn well_known(key: &str) -> Option<Attribute> {
    match key {
        "remote_address" | "masked_remote_address" => Some(Attribute::Address),
        // What the operator called the place of the action: the route.
        "generic_key" | "header_match" => Some(Attribute::Route),
        _ => match key.strip_prefix("header_") {
            Some(name) => HeaderName::from_str(name).ok().map(Attribute::Header),
            None => key.parse().ok(),
        },
    }
}

/// What one descriptor says; what it does not say is `None`.
#[derive(Clone, Copy, Default)]
struct Said {
    route: Option<RouteId>,
    method: Option<Method>,
    channel: Option<Channel>,
    class: Option<Class>,
    facts: Facts,
}

/// A request's descriptors as descriptions, in their places. Also how many entries said nothing
/// that the rules could know.
pub(crate) fn describe(
    request: &Request,
    entries: &Entries,
    terms: &Terms<'_>,
) -> (Vec<Description>, u64) {
    let mut unknown = 0;
    let said: Vec<Said> = request
        .descriptors
        .iter()
        .map(|descriptor| {
            let mut said = Said::default();
            for entry in &descriptor.entries {
                let known = said.note(entry, entries, terms);
                unknown += u64::from(!known);
            }
            said
        })
        .collect();
    let all = said.iter().fold(Said::default(), |all, one| Said {
        route: all.route.or(one.route),
        method: all.method.or(one.method),
        channel: all.channel.or(one.channel),
        class: all.class.or(one.class),
        ..all
    });
    let described = said.iter().zip(&request.descriptors);
    let described = described.map(|(one, descriptor)| Description {
        facts: one.facts(&all, terms),
        hits: hits(request, descriptor),
        instead: descriptor.limit.as_ref().and_then(instead),
    });
    (described.collect(), unknown)
}

impl Said {
    /// `false`: the entry says nothing that the rules could know.
    fn note(&mut self, entry: &Entry, entries: &Entries, terms: &Terms<'_>) -> bool {
        let Some(attribute) = entries.of(&entry.key) else {
            return false;
        };
        let (facts, value) = (&mut self.facts, entry.value.as_str());
        let text = Some(terms.digest.text(value));
        match attribute {
            Attribute::Buyer => facts.buyer = text,
            Attribute::Device => facts.device = text,
            Attribute::ApiKey => facts.api_key = text,
            Attribute::Sku => facts.sku = text,
            Attribute::Address => {
                let address = value.split_once('/').map_or(value, |(address, _)| address);
                let Ok(address) = address.parse::<IpAddr>() else {
                    return false;
                };
                facts.address = Some(terms.digest.address(network(address)));
            }
            Attribute::Header(name) => {
                let place = terms.key_headers.iter().position(|known| *known == name);
                let Some(place) = place.and_then(|place| facts.headers.get_mut(place)) else {
                    return false;
                };
                *place = text;
            }
            Attribute::Route => {
                let place = terms.routes.iter().position(|route| route.name == value);
                let place = place.and_then(|place| u16::try_from(place).ok());
                let Some(place) = place else { return false };
                self.route = Some(RouteId(place));
            }
            Attribute::Method => self.method = Some(method(value)),
            Attribute::Channel => return keep(&mut self.channel, channel(value)),
            Attribute::Class => return keep(&mut self.class, class(value)),
        }
        true
    }

    fn facts(&self, all: &Said, terms: &Terms<'_>) -> Facts {
        let route = self.route.or(all.route);
        let of_route = route.and_then(|route| terms.routes.get(usize::from(route.0)));
        let class = self.class.or(all.class);
        Facts {
            route: route.unwrap_or(NO_ROUTE),
            method: self.method.or(all.method).unwrap_or(Method::Other),
            channel: self.channel.or(all.channel).unwrap_or_default(),
            class: class
                .or(of_route.map(|route| route.class))
                .unwrap_or_default(),
            ..self.facts
        }
    }
}

fn keep<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    let known = value.is_some();
    *place = value.or(place.take());
    known
}

fn method(word: &str) -> Method {
    match word {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        _ => Method::Other,
    }
}

fn channel(word: &str) -> Option<Channel> {
    match word {
        "web" => Some(Channel::Web),
        "app" => Some(Channel::App),
        "pos" => Some(Channel::Pos),
        _ => None,
    }
}

fn class(word: &str) -> Option<Class> {
    match word {
        "pay" => Some(Class::Pay),
        "order" => Some(Class::Order),
        "cart" => Some(Class::Cart),
        "product" => Some(Class::Product),
        "search" => Some(Class::Search),
        "optional" => Some(Class::Optional),
        _ => None,
    }
}

fn hits(request: &Request, descriptor: &Descriptor) -> u32 {
    match descriptor.hits_addend {
        Some(own) => u32::try_from(own.value)
            .unwrap_or(u32::MAX)
            .min(HITS_MAX + 1),
        None => request.hits_addend.clamp(1, HITS_MAX + 1),
    }
}

/// As many as there may be in a unit may come at once: that is what a window allows.
fn instead(written: &Override) -> Option<Limit> {
    let seconds = match written.unit() {
        Unit::Unknown => return None,
        Unit::Second => 1,
        Unit::Minute => 60,
        Unit::Hour => 3_600,
        Unit::Day => 86_400,
        Unit::Week => 7 * 86_400,
        Unit::Month => 30 * 86_400,
        Unit::Year => 365 * 86_400,
    };
    let count = written
        .requests_per_unit
        .min(guard::limits::BURST_REQUESTS_MAX);
    Some(Limit::Rate {
        count,
        period: Nanos::from_secs(seconds),
        burst: count,
    })
}
