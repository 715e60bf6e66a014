//! The map as a picture: the door on the left, each service in the column of its depth, what is
//! strong as a line, what is weak dashed. Colours are classes of the page's style sheet.

use super::{Flows, Map};
use picture::{escape, thousands};
use std::collections::BTreeMap;
use std::fmt::Write;

const BOX: (f64, f64) = (168.0, 40.0);
const GAP: (f64, f64) = (74.0, 18.0);
const EDGE: f64 = 12.0;
/// The looks, for a picture that stands alone.
const STYLE: &str = "<style>rect{fill:#fff;stroke:#5b6876}rect.hot{stroke:#c4352b;stroke-width:2}\
    text{font:11.5px system-ui,sans-serif;fill:#16202c}text.rate{fill:#5b6876}\
    path{fill:none;stroke:#1769c2;stroke-width:1.4;opacity:.75}\
    path.weak{stroke:#8794a3;stroke-dasharray:4 3}</style>";

/// `hot` services have a frame of their own colour.
#[must_use]
pub fn svg(map: &Map, flows: &Flows, hot: &dyn Fn(&str) -> bool) -> String {
    let columns = columns(map, flows);
    let mut at: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    let tallest = columns.iter().map(Vec::len).max().unwrap_or(0);
    let row = BOX.1 + GAP.1;
    for (column, names) in columns.iter().enumerate() {
        let top = (tallest - names.len()) as f64 * row / 2.0;
        for (place, name) in names.iter().enumerate() {
            let x = EDGE + column as f64 * (BOX.0 + GAP.0);
            at.insert(name, (x, EDGE + top + place as f64 * row));
        }
    }
    let width = 2.0 * EDGE + columns.len() as f64 * (BOX.0 + GAP.0) - GAP.0;
    let height = 2.0 * EDGE + tallest as f64 * row;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         role=\"img\" aria-label=\"Which service calls which\">{STYLE}"
    );
    for (edge, rate) in map.edges.iter().zip(&flows.edges) {
        if let (Some(from), Some(to)) = (at.get(&*edge.from), at.get(&*edge.to)) {
            let class = if edge.weak { " class=\"weak\"" } else { "" };
            let title = format!("{} → {}: {}/s", edge.from, edge.to, shown(*rate));
            push_edge(&mut out, *from, *to, class, &title);
        }
    }
    for (name, (x, y)) in &at {
        let class = if hot(name) { " class=\"hot\"" } else { "" };
        let (middle, first, second) = (x + BOX.0 / 2.0, y + 17.0, y + 32.0);
        // Writing to a string cannot fail.
        _ = write!(
            out,
            "<rect{class} x=\"{x:.1}\" y=\"{y:.1}\" width=\"{}\" height=\"{}\" rx=\"6\"/>\
             <text text-anchor=\"middle\" x=\"{middle:.1}\" y=\"{first:.1}\">{}</text>\
             <text class=\"rate\" text-anchor=\"middle\" x=\"{middle:.1}\" y=\"{second:.1}\">\
             {}/s</text>",
            BOX.0,
            BOX.1,
            escape(&shortened(name)),
            shown(flows.service(name))
        );
    }
    out.push_str("</svg>\n");
    out
}

/// Names by depth; what the door does not reach comes last.
fn columns<'a>(map: &'a Map, flows: &Flows) -> Vec<Vec<&'a str>> {
    let deepest = flows.depth.values().copied().max().unwrap_or(0);
    let mut columns: Vec<Vec<&str>> = vec![Vec::new(); deepest + 1];
    for name in &map.services {
        let depth = flows.depth.get(name).copied().unwrap_or(deepest + 1);
        columns[depth - 1].push(name);
    }
    columns.retain(|names| !names.is_empty());
    columns
}

fn push_edge(out: &mut String, from: (f64, f64), to: (f64, f64), class: &str, title: &str) {
    let (x1, y1) = (from.0 + BOX.0, from.1 + BOX.1 / 2.0);
    let (x2, y2) = (to.0, to.1 + BOX.1 / 2.0);
    let bend = GAP.0 * 0.6;
    let (first, second) = (x1 + bend, x2 - bend);
    let title = escape(title);
    _ = write!(
        out,
        "<path{class} d=\"M{x1:.1} {y1:.1}C{first:.1} {y1:.1} {second:.1} {y2:.1} {x2:.1} \
         {y2:.1}\"><title>{title}</title></path>"
    );
}

fn shown(rate: f64) -> String {
    if rate >= 10.0 || rate == 0.0 {
        thousands(rate.round() as u64)
    } else {
        format!("{rate:.2}")
    }
}

fn shortened(name: &str) -> String {
    const MOST: usize = 25;
    if name.chars().count() <= MOST {
        return name.to_owned();
    }
    let start: String = name.chars().take(MOST - 1).collect();
    format!("{start}…")
}
