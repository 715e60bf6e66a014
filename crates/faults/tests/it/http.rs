//! Faults of requests: by method and path, for a share, before and after the upstream's answer.

use crate::bed::{
    Bed, LATE_MS, PAGE_BYTES, PATIENCE, Web, between, connect, read_answer, request, until,
};
use serde_json::{Value, json};
use std::io::{BufReader, ErrorKind, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

fn site() -> (Bed, Web, SocketAddr) {
    let (bed, web) = (Bed::new(), Web::default());
    let listen = bed.proxy("w", web.start(), "http");
    (bed, web, listen)
}

#[test]
fn requests_pass_as_they_are() {
    let (bed, web, listen) = site();
    let proxy = bed.good("GET", "/proxies/w", &Value::Null);
    assert_eq!(proxy["protocol"], "http");
    let stream = connect(listen);
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for (method, body) in [("GET", ""), ("POST", "hello"), ("HEAD", ""), ("GET", "")] {
        let length = body.len();
        let head = format!("{method} /a?b=c HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n");
        let mut writer = &stream;
        writer
            .write_all(format!("{head}\r\n{body}").as_bytes())
            .unwrap();
        let answer = read_answer(&mut reader, method).unwrap();
        assert_eq!((answer.status, answer.end.is_ok()), (200, true));
        assert_eq!(answer.header("content-length"), Some("10000"));
        let wanted = if method == "HEAD" { 0 } else { PAGE_BYTES };
        assert_eq!(answer.body.len(), wanted);
    }
    assert_eq!(
        web.asked(),
        [
            "get /a?b=c 0",
            "post /a?b=c 5",
            "head /a?b=c 0",
            "get /a?b=c 0"
        ]
    );
}

#[test]
fn an_error_for_some_requests() {
    let (bed, web, listen) = site();
    let wish = json!({"type": "http_error", "stream": "upstream", "attributes":
        {"status": 502, "body": "broken", "method": "POST", "path": "/orders*"}});
    bed.good("POST", "/proxies/w/toxics", &wish);
    let ask = |method, path| request(listen, method, path, &[], b"").unwrap();
    let answer = ask("POST", "/orders/1?x");
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (502, &b"broken"[..])
    );
    assert_eq!(answer.header("seawall-fault"), Some("http_error_upstream"));
    assert_eq!(ask("GET", "/orders/1").status, 200);
    assert_eq!(ask("POST", "/pay").status, 200);
    assert_eq!(
        web.asked().len(),
        2,
        "a fault before the upstream never reaches it"
    );

    // After the upstream: it has done its work, and the client does not hear of it.
    bed.reset();
    bed.toxic("w", "http_error", json!({}));
    assert_eq!(ask("POST", "/orders/1").status, 503);
    assert_eq!(web.asked().len(), 3);

    bed.reset();
    let wish = json!({"type": "http_error", "toxicity": 0.3});
    bed.good("POST", "/proxies/w/toxics", &wish);
    let met = (0..300).filter(|_| ask("GET", "/").status == 503).count();
    assert!((55..=125).contains(&met), "{met} of 300 for a share of 0.3");
    let toxic = bed.good(
        "GET",
        "/proxies/w/toxics/http_error_downstream",
        &Value::Null,
    );
    assert_eq!(toxic["hits"], met);
}

#[test]
fn a_delay_is_as_long_as_it_says() {
    let (bed, _, listen) = site();
    bed.toxic("w", "http_delay", json!({"latency": 200, "path": "/slow"}));
    let time = |path| {
        let started = Instant::now();
        assert_eq!(request(listen, "GET", path, &[], b"").unwrap().status, 200);
        started.elapsed().as_millis()
    };
    between("slow", time("/slow"), 199, 200 + LATE_MS);
    assert!((0..5).map(|_| time("/quick")).min().unwrap() < 60);
    // Toxics of bytes work on the same proxy.
    bed.toxic("w", "latency", json!({"latency": 150}));
    between("both", time("/slow"), 349, 350 + 2 * LATE_MS);
}

#[test]
fn a_hang_ends_with_its_fault_or_its_timeout() {
    let (bed, web, listen) = site();
    bed.toxic("w", "http_hang", json!({"timeout": 300}));
    let started = Instant::now();
    let error = request(listen, "GET", "/", &[], b"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    between("closed", started.elapsed().as_millis(), 299, 300 + LATE_MS);

    bed.reset();
    let wish = json!({"type": "http_hang", "stream": "upstream"});
    bed.good("POST", "/proxies/w/toxics?lease_ms=400", &wish);
    let started = Instant::now();
    let answer = request(listen, "GET", "/", &[], b"").unwrap();
    assert_eq!(answer.status, 200);
    between(
        "answered",
        started.elapsed().as_millis(),
        300,
        400 + 2 * LATE_MS,
    );
    assert_eq!(web.asked().len(), 2);
}

#[test]
fn a_client_that_leaves_ends_its_hanging_request() {
    let bed = Bed::with(|options| options.connections_max = 1);
    let web = Web::default();
    let listen = bed.proxy("w", web.start(), "http");
    bed.toxic("w", "http_hang", json!({"path": "/hang"}));
    let mut stream = connect(listen);
    stream
        .write_all(b"GET /hang HTTP/1.1\r\nHost: t\r\n\r\n")
        .unwrap();
    until("it hangs", || web.asked().len() == 1);
    drop(stream);
    // The one place is free again.
    assert_eq!(request(listen, "GET", "/", &[], b"").unwrap().status, 200);
}

#[test]
fn a_disconnect_in_the_middle_of_a_body() {
    let (bed, _, listen) = site();
    for (attributes, wanted) in [(json!({}), PAGE_BYTES / 2), (json!({"bytes": 123}), 123)] {
        bed.reset();
        bed.toxic("w", "http_disconnect", attributes);
        let answer = request(listen, "GET", "/", &[], b"").unwrap();
        assert_eq!(answer.header("content-length"), Some("10000"));
        assert_eq!(answer.body.len(), wanted);
        assert_eq!(answer.end.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
    bed.reset();
    bed.toxic("w", "http_disconnect", json!({"reset": true}));
    // A reset may overtake what came before it.
    let error = match request(listen, "GET", "/", &[], b"") {
        Ok(answer) => answer.end.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    // Before the upstream is asked there is no answer to be in the middle of.
    bed.reset();
    let wish = json!({"type": "http_disconnect", "stream": "upstream"});
    bed.good("POST", "/proxies/w/toxics", &wish);
    let started = Instant::now();
    assert!(request(listen, "GET", "/", &[], b"").is_err());
    assert!(started.elapsed() < PATIENCE - Duration::from_secs(5));
}
