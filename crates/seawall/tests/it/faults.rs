//! Faults of processes and disks by the real binary: each is undone when its end comes, and when
//! whoever wanted it is killed.

use crate::full_disk::Mounted;
use crate::http::Client;
use crate::site::{binary, command, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

/// A process that is killed with its value.
struct Running(Child);

impl Running {
    fn new(mut command: Command) -> Running {
        Running(command.spawn().unwrap())
    }
    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }
    fn id(&self) -> String {
        self.0.id().to_string()
    }
    /// R, S, T and so on; none for one that is gone.
    fn state(&self) -> Option<char> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    }
    fn stands_still(&self) -> bool {
        self.state() == Some('T')
    }
    fn line(&mut self) -> String {
        let mut line = String::new();
        let out = self.0.stdout.as_mut().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
    fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("the process has ended", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn faults(words: &[&str]) -> Running {
    let mut command = command(&binary());
    command.arg("faults").args(words).stdout(Stdio::piped());
    Running::new(command)
}

fn sleeper() -> Running {
    let mut sleep = Command::new("sleep");
    sleep.arg("600");
    let sleeper = Running::new(sleep);
    until("it runs", || matches!(sleeper.state(), Some('S')));
    sleeper
}

fn watcher_of(pid: u32) -> Pid {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let child = children.split_whitespace().next().expect("a watcher");
    Pid::from_raw(child.parse().unwrap()).unwrap()
}

#[test]
fn a_stopped_process_goes_on_at_the_end() {
    let sleeper = sleeper();
    let started = Instant::now();
    let mut controller = faults(&["stop", "--pid", &sleeper.id(), "--for", "700ms"]);
    assert_eq!(controller.line(), "on");
    until("it stands still", || sleeper.stands_still());
    until("it goes on", || !sleeper.stands_still());
    let lasted = started.elapsed();
    assert!(
        lasted >= Duration::from_millis(700) && lasted < Duration::from_secs(5),
        "{lasted:?}"
    );
    assert!(controller.ended().success());
}

#[test]
fn a_stopped_process_goes_on_when_its_controller_is_killed() {
    let sleeper = sleeper();
    let mut controller = faults(&["stop", "--pid", &sleeper.id(), "--for", "10m"]);
    assert_eq!(controller.line(), "on");
    until("it stands still", || sleeper.stands_still());
    controller.0.kill().unwrap();
    let started = Instant::now();
    until("it goes on", || !sleeper.stands_still());
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_controller_that_stands_still_itself_holds_nothing_beyond_the_lease() {
    let sleeper = sleeper();
    let mut controller = faults(&["stop", "--pid", &sleeper.id(), "--for", "700ms"]);
    assert_eq!(controller.line(), "on");
    kill_process(controller.pid(), Signal::STOP).unwrap();
    until("it goes on", || !sleeper.stands_still());
    assert!(controller.stands_still());
}

#[test]
fn a_watcher_that_is_killed_leaves_the_rest_to_its_controller() {
    let sleeper = sleeper();
    let mut controller = faults(&["stop", "--pid", &sleeper.id(), "--for", "10m"]);
    assert_eq!(controller.line(), "on");
    kill_process(watcher_of(controller.0.id()), Signal::KILL).unwrap();
    until("it goes on", || !sleeper.stands_still());
    assert_eq!(controller.ended().code(), Some(1));
}

#[test]
fn a_killed_process_is_gone() {
    let mut sleeper = sleeper();
    assert!(faults(&["kill", "--pid", &sleeper.id()]).ended().success());
    assert!(!sleeper.ended().success());
}

#[test]
fn what_cannot_be_is_refused() {
    let own = std::process::id().to_string();
    let rows: [(&[&str], i32); 5] = [
        (&["kill", "--pid", "1"], 1),
        (&["stop", "--pid", "1", "--for", "1s"], 1),
        (&["kill", "--pid", &own], 1),
        (&["stop", "--pid", "99999999", "--for", "1s"], 1),
        (&["stop", "--pid", &own, "--for", "1 year"], 64),
    ];
    for (words, code) in rows {
        let mut command = command(&binary());
        command.arg("faults").args(words);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
        assert!(!output.stderr.is_empty());
    }
}

fn free(path: &Path) -> u64 {
    let stat = rustix::fs::statvfs(path).unwrap();
    stat.f_bfree * stat.f_frsize
}

#[test]
fn a_full_disk_is_given_back() {
    let outside = tempfile::tempdir().unwrap();
    let disk = match Mounted::new(outside.path().join("disk")) {
        Ok(disk) => disk,
        Err(why) => return println!("skipped: no tmpfs can be mounted here: {}", why.trim()),
    };
    let (path, leave) = (disk.path(), (2 * MIB).to_string());
    let before = free(path);
    let words = [
        "fill",
        path.to_str().unwrap(),
        "--leave-bytes",
        &leave,
        "--for",
    ];
    let long = [&words[..], &["10m"]].concat();
    let short = [&words[..], &["700ms"]].concat();

    let mut controller = faults(&short);
    assert_eq!(controller.line(), "on");
    assert!(
        (1..=2 * MIB).contains(&free(path)),
        "{} bytes are free",
        free(path)
    );
    assert!(controller.ended().success());
    assert_eq!(free(path), before);

    // Killed in the middle; and what others give back meanwhile is taken, too.
    fs::write(path.join("big"), vec![1; 8 * MIB as usize]).unwrap();
    let mut controller = faults(&long);
    assert_eq!(controller.line(), "on");
    fs::remove_file(path.join("big")).unwrap();
    until("it is full again", || free(path) <= 2 * MIB);
    controller.0.kill().unwrap();
    until("it is given back", || free(path) == before);

    // Even with the watcher killed.
    let mut controller = faults(&long);
    assert_eq!(controller.line(), "on");
    kill_process(watcher_of(controller.0.id()), Signal::KILL).unwrap();
    until("it is given back", || free(path) == before);
    assert_eq!(
        fs::read_dir(path).unwrap().count(),
        0,
        "nothing is left behind"
    );
}

#[test]
fn the_file_system_of_everybody_is_not_filled_unasked() {
    let mut command = command(&binary());
    command.args(["faults", "fill", "/", "--for", "1s"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--anywhere"), "{said}");
}

#[test]
fn the_proxy_serves_its_file_and_ends_when_asked() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxies.json");
    let list = json!([{"name": "u", "upstream": upstream.local_addr().unwrap().to_string()}]);
    fs::write(&file, list.to_string()).unwrap();
    let config = file.to_str().unwrap();
    let words = [
        "--listen",
        "127.0.0.1:0",
        "--lease",
        "10s",
        "--config",
        config,
        "--log",
        "warn",
    ];
    let mut server = faults(&words);
    let said = server.line();
    let control = said
        .strip_prefix("control")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let mut client = Client::new(control);
    let proxies = client.get("/proxies").json();
    let listen = proxies["u"]["listen"].as_str().unwrap();
    drop(TcpStream::connect(listen).unwrap());
    upstream.accept().unwrap();
    kill_process(server.pid(), Signal::TERM).unwrap();
    assert!(server.ended().success());

    let mut wrong = faults(&["--listen", "0.0.0.0:0"]);
    assert_eq!(wrong.ended().code(), Some(64));
}
