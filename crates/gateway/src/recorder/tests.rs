//! Records: what is kept, what is blanked, what is dropped.

use super::*;
use hyper::Request;
use hyper::header::{HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::path::Path;

const KEY: [u8; 32] = [3; 32];
const MIB: u64 = 1 << 20;

fn options(file: &Path, bodies: KeepBody) -> settings::Recorder {
    settings::Recorder {
        file: file.to_owned(),
        sample: 1.0,
        redact: vec!["email".to_owned(), "X-Badge".to_owned()],
        bodies,
        body_bytes: 1_024,
        file_bytes: 64 * MIB,
        at: String::new(),
    }
}

fn request(target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::post(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).expect("a request").into_parts();
    parts
}

/// What one request with this body is recorded as.
fn recorded(bodies: KeepBody, parts: &Parts, body: &[&[u8]]) -> Record {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("requests.jsonl");
    let recorder = Recorder::start(&options(&file, bodies), &KEY).expect("a recorder");
    let mut capture = recorder
        .tap()
        .take(parts, b"buyer-1", 1_000)
        .expect("all are taken");
    body.iter().for_each(|part| capture.body_part(part));
    capture.answered(201, 1_234);
    drop(capture);
    recorder.flush();
    let counts = recorder.counts();
    assert_eq!((counts.written, counts.dropped, counts.failed), (1, 0, 0));
    let mut found = records(&file);
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn records(file: &Path) -> Vec<Record> {
    let text = std::fs::read(file).expect("the file");
    read(&text[..])
        .map(|record| record.expect("a record"))
        .collect()
}

const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// The members and their spelling are the promise of docs/records.md.
#[test]
fn the_format_is_pinned() {
    let headers = [("host", "shop.example"), JSON, ("accept", "*/*")];
    let parts = request("/orders?sku=1", &headers);
    let record = recorded(KeepBody::Whole, &parts, &[b"{\"units\": ", b"2}"]);
    let expected = json!({
        "v": 1,
        "time_ms": 1000,
        "client": "fc278746a746d7a8d2f43fc55c7e1b14",
        "method": "POST",
        "host": "shop.example",
        "target": "/orders?sku=1",
        "headers": [
            ["host", "shop.example"],
            ["content-type", "application/json; charset=utf-8"],
            ["accept", "*/*"],
        ],
        "body": {
            "length": 12,
            "hash": "b30a2e0a5aaded3ed4e504d9839a15bdda0ba1b64391bb0878f4650e9ddca38b",
            "text": "{\"units\":2}",
        },
        "status": 201,
        "duration_us": 1234,
    });
    let found = serde_json::to_value(&record).expect("JSON");
    assert_eq!(found, expected);
}

#[test]
fn no_secret_is_written_down() {
    let secret = "S3CRET";
    let headers: Vec<(&str, &str)> = [
        "cookie",
        "authorization",
        "proxy-authorization",
        "set-cookie",
        "x-api-key",
        "X-Auth-Token",
        "x-csrf-token",
        "seawall-mark",
        "x-badge",
        "x-forwarded-for",
        "forwarded",
        "x-real-ip",
        "idempotency-key",
        "X-Session-Id",
        "x-amz-signature",
    ]
    .into_iter()
    .map(|name| (name, secret))
    .chain([
        ("referer", "https://shop.example/?a=1&token=S3CRET#x"),
        ("x-original-url", "/p?email=S3CRET"),
        JSON,
    ])
    .collect();
    let targets = [
        "/p?token=S3CRET&a=1",
        "/p?a=1&access_token=S3CRET",
        "/p?%74oken=S3CRET",
        "/p?Email=S3CRET",
        "/p?user%5Bemail%5D=S3CRET",
        "/p?user[email]=S3CRET",
        "/p?a=1;password=S3CRET",
        "/p?email=S3CRET&email=S3CRET",
        "/p?apiKey=S3CRET",
    ];
    let bodies = [
        r#"{"password":"S3CRET"}"#,
        r#"{"a":{"b":[{"E-Mail":"S3CRET"}]}}"#,
        r#"{"email":{"x":["S3CRET"]}}"#,
        r#"{"a":{"pin":"S3CRET"},"a":1}"#,
        r#"{"\u0070assword":"S3CRET"}"#,
        r#"{"cardNumber":"S3CRET","cvc":"S3CRET"}"#,
        // Broken, so that nobody can tell what is secret in it.
        r#"{"x":1,"password":"S3CRET""#,
    ];
    for (target, body) in targets
        .iter()
        .flat_map(|t| bodies.iter().map(move |b| (t, b)))
    {
        let record = recorded(
            KeepBody::Whole,
            &request(target, &headers),
            &[body.as_bytes()],
        );
        let line = serde_json::to_string(&record).expect("JSON");
        assert!(!line.contains(secret), "{target} {body}: {line}");
        let key = record
            .headers
            .iter()
            .find(|(name, _)| name == "idempotency-key");
        assert!(key.is_some_and(|(_, value)| value.len() == 32), "{line}");
    }
    let form = [FORM];
    let body = b"email=S3CRET&units=2&pass%77ord=S3CRET";
    let record = recorded(KeepBody::Whole, &request("/p", &form), &[body]);
    let text = record.body.text.as_deref();
    assert_eq!(text, Some("email=redacted&units=2&pass%77ord=redacted"));
}

#[test]
fn what_is_no_secret_stays() {
    let headers = [("user-agent", "curl/8"), ("x-author", "Ann"), JSON];
    let parts = request("/p?shipping=1&q=token", &headers);
    let body = br#"{"sku":7,"note":"password","price":19.9,"deep":[[null,true]]}"#;
    let record = recorded(KeepBody::Whole, &parts, &[body]);
    assert_eq!(record.target, "/p?shipping=1&q=token");
    assert_eq!(record.headers[1], ("x-author".to_owned(), "Ann".to_owned()));
    assert_eq!(record.body.text.as_deref(), std::str::from_utf8(body).ok());
}

#[test]
fn a_body_is_kept_as_the_policy_says() {
    let long = format!("\"{}\"", "x".repeat(1_023));
    let just = format!("\"{}\"", "x".repeat(1_022));
    /// What, policy, content type, body; whether a hash and a text are kept.
    type Row<'a> = (&'a str, KeepBody, (&'a str, &'a str), &'a str, bool, bool);
    let rows: &[Row<'_>] = &[
        ("none", KeepBody::None, JSON, "1", false, false),
        ("hash", KeepBody::Hash, JSON, "1", true, false),
        ("whole", KeepBody::Whole, JSON, "1", true, true),
        (
            "of all bytes allowed",
            KeepBody::Whole,
            JSON,
            &just,
            true,
            true,
        ),
        ("too long", KeepBody::Whole, JSON, &long, true, false),
        (
            "a picture",
            KeepBody::Whole,
            ("content-type", "image/png"),
            "1",
            true,
            false,
        ),
        ("no body", KeepBody::Whole, JSON, "", false, false),
        (
            "of a kind",
            KeepBody::Whole,
            ("content-type", "a/b+json"),
            "1",
            true,
            true,
        ),
    ];
    for (what, policy, kind, body, hash, text) in rows {
        let (start, end) = body.as_bytes().split_at(body.len() / 2);
        let found = recorded(*policy, &request("/", &[*kind]), &[start, end]).body;
        assert_eq!(found.length, body.len() as u64, "{what}");
        assert_eq!(
            (found.hash.is_some(), found.text.is_some()),
            (*hash, *text),
            "{what}"
        );
    }
}

#[test]
fn hashes_tell_apart_what_differs_and_need_the_key() {
    let redactor = Redactor::new(&KEY, &[]);
    assert_eq!(redactor.client(b"a"), redactor.client(b"a"));
    assert_ne!(redactor.client(b"a"), redactor.client(b"b"));
    let other = Redactor::new(&[4; 32], &[]);
    assert_ne!(redactor.client(b"a"), other.client(b"a"));
    let mut body = redactor.body_hash();
    body.update(b"a");
    assert!(
        !body.finish().starts_with(&redactor.client(b"a")),
        "one label for each use"
    );
}

#[test]
fn a_client_that_went_away_is_recorded_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("requests.jsonl");
    let recorder = Recorder::start(&options(&file, KeepBody::Hash), &KEY).expect("a recorder");
    drop(recorder.tap().take(&request("/", &[]), b"c", 1));
    drop(recorder);
    let found = records(&file);
    assert_eq!((found[0].status, found[0].duration_us), (None, None));
}

#[test]
fn a_full_file_moves_aside_and_both_stay_within_their_bound() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("requests.jsonl");
    let mut settings = options(&file, KeepBody::Hash);
    settings.file_bytes = 4_096;
    let recorder = Recorder::start(&settings, &KEY).expect("a recorder");
    let tap = recorder.tap();
    for number in 0..200 {
        let target = format!("/{number}");
        drop(tap.take(&request(&target, &[]), b"c", number));
        recorder.flush();
        let length = |path: &Path| std::fs::metadata(path).map_or(0, |about| about.len());
        let both = length(&file) + length(&Recorder::older(&settings));
        assert!(both <= settings.file_bytes, "{both}");
    }
    assert_eq!(recorder.counts().written, 200);
    let mut found = records(&Recorder::older(&settings));
    found.extend(records(&file));
    let times: Vec<u64> = found.iter().map(|record| record.time_ms).collect();
    let expected: Vec<u64> = (200 - times.len() as u64..200).collect();
    assert!(
        times.len() > 10 && times == expected,
        "the newest, in order: {times:?}"
    );

    let long = format!("/{}", "x".repeat(2_048));
    drop(tap.take(&request(&long, &[]), b"c", 0));
    recorder.flush();
    assert_eq!(recorder.counts().dropped, 1, "longer than a file");
}

