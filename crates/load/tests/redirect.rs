//! Redirects as a scenario asks for them: followed on the target only, with cookies, bounded, each
//! hop counted.

use load::measure::{End, Measured, Named};
use load::{Run, compile};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

type Seen = Arc<Mutex<Vec<String>>>;

/// Sends on according to the path; what it saw is `METHOD PATH COOKIE BODY`.
fn server() -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    let shared = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let seen = Arc::clone(&shared);
            std::thread::spawn(move || serve(stream, &seen));
        }
    });
    (url, seen)
}

fn serve(stream: TcpStream, seen: &Seen) -> Option<()> {
    let mut out = stream.try_clone().ok()?;
    let mut lines = BufReader::new(stream);
    loop {
        let mut first = String::new();
        lines.read_line(&mut first).ok().filter(|read| *read > 0)?;
        let (mut cookie, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            lines.read_line(&mut line).ok()?;
            match line.trim().split_once(": ") {
                None => break,
                Some(("cookie", value)) => cookie = value.to_owned(),
                Some(("content-length", value)) => length = value.parse().ok()?,
                Some(_) => {}
            }
        }
        let mut body = vec![0; length];
        lines.read_exact(&mut body).ok()?;
        let what = first.trim().strip_suffix(" HTTP/1.1")?.to_owned();
        let body = String::from_utf8(body).ok()?;
        seen.lock().unwrap().push(format!("{what} {cookie} {body}"));
        let to = |status: &str, to: &str| format!("{status} On\r\nLocation: {to}\r\n");
        let head = match what.split(' ').nth(1)? {
            "/in/a?n=1" => to("302", "b") + "Set-Cookie: s=1\r\n",
            "/in/b" => to("301", "../c#part"),
            "/again" => to("307", "/kept"),
            "/seen" => to("303", "/c"),
            "/loop" => to("302", "/loop"),
            "/away" => to("302", "http://127.0.0.1:9/"),
            _ => "200 OK\r\n".to_owned(),
        };
        write!(out, "HTTP/1.1 {head}Content-Length: 2\r\n\r\nok").ok()?;
    }
}

fn run(url: &str, request: &str) -> Measured {
    let mut text = format!(
        "version: 1\nname: hops\ntarget: {{url: \"{url}\", follow_redirects: 3}}\n\
         load: {{shape: {{constant: {{rate: 1, for: 1s}}}}}}\n\
         journeys: [{{name: j, steps: [{{request: {request}}}]}}]\n"
    );
    if !request.contains("follow_redirects: 0") {
        // There is such a row to speak of.
        text += "thresholds: {\"http_req_duration{name:r (redirected)}\": [max<60000]}\n";
    }
    let compiled = compile::text(Path::new("s.yaml"), &text).unwrap_or_else(|bad| panic!("{bad}"));
    let target = Arc::new(compiled.target.target(None).unwrap());
    let script = Arc::new(compiled.script);
    Run::start(script, compiled.plan, target, &compiled.options)
        .join()
        .unwrap()
}

fn ended(named: &Named) -> (u64, u64, u64) {
    (named.sent, named.ended(End::Good), named.ended(End::Status))
}

#[test]
fn each_hop_is_sent_with_its_cookies_and_counted_apart() {
    let (url, seen) = server();
    let check = "checks: [{name: ok, contains: ok}], extract: {s: {cookie: s}}";
    let measured = run(&url, &format!("{{name: r, path: \"/in/a?n=1\", {check}}}"));
    let wanted = ["GET /in/a?n=1  ", "GET /in/b s=1 ", "GET /c s=1 "];
    assert_eq!(*seen.lock().unwrap(), wanted);
    let [first, after] = &measured.named[..] else {
        panic!("{:?}", measured.named);
    };
    assert_eq!((ended(first), ended(after)), ((1, 1, 0), (2, 2, 0)));
    assert_eq!(
        (first.checks[0].passed, &*after.name),
        (1, "r (redirected)")
    );
    // The way as a whole counts from the first planned instant.
    assert!(after.latency.max_us() >= first.latency.min_us());
}

#[test]
fn methods_and_bodies_are_kept_or_not_as_the_status_says() {
    let (url, seen) = server();
    run(
        &url,
        "{name: r, method: POST, path: /again, body: \"${uuid()}\"}",
    );
    let all = seen.lock().unwrap().clone();
    let [first, second] = &all[..] else {
        panic!("{all:?}");
    };
    let body = first.strip_prefix("POST /again  ").unwrap();
    assert_eq!(body.len(), 36);
    assert_eq!(
        *second,
        format!("POST /kept  {body}"),
        "the very same request"
    );
    seen.lock().unwrap().clear();
    run(&url, "{name: r, method: POST, path: /seen, json: {a: 1}}");
    assert_eq!(*seen.lock().unwrap(), ["POST /seen  {\"a\":1}", "GET /c  "]);
}

#[test]
fn loops_end_and_other_hosts_are_not_asked() {
    let (url, seen) = server();
    let measured = run(&url, "{name: r, path: /loop}");
    assert_eq!(seen.lock().unwrap().len(), 4);
    let after = &measured.named[1];
    assert_eq!(ended(after), (3, 2, 1));
    assert_eq!(after.reasons["too many redirects"], 1);
    let measured = run(&url, "{name: r, path: /away}");
    assert_eq!(ended(&measured.named[0]), (1, 0, 1));
    assert_eq!(measured.named[0].reasons["redirected to another host"], 1);
    // An answer where none is followed.
    let measured = run(&url, "{name: other, path: /away, follow_redirects: 0}");
    assert_eq!(ended(&measured.named[0]), (1, 1, 0));
}
