//! The brief of a campaign: every disagreement by table, the schema and the document as the reader
//! has them, and the bundled campaign.

use crate::campaign::{Campaign, keys};
use std::path::{Path, PathBuf};

const GOOD: &str = "\
version: 1
name: small
t0: 2026-11-11T00:00:00Z
catalogue: catalogue.csv
buyers: 100
demand: {curve: [[-1s, 10], [+2s, 100]]}
journeys: {before_t0: {browse: 1}, after_t0: {order: 1}}
owners: [{role: product, name: Ada, agreed: 2026-10-20T09:00:00Z}]
time_zone: Europe/Berlin
phases:
  - {name: eve, kind: warm_up, from: 2026-11-10T20:00:00Z, until: 2026-11-11T00:00:00Z}
  - {name: go, kind: opening, from: 2026-11-11T00:00:00Z, until: 2026-11-11T01:00:00Z}
  - {name: end, kind: tail, from: 2026-11-11T01:00:00Z, until: 2026-11-12T00:00:00Z}
products:
  - {sku: A, stock: 100, price: 999, limit: 2, promotion: {kind: price_off, price: 599}}
  - {sku: B, stock: 50, price: 500, limit: 1}
third_parties:
  - {name: pay, quota: 500/s, service_level: {availability: 0.999, p99: 800ms}}
expected:
  dau: {value: 5000, low: 4000, high: 9000, basis: last year and a quarter more}
  dat: {value: 900, basis: of a hundred who come eighteen try}
  orders: {value: 150, basis: the stock}
slos: [{route: POST /v1/orders, p99: 300ms, errors: 0.01}]
budget: {amount: 500000, currency: EUR}
on_call: [{role: shop, name: Bo, contact: '555',
  from: 2026-11-10T20:00:00Z, until: 2026-11-11T08:00:00Z}]
freeze:
  - {kind: releases, from: 2026-11-09T00:00:00Z, until: 2026-11-12T00:00:00Z}
  - {kind: sales, from: 2026-11-13T00:00:00Z, until: 2026-11-14T00:00:00Z}
earlier: [{name: spring, t0: 2026-05-01T00:00:00Z, series: spring.json}]
";

