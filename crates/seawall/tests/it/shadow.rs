//! Rehearsals on a shop that sells: what is marked has books of its own, and the audit of both
//! fails when one marked order reached the real ones.

use crate::http::{Answer, Client};
use crate::site::{Ended, Shop, Site, now_ms, product};
use gateway::mark::{Marks, RunId};
use sale::BuyerId;
use serde_json::{Value, json};
use shop::Sessions;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;

pub const RUN: &str = "sale-1";
pub const REHEARSED: u128 = 7_000;

/// A shop and the shadow of [`RUN`] beside it.
pub struct Both {
    pub site: Site,
    pub shop: Shop,
}

fn key(site: &Site) -> [u8; 32] {
    let key = fs::read(site.data().join("mark.key")).unwrap();
    key.try_into().unwrap()
}

fn signed(key: &[u8; 32], run: &str, expiry_s: u64) -> String {
    let mark = Marks::of_key(key).sign(&RunId::new(run).unwrap(), expiry_s);
    mark.unwrap().to_str().unwrap().to_owned()
}

fn soon_s() -> u64 {
    now_ms() / 1_000 + 600
}

impl Both {
    #[track_caller]
    fn open(site: Site, shop: Shop) -> Both {
        let both = Both { site, shop };
        let opened = both.verb(&["open", "--run", RUN]);
        assert_eq!(opened.code, Some(0), "{opened:?}");
        both
    }
    #[track_caller]
    pub fn proven(site: Site, shop: Shop) -> Both {
        let both = Both::open(site, shop);
        let canary = both.canary(both.shop.front);
        assert_eq!(canary.code, Some(0), "{canary:?}");
        both
    }
    #[track_caller]
    pub fn verb(&self, verb: &[&str]) -> Ended {
        let admin = format!("http://{}", self.shop.admin);
        let verb = [&["shadow"][..], verb, &["--admin", admin.as_str()]].concat();
        self.site.seawall(&verb)
    }
    #[track_caller]
    fn canary(&self, front: SocketAddr) -> Ended {
        self.verb(&["canary", "--json", "--url", &format!("http://{front}")])
    }
    #[track_caller]
    fn leak(&self, more: &[&str]) -> Ended {
        let verb = [&["shadow", "leak", "--json", "--run", RUN][..], more].concat();
        self.site.seawall(&verb)
    }
    fn folder(&self) -> PathBuf {
        self.site.data().join("shadow").join(RUN)
    }
    /// A session of the shadow, as its own key signs them.
    pub fn session(&self, buyer: u128) -> String {
        let key = fs::read(self.folder().join("session.key")).unwrap();
        let sessions = Sessions::new(&key.try_into().unwrap());
        sessions.issue(BuyerId(buyer), now_ms() + 3_600_000)
    }
    /// A rehearsed buyer at `front`, whose requests carry `mark` in the fallback header.
    fn rehearsed(&self, front: SocketAddr, mark: &str) -> Client {
        Client::bearer(front, &self.session(REHEARSED)).with("Seawall-Mark", mark)
    }
    fn mark(&self) -> String {
        signed(&key(&self.site), RUN, soon_s())
    }
    fn is_acknowledged(&self, answer: &Answer) -> bool {
        let run = RunId::new(RUN).unwrap();
        let wanted = Marks::of_key(&key(&self.site)).acknowledgement(&run);
        answer.header("seawall-shadow") == wanted.as_ref().and_then(|w| w.to_str().ok())
    }
    fn metric(&self, name: &str) -> Option<f64> {
        let text = Client::new(self.shop.admin).get("/metrics").text();
        let mut lines = text.lines();
        let line = lines.find(|line| line.split(' ').next() == Some(name))?;
        line.split(' ').nth(1)?.parse().ok()
    }
}

fn hop<'a>(report: &'a Value, name: &str) -> &'a Value {
    let mut hops = report["body"]["hops"].as_array().unwrap().iter();
    hops.find(|hop| hop["hop"] == name)
        .unwrap_or_else(|| panic!("no hop {name} in {report}"))
}

