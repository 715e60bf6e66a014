//! What a forecast is: curves with a band, and their peaks. How it was found stands elsewhere, so
//! that who plans from it cannot depend on the method.

/// Requests a second: what is expected, and between which bounds it stays with the forecast's
/// [`Forecast::level`]. `0 ≤ lower ≤ expected ≤ upper`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Band {
    pub expected: f64,
    pub lower: f64,
    pub upper: f64,
}

/// The highest point of a curve.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Peak {
    /// Minutes since 1970, UTC.
    pub at_minute: i64,
    pub per_second: Band,
}

/// One route over the campaign's span.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteForecast {
    pub route: String,
    /// Mean requests a second of each minute, from [`Forecast::from_minute`] on.
    pub minutes: Vec<Band>,
    /// The minute with the highest expected rate.
    pub peak_minute: Peak,
    /// The busiest second of that minute: its mean, raised by the measured burstiness.
    pub peak_second: Peak,
}

/// Per route and in total, one band for each minute of the campaign's span.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The first minute, in minutes since 1970, UTC.
    pub from_minute: i64,
    /// How many of a hundred minutes are meant to lie inside the band, as a share: 0.9.
    pub level: f64,
    /// By name. Every route has as many minutes as the total.
    pub routes: Vec<RouteForecast>,
    /// All routes together. Its bounds are the sums of theirs: in a sale they rise together, so
    /// nothing is taken off for independence.
    pub total: RouteForecast,
}

impl Band {
    #[must_use]
    pub fn plus(self, other: Band) -> Band {
        Band {
            expected: self.expected + other.expected,
            lower: self.lower + other.lower,
            upper: self.upper + other.upper,
        }
    }

    #[must_use]
    pub fn times(self, factor: f64) -> Band {
        Band {
            expected: self.expected * factor,
            lower: self.lower * factor,
            upper: self.upper * factor,
        }
    }
}

impl Forecast {
    #[must_use]
    pub fn route(&self, name: &str) -> Option<&RouteForecast> {
        self.routes.iter().find(|route| route.route == name)
    }

    #[must_use]
    pub fn minutes(&self) -> usize {
        self.total.minutes.len()
    }
}
