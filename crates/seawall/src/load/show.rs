//! What a load run came to, for people and for programs.

use super::{End, Found, Judged, Measured, Second, Step, Told};
use ::load::measure::{Latency, Named};
use ::load::run::Invalid;
use comfy_table::{Table, presets};
use host::Exit;
use serde_json::{Value, json};
use std::fmt::Write;

const QUANTILES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p99.9", 0.999),
];

pub(super) struct Outcome<'a> {
    pub name: &'a str,
    pub measured: &'a Measured,
    pub judged: &'a [Judged],
    pub invalid: &'a [Invalid],
    pub stopped: Option<&'a str>,
    pub exit: Exit,
}

impl Outcome<'_> {
    fn verdict(&self) -> &'static str {
        match self.exit {
            Exit::Good => "holds",
            Exit::Bad => "broken",
            _ => "none",
        }
    }

    pub fn json(&self) -> String {
        let measured = self.measured;
        let named = measured.named.iter().map(named_json);
        let thresholds = self.judged.iter().map(|judged| {
            json!({
                "expression": judged.expression, "seen": judged.seen,
                "unit": judged.unit, "holds": judged.holds,
            })
        });
        let invalid = self.invalid.iter().map(ToString::to_string);
        json!({
            "version": 1,
            "kind": "load",
            "name": self.name,
            "verdict": self.verdict(),
            "exit_code": self.exit as u8,
            "stopped": self.stopped,
            "invalid": invalid.collect::<Vec<_>>(),
            "planned": measured.planned,
            "sent_arrivals": measured.arrived,
            "late_arrivals": measured.late,
            "journeys": measured.journeys,
            "seconds": measured.wall_us as f64 / 1e6,
            "total": named_json(&measured.total()),
            "requests": named.collect::<Vec<_>>(),
            "thresholds": thresholds.collect::<Vec<_>>(),
            "generator": {
                "busiest_share": measured.busiest,
                "cpu_s": measured.cpu_ns as f64 / 1e9,
                "waited_s": measured.starved_ns as f64 / 1e9,
                "lag_ms": quantiles(&measured.lag),
                "connections_max": measured.connections_max,
                "buyers_max": measured.buyers_max,
            },
            "series": measured.seconds.iter().map(second_json).collect::<Vec<_>>(),
        })
        .to_string()
    }

    pub fn table(&self) -> String {
        let mut out = format!("{}: {}\n", self.name, self.verdict());
        let measured = self.measured;
        let seconds = measured.wall_us.max(1) as f64 / 1e6;
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{} of {} planned arrivals sent, {} late, in {seconds:.1} s; busiest sender {:.0} %",
            measured.arrived,
            measured.planned,
            measured.late,
            measured.busiest * 100.0
        );
        let mut table = Table::new();
        table
            .load_preset(presets::UTF8_HORIZONTAL_ONLY)
            .set_header([
                "request", "sent", "good", "refused", "errors", "p50 ms", "p90", "p95", "p99",
                "p99.9", "max",
            ]);
        for named in measured.named.iter().chain([&measured.total()]) {
            let figures = QUANTILES.map(|(_, share)| ms(named.latency.quantile_us(share)));
            let counts = [
                named.name.clone(),
                named.sent.to_string(),
                named.ended(End::Good).to_string(),
                named.ended(End::Refused).to_string(),
                named.errors().to_string(),
            ];
            let max = ms(named.latency.max_us());
            table.add_row(counts.into_iter().chain(figures).chain([max]));
        }
        let _ = writeln!(out, "{table}");
        for named in &measured.named {
            for check in named.checks.iter().filter(|check| check.failed > 0) {
                let all = check.passed + check.failed;
                let (name, failed) = (&check.name, check.failed);
                let _ = writeln!(
                    out,
                    "check {name} of {}: {failed} of {all} failed",
                    named.name
                );
            }
            for (status, count) in &named.statuses {
                let _ = writeln!(out, "{}: {count} × status {status}", named.name);
            }
        }
        for judged in self.judged {
            let word = if judged.holds { "holds" } else { "BROKEN" };
            let seen = judged.seen.map_or("nothing measured".to_owned(), |seen| {
                format!("{seen:.3} {}", judged.unit)
            });
            let _ = writeln!(out, "{word}: {} ({seen})", judged.expression);
        }
        for why in self.invalid {
            let _ = writeln!(out, "INVALID: {why}");
        }
        if let Some(why) = self.stopped {
            let _ = writeln!(out, "stopped: {why}");
        }
        out
    }
}

fn ms(us: Option<u64>) -> String {
    us.map_or("–".to_owned(), |us| format!("{:.1}", us as f64 / 1e3))
}

