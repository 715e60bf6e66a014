//! The waiting room before a route: a browser waits, is let in, and loses its place to nobody.

use crate::gateway::{Gate, Upstream};
use crate::http::Answer;
use crate::site::until;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A client that keeps cookies and shows them, as browsers do.
#[derive(Clone, Default)]
struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn get(&mut self, gate: &Gate, path: &str, accept: &str) -> Answer {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let cookies = pairs.join("; ");
        let mut headers = vec![("Accept", accept)];
        if !cookies.is_empty() {
            headers.push(("Cookie", cookies.as_str()));
        }
        let answer = gate.client().send("GET", path, &headers, b"");
        for (name, value) in &answer.headers {
            if name.eq_ignore_ascii_case("set-cookie") {
                let pair = value.split(';').next().unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }
    fn page(&mut self, gate: &Gate) -> Answer {
        self.get(gate, "/sale", "text/html")
    }
    /// As the page's script asks.
    fn ask(&mut self, gate: &Gate) -> Value {
        let answer = self.get(gate, "/.seawall/room/hall", "application/json");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }
    fn position(&mut self, gate: &Gate) -> u64 {
        let told = self.ask(gate);
        let position = told["position"].as_u64();
        position.unwrap_or_else(|| panic!("no position in {told}"))
    }
    fn has(&self, cookie: &str) -> bool {
        self.cookies.keys().any(|name| name.starts_with(cookie))
    }
}

/// Only an operator opens it, and it stays open.
const WIDE: &str = "open_above: 100000/s, close_below: 1/s, hold: 1h";

fn hall(upstream: &Upstream, rules: &str) -> Gate {
    let routes = "routes:\n  - {name: sale, match: {path: {prefix: /sale}}, waiting_room: hall, \
                  target: {upstream: shop}}\n  - {name: rest, target: {upstream: shop}}\n";
    let rooms = format!("waiting_rooms: [{{name: hall, {WIDE}, {rules}}}]\n");
    Gate::new(&format!("{routes}{rooms}{}", upstream.pool("shop", "")))
}

#[track_caller]
fn open(gate: &Gate) {
    let answer = gate.order("rooms/hall/open", &json!({}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(gate.seen("rooms", "hall")["phase"], "Serving");
}

#[test]
fn a_browser_waits_its_turn_and_gets_in() {
    let upstream = Upstream::saying("the sale");
    let gate = hall(&upstream, "admit: 2/s, inside: 1000");
    let mut early = Browser::default();
    assert_eq!(
        early.page(&gate).text(),
        "the sale",
        "nobody waits before it opens"
    );

    open(&gate);
    let begun = Instant::now();
    let mut people = vec![Browser::default(); 12];
    let mut inside = 0;
    for one in &mut people {
        let answer = one.page(&gate);
        if answer.status == 200 {
            inside += 1;
            continue;
        }
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert!(answer.header("retry-after").is_some());
        assert!(one.has("seawall_ticket_"), "{:?}", one.cookies);
    }
    assert!(inside <= 4, "two a second, not {inside} at once");
    assert!(gate.seen("rooms", "hall")["waiting"].as_u64().unwrap() >= 6);
    // Another route has no room before it.
    assert_eq!(gate.client().get("/").text(), "the sale");

    // All ask as the page does, and come in one after another, in their order.
    let mut order = Vec::new();
    until("everybody is let in", || {
        for (number, one) in people.iter_mut().enumerate() {
            if !order.contains(&number) && one.ask(&gate)["state"] == "admitted" {
                order.push(number);
            }
        }
        order.len() == people.len()
    });
    let took = begun.elapsed();
    assert!(
        took > Duration::from_millis(3_000),
        "twelve at two a second took {took:?}"
    );
    assert!(order.is_sorted(), "{order:?}");
    for one in &mut people {
        assert!(one.has("seawall_pass_"), "{:?}", one.cookies);
        assert_eq!(one.page(&gate).text(), "the sale");
    }
}

#[test]
fn a_place_outlives_the_process() {
    let upstream = Upstream::saying("the sale");
    // One place inside for an hour: the line does not move.
    let mut gate = hall(
        &upstream,
        "admit: 1/s, inside: 1, pass: 1h, abandoned_after: 1h",
    );
    open(&gate);
    let mut first = Browser::default();
    until("one is inside", || first.page(&gate).status == 200);
    let mut line = vec![Browser::default(); 5];
    for (ahead, one) in line.iter_mut().enumerate() {
        assert_eq!(one.page(&gate).status, 503);
        assert_eq!(one.position(&gate), ahead as u64 + 1);
    }
    let places = gate.path("data/rooms/hall.places");
    until("the places are on disk", || {
        // Written in groups, some milliseconds later.
        let bytes = std::fs::metadata(&places).map_or(0, |meta| meta.len());
        let waited = std::mem::replace(&mut *LAST.lock().unwrap(), bytes);
        bytes > 0 && bytes == waited
    });
    gate.kill();
    gate.start();

    assert_eq!(
        first.page(&gate).status,
        200,
        "a pass is good after the restart"
    );
    let mut late = Browser::default();
    assert_eq!(late.page(&gate).status, 503);
    assert_eq!(late.position(&gate), 6, "behind all who were there before");
    for (ahead, one) in line.iter_mut().enumerate().rev() {
        assert_eq!(one.position(&gate), ahead as u64 + 1);
    }
}

/// Bytes of the places when last looked at.
static LAST: std::sync::Mutex<u64> = std::sync::Mutex::new(0);

#[test]
fn nobody_comes_in_with_a_ticket_that_was_not_given_to_them() {
    let upstream = Upstream::saying("the sale");
    let rules = "admit: 1/s, inside: 1, pass: 1h, abandoned_after: 1h";
    let (gate, elsewhere) = (hall(&upstream, rules), hall(&upstream, rules));
    for gate in [&gate, &elsewhere] {
        open(gate);
    }
    let (mut here, mut there) = (Browser::default(), Browser::default());
    until("one is inside", || here.page(&gate).status == 200);
    until("one is inside", || there.page(&elsewhere).status == 200);
    let mut waiting = Browser::default();
    assert_eq!(waiting.page(&gate).status, 503);

    // A pass of a door with other keys, one with a letter changed, a ticket shown as a pass.
    let pass = |browser: &Browser| {
        let mut all = browser.cookies.iter();
        let (name, value) = all
            .find(|(name, _)| name.starts_with("seawall_pass_"))
            .unwrap();
        (name.clone(), value.clone())
    };
    let (name, good) = pass(&here);
    let changed: String = {
        let mut letters: Vec<char> = good.chars().collect();
        letters[20] = if letters[20] == 'A' { 'B' } else { 'A' };
        letters.into_iter().collect()
    };
    let ticket = waiting.cookies.values().next().unwrap().clone();
    for (what, value) in [
        ("another door's", pass(&there).1),
        ("a changed one", changed),
        ("a ticket", ticket),
        ("nonsense", "AAAA".to_owned()),
    ] {
        let mut thief = Browser::default();
        thief.cookies.insert(name.clone(), value);
        let answer = thief.page(&gate);
        assert_eq!(answer.status, 503, "{what} was taken for a pass");
        assert!(
            thief.position(&gate) >= 2,
            "{what} goes before an honest one"
        );
    }
    let mut same = Browser::default();
    same.cookies.insert(name, good);
    assert_eq!(same.page(&gate).status, 200, "the good one is taken");
}
