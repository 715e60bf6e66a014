//! From a rehearsal's file to what a run needs: thresholds read, scenario compiled, offsets in
//! microseconds. Whatever is wrong comes at once, each problem with its line.

use super::Planned;
use super::expect::{Expecting, Phase, Rule};
use super::series::{ALL, ORDERS_HELD, ORDERS_PAID};
use crate::answers::Class;
use load::compile::{self, Compiled};
use load::thresholds::Threshold;
use std::path::Path;
use wire::campaign::Problems;
use wire::gateway::source::{Source, joined};
use wire::rehearsal::{Expectation, Read, Rehearsal, Subject, offset};

/// A rehearsal that can be run.
#[derive(Debug)]
pub struct File {
    pub rehearsal: Rehearsal,
    pub(crate) expecting: Vec<Expecting>,
    /// Of services.
    pub(crate) scenario: Option<Compiled>,
}

/// Reads and checks a file with the scenario that it names; a campaign is read by who stages it.
pub fn read(path: &Path) -> Result<File, Problems> {
    let Read {
        rehearsal,
        mut source,
    } = wire::rehearsal::load(path)?;
    let Some(rehearsal) = rehearsal else {
        return Err(Problems(source.finished()));
    };
    let shop = matches!(rehearsal.subject, Subject::Shop(_));
    let expectations = rehearsal.expectations.iter();
    let expecting = expectations
        .map(|one| expecting(&mut source, one, shop))
        .collect();
    let mut problems = Vec::new();
    let scenario = rehearsal.load.as_ref().and_then(|load| {
        let compiled = compile::file(&load.scenario);
        compiled.map_err(|Problems(found)| problems = found).ok()
    });
    if let (Some(scenario), Some(load)) = (&scenario, &rehearsal.load)
        && scenario.target.http == compile::Http::Two
    {
        let what = "a drill sends HTTP/1.1, and this scenario wants 2";
        source.problem(&joined(&load.at, "scenario"), what);
    }
    let mut all = source.finished();
    all.append(&mut problems);
    match all.is_empty() {
        true => Ok(File {
            rehearsal,
            expecting,
            scenario,
        }),
        false => Err(Problems(all)),
    }
}

fn expecting(source: &mut Source, one: &Expectation, shop: bool) -> Expecting {
    let mut rules = Vec::new();
    for (metric, texts) in one.thresholds.iter() {
        let path = joined(&joined(&one.at, "thresholds"), metric);
        for (index, text) in texts.iter().enumerate() {
            match rule(metric, text, shop) {
                Ok(rule) => rules.push(rule),
                Err(what) => source.problem(&format!("{path}[{index}]"), what),
            }
        }
    }
    Expecting {
        name: one.name.clone(),
        span: one.r#in.clone(),
        rules,
    }
}

fn rule(metric: &str, text: &str, shop: bool) -> Result<Rule, String> {
    let written = format!("{metric}: {text}");
    if shop && (metric == ORDERS_HELD || metric == ORDERS_PAID) {
        return Ok(Rule {
            series: metric.to_owned(),
            threshold: Threshold::parse("http_reqs", text)?,
            text: written,
        });
    }
    let named = Threshold::parse(metric, text.split(" over ").next().unwrap_or(text))?;
    // Seconds are kept by name, so the name is taken off.
    let base = metric.split('{').next().unwrap_or(metric);
    let series = match &named.metric.request {
        None => ALL.to_owned(),
        Some(name) if shop => {
            let names = Class::ALL.map(Class::name);
            if !names.contains(&name.as_str()) {
                let names = names.join(", ");
                return Err(format!("no request {name:?}, expected {names}"));
            }
            name.clone()
        }
        Some(_) => {
            let what = "seconds have figures of all requests together; leave the name out";
            return Err(what.to_owned());
        }
    };
    let plain = text.split(" over ").next().unwrap_or(text);
    if Threshold::parse(base, &format!("{plain} over 1s")).is_err() {
        return Err(format!(
            "{base} has no figures by the second; see docs/rehearsal.md"
        ));
    }
    Ok(Rule {
        series,
        threshold: Threshold::parse(base, text)?,
        text: written,
    })
}

impl File {
    /// Faults and phases from the start of a plan whose zero is at `zero_us`; an error for what
    /// lies outside of it.
    pub(crate) fn timed(
        &self,
        zero_us: u64,
        end_us: u64,
    ) -> Result<(Vec<Planned>, Vec<Phase>), String> {
        let at = |name: &str, text: &str| {
            let ms = offset(text).unwrap_or(0);
            let us = i64::try_from(zero_us).unwrap_or(i64::MAX) + ms * 1_000;
            let us = u64::try_from(us).ok().filter(|us| *us <= end_us);
            let outside = || format!("{name}: {text} is outside of the load's time");
            us.ok_or_else(outside)
        };
        let mut planned = Vec::new();
        for fault in &self.rehearsal.faults {
            let from_us = at(&fault.name, &fault.from)?;
            let for_us = fault.r#for.map(|time| time.as_micros() as u64);
            if from_us + for_us.unwrap_or(0) > end_us {
                let name = &fault.name;
                return Err(format!("{name}: the fault lasts longer than the load"));
            }
            planned.push(Planned {
                name: fault.name.clone(),
                from_us,
                for_us,
                what: fault.what.clone(),
            });
        }
        let mut phases = Vec::new();
        for phase in &self.rehearsal.phases {
            phases.push(Phase {
                name: phase.name.clone(),
                from_us: at(&phase.name, &phase.from)?,
                to_us: at(&phase.name, &phase.to)?,
            });
        }
        Ok((planned, phases))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_of_what_seconds_have() {
        let rows = [
            ("http_req_duration{name:pay}", "p(99)<200", true, "pay"),
            ("http_req_failed", "rate<0.1 over 5s", true, ""),
            (
                "http_req_failed{name:order}",
                "rate<0.1 over 5s",
                true,
                "order",
            ),
            ("orders_paid", "rate>10", true, "orders_paid"),
            ("http_reqs", "rate>10", false, ""),
        ];
        for (metric, text, shop, series) in rows {
            assert_eq!(rule(metric, text, shop).unwrap().series, series, "{metric}");
        }
        let wrong = [
            (
                "http_req_duration{name:paint}",
                "p(99)<200",
                true,
                "expected sign_in, browse",
            ),
            (
                "http_req_duration{name:pay}",
                "p(99)<200",
                false,
                "leave the name out",
            ),
            ("orders_paid", "rate>10", false, "no metric \"orders_paid\""),
            ("checks", "rate>0.5", true, "no figures by the second"),
            ("http_req_failed", "p(99)<1", true, "expected rate"),
        ];
        for (metric, text, shop, said) in wrong {
            let what = rule(metric, text, shop).unwrap_err();
            assert!(what.contains(said), "{metric}: {what}");
        }
    }
}
