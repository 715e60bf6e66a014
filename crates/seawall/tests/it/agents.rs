//! Several real agents led as one: the same counts as one generator, and nothing sent twice; an
//! agent that is killed, a coordinator that is killed, a stranger, a stop rule that only the sum
//! breaks.

use crate::site::{binary, command, until};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const TOKEN: &str = "a-token-that-nobody-may-see";

type Seen = Arc<Mutex<BTreeMap<String, u64>>>;

/// Answers everything with 200; counts requests by path.
fn server() -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    let counted = Arc::clone(&seen);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, counted) = (client.unwrap(), Arc::clone(&counted));
            std::thread::spawn(move || {
                let mut bytes = [0; 2_048];
                // One request at a time comes on a connection, in one piece.
                while let Ok(read @ 1..) = client.read(&mut bytes) {
                    let head = String::from_utf8_lossy(&bytes[..read]);
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    *counted.lock().unwrap().entry(path).or_default() += 1;
                    let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
            });
        }
    });
    (url, seen)
}

fn count(seen: &Seen) -> u64 {
    seen.lock().unwrap().values().sum()
}

/// Killed with its value; what it says is kept.
struct Agent {
    child: Child,
    address: String,
    said: Arc<Mutex<String>>,
}

impl Agent {
    fn new(folder: &Path, more: &[&str]) -> Agent {
        let mut command = command(&binary());
        command.args(["agent", "--listen", "127.0.0.1:0", "--workers", "1"]);
        command.args(["--token-file", "token"]).args(more);
        let child = command.current_dir(folder).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut first = String::new();
        err.read_line(&mut first).unwrap();
        let address = first.trim().strip_prefix("agent listens on ");
        let address = address.expect(&first).to_owned();
        let said = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in err.lines().map_while(Result::ok) {
                *kept.lock().unwrap() += &(line + "\n");
            }
        });
        Agent {
            child,
            address,
            said,
        }
    }
    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder(url: &str, rate: u32, seconds: u32, more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "version: 1\nname: many\ntarget: {{url: \"{url}\"}}\n\
         load: {{shape: {{constant: {{rate: {rate}, for: {seconds}s}}}}}}\n\
         feeders: [{{name: ids, file: ids.csv, order: once, columns: {{id: id}}}}]\n\
         journeys: [{{name: j, steps: [{{feed: ids}}, \
         {{request: {{name: home, path: \"/${{id}}\"}}}}]}}]\n{more}"
    );
    fs::write(folder.path().join("s.yaml"), text).unwrap();
    let ids = (0..rate * seconds).map(|id| format!("{id}\n"));
    let ids = "id\n".to_owned() + &ids.collect::<String>();
    fs::write(folder.path().join("ids.csv"), ids).unwrap();
    fs::write(folder.path().join("token"), TOKEN).unwrap();
    folder
}

fn lead(folder: &Path, agents: &[&Agent]) -> std::process::Command {
    let addresses: Vec<&str> = agents.iter().map(|agent| agent.address.as_str()).collect();
    let mut command = command(&binary());
    command.args(["load", "run", "s.yaml", "--json", "--agents"]);
    command.arg(addresses.join(","));
    command.args(["--agent-token-file", "token"]);
    command.current_dir(folder);
    command
}

/// Exit code, report, stderr.
fn told(output: Output) -> (i32, Value, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(!err.contains(TOKEN) && !out.contains(TOKEN), "{err}");
    let report = serde_json::from_str(&out).unwrap_or(Value::Null);
    (output.status.code().unwrap_or(-1), report, err)
}

/// As one process would: all of the plan, each arrival and each row once, and no agent idle.
#[test]
fn two_agents_are_one_generator() {
    let (url, seen) = server();
    let folder = folder(&url, 60, 2, "thresholds: {http_reqs: [count==120]}\n");
    let agents = [
        Agent::new(folder.path(), &[]),
        Agent::new(folder.path(), &["--once"]),
    ];
    let output = lead(folder.path(), &[&agents[0], &agents[1]]).output();
    let (code, report, err) = told(output.unwrap());
    assert_eq!(code, 0, "{report:#}{err}");
    let load = &report["body"]["load"];
    assert_eq!(
        (&load["planned"], &load["arrived"]),
        (&120.into(), &120.into())
    );
    assert_eq!(report["body"]["total"]["ends"]["good"], 120);
    assert_eq!(report["body"]["total"]["latency_ms"]["count"], 120);
    assert_eq!(report["body"]["generator"]["workers"], 2);
    let seconds = report["body"]["seconds"].as_array().unwrap().iter();
    let arrived: Vec<u64> = seconds.map(|s| s["arrived"].as_u64().unwrap()).collect();
    assert_eq!((arrived[0], arrived[1]), (60, 60), "one clock: {arrived:?}");
    for agent in &agents {
        let remark = format!(
            "agent {}: 1 workers, 50 % of the plan, sent 60",
            agent.address
        );
        assert!(
            report["body"]["remarks"].to_string().contains(&remark),
            "{report:#}"
        );
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 120, "rows that are to be used once");
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");
    let [_, mut once] = agents;
    let mut status = None;
    until("the second ends with its coordinator", || {
        status = once.child.try_wait().unwrap();
        status.is_some()
    });
    assert!(status.unwrap().success(), "{}", once.said());
}

