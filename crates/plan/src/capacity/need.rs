//! How many instances a rate needs, so that one may fail and a whole zone may fail.

/// Instances for a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// That carry it with nothing to spare.
    pub bare: u64,
    /// With one more than that, and enough in the other zones when the largest is gone.
    pub safe: u64,
}

/// `usable` is what one instance may get, requests a second; `None` where it may get nothing.
#[must_use]
pub fn need(demand: f64, usable: f64, skew: f64, zones: u64) -> Option<Need> {
    if demand <= 0.0 {
        return Some(Need { bare: 0, safe: 0 });
    }
    if usable <= 0.0 || !usable.is_finite() || !demand.is_finite() {
        return None;
    }
    let bare = (demand * skew / usable).ceil() as u64;
    let mut safe = bare.saturating_add(1);
    if zones > 1 {
        // The share that is left bounds it from below; rounding costs at most a zone's worth more.
        let least = (bare as f64 * zones as f64 / (zones - 1) as f64).floor() as u64;
        safe = safe.max(least);
        while safe - safe.div_ceil(zones) < bare {
            safe += 1;
        }
    }
    Some(Need { bare, safe })
}

/// What so many instances may get together: the busiest gets `skew` times the mean.
#[must_use]
pub fn together(instances: u64, usable: f64, skew: f64) -> f64 {
    instances as f64 * usable / skew
}
