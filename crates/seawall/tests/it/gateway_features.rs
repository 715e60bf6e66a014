//! What an operator switches off at the door, the shop's own pages leave out, and show again.

use crate::gateway::by;
use crate::gateway_shop::{Up, operator, up};
use crate::http::Client;
use crate::site::{Site, product};
use serde_json::{Value, json};

const DOOR: &str = "version: 1
listeners: [{name: shop, address: \"127.0.0.1:0\"}]
overload: {enabled: false}
routes:
  - name: everything
    class: product
    target: {service: shop}
    features: [recommendations, live-stock, rich-pages]
switches:
  version: 1
  switches:
    - name: alone
      feature: recommendations
      action: shield
      owner: catalogue
      reason: for a test
      max_duration: 1h
    - name: still
      feature: live-stock
      action: shield
      owner: catalogue
      reason: for a test
      max_duration: 1h
    - name: plain
      feature: rich-pages
      action: shield
      owner: catalogue
      reason: for a test
      max_duration: 1h
";

const OTHERS: &str = "More in Furniture";
const LIVE: &str = "data-live=";
const OLD: &str = "stock shown may be old";

fn furnished() -> Site {
    let furniture = |sku: &str| -> Value {
        let mut product = product(sku, 9);
        product["category"] = json!("Furniture");
        product
    };
    let skus = ["sofa", "lamp", "desk"];
    Site::new(&skus.map(furniture))
}

#[track_caller]
fn turn(site: &Site, up: &Up, name: &str, on: bool) {
    let path = format!("/operator/door/switches/{name}");
    let body = by(json!({"on": on})).to_string();
    let answer = operator(site, up).send("POST", &path, &[], body.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Whether the page has each of: other products, live stock, words about old stock, scripts,
/// pictures.
#[track_caller]
fn check(client: &mut Client, path: &str, expected: [bool; 5]) -> String {
    let page = client.get(path);
    assert_eq!(page.status, 200, "{path}");
    let text = page.text();
    let found = [OTHERS, LIVE, OLD, "<script", "<img"].map(|part| text.contains(part));
    assert_eq!(found, expected, "{path}");
    page.header("etag").expect("an etag").to_owned()
}

#[test]
fn pages_leave_out_what_is_switched_off_and_show_it_again() {
    let site = furnished();
    let up = up(&site, DOOR);
    let mut client = Client::new(up.front);
    let page = "/p/sofa";
    let full = check(&mut client, page, [true, true, false, true, true]);
    let hall = check(&mut client, "/", [false, true, false, true, true]);

    turn(&site, &up, "alone", true);
    let alone = check(&mut client, page, [false, true, false, true, true]);
    assert_ne!(alone, full);
    // The hall has no such row: it is the page it was.
    let same = check(&mut client, "/", [false, true, false, true, true]);
    assert_eq!(same, hall);

    turn(&site, &up, "still", true);
    check(&mut client, page, [false, false, true, true, true]);
    turn(&site, &up, "alone", false);
    check(&mut client, page, [true, false, true, true, true]);
    check(&mut client, "/", [false, false, true, true, true]);

    turn(&site, &up, "still", false);
    turn(&site, &up, "plain", true);
    check(&mut client, page, [true, false, true, false, false]);
    check(&mut client, "/", [false, false, true, false, false]);

    turn(&site, &up, "plain", false);
    // The very page that browsers keep: they are told 304.
    let again = check(&mut client, page, [true, true, false, true, true]);
    assert_eq!(again, full);
}

#[test]
fn live_stock_that_is_switched_off_says_so_to_programs() {
    let site = furnished();
    let up = up(&site, DOOR);
    turn(&site, &up, "still", true);
    let refused = Client::new(up.front).get("/v1/live");
    let body = refused.refused(503, "switched_off");
    assert_eq!(refused.header("retry-after"), Some("30"));
    assert_eq!(body["happened"], "no");
    // Stock itself can be asked for, one product at a time.
    let product = Client::new(up.front).get("/v1/products/sofa").json();
    assert_eq!(product["free"], 9, "{product}");
}

#[test]
fn only_the_door_says_what_is_left_out() {
    let site = furnished();
    let up = up(&site, DOOR);
    let mut liar = Client::new(up.front).with("seawall-shield", "rich-pages, recommendations");
    check(&mut liar, "/p/sofa", [true, true, false, true, true]);
}
