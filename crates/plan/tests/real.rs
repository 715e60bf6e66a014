//! The forecast on series that nobody here made: it has to beat the seasonal naive where the
//! document says so. Without the data it says so and passes.

use plan::forecast::{BackTest, Trial, back_test};
use plan::stock::{Errors, Policy, Sold, demand};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The unpacked file, or `None` where there is no data.
fn unpacked(name: &str, member: &str) -> Option<String> {
    let folder = std::env::var_os("SEAWALL_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let file = folder.join(name);
    if !file.exists() {
        println!("skipped: no real data at {}", file.display());
        return None;
    }
    let out = Command::new("tar")
        .arg("xOf")
        .arg(&file)
        .arg(member)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", file.display());
    Some(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Days since 1970 of `2017-06-02`.
fn day(text: &str) -> i64 {
    let part = |from: usize, to: usize| text[from..to].parse::<i64>().unwrap();
    let (y, m, d) = (part(0, 4), part(5, 7), part(8, 10));
    let (y, m) = if m <= 2 { (y - 1, m + 9) } else { (y, m - 3) };
    y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + d - 1 - 719_468
}

fn rows(text: &str) -> Vec<(i64, f64)> {
    let lines = text.split(['\n', '\r']).filter(|line| line.contains("-"));
    let mut rows: Vec<(i64, f64)> = lines
        .filter_map(|line| {
            let (at, value) = line.trim().split_once(',')?;
            Some((day(at.trim_matches('"')), value.parse().ok()?))
        })
        .collect();
    rows.sort_by_key(|row| row.0);
    rows
}

/// A value for each day, missing ones as such.
fn daily(rows: &[(i64, f64)]) -> Vec<Option<f64>> {
    let (first, last) = (rows[0].0, rows[rows.len() - 1].0);
    let mut days = vec![None; (last - first + 1) as usize];
    rows.iter()
        .for_each(|(day, value)| days[(day - first) as usize] = Some(*value));
    days
}

fn told(name: &str, test: &BackTest) {
    println!(
        "{name}: {} x {}: MAPE {:.1} % (naive {:.1}), WAPE {:.1} % (naive {:.1}), coverage {:.1} %",
        test.folds,
        test.horizon,
        test.mape * 100.0,
        test.naive_mape * 100.0,
        test.wape * 100.0,
        test.naive_wape * 100.0,
        test.coverage * 100.0
    );
}

#[test]
fn beats_the_seasonal_naive_on_other_peoples_series() {
    let cases = [
        ("air_passengers", false, [12], 12, 12, 4),
        ("retail_sales", false, [12], 12, 12, 6),
        ("pedestrians_covid", true, [7], 7, 28, 8),
        ("wp_log_R", true, [7], 7, 28, 8),
    ];
    for (name, by_day, periods, naive, horizon, folds) in cases {
        let member = format!("examples/example_{name}.csv");
        let Some(text) = unpacked("prophet-series-dev.tar.xz", &member) else {
            return;
        };
        let rows = rows(&text);
        let history = if by_day {
            daily(&rows)
        } else {
            rows.iter().map(|row| Some(row.1)).collect()
        };
        let trial = Trial {
            periods: &periods,
            naive,
            horizon,
            folds,
            level: 0.9,
        };
        let (test, _) = back_test(&history, &trial).unwrap();
        told(name, &test);
        assert!(test.beats_naive(), "{name}: {test:?}");
        // By WAPE the lockdowns of Melbourne's pedestrians win: whoever only repeats is back first.
        assert_eq!(
            test.wape < test.naive_wape,
            name != "pedestrians_covid",
            "{name}"
        );
    }
}

#[test]
fn beats_the_seasonal_naive_on_a_real_shops_orders() {
    let file = "online-retail-2010-12_2011-08.tar.xz";
    let Some(text) = unpacked(file, "by-day") else {
        return;
    };
    let mut orders: BTreeMap<i64, std::collections::BTreeSet<&str>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with(['I', 'C'])) {
        let Some((invoice, rest)) = line.split_once(',') else {
            continue;
        };
        let Some(at) = rest.find(",201").map(|at| &rest[at + 1..at + 11]) else {
            continue;
        };
        orders.entry(day(at)).or_default().insert(invoice);
    }
    let rows: Vec<(i64, f64)> = orders
        .iter()
        .map(|(day, set)| (*day, set.len() as f64))
        .collect();
    let history = daily(&rows);
    let trial = Trial {
        periods: &[7],
        naive: 7,
        horizon: 14,
        folds: 8,
        level: 0.9,
    };
    let (test, _) = back_test(&history, &trial).unwrap();
    told("online-retail orders a day", &test);
    assert!(test.beats_naive(), "{test:?}");
}

/// Units of each SKU in each whole week of the shop's books.
fn weeks_of(text: &str) -> Vec<Sold> {
    let first = day("2010-12-06");
    let mut units: BTreeMap<&str, BTreeMap<i64, f64>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with(['I', 'C'])) {
        let Some(at) = line.find(",201") else {
            continue;
        };
        let (Some((_, rest)), when) = (line.split_once(','), &line[at + 1..at + 11]) else {
            continue;
        };
        let code = rest.split(',').next().unwrap_or_default();
        let quantity = line[..at]
            .rsplit(',')
            .next()
            .and_then(|text| text.parse::<f64>().ok());
        let price = line[at + 1..]
            .split(',')
            .nth(1)
            .and_then(|text| text.parse::<f64>().ok());
        let week = (day(when) - first).div_euclid(7);
        if let (Some(quantity), Some(price)) = (quantity, price)
            && quantity > 0.0
            && price > 0.0
            && week >= 0
        {
            *units.entry(code).or_default().entry(week).or_default() += quantity;
        }
    }
    let last = units
        .values()
        .filter_map(|weeks| weeks.keys().last())
        .max()
        .copied()
        .unwrap_or(0);
    let sold = units.into_iter().map(|(sku, weeks)| Sold {
        sku: sku.to_owned(),
        // The last week is not whole.
        weeks: (0..last)
            .map(|week| weeks.get(&week).copied().unwrap_or(0.0))
            .collect(),
    });
    sold.collect()
}

#[test]
fn stock_of_a_real_shop_held_out_by_time() {
    const HELD_OUT: usize = 8;
    let Some(text) = unpacked("online-retail-2010-12_2011-08.tar.xz", "by-day") else {
        return;
    };
    let all = weeks_of(&text);
    let policy = Policy {
        service_level: 0.95,
        floor: 0.12,
        lead_weeks: 1.0,
    };
    let until = |sold: &Sold, week: usize| Sold {
        sku: sold.sku.clone(),
        weeks: sold.weeks[..week].to_vec(),
    };
    let weeks = all[0].weeks.len();
    let known: Vec<Sold> = all
        .iter()
        .map(|sold| until(sold, weeks - HELD_OUT))
        .collect();
    let errors = Errors::measured(&known);
    let (mut wrong, mut mean_wrong, mut actual) = (0.0, 0.0, 0.0);
    let (mut met, mut count) = (0_u32, 0_u32);
    for sold in &all {
        for week in weeks - HELD_OUT..weeks {
            let before = &sold.weeks[..week];
            if before.iter().all(|units| *units == 0.0) {
                continue;
            }
            let (found, held) = (demand(before), sold.weeks[week]);
            wrong += (held - found).abs();
            mean_wrong += (held - before[week - 8..].iter().sum::<f64>() / 8.0).abs();
            actual += held;
            met += u32::from(held <= (found + errors.safety(found, &policy)).ceil());
            count += 1;
        }
    }
    let service = f64::from(met) / f64::from(count);
    println!(
        "online-retail stock, {} SKUs, {count} SKU-weeks: WAPE {:.1} % (8-week mean {:.1}), \
         service {:.1} % (target 95)",
        all.len(),
        wrong / actual * 100.0,
        mean_wrong / actual * 100.0,
        service * 100.0
    );
    assert!(wrong <= mean_wrong, "{wrong} {mean_wrong}");
    assert!((service - policy.service_level).abs() <= 0.03, "{service}");
}
