//! The seconds of a run in the shape that thresholds are asked of, by request and in all.

use load::measure::{End, Second};
use std::collections::BTreeMap;

/// Seconds by name; all requests together are under [`ALL`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Series(BTreeMap<String, Vec<Second>>);

pub(crate) const ALL: &str = "";
/// Figures of a shop that are no requests; their count stands where a request's would.
pub(crate) const ORDERS_HELD: &str = "orders_held";
pub(crate) const ORDERS_PAID: &str = "orders_paid";

impl Series {
    pub(crate) fn of(seconds: Vec<Second>) -> Series {
        Series(BTreeMap::from([(ALL.to_owned(), seconds)]))
    }

    /// The second of `us` under a name.
    pub(crate) fn second(&mut self, name: &str, us: u64) -> &mut Second {
        let at = usize::try_from(us / 1_000_000).unwrap_or(usize::MAX);
        let at = at.min(crate::limits::SECONDS_MAX - 1);
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), Vec::new());
        }
        let seconds = self.0.entry(name.to_owned()).or_default();
        if seconds.len() <= at {
            seconds.resize_with(at + 1, Second::default);
        }
        &mut seconds[at]
    }

    /// Whole seconds from one to another, the latter not included; those without anything in them
    /// are there, too.
    pub(crate) fn between(&self, name: &str, from: usize, to: usize) -> Vec<Second> {
        let Some(seconds) = self.0.get(name) else {
            return Vec::new();
        };
        let empty = Second::default;
        let second = |at: usize| seconds.get(at).cloned().unwrap_or_else(empty);
        (from..to.max(from)).map(second).collect()
    }

    /// Puts all names but the shop's figures together under [`ALL`].
    pub(crate) fn summed(mut self) -> Series {
        let mut all: Vec<Second> = Vec::new();
        for (name, seconds) in &self.0 {
            if name == ORDERS_HELD || name == ORDERS_PAID || name == ALL {
                continue;
            }
            if all.len() < seconds.len() {
                all.resize_with(seconds.len(), Second::default);
            }
            for (mine, theirs) in all.iter_mut().zip(seconds) {
                mine.add(theirs);
            }
        }
        self.0.insert(ALL.to_owned(), all);
        self
    }
}

/// The figures of one part of the time, for people.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct PartFigures {
    pub(crate) requests_per_s: f64,
    pub(crate) good: u64,
    pub(crate) refused: u64,
    pub(crate) errors: u64,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
}

impl PartFigures {
    pub(crate) fn of(seconds: &[Second]) -> PartFigures {
        let mut all = Second::default();
        seconds.iter().for_each(|second| all.add(second));
        let ms = |share| all.latency.quantile_us(share).map(|us| us as f64 / 1e3);
        PartFigures {
            requests_per_s: all.sent as f64 / seconds.len().max(1) as f64,
            good: all.ended(End::Good),
            refused: all.ended(End::Refused),
            errors: all.errors(),
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
        }
    }
}
