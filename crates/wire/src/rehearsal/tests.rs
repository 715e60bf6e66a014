//! The contract by examples: every mistake with its message and line.

use super::faults::{Bandwidth, Delay, Disconnect, Error, Fill, Kill, Stop};
use super::*;
use std::fs;

/// Every key once.
const WHOLE: &str = r#"version: 1
name: whole
about: Every key that there is.
subject:
  services:
    - name: web
      command: [./web, --port, "${port.web}", --bank, "${upstream.bank}"]
      env: {MODE: test}
      folder: /tmp
      ready: "http://127.0.0.1:${port.web}/healthz"
    - name: bank
      ready: http://127.0.0.1:9000/
load:
  scenario: scenario.yaml
  url: "http://127.0.0.1:${port.web}"
upstreams:
  - {name: bank, address: "127.0.0.1:9000", protocol: http, listen: "127.0.0.1:9001"}
phases:
  - {name: calm, from: 0s, to: +5s}
faults:
  - {name: slow, from: +5s, for: 2s, what: {delay:
     {upstream: bank, latency: 1s, jitter: 10ms, share: 0.5}}}
  - {name: wrong, from: 5s, for: 2s, what: {error: {upstream: bank, status: 500, path: /a*}}}
  - {name: silent, from: 5s, for: 2s, what: {hang: {upstream: bank}}}
  - {name: away, from: 5s, for: 2s, what: {disconnect: {upstream: bank, how: reset}}}
  - {name: thin, from: 5s, for: 2s, what: {bandwidth: {upstream: bank, per_second: 16KiB}}}
  - {name: still, from: 5s, for: 2s, what: {stop: {process: web}}}
  - {name: dead, from: 5s, what: {kill: {process: web, restart: false}}}
  - {name: full, from: 5s, for: 2s, what: {fill: {folder: /tmp, leave: 1MiB, anywhere: true}}}
expectations:
  - {name: a, in: {phase: calm}, thresholds: {http_req_failed: [rate<0.01]}}
  - {name: b, in: {before: slow}, thresholds: {http_req_failed: [rate<0.01]}}
  - {name: c, in: {during: slow}, thresholds: {http_req_failed: [rate<0.01]}}
  - {name: d, in: {after: slow}, thresholds: {http_req_failed: [rate<0.01]}}
  - {name: e, in: {recovery: {fault: slow, within: 5s, over: 2s}},
     thresholds: {http_reqs: [rate>1]}}
"#;

fn said(text: &str) -> Vec<String> {
    let read = match parse(Path::new("r.yaml"), text) {
        Ok(read) => read.settled(),
        Err(problems) => Err(problems),
    };
    let problems = read.err().map_or(Vec::new(), |problems| problems.0);
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn the_whole_one_is_good() {
    assert_eq!(said(WHOLE), Vec::<String>::new());
}

#[test]
fn a_shop_has_parts_of_its_own() {
    let shop = "version: 1\nname: s\nsubject: {shop: {campaign: c.yaml, payment: bank}}\nfaults:\n\
                \x20 - {name: k, from: +1s, what: {kill: {process: shop}}}\n\
                \x20 - {name: b, from: +2s, for: 1s, what: {disconnect: {upstream: bank}}}\n";
    assert_eq!(said(shop), Vec::<String>::new());
    let rows = [
        (
            ", payment: bank",
            "",
            ":6: faults[1].what: no upstream \"bank\", there is none",
        ),
        (
            "process: shop",
            "process: shop, restart: false",
            "has no books",
        ),
        (
            "faults:",
            "load: {scenario: s.yaml}\nfaults:",
            ":4: load: a shop's load",
        ),
        (
            "faults:",
            "upstreams: [{name: x, address: \"127.0.0.1:1\"}]\nfaults:",
            "the one upstream",
        ),
    ];
    for (from, to, wanted) in rows {
        let said = said(&shop.replacen(from, to, 1));
        assert!(
            said.iter().any(|line| line.contains(wanted)),
            "{to}: {said:#?}"
        );
    }
}

/// What stands there, what stands there instead, and what is said about it.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("version: 1", "version: 2", ":1: version: found \"2\""),
    (
        "name: whole",
        "nam: whole",
        ":2: nam: unknown key, did you mean \"name\"?",
    ),
    (
        "  services:",
        "  service:",
        ":5: subject.service: unknown key",
    ),
    (
        "- name: bank",
        "- name: web",
        ":11: subject.services[1].name: found \"web\" twice",
    ),
    (
        "${port.web}\", --bank",
        "${port.wob}\", --bank",
        ":7: subject.services[0].command[2]: ${port.wob}",
    ),
    (
        "${upstream.bank}",
        "${upstream.bank",
        ":7: subject.services[0].command[4]: \"${upstream",
    ),
    (
        "{MODE: test}",
        "{MODE: \"${x}\"}",
        ":8: subject.services[0].env.MODE: ${x} means nothing",
    ),
    (
        "http://127.0.0.1:9000/",
        "127.0.0.1:9000",
        ":12: subject.services[1].ready: found",
    ),
    (
        "load:\n  scenario: scenario.yaml\n  url",
        "notes:\n  scenario: scenario.yaml\n  url",
        "\"load\" is missing",
    ),
    (
        "\"127.0.0.1:9000\", p",
        "\"bank:9000\", p",
        ":17: upstreams[0].address: found \"bank:9000\"",
    ),
    (
        "protocol: http",
        "protocol: tcp",
        ":23: faults[1].what: an error needs an upstream",
    ),
    (
        "from: 0s, to: +5s",
        "from: +5s, to: +5s",
        ":19: phases[0].to: found \"+5s\"",
    ),
    (
        "from: +5s, for: 2s",
        "from: soon, for: 2s",
        ":21: faults[0].from: found \"soon\"",
    ),
    (
        "from: +5s, for: 2s",
        "from: +5s",
        ":21: faults[0]: \"for\" is missing",
    ),
    (
        "     {upstream: bank, l",
        "     {upstream: bonk, l",
        ":21: faults[0].what: no upstream \"bonk\", did you mean \"bank\"?",
    ),
    (
        "stop: {process: web}",
        "stop: {process: bank}",
        ":27: faults[5].what: no process with a command \"bank\"",
    ),
    (
        "name: wrong",
        "name: slow",
        ":23: faults[1].name: found \"slow\" twice",
    ),
    (
        "phase: calm",
        "phase: clam",
        ":31: expectations[0].in: no phase \"clam\", did you mean \"calm\"?",
    ),
    (
        "during: slow",
        "during: show",
        ":33: expectations[2].in: no fault \"show\"",
    ),
    (
        "fault: slow",
        "fault: gone",
        ":35: expectations[4].in: no fault \"gone\"",
    ),
    (
        "thresholds: {http_reqs: [rate>1]}",
        "thresholds: {}",
        ":36: expectations[4].thresholds: found none",
    ),
    (
        "in: {phase: calm}",
        "in: {phase: calm, before: slow}",
        "found phase and before",
    ),
];

