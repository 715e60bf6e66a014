//! The forecast on series that nobody here made: it has to beat the seasonal naive where the
//! document says so. Without the data it says so and passes.

use plan::forecast::{BackTest, Trial, back_test};
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
