//! Charts as inline SVG: lines and stacked areas over the seconds of a run.
//!
//! Colours are CSS classes, so that the page's light, dark and printed looks apply to them too;
//! nothing is loaded and nothing runs.

use crate::report::thousands;
use std::fmt::Write;

const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 30.0;

pub(crate) struct Series {
    pub(crate) name: String,
    /// The CSS class that gives the colour.
    pub(crate) class: &'static str,
    /// One value a second; seconds without one are `NaN`.
    pub(crate) values: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Lines,
    Stacked,
    /// Lines over a logarithmic scale, for latencies.
    LogLines,
}

pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) kind: Kind,
    pub(crate) series: Vec<Series>,
    /// Second of T0.
    pub(crate) t0: f64,
    /// From kill to first answer, in seconds.
    pub(crate) kills: Vec<(f64, f64)>,
    pub(crate) seconds: usize,
}

struct Scale {
    low: f64,
    high: f64,
    log: bool,
    seconds: f64,
}

impl Scale {
    fn x(&self, second: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * second / self.seconds
    }
    fn y(&self, value: f64) -> f64 {
        let share = if self.log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            value / self.high
        };
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share.clamp(0.0, 1.0)
    }
}

pub(crate) fn svg(chart: &Chart<'_>) -> String {
    let scale = scale(chart);
    let mut out = format!(
        "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"{}\">",
        escape(chart.title),
        escape(chart.title)
    );
    push_kills(&mut out, chart, &scale);
    push_grid(&mut out, chart, &scale);
    match chart.kind {
        Kind::Stacked => push_areas(&mut out, chart, &scale),
        Kind::Lines | Kind::LogLines => push_lines(&mut out, chart, &scale),
    }
    push_marks(&mut out, chart, &scale);
    out.push_str("</svg><ul class=\"legend\">");
    for series in &chart.series {
        // Writing to a string cannot fail.
        _ = write!(
            out,
            "<li><i class=\"{}\"></i>{}</li>",
            series.class,
            escape(&series.name)
        );
    }
    out.push_str("</ul></figure>\n");
    out
}

fn scale(chart: &Chart<'_>) -> Scale {
    let finite = |value: &f64| value.is_finite();
    let highest = match chart.kind {
        Kind::Stacked => (0..chart.seconds)
            .map(|s| {
                chart
                    .series
                    .iter()
                    .filter_map(|one| one.values.get(s))
                    .sum()
            })
            .fold(0.0, f64::max),
        _ => chart
            .series
            .iter()
            .flat_map(|s| s.values.iter().copied().filter(finite))
            .fold(0.0, f64::max),
    };
    let log = chart.kind == Kind::LogLines;
    let seconds = (chart.seconds as f64).max(1.0);
    if log {
        let lowest = chart.series.iter().flat_map(|s| s.values.iter().copied());
        let lowest = lowest
            .filter(|v| v.is_finite() && *v > 0.0)
            .fold(f64::MAX, f64::min);
        let low = if lowest < f64::MAX {
            10f64.powf(lowest.log10().floor())
        } else {
            0.1
        };
        let high = 10f64.powf(highest.max(low * 10.0).log10().ceil());
        Scale {
            low,
            high,
            log,
            seconds,
        }
    } else {
        Scale {
            low: 0.0,
            high: nice(highest.max(1.0)),
            log,
            seconds,
        }
    }
}

/// The next round number at or above `value`.
fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps
        .iter()
        .map(|step| step * power)
        .find(|step| *step >= value)
        .unwrap_or(value)
}

fn label(value: f64) -> String {
    if value >= 1.0 || value == 0.0 {
        thousands(value as u64)
    } else {
        format!("{value}")
    }
}

