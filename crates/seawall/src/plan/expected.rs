//! The forecast's file, expected.json, read back as what the rules plan from.

use ::plan::forecast::{Band, Forecast, Peak, RouteForecast};
use ::plan::limits::SPAN_MINUTES_MAX;
use anyhow::{Context, anyhow};
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of one forecast: a month of minutes for some dozen routes is below it.
const FORECAST_BYTES_MAX: u64 = 512 << 20;

#[derive(Deserialize)]
struct Document {
    from_minute: i64,
    level: f64,
    routes: Vec<Route>,
    total: Route,
}

#[derive(Deserialize)]
struct Route {
    route: String,
    minutes: Vec<Rates>,
    peak_minute: Top,
    peak_second: Top,
}

#[derive(Clone, Copy, Deserialize)]
struct Rates {
    expected: f64,
    lower: f64,
    upper: f64,
}

#[derive(Deserialize)]
struct Top {
    at_minute: i64,
    per_second: Rates,
}

pub fn read(path: &Path) -> anyhow::Result<Forecast> {
    let shown = path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot open {shown}"))?;
    let mut text = Vec::new();
    file.take(FORECAST_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .with_context(|| format!("cannot read {shown}"))?;
    if text.len() as u64 > FORECAST_BYTES_MAX {
        return Err(anyhow!("{shown}: more than {FORECAST_BYTES_MAX} bytes"));
    }
    let document: Document = serde_json::from_slice(&text)
        .with_context(|| format!("{shown}: expected the forecast of `seawall plan forecast`"))?;
    let total = route(document.total);
    let minutes = total.minutes.len();
    if minutes == 0 || minutes > SPAN_MINUTES_MAX {
        return Err(anyhow!(
            "{shown}: found {minutes} minutes, expected 1 to {SPAN_MINUTES_MAX}"
        ));
    }
    let forecast = Forecast {
        from_minute: document.from_minute,
        level: document.level,
        routes: document.routes.into_iter().map(route).collect(),
        total,
    };
    for one in forecast.routes.iter().chain([&forecast.total]) {
        let peaks = [one.peak_minute.per_second, one.peak_second.per_second];
        if let Some(bad) = one.minutes.iter().chain(&peaks).find(|band| !sound(band)) {
            return Err(anyhow!(
                "{shown}: route {:?}: found {bad:?}, expected 0 ≤ lower ≤ expected ≤ upper",
                one.route
            ));
        }
    }
    Ok(forecast)
}

fn sound(band: &Band) -> bool {
    0.0 <= band.lower && band.lower <= band.expected && band.expected <= band.upper
}

fn route(read: Route) -> RouteForecast {
    let band = |rates: Rates| Band {
        expected: rates.expected,
        lower: rates.lower,
        upper: rates.upper,
    };
    let peak = |top: Top| Peak {
        at_minute: top.at_minute,
        per_second: band(top.per_second),
    };
    RouteForecast {
        route: read.route,
        minutes: read.minutes.into_iter().map(band).collect(),
        peak_minute: peak(read.peak_minute),
        peak_second: peak(read.peak_second),
    }
}