#[test]
fn an_agent_that_is_killed_is_in_the_verdict() {
    let (url, seen) = server();
    let folder = folder(&url, 50, 4, "");
    let mut agents = [
        Agent::new(folder.path(), &[]),
        Agent::new(folder.path(), &[]),
    ];
    let mut command = lead(folder.path(), &[&agents[0], &agents[1]]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let leader = command.spawn().unwrap();
    until("both send", || count(&seen) > 50);
    agents[1].child.kill().unwrap();
    let (code, report, err) = told(leader.wait_with_output().unwrap());
    assert_eq!(
        (code, &report["verdict"]),
        (2, &"none".into()),
        "{report:#}{err}"
    );
    let invalid = report["body"]["generator"]["invalid"].to_string();
    let wanted = format!("agent {} was lost", agents[1].address);
    assert!(
        invalid.contains(&wanted) && invalid.contains("50 %"),
        "{invalid}"
    );
    // The other one went on to the end: at least its half, and not what nobody sent.
    let (sent, planned) = (count(&seen), report["body"]["load"]["planned"].as_u64());
    assert!((120..190).contains(&sent), "{sent}: {report:#}");
    assert_eq!(planned, Some(200));
    assert!(
        agents[0].said().contains("is over: 100 arrivals"),
        "{}",
        agents[0].said()
    );
}

#[test]
fn without_its_coordinator_an_agent_stops() {
    let (url, seen) = server();
    let folder = folder(&url, 50, 60, "");
    let mut agent = Agent::new(folder.path(), &["--once"]);
    let mut command = lead(folder.path(), &[&agent]);
    let mut leader = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("it sends", || count(&seen) > 20);
    leader.kill().unwrap();
    leader.wait().unwrap();
    let begun = Instant::now();
    let mut status = None;
    until("it has ended", || {
        status = agent.child.try_wait().unwrap();
        status.is_some()
    });
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(status.unwrap().code(), Some(2));
    assert!(
        agent.said().contains("the coordinator is gone"),
        "{}",
        agent.said()
    );
    assert!(count(&seen) < 1_000);
}

#[test]
fn strangers_are_refused_and_change_nothing() {
    let (url, seen) = server();
    let folder = folder(&url, 20, 1, "");
    let agent = Agent::new(folder.path(), &[]);
    let mut stranger = TcpStream::connect(&agent.address).unwrap();
    stranger
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    let _ = stranger.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.contains("this is no talk between"), "{answer}");
    fs::write(folder.path().join("token"), "another-token-of-somebody").unwrap();
    let (code, _, err) = told(lead(folder.path(), &[&agent]).output().unwrap());
    assert_eq!(code, 64, "{err}");
    let wanted = format!("agent {} refuses: its token is not the one", agent.address);
    assert!(err.contains(&wanted), "{err}");
    assert_eq!(count(&seen), 0);
    fs::write(folder.path().join("token"), TOKEN).unwrap();
    // One that is busy: the same agent twice.
    let (code, _, err) = told(lead(folder.path(), &[&agent, &agent]).output().unwrap());
    assert_eq!(code, 64, "{err}");
    assert!(err.contains("already has a coordinator"), "{err}");
    assert_eq!(count(&seen), 0);
    let (code, report, err) = told(lead(folder.path(), &[&agent]).output().unwrap());
    assert_eq!((code, count(&seen)), (0, 20), "{report:#}{err}");
    assert!(!agent.said().contains(TOKEN) && !agent.said().contains("another-token"));
}

/// Each agent alone would keep to it.
#[test]
fn a_stop_rule_is_about_all_together() {
    let (url, seen) = server();
    let rule = "stop: [{figures: {metric: http_reqs, threshold: rate<45, over: 1s}}]\n";
    let folder = folder(&url, 60, 30, rule);
    let agents = [
        Agent::new(folder.path(), &[]),
        Agent::new(folder.path(), &[]),
    ];
    let begun = Instant::now();
    let output = lead(folder.path(), &[&agents[0], &agents[1]]).output();
    let (code, report, err) = told(output.unwrap());
    assert_eq!(code, 2, "{report:#}{err}");
    assert!(
        report["body"]["remarks"].to_string().contains("rate<45"),
        "{report:#}"
    );
    // One second that breaks it, and three until all have stopped.
    assert!(
        count(&seen) <= 60 * 4,
        "{} after {:?}",
        count(&seen),
        begun.elapsed()
    );
}

#[test]
fn agents_over_tls_are_those_of_ones_own_authority() {
    let (url, seen) = server();
    let folder = folder(&url, 20, 1, "");
    let path = folder.path();
    for name in ["agent", "other"] {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let pem = |what: &str, der: &[u8]| {
            let body = STANDARD.encode(der);
            format!("-----BEGIN {what}-----\n{body}\n-----END {what}-----\n")
        };
        let cert = pem("CERTIFICATE", made.cert.der());
        fs::write(path.join(format!("{name}.pem")), cert).unwrap();
        let key = pem("PRIVATE KEY", &made.signing_key.serialize_der());
        fs::write(path.join(format!("{name}.key")), key).unwrap();
    }
    let agent = Agent::new(path, &["--tls-cert", "agent.pem", "--tls-key", "agent.key"]);
    let by = |authority: &str| {
        let mut command = lead(path, &[&agent]);
        told(
            command
                .args(["--agent-ca-file", authority])
                .output()
                .unwrap(),
        )
    };
    let (code, _, err) = by("other.pem");
    assert!(
        code == 1 && err.contains("no TLS came about"),
        "{code} {err}"
    );
    let (code, report, err) = by("agent.pem");
    assert_eq!((code, count(&seen)), (0, 20), "{report:#}{err}");
}
