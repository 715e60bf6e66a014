//! A folder with a shop's data and configuration, and the processes that are started on it. A shop
//! that is dropped is killed; when its test fails, its log is shown.

use crate::http::Client;
use sale::BuyerId;
use serde_json::{Value, json};
use shop::Sessions;
use std::fs::{self, File};
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// Longest wait for a process or a state.
const PATIENCE: Duration = Duration::from_secs(60);
/// Small files and a quick bank, so that a test costs little.
const QUIET: &str = "journal: {segment_mib: 1, reserve_mib: 1}\n";
const QUICK_BANK: &str = "payment: {sandbox: {delay_ms_median: 1, decline_share: 0, \
                          unknown_share: 0}}\n";

pub fn binary() -> PathBuf {
    std::env::var_os("SEAWALL_BIN").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_seawall")),
        PathBuf::from,
    )
}

/// The binary without the caller's settings.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SEAWALL_") {
            command.env_remove(name);
        }
    }
    command
}

pub fn now_ms() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}

#[track_caller]
pub fn until(what: &str, holds: impl FnMut() -> bool) {
    until_within(PATIENCE, what, holds);
}

#[track_caller]
fn until_within(patience: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < patience, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A product at ten euros that is on sale now.
pub fn product(sku: &str, stock: u32) -> Value {
    json!({"sku": sku, "title": format!("Product {sku}"), "price_minor": 1000, "stock": stock})
}

/// What a process said before it ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
    /// Ended with this code, and said all these words on stderr.
    #[track_caller]
    pub fn said(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "no {word:?} in {:?}", self.err);
        }
        assert!(!self.err.contains("panicked"), "{:?}", self.err);
    }
}

/// Runs a command to its end; one that does not end has failed.
#[track_caller]
pub fn run(command: Command) -> Ended {
    run_within(command, PATIENCE)
}

