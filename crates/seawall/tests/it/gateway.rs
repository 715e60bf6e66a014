//! The front door alone: gateways that are started on files of their own, upstreams that do what a
//! test tells them, and clients that keep asking. It must not know how the door decides.

use crate::http::{Answer, Client};
use crate::site::{binary, command, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Listeners on free ports; what a test writes stands below.
const HEAD: &str = "version: 1\nworkers: 2\n";
const ADMIN: &str = "admin: {address: \"127.0.0.1:0\"}\n";
const FRONT: &str = "listeners: [{name: front, address: \"127.0.0.1:0\"}]\n";
/// Then buyers are whoever X-User-Id says.
pub const BUYERS: &str =
    "trusted_proxies: [127.0.0.1/32]\nidentity: {buyer: [{header: X-User-Id}]}\n";

/// A running `seawall gateway` with its folder.
pub struct Gate {
    folder: tempfile::TempDir,
    child: Option<Child>,
    pub front: SocketAddr,
    pub admin: SocketAddr,
}

impl Gate {
    #[track_caller]
    pub fn new(rest: &str) -> Gate {
        Gate::with_files(rest, &[])
    }
    /// With files beside the gateway's.
    #[track_caller]
    pub fn with_files(rest: &str, files: &[(&str, &str)]) -> Gate {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let nowhere = "127.0.0.1:1".parse().unwrap();
        let mut gate = Gate {
            folder,
            child: None,
            front: nowhere,
            admin: nowhere,
        };
        gate.write(rest);
        gate.start();
        gate
    }
    /// The whole gateway file anew.
    pub fn write(&self, rest: &str) {
        let front = if rest.contains("listeners:") {
            ""
        } else {
            FRONT
        };
        let admin = if rest.contains("admin:") { "" } else { ADMIN };
        // At once, as editors and deployments do it.
        let beside = self.path("gateway.new");
        fs::write(&beside, format!("{HEAD}{admin}{front}{rest}")).unwrap();
        fs::rename(beside, self.path("gateway.yaml")).unwrap();
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
    /// On the same folder as before; ports that were 0 are others.
    #[track_caller]
    pub fn start(&mut self) {
        let ports = self.path("ports");
        // Of a process before this one.
        let _ = fs::remove_file(&ports);
        let err = File::create(self.path("log")).unwrap();
        let mut command = command(&binary());
        command.arg("gateway").arg(self.path("gateway.yaml"));
        command.arg("--data").arg(self.path("data"));
        command.arg("--ports-file").arg(&ports);
        let mut child = command.stdout(Stdio::null()).stderr(err).spawn().unwrap();
        let mut status = None;
        until("the gateway answers", || {
            status = child.try_wait().unwrap();
            status.is_some() || ports.exists()
        });
        let said = fs::read_to_string(self.path("log")).unwrap();
        assert!(status.is_none(), "the gateway ended, {status:?}: {said}");
        let found: Value = serde_json::from_slice(&fs::read(&ports).unwrap()).unwrap();
        let addr = |name: &str| found[name].as_str().unwrap().parse().unwrap();
        (self.front, self.admin) = (addr("front"), addr("admin"));
        self.child = Some(child);
    }
    pub fn client(&self) -> Client {
        Client::new(self.front)
    }
    pub fn buyer(&self, buyer: &str) -> Client {
        self.client().with("X-User-Id", buyer)
    }
    pub fn operator(&self) -> Client {
        let token = fs::read_to_string(self.path("data/operator.token")).unwrap();
        Client::bearer(self.admin, token.trim())
    }
    #[track_caller]
    pub fn order(&self, path: &str, body: &Value) -> Answer {
        let json = [("Content-Type", "application/json")];
        let path = format!("/operator/door/{path}");
        self.operator()
            .send("POST", &path, &json, body.to_string().as_bytes())
    }
    /// Everything that operators see.
    #[track_caller]
    pub fn state(&self) -> Value {
        let answer = self.operator().get("/operator/door");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }
    /// What operators see of the one with this name in a list.
    #[track_caller]
    pub fn seen(&self, list: &str, name: &str) -> Value {
        let state = self.state();
        let rows = state[list].as_array().unwrap();
        let found = rows
            .iter()
            .find(|row| row["name"] == name || row["upstream"] == name);
        found.unwrap_or_else(|| panic!("{name} in {state}")).clone()
    }
    #[track_caller]
    pub fn metric(&self, line: &str) -> f64 {
        let text = self.operator().get("/metrics").text();
        let found = text.lines().find_map(|found| found.strip_prefix(line));
        let value = found.unwrap_or_else(|| panic!("no {line} in {text}"));
        value.trim().parse().unwrap()
    }
    /// What the process holds in memory now.
    #[track_caller]
    pub fn resident_bytes(&self) -> u64 {
        let pid = self.child.as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.unwrap().split_whitespace().nth(1).unwrap();
        kib.parse::<u64>().unwrap() * 1_024
    }
    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(self.child.as_ref().unwrap());
        rustix::process::kill_process(pid, signal).unwrap();
    }
    pub fn pause(&self) {
        self.signal(rustix::process::Signal::STOP);
    }
    pub fn go_on(&self) {
        self.signal(rustix::process::Signal::CONT);
    }
    pub fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }
    /// As `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended already.
            let _ = child.kill();
            child.wait().unwrap();
        }
    }
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let child = self.child.as_mut().unwrap();
        let mut status = None;
        until("the gateway ends", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            let from = log.len().saturating_sub(4_000);
            let tail = String::from_utf8_lossy(&log.as_bytes()[from..]).into_owned();
            eprintln!("--- log of the gateway:\n{tail}");
        }
        self.kill();
    }
}