/// A disk that hangs until told.
struct Gate(std::sync::mpsc::Receiver<()>, SyncSender<()>);
impl io::Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.1.try_send(());
        let _ = self.0.recv();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_hangs_costs_requests_and_no_time() {
    let (open, opened) = sync_channel(1);
    let (arrived, arrivals) = sync_channel(1);
    let settings = options(Path::new("unused"), KeepBody::Whole);
    let output = Output::test(Gate(opened, arrived));
    let recorder = Recorder::start_with(output, &settings, &KEY).expect("a recorder");
    let tap = recorder.tap();
    let parts = request("/", &[]);
    drop(tap.take(&parts, b"c", 1));
    arrivals
        .recv()
        .expect("the thread hangs in its first write");
    let many = RECORDER_QUEUE_REQUESTS as u64 + 10;
    (0..many).for_each(|_| drop(tap.take(&parts, b"c", 1)));
    assert_eq!(recorder.counts().dropped, 10);
    drop(open);
    recorder.flush();
    assert_eq!(recorder.counts().written, many + 1 - 10);
    assert_eq!(recorder.shared.queued_bytes.load(Relaxed), 0);
}

#[test]
fn requests_that_wait_are_bounded_in_bytes() {
    let (open, opened) = sync_channel(1);
    let (arrived, arrivals) = sync_channel(1);
    let mut settings = options(Path::new("unused"), KeepBody::Whole);
    settings.body_bytes = MIB;
    let output = Output::test(Gate(opened, arrived));
    let recorder = Recorder::start_with(output, &settings, &KEY).expect("a recorder");
    let tap = recorder.tap();
    let parts = request("/", &[]);
    drop(tap.take(&parts, b"c", 1));
    arrivals
        .recv()
        .expect("the thread hangs in its first write");
    let body = vec![b'x'; MIB as usize];
    for _ in 0..20 {
        let mut capture = tap.take(&parts, b"c", 1).expect("all are taken");
        capture.body_part(&body);
    }
    assert_eq!(recorder.counts().dropped, 20 - 16);
    drop(open);
}

