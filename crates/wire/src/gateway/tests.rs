//! Every problem that a check can find, one row each; and that reader, schema and examples agree.

use super::*;
use crate::gateway::schema;
use serde_json::Value;
use std::fs;

const GATEWAY: &str = include_str!("fixtures/gateway.yaml");
const LIMITS: &str = include_str!("fixtures/limits.yaml");
const SWITCHES: &str = include_str!("fixtures/switches.yaml");

/// 2026-11-01T00:00:00Z.
const NOW_MS: u64 = 1_793_491_200_000;

/// A folder with the three files, and what they name.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(gateway: &str, limits: &str, switches: &str) -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        let certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";
        let public = "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n";
        for (name, text) in [
            ("gateway.yaml", gateway),
            ("limits.yaml", limits),
            ("switches.yaml", switches),
            ("shop.pem", certificate),
            ("shop.key", key),
            ("own.pem", certificate),
            ("own.key", key),
            ("jwt.pem", public),
            ("secret", "0123456789abcdef0123456789abcdef\n"),
            ("short", "0123456789\n"),
            ("token", "0123456789abcdef0123456789abcdef\n"),
            ("page.html", "<p>\n"),
        ] {
            fs::write(folder.0.path().join(name), text).unwrap();
        }
        folder
    }
    fn load(&self) -> Result<Door, Problems> {
        let context = Context {
            now_ms: NOW_MS,
            build: Some("7f3a".to_owned()),
            services: Some(vec!["shop".to_owned()]),
        };
        load(&self.0.path().join("gateway.yaml"), &context)
    }
    /// Problems without the folder, which has another name each time.
    fn problems(&self) -> Vec<String> {
        let folder = format!("{}/", self.0.path().display());
        match self.load() {
            Ok(_) => Vec::new(),
            Err(Problems(found)) => found
                .iter()
                .map(|p| p.to_string().replace(&folder, ""))
                .collect(),
        }
    }
}

fn edited(text: &str, from: &str, to: &str) -> String {
    assert_eq!(
        text.matches(from).count(),
        1,
        "the row's place is not there once: {from:?}"
    );
    text.replacen(from, to, 1)
}