fn quantiles(latency: &Latency) -> Value {
    let ms = |us: Option<u64>| us.map(|us| us as f64 / 1e3);
    let all = QUANTILES.iter();
    let mut out: serde_json::Map<String, Value> = all
        .map(|(name, share)| ((*name).to_owned(), json!(ms(latency.quantile_us(*share)))))
        .collect();
    out.insert("max".to_owned(), json!(ms(latency.max_us())));
    Value::Object(out)
}

fn ends_json(ends: &[u64; End::ALL.len()]) -> Value {
    let pairs = End::ALL.iter().zip(ends);
    Value::Object(
        pairs
            .map(|(end, n)| (end.name().to_owned(), json!(n)))
            .collect(),
    )
}

fn named_json(named: &Named) -> Value {
    let checks = named
        .checks
        .iter()
        .map(|check| json!({"name": check.name, "passed": check.passed, "failed": check.failed}));
    json!({
        "name": named.name,
        "sent": named.sent,
        "ends": ends_json(&named.ends),
        "bytes": named.bytes,
        "latency_ms": quantiles(&named.latency),
        "refusals_ms": quantiles(&named.refusals),
        "service_ms": quantiles(&named.service),
        "unexpected_statuses": named.statuses,
        "checks": checks.collect::<Vec<_>>(),
    })
}

fn second_json(second: &Second) -> Value {
    let ms = |share| second.latency.quantile_us(share).map(|us| us as f64 / 1e3);
    json!({
        "arrived": second.arrived,
        "sent": second.sent,
        "ends": ends_json(&second.ends),
        "p50_ms": ms(0.5),
        "p99_ms": ms(0.99),
        "buyers": second.buyers,
        "connections": second.connections,
    })
}

/// One second as it passes.
pub(super) fn line(at: usize, second: &Second) -> String {
    format!(
        "{:>5} s  came {:>6}  good {:>6}  refused {:>5}  errors {:>5}  p50 {:>7} ms  p99 {:>7} ms  \
         under way {}",
        at + 1,
        second.arrived,
        second.ended(End::Good),
        second.ended(End::Refused),
        second.errors(),
        ms(second.latency.quantile_us(0.5)),
        ms(second.latency.quantile_us(0.99)),
        second.buyers
    )
}

/// One try of a search.
pub(super) fn step(step: &Step) -> String {
    let told = match &step.told {
        Told::Held => "holds",
        Told::Failed { .. } => "fails",
        Told::Invalid(_) => "INVALID",
    };
    let long = if step.long { " (to confirm)" } else { "" };
    let why = match step.because.is_empty() {
        true => String::new(),
        false => format!(": {}", step.because.join("; ")),
    };
    format!(
        "{:>9.1}/s {told}{long}  answered {:.1}/s  p50 {} ms  p99 {} ms  errors {}{why}",
        step.per_s,
        step.answered_per_s(),
        ms(step.window.latency.quantile_us(0.5)),
        ms(step.window.latency.quantile_us(0.99)),
        step.window.errors()
    )
}

pub(super) fn found(found: &Found) -> String {
    match found {
        Found::Between {
            held_per_s,
            failed_per_s,
        } => format!("{held_per_s:.1}/s holds and was confirmed; {failed_per_s:.1}/s does not"),
        Found::AtLeast { held_per_s, why } => {
            format!("at least {held_per_s:.1}/s: {why}")
        }
        Found::Below { failed_per_s } => {
            format!("not even {failed_per_s:.2}/s holds")
        }
        Found::Invalid { why } => format!("INVALID: {why}"),
    }
}

pub(super) fn found_json(found: &Found, steps: &[Step]) -> String {
    let (answer, held, failed, why) = match found {
        Found::Between {
            held_per_s,
            failed_per_s,
        } => ("between", Some(*held_per_s), Some(*failed_per_s), None),
        Found::AtLeast { held_per_s, why } => ("at_least", Some(*held_per_s), None, Some(why)),
        Found::Below { failed_per_s } => ("below", None, Some(*failed_per_s), None),
        Found::Invalid { why } => ("invalid", None, None, Some(why)),
    };
    let steps = steps.iter().map(|step| {
        json!({
            "per_s": step.per_s,
            "confirms": step.long,
            "told": match &step.told {
                Told::Held => "held",
                Told::Failed { .. } => "failed",
                Told::Invalid(_) => "invalid",
            },
            "because": step.because,
            "seconds": step.seconds,
            "answered_per_s": step.answered_per_s(),
            "ends": ends_json(&step.window.ends),
            "latency_ms": quantiles(&step.window.latency),
            "busiest_share": step.cpu_share,
            "lag_p99_ms": step.lag_p99_us as f64 / 1e3,
        })
    });
    json!({
        "version": 1,
        "kind": "find",
        "answer": answer,
        "held_per_s": held,
        "failed_per_s": failed,
        "why": why,
        "steps": steps.collect::<Vec<_>>(),
    })
    .to_string()
}
