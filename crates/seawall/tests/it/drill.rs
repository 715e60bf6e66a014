//! Rehearsal files by the real binary: a fault decides a verdict, one that cannot be made leaves
//! none, and when the runner is killed its fault ends by itself.

use crate::site::{Ended, binary, command, run, until};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// Runs on a busy machine until the generator was not the limit.
const TRIES: usize = 3;

fn examples() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/rehearsal")
}

/// The example for anybody's services, with one piece of it replaced, run to its end.
fn any(folder: &Path, from: &str, to: &str) -> (Ended, Value) {
    let text = fs::read_to_string(examples().join("any.yaml")).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(folder.join("any.yaml"), text.replacen(from, to, 1)).unwrap();
    fs::copy(
        examples().join("scenario.yaml"),
        folder.join("scenario.yaml"),
    )
    .unwrap();
    let again = || {
        let mut command = command(&binary());
        command.args(["rehearse", "any.yaml", "--json", "--quiet"]);
        command.current_dir(folder);
        let ended = run(command);
        let report = serde_json::from_str(&ended.out).unwrap_or(Value::Null);
        (ended, report)
    };
    // A machine that others use may make the generator the limit; then it says so, and nothing
    // else can be seen.
    let limited = |report: &Value| {
        let first = &report["body"]["expectations"][0];
        first["what"] == "the generator was the limit" && first["holds"] == false
    };
    let mut tried = again();
    for _ in 0..TRIES {
        if !limited(&tried.1) {
            break;
        }
        tried = again();
    }
    tried
}

#[test]
fn a_fault_decides_the_verdict_and_the_same_without_it_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let (mild, report) = any(folder.path(), "latency: 100ms", "latency: 100ms");
    assert_eq!(mild.code, Some(0), "{mild:?}");
    let fault = &report["body"]["drill"]["faults"][0];
    assert_eq!(
        (&fault["name"], &fault["problem"]),
        (&"slow".into(), &Value::Null)
    );
    let p99 = |part: &str| fault[part]["p99_ms"].as_f64().unwrap();
    assert!(p99("during") >= 100.0 && p99("before") < 100.0, "{fault}");
    let page = fs::read_to_string(folder.path().join("out/rehearsal.html")).unwrap();
    assert!(
        page.contains("<title>slow</title>"),
        "the fault is marked in charts"
    );

    let (hard, report) = any(folder.path(), "latency: 100ms", "latency: 700ms");
    assert_eq!(hard.code, Some(99), "{hard:?}");
    let broken: Vec<&str> = report["body"]["expectations"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["holds"] == false)
        .map(|one| one["what"].as_str().unwrap())
        .collect();
    assert!(
        broken.contains(&"visitors are served all the time"),
        "{broken:?}"
    );
    let junit = fs::read_to_string(folder.path().join("out/rehearsal.junit.xml")).unwrap();
    assert!(junit.contains("<failure message=\"found 7"), "{junit}");
}

#[test]
fn a_fault_that_cannot_be_made_leaves_no_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let full = "fill: {folder: /proc/self}";
    let (ended, report) = any(
        folder.path(),
        "delay: {upstream: web, latency: 100ms}",
        full,
    );
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let problem = report["body"]["drill"]["faults"][0]["problem"].as_str();
    assert!(
        problem.unwrap().contains("could not be made"),
        "{problem:?}"
    );
}

#[test]
fn mistakes_come_with_their_lines_before_anything_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let (ended, _) = any(
        folder.path(),
        "http_req_failed: [rate<0.01]",
        "checks: [rate>0.9]",
    );
    ended.said(64, &["any.yaml:", "checks has no figures by the second"]);
}

/// Answers everything with 200 and two bytes.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            std::thread::spawn(move || {
                while matches!(client.read(&mut [0; 2_048]), Ok(read) if read > 0) {
                    let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
            });
        }
    });
    address
}

#[test]
fn a_fault_ends_by_itself_when_the_runner_is_killed() {
    let (folder, server) = (tempfile::tempdir().unwrap(), server());
    let proxy = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let text = format!(
        "version: 1\nname: lease\n\
         subject: {{services: [{{name: s, ready: \"http://{server}/\"}}]}}\n\
         upstreams: [{{name: s, address: \"{server}\", listen: \"{proxy}\"}}]\n\
         load: {{scenario: s.yaml}}\nfaults:\n\
         \x20 - {{name: cut, from: 0s, for: 50s, what: {{disconnect: {{upstream: s}}}}}}\n"
    );
    fs::write(folder.path().join("r.yaml"), text).unwrap();
    let scenario = format!(
        "version: 1\nname: s\ntarget: {{url: \"http://{server}\"}}\n\
         load: {{shape: {{constant: {{rate: 5, for: 60s}}}}}}\n\
         journeys: [{{name: j, steps: [{{request: {{name: home, path: /}}}}]}}]\n"
    );
    fs::write(folder.path().join("s.yaml"), scenario).unwrap();
    let mut command = command(&binary());
    command
        .args(["rehearse", "r.yaml"])
        .current_dir(folder.path());
    let mut runner = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(runner.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("fault cut") {
        line.clear();
        assert!(
            said.read_line(&mut line).unwrap() > 0,
            "it ended before the fault"
        );
    }
    let answers = || {
        let mut stream = std::net::TcpStream::connect(proxy).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: s\r\n\r\n")
            .ok()?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).ok()?;
        (&answer == b"HTTP/1.1 200").then_some(())
    };
    assert_eq!(answers(), None, "the fault is on");
    runner.kill().unwrap();
    runner.wait().unwrap();
    until("the fault has ended by itself", || answers().is_some());
}
