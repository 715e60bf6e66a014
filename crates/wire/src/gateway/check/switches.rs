//! Checks of switches.

use super::pools::ms;
use super::{Known, file, named, once, refer};
use crate::gateway::limits::SWITCH_TEXT_BYTES_MAX;
use crate::gateway::source::{Source, joined};
use crate::gateway::switches::{Action, Metric, Switch, Switches};
use std::time::Duration;

/// `known` is `None` where a switches file is checked for itself.
pub fn switches(source: &mut Source, file: &Switches, known: Option<&Known>) {
    once(source, file.switches.iter().map(|s| named(&s.at, &s.name)));
    for (index, switch) in file.switches.iter().enumerate() {
        places(source, switch, &file.switches[..index], known);
        place(source, switch, known);
        action(source, switch, known);
        times(source, switch);
        for (key, text) in [("owner", &switch.owner), ("reason", &switch.reason)] {
            let path = joined(&switch.at, key);
            if text.trim().is_empty() {
                source.wrong(&path, "only spaces", "words");
            }
            if text.len() > SWITCH_TEXT_BYTES_MAX {
                let most = format!("at most {SWITCH_TEXT_BYTES_MAX}");
                source.wrong(&path, &format!("{} bytes", text.len()), &most);
            }
        }
    }
}

fn place(source: &mut Source, switch: &Switch, known: Option<&Known>) {
    match (switch.routes.is_empty(), &switch.feature) {
        (true, None) => {
            source.wrong(
                &switch.at,
                "neither",
                "routes or a feature on which it acts",
            );
        }
        // A shield names the feature that it covers, and may be for some routes only.
        (false, Some(_)) if switch.action != Action::Shield => {
            source.wrong(&switch.at, "routes and a feature", "one of them");
        }
        _ => {}
    }
    if switch.action == Action::Shield && switch.feature.is_none() {
        source.problem(&switch.at, "\"feature\" is missing: action shield needs it");
    }
    let Some(known) = known else {
        return;
    };
    for (index, route) in switch.routes.iter().enumerate() {
        let path = format!("{}.routes[{index}]", switch.at);
        refer(source, &path, route, "route", &known.routes);
    }
    if let Some(feature) = &switch.feature {
        let path = joined(&switch.at, "feature");
        refer(
            source,
            &path,
            feature,
            "feature of a route",
            &known.features,
        );
    }
}

/// People of one route can be sent to one place only.
fn places(source: &mut Source, switch: &Switch, earlier: &[Switch], known: Option<&Known>) {
    let acts_on = |switch: &Switch| match (&switch.feature, known) {
        (Some(feature), Some(known)) => known.showing(feature),
        _ => switch.routes.clone(),
    };
    let Some(to) = &switch.to else {
        return;
    };
    let own = acts_on(switch);
    for other in earlier
        .iter()
        .filter(|other| other.to.as_ref().is_some_and(|at| at != to))
    {
        if let Some(route) = acts_on(other).iter().find(|route| own.contains(route)) {
            let what = format!(
                "sends route {route:?} to {to:?}, and {:?} sends it elsewhere, expected one place",
                other.name
            );
            source.problem(&joined(&switch.at, "to"), what);
        }
    }
}

fn action(source: &mut Source, switch: &Switch, known: Option<&Known>) {
    let word = switch.action.as_str();
    let files = matches!(switch.action, Action::StaticPage | Action::Stub);
    let sends = switch.action == Action::Redirect;
    for (key, needed, given) in [
        ("file", files, switch.file.is_some()),
        ("to", sends, switch.to.is_some()),
    ] {
        if needed && !given {
            source.problem(
                &switch.at,
                format!("{key:?} is missing: action {word} needs it"),
            );
        }
        if given && !needed {
            source.problem(
                &joined(&switch.at, key),
                format!("action {word} has no use for it"),
            );
        }
    }
    if let (true, Some(page)) = (files, &switch.file) {
        file(source, &joined(&switch.at, "file"), page, None);
    }
    if switch.content_type.is_some() && !files {
        let path = joined(&switch.at, "content_type");
        source.problem(&path, format!("action {word} has no use for it"));
    }
    if let (Action::ServeStale, Some(known)) = (switch.action, known) {
        for (index, route) in switch.routes.iter().enumerate() {
            if known.routes.contains(route) && !known.cached.contains(route) {
                let path = format!("{}.routes[{index}]", switch.at);
                let what = format!("route {route:?} has no cache to answer from");
                source.problem(&path, what);
            }
        }
    }
}

fn times(source: &mut Source, switch: &Switch) {
    if let Some(schedule) = &switch.schedule {
        let at = |key: &str| joined(&schedule.at, key);
        let long = schedule
            .until
            .0
            .checked_sub(schedule.from.0)
            .map(Duration::from_millis);
        match long {
            None | Some(Duration::ZERO) => {
                let expected = format!("an instant after from, {}", schedule.from.shown());
                source.wrong(&at("until"), &schedule.until.shown(), &expected);
            }
            Some(long) if long > switch.max_duration => {
                let most = format!("at most max_duration, {}", ms(switch.max_duration));
                source.wrong(&schedule.at, &ms(long), &most);
            }
            Some(_) => {}
        }
    }
    let Some(trigger) = &switch.trigger else {
        return;
    };
    let at = |key: &str| joined(&trigger.at, key);
    if trigger.below >= trigger.above {
        let less = format!("less than above, {}", trigger.above);
        source.wrong(&at("below"), &trigger.below.to_string(), &less);
    }
    let share = matches!(
        trigger.metric,
        Metric::Cpu | Metric::ErrorShare | Metric::ShedShare
    );
    if share && trigger.above >= 1.0 {
        let found = trigger.above.to_string();
        source.wrong(
            &at("above"),
            &found,
            "a share below 1: nothing is above all of it",
        );
    }
}
