//! Ends and starts: an upgrade under load loses nothing and pauses orders briefly, a drain answers
//! what is in flight.

use crate::http::json_headers;
use crate::site::{Shop, Site, until};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The promise of docs and issue.
const PAUSE_MAX: Duration = Duration::from_secs(2);
const BUYERS: usize = 4;

struct Heard {
    orders: BTreeMap<String, String>,
    longest: Duration,
    repeats: usize,
}

/// Orders one after the other, each repeated under its key until it is answered.
fn order_on(shop: (SocketAddr, String), n: usize, end: &AtomicBool, done: &AtomicUsize) -> Heard {
    let (front, session) = shop;
    let mut client = crate::http::Client::bearer(front, &session);
    let mut heard = Heard {
        orders: BTreeMap::new(),
        longest: Duration::ZERO,
        repeats: 0,
    };
    let mut last = Instant::now();
    while !end.load(Ordering::Relaxed) {
        let key = format!("b{n}-{}", heard.orders.len());
        let body = crate::http::one("A", 1).to_string();
        let order = loop {
            let sent = client.try_send("POST", "/v1/orders", &json_headers(&key), body.as_bytes());
            match sent {
                Ok(answer) if answer.status == 201 => break answer.order(),
                Ok(answer) => drop(answer.refused(503, "draining")),
                Err(_) => {}
            }
            heard.repeats += 1;
            std::thread::park_timeout(Duration::from_millis(5));
        };
        heard.longest = heard.longest.max(last.elapsed());
        last = Instant::now();
        heard.orders.insert(key, order);
        done.fetch_add(1, Ordering::Relaxed);
    }
    heard
}

#[test]
fn a_restart_for_an_upgrade_pauses_orders_briefly_and_loses_none() {
    let site = Site::selling("A", 1_000_000);
    let shop = site.up();
    let (front, admin) = (shop.front.to_string(), shop.admin.to_string());
    let (end, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (heard, shop): (Vec<Heard>, Shop) = std::thread::scope(|scope| {
        let buyers: Vec<_> = (0..BUYERS)
            .map(|n| {
                let session = shop.session(n as u128 + 1, u64::MAX);
                let (from, end, done) = ((shop.front, session), &end, &done);
                scope.spawn(move || order_on(from, n, end, done))
            })
            .collect();
        let some_more = |what: &str| {
            let before = done.load(Ordering::Relaxed);
            until(what, || done.load(Ordering::Relaxed) > before + 200);
        };
        some_more("orders flow");
        shop.stop();
        let again = site.up_at(&front, &admin);
        some_more("orders flow again");
        end.store(true, Ordering::Relaxed);
        (
            buyers
                .into_iter()
                .map(|buyer| buyer.join().unwrap())
                .collect(),
            again,
        )
    });
    let longest = heard.iter().map(|heard| heard.longest).max().unwrap();
    let repeats: usize = heard.iter().map(|heard| heard.repeats).sum();
    let orders: usize = heard.iter().map(|heard| heard.orders.len()).sum();
    println!("{orders} orders, {repeats} repeats, longest pause {longest:?}");
    assert!(
        repeats > 0,
        "nobody noticed the restart: it was not under load"
    );
    assert_eq!(
        shop.units("A")[1],
        orders as i64,
        "each accepted once, none lost"
    );
    for (n, heard) in heard.iter().enumerate() {
        let mut buyer = shop.buyer(n as u128 + 1);
        for (key, order) in heard.orders.iter().step_by(7) {
            let again = buyer.order(key, "A", 1);
            assert_eq!(again.header("idempotency-replayed"), Some("true"), "{key}");
            assert_eq!(&again.order(), order, "{key}");
        }
    }
    assert!(longest <= PAUSE_MAX, "{longest:?} without an order");
}

#[test]
fn a_drain_answers_what_is_in_flight() {
    let bank = "payment: {sandbox: {delay_ms_median: 700, decline_share: 0, unknown_share: 0}}\n";
    let site = Site::selling("A", 10).with(bank);
    let shop = site.up();
    let mut buyer = shop.buyer(1);
    let order = buyer.order("k", "A", 1).order();
    let status = std::thread::scope(|scope| {
        let (mut payer, order) = (shop.buyer(1), &order);
        let paying = scope.spawn(move || payer.pay(order, "p", 1_000));
        until("the payment has begun", || {
            shop.books()["payments_open"] == 1
        });
        shop.terminate();
        let answer = paying.join().unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        shop.ended()
    });
    assert_eq!(status.code(), Some(0));
    let shop = site.up();
    assert_eq!(shop.units("A"), [9, 0, 1]);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let bank = "payment: {sandbox: {delay_ms_median: 20000, decline_share: 0, unknown_share: 0}}\n";
    let site = Site::selling("A", 10).with(bank);
    let shop = site.up();
    let order = shop.buyer(1).order("k", "A", 1).order();
    std::thread::scope(|scope| {
        let mut payer = shop.buyer(1);
        let path = format!("/v1/orders/{order}/payment");
        scope.spawn(move || {
            let body = br#"{"amount":{"amount":1000,"currency":"EUR"}}"#;
            // The process ends before an answer.
            payer
                .try_send("POST", &path, &json_headers("p"), body)
                .unwrap_err();
        });
        until("the payment has begun", || {
            shop.books()["payments_open"] == 1
        });
        let started = Instant::now();
        shop.terminate();
        until("it drains", || {
            shop.log().contains("drain") || started.elapsed().as_secs() > 1
        });
        shop.terminate();
        assert_ne!(shop.ended().code(), Some(0));
        assert!(
            started.elapsed() < Duration::from_secs(8),
            "{:?}",
            started.elapsed()
        );
    });
    assert_eq!(site.up().units("A"), [9, 1, 0]);
}

#[test]
fn many_restarts_keep_everything() {
    let site = Site::selling("A", 1_000);
    let mut orders = Vec::new();
    for round in 0..4 {
        let shop = site.up();
        let mut buyer = shop.buyer(1);
        for n in 0..10 {
            orders.push(buyer.order(&format!("{round}-{n}"), "A", 1).order());
        }
        for order in &orders {
            assert_eq!(buyer.look(order)["status"], "held");
        }
        // By turns as an operator does and as a power cut does.
        if round % 2 == 0 {
            shop.stop()
        } else {
            shop.kill()
        }
    }
    assert_eq!(site.up().units("A"), [960, 40, 0]);
}
