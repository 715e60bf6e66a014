//! Answers of the flag endpoint, letter by letter.

use super::*;
use crate::mutate::{apply, edits};
use guard::Nanos;
use guard::switches::{Feature, FeatureId, PageId, Recovery, StubId, SwitchSet, SwitchSpec};
use hyper::Request;
use proptest::prelude::*;

const NOW: Nanos = Nanos(1);

fn spec(name: &str, target: Target, action: Action) -> SwitchSpec {
    SwitchSpec {
        name: name.to_owned(),
        owner: "ops".to_owned(),
        reason: "load".to_owned(),
        target,
        action,
        priority: 0,
        schedule: None,
        trigger: None,
        recovery: Recovery::Manual,
        duration_max: Nanos::from_millis(60_000),
    }
}

/// `reviews` is shown on product and search, `live-stock` on product only.
fn fixture(on: &[&str]) -> (Switches, FlagRoutes) {
    let feature = |name: &str| Feature {
        name: name.to_owned(),
        variant_on: "on".to_owned(),
        variant_shielded: "off".to_owned(),
    };
    let on_routes = |ids: &[u16]| Target::Routes(ids.iter().map(|id| RouteId(*id)).collect());
    let reviews = Action::Shield(FeatureId(0));
    let stock = Action::Shield(FeatureId(1));
    let set = SwitchSet {
        switches: vec![
            spec("no-reviews", on_routes(&[0, 1]), reviews),
            spec("search-light", on_routes(&[1]), reviews),
            spec("no-stock", Target::Everywhere, stock),
            spec("closed", on_routes(&[2]), Action::Shed),
            // Hidden by the feature of that name.
            spec("live-stock", on_routes(&[2]), Action::ServeStale),
        ],
        features: vec![feature("reviews"), feature("live-stock")],
        routes: 3,
        metrics: 0,
    };
    let mut switches = Switches::new(set).expect("a set without problems");
    for name in on {
        let order = switches.set(name, true, None, ("ann", "test"), NOW);
        order.expect("an order");
    }
    let reviews = ["reviews".to_owned()];
    let both = ["live-stock".to_owned(), "reviews".to_owned()];
    let routes: [(&str, &[String]); 3] = [("product", &both), ("search", &reviews), ("order", &[])];
    (switches, FlagRoutes::new(routes))
}

fn ask(on: &[&str], path: &str, body: &str) -> (u16, Json) {
    let (status, _, body) = post(on, path, body, None);
    (status, serde_json::from_slice(&body).unwrap_or(Json::Null))
}

fn post(on: &[&str], path: &str, body: &str, tag: Option<&str>) -> (u16, Option<String>, Bytes) {
    let (switches, routes) = fixture(on);
    let mut request = Request::post(path);
    if let Some(tag) = tag {
        request = request.header(IF_NONE_MATCH, tag);
    }
    let (parts, ()) = request.body(()).expect("a request").into_parts();
    assert!(is_ours(parts.uri.path()));
    let response = answer(&parts, body.as_bytes(), &switches, &routes);
    let (parts, body) = response.into_parts();
    if !body.is_empty() {
        assert_eq!(parts.headers[CONTENT_TYPE], "application/json");
    }
    let tag = parts.headers.get(ETAG).and_then(|tag| tag.to_str().ok());
    (parts.status.as_u16(), tag.map(str::to_owned), body)
}

fn on_route(route: &str) -> String {
    json!({"context": {"targetingKey": "buyer-1", "route": route}}).to_string()
}

const REVIEWS: &str = "/ofrep/v1/evaluate/flags/reviews";
const ALL: &str = "/ofrep/v1/evaluate/flags";

#[test]
fn the_shape_of_one_flag_is_pinned() {
    let (_, _, body) = post(&["search-light"], REVIEWS, &on_route("search"), None);
    let expected = concat!(
        r#"{"key":"reviews","value":false,"reason":"TARGETING_MATCH","variant":"off","#,
        r#""metadata":{"kind":"feature","switch":"search-light","off_on":"search"}}"#,
    );
    assert_eq!(body, expected);
}

