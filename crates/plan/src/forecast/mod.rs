//! The forecast: what each route will be asked, minute by minute, over the span of a campaign.
//!
//! The shape here is what everything behind it is planned from: capacity takes the upper band,
//! watching compares with the curve.

mod backtest;
mod baseline;
mod campaign;
mod history;
mod shape;
#[cfg(test)]
mod tests;
mod uplift;

pub use backtest::{BackTest, Spread, Trial, back_test, quantile};
pub use baseline::{Method, baseline, seasonal_naive};
pub use campaign::{Asked, Earlier, Evidence, Foreseen, NoForecast, Stretch, foresee, peak_second};
pub use history::{DayHistory, History, RouteHistory, Steps};
pub use shape::{Band, Forecast, Peak, RouteForecast};
