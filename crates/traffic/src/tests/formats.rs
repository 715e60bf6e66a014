//! Every format as it is, and what is refused.

use super::reading;
use crate::{Fields, Format, OpenError, Options, Seen, read};
use std::io::{Cursor, Write};

/// The one request of a line, recognised by itself.
#[track_caller]
fn one(line: &str) -> Seen {
    let mut all = reading(line, None);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0).unwrap()
}

const AT: u64 = 1_431_857_103_000_000;

#[test]
fn access_logs_in_quotes() {
    #[rustfmt::skip]
    let cases = [
        // line; client, host, method, target, status, bytes, user agent
        (r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET /a?b=1 HTTP/1.1" 200 12 "-" "Agent X""#,
         (Some("1.2.3.4"), None, "GET", "/a?b=1", Some(200), Some(12), Some("Agent X"))),
        (r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 304 -"#,
         (Some("1.2.3.4"), None, "GET", "/a", Some(304), Some(0), None)),
        (r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 12 "-" "cut off"#,
         (Some("1.2.3.4"), None, "GET", "/a", Some(200), Some(12), Some("cut off"))),
        (r#"shop.example:443 ::1 - ann smith [17/May/2015:12:05:03 +0200] "POST /a HTTP/2.0" 201 0 "-" "x" 0.005"#,
         (Some("::1"), Some("shop.example:443"), "POST", "/a", Some(201), Some(0), Some("x"))),
        (r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET /a b c HTTP/1.0" 404 5 "-" "say \"hi\" \x41""#,
         (Some("1.2.3.4"), None, "GET", "/a b c", Some(404), Some(5), Some("say \"hi\" A"))),
        (r#"- - - [17/May/2015:10:05:03 +0000] "GET http://h.example:80/x?y HTTP/1.1" 000 0 "-" "-""#,
         (None, Some("h.example:80"), "GET", "/x?y", None, Some(0), None)),
    ];
    for (line, expected) in cases {
        let seen = one(line);
        let agent = seen.header("user-agent");
        let (client, host) = (seen.client.as_deref(), seen.host.as_deref());
        let (method, target) = (seen.method.as_str(), seen.target.as_str());
        let found = (
            client,
            host,
            method,
            target,
            seen.status,
            seen.response_bytes,
            agent,
        );
        assert_eq!(found, expected, "{line}");
        assert_eq!(seen.at_us, AT, "{line}");
    }
}

