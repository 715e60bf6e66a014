//! When each arrival leaves, decided without looking at any answer: open loop.
//!
//! A load is a row of segments whose rate changes evenly. The area under it is the number of
//! arrivals; each leaves where the area reaches its turn. Turns are one apart (even spacing), or
//! exponentially distributed (a Poisson process, by time change). Nothing is kept per arrival, so a
//! plan of hundreds of millions costs nothing. It must not know about sockets or clocks.

use crate::rng::Rng;

/// Requests a second that go evenly from one rate to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    pub from_per_s: f64,
    pub to_per_s: f64,
    pub us: u64,
}

impl Segment {
    #[must_use]
    pub fn constant(per_s: f64, us: u64) -> Segment {
        Segment {
            from_per_s: per_s,
            to_per_s: per_s,
            us,
        }
    }

    fn seconds(&self) -> f64 {
        self.us as f64 / 1e6
    }

    /// Arrivals in it.
    #[must_use]
    pub fn area(&self) -> f64 {
        (self.from_per_s + self.to_per_s) / 2.0 * self.seconds()
    }

    /// Seconds from its start until `area` arrivals have left; `area` lies within.
    fn reaches(&self, area: f64) -> f64 {
        let slope = (self.to_per_s - self.from_per_s) / self.seconds();
        if slope.abs() < 1e-12 {
            return area / self.from_per_s;
        }
        // area = from·t + slope·t²/2, in the form that does not cancel for small slopes.
        let under = (self.from_per_s * self.from_per_s + 2.0 * slope * area).max(0.0);
        2.0 * area / (self.from_per_s + under.sqrt())
    }
}

/// How arrivals lie within the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    Even,
    /// As independent people come.
    Poisson {
        seed: u64,
    },
}

/// The planned arrivals of a load.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub segments: Vec<Segment>,
    pub spacing: Spacing,
}

impl Plan {
    #[must_use]
    pub fn us(&self) -> u64 {
        self.segments.iter().map(|segment| segment.us).sum()
    }

    /// Arrivals on the average, from one instant to another, in microseconds from the start.
    #[must_use]
    pub fn between(&self, from_us: u64, to_us: u64) -> f64 {
        let (mut start, mut sum) = (0, 0.0);
        for segment in &self.segments {
            let (low, high) = (from_us.max(start), to_us.min(start + segment.us));
            if low < high {
                let rate = |us: u64| {
                    let part = (us - start) as f64 / segment.us as f64;
                    segment.from_per_s + (segment.to_per_s - segment.from_per_s) * part
                };
                sum += (rate(low) + rate(high)) / 2.0 * (high - low) as f64 / 1e6;
            }
            start += segment.us;
        }
        sum
    }

    #[must_use]
    pub fn peak_per_s(&self) -> f64 {
        let rates = self.segments.iter();
        rates.fold(0.0, |peak, segment| {
            peak.max(segment.from_per_s).max(segment.to_per_s)
        })
    }

    /// The instants of all arrivals, in microseconds from the start, never falling.
    #[must_use]
    pub fn instants(&self) -> Instants<'_> {
        let mut rng = match self.spacing {
            Spacing::Even => None,
            Spacing::Poisson { seed } => Some(Rng::new(seed)),
        };
        let first = match &mut rng {
            None => 0.5,
            Some(rng) => rng.exponential(),
        };
        Instants {
            segments: &self.segments,
            start_us: 0,
            area_before: 0.0,
            turn: first,
            rng,
        }
    }
}

/// See [`Plan::instants`].
#[derive(Clone, Debug)]
pub struct Instants<'a> {
    segments: &'a [Segment],
    start_us: u64,
    area_before: f64,
    turn: f64,
    rng: Option<Rng>,
}

impl Iterator for Instants<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        loop {
            let (segment, rest) = self.segments.split_first()?;
            let area = segment.area();
            if self.turn < self.area_before + area {
                let seconds = segment.reaches(self.turn - self.area_before);
                let at = ((seconds * 1e6) as u64).min(segment.us.saturating_sub(1));
                self.turn += match &mut self.rng {
                    None => 1.0,
                    Some(rng) => rng.exponential(),
                };
                return Some(self.start_us + at);
            }
            self.area_before += area;
            self.start_us += segment.us;
            self.segments = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(segments: &[(f64, f64, f64)], spacing: Spacing) -> Plan {
        let segment = |&(from_per_s, to_per_s, s): &(f64, f64, f64)| Segment {
            from_per_s,
            to_per_s,
            us: (s * 1e6) as u64,
        };
        Plan {
            segments: segments.iter().map(segment).collect(),
            spacing,
        }
    }

    #[test]
    fn a_constant_rate_is_evenly_spaced_and_exact() {
        let plan = plan(&[(4.0, 4.0, 2.0)], Spacing::Even);
        let instants: Vec<u64> = plan.instants().collect();
        let wanted = [125_000, 375_000, 625_000, 875_000];
        assert_eq!(instants[..4], wanted);
        assert_eq!(instants.len(), 8);
    }

    #[test]
    fn every_second_of_a_changing_rate_has_the_arrivals_under_it() {
        let shape = [
            (100.0, 1_000.0, 10.0),
            (1_000.0, 1_000.0, 3.0),
            (0.0, 0.0, 2.0),
            (5_000.0, 0.0, 4.0),
        ];
        let plan = plan(&shape, Spacing::Even);
        let mut seconds = [0.0; 19];
        let mut last = 0;
        for at in plan.instants() {
            assert!(at >= last);
            last = at;
            seconds[(at / 1_000_000) as usize] += 1.0;
        }
        for (second, count) in seconds.iter().enumerate() {
            let from = second as u64 * 1_000_000;
            let wanted = plan.between(from, from + 1_000_000);
            assert!(
                (count - wanted).abs() <= 1.0,
                "{second}: {count} of {wanted}"
            );
        }
        assert!((plan.peak_per_s() - 5_000.0).abs() < 1e-9);
    }

    #[test]
    fn a_poisson_process_has_its_mean_and_its_variance() {
        let plan = plan(&[(50.0, 50.0, 2_000.0)], Spacing::Poisson { seed: 7 });
        let mut seconds = vec![0.0_f64; 2_000];
        for at in plan.instants() {
            seconds[(at / 1_000_000) as usize] += 1.0;
        }
        let mean = seconds.iter().sum::<f64>() / 2_000.0;
        let variance = seconds.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / 2_000.0;
        assert!((mean - 50.0).abs() < 1.0, "{mean}");
        assert!(
            (variance / mean - 1.0).abs() < 0.15,
            "{variance} for {mean}"
        );
    }
}
