//! What a scenario takes from an answer: variables, cookies, checks.

use crate::buyer::{Buyer, Cookie};
use crate::expr::{Scope, Value};
use crate::limits::{COOKIE_BYTES_MAX, COOKIES_PER_BUYER_MAX};
use crate::measure::{Checks, End};
use crate::script::{Checked, From, RequestSpec};
use hyper::StatusCode;

/// An answer as it is looked at. `head` is in the shape of HTTP/1.1, whatever it came as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    pub status: StatusCode,
    pub head: &'a [u8],
    pub body: &'a [u8],
}

impl Answer<'_> {
    /// All values of a header, in their order.
    pub fn header(&self, name: &str) -> impl Iterator<Item = &str> {
        let lines = self.head.split(|byte| *byte == b'\n').skip(1);
        lines.filter_map(move |line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let found = line[..colon].eq_ignore_ascii_case(name.as_bytes());
            let value = found.then(|| line[colon + 1..].trim_ascii())?;
            std::str::from_utf8(value).ok()
        })
    }
}

/// Changes the buyer by the answer and says how the request ended.
pub(crate) fn judge(
    spec: &RequestSpec,
    answer: &Answer<'_>,
    buyer: &mut Buyer,
    checks: &mut [Checks],
) -> End {
    keep_cookies(answer, buyer);
    for (variable, from) in &spec.extract {
        buyer.vars[*variable as usize] = found(from, answer, buyer).unwrap_or_default();
    }
    if !spec.expect.contains(answer.status) {
        return match answer.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => End::Refused,
            _ => End::Status,
        };
    }
    let mut end = End::Good;
    for (check, counts) in spec.checks.iter().zip(checks) {
        if holds(&check.what, answer, buyer) {
            counts.passed += 1;
        } else {
            counts.failed += 1;
            end = End::Check;
        }
    }
    end
}

fn holds(what: &Checked, answer: &Answer<'_>, scope: &mut impl Scope) -> bool {
    let mut wanted = String::new();
    match what {
        Checked::Is(expr) => expr.is_true(scope),
        Checked::BodyContains(part) => {
            part.render(scope, &mut wanted);
            memchr::memmem::find(answer.body, wanted.as_bytes()).is_some()
        }
        Checked::Header(name, None) => answer.header(name.as_str()).next().is_some(),
        Checked::Header(name, Some(value)) => {
            value.render(scope, &mut wanted);
            answer.header(name.as_str()).any(|found| found == wanted)
        }
        Checked::Equals(place, value) => {
            value.render(scope, &mut wanted);
            let found = scope.variable(*place as usize);
            *found != Value::Null && found.to_string() == wanted
        }
    }
}

fn found(from: &From, answer: &Answer<'_>, buyer: &Buyer) -> Option<Value> {
    match from {
        From::Status => Some(Value::Number(f64::from(answer.status.as_u16()))),
        From::Header(name) => answer.header(name.as_str()).next().map(Value::text),
        From::Cookie(name) => {
            let cookie = buyer.cookies.iter().find(|cookie| *cookie.name == **name);
            cookie.map(|cookie| Value::text(&cookie.value))
        }
        From::JsonPointer(pointer) => {
            let json: serde_json::Value = serde_json::from_slice(answer.body).ok()?;
            Some(match json.pointer(pointer)? {
                serde_json::Value::Null => Value::Null,
                serde_json::Value::Bool(is) => Value::Bool(*is),
                serde_json::Value::Number(number) => match number.as_f64() {
                    // Beyond it digits would be lost, and such a number is an id.
                    Some(value) if value.abs() <= 9e15 => Value::Number(value),
                    _ => Value::text(&number.to_string()),
                },
                serde_json::Value::String(text) => Value::text(text),
                other => Value::text(&other.to_string()),
            })
        }
        From::Regex(regex) => {
            let text = String::from_utf8_lossy(answer.body);
            let found = regex.captures(&text)?;
            let part = found.get(1).or_else(|| found.get(0))?;
            Some(Value::text(part.as_str()))
        }
        From::Css {
            selector,
            attribute,
        } => {
            let text = String::from_utf8_lossy(answer.body);
            let page = tl::parse(&text, tl::ParserOptions::default()).ok()?;
            let node = page.query_selector(selector)?.next()?.get(page.parser())?;
            match attribute {
                None => Some(Value::text(node.inner_text(page.parser()).trim())),
                Some(name) => {
                    let value = node.as_tag()?.attributes().get(name.as_str())??;
                    Some(Value::text(&value.as_utf8_str()))
                }
            }
        }
    }
}