/// One edit of one of the files, and all problems that it makes.
#[track_caller]
fn check(file: FileKind, rows: &[(&str, &str, &[&str])]) {
    let mut wrong = Vec::new();
    for (from, to, expected) in rows {
        let edit = |kind: FileKind, text: &str| {
            if kind == file {
                edited(text, from, to)
            } else {
                text.to_owned()
            }
        };
        let folder = Folder::new(
            &edit(FileKind::Gateway, GATEWAY),
            &edit(FileKind::Limits, LIMITS),
            &edit(FileKind::Switches, SWITCHES),
        );
        let found = folder.problems();
        if found != *expected {
            wrong.push(format!(
                "{from:?} -> {to:?}\n   found    {found:#?}\n   expected {expected:#?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_fixture_is_good_and_read_whole() {
    let folder = Folder::new(GATEWAY, LIMITS, SWITCHES);
    let door = folder
        .load()
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(door.files.len(), 3);
    assert_eq!(door.gateway.routes.len(), 6);
    assert_eq!(door.gateway.listeners[0].limits.header_bytes, 32 << 10);
    assert_eq!(door.gateway.listeners[1].limits.connections, 10_000);
    assert_eq!(door.limits.rules.len(), 5);
    assert_eq!(door.switches.switches.len(), 6);
    assert_eq!(
        door.gateway.routes[2].r#match.path,
        Some(routes::PathMatch::Template("/products/{sku}".to_owned()))
    );
    assert_eq!(
        door.limits.rules[0].limit(),
        Some(rules::Limit::Rate {
            rate: scalar::Rate {
                count: 300,
                period: std::time::Duration::from_secs(60)
            },
            burst: 5
        })
    );
    let tls = door.gateway.listeners[0].tls.as_ref().unwrap();
    assert_eq!(
        tls.certificates[0].cert_file,
        folder.0.path().join("shop.pem")
    );
}

#[test]
fn problems_of_values_in_the_gateway_file() {
    use FileKind::Gateway;
    check(Gateway, include!("fixtures/values.rows"));
}

#[test]
fn problems_between_values_of_the_gateway_file() {
    use FileKind::Gateway;
    check(Gateway, include!("fixtures/gateway.rows"));
}

#[test]
fn problems_of_limits() {
    use FileKind::Limits;
    check(Limits, include!("fixtures/limits.rows"));
}

#[test]
fn problems_of_switches() {
    use FileKind::Switches;
    check(Switches, include!("fixtures/switches.rows"));
}

#[test]
fn all_problems_of_all_files_come_at_once() {
    let folder = Folder::new(
        &GATEWAY
            .replace("workers: 2", "wrokers: 2")
            .replace("class: order", "class: ordre"),
        &LIMITS
            .replace("burst: 5", "burst: 0")
            .replace("mode: shadow", "mode: shade"),
        &SWITCHES.replace("owner: catalogue team", "owner: \"\""),
    );
    let found = folder.problems();
    let places: Vec<&str> = found
        .iter()
        .map(|p| p.split(": ").next().unwrap())
        .collect();
    let expected = [
        "gateway.yaml:3",
        "gateway.yaml:54",
        "limits.yaml:8",
        "limits.yaml:21",
        "switches.yaml:5",
    ];
    assert_eq!(places, expected, "{found:#?}");
}

#[test]
fn files_of_the_kinds_are_told_apart_and_stand_alone() {
    let folder = Folder::new(GATEWAY, LIMITS, SWITCHES);
    for kind in FileKind::ALL {
        let path = folder.0.path().join(format!("{}.yaml", kind.as_str()));
        assert_eq!(FileKind::of(&path), Some(kind));
    }
    assert_eq!(FileKind::of(&folder.0.path().join("page.html")), None);
    let context = Context {
        now_ms: NOW_MS,
        ..Context::default()
    };
    let limits = load_limits(&folder.0.path().join("limits.yaml"), &context);
    assert_eq!(limits.map(|limits| limits.rules.len()), Ok(5));
    let switches = load_switches(&folder.0.path().join("switches.yaml"));
    assert_eq!(switches.map(|switches| switches.switches.len()), Ok(6));
}

#[test]
fn a_part_that_is_not_there_is_a_problem_of_the_line_that_names_it() {
    let folder = Folder::new(GATEWAY, LIMITS, SWITCHES);
    fs::remove_file(folder.0.path().join("limits.yaml")).unwrap();
    fs::write(folder.0.path().join("switches.yaml"), "switches: [\n").unwrap();
    let found = folder.problems();
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found
            .iter()
            .any(|p| p.contains("gateway.yaml") && p.contains("limits.yaml: not"))
    );
    assert!(
        found
            .iter()
            .any(|p| p.starts_with("switches.yaml:") && p.contains("as YAML"))
    );
}

#[test]
fn anything_at_all_gives_problems_and_no_panic() {
    let path = Path::new("gateway.yaml");
    for text in [
        "",
        "~",
        "[]",
        "1",
        "version: 1",
        "routes: 3\nlisteners: {}",
        "routes: [~, 1, [], {}]",
        "listeners: [{tls: {certificates: [{}]}}]\nroutes: [{match: [], target: {}}]",
        "limits: {rules: [{key: buyer, allow: [[[]]]}]}",
        "a: &a [*a]",
        "? {}\n: 1",
        "\u{0}",
    ] {
        assert!(parse(path, text, &Context::default()).is_err(), "{text:?}");
    }
    // Every file with any one line left out, or cut at any line.
    let lines: Vec<&str> = GATEWAY.lines().collect();
    for index in 0..lines.len() {
        let without: Vec<&str> = lines
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != index)
            .map(|(_, l)| *l)
            .collect();
        let _ = parse(path, &without.join("\n"), &Context::default());
        assert!(parse(path, &lines[..index].join("\n"), &Context::default()).is_err());
    }
}

#[test]
fn values_stay_what_was_written() {
    let limits = LIMITS.replace(
        "allow: [till]",
        "allow: [no, 007, 1e3, 4711, \"off\", 0x1F, ~x]",
    );
    let door = Folder::new(GATEWAY, &limits, SWITCHES).load().unwrap();
    let allowed: Vec<&str> = door.limits.rules[0]
        .allow
        .iter()
        .map(|several| several.0[0].as_str())
        .collect();
    assert_eq!(allowed, ["no", "007", "1e3", "4711", "off", "0x1F", "~x"]);
}

#[test]
fn defaults_are_of_their_kind() {
    fn walk(map: &'static shape::Map, path: &str) {
        for key in map.keys {
            let path = format!("{path}.{}", key.name());
            assert!(
                !key.about().is_empty() && key.about().ends_with('.'),
                "{path}"
            );
            if let (Need::Or(text), Shape::Scalar(kind)) = (key.need, &key.shape) {
                assert!(kind.parse(text).is_ok(), "{path}: {text}");
            }
            if let (Need::Or(text), Shape::List(Shape::Scalar(kind), _)) = (key.need, &key.shape) {
                let parts = text.split(',').map(str::trim);
                assert!(
                    parts.clone().all(|part| kind.parse(part).is_ok()),
                    "{path}: {text}"
                );
            }
            if let Some(inner) = inner(&key.shape) {
                walk(inner, &path);
            }
        }
    }
    for kind in FileKind::ALL {
        walk(schema::shape(kind), kind.as_str());
    }
}

fn inner(shape: &Shape) -> Option<&'static shape::Map> {
    match shape {
        Shape::Map(map) | Shape::OneOf(map) | Shape::FileOr(map) | Shape::ScalarOr(_, map) => {
            Some(map)
        }
        Shape::List(item, _) | Shape::Table(item, _) => inner(item),
        Shape::Scalar(_) | Shape::OneOrList(..) | Shape::Json => None,
    }
}

// ── the schemas ──────────────────────────────────────────────────────────────────────────────

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_path_buf()
}

