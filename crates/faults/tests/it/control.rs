//! The control listener: the shapes that clients of Toxiproxy know, leases, and what it refuses.

use crate::bed::{Bed, LATE_MS, between, connect, echo, ping, request, until};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[test]
fn proxies_and_toxics_as_clients_know_them() {
    let bed = Bed::new();
    let upstream = echo().to_string();
    assert_eq!(bed.good("GET", "/proxies", &Value::Null), json!({}));
    let version = bed.good("GET", "/version", &Value::Null);
    assert!(version["version"].as_str().unwrap().starts_with("seawall-"));

    let wish = json!({"name": "a b/c", "upstream": upstream, "listen": "localhost:0"});
    let (status, _, made) = bed.ask("POST", "/proxies", &wish);
    assert_eq!(status, 201, "{made}");
    let listen = made["listen"].as_str().unwrap();
    assert!(
        listen.starts_with("127.0.0.1:") && !listen.ends_with(":0"),
        "{listen}"
    );
    let expected = json!({"name": "a b/c", "listen": listen, "upstream": upstream,
                          "enabled": true, "toxics": []});
    assert_eq!(made, expected);
    assert_eq!(
        bed.good("GET", "/proxies/a%20b%2Fc", &Value::Null),
        expected
    );
    assert_eq!(
        bed.good("GET", "/proxies", &Value::Null),
        json!({"a b/c": expected})
    );

    let wish = json!({"type": "latency", "attributes": {"latency": 5}});
    let (status, lease, toxic) = bed.ask("POST", "/proxies/a%20b%2Fc/toxics", &wish);
    let expected = json!({"attributes": {"latency": 5, "jitter": 0}, "name": "latency_downstream",
                          "type": "latency", "stream": "downstream", "toxicity": 1.0, "hits": 0});
    assert_eq!((status, lease, &toxic), (200, None, &expected));
    let path = "/proxies/a%20b%2Fc/toxics/latency_downstream";
    assert_eq!(bed.good("GET", path, &Value::Null), expected);
    let whole = json!({"type": "latency", "name": "other", "stream": "upstream", "toxicity": 0.5,
                       "attributes": {"jitter": 1}});
    let changed = bed.good("POST", path, &whole);
    let now = [&changed["name"], &changed["stream"], &changed["toxicity"]];
    assert_eq!(
        now,
        [
            &json!("latency_downstream"),
            &json!("downstream"),
            &json!(0.5)
        ]
    );
    assert_eq!(changed["attributes"], json!({"latency": 5, "jitter": 1}));
    assert_eq!(bed.ask("DELETE", path, &Value::Null).0, 204);
    assert_eq!(
        bed.good("GET", "/proxies/a%20b%2Fc/toxics", &Value::Null),
        json!([])
    );
    assert_eq!(bed.ask("POST", "/reset", &Value::Null).0, 204);
    assert_eq!(bed.ask("DELETE", "/proxies/a%20b%2Fc", &Value::Null).0, 204);
    assert_eq!(bed.good("GET", "/proxies", &Value::Null), json!({}));
}

#[test]
fn populate_makes_what_is_missing_and_keeps_what_is_there() {
    let bed = Bed::new();
    let (one, two) = (echo().to_string(), echo().to_string());
    let list = json!([{"name": "one", "upstream": one}, {"name": "two", "upstream": two,
                       "enabled": false}]);
    let (status, _, made) = bed.ask("POST", "/populate", &list);
    assert_eq!(status, 201);
    assert_eq!(made["proxies"][1]["enabled"], false);
    bed.toxic("one", "latency", json!({}));
    let listen = made["proxies"][0]["listen"].clone();
    let list = json!([{"name": "one", "upstream": one, "listen": listen},
                      {"name": "two", "upstream": one}]);
    let again = bed.good("POST", "/populate", &list);
    assert_eq!(again["proxies"][0]["toxics"].as_array().unwrap().len(), 1);
    assert_eq!(again["proxies"][1]["upstream"], one.as_str());

    let taken = json!([{"name": "three", "upstream": one}, {"name": "four", "upstream": one,
                        "listen": listen}]);
    let (status, _, told) = bed.ask("POST", "/populate", &taken);
    assert_eq!((status, &told["status"]), (500, &json!(500)), "{told}");
    assert_eq!(told["proxies"].as_array().unwrap().len(), 1);
}

