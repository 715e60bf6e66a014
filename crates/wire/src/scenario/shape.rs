//! How many buyers arrive, and when: the keys of `load`.
//!
//! It must not know what buyers do.

use super::limits::{CURVE_POINTS_MAX, LEVELS_MAX, PART_MS_MAX, RATE_PER_S_MAX, SEED_BITS_MAX};
use crate::gateway::scalar::{FILE, list, number, span, whole};
use crate::gateway::shape::{Choice, Mapping, Need, Shape, mapping, one_of, words};
use std::path::PathBuf;
use std::time::Duration;

const RATE: Shape = number(0.0, RATE_PER_S_MAX);

mapping! {
    /// How many buyers arrive, and when. Arrivals never wait for answers.
    pub struct Load {
        /// The rate over time.
        shape: LoadShape = LoadShape::ITEM, Need::Required;
        /// Whether arrivals are evenly spaced, or come as independent people do.
        spacing: Spacing = Spacing::SHAPE, Need::Or("even");
        /// What chance starts from: the same seed gives the same arrivals and journeys.
        seed: u64 = whole(0, SEED_BITS_MAX), Need::Or("1");
    }

    /// The same rate all the time.
    pub struct Constant {
        /// Arrivals a second.
        rate: f64 = RATE, Need::Required;
        /// How long.
        r#for: Duration = span(1, PART_MS_MAX), Need::Required;
    }

    /// A rate that changes evenly.
    pub struct Ramp {
        /// Arrivals a second at first.
        from: f64 = RATE, Need::Or("0");
        /// Arrivals a second at the end.
        to: f64 = RATE, Need::Required;
        /// How long.
        r#for: Duration = span(1, PART_MS_MAX), Need::Required;
    }

    /// A stair.
    pub struct Stair {
        /// Arrivals a second on the first step.
        from: f64 = RATE, Need::Required;
        /// Arrivals a second that each step has more than the one before.
        by: f64 = RATE, Need::Required;
        /// Steps.
        count: u64 = whole(1, LEVELS_MAX), Need::Required;
        /// How long each step is.
        each: Duration = span(1, PART_MS_MAX), Need::Required;
    }

    /// Quiet, suddenly much, quiet.
    pub struct Spike {
        /// Arrivals a second before and after.
        base: f64 = RATE, Need::Required;
        /// Arrivals a second in between.
        peak: f64 = RATE, Need::Required;
        /// How long it is quiet before.
        before: Duration = span(1, PART_MS_MAX), Need::Required;
        /// How long it takes from base to peak, and back.
        rise: Duration = span(0, PART_MS_MAX), Need::Or("0s");
        /// How long the peak is held.
        hold: Duration = span(1, PART_MS_MAX), Need::Required;
        /// How long it is quiet after.
        after: Duration = span(1, PART_MS_MAX), Need::Required;
    }

    /// A point of a curve.
    pub struct Point {
        /// When, from the start.
        time: Duration = span(0, PART_MS_MAX), Need::Required;
        /// Arrivals a second.
        rate: f64 = RATE, Need::Required;
    }

    /// Recorded rates.
    pub struct RateFile {
        /// A rate on each line, one for each second; or `SECOND,RATE` with seconds from 0. A first
        /// line of words is a header.
        path: PathBuf = FILE, Need::Required;
        /// By what all rates are multiplied.
        scale: f64 = number(0.000_001, 1e6), Need::Or("1");
    }
}

mapping! {
    /// A curve: straight lines between points; two points at one time are a step.
    pub struct Curve {
        /// At least two points, the first at 0s.
        points: Vec<Point> = list(&Point::ITEM, CURVE_POINTS_MAX), Need::Required;
    }
}

one_of! {
    /// The rate over time.
    pub enum LoadShape {
        /// The same rate all the time.
        Constant(Constant) "constant" = Constant::ITEM;
        /// A rate that changes evenly.
        Ramp(Ramp) "ramp" = Ramp::ITEM;
        /// A stair.
        Stair(Stair) "steps" = Stair::ITEM;
        /// Quiet, suddenly much, quiet.
        Spike(Spike) "spike" = Spike::ITEM;
        /// Straight lines between points.
        Curve(Curve) "curve" = Curve::ITEM;
        /// Recorded rates.
        File(RateFile) "file" = RateFile::ITEM;
    }
}

words! {
    /// How arrivals lie within the rate.
    pub enum Spacing { Even "even", Poisson "poisson", }
}
