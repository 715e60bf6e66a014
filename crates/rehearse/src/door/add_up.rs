//! Readings of the door's counters, added up: increases between two of them, over the seconds that
//! they are apart. Knows the metrics' names (crates/gateway/src/door/metrics.rs) and no sockets.

use super::{DoorClass, DoorFigures, DoorOverload, DoorRoute, DoorRule, DoorSecond};
use crate::limits::{DOOR_SERIES_MAX, SECONDS_MAX};
use std::collections::BTreeMap;

const PREFIX: &str = "seawall_door_";
/// Codes that get a series of their own; the others are added up.
const OF_CODES: [&str; 3] = ["rate_limited", "shed", "gone_for_now"];

/// One exposition: by name without the prefix, and labels in the order in which they are written.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading(BTreeMap<(String, Vec<String>), f64>);

impl Reading {
    /// Lines that are no sample of the door are passed over.
    pub(super) fn parse(text: &str) -> Reading {
        let ours = text.lines().filter_map(|line| line.strip_prefix(PREFIX));
        Reading(ours.filter_map(sample).take(DOOR_SERIES_MAX).collect())
    }

    fn is_of_a_door(&self) -> bool {
        self.plain("requests_total").is_some()
    }
    fn plain(&self, name: &str) -> Option<f64> {
        self.0.get(&(name.to_owned(), Vec::new())).copied()
    }
    /// All samples of a family with the values of their labels.
    fn family<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a [String], f64)> {
        let samples = self.0.range((name.to_owned(), Vec::new())..);
        samples
            .take_while(move |((found, _), _)| found == name)
            .map(|((_, labels), value)| (labels.as_slice(), *value))
    }
}

/// `name{label="value",…} 12 [timestamp]`. Names of configurations need no escapes.
fn sample(line: &str) -> Option<((String, Vec<String>), f64)> {
    let (name, labels, rest) = match line.split_once('{') {
        Some((name, rest)) => {
            let (labels, rest) = rest.split_once('}')?;
            (name, labels, rest)
        }
        None => {
            let (name, rest) = line.split_once(' ')?;
            (name, "", rest)
        }
    };
    let value: f64 = rest.split_whitespace().next()?.parse().ok()?;
    let labels = labels.split(',').filter(|pair| !pair.is_empty());
    let labels = labels.map(|pair| {
        let (_, value) = pair.split_once('=')?;
        Some(value.trim_matches('"').to_owned())
    });
    let labels = labels.collect::<Option<Vec<_>>>()?;
    value
        .is_finite()
        .then(|| ((name.to_owned(), labels), value.max(0.0)))
}

/// What was read so far.
#[derive(Debug)]
pub(super) struct Ledger {
    classes: BTreeMap<String, String>,
    last: Option<(u64, Reading)>,
    /// The end of the kill that a reading has taken note of last.
    back_us: Option<u64>,
    /// Counters fell before the end of the kill was known: it is not to be counted again.
    fell_early: bool,
    /// Increases since the first reading, by name and labels.
    sums: BTreeMap<(String, Vec<String>), u64>,
    figures: DoorFigures,
    door_seen: bool,
}

impl Ledger {
    pub(super) fn new(classes: BTreeMap<String, String>) -> Ledger {
        Ledger {
            classes,
            last: None,
            back_us: None,
            fell_early: false,
            sums: BTreeMap::new(),
            figures: DoorFigures::default(),
            door_seen: false,
        }
    }

    /// `at_us` from the start of the plan; `back_us` when the shop last came back from a kill.
    pub(super) fn enter(&mut self, reading: Option<&Reading>, at_us: u64, back_us: Option<u64>) {
        let Some(reading) = reading else {
            self.figures.readings_failed += 1;
            return;
        };
        self.figures.readings += 1;
        if !reading.is_of_a_door() {
            return;
        }
        self.door_seen = true;
        let last = self.last.take();
        self.gauges(reading, last.as_ref().map(|(_, last)| last), at_us);
        if let Some((from_us, last)) = last {
            let fell = reading.plain("requests_total") < last.plain("requests_total");
            let back = back_us != self.back_us;
            let restarted = fell || (back && !self.fell_early);
            self.fell_early = fell && !back;
            let from_us = match restarted {
                // It lived from then on only.
                true => back_us.unwrap_or(from_us).clamp(from_us, at_us),
                false => from_us,
            };
            self.figures.restarts += u64::from(restarted);
            let before = if restarted { Reading::default() } else { last };
            self.count(&before, reading, (from_us, at_us));
        }
        self.back_us = back_us;
        self.last = Some((at_us, reading.clone()));
    }