#[test]
fn refusals_say_what_and_how_bad() {
    let bed = Bed::with(|options| options.lease_ms = Some(60_000));
    bed.proxy("e", echo(), "tcp");
    bed.toxic("e", "latency", json!({}));
    let latency = json!({"type": "latency"});
    let rows = [
        ("GET", "/proxies/x", Value::Null, 404, "proxy not found"),
        (
            "GET",
            "/proxies/e/toxics/x",
            Value::Null,
            404,
            "toxic not found",
        ),
        (
            "DELETE",
            "/proxies/e/toxics/x",
            Value::Null,
            404,
            "toxic not found",
        ),
        (
            "POST",
            "/proxies",
            json!({"name": "e", "upstream": "h:1"}),
            409,
            "proxy already exists",
        ),
        (
            "POST",
            "/proxies",
            json!({"upstream": "h:1"}),
            400,
            "missing required field: name",
        ),
        (
            "POST",
            "/proxies",
            json!({"name": "n"}),
            400,
            "missing required field: upstream",
        ),
        (
            "POST",
            "/proxies/e/toxics",
            latency.clone(),
            409,
            "toxic already exists",
        ),
        (
            "POST",
            "/proxies/e/toxics",
            json!({"type": "x"}),
            400,
            "invalid toxic type: \"x\"",
        ),
        (
            "POST",
            "/proxies/e/toxics",
            json!({"type": "http_hang"}),
            400,
            "bad request body: type: expected a proxy with \"protocol\": \"http\"",
        ),
        (
            "POST",
            "/proxies/e/toxics?lease_ms=60001",
            json!({"type": "timeout"}),
            400,
            "lease: expected 100 to 60000 milliseconds, found 60001",
        ),
        (
            "POST",
            "/proxies/e/toxics?leese=1",
            json!({"type": "timeout"}),
            400,
            "lease: expected lease_ms or lease in the query, found \"leese\"",
        ),
        (
            "POST",
            "/proxies/e/toxics?lease=99",
            json!({"type": "timeout"}),
            404,
            "lease not found: it has ended, or never was",
        ),
        (
            "POST",
            "/populate",
            json!([{"name": "n"}]),
            400,
            "missing required field: upstream at proxy 1",
        ),
        (
            "PUT",
            "/proxies",
            Value::Null,
            405,
            "this path does not know that method",
        ),
        ("GET", "/else", Value::Null, 404, "no such path"),
    ];
    for (method, path, body, status, words) in rows {
        let (found, _, told) = bed.ask(method, path, &body);
        assert_eq!(
            (found, &told["error"], &told["status"]),
            (status, &json!(words), &json!(status)),
            "{method} {path}"
        );
    }
    let (status, _, told) = bed.ask("POST", "/proxies/e/toxics", &json!("text"));
    assert_eq!((status, told["status"].as_u64()), (400, Some(400)));
    let elsewhere = json!({"name": "n", "upstream": "h:1", "listen": "0.0.0.0:0"});
    assert_eq!(bed.ask("POST", "/proxies", &elsewhere).0, 403);
}

#[test]
fn no_browser_and_no_other_machine() {
    let bed = Bed::new();
    for header in [
        ("User-Agent", "Mozilla/5.0"),
        ("Origin", "http://evil"),
        ("Sec-Fetch-Site", "cross-site"),
    ] {
        let answer = request(bed.control, "GET", "/proxies", &[header], b"").unwrap();
        assert_eq!(answer.status, 403, "{header:?}");
    }
    let options = faults::Options::new("0.0.0.0:0".parse().unwrap());
    let refused = faults::start(&options, None, &host::Drain::new());
    assert!(matches!(refused, Err(faults::StartError::NotLoopback(_))));
}

