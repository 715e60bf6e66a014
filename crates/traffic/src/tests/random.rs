//! Random input: nothing panics, and what is written is read back.

use super::{reading, seen};
use crate::substitute::Substitution;
use crate::template::{Learner, class};
use crate::{Fields, Format, Options, Seen, combined, gor, in_order, read, read_rate};
use proptest::prelude::*;
use std::io::Cursor;

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,20}", "\\PC{0,12}", ".{0,8}"]
}

fn request() -> impl Strategy<Value = Seen> {
    let client = prop::option::of("[0-9a-f:.]{3,15}");
    let target = "/[ -~]{0,30}".prop_map(|text| text.replace("HTTP/", ""));
    let rest = (
        prop::option::of(100_u16..=999),
        0_u64..5_000,
        text(),
        text(),
    );
    (0_u64..4_000_000_000, client, "[A-Z]{1,7}", target, rest).prop_map(
        |(at, client, method, target, (status, bytes, referer, agent))| {
            let named = [("referer", referer), ("user-agent", agent)];
            let said = named.into_iter().filter(|(_, value)| value != "-");
            Seen {
                at_us: at * 1_000_000,
                client,
                method,
                target,
                status,
                response_bytes: Some(bytes),
                headers: said.map(|(name, value)| (name.to_owned(), value)).collect(),
                ..Seen::default()
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn combined_is_read_as_it_was_written(seen in request()) {
        let mut line = Vec::new();
        combined::write(&mut line, &seen);
        prop_assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
        let mut expected = seen.clone();
        expected.headers.retain(|(_, value)| value != "-");
        let found = combined::parse(line.strip_suffix(b"\n").unwrap());
        prop_assert_eq!(found.unwrap(), expected);
    }

    #[test]
    fn goreplay_is_read_as_it_was_written(
        requests in prop::collection::vec((request(), prop::collection::vec(any::<u8>(), 0..40)), 1..5),
        host in "[a-z]{1,9}",
        took in 1_u64..1_000_000,
    ) {
        let mut out = Vec::new();
        let mut expected = Vec::new();
        for (id, (mut seen, body)) in requests.into_iter().enumerate() {
            seen.target.retain(|c| c != ' ');
            seen.headers = vec![("host".to_owned(), host.clone())];
            seen.headers.extend(seen.client.clone().map(|c| ("x-forwarded-for".to_owned(), c)));
            seen.host = Some(host.clone());
            seen.request_bytes = Some(body.len() as u64);
            seen.body = (!body.is_empty()).then_some(body);
            if seen.status.is_some() {
                seen.duration_us = Some(took);
            } else {
                seen.response_bytes = None;
            }
            gor::write(&mut out, &seen, id as u64);
            expected.push(seen);
        }
        let found: Result<Vec<Seen>, _> = reading(out, Some(Format::Gor)).into_iter().collect();
        prop_assert_eq!(found.unwrap(), expected);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 1..300)) {
        every_format(&bytes);
    }

    /// Nearly right is more dangerous than noise.
    #[test]
    fn no_damage_makes_a_reader_panic(
        which in 0..SAMPLES.len(), cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = SAMPLES[which].as_bytes().to_vec();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        every_format(&bytes);
        bytes.truncate(cut.index(bytes.len()) + 1);
        every_format(&bytes);
    }

    #[test]
    fn templates_and_substitutions_take_anything(
        target in text(), body in text(), kind in 0..3_usize,
    ) {
        let mut learner = Learner::new(Vec::new());
        learner.learn(&target);
        let templates = learner.finish();
        let path = target.split('?').next().unwrap();
        prop_assert_eq!(templates.of(path), templates.of(path));
        let _ = class(&target);
        let mut request = seen(1, "c", "GET", &target);
        let kinds = ["application/json", "application/x-www-form-urlencoded", "text/plain"];
        request.headers.push(("content-type".to_owned(), kinds[kind].to_owned()));
        request.body = Some(body.into_bytes());
        let buyer = Substitution::default().apply(&mut request);
        prop_assert!(buyer.unwrap() < 1_000);
    }

    #[test]
    fn order_is_stable_and_loses_nothing(instants in prop::collection::vec(0_u64..20, 0..50)) {
        let numbered = instants.iter().enumerate();
        let all = numbered.map(|(number, at)| seen(*at, "c", "GET", &format!("/{number}")));
        let found: Vec<(u64, usize)> = in_order(all)
            .map(|seen| (seen.at_us / 1_000_000, seen.target[1..].parse().unwrap()))
            .collect();
        let mut expected: Vec<(u64, usize)> =
            instants.iter().enumerate().map(|(number, at)| (*at, number)).collect();
        expected.sort_unstable();
        prop_assert_eq!(found, expected);
    }
}

const SAMPLES: [&str; 5] = [
    r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET /a?b=1 HTTP/1.1" 200 12 "r\x41" "a\"b""#,
    r#"{"time":"2015-05-17T10:05:03.042Z","client":"1.2.3.4","method":"GET","target":"/a","status":200,"bytes":12,"duration_us":1500}"#,
    r#"{"v":1,"time_ms":1431857103042,"client":"2f","method":"POST","target":"/o","headers":[["a","b"]],"body":{"length":7,"text":"x"},"status":201}"#,
    r#"{"log":{"pages":[],"entries":[{"startedDateTime":"2015-05-17T10:05:03Z","time":1,"request":{"method":"GET","url":"http://h/"},"response":{"status":200}}]}}"#,
    "1 0123456789abcdef01234567 1431857103000000000 0\nPOST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\n🐵🙈🙉\n2 0123456789abcdef01234567 1431857103000000000 9\nHTTP/1.1 200 OK\r\n\r\nx\n🐵🙈🙉\n",
];

fn every_format(bytes: &[u8]) {
    for format in Format::ALL.map(Some).into_iter().chain([None]) {
        let options = Options {
            format,
            fields: Fields::default(),
        };
        if let Ok(reader) = read(Box::new(Cursor::new(bytes.to_vec())), &options) {
            let items = reader.take(2_000).count();
            assert!(
                items <= bytes.len() + 1,
                "{items} items from {} bytes",
                bytes.len()
            );
        }
    }
    let _ = read_rate(bytes);
}
