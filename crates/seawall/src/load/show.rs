//! What a load run does, line by line, while it does it.

use super::{Found, Ready, Step, Told};
use ::load::live::{How, Live};
use ::load::metrics::Used;
use ::load::report::Quantiles;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn ms(us: Option<u64>) -> String {
    us.map_or("–".to_owned(), |us| format!("{:.1}", us as f64 / 1e3))
}

/// A view of what is about to be sent; whoever watches can stop it.
pub(super) fn live(ready: &Ready, how: How, stop: &Arc<AtomicBool>) -> Live {
    let (name, target) = (&ready.compiled.name, &ready.target);
    let title = format!("seawall load · {name} · {target:?}");
    Live::open(&title, how, Arc::clone(stop))
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
    // Another tool tells its quantiles and no histogram.
    let quantile = |share, theirs: fn(&Quantiles) -> Option<f64>| match &step.latency_ms {
        Some(found) => theirs(found).map_or("–".to_owned(), |ms| format!("{ms:.1}")),
        None => ms(step.window.latency.quantile_us(share)),
    };
    format!(
        "{:>9.1}/s {told}{long}  answered {:.1}/s  p50 {} ms  p99 {} ms  errors {}{}{why}",
        step.per_s,
        step.answered_per_s(),
        quantile(0.5, |found| found.p50),
        quantile(0.99, |found| found.p99),
        step.window.errors(),
        step.used.as_ref().map_or(String::new(), used)
    )
}

fn used(used: &Used) -> String {
    let processors = used
        .processors
        .map(|n| format!("  target {n:.2} processors"));
    let memory = used
        .memory_bytes
        .map(|n| format!("  {:.1} MiB", n / 1_048_576.0));
    processors.unwrap_or_default() + &memory.unwrap_or_default()
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
