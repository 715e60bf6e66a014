//! Scenarios by examples: what they become, and which line a mistake is told with.

use super::*;
use std::fs;

const SCENARIO: &str = r#"version: 1
name: small
target: {url: "http://127.0.0.1:1"}
load:
  shape: {constant: {rate: 10, for: 10s}}
feeders:
  - {name: people, file: people.csv, columns: {email: email}}
blocks:
  again:
    - request: {name: again, path: "/a/${n}"}
journeys:
  - name: buy
    steps:
      - feed: people
      - set: {n: "0"}
      - when: n < 3
        request:
          name: order
          path: /o
          checks:
            - {name: id, json: /id, equals: "${n}"}
          extract:
            a: {regex: "(a)"}
            b: {css: b.c}
      - do: {block: again, while: n < 3, most: 5}
      - do: again
thresholds:
  http_req_duration: [p(95)<200]
  "http_req_failed{name:order}": [rate<0.1]
  "checks{check:id}": [rate>0.9]
stop:
  - figures: {metric: http_req_failed, threshold: rate<0.1, over: 5s}
"#;

/// In a folder with these files.
fn compiled(text: &str, files: &[(&str, &str)]) -> Result<Compiled, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let root = format!("{}/", folder.path().display());
    super::text(&folder.path().join("s.yaml"), text).map_err(|found| {
        let lines = found.0.iter().map(ToString::to_string);
        lines.map(|line| line.replace(&root, "")).collect()
    })
}

const PEOPLE: (&str, &str) = ("people.csv", "name,email\nAda,a@b\nBob,b@b\n");

#[test]
fn a_good_one_becomes_a_script_a_plan_and_rules() {
    let good = compiled(SCENARIO, &[PEOPLE]).unwrap();
    let names: Vec<&str> = good
        .script
        .requests
        .iter()
        .map(|r| r.name.as_str())
        .collect();
    // The block's request is one, though it is done in two places.
    assert_eq!(names, ["order", "again"]);
    assert_eq!(
        good.plan.segments,
        [crate::arrivals::Segment::constant(10.0, 10_000_000)]
    );
    assert_eq!(good.script.feeders[0].rows.len(), 2);
    assert_eq!(good.thresholds.len(), 3);
    assert!(matches!(&good.stop[..], [StopRule::Figures(rule)] if rule.window_s == Some(5)));
    assert!(good.setup.is_none() && good.teardown.is_none());
    let journey = &good.script.journeys[0];
    let len = journey.ops.len() as u32;
    for op in &journey.ops {
        if let crate::script::Op::Unless { to, .. } | crate::script::Op::Jump(to) = op {
            assert!(*to > 0 && *to <= len, "{op:?}");
        }
    }
}

/// What stands there, what stands there instead, and what is said about it.
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "when: n < 3",
        "when: n <",
        "s.yaml:16: journeys[0].steps[2].when: \"n <\" at character 4",
    ),
    ("when: n < 3", "when: m < 3", "there is no variable m"),
    (
        "{n: \"0\"}",
        "{n: nix()}",
        "s.yaml:15: journeys[0].steps[1].set.n: \"nix()\" at character 1",
    ),
    (
        "while: n < 3",
        "while: \"(\"",
        "s.yaml:25: journeys[0].steps[3].do.while:",
    ),
    (
        "/a/${n}",
        "/a/${n",
        "s.yaml:10: blocks.again[0].request.path: \"/a/${n\" at character 4: ${",
    ),
    (
        "equals: \"${n}\"",
        "equals: \"${x}\"",
        "s.yaml:21: journeys[0].steps[2].request.checks[0].",
    ),
    (
        "(a)",
        "(a",
        "s.yaml:23: journeys[0].steps[2].request.extract.a.regex: \"(a\" is no regular",
    ),
    (
        "path: /o",
        "path: /o\n          headers: {a b: c}",
        "headers.a b: \"a b\" is no name of a h",
    ),
    (
        "p(95)<200",
        "p95<200",
        "s.yaml:28: thresholds.http_req_duration[0]: no \"p95\" of http_req",
    ),
    (
        "http_req_duration:",
        "http_req_time:",
        "thresholds.http_req_time[0]: no metric",
    ),
    (
        "{name:order}",
        "{name:ordre}",
        "http_req_failed{name:ordre}[0]: there is no request \"ordre",
    ),
    (
        "{check:id}",
        "{check:ids}",
        "s.yaml:30: thresholds.checks{check:ids}[0]: there is no check",
    ),
    (
        "threshold: rate<0.1, over",
        "threshold: rate<0.1 over 1s, over",
        "the window stands in",
    ),
    (
        "metric: http_req_failed",
        "metric: checks",
        "stop[0].figures.threshold: checks has no fig",
    ),
    (
        "people.csv",
        "nobody.csv",
        "s.yaml:7: feeders[0].file: nobody.csv: not readable",
    ),
    (
        "{email: email}",
        "{mail: email}",
        "people.csv:1: no column \"mail\", found name, email",
    ),
    (
        "constant: {rate: 10, for: 10s}",
        "file: {path: r.csv}",
        "s.yaml:5: load.shape.file.path: r",
    ),
];

