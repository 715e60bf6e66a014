//! What a listener of the gateway file says about heads and streams counts on its socket.

use crate::gateway::{Gate, Upstream};
use std::io::{Read, Write};
use std::net::TcpStream;

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
