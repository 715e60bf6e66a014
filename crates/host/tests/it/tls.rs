//! TLS from outside: which certificate is shown to whom, what is agreed on, how certificates are
//! replaced, and what a stalled handshake costs the others.

use crate::support::{FLOOD_BYTES, PATIENCE, Server, until};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use host::http::Closed;
use host::tls::{CertificateFiles, Oldest, Tls};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

/// A folder of certificates, made for this test.
pub struct Folder {
    folder: TempDir,
    roots: RootCertStore,
}

impl Folder {
    pub fn new() -> Self {
        Folder {
            folder: tempfile::tempdir().unwrap(),
            roots: RootCertStore::empty(),
        }
    }

    /// Writes `file.crt` and `file.key`, trusted by the clients of this folder.
    pub fn make(&mut self, file: &str, names: &[&str]) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(names)
            .unwrap()
            .self_signed(&key)
            .unwrap();
        self.write(&format!("{file}.crt"), "CERTIFICATE", made.der());
        self.write(&format!("{file}.key"), "PRIVATE KEY", &key.serialize_der());
        self.roots.add(made.der().clone()).unwrap();
        made.der().clone()
    }

    fn write(&self, file: &str, what: &str, der: &[u8]) {
        let body = STANDARD.encode(der);
        let pem = format!("-----BEGIN {what}-----\n{body}\n-----END {what}-----\n");
        std::fs::write(self.path(file), pem).unwrap();
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub fn files(&self, file: &str, names: &[&str]) -> CertificateFiles {
        CertificateFiles {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            cert_file: self.path(&format!("{file}.crt")),
            key_file: self.path(&format!("{file}.key")),
        }
    }

    fn client(&self, change: impl FnOnce(&mut ClientConfig)) -> Arc<ClientConfig> {
        self.client_of(&[&rustls::version::TLS13, &rustls::version::TLS12], change)
    }

    fn client_of(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        change: impl FnOnce(&mut ClientConfig),
    ) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        change(&mut config);
        Arc::new(config)
    }
}

/// A blocking client that reads one answer at a time.
struct Client {
    stream: rustls::StreamOwned<ClientConnection, TcpStream>,
}

impl Client {
    fn connect(addr: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> Self {
        let tcp = TcpStream::connect(addr).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let tls = ClientConnection::new(config.clone(), name).unwrap();
        let mut stream = rustls::StreamOwned::new(tls, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        Client { stream }
    }

    fn ask(&mut self, request: &str) -> String {
        self.stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.windows(4).any(|w| w == b"\r\n\r\n") {
            let mut some = [0; 1024];
            let n = self.stream.read(&mut some).unwrap();
            assert!(n > 0, "the connection ended");
            answer.extend_from_slice(&some[..n]);
        }
        String::from_utf8(answer).unwrap()
    }

    fn shown(&self) -> CertificateDer<'static> {
        self.stream.conn.peer_certificates().unwrap()[0]
            .clone()
            .into_owned()
    }

    /// The server says goodbye properly: a cut connection would be an error.
    fn expect_end(&mut self) {
        assert_eq!(self.stream.read(&mut [0; 64]).unwrap(), 0);
    }
}

fn serve(folder: &Folder, files: &[CertificateFiles]) -> (Server, Tls) {
    let tls = Tls::load(files, Oldest::Tls12).unwrap();
    let of_listener = tls.clone();
    assert!(folder.folder.path().exists());
    (Server::start(|o| o.tls = Some(of_listener)), tls)
}

#[test]
fn answers_over_tls_and_says_goodbye() {
    let mut folder = Folder::new();
    folder.make("a", &["a.test"]);
    let (mut server, _) = serve(&folder, &[folder.files("a", &[])]);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = folder.client_of(&[version], |_| {});
        let mut client = Client::connect(server.addr, &config, "a.test");
        for _ in 0..3 {
            assert!(client.ask(GET).starts_with("HTTP/1.1 200"));
        }
        let post = "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello";
        assert!(client.ask(post).ends_with("hello"));
        assert_eq!(client.stream.conn.protocol_version(), Some(version.version));
    }
    assert_eq!(server.stats.accepted(), 2);
    let config = folder.client(|_| {});
    let mut idle = Client::connect(server.addr, &config, "a.test");
    assert!(idle.ask(GET).starts_with("HTTP/1.1 200"));
    assert_eq!(
        idle.stream.conn.protocol_version(),
        Some(ProtocolVersion::TLSv1_3)
    );
    let mut told = Client::connect(server.addr, &config, "a.test");
    assert!(
        told.ask("GET / HTTP/1.0\r\n\r\n")
            .starts_with("HTTP/1.0 200")
    );
    told.expect_end();
    server.join();
    idle.expect_end();
}

