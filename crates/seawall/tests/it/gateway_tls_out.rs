//! TLS towards upstreams: a real nginx that shows good and bad certificates. Its answers say what
//! it saw of the connection.

use crate::gateway::Gate;
use crate::site::until;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// What nginx answers with.
const TOLD: &str = "$server_protocol $ssl_protocol resumed=$ssl_session_reused \
                    sni=$ssl_server_name client=$ssl_client_verify request=$connection_requests";

/// An issuer and the certificates that it made, as files.
struct Folder {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Folder {
    fn new() -> Folder {
        let folder = tempfile::tempdir().unwrap();
        let (issuer, pem) = issuer("the issuer");
        fs::write(folder.path().join("ca.pem"), pem).unwrap();
        Folder { folder, issuer }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
    fn shown(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
    /// `file.pem` and `file.key`, for one name and until the end of a year.
    fn certificate(&self, file: &str, name: &str, year: i32) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2_000, 1, 1);
        params.not_after = date_time_ymd(year, 12, 31);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let made = params.signed_by(&key, &self.issuer).unwrap();
        let cert = pem("CERTIFICATE", made.der());
        fs::write(self.path(&format!("{file}.pem")), cert).unwrap();
        let key = pem("PRIVATE KEY", &key.serialize_der());
        fs::write(self.path(&format!("{file}.key")), key).unwrap();
    }
}

fn issuer(name: &str) -> (Issuer<'static, KeyPair>, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let pem = pem("CERTIFICATE", params.self_signed(&key).unwrap().der());
    (Issuer::new(params, key), pem)
}

fn pem(what: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    format!("-----BEGIN {what}-----\n{body}\n-----END {what}-----\n")
}

/// nginx with TLS on a port that was free a moment ago.
struct Nginx {
    addr: SocketAddr,
    home: tempfile::TempDir,
    conf: String,
    running: Option<Child>,
}

impl Nginx {
    /// `http2` or nothing behind the listener's `ssl`; `more` is for the server.
    fn new(folder: &Folder, certificate: &str, http2: &str, more: &str) -> Nginx {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = free.local_addr().unwrap();
        drop(free);
        let home = tempfile::tempdir().unwrap();
        let at = home.path().display();
        let (cert, key) = (
            folder.shown(&format!("{certificate}.pem")),
            folder.shown(&format!("{certificate}.key")),
        );
        // This nginx is older than TLS 1.3 as a default.
        let protocols = match more.contains("ssl_protocols") {
            true => "",
            false => "ssl_protocols TLSv1.2 TLSv1.3;",
        };
        let conf = format!(
            "worker_processes 1; daemon off; master_process off; pid {at}/pid;
             error_log {at}/error.log; events {{ worker_connections 256; }}
             http {{ access_log off; keepalive_requests 100000; client_body_temp_path {at}/b;
             client_max_body_size 64m; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;
             uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;
             server {{ listen {addr} ssl {http2}; ssl_certificate {cert};
             ssl_certificate_key {key}; {protocols} {more}
             location / {{ return 200 \"{TOLD}\"; }}
             location /files/ {{ root {at}; dav_methods PUT; create_full_put_path on; }} }} }}"
        );
        let mut nginx = Nginx {
            addr,
            home,
            conf,
            running: None,
        };
        nginx.start();
        nginx
    }
    fn start(&mut self) {
        let file = self.home.path().join("nginx.conf");
        fs::write(&file, &self.conf).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(self.home.path());
        command.arg("-e").arg(self.home.path().join("error.log"));
        command.arg("-c").arg(file);
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        self.running = Some(quiet.spawn().unwrap());
        until("nginx listens", || TcpStream::connect(self.addr).is_ok());
    }
    fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    /// One pool of this server alone, with keys of `tls` and more of its own.
    fn pool(&self, name: &str, tls: &str, more: &str) -> String {
        let peer = format!("{{address: \"{}\"}}", self.addr);
        format!("  - {{name: {name}, peers: [{peer}], tls: {{{tls}}}{more}}}\n")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.kill();
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

/// A route `/NAME` to each pool.
fn file(pools: &[(&str, String)]) -> String {
    let mut routes = "routes:\n".to_owned();
    let mut upstreams = "upstreams:\n".to_owned();
    for (name, pool) in pools {
        let path = format!("match: {{path: {{prefix: /{name}}}}}");
        routes += &format!("  - {{name: {name}, {path}, target: {{upstream: {name}}}}}\n");
        upstreams += pool;
    }
    let listener = "{name: front, address: \"127.0.0.1:0\", limits: {body_bytes: 16MiB}}";
    format!("listeners: [{listener}]\n{routes}{upstreams}")
}

/// The first byte of a TLS connection.
const HANDSHAKE: u8 = 22;

/// A server that answers in clear, and the first bytes that it was sent.
fn in_clear() -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let heard = Arc::<Mutex<Vec<u8>>>::default();
    let book = Arc::clone(&heard);
    // Ends with the test's process.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut first = [0; 1];
            if stream.read_exact(&mut first).is_ok() {
                book.lock().unwrap().push(first[0]);
            }
            // The client has gone as soon as it sees this.
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    (addr, heard)
}

fn trusting(folder: &Folder, name: &str) -> String {
    format!(
        "ca_file: \"{}\", server_name: {name}",
        folder.shown("ca.pem")
    )
}

#[test]
fn a_pool_speaks_tls_with_a_kept_connection_or_a_resumed_session() {
    if no_nginx() {
        return;
    }
    let folder = Folder::new();
    folder.certificate("good", "shop.internal", 2_100);
    for version in ["TLSv1.2", "TLSv1.3"] {
        let only = format!("ssl_protocols {version};");
        let nginx = Nginx::new(&folder, "good", "", &only);
        let tls = trusting(&folder, "shop.internal");
        let gate = Gate::new(&file(&[
            ("kept", nginx.pool("kept", &tls, "")),
            ("anew", nginx.pool("anew", &tls, ", connections: {idle: 0}")),
        ]));
        let mut client = gate.client();
        let first = format!("HTTP/1.1 {version} resumed=. sni=shop.internal client=NONE request=");
        for request in 1..=3 {
            let answer = client.get("/kept");
            let expected = format!("{first}{request}");
            assert_eq!((answer.status, answer.text()), (200, expected));
        }
        assert_eq!(client.get("/anew").text(), format!("{first}1"));
        for _ in 0..3 {
            let expected = format!("{}1", first.replace("resumed=.", "resumed=r"));
            assert_eq!(client.get("/anew").text(), expected);
        }
    }
}

#[test]
fn bodies_go_through_whole_both_ways() {
    if no_nginx() {
        return;
    }
    let folder = Folder::new();
    folder.certificate("good", "shop.internal", 2_100);
    for (version, protocol) in [("", "http1"), ("http2", "http2")] {
        let nginx = Nginx::new(&folder, "good", version, "");
        let tls = trusting(&folder, "shop.internal");
        let more = format!(", protocol: {protocol}");
        let gate = Gate::new(&file(&[("files", nginx.pool("files", &tls, &more))]));
        // More than all buffers on the way, and nothing that repeats in them.
        let body: Vec<u8> = (0..6_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut client = gate.client();
        let stored = client.send("PUT", "/files/body", &[], &body);
        assert_eq!(stored.status, 201, "{protocol}: {}", stored.text());
        let read = client.get("/files/body");
        assert_eq!(read.status, 200, "{protocol}");
        assert!(read.body == body, "{protocol}: {} bytes", read.body.len());
        let small = client.send("PUT", "/files/small", &[], b"small");
        assert_eq!(small.status, 201, "{protocol}: {}", small.text());
        assert_eq!(client.get("/files/small").text(), "small", "{protocol}");
    }
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_and_nothing_is_sent() {
    if no_nginx() {
        return;
    }
    let folder = Folder::new();
    folder.certificate("good", "shop.internal", 2_100);
    folder.certificate("expired", "shop.internal", 2_001);
    let (_, stranger) = issuer("a stranger");
    fs::write(folder.path("stranger.pem"), stranger).unwrap();
    let (good, expired) = (
        Nginx::new(&folder, "good", "", ""),
        Nginx::new(&folder, "expired", "", ""),
    );
    let right = trusting(&folder, "shop.internal");
    let strange = right.replace("ca.pem", "stranger.pem");
    let other = trusting(&folder, "other.internal");
    let by_address = format!("ca_file: \"{}\"", folder.shown("ca.pem"));
    let (plain, heard) = in_clear();
    let plain =
        format!("  - {{name: plain, peers: [{{address: \"{plain}\"}}], tls: {{{right}}}}}\n");
    let gate = Gate::new(&file(&[
        ("right", good.pool("right", &right, "")),
        ("stranger", good.pool("stranger", &strange, "")),
        (
            "system",
            good.pool("system", "server_name: shop.internal", ""),
        ),
        ("other", good.pool("other", &other, "")),
        ("address", good.pool("address", &by_address, "")),
        ("expired", expired.pool("expired", &right, "")),
        ("http2", good.pool("http2", &right, ", protocol: http2")),
        ("plain", plain),
    ]));
    let mut client = gate.client();
    assert_eq!(client.get("/right").status, 200);
    let faults = [
        ("stranger", "comes from nobody who is trusted"),
        ("system", "comes from nobody who is trusted"),
        ("other", "is for another name"),
        ("address", "is for another name"),
        ("expired", "has expired"),
        ("http2", "does not speak HTTP/2"),
        ("plain", "does not speak TLS"),
    ];
    for (name, why) in faults {
        for _ in 0..2 {
            let answer = client.get(&format!("/{name}"));
            assert!(answer.status >= 500, "{name}: {}", answer.text());
            assert!(!answer.text().contains(why), "{name}: {}", answer.text());
        }
    }
    let heard = heard.lock().unwrap();
    assert!(heard.iter().all(|first| *first == HANDSHAKE), "{heard:?}");
    // Each is in the log, with its detail, but not at each request.
    let log = fs::read_to_string(gate.path("log")).unwrap();
    let lines = || {
        log.lines()
            .filter(|line| line.contains("no TLS with the peer"))
    };
    let told = |what: &str| lines().filter(|line| line.contains(what)).count();
    for (name, why) in faults {
        assert!(told(why) > 0, "{name}: {log}");
    }
    assert_eq!(told("has expired"), 1, "{log}");
    assert!(log.contains("other.internal"), "{log}");
}

#[test]
fn the_door_shows_a_certificate_where_peers_ask() {
    if no_nginx() {
        return;
    }
    let folder = Folder::new();
    folder.certificate("good", "shop.internal", 2_100);
    folder.certificate("door", "door.internal", 2_100);
    let asks = format!(
        "ssl_verify_client on; ssl_client_certificate {};",
        folder.shown("ca.pem")
    );
    let tls = trusting(&folder, "shop.internal");
    let ours = format!(
        "{tls}, cert_file: \"{}\", key_file: \"{}\"",
        folder.shown("door.pem"),
        folder.shown("door.key")
    );
    let nginx = Nginx::new(&folder, "good", "http2", &asks);
    let h2 = ", protocol: http2";
    let gate = Gate::new(&file(&[
        ("with", nginx.pool("with", &ours, "")),
        ("with2", nginx.pool("with2", &ours, h2)),
        ("without", nginx.pool("without", &tls, "")),
    ]));
    let mut client = gate.client();
    for (path, version) in [("/with", "HTTP/1.1"), ("/with2", "HTTP/2.0")] {
        let told = client.get(path).text();
        assert!(told.starts_with(version), "{told}");
        assert!(told.contains("client=SUCCESS"), "{told}");
    }
    let refused = client.get("/without");
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.text().contains("No required SSL certificate"));
}

#[test]
fn an_upstream_that_restarts_is_spoken_to_again() {
    if no_nginx() {
        return;
    }
    let folder = Folder::new();
    folder.certificate("good", "shop.internal", 2_100);
    for (version, protocol) in [("", "http1"), ("http2", "http2")] {
        let mut nginx = Nginx::new(&folder, "good", version, "");
        let tls = trusting(&folder, "shop.internal");
        let more = format!(", protocol: {protocol}");
        let gate = Gate::new(&file(&[("all", nginx.pool("all", &tls, &more))]));
        let mut client = gate.client();
        assert_eq!(client.get("/all").status, 200, "{protocol}");
        nginx.kill();
        assert!(client.get("/all").status >= 500, "{protocol}");
        // Another process knows no session of the one before.
        nginx.start();
        until("the upstream is spoken to again", || {
            client.get("/all").status == 200
        });
        for _ in 0..20 {
            assert_eq!(client.get("/all").status, 200, "{protocol}");
        }
    }
}

#[test]
fn health_is_asked_over_tls() {
    if no_nginx() {
        return;
    }
    let folder = Folder::new();
    folder.certificate("good", "shop.internal", 2_100);
    folder.certificate("other", "other.internal", 2_100);
    for (version, protocol) in [("", "http1"), ("http2", "http2")] {
        let (good, other) = (
            Nginx::new(&folder, "good", version, ""),
            Nginx::new(&folder, "other", version, ""),
        );
        let peers = format!(
            "[{{address: \"{}\"}}, {{address: \"{}\"}}]",
            good.addr, other.addr
        );
        let tls = trusting(&folder, "shop.internal");
        let pool = format!(
            "  - {{name: all, peers: {peers}, tls: {{{tls}}}, protocol: {protocol}, \
             health: {{interval: 100ms, timeout: 100ms}}}}\n"
        );
        let gate = Gate::new(&file(&[("all", pool)]));
        let state = |addr: SocketAddr| {
            let state = gate.state();
            let peers = state["peers"].as_array().unwrap();
            let found = peers.iter().find(|peer| peer["peer"] == addr.to_string());
            found.unwrap()["state"].as_str().unwrap().to_owned()
        };
        until("the wrong one is found out", || {
            state(other.addr) == "unhealthy"
        });
        assert_eq!(state(good.addr), "usable", "{protocol}");
        let mut client = gate.client();
        assert!((0..10).all(|_| client.get("/all").status == 200));
    }
}

#[test]
fn other_certificates_in_the_same_file_count_from_the_next_reload() {
    if no_nginx() {
        return;
    }
    let folder = Folder::new();
    folder.certificate("good", "shop.internal", 2_100);
    let nginx = Nginx::new(&folder, "good", "", "");
    let tls = trusting(&folder, "shop.internal");
    let gate = Gate::new(&file(&[("all", nginx.pool("all", &tls, ""))]));
    let mut client = gate.client();
    assert_eq!(client.get("/all").status, 200);
    let before = fs::read(folder.path("ca.pem")).unwrap();
    let (_, stranger) = issuer("a stranger");
    fs::write(folder.path("ca.pem"), stranger).unwrap();
    assert_eq!(gate.order("reload", &serde_json::json!({})).status, 200);
    assert!(client.get("/all").status >= 500);
    // One that cannot be read changes nothing, and says which.
    fs::write(folder.path("ca.pem"), "-----BEGIN CERTIFICATE-----\n!").unwrap();
    let refused = gate.order("reload", &serde_json::json!({}));
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("ca.pem"), "{}", refused.text());
    fs::write(folder.path("ca.pem"), before).unwrap();
    assert_eq!(gate.order("reload", &serde_json::json!({})).status, 200);
    assert_eq!(client.get("/all").status, 200);
}
