//! Checks of upstreams, waiting rooms and overload control.

use super::{Known, SECRET, file, named, once};
use crate::gateway::Gateway;
use crate::gateway::limits::ROOM_SEATS_SLOTS_MAX;
use crate::gateway::routes::Target;
use crate::gateway::scalar::shown_ms;
use crate::gateway::source::{Source, joined};
use crate::gateway::upstreams::{Upstream, UpstreamTls, WaitingRoom};
use std::time::Duration;

pub fn upstreams(source: &mut Source, gateway: &Gateway, known: &Known) {
    once(
        source,
        gateway.upstreams.iter().map(|u| named(&u.at, &u.name)),
    );
    for upstream in &gateway.upstreams {
        let used = |target: &Target| matches!(target, Target::Upstream(n) if *n == upstream.name);
        if known.whole && !gateway.routes.iter().any(|route| used(&route.target)) {
            let what = format!("no route goes to {:?}, expected one", upstream.name);
            source.problem(&upstream.at, what);
        }
        upstream_alone(source, upstream);
    }
}

fn upstream_alone(source: &mut Source, upstream: &Upstream) {
    let at = &upstream.at;
    let peers = upstream.peers.iter();
    once(
        source,
        peers.map(|p| (joined(&p.at, "address"), p.address.clone())),
    );
    if let Some(health) = &upstream.health
        && health.timeout > health.interval
    {
        let most = format!("at most the interval, {}", ms(health.interval));
        source.wrong(&joined(at, "health.timeout"), &ms(health.timeout), &most);
    }
    if let Some(tls) = &upstream.tls {
        upstream_tls(source, &joined(at, "tls"), tls);
    }
    let breaker = &upstream.breaker;
    if breaker.pause > breaker.pause_max {
        let most = format!("at most pause_max, {}", ms(breaker.pause_max));
        source.wrong(&joined(at, "breaker.pause"), &ms(breaker.pause), &most);
    }
    let outliers = &upstream.outliers;
    if outliers.eject > outliers.eject_max {
        let most = format!("at most eject_max, {}", ms(outliers.eject_max));
        source.wrong(&joined(at, "outliers.eject"), &ms(outliers.eject), &most);
    }
    let connections = &upstream.connections;
    if connections.idle > connections.most {
        let most = format!("at most the connections, {}", connections.most);
        source.wrong(
            &joined(at, "connections.idle"),
            &connections.idle.to_string(),
            &most,
        );
    }
    let times = &upstream.timeouts;
    if times.head > times.total {
        let most = format!("at most the total, {}", ms(times.total));
        source.wrong(&joined(at, "timeouts.head"), &ms(times.head), &most);
    }
}

fn upstream_tls(source: &mut Source, at: &str, tls: &UpstreamTls) {
    let pem = [
        ("ca_file", &tls.ca_file, "CERTIFICATE"),
        ("cert_file", &tls.cert_file, "CERTIFICATE"),
        ("key_file", &tls.key_file, "PRIVATE KEY"),
    ];
    for (key, name, holds) in pem {
        if let Some(name) = name {
            file(source, &joined(at, key), name, Some(holds));
        }
    }
    match (&tls.cert_file, &tls.key_file) {
        (Some(_), None) => source.problem(at, "cert_file without key_file, expected both"),
        (None, Some(_)) => source.problem(at, "key_file without cert_file, expected both"),
        (Some(_), Some(_)) | (None, None) => {}
    }
    if let Some(name) = tls.server_name.as_ref().filter(|name| name.contains('*')) {
        let what = "the name that a peer must prove, without *";
        source.wrong(&joined(at, "server_name"), &format!("{name:?}"), what);
    }
}

pub fn rooms(source: &mut Source, gateway: &Gateway, known: &Known) {
    once(
        source,
        gateway.waiting_rooms.iter().map(|r| named(&r.at, &r.name)),
    );
    for room in &gateway.waiting_rooms {
        let used = |name: &Option<String>| name.as_ref() == Some(&room.name);
        if known.whole && !gateway.routes.iter().any(|route| used(&route.waiting_room)) {
            let what = format!("no route stands behind {:?}, expected one", room.name);
            source.problem(&room.at, what);
        }
        room_alone(source, room);
    }
}

fn room_alone(source: &mut Source, room: &WaitingRoom) {
    let there = |key: &str| source.has(&joined(&room.at, key));
    let (opens_at, open_above) = (there("opens_at"), there("open_above"));
    if !opens_at && !open_above {
        source.wrong(
            &room.at,
            "neither",
            "opens_at or open_above: it would never open",
        );
    }
    match (room.open_above, room.close_below) {
        (Some(above), Some(below)) if below.per_second() >= above.per_second() => {
            let found = format!("{} a second", below.per_second());
            let less = format!("less than open_above, {} a second", above.per_second());
            source.wrong(&joined(&room.at, "close_below"), &found, &less);
        }
        (Some(_), None) => {
            let what = "\"close_below\" is missing: with open_above the room needs it";
            source.problem(&room.at, what);
        }
        (None, Some(_)) if !open_above => {
            let what = "closes a room that open_above opens, and that is missing";
            source.problem(&joined(&room.at, "close_below"), what);
        }
        _ => {}
    }
    match (room.registers_from, room.opens_at) {
        (Some(from), Some(at)) if from >= at => {
            let before = format!("an instant before opens_at, {}", at.shown());
            source.wrong(&joined(&room.at, "registers_from"), &from.shown(), &before);
        }
        (Some(_), None) if !opens_at => {
            let what = "people register for an opening, and opens_at is missing";
            source.problem(&joined(&room.at, "registers_from"), what);
        }
        _ => {}
    }
    if room.waiting + room.inside > ROOM_SEATS_SLOTS_MAX {
        let found = format!("{} with those inside", room.waiting + room.inside);
        let most = format!("at most {ROOM_SEATS_SLOTS_MAX}");
        source.wrong(&joined(&room.at, "waiting"), &found, &most);
    }
    let rates = [
        ("admit", Some(room.admit)),
        ("open_above", room.open_above),
        ("close_below", room.close_below),
    ];
    for (key, rate) in rates {
        if let Some(rate) = rate.filter(|rate| rate.per_second() > 1e6) {
            let found = format!("{} a second", rate.per_second());
            source.wrong(&joined(&room.at, key), &found, "at most 1000000 a second");
        }
    }
    for (index, key) in room.key_files.iter().enumerate() {
        let path = format!("{}.key_files[{index}]", room.at);
        file(source, &path, key, Some(SECRET));
    }
}

pub fn overload(source: &mut Source, gateway: &Gateway) {
    let overload = &gateway.overload;
    let (low, high) = (overload.in_flight_min, overload.in_flight_max);
    let start = overload.in_flight_start;
    if low > high {
        let most = format!("at most in_flight_max, {high}");
        source.wrong("overload.in_flight_min", &low.to_string(), &most);
    } else if !(low..=high).contains(&start) {
        let between = format!("from in_flight_min, {low}, to in_flight_max, {high}");
        source.wrong("overload.in_flight_start", &start.to_string(), &between);
    }
}

pub fn ms(span: Duration) -> String {
    shown_ms(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}
