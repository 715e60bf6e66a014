//! What operators do and see: import and reload, stock, returns, the books, and the verbs that read
//! what a shop leaves on disk.

use crate::http::Client;
use crate::site::{Shop, Site, product, until};
use serde_json::{Value, json};
use std::fs;

fn paid(shop: &Shop, buyer: u128, quantity: i64) -> String {
    let mut client = shop.buyer(buyer);
    let order = client.order("k", "A", quantity).order();
    assert_eq!(client.pay(&order, "p", quantity * 1_000).status, 200);
    order
}

fn take_back(operator: &mut Client, order: &str, key: &str, quantity: i64) -> crate::http::Answer {
    let body = json!({"lines": [{"line": 0, "quantity": quantity}]});
    operator.post(&format!("/operator/orders/{order}/returns"), key, &body)
}

#[test]
fn returned_units_come_back_once_with_their_money() {
    let site = Site::selling("A", 10);
    let shop = site.up();
    let order = paid(&shop, 1, 3);
    let mut operator = shop.operator();
    let back = take_back(&mut operator, &order, "r1", 2);
    let refund = json!({"refund": 2_000, "units": 2});
    assert_eq!(
        (back.status, back.json()),
        (200, refund.clone()),
        "{}",
        back.text()
    );
    let again = take_back(&mut operator, &order, "r1", 2);
    assert_eq!(
        (again.status, again.json()),
        (200, refund),
        "{}",
        again.text()
    );
    take_back(&mut operator, &order, "r1", 1).refused(422, "key_reused");
    assert_eq!(shop.units("A"), [9, 0, 1]);
    let left = take_back(&mut operator, &order, "r2", 2).refused(409, "not_returnable");
    assert_eq!(left["left"], 1);
    let mut buyer = shop.buyer(1);
    until("the money is back", || {
        buyer.look(&order)["payment"]["refunded"]["amount"] == 2_000
    });
    assert_eq!(buyer.look(&order)["lines"][0]["returned"], 2);
    let held = shop.buyer(2).order("k", "A", 1).order();
    take_back(&mut operator, &held, "r3", 1).refused(409, "not_paid");
    take_back(&mut operator, "nope", "r4", 1).refused(404, "unknown_order");
    take_back(&mut operator, &order, "", 1).refused(400, "key_missing");
    shop.kill();
    let facts = site.bank();
    let refunded: Vec<&Value> = facts.iter().filter(|f| f["state"] == "refunded").collect();
    assert_eq!(refunded.len(), 1, "{refunded:?}");
    assert_eq!(refunded[0]["amount"], 2_000);
}

#[test]
fn stock_is_adjusted_once_for_a_key() {
    let site = Site::selling("A", 10);
    let shop = site.up();
    let mut operator = shop.operator();
    shop.buyer(1).order("k", "A", 4).order();
    let path = "/operator/skus/A/stock";
    let body = |delta: i64| json!({"delta": delta, "reason": "counted again"});
    for _ in 0..2 {
        let answer = operator.post(path, "s1", &body(5));
        assert_eq!(
            (answer.status, &answer.json()["free"]),
            (200, &json!(11)),
            "{}",
            answer.text()
        );
    }
    operator
        .post(path, "s1", &body(6))
        .refused(422, "key_reused");
    assert_eq!(
        operator
            .post(path, "s2", &body(-12))
            .refused(409, "too_few_free")["free"],
        11
    );
    operator
        .post(path, "", &body(1))
        .refused(400, "key_missing");
    operator
        .post("/operator/skus/NOPE/stock", "s3", &body(1))
        .refused(422, "unknown_sku");
    operator
        .post(path, "s4", &json!({"delta": 1}))
        .refused(400, "malformed_json");
    assert_eq!(shop.units("A"), [11, 4, 0]);
    assert_eq!(
        operator
            .post("/operator/skus/A/close", "", &json!({}))
            .status,
        200
    );
    shop.buyer(2).order("k", "A", 1).refused(409, "closed");
    assert_eq!(
        operator
            .post("/operator/skus/A/open", "", &json!({}))
            .status,
        200
    );
    shop.buyer(2).order("k", "A", 1).order();
}

