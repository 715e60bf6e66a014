//! Which route a request takes: the first in order that fits.
//!
//! A request must not be compared with every route. Routes are filed by the first part of their
//! paths; those that fit any first part are filed with every group, in order, so that one look-up
//! gives the few that can fit, in the order of the file. Nothing is allocated for a request whose
//! path is plain. It must not know what happens on a route.

use super::path::{normal, parts, template_parts};
use crate::config::host::{HostRule, host_key};
use guard::RouteId;
use hyper::header::{HeaderMap, HeaderName};
use std::collections::HashMap;
use wire::gateway::listeners::HeaderValue as Wanted;
use wire::gateway::routes::{Method, PathMatch, Route};

/// What a request asks for, as far as routes look at it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Of the URL, or the `Host` header.
    pub host: &'a str,
    /// Without query, as it was sent.
    pub path: &'a str,
    pub method: &'a hyper::Method,
    pub headers: &'a HeaderMap,
}

#[derive(Clone, Debug, Default)]
pub struct Router {
    routes: Vec<Compiled>,
    /// First part of the path → routes that may fit, in order.
    by_part: HashMap<Box<str>, Box<[u16]>>,
    /// Routes that fit whatever the first part is.
    rest: Box<[u16]>,
}

#[derive(Clone, Debug)]
struct Compiled {
    hosts: Box<[HostRule]>,
    /// Bits of [`bit`]; all of them where no method is named.
    methods: u8,
    path: Path,
    headers: Box<[(HeaderName, Option<Box<str>>)]>,
}

#[derive(Clone, Debug)]
enum Path {
    Any,
    Exact(Box<str>),
    Prefix(Box<str>),
    /// `None` fits any part that is not empty.
    Template(Box<[Option<Box<str>>]>),
}

impl Router {
    /// Routes by their places, which are their [`RouteId`]s.
    #[must_use]
    pub fn new(routes: &[Route]) -> Router {
        let routes: Vec<Compiled> = routes.iter().map(Compiled::new).collect();
        let mut first_parts: Vec<&str> = routes.iter().filter_map(Compiled::first_part).collect();
        first_parts.sort_unstable();
        first_parts.dedup();
        let filed = |part: Option<&str>| -> Box<[u16]> {
            let fits = |route: &Compiled| match route.first_part() {
                None => true,
                own => own == part,
            };
            let places = routes.iter().enumerate().filter(|(_, route)| fits(route));
            // A configuration has at most a thousand routes.
            places
                .filter_map(|(place, _)| u16::try_from(place).ok())
                .collect()
        };
        let by_part = first_parts
            .iter()
            .map(|part| (Box::from(*part), filed(Some(part))));
        let by_part = by_part.collect();
        let rest = filed(None);
        Router {
            by_part,
            rest,
            routes,
        }
    }

    /// `None`: no route takes it.
    #[must_use]
    pub fn find(&self, asked: &Asked<'_>) -> Option<RouteId> {
        let path = normal(asked.path)?;
        let part = parts(&path).next().unwrap_or("");
        let candidates = self.by_part.get(part).unwrap_or(&self.rest);
        let mut fits = candidates.iter().filter(|place| {
            let route = self.routes.get(usize::from(**place));
            route.is_some_and(|route| route.fits(asked, &path))
        });
        fits.next().map(|place| RouteId(*place))
    }

    /// The same by looking at every route, for tests.
    #[cfg(test)]
    pub(super) fn find_slowly(&self, asked: &Asked<'_>) -> Option<RouteId> {
        let path = normal(asked.path)?;
        let place = self
            .routes
            .iter()
            .position(|route| route.fits(asked, &path))?;
        u16::try_from(place).ok().map(RouteId)
    }
}

impl Compiled {
    fn new(route: &Route) -> Compiled {
        let matcher = &route.r#match;
        let header = |wanted: &Wanted| {
            let name = HeaderName::from_bytes(wanted.name.as_bytes()).ok()?;
            Some((name, wanted.value.as_deref().map(Box::from)))
        };
        Compiled {
            hosts: matcher
                .hosts
                .iter()
                .map(|host| HostRule::new(host))
                .collect(),
            methods: match matcher.methods.iter().map(|method| bit(*method)).sum() {
                0 => u8::MAX,
                bits => bits,
            },
            path: match &matcher.path {
                None => Path::Any,
                Some(PathMatch::Prefix(prefix)) if prefix == "/" => Path::Any,
                Some(PathMatch::Exact(path)) => Path::Exact(normal_box(path)),
                Some(PathMatch::Prefix(path)) => Path::Prefix(normal_box(path)),
                Some(PathMatch::Template(path)) => Path::Template(
                    template_parts(path)
                        .map(|part| part.literal().map(normal_part))
                        .collect(),
                ),
            },
            headers: matcher.headers.iter().filter_map(header).collect(),
        }
    }

    /// The first part that a path must have.
    fn first_part(&self) -> Option<&str> {
        match &self.path {
            Path::Any => None,
            Path::Exact(path) | Path::Prefix(path) => Some(parts(path).next().unwrap_or("")),
            Path::Template(parts) => parts.first()?.as_deref(),
        }
    }

    fn fits(&self, asked: &Asked<'_>, path: &str) -> bool {
        self.methods & bit_asked(asked.method) != 0
            && self.path.fits(path)
            && (self.hosts.is_empty() || {
                let host = host_key(asked.host);
                self.hosts.iter().any(|rule| rule.fits(host))
            })
            && self.headers.iter().all(|(name, value)| {
                let mut there = asked.headers.get_all(name).iter();
                there.any(|found| {
                    value
                        .as_deref()
                        .is_none_or(|value| found.as_bytes() == value.as_bytes())
                })
            })
    }
}

impl Path {
    fn fits(&self, path: &str) -> bool {
        match self {
            Path::Any => true,
            Path::Exact(own) => **own == *path,
            Path::Prefix(own) => path
                .strip_prefix(&**own)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Path::Template(own) => {
                let mut found = parts(path);
                let all = own.iter().all(|own| {
                    found.next().is_some_and(|part| match own {
                        Some(literal) => **literal == *part,
                        None => !part.is_empty(),
                    })
                });
                all && found.next().is_none()
            }
        }
    }
}

fn normal_box(path: &str) -> Box<str> {
    // The check refuses paths that lead nowhere.
    normal(path).map_or_else(|| Box::from(path), |path| Box::from(&*path))
}

fn normal_part(part: &str) -> Box<str> {
    let whole = format!("/{part}");
    let normal = normal_box(&whole);
    normal
        .strip_prefix('/')
        .map_or_else(|| Box::from(part), Box::from)
}

fn bit(method: Method) -> u8 {
    match method {
        Method::Get => 1,
        Method::Head => 2,
        Method::Post => 4,
        Method::Put => 8,
        Method::Patch => 16,
        Method::Delete => 32,
        Method::Options => 64,
    }
}

/// Other methods fit only routes that name none.
fn bit_asked(method: &hyper::Method) -> u8 {
    match *method {
        hyper::Method::GET => bit(Method::Get),
        hyper::Method::HEAD => bit(Method::Head),
        hyper::Method::POST => bit(Method::Post),
        hyper::Method::PUT => bit(Method::Put),
        hyper::Method::PATCH => bit(Method::Patch),
        hyper::Method::DELETE => bit(Method::Delete),
        hyper::Method::OPTIONS => bit(Method::Options),
        _ => 128,
    }
}
