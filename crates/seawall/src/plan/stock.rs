//! `seawall plan stock`: what each SKU will sell, what is kept against surprise, what the sale
//! gets: stock.yaml. Sales come as CSV with the columns date,sku,units.

use ::plan::stock::{Offered, Policy, SkuPlan, Sold, demand, plan};
use anyhow::{Context, anyhow};
use host::Exit;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use wire::campaign::Campaign;

/// Bytes of a sales file: years of a large shop by day and SKU.
const SALES_BYTES_MAX: u64 = 1 << 30;
/// Weeks of one file: ten years. A single wrong year must not make millions of empty weeks.
const SALES_WEEKS_MAX: i64 = 520;
/// Wrong lines that are told.
const PROBLEMS_TOLD: usize = 20;
const DAY_MINUTES: u64 = 1_440;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The campaign; its products say what is offered.
    campaign: PathBuf,
    /// What was sold: CSV with the columns date,sku,units; lines of one day and SKU are added up.
    #[arg(long, value_name = "FILE")]
    sales: PathBuf,
    /// Where the plan goes.
    #[arg(long, value_name = "FILE", default_value = "stock.yaml")]
    out: PathBuf,
    /// The share of weeks whose demand is met in full: 0.5 to 0.999.
    #[arg(long, default_value_t = 0.95)]
    service_level: f64,
    /// Safety stock at least, as a share of demand: 0.10 to 0.15.
    #[arg(long, default_value_t = 0.12)]
    floor: f64,
    /// Weeks from an order to its arrival.
    #[arg(long, default_value_t = 2.0)]
    lead_weeks: f64,
    /// Report as JSON.
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let policy = Policy {
        service_level: args.service_level,
        floor: args.floor,
        lead_weeks: args.lead_weeks,
    };
    let policy = policy.checked().ok_or_else(|| {
        anyhow!(
            "expected --service-level from 0.5 to 0.999, --floor from 0.10 to 0.15, --lead-weeks \
             from 0 to 52"
        )
    })?;
    let campaign = Campaign::load(&args.campaign).map_err(|problems| anyhow!("{problems}"))?;
    if campaign.brief.products.is_empty() {
        let shown = args.campaign.display();
        return Err(anyhow!(
            "{shown}: no products, expected those that take part"
        ));
    }
    let sold = sales(&args.sales)?;
    let (offered, basis) = offered(&campaign, &sold);
    let plans = plan(&sold, &offered, &policy);
    let shown = args.out.display();
    std::fs::write(&args.out, yaml(&campaign, &policy, &basis, &plans))
        .with_context(|| format!("cannot write {shown}"))?;
    let alerted = plans.iter().filter(|plan| !plan.alerts.is_empty());
    let alerted: Vec<&SkuPlan> = alerted.collect();
    let mut out = std::io::stdout().lock();
    if args.json {
        let alerts = alerted
            .iter()
            .map(|plan| json!({"sku": plan.sku, "alerts": names(plan)}));
        let report = json!({
            "out": args.out, "skus": plans.len(), "basis": basis,
            "alerts": alerts.collect::<Vec<_>>(),
        });
        writeln!(out, "{report:#}")?;
    } else {
        writeln!(out, "{shown}: {} SKUs; {basis}", plans.len())?;
        for plan in alerted {
            writeln!(out, "  {}: {}", plan.sku, names(plan).join(", "))?;
        }
    }
    Ok(Exit::Good)
}

fn names(plan: &SkuPlan) -> Vec<&'static str> {
    plan.alerts.iter().map(|alert| alert.name()).collect()
}

/// What the sale asks of each product. Orders are shared among products as their normal demand is;
/// one without history counts as the mean of the others.
fn offered(campaign: &Campaign, sold: &[Sold]) -> (Vec<Offered>, String) {
    let brief = &campaign.brief;
    let by_sku: BTreeMap<&str, f64> = sold
        .iter()
        .map(|sold| (sold.sku.as_str(), demand(&sold.weeks)))
        .collect();
    let known: Vec<f64> = brief
        .products
        .iter()
        .filter_map(|product| by_sku.get(product.sku.as_str()).copied())
        .collect();
    let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
    let mean = if mean > 0.0 { mean } else { 1.0 };
    let weights = brief.products.iter().map(|product| {
        let weekly = by_sku.get(product.sku.as_str());
        weekly.copied().unwrap_or(mean)
    });
    let weights: Vec<f64> = weights.collect();
    let sum: f64 = weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let orders = brief
        .expected
        .as_ref()
        .and_then(|expected| expected.orders.as_ref());
    let span = brief.phases.first().zip(brief.phases.last());
    let minutes = span.map_or(DAY_MINUTES, |(first, last)| {
        last.until.0.saturating_sub(first.from.0) / 60_000
    });
    let weeks = minutes as f64 / (7 * DAY_MINUTES) as f64;
    let (factor, basis) = match orders {
        Some(orders) => (
            orders.value as f64 / sum,
            format!("{} orders, shared as normal demand is", orders.value),
        ),
        None => (
            weeks,
            "no orders are expected: normal demand over its span".to_owned(),
        ),
    };
    let products = brief.products.iter().zip(weights);
    let offered = products.map(|(product, weight)| Offered {
        sku: product.sku.clone(),
        stock: product.stock.unwrap_or(0),
        sale_demand: weight * factor,
    });
    (offered.collect(), basis)
}