#[test]
fn schemas_are_the_pinned_ones() {
    for kind in FileKind::ALL {
        let path = root().join(format!("schemas/{}.json", kind.as_str()));
        let pinned = fs::read_to_string(&path).unwrap_or_default();
        let name = kind.as_str();
        assert!(
            pinned == schema::text(kind),
            "{}: not what the reader goes by; `seawall schema {name} > schemas/{name}.json`",
            path.display()
        );
    }
}

#[test]
fn documents_have_every_key() {
    for kind in FileKind::ALL {
        let path = root().join(format!("docs/{}.md", kind.as_str()));
        let text = fs::read_to_string(&path).unwrap_or_default();
        let tables = schema::documented(kind);
        assert!(
            text.contains(tables.trim_end()),
            "{} shall contain:\n{tables}",
            path.display()
        );
    }
}

/// What of JSON Schema our schemas use, but for `pattern` and `format`.
fn invalid(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut must = |good: bool, what: &str| {
        if !good {
            found.push(format!("{path}: {what}: {value}"));
        }
    };
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        other => panic!("a type that no schema of ours has: {other}"),
    };
    match &schema["type"] {
        Value::String(name) => must(is(name), name),
        Value::Array(names) => must(names.iter().any(|n| is(n.as_str().unwrap())), "type"),
        _ => {}
    }
    if let Value::Array(words) = &schema["enum"] {
        must(words.contains(value), "enum");
    }
    if let Value::Array(any) = &schema["anyOf"] {
        must(
            any.iter().any(|one| invalid(one, value, path).is_empty()),
            "anyOf",
        );
    }
    if let (Some(low), Some(number)) = (schema["minimum"].as_f64(), value.as_f64()) {
        must(number >= low, "minimum");
    }
    if let (Some(high), Some(number)) = (schema["maximum"].as_f64(), value.as_f64()) {
        must(number <= high, "maximum");
    }
    if let Some(list) = value.as_array() {
        let many = list.len() as u64;
        must(many >= schema["minItems"].as_u64().unwrap_or(0), "minItems");
        must(
            many <= schema["maxItems"].as_u64().unwrap_or(u64::MAX),
            "maxItems",
        );
        for (index, item) in list.iter().enumerate() {
            found.extend(invalid(&schema["items"], item, &format!("{path}[{index}]")));
        }
    } else if let Some(object) = value.as_object() {
        let many = object.len() as u64;
        must(
            many >= schema["minProperties"].as_u64().unwrap_or(0),
            "minProperties",
        );
        must(
            many <= schema["maxProperties"].as_u64().unwrap_or(u64::MAX),
            "maxProperties",
        );
        for name in schema["required"].as_array().into_iter().flatten() {
            must(object.contains_key(name.as_str().unwrap()), "required");
        }
        let known = if schema["anyOf"].is_array() {
            None
        } else {
            Some(object)
        };
        for (name, item) in known.into_iter().flatten() {
            match schema["properties"].get(name) {
                Some(inner) => found.extend(invalid(inner, item, &format!("{path}.{name}"))),
                None => found.push(format!("{path}.{name}: not in the schema")),
            }
        }
    }
    found
}

