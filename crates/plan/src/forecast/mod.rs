//! The forecast: what each route will be asked, minute by minute, over the span of a campaign.
//!
//! The shape here is what everything behind it is planned from: capacity takes the upper band,
//! watching compares with the curve.

mod shape;

pub use shape::{Band, Forecast, Peak, RouteForecast};
