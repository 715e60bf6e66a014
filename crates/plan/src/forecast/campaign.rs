//! From history and campaign to the forecast: baseline times uplift, with a band, and the peaks.
//!
//! The peak second: within the busiest minute the requests of one second have the mean m and the
//! variance D·m, where D is the measured dispersion. The highest of n = 60 values is expected at
//! most √(2 ln n) standard deviations above the mean (Boucheron, Lugosi, Massart, "Concentration
//! Inequalities", theorem 2.5), so the peak second is m + √(2 ln 60 · D · m).

use super::backtest::{BackTest, Spread, Trial, back_test};
use super::baseline::{Method, baseline};
use super::history::{History, Steps};
use super::shape::{Band, Forecast, Peak, RouteForecast};
use super::uplift::uplift;
use crate::limits::{BACK_TEST_FOLDS_MAX, HORIZON_STEPS_MAX, SPAN_MINUTES_MAX};
use std::fmt;

/// What is asked of the forecast.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The first minute of the campaign's span, and how many.
    pub from_minute: i64,
    pub minutes: usize,
    pub t0_minute: i64,
    /// The share of minutes that the band is meant to hold.
    pub level: f64,
    /// People on the busiest day, with what is thought possible.
    pub dau: Option<Band>,
    /// Attempts to buy on that day, and the route by which they come.
    pub dat: Option<Band>,
    pub order_route: Option<String>,
    pub phases: Vec<Stretch>,
    pub earlier: Vec<Earlier>,
}

/// A phase.
#[derive(Clone, Debug, Default)]
pub struct Stretch {
    pub name: String,
    pub from_minute: i64,
    pub until_minute: i64,
    pub uplift: Option<f64>,
}

/// A campaign before this one.
#[derive(Clone, Debug, Default)]
pub struct Earlier {
    pub name: String,
    pub t0_minute: i64,
    pub history: History,
    pub dau: Option<f64>,
}

/// The forecast with what speaks for it.
#[derive(Clone, Debug)]
pub struct Foreseen {
    pub forecast: Forecast,
    /// One for each route of the forecast, and last the total.
    pub evidence: Vec<Evidence>,
    /// Minutes of one step of the baseline.
    pub step_minutes: usize,
    /// How the uplift was found, and what is doubtful, in sentences.
    pub told: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Evidence {
    pub route: String,
    pub method: Method,
    /// `None` where the history is too short to hold something back.
    pub back_test: Option<BackTest>,
    /// The dispersion that the peak second is made with.
    pub dispersion: f64,
    /// Whether it was measured; else it is 1, chance alone.
    pub measured: bool,
}

/// Why there is no forecast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoForecast {
    /// There is no data before the campaign begins.
    NoHistory,
    /// The span, in minutes.
    Span(usize),
}

impl fmt::Display for NoForecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoForecast::NoHistory => {
                f.write_str("the series has no data before the campaign begins")
            }
            NoForecast::Span(minutes) => {
                let most = SPAN_MINUTES_MAX;
                write!(
                    f,
                    "found a campaign of {minutes} minutes, expected 1 to {most}"
                )
            }
        }
    }
}

impl std::error::Error for NoForecast {}

/// The share of normal traffic below which the band of a route that nobody could test may not
/// shrink: half and double.
const UNTESTED: Spread = Spread {
    lower: 0.5,
    upper: 2.0,
};

/// The forecast of a campaign.
pub fn foresee(history: &History, asked: &Asked) -> Result<Foreseen, NoForecast> {
    if asked.minutes == 0 || asked.minutes > SPAN_MINUTES_MAX {
        return Err(NoForecast::Span(asked.minutes));
    }
    let history = history.before(asked.from_minute);
    if history.total().iter().flatten().next().is_none() {
        return Err(NoForecast::NoHistory);
    }
    let raised = uplift(&history, asked);
    let mut told = raised.told;
    let steps = Steps::of(&history);
    let ahead = Ahead::of(steps, asked, &mut told);
    let (routes, mut evidence) = ahead.routes(&history, asked, &raised.rows);
    let mut sum = vec![Band::default(); asked.minutes];
    for route in &routes {
        for (sum, band) in sum.iter_mut().zip(&route.minutes) {
            *sum = sum.plus(*band);
        }
    }
    let total = steps.values(history.from_minute, &history.total());
    let (_, method, tested) = ahead.curve(&total, asked.level);
    evidence.push(evidence_of("total", method, tested, history.dispersion));
    if history.dispersion.is_none() {
        told.push(
            "the series does not know seconds: the peak second is made with chance alone, the \
             least that it can be"
                .to_owned(),
        );
    }
    let dispersion = history.dispersion.unwrap_or(1.0);
    Ok(Foreseen {
        forecast: Forecast {
            from_minute: asked.from_minute,
            level: asked.level,
            routes,
            total: peaks("total", sum, asked.from_minute, dispersion),
        },
        evidence,
        step_minutes: steps.minutes,
        told,
    })
}

/// How far the baseline looks.
struct Ahead {
    steps: Steps,
    from_minute: i64,
    minutes: usize,
    horizon: usize,
}

