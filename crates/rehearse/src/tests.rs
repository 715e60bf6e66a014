//! The generator against a small real shop: plans, latencies, retries, and an audit that can fail.

use crate::books::{Audited, Channel, Circumstances, Evidence, audit};
use crate::fake::FakeShop;
use crate::load::{Load, Outcome, Target};
use crate::measure::Shared;
use crate::plan::{self, Plan, Product};
use crate::token::Issuer;
use sale::{Currency, Money};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wire::campaign::Campaign;

const CAMPAIGN: &str = "\
version: 1
name: small
t0: 2026-11-11T00:00:00+01:00
catalogue: catalogue.csv
coupons:
  - {code: TEN, quota: 5, amount_off: 10, minimum_total: 20, currency: EUR}
buyers: 2000
demand:
  curve:
    - [-1s, 100]
    - [0s, 500]
    - [0s, 1000]
    - [+1500ms, 1000]
    - [+2500ms, 200]
journeys:
  before_t0: {sign_in: 80, browse: 20}
  after_t0: {sign_in: 10, browse: 20, order: 70}
  lines: [80, 20]
  abandon: 0.1
  cancel: 0.1
  coupon: 0.1
  repeat: 0.05
  think_min: 10ms
  think_max: 300ms
";

fn products(count: u64, stock: u64) -> Vec<Product> {
    let product = |n: u64| Product {
        sku: format!("SKU-{n}"),
        title: format!("Product {n}"),
        stock,
        price: 1_000 + n as i64,
        currency: Currency::EUR,
    };
    (0..count).map(product).collect()
}

fn plan_of(seed: u64, products: Vec<Product>) -> Plan {
    let campaign = Campaign::parse(Path::new("campaign.yaml"), CAMPAIGN).unwrap();
    plan::campaign(&campaign, products, seed)
}

struct Ran {
    plan: Arc<Plan>,
    outcome: Outcome,
    start_ms: u64,
}

/// Runs the plan against the shop; `meanwhile` happens to the shop from the plan's start on.
fn run(shop: &mut FakeShop, plan: Plan, meanwhile: impl FnOnce(&mut FakeShop, &Shared)) -> Ran {
    let (plan, shared) = (Arc::new(plan), Arc::new(Shared::default()));
    let target = Target {
        shop: shop.address,
        admin: shop.address,
        operator_token: "t".to_owned(),
        issuer: Issuer::new("test", "shop", b"key", 1),
    };
    let start_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64;
    let load = Load::new(
        Arc::clone(&plan),
        target,
        Arc::clone(&shared),
        "run",
        Instant::now(),
    )
    .unwrap();
    let thread = std::thread::spawn(move || load.run().unwrap());
    meanwhile(shop, &shared);
    Ran {
        plan,
        outcome: thread.join().unwrap(),
        start_ms,
    }
}

fn judge(shop: &FakeShop, ran: &Ran, down_ms: u64) -> Audited {
    let channel = shop.captures().into_iter();
    let channel = channel.map(|(order, payment, captured)| Channel {
        order,
        payment,
        captured,
        refunded: Money::ZERO,
    });
    let evidence = Evidence {
        entries: shop.entries(),
        channel: Some(channel.collect()),
    };
    let circumstances = Circumstances {
        start_ms: ran.start_ms,
        down_ms,
    };
    audit(&evidence, &ran.plan, &ran.outcome.receipts, circumstances)
}

fn failed(audited: &Audited) -> Vec<String> {
    let failed = audited.verdict.checks.iter().filter(|check| !check.passed);
    failed
        .map(|check| format!("{}: {:?}", check.name, check.failures))
        .collect()
}

/// Waits in the shop's shoes until the plan has come that far.
fn until(start: Instant, offset_ms: u64) {
    let target = start + Duration::from_millis(offset_ms);
    std::thread::sleep(target.saturating_duration_since(Instant::now()));
}

