//! Payments from outside: right and wrong ones, a bank that declines or falls silent, and a shop
//! that dies in the middle. In the end journal and bank must agree about every cent.

use crate::http::{Answer, Client};
use crate::site::{Shop, Site, product, until};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn bank(settings: &str) -> String {
    format!("payment: {{sandbox: {{{settings}}}}}\n")
}

/// Money that the bank keeps is money of a paid order, and the other way round; nothing is open.
#[track_caller]
fn agree(site: &Site) {
    let (mut begun, mut ended, mut paid) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
    let mut due_back = BTreeSet::new();
    for entry in site.dump() {
        let payment = || entry["payment"].as_str().unwrap().to_owned();
        match entry["command"].as_str().unwrap() {
            "begin_payment" if entry["outcome"] == "PaymentBegun" => drop(begun.insert(payment())),
            "abandon_payment" => drop(ended.insert(payment())),
            "confirm_payment" => {
                ended.insert(payment());
                if entry["outcome"] == "Paid" {
                    paid.insert(payment(), entry["amount"].as_i64().unwrap());
                } else {
                    due_back.insert(payment());
                }
            }
            _ => {}
        }
    }
    assert_eq!(begun, ended, "every payment that began has come to an end");
    let mut kept: BTreeMap<String, i64> = BTreeMap::new();
    for fact in site.bank() {
        let payment = fact["payment"].as_str().unwrap().to_owned();
        let amount = fact["amount"].as_i64().unwrap();
        match fact["state"].as_str().unwrap() {
            "captured" => {
                assert_eq!(kept.insert(payment, amount), None, "captured twice");
            }
            "refunded" => *kept.get_mut(&payment).unwrap() -= amount,
            _ => {}
        }
    }
    for payment in &due_back {
        assert_eq!(
            kept.remove(payment),
            Some(0),
            "{payment}: all of it went back"
        );
    }
    assert_eq!(kept, paid);
}

fn no_payment_is_open(shop: &Shop) -> bool {
    shop.books()["payments_open"] == 0
}

#[test]
fn paying_once_is_enough() {
    let site = Site::selling("A", 10);
    let shop = site.up();
    let mut buyer = shop.buyer(1);
    let order = buyer.order("k", "A", 2).order();
    let wrong = buyer.pay(&order, "p1", 1_999).refused(409, "wrong_amount");
    assert_eq!(
        (&wrong["due"], &wrong["happened"]),
        (&json!(2_000), &json!("no"))
    );
    let dollars = json!({"amount": {"amount": 2_000, "currency": "USD"}});
    let path = format!("/v1/orders/{order}/payment");
    buyer
        .post(&path, "p2", &dollars)
        .refused(409, "wrong_amount");
    for body in [
        json!({}),
        json!({"amount": 2000}),
        json!({"amount": {"amount": 2e9}, "tip": 1}),
    ] {
        buyer
            .post(&path, "p3", &body)
            .refused(400, "malformed_json");
    }
    for amount in [0, -2_000, i64::MAX, i64::MIN] {
        buyer.pay(&order, "p4", amount).refused(409, "wrong_amount");
    }
    assert_eq!(shop.units("A"), [8, 2, 0]);
    let paid = buyer.pay(&order, "p", 2_000);
    assert_eq!(
        (paid.status, &paid.json()["status"]),
        (200, &json!("paid")),
        "{}",
        paid.text()
    );
    let again = buyer.pay(&order, "p", 2_000);
    assert_eq!((again.status, again.body), (200, paid.body.clone()));
    buyer.pay(&order, "another", 2_000).refused(409, "not_held");
    assert_eq!(shop.units("A"), [8, 0, 2]);
    let seen = buyer.look(&order);
    assert_eq!(
        (&seen["status"], &seen["payment"]["state"]),
        (&json!("paid"), &json!("captured"))
    );
    shop.kill();
    let shop = site.up();
    assert_eq!(shop.buyer(1).pay(&order, "p", 2_000).body, paid.body);
    shop.kill();
    agree(&site);
}