fn push_grid(out: &mut String, chart: &Chart<'_>, scale: &Scale) {
    let mut ticks = Vec::new();
    if scale.log {
        let mut tick = scale.low;
        while tick <= scale.high * 1.001 {
            ticks.push(tick);
            tick *= 10.0;
        }
    } else {
        ticks.extend((0..=4).map(|quarter| scale.high * f64::from(quarter) / 4.0));
    }
    let (right, base) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for tick in ticks {
        let y = scale.y(tick);
        let (text_y, text_x, label) = (y + 4.0, LEFT - 8.0, label(tick));
        _ = write!(
            out,
            "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>\
             <text class=\"end\" x=\"{text_x}\" y=\"{text_y:.1}\">{label}</text>"
        );
    }
    let (unit, text_x) = (escape(chart.unit), LEFT - 8.0);
    _ = write!(
        out,
        "<text class=\"end unit\" x=\"{text_x}\" y=\"11\">{unit}</text>"
    );
    let step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600];
    let step = step
        .into_iter()
        .find(|s| chart.seconds / s <= 12)
        .unwrap_or(7_200) as f64;
    let mut at = -(chart.t0 / step).floor() * step;
    while chart.t0 + at <= chart.seconds as f64 {
        let (x, y) = (scale.x(chart.t0 + at), base + 18.0);
        let text = if at == 0.0 {
            "T0".to_owned()
        } else {
            format!("{at:+} s")
        };
        _ = write!(
            out,
            "<text class=\"mid\" x=\"{x:.1}\" y=\"{y}\">{text}</text>"
        );
        at += step;
    }
}

fn push_kills(out: &mut String, chart: &Chart<'_>, scale: &Scale) {
    let height = HEIGHT - TOP - BOTTOM;
    for (killed, back) in &chart.kills {
        let x = scale.x(*killed);
        let width = (scale.x(*back) - x).max(1.5);
        _ = write!(
            out,
            "<rect class=\"down\" x=\"{x:.1}\" y=\"{TOP}\" width=\"{width:.1}\" \
             height=\"{height}\"/>"
        );
    }
}

fn push_marks(out: &mut String, chart: &Chart<'_>, scale: &Scale) {
    let base = HEIGHT - BOTTOM;
    let x = scale.x(chart.t0);
    _ = write!(out, "<path class=\"t0\" d=\"M{x:.1} {TOP}V{base}\"/>");
    if let ([(killed, _)], y) = (chart.kills.as_slice(), TOP - 6.0) {
        let x = scale.x(*killed);
        _ = write!(
            out,
            "<text class=\"mid kill\" x=\"{x:.1}\" y=\"{y}\">SIGKILL, restart</text>"
        );
    }
}

fn push_lines(out: &mut String, chart: &Chart<'_>, scale: &Scale) {
    for series in &chart.series {
        let mut path = String::new();
        let mut pen_up = true;
        for (second, value) in series.values.iter().enumerate().take(chart.seconds) {
            if !value.is_finite() {
                pen_up = true;
                continue;
            }
            let (x, y) = (scale.x(second as f64 + 0.5), scale.y(*value));
            _ = write!(path, "{}{x:.1} {y:.1}", if pen_up { 'M' } else { 'L' });
            pen_up = false;
        }
        _ = write!(out, "<path class=\"line {}\" d=\"{path}\"/>", series.class);
    }
}

fn push_areas(out: &mut String, chart: &Chart<'_>, scale: &Scale) {
    let mut below = vec![0.0; chart.seconds];
    for series in &chart.series {
        let above: Vec<f64> = below
            .iter()
            .enumerate()
            .map(|(second, base)| base + series.values.get(second).copied().unwrap_or(0.0))
            .collect();
        let mut path = String::new();
        // Seconds are columns, not points: a step shows as a step.
        for (second, value) in above.iter().enumerate() {
            let (from, to) = (scale.x(second as f64), scale.x(second as f64 + 1.0));
            let (pen, y) = (if second == 0 { 'M' } else { 'L' }, scale.y(*value));
            _ = write!(path, "{pen}{from:.1} {y:.1}L{to:.1} {y:.1}");
        }
        for (second, value) in below.iter().enumerate().rev() {
            let (from, to) = (scale.x(second as f64), scale.x(second as f64 + 1.0));
            let y = scale.y(*value);
            _ = write!(path, "L{to:.1} {y:.1}L{from:.1} {y:.1}");
        }
        _ = write!(out, "<path class=\"area {}\" d=\"{path}Z\"/>", series.class);
        below = above;
    }
}

/// Text for HTML.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}
