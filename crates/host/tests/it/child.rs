//! This test binary started again as a process of its own, for what two ends in one process
//! cannot show: its signals, its exit, its memory, its descriptors.

use crate::support::{Server, raise_descriptors};
use host::{Drain, Exit};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

const ROLE: &str = "HOST_TEST_ROLE";

/// What a child prints for its parent begins with this; the test harness prints too.
const MARK: &str = "child: ";

pub struct Process {
    pub process: Child,
    stdin: Option<ChildStdin>,
    lines: BufReader<std::process::ChildStdout>,
}

impl Process {
    pub fn start(role: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "child::plays_its_role",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        Process {
            stdin: process.stdin.take(),
            process,
            lines,
        }
    }

    /// The next thing the child says.
    pub fn says(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(
                self.lines.read_line(&mut line).unwrap(),
                0,
                "the child ended silently"
            );
            if let Some((_, said)) = line.split_once(MARK) {
                return said.trim_end().to_owned();
            }
        }
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Lets it end and waits for that.
    pub fn end(&mut self) -> ExitStatus {
        drop(self.stdin.take());
        self.process.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.process.kill();
        }
        self.end();
    }
}

fn say(what: impl std::fmt::Display) {
    println!("\n{MARK}{what}");
    std::io::stdout().flush().unwrap();
}

fn until_parent_lets_go() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Does nothing unless this process was started as a child.
#[test]
fn plays_its_role() {
    match std::env::var(ROLE).as_deref() {
        Ok("server") => {
            raise_descriptors();
            let server = Server::start(|o| {
                o.workers = 2;
                o.first_byte_ms = 120_000;
            });
            say(server.addr);
            until_parent_lets_go();
        }
        Ok("door") => {
            raise_descriptors();
            // One worker, so that whoever keeps it busy keeps everybody waiting.
            let server = Server::start(|o| {
                o.http2 = true;
                (o.header_ms, o.first_byte_ms, o.write_stall_ms) = (1_000, 1_500, 1_000);
            });
            say(server.addr);
            until_parent_lets_go();
        }
        Ok("signals") => signals(),
        Ok(other) => panic!("no role {other:?}"),
        Err(_) => {}
    }
}

fn signals() {
    let drain = Drain::new();
    host::signals::watch(drain.clone(), || say("reloaded")).unwrap();
    say("watching");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(drain.begun());
    say("draining");
    until_parent_lets_go();
    std::process::exit(Exit::Good as i32);
}