#[test]
fn one_payment_from_two_connections_is_captured_once() {
    let site = Site::selling("A", 100);
    let shop = site.up();
    let (mut left, mut right) = (shop.buyer(1), shop.buyer(1));
    for n in 0..30 {
        let order = left.order(&format!("k{n}"), "A", 1).order();
        let pay = |client: &mut Client, key: &str| client.pay(&order, key, 1_000);
        // Half the rounds share the key, half are two payments for one order.
        let key = if n % 2 == 0 { "p" } else { "q" };
        let answers: [Answer; 2] = std::thread::scope(|scope| {
            let other = scope.spawn(|| pay(&mut right, key));
            [pay(&mut left, "p"), other.join().unwrap()]
        });
        assert!(
            answers
                .iter()
                .any(|answer| matches!(answer.status, 200 | 202)),
            "{answers:?}"
        );
        until("it is paid", || left.look(&order)["status"] == "paid");
    }
    until("nothing is open", || no_payment_is_open(&shop));
    assert_eq!(shop.units("A"), [70, 0, 30]);
    shop.kill();
    agree(&site);
}

#[test]
fn a_declined_payment_leaves_the_order_held() {
    let site = Site::selling("A", 10).with(&bank(
        "delay_ms_median: 1, decline_share: 1, unknown_share: 0",
    ));
    let shop = site.up();
    let mut buyer = shop.buyer(1);
    let order = buyer.order("k", "A", 1).order();
    assert_eq!(
        buyer
            .pay(&order, "p", 1_000)
            .refused(402, "payment_declined")["happened"],
        "no"
    );
    buyer
        .pay(&order, "p", 1_000)
        .refused(402, "payment_declined");
    assert_eq!(buyer.look(&order)["status"], "held");
    shop.stop();
    site.configure(&bank(
        "delay_ms_median: 1, decline_share: 0, unknown_share: 0",
    ));
    let shop = site.up();
    assert_eq!(shop.buyer(1).pay(&order, "better", 1_000).status, 200);
    shop.kill();
    agree(&site);
}

#[test]
fn a_silent_bank_is_asked_again() {
    let settings = bank("delay_ms_median: 1, decline_share: 0, unknown_share: 1");
    let site = Site::selling("A", 10).with(&settings);
    let shop = site.up();
    let mut buyer = shop.buyer(1);
    let order = buyer.order("k", "A", 1).order();
    let pending = buyer.pay(&order, "p", 1_000);
    assert_eq!(
        (pending.status, &pending.json()["status"]),
        (202, &json!("pending"))
    );
    until("it is reconciled", || {
        buyer.look(&order)["status"] == "paid"
    });
    assert_eq!(
        buyer.pay(&order, "p", 1_000).status,
        200,
        "the same key hears it"
    );
    shop.kill();
    agree(&site);
}

#[test]
fn a_bank_that_is_away_takes_nothing() {
    let settings =
        bank("delay_ms_median: 1, decline_share: 0, unknown_share: 0, unavailable_share: 1");
    let site = Site::selling("A", 10).with(&settings);
    let shop = site.up();
    let mut buyer = shop.buyer(1);
    let order = buyer.order("k", "A", 1).order();
    assert_eq!(buyer.pay(&order, "p", 1_000).status, 202);
    shop.kill();
    assert_eq!(site.bank(), Vec::<Value>::new());
    site.configure(&bank(
        "delay_ms_median: 1, decline_share: 0, unknown_share: 0",
    ));
    let shop = site.up();
    until("nothing is open", || no_payment_is_open(&shop));
    let mut buyer = shop.buyer(1);
    assert_eq!(buyer.look(&order)["status"], "held");
    assert_eq!(buyer.pay(&order, "later", 1_000).status, 200);
    shop.kill();
    agree(&site);
}

