//! Orders from outside: one answer for one key, exact stock, limits and coupons under races, holds
//! that end.

use crate::http::{Answer, Client, one};
use crate::site::{Shop, Site, product, until};
use serde_json::{Value, json};
use std::sync::Barrier;
use std::time::Instant;

/// Rounds of two requests at the same moment.
const ROUNDS: usize = 200;
const THREADS: usize = 8;

fn coupon(shop: &Shop, code: &str, quota: u32) {
    let body = json!({"coupon": code, "quota": quota, "amount_off": 300, "minimum_total": 1000,
                      "currency": "EUR"});
    let answer = shop.operator().post("/operator/coupons", "k", &body);
    assert_eq!(answer.status, 201, "{}", answer.text());
}

fn with_coupon(sku: &str, quantity: i64, code: &str) -> Value {
    let mut body = one(sku, quantity);
    body["coupon"] = json!(code);
    body
}

fn replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

#[test]
fn a_repeat_gets_the_same_body_also_after_a_crash() {
    let site = Site::selling("A", 10);
    let shop = site.up();
    let mut buyer = shop.buyer(1);
    let first = buyer.order("key", "A", 2);
    let order = first.order();
    assert!(!replayed(&first));
    let body = first.json();
    assert_eq!(body["total"], json!({"amount": 2000, "currency": "EUR"}));
    assert_eq!(
        (&body["status"], &body["durability"]),
        (&json!("held"), &json!("disk"))
    );
    let again = buyer.order("key", "A", 2);
    assert!(
        replayed(&again) && again.body == first.body && again.status == 201,
        "{again:?}"
    );
    // The same key with other content, and the same key of another buyer.
    assert_eq!(
        buyer.order("key", "A", 1).refused(422, "key_reused")["happened"],
        "no"
    );
    assert_ne!(shop.buyer(2).order("key", "A", 2).order(), order);
    shop.kill();
    let shop = site.up();
    let mut buyer = shop.buyer(1);
    let after = buyer.order("key", "A", 2);
    assert!(
        replayed(&after) && after.body == first.body && after.status == 201,
        "{after:?}"
    );
    buyer.order("key", "A", 1).refused(422, "key_reused");
    assert_eq!(shop.units("A"), [6, 4, 0]);
    // What was paid meanwhile does not change the answer of the order.
    assert_eq!(buyer.pay(&order, "p", 2_000).status, 200);
    assert_eq!(buyer.order("key", "A", 2).body, first.body);
}

#[test]
fn a_refused_key_is_free_for_a_later_wish() {
    let site = Site::selling("A", 1);
    let shop = site.up();
    shop.buyer(1).order("k", "A", 2).refused(409, "sold_out");
    shop.buyer(1).order("k", "A", 1).order();
}

/// Sends two requests as nearly at once as two threads can.
fn at_once(
    shop: &Shop,
    rounds: usize,
    bodies: impl Fn(usize, usize) -> Value + Sync,
) -> Vec<[Answer; 2]> {
    let barrier = Barrier::new(2);
    let side = |side: usize| {
        let mut buyer = shop.buyer(1);
        let mut answers = Vec::new();
        for round in 0..rounds {
            barrier.wait();
            let body = bodies(round, side);
            answers.push(buyer.post("/v1/orders", &format!("round-{round}"), &body));
        }
        answers
    };
    let (left, right) = std::thread::scope(|scope| {
        let right = scope.spawn(|| side(1));
        (side(0), right.join().unwrap())
    });
    left.into_iter()
        .zip(right)
        .map(<[Answer; 2]>::from)
        .collect()
}

#[test]
fn duplicates_at_the_same_moment_are_one_order() {
    let site = Site::selling("A", 1_000);
    let shop = site.up();
    for (round, pair) in at_once(&shop, ROUNDS, |_, _| one("A", 1))
        .iter()
        .enumerate()
    {
        assert_eq!(pair[0].order(), pair[1].order(), "round {round}");
        assert_eq!(pair[0].body, pair[1].body, "round {round}");
        assert!(
            replayed(&pair[0]) != replayed(&pair[1]),
            "round {round}: one came first"
        );
    }
    let rounds = ROUNDS as i64;
    assert_eq!(shop.units("A"), [1_000 - rounds, rounds, 0]);
    assert_eq!(shop.books()["orders_accepted"], rounds);
}

