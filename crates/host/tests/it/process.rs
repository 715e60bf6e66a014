//! Signals, exit codes and the ports file.

use crate::child::Process;
use host::{Exit, ready_file};
use rustix::process::Signal;
use std::net::SocketAddr;

#[test]
fn a_first_signal_drains_a_second_ends_at_once() {
    for (first, second) in [(Signal::TERM, Signal::INT), (Signal::INT, Signal::TERM)] {
        let mut child = Process::start("signals");
        assert_eq!(child.says(), "watching");
        child.signal(first);
        assert_eq!(child.says(), "draining");
        child.signal(second);
        assert_eq!(
            child.process.wait().unwrap().code(),
            Some(Exit::Failed as i32)
        );
    }
}

#[test]
fn hangup_reloads_as_often_as_it_comes_and_ends_nothing() {
    let mut child = Process::start("signals");
    assert_eq!(child.says(), "watching");
    for _ in 0..2 {
        child.signal(Signal::HUP);
        assert_eq!(child.says(), "reloaded");
    }
    child.signal(Signal::TERM);
    assert_eq!(child.says(), "draining");
    assert_eq!(child.end().code(), Some(Exit::Good as i32));
}

#[test]
fn exit_codes_are_the_promised_ones() {
    let promised = [
        (Exit::Good, 0),
        (Exit::Failed, 1),
        (Exit::NoVerdict, 2),
        (Exit::Usage, 64),
        (Exit::Bad, 99),
    ];
    for (exit, code) in promised {
        let as_code = std::process::ExitCode::from(exit);
        assert_eq!(as_code, std::process::ExitCode::from(code), "{exit:?}");
    }
}

#[test]
fn the_ports_file_tells_where_it_listens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ports.json");
    let listen: SocketAddr = "127.0.0.1:4321".parse().unwrap();
    let admin: SocketAddr = "[::1]:4322".parse().unwrap();
    std::fs::write(&path, "an older one").unwrap();
    ready_file::write(&path, &[("listen", listen), ("admin", admin)]).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["listen"], "127.0.0.1:4321");
    assert_eq!(json["admin"], "[::1]:4322");
    assert_eq!(json["pid"], std::process::id());
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing left beside it"
    );

    let nowhere = folder.path().join("no/ports.json");
    let error = ready_file::write(&nowhere, &[]).unwrap_err().to_string();
    assert!(error.contains("no/ports.json"), "{error}");
}