#[test]
fn arrivals_follow_the_curve_exactly_and_the_seed() {
    let plan = plan_of(1, products(10, 5));
    let again = plan_of(1, products(10, 5));
    assert_eq!(plan.arrivals, again.arrivals);
    assert_eq!(plan.baskets, again.baskets);
    assert_ne!(plan.arrivals, plan_of(2, products(10, 5)).arrivals);
    // 300 before T0, 1,000 in the second from it, then 500 + 450 (1,000 down to 600) and 150.
    let repeats = plan
        .arrivals
        .iter()
        .filter(|a| matches!(a.what, plan::What::Repeat(_)))
        .count();
    assert_eq!(plan.arrivals.len() - repeats, 300 + 1_500 + 600);
    let mut seconds = [0u64; 4];
    for arrival in &plan.arrivals {
        if !matches!(arrival.what, plan::What::Repeat(_)) {
            seconds[(arrival.at_us / 1_000_000) as usize] += 1;
        }
    }
    let expected = [300, 1_000, 900, 200];
    for (found, expected) in seconds.iter().zip(expected) {
        assert!(found.abs_diff(expected) <= 1, "{seconds:?}");
    }
    assert!(plan.arrivals.is_sorted_by_key(|arrival| arrival.at_us));
}

#[test]
fn a_flood_sells_out_and_the_books_hold() {
    let products = products(5, 20);
    let mut shop = FakeShop::start(&products, 3, 400);
    let ran = run(&mut shop, plan_of(3, products), |_, _| {});
    let audited = judge(&shop, &ran, 0);
    assert_eq!(failed(&audited), Vec::<String>::new());
    let measured = &ran.outcome.measured;
    assert_eq!(
        measured.in_time,
        measured.planned,
        "lag {:?} us",
        measured.lag.all.max()
    );
    assert_eq!(measured.errors_in_all().all(), 0, "{:?}", measured.errors);
    assert!(ran.outcome.receipts.unanswered.is_empty());
    assert!(
        audited
            .stocks
            .iter()
            .all(|stock| stock.free_min == 0 && stock.sold > 0)
    );
    let held = ran
        .outcome
        .purchases
        .iter()
        .filter(|p| p.held.is_some())
        .count() as u64;
    assert_eq!(held, audited.orders);
    assert_eq!(
        audited.orders,
        audited.paid + audited.expired + audited.cancelled
    );
    assert!(audited.expired > 0 && audited.cancelled > 0 && audited.paid > 0);
    assert!(
        measured.refused.contains_key("sold_out"),
        "{:?}",
        measured.refused
    );
}

#[test]
fn a_pause_of_the_shop_shows_in_the_latency_of_everybody_who_came_meanwhile() {
    let products = products(5, 20);
    let mut shop = FakeShop::start(&products, 3, 400);
    let start = Instant::now();
    let ran = run(&mut shop, plan_of(4, products), |shop, _| {
        until(start, 1_000);
        shop.pause(Duration::from_secs(1));
    });
    // A closed loop would show one slow request a connection. About 1,000 of 2,500 planned
    // requests fell into the pause; each waited for its end.
    let latency = &ran.outcome.measured.every.all;
    let slow = latency.count_between(100_000, u64::MAX);
    assert!(slow > 500, "{slow} slow requests of {}", latency.len());
    let longest = latency.max();
    assert!((900_000..3_000_000).contains(&longest), "{longest} us");
}

#[test]
fn after_a_kill_everybody_asks_again_under_the_same_key() {
    let products = products(5, 200);
    let mut shop = FakeShop::start(&products, 3, 5_000);
    let start = Instant::now();
    let ran = run(&mut shop, plan_of(5, products), |shop, shared| {
        until(start, 1_500);
        shared.killed(1_400_000);
        shop.kill();
        until(start, 2_000);
        shop.open();
        shared.back(2_100_000);
    });
    let measured = &ran.outcome.measured;
    assert!(measured.retried > 100, "{} retried", measured.retried);
    assert!(
        measured.closed_door > 100,
        "{} met a closed door",
        measured.closed_door
    );
    assert_eq!(measured.errors_in_all().outside, 0, "{:?}", measured.errors);
    assert!(
        ran.outcome.receipts.unanswered.is_empty(),
        "{:?}",
        ran.outcome.receipts.unanswered
    );
    let audited = judge(&shop, &ran, 600);
    assert_eq!(failed(&audited), Vec::<String>::new());
    // Every order came in under its own key, some of them more than once.
    let keys = shop.keys();
    assert_eq!(
        keys.len(),
        ran.outcome.purchases.iter().filter(|p| p.asked).count()
    );
    let held = ran
        .outcome
        .purchases
        .iter()
        .filter(|p| p.held.is_some())
        .count() as u64;
    assert_eq!(held, audited.orders);
}