#[test]
fn a_sample_takes_its_share() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut settings = options(&folder.path().join("r"), KeepBody::None);
    let parts = request("/", &[]);
    // Ten standard deviations around a quarter.
    for (sample, expected) in [(0.0, 0..=0), (1.0, 4_000..=4_000), (0.25, 726..=1_274)] {
        settings.sample = sample;
        let recorder = Recorder::start(&settings, &KEY).expect("a recorder");
        let tap = recorder.tap();
        let taken = (0..4_000)
            .filter(|_| tap.take(&parts, b"c", 1).is_some())
            .count();
        assert!(expected.contains(&taken), "{sample}: {taken}");
    }
}

#[test]
fn wrong_lines_are_named_and_the_rest_is_read() {
    let good = "{\"v\":1,\"time_ms\":1,\"client\":\"c\",\"method\":\"GET\",\"target\":\"/\",\
                \"headers\":[],\"body\":{\"length\":0},\"later\":true}";
    let without = good.replace("\"client\":\"c\",", "");
    let newer = "{\"v\":2,\"quite\":\"different\"}";
    let long = "x".repeat(crate::limits::RECORD_LINE_BYTES_MAX + 1);
    let torn = &good[..40];
    let text = [good, "", "no", newer, &without, &long, good, torn].join("\n");
    let found: Vec<Result<Record, ReadError>> = read(text.as_bytes()).collect();
    let errors: Vec<String> = found
        .iter()
        .filter_map(|record| record.as_ref().err().map(ToString::to_string))
        .collect();
    let expected = [
        "line 3: not a recorded request: ",
        "line 4: version 2, expected 1",
        "line 5: not a recorded request: missing field `client`",
        "line 6: longer than 8388608 bytes",
        "line 8: not a recorded request: EOF",
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected), "{error}");
    }
    assert_eq!(found.iter().filter(|record| record.is_ok()).count(), 2);
}

