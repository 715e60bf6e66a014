//! What needs two values to be judged: names that are used and not there, spans that end before
//! they begin, placeholders that mean nothing.

use super::faults::What;
use super::{BANK, Fault, Payment, Protocol, Rehearsal, SHOP, Span, Subject, filled, offset};
use crate::gateway::source::{Source, joined, near_word};

pub fn rehearsal(source: &mut Source, rehearsal: &Rehearsal) {
    match &rehearsal.subject {
        Subject::Shop(_) => {
            if let Some(load) = &rehearsal.load {
                source.problem(&load.at, "a shop's load is its campaign's; leave it out");
            }
            if let Some(one) = rehearsal.upstreams.first() {
                let what = "a shop has the one upstream `bank`; leave it out, and see \
                            subject.shop.payment";
                source.problem(&one.at, what);
            }
        }
        Subject::Services(_) if rehearsal.load.is_none() && !source.has("load") => {
            source.problem(
                "",
                "\"load\" is missing: services get no buyers by themselves",
            );
        }
        Subject::Services(_) => {}
    }
    names(source, rehearsal);
    placeholders(source, rehearsal);
    phases(source, rehearsal);
    for fault in &rehearsal.faults {
        fault_itself(source, rehearsal, fault);
    }
    expectations(source, rehearsal);
}

fn names(source: &mut Source, rehearsal: &Rehearsal) {
    if let Subject::Services(services) = &rehearsal.subject {
        once(source, services.iter().map(|one| (&*one.name, &*one.at)));
    }
    let upstreams = rehearsal.upstreams.iter();
    once(source, upstreams.map(|one| (&*one.name, &*one.at)));
    let phases = rehearsal.phases.iter();
    once(source, phases.map(|one| (&*one.name, &*one.at)));
    let faults = rehearsal.faults.iter();
    once(source, faults.map(|one| (&*one.name, &*one.at)));
}

fn once<'a>(source: &mut Source, all: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut seen: Vec<&str> = Vec::new();
    for (name, at) in all {
        if seen.contains(&name) {
            let what = format!("found {name:?} twice, expected each name once");
            source.problem(&joined(at, "name"), what);
        }
        seen.push(name);
    }
}

/// Names of upstreams that faults may stand on.
fn upstream_names(rehearsal: &Rehearsal) -> Vec<&str> {
    match &rehearsal.subject {
        Subject::Shop(shop) if shop.payment == Payment::Bank => vec![BANK],
        Subject::Shop(_) => Vec::new(),
        Subject::Services(_) => rehearsal.upstreams.iter().map(|one| &*one.name).collect(),
    }
}

/// Names of processes that the runner has started.
fn process_names(rehearsal: &Rehearsal) -> Vec<&str> {
    match &rehearsal.subject {
        Subject::Shop(shop) if shop.payment == Payment::Bank => vec![SHOP, BANK],
        Subject::Shop(_) => vec![SHOP],
        Subject::Services(services) => {
            let started = services.iter().filter(|one| !one.command.is_empty());
            started.map(|one| &*one.name).collect()
        }
    }
}

fn known(source: &mut Source, path: &str, name: &str, names: &[&str], what: &str) {
    if names.contains(&name) {
        return;
    }
    let hint = match near_word(name, names.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None if names.is_empty() => "there is none".to_owned(),
        None => format!("expected {}", names.join(", ")),
    };
    source.problem(path, format!("no {what} {name:?}, {hint}"));
}

