//! How many times its normal traffic a route gets while the sale lasts: from earlier campaigns
//! where there are some, else from the people and attempts to buy that are expected. What people
//! wrote for a phase goes before both. It must not know how the baseline was found.

use super::baseline::baseline;
use super::history::{History, Steps, mean};
use super::shape::Band;
use super::{Asked, Earlier};

/// Requests a minute from which on a route's own uplift at an earlier campaign means something.
const RATE_PER_MINUTE_MIN: f64 = 1.0;
/// Minutes to both sides over which an earlier campaign's uplift is smoothed.
const SMOOTH_MINUTES: usize = 2;

/// Factors for each minute of the span, one row a route.
#[derive(Clone, Debug, Default)]
pub(super) struct Uplift {
    pub rows: Vec<Vec<Band>>,
    pub told: Vec<String>,
}

pub(super) fn uplift(history: &History, asked: &Asked) -> Uplift {
    let mut found = if asked.earlier.is_empty() {
        by_people(history, asked)
    } else {
        by_earlier(history, asked)
    };
    for phase in &asked.phases {
        let Some(uplift) = phase.uplift else { continue };
        let place = |minute: i64| {
            let at = usize::try_from(minute - asked.from_minute).unwrap_or(0);
            at.min(asked.minutes)
        };
        for row in &mut found.rows {
            for band in &mut row[place(phase.from_minute)..place(phase.until_minute)] {
                let factor = uplift / band.expected.max(f64::MIN_POSITIVE);
                *band = band.times(factor);
            }
        }
        let what = format!(
            "phase {:?}: {uplift} times, as the campaign says",
            phase.name
        );
        found.told.push(what);
    }
    found
}

fn by_people(history: &History, asked: &Asked) -> Uplift {
    let mut told = Vec::new();
    let usual = history.usual_dau();
    let people = match (asked.dau, usual) {
        (Some(dau), Some(usual)) => {
            told.push(format!(
                "{:.0} people instead of the usual {usual:.0}: {:.2} times on all routes",
                dau.expected,
                dau.expected / usual
            ));
            dau.times(1.0 / usual)
        }
        (Some(_), None) => {
            told.push("the series knows no people (DAU), so nothing is raised by theirs".into());
            ONE
        }
        (None, _) => {
            told.push("neither earlier campaigns nor expected DAU: nothing is raised".into());
            ONE
        }
    };
    let mut of_orders = None;
    if let (Some(dat), Some(name)) = (asked.dat, &asked.order_route) {
        let usual = history.route(name).and_then(|route| {
            let minute = mean(route.requests.iter().flatten().copied())?;
            Some(minute * 1_440.0).filter(|day| *day > 0.0)
        });
        if let Some(usual) = usual {
            told.push(format!(
                "{:.0} attempts to buy instead of {usual:.0} on {name}: {:.2} times",
                dat.expected,
                dat.expected / usual
            ));
            of_orders = Some(dat.times(1.0 / usual));
        } else {
            told.push(format!(
                "the series has no requests on {name}; DAU raises it"
            ));
        }
    }
    told.push(
        "without an earlier campaign the day's shape is a normal day's: how steep the opening is \
         stands in no estimate, so give phases an uplift or an earlier campaign"
            .into(),
    );
    let rows = history.routes.iter().map(|route| {
        let own = of_orders.filter(|_| asked.order_route.as_ref() == Some(&route.route));
        vec![own.unwrap_or(people); asked.minutes]
    });
    Uplift {
        rows: rows.collect(),
        told,
    }
}

const ONE: Band = Band {
    expected: 1.0,
    lower: 1.0,
    upper: 1.0,
};

