//! The report as text, in sections of aligned rows; the page shows the same ones.

use super::body::{Body, Quantiles, RequestFigures, Source, TargetFigures};
use picture::{Section, thousands};
use std::fmt::Write;
use wire::report::{Report, Verdict};

pub(super) fn verdict_words(report: &Report<Body>) -> (&'static str, &'static str) {
    let body = &report.body;
    match report.verdict {
        Verdict::Holds if body.search.is_some() => ("HOLDS", "A rate that holds was found."),
        Verdict::Broken if body.search.is_some() => ("BROKEN", "Not even the lowest rate holds."),
        Verdict::Holds if body.thresholds.is_empty() => ("HOLDS", "No threshold was asked of it."),
        Verdict::Holds => ("HOLDS", "Every threshold held."),
        Verdict::Broken => ("BROKEN", "At least one threshold did not hold."),
        Verdict::None => ("NO VERDICT", "The run says nothing of its target."),
    }
}

/// The report for a terminal.
#[must_use]
pub fn table(report: &Report<Body>) -> String {
    let body = &report.body;
    let mut out = report.name.clone();
    if let Some(target) = &body.target {
        // Writing to a string cannot fail.
        _ = write!(out, " → {target}");
    }
    out.push('\n');
    for section in sections(body) {
        push_rows(&mut out, &section);
    }
    for remark in remarks(body) {
        _ = write!(out, "\n{remark}");
    }
    let (word, meaning) = verdict_words(report);
    _ = write!(
        out,
        "\n{} · {} {} · {}\nVerdict: {word} (exit code {}). {meaning}\n",
        report.command, report.build.version, report.build.commit, report.started, report.exit_code,
    );
    out
}

pub(super) fn remarks(body: &Body) -> Vec<String> {
    let mut all = body.remarks.clone();
    if !body.counts_from_plan() {
        all.push(
            "Latency counts from the sending, as that tool measures it: what waited before it was \
             sent is not in it."
                .to_owned(),
        );
    }
    for why in body.generator.iter().flat_map(|own| &own.invalid) {
        all.push(format!("INVALID: {why}"));
    }
    all
}

pub(super) fn sections(body: &Body) -> Vec<Section> {
    let mut all = Vec::new();
    if !body.thresholds.is_empty() {
        let rows = body.thresholds.iter().map(|threshold| {
            let seen = threshold.seen.clone();
            let word = if threshold.held { "holds" } else { "BROKEN" };
            let seen = seen.unwrap_or_else(|| "nothing measured".to_owned());
            vec![threshold.expression.clone(), seen, word.to_owned()]
        });
        all.push(Section {
            title: "Thresholds",
            head: vec!["", "seen", ""],
            rows: rows.collect(),
        });
    }
    if body.source == Source::Find {
        all.extend(search(body));
    } else {
        all.push(load(body));
        all.push(requests(body));
        all.extend(latency(body));
        all.extend(ends(body));
    }
    all.extend(checks(body));
    all.extend(generator(body));
    all
}

fn load(body: &Body) -> Section {
    let load = &body.load;
    let count = |value: Option<u64>| value.map(thousands);
    let rate = |value: Option<f64>| value.map(|value| format!("{value:.1}"));
    let rows = [
        ("planned arrivals", count(load.planned)),
        ("sent of them", count(load.arrived)),
        ("sent more than 10 ms late", count(load.late)),
        ("planned arrivals/s", rate(load.planned_per_s)),
        ("requests/s", rate(load.requests_per_s)),
        ("seconds", rate(load.seconds)),
        ("live buyers, most", count(load.buyers_max)),
        ("connections, most", count(load.connections_max)),
    ];
    let known = rows
        .into_iter()
        .filter_map(|(name, value)| Some(vec![name.to_owned(), value?]));
    Section {
        title: "Load",
        head: Vec::new(),
        rows: known.collect(),
    }
}

fn all_requests(body: &Body) -> impl Iterator<Item = &RequestFigures> {
    // One request alone is all of them.
    let named = body.requests.iter().filter(|_| body.requests.len() > 1);
    named.chain([&body.total])
}

fn requests(body: &Body) -> Section {
    let count = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), thousands);
    let rows = all_requests(body).map(|one| {
        let of = |name: &str| match one.ends.is_empty() && one.sent != Some(0) {
            true => "–".to_owned(),
            false => thousands(one.ends.get(name).copied().unwrap_or(0)),
        };
        let errors = count(one.errors);
        let cells = [count(one.sent), of("good"), of("refused"), errors];
        let mut row = vec![one.name.clone()];
        row.extend(cells);
        row
    });
    Section {
        title: "Requests",
        head: vec!["", "sent", "good", "refused", "errors"],
        rows: rows.collect(),
    }
}

pub(super) fn milliseconds(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(ms) if ms < 10.0 => format!("{ms:.2}"),
        Some(ms) => format!("{ms:.1}"),
    }
}

fn quantile_cells(of: &Quantiles) -> impl Iterator<Item = String> {
    let cells = [of.p50, of.p90, of.p95, of.p99, of.p999, of.max];
    cells.into_iter().map(milliseconds)
}

