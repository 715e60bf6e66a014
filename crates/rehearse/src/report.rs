//! The report: figures of one run, what was expected of them, and the verdict.
//!
//! One structure feeds the table, the JSON and the page, so that they cannot disagree. Figures
//! about the flood decide whether there is a verdict at all; only then do promises count.

use crate::answers::Class;
use crate::door::DoorFigures;
use crate::drill::show::DrillFigures;
use crate::judge::{Demands, expectations};
use crate::measure::{Latency, Measured, Split};
use crate::plan::Plan;
use crate::run::Ran;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Serialize)]
pub struct Body {
    pub title: String,
    pub seed: u64,
    pub load: LoadFigures,
    pub orders: OrderFigures,
    pub books: Option<BookFigures>,
    pub latency: Vec<LatencyFigures>,
    pub kills: Vec<KillFigures>,
    pub first_start_ms: f64,
    pub errors: BTreeMap<String, Split>,
    pub expectations: Vec<Expectation>,
    pub audit: Vec<CheckFigures>,
    pub stocks: Vec<StockFigures>,
    /// The door's own word; `None` where it was not heard.
    pub door: Option<DoorFigures>,
    pub seconds: Vec<SecondFigures>,
    /// What broke, where a rehearsal file says so.
    pub(crate) drill: Option<DrillFigures>,
    /// T0 in seconds from the start of the series.
    pub t0_s: f64,
    /// What a reader should know: how the input was read, what could not be looked at.
    pub remarks: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct LoadFigures {
    pub buyers: u32,
    pub products: usize,
    pub planned: u64,
    pub sent_as_planned: u64,
    pub met_closed_door: u64,
    pub late: u64,
    pub dropped: u64,
    pub sent_share: f64,
    pub followed: u64,
    pub retried: u64,
    pub requests: u64,
    pub answered: u64,
    pub rps_at_t0: u64,
    pub rps_peak: u64,
    pub connections_peak: u64,
    pub generator_cpu_share: f64,
    pub generator_cpu_share_peak: f64,
    pub generator_starved_share: f64,
    pub lag_ms: Percentiles,
}

#[derive(Clone, Debug, Serialize)]
pub struct OrderFigures {
    pub offered: u64,
    pub admitted: u64,
    pub held: u64,
    pub refused: BTreeMap<String, u64>,
    pub turned_away: u64,
    pub unanswered: u64,
    pub paid: u64,
    pub accepted_peak_per_s: u64,
    pub decided_peak_per_s: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct BookFigures {
    pub entries: u64,
    pub orders: u64,
    pub paid: u64,
    pub paid_amount: i64,
    pub expired: u64,
    pub cancelled: u64,
    pub still_held: u64,
    pub taken_back: u64,
    pub refunds_due: u64,
    pub returned_units: u64,
    pub stocked_units: u64,
    pub sold_units: u64,
    pub free_units: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Percentiles {
    pub count: u64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct LatencyFigures {
    pub what: String,
    /// Milliseconds from the planned instant.
    pub ms: Percentiles,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct KillFigures {
    pub killed_s: f64,
    pub back_s: f64,
    pub restart_ms: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// Not met: there was no flood, so nothing is proved.
    Flood,
    /// Not met: the shop broke a promise.
    Promise,
    /// Not met: what was expected before, during or after a fault was not so.
    Drill,
}

#[derive(Clone, Debug, Serialize)]
pub struct Expectation {
    pub what: String,
    pub expected: String,
    pub found: String,
    pub holds: bool,
    pub about: About,
}

#[derive(Clone, Debug, Serialize)]
pub struct CheckFigures {
    pub what: String,
    pub holds: bool,
    pub looked_at: u64,
    pub failed: u64,
    pub failures: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct StockFigures {
    pub sku: String,
    pub title: String,
    pub stocked: u32,
    pub demand: u64,
    pub sold: u32,
    pub free: u32,
    pub held: u32,
    pub sold_out: bool,
    pub free_by_second: Vec<u32>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SecondFigures {
    pub planned: u64,
    pub sent: u64,
    pub answered: u64,
    pub held: u64,
    pub paid: u64,
    pub refused: u64,
    pub seen: u64,
    pub turned_away: u64,
    pub errors: u64,
    pub retried: u64,
    pub accepted: u64,
    pub expired: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

fn percentiles<C: hdrhistogram::Counter>(histogram: &Histogram<C>) -> Percentiles {
    let at = |share: f64| histogram.value_at_quantile(share) as f64 / 1_000.0;
    Percentiles {
        count: histogram.len(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: histogram.max() as f64 / 1_000.0,
    }
}

pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

pub(crate) fn body(
    title: &str,
    seed: u64,
    plan: &Plan,
    ran: &Ran,
    demands: &Demands,
    remarks: Vec<String>,
) -> Body {
    let measured = &ran.outcome.measured;
    let load = load_figures(plan, measured);
    let orders = order_figures(ran);
    let mut expectations = expectations(&load, &orders, ran, demands);
    let (drill, judged) = ran.drill.as_ref().map_or((None, Vec::new()), |drill| {
        let times = drill.times();
        let judged = crate::drill::judge(&drill.expecting, &times, &drill.series);
        (Some(DrillFigures::of(&times, &drill.series)), judged)
    });
    expectations.extend(judged);
    Body {
        title: title.to_owned(),
        seed,
        latency: latency_figures(measured),
        kills: kill_figures(ran),
        first_start_ms: ran.first_start.as_secs_f64() * 1_000.0,
        errors: measured
            .errors
            .clone()
            .into_iter()
            .chain(turned_away(measured))
            .collect(),
        audit: checks(ran).map(check_figures).collect(),
        books: book_figures(ran),
        stocks: stock_figures(plan, ran),
        door: ran.door.as_ref().ok().cloned(),
        seconds: second_figures(ran),
        drill,
        t0_s: plan.t0_us as f64 / 1e6,
        remarks: remarks_of(ran, remarks),
        load,
        orders,
        expectations,
    }
}

fn turned_away(measured: &Measured) -> impl Iterator<Item = (String, Split)> + '_ {
    let label = |code: &str| match code {
        "rate_limited" => format!("429 {code}"),
        "under_way" => format!("409 {code}"),
        _ => format!("503 {code}"),
    };
    measured
        .turned_away
        .iter()
        .map(move |(code, split)| (label(code), *split))
}

fn load_figures(plan: &Plan, measured: &Measured) -> LoadFigures {
    let per_second = |second: usize| measured.seconds.get(second).map_or(0, |s| s.sent);
    let wall_ns = (measured.wall_us * 1_000).max(1);
    LoadFigures {
        buyers: plan.buyers,
        products: plan.products.len(),
        planned: measured.planned,
        sent_as_planned: measured.in_time,
        met_closed_door: measured.closed_door,
        late: measured.late,
        dropped: measured.dropped,
        // Whoever came to a closed door came: the generator did its part.
        sent_share: share(measured.in_time + measured.closed_door, measured.planned),
        followed: measured.followed,
        retried: measured.retried,
        requests: measured.written,
        answered: measured.answered,
        rps_at_t0: per_second((plan.t0_us / 1_000_000) as usize),
        rps_peak: measured
            .seconds
            .iter()
            .map(|second| second.sent)
            .max()
            .unwrap_or(0),
        connections_peak: measured.connections_max,
        generator_cpu_share: share(measured.cpu_ns, wall_ns),
        generator_cpu_share_peak: measured.cpu_second_ns_max as f64 / 1e9,
        generator_starved_share: share(measured.starved_ns, wall_ns),
        lag_ms: percentiles(&measured.lag.all),
    }
}

fn order_figures(ran: &Ran) -> OrderFigures {
    let purchases = &ran.outcome.purchases;
    let count = |of: fn(&crate::follow::Purchase) -> bool| {
        purchases.iter().filter(|purchase| of(purchase)).count() as u64
    };
    let measured = &ran.outcome.measured;
    let decided = count(|p| p.held.is_some() || p.refused);
    let offered = count(|p| p.asked);
    let away = count(|p| p.turned_away && p.held.is_none() && !p.refused);
    let accepted = ran
        .audited
        .as_ref()
        .map(|audited| &audited.accepted_by_second);
    OrderFigures {
        offered,
        admitted: decided,
        held: count(|p| p.held.is_some()),
        refused: measured.refused.clone(),
        turned_away: away,
        unanswered: offered.saturating_sub(decided + away),
        paid: count(|p| p.paid),
        accepted_peak_per_s: accepted
            .map(|seconds| seconds.iter().copied().max().unwrap_or(0))
            .unwrap_or_else(|| measured.seconds.iter().map(|s| s.held).max().unwrap_or(0)),
        decided_peak_per_s: measured.seconds.iter().map(|s| s.orders).max().unwrap_or(0),
    }
}

fn latency_figures(measured: &Measured) -> Vec<LatencyFigures> {
    let mut rows = Vec::new();
    let mut both = |what: &str, latency: &Latency| {
        rows.push(LatencyFigures {
            what: what.to_owned(),
            ms: percentiles(&latency.all),
        });
        if latency.outside.len() < latency.all.len() {
            let what = format!("{what}, outside the kill");
            rows.push(LatencyFigures {
                what,
                ms: percentiles(&latency.outside),
            });
        }
    };
    both("all requests", &measured.every);
    for (class, latency) in &measured.latency {
        let what = match class {
            Class::SignIn => "signing in",
            Class::Browse => "browsing",
            Class::Order => "orders",
            Class::Pay => "payments",
            Class::Cancel => "cancellations",
            Class::Return => "returns",
        };
        both(what, latency);
    }
    rows
}

fn kill_figures(ran: &Ran) -> Vec<KillFigures> {
    let figures = |kill: &crate::run::Kill| KillFigures {
        killed_s: kill.killed_us as f64 / 1e6,
        back_s: kill.back_us as f64 / 1e6,
        restart_ms: kill.restart.as_secs_f64() * 1_000.0,
    };
    ran.kills.iter().map(figures).collect()
}

/// The auditor's checks of promises. That wanted products sold out says whether the flood was one,
/// and stands among the expectations of a campaign; baskets of real orders are taken whole or
/// not at all and ask for dozens of units, so that a few may stay although more were wanted.
pub(crate) fn checks(ran: &Ran) -> impl Iterator<Item = &audit::Check> {
    let all = ran
        .audited
        .iter()
        .flat_map(|audited| &audited.verdict.checks);
    all.filter(|check| check.name != audit::names::SOLD_OUT)
}

fn check_figures(check: &audit::Check) -> CheckFigures {
    CheckFigures {
        what: check.name.to_owned(),
        holds: check.passed,
        looked_at: check.examined,
        failed: check.failed,
        failures: check.failures.clone(),
    }
}

fn book_figures(ran: &Ran) -> Option<BookFigures> {
    let audited = ran.audited.as_ref()?;
    let sum = |of: fn(&crate::books::Stock) -> u32| {
        audited
            .stocks
            .iter()
            .map(|stock| u64::from(of(stock)))
            .sum()
    };
    Some(BookFigures {
        entries: audited.verdict.entries,
        orders: audited.orders,
        paid: audited.paid,
        paid_amount: audited.paid_amount,
        expired: audited.expired,
        cancelled: audited.cancelled,
        still_held: audited.still_held,
        taken_back: audited.retaken,
        refunds_due: audited.refunds_due,
        returned_units: audited.returned_units,
        stocked_units: sum(|stock| stock.stocked),
        sold_units: sum(|stock| stock.sold),
        free_units: sum(|stock| stock.free),
    })
}

fn stock_figures(plan: &Plan, ran: &Ran) -> Vec<StockFigures> {
    let Some(audited) = &ran.audited else {
        return Vec::new();
    };
    let titles: BTreeMap<&str, &str> = plan
        .products
        .iter()
        .map(|p| (p.sku.as_str(), p.title.as_str()))
        .collect();
    let stock = |stock: &crate::books::Stock| StockFigures {
        title: titles
            .get(stock.sku.as_str())
            .copied()
            .unwrap_or_default()
            .to_owned(),
        sku: stock.sku.clone(),
        stocked: stock.stocked,
        demand: stock.demand,
        sold: stock.sold,
        free: stock.free,
        held: stock.held,
        sold_out: stock.free_min == 0,
        free_by_second: stock.free_by_second.clone(),
    };
    let mut stocks: Vec<StockFigures> = audited.stocks.iter().map(stock).collect();
    stocks.sort_by(|a, b| (b.demand, &a.sku).cmp(&(a.demand, &b.sku)));
    stocks
}

fn second_figures(ran: &Ran) -> Vec<SecondFigures> {
    let by_second = |series: Option<&Vec<u64>>, second: usize| {
        series
            .and_then(|series| series.get(second))
            .copied()
            .unwrap_or(0)
    };
    let accepted = ran
        .audited
        .as_ref()
        .map(|audited| &audited.accepted_by_second);
    let expired = ran
        .audited
        .as_ref()
        .map(|audited| &audited.expired_by_second);
    let seconds = ran.outcome.measured.seconds.iter().enumerate();
    let figures = |(index, second): (usize, &crate::measure::Second)| {
        let latency = percentiles(&second.latency);
        SecondFigures {
            planned: second.planned,
            sent: second.sent,
            answered: second.answered,
            held: second.held,
            paid: second.paid,
            refused: second.refused,
            seen: second.seen,
            turned_away: second.turned_away,
            errors: second.errors,
            retried: second.retried,
            accepted: by_second(accepted, index),
            expired: by_second(expired, index),
            p50_ms: latency.p50,
            p99_ms: latency.p99,
            max_ms: latency.max,
        }
    };
    seconds.map(figures).collect()
}

fn remarks_of(ran: &Ran, mut remarks: Vec<String>) -> Vec<String> {
    if let Err(why) = ran.door {
        remarks.push(why.to_owned());
    }
    if ran.audited.is_none() {
        remarks.push("No books: the journal was not at hand, so nothing is proved.".to_owned());
    } else if !ran.channel_seen {
        let what = "The payment channel's own ledger was not at hand: captures were not compared.";
        remarks.push(what.to_owned());
    }
    remarks
}
