//! A scenario's file, compiled and run against a small server: extraction, condition, loop,
//! cookies, feeder, bodies; and what the thresholds say about it.

use load::{Run, Target, compile};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

type Seen = Arc<Mutex<Vec<String>>>;

/// Answers until the process ends; what it saw is `METHOD PATH COOKIE AUTHORIZATION BODY`.
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
        let (mut cookie, mut auth, mut length) = (String::new(), String::new(), 0);
        loop {
            let mut line = String::new();
            lines.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim().split_once(": ") else {
                break;
            };
            match name {
                "cookie" => cookie = value.to_owned(),
                "authorization" => auth = value.to_owned(),
                "content-length" => length = value.parse().ok()?,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        lines.read_exact(&mut body).ok()?;
        let what = first.trim().strip_suffix(" HTTP/1.1")?.to_owned();
        let body = String::from_utf8(body).ok()?;
        let mut all = seen.lock().unwrap();
        all.push(format!("{what} {cookie} {auth} {body}"));
        let reserved = all
            .iter()
            .filter(|line| line.starts_with("POST /reserve"))
            .count();
        drop(all);
        let (status, head, body) = match what.as_str() {
            "GET /login" => (
                "200 OK",
                "set-cookie: s=abc; Path=/\r\n",
                r#"<form><input name="t" value="t-1"></form>"#.to_owned(),
            ),
            // Two more rounds are wanted by the first two.
            "POST /reserve" => ("201 Created", "", format!("{{\"left\": {}}}", 3 - reserved)),
            "GET /gone" => ("404 Not Found", "", String::new()),
            _ => ("200 OK", "", "{}".to_owned()),
        };
        let length = body.len();
        write!(
            out,
            "HTTP/1.1 {status}\r\n{head}content-length: {length}\r\n\r\n{body}"
        )
        .ok()?;
    }
}

const SCENARIO: &str = r#"version: 1
name: small
target: {url: "URL", timeout: 5s}
load: {shape: {constant: {rate: 1, for: 1s}}}
feeders:
  - {name: products, file: products.csv, columns: {sku: sku, colour: colour}}
setup: [warm]
blocks:
  warm:
    - request: /warm
  reserve:
    - request:
        name: reserve
        method: POST
        path: /reserve
        headers: {authorization: "Bearer ${token}"}
        json: {sku: "${sku}", note: "a ${colour} one", n: "${n}", fixed: [1, true, null]}
        checks:
          - {name: created, is: status == 201}
          - {name: some left, json: /left}
        extract: {left: {json: /left}}
journeys:
  - name: buy
    steps:
      - feed: products
      - set: {n: 1 + 1, left: "1"}
      - request:
          name: login
          path: /login
          extract: {token: {css: "input[name=t]", attribute: value}}
      - when: token == "t-1"
        do: {block: reserve, while: left > 0, most: 9}
      - when: token == "other"
        request: /never
      - request: {name: pay, method: PUT, path: "/pay?sku=${sku}", form: {a b: "${colour}&"}}
      - request: /gone
thresholds:
  http_req_duration: ["max<60000"]
  "http_reqs{name:reserve}": ["count==3"]
  "checks{check:created}": [rate==1]
  http_req_failed: [rate<0.01]
  iterations: [count==1]
"#;

#[test]
fn a_compiled_scenario_does_what_its_file_says() {
    let (url, seen) = server();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("products.csv"),
        "sku,x,colour\nmug,1,\"d\"\"b\"\n",
    )
    .unwrap();
    let path = folder.path().join("s.yaml");
    std::fs::write(&path, SCENARIO.replace("URL", &url)).unwrap();
    let compiled = compile::file(&path).unwrap_or_else(|found| panic!("{found}"));
    let target = Arc::new(Target::new(&compiled.target.url, None).unwrap());
    let run = |script| {
        let (script, plan) = (Arc::new(script), compiled.plan.clone());
        let run = Run::start(script, plan, Arc::clone(&target), &compiled.options);
        run.join().unwrap()
    };
    let setup = run(compiled.setup.clone().unwrap());
    assert_eq!((setup.journeys, setup.total().errors()), (1, 0));
    let measured = run(compiled.script.clone());
    let body = r#"{"sku":"mug","note":"a d\"b one","n":2,"fixed":[1,true,null]}"#;
    let reserve = format!("POST /reserve s=abc Bearer t-1 {body}");
    let wanted = [
        "GET /warm   ",
        "GET /login   ",
        &reserve,
        &reserve,
        &reserve,
        "PUT /pay?sku=mug s=abc  a%20b=d%22b%26",
        "GET /gone s=abc  ",
    ];
    assert_eq!(*seen.lock().unwrap(), wanted);
    let judged: Vec<(Option<f64>, bool)> = compiled
        .thresholds
        .iter()
        .map(|threshold| threshold.whole(&measured))
        .map(|judged| (judged.seen, judged.holds))
        .collect();
    // /gone is one of six.
    let wanted = [
        (judged[0].0, true),
        (Some(3.0), true),
        (Some(1.0), true),
        (Some(1.0 / 6.0), false),
        (Some(1.0), true),
    ];
    assert_eq!(judged, wanted);
}