/// SIGKILL before the bank heard of the payment, and after it took the money.
#[test]
fn a_payment_cut_by_a_crash_comes_to_an_end() {
    let far = bank("delay_ms_median: 20000, decline_share: 0, unknown_share: 0");
    let mute = bank("delay_ms_median: 1, decline_share: 0, unknown_share: 1");
    let near = bank("delay_ms_median: 1, decline_share: 0, unknown_share: 0");
    // name, the bank before the crash, the order after it
    for (name, before, after) in [("not heard", &far, "held"), ("captured", &mute, "paid")] {
        let site = Site::selling("A", 10).with(before);
        let shop = site.up();
        let order = shop.buyer(1).order("k", "A", 1).order();
        std::thread::scope(|scope| {
            let mut payer = shop.buyer(1);
            let (path, body) = (format!("/v1/orders/{order}/payment"), pay_body(1_000));
            let headers = crate::http::json_headers("p");
            // The connection dies with the shop, or has heard that it is pending.
            scope.spawn(move || drop(payer.try_send("POST", &path, &headers, body.as_bytes())));
            until("the payment has begun", || {
                shop.books()["payments_open"] == 1
            });
            if after == "paid" {
                until("the bank has the money", || {
                    site.bank().iter().any(|fact| fact["state"] == "captured")
                });
            }
            shop.kill();
        });
        site.configure(&near);
        let shop = site.up();
        until("nothing is open", || no_payment_is_open(&shop));
        let mut buyer = shop.buyer(1);
        assert_eq!(buyer.look(&order)["status"], after, "{name}");
        // The key of the payment has its answer; another one can still pay what is held.
        let repeat = buyer.pay(&order, "p", 1_000);
        assert_eq!(
            repeat.status,
            if after == "paid" { 200 } else { 402 },
            "{}",
            repeat.text()
        );
        if after == "held" {
            assert_eq!(buyer.pay(&order, "p2", 1_000).status, 200);
        }
        assert_eq!(shop.units("A"), [9, 0, 1], "{name}");
        shop.kill();
        agree(&site);
    }
}

fn pay_body(amount: i64) -> String {
    json!({"amount": {"amount": amount, "currency": "EUR"}}).to_string()
}

/// The bank answers after the hold has ended: the units are taken back if they are free, else the
/// money goes back.
#[test]
fn a_late_payment_buys_or_goes_back() {
    let slow = bank("delay_ms_median: 1500, decline_share: 0, unknown_share: 0");
    let mut brief = product("A", 1);
    brief["hold_ms"] = json!(1_000);
    for taken in [false, true] {
        let site = Site::new(&[brief.clone()]).with(&slow);
        let shop = site.up();
        let mut buyer = shop.buyer(1);
        let order = buyer.order("k", "A", 1).order();
        let late = std::thread::scope(|scope| {
            let (mut payer, order) = (shop.buyer(1), &order);
            let paying = scope.spawn(move || payer.pay(order, "p", 1_000));
            until("the hold has ended", || {
                buyer.look(order)["status"] == "expired"
            });
            if taken {
                let gone = json!({"delta": -1, "reason": "broken"});
                let answer = shop.operator().post("/operator/skus/A/stock", "s", &gone);
                assert_eq!(answer.status, 200, "{}", answer.text());
            }
            paying.join().unwrap()
        });
        if taken {
            assert_eq!(late.refused(409, "refund_due")["happened"], "yes");
            until("the money is back", || {
                buyer.look(&order)["payment"]["refunded"]["amount"] == 1_000
            });
            buyer.pay(&order, "p", 1_000).refused(409, "refund_due");
        } else {
            assert_eq!(late.status, 200, "{}", late.text());
            assert_eq!(buyer.look(&order)["status"], "paid");
            assert_eq!(shop.units("A"), [0, 0, 1]);
        }
        shop.kill();
        agree(&site);
    }
}