    fn count(&mut self, before: &Reading, now: &Reading, span_us: (u64, u64)) {
        let mut delta = DoorSecond::default();
        for (key, value) in &now.0 {
            if !key.0.ends_with("_total") {
                continue;
            }
            let known = before.0.get(key).copied().unwrap_or(0.0);
            // A counter by itself begins again when its route is new after a reload.
            let more = if *value < known {
                *value
            } else {
                *value - known
            };
            let more = more as u64;
            let labels: Vec<&str> = key.1.iter().map(String::as_str).collect();
            match (key.0.as_str(), labels.as_slice()) {
                ("requests_total", []) => delta.requests += more,
                ("served_total", []) => delta.served += more,
                ("held_in_room_total", []) => delta.held_in_room += more,
                ("by_switch_total", []) => delta.by_switch += more,
                // Counted among the answers of switches.
                ("refused_total", ["switched_off"]) => {}
                ("refused_total", [code]) => {
                    let at = OF_CODES.iter().position(|known| known == code);
                    *match at {
                        Some(0) => &mut delta.rate_limited,
                        Some(1) => &mut delta.shed,
                        Some(_) => &mut delta.gone,
                        None => &mut delta.refused_otherwise,
                    } += more;
                }
                _ => {}
            }
            *self.sums.entry(key.clone()).or_default() += more;
        }
        self.spread(&delta, span_us);
    }

    /// Over the whole seconds between two readings, so that their sums stay exact.
    fn spread(&mut self, delta: &DoorSecond, (from_us, to_us): (u64, u64)) {
        let second = |us: u64| ((us + 500_000) / 1_000_000) as usize;
        let from = second(from_us).min(SECONDS_MAX - 1);
        let to = second(to_us).clamp(from + 1, SECONDS_MAX);
        let parts = (to - from) as u64;
        for (place, at) in (from..to).enumerate() {
            let share = |all: u64| all / parts + u64::from((place as u64) < all % parts);
            let one = self.second(at);
            one.requests += share(delta.requests);
            one.served += share(delta.served);
            one.rate_limited += share(delta.rate_limited);
            one.shed += share(delta.shed);
            one.gone += share(delta.gone);
            one.refused_otherwise += share(delta.refused_otherwise);
            one.held_in_room += share(delta.held_in_room);
            one.by_switch += share(delta.by_switch);
        }
    }

    fn second(&mut self, at: usize) -> &mut DoorSecond {
        let at = at.min(SECONDS_MAX - 1);
        let seconds = &mut self.figures.seconds;
        if seconds.len() <= at {
            seconds.resize(at + 1, DoorSecond::default());
        }
        &mut seconds[at]
    }

    fn gauges(&mut self, now: &Reading, last: Option<&Reading>, at_us: u64) {
        for (labels, value) in now.family("rule_keys") {
            let rule = named(&mut self.figures.rules, labels, |rule| &mut rule.name);
            rule.keys_peak = rule.keys_peak.max(value as u64);
        }
        for (labels, value) in now.family("switch_on") {
            let switch = named(&mut self.figures.switches, labels, |switch| {
                &mut switch.name
            });
            switch.on_readings += u64::from(value > 0.0);
            let was = last.and_then(|last| gauge(last, "switch_on", labels));
            switch.turned += u64::from(was.is_some_and(|was| was != value));
        }
        for (labels, value) in now.family("breaker") {
            let breakers = &mut self.figures.breakers;
            let breaker = named(breakers, labels, |breaker| &mut breaker.upstream);
            breaker.probing_readings += u64::from(value == 1.0);
            breaker.tripped_readings += u64::from(value == 2.0);
            let was = last.and_then(|last| gauge(last, "breaker", labels));
            breaker.trips += u64::from(value == 2.0 && was != Some(2.0));
        }
        let both = (now.plain("in_flight"), now.plain("in_flight_limit"));
        if let (Some(in_flight), Some(limit)) = both {
            let (in_flight, limit) = (in_flight as u64, limit as u64);
            let overload = self.figures.overload.get_or_insert(DoorOverload {
                in_flight_peak: in_flight,
                limit_lowest: limit,
                limit_highest: limit,
            });
            overload.in_flight_peak = overload.in_flight_peak.max(in_flight);
            overload.limit_lowest = overload.limit_lowest.min(limit);
            overload.limit_highest = overload.limit_highest.max(limit);
            let second = self.second((at_us / 1_000_000) as usize);
            (second.in_flight, second.in_flight_limit) = (Some(in_flight), Some(limit));
        }
    }

