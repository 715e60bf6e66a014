//! How much of the limit each class may use: all of it but what higher classes need. The need is
//! measured – requests a second times their unloaded latency, Little's law – plus its square root
//! for chance (square-root staffing: Halfin, Whitt, 1981). A fixed part stays free even before a
//! higher class was seen. Keeping places free for better customers is trunk reservation (Kelly,
//! "Loss networks", 1991). It must not know how the limit came about.

use super::CLASSES;
use super::base::Bases;
use super::steer::Reading;
use crate::limits::{
    OVERLOAD_DEMAND_MS, OVERLOAD_KEPT_PERCENT, OVERLOAD_PROBE_EXEMPT, OVERLOAD_STAFFING,
};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shares {
    /// Per class: requests of it and of all lower ones that may be under way.
    pub(super) caps: [u32; CLASSES],
    /// Places that a class needs for itself.
    demand: [f64; CLASSES],
}

impl Shares {
    /// Demand rises at once and falls slowly: a lull of a higher class gives nothing away.
    pub(super) fn notice(&mut self, reading: &Reading, bases: &Bases) {
        let fall = (reading.span_ns / (OVERLOAD_DEMAND_MS * 1e6)).min(1.0);
        for (class, demand) in self.demand.iter_mut().enumerate() {
            let base = bases.known(class).unwrap_or(0.0);
            let need = f64::from(reading.offered[class]) / reading.span_ns * base;
            let weight = if need > *demand { 1.0 } else { fall };
            *demand += (need - *demand) * weight;
        }
    }

    /// Shares out `limit`, and of each share the part that a probe at `level` leaves: a probe is
    /// short, and squeezes all classes alike. Only the highest goes on, while it needs little.
    pub(super) fn share_out(&mut self, limit: f64, level: f64) {
        let part = level / limit;
        let mut above = 0.0;
        for class in 0..CLASSES {
            let fixed = limit * OVERLOAD_KEPT_PERCENT[class] / 100.0;
            let kept = fixed
                .max(above + f64::sqrt(above) * OVERLOAD_STAFFING[class])
                .floor();
            self.caps[class] = ((limit.floor() - kept).max(0.0) * part).round() as u32;
            above += self.demand[class];
        }
        if self.demand[0] * OVERLOAD_PROBE_EXEMPT <= level {
            self.caps[0] = limit.floor() as u32;
        }
    }
}