fn placeholders(source: &mut Source, rehearsal: &Rehearsal) {
    let Subject::Services(services) = &rehearsal.subject else {
        return;
    };
    let is_service = |name: &str| services.iter().any(|one| one.name == name);
    let is_upstream = |name: &str| rehearsal.upstreams.iter().any(|one| one.name == name);
    // Any port will do: what is looked at is whether the text has a form.
    let all = |kind: &str, name: &str| match kind {
        "port" => is_service(name).then(|| "1".to_owned()),
        "upstream" => is_upstream(name).then(|| "127.0.0.1:1".to_owned()),
        _ => None,
    };
    let ports = |kind: &str, name: &str| all(kind, name).filter(|_| kind == "port");
    let mut found: Vec<(String, String)> = Vec::new();
    for one in services {
        for (index, word) in one.command.iter().enumerate() {
            if let Err(what) = filled(word, all) {
                found.push((format!("{}[{index}]", joined(&one.at, "command")), what));
            }
        }
        for (key, value) in one.env.iter() {
            if let Err(what) = filled(value, all) {
                found.push((joined(&joined(&one.at, "env"), key), what));
            }
        }
        let ready = filled(&one.ready, all).and_then(|url| http(&url));
        found.extend(ready.err().map(|what| (joined(&one.at, "ready"), what)));
    }
    for one in &rehearsal.upstreams {
        let address = filled(&one.address, ports).and_then(|text| {
            let parsed: Result<std::net::SocketAddr, _> = text.parse();
            let wrong = |_| format!("found {text:?}, expected an address such as 127.0.0.1:9000");
            parsed.map_err(wrong)
        });
        found.extend(address.err().map(|what| (joined(&one.at, "address"), what)));
    }
    if let Some(load) = &rehearsal.load
        && let Some(url) = &load.url
    {
        let url = filled(url, all).and_then(|url| http(&url));
        found.extend(url.err().map(|what| (joined(&load.at, "url"), what)));
    }
    for (path, what) in found {
        source.problem(&path, what);
    }
}

fn http(url: &str) -> Result<(), String> {
    let rest = url.strip_prefix("http://").or(url.strip_prefix("https://"));
    match rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) {
        true => Ok(()),
        false => Err(format!(
            "found {url:?}, expected a URL such as http://127.0.0.1:8080/"
        )),
    }
}

fn instant(source: &mut Source, path: &str, text: &str) -> Option<i64> {
    let read = offset(text);
    if read.is_none() {
        source.wrong(
            path,
            &format!("{text:?}"),
            "an offset such as +20s, -5s or 300ms",
        );
    }
    read
}

fn phases(source: &mut Source, rehearsal: &Rehearsal) {
    for phase in &rehearsal.phases {
        let from = instant(source, &joined(&phase.at, "from"), &phase.from);
        let to = instant(source, &joined(&phase.at, "to"), &phase.to);
        if let (Some(from), Some(to)) = (from, to)
            && to < from + 1_000
        {
            let found = format!("{:?}", phase.to);
            source.wrong(
                &joined(&phase.at, "to"),
                &found,
                "at least a second after `from`",
            );
        }
    }
}

fn fault_itself(source: &mut Source, rehearsal: &Rehearsal, fault: &Fault) {
    instant(source, &joined(&fault.at, "from"), &fault.from);
    let here = joined(&fault.at, "what");
    if let Some(name) = fault.what.upstream() {
        let names = upstream_names(rehearsal);
        known(source, &here, name, &names, "upstream");
        let http = matches!(rehearsal.subject, Subject::Shop(_))
            || rehearsal
                .upstreams
                .iter()
                .any(|one| one.name == name && one.protocol == Protocol::Http);
        if matches!(fault.what, What::Error(_)) && !http && names.contains(&name) {
            source.problem(&here, "an error needs an upstream whose protocol is http");
        }
    }
    if let Some(name) = fault.what.process() {
        known(
            source,
            &here,
            name,
            &process_names(rehearsal),
            "process with a command",
        );
    }
    match (&fault.what, fault.r#for) {
        (What::Kill(kill), _) if !kill.restart && kill.process == SHOP => {
            source.problem(
                &here,
                "a shop that is not started again has no books to audit",
            );
        }
        (What::Kill(_), _) | (_, Some(_)) => {}
        (_, None) => {
            source.problem(&fault.at, "\"for\" is missing: how long the fault lasts");
        }
    }
}

fn expectations(source: &mut Source, rehearsal: &Rehearsal) {
    let faults: Vec<&str> = rehearsal.faults.iter().map(|one| &*one.name).collect();
    let phases: Vec<&str> = rehearsal.phases.iter().map(|one| &*one.name).collect();
    for one in &rehearsal.expectations {
        let path = joined(&one.at, "in");
        match &one.r#in {
            Span::Phase(name) => known(source, &path, name, &phases, "phase"),
            Span::Before(name) | Span::During(name) | Span::After(name) => {
                known(source, &path, name, &faults, "fault");
            }
            Span::Recovery(recovery) => known(source, &path, &recovery.fault, &faults, "fault"),
        }
        let path = joined(&one.at, "thresholds");
        let none = one.thresholds.0.is_empty();
        if (none || one.thresholds.iter().any(|(_, rules)| rules.is_empty()))
            && !source.troubled(&path)
        {
            source.wrong(&path, "none", "at least one threshold");
        }
    }
}