fn header() -> impl Strategy<Value = (String, Vec<u8>)> {
    (
        "[a-z][a-z0-9-]{0,12}",
        prop::collection::vec(0x20_u8..=0xff, 0..40),
    )
        .prop_filter("a header's value has no DEL", |(_, value)| {
            !value.contains(&0x7f)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever comes in, one line goes out, and the reader gives back what was there.
    #[test]
    fn what_is_written_is_read(
        path in "/[a-z0-9/%._~-]{0,30}",
        query in proptest::option::of("[a-z]{1,4}=[a-z0-9%]{0,8}(&[a-z]{1,4}=[a-z0-9]{0,8}){0,3}"),
        headers in prop::collection::vec(header(), 0..6),
        body in "\\PC{0,60}",
        answer in proptest::option::of((100_u16..600, any::<u64>())),
        time_ms in any::<u64>(),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("requests.jsonl");
        let recorder = Recorder::start(&options(&file, KeepBody::Whole), &KEY).expect("a recorder");
        let target = match &query {
            Some(query) => format!("{path}?{query}"),
            None => path.clone(),
        };
        let mut parts = request(&target, &[JSON]);
        for (name, value) in &headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            parts.headers.append(name, HeaderValue::from_bytes(value).expect("a value"));
        }
        let body = Json::from(body).to_string();
        let mut capture = recorder.tap().take(&parts, b"c", time_ms).expect("all are taken");
        capture.body_part(body.as_bytes());
        if let Some((status, duration_us)) = answer {
            capture.answered(status, duration_us);
        }
        drop(capture);
        drop(recorder);
        let text = std::fs::read(&file).expect("the file");
        prop_assert_eq!(memchr::memchr_iter(b'\n', &text).count(), 1);
        let found = records(&file);
        prop_assert_eq!(found.len(), 1);
        let found = &found[0];
        prop_assert_eq!(found.time_ms, time_ms);
        prop_assert_eq!(&found.method, "POST");
        let redact = options(&file, KeepBody::Whole).redact;
        let plain_query = Redactor::new(&KEY, &redact).target(&target);
        prop_assert_eq!(&found.target, &plain_query);
        prop_assert!(found.target.starts_with(&path));
        prop_assert_eq!(found.headers.len(), parts.headers.len());
        prop_assert_eq!(found.body.length, body.len() as u64);
        prop_assert_eq!(found.body.text.as_deref(), Some(&*body));
        prop_assert_eq!(found.status.zip(found.duration_us), answer);
        let again = serde_json::to_vec(found).expect("JSON");
        prop_assert_eq!(&again[..], text.trim_ascii());
    }
}

proptest! {
    /// Each line is a record or an error with its number, whatever stands in it; what is read is
    /// written as something that is read the same.
    #[test]
    fn any_bytes_are_lines(
        changes in crate::mutate::edits(&["\n", "{", "}", "\"v\":1,", "\"v\":2,", "null", "-1", "[", "\\u0000"]),
        random in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let good = "{\"v\":1,\"time_ms\":1,\"client\":\"c\",\"method\":\"GET\",\"target\":\"/?a=b\",\
                    \"headers\":[[\"a\",\"b\"]],\"body\":{\"length\":2,\"text\":\"xy\"},\"status\":200}\n";
        let two = good.repeat(2);
        for bytes in [crate::mutate::apply(two.as_bytes(), &changes), random] {
            let full = bytes.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty());
            let found: Vec<_> = read(&bytes[..]).collect();
            prop_assert_eq!(found.len(), full.count());
            let lines = bytes.iter().filter(|b| **b == b'\n').count() as u64 + 1;
            for record in found {
                match record {
                    Ok(record) => {
                        let again = serde_json::to_vec(&record).unwrap();
                        let again: Vec<_> = read(&again[..]).map(Result::unwrap).collect();
                        prop_assert_eq!(again, [record]);
                    }
                    Err(error) => prop_assert!((1..=lines).contains(&error.line), "{}", error),
                }
            }
        }
    }
}
