//! The crash test: SIGKILL at random moments under load, audited from what buyers heard and what
//! the journal holds. `SEAWALL_CRASH_ROUNDS` says how many kills; a few by default.

use crate::site::{Site, binary, command};
use serde_json::Value;
use std::time::Duration;

const ROUNDS_DEFAULT: u32 = 3;
const SECONDS_PER_ROUND: u32 = 2;
/// Starting, planning, and an audit of everything in the end.
const BESIDE: Duration = Duration::from_secs(240);

#[test]
fn crash_rounds_lose_no_acknowledged_order() {
    let rounds = match std::env::var("SEAWALL_CRASH_ROUNDS") {
        Ok(text) => text.parse().expect("SEAWALL_CRASH_ROUNDS is a number"),
        Err(_) => ROUNDS_DEFAULT,
    };
    let site = Site::empty();
    let mut rehearse = command(&binary());
    rehearse.current_dir(site.folder.path());
    rehearse.args([
        "rehearse",
        "--json",
        "--quiet",
        "--crash-rounds",
        &rounds.to_string(),
    ]);
    rehearse.args(["--round-seconds", &SECONDS_PER_ROUND.to_string()]);
    rehearse.arg("--keep").arg(site.path("kept"));
    let flood = Duration::from_secs(u64::from(rounds * SECONDS_PER_ROUND) * 3);
    let ended = crate::site::run_within(rehearse, flood + BESIDE);
    let report: Value = serde_json::from_str(&ended.out).unwrap_or(Value::Null);
    let failing = failing(&report);
    assert_eq!(ended.code, Some(0), "failing: {failing:#?}\n{}", ended.err);
    assert!(failing.is_empty(), "{failing:#?}");
}

/// The innermost objects of the report that say of themselves that they do not hold.
fn failing(report: &Value) -> Vec<Value> {
    match report {
        Value::Array(items) => items.iter().flat_map(failing).collect(),
        Value::Object(fields) => {
            let within: Vec<Value> = fields.values().flat_map(failing).collect();
            let bad = fields.get("holds") == Some(&Value::Bool(false));
            if bad && within.is_empty() {
                vec![report.clone()]
            } else {
                within
            }
        }
        _ => Vec::new(),
    }
}
