//! The contract by examples: every mistake with its message and line.

use super::*;
use serde_json::Value;
use std::fs;

/// Every key once.
const WHOLE: &str = r#"version: 1
name: whole
about: Every key that there is.
target:
  url: https://shop.example:8443
  http: 2
  connections: new
  connections_max: 100
  streams: 50
  follow_redirects: 3
  timeout: 5s
  ca_file: ca.pem
load:
  spacing: poisson
  seed: 7
  shape:
    constant: {rate: 5, for: 10s}
feeders:
  - {name: people, file: people.csv, format: csv, order: once, columns: {email: email}}
setup: [warm]
teardown: [warm]
blocks:
  warm:
    - request: GET /warm
  round:
    - think: 1s
journeys:
  - name: buy
    weight: 2.5
    steps:
      - feed: people
      - set: {n: "1"}
      - when: n > 0
        request:
          name: order
          method: POST
          path: /orders
          headers: {x-a: b}
          json: {n: "${n}", list: [1, true, null, a]}
          timeout: 2s
          follow_redirects: 0
          expect: [201, 400-409]
          checks:
            - {name: id, json: /id, equals: "7"}
            - {is: status == 201}
            - {header: location}
            - {contains: id}
          extract:
            a: {json: /id}
            b: {css: b, attribute: id}
            c: {header: etag}
            d: {regex: "(a)"}
            e: {cookie: s}
            f: {status: true}
      - request: {path: /a, body: x}
      - request: {path: /b, form: {a: "1"}}
      - think: {from: 1s, to: 2s}
      - do: warm
      - do: {block: round, times: 2}
      - do: {block: round, while: n < 3, most: 5}
thresholds:
  http_req_failed:
    - rate<0.01
    - {threshold: rate<0.1, abortOnFail: true, delayAbortEval: 5s}
stop:
  - figures: {metric: http_req_failed, threshold: rate<0.1, over: 5s}
  - prometheus: {url: "http://127.0.0.1:9090", query: up, below: 1, for: 3s}
  - business: {url: "http://127.0.0.1:8081/metrics", counter: orders, below_per_min: 5, for: 10s}
"#;

