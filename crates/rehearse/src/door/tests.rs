//! The door's counters through restarts, gaps and reloads, and from a listener that lives.

use super::add_up::{Ledger, Reading};
use super::*;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a door says that has served `served` requests and refused `limited`.
fn exposition(served: u64, limited: u64) -> String {
    let requests = served + limited;
    format!(
        "# HELP seawall_door_requests Requests that came to the door.\n\
         # TYPE seawall_door_requests counter\n\
         seawall_door_requests_total {requests}\n\
         seawall_door_served_total {served}\n\
         seawall_door_held_in_room_total 0\n\
         seawall_door_by_switch_total 0\n\
         seawall_door_refused_total{{code=\"rate_limited\"}} {limited}\n\
         seawall_door_refused_total{{code=\"shed\"}} 0\n\
         seawall_door_route_requests_total{{route=\"order\"}} {requests}\n\
         seawall_door_route_refused_total{{route=\"order\"}} {limited}\n\
         seawall_door_route_failed_total{{route=\"order\"}} 0\n\
         seawall_door_rule_total{{rule=\"each-buyer\",what=\"allowed\"}} {served}\n\
         seawall_door_rule_total{{rule=\"each-buyer\",what=\"refused\"}} {limited}\n\
         seawall_door_rule_keys{{rule=\"each-buyer\"}} 7\n\
         process_resident_memory_bytes 12\n# EOF\n"
    )
}

fn ledger() -> Ledger {
    Ledger::new(BTreeMap::from([("order".to_owned(), "order".to_owned())]))
}

/// A second, served and refused until then (`None`: no answer), and when it came back from a kill.
type Row = (u64, Option<(u64, u64)>, Option<u64>);

fn added_up(rows: &[Row]) -> DoorFigures {
    let mut ledger = ledger();
    for (second, counts, back_us) in rows {
        let reading = counts.map(|(served, limited)| Reading::parse(&exposition(served, limited)));
        ledger.enter(reading.as_ref(), second * 1_000_000 + 9_000, *back_us);
    }
    ledger.figures().unwrap()
}

#[test]
fn increases_between_readings_stand_in_their_seconds() {
    let door = added_up(&[
        (0, Some((100, 1)), None),
        (1, Some((150, 1)), None),
        (2, Some((160, 31)), None),
    ]);
    let found: Vec<_> = door
        .seconds
        .iter()
        .map(|s| (s.served, s.rate_limited))
        .collect();
    assert_eq!(found, [(50, 0), (10, 30)]);
    assert_eq!((door.requests, door.served), (90, 60));
    assert_eq!(
        door.refused,
        BTreeMap::from([("rate_limited".to_owned(), 30)])
    );
    assert_eq!(door.seconds[1].admitted_share, Some(0.25));
    let rule = &door.rules[0];
    let counts = (rule.allowed, rule.refused, rule.near_limit, rule.keys_peak);
    assert_eq!((rule.name.as_str(), counts), ("each-buyer", (60, 30, 0, 7)));
    let route = &door.routes[0];
    assert_eq!(
        (route.class.as_str(), route.requests, route.refused),
        ("order", 90, 30)
    );
    let class = &door.classes[0];
    assert_eq!(
        (class.name.as_str(), class.requests, class.shed),
        ("order", 90, 0)
    );
    assert!(door.overload.is_none());
}

#[test]
fn a_door_that_was_killed_counts_on() {
    let back = Some(4_500_000);
    // Killed in the fourth second, back in the fifth; one row has the counters fall below what
    // they were, the other has them pass it before the next reading.
    for after in [70, 500] {
        let door = added_up(&[
            (2, Some((0, 0)), None),
            (3, Some((100, 0)), None),
            (4, None, None),
            (5, Some((after, 2)), back),
            (6, Some((after + 10, 2)), back),
        ]);
        assert_eq!(door.served, 100 + after + 10, "{after}");
        assert_eq!((door.restarts, door.readings_failed), (1, 1));
        let served: Vec<_> = door.seconds.iter().map(|s| s.served).collect();
        assert_eq!(served, [0, 0, 100, 0, 0, after + 10], "{after}");
    }
    // The counters fell before the end of the kill was known: still one restart.
    let door = added_up(&[
        (0, Some((100, 0)), None),
        (1, Some((3, 0)), None),
        (2, Some((13, 0)), Some(900_000)),
    ]);
    assert_eq!((door.served, door.restarts), (13, 1));
}

#[test]
fn a_gap_is_spread_over_its_seconds_and_nothing_is_lost() {
    let door = added_up(&[
        (0, Some((0, 0)), None),
        (1, None, None),
        (3, Some((11, 0)), None),
    ]);
    let served: Vec<_> = door.seconds.iter().map(|s| s.served).collect();
    assert_eq!(served, [4, 4, 3]);
    assert_eq!(door.served, 11);
}

