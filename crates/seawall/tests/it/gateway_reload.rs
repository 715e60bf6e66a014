//! Another configuration while everything runs: whole or not at all, and nobody notices.

use crate::gateway::{BUYERS, Gate, Load, Upstream};
use crate::http::{Answer, connect, read_answer};
use serde_json::json;
use std::io::{BufReader, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Two good versions that differ in nearly everything but where requests go.
fn version(upstream: &Upstream, other: bool) -> String {
    let (more, pool_more, rate) = match other {
        false => ("", "", "burst: 1000000"),
        true => (
            "  - {name: extra, match: {path: {prefix: /extra}}, target: {redirect: {to: /}}}\n",
            ", timeouts: {head: 20s}, breaker: {consecutive: 30}",
            "burst: 1000000, mode: shadow",
        ),
    };
    let routes = format!("routes:\n{more}  - {{name: all, target: {{upstream: all}}}}\n");
    let rules = format!(
        "limits:\n  version: 1\n  rules:\n\
         \x20   - {{name: kept, key: [buyer], rate: 1/h, burst: 5}}\n\
         \x20   - {{name: changing, key: [address], rate: 1000/s, {rate}}}\n"
    );
    format!("{BUYERS}{routes}{}{rules}", upstream.pool("all", pool_more))
}

#[test]
fn a_thousand_swaps_under_load_cost_no_request() {
    let upstream = Upstream::saying("ok");
    let gate = Gate::new(&version(&upstream, false));
    let mut ann = gate.buyer("ann");
    assert!((0..5).all(|_| ann.get("/").status == 200));
    assert_eq!(ann.get("/").status, 429);

    let load = Load::on(gate.front, "/", 4);
    load.await_more("ok", 100);
    let mut operator = gate.operator();
    for swap in 0..1_000 {
        gate.write(&version(&upstream, swap % 2 == 0));
        let answer = operator.send("POST", "/operator/door/reload", &[], b"");
        assert_eq!(answer.status, 200, "swap {swap}: {}", answer.text());
        assert_eq!(answer.json(), json!({"reloaded": true}));
        // Requests between any two versions.
        if swap % 50 == 0 {
            load.await_more("ok", 4);
        }
    }
    load.await_more("ok", 100);
    let told = load.end();
    assert_eq!(told.keys().collect::<Vec<_>>(), ["ok"], "{told:?}");
    // The files' watcher may have swapped some more.
    assert!(gate.metric("seawall_door_reloads_total") >= 1_000.0);
    assert_eq!(gate.metric("seawall_door_reloads_refused_total"), 0.0);
    // What Ann used up stays used up, and the counters went on.
    assert_eq!(ann.get("/").status, 429);
    let rule = gate.seen("rules", "kept");
    assert_eq!(
        (&rule["allowed"], &rule["refused"]),
        (&5.into(), &2.into()),
        "{rule}"
    );
}

#[test]
fn a_bad_file_changes_nothing_and_is_told_with_its_line() {
    let upstream = Upstream::saying("ok");
    let gate = Gate::new(&version(&upstream, false));
    let before = gate.state();
    let bad = version(&upstream, false).replace("rate: 1/h, burst: 5", "rate: often, burst: 5");
    let bad = bad.replace("target: {upstream: all}", "target: {upstream: al}");
    gate.write(&bad);
    let answer = gate.order("reload", &json!({}));
    assert_eq!(answer.status, 422, "{}", answer.text());
    let told = answer.json()["detail"].as_str().unwrap().to_owned();
    let file = std::fs::read_to_string(gate.path("gateway.yaml")).unwrap();
    let line = |text: &str| 1 + file.lines().position(|line| line.contains(text)).unwrap();
    // Both at once, each with its line.
    for text in ["rate: often", "upstream: al}"] {
        let at = format!("gateway.yaml:{}", line(text));
        assert!(told.contains(&at), "no {at} in {told}");
    }
    assert!(gate.metric("seawall_door_reloads_refused_total") >= 1.0);
    assert_eq!(gate.client().get("/").status, 200);
    assert_eq!(gate.state()["routes"], before["routes"]);

    // Put straight, it is taken by itself: files are watched.
    gate.write(&version(&upstream, true));
    crate::site::until("the change is noticed", || {
        gate.state()["routes"] != before["routes"]
    });
    assert_eq!(gate.client().get("/extra").status, 302);
}

#[test]
fn only_operators_may_swap() {
    let upstream = Upstream::saying("ok");
    let gate = Gate::new(&version(&upstream, false));
    let mut stranger = crate::http::Client::bearer(gate.admin, "guessed");
    let answer = stranger.send("POST", "/operator/door/reload", &[], b"");
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(gate.metric("seawall_door_reloads_total"), 0.0);
}

/// The same two routes and one rule that is about `shut` only; `other`: in another order.
fn two_routes(other: bool) -> String {
    let route = |name: &str| {
        let path = format!("match: {{path: {{prefix: /{name}}}}}");
        format!("  - {{name: {name}, {path}, target: {{static: {{file: ok.txt}}}}}}\n")
    };
    let (first, second) = if other {
        ("open", "shut")
    } else {
        ("shut", "open")
    };
    let rule = "{name: shut-only, match: {routes: [shut]}, rate: 1/h, burst: 1}";
    format!(
        "overload: {{enabled: false}}\nroutes:\n{}{}limits: {{version: 1, rules: [{rule}]}}\n",
        route(first),
        route(second)
    )
}

/// Requests in packs on one connection, until it is over; how many were answered 200, and the
/// first other answer.
fn packs(front: SocketAddr, over: &AtomicBool, good: &AtomicU64) -> Option<Answer> {
    const PACK: usize = 32;
    let pack = "GET /open HTTP/1.1\r\nHost: a\r\n\r\n".repeat(PACK);
    let mut stream = BufReader::new(connect(front).unwrap());
    while !over.load(Ordering::SeqCst) {
        stream.get_mut().write_all(pack.as_bytes()).unwrap();
        for _ in 0..PACK {
            let (answer, _) = read_answer(&mut stream).unwrap();
            if answer.status != 200 {
                return Some(answer);
            }
            good.fetch_add(1, Ordering::SeqCst);
        }
    }
    None
}

/// Routes are numbers inside, and rules name them by these. A request that found its route in one
/// configuration and was judged by the other would be refused by a rule about another route.
#[test]
fn no_request_is_decided_by_two_configurations() {
    const SWAPS: usize = 1_000;
    let gate = Gate::with_files(&two_routes(false), &[("ok.txt", "ok")]);
    // The rule works: it has one for an hour.
    let mut client = gate.client();
    assert_eq!(
        (client.get("/shut").status, client.get("/shut").status),
        (200, 429)
    );
    let (over, good) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| packs(gate.front, &over, &good)))
            .collect();
        let stop = Stop(&over);
        let mut operator = gate.operator();
        for swap in 0..SWAPS {
            gate.write(&two_routes(swap % 2 == 0));
            let answer = operator.send("POST", "/operator/door/reload", &[], b"");
            assert_eq!(answer.status, 200, "swap {swap}: {}", answer.text());
        }
        drop(stop);
        for client in clients {
            let other = client.join().unwrap();
            assert!(
                other.is_none(),
                "{:?}: {}",
                other,
                other.as_ref().unwrap().text()
            );
        }
    });
    let good = good.into_inner();
    assert!(
        good as usize > SWAPS,
        "only {good} requests during {SWAPS} swaps"
    );
    // However often the rule changed its place, it still has the one that it gave.
    assert_eq!(client.get("/shut").status, 429);
}

