//! The OpenAPI document, docs/api.md and docs/errors.md say the same as the code: routes, problem
//! codes and statuses. What answers look like is tried against the running shop by tools/schema.sh.

use serde_json::Value;
use shop::ROUTES;
use std::collections::BTreeSet;
use std::path::Path;
use wire::problem::{Code, DoorCode};

fn document() -> Value {
    serde_json::from_str(include_str!("../openapi.json")).expect("openapi.json is JSON")
}

fn doc(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The operations of the document, as (method, path).
fn operations(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("a path item").keys();
        methods.map(|method| (method.to_uppercase(), path.clone()))
    });
    operations.collect()
}

#[test]
fn the_document_has_the_routes_of_the_shop_and_no_others() {
    let routes = ROUTES
        .iter()
        .map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()));
    assert_eq!(operations(&document()), routes.collect());
}

#[test]
fn the_document_has_every_problem_code() {
    let document = document();
    let listed = &document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"];
    let listed: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.meaning().code).collect();
    assert_eq!(listed, codes);
}

/// Follows a reference into the document.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            let pointer = reference
                .strip_prefix('#')
                .expect("a reference within the document");
            document
                .pointer(pointer)
                .unwrap_or_else(|| panic!("{reference} leads nowhere"))
        }
        None => value,
    }
}

#[test]
fn every_documented_error_names_codes_of_its_status() {
    let document = document();
    let mut errors = 0;
    for (method, path) in operations(&document) {
        let operation = &document["paths"][&path][method.to_lowercase()];
        for (status, response) in operation["responses"].as_object().expect("responses") {
            let status: u16 = status.parse().expect("a status in digits");
            if status < 400 {
                continue;
            }
            let place = format!("{method} {path} {status}");
            let content = &resolved(&document, response)["content"]["application/problem+json"];
            let own = &content["schema"]["allOf"][1]["properties"];
            assert_eq!(own["status"]["const"], status, "{place}");
            let codes = own["code"]["enum"]
                .as_array()
                .unwrap_or_else(|| panic!("{place}: codes"));
            assert!(!codes.is_empty(), "{place}");
            for named in codes {
                let code = Code::ALL.iter().find(|code| *named == code.meaning().code);
                assert_eq!(
                    code.map(|code| code.meaning().status),
                    Some(status),
                    "{place} {named}"
                );
                errors += 1;
            }
        }
    }
    assert!(
        errors > Code::ALL.len(),
        "only {errors} errors are documented"
    );
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
        match value {
            Value::Object(members) => {
                if members.contains_key("$ref") {
                    found.push(value);
                }
                members.values().for_each(|member| walk(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = Vec::new();
    walk(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        resolved(&document, reference);
    }
}

#[test]
fn every_code_has_a_section_in_the_error_handbook() {
    let text = doc("errors.md");
    let sections: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`'))
        .collect();
    let told: BTreeSet<&str> = sections.iter().copied().collect();
    assert_eq!(told.len(), sections.len(), "a section stands twice");
    let shop = Code::ALL.iter().map(|code| code.meaning());
    let door = DoorCode::ALL.iter().map(|code| code.meaning());
    assert_eq!(told, shop.chain(door).map(|meaning| meaning.code).collect());
}

/// Rows `| CODE in backticks | status | happened | …` of docs/api.md.
#[test]
fn every_code_has_its_row_in_the_api_page() {
    let text = doc("api.md");
    let codes: BTreeSet<&str> = Code::ALL.iter().map(|code| code.meaning().code).collect();
    let mut rows = Vec::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, status, happened, ..] = cells.as_slice() else {
            continue;
        };
        let name = name.trim_matches('`');
        if codes.contains(name) {
            rows.push((name, (*status).to_owned(), *happened));
        }
    }
    let expected: Vec<_> = Code::ALL
        .iter()
        .map(|code| code.meaning())
        .map(|m| (m.code, m.status.to_string(), m.happened.as_str()))
        .collect();
    assert_eq!(rows, expected);
}
