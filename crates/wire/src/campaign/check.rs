//! What needs two values of a campaign to be judged: phases out of order, stock without a limit, a
//! third party without a quota, an estimate that the stock cannot meet. Only the campaign is
//! asked; what needs services or traffic is judged by the planner.

use super::brief::{Brief, Estimate, Expected, FreezeKind, Phase, PhaseKind};
use crate::gateway::scalar::Instant;
use crate::gateway::source::{Source, joined};
use std::collections::BTreeSet;

/// Milliseconds of one day; an earlier campaign's traffic needs some before it.
const DAY_MS: u64 = 86_400_000;

pub fn brief(source: &mut Source, brief: &Brief, t0: Option<Instant>) {
    zone(source, brief);
    phases(source, &brief.phases, t0);
    products(source, brief);
    third_parties(source, brief);
    if let Some(expected) = &brief.expected {
        estimates(source, expected, brief);
    }
    owners(source, brief, t0);
    for slo in &brief.slos {
        if slo.p99.is_none() && slo.errors.is_none() && !source.troubled(&slo.at) {
            source.wrong(&slo.at, "nothing that is promised", "p99 or errors");
        }
    }
    let routes = brief.slos.iter();
    let routes = routes.map(|slo| (&*slo.at, slo.route.as_deref().unwrap_or("all routes")));
    once(source, routes, "route");
    if let Some(budget) = &brief.budget
        && sale::Currency::new(&budget.currency).is_none()
    {
        let path = joined(&budget.at, "currency");
        let found = format!("{:?}", budget.currency);
        source.wrong(&path, &found, "three capital letters such as EUR");
    }
    on_call(source, brief, t0);
    freezes(source, brief, t0);
    for earlier in &brief.earlier {
        let path = joined(&earlier.at, "t0");
        if t0.is_some_and(|t0| earlier.t0.0 + DAY_MS > t0.0) {
            source.wrong(
                &path,
                &earlier.t0.shown(),
                "a day or more before this sale's t0",
            );
        }
    }
    let names = brief.earlier.iter().map(|one| (&*one.at, &*one.name));
    once(source, names, "name");
}

fn zone(source: &mut Source, brief: &Brief) {
    if let Some(zone) = &brief.time_zone
        && jiff::tz::TimeZone::get(zone).is_err()
    {
        source.wrong(
            "time_zone",
            &format!("{zone:?}"),
            "a zone such as Europe/Berlin",
        );
    }
}

fn phases(source: &mut Source, phases: &[Phase], t0: Option<Instant>) {
    let names = phases.iter().map(|phase| (&*phase.at, &*phase.name));
    once(source, names, "name");
    for phase in phases {
        ordered(source, &phase.at, phase.from, phase.until);
    }
    for pair in phases.windows(2) {
        let [before, after] = pair else { continue };
        if after.from < before.until {
            let expected = format!(
                "{} or later, where {:?} ends",
                before.until.shown(),
                before.name
            );
            source.wrong(&joined(&after.at, "from"), &after.from.shown(), &expected);
        }
        if after.kind < before.kind {
            let path = joined(&after.at, "kind");
            let found = format!("{} after {}", after.kind.as_str(), before.kind.as_str());
            source.wrong(&path, &found, &PhaseKind::WORDS.join(", then "));
        }
    }
    let Some(t0) = t0 else { return };
    let openings = phases
        .iter()
        .filter(|phase| phase.kind == PhaseKind::Opening);
    for phase in openings {
        if phase.from != t0 {
            let path = joined(&phase.at, "from");
            let expected = format!("t0, {}: the opening begins there", t0.shown());
            source.wrong(&path, &phase.from.shown(), &expected);
        }
    }
    let inside = |phase: &Phase| (phase.from..phase.until).contains(&t0);
    if !phases.is_empty() && !phases.iter().any(inside) && !source.troubled("phases") {
        let what = format!("found no phase at t0, {}, expected one", t0.shown());
        source.problem("phases", what);
    }
}

fn products(source: &mut Source, brief: &Brief) {
    let skus = brief.products.iter().map(|one| (&*one.at, &*one.sku));
    once(source, skus, "sku");
    for product in &brief.products {
        match (product.stock, product.limit) {
            (Some(stock), None) if !source.has(&joined(&product.at, "limit")) => {
                let what = format!(
                    "{} has a stock of {stock} and no limit: one buyer could take all, expected \
                     limit",
                    product.sku
                );
                source.problem(&product.at, what);
            }
            (Some(stock), Some(limit)) if limit > stock || limit == 0 => {
                let path = joined(&product.at, "limit");
                source.wrong(
                    &path,
                    &limit.to_string(),
                    &format!("from 1 to the stock, {stock}"),
                );
            }
            _ => {}
        }
        let Some(promotion) = &product.promotion else {
            continue;
        };
        if let (Some(price), Some(lower)) = (product.price, promotion.price)
            && lower >= price
        {
            let path = joined(&promotion.at, "price");
            source.wrong(
                &path,
                &lower.to_string(),
                &format!("less than the price, {price}"),
            );
        }
    }
}

