//! What clients get wrong or try: each answered with its own code, nothing done, the shop
//! unharmed.

use crate::http::{Answer, Client, PATIENCE, connect, json_headers, one, read_answer};
use crate::site::{Site, now_ms, product};
use std::io::{BufReader, Write};

/// Nothing was sold or held by what was refused, and a good order still works.
#[track_caller]
fn unharmed(shop: &crate::site::Shop, stock: i64) {
    assert_eq!(shop.units("A"), [stock, 0, 0]);
    shop.buyer(99).order("good", "A", 1).order();
}

#[test]
fn bodies_that_are_no_order() {
    let site = Site::new(&[product("A", 50), product("B", 50)]);
    let shop = site.up();
    let long = format!(
        r#"{{"lines":[{}]}}"#,
        vec![r#"{"sku":"A","quantity":1}"#; 1_001].join(",")
    );
    let deep = "[".repeat(100_000);
    let line = |quantity: &str| format!(r#"{{"lines":[{{"sku":"A","quantity":{quantity}}}]}}"#);
    #[rustfmt::skip]
    let cases: &[(&str, &str, u16, &str)] = &[
        // name, body, status, code
        ("empty body",         "", 400, "malformed_json"),
        ("no JSON",            "lines=A", 400, "malformed_json"),
        ("truncated",          r#"{"lines":[{"sku":"A","quan"#, 400, "malformed_json"),
        ("truncated at end",   r#"{"lines":[{"sku":"A","quantity":1}]"#, 400, "malformed_json"),
        ("more behind it",     r#"{"lines":[{"sku":"A","quantity":1}]} {}"#, 400, "malformed_json"),
        ("deep nesting",       &deep, 400, "malformed_json"),
        ("a list",             "[]", 400, "malformed_json"),
        ("null",               "null", 400, "malformed_json"),
        ("no lines",           "{}", 400, "malformed_json"),
        ("unknown field",      r#"{"lines":[],"price":1}"#, 400, "malformed_json"),
        ("unknown line field", r#"{"lines":[{"sku":"A","quantity":1,"price":1}]}"#, 400, "malformed_json"),
        ("field twice",        r#"{"lines":[],"lines":[]}"#, 400, "malformed_json"),
        ("not UTF-8 escapes",  r#"{"lines":[{"sku":"\ud800","quantity":1}]}"#, 400, "malformed_json"),
        ("quantity a text",    &line("\"1\""), 400, "malformed_json"),
        ("quantity a half",    &line("1.5"), 400, "malformed_json"),
        ("quantity 10^30",     &line("1000000000000000000000000000000"), 400, "malformed_json"),
        ("empty lines",        r#"{"lines":[]}"#, 422, "malformed_lines"),
        ("zero",               &line("0"), 422, "malformed_lines"),
        ("negative",           &line("-1"), 422, "malformed_lines"),
        ("most negative",      &line("-9223372036854775808"), 422, "malformed_lines"),
        ("above a million",    &line("1000001"), 422, "malformed_lines"),
        ("2^32 + 1",           &line("4294967297"), 422, "malformed_lines"),
        ("2^63 - 1",           &line("9223372036854775807"), 422, "malformed_lines"),
        ("same SKU twice",     r#"{"lines":[{"sku":"A","quantity":1},{"sku":"A","quantity":1}]}"#, 422, "malformed_lines"),
        ("1,001 lines",        &long, 422, "malformed_lines"),
        ("unknown SKU",        r#"{"lines":[{"sku":"nope","quantity":1}]}"#, 422, "unknown_sku"),
        ("one unknown of two", r#"{"lines":[{"sku":"A","quantity":1},{"sku":"nope","quantity":1}]}"#, 422, "unknown_sku"),
        ("unknown coupon",     r#"{"lines":[{"sku":"A","quantity":1}],"coupon":"nope"}"#, 422, "coupon_unknown"),
        ("more than stocked",  &line("51"), 409, "sold_out"),
    ];
    let mut buyer = shop.buyer(1);
    for (name, body, status, code) in cases {
        let answer = buyer.send("POST", "/v1/orders", &json_headers("k"), body.as_bytes());
        let found = (answer.status, answer.code());
        assert_eq!(
            found,
            (*status, (*code).to_owned()),
            "{name}: {}",
            answer.text()
        );
        assert_eq!(answer.json()["happened"], "no", "{name}");
    }
    let not_utf8 = b"{\"lines\":[{\"sku\":\"\xff\",\"quantity\":1}]}";
    buyer
        .send("POST", "/v1/orders", &json_headers("k"), not_utf8)
        .refused(400, "malformed_json");
    unharmed(&shop, 50);
    assert_eq!(shop.units("B"), [50, 0, 0]);
}

#[test]
fn bodies_too_large() {
    let site = Site::selling("A", 50);
    let shop = site.up();
    let body = vec![b' '; 10 * 1024 * 1024];
    // path, status: a batch takes more than an order, neither takes this.
    for path in [
        "/v1/orders",
        "/v1/orders:batch",
        "/v1/accounts",
        "/v1/session",
    ] {
        let mut buyer = shop.buyer(1);
        let answer = buyer.send("POST", path, &json_headers("k"), &body);
        assert_eq!(answer.refused(413, "too_large")["happened"], "no", "{path}");
    }
    // Announced in pieces, the size shows only while it comes.
    let session = shop.session(1, now_ms() + 60_000);
    let mut stream = connect(shop.front).unwrap();
    let head = format!(
        "POST /v1/orders HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {session}\r\n\
         Content-Type: application/json\r\nIdempotency-Key: k\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let piece = vec![b' '; 64 * 1024];
    for _ in 0..160 {
        // The shop stops taking them once it has answered.
        let sent = write!(stream, "{:x}\r\n", piece.len())
            .and_then(|()| stream.write_all(&piece))
            .and_then(|()| stream.write_all(b"\r\n"));
        if sent.is_err() {
            break;
        }
    }
    let (answer, keep) = read_answer(&mut BufReader::new(stream)).unwrap();
    answer.refused(413, "too_large");
    assert!(!keep);
    unharmed(&shop, 50);
}

/// Name, authorization, content type, key, one more header, status, code.
type Head<'a> = (
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    (&'a str, &'a str),
    u16,
    &'a str,
);

#[test]
fn heads_that_do_not_fit() {
    let site = Site::selling("A", 50);
    let shop = site.up();
    let good = shop.session(1, now_ms() + 60_000);
    let bearer = format!("Bearer {good}");
    let other_key = {
        let foreign = Site::selling("A", 1);
        let foreign_shop = foreign.up();
        format!("Bearer {}", foreign_shop.session(1, now_ms() + 60_000))
    };
    let expired = format!("Bearer {}", shop.session(1, now_ms() - 1_000));
    let mut forged = bearer.clone().into_bytes();
    let middle = forged.len() - 30;
    forged[middle] = if forged[middle] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    let cookie = format!("other=1; seawall_session={good}");
    let stranger = format!("http://{}.evil.example", shop.front);
    let (long, most) = ("k".repeat(65), "k".repeat(64));
    let own = format!("http://{}", shop.front);
    let (json, sent) = ("application/json", "k");
    #[rustfmt::skip]
    let cases: &[Head<'_>] = &[
        // name, authorization, content type, key, one more header, status, code
        ("no session",        "",        json, sent, ("", ""), 401, "unauthenticated"),
        ("another scheme",    "Basic YTpi", json, sent, ("", ""), 401, "unauthenticated"),
        ("no token",          "Bearer x", json, sent, ("", ""), 401, "unauthenticated"),
        ("expired session",   &expired,  json, sent, ("", ""), 401, "unauthenticated"),
        ("forged session",    &forged,   json, sent, ("", ""), 401, "unauthenticated"),
        ("another shop's",    &other_key, json, sent, ("", ""), 401, "unauthenticated"),
        ("forged cookie",     "",        json, sent, ("Cookie", "seawall_session=AAAA"), 401, "unauthenticated"),
        ("no content type",   &bearer,   "",   sent, ("", ""), 415, "wrong_type"),
        ("a form",            &bearer,   "application/x-www-form-urlencoded", sent, ("", ""), 415, "wrong_type"),
        ("plain text",        &bearer,   "text/plain", sent, ("", ""), 415, "wrong_type"),
        ("nearly JSON",       &bearer,   "application/json5", sent, ("", ""), 415, "wrong_type"),
        ("no key",            &bearer,   json, "",   ("", ""), 400, "key_missing"),
        ("a key of 65",       &bearer,   json, &long, ("", ""), 400, "key_missing"),
        ("a key with a gap",  &bearer,   json, "a b", ("", ""), 400, "key_missing"),
        ("a key in Latin-1",  &bearer,   json, "schl\u{fc}ssel", ("", ""), 400, "key_missing"),
        ("strange origin",    "cookie",  json, sent, ("Origin", "https://evil.example"), 403, "cross_site"),
        ("longer origin",     "cookie",  json, sent, ("Origin", &stranger), 403, "cross_site"),
        ("null origin",       "cookie",  json, sent, ("Origin", "null"), 403, "cross_site"),
        ("cross-site fetch",  "cookie",  json, sent, ("Sec-Fetch-Site", "cross-site"), 403, "cross_site"),
        ("same-site fetch",   "cookie",  json, sent, ("Sec-Fetch-Site", "same-site"), 403, "cross_site"),
        ("own origin",        "cookie",  json, "1",  ("Origin", &own), 201, ""),
        ("same-origin fetch", "cookie",  json, "2",  ("Sec-Fetch-Site", "same-origin"), 201, ""),
        ("charset",           &bearer,   "Application/JSON; charset=utf-8", "3", ("", ""), 201, ""),
        ("a key of 64",       &bearer,   json, &most, ("", ""), 201, ""),
    ];
    let body = one("A", 1).to_string();
    let mut placed = 0;
    for (name, authorization, kind, key, more, status, code) in cases {
        let authorization = match *authorization {
            "cookie" => ("Cookie", cookie.as_str()),
            other => ("Authorization", other),
        };
        let mut headers = vec![
            authorization,
            ("Content-Type", kind),
            ("Idempotency-Key", key),
            *more,
        ];
        headers.retain(|(_, value)| !value.is_empty());
        let answer = Client::new(shop.front).send("POST", "/v1/orders", &headers, body.as_bytes());
        assert_eq!(answer.status, *status, "{name}: {}", answer.text());
        if answer.status == 201 {
            placed += 1;
        } else {
            assert_eq!(
                (answer.code().as_str(), &answer.json()["happened"]),
                (*code, &"no".into()),
                "{name}"
            );
        }
    }
    assert_eq!(shop.units("A"), [50 - placed, placed, 0]);
}

#[test]
fn writes_beside_orders_are_guarded_too() {
    let site = Site::selling("A", 50);
    let shop = site.up();
    let order = shop.buyer(1).order("k", "A", 1).order();
    let cookie = format!("seawall_session={}", shop.session(1, now_ms() + 60_000));
    let (pay, cancel) = (
        format!("/v1/orders/{order}/payment"),
        format!("/v1/orders/{order}/cancel"),
    );
    let account = r#"{"email":"a@b.example","name":"A","password":"long enough"}"#;
    let session = r#"{"email":"a@b.example","password":"long enough"}"#;
    let amount = r#"{"amount":{"amount":1000,"currency":"EUR"}}"#;
    #[rustfmt::skip]
    let cases: &[(&str, &str, &str)] = &[
        ("POST", &pay, amount),
        ("POST", &cancel, ""),
        ("POST", "/v1/accounts", account),
        ("POST", "/v1/session", session),
        ("DELETE", "/v1/session", ""),
        ("POST", "/v1/orders:batch", r#"{"orders":[]}"#),
    ];
    for (method, path, body) in cases {
        let mut client = Client::new(shop.front).with("Cookie", &cookie);
        let [kind, key] = json_headers("k");
        let headers = [kind, key, ("Sec-Fetch-Site", "cross-site")];
        client
            .send(method, path, &headers, body.as_bytes())
            .refused(403, "cross_site");
    }
    assert_eq!(shop.buyer(1).look(&order)["status"], "held");
    // Somebody else's order does not exist.
    let mut other = shop.buyer(2);
    other
        .get(&format!("/v1/orders/{order}"))
        .refused(404, "unknown_order");
    other.pay(&order, "k", 1_000).refused(404, "unknown_order");
    other
        .post(&cancel, "k", &"".into())
        .refused(404, "unknown_order");
}

#[test]
fn addresses_and_methods_that_do_not_exist() {
    let site = Site::selling("A", 50);
    let shop = site.up();
    let mut buyer = shop.buyer(1);
    #[rustfmt::skip]
    let cases: &[(&str, &str, u16, &str)] = &[
        ("GET",    "/v1/nothing", 404, "not_found"),
        ("GET",    "/v1/products/nope", 404, "not_found"),
        ("DELETE", "/v1/orders", 405, "method"),
        ("PATCH",  "/v1/products", 405, "method"),
        ("GET",    "/v1/orders/nope", 404, "unknown_order"),
        ("GET",    "/v1/orders/%00%ff", 404, "unknown_order"),
        ("GET",    "/v1/products?limit=0", 422, "out_of_bounds"),
        ("GET",    "/v1/products?limit=100000", 422, "out_of_bounds"),
        ("GET",    "/v1/products?after=nope", 422, "out_of_bounds"),
        ("GET",    "/v1/orders?limit=-1", 422, "out_of_bounds"),
        ("GET",    "/v1/orders?before=x", 422, "out_of_bounds"),
    ];
    for (method, path, status, code) in cases {
        let answer = buyer.send(method, path, &[], b"");
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (*status, *code),
            "{method} {path}"
        );
    }
    unharmed(&shop, 50);
}

/// Sends raw bytes, and the answer if one comes before the connection ends.
fn raw(shop: &crate::site::Shop, bytes: &[u8]) -> Option<Answer> {
    let mut stream = connect(shop.front).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The shop may have had enough before the end.
    let _ = stream.write_all(bytes);
    read_answer(&mut BufReader::new(stream))
        .ok()
        .map(|(answer, _)| answer)
}

#[test]
fn bytes_that_are_no_request() {
    // Short, since what is cut off is waited for.
    let site = Site::selling("A", 50).with("http: {header_ms: 300, body_ms: 300}\n");
    let shop = site.up();
    let session = shop.session(1, now_ms() + 60_000);
    let head = format!(
        "POST /v1/orders HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {session}\r\n\
         Content-Type: application/json\r\nIdempotency-Key: k\r\n"
    );
    let body = one("A", 1).to_string();
    let many = (0..500)
        .map(|n| format!("X-{n}: x\r\n"))
        .collect::<String>();
    let large = format!("X: {}\r\n", "x".repeat(1 << 20));
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("garbage",             b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n".to_vec()),
        ("no version",          b"GET /\r\n\r\n".to_vec()),
        ("two lengths",         format!("{head}Content-Length: 5\r\nContent-Length: 6\r\n\r\n{body}").into()),
        ("negative length",     format!("{head}Content-Length: -1\r\n\r\n{body}").into()),
        ("length and chunks",   format!("{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}").into()),
        ("half a body",         format!("{head}Content-Length: {}\r\n\r\n{body}", body.len() + 1).into()),
        ("a broken chunk",      format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{body}").into()),
        ("500 headers",         format!("{head}{many}Content-Length: {}\r\n\r\n{body}", body.len()).into()),
        ("a header of 1 MiB",   format!("{head}{large}Content-Length: {}\r\n\r\n{body}", body.len()).into()),
        ("half a head",         head.clone().into()),
    ];
    for (name, bytes) in &cases {
        if let Some(answer) = raw(&shop, bytes) {
            assert!((400..500).contains(&answer.status), "{name}: {answer:?}");
        }
    }
    let good = format!(
        "{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(
        raw(&shop, good.as_bytes()).unwrap().status,
        201,
        "the control"
    );
    assert_eq!(shop.units("A"), [49, 1, 0]);
}
