//! Recordings through the binary: what the gateway wrote is read, planned and compared; the exit
//! codes are those that scripts rely on.

use crate::gateway::{Gate, Upstream};
use crate::site::{binary, command, until};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Exit code, stdout, stderr.
fn seawall(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let done = command(&binary())
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        done.status.code().unwrap(),
        text(done.stdout),
        text(done.stderr),
    )
}

/// One minute in which so many clients each ask these.
fn log(clients: usize, targets: &[&str]) -> String {
    let line = |client: usize, second: usize, target: &str| {
        format!(
            "10.0.0.{client} - - [17/May/2015:10:05:{second:02} +0000] \"GET {target} HTTP/1.1\" \
             200 12 \"-\" \"x\"\n"
        )
    };
    let of = |client| {
        targets
            .iter()
            .enumerate()
            .map(move |(at, target)| line(client, at, target))
    };
    (1..=clients).flat_map(of).collect()
}

#[test]
fn what_the_gateway_wrote_is_understood() {
    let upstream = Upstream::saying("thank you");
    let pool = upstream.pool("shop", "");
    let gate = Gate::new(&format!(
        "routes: [{{name: all, target: {{upstream: shop}}}}]\n{pool}\
         recorder: {{file: requests.jsonl, sample: 1, bodies: whole}}\n\
         access_log: {{file: access.log}}\n"
    ));
    let json = [
        ("Content-Type", "application/json"),
        ("Cookie", "sid=very-secret"),
    ];
    let mut client = gate.client();
    client.send(
        "POST",
        "/orders?sku=7",
        &json,
        br#"{"units":2,"pin":"very-secret"}"#,
    );
    client.get("/products/77");
    client.get("/products/78");
    let folder = gate.path("");
    let lines = |name: &str| {
        fs::read_to_string(gate.path(name))
            .unwrap_or_default()
            .lines()
            .count()
    };
    until("three requests are recorded and logged", || {
        lines("requests.jsonl") == 3 && lines("access.log") == 3
    });
    for (file, format) in [("requests.jsonl", "recorder"), ("access.log", "json")] {
        let (code, out, err) = seawall(&folder, &["traffic", "show", file, "--json"]);
        assert_eq!(code, 0, "{err}");
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(report["format"], format);
        assert_eq!(
            (&report["understood"], &report["statuses"]["200"]),
            (&3.into(), &3.into())
        );
        assert_eq!(report["refused"], Value::Array(Vec::new()));
        assert_eq!(report["endpoints"]["GET /products/{n}"], 2, "{report}");
        assert_eq!(report["clients"]["count"], 1, "{report}");
    }
    let (code, out, err) = seawall(
        &folder,
        &["traffic", "plan", "requests.jsonl", "--speed", "10"],
    );
    assert_eq!(code, 0, "{err}");
    let planned: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((planned.len(), &planned[0]["at_us"]), (3, &0.into()));
    assert_eq!(planned[0]["target"], "/orders?sku=7");
    assert_eq!(
        planned[0]["buyer"], planned[2]["buyer"],
        "one client is one buyer"
    );
    let body: Value = serde_json::from_str(planned[0]["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["units"], 2);
    assert!(
        !out.contains("cookie") && !out.contains("very-secret"),
        "{out}"
    );
    // Both files tell the same requests, so each covers the other.
    let args = [
        "coverage",
        "requests.jsonl",
        "access.log",
        "--json",
        "--min",
        "100",
    ];
    let (_, out, _) = seawall(&folder, &args);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["dimensions"][0]["percent"], 100.0, "{report}");
}

#[test]
fn the_gate_and_its_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    put(
        "whole.log",
        &log(20, &["/", "/products/7?page=2", "/basket"]),
    );
    put("part.log", &log(5, &["/", "/products/9?page=3"]));
    put("noise.log", "hello\nworld\n");
    put(
        "broken.yaml",
        "endpoints: [{endpoint: nonsense}, {endpoint: GET x}]\n",
    );
    put(
        "list.yaml",
        "endpoints: [{endpoint: GET /}, {endpoint: \"GET /products/{sku}\"}]\n",
    );
    let scenario = |steps: &str| {
        format!(
            "version: 1\nname: s\ntarget: {{url: \"http://127.0.0.1:1\"}}\n\
             load: {{shape: {{constant: {{rate: 1, for: 1s}}}}}}\n\
             journeys: [{{name: j, steps: [{steps}]}}]\n"
        )
    };
    let all = "{request: /}, {request: \"/products/8?page=2\"}, {request: /basket}";
    put("whole.yaml", &scenario(all));
    put("part.yaml", &scenario("{request: /}"));
    put("wrong.yaml", &scenario("{nothing: /}"));
    #[rustfmt::skip]
    let cases: &[(&[&str], i32, &str)] = &[
        // arguments, exit code, said on either side
        (&["whole.log", "whole.log", "--min", "100"], 0,  "coverage 100.0 %"),
        (&["whole.log", "part.log", "--min", "65"],   0,  "GET /basket"),
        (&["whole.log", "part.log", "--min", "95"],   99, "below the gate of 95 %"),
        (&["whole.log", "part.log"],                  0,  "GET /basket"),
        (&["whole.log", "list.yaml", "--min", "90"],  99, "GET /basket"),
        (&["whole.log", "whole.yaml", "--min", "100"], 0, "coverage 100.0 %"),
        (&["whole.log", "part.yaml", "--min", "65"],  99, "GET /basket"),
        (&["whole.log", "wrong.yaml"],                64, "wrong.yaml:5: journeys[0].steps[0]"),
        (&["whole.log", "noise.log", "--run-format", "combined"], 2, "nothing could be compared"),
        (&["whole.log", "noise.log"],                 64, "noise.log: its format is not recognised"),
        (&["whole.log", "absent.log"],                64, "absent.log"),
        (&["whole.log", "broken.yaml"],               64, "endpoints[1]"),
        (&["whole.log", "part.log", "--min", "many"], 64, "expected 0 to 100"),
        (&["whole.log"],                              64, "RUN"),
    ];
    for (args, expected, said) in cases {
        let args: Vec<&str> = ["coverage"].iter().chain(*args).copied().collect();
        let (code, out, err) = seawall(folder.path(), &args);
        assert_eq!(code, *expected, "{args:?}: {out}{err}");
        assert!(format!("{out}{err}").contains(said), "{args:?}: {out}{err}");
    }
}

