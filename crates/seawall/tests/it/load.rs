//! `seawall load` on a server of the test: reports, verdicts, and what is refused before anything
//! is sent.

use crate::site::{binary, command};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Answers everything with 200; counts requests.
fn server() -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, counted) = (client.unwrap(), Arc::clone(&counted));
            std::thread::spawn(move || {
                // One request at a time comes on a connection, in one piece.
                while matches!(client.read(&mut [0; 2_048]), Ok(read) if read > 0) {
                    counted.fetch_add(1, Ordering::Relaxed);
                    let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
            });
        }
    });
    (url, count)
}

fn scenario(folder: &Path, url: &str, more: &str) {
    let text = format!(
        "version: 1\nname: two\ntarget: {{url: \"{url}\"}}\n\
         load: {{shape: {{constant: {{rate: 50, for: 2s}}}}}}\n\
         journeys: [{{name: j, steps: [{{request: {{name: home, path: /}}}}]}}]\n{more}"
    );
    fs::write(folder.join("s.yaml"), text).unwrap();
}

/// Exit code, stdout, stderr.
fn load(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = command(&binary());
    let done = command.arg("load").args(args).current_dir(folder).output();
    let done = done.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        done.status.code().unwrap(),
        text(done.stdout),
        text(done.stderr),
    )
}

/// The same, again while it says that the generator was the limit: other tests run beside it.
fn judged(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let mut done = load(folder, args);
    for _ in 0..3 {
        if done.0 != 2 {
            break;
        }
        done = load(folder, args);
    }
    done
}

#[test]
fn a_run_is_sent_as_planned_reported_and_judged() {
    let (url, count) = server();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    scenario(path, &url, "thresholds: {http_reqs: [count==100]}\n");
    let (code, out, err) = judged(path, &["run", "s.yaml", "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(count.load(Ordering::Relaxed) % 100, 0, "{out}{err}");
    assert_eq!(report["verdict"], "holds");
    assert!(err.contains("2 s") && err.contains("good"), "{err}");
    for file in ["load.json", "load.html", "load.junit.xml"] {
        assert!(path.join("out").join(file).exists(), "{file}");
    }
    scenario(path, &url, "thresholds: {http_reqs: [count>100]}\n");
    let (code, out, _) = judged(path, &["run", "s.yaml", "--quiet"]);
    assert_eq!(code, 99);
    assert!(out.contains("BROKEN"), "{out}");
}

#[test]
fn a_bound_on_the_search_is_a_lower_bound_of_the_answer() {
    let (url, _) = server();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    scenario(path, &url, "");
    let bounds = ["--start", "20", "--max", "40", "--quick", "--json"];
    let args = [&["find", "s.yaml", "--slo", "p50<5s"][..], &bounds].concat();
    let (code, out, err) = judged(path, &args);
    assert_eq!(code, 0, "{out}{err}");
    assert!(err.contains("at least 40.0/s"), "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["kind"], "find", "{out}");
}

#[test]
fn a_generator_that_is_held_up_says_that_it_was_the_limit() {
    let (url, count) = server();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    scenario(path, &url, "thresholds: {http_reqs: [count>1]}\n");
    let text = fs::read_to_string(path.join("s.yaml")).unwrap();
    let text = text.replace("rate: 50, for: 2s", "rate: 500, for: 3s");
    fs::write(path.join("s.yaml"), text).unwrap();
    let mut command = command(&binary());
    command.args(["load", "run", "s.yaml", "--json", "--quiet"]);
    let child = command
        .current_dir(path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    while count.load(Ordering::Relaxed) == 0 {
        std::thread::yield_now();
    }
    // A thief who takes it from the processor for half of the time: whatever it is (a quota, a
    // neighbour, a sleeping machine), the kernel counts no waiting for it.
    let signal = |name: &str| {
        let pid = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    };
    for _ in 0..4 {
        signal("-STOP");
        std::thread::park_timeout(Duration::from_millis(200));
        signal("-CONT");
        std::thread::park_timeout(Duration::from_millis(200));
    }
    let done = child.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(
        (done.status.code(), &report["verdict"]),
        (Some(2), &"none".into())
    );
    let why = report["body"]["generator"]["invalid"].to_string();
    assert!(why.contains("more than 10 ms late"), "{why}");
}

#[test]
fn what_cannot_be_done_is_said_before_anything_is_sent() {
    let (url, count) = server();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    scenario(path, &url, "extra: 1\n");
    let (code, _, err) = load(path, &["run", "s.yaml"]);
    assert_eq!(code, 64);
    assert!(err.contains("s.yaml:6") && err.contains("extra"), "{err}");
    scenario(path, &url, "");
    for (args, wanted) in [
        (
            vec!["run", "s.yaml", "--url", "ftp://127.0.0.1"],
            "ftp://127.0.0.1",
        ),
        (vec!["find", "s.yaml", "--slo", "p99<200"], "p99<200"),
        (vec!["run", "none.yaml"], "none.yaml"),
        (
            vec!["find", "none.js", "--slo", "p99<1s", "--driver", "k6"],
            "none.js",
        ),
        (
            vec!["find", "s.yaml", "--slo", "refused<1%", "--driver", "k6"],
            "refusals",
        ),
        (
            vec![
                "find",
                "s.yaml",
                "--slo",
                "p99<1s",
                "--metrics",
                "http://127.0.0.1:9",
            ],
            "--metrics",
        ),
    ] {
        let (code, _, err) = load(path, &args);
        assert_eq!(code, 64, "{args:?}: {err}");
        assert!(err.contains(wanted), "{args:?}: {err}");
    }
    assert_eq!(count.load(Ordering::Relaxed), 0);
    // A target that does not speak what the scenario wants.
    let (other, _) = server();
    scenario(path, &other, "");
    let text = fs::read_to_string(path.join("s.yaml")).unwrap();
    fs::write(path.join("s.yaml"), text.replace("\"}", "\", http: 2}")).unwrap();
    let (code, _, err) = load(path, &["run", "s.yaml"]);
    assert_eq!(code, 64, "{err}");
    assert!(
        err.contains("target.http") && err.contains("HTTP/2"),
        "{err}"
    );
}

#[test]
fn a_note_for_another_machine_is_signed_with_a_key_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let args = ["token", "http://127.0.0.1:9", "--ceiling", "500"];
    let (code, note, _) = load(path, &args);
    assert_eq!(code, 0);
    let begin = "seawall-load v1 127.0.0.1:9 ceiling=500 until=";
    assert!(note.starts_with(begin) && note.contains(" mac="), "{note}");
    let key = fs::metadata(path.join(".seawall/load.key")).unwrap();
    use std::os::unix::fs::PermissionsExt;
    assert_eq!((key.len(), key.permissions().mode() & 0o777), (32, 0o600));
    let (_, again, _) = load(path, &args);
    let mac = |note: &str| note.split(" mac=").nth(1).unwrap().to_owned();
    // The same second or not: the same key, so the same length at least and another text if not.
    assert_eq!(mac(&note).len(), mac(&again).len());
}
