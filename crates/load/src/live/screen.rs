//! The picture: what a view knows, on however large a terminal. Colours say only what words say
//! too. It must not know where it is drawn.

use super::moment::Moment;
use super::state::State;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Sparkline};
use std::collections::VecDeque;

const BAD: Style = Style::new().fg(Color::Red);
const SOME: Style = Style::new().fg(Color::Yellow);
const GOOD: Style = Style::new().fg(Color::Green);
const QUIET: Style = Style::new().fg(Color::DarkGray);

pub(super) fn draw(frame: &mut Frame<'_>, state: &State) {
    let rows = [
        Constraint::Length(1),
        Constraint::Min(8),
        Constraint::Min(7),
        Constraint::Length(1),
    ];
    let [head, upper, lower, foot] = Layout::vertical(rows).areas(frame.area());
    let halves = [Constraint::Percentage(50), Constraint::Percentage(50)];
    let [rate_area, latency_area] = Layout::horizontal(halves).areas(upper);
    let [ends_area, notes_area] = Layout::horizontal(halves).areas(lower);
    title(frame, head, state);
    rate(frame, rate_area, state);
    latency(frame, latency_area, state);
    ends(frame, ends_area, state);
    notes(frame, notes_area, state);
    let foot_text = match state.stopping {
        true => Span::styled("stopping: nobody new, requests under way may end", SOME),
        false => Span::styled("q or Ctrl-C stops", QUIET),
    };
    frame.render_widget(Line::from(foot_text), foot);
}

fn title(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let now = &state.now;
    let clock = match now.of_s {
        Some(of_s) => format!("{} of {} s ", now.at_s.min(of_s), of_s),
        None => format!("{} s ", now.at_s),
    };
    let widths = [
        Constraint::Min(0),
        Constraint::Length(clock.chars().count() as u16),
    ];
    let [left, right] = Layout::horizontal(widths).areas(area);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut said = vec![Span::styled(state.title.clone(), bold)];
    if let Some(step) = &state.step {
        said.push(Span::raw(format!("  {step}")));
    }
    frame.render_widget(Line::from(said), left);
    frame.render_widget(Line::from(clock), right);
}

/// Words in a box, and a chart in what is left of it.
fn boxed(
    frame: &mut Frame<'_>,
    area: Rect,
    name: &str,
    lines: Vec<Line<'_>>,
    chart: Option<(&VecDeque<u64>, Style)>,
) {
    let block = Block::bordered().title(format!(" {name} "));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let high = lines.len() as u16;
    let [words, rest] =
        Layout::vertical([Constraint::Length(high), Constraint::Min(0)]).areas(inner);
    frame.render_widget(Paragraph::new(lines), words);
    if let Some((values, style)) = chart {
        let shown = values.len().saturating_sub(usize::from(rest.width));
        let values: Vec<u64> = values.iter().skip(shown).copied().collect();
        frame.render_widget(Sparkline::default().data(&values).style(style), rest);
    }
}

fn rate(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let (now, total) = (&state.now, &state.total);
    let mut lines = Vec::new();
    if let Some(offered) = now.offered {
        // A second of an even plan has one more or less.
        let behind = (now.arrived as f64) < offered * 0.99 - 1.0;
        let style = if behind { BAD } else { Style::new() };
        lines.push(Line::from(format!("offered  {offered:>9.1}/s")));
        let arrived = format!("arrived  {:>9}/s {:>11} in all", now.arrived, total.arrived);
        lines.push(Line::styled(arrived, style));
    }
    let sent = format!("requests {:>9}/s {:>11} in all", now.sent, total.sent);
    lines.push(Line::from(sent));
    let open = format!(
        "under way {:>8}   connections {}",
        now.under_way, now.connections
    );
    lines.push(Line::from(open));
    boxed(frame, area, "Rate", lines, Some((&state.sent, GOOD)));
}

fn latency(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let (now, worst) = (&state.now, &state.worst);
    let ms = |ms: Option<f64>| ms.map_or("–".to_owned(), |ms| format!("{ms:.1}"));
    let row = |name: &str, now: Option<f64>, worst: Option<f64>| {
        Line::from(format!("{name:<5}{:>11} {:>14}", ms(now), ms(worst)))
    };
    let lines = vec![
        Line::styled("ms      this second   worst second", QUIET),
        row("p50", now.p50_ms, worst.p50_ms),
        row("p90", now.p90_ms, worst.p90_ms),
        row("p99", now.p99_ms, worst.p99_ms),
        row("max", now.max_ms, worst.max_ms),
    ];
    boxed(
        frame,
        area,
        "Latency, chart p99",
        lines,
        Some((&state.p99_us, SOME)),
    );
}

