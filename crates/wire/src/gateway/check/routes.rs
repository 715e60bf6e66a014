//! Checks of routes and of pages that are rendered ahead.

use super::pools::ms;
use super::{Known, file, named, once, refer};
use crate::gateway::routes::{
    Cache, CacheMode, Method, PathMatch, Prerendered, Route, RouteMatch, SkuFrom, Target,
};
use crate::gateway::scalar::{shown_bytes, template_part};
use crate::gateway::source::{Source, joined};
use crate::gateway::{Context, Gateway, shadow};

pub fn routes(source: &mut Source, gateway: &Gateway, known: &Known, context: &Context) {
    once(source, gateway.routes.iter().map(|r| named(&r.at, &r.name)));
    let largest = gateway.listeners.iter().map(|l| l.limits.body_bytes).max();
    for route in &gateway.routes {
        target(source, route, known, context);
        matcher(source, &route.r#match);
        sku(source, route);
        if let Some(room) = &route.waiting_room {
            let path = joined(&route.at, "waiting_room");
            refer(source, &path, room, "waiting room", &known.rooms);
        }
        if let Some(cache) = &route.cache {
            cached(source, route, cache);
        }
        if let (Some(own), Some(largest)) = (route.body_bytes, largest)
            && own > largest
        {
            let most = format!("at most a listener's body_bytes, {}", shown_bytes(largest));
            source.wrong(&joined(&route.at, "body_bytes"), &shown_bytes(own), &most);
        }
        if route.retry_with_key && route.idempotency_header.is_none() {
            let what = "needs the route's idempotency_header, which is missing";
            source.problem(&joined(&route.at, "retry_with_key"), what);
        }
        let times = &route.timeouts;
        if let (Some(head), Some(total)) = (times.head, times.total)
            && head > total
        {
            let most = format!("at most the total, {}", ms(total));
            source.wrong(&joined(&route.at, "timeouts.head"), &ms(head), &most);
        }
        let features = route.features.iter().enumerate();
        once(
            source,
            features.map(|(i, f)| (format!("{}.features[{i}]", route.at), f.clone())),
        );
    }
}

fn target(source: &mut Source, route: &Route, known: &Known, context: &Context) {
    match &route.target {
        Target::Upstream(name) => {
            let path = joined(&route.at, "target.upstream");
            refer(source, &path, name, "upstream", &known.upstreams);
        }
        Target::Service(name) => {
            if let Some(services) = &context.services {
                let path = joined(&route.at, "target.service");
                refer(source, &path, name, "service", services);
            }
        }
        Target::Static(page) => {
            file(source, &joined(&page.at, "file"), &page.file, None);
        }
        Target::Redirect(redirect) => {
            if matches!(redirect.status, 304..=306) {
                let found = redirect.status.to_string();
                let path = joined(&redirect.at, "status");
                source.wrong(&path, &found, "301, 302, 303, 307 or 308");
            }
        }
    }
}

fn matcher(source: &mut Source, matcher: &RouteMatch) {
    if let Some(PathMatch::Prefix(prefix)) = &matcher.path
        && prefix.len() > 1
        && prefix.ends_with('/')
    {
        let expected = format!(
            "{:?}: a prefix is whole parts",
            prefix.trim_end_matches('/')
        );
        source.wrong(
            &joined(&matcher.at, "path.prefix"),
            &format!("{prefix:?}"),
            &expected,
        );
    }
    let Some(PathMatch::Exact(path) | PathMatch::Prefix(path) | PathMatch::Template(path)) =
        &matcher.path
    else {
        return;
    };
    let odd = |part: &str| part == "." || part == "..";
    if path.split('/').any(odd) || path.contains("//") {
        let at = joined(&matcher.at, "path");
        source.wrong(
            &at,
            &format!("{path:?}"),
            "a path without \"//\", \"/./\" and \"/../\"",
        );
    }
}

fn sku(source: &mut Source, route: &Route) {
    let Some(SkuFrom::Path(name)) = &route.sku else {
        return;
    };
    let there = match &route.r#match.path {
        Some(PathMatch::Template(template)) => template
            .split('/')
            .filter_map(template_part)
            .any(|part| part == name),
        _ => false,
    };
    let troubled = source.troubled(&joined(&route.at, "match.path"));
    if !there && !troubled {
        let expected = format!("a template with {{{name}}} as the route's path");
        source.wrong(
            &joined(&route.at, "sku.path"),
            &format!("{name:?}"),
            &expected,
        );
    }
}

fn cached(source: &mut Source, route: &Route, cache: &Cache) {
    let methods = &route.r#match.methods;
    let read = |method: &Method| matches!(method, Method::Get | Method::Head);
    if !methods.is_empty() && !methods.iter().any(read) {
        let what = "keeps answers of a route without GET or HEAD, expected none";
        source.problem(&cache.at, what);
    }
    match (cache.mode, cache.ttl) {
        (CacheMode::Fixed, None) => {
            source.problem(&cache.at, "\"ttl\" is missing: mode fixed needs it");
        }
        (CacheMode::Standard, Some(_)) => {
            let path = joined(&cache.at, "ttl");
            source.problem(
                &path,
                "mode standard goes by headers, expected mode fixed or no ttl",
            );
        }
        _ => {}
    }
}

pub fn prerendered(source: &mut Source, gateway: &Gateway) {
    once(
        source,
        gateway.prerendered.iter().map(|p| named(&p.at, &p.name)),
    );
    for page in &gateway.prerendered {
        let mut readable = gateway
            .routes
            .iter()
            .filter(|r| !source.troubled(&joined(&r.at, "match")));
        let route = readable.find(|route| leads(route, page));
        let path = joined(&page.at, "path");
        match route {
            None if source.troubled("routes") => {}
            None => source.problem(&path, format!("no route takes GET {}", page.path)),
            Some(route) if route.cache.is_none() => {
                let what = format!("route {:?} has no cache to keep the page in", route.name);
                source.problem(&path, what);
            }
            Some(_) => {}
        }
        if page.age_max < page.every {
            let least = format!("at least every, {}", ms(page.every));
            source.wrong(&joined(&page.at, "age_max"), &ms(page.age_max), &least);
        }
    }
}

/// Whether the page's own request takes this route.
fn leads(route: &Route, page: &Prerendered) -> bool {
    let as_match = RouteMatch {
        at: String::new(),
        hosts: page.host.iter().cloned().collect(),
        path: Some(PathMatch::Exact(page.path.clone())),
        methods: vec![Method::Get],
        headers: Vec::new(),
    };
    shadow::covers(&route.r#match, &as_match)
}
