//! A second as a line, for logs and whoever has no terminal.

use super::moment::Moment;

#[must_use]
pub fn line(moment: &Moment) -> String {
    let ms = |ms: Option<f64>| ms.map_or("–".to_owned(), |ms| format!("{ms:.1}"));
    format!(
        "{:>5} s  came {:>6}  good {:>6}  refused {:>5}  errors {:>5}  p50 {:>7} ms  p99 {:>7} ms  \
         under way {}",
        moment.at_s,
        moment.arrived,
        moment.good,
        moment.refused,
        moment.errors(),
        ms(moment.p50_ms),
        ms(moment.p99_ms),
        moment.under_way
    )
}