fn ends(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let (now, total) = (&state.now, &state.total);
    let row = |name: &str, now: u64, all: u64, style| {
        let style = if all == 0 { Style::new() } else { style };
        Line::styled(format!("{name:<12}{now:>9}/s {all:>11} in all"), style)
    };
    let mut lines = vec![
        row("good", now.good, total.good, GOOD),
        row("refused", now.refused, total.refused, SOME),
    ];
    for (reason, all) in &total.errors {
        let now = of(now, reason);
        lines.push(row(reason, now, *all, BAD));
    }
    if total.errors.is_empty() {
        lines.push(row("errors", 0, 0, BAD));
    }
    boxed(frame, area, "Answers", lines, None);
}

fn of(now: &Moment, reason: &str) -> u64 {
    let found = now.errors.iter().find(|(name, _)| name == reason);
    found.map_or(0, |(_, count)| *count)
}

fn notes(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let mut lines = Vec::new();
    for fault in &state.faults {
        lines.push(Line::styled(format!("fault: {fault}"), BAD));
    }
    let room = usize::from(area.height.saturating_sub(2)).saturating_sub(lines.len());
    let first = state.notes.len().saturating_sub(room);
    lines.extend(
        state
            .notes
            .iter()
            .skip(first)
            .map(|note| Line::raw(note.trim_start())),
    );
    boxed(frame, area, "Steps and faults", lines, None);
}

#[cfg(test)]
mod tests {
    use super::super::state::Event;
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn moment(at_s: u64) -> Moment {
        Moment {
            at_s,
            of_s: Some(40),
            offered: Some(100.0),
            arrived: 100,
            sent: 230,
            good: 220,
            refused: 7,
            errors: vec![("timed_out".into(), 3)],
            p50_ms: Some(1.25),
            p90_ms: Some(9.0),
            p99_ms: Some(80.5 - at_s as f64),
            max_ms: None,
            under_way: 12,
            connections: 9,
        }
    }

    fn shown(state: &State, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn everything_that_was_told_is_in_the_picture() {
        let mut state = State::new("seawall load run shop");
        (1..=3).for_each(|at| state.take(Event::Second(Box::new(moment(at)))));
        state.take(Event::Step("400/s, to confirm".into()));
        state.take(Event::Note("200.0/s holds".into()));
        state.take(Event::Faults(vec!["payment: delay 300 ms".into()]));
        let screen = shown(&state, 100, 24);
        for wanted in [
            "seawall load run shop  400/s, to confirm",
            "3 of 40 s",
            "offered      100.0/s",
            "arrived        100/s         300 in all",
            "requests       230/s         690 in all",
            "under way       12   connections 9",
            "p50          1.2            1.2",
            "p99         77.5           79.5",
            "max            –              –",
            "good              220/s         660 in all",
            "refused             7/s          21 in all",
            "timed_out           3/s           9 in all",
            "fault: payment: delay 300 ms",
            "200.0/s holds",
            "q or Ctrl-C stops",
            "█",
        ] {
            assert!(screen.contains(wanted), "{wanted:?} in\n{screen}");
        }
        state.stopping = true;
        assert!(shown(&state, 100, 24).contains("stopping: nobody new"));
    }

    #[test]
    fn the_last_notes_are_seen_and_a_small_terminal_is_no_panic() {
        let mut state = State::new("t");
        (0..300).for_each(|n| state.take(Event::Note(format!("step {n} held"))));
        (0..700).for_each(|at| state.take(Event::Second(Box::new(moment(at.min(70))))));
        let screen = shown(&state, 80, 24);
        assert!(screen.contains("step 299 held") && !screen.contains("step 0 held"));
        assert!(state.notes.len() == 200 && state.sent.len() == 600);
        for (width, height) in [(1, 1), (10, 3), (30, 8), (300, 100)] {
            shown(&state, width, height);
        }
    }
}
