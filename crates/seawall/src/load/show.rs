//! What a load run does, line by line, while it does it.

use super::{Found, Step, Told};

fn ms(us: Option<u64>) -> String {
    us.map_or("–".to_owned(), |us| format!("{:.1}", us as f64 / 1e3))
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
