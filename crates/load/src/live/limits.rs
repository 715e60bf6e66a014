//! Bounds of the view of a run, with unit and reason.

/// Seconds that charts show: more than a terminal has columns.
pub const SHOWN_S_MAX: usize = 600;
/// Lines of what happened that are kept; they are printed again when the view closes.
pub const NOTES_MAX: usize = 200;
/// Faults that are named.
pub const FAULTS_MAX: usize = 16;
/// Kinds of errors that are told apart; the rest has one name.
pub const REASONS_MAX: usize = 32;
/// What waits to be drawn: a terminal that stands still must not hold up a run.
pub const WAITING_MAX: usize = 256;
/// Milliseconds between two looks at the keyboard.
pub const LOOK_MS: u64 = 100;