#[test]
fn a_version_older_than_the_oldest_is_not_spoken() {
    let mut folder = Folder::new();
    folder.make("a", &["a.test"]);
    let files = [folder.files("a", &[])];
    let tls = Tls::load(&files, Oldest::Tls13).unwrap();
    let server = Server::start(|o| o.tls = Some(tls.clone()));
    let newest = folder.client_of(&[&rustls::version::TLS13], |_| {});
    let mut client = Client::connect(server.addr, &newest, "a.test");
    assert!(client.ask(GET).starts_with("HTTP/1.1 200"));
    // New certificates do not bring the old version back.
    tls.reload(&files).unwrap();
    let older = folder.client_of(&[&rustls::version::TLS12], |_| {});
    let mut tcp = TcpStream::connect(server.addr).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let name = ServerName::try_from("a.test").unwrap();
    let mut refused = ClientConnection::new(older, name).unwrap();
    let said = loop {
        match refused.complete_io(&mut tcp) {
            Ok(_) => assert!(refused.is_handshaking(), "TLS 1.2 was spoken"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(said.contains("ProtocolVersion"), "{said}");
}

#[test]
fn each_name_is_shown_its_certificate() {
    let mut folder = Folder::new();
    let first = folder.make("first", &["shop.test", "www.shop.test"]);
    let second = folder.make("second", &["*.api.test", "api.test"]);
    let third = folder.make("third", &["v1.api.test", "other.test"]);
    let files = [
        folder.files("first", &[]),
        folder.files("second", &["API.test", "*.api.test"]),
        folder.files("third", &["v1.api.test"]),
    ];
    let (server, _) = serve(&folder, &files);
    // Whether it fits the name is the client's question; ours is which one is shown.
    let config = folder.client(|config| {
        config
            .dangerous()
            .set_certificate_verifier(Arc::new(Trusting));
    });
    let rows = [
        ("shop.test", &first),
        ("WWW.shop.test", &first),
        ("api.test", &second),
        ("v2.api.test", &second),
        ("v1.api.test", &third),
        ("a.b.api.test", &first),
        ("other.test", &first),
        ("unknown.test", &first),
        ("127.0.0.1", &first),
    ];
    for (name, expected) in rows {
        let mut client = Client::connect(server.addr, &config, name);
        assert!(client.ask(GET).starts_with("HTTP/1.1 200"), "{name}");
        assert_eq!(client.shown(), *expected, "{name}");
    }
}

#[derive(Debug)]
struct Trusting;

impl rustls::client::danger::ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[test]
fn the_version_of_http_is_agreed_on() {
    let mut folder = Folder::new();
    folder.make("a", &["a.test"]);
    let tls = Tls::load(&[folder.files("a", &[])], Oldest::Tls12).unwrap();
    let rows: [(bool, &[&str], Option<&str>); 4] = [
        (true, &["h2", "http/1.1"], Some("h2")),
        (true, &["http/1.1"], Some("http/1.1")),
        (false, &["h2", "http/1.1"], Some("http/1.1")),
        (true, &[], None),
    ];
    for (http2, offered, agreed) in rows {
        let of_listener = tls.clone();
        let server = Server::start(|o| (o.tls, o.http2) = (Some(of_listener), http2));
        let config = folder.client(|config| {
            config.alpn_protocols = offered
                .iter()
                .map(|name| name.as_bytes().to_vec())
                .collect();
        });
        let client = Client::connect(server.addr, &config, "a.test");
        assert_eq!(
            client.stream.conn.alpn_protocol(),
            agreed.map(str::as_bytes),
            "{http2} {offered:?}"
        );
    }
}

#[test]
fn a_client_that_comes_back_is_known_by_its_ticket() {
    let mut folder = Folder::new();
    folder.make("a", &["a.test"]);
    let (server, tls) = serve(&folder, &[folder.files("a", &[])]);
    let config = folder.client(|_| {});
    let mut client = Client::connect(server.addr, &config, "a.test");
    assert!(client.ask(GET).starts_with("HTTP/1.1 200"));
    assert_eq!(
        client.stream.conn.handshake_kind(),
        Some(HandshakeKind::Full)
    );
    folder.make("a", &["a.test"]);
    tls.reload(&[folder.files("a", &[])]).unwrap();
    let mut again = Client::connect(server.addr, &config, "a.test");
    assert!(again.ask(GET).starts_with("HTTP/1.1 200"));
    assert_eq!(
        again.stream.conn.handshake_kind(),
        Some(HandshakeKind::Resumed)
    );
}

#[test]
fn certificates_are_replaced_while_connections_go_on() {
    let mut folder = Folder::new();
    let old = folder.make("a", &["a.test"]);
    let (server, tls) = serve(&folder, &[folder.files("a", &[])]);
    let fresh = |folder: &Folder| {
        let config =
            folder.client(|config| config.resumption = rustls::client::Resumption::disabled());
        Client::connect(server.addr, &config, "a.test")
    };
    let mut stays = fresh(&folder);
    assert_eq!(stays.shown(), old);

    std::fs::write(folder.path("bad.crt"), "no certificate").unwrap();
    std::fs::write(folder.path("bad.key"), "no key").unwrap();
    let bad = [folder.files("a", &[]), folder.files("bad", &[])];
    assert_eq!(
        tls.reload(&bad).unwrap_err().0.len(),
        2,
        "both files are bad"
    );
    assert_eq!(fresh(&folder).shown(), old, "a bad set changes nothing");

    let new = folder.make("a", &["a.test"]);
    assert_eq!(fresh(&folder).shown(), old, "files are read when told to");
    tls.reload(&[folder.files("a", &[])]).unwrap();
    assert_eq!(fresh(&folder).shown(), new);
    assert!(
        stays.ask(GET).starts_with("HTTP/1.1 200"),
        "agreed before, and goes on"
    );
}

#[test]
fn all_that_is_wrong_with_certificates_is_said() {
    let mut folder = Folder::new();
    folder.make("a", &["a.test"]);
    folder.make("b", &["b.test"]);
    folder.make("w", &["*.w.test"]);
    std::fs::write(folder.path("empty.crt"), "").unwrap();
    std::fs::write(folder.path("junk.crt"), "-----BEGIN CERTIFICATE-----\n!\n").unwrap();
    folder.write("noder.crt", "CERTIFICATE", b"not DER");
    std::fs::write(folder.path("long.crt"), vec![b'x'; 300 * 1024]).unwrap();
    let with = |cert: &str, key: &str, names: &[&str]| CertificateFiles {
        cert_file: folder.path(cert),
        key_file: folder.path(key),
        ..folder.files("a", names)
    };
    let rows = [
        ("none", vec![], "no certificate is named"),
        (
            "no file",
            vec![with("no.crt", "a.key", &[])],
            "no.crt: cannot be read",
        ),
        (
            "empty",
            vec![with("empty.crt", "a.key", &[])],
            "empty.crt: no PEM",
        ),
        (
            "no PEM",
            vec![with("junk.crt", "a.key", &[])],
            "junk.crt: no PEM",
        ),
        (
            "no DER",
            vec![with("noder.crt", "a.key", &[])],
            "noder.crt: not a certificate",
        ),
        (
            "too long",
            vec![with("long.crt", "a.key", &[])],
            "long.crt: longer than",
        ),
        (
            "a certificate as key",
            vec![with("a.crt", "a.crt", &[])],
            "a.crt: no PEM",
        ),
        (
            "another's key",
            vec![with("a.crt", "b.key", &[])],
            "b.key: not the key of",
        ),
        (
            "another name",
            vec![with("a.crt", "a.key", &["b.test"])],
            "is not for `b.test`: it is for a.test",
        ),
        (
            "too deep",
            vec![with("w.crt", "w.key", &["w.test"])],
            "is not for `w.test`",
        ),
        (
            "no name",
            vec![with("a.crt", "a.key", &["a b"])],
            "`a b` is not a name",
        ),
        (
            "an address",
            vec![with("a.crt", "a.key", &["127.0.0.1"])],
            "`127.0.0.1` is not a name",
        ),
        (
            "twice",
            vec![with("a.crt", "a.key", &[]), with("a.crt", "a.key", &[])],
            "`a.test` has two certificates",
        ),
    ];
    for (what, files, expected) in rows {
        let said = Tls::load(&files, Oldest::Tls12).unwrap_err().to_string();
        assert!(said.contains(expected), "{what}: {said}");
    }
    let both = [with("no.crt", "no.key", &[]), with("a.crt", "b.key", &[])];
    assert_eq!(
        Tls::load(&both, Oldest::Tls12).unwrap_err().0.len(),
        3,
        "all at once"
    );
    Tls::load(
        &[with("w.crt", "w.key", &["*.w.test", "x.w.test"])],
        Oldest::Tls12,
    )
    .unwrap();
}

#[test]
fn who_speaks_http_to_the_tls_port_is_told() {
    let mut folder = Folder::new();
    folder.make("a", &["a.test"]);
    let (server, _) = serve(&folder, &[folder.files("a", &[])]);
    let mut plain = server.connect();
    let answer = plain.ask(GET);
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (400, "This port speaks HTTPS, not HTTP.\r\n")
    );
    plain.expect_end("told");
    until("it is counted", || {
        server.stats.closed(Closed::Handshake) == 1
    });
    let mut garbage = server.connect();
    garbage.send("\x16\x03\x01\x00\x05hello");
    until("garbage too", || {
        server.stats.closed(Closed::Handshake) == 2
    });
    assert_eq!(server.stats.answered(1), 0, "no service was asked");
}

#[test]
fn handshakes_that_stall_make_room() {
    const AT_ONCE: usize = 16;
    let mut folder = Folder::new();
    folder.make("a", &["a.test"]);
    let tls = Tls::load(&[folder.files("a", &[])], Oldest::Tls12).unwrap();
    let server = Server::start(|o| {
        (o.tls, o.handshakes_max, o.handshake_ms) = (Some(tls), AT_ONCE, 1_000);
    });
    let stalled: Vec<_> = (0..200)
        .map(|n| {
            let mut client = server.connect();
            client.send("\x16\x03\x01\x01\x00\x01");
            if n % 20 == 0 {
                let mut client = Client::connect(server.addr, &folder.client(|_| {}), "a.test");
                assert!(
                    client.ask(GET).starts_with("HTTP/1.1 200"),
                    "beside {n} stalled"
                );
            }
            client
        })
        .collect();
    until("all but the youngest made room", || {
        server.stats.closed(Closed::Evicted) as usize >= 200 - AT_ONCE
    });
    until("and they are out of time", || server.stats.open() == 0);
    assert!(server.stats.closed(Closed::Handshake) >= 1);
    drop(stalled);
}

#[test]
fn slow_and_stalled_readers_are_told_apart_behind_tls() {
    let mut folder = Folder::new();
    folder.make("a", &["a.test"]);
    let tls = Tls::load(&[folder.files("a", &[])], Oldest::Tls12).unwrap();
    let server = Server::start(|o| {
        (o.tls, o.write_stall_ms, o.idle_ms) = (Some(tls), 700, 6_000);
    });
    let config = folder.client(|_| {});
    let mut slow = Client::connect(server.addr, &config, "a.test");
    slow.stream
        .write_all(b"GET /flood HTTP/1.1\r\nHost: t\r\n\r\n")
        .unwrap();
    let mut stalled = Client::connect(server.addr, &config, "a.test");
    stalled
        .stream
        .write_all(b"GET /flood HTTP/1.1\r\nHost: t\r\n\r\n")
        .unwrap();
    let mut buffer = vec![0; FLOOD_BYTES / 8];
    for _ in 0..8 {
        slow.stream.read_exact(&mut buffer).unwrap();
        std::thread::park_timeout(Duration::from_millis(150));
    }
    let mut rest = [0; 4096];
    let n = slow.stream.read(&mut rest).unwrap();
    assert!(n > 0, "the head's length is what is left");
    until("who takes nothing is closed", || {
        server.stats.closed(Closed::WriteStall) == 1
    });
    let cut = loop {
        match stalled.stream.read(&mut buffer) {
            Ok(0) => break None,
            Ok(_) => {}
            Err(error) => break Some(error.kind()),
        }
    };
    assert!(
        matches!(
            cut,
            Some(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)
        ),
        "{cut:?}"
    );
    // Beyond PARK_IDLE_MS it waits as a bare socket, its keys beside it.
    std::thread::park_timeout(Duration::from_millis(2_200));
    assert!(
        slow.ask(GET).starts_with("HTTP/1.1 200"),
        "parked, and back"
    );
    until("idle in the end", || server.stats.closed(Closed::Idle) == 1);
}

#[test]
fn an_upgrade_takes_tls_along() {
    let mut folder = Folder::new();
    folder.make("a", &["a.test"]);
    let (server, _) = serve(&folder, &[folder.files("a", &[])]);
    let mut client = Client::connect(server.addr, &folder.client(|_| {}), "a.test");
    let upgrade =
        "GET /upgrade HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    let mut heard = client.ask(upgrade);
    assert!(heard.starts_with("HTTP/1.1 101"), "{heard}");
    client.stream.write_all(b"hello").unwrap();
    until("its greeting and the echo", || {
        let mut some = [0; 64];
        let n = client.stream.read(&mut some).unwrap();
        heard.push_str(std::str::from_utf8(&some[..n]).unwrap());
        heard.ends_with("[]hello")
    });
}