#[test]
fn marked_orders_have_books_of_their_own() {
    let site = Site::selling("mug", 5);
    let shop = site.up();
    let mark = signed(&key(&site), RUN, soon_s());
    let marked = |path: &str| {
        let headers = [("Seawall-Mark", mark.as_str())];
        Client::new(shop.front).send("GET", path, &headers, b"")
    };
    marked("/v1/products").refused(409, "no_shadow");
    shop.buyer(1).order("real", "mug", 1).order();

    let both = Both::open(site, shop);
    let mut buyer = both.rehearsed(both.shop.front, &mark);
    buyer
        .order("early", "mug", 1)
        .refused(409, "shadow_unproven");
    let canary = both.canary(both.shop.front);
    assert_eq!(canary.code, Some(0), "{canary:?}");
    let report = canary.json();
    assert_eq!(hop(&report, "door")["level"], 2);
    for name in ["shop", "ledger", "projection", "accounts", "payment"] {
        assert_eq!(hop(&report, name)["level"], 3, "{name}");
    }
    assert_eq!(report["body"]["level"], 2, "the weakest hop");

    let (seq, units) = (both.shop.books()["seq"].clone(), both.shop.units("mug"));
    assert_eq!(units, [4, 1, 0]);
    let placed = buyer.order("one", "mug", 2);
    assert!(both.is_acknowledged(&placed), "{:?}", placed.headers);
    let order = placed.order();
    assert_eq!(buyer.pay(&order, "pay", 2_000).status, 200);
    // The canary took one of the four that were free.
    buyer.order("two", "mug", 2).refused(409, "sold_out");
    assert_eq!(both.shop.units("mug"), units);
    assert_eq!(
        both.shop.books()["seq"],
        seq,
        "no entry of the real journal"
    );
    assert_eq!(both.metric("seawall_orders_accepted_ever"), Some(1.0));
    assert_eq!(both.metric("seawall_shadow_orders_accepted"), Some(2.0));
    let free = |answer: Answer| answer.json()["free"].clone();
    let shown = Client::new(both.shop.front).get("/v1/products/mug");
    assert!(shown.header("seawall-shadow").is_none());
    assert_eq!(
        (free(shown), free(buyer.get("/v1/products/mug"))),
        (json!(4), json!(1))
    );
    assert_eq!(
        both.site.bank(),
        Vec::<Value>::new(),
        "the shadow has its own bank"
    );
    // Whoever is known to the shadow is nobody here.
    let mut plain = Client::bearer(both.shop.front, &both.session(REHEARSED));
    plain.order("one", "mug", 1).refused(401, "unauthenticated");
    let other = signed(&key(&both.site), "sale-2", soon_s());
    both.rehearsed(both.shop.front, &other)
        .order("x", "mug", 1)
        .refused(409, "no_shadow");

    let told = both.site.path("orders");
    fs::write(&told, format!("{order}\n")).unwrap();
    let leak = both.leak(&["--orders", told.to_str().unwrap()]);
    assert_eq!(leak.code, Some(0), "{leak:?}");
    let cleaned = both.verb(&["clean", "--close", "--json"]);
    assert_eq!(cleaned.code, Some(0), "{cleaned:?}");
    let files = cleaned.json()["shadows"][0]["files"].to_string();
    for name in [
        "journal/",
        "projection.db",
        "shop.db",
        "sandbox.jsonl",
        "session.key",
    ] {
        assert!(files.contains(name), "{name} is not in {files}");
    }
    assert!(!both.folder().exists());
    buyer.get("/v1/products").refused(409, "no_shadow");
    both.shop.buyer(2).order("after", "mug", 1).order();
    both.shop.stop();
}

/// Passes requests on without what marks them, one a connection.
pub fn forgetful(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(client) = client else { return };
            std::thread::spawn(move || forget(client, to));
        }
    });
    addr
}

