//! Load shapes as segments, and files of recorded rates.
//!
//! It must not know what arrives.

use super::data::{Lines, problem};
use crate::arrivals::Segment;
use crate::limits::{FILE_PROBLEMS_MAX, RATE_FILE_S_MAX};
use std::io::BufRead;
use std::path::Path;
use std::time::Duration;
use wire::campaign::Problem;
use wire::gateway::source::Source;
use wire::scenario::limits::RATE_PER_S_MAX;
use wire::scenario::shape::LoadShape;

pub fn segments(
    source: &mut Source,
    elsewhere: &mut Vec<Problem>,
    shape: &LoadShape,
) -> Vec<Segment> {
    let part = |from: f64, to: f64, long: Duration| Segment {
        from_per_s: from,
        to_per_s: to,
        us: long.as_micros() as u64,
    };
    let mut all = match shape {
        LoadShape::Constant(constant) => vec![part(constant.rate, constant.rate, constant.r#for)],
        LoadShape::Ramp(ramp) => vec![part(ramp.from, ramp.to, ramp.r#for)],
        LoadShape::Stair(stair) => {
            let levels = (0..stair.count).map(|level| stair.from + stair.by * level as f64);
            levels.map(|rate| part(rate, rate, stair.each)).collect()
        }
        LoadShape::Spike(spike) => vec![
            part(spike.base, spike.base, spike.before),
            part(spike.base, spike.peak, spike.rise),
            part(spike.peak, spike.peak, spike.hold),
            part(spike.peak, spike.base, spike.rise),
            part(spike.base, spike.base, spike.after),
        ],
        LoadShape::Curve(curve) => {
            let between = curve.points.windows(2).map(|two| {
                let long = two[1].time.saturating_sub(two[0].time);
                part(two[0].rate, two[1].rate, long)
            });
            between.collect()
        }
        LoadShape::File(file) => match std::fs::File::open(&file.path) {
            Err(error) => {
                let what = format!("{}: not readable: {error}", file.path.display());
                source.problem("load.shape.file.path", what);
                Vec::new()
            }
            Ok(open) => {
                let mut rates = Vec::new();
                read(
                    std::io::BufReader::new(open),
                    &file.path,
                    &mut rates,
                    elsewhere,
                );
                let scaled = rates.iter().map(|rate| rate * file.scale);
                let second = Duration::from_secs(1);
                scaled.map(|rate| part(rate, rate, second)).collect()
            }
        },
    };
    all.retain(|segment| segment.us > 0);
    all
}

/// `RATE`, or `SECOND,RATE`, on each line.
fn read(file: impl BufRead, path: &Path, rates: &mut Vec<f64>, problems: &mut Vec<Problem>) {
    let mut lines = Lines::new(file);
    let before = problems.len();
    loop {
        let text = match lines.read() {
            None => break,
            Some(Ok(text)) => text.trim().to_owned(),
            Some(Err(what)) => {
                problems.push(problem(path, lines.line, what));
                return;
            }
        };
        if text.is_empty() {
            continue;
        }
        let expected = |what: &str| format!("found {text:?}, expected {what}");
        let mut fields = text.split(',').map(str::trim);
        let (first, second) = (fields.next().unwrap_or_default(), fields.next());
        let number = |text: &str| {
            let number = text.parse::<f64>().ok();
            number.filter(|rate| (0.0..=RATE_PER_S_MAX).contains(rate))
        };
        let header = lines.line == 1 && first.parse::<f64>().is_err();
        let what = match (number(second.unwrap_or(first)), fields.next()) {
            _ if header => continue,
            (Some(_), None) if second.is_some() && first.parse() != Ok(rates.len()) => Some(
                expected(&format!("second {}: seconds have no gaps", rates.len())),
            ),
            (Some(rate), None) if rates.len() < RATE_FILE_S_MAX => {
                rates.push(rate);
                None
            }
            (Some(_), None) => Some(format!("more than {RATE_FILE_S_MAX} seconds")),
            _ => Some(expected("RATE or SECOND,RATE")),
        };
        if let Some(what) = what {
            problems.push(problem(path, lines.line, what));
            if problems.len() - before >= FILE_PROBLEMS_MAX {
                return;
            }
        }
    }
    if problems.len() == before && !rates.iter().any(|rate| *rate > 0.0) {
        problems.push(problem(path, 0, "no rate above 0 in it".to_owned()));
    }
}