    /// `Err` says why there is nothing.
    pub(super) fn figures(mut self) -> Result<DoorFigures, &'static str> {
        if self.figures.readings == 0 {
            return Err("What the door did is not known: its metrics could not be read.");
        }
        if !self.door_seen {
            return Err("There was no front door before the shop, so there is nothing of it.");
        }
        let sums = std::mem::take(&mut self.sums);
        let figures = &mut self.figures;
        for ((name, labels), sum) in sums {
            match name.as_str() {
                "requests_total" => figures.requests = sum,
                "served_total" => figures.served = sum,
                "held_in_room_total" => figures.held_in_room = sum,
                "by_switch_total" => figures.by_switch = sum,
                "refused_total" if sum > 0 => {
                    let code = labels.into_iter().next().unwrap_or_default();
                    figures.refused.insert(code, sum);
                }
                "route_requests_total" => route(figures, &labels).requests = sum,
                "route_refused_total" => route(figures, &labels).refused = sum,
                "route_failed_total" => route(figures, &labels).failed = sum,
                "shed_total" => class(figures, labels.first()).shed = sum,
                "rule_total" => of_rule(figures, &labels, sum),
                _ => {}
            }
        }
        of_classes(figures, &self.classes);
        let mut all = DoorSecond::default();
        for second in &mut figures.seconds {
            second.admitted_share = second.admitted_share();
            all.add(second);
        }
        figures.admitted_share = all.admitted_share();
        Ok(self.figures)
    }
}

fn gauge(reading: &Reading, name: &str, labels: &[String]) -> Option<f64> {
    let key = (name.to_owned(), labels.to_vec());
    reading.0.get(&key).copied()
}

/// The row of the name that stands in the first label; a new one if there is none.
fn named<'a, T: Default>(
    rows: &'a mut Vec<T>,
    labels: &[String],
    name: fn(&mut T) -> &mut String,
) -> &'a mut T {
    let wanted = labels.first().map_or("", String::as_str);
    let found = rows.iter_mut().position(|row| name(row) == wanted);
    let at = found.unwrap_or_else(|| {
        let mut row = T::default();
        wanted.clone_into(name(&mut row));
        rows.push(row);
        rows.len() - 1
    });
    &mut rows[at]
}

fn route<'a>(figures: &'a mut DoorFigures, labels: &[String]) -> &'a mut DoorRoute {
    named(&mut figures.routes, labels, |route| &mut route.name)
}

fn class<'a>(figures: &'a mut DoorFigures, name: Option<&String>) -> &'a mut DoorClass {
    let labels = name.map_or(&[][..], std::slice::from_ref);
    named(&mut figures.classes, labels, |class| &mut class.name)
}

fn of_rule(figures: &mut DoorFigures, labels: &[String], sum: u64) {
    let rule: &mut DoorRule = named(&mut figures.rules, labels, |rule| &mut rule.name);
    match labels.get(1).map(String::as_str) {
        Some("allowed") => rule.allowed = sum,
        Some("refused") => rule.refused = sum,
        Some("shadow_refused") => rule.shadow_refused = sum,
        Some("near_limit") => rule.near_limit = sum,
        _ => {}
    }
}

/// Routes get their classes, and classes the sums of their routes.
fn of_classes(figures: &mut DoorFigures, known: &BTreeMap<String, String>) {
    let mut routes = std::mem::take(&mut figures.routes);
    for route in &mut routes {
        let Some(name) = known.get(&route.name) else {
            continue;
        };
        route.class.clone_from(name);
        let class = class(figures, Some(name));
        class.requests += route.requests;
        class.refused += route.refused;
    }
    routes.sort_by(|a, b| (b.requests, &a.name).cmp(&(a.requests, &b.name)));
    figures.routes = routes;
    let busy = |class: &DoorClass| class.requests + class.shed > 0;
    let classes = &mut figures.classes;
    classes.retain(busy);
    classes.sort_by(|a, b| (b.requests, &a.name).cmp(&(a.requests, &b.name)));
}