#[test]
fn a_running_shop_takes_over_an_import() {
    let site = Site::selling("A", 10);
    let shop = site.up();
    let mut buyer = shop.buyer(1);
    buyer.order("1", "B", 1).refused(422, "unknown_sku");
    let mut dearer = product("A", 10);
    dearer["price_minor"] = json!(1_500);
    site.import(&[dearer, product("B", 7)]);
    buyer.order("1", "B", 1).refused(422, "unknown_sku");
    let done = shop
        .operator()
        .post("/operator/catalogue/reload", "", &json!({}));
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(
        (&done.json()["listed"], &done.json()["terms_set"]),
        (&json!(1), &json!(1))
    );
    buyer.order("1", "B", 1).order();
    assert_eq!(buyer.order("2", "A", 1).json()["total"]["amount"], 1_500);
    // The same by signal.
    site.import(&[product("C", 1)]);
    let pid = rustix::process::Pid::from_raw(shop.pid() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    until("C is listed", || buyer.get("/v1/products/C").status == 200);
    buyer.order("3", "C", 1).order();
}

#[test]
fn an_import_with_a_bad_line_changes_nothing() {
    let site = Site::selling("A", 10);
    #[rustfmt::skip]
    let cases = [
        // file, text, line and words of the problem
        ("bad.csv",   "sku,title,price,stock\nB,B,1.00,5\nC,C,abc,5\nD,D,1.00,5\n", "line 3", "price"),
        ("bad.csv",   "sku,title,price,stock\nB,B,1.00,5\nC,C,1.00,-5\n", "line 3", "stock"),
        ("bad.csv",   "sku,title,price,stock\nB,B,1.00,5\nB,C,1.00,5\n", "line 3", "sku"),
        ("bad.csv",   "sku,titel,price\nB,B,1.00\n", "line 1", "titel"),
        ("bad.jsonl", "{\"sku\":\"B\",\"title\":\"B\",\"price\":\"1\"}\n{\"sku\":\"C\",\"title\":", "line 2", ""),
        ("bad.jsonl", "{\"sku\":\"B\",\"title\":\"B\",\"price\":\"1\",\"prise\":\"2\"}\n", "line 1", "prise"),
    ];
    for (name, text, line, field) in cases {
        let file = site.path(name);
        fs::write(&file, text).unwrap();
        let verb = ["import", "catalogue", file.to_str().unwrap()];
        site.seawall(&verb)
            .said(1, &[name, "nothing was imported", line, field]);
        let report = site.seawall(&[verb[0], verb[1], verb[2], "--json"]).json();
        assert_eq!(report["imported"], false);
        assert!(report["problems"].to_string().contains(line), "{report}");
    }
    let shop = site.up();
    let products = shop.buyer(1).get("/v1/products").json();
    assert_eq!(
        products["products"].as_array().unwrap().len(),
        1,
        "{products}"
    );
    let none = site.seawall(&["import", "catalogue", "/nowhere/at-all.csv"]);
    none.said(1, &["/nowhere/at-all.csv"]);
    site.seawall(&["import", "catalogue", "picture.png"])
        .said(64, &["picture.png"]);
}

#[test]
fn the_verbs_and_the_books_tell_the_same() {
    let site = Site::selling("A", 50);
    let shop = site.up();
    let order = paid(&shop, 1, 2);
    shop.buyer(2).order("k", "A", 1).order();
    shop.buyer(3).order("k", "A", 60).refused(409, "sold_out");
    take_back(&mut shop.operator(), &order, "r", 1);
    until("no refund is open", || shop.books()["payments_open"] == 0);
    let books = shop.books();
    let through = books["seq"].to_string();
    // Beside a running shop, and after its end.
    for running in [true, false] {
        if !running {
            shop.terminate();
            until("it has ended", || {
                site.seawall(&["rebuild", "projection"]).code == Some(0)
            });
        }
        let digest = site
            .seawall(&["journal", "digest", "--json", "--through", &through])
            .json();
        assert_eq!(digest["digest"], books["digest"], "running: {running}");
        let plain = site.seawall(&["journal", "digest", "--through", &through]);
        assert_eq!(plain.out.trim(), books["digest"].as_str().unwrap());
        let verify = site.seawall(&["journal", "verify", "--json"]).json();
        assert_eq!(verify["good"], true);
        assert_eq!(verify["orders_accepted"], books["orders_accepted"]);
        let last = site.seawall(&["journal", "digest", "--json"]).json();
        assert_eq!(
            (&last["through"], &last["digest"]),
            (&verify["entries"], &verify["digest"])
        );
        let dump = site.dump();
        let numbers: Vec<u64> = dump
            .iter()
            .map(|entry| entry["seq"].as_u64().unwrap())
            .collect();
        assert_eq!(
            numbers,
            (1..=verify["entries"].as_u64().unwrap()).collect::<Vec<_>>()
        );
        let held = dump
            .iter()
            .filter(|entry| entry["outcome"]["held"].is_string())
            .count();
        assert_eq!(json!(held), books["orders_accepted"]);
    }
}

#[test]
fn a_rebuilt_projection_lists_the_same_orders() {
    let site = Site::selling("A", 50);
    let shop = site.up();
    let mut buyer = shop.buyer(1);
    for n in 0..7 {
        buyer.order(&format!("k{n}"), "A", 1).order();
    }
    let order = buyer.order("paid", "A", 1).order();
    buyer.pay(&order, "p", 1_000);
    let cancelled = buyer.order("cancelled", "A", 1).order();
    buyer.post(&format!("/v1/orders/{cancelled}/cancel"), "c", &json!({}));
    let before = buyer.get("/v1/orders").json();
    assert_eq!(before["orders"].as_array().unwrap().len(), 9);
    shop.stop();
    site.seawall(&["rebuild", "projection"]).said(0, &[]);
    let shop = site.up();
    assert_eq!(shop.buyer(1).get("/v1/orders").json(), before);
    // Without any projection the shop makes it again by itself.
    shop.stop();
    fs::remove_file(site.data().join("projection.db")).unwrap();
    let shop = site.up();
    until("it has caught up", || {
        shop.buyer(1).get("/v1/orders").json() == before
    });
}
