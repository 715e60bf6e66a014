//! Routes that no request can reach, because an earlier one takes all that would fit.
//!
//! Only one earlier route at a time is compared: two that cover a third only together are not
//! found.

use super::Gateway;
use super::listeners::HeaderValue;
use super::routes::{PathMatch, Route, RouteMatch};
use super::scalar::template_part;
use super::source::{Source, joined};

pub fn routes(source: &mut Source, gateway: &Gateway) {
    for (index, route) in gateway.routes.iter().enumerate() {
        // What a match without its wrong part would take says nothing.
        let readable = |route: &Route| !source.troubled(&joined(&route.at, "match"));
        let mut earlier = gateway.routes[..index]
            .iter()
            .filter(|other| readable(other));
        let covers = |other: &&Route| covers(&other.r#match, &route.r#match);
        if let Some(first) = earlier.find(covers).filter(|_| readable(route)) {
            let what = format!(
                "no request reaches route {:?}: the earlier {:?} takes all that would fit",
                route.name, first.name
            );
            source.problem(&joined(&route.at, "match"), what);
        }
    }
}

/// Whether all that fits `later` fits `earlier`.
#[must_use]
pub fn covers(earlier: &RouteMatch, later: &RouteMatch) -> bool {
    hosts(&earlier.hosts, &later.hosts)
        && (earlier.methods.is_empty()
            || !later.methods.is_empty()
                && later.methods.iter().all(|m| earlier.methods.contains(m)))
        && earlier
            .headers
            .iter()
            .all(|header| implied(header, &later.headers))
        && path(earlier.path.as_ref(), later.path.as_ref())
}

fn hosts(earlier: &[String], later: &[String]) -> bool {
    let one = |later: &String| earlier.iter().any(|earlier| host(earlier, later));
    earlier.is_empty() || !later.is_empty() && later.iter().all(one)
}

fn host(earlier: &str, later: &str) -> bool {
    if earlier == later {
        return true;
    }
    let Some(domain) = earlier.strip_prefix('*') else {
        return false;
    };
    // `*.a` covers `b.a` and `*.b.a`, not `a`.
    later.len() > domain.len() && later.ends_with(domain)
}

fn implied(header: &HeaderValue, later: &[HeaderValue]) -> bool {
    later.iter().any(|other| {
        other.name == header.name && (header.value.is_none() || header.value == other.value)
    })
}

fn path(earlier: Option<&PathMatch>, later: Option<&PathMatch>) -> bool {
    let Some(earlier) = earlier else {
        return true;
    };
    if matches!(earlier, PathMatch::Prefix(prefix) if prefix == "/") {
        return true;
    }
    let Some(later) = later else {
        return false;
    };
    match (earlier, later) {
        (PathMatch::Exact(a), PathMatch::Exact(b)) => a == b,
        (PathMatch::Exact(_), _) => false,
        (PathMatch::Prefix(a), PathMatch::Exact(b) | PathMatch::Prefix(b)) => begins(a, b),
        // Named parts fit anything, so only what stands before them counts.
        (PathMatch::Prefix(a), PathMatch::Template(b)) => begins(a, b),
        (PathMatch::Template(a), PathMatch::Exact(b) | PathMatch::Template(b)) => template(a, b),
        (PathMatch::Template(_), PathMatch::Prefix(_)) => false,
    }
}

fn begins(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn template(earlier: &str, later: &str) -> bool {
    let mut later = later.split('/');
    let fits = earlier.split('/').all(|part| {
        later.next().is_some_and(|other| match template_part(part) {
            // A named part fits whatever is not empty.
            Some(_) => !other.is_empty(),
            None => part == other,
        })
    });
    fits && later.next().is_none()
}