#[test]
fn switches_breakers_and_overload_control_are_noted() {
    let reading = |on: u8, breaker: u8, in_flight: u32| {
        Reading::parse(&format!(
            "seawall_door_requests_total 0\nseawall_door_switch_on{{switch=\"calm\"}} {on}.0\n\
             seawall_door_breaker{{upstream=\"pay\"}} {breaker}.0\n\
             seawall_door_in_flight_limit 40\nseawall_door_in_flight {in_flight}\n\
             seawall_door_shed_total{{class=\"product\"}} {in_flight}\n"
        ))
    };
    let mut ledger = ledger();
    for (second, row) in [(0, 0, 0), (1, 2, 40), (1, 2, 41), (0, 1, 3)]
        .iter()
        .enumerate()
    {
        let at_us = second as u64 * 1_000_000;
        ledger.enter(Some(&reading(row.0, row.1, row.2)), at_us, None);
    }
    let door = ledger.figures().unwrap();
    let switch = &door.switches[0];
    assert_eq!((switch.on_readings, switch.turned), (2, 2));
    let breaker = &door.breakers[0];
    let counts = (
        breaker.trips,
        breaker.tripped_readings,
        breaker.probing_readings,
    );
    assert_eq!(counts, (1, 2, 1));
    let overload = door.overload.unwrap();
    assert_eq!((overload.in_flight_peak, overload.limit_lowest), (41, 40));
    assert_eq!(door.seconds[2].in_flight, Some(41));
    // 41 came down to 3: the counter of that class began again.
    assert_eq!(door.classes[0].shed, 44);
}

#[test]
fn what_a_switch_shuts_is_counted_once() {
    let reading = |shut: u64| {
        Reading::parse(&format!(
            "seawall_door_requests_total {}\nseawall_door_by_switch_total {shut}\n\
             seawall_door_served_total 0\n\
             seawall_door_refused_total{{code=\"switched_off\"}} {shut}\n\
             seawall_door_refused_total{{code=\"no_route\"}} {shut}\n",
            shut * 4
        ))
    };
    let mut ledger = ledger();
    ledger.enter(Some(&reading(0)), 0, None);
    ledger.enter(Some(&reading(5)), 1_000_000, None);
    let door = ledger.figures().unwrap();
    let second = &door.seconds[0];
    assert_eq!((second.by_switch, second.refused_otherwise), (5, 5));
    // Ten of twenty; what is still under way is let in, though not served yet.
    assert_eq!(
        (second.admitted_share, door.admitted_share),
        (Some(0.5), Some(0.5))
    );
    assert_eq!(door.refused["switched_off"], 5);
}

#[test]
fn a_target_without_a_door_has_no_section_and_says_why() {
    let mut ledger = ledger();
    ledger.enter(Some(&Reading::parse("seawall_orders_total 3\n")), 0, None);
    let why = ledger.figures().unwrap_err();
    assert!(why.contains("no front door"), "{why}");
    let mut silent = self::ledger();
    silent.enter(None, 0, None);
    let why = silent.figures().unwrap_err();
    assert!(why.contains("could not be read"), "{why}");
}

/// Answers every request with what the door counted so far: ten more each time.
fn listener() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 1_024];
            let mut got = 0;
            while !head[..got].ends_with(b"\r\n\r\n") {
                got += stream.read(&mut head[got..]).unwrap();
            }
            let body = if head[..got].starts_with(b"GET /metrics ") {
                let times = counted.fetch_add(1, Ordering::SeqCst);
                exposition(5 + times * 10, 0)
            } else {
                r#"{"routes":[{"name":"order","class":"Order"}]}"#.to_owned()
            };
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all((head + &body).as_bytes()).unwrap();
        }
    });
    (address, asked)
}

#[test]
fn the_watch_reads_first_and_last_and_between() {
    let (address, asked) = listener();
    let watch = Watch::start(address, "t", Instant::now(), Arc::default()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while asked.load(Ordering::SeqCst) < 3 {
        assert!(Instant::now() < deadline, "no reading within 20 s");
        std::thread::yield_now();
    }
    let door = watch.end().unwrap();
    let readings = asked.load(Ordering::SeqCst);
    assert!(readings >= 3, "{readings}");
    assert_eq!((door.readings, door.readings_failed), (readings, 0));
    assert_eq!(door.served, (readings - 1) * 10);
    assert_eq!(door.routes[0].class, "order");
    let in_seconds: u64 = door.seconds.iter().map(|second| second.served).sum();
    assert_eq!(in_seconds, door.served);
}