#[track_caller]
pub fn run_within(mut command: Command, patience: Duration) -> Ended {
    let (out, err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command.stdin(Stdio::null());
    command
        .stdout(out.try_clone().unwrap())
        .stderr(err.try_clone().unwrap());
    let mut child = Killed(command.spawn().unwrap());
    let mut status = None;
    until_within(patience, "the command ends", || {
        status = child.0.try_wait().unwrap();
        status.is_some()
    });
    Ended {
        code: status.and_then(|s| s.code()),
        out: whole(out),
        err: whole(err),
    }
}

fn whole(mut file: File) -> String {
    use std::io::Seek;
    file.rewind().unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One data folder and what is started on it.
pub struct Site {
    pub folder: tempfile::TempDir,
    data: PathBuf,
}

impl Site {
    pub fn empty() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let site = Site { folder, data };
        site.configure(QUICK_BANK);
        site
    }
    /// A site whose data folder lies elsewhere.
    pub fn at(data: PathBuf) -> Site {
        Site {
            data,
            ..Site::empty()
        }
    }
    pub fn new(products: &[Value]) -> Site {
        let site = Site::empty();
        site.import(products);
        site
    }
    pub fn selling(sku: &str, stock: u32) -> Site {
        Site::new(&[product(sku, stock)])
    }
    /// Settings beside those that every test has.
    pub fn configure(&self, more: &str) {
        let bank = if more.contains("payment:") {
            ""
        } else {
            QUICK_BANK
        };
        let journal = if more.contains("journal:") { "" } else { QUIET };
        fs::write(self.path("seawall.yaml"), format!("{journal}{bank}{more}")).unwrap();
    }
    pub fn with(self, more: &str) -> Site {
        self.configure(more);
        self
    }
    #[track_caller]
    pub fn import(&self, products: &[Value]) -> Ended {
        let lines: Vec<String> = products.iter().map(Value::to_string).collect();
        let file = self.path("products.jsonl");
        fs::write(&file, lines.join("\n")).unwrap();
        let ended = self.seawall(&["import", "catalogue", file.to_str().unwrap()]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
    pub fn data(&self) -> &Path {
        &self.data
    }
    /// The journal's segments, oldest first.
    pub fn segments(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.data.join("journal")).unwrap();
        let mut found: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        found.retain(|path| path.extension().is_some_and(|ext| ext == "seg"));
        found.sort();
        found
    }

    /// A verb with this data folder, to its end.
    #[track_caller]
    pub fn seawall(&self, verb: &[&str]) -> Ended {
        let mut command = command(&binary());
        command.args(verb).arg("--data").arg(&self.data);
        run(command)
    }
    pub fn up_command(&self, program: &Path) -> Command {
        let mut command = command(program);
        command.arg("up").arg("--data").arg(&self.data);
        command.arg("--config").arg(self.path("seawall.yaml"));
        // Many shops run at once here.
        command.env("SEAWALL_PIN", "false");
        command
    }
    /// `seawall up` that is expected to refuse.
    #[track_caller]
    pub fn refuses(&self) -> Ended {
        let mut command = self.up_command(&binary());
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        run(command)
    }
    #[track_caller]
    pub fn up(&self) -> Shop {
        self.up_at("127.0.0.1:0", "127.0.0.1:0")
    }
    #[track_caller]
    pub fn up_at(&self, listen: &str, admin: &str) -> Shop {
        let (ports, log) = (self.path("ports"), self.path("log"));
        // Of a shop before this one.
        let _ = fs::remove_file(&ports);
        let err = File::create(&log).unwrap();
        let mut command = self.up_command(&binary());
        command
            .args(["--listen", listen, "--admin", admin])
            .arg("--ports-file")
            .arg(&ports);
        let mut child = command.stdout(Stdio::null()).stderr(err).spawn().unwrap();
        let mut status = None;
        until("the shop answers", || {
            status = child.try_wait().unwrap();
            status.is_some() || ports.exists()
        });
        let said = || fs::read_to_string(&log).unwrap();
        assert!(
            status.is_none(),
            "the shop ended with {status:?}: {}",
            said()
        );
        let found: Value = serde_json::from_slice(&fs::read(&ports).unwrap()).unwrap();
        let addr = |name: &str| found[name].as_str().unwrap().parse().unwrap();
        Shop {
            child,
            data: self.data.clone(),
            log,
            front: addr("shop"),
            admin: addr("admin"),
        }
    }

    /// Every entry of the journal.
    #[track_caller]
    pub fn dump(&self) -> Vec<Value> {
        let ended = self.seawall(&["journal", "dump"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended
            .out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
    /// Every fact of the sandbox bank.
    pub fn bank(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.data.join("payments/sandbox.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// A running `seawall up`.
pub struct Shop {
    child: Child,
    data: PathBuf,
    log: PathBuf,
    pub front: SocketAddr,
    pub admin: SocketAddr,
}

impl Shop {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
    pub fn session(&self, buyer: u128, expires_ms: u64) -> String {
        let key = fs::read(self.data.join("session.key")).unwrap();
        Sessions::new(&key.try_into().unwrap()).issue(BuyerId(buyer), expires_ms)
    }
    /// A connection of a buyer who is signed in.
    pub fn buyer(&self, buyer: u128) -> Client {
        Client::bearer(self.front, &self.session(buyer, now_ms() + 3_600_000))
    }
    pub fn operator(&self) -> Client {
        let token = fs::read_to_string(self.data.join("operator.token")).unwrap();
        Client::bearer(self.admin, token.trim())
    }
    /// The operator's token, shown to the listener of the buyers.
    pub fn operator_at_front(&self) -> Client {
        let token = fs::read_to_string(self.data.join("operator.token")).unwrap();
        Client::bearer(self.front, token.trim())
    }
    #[track_caller]
    pub fn books(&self) -> Value {
        let answer = self.operator().get("/operator/books");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }
    /// Free, held and sold units, which must add up to the stock.
    #[track_caller]
    pub fn units(&self, sku: &str) -> [i64; 3] {
        let books = self.books();
        let skus = books["skus"].as_array().unwrap();
        let found = skus
            .iter()
            .find(|row| row["sku"] == sku)
            .expect("the SKU is listed");
        let of = |name: &str| found[name].as_i64().unwrap();
        assert_eq!(
            of("free") + of("held") + of("sold"),
            of("stocked"),
            "{found}"
        );
        [of("free"), of("held"), of("sold")]
    }

    /// As `kill -9` does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }
    #[track_caller]
    pub fn ended(mut self) -> ExitStatus {
        let mut status = None;
        until("the shop ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
    /// SIGTERM, and a good end.
    #[track_caller]
    pub fn stop(self) {
        self.terminate();
        let log = self.log.clone();
        let status = self.ended();
        assert_eq!(
            status.code(),
            Some(0),
            "{}",
            fs::read_to_string(log).unwrap_or_default()
        );
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the shop:\n{}", self.log());
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
