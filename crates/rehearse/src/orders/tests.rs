//! Rows in, plan and facts out; and the real shop's lines when they are there.

use super::*;
use std::path::PathBuf;

const HEAD: &str =
    "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";
const DAY: &str = "2010-12-01 08:26:00";

/// Rows as `invoice code quantity price customer`.
fn check(rows: &[&str]) -> (Plan, Facts) {
    let mut text = HEAD.to_owned();
    for row in rows {
        let cells: Vec<&str> = row.split(' ').collect();
        let [invoice, code, quantity, price, customer] = cells[..] else {
            panic!("{row}")
        };
        text.push_str(&format!(
            "{invoice},{code},T,{quantity},{DAY},{price},{customer},UK\n"
        ));
    }
    read_text(&text)
}

fn read_text(text: &str) -> (Plan, Facts) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("day.csv");
    std::fs::write(&file, text).unwrap();
    let mut invoices = Invoices::default();
    rows::read(&file, folder.path(), &mut |reading| invoices.take(reading)).unwrap();
    invoices.plan(100.0, 0.85, 1)
}

#[test]
fn an_invoice_is_a_basket_and_same_lines_are_one() {
    let (plan, facts) = check(&[
        "1 A 6 2.55 7",
        "1 B 2 1.00 7",
        "1 A 4 2.55 7",
        "1 A 1 3.00 7",
        "2 a 9 2.55 8",
    ]);
    assert_eq!(plan.baskets.len(), 2);
    assert_eq!(&*plan.baskets[0].lines, &[(0, 11), (1, 2)]);
    assert_eq!(&*plan.baskets[1].lines, &[(0, 9)]);
    assert_eq!((facts.merged, facts.merged_across_prices), (1, 1));
    assert_eq!(facts.products_of_several_prices, 1);
    // 85 % of 20; sold at the price of most units.
    let product = &plan.products[0];
    assert_eq!(
        (product.sku.as_str(), product.stock, product.price),
        ("A", 17, 255)
    );
    assert_eq!(plan.buyers, 2);
}

#[test]
fn returns_find_the_latest_basket_and_what_finds_none_is_counted() {
    let (plan, facts) = check(&[
        "1 A 5 1.00 7",
        "2 A 3 1.00 7",
        "3 A 9 1.00 8",
        "C4 A -4 1.00 7",
        "C5 A -6 1.00 7",
        "C6 B -1 1.00 7",
        "C7 A -1 1.00 9",
    ]);
    let returns: Vec<_> = plan
        .returns
        .iter()
        .map(|r| (r.basket, r.lines.clone()))
        .collect();
    let expected = vec![(0, vec![(0, 1)]), (1, vec![(0, 3)]), (0, vec![(0, 4)])];
    assert_eq!(returns, expected);
    assert_eq!((facts.returned_units, facts.unmatched_units), (8, 4));
    assert_eq!((facts.return_lines, facts.unmatched_return_lines), (4, 3));
    // Nobody ordered B: it is listed without stock.
    assert_eq!(plan.products[1].stock, 0);
}

#[test]
fn lines_without_sense_are_left_out_by_reason() {
    let rows = [
        (
            "1,A,T,-1,2010-12-01 08:26:00,1.00,7,UK",
            "negative quantity outside of a C invoice",
        ),
        (
            "C1,A,T,1,2010-12-01 08:26:00,1.00,7,UK",
            "positive quantity in a C invoice",
        ),
        ("1,A,T,0,2010-12-01 08:26:00,1.00,7,UK", "quantity of zero"),
        ("1,A,T,x,2010-12-01 08:26:00,1.00,7,UK", "no quantity"),
        ("1,A,T,1,2010-12-01 08:26:00,0.0,7,UK", "price of zero"),
        ("1,A,T,1,2010-12-01 08:26:00,-5,7,UK", "negative price"),
        ("1,,T,1,2010-12-01 08:26:00,1.00,7,UK", "no stock code"),
        (",A,T,1,2010-12-01 08:26:00,1.00,7,UK", "no invoice number"),
        ("1,A,T,1,,1.00,7,UK", "no date"),
        ("1,A,T,1,soon,1.00,7,UK", "no date"),
        ("1,A,T", "too few columns"),
        (
            "1,A,T,9999999,2010-12-01 08:26:00,1.00,7,UK",
            "quantity beyond all bounds",
        ),
    ];
    for (row, why) in rows {
        let (plan, facts) = read_text(&format!("{HEAD}{row}\n"));
        assert_eq!(facts.odd.iter().collect::<Vec<_>>(), [(&why, &1)], "{row}");
        assert!(
            facts.odd_shown[0].contains("day.csv:2: "),
            "{:?}",
            facts.odd_shown
        );
        assert!(plan.baskets.is_empty(), "{row}");
    }
}

#[test]
fn a_basket_with_too_many_lines_is_split_and_said_to_be() {
    let rows: Vec<String> = (0..2_100).map(|n| format!("1 P{n} 1 1.00 7")).collect();
    let (plan, facts) = check(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let sizes: Vec<usize> = plan
        .baskets
        .iter()
        .map(|basket| basket.lines.len())
        .collect();
    assert_eq!(sizes, [1_000, 1_000, 100]);
    assert_eq!((facts.split, facts.baskets, facts.invoices), (1, 3, 1));
}

#[test]
fn a_missing_column_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("day.csv");
    std::fs::write(&file, "InvoiceNo,StockCode\n1,A\n").unwrap();
    let error = rows::read(&file, folder.path(), &mut |_| {})
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("day.csv: line 1: no column Description"),
        "{error}"
    );
}

#[test]
fn the_real_shops_lines_are_all_accounted_for() {
    let data = std::env::var_os("SEAWALL_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let archive = data.join("online-retail-2010-12_2011-08.tar.xz");
    if !archive.exists() {
        eprintln!("skipped: no real data at {}", data.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut invoices = Invoices::default();
    rows::read(&archive, folder.path(), &mut |reading| {
        invoices.take(reading)
    })
    .unwrap();
    let (plan, facts) = invoices.plan(500.0, 0.85, 1);
    assert_eq!(facts.files, 219);
    let odd: u64 = facts.odd.values().sum();
    let planned: u64 = plan
        .baskets
        .iter()
        .map(|basket| basket.lines.len() as u64)
        .sum();
    // Every row is a line of a basket, merged into one, a return, or told to make no sense.
    let merged = facts.merged + facts.merged_across_prices;
    assert_eq!(
        facts.rows,
        planned + merged + facts.return_lines + odd,
        "{facts:?}"
    );
    assert!(facts.rows > 300_000 && facts.baskets > 10_000 && facts.returned_units > 0);
    let (stock, demand): (u64, u64) = (
        plan.products.iter().map(|p| p.stock).sum(),
        plan.demand().iter().sum(),
    );
    let share = stock as f64 / demand as f64;
    assert!((0.83..=0.85).contains(&share), "{share}");
}
