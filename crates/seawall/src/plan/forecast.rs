//! `seawall plan forecast`: a campaign and its traffic in, expected.json and a picture out.

use ::plan::forecast::{
    Asked, Band, DayHistory, Earlier, Foreseen, History, Peak, RouteForecast, RouteHistory,
    Stretch, foresee,
};
use anyhow::{Context, anyhow};
use host::Exit;
use picture::{CSS, escape};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use wire::campaign::Campaign;
use wire::campaign::brief::Estimate;

use ::traffic::series::{Series, minute_text};

/// Bytes of one series: all its cells as figures of some digits.
const SERIES_BYTES_MAX: u64 = 1 << 30;
/// Minutes around T0 that are forecast where the campaign has no phases: one before, a day after.
const AROUND_T0: (i64, i64) = (60, 1_440);
/// Points of a picture; more cannot be told apart on a page.
const POINTS_MAX: usize = 120;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The campaign.
    campaign: PathBuf,
    /// Its traffic so far, from `seawall traffic import`.
    #[arg(long, value_name = "FILE")]
    series: PathBuf,
    /// Where the curve goes, in the shape of schemas/expected.json.
    #[arg(long, value_name = "FILE", default_value = "expected.json")]
    out: PathBuf,
    /// Also a page with pictures that stands alone.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// The share of minutes that the band is meant to hold.
    #[arg(long, default_value_t = 0.9, value_parser = level)]
    level: f64,
    /// Report as JSON, without the curve.
    #[arg(long)]
    pub json: bool,
}

fn level(text: &str) -> Result<f64, String> {
    let level: Option<f64> = text.parse().ok();
    let level = level.filter(|level| (0.5..=0.99).contains(level));
    level.ok_or_else(|| "expected a number from 0.5 to 0.99".to_owned())
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let campaign = Campaign::load(&args.campaign).map_err(|problems| anyhow!("{problems}"))?;
    let history = history(&args.series)?;
    let asked = asked(&campaign, args.level)?;
    let found = foresee(&history, &asked)?;
    let document = document(&campaign, &found);
    let text = serde_json::to_vec(&document)?;
    let shown = args.out.display();
    std::fs::write(&args.out, [&text[..], b"\n"].concat())
        .with_context(|| format!("cannot write {shown}"))?;
    if let Some(file) = &args.html {
        let page = page(&campaign, &found, asked.t0_minute);
        std::fs::write(file, page).with_context(|| format!("cannot write {}", file.display()))?;
    }
    found.told.iter().for_each(|line| eprintln!("{line}"));
    let mut out = std::io::stdout().lock();
    if args.json {
        let peaks = |route: &RouteForecast| {
            json!({"route": route.route, "peak_minute": top(&route.peak_minute),
                   "peak_second": top(&route.peak_second)})
        };
        let routes = found.forecast.routes.iter().map(peaks);
        let report = json!({
            "out": args.out, "routes": routes.collect::<Vec<_>>(),
            "total": peaks(&found.forecast.total), "evidence": document["evidence"],
            "told": found.told,
        });
        writeln!(out, "{report:#}")?;
    } else {
        out.write_all(table(&found).as_bytes())?;
    }
    Ok(Exit::Good)
}