#[test]
fn one_key_with_two_contents_at_the_same_moment_is_one_order() {
    let site = Site::selling("A", 1_000);
    let shop = site.up();
    for pair in at_once(&shop, 50, |_, side| one("A", 1 + side as i64)) {
        let refused = pair
            .iter()
            .find(|answer| answer.status != 201)
            .expect("one was refused");
        refused.refused(422, "key_reused");
        assert_eq!(pair.iter().filter(|answer| answer.status == 201).count(), 1);
    }
    assert_eq!(shop.books()["orders_accepted"], 50);
}

/// All threads send what `body` says until each has sent `each`; their answers together.
fn race(shop: &Shop, each: usize, body: impl Fn(usize) -> Value + Sync) -> Vec<Answer> {
    let barrier = Barrier::new(THREADS);
    let thread = |thread: usize| {
        let mut clients: Vec<Client> = (0..each)
            .map(|n| shop.buyer((thread * each + n) as u128 + 1))
            .collect();
        barrier.wait();
        let send = |(n, client): (usize, &mut Client)| {
            client.post("/v1/orders", &format!("race-{n}"), &body(thread))
        };
        clients.iter_mut().enumerate().map(send).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let thread = &thread;
        let running: Vec<_> = (0..THREADS)
            .map(|n| scope.spawn(move || thread(n)))
            .collect();
        running
            .into_iter()
            .flat_map(|running| running.join().unwrap())
            .collect()
    })
}

#[test]
fn fifty_units_are_sold_exactly_fifty_times() {
    let site = Site::selling("A", 50);
    let shop = site.up();
    let answers = race(&shop, 20, |_| one("A", 1));
    let sold = answers.iter().filter(|answer| answer.status == 201).count();
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(answer.refused(409, "sold_out")["left"], 0);
    }
    assert_eq!((answers.len(), sold), (160, 50));
    assert_eq!(shop.units("A"), [0, 50, 0]);
    let state = shop.buyer(1).get("/v1/products/A").json();
    assert_eq!(
        (&state["free"], &state["state"]),
        (&json!(0), &json!("sold_out"))
    );
}

#[test]
fn baskets_that_overlap_take_all_lines_or_none() {
    let site = Site::new(&[product("A", 60), product("B", 40)]);
    let shop = site.up();
    let line = |sku: &str| json!({"sku": sku, "quantity": 1});
    let two = |first: &str, second: &str| json!({"lines": [line(first), line(second)]});
    let bodies = [two("A", "B"), two("B", "A")];
    let answers = race(&shop, 20, |thread| bodies[thread % 2].clone());
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 201).count(),
        40
    );
    assert_eq!(
        (shop.units("A"), shop.units("B")),
        ([20, 40, 0], [0, 40, 0])
    );
}

#[test]
fn a_coupon_is_never_used_above_its_quota() {
    let site = Site::selling("A", 1_000);
    let shop = site.up();
    coupon(&shop, "TEN", 10);
    let answers = race(&shop, 10, |_| with_coupon("A", 1, "TEN"));
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(won.len(), 10);
    for answer in won {
        assert_eq!(answer.json()["total"]["amount"], 700);
    }
    for answer in lost {
        answer.refused(409, "coupon_exhausted");
    }
    assert_eq!(shop.books()["coupons"][0]["uses"], 10);
    assert_eq!(shop.units("A"), [990, 10, 0]);
}

#[test]
fn a_coupon_counts_once_a_buyer_and_comes_back_with_a_cancel() {
    let site = Site::selling("A", 100);
    let shop = site.up();
    coupon(&shop, "ONE", 5);
    let mut buyer = shop.buyer(1);
    let order = buyer
        .post("/v1/orders", "1", &with_coupon("A", 1, "ONE"))
        .order();
    assert_eq!(buyer.look(&order)["coupon"], "ONE");
    buyer
        .post("/v1/orders", "2", &with_coupon("A", 1, "ONE"))
        .refused(409, "coupon_used");
    assert_eq!(
        buyer
            .post(&format!("/v1/orders/{order}/cancel"), "c", &json!({}))
            .status,
        200
    );
    buyer
        .post("/v1/orders", "3", &with_coupon("A", 1, "ONE"))
        .order();
    assert_eq!(shop.books()["coupons"][0]["uses"], 1);
}

