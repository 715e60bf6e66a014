//! A real nginx behind the proxy: killed, paused and started again under load.

use crate::support::{Client, Front, until};
use gateway::upstream::{Event, HealthSpec, PoolSpec};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

struct Nginx {
    addr: SocketAddr,
    home: tempfile::TempDir,
    running: Option<Child>,
}

impl Nginx {
    fn new(addr: SocketAddr) -> Self {
        let mut nginx = Nginx {
            addr,
            home: tempfile::tempdir().unwrap(),
            running: None,
        };
        nginx.start();
        nginx
    }

    fn start(&mut self) {
        let home = self.home.path().display();
        // One process, so that a signal to it stops all of it.
        let conf = format!(
            "worker_processes 1; daemon off; master_process off; pid {home}/pid;
             error_log {home}/error.log; events {{ worker_connections 512; }}
             http {{ access_log off; keepalive_requests 100000; client_body_temp_path {home}/b;
             proxy_temp_path {home}/p; fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u;
             scgi_temp_path {home}/s;
             server {{ listen {}; location / {{ return 200 'real'; }} }} }}",
            self.addr
        );
        let file = self.home.path().join("nginx.conf");
        std::fs::write(&file, conf).unwrap();
        let child = Command::new("nginx")
            .arg("-p")
            .arg(self.home.path())
            .arg("-e")
            .arg(self.home.path().join("error.log"))
            .arg("-c")
            .arg(file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.running = Some(child);
        until("nginx listens", || {
            std::net::TcpStream::connect(self.addr).is_ok()
        });
    }

    fn signal(&self, name: &str) {
        let pid = self.running.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    fn kill(&mut self) {
        let mut child = self.running.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.kill();
        }
    }
}

/// Says so and passes where there is no nginx.
fn no_nginx() -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join("nginx").exists())
    }) || Path::new("/usr/sbin/nginx").exists();
    if !found {
        println!("left out: nginx is not installed");
    }
    !found
}

fn free_addr() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Clients that ask again and again until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    good: Arc<AtomicU64>,
    bad: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn on(front: &Front) -> Self {
        let (stop, good, bad) = (Arc::default(), Arc::default(), Arc::default());
        let mut load = Load {
            stop,
            good,
            bad,
            threads: Vec::new(),
        };
        for _ in 0..4 {
            let (stop, good, bad) = (load.stop.clone(), load.good.clone(), load.bad.clone());
            let addr = front.addr;
            load.threads.push(std::thread::spawn(move || {
                let mut client = Client::connect(addr);
                while !stop.load(SeqCst) {
                    let answer = client.get("/");
                    let whole = answer.status == 200 && answer.body == "real";
                    if whole { &good } else { &bad }.fetch_add(1, SeqCst);
                }
            }));
        }
        load
    }

    /// So many more good answers.
    fn more(&self, answers: u64) {
        let goal = self.good.load(SeqCst) + answers;
        until("more good answers", || self.good.load(SeqCst) >= goal);
    }

    /// How many were not good.
    fn stop(self) -> u64 {
        self.stop.store(true, SeqCst);
        self.threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        self.bad.load(SeqCst)
    }
}

fn careful(spec: &mut PoolSpec) {
    spec.timeouts.head_ms = 200;
    spec.timeouts.connect_ms = 200;
    spec.ejection.consecutive = 3;
    spec.ejection.base_ms = 200;
    spec.ejection.longest_ms = 400;
    spec.slow_start_ms = 200;
    spec.health = Some(HealthSpec {
        path: "/".into(),
        host: None,
        interval_ms: 100,
        timeout_ms: 100,
        healthy_after: 2,
        unhealthy_after: 2,
    });
}

#[test]
fn a_peer_that_is_killed_and_started_again_costs_no_request() {
    if no_nginx() {
        return;
    }
    let steady = Nginx::new(free_addr());
    let mut mortal = Nginx::new(free_addr());
    let front = Front::with(&[mortal.addr, steady.addr], careful, |_| {});
    let asked = || front.pool.peers()[0].stats().of(Event::Tried);
    let load = Load::on(&front);
    load.more(500);
    for _ in 0..3 {
        mortal.kill();
        load.more(500);
        mortal.start();
        let before = asked();
        until("it is asked again", || asked() > before + 50);
        load.more(500);
    }
    assert_eq!(load.stop(), 0, "every GET was answered");
    assert!(
        front.count(Event::Stale) + front.count(Event::ConnectFailed) > 0,
        "it was seen dead"
    );
}

#[test]
fn a_peer_that_hangs_is_left_alone_until_it_wakes() {
    if no_nginx() {
        return;
    }
    let steady = Nginx::new(free_addr());
    let sleepy = Nginx::new(free_addr());
    let front = Front::with(&[sleepy.addr, steady.addr], careful, |_| {});
    let asked = || front.pool.peers()[0].stats().of(Event::Tried);
    let load = Load::on(&front);
    load.more(500);
    sleepy.signal("STOP");
    until("it is out", || {
        front.pool.peers()[0].state() != gateway::upstream::PeerState::Usable
    });
    load.more(2_000);
    sleepy.signal("CONT");
    let before = asked();
    until("it is asked again", || asked() > before + 50);
    assert_eq!(
        load.stop(),
        0,
        "every GET was answered, by the other if need be"
    );
    assert!(
        front.count(Event::HeadTimeout) > 0,
        "some did wait for the hanging one"
    );
}

#[test]
fn a_lonely_peer_that_is_killed_is_told_and_found_again() {
    if no_nginx() {
        return;
    }
    let mut only = Nginx::new(free_addr());
    let front = Front::with(&[only.addr], careful, |_| {});
    let load = Load::on(&front);
    load.more(200);
    only.kill();
    until("clients are told", || load.bad.load(SeqCst) > 20);
    only.start();
    load.more(200);
    assert!(load.stop() > 20);
    assert_eq!(front.pool.peers()[0].in_flight(), 0);
}