/// Ends the clients however the test ends.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_refused_reload_leaves_the_waiting_rooms_alone() {
    let rooms = |admit: &str, inside: u32| {
        let route = |name: &str, room: &str| {
            let path = format!("match: {{path: {{prefix: /{name}}}}}");
            let target = "target: {static: {file: ok.txt}}";
            format!("  - {{name: {name}, {path}, {target}, waiting_room: {room}}}\n")
        };
        let hours = "open_above: 100000/s, close_below: 1/s, hold: 1h";
        format!(
            "routes:\n{}{}waiting_rooms:\n  - {{name: hall, {hours}, admit: {admit}}}\n\
             \x20 - {{name: other, {hours}, admit: 1/s, inside: {inside}}}\n",
            route("a", "hall"),
            route("b", "other")
        )
    };
    let gate = Gate::with_files(&rooms("1/min", 10), &[("ok.txt", "ok")]);
    assert_eq!(gate.order("rooms/hall/open", &json!({})).status, 200);
    let waiting = || gate.seen("rooms", "hall")["waiting"].as_u64().unwrap();
    for _ in 0..50 {
        gate.client().get("/a");
    }
    assert!(waiting() >= 49, "{}", waiting());
    let mut last = gate.client();
    let ticket = last.get("/a").header("set-cookie").unwrap().to_owned();
    let ticket = ticket.split(';').next().unwrap();
    // What the room tells follows its rate: one a minute, with fifty before.
    let mut told = || {
        let headers = [("Cookie", ticket), ("Accept", "application/json")];
        last.send("GET", "/.seawall/room/hall", &headers, b"")
            .json()
    };
    assert!(told()["wait_s"].as_u64().unwrap() > 45 * 60, "{}", told());

    // A thousand a second, and a room that may not grow: all of it is refused.
    gate.write(&rooms("1000/s", 1_000));
    let answer = gate.order("reload", &json!({}));
    assert_eq!(answer.status, 422, "{}", answer.text());
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("\"other\""), "{detail}");
    assert!(told()["wait_s"].as_u64().unwrap() > 45 * 60, "{}", told());
    assert!(waiting() >= 49, "{}", waiting());

    // Without the room that grows, the rate is taken, and everybody goes in.
    gate.write(&rooms("1000/s", 10));
    assert_eq!(gate.order("reload", &json!({})).status, 200);
    crate::site::until("the hall is empty", || waiting() == 0);
}
