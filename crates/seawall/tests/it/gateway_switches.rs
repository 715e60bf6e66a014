//! What operators give up for a while, by hand.

use crate::gateway::{Gate, Upstream, by};
use crate::site::until;
use serde_json::json;

fn switched(upstream: &Upstream) -> Gate {
    let route = |name: &str, more: &str| {
        let path = format!("match: {{path: {{prefix: /{name}}}}}");
        format!("  - {{name: {name}, {path}, target: {{upstream: shop}}{more}}}\n")
    };
    let routes = format!(
        "routes:\n{}{}{}{}{}",
        route("search", ""),
        route("pages", ""),
        route("data", ""),
        route("rich", ""),
        route("product", ", features: [reviews, live-stock]")
    );
    let common = "owner: a team, reason: for a test, max_duration: 1h";
    let switches = format!(
        "switches:\n  version: 1\n  switches:\n\
         \x20   - {{name: shut, routes: [search], action: shed, {common}}}\n\
         \x20   - {{name: page, routes: [pages], action: static_page, file: page.html, {common}}}\n\
         \x20   - {{name: stub, routes: [data], action: stub, file: stub.json, {common}}}\n\
         \x20   - {{name: simple, routes: [rich], action: redirect, to: /simple, {common}}}\n\
         \x20   - {{name: no-reviews, feature: reviews, action: shield, {common}}}\n\
         \x20   - {{name: no-stock, feature: live-stock, action: shield, {common}}}\n"
    );
    let files = [
        ("page.html", "<p>Later.</p>"),
        ("stub.json", "{\"items\":[]}"),
    ];
    let pool = upstream.pool("shop", "");
    Gate::with_files(&format!("{routes}{pool}{switches}"), &files)
}

#[track_caller]
fn turn(gate: &Gate, name: &str, on: bool) {
    let answer = gate.order(&format!("switches/{name}"), &by(json!({"on": on})));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(gate.seen("switches", name)["on"], on);
}

#[test]
fn a_switch_answers_in_place_of_the_upstream_and_only_on_its_routes() {
    let upstream = Upstream::saying("ok");
    let gate = switched(&upstream);
    let mut client = gate.client();
    let paths = ["/search", "/pages", "/data", "/rich"];
    for path in paths {
        assert_eq!(client.get(path).text(), "ok");
    }
    for name in ["shut", "page", "stub", "simple"] {
        turn(&gate, name, true);
    }
    let asked = upstream.seen().len();
    let shut = client.get("/search");
    shut.refused(503, "switched_off");
    assert!(shut.header("retry-after").is_some());
    let page = client.get("/pages");
    assert_eq!(page.text(), "<p>Later.</p>");
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let stub = client.get("/data");
    assert_eq!((stub.status, stub.text().as_str()), (200, "{\"items\":[]}"));
    assert_eq!(stub.header("content-type"), Some("application/json"));
    let simple = client.get("/rich");
    assert_eq!(
        (simple.status, simple.header("location")),
        (302, Some("/simple"))
    );
    assert_eq!(upstream.seen().len(), asked, "the upstream is left alone");
    assert_eq!(gate.metric("seawall_door_by_switch_total"), 4.0);
    assert_eq!(gate.metric("seawall_door_switch_on{switch=\"shut\"}"), 1.0);
    // Not one of its routes.
    assert_eq!(client.get("/product").text(), "ok");

    for name in ["shut", "page", "stub", "simple"] {
        turn(&gate, name, false);
    }
    for path in paths {
        assert_eq!(client.get(path).text(), "ok");
    }
}

#[test]
fn services_hear_what_to_leave_out_from_the_door_alone() {
    let upstream = Upstream::saying("ok");
    let gate = switched(&upstream);
    let mut client = gate.client();
    let mut shielded = |path: &str| {
        let invented = [("Seawall-Shield", "everything")];
        client.send("GET", path, &invented, b"");
        let seen = upstream.last();
        let all = seen.all("seawall-shield").join(" | ");
        let mut names: Vec<String> = all.split(", ").map(str::to_owned).collect();
        names.sort();
        names.join(", ")
    };
    assert_eq!(shielded("/product"), "");
    turn(&gate, "no-reviews", true);
    assert_eq!(shielded("/product"), "reviews");
    turn(&gate, "no-stock", true);
    assert_eq!(shielded("/product"), "live-stock, reviews");
    assert_eq!(shielded("/search"), "");
    turn(&gate, "no-reviews", false);
    assert_eq!(shielded("/product"), "live-stock");
}

#[test]
fn a_switch_has_an_owner_a_reason_and_an_end() {
    let upstream = Upstream::saying("ok");
    let gate = switched(&upstream);
    let told = |order: serde_json::Value| {
        let answer = gate.order("switches/shut", &order);
        let detail = answer.json()["detail"].as_str().unwrap_or("").to_owned();
        (answer.status, detail)
    };
    // Order, status, a word of the answer.
    let rows = [
        (json!({"on": true, "owner": "a"}), 400, "reason"),
        (json!({"on": true, "reason": "b"}), 400, "owner"),
        (
            json!({"on": true, "owner": "", "reason": "b"}),
            422,
            "owner",
        ),
        (
            json!({"on": true, "owner": "a", "reason": ""}),
            422,
            "reason",
        ),
        (by(json!({"on": true, "seconds": 0})), 422, "seconds"),
        (
            by(json!({"on": true, "seconds": 3_601})),
            422,
            "max_duration",
        ),
        (by(json!({"on": true, "for": 5})), 400, "for"),
    ];
    for (order, status, word) in rows {
        let (found, detail) = told(order.clone());
        assert_eq!(found, status, "{order}: {detail}");
        assert!(detail.contains(word), "{order}: {detail}");
    }
    let unknown = gate.order("switches/nothing", &by(json!({"on": true})));
    assert_eq!(unknown.status, 404);
    assert_eq!(
        gate.client().get("/search").status,
        200,
        "none of them turned it"
    );

    assert_eq!(told(by(json!({"on": true, "seconds": 1}))).0, 200);
    assert_eq!(gate.client().get("/search").status, 503);
    until("it ends by itself", || {
        gate.client().get("/search").status == 200
    });
    assert_eq!(gate.seen("switches", "shut")["on"], false);
}
