//! Reports of other tools through the binary: what is shown, compared and refused, with the exit
//! codes that scripts rely on.

use crate::site::{binary, command};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Exit code, stdout, stderr.
fn seawall(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = command(&binary());
    let done = command.args(args).current_dir(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        done.status.code().unwrap(),
        text(done.stdout),
        text(done.stderr),
    )
}

/// Thirty seconds of fifty samples around `ms`.
fn jtl(ms: u64) -> String {
    let mut out = "timeStamp,elapsed,label,responseCode,success\n".to_owned();
    for at in 0..30u64 {
        for place in 0..50 {
            let (start, elapsed) = (at * 1_000 + place * 10, ms + (place * 37 + at * 53) % 17);
            out.push_str(&format!("{start},{elapsed},home,200,true\n"));
        }
    }
    out
}

fn k6(crossed: bool) -> String {
    format!(
        "{{\"metrics\": {{\"http_reqs\": {{\"count\": 9, \"rate\": 3}}, \"http_req_duration\": \
         {{\"p(95)\": 50, \"thresholds\": {{\"p(95)<45\": {crossed}}}}}}}}}"
    )
}

#[test]
fn other_peoples_reports_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (name, text, code) in [
        ("fast.jtl", jtl(20), 0),
        ("held.json", k6(false), 0),
        ("crossed.json", k6(true), 99),
    ] {
        fs::write(path.join(name), text).unwrap();
        let (got, out, err) = seawall(path, &["report", "show", name, "--json"]);
        assert_eq!(got, code, "{name}: {err}");
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(report["exit_code"], code);
    }
    let files = ["--html", "p.html", "--junit", "j.xml"];
    let args = [&["report", "show", "crossed.json"][..], &files].concat();
    let (code, out, _) = seawall(path, &args);
    assert_eq!(code, 99);
    assert!(out.contains("p(95)<45") && out.contains("BROKEN"), "{out}");
    let junit = fs::read_to_string(path.join("j.xml")).unwrap();
    assert!(junit.contains("failures=\"1\""), "{junit}");
    let page = fs::read_to_string(path.join("p.html")).unwrap();
    assert!(page.contains("p(95)&lt;45"), "{page}");
}

#[test]
fn what_is_no_report_is_wrong_usage_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (name, text, wanted) in [
        (
            "x.jtl",
            "<?xml version=\"1.0\"?>",
            "x.jtl: line 1: this is XML",
        ),
        (
            "y.jtl",
            "timeStamp,elapsed,label,success\n1,x,a,true\n",
            "y.jtl: line 2: elapsed",
        ),
        ("z.json", "{\n", "z.json: line "),
        (
            "e.json",
            "{\"kind\": \"rehearsal\"}",
            "expected load or find",
        ),
    ] {
        fs::write(path.join(name), text).unwrap();
        let (code, out, err) = seawall(path, &["report", "show", name]);
        assert_eq!((code, out.as_str()), (64, ""), "{name}");
        assert!(err.contains(wanted), "{err}");
    }
    let (code, ..) = seawall(path, &["report", "show", "nowhere.json"]);
    assert_eq!(code, 64);
}

#[test]
fn comparisons_say_what_is_more_than_chance() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("fast.jtl"), jtl(20)).unwrap();
    fs::write(path.join("slow.jtl"), jtl(60)).unwrap();
    fs::write(path.join("k6.json"), k6(false)).unwrap();
    let of = |a: &str, b: &str| seawall(path, &["report", "compare", a, b]);
    for (a, b, code, word) in [
        ("fast.jtl", "fast.jtl", 0, "not significantly worse"),
        ("fast.jtl", "slow.jtl", 99, "significant: worse"),
        ("slow.jtl", "fast.jtl", 0, "significant: better"),
        (
            "fast.jtl",
            "k6.json",
            2,
            "not comparable: measured by different tools",
        ),
        ("fast.jtl", "nowhere", 64, ""),
    ] {
        let (got, out, err) = of(a, b);
        assert_eq!(got, code, "{a} {b}: {out}{err}");
        assert!(out.contains(word), "{out}");
    }
    let args = ["report", "compare", "fast.jtl", "slow.jtl", "--json"];
    let (_, out, _) = seawall(path, &args);
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(said["differences"][0]["test"], "mann_whitney", "{said}");
    assert_eq!(said["verdict"], "broken");
}