#[test]
fn a_buyer_limit_counts_all_orders_of_a_buyer() {
    let mut limited = product("A", 100);
    limited["buyer_limit"] = json!(3);
    let site = Site::new(&[limited]);
    let shop = site.up();
    let mut buyer = shop.buyer(1);
    buyer.order("1", "A", 4).refused(409, "buyer_limit");
    let order = buyer.order("2", "A", 2).order();
    assert_eq!(
        buyer.order("3", "A", 2).refused(409, "buyer_limit")["left"],
        1
    );
    buyer.order("4", "A", 1).order();
    assert_eq!(
        buyer.order("5", "A", 1).refused(409, "buyer_limit")["left"],
        0
    );
    shop.buyer(2).order("1", "A", 3).order();
    // What is cancelled counts no more.
    assert_eq!(
        buyer
            .post(&format!("/v1/orders/{order}/cancel"), "c", &json!({}))
            .status,
        200
    );
    buyer.order("6", "A", 2).order();
    // Eight connections of one buyer are one buyer.
    let answers = std::thread::scope(|scope| {
        let send = |n: usize| shop.buyer(3).order(&format!("r{n}"), "A", 1);
        let running: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || send(n))).collect();
        running
            .into_iter()
            .map(|running| running.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 201).count(),
        3
    );
}

#[test]
fn a_sale_opens_and_closes_by_the_clock() {
    let start = crate::site::now_ms();
    let (mut early, mut late) = (product("A", 10), product("B", 10));
    early["opens_ms"] = json!(start + 6_000);
    late["closes_ms"] = json!(start + 6_000);
    let site = Site::new(&[early, late]);
    let shop = site.up();
    let mut buyer = shop.buyer(1);
    let answer = buyer.order("1", "A", 1);
    let refused = answer.refused(409, "not_open");
    assert_eq!(refused["opens_ms"], start + 6_000);
    assert!(answer.header("retry-after").is_some() && refused["retry_after_ms"].is_u64());
    buyer.order("2", "B", 1).order();
    until("both have turned", || {
        buyer.get("/v1/products/A").json()["state"] == "open"
            && buyer.get("/v1/products/B").json()["state"] == "closed"
    });
    buyer.order("1", "A", 1).order();
    buyer.order("3", "B", 1).refused(409, "closed");
}

#[test]
fn a_hold_that_ended_sells_again_within_a_second() {
    let mut brief = product("A", 1);
    brief["hold_ms"] = json!(700);
    let site = Site::new(&[brief]);
    let shop = site.up();
    let first = shop.buyer(1).order("k", "A", 1);
    let (order, pay_by) = (first.order(), first.json()["pay_by_ms"].as_u64().unwrap());
    let mut other = shop.buyer(2);
    other.order("k", "A", 1).refused(409, "sold_out");
    let mut sold = None;
    until("the unit is free again", || {
        let answer = other.order("k", "A", 1);
        sold = (answer.status == 201).then(crate::site::now_ms);
        sold.is_some()
    });
    let after = sold
        .unwrap()
        .checked_sub(pay_by)
        .expect("never before the hold ended");
    println!("sold again {after} ms after the hold ended");
    assert!(after < 1_000, "{after} ms");
    assert_eq!(shop.buyer(1).look(&order)["status"], "expired");
    shop.buyer(1)
        .pay(&order, "p", 1_000)
        .refused(409, "not_held");
}

#[test]
fn cancel_gives_the_units_back_once() {
    let site = Site::selling("A", 5);
    let shop = site.up();
    let mut buyer = shop.buyer(1);
    let order = buyer.order("k", "A", 3).order();
    let cancel = format!("/v1/orders/{order}/cancel");
    let cancelled = buyer.post(&cancel, "c", &json!({}));
    assert_eq!(
        (cancelled.status, &cancelled.json()["status"]),
        (200, &json!("cancelled"))
    );
    assert_eq!(shop.units("A"), [5, 0, 0]);
    buyer.post(&cancel, "c", &json!({}));
    assert_eq!(shop.units("A"), [5, 0, 0]);
    assert_eq!(buyer.look(&order)["status"], "cancelled");
    buyer.pay(&order, "p", 3_000).refused(409, "not_held");
}