fn problems(text: &str) -> Vec<String> {
    match Campaign::parse(Path::new("c.yaml"), text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0.iter().map(ToString::to_string).collect(),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn a_brief_is_read() {
    let brief = Campaign::parse(Path::new("c.yaml"), GOOD).unwrap().brief;
    assert_eq!(brief.products.len(), 2);
    let dau = brief.expected.unwrap().dau.unwrap();
    assert_eq!(
        (dau.low, dau.value, dau.high),
        (Some(4000), 5000, Some(9000))
    );
    assert_eq!(brief.third_parties[0].quota.unwrap().per_second(), 500.0);
    assert_eq!(brief.earlier[0].series, Path::new("spring.json"));
}

#[test]
fn what_disagrees_is_told_with_its_line() {
    let rows = [
        (
            "quota: 500/s, ",
            "",
            "18: third_parties[0]: pay has no quota",
        ),
        (
            "price: 999, limit: 2,",
            "price: 999,",
            "15: products[0]: A has a stock of 100 and no limit",
        ),
        (
            "limit: 1}",
            "limit: 51}",
            "16: products[1].limit: found 51, expected from 1 to the stock, 50",
        ),
        (
            "sku: B",
            "sku: A",
            "16: products[1].sku: found \"A\" twice, expected each once",
        ),
        (
            "price: 599",
            "price: 999",
            "15: products[0].promotion.price: found 999, expected less",
        ),
        (
            "kind: tail",
            "kind: presale",
            "13: phases[2].kind: found presale after opening",
        ),
        (
            "from: 2026-11-11T01:00:00Z, until: 2026-11-12",
            "from: 2026-11-11T00:30:00Z, until: 2026-11-12",
            "13: phases[2].from: found 2026-11-11T00:30:00Z, expected 2026-11-11T01:00:00Z",
        ),
        (
            "until: 2026-11-12T00:00:00Z}\nproducts",
            "until: 2026-11-10T00:00:00Z}\nproducts",
            "13: phases[2].until: found 2026-11-10T00:00:00Z, expected later than from",
        ),
        (
            "t0: 2026-11-11T00:00:00Z",
            "t0: 2026-11-11T00:10:00Z",
            "12: phases[1].from: found",
        ),
        (
            "kind: opening, from: 2026-11-11T00:00:00Z",
            "kind: presale, from: 2026-11-11T00:30:00Z",
            "10: phases: found no phase at t0",
        ),
        (
            "{kind: sales, from: 2026-11-13",
            "{kind: sales, from: 2026-11-10",
            "29: freeze[1]: t0 lies inside a window in which nothing may be sold",
        ),
        (
            "until: 2026-11-12T00:00:00Z}\n  - {kind: sales",
            "until: 2026-11-10T00:00:00Z}\n  - {kind: sales",
            "27: freeze: releases are frozen, but not at t0",
        ),
        (
            "{kind: sales, from: 2026-11-13",
            "{kind: sales, from: 2026-11-11T12:00:00Z, until: 2026-11-14T00:00:00Z}\n  \
             - {kind: data, from: 2026-11-13",
            "29: freeze[1]: the phase \"end\" reaches into a window without sales",
        ),
        (
            "until: 2026-11-11T08:00:00Z",
            "until: 2026-11-10T23:00:00Z",
            "25: on_call: found nobody on call at t0",
        ),
        (
            "low: 4000",
            "low: 6000",
            "20: expected.dau: found 5000 outside 6000 to 9000",
        ),
        (
            "dat: {value: 900",
            "dat: {value: 90",
            "22: expected.orders: found 150 orders of 90",
        ),
        (
            "stock: 50",
            "stock: 49",
            "22: expected.orders: found 150 orders with 149 units",
        ),
        (
            "agreed: 2026-10-20",
            "agreed: 2026-12-20",
            "8: owners[0].agreed: found 2026-12-20T09:00:00Z",
        ),
        (
            "{route: POST /v1/orders, p99: 300ms, errors: 0.01}",
            "{route: x}",
            "23: slos[0]: found nothing that is promised",
        ),
        (
            "currency: EUR",
            "currency: eur",
            "24: budget.currency: found \"eur\"",
        ),
        (
            "Europe/Berlin",
            "Europe/Atlantis",
            "9: time_zone: found \"Europe/Atlantis\"",
        ),
        (
            "t0: 2026-05-01",
            "t0: 2026-12-01",
            "30: earlier[0].t0: found 2026-12-01T00:00:00Z",
        ),
        (
            "value: 5000",
            "value: -5",
            "20: expected.dau.value: found \"-5\"",
        ),
        (
            "basis: the stock",
            "bases: the stock",
            "22: expected.orders",
        ),
    ];
    assert_eq!(problems(GOOD), [""; 0]);
    for (from, to, expected) in rows {
        assert!(GOOD.contains(from), "{from}");
        let found = problems(&GOOD.replacen(from, to, 1));
        let expected = format!("c.yaml:{expected}");
        assert!(
            found.iter().any(|line| line.starts_with(&expected)),
            "{to}: {expected}\n{found:#?}"
        );
    }
}

#[test]
fn problems_of_all_parts_come_at_once() {
    let text = GOOD
        .replace("buyers: 100", "buyers: none")
        .replace("quota: 500/s, ", "")
        .replace("kind: tail", "kind: tale")
        .replace("budget:", "bugdet:");
    let found = problems(&text);
    let lines: Vec<&str> = found
        .iter()
        .filter_map(|line| line.split(':').nth(1))
        .collect();
    assert_eq!(lines, ["5", "13", "18", "24"], "{found:#?}");
}

#[test]
fn the_table_of_keys_is_what_the_reader_takes() {
    // The reader lists the keys it knows when it meets one that it does not.
    let found = problems(&format!("{GOOD}zzz: 1\n"));
    let (_, known) = found[0].split_once("expected ").unwrap();
    let mut known: Vec<&str> = known.split(", ").collect();
    let mut table: Vec<&str> = keys::ALL.keys.iter().map(|key| key.name()).collect();
    known.sort_unstable();
    table.sort_unstable();
    assert_eq!(known, table);
    for (part, wrong) in [
        (
            "journeys",
            "journeys: {zzz: 1, before_t0: {browse: 1}, after_t0: {order: 1}}",
        ),
        ("rehearsal", "rehearsal: {zzz: 1}"),
    ] {
        let text: String = GOOD
            .lines()
            .filter(|line| !line.starts_with(part))
            .fold(String::new(), |text, line| text + line + "\n");
        let found = problems(&format!("{text}{wrong}\n"));
        let unknown = found.iter().find(|line| line.contains(".zzz")).unwrap();
        for key in unknown.split_once("expected ").unwrap().1.split(", ") {
            assert!(
                keys::documented().contains(&format!("| `{key}` |")),
                "{key}"
            );
        }
    }
}

#[test]
fn schema_and_document_are_the_readers() {
    let path = root().join("schemas/campaign.json");
    let schema = std::fs::read_to_string(path).unwrap_or_default();
    let how = "seawall schema campaign > schemas/campaign.json";
    assert_eq!(schema, keys::schema_text(), "{how}");
    assert!(schema.contains("prefixItems"));
    let document = std::fs::read_to_string(root().join("docs/campaign.md")).unwrap_or_default();
    let how = "cargo run -p wire --example gateway_keys -- campaign";
    assert!(document.contains(keys::documented().trim()), "{how}");
}

#[test]
fn the_bundled_campaign_has_a_brief() {
    let campaign = Campaign::load(&root().join("examples/double11/campaign.yaml")).unwrap();
    let brief = campaign.brief;
    assert!(brief.phases.len() >= 4 && !brief.third_parties.is_empty());
    assert!(
        brief
            .expected
            .is_some_and(|expected| expected.dau.is_some())
    );
}
