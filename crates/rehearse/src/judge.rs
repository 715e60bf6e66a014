//! What was expected of a run, what was found, and the verdict.
//!
//! Figures about the flood decide whether there is a verdict at all; a broken promise counts
//! either way.

use crate::report::{About, Expectation, LoadFigures, OrderFigures, checks, share};
use crate::run::Ran;
use picture::thousands;
use wire::campaign::Expectations;
use wire::report::Verdict;

/// What a run is held to.
#[derive(Clone, Debug)]
pub(crate) struct Demands {
    pub(crate) expectations: Expectations,
    /// A campaign's flood has a T0; replayed orders have a rate.
    pub(crate) t0: bool,
    pub(crate) kills: usize,
}

pub(crate) fn expectations(
    load: &LoadFigures,
    orders: &OrderFigures,
    ran: &Ran,
    demands: &Demands,
) -> Vec<Expectation> {
    let expected = &demands.expectations;
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let mut list = Vec::new();
    let mut add = |about, what: &str, expected: String, found: String, holds| {
        list.push(Expectation {
            what: what.to_owned(),
            expected,
            found,
            holds,
            about,
        });
    };
    let sent = load.sent_share;
    let at_least = |text: String| format!("≥ {text}");
    let wanted = expected.sent_share;
    add(
        About::Flood,
        "planned arrivals sent in time",
        at_least(percent(wanted)),
        percent(sent),
        sent >= wanted,
    );
    if demands.t0 {
        let (wanted, found) = (expected.min_rps_at_t0, load.rps_at_t0);
        add(
            About::Flood,
            "requests in the first second from T0",
            at_least(thousands(wanted)),
            thousands(found),
            found >= wanted,
        );
    }
    let kills = ran.kills.len();
    add(
        About::Flood,
        "kills in the middle of it",
        demands.kills.to_string(),
        kills.to_string(),
        kills == demands.kills,
    );
    add(
        About::Flood,
        "books to audit",
        "the journal".to_owned(),
        if ran.audited.is_some() {
            "the journal"
        } else {
            "none"
        }
        .to_owned(),
        ran.audited.is_some(),
    );
    let errors = ran.outcome.measured.errors_in_all().outside;
    let outside = ran.outcome.measured.every.outside.len() + errors;
    let (found, wanted) = (share(errors, outside), expected.error_share_max);
    add(
        About::Promise,
        "errors outside the kill",
        format!("≤ {}", percent(wanted)),
        percent(found),
        found <= wanted,
    );
    let open = ran.outcome.receipts.unanswered.len() as u64;
    add(
        About::Promise,
        "writes unanswered or undecided in the end",
        "0".to_owned(),
        thousands(open),
        open == 0,
    );
    add(
        About::Promise,
        "orders that all got a decision",
        thousands(orders.offered),
        thousands(orders.admitted + orders.turned_away),
        orders.unanswered == 0,
    );
    add(
        About::Promise,
        "holds left after all have ended",
        "0".to_owned(),
        ran.audited
            .as_ref()
            .map_or("unknown".to_owned(), |a| thousands(a.still_held)),
        ran.settled && ran.audited.as_ref().is_none_or(|a| a.still_held == 0),
    );
    if let (Some(audited), true) = (&ran.audited, demands.t0) {
        let wanted = |stock: &&crate::books::Stock| {
            stock.stocked > 0
                && stock.demand as f64 >= f64::from(stock.stocked) * expected.sold_out_at_demand
        };
        let rush = audited.stocks.iter().filter(wanted).count();
        let gone = audited
            .stocks
            .iter()
            .filter(wanted)
            .filter(|s| s.free_min == 0)
            .count();
        let what = "products wanted more than stocked";
        add(
            About::Flood,
            what,
            "≥ 1".to_owned(),
            rush.to_string(),
            rush > 0,
        );
        let times = expected.sold_out_at_demand;
        let what = format!("products with {times} × their stock in demand sold out");
        add(
            About::Flood,
            &what,
            rush.to_string(),
            gone.to_string(),
            gone == rush,
        );
    }
    for (name, problem) in ran.faults() {
        add(
            About::Flood,
            &format!("the fault {name}"),
            "as planned".to_owned(),
            problem.unwrap_or("as planned").to_owned(),
            problem.is_none(),
        );
    }
    if ran.audited.is_some() {
        let all = checks(ran).count();
        let failed = checks(ran).filter(|check| !check.passed).count();
        let (expected, found) = (format!("{all} hold"), format!("{} hold", all - failed));
        add(
            About::Promise,
            "checks of the audit",
            expected,
            found,
            failed == 0,
        );
    }
    list
}

/// The verdict: a broken promise counts whatever the flood was; a promise kept counts only
/// against a flood that was one, and so does what was expected around faults.
pub(crate) fn verdict(expectations: &[Expectation]) -> Verdict {
    let missed = |about| expectations.iter().any(|e| !e.holds && e.about == about);
    if missed(About::Promise) {
        Verdict::Broken
    } else if missed(About::Flood) {
        Verdict::None
    } else if missed(About::Drill) {
        Verdict::Broken
    } else {
        Verdict::Holds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flood: bool, promise: bool) -> Verdict {
        let one = |about, holds| Expectation {
            what: String::new(),
            expected: String::new(),
            found: String::new(),
            holds,
            about,
        };
        verdict(&[one(About::Flood, flood), one(About::Promise, promise)])
    }

    #[test]
    fn a_promise_counts_only_against_a_flood_and_a_breach_always() {
        assert_eq!(check(true, true), Verdict::Holds);
        assert_eq!(check(false, true), Verdict::None);
        assert_eq!(check(true, false), Verdict::Broken);
        assert_eq!(check(false, false), Verdict::Broken);
        let drill = |about| {
            let one = |about, holds| Expectation {
                what: String::new(),
                expected: String::new(),
                found: String::new(),
                holds,
                about,
            };
            verdict(&[one(about, false), one(About::Drill, false)])
        };
        assert_eq!(drill(About::Drill), Verdict::Broken);
        assert_eq!(
            drill(About::Flood),
            Verdict::None,
            "a fault that was not proves nothing"
        );
    }
}