/// A series as the rules want it.
pub fn history(path: &Path) -> anyhow::Result<History> {
    let shown = path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot open {shown}"))?;
    let mut text = Vec::new();
    file.take(SERIES_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .with_context(|| format!("cannot read {shown}"))?;
    if text.len() as u64 > SERIES_BYTES_MAX {
        return Err(anyhow!("{shown}: more than {SERIES_BYTES_MAX} bytes"));
    }
    let series: Series = serde_json::from_slice(&text)
        .with_context(|| format!("{shown}: expected a series of `seawall traffic import`"))?;
    let version = series.version;
    if version != 1 {
        return Err(anyhow!("{shown}: found version {version}, expected 1"));
    }
    let routes = series.routes.into_iter().map(|route| {
        let bad = |n: &f64| !n.is_finite() || *n < 0.0;
        if route.requests.len() != series.minutes || route.requests.iter().flatten().any(bad) {
            let name = &route.route;
            let minutes = series.minutes;
            return Err(anyhow!(
                "{shown}: route {name:?}: expected {minutes} figures of 0 or more, or null"
            ));
        }
        Ok(RouteHistory {
            route: route.route,
            requests: route.requests,
            dispersion: route.dispersion,
        })
    });
    let routes = routes.collect::<anyhow::Result<_>>()?;
    let day = |text: &str| -> Option<i64> {
        let day: jiff::civil::Date = text.parse().ok()?;
        let at = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(at.timestamp().as_second() / 60)
    };
    let days = series.days.iter().filter_map(|found| {
        Some(DayHistory {
            from_minute: day(&found.day)?,
            minutes: found.minutes,
            dau: found.dau.map(|dau| dau as f64),
        })
    });
    Ok(History {
        from_minute: series.from_minute,
        routes,
        dispersion: series.dispersion,
        days: days.collect(),
    })
}

fn asked(campaign: &Campaign, level: f64) -> anyhow::Result<Asked> {
    let brief = &campaign.brief;
    let minute = |ms: u64| (ms / 60_000) as i64;
    let t0 = minute(campaign.t0.0);
    let phases: Vec<Stretch> = brief
        .phases
        .iter()
        .map(|phase| Stretch {
            name: phase.name.clone(),
            from_minute: minute(phase.from.0),
            until_minute: minute(phase.until.0),
            uplift: phase.uplift,
        })
        .collect();
    let from = phases
        .first()
        .map_or(t0 - AROUND_T0.0, |phase| phase.from_minute);
    let until = phases
        .last()
        .map_or(t0 + AROUND_T0.1, |phase| phase.until_minute);
    let estimate = |found: &Option<Estimate>| {
        found.as_ref().map(|found| Band {
            expected: found.value as f64,
            lower: found.low.unwrap_or(found.value) as f64,
            upper: found.high.unwrap_or(found.value) as f64,
        })
    };
    let expected = brief.expected.as_ref();
    let earlier = brief
        .earlier
        .iter()
        .map(|earlier| -> anyhow::Result<Earlier> {
            Ok(Earlier {
                name: earlier.name.clone(),
                t0_minute: minute(earlier.t0.0),
                history: history(&earlier.series)?,
                dau: earlier.dau.map(|dau| dau as f64),
            })
        });
    Ok(Asked {
        from_minute: from,
        minutes: usize::try_from(until - from).unwrap_or(0),
        t0_minute: t0,
        level,
        dau: expected.and_then(|expected| estimate(&expected.dau)),
        dat: expected.and_then(|expected| estimate(&expected.dat)),
        order_route: expected.and_then(|expected| expected.order_route.clone()),
        phases,
        earlier: earlier.collect::<anyhow::Result<_>>()?,
    })
}

/// Six digits are enough for requests a second.
fn rates(band: &Band) -> Value {
    let round = |value: f64| (value * 1e6).round() / 1e6;
    let [expected, lower, upper] = [band.expected, band.lower, band.upper].map(round);
    json!({"expected": expected, "lower": lower, "upper": upper})
}

fn top(peak: &Peak) -> Value {
    json!({"at_minute": peak.at_minute, "at": minute_text(peak.at_minute),
           "per_second": rates(&peak.per_second)})
}

fn document(campaign: &Campaign, found: &Foreseen) -> Value {
    let route = |route: &RouteForecast| {
        let minutes: Vec<Value> = route.minutes.iter().map(rates).collect();
        json!({"route": route.route, "peak_minute": top(&route.peak_minute),
               "peak_second": top(&route.peak_second), "minutes": minutes})
    };
    let evidence = found.evidence.iter().map(|one| {
        let percent = |share: f64| (share * 1e4).round() / 1e2;
        let test = one.back_test.map(|test| {
            json!({
                "folds": test.folds, "horizon_minutes": test.horizon * found.step_minutes,
                "mape_percent": percent(test.mape), "wape_percent": percent(test.wape),
                "naive_mape_percent": percent(test.naive_mape),
                "naive_wape_percent": percent(test.naive_wape),
                "coverage_percent": percent(test.coverage), "beats_naive": test.beats_naive(),
            })
        });
        json!({"route": one.route, "method": one.method.name(), "back_test": test,
               "dispersion": one.dispersion, "dispersion_measured": one.measured})
    });
    json!({
        "version": 1,
        "campaign": campaign.name,
        "from_minute": found.forecast.from_minute,
        "from": minute_text(found.forecast.from_minute),
        "level": found.forecast.level,
        "routes": found.forecast.routes.iter().map(route).collect::<Vec<_>>(),
        "total": route(&found.forecast.total),
        "evidence": evidence.collect::<Vec<_>>(),
        "told": found.told,
    })
}

fn table(found: &Foreseen) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_header([
        "route",
        "peak minute",
        "requests/s",
        "band",
        "peak second",
        "MAPE",
        "naive",
        "in band",
    ]);
    let forecast = &found.forecast;
    let all = forecast.routes.iter().chain([&forecast.total]);
    for (route, evidence) in all.zip(&found.evidence) {
        let peak = &route.peak_minute;
        let band = peak.per_second;
        let percent = |share: Option<f64>| {
            share.map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0))
        };
        let test = evidence.back_test;
        table.add_row([
            route.route.clone(),
            minute_text(peak.at_minute),
            format!("{:.1}", band.expected),
            format!("{:.1} to {:.1}", band.lower, band.upper),
            format!("{:.0}", route.peak_second.per_second.expected),
            percent(test.map(|test| test.mape)),
            percent(test.map(|test| test.naive_mape)),
            percent(test.map(|test| test.coverage)),
        ]);
    }
    format!("{table}\n")
}