#[test]
fn a_feature_by_switches_and_route() {
    /// Switches that are on, flag, body; value, reason and further metadata.
    type Row<'a> = (&'a [&'a str], &'a str, &'a str, bool, &'a str, Json);
    let rows: &[Row<'_>] = &[
        (&[], "reviews", "{}", true, "STATIC", json!({})),
        (
            &[],
            "reviews",
            &on_route("search"),
            true,
            "STATIC",
            json!({}),
        ),
        (
            &["search-light"],
            "reviews",
            &on_route("product"),
            true,
            "TARGETING_MATCH",
            json!({"off_on": "search"}),
        ),
        (
            &["search-light"],
            "reviews",
            "{}",
            true,
            "DEFAULT",
            json!({"off_on": "search"}),
        ),
        (
            &["no-reviews"],
            "reviews",
            "{}",
            false,
            "DISABLED",
            json!({"off_on": "product,search"}),
        ),
        (
            &["no-reviews"],
            "reviews",
            &on_route("product"),
            false,
            "DISABLED",
            json!({"switch": "no-reviews", "off_on": "product,search"}),
        ),
        (
            &["no-stock"],
            "live-stock",
            "{\"context\":null}",
            false,
            "DISABLED",
            json!({"switch": "no-stock", "off_on": "product"}),
        ),
        (&["no-stock"], "reviews", "{}", true, "STATIC", json!({})),
    ];
    for (on, flag, body, value, reason, metadata) in rows {
        let (status, found) = ask(on, &format!("{ALL}/{flag}"), body);
        let mut expected = json!({
            "key": flag,
            "value": value,
            "reason": reason,
            "variant": if *value { "on" } else { "off" },
            "metadata": {"kind": "feature"},
        });
        for (key, value) in metadata.as_object().expect("an object") {
            expected["metadata"][key] = value.clone();
        }
        assert_eq!((status, found), (200, expected), "{on:?} {body}");
    }
}

#[test]
fn a_switch_is_a_flag_too() {
    let flag = |value: bool, metadata: Json| {
        let variant = if value { "on" } else { "off" };
        json!({
            "key": "closed", "value": value, "reason": "STATIC", "variant": variant,
            "metadata": metadata,
        })
    };
    let path = format!("{ALL}/closed");
    let off = flag(false, json!({"kind": "switch", "action": "shed"}));
    assert_eq!(ask(&[], &path, "{}"), (200, off));
    let metadata = json!({"kind": "switch", "action": "shed", "by": "operator"});
    assert_eq!(ask(&["closed"], &path, "{}"), (200, flag(true, metadata)));
}

#[test]
fn every_action_has_the_word_of_its_file() {
    let rows = [
        (Action::Shed, "shed"),
        (Action::StaticPage(PageId(0)), "static_page"),
        (Action::Stub(StubId(0)), "stub"),
        (Action::RedirectSimplified, "redirect"),
        (Action::ServeStale, "serve_stale"),
        (Action::Shield(FeatureId(0)), "shield"),
    ];
    for (action, word) in rows {
        assert_eq!(action_label(action), word);
    }
}

#[test]
fn what_is_wrong_is_said_as_the_protocol_wants_it() {
    let long = format!("{{\"x\":\"{}\"}}", "x".repeat(FLAGS_BODY_BYTES_MAX));
    /// Path, body; status, key, code and the beginning of the details.
    type Row<'a> = (&'a str, &'a str, u16, Option<&'a str>, &'a str, &'a str);
    let rows: &[Row<'_>] = &[
        (
            "/none",
            "{}",
            404,
            Some("none"),
            "FLAG_NOT_FOUND",
            "no flag is named \"none\"",
        ),
        (
            "/a%20b",
            "{}",
            404,
            Some("a b"),
            "FLAG_NOT_FOUND",
            "no flag is named \"a b\"",
        ),
        (
            "/a/b",
            "{}",
            404,
            Some("a/b"),
            "FLAG_NOT_FOUND",
            "no flag is named \"a/b\"",
        ),
        (
            "/reviews",
            "",
            400,
            Some("reviews"),
            "PARSE_ERROR",
            "the body is no JSON: EOF",
        ),
        (
            "/reviews",
            "[]",
            400,
            Some("reviews"),
            "PARSE_ERROR",
            "the body is no JSON object",
        ),
        (
            "/reviews",
            &long,
            400,
            Some("reviews"),
            "PARSE_ERROR",
            "the body has 65544 bytes",
        ),
        (
            "",
            "{",
            400,
            None,
            "PARSE_ERROR",
            "the body is no JSON: EOF",
        ),
        (
            "/reviews",
            "{\"context\":1}",
            400,
            Some("reviews"),
            "INVALID_CONTEXT",
            "context is no JSON object",
        ),
        (
            "/reviews",
            "{\"context\":{\"route\":1}}",
            400,
            Some("reviews"),
            "INVALID_CONTEXT",
            "context.route is no text",
        ),
        (
            "",
            "{\"context\":{\"route\":\"none\"}}",
            400,
            None,
            "INVALID_CONTEXT",
            "no route is named \"none\"",
        ),
    ];
    for (path, body, status, key, code, details) in rows {
        let (found, json) = ask(&[], &format!("{ALL}{path}"), body);
        assert_eq!(found, *status, "{path} {json}");
        assert_eq!(json.get("key").and_then(Json::as_str), *key, "{path}");
        assert_eq!(json["errorCode"], *code, "{path}");
        let said = json["errorDetails"].as_str().unwrap_or_default();
        assert!(said.starts_with(details), "{path}: {said}");
    }
}

