//! One decision for each service: first who is fine, then who may grow within time and budget –
//! core first, then by risk –, then which switches make the rest fit, and who is left.

use super::choose::{Chosen, cheapest};
use super::explain::because;
use super::{Capacity, Choice, Decision, Decisions, Growth, Need, Service, Situation, need};
use crate::map::{Flows, flows};
use std::collections::BTreeMap;

/// The circles of calls if there are some: then no rate can be told.
pub fn decide(situation: &Situation) -> Result<Decisions, Vec<Vec<String>>> {
    let rates = |which: fn(&super::Demand) -> f64| -> Vec<(String, f64)> {
        let all = situation.demand.iter();
        all.map(|one| (one.route.clone(), which(one))).collect()
    };
    let upper_rates = rates(|one| one.upper);
    let expected = flows(&situation.map, &rates(|one| one.expected))?;
    let upper = flows(&situation.map, &upper_rates)?;
    let growth = grow(situation, &upper);
    let room = room(situation, &upper, &growth);
    let short: Vec<&str> = situation
        .services
        .iter()
        .filter(|service| {
            let most = room.get(service.name.as_str());
            most.is_some_and(|most| upper.service(&service.name) > *most)
        })
        .map(|service| service.name.as_str())
        .collect();
    let chosen = if short.is_empty() {
        None
    } else {
        settle(situation, &upper_rates, &room, &short)
    };
    let with = chosen.as_ref().map_or(&upper, |(chosen, _)| &chosen.flows);
    let services = situation.services.iter().map(|service| {
        let name = service.name.as_str();
        let grown = growth.get(name).copied();
        let is_short = short.contains(&name);
        let relieved = chosen.as_ref().filter(|(_, solved)| solved.contains(&name));
        let decision = Decision {
            service: name.to_owned(),
            expected: expected.service(name),
            upper: upper.service(name),
            switched: with.service(name),
            usable: service.usable(situation.safety_factor),
            instances: service.instances,
            planned: grown.map_or(service.instances, |growth| growth.to),
            need: needed(situation, service, upper.service(name)),
            choice: choice(
                situation,
                service,
                &upper,
                is_short,
                grown,
                relieved.map(|(c, _)| c),
            ),
            because: Vec::new(),
        };
        Decision {
            because: because(situation, service, &decision),
            ..decision
        }
    });
    Ok(Decisions {
        services: services.collect(),
        cost: growth.values().map(|one| one.cost).sum(),
        loss_per_hour: chosen.as_ref().map_or(0.0, |(one, _)| one.loss_per_hour),
        switches: chosen.map_or_else(Vec::new, |(one, _)| one.switches),
    })
}

fn needed(situation: &Situation, service: &Service, rate: f64) -> Option<Need> {
    if matches!(service.capacity, Capacity::Quota(_)) {
        return None;
    }
    let usable = service.usable(situation.safety_factor)?;
    need(rate, usable, service.skew, service.zones)
}

/// Who grows, as far as maximum, lead time and what is left of the budget allow.
fn grow<'a>(situation: &'a Situation, upper: &Flows) -> BTreeMap<&'a str, Growth> {
    let mut order: Vec<&Service> = situation.services.iter().collect();
    order.sort_by_key(|service| {
        (
            service.class,
            std::cmp::Reverse(service.risk),
            &service.name,
        )
    });
    let mut left = situation.budget.unwrap_or(f64::INFINITY);
    let mut growth = BTreeMap::new();
    for service in order {
        let safe = needed(situation, service, upper.service(&service.name)).map(|need| need.safe);
        let (Some(safe), Some(scaling)) = (safe, service.scaling) else {
            continue;
        };
        let begin_minute = situation.ready_minute - scaling.lead_minutes;
        if safe <= service.instances || begin_minute < situation.now_minute {
            continue;
        }
        let each = scaling.cost_per_hour * situation.hours;
        let affordable = if each > 0.0 {
            (left / each).floor()
        } else {
            f64::MAX
        };
        let more = (safe.min(scaling.max).saturating_sub(service.instances)).min(affordable as u64);
        if more > 0 {
            let cost = each * more as f64;
            left -= cost;
            let to = service.instances + more;
            let one = Growth {
                to,
                more,
                begin_minute,
                cost,
            };
            growth.insert(service.name.as_str(), one);
        }
    }
    growth
}

