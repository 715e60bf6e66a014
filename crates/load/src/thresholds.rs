//! What a run has to hold: k6's threshold grammar on our figures, and sliding windows.
//!
//! `METRIC: AGGREGATE OPERATOR NUMBER [over SPAN]`, such as
//! `http_req_duration{name:pay}: p(95)<200` or `http_req_failed: rate<0.01 over 10s`. k6 has one
//! comparison in each threshold and no `&&` or `||`; several thresholds of one metric must all
//! hold. With `over`, every window of that length must, and the worst one is shown. Durations are
//! in milliseconds.
//!
//! Two figures count otherwise than k6's, on purpose: `http_req_duration` runs from the planned
//! instant and has good answers only (`http_req_service` runs from the sending), and a figure of
//! which nothing was measured does not hold. It must not know where thresholds are written or who
//! acts on them.

use crate::measure::{End, Latency, Measured, Named, Second};
use crate::script::{RequestSpec, Script};

/// One threshold, ready to be asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    pub metric: Metric,
    pub of: Aggregate,
    pub is: Comparison,
    pub bound: f64,
    /// Every window of so many seconds, rather than the whole run.
    pub window_s: Option<u32>,
    /// The run ends as soon as it does not hold.
    pub abort_on_fail: bool,
    /// Seconds from the start in which it is not asked.
    pub delay_abort_s: u32,
    text: String,
}

/// What it came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Metric and expression, as they were written.
    pub expression: String,
    /// `None` if nothing was measured.
    pub seen: Option<f64>,
    pub unit: &'static str,
    pub holds: bool,
}

/// A figure, of all requests or of some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    pub figure: Figure,
    /// Of the request with this name.
    pub request: Option<String>,
    /// Of the check with this name.
    pub check: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    Duration,
    Service,
    Lag,
    Failed,
    Refused,
    Errors,
    Checks,
    Requests,
    Received,
    Iterations,
    Dropped,
    Buyers,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aggregate {
    Mean,
    Min,
    Median,
    Max,
    /// From 0 to 100.
    Percentile(f64),
    /// A share of rates, a number a second of counters.
    Rate,
    Count,
    Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Less,
    AtMost,
    Greater,
    AtLeast,
    Equal,
    Unequal,
}

/// What k6 calls the type of a metric: it says which aggregates there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Trend,
    Rate,
    Counter,
    Gauge,
}

/// A metric's name, what it is, and by what it can be narrowed.
struct Known {
    name: &'static str,
    figure: Figure,
    kind: Type,
    by_request: bool,
    /// Whether seconds have it.
    windows: bool,
}

const fn known(
    name: &'static str,
    figure: Figure,
    kind: Type,
    by_request: bool,
    windows: bool,
) -> Known {
    Known {
        name,
        figure,
        kind,
        by_request,
        windows,
    }
}

const METRICS: &[Known] = &[
    known(
        "http_req_duration",
        Figure::Duration,
        Type::Trend,
        true,
        true,
    ),
    known(
        "http_req_service",
        Figure::Service,
        Type::Trend,
        true,
        false,
    ),
    known("arrival_lag", Figure::Lag, Type::Trend, false, false),
    known("http_req_failed", Figure::Failed, Type::Rate, true, true),
    known("http_req_refused", Figure::Refused, Type::Rate, true, true),
    known("http_req_errors", Figure::Errors, Type::Rate, true, true),
    known("checks", Figure::Checks, Type::Rate, true, false),
    known("http_reqs", Figure::Requests, Type::Counter, true, true),
    known(
        "data_received",
        Figure::Received,
        Type::Counter,
        true,
        false,
    ),
    known(
        "iterations",
        Figure::Iterations,
        Type::Counter,
        false,
        false,
    ),
    known(
        "dropped_iterations",
        Figure::Dropped,
        Type::Counter,
        false,
        false,
    ),
    known("vus_max", Figure::Buyers, Type::Gauge, false, false),
];

