//! Histograms on their way between machines: what was seen, and how often. Added up they are the
//! same as one that saw it all, because all have the same bounds.

use crate::measure::Latency;
use hdrhistogram::Histogram;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Microseconds, as [`Latency`] has it.
const LATENCY_US_MAX: u64 = 3_600_000_000;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counts {
    digits: u8,
    /// Microseconds and how often; rising.
    counts: Vec<(u64, u32)>,
}

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let histogram = self.histogram();
        let seen = histogram.iter_recorded();
        let counts = seen.map(|at| (at.value_iterated_to(), at.count_at_value()));
        let counts = Counts {
            digits: histogram.sigfig(),
            counts: counts.collect(),
        };
        counts.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Latency, D::Error> {
        let Counts { digits, counts } = Counts::deserialize(from)?;
        if !(2..=3).contains(&digits) {
            let what = format!("a histogram of {digits} digits, expected 2 or 3");
            return Err(D::Error::custom(what));
        }
        let histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, digits);
        let mut histogram = histogram.expect("these bounds are a histogram's");
        for (us, count) in counts {
            histogram.saturating_record_n(us, count);
        }
        Ok(Latency::of_histogram(histogram))
    }
}