/// Requests a second that each service can carry with its spare instances kept; services whose
/// capacity nobody knows are not in it.
fn room<'a>(
    situation: &'a Situation,
    upper: &Flows,
    growth: &BTreeMap<&str, Growth>,
) -> BTreeMap<&'a str, f64> {
    let one = |service: &'a Service| {
        let name = service.name.as_str();
        let usable = service.usable(situation.safety_factor)?;
        let instances = growth
            .get(name)
            .map_or(service.instances, |growth| growth.to);
        let most = match service.capacity {
            Capacity::Quota(per_s) => per_s,
            _ => {
                // What need() calls safe turned round: the bare ones that these keep safe.
                let zone = if service.zones > 1 {
                    instances.div_ceil(service.zones)
                } else {
                    1
                };
                super::together(instances.saturating_sub(zone.max(1)), usable, service.skew)
            }
        };
        // Nothing comes, nothing is needed.
        (upper.service(name) > 0.0).then_some((name, most))
    };
    situation.services.iter().filter_map(one).collect()
}

/// The cheapest switches for all that are short together; if nothing helps them all, for as many
/// as can be helped, the most important first. With them, who is helped.
fn settle<'a>(
    situation: &Situation,
    demand: &[(String, f64)],
    room: &BTreeMap<&str, f64>,
    short: &[&'a str],
) -> Option<(Chosen, Vec<&'a str>)> {
    let only = |wanted: &[&str]| -> BTreeMap<&str, f64> {
        let kept = |name: &&str| wanted.contains(name) || !short.contains(name);
        room.iter()
            .filter(|(name, _)| kept(name))
            .map(|(name, most)| (*name, *most))
            .collect()
    };
    if let Some(all) = cheapest(situation, demand, &only(short)) {
        return Some((all, short.to_vec()));
    }
    let mut order: Vec<&Service> = situation.services.iter().collect();
    order.sort_by_key(|service| {
        (
            service.class,
            std::cmp::Reverse(service.risk),
            &service.name,
        )
    });
    let mut helped: Vec<&'a str> = Vec::new();
    let mut best = None;
    for service in order {
        let Some(name) = short.iter().find(|name| **name == service.name) else {
            continue;
        };
        let mut wanted = helped.clone();
        wanted.push(name);
        if let Some(found) = cheapest(situation, demand, &only(&wanted)) {
            helped = wanted;
            best = Some(found);
        }
    }
    best.map(|best| (best, helped))
}

fn choice(
    situation: &Situation,
    service: &Service,
    upper: &Flows,
    is_short: bool,
    growth: Option<Growth>,
    relieved: Option<&Chosen>,
) -> Choice {
    if matches!(service.capacity, Capacity::Unknown(_)) {
        return Choice::Measure;
    }
    match (is_short, growth, relieved) {
        (false, None, _) => Choice::Fine,
        (false, Some(growth), _) => Choice::ScaleOut(growth),
        (true, growth, Some(chosen)) => Choice::Degrade {
            switches: chosen.switches.clone(),
            growth,
        },
        (true, growth, None) => {
            let planned = growth.map_or(service.instances, |growth| growth.to);
            let all = service.all(planned, situation.safety_factor).unwrap_or(0.0);
            let safe = match service.capacity {
                Capacity::Quota(_) => all,
                _ if planned == 0 => 0.0,
                _ => {
                    let zone = if service.zones > 1 {
                        planned.div_ceil(service.zones)
                    } else {
                        1
                    };
                    // A single instance has none to spare; what it needs is still a multiple.
                    all * planned.saturating_sub(zone).max(1) as f64 / planned as f64
                }
            };
            let times = upper.service(&service.name) / safe.max(f64::MIN_POSITIVE);
            Choice::Optimise { times }
        }
    }
}
