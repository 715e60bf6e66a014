//! Charts as inline SVG: lines and stacked areas over the seconds of a run, and curves over any
//! other figure.
//!
//! Colours are CSS classes, so that the page's light, dark and printed looks apply to them too;
//! nothing is loaded and nothing runs.

use crate::{escape, thousands};
use std::fmt::Write;

const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 30.0;

#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    /// The CSS class that gives the colour.
    pub class: &'static str,
    /// One value a second; seconds without one are `NaN`.
    pub values: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Lines,
    Stacked,
    /// Lines over a logarithmic scale, for latencies.
    LogLines,
}

#[derive(Clone, Debug)]
pub struct Chart<'a> {
    pub title: &'a str,
    pub unit: &'a str,
    pub kind: Kind,
    pub series: Vec<Series>,
    /// Second of T0, if there is one; else seconds count from the start.
    pub t0: Option<f64>,
    /// From kill to first answer, in seconds.
    pub kills: Vec<(f64, f64)>,
    pub seconds: usize,
}

/// A part of the time with a name, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    pub name: String,
    pub from: f64,
    pub to: f64,
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

#[must_use]
pub fn svg(chart: &Chart<'_>) -> String {
    marked(chart, &[])
}

/// The same with parts of the time shaded and named.
#[must_use]
pub fn marked(chart: &Chart<'_>, marks: &[Mark]) -> String {
    let scale = scale(chart);
    let mut out = format!(
        "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"{}\">",
        escape(chart.title),
        escape(chart.title)
    );
    push_kills(&mut out, chart, &scale);
    push_named(&mut out, marks, &scale);
    push_grid(&mut out, chart, &scale);
    match chart.kind {
        Kind::Stacked => push_areas(&mut out, chart, &scale),
        Kind::Lines | Kind::LogLines => push_lines(&mut out, chart, &scale),
    }
    push_marks(&mut out, chart, &scale);
    let names = chart.series.iter().map(|one| (one.class, &*one.name));
    push_end(&mut out, names);
    out
}

fn push_end<'a>(out: &mut String, names: impl Iterator<Item = (&'static str, &'a str)>) {
    out.push_str("</svg><ul class=\"legend\">");
    for (class, name) in names {
        // Writing to a string cannot fail.
        _ = write!(out, "<li><i class=\"{class}\"></i>{}</li>", escape(name));
    }
    out.push_str("</ul></figure>\n");
}

/// Points over something else than seconds.
#[derive(Clone, Debug)]
pub struct Curve {
    pub name: String,
    /// The CSS class that gives the colour.
    pub class: &'static str,
    /// Joined in this order.
    pub points: Vec<(f64, f64)>,
    /// Whether a line joins them.
    pub joined: bool,
}

/// Curves over a linear axis, heights logarithmic or not.
#[must_use]
pub fn curves(title: &str, (x_unit, y_unit): (&str, &str), log: bool, all: &[Curve]) -> String {
    let points = || all.iter().flat_map(|curve| curve.points.iter());
    let good = |value: &f64| value.is_finite() && (*value > 0.0 || !log);
    let heights = points().map(|(_, y)| *y).filter(good);
    let widest = points().map(|(x, _)| *x).filter(|x| x.is_finite());
    let mut scale = heights_of(heights, log);
    scale.seconds = nice(widest.fold(1.0, f64::max));
    let title = escape(title);
    let mut out = format!(
        "<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         role=\"img\" aria-label=\"{title}\">"
    );
    push_heights(&mut out, y_unit, &scale);
    for quarter in 0..=4 {
        let at = scale.seconds * f64::from(quarter) / 4.0;
        let (x, y) = (scale.x(at), HEIGHT - BOTTOM + 18.0);
        let (label, unit) = (label(at), if quarter == 4 { x_unit } else { "" });
        let class = if quarter == 4 { "end" } else { "mid" };
        let text = escape(format!("{label} {unit}").trim());
        _ = write!(
            out,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y}\">{text}</text>"
        );
    }
    for curve in all {
        let good = curve
            .points
            .iter()
            .filter(|(x, y)| x.is_finite() && good(y));
        let mut path = String::new();
        for (place, (x, y)) in good.clone().enumerate() {
            let pen = if place == 0 { 'M' } else { 'L' };
            _ = write!(path, "{pen}{:.1} {:.1}", scale.x(*x), scale.y(*y));
        }
        let class = curve.class;
        if curve.joined {
            _ = write!(out, "<path class=\"line {class}\" d=\"{path}\"/>");
        }
        for (x, y) in good {
            let (x, y) = (scale.x(*x), scale.y(*y));
            _ = write!(
                out,
                "<circle class=\"area {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"
            );
        }
    }
    let names = all.iter().map(|curve| (curve.class, &*curve.name));
    push_end(&mut out, names);
    out
}

fn scale(chart: &Chart<'_>) -> Scale {
    let log = chart.kind == Kind::LogLines;
    let mut scale = if chart.kind == Kind::Stacked {
        let sum = |second: usize| {
            let values = chart.series.iter().map(|one| one.values.get(second));
            values.flatten().sum()
        };
        heights_of((0..chart.seconds).map(sum), log)
    } else {
        let values = chart.series.iter().flat_map(|s| s.values.iter().copied());
        heights_of(values, log)
    };
    scale.seconds = (chart.seconds as f64).max(1.0);
    scale
}

