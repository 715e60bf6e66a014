//! switches.yaml, in the door's own format: what is given up, cheapest first, with owner, reason,
//! trigger and end. What the plan needs is on by schedule; the rest waits for its trigger.
//!
//! It must not know how switches are chosen.

use crate::text::{instant, quoted};
use std::fmt::Write;

/// One switch, words as the door's files have them.
#[derive(Clone, Debug, PartialEq)]
pub struct SwitchOut {
    pub name: String,
    pub action: String,
    pub routes: Vec<String>,
    pub feature: Option<String>,
    /// The page or stub, from the folder of the file.
    pub file: Option<String>,
    pub to: Option<String>,
    pub owner: String,
    pub reason: String,
    pub trigger: Option<TriggerOut>,
    pub loss_per_hour: f64,
    pub max_duration_ms: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TriggerOut {
    pub metric: String,
    pub above: f64,
    pub below: f64,
    pub for_ms: u64,
}

/// From and until, minutes since 1970.
pub type Window = (i64, i64);

/// The file's text. `chosen` are on during the window, or as much of it as they may last.
#[must_use]
pub fn switches_yaml(
    switches: &[SwitchOut],
    chosen: &[String],
    window: Window,
    currency: &str,
) -> String {
    let mut order: Vec<&SwitchOut> = switches.iter().collect();
    order.sort_by(|a, b| {
        let by_loss = a.loss_per_hour.total_cmp(&b.loss_per_hour);
        by_loss.then_with(|| a.name.cmp(&b.name))
    });
    let mut out = String::from(
        "# What is given up when it must be, cheapest first. Written by `seawall plan make`.\n\
         version: 1\nswitches:\n",
    );
    if order.is_empty() {
        out = out.replace("switches:\n", "switches: []\n");
    }
    for (place, switch) in order.into_iter().enumerate() {
        let planned = chosen.contains(&switch.name);
        // Writing to a string cannot fail.
        _ = writeln!(
            out,
            "  # {}. {:.2} {currency} an hour{}",
            place + 1,
            switch.loss_per_hour,
            if planned { "; the plan needs it" } else { "" }
        );
        push_one(&mut out, switch, planned.then_some(window), place);
    }
    out
}

fn push_one(out: &mut String, switch: &SwitchOut, window: Option<Window>, place: usize) {
    _ = writeln!(out, "  - name: {}", quoted(&switch.name));
    if !switch.routes.is_empty() {
        let routes: Vec<String> = switch.routes.iter().map(|route| quoted(route)).collect();
        _ = writeln!(out, "    routes: [{}]", routes.join(", "));
    }
    for (key, value) in [
        ("feature", &switch.feature),
        ("file", &switch.file),
        ("to", &switch.to),
    ] {
        if let Some(value) = value {
            _ = writeln!(out, "    {key}: {}", quoted(value));
        }
    }
    _ = write!(
        out,
        "    action: {}\n    owner: {}\n    reason: {}\n    recovery: automatic\n    \
         max_duration: {}\n    priority: {}\n",
        switch.action,
        quoted(&switch.owner),
        quoted(&switch.reason),
        span(switch.max_duration_ms),
        // The more it costs the later it goes, and the less it may cover a cheaper one.
        200 - place.min(200)
    );
    if let Some((from, until)) = window {
        let most = i64::try_from(switch.max_duration_ms / 60_000).unwrap_or(i64::MAX);
        let until = until.min(from.saturating_add(most));
        if until > from {
            let (from, until) = (instant(from), instant(until));
            _ = writeln!(out, "    schedule: {{from: {from}, until: {until}}}");
        }
    } else if let Some(trigger) = &switch.trigger {
        _ = writeln!(
            out,
            "    trigger: {{metric: {}, above: {}, below: {}, for: {}}}",
            trigger.metric,
            trigger.above,
            trigger.below,
            span(trigger.for_ms)
        );
    }
}

/// In the largest unit that says it whole.
fn span(ms: u64) -> String {
    [(3_600_000, "h"), (60_000, "m"), (1_000, "s")]
        .into_iter()
        .find(|(unit, _)| ms > 0 && ms.is_multiple_of(*unit))
        .map_or_else(
            || format!("{ms}ms"),
            |(unit, word)| format!("{}{word}", ms / unit),
        )
}
