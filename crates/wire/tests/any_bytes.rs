//! Every reader of this crate on arbitrary and on nearly good input: it never panics, tells a
//! problem for what it refuses, and what it takes is sound. More cases: `PROPTEST_CASES`.

mod mutate;

use mutate::{Edit, apply, edits, text};
use proptest::prelude::*;
use sale::{At, Entry, Ledger, NoEffects, Seq};
use std::path::Path;
use wire::campaign::{ARRIVALS_MAX, BUYERS_MAX, Campaign};
use wire::catalogue::{self, Defaults, Format, ImportError};
use wire::gateway::routes::Target;
use wire::gateway::{Context, Door};
use wire::{record, snapshot};

const DOOR: &str = "\
version: 1
workers: 2
admin: {address: \"127.0.0.1:0\"}
listeners: [{name: front, address: \"127.0.0.1:0\"}]
trusted_proxies: [10.0.0.0/8]
identity: {buyer: [{header: X-User-Id}]}
routes:
  - {name: sale, match: {path: {prefix: /sale}}, waiting_room: hall, target: {upstream: shop}}
  - {name: item, match: {path: {template: \"/products/{sku}\"}}, target: {upstream: shop}, sku: {query: s}}
  - {name: rest, target: {upstream: shop}, features: [reviews]}
upstreams:
  - {name: shop, peers: [{address: \"127.0.0.1:1\", weight: 2}], breaker: {consecutive: 30}}
waiting_rooms:
  - {name: hall, open_above: 100/s, close_below: 90/min, hold: 1h, admit: 2/s, inside: 100}
limits:
  version: 1
  rules:
    - {name: each, key: [buyer], rate: 5/min, burst: 5, match: {routes: [sale]}}
    - {name: all, key: [address, sku], rate: 10/s, mode: shadow}
switches:
  version: 1
  switches:
    - {name: shut, routes: [item], action: shed, owner: a, reason: b, max_duration: 1h}
    - {name: bare, feature: reviews, action: shield, owner: a, reason: b, max_duration: 1h}
";

const CAMPAIGN: &str = include_str!("../../../examples/double11/campaign.yaml");

const CSV: &str = "\
sku,title,description,category,price,currency,stock,buyer_limit,opens,closes_ms,hold_s,picture,attr_colour\r
A-1,\"Kettle, 1.7 l\",\"Boils.\nQuietly.\",Kitchen,29.90,EUR,500,2,2026-11-11T00:00:00+01:00,1794400000000,600,/pictures/a-1.webp,red\r
A-2,Toaster,,,15,,,,,,,,\r
";

const JSONL: &str = concat!(
    r#"{"sku":"A-1","title":"Kettle","price":29.9,"stock":5,"closes":null,"attributes":{"w":2200}}"#,
    "\n",
    r#"{"sku":"A-2","title":"T","price_minor":1500,"currency":"JPY","buyer_limit":2,"hold_s":60}"#,
    "\n",
);

/// What settings are made of.
const YAML: &[&str] = &[
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "\n",
    "\n  ",
    "\"",
    "~",
    "null",
    "*a",
    "&a ",
    "<<: ",
    "!!str ",
    "0",
    "-1",
    "1e400",
    ".inf",
    ".nan",
    "18446744073709551616",
    "1/s",
    "0/s",
    "9/min",
    "1/day",
    "-1s",
    "99999999d",
    "0s",
    "/",
    "/..",
    "*.x",
    "::",
    "%00",
    "\u{0}",
    "\u{feff}",
    "\t",
    "hall",
    "shop",
    "sale",
    "buyer",
    "version: 1\n",
    "? ",
    "|",
    ">",
];
const ROWS: &[&str] = &[
    ",",
    "\"",
    "\"\"",
    "\r\n",
    "\n",
    "{",
    "}",
    ":",
    "[",
    "-",
    "0",
    "-0",
    "1e308",
    "1e-7",
    "0.001",
    "99999999999999999999",
    "EUR",
    "XXX",
    "null",
    "true",
    "\\u0000",
    "\\ud800",
    "\u{feff}",
    "A-1",
    "2026-02-30T00:00:00Z",
    "javascript:x",
    "//x",
    "\u{0}",
];

fn door(text: &str) -> Result<Door, String> {
    let context = Context {
        now_ms: 1_793_491_200_000,
        ..Context::default()
    };
    wire::gateway::parse(Path::new("gateway.yaml"), text, &context)
        .map_err(|problems| problems.to_string())
}

/// A taken configuration has no hole in it.
fn sound(door: &Door) {
    let gateway = &door.gateway;
    let names = |all: Vec<&str>| {
        let mut sorted = all.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), all.len(), "each name once: {all:?}");
        assert!(all.iter().all(|name| !name.is_empty() && name.is_ascii()));
        sorted.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let pools = names(gateway.upstreams.iter().map(|u| &*u.name).collect());
    let rooms = names(gateway.waiting_rooms.iter().map(|r| &*r.name).collect());
    names(gateway.routes.iter().map(|r| &*r.name).collect());
    names(door.limits.rules.iter().map(|r| &*r.name).collect());
    names(door.switches.switches.iter().map(|s| &*s.name).collect());
    assert!(!gateway.listeners.is_empty() && !gateway.routes.is_empty());
    assert!(gateway.upstreams.iter().all(|pool| !pool.peers.is_empty()));
    for route in &gateway.routes {
        if let Target::Upstream(pool) = &route.target {
            assert!(pools.contains(pool), "no upstream {pool}");
        }
        if let Some(room) = &route.waiting_room {
            assert!(rooms.contains(room), "no room {room}");
        }
    }
    for room in &gateway.waiting_rooms {
        assert!(room.admit.count > 0 && !room.admit.period.is_zero());
        assert!(room.waiting > 0 && room.inside > 0);
    }
}

#[test]
fn any_bytes_begin_with_good_ones() {
    sound(&door(DOOR).unwrap());
    Campaign::parse(Path::new("c.yaml"), CAMPAIGN).unwrap();
    for (format, text) in [(Format::Csv, CSV), (Format::JsonLines, JSONL)] {
        let (products, _) = catalogue::load(text.as_bytes(), format, &Defaults::default()).unwrap();
        assert_eq!(products.len(), 2);
    }
}

fn judge_door(text: &str) {
    match door(text) {
        Ok(door) => sound(&door),
        Err(told) => assert!(!told.trim().is_empty(), "refused without a word: {text:?}"),
    }
}

fn judge_campaign(text: &str) {
    match Campaign::parse(Path::new("c.yaml"), text) {
        Ok(campaign) => {
            let total = campaign.demand.total();
            assert!(
                total > 0.0 && total <= ARRIVALS_MAX as f64,
                "{total} arrivals"
            );
            let (from, to) = (campaign.demand.start_ms(), campaign.demand.end_ms());
            assert!(from < to, "{from} to {to}");
            assert!((1..=BUYERS_MAX).contains(&u64::from(campaign.buyers)));
            for coupon in &campaign.coupons {
                assert!(coupon.amount_off.0 > 0 && coupon.minimum_total > coupon.amount_off);
            }
        }
        Err(told) => assert!(
            !told.to_string().trim().is_empty(),
            "refused without a word"
        ),
    }
}

fn judge_catalogue(bytes: &[u8], format: Format) {
    let plain = match catalogue::unpacked(bytes) {
        Ok(plain) => plain,
        // A read of bytes in memory fails only if they are packed and damaged.
        Err(_) => return,
    };
    match catalogue::load(plain, format, &Defaults::default()) {
        Ok((products, summary)) => {
            assert_eq!(products.len(), summary.products);
            let mut skus: Vec<_> = products.iter().map(|p| p.sku.as_str()).collect();
            skus.sort_unstable();
            skus.dedup();
            assert_eq!(skus.len(), products.len(), "each SKU once");
            for product in &products {
                assert!(sale::Text::new(&product.sku).is_ok(), "{:?}", product.sku);
                assert!(product.price.0 >= 0, "{product:?}");
                assert!(product.buyer_limit != Some(0), "{product:?}");
                let (opens, closes) = (product.opens_ms.unwrap_or(0), product.closes_ms);
                assert!(closes.is_none_or(|closes| closes > opens), "{product:?}");
                let picture = product.picture.as_deref().unwrap_or("/");
                let known = ["http://", "https://"]
                    .iter()
                    .any(|start| picture.starts_with(start));
                assert!(known || !picture.contains(':'), "another scheme: {picture}");
            }
        }
        Err(ImportError::Problems(problems)) => assert!(!problems.is_empty()),
        Err(ImportError::Read { .. }) => assert!(bytes.starts_with(&[0x1f, 0x8b])),
    }
}

/// A batch with one of each kind of command that buyers and operators cause most.
fn batch() -> (u32, Vec<u8>) {
    let commands = commands();
    let mut payload = Vec::new();
    record::begin(&mut payload, At(1_000));
    commands
        .iter()
        .for_each(|one| record::push(&mut payload, one));
    (commands.len() as u32, payload)
}

fn commands() -> Vec<sale::Command> {
    use sale::{
        BuyerId, Command, CouponId, CouponTerms, Currency, Line, LineIndex, Lines, Millis, Money,
        OrderId, PaymentRef, Place, Qty, RequestId, SkuId, SkuTerms, Text, UnitDelta,
    };
    let terms = SkuTerms {
        price: Money(1_999),
        currency: Currency::EUR,
        buyer_limit: std::num::NonZeroU32::new(5),
        opens: At(5),
        closes: Some(At(1 << 50)),
        hold: Millis(60_000),
    };
    let open_ended = SkuTerms {
        buyer_limit: None,
        closes: None,
        ..terms
    };
    let line = |sku, qty| Line {
        sku: SkuId(sku),
        qty: Qty(qty),
    };
    let place = |number, lines, coupon| {
        Command::Place(Place {
            request: RequestId(number),
            buyer: BuyerId(number << 70 | 9),
            lines,
            coupon,
        })
    };
    let code = |code: &str| Text::new(code).unwrap();
    let payment = PaymentRef(4 << 100);
    vec![
        Command::ListSku {
            code: code("LAMP"),
            stock: Qty(9),
            terms,
        },
        Command::ListSku {
            code: code("KETTLE"),
            stock: Qty(2),
            terms: open_ended,
        },
        Command::CreateCoupon {
            code: code("SAVE"),
            terms: CouponTerms {
                quota: Qty(3),
                amount_off: Money(500),
                currency: Currency::EUR,
                minimum_total: Money(1_000),
            },
        },
        place(1, Lines::One(line(0, 2)), None),
        place(2, Lines::One(line(0, 1)), Some(CouponId(0))),
        place(3, Lines::Many(vec![line(0, 1), line(1, 1)]), None),
        Command::BeginPayment {
            order: OrderId(1),
            payment,
            amount: Money(3_998),
        },
        Command::ConfirmPayment {
            order: OrderId(1),
            payment,
            amount: Money(3_998),
        },
        Command::Return {
            request: RequestId(8),
            order: OrderId(1),
            lines: vec![(LineIndex(0), Qty(1))],
        },
        Command::SettleRefund {
            order: OrderId(1),
            payment,
            amount: Money(1),
        },
        Command::Cancel { order: OrderId(2) },
        Command::AdjustStock {
            request: RequestId(9),
            sku: SkuId(1),
            delta: UnitDelta(-1),
            reason: code("broken"),
        },
        Command::CloseSku { sku: SkuId(1) },
        Command::Tick,
    ]
}

fn ledger() -> Vec<u8> {
    let mut ledger = Ledger::new();
    for (at, command) in commands().into_iter().enumerate() {
        let entry = Entry {
            seq: Seq(at as u64 + 1),
            at: At(1_000 + at as u64),
            command,
        };
        ledger.apply(&entry, &mut NoEffects);
    }
    assert!(ledger.orders_accepted() >= 2 && ledger.sku_count() == 2);
    bytes_of(&ledger)
}

fn bytes_of(ledger: &Ledger) -> Vec<u8> {
    let mut bytes = Vec::new();
    let kept: Result<(), std::convert::Infallible> = snapshot::write(ledger, |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    });
    let Ok(()) = kept;
    bytes
}

/// What is read as a batch is written as the same bytes: a journal has one reading.
fn judge_batch(count: u32, bytes: &[u8]) {
    let Ok(entries) = record::Entries::new(1, count, bytes) else {
        return;
    };
    let Ok(entries) = entries.collect::<Result<Vec<Entry>, _>>() else {
        return;
    };
    assert_eq!(entries.len(), count as usize);
    let mut again = Vec::new();
    let at = entries.first().map_or(At(0), |entry| entry.at);
    record::begin(&mut again, at);
    for entry in &entries {
        record::push(&mut again, &entry.command);
        assert_eq!(entry.at, at);
    }
    if count > 0 {
        assert_eq!(again, bytes);
    }
}

/// What is read as a ledger is one, and written as the same bytes.
fn judge_snapshot(bytes: &[u8]) {
    if let Ok(ledger) = snapshot::read(bytes) {
        assert_eq!(bytes_of(&ledger), bytes);
    }
}

fn changed(good: &[u8], changes: &[Edit]) -> String {
    text(&apply(good, changes))
}

fn random() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..400)
}

proptest! {
    #[test]
    fn any_bytes_as_settings(changes in edits(YAML), random in random()) {
        judge_door(&changed(DOOR.as_bytes(), &changes));
        judge_door(&text(&random));
    }

    #[test]
    fn any_bytes_as_campaigns(changes in edits(YAML), random in random()) {
        judge_campaign(&changed(CAMPAIGN.as_bytes(), &changes));
        judge_campaign(&text(&random));
    }

    #[test]
    fn any_bytes_as_catalogues(changes in edits(ROWS), random in random()) {
        for (format, good) in [(Format::Csv, CSV), (Format::JsonLines, JSONL)] {
            judge_catalogue(&apply(good.as_bytes(), &changes), format);
            judge_catalogue(&random, format);
            let packed = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &random].concat();
            judge_catalogue(&packed, format);
        }
    }

    #[test]
    fn any_bytes_as_batches(changes in edits(&["\u{0}"]), random in random(), count in 0..6_u32) {
        let (whole, good) = batch();
        judge_batch(whole, &apply(&good, &changes));
        judge_batch(count, &random);
        let versioned = [&[1][..], &random].concat();
        judge_batch(count, &versioned);
    }

    #[test]
    fn any_bytes_as_snapshots(changes in edits(&["\u{0}"]), random in random()) {
        thread_local! { static GOOD: Vec<u8> = ledger(); }
        let good = GOOD.with(Vec::clone);
        judge_snapshot(&good);
        let other = apply(&good, &changes);
        judge_snapshot(&other);
        judge_snapshot(&[&[1][..], &random].concat());
    }
}
