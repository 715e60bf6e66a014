//! Another configuration while everything runs: whole or not at all, and nobody notices.

use crate::gateway::{BUYERS, Gate, Load, Upstream};
use serde_json::json;

/// Two good versions that differ in nearly everything but where requests go.
fn version(upstream: &Upstream, other: bool) -> String {
    let (more, pool_more, rate) = match other {
        false => ("", "", "burst: 1000000"),
        true => (
            "  - {name: extra, match: {path: {prefix: /extra}}, target: {redirect: {to: /}}}\n",
            ", timeouts: {head: 20s}, breaker: {consecutive: 30}",
            "burst: 1000000, mode: shadow",
        ),
    };
    let routes = format!("routes:\n{more}  - {{name: all, target: {{upstream: all}}}}\n");
    let rules = format!(
        "limits:\n  version: 1\n  rules:\n\
         \x20   - {{name: kept, key: [buyer], rate: 1/h, burst: 5}}\n\
         \x20   - {{name: changing, key: [address], rate: 1000/s, {rate}}}\n"
    );
    format!("{BUYERS}{routes}{}{rules}", upstream.pool("all", pool_more))
}

#[test]
fn a_thousand_swaps_under_load_cost_no_request() {
    let upstream = Upstream::saying("ok");
    let gate = Gate::new(&version(&upstream, false));
    let mut ann = gate.buyer("ann");
    assert!((0..5).all(|_| ann.get("/").status == 200));
    assert_eq!(ann.get("/").status, 429);

    let load = Load::on(gate.front, "/", 4);
    load.await_more("ok", 100);
    let mut operator = gate.operator();
    for swap in 0..1_000 {
        gate.write(&version(&upstream, swap % 2 == 0));
        let answer = operator.send("POST", "/operator/door/reload", &[], b"");
        assert_eq!(answer.status, 200, "swap {swap}: {}", answer.text());
        assert_eq!(answer.json(), json!({"reloaded": true}));
        // Requests between any two versions.
        if swap % 50 == 0 {
            load.await_more("ok", 4);
        }
    }
    load.await_more("ok", 100);
    let told = load.end();
    assert_eq!(told.keys().collect::<Vec<_>>(), ["ok"], "{told:?}");
    // The files' watcher may have swapped some more.
    assert!(gate.metric("seawall_door_reloads_total") >= 1_000.0);
    assert_eq!(gate.metric("seawall_door_reloads_refused_total"), 0.0);
    // What Ann used up stays used up, and the counters went on.
    assert_eq!(ann.get("/").status, 429);
    let rule = gate.seen("rules", "kept");
    assert_eq!(
        (&rule["allowed"], &rule["refused"]),
        (&5.into(), &2.into()),
        "{rule}"
    );
}

#[test]
fn a_bad_file_changes_nothing_and_is_told_with_its_line() {
    let upstream = Upstream::saying("ok");
    let gate = Gate::new(&version(&upstream, false));
    let before = gate.state();
    let bad = version(&upstream, false).replace("rate: 1/h, burst: 5", "rate: often, burst: 5");
    let bad = bad.replace("target: {upstream: all}", "target: {upstream: al}");
    gate.write(&bad);
    let answer = gate.order("reload", &json!({}));
    assert_eq!(answer.status, 422, "{}", answer.text());
    let told = answer.json()["detail"].as_str().unwrap().to_owned();
    let file = std::fs::read_to_string(gate.path("gateway.yaml")).unwrap();
    let line = |text: &str| 1 + file.lines().position(|line| line.contains(text)).unwrap();
    // Both at once, each with its line.
    for text in ["rate: often", "upstream: al}"] {
        let at = format!("gateway.yaml:{}", line(text));
        assert!(told.contains(&at), "no {at} in {told}");
    }
    assert!(gate.metric("seawall_door_reloads_refused_total") >= 1.0);
    assert_eq!(gate.client().get("/").status, 200);
    assert_eq!(gate.state()["routes"], before["routes"]);

    // Put straight, it is taken by itself: files are watched.
    gate.write(&version(&upstream, true));
    crate::site::until("the change is noticed", || {
        gate.state()["routes"] != before["routes"]
    });
    assert_eq!(gate.client().get("/extra").status, 302);
}

#[test]
fn only_operators_may_swap() {
    let upstream = Upstream::saying("ok");
    let gate = Gate::new(&version(&upstream, false));
    let mut stranger = crate::http::Client::bearer(gate.admin, "guessed");
    let answer = stranger.send("POST", "/operator/door/reload", &[], b"");
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(gate.metric("seawall_door_reloads_total"), 0.0);
}