/// One target, so names are enough; a path narrower than the whole is taken for the whole.
pub(crate) fn keep_cookies(answer: &Answer<'_>, buyer: &mut Buyer) {
    for line in answer.header("set-cookie") {
        let mut parts = line.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            continue;
        };
        let (name, value) = (name.trim(), value.trim());
        let gone = parts.any(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            key.trim().eq_ignore_ascii_case("max-age")
                && value.trim().parse().is_ok_and(|seconds: i64| seconds <= 0)
        });
        buyer.cookies.retain(|cookie| *cookie.name != *name);
        let fits = name.len() + value.len() <= COOKIE_BYTES_MAX;
        if !gone && fits && buyer.cookies.len() < COOKIES_PER_BUYER_MAX {
            buyer.cookies.push(Cookie {
                name: name.into(),
                value: value.into(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Check, Statuses, Template};

    fn spec(extract: Vec<(u32, From)>, checks: Vec<Check>) -> RequestSpec {
        RequestSpec {
            name: "page".into(),
            figures: 0,
            method: hyper::Method::GET,
            path: Template::text("/"),
            headers: Vec::new(),
            body: None,
            timeout_us: 1,
            expect: Statuses::default(),
            checks,
            extract,
        }
    }

    fn answer<'a>(head: &'a str, body: &'a str) -> Answer<'a> {
        let status = head[9..12].parse::<u16>().unwrap();
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            head: head.as_bytes(),
            body: body.as_bytes(),
        }
    }

    #[test]
    fn every_kind_of_extraction() {
        let css = |selector: &str, attribute: Option<&str>| From::Css {
            selector: selector.into(),
            attribute: attribute.map(str::to_owned),
        };
        let page = r#"<form><input name="token" value="t-1"><b class="price"> 19 <i>EUR</i></b>
            </form>{"a":[{"id":7,"big":12345678901234567890,"ok":true}]}"#;
        let head =
            "HTTP/1.1 201 Created\r\nLocation: /orders/9\r\nSet-Cookie: s=abc; Path=/\r\n\r\n";
        let cases = [
            (From::Status, "201"),
            (From::Header("location".parse().unwrap()), "/orders/9"),
            (From::Cookie("s".into()), "abc"),
            (
                From::Regex(regex::Regex::new(r#""id":(\d+)"#).unwrap()),
                "7",
            ),
            (css("input[name=token]", Some("value")), "t-1"),
            (css("b.price", None), "19 EUR"),
            (css("b.gone", None), ""),
            (From::JsonPointer("/a/0/id".into()), ""),
        ];
        for (from, wanted) in cases {
            let mut buyer = Buyer::new(0, 1, 1);
            let spec = spec(vec![(0, from.clone())], Vec::new());
            assert_eq!(
                judge(&spec, &answer(head, page), &mut buyer, &mut []),
                End::Good
            );
            assert_eq!(buyer.vars[0].to_string(), wanted, "{from:?}");
        }
        let json = r#"{"a":[{"id":7,"big":12345678901234567890,"ok":true}]}"#;
        for (pointer, wanted) in [("/a/0/id", "7"), ("/a/0/big", "12345678901234567890")] {
            let mut buyer = Buyer::new(0, 1, 1);
            let spec = spec(vec![(0, From::JsonPointer(pointer.into()))], Vec::new());
            judge(&spec, &answer(head, json), &mut buyer, &mut []);
            assert_eq!(buyer.vars[0].to_string(), wanted);
        }
    }

    #[test]
    fn checks_and_statuses_end_a_request_differently() {
        let check = |what| Check {
            name: "c".into(),
            what,
        };
        let checks = vec![
            check(Checked::BodyContains(Template::text("in stock"))),
            check(Checked::Header("etag".parse().unwrap(), None)),
        ];
        let spec = spec(Vec::new(), checks);
        let mut counts = vec![Checks::default(), Checks::default()];
        let mut end = |head: &str, body: &str| {
            let mut buyer = Buyer::new(0, 0, 1);
            judge(&spec, &answer(head, body), &mut buyer, &mut counts)
        };
        assert_eq!(
            end("HTTP/1.1 200 OK\r\nETag: \"1\"\r\n\r\n", "5 in stock"),
            End::Good
        );
        assert_eq!(end("HTTP/1.1 200 OK\r\n\r\n", "5 in stock"), End::Check);
        assert_eq!(end("HTTP/1.1 429 No\r\n\r\n", ""), End::Refused);
        assert_eq!(end("HTTP/1.1 500 No\r\n\r\n", ""), End::Status);
        assert_eq!((counts[0].passed, counts[1].failed), (2, 1));
    }

    #[test]
    fn cookies_come_change_and_go() {
        let mut buyer = Buyer::new(0, 0, 1);
        let spec = spec(Vec::new(), Vec::new());
        let mut get = |head: &str| {
            judge(&spec, &answer(head, ""), &mut buyer, &mut []);
            let pairs = buyer.cookies.iter();
            let pairs: Vec<String> = pairs.map(|c| format!("{}={}", c.name, c.value)).collect();
            pairs.join("; ")
        };
        assert_eq!(
            get("HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"),
            "a=1; b=2"
        );
        assert_eq!(
            get("HTTP/1.1 200 OK\r\nSet-Cookie: a=3; Secure\r\n\r\n"),
            "b=2; a=3"
        );
        assert_eq!(
            get("HTTP/1.1 200 OK\r\nSet-Cookie: b=; Max-Age=0\r\n\r\n"),
            "a=3"
        );
    }
}