/// Units by whole weeks that end with the file's last day.
fn sales(path: &Path) -> anyhow::Result<Vec<Sold>> {
    let shown = path.display().to_string();
    let file = std::fs::File::open(path).with_context(|| format!("cannot open {shown}"))?;
    let mut lines = BufReader::new(file.take(SALES_BYTES_MAX)).lines();
    let head = lines.next().transpose()?.unwrap_or_default();
    let head = head.trim_start_matches('\u{feff}').trim();
    if head != "date,sku,units" {
        return Err(anyhow!(
            "{shown}:1: found {head:?}, expected date,sku,units"
        ));
    }
    let mut days: BTreeMap<String, BTreeMap<i64, f64>> = BTreeMap::new();
    let mut problems: Vec<String> = Vec::new();
    for (at, line) in lines.enumerate() {
        let line = line.with_context(|| format!("cannot read {shown}"))?;
        if line.trim().is_empty() {
            continue;
        }
        match row(&line) {
            Ok((day, sku, units)) => {
                *days.entry(sku).or_default().entry(day).or_default() += units;
            }
            Err(what) if problems.len() < PROBLEMS_TOLD => {
                problems.push(format!("{shown}:{}: {what}", at + 2));
            }
            Err(_) => {}
        }
    }
    if !problems.is_empty() {
        return Err(anyhow!("{}", problems.join("\n")));
    }
    let all = || days.values().flat_map(|days| days.keys().copied());
    let (first, last) = all()
        .min()
        .zip(all().max())
        .ok_or_else(|| anyhow!("{shown}: no sales in it"))?;
    let weeks = (last - first + 1) / 7;
    if weeks > SALES_WEEKS_MAX {
        return Err(anyhow!(
            "{shown}: found {weeks} weeks, expected at most {SALES_WEEKS_MAX}"
        ));
    }
    let from = last + 1 - weeks * 7;
    let sold = days.into_iter().map(|(sku, days)| {
        let mut by_week = vec![0.0; usize::try_from(weeks).unwrap_or(0)];
        for (day, units) in days {
            let week = usize::try_from((day - from).div_euclid(7)).ok();
            if let Some(sum) = week.and_then(|week| by_week.get_mut(week)) {
                *sum += units;
            }
        }
        Sold {
            sku,
            weeks: by_week,
        }
    });
    Ok(sold.collect())
}

/// Days since 1970, SKU and units of a line.
fn row(line: &str) -> Result<(i64, String, f64), String> {
    let (day, rest) = line
        .trim()
        .split_once(',')
        .ok_or("expected date,sku,units")?;
    let (sku, units) = rest.rsplit_once(',').ok_or("expected date,sku,units")?;
    let date: jiff::civil::Date = day
        .parse()
        .map_err(|_| format!("date: found {day:?}, expected a day such as 2026-10-01"))?;
    let number: Option<f64> = units.parse().ok();
    let number = number.filter(|units| units.is_finite() && *units >= 0.0);
    let number = number.ok_or_else(|| format!("units: found {units:?}, expected 0 or more"))?;
    let epoch = jiff::civil::Date::constant(1970, 1, 1);
    let day = date.since(epoch).map(|span| i64::from(span.get_days()));
    let sku = sku.trim_matches('"').to_owned();
    if sku.is_empty() {
        return Err("sku: found nothing, expected one".to_owned());
    }
    Ok((day.map_err(|_| "date: out of bounds")?, sku, number))
}

fn yaml(campaign: &Campaign, policy: &Policy, basis: &str, plans: &[SkuPlan]) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut text = format!(
        "# Made by `seawall plan stock`; units. docs/plan.md says how each figure is found.\n\
         version: 1\ncampaign: {}\nbasis: {}\nservice_level: {}\nfloor: {}\n\
         lead_weeks: {}\nskus:\n",
        quoted(&campaign.name),
        quoted(basis),
        policy.service_level,
        policy.floor,
        policy.lead_weeks
    );
    for plan in plans {
        // Writing to a string cannot fail.
        _ = writeln!(
            text,
            "  - {{sku: {}, weekly_demand: {:.2}, sale_demand: {:.2}, safety: {}, \
             reorder_point: {}, allocated: {}, service: {:.4}, alerts: [{}]}}",
            quoted(&plan.sku),
            plan.weekly_demand,
            plan.sale_demand,
            plan.safety,
            plan.reorder_point,
            plan.allocated,
            plan.service,
            names(plan).join(", ")
        );
    }
    text
}