/// A request as the upstream saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Seen {
    /// All values of this name, in their order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let fits = self
            .headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        fits.map(|(_, value)| value.as_str()).collect()
    }
    /// The only value of this name.
    #[track_caller]
    pub fn one(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} in {self:?}");
        all[0]
    }
}

/// A server whose answers a test makes: a status and a body for each request.
pub struct Upstream {
    pub addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    alive: Arc<AtomicBool>,
}

/// Status, further lines of the head, each with its end, and the body.
pub type Said = (u16, String, String);

impl Upstream {
    pub fn new(answer: impl Fn(&Seen) -> (u16, String) + Send + Sync + 'static) -> Upstream {
        Upstream::saying_all(move |seen| {
            let (status, body) = answer(seen);
            (status, String::new(), body)
        })
    }
    pub fn saying_all(answer: impl Fn(&Seen) -> Said + Send + Sync + 'static) -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, book) = (Arc::new(answer), Arc::clone(&seen));
        let alive = Arc::new(AtomicBool::new(true));
        let lives = Arc::clone(&alive);
        // Both kinds of threads end with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if !lives.load(Ordering::SeqCst) {
                    return;
                }
                let (answer, book) = (Arc::clone(&answer), Arc::clone(&book));
                let lives = Arc::clone(&lives);
                std::thread::spawn(move || serve(stream, &*answer, &book, &lives));
            }
        });
        Upstream { addr, seen, alive }
    }
    /// From now on nobody listens, and who is connected gets no answer.
    pub fn die(&self) {
        self.alive.store(false, Ordering::SeqCst);
        until("nobody listens", || TcpStream::connect(self.addr).is_err());
    }
    /// One that always says the same.
    pub fn saying(text: &'static str) -> Upstream {
        Upstream::new(move |_| (200, text.to_owned()))
    }
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
    #[track_caller]
    pub fn last(&self) -> Seen {
        self.seen().last().expect("the upstream was asked").clone()
    }
    /// As it stands in a gateway file, with more of its keys.
    pub fn pool(&self, name: &str, more: &str) -> String {
        pool(name, self.addr, more)
    }
}

pub fn pool(name: &str, addr: SocketAddr, more: &str) -> String {
    format!("upstreams:\n  - {{name: {name}, peers: [{{address: \"{addr}\"}}]{more}}}\n")
}

fn serve(
    stream: TcpStream,
    answer: &dyn Fn(&Seen) -> Said,
    book: &Mutex<Vec<Seen>>,
    alive: &AtomicBool,
) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut stream = BufReader::new(stream);
    loop {
        let seen = read(&mut stream)?;
        if !alive.load(Ordering::SeqCst) {
            return None;
        }
        book.lock().unwrap().push(seen.clone());
        let (status, more, body) = answer(&seen);
        let head = format!(
            "HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n{more}",
            body.len()
        );
        let hop = "X-Hop: mine\r\nConnection: keep-alive, X-Hop\r\nX-End: yours\r\n\r\n";
        let whole = format!("{head}{hop}{body}");
        stream.get_mut().write_all(whole.as_bytes()).ok()?;
    }
}

fn read(stream: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut lines = lines.into_iter();
    let line = lines.next()?;
    let split = |line: String| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().to_owned()))
    };
    let mut seen = Seen {
        line,
        headers: lines.filter_map(split).collect(),
        body: String::new(),
    };
    let length = seen.all("content-length").first().map_or("0", |text| text);
    let mut body = vec![0; length.parse().ok()?];
    stream.read_exact(&mut body).ok()?;
    seen.body = String::from_utf8_lossy(&body).into_owned();
    Some(seen)
}

/// A place where requests wait until a test lets them go.
#[derive(Default)]
pub struct Barrier {
    open: AtomicBool,
}

impl Barrier {
    pub fn wait(&self) {
        until("the test opens the barrier", || {
            self.open.load(Ordering::SeqCst)
        });
    }
    pub fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}

/// Clients that ask again and again; what they were told, counted.
pub struct Load {
    stop: Arc<AtomicBool>,
    told: Arc<Mutex<BTreeMap<String, u64>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn on(front: SocketAddr, path: &'static str, clients: usize) -> Load {
        let (stop, told) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let one = || {
            let (stop, told) = (Arc::clone(&stop), Arc::clone(&told));
            std::thread::spawn(move || ask(front, path, &stop, &told))
        };
        let threads = (0..clients).map(|_| one()).collect();
        Load {
            stop,
            told,
            threads,
        }
    }
    pub fn told(&self, what: &str) -> u64 {
        let told = self.told.lock().unwrap();
        told.get(what).copied().unwrap_or(0)
    }
    /// Waits until so many more were told this.
    #[track_caller]
    pub fn await_more(&self, what: &str, more: u64) {
        let from = self.told(what);
        until(&format!("{more} more clients are told {what}"), || {
            self.told(what) >= from + more
        });
    }
    /// All that was told, once everybody has their last answer.
    pub fn end(self) -> BTreeMap<String, u64> {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().unwrap();
        }
        self.told.lock().unwrap().clone()
    }
}

fn ask(front: SocketAddr, path: &str, stop: &AtomicBool, told: &Mutex<BTreeMap<String, u64>>) {
    let mut client = Client::new(front);
    while !stop.load(Ordering::SeqCst) {
        let what = match client.try_send("GET", path, &[], b"") {
            Ok(answer) if answer.status == 200 => answer.text(),
            Ok(answer) => answer.status.to_string(),
            Err(error) => format!("{:?}", error.kind()),
        };
        *told.lock().unwrap().entry(what).or_default() += 1;
    }
}

/// An order of an operator, with who and why.
pub fn by(mut order: Value) -> Value {
    order["owner"] = json!("duty officer");
    order["reason"] = json!("a test");
    order
}
