//! The report as one page that stands alone: no script, no font, no address of anybody else.

use super::body::{Body, SecondFigures, Source, StepFigures};
use super::table::{found_words, milliseconds, remarks, sections, verdict_words};
use crate::measure::End;
use picture::{Chart, Curve, Kind, Series, curves, escape, svg, thousands};
use std::fmt::Write;
use wire::report::{Report, Verdict};

/// The report as HTML.
#[must_use]
pub fn page(report: &Report<Body>) -> String {
    let body = &report.body;
    let (word, meaning) = verdict_words(report);
    let class = match report.verdict {
        Verdict::Holds => "good",
        Verdict::Broken => "bad",
        Verdict::None => "none",
    };
    let title = escape(&report.name);
    let target = body.target.as_deref().map(|target| format!(" on {target}"));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}: {word}</title><style>{}</style></head><body><main>\n\
         <header><p class=\"kind\">Seawall {} report{}</p><h1>{title}</h1>\
         <p class=\"verdict {class}\"><strong>{word}</strong> {meaning}</p></header>\n",
        picture::CSS,
        escape(&report.kind),
        escape(&target.unwrap_or_default()),
    );
    push_cards(&mut out, body);
    push_charts(&mut out, body);
    out.push_str("<div class=\"sections\">");
    for section in sections(body) {
        out.push_str(&section.html());
    }
    out.push_str("</div>");
    push_foot(&mut out, report);
    out.push_str("</main></body></html>\n");
    out
}

fn push_cards(out: &mut String, body: &Body) {
    let mut cards = Vec::new();
    if body.search.is_some() {
        cards.push(("found", found_words(body)));
    }
    let load = &body.load;
    if let Some(sent) = body.total.sent {
        cards.push(("requests", thousands(sent)));
    }
    if let Some(rate) = load.requests_per_s {
        cards.push(("requests/s", format!("{rate:.1}")));
    }
    if let Some(of) = body.latency() {
        cards.push(("p50, ms", milliseconds(of.p50)));
        cards.push(("p99, ms", milliseconds(of.p99)));
    }
    if let Some(errors) = body.total.errors {
        cards.push(("errors", thousands(errors)));
    }
    out.push_str("<dl class=\"cards\">");
    for (what, value) in cards {
        // Writing to a string cannot fail.
        _ = write!(out, "<div><dd>{}</dd><dt>{what}</dt></div>", escape(&value));
    }
    out.push_str("</dl>\n");
}

fn push_charts(out: &mut String, body: &Body) {
    if !body.seconds.is_empty() {
        push_seconds(out, body);
    }
    let percentiles = percentiles(body);
    if !percentiles.is_empty() {
        let units = ("nines", "ms");
        let title = "Percentiles: 1 nine is p90, 2 are p99, 3 are p99.9";
        out.push_str(&curves(title, units, true, &percentiles));
    }
    if let Some(search) = &body.search {
        push_steps(out, &search.steps);
    }
}

