//! One second of a run in plain values.

use crate::arrivals::Plan;
use crate::measure::{End, Second};

/// What happened in a second. Zero is nought, `None` is not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moment {
    /// Seconds from the start, from 1.
    pub at_s: u64,
    /// How long the plan is.
    pub of_s: Option<u64>,
    /// Arrivals that the plan has in it.
    pub offered: Option<f64>,
    /// Arrivals that left.
    pub arrived: u64,
    /// Requests that left.
    pub sent: u64,
    pub good: u64,
    pub refused: u64,
    /// By reason, those that occurred.
    pub errors: Vec<(String, u64)>,
    pub p50_ms: Option<f64>,
    pub p90_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub max_ms: Option<f64>,
    /// Buyers, or requests, at its end.
    pub under_way: u64,
    pub connections: u64,
}

impl Moment {
    /// `at`: its place from 0.
    #[must_use]
    pub fn of(at: usize, second: &Second) -> Moment {
        let ms = |us: Option<u64>| us.map(|us| us as f64 / 1e3);
        let quantile = |share| ms(second.latency.quantile_us(share));
        let errors = End::ALL
            .into_iter()
            .filter(|end| end.is_error() && second.ended(*end) > 0);
        Moment {
            at_s: at as u64 + 1,
            arrived: second.arrived,
            sent: second.sent,
            good: second.ended(End::Good),
            refused: second.ended(End::Refused),
            errors: errors
                .map(|end| (end.name().to_owned(), second.ended(end)))
                .collect(),
            p50_ms: quantile(0.5),
            p90_ms: quantile(0.9),
            p99_ms: quantile(0.99),
            max_ms: ms(second.latency.max_us()),
            under_way: second.buyers,
            connections: second.connections,
            ..Moment::default()
        }
    }

    /// With what the plan had for it.
    #[must_use]
    pub fn planned(self, plan: &Plan) -> Moment {
        Moment {
            of_s: Some(plan.us().div_ceil(1_000_000)),
            offered: Some(offered(plan, self.at_s.saturating_sub(1))),
            ..self
        }
    }

    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.iter().map(|(_, count)| count).sum()
    }
}

/// Arrivals of a plan in its second `at`, from 0.
#[must_use]
pub fn offered(plan: &Plan, at: u64) -> f64 {
    plan.between(at * 1_000_000, (at + 1) * 1_000_000)
}
