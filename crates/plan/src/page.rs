//! The plan for people, as one HTML page that stands alone and as Markdown with its pictures
//! beside it: what comes, what is decided and why, what is enforced, what is still to do.
//!
//! Both are made from the same blocks, so that they cannot say different things. It must not know
//! how any of it was found.

use crate::capacity::{Choice, Decision, Decisions, Limits, Situation};
use crate::forecast::Forecast;
use crate::limits_out::written;
use crate::map::{Difference, Flows, svg};
use crate::readiness::{Line, State};
use crate::text::{instant, rate};
use picture::{CSS, Curve, Section, curves, escape};
use std::fmt::Write;

/// Points of the curve that are drawn: more than a screen is wide helps nobody.
const POINTS_MAX: usize = 600;
/// The looks of a picture that stands alone.
const STYLE: &str = "<style>text{font:11.5px system-ui,sans-serif;fill:#5b6876}\
    .end{text-anchor:end}.mid{text-anchor:middle}.grid{stroke:#dbe2e8}\
    .line{fill:none;stroke-width:2}.area{display:none}\
    .c1{stroke:#1769c2}.c4{stroke:#c4352b}.c6{stroke:#8794a3}</style>";

/// All that the page shows.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    pub name: &'a str,
    pub situation: &'a Situation,
    pub decided: &'a Decisions,
    pub limits: &'a Limits,
    pub forecast: &'a Forecast,
    pub flows: &'a Flows,
    pub readiness: &'a [Line],
    pub differences: &'a [Difference],
    /// Remarks on the input, such as reports of several builds.
    pub remarks: &'a [String],
}

/// What the plan comes to, in a word and a sentence.
#[must_use]
pub fn verdict(page: &Page<'_>) -> (State, String) {
    let blocked = page
        .readiness
        .iter()
        .filter(|l| l.state == State::Blocked)
        .count();
    let open = page
        .readiness
        .iter()
        .filter(|l| l.state == State::Open)
        .count();
    if blocked > 0 {
        let sentence = format!("{blocked} things stand in the way of the sale, {open} are to do.");
        (State::Blocked, sentence)
    } else if open > 0 {
        (
            State::Open,
            format!("Nothing stands in the way; {open} things are to do."),
        )
    } else {
        (State::Ready, "Everything is ready.".to_owned())
    }
}

/// Which service is marked in the picture: whoever is not fine.
fn hot(page: &Page<'_>, name: &str) -> bool {
    page.decided
        .of(name)
        .is_some_and(|one| one.choice != Choice::Fine)
}

#[must_use]
pub fn map_svg(page: &Page<'_>) -> String {
    svg(&page.situation.map, page.flows, &|name| hot(page, name))
}

fn forecast_figure(page: &Page<'_>) -> String {
    let minutes = &page.forecast.total.minutes;
    let step = minutes.len().div_ceil(POINTS_MAX).max(1);
    // Of minutes that share a point the highest counts: peaks must not vanish.
    let points = |of: fn(&crate::forecast::Band) -> f64| -> Vec<(f64, f64)> {
        let groups = minutes.chunks(step).enumerate();
        groups
            .map(|(index, group)| {
                let most = group.iter().map(of).fold(0.0, f64::max);
                ((index * step) as f64 / 60.0, most)
            })
            .collect()
    };
    let curve = |name: &str, class, of| Curve {
        name: name.to_owned(),
        class,
        points: points(of),
        joined: true,
    };
    let title = format!(
        "Requests a second from {}",
        instant(page.forecast.from_minute)
    );
    curves(
        &title,
        ("h", "1/s"),
        false,
        &[
            curve("upper bound", "c4", |band| band.upper),
            curve("expected", "c1", |band| band.expected),
            curve("lower bound", "c6", |band| band.lower),
        ],
    )
}

/// The forecast's curve as a picture of its own.
#[must_use]
pub fn forecast_svg(page: &Page<'_>) -> String {
    let figure = forecast_figure(page);
    let start = figure.find("<svg").unwrap_or(0);
    let end = figure.find("</svg>").map_or(figure.len(), |at| at + 6);
    let picture = figure.get(start..end).unwrap_or("");
    let open = "<svg xmlns=\"http://www.w3.org/2000/svg\"";
    let picture = picture.replacen("<svg", open, 1);
    format!("{}\n", picture.replacen('>', &format!(">{STYLE}"), 1))
}

