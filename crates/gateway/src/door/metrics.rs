//! What the door does, for `/metrics`: read when it is asked for. Labels are names of the
//! configuration, so their number is bounded by it.

use super::Door;
use crate::upstream::Event;
use guard::{BreakerState, Class};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::gauge::Gauge;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wire::problem::DoorCode;

type Labels = Vec<(&'static str, String)>;
pub(super) type Counters = Family<Labels, Counter>;
pub(super) type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;

#[derive(Debug)]
pub struct DoorMetrics(pub Arc<Door>);

impl Collector for DoorMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let door = &self.0;
        let counts = &door.counts;
        let load = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let plain = [
            (
                "door_requests",
                "Requests that came to the door",
                load(&counts.requests),
            ),
            (
                "door_served",
                "Requests that were served",
                load(&counts.served),
            ),
            (
                "door_held_in_room",
                "Answers that were the waiting room",
                load(&counts.held_in_room),
            ),
            (
                "door_by_switch",
                "Answers that a switch put in place",
                load(&counts.by_switch),
            ),
            (
                "door_reloads",
                "Configurations taken over",
                load(&counts.reloads),
            ),
            (
                "door_reloads_refused",
                "Configurations refused",
                load(&counts.reloads_refused),
            ),
        ];
        for (name, help, value) in plain {
            let counter = ConstCounter::new(value);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        let refused = Counters::default();
        for (code, count) in DoorCode::ALL.iter().zip(&counts.refused) {
            let labels = vec![("code", code.meaning().code.to_owned())];
            refused.get_or_create(&labels).inc_by(load(count));
        }
        family(
            &mut encoder,
            "door_refused",
            "Refusals by their code",
            &refused,
        )?;
        routes(door, &mut encoder)?;
        upstreams(door, &mut encoder)?;
        super::shares::metrics(door, &mut encoder)?;
        guarded(door, &mut encoder)?;
        super::metrics_extras::extras(door, &mut encoder)
    }
}

pub(super) fn family(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &(impl EncodeMetric + prometheus_client::metrics::TypedMetric),
) -> std::fmt::Result {
    let encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
    metric.encode(encoder)
}

fn routes(door: &Door, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let running = door.running();
    let (requests, refused, failed) = <(Counters, Counters, Counters)>::default();
    for (route, counts) in running.compiled.routes.iter().zip(&running.counts) {
        let labels = vec![("route", route.name.clone())];
        let load = |value: &AtomicU64| value.load(Ordering::Relaxed);
        requests
            .get_or_create(&labels)
            .inc_by(load(&counts.requests));
        refused.get_or_create(&labels).inc_by(load(&counts.refused));
        failed.get_or_create(&labels).inc_by(load(&counts.failed));
    }
    family(
        encoder,
        "door_route_requests",
        "Requests by route since the last reload",
        &requests,
    )?;
    family(
        encoder,
        "door_route_refused",
        "Refused by route since the last reload",
        &refused,
    )?;
    family(
        encoder,
        "door_route_failed",
        "5xx by route since the last reload",
        &failed,
    )
}

fn upstreams(door: &Door, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let running = door.running();
    let (in_flight, connections) = <(Gauges, Gauges)>::default();
    let (state, events) = (Gauges::default(), Counters::default());
    for pool in running.upstreams.pools() {
        for peer in pool.peers() {
            let labels = vec![
                ("upstream", pool.name().to_owned()),
                ("peer", peer.name().to_owned()),
            ];
            in_flight
                .get_or_create(&labels)
                .set(f64::from(peer.in_flight()));
            connections
                .get_or_create(&labels)
                .set(f64::from(peer.connections()));
            for event in Event::ALL {
                let mut labels = labels.clone();
                labels.push(("event", event.label().to_owned()));
                events.get_or_create(&labels).inc_by(peer.stats().of(event));
            }
            let mut labels = labels;
            labels.push(("state", peer.state().label().to_owned()));
            state.get_or_create(&labels).set(1.0);
        }
    }
    family(
        encoder,
        "door_peer_in_flight",
        "Requests under way at a peer",
        &in_flight,
    )?;
    family(
        encoder,
        "door_peer_connections",
        "Connections to a peer",
        &connections,
    )?;
    family(
        encoder,
        "door_peer_events",
        "What happened with a peer",
        &events,
    )?;
    family(
        encoder,
        "door_peer_state",
        "1 for the state that a peer is in",
        &state,
    )
}

