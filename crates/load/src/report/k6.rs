//! k6's end-of-test summary, in both of its shapes: `--summary-export FILE`, and what
//! `handleSummary(data)` gets when a script writes it down.
//!
//! Two things of k6 read the wrong way round: `passes` of `http_req_failed` are the requests that
//! failed, and `true` at a threshold of `--summary-export` means that it was crossed
//! (grafana/k6#1498).

use super::body::{
    Body, CheckFigures, LoadFigures, Quantiles, RequestFigures, Source, ThresholdFigures,
};
use crate::limits::K6_GROUP_DEPTH_MAX;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The figures of a summary. The error says where and what was expected.
pub fn read(text: &str) -> Result<Body, String> {
    let document: Value = serde_json::from_str(text)
        .map_err(|bad| format!("line {}, column {}: {bad}", bad.line(), bad.column()))?;
    let of = |place: &str, what: &str| format!("{place}: {what}");
    let metrics = document.get("metrics").ok_or_else(|| {
        of(
            "metrics",
            "missing; expected a k6 summary (--summary-export or handleSummary)",
        )
    })?;
    let metrics = metrics
        .as_object()
        .ok_or_else(|| of("metrics", "expected an object of metrics by name"))?;
    let mut body = Body::empty(Source::K6);
    for (name, metric) in metrics {
        let metric = metric
            .as_object()
            .ok_or_else(|| format!("metrics.{name}: expected an object"))?;
        thresholds(name, metric, &mut body)?;
    }
    body.total = request(metrics, "", "all");
    let tag = |name: &str| {
        let inner = name.strip_prefix("http_req_duration{")?.strip_suffix('}')?;
        inner.strip_prefix("name:").map(str::to_owned)
    };
    for name in metrics.keys().filter_map(|name| tag(name)) {
        let tags = format!("{{name:{name}}}");
        body.requests.push(request(metrics, &tags, &name));
    }
    if let Some(group) = document.get("root_group") {
        checks(group, "", 0, &mut body.total.checks)?;
    }
    let whole = |name: &str, field: &str| count(metrics.get(name), field);
    let run_ms = document
        .get("state")
        .and_then(|state| state.get("testRunDurationMs"))
        .and_then(Value::as_f64);
    let rate = number(metrics.get("http_reqs"), "rate");
    let by_rate = body.total.sent.zip(rate.filter(|rate| *rate > 0.0));
    body.load = LoadFigures {
        // Iterations that k6 could not start were planned all the same.
        planned: whole("iterations", "count")
            .zip(whole("dropped_iterations", "count"))
            .map(|(done, dropped)| done + dropped),
        arrived: whole("iterations", "count"),
        seconds: run_ms
            .map(|ms| ms / 1e3)
            .or(by_rate.map(|(sent, rate)| sent as f64 / rate)),
        requests_per_s: rate,
        buyers_max: whole("vus_max", "max").or(whole("vus_max", "value")),
        ..LoadFigures::default()
    };
    if body.total.sent.is_none() {
        return Err(
            "metrics.http_reqs.count: missing; the summary has no HTTP requests".to_owned(),
        );
    }
    Ok(body)
}

/// What a search takes from a summary, of one tag.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct K6Figures {
    pub requests: u64,
    pub failed: u64,
    pub iterations: u64,
    /// k6 gives these no tags; whoever planned knows.
    pub dropped: u64,
    /// Of `http_req_duration`, by the names that k6 has: `p(99)`, `avg`.
    pub trend_ms: BTreeMap<String, f64>,
    pub quantiles: Option<Quantiles>,
}

/// The figures of what has a tag, such as `{scenario:a}`. The error says what is missing.
pub fn tagged(text: &str, tag: &str) -> Result<K6Figures, String> {
    let document: Value = serde_json::from_str(text).map_err(|bad| bad.to_string())?;
    let metrics = document.get("metrics").and_then(Value::as_object);
    let metrics = metrics.ok_or("metrics: missing")?;
    let of = |name: &str, field: &str| count(metrics.get(&format!("{name}{tag}")), field);
    let all = request(metrics, tag, "all");
    let duration = metrics.get(&format!("http_req_duration{tag}"));
    let trend = duration.and_then(|trend| trend.get("values")?.as_object());
    let trend = trend.ok_or_else(|| format!("metrics.http_req_duration{tag}: missing"))?;
    let trend = trend
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)));
    Ok(K6Figures {
        requests: of("http_reqs", "count").unwrap_or(0),
        failed: of("http_req_failed", "passes").unwrap_or(0),
        iterations: of("iterations", "count").unwrap_or(0),
        dropped: 0,
        trend_ms: trend.collect(),
        quantiles: all.service_ms.filter(|found| found.count != Some(0)),
    })
}

