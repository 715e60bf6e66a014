//! Requests that are kept for replay, without their secrets, while they pass by.

use crate::gateway::{Gate, Upstream};
use crate::http::{connect, read_answer};
use crate::site::until;
use gateway::recorder::{Record, read as records};
use std::fs::File;
use std::io::{BufReader, Write};
use std::os::unix::fs::PermissionsExt;

const ROUTES: &str = "listeners:\n\
    \x20 - {name: front, address: \"127.0.0.1:0\", limits: {body_bytes: 16MiB}}\n\
    routes: [{name: all, target: {upstream: shop}, body_bytes: 16MiB}]\n";

fn gate(upstream: &Upstream, recorder: &str) -> Gate {
    let pool = upstream.pool("shop", "");
    let recorder = format!("recorder: {{file: requests.jsonl, sample: 1{recorder}}}\n");
    Gate::new(&format!("{ROUTES}{pool}{recorder}"))
}

/// What is in the file once it has so many.
#[track_caller]
fn recorded(gate: &Gate, count: usize) -> Vec<Record> {
    let path = gate.path("requests.jsonl");
    let mut found = Vec::new();
    until(&format!("{count} requests are recorded"), || {
        let Ok(file) = File::open(&path) else {
            return false;
        };
        let read: Result<Vec<Record>, _> = records(BufReader::new(file)).collect();
        found = read.unwrap_or_default();
        found.len() == count
    });
    found
}

fn header<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    let found = record.headers.iter().find(|(other, _)| other == name);
    found.map(|(_, value)| value.as_str())
}

#[test]
fn a_recorded_request_has_all_but_its_secrets() {
    let upstream = Upstream::saying("thank you");
    let gate = gate(&upstream, ", bodies: whole, redact: [email]");
    let body = br#"{"units":2,"email":"ann@example.com","card":{"pan":"4111111111111111"}}"#;
    let headers = [
        ("Content-Type", "application/json"),
        ("Cookie", "session=very-secret"),
        ("Authorization", "Bearer very-secret"),
        ("Idempotency-Key", "key-1"),
        ("X-Color", "green"),
    ];
    let mut client = gate.client();
    let answer = client.send("POST", "/orders?sku=7&token=very-secret", &headers, body);
    assert_eq!((answer.status, answer.text().as_str()), (200, "thank you"));
    let seen = upstream.last();
    assert_eq!(seen.body.as_bytes(), body, "the upstream gets all of it");
    assert_eq!(seen.one("cookie"), "session=very-secret");
    assert_eq!(seen.one("content-length"), body.len().to_string());
    client.get("/page");
    let all = recorded(&gate, 2);
    let order = &all[0];
    assert_eq!(
        (order.method.as_str(), order.target.as_str()),
        ("POST", "/orders?sku=7&token=redacted")
    );
    assert_eq!(order.host.as_deref(), Some(gate.front.to_string().as_str()));
    assert_eq!(header(order, "cookie"), Some("[redacted]"));
    assert_eq!(header(order, "authorization"), Some("[redacted]"));
    assert_eq!(header(order, "x-color"), Some("green"));
    assert_ne!(header(order, "idempotency-key"), Some("key-1"));
    assert_eq!(order.body.length, body.len() as u64);
    assert_eq!(order.body.hash.as_ref().map(String::len), Some(64));
    let text = order.body.text.as_deref().unwrap();
    let text: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(text["units"], 2);
    assert_eq!(text["email"], "[redacted]");
    assert_eq!(text["card"]["pan"], "[redacted]");
    assert_eq!(order.status, Some(200));
    assert!(order.duration_us.is_some());
    assert_eq!((all[1].target.as_str(), all[1].body.length), ("/page", 0));
    assert_eq!(all[1].client, order.client, "one client is one client");

    let path = gate.path("requests.jsonl");
    let raw = std::fs::read_to_string(&path).unwrap();
    for secret in ["very-secret", "ann@example.com", "4111", "key-1"] {
        assert!(!raw.contains(secret), "{secret} in {raw}");
    }
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "only the owner reads it");
    assert_eq!(
        gate.metric("seawall_door_recorder_total{what=\"written\"}"),
        2.0
    );
}

#[test]
fn a_large_body_passes_by_in_parts_whatever_its_framing() {
    let upstream = Upstream::saying("ok");
    let gate = gate(&upstream, "");
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| b'a' + (n % 23) as u8).collect();
    let answer = gate.client().send("POST", "/upload", &[], &large);
    assert_eq!(answer.status, 200);
    assert_eq!(upstream.last().body.as_bytes(), large);
    // Announced, and refused before a byte is read.
    let mut stream = connect(gate.front).unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        17 << 20
    );
    stream.write_all(head.as_bytes()).unwrap();
    let (refused, _) = read_answer(&mut BufReader::new(&stream)).unwrap();
    refused.refused(413, "body_too_large");
    // Cut in the middle: the upstream must not take it for a whole one.
    let asked = upstream.seen().len();
    let mut stream = connect(gate.front).unwrap();
    let begun = "POST /cut HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc";
    stream.write_all(begun.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let all = recorded(&gate, 3);
    assert_eq!(all[0].body.length, large.len() as u64);
    assert!(all[0].body.text.is_none());
    assert_eq!((all[1].status, all[1].body.length), (Some(413), 0));
    let wholes = &upstream.seen()[asked..];
    assert!(
        wholes.iter().all(|seen| !seen.line.contains("/cut")),
        "{wholes:?}"
    );
}

#[test]
fn what_a_client_reads_is_waited_for_and_a_reload_loses_nothing() {
    // The second does not fit into the buffers of two sockets.
    let upstream = Upstream::new(|seen| match seen.line.contains("/left") {
        true => (200, "x".repeat(32_000_000)),
        false => (200, "x".repeat(2_000_000)),
    });
    let recorder = "recorder: {file: requests.jsonl, sample: 1}\n";
    let log = "access_log: {file: access.log}\n";
    let text = format!("{ROUTES}{}{recorder}{log}", upstream.pool("shop", ""));
    let gate = Gate::new(&text);
    assert_eq!(gate.client().get("/long").body.len(), 2_000_000);
    assert_eq!(recorded(&gate, 1)[0].status, Some(200));
    gate.write(&format!("{text}overload: {{enabled: false}}\n"));
    assert_eq!(gate.order("reload", &serde_json::json!({})).status, 200);
    // It goes away after the head, and before the end.
    let mut stream = connect(gate.front).unwrap();
    let head = "GET /left HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut first = [0; 1_000];
    std::io::Read::read_exact(&mut &stream, &mut first).unwrap();
    drop(stream);
    let all = recorded(&gate, 2);
    assert_eq!(
        (all[1].target.as_str(), all[1].status),
        ("/left", Some(200))
    );
    assert_eq!(all[0].client, all[1].client, "the key stayed");
    assert_eq!(
        gate.metric("seawall_door_recorder_total{what=\"written\"}"),
        2.0
    );
    let mut sent = Vec::new();
    until("both lines are in the access log", || {
        let text = std::fs::read_to_string(gate.path("access.log")).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let bytes = |line: serde_json::Value| line["bytes"].as_u64().unwrap();
        sent = lines.map(bytes).collect();
        sent.len() == 2
    });
    assert_eq!(sent[0], 2_000_000);
    assert!(sent[1] < 32_000_000, "{} bytes were sent", sent[1]);
}