#[test]
fn every_mistake_is_told_with_its_line() {
    for (from, to, wanted) in MISTAKES {
        assert!(WHOLE.contains(from), "{from}");
        let said = said(&WHOLE.replacen(from, to, 1));
        assert!(
            said.iter().any(|line| line.contains(wanted)),
            "{to}: {said:#?}\nexpected {wanted}"
        );
    }
}

#[test]
fn all_mistakes_come_at_once() {
    let text = WHOLE
        .replace("how: reset", "how: gently")
        .replace("phase: calm", "phase: storm")
        .replace("process: web}", "process: wub}");
    assert_eq!(said(&text).len(), 3, "{:#?}", said(&text));
}

#[test]
fn placeholders_are_filled_or_named() {
    let known = |kind: &str, name: &str| (kind == "port").then(|| format!("<{name}>"));
    assert_eq!(
        filled("a ${port.x}:${port.y}$", known).unwrap(),
        "a <x>:<y>$"
    );
    assert_eq!(
        filled("${ports.x}", known).unwrap_err(),
        "${ports.x} means nothing here"
    );
}

fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap().to_path_buf()
}

#[test]
fn the_schema_is_the_pinned_one() {
    let path = root().join("schemas/rehearsal.json");
    let pinned = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        pinned == schema_text(),
        "not what the reader goes by; `seawall schema rehearsal > schemas/rehearsal.json`"
    );
}

#[test]
fn the_document_has_every_key() {
    let text = fs::read_to_string(root().join("docs/rehearsal.md")).unwrap_or_default();
    let tables = documented();
    assert!(text.contains(tables.trim_end()), "shall contain:\n{tables}");
}

#[test]
fn every_key_of_the_tables_is_in_the_whole_one() {
    let mut missing = Vec::new();
    for map in [
        Rehearsal::SHAPE,
        Service::SHAPE,
        Load::SHAPE,
        Upstream::SHAPE,
        Phase::SHAPE,
        Fault::SHAPE,
        Expectation::SHAPE,
        Recovery::SHAPE,
        Span::SHAPE,
        What::SHAPE,
        Delay::SHAPE,
        Error::SHAPE,
        Disconnect::SHAPE,
        Bandwidth::SHAPE,
        Stop::SHAPE,
        Kill::SHAPE,
        Fill::SHAPE,
    ] {
        for key in map.keys {
            assert!(key.about().ends_with('.'), "{}", key.name());
            if !WHOLE.contains(&format!("{}:", key.name())) {
                missing.push(key.name());
            }
        }
    }
    assert_eq!(missing, Vec::<&str>::new());
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused(text in "[ -~\n]{0,300}") {
        said(&text);
    }

    /// A good file with one line replaced by another of its own.
    #[test]
    fn any_bytes_of_a_shuffled_file_are_taken_or_refused(from in 0usize..90, to in 0usize..90) {
        let mut lines: Vec<&str> = WHOLE.lines().collect();
        let (from, to) = (from % lines.len(), to % lines.len());
        lines[to] = lines[from];
        said(&lines.join("\n"));
    }
}
