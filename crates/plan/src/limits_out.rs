//! limits.yaml, in the door's own format: for each route what all instances of the door may let
//! through together, and what each of them may, with where the figure came from.
//!
//! It must not know how a limit was found.

use crate::capacity::{Limits, RouteLimit};
use crate::text::{instant_ms, quoted, rate};
use std::fmt::Write;

/// What the file needs besides the limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Door {
    pub instances: u64,
    /// What the busiest instance gets, as a multiple of the mean.
    pub skew: f64,
    pub safety_factor: f64,
    /// How long a measured capacity counts, milliseconds.
    pub valid_ms: u64,
}

/// Rules that a limits file may have.
const RULES_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq)]
pub enum Unwritable {
    /// More routes than the door has rules for.
    TooManyRoutes { routes: usize, most: usize },
    /// Less than one request an hour.
    Nothing { route: String, bound_by: String },
}

impl Unwritable {
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Unwritable::TooManyRoutes { routes, most } => {
                format!("{routes} routes have limits, expected at most {most}: group some of them")
            }
            Unwritable::Nothing { route, bound_by } => {
                format!("route {route:?} could get less than a request an hour: {bound_by} is full")
            }
        }
    }
}

/// A rate as the files have it, never more than it is; `None` below one an hour.
#[must_use]
pub fn written(per_s: f64) -> Option<String> {
    // More than the door's files can say is no limit to anybody.
    let per_s = per_s.min(9_999_999.0);
    [
        (10.0, 1.0, "s"),
        (1.0 / 6.0, 60.0, "min"),
        (0.0, 3_600.0, "h"),
    ]
    .into_iter()
    .find(|(least, ..)| per_s >= *least)
    .map(|(_, times, unit)| ((per_s * times).floor() as u64, unit))
    .filter(|(count, _)| *count > 0)
    .map(|(count, unit)| format!("{count}/{unit}"))
}

/// The file's text.
pub fn limits_yaml(limits: &Limits, door: &Door) -> Result<String, Unwritable> {
    let each = if door.instances > 1 { 2 } else { 1 };
    if limits.routes.len() * each > RULES_MAX {
        return Err(Unwritable::TooManyRoutes {
            routes: limits.routes.len(),
            most: RULES_MAX / each,
        });
    }
    let mut out = String::from(
        "# How much each route may let through, downstream first: never more than what is behind\n\
         # it can take. Written by `seawall plan make`; change what it was made from instead.\n\
         version: 1\nrules:\n",
    );
    for limit in &limits.routes {
        push_rules(&mut out, limit, door)?;
    }
    if limits.routes.is_empty() {
        out = out.replace("rules:\n", "rules: []\n");
    }
    for name in &limits.unbounded {
        // Writing to a string cannot fail.
        _ = writeln!(out, "# {name}: no limit, nothing behind it was measured");
    }
    Ok(out)
}

fn push_rules(out: &mut String, limit: &RouteLimit, door: &Door) -> Result<(), Unwritable> {
    let nothing = || Unwritable::Nothing {
        route: limit.route.clone(),
        bound_by: limit.bound_by.clone(),
    };
    let all = written(limit.cluster).ok_or_else(nothing)?;
    _ = writeln!(
        out,
        "  # bound by {}; expected {}, upper bound {}",
        limit.bound_by,
        rate(limit.expected),
        rate(limit.upper)
    );
    let origin = limit.origin.as_ref().map(|origin| {
        format!(
            "    provenance:\n      run: {}\n      build: {}\n      safety_factor: {}\n      \
             measured: {}\n      expires: {}\n",
            quoted(&origin.run),
            quoted(&origin.build),
            door.safety_factor,
            instant_ms(origin.measured_ms),
            instant_ms(origin.measured_ms.saturating_add(door.valid_ms)),
        )
    });
    let origin = origin.unwrap_or_default();
    let (name, route) = (&limit.route, quoted(&limit.route));
    if door.instances > 1 {
        _ = write!(
            out,
            "  - name: {}\n    match: {{routes: [{route}]}}\n    scope: cluster\n    \
             budget: {all}\n    max_instances: {}\n{origin}",
            quoted(name),
            door.instances
        );
        // The busiest instance may get more than its part; together they stay within the budget.
        let most = limit.cluster * door.skew / door.instances as f64;
        let one = written(most.min(limit.cluster)).ok_or_else(nothing)?;
        let own = quoted(&format!("{name}-each"));
        _ = write!(
            out,
            "  - name: {own}\n    match: {{routes: [{route}]}}\n    rate: {one}\n{origin}"
        );
    } else {
        _ = write!(
            out,
            "  - name: {}\n    match: {{routes: [{route}]}}\n    rate: {all}\n{origin}",
            quoted(name)
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_written_and_never_rounded_up() {
        for (per_s, text) in [
            (1_234.9, Some("1234/s")),
            (9.99, Some("599/min")),
            (0.1, Some("360/h")),
            (0.000_1, None),
            (0.0, None),
            (1e18, Some("9999999/s")),
        ] {
            assert_eq!(written(per_s).as_deref(), text, "{per_s}");
        }
    }

    #[test]
    fn too_many_routes_are_told() {
        let limit = RouteLimit {
            route: "r".to_owned(),
            expected: 1.0,
            upper: 1.0,
            cluster: 1.0,
            bound_by: "s".to_owned(),
            origin: None,
        };
        let door = |instances| Door {
            instances,
            skew: 1.0,
            safety_factor: 1.0,
            valid_ms: 1,
        };
        let mut limits = Limits {
            routes: vec![limit; 33],
            ..Limits::default()
        };
        assert!(limits_yaml(&limits, &door(1)).is_ok());
        let refused = limits_yaml(&limits, &door(2)).unwrap_err();
        assert!(refused.sentence().contains("at most 32"), "{refused:?}");
        limits.routes.truncate(1);
        limits.routes[0].cluster = 0.0;
        let refused = limits_yaml(&limits, &door(1)).unwrap_err();
        assert!(refused.sentence().contains("s is full"), "{refused:?}");
    }
}