impl Ahead {
    fn of(steps: Steps, asked: &Asked, told: &mut Vec<String>) -> Ahead {
        let week = 7 * 1_440;
        let end = |from: i64| from + asked.minutes as i64 - steps.until;
        let far = |from: i64| end(from) > (HORIZON_STEPS_MAX * steps.minutes) as i64;
        let mut from = asked.from_minute;
        if far(from) {
            // The same weekday and hour, in the week after the history.
            let weeks = (from - steps.until).div_euclid(week).max(0);
            from -= weeks * week;
            told.push(format!(
                "the series ends {weeks} weeks before the campaign: the week after its end stands \
                 for the campaign's, and growth in between is not known"
            ));
        }
        let horizon = usize::try_from(end(from))
            .unwrap_or(0)
            .div_ceil(steps.minutes)
            + 1;
        Ahead {
            steps,
            from_minute: from,
            minutes: asked.minutes,
            horizon,
        }
    }

    /// Every route with its evidence, by name.
    fn routes(
        &self,
        history: &History,
        asked: &Asked,
        raised: &[Vec<Band>],
    ) -> (Vec<RouteForecast>, Vec<Evidence>) {
        let all = history.routes.iter().zip(raised);
        let found = all.map(|(route, raised)| {
            let values = self.steps.values(history.from_minute, &route.requests);
            let (curve, method, tested) = self.curve(&values, asked.level);
            let spread = tested.map_or(UNTESTED, |(_, spread)| spread);
            let minutes = curve.iter().zip(raised);
            let minutes = minutes.map(|(rate, raised)| banded(*rate, spread, *raised));
            let dispersion = route.dispersion.unwrap_or(1.0);
            (
                peaks(
                    &route.route,
                    minutes.collect(),
                    asked.from_minute,
                    dispersion,
                ),
                evidence_of(&route.route, method, tested, route.dispersion),
            )
        });
        let mut found: Vec<(RouteForecast, Evidence)> = found.collect();
        found.sort_by(|a, b| a.0.route.cmp(&b.0.route));
        found.into_iter().unzip()
    }

    /// Mean requests a second of each minute, how they were found, and what a back-test says.
    fn curve(
        &self,
        values: &[Option<f64>],
        level: f64,
    ) -> (Vec<f64>, Method, Option<(BackTest, Spread)>) {
        let periods = self.steps.periods();
        let seen = periods.iter().filter(|period| values.len() >= 2 * **period);
        let trial = Trial {
            periods: &periods,
            naive: seen.max().copied().unwrap_or(periods[0]),
            horizon: self.horizon.min(values.len() / 4).min(periods[1]),
            folds: BACK_TEST_FOLDS_MAX,
            level,
        };
        let (ahead, method) = baseline(values, &periods, self.horizon);
        let long = self.steps.minutes as f64;
        // A step's value is that of its middle; between middles along a straight line.
        let at = |minute: usize| {
            let since = (self.from_minute - self.steps.until) as f64 + minute as f64 + 0.5;
            let place = (since / long - 0.5).max(0.0);
            let low = (place.floor() as usize).min(self.horizon.saturating_sub(1));
            let high = (low + 1).min(self.horizon.saturating_sub(1));
            let (low_value, high_value) = (ahead[low], ahead[high]);
            (low_value + (high_value - low_value) * (place - low as f64).clamp(0.0, 1.0)) / 60.0
        };
        let curve = (0..self.minutes).map(at).collect();
        (curve, method, back_test(values, &trial))
    }
}

fn evidence_of(
    route: &str,
    method: Method,
    tested: Option<(BackTest, Spread)>,
    dispersion: Option<f64>,
) -> Evidence {
    Evidence {
        route: route.to_owned(),
        method,
        back_test: tested.map(|(test, _)| test),
        dispersion: dispersion.unwrap_or(1.0).max(1.0),
        measured: dispersion.is_some(),
    }
}

/// Baseline and uplift err independently, so their logarithms are added as variances are.
fn banded(rate: f64, spread: Spread, raised: Band) -> Band {
    let expected = rate * raised.expected;
    let side = |of_rate: f64, of_raised: f64| {
        let of_raised = of_raised / raised.expected.max(f64::MIN_POSITIVE);
        let logs = [of_rate, of_raised].map(|factor| factor.max(1e-9).ln());
        logs.iter().map(|log| log * log).sum::<f64>().sqrt().exp()
    };
    Band {
        expected,
        lower: expected / side(spread.lower.min(1.0), raised.lower.min(raised.expected)),
        upper: expected * side(spread.upper.max(1.0), raised.upper.max(raised.expected)),
    }
}

fn peaks(route: &str, minutes: Vec<Band>, from: i64, dispersion: f64) -> RouteForecast {
    let mut top = 0;
    for (at, band) in minutes.iter().enumerate() {
        if band.expected > minutes[top].expected {
            top = at;
        }
    }
    let at_minute = from + top as i64;
    let per_second = minutes.get(top).copied().unwrap_or_default();
    let second = |mean: f64| peak_second(mean, dispersion);
    RouteForecast {
        route: route.to_owned(),
        minutes,
        peak_minute: Peak {
            at_minute,
            per_second,
        },
        peak_second: Peak {
            at_minute,
            per_second: Band {
                expected: second(per_second.expected),
                lower: second(per_second.lower),
                upper: second(per_second.upper),
            },
        },
    }
}

/// The busiest second of a minute with this mean of requests a second. Less than chance makes
/// (a generator's even rhythm) is not believed of people.
#[must_use]
pub fn peak_second(mean: f64, dispersion: f64) -> f64 {
    mean + (2.0 * 60_f64.ln() * dispersion.max(1.0) * mean.max(0.0)).sqrt()
}
