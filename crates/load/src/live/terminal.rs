//! The terminal itself: taken, drawn on, its keys read, and put back as it was – also by a panic
//! anywhere in the process, which would otherwise leave a terminal that shows nothing.

use super::limits::LOOK_MS;
use super::screen::draw;
use super::state::{Event, State};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use std::io::{Stderr, Write, stderr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Once};
use std::time::Duration;

/// Whether a terminal has to be put back; one process has one.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// A terminal that is ours until this is dropped.
pub(super) struct Held(Terminal<CrosstermBackend<Stderr>>);

impl Held {
    pub fn new() -> std::io::Result<Held> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                put_back();
                before(panic);
            }));
        });
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        let held = execute!(stderr(), EnterAlternateScreen)
            .and_then(|()| Terminal::new(CrosstermBackend::new(stderr())));
        held.map(Held).inspect_err(|_| put_back())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        put_back();
    }
}

fn put_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // There is no third way to say something if both of these fail.
        let _ = execute!(stderr(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// Draws what is told until nobody tells any more; then what was noted stays as lines.
pub(super) fn run(mut held: Held, title: &str, told: &Receiver<Event>, stop: &Arc<AtomicBool>) {
    let mut state = State::new(title);
    loop {
        let over = loop {
            match told.try_recv() {
                Ok(event) => state.take(event),
                Err(TryRecvError::Empty) => break false,
                Err(TryRecvError::Disconnected) => break true,
            }
        };
        state.stopping |= stop.load(Ordering::Relaxed);
        // A terminal that is gone ends the view, not the run; one that a panic has put back is
        // for the panic's message.
        let ours = TAKEN.load(Ordering::SeqCst);
        let drawn = ours && held.0.draw(|frame| draw(frame, &state)).is_ok();
        if over || !drawn {
            break;
        }
        match event::poll(Duration::from_millis(LOOK_MS)) {
            Ok(false) => {}
            Ok(true) => {
                if let Ok(event::Event::Key(key)) = event::read()
                    && stops(&key)
                {
                    stop.store(true, Ordering::Relaxed);
                }
            }
            Err(_) => break,
        }
    }
    drop(held);
    for note in &state.notes {
        let _ = writeln!(stderr(), "{note}");
    }
}

fn stops(key: &KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let ends = match key.code {
        KeyCode::Char('q' | 'Q') => true,
        KeyCode::Char('c' | 'C') => control,
        _ => false,
    };
    ends && key.kind != KeyEventKind::Release
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_and_ctrl_c_stop_and_nothing_else_does() {
        let key = |letter, modifiers| stops(&KeyEvent::new(KeyCode::Char(letter), modifiers));
        assert!(key('q', KeyModifiers::NONE) && key('c', KeyModifiers::CONTROL));
        assert!(!key('c', KeyModifiers::NONE) && !key('x', KeyModifiers::CONTROL));
        assert!(!stops(&KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE)));
    }
}
