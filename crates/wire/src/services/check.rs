//! What needs two values to be judged: names that are not there, cycles, core on degradable,
//! switches that would touch the core, and what nobody has decided yet.

use super::{Class, Sacrifice, Service, Services, TODO};
use crate::gateway::source::{Source, joined, near_word};
use crate::gateway::switches::Action;
use std::collections::{BTreeMap, BTreeSet};

pub fn services(source: &mut Source, file: &Services) {
    let mut names = BTreeMap::new();
    for service in &file.services {
        if names.insert(service.name.as_str(), service).is_some() {
            let what = format!("found {:?} twice, expected each name once", service.name);
            source.problem(&joined(&service.at, "name"), what);
        }
    }
    let mut entered = BTreeSet::new();
    for entry in &file.entries {
        known(source, &joined(&entry.at, "to"), &entry.to, &names);
        if !entered.insert((&entry.route, &entry.to)) {
            let what = format!("{:?} enters {:?} twice", entry.route, entry.to);
            source.problem(&entry.at, what);
        }
    }
    same_traffic(source, file);
    let mut switches = BTreeSet::new();
    for service in &file.services {
        open_questions(source, service);
        measured(source, service);
        grows(source, service);
        calls(source, file, service, &names);
        for sacrifice in &service.degrade {
            if !switches.insert(&sacrifice.name) {
                let what = format!("found {:?} twice, expected each name once", sacrifice.name);
                source.problem(&joined(&sacrifice.at, "name"), what);
            }
            gives_up(source, file, sacrifice, &names);
        }
    }
    cycles(source, file);
}

/// Requests that are counted for two routes would be planned for twice.
fn same_traffic(source: &mut Source, file: &Services) {
    let mut routes: BTreeMap<&str, &str> = BTreeMap::new();
    for entry in &file.entries {
        for name in &entry.traffic {
            let route = *routes.entry(name).or_insert(&entry.route);
            if route != entry.route {
                let what = format!("{name:?} is route {route:?} already");
                source.problem(&joined(&entry.at, "traffic"), what);
            }
        }
    }
}

type Names<'a> = BTreeMap<&'a str, &'a Service>;

fn known(source: &mut Source, path: &str, name: &str, names: &Names<'_>) {
    // One that could not be read may be the one that is meant.
    if names.contains_key(name) || source.has(&format!("services[{}]", names.len())) {
        return;
    }
    let near = near_word(name, names.keys().copied());
    let hint = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
    source.problem(
        path,
        format!("there is no service {name:?} in this file{hint}"),
    );
}

fn known_route(source: &mut Source, path: &str, route: &str, file: &Services) {
    let lost = source.has(&format!("entries[{}]", file.entries.len()));
    if !lost && !file.entries.iter().any(|entry| entry.route == route) {
        let what = format!("found {route:?}, expected a route of `entries`");
        source.problem(path, what);
    }
}

/// What `plan init` leaves to people.
fn open_questions(source: &mut Source, service: &Service) {
    if service.class == Class::Todo {
        let expected = "core, non-core or degradable: what is lost without it?";
        source.wrong(&joined(&service.at, "class"), TODO, expected);
    }
    if service.owner.trim() == TODO {
        let path = joined(&service.at, "owner");
        source.wrong(&path, TODO, "who answers for it");
    }
    if service.unmeasured.as_deref().map(str::trim) == Some(TODO) {
        let path = joined(&service.at, "unmeasured");
        source.wrong(&path, TODO, "reports, or why there are none");
    }
}

fn measured(source: &mut Source, service: &Service) {
    let at = |key: &str| joined(&service.at, key);
    for report in &service.reports {
        if !report.file.is_file() {
            let what = format!("{}: no such file", report.file.display());
            source.problem(&joined(&report.at, "file"), what);
        }
    }
    let told = !service.reports.is_empty() || source.has(&at("reports"));
    match (&service.third_party, told, &service.unmeasured) {
        (Some(_), true, _) => source.problem(
            &at("reports"),
            "it belongs to others: their quota counts, expected no reports",
        ),
        (None, false, None) if !source.has(&at("third_party")) => source.problem(
            &service.at,
            "neither reports nor unmeasured: expected one of them, or third_party",
        ),
        (None, true, Some(_)) => {
            source.problem(&at("unmeasured"), "there are reports, expected one of them")
        }
        _ => {}
    }
}

fn grows(source: &mut Source, service: &Service) {
    let Some(scaling) = &service.scaling else {
        return;
    };
    if service.third_party.is_some() {
        let what = "it belongs to others, expected no scaling: ask them for a quota";
        source.problem(&scaling.at, what);
    }
    if scaling.max < service.instances {
        let expected = format!("at least the {} that run now", service.instances);
        let path = joined(&scaling.at, "max");
        source.wrong(&path, &scaling.max.to_string(), &expected);
    }
}

