//! `seawall load run --mark`: marked load on a shop that sells, and its end where marks get lost.

use crate::shadow::{Both, REHEARSED, RUN, forgetful};
use crate::site::{Site, binary, command, run};
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;

/// A marked run: exit code, report, and how many orders the shadow took.
fn load(both: &Both, front: SocketAddr) -> (Option<i32>, Value, i64) {
    let session = both.session(REHEARSED);
    let scenario = both.site.path("s.yaml");
    let text = format!(
        "version: 1\nname: marked\ntarget: {{url: \"http://{front}\"}}\n\
         load: {{shape: {{constant: {{rate: 20, for: 1s}}}}}}\n\
         journeys: [{{name: j, steps: [{{request: {{name: order, method: POST, path: /v1/orders, \
         headers: {{authorization: \"Bearer {session}\", idempotency-key: \"${{uuid()}}\"}}, \
         json: {{lines: [{{sku: mug, quantity: 1}}]}}, expect: [201]}}}}]}}]\n"
    );
    fs::write(&scenario, text).unwrap();
    let key = both.site.data().join("mark.key");
    let mut command = command(&binary());
    command.args([
        "load",
        "run",
        "--json",
        "--quiet",
        "--mark",
        RUN,
        "--mark-key-file",
    ]);
    command
        .arg(key)
        .arg(&scenario)
        .arg("--out")
        .arg(both.site.path("out"));
    let ended = run(command);
    let accepted = both.verb(&["show"]).json()["orders_accepted"].clone();
    (ended.code, ended.json(), accepted.as_i64().unwrap())
}

#[test]
fn a_marked_run_stops_at_the_first_answer_that_does_not_acknowledge_it() {
    let site = Site::selling("mug", 500);
    let shop = site.up();
    let both = Both::proven(site, shop);
    let seq = both.shop.books()["seq"].clone();
    let lossy = forgetful(both.shop.front);
    let (code, report, accepted) = load(&both, lossy);
    assert_eq!(code, Some(2), "{report}");
    assert!(
        report.to_string().contains("did not acknowledge the mark"),
        "{report}"
    );
    assert_eq!(accepted, 1, "the canary's");
    // Other tests run beside it, so it may say that it was the limit itself.
    let (_, report, accepted) = load(&both, both.shop.front);
    assert!(
        !report.to_string().contains("did not acknowledge"),
        "{report}"
    );
    assert!((15..=21).contains(&accepted), "{accepted} orders: {report}");
    assert_eq!(
        both.shop.books()["seq"],
        seq,
        "no entry of the real journal"
    );
}