fn choice_word(choice: &Choice) -> String {
    match choice {
        Choice::Fine => "fine".to_owned(),
        Choice::ScaleOut(growth) => format!("scale out to {}", growth.to),
        Choice::Degrade {
            growth: Some(growth),
            ..
        } => format!("scale out to {} and degrade", growth.to),
        Choice::Degrade { growth: None, .. } => "degrade".to_owned(),
        Choice::Optimise { times } => format!("optimise, {times:.2} times"),
        Choice::Measure => "measure".to_owned(),
    }
}

/// A limit as the files have it.
fn shown(per_s: f64) -> String {
    written(per_s).unwrap_or_else(|| "nothing".to_owned())
}

fn section(title: &'static str, head: &[&'static str], rows: Vec<Vec<String>>) -> Section {
    Section {
        title,
        head: head.to_vec(),
        rows,
    }
}

fn tables(page: &Page<'_>) -> Vec<Section> {
    let mut all = vec![decisions(page), route_limits(page), service_limits(page)];
    all.push(calls(page));
    let lines = page.readiness.iter().map(|line| {
        vec![
            line.what.clone(),
            line.owner.clone(),
            line.evidence.clone(),
            line.state.word().to_owned(),
        ]
    });
    let head = ["what", "owner", "evidence", "state"];
    all.push(section("Readiness", &head, lines.collect()));
    all.retain(|section| !section.rows.is_empty());
    all
}

fn decisions(page: &Page<'_>) -> Section {
    let rows = page.decided.services.iter().map(|one| {
        let unknown = || "unknown".to_owned();
        vec![
            one.service.clone(),
            rate(one.expected),
            rate(one.upper),
            one.usable.map_or_else(unknown, rate),
            one.instances.to_string(),
            one.need
                .map_or_else(|| "–".to_owned(), |need| need.safe.to_string()),
            choice_word(&one.choice),
        ]
    });
    let head = [
        "service",
        "expected",
        "upper bound",
        "an instance may get",
        "run",
        "needed",
        "decision",
    ];
    section("Decisions", &head, rows.collect())
}

fn route_limits(page: &Page<'_>) -> Section {
    let rows = page.limits.routes.iter().map(|one| {
        vec![
            one.route.clone(),
            rate(one.expected),
            rate(one.upper),
            shown(one.cluster),
            one.bound_by.clone(),
        ]
    });
    let head = ["route", "expected", "upper bound", "limit", "bound by"];
    section("Limits at the door", &head, rows.collect())
}

fn service_limits(page: &Page<'_>) -> Section {
    let rows = page.limits.services.iter().map(|one| {
        vec![
            one.service.clone(),
            shown(one.cluster),
            shown(one.each),
            one.bound_by.clone(),
        ]
    });
    let head = ["service", "together", "each instance", "bound by"];
    section("What each service may get", &head, rows.collect())
}

fn calls(page: &Page<'_>) -> Section {
    let edges = page.situation.map.edges.iter().zip(&page.flows.edges);
    let rows = edges.map(|(edge, per_s)| {
        let kind = if edge.weak { "weak" } else { "strong" };
        vec![
            format!("{} → {}", edge.from, edge.to),
            format!("{:.2}", edge.per_request),
            format!("{:.0} %", edge.cache_hit * 100.0),
            kind.to_owned(),
            rate(*per_s),
        ]
    });
    let head = ["call", "a request", "from caches", "kind", "requests"];
    section("Calls at the upper bound", &head, rows.collect())
}

/// Title and paragraphs of what is told in sentences.
fn told(page: &Page<'_>) -> Vec<(String, Vec<String>)> {
    let why = |one: &Decision| {
        (format!("{}: {}", one.service, choice_word(&one.choice)), {
            vec![one.because.join(" ")]
        })
    };
    let mut all: Vec<(String, Vec<String>)> = page.decided.services.iter().map(why).collect();
    if !page.decided.switches.is_empty() {
        let what = format!(
            "{} are on while the sale lasts; an hour of it costs {:.2} {}.",
            page.decided.switches.join(", "),
            page.decided.loss_per_hour,
            page.situation.currency
        );
        all.push(("Switches".to_owned(), vec![what]));
    }
    let mut doubts: Vec<String> = page.differences.iter().map(Difference::sentence).collect();
    doubts.extend(
        page.limits
            .unbounded
            .iter()
            .map(|name| format!("{name} has no limit: nothing behind it was measured")),
    );
    doubts.extend(page.remarks.iter().cloned());
    if !doubts.is_empty() {
        all.push(("What to look at again".to_owned(), doubts));
    }
    all
}

