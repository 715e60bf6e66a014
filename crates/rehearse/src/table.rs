//! The report as text: sections of aligned rows, the same that the page shows.

use crate::report::{About, Body, Percentiles};
use picture::{Section, thousands};
use std::fmt::Write;
use wire::report::{Report, Verdict};

pub(crate) fn verdict_words(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Holds => ("HOLDS", "Every promise was kept under the planned flood."),
        Verdict::Broken => ("BROKEN", "At least one promise was not kept."),
        Verdict::None => (
            "NO VERDICT",
            "The flood or the evidence was not what was planned.",
        ),
    }
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

pub(crate) fn sections(body: &Body) -> Vec<Section> {
    let mut all = vec![expected(&body.expectations), demand(body), orders(body)];
    all.extend(books(body));
    all.push(speed(body));
    all.push(latency(body));
    all.extend(
        body.drill
            .iter()
            .flat_map(|drill| drill.sections(body.t0_s)),
    );
    if !body.errors.is_empty() {
        all.push(errors(body));
    }
    all.extend(body.door.iter().flat_map(crate::door::sections));
    if !body.audit.is_empty() {
        all.push(audit(body));
    }
    all
}

/// What was expected, what was found.
pub(crate) fn expected(all: &[crate::report::Expectation]) -> Section {
    let row = |e: &crate::report::Expectation| {
        let word = match (e.holds, e.about) {
            (true, _) => "holds",
            (false, About::Promise | About::Drill) => "BROKEN",
            (false, About::Flood) => "NOT MET",
        };
        vec![
            e.what.clone(),
            e.expected.clone(),
            e.found.clone(),
            word.to_owned(),
        ]
    };
    let rows = all.iter().map(row).collect();
    Section {
        title: "Expectations",
        head: vec!["", "expected", "found", ""],
        rows,
    }
}

pub(crate) fn pairs(title: &'static str, rows: Vec<(&str, String)>) -> Section {
    let rows = rows
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    Section {
        title,
        head: Vec::new(),
        rows,
    }
}

fn demand(body: &Body) -> Section {
    let load = &body.load;
    let mut rows = vec![
        ("buyers", thousands(u64::from(load.buyers))),
        ("planned arrivals", thousands(load.planned)),
        ("sent as planned", thousands(load.sent_as_planned)),
    ];
    for (what, count) in [
        ("met a closed door (shop down)", load.met_closed_door),
        ("sent late", load.late),
        ("never sent", load.dropped),
    ] {
        if count > 0 {
            rows.push((what, thousands(count)));
        }
    }
    rows.push((
        "followed (payments, cancellations)",
        thousands(load.followed),
    ));
    rows.push(("retried under the same key", thousands(load.retried)));
    rows.push(("requests in all", thousands(load.requests)));
    rows.push(("answers", thousands(load.answered)));
    pairs("Demand", rows)
}

fn orders(body: &Body) -> Section {
    let orders = &body.orders;
    let mut rows = vec![
        ("offered", thousands(orders.offered)),
        (
            "admitted (decided by the rules)",
            thousands(orders.admitted),
        ),
        ("held", thousands(orders.held)),
        ("paid", thousands(orders.paid)),
    ];
    let labels: Vec<(String, u64)> = orders
        .refused
        .iter()
        .map(|(code, n)| (format!("refused: {code}"), *n))
        .collect();
    rows.extend(
        labels
            .iter()
            .map(|(label, n)| (label.as_str(), thousands(*n))),
    );
    rows.push(("turned away for load", thousands(orders.turned_away)));
    rows.push(("never answered", thousands(orders.unanswered)));
    pairs("Orders, as buyers saw them", rows)
}

fn books(body: &Body) -> Option<Section> {
    let books = body.books.as_ref()?;
    Some(pairs(
        "The books, by the journal",
        vec![
            ("entries", thousands(books.entries)),
            ("orders held", thousands(books.orders)),
            ("paid", thousands(books.paid)),
            ("expired", thousands(books.expired)),
            ("cancelled", thousands(books.cancelled)),
            ("still held", thousands(books.still_held)),
            ("taken back by a late payment", thousands(books.taken_back)),
            ("refunds due", thousands(books.refunds_due)),
            ("units returned", thousands(books.returned_units)),
            ("units stocked", thousands(books.stocked_units)),
            ("units sold", thousands(books.sold_units)),
            ("units free", thousands(books.free_units)),
        ],
    ))
}

fn figures(ms: &Percentiles) -> Vec<String> {
    let one = |value: f64| {
        if value >= 100.0 {
            format!("{value:.0}")
        } else {
            format!("{value:.2}")
        }
    };
    let mut cells = vec![thousands(ms.count)];
    cells.extend([ms.p50, ms.p90, ms.p99, ms.p999, ms.max].map(one));
    cells
}

fn latency(body: &Body) -> Section {
    let row = |what: &str, ms: &Percentiles| {
        let mut cells = vec![what.to_owned()];
        cells.extend(figures(ms));
        cells
    };
    let mut rows: Vec<Vec<String>> = body
        .latency
        .iter()
        .map(|figures| row(&figures.what, &figures.ms))
        .collect();
    rows.push(row("(the generator's own lag)", &body.load.lag_ms));
    Section {
        title: "Latency in milliseconds, from the planned instant",
        head: vec!["", "count", "p50", "p90", "p99", "p99.9", "max"],
        rows,
    }
}