#[test]
fn a_toxic_ends_with_its_lease() {
    let bed = Bed::new();
    let mut stream = connect(bed.proxy("e", echo(), "tcp"));
    let slow = json!({"type": "latency", "attributes": {"latency": 200}});
    let (status, lease, toxic) = bed.ask("POST", "/proxies/e/toxics?lease_ms=600", &slow);
    let lease = lease.unwrap();
    assert_eq!((status, toxic["lease"].as_u64()), (200, Some(lease)));
    // Renewed, it outlives its first end.
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(1_000) {
        between("held", ping(&mut stream), 199, 200 + LATE_MS);
        bed.good("PUT", &format!("/leases/{lease}"), &Value::Null);
    }
    let renewed = Instant::now();
    until("it has ended", || {
        bed.good("GET", "/proxies/e/toxics", &Value::Null) == json!([])
    });
    between("ended", renewed.elapsed().as_millis(), 500, 600 + LATE_MS);
    assert!((0..5).map(|_| ping(&mut stream)).min().unwrap() < 40);
    let (status, _, _) = bed.ask("PUT", &format!("/leases/{lease}"), &Value::Null);
    assert_eq!(status, 404);
}

#[test]
fn a_proxy_that_is_down_comes_back_with_its_lease() {
    let bed = Bed::new();
    let listen = bed.proxy("e", echo(), "tcp");
    let off = json!({"enabled": false});
    let (_, lease, proxy) = bed.ask("POST", "/proxies/e?lease_ms=300", &off);
    assert_eq!(
        (&proxy["enabled"], proxy["lease"].as_u64()),
        (&json!(false), lease)
    );
    assert!(TcpStream::connect(listen).is_err());
    until("it is back", || {
        bed.good("GET", "/proxies/e", &Value::Null)["enabled"] == true
    });
    ping(&mut connect(listen));
    assert_eq!(bed.good("GET", "/leases", &Value::Null), json!([]));
}

#[test]
fn many_faults_under_one_lease() {
    let bed = Bed::with(|options| options.lease_ms = Some(5_000));
    let listen = bed.proxy("a", echo(), "tcp");
    bed.proxy("b", echo(), "tcp");
    let lease = bed.good("POST", "/leases", &json!({"ms": 4_000}))["id"]
        .as_u64()
        .unwrap();
    bed.good(
        "POST",
        &format!("/proxies/a?lease={lease}"),
        &json!({"enabled": false}),
    );
    let slow = json!({"type": "latency", "attributes": {"latency": 500}});
    bed.good("POST", &format!("/proxies/b/toxics?lease={lease}"), &slow);
    // One that says nothing gets one, and loses it with its toxic.
    let (_, own, _) = bed.ask("POST", "/proxies/b/toxics", &json!({"type": "slow_close"}));
    assert!(own.is_some() && own != Some(lease));
    assert_eq!(
        bed.good("PUT", "/leases", &Value::Null)
            .as_array()
            .unwrap()
            .len(),
        2
    );
    bed.good(
        "DELETE",
        "/proxies/b/toxics/slow_close_downstream",
        &Value::Null,
    );
    assert_eq!(
        bed.good("GET", "/leases", &Value::Null)
            .as_array()
            .unwrap()
            .len(),
        1
    );

    assert_eq!(
        bed.ask("DELETE", &format!("/leases/{lease}"), &Value::Null)
            .0,
        204
    );
    assert_eq!(
        bed.good("GET", "/proxies/b/toxics", &Value::Null),
        json!([])
    );
    ping(&mut connect(listen));
}