#[test]
fn rates_and_refused_lines() {
    let folder = tempfile::tempdir().unwrap();
    let text = log(3, &["/a", "/b", "/c"]) + "nonsense\n" + &log(1, &["/d"]);
    fs::write(folder.path().join("some.log"), text).unwrap();
    let (code, out, err) = seawall(folder.path(), &["traffic", "rate", "some.log"]);
    assert_eq!(
        (code, out.as_str()),
        (0, "second,requests\n0,4\n1,3\n2,3\n")
    );
    assert!(err.contains("some.log: line 10: expected"), "{err}");
    let (_, out, _) = seawall(
        folder.path(),
        &["traffic", "rate", "some.log", "--speed", "0.5"],
    );
    assert_eq!(out.lines().count(), 7, "{out}");
    let (code, out, _) = seawall(folder.path(), &["traffic", "show", "some.log"]);
    assert_eq!(code, 0);
    for said in ["not this format", "lines 10:", "2015-05-17T10", "GET /a"] {
        assert!(out.contains(said), "{said}: {out}");
    }
    let (code, _, err) = seawall(
        folder.path(),
        &["traffic", "plan", "some.log", "--speed", "0"],
    );
    assert_eq!(code, 64, "{err}");
    let rules = "substitute: {rules: [{query: a}]}\n";
    fs::write(folder.path().join("rules.yaml"), rules).unwrap();
    let args = ["traffic", "plan", "some.log", "--substitute", "rules.yaml"];
    let (code, _, err) = seawall(folder.path(), &args);
    assert!(code == 64 && err.contains("rules.yaml: rules[0]"), "{err}");
}