#[test]
fn a_batch_answers_for_each_order() {
    let site = Site::selling("A", 3);
    let shop = site.up();
    let mut buyer = shop.buyer(1);
    let orders: Vec<Value> = (0..5)
        .map(|n| json!({"key": format!("k{n}"), "lines": [{"sku": "A", "quantity": 1}]}))
        .collect();
    let answer = buyer.post("/v1/orders:batch", "b", &json!({"orders": orders}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    let told: Vec<&str> = body["answers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["status"].as_str().or(one["code"].as_str()).unwrap())
        .collect();
    assert_eq!(told, ["held", "held", "held", "sold_out", "sold_out"]);
    // The keys are those of single orders.
    assert!(replayed(&buyer.order("k0", "A", 1)));
    for count in [0, 1_001] {
        let orders: Vec<Value> = vec![orders[0].clone(); count];
        let answer = buyer.post("/v1/orders:batch", "b", &json!({"orders": orders}));
        answer.refused(422, "out_of_bounds");
    }
    let stolen = json!({"orders": [{"key": "x", "lines": [], "buyer": "somebody"}]});
    let answer = buyer.post("/v1/orders:batch", "b", &stolen).json();
    assert_eq!(answer["answers"][0]["code"], "out_of_bounds");
}

#[test]
fn orders_are_listed_newest_first() {
    let site = Site::selling("A", 100);
    let shop = site.up();
    let mut buyer = shop.buyer(1);
    let started = Instant::now();
    let mut placed: Vec<String> = (0..5)
        .map(|n| buyer.order(&format!("k{n}"), "A", 1).order())
        .collect();
    placed.reverse();
    let page = |buyer: &mut Client, path: &str| {
        let body = buyer.get(path).json();
        let ids = body["orders"].as_array().unwrap().iter();
        let ids: Vec<String> = ids
            .map(|o| o["order"].as_str().unwrap().to_owned())
            .collect();
        (ids, body["next"].as_str().map(str::to_owned))
    };
    let (first, next) = page(&mut buyer, "/v1/orders?limit=3");
    println!("listed {:?} after the first order", started.elapsed());
    assert_eq!(first, placed[..3]);
    let (second, _) = page(
        &mut buyer,
        &format!("/v1/orders?limit=3&before={}", next.unwrap()),
    );
    assert_eq!(second, placed[3..]);
    assert_eq!(
        page(&mut shop.buyer(2), "/v1/orders").0,
        Vec::<String>::new()
    );
}

#[test]
fn accounts_sign_in_with_their_password_only() {
    let site = Site::selling("A", 10);
    let shop = site.up();
    let mut anybody = Client::new(shop.front);
    let account = json!({"email": "eve@shop.example", "name": "Eve", "password": "long enough"});
    let made = anybody.post("/v1/accounts", "k", &account);
    assert_eq!(made.status, 201, "{}", made.text());
    let cookie = made.header("set-cookie").expect("a session").to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let sign_in = |client: &mut Client, email: &str, password: &str| {
        client.post(
            "/v1/session",
            "k",
            &json!({"email": email, "password": password}),
        )
    };
    let good = sign_in(&mut anybody, "eve@shop.example", "long enough");
    assert_eq!(
        (good.status, &good.json()["buyer"]),
        (200, &made.json()["buyer"])
    );
    for (email, password) in [
        ("eve@shop.example", "wrong"),
        ("adam@shop.example", "long enough"),
    ] {
        sign_in(&mut anybody, email, password).refused(401, "unauthenticated");
    }
    anybody
        .post("/v1/session", "k", &json!({"token": "a.b.c"}))
        .refused(401, "unauthenticated");
    let session = cookie.split(';').next().unwrap();
    let mut signed_in = Client::new(shop.front).with("Cookie", session);
    signed_in.order("k", "A", 1).order();
    // The journal knows no person.
    shop.kill();
    for segment in site.segments() {
        let bytes = std::fs::read(segment).unwrap();
        for word in [b"eve@".as_slice(), b"Eve"] {
            assert!(!bytes.windows(word.len()).any(|found| found == word));
        }
    }
}