fn speed(body: &Body) -> Section {
    let load = &body.load;
    let mut rows = vec![
        (
            "requests in the first second from T0",
            thousands(load.rps_at_t0),
        ),
        ("requests/s, peak", thousands(load.rps_peak)),
        (
            "orders/s decided, peak",
            thousands(body.orders.decided_peak_per_s),
        ),
        (
            "orders/s accepted and durable, peak",
            thousands(body.orders.accepted_peak_per_s),
        ),
        ("connections, peak", thousands(load.connections_peak)),
        (
            "generator: processor, mean",
            percent(load.generator_cpu_share),
        ),
        (
            "generator: processor, busiest second",
            percent(load.generator_cpu_share_peak),
        ),
        (
            "generator: waited for a processor",
            percent(load.generator_starved_share),
        ),
        (
            "first start to first answer",
            format!("{:.0} ms", body.first_start_ms),
        ),
    ];
    let kills: Vec<(String, String)> = body
        .kills
        .iter()
        .take(5)
        .map(|kill| {
            let (offset, down) = (kill.killed_s - body.t0_s, kill.back_s - kill.killed_s);
            let what = format!("SIGKILL at T{offset:+.1}s: down for");
            (what, format!("{:.0} ms", down * 1_000.0))
        })
        .collect();
    rows.extend(
        kills
            .iter()
            .map(|(what, value)| (what.as_str(), value.clone())),
    );
    let slowest = body
        .kills
        .iter()
        .map(|kill| kill.restart_ms)
        .fold(0.0, f64::max);
    if !body.kills.is_empty() {
        rows.push((
            "restart to first answer, slowest",
            format!("{slowest:.0} ms"),
        ));
    }
    pairs("Speed", rows)
}

fn errors(body: &Body) -> Section {
    let row = |(label, split): (&String, &crate::measure::Split)| {
        vec![
            label.clone(),
            thousands(split.in_kill),
            thousands(split.outside),
        ]
    };
    let rows = body.errors.iter().map(row).collect();
    Section {
        title: "Errors",
        head: vec!["", "in the kill", "outside"],
        rows,
    }
}

fn audit(body: &Body) -> Section {
    let row = |check: &crate::report::CheckFigures| {
        let word = match (check.holds, check.looked_at) {
            (false, _) => "BROKEN",
            (true, 0) => "nothing to see",
            (true, _) => "holds",
        };
        let (seen, failed) = (thousands(check.looked_at), thousands(check.failed));
        vec![check.what.clone(), seen, failed, word.to_owned()]
    };
    let rows = body.audit.iter().map(row).collect();
    Section {
        title: "Audit",
        head: vec!["", "looked at", "failed", ""],
        rows,
    }
}

/// The whole report as text.
pub(crate) fn text(report: &Report<Body>) -> String {
    let (word, meaning) = verdict_words(report.verdict);
    let mut out = format!("{} – {word}\n{meaning}\n", report.body.title);
    for section in sections(&report.body) {
        push_section(&mut out, &section);
    }
    let broken = report.body.audit.iter().filter(|check| !check.holds);
    for check in broken {
        // Writing to a string cannot fail.
        _ = writeln!(out, "\nBroken: {}", check.what);
        for failure in &check.failures {
            _ = writeln!(out, "  {failure}");
        }
    }
    if !report.body.remarks.is_empty() {
        out.push('\n');
    }
    for remark in &report.body.remarks {
        _ = writeln!(out, "{remark}");
    }
    let (build, machine) = (&report.build, &report.machine);
    _ = writeln!(
        out,
        "\n{} · commit {} ({}) · {} × {} · {} MiB · {} · seed {} · {}",
        report.command,
        build.commit,
        build.profile,
        machine.cores,
        machine.processor,
        thousands(machine.memory_mib),
        machine.system,
        report.body.seed,
        report.started,
    );
    _ = writeln!(out, "Verdict: {word} (exit code {})", report.exit_code);
    out
}

pub(crate) fn push_section(out: &mut String, section: &Section) {
    let columns = section.rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = section.rows.iter().filter_map(|row| row.get(column));
        let head = section
            .head
            .get(column)
            .map_or(0, |cell| cell.chars().count());
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
            .max(head)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    _ = writeln!(out, "\n{}", section.title);
    let mut line = |cells: &[&str]| {
        let mut text = String::new();
        for (column, cell) in cells.iter().enumerate() {
            let width = widths[column];
            // Names to the left, figures to the right, closing words to the left again.
            let word = column > 0 && !cell.starts_with(|c: char| c.is_ascii_digit() || c == '≥');
            _ = match column {
                0 => write!(text, "  {cell:<width$}"),
                _ if word && column + 1 == cells.len() => write!(text, "  {cell:<width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        _ = writeln!(out, "{}", text.trim_end());
    };
    if !section.head.is_empty() {
        line(&section.head);
    }
    for row in &section.rows {
        line(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
}
