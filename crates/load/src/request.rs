//! A buyer's next request as bytes of HTTP/1.1 or as a head of HTTP/2.
//!
//! It must not know about connections.

use crate::buyer::Buyer;
use crate::redirect::Way;
use crate::run::Target;
use crate::script::RequestSpec;
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderValue, USER_AGENT};
use hyper::http::uri::PathAndQuery;
use hyper::{HeaderMap, Method, Request, Uri, Version};
use std::io::Write;

/// What a connection has to know about the request that it sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Composed {
    pub reads_body: bool,
    pub is_head: bool,
}

impl Composed {
    pub fn of(spec: &RequestSpec) -> Composed {
        Composed {
            reads_body: spec.reads_body(),
            is_head: spec.method == Method::HEAD,
        }
    }
}

/// What every request says of its sender.
pub(crate) const AGENT: &str = concat!("seawall-load/", env!("CARGO_PKG_VERSION"));

/// What a request is beside its headers: the scenario's, or where a redirect leads.
fn line<'a>(
    spec: &'a RequestSpec,
    buyer: &mut Buyer,
    scratch: &'a mut String,
) -> (Method, &'a str, bool) {
    scratch.clear();
    if let Some(way) = &buyer.way {
        scratch.push_str(&way.path);
        let method = match way.bare {
            true if spec.method != Method::HEAD => Method::GET,
            _ => spec.method.clone(),
        };
        return (method, scratch, !way.bare);
    }
    let path = match spec.path.constant() {
        Some(path) => path,
        None => {
            spec.path.render(buyer, scratch);
            scratch
        }
    };
    (spec.method.clone(), path, true)
}

/// Before a request that may be redirected is written for the first time, or again.
pub(crate) fn set_out(spec: &RequestSpec, buyer: &mut Buyer) {
    if buyer.way.is_none() {
        let mut path = String::new();
        spec.path.render(buyer, &mut path);
        let rng = buyer.rng.clone();
        buyer.way = Some(Box::new(Way {
            path,
            hops: 0,
            bare: false,
            rng,
        }));
    } else if let Some(way) = &buyer.way {
        buyer.rng = way.rng.clone();
    }
}

/// Whether the body of a redirected request, and what describes it, is left out.
fn left_out(name: &hyper::header::HeaderName, has_body: bool) -> bool {
    !has_body && *name == CONTENT_TYPE
}

pub(crate) fn http1(
    spec: &RequestSpec,
    target: &Target,
    buyer: &mut Buyer,
    closes: bool,
    scratch: &mut String,
    out: &mut Vec<u8>,
) {
    let (method, path, has_body) = line(spec, buyer, scratch);
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    path_bytes(path, |_| true, out);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    out.extend_from_slice(&target.host_line);
    for (name, value) in &spec.headers {
        if left_out(name, has_body) {
            continue;
        }
        scratch.clear();
        value.render(buyer, scratch);
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        // A line end in a value would be another header.
        out.extend(scratch.bytes().filter(is_value));
        out.extend_from_slice(b"\r\n");
    }
    if !buyer.cookies.is_empty() {
        out.extend_from_slice(b"cookie: ");
        cookies(buyer, out);
        out.extend_from_slice(b"\r\n");
    }
    if closes {
        out.extend_from_slice(b"connection: close\r\n");
    }
    match spec.body.as_ref().filter(|_| has_body) {
        None => out.extend_from_slice(b"\r\n"),
        Some(body) => {
            scratch.clear();
            body.render(buyer, scratch);
            // Writing to a vector cannot fail.
            let _ = write!(out, "content-length: {}\r\n\r\n", scratch.len());
            out.extend_from_slice(scratch.as_bytes());
        }
    }
}

/// The head and the body, which is empty where there is none.
pub(crate) fn http2(
    spec: &RequestSpec,
    target: &Target,
    buyer: &mut Buyer,
    scratch: &mut String,
) -> (Request<()>, Bytes) {
    let (method, path, has_body) = line(spec, buyer, scratch);
    let mut bytes = Vec::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        bytes.push(b'/');
    }
    // What the type of a path does not take; in HTTP/1.1 it goes as it is.
    path_bytes(path, |byte| !b"#<>^`\\".contains(&byte), &mut bytes);
    let path = PathAndQuery::from_maybe_shared(Bytes::from(bytes));
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = target.uri(path.unwrap_or_else(|_| PathAndQuery::from_static("/")));
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    target.mark_headers(headers);
    for (name, value) in &spec.headers {
        if left_out(name, has_body) {
            continue;
        }
        scratch.clear();
        value.render(buyer, scratch);
        put(
            headers,
            name.clone(),
            scratch.bytes().filter(is_value).collect(),
        );
    }
    if !buyer.cookies.is_empty() {
        let mut all = Vec::new();
        cookies(buyer, &mut all);
        put(headers, COOKIE, all);
    }
    let body = match spec.body.as_ref().filter(|_| has_body) {
        None => Bytes::new(),
        Some(body) => {
            scratch.clear();
            body.render(buyer, scratch);
            headers.insert(CONTENT_LENGTH, HeaderValue::from(scratch.len()));
            Bytes::copy_from_slice(scratch.as_bytes())
        }
    };
    (request, body)
}

