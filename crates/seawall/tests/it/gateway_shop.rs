//! `seawall up --door FILE`: the shop behind a door of one's own, in one process.

use crate::http::{Client, json_headers, one};
use crate::site::{Site, binary, now_ms, until};
use sale::BuyerId;
use serde_json::Value;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

const DOOR: &str = "version: 1
listeners: [{name: shop, address: \"127.0.0.1:0\"}]
identity: {buyer: [{service: shop}]}
overload: {enabled: false}
routes:
  - name: order
    match: {path: {exact: /v1/orders}, methods: [POST]}
    class: order
    target: {service: shop}
  - {name: rest, class: product, target: {service: shop}}
limits:
  version: 1
  rules:
    - {name: orders-of-a-buyer, match: {routes: [order]}, key: [buyer], rate: 1/h, burst: 3}
";

pub struct Up {
    child: Child,
    pub front: SocketAddr,
    admin: SocketAddr,
}

impl Drop for Up {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
pub fn up(site: &Site, door: &str) -> Up {
    fs::write(site.path("door.yaml"), door).unwrap();
    let (ports, log) = (site.path("ports"), site.path("log"));
    let mut command = site.up_command(&binary());
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.arg("--door").arg(site.path("door.yaml"));
    command.arg("--ports-file").arg(&ports);
    command.stdout(Stdio::null());
    let err = File::create(&log).unwrap();
    let mut child = command.stderr(err).spawn().unwrap();
    let mut status = None;
    until("the shop answers", || {
        status = child.try_wait().unwrap();
        status.is_some() || ports.exists()
    });
    let said = fs::read_to_string(&log).unwrap();
    assert!(status.is_none(), "the shop ended with {status:?}: {said}");
    let found: Value = serde_json::from_slice(&fs::read(&ports).unwrap()).unwrap();
    let addr = |name: &str| found[name].as_str().unwrap().parse().unwrap();
    Up {
        child,
        front: addr("shop"),
        admin: addr("admin"),
    }
}

fn buyer(site: &Site, up: &Up, buyer: u128) -> Client {
    let key = fs::read(site.data().join("session.key")).unwrap();
    let sessions = shop::Sessions::new(&key.try_into().unwrap());
    let session = sessions.issue(BuyerId(buyer), now_ms() + 3_600_000);
    Client::bearer(up.front, &session)
}

pub fn operator(site: &Site, up: &Up) -> Client {
    let token = fs::read_to_string(site.data().join("operator.token")).unwrap();
    Client::bearer(up.admin, token.trim())
}

#[test]
fn each_buyer_of_the_shop_has_a_limit_of_their_own() {
    let site = Site::selling("sofa", 100);
    let up = up(&site, DOOR);
    for number in [7, 8] {
        let mut client = buyer(&site, &up, number);
        let mut last = String::new();
        for order in 0..3 {
            let key = format!("b{number}-o{order}");
            last = client.order(&key, "sofa", 1).order();
        }
        let refused = client.order(&format!("b{number}-o3"), "sofa", 1);
        let body = refused.refused(429, "rate_limited");
        assert_eq!(body["limit"], "orders-of-a-buyer");
        assert_eq!(body["happened"], "no");
        // What the rule does not name goes on, for this buyer too.
        assert_eq!(client.look(&last)["order"], last.as_str());
    }
    // Without a session the door knows nobody, and the shop itself says so.
    let mut nobody = Client::new(up.front);
    let body = one("sofa", 1).to_string();
    let answer = nobody.send("POST", "/v1/orders", &json_headers("n"), body.as_bytes());
    assert_eq!(answer.status, 401, "{}", answer.text());

    let books = operator(&site, &up).get("/operator/books").json();
    let row = &books["skus"][0];
    let taken = row["held"].as_i64().unwrap() + row["sold"].as_i64().unwrap();
    assert_eq!(taken, 6, "a refused order took nothing: {row}");
    let state = operator(&site, &up).get("/operator/door").json();
    let rule = &state["rules"][0];
    assert_eq!(
        (&rule["refused"], &rule["keys"]),
        (&2.into(), &2.into()),
        "{rule}"
    );
}

#[test]
fn a_door_that_names_another_service_is_refused_before_anything_starts() {
    let site = Site::selling("sofa", 1);
    fs::write(
        site.path("door.yaml"),
        DOOR.replace("{service: shop}}", "{service: till}}"),
    )
    .unwrap();
    let mut command = site.up_command(&binary());
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.arg("--door").arg(site.path("door.yaml"));
    let ended = crate::site::run(command);
    assert_ne!(ended.code, Some(0));
    for word in ["door.yaml:", "till"] {
        assert!(ended.err.contains(word), "no {word:?} in {:?}", ended.err);
    }
}
