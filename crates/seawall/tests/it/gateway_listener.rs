//! What the gateway file says about its listeners counts on their sockets: heads, streams, versions
//! of TLS, the operators' token.

use crate::gateway::{Gate, Upstream};
use crate::http::Client;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;

fn gate(upstream: &Upstream, limits: &str) -> Gate {
    let listener = format!(
        "listeners: [{{name: front, address: \"127.0.0.1:0\", limits: {{{limits}}}}}]\n\
         routes: [{{name: all, target: {{upstream: all}}}}]\n"
    );
    Gate::new(&format!("{listener}{}", upstream.pool("all", "")))
}

/// A request with so many headers, `Host` among them, of which one has so long a value.
fn status(gate: &Gate, headers: usize, bytes: usize) -> u16 {
    let long = "x".repeat(bytes);
    let mut all = vec![("X-Long".to_owned(), long.as_str())];
    all.extend((2..headers).map(|n| (format!("X-{n}"), "y")));
    let all: Vec<(&str, &str)> = all.iter().map(|(name, v)| (name.as_str(), *v)).collect();
    gate.client().send("GET", "/", &all, b"").status
}

#[test]
fn heads_may_be_as_large_as_the_file_says() {
    let upstream = Upstream::saying("ok");
    let small = gate(&upstream, "header_bytes: 2KiB, header_count: 12");
    let large = gate(&upstream, "header_bytes: 64KiB, header_count: 200");
    for (what, gate, headers, bytes, expected) in [
        ("as many as may be", &small, 12, 1, 200),
        ("one more", &small, 13, 1, 431),
        ("nearly as long", &small, 2, 1_900, 200),
        ("longer", &small, 2, 2_048, 431),
        ("beyond what is usual", &large, 150, 1, 200),
        ("as many as may be", &large, 200, 1, 200),
        ("one more", &large, 201, 1, 431),
        ("longer than is usual", &large, 2, 50 << 10, 200),
        ("longer than may be", &large, 2, 65 << 10, 431),
    ] {
        let found = status(gate, headers, bytes);
        assert_eq!(found, expected, "{what}: {headers} headers, {bytes} bytes");
    }
}

#[test]
fn http_2_is_told_the_same() {
    let upstream = Upstream::saying("ok");
    let gate = gate(&upstream, "header_bytes: 2KiB, streams: 7");
    let mut stream = TcpStream::connect(gate.front).unwrap();
    let patience = Some(crate::http::PATIENCE);
    stream.set_read_timeout(patience).unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[3], 4, "the first frame is SETTINGS: {head:?}");
    let mut settings = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut settings).unwrap();
    let value = |number: u8| {
        let mut pairs = settings.chunks_exact(6);
        let found = pairs.find(|pair| pair[..2] == [0, number]);
        found.map(|pair| u32::from_be_bytes([pair[2], pair[3], pair[4], pair[5]]))
    };
    // SETTINGS_MAX_CONCURRENT_STREAMS and SETTINGS_MAX_HEADER_LIST_SIZE.
    assert_eq!((value(3), value(6)), (Some(7), Some(2_048)));
}

/// The first message of a client that knows TLS 1.2 and nothing newer (RFC 5246, 7.4.1.2).
fn hello_of_tls_1_2() -> Vec<u8> {
    let extensions = [
        // P-256 and x25519; uncompressed points; ECDSA with SHA-256; extended master secret.
        &[0, 10, 0, 6, 0, 4, 0, 0x17, 0, 0x1d][..],
        &[0, 11, 0, 2, 1, 0],
        &[0, 13, 0, 4, 0, 2, 4, 3],
        &[0, 23, 0, 0],
    ]
    .concat();
    // ECDHE-ECDSA-AES128-GCM-SHA256, and nothing is compressed.
    let rest = [
        &[0, 0, 2, 0xc0, 0x2b, 1, 0, 0][..],
        &[extensions.len() as u8],
    ]
    .concat();
    let body = [&[3, 3][..], &[7; 32], &rest, &extensions].concat();
    let length = body.len() as u8;
    [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat()
}

fn first_record(front: SocketAddr) -> [u8; 7] {
    let mut stream = TcpStream::connect(front).unwrap();
    stream
        .set_read_timeout(Some(crate::http::PATIENCE))
        .unwrap();
    stream.write_all(&hello_of_tls_1_2()).unwrap();
    let mut record = [0; 7];
    stream.read_exact(&mut record).unwrap();
    record
}

#[test]
fn a_version_of_tls_below_the_minimum_is_not_spoken() {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["shop.test".to_owned()]).unwrap();
    let made = params.self_signed(&key).unwrap();
    let pem = |what: &str, der: &[u8]| {
        let body = STANDARD.encode(der);
        format!("-----BEGIN {what}-----\n{body}\n-----END {what}-----\n")
    };
    let files = [
        ("cert.pem", pem("CERTIFICATE", made.der())),
        ("key.pem", pem("PRIVATE KEY", &key.serialize_der())),
        ("page.txt", "hello".to_owned()),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(n, text)| (*n, text.as_str())).collect();
    let gate = |minimum: &str| {
        let rest = format!(
            "listeners: [{{name: front, address: \"127.0.0.1:0\", tls: {{{minimum}certificates: \
             [{{names: [shop.test], cert_file: cert.pem, key_file: key.pem}}]}}}}]\n\
             routes: [{{name: all, target: {{static: {{file: page.txt}}}}}}]\n"
        );
        Gate::with_files(&rest, &files)
    };
    for (minimum, spoken) in [("", true), ("minimum: \"1.3\", ", false)] {
        let record = first_record(gate(minimum).front);
        match spoken {
            // A handshake goes on: the server's hello.
            true => assert_eq!((record[0], record[5]), (22, 2), "{minimum:?}: {record:?}"),
            // The alert protocol_version.
            false => assert_eq!((record[0], record[6]), (21, 70), "{minimum:?}: {record:?}"),
        }
    }
}

#[test]
fn operators_send_the_token_of_the_file_that_is_named() {
    let token = "made-by-the-team-0123456789-0123456789";
    let rest = "admin: {address: \"127.0.0.1:0\", token_file: team.token}\n\
                routes: [{name: all, target: {static: {file: team.token}}}]\n";
    let mut gate = Gate::with_files(
        "routes: [{name: all, target: {static: {file: team.token}}}]\n",
        &[("team.token", token)],
    );
    assert!(
        gate.path("data/operator.token").exists(),
        "no file is named"
    );
    gate.kill();
    gate.write(rest);
    // Others could read it: nothing starts.
    let mode = |mode| fs::set_permissions(gate.path("team.token"), PermissionsExt::from_mode(mode));
    mode(0o644).unwrap();
    let refused = crate::site::command(&crate::site::binary())
        .arg("gateway")
        .arg(gate.path("gateway.yaml"))
        .arg("--data")
        .arg(gate.path("none"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(64), "{said}");
    assert!(
        said.contains("admin.token_file") && said.contains("chmod"),
        "{said}"
    );
    assert!(!gate.path("none").exists(), "told before a folder is made");
    mode(0o600).unwrap();
    gate.start();
    let state = |token: &str| {
        Client::bearer(gate.admin, token)
            .get("/operator/door")
            .status
    };
    assert_eq!(state(token), 200);
    let other = fs::read_to_string(gate.path("data/operator.token")).unwrap();
    assert_eq!(
        state(other.trim()),
        401,
        "the folder's token is another one"
    );
    assert_eq!(state(&token[1..]), 401);
}