/// A header of which the filter left nothing that is not one.
fn put(headers: &mut HeaderMap, name: hyper::header::HeaderName, value: Vec<u8>) {
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) {
        headers.append(name, value);
    }
}

fn is_value(byte: &u8) -> bool {
    *byte >= b' ' && *byte != 0x7f
}

fn cookies(buyer: &Buyer, out: &mut Vec<u8>) {
    for (place, cookie) in buyer.cookies.iter().enumerate() {
        out.extend_from_slice(if place == 0 { b"" } else { b"; " });
        out.extend_from_slice(cookie.name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(cookie.value.as_bytes());
    }
}

/// A target of a request has no blanks, no controls and no bytes beyond ASCII.
fn path_bytes(path: &str, also: impl Fn(u8) -> bool, out: &mut Vec<u8>) {
    for byte in path.bytes() {
        match byte {
            b'!'..=b'~' if also(byte) => out.push(byte),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

/// Where a redirect leads on the same target; `None`: elsewhere, or nowhere.
pub(crate) fn resolved(location: &str, before: &str, target: &Target) -> Option<String> {
    let location = location.split('#').next().unwrap_or_default();
    if location.starts_with("//") || location.contains("://") {
        let whole = match location.strip_prefix("//") {
            Some(rest) => format!("{}://{rest}", target.scheme()),
            None => location.to_owned(),
        };
        let uri: Uri = whole.parse().ok()?;
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        return target.is_at(&uri).then(|| path.to_owned());
    }
    let path = before.split(['?', '#']).next().unwrap_or_default();
    Some(match location.as_bytes().first() {
        None => before.to_owned(),
        Some(b'/') => location.to_owned(),
        Some(b'?') => format!("{path}{location}"),
        Some(_) => {
            let folder = path.rfind('/').map_or("", |at| &path[..at]);
            without_dots(&format!("{folder}/{location}"))
        }
    })
}

/// RFC 3986, 5.2.4: `.` is here, `..` is the folder above.
fn without_dots(path: &str) -> String {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => {
                kept.pop();
            }
            part => kept.push(part),
        }
    }
    let slash = path.ends_with("/.") || path.ends_with("/..");
    let end = if slash && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}{query}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Script, Template};

    fn target() -> Target {
        Target::new("http://127.0.0.1:8080", None).unwrap()
    }

    #[test]
    fn where_redirects_lead() {
        let target = target();
        let cases = [
            ("/b?c=1#d", Some("/b?c=1")),
            ("b", Some("/x/b")),
            ("../b/./c?d=..", Some("/b/c?d=..")),
            ("..", Some("/")),
            (".", Some("/x/")),
            ("?n=2", Some("/x/a?n=2")),
            ("", Some("/x/a?n=1")),
            ("http://127.0.0.1:8080/b", Some("/b")),
            ("//127.0.0.1:8080", Some("/")),
            ("http://127.0.0.1:8081/b", None),
            ("https://127.0.0.1:8080/b", None),
            ("http://other.example/b", None),
            ("http://", None),
        ];
        for (location, wanted) in cases {
            let got = resolved(location, "/x/a?n=1", &target);
            assert_eq!(got.as_deref(), wanted, "{location}");
        }
    }

    #[test]
    fn both_versions_say_the_same() {
        let mut script = Script::get("/a b?c=<ü>", 1);
        let spec = &mut script.requests[0];
        spec.method = Method::POST;
        spec.headers = vec![
            (CONTENT_TYPE, Template::text("text/plain")),
            ("x-a".parse().unwrap(), Template::text("1\r\nx-b: 2")),
        ];
        spec.body = Some(Template::text("body"));
        let (mut buyer, target) = (Buyer::new(0, 0, 1), target());
        let (mut scratch, mut out) = (String::new(), Vec::new());
        http1(spec, &target, &mut buyer, true, &mut scratch, &mut out);
        let text = String::from_utf8(out).unwrap();
        let begin = "POST /a%20b?c=<%C3%BC> HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n";
        assert!(text.starts_with(begin), "{text}");
        let end = "x-a: 1x-b: 2\r\nconnection: close\r\ncontent-length: 4\r\n\r\nbody";
        assert!(text.ends_with(end), "{text}");
        let (request, body) = http2(spec, &target, &mut buyer, &mut scratch);
        let uri = "http://127.0.0.1:8080/a%20b?c=%3C%C3%BC%3E";
        assert_eq!(request.uri().to_string(), uri);
        assert_eq!(request.headers()["x-a"], "1x-b: 2");
        assert_eq!((&body[..], request.method()), (&b"body"[..], &Method::POST));
    }
}
