//! What the limits decided, as Envoy is told: a code for each descriptor, and the headers that it
//! adds to the answer of its client.

use crate::message::{Code, Duration, Header, Limit, Response, Status, Unit};
use guard::{Limits, Nanos, Told};

/// Nothing is known that could refuse.
pub(crate) fn unlimited(descriptors: usize) -> Response {
    Response {
        overall_code: Code::Ok.into(),
        statuses: vec![status(None, None); descriptors],
        response_headers_to_add: Vec::new(),
    }
}

pub(crate) fn decided(allowed: bool, told: &[Option<Told>], limits: &Limits) -> Response {
    let code = match allowed {
        true => Code::Ok,
        false => Code::OverLimit,
    };
    let name = |told: &Told| limits.rule(told.headroom.rule).map(|rule| &rule.rule.name);
    let statuses = told.iter().map(|told| {
        let name = told.as_ref().and_then(name);
        status(told.as_ref(), name.map(String::as_str))
    });
    let tightest = tightest(told);
    let headers = tightest.and_then(|told| Some(headers(told, name(told)?)));
    Response {
        overall_code: code.into(),
        statuses: statuses.collect(),
        response_headers_to_add: headers.unwrap_or_default(),
    }
}

/// Of those who refuse the one with the longest wait, else the one with the least left.
fn tightest(told: &[Option<Told>]) -> Option<&Told> {
    let told = || told.iter().flatten();
    let refusing = told().filter(|told| told.retry_after.is_some());
    let longest = refusing.max_by_key(|told| told.retry_after);
    longest.or_else(|| told().min_by_key(|told| told.headroom.remaining))
}

fn status(told: Option<&Told>, name: Option<&str>) -> Status {
    let Some(told) = told else {
        return Status {
            code: Code::Ok.into(),
            ..Status::default()
        };
    };
    let code = match told.retry_after {
        None => Code::Ok,
        Some(_) => Code::OverLimit,
    };
    let (requests_per_unit, unit) = per_unit(&told.limit);
    let reset = told.headroom.reset;
    Status {
        code: code.into(),
        current_limit: Some(Limit {
            requests_per_unit,
            unit: unit.into(),
            name: name.unwrap_or("").to_owned(),
        }),
        limit_remaining: told.headroom.remaining,
        duration_until_reset: Some(Duration {
            seconds: i64::try_from(reset.0 / 1_000_000_000).unwrap_or(i64::MAX),
            nanos: (reset.0 % 1_000_000_000) as i32,
        }),
    }
}

/// As it is written; a period that Envoy has no word for is told without one.
fn per_unit(limit: &guard::Limit) -> (u32, Unit) {
    match *limit {
        guard::Limit::Rate { count, period, .. } => {
            let unit = match period.0 / 1_000_000_000 {
                1 => Unit::Second,
                60 => Unit::Minute,
                3_600 => Unit::Hour,
                86_400 => Unit::Day,
                _ => Unit::Unknown,
            };
            (count, unit)
        }
        guard::Limit::Quota { per_day, .. } => (per_day, Unit::Day),
        guard::Limit::Concurrency { at_once } => (at_once, Unit::Unknown),
    }
}

/// The same words as on the door's own answers.
fn headers(told: &Told, name: &str) -> Vec<Header> {
    let header = |key: &str, value: String| Header {
        key: key.to_owned(),
        value,
    };
    let headroom = &told.headroom;
    let (limit, left, reset) = (headroom.limit, headroom.remaining, seconds(headroom.reset));
    let mut headers = vec![
        header("ratelimit-policy", format!("\"{name}\";q={limit}")),
        header("ratelimit", format!("\"{name}\";r={left};t={reset}")),
    ];
    if let Some(wait) = told.retry_after {
        headers.push(header("retry-after", seconds(wait).max(1).to_string()));
    }
    headers
}

fn seconds(nanos: Nanos) -> u64 {
    nanos.0.div_ceil(1_000_000_000)
}