fn third_parties(source: &mut Source, brief: &Brief) {
    let names = brief.third_parties.iter().map(|one| (&*one.at, &*one.name));
    once(source, names, "name");
    for party in &brief.third_parties {
        if party.quota.is_none() && !source.has(&joined(&party.at, "quota")) {
            let what = format!(
                "{} has no quota: what it takes from us has to be agreed, expected quota",
                party.name
            );
            source.problem(&party.at, what);
        }
    }
}

fn estimates(source: &mut Source, expected: &Expected, brief: &Brief) {
    let all = [&expected.dau, &expected.dat, &expected.orders];
    for estimate in all.into_iter().flatten() {
        let low = estimate.low.unwrap_or(estimate.value);
        let high = estimate.high.unwrap_or(estimate.value);
        if low > estimate.value || high < estimate.value {
            let found = format!("{} outside {low} to {high}", estimate.value);
            source.wrong(&estimate.at, &found, "low ≤ value ≤ high");
        }
    }
    let value = |estimate: &Option<Estimate>| estimate.as_ref().map(|one| one.value);
    if let (Some(orders), Some(dat)) = (value(&expected.orders), value(&expected.dat))
        && orders > dat
    {
        let found = format!("{orders} orders of {dat} transactions");
        let what = "no more orders than attempts to buy (dat)";
        source.wrong(&joined(&expected.at, "orders"), &found, what);
    }
    let stocked = brief.products.iter().map(|product| product.stock);
    let units: Option<u64> = stocked.sum();
    if let (Some(orders), Some(units)) = (value(&expected.orders), units)
        && !brief.products.is_empty()
        && orders > units
    {
        let found = format!("{orders} orders with {units} units in stock");
        let what = "no more orders than units: each takes one at least";
        source.wrong(&joined(&expected.at, "orders"), &found, what);
    }
}

fn owners(source: &mut Source, brief: &Brief, t0: Option<Instant>) {
    for owner in &brief.owners {
        if let (Some(agreed), Some(t0)) = (owner.agreed, t0)
            && agreed > t0
        {
            let path = joined(&owner.at, "agreed");
            source.wrong(&path, &agreed.shown(), "an instant before t0");
        }
    }
}

fn on_call(source: &mut Source, brief: &Brief, t0: Option<Instant>) {
    for shift in &brief.on_call {
        ordered(source, &shift.at, shift.from, shift.until);
    }
    let Some(t0) = t0 else { return };
    let mut there = brief.on_call.iter();
    if !brief.on_call.is_empty() && !there.any(|one| (one.from..one.until).contains(&t0)) {
        let what = format!(
            "found nobody on call at t0, {}, expected somebody",
            t0.shown()
        );
        source.problem("on_call", what);
    }
}

fn freezes(source: &mut Source, brief: &Brief, t0: Option<Instant>) {
    for window in &brief.freeze {
        ordered(source, &window.at, window.from, window.until);
        let inside = |at: &Instant| (window.from..window.until).contains(at);
        let phase = brief.phases.iter();
        let mut touched = phase.filter(|one| one.from < window.until && window.from < one.until);
        if window.kind != FreezeKind::Sales {
            continue;
        }
        if t0.is_some_and(|t0| inside(&t0)) {
            source.problem(
                &window.at,
                "t0 lies inside a window in which nothing may be sold",
            );
        } else if let Some(phase) = touched.find(|one| one.kind > PhaseKind::WarmUp) {
            let what = format!(
                "the phase {:?} reaches into a window without sales",
                phase.name
            );
            source.problem(&window.at, what);
        }
    }
    let releases = || {
        let all = brief.freeze.iter();
        all.filter(|window| window.kind == FreezeKind::Releases)
    };
    let Some(t0) = t0 else { return };
    if releases().next().is_some() && !releases().any(|one| (one.from..one.until).contains(&t0)) {
        source.problem("freeze", "releases are frozen, but not at t0");
    }
}

fn ordered(source: &mut Source, at: &str, from: Instant, until: Instant) {
    if until <= from {
        let expected = format!("later than from, {}", from.shown());
        source.wrong(&joined(at, "until"), &until.shown(), &expected);
    }
}

fn once<'a>(source: &mut Source, all: impl Iterator<Item = (&'a str, &'a str)>, key: &str) {
    let mut seen = BTreeSet::new();
    for (at, name) in all {
        if !seen.insert(name) {
            let path = joined(at, key);
            source.wrong(&path, &format!("{name:?} twice"), "each once");
        }
    }
}