fn said(text: &str) -> Vec<String> {
    let path = Path::new("s.yaml");
    let read = match parse(path, text) {
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

/// What stands there, what stands there instead, and what is said about it.
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "version: 1",
        "version: 2",
        ":1: version: found \"2\", expected a whole number",
    ),
    ("version: 1\n", "", ":1: \"version\" is missing"),
    (
        "name: whole",
        "nam: whole",
        ":2: nam: unknown key, did you mean \"name\"?",
    ),
    (
        "https://shop.example:8443",
        "https://shop.example/a",
        ":5: target.url: found",
    ),
    (
        "https://shop.example:8443",
        "shop.example",
        ":5: target.url: found",
    ),
    (
        "http: 2",
        "http: 3",
        ":6: target.http: found \"3\", expected 1, 2",
    ),
    (
        "http: 2",
        "http: 1",
        ":9: target.streams: found http 1, expected it only with http: 2",
    ),
    (
        "follow_redirects: 3",
        "follow_redirects: 21",
        "target.follow_redirects: found \"21\", expected a whole number from 0 to 20",
    ),
    (
        "timeout: 5s",
        "timeout: 5",
        ":11: target.timeout: found \"5\", expected a duration",
    ),
    (
        "rate: 5, for: 10s",
        "rate: 0, for: 10s",
        ":17: load.shape.constant: found a rate of 0",
    ),
    (
        "rate: 5, for: 10s",
        "rate: 5",
        ":17: load.shape.constant: \"for\" is missing",
    ),
    (
        "constant: {rate: 5, for: 10s}",
        "{}",
        "load.shape: found none of them, expected exactly one of constant, ramp, steps",
    ),
    (
        "constant: {rate: 5, for: 10s}",
        "curve: {points: [{time: 1s, rate: 1}, {time: 0s, rate: 1}]}",
        "points[0].time: found a later start, expected 0s",
    ),
    (
        "constant: {rate: 5, for: 10s}",
        "curve: {points: [{time: 0s, rate: 1}]}",
        "found 1 points, expected at least two",
    ),
    (
        "file: people.csv, format: csv",
        "file: people.txt",
        "people.txt\", expected a name that",
    ),
    (
        "{email: email}",
        "{email: 1st}",
        "feeders[0].columns.email: found \"1st\", expected a var",
    ),
    (
        "{email: email}",
        "{email: status}",
        "\"status\" means something in expressions",
    ),
    (
        "setup: [warm]",
        "setup: [worm]",
        ":20: setup[0]: there is no block \"worm\", did you mean",
    ),
    (
        "GET /warm",
        "FETCH /warm",
        "blocks.warm[0].request: found \"FETCH /warm\", expected PATH",
    ),
    (
        "GET /warm",
        "GET warm",
        "found \"warm\", expected a path from the root",
    ),
    (
        "- think: 1s",
        "- do: round",
        ":26: blocks.round[0].do: block \"round\" does itself",
    ),
    (
        "- think: 1s",
        "- when: \"1\"",
        ":26: blocks.round[0]: found none of them, expected exactly",
    ),
    (
        "- think: 1s",
        "- {think: 1s, feed: people}",
        "found think and feed, expected exactly one",
    ),
    ("- think: 1s", "- {}", "found none of them"),
    (
        "weight: 2.5",
        "weight: 0",
        ":27: journeys: found no weight at all, expected one above 0",
    ),
    (
        "feed: people",
        "feed: peoples",
        ":31: journeys[0].steps[0].feed: there is no feeder",
    ),
    (
        "set: {n: \"1\"}",
        "set: {n-1: \"1\"}",
        ":32: journeys[0].steps[1].set.n-1: found",
    ),
    (
        "method: POST",
        "method: SEND",
        "request.method: found \"SEND\", expected GET, HEAD",
    ),
    (
        "headers: {x-a: b}",
        "headers: {host: b}",
        "headers.host: this header is the generator's",
    ),
    (
        "timeout: 2s",
        "body: x",
        ":34: journeys[0].steps[2].request: found several bodies",
    ),
    (
        "[201, 400-409]",
        "[2xx]",
        "expect[0]: found \"2xx\", expected a status from 100 to 599",
    ),
    (
        "[201, 400-409]",
        "[]",
        "expect: found an empty list, expected at least one status",
    ),
    (
        "{is: status == 201}",
        "{name: a}",
        ":45: journeys[0].steps[2].request.checks[1]: an empty",
    ),
    (
        "{is: status == 201}",
        "{is: \" \"}",
        "checks[1].is: an empty check can never fail",
    ),
    (
        "{is: status == 201}",
        "{is: a, contains: b}",
        "found is and contains, expected exactly one",
    ),
    (
        "{is: status == 201}",
        "{is: a, equals: b}",
        "found it with is, expected it with header or",
    ),
    (
        "{is: status == 201}",
        "{json: id}",
        "found \"id\", expected a JSON pointer",
    ),
    (
        "a: {json: /id}",
        "a: {}",
        "extract.a: found none of them, expected exactly one of json",
    ),
    (
        "a: {json: /id}",
        "a: {json: /id, cookie: b}",
        "extract.a: found json and cookie",
    ),
    (
        "a: {json: /id}",
        "a: {json: /id, attribute: b}",
        "found no css, expected an attribute only",
    ),
    (
        "f: {status: true}",
        "f: {status: false}",
        "extract.f.status: found false, expected true",
    ),
    (
        "path: /a, body",
        "name: order, path: /a, body",
        ":55: journeys[0].steps[3].request: another",
    ),
    (
        "from: 1s, to: 2s",
        "from: 3s, to: 2s",
        "think.to: found less than from",
    ),
    (
        "- do: warm",
        "- do: wrm",
        "do: there is no block \"wrm\", did you mean \"warm\"?",
    ),
    (
        "while: n < 3, most: 5",
        "while: n < 3",
        ":60: journeys[0].steps[8].do.while: a loop needs",
    ),
    (
        "while: n < 3, most: 5",
        "most: 5",
        "do.most: found no while, expected most only with",
    ),
    (
        "while: n < 3, most: 5",
        "while: n < 3, times: 2, most: 5",
        "found times and while",
    ),
    (
        "    - rate<0.01\n    - {thre",
        "    []\n  a:\n    - {thre",
        "found an empty list, expected",
    ),
    (
        "query: up, below: 1",
        "query: up",
        "stop[1].prometheus: found none, expected one of above",
    ),
    (
        "query: up, below: 1",
        "query: up, below: 1, above: 2",
        "found both, expected one of above",
    ),
    (
        "\"http://127.0.0.1:8081/metrics\"",
        "/metrics",
        "stop[2].business.url: found",
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
        .replace("http: 2", "http: 3")
        .replace("setup: [warm]", "setup: [worm]")
        .replace("method: POST", "method: SEND");
    assert_eq!(said(&text).len(), 3, "{:#?}", said(&text));
}

#[test]
fn a_part_that_cannot_be_read_does_not_hide_what_others_mean() {
    let text = WHOLE
        .replace("version: 1\n", "")
        .replace("  url: https://shop.example:8443\n", "")
        .replace("rate: 5, for: 10s", "rate: five, for: 10s")
        .replace("setup: [warm]", "setup: [worm]")
        .replace("      - do: warm\n", "      - {do: warm, think: 1s}\n")
        .replace("rate<0.1, over: 5s", "rate<0.1, over: 5h");
    let said = said(&text);
    for wanted in [
        "\"version\" is missing",
        "\"url\" is missing",
        "load.shape.constant.rate: found \"five\"",
        "there is no block \"worm\"",
        "found think and do, expected exactly one of",
        "stop[0].figures.over: found \"5h\"",
    ] {
        assert!(
            said.iter().any(|line| line.contains(wanted)),
            "{wanted}: {said:#?}"
        );
    }
    assert_eq!(said.len(), 6, "{said:#?}");
}

fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap().to_path_buf()
}

