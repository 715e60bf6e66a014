//! Forecasts of traffic whose law is known: seasons are found, uplifts hold, bands are in order,
//! and the same input gives the same bits.

use super::*;

const DAY: i64 = 1_440;

/// A wave a day, the weekend at half, and a little that looks like chance.
fn wave(minute: i64) -> f64 {
    let hour = (minute.rem_euclid(DAY)) as f64 / 60.0;
    let day = minute.div_euclid(DAY).rem_euclid(7);
    let week = if day < 5 { 1.0 } else { 0.5 };
    let noise = ((minute.wrapping_mul(2_654_435_761)).rem_euclid(1_000)) as f64 / 1_000.0 - 0.5;
    (600.0 + 500.0 * ((hour - 14.0) / 24.0 * std::f64::consts::TAU).cos())
        * week
        * (1.0 + noise * 0.1)
}

fn history(days: i64, sale: impl Fn(i64) -> f64) -> History {
    let of = |share: f64| -> Vec<Option<f64>> {
        (0..days * DAY)
            .map(|m| Some(wave(m) * share * sale(m)))
            .collect()
    };
    History {
        from_minute: 0,
        routes: vec![
            RouteHistory {
                route: "GET /".into(),
                requests: of(0.9),
                dispersion: Some(2.0),
            },
            RouteHistory {
                route: "POST /o".into(),
                requests: of(0.1),
                dispersion: None,
            },
        ],
        dispersion: Some(3.0),
        days: (0..days)
            .map(|day| DayHistory {
                from_minute: day * DAY,
                minutes: 1_440,
                dau: Some(1_000.0),
            })
            .collect(),
    }
}

fn asked(from_day: i64) -> Asked {
    Asked {
        from_minute: from_day * DAY,
        minutes: 1_440,
        t0_minute: from_day * DAY + 600,
        level: 0.9,
        ..Asked::default()
    }
}

fn band(expected: f64, lower: f64, upper: f64) -> Band {
    Band {
        expected,
        lower,
        upper,
    }
}

#[test]
fn a_normal_day_is_found_again() {
    let found = foresee(&history(28, |_| 1.0), &asked(30)).unwrap();
    let total = &found.forecast.total;
    assert_eq!(total.minutes.len(), 1_440);
    for (at, band) in total.minutes.iter().enumerate() {
        let middle = 30 * DAY + at as i64;
        let law = (-15..15).map(|m| wave(middle + m)).sum::<f64>() / 1_800.0;
        assert!(
            (band.expected / law - 1.0).abs() < 0.12,
            "{at}: {} {law}",
            band.expected
        );
        assert!(0.0 < band.lower && band.lower <= band.expected && band.expected <= band.upper);
    }
    let evidence = found.evidence.last().unwrap();
    let test = evidence.back_test.unwrap();
    assert_eq!(evidence.method, Method::MstlEts);
    assert!(test.mape < 0.05 && test.coverage > 0.8, "{test:?}");
    let peak = total.peak_minute;
    assert!(
        (13 * 60..15 * 60).contains(&(peak.at_minute - 30 * DAY)),
        "{peak:?}"
    );
    let m = peak.per_second.expected;
    let second = m + (2.0 * 60_f64.ln() * 3.0 * m).sqrt();
    assert!((total.peak_second.per_second.expected - second).abs() < 1e-9);
}

#[test]
fn people_and_attempts_raise_their_routes() {
    let history = history(28, |_| 1.0);
    let plain = foresee(&history, &asked(28)).unwrap().forecast;
    let mut more = asked(28);
    more.dau = Some(band(4_000.0, 3_000.0, 8_000.0));
    let usual: f64 = history.routes[1].requests.iter().flatten().sum::<f64>() / 28.0;
    more.dat = Some(band(usual * 10.0, usual * 10.0, usual * 10.0));
    more.order_route = Some("POST /o".into());
    let raised = foresee(&history, &more).unwrap().forecast;
    let times = |route: &str| {
        let of = |forecast: &Forecast| forecast.route(route).unwrap().minutes[700];
        (
            of(&raised).expected / of(&plain).expected,
            of(&raised).upper / of(&plain).upper,
        )
    };
    let (people, wide) = times("GET /");
    assert!((people - 4.0).abs() < 1e-9 && wide > 7.0, "{people} {wide}");
    assert!((times("POST /o").0 - 10.0).abs() < 1e-6);
    more.phases = vec![Stretch {
        name: "opening".into(),
        from_minute: 28 * DAY + 600,
        until_minute: 28 * DAY + 610,
        uplift: Some(20.0),
    }];
    let opened = foresee(&history, &more).unwrap().forecast;
    let at = |forecast: &Forecast, at: usize| forecast.route("GET /").unwrap().minutes[at].expected;
    assert!((at(&opened, 605) / at(&plain, 605) - 20.0).abs() < 1e-6);
    assert_eq!(at(&opened, 599), at(&raised, 599));
}