fn page(campaign: &Campaign, found: &Foreseen, t0_minute: i64) -> String {
    let title = escape(&format!("{}: what will come", campaign.title));
    let mut body = format!("<h1>{title}</h1>\n");
    let forecast = &found.forecast;
    let chart = |route: &RouteForecast| {
        let every = route.minutes.len().div_ceil(POINTS_MAX).max(1);
        let values = |of: fn(&Band) -> f64| -> Vec<f64> {
            let chunks = route.minutes.chunks(every);
            chunks
                .map(|chunk| chunk.iter().map(of).fold(0.0, f64::max))
                .collect()
        };
        let series = [
            ("upper bound", "c2", values(|band| band.upper)),
            ("expected", "c1", values(|band| band.expected)),
            ("lower bound", "c3", values(|band| band.lower)),
        ];
        let curve = |(name, class, values): (&str, &'static str, Vec<f64>)| picture::Curve {
            name: name.to_owned(),
            class,
            points: values
                .into_iter()
                .enumerate()
                .map(|(at, value)| ((at * every) as f64 / 60.0, value))
                .collect(),
            joined: true,
        };
        let curves = series.map(curve);
        picture::curves(&route.route, ("h", "requests/s"), false, &curves)
    };
    let from = minute_text(forecast.from_minute);
    let t0 = minute_text(t0_minute);
    body += &format!("<p>Hours from {from}; the sale opens at {t0}.</p>\n<ul>\n");
    for line in &found.told {
        body += &format!("<li>{}</li>\n", escape(line));
    }
    body += "</ul>\n";
    body += &format!("<pre>{}</pre>\n", escape(&table(found)));
    body += &chart(&forecast.total);
    forecast
        .routes
        .iter()
        .for_each(|route| body += &chart(route));
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{CSS}</style></head><body>\n{body}</body></html>\n"
    )
}