fn guarded(door: &Door, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let rules = Counters::default();
    let (keys, switches, breakers) = <(Gauges, Gauges, Gauges)>::default();
    let shed = Counters::default();
    let mut limit = None;
    {
        let books = door.books();
        of_rules(&books.limits, &rules, &keys);
        for (spec, state) in books.switches.states() {
            let on = matches!(state, guard::switches::SwitchState::On { .. });
            let labels = vec![("switch", spec.name.clone())];
            switches.get_or_create(&labels).set(f64::from(u8::from(on)));
        }
        for (name, _, breaker) in books.breakers.iter().flatten() {
            let labels = vec![("upstream", name.clone())];
            let value = match breaker.state() {
                BreakerState::Passing | BreakerState::ForcedPassing => 0.0,
                BreakerState::Probing => 1.0,
                BreakerState::Tripped | BreakerState::ForcedTripped => 2.0,
            };
            breakers.get_or_create(&labels).set(value);
        }
        if let Some(overload) = &books.overload {
            let view = overload.view();
            limit = Some((view.limit, view.in_flight));
            for (at, class) in Class::ALL.iter().enumerate() {
                let labels = vec![("class", format!("{class:?}").to_lowercase())];
                let of_places = view.shed_full[at] + view.shed_class[at];
                let all = of_places + view.shed_buyer[at] + view.shed_flowing[at];
                shed.get_or_create(&labels).inc_by(all);
            }
        }
    }
    family(encoder, "door_rule", "What rules of limits did", &rules)?;
    family(encoder, "door_rule_keys", "Keys that a rule keeps", &keys)?;
    family(
        encoder,
        "door_switch_on",
        "1 for a switch that is on",
        &switches,
    )?;
    family(
        encoder,
        "door_breaker",
        "0 Passing, 1 Probing, 2 Tripped",
        &breakers,
    )?;
    family(encoder, "door_shed", "Requests shed, by class", &shed)?;
    let queue = ConstGauge::new(door.lag.shown().0 as f64 / 1e9);
    let help = "How long requests that have come wait for the door itself";
    let unit = Some(&prometheus_client::registry::Unit::Seconds);
    let metric = encoder.encode_descriptor("door_queue", help, unit, queue.metric_type())?;
    queue.encode(metric)?;
    if let Some((limit, in_flight)) = limit {
        for (name, help, value) in [
            (
                "door_in_flight_limit",
                "Requests that may be under way now",
                limit,
            ),
            ("door_in_flight", "Requests under way", in_flight),
        ] {
            let gauge = ConstGauge::new(i64::from(value));
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
    }
    Ok(())
}

fn of_rules(limits: &guard::Limits, rules: &Counters, keys: &Gauges) {
    for (_, rule) in limits.rules() {
        let counters = rule.counters;
        let rows = [
            ("allowed", counters.allowed),
            ("refused", counters.refused),
            ("shadow_refused", counters.shadow_refused),
            ("near_limit", counters.near_limit),
            ("stale", counters.stale),
        ];
        for (what, value) in rows {
            let labels = vec![("rule", rule.rule.name.clone()), ("what", what.to_owned())];
            rules.get_or_create(&labels).inc_by(value);
        }
        let labels = vec![("rule", rule.rule.name.clone())];
        keys.get_or_create(&labels).set(rule.keys as f64);
    }
}