fn push_seconds(out: &mut String, body: &Body) {
    let draw = |title: &str, unit: &str, kind: Kind, series: Vec<Series>| {
        svg(&Chart {
            title,
            unit,
            kind,
            series,
            t0: None,
            kills: Vec::new(),
            seconds: body.seconds.len(),
        })
    };
    let series = |name: &str, class: &'static str, of: &dyn Fn(&SecondFigures) -> f64| Series {
        name: name.to_owned(),
        class,
        values: body.seconds.iter().map(of).collect(),
    };
    let or_gap = |value: Option<f64>| value.filter(|ms| *ms > 0.0).unwrap_or(f64::NAN);
    let clock = match body.counts_from_plan() {
        true => "Latency of good answers, from the planned instant",
        false => "Latency of good answers, from the sending",
    };
    let p50 = series("p50", "c2", &|s| or_gap(s.p50_ms));
    let p99 = series("p99", "c1", &|s| or_gap(s.p99_ms));
    out.push_str(&draw(clock, "ms", Kind::LogLines, vec![p50, p99]));
    let mut rates = Vec::new();
    if body.source == Source::Run {
        let arrived = |s: &SecondFigures| s.arrived.map_or(f64::NAN, |n| n as f64);
        rates.push(series("arrivals", "c6", &arrived));
    }
    rates.push(series("sent", "c1", &|s| s.sent as f64));
    rates.push(series("good", "c2", &|s| s.good as f64));
    rates.push(series("refused", "c5", &|s| s.refused as f64));
    let title = "Throughput against what was offered";
    out.push_str(&draw(title, "1/s", Kind::Lines, rates));
    if body.seconds.iter().any(|second| second.errors > 0) {
        let classes = ["c4", "c5", "c7", "c3", "c6", "c8", "c1"];
        let reasons = End::ALL.into_iter().filter(|end| end.is_error());
        let stacked = reasons.zip(classes).map(|(end, class)| {
            let name = end.name();
            let of = |s: &SecondFigures| s.reasons.get(name).map_or(0.0, |n| *n as f64);
            series(name, class, &of)
        });
        let title = "Errors by reason";
        out.push_str(&draw(title, "1/s", Kind::Stacked, stacked.collect()));
    }
    if body.seconds.iter().any(|second| second.buyers.is_some()) {
        let buyers = |s: &SecondFigures| s.buyers.map_or(f64::NAN, |n| n as f64);
        let mut lines = vec![series("live buyers", "c1", &buyers)];
        if body
            .seconds
            .iter()
            .any(|second| second.connections.is_some())
        {
            let open = |s: &SecondFigures| s.connections.map_or(f64::NAN, |n| n as f64);
            lines.push(series("connections", "c6", &open));
        }
        out.push_str(&draw("Live buyers", "", Kind::Lines, lines));
    }
}

fn percentiles(body: &Body) -> Vec<Curve> {
    let total = &body.total;
    let kinds = [
        ("from the planned instant", "c1", &total.latency_ms),
        ("from the sending", "c6", &total.service_ms),
        ("refusals", "c5", &total.refused_ms),
    ];
    let curve = |(name, class, of): (&str, &'static str, &Option<super::Quantiles>)| {
        let of = of.as_ref()?;
        let shares = [0.5f64, 0.9, 0.95, 0.99, 0.999];
        let values = [of.p50, of.p90, of.p95, of.p99, of.p999];
        let points = shares.into_iter().zip(values);
        let points: Vec<_> = points
            .filter_map(|(share, value)| Some((-(1.0 - share).log10(), value?)))
            .collect();
        (!points.is_empty()).then(|| Curve {
            name: name.to_owned(),
            class,
            points,
            joined: true,
        })
    };
    kinds.into_iter().filter_map(curve).collect()
}

fn push_steps(out: &mut String, steps: &[StepFigures]) {
    let of = |name: &str, class: &'static str, word: &str| {
        let steps = steps.iter().filter(|step| step.came_to == word);
        let point = |step: &StepFigures| Some((step.per_s, step.latency_ms.as_ref()?.p99?));
        Curve {
            name: name.to_owned(),
            class,
            points: steps.filter_map(point).collect(),
            joined: false,
        }
    };
    let all = [
        of("held", "c2", "held"),
        of("did not hold", "c4", "failed"),
        of("invalid", "c6", "invalid"),
    ];
    let title = "Steps of the search: p99 at each rate";
    out.push_str(&curves(title, ("/s", "ms"), true, &all));
}

fn push_foot(out: &mut String, report: &Report<Body>) {
    out.push_str("<footer>");
    for remark in remarks(&report.body) {
        _ = write!(out, "<p>{}</p>", escape(&remark));
    }
    let (build, machine) = (&report.build, &report.machine);
    _ = write!(
        out,
        "<dl><dt>Command</dt><dd><code>{}</code></dd><dt>Build</dt><dd>{} · commit {} · {}</dd>\
         <dt>Machine</dt><dd>{} × {} · {} MiB · {}</dd><dt>Started</dt><dd>{} · {:.0} s</dd></dl>\
         </footer>",
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
    );
}