fn latency(body: &Body) -> Option<Section> {
    let mut rows = Vec::new();
    for one in all_requests(body) {
        let kinds = [
            ("from the plan", &one.latency_ms),
            ("from the sending", &one.service_ms),
            ("refusals", &one.refused_ms),
        ];
        for (what, quantiles) in kinds {
            if let Some(quantiles) = quantiles {
                let mut row = vec![format!("{}, {what}", one.name)];
                row.extend(quantile_cells(quantiles));
                rows.push(row);
            }
        }
    }
    (!rows.is_empty()).then(|| Section {
        title: "Latency in milliseconds",
        head: vec!["", "p50", "p90", "p95", "p99", "p99.9", "max"],
        rows,
    })
}

fn ends(body: &Body) -> Option<Section> {
    let total = &body.total;
    let ends = total.ends.iter().filter(|(name, _)| *name != "good");
    let mut rows: Vec<Vec<String>> = ends
        .map(|(name, count)| vec![name.clone(), thousands(*count)])
        .collect();
    let statuses = total.unexpected_statuses.iter();
    rows.extend(statuses.map(|(code, n)| vec![format!("status {code}"), thousands(*n)]));
    let reasons = total.reasons.iter();
    rows.extend(reasons.map(|(reason, n)| vec![reason.clone(), thousands(*n)]));
    (!rows.is_empty()).then(|| Section {
        title: "Not good",
        head: Vec::new(),
        rows,
    })
}

fn checks(body: &Body) -> Option<Section> {
    let rows: Vec<Vec<String>> = body
        .checks()
        .map(|(request, check)| {
            let word = match check.never_ran() {
                true => "BROKEN",
                false => "",
            };
            let name = format!("{request}: {}", check.name);
            let counts = [thousands(check.passed), thousands(check.failed)];
            let mut row = vec![name];
            row.extend(counts);
            row.push(word.to_owned());
            row
        })
        .collect();
    (!rows.is_empty()).then(|| Section {
        title: "Checks",
        head: vec!["", "passed", "failed", ""],
        rows,
    })
}

fn generator(body: &Body) -> Option<Section> {
    let own = body.generator.as_ref()?;
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    Some(Section {
        title: "The generator itself",
        head: Vec::new(),
        rows: vec![
            row("workers", own.workers.to_string()),
            row("busiest second", format!("{:.0} %", own.busiest * 100.0)),
            row("processor seconds", format!("{:.2}", own.cpu_s)),
            row(
                "seconds without a processor",
                format!("{:.2}", own.starved_s),
            ),
            row("lag p99, ms", milliseconds(own.lag_p99_ms)),
        ],
    })
}

fn search(body: &Body) -> Option<Section> {
    let search = body.search.as_ref()?;
    let mut rows: Vec<Vec<String>> = search
        .steps
        .iter()
        .map(|step| {
            let of = step.latency_ms.as_ref();
            let p99 = milliseconds(of.and_then(|of| of.p99));
            let errors: u64 = step
                .ends
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "good" | "refused"))
                .map(|(_, count)| count)
                .sum();
            let confirms = if step.confirms { " (confirms)" } else { "" };
            let why = step.because.join("; ");
            let target = step.target.as_ref().map(used_words);
            let word = format!("{} {why} {}", step.came_to, target.unwrap_or_default());
            vec![
                format!("{:.1}/s{confirms}", step.per_s),
                format!("{:.1}", step.answered_per_s),
                p99,
                thousands(errors),
                word.trim().to_owned(),
            ]
        })
        .collect();
    rows.push(vec![found_words(body)]);
    Some(Section {
        title: "Search",
        head: vec!["rate", "answered/s", "p99 ms", "errors", ""],
        rows,
    })
}

/// What a target used, in words.
fn used_words(used: &TargetFigures) -> String {
    let processors = used.processors.map(|n| format!("{n:.2} processors"));
    let memory = used
        .memory_bytes
        .map(|n| format!("{:.1} MiB", n / 1_048_576.0));
    let files = used.open_files.map(|n| format!("{n:.0} open files"));
    let all: Vec<String> = [processors, memory, files].into_iter().flatten().collect();
    format!("[target: {}]", all.join(", "))
}

/// What a search found, in a sentence.
pub(super) fn found_words(body: &Body) -> String {
    let Some(search) = &body.search else {
        return String::new();
    };
    let held = search.held_per_s.unwrap_or(f64::NAN);
    let failed = search.failed_per_s.unwrap_or(f64::NAN);
    let why = search.why.as_deref().unwrap_or("");
    match search.found.as_str() {
        "between" => format!("{held:.1}/s hold, {failed:.1}/s do not"),
        "at_least" => format!("at least {held:.1}/s: {why}"),
        "below" => format!("less than {failed:.1}/s"),
        _ => format!("INVALID: {why}"),
    }
}

pub(super) fn push_rows(out: &mut String, section: &Section) {
    let columns = section.rows.iter().map(Vec::len).max().unwrap_or(0);
    let heads: Vec<String> = section.head.iter().map(|cell| (*cell).to_owned()).collect();
    let with_head = || std::iter::once(&heads).chain(&section.rows);
    let width = |column: usize| {
        let rows = with_head().filter(|row| row.len() > 1);
        let cells = rows.filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    _ = writeln!(out, "\n{}", section.title);
    for row in with_head().filter(|row| !row.is_empty()) {
        let mut text = String::new();
        for (column, cell) in row.iter().enumerate() {
            let (width, last) = (widths[column], column + 1 == row.len());
            let figure = cell.starts_with(|c: char| c.is_ascii_digit() || c == '–');
            _ = match column {
                0 => write!(text, "  {cell:<width$}"),
                _ if last && !figure && columns > 2 => write!(text, "  {cell}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        _ = writeln!(out, "{}", text.trim_end());
    }
}
