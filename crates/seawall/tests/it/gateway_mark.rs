//! Marks of rehearsals: ours go through, all others end at the door.

use crate::gateway::{Gate, Upstream};
use crate::site::{now_ms, until};
use gateway::mark::{Marks, RunId};
use serde_json::Value;
use std::fs;

const KEY: &[u8; 32] = b"a secret of exactly 32 bytes, ok";
const ROUTES: &str = "routes:\n\
    \x20 - {name: kept, match: {path: {prefix: /kept}}, target: {upstream: shop}, \
    cache: {mode: fixed, ttl: 1h}}\n\
    \x20 - {name: all, target: {upstream: shop}}\n";

fn mark(key: &[u8; 32], run: &str, expiry_s: u64) -> String {
    let signed = Marks::of_key(key).sign(&RunId::new(run).unwrap(), expiry_s);
    signed.unwrap().to_str().unwrap().to_owned()
}

fn told(gate: &Gate, upstream: &Upstream, marks: &[&str]) -> Vec<String> {
    let headers: Vec<_> = marks.iter().map(|mark| ("Seawall-Mark", *mark)).collect();
    let answer = gate.client().send("GET", "/", &headers, b"");
    assert_eq!(answer.status, 200, "whoever it is, the request is served");
    let seen = upstream.last();
    seen.all("seawall-mark")
        .into_iter()
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_good_mark_goes_through_and_every_other_one_is_taken_out() {
    let upstream = Upstream::saying("ok");
    let rest = "mark: {key_files: [mark.key]}\naccess_log: {file: access.log}\n";
    let text = format!("{ROUTES}{}{rest}", upstream.pool("shop", ""));
    let key = std::str::from_utf8(KEY).unwrap();
    let gate = Gate::with_files(&text, &[("mark.key", key)]);
    let now_s = now_ms() / 1_000;
    let good = mark(KEY, "run-7", now_s + 3_600);
    assert_eq!(
        told(&gate, &upstream, &[&good]),
        std::slice::from_ref(&good)
    );

    let expired = mark(KEY, "run-7", now_s - 1);
    let foreign = mark(b"another secret, also of 32 bytes", "run-7", now_s + 3_600);
    let renamed = good.replace("run-7", "run-8");
    for marks in [
        vec![expired.as_str()],
        vec![foreign.as_str()],
        vec![renamed.as_str()],
        vec!["yes"],
        vec![good.as_str(), good.as_str()],
    ] {
        assert!(told(&gate, &upstream, &marks).is_empty(), "{marks:?}");
    }
    assert!(told(&gate, &upstream, &[]).is_empty());
    for (what, count) in [("marked", 1.0), ("expired", 1.0), ("forged", 4.0)] {
        let line = format!("seawall_door_marks_total{{what=\"{what}\"}}");
        assert_eq!(gate.metric(&line), count, "{what}");
    }
    // The keys are read anew; what was counted stays.
    assert_eq!(gate.order("reload", &serde_json::json!({})).status, 200);
    assert_eq!(
        told(&gate, &upstream, &[&good]),
        std::slice::from_ref(&good)
    );
    assert_eq!(
        gate.metric("seawall_door_marks_total{what=\"marked\"}"),
        2.0
    );

    let log = gate.path("access.log");
    let mut lines = Vec::new();
    until("all is in the access log", || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        lines = text.lines().map(str::to_owned).collect();
        lines.len() == 8
    });
    let runs = lines.iter().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["run"].as_str().map(str::to_owned)
    });
    let mut runs: Vec<_> = runs.flatten().collect();
    runs.sort();
    assert_eq!(runs, ["run-7", "run-7"], "two were of a rehearsal");
}

#[test]
fn without_a_key_no_mark_is_believed() {
    let upstream = Upstream::saying("ok");
    let gate = Gate::new(&format!("{ROUTES}{}", upstream.pool("shop", "")));
    let good = mark(KEY, "run-7", now_ms() / 1_000 + 3_600);
    assert!(told(&gate, &upstream, &[&good]).is_empty());
    assert_eq!(
        gate.metric("seawall_door_marks_total{what=\"forged\"}"),
        1.0
    );
}

#[test]
fn what_a_rehearsal_sees_is_never_given_to_anybody_else() {
    let upstream = Upstream::new(|seen| {
        let shadow = !seen.all("seawall-mark").is_empty();
        (200, if shadow { "shadow" } else { "shop" }.to_owned())
    });
    let rest = "mark: {key_files: [mark.key]}\n";
    let text = format!("{ROUTES}{}{rest}", upstream.pool("shop", ""));
    let gate = Gate::with_files(&text, &[("mark.key", std::str::from_utf8(KEY).unwrap())]);
    let mark = mark(KEY, "run-7", now_ms() / 1_000 + 3_600);
    let marked = || {
        let headers = [("Seawall-Mark", mark.as_str())];
        gate.client().send("GET", "/kept", &headers, b"").text()
    };
    let plain = || gate.client().get("/kept").text();
    assert_eq!(
        (marked(), plain()),
        ("shadow".to_owned(), "shop".to_owned())
    );
    assert_eq!(
        (marked(), plain()),
        ("shadow".to_owned(), "shop".to_owned())
    );
    assert_eq!(upstream.seen().len(), 2, "each kept, and kept apart");
}
