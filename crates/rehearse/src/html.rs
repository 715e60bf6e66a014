//! The report as one page that stands alone: no script, no font, no address of anybody else.

use crate::report::{Body, SecondFigures};
use crate::table::{sections, verdict_words};
use picture::{Chart, Kind, Series, escape, marked, thousands};
use std::fmt::Write;
use wire::report::{Report, Verdict};

/// Products whose stock is drawn.
const STOCKS_DRAWN: usize = 8;
const SKU_CLASSES: [&str; STOCKS_DRAWN] = ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"];

pub(crate) fn page(report: &Report<Body>) -> String {
    let body = &report.body;
    let (word, meaning) = verdict_words(report.verdict);
    let class = verdict_class(report.verdict);
    let title = escape(&body.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}: {word}</title><style>{}</style></head><body><main>\n\
         <header><p class=\"kind\">Seawall {} report</p><h1>{title}</h1>\
         <p class=\"verdict {class}\"><strong>{word}</strong> {meaning}</p></header>\n",
        picture::CSS,
        escape(&report.kind),
    );
    push_cards(&mut out, body);
    push_charts(&mut out, body);
    out.push_str("<div class=\"sections\">");
    for section in sections(body) {
        out.push_str(&section.html());
    }
    out.push_str("</div>");
    push_broken(&mut out, body);
    push_stocks(&mut out, body);
    push_foot(&mut out, report);
    out.push_str("</main></body></html>\n");
    out
}

/// The colour of a verdict.
pub(crate) fn verdict_class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "good",
        Verdict::Broken => "bad",
        Verdict::None => "none",
    }
}

fn push_cards(out: &mut String, body: &Body) {
    let orders_p99 = body
        .latency
        .iter()
        .rev()
        .find(|row| row.what.starts_with("orders"))
        .map_or_else(|| "–".to_owned(), |row| duration(row.ms.p99));
    let mut cards = vec![
        (
            "requests in the first second from T0",
            thousands(body.load.rps_at_t0),
        ),
        ("orders offered", thousands(body.orders.offered)),
        ("orders held, durable", thousands(body.orders.held)),
        (
            "orders/s decided, peak",
            thousands(body.orders.decided_peak_per_s),
        ),
        ("p99 of orders, planned to answered", orders_p99),
    ];
    if let [kill, ..] = body.kills.as_slice() {
        let down = (kill.back_s - kill.killed_s) * 1_000.0;
        cards.push(("down after SIGKILL", duration(down)));
    }
    out.push_str("<dl class=\"cards\">");
    for (what, value) in cards {
        // Writing to a string cannot fail.
        _ = write!(out, "<div><dd>{value}</dd><dt>{what}</dt></div>");
    }
    out.push_str("</dl>\n");
}

/// Milliseconds with the digits that matter.
fn duration(ms: f64) -> String {
    match ms {
        ..10.0 => format!("{ms:.1} ms"),
        ..1_000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.1} s", ms / 1_000.0),
    }
}