/// Figures at a glance.
fn cards(page: &Page<'_>) -> Vec<(String, String)> {
    let peak = &page.forecast.total.peak_second;
    let busy = page
        .decided
        .services
        .iter()
        .filter(|one| one.choice != Choice::Fine)
        .count();
    vec![
        (
            rate(peak.per_second.expected),
            "expected in the busiest second".to_owned(),
        ),
        (
            rate(peak.per_second.upper),
            format!("upper bound of {:.0} %", page.forecast.level * 100.0),
        ),
        (
            instant(peak.at_minute).replace(":00Z", "Z"),
            "the busiest minute".to_owned(),
        ),
        (
            format!("{busy} of {}", page.decided.services.len()),
            "services need something".to_owned(),
        ),
        (
            format!("{:.2} {}", page.decided.cost, page.situation.currency),
            "for more instances".to_owned(),
        ),
    ]
}

#[must_use]
pub fn html(page: &Page<'_>) -> String {
    let name = escape(page.name);
    let (state, sentence) = verdict(page);
    let class = match state {
        State::Ready => "good",
        State::Open => "none",
        State::Blocked => "bad",
    };
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{name}</title>\
         <style>{CSS}</style></head>\n<body><main><p class=\"kind\">Plan of a sale</p>\
         <h1>{name}</h1>\n<p class=\"verdict {class}\"><strong>{}</strong>{}</p>\n\
         <dl class=\"cards\">",
        state.word(),
        escape(&sentence)
    );
    for (figure, what) in cards(page) {
        // Writing to a string cannot fail.
        _ = write!(
            out,
            "<div><dd>{}</dd><dt>{}</dt></div>",
            escape(&figure),
            escape(&what)
        );
    }
    out.push_str("</dl>\n");
    out.push_str(&forecast_figure(page));
    _ = writeln!(
        out,
        "<figure><figcaption>Which service calls which, at the upper bound</figcaption>{}</figure>",
        map_svg(page)
    );
    for section in tables(page) {
        out.push_str(&section.html());
    }
    for (title, paragraphs) in told(page) {
        _ = write!(out, "<section><h2>{}</h2>", escape(&title));
        for paragraph in paragraphs {
            _ = write!(out, "<p>{}</p>", escape(&paragraph));
        }
        out.push_str("</section>\n");
    }
    out.push_str("</main></body></html>\n");
    out
}

#[must_use]
pub fn markdown(page: &Page<'_>) -> String {
    let (state, sentence) = verdict(page);
    let mut out = format!("# {}\n\n**{}** – {sentence}\n\n", page.name, state.word());
    for (figure, what) in cards(page) {
        _ = writeln!(out, "* {figure} {what}");
    }
    out.push_str(
        "\n![Requests a second](pictures/forecast.svg)\n\n\
         ![Which service calls which](pictures/map.svg)\n",
    );
    for section in tables(page) {
        _ = write!(
            out,
            "\n## {}\n\n| {} |\n|",
            section.title,
            section.head.join(" | ")
        );
        out.push_str(&"---|".repeat(section.head.len()));
        out.push('\n');
        for row in &section.rows {
            let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
            _ = writeln!(out, "| {} |", cells.join(" | "));
        }
    }
    for (title, paragraphs) in told(page) {
        _ = write!(out, "\n### {title}\n");
        for paragraph in paragraphs {
            _ = write!(out, "\n{paragraph}\n");
        }
    }
    out
}

/// The checklist as a file of its own.
#[must_use]
pub fn readiness_markdown(name: &str, lines: &[Line]) -> String {
    let mut out =
        format!("# Ready for {name}?\n\n| | what | owner | evidence |\n|---|---|---|---|\n");
    for line in lines {
        let cell = |text: &str| text.replace('|', "\\|");
        _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            line.state.word(),
            cell(&line.what),
            cell(&line.owner),
            cell(&line.evidence)
        );
    }
    out
}