/// Longer ones first, so that `<=` is not read as `<`.
const COMPARISONS: &[(&str, Comparison)] = &[
    ("===", Comparison::Equal),
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("==", Comparison::Equal),
    ("!=", Comparison::Unequal),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

/// Seconds of the longest window.
const WINDOW_S_MAX: u32 = 3_600;

impl Threshold {
    /// Reads a metric, such as `http_req_duration{name:pay}`, and what it shall be, such as
    /// `p(95)<200 over 10s`. The error says what was expected.
    pub fn parse(metric: &str, expression: &str) -> Result<Threshold, String> {
        let text = format!("{}: {}", metric.trim(), expression.trim());
        let (metric, known) = parse_metric(metric.trim())?;
        let (rule, window_s) = match expression.split_once(" over ") {
            None => (expression, None),
            Some((rule, span)) => (rule, Some(window(span.trim())?)),
        };
        let found = COMPARISONS
            .iter()
            .filter_map(|(token, is)| Some((rule.find(token)?, token.len(), *is)))
            .min_by_key(|(at, len, _)| (*at, usize::MAX - len));
        let Some((at, len, is)) = found else {
            return Err("expected <, <=, >, >=, == or !=, such as p(95)<200".to_owned());
        };
        let of = aggregate(rule[..at].trim(), known)?;
        let number = rule[at + len..].trim();
        let bound = number.parse().ok().filter(|bound: &f64| bound.is_finite());
        let bound = bound.ok_or_else(|| format!("{number:?} is no number"))?;
        if window_s.is_some() {
            if !known.windows {
                return Err(format!(
                    "{} has no figures by the second; leave `over` out",
                    known.name
                ));
            }
            if metric.request.is_some() {
                let what = "seconds have figures of all requests together; leave the name or \
                            `over` out";
                return Err(what.to_owned());
            }
        }
        Ok(Threshold {
            metric,
            of,
            is,
            bound,
            window_s,
            abort_on_fail: false,
            delay_abort_s: 0,
            text,
        })
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What a script does not have of what is asked for here.
    #[must_use]
    pub fn missing(&self, script: &Script) -> Option<String> {
        let name = self.metric.request.as_deref();
        let fits = |spec: &&RequestSpec| name.is_none_or(|name| spec.name == name);
        let mut redirected = script.redirected();
        let of_a_redirect = redirected.any(|(_, other)| name == Some(&other));
        if of_a_redirect && self.metric.check.is_none() && self.metric.figure != Figure::Checks {
            return None;
        }
        let mut requests = script.requests.iter().filter(fits).peekable();
        if requests.peek().is_none() {
            return Some(format!(
                "there is no request {:?}",
                name.unwrap_or("at all")
            ));
        }
        let mut checks = requests.flat_map(|spec| &spec.checks).peekable();
        match &self.metric.check {
            Some(name) if checks.all(|check| check.name != *name) => {
                Some(format!("there is no check {name:?}"))
            }
            None if self.metric.figure == Figure::Checks && checks.peek().is_none() => {
                Some("there is no check at all".to_owned())
            }
            _ => None,
        }
    }

    /// Of a whole run; where it has a window, of the worst one.
    #[must_use]
    pub fn whole(&self, measured: &Measured) -> Judged {
        let Some(window_s) = self.window_s else {
            return self.judged(self.of_run(measured));
        };
        let seconds = &measured.seconds;
        let length = (window_s as usize).min(seconds.len()).max(1);
        let windows = seconds.windows(length);
        let seen = windows.filter_map(|window| self.of_seconds(window));
        let worst = seen.reduce(|worst, seen| self.worse(worst, seen));
        self.judged(worst)
    }

    /// Of these seconds, which are one window.
    #[must_use]
    pub fn window(&self, seconds: &[Second]) -> Judged {
        self.judged(self.of_seconds(seconds))
    }

    fn judged(&self, seen: Option<f64>) -> Judged {
        Judged {
            expression: self.text.clone(),
            seen,
            unit: self.unit(),
            holds: seen.is_some_and(|seen| self.holds(seen)),
        }
    }

    fn unit(&self) -> &'static str {
        match (self.metric.figure, self.of) {
            (Figure::Duration | Figure::Service | Figure::Lag, _) => "ms",
            (Figure::Received, Aggregate::Rate) => "B/s",
            (Figure::Received, _) => "B",
            (Figure::Requests | Figure::Iterations | Figure::Dropped, Aggregate::Rate) => "/s",
            _ => "",
        }
    }

    fn holds(&self, seen: f64) -> bool {
        match self.is {
            Comparison::Less => seen < self.bound,
            Comparison::AtMost => seen <= self.bound,
            Comparison::Greater => seen > self.bound,
            Comparison::AtLeast => seen >= self.bound,
            Comparison::Equal => seen == self.bound,
            Comparison::Unequal => seen != self.bound,
        }
    }

    fn worse(&self, one: f64, other: f64) -> f64 {
        match self.is {
            Comparison::Less | Comparison::AtMost => one.max(other),
            Comparison::Greater | Comparison::AtLeast => one.min(other),
            Comparison::Equal | Comparison::Unequal if self.holds(one) => other,
            Comparison::Equal | Comparison::Unequal => one,
        }
    }

    fn of_run(&self, measured: &Measured) -> Option<f64> {
        let name = self.metric.request.as_deref();
        let fits = |named: &&Named| name.is_none_or(|name| named.name == name);
        let named: Vec<&Named> = measured.named.iter().filter(fits).collect();
        let sum = |of: &dyn Fn(&Named) -> u64| named.iter().map(|named| of(named)).sum::<u64>();
        let merged = |of: &dyn Fn(&Named) -> &Latency| {
            let mut all = Latency::new(3);
            named.iter().for_each(|named| all.add(of(named)));
            self.of_latency(&all)
        };
        let count = |count: u64| self.of_count(count, measured.wall_us as f64 / 1e6);
        match self.metric.figure {
            Figure::Duration => merged(&|named| &named.latency),
            Figure::Service => merged(&|named| &named.service),
            Figure::Lag => self.of_latency(&measured.lag),
            Figure::Failed | Figure::Refused | Figure::Errors => {
                let part = |named: &Named| self.metric.figure.part(&named.ends);
                share(sum(&part), sum(&|named| named.ends.iter().sum()))
            }
            Figure::Checks => {
                let name = self.metric.check.as_deref();
                let checks = named.iter().flat_map(|named| &named.checks);
                let fits = checks.filter(|check| name.is_none_or(|name| check.name == name));
                let (passed, all) = fits.fold((0, 0), |(passed, all), check| {
                    (passed + check.passed, all + check.passed + check.failed)
                });
                share(passed, all)
            }
            Figure::Requests => count(sum(&|named| named.sent)),
            Figure::Received => count(sum(&|named| named.bytes)),
            Figure::Iterations => count(measured.journeys),
            Figure::Dropped => count(measured.planned.saturating_sub(measured.arrived)),
            Figure::Buyers => Some(measured.buyers_max as f64),
        }
    }

    fn of_seconds(&self, seconds: &[Second]) -> Option<f64> {
        match self.metric.figure {
            Figure::Duration => {
                let mut all = Latency::new(2);
                seconds.iter().for_each(|second| all.add(&second.latency));
                self.of_latency(&all)
            }
            Figure::Failed | Figure::Refused | Figure::Errors => {
                let part = seconds.iter().map(|s| self.metric.figure.part(&s.ends));
                let all = seconds.iter().flat_map(|second| second.ends);
                share(part.sum(), all.sum())
            }
            Figure::Requests => {
                let sent = seconds.iter().map(|second| second.sent).sum();
                self.of_count(sent, seconds.len() as f64)
            }
            // Refused when it was read.
            Figure::Service
            | Figure::Lag
            | Figure::Checks
            | Figure::Received
            | Figure::Iterations
            | Figure::Dropped
            | Figure::Buyers => None,
        }
    }

    fn of_latency(&self, latency: &Latency) -> Option<f64> {
        let us = match self.of {
            _ if latency.count() == 0 => None,
            Aggregate::Mean => Some(latency.mean_us()),
            Aggregate::Min => latency.min_us().map(|us| us as f64),
            Aggregate::Max => latency.max_us().map(|us| us as f64),
            Aggregate::Median => latency.quantile_us(0.5).map(|us| us as f64),
            Aggregate::Percentile(n) => latency.quantile_us(n / 100.0).map(|us| us as f64),
            Aggregate::Rate | Aggregate::Count | Aggregate::Value => None,
        };
        us.map(|us| us / 1e3)
    }

    fn of_count(&self, count: u64, seconds: f64) -> Option<f64> {
        match self.of {
            Aggregate::Rate if seconds > 0.0 => Some(count as f64 / seconds),
            Aggregate::Rate => None,
            _ => Some(count as f64),
        }
    }
}

impl Figure {
    /// Those among the ends that this share counts.
    fn part(self, ends: &[u64; End::ALL.len()]) -> u64 {
        let counts = |end: End| match self {
            // As in k6, which judges by the status: a check has its own figure.
            Figure::Failed => !matches!(end, End::Good | End::Check),
            Figure::Refused => end == End::Refused,
            _ => end.is_error(),
        };
        let counted = End::ALL.iter().filter(|end| counts(**end));
        counted.map(|end| ends[*end as usize]).sum()
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn parse_metric(text: &str) -> Result<(Metric, &'static Known), String> {
    let (name, tags) = match text.split_once('{') {
        None => (text, ""),
        Some((name, tags)) => match tags.strip_suffix('}') {
            Some(tags) => (name.trim(), tags),
            None => return Err("expected } after the tags".to_owned()),
        },
    };
    let Some(known) = METRICS.iter().find(|known| known.name == name) else {
        let names: Vec<&str> = METRICS.iter().map(|known| known.name).collect();
        return Err(format!("no metric {name:?}, expected {}", names.join(", ")));
    };
    let mut metric = Metric {
        figure: known.figure,
        request: None,
        check: None,
    };
    for tag in tags.split(',').filter(|tag| !tag.trim().is_empty()) {
        let (key, value) = tag.split_once(':').unwrap_or((tag, ""));
        match (key.trim(), value.trim()) {
            ("name", value) if known.by_request && !value.is_empty() => {
                metric.request = Some(value.to_owned());
            }
            ("check", value) if known.figure == Figure::Checks && !value.is_empty() => {
                metric.check = Some(value.to_owned());
            }
            // k6's way to leave out failures, which ours does by itself.
            ("expected_response", "true") if known.figure == Figure::Duration => {}
            _ => {
                let may = match (known.figure, known.by_request) {
                    (Figure::Checks, _) => "name:REQUEST or check:NAME",
                    (_, true) => "name:REQUEST",
                    (_, false) => "none",
                };
                return Err(format!("no tag {:?} of {name}, expected {may}", tag.trim()));
            }
        }
    }
    Ok((metric, known))
}

fn aggregate(text: &str, known: &Known) -> Result<Aggregate, String> {
    let percentile = || {
        let number = text.strip_prefix("p(")?.strip_suffix(')')?;
        let number: f64 = number.trim().parse().ok()?;
        (0.0..=100.0).contains(&number).then_some(number)
    };
    let (of, expected) = match known.kind {
        Type::Trend => (
            match text {
                "avg" => Some(Aggregate::Mean),
                "min" => Some(Aggregate::Min),
                "med" => Some(Aggregate::Median),
                "max" => Some(Aggregate::Max),
                _ => percentile().map(Aggregate::Percentile),
            },
            "avg, min, med, max or p(N) with N from 0 to 100",
        ),
        Type::Rate => ((text == "rate").then_some(Aggregate::Rate), "rate"),
        Type::Counter => (
            match text {
                "count" => Some(Aggregate::Count),
                "rate" => Some(Aggregate::Rate),
                _ => None,
            },
            "count or rate",
        ),
        Type::Gauge => ((text == "value").then_some(Aggregate::Value), "value"),
    };
    of.ok_or_else(|| format!("no {text:?} of {}, expected {expected}", known.name))
}

fn window(span: &str) -> Result<u32, String> {
    let factors = [("s", 1), ("m", 60)];
    let seconds = factors.iter().find_map(|(unit, factor)| {
        let count: u32 = span.strip_suffix(unit)?.trim().parse().ok()?;
        count.checked_mul(*factor)
    });
    let good = seconds.filter(|seconds| (1..=WINDOW_S_MAX).contains(seconds));
    good.ok_or_else(|| format!("{span:?} is no window, expected 1s to {WINDOW_S_MAX}s"))
}

#[cfg(test)]
mod tests;