/// Heights that have room for all these values.
fn heights_of(values: impl Iterator<Item = f64>, log: bool) -> Scale {
    let (mut lowest, mut highest) = (f64::MAX, 0f64);
    for value in values.filter(|value| value.is_finite()) {
        highest = highest.max(value);
        if value > 0.0 {
            lowest = lowest.min(value);
        }
    }
    let (low, high) = if log {
        let low = if lowest < f64::MAX {
            10f64.powf(lowest.log10().floor())
        } else {
            0.1
        };
        (low, 10f64.powf(highest.max(low * 10.0).log10().ceil()))
    } else {
        (0.0, nice(highest.max(1.0)))
    };
    Scale {
        low,
        high,
        log,
        seconds: 1.0,
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
    if value.fract() == 0.0 || value >= 1_000.0 {
        thousands(value as u64)
    } else {
        // Four digits are enough, and 0.1 + 0.2 is not 0.3 in binary.
        format!("{}", (value * 1e4).round() / 1e4)
    }
}

fn push_grid(out: &mut String, chart: &Chart<'_>, scale: &Scale) {
    push_heights(out, chart.unit, scale);
    let base = HEIGHT - BOTTOM;
    let step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600];
    let step = step
        .into_iter()
        .find(|s| chart.seconds / s <= 12)
        .unwrap_or(7_200) as f64;
    let zero = chart.t0.unwrap_or(0.0);
    // Added to nought, so that it is not written -0.
    let mut at = 0.0 - (zero / step).floor() * step;
    while zero + at <= chart.seconds as f64 {
        let (x, y) = (scale.x(zero + at), base + 18.0);
        let text = match chart.t0 {
            None => format!("{at} s"),
            Some(_) if at == 0.0 => "T0".to_owned(),
            Some(_) => format!("{at:+} s"),
        };
        _ = write!(
            out,
            "<text class=\"mid\" x=\"{x:.1}\" y=\"{y}\">{text}</text>"
        );
        at += step;
    }
}

/// Lines across, with their values and the unit.
fn push_heights(out: &mut String, unit: &str, scale: &Scale) {
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
    let right = WIDTH - RIGHT;
    for tick in ticks {
        let y = scale.y(tick);
        let (text_y, text_x, label) = (y + 4.0, LEFT - 8.0, label(tick));
        _ = write!(
            out,
            "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>\
             <text class=\"end\" x=\"{text_x}\" y=\"{text_y:.1}\">{label}</text>"
        );
    }
    let (unit, text_x) = (escape(unit), LEFT - 8.0);
    _ = write!(
        out,
        "<text class=\"end unit\" x=\"{text_x}\" y=\"11\">{unit}</text>"
    );
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

fn push_named(out: &mut String, marks: &[Mark], scale: &Scale) {
    let (height, y) = (HEIGHT - TOP - BOTTOM, TOP - 6.0);
    for mark in marks {
        let x = scale.x(mark.from);
        let width = (scale.x(mark.to) - x).max(1.5);
        let name = escape(&mark.name);
        // Writing to a string cannot fail.
        _ = write!(
            out,
            "<rect class=\"down\" x=\"{x:.1}\" y=\"{TOP}\" width=\"{width:.1}\" \
             height=\"{height}\"><title>{name}</title></rect><text class=\"mid kill\" \
             x=\"{:.1}\" y=\"{y}\">{name}</text>",
            x + width / 2.0,
        );
    }
}

fn push_marks(out: &mut String, chart: &Chart<'_>, scale: &Scale) {
    let base = HEIGHT - BOTTOM;
    if let Some(t0) = chart.t0 {
        let x = scale.x(t0);
        _ = write!(out, "<path class=\"t0\" d=\"M{x:.1} {TOP}V{base}\"/>");
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_say_what_the_line_is_at() {
        for (value, text) in [
            (0.0, "0"),
            (0.1 + 0.2, "0.3"),
            (1.5, "1.5"),
            (37.5, "37.5"),
            (1_250.0, "1,250"),
            (12_345.6, "12,345"),
        ] {
            assert_eq!(label(value), text);
        }
    }

    #[test]
    fn seconds_count_from_t0_or_from_the_start() {
        let draw = |t0| {
            svg(&Chart {
                title: "a <title>",
                unit: "1/s",
                kind: Kind::Lines,
                series: vec![Series {
                    name: "sent".to_owned(),
                    class: "c1",
                    values: vec![1.0, f64::NAN, 3.0],
                }],
                t0,
                kills: Vec::new(),
                seconds: 3,
            })
        };
        let marked = marked(
            &Chart {
                title: "t",
                unit: "u",
                kind: Kind::Lines,
                series: Vec::new(),
                t0: None,
                kills: Vec::new(),
                seconds: 3,
            },
            &[Mark {
                name: "a<b".to_owned(),
                from: 1.0,
                to: 2.0,
            }],
        );
        assert!(marked.contains(">a&lt;b</text>"), "{marked}");
        let (with, without) = (draw(Some(1.0)), draw(None));
        assert!(with.contains(">T0<") && with.contains(">-1 s<"), "{with}");
        assert!(
            without.contains(">0 s<") && !without.contains(">T0<"),
            "{without}"
        );
        assert!(without.contains("a &lt;title&gt;"), "{without}");
    }
}
