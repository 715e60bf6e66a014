//! Three gateways share one budget: by demand, also after one is killed, and with nobody who does
//! not have the key.

use crate::gateway::{Gate, Upstream};
use crate::site::until;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const BUDGET: f64 = 100.0;
const BURST: f64 = 10.0;
const WINDOW: Duration = Duration::from_secs(3);
const SHARE: &str = "seawall_door_cluster_share{rule=\"all\"}";
const MEMBERS: &str = "seawall_door_cluster_members";
const REJECTED: &str = "seawall_door_cluster_rejected_total";

/// Free a moment ago; gossip needs addresses that others know ahead.
fn addresses() -> [SocketAddr; 3] {
    let sockets = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap())
}

fn instance(upstream: &Upstream, addresses: &[SocketAddr], at: usize, key: &str) -> Gate {
    let seeds = addresses.iter().map(|address| format!("\"{address}\""));
    let seeds = seeds.collect::<Vec<_>>().join(", ");
    let rest = format!(
        "routes: [{{name: order, class: order, target: {{upstream: shop}}}}]\n{}\
         cluster: {{name: shop, listen: \"{}\", seeds: [{seeds}], key_file: key}}\n\
         limits:\n  version: 1\n  rules:\n    \
         - {{name: all, scope: cluster, budget: {BUDGET}/s, burst: {BURST}, max_instances: 3}}\n",
        upstream.pool("shop", ""),
        addresses[at],
    );
    Gate::with_files(&rest, &[("key", key)])
}

const KEY: &str = "a secret that all three of them have in common";

/// Keeps asking one gateway, and counts what is let through.
struct Pump {
    goes: Arc<AtomicBool>,
    allowed: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Pump {
    fn start(gate: &Gate, per_second: u32) -> Pump {
        let (goes, allowed) = (Arc::new(AtomicBool::new(true)), Arc::<AtomicU64>::default());
        let (going, book) = (Arc::clone(&goes), Arc::clone(&allowed));
        let mut client = gate.client();
        let thread = std::thread::spawn(move || {
            let (begun, mut sent) = (Instant::now(), 0);
            while going.load(Ordering::Relaxed) {
                let status = client.get("/").status;
                assert!(status == 200 || status == 429, "{status}");
                book.fetch_add(u64::from(status == 200), Ordering::Relaxed);
                sent += 1;
                // Planned arrivals.
                let next = Duration::from_secs(1) * sent / per_second;
                std::thread::park_timeout(next.saturating_sub(begun.elapsed()));
            }
        });
        Pump {
            goes,
            allowed,
            thread: Some(thread),
        }
    }
    fn allowed(&self) -> u64 {
        self.allowed.load(Ordering::Relaxed)
    }
    /// Let through a second.
    fn rate(&self) -> f64 {
        let (begun, before) = (Instant::now(), self.allowed());
        until("a window is over", || begun.elapsed() >= WINDOW);
        (self.allowed() - before) as f64 / begun.elapsed().as_secs_f64()
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.goes.store(false, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

#[track_caller]
fn nearly_all(rate: f64) {
    assert!((BUDGET * 0.9..=BUDGET * 1.05).contains(&rate), "{rate}/s");
}

#[test]
fn instances_share_a_budget_by_demand_and_take_over_from_the_dead() {
    let upstream = Upstream::saying("ok");
    let addresses = addresses();
    let mut gates = [0, 1, 2].map(|at| instance(&upstream, &addresses, at, KEY));
    let share = |gate: &Gate| {
        // Whoever waits shall not be a load of its own.
        std::thread::park_timeout(Duration::from_millis(25));
        gate.metric(SHARE)
    };
    // At first hardly anything, until a predecessor's loans are over; then a third each.
    assert!(share(&gates[2]) < 0.3);
    until("each has heard the others and owns its part", || {
        let settled = |gate: &Gate| gate.metric(MEMBERS) == 3.0 && share(gate) > 0.33;
        gates.iter().all(settled)
    });
    let begun = Instant::now();
    let busy = Pump::start(&gates[0], 200);
    until("the busy one has nearly everything", || {
        share(&gates[0]) > 0.93
    });
    nearly_all(busy.rate());
    assert!(share(&gates[1]) < 0.05 && share(&gates[2]) < 0.05);
    // One of those that lent their part dies, and with it what is its own.
    gates[2].kill();
    until("it is missed", || gates[0].metric(MEMBERS) == 2.0);
    until("its part is used by the others", || share(&gates[0]) > 0.91);
    nearly_all(busy.rate());
    // And all the while not more than there is.
    let (allowed, seconds) = (busy.allowed() as f64, begun.elapsed().as_secs_f64());
    let most = BUDGET * 1.05 * seconds + BURST;
    assert!(allowed <= most, "{allowed} in {seconds} s");
    // Demand that moves takes its share along.
    drop(busy);
    let other = Pump::start(&gates[1], 200);
    until("the other one has it", || share(&gates[1]) > 0.8);
    assert!(share(&gates[0]) < 0.25);
    assert_eq!(gates[1].metric(REJECTED), 0.0);
    drop(other);
}

#[test]
fn whoever_has_another_key_is_not_listened_to() {
    let upstream = Upstream::saying("ok");
    let addresses = addresses();
    let stranger = "the secret of quite another cluster of doors";
    let gates = [KEY, stranger];
    let gates = [0, 1].map(|at| instance(&upstream, &addresses, at, gates[at]));
    until("their notes arrive", || {
        gates.iter().all(|gate| gate.metric(REJECTED) > 10.0)
    });
    until("each has its safe share", || {
        gates.iter().all(|gate| gate.metric(SHARE) > 0.33)
    });
    for gate in &gates {
        assert_eq!(gate.metric(MEMBERS), 1.0);
        assert!(gate.metric(SHARE) < 0.334);
    }
}