fn by_earlier(history: &History, asked: &Asked) -> Uplift {
    let mut told = Vec::new();
    let mut all: Vec<Vec<Vec<f64>>> = Vec::new();
    for earlier in &asked.earlier {
        let scale = scale(history, asked, earlier);
        let offset = asked.from_minute - asked.t0_minute;
        let from = earlier.t0_minute + offset;
        let total = ratios(
            &earlier.history,
            None,
            earlier.t0_minute,
            from,
            asked.minutes,
        );
        let Some(total) = total else {
            told.push(format!(
                "{}: no traffic of the day before it, so nothing is learnt from it",
                earlier.name
            ));
            continue;
        };
        let highest = total.iter().copied().fold(0.0, f64::max);
        told.push(format!(
            "{}: up to {highest:.2} times its normal traffic, scaled by {scale:.2}",
            earlier.name
        ));
        let rows = history.routes.iter().map(|route| {
            let name = Some(route.route.as_str());
            let own = ratios(
                &earlier.history,
                name,
                earlier.t0_minute,
                from,
                asked.minutes,
            );
            let row = own.unwrap_or_else(|| total.clone());
            row.into_iter().map(|ratio| ratio * scale).collect()
        });
        all.push(rows.collect());
    }
    if all.is_empty() {
        let mut people = by_people(history, asked);
        told.append(&mut people.told);
        return Uplift { told, ..people };
    }
    let (low, high) = asked.dau.map_or((1.0, 1.0), |dau| {
        let value = dau.expected.max(f64::MIN_POSITIVE);
        (dau.lower / value, dau.upper / value)
    });
    let band = |route: usize, minute: usize| {
        let found = all.iter().map(|rows| rows[route][minute].max(1e-6));
        let logs: f64 = found.clone().map(f64::ln).sum();
        Band {
            expected: (logs / all.len() as f64).exp(),
            lower: found.clone().fold(f64::MAX, f64::min) * low,
            upper: found.fold(0.0, f64::max) * high,
        }
    };
    let routes = 0..history.routes.len();
    let rows = routes.map(|route| (0..asked.minutes).map(|at| band(route, at)).collect());
    Uplift {
        rows: rows.collect(),
        told,
    }
}

/// How many times its usual people this sale is expected to have, by the same of an earlier one.
fn scale(history: &History, asked: &Asked, earlier: &Earlier) -> f64 {
    let now = [asked.dau.map(|dau| dau.expected), history.usual_dau()];
    let before = earlier.history.before(earlier.t0_minute).usual_dau();
    match (now, [earlier.dau, before]) {
        ([Some(now), Some(usual)], [Some(then), Some(before)]) if then > 0.0 => {
            (now / usual) / (then / before)
        }
        _ => 1.0,
    }
}

/// What came, divided by what would have come without the campaign, minute by minute.
fn ratios(
    history: &History,
    route: Option<&str>,
    t0: i64,
    from: i64,
    minutes: usize,
) -> Option<Vec<f64>> {
    let requests = match route {
        Some(name) => history.route(name)?.requests.clone(),
        None => history.total(),
    };
    // The last day before is no normal one: people look around and wait.
    let normal = history.before(t0 - 1_440);
    let steps = Steps::of(&normal);
    let cut = usize::try_from(steps.until - history.from_minute).ok()?;
    let values = steps.values(history.from_minute, requests.get(..cut)?);
    let usual = mean(values.iter().flatten().copied())?;
    if usual < RATE_PER_MINUTE_MIN && route.is_some() || usual <= 0.0 {
        return None;
    }
    let until = from + minutes as i64;
    let ahead = usize::try_from(until - steps.until)
        .ok()?
        .div_ceil(steps.minutes);
    let (expected, _) = baseline(&values, &steps.periods(), ahead);
    let raw = |minute: i64| {
        let at = usize::try_from(minute - history.from_minute).ok()?;
        let actual = (*requests.get(at)?)?;
        let step = usize::try_from(minute - steps.until).ok()? / steps.minutes;
        Some(actual / expected.get(step)?.max(usual * 0.05))
    };
    let raw: Vec<Option<f64>> = (from..until).map(raw).collect();
    let smooth = |at: usize| {
        let (low, high) = (at.saturating_sub(SMOOTH_MINUTES), at + SMOOTH_MINUTES + 1);
        // The step at T0 must stay one: what is before it is not mixed with what is after.
        let opening = usize::try_from(t0 - from).unwrap_or(0);
        let (low, high) = if at < opening {
            (low, high.min(opening))
        } else {
            (low.max(opening), high)
        };
        mean(raw.get(low..high.min(raw.len()))?.iter().flatten().copied())
    };
    let mut last = 1.0;
    let row = (0..minutes).map(|at| {
        last = smooth(at).unwrap_or(last);
        last
    });
    Some(row.collect())
}