/// A figure of a metric, within `values` or beside it.
fn number(metric: Option<&Value>, field: &str) -> Option<f64> {
    let metric = metric?;
    let values = metric.get("values").unwrap_or(metric);
    values.get(field).and_then(Value::as_f64)
}

fn count(metric: Option<&Value>, field: &str) -> Option<u64> {
    let value = number(metric, field)?;
    (0.0..1e15).contains(&value).then_some(value as u64)
}

fn request(metrics: &Map<String, Value>, tags: &str, name: &str) -> RequestFigures {
    let metric = |figure: &str| metrics.get(&format!("{figure}{tags}"));
    let duration = metric("http_req_duration");
    let of = |field: &str| number(duration, field);
    let quantiles = Quantiles {
        count: count(duration, "count"),
        mean: of("avg"),
        p50: of("med").or(of("p(50)")),
        p90: of("p(90)"),
        p95: of("p(95)"),
        p99: of("p(99)"),
        p999: of("p(99.9)"),
        max: of("max"),
    };
    let known = quantiles != Quantiles::default();
    RequestFigures {
        name: name.to_owned(),
        sent: count(metric("http_reqs"), "count"),
        errors: count(metric("http_req_failed"), "passes"),
        service_ms: known.then_some(quantiles),
        bytes: match tags {
            "" => count(metric("data_received"), "count"),
            _ => None,
        },
        ..RequestFigures::default()
    }
}

fn thresholds(name: &str, metric: &Map<String, Value>, body: &mut Body) -> Result<(), String> {
    let Some(all) = metric.get("thresholds") else {
        return Ok(());
    };
    let place = format!("metrics.{name}.thresholds");
    let all = all
        .as_object()
        .ok_or_else(|| format!("{place}: expected an object"))?;
    for (expression, state) in all {
        let held = match state {
            Value::Bool(crossed) => Some(!crossed),
            other => other.get("ok").and_then(Value::as_bool),
        };
        let held = held
            .ok_or_else(|| format!("{place}.{expression}: expected true, false or {{\"ok\"}}"))?;
        body.thresholds.push(ThresholdFigures {
            expression: format!("{name}: {expression}"),
            seen: seen(metric, expression),
            held,
        });
    }
    Ok(())
}

/// The figure that a threshold speaks of, if the summary has it.
fn seen(metric: &Map<String, Value>, expression: &str) -> Option<String> {
    let end = expression.find(['<', '>', '=', '!'])?;
    let figure = expression[..end].trim();
    let values = metric.get("values").and_then(Value::as_object);
    let values = values.unwrap_or(metric);
    // A rate is called `value` by `--summary-export`.
    let value = values.get(figure).or_else(|| match figure {
        "rate" => values.get("value"),
        _ => None,
    })?;
    value.as_f64().map(|value| format!("{value}"))
}

/// Checks stand in lists or in objects by name, in groups within groups.
fn checks(
    group: &Value,
    path: &str,
    depth: usize,
    out: &mut Vec<CheckFigures>,
) -> Result<(), String> {
    if depth > K6_GROUP_DEPTH_MAX {
        return Err(format!(
            "root_group: more than {K6_GROUP_DEPTH_MAX} groups deep"
        ));
    }
    for (at, check) in members(group.get("checks")).enumerate() {
        let name = check.get("name").and_then(Value::as_str);
        let counts = (count(Some(check), "passes"), count(Some(check), "fails"));
        let (Some(name), (Some(passed), Some(failed))) = (name, counts) else {
            return Err(format!(
                "root_group{path}.checks[{at}]: expected name, passes and fails"
            ));
        };
        let name = match path {
            "" => name.to_owned(),
            path => format!("{} › {name}", path.trim_start_matches(" › ")),
        };
        out.push(CheckFigures {
            name,
            passed,
            failed,
        });
    }
    for inner in members(group.get("groups")) {
        let name = inner.get("name").and_then(Value::as_str).unwrap_or("");
        checks(inner, &format!("{path} › {name}"), depth + 1, out)?;
    }
    Ok(())
}

fn members(of: Option<&Value>) -> impl Iterator<Item = &Value> {
    let list = of.and_then(Value::as_array).into_iter().flatten();
    let named = of.and_then(Value::as_object).into_iter().flatten();
    list.chain(named.map(|(_, value)| value))
}