#[test]
fn every_mistake_is_told_with_its_line() {
    for (from, to, wanted) in MISTAKES {
        assert!(SCENARIO.contains(from), "{from}");
        let said = compiled(&SCENARIO.replacen(from, to, 1), &[PEOPLE]).err();
        let said = said.unwrap_or_else(|| panic!("{to} is taken"));
        assert!(
            said.iter().any(|line| line.contains(wanted)),
            "{to}: {said:#?}\nexpected {wanted}"
        );
    }
}

#[test]
fn mistakes_of_form_and_meaning_come_together() {
    let text = SCENARIO
        .replace("when: n < 3", "when: n <")
        .replace("weight", "weigth")
        .replace("name: small", "name: Small")
        .replace("p(95)<200", "p95<200");
    let said = compiled(&text, &[PEOPLE]).unwrap_err();
    assert!(!said.is_empty());
    // The name is required: without it nothing further is looked at.
    let text = text.replace("name: Small", "name: small");
    assert_eq!(compiled(&text, &[PEOPLE]).unwrap_err().len(), 2);
}

#[test]
fn data_files_say_where_they_are_wrong() {
    let json = SCENARIO.replace("people.csv", "people.jsonl");
    for (text, file, wanted) in [
        (
            SCENARIO,
            ("people.csv", "name,email\nAda\n"),
            "people.csv:2: found 1 fields, expected 2",
        ),
        (
            SCENARIO,
            ("people.csv", "name,email\n"),
            "people.csv: no row in it",
        ),
        (
            &json,
            ("people.jsonl", "{\"email\":\"a\"}\n\n{}\n"),
            "people.jsonl:3: no field \"email\"",
        ),
        (
            &json,
            ("people.jsonl", "[1]\n"),
            "people.jsonl:1: no JSON object",
        ),
    ] {
        let said = compiled(text, &[file]).unwrap_err();
        assert!(
            said.iter().any(|line| line.contains(wanted)),
            "{said:#?}, {wanted}"
        );
    }
    let long = format!("email\n{}\n", "x".repeat(100_000));
    let said = compiled(SCENARIO, &[("people.csv", &long)]).unwrap_err();
    assert!(
        said[0].contains("a line is longer than 65536 bytes"),
        "{said:?}"
    );
    let good = compiled(
        &json,
        &[("people.jsonl", "{\"email\":7}\n{\"email\":null}\n")],
    )
    .unwrap();
    let values: Vec<String> = good.script.feeders[0]
        .rows
        .iter()
        .map(|r| r[0].to_string())
        .collect();
    assert_eq!(values, ["7", ""]);
}

