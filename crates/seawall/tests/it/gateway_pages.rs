//! Pages that are rendered ahead, and answer when nobody else does.

use crate::gateway::{Gate, Upstream};
use crate::site::until;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const FILE: &str = "routes:\n\
    \x20 - {name: front, match: {path: {exact: /}}, target: {upstream: shop}, cache: {}}\n\
    \x20 - {name: rest, target: {upstream: shop}}\n\
    prerendered: [{name: home, path: /, every: 1s}]\n";

fn home() -> Upstream {
    let seen = |line: &str| match line.contains("GET / ") {
        true => "<h1>Welcome</h1>".to_owned(),
        false => "something else".to_owned(),
    };
    Upstream::new(move |request| (200, seen(&request.line)))
}

#[test]
fn a_page_survives_its_upstream_and_the_process() {
    let upstream = home();
    let mut gate = Gate::new(&format!("{FILE}{}", upstream.pool("shop", "")));
    until("the page is rendered", || {
        gate.seen("pages", "home")["state"] == "good"
    });
    let rendered = upstream.seen()[0].clone();
    assert_eq!(rendered.one("user-agent"), "seawall-prerender");
    // As long as the upstream answers, it is asked: the page may not be kept otherwise.
    let answer = gate.client().get("/");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "<h1>Welcome</h1>")
    );

    upstream.die();
    for _ in 0..50 {
        let answer = gate.client().get("/");
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "<h1>Welcome</h1>")
        );
        let status = answer.header("cache-status").unwrap();
        assert!(status.contains("prerendered"), "{status}");
    }
    gate.client().get("/other").refused(503, "upstream_down");
    until("the page that cannot be renewed shows it", || {
        let failed = "seawall_door_page_total{page=\"home\",what=\"failed\"}";
        gate.metric(failed) >= 1.0
    });
    assert!(gate.seen("pages", "home")["error"].is_string());

    gate.kill();
    gate.start();
    assert_eq!(gate.client().get("/").text(), "<h1>Welcome</h1>");
    assert!(gate.path("data/pages/home.page").is_file());
}

#[test]
fn pages_follow_the_configuration() {
    let ill = Arc::new(AtomicBool::new(false));
    let upstream = {
        let ill = Arc::clone(&ill);
        Upstream::new(move |_| match ill.load(Ordering::SeqCst) {
            true => (500, "ill".to_owned()),
            false => (200, "rendered".to_owned()),
        })
    };
    let without = FILE.replace("prerendered: [{name: home, path: /, every: 1s}]\n", "");
    let pool = upstream.pool("shop", "");
    let gate = Gate::new(&format!("{without}{pool}"));
    assert_eq!(gate.state()["pages"].as_array().unwrap().len(), 0);
    gate.write(&format!("{FILE}{pool}"));
    assert_eq!(gate.order("reload", &serde_json::json!({})).status, 200);
    until("a page that is new is rendered", || {
        gate.seen("pages", "home")["state"] == "good"
    });
    ill.store(true, Ordering::SeqCst);
    assert_eq!(gate.client().get("/").text(), "rendered");
    gate.write(&format!("{without}{pool}"));
    assert_eq!(gate.order("reload", &serde_json::json!({})).status, 200);
    assert_eq!(gate.client().get("/").status, 500, "no page any more");
}