/// Whoever hangs up early is a client that has seen enough.
fn forget(client: TcpStream, to: SocketAddr) -> Option<()> {
    let mut from = BufReader::new(client.try_clone().ok()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        let lower = line.to_ascii_lowercase();
        if line == "\r\n" || line.is_empty() {
            break;
        }
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        let dropped = ["seawall-mark:", "baggage:", "connection:"];
        if !dropped.iter().any(|name| lower.starts_with(name)) {
            head += &line;
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    let mut server = TcpStream::connect(to).ok()?;
    server
        .write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())
        .ok()?;
    server.write_all(&body).ok()?;
    std::io::copy(&mut server, &mut &client).ok()?;
    client.shutdown(std::net::Shutdown::Both).ok()
}

#[test]
fn a_mark_that_is_lost_or_not_ours_never_buys_anything() {
    let site = Site::selling("mug", 50);
    let shop = site.up();
    let both = Both::proven(site, shop);
    let (front, good) = (both.shop.front, both.mark());
    let lossy = forgetful(front);
    let before = both.shop.books();
    let forged = signed(b"another secret, also of 32 bytes", RUN, soon_s());
    let expired = signed(&key(&both.site), RUN, now_ms() / 1_000 - 1);
    for (what, front, mark) in [
        ("forged", front, &forged),
        ("expired", front, &expired),
        ("dropped at a hop", lossy, &good),
    ] {
        let mut buyer = both.rehearsed(front, mark);
        let answer = buyer.order(what.replace(' ', "-").as_str(), "mug", 1);
        answer.refused(401, "unauthenticated");
        assert!(!both.is_acknowledged(&answer), "{what}");
    }
    let baggage = format!("a=1,seawall.mark={good}");
    let mut carried = Client::bearer(front, &both.session(REHEARSED)).with("Baggage", &baggage);
    carried.order("carried", "mug", 1).order();
    assert_eq!(both.shop.books()["seq"], before["seq"]);
    assert_eq!(both.shop.units("mug"), [50, 0, 0]);

    let canary = both.canary(lossy);
    assert_eq!(canary.code, Some(99), "{canary:?}");
    let report = canary.json();
    assert_eq!(hop(&report, "door")["proven"], false);
    assert_eq!(hop(&report, "ledger")["level"], 0, "nothing was bought");
    assert_eq!(both.leak(&[]).code, Some(0));
}

/// One marked order in the real books, as if everything before had failed.
#[test]
fn the_audit_fails_when_one_marked_order_reached_the_real_books() {
    let site = Site::selling("mug", 50);
    let shop = site.up();
    let both = Both::proven(site, shop);
    let mut buyer = both.rehearsed(both.shop.front, &both.mark());
    let order = buyer.order("kept", "mug", 1).order();
    assert_eq!(both.leak(&[]).code, Some(0));
    let told = both.site.path("orders");
    let write = |order: &str| fs::write(&told, format!("{order}\n")).unwrap();
    let orders = ["--orders", told.to_str().unwrap()];
    write(&order);
    assert_eq!(both.leak(&orders).code, Some(0));

    let real = both.shop.buyer(REHEARSED).order("kept", "mug", 1).order();
    assert_ne!(real, order);
    let leak = both.leak(&[]);
    assert_eq!(leak.code, Some(99), "{leak:?}");
    let report = leak.json();
    let leaks = |name: &str| {
        let mut checks = report["body"]["checks"].as_array().unwrap().iter();
        let check = checks.find(|check| check["name"].as_str() == Some(name));
        check.unwrap_or_else(|| panic!("no {name} in {report}"))["leaks"].clone()
    };
    assert_eq!(leaks("marked requests in the real ledger"), 1);
    assert_eq!(leaks("buyers of the shadow in the real ledger"), 1);
    assert_eq!(leaks("cells of the real orders"), 0);
    write(&real);
    let leak = both.leak(&orders);
    assert!(
        leak.out.contains("is not in the shadow's books"),
        "{leak:?}"
    );
}

#[test]
fn marked_rows_in_other_tables_are_counted() {
    let site = Site::selling("mug", 5);
    let shop = site.up();
    let both = Both::open(site, shop);
    let file = both.site.path("probes.yaml");
    let leak = |probes: &str| {
        let text = format!("version: 1\nprobes: [{probes}]\n");
        fs::write(&file, text).unwrap();
        both.leak(&["--probes", file.to_str().unwrap()])
    };
    // Any database will do; this one has one product.
    let products = |wanted: &str| {
        let query = format!("SELECT count(*) FROM products WHERE sku <> '{{run}}'{wanted}");
        format!("{{name: products, sqlite: data/shop.db, query: \"{query}\"")
    };
    assert_eq!(
        leak(&format!("{}, expected: 1}}", products(""))).code,
        Some(0)
    );
    let found = leak(&format!("{}}}", products("")));
    assert_eq!(found.code, Some(99), "{found:?}");
    assert_eq!(found.json()["body"]["probes"][0]["found"], 1);
    assert_eq!(
        leak(&format!("{}}}", products(" AND sku = '{run}'"))).code,
        Some(0)
    );
    let nobody = "{name: theirs, postgres: \"host=127.0.0.1 port=1 dbname=x\", query: SELECT 0}";
    let unknown = leak(nobody);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.json()["body"]["probes"][0]["problem"].is_string());
    leak("{name: neither, query: SELECT 0}").said(64, &["probes[0] (neither)", "one of the two"]);
    let other = ["shadow", "leak", "--run", "another"];
    both.site.seawall(&other).said(2, &["no shadow of another"]);
}

#[test]
fn a_crash_keeps_both_books() {
    let site = Site::new(&[product("mug", 50), product("cup", 50)]);
    let shop = site.up();
    let both = Both::proven(site, shop);
    let mark = both.mark();
    let session = both.session(REHEARSED);
    let (mut told, mut real) = (Vec::new(), Vec::new());
    for number in 0..5 {
        let key = format!("key-{number}");
        let mut buyer = both.rehearsed(both.shop.front, &mark);
        told.push(buyer.order(&key, "mug", 1).order());
        real.push(both.shop.buyer(number).order(&key, "cup", 1).order());
    }
    let Both { site, shop } = both;
    shop.kill();
    let shop = site.up();
    let headers = [("Seawall-Mark", mark.as_str())];
    let answer = Client::new(shop.front).send("GET", "/v1/products", &headers, b"");
    answer.refused(409, "no_shadow");

    let both = Both::open(site, shop);
    let mut buyer = Client::bearer(both.shop.front, &session).with("Seawall-Mark", &mark);
    buyer.get("/v1/orders").refused(409, "shadow_unproven");
    let canary = both.canary(both.shop.front);
    assert_eq!(canary.code, Some(0), "{canary:?}");
    for order in &told {
        assert_eq!(buyer.look(order)["status"], "held");
    }
    for (number, order) in real.iter().enumerate() {
        let seen = both.shop.buyer(number as u128).look(order);
        assert_eq!(seen["status"], "held");
    }
    let books = both.verb(&["show"]).json();
    // Five, and a canary before the crash and after it.
    assert_eq!(books["orders_accepted"], 7);
    assert_eq!(both.shop.books()["orders_accepted"], 5);
    let used = both.verb(&["clean"]);
    used.said(1, &["in use", "--close"]);
    assert_eq!(both.leak(&[]).code, Some(0));
}