#[test]
fn all_flags_come_with_a_tag() {
    let (status, tag, body) = post(&["closed"], ALL, "{}", None);
    let all: Json = serde_json::from_slice(&body).expect("JSON");
    let keys: Vec<&str> = all["flags"]
        .as_array()
        .expect("flags")
        .iter()
        .filter_map(|flag| flag["key"].as_str())
        .collect();
    let expected = [
        "reviews",
        "live-stock",
        "no-reviews",
        "search-light",
        "no-stock",
        "closed",
    ];
    assert_eq!((status, keys.as_slice()), (200, expected.as_slice()));
    let tag = tag.expect("a tag");
    let rows = [
        (&["closed"][..], tag.clone(), 304),
        (&["closed"], format!("\"x\", W/{tag}"), 304),
        (&["closed"], "*".to_owned(), 304),
        (&["closed"], "\"x\"".to_owned(), 200),
        (&[], tag.clone(), 200),
    ];
    for (on, sent, expected) in rows {
        let (status, found, body) = post(on, ALL, "{}", Some(&sent));
        assert_eq!(
            (status, body.is_empty()),
            (expected, expected == 304),
            "{on:?} {sent}"
        );
        assert_eq!(
            found.as_ref() == Some(&tag),
            !on.is_empty(),
            "{on:?} {sent}"
        );
    }
    let (_, by_route, _) = post(&["search-light"], ALL, &on_route("search"), None);
    let (_, by_other, _) = post(&["search-light"], ALL, &on_route("product"), None);
    assert_ne!(by_route, by_other);
}

#[test]
fn only_post_is_answered() {
    let (switches, routes) = fixture(&[]);
    let (parts, ()) = Request::get(REVIEWS)
        .body(())
        .expect("a request")
        .into_parts();
    let response = answer(&parts, b"", &switches, &routes);
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()[ALLOW], "POST");
    assert!(!is_ours("/ofrep/v1/evaluate/flagsx"));
    assert!(!is_ours("/ofrep/v1/configuration"));
}

proptest! {
    /// Whatever the body is, the answer is one of the protocol's, and only a body that names no
    /// route or a known one gets flags.
    #[test]
    fn any_bytes_get_an_answer_of_the_protocol(
        changes in edits(&["{", "}", "[", "\"", "null", "true", "1e999", "\\ud800", "order", "\"context\":", ":"]),
        random in prop::collection::vec(any::<u8>(), 0..200),
        key in "[/a-z%0-9.]{0,12}",
    ) {
        let (switches, routes) = fixture(&["closed"]);
        let good = on_route("search");
        for body in [apply(good.as_bytes(), &changes), random] {
            for path in [ALL.to_owned(), REVIEWS.to_owned(), format!("{ALL}/{key}")] {
                let Ok(request) = Request::post(&path).body(()) else { continue };
                let (parts, ()) = request.into_parts();
                let (head, told) = answer(&parts, &body, &switches, &routes).into_parts();
                let status = head.status.as_u16();
                prop_assert!([200, 400, 404].contains(&status), "{} {}", status, path);
                let told: Json = serde_json::from_slice(&told).unwrap();
                let context = serde_json::from_slice::<Json>(&body).ok().map(|b| b["context"].clone());
                let route = context.as_ref().map(|context| &context["route"]);
                let known = |route: &Json| {
                    route.is_null() || ["product", "search", "order"].iter().any(|r| route == r)
                };
                if status == 200 {
                    prop_assert!(route.is_some_and(known), "{:?} got {}", route, told);
                } else {
                    prop_assert!(told["errorCode"].is_string(), "{}", told);
                }
            }
        }
    }
}