fn push_charts(out: &mut String, body: &Body) {
    let marks = body
        .drill
        .as_ref()
        .map(|drill| drill.marks())
        .unwrap_or_default();
    // A drill marks its kills as it marks its other faults.
    let kills: Vec<(f64, f64)> = match body.drill {
        None => body.kills.iter().map(|k| (k.killed_s, k.back_s)).collect(),
        Some(_) => Vec::new(),
    };
    let draw = |title: &str, unit: &str, kind: Kind, series: Vec<Series>| {
        let (t0, kills, seconds) = (Some(body.t0_s), kills.clone(), body.seconds.len());
        let chart = Chart {
            title,
            unit,
            kind,
            series,
            t0,
            kills,
            seconds,
        };
        marked(&chart, &marks)
    };
    let series = |name: &str, class: &'static str, of: fn(&SecondFigures) -> f64| Series {
        name: name.to_owned(),
        class,
        values: body.seconds.iter().map(of).collect(),
    };
    out.push_str(&draw(
        "Requests a second",
        "1/s",
        Kind::Lines,
        vec![
            series("planned arrivals", "c6", |s| s.planned as f64),
            series("sent, with payments and retries", "c1", |s| s.sent as f64),
            series("answered", "c2", |s| s.answered as f64),
        ],
    ));
    out.push_str(&draw(
        "Latency of what was planned in each second, until its answer",
        "ms",
        Kind::LogLines,
        vec![
            series("p50", "c2", |s| {
                if s.p50_ms > 0.0 { s.p50_ms } else { f64::NAN }
            }),
            series("p99", "c1", |s| {
                if s.p99_ms > 0.0 { s.p99_ms } else { f64::NAN }
            }),
            series("max", "c4", |s| {
                if s.max_ms > 0.0 { s.max_ms } else { f64::NAN }
            }),
        ],
    ));
    out.push_str(&draw(
        "What came back, in each second",
        "1/s",
        Kind::Stacked,
        vec![
            series("held", "c2", |s| s.held as f64),
            series("paid", "c3", |s| s.paid as f64),
            series("browsed, signed in", "c6", |s| s.seen as f64),
            series("refused by the rules", "c5", |s| s.refused as f64),
            series("turned away for load", "c7", |s| s.turned_away as f64),
            series("errors", "c4", |s| s.errors as f64),
        ],
    ));
    for (title, unit, kind, series) in body.door.iter().flat_map(crate::door::charts) {
        out.push_str(&draw(title, unit, kind, series));
    }
    if !body.stocks.is_empty() {
        let stock = |(stock, class): (&crate::report::StockFigures, &'static str)| Series {
            name: format!("{} ({})", stock.title, stock.sku),
            class,
            values: stock
                .free_by_second
                .iter()
                .map(|free| f64::from(*free))
                .collect(),
        };
        let top = body.stocks.iter().zip(SKU_CLASSES).map(stock).collect();
        let title = "Units free of the products most in demand, by the journal";
        out.push_str(&draw(title, "units", Kind::Lines, top));
    }
}

fn push_broken(out: &mut String, body: &Body) {
    for check in body.audit.iter().filter(|check| !check.holds) {
        _ = write!(
            out,
            "<section class=\"broken\"><h2>Broken: {}</h2><ul>",
            escape(&check.what)
        );
        for failure in &check.failures {
            _ = write!(out, "<li>{}</li>", escape(failure));
        }
        out.push_str("</ul></section>\n");
    }
}

fn push_stocks(out: &mut String, body: &Body) {
    /// Rows of the page; the JSON has all.
    const ROWS: usize = 100;
    if body.stocks.is_empty() {
        return;
    }
    out.push_str(
        "<section><h2>Products, most wanted first</h2><div class=\"scroll\"><table><thead><tr>\
         <th></th><th></th><th>stocked</th><th>wanted</th><th>sold</th><th>free in the end</th>\
         <th></th></tr></thead><tbody>",
    );
    for stock in body.stocks.iter().take(ROWS) {
        let word = if stock.sold_out { "sold out" } else { "" };
        _ = write!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"text\">{}</td><td>{}</td><td>{}</td>\
             <td>{}</td><td>{}</td><td>{word}</td></tr>",
            escape(&stock.sku),
            escape(&stock.title),
            thousands(u64::from(stock.stocked)),
            thousands(stock.demand),
            thousands(u64::from(stock.sold)),
            thousands(u64::from(stock.free)),
        );
    }
    out.push_str("</tbody></table></div>");
    if body.stocks.len() > ROWS {
        _ = write!(out, "<p>and {} more</p>", body.stocks.len() - ROWS);
    }
    out.push_str("</section>\n");
}

fn push_foot(out: &mut String, report: &Report<Body>) {
    out.push_str("<footer>");
    for remark in &report.body.remarks {
        _ = write!(out, "<p>{}</p>", escape(remark));
    }
    let (build, machine) = (&report.build, &report.machine);
    _ = write!(
        out,
        "<p>The audit used only what buyers received and an offline reading of the journal, never \
         the server's word. Latency counts from the planned instant, so a slow shop cannot hide \
         behind a waiting generator.</p><dl>\
         <dt>Command</dt><dd><code>{}</code></dd><dt>Build</dt><dd>{} · commit {} · {}</dd>\
         <dt>Machine</dt><dd>{} × {} · {} MiB · {}</dd>\
         <dt>Started</dt><dd>{} · {:.0} s · seed {}\
         </dd></dl></footer>",
        escape(&report.command),
        escape(&build.version),
        escape(&build.commit),
        escape(&build.profile),
        machine.cores,
        escape(&machine.processor),
        thousands(machine.memory_mib),
        escape(&machine.system),
        escape(&report.started),
        report.seconds,
        report.body.seed,
    );
}