#[test]
fn every_shape_has_its_arrivals() {
    let shapes = [
        ("constant: {rate: 10, for: 10s}", 100.0, 10.0, 10),
        ("ramp: {to: 10, for: 10s}", 50.0, 10.0, 10),
        ("steps: {from: 1, by: 1, count: 3, each: 2s}", 12.0, 3.0, 6),
        (
            "spike: {base: 1, peak: 9, before: 2s, rise: 2s, hold: 1s, after: 1s}",
            2.0 + 10.0 + 9.0 + 10.0 + 1.0,
            9.0,
            8,
        ),
        (
            "curve: {points: [{time: 0s, rate: 2}, {time: 2s, rate: 4}, {time: 2s, rate: 8}, \
             {time: 3s, rate: 8}]}",
            14.0,
            8.0,
            3,
        ),
        ("file: {path: rates.csv, scale: 2}", 12.0, 10.0, 3),
    ];
    for (shape, arrivals, peak, seconds) in shapes {
        let text = SCENARIO.replace("constant: {rate: 10, for: 10s}", shape);
        let files = [PEOPLE, ("rates.csv", "second,rate\n0,1\n1,5\n2,0\n")];
        let plan = compiled(&text, &files)
            .unwrap_or_else(|said| panic!("{said:?}"))
            .plan;
        assert!(
            (plan.between(0, plan.us()) - arrivals).abs() < 1e-6,
            "{shape}"
        );
        assert!((plan.peak_per_s() - peak).abs() < 1e-6, "{shape}");
        assert_eq!(plan.us(), seconds * 1_000_000, "{shape}");
    }
    let text = SCENARIO.replace("constant: {rate: 10, for: 10s}", "file: {path: rates.csv}");
    for (rates, wanted) in [
        (
            "1\nmany\n",
            "rates.csv:2: found \"many\", expected RATE or SECOND,RATE",
        ),
        (
            "0,1\n2,1\n",
            "rates.csv:2: found \"2,1\", expected second 1",
        ),
        ("0\n0\n", "rates.csv: no rate above 0"),
        ("1\n-1\n", "rates.csv:2: found \"-1\""),
    ] {
        let said = compiled(&text, &[PEOPLE, ("rates.csv", rates)]).unwrap_err();
        assert!(said[0].contains(wanted), "{said:?}, {wanted}");
    }
}

#[test]
fn blocks_that_multiply_end_in_a_problem() {
    let mut blocks = String::from("blocks:\n  b0:\n    - request: {name: again, path: /a}\n");
    for level in 1..=6 {
        blocks += &format!("  b{level}:\n");
        let inner = format!("    - do: b{}\n", level - 1);
        blocks += &inner.repeat(10);
    }
    let start = SCENARIO.find("blocks:").unwrap();
    let end = SCENARIO.find("journeys:").unwrap();
    let text = format!("{}{blocks}{}", &SCENARIO[..start], &SCENARIO[end..]);
    let text = text
        .replace("do: again", "do: b6")
        .replace("block: again", "block: b0");
    let said = compiled(&text, &[PEOPLE]).unwrap_err();
    assert!(
        said.iter()
            .any(|line| line.contains("more than 100000 steps")),
        "{said:?}"
    );
}

#[test]
fn a_block_that_does_itself_is_told_once_and_ends() {
    let text = SCENARIO.replace("blocks:\n", "blocks:\n  round:\n    - do: round\n");
    let said = compiled(&text, &[PEOPLE]).unwrap_err();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("does itself"), "{said:?}");
}

#[test]
fn the_examples_are_good() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap();
    for (name, journeys, feeders) in [("any", 1, 0), ("shop", 2, 1)] {
        let good = file(&root.join(format!("examples/load/{name}.yaml")));
        let good = good.unwrap_or_else(|found| panic!("{found}"));
        let found = (good.script.journeys.len(), good.script.feeders.len());
        assert_eq!(found, (journeys, feeders), "{name}");
    }
}

proptest::proptest! {
    /// A good file with one line replaced by another of its own, or cut.
    #[test]
    fn no_shuffled_scenario_makes_it_panic(
        from in 0usize..60,
        to in 0usize..60,
        cut in 0usize..40,
    ) {
        let mut lines: Vec<&str> = SCENARIO.lines().collect();
        let (from, to) = (from % lines.len(), to % lines.len());
        lines[to] = &lines[from][..lines[from].len().saturating_sub(cut)];
        let text = lines.join("\n");
        // Its feeder's file is not there, which is a problem like another.
        proptest::prop_assert!(super::text(Path::new("/nowhere/s.yaml"), &text).is_err());
    }
}