fn calls(source: &mut Source, file: &Services, service: &Service, names: &Names<'_>) {
    let mut called = BTreeSet::new();
    for call in &service.calls {
        let path = joined(&call.at, "to");
        known(source, &path, &call.to, names);
        if call.to != service.name && !called.insert((&call.to, &call.routes)) {
            let what = format!("{:?} is called twice, expected once with the sum", call.to);
            source.problem(&path, what);
        }
        for (index, route) in call.routes.iter().enumerate() {
            known_route(source, &format!("{}.routes[{index}]", call.at), route, file);
        }
        let degradable = names
            .get(call.to.as_str())
            .is_some_and(|other| other.class == Class::Degradable);
        if service.class == Class::Core && degradable && !call.weak {
            let what = format!(
                "{:?} is core and depends on {:?}, which is degradable: make the call weak, or \
                 {:?} core",
                service.name, call.to, call.to
            );
            source.problem(&path, what);
        }
    }
}

fn gives_up(source: &mut Source, file: &Services, sacrifice: &Sacrifice, names: &Names<'_>) {
    let at = |key: &str| joined(&sacrifice.at, key);
    for (index, route) in sacrifice.routes.iter().enumerate() {
        known_route(source, &format!("{}[{index}]", at("routes")), route, file);
    }
    for (index, name) in sacrifice.skips.iter().enumerate() {
        let path = format!("{}[{index}]", at("skips"));
        known(source, &path, name, names);
        if names
            .get(name.as_str())
            .is_some_and(|one| one.class == Class::Core)
        {
            let what = format!("leaves out {name:?}, which is core");
            source.problem(&path, what);
        }
    }
    if sacrifice.action == Action::Shield {
        for (key, missing) in [
            ("feature", sacrifice.feature.is_none()),
            ("skips", sacrifice.skips.is_empty()),
        ] {
            if missing && !source.troubled(&at(key)) {
                let what = format!("{key:?} is missing: action shield needs it");
                source.problem(&sacrifice.at, what);
            }
        }
        return;
    }
    if sacrifice.routes.is_empty() && !source.troubled(&at("routes")) {
        let word = sacrifice.action.as_str();
        let what = format!("\"routes\" is missing: action {word} needs it");
        source.problem(&sacrifice.at, what);
    }
    for key in ["skips", "feature"] {
        if source.has(&at(key)) {
            source.problem(&at(key), "belongs to action shield");
        }
    }
    let core = |route: &&String| {
        file.entries
            .iter()
            .any(|entry| entry.core && entry.route == **route)
    };
    if let Some(route) = sacrifice.routes.iter().find(core) {
        let what = format!("gives up route {route:?}, which is core");
        source.problem(&at("routes"), what);
    }
    for (key, needed, given) in [
        (
            "file",
            matches!(sacrifice.action, Action::StaticPage | Action::Stub),
            sacrifice.file.is_some(),
        ),
        (
            "to",
            sacrifice.action == Action::Redirect,
            sacrifice.to.is_some(),
        ),
    ] {
        if needed && !given {
            let word = sacrifice.action.as_str();
            let what = format!("{key:?} is missing: action {word} needs it");
            source.problem(&sacrifice.at, what);
        }
    }
}

/// Every circle of calls once, at the call that closes it.
fn cycles(source: &mut Source, file: &Services) {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let by_name: Names<'_> = file
        .services
        .iter()
        .map(|service| (service.name.as_str(), service))
        .collect();
    for service in &file.services {
        // The way from `service` to here, each with the next call to look at.
        let mut way: Vec<(&Service, usize)> = vec![(service, 0)];
        while let Some((here, next)) = way.last_mut() {
            let Some(call) = here.calls.get(*next) else {
                done.insert(&here.name);
                way.pop();
                continue;
            };
            *next += 1;
            let Some(other) = by_name.get(call.to.as_str()) else {
                continue;
            };
            if let Some(from) = way.iter().position(|(one, _)| one.name == other.name) {
                let names: Vec<&str> = way[from..]
                    .iter()
                    .map(|(one, _)| one.name.as_str())
                    .chain([call.to.as_str()])
                    .collect();
                let what = format!("a cycle of calls: {}", names.join(" → "));
                source.problem(&joined(&call.at, "to"), what);
            } else if !done.contains(other.name.as_str()) {
                way.push((other, 0));
            }
        }
    }
}
