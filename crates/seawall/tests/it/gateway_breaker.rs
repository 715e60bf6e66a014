//! An upstream that fails is left alone, tried out, and used again.

use crate::gateway::{Gate, Upstream};
use crate::site::until;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An upstream that fails as long as it is told to, behind a breaker that five failures trip.
fn broken(pause: &str) -> (Gate, Upstream, Arc<AtomicBool>) {
    let ill = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&ill);
    let upstream = Upstream::new(move |_| match state.load(Ordering::SeqCst) {
        true => (500, "ill".to_owned()),
        false => (200, "well".to_owned()),
    });
    let routes = "routes: [{name: all, target: {upstream: shop}}]\n";
    let breaker = format!(
        ", outliers: {{failures: 0}}, retry: {{attempts: 0}}, \
         breaker: {{consecutive: 5, pause: {pause}, pause_max: {pause}, probes: 1, probes_good: 2}}"
    );
    let pool = upstream.pool("shop", &breaker);
    (Gate::new(&format!("{routes}{pool}")), upstream, ill)
}

fn state(gate: &Gate) -> String {
    let row = gate.seen("breakers", "shop");
    row["state"].as_str().unwrap().to_owned()
}

#[test]
fn five_failures_trip_it_and_then_it_costs_nothing() {
    let (gate, upstream, _ill) = broken("1h");
    let mut client = gate.client();
    let told: Vec<u16> = (0..5).map(|_| client.get("/").status).collect();
    assert_eq!(told, [500; 5], "the upstream's own answers");
    for _ in 0..100 {
        let answer = client.get("/");
        answer.refused(503, "upstream_down");
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(upstream.seen().len(), 5);
    assert_eq!(state(&gate), "Tripped");
    assert_eq!(gate.metric("seawall_door_breaker{upstream=\"shop\"}"), 2.0);
    assert_eq!(
        gate.metric("seawall_door_refused_total{code=\"upstream_down\"}"),
        100.0
    );
}

#[test]
fn it_is_tried_out_and_used_again() {
    let (gate, upstream, ill) = broken("100ms");
    let mut client = gate.client();
    (0..5).for_each(|_| assert_eq!(client.get("/").status, 500));
    assert_eq!(client.get("/").status, 503);
    // Still ill: a probe fails now and then, the others are refused.
    until("it was tried three times in vain", || {
        client.get("/");
        upstream.seen().len() >= 8
    });
    ill.store(false, Ordering::SeqCst);
    until("it is used again", || {
        client.get("/");
        state(&gate) == "Passing"
    });
    assert!((0..50).all(|_| client.get("/").status == 200));
}

#[test]
fn an_operator_decides_otherwise() {
    let (gate, _upstream, ill) = broken("1h");
    let wish = |wish: &str| gate.order("breakers/shop", &json!({"state": wish}));
    let mut client = gate.client();
    (0..5).for_each(|_| assert_eq!(client.get("/").status, 500));
    assert_eq!(client.get("/").status, 503);
    ill.store(false, Ordering::SeqCst);
    assert_eq!(wish("passing").status, 200);
    assert_eq!(client.get("/").status, 200);
    assert_eq!(state(&gate), "ForcedPassing");
    assert_eq!(wish("tripped").status, 200);
    client.get("/").refused(503, "upstream_down");
    assert_eq!(state(&gate), "ForcedTripped");
    assert_eq!(wish("auto").status, 200);
    until("it is back in use", || client.get("/").status == 200);

    assert_eq!(wish("maybe").status, 400);
    let unknown = gate.order("breakers/none", &json!({"state": "auto"}));
    assert_eq!(unknown.status, 404);
}
