//! Why a decision is what it is, in sentences that a manager and an engineer both read.

use super::{Capacity, Choice, Decision, Growth, Service, Situation};
use crate::text::{instant, rate};

pub fn because(situation: &Situation, service: &Service, decision: &Decision) -> Vec<String> {
    let mut said = vec![format!(
        "{} gets {} at the expected peak and {} at its upper bound.",
        service.name,
        rate(decision.expected),
        rate(decision.upper)
    )];
    said.push(capacity(situation, service, decision));
    if let Some(need) = decision.need.filter(|need| need.bare > 0) {
        let zones = match service.zones {
            0 | 1 => "all in one zone: the loss of the zone is the loss of the service".to_owned(),
            zones => format!("so that one may fail, and one of {zones} zones"),
        };
        said.push(format!(
            "That needs {} with nothing to spare and {} {zones}; {} run.",
            instances(need.bare),
            need.safe,
            service.instances
        ));
    }
    match &decision.choice {
        Choice::Fine if decision.upper <= 0.0 => {
            said.push("Nothing of the forecast reaches it.".to_owned());
        }
        Choice::Fine => said.push("It is fine as it is.".to_owned()),
        Choice::ScaleOut(growth) => said.push(grows(situation, service, growth)),
        Choice::Degrade { switches, growth } => {
            said.push(limits_of_growth(situation, service, decision));
            if let Some(growth) = growth {
                said.push(grows(situation, service, growth));
            }
            said.push(format!(
                "The cheapest switches that make the rest fit and touch no core flow: {}. With \
                 them it gets {}.",
                switches.join(", "),
                rate(decision.switched)
            ));
        }
        Choice::Optimise { times } => {
            said.push(limits_of_growth(situation, service, decision));
            said.push("No set of switches makes enough room without touching core flows.".into());
            said.push(match service.capacity {
                Capacity::Quota(_) => format!(
                    "A quota {times:.2} times as high has to be agreed with {}; until then the \
                     door refuses what is above it.",
                    service.owner
                ),
                _ => format!(
                    "Each instance has to do {times:.2} times as much; until then the door \
                     refuses what is above its limits."
                ),
            });
        }
        Choice::Measure => said.push(
            "Nothing can be decided and nothing is limited for it: a load test is missing.".into(),
        ),
    }
    for point in &service.single_points {
        said.push(format!("There is only one: {point}."));
    }
    said
}

fn instances(count: u64) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} instance{plural}")
}

fn capacity(situation: &Situation, service: &Service, decision: &Decision) -> String {
    match &service.capacity {
        Capacity::Quota(per_s) => {
            format!(
                "It belongs to {}; {} may be asked of it.",
                service.owner,
                rate(*per_s)
            )
        }
        Capacity::Unknown(why) => format!("How much it can take is not known: {why}."),
        Capacity::Measured {
            per_instance,
            shown,
            instances: of,
            origin,
        } => {
            let knee = &shown.knee;
            format!(
                "Its knee is at {} (between {} and {}) with {}, in run {} of build {}; one \
                 instance may get {}, that is {} divided by the safety factor {}.",
                rate(knee.per_s),
                rate(knee.low),
                rate(knee.high),
                instances(*of),
                origin.run,
                origin.build,
                rate(decision.usable.unwrap_or(0.0)),
                rate(*per_instance),
                situation.safety_factor
            )
        }
    }
}

fn grows(situation: &Situation, service: &Service, growth: &Growth) -> String {
    let lead = service.scaling.map_or(0, |scaling| scaling.lead_minutes);
    format!(
        "Scale out by {} to {}: begin by {}, {lead} minutes before they must serve; it costs \
         {:.2} {}.",
        growth.more,
        growth.to,
        instant(growth.begin_minute),
        growth.cost,
        situation.currency
    )
}

/// Why it does not grow as far as it should.
fn limits_of_growth(situation: &Situation, service: &Service, decision: &Decision) -> String {
    let Some(scaling) = service.scaling else {
        return match service.capacity {
            Capacity::Quota(_) => "It cannot be scaled: it belongs to others.".to_owned(),
            _ => "It cannot be scaled: services.yaml says nothing of it.".to_owned(),
        };
    };
    let safe = decision.need.map_or(0, |need| need.safe);
    let begin = situation.ready_minute - scaling.lead_minutes;
    if begin < situation.now_minute {
        return format!(
            "More instances would come too late: they take {} minutes, so it had to begin by {}.",
            scaling.lead_minutes,
            instant(begin)
        );
    }
    if safe > scaling.max {
        return format!(
            "It can grow to {} only, and {safe} are needed.",
            instances(scaling.max)
        );
    }
    let missing = safe.saturating_sub(service.instances) as f64;
    format!(
        "The budget of {:.2} {} does not pay all that is needed; this alone would cost {:.2}.",
        situation.budget.unwrap_or(0.0),
        situation.currency,
        missing * scaling.cost_per_hour * situation.hours
    )
}
