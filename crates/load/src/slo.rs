//! What must hold at a rate, written as people say it: `p99<200ms`, `errors<0.5%`, `refused<=2%`.

use crate::measure::{End, Second};
use std::fmt;
use std::str::FromStr;

/// One objective on the answers of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    pub what: What,
    /// Microseconds, or a share of one.
    pub most: f64,
    /// Whether the bound itself holds.
    pub inclusive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// Of good answers, from the planned instant.
    Quantile(f64),
    Mean,
    Max,
    /// Of all that ended: everything but good answers and refusals.
    Errors,
    /// Of all that ended: 429 and 503.
    Refused,
}

/// Why a text is no objective.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no objective: {what}; expected such as p99<200ms, mean<50ms or errors<0.5%")]
pub struct BadObjective {
    pub text: String,
    pub what: String,
}

impl FromStr for Objective {
    type Err = BadObjective;

    fn from_str(text: &str) -> Result<Objective, BadObjective> {
        let bad = |what: &str| BadObjective {
            text: text.to_owned(),
            what: what.to_owned(),
        };
        let at = text.find('<').ok_or_else(|| bad("it has no <"))?;
        let (name, rest) = (text[..at].trim(), &text[at + 1..]);
        let inclusive = rest.starts_with('=');
        let bound = rest[usize::from(inclusive)..].trim();
        let what = match name {
            "mean" | "avg" => What::Mean,
            "max" => What::Max,
            "errors" => What::Errors,
            "refused" => What::Refused,
            _ => {
                let percent = name.strip_prefix('p').and_then(|p| p.parse::<f64>().ok());
                let percent = percent.filter(|p| *p > 0.0 && *p < 100.0);
                What::Quantile(percent.ok_or_else(|| bad("its figure is unknown"))? / 100.0)
            }
        };
        let units: &[(&str, f64)] = match what {
            What::Errors | What::Refused => &[("%", 0.01)],
            _ => &[("us", 1.0), ("µs", 1.0), ("ms", 1e3), ("s", 1e6)],
        };
        let with_unit = units.iter().find_map(|(unit, of)| {
            let number = bound.strip_suffix(unit)?.trim().parse::<f64>().ok()?;
            Some(number * of)
        });
        let share = matches!(what, What::Errors | What::Refused)
            .then(|| bound.parse::<f64>().ok())
            .flatten();
        let most = with_unit
            .or(share)
            .filter(|most| *most >= 0.0 && most.is_finite());
        Ok(Objective {
            what,
            most: most.ok_or_else(|| bad("its bound has no number with a unit"))?,
            inclusive,
        })
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.inclusive { "<=" } else { "<" };
        match self.what {
            What::Quantile(share) => {
                // 0.999 × 100 is not 99.9 in binary.
                let percent = (share * 1e8).round() / 1e6;
                write!(f, "p{percent}{sign}{}ms", self.most / 1e3)
            }
            What::Mean => write!(f, "mean{sign}{}ms", self.most / 1e3),
            What::Max => write!(f, "max{sign}{}ms", self.most / 1e3),
            What::Errors => write!(f, "errors{sign}{}%", self.most * 100.0),
            What::Refused => write!(f, "refused{sign}{}%", self.most * 100.0),
        }
    }
}

impl Objective {
    /// The value in a window, in the unit of `most`; `None` if nothing was answered.
    #[must_use]
    pub fn value(&self, window: &Second) -> Option<f64> {
        let all: u64 = window.ends.iter().sum();
        let share = |part: u64| (all > 0).then(|| part as f64 / all as f64);
        match self.what {
            What::Quantile(share) => window.latency.quantile_us(share).map(|us| us as f64),
            What::Mean => (window.latency.count() > 0).then(|| window.latency.mean_us()),
            What::Max => window.latency.max_us().map(|us| us as f64),
            What::Errors => share(window.errors()),
            What::Refused => share(window.ended(End::Refused)),
        }
    }

    /// A window without an answer keeps no objective.
    #[must_use]
    pub fn holds(&self, window: &Second) -> bool {
        self.value(window).is_some_and(|value| self.allows(value))
    }

    /// Whether a value, in the unit of `most`, is good enough.
    #[must_use]
    pub fn allows(&self, value: f64) -> bool {
        match self.inclusive {
            true => value <= self.most,
            false => value < self.most,
        }
    }

    /// The value as people read it.
    #[must_use]
    pub fn seen(&self, window: &Second) -> String {
        self.shown(self.value(window))
    }

    /// A value, in the unit of `most`, as people read it.
    #[must_use]
    pub fn shown(&self, value: Option<f64>) -> String {
        match (value, self.what) {
            (None, _) => "no answer".to_owned(),
            (Some(value), What::Errors | What::Refused) => format!("{:.2} %", value * 100.0),
            (Some(value), _) => format!("{:.1} ms", value / 1e3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objectives_are_read_and_written() {
        for text in [
            "p99<200ms",
            "p99.9<=1500ms",
            "mean<50ms",
            "max<2000ms",
            "errors<0.5%",
        ] {
            assert_eq!(text.parse::<Objective>().unwrap().to_string(), text);
        }
        let same = [
            ("p50 < 1s", "p50<1000ms"),
            ("p95<900us", "p95<0.9ms"),
            ("errors<0.01", "errors<1%"),
            ("avg<2ms", "mean<2ms"),
        ];
        for (text, wanted) in same {
            assert_eq!(text.parse::<Objective>().unwrap().to_string(), wanted);
        }
        let bad = [
            "p99",
            "p99<200",
            "p0<1ms",
            "p100<1ms",
            "q<1ms",
            "errors<x%",
            "p99<-1ms",
            "",
            "p99<NaNms",
        ];
        for text in bad {
            assert!(text.parse::<Objective>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_window_without_answers_holds_nothing() {
        let mut window = Second::default();
        let p99: Objective = "p99<10ms".parse().unwrap();
        let errors: Objective = "errors<10%".parse().unwrap();
        assert!(!p99.holds(&window) && !errors.holds(&window));
        for _ in 0..95 {
            window.latency.record(5_000);
            window.ends[End::Good as usize] += 1;
        }
        window.ends[End::Broken as usize] += 5;
        assert!(p99.holds(&window) && errors.holds(&window));
        window.ends[End::TimedOut as usize] += 6;
        assert!(!errors.holds(&window));
        assert_eq!(errors.seen(&window), "10.38 %");
    }
}