#[test]
fn an_earlier_campaign_gives_the_shape() {
    let t0 = 24 * DAY + 600;
    let sale = move |m: i64| {
        if (t0..t0 + 60).contains(&m) {
            15.0
        } else {
            1.0
        }
    };
    let mut asked = asked(28);
    asked.earlier = vec![Earlier {
        name: "spring".into(),
        t0_minute: t0,
        history: history(26, sale),
        dau: None,
    }];
    let found = foresee(&history(28, |_| 1.0), &asked).unwrap().forecast;
    let plain = foresee(&history(28, |_| 1.0), &self::asked(28))
        .unwrap()
        .forecast;
    let times = |at: usize| found.total.minutes[at].expected / plain.total.minutes[at].expected;
    assert!((times(600) / 15.0 - 1.0).abs() < 0.2, "{}", times(600));
    assert!((times(630) / 15.0 - 1.0).abs() < 0.2, "{}", times(630));
    assert!((times(599) - 1.0).abs() < 0.2, "{}", times(599));
    assert!((times(700) - 1.0).abs() < 0.2, "{}", times(700));
}

#[test]
fn missing_data_is_not_nought() {
    let mut gap = history(28, |_| 1.0);
    for route in &mut gap.routes {
        route.requests[20 * DAY as usize..22 * DAY as usize].fill(None);
    }
    let whole = foresee(&history(28, |_| 1.0), &asked(28)).unwrap().forecast;
    let holed = foresee(&gap, &asked(28)).unwrap().forecast;
    for at in [100, 700, 1_300] {
        let (a, b) = (
            whole.total.minutes[at].expected,
            holed.total.minutes[at].expected,
        );
        assert!((a / b - 1.0).abs() < 0.1, "{at}: {a} {b}");
    }
}

#[test]
fn what_cannot_be_forecast_is_said() {
    let long = Asked {
        minutes: crate::limits::SPAN_MINUTES_MAX + 1,
        ..asked(28)
    };
    let history = history(8, |_| 1.0);
    assert_eq!(
        foresee(&history, &long).unwrap_err(),
        NoForecast::Span(long.minutes)
    );
    let early = Asked {
        from_minute: 0,
        ..asked(0)
    };
    assert_eq!(
        foresee(&history, &early).unwrap_err(),
        NoForecast::NoHistory
    );
    let told = foresee(&history, &asked(400)).unwrap().told;
    assert!(
        told.iter()
            .any(|line| line.contains("ends 56 weeks before")),
        "{told:?}"
    );
}

#[test]
fn the_same_input_gives_the_same_bits() {
    let one = foresee(&history(15, |_| 1.0), &asked(16)).unwrap();
    let two = foresee(&history(15, |_| 1.0), &asked(16)).unwrap();
    assert_eq!(format!("{one:?}"), format!("{two:?}"));
}

#[test]
fn a_naive_forecast_repeats_the_last_period() {
    let history: Vec<Option<f64>> = [1.0, 2.0, 3.0, 4.0].map(Some).into();
    assert_eq!(seasonal_naive(&history, 2, 5), [3.0, 4.0, 3.0, 4.0, 3.0]);
    let holed = [Some(1.0), Some(2.0), None, Some(4.0)];
    assert_eq!(seasonal_naive(&holed, 2, 2), [1.0, 4.0]);
    assert_eq!(seasonal_naive(&[], 2, 1), [0.0]);
    assert_eq!(quantile(&[1.0, 2.0, 3.0], 0.25), 1.5);
}