#[test]
fn refused_lines_have_their_number_and_reason() {
    let good = r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1"#;
    #[rustfmt::skip]
    let cases = [
        ("hello",                                                    "not this format"),
        (r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] GET / 200 1"#,  "not this format"),
        (r#"1.2.3.4 - - [yesterday] "GET / HTTP/1.1" 200 1"#,        "no instant"),
        (r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "-" 408 -"#,    "no request line"),
        (r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "\x16\x03\x01" 400 0"#, "no request line"),
        (r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 20x 1"#, "no status"),
        (r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 many"#, "no number of bytes"),
    ];
    for (line, reason) in cases {
        let all = reading(format!("{good}\n\n{line}\n{good}\n"), None);
        let [Ok(_), Err(error), Ok(_)] = all.as_slice() else {
            panic!("{line}: {all:?}");
        };
        assert_eq!(
            (error.line, error.why.label()),
            (3, reason),
            "{line}: {error}"
        );
    }
    // Of the recorder only version 1.
    let records = "{\"v\":2,\"time_ms\":1,\"target\":\"/\"}\n";
    let all = reading(records, None);
    assert_eq!(all[0].as_ref().unwrap_err().why.label(), "another version");
    let long = format!(
        "{good}\n{}\n{good}\n",
        "x".repeat(crate::limits::LINE_BYTES_MAX + 1)
    );
    let all = reading(long, None);
    assert_eq!(
        all[1].as_ref().unwrap_err().to_string(),
        "line 2: a line longer than 8388608 bytes"
    );
    assert!(all.len() == 3 && all[2].is_ok());
}

#[test]
fn json_logs_of_several_servers() {
    let gateway = r#"{"time":"2015-05-17T10:05:03.042Z","client":"1.2.3.4","method":"GET","host":"h","target":"/a?b","protocol":"HTTP/1.1","status":200,"bytes":12,"duration_us":1500,"route":"all","user_agent":"x"}"#;
    let nginx = r#"{"time_iso8601":"2015-05-17T10:05:03+00:00","remote_addr":"1.2.3.4","request":"GET /a?b HTTP/1.1","http_host":"h","status":"200","body_bytes_sent":"12","request_time":"1.500"}"#;
    let parts = r#"{"msec":"1431857103.000","remote_addr":"1.2.3.4","request_method":"GET","uri":"/a","args":"b","host":"h","status":200,"body_bytes_sent":12}"#;
    let caddy = r#"{"level":"info","ts":1431857103.25,"request":{"remote_ip":"1.2.3.4","method":"GET","host":"h","uri":"/a?b"},"duration":0.5,"size":12,"status":200}"#;
    let traefik = r#"{"ClientHost":"1.2.3.4","Duration":2500000,"DownstreamContentSize":12,"DownstreamStatus":200,"RequestHost":"h","RequestMethod":"GET","RequestPath":"/a?b","StartUTC":"2015-05-17T10:05:03.25Z"}"#;
    #[rustfmt::skip]
    let cases = [
        ("gateway", gateway, AT + 42_000,      Some(1_500)),
        // nginx stamps the end of a request.
        ("nginx",   nginx,   AT - 1_500_000,   Some(1_500_000)),
        ("parts",   parts,   AT,               None),
        ("caddy",   caddy,   AT + 250_000,     Some(500_000)),
        ("traefik", traefik, AT + 250_000,     Some(2_500)),
    ];
    for (name, line, at, duration) in cases {
        let seen = one(line);
        let found = (
            seen.client.as_deref(),
            seen.host.as_deref(),
            seen.target.as_str(),
        );
        assert_eq!(found, (Some("1.2.3.4"), Some("h"), "/a?b"), "{name}");
        let found = (seen.method.as_str(), seen.status, seen.response_bytes);
        assert_eq!(found, ("GET", Some(200), Some(12)), "{name}");
        assert_eq!((seen.at_us, seen.duration_us), (at, duration), "{name}");
    }
    let fields = Fields::with("time=when,client=who.ip,target=what,method=how,duration=took:ms");
    let line = br#"{"when":"1431857103","who":{"ip":"x"},"how":"PUT","what":"/z","took":3}"#;
    let seen = fields.unwrap().parse(line).unwrap();
    assert_eq!(
        (seen.target.as_str(), seen.duration_us),
        ("/z", Some(3_000))
    );
    assert_eq!((seen.at_us, seen.client.as_deref()), (AT, Some("x")));
    let wrong = Fields::with("colour=red,time,duration=x:weeks").unwrap_err();
    assert_eq!(wrong.0.len(), 3, "{wrong}");
}

#[test]
fn the_recorder_and_its_body() {
    let line = r#"{"v":1,"time_ms":1431857103042,"client":"2f","method":"POST","host":"h","target":"/o?x=1","headers":[["content-type","application/json"]],"body":{"length":7,"hash":"b1","text":"{\"a\":1}"},"status":201,"duration_us":1834,"new":true}"#;
    let seen = one(line);
    assert_eq!((seen.at_us, seen.status), (AT + 42_000, Some(201)));
    assert_eq!(seen.body.as_deref(), Some(&b"{\"a\":1}"[..]));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(
        (seen.request_bytes, seen.duration_us),
        (Some(7), Some(1_834))
    );
}

const HAR: &str = r#"{
  "log": {"version": "1.2", "pages": [{"id": "a \" ] }"}], "creator": {"name": "x"},
    "entries": [
      {"startedDateTime": "2015-05-17T10:05:03.000Z", "time": 12.5,
       "request": {"method": "GET", "url": "https://h.example/a?b=1#c", "headers": [{"name": "X-A", "value": "1"}], "bodySize": -1},
       "response": {"status": 200, "bodySize": -1, "content": {"size": 77}}},
      {"startedDateTime": "never", "request": {"method": "GET", "url": "https://h.example/"}},
      {"startedDateTime": "2015-05-17T10:05:04Z", "request": {"method": "POST", "url": "https://h.example",
       "postData": {"mimeType": "application/x-www-form-urlencoded", "params": [{"name": "a b", "value": "c&d"}]}},
       "response": {"status": 0}}
    ]}, "more": 1}"#;

#[test]
fn har_entry_by_entry() {
    let all = reading(HAR, None);
    let [Ok(first), Err(error), Ok(last)] = all.as_slice() else {
        panic!("{all:?}");
    };
    assert_eq!(
        (first.target.as_str(), first.host.as_deref()),
        ("/a?b=1", Some("h.example"))
    );
    assert_eq!((first.at_us, first.duration_us), (AT, Some(12_500)));
    assert_eq!(
        (first.request_bytes, first.response_bytes),
        (None, Some(77))
    );
    assert_eq!(first.header("x-a"), Some("1"));
    assert_eq!((error.line, error.why.label()), (7, "no instant"));
    assert_eq!((last.target.as_str(), last.status), ("/", None));
    assert_eq!(last.body.as_deref(), Some(&b"a+b=c%26d"[..]));
    for (text, reason) in [
        (r#"{"log":{"entries":[{"startedDateTime":"#, "cut off"),
        (r#"{"log":{"pages":[]}}"#, "not this format"),
        (r#"{"log":{"entries":{}}}"#, "not this format"),
    ] {
        let all = reading(text, Some(Format::Har));
        let [Err(error)] = all.as_slice() else {
            panic!("{text}: {all:?}");
        };
        assert_eq!(error.why.label(), reason, "{text}: {error}");
    }
}

const ID: &str = "f45590522cd1838b4a0d5c5aab80b77929dea3b3";

#[test]
fn goreplay_joins_answers_to_requests() {
    let other = "000000000000000000000001";
    let text = format!(
        "1 {ID} 1431857103000000000 0\nPOST /a?b=1 HTTP/1.1\r\nHost: h.example\r\nX-Real-IP: 1.2.3.4\r\n\
         Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\n🐵🙈🙉\n\
         1 {other} 1431857104000000000 0\nGET / HTTP/1.1\r\n\r\n\n🐵🙈🙉\n\
         2 {ID} 1431857103250000000 250000000\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok\n🐵🙈🙉\n\
         3 {ID} 1431857103250000000 1\nHTTP/1.1 500 No\r\n\r\n\n🐵🙈🙉\n\
         2 ffffffff 1431857103250000000 1\nHTTP/1.1 200 OK\r\n\r\n\n🐵🙈🙉\n\
         nonsense\n🐵🙈🙉\n\
         3 {other} 1431857104500000000 0\nHTTP/1.1 404 No\r\n\r\n\n🐵🙈🙉\n"
    );
    let all = reading(text, None);
    let [Ok(first), Err(orphan), Err(odd), Ok(second)] = all.as_slice() else {
        panic!("{all:?}");
    };
    assert_eq!(
        (first.method.as_str(), first.target.as_str()),
        ("POST", "/a?b=1")
    );
    assert_eq!(first.client.as_deref(), Some("1.2.3.4"));
    assert_eq!(first.host.as_deref(), Some("h.example"));
    assert_eq!(first.body.as_deref(), Some(&b"abc"[..]));
    assert_eq!((first.status, first.response_bytes), (Some(201), Some(2)));
    assert_eq!((first.at_us, first.duration_us), (AT, Some(250_000)));
    assert_eq!(
        (orphan.line, orphan.why.label()),
        (29, "answer without request")
    );
    assert_eq!((odd.line, odd.why.label()), (34, "not this format"));
    assert_eq!((second.target.as_str(), second.status), ("/", Some(404)));
}

#[test]
fn packed_recordings() {
    let line = r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 12"#;
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writeln!(gz, "{line}").unwrap();
    let packed = gz.finish().unwrap();
    // Two members one after the other are one file.
    let all = reading([packed.clone(), packed.clone()].concat(), None);
    assert!(all.len() == 2 && all.iter().all(Result::is_ok), "{all:?}");
    let cut = packed[..packed.len() - 12].to_vec();
    let broken = read(Box::new(Cursor::new(cut)), &Options::default());
    assert!(matches!(broken, Err(OpenError::Io(_))), "{broken:?}");
    for (bytes, said) in [
        (&b"\xfd7zXZ\0 and more"[..], "packed with xz"),
        (&b" \n "[..], "empty"),
        (&b"some words\nand more"[..], "not recognised"),
    ] {
        let error = read(Box::new(Cursor::new(bytes)), &Options::default()).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}