#[test]
fn the_schema_is_the_pinned_one() {
    let path = root().join("schemas/scenario.json");
    let pinned = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        pinned == schema_text(),
        "not what the reader goes by; `seawall schema scenario > schemas/scenario.json`"
    );
}

#[test]
fn the_document_has_every_key() {
    let text = fs::read_to_string(root().join("docs/scenario.md")).unwrap_or_default();
    let tables = documented();
    assert!(text.contains(tables.trim_end()), "shall contain:\n{tables}");
}

#[test]
fn every_key_of_the_tables_is_in_the_whole_one() {
    fn walk(map: &'static crate::gateway::shape::Map, missing: &mut Vec<String>) {
        for key in map.keys {
            assert!(key.about().ends_with('.'), "{}", key.name());
            if !WHOLE.contains(&format!("{}:", key.name())) {
                missing.push(key.name().to_owned());
            }
        }
    }
    let mut missing = Vec::new();
    for map in [
        Scenario::SHAPE,
        Target::SHAPE,
        Feeder::SHAPE,
        Journey::SHAPE,
        Step::SHAPE,
        steps::Request::SHAPE,
        steps::Check::SHAPE,
        steps::Extract::SHAPE,
        steps::Do::SHAPE,
        ThresholdRule::SHAPE,
        StopBusiness::SHAPE,
        StopFigures::SHAPE,
    ] {
        walk(map, &mut missing);
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn the_schema_is_readable_and_closed() {
    let schema: Value = serde_json::from_str(&schema_text()).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    let step = &schema["properties"]["journeys"]["items"]["properties"]["steps"]["items"];
    assert_eq!(step["additionalProperties"], false);
    assert!(step["properties"]["request"]["anyOf"][1]["properties"]["path"].is_object());
    let rules = &schema["properties"]["thresholds"]["additionalProperties"];
    assert_eq!(rules["type"], "array");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[ -~\n]{0,300}") {
        said(&text);
    }

    /// A good file with one piece replaced by another of its own pieces.
    #[test]
    fn no_shuffled_scenario_makes_it_panic(from in 0usize..90, to in 0usize..90) {
        let mut lines: Vec<&str> = WHOLE.lines().collect();
        let (from, to) = (from % lines.len(), to % lines.len());
        lines[to] = lines[from];
        said(&lines.join("\n"));
    }
}