#[test]
fn examples_are_good_for_the_reader_and_the_schema() {
    let folder = root().join("examples/gateway");
    let context = Context {
        now_ms: NOW_MS,
        ..Context::default()
    };
    let mut kinds = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        let kind = FileKind::of(&path).unwrap_or_else(|| panic!("{}", path.display()));
        let read = match kind {
            FileKind::Gateway => load(&path, &context).err(),
            FileKind::Limits => load_limits(&path, &context).err(),
            FileKind::Switches => load_switches(&path).err(),
        };
        assert!(read.is_none(), "{}", read.unwrap());
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            judged(kind, &text),
            Vec::<String>::new(),
            "{}",
            path.display()
        );
        kinds.push(kind);
    }
    assert!(
        FileKind::ALL.iter().all(|kind| kinds.contains(kind)),
        "an example of each"
    );
}

fn judged(kind: FileKind, text: &str) -> Vec<String> {
    let value: Value = serde_saphyr::from_str(text).unwrap();
    invalid(&schema::of(kind), &value, "")
}

#[test]
fn fixtures_have_every_key_and_the_schema_takes_them() {
    for (kind, text) in [
        (FileKind::Gateway, GATEWAY),
        (FileKind::Limits, LIMITS),
        (FileKind::Switches, SWITCHES),
    ] {
        assert_eq!(judged(kind, text), Vec::<String>::new());
        let value: Value = serde_saphyr::from_str(text).unwrap();
        let mut missing = Vec::new();
        unused(schema::shape(kind), &[&value], "", &mut missing);
        assert_eq!(missing, Vec::<String>::new(), "{}", kind.as_str());
    }
}

/// Keys of the shape that none of the values has.
fn unused(map: &'static shape::Map, values: &[&Value], path: &str, missing: &mut Vec<String>) {
    for key in map.keys {
        let path = format!("{path}.{}", key.name());
        let found: Vec<&Value> = values
            .iter()
            .filter_map(|value| value.get(key.name()))
            .collect();
        if found.is_empty() {
            missing.push(path);
            continue;
        }
        if matches!(key.shape, Shape::FileOr(_)) {
            continue;
        }
        let items: Vec<&Value> = found
            .iter()
            .flat_map(|value| match value {
                Value::Array(items) => items.iter().collect(),
                other => vec![*other],
            })
            .collect();
        if let Some(inner) = inner(&key.shape) {
            unused(inner, &items, &path, missing);
        }
    }
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    for (kind, text, from, to) in [
        (FileKind::Gateway, GATEWAY, "workers: 2", "wrokers: 2"),
        (FileKind::Gateway, GATEWAY, "workers: 2", "workers: 1000"),
        (FileKind::Gateway, GATEWAY, "workers: 2", "workers: many"),
        (FileKind::Gateway, GATEWAY, "class: order", "class: ordre"),
        (
            FileKind::Gateway,
            GATEWAY,
            "name: public",
            "address: \"[::1]:1\"",
        ),
        (
            FileKind::Gateway,
            GATEWAY,
            "- {cookie: buyer}",
            "- {cookie: a, header: b}",
        ),
        (
            FileKind::Gateway,
            GATEWAY,
            "hosts: [old.shop.example]",
            "hosts: old.shop.example",
        ),
        (FileKind::Limits, LIMITS, "mode: shadow", "mode: shade"),
        (FileKind::Switches, SWITCHES, "max_duration: 2h", "# none"),
    ] {
        // A YAML library refuses a key that stands twice by itself.
        let text = edited(text, from, to);
        let value: Result<Value, _> = serde_saphyr::from_str(&text);
        let bad = value.map_or(true, |value| {
            !invalid(&schema::of(kind), &value, "").is_empty()
        });
        assert!(bad, "{to}");
    }
}