#[test]
fn a_shop_that_forgets_what_it_promised_is_found_out() {
    let products = products(5, 50);
    let mut shop = FakeShop::start(&products, 3, 400);
    shop.forget_each.store(20, Ordering::SeqCst);
    let ran = run(&mut shop, plan_of(6, products), |_, _| {});
    let audited = judge(&shop, &ran, 0);
    let acknowledged = audited.verdict.check(audit::names::ACKNOWLEDGED).unwrap();
    assert!(!acknowledged.passed, "{:?}", audited.verdict.checks);
}

fn door() -> crate::door::DoorFigures {
    let second = crate::door::DoorSecond {
        requests: 500,
        served: 480,
        rate_limited: 6,
        ..Default::default()
    };
    let route = crate::door::DoorRoute {
        name: "order".to_owned(),
        class: "order".to_owned(),
        requests: 900,
        ..Default::default()
    };
    crate::door::DoorFigures {
        readings: 4,
        requests: 1_000,
        served: 985,
        held_in_room: 3,
        refused: [("rate_limited".to_owned(), 12)].into(),
        routes: vec![route],
        seconds: vec![second.clone(), second],
        ..Default::default()
    }
}

#[test]
fn the_report_agrees_with_itself_and_its_page_stands_alone() {
    let products = products(5, 20);
    let mut shop = FakeShop::start(&products, 3, 400);
    let start = Instant::now();
    let ran = run(&mut shop, plan_of(7, products), |shop, shared| {
        until(start, 1_500);
        shared.killed(1_400_000);
        shop.kill();
        shop.open();
        shared.back(1_800_000);
    });
    let audited = judge(&shop, &ran, 300);
    let kill = crate::run::Kill {
        killed_us: 1_500_000,
        back_us: 1_800_000,
        restart: Duration::from_millis(200),
    };
    let plan = Arc::clone(&ran.plan);
    let ran = crate::run::Ran {
        outcome: ran.outcome,
        audited: Some(audited),
        kills: vec![kill],
        settled: true,
        first_start: Duration::from_millis(50),
        channel_seen: true,
        door: Ok(door()),
        drill: None,
    };
    let expectations = wire::campaign::Expectations {
        min_rps_at_t0: 900,
        error_share_max: 0.01,
        ..wire::campaign::Expectations::default()
    };
    let demands = crate::judge::Demands {
        expectations,
        t0: true,
        kills: 1,
    };
    let body = crate::report::body("A <small> sale", 7, &plan, &ran, &demands, Vec::new());
    assert_eq!(
        crate::judge::verdict(&body.expectations),
        wire::report::Verdict::Holds,
        "{:#?}",
        body.expectations
    );
    let report = crate::Report {
        envelope: crate::Envelope::Shop(Box::new(wire::report::Report {
            version: wire::report::VERSION,
            kind: "rehearsal".to_owned(),
            name: "small".to_owned(),
            verdict: wire::report::Verdict::Holds,
            exit_code: 0,
            command: "seawall rehearse small".to_owned(),
            build: crate::build(),
            machine: crate::machine(),
            started: "2026-11-11T00:00:00Z".to_owned(),
            seconds: 3.5,
            body,
        })),
    };
    let page = report.to_html();
    if let Some(path) = std::env::var_os("SEAWALL_KEEP_PAGE") {
        report.write_html(Path::new(&path)).unwrap();
    }
    for foreign in [
        "http:", "https:", "src=", "@import", "url(", "<script", "<link",
    ] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("A &lt;small&gt; sale") && page.matches("<svg").count() == 5);
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    let held = json["body"]["orders"]["held"].as_u64().unwrap();
    assert_eq!(json["body"]["books"]["orders"].as_u64(), Some(held));
    assert_eq!(json["body"]["door"]["refused"]["rate_limited"], 12);
    assert!(page.contains("What the front door did in each second"));
    let table = report.table();
    for (what, value) in [
        ("requests through the door", "1,000"),
        ("refused: rate_limited", "12"),
        ("held in the waiting room", "3"),
    ] {
        let row = |line: &&str| line.trim_start().starts_with(what) && line.ends_with(value);
        assert!(
            table.lines().any(|line| row(&line)),
            "{what} {value}\n{table}"
        );
    }
    let line = format!("  held {held:>35}");
    assert!(table.contains("Verdict: HOLDS (exit code 0)"), "{table}");
    assert!(
        table
            .lines()
            .any(|l| l.split_whitespace().eq(line.split_whitespace())),
        "{line}\n{table}"
    );
    println!("{table}");
}
