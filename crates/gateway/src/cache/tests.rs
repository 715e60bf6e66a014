//! What may be kept and for how long, against a model that walks through the seconds.

use super::RouteCache;
use super::directives::Directives;
use super::lease::{Exchange, judge};
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use std::time::Duration;

const NOW_S: u64 = 1_800_000_000;

fn route(ttl_s: Option<u64>) -> RouteCache {
    RouteCache {
        name: "r".into(),
        ttl: ttl_s.map(Duration::from_secs),
        stale_while_revalidate: Duration::from_secs(7),
        stale_if_error: Duration::from_secs(11),
        query: None,
        answer_bytes: 1_000,
        authorized: true,
        compression: false,
    }
}

fn head(lines: &[(&str, String)]) -> HeaderMap {
    let mut head = HeaderMap::new();
    for (name, value) in lines {
        let name: HeaderName = name.parse().unwrap();
        head.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    head
}

#[test]
fn what_forbids_is_never_overlooked() {
    let rows: [(&[u8], &str, Option<u64>); 12] = [
        (b"No-Store", "no-store", Some(0)),
        (b"MAX-AGE=5", "max-age", Some(5)),
        (b"max-age = 5", "max-age", Some(5)),
        (b"max-age=\"5\"", "max-age", Some(5)),
        (b"max-age=5, max-age=3", "max-age", Some(3)),
        (b"max-age=-1", "max-age", Some(0)),
        (b"max-age=99999999999999999999999", "max-age", Some(1 << 31)),
        (b"private=\"a, no-cache\", max-age=1", "private", Some(0)),
        (b"private=\"a, no-cache\", max-age=1", "no-cache", None),
        (b"x=\"unended, no-cache", "no-store", Some(0)),
        (b"max-age=1, caf\xe9", "no-store", Some(0)),
        (b",, public ,", "public", Some(0)),
    ];
    for (line, name, seconds) in rows {
        let mut head = HeaderMap::new();
        head.insert("cache-control", HeaderValue::from_bytes(line).unwrap());
        let shown = String::from_utf8_lossy(line);
        assert_eq!(
            Directives::of(&head).seconds(name),
            seconds,
            "{name} of {shown}"
        );
    }
}

/// One answer, as a person would describe it.
#[derive(Clone, Debug)]
struct Case {
    ttl: Option<u64>,
    max_age: Option<u64>,
    s_maxage: Option<u64>,
    expires_in: Option<i64>,
    date_before: Option<u64>,
    age: Option<u64>,
    flags: [bool; 6],
    revalidate: Option<u64>,
    error: Option<u64>,
    etag: bool,
    cookie: bool,
    authorized: bool,
    upper: bool,
}

const FLAGS: [&str; 6] = [
    "no-store",
    "private",
    "no-cache",
    "public",
    "must-revalidate",
    "proxy-revalidate",
];

impl Case {
    fn has(&self, name: &str) -> bool {
        FLAGS
            .iter()
            .position(|flag| *flag == name)
            .is_some_and(|at| self.flags[at])
    }
    fn heads(&self) -> (HeaderMap, HeaderMap) {
        let mut control: Vec<String> = FLAGS
            .iter()
            .zip(self.flags)
            .filter(|(_, on)| *on)
            .map(|(flag, _)| (*flag).to_owned())
            .collect();
        let timed = [
            ("max-age", self.max_age),
            ("s-maxage", self.s_maxage),
            ("stale-while-revalidate", self.revalidate),
            ("stale-if-error", self.error),
        ];
        control.extend(
            timed
                .iter()
                .filter_map(|(n, s)| s.map(|s| format!("{n}={s}"))),
        );
        let mut control = control.join(", ");
        if self.upper {
            control = control.to_ascii_uppercase();
        }
        let date = |s: i64| httpdate::fmt_http_date(super::lease::moment(s as u64 * 1_000));
        let mut lines = Vec::new();
        if !control.is_empty() {
            lines.push(("cache-control", control));
        }
        if let Some(before) = self.date_before {
            lines.push(("date", date((NOW_S - before) as i64)));
        }
        if let Some(expires_in) = self.expires_in {
            lines.push(("expires", date(NOW_S as i64 + expires_in)));
        }
        if let Some(age) = self.age {
            lines.push(("age", age.to_string()));
        }
        if self.etag {
            lines.push(("etag", "\"1\"".to_owned()));
        }
        if self.cookie {
            lines.push(("set-cookie", "a=b".to_owned()));
        }
        let asked = match self.authorized {
            true => head(&[("authorization", "x".to_owned())]),
            false => HeaderMap::new(),
        };
        (asked, head(&lines))
    }

    /// `None`: not kept. Else for each second: fresh, given while revalidated, given on errors.
    fn model(&self) -> Option<Vec<(bool, bool, bool)>> {
        let shareable =
            self.has("public") || self.has("must-revalidate") || self.s_maxage.is_some();
        if self.cookie || self.has("no-store") || self.has("private") {
            return None;
        }
        if self.authorized && !shareable {
            return None;
        }
        let before = self.date_before.filter(|before| *before >= 2).unwrap_or(0);
        let age = before.max(self.age.unwrap_or(0));
        let asks = self.ttl.is_none() && self.has("no-cache");
        let lifetime = if let Some(ttl) = self.ttl {
            ttl + age
        } else if asks {
            0
        } else if let Some(s) = self.s_maxage.or(self.max_age) {
            s
        } else if let Some(expires_in) = self.expires_in {
            (expires_in + self.date_before.unwrap_or(0) as i64).max(0) as u64
        } else {
            0
        };
        let strict = asks || self.has("must-revalidate") || self.has("proxy-revalidate");
        let (mut revalidate, mut error) = (self.revalidate.unwrap_or(7), self.error.unwrap_or(11));
        if self.ttl.is_some() {
            (revalidate, error) = (7, 11);
        } else if strict {
            (revalidate, error) = (0, 0);
        }
        let at = |second: u64| {
            let age = age + second;
            (
                age < lifetime,
                age < lifetime + revalidate,
                age < lifetime + error,
            )
        };
        let seconds: Vec<_> = (0..120).map(at).collect();
        let (fresh, a, b) = seconds[0];
        (fresh || a || b || self.etag).then_some(seconds)
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let some = |most: u64| prop_oneof![Just(None), (0..most).prop_map(Some)];
    let seldom = || prop_oneof![6 => Just(false), 1 => Just(true)];
    let times = (
        some(40),
        some(40),
        some(40),
        some(30),
        some(30),
        some(30),
        some(30),
    );
    let flags = [seldom(), seldom(), seldom(), seldom(), seldom(), seldom()];
    let expires = prop_oneof![Just(None), (-30_i64..40).prop_map(Some)];
    let rest = (any::<bool>(), seldom(), seldom(), any::<bool>());
    (times, flags, expires, rest).prop_map(|(times, flags, expires_in, rest)| {
        let (ttl, max_age, s_maxage, date_before, age, revalidate, error) = times;
        let (etag, cookie, authorized, upper) = rest;
        Case {
            // Most routes go by heads.
            ttl: ttl.filter(|ttl| *ttl % 4 == 0),
            max_age,
            s_maxage,
            expires_in,
            date_before,
            age,
            flags,
            revalidate,
            error,
            etag,
            cookie,
            authorized,
            upper,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    #[test]
    fn as_long_as_the_model_says(case in cases()) {
        let (asked, head) = case.heads();
        let now_ms = NOW_S * 1_000;
        let when = Exchange { asked_ms: now_ms, answered_ms: now_ms };
        let lease = judge(&route(case.ttl), &asked, StatusCode::OK, &head, when);
        let model = case.model();
        prop_assert_eq!(lease.is_ok(), model.is_some(), "kept: {:?}", lease);
        if let (Ok(lease), Some(model)) = (lease, model) {
            for (second, expected) in model.into_iter().enumerate() {
                let at = now_ms + second as u64 * 1_000;
                let given = (
                    at < lease.fresh_until_ms,
                    at < lease.revalidate_until_ms,
                    at < lease.error_until_ms,
                );
                prop_assert_eq!(given, expected, "after {} s: {:?}", second, lease);
            }
        }
    }
}

#[test]
fn the_way_and_a_huge_age_count() {
    let control = ("cache-control", "max-age=10".to_owned());
    let when = Exchange {
        asked_ms: 1_000_000,
        answered_ms: 1_004_000,
    };
    let rows = [("0", 6), ("5", 1), ("18446744073709551615", -1), ("x", 6)];
    for (age, left) in rows {
        let head = head(&[
            control.clone(),
            ("age", age.to_owned()),
            ("etag", "\"1\"".to_owned()),
        ]);
        let lease = judge(&route(None), &HeaderMap::new(), StatusCode::OK, &head, when).unwrap();
        assert_eq!(lease.ttl_s(1_004_000).max(-1), left, "{age}");
    }
}
