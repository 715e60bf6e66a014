//! The contract by examples: every mistake with its message and line.

use super::*;
use std::fs;

/// Every key once.
const WHOLE: &str = r#"version: 1
currency: EUR
safety_factor: 1.5
valid_for: 14d
door: {instances: 2, skew: 1.1}
entries:
  - {route: order, traffic: [POST /v1/orders], to: checkout, per_request: 1, cache_hit: 0}
  - {route: product, to: pages, cache_hit: 0.5, core: false}
services:
  - name: checkout
    class: core
    owner: payments team
    risk: {impact: 5, likelihood: 2, single_points: [one database]}
    instances: 3
    zones: 3
    skew: 1.2
    build: 1.4.0
    unmeasured: the rehearsal is next week
    scaling: {max: 12, lead_time: 10m, cost_per_hour: 0.4}
    workload: {kind: Deployment, namespace: shop, name: checkout}
    calls:
      - {to: bank, per_request: 1, cache_hit: 0, weak: false, routes: [order]}
  - name: bank
    class: core
    owner: The Bank
    third_party: {quota: 300/s, availability: 99.9}
  - name: pages
    class: non-core
    owner: storefront team
    reports: [{file: Cargo.toml, instances: 1}]
    calls:
      - {to: hints, weak: true}
    degrade:
      - name: no-hints
        action: shield
        feature: hints
        skips: [hints]
        frees: 1
        loss_per_hour: 20
        reason: hints are a luxury
        owner: catalogue team
        trigger: {metric: cpu, above: 0.8, below: 0.6}
        max_duration: 2h
      - {name: simple, action: redirect, routes: [product], to: /s, loss_per_hour: 9, reason: r}
      - {name: page, action: static_page, routes: [product], file: p.html, loss_per_hour: 9,
         reason: r}
  - {name: hints, class: degradable, owner: catalogue team, unmeasured: never needed}
"#;

fn said(text: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("services.yaml");
    match parse(&path, text) {
        Ok(_) => Vec::new(),
        Err(Problems(problems)) => problems
            .iter()
            .map(|one| format!("{} {}: {}", one.line, one.key, one.what))
            .collect(),
    }
}

/// Replaces one piece; what is said then.
#[track_caller]
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(WHOLE.contains(from), "{from:?} is not there");
    let found = said(&WHOLE.replacen(from, to, 1));
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{found:?} lacks {expected:?}");
    }
}

#[test]
fn the_whole_file_is_good() {
    assert_eq!(said(WHOLE), Vec::<String>::new());
}

#[test]
fn each_mistake_is_told_with_its_line() {
    let rows: &[(&str, &str, &[&str])] = &[
        (
            "class: core",
            "class: vital",
            &["11 services[0].class: found \"vital\", expected core, non-core"],
        ),
        (
            "instances: 3",
            "instances: -3",
            &["14 services[0].instances: found \"-3\", expected a whole number from 1"],
        ),
        (
            "loss_per_hour: 20",
            "loss_per_hour: -20",
            &["found \"-20\", expected a number from 0"],
        ),
        (
            "per_request: 1, cache_hit: 0, weak",
            "per_request: -1, cache_hit: 2, weak",
            &["found \"-1\"", "found \"2\", expected a number from 0 to 1"],
        ),
        (
            "{quota: 300/s, availability",
            "{availability",
            &["\"quota\" is missing: How much of it may be used."],
        ),
        (
            "file: Cargo.toml",
            "file: absent.json",
            &["absent.json: no such file"],
        ),
        (
            "    unmeasured: the rehearsal is next week\n",
            "",
            &["neither reports nor unmeasured"],
        ),
        (
            "owner: payments team",
            "owner: TODO",
            &["12 services[0].owner: found TODO, expected who answers"],
        ),
        (
            "class: core",
            "class: TODO",
            &["found TODO, expected core, non-core or degradable: what"],
        ),
        (
            "max: 12",
            "max: 2",
            &["found 2, expected at least the 3 that run now"],
        ),
        (
            "{to: bank,",
            "{to: bnak,",
            &["there is no service \"bnak\" in this file; did you mean \"bank\"?"],
        ),
        (
            "routes: [order]}",
            "routes: [oder]}",
            &["found \"oder\", expected a route of `entries`"],
        ),
        (
            "skips: [hints]",
            "skips: [checkout]",
            &["leaves out \"checkout\", which is core"],
        ),
        (
            "routes: [product], to",
            "routes: [order], to",
            &["gives up route \"order\", which is core"],
        ),
        (
            "file: p.html, ",
            "",
            &["\"file\" is missing: action static_page needs it"],
        ),
        (
            "- name: pages",
            "- name: checkout",
            &["found \"checkout\" twice"],
        ),
    ];
    for (from, to, expected) in rows {
        check(from, to, expected);
    }
}

#[test]
fn core_must_not_lean_on_what_may_go() {
    let leans = "class: core\n    owner: storefront team";
    let from = "class: non-core\n    owner: storefront team";
    let text = WHOLE.replacen(from, leans, 1);
    assert_eq!(said(&text), Vec::<String>::new(), "a weak call is no lean");
    let found = said(&text.replacen("{to: hints, weak: true}", "{to: hints}", 1));
    let wanted = "\"pages\" is core and depends on \"hints\", which is degradable";
    assert!(found.len() == 1 && found[0].contains(wanted), "{found:?}");
}

#[test]
fn each_cycle_is_told_once() {
    let back = "unmeasured: never needed, calls: [{to: pages}]";
    check(
        "unmeasured: never needed",
        back,
        &["a cycle of calls: pages → hints → pages"],
    );
    check(
        "{to: hints, weak: true}",
        "{to: pages, weak: true}",
        &["a cycle of calls: pages → pages"],
    );
}

#[test]
fn the_tables_schema_and_document_agree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let pinned = fs::read_to_string(root.join("schemas/services.json")).unwrap_or_default();
    assert!(
        pinned == schema_text(),
        "not what the reader goes by; `seawall schema services > schemas/services.json`"
    );
    let text = fs::read_to_string(root.join("docs/services.md")).unwrap_or_default();
    let tables = documented();
    assert!(text.contains(tables.trim_end()), "shall contain:\n{tables}");
    for map in [
        Services::SHAPE,
        Service::SHAPE,
        Sacrifice::SHAPE,
        Call::SHAPE,
    ] {
        for key in map.keys {
            assert!(key.about().ends_with('.'), "{}", key.name());
            assert!(
                WHOLE.contains(&format!("{}:", key.name())),
                "{}",
                key.name()
            );
        }
    }
}

proptest::proptest! {
    /// A good file with one line replaced by another of its own.
    #[test]
    fn no_shuffled_file_makes_it_panic(from in 0usize..90, to in 0usize..90) {
        let mut lines: Vec<&str> = WHOLE.lines().collect();
        let (from, to) = (from % lines.len(), to % lines.len());
        lines[to] = lines[from];
        said(&lines.join("\n"));
    }
}
